/* test_alert_rules.c - the built-in rules, a file that changes some of them, files that are
 * refused.
 */
#include "monitor/alert_rules.h"

#include <string.h>

#include "base/clock.h"
#include "test.h"

#define MINUTE INT64_C(60000000)
#define HOUR (60 * MINUTE)

static struct alert_rules *read_good(const char *text)
{
    struct alert_rules *rules = NULL;
    struct err err = {0};
    if (alert_rules_read(str_of(text), "alerts.yaml", &rules, &err))
        fail_msg("%s", err.msg);
    return rules;
}

static void assert_refused(const char *text, const char *part)
{
    struct alert_rules *rules = NULL;
    struct err err = {0};
    enum err_code rc = alert_rules_read(str_of(text), "alerts.yaml", &rules, &err);
    if (rc != ERR_INVALID || !strstr(err.msg, part) || !strstr(err.msg, "alerts.yaml"))
        fail_msg("'%s': %s", text, rc ? err.msg : "was taken");
    assert_null(rules);
}

/* The SRE workbook's table 5-8, with a 30-day budget. */
static void the_built_in_burn_rates_are_the_workbooks(void **state)
{
    (void)state;
    struct alert_rules *rules = alert_rules_default();
    const struct {
        const char *name;
        double bound;
        int64_t window_us, short_us;
        enum alert_severity severity;
    } expected[] = {
        {"error_burn_fast", 14.4, HOUR, 5 * MINUTE, ALERT_PAGE},
        {"error_burn_slow", 6, 6 * HOUR, 30 * MINUTE, ALERT_PAGE},
        {"error_burn_trickle", 1, 72 * HOUR, 6 * HOUR, ALERT_TICKET},
        {"latency_burn_fast", 14.4, HOUR, 5 * MINUTE, ALERT_PAGE},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        const struct alert_rule *rule = alert_rules_find(rules, "churn", expected[i].name);
        assert_string_equal(rule->name, expected[i].name);
        assert_float_equal(rule->bound, expected[i].bound, 0);
        assert_true(rule->window_us == expected[i].window_us);
        assert_true(rule->short_us == expected[i].short_us);
        assert_int_equal(rule->severity, expected[i].severity);
        assert_true(rule->requests_min > 0 && rule->bad_min > 0);
    }
    alert_rules_unref(rules);
}

static void a_name_without_a_row_has_the_row_other(void **state)
{
    (void)state;
    struct alert_rules *rules = alert_rules_default();
    assert_string_equal(alert_rules_find(rules, "", "no_such")->name, "other");
    alert_rules_unref(rules);
}

static void a_file_without_a_word_changes_nothing(void **state)
{
    (void)state;
    static const char *const empty[] = {"", "\n\n", "# drift: off\n  # more\n"};
    for (size_t i = 0; i < 3; i++) {
        struct alert_rules *rules = read_good(empty[i]);
        assert_false(alert_rules_find(rules, "", "drift")->is_off);
        assert_null(alert_rules_mail(rules)->argv);
        alert_rules_unref(rules);
    }
}

static void a_file_changes_rules_for_all_and_for_one(void **state)
{
    (void)state;
    struct alert_rules *rules =
        read_good("owner: ml@example.org\n"
                  "slo: {errors: {objective: 0.995}}\n"
                  "rules:\n"
                  "  drift: {severity: page, for: 10m, runbook: https://example.org/drift}\n"
                  "  unseen: off\n"
                  "  disk_free: {bound: 5000}\n"
                  "models:\n"
                  "  churn:\n"
                  "    owner: ana@example.org\n"
                  "    slo: {latency: {objective: 0.9, slower_than: 80ms}}\n"
                  "    rules: {unseen: on, drift: {severity: info}}\n");
    const struct alert_rule *drift = alert_rules_find(rules, "other-model", "drift");
    assert_int_equal(drift->severity, ALERT_PAGE);
    assert_true(drift->for_us == 10 * MINUTE);
    assert_string_equal(drift->owner, "ml@example.org");
    assert_string_equal(drift->runbook, "https://example.org/drift");
    assert_true(alert_rules_find(rules, "other-model", "unseen")->is_off);
    assert_float_equal(alert_rules_find(rules, "", "disk_free")->bound, 5000, 0);

    drift = alert_rules_find(rules, "churn", "drift");
    assert_int_equal(drift->severity, ALERT_INFO);
    assert_true(drift->for_us == 10 * MINUTE); /* what is not said again stays */
    assert_string_equal(drift->owner, "ana@example.org");
    assert_false(alert_rules_find(rules, "churn", "unseen")->is_off);
    assert_float_equal(alert_rules_slo(rules, "churn")->errors_objective, 0.995, 0);
    assert_true(alert_rules_slo(rules, "churn")->slower_than_us == 80 * 1000);
    assert_true(alert_rules_slo(rules, "x")->slower_than_us == 250 * 1000);
    alert_rules_unref(rules);
}

static void a_silence_of_the_file_ends(void **state)
{
    (void)state;
    struct alert_rules *rules =
        read_good("silences:\n"
                  "- {match: 'drift/churn/*', until: 2026-02-01T00:00:00Z, why: ticket 12}\n");
    int64_t until = 0;
    assert_true(clock_parse(STR_LIT("2026-02-01T00:00:00Z"), &until));
    assert_true(alert_rules_silenced_until(rules, "drift/churn/7/age", until - 1) == until);
    assert_true(alert_rules_silenced_until(rules, "drift/churn/7/age", until) == 0);
    assert_true(alert_rules_silenced_until(rules, "drift/fraud/7/age", until - 1) == 0);
    alert_rules_unref(rules);
}

static void a_mail_command_is_argv(void **state)
{
    (void)state;
    struct alert_rules *rules =
        read_good("email: {command: [/usr/sbin/sendmail, -t, $HOME], to: a@example.org}\n");
    const struct alert_mail *mail = alert_rules_mail(rules);
    assert_int_equal(mail->argc, 3);
    assert_string_equal(mail->argv[2], "$HOME");
    assert_null(mail->argv[3]);
    assert_string_equal(mail->to, "a@example.org");
    assert_int_equal(mail->severity, ALERT_PAGE);
    alert_rules_unref(rules);
}

static void every_mistake_is_named_with_its_place(void **state)
{
    (void)state;
    assert_refused("[1]", "expected a mapping, got array");
    assert_refused("rule: {}", "unknown member \"rule\"");
    assert_refused("rules: {drfit: {for: 1m}}", "there is no rule 'drfit'");
    assert_refused("rules: {drift: {for: 10}}", "rules.drift.for: expected a time with its unit");
    assert_refused("rules: {drift: {severity: high}}", "rules.drift.severity: expected page");
    assert_refused("rules: {drift: {bound: 0.2}}", "no bound of its own");
    assert_refused("rules: {drift: {widnow: 1m}}", "unknown member \"widnow\"");
    assert_refused("rules: {disk_free: {window: 1m}}", "looks at no window");
    assert_refused("rules: {contract_rejects: {bound: 5}}", "a number from 0 to 1, got 5");
    assert_refused("rules: {error_burn_fast: {window: 1m, short_window: 5m}}", "short window");
    assert_refused("rules: {error_burn_fast: {window: 4d}}", "window");
    assert_refused("slo: {errors: {objective: 99.9}}", "slo.errors.objective: expected a number");
    assert_refused("slo: {errors: {objective: 1}}", "objective");
    assert_refused("models: {'a b': {}}", "'a b' cannot be the name of a model");
    assert_refused("models: {churn: {rules: {drift: {for: x}}}}", "models.churn.rules.drift.for");
    assert_refused("silences: [{match: x}]", "silences[0]: 'until' is missing");
    assert_refused("silences: [{until: 2026-02-01T00:00:00Z}]", "'match' is missing");
    assert_refused("silences: [{match: x, until: tomorrow}]", "silences[0].until");
    assert_refused("email: {to: a@example.org}", "'command' is missing");
    assert_refused("email: {command: [sendmail]}", "'sendmail' is no whole path");
    assert_refused("email: {command: 'sendmail -t'}", "expected a list");
    assert_refused("email: {command: [/bin/x], to: \"a\\nBcc: b\"}", "email.to");
    assert_refused("owner: \"\"", "owner: expected a short text");
    assert_refused("rules: {drift: {for: 1m}, drift: {for: 2m}}", "drift");
}

static int count_of(const char *text, const char *part)
{
    int count = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        count++;
    return count;
}

/* promtool judges the whole in tests/integration; here is which rules there are. */
static void prometheus_gets_a_rule_for_each_model_that_differs(void **state)
{
    (void)state;
    struct buf out;
    struct alert_rules *rules = read_good("rules: {unseen: off}\n"
                                          "models:\n"
                                          "  churn: {slo: {errors: {objective: 0.9}}}\n"
                                          "  a.b: {rules: {drift: off}}\n");
    buf_init(&out, 1024 * 1024);
    alert_rules_prometheus(rules, &out);
    const char *text = buf_c(&out);
    assert_int_equal(count_of(text, "alert: SlipwayErrorBurnFast\n"), 2);
    assert_int_equal(count_of(text, "alert: SlipwayLatencyBurnFast\n"), 1);
    assert_int_equal(count_of(text, "alert: SlipwayUnseen\n"), 0);
    assert_int_equal(count_of(text, "alert: SlipwayDrift\n"), 1);
    assert_non_null(strstr(text, "rule=\\\"drift\\\",model!~\\\"a\\\\\\\\.b\\\""));
    /* 14.4 times what 99.9 % and what 90 % allow */
    assert_non_null(strstr(text, "> 0.0144)"));
    assert_non_null(strstr(text, "> 1.44)"));
    buf_done(&out);
    alert_rules_unref(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_built_in_burn_rates_are_the_workbooks),
        cmocka_unit_test(a_name_without_a_row_has_the_row_other),
        cmocka_unit_test(a_file_without_a_word_changes_nothing),
        cmocka_unit_test(a_file_changes_rules_for_all_and_for_one),
        cmocka_unit_test(a_silence_of_the_file_ends),
        cmocka_unit_test(a_mail_command_is_argv),
        cmocka_unit_test(every_mistake_is_named_with_its_place),
        cmocka_unit_test(prometheus_gets_a_rule_for_each_model_that_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
