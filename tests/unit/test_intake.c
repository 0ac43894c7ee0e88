/* test_intake.c - outcomes on their way in and out: joined, refused alone, forgotten by the clock.
 */
#include "serve/intake.h"

#include "base/clock.h"
#include "record_fixture.h"
#include "registry/registry_check.h"
#include "store_fixture.h"

#define DAY_US (INT64_C(24) * 3600 * CLOCK_SECOND_US)
#define NOW_US (INT64_C(20000) * DAY_US)

struct intake_fixture {
    struct fixture *folder; /* a path, an arena; its store stays closed */
    struct control *control;
    struct intake intake;
    struct prediction_lookup lookup;
    struct err err;
};

/* Every prediction is found, answered just now, but those named "huge": they have no room. */
static enum err_code find(void *arg, const char *model, struct str id, struct arena *arena,
                          struct predicted *predicted, struct err *err)
{
    (void)arg, (void)model, (void)arena;
    if (str_starts_with(id, STR_LIT("huge")))
        return err_set(err, ERR_LIMIT, "no room for what was predicted");
    *predicted = (struct predicted){
        .id = id,
        .model = "churn",
        .version = 1,
        .at_us = clock_wall_us(),
        .answer = STR_LIT("1"),
        .is_class = true,
        .class_index = 1,
        .class_count = 2,
    };
    return ERR_OK;
}

static enum err_code make_model(struct control *control, struct store *store, void *arg,
                                struct err *err)
{
    (void)control, (void)arg;
    return model_ensure(store, "churn", "me@example.org", NULL, &tester, err);
}

static void begin(struct intake_fixture *f)
{
    *f = (struct intake_fixture){.folder = fixture_new(), .lookup = {.by_id = find}};
    struct control_config config = {
        .data_dir = f->folder->path, .create = true, .data_thread_count = 1};
    struct control_op op = {.fn = make_model};
    clock_set_for_test(0, NOW_US);
    assert_ok(f, control_open(&config, &f->control, &f->err));
    assert_ok(f, control_execute(f->control, &op, &f->err));
    f->intake.control = f->control;
    f->intake.lookup = &f->lookup;
}

static void end(struct intake_fixture *f)
{
    control_close(f->control);
    fixture_free(f->folder);
    clock_set_for_test(-1, -1);
}

static struct outcome label(const char *id)
{
    return (struct outcome){
        .prediction_id = str_of(id),
        .model = "churn",
        .kind = OUTCOME_LABEL,
        .name = STR_LIT("label"),
        .label = STR_LIT("1"),
    };
}

static int64_t count_of(struct intake_fixture *f, const char *sql)
{
    int64_t count = -1;
    struct store *store = control_read_begin(f->control);
    assert_ok(f, registry_read_number(store, sql, NULL, 0, 0, &count, &f->err));
    control_read_end(f->control);
    return count;
}

static void take(struct intake_fixture *f, struct outcome *list, int count)
{
    assert_ok(f, intake_take(&f->intake, list, count, &tester, f->folder->arena, &f->err));
}

static void a_prediction_too_large_to_read_is_refused_alone(void **state)
{
    struct intake_fixture f;
    (void)state;
    begin(&f);
    struct outcome list[] = {label("huge-0"), label("a-0")};
    take(&f, list, 2);
    assert_int_equal(list[0].result, OUTCOME_REFUSED);
    assert_string_equal(list[0].reason, "no room for what was predicted");
    assert_int_equal(list[1].result, OUTCOME_ACCEPTED);
    end(&f);
}

/* The others of its batch find theirs. */
static void an_orphan_too_large_to_read_waits_alone(void **state)
{
    struct intake_fixture f;
    (void)state;
    begin(&f);
    f.intake.lookup = NULL;
    struct outcome list[] = {label("huge-0"), label("a-0")};
    take(&f, list, 2);
    f.intake.lookup = &f.lookup;
    clock_set_for_test(2 * CLOCK_SECOND_US, NOW_US + 2 * CLOCK_SECOND_US);
    intake_retry(&f.intake);
    assert_int_equal(count_of(&f, "SELECT COUNT(*) FROM outcomes"), 1);
    assert_int_equal(count_of(&f, "SELECT COUNT(*) FROM orphans WHERE prediction_id = 'huge-0' "
                                  "AND refusal = '' AND next_try_us > 0"),
                     1);
    end(&f);
}

static void outcomes_are_forgotten_at_their_age(void **state)
{
    struct intake_fixture f;
    (void)state;
    begin(&f);
    f.intake.keep_us = 10 * DAY_US;
    struct outcome first = label("a-0"), second = label("b-0");
    take(&f, &first, 1);
    intake_prune(&f.intake);
    for (int day = 1; day <= 10; day++) {
        clock_set_for_test(day * DAY_US, NOW_US + day * DAY_US);
        intake_prune(&f.intake);
        if (day == 5)
            take(&f, &second, 1);
    }
    assert_int_equal(count_of(&f, "SELECT COUNT(*) FROM outcomes"), 2);
    clock_set_for_test(10 * DAY_US + 1, NOW_US + 10 * DAY_US + 1);
    intake_prune(&f.intake);
    assert_int_equal(count_of(&f, "SELECT COUNT(*) FROM outcomes"), 1);
    assert_int_equal(count_of(&f, "SELECT COUNT(*) FROM predicted WHERE id = 'b-0'"), 1);
    assert_int_equal(count_of(&f, "SELECT COUNT(*) FROM predicted"), 1);
    end(&f);
}

/* A year ahead for an hour: set right within the day, nothing is lost. */
static void a_clock_that_steps_takes_nothing_along(void **state)
{
    struct intake_fixture f;
    (void)state;
    begin(&f);
    f.intake.keep_us = 10 * DAY_US;
    struct outcome first = label("a-0");
    take(&f, &first, 1);
    intake_prune(&f.intake);
    clock_set_for_test(10 * CLOCK_SECOND_US, NOW_US + 365 * DAY_US);
    intake_prune(&f.intake);
    clock_set_for_test(DAY_US, NOW_US + 366 * DAY_US - 10 * CLOCK_SECOND_US);
    intake_prune(&f.intake);
    assert_int_equal(count_of(&f, "SELECT COUNT(*) FROM outcomes"), 1);
    clock_set_for_test(DAY_US + 10 * CLOCK_SECOND_US, NOW_US + 366 * DAY_US);
    intake_prune(&f.intake);
    assert_int_equal(count_of(&f, "SELECT COUNT(*) FROM outcomes"), 0);
    end(&f);
}

/* Also while no orphan waits for its prediction: "perhaps" is no class. */
static void a_refused_orphan_goes_by_the_clock_alone(void **state)
{
    struct intake_fixture f;
    int64_t keep_us = ORPHAN_KEEP_US;
    (void)state;
    begin(&f);
    f.intake.lookup = NULL;
    struct outcome orphan = label("a-0");
    orphan.label = STR_LIT("perhaps");
    take(&f, &orphan, 1);
    f.intake.lookup = &f.lookup;
    clock_set_for_test(2 * CLOCK_SECOND_US, NOW_US + 2 * CLOCK_SECOND_US);
    intake_retry(&f.intake);
    assert_int_equal(count_of(&f, "SELECT COUNT(*) FROM orphans WHERE refusal <> ''"), 1);
    clock_set_for_test(keep_us, NOW_US + keep_us);
    intake_retry(&f.intake);
    intake_prune(&f.intake);
    assert_int_equal(count_of(&f, "SELECT COUNT(*) FROM orphans"), 1);
    clock_set_for_test(keep_us + 1, NOW_US + keep_us + 1);
    intake_prune(&f.intake);
    assert_int_equal(count_of(&f, "SELECT COUNT(*) FROM orphans"), 0);
    end(&f);
}

static enum err_code run_sql(struct control *control, struct store *store, void *arg,
                             struct err *err)
{
    (void)control;
    return store_script(store, arg, err);
}

static void run_script(struct intake_fixture *f, char *sql)
{
    struct control_op op = {.fn = run_sql, .arg = sql};
    assert_ok(f, control_execute(f->control, &op, &f->err));
}

/* One day too many, and the first try to remove it fails: what is not done is not forgotten. */
static void old_tallies_go_although_the_first_try_failed(void **state)
{
    static char days[] =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 401) INSERT INTO "
        "tallies SELECT 'churn', 1, '', 0, (19000 + i) * 86400000000, 0, 1, 0, 0, 1, 0, '', 0, 1, "
        "'', 0, 0 FROM n";
    static char hide[] = "ALTER TABLE models RENAME TO hidden";
    static char show[] = "ALTER TABLE hidden RENAME TO models";
    struct intake_fixture f;
    struct fixture_record fixture;
    (void)state;
    begin(&f);
    f.intake.tallies = tallies_new();
    run_script(&f, days);
    fixture_record_make(&fixture, 1, 1);
    tallies_take(f.intake.tallies, &fixture.record);
    run_script(&f, hide);
    intake_save(&f.intake);
    run_script(&f, show);
    assert_int_equal(count_of(&f, "SELECT COUNT(*) FROM tallies"), 401);
    intake_save(&f.intake);
    assert_int_equal(count_of(&f, "SELECT COUNT(*) FROM tallies"), 400);
    tallies_free(f.intake.tallies);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prediction_too_large_to_read_is_refused_alone),
        cmocka_unit_test(an_orphan_too_large_to_read_waits_alone),
        cmocka_unit_test(outcomes_are_forgotten_at_their_age),
        cmocka_unit_test(a_clock_that_steps_takes_nothing_along),
        cmocka_unit_test(a_refused_orphan_goes_by_the_clock_alone),
        cmocka_unit_test(old_tallies_go_although_the_first_try_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
