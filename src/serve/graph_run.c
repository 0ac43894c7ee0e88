/* graph_run.c - rows chosen, models asked, answers brought together, step by step. */
#include "serve/graph_run.h"

#include <math.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/tensor_element.h"
#include "serve/graph_flight.h"

static const char *const outcome_names[] = {"unused", "ok", "late", "failed"};

const char *graph_outcome_name(enum graph_outcome outcome)
{
    return outcome_names[outcome];
}

static enum err_code no_room(struct graph_run *run)
{
    return err_set(run->err, ERR_LIMIT, "the graph's rows do not fit the request's memory");
}

/* ---- rows ---- */

/* Where the rows of scope `to` are among those of `from`, of which they are some; NULL: in the same
 * places. */
static enum err_code find_places(struct graph_run *run, int from, int to, const int64_t **places)
{
    const struct graph_rows *all = &run->scopes[from], *some = &run->scopes[to];
    *places = NULL;
    assert(some->count <= all->count);
    if (some->count == all->count)
        return ERR_OK;
    if (!all->index) {
        *places = some->index;
        return ERR_OK;
    }
    int64_t *found = arena_calloc(run->call->arena, (size_t)some->count, sizeof(*found));
    if (!found)
        return no_room(run);
    for (int64_t i = 0, at = 0; i < some->count; i++) {
        while (all->index[at] != some->index[i])
            at++;
        found[i] = at;
    }
    *places = found;
    return ERR_OK;
}

static size_t row_bytes(const struct tensor *tensor)
{
    return (size_t)tensor_elements(tensor->shape + 1, tensor->rank - 1) *
           dtype_memory_bytes(tensor->dtype);
}

static const struct tensor *tensor_of(const struct graph_run *run,
                                      const struct graph_source *source)
{
    const struct graph_node *node = &run->plan->nodes[source->index];
    return source->from == FROM_INPUT ? &run->call->in[source->index]
                                      : &run->values[node->value + source->output];
}

static int scope_of(const struct graph_run *run, const struct graph_source *source)
{
    return source->from == FROM_INPUT ? 0 : run->plan->nodes[source->index].scope;
}

bool graph_run_has(const struct graph_run *run, const struct graph_source *source)
{
    return source->from == FROM_NUMBER || tensor_of(run, source)->data;
}

static enum err_code not_there(struct graph_run *run, const struct graph_source *source)
{
    if (source->from == FROM_INPUT)
        return err_set(run->err, ERR_INVALID, "input '%s' was not given",
                       run->plan->inputs[source->index].name);
    return err_set(run->err, ERR_INTERNAL, "node '%s' has left no answer",
                   run->plan->nodes[source->index].name);
}

/* The source's rows of a scope: as they are, or copied into `arena`. */
static enum err_code take_rows(struct graph_run *run, const struct graph_source *source, int scope,
                               struct arena *arena, bool copies, struct tensor *rows)
{
    const struct tensor *all = tensor_of(run, source);
    const int64_t *places;
    enum err_code rc = find_places(run, scope_of(run, source), scope, &places);
    *rows = *all;
    if (rc || (!places && !copies))
        return rc;
    if (!all->data)
        return not_there(run, source);
    size_t bytes = row_bytes(all);
    rows->shape[0] = run->scopes[scope].count;
    rows->data = arena_alloc_aligned(arena, (size_t)rows->shape[0] * bytes, ARENA_ALIGN_MAX);
    if (!rows->data)
        return no_room(run);
    if (!places)
        memcpy(rows->data, all->data, (size_t)rows->shape[0] * bytes);
    for (int64_t i = 0; places && i < rows->shape[0]; i++)
        memcpy((char *)rows->data + (size_t)i * bytes,
               (const char *)all->data + (size_t)places[i] * bytes, bytes);
    return ERR_OK;
}

/* The tensor that a source names, and where it has the rows of the scope (NULL: in their order). */
static enum err_code find_tensor(struct graph_run *run, const struct graph_source *source,
                                 int scope, const struct tensor **all, const int64_t **places)
{
    *all = tensor_of(run, source);
    enum err_code rc = find_places(run, scope_of(run, source), scope, places);
    return rc ? rc : (*all)->data ? ERR_OK : not_there(run, source);
}

enum err_code graph_run_numbers(struct graph_run *run, const struct graph_source *source, int scope,
                                int64_t columns, double *out)
{
    int64_t count = run->scopes[scope].count;
    const struct tensor *all;
    const int64_t *places;
    if (source->from == FROM_NUMBER) {
        for (int64_t i = 0; i < count * columns; i++)
            out[i] = source->number;
        return ERR_OK;
    }
    enum err_code rc = find_tensor(run, source, scope, &all, &places);
    if (rc)
        return rc;
    int64_t width = tensor_elements(all->shape + 1, all->rank - 1);
    int64_t first = source->column < 0 ? 0 : source->column;
    assert(first + columns <= width);
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < columns; k++)
            out[i * columns + k] =
                tensor_f64_at(all->data, all->dtype, (places ? places[i] : i) * width + first + k);
    return ERR_OK;
}

/* ---- inputs of a model ---- */

/* float32 stays as it is, bit for bit: a missing value says in its bits why it is. */
static enum err_code put_column(struct graph_run *run, const struct graph_source *source, int scope,
                                float *to, int64_t stride)
{
    int64_t count = run->scopes[scope].count;
    const struct tensor *all;
    const int64_t *places;
    if (source->from == FROM_NUMBER) {
        for (int64_t i = 0; i < count; i++)
            to[i * stride] = (float)source->number;
        return ERR_OK;
    }
    enum err_code rc = find_tensor(run, source, scope, &all, &places);
    if (rc)
        return rc;
    int64_t width = tensor_elements(all->shape + 1, all->rank - 1);
    assert(source->column < width);
    for (int64_t i = 0; i < count; i++) {
        int64_t at = (places ? places[i] : i) * width + source->column;
        to[i * stride] = all->dtype == DTYPE_F32 ? ((const float *)all->data)[at]
                                                 : (float)tensor_f64_at(all->data, all->dtype, at);
    }
    return ERR_OK;
}

static enum err_code put_matrix(struct graph_run *run, const struct graph_node *node,
                                struct arena *arena, bool copies, struct tensor *in)
{
    int64_t count = run->scopes[node->scope].count;
    if (node->passes_input) {
        const struct graph_source whole = {.from = FROM_INPUT, .column = -1};
        enum err_code rc = take_rows(run, &whole, node->scope, arena, copies, in);
        in->name = node->loaded->signature->inputs[0].name;
        return rc;
    }
    float *matrix = arena_alloc_aligned(
        arena, (size_t)count * (size_t)node->column_count * sizeof(*matrix), ARENA_ALIGN_MAX);
    if (!matrix)
        return no_room(run);
    *in = loaded_matrix(node->loaded, matrix, count);
    for (int i = 0; i < node->column_count; i++) {
        enum err_code rc =
            put_column(run, &node->columns[i], node->scope, matrix + i, node->column_count);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

/* A number for each row as the one element that the input has of it. */
static enum err_code put_elements(struct graph_run *run, const struct graph_node *node,
                                  const struct graph_source *source,
                                  const struct signature_tensor *input, struct arena *arena,
                                  struct tensor *in)
{
    int64_t count = run->scopes[node->scope].count;
    double *numbers = arena_calloc(arena, (size_t)count, sizeof(*numbers));
    *in = (struct tensor){.dtype = input->dtype, .rank = input->rank};
    memcpy(in->shape, input->shape, sizeof(in->shape));
    in->shape[0] = count;
    in->data = arena_calloc(arena, (size_t)count, dtype_bytes(input->dtype));
    if (!numbers || !in->data)
        return no_room(run);
    enum err_code rc = graph_run_numbers(run, source, node->scope, 1, numbers);
    for (int64_t i = 0; !rc && i < count; i++)
        if (!tensor_put_f64(in->data, in->dtype, i, numbers[i]))
            rc = err_set(run->err, ERR_INVALID, "input '%s' of node '%s': %g is no %s", input->name,
                         node->name, numbers[i], dtype_name(input->dtype));
    return rc;
}

static enum err_code put_feed(struct graph_run *run, const struct graph_node *node, int i,
                              struct arena *arena, bool copies, struct tensor *in)
{
    const struct graph_source *source = &node->feeds[i];
    const struct signature_tensor *input = &node->loaded->signature->inputs[i];
    enum err_code rc = ERR_OK;
    if (source->from == FROM_INPUT && source->index < 0) /* optional, and nobody feeds it */
        *in = (struct tensor){.dtype = input->dtype};
    else if (source->from == FROM_NUMBER || source->column >= 0)
        rc = put_elements(run, node, source, input, arena, in);
    else if (tensor_of(run, source)->data || source->from == FROM_NODE)
        rc = take_rows(run, source, node->scope, arena, copies, in);
    else if (input->is_optional) /* the request has not given it */
        *in = (struct tensor){.dtype = input->dtype};
    else
        rc = err_set(run->err, ERR_INVALID, "input '%s' of node '%s' was not given", input->name,
                     node->name);
    in->name = input->name;
    return rc;
}

enum err_code graph_run_inputs(struct graph_run *run, const struct graph_node *node,
                               struct arena *arena, bool copies, struct tensor **in)
{
    int count = node->loaded->signature->input_count;
    *in = arena_calloc(arena, (size_t)count, sizeof(**in));
    if (!*in)
        return no_room(run);
    if (node->columns)
        return put_matrix(run, node, arena, copies, *in);
    for (int i = 0; i < count; i++) {
        enum err_code rc = put_feed(run, node, i, arena, copies, &(*in)[i]);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

/* ---- asking a model ---- */

static void count_call(struct graph_run *run, int index)
{
    const struct graph_visit *visit = &run->visits[index];
    if (!run->counts)
        return;
    struct graph_count *count = &run->counts[index];
    atomic_fetch_add_explicit(&count->calls[visit->outcome], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&count->ns, (uint64_t)visit->took_ns, memory_order_relaxed);
}

/* Not every runtime holds a model to what it declares, and the plan relies on it. */
static bool is_as_declared(const struct signature_tensor *declared, const struct tensor *out)
{
    int64_t width = graph_row_elements(declared);
    return out->data && out->dtype == declared->dtype && out->rank >= 1 &&
           (width < 0 || tensor_elements(out->shape + 1, out->rank - 1) == width);
}

static enum err_code check_output(const struct signature_tensor *declared, const struct tensor *out,
                                  int64_t rows, struct err *err)
{
    if (!is_as_declared(declared, out))
        return err_set(err, ERR_UPSTREAM,
                       "its model gave output '%s' another datatype or shape than it declares",
                       declared->name);
    if (out->shape[0] != rows)
        return err_set(err, ERR_UPSTREAM, "its model gave another number of rows than it got");
    return ERR_OK;
}

static enum err_code check_outputs(const struct graph_node *node, int64_t rows,
                                   const struct tensor *out, int out_count, struct err *err)
{
    enum err_code rc = ERR_OK;
    int given = 0;
    for (int i = 0; !rc && i < node->output_count; i++) {
        if (!node->wanted[i])
            continue;
        if (given == out_count)
            return err_set(err, ERR_UPSTREAM, "its model gave %d outputs, more were asked for",
                           out_count);
        rc = check_output(&node->outputs[i], &out[given++], rows, err);
    }
    return rc;
}

/* All of them, or none. */
static enum err_code place_outputs(struct graph_run *run, const struct graph_node *node,
                                   const struct tensor *out, int out_count, struct err *err)
{
    enum err_code rc = check_outputs(node, run->scopes[node->scope].count, out, out_count, err);
    for (int i = 0, given = 0; !rc && i < node->output_count; i++)
        if (node->wanted[i])
            run->values[node->value + i] = out[given++];
    return rc;
}

enum err_code graph_run_answer(struct graph_run *run, int index, enum err_code rc,
                               const struct tensor *out, int out_count, struct err *why)
{
    const struct graph_node *node = &run->plan->nodes[index];
    struct graph_visit *visit = &run->visits[index];
    if (!rc)
        rc = place_outputs(run, node, out, out_count, why);
    visit->took_ns = clock_monotonic_ns() - visit->begin_ns;
    visit->outcome = !rc ? OUTCOME_OK : rc == ERR_TIMEOUT ? OUTCOME_LATE : OUTCOME_FAILED;
    count_call(run, index);
    if (!rc || (node->fallback != FALLBACK_NONE && rc != ERR_CANCELLED))
        return ERR_OK;
    *run->err = *why;
    return err_wrap(run->err, "node '%s'", node->name);
}

static enum err_code ask_here(struct graph_run *run, int index)
{
    const struct graph_node *node = &run->plan->nodes[index];
    struct runtime_call *whole = run->call;
    struct err why = {0};
    struct runtime_call call = {
        .in_count = node->loaded->signature->input_count,
        .wanted = node->wanted,
        .arena = whole->arena,
        .deadline_ns = run->visits[index].deadline_ns,
        .is_cancelled = whole->is_cancelled,
        .request_id = whole->request_id,
        .traceparent = whole->traceparent,
        .parameters = whole->parameters,
        .out = arena_calloc(whole->arena, (size_t)node->output_count, sizeof(*call.out)),
    };
    struct tensor *in;
    enum err_code rc =
        call.out ? graph_run_inputs(run, node, whole->arena, false, &in) : no_room(run);
    if (rc)
        return rc;
    call.in = in;
    rc = loaded_predict(node->loaded, &call, &why);
    whole->is_fallback = whole->is_fallback || call.is_fallback;
    return graph_run_answer(run, index, rc, call.out, call.out_count, &why);
}

static int64_t earlier(int64_t a_ns, int64_t b_ns)
{
    return a_ns == 0 || (b_ns && b_ns < a_ns) ? b_ns : a_ns;
}

static enum err_code begin_model(struct graph_run *run, int index)
{
    const struct graph_node *node = &run->plan->nodes[index];
    struct graph_visit *visit = &run->visits[index];
    if (run->scopes[node->scope].count == 0)
        return ERR_OK;
    visit->begin_ns = clock_monotonic_ns();
    visit->deadline_ns = earlier(run->call->deadline_ns,
                                 node->deadline_ns ? visit->begin_ns + node->deadline_ns : 0);
    bool is_begun = false;
    enum err_code rc = ERR_OK;
    if (run->flights && node->is_in_lane && node->loaded->lane)
        rc = graph_flight_begin(run, index, &is_begun);
    return rc || is_begun ? rc : ask_here(run, index);
}

/* ---- what stands in for a model ---- */

static enum err_code put_value(struct graph_run *run, const struct graph_node *node, int output)
{
    const struct signature_tensor *as = &node->outputs[output];
    struct tensor *tensor = &run->values[node->value + output];
    int64_t rows = run->scopes[node->scope].count, width = graph_row_elements(as);
    *tensor = (struct tensor){.name = as->name, .dtype = as->dtype, .rank = as->rank};
    memcpy(tensor->shape, as->shape, sizeof(tensor->shape));
    tensor->shape[0] = rows;
    tensor->data = arena_calloc(run->call->arena, (size_t)(rows * width), dtype_bytes(as->dtype));
    if (!tensor->data)
        return no_room(run);
    for (int64_t i = 0; i < rows * width; i++)
        tensor_put_f64(tensor->data, as->dtype, i, node->fallback_value);
    return ERR_OK;
}

static enum err_code put_stand_in(struct graph_run *run, const struct graph_node *node, int output)
{
    const struct graph_source source = {.from = FROM_NODE,
                                        .index = node->fallback_node,
                                        .output = node->stand_ins[output],
                                        .column = -1};
    if (!graph_run_has(run, &source))
        return not_there(run, &source);
    return take_rows(run, &source, node->scope, run->call->arena, false,
                     &run->values[node->value + output]);
}

static enum err_code end_model(struct graph_run *run, int index)
{
    const struct graph_node *node = &run->plan->nodes[index];
    enum graph_outcome outcome = run->visits[index].outcome;
    enum err_code rc = ERR_OK;
    if (outcome == OUTCOME_OK || outcome == OUTCOME_UNUSED)
        return ERR_OK;
    for (int i = 0; !rc && i < node->output_count; i++) {
        if (!node->wanted[i])
            continue;
        if (node->fallback == FALLBACK_VALUE)
            rc = put_value(run, node, i);
        else if (node->fallback == FALLBACK_NODE)
            rc = put_stand_in(run, node, i);
    }
    return rc;
}

/* The rows of the fallback node: all of them, or none. */
static void open_fallback(struct graph_run *run, int index)
{
    const struct graph_node *node = &run->plan->nodes[index];
    enum graph_outcome outcome = run->visits[index].outcome;
    if (node->fallback != FALLBACK_NODE)
        return;
    run->scopes[node->fallback_scope] = outcome == OUTCOME_LATE || outcome == OUTCOME_FAILED
                                            ? run->scopes[node->scope]
                                            : (struct graph_rows){0};
}

/* ---- a switch ---- */

static bool holds(enum graph_compare compare, double left, double right)
{
    switch (compare) {
    case COMPARE_LESS:
        return left < right;
    case COMPARE_LESS_EQUAL:
        return left <= right;
    case COMPARE_GREATER:
        return left > right;
    case COMPARE_GREATER_EQUAL:
        return left >= right;
    case COMPARE_EQUAL:
        return left == right;
    case COMPARE_NOT_EQUAL:
        return left != right;
    case COMPARE_MISSING:
        return isnan(left);
    }
    return false;
}

/* The first test that holds: they are tried from the last one back. float32 is compared with what
 * the number is in float32. */
static enum err_code choose(struct graph_run *run, const struct graph_node *node, uint8_t *choice)
{
    int64_t count = run->scopes[node->scope].count;
    double *left = arena_calloc(run->call->arena, (size_t)count, sizeof(*left));
    if (!left)
        return no_room(run);
    memset(choice, node->otherwise, (size_t)count);
    for (int i = node->test_count - 1; i >= 0; i--) {
        const struct graph_test *test = &node->tests[i];
        enum err_code rc = graph_run_numbers(run, &test->left, node->scope, 1, left);
        if (rc)
            return rc;
        bool is_f32 =
            test->left.from != FROM_NUMBER && tensor_of(run, &test->left)->dtype == DTYPE_F32;
        double right = is_f32 ? (double)(float)test->right : test->right;
        for (int64_t row = 0; row < count; row++)
            if (holds(test->compare, left[row], right))
                choice[row] = (uint8_t)test->branch;
    }
    return ERR_OK;
}

static bool is_in_scope(const struct graph_node *node, int branch, int scope)
{
    return node->branches[branch].scope == scope;
}

static enum err_code open_scope(struct graph_run *run, const struct graph_node *node,
                                const uint8_t *choice, int scope)
{
    const struct graph_rows *all = &run->scopes[node->scope];
    struct graph_rows *some = &run->scopes[scope];
    *some = (struct graph_rows){0};
    for (int64_t row = 0; row < all->count; row++)
        some->count += is_in_scope(node, choice[row], scope);
    if (some->count == all->count || some->count == 0) {
        some->index = some->count ? all->index : NULL;
        return ERR_OK;
    }
    int64_t *index = arena_calloc(run->call->arena, (size_t)some->count, sizeof(*index));
    if (!index)
        return no_room(run);
    for (int64_t row = 0, at = 0; row < all->count; row++)
        if (is_in_scope(node, choice[row], scope))
            index[at++] = all->index ? all->index[row] : row;
    some->index = index;
    return ERR_OK;
}

static enum err_code begin_switch(struct graph_run *run, int index)
{
    const struct graph_node *node = &run->plan->nodes[index];
    struct graph_visit *visit = &run->visits[index];
    int64_t count = run->scopes[node->scope].count;
    if (count == 0)
        return ERR_OK; /* and so are its branches */
    visit->choice = arena_alloc(run->call->arena, (size_t)count);
    enum err_code rc = visit->choice ? choose(run, node, visit->choice) : no_room(run);
    for (int i = 0; !rc && i < node->branch_count; i++)
        if (node->branches[i].scope >= 0)
            rc = open_scope(run, node, visit->choice, node->branches[i].scope);
    return rc;
}

/* Room for the rows of a switch, shaped as its branches are. */
static enum err_code make_result(struct graph_run *run, const struct graph_node *node,
                                 struct tensor *result)
{
    const struct signature_tensor *as = &node->outputs[0];
    *result = (struct tensor){.name = as->name, .dtype = as->dtype, .rank = as->rank};
    memcpy(result->shape, as->shape, sizeof(result->shape));
    for (int i = 0; i < node->branch_count; i++) {
        const struct graph_branch *branch = &node->branches[i];
        if (branch->scope >= 0 && run->scopes[branch->scope].count)
            *result = *tensor_of(run, &branch->then);
    }
    result->shape[0] = run->scopes[node->scope].count;
    result->data = arena_calloc(run->call->arena, (size_t)result->shape[0], row_bytes(result));
    return result->data ? ERR_OK : no_room(run);
}

static enum err_code put_branch(struct graph_run *run, const struct graph_node *node,
                                const uint8_t *choice, int branch, struct tensor *result)
{
    const struct graph_branch *from = &node->branches[branch];
    size_t bytes = row_bytes(result);
    struct tensor rows;
    enum err_code rc = take_rows(run, &from->then, from->scope, run->call->arena, false, &rows);
    if (rc)
        return rc;
    if (row_bytes(&rows) != bytes)
        return err_set(run->err, ERR_UPSTREAM, "node '%s': its branches gave different shapes",
                       node->name);
    for (int64_t row = 0, at = 0; row < result->shape[0]; row++) {
        bool is_shared = is_in_scope(node, choice[row], from->scope);
        if (choice[row] == branch)
            memcpy((char *)result->data + (size_t)row * bytes,
                   (const char *)rows.data + (size_t)at * bytes, bytes);
        at += is_shared;
    }
    return ERR_OK;
}

static void put_number(const struct graph_node *node, const uint8_t *choice, int branch,
                       struct tensor *result)
{
    int64_t width = tensor_elements(result->shape + 1, result->rank - 1);
    for (int64_t row = 0; row < result->shape[0]; row++)
        for (int64_t i = 0; choice[row] == branch && i < width; i++)
            tensor_put_f64(result->data, result->dtype, row * width + i,
                           node->branches[branch].then.number);
}

/* The branch that all rows have chosen; -1: they differ. */
static int only_choice(const uint8_t *choice, int64_t count)
{
    for (int64_t row = 1; row < count; row++)
        if (choice[row] != choice[0])
            return -1;
    return choice[0];
}

static enum err_code end_switch(struct graph_run *run, int index)
{
    const struct graph_node *node = &run->plan->nodes[index];
    const uint8_t *choice = run->visits[index].choice;
    struct tensor *result = &run->values[node->value];
    if (!choice)
        return ERR_OK;
    run->visits[index].outcome = OUTCOME_OK;
    int only = only_choice(choice, run->scopes[node->scope].count);
    if (only >= 0 && node->branches[only].scope >= 0)
        return take_rows(run, &node->branches[only].then, node->branches[only].scope,
                         run->call->arena, false, result);
    enum err_code rc = make_result(run, node, result);
    for (int i = 0; !rc && i < node->branch_count; i++) {
        if (node->branches[i].scope < 0)
            put_number(node, choice, i, result);
        else if (run->scopes[node->branches[i].scope].count)
            rc = put_branch(run, node, choice, i, result);
    }
    return rc;
}

/* ---- steps ---- */

static enum err_code begin_step(struct graph_run *run, int index)
{
    return run->plan->nodes[index].kind == GRAPH_MODEL ? begin_model(run, index)
                                                       : begin_switch(run, index);
}

static enum err_code end_step(struct graph_run *run, int index)
{
    const struct graph_node *node = &run->plan->nodes[index];
    if (node->kind == GRAPH_MODEL)
        return end_model(run, index);
    if (node->kind == GRAPH_SWITCH)
        return end_switch(run, index);
    run->visits[index].outcome = run->scopes[node->scope].count ? OUTCOME_OK : OUTCOME_UNUSED;
    return graph_ensemble(run, node);
}

static void finish_step(struct graph_run *run, int at)
{
    const struct graph_step *step = &run->plan->steps[at];
    if (!step->is_end)
        open_fallback(run, step->node);
    run->done |= UINT64_C(1) << at;
}

/* Everything that can be done now; *did says whether there was something. */
static enum err_code pass(struct graph_run *run, bool *did)
{
    const struct graph_plan *plan = run->plan;
    *did = false;
    for (int i = 0; i < plan->step_count; i++) {
        const struct graph_step *step = &plan->steps[i];
        if ((run->begun >> i & 1) || (step->needs & ~run->done))
            continue;
        run->begun |= UINT64_C(1) << i;
        *did = true;
        enum err_code rc = step->is_end ? end_step(run, step->node) : begin_step(run, step->node);
        if (rc)
            return rc;
        if (!run->visits[step->node].flight)
            finish_step(run, i);
    }
    return ERR_OK;
}

/* What has come back from its lane by now, or is late; waits for the first. */
static enum err_code land(struct graph_run *run)
{
    enum err_code rc = graph_flight_wait(run);
    for (int i = 0; !rc && i < run->plan->step_count; i++) {
        const struct graph_step *step = &run->plan->steps[i];
        bool is_up = (run->begun >> i & 1) && !(run->done >> i & 1);
        if (is_up && graph_flight_land(run, step->node, &rc) && !rc)
            finish_step(run, i);
    }
    return rc;
}

static enum err_code run_steps(struct graph_run *run)
{
    uint64_t all =
        run->plan->step_count == 64 ? UINT64_MAX : (UINT64_C(1) << run->plan->step_count) - 1;
    while (run->done != all) {
        bool did;
        enum err_code rc = pass(run, &did);
        if (!rc && !did)
            rc = land(run);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

/* ---- what the run gives ---- */

/* No rows came, so no node was asked. */
static void give_nothing(const struct graph_run *run, const struct signature_tensor *as,
                         struct tensor *out)
{
    *out = (struct tensor){.dtype = as->dtype, .rank = as->rank};
    for (int i = 1; i < as->rank; i++)
        out->shape[i] = as->shape[i] < 0 ? 0 : as->shape[i];
    out->data = arena_alloc(run->call->arena, 0);
}

static void give_outputs(const struct graph_run *run)
{
    const struct graph_plan *plan = run->plan;
    struct runtime_call *call = run->call;
    call->out_count = 0;
    for (int i = 0; i < plan->output_count; i++) {
        if (call->wanted && !call->wanted[i])
            continue;
        struct tensor *out = &call->out[call->out_count++];
        *out = *tensor_of(run, &plan->outputs[i]);
        if (run->scopes[0].count == 0)
            give_nothing(run, &plan->signature.outputs[i], out);
        out->name = plan->signature.outputs[i].name;
    }
}

/* "fast:late, slow:failed": whose fallback stands in. */
static enum err_code tell_fallbacks(struct graph_run *run)
{
    enum { TEXT_BYTES = GRAPH_NODES_MAX * (2 * GRAPH_NAME_BYTES_MAX + 16) };
    char text[TEXT_BYTES];
    size_t length = 0;
    for (int i = 0; i < run->plan->node_count; i++) {
        enum graph_outcome outcome = run->visits[i].outcome;
        if (outcome != OUTCOME_LATE && outcome != OUTCOME_FAILED)
            continue;
        length +=
            (size_t)snprintf(text + length, sizeof(text) - length, "%s%s:%s", length ? ", " : "",
                             run->plan->nodes[i].name, graph_outcome_name(outcome));
        assert(length < sizeof(text));
    }
    if (length == 0)
        return ERR_OK;
    const char *json = arena_printf(run->call->arena, "{\"fallback\":\"%s\"}", text);
    if (!json)
        return no_room(run);
    run->call->reply_parameters = str_of(json);
    run->call->is_fallback = true;
    return ERR_OK;
}

static enum err_code start_run(struct graph_run *run)
{
    const struct graph_plan *plan = run->plan;
    struct arena *arena = run->call->arena;
    run->values = arena_calloc(arena, (size_t)plan->value_count, sizeof(*run->values));
    run->scopes = arena_calloc(arena, (size_t)plan->scope_count, sizeof(*run->scopes));
    run->visits = arena_calloc(arena, (size_t)plan->node_count, sizeof(*run->visits));
    return run->values && run->scopes && run->visits ? ERR_OK : no_room(run);
}

/* Every input has the rows; optional ones may be absent. */
static enum err_code count_rows(struct graph_run *run)
{
    const struct runtime_call *call = run->call;
    int64_t rows = -1;
    for (int i = 0; i < call->in_count; i++) {
        if (!call->in[i].data && call->in[i].rank == 0)
            continue;
        if (call->in[i].rank < 1 || (rows >= 0 && call->in[i].shape[0] != rows))
            return err_set(run->err, ERR_INVALID, "input '%s' has other rows than the ones before",
                           call->in[i].name);
        rows = call->in[i].shape[0];
    }
    run->scopes[0] = (struct graph_rows){.count = rows < 0 ? 0 : rows};
    return ERR_OK;
}

enum err_code graph_run(const struct graph_plan *plan, struct graph_count *counts,
                        struct graph_flights *flights, struct runtime_call *call, struct err *err)
{
    struct graph_run run = {
        .plan = plan, .counts = counts, .flights = flights, .call = call, .err = err};
    enum err_code rc = start_run(&run);
    if (!rc)
        rc = count_rows(&run);
    if (!rc)
        rc = run_steps(&run);
    if (rc) {
        graph_flight_leave(&run);
        return rc;
    }
    give_outputs(&run);
    rc = tell_fallbacks(&run);
    if (!rc && call->aside)
        rc = graph_aside(&run);
    return rc;
}
