/* store_fixture.h - a data folder of its own for one test, with an open store in it.
 */
#ifndef SLIPWAY_TESTS_UNIT_STORE_FIXTURE_H
#define SLIPWAY_TESTS_UNIT_STORE_FIXTURE_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "event/audit.h"
#include "store/migrate.h"
#include "test.h"

struct fixture {
    char path[64];
    struct store *store;
    struct arena *arena;
    struct err err;
};

static const struct actor tester = {.name = "key:ci", .via = "http"};

/* A message says why a call failed that should not have. */
#define assert_ok(f, call)                                                                         \
    do {                                                                                           \
        enum err_code rc_ = (call);                                                                \
        if (rc_)                                                                                   \
            fail_msg("%s: %s: %s", #call, err_code_name(rc_), (f)->err.msg);                       \
    } while (0)

/* The code, and a part of the message that a person needs. */
#define assert_fails(f, call, expected, part)                                                      \
    do {                                                                                           \
        enum err_code rc_ = (call);                                                                \
        if (rc_ != (expected) || (f)->err.code != (expected) || !strstr((f)->err.msg, (part)))     \
            fail_msg("%s: %s: %s", #call, err_code_name(rc_), (f)->err.msg);                       \
    } while (0)

static inline char *in_folder(struct fixture *f, const char *name)
{
    return arena_printf(f->arena, "%s/%s", f->path, name);
}

/* Where the copy before a change of the schema goes: an earlier one is removed. */
static inline char *copy_path(struct fixture *f)
{
    char *path = in_folder(f, "before.db");
    unlink(path);
    return path;
}

static inline void open_empty_store(struct fixture *f)
{
    assert_ok(f, store_open(&store_sqlite, f->path, STORE_WRITE, &f->store, &f->err));
}

static inline void open_store(struct fixture *f)
{
    int from, to;
    open_empty_store(f);
    assert_ok(f, migrate_up(f->store, copy_path(f), &from, &to, &f->err));
}

static inline void close_store(struct fixture *f)
{
    store_close(f->store);
    f->store = NULL;
}

static inline struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    snprintf(f->path, sizeof(f->path), "/tmp/slipway-test-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    f->arena = arena_new(64 * 1024 * 1024);
    return f;
}

static inline int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    return remove(path);
}

static inline void remove_folder(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void fixture_free(struct fixture *f)
{
    store_close(f->store);
    arena_free(f->arena);
    remove_folder(f->path);
    free(f);
}

static inline int setup_folder(void **state)
{
    *state = fixture_new();
    return 0;
}

static inline int setup_store(void **state)
{
    struct fixture *f = fixture_new();
    *state = f;
    open_store(f);
    return 0;
}

static inline int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

#endif
