/* test_ubjson.c - the UBJSON reader: every kind of value, and every way a file can lie. */
#include <stdlib.h>
#include <string.h>

#include "guard_page.h"
#include "runtime/ubjson.h"
#include "test.h"

enum { ARENA_BYTES = 1 << 20 };

static enum err_code read_in(struct arena *arena, const void *bytes, size_t size,
                             const struct ubjson_value **root, struct err *err)
{
    arena_reset(arena);
    return ubjson_read(bytes, size, arena, root, err);
}

#define READ(arena, literal, root, err)                                                            \
    read_in((arena), (literal), sizeof(literal) - 1, (root), (err))

static void reads_every_kind_of_value(void **state)
{
    (void)state;
    static const char text[] = "{i\1aZ"
                               "i\1bT"
                               "i\1cF"
                               "i\1di\xfe"                             /* -2 */
                               "i\1eU\xfe"                             /* 254 */
                               "i\1fI\xff\0"                           /* -256 */
                               "i\1gl\0\1\0\0"                         /* 65536 */
                               "i\1hL\xff\xff\xff\xff\xff\xff\xff\xff" /* -1 */
                               "i\1id\x3f\x80\0\0"                     /* 1 */
                               "i\1jD\xc0\0\0\0\0\0\0\0"               /* -2 */
                               "i\1kSi\2hi"
                               "i\1lCx"
                               "i\1m[#i\2ZT"
                               "i\1n[NZN]"
                               "i\1o[$I#i\2\0\1\xff\xff"
                               "i\1p{#i\1i\1qZ"
                               "}";
    static const int64_t integers[] = {-2, 254, -256, 65536, -1};
    struct arena *arena = arena_new(ARENA_BYTES);
    const struct ubjson_value *root = NULL;
    struct err err = {0};
    assert_int_equal(READ(arena, text, &root, &err), ERR_OK);
    assert_int_equal(root->kind, UBJSON_OBJECT);
    assert_int_equal(root->count, 16);
    assert_int_equal(ubjson_find(root, "a")->kind, UBJSON_NULL);
    assert_int_equal(ubjson_find(root, "b")->integer, 1);
    assert_int_equal(ubjson_find(root, "c")->integer, 0);
    for (int i = 0; i < 5; i++) {
        const char key[2] = {(char)('d' + i), 0};
        assert_int_equal(ubjson_find(root, key)->kind, UBJSON_INTEGER);
        assert_int_equal(ubjson_find(root, key)->integer, integers[i]);
    }
    assert_true(ubjson_find(root, "i")->real == 1.0 && ubjson_find(root, "j")->real == -2.0);
    assert_true(str_equal_c(ubjson_find(root, "k")->text, "hi"));
    assert_true(str_equal_c(ubjson_find(root, "l")->text, "x"));
    assert_int_equal(ubjson_find(root, "m")->first->next->kind, UBJSON_BOOL);
    assert_int_equal(ubjson_find(root, "n")->count, 1);
    const struct ubjson_value *packed = ubjson_find(root, "o");
    assert_int_equal(packed->kind, UBJSON_PACKED);
    assert_true(ubjson_number(packed->marker, packed->packed + 2) == -1.0);
    assert_int_equal(ubjson_find(ubjson_find(root, "p"), "q")->kind, UBJSON_NULL);
    assert_null(ubjson_find(root, "z"));
    arena_free(arena);
}

#define CASE(literal, code, says) {literal, sizeof(literal) - 1, code, says}

static const struct {
    const char *bytes;
    size_t size;
    enum err_code code;
    const char *says;
} lies[] = {
    CASE("", ERR_INVALID, "ends at byte 0 inside the document"),
    CASE("q", ERR_INVALID, "at byte 0: 0x71 is not a value's marker"),
    CASE("{}x", ERR_INVALID, "ends at byte 2, but the file has 3 bytes"),
    CASE("{", ERR_INVALID, "ends at byte 1 inside a container"),
    CASE("[Z", ERR_INVALID, "ends at byte 2 inside a container"),
    CASE("[}", ERR_INVALID, "0x7d is not a value's marker"),
    CASE("Si\5hi", ERR_INVALID, "a text claims length 5, 2 bytes are left"),
    CASE("Si\xff", ERR_INVALID, "a text claims length -1"),
    CASE("SL\x7f\xff\xff\xff\xff\xff\xff\xff", ERR_INVALID, "a text claims length"),
    CASE("Sd\0\0\0\0", ERR_INVALID, "the length of a text is not an integer"),
    CASE("l\0\0\0", ERR_INVALID, "ends at byte 1 inside a number"),
    CASE("C", ERR_INVALID, "inside a character"),
    CASE("[#i\3ZZ", ERR_INVALID, "a container claims length 3, 2 bytes are left"),
    CASE("[$d#i\2\0\0\0\0", ERR_INVALID, "inside an array of numbers"),
    CASE("[$d#L\x40\0\0\0\0\0\0\0", ERR_INVALID, "claims length"),
    CASE("[$Z#i\0", ERR_UNSUPPORTED, "not a counted array of numbers"),
    CASE("[$T#L\0\xff\xff\xff\xff\xff\xff\xff", ERR_UNSUPPORTED, "not a counted array of numbers"),
    CASE("[$i]", ERR_UNSUPPORTED, "not a counted array of numbers"),
    CASE("{$i#i\1", ERR_INVALID, "not an integer"),
    CASE("Hi\1\x31", ERR_INVALID, "0x48 is not a value's marker"),
};

static void lies_are_named_with_their_offset(void **state)
{
    (void)state;
    struct arena *arena = arena_new(ARENA_BYTES);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        const struct ubjson_value *untouched = (const void *)lies, *root = untouched;
        struct err err = {0};
        struct guard guard = guard_init(lies[i].bytes, lies[i].size);
        enum err_code code = read_in(arena, guard.text.ptr, lies[i].size, &root, &err);
        if (code != lies[i].code || !strstr(err.msg, lies[i].says))
            fail_msg("case %zu: code %d, '%s'", i, code, err.msg);
        assert_ptr_equal(root, untouched);
        guard_done(&guard);
    }
    arena_free(arena);
}

static void depth_values_and_memory_have_limits(void **state)
{
    (void)state;
    enum { BYTES = UBJSON_VALUES_MAX + 2 };
    char *bytes = malloc(BYTES);
    struct arena *arena = arena_new(ARENA_BYTES);
    const struct ubjson_value *root = NULL;
    struct err err = {0};
    memset(bytes, '[', UBJSON_DEPTH_MAX);
    memset(bytes + UBJSON_DEPTH_MAX, ']', UBJSON_DEPTH_MAX);
    assert_int_equal(read_in(arena, bytes, 2 * UBJSON_DEPTH_MAX, &root, &err), ERR_OK);
    memset(bytes, '[', BYTES);
    assert_int_equal(read_in(arena, bytes, BYTES, &root, &err), ERR_LIMIT);
    assert_string_equal(err.msg, "UBJSON at byte 33: deeper than 32 containers");
    memset(bytes + 1, 'Z', BYTES - 1);
    assert_int_equal(read_in(arena, bytes, BYTES, &root, &err), ERR_LIMIT);
    arena_free(arena);
    arena = arena_new((size_t)1 << 30);
    assert_int_equal(read_in(arena, bytes, BYTES, &root, &err), ERR_LIMIT);
    assert_string_equal(err.msg, "UBJSON at byte 4194305: the file has too many values");
    arena_free(arena);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_kind_of_value),
        cmocka_unit_test(lies_are_named_with_their_offset),
        cmocka_unit_test(depth_values_and_memory_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
