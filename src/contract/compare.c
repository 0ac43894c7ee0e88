/* compare.c - what changed between the contracts of two versions, and whether callers notice. */
#include "contract/compare.h"

#include <float.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

struct differ {
    const struct contract *before, *after;
    struct arena *arena;
    struct contract_change *changes; /* [CONTRACT_CHANGES_MAX] */
    int count;
    bool is_broken;
    bool is_full; /* the arena is */
};

enum change_kind { SAFE, BREAKING };

static void note(struct differ *d, enum change_kind kind, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void note(struct differ *d, enum change_kind kind, const char *field, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    d->is_broken = d->is_broken || kind == BREAKING;
    if (d->count == CONTRACT_CHANGES_MAX)
        return;
    struct contract_change *change = &d->changes[d->count++];
    change->is_breaking = kind == BREAKING;
    change->field = arena_copy(d->arena, field, strlen(field));
    change->text = arena_copy(d->arena, text, strlen(text));
    d->is_full = d->is_full || !change->field || !change->text;
}

static const char *quoted_or(const char *text, const char *otherwise, char *out, size_t size)
{
    if (!text || !*text)
        return otherwise;
    snprintf(out, size, "'%.200s'", text);
    return out;
}

/* --- one field in both ------------------------------------------------------------------------ */

static void compare_type(struct differ *d, const struct contract_field *a,
                         const struct contract_field *b)
{
    if (a->type == b->type)
        return;
    bool is_wider = a->type == TYPE_INTEGER && b->type == TYPE_NUMBER;
    note(d, is_wider ? SAFE : BREAKING, a->name, "type changed from %s to %s",
         contract_type_name(a->type), contract_type_name(b->type));
}

static void compare_unit(struct differ *d, const struct contract_field *a,
                         const struct contract_field *b)
{
    char was[210], is[210];
    if (strcmp(a->unit, b->unit) == 0)
        return;
    note(d, *a->unit ? BREAKING : SAFE, a->name, "unit changed from %s to %s",
         quoted_or(a->unit, "not stated", was, sizeof(was)),
         quoted_or(b->unit, "not stated", is, sizeof(is)));
}

static bool must_be_there(const struct contract_field *f)
{
    return f->is_required && f->policy[RULE_MISSING] == POLICY_REJECT;
}

static void compare_required(struct differ *d, const struct contract_field *a,
                             const struct contract_field *b)
{
    if (must_be_there(b) && !must_be_there(a))
        note(d, BREAKING, a->name, "a missing value was accepted and is now rejected");
    else if (must_be_there(a) && !must_be_there(b))
        note(d, SAFE, a->name, "a missing value was rejected and is now accepted");
    else if (a->is_required != b->is_required)
        note(d, SAFE, a->name, "is %s required (a missing value is not rejected)",
             b->is_required ? "now" : "no longer");
}

/* The values that do not reject a request, as float32 like the check's. */
static void accepted_range(const struct contract *c, const struct contract_field *f, float *low,
                           float *high)
{
    bool is_hard = f->policy[RULE_RANGE] == POLICY_REJECT;
    *low = is_hard ? c->low[f->column] : -FLT_MAX;
    *high = is_hard ? c->high[f->column] : FLT_MAX;
}

static void range_text(const struct contract_field *f, char *out, size_t size)
{
    char low[40] = "-inf", high[40] = "inf";
    if (f->has_min)
        snprintf(low, sizeof(low), "%.9g", f->min);
    if (f->has_max)
        snprintf(high, sizeof(high), "%.9g", f->max);
    snprintf(out, size, "%s%s, %s%s (%s)", f->is_min_exclusive ? "(" : "[", low, high,
             f->is_max_exclusive ? ")" : "]", contract_policy_name(f->policy[RULE_RANGE]));
}

static void compare_range(struct differ *d, const struct contract_field *a,
                          const struct contract_field *b)
{
    char was[128], is[128];
    float low_a, high_a, low_b, high_b;
    bool are_numbers = a->type <= TYPE_INTEGER && b->type <= TYPE_INTEGER;
    if (!are_numbers || a->is_text || b->is_text)
        return;
    range_text(a, was, sizeof(was));
    range_text(b, is, sizeof(is));
    if (strcmp(was, is) == 0 || (!a->has_min && !a->has_max && !b->has_min && !b->has_max))
        return;
    accepted_range(d->before, a, &low_a, &high_a);
    accepted_range(d->after, b, &low_b, &high_b);
    bool is_narrower = low_b > low_a || high_b < high_a;
    note(d, is_narrower ? BREAKING : SAFE, a->name, "range changed from %s to %s", was, is);
}

/* --- lists ------------------------------------------------------------------------------------ */

static int code_of(const struct contract_field *f, struct str category)
{
    return (int)(uintptr_t)map_find(&f->category_codes, category) - 1;
}

/* Removed and moved categories of `a` in `b`; the first of each is named. */
static void compare_codes(struct differ *d, const struct contract_field *a,
                          const struct contract_field *b, const char *noun)
{
    int removed = 0, moved = 0, first_removed = 0, first_moved = 0;
    for (int i = a->category_count - 1; i >= 0; i--) {
        int code = code_of(b, a->categories[i]);
        if (code < 0) {
            removed++;
            first_removed = i;
        } else if (code != i) {
            moved++;
            first_moved = i;
        }
    }
    int added = b->category_count - (a->category_count - removed);
    if (removed)
        note(d, BREAKING, a->name, "%d %s removed: '%.*s'%s", removed, noun,
             STR_ARG(a->categories[first_removed]), removed > 1 ? ", ..." : "");
    if (moved)
        note(d, BREAKING, a->name, "codes of %d %s changed: '%.*s' was %d and is %d%s", moved, noun,
             STR_ARG(a->categories[first_moved]), first_moved,
             code_of(b, a->categories[first_moved]), moved > 1 ? ", ..." : "");
    if (added > 0)
        note(d, SAFE, a->name, "%d %s added", added, noun);
}

static void compare_categories(struct differ *d, const struct contract_field *a,
                               const struct contract_field *b)
{
    bool rejects_a = a->policy[RULE_CATEGORY] == POLICY_REJECT;
    bool rejects_b = b->policy[RULE_CATEGORY] == POLICY_REJECT;
    bool has_a = a->category_count || a->listed_count, has_b = b->category_count || b->listed_count;
    if (a->category_count && b->category_count)
        compare_codes(d, a, b, "categories");
    if (!has_a && has_b)
        note(d, rejects_b ? BREAKING : SAFE, a->name, "any value was accepted, now a list of %d",
             b->category_count ? b->category_count : b->listed_count);
    else if (has_a && !has_b)
        note(d, SAFE, a->name, "a list of values was expected, now any value is accepted");
    else if (has_b && rejects_a != rejects_b)
        note(d, rejects_b ? BREAKING : SAFE, a->name,
             "policy for unknown values changed from %s "
             "to %s",
             contract_policy_name(a->policy[RULE_CATEGORY]),
             contract_policy_name(b->policy[RULE_CATEGORY]));
}

static bool is_listed(const struct contract_field *f, double value)
{
    for (int i = 0; i < f->listed_count; i++)
        if (f->listed[i] == value)
            return true;
    return false;
}

static void compare_listed(struct differ *d, const struct contract_field *a,
                           const struct contract_field *b)
{
    int removed = 0;
    if (a->listed_count == 0 || b->listed_count == 0 || a->category_count || b->category_count)
        return;
    for (int i = 0; i < a->listed_count; i++)
        removed += !is_listed(b, a->listed[i]);
    int added = b->listed_count - (a->listed_count - removed);
    if (removed)
        note(d, BREAKING, a->name, "%d of the listed values removed", removed);
    if (added > 0)
        note(d, SAFE, a->name, "%d values added to the list", added);
}

static bool has_marker(const struct contract_field *f, struct str marker)
{
    for (int i = 0; i < f->missing_marker_count; i++)
        if (str_equal(f->missing_markers[i], marker))
            return true;
    return false;
}

static bool has_number_marker(const struct contract_field *f, double marker)
{
    for (int i = 0; i < f->missing_number_count; i++)
        if (f->missing_numbers[i] == marker)
            return true;
    return false;
}

/* A marker taken away is a text or a number from now on; a new one takes a value away. */
static void compare_markers(struct differ *d, const struct contract_field *a,
                            const struct contract_field *b)
{
    for (int i = 0; i < a->missing_marker_count; i++)
        if (!has_marker(b, a->missing_markers[i]))
            note(d, BREAKING, a->name, "'%.*s' no longer means missing",
                 STR_ARG(a->missing_markers[i]));
    for (int i = 0; i < a->missing_number_count; i++)
        if (!has_number_marker(b, a->missing_numbers[i]))
            note(d, BREAKING, a->name, "%.9g no longer means missing", a->missing_numbers[i]);
    for (int i = 0; i < b->missing_marker_count; i++)
        if (!has_marker(a, b->missing_markers[i]))
            note(d, must_be_there(b) ? BREAKING : SAFE, a->name, "'%.*s' now means missing",
                 STR_ARG(b->missing_markers[i]));
    for (int i = 0; i < b->missing_number_count; i++)
        if (!has_number_marker(a, b->missing_numbers[i]))
            note(d, must_be_there(b) ? BREAKING : SAFE, a->name, "%.9g now means missing",
                 b->missing_numbers[i]);
}

/* --- texts ------------------------------------------------------------------------------------ */

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void compare_texts(struct differ *d, const struct contract_field *a,
                          const struct contract_field *b)
{
    char was[210], is[210];
    bool rejects = b->policy[RULE_PATTERN] == POLICY_REJECT;
    bool rejected = a->policy[RULE_PATTERN] == POLICY_REJECT;
    if (!is_same(a->pattern, b->pattern))
        note(d, b->pattern && rejects ? BREAKING : SAFE, a->name, "pattern changed from %s to %s",
             quoted_or(a->pattern, "none", was, sizeof(was)),
             quoted_or(b->pattern, "none", is, sizeof(is)));
    else if (b->pattern && rejects != rejected)
        note(d, rejects ? BREAKING : SAFE, a->name, "text that does not match is %s rejected",
             rejects ? "now" : "no longer");
    bool is_longer = b->length_min > a->length_min;
    bool is_shorter = b->length_max >= 0 && (a->length_max < 0 || b->length_max < a->length_max);
    if (a->length_min != b->length_min || a->length_max != b->length_max)
        note(d, rejects && (is_longer || is_shorter) ? BREAKING : SAFE, a->name,
             "length limits changed from %lld..%lld to %lld..%lld", (long long)a->length_min,
             (long long)a->length_max, (long long)b->length_min, (long long)b->length_max);
    if (!is_same(a->format, b->format))
        note(d, BREAKING, a->name, "format changed from %s to %s",
             quoted_or(a->format, "ISO 8601", was, sizeof(was)),
             quoted_or(b->format, "ISO 8601", is, sizeof(is)));
}

static void compare_role(struct differ *d, const struct contract_field *a,
                         const struct contract_field *b)
{
    if (a->role == b->role)
        return;
    bool is_breaking = a->role == ROLE_KEY || b->role == ROLE_KEY || a->role > ROLE_SEGMENT ||
                       b->role > ROLE_SEGMENT;
    note(d, is_breaking ? BREAKING : SAFE, a->name, "role changed from %s to %s",
         contract_role_name(a->role), contract_role_name(b->role));
}

static void compare_field(struct differ *d, const struct contract_field *a,
                          const struct contract_field *b)
{
    compare_role(d, a, b);
    compare_type(d, a, b);
    compare_unit(d, a, b);
    if (a->input_index < 0 || b->input_index < 0) {
        compare_codes(d, a, b, "classes");
        return;
    }
    compare_required(d, a, b);
    compare_range(d, a, b);
    compare_categories(d, a, b);
    compare_listed(d, a, b);
    compare_markers(d, a, b);
    compare_texts(d, a, b);
}

/* --- the whole -------------------------------------------------------------------------------- */

static const struct contract_field *field_of(const struct contract *c, const char *name)
{
    return map_find(&c->field_by_name, str_of(name));
}

static void compare_fields(struct differ *d)
{
    for (int i = 0; i < d->before->field_count; i++) {
        const struct contract_field *a = &d->before->fields[i];
        const struct contract_field *b = field_of(d->after, a->name);
        if (b)
            compare_field(d, a, b);
        else if (a->role != ROLE_LABEL)
            note(d, BREAKING, a->name, "removed (was a %s)", contract_role_name(a->role));
        else
            note(d, SAFE, a->name, "removed (was the label)");
    }
    for (int i = 0; i < d->after->field_count; i++) {
        const struct contract_field *b = &d->after->fields[i];
        if (field_of(d->before, b->name))
            continue;
        bool is_needed = b->input_index >= 0 && must_be_there(b);
        note(d, is_needed ? BREAKING : SAFE, b->name, "added (%s %s)",
             is_needed ? "required" : "optional", contract_role_name(b->role));
    }
}

/* Callers who send one tensor rely on the order of the features both contracts have. */
static void compare_order(struct differ *d)
{
    int last = -1;
    for (int i = 0; i < d->before->feature_count; i++) {
        const struct contract_field *a = d->before->values[d->before->feature_columns[i]];
        const struct contract_field *b = field_of(d->after, a->name);
        if (!b || b->input_index < 0)
            continue;
        if (b->input_index < last) {
            note(d, BREAKING, a->name,
                 "features are in another order: callers who send columns by "
                 "position would be misread");
            return;
        }
        last = b->input_index;
    }
}

static void compare_document(struct differ *d)
{
    const struct contract *a = d->before, *b = d->after;
    char was[210], is[210];
    if (strcmp(a->owner, b->owner) != 0)
        note(d, SAFE, "", "owner changed from %s to %s",
             quoted_or(a->owner, "nobody", was, sizeof(was)),
             quoted_or(b->owner, "nobody", is, sizeof(is)));
    if (a->decision_threshold != b->decision_threshold)
        note(d, SAFE, "", "decision threshold changed from %g to %g", a->decision_threshold,
             b->decision_threshold);
    if (a->freshness_us != b->freshness_us)
        note(d, SAFE, "", "allowed age of rows changed from %lld s to %lld s",
             (long long)(a->freshness_us / 1000000), (long long)(b->freshness_us / 1000000));
}

/* Breaking ones first, each kind in the order it was found. */
static struct contract_change *sorted(const struct differ *d)
{
    int n = 0;
    struct contract_change *out = arena_calloc(d->arena, (size_t)d->count, sizeof(*out));
    for (int breaking = 1; out && breaking >= 0; breaking--)
        for (int i = 0; i < d->count; i++)
            if (d->changes[i].is_breaking == (breaking == 1))
                out[n++] = d->changes[i];
    return out;
}

enum err_code contract_compare(const struct contract *before, const struct contract *after,
                               struct arena *arena, struct contract_comparison *comparison,
                               struct err *err)
{
    struct differ d = {.before = before, .after = after, .arena = arena};
    d.changes = arena_calloc(arena, CONTRACT_CHANGES_MAX, sizeof(*d.changes));
    if (!d.changes)
        return err_set(err, ERR_LIMIT, "no room for the comparison of two contracts");
    compare_fields(&d);
    compare_order(&d);
    compare_document(&d);
    const struct contract_change *changes = sorted(&d);
    if (d.is_full || !changes)
        return err_set(err, ERR_LIMIT, "no room for the comparison of two contracts");
    *comparison = (struct contract_comparison){
        .is_compatible = !d.is_broken, .count = d.count, .changes = changes};
    return ERR_OK;
}

/* --- forms ------------------------------------------------------------------------------------ */

void contract_comparison_text(struct buf *out, const struct contract_comparison *comparison)
{
    buf_text(out, comparison->is_compatible ? "compatible\n" : "not compatible\n");
    for (int i = 0; i < comparison->count; i++) {
        const struct contract_change *change = &comparison->changes[i];
        buf_printf(out, "%-8s  %s%s%s\n", change->is_breaking ? "breaking" : "safe", change->field,
                   *change->field ? ": " : "", change->text);
    }
    if (comparison->count == CONTRACT_CHANGES_MAX)
        buf_printf(out, "more than %d changes; the rest is not listed\n", comparison->count);
}

void contract_comparison_write(struct json_writer *w, const struct contract_comparison *comparison)
{
    json_begin_object(w);
    json_key(w, "compatible");
    json_put_bool(w, comparison->is_compatible);
    json_key(w, "changes");
    json_begin_array(w);
    for (int i = 0; i < comparison->count; i++) {
        const struct contract_change *change = &comparison->changes[i];
        json_begin_object(w);
        json_key(w, "kind");
        json_put_text(w, change->is_breaking ? "breaking" : "safe");
        json_key(w, "field");
        json_put_text(w, change->field);
        json_key(w, "text");
        json_put_text(w, change->text);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}
