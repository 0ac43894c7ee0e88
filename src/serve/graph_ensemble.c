/* graph_ensemble.c - several answers become one: sums in double, in the members' order.
 *
 *     average         sum of w_i x_i / sum of w_i
 *     vote            the class with the largest sum of w_i, the least of those that are equal
 *     sum, min, max   of each column
 *     concat          the members' columns side by side
 *
 * A member that is skipped is as if it were not listed.
 */
#include <math.h>

#include "base/check.h"
#include "base/tensor_element.h"
#include "serve/graph_run.h"

static enum err_code no_room(struct graph_run *run)
{
    return err_set(run->err, ERR_LIMIT, "the graph's rows do not fit the request's memory");
}

static int64_t rows_of(const struct graph_run *run, const struct graph_node *node)
{
    return run->scopes[node->scope].count;
}

static double weight_of(const struct graph_node *node, int member)
{
    return node->weights ? node->weights[member] : 1;
}

/* ---- numbers ---- */

static void join(enum graph_how how, double *sums, const double *values, size_t cells,
                 double weight)
{
    for (size_t i = 0; i < cells; i++) {
        if (how == HOW_AVERAGE || how == HOW_SUM)
            sums[i] += weight * values[i];
        else if (isnan(values[i]) || isnan(sums[i]))
            sums[i] = NAN;
        else if (how == HOW_MIN ? values[i] < sums[i] : values[i] > sums[i])
            sums[i] = values[i];
    }
}

static void start(enum graph_how how, double *sums, size_t cells)
{
    double first = how == HOW_MIN ? INFINITY : how == HOW_MAX ? -INFINITY : 0;
    for (size_t i = 0; i < cells; i++)
        sums[i] = first;
}

static enum err_code nobody_left(struct graph_run *run, const struct graph_node *node)
{
    return err_set(run->err, ERR_UNAVAILABLE, "node '%s': none of its members has answered",
                   node->name);
}

static enum err_code join_members(struct graph_run *run, const struct graph_node *node,
                                  double *sums, double *values, size_t cells)
{
    double weights = 0;
    int count = 0;
    start(node->how, sums, cells);
    for (int i = 0; i < node->member_count; i++) {
        if (!graph_run_has(run, &node->members[i]))
            continue;
        enum err_code rc =
            graph_run_numbers(run, &node->members[i], node->scope, node->width, values);
        if (rc)
            return rc;
        join(node->how, sums, values, cells, weight_of(node, i));
        weights += weight_of(node, i);
        count++;
    }
    if (count == 0 || (node->how == HOW_AVERAGE && weights == 0))
        return nobody_left(run, node);
    for (size_t i = 0; node->how == HOW_AVERAGE && i < cells; i++)
        sums[i] /= weights;
    return ERR_OK;
}

/* ---- columns ---- */

static int64_t width_of(const struct graph_run *run, const struct graph_source *source)
{
    if (source->from == FROM_NUMBER || source->column >= 0)
        return 1;
    return graph_row_elements(source->from == FROM_INPUT
                                  ? &run->plan->inputs[source->index]
                                  : &run->plan->nodes[source->index].outputs[source->output]);
}

static enum err_code concat(struct graph_run *run, const struct graph_node *node, double *result,
                            double *values)
{
    int64_t rows = rows_of(run, node), at = 0;
    for (int i = 0; i < node->member_count; i++) {
        int64_t width = width_of(run, &node->members[i]);
        enum err_code rc = graph_run_numbers(run, &node->members[i], node->scope, width, values);
        if (rc)
            return rc;
        for (int64_t row = 0; row < rows; row++)
            memcpy(result + row * node->width + at, values + row * width,
                   (size_t)width * sizeof(*values));
        at += width;
    }
    return ERR_OK;
}

/* ---- votes ---- */

/* -1: it has no opinion. */
static int class_of(const struct graph_node *member, const double *row, int64_t width)
{
    int best = 0;
    if (width == 1 && isnan(row[0]))
        return -1;
    if (width == 1 && member->is_probability)
        return row[0] >= 0.5;
    if (width == 1)
        return row[0] >= 0 && row[0] < member->class_count ? (int)row[0] : -1;
    for (int k = 1; k < width; k++)
        if (row[k] > row[best])
            best = k;
    return isnan(row[best]) ? -1 : best;
}

static enum err_code count_votes(struct graph_run *run, const struct graph_node *node,
                                 double *votes, int *voters)
{
    int64_t rows = rows_of(run, node);
    for (int i = 0; i < node->member_count; i++) {
        const struct graph_source *source = &node->members[i];
        const struct graph_node *member = &run->plan->nodes[source->index];
        int64_t width = width_of(run, source);
        if (!graph_run_has(run, source))
            continue;
        double *values =
            arena_calloc(run->call->arena, (size_t)rows, (size_t)width * sizeof(*values));
        enum err_code rc =
            values ? graph_run_numbers(run, source, node->scope, width, values) : no_room(run);
        if (rc)
            return rc;
        for (int64_t row = 0; row < rows; row++) {
            int class_index = class_of(member, values + row * width, width);
            if (class_index >= 0 && class_index < node->class_count)
                votes[row * node->class_count + class_index] += weight_of(node, i);
        }
        ++*voters;
    }
    return ERR_OK;
}

static enum err_code vote(struct graph_run *run, const struct graph_node *node, int64_t *result)
{
    int64_t rows = rows_of(run, node);
    size_t classes = (size_t)node->class_count;
    int voters = 0;
    double *votes = arena_calloc(run->call->arena, (size_t)rows, classes * sizeof(*votes));
    enum err_code rc = votes ? count_votes(run, node, votes, &voters) : no_room(run);
    if (!rc && voters == 0)
        rc = nobody_left(run, node);
    for (int64_t row = 0; !rc && row < rows; row++) {
        const double *of_row = votes + row * node->class_count;
        int best = 0;
        for (int k = 1; k < node->class_count; k++)
            if (of_row[k] > of_row[best])
                best = k;
        result[row] = best;
    }
    return rc;
}

/* ---- the whole ---- */

static void put(struct tensor *tensor, const double *numbers, size_t cells)
{
    if (tensor->dtype == DTYPE_F64)
        memcpy(tensor->data, numbers, cells * sizeof(*numbers));
    else
        for (size_t i = 0; i < cells; i++)
            ((float *)tensor->data)[i] = (float)numbers[i];
}

static enum err_code compute(struct graph_run *run, const struct graph_node *node,
                             struct tensor *tensor)
{
    size_t cells = (size_t)rows_of(run, node) * (size_t)node->width;
    double *numbers = arena_calloc(run->call->arena, cells, sizeof(*numbers));
    double *values = arena_calloc(run->call->arena, cells, sizeof(*values));
    if (!numbers || !values)
        return no_room(run);
    enum err_code rc = node->how == HOW_CONCAT ? concat(run, node, numbers, values)
                                               : join_members(run, node, numbers, values, cells);
    if (!rc)
        put(tensor, numbers, cells);
    return rc;
}

enum err_code graph_ensemble(struct graph_run *run, const struct graph_node *node)
{
    const struct signature_tensor *as = &node->outputs[0];
    struct tensor *tensor = &run->values[node->value];
    int64_t rows = rows_of(run, node);
    *tensor = (struct tensor){.name = as->name, .dtype = as->dtype, .rank = as->rank};
    memcpy(tensor->shape, as->shape, sizeof(tensor->shape));
    tensor->shape[0] = rows;
    size_t bytes = (size_t)node->width * dtype_bytes(as->dtype);
    tensor->data = arena_calloc(run->call->arena, (size_t)rows, bytes);
    if (!tensor->data)
        return no_room(run);
    if (rows == 0)
        return ERR_OK;
    return node->how == HOW_VOTE ? vote(run, node, tensor->data) : compute(run, node, tensor);
}
