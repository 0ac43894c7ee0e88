/* test_audit.c - the chain: worked hashes, tampering, listing, copies. */
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "event/audit.h"
#include "store_fixture.h"

static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";

/* Computed by another program:
 *
 *     import hashlib, json
 *     def link(prev, **event):
 *         text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
 *         return hashlib.sha256((prev + "\n" + text).encode()).hexdigest()
 *     one = link("0" * 64, seq=1, at_us=1769851800123456, actor="key:ci", via="http",
 *                action="alias.set", subject="model/churn/alias/champion", before=None,
 *                after='{"version":2}', request_id=None)
 *     two = link(one, seq=2, at_us=1769851800123457,
 *                actor='uid:1000(J\u00fcrgen "\\" \x01\x1f\x7f\b\f\n\r\t/\u20ac)', via="unix",
 *                action="model.update", subject="model/churn", before='{"owner":"a"}',
 *                after='{"owner":"\u00e9\U0001F600"}', request_id="r-1")
 */
static const char hash_one[] = "7a945651fd97066a19be50221f9663618acf411d7abafe32386bcd479cb7e3ea";
static const char hash_two[] = "a228da675e8eb0859e18a9174d104ac46dc34311ffada1d672e02e5bb4baecbc";

static struct audit_event event_one(void)
{
    return (struct audit_event){.at_us = 1769851800123456,
                                .actor = "key:ci",
                                .via = "http",
                                .action = "alias.set",
                                .subject = "model/churn/alias/champion",
                                .after = "{\"version\":2}"};
}

static struct audit_event event_two(void)
{
    return (struct audit_event){
        .at_us = 1769851800123457,
        .actor = "uid:1000(J\xC3\xBCrgen \"\\\" \x01\x1F\x7F\b\f\n\r\t/\xE2\x82\xAC)",
        .via = "unix",
        .action = "model.update",
        .subject = "model/churn",
        .before = "{\"owner\":\"a\"}",
        .after = "{\"owner\":\"\xC3\xA9\xF0\x9F\x98\x80\"}",
        .request_id = "r-1"};
}

static void append(struct fixture *f, const char *subject)
{
    struct audit_event event = event_one();
    event.subject = subject;
    assert_ok(f, audit_append(f->store, &event, &f->err));
}

static void hashes_are_those_another_program_computes(void **state)
{
    struct fixture *f = *state;
    struct audit_event one = event_one(), two = event_two();
    char head[SHA256_HEX_BYTES + 1];
    int64_t count = -1;
    assert_ok(f, audit_append(f->store, &one, &f->err));
    assert_int_equal(one.seq, 1);
    assert_string_equal(one.prev_hash, zeros);
    assert_string_equal(one.hash, hash_one);
    assert_ok(f, audit_append(f->store, &two, &f->err));
    assert_int_equal(two.seq, 2);
    assert_string_equal(two.prev_hash, hash_one);
    assert_string_equal(two.hash, hash_two);
    assert_ok(f, audit_verify(f->store, &count, head, &f->err));
    assert_int_equal(count, 2);
    assert_string_equal(head, hash_two);
}

static void canonical_json_is_as_documented(void **state)
{
    struct audit_event event = event_one();
    struct buf text;
    (void)state;
    event.seq = 1;
    buf_init(&text, 4096);
    audit_format(&event, &text);
    assert_string_equal(
        buf_c(&text), "{\"seq\":1,\"at_us\":1769851800123456,\"actor\":\"key:ci\",\"via\":\"http\","
                      "\"action\":\"alias.set\",\"subject\":\"model/churn/alias/champion\","
                      "\"before\":null,\"after\":\"{\\\"version\\\":2}\",\"request_id\":null}");
    buf_done(&text);
}

static void an_empty_chain_is_whole(void **state)
{
    struct fixture *f = *state;
    char head[SHA256_HEX_BYTES + 1];
    int64_t count = -1;
    assert_ok(f, audit_verify(f->store, &count, head, &f->err));
    assert_int_equal(count, 0);
    assert_string_equal(head, zeros);
}

static void time_is_set_when_the_caller_has_none(void **state)
{
    struct fixture *f = *state;
    struct audit_event event = event_one();
    event.at_us = 0;
    clock_set_for_test(-1, 1700000000000000);
    assert_ok(f, audit_append(f->store, &event, &f->err));
    clock_set_for_test(-1, -1);
    assert_int_equal(event.at_us, 1700000000000000);
}

/* Each change made behind the program's back, and the event at which it shows. */
static void tampering_is_found_at_the_first_event_that_does_not_fit(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *sql, *part;
    } tampering[] = {
        {"UPDATE audit SET actor = 'key:other' WHERE seq = 3", "event 3: its contents"},
        {"UPDATE audit SET at_us = at_us + 1 WHERE seq = 3", "event 3: its contents"},
        {"UPDATE audit SET before_json = '' WHERE seq = 3", "event 3: its contents"},
        {"UPDATE audit SET request_id = '' WHERE seq = 3", "event 3: its contents"},
        {"UPDATE audit SET after_json = after_json || char(0) || 'x' WHERE seq = 3",
         "event 3: it has a text"},
        {"UPDATE audit SET hash = substr(hash, 2) || '0' WHERE seq = 3", "event 3: its contents"},
        {"DELETE FROM audit WHERE seq = 3", "event 3: it is missing"},
        {"DELETE FROM audit WHERE seq = 1", "event 1: it is missing"},
        {"UPDATE audit SET prev_hash = hash WHERE seq = 3", "event 3: it does not follow"},
        {"UPDATE audit SET seq = 9 WHERE seq = 5", "event 5: it is missing"},
        {"UPDATE audit SET (actor, via, action, subject, hash, prev_hash) = (SELECT actor, via, "
         "action, subject, hash, prev_hash FROM audit WHERE seq = 2) WHERE seq = 3",
         "event 3: it does not follow"},
    };
    for (int i = 1; i <= 5; i++)
        append(f, i % 2 ? "model/a" : "model/b");
    for (size_t i = 0; i < sizeof(tampering) / sizeof(tampering[0]); i++) {
        int64_t count = -1;
        assert_ok(f, store_begin(f->store, &f->err));
        assert_ok(f, store_exec(f->store, tampering[i].sql, NULL, 0, NULL, &f->err));
        assert_fails(f, audit_verify(f->store, &count, NULL, &f->err), ERR_IO, tampering[i].part);
        assert_int_equal(count, -1);
        store_rollback(f->store);
    }
    int64_t count;
    assert_ok(f, audit_verify(f->store, &count, NULL, &f->err));
    assert_int_equal(count, 5);
}

static void texts_are_checked_before_they_are_hashed(void **state)
{
    struct fixture *f = *state;
    struct audit_event event = event_one();
    char *big = arena_alloc(f->arena, AUDIT_STATE_BYTES_MAX + 2);
    int64_t count = -1;
    memset(big, 'x', AUDIT_STATE_BYTES_MAX + 1);
    big[AUDIT_STATE_BYTES_MAX + 1] = '\0';
    event.actor = "\xFF";
    assert_fails(f, audit_append(f->store, &event, &f->err), ERR_INVALID, "the actor");
    event = event_one();
    event.after = big;
    assert_fails(f, audit_append(f->store, &event, &f->err), ERR_LIMIT, "the state after");
    event.after = big + 1;
    memset(big, '\x01', AUDIT_STATE_BYTES_MAX + 1); /* six bytes each when formatted */
    event.before = big + 1;
    assert_ok(f, audit_append(f->store, &event, &f->err));
    assert_ok(f, audit_verify(f->store, &count, NULL, &f->err));
    assert_int_equal(count, 1);
}

static void events_are_listed_by_prefix_in_pages(void **state)
{
    struct fixture *f = *state;
    struct audit_event *events;
    int count = -1;
    static const char *const subjects[] = {"model/churn", "model/churn/alias/champion",
                                           "key/ab",      "Model/churn",
                                           "model/%",     "model/churn/version/1"};
    for (size_t i = 0; i < 6; i++)
        append(f, subjects[i]);
    assert_ok(f, audit_list(f->store, "", 0, 100, f->arena, &events, &count, &f->err));
    assert_int_equal(count, 6);
    assert_string_equal(events[2].subject, "key/ab");
    assert_string_equal(events[0].hash, events[1].prev_hash);
    assert_null(events[0].before);
    assert_string_equal(events[0].after, "{\"version\":2}");
    assert_ok(f, audit_list(f->store, "model/churn", 0, 2, f->arena, &events, &count, &f->err));
    assert_int_equal(count, 2);
    assert_int_equal(events[1].seq, 2);
    assert_ok(f, audit_list(f->store, "model/churn", 2, 2, f->arena, &events, &count, &f->err));
    assert_int_equal(count, 1);
    assert_int_equal(events[0].seq, 6);
    assert_ok(f, audit_list(f->store, "model/%", 0, 100, f->arena, &events, &count, &f->err));
    assert_int_equal(count, 1);
    assert_ok(f, audit_list(f->store, "", 0, 0, f->arena, &events, &count, &f->err));
    assert_int_equal(count, 0);
}

static void listing_respects_the_arena(void **state)
{
    struct fixture *f = *state;
    struct arena *small = arena_new(4096);
    struct audit_event *events = NULL;
    int count = -1;
    for (int i = 0; i < 40; i++)
        append(f, "model/churn");
    assert_fails(f, audit_list(f->store, "", 0, 100, small, &events, &count, &f->err), ERR_LIMIT,
                 "no room");
    assert_int_equal(count, -1);
    arena_free(small);
}

static void a_copy_has_a_verified_chain(void **state)
{
    struct fixture *f = *state;
    char head[SHA256_HEX_BYTES + 1];
    int64_t count = -1;
    struct audit_event one = event_one();
    assert_ok(f, audit_append(f->store, &one, &f->err));
    assert_ok(f, audit_backup(f->store, in_folder(f, "copy.db"), &count, head, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(head, hash_one);
    assert_ok(f, audit_backup(f->store, in_folder(f, "second.db"), NULL, NULL, &f->err));
    assert_ok(f, store_exec(f->store, "UPDATE audit SET via = 'x'", NULL, 0, NULL, &f->err));
    count = -1;
    assert_fails(f, audit_backup(f->store, in_folder(f, "bad.db"), &count, NULL, &f->err), ERR_IO,
                 "event 1");
    assert_int_equal(count, -1);
    assert_int_equal(access(in_folder(f, "bad.db"), F_OK), -1);
    assert_fails(f, audit_backup(f->store, in_folder(f, "copy.db"), &count, NULL, &f->err),
                 ERR_EXISTS, "copy.db");
    assert_int_equal(access(in_folder(f, "copy.db"), F_OK), 0);
}

#define with_store(fn) cmocka_unit_test_setup_teardown(fn, setup_store, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(hashes_are_those_another_program_computes),
        cmocka_unit_test(canonical_json_is_as_documented),
        with_store(an_empty_chain_is_whole),
        with_store(time_is_set_when_the_caller_has_none),
        with_store(tampering_is_found_at_the_first_event_that_does_not_fit),
        with_store(texts_are_checked_before_they_are_hashed),
        with_store(events_are_listed_by_prefix_in_pages),
        with_store(listing_respects_the_arena),
        with_store(a_copy_has_a_verified_chain),
    };
    return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
