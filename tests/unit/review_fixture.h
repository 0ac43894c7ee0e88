/* review_fixture.h - a store with the model "churn" and items of record_fixture.h's rows in it. */
#ifndef SLIPWAY_TESTS_UNIT_REVIEW_FIXTURE_H
#define SLIPWAY_TESTS_UNIT_REVIEW_FIXTURE_H

#include "base/check.h"
#include "record_fixture.h"
#include "registry/registry.h"
#include "review/review.h"
#include "store_fixture.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define START INT64_C(1769851800000000)

/* The beginning of a review file whose only rule takes every row; the caller closes it. */
#define RULE "rules: [{name: all, when: visits >= 0, blind: 0%, gold: 0%"

static const struct actor ana = {.name = "key:ana", .via = "http"};
static const struct actor ben = {.name = "key:ben", .via = "http"};
static const struct actor eva = {.name = "key:eva", .via = "http"};

static inline int setup_model(void **state)
{
    setup_store(state);
    struct fixture *f = *state;
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, model_ensure(f->store, "churn", "me@example.org", NULL, &tester, &f->err));
    return 0;
}

static inline int end_model(void **state)
{
    struct fixture *f = *state;
    assert_ok(f, store_commit(f->store, &f->err));
    assert_ok(f, audit_verify(f->store, NULL, NULL, &f->err));
    return teardown(state);
}

/* The salt of the rules that parse() makes; NULL: zeros. */
static const uint64_t *fixture_salt;

static inline const struct review_rules *parse(struct fixture *f, const char *text)
{
    struct review_rules *rules;
    assert_ok(f, review_rules_parse(str_of(text), f->arena, &rules, &f->err));
    if (fixture_salt)
        memcpy(rules->salt, fixture_salt, sizeof(rules->salt));
    return rules;
}

/* Row 0 of record `number` as an open item by the only rule of `text`. */
static inline int64_t open_item(struct fixture *f, const char *text, int number)
{
    struct fixture_record fixture;
    struct review_match match;
    struct review_item item;
    int count = 0;
    const struct review_rules *rules = parse(f, text);
    const struct record *record = fixture_record_make(&fixture, number, 1);
    struct condition_facts facts = condition_facts_of(record, 0);
    assert_true(review_match(rules, &facts, &match));
    assert_ok(f, review_item_make(record, 0, rules, &match, f->arena, &item, &f->err));
    assert_ok(f, review_open(f->store, &item, 1, &tester, START, &count, &f->err));
    assert_int_equal(count, 1);
    return item.id;
}

static inline struct review_item get(struct fixture *f, int64_t id)
{
    struct review_item item;
    assert_ok(f, review_item_get(f->store, id, f->arena, &item, &f->err));
    return item;
}

/* The item that `who` is handed; 0 when there is none. */
static inline int64_t next_for(struct fixture *f, const struct actor *who, double draw, int64_t at)
{
    struct review_lease lease;
    bool is_found;
    assert_ok(f, review_next(f->store, NULL, who->name, draw, at, &lease, &is_found, &f->err));
    return is_found ? lease.item : 0;
}

static inline enum err_code decide(struct fixture *f, int64_t item, const struct actor *who,
                                   const char *label, const char *uuid, int64_t at,
                                   struct review_result *result)
{
    const struct review_act act = {.uuid = uuid, .item = item, .label = label, .note = ""};
    return review_decide(f->store, &act, who, at, f->arena, result, &f->err);
}

#define ON_STORE(test) cmocka_unit_test_setup_teardown(test, setup_model, end_model)

#endif
