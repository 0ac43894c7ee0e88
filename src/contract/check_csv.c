/* check_csv.c - row by row through the same check as a request, counting instead of stopping. */
#include "contract/check_csv.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

enum { ROW_ARENA_BYTES = 64 * 1024 * 1024 };

/* --- the header ------------------------------------------------------------------------------- */

static enum err_code unknown_column(const struct contract *c, struct str name, int column,
                                    struct err *err)
{
    const struct contract_field *near = contract_field_nearest(c, name);
    if (name.len > CONTRACT_NAME_BYTES_MAX)
        name.len = CONTRACT_NAME_BYTES_MAX;
    err_set(err, ERR_VIOLATION, "column %d: '%.*s' is not a field of the contract", column + 1,
            STR_ARG(name));
    return near ? err_hint(err, "did you mean '%s'?", near->name) : ERR_VIOLATION;
}

/* The field of that name, input or answer; NULL when there is none. */
static const struct contract_field *field_of(const struct contract *c, struct str name)
{
    return map_find(&c->field_by_name, name);
}

static enum err_code check_required_columns(const struct contract *c, const bool *is_there,
                                            struct err *err)
{
    for (int i = 0; i < c->input_count; i++) {
        const struct contract_field *f = c->inputs[i];
        if (!is_there[f->index] && f->is_required && f->policy[RULE_MISSING] == POLICY_REJECT)
            return err_set(err, ERR_VIOLATION, "no column for the required field '%s'", f->name);
    }
    return ERR_OK;
}

static enum err_code map_columns(const struct contract *c, const struct str *names, int count,
                                 const struct contract_field **columns, bool *is_there,
                                 struct err *err)
{
    for (int i = 0; i < count; i++) {
        struct str name = str_trim(names[i]);
        const struct contract_field *field = field_of(c, name);
        if (!field)
            return unknown_column(c, name, i, err);
        if (is_there[field->index])
            return err_set(err, ERR_VIOLATION, "column %d: '%s' is there twice", i + 1,
                           field->name);
        is_there[field->index] = true;
        columns[i] = field->input_index >= 0 ? field : NULL;
    }
    return check_required_columns(c, is_there, err);
}

enum err_code contract_map_header(const struct contract *c, const struct str *names, int count,
                                  const struct contract_field **columns, struct err *err)
{
    bool *is_there = calloc((size_t)c->field_count, sizeof(*is_there));
    if (!is_there)
        abort();
    enum err_code code = map_columns(c, names, count, columns, is_there, err);
    free(is_there);
    return code;
}

/* --- rows ------------------------------------------------------------------------------------- */

struct checker {
    const struct contract *contract;
    const struct contract_field **columns; /* [column_count] */
    int column_count;
    struct csv *csv;
    struct arena *arena;     /* of the report */
    struct arena *row_arena; /* of one row */
    struct check_report *report;
    const struct check_csv_watch *watch; /* or NULL */
    bool is_bad;                         /* the row at hand */
};

static const char *kept(struct arena *arena, const char *text)
{
    const char *copy = arena_copy(arena, text, strlen(text));
    return copy ? copy : "";
}

static void keep_example(struct checker *checker, const struct violation *v)
{
    struct check_report *report = checker->report;
    if (report->example_count == CHECK_CSV_EXAMPLES_MAX)
        return;
    struct check_example *example = &report->examples[report->example_count++];
    example->line = csv_line(checker->csv);
    example->violation = *v;
    example->violation.field = kept(checker->arena, v->field);
    example->violation.expected = kept(checker->arena, v->expected);
    example->violation.got = kept(checker->arena, v->got);
    example->violation.hint = kept(checker->arena, v->hint);
}

static void take_violation(void *arg, const struct violation *found)
{
    struct checker *checker = arg;
    struct violation v = *found;
    v.row = checker->report->row_count;
    checker->is_bad = true;
    const struct contract_field *field = field_of(checker->contract, str_of(v.field));
    if (v.rule == RULE_SHAPE || !field)
        checker->report->shape_count++;
    else
        checker->report->counts[field->index][v.rule]++;
    keep_example(checker, &v);
    if (checker->watch && checker->watch->violation)
        checker->watch->violation(checker->watch->arg, csv_line(checker->csv), &v);
}

static void put_cells(struct checker *checker, struct rows *rows, const struct str *cells,
                      int count)
{
    if (count != checker->column_count) {
        char expected[32], got[32];
        snprintf(expected, sizeof(expected), "%d cells", checker->column_count);
        snprintf(got, sizeof(got), "%d", count);
        rows_put_shape(rows, expected, got);
        return;
    }
    for (int i = 0; i < count; i++)
        if (checker->columns[i])
            rows_put_csv(rows, 0, checker->columns[i], cells[i]);
}

static enum err_code check_row(struct checker *checker, const struct str *cells, int count,
                               struct err *err)
{
    struct rows rows;
    struct check_report *report = checker->report;
    arena_reset(checker->row_arena);
    enum err_code code = rows_begin(&rows, checker->contract, 1, checker->row_arena, err);
    if (code)
        return code;
    rows.report = take_violation;
    rows.report_arg = checker;
    checker->is_bad = false;
    put_cells(checker, &rows, cells, count);
    if (rows.violation_count[RULE_SHAPE] == 0)
        code = rows_check(&rows, err);
    if (code && code != ERR_VIOLATION)
        return err_wrap(err, "line %lld", (long long)csv_line(checker->csv));
    if (checker->watch && checker->watch->row && !rows.is_rejected)
        checker->watch->row(checker->watch->arg, &rows);
    report->row_count++;
    report->bad_row_count += checker->is_bad;
    report->rejected_row_count += rows.is_rejected;
    report->suspect_row_count += !rows.is_rejected && rows.is_suspect;
    return ERR_OK;
}

static enum err_code check_rows(struct checker *checker, struct err *err)
{
    const struct str *cells;
    int count;
    enum err_code code;
    while (!(code = csv_next(checker->csv, &cells, &count, err)) && count) {
        code = check_row(checker, cells, count, err);
        if (code)
            return code;
    }
    return code;
}

static enum err_code read_header(struct checker *checker, struct err *err)
{
    const struct str *names;
    enum err_code code = csv_next(checker->csv, &names, &checker->column_count, err);
    if (code)
        return code;
    if (checker->column_count == 0)
        return err_set(err, ERR_INVALID, "the file is empty: expected a header with field names");
    checker->columns =
        arena_calloc(checker->arena, (size_t)checker->column_count, sizeof(*checker->columns));
    if (!checker->columns)
        return err_set(err, ERR_LIMIT, "no room for %d columns", checker->column_count);
    return contract_map_header(checker->contract, names, checker->column_count, checker->columns,
                               err);
}

enum err_code contract_check_csv_each(const struct contract *c, struct csv *csv,
                                      const struct check_csv_watch *watch, struct arena *arena,
                                      struct check_report **report, struct err *err)
{
    struct checker checker = {.contract = c, .csv = csv, .arena = arena, .watch = watch};
    enum err_code code = read_header(&checker, err);
    if (code)
        return code;
    struct check_report *r = arena_calloc(arena, 1, sizeof(*r));
    if (r)
        r->counts = arena_calloc(arena, (size_t)c->field_count, sizeof(*r->counts));
    if (!r || !r->counts)
        return err_set(err, ERR_LIMIT, "no room for the report");
    checker.report = r;
    checker.row_arena = arena_new(ROW_ARENA_BYTES);
    code = check_rows(&checker, err);
    arena_free(checker.row_arena);
    if (!code)
        *report = r;
    return code;
}

enum err_code contract_check_csv(const struct contract *c, struct str text, struct arena *arena,
                                 struct check_report **report, struct err *err)
{
    struct csv *csv = csv_new(text, ',');
    enum err_code code = contract_check_csv_each(c, csv, NULL, arena, report, err);
    csv_free(csv);
    return code;
}

/* --- the report ------------------------------------------------------------------------------- */

static void write_member(struct json_writer *w, const char *key, const char *text)
{
    json_key(w, key);
    json_put_text(w, text);
}

static void write_count(struct json_writer *w, const char *key, int64_t count)
{
    json_key(w, key);
    json_put_i64(w, count);
}

static void write_fields(struct json_writer *w, const struct contract *c,
                         const struct check_report *report)
{
    json_key(w, "fields");
    json_begin_array(w);
    for (int i = 0; i < c->field_count; i++) {
        const struct contract_field *f = &c->fields[i];
        for (int rule = 0; rule < RULE_COUNT; rule++) {
            if (report->counts[i][rule] == 0)
                continue;
            json_begin_object(w);
            write_member(w, "field", f->name);
            write_member(w, "rule", contract_rule_name((enum contract_rule)rule));
            write_member(w, "policy", contract_policy_name(f->policy[rule]));
            write_count(w, "count", report->counts[i][rule]);
            json_end_object(w);
        }
    }
    json_end_array(w);
}

static void write_examples(struct json_writer *w, const struct check_report *report)
{
    json_key(w, "examples");
    json_begin_array(w);
    for (int i = 0; i < report->example_count; i++) {
        const struct violation *v = &report->examples[i].violation;
        json_begin_object(w);
        write_count(w, "line", report->examples[i].line);
        write_member(w, "field", v->field);
        write_member(w, "rule", contract_rule_name(v->rule));
        write_member(w, "policy", contract_policy_name(v->policy));
        write_member(w, "expected", v->expected);
        write_member(w, "got", v->got);
        json_end_object(w);
    }
    json_end_array(w);
}

void check_report_write_members(struct json_writer *w, const struct contract *c,
                                const struct check_report *report)
{
    write_count(w, "rows", report->row_count);
    write_count(w, "bad_rows", report->bad_row_count);
    write_count(w, "rejected_rows", report->rejected_row_count);
    write_count(w, "suspect_rows", report->suspect_row_count);
    write_count(w, "shape", report->shape_count);
    write_fields(w, c, report);
    write_examples(w, report);
}

void check_report_write(struct json_writer *w, const struct contract *c,
                        const struct check_report *report)
{
    json_begin_object(w);
    check_report_write_members(w, c, report);
    json_end_object(w);
}
