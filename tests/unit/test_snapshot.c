/* test_snapshot.c - snapshots handed to threads that read without a lock, and freed when left. */
#include "serve/snapshot.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "test.h"

enum { READERS = 4, PUBLICATIONS = 2000, MODELS = 3 };

static struct endpoint *new_endpoint(const char *name, int64_t champion_version)
{
    struct arena *arena = arena_new(1 << 20);
    struct endpoint *endpoint = arena_calloc(arena, 1, sizeof(*endpoint));
    *endpoint = (struct endpoint){.refs = 1, .arena = arena, .champion_version = champion_version};
    endpoint->name = arena_copy(arena, name, strlen(name));
    endpoint->owner = endpoint->name;
    return endpoint;
}

/* All endpoints of snapshot g name version g, so a reader that sees two mixed sees it at once. */
static struct snapshot *new_snapshot(struct publisher *publisher, int64_t version)
{
    char name[32];
    struct snapshot *snapshot = snapshot_new(publisher->current, auth_keys_new(NULL, 0), publisher);
    for (int i = 0; i < MODELS; i++) {
        snprintf(name, sizeof(name), "model-%d", i);
        snapshot_put(snapshot, new_endpoint(name, version));
    }
    return snapshot;
}

static int64_t version_of(const struct snapshot *snapshot, int i)
{
    char name[32];
    snprintf(name, sizeof(name), "model-%d", i);
    const struct endpoint *endpoint = snapshot_find(snapshot, str_of(name));
    return endpoint ? endpoint->champion_version : -1;
}

static void a_reader_sees_what_was_published(void **state)
{
    (void)state;
    struct publisher publisher = {0};
    struct snapshot_reader reader;
    snapshot_publish(&publisher, new_snapshot(&publisher, 1));
    publisher_add(&publisher, &reader, NULL);
    assert_int_equal(version_of(snapshot_reader_get(&reader), 0), 1);
    snapshot_publish(&publisher, new_snapshot(&publisher, 2));
    assert_int_equal(version_of(snapshot_reader_get(&reader), 2), 2);
    assert_int_equal(snapshot_reader_get(&reader)->generation, 2);
    snapshot_reader_done(&reader);
    publisher_done(&publisher);
}

static void a_snapshot_is_freed_when_its_last_reader_has_left(void **state)
{
    (void)state;
    struct publisher publisher = {0};
    struct snapshot_reader reader;
    snapshot_publish(&publisher, new_snapshot(&publisher, 1));
    publisher_add(&publisher, &reader, NULL);
    snapshot_publish(&publisher, new_snapshot(&publisher, 2));
    assert_int_equal(snapshot_reap(&publisher), 0); /* the reader still has the first */
    snapshot_reader_get(&reader);
    assert_int_equal(snapshot_reap(&publisher), 1);
    snapshot_publish(&publisher, new_snapshot(&publisher, 3));
    snapshot_publish(&publisher, new_snapshot(&publisher, 4)); /* nobody took the third */
    assert_int_equal(snapshot_reap(&publisher), 1);
    snapshot_reader_done(&reader);
    publisher_done(&publisher);
}

static void an_unchanged_endpoint_is_shared(void **state)
{
    (void)state;
    struct publisher publisher = {0};
    snapshot_publish(&publisher, new_snapshot(&publisher, 1));
    const struct endpoint *before = snapshot_find(publisher.current, STR_LIT("model-1"));
    struct snapshot *next = snapshot_new(publisher.current, auth_keys_new(NULL, 0), &publisher);
    snapshot_put(next, new_endpoint("model-0", 7));
    snapshot_publish(&publisher, next);
    assert_ptr_equal(snapshot_find(publisher.current, STR_LIT("model-1")), before);
    assert_int_equal(version_of(publisher.current, 0), 7);
    publisher_done(&publisher);
}

struct reader_thread {
    struct snapshot_reader reader;
    atomic_bool *is_over;
    int64_t last, seen, mixed, backwards;
};

static void *read_until_over(void *arg)
{
    struct reader_thread *thread = arg;
    while (!atomic_load(thread->is_over)) {
        const struct snapshot *snapshot = snapshot_reader_get(&thread->reader);
        int64_t version = version_of(snapshot, 0);
        for (int i = 1; i < MODELS; i++)
            thread->mixed += version_of(snapshot, i) != version;
        thread->backwards += version < thread->last;
        thread->last = version;
        thread->seen++;
    }
    return NULL;
}

static void readers_never_see_a_mixture_while_snapshots_are_swapped(void **state)
{
    (void)state;
    struct publisher publisher = {0};
    struct reader_thread threads[READERS];
    pthread_t ids[READERS];
    atomic_bool is_over = false;
    int freed = 0;
    memset(threads, 0, sizeof(threads));
    snapshot_publish(&publisher, new_snapshot(&publisher, 1));
    for (int i = 0; i < READERS; i++) {
        publisher_add(&publisher, &threads[i].reader, NULL);
        threads[i].is_over = &is_over;
        assert_int_equal(pthread_create(&ids[i], NULL, read_until_over, &threads[i]), 0);
    }
    for (int64_t version = 2; version <= PUBLICATIONS; version++) {
        snapshot_publish(&publisher, new_snapshot(&publisher, version));
        freed += snapshot_reap(&publisher);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < READERS; i++) {
        pthread_join(ids[i], NULL);
        assert_int_equal(threads[i].mixed, 0);
        assert_int_equal(threads[i].backwards, 0);
        snapshot_reader_done(&threads[i].reader);
    }
    freed += snapshot_reap(&publisher);
    assert_int_equal(freed, PUBLICATIONS - 1); /* all but the current one */
    publisher_done(&publisher);
}

static void a_missing_version_is_explained(void **state)
{
    (void)state;
    struct err err = {0};
    struct loaded *loaded = NULL;
    struct endpoint *endpoint = new_endpoint("churn", 0);
    assert_int_equal(endpoint_choose(endpoint, STR_LIT(""), &loaded, &err), ERR_UNAVAILABLE);
    assert_string_equal(err.msg, "model 'churn' has no champion");
    assert_int_equal(endpoint_choose(endpoint, STR_LIT("9"), &loaded, &err), ERR_NOT_FOUND);
    assert_string_equal(err.msg, "model 'churn' has no loaded version '9'");
    assert_null(loaded);
    endpoint_unref(endpoint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_sees_what_was_published),
        cmocka_unit_test(a_snapshot_is_freed_when_its_last_reader_has_left),
        cmocka_unit_test(an_unchanged_endpoint_is_shared),
        cmocka_unit_test(readers_never_see_a_mixture_while_snapshots_are_swapped),
        cmocka_unit_test(a_missing_version_is_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
