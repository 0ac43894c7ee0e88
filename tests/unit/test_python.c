/* test_python.c - Python models in their workers: what they compute, and every way to fail.
 *
 * The real interpreter and the real sandbox. Each failure must give its request a clear error, in
 * time, and leave the next request alone.
 */
#include "runtime/python.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/tar.h"
#include "runtime/worker_launch.h"
#include "test.h"

#define SECOND_NS INT64_C(1000000000)

static char root[] = "/tmp/slipway-python-XXXXXX";
static struct runtime_host host;

static void put(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* ---- one model ---- */

static enum err_code open_model(const char *yaml, const char *code, void **model, struct err *err)
{
    static int count;
    char folder[256], hex[SHA256_HEX_BYTES + 1];
    struct buf bytes;
    snprintf(folder, sizeof(folder), "%s/m%d", root, count++);
    mkdir(folder, 0755);
    put(folder, "slipway.yaml", yaml);
    put(folder, "model.py", code);
    buf_init(&bytes, 1 << 20);
    assert_int_equal(tar_pack(folder, &bytes, err), ERR_OK);
    hash_sha256_hex(bytes.data, bytes.len, hex);
    const struct runtime_file file = {
        .bytes = bytes.data, .size = bytes.len, .digest_hex = hex, .host = &host, .label = "test"};
    enum err_code rc = runtime_python.load(&file, model, err);
    buf_done(&bytes);
    return rc;
}

static void *must_open(const char *yaml, const char *code)
{
    void *model = NULL;
    struct err err = {0};
    if (open_model(yaml, code, &model, &err))
        fail_msg("not loaded: %s", err.msg);
    return model;
}

struct reply {
    struct arena *arena;
    struct tensor out[8];
    int count;
    enum err_code rc;
    struct err err;
};

static struct reply ask(void *model, const struct tensor *in, int in_count, int64_t time_ns)
{
    struct reply reply = {.arena = arena_new(1 << 28)};
    struct runtime_call call = {.in = in, .in_count = in_count, .arena = reply.arena};
    call.deadline_ns = clock_monotonic_ns() + time_ns;
    struct tensor *out = arena_calloc(reply.arena, 8, sizeof(*out));
    call.out = out;
    reply.rc = runtime_python.predict(model, &call, &reply.err);
    memcpy(reply.out, out, sizeof(reply.out));
    reply.count = call.out_count;
    return reply;
}

/* One row of one number. */
static struct reply ask_number(void *model, float value, int64_t time_ns)
{
    const struct tensor in = {
        .name = "input", .dtype = DTYPE_F32, .rank = 2, .shape = {1, 1}, .data = &value};
    return ask(model, &in, 1, time_ns);
}

static void must_answer(void *model, float value, float expected)
{
    struct reply reply = ask_number(model, value, 20 * SECOND_NS);
    if (reply.rc)
        fail_msg("no answer: %s", reply.err.msg);
    assert_int_equal(reply.count, 1);
    assert_float_equal(((float *)reply.out[0].data)[0], expected, 1e-6);
    arena_free(reply.arena);
}

static void must_fail(void *model, float value, enum err_code rc, const char *part)
{
    struct reply reply = ask_number(model, value, 20 * SECOND_NS);
    if (reply.rc != rc || !strstr(reply.err.msg, part))
        fail_msg("expected '%s', got %s: %s", part, err_code_name(reply.rc), reply.err.msg);
    arena_free(reply.arena);
}

/* ---- what models compute ---- */

static const char one_feature[] = "features: [x]\n";

static void functions_are_called(void **state)
{
    (void)state;
    void *model = must_open(one_feature, "def load(folder):\n    return 3\n"
                                         "def predict(k, x):\n    return [r[0] * k for r in x]\n");
    must_answer(model, 2, 6);
    must_answer(model, -1, -3);
    runtime_python.free(model);
}

static void a_class_is_called(void **state)
{
    (void)state;
    void *model = must_open(one_feature, "class Model:\n"
                                         "    def __init__(self):\n        self.k = 0\n"
                                         "    def load(self, folder):\n        self.k = 5\n"
                                         "    def predict(self, x):\n"
                                         "        return [r[0] + self.k for r in x]\n");
    must_answer(model, 2, 7);
    runtime_python.free(model);
}

/* predict_proba of both classes: the answer is the second one's. */
static void what_load_returns_may_predict(void **state)
{
    (void)state;
    void *model =
        must_open("features: [x]\nclasses: 2\n", "class Tree:\n    def predict_proba(self, x):\n"
                                                 "        return [[0.75, 0.25] for _ in x]\n"
                                                 "def load(folder):\n    return Tree()\n");
    must_answer(model, 1, 0.25f);
    assert_int_equal(runtime_python.describe(model)->class_count, 2);
    runtime_python.free(model);
}

static void rows_may_be_dicts(void **state)
{
    (void)state;
    void *model = must_open("features: [x]\nform: dicts\nentry: model:answer\n",
                            "def answer(rows):\n    return [row['x'] * 2 for row in rows]\n");
    must_answer(model, 4, 8);
    runtime_python.free(model);
}

/* Every dtype goes there and back as it was; 1.5 is exact in all floats. */
static void every_dtype_comes_back(void **state)
{
    (void)state;
    static const char *const names[] = {"BOOL", "UINT8", "UINT16", "UINT32", "UINT64",
                                        "INT8", "INT16", "INT32",  "INT64",  "FP16",
                                        "BF16", "FP32",  "FP64"};
    static const unsigned char values[][16] = {{1, 0},
                                               {255, 7},
                                               {1, 2, 3, 4},
                                               {1, 2, 3, 4, 5},
                                               {1, 0, 0, 0, 9},
                                               {0x80, 0x7f},
                                               {1, 0x80, 2, 0},
                                               {1, 0, 0, 0x80},
                                               {1, 0, 0, 0, 0, 0, 0, 0x80},
                                               {0, 0x3e, 0, 0xbe},
                                               {0xc0, 0x3f, 0xc0, 0xbf},
                                               {0, 0, 0xc0, 0x3f},
                                               {0, 0, 0, 0, 0, 0, 0xf8, 0x3f}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char yaml[256];
        snprintf(yaml, sizeof(yaml),
                 "inputs: [{name: x, dtype: %s, shape: [-1]}]\n"
                 "outputs: [{name: y, dtype: %s, shape: [-1]}]\n",
                 names[i], names[i]);
        void *model = must_open(yaml, "def predict(given):\n    return given['x']\n");
        const struct tensor in = {
            .dtype = (enum dtype)i, .rank = 1, .shape = {2}, .data = (void *)(uintptr_t)values[i]};
        struct reply reply = ask(model, &in, 1, 20 * SECOND_NS);
        if (reply.rc)
            fail_msg("%s: %s", names[i], reply.err.msg);
        assert_memory_equal(reply.out[0].data, values[i], 2 * dtype_bytes((enum dtype)i));
        assert_int_equal(reply.out[0].shape[0], 2);
        arena_free(reply.arena);
        runtime_python.free(model);
    }
}

static void texts_and_several_outputs(void **state)
{
    (void)state;
    void *model = must_open("inputs: [{name: s, dtype: BYTES, shape: [-1]}]\n"
                            "outputs:\n  - {name: up, dtype: BYTES, shape: [-1]}\n"
                            "  - {name: size, dtype: INT64, shape: [-1]}\n",
                            "def predict(given):\n"
                            "    s = list(given['s'])\n"
                            "    return {'size': [len(t) for t in s], 'up': [t.upper() for t in s]}"
                            "\n");
    struct str texts[] = {STR_LIT("abc"), STR_LIT(""), STR_LIT("\xc3\xa4")};
    const struct tensor in = {.dtype = DTYPE_BYTES, .rank = 1, .shape = {3}, .data = texts};
    struct reply reply = ask(model, &in, 1, 20 * SECOND_NS);
    assert_int_equal(reply.rc, ERR_OK);
    assert_int_equal(reply.count, 2);
    const struct str *up = reply.out[0].data;
    assert_true(str_equal_c(up[0], "ABC"));
    assert_true(str_equal_c(up[1], ""));
    assert_true(str_equal_c(up[2], "\xc3\xa4"));
    assert_int_equal(((int64_t *)reply.out[1].data)[2], 2);
    arena_free(reply.arena);
    runtime_python.free(model);
}

/* 3 MB there and 6 MB back: the memory grows twice. */
static void large_tensors_get_larger_memory(void **state)
{
    (void)state;
    enum { COUNT = 3 << 20 };
    void *model = must_open("inputs: [{name: x, dtype: UINT8, shape: [-1]}]\n"
                            "outputs: [{name: y, dtype: UINT8, shape: [-1]}]\n",
                            "def predict(given):\n    return given['x'] * 2\n");
    unsigned char *bytes = malloc(COUNT);
    for (int i = 0; i < COUNT; i++)
        bytes[i] = (unsigned char)(i * 7);
    const struct tensor in = {.dtype = DTYPE_U8, .rank = 1, .shape = {COUNT}, .data = bytes};
    struct reply reply = ask(model, &in, 1, 20 * SECOND_NS);
    assert_int_equal(reply.rc, ERR_OK);
    assert_int_equal(reply.out[0].shape[0], 2 * COUNT);
    assert_memory_equal((char *)reply.out[0].data + COUNT, bytes, COUNT);
    arena_free(reply.arena);
    free(bytes);
    runtime_python.free(model);
}

/* ---- errors of the code ---- */

static void exceptions_reach_the_caller(void **state)
{
    (void)state;
    void *model =
        must_open(one_feature, "from slipway_worker import InputError\n"
                               "def predict(x):\n"
                               "    if x[0][0] == 1:\n        raise KeyError('colour')\n"
                               "    if x[0][0] == 2:\n        raise InputError('x must be odd')\n"
                               "    if x[0][0] == 3:\n        return [1, 2]\n"
                               "    if x[0][0] == 4:\n        return ['text']\n"
                               "    if x[0][0] == 5:\n        raise SystemExit(3)\n"
                               "    if x[0][0] == 6:\n        return {'other': 1}\n"
                               "    return [0]\n");
    struct buf log;
    must_fail(model, 1, ERR_UPSTREAM, "the model's code failed: KeyError: 'colour'");
    must_fail(model, 2, ERR_INVALID, "x must be odd");
    must_fail(model, 3, ERR_UPSTREAM, "answered 2 rows of 1");
    must_fail(model, 4, ERR_UPSTREAM, "output 'predict'");
    must_fail(model, 5, ERR_UPSTREAM, "SystemExit: 3");
    must_fail(model, 6, ERR_UPSTREAM, "'other', which is no output");
    must_answer(model, 7, 0);
    assert_null(runtime_python.problem(model));
    buf_init(&log, 1 << 20);
    for (int i = 0; i < 200 && !strstr(buf_c(&log), "SystemExit"); i++) {
        usleep(10000);
        buf_clear(&log);
        runtime_python.log(model, &log);
    }
    assert_non_null(strstr(buf_c(&log), "line 4, in predict")); /* the traceback is in the log */
    buf_done(&log);
    runtime_python.free(model);
}

static void what_does_not_load_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *code, *part;
    } cases[] = {
        {"features: [x]\n", "import no_such_module\n", "No module named 'no_such_module'"},
        {"features: [x]\nentry: other\n", "x = 1\n", "the folder has no other.py"},
        {"features: [x]\nentry: model:Nope\n", "x = 1\n", "model.py has no Nope"},
        {"features: [x]\n", "x = 1\n", "neither a class Model nor functions"},
        {"features: [x]\n", "def load(folder):\n    raise OSError('no weights')\n", "no weights"},
        {"features: [x]\n", "import os\nos._exit(4)\n", "ended with status 4"},
        {"features: [x]\n", "import os\nos.abort()\n", "signal 6"},
        {"features: [x]\nload_timeout: 500ms\n", "import time\ntime.sleep(60)\n",
         "did not load within"},
        {"features: [x]\nenvironment: nope\n", "", "no Python environment 'nope'"},
        {"features: [x]\ninputs: []\n", "", "either features or inputs"},
        {"outputs: []\n", "", "either features or inputs"},
        {"features: x\n", "", "'features' must be a list"},
        {"features: [x]\nentry: ../x\n", "", "'entry' must be"},
        {"features: [x]\nmemory: 1K\n", "", "'memory' must be a size"},
        {"features: [x]\ncolour: 1\n", "", "colour"},
        {"inputs: [{name: x, dtype: FP33, shape: [1]}]\n", "", "needs a dtype"},
        {"inputs: [{name: x, dtype: FP32, shape: [-2]}]\n", "", "no size at place 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        void *model = NULL;
        struct err err = {0};
        assert_int_not_equal(open_model(cases[i].yaml, cases[i].code, &model, &err), ERR_OK);
        if (!strstr(err.msg, cases[i].part))
            fail_msg("expected '%s', got '%s'", cases[i].part, err.msg);
        assert_null(model);
    }
}

/* ---- faults of the process ---- */

/* On 1 it does the fault, else it answers. */
static void *faulty(const char *more, const char *fault)
{
    char yaml[256], code[1024];
    snprintf(yaml, sizeof(yaml), "features: [x]\n%s", more);
    snprintf(code, sizeof(code),
             "import ctypes, os, socket, sys, threading, time\n"
             "def predict(x):\n    if x[0][0] == 1:\n        %s\n"
             "    return [x[0][0] + 1]\n",
             fault);
    return must_open(yaml, code);
}

static void a_crash_fails_one_request(void **state)
{
    (void)state;
    static const struct {
        const char *fault, *part;
    } cases[] = {
        {"ctypes.string_at(0)", "killed by signal 11"},
        {"os._exit(9)", "ended with status 9"},
        {"os.abort()", "killed by signal 6"},
        {"socket.socket(fileno=3).close() or time.sleep(60)", "worker process"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        void *model = faulty("", cases[i].fault);
        must_answer(model, 5, 6);
        must_fail(model, 1, ERR_UPSTREAM, cases[i].part);
        must_answer(model, 6, 7); /* by the worker that was started again */
        assert_null(runtime_python.problem(model));
        runtime_python.free(model);
    }
}

static void memory_has_a_limit(void **state)
{
    (void)state;
    void *model = faulty("memory: 128M\n", "bytearray(1 << 30)");
    must_fail(model, 1, ERR_UPSTREAM, "MemoryError");
    must_answer(model, 5, 6);
    runtime_python.free(model);
}

static void processes_cannot_be_started(void **state)
{
    (void)state;
    void *model = faulty("", "\n        while True: os.fork()");
    must_fail(model, 1, ERR_UPSTREAM, "PermissionError");
    must_answer(model, 5, 6);
    runtime_python.free(model);
}

static void an_answer_has_a_limit(void **state)
{
    (void)state;
    void *model = must_open("inputs: [{name: x, dtype: FP32, shape: [-1]}]\nreply_max: 1M\n"
                            "outputs: [{name: y, dtype: BYTES, shape: [-1]}]\n",
                            "def predict(given):\n"
                            "    return [b'x' * (int(given['x'][0]) << 20)]\n");
    float size = 200;
    const struct tensor in = {.dtype = DTYPE_F32, .rank = 1, .shape = {1}, .data = &size};
    struct reply reply = ask(model, &in, 1, 20 * SECOND_NS);
    assert_int_equal(reply.rc, ERR_UPSTREAM);
    assert_non_null(strstr(reply.err.msg, "1048576 are the limit"));
    arena_free(reply.arena);
    size = 0;
    reply = ask(model, &in, 1, 20 * SECOND_NS);
    assert_int_equal(reply.rc, ERR_OK);
    arena_free(reply.arena);
    runtime_python.free(model);
}

/* What is in Python is interrupted, and the worker goes on; what is in C is killed after
 * hang_after. */
static void a_hang_fails_in_its_time(void **state)
{
    (void)state;
    static const char *const hangs[] = {"\n        while True: pass",
                                        "ctypes.PyDLL(None).sleep(60)"};
    for (size_t i = 0; i < ARRAY_LEN(hangs); i++) {
        void *model = faulty("hang_after: 300ms\n", hangs[i]);
        struct reply reply = ask_number(model, 1, SECOND_NS / 10);
        assert_int_equal(reply.rc, ERR_TIMEOUT);
        arena_free(reply.arena);
        must_answer(model, 5, 6);
        runtime_python.free(model);
    }
}

static void garbage_on_the_socket_ends_the_worker(void **state)
{
    (void)state;
    static const char *const faults[] = {
        "os.write(3, b'garbage'); time.sleep(60)",
        "os.write(3, b'x' * 40000); time.sleep(60)",
        "os.write(3, b'SLW1' + bytes(28)); time.sleep(60)",
        /* a result whose tensor lies outside the memory */
        "os.write(3, b'SLW1' + (17).to_bytes(2, 'little') + bytes([1, 0]) + (2).to_bytes(8, "
        "'little') + bytes(16) + bytes([11, 1, 0, 0, 0, 0, 0, 0]) + b'\\xff' * 7 + b'\\x7f' + "
        "bytes([4]) + bytes(7) + bytes([1]) + bytes(63)); time.sleep(60)",
    };
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        void *model = faulty("hang_after: 300ms\n", faults[i]);
        must_answer(model, 5, 6);
        must_fail(model, 1, ERR_UPSTREAM,
                  i < 3 ? "does not keep to the protocol" : "is not where it should be");
        must_answer(model, 6, 7);
        runtime_python.free(model);
    }
}

static void a_crash_loop_is_a_problem(void **state)
{
    (void)state;
    void *model = faulty("", "os._exit(7)");
    for (int i = 0; i < 3; i++) {
        assert_null(runtime_python.problem(model));
        must_fail(model, 1, ERR_UPSTREAM, "ended with status 7");
    }
    for (int i = 0; i < 500 && !runtime_python.problem(model); i++)
        usleep(1000);
    assert_non_null(runtime_python.problem(model));
    struct reply reply = ask_number(model, 5, SECOND_NS * 20);
    if (reply.rc) { /* at once, while nobody is there */
        assert_int_equal(reply.rc, ERR_UNAVAILABLE);
        assert_non_null(strstr(reply.err.msg, "ended with status 7"));
    }
    arena_free(reply.arena);
    for (int i = 0; i < 1000 && runtime_python.problem(model); i++) {
        reply = ask_number(model, 5, SECOND_NS * 20);
        arena_free(reply.arena);
        usleep(10000);
    }
    assert_null(runtime_python.problem(model)); /* an answer ends it */
    runtime_python.free(model);
}

/* A worker that ends while nobody asks is started again. */
static void an_idle_crash_is_nobodys(void **state)
{
    (void)state;
    void *model = must_open(one_feature, "import os, threading\n"
                                         "def predict(x):\n"
                                         "    if x[0][0] == 1:\n"
                                         "        threading.Timer(0.05, os._exit, [3]).start()\n"
                                         "    return [x[0][0]]\n");
    must_answer(model, 1, 1);
    usleep(300000);
    must_answer(model, 2, 2);
    runtime_python.free(model);
}

static void printing_without_end_harms_nobody(void **state)
{
    (void)state;
    void *model = faulty("", "print('x' * 10000000)");
    struct buf log;
    must_answer(model, 1, 2);
    must_answer(model, 5, 6);
    buf_init(&log, 1 << 20);
    runtime_python.log(model, &log);
    assert_true(log.len <= 64 * 1024);
    buf_done(&log);
    runtime_python.free(model);
}

/* ---- several at once ---- */

struct caller {
    pthread_t thread;
    void *model;
    float answer;
};

static void *call_slowly(void *arg)
{
    struct caller *caller = arg;
    struct reply reply = ask_number(caller->model, 1, 20 * SECOND_NS);
    caller->answer = reply.rc ? -1 : ((float *)reply.out[0].data)[0];
    arena_free(reply.arena);
    return NULL;
}

/* Each answers with its process: those that come while the first is busy start others. */
static void callers_at_once_get_workers_of_their_own(void **state)
{
    (void)state;
    enum { CALLERS = 4 };
    struct caller callers[CALLERS];
    bool differs = false;
    void *model = must_open(one_feature, "import os, time\n"
                                         "def predict(x):\n    time.sleep(0.5)\n"
                                         "    return [os.getpid()]\n");
    for (int i = 0; i < CALLERS; i++) {
        callers[i].model = model;
        pthread_create(&callers[i].thread, NULL, call_slowly, &callers[i]);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_true(callers[i].answer > 0);
        differs = differs || callers[i].answer != callers[0].answer;
    }
    assert_true(differs);
    runtime_python.free(model);
}

/* The client leaves while its answer is computed: Python code is interrupted, the worker stays. */
static void a_client_that_leaves_waits_for_nothing(void **state)
{
    (void)state;
    static const _Atomic bool has_left = true;
    void *model = faulty("", "time.sleep(60)");
    struct arena *arena = arena_new(1 << 20);
    struct tensor out[2];
    struct err err = {0};
    float value = 1;
    const struct tensor in = {.dtype = DTYPE_F32, .rank = 2, .shape = {1, 1}, .data = &value};
    struct runtime_call call = {
        .in = &in, .in_count = 1, .arena = arena, .out = out, .is_cancelled = &has_left};
    call.deadline_ns = clock_monotonic_ns() + 20 * SECOND_NS;
    assert_int_equal(runtime_python.predict(model, &call, &err), ERR_CANCELLED);
    must_answer(model, 5, 6);
    arena_free(arena);
    runtime_python.free(model);
}

/* ---- the sandbox ---- */

static void nothing_outside_is_reached(void **state)
{
    (void)state;
    static const char *const tries[] = {
        "socket.socket()",
        "socket.socket(socket.AF_UNIX)",
        "os.execv('/bin/true', ['true'])  if False else os.kill(1, 0)",
        "open('/etc/shadow')",
        "open('/etc/hostname')",
        "os.listdir('/root')",
        "open('/proc/1/environ')",
        "open('/model/x', 'w')",
        "open('/usr/lib/x', 'w')",
        "os.setuid(0)",
        "os.mkdir('/x')",
        "os.memfd_create('x')",
        "__import__('mmap').mmap(-1, 4096)",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "__import__('subprocess').run(['true'])",
    };
    for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
        void *model = faulty("", tries[i]);
        struct reply reply = ask_number(model, 1, 20 * SECOND_NS);
        bool is_refused = strstr(reply.err.msg, "PermissionError") ||
                          strstr(reply.err.msg, "FileNotFoundError") ||
                          strstr(reply.err.msg, "OSError: [Errno 30]");
        if (reply.rc != ERR_UPSTREAM || !is_refused)
            fail_msg("%s: %s", tries[i], reply.rc ? reply.err.msg : "was allowed");
        arena_free(reply.arena);
        runtime_python.free(model);
    }
}

static void its_own_tmp_may_be_written(void **state)
{
    (void)state;
    void *model = faulty("", "open(os.path.join(os.environ['TMPDIR'], 'x'), 'w').write('y')");
    must_answer(model, 1, 2);
    runtime_python.free(model);
}

/* Debian's libblas.so.3 and others are links to links in there. */
static void libraries_behind_alternatives_are_there(void **state)
{
    (void)state;
    void *model = faulty("", "open('/etc/alternatives/awk', 'rb')");
    must_answer(model, 1, 2);
    runtime_python.free(model);
}

static void it_says_what_holds(void **state)
{
    (void)state;
    void *model = faulty("", "pass");
    const char *detail = runtime_python.describe(model)->detail;
    assert_non_null(strstr(detail, "Python 3"));
    assert_non_null(strstr(detail, "landlock calls limits"));
    runtime_python.free(model);
}

/* ---- the program ---- */

static int begin(void **state)
{
    (void)state;
    static char work[64];
    assert_non_null(mkdtemp(root));
    chmod(root, 0755);
    snprintf(work, sizeof(work), "%s/work", root);
    host = (struct runtime_host){.work_dir = work, .python = "", .thread_count = 1};
    log_set_level(LOG_ERROR);
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)where;
    return kind == FTW_DP ? rmdir(path) : unlink(path);
}

static int remove_root(void **state)
{
    (void)state;
    nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

static bool has_python(void)
{
    if (access("/usr/bin/python3", X_OK) == 0 || access("/usr/local/bin/python3", X_OK) == 0)
        return true;
    printf("skipped: there is no /usr/bin/python3\n");
    return false;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "worker") == 0)
        return worker_launch(argc - 3, (const char *const *)argv + 3);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_called),
        cmocka_unit_test(a_class_is_called),
        cmocka_unit_test(what_load_returns_may_predict),
        cmocka_unit_test(rows_may_be_dicts),
        cmocka_unit_test(every_dtype_comes_back),
        cmocka_unit_test(texts_and_several_outputs),
        cmocka_unit_test(large_tensors_get_larger_memory),
        cmocka_unit_test(exceptions_reach_the_caller),
        cmocka_unit_test(what_does_not_load_says_why),
        cmocka_unit_test(a_crash_fails_one_request),
        cmocka_unit_test(memory_has_a_limit),
        cmocka_unit_test(processes_cannot_be_started),
        cmocka_unit_test(an_answer_has_a_limit),
        cmocka_unit_test(a_hang_fails_in_its_time),
        cmocka_unit_test(garbage_on_the_socket_ends_the_worker),
        cmocka_unit_test(a_crash_loop_is_a_problem),
        cmocka_unit_test(an_idle_crash_is_nobodys),
        cmocka_unit_test(printing_without_end_harms_nobody),
        cmocka_unit_test(callers_at_once_get_workers_of_their_own),
        cmocka_unit_test(a_client_that_leaves_waits_for_nothing),
        cmocka_unit_test(nothing_outside_is_reached),
        cmocka_unit_test(its_own_tmp_may_be_written),
        cmocka_unit_test(libraries_behind_alternatives_are_there),
        cmocka_unit_test(it_says_what_holds),
    };
    return has_python() ? cmocka_run_group_tests(tests, begin, remove_root) : 0;
}
