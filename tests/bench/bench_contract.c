/* bench_contract.c - what a contract costs on the data path, in ns per row of 30 numeric fields.
 *
 *     check       rows_check alone, on rows that are all good
 *     nullable    the same with one NaN in a field that may be missing, against all good rows
 *     matrix      rows_begin + rows_put_matrix + rows_check, as one tensor is taken
 *     fields      rows_begin + contract_field_next and rows_put_f64 per field + rows_check, as JSON
 * is
 *
 * Each figure is the median of RUNS; the bars are those of the contract layer's design. Exit status
 * 1 when a bar is short.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "contract/check.h"

enum { FIELDS = 30, ROWS_MAX = 256, RUNS = 41, CELLS_A_RUN = 6 * 1000 * 1000 };

struct bench {
    struct contract *contract;
    struct arena *arena;
    struct rows rows;
    struct err err; /* cleared once, as a request's is */
    struct str names[FIELDS];
    float matrix[ROWS_MAX * FIELDS];
};

static struct contract *make_contract(void)
{
    struct buf text;
    struct err err = {0};
    struct contract *c = NULL;
    buf_init(&text, 1 << 16);
    buf_text(&text, "apiVersion: v3.1.0\nkind: DataContract\nid: bench\nversion: 1.0.0\n"
                    "status: active\nschema:\n- name: row\n  properties:\n");
    for (int i = 0; i < FIELDS; i++)
        buf_printf(&text,
                   "  - {name: measure_%d, logicalType: number, required: %s, "
                   "logicalTypeOptions: {minimum: -10, maximum: 10}}\n",
                   i, i == 7 ? "false" : "true");
    if (contract_parse(buf_view(&text), &c, &err) != ERR_OK) {
        fprintf(stderr, "bench_contract: %s\n", err.msg);
        exit(2);
    }
    buf_done(&text);
    return c;
}

static void begin(struct bench *b, int rows)
{
    arena_reset(b->arena);
    if (rows_begin(&b->rows, b->contract, rows, b->arena, &b->err) != ERR_OK)
        exit(2);
}

static void check(struct bench *b)
{
    if (rows_check(&b->rows, &b->err) != ERR_OK || b->rows.has_violation)
        exit(2);
    __asm__ volatile("" : : "r"(b->rows.values) : "memory");
}

static void run_check(struct bench *b, int rows)
{
    (void)rows;
    check(b);
}

static void run_matrix(struct bench *b, int rows)
{
    begin(b, rows);
    rows_put_matrix(&b->rows, b->matrix);
    check(b);
}

static void run_fields(struct bench *b, int rows)
{
    begin(b, rows);
    for (int row = 0; row < rows; row++) {
        int position = 0;
        for (int i = 0; i < FIELDS; i++)
            rows_put_f64(&b->rows, row, contract_field_next(b->contract, &position, b->names[i]),
                         (double)b->matrix[row * FIELDS + i]);
    }
    check(b);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median ns per row. */
static double measure(struct bench *b, void (*run)(struct bench *, int), int rows)
{
    double ns[RUNS];
    int repeats = CELLS_A_RUN / RUNS / (rows * FIELDS);
    for (int k = 0; k < RUNS; k++) {
        int64_t begun = clock_monotonic_ns();
        for (int i = 0; i < repeats; i++)
            run(b, rows);
        ns[k] = (double)(clock_monotonic_ns() - begun) / repeats / rows;
    }
    qsort(ns, RUNS, sizeof(*ns), compare);
    return ns[RUNS / 2];
}

static int bar(const char *name, double ns, double bound)
{
    bool is_ok = ns <= bound;
    printf("bar contract_%s %.1fns <=%gns %s\n", name, ns, bound, is_ok ? "ok" : "short");
    return is_ok ? 0 : 1;
}

int main(void)
{
    static struct bench b;
    static char names[FIELDS][16];
    int failed = 0;
    b.contract = make_contract();
    b.arena = arena_new(1 << 22);
    for (int i = 0; i < FIELDS; i++) {
        snprintf(names[i], sizeof(names[i]), "measure_%d", i);
        b.names[i] = (struct str){names[i], strlen(names[i])};
    }
    for (int i = 0; i < ROWS_MAX * FIELDS; i++)
        b.matrix[i] = (float)(i % 7);
    run_matrix(&b, 1);
    double one = measure(&b, run_check, 1);
    b.rows.values[7] = NAN;
    double nullable = measure(&b, run_check, 1);
    run_matrix(&b, ROWS_MAX);
    double many = measure(&b, run_check, ROWS_MAX);
    printf("matrix: %.1f ns for 1 row, %.1f ns a row of %d\n", measure(&b, run_matrix, 1),
           measure(&b, run_matrix, ROWS_MAX), ROWS_MAX);
    printf("fields: %.1f ns for 1 row\n", measure(&b, run_fields, 1));
    failed |= bar("check_1row", one, 25);
    failed |= bar("check_256rows", many, 10);
    failed |= bar("nullable_nan_extra", nullable > one ? nullable - one : 0, 100);
    arena_free(b.arena);
    contract_free(b.contract);
    return failed;
}
