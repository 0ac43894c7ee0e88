/* graph_resolve.c - what the file of a graph names: features, inputs, nodes, outputs of nodes. */
#include "base/check.h"
#include "serve/graph_plan.h"

struct resolver {
    struct graph_plan *plan;
    struct err *err;
};

static enum err_code no_room(const struct resolver *r)
{
    return err_set(r->err, ERR_LIMIT, "the graph does not fit its memory");
}

static enum err_code in_node(const struct resolver *r, const struct graph_node *node)
{
    return err_wrap(r->err, "node '%s'", node->name);
}

/* ---- what a request holds ---- */

/* What a version calls its feature; NULL when it has no name. */
static const char *feature_name(const struct loaded *loaded, int i)
{
    if (loaded->signature->feature_names)
        return loaded->signature->feature_names[i];
    if (!loaded->contract)
        return NULL;
    int column = loaded->model_columns ? loaded->model_columns[i] : i;
    return loaded->contract->values[column]->name;
}

static enum err_code take_names(const struct resolver *r, const struct loaded *loaded)
{
    struct graph_plan *plan = r->plan;
    size_t count = (size_t)loaded->signature->feature_count;
    const char **names = arena_calloc(plan->arena, count, sizeof(*names));
    if (!names)
        return no_room(r);
    for (size_t i = 0; i < count; i++)
        names[i] = feature_name(loaded, (int)i);
    plan->feature_count = (int)count;
    plan->feature_names = names[0] ? names : NULL;
    return ERR_OK;
}

/* The first model that is told nothing else reads what the request holds. */
static enum err_code take_from_node(const struct resolver *r)
{
    struct graph_plan *plan = r->plan;
    for (int i = 0; i < plan->node_count; i++) {
        const struct graph_file_node *node = &plan->file->nodes[i];
        const struct loaded *loaded = plan->nodes[i].loaded;
        if (node->kind != GRAPH_MODEL || node->columns || node->feeds)
            continue;
        if (loaded_is_tabular(loaded))
            return take_names(r, loaded);
        plan->inputs = loaded->signature->inputs;
        plan->input_count = loaded->signature->input_count;
        return ERR_OK;
    }
    err_set(r->err, ERR_INVALID, "the file does not say what a request holds");
    return err_hint(r->err, "features: [NAME, ...] for rows of numbers, or inputs: [{name, "
                            "datatype, shape}]");
}

static const char *input_name(const struct graph_plan *plan)
{
    for (int i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].loaded && loaded_is_tabular(plan->nodes[i].loaded))
            return plan->nodes[i].loaded->signature->inputs[0].name;
    return "input";
}

static enum err_code take_request(const struct resolver *r)
{
    struct graph_plan *plan = r->plan;
    const struct graph_file *file = plan->file;
    enum err_code rc = ERR_OK;
    plan->feature_count = file->feature_count;
    plan->feature_names = file->feature_names;
    plan->input_count = file->input_count;
    plan->inputs = file->inputs;
    if (!file->feature_count && !file->input_count)
        rc = take_from_node(r);
    if (rc || !plan->feature_count)
        return rc;
    struct signature_tensor *matrix = arena_calloc(plan->arena, 1, sizeof(*matrix));
    if (!matrix)
        return no_room(r);
    *matrix = (struct signature_tensor){.name = input_name(plan),
                                        .dtype = DTYPE_F32,
                                        .rank = 2,
                                        .shape = {-1, plan->feature_count}};
    plan->inputs = matrix;
    plan->input_count = 1;
    return ERR_OK;
}

/* ---- names ---- */

static bool find_input(const struct graph_plan *plan, struct str name, struct graph_source *source)
{
    *source = (struct graph_source){.from = FROM_INPUT, .column = -1};
    for (int i = 0; plan->feature_names && i < plan->feature_count; i++)
        if (str_equal_c(name, plan->feature_names[i])) {
            source->column = i;
            return true;
        }
    for (int i = 0; !plan->feature_count && i < plan->input_count; i++)
        if (str_equal_c(name, plan->inputs[i].name)) {
            source->index = i;
            return true;
        }
    return false;
}

static bool find_node(const struct graph_plan *plan, struct str name, int *index)
{
    for (*index = 0; *index < plan->node_count; ++*index)
        if (str_equal_c(name, plan->nodes[*index].name))
            return true;
    return false;
}

static bool find_answer(const struct graph_plan *plan, struct str name, struct graph_source *source)
{
    int index;
    if (!find_node(plan, name, &index))
        return false;
    *source = (struct graph_source){
        .from = FROM_NODE, .index = index, .output = plan->nodes[index].answer, .column = -1};
    return true;
}

static enum err_code no_output(const struct resolver *r, const struct graph_node *node,
                               struct str name)
{
    char list[200] = "";
    for (int i = 0; i < node->output_count; i++) {
        strncat(list, *list ? ", " : "", sizeof(list) - strlen(list) - 1);
        strncat(list, node->outputs[i].name, sizeof(list) - strlen(list) - 1);
    }
    err_set(r->err, ERR_INVALID, "node '%s' has no output '%.*s'", node->name, STR_ARG(name));
    return err_hint(r->err, "its outputs: %s", list);
}

/* NODE.OUTPUT; *is_node tells whether the part before the dot is one. */
static enum err_code find_output(const struct resolver *r, struct str text, bool *is_node,
                                 struct graph_source *source)
{
    struct str rest = text, name;
    *is_node =
        str_split(&rest, '.', &name) && name.len < text.len && find_answer(r->plan, name, source);
    if (!*is_node)
        return ERR_OK;
    const struct graph_node *node = &r->plan->nodes[source->index];
    for (int i = 0; i < node->output_count; i++)
        if (str_equal_c(rest, node->outputs[i].name)) {
            source->output = i;
            return ERR_OK;
        }
    return no_output(r, node, rest);
}

/* NAME[2] -> NAME and 2. */
static bool take_column(struct str *text, int *column)
{
    int64_t number;
    const char *open = text->len ? memrchr(text->ptr, '[', text->len) : NULL;
    if (!open || text->ptr[text->len - 1] != ']')
        return false;
    struct str digits = {open + 1, (size_t)(text->ptr + text->len - 1 - (open + 1))};
    if (!str_to_i64(digits, &number) || number < 0 || number >= GRAPH_COLUMNS_MAX)
        return false;
    *column = (int)number;
    text->len = (size_t)(open - text->ptr);
    return true;
}

static enum err_code resolve_text(const struct resolver *r, struct str text,
                                  struct graph_source *source)
{
    bool is_found = find_input(r->plan, text, source) || find_answer(r->plan, text, source);
    enum err_code rc = is_found ? ERR_OK : find_output(r, text, &is_found, source);
    if (rc || is_found)
        return rc;
    err_set(r->err, ERR_INVALID, "there is no feature, input or node '%.*s'", STR_ARG(text));
    return err_hint(r->err, "write NAME of a feature, an input or a node, or NODE.OUTPUT");
}

static enum err_code resolve(const struct resolver *r, const struct graph_term *term,
                             struct graph_source *source)
{
    struct str text = term->text;
    int column = -1;
    *source = (struct graph_source){.from = FROM_NUMBER, .number = term->number, .column = -1};
    if (text.len == 0)
        return ERR_OK;
    if (find_input(r->plan, text, source)) /* a feature may be called "x[1]" */
        return ERR_OK;
    bool has_column = take_column(&text, &column);
    enum err_code rc = resolve_text(r, text, source);
    if (!rc && has_column && source->column >= 0)
        rc = err_set(r->err, ERR_INVALID, "'%.*s' is one column already", STR_ARG(text));
    if (!rc && has_column)
        source->column = column;
    return rc;
}

static enum err_code resolve_all(const struct resolver *r, const struct graph_term *terms,
                                 int count, struct graph_source **sources)
{
    *sources = arena_calloc(r->plan->arena, (size_t)count, sizeof(**sources));
    if (!*sources)
        return no_room(r);
    for (int i = 0; i < count; i++) {
        enum err_code rc = resolve(r, &terms[i], &(*sources)[i]);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

/* ---- a model ---- */

static enum err_code no_feature(const struct resolver *r, const char *name, int i)
{
    if (name)
        err_set(r->err, ERR_INVALID, "it takes '%s', which the graph's features do not have", name);
    else
        err_set(r->err, ERR_INVALID, "its feature %d has no name to find it by", i);
    return err_hint(r->err, "say what it takes with columns: [NAME, ...], in its order");
}

/* By name where both sides have names, else as they come. */
static enum err_code match_features(const struct resolver *r, struct graph_node *node)
{
    const struct graph_plan *plan = r->plan;
    int count = node->loaded->signature->feature_count;
    bool is_same = plan->input_count == 1 && plan->inputs[0].rank == 2 &&
                   plan->inputs[0].dtype == DTYPE_F32 && plan->inputs[0].shape[1] == count;
    bool has_names = plan->feature_names && feature_name(node->loaded, 0);
    node->columns = arena_calloc(plan->arena, (size_t)count, sizeof(*node->columns));
    node->column_count = count;
    if (!node->columns)
        return no_room(r);
    if (!has_names && !is_same) {
        err_set(r->err, ERR_INVALID, "it takes %d features, the graph has %d", count,
                plan->feature_count);
        return err_hint(r->err, "say what it takes with columns: [NAME, ...]");
    }
    for (int i = 0; i < count; i++) {
        const char *name = feature_name(node->loaded, i);
        node->columns[i] = (struct graph_source){.from = FROM_INPUT, .column = i};
        if (has_names && (!name || !find_input(plan, str_of(name), &node->columns[i])))
            return no_feature(r, name, i);
    }
    return ERR_OK;
}

static const struct graph_term *find_feed(const struct graph_file_node *file, const char *input)
{
    for (int i = 0; i < file->feed_count; i++)
        if (str_equal_c(file->feeds[i].input, input))
            return &file->feeds[i].from;
    return NULL;
}

static enum err_code check_feeds(const struct resolver *r, const struct graph_file_node *file,
                                 const struct signature *signature)
{
    for (int i = 0; i < file->feed_count; i++) {
        int k = 0;
        while (k < signature->input_count &&
               !str_equal_c(file->feeds[i].input, signature->inputs[k].name))
            k++;
        if (k == signature->input_count) {
            err_set(r->err, ERR_INVALID, "its model has no input '%.*s'",
                    STR_ARG(file->feeds[i].input));
            return err_hint(r->err, "its first input is '%s'", signature->inputs[0].name);
        }
    }
    return ERR_OK;
}

/* An optional input that nobody feeds is not given. */
static enum err_code resolve_feeds(const struct resolver *r, const struct graph_file_node *file,
                                   struct graph_node *node)
{
    const struct signature *signature = node->loaded->signature;
    size_t count = (size_t)signature->input_count;
    enum err_code rc = check_feeds(r, file, signature);
    node->feeds = arena_calloc(r->plan->arena, count, sizeof(*node->feeds));
    node->feed_count = (int)count;
    if (!node->feeds)
        return no_room(r);
    for (size_t i = 0; !rc && i < count; i++) {
        const struct signature_tensor *input = &signature->inputs[i];
        const struct graph_term *term = find_feed(file, input->name);
        if (term) {
            rc = resolve(r, term, &node->feeds[i]);
        } else if (!find_input(r->plan, str_of(input->name), &node->feeds[i])) {
            node->feeds[i] = (struct graph_source){.from = FROM_INPUT, .index = -1, .column = -1};
            if (!input->is_optional)
                rc = err_set(r->err, ERR_INVALID, "nothing feeds its input '%s'", input->name);
        }
    }
    return rc;
}

static enum err_code resolve_fallback(const struct resolver *r, const struct graph_file_node *file,
                                      struct graph_node *node)
{
    node->deadline_ns = file->deadline_us * 1000;
    node->fallback = file->fallback;
    node->fallback_value = file->fallback_to.number;
    if (file->fallback != FALLBACK_NODE ||
        find_node(r->plan, file->fallback_to.text, &node->fallback_node))
        return ERR_OK;
    return err_set(r->err, ERR_INVALID, "its fallback: there is no node '%.*s'",
                   STR_ARG(file->fallback_to.text));
}

static enum err_code resolve_model(const struct resolver *r, const struct graph_file_node *file,
                                   struct graph_node *node)
{
    bool is_tabular = loaded_is_tabular(node->loaded);
    enum err_code rc = resolve_fallback(r, file, node);
    if (rc)
        return rc;
    if (file->columns && !is_tabular)
        return err_set(r->err, ERR_INVALID, "columns: its model takes tensors, use inputs");
    if (file->feeds && is_tabular)
        return err_set(r->err, ERR_INVALID, "inputs: its model takes features, use columns");
    if (!is_tabular)
        return resolve_feeds(r, file, node);
    if (!file->columns)
        return match_features(r, node);
    node->column_count = file->column_count;
    return resolve_all(r, file->columns, file->column_count, &node->columns);
}

/* ---- a switch, an ensemble ---- */

static bool is_same_source(const struct graph_source *a, const struct graph_source *b)
{
    return a->from == b->from && a->index == b->index && a->output == b->output &&
           a->column == b->column && a->number == b->number;
}

static int branch_of(struct graph_node *node, const struct graph_source *then)
{
    int i = 0;
    while (i < node->branch_count && !is_same_source(&node->branches[i].then, then))
        i++;
    if (i == node->branch_count)
        node->branches[node->branch_count++] = (struct graph_branch){.then = *then, .scope = -1};
    return i;
}

static enum err_code resolve_branch(const struct resolver *r, struct graph_node *node,
                                    const struct graph_term *term, int *branch)
{
    struct graph_source then;
    enum err_code rc = resolve(r, term, &then);
    if (!rc && then.from == FROM_INPUT)
        rc = err_set(r->err, ERR_INVALID,
                     "'%.*s' is what the request holds: a switch chooses "
                     "among nodes and numbers",
                     STR_ARG(term->text));
    if (!rc)
        *branch = branch_of(node, &then);
    return rc;
}

static enum err_code resolve_switch(const struct resolver *r, const struct graph_file_node *file,
                                    struct graph_node *node)
{
    size_t count = (size_t)file->case_count;
    node->tests = arena_calloc(r->plan->arena, count, sizeof(*node->tests));
    node->branches = arena_calloc(r->plan->arena, count + 1, sizeof(*node->branches));
    if (!node->tests || !node->branches)
        return no_room(r);
    for (size_t i = 0; i < count; i++) {
        const struct graph_case *one = &file->cases[i];
        struct graph_test *test = &node->tests[i];
        test->compare = one->compare;
        test->right = one->right;
        enum err_code rc = resolve(r, &one->left, &test->left);
        if (!rc)
            rc = resolve_branch(r, node, &one->then, &test->branch);
        if (rc)
            return err_wrap(r->err, "switch[%zu]", i);
    }
    node->test_count = (int)count;
    return resolve_branch(r, node, &file->otherwise, &node->otherwise);
}

static enum err_code resolve_ensemble(const struct resolver *r, const struct graph_file_node *file,
                                      struct graph_node *node)
{
    node->how = file->how;
    node->weights = file->weights;
    node->member_count = file->member_count;
    return resolve_all(r, file->members, file->member_count, &node->members);
}

/* ---- the whole ---- */

static enum err_code resolve_node(const struct resolver *r, int i)
{
    const struct graph_file_node *file = &r->plan->file->nodes[i];
    struct graph_node *node = &r->plan->nodes[i];
    struct graph_source source;
    enum err_code rc;
    if (find_input(r->plan, str_of(node->name), &source))
        rc = err_set(r->err, ERR_INVALID, "what a request holds has this name too");
    else if (node->kind == GRAPH_MODEL)
        rc = resolve_model(r, file, node);
    else if (node->kind == GRAPH_SWITCH)
        rc = resolve_switch(r, file, node);
    else
        rc = resolve_ensemble(r, file, node);
    return rc ? in_node(r, node) : ERR_OK;
}

static enum err_code resolve_outputs(const struct resolver *r)
{
    struct graph_plan *plan = r->plan;
    const struct graph_file *file = plan->file;
    plan->output_count = file->output_count;
    for (int i = 0; i < file->output_count; i++) {
        enum err_code rc = resolve(r, &file->outputs[i].from, &plan->outputs[i]);
        if (!rc && plan->outputs[i].from != FROM_NODE)
            rc = err_set(r->err, ERR_INVALID, "an output is what a node gives");
        if (rc)
            return err_wrap(r->err, "output '%s'", file->outputs[i].name);
    }
    if (file->output_count)
        return ERR_OK;
    const struct graph_node *last = &plan->nodes[plan->node_count - 1];
    plan->output_count = 1;
    plan->outputs[0] = (struct graph_source){
        .from = FROM_NODE, .index = plan->node_count - 1, .output = last->answer, .column = -1};
    return ERR_OK;
}

static void want(void *arg, const struct graph_source *source)
{
    struct graph_plan *plan = arg;
    if (source->from == FROM_NODE && plan->nodes[source->index].wanted)
        plan->nodes[source->index].wanted[source->output] = true;
}

static void want_used(struct graph_plan *plan)
{
    for (int i = 0; i < plan->node_count; i++) {
        struct graph_node *node = &plan->nodes[i];
        graph_each_source(node, want, plan);
        for (int k = 0; k < node->branch_count; k++)
            want(plan, &node->branches[k].then);
        if (node->wanted)
            node->wanted[node->answer] = true;
    }
    for (int i = 0; i < plan->output_count; i++)
        want(plan, &plan->outputs[i]);
}

void graph_each_source(const struct graph_node *node,
                       void (*fn)(void *arg, const struct graph_source *source), void *arg)
{
    for (int i = 0; i < node->column_count; i++)
        fn(arg, &node->columns[i]);
    for (int i = 0; i < node->feed_count; i++)
        fn(arg, &node->feeds[i]);
    for (int i = 0; i < node->test_count; i++)
        fn(arg, &node->tests[i].left);
    for (int i = 0; i < node->member_count; i++)
        fn(arg, &node->members[i]);
}

enum err_code graph_resolve(struct graph_plan *plan, struct err *err)
{
    const struct resolver r = {plan, err};
    enum err_code rc = take_request(&r);
    for (int i = 0; !rc && i < plan->node_count; i++)
        rc = resolve_node(&r, i);
    if (!rc)
        rc = resolve_outputs(&r);
    if (!rc)
        want_used(plan);
    return rc;
}
