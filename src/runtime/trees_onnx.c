/* trees_onnx.c - an ONNX file around one TreeEnsemble operator -> forest.
 *
 *     input FP32 [-1, n] -> (Identity, Cast) -> TreeEnsemble* -> (Identity, Cast, ZipMap, Mul by 1)
 * ->
 *
 * What converters put around the trees changes nothing but the form: ZipMap makes a map of each
 * row's probabilities, which here stays a tensor [-1, classes]. Graphs with other operators are the
 * runtime linear's or onnx's. Inputs and outputs keep their names (a ZipMap's is that of the tensor
 * it reads, as in an export without maps); the scores come first.
 */
#include <string.h>

#include "base/check.h"
#include "runtime/onnx_trees.h"
#include "runtime/trees_model.h"

enum { STEPS_MAX = 16, WRITER_BYTES_MAX = 48 };

/* Outputs of the operator: a classifier has both, others scores only. */
enum part { PART_LABEL, PART_SCORES };

struct plan {
    const struct onnx_node *trees;
    const struct onnx_value *input;
    int output_count;
    struct str names[TREES_OUTPUTS_MAX];
    enum part parts[TREES_OUTPUTS_MAX];
};

struct detail {
    struct onnx_scores scores;
    int label_output; /* index among the outputs; -1: none */
    int score_output;
};

/* --- the graph around the trees --------------------------------------------------------------- */

static const struct onnx_node *find_producer(const struct onnx_graph *g, struct str name)
{
    for (int i = 0; i < g->node_count; i++)
        for (int o = 0; o < g->nodes[i].output_count; o++)
            if (str_equal(g->nodes[i].outputs[o], name))
                return &g->nodes[i];
    return NULL;
}

static const struct onnx_node *find_trees(const struct onnx_graph *g)
{
    const struct onnx_node *found = NULL;
    for (int i = 0; i < g->node_count; i++)
        if (onnx_is_trees(&g->nodes[i])) {
            if (found)
                return NULL;
            found = &g->nodes[i];
        }
    return found;
}

static bool casts_to(const struct onnx_node *node, enum onnx_type type)
{
    int64_t to = 0;
    struct err err = {0};
    return onnx_is(node, "Cast") && onnx_int_opt(node, "to", &to, &err) == ERR_OK && to == type;
}

/* The other factor is the constant 1. */
static bool is_by_one(const struct onnx_graph *g, const struct onnx_node *node, struct arena *arena)
{
    const float *value;
    struct err err = {0};
    if (!onnx_is(node, "Mul") || node->input_count != 2)
        return false;
    const struct onnx_constant *c = onnx_find_constant(g, node->inputs[1]);
    return c && c->type == ONNX_FLOAT && c->count == 1 &&
           onnx_constant_floats(c, arena, &value, &err) == ERR_OK && value[0] == 1.0f;
}

/* Does this operator leave the part as it is? */
static bool keeps(const struct onnx_graph *g, const struct onnx_node *node, enum part part,
                  bool has_texts, struct arena *arena)
{
    if (node->input_count < 1)
        return false;
    if (onnx_is(node, "Identity"))
        return true;
    if (part == PART_LABEL)
        return casts_to(node, has_texts ? ONNX_STRING : ONNX_INT64);
    return onnx_is(node, "ZipMap") || casts_to(node, ONNX_FLOAT) || is_by_one(g, node, arena);
}

/* Which output of the trees a graph's output is. *name becomes that of the tensor a ZipMap reads,
 * which is what an export without maps calls it. */
static bool trace_output(const struct onnx_graph *g, const struct onnx_node *trees,
                         struct str *output, struct arena *arena, enum part *part)
{
    struct str name = *output;
    bool is_classifier = onnx_is(trees, "TreeEnsembleClassifier");
    bool has_texts = onnx_has(trees, "classlabels_strings");
    const struct onnx_node *path[STEPS_MAX];
    int steps = 0;
    for (;;) {
        const struct onnx_node *node = find_producer(g, name);
        if (node == trees)
            break;
        if (!node || steps == STEPS_MAX || node->input_count < 1)
            return false;
        path[steps++] = node;
        name = node->inputs[0];
        if (onnx_is(node, "ZipMap"))
            *output = name;
    }
    *part = is_classifier && str_equal(trees->outputs[0], name) ? PART_LABEL : PART_SCORES;
    for (int i = 0; i < steps; i++)
        if (!keeps(g, path[i], *part, has_texts, arena))
            return false;
    return true;
}

static const struct onnx_value *trace_input(const struct onnx_graph *g,
                                            const struct onnx_node *trees)
{
    struct str name = trees->input_count == 1 ? trees->inputs[0] : (struct str){0};
    for (int steps = 0; g->input_count == 1 && steps < STEPS_MAX; steps++) {
        const struct onnx_value *input = &g->inputs[0];
        if (str_equal(input->name, name))
            return input->type == ONNX_FLOAT && input->rank == 2 ? input : NULL;
        const struct onnx_node *node = find_producer(g, name);
        if (!node || node->input_count != 1 ||
            !(onnx_is(node, "Identity") || casts_to(node, ONNX_FLOAT)))
            return NULL;
        name = node->inputs[0];
    }
    return NULL;
}

/* Scores first; each part once. */
static bool make_plan(const struct onnx_graph *g, struct arena *arena, struct plan *plan)
{
    *plan = (struct plan){.trees = find_trees(g)};
    if (!plan->trees || g->output_count < 1 || g->output_count > 2)
        return false;
    plan->input = trace_input(g, plan->trees);
    for (int i = 0; i < g->output_count; i++) {
        enum part part;
        plan->names[i] = g->outputs[i].name;
        if (!trace_output(g, plan->trees, &plan->names[i], arena, &part))
            return false;
        plan->parts[i] = part;
    }
    plan->output_count = g->output_count;
    if (plan->parts[0] == PART_LABEL && plan->output_count == 2) {
        struct str name = plan->names[0];
        plan->names[0] = plan->names[1];
        plan->names[1] = name;
        plan->parts[0] = plan->parts[1];
        plan->parts[1] = PART_LABEL;
    }
    bool is_twice = plan->output_count == 2 && plan->parts[1] != PART_LABEL;
    return plan->input && plan->parts[0] == PART_SCORES && !is_twice;
}

static bool recognise(const void *head, size_t size)
{
    enum { MEMORY_FREE = 1 << 20, MEMORY_FACTOR = 4 };
    struct onnx_graph graph;
    struct plan plan;
    struct err err = {0};
    if (!onnx_graph_recognise(head, size))
        return false;
    struct arena *arena = arena_new(MEMORY_FREE + MEMORY_FACTOR * size);
    bool is_ours = onnx_graph_read((struct str){head, size}, arena, &graph, &err) == ERR_OK &&
                   make_plan(&graph, arena, &plan);
    arena_free(arena);
    return is_ours;
}

/* --- answers
 * -------------------------------------------------------------------------------------- */

/* Labels of the classes: numbers in their place, names in an array of their own. NULL: no room. */
static void *labels_of(const struct detail *d, int64_t *classes, int64_t rows, struct arena *arena)
{
    struct str *names = NULL;
    if (d->scores.names)
        names = arena_alloc(arena, (size_t)rows * sizeof(*names));
    for (int64_t r = 0; names && r < rows; r++)
        names[r] = d->scores.names[classes[r]];
    for (int64_t r = 0; !d->scores.names && r < rows; r++)
        classes[r] = onnx_scores_label(&d->scores, classes[r]);
    return d->scores.names ? (void *)names : classes;
}

static enum err_code run_answer(const struct trees_answer *answer, void *margins, int64_t rows,
                                struct runtime_call *call, struct err *err)
{
    const struct detail *d = answer->detail;
    const bool *wanted = call->wanted;
    bool wants_label = d->label_output >= 0 && (!wanted || wanted[d->label_output]);
    int64_t *classes = NULL;
    if (wants_label)
        classes = arena_alloc(call->arena, (size_t)rows * sizeof(*classes));
    if (wants_label && !classes)
        return err_set(err, ERR_LIMIT, "no room for the classes of %lld rows", (long long)rows);
    onnx_scores_finish(&d->scores, margins, rows, classes);
    call->out_count = 0;
    for (int i = 0; i < answer->output_count; i++) {
        if (wanted && !wanted[i])
            continue;
        void *data = i == d->score_output ? margins : labels_of(d, classes, rows, call->arena);
        if (!data)
            return err_set(err, ERR_LIMIT, "no room for the labels of %lld rows", (long long)rows);
        trees_tensor(&answer->outputs[i], rows, data, &call->out[call->out_count++]);
    }
    return ERR_OK;
}

/* --- reading
 * --------------------------------------------------------------------------------------- */

static const char *keep_text(struct arena *keep, struct str text)
{
    if (text.len == 0 || text.len > TREES_NAME_BYTES_MAX || !str_is_utf8(text) ||
        memchr(text.ptr, '\0', text.len))
        return NULL;
    return arena_copy(keep, text.ptr, text.len);
}

static struct str shorten(struct str text)
{
    text.len = text.len < WRITER_BYTES_MAX ? text.len : WRITER_BYTES_MAX;
    return str_is_utf8(text) ? text : (struct str){0};
}

static enum err_code set_outputs(const struct plan *plan, struct arena *keep, struct detail *d,
                                 struct trees_model *m, struct err *err)
{
    struct trees_answer *a = &m->answer;
    d->label_output = d->score_output = -1;
    a->output_count = plan->output_count;
    for (int i = 0; i < plan->output_count; i++) {
        struct signature_tensor *t = &a->outputs[i];
        bool is_label = plan->parts[i] == PART_LABEL;
        *t = (struct signature_tensor){.name = keep_text(keep, plan->names[i]),
                                       .rank = is_label ? 1 : 2,
                                       .shape = {-1, is_label ? 0 : d->scores.count}};
        if (!t->name)
            return err_set(err, ERR_INVALID, "ONNX: an output's name is no text of 1 to %d bytes",
                           TREES_NAME_BYTES_MAX);
        t->dtype = !is_label ? DTYPE_F32 : d->scores.names ? DTYPE_BYTES : DTYPE_I64;
        *(is_label ? &d->label_output : &d->score_output) = i;
    }
    m->input_name = keep_text(keep, plan->input->name);
    if (!m->input_name)
        return err_set(err, ERR_INVALID, "ONNX: the input's name is no text of 1 to %d bytes",
                       TREES_NAME_BYTES_MAX);
    return ERR_OK;
}

static enum err_code set_answer(const struct onnx_graph *g, const struct plan *plan,
                                struct arena *keep, struct detail *d, struct trees_model *m,
                                struct err *err)
{
    const struct onnx_scores *s = &d->scores;
    m->platform = "onnx_trees";
    m->objective = keep_text(keep, plan->trees->op);
    m->writer = arena_printf(keep, "ONNX, %.*s %.*s", STR_ARG(shorten(g->producer)),
                             STR_ARG(shorten(g->producer_version)));
    if (!m->objective || !m->writer)
        return err_set(err, ERR_LIMIT, "no room for the model's description");
    m->class_count = s->is_classifier ? s->count : 1;
    m->is_probability = s->is_classifier && s->post != ONNX_POST_PROBIT &&
                        (s->post != ONNX_POST_NONE || s->is_positive);
    m->answer.run = run_answer;
    m->answer.detail = d;
    m->answer.margin_count = s->count;
    return set_outputs(plan, keep, d, m, err);
}

static enum err_code read_graph(const struct onnx_graph *g, struct arena *arena, struct arena *keep,
                                struct trees_model *m, struct err *err)
{
    struct plan plan;
    struct detail *d = arena_calloc(keep, 1, sizeof(*d));
    if (!d)
        return err_set(err, ERR_LIMIT, "no room for the model");
    if (!make_plan(g, arena, &plan)) {
        err_set(err, ERR_UNSUPPORTED, "ONNX: the graph is more than one TreeEnsemble");
        return err_hint(err, "runtime onnx can serve it: --runtime onnx");
    }
    int64_t features = plan.input->shape[1] > 0 ? plan.input->shape[1] : 0;
    enum err_code rc =
        onnx_trees_read(plan.trees, features, arena, keep, &m->forest, &d->scores, err);
    if (!rc)
        rc = set_answer(g, &plan, keep, d, m, err);
    if (rc)
        return rc;
    size_t count = (size_t)m->forest.feature_count;
    m->feature_kinds = arena_calloc(arena, count, sizeof(*m->feature_kinds));
    m->category_counts = arena_calloc(arena, count, sizeof(*m->category_counts));
    if (!m->feature_kinds || !m->category_counts)
        return err_set(err, ERR_LIMIT, "no room for %zu features", count);
    return ERR_OK;
}

static enum err_code read_file(struct str bytes, struct arena *arena, struct arena *keep,
                               struct trees_model *model, struct err *err)
{
    struct trees_model result = {0};
    struct onnx_graph graph;
    enum err_code rc = onnx_graph_read(bytes, arena, &graph, err);
    if (!rc)
        rc = read_graph(&graph, arena, keep, &result, err);
    if (!rc)
        *model = result;
    return rc;
}

const struct trees_format trees_onnx = {recognise, read_file};
