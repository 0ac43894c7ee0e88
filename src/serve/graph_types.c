/* graph_types.c - do the pieces of a graph fit: datatypes, widths, classes; and what the whole
 * takes and gives. */
#include "base/check.h"
#include "base/tensor_element.h"
#include "serve/graph_plan.h"

struct typer {
    struct graph_plan *plan;
    struct err *err;
};

static enum err_code no_room(const struct typer *t)
{
    return err_set(t->err, ERR_LIMIT, "the graph does not fit its memory");
}

int64_t graph_row_elements(const struct signature_tensor *tensor)
{
    for (int i = 1; i < tensor->rank; i++)
        if (tensor->shape[i] < 0)
            return -1;
    return tensor->rank < 1 ? -1 : tensor_elements(tensor->shape + 1, tensor->rank - 1);
}

static const struct signature_tensor *tensor_of(const struct graph_plan *plan,
                                                const struct graph_source *source)
{
    return source->from == FROM_INPUT ? &plan->inputs[source->index]
                                      : &plan->nodes[source->index].outputs[source->output];
}

/* For messages: "'amount'", "node 'fast' output 'probability'". */
static const char *source_text(const struct typer *t, const struct graph_source *source)
{
    const struct graph_plan *plan = t->plan;
    const char *text = NULL;
    if (source->from == FROM_NUMBER)
        text = arena_printf(plan->arena, "%g", source->number);
    else if (source->from == FROM_INPUT && source->column >= 0 && plan->feature_names)
        text = arena_printf(plan->arena, "'%s'", plan->feature_names[source->column]);
    else if (source->from == FROM_INPUT)
        text = arena_printf(plan->arena, "'%s'", plan->inputs[source->index].name);
    else
        text = arena_printf(plan->arena, "output '%s' of node '%s'", tensor_of(plan, source)->name,
                            plan->nodes[source->index].name);
    return text ? text : "a source";
}

/* Numbers of a row that the source gives. */
static enum err_code count_columns(const struct typer *t, const struct graph_source *source,
                                   int64_t *count)
{
    *count = 1;
    if (source->from == FROM_NUMBER)
        return ERR_OK;
    const struct signature_tensor *tensor = tensor_of(t->plan, source);
    int64_t width = graph_row_elements(tensor);
    if (tensor->dtype == DTYPE_BYTES)
        return err_set(t->err, ERR_INVALID, "%s is text, numbers are needed here",
                       source_text(t, source));
    if (width < 1)
        return err_set(t->err, ERR_INVALID, "%s has no fixed number of columns",
                       source_text(t, source));
    if (source->column >= width)
        return err_set(t->err, ERR_INVALID, "%s has columns 0 to %lld, not %d",
                       source_text(t, source), (long long)width - 1, source->column);
    *count = source->column >= 0 ? 1 : width;
    return ERR_OK;
}

/* ---- a model ---- */

/* Rows are passed on, so each tensor has to begin with them. */
static enum err_code check_rows(const struct typer *t, const struct graph_node *node)
{
    const struct signature *sig = node->loaded->signature;
    bool has_rows = true;
    for (int i = 0; has_rows && i < sig->input_count; i++)
        has_rows = sig->inputs[i].rank > 0 && sig->inputs[i].shape[0] < 0;
    for (int i = 0; has_rows && i < sig->output_count; i++)
        has_rows = sig->outputs[i].rank > 0 && sig->outputs[i].shape[0] < 0;
    return has_rows ? ERR_OK
                    : err_set(t->err, ERR_INVALID,
                              "its model has no batch dimension, and a graph passes rows on");
}

static enum err_code expand_columns(const struct typer *t, struct graph_node *node)
{
    int features = node->loaded->signature->feature_count;
    struct graph_source *all = arena_calloc(t->plan->arena, (size_t)features, sizeof(*all));
    int64_t total = 0;
    if (!all)
        return no_room(t);
    for (int i = 0; i < node->column_count; i++) {
        const struct graph_source *source = &node->columns[i];
        int64_t count;
        enum err_code rc = count_columns(t, source, &count);
        if (rc)
            return err_wrap(t->err, "columns[%d]", i);
        for (int64_t k = 0; k < count && total + k < features; k++) {
            all[total + k] = *source;
            if (source->from != FROM_NUMBER && source->column < 0)
                all[total + k].column = (int)k;
        }
        total += count;
    }
    if (total != features)
        return err_set(t->err, ERR_INVALID, "its model takes %d features, its columns are %lld",
                       features, (long long)total);
    node->columns = all;
    node->column_count = features;
    return ERR_OK;
}

static bool is_whole_input(const struct graph_plan *plan, const struct graph_node *node)
{
    const struct signature_tensor *input = &plan->inputs[0];
    if (input->dtype != DTYPE_F32 || input->rank != 2 || input->shape[1] != node->column_count)
        return false;
    for (int i = 0; i < node->column_count; i++) {
        const struct graph_source *source = &node->columns[i];
        if (source->from != FROM_INPUT || source->index != 0 || source->column != i)
            return false;
    }
    return true;
}

static bool is_same_shape(const struct signature_tensor *a, const struct signature_tensor *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 1; i < a->rank; i++)
        if (a->shape[i] >= 0 && b->shape[i] >= 0 && a->shape[i] != b->shape[i])
            return false;
    return true;
}

static const char *shape_text(const struct typer *t, const struct signature_tensor *tensor)
{
    const char *text = arena_copy(t->plan->arena, "[-1", 3);
    for (int i = 1; text && i < tensor->rank; i++)
        text = arena_printf(t->plan->arena, "%s,%lld", text, (long long)tensor->shape[i]);
    text = text ? arena_printf(t->plan->arena, "%s]", text) : NULL;
    return text ? text : "";
}

/* A whole tensor goes in as it is; a column or a number becomes the one element of each row. */
static enum err_code check_feed(const struct typer *t, const struct signature_tensor *input,
                                const struct graph_source *source)
{
    int64_t count;
    if (source->from != FROM_NUMBER && source->column < 0) {
        const struct signature_tensor *tensor = tensor_of(t->plan, source);
        if (tensor->dtype == input->dtype && is_same_shape(tensor, input))
            return ERR_OK;
        return err_set(t->err, ERR_INVALID, "input '%s' takes %s %s, %s is %s %s", input->name,
                       dtype_name(input->dtype), shape_text(t, input), source_text(t, source),
                       dtype_name(tensor->dtype), shape_text(t, tensor));
    }
    if (graph_row_elements(input) != 1 || input->dtype == DTYPE_BYTES)
        return err_set(t->err, ERR_INVALID,
                       "input '%s' is %s %s, and one number for each row does not fit it",
                       input->name, dtype_name(input->dtype), shape_text(t, input));
    return count_columns(t, source, &count);
}

static enum err_code check_feeds(const struct typer *t, const struct graph_node *node)
{
    enum err_code rc = ERR_OK;
    for (int i = 0; !rc && i < node->feed_count; i++)
        if (node->feeds[i].from != FROM_INPUT || node->feeds[i].index >= 0)
            rc = check_feed(t, &node->loaded->signature->inputs[i], &node->feeds[i]);
    return rc;
}

/* The number has to stand for everything that somebody reads of the node. */
static enum err_code check_value(const struct typer *t, const struct graph_node *node)
{
    for (int i = 0; i < node->output_count; i++) {
        const struct signature_tensor *output = &node->outputs[i];
        int64_t place = 0;
        if (!node->wanted[i])
            continue;
        if (graph_row_elements(output) < 1 ||
            !tensor_put_f64(&place, output->dtype, 0, node->fallback_value))
            return err_set(t->err, ERR_INVALID,
                           "its fallback: %g is no value of its output '%s', %s %s",
                           node->fallback_value, output->name, dtype_name(output->dtype),
                           shape_text(t, output));
    }
    return ERR_OK;
}

/* By name, or the answer for the answer; -1: the other node has no such output. */
static int stand_in(const struct graph_node *node, const struct graph_node *other, int output)
{
    if (output == node->answer)
        return other->answer;
    for (int i = 0; i < other->output_count; i++)
        if (strcmp(node->outputs[output].name, other->outputs[i].name) == 0)
            return i;
    return -1;
}

static enum err_code check_stand_in(const struct typer *t, struct graph_node *node)
{
    struct graph_node *other = &t->plan->nodes[node->fallback_node];
    node->stand_ins =
        arena_calloc(t->plan->arena, (size_t)node->output_count, sizeof(*node->stand_ins));
    if (!node->stand_ins)
        return no_room(t);
    for (int i = 0; i < node->output_count; i++) {
        int at = node->stand_ins[i] = stand_in(node, other, i);
        if (!node->wanted[i])
            continue;
        if (at < 0)
            return err_set(t->err, ERR_INVALID, "its fallback: node '%s' has no output '%s'",
                           other->name, node->outputs[i].name);
        if (node->outputs[i].dtype != other->outputs[at].dtype ||
            !is_same_shape(&node->outputs[i], &other->outputs[at]))
            return err_set(t->err, ERR_INVALID,
                           "its fallback: output '%s' is %s %s, that of node '%s' is %s %s",
                           node->outputs[i].name, dtype_name(node->outputs[i].dtype),
                           shape_text(t, &node->outputs[i]), other->name,
                           dtype_name(other->outputs[at].dtype),
                           shape_text(t, &other->outputs[at]));
        if (other->wanted)
            other->wanted[at] = true;
    }
    return ERR_OK;
}

static enum err_code type_model(const struct typer *t, struct graph_node *node)
{
    const struct signature *sig = node->loaded->signature;
    enum err_code rc = check_rows(t, node);
    if (!rc && loaded_is_tabular(node->loaded))
        rc = expand_columns(t, node);
    else if (!rc)
        rc = check_feeds(t, node);
    if (rc)
        return rc;
    node->passes_input = node->columns && is_whole_input(t->plan, node);
    node->class_count = sig->class_count;
    node->is_probability = sig->is_probability;
    if (node->fallback == FALLBACK_VALUE)
        return check_value(t, node);
    return node->fallback == FALLBACK_NODE ? check_stand_in(t, node) : ERR_OK;
}

/* ---- a switch ---- */

static void class_of(const struct graph_plan *plan, const struct graph_source *source,
                     int *class_count, bool *is_probability)
{
    const struct graph_node *node = &plan->nodes[source->index];
    bool is_answer =
        source->from == FROM_NODE && source->output == node->answer && source->column < 0;
    *class_count = is_answer ? node->class_count : 1;
    *is_probability = is_answer && node->is_probability;
}

static enum err_code check_branches(const struct typer *t, const struct graph_node *node,
                                    const struct graph_source *first)
{
    const struct signature_tensor *tensor = tensor_of(t->plan, first);
    for (int i = 0; i < node->branch_count; i++) {
        const struct graph_source *then = &node->branches[i].then;
        int64_t place = 0;
        if (then->column >= 0)
            return err_set(t->err, ERR_INVALID, "it chooses whole outputs, not columns");
        if (then->from == FROM_NUMBER) {
            if (graph_row_elements(tensor) < 1 ||
                !tensor_put_f64(&place, tensor->dtype, 0, then->number))
                return err_set(t->err, ERR_INVALID, "%g is no value of %s, %s %s", then->number,
                               source_text(t, first), dtype_name(tensor->dtype),
                               shape_text(t, tensor));
            continue;
        }
        const struct signature_tensor *other = tensor_of(t->plan, then);
        if (other->dtype != tensor->dtype || !is_same_shape(other, tensor))
            return err_set(t->err, ERR_INVALID, "%s is %s %s, %s is %s %s: it has to give one kind",
                           source_text(t, first), dtype_name(tensor->dtype), shape_text(t, tensor),
                           source_text(t, then), dtype_name(other->dtype), shape_text(t, other));
    }
    return ERR_OK;
}

static enum err_code check_tests(const struct typer *t, const struct graph_node *node)
{
    for (int i = 0; i < node->test_count; i++) {
        int64_t count;
        enum err_code rc = count_columns(t, &node->tests[i].left, &count);
        if (!rc && count != 1)
            rc = err_set(t->err, ERR_INVALID, "%s has %lld columns, one is compared: write NAME[0]",
                         source_text(t, &node->tests[i].left), (long long)count);
        if (rc)
            return err_wrap(t->err, "switch[%d].if", i);
    }
    return ERR_OK;
}

static enum err_code give_output(const struct typer *t, struct graph_node *node,
                                 const struct signature_tensor *as)
{
    struct signature_tensor *output = arena_calloc(t->plan->arena, 1, sizeof(*output));
    if (!output)
        return no_room(t);
    *output = *as;
    output->name = "value";
    output->is_on_request = false;
    node->outputs = output;
    return ERR_OK;
}

static enum err_code type_switch(const struct typer *t, struct graph_node *node)
{
    static const struct signature_tensor number = {.dtype = DTYPE_F32, .rank = 1, .shape = {-1}};
    const struct graph_source *first = NULL;
    enum err_code rc = check_tests(t, node);
    for (int i = node->branch_count - 1; i >= 0; i--)
        if (node->branches[i].then.from == FROM_NODE)
            first = &node->branches[i].then;
    if (rc)
        return rc;
    if (!first)
        return give_output(t, node, &number);
    class_of(t->plan, first, &node->class_count, &node->is_probability);
    for (int i = 0; i < node->branch_count; i++) {
        int class_count;
        bool is_probability;
        class_of(t->plan, &node->branches[i].then, &class_count, &is_probability);
        if (node->branches[i].then.from == FROM_NODE &&
            (class_count != node->class_count || is_probability != node->is_probability))
            return err_set(t->err, ERR_INVALID,
                           "%s has %d classes, %s has %d: one answer cannot "
                           "be both",
                           source_text(t, first), node->class_count,
                           source_text(t, &node->branches[i].then), class_count);
    }
    rc = check_branches(t, node, first);
    return rc ? rc : give_output(t, node, tensor_of(t->plan, first));
}

/* ---- an ensemble ---- */

static enum err_code type_vote(const struct typer *t, struct graph_node *node)
{
    const struct signature_tensor output = {.dtype = DTYPE_I64, .rank = 1, .shape = {-1}};
    node->class_count = 0;
    for (int i = 0; i < node->member_count; i++) {
        int class_count;
        bool is_probability;
        class_of(t->plan, &node->members[i], &class_count, &is_probability);
        if (class_count < 2)
            return err_set(t->err, ERR_INVALID, "%s is no class, and a vote is about classes",
                           source_text(t, &node->members[i]));
        if (node->class_count && class_count != node->class_count)
            return err_set(t->err, ERR_INVALID, "%s has %d classes, %s has %d",
                           source_text(t, &node->members[0]), node->class_count,
                           source_text(t, &node->members[i]), class_count);
        node->class_count = class_count;
    }
    node->width = 1;
    return give_output(t, node, &output);
}

/* Averages, least and largest of probabilities are probabilities where there is one number a row;
 * averages are in any case. */
static void type_classes(const struct typer *t, struct graph_node *node)
{
    class_of(t->plan, &node->members[0], &node->class_count, &node->is_probability);
    for (int i = 1; i < node->member_count; i++) {
        int class_count;
        bool is_probability;
        class_of(t->plan, &node->members[i], &class_count, &is_probability);
        node->is_probability =
            node->is_probability && is_probability && class_count == node->class_count;
    }
    bool keeps = node->how == HOW_AVERAGE ||
                 (node->width == 1 && (node->how == HOW_MIN || node->how == HOW_MAX));
    node->is_probability = node->is_probability && keeps;
    if (!node->is_probability)
        node->class_count = 1;
}

static enum err_code type_ensemble(const struct typer *t, struct graph_node *node)
{
    struct signature_tensor output = {.dtype = DTYPE_F32, .rank = 1, .shape = {-1}};
    int64_t total = 0, width = 0;
    for (int i = 0; i < node->member_count; i++) {
        int64_t count;
        enum err_code rc = count_columns(t, &node->members[i], &count);
        if (rc)
            return err_wrap(t->err, "of[%d]", i);
        if (node->how != HOW_CONCAT && node->how != HOW_VOTE && width && count != width)
            return err_set(t->err, ERR_INVALID, "%s has %lld columns, %s has %lld",
                           source_text(t, &node->members[0]), (long long)width,
                           source_text(t, &node->members[i]), (long long)count);
        width = count;
        total += count;
        if (node->members[i].from != FROM_NUMBER &&
            tensor_of(t->plan, &node->members[i])->dtype == DTYPE_F64)
            output.dtype = DTYPE_F64;
    }
    if (node->how == HOW_VOTE)
        return type_vote(t, node);
    node->width = node->how == HOW_CONCAT ? total : width;
    if (node->width > GRAPH_COLUMNS_MAX)
        return err_set(t->err, ERR_LIMIT, "%lld columns, at most %d", (long long)node->width,
                       GRAPH_COLUMNS_MAX);
    if (node->width > 1 || node->how == HOW_CONCAT) {
        output.rank = 2;
        output.shape[1] = node->width;
    }
    type_classes(t, node);
    return give_output(t, node, &output);
}

/* ---- the whole ---- */

static enum err_code type_outputs(const struct typer *t)
{
    struct graph_plan *plan = t->plan;
    const struct graph_file *file = plan->file;
    struct signature_tensor *outputs =
        arena_calloc(plan->arena, (size_t)plan->output_count, sizeof(*outputs));
    if (!outputs)
        return no_room(t);
    plan->signature.answer = file->answer.len ? -1 : 0;
    for (int i = 0; i < plan->output_count; i++) {
        const struct graph_source *from = &plan->outputs[i];
        if (from->column >= 0)
            return err_set(t->err, ERR_INVALID, "output '%s': an output is whole, not a column",
                           file->outputs[i].name);
        outputs[i] = *tensor_of(plan, from);
        outputs[i].is_on_request = false;
        outputs[i].name =
            file->output_count ? file->outputs[i].name : plan->nodes[from->index].name;
        if (str_equal_c(file->answer, outputs[i].name))
            plan->signature.answer = i;
    }
    plan->signature.outputs = outputs;
    plan->signature.output_count = plan->output_count;
    if (plan->signature.answer < 0)
        return err_set(t->err, ERR_INVALID, "answer: there is no output '%.*s'",
                       STR_ARG(file->answer));
    class_of(plan, &plan->outputs[plan->signature.answer], &plan->signature.class_count,
             &plan->signature.is_probability);
    return ERR_OK;
}

static bool is_recorded(const struct signature_tensor *output)
{
    int64_t width = graph_row_elements(output);
    return output->dtype != DTYPE_BYTES && output->rank <= 2 && width >= 1 &&
           width <= GRAPH_RECORDED_WIDTH_MAX;
}

static void add_aside(struct graph_plan *plan, struct signature_tensor *asides, const char *name,
                      const char *what, enum dtype dtype, const struct signature_tensor *as)
{
    assert(plan->signature.aside_count < RUNTIME_ASIDES_MAX);
    struct signature_tensor *aside = &asides[plan->signature.aside_count++];
    *aside = (struct signature_tensor){.rank = 1, .shape = {-1}};
    if (as)
        *aside = *as;
    aside->dtype = dtype;
    aside->is_on_request = false;
    aside->name = arena_printf(plan->arena, "node.%s%s", name, what);
}

/* Of a model its answer, how it came about and the time it took; of a switch what it chose. */
static enum err_code type_asides(const struct typer *t)
{
    struct graph_plan *plan = t->plan;
    struct signature_tensor *asides =
        arena_calloc(plan->arena, RUNTIME_ASIDES_MAX, sizeof(*asides));
    if (!asides)
        return no_room(t);
    for (int i = 0; i < plan->node_count; i++) {
        struct graph_node *node = &plan->nodes[i];
        const struct signature_tensor *answer = &node->outputs[node->answer];
        node->aside = plan->signature.aside_count;
        node->records_answer = node->kind != GRAPH_SWITCH && is_recorded(answer);
        if (node->records_answer)
            add_aside(plan, asides, node->name, "", DTYPE_F32, answer);
        if (node->kind == GRAPH_SWITCH)
            add_aside(plan, asides, node->name, "", DTYPE_BYTES, NULL);
        if (node->kind != GRAPH_MODEL)
            continue;
        add_aside(plan, asides, node->name, ".outcome", DTYPE_BYTES, NULL);
        add_aside(plan, asides, node->name, ".us", DTYPE_I32, NULL);
    }
    plan->signature.asides = asides;
    for (int i = 0; i < plan->signature.aside_count; i++)
        if (!asides[i].name)
            return no_room(t);
    return ERR_OK;
}

/* What the file of a model says about a feature holds for the graph's feature that feeds it. */
static enum err_code take_kinds(const struct typer *t)
{
    struct graph_plan *plan = t->plan;
    size_t count = (size_t)plan->feature_count;
    enum feature_kind *kinds = arena_calloc(plan->arena, count, sizeof(*kinds));
    int *categories = arena_calloc(plan->arena, count, sizeof(*categories));
    if (!kinds || !categories)
        return no_room(t);
    for (int i = 0; i < plan->node_count; i++) {
        const struct graph_node *node = &plan->nodes[i];
        const struct signature *sig = node->columns ? node->loaded->signature : NULL;
        for (int k = 0; sig && sig->feature_kinds && k < node->column_count; k++) {
            const struct graph_source *from = &node->columns[k];
            if (from->from != FROM_INPUT || kinds[from->column] != FEATURE_UNKNOWN)
                continue;
            kinds[from->column] = sig->feature_kinds[k];
            categories[from->column] = sig->category_counts ? sig->category_counts[k] : 0;
        }
    }
    plan->signature.feature_kinds = kinds;
    plan->signature.category_counts = categories;
    return ERR_OK;
}

static void count_kinds(const struct graph_plan *plan, int counts[3])
{
    for (int i = 0; i < plan->node_count; i++)
        counts[plan->nodes[i].kind]++;
}

static enum err_code describe(const struct typer *t)
{
    enum { INSTANCES = 16 };
    struct graph_plan *plan = t->plan;
    struct signature *sig = &plan->signature;
    int counts[3] = {0};
    count_kinds(plan, counts);
    sig->platform = "slipway_graph";
    sig->objective = "graph";
    sig->detail = arena_printf(plan->arena, "models %d, switches %d, ensembles %d",
                               counts[GRAPH_MODEL], counts[GRAPH_SWITCH], counts[GRAPH_ENSEMBLE]);
    sig->input_count = plan->input_count;
    sig->inputs = plan->inputs;
    sig->feature_count = plan->feature_count;
    sig->feature_names = plan->feature_names;
    sig->batch_rows_max = INT32_MAX;
    for (int i = 0; i < plan->node_count; i++) {
        const struct loaded *loaded = plan->nodes[i].loaded;
        if (!loaded)
            continue;
        if (loaded->signature->place == RUNTIME_LANE)
            sig->place = RUNTIME_LANE;
        sig->varies = sig->varies || loaded->signature->varies;
        if (loaded->signature->batch_rows_max < sig->batch_rows_max)
            sig->batch_rows_max = loaded->signature->batch_rows_max;
    }
    sig->instances_max = sig->place == RUNTIME_LANE ? INSTANCES : 0;
    return !sig->detail ? no_room(t) : plan->feature_count ? take_kinds(t) : ERR_OK;
}

enum err_code graph_type_nodes(struct graph_plan *plan, const int *order, struct err *err)
{
    const struct typer t = {plan, err};
    enum err_code rc = ERR_OK;
    for (int i = 0; !rc && i < plan->node_count; i++) {
        struct graph_node *node = &plan->nodes[order[i]];
        if (node->kind == GRAPH_MODEL)
            rc = type_model(&t, node);
        else if (node->kind == GRAPH_SWITCH)
            rc = type_switch(&t, node);
        else
            rc = type_ensemble(&t, node);
        if (rc)
            return err_wrap(err, "node '%s'", node->name);
    }
    rc = type_outputs(&t);
    if (!rc)
        rc = type_asides(&t);
    return rc ? rc : describe(&t);
}
