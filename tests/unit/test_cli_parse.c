/* test_cli_parse.c - command lines: what is understood, and what a mistake is answered with. */
#include "cli/parse.h"

#include "base/check.h"
#include "test.h"

struct fixture {
    struct cli cli;
    struct parsed parsed;
    struct err err;
};

static struct fixture fixture;

/* Splits at spaces and parses. */
static enum err_code parse(const char *line)
{
    static char words[1024];
    static const char *argv[64];
    int argc = 0;
    fixture = (struct fixture){0};
    snprintf(words, sizeof(words), "%s", line);
    for (char *at = words; *at && argc < 64;) {
        argv[argc++] = at;
        at += strcspn(at, " ");
        if (*at)
            *at++ = '\0';
    }
    return parse_line(argc, argv, &fixture.cli, &fixture.parsed, &fixture.err);
}

static void assert_parses(const char *line, const char *command)
{
    assert_int_equal(parse(line), ERR_OK);
    assert_non_null(fixture.cli.command);
    assert_string_equal(fixture.cli.command->name, command);
}

static void assert_refused(const char *line, const char *message, const char *hint)
{
    assert_int_equal(parse(line), ERR_INVALID);
    assert_string_equal(fixture.err.msg, message);
    assert_string_equal(fixture.err.hint, hint);
}

static void words_and_flags_may_be_mixed(void **state)
{
    (void)state;
    assert_parses("alias set churn --reason why champion 2 --json", "alias set");
    assert_int_equal(fixture.cli.arg_count, 3);
    assert_string_equal(fixture.cli.args[0], "churn");
    assert_string_equal(fixture.cli.args[1], "champion");
    assert_string_equal(fixture.cli.args[2], "2");
    assert_string_equal(cli_flag(&fixture.cli, "reason"), "why");
    assert_true(cli_has(&fixture.cli, "json"));
    assert_false(cli_has(&fixture.cli, "if-revision"));
}

static void flags_may_stand_in_front_of_the_command(void **state)
{
    (void)state;
    assert_parses("--data d --json model list", "model list");
    assert_string_equal(cli_flag(&fixture.cli, "data"), "d");
    assert_parses("--data=d status", "status");
    assert_string_equal(cli_flag(&fixture.cli, "data"), "d");
}

static void a_value_may_follow_an_equals_sign_or_stand_alone(void **state)
{
    (void)state;
    assert_parses("alias set m a 1 --reason=a=b --if-revision 3", "alias set");
    assert_string_equal(cli_flag(&fixture.cli, "reason"), "a=b");
    assert_int_equal(cli_flag_i64(&fixture.cli, "if-revision", -1), 3);
    assert_parses("alias set m a 1 --reason --json", "alias set"); /* the value, not a flag */
    assert_string_equal(cli_flag(&fixture.cli, "reason"), "--json");
}

static void a_flag_may_repeat_only_where_its_row_says_so(void **state)
{
    (void)state;
    assert_parses("model register m f --lineage a=1 --lineage b=2", "model register");
    assert_string_equal(cli_flag_at(&fixture.cli, "lineage", 0), "a=1");
    assert_string_equal(cli_flag_at(&fixture.cli, "lineage", 1), "b=2");
    assert_null(cli_flag_at(&fixture.cli, "lineage", 2));
    assert_refused("model register m f --note a --note b", "--note is given twice",
                   "usage and an example: slipway model register --help");
}

static void two_dashes_end_the_flags(void **state)
{
    (void)state;
    assert_parses("model history -- --odd", "model history");
    assert_string_equal(fixture.cli.args[0], "--odd");
    assert_parses("predict m --csv -", "predict"); /* one dash is standard input */
    assert_string_equal(cli_flag(&fixture.cli, "csv"), "-");
}

static void predict_takes_a_json_text_of_its_own(void **state)
{
    (void)state;
    assert_parses("predict m --json {}", "predict");
    assert_string_equal(cli_flag(&fixture.cli, "json"), "{}");
}

static void serve_gets_its_words_unread(void **state)
{
    (void)state;
    assert_parses("serve --listen 127.0.0.1:1 --data d", "serve");
    assert_int_equal(fixture.cli.rest_count, 4);
    assert_string_equal(fixture.cli.rest[0], "--listen");
    assert_string_equal(fixture.cli.rest[3], "d");
}

static void help_is_found_wherever_it_stands(void **state)
{
    (void)state;
    assert_int_equal(parse("model register --help"), ERR_OK);
    assert_true(fixture.parsed.wants_help);
    assert_string_equal(fixture.cli.command->name, "model register");
    assert_int_equal(parse("model --help"), ERR_OK);
    assert_true(fixture.parsed.wants_help);
    assert_string_equal(fixture.parsed.group, "model");
    assert_int_equal(parse("--version"), ERR_OK);
    assert_true(fixture.parsed.wants_version);
    assert_int_equal(parse("model history -- --help"), ERR_OK);
    assert_false(fixture.parsed.wants_help);
    assert_int_equal(parse(""), ERR_OK);
    assert_null(fixture.cli.command);
}

static void a_slip_gets_the_nearest_word(void **state)
{
    (void)state;
    assert_refused("modle list", "'modle' is no command", "did you mean: slipway model");
    assert_refused("model lst", "'model lst' is no command", "did you mean: slipway model list");
    assert_refused("register m f", "'register' is no command",
                   "did you mean: slipway model register");
    assert_refused("rolback m", "'rolback' is no command", "did you mean: slipway rollback");
    assert_refused("frobnicate", "'frobnicate' is no command", "all commands: slipway --help");
    assert_refused("model list --jsn", "model list has no flag --jsn", "did you mean --json?");
    assert_refused("refrence", "'refrence' is no command",
                   "all commands: slipway --help"); /* hidden */
}

static void what_is_missing_or_too_much_is_named(void **state)
{
    (void)state;
    assert_refused("alias set m champion",
                   "alias set needs VERSION: A version's number, another alias, or latest",
                   "usage and an example: slipway alias set --help");
    assert_refused("status now", "status: 'now' is one word too many",
                   "usage and an example: slipway status --help");
    assert_refused("key create ci",
                   "key create needs --scope LIST: What it may do: predict, observe, review, "
                   "operate, admin, with commas between",
                   "usage and an example: slipway key create --help");
    assert_refused("model history m --data", "--data needs a value: --data DIR",
                   "usage and an example: slipway model history --help");
    assert_refused("gc --dry-run=yes", "--dry-run takes no value", "");
    assert_refused("status -x", "'-x' is no flag",
                   "flags begin with two dashes; a word that begins with one goes behind --");
}

static void values_are_of_their_kind(void **state)
{
    (void)state;
    assert_refused("audit --after x", "--after: expected a whole number, got 'x'",
                   "usage and an example: slipway audit --help");
    assert_refused("audit --after -1", "--after: expected a whole number, got '-1'",
                   "usage and an example: slipway audit --help");
    assert_refused("completion fish", "SHELL: expected bash|zsh, got 'fish'",
                   "usage and an example: slipway completion --help");
}

static void more_words_than_any_command_takes_are_counted_not_kept(void **state)
{
    (void)state;
    assert_int_equal(parse("status a b c d e f g h i j k"), ERR_INVALID);
    assert_string_equal(fixture.err.msg, "status: 'a' is one word too many");
}

/* A row that help, completion or the parser could not use. */
static void every_row_says_what_it_must(void **state)
{
    (void)state;
    for (const struct command *c = commands; c->name; c++) {
        bool was_optional = false;
        assert_non_null(c->summary);
        assert_non_null(c->run);
        assert_non_null(c->example);
        assert_non_null(strstr(c->example, "slipway "));
        assert_non_null(strstr(c->example, c->name));
        assert_int_not_equal(c->summary[strlen(c->summary) - 1], '.');
        for (const struct command_arg *a = c->args; a && a->name; a++) {
            assert_non_null(a->help);
            assert_true(a->is_optional || !was_optional);
            assert_true(a->kind != WORD_CHOICE || a->choices);
            was_optional = a->is_optional;
        }
        for (const struct command_flag *f = c->flags; f && f->name; f++) {
            assert_non_null(f->help);
            assert_ptr_equal(command_flag_find(c, str_of(f->name)), f);
        }
        for (const struct command *other = commands; other < c; other++)
            assert_string_not_equal(other->name, c->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_flags_may_be_mixed),
        cmocka_unit_test(flags_may_stand_in_front_of_the_command),
        cmocka_unit_test(a_value_may_follow_an_equals_sign_or_stand_alone),
        cmocka_unit_test(a_flag_may_repeat_only_where_its_row_says_so),
        cmocka_unit_test(two_dashes_end_the_flags),
        cmocka_unit_test(predict_takes_a_json_text_of_its_own),
        cmocka_unit_test(serve_gets_its_words_unread),
        cmocka_unit_test(help_is_found_wherever_it_stands),
        cmocka_unit_test(a_slip_gets_the_nearest_word),
        cmocka_unit_test(what_is_missing_or_too_much_is_named),
        cmocka_unit_test(values_are_of_their_kind),
        cmocka_unit_test(more_words_than_any_command_takes_are_counted_not_kept),
        cmocka_unit_test(every_row_says_what_it_must),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
