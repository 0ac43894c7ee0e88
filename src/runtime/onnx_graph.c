/* onnx_graph.c - reading an ONNX file's graph, its attributes and its constants. */
#include "runtime/onnx_graph.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/protobuf.h"

/* Field numbers. */
enum { MODEL_PRODUCER = 2, MODEL_PRODUCER_VERSION = 3, MODEL_GRAPH = 7, MODEL_OPSET = 8 };
enum { OPSET_DOMAIN = 1, OPSET_VERSION = 2 };
enum { GRAPH_NODE = 1, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { GRAPH_SPARSE = 15 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_OP = 4, NODE_ATTRIBUTE = 5, NODE_DOMAIN = 7 };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_F = 2, ATTRIBUTE_I = 3, ATTRIBUTE_S = 4, ATTRIBUTE_T = 5 };
enum { ATTRIBUTE_FLOATS = 7, ATTRIBUTE_INTS = 8, ATTRIBUTE_STRINGS = 9 };
enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_FLOATS = 4, TENSOR_INT32S = 5 };
enum { TENSOR_STRINGS = 6, TENSOR_INT64S = 7, TENSOR_NAME = 8, TENSOR_RAW = 9 };
enum { TENSOR_DOUBLES = 10, TENSOR_LOCATION = 14 };
enum { VALUE_NAME = 1, VALUE_TYPE = 2, TYPE_TENSOR = 1, TENSOR_TYPE_ELEMENT = 1 };
enum { TENSOR_TYPE_SHAPE = 2, SHAPE_DIM = 1, DIM_VALUE = 1 };

static enum err_code broken(const struct pb_reader *r, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "ONNX: %s: %s", what, r->problem);
}

static enum err_code no_room(struct err *err)
{
    return err_set(err, ERR_LIMIT, "no room for the ONNX graph");
}

/* Occurrences of a field; those of other kinds do not count. */
static size_t count_fields(struct str message, uint32_t number)
{
    struct pb_reader r = pb_read(message);
    struct pb_field f;
    size_t count = 0;
    while (pb_next(&r, &f))
        count += f.number == number && f.wire == PB_BYTES;
    return count;
}

bool onnx_graph_recognise(const void *bytes, size_t size)
{
    struct pb_reader r = pb_read((struct str){bytes, size});
    struct pb_field f;
    bool has_graph = false;
    /* Text begins with other bytes: 8 is the field of ir_version, which is always there. */
    if (size < 2 || *(const unsigned char *)bytes != 8)
        return false;
    while (pb_next(&r, &f))
        has_graph |= f.number == MODEL_GRAPH && f.wire == PB_BYTES;
    return has_graph && !r.problem;
}

/* --- tensors and values -------------------------------------------------------------------- */

static enum err_code read_dims(struct pb_field *field, struct onnx_constant *c, struct err *err)
{
    uint64_t dim;
    while (pb_next_number(field, PB_VARINT, &dim)) {
        if (c->rank == ONNX_RANK_MAX || dim > ONNX_ELEMENTS_MAX)
            return err_set(err, ERR_LIMIT,
                           "ONNX: a constant has more than %d dimensions or %d "
                           "elements in one",
                           ONNX_RANK_MAX, ONNX_ELEMENTS_MAX);
        c->shape[c->rank++] = (int64_t)dim;
    }
    return ERR_OK;
}

static enum err_code read_constant(struct str bytes, struct onnx_constant *constant,
                                   struct err *err)
{
    struct onnx_constant c = {.bytes = bytes};
    struct pb_reader r = pb_read(bytes);
    struct pb_field f;
    enum err_code rc = ERR_OK;
    while (!rc && pb_next(&r, &f)) {
        if (f.number == TENSOR_DIMS)
            rc = read_dims(&f, &c, err);
        else if (f.number == TENSOR_TYPE && f.wire == PB_VARINT)
            c.type = (enum onnx_type)(f.value & 0xff);
        else if (f.number == TENSOR_NAME && f.wire == PB_BYTES)
            c.name = f.bytes;
        else if (f.number == TENSOR_LOCATION && f.wire == PB_VARINT && f.value)
            rc = err_set(err, ERR_UNSUPPORTED, "ONNX: a constant lies in another file");
    }
    if (!rc && r.problem)
        rc = broken(&r, "a constant", err);
    c.count = tensor_elements(c.shape, c.rank);
    if (!rc && (c.count < 0 || c.count > ONNX_ELEMENTS_MAX))
        rc = err_set(err, ERR_LIMIT, "ONNX: a constant has more than %d elements",
                     ONNX_ELEMENTS_MAX);
    if (!rc)
        *constant = c;
    return rc;
}

static void read_shape(struct str bytes, struct onnx_value *v)
{
    struct pb_reader r = pb_read(bytes);
    struct pb_field f, d;
    v->rank = 0;
    while (pb_next(&r, &f)) {
        if (f.number != SHAPE_DIM || f.wire != PB_BYTES)
            continue;
        if (v->rank == ONNX_RANK_MAX) {
            v->rank = -1;
            return;
        }
        struct pb_reader dim = pb_read(f.bytes);
        v->shape[v->rank] = -1;
        while (pb_next(&dim, &d))
            if (d.number == DIM_VALUE && d.wire == PB_VARINT && d.value > 0 &&
                d.value <= ONNX_ELEMENTS_MAX)
                v->shape[v->rank] = (int64_t)d.value;
        v->rank++;
    }
}

static void read_type(struct str bytes, struct onnx_value *v)
{
    struct pb_reader type = pb_read(bytes);
    struct pb_field f, t;
    while (pb_next(&type, &f)) {
        if (f.number != TYPE_TENSOR || f.wire != PB_BYTES)
            continue;
        v->is_tensor = true;
        struct pb_reader tensor = pb_read(f.bytes);
        while (pb_next(&tensor, &t)) {
            if (t.number == TENSOR_TYPE_ELEMENT && t.wire == PB_VARINT)
                v->type = (enum onnx_type)(t.value & 0xff);
            if (t.number == TENSOR_TYPE_SHAPE && t.wire == PB_BYTES)
                read_shape(t.bytes, v);
        }
    }
}

static enum err_code read_value(struct str bytes, struct onnx_value *value, struct err *err)
{
    struct pb_reader r = pb_read(bytes);
    struct pb_field f;
    *value = (struct onnx_value){.rank = -1};
    while (pb_next(&r, &f)) {
        if (f.number == VALUE_NAME && f.wire == PB_BYTES)
            value->name = f.bytes;
        if (f.number == VALUE_TYPE && f.wire == PB_BYTES)
            read_type(f.bytes, value);
    }
    return r.problem ? broken(&r, "an input or output", err) : ERR_OK;
}

/* --- nodes ------------------------------------------------------------------------------------ */

/* All texts of one field of a node. */
static enum err_code read_edges(struct str node, uint32_t number, struct arena *arena,
                                const struct str **out, int *count, struct err *err)
{
    size_t n = count_fields(node, number), i = 0;
    struct pb_reader r = pb_read(node);
    struct pb_field f;
    if (n > ONNX_EDGES_MAX)
        return err_set(err, ERR_LIMIT,
                       "ONNX: a node has more than %d inputs, outputs or attributes",
                       ONNX_EDGES_MAX);
    struct str *texts = arena_calloc(arena, n, sizeof(*texts));
    if (!texts)
        return no_room(err);
    while (i < n && pb_next(&r, &f))
        if (f.number == number && f.wire == PB_BYTES)
            texts[i++] = f.bytes;
    *out = texts;
    *count = (int)n;
    return ERR_OK;
}

static enum err_code read_node(struct str bytes, struct arena *arena, struct onnx_node *node,
                               struct err *err)
{
    struct pb_reader r = pb_read(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == NODE_OP && f.wire == PB_BYTES)
            node->op = f.bytes;
        if (f.number == NODE_DOMAIN && f.wire == PB_BYTES)
            node->domain = f.bytes;
    }
    if (r.problem)
        return broken(&r, "a node", err);
    if (str_equal_c(node->domain, "ai.onnx"))
        node->domain = (struct str){0};
    enum err_code rc = read_edges(bytes, NODE_INPUT, arena, &node->inputs, &node->input_count, err);
    if (!rc)
        rc = read_edges(bytes, NODE_OUTPUT, arena, &node->outputs, &node->output_count, err);
    if (!rc)
        rc = read_edges(bytes, NODE_ATTRIBUTE, arena, &node->attributes, &node->attribute_count,
                        err);
    return rc;
}

/* --- the graph ----------------------------------------------------------------------------------
 */

struct counts {
    size_t nodes, inputs, outputs, constants;
};

static enum err_code count_parts(struct str graph, struct counts *n, struct err *err)
{
    n->nodes = count_fields(graph, GRAPH_NODE);
    n->inputs = count_fields(graph, GRAPH_INPUT);
    n->outputs = count_fields(graph, GRAPH_OUTPUT);
    n->constants = count_fields(graph, GRAPH_INITIALIZER);
    if (n->nodes > ONNX_GRAPH_NODES_MAX)
        return err_set(err, ERR_LIMIT, "ONNX: the graph has %zu nodes, the limit is %d", n->nodes,
                       ONNX_GRAPH_NODES_MAX);
    if (n->inputs > ONNX_VALUES_MAX || n->outputs > ONNX_VALUES_MAX ||
        n->constants > ONNX_VALUES_MAX)
        return err_set(err, ERR_LIMIT,
                       "ONNX: the graph has more than %d inputs, outputs or constants",
                       ONNX_VALUES_MAX);
    if (count_fields(graph, GRAPH_SPARSE))
        return err_set(err, ERR_UNSUPPORTED, "ONNX: the graph has sparse constants");
    return ERR_OK;
}

/* One list of the graph under construction. */
struct parts {
    struct onnx_node *nodes;
    struct onnx_value *inputs, *outputs;
    struct onnx_constant *constants;
    int node_count, input_count, output_count, constant_count;
};

static enum err_code read_part(const struct pb_field *f, struct arena *arena, struct parts *p,
                               struct err *err)
{
    switch (f->number) {
    case GRAPH_NODE:
        p->nodes[p->node_count].index = p->node_count;
        return read_node(f->bytes, arena, &p->nodes[p->node_count++], err);
    case GRAPH_INITIALIZER:
        return read_constant(f->bytes, &p->constants[p->constant_count++], err);
    case GRAPH_INPUT:
        return read_value(f->bytes, &p->inputs[p->input_count++], err);
    case GRAPH_OUTPUT:
        return read_value(f->bytes, &p->outputs[p->output_count++], err);
    default:
        return ERR_OK;
    }
}

static enum err_code read_parts(struct str bytes, struct arena *arena, struct onnx_graph *g,
                                struct err *err)
{
    struct counts n;
    struct parts p = {0};
    struct pb_reader r = pb_read(bytes);
    struct pb_field f;
    enum err_code rc = count_parts(bytes, &n, err);
    if (rc)
        return rc;
    p.nodes = arena_calloc(arena, n.nodes, sizeof(*p.nodes));
    p.inputs = arena_calloc(arena, n.inputs, sizeof(*p.inputs));
    p.outputs = arena_calloc(arena, n.outputs, sizeof(*p.outputs));
    p.constants = arena_calloc(arena, n.constants, sizeof(*p.constants));
    if (!p.nodes || !p.inputs || !p.outputs || !p.constants)
        return no_room(err);
    while (!rc && pb_next(&r, &f))
        if (f.wire == PB_BYTES)
            rc = read_part(&f, arena, &p, err);
    if (!rc && r.problem)
        rc = broken(&r, "the graph", err);
    g->nodes = p.nodes;
    g->node_count = p.node_count;
    g->outputs = p.outputs;
    g->output_count = p.output_count;
    g->constants = p.constants;
    g->constant_count = p.constant_count;
    for (int i = 0; i < p.input_count; i++) /* old files list constants among the inputs */
        if (!onnx_find_constant(g, p.inputs[i].name))
            p.inputs[g->input_count++] = p.inputs[i];
    g->inputs = p.inputs;
    return rc;
}

static void read_opset(struct str bytes, struct onnx_graph *g)
{
    struct pb_reader r = pb_read(bytes);
    struct pb_field f;
    struct str domain = {0};
    int64_t version = 0;
    while (pb_next(&r, &f)) {
        if (f.number == OPSET_DOMAIN && f.wire == PB_BYTES)
            domain = f.bytes;
        if (f.number == OPSET_VERSION && f.wire == PB_VARINT)
            version = pb_int(&f);
    }
    if (str_equal_c(domain, "ai.onnx.ml"))
        g->ml_version = version;
    else if (domain.len == 0 || str_equal_c(domain, "ai.onnx"))
        g->version = version;
}

enum err_code onnx_graph_read(struct str bytes, struct arena *arena, struct onnx_graph *graph,
                              struct err *err)
{
    struct onnx_graph g = {0};
    struct pb_reader r = pb_read(bytes);
    struct pb_field f;
    struct str body = {0};
    while (pb_next(&r, &f)) {
        if (f.wire != PB_BYTES)
            continue;
        if (f.number == MODEL_GRAPH)
            body = f.bytes;
        if (f.number == MODEL_OPSET)
            read_opset(f.bytes, &g);
        if (f.number == MODEL_PRODUCER)
            g.producer = f.bytes;
        if (f.number == MODEL_PRODUCER_VERSION)
            g.producer_version = f.bytes;
    }
    if (r.problem)
        return broken(&r, "the file", err);
    if (!body.ptr)
        return err_set(err, ERR_INVALID, "ONNX: the file has no graph");
    enum err_code rc = read_parts(body, arena, &g, err);
    if (!rc)
        *graph = g;
    return rc;
}

bool onnx_is(const struct onnx_node *node, const char *op)
{
    return str_equal_c(node->op, op) &&
           (node->domain.len == 0 || str_equal_c(node->domain, "ai.onnx.ml"));
}

const struct onnx_constant *onnx_find_constant(const struct onnx_graph *graph, struct str name)
{
    for (int i = 0; i < graph->constant_count; i++)
        if (str_equal(graph->constants[i].name, name))
            return &graph->constants[i];
    return NULL;
}

/* --- attributes ---------------------------------------------------------------------------------
 */

static enum err_code bad_attribute(const struct onnx_node *node, const char *name, const char *what,
                                   struct err *err)
{
    return err_set(err, ERR_INVALID, "ONNX: node %d (%.*s): attribute %s %s", node->index,
                   STR_ARG(node->op), name, what);
}

/* The AttributeProto of that name; ptr NULL: none. */
static struct str find_attribute(const struct onnx_node *node, const char *name)
{
    for (int i = 0; i < node->attribute_count; i++) {
        struct pb_reader r = pb_read(node->attributes[i]);
        struct pb_field f;
        while (pb_next(&r, &f))
            if (f.number == ATTRIBUTE_NAME && f.wire == PB_BYTES && str_equal_c(f.bytes, name))
                return node->attributes[i];
    }
    return (struct str){0};
}

bool onnx_has(const struct onnx_node *node, const char *name)
{
    return find_attribute(node, name).ptr != NULL;
}

/* The field of a single-valued attribute. */
static enum err_code find_single(const struct onnx_node *node, const char *name, uint32_t number,
                                 enum pb_wire wire, struct pb_field *out, bool *is_there,
                                 struct err *err)
{
    struct str bytes = find_attribute(node, name);
    struct pb_reader r = pb_read(bytes);
    struct pb_field f;
    *is_there = false;
    if (!bytes.ptr)
        return ERR_OK;
    while (pb_next(&r, &f))
        if (f.number == number && f.wire == wire) {
            *out = f;
            *is_there = true;
        }
    if (r.problem)
        return bad_attribute(node, name, r.problem, err);
    return ERR_OK;
}

enum err_code onnx_int_opt(const struct onnx_node *node, const char *name, int64_t *out,
                           struct err *err)
{
    struct pb_field f;
    bool is_there;
    enum err_code rc = find_single(node, name, ATTRIBUTE_I, PB_VARINT, &f, &is_there, err);
    if (!rc && is_there)
        *out = pb_int(&f);
    else if (!rc && onnx_has(node, name))
        *out = 0; /* a writer may leave out what is zero */
    return rc;
}

enum err_code onnx_float_opt(const struct onnx_node *node, const char *name, float *out,
                             struct err *err)
{
    struct pb_field f;
    bool is_there;
    enum err_code rc = find_single(node, name, ATTRIBUTE_F, PB_FIXED32, &f, &is_there, err);
    if (!rc && is_there)
        *out = pb_f32(&f);
    else if (!rc && onnx_has(node, name))
        *out = 0;
    return rc;
}

enum err_code onnx_text_opt(const struct onnx_node *node, const char *name, struct str *out,
                            struct err *err)
{
    struct pb_field f;
    bool is_there;
    enum err_code rc = find_single(node, name, ATTRIBUTE_S, PB_BYTES, &f, &is_there, err);
    if (!rc && is_there)
        *out = f.bytes;
    return rc;
}

enum err_code onnx_tensor_opt(const struct onnx_node *node, const char *name,
                              struct onnx_constant *out, struct err *err)
{
    struct pb_field f;
    bool is_there;
    enum err_code rc = find_single(node, name, ATTRIBUTE_T, PB_BYTES, &f, &is_there, err);
    if (!rc && is_there)
        rc = read_constant(f.bytes, out, err);
    return rc;
}

/* Numbers of a repeated field, packed or not; -1: broken or too many. */
static int64_t count_numbers(struct str message, uint32_t number, enum pb_wire wire)
{
    struct pb_reader r = pb_read(message);
    struct pb_field f;
    int64_t count = 0;
    while (count >= 0 && pb_next(&r, &f)) {
        if (f.number != number)
            continue;
        int64_t more = pb_count_numbers(&f, wire);
        count = more < 0 || count + more > ONNX_ELEMENTS_MAX ? -1 : count + more;
    }
    return r.problem ? -1 : count;
}

enum err_code onnx_ints(const struct onnx_node *node, const char *name, struct arena *arena,
                        const int64_t **out, size_t *count, struct err *err)
{
    struct str bytes = find_attribute(node, name);
    int64_t n = bytes.ptr ? count_numbers(bytes, ATTRIBUTE_INTS, PB_VARINT) : 0;
    struct pb_reader r = pb_read(bytes);
    struct pb_field f;
    uint64_t value;
    if (n < 0)
        return bad_attribute(node, name, "is broken or too long", err);
    int64_t *numbers = arena_calloc(arena, (size_t)n, sizeof(*numbers));
    if (!numbers)
        return no_room(err);
    *count = 0;
    while (n && pb_next(&r, &f))
        while (f.number == ATTRIBUTE_INTS && pb_next_number(&f, PB_VARINT, &value))
            numbers[(*count)++] = (int64_t)value;
    *out = numbers;
    return ERR_OK;
}

static float float_of_bits(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof(value));
    return value;
}

enum err_code onnx_floats(const struct onnx_node *node, const char *name, struct arena *arena,
                          const float **out, size_t *count, struct err *err)
{
    struct str bytes = find_attribute(node, name);
    int64_t n = bytes.ptr ? count_numbers(bytes, ATTRIBUTE_FLOATS, PB_FIXED32) : 0;
    struct pb_reader r = pb_read(bytes);
    struct pb_field f;
    uint64_t value;
    if (n < 0)
        return bad_attribute(node, name, "is broken or too long", err);
    float *numbers = arena_calloc(arena, (size_t)n, sizeof(*numbers));
    if (!numbers)
        return no_room(err);
    *count = 0;
    while (n && pb_next(&r, &f))
        while (f.number == ATTRIBUTE_FLOATS && pb_next_number(&f, PB_FIXED32, &value))
            numbers[(*count)++] = float_of_bits(value);
    *out = numbers;
    return ERR_OK;
}

enum err_code onnx_texts(const struct onnx_node *node, const char *name, struct arena *arena,
                         const struct str **out, size_t *count, struct err *err)
{
    struct str bytes = find_attribute(node, name);
    size_t n = bytes.ptr ? count_fields(bytes, ATTRIBUTE_STRINGS) : 0;
    struct pb_reader r = pb_read(bytes);
    struct pb_field f;
    struct str *texts = arena_calloc(arena, n, sizeof(*texts));
    if (!texts)
        return no_room(err);
    *count = 0;
    while (*count < n && pb_next(&r, &f))
        if (f.number == ATTRIBUTE_STRINGS && f.wire == PB_BYTES)
            texts[(*count)++] = f.bytes;
    if (r.problem)
        return bad_attribute(node, name, r.problem, err);
    *out = texts;
    return ERR_OK;
}

/* --- constants -----------------------------------------------------------------------------------
 */

static enum err_code bad_constant(const struct onnx_constant *c, const char *what, struct err *err)
{
    size_t shown = c->name.len < 64 ? c->name.len : 64;
    return err_set(err, ERR_INVALID, "ONNX: constant '%.*s' %s", (int)shown,
                   c->name.ptr ? c->name.ptr : "", what);
}

/* Where a type's elements are and how one is written. */
struct storage {
    uint32_t field;
    enum pb_wire wire;
    size_t raw_bytes; /* of one in raw_data */
};

static bool storage_of(enum onnx_type type, struct storage *s)
{
    switch (type) {
    case ONNX_FLOAT:
        *s = (struct storage){TENSOR_FLOATS, PB_FIXED32, 4};
        return true;
    case ONNX_DOUBLE:
        *s = (struct storage){TENSOR_DOUBLES, PB_FIXED64, 8};
        return true;
    case ONNX_INT64:
        *s = (struct storage){TENSOR_INT64S, PB_VARINT, 8};
        return true;
    case ONNX_INT32:
        *s = (struct storage){TENSOR_INT32S, PB_VARINT, 4};
        return true;
    case ONNX_UINT8:
    case ONNX_BOOL:
        *s = (struct storage){TENSOR_INT32S, PB_VARINT, 1};
        return true;
    case ONNX_NONE:
    case ONNX_STRING:
        break;
    }
    return false;
}

/* One element's bits as a number; integers stay exact up to 2^53. */
static double number_of(enum onnx_type type, uint64_t bits)
{
    double value;
    switch (type) {
    case ONNX_FLOAT:
        return (double)float_of_bits(bits);
    case ONNX_DOUBLE:
        memcpy(&value, &bits, sizeof(value));
        return value;
    case ONNX_INT32:
        return (int32_t)(uint32_t)bits;
    case ONNX_UINT8:
    case ONNX_BOOL:
        return (double)(bits & 0xff);
    default:
        return (double)(int64_t)bits;
    }
}

/* All elements as bits in 64-bit words; ERR_INVALID unless there are as many as the shape says. */
static enum err_code read_bits(const struct onnx_constant *c, struct arena *arena,
                               const uint64_t **out, struct err *err)
{
    struct storage s;
    struct pb_reader r = pb_read(c->bytes);
    struct pb_field f;
    size_t count = (size_t)c->count, at = 0;
    uint64_t value;
    if (!storage_of(c->type, &s))
        return bad_constant(c, "is not of numbers of a known type", err);
    if (count > c->bytes.len)
        return bad_constant(c, "has fewer elements than its shape says", err);
    uint64_t *bits = arena_calloc(arena, count, sizeof(*bits));
    if (!bits)
        return no_room(err);
    while (pb_next(&r, &f)) {
        if (f.number == TENSOR_RAW && f.wire == PB_BYTES && f.bytes.len == count * s.raw_bytes)
            for (at = 0; at < count; at++)
                memcpy(&bits[at], f.bytes.ptr + at * s.raw_bytes, s.raw_bytes);
        if (f.number == s.field && f.number != TENSOR_RAW)
            while (at < count && pb_next_number(&f, s.wire, &value))
                bits[at++] = value;
    }
    if (r.problem || at != count)
        return bad_constant(c, "has fewer elements than its shape says", err);
    *out = bits;
    return ERR_OK;
}

enum err_code onnx_constant_doubles(const struct onnx_constant *constant, struct arena *arena,
                                    const double **out, struct err *err)
{
    const uint64_t *bits;
    enum err_code rc = read_bits(constant, arena, &bits, err);
    double *numbers = arena_calloc(arena, (size_t)constant->count, sizeof(*numbers));
    if (!rc && !numbers)
        rc = no_room(err);
    for (int64_t i = 0; !rc && i < constant->count; i++)
        numbers[i] = number_of(constant->type, bits[i]);
    if (!rc)
        *out = numbers;
    return rc;
}

enum err_code onnx_constant_floats(const struct onnx_constant *constant, struct arena *arena,
                                   const float **out, struct err *err)
{
    const uint64_t *bits;
    enum err_code rc = read_bits(constant, arena, &bits, err);
    float *numbers = arena_calloc(arena, (size_t)constant->count, sizeof(*numbers));
    if (!rc && !numbers)
        rc = no_room(err);
    for (int64_t i = 0; !rc && i < constant->count; i++)
        numbers[i] = (float)number_of(constant->type, bits[i]);
    if (!rc)
        *out = numbers;
    return rc;
}

enum err_code onnx_constant_ints(const struct onnx_constant *constant, struct arena *arena,
                                 const int64_t **out, struct err *err)
{
    const uint64_t *bits;
    enum err_code rc = read_bits(constant, arena, &bits, err);
    int64_t *numbers = arena_calloc(arena, (size_t)constant->count, sizeof(*numbers));
    if (!rc && !numbers)
        rc = no_room(err);
    for (int64_t i = 0; !rc && i < constant->count; i++) {
        double number = number_of(constant->type, bits[i]);
        bool is_float = constant->type == ONNX_FLOAT || constant->type == ONNX_DOUBLE;
        if (is_float && !(fabs(number) < 0x1p63))
            return bad_constant(constant, "has a number that is no integer", err);
        numbers[i] = constant->type == ONNX_INT64 ? (int64_t)bits[i] : (int64_t)number;
    }
    if (!rc)
        *out = numbers;
    return rc;
}

enum err_code onnx_constant_texts(const struct onnx_constant *constant, struct arena *arena,
                                  const struct str **out, struct err *err)
{
    struct pb_reader r = pb_read(constant->bytes);
    struct pb_field f;
    size_t n = count_fields(constant->bytes, TENSOR_STRINGS), i = 0;
    if (constant->type != ONNX_STRING || n != (size_t)constant->count)
        return bad_constant(constant, "is not of as many texts as its shape says", err);
    struct str *texts = arena_calloc(arena, n, sizeof(*texts));
    if (!texts)
        return no_room(err);
    while (i < n && pb_next(&r, &f))
        if (f.number == TENSOR_STRINGS && f.wire == PB_BYTES)
            texts[i++] = f.bytes;
    *out = texts;
    return ERR_OK;
}

enum dtype onnx_graph_dtype(enum onnx_type type)
{
    switch (type) {
    case ONNX_FLOAT:
        return DTYPE_F32;
    case ONNX_UINT8:
        return DTYPE_U8;
    case ONNX_INT32:
        return DTYPE_I32;
    case ONNX_INT64:
        return DTYPE_I64;
    case ONNX_STRING:
        return DTYPE_BYTES;
    case ONNX_BOOL:
        return DTYPE_BOOL;
    case ONNX_DOUBLE:
        return DTYPE_F64;
    case ONNX_NONE:
        break;
    }
    return DTYPE_COUNT;
}
