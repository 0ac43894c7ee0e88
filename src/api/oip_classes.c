/* oip_classes.c - the largest elements of each row, by a heap of the wanted size. */
#include "api/oip_classes.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/tensor_element.h"
#include "runtime/answer.h"

enum { CLASSIFIED_ELEMENTS_MAX = 1000 * 1000, NUMBER_BYTES = 352 /* "%f" of the largest double */ };

struct classes {
    const struct request *req;
    const struct tensor *output;
    int64_t rows, per_row; /* elements */
    bool is_batched;
    bool is_binary; /* one element is the probability of class 1 of two */
    bool has_labels;
    int count; /* wanted of each row */
};

struct ranked {
    double value;
    int index;
};

static double value_of(const struct classes *c, int64_t row, int index)
{
    if (!c->is_binary)
        return tensor_f64_at(c->output->data, c->output->dtype, row * c->per_row + index);
    double of_class_1 = tensor_f64_at(c->output->data, c->output->dtype, row);
    return index == 1 ? of_class_1 : 1 - of_class_1;
}

/* Larger values first, then lower indices; NaN last. */
static bool is_better(struct ranked a, struct ranked b)
{
    if (isnan(a.value) || isnan(b.value))
        return isnan(b.value) && (!isnan(a.value) || a.index < b.index);
    return a.value > b.value || (a.value == b.value && a.index < b.index);
}

/* The worst is on top. */
static void sift_down(struct ranked *heap, int count, int at)
{
    for (;;) {
        int worst = at, left = 2 * at + 1, right = left + 1;
        if (left < count && is_better(heap[worst], heap[left]))
            worst = left;
        if (right < count && is_better(heap[worst], heap[right]))
            worst = right;
        if (worst == at)
            return;
        struct ranked moved = heap[at];
        heap[at] = heap[worst];
        heap[worst] = moved;
        at = worst;
    }
}

/* best[count], best first. */
static void find_best(const struct classes *c, int64_t row, int classes, struct ranked *best)
{
    for (int i = 0; i < c->count; i++)
        best[i] = (struct ranked){value_of(c, row, i), i};
    for (int i = c->count / 2; i-- > 0;)
        sift_down(best, c->count, i);
    for (int i = c->count; i < classes; i++) {
        struct ranked next = {value_of(c, row, i), i};
        if (!is_better(next, best[0]))
            continue;
        best[0] = next;
        sift_down(best, c->count, 0);
    }
    for (int left = c->count - 1; left > 0; left--) {
        struct ranked worst = best[0];
        best[0] = best[left];
        best[left] = worst;
        sift_down(best, left, 0);
    }
}

static bool is_float(enum dtype dtype)
{
    return dtype >= DTYPE_F16 && dtype <= DTYPE_F64;
}

static bool write_class(const struct classes *c, const struct ranked *ranked, struct arena *arena,
                        struct str *text)
{
    char number[NUMBER_BYTES];
    struct str label = {0};
    if (c->has_labels)
        label = answer_class_name(c->req->loaded, ranked->index);
    int length = snprintf(number, sizeof(number), is_float(c->output->dtype) ? "%f:%d" : "%.0f:%d",
                          ranked->value, ranked->index);
    size_t bytes = (size_t)length + (label.ptr ? 1 + label.len : 0);
    char *copy = arena_alloc(arena, bytes + 1);
    if (!copy)
        return false;
    memcpy(copy, number, (size_t)length);
    if (label.ptr) {
        copy[length] = ':';
        memcpy(copy + length + 1, label.ptr, label.len);
    }
    *text = (struct str){copy, bytes};
    return true;
}

static enum err_code describe(struct classes *c, struct err *err)
{
    const struct loaded *loaded = c->req->loaded;
    const struct signature *sig = loaded->signature;
    int64_t elements = tensor_elements(c->output->shape, c->output->rank);
    if (c->output->dtype == DTYPE_BYTES || c->output->dtype == DTYPE_BOOL)
        return err_set(err, ERR_INVALID,
                       "class result not available for output due to unsupported type '%s'",
                       dtype_name(c->output->dtype));
    if (elements > CLASSIFIED_ELEMENTS_MAX)
        return err_set(err, ERR_LIMIT,
                       "classification output tensor too large: output '%s' has "
                       "%lld elements, at most %d are taken (>1,000,000)",
                       c->output->name, (long long)elements, CLASSIFIED_ELEMENTS_MAX);
    c->is_batched =
        sig->batch_rows_max > 0 && c->output->rank > 0 && c->output->shape[0] == c->req->row_count;
    bool is_answer = strcmp(c->output->name, sig->outputs[sig->answer].name) == 0;
    c->rows = c->is_batched ? c->output->shape[0] : 1;
    c->per_row = c->rows ? elements / c->rows : 0;
    c->is_binary = is_answer && sig->is_probability && sig->class_count == 2 && c->per_row == 1;
    c->has_labels = is_answer && (c->is_binary || c->per_row == sig->class_count);
    return ERR_OK;
}

enum err_code oip_classify(const struct request *req, const struct tensor *output, int count,
                           struct tensor *result, struct err *err)
{
    struct classes c = {.req = req, .output = output};
    enum err_code rc = describe(&c, err);
    if (rc)
        return rc;
    int64_t classes = c.is_binary ? 2 : c.per_row;
    c.count = count < classes ? count : (int)classes;
    struct ranked *best = arena_calloc(req->arena, (size_t)c.count, sizeof(*best));
    struct str *texts = arena_calloc(req->arena, (size_t)(c.rows * c.count), sizeof(*texts));
    bool has_room = best && texts;
    for (int64_t row = 0; has_room && row < c.rows; row++) {
        find_best(&c, row, (int)classes, best);
        for (int i = 0; has_room && i < c.count; i++)
            has_room = write_class(&c, &best[i], req->arena, &texts[row * c.count + i]);
    }
    if (!has_room)
        return err_set(err, ERR_LIMIT, "no room for the classes of output '%s'", output->name);
    *result = (struct tensor){.name = output->name,
                              .dtype = DTYPE_BYTES,
                              .rank = c.is_batched ? 2 : 1,
                              .shape = {c.is_batched ? c.rows : c.count, c.count},
                              .data = texts};
    return ERR_OK;
}
