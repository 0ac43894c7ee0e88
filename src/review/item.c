/* item.c - items of the review queue: made from a record, put, read, listed, erased. */
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/hash.h"
#include "registry/registry_check.h"
#include "review/item_row.h"

#define SQL_INSERT                                                                                 \
    "INSERT INTO review_items (" REVIEW_ITEM_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, "  \
    "?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, "    \
    "?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40, ?41)"
#define SQL_LAST_ID "SELECT COALESCE(MAX(id), 0) FROM review_items"
#define SQL_OPEN_COUNT "SELECT COUNT(*) FROM review_items WHERE state = 'open'"
#define SQL_ID_OF "SELECT id FROM review_items WHERE prediction_id = ?1"
#define SQL_RAISE                                                                                  \
    "UPDATE review_items SET probability = ?2 WHERE id = ?1 AND probability > 0 AND "              \
    "probability < ?2"
#define SQL_GET "SELECT " REVIEW_ITEM_COLUMNS " FROM review_items WHERE id = ?1"
#define SQL_OF                                                                                     \
    "SELECT " REVIEW_ITEM_COLUMNS " FROM review_items WHERE prediction_id = ?1 OR request_id = "   \
    "?1 ORDER BY id LIMIT ?2"
#define SQL_LIST                                                                                   \
    "SELECT " REVIEW_ITEM_COLUMNS " FROM review_items WHERE id > ?1 AND (?2 = '' OR model = ?2) "  \
    "AND (?3 = '' OR state = ?3) ORDER BY id LIMIT ?4"
#define SQL_ADD_ITEM                                                                               \
    "INSERT INTO review_totals (model, version, items, decisions, decision_us, overrides, "        \
    "sla_misses) VALUES (?1, ?2, 1, 0, 0, 0, 0) ON CONFLICT (model, version) DO UPDATE SET items " \
    "= review_totals.items + 1"
#define SQL_ERASE                                                                                  \
    "UPDATE review_items SET inputs = '{}', answer = '{}', answer_label = '', business_key = '', " \
    "reason = '', label = '', gold_label = '', state = 'erased', closed_us = ?2 "                  \
    "WHERE prediction_id = ?1"
#define SQL_ERASE_DECISIONS                                                                        \
    "UPDATE review_decisions SET label = '', note = '' WHERE item IN "                             \
    "(SELECT id FROM review_items WHERE prediction_id = ?1)"
#define SQL_WITH_KEY                                                                               \
    "SELECT prediction_id FROM review_items WHERE model = ?1 AND business_key IN (?2, ?3) "        \
    "AND state <> 'erased'"
#define SQL_ERASE_LEASES                                                                           \
    "DELETE FROM review_leases WHERE item IN "                                                     \
    "(SELECT id FROM review_items WHERE prediction_id = ?1)"

static const char *const state_names[] = {"open",     "decided",  "expired",
                                          "rejected", "disputed", "erased"};

const char *review_state_name(enum review_state state)
{
    return state_names[state];
}

bool review_state_parse(struct str name, enum review_state *state)
{
    for (size_t i = 0; i < ARRAY_LEN(state_names); i++)
        if (str_equal_c(name, state_names[i])) {
            *state = (enum review_state)i;
            return true;
        }
    return false;
}

/* ---- making ---- */

static void put_value(struct json_writer *w, const struct record_column *column, float value)
{
    if (isnan(value)) {
        json_put_null(w);
    } else if (column->category_count) {
        int code = (int)value;
        if (code >= 0 && code < column->category_count)
            json_put_str(w, column->categories[code]);
        else
            json_put_null(w);
    } else if (column->is_boolean) {
        json_put_bool(w, value != 0);
    } else if (column->is_whole && fabsf(value) < 0x1p63f) {
        json_put_i64(w, (int64_t)value);
    } else {
        json_put_f32(w, value);
    }
}

/* What the rules hide, and what records do not keep as it came: an item is no way around that. */
static bool is_hidden(const struct review_rules *rules, const struct record_column *column)
{
    return column->kept_as != KEPT_AS_IS || (rules && review_rules_hide(rules, column->name));
}

static void put_inputs(struct buf *out, const struct record *record, int64_t row,
                       const struct review_rules *rules)
{
    const struct record_schema *schema = record->schema;
    struct json_writer w = {.out = out};
    json_begin_object(&w);
    for (int i = 0; record->values && i < schema->value_count; i++) {
        if (is_hidden(rules, &schema->values[i]))
            continue;
        json_key(&w, schema->values[i].name);
        put_value(&w, &schema->values[i], record->values[row * schema->value_count + i]);
    }
    for (int i = 0; record->texts && i < schema->text_count; i++) {
        struct str text = record->texts[row * schema->text_count + i];
        if (is_hidden(rules, &schema->texts[i]))
            continue;
        json_key(&w, schema->texts[i].name);
        if (text.ptr)
            json_put_str(&w, text);
        else
            json_put_null(&w);
    }
    json_end_object(&w);
}

void review_answer_write(struct json_writer *w, const struct condition_facts *facts)
{
    const struct record_schema *schema = facts->record->schema;
    const struct record_answer *answer = &facts->answer;
    char number[STR_NUMBER_BYTES];
    if (!answer->is_class) {
        json_key(w, "value");
        json_put_f32(w, answer->value);
    } else {
        json_key(w, "label");
        json_put_str(w, record_class_text(schema, answer->class_index, number));
    }
    if (!answer->has_score)
        return;
    json_key(w, "probability");
    json_put_f32(w, answer->score);
    json_key(w, "probabilities");
    json_begin_object(w);
    for (int i = 0; i < schema->class_count; i++) {
        json_key_str(w, record_class_text(schema, i, number));
        json_put_f32(w, record_answer_probability(facts->record, facts->row, i));
    }
    json_end_object(w);
}

static void put_answer(struct buf *out, const struct condition_facts *facts)
{
    struct json_writer w = {.out = out};
    json_begin_object(&w);
    review_answer_write(&w, facts);
    json_end_object(&w);
}

static void put_choices(struct buf *out, const struct condition_facts *facts)
{
    char number[STR_NUMBER_BYTES];
    struct json_writer w = {.out = out};
    json_begin_array(&w);
    for (int i = 0; facts->answer.is_class && i < facts->record->schema->class_count; i++)
        json_put_str(&w, record_class_text(facts->record->schema, i, number));
    json_end_array(&w);
}

static void put_answer_label(struct buf *out, const struct condition_facts *facts)
{
    char number[STR_NUMBER_BYTES];
    if (facts->answer.is_class)
        buf_str(out, record_class_text(facts->record->schema, facts->answer.class_index, number));
    else
        buf_f32(out, facts->answer.value);
}

/* A key that is hidden is told apart all the same: rows of one key stay on one side of a data set,
 * and are erased together. */
static void put_hidden_key(struct buf *out, const uint64_t salt[2], struct str key)
{
    uint64_t hash = hash_sip(salt, key.ptr, key.len);
    buf_printf(out, "#%016llx", (unsigned long long)hash);
}

static void put_key(struct buf *out, const struct record *record, int64_t row,
                    const struct review_rules *rules)
{
    const struct record_schema *schema = record->schema;
    for (int i = 0; record->texts && i < schema->text_count; i++) {
        struct str key = record->texts[row * schema->text_count + i];
        if (!schema->texts[i].is_key || !key.ptr)
            continue;
        if (!is_hidden(rules, &schema->texts[i]))
            buf_str(out, key);
        else if (rules)
            put_hidden_key(out, rules->salt, key);
        return;
    }
}

/* The buffer's text in the arena, and the buffer empty again; NULL when either is full. */
static const char *keep(struct buf *buf, struct arena *arena)
{
    const char *copy = buf->is_full ? NULL : arena_copy(arena, buf->data, buf->len);
    buf_clear(buf);
    return copy;
}

static bool make_texts(const struct condition_facts *facts, const struct review_rules *rules,
                       struct arena *arena, struct review_item *item)
{
    const struct record *record = facts->record;
    char id[PREDICTION_ID_BYTES_MAX];
    struct buf buf;
    buf_init(&buf, REVIEW_ITEM_BYTES_MAX);
    put_inputs(&buf, record, facts->row, rules);
    item->inputs = keep(&buf, arena);
    put_answer(&buf, facts);
    item->answer = keep(&buf, arena);
    put_answer_label(&buf, facts);
    item->answer_label = keep(&buf, arena);
    put_choices(&buf, facts);
    item->choices = keep(&buf, arena);
    put_key(&buf, record, facts->row, rules);
    item->business_key = keep(&buf, arena);
    buf_done(&buf);
    prediction_id_format(record->request_id, facts->row, id);
    item->prediction_id = arena_copy(arena, id, strlen(id));
    item->request_id = arena_copy(arena, record->request_id.ptr, record->request_id.len);
    item->model = arena_copy(arena, record->schema->model, strlen(record->schema->model));
    return item->inputs && item->answer && item->answer_label && item->choices &&
           item->business_key && item->prediction_id && item->request_id && item->model;
}

static bool take_rule(const struct review_rules *rules, const struct review_match *match,
                      struct arena *arena, struct review_item *item)
{
    const struct review_rule *rule = match->rule;
    item->rule = arena_copy(arena, rule->name, strlen(rule->name));
    item->rules_revision = rules ? rules->revision : 0;
    item->probability = match->probability;
    item->is_random = match->is_random;
    item->is_blind = match->is_blind;
    item->mode = rule->mode;
    item->on_expiry = rule->on_expiry;
    item->stakes = rule->stakes;
    item->reviewers_rule = item->reviewers = rule->reviewers;
    item->tolerance = rule->tolerance;
    item->gold_share = rule->gold;
    item->lease_us = rules ? rules->lease_us : REVIEW_LEASE_US;
    item->undo_us = rules ? rules->undo_us : REVIEW_UNDO_US;
    item->sla_us = rule->sla_us;
    return item->rule != NULL;
}

const char *review_asker(const struct actor *actor, struct arena *arena)
{
    const char *name = actor->name;
    return actor->key_id ? arena_printf(arena, "key:%s", actor->key_id)
                         : arena_copy(arena, name, strlen(name));
}

enum err_code review_item_make(const struct record *record, int64_t row,
                               const struct review_rules *rules, const struct review_match *match,
                               struct arena *arena, struct review_item *item, struct err *err)
{
    struct condition_facts facts = condition_facts_of(record, row);
    if (!facts.has_answer)
        return err_set(err, ERR_CONFLICT, "row %lld has no answer that a person could decide",
                       (long long)row);
    *item = (struct review_item){
        .version = record->schema->version,
        .arm = record->arm,
        .rollout = record->rollout,
        .has_key = record->has_key,
        .key_hash = record->key_hash,
        .predicted_us = record->at_us,
        .reason = "",
        .label = "",
        .gold_label = "",
        .asked_by = "",
    };
    if (!make_texts(&facts, rules, arena, item) || !take_rule(rules, match, arena, item))
        return err_set(err, ERR_LIMIT, "row %lld does not fit a review item of %d bytes",
                       (long long)row, REVIEW_ITEM_BYTES_MAX);
    return ERR_OK;
}

/* ---- putting ---- */

static enum err_code check_room(struct store *store, struct err *err)
{
    int64_t count = 0;
    if (registry_read_number(store, SQL_OPEN_COUNT, NULL, 0, 0, &count, err))
        return err->code;
    if (count < REVIEW_OPEN_MAX)
        return ERR_OK;
    err_set(err, ERR_LIMIT, "%lld review items are open already", (long long)count);
    return err_hint(err, "lower the sample of the rules: slipway review rules MODEL");
}

static enum err_code insert_item(struct store *store, struct review_item *item, struct err *err)
{
    const struct store_value totals[] = {STORE_CSTR(item->model), STORE_INT(item->version)};
    if (registry_read_number(store, SQL_LAST_ID, NULL, 0, 0, &item->id, err))
        return err->code;
    item->id++;
    const struct store_value row[] = REVIEW_ITEM_VALUES(item);
    if (store_exec(store, SQL_INSERT, row, ARRAY_LEN(row), NULL, err))
        return err->code;
    return store_exec(store, SQL_ADD_ITEM, totals, ARRAY_LEN(totals), NULL, err);
}

static enum err_code put_item(struct store *store, struct review_item *item, int64_t now_us,
                              bool *is_new, struct err *err)
{
    const struct store_value id[] = {STORE_CSTR(item->prediction_id)};
    int64_t other = 0;
    *is_new = false;
    if (registry_read_number(store, SQL_ID_OF, id, 1, 0, &other, err))
        return err->code;
    if (other) {
        const struct store_value raise[] = {STORE_INT(other), STORE_REAL(item->probability)};
        item->id = other;
        return store_exec(store, SQL_RAISE, raise, ARRAY_LEN(raise), NULL, err);
    }
    item->state = REVIEW_OPEN;
    item->created_us = now_us;
    item->due_us = now_us + item->sla_us;
    *is_new = true;
    return insert_item(store, item, err);
}

static void put_opened(struct json_writer *w, const struct review_item *item)
{
    json_begin_object(w);
    json_key(w, "item");
    json_put_i64(w, item->id);
    json_key(w, "prediction_id");
    json_put_text(w, item->prediction_id);
    json_key(w, "rule");
    json_put_text(w, item->rule);
    json_key(w, "mode");
    json_put_text(w, review_mode_name(item->mode));
    json_end_object(w);
}

/* One event for those of one model that are new. */
static enum err_code append_opened(struct store *store, const struct review_item *items,
                                   const bool *is_new, int count, const char *model,
                                   const struct actor *actor, int64_t now_us, struct err *err)
{
    char subject[REGISTRY_SUBJECT_BYTES_MAX];
    struct buf after;
    struct json_writer w = {.out = &after};
    buf_init(&after, REGISTRY_STATE_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "items");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        if (is_new[i] && strcmp(items[i].model, model) == 0)
            put_opened(&w, &items[i]);
    json_end_array(&w);
    json_end_object(&w);
    snprintf(subject, sizeof(subject), "model/%s/review", model);
    return registry_append(store, actor, "review.open", subject, NULL, &after, now_us, NULL, err);
}

static bool is_first_of_model(const struct review_item *items, const bool *is_new, int i)
{
    for (int k = 0; k < i; k++)
        if (is_new[k] && strcmp(items[k].model, items[i].model) == 0)
            return false;
    return is_new[i];
}

enum err_code review_open(struct store *store, struct review_item *items, int count,
                          const struct actor *actor, int64_t now_us, int *new_count,
                          struct err *err)
{
    bool is_new[REVIEW_BATCH_MAX];
    int fresh = 0;
    assert(count <= REVIEW_BATCH_MAX);
    enum err_code rc = check_room(store, err);
    for (int i = 0; i < count && !rc; i++) {
        rc = put_item(store, &items[i], now_us, &is_new[i], err);
        fresh += !rc && is_new[i];
    }
    for (int i = 0; i < count && !rc; i++)
        if (is_first_of_model(items, is_new, i))
            rc = append_opened(store, items, is_new, count, items[i].model, actor, now_us, err);
    if (!rc && new_count)
        *new_count = fresh;
    return rc;
}

/* ---- reading ---- */

struct item_list {
    struct arena *arena;
    struct review_item *items;
    int count;
};

static enum err_code read_item(struct store_rows *rows, void *arg, struct err *err)
{
    struct item_list *list = arg;
    list->items = store_list_grow(list->arena, list->items, list->count, sizeof(*list->items));
    if (!list->items || !review_item_read(rows, list->arena, &list->items[list->count]))
        return err_set(err, ERR_LIMIT, "no room to read review items");
    list->count++;
    return ERR_OK;
}

enum err_code review_item_get(struct store *store, int64_t id, struct arena *arena,
                              struct review_item *item, struct err *err)
{
    const struct store_value params[] = {STORE_INT(id)};
    struct item_list list = {.arena = arena};
    if (registry_each_row(store, SQL_GET, params, 1, read_item, &list, err))
        return err->code;
    if (list.count == 0) {
        err_set(err, ERR_NOT_FOUND, "there is no review item %lld", (long long)id);
        return err_hint(err, "list them with: slipway review list");
    }
    *item = list.items[0];
    return ERR_OK;
}

enum err_code review_items_of(struct store *store, const char *id, struct arena *arena,
                              struct review_item **items, int *count, struct err *err)
{
    const struct store_value params[] = {STORE_CSTR(id), STORE_INT(REVIEW_LIST_MAX)};
    struct item_list list = {.arena = arena};
    if (registry_each_row(store, SQL_OF, params, 2, read_item, &list, err))
        return err->code;
    *items = list.items;
    *count = list.count;
    return ERR_OK;
}

enum err_code review_list(struct store *store, const struct review_filter *filter,
                          struct arena *arena, struct review_item **items, int *count,
                          struct err *err)
{
    struct item_list list = {.arena = arena};
    int limit = filter->limit < REVIEW_LIST_MAX ? filter->limit : REVIEW_LIST_MAX;
    const struct store_value params[] = {
        STORE_INT(filter->after), STORE_CSTR(filter->model ? filter->model : ""),
        STORE_CSTR(filter->has_state ? review_state_name(filter->state) : ""), STORE_INT(limit)};
    if (registry_each_row(store, SQL_LIST, params, ARRAY_LEN(params), read_item, &list, err))
        return err->code;
    *items = list.items;
    *count = list.count;
    return ERR_OK;
}

/* ---- erasing ---- */

enum err_code review_erase(struct store *store, const char *const *prediction_ids, int id_count,
                           int64_t now_us, int64_t *count, struct err *err)
{
    *count = 0;
    for (int i = 0; i < id_count; i++) {
        int64_t changed = 0;
        const struct store_value params[] = {STORE_CSTR(prediction_ids[i]), STORE_INT(now_us)};
        if (store_exec(store, SQL_ERASE_DECISIONS, params, 1, NULL, err) ||
            store_exec(store, SQL_ERASE_LEASES, params, 1, NULL, err) ||
            store_exec(store, SQL_ERASE, params, 2, &changed, err))
            return err->code;
        *count += changed;
    }
    return ERR_OK;
}

struct id_list {
    struct arena *arena;
    const char **ids;
    int count;
};

static enum err_code read_id(struct store_rows *rows, void *arg, struct err *err)
{
    struct id_list *list = arg;
    bool is_full = false;
    list->ids = store_list_grow(list->arena, list->ids, list->count, sizeof(*list->ids));
    if (list->ids)
        list->ids[list->count++] = store_text_copy(rows, 0, list->arena, &is_full);
    return list->ids && !is_full ? ERR_OK : err_set(err, ERR_LIMIT, "no room to read review items");
}

enum err_code review_erase_key(struct store *store, const char *model, const char *key,
                               int64_t now_us, struct arena *arena, int64_t *count, struct err *err)
{
    struct review_document document;
    struct id_list list = {.arena = arena};
    struct buf hidden;
    *count = 0;
    if (!key[0])
        return ERR_OK;
    enum err_code rc = review_rules_get(store, model, arena, &document, err);
    if (rc)
        return rc;
    buf_init(&hidden, STR_NUMBER_BYTES);
    put_hidden_key(&hidden, document.salt, str_of(key));
    const struct store_value params[] = {STORE_CSTR(model), STORE_CSTR(key),
                                         STORE_STR(buf_view(&hidden))};
    rc = registry_each_row(store, SQL_WITH_KEY, params, 3, read_id, &list, err);
    buf_done(&hidden);
    return rc ? rc : review_erase(store, list.ids, list.count, now_us, count, err);
}
