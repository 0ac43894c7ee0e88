/* test_ring.c - items come out as they went in, in order; a full ring refuses and loses nothing. */
#include "monitor/ring.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "base/rand.h"
#include "test.h"

enum { RING_BYTES = 4096, ITEM_HEAD = 16 };

static bool put(struct ring *ring, uint64_t number, size_t bytes)
{
    char *item = ring_reserve(ring, bytes);
    if (!item)
        return false;
    for (size_t i = 0; i < bytes; i++)
        item[i] = (char)(number + i);
    ring_commit(ring, bytes);
    return true;
}

static void take(struct ring *ring, uint64_t number, size_t bytes)
{
    size_t got = 0;
    const char *item = ring_peek(ring, &got);
    assert_non_null(item);
    assert_int_equal((uintptr_t)item % RING_ALIGN, 0);
    assert_int_equal(got, bytes);
    for (size_t i = 0; i < bytes; i++)
        if (item[i] != (char)(number + i))
            fail_msg("byte %zu of item %llu differs", i, (unsigned long long)number);
    ring_release(ring);
}

/* 4096 / (16 + 112) = 32 items of 112 bytes. */
static void a_full_ring_refuses_until_an_item_is_released(void **state)
{
    struct ring ring;
    (void)state;
    ring_init(&ring, RING_BYTES);
    for (uint64_t i = 0; i < 32; i++)
        assert_true(put(&ring, i, 112));
    assert_int_equal(ring_used(&ring), RING_BYTES);
    assert_false(put(&ring, 32, 112));
    assert_false(put(&ring, 32, 0));
    take(&ring, 0, 112);
    assert_true(put(&ring, 32, 112));
    for (uint64_t i = 1; i <= 32; i++)
        take(&ring, i, 112);
    size_t bytes;
    assert_null(ring_peek(&ring, &bytes));
    assert_int_equal(ring_used(&ring), 0);
    ring_done(&ring);
}

/* What fills the ring to its last byte fits, one byte more never does. */
static void an_item_may_be_as_large_as_the_ring(void **state)
{
    struct ring ring;
    (void)state;
    ring_init(&ring, RING_BYTES);
    assert_true(put(&ring, 7, RING_BYTES - ITEM_HEAD));
    take(&ring, 7, RING_BYTES - ITEM_HEAD);
    assert_true(put(&ring, 8, RING_BYTES - ITEM_HEAD));
    take(&ring, 8, RING_BYTES - ITEM_HEAD);
    assert_false(put(&ring, 9, RING_BYTES - ITEM_HEAD + 1));
    assert_false(put(&ring, 9, SIZE_MAX));
    ring_done(&ring);
}

/* An item that does not fit the end of the ring lies at its beginning, in one piece. */
static void items_wrap_whole(void **state)
{
    struct ring ring;
    struct rand rand;
    uint64_t in = 0, out = 0;
    size_t sizes[64];
    (void)state;
    rand_seed(&rand, 11);
    ring_init(&ring, RING_BYTES);
    for (int step = 0; step < 200000; step++) {
        size_t bytes = rand_u64(&rand) % 700;
        if (in - out < 60 && rand_u64(&rand) % 2 && put(&ring, in, bytes))
            sizes[in++ % 64] = bytes;
        else if (out < in) {
            take(&ring, out, sizes[out % 64]);
            out++;
        }
    }
    assert_true(in > 50000);
    while (out < in) {
        take(&ring, out, sizes[out % 64]);
        out++;
    }
    ring_done(&ring);
}

/* A producer that finds the ring empty goes back to its first byte. */
static void an_idle_ring_uses_its_first_bytes_only(void **state)
{
    struct ring ring;
    (void)state;
    ring_init(&ring, 1 << 20);
    for (uint64_t i = 0; i < 100000; i++) {
        assert_true(put(&ring, i, 100));
        size_t bytes;
        const char *item = ring_peek(&ring, &bytes);
        assert_ptr_equal(item, ring.bytes + ITEM_HEAD);
        take(&ring, i, 100);
    }
    ring_done(&ring);
}

static void a_mark_is_reached_when_everything_before_it_is_released(void **state)
{
    struct ring ring;
    (void)state;
    ring_init(&ring, RING_BYTES);
    assert_true(ring_is_at(&ring, ring_mark(&ring)));
    for (uint64_t i = 0; i < 3; i++)
        assert_true(put(&ring, i, 50));
    uint64_t mark = ring_mark(&ring);
    assert_true(put(&ring, 3, 50));
    for (uint64_t i = 0; i < 3; i++) {
        assert_false(ring_is_at(&ring, mark));
        take(&ring, i, 50);
    }
    assert_true(ring_is_at(&ring, mark));
    ring_done(&ring);
}

static int resident_pages(const struct ring *ring)
{
    static unsigned char pages[(1 << 20) / 4096];
    int count = 0;
    assert_int_equal(mincore(ring->bytes, ring->size, pages), 0);
    for (size_t i = 0; i < ring->size / 4096; i++)
        count += pages[i] & 1;
    return count;
}

static void fill_and_drain(struct ring *ring)
{
    uint64_t count = 0;
    while (put(ring, count, 1000))
        count++;
    for (uint64_t i = 0; i < count; i++)
        take(ring, i, 1000);
}

static void a_ring_at_rest_gives_back_what_a_burst_touched(void **state)
{
    struct ring ring;
    (void)state;
    ring_init(&ring, 1 << 20);
    assert_true(ring_trim(&ring)); /* nothing to do */
    fill_and_drain(&ring);
    assert_true(resident_pages(&ring) >= 255);
    if (!ring_trim(&ring)) {
        print_message("membarrier is not allowed here\n");
        ring_done(&ring);
        skip();
    }
    assert_int_equal(resident_pages(&ring), RING_KEPT_BYTES / 4096);
    fill_and_drain(&ring); /* all of it can be used again */
    assert_true(resident_pages(&ring) >= 255);
    ring_done(&ring);
}

static void what_waits_or_is_on_its_way_is_never_given_back(void **state)
{
    struct ring ring;
    (void)state;
    ring_init(&ring, 1 << 20);
    fill_and_drain(&ring);
    bool can_trim = ring_trim(&ring);
    fill_and_drain(&ring);
    char *item = ring_reserve(&ring, 200000);
    memset(item, 7, 200000);
    assert_false(ring_trim(&ring));
    assert_int_equal(item[199999], 7);
    ring_commit(&ring, 200000);
    assert_false(ring_trim(&ring));
    assert_int_equal(item[199999], 7);
    ring_release(&ring);
    assert_null(ring_reserve(&ring, 1 << 20)); /* refused: nothing is on its way */
    assert_int_equal(ring_trim(&ring), can_trim);
    ring_done(&ring);
}

/* ---- two threads ---- */

enum { THREAD_ITEMS = 300000 };

struct pair {
    struct ring ring;
    uint64_t dropped;
    _Atomic bool is_done;
};

/* Every item begins with its number; what is refused is left out. */
static void *produce(void *arg)
{
    struct pair *pair = arg;
    for (uint64_t i = 0; i < THREAD_ITEMS; i++) {
        size_t bytes = 8 + i * 37 % 300;
        uint64_t *item = ring_reserve(&pair->ring, bytes);
        if (!item) {
            pair->dropped++;
            continue;
        }
        memset(item, (int)(i & 0x7f), bytes);
        *item = i;
        ring_commit(&pair->ring, bytes);
    }
    pair->is_done = true;
    return NULL;
}

static bool consume(struct ring *ring, uint64_t *last)
{
    size_t bytes;
    const uint64_t *item = ring_peek(ring, &bytes);
    if (!item)
        return false;
    if (*item <= *last && *last != UINT64_MAX)
        fail_msg("item %llu behind %llu", (unsigned long long)*item, (unsigned long long)*last);
    *last = *item;
    assert_int_equal(bytes, 8 + *last * 37 % 300);
    if (bytes > 8)
        assert_int_equal(((const char *)item)[bytes - 1], *last & 0x7f);
    ring_release(ring);
    return true;
}

static void what_one_thread_puts_the_other_takes(void **state)
{
    static struct pair pair;
    pthread_t thread;
    uint64_t taken = 0, last = UINT64_MAX;
    (void)state;
    ring_init(&pair.ring, 16 * 1024);
    assert_int_equal(pthread_create(&thread, NULL, produce, &pair), 0);
    for (;;) {
        bool is_done = pair.is_done;
        if (consume(&pair.ring, &last))
            taken++;
        else if (is_done)
            break;
    }
    pthread_join(thread, NULL);
    assert_int_equal(taken + pair.dropped, THREAD_ITEMS);
    ring_done(&pair.ring);
}

/* Between bursts, that go up to where pages were just given back. */
static void what_is_put_while_a_ring_is_trimmed_arrives(void **state)
{
    static struct pair pair;
    pthread_t thread;
    uint64_t taken = 0, last = UINT64_MAX;
    (void)state;
    ring_init(&pair.ring, 1 << 20);
    assert_int_equal(pthread_create(&thread, NULL, produce, &pair), 0);
    for (;;) {
        bool is_done = pair.is_done;
        if (consume(&pair.ring, &last)) {
            taken++;
            continue;
        }
        ring_trim(&pair.ring);
        if (is_done)
            break;
        if (ring_used(&pair.ring) < 100000)
            sched_yield();
    }
    pthread_join(thread, NULL);
    assert_int_equal(taken + pair.dropped, THREAD_ITEMS);
    ring_done(&pair.ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_ring_refuses_until_an_item_is_released),
        cmocka_unit_test(an_item_may_be_as_large_as_the_ring),
        cmocka_unit_test(items_wrap_whole),
        cmocka_unit_test(an_idle_ring_uses_its_first_bytes_only),
        cmocka_unit_test(a_mark_is_reached_when_everything_before_it_is_released),
        cmocka_unit_test(a_ring_at_rest_gives_back_what_a_burst_touched),
        cmocka_unit_test(what_waits_or_is_on_its_way_is_never_given_back),
        cmocka_unit_test(what_one_thread_puts_the_other_takes),
        cmocka_unit_test(what_is_put_while_a_ring_is_trimmed_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
