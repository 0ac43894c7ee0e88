/* redact.c - pseudonyms and missing values in place of what is classified. */
#include "monitor/redact.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "contract/check.h"

enum kept_as redact_choose(enum redaction policy, const char *classification, bool is_text)
{
    if (policy == REDACT_KEEP || !classification[0] || strcmp(classification, "public") == 0)
        return KEPT_AS_IS;
    return policy == REDACT_PSEUDONYM && is_text ? KEPT_AS_PSEUDONYM : KEPT_AS_NOTHING;
}

static bool has_redacted(const struct record_column *columns, int count)
{
    for (int i = 0; i < count; i++)
        if (columns[i].kept_as != KEPT_AS_IS)
            return true;
    return false;
}

bool redact_has_work(const struct record_schema *schema)
{
    return has_redacted(schema->values, schema->value_count) ||
           has_redacted(schema->texts, schema->text_count);
}

void redact_pseudonym(const uint8_t secret[REDACT_SECRET_BYTES], struct str text, char *out)
{
    uint8_t digest[SHA256_BYTES];
    hash_hmac_sha256(secret, REDACT_SECRET_BYTES, text.ptr, text.len, digest);
    str_hex(digest, PSEUDONYM_BYTES / 2, out);
}

static const float *redact_values(const struct record *record, struct arena *arena)
{
    const struct record_schema *schema = record->schema;
    size_t cells = (size_t)record->row_count * (size_t)schema->value_count;
    float *copy = arena_alloc(arena, cells * sizeof(*copy));
    const float nothing = cell_of(CELL_OTHER);
    assert(copy);
    if (cells)
        memcpy(copy, record->values, cells * sizeof(*copy));
    for (int column = 0; column < schema->value_count; column++) {
        if (schema->values[column].kept_as == KEPT_AS_IS)
            continue;
        for (int64_t row = 0; row < record->row_count; row++)
            copy[row * schema->value_count + column] = nothing;
    }
    return copy;
}

static struct str redact_text(struct str text, enum kept_as kept_as,
                              const uint8_t secret[REDACT_SECRET_BYTES], struct arena *arena)
{
    if (kept_as == KEPT_AS_IS || !text.ptr)
        return text;
    if (kept_as == KEPT_AS_NOTHING)
        return (struct str){0};
    char *pseudonym = arena_alloc(arena, PSEUDONYM_BYTES);
    assert(pseudonym);
    redact_pseudonym(secret, text, pseudonym);
    return (struct str){pseudonym, PSEUDONYM_BYTES};
}

static const struct str *redact_texts(const struct record *record,
                                      const uint8_t secret[REDACT_SECRET_BYTES],
                                      struct arena *arena)
{
    const struct record_schema *schema = record->schema;
    size_t cells = (size_t)record->row_count * (size_t)schema->text_count;
    struct str *copy = arena_calloc(arena, cells, sizeof(*copy));
    assert(copy);
    for (size_t i = 0; i < cells; i++)
        copy[i] = redact_text(record->texts[i],
                              schema->texts[i % (size_t)schema->text_count].kept_as, secret, arena);
    return copy;
}

void redact_record(const struct record *record, const uint8_t secret[REDACT_SECRET_BYTES],
                   struct arena *arena, struct record *redacted)
{
    const struct record_schema *schema = record->schema;
    *redacted = *record;
    if (has_redacted(schema->values, schema->value_count))
        redacted->values = redact_values(record, arena);
    if (record->texts && has_redacted(schema->texts, schema->text_count))
        redacted->texts = redact_texts(record, secret, arena);
}

/* ---- inputs that are left out ---- */

static const float *values_without(const struct record *record, struct arena *arena)
{
    const struct record_schema *schema = record->schema;
    size_t cells = (size_t)record->row_count * (size_t)schema->value_count;
    float *copy = arena_alloc(arena, cells * sizeof(*copy));
    const float nothing = cell_of(CELL_OTHER);
    assert(copy);
    for (size_t i = 0; i < cells; i++)
        copy[i] = record_column_finds(&schema->values[i % (size_t)schema->value_count])
                      ? record->values[i]
                      : nothing;
    return copy;
}

static const struct str *texts_without(const struct record *record, struct arena *arena)
{
    const struct record_schema *schema = record->schema;
    size_t cells = (size_t)record->row_count * (size_t)schema->text_count;
    struct str *copy = arena_calloc(arena, cells, sizeof(*copy));
    assert(copy);
    for (size_t i = 0; i < cells; i++)
        if (record_column_finds(&schema->texts[i % (size_t)schema->text_count]))
            copy[i] = record->texts[i];
    return copy;
}

void redact_inputs(const struct record *record, struct arena *arena, struct record *redacted)
{
    *redacted = *record;
    if (record->values && record->row_count > 0)
        redacted->values = values_without(record, arena);
    if (record->texts && record->row_count > 0)
        redacted->texts = texts_without(record, arena);
}
