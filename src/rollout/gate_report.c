/* gate_report.c - a report as JSON: what the store keeps and the command line formats.
 *
 *     {"verdict": "pass", "rows": {...}, "checks": [{"kind", "name", "verdict", "text", "value",
 *      "low", "high", "limit", "p", "n"}], "metrics": [{"name", "value", "low", "high", "n",
 *      "method", "missing", "champion", "difference", ...}], "confusion": [[...]],
 *      "worst_slices": [...], "latency": {...}}
 */
#include <math.h>

#include "rollout/gate.h"

static void write_check(struct json_writer *w, const struct gate_check *check)
{
    json_begin_object(w);
    json_member_text(w, "kind", check->kind);
    json_member_text(w, "name", check->name);
    json_member_text(w, "verdict", gate_verdict_name(check->verdict));
    json_member_text(w, "text", check->text);
    json_member_f64(w, "value", check->value);
    json_member_f64(w, "low", check->low);
    json_member_f64(w, "high", check->high);
    json_member_f64(w, "limit", check->limit);
    json_member_f64(w, "p", check->p);
    json_member_i64(w, "n", check->n);
    json_end_object(w);
}

static void write_metric(struct json_writer *w, const struct gate_report *report, int metric)
{
    const struct quality *q = &report->candidate[metric];
    json_begin_object(w);
    json_member_text(w, "name", quality_name(metric));
    json_member_f64(w, "value", q->value);
    json_member_f64(w, "low", q->low);
    json_member_f64(w, "high", q->high);
    json_member_i64(w, "n", q->n);
    json_member_i64(w, "skipped", q->skipped);
    json_member_text(w, "method", q->method);
    json_member_text(w, "missing", q->missing);
    if (report->has_champion) {
        json_member_f64(w, "champion", report->champion[metric].value);
        json_member_f64(w, "difference", report->difference[metric].value);
        json_member_f64(w, "difference_low", report->difference[metric].low);
        json_member_f64(w, "difference_high", report->difference[metric].high);
    }
    json_end_object(w);
}

static void write_slice(struct json_writer *w, const struct gate_slice *slice)
{
    json_begin_object(w);
    json_member_text(w, "name", slice->name);
    json_member_i64(w, "n", slice->n);
    json_member_f64(w, "loss", slice->loss);
    json_member_f64(w, "rest_loss", slice->rest_loss);
    json_member_f64(w, "more_at_least", slice->low);
    json_member_f64(w, "p", slice->p);
    json_end_object(w);
}

static void write_rows(struct json_writer *w, const struct gate_data *data)
{
    json_key(w, "rows");
    json_begin_object(w);
    json_member_i64(w, "in_file", data->row_count);
    json_member_i64(w, "measured", data->count);
    json_member_i64(w, "rejected", data->rejected_count);
    json_member_i64(w, "rejected_by_champion", data->champion_rejected_count);
    json_member_i64(w, "without_truth", data->without_truth_count);
    json_member_text(w, "target", data->target);
    json_member_text(w, "ignored_columns", data->ignored_columns);
    json_member_text(w, "sha256", data->digest);
    json_end_object(w);
}

static void write_confusion(struct json_writer *w, const struct gate_report *report)
{
    int count = report->data->class_count;
    if (!report->confusion)
        return;
    json_key(w, "confusion");
    json_begin_array(w);
    for (int truth = 0; truth < count; truth++) {
        json_begin_array(w);
        for (int answer = 0; answer < count; answer++)
            json_put_i64(w, report->confusion[truth * count + answer]);
        json_end_array(w);
    }
    json_end_array(w);
}

static void write_latency(struct json_writer *w, const struct gate_report *report)
{
    if (isnan(report->p50_us))
        return;
    json_key(w, "latency");
    json_begin_object(w);
    json_member_f64(w, "p50_us", report->p50_us);
    json_member_f64(w, "p99_us", report->p99_us);
    json_member_f64(w, "champion_p50_us", report->champion_p50_us);
    json_member_f64(w, "champion_p99_us", report->champion_p99_us);
    json_end_object(w);
}

void gate_report_write(struct json_writer *w, const struct gate_report *report)
{
    json_begin_object(w);
    json_member_text(w, "verdict", gate_verdict_name(report->verdict));
    json_member_text(w, "file_sha256", report->file->digest);
    write_rows(w, report->data);
    json_key(w, "checks");
    json_begin_array(w);
    for (int i = 0; i < report->check_count; i++)
        write_check(w, &report->checks[i]);
    json_end_array(w);
    json_key(w, "metrics");
    json_begin_array(w);
    for (int m = 0; m < QUALITY_COUNT; m++)
        if (report->candidate[m].is_measured)
            write_metric(w, report, m);
    json_end_array(w);
    write_confusion(w, report);
    json_key(w, "worst_slices");
    json_begin_array(w);
    for (int i = 0; i < report->worst_count; i++)
        write_slice(w, &report->worst[i]);
    json_end_array(w);
    write_latency(w, report);
    json_end_object(w);
}
