/* graph.c - a graph in memory: its file read, its versions held, its plan made. */
#include "serve/graph.h"

#include <stdlib.h>

#include "base/check.h"
#include "serve/graph_flight.h"

enum { GRAPH_MAGIC = 0x47524150 };

struct graph {
    uint32_t magic;
    struct arena *arena;
    struct graph_plan *plan;
    struct graph_count *counts; /* [plan->node_count] */
    struct graph_flights *flights;
    int part_count;
    struct loaded *parts[GRAPH_NODES_MAX]; /* the versions, each one once */
};

/* ---- loading ---- */

static void free_model(void *model)
{
    struct graph *graph = model;
    if (!graph)
        return;
    CHECK_MAGIC(graph, GRAPH_MAGIC);
    graph_flights_free(graph->flights);
    for (int i = 0; graph->plan && i < graph->plan->node_count; i++)
        loaded_unref(graph->plan->nodes[i].loaded);
    free(graph->counts);
    graph->magic = 0;
    arena_free(graph->arena);
}

static void new_counts(struct graph *graph)
{
    size_t bytes = (size_t)graph->plan->node_count * sizeof(*graph->counts);
    graph->counts = aligned_alloc(_Alignof(struct graph_count), bytes);
    if (!graph->counts)
        abort();
    memset(graph->counts, 0, bytes);
}

static void add_part(struct graph *graph, struct loaded *loaded)
{
    for (int i = 0; i < graph->part_count; i++)
        if (graph->parts[i] == loaded)
            return;
    graph->parts[graph->part_count++] = loaded;
}

/* A registered file has numbers; the digest says that they still mean what they meant. */
static enum err_code hold_version(struct graph *graph, const struct runtime_file *file,
                                  const struct graph_file_node *from, struct graph_node *node,
                                  struct err *err)
{
    char text[STR_NUMBER_BYTES];
    const char *model = arena_copy(graph->arena, from->model.ptr, from->model.len);
    struct str version = {text, str_from_i64(from->version, text)};
    if (!model)
        return err_set(err, ERR_LIMIT, "the graph does not fit its memory");
    if (!file->versions)
        return err_set(err, ERR_UNSUPPORTED, "a graph needs the registry of its models");
    if (from->version == 0)
        return err_set(err, ERR_INVALID, "model '%s': the file has no number of its version",
                       model);
    enum err_code rc =
        file->versions->acquire(file->versions->arg, model, version, &node->loaded, err);
    if (rc)
        return rc;
    add_part(graph, node->loaded);
    if (from->digest.len && !str_equal_c(from->digest, node->loaded->artifact.hex))
        return err_set(err, ERR_CONFLICT,
                       "model '%s' version %lld is not what was registered: its "
                       "digest is %.12s..., not %.12s...",
                       model, (long long)from->version, node->loaded->artifact.hex,
                       from->digest.ptr);
    return ERR_OK;
}

static enum err_code check_depth(struct graph_plan *plan, const struct loaded *loaded,
                                 struct err *err)
{
    const struct graph_plan *inner = graph_plan_of(loaded);
    int depth = inner ? inner->depth + 1 : 1;
    if (depth > plan->depth)
        plan->depth = depth;
    return depth <= GRAPH_DEPTH_MAX
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "graphs within graphs are %d deep, at most %d", depth,
                         GRAPH_DEPTH_MAX);
}

static enum err_code hold_model(struct graph *graph, const struct runtime_file *file,
                                const struct graph_file_node *from, struct graph_node *node,
                                struct err *err)
{
    enum err_code rc = hold_version(graph, file, from, node, err);
    if (!rc)
        rc = check_depth(graph->plan, node->loaded, err);
    if (rc)
        return rc;
    const struct signature *sig = node->loaded->signature;
    node->outputs = sig->outputs;
    node->output_count = sig->output_count;
    node->answer = sig->answer;
    node->is_in_lane = sig->place == RUNTIME_LANE;
    node->wanted = arena_calloc(graph->arena, (size_t)sig->output_count, sizeof(*node->wanted));
    return node->wanted ? ERR_OK : err_set(err, ERR_LIMIT, "the graph does not fit its memory");
}

/* What a switch or an ensemble gives, before its datatype is known. */
static const struct signature_tensor unknown_value = {.name = "value"};

static enum err_code make_node(struct graph *graph, const struct runtime_file *file, int i,
                               struct err *err)
{
    struct graph_plan *plan = graph->plan;
    const struct graph_file_node *from = &plan->file->nodes[i];
    struct graph_node *node = &plan->nodes[i];
    enum err_code rc = ERR_OK;
    for (int k = 0; k < i; k++)
        if (strcmp(plan->nodes[k].name, from->name) == 0)
            return err_set(err, ERR_INVALID, "node '%s' occurs twice", from->name);
    *node = (struct graph_node){.name = from->name,
                                .kind = from->kind,
                                .outputs = &unknown_value,
                                .output_count = 1,
                                .class_count = 1};
    plan->node_count = i + 1;
    if (from->kind == GRAPH_MODEL)
        rc = hold_model(graph, file, from, node, err);
    if (rc)
        return err_wrap(err, "node '%s'", from->name);
    node->value = plan->value_count;
    plan->value_count += node->output_count;
    return ERR_OK;
}

static enum err_code make_plan(struct graph *graph, const struct runtime_file *file,
                               const struct graph_file *from, struct err *err)
{
    int order[GRAPH_NODES_MAX];
    struct graph_plan *plan = graph->plan = arena_calloc(graph->arena, 1, sizeof(*plan));
    if (!plan)
        return err_set(err, ERR_LIMIT, "the graph does not fit its memory");
    plan->arena = graph->arena;
    plan->file = from;
    plan->depth = 1;
    enum err_code rc = ERR_OK;
    for (int i = 0; !rc && i < from->node_count; i++)
        rc = make_node(graph, file, i, err);
    if (!rc)
        rc = graph_resolve(plan, err);
    if (!rc)
        rc = graph_order(plan, order, err);
    if (!rc)
        rc = graph_type_nodes(plan, order, err);
    return rc ? rc : graph_schedule(plan, order, err);
}

static enum err_code load(const struct runtime_file *file, void **model, struct err *err)
{
    yyjson_val *root = NULL;
    struct graph_file *from = NULL;
    struct arena *arena = arena_new(GRAPH_MEMORY_BYTES_MAX);
    struct graph *graph = arena_calloc(arena, 1, sizeof(*graph));
    assert(graph);
    graph->magic = GRAPH_MAGIC;
    graph->arena = arena;
    enum err_code rc = graph_file_tree((struct str){file->bytes, file->size}, arena, &root, err);
    if (!rc)
        rc = graph_file_read(root, arena, &from, err);
    if (!rc)
        rc = make_plan(graph, file, from, err);
    if (rc) {
        free_model(graph);
        return rc;
    }
    new_counts(graph);
    if (graph->plan->signature.place == RUNTIME_LANE && file->versions->snapshot)
        graph->flights = graph_flights_new(file->versions);
    *model = graph;
    return ERR_OK;
}

/* ---- asking ---- */

static const struct signature *describe(const void *model)
{
    const struct graph *graph = model;
    CHECK_MAGIC(graph, GRAPH_MAGIC);
    return &graph->plan->signature;
}

/* Its own: the versions are counted as themselves. */
static size_t memory_bytes(const void *model)
{
    const struct graph *graph = model;
    CHECK_MAGIC(graph, GRAPH_MAGIC);
    return arena_bytes(graph->arena) + (size_t)graph->plan->node_count * sizeof(*graph->counts);
}

static enum err_code predict(const void *model, struct runtime_call *call, struct err *err)
{
    const struct graph *graph = model;
    CHECK_MAGIC(graph, GRAPH_MAGIC);
    return graph_run(graph->plan, graph->counts, graph->flights, call, err);
}

static const char *problem(const void *model)
{
    const struct graph *graph = model;
    CHECK_MAGIC(graph, GRAPH_MAGIC);
    for (int i = 0; i < graph->plan->node_count; i++) {
        const struct graph_node *node = &graph->plan->nodes[i];
        const char *why =
            node->loaded && node->fallback == FALLBACK_NONE ? loaded_problem(node->loaded) : NULL;
        if (why)
            return why;
    }
    return NULL;
}

static int parts(const void *model, struct loaded *const **list)
{
    const struct graph *graph = model;
    CHECK_MAGIC(graph, GRAPH_MAGIC);
    *list = graph->parts;
    return graph->part_count;
}

const struct graph_plan *graph_plan_of(const struct loaded *loaded)
{
    return loaded->ops == &runtime_graph ? ((const struct graph *)loaded->state)->plan : NULL;
}

const struct graph_count *graph_counts_of(const struct loaded *loaded)
{
    return loaded->ops == &runtime_graph ? ((const struct graph *)loaded->state)->counts : NULL;
}

/* ---- for people ---- */

static const char *const kind_names[] = {"model", "switch", "ensemble"};

static void show_model(struct json_writer *w, const struct graph_node *node)
{
    json_member_text(w, "model", node->loaded->model);
    json_member_i64(w, "version", node->loaded->number);
    json_member_text(w, "digest", node->loaded->artifact.hex);
    json_member_text(w, "runtime", node->loaded->ops->name);
    if (node->deadline_ns)
        json_member_i64(w, "deadline_milliseconds", node->deadline_ns / 1000000);
}

static void show(const void *model, struct json_writer *w)
{
    const struct graph *graph = model;
    CHECK_MAGIC(graph, GRAPH_MAGIC);
    json_key(w, "nodes");
    json_begin_array(w);
    for (int i = 0; i < graph->plan->node_count; i++) {
        const struct graph_node *node = &graph->plan->nodes[i];
        json_begin_object(w);
        json_member_text(w, "name", node->name);
        json_member_text(w, "kind", kind_names[node->kind]);
        if (node->loaded)
            show_model(w, node);
        if (node->kind == GRAPH_ENSEMBLE)
            json_member_text(w, "how", graph_how_name(node->how));
        json_end_object(w);
    }
    json_end_array(w);
}

const struct runtime_ops runtime_graph = {
    .name = "graph",
    .recognise = graph_recognise,
    .complete = graph_pin,
    .load = load,
    .describe = describe,
    .memory_bytes = memory_bytes,
    .predict = predict,
    .problem = problem,
    .parts = parts,
    .show = show,
    .free = free_model,
};
