/* test_sketch.c - rows into slots: by hand, in each tier, over threads and arms. */
#include "monitor/sketch.h"

#include "base/check.h"

#include "monitor_fixture.h"

static struct watched w;
static uint32_t slots[4096];

static uint32_t slot(int column, int index)
{
    return slots[sketch_first_slot(w.sketch, column) + index];
}

static void begin(void)
{
    watched_begin(&w, 1000, 0);
    assert_true(sketch_slot_count(w.sketch) < (int)ARRAY_LEN(slots));
}

/* Edges 1 .. 9: a value equal to an edge stays below it. */
static void values_are_counted_in_their_bin(void **state)
{
    float row[WATCHED_NUMBERS + 1] = {0.5f, 1, 1.0001f, 5, 9, 9.5f, -1e30f, 3e38f};
    static const int bins[8] = {0, 0, 1, 4, 8, 9, 0, 9};
    (void)state;
    begin();
    row[WATCHED_PLAN] = 1;
    sketch_add_rows(w.sketch, 0, ARM_NONE, row, 1);
    assert_int_equal(sketch_sum(w.sketch, ARM_NONE, slots), 1);
    for (int i = 0; i < 8; i++)
        assert_int_equal(slot(i, SLOT_BINS + bins[i]), 1);
    assert_int_equal(slot(WATCHED_PLAN, SLOT_BINS + 0), 1); /* b is the most frequent */
    watched_end(&w);
}

static void what_is_no_number_has_a_slot_of_its_own(void **state)
{
    float row[WATCHED_NUMBERS + 1] = {cell_of(CELL_NAN),   cell_of(CELL_ABSENT),
                                      cell_of(CELL_NULL),  cell_of(CELL_MARKER),
                                      cell_of(CELL_OTHER), INFINITY,
                                      -INFINITY,           -NAN};
    static const int expected[8] = {SLOT_NAN,
                                    SLOT_ABSENT,
                                    SLOT_NULL,
                                    SLOT_MARKER,
                                    SLOT_UNSEEN,
                                    SLOT_INFINITE,
                                    SLOT_NEGATIVE_INFINITE,
                                    SLOT_NAN};
    (void)state;
    for (int tier = 0; tier < SKETCH_TIERS; tier++) {
        begin();
        row[WATCHED_PLAN] = cell_of(CELL_OTHER);
        if (sketch_set_tier(w.sketch, tier)) {
            sketch_add_rows(w.sketch, 1, ARM_CANARY, row, 1);
            sketch_sum(w.sketch, ARM_CANARY, slots);
            for (int i = 0; i < 8; i++)
                assert_int_equal(slot(i, expected[i]), 1);
            assert_int_equal(slot(WATCHED_PLAN, SLOT_UNSEEN), 1);
            row[WATCHED_PLAN] = 99; /* a code the contract does not have */
            sketch_add_rows(w.sketch, 1, ARM_CANARY, row, 1);
            sketch_sum(w.sketch, ARM_CANARY, slots);
            assert_int_equal(slot(WATCHED_PLAN, SLOT_UNSEEN), 2);
        }
        watched_end(&w);
    }
}

static float strange(struct rand *rand)
{
    switch (rand_u64(rand) % 12) {
    case 0:
        return INFINITY;
    case 1:
        return -INFINITY;
    case 2:
        return cell_of((enum cell_state)(rand_u64(rand) % 5));
    case 3:
        return (float)(rand_u64(rand) % 11); /* on an edge */
    case 4:
        return 1e-42f; /* subnormal */
    default:
        return (float)(12 * rand_unit(rand) - 1);
    }
}

/* Every tier gives the counts that plain C gives, one row or many at a time. */
static void tiers_agree(void **state)
{
    enum { ROWS = 500, WIDTH = WATCHED_NUMBERS + 1 };
    static uint32_t first[ARRAY_LEN(slots)];
    static float rows[ROWS * WIDTH];
    (void)state;
    begin();
    for (int i = 0; i < ROWS * WIDTH; i++)
        rows[i] = i % WIDTH == WATCHED_PLAN ? (float)(i % 4) : strange(&w.rand);
    for (int tier = 0; tier < SKETCH_TIERS; tier++) {
        struct sketch *sketch = sketch_new(w.baseline, 1);
        if (sketch_set_tier(sketch, tier)) {
            sketch_add_rows(sketch, 0, ARM_NONE, rows, ROWS - 1);
            sketch_add_rows(sketch, 0, ARM_NONE, rows + (ROWS - 1) * WIDTH, 1);
            assert_int_equal(sketch_sum(sketch, ARM_NONE, slots), ROWS);
            if (tier == 0)
                memcpy(first, slots, sizeof(first));
            assert_memory_equal(first, slots, sizeof(first));
        }
        sketch_free(sketch);
    }
    uint64_t sum = 0;
    for (int i = 0; i < SLOT_BINS + 10; i++)
        sum += first[i];
    assert_int_equal(sum, ROWS);
    watched_end(&w);
}

static void threads_add_up_and_arms_do_not(void **state)
{
    float row[WATCHED_NUMBERS + 1];
    (void)state;
    begin();
    watched_row(&w, row);
    assert_false(sketch_has_rows(w.sketch, ARM_STABLE));
    sketch_add_rows(w.sketch, 0, ARM_STABLE, row, 1);
    sketch_add_rows(w.sketch, 1, ARM_STABLE, row, 1);
    sketch_add_rows(w.sketch, 1, ARM_CANARY, row, 1);
    assert_int_equal(sketch_sum(w.sketch, ARM_STABLE, slots), 2);
    assert_int_equal(sketch_sum(w.sketch, ARM_CANARY, slots), 1);
    assert_int_equal(sketch_sum(w.sketch, ARM_NONE, slots), 0);
    assert_true(sketch_has_rows(w.sketch, ARM_STABLE));
    watched_end(&w);
}

/* Edges 0.02, 0.04, ..., 0.98: 0.5 is in bin 24, (0.48, 0.5]. */
static void answers_have_bins_too(void **state)
{
    (void)state;
    begin();
    sketch_add_answer(w.sketch, 0, ARM_NONE, 0.5f);
    sketch_add_answer(w.sketch, 0, ARM_NONE, 0);
    sketch_add_answer(w.sketch, 0, ARM_NONE, 1);
    sketch_add_answer(w.sketch, 0, ARM_NONE, NAN);
    sketch_sum(w.sketch, ARM_NONE, slots);
    assert_int_equal(slot(WATCHED_ANSWER, SLOT_BINS + 24), 1);
    assert_int_equal(slot(WATCHED_ANSWER, SLOT_BINS), 1);
    assert_int_equal(slot(WATCHED_ANSWER, SLOT_BINS + 49), 1);
    assert_int_equal(slot(WATCHED_ANSWER, SLOT_NAN), 1);
    assert_string_equal(w.baseline->columns[WATCHED_ANSWER].name, "score");
    watched_end(&w);
}

/* No column with ten bins takes more than 2 KB; nor does one with 256. */
static void memory_is_bounded(void **state)
{
    (void)state;
    begin();
    assert_true(sketch_block_bytes(w.sketch) <= 2048 * WATCHED_COLUMNS);
    assert_true(sizeof(uint32_t) * (SLOT_BINS + BASELINE_ANSWER_EDGES_MAX + 1) <= 2048);
    watched_end(&w);
}

/* 40 edges become 13, every third one; no row is lost. */
static void many_edges_are_joined(void **state)
{
    struct buf text;
    (void)state;
    buf_init(&text, 1 << 20);
    buf_printf(&text, "%s",
               CONTRACT_TEXT("  - name: x\n    logicalType: number\n"
                             "    customProperties:\n"
                             "    - property: slipwayReference\n"
                             "      value: {kind: numeric, n: 820, edges: [0"));
    for (int i = 1; i < 40; i++)
        buf_printf(&text, ", %d", i);
    buf_printf(&text, "], counts: [20");
    for (int i = 0; i < 40; i++)
        buf_printf(&text, ", 20");
    buf_printf(&text, "], missing: 0, mean: 20, std: 10}\n");
    buf_char(&text, '\0');
    struct contract *contract = contract_of(text.data);
    const struct signature signature = {.class_count = 1, .feature_count = 1};
    const struct loaded loaded = {.model = "m", .contract = contract, .signature = &signature};
    struct arena *arena = arena_new(1 << 20);
    const struct baseline *b = baseline_new(&loaded, arena);
    const struct baseline_column *c = &b->columns[0];
    assert_int_equal(c->edge_count, 13);
    assert_true(c->edges[0] == 2 && c->edges[12] == 38);
    assert_true(c->counts[0] == 60 && c->counts[13] == 40 && c->rows == 820);
    assert_string_equal(b->columns[1].name, "value");
    arena_free(arena);
    contract_free(contract);
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_counted_in_their_bin),
        cmocka_unit_test(what_is_no_number_has_a_slot_of_its_own),
        cmocka_unit_test(tiers_agree),
        cmocka_unit_test(threads_add_up_and_arms_do_not),
        cmocka_unit_test(answers_have_bins_too),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(many_edges_are_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
