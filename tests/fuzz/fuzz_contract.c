/* fuzz_contract.c - any bytes as a contract, and the rest of them as rows against it.
 *
 *     contract bytes ... \0 rows ...    the part behind the first NUL is a CSV file
 *
 * A document that parses must compare as equal with itself, must have a schema that is JSON, and
 * must judge any rows without reading outside them.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "contract/check_csv.h"
#include "contract/compare.h"
#include "contract/fit.h"
#include "contract/schema.h"
#include "contract/training_rows.h"

enum { ARENA_BYTES = 64 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_schema(const struct contract *c, struct arena *arena)
{
    struct buf out;
    struct err err = {0};
    yyjson_val *root = NULL;
    buf_init(&out, ARENA_BYTES);
    contract_json_schema(c, &out);
    enum err_code code = json_read(buf_view(&out), arena, &root, &err);
    assert(out.is_full || code == ERR_OK || code == ERR_LIMIT);
    buf_done(&out);
}

static void check_comparison(const struct contract *c, struct arena *arena)
{
    struct contract_comparison comparison;
    struct err err = {0};
    if (contract_compare(c, c, arena, &comparison, &err) == ERR_OK)
        assert(comparison.is_compatible && comparison.count == 0);
}

static void check_fit(const struct contract *c)
{
    static int order[CONTRACT_FIELDS_MAX];
    struct err err = {0};
    struct contract_fit model = {.feature_count = c->feature_count, .class_count = 2};
    if (contract_fit(c, &model, order, &err) == ERR_OK && c->feature_count)
        assert(order[c->feature_count - 1] == c->feature_count - 1);
}

static void check_rows(const struct contract *c, struct str csv, struct arena *arena)
{
    struct check_report *report = NULL;
    struct err err = {0};
    if (contract_check_csv(c, csv, arena, &report, &err) == ERR_OK)
        assert(report->rejected_row_count <= report->bad_row_count);
    else
        assert(err.msg[0]);
}

/* The same cells as a matrix: every value is then within bounds, missing, or counted. */
static void check_matrix(const struct contract *c, struct str bytes, struct arena *arena)
{
    struct rows rows;
    struct err err = {0};
    size_t row_bytes = (size_t)c->feature_count * sizeof(float);
    int64_t count = row_bytes ? (int64_t)(bytes.len / row_bytes) : 0;
    float *matrix = arena_alloc(arena, (size_t)count * row_bytes);
    if (!matrix || count == 0 || rows_begin(&rows, c, count, arena, &err) != ERR_OK)
        return;
    memcpy(matrix, bytes.ptr, (size_t)count * row_bytes);
    rows_put_matrix(&rows, matrix);
    enum err_code code = rows_check(&rows, &err);
    assert((code == ERR_VIOLATION) == rows.is_rejected || code == ERR_LIMIT);
    const float *features = rows_features(&rows);
    for (int64_t i = 0; code == ERR_OK && features && i < count * c->feature_count; i++)
        assert(features[i] - features[i] == 0 || features[i] != features[i]);
}

/* Digests of training rows ascend, and each is found. */
static void check_training_rows(struct str text, struct arena *arena)
{
    struct training_rows rows;
    struct err err = {0};
    bool is_there = false;
    if (training_rows_find(text, arena, &rows, &is_there, &err) != ERR_OK || !is_there)
        return;
    for (int i = 0; i < rows.kept_count; i++) {
        assert(i == 0 || rows.digests[i - 1] < rows.digests[i]);
        assert(training_rows_covers(&rows, rows.digests[i]));
        assert(training_rows_has(&rows, rows.digests[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size}, rest = {0};
    const char *end = size ? memchr(data, '\0', size) : NULL;
    struct contract *c = NULL;
    struct err err = {0};
    if (end) {
        rest = (struct str){end + 1, size - (size_t)(end + 1 - text.ptr)};
        text.len = (size_t)(end - text.ptr);
    }
    if (contract_parse(text, &c, &err) != ERR_OK) {
        assert(err.msg[0] && !c);
        return 0;
    }
    struct arena *arena = arena_new(ARENA_BYTES);
    check_schema(c, arena);
    check_comparison(c, arena);
    check_fit(c);
    check_training_rows(text, arena);
    check_rows(c, rest, arena);
    check_matrix(c, rest, arena);
    arena_free(arena);
    contract_free(c);
    return 0;
}
