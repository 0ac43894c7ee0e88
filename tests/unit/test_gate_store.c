/* test_gate_store.c - results of gates, and what a model requires of its versions. */
#include "rollout/gate_store.h"

#include "store_fixture.h"

static const char digest_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char digest_b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static void make_versions(struct fixture *f, int count)
{
    assert_ok(f, model_ensure(f->store, "churn", "me@example.org", NULL, &tester, &f->err));
    for (int i = 0; i < count; i++) {
        struct version v = {.model = "churn", .runtime = "trees", .artifact_bytes = 1};
        memset(v.artifact.hex, "0123456789abcdef"[i], SHA256_HEX_BYTES);
        assert_ok(f, version_create(f->store, &v, &tester, &f->err));
    }
}

static int64_t put(struct fixture *f, int64_t version, const char *verdict, const char *file)
{
    struct gate_result result = {.model = "churn",
                                 .version = version,
                                 .verdict = verdict,
                                 .file_digest = file,
                                 .data_digest = digest_b,
                                 .champion = 1,
                                 .row_count = 100,
                                 .report = "{\"checks\":[]}"};
    assert_ok(f, gate_result_put(f->store, &result, "", &tester, &f->err));
    return result.id;
}

static void results_are_kept_newest_first(void **state)
{
    struct fixture *f = *state;
    struct gate_result result, *list;
    int count = 0;
    make_versions(f, 2);
    int64_t first = put(f, 2, "fail", digest_a);
    int64_t second = put(f, 2, "pass", digest_a);
    put(f, 1, "cannot_tell", digest_b);
    assert_ok(f, gate_result_get(f->store, "churn", 2, 0, f->arena, &result, &f->err));
    assert_int_equal(result.id, second);
    assert_string_equal(result.verdict, "pass");
    assert_string_equal(result.report, "{\"checks\":[]}");
    assert_string_equal(result.actor, "key:ci");
    assert_ok(f, gate_result_get(f->store, "churn", 2, first, f->arena, &result, &f->err));
    assert_string_equal(result.verdict, "fail");
    assert_ok(f, gate_result_list(f->store, "churn", 0, 10, f->arena, &list, &count, &f->err));
    assert_int_equal(count, 3);
    assert_int_equal(list[0].version, 1);
    assert_ok(f, gate_result_list(f->store, "churn", 2, 1, f->arena, &list, &count, &f->err));
    assert_int_equal(count, 1);
    assert_int_equal(list[0].id, second);
}

static void what_is_not_there_is_told(void **state)
{
    struct fixture *f = *state;
    struct gate_result result;
    make_versions(f, 1);
    assert_fails(f, gate_result_get(f->store, "churn", 1, 0, f->arena, &result, &f->err),
                 ERR_NOT_FOUND, "has not been through a gate");
    assert_fails(f, gate_result_get(f->store, "churn", 1, 7, f->arena, &result, &f->err),
                 ERR_NOT_FOUND, "no gate result 7");
    assert_fails(f, gate_require(f->store, "nobody", "x: 1", digest_a, &tester, &f->err),
                 ERR_NOT_FOUND, "nobody");
}

static void a_version_needs_a_pass_under_the_present_file(void **state)
{
    struct fixture *f = *state;
    make_versions(f, 2);
    assert_ok(f, gate_check_required(f->store, "churn", 2, &f->err)); /* nothing is required */
    put(f, 2, "pass", digest_b);
    assert_ok(f, gate_require(f->store, "churn", "floors: {auc: 0.9}", digest_a, &tester, &f->err));
    assert_fails(f, gate_check_required(f->store, "churn", 2, &f->err), ERR_CONFLICT,
                 "before it has passed the gate"); /* the pass was under another file */
    put(f, 2, "pass", digest_a);
    assert_ok(f, gate_check_required(f->store, "churn", 2, &f->err));
    assert_fails(f, gate_check_required(f->store, "churn", 1, &f->err), ERR_CONFLICT, "version 1");
    put(f, 2, "cannot_tell", digest_a); /* the newest counts */
    assert_fails(f, gate_check_required(f->store, "churn", 2, &f->err), ERR_CONFLICT,
                 "ended with cannot tell");
    assert_non_null(strstr(f->err.hint, "slipway gate churn:2"));
    assert_ok(f, gate_require(f->store, "churn", NULL, NULL, &tester, &f->err));
    assert_ok(f, gate_check_required(f->store, "churn", 2, &f->err));
}

static int count_events(struct fixture *f, const char *action)
{
    struct audit_event *events;
    int count = 0, found = 0;
    assert_ok(f, audit_list(f->store, "", 0, 1000, f->arena, &events, &count, &f->err));
    for (int i = 0; i < count; i++)
        found += strcmp(events[i].action, action) == 0;
    return found;
}

static void every_change_is_one_event_and_none_is_none(void **state)
{
    struct fixture *f = *state;
    struct gate_requirement required;
    make_versions(f, 1);
    for (int i = 0; i < 2; i++)
        assert_ok(f, gate_require(f->store, "churn", "a", digest_a, &tester, &f->err));
    assert_int_equal(count_events(f, "gate.require"), 1);
    assert_ok(f, gate_require(f->store, "churn", "b", digest_b, &tester, &f->err));
    assert_int_equal(count_events(f, "gate.require"), 2);
    assert_ok(f, gate_requirement_get(f->store, "churn", f->arena, &required, &f->err));
    assert_string_equal(required.file, "b");
    for (int i = 0; i < 2; i++)
        assert_ok(f, gate_require(f->store, "churn", NULL, NULL, &tester, &f->err));
    assert_int_equal(count_events(f, "gate.release"), 1);
    put(f, 1, "pass", digest_a);
    assert_int_equal(count_events(f, "gate.run"), 1);
    assert_ok(f, audit_verify(f->store, NULL, NULL, &f->err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(results_are_kept_newest_first, setup_store, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_told, setup_store, teardown),
        cmocka_unit_test_setup_teardown(a_version_needs_a_pass_under_the_present_file, setup_store,
                                        teardown),
        cmocka_unit_test_setup_teardown(every_change_is_one_event_and_none_is_none, setup_store,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
