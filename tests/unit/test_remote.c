/* test_remote.c - what is said to another server, what is believed of its answers, and when it is
 * called at all.
 *
 * Bodies are written out by hand, as the Open Inference Protocol and its binary tensor extension
 * have them. What goes over the network is in tests/integration/test_remote.py.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/rand.h"
#include "net/wire.h"
#include "runtime/remote.h"
#include "runtime/remote_breaker.h"
#include "runtime/remote_endpoint.h"
#include "runtime/remote_reply.h"
#include "runtime/remote_request.h"
#include "runtime/remote_settings.h"
#include "test.h"

enum { ARENA_BYTES = 1 << 26, MUTANTS = 100 * 1000 };

/* ---- the file ---- */

#define TENSORS                                                                                    \
    "inputs: [{name: x, dtype: FP32, shape: [-1, 2]}]\n"                                           \
    "outputs: [{name: y, dtype: FP32, shape: [-1]}, {name: t, dtype: BYTES, shape: [-1]}]\n"
#define HEAD "remote: 1\nendpoint: a\nmodel: m\n"

static struct remote_settings *must_read(const char *yaml, struct arena *arena)
{
    struct remote_settings *settings = NULL;
    struct err err = {0};
    if (remote_settings_read(str_of(yaml), arena, &settings, &err))
        fail_msg("not read: %s", err.msg);
    return settings;
}

static void a_short_file_has_presets_and_is_not_whole(void **state)
{
    (void)state;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct remote_settings *s = must_read(HEAD, arena);
    assert_string_equal(s->endpoint, "a");
    assert_null(s->version);
    assert_int_equal(s->connections, 8);
    assert_int_equal(s->reply_bytes_max, 64 << 20);
    assert_false(remote_settings_are_whole(s));
    assert_true(remote_settings_recognise("# mine\n\n---\nremote: 1\n", 22));
    assert_false(remote_settings_recognise("echo: 1\nremote: 1\n", 18));
    arena_free(arena);
}

static void what_is_written_reads_the_same(void **state)
{
    (void)state;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err = {0};
    struct buf text;
    struct remote_settings *s = must_read(
        "remote: 1\nendpoint: a\nmodel: \"m \\\"1\\\": é\"\nversion: \"3\"\nprotocol: http\n"
        "connections: 2\nbatch_rows_max: 7\nreply_max: 1M\nclasses: 2\nanswer: y\n" TENSORS,
        arena);
    buf_init(&text, 1 << 20);
    remote_settings_write(s, &text);
    struct remote_settings *again = must_read(buf_c(&text), arena);
    assert_string_equal(again->model, "m \"1\": é");
    assert_string_equal(again->version, "3");
    assert_int_equal(again->protocol, REMOTE_HTTP);
    assert_int_equal(again->connections, 2);
    assert_int_equal(again->batch_rows_max, 7);
    assert_int_equal(again->reply_bytes_max, 1 << 20);
    assert_true(remote_settings_are_whole(again));
    assert_int_equal(remote_settings_finish(again, &err), ERR_OK);
    assert_int_equal(again->signature.class_count, 2);
    assert_int_equal(again->signature.feature_count, 2); /* one FP32 table */
    assert_int_equal(again->signature.instances_max, 2);
    assert_true(again->signature.is_probability);
    assert_int_equal(again->signature.outputs[1].dtype, DTYPE_BYTES);
    buf_done(&text);
    arena_free(arena);
}

static void wrong_files_are_refused_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *part;
    } cases[] = {
        {"[1]", "no mapping"},
        {"remote: 2\nendpoint: a\nmodel: m\n", "'remote'"},
        {"remote: 1\nmodel: m\n", "'endpoint'"},
        {"remote: 1\nendpoint: https://10.0.0.1\nmodel: m\n", "'endpoint'"},
        {"remote: 1\nendpoint: a\n", "'model'"},
        {HEAD "url: http://x\n", "url"},
        {HEAD "protocol: grpc\n", "'protocol'"},
        {HEAD "connections: 65\n", "'connections'"},
        {HEAD "reply_max: 1K\n", "'reply_max'"},
        {HEAD "version: 3\n", "'version'"},
        {HEAD "inputs: []\n", "'inputs'"},
        {HEAD "inputs: [{name: x, dtype: FP31, shape: [1]}]\n", "dtype"},
        {HEAD "inputs: [{name: x, dtype: [1, 2, 3, 4], shape: [1]}]\n", "dtype"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct arena *arena = arena_new(ARENA_BYTES);
        struct remote_settings *settings = NULL;
        struct err err = {0};
        assert_int_equal(remote_settings_read(str_of(cases[i].yaml), arena, &settings, &err),
                         ERR_INVALID);
        if (!strstr(err.msg, cases[i].part))
            fail_msg("'%s' is not in: %s", cases[i].part, err.msg);
        assert_null(settings);
        arena_free(arena);
    }
}

static void tensors_and_settings_have_to_agree(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        enum err_code rc;
        const char *part;
    } cases[] = {
        {"answer: z\n" TENSORS, ERR_INVALID, "no output 'z'"},
        {"classes: 3\nanswer: t\n" TENSORS, ERR_INVALID, "'t' has no probabilities of 3"},
        {"inputs: [{name: x, dtype: FP16, shape: [-1]}]\n"
         "outputs: [{name: y, dtype: FP32, shape: [-1]}]\n",
         ERR_UNSUPPORTED, "FP16"},
        {"inputs: [{name: x, dtype: FP32, shape: [4]}]\n"
         "outputs: [{name: y, dtype: FP32, shape: [-1]}]\n",
         ERR_INVALID, "'x' has not"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct arena *arena = arena_new(ARENA_BYTES);
        struct err err = {0};
        char yaml[1024];
        snprintf(yaml, sizeof(yaml), HEAD "protocol: http\nbatch_rows_max: 4\n%s", cases[i].yaml);
        assert_int_equal(remote_settings_finish(must_read(yaml, arena), &err), cases[i].rc);
        if (!strstr(err.msg, cases[i].part))
            fail_msg("'%s' is not in: %s", cases[i].part, err.msg);
        arena_free(arena);
    }
}

/* ---- addresses ---- */

static void urls_are_taken_apart(void **state)
{
    (void)state;
    struct wire_place place;
    struct err err = {0};
    assert_int_equal(wire_place_parse("https://host.example/kserve/a/", &place, &err), ERR_OK);
    assert_string_equal(place.host, "host.example");
    assert_string_equal(place.port, "443");
    assert_true(str_equal_c(place.base, "/kserve/a"));
    assert_int_equal(wire_place_parse("http://[::1]:8000", &place, &err), ERR_OK);
    assert_string_equal(place.host, "::1");
    assert_true(str_equal_c(place.authority, "[::1]:8000"));
    static const char *const wrong[] = {
        "",         "ftp://x",          "http://",         "http://a:99999", "http://a b",
        "http://[", "http://u:p@host/", "http://a/x?y=1",  "http://a/x#y",   "http://a\r\nX: y",
        "//a",      "http:///x",        "http://a:80:80/",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(wire_place_parse(wrong[i], &place, &err), ERR_INVALID);
}

/* There is always something to read: a deadline that is looked at while waiting never comes. */
static void who_never_stops_sending_gets_no_more_time(void **state)
{
    (void)state;
    int pair[2];
    char byte;
    size_t got;
    bool is_end = false;
    struct err err = {0};
    _Atomic bool is_cancelled = false;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(send(pair[1], "abc", 3, 0), 3);
    struct wire wire = {
        .where = "x", .fd = pair[0], .deadline_ns = INT64_MAX, .is_cancelled = &is_cancelled};
    assert_int_equal(wire_read(&wire, &byte, 1, &got, &is_end, &err), ERR_OK);
    assert_int_equal(got, 1);
    is_cancelled = true;
    assert_int_equal(wire_read(&wire, &byte, 1, &got, &is_end, &err), ERR_CANCELLED);
    is_cancelled = false;
    wire.deadline_ns = 1;
    assert_int_equal(wire_read(&wire, &byte, 1, &got, &is_end, &err), ERR_TIMEOUT);
    wire_close(&wire);
    close(pair[1]);
}

static void endpoints_are_found_by_their_whole_name(void **state)
{
    (void)state;
    static const char *const items[] = {"triton-ab=http://1.1.1.1", "triton-a=http://2.2.2.2:8000"};
    const struct runtime_host host = {.remote_endpoints = {items, 2}, .remote_ca = ""};
    struct arena *arena = arena_new(ARENA_BYTES);
    struct remote_endpoint *endpoint = NULL;
    struct err err = {0};
    assert_int_equal(remote_endpoint_find(&host, "triton-a", 1 << 20, arena, &endpoint, &err), 0);
    assert_string_equal(endpoint->site.place.host, "2.2.2.2");
    assert_int_equal(remote_endpoint_find(&host, "triton", 1 << 20, arena, &endpoint, &err),
                     ERR_INVALID);
    assert_non_null(strstr(err.hint, "triton-ab, triton-a"));
    arena_free(arena);
}

static enum err_code check_options(const char *endpoint, const char *token, struct err *err)
{
    const struct runtime_host host = {.remote_endpoints = {&endpoint, 1},
                                      .remote_tokens = {&token, token != NULL}};
    return remote_endpoints_check(&host, err);
}

static void options_are_checked_before_a_version_needs_them(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(check_options("a=http://1.1.1.1", "a=/run/token", &err), ERR_OK);
    static const char *const wrong[][3] = {
        {"a", NULL, "--remote-endpoints: expected name=URL, got 'a'"},
        {"=http://1.1.1.1", NULL, "--remote-endpoints: expected name=URL, got '=http://1.1.1.1'"},
        {"a=1.1.1.1:80", NULL, "--remote-endpoints: 'a': '1.1.1.1:80' is not a server's URL"},
        {"a=http://1.1.1.1", "/t", "--remote-tokens: expected name=FILE, got '/t'"},
        {"a=http://1.1.1.1", "b=/t", "--remote-tokens: this server has no remote endpoint 'b'"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_int_equal(check_options(wrong[i][0], wrong[i][1], &err), ERR_INVALID);
        assert_string_equal(err.msg, wrong[i][2]);
    }
}

/* ---- requests ---- */

static void a_request_is_written_as_the_protocol_has_it(void **state)
{
    (void)state;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err = {0};
    struct buf text;
    float x[] = {1.5f, NAN};
    struct str s[] = {STR_LIT("a\"b")};
    const struct tensor in[] = {
        {.name = "x", .dtype = DTYPE_F32, .rank = 2, .shape = {1, 2}, .data = x},
        {.name = "left out", .dtype = DTYPE_F32},
        {.name = "s", .dtype = DTYPE_BYTES, .rank = 1, .shape = {1}, .data = s},
    };
    const bool wanted[] = {false, true};
    struct runtime_call call = {.in = in,
                                .in_count = 3,
                                .wanted = wanted,
                                .arena = arena,
                                .request_id = STR_LIT("r-1"),
                                .parameters = STR_LIT("{\"unit\":\"kg\"}")};
    struct remote_settings *settings = must_read(HEAD "protocol: http\n" TENSORS, arena);
    struct remote_request request = {.text = &text};
    buf_init(&text, 1 << 20);
    assert_int_equal(remote_request_write(settings, &call, 2000, &request, &err), ERR_OK);
    assert_int_equal(request.piece_count, 1);
    assert_string_equal(
        buf_c(&text),
        "{\"id\":\"r-1\",\"parameters\":{\"timeout\":2000,\"unit\":\"kg\"},\"inputs\":["
        "{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[1.5,null]},"
        "{\"name\":\"s\",\"datatype\":\"BYTES\",\"shape\":[1],\"data\":[\"a\\\"b\"]}],"
        "\"outputs\":[{\"name\":\"t\"}]}");
    settings->protocol = REMOTE_HTTP_BINARY;
    assert_int_equal(remote_request_write(settings, &call, 2000, &request, &err), ERR_OK);
    static const char bytes[] = "\0\0\xc0\x3f" /* 1.5 */ "\0\0\xc0\x7f" /* NaN */ "\3\0\0\0a\"b";
    assert_int_equal(text.len - request.json_bytes, sizeof(bytes) - 1);
    assert_memory_equal(text.data + request.json_bytes, bytes, sizeof(bytes) - 1);
    buf_c(&text);
    assert_non_null(strstr(text.data, "\"shape\":[1,2],\"parameters\":{\"binary_data_size\":8}}"));
    assert_non_null(strstr(text.data, "\"shape\":[1],\"parameters\":{\"binary_data_size\":7}}"));
    buf_done(&text);
    arena_free(arena);
}

/* 8 KiB goes into the text, 32 KiB from where it lies; the order is that of the inputs. */
static void large_tensors_are_sent_from_where_they_lie(void **state)
{
    (void)state;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err = {0};
    struct buf text;
    char *small = calloc(1, 8192), *large = calloc(1, 32768);
    const struct tensor in[] = {
        {.name = "a", .dtype = DTYPE_U8, .rank = 1, .shape = {8192}, .data = small},
        {.name = "b", .dtype = DTYPE_U8, .rank = 1, .shape = {32768}, .data = large},
        {.name = "c", .dtype = DTYPE_U8, .rank = 1, .shape = {8192}, .data = small},
    };
    struct runtime_call call = {.in = in, .in_count = 3, .arena = arena};
    struct remote_settings *settings = must_read(HEAD "protocol: http-binary\n" TENSORS, arena);
    struct remote_request request = {.text = &text};
    buf_init(&text, 1 << 20);
    assert_int_equal(remote_request_write(settings, &call, 1, &request, &err), ERR_OK);
    assert_int_equal(request.piece_count, 3);
    assert_int_equal(request.pieces[0].len, request.json_bytes + 8192);
    assert_ptr_equal(request.pieces[1].ptr, large);
    assert_int_equal(request.pieces[1].len, 32768);
    assert_ptr_equal(request.pieces[2].ptr, text.data + request.pieces[0].len);
    assert_int_equal(request.pieces[2].len, 8192);
    buf_done(&text);
    free(small);
    free(large);
    arena_free(arena);
}

/* ---- replies ---- */

static const struct signature_tensor declared[] = {
    {.name = "f", .dtype = DTYPE_F32, .rank = 1, .shape = {-1}},
    {.name = "u", .dtype = DTYPE_U64, .rank = 2, .shape = {-1, 2}},
    {.name = "h", .dtype = DTYPE_F16, .rank = 1, .shape = {-1}},
    {.name = "t", .dtype = DTYPE_BYTES, .rank = 1, .shape = {-1}},
    {.name = "b", .dtype = DTYPE_BOOL, .rank = 1, .shape = {-1}},
};
static const struct signature signature = {
    .outputs = declared, .output_count = 5, .batch_rows_max = 64};
static const bool json_ones[] = {true, true, false, true, true};

static enum err_code read_reply(struct str body, size_t json_bytes, const bool *wanted,
                                struct arena *arena, struct tensor *out, int *count,
                                struct err *err)
{
    static const struct tensor in = {.rank = 2, .shape = {2, 3}};
    struct arena *scratch = arena_new(ARENA_BYTES);
    struct runtime_call call = {
        .in = &in, .in_count = 1, .wanted = wanted, .arena = arena, .out = out};
    enum err_code rc = remote_reply_read(&signature, body, json_bytes, scratch, &call, err);
    *count = call.out_count;
    arena_free(scratch);
    return rc;
}

static const char json_reply[] =
    "{\"outputs\":["
    "{\"name\":\"b\",\"datatype\":\"BOOL\",\"shape\":[2],\"data\":[true,0]},"
    "{\"name\":\"t\",\"datatype\":\"BYTES\",\"shape\":[2],\"data\":[\"\",\"\\u00e9\"]},"
    "{\"name\":\"more\",\"datatype\":\"X\",\"shape\":[9],\"data\":null},"
    "{\"name\":\"u\",\"datatype\":\"UINT64\",\"shape\":[2,2],"
    "\"data\":[[0,18446744073709551615],[7.0,8]]},"
    "{\"name\":\"f\",\"datatype\":\"FP32\",\"shape\":[2],\"data\":[-0.5,\"Infinity\"]}]}";

static void replies_in_json_are_read(void **state)
{
    (void)state;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct tensor out[5];
    struct err err = {0};
    int count = 0;
    struct str body = str_of(json_reply);
    if (read_reply(body, body.len, json_ones, arena, out, &count, &err))
        fail_msg("not read: %s", err.msg);
    assert_int_equal(count, 4); /* in the signature's order */
    assert_true(((float *)out[0].data)[0] == -0.5f && isinf(((float *)out[0].data)[1]));
    assert_true(((uint64_t *)out[1].data)[1] == UINT64_MAX);
    assert_true(((uint64_t *)out[1].data)[2] == 7);
    assert_true(str_equal_c(((struct str *)out[2].data)[1], "\xc3\xa9"));
    assert_int_equal(((uint8_t *)out[3].data)[0], 1);
    assert_int_equal(((uint8_t *)out[3].data)[1], 0);
    arena_free(arena);
}

#define BINARY(name, datatype, shape, bytes)                                                       \
    "{\"name\":\"" name "\",\"datatype\":\"" datatype "\",\"shape\":" shape                        \
    ",\"parameters\":{\"binary_data_size\":" bytes "}}"
static const char binary_head[] = "{\"outputs\":[" BINARY(
    "f", "FP32", "[2]",
    "8") ","
         "{\"name\":\"gone\",\"parameters\":{\"binary_data_size\":3}},"
         "{\"name\":\"u\",\"datatype\":\"UINT64\",\"shape\":[2,2],\"data\":[1,2,3,4]}," BINARY(
             "h", "FP16", "[2]", "4") "," BINARY("t", "BYTES", "[2]",
                                                 "10") "," BINARY("b", "BOOL", "[2]", "2") "]}";
/* A list where a text belongs has a length, but no text. */
static void lists_are_no_texts(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"outputs\":[{\"name\":\"f\",\"datatype\":[1,2,3,4],\"shape\":[2],\"data\":[1,2]}]}",
        "{\"outputs\":[{\"name\":[1],\"datatype\":\"FP32\",\"shape\":[2],\"data\":[1,2]}]}",
        "{\"inputs\":[{\"name\":[1],\"datatype\":\"FP32\",\"shape\":[]}]}",
        "{\"inputs\":[{\"name\":\"x\",\"datatype\":[1,2,3,4],\"shape\":[]}]}",
        "{\"error\":[1,2,3]}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        struct arena *arena = arena_new(ARENA_BYTES);
        struct str body = str_of(bodies[i]);
        struct tensor out[5];
        struct err err = {0};
        char reason[REMOTE_REASON_BYTES];
        int count = 0;
        assert_int_equal(read_reply(body, body.len, NULL, arena, out, &count, &err), ERR_UPSTREAM);
        assert_int_equal(remote_metadata_read(body, arena, must_read(HEAD, arena), &err),
                         ERR_UPSTREAM);
        remote_reply_reason(body, arena, reason);
        assert_string_equal(reason, bodies[i]);
        arena_free(arena);
    }
}

static const char binary_blobs[] = "\0\0\x80\x3f\0\0\0\xc0" /* 1, -2 */ "xyz" /* unasked */
                                   "\0\x3c\0\x40"                             /* 1, 2 */
                                   "\2\0\0\0\xff\0\0\0\0\0"                   /* two bytes, none */
                                   "\0\1";

static void replies_in_bytes_are_read(void **state)
{
    (void)state;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct tensor out[5];
    struct err err = {0};
    struct buf body;
    int count = 0;
    buf_init(&body, 1 << 16);
    buf_append(&body, binary_head, sizeof(binary_head) - 1);
    buf_append(&body, binary_blobs, sizeof(binary_blobs) - 1);
    if (read_reply(buf_view(&body), sizeof(binary_head) - 1, NULL, arena, out, &count, &err))
        fail_msg("not read: %s", err.msg);
    assert_int_equal(count, 5);
    assert_true(((float *)out[0].data)[0] == 1 && ((float *)out[0].data)[1] == -2);
    assert_true(((uint64_t *)out[1].data)[3] == 4);
    assert_int_equal(((uint16_t *)out[2].data)[1], 0x4000);
    const struct str *texts = out[3].data;
    assert_true(str_equal(texts[0], (struct str){"\xff\0", 2}) && texts[1].len == 0);
    assert_int_equal(((uint8_t *)out[4].data)[1], 1);
    buf_done(&body);
    arena_free(arena);
}

/* Bytes changed, cut off and moved: an error of the other server's, or a reply that holds. */
static void damaged_replies_are_errors_or_replies(void **state)
{
    (void)state;
    struct rand rand;
    struct arena *arena = arena_new(ARENA_BYTES);
    size_t json = sizeof(binary_head) - 1, whole = json + sizeof(binary_blobs) - 1;
    int accepted = 0;
    rand_seed(&rand, 4);
    for (int i = 0; i < MUTANTS; i++) {
        bool is_json = i % 2;
        size_t size = is_json ? sizeof(json_reply) - 1 : whole;
        char *bytes = malloc(size);
        memcpy(bytes, is_json ? json_reply : binary_head, is_json ? size : json);
        if (!is_json)
            memcpy(bytes + json, binary_blobs, size - json);
        for (uint64_t left = 1 + rand_u64(&rand) % 3; left; left--)
            bytes[rand_u64(&rand) % size] = "0123456789[]{},:\"-eN\xff"[rand_u64(&rand) % 21];
        size -= rand_u64(&rand) % 8 ? 0 : rand_u64(&rand) % size;
        bytes = realloc(bytes, size ? size : 1); /* a read past the end shows under ASan */
        struct tensor out[5];
        struct err err = {0};
        int count = 0;
        size_t head = is_json || json > size ? size : json;
        enum err_code rc = read_reply((struct str){bytes, size}, head, is_json ? json_ones : NULL,
                                      arena, out, &count, &err);
        assert_true(rc == ERR_OK || rc == ERR_UPSTREAM);
        accepted += rc == ERR_OK;
        for (int k = 0; !rc && k < count; k++)
            assert_int_equal(out[k].shape[0], 2);
        free(bytes);
        arena_reset(arena);
    }
    assert_in_range(accepted, 1, MUTANTS / 2);
    arena_free(arena);
}

static void reasons_are_one_clean_line(void **state)
{
    (void)state;
    static const struct {
        const char *body, *reason;
    } cases[] = {
        {"{\"error\":\"a\\n b\"}", "a b"},
        {"{\"detail\":\"why\",\"status\":500}", "why"},
        {"{\"detail\":[{\"loc\":1}]}", "{\"detail\":[{\"loc\":1}]}"},
        {"  plain\ttext\r\n", "plain text"},
        {"bad \xff byte", "bad"},
        {"", ""},
    };
    struct arena *arena = arena_new(ARENA_BYTES);
    char reason[REMOTE_REASON_BYTES];
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        remote_reply_reason(str_of(cases[i].body), arena, reason);
        assert_string_equal(reason, cases[i].reason);
    }
    char *page = malloc(100000);
    memset(page, 'x', 100000);
    remote_reply_reason((struct str){page, 100000}, arena, reason);
    assert_int_equal(strlen(reason), REMOTE_REASON_BYTES - 1);
    free(page);
    arena_free(arena);
}

/* ---- what is learnt ---- */

static void metadata_fills_what_is_missing(void **state)
{
    (void)state;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct err err = {0};
    struct str body = STR_LIT("{\"name\":\"m\",\"inputs\":[{\"name\":\"x\",\"datatype\":\"INT64\","
                              "\"shape\":[-1,3]}],\"outputs\":[{\"name\":\"y\",\"datatype\":"
                              "\"FP32\",\"shape\":[\"-1\"]}]}");
    struct remote_settings *s = must_read(HEAD, arena);
    assert_int_equal(remote_metadata_read(body, arena, s, &err), ERR_OK);
    assert_int_equal(s->signature.inputs[0].dtype, DTYPE_I64);
    assert_int_equal(s->signature.inputs[0].shape[1], 3);
    assert_int_equal(s->signature.outputs[0].shape[0], -1);
    s = must_read(HEAD TENSORS, arena); /* what the file says stays */
    assert_int_equal(remote_metadata_read(body, arena, s, &err), ERR_OK);
    assert_int_equal(s->signature.output_count, 2);
    s = must_read(HEAD, arena);
    body = STR_LIT("{\"inputs\":[],\"outputs\":[]}"); /* as MLServer has it without settings */
    assert_int_equal(remote_metadata_read(body, arena, s, &err), ERR_UPSTREAM);
    assert_non_null(strstr(err.hint, "inputs and outputs"));
    assert_int_equal(remote_config_batch(STR_LIT("{\"max_batch_size\":8}"), arena), 8);
    assert_int_equal(remote_config_batch(STR_LIT("{\"max_batch_size\":\"0\"}"), arena), 0);
    assert_int_equal(remote_config_batch(STR_LIT("{}"), arena), -1);
    assert_true(
        remote_server_is_binary(STR_LIT("{\"extensions\":[\"a\",\"binary_tensor_data\"]}"), arena));
    assert_false(remote_server_is_binary(STR_LIT("{\"extensions\":{}}"), arena));
    arena_free(arena);
}

/* ---- the breaker ---- */

#define SECOND_NS INT64_C(1000000000)

static void five_failures_in_a_row_open_it(void **state)
{
    (void)state;
    struct breaker b = {0};
    for (int i = 0; i < 4; i++)
        breaker_failed(&b, 0);
    breaker_succeeded(&b, 0);
    for (int i = 0; i < 4; i++)
        breaker_failed(&b, 0);
    assert_true(breaker_take(&b));
    breaker_failed(&b, 0);
    assert_false(breaker_take(&b));
    assert_int_equal(b.look_ns, SECOND_NS / 2);
    breaker_succeeded(&b, 0); /* an older call: no proof */
    assert_false(breaker_take(&b));
}

static void a_look_lets_one_call_try(void **state)
{
    (void)state;
    struct breaker b = {0};
    breaker_looked(&b, false, 0);
    breaker_looked(&b, false, 0); /* 0.5 s, then 1 s */
    assert_int_equal(b.look_ns, SECOND_NS);
    breaker_looked(&b, true, SECOND_NS);
    assert_true(breaker_take(&b));
    assert_false(breaker_take(&b)); /* one at a time */
    breaker_failed(&b, SECOND_NS);  /* ready, but it does not answer: 2 s */
    assert_false(breaker_take(&b));
    assert_int_equal(b.look_ns, 3 * SECOND_NS);
    breaker_looked(&b, true, 3 * SECOND_NS);
    assert_true(breaker_take(&b));
    breaker_let_go(&b); /* the client has left: the next one tries */
    assert_true(breaker_take(&b));
    breaker_succeeded(&b, 3 * SECOND_NS);
    assert_true(breaker_take(&b) && breaker_take(&b));
    assert_int_equal(b.look_ns, 8 * SECOND_NS); /* 5 s after the last word */
    for (int i = 0; i < 20; i++)
        breaker_looked(&b, false, 0);
    assert_int_equal(b.look_ns, 5 * SECOND_NS); /* the longest pause */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_file_has_presets_and_is_not_whole),
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(wrong_files_are_refused_with_the_place),
        cmocka_unit_test(tensors_and_settings_have_to_agree),
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(who_never_stops_sending_gets_no_more_time),
        cmocka_unit_test(endpoints_are_found_by_their_whole_name),
        cmocka_unit_test(options_are_checked_before_a_version_needs_them),
        cmocka_unit_test(a_request_is_written_as_the_protocol_has_it),
        cmocka_unit_test(large_tensors_are_sent_from_where_they_lie),
        cmocka_unit_test(replies_in_json_are_read),
        cmocka_unit_test(replies_in_bytes_are_read),
        cmocka_unit_test(lists_are_no_texts),
        cmocka_unit_test(damaged_replies_are_errors_or_replies),
        cmocka_unit_test(reasons_are_one_clean_line),
        cmocka_unit_test(metadata_fills_what_is_missing),
        cmocka_unit_test(five_failures_in_a_row_open_it),
        cmocka_unit_test(a_look_lets_one_call_try),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
