/* test_router.c - paths and methods -> rows of the route table. */
#include "api/router.h"

#include <string.h>

#include "test.h"

static struct arena *arena;
static struct route_match match;
static struct err err;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new(1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static enum err_code find(enum http_method method, const char *path)
{
    return router_match(method, str_of(path), arena, &match, &err);
}

static void parameters_are_taken_in_order(void **state)
{
    (void)state;
    assert_int_equal(find(HTTP_METHOD_POST, "/v2/models/churn/versions/3/infer"), ERR_OK);
    assert_string_equal(match.route->path, "/v2/models/{model}/versions/{version}/infer");
    assert_true(str_equal_c(match.params[0], "churn"));
    assert_true(str_equal_c(match.params[1], "3"));
}

static void parameters_are_decoded_and_bad_escapes_refused(void **state)
{
    (void)state;
    assert_int_equal(find(HTTP_METHOD_GET, "/v2/models/ch%75rn"), ERR_OK);
    assert_true(str_equal_c(match.params[0], "churn"));
    assert_int_equal(find(HTTP_METHOD_GET, "/v2/models/ch%zzrn"), ERR_INVALID);
    assert_int_equal(find(HTTP_METHOD_GET, "/v2/models/ch%00rn"), ERR_INVALID);
}

static void an_encoded_slash_stays_in_its_segment(void **state)
{
    (void)state;
    assert_int_equal(find(HTTP_METHOD_GET, "/v2/models/a%2fb"), ERR_OK);
    assert_true(str_equal_c(match.params[0], "a/b"));
    assert_int_equal(find(HTTP_METHOD_GET, "/v2/models/a/b"), ERR_OK);
    assert_null(match.route);
}

static void another_method_is_told_which_are_allowed(void **state)
{
    (void)state;
    assert_int_equal(find(HTTP_METHOD_DELETE, "/api/models/churn/versions"), ERR_OK);
    assert_null(match.route);
    assert_true(match.is_path_known);
    assert_string_equal(match.allowed, "GET, POST");
}

static void head_takes_the_row_of_get(void **state)
{
    (void)state;
    assert_int_equal(find(HTTP_METHOD_HEAD, "/livez"), ERR_OK);
    assert_non_null(match.route);
    assert_string_equal(match.route->path, "/livez");
}

static void what_is_nowhere_is_not_found(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",         "//",    "//v2",    "/v2/",      "/v2/../",
        "/predict", "livez", "/livez/", "/predict/", "/a/b/c/d/e/f/g/h/i/j",
        "*"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_int_equal(find(HTTP_METHOD_GET, paths[i]), ERR_OK);
        assert_null(match.route);
        assert_false(match.is_path_known);
    }
}

static void a_parameter_ends_before_its_verb(void **state)
{
    (void)state;
    assert_int_equal(find(HTTP_METHOD_POST, "/v1/models/a:b:predict"), ERR_OK);
    assert_string_equal(match.route->path, "/v1/models/{model}:predict");
    assert_true(str_equal_c(match.params[0], "a:b"));
    assert_int_equal(find(HTTP_METHOD_POST, "/v1/models/:predict"), ERR_OK);
    assert_null(match.route);
    assert_int_equal(find(HTTP_METHOD_POST, "/v1/models/x/versions/3:predict"), ERR_OK);
    assert_true(str_equal_c(match.params[1], "3"));
}

static void every_row_names_a_scope_and_a_handler(void **state)
{
    (void)state;
    for (const struct route *route = routes; route->method; route++) {
        assert_true(route->scope != 0);
        assert_non_null(route->handler);
        assert_true(strlen(route->summary) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_taken_in_order),
        cmocka_unit_test(parameters_are_decoded_and_bad_escapes_refused),
        cmocka_unit_test(an_encoded_slash_stays_in_its_segment),
        cmocka_unit_test(another_method_is_told_which_are_allowed),
        cmocka_unit_test(head_takes_the_row_of_get),
        cmocka_unit_test(what_is_nowhere_is_not_found),
        cmocka_unit_test(a_parameter_ends_before_its_verb),
        cmocka_unit_test(every_row_names_a_scope_and_a_handler),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
