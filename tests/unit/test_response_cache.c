/* test_response_cache.c - a table of answers that never takes more than its bytes: what is found is
 * what was put last, whatever else goes on.
 */
#include "serve/response_cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/rand.h"
#include "test.h"

enum { BYTES = 256 * 1024, ROOM = 128 * 1024, AGELESS = 0 };

struct found {
    enum response_found found;
    size_t size;
    char bytes[ROOM];
};

static void digest_of(uint64_t number, uint64_t digest[2])
{
    struct rand rand;
    rand_seed(&rand, number);
    digest[0] = rand_u64(&rand);
    digest[1] = rand_u64(&rand);
}

static bool put(struct response_cache *cache, uint64_t number, uint64_t serial, int64_t now_ns,
                struct str answer)
{
    uint64_t digest[2];
    digest_of(number, digest);
    return response_cache_put(cache, digest, serial, now_ns, answer);
}

static enum response_found find(struct response_cache *cache, uint64_t number, int64_t since_ns,
                                struct found *found)
{
    uint64_t digest[2];
    digest_of(number, digest);
    found->size = sizeof(found->bytes);
    found->found = response_cache_find(cache, digest, since_ns, found->bytes, &found->size);
    return found->found;
}

static void expect(struct response_cache *cache, uint64_t number, struct str answer)
{
    static struct found found;
    assert_int_equal(find(cache, number, AGELESS, &found), RESPONSE_FOUND);
    assert_int_equal(found.size, answer.len);
    assert_memory_equal(found.bytes, answer.ptr, answer.len);
}

static void expect_none(struct response_cache *cache, uint64_t number)
{
    static struct found found;
    assert_int_equal(find(cache, number, AGELESS, &found), RESPONSE_NONE);
}

static void what_is_put_is_found(void **state)
{
    (void)state;
    struct response_cache *cache = response_cache_new(BYTES);
    struct response_cache_stats stats;
    expect_none(cache, 1);
    assert_true(put(cache, 1, 7, 1000, STR_LIT("one")));
    assert_true(put(cache, 2, 7, 1000, STR_LIT("another answer")));
    expect(cache, 1, STR_LIT("one"));
    expect(cache, 2, STR_LIT("another answer"));
    expect_none(cache, 3);
    assert_true(put(cache, 1, 7, 1000, STR_LIT("one, later")));
    expect(cache, 1, STR_LIT("one, later"));
    response_cache_read(cache, &stats);
    assert_int_equal(stats.answers, 2);
    assert_int_equal(stats.bytes_max, BYTES);
    response_cache_unref(cache);
}

static void half_a_digest_is_none(void **state)
{
    (void)state;
    struct response_cache *cache = response_cache_new(BYTES);
    const uint64_t digest[2] = {11, 12}, others[2][2] = {{11, 13}, {10, 12}};
    char room[8];
    assert_true(response_cache_put(cache, digest, 1, 5, STR_LIT("x")));
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        size_t size = sizeof(room);
        assert_int_equal(response_cache_find(cache, others[i], AGELESS, room, &size),
                         RESPONSE_NONE);
    }
    response_cache_unref(cache);
}

static void each_cache_has_a_key_of_its_own(void **state)
{
    (void)state;
    struct response_cache *a = response_cache_new(BYTES), *b = response_cache_new(BYTES);
    assert_memory_not_equal(response_cache_key(a), response_cache_key(b), 16);
    response_cache_unref(a);
    response_cache_unref(b);
}

static void a_larger_answer_says_what_room_it_needs(void **state)
{
    (void)state;
    struct response_cache *cache = response_cache_new(BYTES);
    uint64_t digest[2];
    char room[8] = "-------";
    size_t size = 4;
    digest_of(1, digest);
    put(cache, 1, 1, 5, STR_LIT("12345"));
    assert_int_equal(response_cache_find(cache, digest, AGELESS, room, &size), RESPONSE_LARGER);
    assert_int_equal(size, 5);
    assert_string_equal(room, "-------");
    assert_int_equal(response_cache_find(cache, digest, AGELESS, room, &size), RESPONSE_FOUND);
    assert_memory_equal(room, "12345--", 8);
    response_cache_unref(cache);
}

static void what_is_too_old_goes(void **state)
{
    (void)state;
    static struct found found;
    struct response_cache *cache = response_cache_new(BYTES);
    struct response_cache_stats stats;
    put(cache, 1, 1, 1000, STR_LIT("x"));
    assert_int_equal(find(cache, 1, 1000, &found), RESPONSE_FOUND);
    assert_int_equal(find(cache, 1, 1001, &found), RESPONSE_NONE);
    assert_int_equal(find(cache, 1, AGELESS, &found), RESPONSE_NONE); /* it is gone */
    response_cache_read(cache, &stats);
    assert_int_equal(stats.ended[RESPONSE_END_AGE], 1);
    assert_int_equal(stats.answers, 0);
    assert_int_equal(stats.bytes, 0);
    response_cache_unref(cache);
}

static void the_largest_answer_fits_and_one_byte_more_does_not(void **state)
{
    (void)state;
    struct response_cache *cache = response_cache_new(BYTES);
    struct response_cache_stats stats;
    size_t most = response_cache_answer_bytes_max(cache);
    char *bytes = calloc(1, most + 1);
    assert_true(most > BYTES / 5 && most < BYTES / 4);
    memset(bytes, 'x', most + 1);
    assert_true(put(cache, 1, 1, 5, (struct str){bytes, most}));
    expect(cache, 1, (struct str){bytes, most});
    assert_false(put(cache, 2, 1, 5, (struct str){bytes, most + 1}));
    expect_none(cache, 2);
    response_cache_read(cache, &stats);
    assert_int_equal(stats.large, 1);
    /* Again and again it finds room, wherever the log's end is. */
    for (uint64_t i = 10; i < 200; i++) {
        assert_true(put(cache, i, 1, 5, (struct str){bytes, most - i}));
        expect(cache, i, (struct str){bytes, most - i});
    }
    free(bytes);
    response_cache_unref(cache);
}

/* An answer that somebody asks for stays while others, that nobody asks for, come and go. */
static void what_is_asked_for_stays(void **state)
{
    (void)state;
    struct response_cache *cache = response_cache_new(RESPONSE_CACHE_BYTES_MIN);
    struct response_cache_stats stats;
    put(cache, 1, 1, 5, STR_LIT("asked for"));
    put(cache, 2, 1, 5, STR_LIT("not asked for"));
    for (uint64_t i = 10; i < 10000; i++) {
        assert_true(put(cache, i, 1, 5, STR_LIT("passing")));
        expect(cache, 1, STR_LIT("asked for"));
    }
    expect_none(cache, 2);
    expect_none(cache, 10);
    response_cache_read(cache, &stats);
    /* All that were put are there, or were let go for room: nothing is lost without a count. */
    assert_int_equal(stats.answers + stats.ended[RESPONSE_END_ROOM], 9992);
    assert_true(stats.bytes <= RESPONSE_CACHE_BYTES_MIN);
    assert_true(stats.answers > 500); /* 64 KiB of 64 bytes each, less the index */
    response_cache_unref(cache);
}

static void answers_of_versions_that_are_gone_go(void **state)
{
    (void)state;
    struct response_cache *cache = response_cache_new(4 * 1024 * 1024); /* several shards */
    struct response_cache_stats stats;
    const uint64_t left[] = {8, 9};
    for (uint64_t i = 0; i < 300; i++)
        put(cache, i, 7 + i % 3, 5, STR_LIT("x"));
    response_cache_keep(cache, left, 2);
    for (uint64_t i = 0; i < 300; i++) {
        if (i % 3 == 0)
            expect_none(cache, i);
        else
            expect(cache, i, STR_LIT("x"));
    }
    response_cache_read(cache, &stats);
    assert_int_equal(stats.answers, 200);
    assert_int_equal(stats.ended[RESPONSE_END_VERSION], 100);
    response_cache_keep(cache, NULL, 0);
    response_cache_read(cache, &stats);
    assert_int_equal(stats.answers, 0);
    assert_int_equal(stats.bytes, 0);
    for (uint64_t i = 0; i < 300; i++)
        put(cache, i, 1, 5, STR_LIT("anew"));
    for (uint64_t i = 0; i < 300; i++)
        expect(cache, i, STR_LIT("anew"));
    response_cache_unref(cache);
}

/* Answers of any size in any order against a plain list of what was put last. */
static void what_is_found_was_put_last(void **state)
{
    (void)state;
    enum { NUMBERS = 600, STEPS = 60000, SIZE_MAX_ = 6000 };
    static struct {
        uint32_t seed;
        size_t size;
    } last[NUMBERS];
    static char bytes[SIZE_MAX_];
    static struct found found;
    struct response_cache *cache = response_cache_new(BYTES);
    struct rand rand;
    uint64_t hits = 0;
    rand_seed(&rand, 42);
    for (uint32_t step = 1; step <= STEPS; step++) {
        uint64_t number = rand_u64(&rand) % NUMBERS;
        if (rand_u64(&rand) % 3) {
            if (find(cache, number, AGELESS, &found) != RESPONSE_FOUND)
                continue;
            hits++;
            assert_true(last[number].seed);
            assert_int_equal(found.size, last[number].size);
            for (size_t i = 0; i < found.size; i++)
                assert_true(found.bytes[i] == (char)(last[number].seed + i));
            continue;
        }
        size_t size = rand_u64(&rand) % (rand_u64(&rand) % 8 ? 200 : SIZE_MAX_);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)(step + i);
        assert_true(put(cache, number, 1 + number % 2, 5, (struct str){bytes, size}));
        last[number].seed = step;
        last[number].size = size;
        if (step % 5000 == 0)
            response_cache_keep(cache, (uint64_t[]){1 + step / 5000 % 2}, 1);
    }
    assert_true(hits > STEPS / 10);
    response_cache_unref(cache);
}

/* ---- threads ---- */

struct race {
    struct response_cache *cache;
    uint64_t seed;
    _Atomic bool *is_over;
    uint64_t hits;
};

/* Each answer is its number, again and again. */
static void *put_and_find(void *arg)
{
    struct race *race = arg;
    struct rand rand;
    uint64_t words[32];
    rand_seed(&rand, race->seed);
    for (int step = 0; step < 20000; step++) {
        uint64_t number = rand_u64(&rand) % 500, digest[2];
        size_t size = sizeof(words);
        digest_of(number, digest);
        if (response_cache_find(race->cache, digest, AGELESS, words, &size) == RESPONSE_FOUND) {
            assert_true(size % sizeof(*words) == 0 && size > 0);
            for (size_t i = 0; i < size / sizeof(*words); i++)
                assert_true(words[i] == number);
            race->hits++;
            continue;
        }
        size_t count = 1 + rand_u64(&rand) % ARRAY_LEN(words);
        for (size_t i = 0; i < count; i++)
            words[i] = number;
        response_cache_put(race->cache, digest, 1 + number % 2, 5,
                           (struct str){(const char *)words, count * sizeof(*words)});
    }
    return NULL;
}

static void *forget(void *arg)
{
    struct race *race = arg;
    struct response_cache_stats stats;
    for (uint64_t i = 0; !atomic_load(race->is_over); i++) {
        response_cache_keep(race->cache, (uint64_t[]){1 + i % 2}, 1);
        response_cache_read(race->cache, &stats);
        assert_true(stats.bytes <= RESPONSE_CACHE_BYTES_MIN);
    }
    return NULL;
}

static void threads_never_see_half_an_answer(void **state)
{
    (void)state;
    _Atomic bool is_over = false;
    struct race races[4];
    pthread_t threads[4];
    struct response_cache *cache = response_cache_new(RESPONSE_CACHE_BYTES_MIN);
    for (int i = 0; i < 4; i++) {
        races[i] = (struct race){.cache = cache, .seed = (uint64_t)i, .is_over = &is_over};
        pthread_create(&threads[i], NULL, i == 3 ? forget : put_and_find, &races[i]);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_true(races[i].hits > 0);
    }
    is_over = true;
    pthread_join(threads[3], NULL);
    response_cache_unref(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_found),
        cmocka_unit_test(half_a_digest_is_none),
        cmocka_unit_test(each_cache_has_a_key_of_its_own),
        cmocka_unit_test(a_larger_answer_says_what_room_it_needs),
        cmocka_unit_test(what_is_too_old_goes),
        cmocka_unit_test(the_largest_answer_fits_and_one_byte_more_does_not),
        cmocka_unit_test(what_is_asked_for_stays),
        cmocka_unit_test(answers_of_versions_that_are_gone_go),
        cmocka_unit_test(what_is_found_was_put_last),
        cmocka_unit_test(threads_never_see_half_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
