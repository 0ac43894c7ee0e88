/* python_settings.c - slipway.yaml -> signature, limits, and the JSON that the worker is told. */
#include "runtime/python_settings.h"

#include "base/check.h"
#include "base/yaml.h"
#include "runtime/settings.h"

enum { BATCH_ROWS_MAX = 1 << 20, CLASSES_MAX = 16384, THREADS_MAX = 256, JSON_BYTES_MAX = 1 << 24 };

#define FILE_NAME PYTHON_SETTINGS_FILE

struct reader {
    struct settings_file file;
    struct python_settings *settings;
};

static const char *const forms[] = {"matrix", "dicts", "dataframe", "tensors"};

enum form { FORM_MATRIX, FORM_DICTS, FORM_DATAFRAME, FORM_TENSORS, FORM_COUNT };

/* ---- single values ---- */

static enum err_code read_limits(struct reader *r)
{
    struct python_settings *s = r->settings;
    s->memory_bytes = (size_t)1 << 30;
    s->reply_bytes_max = (size_t)256 << 20;
    s->tmp_bytes = (size_t)64 << 20;
    s->threads = 1;
    s->load_timeout_ms = 60 * 1000;
    s->hang_after_ms = 10 * 1000;
    enum err_code rc =
        settings_size(&r->file, "memory", 64 << 20, (uint64_t)1 << 44, &s->memory_bytes);
    if (!rc)
        rc = settings_size(&r->file, "reply_max", 1 << 20, (uint64_t)4 << 30, &s->reply_bytes_max);
    if (!rc)
        rc = settings_size(&r->file, "tmp", 1 << 20, (uint64_t)1 << 40, &s->tmp_bytes);
    if (!rc)
        rc = settings_int(&r->file, "threads", 1, THREADS_MAX, &s->threads);
    if (!rc)
        rc = settings_time(&r->file, "load_timeout", 3600 * 1000, &s->load_timeout_ms);
    if (!rc)
        rc = settings_time(&r->file, "hang_after", 3600 * 1000, &s->hang_after_ms);
    return rc;
}

static enum err_code read_deterministic(struct reader *r)
{
    bool is_deterministic = true;
    enum err_code rc =
        json_get_bool_opt(r->file.root, FILE_NAME, "deterministic", &is_deterministic, r->file.err);
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
    enum err_code rc = json_get_str_opt(r->file.root, FILE_NAME, "entry", entry, r->file.err);
    if (!rc)
        rc = json_get_str_opt(r->file.root, FILE_NAME, "environment", &environment, r->file.err);
    if (rc)
        return rc;
    if (!is_entry(*entry))
        return settings_refuse(&r->file, "entry",
                               "a module, or module:name of a class or function in it");
    if (environment.ptr && !str_is_name(environment))
        return settings_refuse(&r->file, "environment", "the name of one of --python-environments");
    r->settings->environment =
        environment.ptr ? arena_copy(r->file.arena, environment.ptr, environment.len) : NULL;
    return ERR_OK;
}

/* ---- names, tensors ---- */

static enum err_code read_features(struct reader *r, yyjson_val *list)
{
    struct signature *sig = &r->settings->signature;
    size_t count = yyjson_arr_size(list), i, max;
    yyjson_val *name;
    if (!yyjson_is_arr(list) || count == 0 || count > PYTHON_FEATURES_MAX)
        return settings_refuse(&r->file, "features", "a list of 1 to 65535 names");
    const char **names = arena_calloc(r->file.arena, count, sizeof(*names));
    struct signature_tensor *input = arena_calloc(r->file.arena, 1, sizeof(*input));
    if (!names || !input)
        return err_set(r->file.err, ERR_LIMIT, FILE_NAME " has too many features");
    yyjson_arr_foreach(list, i, max, name)
    {
        if (!settings_is_name(name))
            return err_set(r->file.err, ERR_INVALID, FILE_NAME ": feature %zu is no name", i + 1);
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

static enum err_code read_inputs(struct reader *r)
{
    struct signature *sig = &r->settings->signature;
    yyjson_val *features = yyjson_obj_get(r->file.root, "features");
    yyjson_val *inputs = yyjson_obj_get(r->file.root, "inputs");
    if (!features == !inputs) {
        err_set(r->file.err, ERR_INVALID, FILE_NAME " needs either features or inputs");
        return err_hint(r->file.err, "features: [age, income] for a table of numbers, or inputs: "
                                     "[{name: x, dtype: FP32, shape: [-1, 3]}]");
    }
    return features ? read_features(r, features)
                    : settings_tensors(&r->file, inputs, "inputs", RUNTIME_TENSORS_MAX,
                                       &sig->inputs, &sig->input_count);
}

static enum err_code preset_output(struct reader *r)
{
    struct signature *sig = &r->settings->signature;
    struct signature_tensor *output = arena_calloc(r->file.arena, 1, sizeof(*output));
    if (!output)
        return err_set(r->file.err, ERR_LIMIT, FILE_NAME " is too large");
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
        return settings_refuse(&r->file, "outputs",
                               "first the probabilities: FP32 [-1] of the second class, or "
                               "[-1, classes] of more than two");
    return ERR_OK;
}

static enum err_code read_outputs(struct reader *r)
{
    struct signature *sig = &r->settings->signature;
    yyjson_val *outputs = yyjson_obj_get(r->file.root, "outputs");
    sig->class_count = 1;
    enum err_code rc = settings_int(&r->file, "classes", 2, CLASSES_MAX, &sig->class_count);
    if (!rc)
        rc = outputs ? settings_tensors(&r->file, outputs, "outputs", RUNTIME_TENSORS_MAX,
                                        &sig->outputs, &sig->output_count)
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
    enum err_code rc = json_get_str_opt(r->file.root, FILE_NAME, "form", &text, r->file.err);
    if (rc || !text.ptr)
        return rc;
    for (*form = 0; *form < FORM_COUNT && !str_equal_c(text, forms[*form]);)
        ++*form;
    if (*form == FORM_COUNT || (*form == FORM_MATRIX && !has_features))
        return settings_refuse(&r->file, "form",
                               has_features ? "matrix, dicts, dataframe or tensors"
                                            : "dicts, dataframe or tensors");
    return ERR_OK;
}

static enum err_code read_batch(struct reader *r)
{
    struct signature *sig = &r->settings->signature;
    sig->batch_rows_max = 0; /* a call that hangs would take others along */
    enum err_code rc =
        settings_int(&r->file, "batch_rows_max", 0, BATCH_ROWS_MAX, &sig->batch_rows_max);
    if (rc || sig->batch_rows_max == 0)
        return rc;
    const struct signature_tensor *other = NULL;
    if (settings_can_batch(sig, &other))
        return ERR_OK;
    return err_set(r->file.err, ERR_INVALID,
                   FILE_NAME ": batch_rows_max needs -1 first in each shape; '%s' has not",
                   other->name);
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
    char *copy = text.is_full ? NULL : arena_copy(r->file.arena, text.data, text.len);
    r->settings->json = (struct str){copy, text.len};
    buf_done(&text);
    return copy ? ERR_OK : err_set(r->file.err, ERR_LIMIT, FILE_NAME " is too large");
}

enum err_code python_settings_read(struct str yaml, struct arena *arena,
                                   struct python_settings **settings, struct err *err)
{
    static const char *const keys[] = {
        "entry",          "features",   "inputs",        "outputs", "classes", "form",
        "environment",    "memory",     "reply_max",     "tmp",     "threads", "load_timeout",
        "batch_rows_max", "hang_after", "deterministic", NULL};
    struct reader r = {.file = {.name = FILE_NAME, .arena = arena, .err = err}};
    struct str entry;
    enum form form;
    if (yaml.len > PYTHON_SETTINGS_BYTES_MAX)
        return err_set(err, ERR_LIMIT, FILE_NAME " is larger than %d bytes",
                       PYTHON_SETTINGS_BYTES_MAX);
    enum err_code rc = yaml_read(yaml, arena, &r.file.root, err);
    if (rc)
        return err_wrap(err, FILE_NAME);
    r.settings = arena_calloc(arena, 1, sizeof(*r.settings));
    if (!r.settings)
        return err_set(err, ERR_LIMIT, "no room for " FILE_NAME);
    if (!yyjson_is_obj(r.file.root))
        return err_set(err, ERR_INVALID, FILE_NAME " is no mapping of keys");
    rc = json_check_keys(r.file.root, FILE_NAME, keys, err);
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
