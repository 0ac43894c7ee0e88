/* test_rollout_file.c - defaults, places of errors, and what a file may not say. */
#include "rollout/rollout_file.h"

#include "base/check.h"
#include "test.h"

#define MINUTE INT64_C(60000000)
#define HOUR (60 * MINUTE)

struct file {
    struct arena *arena;
    struct rollout_spec *spec;
    struct err err;
};

static enum err_code parse(struct file *f, const char *text)
{
    *f = (struct file){.arena = arena_new(ROLLOUT_MEMORY_BYTES_MAX)};
    return rollout_file_parse(str_of(text), f->arena, &f->spec, &f->err);
}

static void accept(struct file *f, const char *text)
{
    if (parse(f, text))
        fail_msg("%s", f->err.msg);
}

static void refuse(const char *text, const char *message)
{
    struct file f;
    assert_int_equal(parse(&f, text), ERR_INVALID);
    assert_null(f.spec);
    if (!strstr(f.err.msg, message))
        fail_msg("'%s' does not say '%s'", f.err.msg, message);
    arena_free(f.arena);
}

static void two_lines_are_a_rollout(void **state)
{
    struct file f;
    (void)state;
    accept(&f, "model: churn\nto: 42\n");
    assert_string_equal(f.spec->model, "churn");
    assert_string_equal(f.spec->to, "42");
    assert_string_equal(f.spec->from, "champion");
    assert_string_equal(f.spec->key_header, "X-Routing-Key");
    assert_int_equal(f.spec->check_count, 3);
    assert_false(f.spec->checks[0].is_proof);
    assert_true(f.spec->checks[0].rule.alpha == 0.005); /* 0.01, split between two guards */
    assert_false(f.spec->checks[1].is_proof);
    assert_int_equal(f.spec->checks[1].event.kind, EVENT_REFUSED);
    assert_true(f.spec->checks[2].is_proof);
    assert_true(f.spec->checks[2].rule.no_worse_than == 2);
    assert_int_equal(f.spec->step_count, 4);
    assert_int_equal(f.spec->steps[0].weight_ppm, 10000);
    assert_int_equal(f.spec->steps[2].weight_ppm, 500000);
    assert_int_equal(f.spec->steps[3].kind, STEP_PROMOTE);
    assert_string_equal(f.spec->steps[3].alias, "champion");
    assert_int_equal(f.spec->on_fail, REACT_ROLLBACK);
    assert_int_equal(f.spec->on_max, REACT_HOLD);
    arena_free(f.arena);
}

static void everything_can_be_said(void **state)
{
    struct file f;
    (void)state;
    accept(&f, "model: churn\n"
               "to: churn:42\n"
               "from: \"@champion\"\n"
               "owner: ana@acme.example\n"
               "why: ticket ML-381\n"
               "key: $.customer_id\n"
               "deadline: 3d\n"
               "guards:\n"
               "  - {event: error}\n"
               "  - {event: {slower_than: 80ms}, worse_than: 1.25}\n"
               "  - {event: override, dry_run: true}\n"
               "prove:\n"
               "  - event: {outcome: complaint, within: 48h}\n"
               "    no_worse_than: 1.5\n"
               "  - {event: {cost: eur, above: 0.05}, rate_below: 1%}\n"
               "steps:\n"
               "  - {do: gate}\n"
               "  - {do: shadow, sample: 50%, for: 2h, max_disagreement: 3%}\n"
               "  - {do: canary, weight: 0.01%, min: 15m, max: 6h}\n"
               "  - {do: approve, by: [key:ana], expires: 24h}\n"
               "  - {do: canary, weight: 0.5}\n"
               "  - {do: promote, alias: champion, keep_warm: 1h}\n"
               "on: {fail: hold, max: rollback, wait: advance}\n");
    const struct rollout_spec *s = f.spec;
    assert_string_equal(s->to, "42");
    assert_string_equal(s->from, "champion");
    assert_string_equal(s->key_field, "customer_id");
    assert_null(s->key_header);
    assert_int_equal(s->check_count, 5);
    /* Two guards decide, so each has half of 0.01. */
    assert_true(s->checks[0].rule.alpha == 0.005);
    assert_int_equal(s->checks[1].event.bound_us, 80000);
    assert_true(s->checks[2].is_dry_run);
    assert_int_equal(s->checks[3].event.within_us, 48 * HOUR);
    assert_true(s->checks[4].event.above == 0.05);
    assert_true(s->checks[4].rule.rate_below == 0.01);
    assert_true(s->steps[1].sample == 0.5);
    assert_int_equal(s->steps[1].min_us, 2 * HOUR);
    assert_int_equal(s->steps[2].weight_ppm, 100);
    assert_int_equal(s->steps[2].min_us, 15 * MINUTE);
    assert_int_equal(s->steps[3].approver_count, 1);
    assert_true(s->steps[3].is_author_refused);
    assert_int_equal(s->steps[5].keep_warm_us, HOUR);
    assert_int_equal(s->on_fail, REACT_HOLD);
    assert_int_equal(s->on_wait, REACT_ADVANCE);
    arena_free(f.arena);
}

static void fixed_shares_never_promote(void **state)
{
    struct file f;
    (void)state;
    accept(&f, "{\"model\": \"churn\", \"to\": \"latest\", \"mode\": \"ab\"}");
    assert_true(f.spec->is_ab);
    assert_int_equal(f.spec->step_count, 1);
    assert_int_equal(f.spec->steps[0].weight_ppm, 500000);
    arena_free(f.arena);
    refuse("model: m\nto: 2\nmode: ab\nsteps: [{do: canary, weight: 1%}, {do: promote}]\n",
           "steps[1]: an A/B test never promotes");
}

static void errors_name_the_place(void **state)
{
    (void)state;
    refuse("to: 2\n", "model: is missing");
    refuse("model: churn\n", "to: is missing");
    refuse("model: churn\nto: 2\nstep: []\n", "step");
    refuse("model: a b\nto: 2\n", "'a b' cannot be the name of a model");
    refuse("model: m\nto: 2\nguards: [{event: crash}]\n", "guards[0].event: expected error");
    refuse("model: m\nto: 2\nguards: [{event: {slower_than: fast}}]\n",
           "guards[0].event.slower_than: expected a time");
    refuse("model: m\nto: 2\nguards: [{event: error, alpha: 2}]\n", "guards[0].alpha");
    refuse("model: m\nto: 2\nguards: [{event: error, no_worse_than: 2}]\n", "no_worse_than");
    refuse("model: m\nto: 2\nsteps: [{do: canary}]\n", "steps[0].weight: is missing");
    refuse("model: m\nto: 2\nsteps: [{do: canary, weight: 100%}]\n", "steps[0].weight: must be");
    refuse("model: m\nto: 2\nsteps: [{do: canary, weight: 10}]\n", "steps[0].weight: expected");
    refuse("model: m\nto: 2\nsteps: [{do: canary, weight: 5%, min: 2h, max: 1h}]\n",
           "steps[0].max: is shorter");
    refuse("model: m\nto: 2\nsteps: [{do: dance}]\n", "steps[0].do");
    refuse("model: m\nto: 2\non: {fail: advance}\n", "on.fail");
    refuse("model: m\nto: 2\nsalt: abc\n", "salt: expected 32 hex digits");
    refuse("model: m\nto: 2\ndeadline: soon\n", "deadline: expected a time");
    refuse("[1]", "a rollout file is an object");
}

static void the_order_of_steps_is_checked(void **state)
{
    (void)state;
    refuse("model: m\nto: 2\nsteps: [{do: canary, weight: 10%}, {do: canary, weight: 5%}, "
           "{do: promote}]\n",
           "steps[1].weight: 5% does not grow");
    refuse("model: m\nto: 2\nsteps: [{do: canary, weight: 10%}, {do: shadow}, {do: promote}]\n",
           "steps[1]: shadow stands before the first canary");
    refuse("model: m\nto: 2\nsteps: [{do: promote}, {do: canary, weight: 1%}]\n",
           "steps[1]: nothing comes after promote");
    refuse("model: m\nto: 2\nsteps: [{do: canary, weight: 10%}]\n", "the last step is promote");
    refuse("model: m\nto: 2\nsteps: [{do: promote}]\n", "no canary in which");
}

static void shares_have_two_forms(void **state)
{
    double share = -1;
    (void)state;
    assert_true(rollout_parse_share(STR_LIT("0.05%"), &share) && share == 0.0005);
    assert_true(rollout_parse_share(STR_LIT("0.25"), &share) && share == 0.25);
    assert_false(rollout_parse_share(STR_LIT("101%"), &share));
    assert_false(rollout_parse_share(STR_LIT("%"), &share));
    assert_false(rollout_parse_share(STR_LIT("nan"), &share));
    assert_true(share == 0.25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_lines_are_a_rollout),       cmocka_unit_test(everything_can_be_said),
        cmocka_unit_test(fixed_shares_never_promote),    cmocka_unit_test(errors_name_the_place),
        cmocka_unit_test(the_order_of_steps_is_checked), cmocka_unit_test(shares_have_two_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
