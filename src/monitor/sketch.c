/* sketch.c - which slot each value of a row belongs to, by comparing 16 columns with one edge each
 * at a time.
 *
 * The bin of a number is how many edges are below it, so a column's slot is 7 plus a sum of
 * comparisons: the same few vector instructions for any value. Columns stand in groups of 16 with
 * edges [edge][16]; columns with fewer edges than the group's longest have +inf there, which is
 * below nothing. The last group ends with the row, so it may look at columns of the one before once
 * more; they and those that are not watched count into a place that nobody reads. What is no
 * ordinary number (missing, infinite) is put right at the end. One body of plain loops is compiled
 * three times; which one runs is asked of the CPU when a sketch is made.
 */
#include "monitor/sketch.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"

enum { GROUP = 16, BLOCK_ALIGN = 64, SKETCH_MAGIC = 0x534b4554 };

/* 16 columns of a row, side by side, that are looked at together. */
struct group {
    int start;               /* the first one's place in a row */
    int edge_count;          /* of the longest */
    const float *edges;      /* [edge_count, GROUP] */
    uint32_t offsets[GROUP]; /* first slot of each in a block; of those that count nowhere: waste */
};

struct coded {
    int column;      /* in a row */
    uint32_t offset; /* first slot */
    uint32_t count;
    const uint8_t *bins;
};

struct block;
typedef void add_fn(const struct sketch *sketch, struct block *block, const float *values,
                    int64_t row_count);

struct sketch {
    uint32_t magic;
    const struct baseline *baseline;
    int thread_count, group_count, coded_count, slot_count;
    struct group *groups;
    struct coded *coded; /* categorical columns */
    uint32_t *offsets;   /* [column_count] first slot */
    struct baseline_column *answer;
    add_fn *add;
    size_t block_bytes, map_bytes;
    char *blocks; /* [thread_count, ARM_COUNT] */
};

typedef _Atomic uint32_t slot_counter;

/* Head of a block. */
struct block {
    _Alignas(BLOCK_ALIGN) slot_counter rows;
    slot_counter answers;
    slot_counter slots[];
};

/* ---- counting ---- */

static inline void add_one(slot_counter *counter)
{
    uint32_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + 1, memory_order_relaxed);
}

/* GROUP values in, the places in a block of the slots they count in out. */
static inline __attribute__((always_inline)) void find_slots(const struct group *group,
                                                             const float *values, uint32_t *slots)
{
    uint32_t rank[GROUP], bits[GROUP];
    for (int i = 0; i < GROUP; i++)
        rank[i] = SLOT_BINS;
    for (int k = 0; k < group->edge_count; k++) {
        const float *edges = group->edges + (size_t)k * GROUP;
        for (int i = 0; i < GROUP; i++)
            rank[i] += edges[i] < values[i];
    }
    memcpy(bits, values, sizeof(bits));
    for (int i = 0; i < GROUP; i++) {
        uint32_t magnitude = bits[i] & 0x7fffffffu, state = bits[i] - CELL_NAN_BITS;
        uint32_t nan = state <= CELL_OTHER ? state : SLOT_NAN;
        uint32_t infinite = SLOT_INFINITE + (bits[i] >> 31);
        uint32_t odd = magnitude > 0x7f800000u ? nan : infinite;
        slots[i] = group->offsets[i] + (magnitude >= 0x7f800000u ? odd : rank[i]);
    }
}

/* Where a code is counted; one the baseline does not know counts as unseen. */
static inline uint32_t slot_of_code(const uint8_t *bins, uint32_t count, float value)
{
    if (isnan(value))
        return (uint32_t)cell_state(value);
    return value >= 0 && value < (float)count ? SLOT_BINS + (uint32_t)bins[(uint32_t)value]
                                              : SLOT_UNSEEN;
}

static inline __attribute__((always_inline)) void add_row(const struct sketch *sketch,
                                                          struct block *block, const float *row)
{
    _Alignas(64) uint32_t slots[GROUP];
    for (int i = 0; i < sketch->group_count; i++) {
        find_slots(&sketch->groups[i], row + sketch->groups[i].start, slots);
#pragma GCC unroll 16
        for (int k = 0; k < GROUP; k++)
            add_one(&block->slots[slots[k]]);
    }
    for (int i = 0; i < sketch->coded_count; i++) {
        const struct coded *c = &sketch->coded[i];
        add_one(&block->slots[c->offset + slot_of_code(c->bins, c->count, row[c->column])]);
    }
}

static inline __attribute__((always_inline)) void
add_body(const struct sketch *sketch, struct block *block, const float *values, int64_t row_count)
{
    int width = sketch->baseline->value_count;
    for (int64_t r = 0; r < row_count; r++) {
        const float *row = values + r * width;
        _Alignas(64) float padded[GROUP] = {0};
        if (width < GROUP) {
            memcpy(padded, row, (size_t)width * sizeof(*row));
            row = padded;
        }
        add_row(sketch, block, row);
    }
}

static void add_plain(const struct sketch *sketch, struct block *block, const float *values,
                      int64_t row_count)
{
    add_body(sketch, block, values, row_count);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void
add_avx2(const struct sketch *sketch, struct block *block, const float *values, int64_t row_count)
{
    add_body(sketch, block, values, row_count);
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq"))) static void
add_avx512(const struct sketch *sketch, struct block *block, const float *values, int64_t row_count)
{
    add_body(sketch, block, values, row_count);
}
#endif

bool sketch_set_tier(struct sketch *sketch, int tier)
{
    add_fn *chosen = tier == 0 ? add_plain : NULL;
#ifdef __x86_64__
    if (tier == 1 && __builtin_cpu_supports("avx2"))
        chosen = add_avx2;
    if (tier == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        chosen = add_avx512;
#endif
    if (chosen)
        sketch->add = chosen;
    return chosen != NULL;
}

static struct block *block_of(const struct sketch *sketch, int thread, enum arm arm)
{
    size_t index = (size_t)thread * ARM_COUNT + (size_t)arm;
    return (struct block *)(void *)(sketch->blocks + index * sketch->block_bytes);
}

void sketch_add_rows(struct sketch *sketch, int thread, enum arm arm, const float *values,
                     int64_t row_count)
{
    struct block *block = block_of(sketch, thread, arm);
    sketch->add(sketch, block, values, row_count);
    uint32_t rows = atomic_load_explicit(&block->rows, memory_order_relaxed);
    atomic_store_explicit(&block->rows, rows + (uint32_t)row_count, memory_order_relaxed);
}

/* How many edges are below the value, without a branch on it. */
static uint32_t rank_of(const struct baseline_column *c, float value)
{
    const float *base = c->edges;
    int count = c->edge_count;
    while (count > 1) {
        int half = count / 2;
        base += base[half - 1] < value ? half : 0;
        count -= half;
    }
    return (uint32_t)(base - c->edges) + (count == 1 && *base < value);
}

void sketch_add_answer(struct sketch *sketch, int thread, enum arm arm, float answer)
{
    const struct baseline_column *c = sketch->answer;
    struct block *block = block_of(sketch, thread, arm);
    uint32_t slot;
    if (c->code_count)
        slot = slot_of_code(c->code_bins, (uint32_t)c->code_count, answer);
    else if (isfinite(answer))
        slot = SLOT_BINS + rank_of(c, answer);
    else
        slot = isnan(answer) ? SLOT_NAN : answer > 0 ? SLOT_INFINITE : SLOT_NEGATIVE_INFINITE;
    add_one(&block->slots[sketch->offsets[sketch->baseline->column_count - 1] + slot]);
    add_one(&block->answers);
}

/* ---- reading ---- */

int sketch_slot_count(const struct sketch *sketch)
{
    return sketch->slot_count;
}

int sketch_first_slot(const struct sketch *sketch, int column)
{
    assert(column >= 0 && column < sketch->baseline->column_count);
    return (int)sketch->offsets[column];
}

size_t sketch_block_bytes(const struct sketch *sketch)
{
    return sketch->block_bytes;
}

static uint32_t read_counter(const slot_counter *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

bool sketch_has_rows(const struct sketch *sketch, enum arm arm)
{
    for (int thread = 0; thread < sketch->thread_count; thread++) {
        const struct block *block = block_of(sketch, thread, arm);
        if (read_counter(&block->rows) || read_counter(&block->answers))
            return true;
    }
    return false;
}

uint32_t sketch_sum(const struct sketch *sketch, enum arm arm, uint32_t *slots)
{
    uint32_t rows = 0, answers = 0;
    CHECK_MAGIC(sketch, SKETCH_MAGIC);
    memset(slots, 0, (size_t)sketch->slot_count * sizeof(*slots));
    for (int thread = 0; thread < sketch->thread_count; thread++) {
        const struct block *block = block_of(sketch, thread, arm);
        rows += read_counter(&block->rows);
        answers += read_counter(&block->answers);
        for (int i = 0; i < sketch->slot_count; i++)
            slots[i] += read_counter(&block->slots[i]);
    }
    return sketch->baseline->column_count > 1 ? rows : answers;
}

/* ---- making ---- */

static void *take(size_t count, size_t bytes)
{
    void *memory = calloc(count ? count : 1, bytes);
    if (!memory)
        abort();
    return memory;
}

/* The watched number at this place of a row, or NULL; *slot is its first slot, or the waste's. */
static const struct baseline_column *number_at(const struct sketch *sketch, int place,
                                               uint32_t *slot)
{
    const struct baseline *b = sketch->baseline;
    *slot = (uint32_t)sketch->slot_count; /* behind the last column */
    for (int i = 0; i < b->column_count; i++)
        if (b->columns[i].column == place && !b->columns[i].code_count) {
            *slot = sketch->offsets[i];
            return &b->columns[i];
        }
    return NULL;
}

/* The group of columns start .. start + GROUP of which those from `first` on are its own. */
static void fill_group(const struct sketch *sketch, struct group *group, int start, int first)
{
    const struct baseline_column *columns[GROUP];
    group->start = start;
    for (int i = 0; i < GROUP; i++) {
        columns[i] = number_at(sketch, start + i < first ? -2 : start + i, &group->offsets[i]);
        if (columns[i] && columns[i]->edge_count > group->edge_count)
            group->edge_count = columns[i]->edge_count;
    }
    float *edges = aligned_alloc(64, (size_t)(group->edge_count + 1) * GROUP * sizeof(float));
    if (!edges)
        abort();
    for (int k = 0; k < group->edge_count; k++)
        for (int i = 0; i < GROUP; i++)
            edges[k * GROUP + i] =
                columns[i] && k < columns[i]->edge_count ? columns[i]->edges[k] : INFINITY;
    group->edges = edges;
}

/* A row shorter than a group is padded when it is counted; a longer one ends with its last group.
 */
static void make_groups(struct sketch *sketch)
{
    int width = sketch->baseline->value_count;
    sketch->groups = take((size_t)width / GROUP + 1, sizeof(*sketch->groups));
    for (int first = 0; first < width; first += GROUP) {
        bool is_last = first + GROUP > width && width >= GROUP;
        fill_group(sketch, &sketch->groups[sketch->group_count++], is_last ? width - GROUP : first,
                   first);
    }
}

static void map_blocks(struct sketch *sketch)
{
    size_t slots = (size_t)sketch->slot_count + SLOT_BINS + 1; /* and the waste's */
    size_t bytes = sizeof(struct block) + slots * sizeof(slot_counter);
    sketch->block_bytes = (bytes + BLOCK_ALIGN - 1) / BLOCK_ALIGN * BLOCK_ALIGN;
    sketch->map_bytes = sketch->block_bytes * ARM_COUNT * (size_t)sketch->thread_count;
    sketch->blocks = mmap(NULL, sketch->map_bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (sketch->blocks == MAP_FAILED)
        abort();
}

struct sketch *sketch_new(const struct baseline *baseline, int thread_count)
{
    struct sketch *sketch = take(1, sizeof(*sketch));
    int count = baseline->column_count;
    assert(count > 0 && baseline->columns[count - 1].is_answer && thread_count > 0);
    sketch->magic = SKETCH_MAGIC;
    sketch->baseline = baseline;
    sketch->thread_count = thread_count;
    sketch->answer = &baseline->columns[count - 1];
    sketch->offsets = take((size_t)count, sizeof(*sketch->offsets));
    sketch->coded = take((size_t)count, sizeof(*sketch->coded));
    for (int i = 0; i < count; i++) {
        const struct baseline_column *c = &baseline->columns[i];
        sketch->offsets[i] = (uint32_t)sketch->slot_count;
        sketch->slot_count += SLOT_BINS + c->bin_count;
        if (c->code_count && !c->is_answer)
            sketch->coded[sketch->coded_count++] = (struct coded){
                c->column, sketch->offsets[i], (uint32_t)c->code_count, c->code_bins};
    }
    make_groups(sketch);
    map_blocks(sketch);
    int tier = SKETCH_TIERS - 1;
    while (!sketch_set_tier(sketch, tier))
        tier--;
    return sketch;
}

void sketch_free(struct sketch *sketch)
{
    if (!sketch)
        return;
    CHECK_MAGIC(sketch, SKETCH_MAGIC);
    for (int i = 0; i < sketch->group_count; i++)
        free((void *)(uintptr_t)sketch->groups[i].edges);
    munmap(sketch->blocks, sketch->map_bytes);
    free(sketch->groups);
    free(sketch->coded);
    free(sketch->offsets);
    sketch->magic = 0;
    free(sketch);
}
