/* test_arena.c - alignment, the limit, deferred functions, reset. */
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

static void memory_is_aligned_and_apart(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20);
    char *last = NULL;
    for (size_t size = 1; size < 300; size++) {
        char *p = arena_alloc(arena, size);
        char *q = arena_alloc_aligned(arena, size, 64);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_int_equal((uintptr_t)q % 64, 0);
        memset(p, 1, size);
        memset(q, 2, size);
        assert_true(!last || *last == 2);
        last = q;
    }
    arena_free(arena);
}

static void refuses_past_its_limit_and_not_before(void **state)
{
    (void)state;
    struct arena *arena = arena_new(100000);
    assert_non_null(arena_alloc(arena, 99000));
    assert_null(arena_alloc(arena, 1001));
    assert_non_null(arena_alloc(arena, 1000));
    assert_null(arena_alloc(arena, 1));
    assert_int_equal(arena_bytes(arena), 100000);
    arena_reset(arena);
    assert_int_equal(arena_bytes(arena), 0);
    assert_null(arena_alloc(arena, SIZE_MAX));
    assert_null(arena_calloc(arena, SIZE_MAX / 2, 3));
    assert_null(arena_copy(arena, "", SIZE_MAX));
    assert_non_null(arena_alloc(arena, 100000));
    arena_free(arena);
}

static void zeroes_copies_and_formats(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20);
    char long_text[1000];
    memset(arena_alloc(arena, 20000), 0xff, 20000);
    arena_reset(arena);
    const unsigned char *zeroed = arena_calloc(arena, 100, 10);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(zeroed[i], 0);
    assert_memory_equal(arena_copy(arena, "a\0b", 3), "a\0b", 4);
    assert_string_equal(arena_copy(arena, NULL, 0), "");
    memset(long_text, 'y', 999);
    long_text[999] = '\0';
    assert_string_equal(arena_printf(arena, "%s", long_text), long_text);
    assert_string_equal(arena_printf(arena, "%d rows", 7), "7 rows");
    arena_free(arena);
}

static char calls[8];

static void note_call(void *arg)
{
    strncat(calls, arg, 1);
}

static void deferred_functions_run_last_first_and_once(void **state)
{
    (void)state;
    char a[] = "a", b[] = "b";
    struct arena *arena = arena_new(1 << 16);
    calls[0] = '\0';
    assert_int_equal(arena_defer(arena, note_call, a), 0);
    assert_int_equal(arena_defer(arena, note_call, b), 0);
    arena_reset(arena);
    assert_string_equal(calls, "ba");
    arena_free(arena);
    assert_string_equal(calls, "ba");
    arena_free(NULL);
}

static void a_full_arena_leaves_the_resource_to_the_caller(void **state)
{
    (void)state;
    struct arena *arena = arena_new(8);
    calls[0] = '\0';
    assert_int_equal(arena_defer(arena, note_call, calls), -1);
    arena_free(arena);
    assert_string_equal(calls, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_and_apart),
        cmocka_unit_test(refuses_past_its_limit_and_not_before),
        cmocka_unit_test(zeroes_copies_and_formats),
        cmocka_unit_test(deferred_functions_run_last_first_and_once),
        cmocka_unit_test(a_full_arena_leaves_the_resource_to_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
