/* test_rand.c - published sequences, the same run for the same seed, uniform doubles, secrets. */
#include "base/rand.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "test.h"

/* Outputs of the authors' C code for the state {1, 2, 3, 4}. */
static void gives_the_published_sequence(void **state)
{
    static const uint64_t expected[] = {UINT64_C(11520),
                                        UINT64_C(0),
                                        UINT64_C(1509978240),
                                        UINT64_C(1215971899390074240),
                                        UINT64_C(1216172134540287360),
                                        UINT64_C(607988272756665600),
                                        UINT64_C(16172922978634559625),
                                        UINT64_C(8476171486693032832)};
    (void)state;
    struct rand rand = {{1, 2, 3, 4}};
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_true(rand_u64(&rand) == expected[i]);
}

/* SplitMix64's outputs for the seed 1234567 become the state. */
static void seeds_by_splitmix64(void **state)
{
    static const uint64_t expected[4] = {
        UINT64_C(6457827717110365317), UINT64_C(3203168211198807973), UINT64_C(9817491932198370423),
        UINT64_C(4593380528125082431)};
    (void)state;
    struct rand rand;
    rand_seed(&rand, 1234567);
    assert_memory_equal(rand.state, expected, sizeof(expected));
}

/* The mean of n uniform numbers has deviation sqrt(1/12/n) = 0.00091 at n = 100000; 5 of them. */
static void unit_numbers_are_uniform_in_0_to_1(void **state)
{
    (void)state;
    struct rand rand;
    double sum = 0;
    rand_seed(&rand, 7);
    for (int i = 0; i < 100000; i++) {
        double u = rand_unit(&rand);
        assert_true(u >= 0 && u < 1);
        sum += u;
    }
    assert_true(sum / 100000 > 0.49543 && sum / 100000 < 0.50457);
}

static void secrets_differ_and_fill_every_byte(void **state)
{
    (void)state;
    unsigned char a[1000], b[1000] = {0};
    size_t zeros = 0;
    rand_secret(a, sizeof(a));
    rand_secret(b, sizeof(b));
    assert_memory_not_equal(a, b, 16);
    for (size_t i = 0; i < sizeof(b); i++)
        zeros += b[i] == 0;
    assert_true(zeros < 40); /* expected 3.9; 40 has a chance below 1e-20 */
    struct rand r, s;
    rand_seed_from_os(&r);
    rand_seed_from_os(&s);
    assert_memory_not_equal(&r, &s, sizeof(r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_published_sequence),
        cmocka_unit_test(seeds_by_splitmix64),
        cmocka_unit_test(unit_numbers_are_uniform_in_0_to_1),
        cmocka_unit_test(secrets_differ_and_fill_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
