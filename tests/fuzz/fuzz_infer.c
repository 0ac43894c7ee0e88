/* fuzz_infer.c - any CSV bytes through inference: the draft must parse, and must not reject the
 * rows it was made from. The first byte chooses the options. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "contract/check_csv.h"
#include "contract/infer.h"

enum { ARENA_BYTES = 64 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_draft(struct str yaml, struct str rows, struct arena *arena)
{
    struct contract *c = NULL;
    struct check_report *report = NULL;
    struct err err = {0};
    if (contract_parse(yaml, &c, &err) != ERR_OK) {
        fprintf(stderr, "%s\n%.*s", err.msg, STR_ARG(yaml));
        abort();
    }
    enum err_code code = contract_check_csv(c, rows, arena, &report, &err);
    if (code != ERR_OK || report->rejected_row_count) {
        fprintf(stderr, "%s\n%.*s", code ? err.msg : report->examples[0].violation.expected,
                STR_ARG(yaml));
        abort();
    }
    contract_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a", "b"};
    if (size == 0)
        return 0;
    struct infer_options options = {
        .label = data[0] & 1 ? "b" : NULL,
        .keys = names,
        .key_count = data[0] & 2 ? 1 : 0,
        .required_rows_min = data[0] & 4 ? 1 : 0,
        .categories_max = data[0] & 8 ? 2 : 0,
    };
    struct str rows = {(const char *)data + 1, size - 1};
    struct arena *arena = arena_new(ARENA_BYTES);
    struct infer_report report;
    struct buf yaml;
    struct err err = {0};
    struct csv *csv = csv_new(rows, ',');
    buf_init(&yaml, CONTRACT_BYTES_MAX);
    if (contract_infer(csv, &options, arena, &yaml, &report, &err) == ERR_OK)
        check_draft(buf_view(&yaml), rows, arena);
    else
        assert(err.msg[0] && yaml.len == 0);
    csv_free(csv);
    buf_done(&yaml);
    arena_free(arena);
    return 0;
}
