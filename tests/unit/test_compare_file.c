/* test_compare_file.c - a comparison is read as it was written, and from no shorter bytes. */
#include "rollout/compare_file.h"

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

static const struct str names[] = {STR_LIT("no"), STR_LIT("yes")};

/* 300 rows of 150 slices, every third of which flips: more than there is room for by name. */
static void fill(struct compare *compare)
{
    compare_init(compare, 2, names);
    for (int i = 0; i < 300; i++) {
        char id[16], slice[24];
        int id_len = snprintf(id, sizeof(id), "r%d", i);
        int slice_len = snprintf(slice, sizeof(slice), "country=%d", i % 150);
        const struct str slices[] = {{slice, (size_t)slice_len}};
        struct compare_row row = {.request_id = {id, (size_t)id_len}, .row = i};
        row.stable = (struct record_answer){true, 1, true, 0.75f, 0.75f};
        row.shadow = (struct record_answer){true, i % 3 ? 1 : 0, true, 0.6f, 0.4f};
        row.delta = 0.35;
        row.slices = slices;
        row.slice_count = 1;
        compare_add(compare, &row);
    }
    compare->errors = 3;
    compare->refused = 2;
}

static void write_json(const struct compare *compare, struct buf *out)
{
    struct json_writer w = {.out = out};
    buf_init(out, 1 << 20);
    json_begin_object(&w);
    compare_write(compare, &w);
    json_end_object(&w);
}

static void what_was_written_is_read(void **state)
{
    static struct compare before, after;
    struct buf bytes, json_before, json_after;
    (void)state;
    fill(&before);
    buf_init(&bytes, COMPARE_FILE_BYTES_MAX);
    compare_format(&before, &bytes);
    assert_false(bytes.is_full);
    compare_init(&after, 2, names);
    struct reading r = {bytes.data, bytes.data + bytes.len, false};
    assert_true(compare_parse(&r, &after));
    assert_ptr_equal(r.at, r.end);
    write_json(&before, &json_before);
    write_json(&after, &json_after);
    assert_true(str_equal(buf_view(&json_before), buf_view(&json_after)));
    buf_done(&json_before);
    buf_done(&json_after);
    buf_done(&bytes);
}

static void fewer_bytes_change_nothing(void **state)
{
    static struct compare before, after;
    struct buf bytes;
    (void)state;
    fill(&before);
    buf_init(&bytes, COMPARE_FILE_BYTES_MAX);
    compare_format(&before, &bytes);
    compare_init(&after, 2, names);
    for (size_t len = 0; len < bytes.len; len += 61) {
        struct reading r = {bytes.data, bytes.data + len, false};
        assert_false(compare_parse(&r, &after));
        assert_int_equal(after.rows, 0);
    }
    compare_init(&after, 3, NULL);
    struct reading r = {bytes.data, bytes.data + bytes.len, false};
    assert_false(compare_parse(&r, &after));
    buf_done(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(fewer_bytes_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
