/* condition.c - a parsed condition against one row: no memory, no lock, no more than its tests. */
#include "review/condition.h"

#include <math.h>

#include "base/check.h"
#include "monitor/ood.h"
#include "review/condition_node.h"

enum { PLACE_NONE = 0x7fffffff, PLACE_TEXT = 1 << 30 };

/* What a test's value is in one row. */
struct reading {
    bool is_there, is_text;
    struct str text;
    float number;
};

/* ---- where a version keeps it ---- */

static uint32_t find_field(const struct record_schema *schema, struct str name)
{
    for (int i = 0; i < schema->value_count; i++)
        if (str_equal_c(name, schema->values[i].name))
            return (uint32_t)i;
    for (int i = 0; i < schema->text_count; i++)
        if (str_equal_c(name, schema->texts[i].name))
            return PLACE_TEXT | (uint32_t)i;
    return PLACE_NONE;
}

static uint32_t find_class(const struct record_schema *schema, struct str name)
{
    int64_t index;
    for (int i = 0; i < schema->class_count; i++) {
        struct str class_name = record_class_name(schema, i);
        if (class_name.ptr && str_equal(class_name, name))
            return (uint32_t)i;
    }
    if (!schema->class_names && str_to_i64(name, &index) && index >= 0 &&
        index < schema->class_count)
        return (uint32_t)index;
    return PLACE_NONE;
}

static uint32_t place_of(const struct condition_test *test, const struct record_schema *schema)
{
    uint64_t known = atomic_load_explicit(test->place, memory_order_relaxed);
    if (known >> 32 == schema->serial && (uint32_t)known)
        return (uint32_t)known - 1;
    uint32_t place = test->value == VALUE_FIELD ? find_field(schema, test->name)
                                                : find_class(schema, test->name);
    atomic_store_explicit(test->place, (uint64_t)schema->serial << 32 | (place + 1),
                          memory_order_relaxed);
    return place;
}

/* ---- values ---- */

static struct reading read_number(float number)
{
    return (struct reading){.is_there = !isnan(number), .number = number};
}

static struct reading read_text(struct str text)
{
    double number;
    struct reading reading = {.is_there = text.ptr != NULL, .is_text = true, .text = text};
    reading.number = text.ptr && str_to_f64(text, &number) ? (float)number : NAN;
    return reading;
}

static struct reading read_field(const struct condition_test *test,
                                 const struct condition_facts *facts)
{
    const struct record *record = facts->record;
    const struct record_schema *schema = record->schema;
    uint32_t place = place_of(test, schema);
    if (place == PLACE_NONE)
        return (struct reading){0};
    if (place & PLACE_TEXT) {
        int64_t column = place & ~(uint32_t)PLACE_TEXT;
        return record->texts ? read_text(record->texts[facts->row * schema->text_count + column])
                             : (struct reading){0};
    }
    if (!record->values)
        return (struct reading){0};
    const struct record_column *column = &schema->values[place];
    float value = record->values[facts->row * schema->value_count + place];
    if (column->category_count == 0 || isnan(value))
        return read_number(value);
    bool is_code = value >= 0 && value < (float)column->category_count;
    return is_code ? read_text(column->categories[(int)value]) : (struct reading){0};
}

static struct reading read_answer(const struct condition_facts *facts)
{
    if (!facts->has_answer)
        return (struct reading){0};
    if (!facts->answer.is_class)
        return read_number(facts->answer.value);
    struct str name = record_class_name(facts->record->schema, facts->answer.class_index);
    return name.ptr ? read_text(name) : read_number((float)facts->answer.class_index);
}

static struct reading read_score_of(const struct condition_test *test,
                                    const struct condition_facts *facts)
{
    uint32_t place = place_of(test, facts->record->schema);
    if (!facts->has_answer || !facts->answer.has_score || place == PLACE_NONE)
        return (struct reading){0};
    return read_number(record_answer_probability(facts->record, facts->row, (int)place));
}

static struct reading read_value(const struct condition_test *test,
                                 const struct condition_facts *facts)
{
    switch (test->value) {
    case VALUE_SCORE:
        return facts->has_answer && facts->answer.has_score ? read_number(facts->answer.score)
                                                            : (struct reading){0};
    case VALUE_SCORE_OF:
        return read_score_of(test, facts);
    case VALUE_ANSWER:
        return read_answer(facts);
    case VALUE_VIOLATIONS:
        return read_number((float)facts->record->violation_count);
    case VALUE_OOD:
        return read_number((float)ood_of_row(facts->record, facts->row));
    case VALUE_FIELD:
        return read_field(test, facts);
    default:
        return (struct reading){0};
    }
}

/* ---- tests ---- */

static bool is_one_of(const struct condition_test *test, const struct reading *reading)
{
    for (int i = 0; i < test->literal_count; i++) {
        const struct condition_literal *literal = &test->literals[i];
        if (literal->is_text ? reading->is_text && str_equal(reading->text, literal->text)
                             : reading->number == literal->number)
            return true;
    }
    return false;
}

static bool test_holds(const struct condition_test *test, const struct condition_facts *facts)
{
    if (test->value == VALUE_SUSPECT)
        return facts->record->is_suspect && facts->record->is_suspect[facts->row];
    if (test->value == VALUE_DISAGREES)
        return facts->is_disagreement;
    struct reading reading = read_value(test, facts);
    if (test->verb == VERB_MISSING)
        return !reading.is_there;
    if (!reading.is_there)
        return false;
    switch (test->verb) {
    case VERB_LESS:
        return reading.number < test->number;
    case VERB_LESS_EQUAL:
        return reading.number <= test->number;
    case VERB_GREATER:
        return reading.number > test->number;
    case VERB_GREATER_EQUAL:
        return reading.number >= test->number;
    case VERB_BETWEEN:
        return reading.number >= test->number && reading.number <= test->high;
    default:
        return is_one_of(test, &reading);
    }
}

bool condition_holds(const struct condition *condition, const struct condition_facts *facts)
{
    bool stack[CONDITION_TESTS_MAX];
    int depth = 0;
    for (int i = 0; i < condition->node_count; i++) {
        const struct condition_node *node = &condition->nodes[i];
        if (node->step == STEP_TEST) {
            assert(depth < CONDITION_TESTS_MAX);
            stack[depth++] = test_holds(&condition->tests[node->test], facts);
        } else if (node->step == STEP_NOT) {
            assert(depth >= 1);
            stack[depth - 1] = !stack[depth - 1];
        } else {
            assert(depth >= 2);
            bool b = stack[--depth], a = stack[depth - 1];
            stack[depth - 1] = node->step == STEP_AND ? a && b : a || b;
        }
    }
    assert(depth == 1);
    return stack[0];
}

struct condition_facts condition_facts_of(const struct record *record, int64_t row)
{
    struct condition_facts facts = {.record = record, .row = row};
    facts.has_answer = record_answer_read(record, row, &facts.answer);
    return facts;
}

bool condition_needs_shadow(const struct condition *condition)
{
    return condition->needs_shadow;
}

bool condition_needs_training(const struct condition *condition)
{
    return condition->needs_training;
}

struct str condition_name(const struct condition *condition, int i, bool *is_class)
{
    for (int test = 0; test < condition->test_count; test++) {
        const struct condition_test *t = &condition->tests[test];
        if (t->value != VALUE_FIELD && t->value != VALUE_SCORE_OF)
            continue;
        if (i-- == 0) {
            *is_class = t->value == VALUE_SCORE_OF;
            return t->name;
        }
    }
    return (struct str){0};
}
