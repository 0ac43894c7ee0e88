/* baseline.c - contract profiles, made smaller and copied. */
#include "monitor/baseline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/answer.h"

static const char *copy_text(const char *text, struct arena *arena)
{
    const char *copy = arena_copy(arena, text, strlen(text));
    assert(copy);
    return copy;
}

static void *take(struct arena *arena, int count, size_t bytes)
{
    void *memory = arena_calloc(arena, (size_t)count, bytes);
    assert(memory);
    return memory;
}

/* ---- numbers ---- */

/* Keep every k-th edge, so that bins are joined evenly. */
static void put_numbers(struct baseline_column *c, const struct contract_profile *p, int edges_max,
                        struct arena *arena)
{
    int step = (p->edge_count + edges_max - 1) / edges_max;
    step = step < 1 ? 1 : step;
    float *edges = take(arena, p->edge_count / step + 1, sizeof(*edges));
    c->counts = take(arena, p->edge_count / step + 2, sizeof(*c->counts));
    for (int i = 0; i < p->edge_count; i++) {
        c->counts[c->edge_count] += (double)p->counts[i];
        if (i % step == step - 1)
            edges[c->edge_count++] = (float)p->edges[i];
    }
    c->counts[c->edge_count] += (double)p->counts[p->edge_count];
    c->edges = edges;
    c->bin_count = c->edge_count + 1;
    c->mean = p->mean;
    c->std = p->std;
}

/* ---- categories ---- */

/* Frequency of the bins of a profile, most frequent first; the rest bin is not among them. */
struct bin_order {
    int64_t count;
    int bin;
};

static int by_count(const void *a, const void *b)
{
    const struct bin_order *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : x->bin - y->bin;
}

/* Where each bin of the profile goes: the most frequent keep one of their own. */
static int *new_places(const struct contract_profile *p, int *kept, struct arena *arena)
{
    int own = p->bin_count - 1;
    struct bin_order *order = take(arena, own + 1, sizeof(*order));
    int *places = take(arena, p->bin_count, sizeof(*places));
    for (int i = 0; i < own; i++)
        order[i] = (struct bin_order){p->counts[i], i};
    qsort(order, (size_t)own, sizeof(*order), by_count);
    *kept = own < BASELINE_CATEGORIES_MAX ? own : BASELINE_CATEGORIES_MAX;
    for (int i = 0; i < p->bin_count; i++)
        places[i] = *kept;
    for (int i = 0; i < *kept; i++)
        places[order[i].bin] = i;
    return places;
}

static void put_categories(struct baseline_column *c, const struct contract_field *field,
                           struct arena *arena)
{
    const struct contract_profile *p = &field->profile;
    int kept, *places = new_places(p, &kept, arena);
    uint8_t *code_bins = take(arena, field->category_count, sizeof(*code_bins));
    struct str *names = take(arena, kept + 1, sizeof(*names));
    c->bin_count = kept + 1;
    c->counts = take(arena, c->bin_count, sizeof(*c->counts));
    for (int i = 0; i < p->bin_count; i++)
        c->counts[places[i]] += (double)p->counts[i];
    for (int code = 0; code < field->category_count; code++) {
        struct str name = field->categories[code];
        int bin = places[p->category_bins[code]];
        code_bins[code] = (uint8_t)bin;
        if (bin < kept)
            names[bin] = (struct str){arena_copy(arena, name.ptr, name.len), name.len};
    }
    names[kept] = str_of("other");
    c->bin_names = names;
    c->code_bins = code_bins;
    c->code_count = field->category_count;
    c->mean = c->std = NAN;
}

/* ---- columns ---- */

static void put_field(struct baseline_column *c, const struct contract_field *field,
                      struct arena *arena)
{
    const struct contract_profile *p = &field->profile;
    c->name = copy_text(field->name, arena);
    c->unit = copy_text(contract_field_unit(field), arena);
    c->is_private = field->classification[0] != '\0';
    c->missing = (double)p->missing_count;
    c->rows = (double)p->row_count;
    if (p->category_bins)
        put_categories(c, field, arena);
    else
        put_numbers(c, p, c->is_answer ? BASELINE_ANSWER_EDGES_MAX : BASELINE_EDGES_MAX, arena);
}

/* ---- the answer ---- */

static void set_edges(struct baseline_column *c, const float *edges, int count, struct arena *arena)
{
    float *copy = take(arena, count, sizeof(*copy));
    memcpy(copy, edges, (size_t)count * sizeof(*copy));
    c->edges = copy;
    c->edge_count = count;
    c->bin_count = count + 1;
    c->counts = take(arena, c->bin_count, sizeof(*c->counts));
}

/* 0.02, 0.04, ... 0.98 */
static void put_probability(struct baseline_column *c, struct arena *arena)
{
    float edges[49];
    for (int i = 0; i < 49; i++)
        edges[i] = (float)(i + 1) / 50;
    c->name = "score";
    set_edges(c, edges, 49, arena);
}

/* Any number: 0, and 2^k times 1, 1.25, 1.5, 1.75 of both signs from 2^-7 to 2^23. */
static void put_any_number(struct baseline_column *c, struct arena *arena)
{
    enum { LOWEST = -7, HIGHEST = 23, SIDE = (HIGHEST - LOWEST + 1) * 4 };
    float edges[2 * SIDE + 1];
    for (int i = 0; i < SIDE; i++) {
        float edge = ldexpf(1 + (float)(i % 4) / 4, LOWEST + i / 4);
        edges[SIDE + 1 + i] = edge;
        edges[SIDE - 1 - i] = -edge;
    }
    edges[SIDE] = 0;
    c->name = "value";
    set_edges(c, edges, 2 * SIDE + 1, arena);
}

static void put_classes(struct baseline_column *c, const struct loaded *loaded, struct arena *arena)
{
    int count = answer_class_count(loaded);
    int own = count < BASELINE_CATEGORIES_MAX ? count : BASELINE_CATEGORIES_MAX;
    uint8_t *code_bins = take(arena, count, sizeof(*code_bins));
    struct str *names = take(arena, own + 1, sizeof(*names));
    for (int k = 0; k < count; k++)
        code_bins[k] = (uint8_t)(k < own ? k : own);
    for (int k = 0; k < own; k++) {
        struct str name = answer_class_name(loaded, k);
        const char *copy =
            name.ptr ? arena_copy(arena, name.ptr, name.len) : arena_printf(arena, "%d", k);
        assert(copy);
        names[k] = str_of(copy);
    }
    names[own] = str_of("other");
    c->name = "prediction";
    c->code_bins = code_bins;
    c->code_count = count;
    c->bin_names = names;
    c->bin_count = own + 1;
    c->counts = take(arena, c->bin_count, sizeof(*c->counts));
}

/* The field whose training profile the answer has, or NULL. A class is compared by its code, so its
 * profile must list the classes in their order. */
static const struct contract_field *profile_of_answer(const struct loaded *loaded)
{
    const struct contract *contract = loaded->contract;
    bool is_binary = loaded->signature->class_count == 2 && loaded->signature->is_probability;
    bool is_number = loaded->signature->class_count < 2;
    const struct contract_field *field = NULL;
    if (contract && is_number)
        field = contract->prediction ? contract->prediction : contract->score;
    else if (contract)
        field = is_binary ? contract->score : contract->prediction;
    bool is_categorical = field && field->category_count > 0;
    bool fits = is_binary || is_number
                    ? !is_categorical
                    : is_categorical && field->category_count == loaded->signature->class_count;
    return field && field->has_profile && fits ? field : NULL;
}

static void put_answer(struct baseline_column *c, const struct loaded *loaded, struct arena *arena)
{
    const struct signature *sig = loaded->signature;
    const struct contract_field *field = profile_of_answer(loaded);
    *c = (struct baseline_column){
        .column = -1, .is_answer = true, .unit = "", .mean = NAN, .std = NAN};
    if (field) {
        put_field(c, field, arena);
        return;
    }
    c->is_learnt = true;
    if (sig->class_count == 2 && sig->is_probability)
        put_probability(c, arena);
    else if (sig->class_count >= 2)
        put_classes(c, loaded, arena);
    else
        put_any_number(c, arena);
}

static int profile_count(const struct contract *contract)
{
    int count = 0;
    for (int i = 0; contract && i < contract->value_count; i++)
        count += contract->values[i]->has_profile;
    return count;
}

/* Columns of the features, and room for the answer behind them. */
static struct baseline *new_of_features(const struct contract *contract, struct arena *arena)
{
    struct baseline *baseline = take(arena, 1, sizeof(*baseline));
    int count = profile_count(contract);
    baseline->value_count = contract ? contract->value_count : 0;
    baseline->columns = take(arena, count + 1, sizeof(*baseline->columns));
    for (int i = 0; i < baseline->value_count; i++) {
        if (!contract->values[i]->has_profile)
            continue;
        struct baseline_column *c = &baseline->columns[baseline->column_count++];
        c->column = i;
        put_field(c, contract->values[i], arena);
    }
    return baseline;
}

struct baseline *baseline_new(const struct loaded *loaded, struct arena *arena)
{
    struct baseline *baseline = new_of_features(loaded->contract, arena);
    put_answer(&baseline->columns[baseline->column_count++], loaded, arena);
    return baseline;
}

struct baseline *baseline_of_contract(const struct contract *contract, struct arena *arena)
{
    struct baseline *baseline = new_of_features(contract, arena);
    struct baseline_column *c = &baseline->columns[baseline->column_count++];
    *c = (struct baseline_column){
        .column = -1, .is_answer = true, .is_learnt = true, .unit = "", .mean = NAN, .std = NAN};
    put_any_number(c, arena);
    return baseline;
}
