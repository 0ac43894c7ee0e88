/* graph_order.c - which node comes before which, what rows each one sees, and the steps of a run.
 */
#include "base/check.h"
#include "serve/graph_plan.h"

/* ---- who reads whom ---- */

enum mark { MARK_NEW, MARK_OPEN, MARK_DONE };

struct walk {
    const struct graph_plan *plan;
    enum mark marks[GRAPH_NODES_MAX];
    int path[GRAPH_NODES_MAX], path_count; /* the open ones */
    int *order, order_count;
    enum err_code rc;
    struct err *err;
};

static void visit(struct walk *walk, int node);

static void visit_source(void *arg, const struct graph_source *source)
{
    if (source->from == FROM_NODE)
        visit(arg, source->index);
}

static void refuse_cycle(struct walk *walk, int node)
{
    char text[300] = "";
    int from = 0;
    while (walk->path[from] != node)
        from++;
    for (int i = from; i <= walk->path_count; i++) {
        int at = i < walk->path_count ? walk->path[i] : node;
        strncat(text, *text ? " -> " : "", sizeof(text) - strlen(text) - 1);
        strncat(text, walk->plan->nodes[at].name, sizeof(text) - strlen(text) - 1);
    }
    walk->rc = err_set(walk->err, ERR_INVALID, "nodes need each other in a circle: %s", text);
}

/* As deep as there are nodes. */
static void visit(struct walk *walk, int index)
{
    const struct graph_node *node = &walk->plan->nodes[index];
    if (walk->rc || walk->marks[index] == MARK_DONE)
        return;
    if (walk->marks[index] == MARK_OPEN) {
        refuse_cycle(walk, index);
        return;
    }
    walk->marks[index] = MARK_OPEN;
    walk->path[walk->path_count++] = index;
    graph_each_source(node, visit_source, walk);
    for (int i = 0; i < node->branch_count; i++)
        visit_source(walk, &node->branches[i].then);
    if (node->fallback == FALLBACK_NODE)
        visit(walk, node->fallback_node);
    walk->path_count--;
    walk->marks[index] = MARK_DONE;
    walk->order[walk->order_count++] = index;
}

enum err_code graph_order(const struct graph_plan *plan, int *order, struct err *err)
{
    struct walk walk = {.plan = plan, .order = order, .err = err};
    for (int i = 0; i < plan->output_count; i++)
        visit_source(&walk, &plan->outputs[i]);
    for (int i = 0; !walk.rc && i < plan->node_count; i++) {
        int before = walk.order_count;
        if (walk.marks[i] == MARK_DONE)
            continue;
        visit(&walk, i); /* a circle that nobody reads is a circle first */
        if (walk.rc || walk.order_count == before)
            break;
        err_set(err, ERR_INVALID, "node '%s' is read by nobody", plan->nodes[i].name);
        return err_hint(err, "name it in outputs, or in a node that uses it, or take it out");
    }
    return walk.rc;
}

/* ---- scopes ---- */

static int new_scope(struct graph_plan *plan, int parent, int owner)
{
    assert(plan->scope_count < GRAPH_SCOPES_MAX);
    plan->scopes[plan->scope_count] =
        (struct graph_scope){parent, plan->scopes[parent].depth + 1, owner};
    return plan->scope_count++;
}

/* The smallest that both lie in. */
static int common_scope(const struct graph_plan *plan, int a, int b)
{
    while (a != b) {
        if (plan->scopes[a].depth >= plan->scopes[b].depth)
            a = plan->scopes[a].parent;
        else
            b = plan->scopes[b].parent;
    }
    return a;
}

struct use {
    struct graph_plan *plan;
    int scope;
};

static void use_node(struct graph_plan *plan, int index, int scope)
{
    struct graph_node *node = &plan->nodes[index];
    node->scope = node->scope < 0 ? scope : common_scope(plan, node->scope, scope);
}

static void use_source(void *arg, const struct graph_source *source)
{
    const struct use *use = arg;
    if (source->from == FROM_NODE)
        use_node(use->plan, source->index, use->scope);
}

/* Outputs of one node share the rows: they are chosen alike. */
static int scope_of_branch(const struct graph_node *node, int branch)
{
    const struct graph_source *then = &node->branches[branch].then;
    for (int i = 0; i < branch; i++)
        if (node->branches[i].then.from == FROM_NODE && node->branches[i].then.index == then->index)
            return node->branches[i].scope;
    return -1;
}

static void make_scopes(struct graph_plan *plan, int index)
{
    struct graph_node *node = &plan->nodes[index];
    for (int i = 0; i < node->branch_count; i++) {
        struct graph_branch *branch = &node->branches[i];
        if (branch->then.from != FROM_NODE)
            continue;
        branch->scope = scope_of_branch(node, i);
        if (branch->scope < 0)
            branch->scope = new_scope(plan, node->scope, index);
        use_node(plan, branch->then.index, branch->scope);
    }
    if (node->fallback == FALLBACK_NODE) {
        node->fallback_scope = new_scope(plan, node->scope, index);
        use_node(plan, node->fallback_node, node->fallback_scope);
    }
}

/* Readers come before those they read, so that a node's scope is known when its turn comes. */
static void find_scopes(struct graph_plan *plan, const int *order)
{
    struct use use = {plan, 0};
    plan->scopes[0] = (struct graph_scope){.owner = -1};
    plan->scope_count = 1;
    for (int i = 0; i < plan->node_count; i++)
        plan->nodes[i].scope = -1;
    for (int i = 0; i < plan->output_count; i++)
        use_source(&use, &plan->outputs[i]);
    for (int i = plan->node_count - 1; i >= 0; i--) {
        struct graph_node *node = &plan->nodes[order[i]];
        use.scope = node->scope;
        graph_each_source(node, use_source, &use);
        make_scopes(plan, order[i]);
    }
}

/* ---- steps ---- */

#define BEGIN(node) (UINT64_C(1) << (2 * (node)))
#define END(node) (UINT64_C(1) << (2 * (node) + 1))

static_assert(GRAPH_STEPS_MAX <= 64, "a step is a bit");

static void need_source(void *arg, const struct graph_source *source)
{
    uint64_t *needs = arg;
    if (source->from == FROM_NODE)
        *needs |= END(source->index);
}

/* Who says which rows there are has to have said it. */
static uint64_t needs_scope(const struct graph_plan *plan, const struct graph_node *node)
{
    int owner = plan->scopes[node->scope].owner;
    return owner < 0 ? 0 : BEGIN(owner);
}

static uint64_t needs_to_begin(const struct graph_plan *plan, int index)
{
    const struct graph_node *node = &plan->nodes[index];
    uint64_t needs = needs_scope(plan, node);
    graph_each_source(node, need_source, &needs);
    return needs;
}

static uint64_t needs_to_end(const struct graph_plan *plan, int index)
{
    const struct graph_node *node = &plan->nodes[index];
    if (node->kind == GRAPH_ENSEMBLE)
        return needs_to_begin(plan, index);
    uint64_t needs = BEGIN(index);
    for (int i = 0; i < node->branch_count; i++)
        need_source(&needs, &node->branches[i].then);
    if (node->fallback == FALLBACK_NODE)
        needs |= END(node->fallback_node);
    return needs;
}

/* What runs elsewhere is begun before what takes this thread's time. */
static int next_step(const struct graph_plan *plan, const uint64_t *needs, uint64_t left,
                     uint64_t placed)
{
    int first = -1;
    for (int i = 0; i < GRAPH_STEPS_MAX; i++) {
        if (!(left >> i & 1) || (needs[i] & ~placed))
            continue;
        if (i % 2 == 0 && plan->nodes[i / 2].is_in_lane)
            return i;
        first = first < 0 ? i : first;
    }
    return first;
}

static uint64_t renumber(uint64_t set, const int *places)
{
    uint64_t result = 0;
    for (int i = 0; i < GRAPH_STEPS_MAX; i++)
        if (set >> i & 1)
            result |= UINT64_C(1) << places[i];
    return result;
}

static void make_steps(struct graph_plan *plan)
{
    uint64_t needs[GRAPH_STEPS_MAX] = {0}, left = 0, placed = 0;
    int places[GRAPH_STEPS_MAX] = {0};
    for (int i = 0; i < plan->node_count; i++) {
        needs[2 * i] = needs_to_begin(plan, i);
        needs[2 * i + 1] = needs_to_end(plan, i);
        left |= END(i) | (plan->nodes[i].kind == GRAPH_ENSEMBLE ? 0 : BEGIN(i));
    }
    while (left) {
        int at = next_step(plan, needs, left, placed);
        assert(at >= 0); /* there is no circle */
        places[at] = plan->step_count;
        plan->steps[plan->step_count++] = (struct graph_step){
            .node = at / 2, .is_end = at % 2, .needs = renumber(needs[at], places)};
        placed |= UINT64_C(1) << at;
        left &= ~(UINT64_C(1) << at);
    }
}

/* ---- who may be left out ---- */

struct reader {
    const struct graph_plan *plan;
    const struct graph_node *node;
    struct err *err;
    enum err_code rc;
};

static void refuse_skipped(void *arg, const struct graph_source *source)
{
    struct reader *reader = arg;
    bool may_lack =
        reader->node && reader->node->kind == GRAPH_ENSEMBLE && reader->node->how != HOW_CONCAT;
    if (source->from != FROM_NODE || may_lack || reader->rc ||
        reader->plan->nodes[source->index].fallback != FALLBACK_SKIP)
        return;
    reader->rc =
        err_set(reader->err, ERR_INVALID,
                "node '%s': fallback: skip is for members of an ensemble, and %s%s%s "
                "needs its answer",
                reader->plan->nodes[source->index].name, reader->node ? "node '" : "an output",
                reader->node ? reader->node->name : "", reader->node ? "'" : "");
}

static enum err_code check_skipped(const struct graph_plan *plan, struct err *err)
{
    struct reader reader = {.plan = plan, .err = err};
    for (int i = 0; i < plan->output_count; i++)
        refuse_skipped(&reader, &plan->outputs[i]);
    for (int i = 0; i < plan->node_count; i++) {
        const struct graph_node *node = &plan->nodes[i];
        reader.node = node;
        graph_each_source(node, refuse_skipped, &reader);
        for (int k = 0; k < node->branch_count; k++)
            refuse_skipped(&reader, &node->branches[k].then);
        if (node->fallback == FALLBACK_NODE) {
            const struct graph_source other = {.from = FROM_NODE, .index = node->fallback_node};
            refuse_skipped(&reader, &other);
        }
    }
    return reader.rc;
}

enum err_code graph_schedule(struct graph_plan *plan, const int *order, struct err *err)
{
    enum err_code rc = check_skipped(plan, err);
    if (rc)
        return rc;
    find_scopes(plan, order);
    make_steps(plan);
    return ERR_OK;
}
