/* monitor_fixture.h - a version to watch: twenty numbers spread evenly over (0, 10], a plan, a
 * probability; its baseline has 1,000 rows in each of ten bins.
 */
#ifndef SLIPWAY_TESTS_UNIT_MONITOR_FIXTURE_H
#define SLIPWAY_TESTS_UNIT_MONITOR_FIXTURE_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/rand.h"
#include "monitor/monitors.h"
#include "test.h"

#include "contract_text.h"

enum { WATCHED_NUMBERS = 20, WATCHED_PLAN = WATCHED_NUMBERS, WATCHED_ANSWER, WATCHED_COLUMNS };

struct watched {
    struct contract *contract;
    struct signature signature;
    struct record_schema schema;
    struct loaded loaded;
    struct arena *arena;
    struct baseline *baseline;
    struct sketch *sketch;
    struct rand rand;
};

/* `rows` in each of ten bins; `missing` of each number are missing. */
static inline void write_contract(struct buf *out, int rows, int missing)
{
    buf_printf(out, "%s", CONTRACT_TEXT(""));
    for (int i = 0; i < WATCHED_NUMBERS; i++)
        buf_printf(out,
                   "  - name: x%d\n    logicalType: number\n    customProperties:\n"
                   "    - property: slipwayReference\n      value: {kind: numeric, n: %d, "
                   "edges: [1, 2, 3, 4, 5, 6, 7, 8, 9], counts: [%d, %d, %d, %d, %d, %d, %d, %d, "
                   "%d, %d], missing: %d, mean: 5, std: 2.8867513}\n",
                   i, 10 * rows + missing, rows, rows, rows, rows, rows, rows, rows, rows, rows,
                   rows, missing);
    buf_printf(out,
               "  - name: plan\n    logicalType: string\n    quality:\n"
               "    - metric: invalidValues\n      arguments: {validValues: [a, b, c, d]}\n"
               "    customProperties:\n    - property: slipwayReference\n"
               "      value: {kind: categorical, n: %d, top: [[b, %d], [a, %d]], other: %d, "
               "missing: 0}\n",
               10 * rows, 5 * rows, 3 * rows, 2 * rows);
}

static inline void watched_begin(struct watched *w, int rows, int missing)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    write_contract(&text, rows, missing);
    buf_char(&text, '\0');
    *w = (struct watched){.contract = contract_of(text.data), .arena = arena_new(1 << 24)};
    buf_done(&text);
    w->signature = (struct signature){
        .class_count = 2, .is_probability = true, .feature_count = WATCHED_NUMBERS + 1};
    w->schema = (struct record_schema){
        .serial = 1, .model = "churn", .version = 7, .value_count = WATCHED_NUMBERS + 1};
    w->loaded = (struct loaded){.model = "churn",
                                .number = 7,
                                .contract = w->contract,
                                .signature = &w->signature,
                                .record_schema = &w->schema};
    w->baseline = baseline_new(&w->loaded, w->arena);
    w->sketch = sketch_new(w->baseline, 2);
    rand_seed(&w->rand, 11);
    assert_int_equal(w->baseline->column_count, WATCHED_COLUMNS);
}

static inline void watched_end(struct watched *w)
{
    sketch_free(w->sketch);
    arena_free(w->arena);
    contract_free(w->contract);
}

/* A row as training had it: numbers in (0, 10], plans 30 % a, 50 % b, 20 % c. */
static inline void watched_row(struct watched *w, float row[WATCHED_NUMBERS + 1])
{
    for (int i = 0; i < WATCHED_NUMBERS; i++)
        row[i] = (float)(10 * (1 - rand_unit(&w->rand)));
    double u = rand_unit(&w->rand);
    row[WATCHED_PLAN] = u < 0.3 ? 0 : u < 0.8 ? 1 : 2;
}

#endif
