/* test_span.c - which predictions become spans, whose trace they belong to, what they say. */
#include "monitor/span.h"

#include <string.h>

#include "base/json.h"
#include "test.h"

static const struct record_schema schema = {.model = "churn", .version = 7};

/* The example of W3C Trace Context. */
static struct record traced(const char *flags)
{
    static char traces[8][56]; /* of the last eight */
    static int used;
    char *trace = traces[used++ % 8];
    memcpy(trace, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-", 53);
    memcpy(trace + 53, flags, 3);
    return (struct record){
        .schema = &schema,
        .request_id = STR_LIT("order-17"),
        .traceparent = {trace, 55},
        .span_id = 0x0102030405060708,
        .at_us = 1769851800123456,
        .latency_us = 456,
        .status = 200,
        .row_count = 3,
    };
}

static struct record untraced(int status)
{
    struct record record = traced("01");
    record.traceparent = (struct str){0};
    record.span_id = 0;
    record.status = status;
    return record;
}

static void the_caller_decides(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, 1);
    struct record yes = traced("01"), no = traced("00"), more = traced("03"), odd = traced("02");
    assert_true(span_is_wanted(&yes, 0, &rand));
    assert_true(span_is_wanted(&more, 0, &rand));
    assert_false(span_is_wanted(&no, 1, &rand));
    assert_false(span_is_wanted(&odd, 1, &rand));
}

static void without_a_trace_errors_and_a_share_are_kept(void **state)
{
    (void)state;
    struct rand rand;
    struct record good = untraced(200), refused = untraced(422), failed = untraced(503);
    int kept = 0;
    rand_seed(&rand, 1);
    assert_false(span_is_wanted(&good, 0, &rand));
    assert_false(span_is_wanted(&refused, 0, &rand));
    assert_true(span_is_wanted(&failed, 0, &rand));
    assert_true(span_is_wanted(&good, 1, &rand));
    for (int i = 0; i < 10000; i++)
        kept += span_is_wanted(&good, 0.1, &rand);
    assert_in_range(kept, 900, 1100); /* 1000, standard deviation 30 */
}

static yyjson_val *format(const struct span *span, struct arena *arena)
{
    struct buf out;
    struct err err;
    yyjson_val *root;
    buf_init(&out, 64 * 1024);
    span_format(span, 1, "slipway", &out);
    assert_int_equal(json_read_strict(buf_view(&out), arena, &root, &err), ERR_OK);
    buf_done(&out);
    yyjson_val *resource = yyjson_arr_get_first(yyjson_obj_get(root, "resourceSpans"));
    yyjson_val *scope = yyjson_arr_get_first(yyjson_obj_get(resource, "scopeSpans"));
    return yyjson_arr_get_first(yyjson_obj_get(scope, "spans"));
}

static const char *text(yyjson_val *object, const char *key)
{
    const char *found = yyjson_get_str(yyjson_obj_get(object, key));
    return found ? found : "";
}

/* The value of an attribute as text; "" when there is none. */
static const char *attribute(yyjson_val *span, const char *key)
{
    size_t i, count;
    yyjson_val *one;
    yyjson_arr_foreach(yyjson_obj_get(span, "attributes"), i, count, one)
    {
        yyjson_val *value = yyjson_obj_get(one, "value");
        if (yyjson_equals_str(yyjson_obj_get(one, "key"), key))
            return yyjson_get_str(yyjson_obj_get(
                value, yyjson_obj_get(value, "intValue") ? "intValue" : "stringValue"));
    }
    return "";
}

static void a_span_goes_on_with_the_callers_trace(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1024 * 1024);
    struct rand rand;
    struct span span;
    struct record record = traced("01");
    rand_seed(&rand, 1);
    record.arm = ARM_CANARY;
    record.rollout = 12;
    span_from(&record, &rand, &span);
    yyjson_val *json = format(&span, arena);
    assert_string_equal(text(json, "traceId"), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_string_equal(text(json, "parentSpanId"), "00f067aa0ba902b7");
    assert_string_equal(text(json, "spanId"), "0102030405060708");
    assert_string_equal(text(json, "endTimeUnixNano"), "1769851800123456000");
    assert_string_equal(text(json, "startTimeUnixNano"), "1769851800123000000");
    assert_string_equal(attribute(json, "http.response.status_code"), "200");
    assert_string_equal(attribute(json, "slipway.version"), "7");
    assert_string_equal(attribute(json, "slipway.rows"), "3");
    assert_string_equal(attribute(json, "slipway.request_id"), "order-17");
    assert_string_equal(attribute(json, "feature_flag.key"), "churn");
    assert_string_equal(attribute(json, "feature_flag.result.variant"), "canary");
    assert_string_equal(attribute(json, "feature_flag.version"), "12");
    assert_string_equal(attribute(json, "error.type"), "");
    arena_free(arena);
}

static void an_error_without_a_trace_begins_one(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1024 * 1024);
    struct rand rand;
    struct span span, other;
    struct record record = untraced(503);
    rand_seed(&rand, 1);
    span_from(&record, &rand, &span);
    span_from(&record, &rand, &other);
    assert_memory_not_equal(span.trace_id, other.trace_id, sizeof(span.trace_id));
    yyjson_val *json = format(&span, arena);
    assert_null(yyjson_obj_get(json, "parentSpanId"));
    assert_int_equal(yyjson_get_int(yyjson_obj_get(yyjson_obj_get(json, "status"), "code")), 2);
    assert_string_equal(attribute(json, "error.type"), "503");
    assert_string_equal(attribute(json, "feature_flag.key"), "");
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_caller_decides),
        cmocka_unit_test(without_a_trace_errors_and_a_share_are_kept),
        cmocka_unit_test(a_span_goes_on_with_the_callers_trace),
        cmocka_unit_test(an_error_without_a_trace_begins_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
