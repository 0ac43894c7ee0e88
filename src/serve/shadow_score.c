/* shadow_score.c - a record's rows in another version's terms, scored and compared. */
#include "serve/shadow_score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "runtime/answer.h"

enum {
    SLICES_PER_ROW_MAX = 8,
    SLICE_TEXT_BYTES = 64,
    NOT_THERE = -1,
    SCRATCH_BYTES_MAX = 64 * 1024 * 1024,
};

#define ASK_NS_MAX (INT64_C(60) * 1000000000) /* one record's answers */

/* Where a field of the shadow's contract comes from. */
struct source {
    const struct contract_field *field;
    int value, text; /* column of the record's values or texts; NOT_THERE */
};

struct shadow_map {
    const struct record_schema *schema;
    const struct loaded *shadow;
    int source_count;
    struct source *sources; /* [source_count] the shadow's input fields */
    int class_count;
    int *stable_class; /* [class_count] of the shadow's class; NOT_THERE when stable has none */
    const struct shadow_watch *watch; /* or NULL */
    double share;
};

/* ---- the map ---- */

static int column_find(const struct record_column *columns, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(columns[i].name, name) == 0)
            return i;
    return NOT_THERE;
}

static void *array_new(int count, size_t bytes)
{
    void *array = calloc((size_t)(count > 0 ? count : 1), bytes);
    if (!array)
        abort();
    return array;
}

static void map_columns(struct shadow_map *map)
{
    const struct contract *contract = map->shadow->contract;
    const struct record_schema *schema = map->schema;
    map->source_count = contract ? contract->input_count : 0;
    map->sources = array_new(map->source_count, sizeof(*map->sources));
    for (int i = 0; i < map->source_count; i++) {
        const struct contract_field *field = contract->inputs[i];
        map->sources[i] = (struct source){
            .field = field,
            .value = column_find(schema->values, schema->value_count, field->name),
            .text = column_find(schema->texts, schema->text_count, field->name),
        };
    }
}

/* By name where both have names, else by index. */
static int class_in_stable(const struct shadow_map *map, int class_index)
{
    const struct record_schema *schema = map->schema;
    struct str name = answer_class_name(map->shadow, class_index);
    if (!name.ptr || !schema->class_names)
        return class_index < schema->class_count ? class_index : NOT_THERE;
    for (int i = 0; i < schema->class_count; i++)
        if (str_equal(name, schema->class_names[i]))
            return i;
    return NOT_THERE;
}

static void map_classes(struct shadow_map *map)
{
    map->class_count = answer_class_count(map->shadow);
    map->stable_class = array_new(map->class_count, sizeof(*map->stable_class));
    for (int i = 0; i < map->class_count; i++)
        map->stable_class[i] = class_in_stable(map, i);
}

struct shadow_map *shadow_map_new(const struct record_schema *schema, const struct loaded *shadow)
{
    struct shadow_map *map = array_new(1, sizeof(*map));
    map->schema = schema;
    map->shadow = shadow;
    map_columns(map);
    map_classes(map);
    return map;
}

void shadow_map_free(struct shadow_map *map)
{
    if (!map)
        return;
    free(map->sources);
    free(map->stable_class);
    free(map);
}

/* ---- rows ---- */

/* What the caller sent, said again to the shadow's contract. */
static void put_value(struct rows *rows, int64_t row, const struct contract_field *field,
                      const struct record_column *column, float value)
{
    if (isnan(value)) {
        enum cell_state state = cell_state(value);
        if (state == CELL_NAN)
            rows_put_f64(rows, row, field, NAN);
        else if (state == CELL_OTHER)
            rows_settle(rows, row, field);
        else if (state != CELL_ABSENT)
            rows_put_missing(rows, row, field);
    } else if (column->category_count) {
        int code = (int)value;
        if (code >= 0 && code < column->category_count)
            rows_put_str(rows, row, field, column->categories[code]);
    } else if (column->is_boolean) {
        rows_put_bool(rows, row, field, value != 0);
    } else {
        rows_put_f64(rows, row, field, (double)value);
    }
}

static void put_row(const struct shadow_map *map, const struct record *record, struct rows *rows,
                    int64_t row)
{
    const struct record_schema *schema = map->schema;
    const float *values = record->values + row * schema->value_count;
    for (int i = 0; i < map->source_count; i++) {
        const struct source *source = &map->sources[i];
        if (source->value != NOT_THERE) {
            put_value(rows, row, source->field, &schema->values[source->value],
                      values[source->value]);
        } else if (source->text != NOT_THERE && record->texts) {
            struct str text = record->texts[row * schema->text_count + source->text];
            if (text.ptr)
                rows_put_str(rows, row, source->field, text);
        }
    }
}

/* The rows as the shadow takes them; features NULL when it cannot: its contract refuses them, the
 * record does not hold what it takes, or there is no room; *is_refused tells all but the last. */
static struct loaded_rows shadow_rows(const struct shadow_map *map, const struct record *record,
                                      struct arena *arena, bool *is_refused)
{
    struct rows *rows = arena_calloc(arena, 1, sizeof(*rows));
    struct err err = {0};
    *is_refused = false;
    if (!map->shadow->contract) {
        int features = map->shadow->signature->feature_count;
        *is_refused = features == 0 || map->schema->value_count != features;
        return (struct loaded_rows){.count = record->row_count,
                                    .features = *is_refused ? NULL : record->values};
    }
    if (!rows || rows_begin(rows, map->shadow->contract, record->row_count, arena, &err))
        return (struct loaded_rows){0};
    for (int64_t row = 0; row < record->row_count; row++)
        put_row(map, record, rows, row);
    enum err_code rc = rows_check(rows, &err);
    *is_refused = rc == ERR_VIOLATION;
    return rc ? (struct loaded_rows){0} : loaded_take(map->shadow, rows);
}

/* ---- scoring ---- */

static const struct tensor *predict(const struct loaded *loaded, const struct loaded_rows *rows,
                                    struct arena *arena, int64_t *took_ns)
{
    struct err err = {0};
    size_t outputs = (size_t)loaded->signature->output_count;
    struct tensor *out = arena_calloc(arena, outputs, sizeof(*out));
    struct runtime_call call = {.arena = arena, .out = out};
    int64_t start_ns = clock_monotonic_ns();
    if (!out || loaded_score(loaded, rows, &call, &err))
        return NULL;
    *took_ns = clock_monotonic_ns() - start_ns;
    return answer_find(loaded, NULL, out, rows->count);
}

/* The stable version once more on the same rows, to be timed under the same conditions. */
static void time_stable(const struct loaded *stable, const struct record *record,
                        struct arena *arena, struct shadow_times *times)
{
    struct rows rows = {
        .contract = stable->contract,
        .arena = arena,
        .count = record->row_count,
        .values = (float *)(uintptr_t)record->values,
        .texts = (struct str *)(uintptr_t)record->texts,
    };
    struct loaded_rows taken = {.count = record->row_count, .features = record->values};
    if (stable->contract)
        taken = loaded_take(stable, &rows);
    if (taken.features)
        predict(stable, &taken, arena, &times->stable_ns);
}

struct record_answer shadow_reply_answer(const struct shadow_map *map, const struct tensor *output,
                                         int64_t row)
{
    struct answer answer = answer_read(map->shadow, output, row);
    struct record_answer read = {.is_class = answer.is_class, .value = answer.value};
    if (!answer.is_class)
        return read;
    read.has_score = answer.has_score;
    if (answer.has_score)
        read.score = answer_probability(map->shadow, output, row, answer.class_index);
    int class_index = map->stable_class[answer.class_index];
    read.class_index = class_index == NOT_THERE ? map->schema->class_count : class_index;
    return read;
}

double shadow_probability_change(const struct shadow_map *map, const struct record *record,
                                 const struct tensor *output, int64_t row)
{
    double largest = 0;
    for (int i = 0; i < map->class_count; i++) {
        int stable_class = map->stable_class[i];
        double before = stable_class == NOT_THERE
                            ? 0
                            : (double)record_answer_probability(record, row, stable_class);
        double after = (double)answer_probability(map->shadow, output, row, i);
        largest = fmax(largest, fabs(after - before));
    }
    return largest;
}

/* ---- slices ---- */

struct slice_list {
    struct str names[SLICES_PER_ROW_MAX];
    char texts[SLICES_PER_ROW_MAX][SLICE_TEXT_BYTES];
    int count;
};

static void add_slice(struct slice_list *list, const char *name, struct str value)
{
    if (list->count == SLICES_PER_ROW_MAX)
        return;
    char *text = list->texts[list->count];
    int len = snprintf(text, SLICE_TEXT_BYTES, "%s=%.*s", name, STR_ARG(value));
    if (len >= SLICE_TEXT_BYTES)
        len = SLICE_TEXT_BYTES - 1;
    list->names[list->count++] = (struct str){text, (size_t)len};
}

/* Segments first: they are what people asked for. */
static void list_slices(const struct record *record, int64_t row, struct slice_list *list)
{
    const struct record_schema *schema = record->schema;
    list->count = 0;
    for (int i = 0; i < schema->text_count && record->texts; i++) {
        struct str text = record->texts[row * schema->text_count + i];
        if (schema->texts[i].is_segment)
            add_slice(list, schema->texts[i].name, text.ptr ? text : STR_LIT("(missing)"));
    }
    for (int i = 0; i < schema->value_count; i++) {
        const struct record_column *column = &schema->values[i];
        float value = record->values[row * schema->value_count + i];
        if (!column->category_count)
            continue;
        bool is_known = !isnan(value) && value >= 0 && value < (float)column->category_count;
        add_slice(list, column->name,
                  is_known ? column->categories[(int)value] : STR_LIT("(missing)"));
    }
}

/* ---- comparing ---- */

static void compare_rows(const struct shadow_map *map, const struct record *record,
                         const struct tensor *output, struct compare *compare)
{
    struct slice_list slices;
    for (int64_t i = 0; i < record->row_count; i++) {
        struct compare_row row = {.request_id = record->request_id, .row = i};
        if (!record_answer_read(record, i, &row.stable))
            continue;
        row.shadow = shadow_reply_answer(map, output, i);
        if (row.stable.has_score && row.shadow.has_score)
            row.delta = shadow_probability_change(map, record, output, i);
        list_slices(record, i, &slices);
        row.slices = slices.names;
        row.slice_count = slices.count;
        compare_add(compare, &row);
        if (map->watch && compare_differs(&row))
            map->watch->differs(map->watch->arg, record, i, map->share);
    }
}

void shadow_map_watch(struct shadow_map *map, const struct shadow_watch *watch, double share)
{
    map->watch = watch;
    map->share = share;
}

void shadow_score(const struct shadow_map *map, const struct record *record,
                  const struct loaded *stable, struct arena *arena, struct compare *compare,
                  struct shadow_times *times)
{
    bool is_refused;
    *times = (struct shadow_times){0};
    assert(record->schema == map->schema);
    struct loaded_rows rows = shadow_rows(map, record, arena, &is_refused);
    const struct tensor *output =
        rows.features ? predict(map->shadow, &rows, arena, &times->shadow_ns) : NULL;
    if (!output) {
        *(is_refused ? &compare->refused : &compare->errors) += (uint64_t)record->row_count;
        return;
    }
    if (stable)
        time_stable(stable, record, arena, times);
    compare_rows(map, record, output, compare);
}

/* ---- one kept row ---- */

static bool has_same_classes(const struct loaded *shadow, const struct predicted *stable)
{
    int count = answer_class_count(shadow);
    if (!stable->is_class)
        return count < 2;
    if (count != stable->class_count)
        return false;
    for (int i = 0; i < count && stable->classes; i++) {
        struct str name = answer_class_name(shadow, i);
        if (!name.ptr || !str_equal(name, stable->classes[i]))
            return false;
    }
    return true;
}

/* A pseudonym is no input of a model. */
bool shadow_map_is_whole(const struct shadow_map *map)
{
    const struct record_schema *schema = map->schema;
    for (int i = 0; i < map->source_count; i++) {
        const struct source *source = &map->sources[i];
        if (source->field->role != ROLE_FEATURE)
            continue;
        if (source->value != NOT_THERE && schema->values[source->value].kept_as != KEPT_AS_IS)
            return false;
        if (source->text != NOT_THERE && schema->texts[source->text].kept_as != KEPT_AS_IS)
            return false;
    }
    for (int i = 0; i < schema->value_count && !map->shadow->contract; i++)
        if (schema->values[i].kept_as != KEPT_AS_IS)
            return false;
    return true;
}

static struct record row_of(const struct record *record, int64_t row)
{
    struct record one = *record;
    one.row_count = 1;
    one.values = record->values ? record->values + row * record->schema->value_count : NULL;
    one.texts = record->texts ? record->texts + row * record->schema->text_count : NULL;
    return one;
}

/* Who, when and where are the stable row's; the answer is the shadow's. */
static bool read_predicted(const struct loaded *shadow, const struct tensor *output,
                           const struct predicted *stable, struct arena *arena,
                           struct predicted *predicted)
{
    struct err err = {0};
    int place = shadow->record_schema ? shadow->record_schema->answer : -1;
    if (place < 0)
        return false;
    const struct record answered = {
        .schema = shadow->record_schema,
        .request_id = stable->id,
        .status = 200,
        .row_count = 1,
        .output_count = place + 1,
        .outputs = output - place, /* as they stand in the shadow's own records */
    };
    if (predicted_read(&answered, 0, arena, predicted, &err))
        return false;
    struct predicted answer = *predicted;
    *predicted = *stable;
    predicted->version = shadow->number;
    predicted->arm = ARM_SHADOW;
    predicted->answer = answer.answer;
    predicted->value = answer.value;
    predicted->class_index = answer.class_index;
    predicted->probabilities = answer.probabilities;
    predicted->shadow = NULL;
    return answer.is_class == stable->is_class;
}

bool shadow_predict(const struct loaded *shadow, const struct record *record, int64_t row,
                    const struct predicted *stable, struct arena *arena,
                    struct predicted *predicted)
{
    bool is_refused, is_told = false;
    int64_t took_ns;
    if (!record->values || record->leaves_inputs || !has_same_classes(shadow, stable))
        return false;
    struct record one = row_of(record, row);
    struct arena *scratch = arena_new(SCRATCH_BYTES_MAX);
    struct shadow_map *map = shadow_map_new(record->schema, shadow);
    struct loaded_rows rows = {0};
    if (shadow_map_is_whole(map))
        rows = shadow_rows(map, &one, scratch, &is_refused);
    const struct tensor *output = rows.features ? predict(shadow, &rows, scratch, &took_ns) : NULL;
    if (output)
        is_told = read_predicted(shadow, output, stable, arena, predicted);
    shadow_map_free(map);
    arena_free(scratch);
    return is_told;
}

/* ---- one record asked of another version ---- */

bool shadow_map_has_inputs(const struct shadow_map *map)
{
    return map->schema->value_count + map->schema->text_count > 0;
}

static bool is_known(const struct shadow_map *map, const char *name)
{
    return contract_field_find(map->shadow->contract, str_of(name)) != NULL;
}

/* Fields that the caller sent and this version has not: its contract says what is to become of
 * them. */
static void put_unknown(const struct shadow_map *map, const struct record *record,
                        struct rows *rows, int64_t row)
{
    const struct record_schema *schema = map->schema;
    for (int i = 0; i < schema->value_count; i++) {
        float value = record->values[row * schema->value_count + i];
        bool is_absent = isnan(value) && cell_state(value) == CELL_ABSENT;
        if (!is_absent && !is_known(map, schema->values[i].name))
            rows_put_unknown(rows, row, str_of(schema->values[i].name));
    }
    for (int i = 0; i < schema->text_count && record->texts; i++)
        if (record->texts[row * schema->text_count + i].ptr &&
            !is_known(map, schema->texts[i].name))
            rows_put_unknown(rows, row, str_of(schema->texts[i].name));
}

/* What was kept of a column is not what came: no rule can judge it, and no model sees it. */
static void settle_redacted(const struct shadow_map *map, const struct record *record,
                            struct rows *rows, int64_t row)
{
    const struct record_schema *schema = map->schema;
    for (int i = 0; i < map->source_count; i++) {
        const struct source *source = &map->sources[i];
        if (source->value != NOT_THERE && schema->values[source->value].kept_as != KEPT_AS_IS)
            rows_settle(rows, row, source->field);
        if (source->text == NOT_THERE || schema->texts[source->text].kept_as == KEPT_AS_IS)
            continue;
        /* A pseudonym says whether there was a text. */
        bool is_pseudonym = schema->texts[source->text].kept_as == KEPT_AS_PSEUDONYM;
        if (!is_pseudonym ||
            (record->texts && record->texts[row * schema->text_count + source->text].ptr))
            rows_settle(rows, row, source->field);
    }
}

static enum err_code check_rows(const struct shadow_map *map, const struct record *record,
                                struct arena *arena, struct loaded_rows *taken, struct err *err)
{
    struct rows *rows = arena_calloc(arena, 1, sizeof(*rows));
    if (!rows)
        return err_set(err, ERR_LIMIT, "no room for %lld rows", (long long)record->row_count);
    enum err_code rc = rows_begin(rows, map->shadow->contract, record->row_count, arena, err);
    for (int64_t row = 0; !rc && row < record->row_count; row++) {
        put_row(map, record, rows, row);
        settle_redacted(map, record, rows, row);
        put_unknown(map, record, rows, row);
    }
    if (!rc)
        rc = rows_check(rows, err);
    if (!rc)
        *taken = loaded_take(map->shadow, rows);
    return rc;
}

static enum err_code ask_rows(const struct shadow_map *map, const struct record *record,
                              struct arena *arena, struct loaded_rows *taken, struct err *err)
{
    int features = map->shadow->signature->feature_count;
    if (map->shadow->contract)
        return check_rows(map, record, arena, taken, err);
    if (features == 0 || map->schema->value_count != features)
        return err_set(err, ERR_INVALID,
                       "it takes %d features and has no contract, the record has "
                       "%d columns",
                       features, map->schema->value_count);
    *taken = (struct loaded_rows){.count = record->row_count, .features = record->values};
    return ERR_OK;
}

enum err_code shadow_ask(const struct shadow_map *map, const struct record *record,
                         struct arena *arena, struct shadow_reply *reply, struct err *err)
{
    struct loaded_rows rows = {0};
    size_t outputs = (size_t)map->shadow->signature->output_count;
    struct tensor *out = arena_calloc(arena, outputs, sizeof(*out));
    struct runtime_call call = {
        .arena = arena, .out = out, .deadline_ns = clock_monotonic_ns() + ASK_NS_MAX};
    enum err_code rc = ask_rows(map, record, arena, &rows, err);
    if (!rc && (!out || !rows.features))
        rc = err_set(err, ERR_LIMIT, "no room for %lld rows", (long long)record->row_count);
    if (!rc)
        rc = loaded_score(map->shadow, &rows, &call, err);
    if (rc)
        return rc;
    *reply =
        (struct shadow_reply){answer_find(map->shadow, NULL, out, rows.count), out, call.out_count};
    return ERR_OK;
}
