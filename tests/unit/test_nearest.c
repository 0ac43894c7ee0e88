/* test_nearest.c - the name somebody probably meant, and none when nothing is near. */
#include "base/nearest.h"

#include <stdlib.h>

#include "base/check.h"
#include "test.h"

static const char *const names[] = {"listen",  "data_dir",  "tls_cert",
                                    "tls_key", "log_level", "port"};

static const char *nearest(const char *got)
{
    size_t i = nearest_name(str_of(got), names, ARRAY_LEN(names));
    return i < ARRAY_LEN(names) ? names[i] : NULL;
}

static void one_slip_is_understood(void **state)
{
    (void)state;
    assert_string_equal(nearest("listn"), "listen");        /* dropped */
    assert_string_equal(nearest("prot"), "port");           /* swapped */
    assert_string_equal(nearest("listten"), "listen");      /* inserted */
    assert_string_equal(nearest("log_lavel"), "log_level"); /* replaced */
    assert_string_equal(nearest("Data-Dir"), "data_dir");   /* case and dashes are free */
}

static void nothing_near_is_nothing(void **state)
{
    (void)state;
    assert_null(nearest("threads"));
    assert_null(nearest(""));
    assert_null(nearest("x"));
    assert_int_equal(nearest_name(STR_LIT("listen"), names, 0), 0);
}

static void the_nearest_of_two_wins(void **state)
{
    (void)state;
    assert_string_equal(nearest("tls_kye"), "tls_key");
    assert_string_equal(nearest("tls_cet"), "tls_cert");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_slip_is_understood),
        cmocka_unit_test(nothing_near_is_nothing),
        cmocka_unit_test(the_nearest_of_two_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
