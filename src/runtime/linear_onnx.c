/* linear_onnx.c - an ONNX graph of tabular operators -> program.
 *
 * What scikit-learn's pipelines become: columns are joined, imputed, scaled and encoded, and a
 * linear model or trees end it. A graph with an operator that neither linear_columns.c nor
 * linear_models.c has, or with another use of one, is runtime onnx's. Tensors are matrices
 * [rows, width] here: a OneHotEncoder's [rows, columns, categories] is the same numbers in a row.
 */
#include <string.h>

#include "base/check.h"
#include "runtime/linear_compile.h"

enum { EDGES_MAX = 1 << 15, NAME_BYTES_MAX = 256, WRITER_BYTES_MAX = 48 };

enum err_code linear_leave(struct linear_compiler *c, const char *what)
{
    err_set(c->err, ERR_UNSUPPORTED, "ONNX: node %d (%.*s): %s", c->node->index,
            STR_ARG(c->node->op), what);
    return err_hint(c->err, "runtime onnx can serve it: --runtime onnx");
}

enum err_code linear_no_room(struct linear_compiler *c)
{
    return err_set(c->err, ERR_LIMIT, "no room for the model");
}

/* --- names and registers --------------------------------------------------------------------- */

const struct linear_binding *linear_find_binding(const struct linear_compiler *c, struct str name)
{
    for (int i = c->binding_count - 1; i >= 0; i--)
        if (str_equal(c->bindings[i].name, name))
            return &c->bindings[i];
    return NULL;
}

void linear_bind(struct linear_compiler *c, struct str name, int reg, int rank,
                 const struct onnx_constant *constant)
{
    c->bindings[c->binding_count++] =
        (struct linear_binding){.name = name, .reg = reg, .rank = rank, .constant = constant};
}

struct linear_register *linear_reg_of(const struct linear_compiler *c, int reg)
{
    return &c->b->program->registers[reg];
}

/* Input i of the node as a register. */
enum err_code linear_input(struct linear_compiler *c, int i, const struct linear_binding **out)
{
    const struct linear_binding *found =
        i < c->node->input_count ? linear_find_binding(c, c->node->inputs[i]) : NULL;
    if (!found)
        return err_set(c->err, ERR_INVALID, "ONNX: node %d (%.*s): input %d is made by no node",
                       c->node->index, STR_ARG(c->node->op), i);
    if (found->reg < 0)
        return linear_leave(c, "a constant stands where data is expected");
    *out = found;
    return ERR_OK;
}

/* Input i as data of float32. */
enum err_code linear_float_input(struct linear_compiler *c, int i,
                                 const struct linear_binding **out)
{
    enum err_code rc = linear_input(c, i, out);
    if (!rc && linear_reg_of(c, (*out)->reg)->type != LINEAR_FLOAT)
        rc = linear_leave(c, "its input is not of float32");
    return rc;
}

/* Input i as a constant; NULL when it is data or absent. */
const struct onnx_constant *linear_constant_input(const struct linear_compiler *c, int i)
{
    const struct linear_binding *found =
        i < c->node->input_count ? linear_find_binding(c, c->node->inputs[i]) : NULL;
    return found ? found->constant : NULL;
}

/* Output i gets a register of its own. */
enum err_code linear_output(struct linear_compiler *c, int i, enum linear_type type, int64_t width,
                            int rank, int *reg)
{
    *reg = linear_add_register(c->b, type, width);
    if (*reg < 0)
        return err_set(c->err, ERR_LIMIT, "ONNX: node %d (%.*s): its result is too wide",
                       c->node->index, STR_ARG(c->node->op));
    if (i < c->node->output_count && c->node->outputs[i].len)
        linear_bind(c, c->node->outputs[i], *reg, rank, NULL);
    return ERR_OK;
}

/* One step from `in` to a new register that is output 0. */
enum err_code linear_step_to(struct linear_compiler *c, enum linear_kind kind,
                             const struct linear_binding *in, enum linear_type type, int64_t width,
                             struct linear_step **step)
{
    int reg;
    enum err_code rc = linear_output(c, 0, type, width, in->rank, &reg);
    if (rc)
        return rc;
    *step = linear_add_step(c->b, kind, in->reg, reg);
    return *step ? ERR_OK : linear_no_room(c);
}

enum err_code linear_alias(struct linear_compiler *c)
{
    const struct linear_binding *in = NULL;
    enum err_code rc = linear_input(c, 0, &in);
    if (!rc && c->node->output_count > 0)
        linear_bind(c, c->node->outputs[0], in->reg, in->rank, NULL);
    return rc;
}

/* A float register from an input that may be of integers. */
enum err_code linear_as_floats(struct linear_compiler *c, int i, struct linear_binding *out)
{
    const struct linear_binding *in = NULL;
    enum err_code rc = linear_input(c, i, &in);
    if (rc)
        return rc;
    *out = *in;
    struct linear_register from = *linear_reg_of(c, in->reg);
    if (from.type == LINEAR_FLOAT)
        return ERR_OK;
    if (from.type == LINEAR_TEXT)
        return linear_leave(c, "its input is not of numbers");
    out->reg = linear_add_register(c->b, LINEAR_FLOAT, from.width);
    return linear_add_step(c->b, STEP_CAST, in->reg, out->reg) ? ERR_OK : linear_no_room(c);
}

/* --- the graph
 * -------------------------------------------------------------------------------------------- */

static const struct linear_operator *find_operator(const struct linear_operator *list,
                                                   const struct onnx_node *node)
{
    for (; list->op; list++)
        if (onnx_is(node, list->op))
            return list;
    return NULL;
}

static enum err_code compile_node(struct linear_compiler *c)
{
    const struct linear_operator *found = find_operator(linear_column_operators, c->node);
    if (!found)
        found = find_operator(linear_model_operators, c->node);
    if (!found)
        return linear_leave(c, "this operator is not one of tabular models");
    return c->node->output_count > 0 ? found->compile(c) : linear_leave(c, "it has no output");
}

static const char *port_name(struct linear_compiler *c, struct str name)
{
    struct str kept = linear_keep_text(c->b, name);
    bool is_name = kept.len && kept.len <= NAME_BYTES_MAX && !memchr(kept.ptr, '\0', kept.len);
    return is_name ? kept.ptr : NULL;
}

static enum err_code add_input(struct linear_compiler *c, const struct onnx_value *value,
                               struct linear_port *port)
{
    static const struct {
        enum onnx_type from;
        enum linear_type to;
    } types[] = {{ONNX_FLOAT, LINEAR_FLOAT}, {ONNX_INT64, LINEAR_INT}, {ONNX_STRING, LINEAR_TEXT}};
    struct str shown = value->name;
    shown.len = shown.len < NAME_BYTES_MAX ? shown.len : NAME_BYTES_MAX;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (!value->is_tensor || value->type != types[i].from || value->rank != 2 ||
            value->shape[1] < 1)
            continue;
        port->reg = linear_add_register(c->b, types[i].to, value->shape[1]);
        port->tensor = (struct signature_tensor){.name = port_name(c, value->name),
                                                 .dtype = onnx_graph_dtype(value->type),
                                                 .rank = 2,
                                                 .shape = {-1, value->shape[1]}};
        if (port->reg < 0 || !port->tensor.name)
            return err_set(c->err, ERR_INVALID, "ONNX: input '%.*s' has no name or is too wide",
                           STR_ARG(shown));
        linear_bind(c, value->name, port->reg, 2, NULL);
        return ERR_OK;
    }
    err_set(c->err, ERR_UNSUPPORTED,
            "ONNX: input '%.*s' is no tensor [rows, columns] of FP32, INT64 or texts",
            STR_ARG(shown));
    return err_hint(c->err, "runtime onnx can serve it: --runtime onnx");
}

/* The name of the tensor that a ZipMap reads is what an export without maps has. */
static struct str output_name(const struct linear_compiler *c, struct str name)
{
    for (int i = 0; i < c->graph->node_count; i++) {
        const struct onnx_node *node = &c->graph->nodes[i];
        if (onnx_is(node, "ZipMap") && node->output_count && node->input_count &&
            str_equal(node->outputs[0], name))
            return node->inputs[0];
    }
    return name;
}

static enum err_code add_output(struct linear_compiler *c, const struct onnx_value *value,
                                struct linear_port *port)
{
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_I64, DTYPE_BYTES};
    const struct linear_binding *from = linear_find_binding(c, value->name);
    struct str shown = value->name;
    shown.len = shown.len < NAME_BYTES_MAX ? shown.len : NAME_BYTES_MAX;
    if (!from || from->reg < 0)
        return err_set(c->err, ERR_INVALID, "ONNX: output '%.*s' is made by no node",
                       STR_ARG(shown));
    struct linear_register reg = *linear_reg_of(c, from->reg);
    port->reg = from->reg;
    port->tensor = (struct signature_tensor){.name = port_name(c, output_name(c, value->name)),
                                             .dtype = dtypes[reg.type],
                                             .rank = from->rank == 1 && reg.width == 1 ? 1 : 2,
                                             .shape = {-1, reg.width}};
    if (!port->tensor.name)
        return err_set(c->err, ERR_INVALID, "ONNX: an output's name is no text of 1 to %d bytes",
                       NAME_BYTES_MAX);
    return ERR_OK;
}

/* Scores beside a label are a row's answer, else the first numbers are. It becomes the first. */
static enum err_code choose_answer(struct linear_compiler *c)
{
    struct linear_program *p = c->b->program;
    int first = -1, scores = -1;
    bool has_label = false;
    for (int i = 0; i < p->output_count; i++) {
        struct linear_register reg = *linear_reg_of(c, p->outputs[i].reg);
        if (reg.type != LINEAR_FLOAT) {
            has_label = true;
            continue;
        }
        first = first < 0 ? i : first;
        scores = scores < 0 && reg.width > 1 ? i : scores;
    }
    int answer = has_label && scores >= 0 ? scores : first;
    if (answer < 0) {
        err_set(c->err, ERR_UNSUPPORTED, "ONNX: the graph gives no numbers, only labels");
        return err_hint(c->err, "runtime onnx can serve it: --runtime onnx");
    }
    struct linear_port port = p->outputs[answer];
    memmove(p->outputs + 1, p->outputs, (size_t)answer * sizeof(port));
    p->outputs[0] = port;
    p->answer = 0;
    bool is_classifier = has_label && scores >= 0;
    p->class_count = is_classifier ? linear_reg_of(c, port.reg)->width : 1;
    p->is_probability = is_classifier && linear_reg_of(c, port.reg)->is_probability;
    return ERR_OK;
}

static enum err_code check_size(struct linear_compiler *c, int *names)
{
    const struct onnx_graph *g = c->graph;
    int64_t edges = 0;
    *names = g->input_count + g->constant_count;
    for (int i = 0; i < g->node_count; i++) {
        edges += g->nodes[i].input_count;
        *names += g->nodes[i].output_count + 2;
    }
    if (edges > EDGES_MAX || *names > LINEAR_REGISTERS_MAX * 2)
        return err_set(c->err, ERR_LIMIT, "ONNX: the graph has more than %d edges", EDGES_MAX);
    if (g->input_count < 1 || g->input_count > RUNTIME_TENSORS_MAX || g->output_count < 1 ||
        g->output_count > RUNTIME_TENSORS_MAX)
        return err_set(c->err, ERR_LIMIT,
                       "ONNX: the graph has no or more than %d inputs or outputs",
                       RUNTIME_TENSORS_MAX);
    c->bindings = arena_calloc(c->b->arena, (size_t)*names, sizeof(*c->bindings));
    return c->bindings ? ERR_OK : linear_no_room(c);
}

static enum err_code compile_ports(struct linear_compiler *c)
{
    const struct onnx_graph *g = c->graph;
    struct linear_program *p = c->b->program;
    enum err_code rc = ERR_OK;
    p->inputs = arena_calloc(c->b->keep, (size_t)g->input_count, sizeof(*p->inputs));
    p->outputs = arena_calloc(c->b->keep, (size_t)g->output_count, sizeof(*p->outputs));
    if (!p->inputs || !p->outputs)
        return linear_no_room(c);
    for (int i = 0; i < g->constant_count; i++)
        linear_bind(c, g->constants[i].name, -1, g->constants[i].rank, &g->constants[i]);
    for (int i = 0; !rc && i < g->input_count; i++)
        rc = add_input(c, &g->inputs[i], &p->inputs[p->input_count++]);
    p->row_bytes = 0; /* inputs are not ours to hold */
    return rc;
}

static struct str shorten(struct str text)
{
    text.len = text.len < WRITER_BYTES_MAX ? text.len : WRITER_BYTES_MAX;
    return str_is_utf8(text) ? text : (struct str){0};
}

static enum err_code compile_graph(struct linear_compiler *c)
{
    const struct onnx_graph *g = c->graph;
    int names = 0;
    enum err_code rc = check_size(c, &names);
    if (!rc)
        rc = linear_builder_init(c->b, names + 2 * g->node_count, 6 * g->node_count + 1);
    if (!rc)
        rc = compile_ports(c);
    for (int i = 0; !rc && i < g->node_count; i++) {
        c->node = &g->nodes[i];
        rc = compile_node(c);
    }
    struct linear_program *p = c->b->program;
    for (int i = 0; !rc && i < g->output_count; i++)
        rc = add_output(c, &g->outputs[i], &p->outputs[p->output_count++]);
    if (!rc)
        rc = choose_answer(c);
    if (rc)
        return rc;
    p->platform = "onnx_linear";
    p->objective = "ONNX";
    p->writer = arena_printf(c->b->keep, "ONNX, %.*s %.*s", STR_ARG(shorten(g->producer)),
                             STR_ARG(shorten(g->producer_version)));
    return p->writer ? ERR_OK : linear_no_room(c);
}

enum err_code linear_from_onnx(struct str bytes, struct linear_builder *b)
{
    struct onnx_graph graph;
    struct linear_compiler c = {.b = b, .err = b->err, .graph = &graph};
    enum err_code rc = onnx_graph_read(bytes, b->arena, &graph, b->err);
    return rc ? rc : compile_graph(&c);
}
