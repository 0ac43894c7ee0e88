/* test_parking.c - calls that wait for the folder: in order, not for ever, not too many. */
#include "api/parking.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "test.h"

enum { CALLS = 3, SECOND_US = 1000000 };

static struct call *gone_on[CALLS];
static int gone_on_count;

static void go_on(struct call *call)
{
    gone_on[gone_on_count++] = call;
}

static void answered(struct loop_message *message)
{
    (void)message;
}

/* Its loop runs what was posted before it ends. */
static void begin(struct call *calls, int count, struct loop *loop)
{
    for (int i = 0; i < count; i++) {
        memset(&calls[i], 0, sizeof(calls[i]));
        calls[i].loop = loop;
        calls[i].message.fn = answered;
    }
    gone_on_count = 0;
}

static void calls_go_on_in_order_when_it_opens(void **state)
{
    (void)state;
    struct call *calls = calloc(CALLS + 1, sizeof(*calls));
    struct parking *parking = parking_new();
    begin(calls, CALLS + 1, NULL);
    for (int i = 0; i < CALLS; i++)
        assert_int_equal(parking_take(parking, &calls[i]), PARKING_TAKEN);
    parking_open(parking, go_on);
    assert_int_equal(gone_on_count, CALLS);
    for (int i = 0; i < CALLS; i++)
        assert_ptr_equal(gone_on[i], &calls[i]);
    assert_int_equal(parking_take(parking, &calls[CALLS]), PARKING_OPEN);
    parking_free(parking);
    free(calls);
}

static void who_waits_for_too_long_is_told_so(void **state)
{
    (void)state;
    struct call *calls = calloc(CALLS, sizeof(*calls));
    struct parking *parking = parking_new();
    struct loop *loop = loop_new("test");
    begin(calls, CALLS, loop);
    for (int i = 0; i < CALLS; i++) { /* after 1, 2 and 3 s */
        clock_set_for_test((i + 1) * (int64_t)SECOND_US, 0);
        assert_int_equal(parking_take(parking, &calls[i]), PARKING_TAKEN);
    }
    parking_expire(parking, (int64_t)PARKING_WAIT_MS * 1000 + 2 * SECOND_US);
    assert_int_equal(calls[0].rc, ERR_UNAVAILABLE);
    assert_int_equal(calls[1].rc, ERR_UNAVAILABLE);
    assert_non_null(strstr(calls[1].err.msg, "has the data folder"));
    assert_int_equal(calls[2].rc, ERR_OK);
    parking_open(parking, go_on);
    assert_int_equal(gone_on_count, 1);
    assert_ptr_equal(gone_on[0], &calls[2]);
    loop_stop(loop);
    parking_free(parking);
    clock_set_for_test(0, 0);
    free(calls);
}

static void there_is_room_for_so_many(void **state)
{
    (void)state;
    struct call *calls = calloc(PARKING_CALLS_MAX + 1, sizeof(*calls));
    struct parking *parking = parking_new();
    struct loop *loop = loop_new("test");
    begin(calls, PARKING_CALLS_MAX + 1, loop);
    for (int i = 0; i < PARKING_CALLS_MAX; i++)
        assert_int_equal(parking_take(parking, &calls[i]), PARKING_TAKEN);
    assert_int_equal(parking_take(parking, &calls[PARKING_CALLS_MAX]), PARKING_FULL);
    parking_refuse_all(parking);
    assert_int_equal(calls[0].rc, ERR_UNAVAILABLE);
    assert_int_equal(calls[PARKING_CALLS_MAX - 1].rc, ERR_UNAVAILABLE);
    assert_int_equal(parking_take(parking, &calls[PARKING_CALLS_MAX]), PARKING_FULL);
    loop_stop(loop);
    parking_free(parking);
    free(calls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_go_on_in_order_when_it_opens),
        cmocka_unit_test(who_waits_for_too_long_is_told_so),
        cmocka_unit_test(there_is_room_for_so_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
