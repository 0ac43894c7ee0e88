/* request_sketch.c - rows and answers of a request, into the counters of its thread and arm. */
#include "serve/request_sketch.h"

#include "monitor/sketch.h"
#include "runtime/answer.h"

/* A number per row, or the probability of class 1: the output is what is counted. */
static bool is_plain(const struct loaded *loaded, const struct tensor *output)
{
    return output->dtype == DTYPE_F32 && output->rank == 1 &&
           (loaded->signature->class_count < 2 || loaded->signature->is_probability);
}

/* One answer, as the baseline's last column counts it: a class as its index, else a number. */
static float answer_of(const struct loaded *loaded, const struct tensor *output, int64_t row)
{
    struct answer answer = answer_read(loaded, output, row);
    if (!answer.is_class)
        return answer.value;
    if (answer.has_score && loaded->signature->class_count == 2)
        return answer_probability(loaded, output, row, 1);
    return (float)answer.class_index;
}

static void add_answers(const struct request *req, struct sketch *sketch)
{
    const struct tensor *output = answer_find(req->loaded, req->wanted, req->out, req->row_count);
    int thread = req->thread->index;
    if (!output)
        return;
    if (is_plain(req->loaded, output)) {
        const float *values = output->data;
        for (int64_t row = 0; row < req->row_count; row++)
            sketch_add_answer(sketch, thread, req->arm, values[row]);
        return;
    }
    for (int64_t row = 0; row < req->row_count; row++)
        sketch_add_answer(sketch, thread, req->arm, answer_of(req->loaded, output, row));
}

void request_sketch(const struct request *req)
{
    struct sketch *sketch = req->loaded->sketch;
    if (req->has_rows)
        sketch_add_rows(sketch, req->thread->index, req->arm, req->rows.values, req->row_count);
    add_answers(req, sketch);
}
