/* drift_alert.c - which alerts a closed window raises and which it clears. */
#include "monitor/drift_alert.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "monitor/cause.h"

enum { COLUMNS_NAMED = 3 };

static const char *const rules[] = {"drift", "missing", "unseen"};
enum { RULE_DRIFT, RULE_MISSING_SHARE, RULE_UNSEEN, RULES };

static const double clear_share = 0.8;

/* ---- keys ---- */

static const char *key_of(const char *rule, const struct monitor *m, enum arm arm, const char *what,
                          char out[ALERT_KEY_BYTES])
{
    const char *slash = arm == ARM_NONE ? "" : "/";
    snprintf(out, ALERT_KEY_BYTES, "%s/%s/%lld%s%s%s%s", rule, m->model, (long long)m->version,
             slash, arm_name(arm), what ? "/" : "", what ? what : "");
    return out;
}

static const char *cause_of(const char *causes, int column)
{
    return causes ? causes + (size_t)column * CAUSE_BYTES : "";
}

/* ---- one column ---- */

/* Unseen categories are a drift of which they are the larger part. */
static int rule_of(const struct judgement *j)
{
    if (j->rule == JUDGE_MISSING)
        return RULE_MISSING_SHARE;
    return j->unseen_share >= 0.5 * j->l_infinity && j->unseen_share > 0 ? RULE_UNSEEN : RULE_DRIFT;
}

static void describe(const struct baseline_column *c, const struct judgement *j, const char *title,
                     struct alert *alert, char *message)
{
    if (j->rule == JUDGE_MISSING) {
        alert->value = fabs(j->missing_share - j->base_missing_share);
        alert->bound = judge_missing_warn;
        alert->unit = "ratio";
        snprintf(message, ALERT_MESSAGE_BYTES,
                 "`%s` of %s is missing in %.1f %% of rows, %.1f %% in the baseline", c->name,
                 title, 100 * j->missing_share, 100 * j->base_missing_share);
        return;
    }
    alert->value = j->psi_nats;
    alert->bound = j->verdict == MONITOR_ALERT ? judge_psi_alert : judge_psi_warn;
    alert->unit = "nats";
    if (j->rule == JUDGE_LONG_RUN)
        snprintf(message, ALERT_MESSAGE_BYTES,
                 "`%s` of %s drifts slowly: certain over many windows, corrected PSI %.3f nats",
                 c->name, title, j->psi_nats);
    else
        snprintf(message, ALERT_MESSAGE_BYTES,
                 "`%s` of %s drifts: corrected PSI %.3f nats, %.2f is the limit", c->name, title,
                 j->psi_nats, alert->bound);
}

static void raise_column(struct alerts *alerts, const struct monitor *m, const struct window *w,
                         int i)
{
    const struct judgement *j = &w->judgements[i];
    const struct baseline_column *c = &m->baseline->columns[i];
    char key[ALERT_KEY_BYTES], message[ALERT_MESSAGE_BYTES], title[MONITOR_TITLE_BYTES];
    int rule = rule_of(j);
    struct alert alert = {
        .key = key_of(rules[rule], m, w->arm, c->name, key),
        .model = m->model,
        .version = m->version,
        .rule = rules[rule],
        .severity = j->verdict == MONITOR_ALERT ? ALERT_TICKET : ALERT_INFO,
        .message = message,
        .cause = cause_of(w->causes, i),
        .since_us = w->since_us[i],
    };
    describe(c, j, monitor_title(m, w->arm, title), &alert, message);
    alert_raise(alerts, &alert);
}

static void clear_column(struct alerts *alerts, const struct monitor *m, enum arm arm, int i,
                         int except)
{
    char key[ALERT_KEY_BYTES];
    for (int rule = 0; rule < RULES; rule++)
        if (rule != except)
            alert_clear(alerts, key_of(rules[rule], m, arm, m->baseline->columns[i].name, key));
}

/* Well below every bound, so that an alert does not come and go with each window. */
static bool is_calm(const struct window *w, int i)
{
    const struct judgement *j = &w->judgements[i];
    double missing = fabs(j->missing_share - j->base_missing_share);
    return j->verdict == MONITOR_OK && j->psi_nats < clear_share * judge_psi_warn &&
           missing < clear_share * judge_missing_warn &&
           w->detectors[i].log_cusum < clear_share * judge_long_run_alarm(w->baseline);
}

/* ---- all of them ---- */

/* "`a`, `b`, `c` and 4 more" of the columns with a verdict of warn or worse. */
static int name_columns(const struct baseline *baseline, const struct judgement *judgements,
                        char *out, size_t size)
{
    int count = 0, length = 0;
    out[0] = '\0';
    for (int i = 0; i < baseline->column_count; i++) {
        if (judgements[i].verdict < MONITOR_WARN)
            continue;
        if (count++ < COLUMNS_NAMED && length < (int)size)
            length += snprintf(out + length, size - (size_t)length, "%s`%.40s`",
                               count > 1 ? ", " : "", baseline->columns[i].name);
    }
    if (count > COLUMNS_NAMED && length < (int)size)
        snprintf(out + length, size - (size_t)length, " and %d more", count - COLUMNS_NAMED);
    return count;
}

static int first_drifting(const struct baseline *baseline, const struct judgement *judgements)
{
    int worst = -1;
    for (int i = 0; i < baseline->column_count; i++)
        if (judgements[i].verdict >= MONITOR_WARN &&
            (worst < 0 || judgements[i].psi_nats > judgements[worst].psi_nats))
            worst = i;
    return worst;
}

static void raise_upstream(struct alerts *alerts, const struct monitor *m, const struct window *w)
{
    char key[ALERT_KEY_BYTES], message[ALERT_MESSAGE_BYTES], title[MONITOR_TITLE_BYTES];
    char names[200], cause[ALERT_CAUSE_BYTES];
    int count = name_columns(m->baseline, w->judgements, names, sizeof(names));
    int worst = first_drifting(m->baseline, w->judgements);
    snprintf(message, sizeof(message), "%d of %d columns of %s drift together: %s", count,
             m->baseline->column_count, monitor_title(m, w->arm, title), names);
    snprintf(cause, sizeof(cause), "upstream change? worst is `%.40s`: %.180s",
             m->baseline->columns[worst].name, cause_of(w->causes, worst));
    struct alert alert = {
        .key = key_of("drift", m, w->arm, "(all)", key),
        .model = m->model,
        .version = m->version,
        .rule = "drift",
        .severity = judge_worst(w->judgements, m->baseline->column_count) == MONITOR_ALERT
                        ? ALERT_TICKET
                        : ALERT_INFO,
        .value = (double)count / m->baseline->column_count,
        .bound = 0.3,
        .unit = "ratio",
        .message = message,
        .cause = cause,
        .since_us = w->since_us[worst],
    };
    alert_raise(alerts, &alert);
}

void drift_alert_window(struct alerts *alerts, const struct monitor *m, const struct window *w)
{
    char key[ALERT_KEY_BYTES];
    if (!alerts)
        return;
    if (w->is_upstream)
        raise_upstream(alerts, m, w);
    else
        alert_clear(alerts, key_of("drift", m, w->arm, "(all)", key));
    for (int i = 0; i < m->baseline->column_count; i++) {
        bool is_drifting = w->judgements[i].verdict >= MONITOR_WARN && !w->is_upstream;
        if (is_drifting)
            raise_column(alerts, m, w, i);
        if (is_drifting || w->is_upstream || is_calm(w, i))
            clear_column(alerts, m, w->arm, i, is_drifting ? rule_of(&w->judgements[i]) : RULES);
    }
    if (judge_worst(w->judgements, m->baseline->column_count) == MONITOR_OK)
        alert_clear(alerts, key_of("skew", m, w->arm, NULL, key));
}

void drift_alert_skew(struct alerts *alerts, const struct monitor *m, const struct window *w)
{
    char key[ALERT_KEY_BYTES], message[ALERT_MESSAGE_BYTES], title[MONITOR_TITLE_BYTES];
    char names[200];
    int count = name_columns(m->baseline, w->skew, names, sizeof(names));
    if (!alerts || count == 0)
        return;
    int worst = first_drifting(m->baseline, w->skew);
    snprintf(message, sizeof(message),
             "the first %llu rows of %s differ from training in %d of %d columns: %s",
             (unsigned long long)w->skew_rows, monitor_title(m, w->arm, title), count,
             m->baseline->column_count, names);
    struct alert alert = {
        .key = key_of("skew", m, w->arm, NULL, key),
        .model = m->model,
        .version = m->version,
        .rule = "skew",
        .severity = ALERT_PAGE,
        .value = w->skew[worst].psi_nats,
        .bound = judge_psi_warn,
        .unit = "nats",
        .message = message,
        .cause = cause_of(w->skew_causes, worst),
    };
    alert_raise(alerts, &alert);
}

static void clear_arm(struct alerts *alerts, const struct monitor *m, enum arm arm)
{
    char key[ALERT_KEY_BYTES];
    alert_clear(alerts, key_of("drift", m, arm, "(all)", key));
    alert_clear(alerts, key_of("skew", m, arm, NULL, key));
    for (int i = 0; i < m->baseline->column_count; i++)
        clear_column(alerts, m, arm, i, RULES);
}

void drift_alert_clear(struct alerts *alerts, const struct monitor *m)
{
    for (int arm = 0; alerts && arm < ARM_COUNT; arm++)
        if (m->windows[arm])
            clear_arm(alerts, m, (enum arm)arm);
}
