/* test_graph.c - graphs of echoes: what is refused, what is computed, what stands in for what
 * fails. An echo answers with its features, so every expected number is arithmetic on them. */
#include "serve/graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "test.h"

#define ECHO(columns)                                                                              \
    "echo:\n  inputs:\n    - {name: x, datatype: FP32, shape: [-1, " columns "], output: y}\n"

/* Version 1 of each model; the digest of its artifact is its place in the list. */
static const struct {
    const char *model, *text;
} models[] = {
    {"one", ECHO("1")},
    {"two", ECHO("2")},
    {"named", "echo:\n  inputs:\n    - {name: age, datatype: INT64, shape: [-1]}\n"
              "    - {name: note, datatype: BYTES, shape: [-1], optional: true}\n"},
    {"slow", "echo:\n  delay_us: 60000000\n  inputs:\n"
             "    - {name: x, datatype: FP32, shape: [-1, 1]}\n"},
    {"fixed", "echo:\n  inputs:\n    - {name: x, datatype: FP32, shape: [4]}\n"},
    {"inner", "graph: 1\nfeatures: [a]\nnodes:\n"
              "  n: {model: one, version: 1}\n  s: {ensemble: sum, of: [n, 100]}\n"},
    {"inner2", "graph: 1\nnodes: {n: {model: inner, version: 1}}\n"},
    {"inner3", "graph: 1\nnodes: {n: {model: inner2, version: 1}}\n"},
    {"maybe", "echo:\n  inputs:\n    - {name: age, datatype: INT64, shape: [-1]}\n"
              "    - {name: score, datatype: FP32, shape: [-1], optional: true}\n"},
    {"inner4", "graph: 1\nnodes: {n: {model: inner3, version: 1}}\n"},
    {"far", "remote: 1\nendpoint: a\nmodel: m\nprotocol: http\nbatch_rows_max: 8\n"
            "inputs: [{name: x, dtype: FP32, shape: [-1, 1]}]\n"
            "outputs: [{name: y, dtype: FP32, shape: [-1]}]\n"},
    {"over_far", "graph: 1\nnodes: {n: {model: far, version: 1}}\n"},
};

static const char *graph_text; /* the blob "g" */

static enum err_code memory_get(struct blob_store *blobs, const struct blob_digest *digest,
                                const void **bytes, size_t *size, struct err *err)
{
    (void)blobs, (void)err;
    const char *text = digest->hex[0] == 'g' ? graph_text : models[digest->hex[0] - '0'].text;
    *bytes = text;
    *size = strlen(text);
    return ERR_OK;
}

static void memory_release(struct blob_store *blobs, const void *bytes, size_t size)
{
    (void)blobs, (void)bytes, (void)size;
}

static const struct blob_ops memory_ops = {
    .name = "memory", .get = memory_get, .release = memory_release};
static struct blob_head blobs = {&memory_ops};

static enum err_code acquire(void *arg, const char *model, struct str version,
                             struct loaded **loaded, struct err *err);
static const struct runtime_versions versions = {.acquire = acquire};
static const char *const endpoints[] = {"a=http://127.0.0.1:1"}; /* where nobody answers */
static const struct runtime_host host = {.remote_endpoints = {endpoints, 1}, .remote_ca = ""};

static enum err_code open_model(const char *model, char digest, struct loaded **loaded,
                                struct err *err)
{
    struct loaded_source source = {
        .model = model, .number = 1, .thread_count = 1, .host = &host, .versions = &versions};
    source.artifact.hex[0] = digest;
    return loaded_open((struct blob_store *)&blobs, &source, loaded, err);
}

static enum err_code acquire(void *arg, const char *model, struct str version,
                             struct loaded **loaded, struct err *err)
{
    (void)arg;
    bool is_first = str_equal_c(version, "1") || str_equal_c(version, "champion");
    for (size_t i = 0; i < ARRAY_LEN(models); i++)
        if (strcmp(models[i].model, model) == 0 && is_first)
            return open_model(model, (char)('0' + i), loaded, err);
    return err_set(err, ERR_NOT_FOUND, "model '%s' has no version %.*s", model, STR_ARG(version));
}

struct fixture {
    struct loaded *graph;
    struct arena *arena;
    struct tensor in[4], out[RUNTIME_TENSORS_MAX], aside[RUNTIME_ASIDES_MAX];
    struct runtime_call call;
    struct err err;
};

static void begin(struct fixture *f, const char *text)
{
    *f = (struct fixture){.arena = arena_new(1 << 20)};
    graph_text = text;
    if (open_model("graph", 'g', &f->graph, &f->err))
        fail_msg("%s", f->err.msg);
}

static void end(struct fixture *f)
{
    loaded_unref(f->graph);
    arena_free(f->arena);
}

static enum err_code ask(struct fixture *f, float *cells, int64_t rows, int64_t columns)
{
    f->in[0] = (struct tensor){
        .name = "x", .dtype = DTYPE_F32, .rank = 2, .shape = {rows, columns}, .data = cells};
    f->call = (struct runtime_call){
        .in = f->in, .in_count = 1, .arena = f->arena, .out = f->out, .aside = f->aside};
    return loaded_predict(f->graph, &f->call, &f->err);
}

static const float *answer(struct fixture *f, float *cells, int64_t rows, int64_t columns)
{
    if (ask(f, cells, rows, columns))
        fail_msg("%s", f->err.msg);
    assert_int_equal(f->out[0].shape[0], rows);
    return f->out[0].data;
}

static const struct tensor *aside(const struct fixture *f, const char *name)
{
    for (int i = 0; i < f->graph->signature->aside_count; i++)
        if (strcmp(f->aside[i].name, name) == 0)
            return &f->aside[i];
    fail_msg("nothing called '%s' is recorded", name);
    return NULL;
}

static void assert_text(const struct tensor *tensor, int64_t row, const char *expected)
{
    struct str text = ((const struct str *)tensor->data)[row];
    if (!str_equal_c(text, expected))
        fail_msg("%s of row %lld: '%.*s', expected '%s'", tensor->name, (long long)row,
                 STR_ARG(text), expected);
}

/* ---- what is refused ---- */

#define NODES "graph: 1\nfeatures: [a, b]\nnodes:\n"

static const struct {
    const char *text, *expected;
} refused[] = {
    {"graph: 2\nnodes: {n: {model: one, version: 1}}\n", "graph: expected 1"},
    {"graph: 1\n", "nodes: expected NAME"},
    {"graph: 1\nnodes: {}\n", "nodes: expected NAME"},
    {"graph: 1\nnodes: {a: {modle: x}}\n",
     "nodes.a: expected model, switch, ensemble or split, got m"},
    {"graph: 1\nextra: 1\nnodes: {n: {model: one, version: 1}}\n", "unknown member \"extra\""},
    {NODES "  n: {model: one, version: 1, column: [a]}\n",
     "nodes.n has an unknown member \"column\""},
    {NODES "  n: {model: one}\n", "has no number of its version"},
    {NODES "  n: {model: one, version: 2, columns: [a]}\n", "model 'one' has no version 2"},
    {NODES "  n: {model: one, version: 1, alias: champion}\n", "a version and an alias"},
    {NODES "  n: {model: one, version: 0}\n", "nodes.n.version: expected 1 or more"},
    {NODES "  n: {model: one, version: 1, digest: abc, columns: [a]}\n",
     "is not what was registered"},
    {NODES "  n: {model: one, version: 1, columns: [c]}\n", "no feature, input or node 'c'"},
    {NODES "  n: {model: one, version: 1, columns: [a, b]}\n",
     "its model takes 1 features, its columns are 2"},
    {NODES "  n: {model: one, version: 1}\n", "it takes 1 features, the graph has 2"},
    {NODES "  n: {model: one, version: 1, columns: [a], deadline: 20}\n",
     "\"deadline\" of nodes.n must be text"},
    {NODES "  n: {model: one, version: 1, columns: [a], deadline: 20 parsecs}\n",
     "nodes.n.deadline: expected a time up to 1h, got '20 parsecs'"},
    {NODES "  n: {model: one, version: 1, columns: [a], fallback: retry}\n",
     "nodes.n.fallback: expected"},
    {NODES "  n: {model: one, version: 1, columns: [a], fallback: skip}\n",
     "an output needs its answer"},
    {NODES "  n: {model: one, version: 1, columns: [a], fallback: {node: m}}\n",
     "there is no node 'm'"},
    {NODES "  n: {model: one, version: 1, columns: [a], fallback: {node: m}}\n"
           "  m: {model: two, version: 1}\noutputs: {n: n}\n",
     "output 'y' is FP32 [-1,1], that of node 'm' is FP32 [-1,2]"},
    {NODES
     "  n: {model: one, version: 1, columns: [m]}\n  m: {model: one, version: 1, columns: [n]}\n",
     "nodes need each other in a circle: m -> n -> m"},
    {NODES
     "  n: {model: one, version: 1, columns: [a]}\n  m: {model: one, version: 1, columns: [a]}\n",
     "node 'n' is read by nobody"},
    {NODES "  a: {model: one, version: 1, columns: [a]}\n",
     "what a request holds has this name too"},
    {NODES "  n.m: {model: one, version: 1}\n", "'n.m' is no name of a node"},
    {NODES "  n: {model: one, version: 1, columns: [a]}\n  s: {ensemble: sum, of: [n.z]}\n",
     "node 'n' has no output 'z'"},
    {NODES "  n: {model: two, version: 1}\n  s: {ensemble: sum, of: ['n[2]']}\n",
     "has columns 0 to 1, not 2"},
    {NODES "  n: {model: two, version: 1}\n  s: {ensemble: sum, of: [n, a]}\n",
     "output 'y' of node 'n' has 2 columns, 'a' has 1"},
    {NODES "  n: {model: one, version: 1, columns: [a]}\n  s: {ensemble: mean, of: [n]}\n",
     "nodes.s.ensemble: expected average, vote"},
    {NODES "  n: {model: one, version: 1, columns: [a]}\n  s: {ensemble: vote, of: [n]}\n",
     "is no class, and a vote is about classes"},
    {NODES
     "  n: {model: one, version: 1, columns: [a]}\n  s: {ensemble: sum, of: [n], weights: [1]}\n",
     "only an average or a vote has them"},
    {NODES "  n: {model: one, version: 1, columns: [a]}\n"
           "  s: {ensemble: average, of: [n], weights: [0]}\n",
     "all of them are 0"},
    {NODES "  n: {model: one, version: 1, columns: [a]}\n"
           "  s: {switch: [{if: a ~ 3, then: n}], default: n}\n",
     "nodes.s.switch[0].if: expected NAME < NUMBER"},
    {NODES "  n: {model: one, version: 1, columns: [a]}\n"
           "  s: {switch: [{if: a < b, then: n}], default: n}\n",
     "nodes.s.switch[0].if: expected NAME < NUMBER"},
    {NODES "  n: {model: one, version: 1, columns: [a]}\n  s: {switch: [{if: a < 3, then: n}]}\n",
     "nodes.s.default: expected a name or a number, got nothing"},
    {NODES "  n: {model: one, version: 1, columns: [a]}\n  m: {model: two, version: 1}\n"
           "  s: {switch: [{if: a < 3, then: n}], default: m}\n",
     "it has to give one kind"},
    {NODES "  n: {model: two, version: 1}\n  s: {switch: [{if: n < 3, then: 1}], default: 2}\n",
     "has 2 columns, one is compared"},
    {NODES "  n: {model: named, version: 1}\n", "nothing feeds its input 'age'"},
    {NODES "  n: {model: named, version: 1, columns: [a]}\n",
     "its model takes tensors, use inputs"},
    {NODES "  n: {model: one, version: 1, inputs: {x: a}}\n",
     "its model takes features, use columns"},
    {NODES "  n: {model: named, version: 1, inputs: {age: a, size: b}}\n",
     "its model has no input 'size'"},
    {"graph: 1\ninputs: [{name: age, datatype: FP64, shape: [-1]}]\n"
     "nodes: {n: {model: named, version: 1}}\n",
     "input 'age' takes INT64 [-1], 'age' is FP64 [-1]"},
    {NODES "  n: {model: fixed, version: 1, inputs: {x: a}}\n", "has no batch dimension"},
    {NODES "  n: {model: one, version: 1, columns: [a]}\noutputs: {node.n: n}\n",
     "'node.n' is no name of an output"},
    {NODES "  n: {model: one, version: 1, columns: [a]}\noutputs: {y: n}\nanswer: z\n",
     "answer: there is no output 'z'"},
    {NODES "  n: {model: one, version: 1, columns: [a]}\noutputs: {y: a}\n",
     "an output is what a node gives"},
    {NODES "  p: {split: {model: one, version: 1, rows: []}, aggregate: sum}\n",
     "nodes.p.split.rows: expected 1 to 31 lists"},
    {NODES "  p: {split: {x/y: {model: one, version: 1}}, aggregate: sum}\n",
     "'x/y' is no name of a part"},
    {"graph: 1\nnodes: {n: {model: inner4, version: 1}}\n",
     "graphs within graphs are 5 deep, at most 4"},
};

static void bad_graphs_are_refused_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct loaded *graph = NULL;
        struct err err = {0};
        graph_text = refused[i].text;
        if (!open_model("graph", 'g', &graph, &err))
            fail_msg("loaded: %s", refused[i].text);
        if (!strstr(err.msg, refused[i].expected))
            fail_msg("\n%s\nsaid:     %s\nexpected: %s", refused[i].text, err.msg,
                     refused[i].expected);
    }
}

static void more_nodes_than_there_may_be_are_refused(void **state)
{
    (void)state;
    struct buf text;
    struct loaded *graph = NULL;
    struct err err = {0};
    buf_init(&text, GRAPH_BYTES_MAX);
    buf_text(&text, "graph: 1\nnodes:\n");
    for (int i = 0; i <= GRAPH_NODES_MAX; i++)
        buf_printf(&text, "  n%d: {model: one, version: 1}\n", i);
    buf_char(&text, '\0');
    graph_text = text.data;
    assert_int_equal(open_model("graph", 'g', &graph, &err), ERR_LIMIT);
    assert_non_null(strstr(err.msg, "nodes.n32: more than 32 nodes"));
    buf_done(&text);
}

/* ---- what is computed ---- */

static void features_come_from_the_first_model(void **state)
{
    struct fixture f;
    float cells[] = {1, 2, 3, 4};
    (void)state;
    begin(&f, "graph: 1\nnodes: {n: {model: two, version: 1}}\n");
    assert_int_equal(f.graph->signature->feature_count, 2);
    assert_int_equal(f.graph->signature->place, RUNTIME_INLINE);
    assert_memory_equal(answer(&f, cells, 2, 2), cells, sizeof(cells));
    assert_ptr_equal(f.call.out[0].name, f.graph->signature->outputs[0].name);
    assert_string_equal(f.call.out[0].name, "n");
    end(&f);
}

static void ensembles_are_arithmetic(void **state)
{
    static const struct {
        const char *node;
        float expected[2]; /* of a, b = 1, 8 and 5, -2 */
    } cases[] = {
        {"{ensemble: average, of: [x, y]}", {4.5f, 1.5f}},
        {"{ensemble: average, of: [x, y], weights: [3, 1]}", {2.75f, 3.25f}},
        {"{ensemble: sum, of: [x, y, 10]}", {19, 13}},
        {"{ensemble: min, of: [x, y]}", {1, -2}},
        {"{ensemble: max, of: [x, y]}", {8, 5}},
    };
    float cells[] = {1, 8, 5, -2};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        char text[512];
        snprintf(
            text, sizeof(text),
            NODES
            "  x: {model: one, version: 1, columns: [a]}\n"
            "  y: {model: one, version: 1, columns: [b]}\n  s: %s\noutputs: {s: s, x: x, y: y}\n",
            cases[i].node);
        begin(&f, text);
        const float *got = answer(&f, cells, 2, 2);
        assert_true(got[0] == cases[i].expected[0] && got[1] == cases[i].expected[1]);
        end(&f);
    }
}

static void a_row_goes_where_the_first_test_that_holds_sends_it(void **state)
{
    struct fixture f;
    /* a is compared with 2, then with 4, then b is looked for */
    float cells[] = {1, 10, 3, 20, 5, NAN, 5, 30, 1, 40};
    const float expected[] = {10, 3, -7, 30, 40};
    (void)state;
    begin(&f,
          NODES "  x: {model: one, version: 1, columns: [b]}\n"
                "  y: {model: one, version: 1, columns: [a]}\n"
                "  s:\n    switch:\n      - {if: a < 2, then: x}\n      - {if: a <= 4, then: y}\n"
                "      - {if: b is missing, then: -7}\n    default: x\n");
    assert_memory_equal(answer(&f, cells, 5, 2), expected, sizeof(expected));
    const struct tensor *chosen = aside(&f, "node.s"), *outcome = aside(&f, "node.y.outcome");
    const char *const names[] = {"x", "y", "number", "x", "x"};
    for (int64_t row = 0; row < 5; row++) {
        assert_text(chosen, row, names[row]);
        assert_text(outcome, row, row == 1 ? "ok" : "unused");
    }
    const float *recorded = aside(&f, "node.y")->data;
    assert_true(isnan(recorded[0]) && recorded[1] == 3 && isnan(recorded[4]));
    end(&f);
}

/* What only one branch reads is computed for the rows of that branch: its sum is of those rows. */
static void branches_within_branches_see_their_rows(void **state)
{
    struct fixture f;
    float cells[] = {1, 1, 2, -1, 3, 1, 4, -1, 5, 1};
    /* a > 1: (b > 0: 10 a, else a); else a. */
    const float expected[] = {1, 2, 30, 4, 50};
    (void)state;
    begin(&f, NODES "  x: {model: one, version: 1, columns: [a]}\n"
                    "  z: {model: one, version: 1, columns: [a]}\n"
                    "  ten: {ensemble: sum, of: [z, z, z, z, z, z, z, z, z, z]}\n"
                    "  low: {ensemble: sum, of: [x]}\n"
                    "  deep: {switch: [{if: b > 0, then: ten}], default: low}\n"
                    "  top: {switch: [{if: a > 1, then: deep}], default: low}\n");
    assert_memory_equal(answer(&f, cells, 5, 2), expected, sizeof(expected));
    const struct tensor *z = aside(&f, "node.z.outcome"), *x = aside(&f, "node.x.outcome");
    const char *const of_z[] = {"unused", "unused", "ok", "unused", "ok"};
    for (int64_t row = 0; row < 5; row++) {
        assert_text(z, row, of_z[row]);
        assert_text(x, row, "ok"); /* both branches read it */
    }
    end(&f);
}

static void a_split_is_the_aggregate_of_its_parts(void **state)
{
    struct fixture f;
    float cells[] = {1, 2, 3, 4};
    const float expected[] = {1 + 2 + 1, 3 + 4 + 3};
    (void)state;
    begin(&f,
          NODES "  p: {split: {model: one, version: 1, rows: [[a], [b], [a]]}, aggregate: sum}\n"
                "  q:\n    split:\n      l: {model: one, version: 1, columns: [b]}\n"
                "      r: {model: two, version: 1}\n    aggregate: concat\n"
                "outputs: {p: p, q: q}\n");
    assert_memory_equal(answer(&f, cells, 2, 2), expected, sizeof(expected));
    const float wide[] = {2, 1, 2, 4, 3, 4};
    assert_memory_equal(f.out[1].data, wide, sizeof(wide));
    assert_int_equal(f.out[1].shape[1], 3);
    end(&f);
}

static void answers_feed_models_and_inner_graphs(void **state)
{
    struct fixture f;
    float cells[] = {1, 2, 3, 4};
    /* inner adds 100 to its one feature */
    const float expected[] = {102, 1, 104, 3};
    (void)state;
    begin(&f, NODES "  n: {model: inner, version: 1, columns: [b]}\n"
                    "  m: {model: two, version: 1, columns: [n, a]}\n");
    assert_memory_equal(answer(&f, cells, 2, 2), expected, sizeof(expected));
    end(&f);
}

static void tensors_go_through_as_they_are(void **state)
{
    struct fixture f;
    int64_t ages[] = {30, 40};
    struct str notes[] = {STR_LIT("x"), STR_LIT("y")};
    (void)state;
    begin(&f,
          "graph: 1\nnodes:\n  n: {model: named, version: 1}\n"
          "  s: {switch: [{if: age > 35, then: 1}], default: n}\noutputs: {s: s, note: n.note}\n");
    f.in[0] =
        (struct tensor){.name = "age", .dtype = DTYPE_I64, .rank = 1, .shape = {2}, .data = ages};
    f.in[1] = (struct tensor){
        .name = "note", .dtype = DTYPE_BYTES, .rank = 1, .shape = {2}, .data = notes};
    f.call = (struct runtime_call){.in = f.in, .in_count = 2, .arena = f.arena, .out = f.out};
    assert_int_equal(loaded_predict(f.graph, &f.call, &f.err), ERR_OK);
    assert_int_equal(((const int64_t *)f.out[0].data)[0], 30);
    assert_int_equal(((const int64_t *)f.out[0].data)[1], 1);
    assert_true(str_equal_c(((const struct str *)f.out[1].data)[1], "y"));
    end(&f);
}

/* Its shape is what the plan counts with; the echo of two columns says that they are three. */
static void answers_that_are_not_as_declared_are_refused(void **state)
{
    struct fixture f;
    float cells[] = {1, 2, 3, 4};
    (void)state;
    begin(&f, NODES "  n: {model: two, version: 1}\n  s: {ensemble: sum, of: ['n[0]', 'n[1]']}\n");
    struct graph_node *node = (struct graph_node *)(uintptr_t)&graph_plan_of(f.graph)->nodes[0];
    struct signature_tensor declared = node->outputs[0];
    declared.shape[1] = 3;
    node->outputs = &declared;
    assert_int_equal(ask(&f, cells, 2, 2), ERR_UPSTREAM);
    assert_non_null(strstr(f.err.msg, "node 'n': its model gave output 'y' another datatype"));
    end(&f);
}

static void what_is_asked_of_an_input_that_was_not_given_is_the_callers_mistake(void **state)
{
    struct fixture f;
    int64_t ages[] = {30, 40};
    (void)state;
    begin(&f, "graph: 1\nnodes:\n  n: {model: maybe, version: 1}\n"
              "  s: {switch: [{if: score > 1, then: 1}], default: n}\n");
    f.in[0] =
        (struct tensor){.name = "age", .dtype = DTYPE_I64, .rank = 1, .shape = {2}, .data = ages};
    f.in[1] = (struct tensor){.name = "score", .dtype = DTYPE_F32};
    f.call = (struct runtime_call){.in = f.in, .in_count = 2, .arena = f.arena, .out = f.out};
    assert_int_equal(loaded_predict(f.graph, &f.call, &f.err), ERR_INVALID);
    assert_non_null(strstr(f.err.msg, "input 'score' was not given"));
    end(&f);
}

/* Another model may answer there tomorrow, and nobody does today: answers are not kept, and what
 * was held against its golden rows once is not held against them again. */
static void graphs_are_as_elsewhere_as_their_models(void **state)
{
    static const char *const texts[] = {"graph: 1\nnodes: {n: {model: far, version: 1}}\n",
                                        "graph: 1\nnodes: {n: {model: over_far, version: 1}}\n"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct loaded_source source = {
            .model = "graph", .number = 1, .thread_count = 1, .host = &host, .versions = &versions};
        struct loaded *graph = NULL;
        struct err err = {0};
        graph_text = texts[i];
        source.artifact.hex[0] = source.golden.hex[0] = 'g'; /* no golden rows at all */
        if (loaded_open((struct blob_store *)&blobs, &source, &graph, &err))
            fail_msg("%s", err.msg);
        assert_true(graph->signature->varies);
        assert_true(graph->asks_elsewhere);
        loaded_unref(graph);
    }
    struct fixture f;
    begin(&f, "graph: 1\nnodes: {n: {model: inner, version: 1}}\n");
    assert_false(f.graph->signature->varies);
    assert_false(f.graph->asks_elsewhere);
    end(&f);
}

static void no_rows_give_no_rows(void **state)
{
    struct fixture f;
    float cell = 0;
    (void)state;
    begin(&f, NODES "  n: {model: one, version: 1, columns: [a]}\n"
                    "  s: {switch: [{if: a > 1, then: n}], default: 0}\n"
                    "  e: {ensemble: sum, of: [s, n]}\noutputs: {e: e, n: n}\n");
    assert_non_null(answer(&f, &cell, 0, 2));
    assert_int_equal(f.out[1].shape[0], 0);
    end(&f);
}

/* ---- what stands in ---- */

/* Nothing here runs in a lane, so that the slow model itself gives up at the deadline. */
static void what_is_late_has_its_fallback(void **state)
{
    static const struct {
        const char *fallback, *rest;
        float expected;
    } cases[] = {
        {"{value: 0.25}", "outputs: {n: n}", 0.25f},
        {"{node: m}", "  m: {model: one, version: 1, columns: [b]}\noutputs: {n: n}", 2},
        {"skip",
         "  m: {model: one, version: 1, columns: [b]}\n  s: {ensemble: average, of: [n, m]}\n"
         "outputs: {s: s}",
         2},
    };
    float cells[] = {1, 2};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        char text[512];
        snprintf(text, sizeof(text),
                 NODES
                 "  n: {model: slow, version: 1, columns: [a], deadline: 1ms, fallback: %s}\n%s\n",
                 cases[i].fallback, cases[i].rest);
        begin(&f, text);
        assert_int_equal(f.graph->signature->place, RUNTIME_LANE);
        assert_true(answer(&f, cells, 1, 2)[0] == cases[i].expected);
        assert_text(aside(&f, "node.n.outcome"), 0, "late");
        assert_true(str_equal_c(f.call.reply_parameters, "{\"fallback\":\"n:late\"}"));
        end(&f);
    }
}

static void without_a_fallback_the_graph_fails(void **state)
{
    struct fixture f;
    float cells[] = {1, 2};
    (void)state;
    begin(&f, NODES "  n: {model: slow, version: 1, columns: [a], deadline: 1ms}\n");
    assert_int_equal(ask(&f, cells, 1, 2), ERR_TIMEOUT);
    assert_non_null(
        strstr(f.err.msg, "model 'graph' version 1: node 'n': model 'slow' version 1: "));
    end(&f);
}

static void a_fallback_node_runs_only_then(void **state)
{
    struct fixture f;
    float cells[] = {1, 2};
    (void)state;
    begin(&f, NODES "  n: {model: one, version: 1, columns: [a], fallback: {node: m}}\n"
                    "  m: {model: one, version: 1, columns: [b]}\noutputs: {n: n}\n");
    assert_true(answer(&f, cells, 1, 2)[0] == 1);
    assert_text(aside(&f, "node.m.outcome"), 0, "unused");
    assert_int_equal(f.call.reply_parameters.len, 0);
    end(&f);
}

/* ---- registering ---- */

static void pinning_writes_numbers_and_digests(void **state)
{
    static const char *const text =
        "graph: 1\nfeatures: [a]\nnodes:\n  n: {model: one, alias: champion}\n"
        "  p: {split: {x: {model: one}}, aggregate: sum}\noutputs: {n: n, p: p}\n";
    const struct runtime_file file = {.bytes = text, .size = strlen(text), .versions = &versions};
    struct buf pinned;
    struct err err = {0};
    struct fixture f;
    float cell = 3;
    (void)state;
    buf_init(&pinned, GRAPH_BYTES_MAX);
    assert_int_equal(graph_pin(&file, &pinned, &err), ERR_OK);
    buf_char(&pinned, '\0');
    assert_null(strstr(pinned.data, "alias"));
    assert_non_null(strstr(pinned.data, "version: 1"));
    assert_non_null(strstr(pinned.data, "digest: \"0\""));
    begin(&f, pinned.data);
    assert_true(answer(&f, &cell, 1, 1)[0] == 3);
    end(&f);
    buf_done(&pinned);
}

static void only_graphs_are_recognised(void **state)
{
    (void)state;
    const char *const ours[] = {"graph: 1\n", "# fraud\n\ngraph: 1\n", "---\ngraph: 1",
                                "#\r\ngraph:\r\n"};
    const char *const others[] = {"", "echo:\n", "{\"graph\": 1}", "graphs: 1", " graph: 1"};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        assert_true(graph_recognise(ours[i], strlen(ours[i])));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(graph_recognise(others[i], strlen(others[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_graphs_are_refused_with_their_place),
        cmocka_unit_test(more_nodes_than_there_may_be_are_refused),
        cmocka_unit_test(features_come_from_the_first_model),
        cmocka_unit_test(ensembles_are_arithmetic),
        cmocka_unit_test(a_row_goes_where_the_first_test_that_holds_sends_it),
        cmocka_unit_test(branches_within_branches_see_their_rows),
        cmocka_unit_test(a_split_is_the_aggregate_of_its_parts),
        cmocka_unit_test(answers_feed_models_and_inner_graphs),
        cmocka_unit_test(tensors_go_through_as_they_are),
        cmocka_unit_test(answers_that_are_not_as_declared_are_refused),
        cmocka_unit_test(what_is_asked_of_an_input_that_was_not_given_is_the_callers_mistake),
        cmocka_unit_test(graphs_are_as_elsewhere_as_their_models),
        cmocka_unit_test(no_rows_give_no_rows),
        cmocka_unit_test(what_is_late_has_its_fallback),
        cmocka_unit_test(without_a_fallback_the_graph_fails),
        cmocka_unit_test(a_fallback_node_runs_only_then),
        cmocka_unit_test(pinning_writes_numbers_and_digests),
        cmocka_unit_test(only_graphs_are_recognised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
