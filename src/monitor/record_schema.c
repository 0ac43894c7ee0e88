/* record_schema.c - contract and signature -> names and kinds of what a record holds. */
#include "monitor/record_schema.h"

#include <string.h>

#include "base/check.h"
#include "monitor/ood.h"

static const char *copy_text(const char *text, struct arena *arena)
{
    return text ? arena_copy(arena, text, strlen(text)) : "";
}

static const struct str *copy_texts(const struct str *texts, int count, struct arena *arena)
{
    struct str *copy = arena_calloc(arena, (size_t)count, sizeof(*copy));
    assert(copy);
    for (int i = 0; i < count; i++)
        copy[i] = (struct str){arena_copy(arena, texts[i].ptr, texts[i].len), texts[i].len};
    return copy;
}

static struct record_column column_of_field(const struct contract *contract,
                                            const struct contract_field *field,
                                            enum redaction policy, struct arena *arena)
{
    return (struct record_column){
        .name = copy_text(field->name, arena),
        .classification = copy_text(field->classification, arena),
        .category_count = field->is_coded ? field->category_count : 0,
        .categories = field->is_coded && field->category_count
                          ? copy_texts(field->categories, field->category_count, arena)
                          : NULL,
        .is_whole = field->type == TYPE_INTEGER || field->type == TYPE_BOOLEAN,
        .is_boolean = field->type == TYPE_BOOLEAN,
        .is_key = field->role == ROLE_KEY,
        .is_segment = field->role == ROLE_SEGMENT,
        .is_timestamp = field->role == ROLE_TIMESTAMP,
        .is_group = field == contract->ranking_group,
        .kept_as = redact_choose(policy, field->classification, field->is_text),
        .training = field->is_text ? NULL : ood_column_new(field, arena),
    };
}

static const struct record_column *columns_of_fields(const struct contract *contract,
                                                     const struct contract_field *const *fields,
                                                     int count, enum redaction policy,
                                                     struct arena *arena)
{
    struct record_column *columns = arena_calloc(arena, (size_t)count, sizeof(*columns));
    assert(columns);
    for (int i = 0; i < count; i++)
        columns[i] = column_of_field(contract, fields[i], policy, arena);
    return columns;
}

static const struct record_column *columns_of_model(const struct signature *sig,
                                                    struct arena *arena)
{
    size_t count = (size_t)sig->feature_count;
    struct record_column *columns = arena_calloc(arena, count, sizeof(*columns));
    assert(columns);
    for (int i = 0; i < sig->feature_count; i++) {
        enum feature_kind kind = sig->feature_kinds ? sig->feature_kinds[i] : FEATURE_UNKNOWN;
        columns[i] = (struct record_column){
            .name = sig->feature_names ? copy_text(sig->feature_names[i], arena)
                                       : arena_printf(arena, "f%d", i),
            .classification = "",
            .is_whole =
                kind == FEATURE_INTEGER || kind == FEATURE_INDICATOR || kind == FEATURE_CATEGORICAL,
        };
    }
    return columns;
}

/* Elements per row; 0 when the model does not say. */
static int64_t width_of(const struct signature_tensor *tensor)
{
    int64_t width = 1;
    for (int i = 1; i < tensor->rank; i++)
        width = tensor->shape[i] < 0 ? 0 : width * tensor->shape[i];
    return width;
}

static struct record_output output_of(const struct signature_tensor *tensor, struct arena *arena)
{
    return (struct record_output){
        .name = copy_text(tensor->name, arena), .dtype = tensor->dtype, .width = width_of(tensor)};
}

/* Those that are computed unless the caller says otherwise, then what is kept beside them. */
static void put_outputs(struct record_schema *schema, const struct signature *sig,
                        struct arena *arena)
{
    struct record_output *outputs =
        arena_calloc(arena, (size_t)(sig->output_count + sig->aside_count), sizeof(*outputs));
    assert(outputs);
    schema->outputs = outputs;
    schema->answer = -1;
    for (int i = 0; i < sig->output_count; i++) {
        const struct signature_tensor *tensor = &sig->outputs[i];
        if (tensor->is_on_request)
            continue;
        if (i == sig->answer)
            schema->answer = schema->output_count;
        outputs[schema->output_count++] = output_of(tensor, arena);
    }
    schema->aside_count = sig->aside_count;
    for (int i = 0; i < sig->aside_count; i++)
        outputs[schema->output_count++] = output_of(&sig->asides[i], arena);
}

static const struct str *class_names_of(const struct loaded *loaded, struct arena *arena)
{
    const struct contract *contract = loaded->contract;
    int count = loaded->signature->class_count;
    if (count < 2 || !contract || !contract->prediction ||
        contract->prediction->category_count < count)
        return NULL;
    return copy_texts(contract->prediction->categories, count, arena);
}

struct record_schema *record_schema_new(const struct loaded *loaded, enum redaction policy,
                                        struct arena *arena)
{
    const struct contract *contract = loaded->contract;
    const struct signature *sig = loaded->signature;
    struct record_schema *schema = arena_calloc(arena, 1, sizeof(*schema));
    assert(schema);
    schema->model = copy_text(loaded->model, arena);
    schema->version = loaded->number;
    schema->class_count = sig->class_count;
    schema->is_probability = sig->is_probability;
    schema->class_names = class_names_of(loaded, arena);
    schema->decision_threshold = contract ? contract->decision_threshold : 0.5;
    put_outputs(schema, sig, arena);
    if (contract) {
        schema->value_count = contract->value_count;
        schema->text_count = contract->text_count;
        schema->values =
            columns_of_fields(contract, contract->values, contract->value_count, policy, arena);
        schema->texts =
            columns_of_fields(contract, contract->texts, contract->text_count, policy, arena);
    } else {
        schema->value_count = sig->feature_count;
        schema->values = columns_of_model(sig, arena);
    }
    return schema;
}
