/* record_erase.c - one subject's rows out of all segments.
 *
 *     seal what is being written; for each segment with such a row:
 *         0000000007.seg -> 0000000007.seg.new without them, durable -> renamed over the old one
 *
 * A row among others of its request leaves a place without contents, so that the others keep their
 * ids; a request whose rows are all gone leaves nothing.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "contract/check.h"
#include "monitor/record_code.h"
#include "monitor/record_store_own.h"
#include "monitor/segment_own.h"
#include "monitor/segment_writer.h"

struct erasure {
    struct record_store *store;
    const char *model;
    struct str field, key;
    struct arena *arena; /* of one record */
    struct record_erased *erased;
    bool has_column;        /* some record of the model has it */
    record_visit_fn *visit; /* NULL: nobody is told of a row */
    void *visit_arg;
};

/* The column of texts that is meant; -1 when the schema has none. */
static int column_of(const struct erasure *e, const struct record_schema *schema)
{
    for (int i = 0; i < schema->text_count; i++)
        if (strcmp(schema->model, e->model) == 0 && str_equal_c(e->field, schema->texts[i].name))
            return i;
    return -1;
}

/* How many rows are the subject's; is_hit [row_count] says which, in the arena. */
static int64_t find_rows(struct erasure *e, const struct record *record, bool **is_hit)
{
    char pseudonym[PSEUDONYM_BYTES];
    int64_t count = 0;
    int column = column_of(e, record->schema);
    if (column < 0)
        return 0;
    e->has_column = true;
    if (!record->texts)
        return 0;
    struct str wanted =
        record_store_kept_text(e->store, &record->schema->texts[column], e->key, pseudonym);
    *is_hit = arena_calloc(e->arena, (size_t)record->row_count, sizeof(**is_hit));
    assert(*is_hit);
    for (int64_t row = 0; row < record->row_count; row++) {
        struct str text = record->texts[row * record->schema->text_count + column];
        (*is_hit)[row] = text.ptr && !record_is_erased(record, row) && str_equal(text, wanted);
        count += (*is_hit)[row];
    }
    return count;
}

static int64_t visit_rows(struct erasure *e, const struct record *record)
{
    bool *is_hit = NULL;
    int64_t hits = find_rows(e, record, &is_hit);
    for (int64_t row = 0; e->visit && hits && row < record->row_count; row++)
        if (is_hit[row])
            e->visit(e->visit_arg, record, row);
    return hits;
}

/* ---- a record without some rows ---- */

static void *copy_of(struct arena *arena, const void *from, size_t bytes)
{
    void *copy = arena_alloc(arena, bytes);
    assert(copy);
    if (bytes)
        memcpy(copy, from, bytes);
    return copy;
}

static const float *blank_values(struct erasure *e, const struct record *record, const bool *is_hit)
{
    size_t width = (size_t)record->schema->value_count;
    const float absent = cell_of(CELL_ABSENT);
    float *values =
        copy_of(e->arena, record->values, (size_t)record->row_count * width * sizeof(*values));
    for (int64_t row = 0; row < record->row_count; row++)
        for (size_t i = 0; is_hit[row] && i < width; i++)
            values[(size_t)row * width + i] = absent;
    return values;
}

static const struct str *blank_texts(struct erasure *e, const struct record *record,
                                     const bool *is_hit)
{
    size_t width = (size_t)record->schema->text_count;
    struct str *texts =
        copy_of(e->arena, record->texts, (size_t)record->row_count * width * sizeof(*texts));
    for (int64_t row = 0; row < record->row_count; row++)
        if (is_hit[row])
            memset(&texts[(size_t)row * width], 0, width * sizeof(*texts));
    return texts;
}

static const uint8_t *flag_rows(struct erasure *e, const struct record *record, const bool *is_hit)
{
    uint8_t *flags = arena_calloc(e->arena, (size_t)record->row_count, sizeof(*flags));
    assert(flags);
    for (int64_t row = 0; row < record->row_count; row++)
        flags[row] = is_hit[row] ? ROW_ERASED : record->is_suspect ? record->is_suspect[row] : 0;
    return flags;
}

/* Zeros, and for texts none. */
static void blank_output(struct erasure *e, struct tensor *output, int64_t rows, const bool *is_hit)
{
    int64_t elements = tensor_elements(output->shape, output->rank);
    if (!output->data || elements <= 0)
        return;
    size_t width = (size_t)(elements / rows);
    size_t bytes = output->dtype == DTYPE_BYTES ? sizeof(struct str) : dtype_bytes(output->dtype);
    char *data = copy_of(e->arena, output->data, (size_t)elements * bytes);
    for (int64_t row = 0; row < rows; row++)
        if (is_hit[row])
            memset(data + (size_t)row * width * bytes, 0, width * bytes);
    output->data = data;
}

static void blank_rows(struct erasure *e, struct record *record, const bool *is_hit)
{
    record->values = blank_values(e, record, is_hit);
    record->texts = blank_texts(e, record, is_hit);
    record->is_suspect = flag_rows(e, record, is_hit);
    struct tensor *outputs =
        copy_of(e->arena, record->outputs, (size_t)record->output_count * sizeof(*outputs));
    for (int i = 0; i < record->output_count; i++)
        blank_output(e, &outputs[i], record->row_count, is_hit);
    record->outputs = outputs;
}

/* ---- a segment without some rows ---- */

static bool all_gone(const struct record *record)
{
    for (int64_t row = 0; row < record->row_count; row++)
        if (!record_is_erased(record, row))
            return false;
    return true;
}

static void keep_rest(struct erasure *e, struct record *record, struct record_block *block,
                      const uint64_t run[2])
{
    bool *is_hit = NULL;
    int64_t hits = find_rows(e, record, &is_hit);
    e->erased->row_count += (uint64_t)hits;
    if (hits)
        blank_rows(e, record, is_hit);
    if (hits && all_gone(record))
        e->erased->record_count++;
    else
        record_block_add(block, record, run);
}

/* Each record of a block in turn, to `visit` or only counted: how many rows are the subject's. */
static enum err_code walk_block(struct erasure *e, struct segment *segment,
                                const struct segment_block *from, struct record_block *to,
                                int64_t *hits, struct err *err)
{
    for (size_t at = 0, size; at < from->body_bytes; at += size) {
        uint32_t serial;
        struct record record;
        const struct record_schema *schema;
        if (!record_peek(from->body + at, from->body_bytes - at, &size, &serial))
            return err_set(err, ERR_IO, "a segment is damaged: no record where one should be");
        enum err_code rc = segment_schema(segment, serial, &schema, err);
        if (!rc)
            rc = record_decode(from->body + at, size, schema, e->arena, &record, err);
        if (rc)
            return rc;
        if (to)
            keep_rest(e, &record, to, segment->head.run);
        else
            *hits += visit_rows(e, &record);
        arena_reset(e->arena);
    }
    return ERR_OK;
}

static enum err_code rewrite_block(struct erasure *e, struct segment *old, struct segment *fresh,
                                   const struct segment_block *from, struct err *err)
{
    struct record_block *block = record_block_new();
    block->taken_before = from->taken_before;
    block->taken_with = from->taken_with;
    enum err_code rc = walk_block(e, old, from, block, NULL, err);
    if (!rc && block->record_count)
        rc = segment_add(fresh, block, err);
    record_block_free(block);
    return rc;
}

/* Every records block of a segment: into `fresh`, or NULL to count only. */
static enum err_code walk_segment(struct erasure *e, struct segment *old, struct segment *fresh,
                                  int64_t *hits, struct err *err)
{
    struct segment_buffer buffer = {0};
    struct segment_block block;
    enum err_code rc;
    uint64_t offset = SEGMENT_FIRST_OFFSET;
    while (!(rc = segment_read_block(old, offset, &buffer, &block, err))) {
        offset = block.next;
        if (block.kind != SEGMENT_RECORDS)
            continue;
        rc = fresh ? rewrite_block(e, old, fresh, &block, err)
                   : walk_block(e, old, &block, NULL, hits, err);
        if (rc)
            break;
    }
    segment_buffer_done(&buffer);
    return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

/* The new file in the place of the old one, which stays as it is after a failure. */
static enum err_code rewrite_segment(struct erasure *e, struct segment *old, struct err *err)
{
    struct record_store *store = e->store;
    char name[SEGMENT_NAME_BYTES], temporary[SEGMENT_NAME_BYTES + 8];
    int64_t number = (int64_t)old->head.number;
    struct segment *fresh = NULL, *sealed;
    segment_name(number, name);
    snprintf(temporary, sizeof(temporary), "%s.new", name);
    enum err_code rc = segment_create(store->dir_fd, temporary, number, old->head.run,
                                      old->head.created_us, &fresh, err);
    if (rc)
        return rc;
    rc = walk_segment(e, old, fresh, NULL, err);
    fresh->taken_with = old->taken_with; /* also when its last records are gone */
    if (!rc)
        rc = segment_seal(fresh, err);
    if (!rc)
        rc = segment_sync(fresh, err); /* before it takes the old one's name */
    segment_unref(fresh);
    if (!rc && renameat(store->dir_fd, temporary, store->dir_fd, name))
        rc = err_set(err, ERR_IO, "renaming predictions/%s failed", temporary);
    if (rc) {
        unlinkat(store->dir_fd, temporary, 0);
        return rc;
    }
    if (fsync(store->dir_fd))
        return err_set(err, ERR_IO, "the folder predictions was not made durable");
    rc = segment_open(store->dir_fd, number, false, &sealed, err);
    if (rc)
        return rc;
    record_store_replace(store, sealed);
    e->erased->segment_count++;
    return ERR_OK;
}

/* Under the lock of files, so that nobody deletes the segment meanwhile. */
static enum err_code erase_in(struct erasure *e, struct segment *segment, struct err *err)
{
    int64_t hits = 0;
    enum err_code rc = walk_segment(e, segment, NULL, &hits, err);
    if (rc || !hits || e->visit)
        return rc;
    if (!segment->is_sealed)
        return err_set(err, ERR_UNAVAILABLE, "a segment could not be sealed; see the log");
    return rewrite_segment(e, segment, err);
}

static enum err_code erase_all(struct erasure *e, struct err *err)
{
    enum err_code rc = ERR_OK;
    pthread_rwlock_rdlock(&e->store->list_lock);
    int64_t number = 0, last = e->store->last_number;
    pthread_rwlock_unlock(&e->store->list_lock);
    while (!rc && number < last) {
        struct segment *segment = record_store_next(e->store, number);
        if (!segment)
            break;
        number = (int64_t)segment->head.number;
        if (number <= last) {
            pthread_mutex_lock(&e->store->files_lock);
            rc = erase_in(e, segment, err);
            pthread_mutex_unlock(&e->store->files_lock);
        }
        segment_unref(segment);
    }
    return rc;
}

static enum err_code refuse_field(const struct erasure *e, struct err *err)
{
    err_set(err, ERR_NOT_FOUND, "no kept prediction of model '%s' has a text field '%.*s'",
            e->model, STR_ARG(e->field));
    return err_hint(err, "fields of role key, timestamp and segment, and free texts, can be named");
}

static enum err_code run(struct erasure *e, struct err *err)
{
    enum err_code rc = record_store_load(e->store, err);
    if (!rc)
        rc = record_store_seal(e->store, err);
    if (rc)
        return rc;
    e->arena = arena_new(SIZE_MAX);
    rc = erase_all(e, err);
    arena_free(e->arena);
    return rc || e->has_column ? rc : refuse_field(e, err);
}

enum err_code record_store_visit(struct record_store *store, const char *model, struct str field,
                                 struct str key, record_visit_fn *visit, void *arg, struct err *err)
{
    struct record_erased none = {0};
    struct erasure e = {.store = store,
                        .model = model,
                        .field = field,
                        .key = key,
                        .erased = &none,
                        .visit = visit,
                        .visit_arg = arg};
    return run(&e, err);
}

enum err_code record_store_erase(struct record_store *store, const char *model, struct str field,
                                 struct str key, struct record_erased *erased, struct err *err)
{
    struct record_erased done = {0};
    struct erasure e = {
        .store = store, .model = model, .field = field, .key = key, .erased = &done};
    enum err_code rc = run(&e, err);
    if (rc && rc != ERR_NOT_FOUND)
        return err_hint(err, "some segments may be done; the same command goes on with the rest");
    if (!rc)
        *erased = done;
    return rc;
}

void record_store_pseudonym(const struct record_store *store, struct str key,
                            char out[PSEUDONYM_BYTES])
{
    redact_pseudonym(store->secret, key, out);
}
