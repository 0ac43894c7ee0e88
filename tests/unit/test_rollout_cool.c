/* test_rollout_cool.c - versions of a rollout that is over stay in memory as long as it said, and
 * are let go by the ticker's look at the clock. */
#include "base/clock.h"
#include "registry/registry.h"
#include "serve/rollout_engine.h"
#include "store_fixture.h"

#define FILE_TEXT "model: echoes\nto: 2\nprove: []\n"
#define START INT64_C(1769851800000000)
#define DAY (24 * 3600 * CLOCK_SECOND_US)

enum { VERSIONS = 3 };

struct cool_fixture {
    struct fixture *folder; /* a path, an arena; its store stays closed */
    struct control *control;
    struct rollout_engine *engine;
    struct err err;
};

/* Three versions of a model that answers with its input, told apart by a comment. */
static enum err_code make_model(struct control *control, struct store *store, void *arg,
                                struct err *err)
{
    struct cool_fixture *f = arg;
    struct alias alias;
    enum err_code rc = model_ensure(store, "echoes", "me@example.org", NULL, &tester, err);
    for (int i = 0; !rc && i < VERSIONS; i++) {
        char text[128];
        struct version v = {.model = "echoes", .runtime = "echo", .note = ""};
        v.artifact_bytes = (size_t)snprintf(
            text, sizeof(text),
            "echo: {inputs: [{name: x, datatype: FP32, shape: [-1, 2]}]} # %d\n", i);
        rc = blob_put(control_blobs(control), text, v.artifact_bytes, &v.artifact, err);
        if (!rc)
            rc = version_create(store, &v, &tester, err);
    }
    return rc ? rc
              : alias_set(store, "echoes", "champion", 1, -1, "", &tester, &alias, f->folder->arena,
                          err);
}

static enum err_code start_rollout(struct control *control, struct store *store, void *arg,
                                   struct err *err)
{
    struct cool_fixture *f = arg;
    struct rollout_spec *spec;
    struct rollout_change change = {.cause = "person", .reason = "", .evidence = "{}"};
    struct rollout rollout = {.model = "echoes",
                              .from = 1,
                              .to = 2,
                              .from_digest = "d1",
                              .to_digest = "d2",
                              .file = FILE_TEXT,
                              .file_digest = "d3",
                              .salt = {11, 22}};
    (void)control;
    enum err_code rc = rollout_file_parse(STR_LIT(FILE_TEXT), f->folder->arena, &spec, err);
    if (!rc)
        rc = rollout_next(&rollout, spec, ACT_START, &change, err);
    return rc ? rc : rollout_insert(store, &rollout, &change, &tester, err);
}

static enum err_code abort_rollout(struct control *control, struct store *store, void *arg,
                                   struct err *err)
{
    struct cool_fixture *f = arg;
    struct rollout after;
    const struct rollout_act act = {
        .model = "echoes", .action = ACT_ABORT, .cause = "person", .reason = "", .evidence = "{}"};
    (void)control;
    return rollout_act(store, &act, &tester, f->folder->arena, &after, err);
}

static void run(struct cool_fixture *f,
                enum err_code (*fn)(struct control *, struct store *, void *, struct err *),
                struct loaded *loaded)
{
    struct control_op op = {.fn = fn, .arg = f, .model = "echoes", .loaded = {loaded}};
    assert_ok(f, control_execute(f->control, &op, &f->err));
}

static int pinned_count(struct cool_fixture *f)
{
    struct snapshot *snapshot = control_snapshot(f->control);
    int count = snapshot_find(snapshot, STR_LIT("echoes"))->pinned_count;
    snapshot_unref(snapshot);
    return count;
}

static void begin(struct cool_fixture *f)
{
    struct loaded *loaded = NULL;
    *f = (struct cool_fixture){.folder = fixture_new()};
    const struct control_config config = {
        .data_dir = f->folder->path, .create = true, .data_thread_count = 1};
    clock_set_for_test(1, START);
    assert_ok(f, control_open(&config, &f->control, &f->err));
    run(f, make_model, NULL);
    assert_ok(f, control_refresh(f->control, "echoes", &f->err));
    const struct rollout_engine_config engine = {.control = f->control};
    f->engine = rollout_engine_new(&engine);
    assert_ok(f, control_acquire(f->control, "echoes", 2, &loaded, &f->err));
    run(f, start_rollout, loaded);
    loaded_unref(loaded);
}

static void end(struct cool_fixture *f)
{
    rollout_engine_free(f->engine);
    control_close(f->control);
    fixture_free(f->folder);
    clock_set_for_test(-1, -1);
}

/* As often as the engine looks at the clock for this. */
static void tick(struct cool_fixture *f)
{
    for (int i = 0; i < ROLLOUT_COOL_TICKS; i++)
        rollout_engine_run(f->engine);
}

static void versions_are_let_go_when_their_time_is_over(void **state)
{
    struct cool_fixture f;
    (void)state;
    begin(&f);
    assert_int_equal(pinned_count(&f), 2);
    tick(&f);
    assert_int_equal(pinned_count(&f), 2);
    run(&f, abort_rollout, NULL);
    assert_int_equal(pinned_count(&f), 2); /* kept warm for a day */
    clock_set_for_test(1, START + DAY - CLOCK_SECOND_US);
    tick(&f);
    assert_int_equal(pinned_count(&f), 2);
    clock_set_for_test(1, START + DAY + CLOCK_SECOND_US);
    tick(&f);
    assert_int_equal(pinned_count(&f), 0);
    end(&f);
}

/* What cooled between two looks is published once: a later look has nothing to do. */
static void each_look_takes_up_where_the_last_one_ended(void **state)
{
    struct cool_fixture f;
    struct control_stats before, after;
    (void)state;
    begin(&f);
    run(&f, abort_rollout, NULL);
    clock_set_for_test(1, START + DAY + CLOCK_SECOND_US);
    control_stats(f.control, &before);
    tick(&f);
    control_stats(f.control, &after);
    assert_int_equal(after.generation, before.generation + 1);
    tick(&f);
    control_stats(f.control, &before);
    assert_int_equal(before.generation, after.generation);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_are_let_go_when_their_time_is_over),
        cmocka_unit_test(each_look_takes_up_where_the_last_one_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
