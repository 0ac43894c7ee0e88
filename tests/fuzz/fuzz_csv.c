/* fuzz_csv.c - any bytes through the CSV reader: what it accepts must survive being written. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/csv.h"

enum { TEXT_BYTES_MAX = 64 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Rows as CSV text in the one form the writer has. */
static enum err_code rewritten(struct str text, struct buf *out)
{
    const struct str *cells = NULL;
    int count = 0;
    struct err err = {0};
    enum err_code code;
    struct csv *csv = csv_new(text, ',');
    while (!(code = csv_next(csv, &cells, &count, &err)) && count) {
        if (count == 1 && cells[0].len == 0)
            buf_lit(out, "\"\"");
        for (int i = 0; i < count; i++) {
            buf_text(out, i ? "," : "");
            csv_write_cell(out, cells[i]);
        }
        buf_char(out, '\n');
        assert(csv_line(csv) > 0);
    }
    assert((size_t)csv_bytes(csv) <= text.len);
    assert(code == ERR_OK || err.msg[0]);
    csv_free(csv);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf once, twice;
    buf_init(&once, TEXT_BYTES_MAX);
    buf_init(&twice, TEXT_BYTES_MAX);
    if (rewritten((struct str){(const char *)data, size}, &once) == ERR_OK) {
        enum err_code code = rewritten(buf_view(&once), &twice);
        assert(code == ERR_OK && str_equal(buf_view(&once), buf_view(&twice)));
    }
    buf_done(&once);
    buf_done(&twice);
    return 0;
}
