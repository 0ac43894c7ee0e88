/* answer.c - classes, probabilities and values read from output tensors. */
#include "runtime/answer.h"

#include "base/check.h"
#include "base/tensor_element.h"

int answer_class_count(const struct loaded *loaded)
{
    return loaded->signature->class_count;
}

/* One column per class ([-1, k]) or one number per row ([-1]). */
static int columns_of(const struct tensor *output)
{
    return output->rank == 2 ? (int)output->shape[1] : 1;
}

static float element(const struct tensor *output, int64_t i)
{
    if (output->dtype == DTYPE_F32)
        return ((const float *)output->data)[i];
    return (float)tensor_f64_at(output->data, output->dtype, i);
}

bool answer_is_readable(const struct loaded *loaded, const struct tensor *output, int64_t rows)
{
    int classes = answer_class_count(loaded);
    bool has_rows = output->data && output->dtype != DTYPE_BYTES && output->rank >= 1 &&
                    output->rank <= 2 && output->shape[0] == rows;
    int64_t columns = has_rows && output->rank == 2 ? output->shape[1] : 1;
    return has_rows && columns >= 1 && (classes < 2 || columns == 1 || columns == classes);
}

const struct tensor *answer_find(const struct loaded *loaded, const bool *wanted,
                                 const struct tensor *out, int64_t rows)
{
    const struct signature *sig = loaded->signature;
    int place = 0;
    if (wanted ? !wanted[sig->answer] : sig->outputs[sig->answer].is_on_request)
        return NULL;
    for (int i = 0; i < sig->answer; i++)
        place += wanted ? wanted[i] : !sig->outputs[i].is_on_request;
    return answer_is_readable(loaded, &out[place], rows) ? &out[place] : NULL;
}

float answer_probability(const struct loaded *loaded, const struct tensor *output, int64_t row,
                         int class_index)
{
    int columns = columns_of(output);
    assert(class_index >= 0 && class_index < answer_class_count(loaded));
    if (columns > 1)
        return element(output, row * columns + class_index);
    float of_class_1 = element(output, row);
    return class_index == 1 ? of_class_1 : 1.0f - of_class_1;
}

static int most_probable(const struct tensor *output, int64_t row, int count)
{
    int best = 0;
    for (int i = 1; i < count; i++)
        if (element(output, row * count + i) > element(output, row * count + best))
            best = i;
    return best;
}

/* A class as the model says it, within the classes. */
static int index_of(float value, int classes)
{
    return value >= 0 && value < (float)classes ? (int)value : 0;
}

struct answer answer_read(const struct loaded *loaded, const struct tensor *output, int64_t row)
{
    int columns = columns_of(output);
    int classes = answer_class_count(loaded);
    struct answer answer = {.value = element(output, row * columns)};
    if (classes < 2)
        return answer;
    answer.is_class = true;
    answer.has_score = loaded->signature->is_probability;
    if (answer.has_score && classes == 2) {
        double threshold = loaded->contract ? loaded->contract->decision_threshold : 0.5;
        answer.value = answer_probability(loaded, output, row, 1);
        answer.class_index = (double)answer.value >= threshold;
    } else if (columns > 1) {
        answer.class_index = most_probable(output, row, columns);
    } else {
        answer.class_index = index_of(answer.value, classes);
    }
    return answer;
}

struct str answer_class_name(const struct loaded *loaded, int class_index)
{
    const struct contract *contract = loaded->contract;
    if (!contract || !contract->prediction || class_index >= contract->prediction->category_count)
        return (struct str){0};
    return contract->prediction->categories[class_index];
}
