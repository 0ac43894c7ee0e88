/* odcs.c - the document around the fields: identity, owner, freshness, custom properties. */
#include "contract/odcs.h"

#include <math.h>

#include "base/clock.h"
#include "base/nearest.h"

#define DELAY_MAX_US (INT64_C(3650) * 86400 * CLOCK_SECOND_US)

static const char *const root_keys[] = {
    "version",
    "kind",
    "apiVersion",
    "id",
    "name",
    "tenant",
    "tags",
    "status",
    "servers",
    "dataProduct",
    "domain",
    "description",
    "schema",
    "support",
    "price",
    "team",
    "roles",
    "slaDefaultElement",
    "slaProperties",
    "authoritativeDefinitions",
    "customProperties",
    "contractCreatedTs",
    NULL,
};

static const char *const schema_keys[] = {
    "id",
    "name",
    "physicalType",
    "description",
    "businessName",
    "authoritativeDefinitions",
    "tags",
    "customProperties",
    "logicalType",
    "physicalName",
    "dataGranularityDescription",
    "properties",
    "relationships",
    "quality",
    NULL,
};

static const char *const custom_keys[] = {"id", "property", "value", "description", NULL};

static const char *const document_customs[] = {
    "slipwayDecisionThreshold", "slipwayCompatibility", "slipwayDrift",
    "slipwayReferenceDigest",   "slipwayTrainingRows",  "slipwayQualityFloor",
    "slipwayRankingGroup",      "slipwayLabelDelay",    NULL,
};

enum err_code odcs_unknown_custom(struct place *place, struct str property,
                                  const char *const *known)
{
    if (!str_starts_with(property, STR_LIT("slipway")))
        return ERR_OK;
    size_t count = 0;
    while (known[count]) {
        if (str_equal_c(property, known[count]))
            return ERR_OK;
        count++;
    }
    if (property.len > 64)
        property.len = 64;
    enum err_code code = place_fail(place, "unknown property '%.*s'", STR_ARG(property));
    size_t near = nearest_name(property, known, count);
    return near < count ? err_hint(place->err, "did you mean '%s'?", known[near]) : code;
}

static enum err_code visit_custom(struct place *place, yyjson_val *custom, odcs_custom_fn *fn,
                                  void *arg)
{
    if (!yyjson_is_obj(custom))
        return place_fail(place, "expected an object with property and value, got %s",
                          place_describe(place, custom));
    enum err_code code = place_check_keys(place, custom, custom_keys);
    if (code)
        return code;
    yyjson_val *name = yyjson_obj_get(custom, "property");
    yyjson_val *value = yyjson_obj_get(custom, "value");
    if (!yyjson_is_str(name))
        return place_fail_at(place, "property", "expected a name");
    if (!value)
        return place_fail_at(place, "value", "is missing");
    return fn(arg, place, json_str(name), value);
}

enum err_code odcs_each_custom(struct place *place, yyjson_val *object, odcs_custom_fn *fn,
                               void *arg)
{
    yyjson_val *customs = NULL, *custom;
    size_t i, count;
    enum err_code code = place_array(place, object, "customProperties", &customs);
    if (code || !customs)
        return code;
    yyjson_arr_foreach(customs, i, count, custom)
    {
        size_t mark = place_push(place, "%scustomProperties[%zu]", place->len ? "." : "", i);
        code = visit_custom(place, custom, fn, arg);
        if (code)
            return code;
        place_pop(place, mark);
    }
    return ERR_OK;
}

static enum err_code read_threshold(struct place *place, yyjson_val *value, double *out)
{
    double number = yyjson_get_num(value);
    if (!yyjson_is_num(value) || !isfinite(number))
        return place_fail_at(place, "value", "expected a number, got %s",
                             place_describe(place, value));
    *out = number;
    return ERR_OK;
}

/* {accuracy: 0.85} */
static enum err_code read_floor(struct place *place, yyjson_val *value, double *out)
{
    yyjson_val *accuracy = yyjson_is_obj(value) ? yyjson_obj_get(value, "accuracy") : NULL;
    double number = yyjson_is_num(accuracy) ? yyjson_get_num(accuracy) : 0;
    if (!accuracy || yyjson_obj_size(value) != 1 || !(number > 0 && number < 1))
        return place_fail_at(place, "value",
                             "expected {accuracy: a number between 0 and 1}, got %s",
                             place_describe(place, value));
    *out = number;
    return ERR_OK;
}

/* "14d" */
static enum err_code read_delay(struct place *place, yyjson_val *value, int64_t *out)
{
    int64_t us;
    if (!yyjson_is_str(value) || !str_to_span_us(json_str(value), &us) || us <= 0 ||
        us > DELAY_MAX_US)
        return place_fail_at(place, "value",
                             "expected a time with its unit up to 3650d, such as 14d, got %s",
                             place_describe(place, value));
    *out = us;
    return ERR_OK;
}

/* The fields are read before it. */
static enum err_code read_group(struct place *place, yyjson_val *value, struct contract *c)
{
    for (int i = 0; i < c->field_count; i++) {
        const struct contract_field *f = &c->fields[i];
        bool is_input =
            f->role != ROLE_PREDICTION && f->role != ROLE_SCORE && f->role != ROLE_LABEL;
        if (is_input && yyjson_is_str(value) && str_equal_c(json_str(value), f->name)) {
            c->ranking_group = f;
            return ERR_OK;
        }
    }
    return place_fail_at(place, "value", "expected the name of an input field, got %s",
                         place_describe(place, value));
}

static enum err_code read_document_custom(void *arg, struct place *place, struct str property,
                                          yyjson_val *value)
{
    static const char *const modes[] = {"backward", "none", NULL};
    struct contract *c = arg;
    if (str_equal_c(property, "slipwayDecisionThreshold"))
        return read_threshold(place, value, &c->decision_threshold);
    if (str_equal_c(property, "slipwayQualityFloor"))
        return read_floor(place, value, &c->accuracy_floor);
    if (str_equal_c(property, "slipwayLabelDelay"))
        return read_delay(place, value, &c->label_delay_us);
    if (str_equal_c(property, "slipwayRankingGroup"))
        return read_group(place, value, c);
    if (!str_equal_c(property, "slipwayCompatibility"))
        return odcs_unknown_custom(place, property, document_customs);
    for (int i = 0; modes[i]; i++) {
        if (yyjson_is_str(value) && str_equal_c(json_str(value), modes[i])) {
            c->compatibility = modes[i];
            return ERR_OK;
        }
    }
    return place_fail_at(place, "value", "expected backward or none, got %s",
                         place_describe(place, value));
}

static enum err_code read_identity(struct place *place, yyjson_val *root, struct contract *c)
{
    const char *api_version = NULL, *kind = NULL;
    enum err_code code = ERR_OK;
    c->id = c->version = c->status = NULL;
    c->name = "";
    if ((code = place_text(place, root, "apiVersion", &api_version)) ||
        (code = place_text(place, root, "kind", &kind)) ||
        (code = place_text(place, root, "id", &c->id)) ||
        (code = place_text(place, root, "name", &c->name)) ||
        (code = place_text(place, root, "version", &c->version)) ||
        (code = place_text(place, root, "status", &c->status)))
        return code;
    if (!kind || strcmp(kind, "DataContract") != 0)
        return place_fail_at(place, "kind", "expected DataContract, got %s",
                             kind ? kind : "nothing");
    if (!api_version || strncmp(api_version, "v3.", 3) != 0) {
        place_fail_at(place, "apiVersion", "expected v3.1.0, got %s",
                      api_version ? api_version : "nothing");
        return err_hint(place->err, "contracts follow the Open Data Contract Standard v3.1.0");
    }
    const char *absent = !c->id ? "id" : !c->version ? "version" : !c->status ? "status" : NULL;
    return absent ? place_fail_at(place, absent, "is required") : ERR_OK;
}

static enum err_code read_members(struct place *place, yyjson_val *members, struct contract *c)
{
    size_t i, count;
    yyjson_val *member;
    yyjson_arr_foreach(members, i, count, member)
    {
        const char *role = "", *username = "";
        size_t mark = place_push(place, "[%zu]", i);
        if (!yyjson_is_obj(member))
            return place_fail(place, "expected an object with a username");
        enum err_code code = place_text(place, member, "role", &role);
        if (!code)
            code = place_text(place, member, "username", &username);
        if (code)
            return code;
        if (!*username)
            return place_fail_at(place, "username", "is required");
        if (!*c->owner && strcmp(role, "owner") == 0)
            c->owner = username;
        place_pop(place, mark);
    }
    return ERR_OK;
}

/* v3.1 has an object with members; the list of v3.0 is deprecated but valid. */
static enum err_code read_team(struct place *place, yyjson_val *root, struct contract *c)
{
    yyjson_val *team = yyjson_obj_get(root, "team"), *members = NULL;
    c->owner = "";
    if (!team || yyjson_is_null(team))
        return ERR_OK;
    size_t mark = place_push(place, "team");
    if (yyjson_is_arr(team)) {
        members = team;
    } else if (yyjson_is_obj(team)) {
        enum err_code code = place_array(place, team, "members", &members);
        if (code)
            return code;
        place_push(place, ".members");
    } else {
        return place_fail(place, "expected an object with members, got %s",
                          place_describe(place, team));
    }
    enum err_code code = members ? read_members(place, members, c) : ERR_OK;
    if (!code)
        place_pop(place, mark);
    return code;
}

/* Microseconds of an SLA unit; 0 when it is none of ours. */
static double unit_us(const char *unit)
{
    static const struct {
        const char *names[3];
        double seconds;
    } units[] = {
        {{"s", "second", "seconds"}, 1},    {{"m", "minute", "minutes"}, 60},
        {{"min", "minute", "minutes"}, 60}, {{"h", "hour", "hours"}, 3600},
        {{"d", "day", "days"}, 86400},
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        for (int k = 0; k < 3; k++)
            if (strcmp(unit, units[i].names[k]) == 0)
                return units[i].seconds * (double)CLOCK_SECOND_US;
    return 0;
}

/* "booking.timestamp" -> "timestamp": the element names the object first. */
static const char *field_of_element(const char *element)
{
    const char *dot = strrchr(element, '.');
    return dot ? dot + 1 : element;
}

static enum err_code read_latency(struct place *place, yyjson_val *sla, struct contract *c)
{
    const char *unit = "d", *element = "";
    double value = 0;
    bool is_there = false;
    enum err_code code = place_text(place, sla, "unit", &unit);
    if (!code)
        code = place_text(place, sla, "element", &element);
    if (!code)
        code = place_number(place, sla, "value", &value, &is_there);
    if (code)
        return code;
    if (!is_there || !(value > 0 && value <= 1e6))
        return place_fail_at(place, "value", "expected a number above 0 and up to 1e6");
    if (unit_us(unit) == 0) {
        place_fail_at(place, "unit", "unknown unit '%s'", unit);
        return err_hint(place->err, "use s, min, h or d");
    }
    c->freshness_us = (int64_t)(value * unit_us(unit));
    c->freshness_field = field_of_element(element);
    return ERR_OK;
}

static enum err_code read_slas(struct place *place, yyjson_val *root, struct contract *c)
{
    yyjson_val *slas = NULL, *sla;
    size_t i, count;
    c->freshness_field = "";
    enum err_code code = place_array(place, root, "slaProperties", &slas);
    if (code || !slas)
        return code;
    yyjson_arr_foreach(slas, i, count, sla)
    {
        const char *property = "";
        size_t mark = place_push(place, "slaProperties[%zu]", i);
        if (!yyjson_is_obj(sla))
            return place_fail(place, "expected an object");
        code = place_text(place, sla, "property", &property);
        if (!code && strcmp(property, "latency") == 0)
            code = read_latency(place, sla, c);
        if (code)
            return code;
        place_pop(place, mark);
    }
    return ERR_OK;
}

static enum err_code read_fields(struct place *place, yyjson_val *properties, struct contract *c)
{
    size_t i, count = yyjson_arr_size(properties);
    yyjson_val *property;
    if (count == 0 || count > CONTRACT_FIELDS_MAX)
        return place_fail_at(place, "properties", "expected 1 to %d fields, got %zu",
                             (int)CONTRACT_FIELDS_MAX, count);
    c->fields = arena_calloc(c->arena, count, sizeof(*c->fields));
    if (!c->fields)
        return place_full(place);
    yyjson_arr_foreach(properties, i, count, property)
    {
        size_t mark = place_push(place, ".properties[%zu]", i);
        struct contract_field *field = &c->fields[i];
        /* Counted first, so that contract_free sees the pattern of a field that fails later. */
        c->field_count = (int)i + 1;
        enum err_code code = odcs_read_field(place, property, field);
        if (code)
            return code;
        field->index = (int)i;
        place_pop(place, mark);
    }
    return ERR_OK;
}

static enum err_code read_schema(struct place *place, yyjson_val *root, struct contract *c)
{
    yyjson_val *schemas = NULL, *properties = NULL;
    const char *name = NULL;
    enum err_code code = place_array(place, root, "schema", &schemas);
    if (code)
        return code;
    if (!schemas || yyjson_arr_size(schemas) == 0)
        return place_fail_at(place, "schema", "expected a list with the object a row is");
    yyjson_val *schema = yyjson_arr_get_first(schemas);
    size_t mark = place_push(place, "schema[0]");
    if (!yyjson_is_obj(schema))
        return place_fail(place, "expected an object, got %s", place_describe(place, schema));
    if ((code = place_check_keys(place, schema, schema_keys)) ||
        (code = place_text(place, schema, "name", &name)) ||
        (code = place_array(place, schema, "properties", &properties)))
        return code;
    if (!name)
        return place_fail_at(place, "name", "is required");
    code = read_fields(place, properties, c);
    if (!code)
        place_pop(place, mark);
    return code;
}

enum err_code odcs_read(yyjson_val *root, struct contract *c, struct err *err)
{
    struct place place = {.arena = c->arena, .err = err};
    enum err_code code;
    c->decision_threshold = 0.5;
    c->compatibility = "backward";
    if (!yyjson_is_obj(root))
        return place_fail(&place, "expected an object, got %s", place_describe(&place, root));
    if ((code = place_check_keys(&place, root, root_keys)) ||
        (code = read_identity(&place, root, c)) || (code = read_team(&place, root, c)) ||
        (code = read_slas(&place, root, c)) || (code = read_schema(&place, root, c)))
        return code;
    return odcs_each_custom(&place, root, read_document_custom, c);
}
