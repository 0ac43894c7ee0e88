/* torture_onnx.c - the ONNX project's operator cases: 1,802 models, each with inputs and outputs;
 * and nine well-known image networks.
 *
 * The archive is not part of the project; without it (../shared/data) or without ONNX Runtime the
 * test is skipped. Cases whose inputs or outputs no request can carry (sequences, 8-bit and 4-bit
 * numbers) and operators that ONNX Runtime does not have are passed over and counted; all others
 * agree, except for those below, where onnxruntime's own Python package gives the same other
 * answer.
 */
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "golden_onnx.h"
#include "test.h"

static const char *const archive = "../shared/data/onnx/archives/onnx-backend-node-tests.tar.xz";

enum { AGREEING_MIN = 1500 };

static const char *const other_in_onnx_runtime[] = {
    "test_attention_4d_diff_heads_mask4d_padded_kv", /* refuses that mask */
    "test_convinteger_with_padding",                 /* refuses that zero point */
    "test_maxunpool_export_with_output_shape",
    "test_resize_downsample_scales_cubic_align_corners",
    "test_resize_downsample_scales_linear_align_corners",
    "test_training_dropout", /* random: names that begin so */
};

static bool is_excused(const char *folder)
{
    const char *name = strrchr(folder, '/') + 1;
    for (size_t i = 0; i < sizeof(other_in_onnx_runtime) / sizeof(other_in_onnx_runtime[0]); i++)
        if (strncmp(name, other_in_onnx_runtime[i], strlen(other_in_onnx_runtime[i])) == 0)
            return true;
    return false;
}

static void run_program(const char *const *argv)
{
    extern char **environ;
    pid_t pid;
    int status = 0;
    assert_int_equal(posix_spawnp(&pid, argv[0], NULL, NULL, (char **)(uintptr_t)argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void check_case(const char *folder, int *counts)
{
    char model[512], data[512], problem[256];
    snprintf(model, sizeof(model), "%s/model.onnx", folder);
    snprintf(data, sizeof(data), "%s/test_data_set_0", folder);
    enum onnx_verdict verdict = onnx_case_run(model, data, 1e-3, problem, sizeof(problem));
    if (verdict == ONNX_DIFFERS && !is_excused(folder))
        fail_msg("%s", problem);
    counts[verdict]++;
}

static void operators_agree_where_onnx_runtime_does(void **state)
{
    char folder[] = "/tmp/slipway-onnx-XXXXXX", pattern[512];
    int counts[ONNX_NO_TENSORS + 1] = {0};
    glob_t cases;
    (void)state;
    if (access(archive, R_OK) != 0 || !onnx_test_library()) {
        print_message("skipped: %s or ONNX Runtime is not there\n", archive);
        skip();
    }
    assert_non_null(mkdtemp(folder));
    run_program((const char *const[]){"tar", "-xJf", archive, "-C", folder, NULL});
    snprintf(pattern, sizeof(pattern), "%s/onnx/backend/test/data/node/*", folder);
    assert_int_equal(glob(pattern, 0, NULL, &cases), 0);
    for (size_t i = 0; i < cases.gl_pathc; i++)
        check_case(cases.gl_pathv[i], counts);
    globfree(&cases);
    run_program((const char *const[]){"rm", "-r", folder, NULL});
    print_message(
        "%d agree, %d differ as ONNX Runtime does, %d it does not take, %d no request can "
        "carry\n",
        counts[ONNX_AGREES], counts[ONNX_DIFFERS], counts[ONNX_NOT_LOADED],
        counts[ONNX_NO_TENSORS]);
    assert_true(counts[ONNX_AGREES] >= AGREEING_MIN);
}

/* The project's networks have constant weights; their input is 0/n, 1/n, ... (its own test runner
 * says so), their output beside them. */
static bool check_network(struct onnx_case *c, const char *path)
{
    char output[512];
    struct str bytes = {0}, expected = {0};
    struct err err = {0};
    void *model = NULL;
    snprintf(output, sizeof(output), "%.*s_output_0.pb", (int)(strlen(path) - strlen(".onnx")),
             path);
    assert_true(onnx_case_read(c, path, &bytes) && onnx_case_read(c, output, &expected));
    assert_true(onnx_case_tensor(expected, c->arena, &c->expected[0]));
    if (onnx_test_load(bytes.ptr, bytes.len, &model, &err))
        fail_msg("%s: %s", path, err.msg);
    const struct signature_tensor *as = runtime_onnx.describe(model)->inputs;
    int64_t count = tensor_elements(as->shape, as->rank);
    float *values = arena_calloc(c->arena, (size_t)count, sizeof(*values));
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)((double)i / (double)count);
    c->in[0] = (struct tensor){.name = as->name, .dtype = DTYPE_F32, .rank = as->rank};
    memcpy(c->in[0].shape, as->shape, sizeof(as->shape));
    c->in[0].data = values;
    c->in_count = c->expected_count = 1;
    c->expected[0].name = ""; /* by place */
    bool is_same = onnx_case_answer(c, model);
    runtime_onnx.free(model);
    return is_same;
}

static void networks_agree(void **state)
{
    glob_t paths;
    (void)state;
    if (glob("../shared/data/onnx/onnx/backend/test/data/light/*.onnx", 0, NULL, &paths) != 0 ||
        !onnx_test_library()) {
        print_message("skipped: the networks or ONNX Runtime are not there\n");
        skip();
    }
    for (size_t i = 0; i < paths.gl_pathc; i++) {
        struct onnx_case c = {
            .folder = paths.gl_pathv[i], .arena = arena_new(SIZE_MAX), .tolerance = 1e-3};
        if (!check_network(&c, paths.gl_pathv[i]))
            fail_msg("%s", c.problem);
        arena_free(c.arena);
    }
    globfree(&paths);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(operators_agree_where_onnx_runtime_does),
                                       cmocka_unit_test(networks_agree)};
    return cmocka_run_group_tests_name("torture_onnx", tests, NULL, NULL);
}
