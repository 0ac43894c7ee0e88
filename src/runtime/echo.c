/* echo.c - reading the description of an echo, and answering with what came. */
#include "runtime/echo.h"

#include <stdatomic.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/yaml.h"

enum {
    ECHO_MAGIC = 0x4543484f,
    ECHO_MEMORY_BYTES_MAX = 4 * 1024 * 1024,
    ECHO_NAP_US = 1000, /* between looks at whether the caller has left */
};

struct echo {
    uint32_t magic;
    struct arena *arena;
    struct signature signature;
    int64_t delay_us;
};

/* The first line that is no comment. */
static bool recognise(const void *head, size_t size)
{
    struct str rest = {head, size}, line;
    while (rest.len && str_split(&rest, '\n', &line)) {
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        return str_starts_with(line, STR_LIT("echo:"));
    }
    return false;
}

/* ---- loading ---- */

static enum err_code read_shape(yyjson_val *shape, struct signature_tensor *tensor, struct err *err)
{
    size_t i, count;
    yyjson_val *size;
    if (!yyjson_is_arr(shape) || yyjson_arr_size(shape) > TENSOR_RANK_MAX)
        return err_set(err, ERR_INVALID, "input '%s': 'shape' must be a list of at most %d sizes",
                       tensor->name, TENSOR_RANK_MAX);
    yyjson_arr_foreach(shape, i, count, size)
    {
        int64_t number = yyjson_get_sint(size);
        if (!yyjson_is_int(size) || number < -1 || number > INT32_MAX)
            return err_set(err, ERR_INVALID, "input '%s': a size is -1 (any), or 0 to %d",
                           tensor->name, INT32_MAX);
        tensor->shape[tensor->rank++] = number;
    }
    return ERR_OK;
}

static enum err_code copy_name(struct echo *echo, struct str name, const char **copy,
                               struct err *err)
{
    if (name.len == 0 || name.len > STR_NAME_BYTES_MAX)
        return err_set(err, ERR_INVALID, "a name has 1 to %d bytes, got %zu", STR_NAME_BYTES_MAX,
                       name.len);
    *copy = arena_copy(echo->arena, name.ptr, name.len);
    return *copy ? ERR_OK : err_set(err, ERR_LIMIT, "no room for a name");
}

static enum err_code read_tensor(struct echo *echo, yyjson_val *object, struct signature_tensor *in,
                                 struct signature_tensor *out, struct err *err)
{
    static const char *const keys[] = {"name", "datatype", "shape", "output", "optional", NULL};
    struct str name = {0}, datatype = {0}, output = {0};
    enum err_code rc = json_check_keys(object, "an input", keys, err);
    if (!rc)
        rc = json_get_str(object, "an input", "name", &name, err);
    output = name;
    if (!rc)
        rc = json_get_str_opt(object, "an input", "output", &output, err);
    if (!rc)
        rc = json_get_str(object, "an input", "datatype", &datatype, err);
    if (!rc)
        rc = json_get_bool_opt(object, "an input", "optional", &in->is_optional, err);
    if (!rc)
        rc = copy_name(echo, name, &in->name, err);
    if (!rc)
        rc = copy_name(echo, output, &out->name, err);
    if (rc)
        return rc;
    in->dtype = dtype_find(datatype);
    if (in->dtype == DTYPE_COUNT)
        return err_set(err, ERR_INVALID, "input '%s': datatype '%.*s' does not exist", in->name,
                       STR_ARG(datatype));
    rc = read_shape(yyjson_obj_get(object, "shape"), in, err);
    out->dtype = in->dtype;
    out->rank = in->rank;
    memcpy(out->shape, in->shape, sizeof(out->shape));
    return rc;
}

static bool is_taken(const struct signature_tensor *tensors, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(tensors[i].name, name) == 0)
            return true;
    return false;
}

static enum err_code read_tensors(struct echo *echo, yyjson_val *list, struct err *err)
{
    size_t i, count = yyjson_arr_size(list);
    yyjson_val *object;
    if (!yyjson_is_arr(list) || count == 0 || count > RUNTIME_TENSORS_MAX)
        return err_set(err, ERR_INVALID, "'inputs' must be a list of 1 to %d tensors",
                       RUNTIME_TENSORS_MAX);
    struct signature_tensor *in = arena_calloc(echo->arena, count, sizeof(*in));
    struct signature_tensor *out = arena_calloc(echo->arena, count, sizeof(*out));
    if (!in || !out)
        return err_set(err, ERR_LIMIT, "no room for %zu inputs", count);
    yyjson_arr_foreach(list, i, count, object)
    {
        enum err_code rc = read_tensor(echo, object, &in[i], &out[i], err);
        if (rc)
            return rc;
        if (is_taken(in, i, in[i].name) || is_taken(out, i, out[i].name))
            return err_set(err, ERR_INVALID, "the name of input '%s' or of its output occurs twice",
                           in[i].name);
    }
    echo->signature.inputs = in;
    echo->signature.outputs = out;
    echo->signature.input_count = echo->signature.output_count = (int)count;
    return ERR_OK;
}

static enum err_code read_number(yyjson_val *root, const char *key, int64_t max, int64_t *number,
                                 struct err *err)
{
    enum err_code rc = json_get_i64_opt(root, "echo", key, number, err);
    if (!rc && (*number < 0 || *number > max))
        return err_set(err, ERR_INVALID, "'%s' must be 0 to %lld", key, (long long)max);
    return rc;
}

static bool all_have_rows(const struct signature *sig)
{
    for (int i = 0; i < sig->input_count; i++)
        if (sig->inputs[i].rank == 0 || sig->inputs[i].shape[0] != -1)
            return false;
    return true;
}

static enum err_code read_rows(struct echo *echo, yyjson_val *root, struct err *err)
{
    bool has_rows = all_have_rows(&echo->signature);
    int64_t rows = has_rows ? ECHO_ROWS_MAX : 0;
    enum err_code rc = read_number(root, "rows", ECHO_ROWS_MAX, &rows, err);
    if (!rc && rows && !has_rows)
        return err_set(err, ERR_INVALID, "'rows' needs shapes that all begin with -1");
    echo->signature.batch_rows_max = (int)rows;
    return rc;
}

static void describe_echo(struct echo *echo)
{
    struct signature *sig = &echo->signature;
    const struct signature_tensor *first = sig->inputs;
    bool is_tabular = sig->input_count == 1 && !first->is_optional && first->dtype == DTYPE_F32 &&
                      first->rank == 2 && first->shape[1] > 0 && sig->batch_rows_max;
    sig->platform = "echo";
    sig->feature_count = is_tabular ? (int)first->shape[1] : 0;
    sig->class_count = 1;
    sig->objective = "echo";
    sig->detail = "answers with its inputs";
    sig->place = echo->delay_us ? RUNTIME_LANE : RUNTIME_INLINE;
}

static enum err_code read_echo(struct echo *echo, yyjson_val *file, struct err *err)
{
    static const char *const top[] = {"echo", NULL};
    static const char *const keys[] = {"inputs", "rows", "delay_us", "instances", NULL};
    int64_t instances = 0;
    enum err_code rc = json_check_keys(file, "the file", top, err);
    yyjson_val *root = yyjson_obj_get(file, "echo");
    if (!rc && !yyjson_is_obj(root))
        return err_set(err, ERR_INVALID, "'echo' must be an object with 'inputs'");
    if (!rc)
        rc = json_check_keys(root, "echo", keys, err);
    if (!rc)
        rc = read_tensors(echo, yyjson_obj_get(root, "inputs"), err);
    if (!rc)
        rc = read_rows(echo, root, err);
    if (!rc)
        rc = read_number(root, "delay_us", ECHO_DELAY_US_MAX, &echo->delay_us, err);
    if (!rc)
        rc = read_number(root, "instances", INT16_MAX, &instances, err);
    echo->signature.instances_max = (int)instances;
    if (!rc)
        describe_echo(echo);
    return rc;
}

static void free_model(void *model)
{
    struct echo *echo = model;
    if (!echo)
        return;
    CHECK_MAGIC(echo, ECHO_MAGIC);
    echo->magic = 0;
    arena_free(echo->arena);
}

static enum err_code load(const struct runtime_file *file, void **model, struct err *err)
{
    yyjson_val *root = NULL;
    if (file->size > ECHO_FILE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "an echo of %zu bytes, at most %d are read", file->size,
                       ECHO_FILE_BYTES_MAX);
    struct arena *arena = arena_new(ECHO_MEMORY_BYTES_MAX), *scratch = arena_new(SIZE_MAX);
    struct echo *echo = arena_calloc(arena, 1, sizeof(*echo));
    assert(echo);
    echo->magic = ECHO_MAGIC;
    echo->arena = arena;
    enum err_code rc = yaml_read((struct str){file->bytes, file->size}, scratch, &root, err);
    if (!rc && !yyjson_is_obj(root))
        rc = err_set(err, ERR_INVALID, "the file must be an object with 'echo'");
    if (!rc)
        rc = read_echo(echo, root, err);
    arena_free(scratch);
    if (rc)
        free_model(echo);
    else
        *model = echo;
    return rc;
}

static const struct signature *describe(const void *model)
{
    const struct echo *echo = model;
    CHECK_MAGIC(echo, ECHO_MAGIC);
    return &echo->signature;
}

static size_t memory_bytes(const void *model)
{
    const struct echo *echo = model;
    CHECK_MAGIC(echo, ECHO_MAGIC);
    return arena_bytes(echo->arena);
}

/* ---- answering ---- */

static enum err_code copy_elements(struct tensor *out, const void *from, struct arena *arena,
                                   struct err *err)
{
    size_t count = (size_t)tensor_elements(out->shape, out->rank);
    out->data = arena_calloc(arena, count, dtype_memory_bytes(out->dtype));
    if (!out->data)
        return err_set(err, ERR_LIMIT, "no room for the %zu elements of output '%s'", count,
                       out->name);
    if (from && count)
        memcpy(out->data, from, count * dtype_memory_bytes(out->dtype));
    for (size_t i = 0; !from && out->dtype == DTYPE_BYTES && i < count; i++)
        ((struct str *)out->data)[i] = STR_LIT("");
    return ERR_OK;
}

/* What was not given has the rows of what was, and nothing where any size would do. */
static void shape_default(struct tensor *out, int64_t rows)
{
    for (int i = 0; i < out->rank; i++)
        if (out->shape[i] < 0)
            out->shape[i] = i == 0 ? rows : 0;
}

static int64_t rows_of(const struct echo *echo, const struct runtime_call *call)
{
    for (int i = 0; echo->signature.batch_rows_max && i < call->in_count; i++)
        if (call->in[i].data)
            return call->in[i].shape[0];
    return 0;
}

static enum err_code answer(const struct echo *echo, struct runtime_call *call, struct err *err)
{
    enum err_code rc = ERR_OK;
    call->out_count = 0;
    for (int i = 0; !rc && i < echo->signature.output_count; i++) {
        const struct tensor *in = &call->in[i];
        const struct signature_tensor *shape = &echo->signature.outputs[i];
        struct tensor *out = &call->out[call->out_count];
        if (call->wanted && !call->wanted[i])
            continue;
        *out = (struct tensor){.name = shape->name, .dtype = shape->dtype, .rank = shape->rank};
        memcpy(out->shape, in->data ? in->shape : shape->shape, sizeof(out->shape));
        if (!in->data)
            shape_default(out, rows_of(echo, call));
        rc = copy_elements(out, in->data, call->arena, err);
        call->out_count++;
    }
    return rc;
}

static void nap(int64_t us)
{
    struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep(&time, NULL);
}

static enum err_code wait(const struct echo *echo, const struct runtime_call *call, struct err *err)
{
    int64_t end_ns = clock_monotonic_ns() + echo->delay_us * 1000;
    for (int64_t left; (left = (end_ns - clock_monotonic_ns()) / 1000) > 0;) {
        if (call->deadline_ns && clock_monotonic_ns() > call->deadline_ns)
            return err_set(err, ERR_TIMEOUT, "the deadline passed while the echo waited");
        if (call->is_cancelled && atomic_load(call->is_cancelled))
            return err_set(err, ERR_CANCELLED, "the caller has left");
        nap(left < ECHO_NAP_US ? left : ECHO_NAP_US);
    }
    return ERR_OK;
}

static enum err_code predict(const void *model, struct runtime_call *call, struct err *err)
{
    const struct echo *echo = model;
    CHECK_MAGIC(echo, ECHO_MAGIC);
    assert(call->in_count == echo->signature.input_count);
    enum err_code rc = echo->delay_us ? wait(echo, call, err) : ERR_OK;
    return rc ? rc : answer(echo, call, err);
}

const struct runtime_ops runtime_echo = {
    .name = "echo",
    .recognise = recognise,
    .load = load,
    .describe = describe,
    .memory_bytes = memory_bytes,
    .predict = predict,
    .free = free_model,
};
