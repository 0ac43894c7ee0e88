/* python.c - the table of the runtime "python": an archive becomes a pool of workers. */
#include "runtime/python.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/tar.h"
#include "runtime/python_folders.h"
#include "runtime/python_place.h"
#include "runtime/worker_pool.h"
#include "runtime/worker_sandbox.h"

enum {
    MODEL_MAGIC = 0x50594d4f,
    ARENA_BYTES_MAX = 256 * 1024 * 1024,
    USER_FIRST = 0x70000000, /* users of workers: far above those that people and services have */
    DETAIL_BYTES = 200,
};

struct python_model {
    uint32_t magic;
    struct worker_pool *pool; /* owns the arena of settings and plan */
    struct signature signature;
    size_t memory_bytes;
    char digest[SHA256_HEX_BYTES + 1]; /* of its artifact, whose folders it uses */
    char detail[DETAIL_BYTES];
};

static bool recognise(const void *head, size_t size)
{
    return tar_recognise(head, size);
}

/* ---- loading ---- */

static enum err_code read_settings(const struct runtime_file *file, struct arena *arena,
                                   struct python_settings **settings, struct err *err)
{
    struct str yaml = {0};
    enum err_code rc =
        tar_find((struct str){file->bytes, file->size}, PYTHON_SETTINGS_FILE, &yaml, err);
    if (rc)
        return rc;
    if (!yaml.ptr) {
        err_set(err, ERR_INVALID, "the folder has no " PYTHON_SETTINGS_FILE);
        return err_hint(err, "it says what the model takes: features: [age, income]");
    }
    return python_settings_read(yaml, arena, settings, err);
}

/* A user of its own for every version: what one writes, no other reads. */
static uid_t user_of(const char *digest_hex)
{
    uint8_t bytes[3] = {0};
    str_unhex((struct str){digest_hex, 6}, bytes, sizeof(bytes));
    return USER_FIRST + ((uid_t)bytes[0] << 16 | (uid_t)bytes[1] << 8 | bytes[2]);
}

static enum err_code make_plan(const struct runtime_file *file, struct arena *arena,
                               struct worker_plan **out, struct err *err)
{
    struct python_settings *settings = NULL;
    struct worker_plan *plan = arena_calloc(arena, 1, sizeof(*plan));
    const char *sandbox = file->host->python_sandbox;
    enum err_code rc = read_settings(file, arena, &settings, err);
    if (rc)
        return rc;
    plan->settings = settings;
    plan->sandbox = sandbox ? sandbox : "require";
    plan->user = geteuid() == 0 ? user_of(file->digest_hex) : 0;
    rc = python_place_interpreter(file->host, arena, plan, err);
    if (!rc)
        rc = python_place_files(file, arena, plan, err);
    *out = plan;
    return rc;
}

static void describe_pool(struct python_model *m, const char *mode)
{
    unsigned parts = worker_pool_sandbox(m->pool);
    int at =
        snprintf(m->detail, sizeof(m->detail), "%s, sandbox:", worker_pool_interpreter(m->pool));
    for (unsigned bit = 0; bit < SANDBOX_PARTS; bit++)
        if (parts >> bit & 1)
            at += snprintf(m->detail + at, sizeof(m->detail) - (size_t)at, " %s",
                           sandbox_part_name((enum sandbox_part)(1u << bit)));
    if (!parts)
        snprintf(m->detail + at, sizeof(m->detail) - (size_t)at, " %s", mode);
}

static void log_sandbox(const struct python_model *m, const char *label)
{
    static const unsigned whole = (1u << SANDBOX_PARTS) - 1;
    unsigned parts = worker_pool_sandbox(m->pool);
    if ((parts & whole & ~(unsigned)SANDBOX_USER) == (whole & ~(unsigned)SANDBOX_USER))
        log_info("python model loaded", "model=%s with=%s", label, m->detail);
    else
        log_warn("python model loaded in a sandbox with gaps", "model=%s with=%s", label,
                 m->detail);
}

static enum err_code load_pool(const struct runtime_file *file, void **model, struct err *err)
{
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    struct worker_plan *plan = NULL;
    struct worker_pool *pool = NULL;
    const char *given = file->label ? file->label : "a model";
    const char *label = arena_copy(arena, given, strlen(given));
    enum err_code rc = make_plan(file, arena, &plan, err);
    if (rc) {
        arena_free(arena);
        return rc;
    }
    rc = worker_pool_open(plan, label, arena, &pool, err);
    if (rc)
        return rc;
    struct python_model *m = calloc(1, sizeof(*m));
    if (!m)
        abort();
    m->magic = MODEL_MAGIC;
    m->pool = pool;
    m->memory_bytes = worker_pool_memory_bytes(pool);
    snprintf(m->digest, sizeof(m->digest), "%s", file->digest_hex);
    describe_pool(m, plan->sandbox);
    m->signature = plan->settings->signature;
    m->signature.platform = "python";
    m->signature.objective = "python";
    m->signature.place = RUNTIME_LANE;
    m->signature.detail = m->detail;
    log_sandbox(m, label);
    *model = m;
    return ERR_OK;
}

static enum err_code load(const struct runtime_file *file, void **model, struct err *err)
{
    python_folders_use(file->digest_hex);
    enum err_code rc = load_pool(file, model, err);
    if (rc)
        python_folders_leave(file->digest_hex);
    return rc;
}

/* ---- the rest of the table ---- */

static const struct signature *describe(const void *model)
{
    const struct python_model *m = model;
    CHECK_MAGIC(m, MODEL_MAGIC);
    return &m->signature;
}

static size_t memory_bytes(const void *model)
{
    const struct python_model *m = model;
    return m->memory_bytes;
}

static enum err_code predict(const void *model, struct runtime_call *call, struct err *err)
{
    const struct python_model *m = model;
    CHECK_MAGIC(m, MODEL_MAGIC);
    return worker_pool_call(m->pool, call, err);
}

static const char *problem(const void *model)
{
    const struct python_model *m = model;
    return worker_pool_problem(m->pool);
}

static void read_log(const void *model, struct buf *out)
{
    const struct python_model *m = model;
    worker_pool_log(m->pool, out);
}

static void free_model(void *model)
{
    struct python_model *m = model;
    if (!m)
        return;
    CHECK_MAGIC(m, MODEL_MAGIC);
    worker_pool_close(m->pool);
    python_folders_leave(m->digest);
    m->magic = 0;
    free(m);
}

const struct runtime_ops runtime_python = {
    .name = "python",
    .recognise = recognise,
    .load = load,
    .describe = describe,
    .memory_bytes = memory_bytes,
    .predict = predict,
    .problem = problem,
    .log = read_log,
    .free = free_model,
    .collect = python_folders_collect,
};
