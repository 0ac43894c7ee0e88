/* test_command.c - programs are run by their argv, fed, timed out, and given nothing else. */
#include "base/command.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

static enum err_code run(const char *script, struct str input, int64_t timeout_ms, struct err *err)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    return command_run(argv, input, timeout_ms, err);
}

static void its_input_is_what_was_given(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(run("test \"$(cat)\" = 'a b c'", STR_LIT("a b c"), 10000, &err), ERR_OK);
    assert_int_equal(run("test \"$(cat)\" = 'a b'", STR_LIT("a b c"), 10000, &err),
                     ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "status 1"));
}

/* More than a pipe holds, to a program that reads nothing. */
static void nobody_waits_for_a_program_that_does_not_read(void **state)
{
    (void)state;
    struct err err = {0};
    size_t size = 4 * 1024 * 1024;
    char *text = calloc(1, size);
    assert_int_equal(run("exit 0", (struct str){text, size}, 10000, &err), ERR_OK);
    free(text);
}

static void a_word_is_never_read_by_a_shell(void **state)
{
    (void)state;
    struct err err = {0};
    const char *const argv[] = {"/usr/bin/test", "$(echo a)", "=", "a", NULL};
    assert_int_equal(command_run(argv, STR_LIT(""), 10000, &err), ERR_UNAVAILABLE);
}

static void it_is_killed_with_what_it_started(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(run("sleep 60 & sleep 60", STR_LIT(""), 50, &err), ERR_TIMEOUT);
    assert_non_null(strstr(err.msg, "50 ms"));
}

static void it_sees_no_open_file_and_no_environment(void **state)
{
    (void)state;
    struct err err = {0};
    int fd = open("/dev/null", O_RDONLY); /* not closed by exec */
    setenv("SLIPWAY_SECRET", "x", 1);
    assert_true(fd > 2);
    assert_int_equal(run("test -z \"$SLIPWAY_SECRET\"", STR_LIT(""), 10000, &err), ERR_OK);
    char script[64];
    snprintf(script, sizeof(script), "! test -e /proc/self/fd/%d", fd);
    assert_int_equal(run(script, STR_LIT(""), 10000, &err), ERR_OK);
    close(fd);
}

static void a_program_that_is_not_there_is_named(void **state)
{
    (void)state;
    struct err err = {0};
    const char *const argv[] = {"/nowhere/sendmail", NULL};
    assert_int_equal(command_run(argv, STR_LIT(""), 10000, &err), ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "/nowhere/sendmail cannot be started"));
}

static void its_end_is_a_status_or_a_signal(void **state)
{
    const char *const status[] = {"/bin/sh", "-c", "exit 3", NULL};
    const char *const signal[] = {"/bin/sh", "-c", "kill -FPE $$", NULL}; /* signal 8 */
    struct err err = {0};
    int end = 0;
    (void)state;
    assert_int_equal(command_end(status, STR_LIT(""), 10000, &end, &err), ERR_OK);
    assert_int_equal(end, 3);
    assert_int_equal(command_end(signal, STR_LIT(""), 10000, &end, &err), ERR_OK);
    assert_int_equal(end, -8);
    assert_int_equal(command_run(signal, STR_LIT(""), 10000, &err), ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "was ended by signal 8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_input_is_what_was_given),
        cmocka_unit_test(nobody_waits_for_a_program_that_does_not_read),
        cmocka_unit_test(a_word_is_never_read_by_a_shell),
        cmocka_unit_test(it_is_killed_with_what_it_started),
        cmocka_unit_test(it_sees_no_open_file_and_no_environment),
        cmocka_unit_test(a_program_that_is_not_there_is_named),
        cmocka_unit_test(its_end_is_a_status_or_a_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
