/* outcome_store.c - outcomes taken into the store: checked, told from what is known, kept.
 *
 * Whatever the order in which outcomes of one prediction and name arrive, the one with the newest
 * `at` is current in the end: the same content again moves the current row's `at` forward, so that
 * an older contradiction that comes later still is the older one.
 */
#include "monitor/outcome_store.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "registry/registry_check.h"

#define FUTURE_MAX_US (INT64_C(3600) * CLOCK_SECOND_US)
#define NUMBER(v) ((struct store_value){STORE_F64, {.f64 = (v)}})

#define SQL_NEXT_SEQ "SELECT COALESCE(MAX(seq), 0) + 1 FROM outcomes"
#define SQL_PUT_PREDICTED                                                                          \
    "INSERT INTO predicted (id, model, version, arm, rollout, has_key, key_hash, business_key, "   \
    "at_us, is_suspect, answer, class_index, class_count, value, probabilities, segments, "        \
    "rank_group) "                                                                                 \
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) "         \
    "ON CONFLICT (id, model, version) DO NOTHING"
#define SQL_CURRENT                                                                                \
    "SELECT seq, label, value, at_us FROM outcomes WHERE prediction_id = ?1 AND model = ?2 AND "   \
    "name = ?3 AND state = 'current'"
#define SQL_SEEN                                                                                   \
    "SELECT seq, label, value, at_us FROM outcomes WHERE prediction_id = ?1 AND model = ?2 AND "   \
    "name = ?3 AND at_us = ?4 AND label = ?5 AND value = ?6"
#define SQL_BY_FEEDBACK                                                                            \
    "SELECT seq, label, value, at_us FROM outcomes WHERE feedback_id = ?1 AND name = ?2"
#define SQL_BY_FEEDBACK_OF                                                                         \
    "SELECT COUNT(*) FROM outcomes WHERE feedback_id = ?1 AND name = ?2 AND prediction_id = ?3 "   \
    "AND model = ?4"
#define SQL_PUT                                                                                    \
    "INSERT INTO outcomes (seq, prediction_id, model, version, name, kind, state, label, value, "  \
    "at_us, received_us, feedback_id, source, actor, class_index) "                                \
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
#define SQL_REPLACE "UPDATE outcomes SET state = 'replaced' WHERE seq = ?1"
#define SQL_CONFIRM "UPDATE outcomes SET at_us = ?2 WHERE seq = ?1"

/* What the store knows already. seq 0: nothing. */
struct known {
    int64_t seq, at_us;
    const char *label;
    double value;
};

enum err_code outcome_refuse(struct outcome *outcome, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(outcome->reason, sizeof(outcome->reason), fmt, args);
    va_end(args);
    outcome->result = OUTCOME_REFUSED;
    return ERR_OK;
}

/* ---- is it sound? ---- */

static bool is_plain_text(struct str text)
{
    if (text.len > OUTCOME_TEXT_BYTES_MAX || !str_is_utf8(text))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return false;
    return true;
}

static bool has_good_texts(struct outcome *o)
{
    const struct {
        const char *what;
        struct str text;
    } texts[] = {{"id", o->prediction_id},
                 {"key", o->key},
                 {"label", o->label},
                 {"feedback_id", o->feedback_id}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        if (is_plain_text(texts[i].text))
            continue;
        outcome_refuse(o, "'%s' must be UTF-8 text without control characters, at most %d bytes",
                       texts[i].what, OUTCOME_TEXT_BYTES_MAX);
        return false;
    }
    return true;
}

static bool has_good_name(struct outcome *o)
{
    bool is_label_name = str_equal_c(o->name, OUTCOME_LABEL_NAME);
    if (o->kind == OUTCOME_LABEL) {
        assert(is_label_name);
        return true;
    }
    if (is_label_name)
        outcome_refuse(o, "'label' is the name of the truth, not of a %s",
                       outcome_kind_name(o->kind));
    else if (!str_is_name(o->name))
        outcome_refuse(o, "'%.*s' cannot be the name of a %s: letters, digits, . _ -, at most %d",
                       (int)(o->name.len < 64 ? o->name.len : 64), o->name.ptr ? o->name.ptr : "",
                       outcome_kind_name(o->kind), STR_NAME_BYTES_MAX);
    return o->result != OUTCOME_REFUSED;
}

static bool has_good_time(struct outcome *o, int64_t now_us)
{
    char text[CLOCK_TEXT_BYTES];
    if (o->at_us == 0)
        o->at_us = now_us;
    if (o->at_us < 0)
        outcome_refuse(o, "'at' lies before 1970");
    else if (o->at_us > now_us + FUTURE_MAX_US)
        outcome_refuse(o, "'at' is %s, more than an hour ahead of this server's clock",
                       clock_format(o->at_us, text));
    return o->result != OUTCOME_REFUSED;
}

static bool is_sound(struct outcome *o, int64_t now_us)
{
    if (o->kind == OUTCOME_VALUE && !isfinite(o->value))
        outcome_refuse(o, "value '%.*s' is not a finite number", STR_ARG(o->name));
    return o->result != OUTCOME_REFUSED && has_good_texts(o) && has_good_name(o) &&
           has_good_time(o, now_us);
}

/* ---- labels in the words of the version that answered ---- */

static bool is_same_number(struct str a, struct str b)
{
    double x, y;
    return str_to_f64(a, &x) && str_to_f64(b, &y) && x == y;
}

/* "1.0", "true" and "1" are one class when its name is "1". */
static bool is_class_label(struct str label, struct str name)
{
    if (str_equal(label, name) || is_same_number(label, name))
        return true;
    return (str_equal_c(label, "true") && str_equal_c(name, "1")) ||
           (str_equal_c(label, "false") && str_equal_c(name, "0"));
}

static struct str class_text(const struct predicted *p, int class_index, char *number)
{
    if (p->classes)
        return p->classes[class_index];
    return (struct str){number, str_from_i64(class_index, number)};
}

static void refuse_class(struct outcome *o)
{
    struct buf list;
    char number[STR_NUMBER_BYTES];
    const struct predicted *p = o->predicted;
    buf_init(&list, 160);
    for (int i = 0; i < p->class_count && !list.is_full; i++) {
        struct str name = class_text(p, i, number);
        if (list.len + name.len > 120) {
            buf_lit(&list, ", ...");
            break;
        }
        if (i)
            buf_lit(&list, ", ");
        buf_str(&list, name);
    }
    outcome_refuse(o, "label '%.*s' is none of the classes of %s:%lld: %s",
                   (int)(o->label.len < 40 ? o->label.len : 40), o->label.ptr ? o->label.ptr : "",
                   p->model, (long long)p->version, buf_c(&list));
    buf_done(&list);
}

static bool resolve_class(struct outcome_run *run, struct outcome *o)
{
    char number[STR_NUMBER_BYTES];
    for (int i = 0; i < o->predicted->class_count; i++) {
        struct str name = class_text(o->predicted, i, number);
        if (!is_class_label(o->label, name))
            continue;
        const char *copy = arena_copy(run->arena, name.ptr, name.len);
        o->label = (struct str){copy, copy ? name.len : 0};
        o->is_wrong = i != o->predicted->class_index;
        o->label_class = i;
        return true;
    }
    refuse_class(o);
    return false;
}

static bool resolve_number(struct outcome_run *run, struct outcome *o)
{
    double truth;
    char number[STR_NUMBER_BYTES];
    if (!str_to_f64(o->label, &truth) || !isfinite(truth)) {
        outcome_refuse(o, "%s:%lld predicts a number, and the label '%.*s' is none",
                       o->predicted->model, (long long)o->predicted->version,
                       (int)(o->label.len < 40 ? o->label.len : 40),
                       o->label.ptr ? o->label.ptr : "");
        return false;
    }
    size_t length = str_from_f64(truth, number);
    const char *copy = arena_copy(run->arena, number, length);
    o->label = (struct str){copy, copy ? length : 0};
    o->error = o->predicted->value - truth;
    return true;
}

static bool resolve_label(struct outcome_run *run, struct outcome *o)
{
    return o->predicted->is_class ? resolve_class(run, o) : resolve_number(run, o);
}

/* ---- what is known already ---- */

static enum err_code read_known(struct store_rows *rows, void *arg, struct err *err)
{
    struct known *known = ((void **)arg)[0];
    struct arena *arena = ((void **)arg)[1];
    bool is_full = false;
    *known = (struct known){
        .seq = store_i64(rows, 0),
        .label = store_text_copy(rows, 1, arena, &is_full),
        .value = store_f64(rows, 2),
        .at_us = store_i64(rows, 3),
    };
    return is_full ? err_set(err, ERR_LIMIT, "no room to read an outcome") : ERR_OK;
}

static enum err_code find_known(struct outcome_run *run, const char *sql,
                                const struct store_value *params, int param_count,
                                struct known *known, struct err *err)
{
    void *context[] = {known, run->arena};
    *known = (struct known){0};
    return registry_each_row(run->store, sql, params, param_count, read_known, context, err);
}

static bool is_same(const struct outcome *o, const struct known *known)
{
    return str_equal_c(o->label, known->label) && o->value == known->value;
}

/* A feedback id seen before: the same again, or a mistake of the client. */
static enum err_code check_feedback_id(struct outcome_run *run, struct outcome *o, struct err *err)
{
    struct known known;
    int64_t count = 0;
    if (o->feedback_id.len == 0)
        return ERR_OK;
    const struct store_value params[] = {
        STORE_STR(o->feedback_id),
        STORE_STR(o->name),
        STORE_STR(o->predicted->id),
        STORE_CSTR(o->predicted->model),
    };
    enum err_code rc = find_known(run, SQL_BY_FEEDBACK, params, 2, &known, err);
    if (!rc && known.seq)
        rc = registry_read_number(run->store, SQL_BY_FEEDBACK_OF, params, 4, 0, &count, err);
    if (rc || !known.seq)
        return rc;
    if (count && is_same(o, &known))
        o->result = OUTCOME_DUPLICATE;
    else
        outcome_refuse(o, "feedback_id '%.*s' was given before with other content",
                       (int)(o->feedback_id.len < 64 ? o->feedback_id.len : 64),
                       o->feedback_id.ptr);
    return ERR_OK;
}

/* ---- keeping ---- */

static struct str probabilities_text(const struct predicted *p, struct buf *buf)
{
    if (!p->probabilities)
        return (struct str){0};
    buf_char(buf, '[');
    for (int i = 0; i < p->class_count; i++) {
        if (i)
            buf_char(buf, ',');
        buf_f32(buf, p->probabilities[i]);
    }
    buf_char(buf, ']');
    return buf_view(buf);
}

static struct str segments_text(const struct predicted *p, struct buf *buf)
{
    struct json_writer w = {.out = buf};
    if (p->segment_count == 0)
        return (struct str){0};
    json_begin_object(&w);
    for (int i = 0; i < p->segment_count; i++) {
        json_key_str(&w, p->segments[i].name);
        json_put_str(&w, p->segments[i].value);
    }
    json_end_object(&w);
    return buf_view(buf);
}

/* Room for what is kept of one row. */
enum { PROBABILITIES_BYTES_MAX = 4096, SEGMENTS_BYTES_MAX = 64 * 1024 };

/* What is too large is one item's result, told before anything is written. */
static bool has_good_size(struct outcome *o)
{
    for (const struct predicted *p = o->predicted; p; p = p->shadow) {
        struct buf probabilities, segments;
        buf_init(&probabilities, PROBABILITIES_BYTES_MAX);
        buf_init(&segments, SEGMENTS_BYTES_MAX);
        probabilities_text(p, &probabilities);
        segments_text(p, &segments);
        if (probabilities.is_full)
            outcome_refuse(o, "the probabilities of the prediction are over %d bytes",
                           PROBABILITIES_BYTES_MAX);
        else if (segments.is_full)
            outcome_refuse(o, "the segments of the prediction are over %d bytes",
                           SEGMENTS_BYTES_MAX);
        buf_done(&probabilities);
        buf_done(&segments);
        if (o->result == OUTCOME_REFUSED)
            return false;
    }
    return true;
}

static enum err_code put_predicted(struct outcome_run *run, const struct predicted *p,
                                   struct err *err)
{
    struct buf probabilities, segments;
    buf_init(&probabilities, PROBABILITIES_BYTES_MAX);
    buf_init(&segments, SEGMENTS_BYTES_MAX);
    const struct store_value params[] = {
        STORE_STR(p->id),
        STORE_CSTR(p->model),
        STORE_INT(p->version),
        STORE_CSTR(arm_name(p->arm)),
        STORE_INT(p->rollout),
        STORE_INT(p->has_key),
        STORE_INT((int64_t)p->key_hash),
        STORE_STR(p->key),
        STORE_INT(p->at_us),
        STORE_INT(p->is_suspect),
        STORE_STR(p->answer),
        STORE_INT(p->is_class ? p->class_index : -1),
        STORE_INT(p->class_count),
        NUMBER(p->is_class || !isfinite(p->value) ? 0 : p->value),
        STORE_STR(probabilities_text(p, &probabilities)),
        STORE_STR(segments_text(p, &segments)),
        STORE_STR(p->group),
    };
    enum err_code rc = probabilities.is_full || segments.is_full
                           ? err_set(err, ERR_LIMIT, "no room for what was predicted")
                           : store_exec(run->store, SQL_PUT_PREDICTED, params, 17, NULL, err);
    buf_done(&probabilities);
    buf_done(&segments);
    return rc;
}

static enum err_code next_seq(struct outcome_run *run, int64_t *seq, struct err *err)
{
    if (run->next_seq == 0) {
        enum err_code rc =
            registry_read_number(run->store, SQL_NEXT_SEQ, NULL, 0, 1, &run->next_seq, err);
        if (rc)
            return rc;
    }
    *seq = run->next_seq++;
    return ERR_OK;
}

static enum err_code put_outcome(struct outcome_run *run, struct outcome *o, const char *state,
                                 struct err *err)
{
    enum err_code rc = next_seq(run, &o->seq, err);
    if (rc)
        return rc;
    const struct store_value params[] = {
        STORE_INT(o->seq),
        STORE_STR(o->predicted->id),
        STORE_CSTR(o->predicted->model),
        STORE_INT(o->predicted->version),
        STORE_STR(o->name),
        STORE_CSTR(outcome_kind_name(o->kind)),
        STORE_CSTR(state),
        STORE_STR(o->label),
        NUMBER(o->value),
        STORE_INT(o->at_us),
        STORE_INT(o->received_us),
        STORE_STR(o->feedback_id),
        STORE_CSTR(outcome_source_name(o->source)),
        STORE_CSTR(run->actor->name),
        STORE_INT(o->label_class),
    };
    return store_exec(run->store, SQL_PUT, params, 15, NULL, err);
}

static enum err_code keep_first(struct outcome_run *run, struct outcome *o, struct err *err)
{
    enum err_code rc = ERR_OK;
    if (!has_good_size(o))
        return ERR_OK;
    for (const struct predicted *p = o->predicted; p && !rc; p = p->shadow)
        rc = put_predicted(run, p, err);
    if (!rc)
        rc = put_outcome(run, o, "current", err);
    o->result = OUTCOME_ACCEPTED;
    return rc;
}

static enum err_code confirm(struct outcome_run *run, struct outcome *o, const struct known *known,
                             struct err *err)
{
    const struct store_value params[] = {STORE_INT(known->seq), STORE_INT(o->at_us)};
    o->result = OUTCOME_DUPLICATE;
    return o->at_us > known->at_us ? store_exec(run->store, SQL_CONFIRM, params, 2, NULL, err)
                                   : ERR_OK;
}

static bool was_wrong(const struct outcome *o, const struct known *known)
{
    char number[STR_NUMBER_BYTES];
    const struct predicted *p = o->predicted;
    return o->kind == OUTCOME_LABEL && p->is_class &&
           !is_class_label(str_of(known->label), class_text(p, p->class_index, number));
}

static enum err_code correct(struct outcome_run *run, struct outcome *o, const struct known *known,
                             struct err *err)
{
    const struct store_value params[] = {STORE_INT(known->seq)};
    enum err_code rc = store_exec(run->store, SQL_REPLACE, params, 1, NULL, err);
    if (!rc)
        rc = put_outcome(run, o, "current", err);
    o->result = OUTCOME_CORRECTED;
    o->replaced.is_wrong = was_wrong(o, known);
    o->replaced.value = known->value;
    return rc;
}

/* Older than what is current: into the history, once. */
static enum err_code keep_outdated(struct outcome_run *run, struct outcome *o, struct err *err)
{
    struct known seen;
    const struct store_value params[] = {
        STORE_STR(o->predicted->id), STORE_CSTR(o->predicted->model),
        STORE_STR(o->name),          STORE_INT(o->at_us),
        STORE_STR(o->label),         NUMBER(o->value),
    };
    enum err_code rc = find_known(run, SQL_SEEN, params, 6, &seen, err);
    o->result = seen.seq ? OUTCOME_DUPLICATE : OUTCOME_OUTDATED;
    if (rc || seen.seq)
        return rc;
    return put_outcome(run, o, "outdated", err);
}

static enum err_code refuse_contradiction(struct outcome *o, const struct known *known)
{
    char at[CLOCK_TEXT_BYTES];
    clock_format(known->at_us, at);
    if (o->kind == OUTCOME_LABEL)
        return outcome_refuse(o,
                              "contradicts the label '%.64s' of the same time %s; "
                              "a correction needs a later 'at'",
                              known->label, at);
    return outcome_refuse(o,
                          "contradicts %.*s = %.17g of the same time %s; "
                          "a correction needs a later 'at'",
                          STR_ARG(o->name), known->value, at);
}

static enum err_code keep(struct outcome_run *run, struct outcome *o, struct err *err)
{
    struct known known;
    const struct store_value params[] = {STORE_STR(o->predicted->id),
                                         STORE_CSTR(o->predicted->model), STORE_STR(o->name)};
    enum err_code rc = find_known(run, SQL_CURRENT, params, 3, &known, err);
    if (rc)
        return rc;
    if (!known.seq)
        return keep_first(run, o, err);
    if (is_same(o, &known))
        return confirm(run, o, &known, err);
    if (o->at_us > known.at_us)
        return correct(run, o, &known, err);
    if (o->at_us < known.at_us)
        return keep_outdated(run, o, err);
    return refuse_contradiction(o, &known);
}

/* ---- one outcome, and all of them ---- */

static enum err_code submit_one(struct outcome_run *run, struct outcome *o, struct err *err)
{
    if (!is_sound(o, run->now_us))
        return ERR_OK;
    if (!o->predicted)
        return outcome_orphan_put(run, o, err);
    enum err_code rc = check_feedback_id(run, o, err);
    if (rc || o->result != OUTCOME_PENDING)
        return rc;
    if (o->kind == OUTCOME_LABEL && !resolve_label(run, o))
        return ERR_OK;
    if (o->kind != OUTCOME_LABEL)
        rc = outcome_name_check(run, o, err);
    if (rc || o->result != OUTCOME_PENDING)
        return rc;
    return keep(run, o, err);
}

enum err_code outcome_submit(struct store *store, struct outcome *outcomes, int count,
                             const struct actor *actor, struct arena *arena, struct err *err)
{
    struct outcome_run run = {
        .store = store, .actor = actor, .arena = arena, .now_us = clock_wall_us()};
    assert(count <= OUTCOME_BATCH_MAX);
    for (int i = 0; i < count; i++) {
        struct outcome *o = &outcomes[i];
        if (o->result == OUTCOME_REFUSED)
            continue; /* by who read it */
        if (o->received_us == 0)
            o->received_us = run.now_us;
        o->result = OUTCOME_PENDING; /* the transaction may be run again */
        o->label_class = -1;
        o->seq = 0;
        enum err_code rc = submit_one(&run, o, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}
