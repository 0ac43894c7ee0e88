/* test_review_stats.c - numbers about review, and data sets, from a store with known decisions.
 */
#include <math.h>

#include "base/json.h"
#include "review/dataset.h"
#include "review/stats.h"
#include "review_fixture.h"

enum { BYTES_MAX = 1024 * 1024 };

static int uuid_count;

/* A decision with a uuid of its own, `seconds` after the lease. */
static void say(struct fixture *f, const struct actor *who, int64_t item, const char *label,
                int seconds)
{
    char uuid[32];
    struct review_result result;
    snprintf(uuid, sizeof(uuid), "uuid-%08d", ++uuid_count);
    if (seconds)
        assert_int_equal(next_for(f, who, 1, START), item);
    assert_ok(f, decide(f, item, who, label, uuid, START + seconds * SECOND, &result));
}

static struct review_stats stats_of(struct fixture *f, int64_t now_us)
{
    struct review_stats stats;
    assert_ok(f, review_stats_read(f->store, "churn", now_us, f->arena, &stats, &f->err));
    assert_ok(f, review_stats_measure(&stats, &f->err));
    return stats;
}

/* Items 601, 602, 603 (the model says leaves), two reviewers each:
 *
 *           ana      ben
 *     601   stays    stays    override
 *     602   leaves   leaves
 *     603   stays    leaves   no majority: open, 3 wanted
 *
 * kappa: po = 2/3; ana 2 of 3 stays, ben 1 of 3: pe = 2/3 * 1/3 + 1/3 * 2/3 = 4/9;
 *     (6/9 - 4/9) / (5/9) = 0.4
 * alpha: Do = 1 item with 2 ordered pairs = 2; 3 stays and 3 leaves: De = (36 - 9 - 9) / 5 = 3.6;
 *     1 - 2 / 3.6 = 0.444444
 * all see the answer: 3 of 6 said leaves as the model. Seconds 10, 20, 30 and 12, 40, 50: sorted
 * 10 12 20 30 40 50, the median (rank 3) 20, 90 % (rank 6) 50. */
static void agreement_and_times_are_told(void **state)
{
    struct fixture *f = *state;
    static const int numbers[] = {601, 602, 603};
    static const char *const by_ana[] = {"stays", "leaves", "stays"};
    static const char *const by_ben[] = {"stays", "leaves", "leaves"};
    static const int ana_seconds[] = {10, 20, 30}, ben_seconds[] = {12, 40, 50};
    for (int i = 0; i < 3; i++) {
        int64_t id = open_item(f, RULE ", reviewers: 2}]", numbers[i]);
        say(f, &ana, id, by_ana[i], ana_seconds[i]);
        say(f, &ben, id, by_ben[i], ben_seconds[i]);
    }
    const struct review_stats stats = stats_of(f, START + HOUR);
    assert_int_equal(stats.decision_count, 6);
    assert_int_equal(stats.open_count, 1);
    assert_int_equal(stats.oldest_us, START);
    assert_float_equal(stats.median_seconds, 20, 0);
    assert_float_equal(stats.p90_seconds, 50, 0);
    assert_float_equal(stats.alpha, 0.444444, 1e-6);
    assert_int_equal(stats.alpha_item_count, 3);
    assert_int_equal(stats.shown.count, 6);
    assert_int_equal(stats.shown.same, 3);
    assert_int_equal(stats.blind.count, 0);
    assert_int_equal(stats.pair_count, 1);
    assert_float_equal(stats.pairs[0].kappa, 0.4, 1e-12);
    assert_int_equal(stats.pairs[0].same_count, 2);
    assert_int_equal(stats.reviewer_count, 2);
    assert_string_equal(stats.reviewers[0].name, "key:ana");
    assert_float_equal(stats.reviewers[1].median_seconds, 40, 0);
    assert_int_equal(stats.version_count, 1);
    assert_int_equal(stats.versions[0].version, 7);
    assert_int_equal(stats.versions[0].decided_count, 2);
    assert_int_equal(stats.versions[0].override_count, 1);
}

static void gold_and_blind_are_counted_apart(void **state)
{
    struct fixture *f = *state;
    int64_t gold = open_item(f, RULE "}]", 601);
    say(f, &eva, gold, "stays", 0);
    assert_ok(f, review_set_gold(f->store, gold, "stays", &tester, f->arena, &f->err));
    int64_t blind =
        open_item(f, "rules: [{name: all, when: visits >= 0, blind: 100%, gold: 100%}]", 602);
    assert_int_equal(next_for(f, &ana, 0.5, START), gold);
    say(f, &ana, gold, "leaves", 0);
    say(f, &ana, blind, "leaves", 0);
    const struct review_stats stats = stats_of(f, START);
    assert_int_equal(stats.reviewers[0].gold.count, 1);
    assert_int_equal(stats.reviewers[0].gold.same, 0);
    assert_int_equal(stats.reviewers[0].blind.count, 1);
    assert_int_equal(stats.reviewers[0].blind.same, 1);
    assert_int_equal(stats.shown.count, 1);      /* eva's */
    assert_int_equal(stats.alpha_item_count, 0); /* gold decisions agree with nobody */
    assert_true(isnan(stats.alpha));
}

/* Wilson's interval of 1 in 2, z = 1.959964: centre (0.5 + z^2/4) / (1 + z^2/2) = 0.5, half
 * z / (1 + z^2/2) * sqrt(0.125 + z^2/16) = 0.405 */
static void the_random_slice_tells_the_accuracy(void **state)
{
    struct fixture *f = *state;
    static const char random[] = "rules: [{name: r, when: random, sample: 100%, gold: 0}]";
    say(f, &ana, open_item(f, random, 601), "leaves", 0);
    say(f, &ana, open_item(f, random, 602), "stays", 0);
    say(f, &ana, open_item(f, RULE "}]", 603), "stays", 0);
    const struct review_stats stats = stats_of(f, START);
    assert_int_equal(stats.random.count, 2);
    assert_int_equal(stats.random.same, 1);
    assert_float_equal(stats.random_interval.low, 0.0945, 1e-4);
    assert_float_equal(stats.random_interval.high, 0.9055, 1e-4);
}

static void totals_only_grow(void **state)
{
    struct fixture *f = *state;
    struct review_total *totals;
    struct review_result result;
    int count = 0, expired;
    int64_t id = open_item(f, RULE "}]", 601);
    say(f, &ana, id, "stays", 9);
    open_item(f, RULE ", sla: 1h}]", 602);
    const struct review_act undo = {.uuid = "uuid-undo", .item = id, .label = "", .note = ""};
    assert_ok(f, review_undo(f->store, &undo, &ana, START + MINUTE, f->arena, &result, &f->err));
    assert_ok(f, review_expire(f->store, &tester, START + HOUR, &expired, &f->err));
    assert_ok(f, review_totals(f->store, f->arena, &totals, &count, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(totals[0].model, "churn");
    assert_int_equal(totals[0].version, 7);
    assert_int_equal(totals[0].item_count, 2);
    assert_int_equal(totals[0].decision_count, 1);
    assert_int_equal(totals[0].decision_us, 9 * SECOND);
    assert_int_equal(totals[0].override_count, 1);
    assert_int_equal(totals[0].late_count, 1);
}

/* ---- data sets ---- */

static void write_dataset(struct fixture *f, struct review_dataset *dataset, struct buf *out)
{
    /* A connection of its own reads what was committed. */
    struct store *reader;
    buf_init(out, BYTES_MAX);
    assert_ok(f, store_open(&store_sqlite, f->path, STORE_READ, &reader, &f->err));
    assert_ok(f, review_dataset_write(reader, dataset, out, &f->err));
    store_close(reader);
}

static void commit(struct fixture *f)
{
    assert_ok(f, store_commit(f->store, &f->err));
    assert_ok(f, store_begin(f->store, &f->err));
}

/* 601, 751, ...: customer c-1, plan "plus" (601 % 3 = 1), by record_fixture.h. The rule takes half:
 * probability 0.5, weight 2; the number is the first one that is drawn. */
static void rows_are_weighted_and_split(void **state)
{
    struct fixture *f = *state;
    struct buf csv, json;
    int number = 601;
    struct review_match match;
    struct fixture_record fixture;
    const struct review_rules *rules = parse(f, RULE ", sample: 50%}]");
    for (bool is_taken = false; !is_taken; number += is_taken ? 0 : 150) {
        const struct record *record = fixture_record_make(&fixture, number, 1);
        struct condition_facts facts = condition_facts_of(record, 0);
        is_taken = review_match(rules, &facts, &match);
    }
    say(f, &ana, open_item(f, RULE ", sample: 50%}]", number), "stays", 0);
    open_item(f, RULE "}]", 604); /* nobody has decided it */
    commit(f);
    struct review_dataset dataset = {.model = "churn", .format = REVIEW_CSV, .through = 1000};
    write_dataset(f, &dataset, &csv);
    assert_int_equal(dataset.row_count, 1);
    assert_int_equal(dataset.test_count, 0); /* a test share of 0 */
    const char *expected = arena_printf(
        f->arena,
        "monthly_fee,visits,plan,customer_id,note,label,answer,probability,weight,split,random,"
        "prediction_id,version,rule,decisions,at\n"
        "%d.0,%d,plus,c-1,note %d/0,stays,%s,0.5,2.0,train,false,request-%d-0,7,all,1,",
        number, number % 100, number, get(f, 1).answer_label, number);
    if (strncmp(buf_c(&csv), expected, strlen(expected)) != 0)
        fail_msg("%s", buf_c(&csv));
    dataset.format = REVIEW_JSONL;
    dataset.test_share = 1;
    write_dataset(f, &dataset, &json);
    assert_int_equal(dataset.test_count, 1);
    assert_non_null(strstr(buf_c(&json), "\"label\":\"stays\""));
    assert_non_null(strstr(buf_c(&json), "\"weight\":2.0,\"split\":\"test\""));
    buf_done(&csv);
    buf_done(&json);
}

/* The first two bytes of SHA-256("churn LF key") as a fraction say on which side of a share a key
 * is, but for shares that are nearer than 2^-16. Rows of one key are together whatever their id. */
static void rows_of_a_key_stay_together(void **state)
{
    struct fixture *f = *state;
    struct buf out;
    /* Keys repeat every 50 numbers: three rows each of c-1 and c-2. */
    static const int numbers[] = {601, 651, 701, 602, 652, 702};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        say(f, &ana, open_item(f, RULE "}]", numbers[i]), "stays", 0);
    commit(f);
    for (int percent = 0; percent <= 100; percent += 5) {
        struct review_dataset dataset = {.model = "churn",
                                         .format = REVIEW_JSONL,
                                         .test_share = percent / 100.0,
                                         .through = 1000};
        write_dataset(f, &dataset, &out);
        uint8_t digest[SHA256_BYTES];
        int expected = 0;
        hash_sha256("churn\nc-1", 9, digest);
        expected += 3 * (digest[0] * 256 + digest[1] < percent / 100.0 * 65536);
        hash_sha256("churn\nc-2", 9, digest);
        expected += 3 * (digest[0] * 256 + digest[1] < percent / 100.0 * 65536);
        assert_int_equal(dataset.test_count, expected);
        buf_done(&out);
    }
}

/* What was decided later, or taken back, is not in a version that ends before. */
static void a_version_is_made_again(void **state)
{
    struct fixture *f = *state;
    struct buf first, again, now;
    int64_t through = 0;
    say(f, &ana, open_item(f, RULE "}]", 601), "stays", 0);
    say(f, &ana, open_item(f, RULE "}]", 602), "leaves", 0);
    assert_ok(f, review_dataset_through(f->store, "churn", &through, &f->err));
    commit(f);
    struct review_dataset dataset = {
        .model = "churn", .format = REVIEW_CSV, .test_share = 0.2, .through = through};
    write_dataset(f, &dataset, &first);
    assert_ok(f, review_dataset_put(f->store, &dataset, &tester, START, f->arena, &f->err));
    assert_int_equal(dataset.version, 1);
    say(f, &ana, 1, "leaves", 0); /* a correction */
    say(f, &ben, open_item(f, RULE "}]", 603), "stays", 0);
    commit(f);
    struct review_dataset kept;
    assert_ok(f, review_dataset_get(f->store, "churn", 1, f->arena, &kept, &f->err));
    char digest[SHA256_HEX_BYTES + 1];
    memcpy(digest, kept.digest, sizeof(digest));
    write_dataset(f, &kept, &again);
    assert_string_equal(kept.digest, digest);
    assert_string_equal(buf_c(&again), buf_c(&first));
    struct review_dataset next = kept;
    assert_ok(f, review_dataset_put(f->store, &next, &tester, START, f->arena, &f->err));
    assert_int_equal(next.version, 1); /* the same again is no new one */
    assert_ok(f, review_dataset_through(f->store, "churn", &next.through, &f->err));
    write_dataset(f, &next, &now);
    assert_int_equal(next.row_count, 3);
    assert_ok(f, review_dataset_put(f->store, &next, &tester, START, f->arena, &f->err));
    assert_int_equal(next.version, 2);
    assert_fails(f, review_dataset_get(f->store, "churn", 3, f->arena, &kept, &f->err),
                 ERR_NOT_FOUND, "no review data set 3");
    buf_done(&first);
    buf_done(&again);
    buf_done(&now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(agreement_and_times_are_told),
        ON_STORE(gold_and_blind_are_counted_apart),
        ON_STORE(the_random_slice_tells_the_accuracy),
        ON_STORE(totals_only_grow),
        ON_STORE(rows_are_weighted_and_split),
        ON_STORE(rows_of_a_key_stay_together),
        ON_STORE(a_version_is_made_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
