/* gate_file.c - reading a gate file, section by section. */
#include "rollout/gate_file.h"

#include <math.h>

#include "base/check.h"
#include "base/yaml.h"
#include "contract/place.h"

static const char *const whole = "the gate file";

/* ---- values ---- */

/* A number in [least, most]; *out stays when it is absent. */
static enum err_code number(struct place *place, yyjson_val *object, const char *key, double least,
                            double most, double *out)
{
    double value = 0;
    bool is_there = false;
    enum err_code rc = place_number(place, object, key, &value, &is_there);
    if (rc || !is_there)
        return rc;
    if (!(value >= least && value <= most))
        return place_fail_at(place, key, "expected a number from %g to %g, got %g", least, most,
                             value);
    *out = value;
    return ERR_OK;
}

static enum err_code count(struct place *place, yyjson_val *object, const char *key, int64_t *out)
{
    double value = (double)*out;
    enum err_code rc = number(place, object, key, 0, 1e9, &value);
    if (!rc && value != floor(value))
        return place_fail_at(place, key, "expected a whole number, got %g", value);
    *out = (int64_t)value;
    return rc;
}

static enum err_code columns(struct place *place, yyjson_val *object, const char *key,
                             struct gate_columns *out)
{
    yyjson_val *list = NULL, *item;
    size_t i, length;
    enum err_code rc = place_array(place, object, key, &list);
    if (rc || !list)
        return rc;
    if (yyjson_arr_size(list) > GATE_COLUMNS_MAX)
        return place_fail_at(place, key, "more than %d columns", GATE_COLUMNS_MAX);
    yyjson_arr_foreach(list, i, length, item)
    {
        if (!yyjson_is_str(item))
            return place_fail_at(place, key, "expected names of columns, got %s",
                                 place_describe(place, item));
        out->names[out->count] =
            arena_copy(place->arena, yyjson_get_str(item), yyjson_get_len(item));
        if (!out->names[out->count++])
            return place_full(place);
    }
    return ERR_OK;
}

static enum err_code metric_of(struct place *place, yyjson_val *key, enum quality_metric *out)
{
    char names[256] = "";
    size_t length = 0;
    *out = quality_find(json_str(key));
    if (*out == QUALITY_CALIBRATION_SLOPE || *out == QUALITY_CALIBRATION_INTERCEPT)
        return place_fail_at(place, quality_name(*out), "has its limits under calibration");
    if (*out != QUALITY_COUNT)
        return ERR_OK;
    for (int m = 0; m < QUALITY_COUNT; m++) {
        int written = snprintf(names + length, sizeof(names) - length, "%s%s", m ? ", " : "",
                               quality_name((enum quality_metric)m));
        length += (size_t)written < sizeof(names) - length ? (size_t)written : 0;
    }
    place_fail(place, "'%.*s' is no metric", STR_ARG(json_str(key)));
    return err_hint(place->err, "metrics: %s", names);
}

/* "5%" or 0.05: of the champion's value, or as it is. */
static enum err_code limit(struct place *place, yyjson_val *value, const char *key,
                           struct gate_limit *out)
{
    struct str text = yyjson_is_str(value) ? json_str(value) : (struct str){0};
    double found = yyjson_get_num(value);
    bool is_share = text.len > 1 && text.ptr[text.len - 1] == '%';
    if (is_share && str_to_f64((struct str){text.ptr, text.len - 1}, &found))
        found /= 100;
    else if (!yyjson_is_num(value))
        return place_fail_at(place, key, "expected a number or a share such as 5%%, got %s",
                             place_describe(place, value));
    if (!(found >= 0 && found <= 1e12))
        return place_fail_at(place, key, "expected a margin of 0 or more, got %g", found);
    *out = (struct gate_limit){found, is_share};
    return ERR_OK;
}

/* ---- sections ---- */

typedef enum err_code section_fn(struct place *place, yyjson_val *object, struct gate_file *file);

static enum err_code read_floors(struct place *place, yyjson_val *object, struct gate_file *file)
{
    size_t i, length;
    yyjson_val *key, *value;
    enum quality_metric metric;
    enum err_code rc = ERR_OK;
    yyjson_obj_foreach(object, i, length, key, value)
    {
        rc = metric_of(place, key, &metric);
        if (!rc)
            rc = number(place, object, quality_name(metric), -1e12, 1e12, &file->floors[metric]);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static enum err_code read_margins(struct place *place, yyjson_val *object, struct gate_file *file)
{
    size_t i, length;
    yyjson_val *key, *value;
    enum quality_metric metric;
    for (int m = 0; m < QUALITY_COUNT; m++)
        file->margins[m].value = NAN;
    yyjson_obj_foreach(object, i, length, key, value)
    {
        enum err_code rc = metric_of(place, key, &metric);
        if (!rc)
            rc = limit(place, value, quality_name(metric), &file->margins[metric]);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static enum err_code read_champion(struct place *place, yyjson_val *object, struct gate_file *file)
{
    static const char *const keys[] = {"margins", "required", "off", NULL};
    yyjson_val *margins = NULL;
    enum err_code rc = place_check_keys(place, object, keys);
    if (!rc)
        rc = place_bool(place, object, "required", &file->is_champion_required);
    if (!rc)
        rc = place_bool(place, object, "off", &file->is_champion_off);
    if (!rc)
        rc = place_object(place, object, "margins", &margins);
    if (rc || !margins)
        return rc;
    size_t mark = place_push(place, ".margins");
    rc = read_margins(place, margins, file);
    place_pop(place, mark);
    return rc;
}

static enum err_code read_slices(struct place *place, yyjson_val *object, struct gate_file *file)
{
    static const char *const keys[] = {"columns",  "auto",          "margin", "gap_max",
                                       "rows_min", "auto_rows_min", NULL};
    enum err_code rc = place_check_keys(place, object, keys);
    if (!rc)
        rc = columns(place, object, "columns", &file->slices);
    if (!rc)
        rc = place_bool(place, object, "auto", &file->is_auto);
    if (!rc)
        rc = number(place, object, "margin", 0, 1e12, &file->slice_margin);
    if (!rc)
        rc = number(place, object, "gap_max", 0, 1e12, &file->slice_gap_max);
    if (!rc)
        rc = count(place, object, "rows_min", &file->slice_rows_min);
    return rc ? rc : count(place, object, "auto_rows_min", &file->auto_rows_min);
}

static enum err_code read_fairness(struct place *place, yyjson_val *object, struct gate_file *file)
{
    static const char *const keys[] = {"groups",
                                       "selection_gap_max",
                                       "true_positive_gap_max",
                                       "false_positive_gap_max",
                                       "rows_min",
                                       NULL};
    enum err_code rc = place_check_keys(place, object, keys);
    if (!rc)
        rc = columns(place, object, "groups", &file->groups);
    if (!rc)
        rc = number(place, object, "selection_gap_max", 0, 1, &file->selection_gap_max);
    if (!rc)
        rc = number(place, object, "true_positive_gap_max", 0, 1, &file->true_positive_gap_max);
    if (!rc)
        rc = number(place, object, "false_positive_gap_max", 0, 1, &file->false_positive_gap_max);
    if (!rc)
        rc = count(place, object, "rows_min", &file->group_rows_min);
    bool has_limit = !isnan(file->selection_gap_max) || !isnan(file->true_positive_gap_max) ||
                     !isnan(file->false_positive_gap_max);
    if (!rc && (file->groups.count == 0 || !has_limit))
        return place_fail(place, "needs groups, and at least one of selection_gap_max, "
                                 "true_positive_gap_max, false_positive_gap_max");
    return rc;
}

static enum err_code read_calibration(struct place *place, yyjson_val *object,
                                      struct gate_file *file)
{
    static const char *const keys[] = {"ece_max", "brier_max", "slope", NULL};
    yyjson_val *slope = NULL;
    enum err_code rc = place_check_keys(place, object, keys);
    if (!rc)
        rc = number(place, object, "ece_max", 0, 1, &file->ece_max);
    if (!rc)
        rc = number(place, object, "brier_max", 0, 2, &file->brier_max);
    if (!rc)
        rc = place_array(place, object, "slope", &slope);
    if (rc || !slope)
        return rc;
    yyjson_val *low = yyjson_arr_get(slope, 0), *high = yyjson_arr_get(slope, 1);
    if (yyjson_arr_size(slope) != 2 || !yyjson_is_num(low) || !yyjson_is_num(high) ||
        yyjson_get_num(low) >= yyjson_get_num(high))
        return place_fail_at(place, "slope", "expected two numbers, such as [0.9, 1.1]");
    file->slope_min = yyjson_get_num(low);
    file->slope_max = yyjson_get_num(high);
    return ERR_OK;
}

static enum err_code read_speed(struct place *place, yyjson_val *object, struct gate_file *file)
{
    static const char *const keys[] = {
        "p50_ratio_max", "p99_ratio_max", "size_ratio_max", "fine_us", "fine_bytes", "off", NULL};
    enum err_code rc = place_check_keys(place, object, keys);
    if (!rc)
        rc = place_bool(place, object, "off", &file->is_speed_off);
    if (!rc)
        rc = number(place, object, "p50_ratio_max", 0.01, 1e6, &file->p50_ratio_max);
    if (!rc)
        rc = number(place, object, "p99_ratio_max", 0.01, 1e6, &file->p99_ratio_max);
    if (!rc)
        rc = number(place, object, "size_ratio_max", 0.01, 1e6, &file->size_ratio_max);
    if (!rc)
        rc = number(place, object, "fine_us", 0, 1e9, &file->fine_us);
    return rc ? rc : number(place, object, "fine_bytes", 0, 1e15, &file->fine_bytes);
}

static enum err_code read_robustness(struct place *place, yyjson_val *object,
                                     struct gate_file *file)
{
    static const char *const keys[] = {"off", NULL};
    enum err_code rc = place_check_keys(place, object, keys);
    return rc ? rc : place_bool(place, object, "off", &file->is_robustness_off);
}

static enum err_code read_golden(struct place *place, yyjson_val *object, struct gate_file *file)
{
    static const char *const keys[] = {"required", NULL};
    enum err_code rc = place_check_keys(place, object, keys);
    return rc ? rc : place_bool(place, object, "required", &file->is_golden_required);
}

static enum err_code read_contract(struct place *place, yyjson_val *object, struct gate_file *file)
{
    static const char *const keys[] = {"rejected_share_max", NULL};
    enum err_code rc = place_check_keys(place, object, keys);
    return rc ? rc : number(place, object, "rejected_share_max", 0, 1, &file->rejected_share_max);
}

static enum err_code read_leakage(struct place *place, yyjson_val *object, struct gate_file *file)
{
    static const char *const keys[] = {"overlap_max", "required", NULL};
    enum err_code rc = place_check_keys(place, object, keys);
    if (!rc)
        rc = number(place, object, "overlap_max", 0, 1, &file->overlap_max);
    return rc ? rc : place_bool(place, object, "required", &file->is_leakage_required);
}

/* ---- lists ---- */

/* {sex: [female, male]}: one text and another for each column. */
static enum err_code read_pair(struct place *place, yyjson_val *pair,
                               struct gate_invariance *invariance)
{
    size_t i, length;
    yyjson_val *key, *value;
    yyjson_obj_foreach(pair, i, length, key, value)
    {
        yyjson_val *first = yyjson_arr_get(value, 0), *second = yyjson_arr_get(value, 1);
        if (yyjson_arr_size(value) != 2 || !yyjson_is_str(first) || !yyjson_is_str(second))
            return place_fail_at(place, yyjson_get_str(key),
                                 "expected two texts, such as [female, male]; quote numbers");
        int at = invariance->pair_count++;
        if (at == GATE_COLUMNS_MAX)
            return place_fail(place, "more than %d columns", GATE_COLUMNS_MAX);
        invariance->pair_columns[at] =
            arena_copy(place->arena, yyjson_get_str(key), yyjson_get_len(key));
        invariance->first[at] =
            arena_copy(place->arena, yyjson_get_str(first), yyjson_get_len(first));
        invariance->second[at] =
            arena_copy(place->arena, yyjson_get_str(second), yyjson_get_len(second));
        if (!invariance->pair_columns[at] || !invariance->first[at] || !invariance->second[at])
            return place_full(place);
    }
    return ERR_OK;
}

static enum err_code read_invariance(struct place *place, yyjson_val *object,
                                     struct gate_invariance *invariance)
{
    static const char *const keys[] = {"columns", "pair", "tolerance", "share_max", NULL};
    yyjson_val *pair = NULL;
    if (!yyjson_is_obj(object))
        return place_fail(place, "expected columns or pair, got %s", place_describe(place, object));
    enum err_code rc = place_check_keys(place, object, keys);
    if (!rc)
        rc = columns(place, object, "columns", &invariance->columns);
    if (!rc)
        rc = place_object(place, object, "pair", &pair);
    if (!rc && pair)
        rc = read_pair(place, pair, invariance);
    if (!rc)
        rc = number(place, object, "tolerance", 0, 1e12, &invariance->tolerance);
    if (!rc)
        rc = number(place, object, "share_max", 0, 1, &invariance->share_max);
    if (!rc && (invariance->columns.count > 0) == (invariance->pair_count > 0))
        return place_fail(place, "expected either columns or pair");
    return rc;
}

static enum err_code read_invariances(struct place *place, yyjson_val *root, struct gate_file *file)
{
    yyjson_val *list = NULL, *item;
    size_t i, length;
    enum err_code rc = place_array(place, root, "invariances", &list);
    if (rc || !list)
        return rc;
    if (yyjson_arr_size(list) > GATE_INVARIANCES_MAX)
        return place_fail_at(place, "invariances", "more than %d", GATE_INVARIANCES_MAX);
    yyjson_arr_foreach(list, i, length, item)
    {
        size_t mark = place_push(place, "invariances[%zu]", i);
        rc = read_invariance(place, item, &file->invariances[file->invariance_count++]);
        if (rc)
            return rc;
        place_pop(place, mark);
    }
    return ERR_OK;
}

static enum err_code read_records(struct place *place, yyjson_val *root, struct gate_file *file)
{
    struct gate_columns names = {0};
    if (!yyjson_obj_get(root, "record"))
        return ERR_OK;
    enum err_code rc = columns(place, root, "record", &names);
    file->record_count = names.count;
    for (int i = 0; !rc && i < names.count; i++) {
        struct str name = str_of(names.names[i]);
        file->records[i] = names.names[i];
        if (!str_equal_c(name, "owner") && !str_equal_c(name, "note") &&
            !str_equal_c(name, "license") && !str_equal_c(name, "description") &&
            !str_starts_with(name, STR_LIT("lineage.")))
            return place_fail_at(place, "record",
                                 "expected owner, note, description, license or lineage.KEY, got "
                                 "'%.*s'",
                                 STR_ARG(name));
    }
    return rc;
}

/* ---- the whole ---- */

static const struct section {
    const char *name;
    section_fn *read;
} sections[] = {
    {"floors", read_floors},         {"champion", read_champion},       {"slices", read_slices},
    {"fairness", read_fairness},     {"calibration", read_calibration}, {"speed", read_speed},
    {"robustness", read_robustness}, {"golden", read_golden},           {"contract", read_contract},
    {"leakage", read_leakage},
};

static void set_defaults(struct gate_file *file)
{
    *file = (struct gate_file){
        .alpha = 0.05,
        .rows_min = 30,
        .is_auto = true,
        .slice_gap_max = NAN,
        .slice_rows_min = 30,
        .auto_rows_min = 100,
        .selection_gap_max = NAN,
        .true_positive_gap_max = NAN,
        .false_positive_gap_max = NAN,
        .group_rows_min = 30,
        .ece_max = NAN,
        .brier_max = NAN,
        .slope_min = NAN,
        .slope_max = NAN,
        .p50_ratio_max = 1.5,
        .p99_ratio_max = 2,
        .size_ratio_max = 3,
        .fine_us = 50,
        .fine_bytes = 16 * 1024 * 1024,
        .overlap_max = 0.01,
        .record_count = 1,
        .records = {"owner"},
    };
    for (int m = 0; m < QUALITY_COUNT; m++) {
        file->floors[m] = NAN;
        file->margins[m].value = NAN;
    }
    file->margins[QUALITY_ACCURACY].value = 0.02;
    file->margins[QUALITY_AUC].value = 0.02;
    file->margins[QUALITY_MAE] = (struct gate_limit){0.05, true};
    file->margins[QUALITY_NDCG].value = 0.02;
}

static enum err_code read_head(struct place *place, yyjson_val *root, struct gate_file *file)
{
    double confidence = 0.95, seed = 0;
    enum err_code rc = place_text(place, root, "target", &file->target);
    if (!rc)
        rc = place_text(place, root, "positive", &file->positive);
    if (!rc)
        rc = place_text(place, root, "group", &file->group);
    if (!rc)
        rc = place_text(place, root, "data_sha256", &file->data_sha256);
    if (!rc && file->data_sha256 && !hash_is_sha256_hex(str_of(file->data_sha256)))
        rc = place_fail_at(place, "data_sha256", "expected 64 hex digits, as sha256sum prints");
    if (!rc)
        rc = number(place, root, "confidence", 0.5, 0.9999, &confidence);
    if (!rc)
        rc = count(place, root, "rows_min", &file->rows_min);
    if (!rc)
        rc = number(place, root, "seed", 0, 9007199254740992.0, &seed);
    file->alpha = 1 - confidence;
    file->seed = (uint64_t)seed;
    return rc;
}

static enum err_code read_section(struct place *place, yyjson_val *root,
                                  const struct section *section, struct gate_file *file)
{
    yyjson_val *object = NULL;
    enum err_code rc = place_object(place, root, section->name, &object);
    if (rc || !object)
        return rc;
    size_t mark = place_push(place, "%s", section->name);
    rc = section->read(place, object, file);
    if (!rc)
        place_pop(place, mark);
    return rc;
}

static enum err_code read_file(struct place *place, yyjson_val *root, struct gate_file *file)
{
    static const char *const keys[] = {
        "target",     "positive", "group",   "data_sha256", "confidence",  "rows_min", "seed",
        "floors",     "champion", "slices",  "fairness",    "calibration", "speed",    "golden",
        "robustness", "contract", "leakage", "invariances", "record",      NULL};
    enum err_code rc = place_check_keys(place, root, keys);
    if (!rc)
        rc = read_head(place, root, file);
    for (size_t i = 0; !rc && i < ARRAY_LEN(sections); i++)
        rc = read_section(place, root, &sections[i], file);
    if (!rc)
        rc = read_invariances(place, root, file);
    return rc ? rc : read_records(place, root, file);
}

/* Is every line blank or a comment? */
static bool says_nothing(struct str text)
{
    struct str rest = {text.ptr ? text.ptr : "", text.len}, line;
    while (str_split(&rest, '\n', &line)) {
        if (str_ends_with(line, STR_LIT("\r")))
            line.len--;
        line = str_trim(line);
        if (line.len && line.ptr[0] != '#')
            return false;
    }
    return true;
}

enum err_code gate_file_parse(struct str text, struct arena *arena, struct gate_file **out,
                              struct err *err)
{
    yyjson_val *root = NULL;
    struct place place = {.arena = arena, .err = err};
    struct gate_file *file = arena_calloc(arena, 1, sizeof(*file));
    if (text.len > GATE_FILE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%s has %zu bytes, at most %d are taken", whole, text.len,
                       GATE_FILE_BYTES_MAX);
    if (!file)
        return err_set(err, ERR_LIMIT, "no room for %s", whole);
    set_defaults(file);
    hash_sha256_hex(text.len ? text.ptr : "", text.len, file->digest);
    *out = file;
    if (says_nothing(text))
        return ERR_OK;
    enum err_code rc = yaml_read(text, arena, &root, err);
    if (!rc && yyjson_is_null(root)) /* a document without content */
        return ERR_OK;
    if (!rc && !yyjson_is_obj(root))
        rc = err_set(err, ERR_INVALID, "expected sections such as floors or slices");
    if (!rc)
        rc = read_file(&place, root, file);
    return rc ? err_wrap(err, "%s", whole) : ERR_OK;
}

static bool has(const struct gate_columns *columns, struct str name)
{
    for (int i = 0; i < columns->count; i++)
        if (str_equal_c(name, columns->names[i]))
            return true;
    return false;
}

bool gate_file_has_column(const struct gate_file *file, struct str name)
{
    return has(&file->slices, name) || has(&file->groups, name) ||
           (file->group && str_equal_c(name, file->group)) ||
           (file->target && str_equal_c(name, file->target));
}
