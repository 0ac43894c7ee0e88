/* answer.c - classes, probabilities and values read from output tensors. */
#include "runtime/answer.h"

#include "base/check.h"

int answer_class_count(const struct loaded *loaded)
{
    return loaded->signature->class_count;
}

/* One column per class ([-1, k]) or one number per row ([-1]). */
static int columns_of(const struct tensor *output)
{
    return output->rank == 2 ? (int)output->shape[1] : 1;
}

float answer_probability(const struct loaded *loaded, const struct tensor *output, int64_t row,
                         int class_index)
{
    const float *data = output->data;
    int columns = columns_of(output);
    assert(class_index >= 0 && class_index < answer_class_count(loaded));
    if (columns > 1)
        return data[row * columns + class_index];
    return class_index == 1 ? data[row] : 1.0f - data[row];
}

static int most_probable(const float *probabilities, int count)
{
    int best = 0;
    for (int i = 1; i < count; i++)
        if (probabilities[i] > probabilities[best])
            best = i;
    return best;
}

struct answer answer_read(const struct loaded *loaded, const struct tensor *output, int64_t row)
{
    const float *data = output->data;
    int columns = columns_of(output);
    int classes = answer_class_count(loaded);
    struct answer answer = {.value = data[row * columns]};
    if (classes < 2)
        return answer;
    answer.is_class = true;
    answer.has_score = loaded->signature->is_probability;
    if (answer.has_score && classes == 2) {
        double threshold = loaded->contract ? loaded->contract->decision_threshold : 0.5;
        answer.value = answer_probability(loaded, output, row, 1);
        answer.class_index = (double)answer.value >= threshold;
    } else if (columns > 1) {
        answer.class_index = most_probable(data + row * columns, columns);
    } else {
        answer.class_index = (int)answer.value;
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
