/* gate_data.c - CSV to rows, rows to answers, answers beside the truth. */
#include "rollout/gate_data.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/csv.h"
#include "runtime/answer.h"

enum { BATCH_BYTES_MAX = 256 * 1024 * 1024, NAMES_BYTES_MAX = 1024 };

/* What each column of the file is for. */
struct header {
    int count;
    struct str *names;                                   /* [count] */
    int truth;                                           /* column of the truth */
    const struct contract_field **candidate, **champion; /* [count]; NULL: not that one's input */
    int *kept; /* [count] index of the kept column, -1: none */
};

struct reader {
    struct gate_data *data;
    const struct gate_file *file;
    struct arena *arena;
    struct header header;
    int segment_count;
    struct str *truths;                    /* [row_count] */
    struct str *cells[GATE_KEPT_MAX];      /* of the kept columns, [row_count] */
    uint8_t *candidate_bad, *champion_bad; /* [row_count] */
};

static enum err_code no_room(struct err *err)
{
    return err_set(err, ERR_LIMIT, "the rows need more memory than a gate may take (%d MiB)",
                   GATE_MEMORY_BYTES_MAX / 1024 / 1024);
}

/* ---- the header ---- */

static const char *target_name(const struct reader *r, const char *target,
                               const struct contract *contract)
{
    if (target)
        return target;
    if (r->file->target)
        return r->file->target;
    for (int i = 0; i < contract->field_count; i++)
        if (contract->fields[i].role == ROLE_LABEL)
            return contract->fields[i].name;
    return contract->prediction ? contract->prediction->name : NULL;
}

static int find_column(const struct header *header, const char *name)
{
    for (int i = 0; i < header->count; i++)
        if (str_equal_c(header->names[i], name))
            return i;
    return -1;
}

static enum err_code find_truth(struct reader *r, const char *target, struct err *err)
{
    const char *name = target_name(r, target, r->data->candidate.loaded->contract);
    r->data->target = name;
    r->header.truth = name ? find_column(&r->header, name) : -1;
    if (r->header.truth >= 0)
        return ERR_OK;
    if (name)
        err_set(err, ERR_INVALID, "the rows have no column '%s' with the truth", name);
    else
        err_set(err, ERR_INVALID,
                "the contract names no label, so the column with the truth is "
                "not known");
    return err_hint(err, "name it: --target COLUMN");
}

/* Columns that the file names, and the first GATE_COLUMNS_MAX segments of the contract. */
static bool is_kept(struct reader *r, struct str name)
{
    const struct contract *contract = r->data->candidate.loaded->contract;
    const struct contract_field *field = contract_field_find(contract, name);
    if (gate_file_has_column(r->file, name))
        return true;
    return field && field->role == ROLE_SEGMENT && r->segment_count++ < GATE_COLUMNS_MAX;
}

static void keep_column(struct reader *r, int column)
{
    struct gate_data *data = r->data;
    r->header.kept[column] = -1;
    if (column == r->header.truth || !is_kept(r, r->header.names[column]))
        return;
    assert(data->column_count < (int)ARRAY_LEN(data->columns));
    struct str name = r->header.names[column];
    r->header.kept[column] = data->column_count;
    data->columns[data->column_count++].name = arena_copy(r->arena, name.ptr, name.len);
}

static const struct contract_field *input_of(const struct gate_side *side, struct str name)
{
    const struct contract_field *field =
        side->loaded ? contract_field_find(side->loaded->contract, name) : NULL;
    return field && field->input_index >= 0 ? field : NULL;
}

static void note_ignored(struct reader *r)
{
    struct buf names;
    buf_init(&names, NAMES_BYTES_MAX);
    for (int i = 0; i < r->header.count; i++) {
        if (i == r->header.truth || r->header.candidate[i] || r->header.kept[i] >= 0)
            continue;
        if (names.len)
            buf_lit(&names, ", ");
        buf_str(&names, r->header.names[i]);
    }
    const char *copy = arena_copy(r->arena, names.data, names.len);
    r->data->ignored_columns = copy ? copy : "";
    buf_done(&names);
}

static enum err_code missing_column(const struct contract_field *field, struct err *err)
{
    err_set(err, ERR_INVALID, "the rows have no column for the required field '%s'", field->name);
    return err_hint(err, "held-out rows have the contract's fields and the truth, as the training "
                         "rows had");
}

static enum err_code check_header(struct reader *r, struct err *err)
{
    const struct contract *contract = r->data->candidate.loaded->contract;
    for (int i = 0; i < r->header.count; i++)
        for (int k = i + 1; k < r->header.count; k++)
            if (str_equal(r->header.names[i], r->header.names[k]))
                return err_set(err, ERR_INVALID, "column '%.*s' is there twice",
                               STR_ARG(r->header.names[i]));
    for (int i = 0; i < contract->input_count; i++) {
        const struct contract_field *field = contract->inputs[i];
        if (find_column(&r->header, field->name) < 0 && field->is_required &&
            field->policy[RULE_MISSING] == POLICY_REJECT)
            return missing_column(field, err);
    }
    return ERR_OK;
}

/* Columns that slices and groups are about must be there: a slice that is not found is no pass. */
static enum err_code check_named(const struct reader *r, const struct gate_columns *columns,
                                 const char *section, struct err *err)
{
    for (int i = 0; i < columns->count; i++) {
        int column = find_column(&r->header, columns->names[i]);
        if (column < 0)
            return err_set(err, ERR_INVALID, "the rows have no column '%s', which %s names",
                           columns->names[i], section);
        if (column == r->header.truth)
            return err_set(err, ERR_INVALID, "%s names '%s', which is the truth itself", section,
                           columns->names[i]);
    }
    return ERR_OK;
}

static enum err_code read_header(struct reader *r, const struct str *cells, int count,
                                 const char *target, struct err *err)
{
    struct header *h = &r->header;
    size_t n = (size_t)count;
    h->count = count;
    h->names = arena_calloc(r->arena, n, sizeof(*h->names));
    h->candidate = arena_calloc(r->arena, n, sizeof(*h->candidate));
    h->champion = arena_calloc(r->arena, n, sizeof(*h->champion));
    h->kept = arena_calloc(r->arena, n, sizeof(*h->kept));
    if (!h->names || !h->candidate || !h->champion || !h->kept)
        return no_room(err);
    for (int i = 0; i < count; i++) {
        struct str name = str_trim(cells[i]);
        h->names[i] = (struct str){arena_copy(r->arena, name.ptr, name.len), name.len};
        if (!h->names[i].ptr)
            return no_room(err);
    }
    enum err_code rc = find_truth(r, target, err);
    if (!rc)
        rc = check_header(r, err);
    if (!rc)
        rc = check_named(r, &r->file->slices, "slices", err);
    if (!rc)
        rc = check_named(r, &r->file->groups, "fairness", err);
    const struct gate_columns group = {.count = r->file->group != NULL, .names = {r->file->group}};
    if (!rc)
        rc = check_named(r, &group, "group", err);
    if (rc)
        return rc;
    for (int i = 0; i < count; i++) {
        bool is_truth = i == h->truth;
        h->candidate[i] = is_truth ? NULL : input_of(&r->data->candidate, h->names[i]);
        h->champion[i] = is_truth ? NULL : input_of(&r->data->champion, h->names[i]);
        keep_column(r, i);
    }
    note_ignored(r);
    return ERR_OK;
}

/* ---- cells ---- */

static enum err_code copy_cell(struct reader *r, struct str cell, struct str *out, struct err *err)
{
    out->ptr = arena_copy(r->arena, cell.ptr, cell.len);
    out->len = cell.len;
    return out->ptr ? ERR_OK : no_room(err);
}

/* Fields of text keep the cell itself, and the reader's buffer moves on. */
static enum err_code put_cell(struct reader *r, struct rows *rows, int64_t row,
                              const struct contract_field *field, struct str cell, struct err *err)
{
    if (field->is_text && copy_cell(r, cell, &cell, err))
        return err->code;
    rows_put_csv(rows, row, field, cell);
    return ERR_OK;
}

static enum err_code take_row(struct reader *r, const struct str *cells, int64_t row,
                              struct err *err)
{
    struct gate_data *data = r->data;
    const struct header *h = &r->header;
    enum err_code rc = copy_cell(r, str_trim(cells[h->truth]), &r->truths[row], err);
    for (int i = 0; !rc && i < h->count; i++) {
        if (h->candidate[i])
            rc = put_cell(r, &data->candidate.rows, row, h->candidate[i], cells[i], err);
        if (!rc && h->champion[i])
            rc = put_cell(r, &data->champion.rows, row, h->champion[i], cells[i], err);
        if (!rc && h->kept[i] >= 0)
            rc = copy_cell(r, str_trim(cells[i]), &r->cells[h->kept[i]][row], err);
    }
    return rc;
}

static enum err_code each_row(struct reader *r, struct csv *csv, struct err *err)
{
    const struct str *cells;
    int count = 0;
    enum err_code rc = ERR_OK;
    for (int64_t row = 0; !rc; row++) {
        rc = csv_next(csv, &cells, &count, err);
        if (rc || count == 0)
            break;
        if (count != r->header.count)
            return err_set(err, ERR_INVALID, "line %lld: %d cells, the header has %d",
                           (long long)csv_line(csv), count, r->header.count);
        rc = take_row(r, cells, row, err);
    }
    return rc;
}

static enum err_code count_rows(struct str text, int64_t *out, struct err *err)
{
    const struct str *cells;
    int count = 0;
    int64_t rows = -1; /* the header */
    struct csv *csv = csv_new(text, ',');
    enum err_code rc = ERR_OK;
    do {
        rc = csv_next(csv, &cells, &count, err);
        rows++;
    } while (!rc && count);
    csv_free(csv);
    *out = rows > 0 ? rows - 1 : 0;
    if (!rc && *out > GATE_DATA_ROWS_MAX)
        rc = err_set(err, ERR_LIMIT, "%lld rows; a gate takes at most %d", (long long)*out,
                     GATE_DATA_ROWS_MAX);
    if (!rc && *out == 0)
        rc = err_set(err, ERR_INVALID, "the file has no rows");
    return rc;
}

/* ---- contracts ---- */

static void mark_bad(void *arg, const struct violation *violation)
{
    uint8_t *is_bad = arg;
    if (violation->policy == POLICY_REJECT && violation->row >= 0)
        is_bad[violation->row] = 1;
}

static enum err_code begin_side(struct reader *r, struct gate_side *side, uint8_t **is_bad,
                                struct err *err)
{
    int64_t count = r->data->row_count;
    *is_bad = arena_calloc(r->arena, (size_t)count, 1);
    if (!*is_bad)
        return no_room(err);
    if (!side->loaded)
        return ERR_OK;
    enum err_code rc = rows_begin(&side->rows, side->loaded->contract, count, r->arena, err);
    side->rows.report = mark_bad;
    side->rows.report_arg = *is_bad;
    return rc;
}

static enum err_code check_side(struct gate_side *side, struct err *err)
{
    struct err violated = {0};
    if (!side->loaded)
        return ERR_OK;
    enum err_code rc = rows_check(&side->rows, &violated);
    if (rc && rc != ERR_VIOLATION) {
        *err = violated;
        return rc;
    }
    side->taken = loaded_take(side->loaded, &side->rows);
    return side->taken.features ? ERR_OK : no_room(err);
}

static void note_rejection(struct reader *r)
{
    const struct violation *v = &r->data->candidate.rows.first;
    if (r->data->rejected_count)
        r->data->first_rejection =
            arena_printf(r->arena, "row %lld: field '%s': expected %s, got %s", (long long)v->row,
                         v->field, v->expected, v->got);
}

static bool is_missing(struct str truth)
{
    return truth.len == 0 || str_equal_nocase(truth, STR_LIT("na")) ||
           str_equal_nocase(truth, STR_LIT("nan")) || str_equal_nocase(truth, STR_LIT("null"));
}

static enum err_code choose_rows(struct reader *r, struct err *err)
{
    struct gate_data *data = r->data;
    int64_t *origin = arena_calloc(r->arena, (size_t)data->row_count, sizeof(*origin));
    if (!origin)
        return no_room(err);
    for (int64_t i = 0; i < data->row_count; i++) {
        bool has_truth = !is_missing(r->truths[i]);
        data->rejected_count += r->candidate_bad[i];
        data->champion_rejected_count += r->champion_bad[i] && !r->candidate_bad[i];
        data->without_truth_count += !has_truth;
        if (has_truth && !r->candidate_bad[i] && !r->champion_bad[i])
            origin[data->count++] = i;
    }
    data->origin = origin;
    note_rejection(r);
    return ERR_OK;
}

/* ---- truth ---- */

static enum err_code wrong_class(const struct reader *r, int64_t row, struct err *err)
{
    const struct loaded *loaded = r->data->candidate.loaded;
    struct str first = answer_class_name(loaded, 0);
    err_set(err, ERR_INVALID, "row %lld: '%.*s' in '%s' is no class of the model", (long long)row,
            (int)(r->truths[row].len < 64 ? r->truths[row].len : 64), r->truths[row].ptr,
            r->data->target);
    if (first.ptr)
        return err_hint(err, "classes are those of the contract's prediction: '%.*s', ...",
                        STR_ARG(first));
    return err_hint(err, "classes are numbers from 0 to %d", r->data->class_count - 1);
}

/* "true" and "false" of a model whose two classes have no names; -1: neither. */
static int32_t truth_value(const struct reader *r, struct str text)
{
    if (r->data->class_count != 2 || answer_class_name(r->data->candidate.loaded, 0).ptr)
        return -1;
    return str_equal_nocase(text, STR_LIT("true"))    ? 1
           : str_equal_nocase(text, STR_LIT("false")) ? 0
                                                      : -1;
}

/* By the contract's name, else by its number. */
static enum err_code class_of(const struct reader *r, int64_t row, int32_t *out, struct err *err)
{
    const struct loaded *loaded = r->data->candidate.loaded;
    struct str text = r->truths[row];
    double number;
    for (int k = 0; k < r->data->class_count; k++) {
        struct str name = answer_class_name(loaded, k);
        if (name.ptr && str_equal(name, text)) {
            *out = k;
            return ERR_OK;
        }
    }
    *out = truth_value(r, text);
    if (*out >= 0)
        return ERR_OK;
    if (!str_to_f64(text, &number) || number != floor(number) || number < 0 ||
        number >= r->data->class_count)
        return wrong_class(r, row, err);
    *out = (int32_t)number;
    return ERR_OK;
}

static enum err_code read_classes(struct reader *r, int32_t *truth, struct err *err)
{
    enum err_code rc = ERR_OK;
    for (int64_t i = 0; !rc && i < r->data->count; i++)
        rc = class_of(r, r->data->origin[i], &truth[i], err);
    return rc;
}

static enum err_code read_numbers(struct reader *r, double *truth, struct err *err)
{
    for (int64_t i = 0; i < r->data->count; i++) {
        int64_t row = r->data->origin[i];
        if (!str_to_f64(r->truths[row], &truth[i]) || !isfinite(truth[i]))
            return err_set(err, ERR_INVALID, "row %lld: '%.*s' in '%s' is no number",
                           (long long)row, (int)(r->truths[row].len < 64 ? r->truths[row].len : 64),
                           r->truths[row].ptr, r->data->target);
    }
    return ERR_OK;
}

static int64_t group_number(struct str text)
{
    static const uint64_t key[2] = {0, 0};
    return (int64_t)hash_sip(key, text.ptr, text.len);
}

static enum err_code read_groups(struct reader *r, struct err *err)
{
    struct gate_data *data = r->data;
    const struct gate_column *column = gate_data_column(data, r->file->group);
    int64_t *groups = arena_calloc(r->arena, (size_t)data->count, sizeof(*groups));
    if (!groups)
        return no_room(err);
    for (int64_t i = 0; i < data->count; i++)
        groups[i] = group_number(column->cells[i]);
    data->candidate.quality.group = data->champion.quality.group = groups;
    return ERR_OK;
}

static enum err_code read_truth(struct reader *r, struct err *err)
{
    struct gate_data *data = r->data;
    size_t count = (size_t)data->count;
    int32_t *classes = data->class_count ? arena_calloc(r->arena, count, sizeof(*classes)) : NULL;
    double *numbers = data->class_count ? NULL : arena_calloc(r->arena, count, sizeof(*numbers));
    if (!classes && !numbers)
        return no_room(err);
    enum err_code rc = classes ? read_classes(r, classes, err) : read_numbers(r, numbers, err);
    struct gate_side *sides[] = {&data->candidate, &data->champion};
    for (size_t s = 0; s < ARRAY_LEN(sides); s++) {
        sides[s]->quality.count = data->count;
        sides[s]->quality.class_count = data->class_count;
        sides[s]->quality.truth = classes;
        sides[s]->quality.truth_number = numbers;
    }
    if (rc || !r->file->group)
        return rc;
    if (data->class_count)
        return err_set(err, ERR_INVALID, "group is for rankings, and this model answers classes");
    return read_groups(r, err);
}

/* ---- answers ---- */

static void read_answers(const struct loaded *loaded, const struct tensor *out, int64_t count,
                         float *values, int32_t *classes, double *probabilities)
{
    int class_count = answer_class_count(loaded);
    int columns = class_count == 2 ? 1 : class_count;
    for (int64_t i = 0; i < count; i++) {
        struct answer answer = answer_read(loaded, out, i);
        values[i] = answer.value;
        if (!answer.is_class)
            continue;
        if (classes)
            classes[i] = answer.class_index;
        if (answer.has_score)
            values[i] =
                answer_probability(loaded, out, i, class_count == 2 ? 1 : answer.class_index);
        for (int c = 0; probabilities && answer.has_score && c < columns; c++)
            probabilities[i * columns + c] =
                (double)answer_probability(loaded, out, i, class_count == 2 ? 1 : c);
    }
}

static enum err_code no_answer(const struct loaded *loaded, struct err *err)
{
    const struct signature *sig = loaded->signature;
    err_set(err, ERR_UNSUPPORTED, "output '%s' of model '%s' holds no number or class for each row",
            sig->outputs[sig->answer].name, loaded->model);
    return err_hint(err, "a gate compares numbers and classes");
}

enum err_code gate_answer(const struct loaded *loaded, const struct loaded_rows *rows,
                          float *values, int32_t *classes, double *probabilities, struct err *err)
{
    struct arena *arena = arena_new(BATCH_BYTES_MAX);
    struct tensor out[RUNTIME_TENSORS_MAX];
    int class_count = answer_class_count(loaded), columns = class_count == 2 ? 1 : class_count;
    enum err_code rc = ERR_OK;
    for (int64_t at = 0; !rc && at < rows->count; at += GATE_BATCH_ROWS) {
        int64_t count = rows->count - at < GATE_BATCH_ROWS ? rows->count - at : GATE_BATCH_ROWS;
        struct loaded_rows batch = loaded_slice(loaded, rows, at, count);
        struct runtime_call call = {.arena = arena, .out = out};
        arena_reset(arena);
        rc = loaded_score(loaded, &batch, &call, err);
        const struct tensor *answer = rc ? NULL : answer_find(loaded, NULL, out, count);
        if (answer)
            read_answers(loaded, answer, count, values + at, classes ? classes + at : NULL,
                         probabilities ? probabilities + at * columns : NULL);
        else if (!rc)
            rc = no_answer(loaded, err);
    }
    arena_free(arena);
    return rc;
}

/* All rows are answered, those that are measured are kept. */
static enum err_code answer_side(struct reader *r, struct gate_side *side, struct err *err)
{
    struct gate_data *data = r->data;
    size_t all = (size_t)data->row_count, kept = (size_t)data->count;
    size_t columns = data->class_count > 2 ? (size_t)data->class_count : 1;
    bool is_scored = data->class_count && side->loaded->signature->is_probability;
    float *values = arena_calloc(r->arena, all, sizeof(*values));
    int32_t *classes = arena_calloc(r->arena, all, sizeof(*classes));
    double *probabilities = arena_calloc(r->arena, is_scored ? all * columns : 1, sizeof(double));
    double *numbers = arena_calloc(r->arena, kept, sizeof(*numbers));
    if (!values || !classes || !probabilities || !numbers)
        return no_room(err);
    enum err_code rc = gate_answer(side->loaded, &side->taken, values, classes,
                                   is_scored ? probabilities : NULL, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < kept; i++) { /* origin[i] >= i: packed in place */
        size_t from = (size_t)data->origin[i];
        values[i] = values[from];
        classes[i] = classes[from];
        numbers[i] = (double)values[i];
        if (is_scored)
            memmove(probabilities + i * columns, probabilities + from * columns,
                    columns * sizeof(double));
    }
    side->values = values;
    side->quality.predicted = data->class_count ? classes : NULL;
    side->quality.probability = is_scored ? probabilities : NULL;
    side->quality.predicted_number = data->class_count ? NULL : numbers;
    return ERR_OK;
}

/* The same classes in the same order: answers are compared by their numbers. */
static enum err_code check_classes(const struct loaded *candidate, const struct loaded *champion,
                                   struct err *err)
{
    for (int k = 0; k < candidate->signature->class_count; k++) {
        struct str is = answer_class_name(candidate, k), was = answer_class_name(champion, k);
        if (is.ptr && was.ptr && !str_equal(is, was))
            return err_set(err, ERR_INVALID,
                           "class %d is '%.*s', and of the champion '%.*s': they cannot be "
                           "compared",
                           k, STR_ARG(is), STR_ARG(was));
    }
    return ERR_OK;
}

static enum err_code check_models(const struct gate_data *data, struct err *err)
{
    const struct loaded *champion = data->champion.loaded;
    if (!data->candidate.loaded->contract)
        return err_set(err, ERR_INVALID,
                       "a gate needs a contract that names the columns, and "
                       "this version was registered without one");
    if (!champion)
        return ERR_OK;
    if (!champion->contract)
        return err_set(err, ERR_INVALID,
                       "the champion has no contract, so it cannot answer rows "
                       "by their columns");
    if (champion->signature->class_count != data->candidate.loaded->signature->class_count)
        return err_set(err, ERR_INVALID,
                       "the champion answers %d classes and this version %d: they cannot be "
                       "compared",
                       champion->signature->class_count,
                       data->candidate.loaded->signature->class_count);
    return check_classes(data->candidate.loaded, champion, err);
}

static void pack_columns(struct reader *r)
{
    for (int c = 0; c < r->data->column_count; c++) {
        for (int64_t i = 0; i < r->data->count; i++)
            r->cells[c][i] = r->cells[c][r->data->origin[i]];
        r->data->columns[c].cells = r->cells[c];
    }
}

static enum err_code begin_rows(struct reader *r, struct err *err)
{
    struct gate_data *data = r->data;
    size_t count = (size_t)data->row_count;
    enum err_code rc = begin_side(r, &data->candidate, &r->candidate_bad, err);
    if (!rc)
        rc = begin_side(r, &data->champion, &r->champion_bad, err);
    if (rc)
        return rc;
    r->truths = arena_calloc(r->arena, count, sizeof(*r->truths));
    for (int c = 0; c < data->column_count; c++) {
        r->cells[c] = arena_calloc(r->arena, count, sizeof(*r->cells[c]));
        if (!r->cells[c])
            return no_room(err);
    }
    return r->truths ? ERR_OK : no_room(err);
}

static enum err_code read_file(struct reader *r, struct str text, const char *target,
                               struct err *err)
{
    const struct str *cells;
    int count = 0;
    struct csv *csv = csv_new(text, ',');
    enum err_code rc = csv_next(csv, &cells, &count, err);
    if (!rc)
        rc = read_header(r, cells, count, target, err);
    if (!rc)
        rc = begin_rows(r, err);
    if (!rc)
        rc = each_row(r, csv, err);
    csv_free(csv);
    return rc;
}

enum err_code gate_data_read(struct str text, const char *target, const struct gate_file *file,
                             struct loaded *candidate, struct loaded *champion, struct arena *arena,
                             struct gate_data *data, struct err *err)
{
    struct reader r = {.data = data, .file = file, .arena = arena};
    *data = (struct gate_data){.candidate.loaded = candidate, .champion.loaded = champion};
    hash_sha256_hex(text.ptr ? text.ptr : "", text.len, data->digest);
    enum err_code rc = check_models(data, err);
    if (!rc)
        rc = count_rows(text, &data->row_count, err);
    if (rc)
        return rc;
    data->class_count = candidate->signature->class_count;
    data->class_count = data->class_count > 1 ? data->class_count : 0;
    rc = read_file(&r, text, target, err);
    if (!rc)
        rc = check_side(&data->candidate, err);
    if (!rc)
        rc = check_side(&data->champion, err);
    if (!rc)
        rc = choose_rows(&r, err);
    if (rc)
        return rc;
    pack_columns(&r);
    rc = read_truth(&r, err);
    if (!rc)
        rc = answer_side(&r, &data->candidate, err);
    if (!rc && champion)
        rc = answer_side(&r, &data->champion, err);
    return rc;
}

const struct gate_column *gate_data_column(const struct gate_data *data, const char *name)
{
    for (int i = 0; i < data->column_count; i++)
        if (strcmp(data->columns[i].name, name) == 0)
            return &data->columns[i];
    return NULL;
}
