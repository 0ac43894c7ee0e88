/* compare_file.c - a comparison to bytes and back. */
#include "rollout/compare_file.h"

enum { COMPARE_FORMAT = 1, ANSWER_BYTES = 32 };

/* ---- parts ---- */

void histogram_format(const struct histogram_sum *sum, struct buf *out)
{
    put_u64(out, sum->sum_ns);
    put_u64(out, sum->count);
    buf_append(out, sum->counts, sizeof(sum->counts));
}

void histogram_parse(struct reading *r, struct histogram_sum *sum)
{
    sum->sum_ns = get_u64(r);
    sum->count = get_u64(r);
    get_bytes(r, sum->counts, sizeof(sum->counts));
}

static void put_text(struct buf *out, const char *text)
{
    put_u64(out, strlen(text));
    buf_text(out, text);
}

static void get_text(struct reading *r, char *text, size_t room)
{
    int64_t length = get_count(r, (int64_t)room - 1, 1);
    get_bytes(r, text, (size_t)length);
    text[length] = '\0';
}

static void put_answer(struct buf *out, const struct record_answer *answer)
{
    put_i64(out, answer->is_class | answer->has_score << 1);
    put_i64(out, answer->class_index);
    put_f64(out, (double)answer->score);
    put_f64(out, (double)answer->value);
}

static void get_answer(struct reading *r, struct record_answer *answer)
{
    int64_t flags = get_i64(r);
    answer->is_class = flags & 1;
    answer->has_score = flags >> 1 & 1;
    answer->class_index = (int)get_i64(r);
    answer->score = (float)get_f64(r);
    answer->value = (float)get_f64(r);
    if (answer->class_index < 0)
        r->is_short = true;
}

/* ---- writing ---- */

static void put_examples(struct buf *out, const struct compare *compare)
{
    put_i64(out, compare->example_count);
    put_i64(out, compare->example_next);
    for (int i = 0; i < compare->example_count; i++) {
        put_text(out, compare->examples[i].request_id);
        put_i64(out, compare->examples[i].row);
        put_answer(out, &compare->examples[i].stable);
        put_answer(out, &compare->examples[i].shadow);
    }
}

void compare_format(const struct compare *compare, struct buf *out)
{
    put_u64(out, COMPARE_FORMAT);
    put_i64(out, compare->class_count);
    put_u64(out, compare->rows);
    put_u64(out, compare->differ);
    put_u64(out, compare->identical);
    put_u64(out, compare->errors);
    put_u64(out, compare->refused);
    buf_append(out, compare->flips, sizeof(compare->flips));
    put_u64(out, compare->other_flips);
    histogram_format(&compare->change, out);
    put_f64(out, compare->change_max);
    put_i64(out, compare->slice_count);
    for (int i = 0; i < compare->slice_count; i++) {
        put_text(out, compare->slices[i].name);
        put_u64(out, compare->slices[i].rows);
        put_u64(out, compare->slices[i].differ);
    }
    put_examples(out, compare);
    put_u64(out, compare->pairs_seen);
    put_i64(out, compare->pair_count);
    buf_append(out, compare->pairs, (size_t)compare->pair_count * sizeof(*compare->pairs));
}

/* ---- reading ---- */

static void get_slices(struct reading *r, struct compare *compare)
{
    compare->slice_count = (int)get_count(r, COMPARE_SLICES_MAX, 24);
    for (int i = 0; i < compare->slice_count; i++) {
        get_text(r, compare->slices[i].name, sizeof(compare->slices[i].name));
        compare->slices[i].rows = get_u64(r);
        compare->slices[i].differ = get_u64(r);
    }
}

static void get_examples(struct reading *r, struct compare *compare)
{
    compare->example_count = (int)get_count(r, COMPARE_EXAMPLES_MAX, 2 * ANSWER_BYTES);
    compare->example_next = (int)get_count(r, COMPARE_EXAMPLES_MAX - 1, 0);
    for (int i = 0; i < compare->example_count; i++) {
        struct compare_example *example = &compare->examples[i];
        get_text(r, example->request_id, sizeof(example->request_id));
        example->row = get_i64(r);
        get_answer(r, &example->stable);
        get_answer(r, &example->shadow);
    }
}

static void get_pairs(struct reading *r, struct compare *compare)
{
    compare->pairs_seen = get_u64(r);
    compare->pair_count = (int)get_count(r, COMPARE_PAIRS_MAX, sizeof(*compare->pairs));
    get_bytes(r, compare->pairs, (size_t)compare->pair_count * sizeof(*compare->pairs));
}

bool compare_parse(struct reading *r, struct compare *compare)
{
    struct compare fresh;
    if (get_u64(r) != COMPARE_FORMAT || get_i64(r) != compare->class_count)
        return false;
    compare_init(&fresh, compare->class_count, compare->class_names);
    fresh.rows = get_u64(r);
    fresh.differ = get_u64(r);
    fresh.identical = get_u64(r);
    fresh.errors = get_u64(r);
    fresh.refused = get_u64(r);
    get_bytes(r, fresh.flips, sizeof(fresh.flips));
    fresh.other_flips = get_u64(r);
    histogram_parse(r, &fresh.change);
    fresh.change_max = get_f64(r);
    get_slices(r, &fresh);
    get_examples(r, &fresh);
    get_pairs(r, &fresh);
    if (!r->is_short)
        *compare = fresh;
    return !r->is_short;
}
