/* test_monitor_task.c - closed windows go to the store, wait in memory while it fails, and come
 * back after a restart. */
#include "serve/monitor_task.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "monitor/window_store.h"

#include "monitor_fixture.h"

#define SECOND CLOCK_SECOND_US
#define START (INT64_C(1700000000) * SECOND)

static char dir[64];
static struct watched w;
static struct monitor_task task;
static struct sketch *sketch;

static void open_all(void)
{
    struct err err = {0};
    const struct window_config window = {.rows_min = 500, .span_us = SECOND};
    const struct control_config config = {
        .data_dir = dir, .create = true, .has_thread = true, .data_thread_count = 1};
    task = (struct monitor_task){.monitors = monitors_new(&window, NULL, 1)};
    if (control_open(&config, &task.control, &err))
        fail_msg("%s", err.msg);
    sketch = monitors_sketch(task.monitors, &w.loaded);
}

static void close_all(void)
{
    control_close(task.control);
    monitors_free(task.monitors);
}

static int begin(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/slipway-monitor-XXXXXX");
    assert_non_null(mkdtemp(dir));
    watched_begin(&w, 1000, 0);
    log_set_level(LOG_ERROR);
    open_all();
    return 0;
}

static int end(void **state)
{
    static const char *const names[] = {"slipway.db", "slipway.db-wal", "slipway.db-shm",
                                        "rollback.log", "lock"};
    char path[96];
    (void)state;
    close_all();
    watched_end(&w);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/blobs", dir);
    rmdir(path);
    snprintf(path, sizeof(path), "%s/backups", dir);
    rmdir(path);
    rmdir(dir);
    clock_set_for_test(0, 0);
    return 0;
}

/* One window of rows as in training is closed at this second. */
static void close_window(int64_t at)
{
    float row[WATCHED_NUMBERS + 1];
    for (int i = 0; i < 500; i++) {
        watched_row(&w, row);
        sketch_add_rows(sketch, 0, ARM_NONE, row, 1);
    }
    clock_set_for_test(at * SECOND, START + at * SECOND);
    monitor_task_run(&task);
    clock_set_for_test((at + 1) * SECOND, START + (at + 1) * SECOND);
    monitor_task_run(&task);
}

static int saved_windows(void)
{
    struct buf out;
    struct err err = {0};
    int count = 0;
    buf_init(&out, 1 << 20);
    struct json_writer writer = {.out = &out};
    struct store *store = control_read_begin(task.control);
    if (window_list_write(store, "churn", 7, 1000, &writer, &err))
        fail_msg("%s", err.msg);
    control_read_end(task.control);
    buf_char(&out, '\0');
    for (const char *at = out.data; (at = strstr(at, "\"window\":")); at++)
        count++;
    buf_done(&out);
    return count;
}

static const struct window *window(void)
{
    return monitor_next(task.monitors, NULL)->windows[ARM_NONE];
}

static enum err_code run_script(struct control *control, struct store *store, void *arg,
                                struct err *err)
{
    (void)control;
    return store_script(store, arg, err);
}

/* A statement on the store from outside. */
static void change_store(char *sql)
{
    struct err err = {0};
    struct control_op op = {.fn = run_script, .arg = sql};
    if (control_execute(task.control, &op, &err))
        fail_msg("%s", err.msg);
}

static void windows_are_saved_and_come_back(void **state)
{
    (void)state;
    close_window(10);
    close_window(20);
    assert_int_equal(saved_windows(), 2);
    close_all();
    open_all();
    assert_null(window()); /* nobody asked yet */
    monitor_task_restore(&task);
    assert_int_equal(window()->history_count, 2);
    assert_int_equal(window()->open_rows, 0);
    close_window(30);
    assert_int_equal(window()->history_count, 3);
    assert_int_equal(saved_windows(), 3);
}

/* While the store takes nothing, windows stay in memory; when it does, all of them are saved. */
static void a_store_that_fails_is_tried_again(void **state)
{
    char away[] = "ALTER TABLE monitor_states RENAME TO away";
    char back[] = "ALTER TABLE away RENAME TO monitor_states";
    (void)state;
    close_window(10);
    change_store(away);
    close_window(20);
    close_window(30);
    assert_true(task.is_failing);
    assert_int_equal(window()->closed_count, 3);
    assert_int_equal(window()->saved_count, 1);
    assert_int_equal(saved_windows(), 1);
    change_store(back);
    for (int i = 0; i < 2; i++)
        monitor_task_run(&task);
    assert_false(task.is_failing);
    assert_int_equal(saved_windows(), 3);
    assert_int_equal(window()->saved_count, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(windows_are_saved_and_come_back, begin, end),
        cmocka_unit_test_setup_teardown(a_store_that_fails_is_tried_again, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
