/* test_map.c - finding, replacing and growing. */
#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "test.h"

static void an_empty_map_has_nothing(void **state)
{
    (void)state;
    struct map map;
    map_init(&map);
    assert_null(map_find(&map, STR_LIT("churn")));
    map_done(&map);
}

static void every_key_is_found_after_growing(void **state)
{
    (void)state;
    enum { KEYS = 5000 };
    static char keys[KEYS][24];
    struct map map;
    map_init(&map);
    for (int i = 0; i < KEYS; i++) {
        snprintf(keys[i], sizeof(keys[i]), "model-%d", i);
        map_put(&map, str_of(keys[i]), keys[i]);
    }
    assert_int_equal(map.count, KEYS);
    for (int i = 0; i < KEYS; i++) {
        char other[24]; /* the same text at another address */
        snprintf(other, sizeof(other), "model-%d", i);
        assert_ptr_equal(map_find(&map, str_of(other)), keys[i]);
    }
    assert_null(map_find(&map, STR_LIT("model-5000")));
    assert_null(map_find(&map, STR_LIT("model-")));
    assert_true(2 * map.count <= map.slot_count);
    map_done(&map);
    assert_int_equal(map.count, 0);
}

static void the_last_value_of_a_key_counts(void **state)
{
    (void)state;
    int first = 1, second = 2;
    struct map map;
    map_init(&map);
    map_put(&map, STR_LIT("a"), &first);
    map_put(&map, STR_LIT("a"), &second);
    assert_int_equal(map.count, 1);
    assert_ptr_equal(map_find(&map, STR_LIT("a")), &second);
    map_done(&map);
}

static void keys_may_be_empty_or_hold_any_byte(void **state)
{
    (void)state;
    int empty = 0, nul = 1;
    struct map map;
    map_init(&map);
    map_put(&map, (struct str){NULL, 0}, &empty);
    map_put(&map, STR_LIT("\0"), &nul);
    assert_ptr_equal(map_find(&map, STR_LIT("")), &empty);
    assert_ptr_equal(map_find(&map, STR_LIT("\0")), &nul);
    assert_null(map_find(&map, STR_LIT("\0\0")));
    map_done(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(every_key_is_found_after_growing),
        cmocka_unit_test(the_last_value_of_a_key_counts),
        cmocka_unit_test(keys_may_be_empty_or_hold_any_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
