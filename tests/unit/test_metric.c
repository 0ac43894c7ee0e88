/* test_metric.c - both exposition formats to the byte, escaping, the cap on series. */
#include "base/metric.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "guard_page.h"
#include "test.h"

static void begin(struct metric_writer *w, struct buf *out, enum metric_format format)
{
    buf_init(out, 1 << 20);
    metric_begin(w, out, format, 2000);
}

static void assert_written(struct metric_writer *w, struct buf *out, const char *expected)
{
    metric_end(w);
    assert_string_equal(buf_c(out), expected);
    buf_done(out);
}

static void write_each_type(struct metric_writer *w)
{
    metric_family(w, METRIC_BUILD);
    metric_sample(w, 1, METRIC_LABELS("0.1.0"));
    metric_family(w, METRIC_UPTIME);
    metric_sample(w, 12.5, METRIC_NO_LABELS);
    metric_family(w, METRIC_REQUESTS);
    metric_sample(w, 7, METRIC_LABELS("churn", "3", "200"));
    metric_sample(w, 1, METRIC_LABELS("churn", "3", "422"));
}

static void the_text_format_is_version_0_0_4(void **state)
{
    (void)state;
    struct metric_writer w;
    struct buf out;
    begin(&w, &out, METRIC_PROMETHEUS);
    write_each_type(&w);
    assert_written(&w, &out,
                   "# HELP slipway_build_info Version of the running program.\n"
                   "# TYPE slipway_build_info gauge\n"
                   "slipway_build_info{version=\"0.1.0\"} 1\n"
                   "# HELP slipway_uptime_seconds Time since the server was ready.\n"
                   "# TYPE slipway_uptime_seconds gauge\n"
                   "slipway_uptime_seconds 12.5\n"
                   "# HELP slipway_requests_total Requests answered, by model, version and HTTP "
                   "status; model is empty outside predictions.\n"
                   "# TYPE slipway_requests_total counter\n"
                   "slipway_requests_total{model=\"churn\",version=\"3\",code=\"200\"} 7\n"
                   "slipway_requests_total{model=\"churn\",version=\"3\",code=\"422\"} 1\n");
}

static void openmetrics_names_families_in_its_way(void **state)
{
    (void)state;
    struct metric_writer w;
    struct buf out;
    begin(&w, &out, METRIC_OPENMETRICS);
    write_each_type(&w);
    assert_written(&w, &out,
                   "# HELP slipway_build Version of the running program.\n"
                   "# TYPE slipway_build info\n"
                   "slipway_build_info{version=\"0.1.0\"} 1\n"
                   "# HELP slipway_uptime_seconds Time since the server was ready.\n"
                   "# TYPE slipway_uptime_seconds gauge\n"
                   "slipway_uptime_seconds 12.5\n"
                   "# HELP slipway_requests Requests answered, by model, version and HTTP "
                   "status; model is empty outside predictions.\n"
                   "# TYPE slipway_requests counter\n"
                   "slipway_requests_total{model=\"churn\",version=\"3\",code=\"200\"} 7\n"
                   "slipway_requests_total{model=\"churn\",version=\"3\",code=\"422\"} 1\n"
                   "# EOF\n");
}

/* 0.3 ms twice, 2 ms, 60 s: cumulative counts, and the sum 0.0006 + 0.002 + 60. */
static void histograms_have_cumulative_buckets(void **state)
{
    static struct histogram histogram;
    static struct histogram_sum sum;
    (void)state;
    struct metric_writer w;
    struct buf out;
    histogram_record(&histogram, 300000);
    histogram_record(&histogram, 300000);
    histogram_record(&histogram, 2000000);
    histogram_record(&histogram, INT64_C(60000000000));
    histogram_add_to(&histogram, &sum);
    begin(&w, &out, METRIC_PROMETHEUS);
    metric_family(&w, METRIC_STEP_SECONDS);
    metric_histogram(&w, &sum, METRIC_LABELS("predict"));
#define BUCKET(le, n) "slipway_step_duration_seconds_bucket{step=\"predict\",le=\"" le "\"} " n "\n"
    assert_written(
        &w, &out,
        "# HELP slipway_step_duration_seconds Time spent in each step of a prediction.\n"
        "# TYPE slipway_step_duration_seconds histogram\n" BUCKET("0.0001", "0") BUCKET(
            "0.00025", "0") BUCKET("0.0005", "2") BUCKET("0.001", "2") BUCKET("0.0025", "3")
            BUCKET("0.005", "3") BUCKET("0.01", "3") BUCKET("0.025", "3") BUCKET("0.05", "3")
                BUCKET("0.1", "3") BUCKET("0.25", "3") BUCKET("0.5", "3") BUCKET("1.0", "3")
                    BUCKET("2.5", "3") BUCKET("10.0", "3") BUCKET(
                        "+Inf", "4") "slipway_step_duration_seconds_sum{step=\"predict\"} 60.0026\n"
                                     "slipway_step_duration_seconds_count{step=\"predict\"} 4\n");
}

static void label_values_cannot_break_out(void **state)
{
    (void)state;
    struct metric_writer w;
    struct buf out;
    begin(&w, &out, METRIC_PROMETHEUS);
    metric_family(&w, METRIC_BUILD);
    buf_clear(&out);
    metric_sample(&w, 1, METRIC_LABELS("a\"} 9\n\\ \xC3\xA4 \xFF"));
    assert_written(&w, &out,
                   "slipway_build_info{version=\"a\\\"} 9\\n\\\\ \xC3\xA4 \xEF\xBF\xBD\"} 1\n");
}

static void values_have_every_form_a_double_has(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},       {-3, "-3"},         {9007199254740992.0, "9007199254740992"},
                 {1e21, "1e21"}, {0.1, "0.1"},       {1e-9, "1e-9"},
                 {NAN, "NaN"},   {INFINITY, "+Inf"}, {-INFINITY, "-Inf"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct metric_writer w;
        struct buf out;
        begin(&w, &out, METRIC_PROMETHEUS);
        metric_family(&w, METRIC_UPTIME);
        buf_clear(&out);
        metric_sample(&w, cases[i].value, METRIC_NO_LABELS);
        metric_end(&w);
        assert_memory_equal(buf_c(&out) + strlen("slipway_uptime_seconds "), cases[i].text,
                            strlen(cases[i].text));
        assert_int_equal(out.data[out.len - 1], '\n');
        buf_done(&out);
    }
}

static void series_past_the_cap_are_summed_in_one(void **state)
{
    (void)state;
    struct metric_writer w;
    struct buf out;
    buf_init(&out, 1 << 20);
    metric_begin(&w, &out, METRIC_PROMETHEUS, 2);
    metric_family(&w, METRIC_ERRORS);
    buf_clear(&out);
    metric_sample(&w, 1, METRIC_LABELS("a"));
    metric_sample(&w, 2, METRIC_LABELS("b"));
    metric_sample(&w, 3, METRIC_LABELS("c"));
    metric_sample(&w, 4, METRIC_LABELS("d"));
    assert_written(&w, &out,
                   "slipway_errors_total{code=\"a\"} 1\n"
                   "slipway_errors_total{code=\"b\"} 2\n"
                   "slipway_errors_total{code=\"other\"} 7\n");
}

static void histograms_past_the_cap_are_merged(void **state)
{
    static struct histogram histogram;
    static struct histogram_sum sum;
    (void)state;
    struct metric_writer w;
    struct buf out;
    histogram_record(&histogram, 1000);
    histogram_add_to(&histogram, &sum);
    buf_init(&out, 1 << 20);
    metric_begin(&w, &out, METRIC_PROMETHEUS, 1);
    metric_family(&w, METRIC_REQUEST_SECONDS);
    metric_histogram(&w, &sum, METRIC_LABELS("a", "1"));
    metric_histogram(&w, &sum, METRIC_LABELS("b", "1"));
    metric_histogram(&w, &sum, METRIC_LABELS("c", "1"));
    metric_family(&w, METRIC_UPTIME);
    metric_end(&w);
    assert_null(strstr(buf_c(&out), "model=\"b\""));
    assert_non_null(strstr(buf_c(&out), "slipway_request_duration_seconds_count{model=\"other\","
                                        "version=\"other\"} 2\n# HELP slipway_uptime"));
    buf_done(&out);
}

static enum metric_format choose(const char *accept)
{
    struct guard g = guard_init_text(accept);
    enum metric_format format = metric_choose_format(g.text);
    guard_done(&g);
    return format;
}

static void the_scraper_chooses_the_format(void **state)
{
    (void)state;
    /* What Prometheus 2.42 sends. */
    assert_int_equal(choose("application/openmetrics-text;version=1.0.0,"
                            "application/openmetrics-text;version=0.0.1;q=0.75,"
                            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
                     METRIC_OPENMETRICS);
    assert_int_equal(choose("text/plain;version=0.0.4"), METRIC_PROMETHEUS);
    assert_int_equal(choose("*/*"), METRIC_PROMETHEUS);
    assert_int_equal(choose(""), METRIC_PROMETHEUS);
    assert_int_equal(metric_choose_format((struct str){NULL, 0}), METRIC_PROMETHEUS);
    assert_int_equal(choose("application/openmetrics-text;q=0.4, text/plain;q=0.5"),
                     METRIC_PROMETHEUS);
    assert_int_equal(choose("Application/OpenMetrics-Text ; q=0"), METRIC_PROMETHEUS);
    assert_int_equal(choose("application/openmetrics-text;q=x,,;;q=,=;"), METRIC_PROMETHEUS);
}

static bool ends_with(const char *text, const char *end)
{
    return str_ends_with(str_of(text), str_of(end));
}

static void rows_keep_the_rules_of_naming(void **state)
{
    (void)state;
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct metric *m = &metric_table[i];
        assert_int_equal(m->type == METRIC_COUNTER, ends_with(m->name, "_total"));
        assert_int_equal(m->type == METRIC_INFO, ends_with(m->name, "_info"));
        assert_true(m->type != METRIC_HISTOGRAM || ends_with(m->name, "_seconds"));
        assert_int_equal(strspn(m->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(m->name));
        assert_true(ends_with(m->help, ".") && !strpbrk(m->help, "\"\\\n"));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(m->name, metric_table[j].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_format_is_version_0_0_4),
        cmocka_unit_test(openmetrics_names_families_in_its_way),
        cmocka_unit_test(histograms_have_cumulative_buckets),
        cmocka_unit_test(label_values_cannot_break_out),
        cmocka_unit_test(values_have_every_form_a_double_has),
        cmocka_unit_test(series_past_the_cap_are_summed_in_one),
        cmocka_unit_test(histograms_past_the_cap_are_merged),
        cmocka_unit_test(the_scraper_chooses_the_format),
        cmocka_unit_test(rows_keep_the_rules_of_naming),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
