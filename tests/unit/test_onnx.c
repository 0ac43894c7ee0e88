/* test_onnx.c - models of scikit-learn and by hand answer as their own libraries do, their
 * signatures say what they are, and what must not load says why. Skipped where ONNX Runtime is not.
 */
#include "golden_onnx.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "test.h"

static struct buf model_bytes(const char *name)
{
    char path[512];
    struct buf bytes;
    struct err err = {0};
    snprintf(path, sizeof(path), "tests/golden/onnx/%s", name);
    assert_int_equal(file_read(path, ONNX_CASE_BYTES_MAX, &bytes, &err), ERR_OK);
    return bytes;
}

static void *load_golden(const char *name)
{
    char file[128];
    void *model = NULL;
    struct err err = {0};
    snprintf(file, sizeof(file), "%s/model.onnx", name);
    struct buf bytes = model_bytes(file);
    assert_true(runtime_onnx.recognise(bytes.data, bytes.len));
    if (onnx_test_load(bytes.data, bytes.len, &model, &err))
        fail_msg("%s: %s", name, err.msg);
    buf_done(&bytes);
    return model;
}

static void check_folders(const char *pattern, const char *below, double tolerance, size_t least)
{
    glob_t found;
    size_t agreed = 0;
    if (glob(pattern, 0, NULL, &found) != 0)
        skip();
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char data[512], problem[256];
        snprintf(data, sizeof(data), "%.*s%s",
                 (int)(strlen(found.gl_pathv[i]) - strlen("/model.onnx")), found.gl_pathv[i],
                 below);
        switch (onnx_case_run(found.gl_pathv[i], data, tolerance, problem, sizeof(problem))) {
        case ONNX_DIFFERS:
            fail_msg("%s", problem);
            break;
        case ONNX_AGREES:
            agreed++;
            break;
        default:
            break;
        }
    }
    globfree(&found);
    assert_true(agreed >= least);
}

static void golden_models_answer_as_their_libraries(void **state)
{
    (void)state;
    check_folders("tests/golden/onnx/*/model.onnx", "", 1e-5, 20);
}

/* Operators that ONNX Runtime no longer has in so old a version do not load. */
static void cases_of_the_onnx_project_agree(void **state)
{
    (void)state;
    check_folders("../shared/data/onnx/onnx/backend/test/data/*/*/model.onnx", "/test_data_set_0",
                  1e-3, 70);
}

/* --- signatures ---------------------------------------------------------------------------- */

static const struct signature *signature_of(const void *model)
{
    return runtime_onnx.describe(model);
}

static void probabilities_are_the_answer_of_a_classifier(void **state)
{
    static const struct {
        const char *name, *output;
        int features, classes;
    } cases[] = {
        {"mlp", "probabilities", 30, 2},
        {"sigmoid", "p", 3, 2},
        {"skl_logistic", "probabilities", 4, 3},     /* iris: 4 features, 3 classes */
        {"skl_forest_texts", "probabilities", 8, 2}, /* the first 8 of cancer's features */
        {"skl_scaled_matrix", "probabilities", 8, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        void *model = load_golden(cases[i].name);
        const struct signature *s = signature_of(model);
        assert_string_equal(s->outputs[s->answer].name, cases[i].output);
        assert_int_equal(s->outputs[s->answer].dtype, DTYPE_F32);
        assert_int_equal(s->feature_count, cases[i].features);
        assert_int_equal(s->class_count, cases[i].classes);
        assert_true(s->is_probability);
        assert_true(s->batch_rows_max > 0);
        runtime_onnx.free(model);
    }
}

static void a_regressor_gives_a_number_a_row(void **state)
{
    void *model = load_golden("skl_boosting");
    const struct signature *s = signature_of(model);
    (void)state;
    assert_int_equal(s->feature_count, 10); /* diabetes */
    assert_int_equal(s->class_count, 1);
    assert_false(s->is_probability);
    runtime_onnx.free(model);
}

static void inputs_and_shapes_are_the_graphs_own(void **state)
{
    void *model = load_golden("skl_columns");
    const struct signature *s = signature_of(model);
    (void)state;
    assert_int_equal(s->input_count, 3);
    assert_string_equal(s->inputs[0].name, "city");
    assert_int_equal(s->inputs[0].dtype, DTYPE_BYTES);
    assert_int_equal(s->inputs[0].rank, 2);
    assert_int_equal(s->inputs[0].shape[0], -1);
    assert_int_equal(s->inputs[0].shape[1], 1);
    assert_int_equal(s->feature_count, 0);
    assert_string_equal(s->outputs[s->answer].name, "probabilities");
    assert_int_equal(s->class_count, 2);
    assert_int_equal(s->place, RUNTIME_LANE); /* texts have any length */
    runtime_onnx.free(model);
    model = load_golden("unshaped");
    s = signature_of(model);
    assert_int_equal(s->outputs[0].rank, 3); /* [n, 2, 2], seen when it was tried */
    assert_int_equal(s->outputs[0].shape[0], -1);
    assert_int_equal(s->outputs[0].shape[1], 2);
    runtime_onnx.free(model);
    model = load_golden("preset");
    s = signature_of(model);
    assert_int_equal(s->input_count, 2);
    assert_false(s->inputs[0].is_optional);
    assert_true(s->inputs[1].is_optional);
    runtime_onnx.free(model);
}

static void only_independent_rows_are_joined(void **state)
{
    void *model = load_golden("mean_of_batch");
    (void)state;
    assert_int_equal(signature_of(model)->batch_rows_max, 0);
    runtime_onnx.free(model);
    model = load_golden("scalars");
    assert_int_equal(signature_of(model)->batch_rows_max, 0);
    runtime_onnx.free(model);
    model = load_golden("loop");
    assert_int_equal(signature_of(model)->place, RUNTIME_LANE); /* its time is in its input */
    runtime_onnx.free(model);
}

/* --- refusals ------------------------------------------------------------------------------- */

static void what_must_not_load_says_why(void **state)
{
    static const struct {
        const char *file;
        enum err_code code;
        const char *words;
    } cases[] = {
        {"refused/custom_operator.onnx", ERR_UNSUPPORTED, "operator 'Magic' of 'com.example'"},
        {"refused/external_data.onnx", ERR_UNSUPPORTED, "tensor 'w' are in another file"},
        {"refused/short_tensor.onnx", ERR_INVALID, "tensor 'w' has 4 bytes"},
        {"refused/sequence_output.onnx", ERR_UNSUPPORTED, "none of the model's 1 outputs"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf bytes = model_bytes(cases[i].file);
        struct err err = {0};
        void *model = NULL;
        assert_int_equal(onnx_test_load(bytes.data, bytes.len, &model, &err), cases[i].code);
        if (!strstr(err.msg, cases[i].words))
            fail_msg("%s: '%s' does not say '%s'", cases[i].file, err.msg, cases[i].words);
        assert_null(model);
        buf_done(&bytes);
    }
}

/* A window of 3 on an image of height 1: ONNX Runtime ends the process where it may lay images out
 * in blocks, which is only allowed where images have the size of the trial's.
 * Rows of the output: floor((1 - 3) / 2) + 1 = 0, columns: floor((26 - 3) / 2) + 1 = 12. */
static void a_request_with_a_small_image_ends_no_process(void **state)
{
    struct buf bytes = model_bytes("small_image/any_size.onnx");
    static float image[16 * 26];
    void *model = NULL;
    struct err err = {0};
    struct arena *arena = arena_new(1 << 16);
    struct tensor out[1];
    struct tensor in = {
        .name = "x", .dtype = DTYPE_F32, .rank = 4, .shape = {1, 16, 1, 26}, .data = image};
    struct runtime_call call = {.in = &in, .in_count = 1, .arena = arena, .out = out};
    (void)state;
    assert_int_equal(onnx_test_load(bytes.data, bytes.len, &model, &err), ERR_OK);
    assert_int_equal(runtime_onnx.predict(model, &call, &err), ERR_OK);
    assert_int_equal(out[0].shape[2], 0);
    assert_int_equal(out[0].shape[3], 12);
    runtime_onnx.free(model);
    arena_free(arena);
    buf_done(&bytes);
}

static void other_files_are_not_recognised(void **state)
{
    static const char json[] = "{\"learner\": {}}", text[] = "tree\nversion=v4\n";
    static const char version_only[] = "\x08\x08";
    (void)state;
    assert_false(runtime_onnx.recognise(json, sizeof(json) - 1));
    assert_false(runtime_onnx.recognise(text, sizeof(text) - 1));
    assert_false(runtime_onnx.recognise(version_only, 2));
    assert_false(runtime_onnx.recognise("", 0));
}

static void a_cut_file_is_an_error_at_every_length(void **state)
{
    struct buf bytes = model_bytes("sigmoid/model.onnx");
    (void)state;
    for (size_t size = 0; size < bytes.len; size++) {
        struct err err = {0};
        void *model = NULL;
        char *page = malloc(size + 1); /* exact, so that a byte too many is seen */
        memcpy(page, bytes.data, size);
        if (onnx_test_load(page, size, &model, &err) == ERR_OK)
            runtime_onnx.free(model); /* cut between two fields: a smaller model */
        else
            assert_true(err.msg[0] != '\0');
        free(page);
    }
    buf_done(&bytes);
}

static void inputs_that_do_not_fit_are_named(void **state)
{
    void *model = load_golden("sigmoid");
    float row[4] = {0};
    struct arena *arena = arena_new(1 << 16);
    struct tensor out[2];
    struct tensor in = {.name = "x", .dtype = DTYPE_F32, .rank = 2, .shape = {1, 4}, .data = row};
    struct runtime_call call = {.in = &in, .in_count = 1, .arena = arena, .out = out};
    struct err err = {0};
    (void)state;
    assert_int_equal(runtime_onnx.predict(model, &call, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "input 'x' does not have the model's shape"));
    in.shape[1] = 3;
    in.dtype = DTYPE_I32;
    assert_int_equal(runtime_onnx.predict(model, &call, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "input 'x' is INT32, the model takes FP32"));
    in.data = NULL;
    assert_int_equal(runtime_onnx.predict(model, &call, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "input 'x' is missing"));
    arena_free(arena);
    runtime_onnx.free(model);
}

/* --- deadlines ---------------------------------------------------------------------------------
 */

/* `loop` doubles a number as often as it is told, here for hours. */
static enum err_code run_long(const void *model, int64_t deadline_ns, const _Atomic bool *cancelled,
                              struct err *err)
{
    int64_t times = INT64_C(1) << 40;
    float x = 1;
    struct arena *arena = arena_new(1 << 16);
    struct tensor out[1];
    struct tensor in[2] = {
        {.name = "times", .dtype = DTYPE_I64, .rank = 0, .data = &times},
        {.name = "x", .dtype = DTYPE_F32, .rank = 1, .shape = {1}, .data = &x},
    };
    struct runtime_call call = {.in = in,
                                .in_count = 2,
                                .arena = arena,
                                .out = out,
                                .deadline_ns = deadline_ns,
                                .is_cancelled = cancelled};
    enum err_code rc = runtime_onnx.predict(model, &call, err);
    arena_free(arena);
    return rc;
}

static void a_call_ends_at_its_deadline(void **state)
{
    void *model = load_golden("loop");
    struct err err = {0};
    (void)state;
    int64_t soon = clock_monotonic_ns() + 20000000;
    assert_int_equal(run_long(model, soon, NULL, &err), ERR_TIMEOUT);
    assert_int_equal(run_long(model, soon, NULL, &err), ERR_TIMEOUT); /* long past already */
    runtime_onnx.free(model);
}

static void *leave(void *is_cancelled)
{
    atomic_store((_Atomic bool *)is_cancelled, true);
    return NULL;
}

static void a_call_ends_when_its_caller_left(void **state)
{
    void *model = load_golden("loop");
    _Atomic bool is_cancelled = false;
    pthread_t thread;
    struct err err = {0};
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, leave, &is_cancelled), 0);
    assert_int_equal(run_long(model, 0, &is_cancelled, &err), ERR_CANCELLED);
    pthread_join(thread, NULL);
    runtime_onnx.free(model);
}

/* --- threads
 * -------------------------------------------------------------------------------------- */

static void *answer_often(void *model)
{
    float row[3] = {1, 2, 3}; /* 1 / (1 + e^-(1 - 4 + 1.5)) = 0.182426 */
    for (int i = 0; i < 500; i++) {
        struct arena *arena = arena_new(1 << 16);
        struct tensor out[1];
        struct err err = {0};
        struct tensor in = {
            .name = "x", .dtype = DTYPE_F32, .rank = 2, .shape = {1, 3}, .data = row};
        struct runtime_call call = {.in = &in, .in_count = 1, .arena = arena, .out = out};
        bool is_right = !runtime_onnx.predict(model, &call, &err) &&
                        fabsf(((const float *)out[0].data)[0] - 0.182426f) < 1e-6f;
        arena_free(arena);
        if (!is_right)
            return model;
    }
    return NULL;
}

static void threads_share_a_session(void **state)
{
    void *model = load_golden("sigmoid");
    pthread_t threads[4];
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, answer_often, model), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    runtime_onnx.free(model);
}

/* --- the library
 * ------------------------------------------------------------------------------------ */

static void a_place_without_the_library_says_how_to_get_it(void **state)
{
    struct buf bytes = model_bytes("sigmoid/model.onnx");
    struct runtime_host host = *onnx_test_host();
    struct runtime_file file = {
        .bytes = bytes.data, .size = bytes.len, .digest_hex = "", .host = &host};
    struct err err = {0};
    void *model = NULL;
    (void)state;
    host.onnxruntime = "tests/golden";
    assert_int_equal(runtime_onnx.load(&file, &model, &err), ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "no libonnxruntime.so in 'tests/golden'"));
    assert_non_null(strstr(err.hint, "pip install onnxruntime"));
    host.onnxruntime = "tests/golden/onnx/sigmoid/model.onnx";
    assert_int_equal(runtime_onnx.load(&file, &model, &err), ERR_UNAVAILABLE);
    buf_done(&bytes);
}

static size_t count_threads(void)
{
    glob_t threads;
    assert_int_equal(glob("/proc/self/task/*", 0, NULL, &threads), 0);
    size_t count = threads.gl_pathc;
    globfree(&threads);
    return count;
}

static void *do_nothing(void *arg)
{
    return arg;
}

static void start_a_thread(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, do_nothing, NULL), 0);
    pthread_join(thread, NULL);
}

static size_t threads_before; /* the library was opened */

/* With one thread an operator the library needs none; those that report to its maker would be more.
 */
static void the_library_starts_no_threads(void **state)
{
    (void)state;
    assert_int_equal(count_threads(), threads_before + 1); /* the watch for deadlines */
}

int main(void)
{
    const struct CMUnitTest library[] = {
        cmocka_unit_test(a_place_without_the_library_says_how_to_get_it), /* before it is open */
        cmocka_unit_test(other_files_are_not_recognised),
    };
    const struct CMUnitTest models[] = {
        cmocka_unit_test(golden_models_answer_as_their_libraries),
        cmocka_unit_test(cases_of_the_onnx_project_agree),
        cmocka_unit_test(probabilities_are_the_answer_of_a_classifier),
        cmocka_unit_test(a_regressor_gives_a_number_a_row),
        cmocka_unit_test(inputs_and_shapes_are_the_graphs_own),
        cmocka_unit_test(only_independent_rows_are_joined),
        cmocka_unit_test(what_must_not_load_says_why),
        cmocka_unit_test(a_request_with_a_small_image_ends_no_process),
        cmocka_unit_test(a_cut_file_is_an_error_at_every_length),
        cmocka_unit_test(inputs_that_do_not_fit_are_named),
        cmocka_unit_test(a_call_ends_at_its_deadline),
        cmocka_unit_test(a_call_ends_when_its_caller_left),
        cmocka_unit_test(threads_share_a_session),
        cmocka_unit_test(the_library_starts_no_threads),
    };
    start_a_thread(); /* a sanitizer has one of its own from the first on */
    threads_before = count_threads();
    int failed = cmocka_run_group_tests(library, NULL, NULL);
    if (!onnx_test_library()) {
        print_message("skipped: ONNX Runtime is not on this machine\n");
        return failed;
    }
    return failed + cmocka_run_group_tests(models, NULL, NULL);
}
