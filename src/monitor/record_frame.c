/* record_frame.c - a record into a ring's bytes and out of them. */
#include "monitor/record_frame.h"

#include <string.h>

#include "base/check.h"

enum { OUTPUTS_MAX = 64 };
#define TEXT_MISSING UINT32_MAX

struct frame_output {
    int64_t elements; /* -1: the caller did not ask for it */
    uint64_t bytes;   /* of its data in the frame, a multiple of 8 */
};

struct frame {
    const struct record_schema *schema;
    int64_t at_ns, latency_us;
    int64_t rollout, row_count;
    uint64_t key_hash;
    int32_t status, violation_count;
    uint32_t violated_rules;
    int32_t output_count;
    uint16_t id_bytes, traceparent_bytes;
    uint8_t arm, has_key, has_texts, has_suspects;
};

/* How much of what a frame will hold. */
struct frame_sizes {
    size_t values, outputs, suspects, lengths, texts, total;
};

static size_t round_8(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

static size_t cells_of(int64_t rows, int columns)
{
    return (size_t)rows * (size_t)columns;
}

static bool is_text(const struct tensor *tensor)
{
    return tensor->dtype == DTYPE_BYTES;
}

static int64_t elements_of(const struct tensor *tensor)
{
    return tensor->data ? tensor_elements(tensor->shape, tensor->rank) : -1;
}

/* Texts are kept as a length each, then their bytes. */
static size_t output_bytes(const struct tensor *tensor)
{
    int64_t elements = elements_of(tensor);
    if (elements <= 0)
        return 0;
    if (!is_text(tensor))
        return round_8((size_t)elements * dtype_bytes(tensor->dtype));
    const struct str *texts = tensor->data;
    size_t bytes = (size_t)elements * sizeof(uint32_t);
    for (int64_t i = 0; i < elements; i++)
        bytes += texts[i].len;
    return round_8(bytes);
}

static size_t texts_bytes(const struct record *record)
{
    size_t bytes = 0, cells = cells_of(record->row_count, record->schema->text_count);
    for (size_t i = 0; i < cells; i++)
        bytes += record->texts[i].len;
    return bytes;
}

static struct frame_sizes sizes_of(const struct record *record)
{
    const struct record_schema *schema = record->schema;
    struct frame_sizes sizes = {0};
    sizes.values = round_8(cells_of(record->row_count, schema->value_count) * sizeof(float));
    for (int i = 0; i < record->output_count; i++)
        sizes.outputs += output_bytes(&record->outputs[i]);
    if (record->is_suspect)
        sizes.suspects = round_8((size_t)record->row_count);
    if (record->texts) {
        sizes.lengths = round_8(cells_of(record->row_count, schema->text_count) * sizeof(uint32_t));
        sizes.texts = texts_bytes(record);
    }
    sizes.total = sizeof(struct frame) + sizes.values +
                  (size_t)record->output_count * sizeof(struct frame_output) + sizes.outputs +
                  sizes.suspects + sizes.lengths + record->request_id.len +
                  record->traceparent.len + sizes.texts;
    return sizes;
}

static char *put(char *to, const void *bytes, size_t size)
{
    if (size)
        memcpy(to, bytes, size);
    return to + size;
}

static char *put_lengths(char *to, const struct str *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t length = texts[i].ptr ? (uint32_t)texts[i].len : TEXT_MISSING;
        memcpy(to + i * sizeof(length), &length, sizeof(length));
    }
    return to + count * sizeof(uint32_t);
}

static char *put_bytes(char *to, const struct str *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to = put(to, texts[i].ptr, texts[i].len);
    return to;
}

static void put_output(char *to, const struct tensor *tensor, int64_t elements)
{
    if (!is_text(tensor)) {
        put(to, tensor->data, (size_t)elements * dtype_bytes(tensor->dtype));
        return;
    }
    to = put_lengths(to, tensor->data, (size_t)elements);
    put_bytes(to, tensor->data, (size_t)elements);
}

static char *put_outputs(char *to, const struct record *record)
{
    struct frame_output *heads = (struct frame_output *)(void *)to;
    to += (size_t)record->output_count * sizeof(*heads);
    for (int i = 0; i < record->output_count; i++) {
        const struct tensor *tensor = &record->outputs[i];
        heads[i] = (struct frame_output){elements_of(tensor), output_bytes(tensor)};
        if (heads[i].elements > 0)
            put_output(to, tensor, heads[i].elements);
        to += heads[i].bytes;
    }
    return to;
}

static void put_head(struct frame *frame, const struct record *record, int64_t now_ns)
{
    *frame = (struct frame){
        .schema = record->schema,
        .at_ns = now_ns,
        .latency_us = record->latency_us,
        .rollout = record->rollout,
        .row_count = record->row_count,
        .key_hash = record->key_hash,
        .status = record->status,
        .violation_count = record->violation_count,
        .violated_rules = record->violated_rules,
        .output_count = record->output_count,
        .id_bytes = (uint16_t)record->request_id.len,
        .traceparent_bytes = (uint16_t)record->traceparent.len,
        .arm = (uint8_t)record->arm,
        .has_key = record->has_key,
        .has_texts = record->texts != NULL,
        .has_suspects = record->is_suspect != NULL,
    };
}

bool record_push(struct ring *ring, const struct record *record, int64_t now_ns)
{
    assert(record->output_count <= OUTPUTS_MAX && (record->values || !record->row_count));
    const struct record_schema *schema = record->schema;
    struct frame_sizes sizes = sizes_of(record);
    struct frame *frame = ring_reserve(ring, sizes.total);
    if (!frame)
        return false;
    put_head(frame, record, now_ns);
    char *to = (char *)(frame + 1);
    put(to, record->values, cells_of(record->row_count, schema->value_count) * sizeof(float));
    to = put_outputs(to + sizes.values, record);
    put(to, record->is_suspect, sizes.suspects ? (size_t)record->row_count : 0);
    to += sizes.suspects;
    size_t texts = record->texts ? cells_of(record->row_count, schema->text_count) : 0;
    put_lengths(to, record->texts, texts);
    to = put(to + sizes.lengths, record->request_id.ptr, record->request_id.len);
    to = put(to, record->traceparent.ptr, record->traceparent.len);
    put_bytes(to, record->texts, texts);
    ring_commit(ring, sizes.total);
    return true;
}

/* ---- reading ---- */

static struct str *read_texts(const char *lengths, const char *bytes, size_t count,
                              struct arena *arena)
{
    struct str *texts = arena_calloc(arena, count, sizeof(*texts));
    assert(texts);
    for (size_t i = 0; i < count; i++) {
        uint32_t length;
        memcpy(&length, lengths + i * sizeof(length), sizeof(length));
        if (length == TEXT_MISSING)
            continue;
        texts[i] = (struct str){bytes, length};
        bytes += length;
    }
    return texts;
}

static struct tensor read_output(const char *data, const struct frame_output *head,
                                 const struct record_output *output, int64_t rows,
                                 struct arena *arena)
{
    struct tensor tensor = {
        .name = output->name, .dtype = output->dtype, .rank = 1, .shape = {rows}};
    if (head->elements != rows) {
        tensor.rank = 2;
        tensor.shape[1] = rows && head->elements > 0 ? head->elements / rows : 0;
    }
    size_t count = head->elements > 0 ? (size_t)head->elements : 0;
    if (head->elements < 0)
        tensor.data = NULL;
    else if (output->dtype == DTYPE_BYTES)
        tensor.data = read_texts(data, data + count * sizeof(uint32_t), count, arena);
    else
        tensor.data = (void *)(uintptr_t)data;
    return tensor;
}

static const char *read_outputs(const char *from, const struct frame *frame, struct arena *arena,
                                struct record *record)
{
    size_t count = (size_t)frame->output_count;
    const struct frame_output *heads = (const struct frame_output *)(const void *)from;
    struct tensor *outputs = arena_alloc(arena, count * sizeof(*outputs));
    assert(outputs);
    from += count * sizeof(*heads);
    for (size_t i = 0; i < count; i++) {
        outputs[i] =
            read_output(from, &heads[i], &frame->schema->outputs[i], frame->row_count, arena);
        from += heads[i].bytes;
    }
    record->output_count = frame->output_count;
    record->outputs = outputs;
    return from;
}

static void read_head(const struct frame *frame, struct record *record)
{
    *record = (struct record){
        .schema = frame->schema,
        .latency_us = frame->latency_us,
        .status = frame->status,
        .arm = (enum arm)frame->arm,
        .rollout = frame->rollout,
        .has_key = frame->has_key,
        .key_hash = frame->key_hash,
        .row_count = frame->row_count,
        .violation_count = frame->violation_count,
        .violated_rules = frame->violated_rules,
    };
}

void record_read_frame(const void *bytes, int64_t wall_offset_us, struct arena *arena,
                       struct record *record)
{
    const struct frame *frame = bytes;
    const struct record_schema *schema = frame->schema;
    const char *from = (const char *)(frame + 1);
    read_head(frame, record);
    record->at_us = frame->at_ns / 1000 + wall_offset_us;
    record->values = (const float *)(const void *)from;
    from += round_8(cells_of(frame->row_count, schema->value_count) * sizeof(float));
    from = read_outputs(from, frame, arena, record);
    if (frame->has_suspects) {
        record->is_suspect = (const uint8_t *)from;
        from += round_8((size_t)frame->row_count);
    }
    size_t texts = frame->has_texts ? cells_of(frame->row_count, schema->text_count) : 0;
    const char *lengths = from;
    from += round_8(texts * sizeof(uint32_t));
    record->request_id = (struct str){from, frame->id_bytes};
    from += frame->id_bytes;
    record->traceparent = (struct str){from, frame->traceparent_bytes};
    from += frame->traceparent_bytes;
    if (frame->has_texts)
        record->texts = read_texts(lengths, from, texts, arena);
}
