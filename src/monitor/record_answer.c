/* record_answer.c - classes, probabilities and numbers read from a record's outputs. */
#include "monitor/record_answer.h"

#include "base/check.h"
#include "base/tensor_element.h"

static const struct tensor *readable_output(const struct record *record)
{
    int answer = record->schema->answer;
    if (answer < 0 || answer >= record->output_count || !record->outputs[answer].data)
        return NULL;
    const struct tensor *output = &record->outputs[answer];
    bool has_rows = output->rank >= 1 && output->rank <= 2 && output->shape[0] == record->row_count;
    return has_rows && output->dtype != DTYPE_BYTES ? output : NULL;
}

static int columns_of(const struct tensor *output)
{
    return output->rank == 2 ? (int)output->shape[1] : 1;
}

static float element(const struct tensor *output, int64_t i)
{
    return output->dtype == DTYPE_F32 ? ((const float *)output->data)[i]
                                      : (float)tensor_f64_at(output->data, output->dtype, i);
}

float record_answer_probability(const struct record *record, int64_t row, int class_index)
{
    const struct tensor *output = &record->outputs[record->schema->answer];
    int columns = columns_of(output);
    assert(class_index >= 0 && class_index < record->schema->class_count);
    if (columns > 1)
        return element(output, row * columns + class_index);
    float of_class_1 = element(output, row);
    return class_index == 1 ? of_class_1 : 1.0f - of_class_1;
}

/* The first on a tie, as argmax does. */
static int most_probable(const struct tensor *output, int64_t row, int columns)
{
    int best = 0;
    for (int i = 1; i < columns; i++)
        if (element(output, row * columns + i) > element(output, row * columns + best))
            best = i;
    return best;
}

static int class_of(const struct record_schema *schema, const struct tensor *output, int64_t row)
{
    int columns = columns_of(output);
    if (schema->is_probability && schema->class_count == 2) {
        float of_class_1 = element(output, columns > 1 ? row * columns + 1 : row);
        return (double)of_class_1 >= schema->decision_threshold;
    }
    if (columns > 1)
        return most_probable(output, row, columns);
    float value = element(output, row);
    return value >= 0 && value < (float)schema->class_count ? (int)value : -1;
}

bool record_answer_read(const struct record *record, int64_t row, struct record_answer *answer)
{
    const struct tensor *output = readable_output(record);
    if (!output || row < 0 || row >= record->row_count)
        return false;
    int columns = columns_of(output);
    *answer = (struct record_answer){.value = element(output, row * columns)};
    int class_count = record->schema->class_count;
    if (class_count < 2)
        return true;
    int class_index = class_of(record->schema, output, row);
    if (class_index < 0 || class_index >= class_count || (columns > 1 && columns != class_count))
        return false;
    answer->is_class = true;
    answer->class_index = class_index;
    answer->has_score = record->schema->is_probability;
    if (answer->has_score)
        answer->score = record_answer_probability(record, row, class_index);
    return true;
}

struct str record_class_name(const struct record_schema *schema, int class_index)
{
    bool is_named = schema->class_names && class_index >= 0 && class_index < schema->class_count;
    return is_named ? schema->class_names[class_index] : (struct str){0};
}

struct str record_class_text(const struct record_schema *schema, int class_index,
                             char number[STR_NUMBER_BYTES])
{
    struct str name = record_class_name(schema, class_index);
    return name.ptr ? name : (struct str){number, str_from_i64(class_index, number)};
}
