/* judgement_json.c - judgements to JSON. */
#include "monitor/judgement_json.h"

#include <math.h>

void json_put_measure(struct json_writer *w, const char *key, double value)
{
    json_key(w, key);
    if (isfinite(value))
        json_put_f64(w, value);
    else
        json_put_null(w);
}

static void put_measures(struct json_writer *w, const struct judgement *j)
{
    json_put_measure(w, "psi_nats", j->psi_nats);
    json_put_measure(w, "js_distance_base2", j->js_distance_base2);
    json_put_measure(w, "hellinger", j->hellinger);
    json_put_measure(w, "l_infinity", j->l_infinity);
    json_put_measure(w, "chi2", j->chi2);
    json_member_i64(w, "chi2_dof", j->dof);
    json_put_measure(w, "p", j->p);
    json_put_measure(w, "q", j->q);
    json_put_measure(w, "missing_ratio", j->missing_share);
    json_put_measure(w, "missing_ratio_baseline", j->base_missing_share);
    json_put_measure(w, "missing_q", j->missing_q);
    json_put_measure(w, "unseen_ratio", j->unseen_share);
    json_put_measure(w, "infinite_ratio", j->infinite_share);
}

void judgement_write(struct json_writer *w, const struct judgement *j, const char *cause)
{
    json_member_text(w, "verdict", monitor_verdict_name(j->verdict));
    if (j->rule)
        json_member_text(w, "rule", judge_rule_name(j->rule));
    if (j->wait)
        json_member_text(w, "reason", j->wait);
    if (cause && cause[0])
        json_member_text(w, "cause", cause);
    json_member_i64(w, "rows", (int64_t)j->rows);
    put_measures(w, j);
}

const char *baseline_note(const struct baseline_column *c)
{
    if (c->is_learnt)
        return c->rows > 0 ? "learnt from the first windows in which no feature drifted"
                           : "being learnt from windows in which no feature drifts";
    return c->rows < BASELINE_ROWS_GOOD ? "fewer than 5000 rows: small shifts may be its own error"
                                        : "";
}
