/* trees_lightgbm.c - a LightGBM model file (text) -> forest.
 *
 *     tree                                  the first line
 *     version=v4
 *     num_class=1
 *     num_tree_per_iteration=1              the output of tree i is i mod this
 *     max_feature_idx=27
 *     objective=binary sigmoid:1            none: an own objective
 *     average_output                        random forests
 *     feature_names=a b c
 *     feature_infos=[-1:1] none 0:2:5       a range, not used, the codes of a category
 *                                           (an empty line)
 *     Tree=0
 *     num_leaves=3                          n
 *     num_cat=1
 *     split_feature=2 1                     [n - 1] and so are the next four
 *     threshold=0.5 0                       of a categorical split: the index of its set
 *     decision_type=2 1                     bit 0 categorical, bit 1 missing goes left,
 *                                           bits 2 and 3 what is missing: 0 nothing,
 *                                           1 zero and NaN, 2 NaN
 *     left_child=1 -1                       a split, or ~ a leaf
 *     right_child=-2 -3
 *     cat_boundaries=0 1                    [num_cat + 1] words of set i:
 *                                           cat_threshold[i ... i + 1]
 *     cat_threshold=38                      bits of codes that go left, 32 a word
 *     leaf_value=0.1 0.2 0.3                [n]
 *     is_linear=1                           then leaf_const, num_features, leaf_features,
 * leaf_coeff (an empty line) end of trees
 *
 * Numbers are doubles, and v <= threshold goes left. The forest's form is v < value with the next
 * double, and a set sends its codes right, so categorical splits change sides. LightGBM takes
 * numbers within 1e-35 of zero for zero before it compares; thresholds within that are moved to its
 * edge, which has the same effect. All numbers are <= inf and none is < -inf, so such splits change
 * sides too. NaN where nothing is missing is zero. Where zero is missing, it is so in all splits of
 * a feature, which is then marked in forest.zero_missing.
 */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "runtime/lightgbm_objective.h"
#include "runtime/trees_model.h"

enum {
    LINE_KEY_MAX = 32,
    WORD_BITS = 32,
    IS_CATEGORICAL = 1,
    IS_DEFAULT_LEFT = 2,
    MISSING_SHIFT = 2,
    MISSING_NONE = 0,
    MISSING_ZERO = 1,
    MISSING_NAN = 2,
};

/* Memory a file may ask for while it is read: many times what real ones need. */
enum { MEMORY_FACTOR = 64, MEMORY_FREE = 1 << 20 };

/* What a feature's splits say about zero. */
enum { ZERO_COUNTS = 1, ZERO_IS_MISSING = 2 };

/* The lines of one tree that matter; ptr NULL: not there. */
enum tree_line {
    LINE_LEAVES,
    LINE_FEATURE,
    LINE_THRESHOLD,
    LINE_DECISION,
    LINE_LEFT,
    LINE_RIGHT,
    LINE_VALUE,
    LINE_BOUNDARIES,
    LINE_SET,
    LINE_IS_LINEAR,
    LINE_CONST,
    LINE_TERMS,
    LINE_TERM_FEATURES,
    LINE_COEFFICIENTS,
    LINE_COUNT,
};
static const char *const line_keys[LINE_COUNT] = {
    [LINE_LEAVES] = "num_leaves",
    [LINE_FEATURE] = "split_feature",
    [LINE_THRESHOLD] = "threshold",
    [LINE_DECISION] = "decision_type",
    [LINE_LEFT] = "left_child",
    [LINE_RIGHT] = "right_child",
    [LINE_VALUE] = "leaf_value",
    [LINE_BOUNDARIES] = "cat_boundaries",
    [LINE_SET] = "cat_threshold",
    [LINE_IS_LINEAR] = "is_linear",
    [LINE_CONST] = "leaf_const",
    [LINE_TERMS] = "num_features",
    [LINE_TERM_FEATURES] = "leaf_features",
    [LINE_COEFFICIENTS] = "leaf_coeff",
};

struct reader {
    struct arena *arena, *keep; /* the caller's */
    struct arena *arrays;       /* one tree's arrays */
    struct arena *scratch;      /* of forest_add_tree() */
    struct err *err;
    struct trees_model *model;
    struct str trees; /* from the first "Tree=" on */
    struct lightgbm_objective objective;
    struct str feature_names, feature_infos, version;
    int64_t features, outputs, tree_count;
    bool is_averaged;
    uint8_t *zero_states; /* [features] ZERO_COUNTS | ZERO_IS_MISSING */
};

static bool recognise(const void *head, size_t size)
{
    static const char lf[] = "tree\nversion=", crlf[] = "tree\r\nversion=";
    return (size >= sizeof(lf) - 1 && memcmp(head, lf, sizeof(lf) - 1) == 0) ||
           (size >= sizeof(crlf) - 1 && memcmp(head, crlf, sizeof(crlf) - 1) == 0);
}

/* --- lines -------------------------------------------------------------------------------- */

/* The next line without its end; false when there is none. */
static bool next_line(struct str *rest, struct str *line)
{
    if (rest->len == 0 || !str_split(rest, '\n', line))
        return false;
    if (line->len && line->ptr[line->len - 1] == '\r')
        line->len--;
    return true;
}

/* "key=value"; a line without '=' is all key. */
static struct str key_of(struct str line, struct str *value)
{
    const char *at = line.len ? memchr(line.ptr, '=', line.len) : NULL;
    struct str key = line;
    *value = (struct str){0};
    if (at) {
        key.len = (size_t)(at - line.ptr);
        *value = (struct str){at + 1, line.len - key.len - 1};
    }
    return key;
}

/* The next word of a line of words; spaces may be several. */
static bool next_word(struct str *rest, struct str *word)
{
    while (rest->len && *rest->ptr == ' ') {
        rest->ptr++;
        rest->len--;
    }
    if (rest->len == 0)
        return false;
    const char *space = memchr(rest->ptr, ' ', rest->len);
    word->ptr = rest->ptr;
    word->len = space ? (size_t)(space - rest->ptr) : rest->len;
    rest->ptr += word->len;
    rest->len -= word->len;
    return true;
}

static size_t count_words(struct str line)
{
    struct str word;
    size_t count = 0;
    while (next_word(&line, &word))
        count++;
    return count;
}

/* --- arrays of one tree ---------------------------------------------------------------------- */

struct tree_text {
    int64_t index;
    struct str lines[LINE_COUNT];
};

static enum err_code bad_count(struct reader *r, const struct tree_text *t, enum tree_line line,
                               size_t expected)
{
    if (!t->lines[line].ptr)
        return err_set(r->err, ERR_INVALID, "tree %lld: %s is missing", (long long)t->index,
                       line_keys[line]);
    return err_set(r->err, ERR_INVALID, "tree %lld: %s has %zu elements, expected %zu",
                   (long long)t->index, line_keys[line], count_words(t->lines[line]), expected);
}

static enum err_code bad_word(struct reader *r, const struct tree_text *t, enum tree_line line,
                              size_t i, const char *what)
{
    return err_set(r->err, ERR_INVALID, "tree %lld: %s: element %zu is not %s", (long long)t->index,
                   line_keys[line], i, what);
}

static enum err_code no_room(struct reader *r, const struct tree_text *t)
{
    return err_set(r->err, ERR_LIMIT, "no room for tree %lld", (long long)t->index);
}

static enum err_code read_ints(struct reader *r, const struct tree_text *t, enum tree_line line,
                               size_t count, int64_t min, int64_t max, int32_t **out)
{
    struct str rest = t->lines[line], word;
    int32_t *numbers = arena_calloc(r->arrays, count, sizeof(*numbers));
    int64_t number;
    if (!numbers)
        return no_room(r, t);
    for (size_t i = 0; i < count; i++) {
        if (!next_word(&rest, &word))
            return bad_count(r, t, line, count);
        if (!str_to_i64(word, &number) || number < min || number > max)
            return bad_word(r, t, line, i, "an integer in range");
        numbers[i] = (int32_t)(uint32_t)number;
    }
    if (next_word(&rest, &word))
        return bad_count(r, t, line, count);
    *out = numbers;
    return ERR_OK;
}

/* Of a threshold: all numbers are on its left, and only what is missing may go right. */
static bool read_infinity(enum tree_line line, struct str word, double *number)
{
    *number = INFINITY;
    return line == LINE_THRESHOLD && str_equal_c(word, "inf");
}

static enum err_code read_doubles(struct reader *r, const struct tree_text *t, enum tree_line line,
                                  size_t count, double **out)
{
    struct str rest = t->lines[line], word;
    double *numbers = arena_calloc(r->arrays, count, sizeof(*numbers));
    *out = numbers;
    if (!numbers)
        return no_room(r, t);
    for (size_t i = 0; i < count; i++) {
        if (!next_word(&rest, &word))
            return bad_count(r, t, line, count);
        if (!read_infinity(line, word, &numbers[i]) &&
            (!str_to_f64(word, &numbers[i]) || !isfinite(numbers[i])))
            return bad_word(r, t, line, i, "a finite number");
    }
    if (next_word(&rest, &word))
        return bad_count(r, t, line, count);
    return ERR_OK;
}

/* --- splits ----------------------------------------------------------------------------------- */

/* One tree as its text has it: n leaves, n - 1 splits. */
struct tree_parts {
    size_t leaves, splits;
    int32_t *features, *decisions, *left, *right;
    double *thresholds;
    int32_t *boundaries, *words; /* [set_count + 1], [words] as bits */
    size_t set_count, word_count;
};

/* One tree as the forest wants it: splits first, then leaves. */
struct tree_nodes {
    int32_t *left, *right, *features, *default_left, *split_types, *slots;
    double *values;
    int32_t *set_nodes, *set_begins, *set_counts, *codes;
    size_t set_count, code_count;
};

static enum err_code read_sets(struct reader *r, const struct tree_text *t, struct tree_parts *p)
{
    size_t count = count_words(t->lines[LINE_BOUNDARIES]);
    if (count < 2)
        return ERR_OK;
    p->set_count = count - 1;
    p->word_count = count_words(t->lines[LINE_SET]);
    enum err_code rc =
        read_ints(r, t, LINE_BOUNDARIES, count, 0, (int64_t)p->word_count, &p->boundaries);
    if (!rc)
        rc = read_ints(r, t, LINE_SET, p->word_count, 0, UINT32_MAX, &p->words);
    for (size_t i = 0; !rc && i < p->set_count; i++)
        if (p->boundaries[i] > p->boundaries[i + 1])
            rc = bad_word(r, t, LINE_BOUNDARIES, i + 1, "as large as the one before");
    return rc;
}

static enum err_code read_parts(struct reader *r, const struct tree_text *t, struct tree_parts *p)
{
    const int64_t leaves = (int64_t)p->leaves;
    enum err_code rc = read_ints(r, t, LINE_FEATURE, p->splits, 0, r->features - 1, &p->features);
    if (!rc)
        rc = read_doubles(r, t, LINE_THRESHOLD, p->splits, &p->thresholds);
    if (!rc)
        rc = read_ints(r, t, LINE_DECISION, p->splits, 0, 15, &p->decisions);
    if (!rc)
        rc = read_ints(r, t, LINE_LEFT, p->splits, -leaves, leaves - 2, &p->left);
    if (!rc)
        rc = read_ints(r, t, LINE_RIGHT, p->splits, -leaves, leaves - 2, &p->right);
    return rc ? rc : read_sets(r, t, p);
}

/* Splits are numbered 0 ... splits - 1, leaf l is node splits + l. */
static int32_t node_of(const struct tree_parts *p, int32_t child)
{
    return child >= 0 ? child : (int32_t)p->splits + ~child;
}

/* The next double, so that v < it is v <= threshold, and away from what counts as zero. */
static double edge_of(double threshold)
{
    const double zero = (double)FOREST_ZERO;
    if (threshold >= 0 && threshold < zero)
        threshold = zero;
    if (threshold < 0 && threshold >= -zero)
        return -zero;
    return nextafter(threshold, INFINITY);
}

static enum err_code put_number(struct reader *r, const struct tree_parts *p, struct tree_nodes *n,
                                size_t i)
{
    int missing = p->decisions[i] >> MISSING_SHIFT;
    int32_t feature = p->features[i];
    uint8_t state = missing == MISSING_ZERO ? ZERO_IS_MISSING : ZERO_COUNTS;
    r->zero_states[feature] |= state;
    if (r->zero_states[feature] == (ZERO_COUNTS | ZERO_IS_MISSING)) {
        err_set(r->err, ERR_UNSUPPORTED,
                "zero is missing in some splits of feature %d and a number in others", feature);
        return err_hint(r->err, "the model goes on from one that was trained with another "
                                "zero_as_missing; train it anew");
    }
    bool is_default_left =
        missing == MISSING_NONE ? p->thresholds[i] >= 0 : (p->decisions[i] & IS_DEFAULT_LEFT) != 0;
    bool is_swapped = p->thresholds[i] == INFINITY;
    n->left[i] = node_of(p, is_swapped ? p->right[i] : p->left[i]);
    n->right[i] = node_of(p, is_swapped ? p->left[i] : p->right[i]);
    n->values[i] = is_swapped ? -INFINITY : edge_of(p->thresholds[i]);
    n->default_left[i] = is_default_left != is_swapped;
    return ERR_OK;
}

/* The codes of a set go right in the forest, left in the file. */
static enum err_code put_set(struct reader *r, const struct tree_text *t,
                             const struct tree_parts *p, struct tree_nodes *n, size_t i)
{
    double set = p->thresholds[i];
    if (!(set >= 0 && set < (double)p->set_count))
        return bad_word(r, t, LINE_THRESHOLD, i, "the index of a set of categories");
    n->left[i] = node_of(p, p->right[i]);
    n->right[i] = node_of(p, p->left[i]);
    n->default_left[i] = 1;
    n->split_types[i] = SPLIT_CODES;
    n->set_nodes[n->set_count] = (int32_t)i;
    n->set_begins[n->set_count] = (int32_t)n->code_count;
    for (int32_t w = p->boundaries[(int)set]; w < p->boundaries[(int)set + 1]; w++)
        for (int bit = 0; bit < WORD_BITS; bit++)
            if ((uint32_t)p->words[w] >> bit & 1)
                n->codes[n->code_count++] =
                    WORD_BITS * (w - p->boundaries[(int)set]) + (int32_t)bit;
    n->set_counts[n->set_count] = (int32_t)n->code_count - n->set_begins[n->set_count];
    n->set_count++;
    return ERR_OK;
}

/* Bits of the sets that splits name; one named twice counts twice. */
static size_t count_codes(const struct tree_parts *p)
{
    size_t count = 0;
    for (size_t i = 0; i < p->splits; i++) {
        double set = p->thresholds[i];
        if (!(p->decisions[i] & IS_CATEGORICAL) || !(set >= 0 && set < (double)p->set_count))
            continue;
        for (int32_t w = p->boundaries[(int)set]; w < p->boundaries[(int)set + 1]; w++)
            count += (size_t)__builtin_popcount((uint32_t)p->words[w]);
    }
    return count;
}

static bool reserve_nodes(struct reader *r, const struct tree_parts *p, struct tree_nodes *n)
{
    size_t count = p->splits + p->leaves;
    n->left = arena_calloc(r->arrays, count, sizeof(*n->left));
    n->right = arena_calloc(r->arrays, count, sizeof(*n->right));
    n->features = arena_calloc(r->arrays, count, sizeof(*n->features));
    n->default_left = arena_calloc(r->arrays, count, sizeof(*n->default_left));
    n->split_types = arena_calloc(r->arrays, count, sizeof(*n->split_types));
    n->slots = arena_calloc(r->arrays, count, sizeof(*n->slots));
    n->values = arena_calloc(r->arrays, count, sizeof(*n->values));
    n->set_nodes = arena_calloc(r->arrays, p->splits, sizeof(*n->set_nodes));
    n->set_begins = arena_calloc(r->arrays, p->splits, sizeof(*n->set_begins));
    n->set_counts = arena_calloc(r->arrays, p->splits, sizeof(*n->set_counts));
    n->codes = arena_calloc(r->arrays, count_codes(p), sizeof(*n->codes));
    return n->left && n->right && n->features && n->default_left && n->split_types && n->slots &&
           n->values && n->set_nodes && n->set_begins && n->set_counts && n->codes;
}

static enum err_code make_nodes(struct reader *r, const struct tree_text *t,
                                const struct tree_parts *p, struct tree_nodes *n)
{
    enum err_code rc = ERR_OK;
    if (count_codes(p) > WORD_BITS * p->word_count)
        return err_set(r->err, ERR_INVALID, "tree %lld: splits share a set of categories",
                       (long long)t->index);
    if (!reserve_nodes(r, p, n))
        return no_room(r, t);
    for (size_t i = 0; !rc && i < p->splits; i++) {
        n->features[i] = p->features[i];
        if (p->decisions[i] & IS_CATEGORICAL)
            rc = put_set(r, t, p, n, i);
        else
            rc = put_number(r, p, n, i);
        if (rc == ERR_UNSUPPORTED)
            err_wrap(r->err, "tree %lld", (long long)t->index);
    }
    for (size_t l = 0; l < p->leaves; l++) {
        n->left[p->splits + l] = n->right[p->splits + l] = -1;
        n->slots[p->splits + l] = (int32_t)l;
    }
    return rc;
}

/* --- linear leaves ---------------------------------------------------------------------------- */

static bool is_linear(const struct tree_text *t)
{
    return str_equal_c(t->lines[LINE_IS_LINEAR], "1");
}

static enum err_code read_terms(struct reader *r, const struct tree_text *t, size_t leaves,
                                struct tree_arrays *arrays)
{
    int32_t *ends, *features;
    double *constants, *coefficients;
    int64_t total = 0;
    enum err_code rc = read_ints(r, t, LINE_TERMS, leaves, 0, r->features, &ends);
    for (size_t i = 0; !rc && i < leaves; i++) {
        total += ends[i];
        if (total > FOREST_NODES_MAX)
            return err_set(r->err, ERR_LIMIT, "tree %lld has more than %d linear terms",
                           (long long)t->index, FOREST_NODES_MAX);
        ends[i] = (int32_t)total;
    }
    if (!rc)
        rc = read_doubles(r, t, LINE_CONST, leaves, &constants);
    if (!rc)
        rc = read_ints(r, t, LINE_TERM_FEATURES, (size_t)total, 0, r->features - 1, &features);
    if (!rc)
        rc = read_doubles(r, t, LINE_COEFFICIENTS, (size_t)total, &coefficients);
    if (rc)
        return rc;
    arrays->constants = constants;
    arrays->term_ends = ends;
    arrays->term_features = features;
    arrays->coefficients = coefficients;
    return ERR_OK;
}

/* --- one tree --------------------------------------------------------------------------------- */

static enum err_code leaves_of(struct reader *r, const struct tree_text *t, size_t *leaves)
{
    int64_t count;
    if (!str_to_i64(t->lines[LINE_LEAVES], &count) || count < 1 || count > FOREST_NODES_MAX / 2)
        return err_set(r->err, ERR_INVALID, "tree %lld: num_leaves is not a number of leaves",
                       (long long)t->index);
    *leaves = (size_t)count;
    return ERR_OK;
}

static enum err_code read_tree(struct reader *r, const struct tree_text *t)
{
    struct tree_parts p = {0};
    struct tree_nodes n = {0};
    double *values;
    enum err_code rc = leaves_of(r, t, &p.leaves);
    arena_reset(r->arrays);
    p.splits = p.leaves - 1;
    if (!rc)
        rc = read_doubles(r, t, LINE_VALUE, p.leaves, &values);
    if (!rc && p.splits)
        rc = read_parts(r, t, &p);
    if (!rc)
        rc = make_nodes(r, t, &p, &n);
    if (rc)
        return rc;
    struct tree_arrays arrays = {
        .index = t->index,
        .node_count = p.splits + p.leaves,
        .left = n.left,
        .right = n.right,
        .features = n.features,
        .wide_thresholds = n.values,
        .default_left = n.default_left,
        .split_types = n.split_types,
        .wide_leaves = values,
        .leaf_value_count = p.leaves,
        .leaf_stride = 1,
        .leaf_slots = n.slots,
        .set_count = n.set_count,
        .set_code_count = n.code_count,
        .set_nodes = n.set_nodes,
        .set_begins = n.set_begins,
        .set_counts = n.set_counts,
        .set_codes = n.codes,
    };
    if (is_linear(t))
        rc = read_terms(r, t, p.leaves, &arrays);
    return rc ? rc
              : forest_add_tree(&r->model->forest, &arrays, (int)(t->index % r->outputs),
                                r->scratch, r->err);
}

/* --- all trees -------------------------------------------------------------------------------- */

static void keep_line(struct tree_text *t, struct str line)
{
    struct str value, key = key_of(line, &value);
    for (int i = 0; i < LINE_COUNT; i++)
        if (str_equal_c(key, line_keys[i]))
            t->lines[i] = value;
}

/* The lines of the next tree; false behind the last. */
static bool next_tree(struct str *rest, int64_t index, struct tree_text *t)
{
    struct str line;
    *t = (struct tree_text){.index = index};
    do {
        if (!next_line(rest, &line) || str_equal_c(line, "end of trees"))
            return false;
    } while (!str_starts_with(line, STR_LIT("Tree=")));
    while (rest->len && !str_starts_with(*rest, STR_LIT("Tree=")) && next_line(rest, &line) &&
           line.len)
        keep_line(t, line);
    return true;
}

/* Sums what the trees will need; they are checked when they are read. */
static enum err_code measure(struct reader *r, struct forest_size *size)
{
    struct tree_text t;
    struct str rest = r->trees;
    for (int64_t i = 0; next_tree(&rest, i, &t); i++) {
        size_t leaves = 0;
        enum err_code rc = leaves_of(r, &t, &leaves);
        if (rc)
            return rc;
        size->trees++;
        size->nodes += 2 * (int64_t)leaves - 1;
        size->categories += WORD_BITS * (int64_t)count_words(t.lines[LINE_SET]);
        if (is_linear(&t))
            size->terms += (int64_t)count_words(t.lines[LINE_TERM_FEATURES]);
        if (size->nodes > (int64_t)r->trees.len || size->trees > FOREST_TREES_MAX)
            return err_set(r->err, ERR_INVALID, "tree %lld: num_leaves is more than the file has",
                           (long long)i);
    }
    r->tree_count = size->trees;
    return ERR_OK;
}

static enum err_code read_trees(struct reader *r)
{
    struct tree_text t;
    struct str rest = r->trees;
    enum err_code rc = ERR_OK;
    for (int64_t i = 0; !rc && next_tree(&rest, i, &t); i++)
        rc = read_tree(r, &t);
    return rc;
}

/* A file that was cut off lacks its end. */
static enum err_code check_end(struct reader *r)
{
    static const char end[] = "\nend of trees";
    if (r->trees.len && memmem(r->trees.ptr, r->trees.len, end, sizeof(end) - 1))
        return ERR_OK;
    err_set(r->err, ERR_INVALID, "the file has no line 'end of trees'");
    return err_hint(r->err, "it was cut off; save it again with Booster.save_model('model.txt')");
}

/* --- the head --------------------------------------------------------------------------------- */

static enum err_code head_number(struct reader *r, struct str key, struct str value, int64_t *out)
{
    if (str_to_i64(value, out) && *out >= 0)
        return ERR_OK;
    return err_set(r->err, ERR_INVALID, "%.*s is not an integer", STR_ARG(key));
}

static enum err_code read_head_line(struct reader *r, struct str line)
{
    struct str value, key = key_of(line, &value);
    if (str_equal_c(key, "num_tree_per_iteration"))
        return head_number(r, key, value, &r->outputs);
    if (str_equal_c(key, "max_feature_idx")) {
        enum err_code rc = head_number(r, key, value, &r->features);
        r->features += r->features < FOREST_FEATURES_MAX + 1;
        return rc;
    }
    if (str_equal_c(key, "objective"))
        return lightgbm_objective_parse(value, &r->objective, r->err);
    if (str_equal_c(key, "average_output"))
        r->is_averaged = true;
    if (str_equal_c(key, "feature_names"))
        r->feature_names = value;
    if (str_equal_c(key, "feature_infos"))
        r->feature_infos = value;
    if (str_equal_c(key, "version"))
        r->version = value;
    return ERR_OK;
}

static enum err_code read_head(struct reader *r, struct str bytes)
{
    struct str rest = bytes, line;
    enum err_code rc = lightgbm_objective_parse((struct str){0}, &r->objective, r->err);
    while (!rc && rest.len && !str_starts_with(rest, STR_LIT("Tree=")) && next_line(&rest, &line))
        rc = read_head_line(r, line);
    r->trees = rest;
    if (!rc && (r->outputs < 1 || r->features < 1))
        rc = err_set(r->err, ERR_INVALID, "%s is missing or 0",
                     r->outputs < 1 ? "num_tree_per_iteration" : "max_feature_idx");
    return rc ? rc : check_end(r);
}

/* --- what is said about features ---------------------------------------------------------------
 */

static enum err_code read_names(struct reader *r)
{
    struct str rest = r->feature_names, word;
    size_t features = (size_t)r->features;
    if (count_words(rest) == 0)
        return ERR_OK;
    if (count_words(rest) != features)
        return err_set(r->err, ERR_INVALID, "feature_names has %zu elements for %zu features",
                       count_words(rest), features);
    const char **names = arena_calloc(r->arena, features, sizeof(*names));
    for (size_t i = 0; names && next_word(&rest, &word); i++) {
        if (word.len > TREES_NAME_BYTES_MAX || !str_is_utf8(word) ||
            memchr(word.ptr, '\0', word.len))
            return err_set(r->err, ERR_INVALID,
                           "feature_names: element %zu is not a text of up to %d bytes", i,
                           TREES_NAME_BYTES_MAX);
        names[i] = arena_copy(r->arena, word.ptr, word.len);
        if (!names[i])
            names = NULL;
    }
    if (!names)
        return err_set(r->err, ERR_LIMIT, "no room for feature_names");
    r->model->feature_names = names;
    return ERR_OK;
}

/* "0:2:5" are codes; "[-1:1]" is a range, "none" nothing. The largest code counts. */
static int codes_of(struct str info)
{
    struct str rest = info, part;
    int64_t code, count = 0;
    if (info.len == 0 || info.ptr[0] == '[' || str_equal_c(info, "none"))
        return 0;
    while (str_split(&rest, ':', &part))
        if (str_to_i64(part, &code) && code >= count && code < FOREST_CATEGORY_END)
            count = code + 1;
    return (int)count;
}

static void count_split_codes(const struct forest *f, int *counts)
{
    for (int i = 0; i < f->node_count; i++) {
        const struct forest_node *node = &f->nodes[i];
        if (!node->left || node->split != SPLIT_CODES)
            continue;
        int count = (int)f->categories[node->set + node->count - 1] + 1;
        counts[node->feature] = counts[node->feature] > count ? counts[node->feature] : count;
    }
}

static enum err_code read_features(struct reader *r)
{
    struct trees_model *m = r->model;
    size_t features = (size_t)r->features, i = 0;
    struct str rest = r->feature_infos, word;
    enum feature_kind *kinds = arena_calloc(r->arena, features, sizeof(*kinds));
    int *counts = arena_calloc(r->arena, features, sizeof(*counts));
    if (!kinds || !counts)
        return err_set(r->err, ERR_LIMIT, "no room for %zu features", features);
    for (; i < features && next_word(&rest, &word); i++) {
        counts[i] = codes_of(word);
        kinds[i] = word.ptr[0] == '[' ? FEATURE_NUMERIC : FEATURE_UNKNOWN;
    }
    count_split_codes(&m->forest, counts);
    for (i = 0; i < features; i++)
        if (counts[i])
            kinds[i] = FEATURE_CATEGORICAL;
    m->feature_kinds = kinds;
    m->category_counts = counts;
    for (i = 0; i < features; i++)
        if (r->zero_states[i] & ZERO_IS_MISSING)
            m->forest.zero_missing = r->zero_states;
    for (i = 0; i < features; i++)
        r->zero_states[i] = (r->zero_states[i] & ZERO_IS_MISSING) != 0;
    return read_names(r);
}

/* --- answers ------------------------------------------------------------------------------------
 */

enum { PREDICT = 0, MARGIN = 1 };

static enum err_code run_answer(const struct trees_answer *answer, void *margins, int64_t rows,
                                struct runtime_call *call, struct err *err)
{
    const bool *wanted = call->wanted;
    int count = 0, width = answer->margin_count;
    if (!wanted || wanted[PREDICT]) {
        float *predictions =
            arena_calloc(call->arena, (size_t)rows * (size_t)width, sizeof(*predictions));
        if (!predictions)
            return err_set(err, ERR_LIMIT, "no room for the predictions of %lld rows",
                           (long long)rows);
        lightgbm_predict(answer->detail, margins, rows, width, predictions);
        trees_tensor(&answer->outputs[PREDICT], rows, predictions, &call->out[count++]);
    }
    if (wanted && wanted[MARGIN])
        trees_tensor(&answer->outputs[MARGIN], rows, margins, &call->out[count++]);
    call->out_count = count;
    return ERR_OK;
}

static enum err_code set_answer(struct reader *r)
{
    struct trees_model *m = r->model;
    struct lightgbm_objective *o = arena_alloc(r->keep, sizeof(*o));
    r->version.len = r->version.len < 16 ? r->version.len : 16;
    m->writer = arena_printf(r->keep, "LightGBM, format %.*s", STR_ARG(r->version));
    if (!o || !m->writer || !str_is_utf8(r->version))
        return err_set(r->err, ERR_INVALID, "version is not a text");
    *o = r->objective;
    int64_t rounds = r->is_averaged ? r->tree_count / r->outputs : 1;
    o->divisor = rounds > 1 ? (double)rounds : 1;
    m->class_count = o->class_count ? o->class_count : (int)r->outputs;
    m->platform = "lightgbm_trees";
    m->input_name = "input";
    m->objective = o->name;
    m->is_probability = m->class_count > 1;
    m->takes_doubles = true;
    m->answer.run = run_answer;
    m->answer.detail = o;
    trees_answer_numbers(&m->answer, (int)r->outputs, (int)r->outputs, DTYPE_F64);
    return ERR_OK;
}

/* Outputs and classes belong together. */
static enum err_code check_outputs(struct reader *r)
{
    bool is_right = r->objective.class_count ? r->outputs == 1 : r->outputs > 1;
    if (is_right || str_equal_c(str_of(r->objective.name), "custom"))
        return ERR_OK;
    return err_set(r->err, ERR_INVALID, "%s with num_tree_per_iteration=%lld", r->objective.name,
                   (long long)r->outputs);
}

/* --- the whole file ------------------------------------------------------------------------------
 */

static enum err_code read_model(struct reader *r, struct str bytes)
{
    struct forest *forest = &r->model->forest;
    struct forest_size size = {0};
    enum err_code rc = read_head(r, bytes);
    if (!rc)
        rc = check_outputs(r);
    if (!rc)
        rc = measure(r, &size);
    size.features = r->features;
    size.outputs = r->outputs;
    if (!rc)
        rc = forest_init(forest, &size, r->arena, r->err);
    if (rc)
        return rc;
    forest->is_double = true;
    forest->code_low = nextafterf(-1.0f, 0.0f); /* -0.5 is the code 0 */
    r->zero_states = arena_calloc(r->arena, (size_t)r->features, 1);
    if (!r->zero_states)
        return err_set(r->err, ERR_LIMIT, "no room for %lld features", (long long)r->features);
    rc = read_trees(r);
    if (!rc)
        rc = forest_seal(forest, r->err);
    if (!rc)
        rc = read_features(r);
    return rc ? rc : set_answer(r);
}

static enum err_code read_file(struct str bytes, struct arena *arena, struct arena *keep,
                               struct trees_model *model, struct err *err)
{
    size_t memory = MEMORY_FREE + MEMORY_FACTOR * bytes.len;
    struct trees_model result = {0};
    struct reader r = {.arena = arena, .keep = keep, .err = err, .model = &result};
    r.arrays = arena_new(memory);
    r.scratch = arena_new(memory);
    enum err_code rc = read_model(&r, bytes);
    arena_free(r.scratch);
    arena_free(r.arrays);
    if (!rc)
        *model = result;
    return rc;
}

const struct trees_format trees_lightgbm = {recognise, read_file};
