/* onnx_file.c - walking an ONNX file with a stack of its own, field by field, nothing copied. */
#include "runtime/onnx_file.h"

#include "base/check.h"
#include "base/protobuf.h"
#include "base/tensor.h"

enum { IR_VERSION_MAX = 100, CLIP_BYTES = 64, UNZIP_BYTES_MORE = 4096 };

enum message {
    MESSAGE_NONE,
    MESSAGE_MODEL,
    MESSAGE_GRAPH,
    MESSAGE_NODE,
    MESSAGE_ATTRIBUTE,
    MESSAGE_TENSOR,
    MESSAGE_SPARSE,
    MESSAGE_FUNCTION,
};

static const char *const message_names[] = {
    "",         "the model",       "a graph",   "a node", "an attribute",
    "a tensor", "a sparse tensor", "a function"};

/* Where messages stand in messages. */
static const struct {
    enum message outer;
    uint32_t number;
    enum message inner;
} nesting[] = {
    {MESSAGE_MODEL, 7, MESSAGE_GRAPH},         {MESSAGE_MODEL, 25, MESSAGE_FUNCTION},
    {MESSAGE_GRAPH, 1, MESSAGE_NODE},          {MESSAGE_GRAPH, 5, MESSAGE_TENSOR},
    {MESSAGE_GRAPH, 15, MESSAGE_SPARSE},       {MESSAGE_FUNCTION, 7, MESSAGE_NODE},
    {MESSAGE_FUNCTION, 11, MESSAGE_ATTRIBUTE}, {MESSAGE_NODE, 5, MESSAGE_ATTRIBUTE},
    {MESSAGE_ATTRIBUTE, 5, MESSAGE_TENSOR},    {MESSAGE_ATTRIBUTE, 6, MESSAGE_GRAPH},
    {MESSAGE_ATTRIBUTE, 10, MESSAGE_TENSOR},   {MESSAGE_ATTRIBUTE, 11, MESSAGE_GRAPH},
    {MESSAGE_ATTRIBUTE, 22, MESSAGE_SPARSE},   {MESSAGE_ATTRIBUTE, 23, MESSAGE_SPARSE},
    {MESSAGE_SPARSE, 1, MESSAGE_TENSOR},       {MESSAGE_SPARSE, 2, MESSAGE_TENSOR},
};

struct frame {
    enum message kind;
    struct pb_reader reader;
};

struct walk {
    struct onnx_file *file;
    struct str function_domains[ONNX_FUNCTION_DOMAINS_MAX];
    int function_domain_count;
    struct frame stack[ONNX_DEPTH_MAX];
    int depth;
};

static enum err_code broken(const char *problem, enum message kind, struct err *err)
{
    return err_set(err, ERR_INVALID, "the ONNX file is damaged: %s, in %s", problem,
                   message_names[kind]);
}

/* For messages: a text of the file, cut where it would fill the line. */
#define CLIP_ARG(s) (int)((s).len < CLIP_BYTES ? (s).len : CLIP_BYTES), (s).ptr ? (s).ptr : ""

/* --- nodes ------------------------------------------------------------------------------ */

struct node {
    struct str op, domain, name;
    struct str input, output; /* the first of each */
};

static enum err_code read_node(struct str bytes, struct node *node, struct err *err)
{
    struct pb_reader r = pb_read(bytes);
    struct pb_field f;
    *node = (struct node){0};
    while (pb_next(&r, &f)) {
        if (f.wire != PB_BYTES)
            continue;
        if (f.number == 1 && !node->input.ptr)
            node->input = f.bytes;
        else if (f.number == 2 && !node->output.ptr)
            node->output = f.bytes;
        else if (f.number == 3)
            node->name = f.bytes;
        else if (f.number == 4)
            node->op = f.bytes;
        else if (f.number == 7)
            node->domain = f.bytes;
    }
    return r.problem ? broken(r.problem, MESSAGE_NODE, err) : ERR_OK;
}

static bool is_known_domain(const struct walk *walk, struct str domain)
{
    static const char *const domains[] = {
        "",
        "ai.onnx",
        "ai.onnx.ml",
        "ai.onnx.preview",
        "ai.onnx.preview.training",
        "ai.onnx.training",
        "com.microsoft",
        "com.microsoft.nchwc",
    };
    for (size_t i = 0; i < ARRAY_LEN(domains); i++)
        if (str_equal_c(domain, domains[i]))
            return true;
    for (int i = 0; i < walk->function_domain_count; i++)
        if (str_equal(domain, walk->function_domains[i]))
            return true;
    return false;
}

static enum err_code check_node(struct walk *walk, struct str bytes, struct err *err)
{
    struct node node;
    enum err_code rc = read_node(bytes, &node, err);
    if (rc)
        return rc;
    if (++walk->file->node_count > ONNX_NODES_MAX)
        return err_set(err, ERR_LIMIT, "the ONNX file has more than %d nodes", ONNX_NODES_MAX);
    if (!is_known_domain(walk, node.domain)) {
        err_set(err, ERR_UNSUPPORTED,
                "node '%.*s' needs the operator '%.*s' of '%.*s', which ONNX Runtime does not have",
                CLIP_ARG(node.name), CLIP_ARG(node.op), CLIP_ARG(node.domain));
        return err_hint(err,
                        "custom operators are native code and are not loaded: export the model "
                        "without them, or serve it with the runtime 'python'");
    }
    if (str_equal_c(node.op, "EPContext"))
        return err_set(err, ERR_UNSUPPORTED,
                       "node '%.*s' is compiled for an accelerator (operator EPContext)",
                       CLIP_ARG(node.name));
    return ERR_OK;
}

/* --- tensors ------------------------------------------------------------------------------ */

/* Bits of one element by TensorProto.DataType; 0: texts, or unknown. */
static const uint8_t element_bits[] = {0,  32,  8,  8, 16, 16, 32, 64, 0, 8, 16, 64, 32, 64,
                                       64, 128, 16, 8, 8,  8,  8,  4,  4, 4, 8,  2,  2};

struct tensor_proto {
    struct str name, raw;
    int64_t dims[TENSOR_RANK_MAX * 4];
    int rank;
    int64_t type;
    bool has_raw, is_external;
};

static enum err_code take_dims(struct pb_field *field, struct tensor_proto *t, struct err *err)
{
    uint64_t value;
    while (pb_next_number(field, PB_VARINT, &value)) {
        if (t->rank == (int)ARRAY_LEN(t->dims))
            return err_set(err, ERR_LIMIT, "a tensor has more than %d dimensions", t->rank);
        t->dims[t->rank++] = (int64_t)value;
    }
    return field->number ? ERR_OK : broken("dimensions are cut off", MESSAGE_TENSOR, err);
}

static enum err_code read_tensor(struct str bytes, struct tensor_proto *t, struct err *err)
{
    struct pb_reader r = pb_read(bytes);
    struct pb_field f;
    enum err_code rc = ERR_OK;
    *t = (struct tensor_proto){0};
    while (!rc && pb_next(&r, &f)) {
        if (f.number == 1)
            rc = take_dims(&f, t, err);
        else if (f.number == 2 && f.wire == PB_VARINT)
            t->type = pb_int(&f);
        else if (f.number == 8 && f.wire == PB_BYTES)
            t->name = f.bytes;
        else if (f.number == 9 && f.wire == PB_BYTES) {
            t->raw = f.bytes;
            t->has_raw = true;
        } else if (f.number == 13 || (f.number == 14 && f.value != 0))
            t->is_external = true;
    }
    if (!rc && r.problem)
        rc = broken(r.problem, MESSAGE_TENSOR, err);
    return rc;
}

static bool raw_fits(const struct tensor_proto *t, int64_t elements)
{
    bool is_known = t->type > 0 && t->type < (int64_t)ARRAY_LEN(element_bits);
    uint64_t bits = is_known ? element_bits[t->type] : 0;
    if (bits == 0)
        return false;
    return (uint64_t)elements <= UINT64_MAX / bits &&
           t->raw.len == ((uint64_t)elements * bits + 7) / 8;
}

static enum err_code check_tensor(struct str bytes, struct err *err)
{
    struct tensor_proto t;
    enum err_code rc = read_tensor(bytes, &t, err);
    if (rc)
        return rc;
    if (t.is_external) {
        err_set(err, ERR_UNSUPPORTED, "the data of tensor '%.*s' are in another file",
                CLIP_ARG(t.name));
        return err_hint(err, "a version is one file: save the model with "
                             "onnx.save_model(model, path, save_as_external_data=False)");
    }
    int64_t elements = tensor_elements(t.dims, t.rank);
    if (elements < 0)
        return err_set(err, ERR_INVALID, "tensor '%.*s' has no possible shape", CLIP_ARG(t.name));
    if (t.has_raw && !raw_fits(&t, elements))
        return err_set(err, ERR_INVALID,
                       "tensor '%.*s' has %zu bytes, which is not what its shape takes",
                       CLIP_ARG(t.name), t.raw.len);
    return ERR_OK;
}

/* --- the walk ----------------------------------------------------------------------------- */

static enum message inner_of(enum message outer, uint32_t number)
{
    for (size_t i = 0; i < ARRAY_LEN(nesting); i++)
        if (nesting[i].outer == outer && nesting[i].number == number)
            return nesting[i].inner;
    return MESSAGE_NONE;
}

static enum err_code enter(struct walk *walk, enum message kind, struct str bytes, struct err *err)
{
    enum err_code rc = ERR_OK;
    if (walk->depth == ONNX_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "the ONNX file nests more than %d messages", ONNX_DEPTH_MAX);
    if (kind == MESSAGE_NODE)
        rc = check_node(walk, bytes, err);
    else if (kind == MESSAGE_TENSOR)
        rc = check_tensor(bytes, err);
    else if (kind == MESSAGE_GRAPH && walk->depth > 1)
        walk->file->has_graphs = true;
    if (!rc)
        walk->stack[walk->depth++] = (struct frame){kind, pb_read(bytes)};
    return rc;
}

static enum err_code walk_all(struct walk *walk, struct str model, struct err *err)
{
    enum err_code rc = enter(walk, MESSAGE_MODEL, model, err);
    while (!rc && walk->depth > 0) {
        struct frame *top = &walk->stack[walk->depth - 1];
        struct pb_field f;
        if (pb_next(&top->reader, &f)) {
            enum message inner = inner_of(top->kind, f.number);
            if (inner != MESSAGE_NONE && f.wire == PB_BYTES)
                rc = enter(walk, inner, f.bytes, err);
            else if (inner != MESSAGE_NONE)
                rc = broken("a message is a number", top->kind, err);
        } else if (top->reader.problem) {
            rc = broken(top->reader.problem, top->kind, err);
        } else {
            walk->depth--;
        }
    }
    return rc;
}

/* --- the model's own fields ------------------------------------------------------------------ */

static struct str text_field(struct str message, uint32_t number)
{
    struct pb_reader r = pb_read(message);
    struct pb_field f;
    struct str text = {"", 0};
    while (pb_next(&r, &f))
        if (f.number == number && f.wire == PB_BYTES)
            text = f.bytes;
    return text;
}

static enum err_code take_function(struct walk *walk, struct str function, struct err *err)
{
    struct str domain = text_field(function, 10);
    if (is_known_domain(walk, domain))
        return ERR_OK;
    if (walk->function_domain_count == ONNX_FUNCTION_DOMAINS_MAX)
        return err_set(err, ERR_LIMIT, "the ONNX file has functions of more than %d domains",
                       ONNX_FUNCTION_DOMAINS_MAX);
    walk->function_domains[walk->function_domain_count++] = domain;
    return ERR_OK;
}

static void take_opset(struct onnx_file *file, struct str opset)
{
    struct pb_reader r = pb_read(opset);
    struct pb_field f;
    struct str domain = text_field(opset, 1);
    int64_t version = 0;
    while (pb_next(&r, &f))
        if (f.number == 2 && f.wire == PB_VARINT)
            version = pb_int(&f);
    if (domain.len == 0 || str_equal_c(domain, "ai.onnx"))
        file->opset = version;
}

static enum err_code read_model(struct walk *walk, struct str bytes, struct str *graph,
                                struct err *err)
{
    struct onnx_file *file = walk->file;
    struct pb_reader r = pb_read(bytes);
    struct pb_field f;
    enum err_code rc = ERR_OK;
    while (!rc && pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT)
            file->ir_version = pb_int(&f);
        else if (f.wire != PB_BYTES)
            continue;
        else if (f.number == 2)
            file->producer = f.bytes;
        else if (f.number == 3)
            file->producer_version = f.bytes;
        else if (f.number == 7 && graph->ptr)
            rc = err_set(err, ERR_INVALID, "the ONNX file has two graphs");
        else if (f.number == 7)
            *graph = f.bytes;
        else if (f.number == 8)
            take_opset(file, f.bytes);
        else if (f.number == 25)
            rc = take_function(walk, f.bytes, err);
    }
    if (!rc && r.problem)
        rc = broken(r.problem, MESSAGE_MODEL, err);
    if (!rc && !graph->ptr)
        rc = err_set(err, ERR_INVALID, "the ONNX file has no graph");
    return rc;
}

/* --- outputs ---------------------------------------------------------------------------------- */

/* ValueInfoProto { name = 1, type = 2 { tensor_type = 1 { shape = 2 } } } */
static struct onnx_output read_output(struct str bytes)
{
    struct str type = text_field(bytes, 2), tensor = text_field(type, 1);
    struct onnx_output output = {.name = text_field(bytes, 1)};
    struct pb_reader r = pb_read(tensor);
    struct pb_field f;
    while (pb_next(&r, &f))
        if (f.number == 2 && f.wire == PB_BYTES)
            output.has_shape = true;
    return output;
}

/* Is a dimension after the first without a number? TensorShapeProto { dim = 1 { dim_value = 1 } }
 */
static bool has_free_dims(struct str shape)
{
    struct pb_reader r = pb_read(shape), d;
    struct pb_field f, value;
    for (int place = 0; pb_next(&r, &f);) {
        bool is_fixed = false;
        if (f.number != 1 || f.wire != PB_BYTES)
            continue;
        d = pb_read(f.bytes);
        while (pb_next(&d, &value))
            is_fixed = is_fixed || (value.number == 1 && value.wire == PB_VARINT);
        if (place++ > 0 && !is_fixed)
            return true;
    }
    return false;
}

static void look_at_inputs(struct str graph, struct onnx_file *file)
{
    struct pb_reader r = pb_read(graph);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number != 11 || f.wire != PB_BYTES)
            continue;
        struct str tensor = text_field(text_field(f.bytes, 2), 1);
        file->has_free_shapes = file->has_free_shapes || has_free_dims(text_field(tensor, 2));
    }
}

static enum err_code list_outputs(struct str graph, struct onnx_file *file, struct err *err)
{
    struct pb_reader r = pb_read(graph);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number != 12 || f.wire != PB_BYTES)
            continue;
        if (file->output_count == ONNX_OUTPUTS_MAX)
            return err_set(err, ERR_LIMIT, "the model has more than %d outputs", ONNX_OUTPUTS_MAX);
        file->outputs[file->output_count++] = read_output(f.bytes);
    }
    return ERR_OK;
}

static struct onnx_output *find_output(struct onnx_file *file, struct str name)
{
    for (int i = 0; i < file->output_count; i++)
        if (str_equal(file->outputs[i].name, name))
            return &file->outputs[i];
    return NULL;
}

/* Labels of a ZipMap: attribute classlabels_int64s (ints = 8) or classlabels_strings (9). */
static int count_labels(struct str node)
{
    struct pb_reader r = pb_read(node), a;
    struct pb_field f, label;
    int64_t count = 0;
    while (pb_next(&r, &f)) {
        if (f.number != 5 || f.wire != PB_BYTES)
            continue;
        a = pb_read(f.bytes);
        while (pb_next(&a, &label)) {
            if (label.number == 9 && label.wire == PB_BYTES)
                count++;
            else if (label.number == 8 && pb_count_numbers(&label, PB_VARINT) > 0)
                count += pb_count_numbers(&label, PB_VARINT);
        }
    }
    return count < INT32_MAX ? (int)count : 0;
}

static void note_zipmap(struct onnx_file *file, struct onnx_output *output, const struct node *node,
                        struct str bytes)
{
    int labels = count_labels(bytes);
    if (labels == 0 || node->input.len == 0 || find_output(file, node->input))
        return; /* a tensor that is an output already; the maps of it are not offered */
    for (int i = 0; i < file->output_count; i++)
        if (file->outputs[i].zipped.ptr && str_equal(file->outputs[i].zipped, node->input))
            return;
    output->zipped = node->input;
    output->class_count = labels;
    file->has_zipmap = true;
}

/* The first text of a list among the attributes (strings = 9), as encoders keep their categories.
 */
static struct str first_text(struct str node)
{
    struct pb_reader r = pb_read(node);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        struct pb_reader a =
            pb_read(f.number == 5 && f.wire == PB_BYTES ? f.bytes : (struct str){0});
        struct pb_field text;
        while (pb_next(&a, &text))
            if (text.number == 9 && text.wire == PB_BYTES)
                return text.bytes;
    }
    return (struct str){0};
}

/* A tensor that holds what another one held, in another form. */
struct alias {
    struct str name, of;
};

struct aliases {
    struct alias list[ONNX_SAMPLES_MAX];
    int count;
};

static struct str origin_of(const struct aliases *aliases, struct str name)
{
    for (int i = aliases->count; i-- > 0;) /* an alias's origin stands before it */
        if (str_equal(aliases->list[i].name, name))
            name = aliases->list[i].of;
    return name;
}

static void note_alias(struct aliases *aliases, const struct node *node)
{
    static const char *const passing[] = {
        "Gather", "ArrayFeatureExtractor", "Identity", "Reshape", "Squeeze", "Flatten"};
    for (size_t i = 0; i < ARRAY_LEN(passing) && aliases->count < ONNX_SAMPLES_MAX; i++)
        if (str_equal_c(node->op, passing[i]))
            aliases->list[aliases->count++] = (struct alias){node->output, node->input};
}

static void note_sample(struct onnx_file *file, const struct aliases *aliases,
                        const struct node *node, struct str bytes)
{
    bool is_encoder =
        str_equal_c(node->op, "OneHotEncoder") || str_equal_c(node->op, "LabelEncoder");
    struct str text = is_encoder ? first_text(bytes) : (struct str){0};
    if (text.ptr && file->sample_count < ONNX_SAMPLES_MAX)
        file->samples[file->sample_count++] =
            (struct onnx_sample){origin_of(aliases, node->input), text};
}

/* Which operator makes each output, and what encoders read. */
static enum err_code find_makers(struct str graph, struct onnx_file *file, struct err *err)
{
    struct pb_reader r = pb_read(graph), n;
    struct pb_field f, made;
    struct aliases aliases = {.count = 0};
    while (pb_next(&r, &f)) {
        struct node node;
        if (f.number != 1 || f.wire != PB_BYTES)
            continue;
        enum err_code rc = read_node(f.bytes, &node, err);
        if (rc)
            return rc;
        note_alias(&aliases, &node);
        note_sample(file, &aliases, &node, f.bytes);
        n = pb_read(f.bytes);
        while (pb_next(&n, &made)) {
            bool is_output = made.number == 2 && made.wire == PB_BYTES;
            struct onnx_output *output = is_output ? find_output(file, made.bytes) : NULL;
            if (!output)
                continue;
            output->op = node.op;
            if (str_equal_c(node.op, "ZipMap"))
                note_zipmap(file, output, &node, f.bytes);
        }
    }
    return ERR_OK;
}

enum err_code onnx_file_read(struct str bytes, struct onnx_file *file, struct err *err)
{
    struct walk walk = {.file = file};
    struct str graph = {0};
    *file = (struct onnx_file){0};
    if (bytes.len > ONNX_FILE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the file has %zu bytes, an ONNX file can have %zu",
                       bytes.len, ONNX_FILE_BYTES_MAX);
    enum err_code rc = read_model(&walk, bytes, &graph, err);
    if (!rc)
        rc = walk_all(&walk, bytes, err);
    if (!rc)
        look_at_inputs(graph, file);
    if (!rc)
        rc = list_outputs(graph, file, err);
    if (!rc)
        rc = find_makers(graph, file, err);
    return rc;
}

const struct onnx_output *onnx_file_output(const struct onnx_file *file, const char *name)
{
    for (int i = 0; i < file->output_count; i++) {
        const struct onnx_output *output = &file->outputs[i];
        if (str_equal_c(output->zipped.ptr ? output->zipped : output->name, name))
            return output;
    }
    return NULL;
}

/* The version comes first and the graph after it, as every writer of protobuf does it; the file may
 * end inside the graph, since these may be its first bytes only. */
bool onnx_recognise(const void *head, size_t size)
{
    enum { GRAPH_HEAD = 7 << 3 | PB_BYTES };
    struct pb_reader r = pb_read((struct str){head, size});
    struct pb_field f;
    bool has_version = false;
    for (;;) {
        bool is_graph = r.rest.len && (uint8_t)r.rest.ptr[0] == GRAPH_HEAD;
        if (has_version && is_graph)
            return true;
        if (!pb_next(&r, &f) || f.number > 25)
            return false;
        if (f.number == 1)
            has_version = f.wire == PB_VARINT && f.value > 0 && f.value < IR_VERSION_MAX;
        else if (f.number != 5 && f.wire != PB_BYTES)
            return false;
    }
}

/* --- without ZipMaps -------------------------------------------------------------------------- */

/* The outputs' value info of type tensor(float); its shape is found by ONNX Runtime. */
static void put_tensor_output(struct buf *out, struct str name)
{
    enum { FLOAT = 1 };
    size_t info = pb_begin(out, 12);
    pb_put_bytes(out, 1, name);
    size_t type = pb_begin(out, 2);
    size_t tensor = pb_begin(out, 1);
    pb_put_varint(out, 1, FLOAT);
    pb_end(out, tensor);
    pb_end(out, type);
    pb_end(out, info);
}

/* The node that makes `output`? */
static bool makes(struct str node, const struct onnx_output *output)
{
    struct pb_reader r = pb_read(node);
    struct pb_field f;
    while (pb_next(&r, &f))
        if (f.number == 2 && f.wire == PB_BYTES && str_equal(f.bytes, output->name))
            return true;
    return false;
}

/* Takes the place of a field of the graph when it belongs to a ZipMap; false when it does not. */
static bool replace_zipmap(const struct onnx_file *file, const struct pb_field *f, struct buf *out)
{
    for (int i = 0; i < file->output_count; i++) {
        const struct onnx_output *output = &file->outputs[i];
        if (!output->zipped.ptr || f->wire != PB_BYTES)
            continue;
        if (f->number == 1 && makes(f->bytes, output))
            return true;
        if (f->number == 12 && str_equal(text_field(f->bytes, 1), output->name)) {
            put_tensor_output(out, output->zipped);
            return true;
        }
    }
    return false;
}

static void copy_graph(const struct onnx_file *file, struct str graph, struct buf *out)
{
    struct pb_reader r = pb_read(graph);
    struct pb_field f;
    for (const char *begin = graph.ptr; pb_next(&r, &f); begin = r.rest.ptr)
        if (!replace_zipmap(file, &f, out))
            buf_append(out, begin, (size_t)(r.rest.ptr - begin));
}

enum err_code onnx_file_unzip(struct str bytes, const struct onnx_file *file, struct buf *out,
                              struct err *err)
{
    struct pb_reader r = pb_read(bytes);
    struct pb_field f;
    assert(file->has_zipmap);
    buf_init(out, bytes.len + UNZIP_BYTES_MORE);
    for (const char *begin = bytes.ptr; pb_next(&r, &f); begin = r.rest.ptr) {
        if (f.number != 7 || f.wire != PB_BYTES) {
            buf_append(out, begin, (size_t)(r.rest.ptr - begin));
            continue;
        }
        size_t graph = pb_begin(out, 7);
        copy_graph(file, f.bytes, out);
        pb_end(out, graph);
    }
    if (out->is_full)
        return err_set(err, ERR_LIMIT, "the ONNX file is too large to be changed");
    return ERR_OK;
}
