/* odcs_field.c - one property of the document becomes one field. */
#include "contract/odcs.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "contract/pattern.h"

static const char *const property_keys[] = {
    "id",
    "name",
    "physicalType",
    "physicalName",
    "description",
    "businessName",
    "authoritativeDefinitions",
    "tags",
    "customProperties",
    "primaryKey",
    "primaryKeyPosition",
    "logicalType",
    "logicalTypeOptions",
    "required",
    "unique",
    "partitioned",
    "partitionKeyPosition",
    "classification",
    "encryptedName",
    "transformSourceObjects",
    "transformLogic",
    "transformDescription",
    "examples",
    "criticalDataElement",
    "relationships",
    "quality",
    "items",
    "properties",
    NULL,
};

static const char *const number_option_keys[] = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format", NULL,
};
static const char *const string_option_keys[] = {
    "minLength", "maxLength", "pattern", "format", NULL,
};
static const char *const date_option_keys[] = {
    "format",           "minimum",  "maximum",         "exclusiveMinimum",
    "exclusiveMaximum", "timezone", "defaultTimezone", NULL,
};
static const char *const no_option_keys[] = {NULL};

static const char *const quality_keys[] = {
    "id",
    "authoritativeDefinitions",
    "businessImpact",
    "customProperties",
    "description",
    "dimension",
    "method",
    "name",
    "schedule",
    "scheduler",
    "severity",
    "tags",
    "type",
    "unit",
    "metric",
    "rule",
    "arguments",
    "query",
    "engine",
    "implementation",
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
    NULL,
};

static const char *const argument_keys[] = {"validValues", "pattern", NULL};

static const char *const field_customs[] = {
    "slipwayRole", "slipwayPolicy", "slipwayReference", "slipwayInferred", NULL,
};

/* --- name, type, options ------------------------------------------------------------------- */

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

static enum err_code read_name(struct place *place, yyjson_val *property, struct contract_field *f)
{
    f->name = "";
    enum err_code code = place_text(place, property, "name", &f->name);
    if (code)
        return code;
    f->name_len = strlen(f->name);
    if (f->name_len == 0)
        return place_fail_at(place, "name", "is required");
    if (f->name_len > CONTRACT_NAME_BYTES_MAX)
        return place_fail_at(place, "name", "expected at most %d bytes, got %zu",
                             (int)CONTRACT_NAME_BYTES_MAX, f->name_len);
    if (has_control(f->name) || !str_is_utf8(str_of(f->name)))
        return place_fail_at(place, "name", "expected text without control characters");
    return ERR_OK;
}

static enum err_code read_type(struct place *place, yyjson_val *property, struct contract_field *f)
{
    static const char *const types[] = {
        [TYPE_NUMBER] = "number",    [TYPE_INTEGER] = "integer", [TYPE_BOOLEAN] = "boolean",
        [TYPE_STRING] = "string",    [TYPE_DATE] = "date",       [TYPE_TIMESTAMP] = "timestamp",
        [TYPE_TIMESTAMP + 1] = NULL,
    };
    int type = -1;
    enum err_code code = place_choice(place, property, "logicalType", types, &type);
    if (code)
        return code;
    if (type < 0) {
        place_fail_at(place, "logicalType", "is required");
        return err_hint(place->err, "number, integer, boolean, string, date or timestamp");
    }
    f->type = (enum contract_type)type;
    return ERR_OK;
}

/* A minimum and its exclusive form: at most one of the two. */
static enum err_code read_bound(struct place *place, yyjson_val *options, const char *key,
                                const char *exclusive_key, double *bound, bool *has,
                                bool *is_exclusive)
{
    enum err_code code = place_number(place, options, key, bound, has);
    if (!code)
        code = place_number(place, options, exclusive_key, bound, is_exclusive);
    if (code)
        return code;
    if (*has && *is_exclusive)
        return place_fail_at(place, exclusive_key, "stands beside %s: keep one of them", key);
    *has = *has || *is_exclusive;
    return ERR_OK;
}

static enum err_code read_number_options(struct place *place, yyjson_val *options,
                                         struct contract_field *f)
{
    enum err_code code = place_check_keys(place, options, number_option_keys);
    if (code)
        return code;
    if (yyjson_obj_get(options, "multipleOf")) {
        place_fail_at(place, "multipleOf", "is a rule Slipway does not check");
        return err_hint(place->err, "remove it; an integer field already refuses fractions");
    }
    if ((code = read_bound(place, options, "minimum", "exclusiveMinimum", &f->min, &f->has_min,
                           &f->is_min_exclusive)) ||
        (code = read_bound(place, options, "maximum", "exclusiveMaximum", &f->max, &f->has_max,
                           &f->is_max_exclusive)))
        return code;
    bool is_empty =
        f->has_min && f->has_max &&
        (f->min > f->max || (f->min == f->max && (f->is_min_exclusive || f->is_max_exclusive)));
    if (is_empty)
        return place_fail(place, "no value is both above the minimum %g and below the maximum %g",
                          f->min, f->max);
    return ERR_OK;
}

static enum err_code read_pattern(struct place *place, yyjson_val *holder, struct contract_field *f)
{
    char reason[PATTERN_REASON_BYTES];
    const char *pattern = NULL;
    enum err_code code = place_text(place, holder, "pattern", &pattern);
    if (code || !pattern)
        return code;
    if (f->pattern_code)
        return place_fail_at(place, "pattern", "the field has a pattern already");
    f->pattern_code = pattern_compile(str_of(pattern), reason);
    if (!f->pattern_code)
        return place_fail_at(place, "pattern", "%s", reason);
    f->pattern = pattern;
    return ERR_OK;
}

static enum err_code read_length(struct place *place, yyjson_val *options, const char *key,
                                 int64_t *out)
{
    double number = 0;
    bool is_there = false;
    enum err_code code = place_number(place, options, key, &number, &is_there);
    if (code || !is_there)
        return code;
    if (!(number >= 0 && number <= CONTRACT_TEXT_BYTES_MAX) || number != floor(number))
        return place_fail_at(place, key, "expected a whole number from 0 to %d",
                             (int)CONTRACT_TEXT_BYTES_MAX);
    *out = (int64_t)number;
    return ERR_OK;
}

static enum err_code read_string_options(struct place *place, yyjson_val *options,
                                         struct contract_field *f)
{
    enum err_code code;
    if ((code = place_check_keys(place, options, string_option_keys)) ||
        (code = read_length(place, options, "minLength", &f->length_min)) ||
        (code = read_length(place, options, "maxLength", &f->length_max)))
        return code;
    if (f->length_max >= 0 && f->length_min > f->length_max)
        return place_fail(place, "minLength %lld is above maxLength %lld", (long long)f->length_min,
                          (long long)f->length_max);
    return read_pattern(place, options, f);
}

static enum err_code read_date_options(struct place *place, yyjson_val *options,
                                       struct contract_field *f)
{
    static const char *const bounds[] = {"minimum", "maximum", "exclusiveMinimum",
                                         "exclusiveMaximum"};
    enum err_code code = place_check_keys(place, options, date_option_keys);
    if (code)
        return code;
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        if (yyjson_obj_get(options, bounds[i])) {
            place_fail_at(place, bounds[i], "is a rule Slipway does not check");
            return err_hint(place->err, "bounds of dates are not supported; remove it");
        }
    }
    return place_text(place, options, "format", &f->format);
}

static enum err_code read_options(struct place *place, yyjson_val *property,
                                  struct contract_field *f)
{
    yyjson_val *options = NULL;
    f->length_max = -1;
    enum err_code code = place_object(place, property, "logicalTypeOptions", &options);
    if (code || !options)
        return code;
    size_t mark = place_push(place, ".logicalTypeOptions");
    switch (f->type) {
    case TYPE_NUMBER:
    case TYPE_INTEGER:
        code = read_number_options(place, options, f);
        break;
    case TYPE_STRING:
        code = read_string_options(place, options, f);
        break;
    case TYPE_DATE:
    case TYPE_TIMESTAMP:
        code = read_date_options(place, options, f);
        break;
    case TYPE_BOOLEAN:
        code = place_check_keys(place, options, no_option_keys);
        break;
    }
    if (!code)
        place_pop(place, mark);
    return code;
}

/* --- texts: categories, markers --------------------------------------------------------------- */

/* A text of a list; whole numbers are taken as their digits, because YAML reads 7 as a number. */
static enum err_code read_list_text(struct place *place, yyjson_val *value, struct str *out)
{
    struct str s = json_str(value);
    char digits[STR_NUMBER_BYTES];
    if (yyjson_is_sint(value) || yyjson_is_uint(value)) {
        s.len = yyjson_is_sint(value) ? str_from_i64(yyjson_get_sint(value), digits)
                                      : str_from_u64(yyjson_get_uint(value), digits);
        s.ptr = digits;
    } else if (!yyjson_is_str(value)) {
        place_fail(place, "expected text, got %s", place_describe(place, value));
        return err_hint(place->err, "put it in quotes");
    }
    out->ptr = arena_copy(place->arena, s.ptr, s.len);
    out->len = s.len;
    return out->ptr ? ERR_OK : place_full(place);
}

static enum err_code read_texts(struct place *place, yyjson_val *list, int count_max,
                                const struct str **out, int *out_count)
{
    size_t i, count = yyjson_arr_size(list);
    yyjson_val *value;
    if (count > (size_t)count_max)
        return place_fail(place, "expected at most %d entries, got %zu", count_max, count);
    struct str *texts = arena_calloc(place->arena, count, sizeof(*texts));
    if (!texts)
        return place_full(place);
    yyjson_arr_foreach(list, i, count, value)
    {
        size_t mark = place_push(place, "[%zu]", i);
        enum err_code code = read_list_text(place, value, &texts[i]);
        if (code)
            return code;
        place_pop(place, mark);
    }
    *out = texts;
    *out_count = (int)count;
    return ERR_OK;
}

static enum err_code index_categories(struct place *place, struct contract_field *f)
{
    for (int i = 0; i < f->category_count; i++) {
        struct str text = f->categories[i];
        if (map_find(&f->category_codes, text))
            return place_fail(place, "'%.*s' is listed twice", STR_ARG(text));
        map_put(&f->category_codes, text, (void *)((uintptr_t)i + 1));
    }
    return ERR_OK;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum err_code read_listed(struct place *place, yyjson_val *list, struct contract_field *f)
{
    size_t i, count;
    yyjson_val *value;
    double *numbers = arena_calloc(place->arena, yyjson_arr_size(list), sizeof(*numbers));
    if (!numbers)
        return place_full(place);
    yyjson_arr_foreach(list, i, count, value)
    {
        numbers[i] = yyjson_get_num(value);
        if (!yyjson_is_num(value) || !(fabs(numbers[i]) <= (double)__FLT_MAX__))
            return place_fail(place, "expected numbers, got %s", place_describe(place, value));
    }
    qsort(numbers, count, sizeof(*numbers), compare_doubles);
    f->listed = numbers;
    f->listed_count = (int)count;
    return ERR_OK;
}

/* Strings have categories. Numbers have a list of allowed values; that of an answer is at the same
 * time the list of class names. */
static enum err_code read_valid_values(struct place *place, yyjson_val *list,
                                       struct contract_field *f)
{
    enum err_code code = ERR_OK;
    bool is_number = f->type == TYPE_NUMBER || f->type == TYPE_INTEGER;
    if (f->type != TYPE_STRING && !is_number)
        return place_fail(place, "a field of type %s cannot have them",
                          contract_type_name(f->type));
    if (f->category_count || f->listed_count)
        return place_fail(place, "the field has a list already");
    if (yyjson_arr_size(list) == 0 || yyjson_arr_size(list) > CONTRACT_CATEGORIES_MAX)
        return place_fail(place, "expected 1 to %d values, got %zu", (int)CONTRACT_CATEGORIES_MAX,
                          yyjson_arr_size(list));
    if (is_number)
        code = read_listed(place, list, f);
    bool is_answer = f->role >= ROLE_PREDICTION;
    if (!code && (!is_number || (is_answer && f->type == TYPE_INTEGER)))
        code = read_texts(place, list, CONTRACT_CATEGORIES_MAX, &f->categories, &f->category_count);
    return code ? code : index_categories(place, f);
}

static enum err_code read_arguments(struct place *place, yyjson_val *check,
                                    struct contract_field *f)
{
    yyjson_val *arguments = NULL, *list = NULL;
    enum err_code code = place_object(place, check, "arguments", &arguments);
    if (code)
        return code;
    if (!arguments)
        return place_fail_at(place, "arguments", "expected validValues or pattern");
    size_t mark = place_push(place, ".arguments");
    if ((code = place_check_keys(place, arguments, argument_keys)) ||
        (code = place_array(place, arguments, "validValues", &list)))
        return code;
    if (list) {
        size_t inner = place_push(place, ".validValues");
        code = read_valid_values(place, list, f);
        if (code)
            return code;
        place_pop(place, inner);
    }
    if (yyjson_obj_get(arguments, "pattern") && f->type != TYPE_STRING)
        return place_fail_at(place, "pattern", "a field of type %s cannot have one",
                             contract_type_name(f->type));
    code = read_pattern(place, arguments, f);
    if (!code)
        place_pop(place, mark);
    return code;
}

static enum err_code read_quality(struct place *place, yyjson_val *property,
                                  struct contract_field *f)
{
    yyjson_val *checks = NULL, *check;
    size_t i, count;
    enum err_code code = place_array(place, property, "quality", &checks);
    if (code || !checks)
        return code;
    yyjson_arr_foreach(checks, i, count, check)
    {
        const char *metric = "";
        size_t mark = place_push(place, ".quality[%zu]", i);
        if (!yyjson_is_obj(check))
            return place_fail(place, "expected an object");
        if ((code = place_check_keys(place, check, quality_keys)) ||
            (code = place_text(place, check, "metric", &metric)))
            return code;
        if (strcmp(metric, "invalidValues") == 0)
            code = read_arguments(place, check, f);
        if (code)
            return code;
        place_pop(place, mark);
    }
    return ERR_OK;
}

/* --- custom properties ------------------------------------------------------------------------ */

static const char *const roles[] = {"feature",    "key",   "timestamp", "segment",
                                    "prediction", "score", "label",     NULL};

/* The role decides how other properties are read, so it is looked for first. */
static enum err_code read_role(void *arg, struct place *place, struct str property,
                               yyjson_val *value)
{
    struct contract_field *f = arg;
    if (!str_equal_c(property, "slipwayRole"))
        return ERR_OK;
    for (int i = 0; roles[i]; i++) {
        if (yyjson_is_str(value) && str_equal_c(json_str(value), roles[i])) {
            f->role = (enum contract_role)i;
            return ERR_OK;
        }
    }
    place_fail_at(place, "value", "expected a role, got %s", place_describe(place, value));
    return err_hint(place->err, "feature, key, timestamp, segment, prediction, score or label");
}

/* Numbers in a column of numbers are compared as numbers: -999 is also -999.0. */
static bool has_number_markers(const struct contract_field *f)
{
    return f->type <= TYPE_INTEGER && f->role != ROLE_KEY && f->role != ROLE_TIMESTAMP;
}

static enum err_code read_marker(struct place *place, yyjson_val *marker, struct contract_field *f,
                                 struct str *texts, double *numbers)
{
    double number = yyjson_get_num(marker);
    enum err_code code = ERR_OK;
    struct str text = {0};
    bool is_number = yyjson_is_num(marker);
    if (!is_number || !has_number_markers(f)) {
        code = read_list_text(place, marker, &text);
        if (code)
            return code;
        is_number = str_to_f64(text, &number);
    }
    if (is_number && has_number_markers(f))
        numbers[f->missing_number_count++] = number;
    if (text.ptr)
        texts[f->missing_marker_count++] = text;
    return ERR_OK;
}

static enum err_code read_markers(struct place *place, yyjson_val *value, struct contract_field *f)
{
    size_t i, count;
    yyjson_val *marker;
    size_t mark = place_push(place, ".value");
    if (!yyjson_is_arr(value) || yyjson_arr_size(value) > CONTRACT_MARKERS_MAX)
        return place_fail(place, "expected a list of at most %d markers",
                          (int)CONTRACT_MARKERS_MAX);
    if (f->missing_markers)
        return place_fail(place, "the field has markers already");
    count = yyjson_arr_size(value);
    struct str *texts = arena_calloc(place->arena, count, sizeof(*texts));
    double *numbers = arena_calloc(place->arena, count, sizeof(*numbers));
    if (!texts || !numbers)
        return place_full(place);
    f->missing_markers = texts;
    f->missing_numbers = numbers;
    yyjson_arr_foreach(value, i, count, marker)
    {
        enum err_code code = read_marker(place, marker, f, texts, numbers);
        if (code)
            return code;
    }
    place_pop(place, mark);
    return ERR_OK;
}

/* Which policies make sense for which rule. */
static const struct policy_key {
    const char *key;
    enum contract_rule rule;
    bool quarantine, clip, warn, other;
} policy_keys[] = {
    {"type", RULE_TYPE, false, false, false, false},
    {"missing", RULE_MISSING, true, false, true, false},
    {"outOfRange", RULE_RANGE, true, true, true, false},
    {"unknownCategory", RULE_CATEGORY, true, false, true, true},
    {"pattern", RULE_PATTERN, true, false, true, false},
};

static bool is_allowed(const struct policy_key *key, enum contract_policy policy)
{
    switch (policy) {
    case POLICY_REJECT:
        return true;
    case POLICY_QUARANTINE:
        return key->quarantine;
    case POLICY_CLIP:
        return key->clip;
    case POLICY_WARN:
        return key->warn;
    case POLICY_OTHER:
        return key->other;
    }
    return false;
}

static enum err_code read_policy(struct place *place, yyjson_val *value, struct contract_field *f)
{
    static const char *const names[] = {"reject", "quarantine", "clip", "warn", "other", NULL};
    static const char *const keys[] = {"type",    "missing", "outOfRange", "unknownCategory",
                                       "pattern", "drift",   NULL};
    size_t mark = place_push(place, ".value");
    if (!yyjson_is_obj(value))
        return place_fail(place, "expected an object of rule: policy");
    enum err_code code = place_check_keys(place, value, keys);
    for (size_t i = 0; !code && i < ARRAY_LEN(policy_keys); i++) {
        int policy = -1;
        const struct policy_key *key = &policy_keys[i];
        code = place_choice(place, value, key->key, names, &policy);
        if (code || policy < 0)
            continue;
        if (!is_allowed(key, (enum contract_policy)policy))
            return place_fail_at(place, key->key, "'%s' is not a policy for this rule",
                                 names[policy]);
        f->policy[key->rule] = (enum contract_policy)policy;
    }
    if (!code)
        place_pop(place, mark);
    return code;
}

static enum err_code read_inferred(struct place *place, yyjson_val *value, struct contract_field *f)
{
    if (!yyjson_is_bool(value))
        return place_fail_at(place, "value", "expected true or false");
    f->is_range_inferred = yyjson_get_bool(value);
    return ERR_OK;
}

/* Everything but role and policy, which come before and after. */
static enum err_code read_custom(void *arg, struct place *place, struct str property,
                                 yyjson_val *value)
{
    struct contract_field *f = arg;
    if (str_equal_c(property, "missingMarkers"))
        return read_markers(place, value, f);
    if (str_equal_c(property, "slipwayInferred"))
        return read_inferred(place, value, f);
    if (str_equal_c(property, "slipwayReference"))
        return odcs_read_profile(place, value, f);
    if (!str_equal_c(property, "unit"))
        return odcs_unknown_custom(place, property, field_customs);
    if (!yyjson_is_str(value))
        return place_fail_at(place, "value", "expected a unit in quotes, such as \"mm\" or \"1\"");
    f->unit = arena_copy(place->arena, yyjson_get_str(value), yyjson_get_len(value));
    return f->unit ? ERR_OK : place_full(place);
}

static enum err_code read_policy_custom(void *arg, struct place *place, struct str property,
                                        yyjson_val *value)
{
    if (!str_equal_c(property, "slipwayPolicy"))
        return ERR_OK;
    return read_policy(place, value, arg);
}

static void default_policies(struct contract_field *f)
{
    for (int rule = 0; rule < RULE_COUNT; rule++)
        f->policy[rule] = POLICY_REJECT;
    if (f->is_range_inferred)
        f->policy[RULE_RANGE] = POLICY_QUARANTINE;
    if (f->type == TYPE_STRING)
        f->policy[RULE_CATEGORY] = POLICY_OTHER;
}

/* A key and an event time are told by what the standard itself says of them. */
static void default_role(yyjson_val *property, struct contract_field *f)
{
    if (yyjson_get_bool(yyjson_obj_get(property, "primaryKey")))
        f->role = ROLE_KEY;
    else if (f->type == TYPE_DATE || f->type == TYPE_TIMESTAMP)
        f->role = ROLE_TIMESTAMP;
}

enum err_code odcs_read_field(struct place *place, yyjson_val *property, struct contract_field *f)
{
    enum err_code code;
    f->description = f->unit = f->physical_type = f->classification = "";
    map_init(&f->category_codes);
    if (!yyjson_is_obj(property))
        return place_fail(place, "expected an object, got %s", place_describe(place, property));
    if ((code = place_check_keys(place, property, property_keys)) ||
        (code = read_name(place, property, f)) || (code = read_type(place, property, f)))
        return code;
    default_role(property, f);
    if ((code = odcs_each_custom(place, property, read_role, f)) ||
        (code = place_text(place, property, "description", &f->description)) ||
        (code = place_text(place, property, "physicalType", &f->physical_type)) ||
        (code = place_text(place, property, "classification", &f->classification)) ||
        (code = place_bool(place, property, "required", &f->is_required)) ||
        (code = read_options(place, property, f)) || (code = read_quality(place, property, f)) ||
        (code = odcs_each_custom(place, property, read_custom, f)))
        return code;
    default_policies(f);
    return odcs_each_custom(place, property, read_policy_custom, f);
}
