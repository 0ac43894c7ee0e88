/* torture_models.c - damaged model files of every kind: an error or a model that predicts, no
 * crash.
 *
 *     torture_models [rounds]
 *
 * A round is MUTANTS mutants of each kind; 2000 rounds are 100,000 of each. A mutant is a file of
 * the golden tests with a few bytes flipped, digits changed, pieces removed, doubled, moved or cut
 * off. Under a sanitizer a read past the file's end shows: each mutant lies in a block of its size.
 */
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz/graph_models.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/rand.h"
#include "golden_onnx.h"
#include "runtime/runtime.h"
#include "test.h"

enum { MUTANTS = 50, DEFAULT_ROUNDS = 40, FILE_BYTES_MAX = 1 << 16, EDITS_MAX = 6 };
enum { ARENA_BYTES = 1 << 24, FEATURES_MAX = 4096, PREDICT_NS_MAX = 1000000000 };

static const struct kind {
    const char *name, *runtime, *files;
} kinds[] = {
    {"XGBoost JSON", "trees", "tests/golden/trees/*/*.json"},
    {"XGBoost UBJSON", "trees", "tests/golden/trees/*/*.ubj"},
    {"LightGBM", "trees", "tests/golden/lightgbm/*/*.txt"},
    {"ONNX", "onnx", "tests/golden/onnx/*/model.onnx"},
    {"ONNX trees", "trees", "tests/golden/onnx_ml/trees/*.onnx"},
    {"ONNX pipelines", "linear", "tests/golden/onnx_ml/linear/*.onnx"},
    {"slipway-linear", "linear", "tests/fuzz/corpus/fuzz_linear/*.json"},
    {"graphs", "graph", "tests/fuzz/corpus/fuzz_graph/*.yaml"},
};

static int64_t rounds = DEFAULT_ROUNDS;

struct mutant {
    char *bytes;
    size_t size;
};

static size_t below(struct rand *rand, size_t end)
{
    return end ? (size_t)(rand_u64(rand) % end) : 0;
}

static void change_digit(struct mutant *m, struct rand *rand)
{
    size_t begin = below(rand, m->size);
    for (size_t i = begin; i < m->size; i++)
        if (m->bytes[i] >= '0' && m->bytes[i] <= '9') {
            m->bytes[i] = "0123456789-.eN"[below(rand, 14)];
            return;
        }
}

/* A piece is removed, or put in the place of another. */
static void move_piece(struct mutant *m, struct rand *rand, bool is_removed)
{
    size_t from = below(rand, m->size), to = below(rand, m->size);
    size_t end = from > to ? from : to;
    size_t length = 1 + below(rand, m->size - end < 64 ? m->size - end : 64);
    if (m->size - end < length)
        return;
    if (!is_removed) {
        memmove(m->bytes + to, m->bytes + from, length);
        return;
    }
    memmove(m->bytes + from, m->bytes + from + length, m->size - from - length);
    m->size -= length;
}

static void edit(struct mutant *m, struct rand *rand)
{
    switch (below(rand, 6)) {
    case 0:
        m->bytes[below(rand, m->size)] ^= (char)(1 << below(rand, 8));
        break;
    case 1:
        m->bytes[below(rand, m->size)] = (char)rand_u64(rand);
        break;
    case 2:
        change_digit(m, rand);
        break;
    case 3:
        move_piece(m, rand, true);
        break;
    case 4:
        move_piece(m, rand, false);
        break;
    default:
        if (below(rand, 8) == 0)
            m->size = 1 + below(rand, m->size);
    }
}

static struct mutant mutate(const struct buf *file, struct rand *rand)
{
    struct mutant m = {.bytes = malloc(file->len), .size = file->len};
    memcpy(m.bytes, file->data, file->len);
    for (size_t left = 1 + below(rand, EDITS_MAX); left > 0 && m.size > 1; left--)
        edit(&m, rand);
    m.bytes = realloc(m.bytes, m.size);
    return m;
}

/* Room for any input of the model, filled with small numbers or empty texts. */
static void fill_input(const struct signature_tensor *as, struct tensor *in, struct arena *arena)
{
    *in = (struct tensor){.name = as->name, .dtype = as->dtype, .rank = as->rank};
    size_t count = 1;
    for (int i = 0; i < as->rank; i++) {
        in->shape[i] = as->shape[i] < 0 ? 1 : as->shape[i];
        count *= (size_t)in->shape[i];
    }
    size_t bytes = as->dtype == DTYPE_BYTES ? sizeof(struct str) : dtype_bytes(as->dtype);
    in->data = arena_calloc(arena, count, bytes);
    for (size_t i = 0; in->data && as->dtype == DTYPE_F32 && i < count; i++)
        ((float *)in->data)[i] = (float)i / 2;
}

static void predict(const struct runtime_ops *ops, const void *model)
{
    const struct signature *s = ops->describe(model);
    struct arena *arena = arena_new(ARENA_BYTES);
    struct tensor in[RUNTIME_TENSORS_MAX], out[RUNTIME_TENSORS_MAX];
    struct err err = {0};
    struct runtime_call call = {.in = in, .in_count = s->input_count, .arena = arena, .out = out};
    call.deadline_ns = clock_monotonic_ns() + PREDICT_NS_MAX; /* of a loop without end */
    bool has_room = true;
    for (int i = 0; i < s->input_count; i++) {
        fill_input(&s->inputs[i], &in[i], arena);
        has_room = has_room && in[i].data;
    }
    if (has_room && ops->predict(model, &call, &err))
        assert_true(err.msg[0] != '\0');
    arena_free(arena);
}

static bool try_mutant(const struct runtime_ops *ops, const struct mutant *m)
{
    void *model = NULL;
    struct err err = {0};
    const struct runtime_file file = {.bytes = m->bytes,
                                      .size = m->size,
                                      .digest_hex = "",
                                      .host = onnx_test_host(),
                                      .versions = &graph_test_versions};
    (void)runtime_recognise(m->bytes, m->size);
    if (ops->load(&file, &model, &err)) {
        assert_true(err.msg[0] != '\0' && model == NULL);
        return false;
    }
    predict(ops, model);
    ops->free(model);
    return true;
}

static void torture_kind(const struct kind *kind, struct rand *rand)
{
    glob_t list;
    int64_t loaded = 0, tried = 0;
    assert_int_equal(glob(kind->files, 0, NULL, &list), 0);
    const struct runtime_ops *ops = runtime_find(kind->runtime);
    while (tried < rounds * MUTANTS) {
        struct buf file;
        struct err err = {0};
        const char *path = list.gl_pathv[below(rand, list.gl_pathc)];
        if (file_read(path, FILE_BYTES_MAX, &file, &err) == ERR_OK && file.len > 1) {
            struct mutant m = mutate(&file, rand);
            loaded += try_mutant(ops, &m);
            tried++;
            free(m.bytes);
        }
        buf_done(&file);
    }
    print_message("%s: %lld mutants, %lld still load\n", kind->name, (long long)tried,
                  (long long)loaded);
    assert_true(loaded > 0 && loaded < tried);
    globfree(&list);
}

static void mutants_load_or_are_refused(void **state)
{
    struct rand rand;
    (void)state;
    rand_seed(&rand, 20240611);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        bool needs_library = strcmp(kinds[i].runtime, "onnx") == 0;
        if (needs_library && !onnx_test_library())
            print_message("%s: skipped, ONNX Runtime is not on this machine\n", kinds[i].name);
        else
            torture_kind(&kinds[i], &rand);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mutants_load_or_are_refused)};
    int64_t wanted;
    if (argc > 1 && str_to_i64(str_of(argv[1]), &wanted) && wanted > 0)
        rounds = wanted;
    return cmocka_run_group_tests_name("torture_models", tests, NULL, NULL);
}
