/* test_shadow.c - sessions of shadows: copies scored on their own thread, counted, ended, read. */
#include "serve/shadow.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "test.h"

/* One tree on "tenure": below 12 the margin is the first leaf's, else the second's. */
#define MODEL(low, high)                                                                           \
    "{\"learner\":{\"attributes\":{},\"feature_names\":[\"tenure\"],"                              \
    "\"feature_types\":[\"float\"],\"gradient_booster\":{\"name\":\"gbtree\",\"model\":{"          \
    "\"gbtree_model_param\":{\"num_parallel_tree\":\"1\",\"num_trees\":\"1\"},"                    \
    "\"iteration_indptr\":[0,1],\"tree_info\":[0],\"trees\":[{\"id\":0,"                           \
    "\"tree_param\":{\"num_deleted\":\"0\",\"num_feature\":\"1\",\"num_nodes\":\"3\","             \
    "\"size_leaf_vector\":\"1\"},\"split_indices\":[0,0,0],"                                       \
    "\"split_conditions\":[12.0," low "," high "],\"split_type\":[0,0,0],"                         \
    "\"left_children\":[1,-1,-1],\"right_children\":[2,-1,-1],"                                    \
    "\"parents\":[2147483647,0,0],\"default_left\":[1,0,0],"                                       \
    "\"base_weights\":[0.0," low "," high "],\"loss_changes\":[1.0,0.0,0.0],"                      \
    "\"sum_hessian\":[4.0,2.0,2.0],\"categories\":[],\"categories_nodes\":[],"                     \
    "\"categories_segments\":[],\"categories_sizes\":[]}]}},"                                      \
    "\"learner_model_param\":{\"base_score\":\"5E-1\",\"boost_from_average\":\"1\","               \
    "\"num_class\":\"0\",\"num_feature\":\"1\",\"num_target\":\"1\"},\"objective\":{"              \
    "\"name\":\"binary:logistic\",\"reg_loss_param\":{\"scale_pos_weight\":\"1\"}}},"              \
    "\"version\":[2,1,4]}"

/* The candidate answers as the stable version does for high tenure, the opposite for low. */
static const char *const models[] = {MODEL("-1.0", "2.0"), MODEL("1.0", "2.0")};

/* Blobs "0" and "1" are the two models. */
struct memory_blobs {
    struct blob_head head;
};

static enum err_code memory_get(struct blob_store *blobs, const struct blob_digest *digest,
                                const void **bytes, size_t *size, struct err *err)
{
    const char *text = models[digest->hex[0] - '0'];
    (void)blobs, (void)err;
    *bytes = text;
    *size = strlen(text);
    return ERR_OK;
}

static void memory_release(struct blob_store *blobs, const void *bytes, size_t size)
{
    (void)blobs, (void)bytes, (void)size;
}

static const struct blob_ops memory_ops = {
    .name = "memory", .get = memory_get, .release = memory_release};

static struct loaded *load(const char *digest, int64_t number)
{
    struct memory_blobs blobs = {{&memory_ops}};
    struct loaded *loaded = NULL;
    struct err err = {0};
    struct loaded_source source = {.model = "churn", .number = number, .thread_count = 1};
    snprintf(source.artifact.hex, sizeof(source.artifact.hex), "%s", digest);
    if (loaded_open((struct blob_store *)&blobs, &source, &loaded, &err))
        fail_msg("%s", err.msg);
    return loaded;
}

static const struct record_column tenure = {.name = "tenure"};
static const struct record_output probability = {"probability", DTYPE_F32, 1};
static const struct record_schema schema = {
    .serial = 1,
    .model = "churn",
    .version = 1,
    .value_count = 1,
    .values = &tenure,
    .output_count = 1,
    .outputs = &probability,
    .class_count = 2,
    .is_probability = true,
    .decision_threshold = 0.5,
};

struct fixture {
    struct shadow *shadow;
    struct loaded *stable, *candidate;
    struct record_sink sink;
    struct err err;
};

static void begin(struct fixture *f)
{
    *f =
        (struct fixture){.shadow = shadow_new(), .stable = load("0", 1), .candidate = load("1", 2)};
    f->sink = shadow_sink(f->shadow);
}

static void end(struct fixture *f)
{
    shadow_free(f->shadow);
    loaded_unref(f->stable);
    loaded_unref(f->candidate);
}

static void begin_session(struct fixture *f, int64_t rollout, double share)
{
    struct shadow_session_config config = {
        .rollout = rollout, .stable = f->stable, .candidate = f->candidate, .share = share};
    if (shadow_begin(f->shadow, &config, &f->err))
        fail_msg("%s", f->err.msg);
}

/* One request of one row; the stable version answered 1 / (1 + e) for low tenure. */
static void answer(struct fixture *f, int number, float value)
{
    char id[32];
    float low = 1 / (1 + expf(1)), high = 1 / (1 + expf(-2));
    float answered = value < 12 ? low : high;
    int64_t len = snprintf(id, sizeof(id), "request-%d", number);
    struct tensor output = {
        .name = "probability", .dtype = DTYPE_F32, .rank = 1, .shape = {1}, .data = &answered};
    const struct record record = {
        .schema = &schema,
        .request_id = {id, (size_t)len},
        .status = 200,
        .row_count = 1,
        .values = &value,
        .output_count = 1,
        .outputs = &output,
    };
    f->sink.take(f->sink.arg, &record);
}

/* Bounded: ten seconds. */
static struct shadow_counts wait_for_rows(struct fixture *f, int64_t rollout, uint64_t rows)
{
    struct shadow_counts counts = {0};
    for (int i = 0; i < 10000; i++) {
        assert_true(shadow_counts(f->shadow, rollout, &counts));
        if (counts.rows + counts.dropped_rows >= rows)
            break;
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    assert_int_equal(counts.rows + counts.dropped_rows, rows);
    return counts;
}

static void answers_that_differ_are_counted(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    begin_session(&f, 7, 1);
    for (int i = 0; i < 40; i++)
        answer(&f, i, i % 4 ? 30 : 3); /* every fourth has a low tenure: it flips */
    struct shadow_counts counts = wait_for_rows(&f, 7, 40);
    assert_int_equal(counts.differ, 10);
    assert_int_equal(counts.errors, 0);
    assert_int_equal(counts.dropped_rows, 0);
    end(&f);
}

static void nothing_is_copied_without_a_session(void **state)
{
    (void)state;
    struct fixture f;
    struct shadow_counts counts;
    begin(&f);
    answer(&f, 1, 3);
    assert_false(shadow_counts(f.shadow, 7, &counts));
    begin_session(&f, 7, 1);
    answer(&f, 2, 3);
    wait_for_rows(&f, 7, 1);
    end(&f);
}

static void an_ended_session_stays_readable_and_counts_no_more(void **state)
{
    (void)state;
    struct fixture f;
    struct buf out;
    begin(&f);
    begin_session(&f, 7, 1);
    answer(&f, 1, 3);
    wait_for_rows(&f, 7, 1);
    shadow_end(f.shadow, 7);
    answer(&f, 2, 3);
    buf_init(&out, 1 << 20);
    struct json_writer w = {.out = &out};
    assert_true(shadow_write(f.shadow, 7, &w));
    buf_append(&out, "", 1);
    assert_non_null(strstr(out.data, "\"is_running\":false"));
    assert_non_null(strstr(out.data, "\"rows\":1,\"differ\":1"));
    assert_non_null(strstr(out.data, "\"flips\":[{\"stable\":0,\"shadow\":1,\"rows\":1}]"));
    assert_false(shadow_write(f.shadow, 8, &w));
    buf_done(&out);
    end(&f);
}

/* Of 2,000 ids about a half is below the threshold: sd = sqrt(2000 / 4) = 22.4, six of them 134. */
static void a_share_of_requests_is_copied(void **state)
{
    (void)state;
    struct fixture f;
    struct shadow_counts counts;
    begin(&f);
    begin_session(&f, 7, 0.5);
    for (int i = 0; i < 2000; i++)
        answer(&f, i, 30);
    for (int i = 0; i < 10000; i++) {
        assert_true(shadow_counts(f.shadow, 7, &counts));
        if (counts.rows > 1000 - 134)
            break;
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    shadow_counts(f.shadow, 7, &counts);
    assert_in_range(counts.rows, 1000 - 134, 1000 + 134);
    end(&f);
}

static void ended_sessions_are_forgotten_before_running_ones_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct shadow_counts counts;
    begin(&f);
    for (int64_t rollout = 1; rollout <= 3 * SHADOW_SESSIONS_MAX; rollout++) {
        begin_session(&f, rollout, 1);
        if (rollout <= 2 * SHADOW_SESSIONS_MAX)
            shadow_end(f.shadow, rollout);
    }
    struct shadow_session_config config = {
        .rollout = 1000, .stable = f.stable, .candidate = f.candidate, .share = 1};
    assert_int_equal(shadow_begin(f.shadow, &config, &f.err), ERR_LIMIT);
    assert_false(shadow_counts(f.shadow, 1, &counts));
    assert_true(shadow_counts(f.shadow, 3 * SHADOW_SESSIONS_MAX, &counts));
    end(&f);
}

/* The session of rollout 7, step 2, as another process begins it from these bytes. */
static struct shadow_counts begin_again(struct str saved, int64_t rollout, int step,
                                        struct buf *report)
{
    struct fixture f;
    struct shadow_counts counts;
    begin(&f);
    struct shadow_session_config config = {.rollout = rollout,
                                           .step = step,
                                           .stable = f.stable,
                                           .candidate = f.candidate,
                                           .share = 1,
                                           .saved = saved};
    assert_int_equal(shadow_begin(f.shadow, &config, &f.err), ERR_OK);
    assert_true(shadow_counts(f.shadow, rollout, &counts));
    if (report) {
        struct json_writer w = {.out = report};
        assert_true(shadow_write(f.shadow, rollout, &w));
    }
    end(&f);
    return counts;
}

static void save_session(struct buf *saved, struct buf *report)
{
    struct fixture f;
    begin(&f);
    struct shadow_session_config config = {
        .rollout = 7, .step = 2, .stable = f.stable, .candidate = f.candidate, .share = 1};
    assert_int_equal(shadow_begin(f.shadow, &config, &f.err), ERR_OK);
    for (int i = 0; i < 40; i++)
        answer(&f, i, i % 4 ? 30 : 3);
    wait_for_rows(&f, 7, 40);
    buf_init(saved, SHADOW_FILE_BYTES_MAX);
    buf_init(report, 1 << 20);
    struct json_writer w = {.out = report};
    assert_true(shadow_save(f.shadow, 7, saved));
    assert_true(shadow_write(f.shadow, 7, &w));
    assert_false(shadow_save(f.shadow, 8, saved));
    end(&f);
}

static void counts_go_on_after_a_restart(void **state)
{
    struct buf saved, before, after;
    (void)state;
    save_session(&saved, &before);
    buf_init(&after, 1 << 20);
    struct shadow_counts counts = begin_again(buf_view(&saved), 7, 2, &after);
    assert_int_equal(counts.rows, 40);
    assert_int_equal(counts.differ, 10);
    assert_true(str_equal(buf_view(&before), buf_view(&after)));
    buf_done(&after);
    buf_done(&before);
    buf_done(&saved);
}

static void bytes_of_another_session_or_torn_ones_are_as_good_as_none(void **state)
{
    struct buf saved, report;
    (void)state;
    save_session(&saved, &report);
    assert_int_equal(begin_again(buf_view(&saved), 7, 3, NULL).rows, 0);
    assert_int_equal(begin_again(buf_view(&saved), 8, 2, NULL).rows, 0);
    for (size_t len = 0; len < saved.len; len += saved.len / 7)
        assert_int_equal(begin_again((struct str){saved.data, len}, 7, 2, NULL).rows, 0);
    saved.data[saved.len / 2] ^= 1;
    assert_int_equal(begin_again(buf_view(&saved), 7, 2, NULL).rows, 0);
    buf_done(&report);
    buf_done(&saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_that_differ_are_counted),
        cmocka_unit_test(nothing_is_copied_without_a_session),
        cmocka_unit_test(an_ended_session_stays_readable_and_counts_no_more),
        cmocka_unit_test(a_share_of_requests_is_copied),
        cmocka_unit_test(counts_go_on_after_a_restart),
        cmocka_unit_test(bytes_of_another_session_or_torn_ones_are_as_good_as_none),
        cmocka_unit_test(ended_sessions_are_forgotten_before_running_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
