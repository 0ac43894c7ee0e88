/* gate_robust.c - rows nobody should send, and changes that must not matter.
 *
 * Robustness: each field of a few held-out rows in turn is missing, NaN, far below and above its
 * range, as large as a float gets, beyond one, an unknown category, text. Every such row must end
 * in the contract's own refusal or in a finite answer.
 *
 * Invariance: a column takes the values of other rows, or one text and another; the answers must
 * stay the same.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "rollout/gate_check.h"

enum {
    BASE_ROWS_MAX = 5,
    INVARIANT_ROWS_MAX = 1000,
    SCRATCH_BYTES_MAX = 256 * 1024 * 1024,
};

/* `count` measured rows, from `first` on, copied so that they can be changed. */
static enum err_code copy_rows(const struct gate_run *run, int64_t first, int64_t count,
                               struct arena *arena, struct rows *out, struct err *err)
{
    const struct rows *from = &run->data.candidate.rows;
    size_t values = (size_t)from->contract->value_count, texts = (size_t)from->contract->text_count;
    enum err_code rc = rows_begin(out, from->contract, count, arena, err);
    for (int64_t i = 0; !rc && i < count; i++) {
        size_t row = (size_t)run->data.origin[first + i];
        memcpy(out->values + (size_t)i * values, from->values + row * values,
               values * sizeof(*out->values));
        if (out->texts && from->texts)
            memcpy(out->texts + (size_t)i * texts, from->texts + row * texts,
                   texts * sizeof(*out->texts));
    }
    return rc;
}

/* ---- robustness ---- */

enum bad_value {
    BAD_MISSING,
    BAD_NAN,
    BAD_LOW,
    BAD_HIGH,
    BAD_LARGEST,
    BAD_BEYOND,
    BAD_TEXT,
    BAD_EMPTY,
    BAD_COUNT
};

static void put_bad(struct rows *rows, const struct contract_field *field, enum bad_value bad)
{
    double span = field->has_min && field->has_max ? field->max - field->min : 1e6;
    switch (bad) {
    case BAD_MISSING:
        rows_put_missing(rows, 0, field);
        break;
    case BAD_NAN:
        rows_put_f64(rows, 0, field, NAN);
        break;
    case BAD_LOW:
        rows_put_f64(rows, 0, field, (field->has_min ? field->min : 0) - 10 * span - 1);
        break;
    case BAD_HIGH:
        rows_put_f64(rows, 0, field, (field->has_max ? field->max : 0) + 10 * span + 1);
        break;
    case BAD_LARGEST:
        rows_put_f64(rows, 0, field, -(double)FLT_MAX);
        break;
    case BAD_BEYOND:
        rows_put_f64(rows, 0, field, 1e300);
        break;
    case BAD_TEXT:
        rows_put_str(rows, 0, field, STR_LIT("\xc3\xa9 no such thing"));
        break;
    case BAD_EMPTY:
    case BAD_COUNT:
        rows_put_csv(rows, 0, field, STR_LIT(""));
        break;
    }
}

static const char *bad_name(enum bad_value bad)
{
    static const char *const names[] = {"missing", "NaN",   "far too low",  "far too high",
                                        "-3.4e38", "1e300", "unknown text", "an empty cell"};
    return names[bad < BAD_COUNT ? bad : BAD_EMPTY];
}

struct robust {
    int64_t refused, answered, wrong;
    const char *first; /* what went wrong first */
};

static bool is_answer(const struct gate_run *run, float value)
{
    bool is_share = run->data.class_count && run->data.candidate.loaded->signature->is_probability;
    return isfinite(value) && (!is_share || (value >= 0 && value <= 1));
}

static void note_wrong(struct gate_run *run, struct robust *r, const struct contract_field *field,
                       enum bad_value bad, const char *what)
{
    r->wrong++;
    if (r->first)
        return;
    const char *text = arena_printf(run->arena, "'%s' %s: %s", field->name, bad_name(bad), what);
    r->first = text ? text : what;
}

static enum err_code try_one(struct gate_run *run, int64_t row, const struct contract_field *field,
                             enum bad_value bad, struct arena *arena, struct robust *r,
                             struct err *err)
{
    struct rows rows;
    struct err refused = {0};
    float value = 0;
    arena_reset(arena);
    enum err_code rc = copy_rows(run, row, 1, arena, &rows, err);
    if (rc)
        return rc;
    put_bad(&rows, field, bad);
    rc = rows_check(&rows, &refused);
    if (rc == ERR_VIOLATION) {
        r->refused++;
        return ERR_OK;
    }
    struct loaded_rows taken = {0};
    if (!rc)
        taken = loaded_take(run->data.candidate.loaded, &rows);
    if (!taken.features)
        return err_set(err, ERR_LIMIT, "no room for a row");
    if (gate_answer(run->data.candidate.loaded, &taken, &value, NULL, NULL, &refused))
        note_wrong(run, r, field, bad, refused.msg);
    else if (!is_answer(run, value))
        note_wrong(run, r, field, bad, "the answer is no number that it may be");
    else
        r->answered++;
    return ERR_OK;
}

enum err_code gate_robustness(struct gate_run *run, struct err *err)
{
    const struct contract *contract = run->data.candidate.rows.contract;
    struct robust r = {0};
    enum err_code rc = ERR_OK;
    if (run->file->is_robustness_off || run->data.count == 0)
        return ERR_OK;
    int64_t base = run->data.count < BASE_ROWS_MAX ? run->data.count : BASE_ROWS_MAX;
    struct arena *arena = arena_new(SCRATCH_BYTES_MAX);
    for (int64_t row = 0; !rc && row < base; row++)
        for (int f = 0; !rc && f < contract->input_count; f++)
            for (int bad = 0; !rc && bad < BAD_COUNT; bad++)
                rc = try_one(run, row, contract->inputs[f], (enum bad_value)bad, arena, &r, err);
    arena_free(arena);
    if (rc)
        return rc;
    struct gate_check *check = gate_add(run, "robustness", "bad rows");
    check->n = r.refused + r.answered + r.wrong;
    check->value = (double)r.wrong;
    check->limit = 0;
    check->verdict = r.wrong ? GATE_FAIL : GATE_PASS;
    gate_say(run, check,
             "%lld bad rows: %lld refused by the contract, %lld answered, %lld neither%s%s",
             (long long)check->n, (long long)r.refused, (long long)r.answered, (long long)r.wrong,
             r.first ? "; the first: " : "", r.first ? r.first : "");
    return ERR_OK;
}

/* ---- invariance ---- */

struct answers {
    float *values;    /* [count] */
    int32_t *classes; /* [count] */
};

static enum err_code answer_rows(const struct gate_run *run, struct rows *rows, struct arena *arena,
                                 struct answers *answers, struct err *err)
{
    size_t count = (size_t)rows->count;
    enum err_code rc = rows_check(rows, err);
    if (rc == ERR_VIOLATION) {
        err->code = ERR_INVALID;
        return err_wrap(err, "an invariance puts a value that the contract refuses");
    }
    struct loaded_rows taken = {0};
    if (!rc)
        taken = loaded_take(run->data.candidate.loaded, rows);
    answers->values = arena_calloc(arena, count, sizeof(*answers->values));
    answers->classes = arena_calloc(arena, count, sizeof(*answers->classes));
    if (!rc && (!taken.features || !answers->values || !answers->classes))
        rc = err_set(err, ERR_LIMIT, "no room for the rows of an invariance");
    return rc ? rc
              : gate_answer(run->data.candidate.loaded, &taken, answers->values, answers->classes,
                            NULL, err);
}

static enum err_code field_of(const struct gate_run *run, const char *name,
                              const struct contract_field **field, struct err *err)
{
    *field = contract_field_find(run->data.candidate.rows.contract, str_of(name));
    if (*field && (*field)->input_index >= 0)
        return ERR_OK;
    return err_set(err, ERR_INVALID, "an invariance names '%s', which is no input of the model",
                   name);
}

/* Row i takes the columns of row i + half: another one, and the same for all columns together. */
static enum err_code shift_columns(const struct gate_run *run, const struct gate_columns *columns,
                                   struct rows *rows, struct err *err)
{
    const struct rows *from = &run->data.candidate.rows;
    const struct contract *contract = from->contract;
    for (int c = 0; c < columns->count; c++) {
        const struct contract_field *field;
        enum err_code rc = field_of(run, columns->names[c], &field, err);
        if (rc)
            return rc;
        for (int64_t i = 0; i < rows->count; i++) {
            int64_t other = run->data.origin[(i + run->data.count / 2) % run->data.count];
            if (field->is_text)
                rows->texts[i * contract->text_count + field->column] =
                    from->texts[other * contract->text_count + field->column];
            else
                rows->values[i * contract->value_count + field->column] =
                    from->values[other * contract->value_count + field->column];
        }
    }
    return ERR_OK;
}

static enum err_code put_texts(const struct gate_run *run, const struct gate_invariance *invariance,
                               const char *const *texts, struct rows *rows, struct err *err)
{
    for (int c = 0; c < invariance->pair_count; c++) {
        const struct contract_field *field;
        enum err_code rc = field_of(run, invariance->pair_columns[c], &field, err);
        if (rc)
            return rc;
        for (int64_t i = 0; i < rows->count; i++)
            rows_put_csv(rows, i, field, str_of(texts[c]));
    }
    return ERR_OK;
}

static int64_t count_changed(const struct answers *a, const struct answers *b, int64_t count,
                             double tolerance)
{
    int64_t changed = 0;
    for (int64_t i = 0; i < count; i++)
        changed += a->classes[i] != b->classes[i] ||
                   !(fabs((double)a->values[i] - (double)b->values[i]) <= tolerance);
    return changed;
}

static const char *invariance_name(struct gate_run *run, const struct gate_invariance *invariance)
{
    struct buf name;
    buf_init(&name, 1024);
    for (int c = 0; c < invariance->columns.count; c++)
        buf_printf(&name, "%s%s", c ? ", " : "", invariance->columns.names[c]);
    for (int c = 0; c < invariance->pair_count; c++)
        buf_printf(&name, "%s%s %s or %s", c ? ", " : "", invariance->pair_columns[c],
                   invariance->first[c], invariance->second[c]);
    const char *copy = arena_copy(run->arena, name.data, name.len);
    buf_done(&name);
    return copy ? copy : "";
}

static enum err_code try_invariance(struct gate_run *run, const struct gate_invariance *invariance,
                                    struct arena *arena, struct err *err)
{
    int64_t count = run->data.count < INVARIANT_ROWS_MAX ? run->data.count : INVARIANT_ROWS_MAX;
    struct rows first, second;
    struct answers a, b;
    enum err_code rc = copy_rows(run, 0, count, arena, &first, err);
    if (!rc)
        rc = copy_rows(run, 0, count, arena, &second, err);
    if (!rc && invariance->columns.count)
        rc = shift_columns(run, &invariance->columns, &second, err);
    if (!rc)
        rc = put_texts(run, invariance, invariance->first, &first, err);
    if (!rc)
        rc = put_texts(run, invariance, invariance->second, &second, err);
    if (!rc)
        rc = answer_rows(run, &first, arena, &a, err);
    if (!rc)
        rc = answer_rows(run, &second, arena, &b, err);
    if (rc)
        return rc;
    struct gate_check *check = gate_add(run, "invariance", invariance_name(run, invariance));
    int64_t changed = count_changed(&a, &b, count, invariance->tolerance);
    check->n = count;
    check->value = count ? (double)changed / (double)count : NAN;
    check->limit = invariance->share_max;
    check->verdict = count == 0                              ? GATE_CANNOT_TELL
                     : check->value <= invariance->share_max ? GATE_PASS
                                                             : GATE_FAIL;
    gate_say(run, check, "%lld of %lld answers change by more than %g", (long long)changed,
             (long long)count, invariance->tolerance);
    return ERR_OK;
}

enum err_code gate_invariance(struct gate_run *run, struct err *err)
{
    enum err_code rc = ERR_OK;
    struct arena *arena = arena_new(SCRATCH_BYTES_MAX);
    for (int i = 0; !rc && i < run->file->invariance_count; i++) {
        arena_reset(arena);
        rc = try_invariance(run, &run->file->invariances[i], arena, err);
    }
    arena_free(arena);
    return rc;
}
