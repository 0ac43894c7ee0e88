/* test_err.c - errors are filled once, wrapped on the way up, and never overflow. */
#include "base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

static void a_failure_is_one_statement(void **state)
{
    (void)state;
    struct err err = {.hint = "from before"};
    int line = __LINE__ + 1;
    assert_int_equal(err_set(&err, ERR_NOT_FOUND, "model '%s' is gone", "churn"), ERR_NOT_FOUND);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err.msg, "model 'churn' is gone");
    assert_string_equal(err.hint, "");
    assert_int_equal(err.line, line);
    assert_string_equal(err.file, __FILE__);
}

static void context_goes_in_front_and_the_code_stays(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, ERR_LIMIT, "too deep");
    err_hint(&err, "flatten it");
    assert_int_equal(err_wrap(&err, "reading %s", "contract.yaml"), ERR_LIMIT);
    assert_string_equal(err.msg, "reading contract.yaml: too deep");
    assert_string_equal(err.hint, "flatten it");
}

static void long_messages_are_cut_at_the_buffer(void **state)
{
    (void)state;
    char text[2 * ERR_MSG_BYTES];
    struct err err;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    err_set(&err, ERR_INVALID, "%s", text);
    assert_int_equal(strlen(err.msg), ERR_MSG_BYTES - 1);
    err_wrap(&err, "%s", text);
    assert_int_equal(strlen(err.msg), ERR_MSG_BYTES - 1);
    err_hint(&err, "%s", text);
    assert_int_equal(strlen(err.hint), ERR_HINT_BYTES - 1);
}

static void errno_decides_the_code(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(err_set_errno(&err, ENOSPC, "cannot write %s", "a"), ERR_DISK_FULL);
    assert_string_equal(err.msg, "cannot write a: No space left on device");
    assert_int_equal(err_set_errno(&err, EDQUOT, "x"), ERR_DISK_FULL);
    assert_int_equal(err_set_errno(&err, ENOENT, "x"), ERR_NOT_FOUND);
    assert_int_equal(err_set_errno(&err, EACCES, "x"), ERR_DENIED);
    assert_int_equal(err_set_errno(&err, EIO, "x"), ERR_IO);
}

static void every_code_has_a_stable_name(void **state)
{
    (void)state;
    for (int code = ERR_OK; code <= ERR_INTERNAL; code++)
        assert_true(strlen(err_code_name((enum err_code)code)) > 1);
    assert_string_equal(err_code_name(ERR_VIOLATION), "contract_violation");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_is_one_statement),
        cmocka_unit_test(context_goes_in_front_and_the_code_stays),
        cmocka_unit_test(long_messages_are_cut_at_the_buffer),
        cmocka_unit_test(errno_decides_the_code),
        cmocka_unit_test(every_code_has_a_stable_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
