/* golden.c - CSV rows through the contract and the model, compared with their expected answers. */
#include "runtime/golden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/csv.h"
#include "base/tensor_element.h"
#include "runtime/answer.h"

enum { GOLDEN_MEMORY_BYTES_MAX = 1024 * 1024 * 1024, CHECKS_MAX = 64 };

static const double RELATIVE = 1e-5, ABSOLUTE = 1e-6;

/* What one column of the file is compared with. */
struct check {
    enum { CHECK_NONE, CHECK_TENSOR, CHECK_LABEL, CHECK_SCORE } kind;
    int column;  /* in the file */
    int output;  /* CHECK_TENSOR: in the signature */
    int element; /* CHECK_TENSOR: column of [-1, k] */
};

struct golden {
    struct loaded *loaded;
    struct arena *arena;
    int column_count;
    const struct contract_field **fields; /* [column_count] input field, or NULL */
    int check_count;
    struct check checks[CHECKS_MAX];
    bool *wanted;
    struct tensor *out; /* [output_count] by place in the signature */
};

/* ---- the header ---- */

static bool is_field_name(const struct contract_field *field, struct str name)
{
    return field && str_equal_c(name, field->name);
}

/* Elements of one row, as far as the signature says. */
static int64_t row_elements(const struct signature_tensor *tensor)
{
    int64_t count = 1;
    for (int i = 1; i < tensor->rank; i++)
        if (tensor->shape[i] < 0 || __builtin_mul_overflow(count, tensor->shape[i], &count))
            return INT32_MAX;
    return count < INT32_MAX ? count : INT32_MAX;
}

/* "predict" or "predict.2": element 2 of the row. */
static bool find_tensor(const struct signature *signature, struct str name, struct check *check)
{
    for (int i = 0; i < signature->output_count; i++) {
        struct str output = str_of(signature->outputs[i].name);
        int64_t element = 0;
        if (!str_starts_with(name, output))
            continue;
        struct str rest = {name.ptr + output.len, name.len - output.len};
        bool has_element = rest.len > 1 && rest.ptr[0] == '.' &&
                           str_to_i64((struct str){rest.ptr + 1, rest.len - 1}, &element);
        if (rest.len && !has_element)
            continue;
        const struct signature_tensor *tensor = &signature->outputs[i];
        if (element < 0 || element >= row_elements(tensor))
            continue;
        *check = (struct check){.kind = CHECK_TENSOR, .output = i, .element = (int)element};
        return true;
    }
    return false;
}

static struct check read_check(const struct loaded *loaded, struct str name)
{
    struct check check = {0};
    if (is_field_name(loaded->contract->prediction, name))
        check.kind = CHECK_LABEL;
    else if (is_field_name(loaded->contract->score, name))
        check.kind = CHECK_SCORE;
    else
        find_tensor(loaded->signature, name, &check);
    return check;
}

static enum err_code add_column(struct golden *golden, int column, struct str name, struct err *err)
{
    const struct contract_field *field = contract_field_find(golden->loaded->contract, name);
    golden->fields[column] = field;
    if (field)
        return ERR_OK;
    struct check check = read_check(golden->loaded, name);
    check.column = column;
    if (check.kind == CHECK_NONE) {
        err_set(err, ERR_INVALID, "column '%.*s' is neither an input field nor an answer",
                STR_ARG(name));
        return err_hint(err, "answers are columns named like the prediction or score field, "
                             "'predict' or 'margin'");
    }
    if (golden->check_count == CHECKS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d answer columns", CHECKS_MAX);
    golden->checks[golden->check_count++] = check;
    if (check.kind == CHECK_TENSOR)
        golden->wanted[check.output] = true;
    return ERR_OK;
}

static enum err_code read_header(struct golden *golden, const struct str *cells, int count,
                                 struct err *err)
{
    golden->column_count = count;
    golden->fields = arena_calloc(golden->arena, (size_t)count, sizeof(*golden->fields));
    golden->wanted =
        arena_calloc(golden->arena, (size_t)golden->loaded->signature->output_count, sizeof(bool));
    golden->wanted[golden->loaded->signature->answer] = true;
    for (int i = 0; i < count; i++) {
        enum err_code rc = add_column(golden, i, cells[i], err);
        if (rc)
            return rc;
    }
    if (golden->check_count == 0) {
        err_set(err, ERR_INVALID, "no column has an expected answer");
        return err_hint(err, "add one named like the score or prediction field, or 'predict'");
    }
    return ERR_OK;
}

/* ---- a row ---- */

static bool is_close(double got, double expected)
{
    return fabs(got - expected) <= fmax(ABSOLUTE, RELATIVE * fabs(expected));
}

/* The output that is the answer, of one row; NULL when it holds none. */
static const struct tensor *answer_of(const struct golden *golden)
{
    const struct signature *sig = golden->loaded->signature;
    const struct tensor *out = &golden->out[sig->answer];
    return answer_is_readable(golden->loaded, out, 1) ? out : NULL;
}

static enum err_code check_label(const struct golden *golden, struct str expected, struct err *err)
{
    const struct tensor *out = answer_of(golden);
    if (!out)
        return err_set(err, ERR_INVALID, "the model's answer is no class and no number");
    struct answer answer = answer_read(golden->loaded, out, 0);
    struct str name = answer_class_name(golden->loaded, answer.class_index);
    double number;
    if (!answer.is_class) {
        if (str_to_f64(expected, &number) && is_close((double)answer.value, number))
            return ERR_OK;
        return err_set(err, ERR_INVALID, "expected %.*s, got %.9g", STR_ARG(expected),
                       (double)answer.value);
    }
    if (str_equal(name, expected))
        return ERR_OK;
    return err_set(err, ERR_INVALID, "expected '%.*s', got '%.*s'", STR_ARG(expected),
                   STR_ARG(name));
}

static double checked_number(const struct golden *golden, const struct check *check)
{
    const struct tensor *answer = answer_of(golden);
    if (check->kind == CHECK_SCORE && answer_class_count(golden->loaded) >= 2)
        return answer ? (double)answer_probability(golden->loaded, answer, 0, 1) : NAN;
    const struct tensor *out = check->kind == CHECK_TENSOR ? &golden->out[check->output] : answer;
    if (!out || !out->data || check->element >= tensor_elements(out->shape, out->rank))
        return NAN;
    return tensor_f64_at(out->data, out->dtype, check->element);
}

static bool is_text_check(const struct golden *golden, const struct check *check)
{
    return check->kind == CHECK_TENSOR && golden->out[check->output].dtype == DTYPE_BYTES;
}

static enum err_code check_text(const struct golden *golden, const struct check *check,
                                struct str expected, struct err *err)
{
    const struct tensor *out = &golden->out[check->output];
    bool has_element = out->data && check->element < tensor_elements(out->shape, out->rank);
    struct str got = has_element ? ((const struct str *)out->data)[check->element] : STR_LIT("");
    if (has_element && str_equal(got, expected))
        return ERR_OK;
    return err_set(err, ERR_INVALID, "expected '%.*s', the model answers '%.*s'", STR_ARG(expected),
                   STR_ARG(got));
}

static enum err_code check_answer(const struct golden *golden, const struct check *check,
                                  struct str expected, struct err *err)
{
    double number;
    if (check->kind == CHECK_LABEL)
        return check_label(golden, expected, err);
    if (is_text_check(golden, check))
        return check_text(golden, check, expected, err);
    if (!str_to_f64(expected, &number))
        return err_set(err, ERR_INVALID, "expected answer '%.*s' is not a number",
                       STR_ARG(expected));
    double got = checked_number(golden, check);
    if (is_close(got, number))
        return ERR_OK;
    return err_set(err, ERR_INVALID, "expected %.9g, the model answers %.9g", number, got);
}

/* Outputs come in the signature's order, those computed only; spread them to their places. */
static void place_outputs(struct golden *golden, const struct tensor *computed, int count)
{
    const struct signature *signature = golden->loaded->signature;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < signature->output_count; k++)
            if (strcmp(computed[i].name, signature->outputs[k].name) == 0)
                golden->out[k] = computed[i];
}

static enum err_code predict_row(const struct golden *golden, struct rows *rows,
                                 struct tensor *computed, int *count, struct err *err)
{
    struct loaded_rows taken = loaded_take(golden->loaded, rows);
    struct runtime_call call = {.wanted = golden->wanted, .arena = rows->arena, .out = computed};
    if (!taken.features)
        return err_set(err, ERR_LIMIT, "no room for a row");
    enum err_code rc = loaded_score(golden->loaded, &taken, &call, err);
    *count = call.out_count;
    return rc;
}

static enum err_code score_row(struct golden *golden, const struct str *cells, struct arena *arena,
                               struct err *err)
{
    struct rows rows;
    size_t outputs = (size_t)golden->loaded->signature->output_count;
    struct tensor *computed = arena_calloc(arena, outputs, sizeof(*computed));
    int count = 0;
    enum err_code rc = rows_begin(&rows, golden->loaded->contract, 1, arena, err);
    for (int i = 0; !rc && i < golden->column_count; i++)
        if (golden->fields[i])
            rows_put_csv(&rows, 0, golden->fields[i], cells[i]);
    if (!rc)
        rc = rows_check(&rows, err);
    if (!rc)
        rc = predict_row(golden, &rows, computed, &count, err);
    if (rc)
        return rc;
    golden->out = arena_calloc(arena, outputs, sizeof(*golden->out));
    place_outputs(golden, computed, count);
    return ERR_OK;
}

static enum err_code check_row(struct golden *golden, const struct str *cells, int count,
                               struct arena *arena, struct err *err)
{
    if (count != golden->column_count)
        return err_set(err, ERR_INVALID, "%d cells, the header has %d", count,
                       golden->column_count);
    enum err_code rc = score_row(golden, cells, arena, err);
    for (int i = 0; !rc && i < golden->check_count; i++)
        rc = check_answer(golden, &golden->checks[i], cells[golden->checks[i].column], err);
    return rc;
}

static enum err_code check_rows(struct golden *golden, struct csv *csv, int *row_count,
                                struct err *err)
{
    const struct str *cells;
    int count = 0;
    struct arena *arena = arena_new(GOLDEN_MEMORY_BYTES_MAX);
    enum err_code rc = ERR_OK;
    for (*row_count = 0; !rc; ++*row_count) {
        rc = csv_next(csv, &cells, &count, err);
        if (rc || count == 0)
            break;
        if (*row_count == GOLDEN_ROWS_MAX) {
            rc = err_set(err, ERR_LIMIT, "more than %d rows", GOLDEN_ROWS_MAX);
            break;
        }
        arena_reset(arena);
        rc = check_row(golden, cells, count, arena, err);
        if (rc)
            err_wrap(err, "line %lld", (long long)csv_line(csv));
    }
    arena_free(arena);
    return rc;
}

enum err_code golden_check(struct loaded *loaded, struct str text, int *count, struct err *err)
{
    const struct str *cells;
    int columns = 0;
    if (!loaded->contract)
        return err_set(err, ERR_INVALID, "golden rows need a contract that names their columns");
    if (text.len > GOLDEN_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%zu bytes, at most %d are taken", text.len,
                       GOLDEN_BYTES_MAX);
    struct golden golden = {.loaded = loaded, .arena = arena_new(GOLDEN_MEMORY_BYTES_MAX)};
    struct csv *csv = csv_new(text, ',');
    enum err_code rc = csv_next(csv, &cells, &columns, err);
    if (!rc && columns == 0)
        rc = err_set(err, ERR_INVALID, "the file is empty");
    if (!rc)
        rc = read_header(&golden, cells, columns, err);
    if (!rc)
        rc = check_rows(&golden, csv, count, err);
    if (!rc && *count == 0)
        rc = err_set(err, ERR_INVALID, "the file has a header and no rows");
    csv_free(csv);
    arena_free(golden.arena);
    return rc;
}
