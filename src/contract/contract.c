/* contract.c - a parsed contract: how a row's columns lie, and the vectors that check them. */
#include "contract/contract.h"

#include <float.h>
#include <math.h>

#include "base/check.h"
#include "base/nearest.h"
#include "base/yaml.h"
#include "contract/odcs.h"
#include "contract/pattern.h"

#define CONTRACT_MAGIC 0x54434c53u /* "SLCT" */

static const char *const type_names[] = {
    [TYPE_NUMBER] = "number", [TYPE_INTEGER] = "integer", [TYPE_BOOLEAN] = "boolean",
    [TYPE_STRING] = "string", [TYPE_DATE] = "date",       [TYPE_TIMESTAMP] = "timestamp",
};

static const char *const role_names[] = {
    [ROLE_FEATURE] = "feature",       [ROLE_KEY] = "key",     [ROLE_TIMESTAMP] = "timestamp",
    [ROLE_SEGMENT] = "segment",       [ROLE_SCORE] = "score", [ROLE_LABEL] = "label",
    [ROLE_PREDICTION] = "prediction",
};

static const char *const policy_names[] = {
    [POLICY_REJECT] = "reject", [POLICY_QUARANTINE] = "quarantine", [POLICY_CLIP] = "clip",
    [POLICY_WARN] = "warn",     [POLICY_OTHER] = "other",
};

static const char *const rule_names[] = {
    [RULE_TYPE] = "type",       [RULE_MISSING] = "missing",
    [RULE_RANGE] = "range",     [RULE_CATEGORY] = "category",
    [RULE_PATTERN] = "pattern", [RULE_UNKNOWN_FIELD] = "unknown_field",
    [RULE_SHAPE] = "shape",
};

const char *contract_type_name(enum contract_type type)
{
    assert((size_t)type < ARRAY_LEN(type_names));
    return type_names[type];
}

const char *contract_role_name(enum contract_role role)
{
    assert((size_t)role < ARRAY_LEN(role_names));
    return role_names[role];
}

const char *contract_policy_name(enum contract_policy policy)
{
    assert((size_t)policy < ARRAY_LEN(policy_names));
    return policy_names[policy];
}

const char *contract_rule_name(enum contract_rule rule)
{
    assert((size_t)rule < ARRAY_LEN(rule_names));
    return rule_names[rule];
}

const char *contract_field_unit(const struct contract_field *field)
{
    return strcmp(field->unit, "1") == 0 ? "" : field->unit;
}

/* --- columns -------------------------------------------------------------------------------- */

static bool is_input(const struct contract_field *f)
{
    return f->role <= ROLE_SEGMENT;
}

/* Keys and times are kept as they came: a float32 would lose digits of them. */
static bool is_text(const struct contract_field *f)
{
    return f->role == ROLE_KEY || f->role == ROLE_TIMESTAMP || f->type == TYPE_DATE ||
           f->type == TYPE_TIMESTAMP || (f->type == TYPE_STRING && f->category_count == 0);
}

static void place_input(struct contract *c, struct contract_field *f)
{
    f->input_index = c->input_count;
    c->inputs[c->input_count++] = f;
    f->is_text = is_text(f);
    f->is_coded = !f->is_text && f->type == TYPE_STRING;
    if (f->is_text) {
        f->column = c->text_count;
        c->texts[c->text_count++] = f;
    } else {
        f->column = c->value_count;
        c->values[c->value_count++] = f;
    }
    f->is_plain = f->type == TYPE_NUMBER && !f->is_text && f->missing_number_count == 0;
}

static enum err_code name_twice(const struct contract_field *a, const struct contract_field *b,
                                struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "schema[0].properties[%d].name: '%s' is already the name of properties[%d]",
                   b->index, b->name, a->index);
}

static enum err_code place_fields(struct contract *c, struct err *err)
{
    for (int i = 0; i < c->field_count; i++) {
        struct contract_field *f = &c->fields[i];
        struct str name = {f->name, f->name_len};
        const struct contract_field *other = map_find(&c->field_by_name, name);
        if (other)
            return name_twice(other, f, err);
        map_put(&c->field_by_name, name, f);
        f->column = f->input_index = -1;
        if (is_input(f))
            place_input(c, f);
        else if (f->role == ROLE_PREDICTION && !c->prediction)
            c->prediction = f;
        else if (f->role == ROLE_SCORE && !c->score)
            c->score = f;
    }
    if (c->input_count == 0)
        return err_set(err, ERR_INVALID, "schema[0].properties: no field is an input of the model");
    return ERR_OK;
}

static float to_f32(double value)
{
    return value > (double)FLT_MAX ? FLT_MAX : value < -(double)FLT_MAX ? -FLT_MAX : (float)value;
}

/* The smallest and largest float32 that obey the field's bounds. */
static void bounds_of(const struct contract_field *f, float *low, float *high)
{
    *low = -FLT_MAX;
    *high = FLT_MAX;
    if (f->is_coded) {
        *low = 0;
        *high = (float)(f->category_count - 1);
    } else if (f->type == TYPE_BOOLEAN) {
        *low = 0;
        *high = 1;
    }
    if (f->has_min)
        *low = f->is_min_exclusive ? nextafterf(to_f32(f->min), FLT_MAX) : to_f32(f->min);
    if (f->has_max)
        *high = f->is_max_exclusive ? nextafterf(to_f32(f->max), -FLT_MAX) : to_f32(f->max);
    if (f->type == TYPE_INTEGER) {
        *low = ceilf(*low);
        *high = floorf(*high);
    }
}

static bool is_special(const struct contract_field *f)
{
    return f->listed_count > 0 || f->missing_number_count > 0;
}

static bool make_vectors(struct contract *c)
{
    size_t count = (size_t)c->value_count;
    float *low = arena_alloc_aligned(c->arena, count * sizeof(*low), 64);
    float *high = arena_alloc_aligned(c->arena, count * sizeof(*high), 64);
    uint32_t *required = arena_alloc_aligned(c->arena, count * sizeof(*required), 64);
    uint32_t *whole = arena_alloc_aligned(c->arena, count * sizeof(*whole), 64);
    int *features = arena_calloc(c->arena, count, sizeof(*features));
    int *special = arena_calloc(c->arena, count, sizeof(*special));
    if (!low || !high || !required || !whole || !features || !special)
        return false;
    c->is_feature_prefix = true;
    for (int i = 0; i < c->value_count; i++) {
        const struct contract_field *f = c->values[i];
        bounds_of(f, &low[i], &high[i]);
        required[i] = f->is_required;
        whole[i] = f->type != TYPE_NUMBER;
        c->has_whole = c->has_whole || whole[i];
        if (is_special(f))
            special[c->special_count++] = i;
        if (f->role == ROLE_FEATURE) {
            c->is_feature_prefix = c->is_feature_prefix && i == c->feature_count;
            features[c->feature_count++] = i;
        }
    }
    c->low = low;
    c->high = high;
    c->is_required = required;
    c->is_whole = whole;
    c->feature_columns = features;
    c->special_columns = special;
    return true;
}

static enum err_code make_columns(struct contract *c, struct err *err)
{
    size_t count = (size_t)c->field_count;
    c->inputs = arena_calloc(c->arena, count, sizeof(*c->inputs));
    c->values = arena_calloc(c->arena, count, sizeof(*c->values));
    c->texts = arena_calloc(c->arena, count, sizeof(*c->texts));
    map_init(&c->field_by_name);
    if (!c->inputs || !c->values || !c->texts)
        return err_set(err, ERR_LIMIT, "the contract needs more memory than is allowed");
    enum err_code code = place_fields(c, err);
    if (!code && !make_vectors(c))
        code = err_set(err, ERR_LIMIT, "the contract needs more memory than is allowed");
    return code;
}

/* --- life ------------------------------------------------------------------------------------- */

/* What is not arena memory; runs when the contract's arena is freed. */
static void release(void *arg)
{
    struct contract *c = arg;
    for (int i = 0; i < c->field_count; i++) {
        map_done(&c->fields[i].category_codes);
        pattern_free(c->fields[i].pattern_code);
    }
    map_done(&c->field_by_name);
}

static struct contract *contract_new(void)
{
    struct arena *arena = arena_new(CONTRACT_MEMORY_BYTES_MAX);
    struct contract *c = arena_calloc(arena, 1, sizeof(*c));
    assert(c);
    *c = (struct contract){.magic = CONTRACT_MAGIC, .arena = arena};
    map_init(&c->field_by_name);
    int rc = arena_defer(arena, release, c);
    assert(rc == 0);
    (void)rc;
    return c;
}

enum err_code contract_parse(struct str document, struct contract **contract, struct err *err)
{
    yyjson_val *root = NULL;
    if (document.len > CONTRACT_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "a contract may have at most %d bytes, this one has %zu",
                       (int)CONTRACT_BYTES_MAX, document.len);
    struct arena *scratch = arena_new(CONTRACT_MEMORY_BYTES_MAX);
    struct contract *c = contract_new();
    enum err_code code = yaml_read(document, scratch, &root, err);
    if (!code)
        code = odcs_read(root, c, err);
    if (!code)
        code = make_columns(c, err);
    arena_free(scratch);
    if (code)
        contract_free(c);
    else
        *contract = c;
    return code;
}

void contract_free(struct contract *c)
{
    if (!c)
        return;
    CHECK_MAGIC(c, CONTRACT_MAGIC);
    arena_free(c->arena);
}

/* --- finding ---------------------------------------------------------------------------------- */

const struct contract_field *contract_field_find(const struct contract *c, struct str name)
{
    CHECK_MAGIC(c, CONTRACT_MAGIC);
    const struct contract_field *f = map_find(&c->field_by_name, name);
    return f && f->input_index >= 0 ? f : NULL;
}

const struct contract_field *contract_field_nearest(const struct contract *c, struct str name)
{
    const char *names[NEAREST_NAMES_MAX];
    int count = c->input_count < NEAREST_NAMES_MAX ? c->input_count : NEAREST_NAMES_MAX;
    for (int i = 0; i < count; i++)
        names[i] = c->inputs[i]->name;
    size_t near = nearest_name(name, names, (size_t)count);
    return near < (size_t)count ? c->inputs[near] : NULL;
}
