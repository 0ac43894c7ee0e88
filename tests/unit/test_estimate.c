/* test_estimate.c - accuracy estimated before the truth is known, against what was realised.
 *
 * The hotel bookings are those of NannyML's samples: predictions of one model, the truth in a file
 * of its own. Realised accuracies by month are counted here from both files.
 */
#include "monitor/estimate.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/csv.h"
#include "base/map.h"
#include "test.h"

#define FOLDER "../shared/data/hotel_booking/"
enum { CELLS = 2 * ESTIMATE_BINS, MONTHS = 5, COLUMNS_MAX = 64 };

static double hit_cells[3 * ESTIMATE_BINS], weight_cells[3 * ESTIMATE_BINS];

static struct estimate_map empty_map(void)
{
    return (struct estimate_map){.hit = hit_cells, .weight = weight_cells};
}

static void scores_fall_into_cells(void **state)
{
    (void)state;
    assert_int_equal(estimate_cell(0, 0), 0);
    assert_int_equal(estimate_cell(0, 0.5), 128);
    assert_int_equal(estimate_cell(1, 1), 511);
    assert_int_equal(estimate_cell(2, -1), 512);
    assert_int_equal(estimate_cell(0, NAN), 0);
}

static void too_few_labels_give_no_estimate(void **state)
{
    int64_t rows[CELLS] = {[10] = 499}, hits[CELLS] = {0};
    struct estimate_map map = empty_map();
    struct err err = {0};
    (void)state;
    assert_int_equal(estimate_fit(rows, hits, 2, &map, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "needs 500 labelled rows with probabilities, 499 are there"));
}

/* Calibration: 0.2 hits in bin 50 (600 rows), 0.9 in bin 200 (400 rows). A window of 30 rows in bin
 * 50 answered 0 and 10 in bin 200 answered 1:
 *     expected right = 30 * 0.8 + 10 * 0.9 = 33 of 40 = 0.825
 *     precision = 9 / 10; recall = 9 / (9 + 6) = 0.6; f1 = 9 / 12.5 = 0.72
 *     variance = 30 * .16 + 10 * .09 + 30^2 * .16 / 600 + 10^2 * .09 / 400 = 5.9625
 *     low = 0.825 - 1.959964 * sqrt(5.9625) / 40 = 0.705353 */
static void two_levels_are_summed_by_hand(void **state)
{
    int64_t rows[CELLS] = {[50] = 600, [ESTIMATE_BINS + 200] = 400};
    int64_t hits[CELLS] = {[50] = 120, [ESTIMATE_BINS + 200] = 360};
    int64_t window[CELLS] = {[50] = 30, [ESTIMATE_BINS + 200] = 10};
    struct estimate_map map = empty_map();
    struct estimate e;
    struct err err = {0};
    (void)state;
    assert_int_equal(estimate_fit(rows, hits, 2, &map, &err), ERR_OK);
    assert_int_equal(map.label_count, 1000);
    assert_float_equal(map.hit[0], 0.2, 1e-12);
    assert_float_equal(map.hit[125], 0.55, 1e-12); /* half way from 50 to 200 */
    assert_float_equal(map.hit[255], 0.9, 1e-12);
    assert_int_equal(estimate_quality(&map, window, &e, &err), ERR_OK);
    assert_int_equal(e.row_count, 40);
    assert_float_equal(e.accuracy.value, 0.825, 1e-12);
    assert_float_equal(e.accuracy.low, 0.705353, 1e-5);
    assert_float_equal(e.precision.value, 0.9, 1e-12);
    assert_float_equal(e.recall.value, 0.6, 1e-12);
    assert_float_equal(e.f1.value, 0.72, 1e-12);
    assert_float_equal(e.confusion[1][0], 6, 1e-12);
}

/* Hits that fall with the score are pooled: (300 * 0.6 + 300 * 0.4) / 600 = 0.5 on both. */
static void a_curve_never_falls(void **state)
{
    int64_t rows[CELLS] = {[100] = 300, [150] = 300}, hits[CELLS] = {[100] = 180, [150] = 120};
    struct estimate_map map = empty_map();
    struct err err = {0};
    (void)state;
    assert_int_equal(estimate_fit(rows, hits, 2, &map, &err), ERR_OK);
    assert_float_equal(map.hit[100], 0.5, 1e-12);
    assert_float_equal(map.hit[150], 0.5, 1e-12);
    assert_float_equal(map.weight[100], 600, 1e-9);
}

/* Three classes: class 2 is right in 0.5 of its rows, class 0 in 0.8; class 1 was never answered.
 *     (10 * 0.8 + 30 * 0.5) / 40 = 0.575 */
static void classes_are_calibrated_by_the_answer(void **state)
{
    int64_t rows[3 * ESTIMATE_BINS] = {[200] = 500, [2 * ESTIMATE_BINS + 150] = 500};
    int64_t hits[3 * ESTIMATE_BINS] = {[200] = 400, [2 * ESTIMATE_BINS + 150] = 250};
    int64_t window[3 * ESTIMATE_BINS] = {[210] = 10, [2 * ESTIMATE_BINS + 140] = 30};
    struct estimate_map map = empty_map();
    struct estimate e;
    struct err err = {0};
    (void)state;
    assert_int_equal(estimate_fit(rows, hits, 3, &map, &err), ERR_OK);
    assert_int_equal(estimate_quality(&map, window, &e, &err), ERR_OK);
    assert_float_equal(e.accuracy.value, 0.575, 1e-12);
    assert_true(isnan(e.recall.value));
}

/* ---- hotel bookings ---- */

struct month {
    int64_t rows[CELLS], unlabelled;
    int64_t count, right;
};

struct bookings {
    struct arena *arena;
    struct map truths; /* key -> "1" or "0" */
    int64_t rows[CELLS], hits[CELLS];
    struct month months[MONTHS];
};

static int column_of(const struct str *cells, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (str_equal_c(cells[i], name))
            return i;
    return -1;
}

/* 2016-10 is 0, 2017-02 is 4. */
static int month_of(struct str date)
{
    int64_t year, month;
    assert_true(str_to_i64((struct str){date.ptr, 4}, &year));
    assert_true(str_to_i64((struct str){date.ptr + 5, 2}, &month));
    return (int)(year * 12 + month - (2016 * 12 + 10));
}

static void take_reference(struct bookings *b, int answer, double score, struct str truth)
{
    int cell = estimate_cell(answer, score);
    b->rows[cell]++;
    b->hits[cell] += str_equal_c(truth, "1");
}

static void take_live(struct bookings *b, int answer, double score, struct str key, struct str date)
{
    struct month *m = &b->months[month_of(date)];
    const char *truth = map_find(&b->truths, key);
    m->rows[estimate_cell(answer, score)]++;
    if (!truth) {
        m->unlabelled++;
        return;
    }
    m->count++;
    m->right += (truth[0] == '1') == (answer == 1);
}

static void read_file(struct bookings *b, const char *name)
{
    const struct str *cells;
    int count = 0;
    struct err err = {0};
    char path[256];
    snprintf(path, sizeof(path), FOLDER "%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct csv *csv = csv_new_fd(fd, ',');
    assert_int_equal(csv_next(csv, &cells, &count, &err), ERR_OK);
    int key = column_of(cells, count, "customer_id"),
        truth = column_of(cells, count, "is_canceled");
    int answer = column_of(cells, count, "y_pred"), date = column_of(cells, count, "timestamp");
    int score = column_of(cells, count, "y_pred_proba");
    while (csv_next(csv, &cells, &count, &err) == ERR_OK && count) {
        double p = 0;
        if (answer < 0) {
            map_put(
                &b->truths,
                (struct str){arena_copy(b->arena, cells[key].ptr, cells[key].len), cells[key].len},
                (void *)(uintptr_t)(str_equal_c(cells[truth], "1") ? "1" : "0"));
            continue;
        }
        assert_true(str_to_f64(cells[score], &p));
        if (truth >= 0)
            take_reference(b, str_equal_c(cells[answer], "1"), p, cells[truth]);
        else
            take_live(b, str_equal_c(cells[answer], "1"), p, cells[key], cells[date]);
    }
    csv_free(csv);
    close(fd);
}

static void hotel_months_are_estimated_within_two_points(void **state)
{
    static struct bookings b;
    struct estimate_map map = empty_map();
    struct err err = {0};
    (void)state;
    if (access(FOLDER "reference.csv", R_OK) != 0) {
        print_message("skipped: " FOLDER " is not there\n");
        skip();
    }
    b.arena = arena_new(64 * 1024 * 1024);
    map_init(&b.truths);
    read_file(&b, "production_data_targets.csv");
    read_file(&b, "reference.csv");
    read_file(&b, "production_data_2016_10_11.csv");
    read_file(&b, "production_data_2016_12.csv");
    read_file(&b, "production_data_2017_01_02.csv");
    assert_int_equal(estimate_fit(b.rows, b.hits, 2, &map, &err), ERR_OK);
    for (int i = 0; i < MONTHS; i++) {
        struct estimate e;
        double realised = (double)b.months[i].right / (double)b.months[i].count;
        assert_int_equal(estimate_quality(&map, b.months[i].rows, &e, &err), ERR_OK);
        print_message("month %d: realised %.4f, estimated %.4f (%.4f to %.4f), %lld rows\n", i,
                      realised, e.accuracy.value, e.accuracy.low, e.accuracy.high,
                      (long long)e.row_count);
        assert_true(fabs(realised - e.accuracy.value) <= 0.02);
    }
    map_done(&b.truths);
    arena_free(b.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_fall_into_cells),
        cmocka_unit_test(too_few_labels_give_no_estimate),
        cmocka_unit_test(two_levels_are_summed_by_hand),
        cmocka_unit_test(a_curve_never_falls),
        cmocka_unit_test(classes_are_calibrated_by_the_answer),
        cmocka_unit_test(hotel_months_are_estimated_within_two_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
