/* test_csv.c - rows out of CSV text as RFC 4180 has them, and errors that name the place. */
#include "base/csv.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "guard_page.h"
#include "test.h"

/* Rows as "a|b|c\n", which shows where cells and rows end. */
static char *flattened(struct csv *csv, enum err_code *code, struct err *err)
{
    struct buf out;
    const struct str *cells = NULL;
    int count = 0;
    buf_init(&out, 64 * 1024 * 1024);
    while (!(*code = csv_next(csv, &cells, &count, err)) && count) {
        for (int i = 0; i < count; i++) {
            buf_text(&out, i ? "|" : "");
            buf_str(&out, cells[i]);
        }
        buf_char(&out, '\n');
    }
    char *text = strdup(buf_c(&out));
    buf_done(&out);
    return text;
}

static void expect_rows(const char *text, const char *expected)
{
    struct err err = {0};
    enum err_code code;
    struct guard guard = guard_init_text(text);
    struct csv *csv = csv_new(guard.text, ',');
    char *got = flattened(csv, &code, &err);
    assert_int_equal(code, ERR_OK);
    assert_string_equal(got, expected);
    assert_int_equal(csv_bytes(csv), strlen(text));
    csv_free(csv);
    free(got);
    guard_done(&guard);
}

static void expect_error(const char *text, const char *message)
{
    struct err err = {0};
    enum err_code code;
    struct guard guard = guard_init_text(text);
    struct csv *csv = csv_new(guard.text, ',');
    free(flattened(csv, &code, &err));
    assert_int_equal(code, ERR_INVALID);
    assert_string_equal(err.msg, message);
    const struct str *cells;
    int count = 1;
    assert_int_equal(csv_next(csv, &cells, &count, &err), ERR_OK);
    assert_int_equal(count, 0);
    csv_free(csv);
    guard_done(&guard);
}

static void rows_end_with_lf_crlf_or_the_end(void **state)
{
    (void)state;
    expect_rows("a,b\n1,2\n", "a|b\n1|2\n");
    expect_rows("a,b\r\n1,2\r\n", "a|b\n1|2\n");
    expect_rows("a,b\n1,2", "a|b\n1|2\n");
    expect_rows("a,b\n1,2\r", "a|b\n1|2\n");
    expect_rows("a,\n,\n", "a|\n|\n");
    expect_rows("", "");
}

static void quoted_cells_hold_separators_line_ends_and_quotes(void **state)
{
    (void)state;
    expect_rows("\"a,b\",\"say \"\"hi\"\"\",\"two\r\nlines\"\n", "a,b|say \"hi\"|two\r\nlines\n");
    expect_rows("\"\",\"\"\"\"\n", "|\"\n");
    expect_rows("\"\"", "\n");
}

static void a_byte_order_mark_and_empty_lines_are_skipped(void **state)
{
    (void)state;
    expect_rows("\xef\xbb\xbf"
                "a,b\n",
                "a|b\n");
    expect_rows("\xef\xbb\xbf"
                "\"a,\",b\n",
                "a,|b\n");
    expect_rows("\n\r\na\n\n\r\nb\n\n", "a\nb\n");
}

static void what_the_standard_forbids_is_an_error_with_its_place(void **state)
{
    (void)state;
    expect_error("a,b\n1,2\"3\n",
                 "row 2, column 2 (line 2): a quote inside a cell that does not begin with one");
    expect_error("a,b\n\n\"x\"y,2\n", "row 2, column 2 (line 3): text behind a closing quote");
    expect_error("a\n\"x\ny", "row 2, column 1 (line 2): a quote that is never closed");
    expect_error("a\n\"x", "row 2, column 1 (line 2): a quote that is never closed");
    expect_error("a,b\rc\n",
                 "row 1, column 3 (line 1): a carriage return that does not end a line");
    expect_error("\xff\xfe"
                 "a",
                 "the file is UTF-16");
}

static void a_nul_byte_is_an_error(void **state)
{
    struct err err = {0};
    const struct str *cells;
    int count;
    (void)state;
    struct csv *csv = csv_new((struct str){"a\0b", 3}, ',');
    assert_int_equal(csv_next(csv, &cells, &count, &err), ERR_INVALID);
    assert_string_equal(err.msg, "row 1, column 1 (line 1): a NUL byte");
    csv_free(csv);
}

static void lines_are_those_of_the_file(void **state)
{
    struct err err = {0};
    const struct str *cells;
    int count;
    (void)state;
    struct csv *csv = csv_new(STR_LIT("h\n\n\"a\nb\"\nc\n"), ',');
    const int64_t lines[] = {1, 3, 5};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(csv_next(csv, &cells, &count, &err), ERR_OK);
        assert_int_equal(count, 1);
        assert_int_equal(csv_line(csv), lines[i]);
    }
    csv_free(csv);
}

static void another_separator_can_be_chosen(void **state)
{
    struct err err = {0};
    enum err_code code;
    (void)state;
    struct csv *csv = csv_new(STR_LIT("a;b,c\n"), ';');
    char *got = flattened(csv, &code, &err);
    assert_string_equal(got, "a|b,c\n");
    csv_free(csv);
    free(got);
}

static void cells_rows_and_columns_have_limits(void **state)
{
    struct err err = {0};
    enum err_code code;
    size_t size = CSV_CELL_BYTES_MAX + 1;
    char *text = malloc(size);
    (void)state;
    memset(text, 'x', size);
    struct csv *csv = csv_new((struct str){text, size}, ',');
    free(flattened(csv, &code, &err));
    assert_int_equal(code, ERR_LIMIT);
    assert_string_equal(err.msg, "row 1 (line 1): more than 1048576 bytes in one cell");
    csv_free(csv);
    memset(text, ',', size);
    csv = csv_new((struct str){text, size}, ',');
    free(flattened(csv, &code, &err));
    assert_int_equal(code, ERR_LIMIT);
    assert_string_equal(err.msg, "row 1 (line 1): more than 8192 columns");
    csv_free(csv);
    free(text);
}

static void a_row_without_end_stops_at_its_limit(void **state)
{
    struct err err = {0};
    enum err_code code;
    size_t size = (size_t)CSV_ROW_BYTES_MAX + 1024 * 1024;
    char *text = malloc(size);
    (void)state;
    memset(text, 'x', size);
    text[0] = '"';
    struct csv *csv = csv_new((struct str){text, size}, ',');
    free(flattened(csv, &code, &err));
    assert_int_equal(code, ERR_LIMIT);
    assert_string_equal(err.msg, "row 1 (line 1): more than 16777216 bytes");
    csv_free(csv);
    free(text);
}

/* 300,000 bytes cross the reader's chunks at every kind of place. */
static void a_descriptor_gives_the_same_rows_as_memory(void **state)
{
    struct err err = {0};
    enum err_code code;
    struct buf text;
    char path[] = "/tmp/slipway_test_csv_XXXXXX";
    (void)state;
    buf_init(&text, 1 << 20);
    for (int i = 0; text.len < 300000; i++)
        buf_printf(&text, "%d,\"quoted \"\"%d\"\"\r\nline\",%s\r\n", i, i * 7, i % 3 ? "x" : "");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, text.data, text.len), (ssize_t)text.len);
    lseek(fd, 0, SEEK_SET);
    struct csv *from_fd = csv_new_fd(fd, ',');
    struct csv *from_memory = csv_new(buf_view(&text), ',');
    char *a = flattened(from_fd, &code, &err);
    assert_int_equal(code, ERR_OK);
    char *b = flattened(from_memory, &code, &err);
    assert_int_equal(code, ERR_OK);
    assert_string_equal(a, b);
    assert_int_equal(csv_bytes(from_fd), text.len);
    csv_free(from_fd);
    csv_free(from_memory);
    free(a);
    free(b);
    buf_done(&text);
    close(fd);
}

static void a_written_cell_reads_back(void **state)
{
    static const char *const cells[] = {"plain", "a,b", "say \"hi\"", "two\nlines", "cr\r", ""};
    struct buf text;
    (void)state;
    buf_init(&text, 4096);
    for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
        buf_text(&text, i ? "," : "");
        csv_write_cell(&text, str_of(cells[i]));
    }
    assert_string_equal(buf_c(&text), "plain,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",\"cr\r\",");
    expect_rows(buf_c(&text), "plain|a,b|say \"hi\"|two\nlines|cr\r|\n");
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_end_with_lf_crlf_or_the_end),
        cmocka_unit_test(quoted_cells_hold_separators_line_ends_and_quotes),
        cmocka_unit_test(a_byte_order_mark_and_empty_lines_are_skipped),
        cmocka_unit_test(what_the_standard_forbids_is_an_error_with_its_place),
        cmocka_unit_test(a_nul_byte_is_an_error),
        cmocka_unit_test(lines_are_those_of_the_file),
        cmocka_unit_test(another_separator_can_be_chosen),
        cmocka_unit_test(cells_rows_and_columns_have_limits),
        cmocka_unit_test(a_row_without_end_stops_at_its_limit),
        cmocka_unit_test(a_descriptor_gives_the_same_rows_as_memory),
        cmocka_unit_test(a_written_cell_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
