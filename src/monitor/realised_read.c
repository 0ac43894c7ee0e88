/* realised_read.c - labelled answers and business values of a model, read from the store. */
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "monitor/realised.h"
#include "registry/registry_check.h"

#define SQL_ROWS                                                                                   \
    "SELECT p.version, p.arm, p.at_us, p.class_index, p.class_count, p.value, p.probabilities, "   \
    "p.segments, o.class_index, o.label, o.received_us, p.rank_group FROM predicted p JOIN "       \
    "outcomes o ON o.prediction_id = p.id AND o.model = p.model WHERE o.name = 'label' AND "       \
    "o.state = 'current' AND p.model = ?1 AND p.at_us >= ?2 AND p.at_us < ?3 AND "                 \
    "(?4 = 0 OR p.version = ?4) AND (?5 = '' OR p.arm = ?5) AND (?6 = 0 OR p.rollout = ?6) "       \
    "ORDER BY p.at_us DESC LIMIT ?7"
#define SQL_VALUES                                                                                 \
    "SELECT o.name, COUNT(*), SUM(o.value), SUM(o.value * o.value) FROM predicted p JOIN "         \
    "outcomes o ON o.prediction_id = p.id AND o.model = p.model AND o.version = p.version "        \
    "WHERE o.kind <> 'label' AND o.state = 'current' AND p.model = ?1 AND p.at_us >= ?2 AND "      \
    "p.at_us < ?3 AND p.version = ?4 AND (?5 = '' OR p.arm = ?5) AND (?6 = 0 OR p.rollout = ?6) "  \
    "GROUP BY o.name ORDER BY o.name"
#define NORMAL_95 1.959963984540054

/* ---- labelled answers ---- */

struct row_reading {
    struct arena *arena;
    struct realised_rows *out;
};

/* "[0.25,0.75]" */
static const float *read_probabilities(struct str text, int class_count, struct arena *arena)
{
    struct str number;
    double value;
    if (text.len < 2 || class_count < 2 || class_count > PREDICTED_CLASSES_MAX)
        return NULL;
    float *list = arena_alloc(arena, (size_t)class_count * sizeof(*list));
    text = (struct str){text.ptr + 1, text.len - 2};
    for (int i = 0; list && i < class_count; i++) {
        if (!str_split(&text, ',', &number) || !str_to_f64(number, &value))
            return NULL;
        list[i] = (float)value;
    }
    return list;
}

static enum err_code read_row(struct store_rows *rows, void *arg, struct err *err)
{
    struct row_reading *c = arg;
    struct realised_rows *out = c->out;
    double truth = NAN;
    bool is_full = false;
    if (out->count == REALISED_ROWS_MAX) {
        out->is_cut = true;
        return ERR_OK;
    }
    out->rows = store_list_grow(c->arena, out->rows, (int)out->count, sizeof(*out->rows));
    if (!out->rows)
        return err_set(err, ERR_LIMIT, "no room for %lld labelled rows", (long long)out->count);
    str_to_f64(store_text(rows, 9), &truth);
    struct str segments = store_text(rows, 7);
    struct realised_row row = {
        .version = store_i64(rows, 0),
        .is_shadow = str_equal_c(store_text(rows, 1), arm_name(ARM_SHADOW)),
        .at_us = store_i64(rows, 2),
        .answer_class = (int)store_i64(rows, 3),
        .class_count = (int)store_i64(rows, 4),
        .answer_number = store_f64(rows, 5),
        .truth_class = (int)store_i64(rows, 8),
        .truth_number = truth,
    };
    row.delay_us = store_i64(rows, 10) - row.at_us;
    row.probabilities = read_probabilities(store_text(rows, 6), row.class_count, c->arena);
    if (segments.len)
        row.segments = (struct str){store_text_copy(rows, 7, c->arena, &is_full), segments.len};
    if (store_text(rows, 11).len)
        row.group =
            (struct str){store_text_copy(rows, 11, c->arena, &is_full), store_text(rows, 11).len};
    out->rows[out->count++] = row;
    return is_full ? err_set(err, ERR_LIMIT, "no room for labelled rows") : ERR_OK;
}

enum err_code realised_read(struct store *store, const struct realised_query *query,
                            struct arena *arena, struct realised_rows *rows, struct err *err)
{
    const struct store_value params[] = {
        STORE_CSTR(query->model),         STORE_INT(query->from_us), STORE_INT(query->to_us),
        STORE_INT(query->version),        STORE_CSTR(query->arm),    STORE_INT(query->rollout),
        STORE_INT(REALISED_ROWS_MAX + 1),
    };
    struct row_reading reading = {arena, rows};
    *rows = (struct realised_rows){0};
    return registry_each_row(store, SQL_ROWS, params, 7, read_row, &reading, err);
}

/* ---- values ---- */

struct value_reading {
    struct arena *arena;
    const struct outcome_name *names; /* [name_count] */
    int name_count;
    int64_t answered;
    struct realised_value *values;
    int count;
};

static const struct outcome_name *find_name(const struct value_reading *c, struct str name)
{
    for (int i = 0; i < c->name_count; i++)
        if (str_equal_c(name, c->names[i].name))
            return &c->names[i];
    return NULL;
}

/* Mean over all answers with its normal interval; what nobody reported is 0. */
static struct estimate_value mean_of(double sum, double squares, int64_t count)
{
    if (count < 2)
        return (struct estimate_value){NAN, NAN, NAN};
    double n = (double)count, mean = sum / n;
    double variance = fmax(0, squares - n * mean * mean) / (n - 1);
    double half = NORMAL_95 * sqrt(variance / n);
    return (struct estimate_value){mean, mean - half, mean + half};
}

static enum err_code read_value(struct store_rows *rows, void *arg, struct err *err)
{
    struct value_reading *c = arg;
    const struct outcome_name *name = find_name(c, store_text(rows, 0));
    if (!name)
        return ERR_OK;
    c->values = store_list_grow(c->arena, c->values, c->count, sizeof(*c->values));
    if (!c->values)
        return err_set(err, ERR_LIMIT, "no room for the values");
    int64_t count = store_i64(rows, 1);
    bool is_event = name->kind == OUTCOME_EVENT;
    double sum = is_event ? (double)count : store_f64(rows, 2);
    double squares = is_event ? (double)count : store_f64(rows, 3);
    c->values[c->count++] = (struct realised_value){
        .name = name,
        .count = count,
        .sum = sum,
        .per_answer = mean_of(sum, squares, c->answered < count ? count : c->answered),
        .per_known = mean_of(sum, squares, count),
    };
    return ERR_OK;
}

enum err_code realised_values(struct store *store, const struct realised_query *query,
                              int64_t version, int64_t answered, struct arena *arena,
                              struct realised_value **values, int *value_count, struct err *err)
{
    struct outcome_name *names;
    struct value_reading c = {.arena = arena, .answered = answered};
    const struct store_value params[] = {
        STORE_CSTR(query->model), STORE_INT(query->from_us), STORE_INT(query->to_us),
        STORE_INT(version),       STORE_CSTR(query->arm),    STORE_INT(query->rollout),
    };
    enum err_code rc = outcome_name_list(store, query->model, arena, &names, &c.name_count, err);
    if (rc)
        return rc;
    c.names = names;
    rc = registry_each_row(store, SQL_VALUES, params, 6, read_value, &c, err);
    *values = c.values;
    *value_count = rc ? 0 : c.count;
    return rc;
}
