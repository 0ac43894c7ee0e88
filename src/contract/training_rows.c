/* training_rows.c - digests of training rows: made at infer, looked up at the gate. */
#include "contract/training_rows.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/yaml.h"
#include "contract/place.h"

enum {
    DIGEST_BITS = 40,
    DIGEST_HEX = 10,
    BATCH_ROWS = 256,
    BATCH_BYTES_MAX = 256 * 1024 * 1024,
};

/* Fixed: the same row has the same digest on every machine. */
static const uint64_t digest_key[2] = {UINT64_C(0x736c69707761792d), UINT64_C(0x7472616964726f77)};

/* ---- one row ---- */

static void append_value(struct buf *out, const struct contract_field *field, float value)
{
    uint32_t bits;
    if (isnan(value)) {
        buf_char(out, 'm');
        return;
    }
    if (field->is_coded) {
        struct str text = field->categories[(int)value];
        buf_char(out, 'c');
        buf_i64(out, (int64_t)text.len);
        buf_str(out, text);
        return;
    }
    value = value == 0 ? 0 : value; /* -0 */
    memcpy(&bits, &value, sizeof(bits));
    buf_char(out, 'n');
    for (int shift = 0; shift < 32; shift += 8)
        buf_char(out, (char)(bits >> shift & 0xff));
}

uint64_t training_row_digest(const struct rows *rows, int64_t row)
{
    const struct contract *contract = rows->contract;
    struct buf bytes;
    buf_init(&bytes, CONTRACT_MEMORY_BYTES_MAX);
    for (int i = 0; i < contract->feature_count; i++) {
        int column = contract->feature_columns[i];
        append_value(&bytes, contract->values[column],
                     rows->values[row * contract->value_count + column]);
    }
    uint64_t digest = hash_sip(digest_key, bytes.data, bytes.len) >> (64 - DIGEST_BITS);
    buf_done(&bytes);
    return digest;
}

uint64_t training_rows_features(const struct contract *contract)
{
    struct buf bytes;
    buf_init(&bytes, CONTRACT_MEMORY_BYTES_MAX);
    for (int i = 0; i < contract->feature_count; i++) {
        const struct contract_field *field = contract->values[contract->feature_columns[i]];
        buf_append(&bytes, field->name, field->name_len + 1);
        buf_char(&bytes, field->is_coded ? 'c' : 'n');
    }
    uint64_t digest = hash_sip(digest_key, bytes.data, bytes.len);
    buf_done(&bytes);
    return digest;
}

/* ---- collecting ---- */

struct collector {
    const struct contract *contract;
    const struct contract_field **columns; /* [column_count]; NULL: no input */
    int column_count;
    uint64_t *digests; /* [count], owned */
    size_t count, capacity;
};

static void keep_digest(struct collector *c, uint64_t digest)
{
    if (c->count == c->capacity) {
        c->capacity = c->capacity ? 2 * c->capacity : 1024;
        c->digests = realloc(c->digests, c->capacity * sizeof(*c->digests));
        if (!c->digests)
            abort();
    }
    c->digests[c->count++] = digest;
}

static enum err_code read_header(struct collector *c, struct csv *csv, struct arena *arena,
                                 struct err *err)
{
    const struct str *cells;
    enum err_code rc = csv_next(csv, &cells, &c->column_count, err);
    if (rc)
        return rc;
    c->columns = arena_calloc(arena, (size_t)c->column_count, sizeof(*c->columns));
    if (!c->columns)
        return err_set(err, ERR_LIMIT, "no room for %d columns", c->column_count);
    for (int i = 0; i < c->column_count; i++) {
        const struct contract_field *field = contract_field_find(c->contract, str_trim(cells[i]));
        bool is_value = field && field->input_index >= 0 && !field->is_text;
        c->columns[i] = is_value ? field : NULL;
    }
    return ERR_OK;
}

static enum err_code take_batch(struct collector *c, struct csv *csv, struct arena *arena,
                                bool *is_end, struct err *err)
{
    const struct str *cells;
    int count = 0, taken = 0;
    struct rows rows;
    enum err_code rc = rows_begin(&rows, c->contract, BATCH_ROWS, arena, err);
    while (!rc && taken < BATCH_ROWS) {
        rc = csv_next(csv, &cells, &count, err);
        *is_end = count == 0;
        if (rc || *is_end)
            break;
        for (int i = 0; i < count && i < c->column_count; i++)
            if (c->columns[i])
                rows_put_csv(&rows, taken, c->columns[i], cells[i]);
        keep_digest(c, training_row_digest(&rows, taken++));
    }
    return rc;
}

static enum err_code collect(struct collector *c, struct csv *csv, struct err *err)
{
    struct arena *arena = arena_new(BATCH_BYTES_MAX), *batch = arena_new(BATCH_BYTES_MAX);
    bool is_end = false;
    enum err_code rc = read_header(c, csv, arena, err);
    while (!rc && !is_end) {
        rc = take_batch(c, csv, batch, &is_end, err);
        arena_reset(batch);
    }
    arena_free(batch);
    arena_free(arena);
    return rc;
}

static int by_digest(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Sorted, each once. Returns how many there were more than once. */
static int64_t sort_digests(struct collector *c)
{
    size_t kept = 0;
    if (c->count == 0)
        return 0;
    qsort(c->digests, c->count, sizeof(*c->digests), by_digest);
    for (size_t i = 0; i < c->count; i++)
        if (kept == 0 || c->digests[i] != c->digests[kept - 1])
            c->digests[kept++] = c->digests[i];
    int64_t repeated = (int64_t)(c->count - kept);
    c->count = kept;
    return repeated;
}

/* ---- the property ---- */

static yyjson_mut_val *property_of(yyjson_mut_doc *doc, const struct collector *c, int64_t rows,
                                   int64_t repeated, struct buf *hex)
{
    char features[17];
    size_t kept = c->count < TRAINING_ROWS_KEPT ? c->count : TRAINING_ROWS_KEPT;
    yyjson_mut_val *custom = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_str(doc, custom, "property", TRAINING_ROWS_PROPERTY);
    yyjson_mut_val *value = yyjson_mut_obj_add_obj(doc, custom, "value");
    yyjson_mut_obj_add_sint(doc, value, "n", rows);
    yyjson_mut_obj_add_sint(doc, value, "repeated", repeated);
    snprintf(features, sizeof(features), "%016llx",
             (unsigned long long)training_rows_features(c->contract));
    yyjson_mut_obj_add_strcpy(doc, value, "features", features);
    for (size_t i = 0; i < kept; i++)
        buf_printf(hex, "%010llx", (unsigned long long)c->digests[i]);
    yyjson_mut_obj_add_strncpy(doc, value, "digests", hex->data, hex->len);
    return custom;
}

static void write_property(const struct collector *c, int64_t rows, int64_t repeated,
                           yyjson_val *root, struct buf *yaml)
{
    struct buf hex;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        abort();
    buf_init(&hex, (size_t)TRAINING_ROWS_KEPT * DIGEST_HEX);
    yyjson_mut_val *copy = yyjson_val_mut_copy(doc, root);
    yyjson_mut_doc_set_root(doc, copy);
    yyjson_mut_val *customs = yyjson_mut_obj_get(copy, "customProperties");
    if (!customs)
        customs = yyjson_mut_obj_add_arr(doc, copy, "customProperties");
    yyjson_mut_arr_append(customs, property_of(doc, c, rows, repeated, &hex));
    yyjson_doc *whole = yyjson_mut_doc_imut_copy(doc, NULL);
    buf_clear(yaml);
    yaml_write(yaml, yyjson_doc_get_root(whole));
    yyjson_doc_free(whole);
    yyjson_mut_doc_free(doc);
    buf_done(&hex);
}

enum err_code training_rows_add(struct csv *csv, struct arena *arena, struct buf *yaml,
                                struct err *err)
{
    struct contract *contract = NULL;
    yyjson_val *root;
    enum err_code rc = contract_parse(buf_view(yaml), &contract, err);
    if (!rc)
        rc = yaml_read(buf_view(yaml), arena, &root, err);
    struct collector c = {.contract = contract};
    if (!rc)
        rc = collect(&c, csv, err);
    if (!rc) {
        int64_t rows = (int64_t)c.count, repeated = sort_digests(&c);
        write_property(&c, rows, repeated, root, yaml);
    }
    free(c.digests);
    contract_free(contract);
    return rc;
}

/* ---- looking up ---- */

static enum err_code read_digests(struct place *place, struct str hex, struct training_rows *rows)
{
    size_t count = hex.len / DIGEST_HEX;
    uint64_t *digests = arena_calloc(place->arena, count, sizeof(*digests));
    if (!digests)
        return place_full(place);
    if (hex.len % DIGEST_HEX || count > TRAINING_ROWS_KEPT)
        return place_fail_at(place, "digests", "expected at most %d times %d hex digits",
                             TRAINING_ROWS_KEPT, DIGEST_HEX);
    for (size_t i = 0; i < count; i++) {
        uint8_t bytes[DIGEST_HEX / 2];
        if (!str_unhex((struct str){hex.ptr + i * DIGEST_HEX, DIGEST_HEX}, bytes, sizeof(bytes)))
            return place_fail_at(place, "digests", "expected hex digits");
        for (size_t k = 0; k < sizeof(bytes); k++)
            digests[i] = digests[i] << 8 | bytes[k];
        if (i > 0 && digests[i] <= digests[i - 1])
            return place_fail_at(place, "digests", "must ascend");
    }
    rows->digests = digests;
    rows->kept_count = (int)count;
    return ERR_OK;
}

static enum err_code read_value(struct place *place, yyjson_val *value, struct training_rows *rows)
{
    static const char *const keys[] = {"n", "repeated", "features", "digests", NULL};
    const char *features = NULL, *digests = "";
    double n = 0, repeated = 0;
    bool is_there;
    uint8_t bytes[8];
    if (!yyjson_is_obj(value))
        return place_fail(place, "expected an object, got %s", place_describe(place, value));
    enum err_code rc = place_check_keys(place, value, keys);
    if (!rc)
        rc = place_number(place, value, "n", &n, &is_there);
    if (!rc)
        rc = place_number(place, value, "repeated", &repeated, &is_there);
    if (!rc)
        rc = place_text(place, value, "features", &features);
    if (!rc)
        rc = place_text(place, value, "digests", &digests);
    if (!rc && (!(n >= 0 && n < 1e15) || !(repeated >= 0 && repeated <= n)))
        rc = place_fail(place, "expected counts n and repeated, got %g and %g", n, repeated);
    if (!rc &&
        (!features || !str_unhex(str_of(features), bytes, sizeof(bytes)) || strlen(features) != 16))
        rc = place_fail_at(place, "features", "expected 16 hex digits");
    if (rc)
        return rc;
    for (size_t k = 0; k < sizeof(bytes); k++)
        rows->features = rows->features << 8 | bytes[k];
    rows->row_count = (int64_t)n;
    rows->repeated_count = (int64_t)repeated;
    rc = read_digests(place, str_of(digests), rows);
    rows->is_whole = rows->row_count - rows->repeated_count <= rows->kept_count;
    return rc;
}

enum err_code training_rows_find(struct str document, struct arena *arena,
                                 struct training_rows *rows, bool *is_there, struct err *err)
{
    yyjson_val *root, *custom;
    size_t i, count;
    struct place place = {.arena = arena, .err = err};
    *rows = (struct training_rows){0};
    *is_there = false;
    enum err_code rc = yaml_read(document, arena, &root, err);
    if (rc)
        return rc;
    yyjson_val *customs = yyjson_obj_get(root, "customProperties");
    yyjson_arr_foreach(customs, i, count, custom)
    {
        yyjson_val *name = yyjson_obj_get(custom, "property");
        if (!yyjson_is_str(name) || !str_equal_c(json_str(name), TRAINING_ROWS_PROPERTY))
            continue;
        *is_there = true;
        place_push(&place, "customProperties[%zu].value", i);
        return read_value(&place, yyjson_obj_get(custom, "value"), rows);
    }
    return ERR_OK;
}

bool training_rows_covers(const struct training_rows *rows, uint64_t digest)
{
    return rows->is_whole || (rows->kept_count && digest <= rows->digests[rows->kept_count - 1]);
}

bool training_rows_has(const struct training_rows *rows, uint64_t digest)
{
    return rows->kept_count && bsearch(&digest, rows->digests, (size_t)rows->kept_count,
                                       sizeof(*rows->digests), by_digest) != NULL;
}
