/* rules.c - the review file of a model -> rules. */
#include "review/rules.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/yaml.h"
#include "monitor/ood.h"

enum { PLACE_BYTES = 160, NAME_SHOWN = 64, TREE_BYTES_MAX = 8 * 1024 * 1024 };

#define MINUTE_US (60 * INT64_C(1000000))
#define HOUR_US (60 * MINUTE_US)
#define DAY_US (24 * HOUR_US)
#define DURATION_MAX_US (366 * DAY_US)

static const char *const mode_names[] = {"after", "hold", NULL};
static const char *const expiry_names[] = {"default", "reject", "escalate", NULL};

const char *review_mode_name(enum review_mode mode)
{
    return mode_names[mode];
}

const char *review_expiry_name(enum review_expiry expiry)
{
    return expiry_names[expiry];
}

/* ---- values ---- */

enum err_code review_share_parse(yyjson_val *value, const char *what, double *share,
                                 struct err *err)
{
    double number = yyjson_is_num(value) ? yyjson_get_num(value) : NAN;
    struct str text = yyjson_is_str(value) ? json_str(value) : (struct str){0};
    if (text.len > 1 && text.ptr[text.len - 1] == '%' &&
        str_to_f64(str_trim((struct str){text.ptr, text.len - 1}), &number))
        number /= 100;
    if (number >= 0 && number <= 1) {
        *share = number;
        return ERR_OK;
    }
    err_set(err, ERR_INVALID, "%s: expected a share from 0%% to 100%%", what);
    return err_hint(err, "such as 0.5%% or 0.005");
}

static int64_t unit_us(char unit)
{
    switch (unit) {
    case 's':
        return INT64_C(1000000);
    case 'm':
        return MINUTE_US;
    case 'h':
        return HOUR_US;
    case 'd':
        return DAY_US;
    default:
        return 0;
    }
}

static enum err_code parse_duration(yyjson_val *value, const char *what, int64_t *out_us,
                                    struct err *err)
{
    struct str text = yyjson_is_str(value) ? json_str(value) : (struct str){0};
    int64_t count = 0, unit = text.len > 1 ? unit_us(text.ptr[text.len - 1]) : 0;
    if (unit && str_to_i64((struct str){text.ptr, text.len - 1}, &count) && count > 0 &&
        count <= DURATION_MAX_US / unit) {
        *out_us = count * unit;
        return ERR_OK;
    }
    err_set(err, ERR_INVALID, "%s: expected a time from 1s to 366d", what);
    return err_hint(err, "a whole number with s, m, h or d: 90s, 10m, 24h, 7d");
}

static enum err_code parse_choice(yyjson_val *value, const char *what, const char *const *names,
                                  int *choice, struct err *err)
{
    char all[PLACE_BYTES] = "";
    for (int i = 0; names[i]; i++) {
        size_t used = strlen(all);
        if (yyjson_equals_str(value, names[i])) {
            *choice = i;
            return ERR_OK;
        }
        snprintf(all + used, sizeof(all) - used, "%s%s", i ? ", " : "", names[i]);
    }
    return err_set(err, ERR_INVALID, "%s: expected one of %s", what, all);
}

static enum err_code parse_whole(yyjson_val *value, const char *what, int min, int max, int *out,
                                 struct err *err)
{
    int64_t number = yyjson_is_int(value) ? yyjson_get_sint(value) : -1;
    if (!yyjson_is_int(value) || number < min || number > max)
        return err_set(err, ERR_INVALID, "%s: expected a whole number from %d to %d", what, min,
                       max);
    *out = (int)number;
    return ERR_OK;
}

/* ---- one rule ---- */

static enum err_code parse_name(yyjson_val *object, int index, struct arena *arena,
                                struct review_rule *rule, struct err *err)
{
    char what[PLACE_BYTES];
    struct str name = {0};
    snprintf(what, sizeof(what), "rules[%d]", index);
    if (!yyjson_is_obj(object))
        return err_set(err, ERR_INVALID, "%s: expected a rule with name and when, got %s", what,
                       yyjson_get_type_desc(object));
    enum err_code rc = json_get_str(object, what, "name", &name, err);
    if (rc)
        return rc;
    if (!str_is_name(name)) {
        err_set(err, ERR_INVALID, "%s.name: '%.*s' cannot be the name of a rule", what, NAME_SHOWN,
                name.ptr);
        return err_hint(err, "names: a letter or digit, then up to %d of letters, digits, . _ -",
                        STR_NAME_BYTES_MAX - 1);
    }
    static const uint64_t hash_key[2] = {0x72657669, 0x6577};
    rule->name = arena_copy(arena, name.ptr, name.len);
    rule->name_hash = hash_sip(hash_key, name.ptr, name.len);
    return rule->name ? ERR_OK : err_set(err, ERR_LIMIT, "no room for the rules");
}

static enum err_code parse_when(yyjson_val *object, struct arena *arena, struct review_rule *rule,
                                struct err *err)
{
    struct str when = {0};
    struct condition *condition = NULL;
    enum err_code rc = json_get_str(object, rule->name, "when", &when, err);
    if (rc) {
        if (!yyjson_obj_get(object, "when"))
            err_hint(err, "a condition, or random, or appeal");
        return err_wrap(err, "rule '%s'", rule->name);
    }
    rule->is_random = str_equal_c(str_trim(when), "random");
    rule->is_appeal = str_equal_c(str_trim(when), "appeal");
    if (rule->is_random || rule->is_appeal)
        return ERR_OK;
    rc = condition_parse(when, arena, &condition, err);
    rule->when = condition;
    return rc ? err_wrap(err, "rule '%s', when", rule->name) : ERR_OK;
}

/* One member when it is there; `what` is its place. */
static enum err_code parse_member(const char *key, yyjson_val *value, const char *what,
                                  struct review_rule *rule, struct err *err)
{
    int choice = 0;
    enum err_code rc = ERR_OK;
    if (strcmp(key, "sample") == 0) {
        rc = review_share_parse(value, what, &rule->sample, err);
    } else if (strcmp(key, "gold") == 0) {
        rc = review_share_parse(value, what, &rule->gold, err);
    } else if (strcmp(key, "blind") == 0) {
        rc = review_share_parse(value, what, &rule->blind, err);
    } else if (strcmp(key, "sla") == 0) {
        rc = parse_duration(value, what, &rule->sla_us, err);
    } else if (strcmp(key, "reviewers") == 0) {
        rc = parse_whole(value, what, 1, REVIEW_REVIEWERS_MAX, &rule->reviewers, err);
    } else if (strcmp(key, "stakes") == 0) {
        rc = parse_whole(value, what, 0, REVIEW_STAKES_MAX, &rule->stakes, err);
    } else if (strcmp(key, "on_expiry") == 0) {
        rc = parse_choice(value, what, expiry_names, &choice, err);
        rule->on_expiry = (enum review_expiry)choice;
    } else if (strcmp(key, "mode") == 0) {
        rc = parse_choice(value, what, mode_names, &choice, err);
        rule->mode = (enum review_mode)choice;
    } else if (strcmp(key, "tolerance") == 0) {
        rule->tolerance = yyjson_get_num(value);
        if (!yyjson_is_num(value) || !(rule->tolerance >= 0))
            rc = err_set(err, ERR_INVALID, "%s: expected a number of at least 0", what);
    }
    return rc;
}

static enum err_code parse_members(yyjson_val *object, struct review_rule *rule, struct err *err)
{
    static const char *const keys[] = {"name",      "when",      "sample", "reviewers",
                                       "sla",       "on_expiry", "mode",   "stakes",
                                       "tolerance", "gold",      "blind",  NULL};
    char what[PLACE_BYTES];
    size_t i, count;
    yyjson_val *key, *value;
    snprintf(what, sizeof(what), "rule '%s'", rule->name);
    enum err_code rc = json_check_keys(object, what, keys, err);
    if (rc)
        return rc;
    yyjson_obj_foreach(object, i, count, key, value)
    {
        snprintf(what, sizeof(what), "rule '%s', %s", rule->name, yyjson_get_str(key));
        rc = parse_member(yyjson_get_str(key), value, what, rule, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

/* What cannot be: a row is held before anybody else was asked, and whoever waits must know until
 * when and what then. */
static enum err_code check_rule(yyjson_val *object, const struct review_rule *rule, struct err *err)
{
    bool is_hold = rule->mode == REVIEW_HOLD;
    if (is_hold &&
        (rule->is_random || rule->is_appeal || (rule->when && condition_needs_shadow(rule->when))))
        return err_set(err, ERR_INVALID,
                       "rule '%s': %s is known only after the answer, so it cannot hold it",
                       rule->name,
                       rule->is_random   ? "random"
                       : rule->is_appeal ? "appeal"
                                         : "disagrees_with_shadow");
    if (is_hold && (!yyjson_obj_get(object, "sla") || !yyjson_obj_get(object, "on_expiry"))) {
        err_set(err, ERR_INVALID, "rule '%s' holds answers and does not say for how long",
                rule->name);
        return err_hint(err, "give sla and on_expiry (default, reject or escalate)");
    }
    if (rule->is_random && !yyjson_obj_get(object, "sample")) {
        err_set(err, ERR_INVALID, "rule '%s' is random and has no sample", rule->name);
        return err_hint(err, "say how many, such as sample: 0.5%%");
    }
    if (rule->is_appeal && rule->sample < 1)
        return err_set(err, ERR_INVALID, "rule '%s': an appeal is always taken, without a sample",
                       rule->name);
    return ERR_OK;
}

/* ---- the file ---- */

static enum err_code add_rule(struct review_rules *rules, const struct review_rule *rule,
                              struct err *err)
{
    for (int i = 0; i < rules->count; i++)
        if (strcmp(rules->rules[i].name, rule->name) == 0)
            return err_set(err, ERR_INVALID, "two rules are called '%s'", rule->name);
    if ((rule->is_random && rules->random) || (rule->is_appeal && rules->appeal))
        return err_set(err, ERR_INVALID, "rule '%s' is the second one with 'when: %s'", rule->name,
                       rule->is_random ? "random" : "appeal");
    struct review_rule *kept = &rules->rules[rules->count++];
    *kept = *rule;
    rules->has_hold |= rule->mode == REVIEW_HOLD;
    rules->has_after |= rule->mode == REVIEW_AFTER && !rule->is_appeal;
    rules->has_shadow |= rule->when && condition_needs_shadow(rule->when);
    if (rule->is_random)
        rules->random = kept;
    if (rule->is_appeal)
        rules->appeal = kept;
    return ERR_OK;
}

static enum err_code parse_rules(yyjson_val *root, const struct review_rule *standard,
                                 struct arena *arena, struct review_rules *rules, struct err *err)
{
    yyjson_val *list = yyjson_obj_get(root, "rules"), *object;
    size_t i, count = yyjson_arr_size(list);
    if (!yyjson_is_arr(list) || count == 0)
        return err_set(err, ERR_INVALID, "rules: expected a list of rules, got %s",
                       list ? yyjson_is_arr(list) ? "an empty one" : yyjson_get_type_desc(list)
                            : "nothing");
    if (count > REVIEW_RULES_MAX)
        return err_set(err, ERR_LIMIT, "%zu rules, at most %d are taken", count, REVIEW_RULES_MAX);
    rules->rules = arena_calloc(arena, count, sizeof(*rules->rules));
    if (!rules->rules)
        return err_set(err, ERR_LIMIT, "no room for the rules");
    yyjson_arr_foreach(list, i, count, object)
    {
        struct review_rule rule = *standard;
        enum err_code rc = parse_name(object, (int)i, arena, &rule, err);
        if (!rc)
            rc = parse_members(object, &rule, err);
        if (!rc)
            rc = parse_when(object, arena, &rule, err);
        if (!rc)
            rc = check_rule(object, &rule, err);
        if (!rc)
            rc = add_rule(rules, &rule, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static enum err_code parse_hidden(yyjson_val *root, struct arena *arena, struct review_rules *rules,
                                  struct err *err)
{
    yyjson_val *list = yyjson_obj_get(root, "hide"), *name;
    size_t i, count = yyjson_arr_size(list);
    if (!list)
        return ERR_OK;
    if (!yyjson_is_arr(list) || count > REVIEW_HIDDEN_MAX)
        return err_set(err, ERR_INVALID, "hide: expected a list of at most %d fields",
                       REVIEW_HIDDEN_MAX);
    rules->hidden = arena_calloc(arena, count, sizeof(*rules->hidden));
    if (!rules->hidden)
        return err_set(err, ERR_LIMIT, "no room for the rules");
    yyjson_arr_foreach(list, i, count, name)
    {
        if (!yyjson_is_str(name))
            return err_set(err, ERR_INVALID, "hide[%zu]: expected the name of a field, got %s", i,
                           yyjson_get_type_desc(name));
        rules->hidden[i] = arena_copy(arena, yyjson_get_str(name), yyjson_get_len(name));
        if (!rules->hidden[i])
            return err_set(err, ERR_LIMIT, "no room for the rules");
        rules->hidden_count++;
    }
    return ERR_OK;
}

static enum err_code parse_standards(yyjson_val *root, struct review_rules *rules,
                                     struct review_rule *standard, struct err *err)
{
    static const char *const keys[] = {"lease", "undo", "gold", "blind", "hide", "rules", NULL};
    yyjson_val *lease = yyjson_obj_get(root, "lease"), *undo = yyjson_obj_get(root, "undo");
    yyjson_val *gold = yyjson_obj_get(root, "gold"), *blind = yyjson_obj_get(root, "blind");
    if (!yyjson_is_obj(root))
        return err_set(err, ERR_INVALID, "expected an object with rules, got %s",
                       yyjson_get_type_desc(root));
    enum err_code rc = json_check_keys(root, "the review file", keys, err);
    if (!rc && lease)
        rc = parse_duration(lease, "lease", &rules->lease_us, err);
    if (!rc && undo)
        rc = parse_duration(undo, "undo", &rules->undo_us, err);
    if (!rc && gold)
        rc = review_share_parse(gold, "gold", &standard->gold, err);
    if (!rc && blind)
        rc = review_share_parse(blind, "blind", &standard->blind, err);
    return rc;
}

static enum err_code parse_tree(yyjson_val *root, struct arena *arena, struct review_rules *rules,
                                struct err *err)
{
    struct review_rule standard = {
        .sample = 1, .gold = 0.02, .blind = 0.1, .reviewers = 1, .sla_us = DAY_US};
    enum err_code rc = parse_standards(root, rules, &standard, err);
    if (!rc)
        rc = parse_hidden(root, arena, rules, err);
    return rc ? rc : parse_rules(root, &standard, arena, rules, err);
}

enum err_code review_rules_parse(struct str document, struct arena *arena,
                                 struct review_rules **out, struct err *err)
{
    yyjson_val *root;
    if (document.len > REVIEW_RULES_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the review file is larger than %d bytes",
                       REVIEW_RULES_BYTES_MAX);
    struct review_rules *rules = arena_calloc(arena, 1, sizeof(*rules));
    if (!rules)
        return err_set(err, ERR_LIMIT, "no room for the rules");
    rules->lease_us = 10 * MINUTE_US;
    rules->undo_us = 5 * MINUTE_US;
    struct arena *tree = arena_new(TREE_BYTES_MAX);
    enum err_code rc = yaml_read(document, tree, &root, err);
    if (!rc)
        rc = parse_tree(root, arena, rules, err);
    arena_free(tree);
    if (!rc)
        *out = rules;
    return rc;
}

/* ---- against a contract ---- */

static enum err_code check_field(const struct contract *contract, struct str name, const char *what,
                                 struct err *err)
{
    const struct contract_field *field = contract_field_find(contract, name);
    if (field && field->input_index >= 0)
        return ERR_OK;
    err_set(err, ERR_INVALID, "%s: the contract has no input field '%.*s'", what, NAME_SHOWN,
            name.ptr);
    const struct contract_field *nearest = contract_field_nearest(contract, name);
    return nearest ? err_hint(err, "did you mean '%s'?", nearest->name) : err->code;
}

static enum err_code check_class(const struct contract *contract, struct str name, const char *what,
                                 struct err *err)
{
    const struct contract_field *prediction = contract->prediction;
    if (!prediction || prediction->category_count == 0)
        return ERR_OK;
    for (int i = 0; i < prediction->category_count; i++)
        if (str_equal(prediction->categories[i], name))
            return ERR_OK;
    err_set(err, ERR_INVALID, "%s: the model has no class '%.*s'", what, NAME_SHOWN, name.ptr);
    return err_hint(err, "its first class is '%.*s'", NAME_SHOWN, prediction->categories[0].ptr);
}

static bool has_profile(const struct contract *contract)
{
    for (int i = 0; i < contract->value_count; i++)
        if (contract->values[i]->has_profile &&
            contract->values[i]->profile.row_count >= OOD_ROWS_MIN)
            return true;
    return false;
}

enum err_code review_rules_check(const struct review_rules *rules, const struct contract *contract,
                                 struct err *err)
{
    char what[PLACE_BYTES];
    for (int i = 0; i < rules->count; i++) {
        const struct review_rule *rule = &rules->rules[i];
        bool is_class = false;
        struct str name;
        snprintf(what, sizeof(what), "rule '%s', when", rule->name);
        if (rule->when && condition_needs_training(rule->when) && !has_profile(contract)) {
            err_set(err, ERR_INVALID,
                    "%s: 'ood' asks what training rows were like, and the contract does not say",
                    what);
            return err_hint(err,
                            "a contract made by slipway contract infer from %d rows or more "
                            "has a slipwayReference for each field",
                            OOD_ROWS_MIN);
        }
        for (int n = 0; rule->when && (name = condition_name(rule->when, n, &is_class)).ptr; n++)
            if (is_class ? check_class(contract, name, what, err)
                         : check_field(contract, name, what, err))
                return err->code;
    }
    for (int i = 0; i < rules->hidden_count; i++)
        if (check_field(contract, str_of(rules->hidden[i]), "hide", err))
            return err->code;
    return ERR_OK;
}

bool review_rules_hide(const struct review_rules *rules, const char *field)
{
    for (int i = 0; i < rules->hidden_count; i++)
        if (strcmp(rules->hidden[i], field) == 0)
            return true;
    return false;
}
