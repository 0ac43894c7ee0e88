/* python_settings.c - slipway.yaml -> signature, limits, and the JSON that the worker is told. */
#include "runtime/python_settings.h"

#include "base/check.h"
#include "base/yaml.h"

enum { BATCH_ROWS_MAX = 1 << 20, CLASSES_MAX = 16384, THREADS_MAX = 256, JSON_BYTES_MAX = 1 << 24 };

#define FILE_NAME PYTHON_SETTINGS_FILE

struct reader {
    yyjson_val *root;
    struct arena *arena;
    struct python_settings *settings;
    struct err *err;
};

static const char *const forms[] = {"matrix", "dicts", "dataframe", "tensors"};

enum form { FORM_MATRIX, FORM_DICTS, FORM_DATAFRAME, FORM_TENSORS, FORM_COUNT };

/* ---- single values ---- */

static enum err_code refuse(struct reader *r, const char *key, const char *expected)
{
    return err_set(r->err, ERR_INVALID, FILE_NAME ": '%s' must be %s", key, expected);
}

static enum err_code read_int(struct reader *r, const char *key, int64_t min, int64_t max, int *out)
{
    yyjson_val *value = yyjson_obj_get(r->root, key);
    if (!value)
        return ERR_OK;
    if (!yyjson_is_int(value) || yyjson_get_sint(value) < min || yyjson_get_sint(value) > max)
        return err_set(r->err, ERR_INVALID,
                       FILE_NAME ": '%s' must be a whole number from %lld to "
                                 "%lld",
                       key, (long long)min, (long long)max);
    *out = (int)yyjson_get_sint(value);
    return ERR_OK;
}

static enum err_code read_size(struct reader *r, const char *key, uint64_t min, uint64_t max,
                               size_t *out)
{
    yyjson_val *value = yyjson_obj_get(r->root, key);
    uint64_t bytes = 0;
    if (!value)
        return ERR_OK;
    bool is_size =
        yyjson_is_str(value) ? str_to_size(json_str(value), &bytes) : yyjson_is_uint(value);
    if (yyjson_is_uint(value))
        bytes = yyjson_get_uint(value);
    if (!is_size || bytes < min || bytes > max)
        return err_set(r->err, ERR_INVALID,
                       FILE_NAME ": '%s' must be a size such as 512M, from %lluM to %lluM", key,
                       (unsigned long long)min >> 20, (unsigned long long)max >> 20);
    *out = (size_t)bytes;
    return ERR_OK;
}

static enum err_code read_time(struct reader *r, const char *key, int64_t max_ms, int64_t *out)
{
    yyjson_val *value = yyjson_obj_get(r->root, key);
    int64_t us = 0;
    if (!value)
        return ERR_OK;
    if (!yyjson_is_str(value) || !str_to_span_us(json_str(value), &us) || us < 1000 ||
        us / 1000 > max_ms)
        return err_set(r->err, ERR_INVALID,
                       FILE_NAME ": '%s' must be a time such as 10s, at most %llds", key,
                       (long long)max_ms / 1000);
    *out = us / 1000;
    return ERR_OK;
}

static enum err_code read_limits(struct reader *r)
{
    struct python_settings *s = r->settings;
    s->memory_bytes = (size_t)1 << 30;
    s->reply_bytes_max = (size_t)256 << 20;
    s->tmp_bytes = (size_t)64 << 20;
    s->threads = 1;
    s->load_timeout_ms = 60 * 1000;
    s->hang_after_ms = 10 * 1000;
    enum err_code rc = read_size(r, "memory", 64 << 20, (uint64_t)1 << 44, &s->memory_bytes);
    if (!rc)
        rc = read_size(r, "reply_max", 1 << 20, (uint64_t)4 << 30, &s->reply_bytes_max);
    if (!rc)
        rc = read_size(r, "tmp", 1 << 20, (uint64_t)1 << 40, &s->tmp_bytes);
    if (!rc)
        rc = read_int(r, "threads", 1, THREADS_MAX, &s->threads);
    if (!rc)
        rc = read_time(r, "load_timeout", 3600 * 1000, &s->load_timeout_ms);
    if (!rc)
        rc = read_time(r, "hang_after", 3600 * 1000, &s->hang_after_ms);
    return rc;
}

static enum err_code read_deterministic(struct reader *r)
{
    bool is_deterministic = true;
    enum err_code rc =
        json_get_bool_opt(r->root, FILE_NAME, "deterministic", &is_deterministic, r->err);
    r->settings->signature.varies = !is_deterministic;
    return rc;
}

/* module, or module:name; both as Python names them. */
static bool is_entry(struct str entry)
{
    bool is_first = true;
    int colons = 0;
    for (size_t i = 0; i < entry.len; i++) {
        char c = entry.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool is_digit = c >= '0' && c <= '9';
        bool is_separator = (c == '.' || c == ':') && colons == 0;
        colons += c == ':';
        if (!(is_letter || (!is_first && (is_digit || is_separator))))
            return false;
        is_first = is_separator;
    }
    return !is_first;
}

static enum err_code read_texts(struct reader *r, struct str *entry)
{
    struct str environment = {0};
    *entry = STR_LIT("model");
    enum err_code rc = json_get_str_opt(r->root, FILE_NAME, "entry", entry, r->err);
    if (!rc)
        rc = json_get_str_opt(r->root, FILE_NAME, "environment", &environment, r->err);
    if (rc)
        return rc;
    if (!is_entry(*entry))
        return refuse(r, "entry", "a module, or module:name of a class or function in it");
    if (environment.ptr && !str_is_name(environment))
        return refuse(r, "environment", "the name of one of --python-environments");
    r->settings->environment =
        environment.ptr ? arena_copy(r->arena, environment.ptr, environment.len) : NULL;
    return ERR_OK;
}

/* ---- names, tensors ---- */

static bool is_name(yyjson_val *value)
{
    struct str name = json_str(value);
    if (!yyjson_is_str(value) || name.len == 0 || name.len > PYTHON_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < 0x20)
            return false;
    return true;
}

static enum err_code read_features(struct reader *r, yyjson_val *list)
{
    struct signature *sig = &r->settings->signature;
    size_t count = yyjson_arr_size(list), i, max;
    yyjson_val *name;
    if (!yyjson_is_arr(list) || count == 0 || count > PYTHON_FEATURES_MAX)
        return refuse(r, "features", "a list of 1 to 65535 names");
    const char **names = arena_calloc(r->arena, count, sizeof(*names));
    struct signature_tensor *input = arena_calloc(r->arena, 1, sizeof(*input));
    if (!names || !input)
        return err_set(r->err, ERR_LIMIT, FILE_NAME " has too many features");
    yyjson_arr_foreach(list, i, max, name)
    {
        if (!is_name(name))
            return err_set(r->err, ERR_INVALID, FILE_NAME ": feature %zu is no name", i + 1);
        names[i] = yyjson_get_str(name);
    }
    *input = (struct signature_tensor){
        .name = "input", .dtype = DTYPE_F32, .rank = 2, .shape = {-1, (int64_t)count}};
    sig->inputs = input;
    sig->input_count = 1;
    sig->feature_count = (int)count;
    sig->feature_names = names;
    return ERR_OK;
}

static enum err_code read_shape(struct reader *r, yyjson_val *shape, const char *what,
                                struct signature_tensor *tensor)
{
    size_t i, max;
    yyjson_val *size;
    if (!yyjson_is_arr(shape) || yyjson_arr_size(shape) > TENSOR_RANK_MAX)
        return err_set(r->err, ERR_INVALID, FILE_NAME ": %s needs a shape such as [-1, 3]", what);
    yyjson_arr_foreach(shape, i, max, size)
    {
        int64_t value = yyjson_is_int(size) ? yyjson_get_sint(size) : -2;
        if (value < -1 || value > INT32_MAX)
            return err_set(r->err, ERR_INVALID,
                           FILE_NAME ": %s has no size at place %zu of its shape; -1 is any", what,
                           i + 1);
        tensor->shape[i] = value;
    }
    tensor->rank = (int)yyjson_arr_size(shape);
    return ERR_OK;
}

static enum err_code read_tensor(struct reader *r, yyjson_val *item, const char *list,
                                 struct signature_tensor *tensor)
{
    static const char *const keys[] = {"name", "dtype", "shape", "optional", NULL};
    char what[80];
    yyjson_val *name = yyjson_obj_get(item, "name");
    snprintf(what, sizeof(what), "%.16s '%.48s'", list, is_name(name) ? yyjson_get_str(name) : "?");
    if (!is_name(name))
        return err_set(r->err, ERR_INVALID, FILE_NAME ": each of %s needs a name", list);
    enum err_code rc = json_check_keys(item, FILE_NAME, keys, r->err);
    if (rc)
        return rc;
    tensor->name = yyjson_get_str(name);
    tensor->dtype = dtype_find(json_str(yyjson_obj_get(item, "dtype")));
    if (tensor->dtype == DTYPE_COUNT)
        return err_set(r->err, ERR_INVALID,
                       FILE_NAME ": %s needs a dtype: BOOL, INT64, FP32, BYTES, ...", what);
    rc = json_get_bool_opt(item, FILE_NAME, "optional", &tensor->is_optional, r->err);
    return rc ? rc : read_shape(r, yyjson_obj_get(item, "shape"), what, tensor);
}

static enum err_code read_tensors(struct reader *r, yyjson_val *list, const char *key,
                                  const struct signature_tensor **out, int *out_count)
{
    size_t count = yyjson_arr_size(list), i, max;
    yyjson_val *item;
    if (!yyjson_is_arr(list) || count == 0 || count > RUNTIME_TENSORS_MAX)
        return refuse(r, key, "a list of 1 to 64 tensors: {name: x, dtype: FP32, shape: [-1, 3]}");
    struct signature_tensor *tensors = arena_calloc(r->arena, count, sizeof(*tensors));
    if (!tensors)
        return err_set(r->err, ERR_LIMIT, FILE_NAME " has too many tensors");
    yyjson_arr_foreach(list, i, max, item)
    {
        enum err_code rc = read_tensor(r, item, key, &tensors[i]);
        if (rc)
            return rc;
        for (size_t k = 0; k < i; k++)
            if (strcmp(tensors[k].name, tensors[i].name) == 0)
                return err_set(r->err, ERR_INVALID, FILE_NAME ": two of %s are named '%s'", key,
                               tensors[i].name);
    }
    *out = tensors;
    *out_count = (int)count;
    return ERR_OK;
}

static enum err_code read_inputs(struct reader *r)
{
    struct signature *sig = &r->settings->signature;
    yyjson_val *features = yyjson_obj_get(r->root, "features");
    yyjson_val *inputs = yyjson_obj_get(r->root, "inputs");
    if (!features == !inputs) {
        err_set(r->err, ERR_INVALID, FILE_NAME " needs either features or inputs");
        return err_hint(r->err, "features: [age, income] for a table of numbers, or inputs: "
                                "[{name: x, dtype: FP32, shape: [-1, 3]}]");
    }
    return features ? read_features(r, features)
                    : read_tensors(r, inputs, "inputs", &sig->inputs, &sig->input_count);
}

static enum err_code preset_output(struct reader *r)
{
    struct signature *sig = &r->settings->signature;
    struct signature_tensor *output = arena_calloc(r->arena, 1, sizeof(*output));
    if (!output)
        return err_set(r->err, ERR_LIMIT, FILE_NAME " is too large");
    *output =
        (struct signature_tensor){.name = "predict", .dtype = DTYPE_F32, .rank = 1, .shape = {-1}};
    if (sig->class_count > 2) {
        output->rank = 2;
        output->shape[1] = sig->class_count;
    }
    sig->outputs = output;
    sig->output_count = 1;
    return ERR_OK;
}

/* What answers are read from must be numbers, one per row or one per class. */
static enum err_code check_classes(struct reader *r)
{
    const struct signature *sig = &r->settings->signature;
    const struct signature_tensor *first = &sig->outputs[0];
    bool has_classes = sig->class_count > 1;
    bool is_ok = first->dtype == DTYPE_F32 && first->rank >= 1 && first->shape[0] == -1;
    if (has_classes && sig->class_count == 2)
        is_ok = is_ok && first->rank == 1;
    else if (has_classes)
        is_ok = is_ok && first->rank == 2 && first->shape[1] == sig->class_count;
    if (has_classes && !is_ok)
        return refuse(r, "outputs",
                      "first the probabilities: FP32 [-1] of the second class, or "
                      "[-1, classes] of more than two");
    return ERR_OK;
}

static enum err_code read_outputs(struct reader *r)
{
    struct signature *sig = &r->settings->signature;
    yyjson_val *outputs = yyjson_obj_get(r->root, "outputs");
    sig->class_count = 1;
    enum err_code rc = read_int(r, "classes", 2, CLASSES_MAX, &sig->class_count);
    if (!rc)
        rc = outputs ? read_tensors(r, outputs, "outputs", &sig->outputs, &sig->output_count)
                     : preset_output(r);
    if (!rc)
        rc = check_classes(r);
    sig->is_probability = sig->class_count > 1;
    return rc;
}

static enum err_code read_form(struct reader *r, enum form *form)
{
    bool has_features = r->settings->signature.feature_count > 0;
    struct str text = {0};
    *form = has_features ? FORM_MATRIX : FORM_TENSORS;
    enum err_code rc = json_get_str_opt(r->root, FILE_NAME, "form", &text, r->err);
    if (rc || !text.ptr)
        return rc;
    for (*form = 0; *form < FORM_COUNT && !str_equal_c(text, forms[*form]);)
        ++*form;
    if (*form == FORM_COUNT || (*form == FORM_MATRIX && !has_features))
        return refuse(r, "form",
                      has_features ? "matrix, dicts, dataframe or tensors"
                                   : "dicts, dataframe or tensors");
    return ERR_OK;
}

static enum err_code read_batch(struct reader *r)
{
    struct signature *sig = &r->settings->signature;
    sig->batch_rows_max = 0; /* a call that hangs would take others along */
    enum err_code rc = read_int(r, "batch_rows_max", 0, BATCH_ROWS_MAX, &sig->batch_rows_max);
    if (rc || sig->batch_rows_max == 0)
        return rc;
    for (int i = 0; i < sig->input_count + sig->output_count; i++) {
        const struct signature_tensor *tensor =
            i < sig->input_count ? &sig->inputs[i] : &sig->outputs[i - sig->input_count];
        if (tensor->rank == 0 || tensor->shape[0] != -1)
            return err_set(r->err, ERR_INVALID,
                           FILE_NAME ": batch_rows_max needs -1 first in each shape; '%s' has not",
                           tensor->name);
    }
    return ERR_OK;
}

/* ---- for the worker ---- */

static void put_tensors(struct json_writer *w, const char *key,
                        const struct signature_tensor *tensors, int count)
{
    json_key(w, key);
    json_begin_array(w);
    for (int i = 0; i < count; i++) {
        json_begin_object(w);
        json_member_text(w, "name", tensors[i].name);
        json_member_text(w, "dtype", dtype_name(tensors[i].dtype));
        json_key(w, "shape");
        json_begin_array(w);
        for (int k = 0; k < tensors[i].rank; k++)
            json_put_i64(w, tensors[i].shape[k]);
        json_end_array(w);
        json_end_object(w);
    }
    json_end_array(w);
}

static enum err_code write_json(struct reader *r, struct str entry, enum form form)
{
    const struct signature *sig = &r->settings->signature;
    struct buf text;
    struct json_writer w = {.out = &text};
    buf_init(&text, JSON_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "entry");
    json_put_str(&w, entry);
    json_member_text(&w, "form", forms[form]);
    json_member_i64(&w, "classes", sig->class_count);
    json_key(&w, "features");
    json_begin_array(&w);
    for (int i = 0; i < sig->feature_count; i++)
        json_put_text(&w, sig->feature_names[i]);
    json_end_array(&w);
    put_tensors(&w, "inputs", sig->inputs, sig->input_count);
    put_tensors(&w, "outputs", sig->outputs, sig->output_count);
    json_end_object(&w);
    char *copy = text.is_full ? NULL : arena_copy(r->arena, text.data, text.len);
    r->settings->json = (struct str){copy, text.len};
    buf_done(&text);
    return copy ? ERR_OK : err_set(r->err, ERR_LIMIT, FILE_NAME " is too large");
}

enum err_code python_settings_read(struct str yaml, struct arena *arena,
                                   struct python_settings **settings, struct err *err)
{
    static const char *const keys[] = {
        "entry",          "features",   "inputs",        "outputs", "classes", "form",
        "environment",    "memory",     "reply_max",     "tmp",     "threads", "load_timeout",
        "batch_rows_max", "hang_after", "deterministic", NULL};
    struct reader r = {.arena = arena, .err = err};
    struct str entry;
    enum form form;
    if (yaml.len > PYTHON_SETTINGS_BYTES_MAX)
        return err_set(err, ERR_LIMIT, FILE_NAME " is larger than %d bytes",
                       PYTHON_SETTINGS_BYTES_MAX);
    enum err_code rc = yaml_read(yaml, arena, &r.root, err);
    if (rc)
        return err_wrap(err, FILE_NAME);
    r.settings = arena_calloc(arena, 1, sizeof(*r.settings));
    if (!r.settings)
        return err_set(err, ERR_LIMIT, "no room for " FILE_NAME);
    if (!yyjson_is_obj(r.root))
        return err_set(err, ERR_INVALID, FILE_NAME " is no mapping of keys");
    rc = json_check_keys(r.root, FILE_NAME, keys, err);
    if (!rc)
        rc = read_texts(&r, &entry);
    if (!rc)
        rc = read_limits(&r);
    if (!rc)
        rc = read_deterministic(&r);
    if (!rc)
        rc = read_inputs(&r);
    if (!rc)
        rc = read_outputs(&r);
    if (!rc)
        rc = read_form(&r, &form);
    if (!rc)
        rc = read_batch(&r);
    if (!rc)
        rc = write_json(&r, entry, form);
    if (!rc)
        *settings = r.settings;
    return rc;
}
