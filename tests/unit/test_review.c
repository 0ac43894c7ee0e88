/* test_review.c - items, leases, decisions and what time does to them, on a real store.
 */
#include "review_fixture.h"

static void an_item_has_what_was_predicted(void **state)
{
    struct fixture *f = *state;
    const struct review_item item =
        get(f, open_item(f, "hide: [note]\n" RULE ", sla: 2h, reviewers: 2}]", 621));
    assert_string_equal(item.prediction_id, "request-621-0");
    assert_string_equal(item.model, "churn");
    assert_int_equal(item.version, 7);
    assert_string_equal(item.inputs, "{\"monthly_fee\":621.0,\"visits\":21,\"plan\":\"basic\","
                                     "\"customer_id\":\"c-21\"}");
    assert_string_equal(item.answer_label, "leaves");
    assert_non_null(strstr(item.answer, "\"probability\":0.621"));
    assert_string_equal(item.choices, "[\"stays\",\"leaves\"]");
    assert_string_equal(item.business_key, "c-21");
    assert_int_equal(item.arm, ARM_CANARY);
    assert_int_equal(item.rollout, 3);
    assert_int_equal(item.key_hash, 621 * 77);
    assert_int_equal(item.due_us, START + 2 * HOUR);
    assert_int_equal(item.state, REVIEW_OPEN);
    assert_float_equal(item.probability, 1, 0);
}

static void a_prediction_has_one_item(void **state)
{
    struct fixture *f = *state;
    struct fixture_record fixture;
    struct review_match match;
    struct review_item item;
    int count = 1;
    int64_t id = open_item(f, RULE ", sample: 60%}, {name: b, when: visits > 0, sample: 99%}]", 1);
    const struct review_rules *rules = parse(f, RULE "}]");
    const struct record *record = fixture_record_make(&fixture, 1, 1);
    struct condition_facts facts = condition_facts_of(record, 0);
    assert_true(review_match(rules, &facts, &match));
    assert_ok(f, review_item_make(record, 0, rules, &match, f->arena, &item, &f->err));
    assert_ok(f, review_open(f->store, &item, 1, &tester, START, &count, &f->err));
    assert_int_equal(count, 0);
    assert_int_equal(item.id, id);
    assert_float_equal(get(f, id).probability, 1, 0); /* the larger of 1 - .4 * .01 and 1 */
}

static void stakes_go_first_then_time(void **state)
{
    struct fixture *f = *state;
    int64_t slow = open_item(f, RULE ", sla: 3h}]", 1);
    int64_t soon = open_item(f, RULE ", sla: 1h}]", 2);
    int64_t big = open_item(f, RULE ", sla: 9h, stakes: 5}]", 3);
    assert_int_equal(next_for(f, &ana, 1, START), big);
    assert_int_equal(next_for(f, &ben, 1, START), soon);
    assert_int_equal(next_for(f, &eva, 1, START), slow);
    assert_int_equal(next_for(f, &tester, 1, START), 0);
    assert_int_equal(next_for(f, &ana, 1, START + MINUTE), big); /* hers already */
}

static void a_lease_ends_unless_its_heart_beats(void **state)
{
    struct fixture *f = *state;
    struct review_lease lease;
    int64_t id = open_item(f, "lease: 10m\n" RULE "}]", 1);
    assert_int_equal(next_for(f, &ana, 1, START), id);
    assert_int_equal(next_for(f, &ben, 1, START + 9 * MINUTE), 0);
    assert_ok(f, review_heartbeat(f->store, id, ana.name, START + 9 * MINUTE, &lease, &f->err));
    assert_int_equal(lease.until_us, START + 19 * MINUTE);
    assert_int_equal(next_for(f, &ben, 1, START + 18 * MINUTE), 0);
    assert_int_equal(next_for(f, &ben, 1, START + 19 * MINUTE), id);
    assert_fails(f, review_heartbeat(f->store, id, ana.name, START + 19 * MINUTE, &lease, &f->err),
                 ERR_CONFLICT, "not leased to key:ana any more");
}

static void one_decision_decides(void **state)
{
    struct fixture *f = *state;
    struct review_result result;
    int64_t id = open_item(f, RULE "}]", 620); /* the model says leaves */
    next_for(f, &ana, 1, START);
    assert_ok(f, decide(f, id, &ana, "stays", "uuid-0001", START + 7 * SECOND, &result));
    assert_true(result.has_new_label && result.is_override && !result.is_repeated);
    const struct review_item item = get(f, id);
    assert_int_equal(item.state, REVIEW_DECIDED);
    assert_string_equal(item.label, "stays");
    assert_int_equal(item.closed_us, START + 7 * SECOND);
    struct review_decision *decisions;
    int count;
    assert_ok(f, review_decisions(f->store, id, f->arena, &decisions, &count, &f->err));
    assert_int_equal(count, 1);
    assert_int_equal(decisions[0].took_us, 7 * SECOND);
    assert_int_equal(next_for(f, &ana, 1, START + MINUTE), 0);
    assert_fails(f, decide(f, id, &ben, "leaves", "uuid-0002", START + MINUTE, &result),
                 ERR_CONFLICT, "was decided by others meanwhile");
}

static void a_decision_sent_twice_is_made_once(void **state)
{
    struct fixture *f = *state;
    struct review_result first, again;
    int64_t id = open_item(f, RULE "}]", 620), other = open_item(f, RULE "}]", 621);
    assert_ok(f, decide(f, id, &ana, "leaves", "uuid-0001", START, &first));
    assert_false(first.is_override);
    assert_ok(f, decide(f, id, &ana, "leaves", "uuid-0001", START + MINUTE, &again));
    assert_true(again.is_repeated && !again.has_new_label);
    assert_int_equal(again.decision, first.decision);
    assert_fails(f, decide(f, id, &ana, "stays", "uuid-0001", START, &again), ERR_CONFLICT,
                 "used for another decision");
    assert_fails(f, decide(f, other, &ana, "leaves", "uuid-0001", START, &again), ERR_CONFLICT,
                 "used for another decision");
    assert_fails(f, decide(f, id, &ben, "leaves", "uuid-0001", START, &again), ERR_CONFLICT,
                 "used for another decision");
}

static void what_cannot_be_decided_is_said(void **state)
{
    struct fixture *f = *state;
    struct review_result result;
    int64_t id = open_item(f, RULE "}]", 620);
    assert_fails(f, decide(f, id, &ana, "perhaps", "uuid-0001", START, &result), ERR_INVALID,
                 "'perhaps' is none of the choices");
    assert_string_equal(f->err.hint, "one of: stays, leaves");
    assert_fails(f, decide(f, id, &ana, "stays", "short", START, &result), ERR_INVALID, "uuid");
    assert_fails(f, decide(f, 99, &ana, "stays", "uuid-0001", START, &result), ERR_NOT_FOUND,
                 "no review item 99");
    assert_int_equal(get(f, id).decision_count, 0);
}

static void two_who_disagree_need_a_third(void **state)
{
    struct fixture *f = *state;
    struct review_result result;
    int64_t id = open_item(f, RULE ", reviewers: 2}]", 620);
    assert_int_equal(next_for(f, &ana, 1, START), id);
    assert_int_equal(next_for(f, &ben, 1, START), id); /* both at once */
    assert_int_equal(next_for(f, &eva, 1, START), 0);
    assert_ok(f, decide(f, id, &ana, "stays", "uuid-0001", START, &result));
    assert_int_equal(result.item.state, REVIEW_OPEN);
    assert_int_equal(next_for(f, &ana, 1, START), 0); /* she has decided */
    assert_ok(f, decide(f, id, &ben, "leaves", "uuid-0002", START, &result));
    assert_int_equal(result.item.state, REVIEW_OPEN);
    assert_int_equal(result.item.reviewers, 3);
    assert_int_equal(next_for(f, &ben, 1, START), 0);
    assert_int_equal(next_for(f, &eva, 1, START), id);
    assert_ok(f, decide(f, id, &eva, "leaves", "uuid-0003", START, &result));
    assert_int_equal(result.item.state, REVIEW_DECIDED);
    assert_string_equal(result.item.label, "leaves");
}

static void a_correction_is_a_row_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct review_result result;
    struct review_decision *decisions;
    int count;
    int64_t id = open_item(f, RULE "}]", 620);
    assert_ok(f, decide(f, id, &ana, "stays", "uuid-0001", START, &result));
    assert_ok(f, decide(f, id, &ana, "leaves", "uuid-0002", START + HOUR, &result));
    assert_true(result.has_new_label && !result.is_override);
    assert_string_equal(get(f, id).label, "leaves");
    assert_int_equal(get(f, id).decision_count, 1);
    assert_ok(f, review_decisions(f->store, id, f->arena, &decisions, &count, &f->err));
    assert_int_equal(count, 2);
    assert_string_equal(decisions[0].label, "stays");
    assert_int_equal(decisions[1].replaces, decisions[0].id);
}

static void an_undo_opens_again_within_five_minutes(void **state)
{
    struct fixture *f = *state;
    struct review_result result;
    int64_t id = open_item(f, RULE "}]", 620);
    const struct review_act undo = {.uuid = "uuid-undo", .item = id, .label = "", .note = ""};
    assert_fails(f, review_undo(f->store, &undo, &ana, START, f->arena, &result, &f->err),
                 ERR_CONFLICT, "has no decision of key:ana");
    assert_ok(f, decide(f, id, &ana, "stays", "uuid-0001", START, &result));
    assert_fails(f, review_undo(f->store, &undo, &ben, START, f->arena, &result, &f->err),
                 ERR_CONFLICT, "has no decision of key:ben");
    assert_ok(f,
              review_undo(f->store, &undo, &ana, START + 5 * MINUTE, f->arena, &result, &f->err));
    assert_int_equal(get(f, id).state, REVIEW_OPEN);
    assert_string_equal(get(f, id).label, "");
    assert_int_equal(next_for(f, &ana, 1, START + 5 * MINUTE), id); /* hers again */
    assert_ok(f, decide(f, id, &ana, "leaves", "uuid-0002", START + HOUR, &result));
    const struct review_act late = {.uuid = "uuid-late", .item = id, .label = "", .note = ""};
    assert_fails(f,
                 review_undo(f->store, &late, &ana, START + HOUR + 5 * MINUTE + 1, f->arena,
                             &result, &f->err),
                 ERR_CONFLICT, "older than 300 seconds");
}

static void who_skips_is_not_asked_again(void **state)
{
    struct fixture *f = *state;
    struct review_result result;
    int64_t id = open_item(f, RULE "}]", 620);
    struct review_act skip = {.uuid = "uuid-skip", .item = id, .label = "", .note = " "};
    assert_int_equal(next_for(f, &ana, 1, START), id);
    assert_fails(f, review_skip(f->store, &skip, &ana, START, f->arena, &result, &f->err),
                 ERR_INVALID, "say why");
    skip.note = "I know the customer";
    assert_ok(f, review_skip(f->store, &skip, &ana, START, f->arena, &result, &f->err));
    assert_int_equal(next_for(f, &ana, 1, START), 0);
    assert_int_equal(next_for(f, &ben, 1, START), id);
}

static void expire(struct fixture *f, int64_t at, int expected)
{
    int count = -1;
    bool has_due;
    assert_ok(f, review_has_due(f->store, at, &has_due, &f->err));
    assert_int_equal(has_due, expected > 0);
    assert_ok(f, review_expire(f->store, &tester, at, &count, &f->err));
    assert_int_equal(count, expected);
}

static void what_is_due_goes_by_its_rule(void **state)
{
    struct fixture *f = *state;
    int64_t stands = open_item(f, RULE ", sla: 1h}]", 1);
    int64_t rejected = open_item(f, RULE ", sla: 1h, on_expiry: reject}]", 2);
    int64_t escalated = open_item(f, RULE ", sla: 1h, on_expiry: escalate}]", 3);
    int64_t later = open_item(f, RULE ", sla: 2h}]", 4);
    expire(f, START + HOUR - 1, 0);
    expire(f, START + HOUR, 3);
    assert_int_equal(get(f, stands).state, REVIEW_EXPIRED);
    assert_int_equal(get(f, rejected).state, REVIEW_REJECTED);
    assert_int_equal(get(f, escalated).state, REVIEW_OPEN);
    assert_true(get(f, escalated).is_escalated && get(f, escalated).is_late);
    assert_int_equal(get(f, later).state, REVIEW_OPEN);
    assert_int_equal(next_for(f, &ana, 1, START + HOUR), escalated); /* first in line */
}

/* Somebody decides an item that was served and has expired: late, and still worth knowing. */
static void late_is_better_than_never_unless_the_caller_was_told(void **state)
{
    struct fixture *f = *state;
    struct review_result result;
    int64_t after = open_item(f, RULE ", sla: 1h}]", 620);
    int64_t hold = open_item(f, RULE ", sla: 1h, mode: hold, on_expiry: default}]", 621);
    expire(f, START + HOUR, 2);
    assert_ok(f, decide(f, after, &ana, "stays", "uuid-0001", START + 2 * HOUR, &result));
    assert_int_equal(get(f, after).state, REVIEW_DECIDED);
    assert_fails(f, decide(f, hold, &ana, "stays", "uuid-0002", START + 2 * HOUR, &result),
                 ERR_CONFLICT, "its caller has been told");
}

static void gold_items_measure_and_change_nothing(void **state)
{
    struct fixture *f = *state;
    struct review_result result;
    struct review_lease lease;
    bool is_found;
    int64_t gold = open_item(f, RULE "}]", 1);
    assert_fails(f, review_set_gold(f->store, gold, "stays", &tester, f->arena, &f->err),
                 ERR_CONFLICT, "a gold item is a closed one");
    assert_ok(f, decide(f, gold, &eva, "stays", "uuid-0001", START, &result));
    assert_ok(f, review_set_gold(f->store, gold, "stays", &tester, f->arena, &f->err));
    int64_t fresh = open_item(f, "rules: [{name: all, when: visits >= 0, gold: 2%}]", 2);
    assert_int_equal(next_for(f, &ana, 0.02, START), fresh); /* the draw missed */
    assert_ok(f,
              review_next(f->store, "churn", ben.name, 0.019, START, &lease, &is_found, &f->err));
    assert_int_equal(is_found, false); /* her lease: nothing is left to hide a gold item among */
    assert_ok(f, decide(f, fresh, &ana, "stays", "uuid-0002", START, &result));
    int64_t third = open_item(f, "rules: [{name: all, when: visits >= 0, gold: 2%}]", 3);
    assert_int_equal(next_for(f, &ben, 0.019, START), gold);
    assert_ok(f, decide(f, gold, &ben, "leaves", "uuid-0003", START, &result));
    assert_true(result.is_gold);
    assert_string_equal(get(f, gold).label, "stays");
    assert_int_equal(next_for(f, &ben, 0.019, START), third); /* he has seen it */
    assert_int_equal(next_for(f, &eva, 0.019, START), 0);
}

static void erasing_takes_the_texts(void **state)
{
    struct fixture *f = *state;
    struct review_result result;
    const char *const ids[] = {"request-620-0", "request-999-0"};
    int64_t count = 0, id = open_item(f, RULE "}]", 620), open = open_item(f, RULE "}]", 621);
    const char *const open_ids[] = {"request-621-0"};
    assert_ok(f, decide(f, id, &ana, "stays", "uuid-0001", START, &result));
    assert_ok(f, review_erase(f->store, ids, 2, START, &count, &f->err));
    assert_int_equal(count, 1);
    const struct review_item item = get(f, id);
    assert_int_equal(item.state, REVIEW_ERASED);
    assert_string_equal(item.inputs, "{}");
    assert_string_equal(item.business_key, "");
    assert_ok(f, review_erase(f->store, open_ids, 1, START, &count, &f->err));
    assert_int_equal(next_for(f, &ben, 1, START), 0);
    assert_fails(f, decide(f, open, &ben, "stays", "uuid-0002", START, &result), ERR_CONFLICT,
                 "was erased");
}

/* 601, 651 and 701 are of customer c-1 (number % 50); the key of one item is hidden. */
static void erasing_a_key_takes_all_of_its_items(void **state)
{
    struct fixture *f = *state;
    int64_t count = 0, revision;
    struct review_document document;
    assert_ok(f, review_rules_put(f->store, "churn", STR_LIT(RULE "}]"), &tester, START, &revision,
                                  &f->err));
    assert_ok(f, review_rules_get(f->store, "churn", f->arena, &document, &f->err));
    fixture_salt = document.salt;
    int64_t plain = open_item(f, RULE "}]", 601), other = open_item(f, RULE "}]", 602);
    int64_t hidden = open_item(f, "hide: [customer_id]\n" RULE "}]", 651);
    fixture_salt = NULL;
    assert_string_equal(get(f, plain).business_key, "c-1");
    assert_int_equal(get(f, hidden).business_key[0], '#');
    assert_null(strstr(get(f, hidden).inputs, "c-1"));
    assert_ok(f, review_erase_key(f->store, "churn", "c-1", START, f->arena, &count, &f->err));
    assert_int_equal(count, 2);
    assert_int_equal(get(f, plain).state, REVIEW_ERASED);
    assert_int_equal(get(f, hidden).state, REVIEW_ERASED);
    assert_int_equal(get(f, other).state, REVIEW_OPEN);
}

static void rules_have_revisions_and_one_salt(void **state)
{
    struct fixture *f = *state;
    struct review_document first, second;
    struct review_rules *rules;
    int64_t revision = 0;
    assert_ok(f, review_rules_load(f->store, "churn", f->arena, &rules, &f->err));
    assert_null(rules);
    assert_fails(f,
                 review_rules_put(f->store, "nobody", STR_LIT(RULE "}]"), &tester, START, &revision,
                                  &f->err),
                 ERR_NOT_FOUND, "no model 'nobody'");
    assert_ok(f, review_rules_put(f->store, "churn", STR_LIT(RULE "}]"), &tester, START, &revision,
                                  &f->err));
    assert_int_equal(revision, 1);
    assert_ok(f, review_rules_get(f->store, "churn", f->arena, &first, &f->err));
    assert_ok(f, review_rules_put(f->store, "churn", STR_LIT(RULE ", stakes: 2}]"), &tester, START,
                                  &revision, &f->err));
    assert_ok(f, review_rules_get(f->store, "churn", f->arena, &second, &f->err));
    assert_int_equal(second.revision, 2);
    assert_memory_equal(first.salt, second.salt, sizeof(first.salt));
    assert_ok(f, review_rules_load(f->store, "churn", f->arena, &rules, &f->err));
    assert_int_equal(rules->rules[0].stakes, 2);
    assert_memory_equal(rules->salt, first.salt, sizeof(first.salt));
    assert_ok(f,
              review_rules_put(f->store, "churn", STR_LIT(""), &tester, START, &revision, &f->err));
    assert_ok(f, review_rules_load(f->store, "churn", f->arena, &rules, &f->err));
    assert_null(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(an_item_has_what_was_predicted),
        ON_STORE(a_prediction_has_one_item),
        ON_STORE(stakes_go_first_then_time),
        ON_STORE(a_lease_ends_unless_its_heart_beats),
        ON_STORE(one_decision_decides),
        ON_STORE(a_decision_sent_twice_is_made_once),
        ON_STORE(what_cannot_be_decided_is_said),
        ON_STORE(two_who_disagree_need_a_third),
        ON_STORE(a_correction_is_a_row_of_its_own),
        ON_STORE(an_undo_opens_again_within_five_minutes),
        ON_STORE(who_skips_is_not_asked_again),
        ON_STORE(what_is_due_goes_by_its_rule),
        ON_STORE(late_is_better_than_never_unless_the_caller_was_told),
        ON_STORE(gold_items_measure_and_change_nothing),
        ON_STORE(erasing_takes_the_texts),
        ON_STORE(erasing_a_key_takes_all_of_its_items),
        ON_STORE(rules_have_revisions_and_one_salt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
