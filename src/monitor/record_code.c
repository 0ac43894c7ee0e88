/* record_code.c - a record into bytes and out of them, trusting none of them. */
#include "monitor/record_code.h"

#include <string.h>

#include "base/check.h"

enum {
    FLAG_HAS_KEY = 1,
    FLAG_HAS_TEXTS = 2,
    FLAG_HAS_ROW_FLAGS = 4,
    FLAG_HAS_OUTPUTS = 8,
    FLAG_IS_CACHED = 16,
    FLAG_LEAVES_INPUTS = 32,
    FLAG_KEEPS_DIFFERING = 64,
};
#define NONE UINT32_MAX

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is the machine's own");

struct head {
    uint32_t bytes, serial;
    int64_t at_us, rollout;
    uint64_t key_hash;
    uint32_t latency_us, row_count;
    uint32_t violation_count, violated_rules;
    float share;
    uint16_t status, id_bytes, traceparent_bytes;
    uint8_t arm, flags;
    uint32_t unused;
};
_Static_assert(sizeof(struct head) == RECORD_HEAD_BYTES, "as drawn in the header");

struct output_head {
    uint32_t elements, bytes;
};

static size_t round_8(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

static size_t cells_of(int64_t rows, int columns)
{
    return (size_t)rows * (size_t)columns;
}

/* ---- sizes ---- */

static size_t texts_bytes(const struct str *texts, size_t count)
{
    size_t bytes = count * sizeof(uint32_t);
    for (size_t i = 0; i < count; i++)
        bytes += texts[i].ptr ? texts[i].len : 0;
    return bytes;
}

static int64_t elements_of(const struct tensor *tensor)
{
    return tensor->data ? tensor_elements(tensor->shape, tensor->rank) : -1;
}

static size_t output_bytes(const struct tensor *tensor)
{
    int64_t elements = elements_of(tensor);
    if (elements <= 0)
        return 0;
    return tensor->dtype == DTYPE_BYTES ? texts_bytes(tensor->data, (size_t)elements)
                                        : (size_t)elements * dtype_bytes(tensor->dtype);
}

size_t record_encoded_bytes(const struct record *record)
{
    const struct record_schema *schema = record->schema;
    size_t bytes = sizeof(struct head);
    bytes += round_8(cells_of(record->row_count, schema->value_count) * sizeof(float));
    for (int i = 0; i < record->output_count; i++)
        bytes += sizeof(struct output_head) + round_8(output_bytes(&record->outputs[i]));
    if (record->texts)
        bytes +=
            round_8(texts_bytes(record->texts, cells_of(record->row_count, schema->text_count)));
    if (record->is_suspect)
        bytes += round_8((size_t)record->row_count);
    return bytes + round_8(record->request_id.len + record->traceparent.len);
}

/* ---- writing ---- */

/* What is between a part's end and the next multiple of 8 becomes zero. */
static char *put(char *to, const void *bytes, size_t size)
{
    if (size % 8)
        memset(to + size / 8 * 8, 0, 8);
    if (size)
        memcpy(to, bytes, size);
    return to + round_8(size);
}

static char *put_texts(char *to, const struct str *texts, size_t count)
{
    char *bytes = to + count * sizeof(uint32_t);
    for (size_t i = 0; i < count; i++) {
        uint32_t length = texts[i].ptr ? (uint32_t)texts[i].len : NONE;
        memcpy(to + i * sizeof(length), &length, sizeof(length));
        if (texts[i].ptr && texts[i].len)
            memcpy(bytes, texts[i].ptr, texts[i].len);
        bytes += texts[i].ptr ? texts[i].len : 0;
    }
    size_t size = (size_t)(bytes - to);
    memset(bytes, 0, round_8(size) - size);
    return to + round_8(size);
}

static char *put_output(char *to, const struct tensor *tensor)
{
    int64_t elements = elements_of(tensor);
    size_t bytes = output_bytes(tensor);
    struct output_head head = {elements < 0 ? NONE : (uint32_t)elements, (uint32_t)bytes};
    to = put(to, &head, sizeof(head));
    if (bytes && tensor->dtype == DTYPE_BYTES)
        return put_texts(to, tensor->data, (size_t)elements);
    return put(to, tensor->data, bytes);
}

static uint32_t clamp_u32(int64_t number)
{
    return number < 0 ? 0 : number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
}

static void put_head(const struct record *record, size_t bytes, struct head *head)
{
    *head = (struct head){
        .bytes = (uint32_t)bytes,
        .serial = record->schema->serial,
        .at_us = record->at_us,
        .rollout = record->rollout,
        .key_hash = record->key_hash,
        .latency_us = clamp_u32(record->latency_us),
        .row_count = (uint32_t)record->row_count,
        .violation_count = clamp_u32(record->violation_count),
        .violated_rules = record->violated_rules,
        .share = record->share,
        .status = (uint16_t)record->status,
        .id_bytes = (uint16_t)record->request_id.len,
        .traceparent_bytes = (uint16_t)record->traceparent.len,
        .arm = (uint8_t)record->arm,
        .flags =
            (uint8_t)((record->has_key ? FLAG_HAS_KEY : 0) | (record->texts ? FLAG_HAS_TEXTS : 0) |
                      (record->is_suspect ? FLAG_HAS_ROW_FLAGS : 0) |
                      (record->output_count ? FLAG_HAS_OUTPUTS : 0) |
                      (record->is_cached ? FLAG_IS_CACHED : 0) |
                      (record->leaves_inputs ? FLAG_LEAVES_INPUTS : 0) |
                      (record->keeps_differing ? FLAG_KEEPS_DIFFERING : 0)),
    };
}

void record_encode(const struct record *record, size_t bytes, char *out)
{
    const struct record_schema *schema = record->schema;
    assert(record->output_count == 0 || record->output_count == schema->output_count);
    put_head(record, bytes, (struct head *)(void *)out);
    char *to = out + sizeof(struct head);
    to = put(to, record->values, cells_of(record->row_count, schema->value_count) * sizeof(float));
    for (int i = 0; i < record->output_count; i++)
        to = put_output(to, &record->outputs[i]);
    if (record->texts)
        to = put_texts(to, record->texts, cells_of(record->row_count, schema->text_count));
    if (record->is_suspect)
        to = put(to, record->is_suspect, (size_t)record->row_count);
    char *id = to;
    to = put(to, record->request_id.ptr, record->request_id.len);
    if (record->traceparent.len) {
        size_t size = record->request_id.len + record->traceparent.len;
        memset(to, 0, (size_t)(id + round_8(size) - to));
        memcpy(id + record->request_id.len, record->traceparent.ptr, record->traceparent.len);
        to = id + round_8(size);
    }
    assert(to == out + bytes);
}

/* ---- reading ---- */

/* What is left of the bytes; every take checks. */
struct source {
    const char *at;
    size_t left;
};

static const char *take(struct source *source, size_t bytes)
{
    size_t whole = round_8(bytes);
    if (whole < bytes || whole > source->left)
        return NULL;
    const char *at = source->at;
    source->at += whole;
    source->left -= whole;
    return at;
}

static enum err_code refuse(const char *what, struct err *err)
{
    return err_set(err, ERR_IO, "a record is damaged: %s", what);
}

static uint32_t length_at(const char *lengths, size_t i)
{
    uint32_t length;
    memcpy(&length, lengths + i * sizeof(length), sizeof(length));
    return length;
}

static bool texts_size(const struct source *source, size_t count, size_t *bytes)
{
    if (count > source->left / sizeof(uint32_t))
        return false;
    *bytes = count * sizeof(uint32_t);
    for (size_t i = 0; i < count; i++) {
        uint32_t length = length_at(source->at, i);
        *bytes += length == NONE ? 0 : length;
    }
    return *bytes <= source->left;
}

static enum err_code take_texts(struct source *source, size_t count, struct arena *arena,
                                struct str **out, struct err *err)
{
    size_t bytes;
    if (!texts_size(source, count, &bytes))
        return refuse("its texts end too early", err);
    const char *lengths = take(source, bytes);
    struct str *texts = arena_calloc(arena, count, sizeof(*texts));
    if (!lengths)
        return refuse("its texts end too early", err);
    if (!texts)
        return err_set(err, ERR_LIMIT, "no room for the texts of a record");
    const char *at = lengths + count * sizeof(uint32_t);
    for (size_t i = 0; i < count; i++) {
        uint32_t length = length_at(lengths, i);
        if (length == NONE)
            continue;
        texts[i] = (struct str){at, length};
        at += length;
    }
    *out = texts;
    return ERR_OK;
}

static enum err_code take_output(struct source *source, const struct record_output *output,
                                 int64_t rows, struct arena *arena, struct tensor *tensor,
                                 struct err *err)
{
    const struct output_head *head =
        (const struct output_head *)(const void *)take(source, sizeof(*head));
    *tensor = (struct tensor){.name = output->name, .dtype = output->dtype, .rank = 1};
    tensor->shape[0] = rows;
    if (!head)
        return refuse("its outputs end too early", err);
    if (head->elements == NONE)
        return ERR_OK;
    int64_t elements = head->elements;
    if (rows ? elements % rows != 0 : elements != 0)
        return refuse("its outputs are not by row", err);
    if (elements != rows) {
        tensor->rank = 2;
        tensor->shape[1] = elements / rows;
    }
    if (output->dtype == DTYPE_BYTES) {
        struct str *texts = NULL;
        enum err_code rc = take_texts(source, (size_t)elements, arena, &texts, err);
        tensor->data = texts;
        return rc;
    }
    if (head->bytes != (size_t)elements * dtype_bytes(output->dtype))
        return refuse("an output has another size than its elements", err);
    const char *data = take(source, head->bytes);
    tensor->data = (void *)(uintptr_t)data;
    return data ? ERR_OK : refuse("its outputs end too early", err);
}

static enum err_code take_outputs(struct source *source, struct arena *arena, struct record *record,
                                  struct err *err)
{
    const struct record_schema *schema = record->schema;
    struct tensor *outputs = arena_calloc(arena, (size_t)schema->output_count, sizeof(*outputs));
    if (!outputs)
        return err_set(err, ERR_LIMIT, "no room for the outputs of a record");
    for (int i = 0; i < schema->output_count; i++) {
        enum err_code rc =
            take_output(source, &schema->outputs[i], record->row_count, arena, &outputs[i], err);
        if (rc)
            return rc;
    }
    record->output_count = schema->output_count;
    record->outputs = outputs;
    return ERR_OK;
}

static void take_head(const struct head *head, const struct record_schema *schema,
                      struct record *record)
{
    *record = (struct record){
        .schema = schema,
        .at_us = head->at_us,
        .latency_us = head->latency_us,
        .status = head->status,
        .arm = (enum arm)head->arm,
        .rollout = head->rollout,
        .has_key = head->flags & FLAG_HAS_KEY,
        .key_hash = head->key_hash,
        .share = head->share,
        .is_cached = head->flags & FLAG_IS_CACHED,
        .leaves_inputs = head->flags & FLAG_LEAVES_INPUTS,
        .keeps_differing = head->flags & FLAG_KEEPS_DIFFERING,
        .row_count = head->row_count,
        .violation_count = (int)(head->violation_count & INT32_MAX),
        .violated_rules = head->violated_rules,
    };
}

static enum err_code take_parts(const struct head *head, struct source *source, struct arena *arena,
                                struct record *record, struct err *err)
{
    const struct record_schema *schema = record->schema;
    size_t cells = 0;
    if (__builtin_mul_overflow((size_t)head->row_count, (size_t)schema->value_count, &cells) ||
        cells > source->left / sizeof(float))
        return refuse("its values end too early", err);
    record->values = (const float *)(const void *)take(source, cells * sizeof(float));
    if (!record->values)
        return refuse("its values end too early", err);
    enum err_code rc = ERR_OK;
    if (head->flags & FLAG_HAS_OUTPUTS)
        rc = take_outputs(source, arena, record, err);
    struct str *texts = NULL;
    if (!rc && head->flags & FLAG_HAS_TEXTS)
        rc = take_texts(source, cells_of(head->row_count, schema->text_count), arena, &texts, err);
    if (rc)
        return rc;
    record->texts = texts;
    if (head->flags & FLAG_HAS_ROW_FLAGS) {
        record->is_suspect = (const uint8_t *)take(source, head->row_count);
        if (!record->is_suspect)
            return refuse("the flags of its rows end too early", err);
    }
    const char *id = take(source, (size_t)head->id_bytes + head->traceparent_bytes);
    if (!id || source->left)
        return refuse("its end is not where it should be", err);
    record->request_id = (struct str){id, head->id_bytes};
    record->traceparent = (struct str){id + head->id_bytes, head->traceparent_bytes};
    return ERR_OK;
}

bool record_peek(const char *bytes, size_t size, size_t *record_bytes, uint32_t *serial)
{
    const struct head *head = (const struct head *)(const void *)bytes;
    if (size < sizeof(*head) || head->bytes < sizeof(*head) || head->bytes > size ||
        head->bytes % 8)
        return false;
    *record_bytes = head->bytes;
    *serial = head->serial;
    return true;
}

enum err_code record_decode(const char *bytes, size_t size, const struct record_schema *schema,
                            struct arena *arena, struct record *record, struct err *err)
{
    const struct head *head = (const struct head *)(const void *)bytes;
    struct record decoded;
    if (size < sizeof(*head) || head->bytes != size)
        return refuse("its length is wrong", err);
    if (head->serial != schema->serial)
        return refuse("it belongs to another schema", err);
    if (head->row_count > size)
        return refuse("it has more rows than bytes", err);
    if (head->arm >= ARM_COUNT)
        return refuse("its arm is unknown", err);
    take_head(head, schema, &decoded);
    struct source source = {bytes + sizeof(*head), size - sizeof(*head)};
    enum err_code rc = take_parts(head, &source, arena, &decoded, err);
    if (!rc)
        *record = decoded;
    return rc;
}
