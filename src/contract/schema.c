/* schema.c - the contract of one row in the words of JSON Schema 2020-12.
 *
 * Only what makes the server refuse a row becomes a rule; what it merely flags or counts is an
 * annotation (x-slipway-...), so that a row that validates here is answered there.
 */
#include "contract/schema.h"

static const char *type_word(const struct contract_field *f)
{
    switch (f->type) {
    case TYPE_NUMBER:
        return "number";
    case TYPE_INTEGER:
        return "integer";
    case TYPE_BOOLEAN:
        return "boolean";
    case TYPE_STRING:
    case TYPE_DATE:
    case TYPE_TIMESTAMP:
        break;
    }
    return "string";
}

static bool must_be_there(const struct contract_field *f)
{
    return f->is_required && f->policy[RULE_MISSING] == POLICY_REJECT;
}

static bool is_number(const struct contract_field *f)
{
    return f->type == TYPE_NUMBER || f->type == TYPE_INTEGER;
}

/* Keys of a numeric type may come as their digits, numbers as one of their missing markers. */
static void put_types(struct json_writer *w, const struct contract_field *f)
{
    const char *word = type_word(f);
    bool or_text = strcmp(word, "string") != 0 && f->is_text;
    json_key(w, "type");
    if (must_be_there(f) && !or_text) {
        json_put_text(w, word);
        return;
    }
    json_begin_array(w);
    json_put_text(w, word);
    if (or_text)
        json_put_text(w, "string");
    if (!must_be_there(f))
        json_put_text(w, "null");
    json_end_array(w);
}

static void put_bound(struct json_writer *w, bool is_there, bool is_exclusive, const char *key,
                      const char *exclusive_key, double bound)
{
    if (!is_there)
        return;
    json_key(w, is_exclusive ? exclusive_key : key);
    json_put_f64(w, bound);
}

static void put_range(struct json_writer *w, const struct contract_field *f)
{
    bool is_rule = f->policy[RULE_RANGE] == POLICY_REJECT;
    if (!f->has_min && !f->has_max)
        return;
    if (!is_rule) {
        json_key(w, "x-slipway-expected");
        json_begin_object(w);
    }
    put_bound(w, f->has_min, f->is_min_exclusive, "minimum", "exclusiveMinimum", f->min);
    put_bound(w, f->has_max, f->is_max_exclusive, "maximum", "exclusiveMaximum", f->max);
    if (!is_rule)
        json_end_object(w);
}

static void put_list(struct json_writer *w, const struct contract_field *f)
{
    if (f->category_count == 0 && f->listed_count == 0)
        return;
    bool is_rule = f->policy[RULE_CATEGORY] == POLICY_REJECT;
    json_key(w, is_rule ? "enum" : "x-slipway-categories");
    json_begin_array(w);
    for (int i = 0; i < f->category_count; i++)
        json_put_str(w, f->categories[i]);
    for (int i = 0; f->category_count == 0 && i < f->listed_count; i++)
        json_put_f64(w, f->listed[i]);
    for (int i = 0; is_rule && f->type == TYPE_STRING && i < f->missing_marker_count; i++)
        if (!map_find(&f->category_codes, f->missing_markers[i]))
            json_put_str(w, f->missing_markers[i]);
    if (is_rule && !must_be_there(f))
        json_put_null(w);
    json_end_array(w);
}

static void put_text_rules(struct json_writer *w, const struct contract_field *f)
{
    if (f->category_count || f->policy[RULE_PATTERN] != POLICY_REJECT)
        return;
    if (f->length_min > 0) {
        json_key(w, "minLength");
        json_put_i64(w, f->length_min);
    }
    if (f->length_max >= 0) {
        json_key(w, "maxLength");
        json_put_i64(w, f->length_max);
    }
    if (f->pattern) {
        json_key(w, "pattern");
        json_put_text(w, f->pattern);
    }
}

static void put_note(struct json_writer *w, const char *key, const char *text)
{
    if (!*text)
        return;
    json_key(w, key);
    json_put_text(w, text);
}

static void put_rules(struct json_writer *w, const struct contract_field *f)
{
    put_types(w, f);
    if (f->type == TYPE_STRING)
        put_text_rules(w, f);
    if (f->type == TYPE_DATE || f->type == TYPE_TIMESTAMP)
        put_note(w, f->format ? "x-slipway-format" : "format",
                 f->format              ? f->format
                 : f->type == TYPE_DATE ? "date"
                                        : "date-time");
    put_list(w, f);
    put_range(w, f);
}

/* A number that may be missing can be said by a marker in text: either form is right. */
static void put_field(struct json_writer *w, const struct contract_field *f)
{
    bool has_marker =
        is_number(f) && !f->is_text && f->missing_marker_count > 0 && !must_be_there(f);
    json_begin_object(w);
    put_note(w, "description", f->description);
    put_note(w, "x-slipway-unit", f->unit);
    put_note(w, "x-slipway-role", contract_role_name(f->role));
    if (has_marker) {
        json_key(w, "anyOf");
        json_begin_array(w);
        json_begin_object(w);
    }
    put_rules(w, f);
    if (has_marker) {
        json_end_object(w);
        json_begin_object(w);
        json_key(w, "enum");
        json_begin_array(w);
        for (int i = 0; i < f->missing_marker_count; i++)
            json_put_str(w, f->missing_markers[i]);
        for (int i = 0; i < f->missing_number_count; i++)
            json_put_f64(w, f->missing_numbers[i]);
        json_end_array(w);
        json_end_object(w);
        json_end_array(w);
    }
    json_end_object(w);
}

void contract_json_schema(const struct contract *c, struct buf *out)
{
    struct json_writer w = {.out = out};
    json_begin_object(&w);
    put_note(&w, "$schema", "https://json-schema.org/draft/2020-12/schema");
    put_note(&w, "title", *c->name ? c->name : c->id);
    put_note(&w, "type", "object");
    json_key(&w, "properties");
    json_begin_object(&w);
    for (int i = 0; i < c->input_count; i++) {
        json_key(&w, c->inputs[i]->name);
        put_field(&w, c->inputs[i]);
    }
    json_end_object(&w);
    json_key(&w, "required");
    json_begin_array(&w);
    for (int i = 0; i < c->input_count; i++)
        if (must_be_there(c->inputs[i]))
            json_put_text(&w, c->inputs[i]->name);
    json_end_array(&w);
    json_key(&w, "additionalProperties");
    json_put_bool(&w, false);
    json_end_object(&w);
}
