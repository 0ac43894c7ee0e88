/* graph_aside.c - what is recorded of a run besides its outputs: for each row how the nodes
 * answered. A row that did not come to a node has NaN and "unused" there. */
#include <math.h>

#include "base/check.h"
#include "base/tensor_element.h"
#include "serve/graph_run.h"

static enum err_code no_room(struct graph_run *run)
{
    return err_set(run->err, ERR_LIMIT, "the graph's record does not fit the request's memory");
}

/* The next aside, shaped for every row of the request. */
static struct tensor *begin_aside(struct graph_run *run, int at)
{
    const struct signature_tensor *as = &run->plan->signature.asides[at];
    struct tensor *tensor = &run->call->aside[at];
    int64_t rows = run->scopes[0].count;
    *tensor = (struct tensor){.name = as->name, .dtype = as->dtype, .rank = as->rank};
    memcpy(tensor->shape, as->shape, sizeof(tensor->shape));
    tensor->shape[0] = rows;
    tensor->data = arena_calloc(run->call->arena, (size_t)(rows * graph_row_elements(as)),
                                dtype_memory_bytes(as->dtype));
    return tensor->data ? tensor : NULL;
}

/* Which row of the request the i-th one of a node is. */
static int64_t row_at(const struct graph_rows *rows, int64_t i)
{
    return rows->index ? rows->index[i] : i;
}

static enum err_code put_answer(struct graph_run *run, const struct graph_node *node)
{
    struct tensor *aside = begin_aside(run, node->aside);
    const struct tensor *value = &run->values[node->value + node->answer];
    const struct graph_rows *rows = &run->scopes[node->scope];
    int64_t width = graph_row_elements(&node->outputs[node->answer]);
    if (!aside)
        return no_room(run);
    float *to = aside->data;
    for (int64_t i = 0; i < run->scopes[0].count * width; i++)
        to[i] = NAN;
    for (int64_t i = 0; value->data && i < rows->count; i++)
        for (int64_t k = 0; k < width; k++)
            to[row_at(rows, i) * width + k] =
                (float)tensor_f64_at(value->data, value->dtype, i * width + k);
    return ERR_OK;
}

static enum err_code put_outcome(struct graph_run *run, const struct graph_node *node, int index,
                                 int at)
{
    struct tensor *outcome = begin_aside(run, at), *us = begin_aside(run, at + 1);
    const struct graph_rows *rows = &run->scopes[node->scope];
    const struct graph_visit *visit = &run->visits[index];
    int64_t took_us = visit->took_ns / 1000;
    if (!outcome || !us)
        return no_room(run);
    struct str *texts = outcome->data;
    for (int64_t i = 0; i < run->scopes[0].count; i++)
        texts[i] = str_of(graph_outcome_name(OUTCOME_UNUSED));
    for (int64_t i = 0; i < rows->count; i++) {
        texts[row_at(rows, i)] = str_of(graph_outcome_name(visit->outcome));
        ((int32_t *)us->data)[row_at(rows, i)] = took_us < INT32_MAX ? (int32_t)took_us : INT32_MAX;
    }
    return ERR_OK;
}

static enum err_code put_choice(struct graph_run *run, const struct graph_node *node, int index)
{
    struct tensor *aside = begin_aside(run, node->aside);
    const struct graph_rows *rows = &run->scopes[node->scope];
    const uint8_t *choice = run->visits[index].choice;
    if (!aside)
        return no_room(run);
    struct str *texts = aside->data;
    for (int64_t i = 0; i < run->scopes[0].count; i++)
        texts[i] = str_of(graph_outcome_name(OUTCOME_UNUSED));
    for (int64_t i = 0; choice && i < rows->count; i++) {
        const struct graph_source *then = &node->branches[choice[i]].then;
        texts[row_at(rows, i)] = then->from == FROM_NODE
                                     ? str_of(run->plan->nodes[then->index].name)
                                     : STR_LIT("number");
    }
    return ERR_OK;
}

enum err_code graph_aside(struct graph_run *run)
{
    enum err_code rc = ERR_OK;
    for (int i = 0; !rc && i < run->plan->node_count; i++) {
        const struct graph_node *node = &run->plan->nodes[i];
        if (node->kind == GRAPH_SWITCH)
            rc = put_choice(run, node, i);
        if (!rc && node->records_answer)
            rc = put_answer(run, node);
        if (!rc && node->kind == GRAPH_MODEL)
            rc = put_outcome(run, node, i, node->aside + node->records_answer);
    }
    return rc;
}
