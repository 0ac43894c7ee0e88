/* remote_settings.c - YAML <-> settings, and the signature they come to. */
#include "runtime/remote_settings.h"

#include "base/check.h"
#include "base/yaml.h"
#include "runtime/settings.h"

enum { CLASSES_MAX = 16384, FEATURES_MAX = 65535, MEGABYTE = 1 << 20 };

#define FILE_NAME "the remote model's file"

static const char *const protocols[] = {"http", "http-binary"};

bool remote_settings_recognise(const void *head, size_t size)
{
    struct str rest = {head, size}, line;
    while (rest.len && str_split(&rest, '\n', &line)) {
        line = str_trim(line);
        if (line.len == 0 || line.ptr[0] == '#' || str_equal(line, STR_LIT("---")))
            continue;
        return str_starts_with(line, STR_LIT("remote:"));
    }
    return false;
}

/* ---- reading ---- */

static enum err_code read_name(struct settings_file *file, const char *key, const char **out)
{
    yyjson_val *value = yyjson_obj_get(file->root, key);
    if (!value)
        return ERR_OK;
    if (!settings_is_name(value))
        return settings_refuse(file, key, "a text of at most 255 bytes");
    *out = yyjson_get_str(value);
    return ERR_OK;
}

static enum err_code read_names(struct settings_file *file, struct remote_settings *s)
{
    enum err_code rc = read_name(file, "endpoint", &s->endpoint);
    if (!rc)
        rc = read_name(file, "model", &s->model);
    if (!rc)
        rc = read_name(file, "version", &s->version);
    if (!rc)
        rc = read_name(file, "answer", &s->answer);
    if (rc)
        return rc;
    if (!s->endpoint || !str_is_name(str_of(s->endpoint))) {
        settings_refuse(file, "endpoint", "the name of one of --remote-endpoints");
        return err_hint(file->err, "the operator gives names to addresses: "
                                   "--remote-endpoints triton-a=https://10.0.0.5:8000");
    }
    return s->model ? ERR_OK
                    : settings_refuse(file, "model", "what the model is called at the endpoint");
}

static enum err_code read_protocol(struct settings_file *file, struct remote_settings *s)
{
    yyjson_val *value = yyjson_obj_get(file->root, "protocol");
    s->protocol = REMOTE_PROTOCOL_COUNT;
    if (!value)
        return ERR_OK;
    for (s->protocol = 0; s->protocol < REMOTE_PROTOCOL_COUNT; s->protocol++)
        if (yyjson_equals_str(value, protocols[s->protocol]))
            return ERR_OK;
    return settings_refuse(file, "protocol", "http or http-binary");
}

static enum err_code read_limits(struct settings_file *file, struct remote_settings *s)
{
    int form = 0;
    s->connections = 8;
    s->batch_rows_max = -1;
    s->reply_bytes_max = (size_t)64 * MEGABYTE;
    s->signature.class_count = 1;
    enum err_code rc = settings_int(file, "remote", 1, 1, &form);
    if (!rc)
        rc = settings_int(file, "connections", 1, REMOTE_CONNECTIONS_MAX, &s->connections);
    if (!rc)
        rc = settings_int(file, "batch_rows_max", 0, REMOTE_BATCH_ROWS_MAX, &s->batch_rows_max);
    if (!rc)
        rc = settings_int(file, "classes", 2, CLASSES_MAX, &s->signature.class_count);
    if (!rc)
        rc = settings_size(file, "reply_max", MEGABYTE, (uint64_t)1024 * MEGABYTE,
                           &s->reply_bytes_max);
    if (!rc && form != 1)
        rc = settings_refuse(file, "remote", "1, the form of this file");
    return rc;
}

static enum err_code read_tensors(struct settings_file *file, struct remote_settings *s)
{
    struct signature *sig = &s->signature;
    yyjson_val *inputs = yyjson_obj_get(file->root, "inputs");
    yyjson_val *outputs = yyjson_obj_get(file->root, "outputs");
    enum err_code rc = ERR_OK;
    if (inputs)
        rc = settings_tensors(file, inputs, "inputs", RUNTIME_INPUTS_MAX, &sig->inputs,
                              &sig->input_count);
    if (!rc && outputs)
        rc = settings_tensors(file, outputs, "outputs", RUNTIME_TENSORS_MAX, &sig->outputs,
                              &sig->output_count);
    return rc;
}

enum err_code remote_settings_read(struct str yaml, struct arena *arena,
                                   struct remote_settings **settings, struct err *err)
{
    static const char *const keys[] = {
        "remote",    "endpoint", "model",  "version", "protocol", "connections", "batch_rows_max",
        "reply_max", "classes",  "answer", "inputs",  "outputs",  NULL};
    struct settings_file file = {.name = FILE_NAME, .arena = arena, .err = err};
    struct remote_settings *s = arena_calloc(arena, 1, sizeof(*s));
    if (!s || yaml.len > REMOTE_SETTINGS_BYTES_MAX)
        return err_set(err, ERR_LIMIT, FILE_NAME " is larger than %d bytes",
                       REMOTE_SETTINGS_BYTES_MAX);
    enum err_code rc = yaml_read(yaml, arena, &file.root, err);
    if (rc)
        return err_wrap(err, FILE_NAME);
    if (!yyjson_is_obj(file.root))
        return err_set(err, ERR_INVALID, FILE_NAME " is no mapping of keys");
    rc = json_check_keys(file.root, FILE_NAME, keys, err);
    if (!rc)
        rc = read_names(&file, s);
    if (!rc)
        rc = read_protocol(&file, s);
    if (!rc)
        rc = read_limits(&file, s);
    if (!rc)
        rc = read_tensors(&file, s);
    if (!rc)
        *settings = s;
    return rc;
}

bool remote_settings_are_whole(const struct remote_settings *s)
{
    return s->protocol < REMOTE_PROTOCOL_COUNT && s->batch_rows_max >= 0 &&
           s->signature.input_count && s->signature.output_count;
}

/* ---- finishing ---- */

/* One number a row, or one a class. */
static bool can_answer(const struct signature *sig, const struct signature_tensor *output)
{
    if (output->dtype == DTYPE_BYTES || output->rank < 1 || output->rank > 2)
        return false;
    int64_t columns = output->rank == 2 ? output->shape[1] : 1;
    return columns == 1 || columns == -1 || sig->class_count < 2 || columns == sig->class_count;
}

static enum err_code choose_answer(struct remote_settings *s, struct err *err)
{
    struct signature *sig = &s->signature;
    for (int i = 0; i < sig->output_count; i++) {
        bool is_named = s->answer && strcmp(sig->outputs[i].name, s->answer) == 0;
        if (is_named || (!s->answer && can_answer(sig, &sig->outputs[i]))) {
            sig->answer = i;
            break;
        }
        if (i + 1 == sig->output_count && s->answer)
            return err_set(err, ERR_INVALID, FILE_NAME ": there is no output '%s' to be the answer",
                           s->answer);
    }
    if (sig->class_count < 2 || can_answer(sig, &sig->outputs[sig->answer]))
        return ERR_OK;
    err_set(err, ERR_INVALID,
            FILE_NAME ": output '%s' has no probabilities of %d classes: [-1, %d] of numbers, or "
                      "[-1] of the second of two",
            sig->outputs[sig->answer].name, sig->class_count, sig->class_count);
    return err_hint(err, "name another output as the answer, or leave out classes");
}

static enum err_code check_binary(const struct remote_settings *s, struct err *err)
{
    const struct signature *sig = &s->signature;
    for (int i = 0; s->protocol == REMOTE_HTTP && i < sig->input_count + sig->output_count; i++) {
        const struct signature_tensor *tensor =
            i < sig->input_count ? &sig->inputs[i] : &sig->outputs[i - sig->input_count];
        if (tensor->dtype != DTYPE_F16 && tensor->dtype != DTYPE_BF16)
            continue;
        err_set(err, ERR_UNSUPPORTED, FILE_NAME ": '%s' is %s, which JSON has no form for",
                tensor->name, dtype_name(tensor->dtype));
        return err_hint(err, "protocol: http-binary, where the endpoint has the binary tensor "
                             "extension");
    }
    return ERR_OK;
}

static bool is_table(const struct signature *sig)
{
    const struct signature_tensor *input = &sig->inputs[0];
    return sig->input_count == 1 && input->dtype == DTYPE_F32 && input->rank == 2 &&
           input->shape[0] == -1 && input->shape[1] > 0 && input->shape[1] <= FEATURES_MAX &&
           !input->is_optional;
}

enum err_code remote_settings_finish(struct remote_settings *s, struct err *err)
{
    struct signature *sig = &s->signature;
    const struct signature_tensor *other = NULL;
    assert(remote_settings_are_whole(s));
    enum err_code rc = choose_answer(s, err);
    if (!rc)
        rc = check_binary(s, err);
    if (rc)
        return rc;
    if (s->batch_rows_max > 0 && !settings_can_batch(sig, &other))
        return err_set(err, ERR_INVALID,
                       FILE_NAME ": batch_rows_max needs -1 first in each shape; '%s' has not",
                       other->name);
    sig->batch_rows_max = s->batch_rows_max;
    sig->feature_count = is_table(sig) ? (int)sig->inputs[0].shape[1] : 0;
    sig->is_probability = sig->class_count > 1;
    sig->varies = !s->version; /* another model may answer there tomorrow */
    sig->place = RUNTIME_LANE;
    sig->instances_max = s->connections;
    sig->platform = "remote";
    sig->objective = "";
    return ERR_OK;
}

/* ---- writing ---- */

static void put_text(struct buf *out, const char *key, const char *value)
{
    if (!value)
        return;
    buf_printf(out, "%s: ", key);
    buf_json_str(out, str_of(value));
    buf_char(out, '\n');
}

/* JSON is YAML. */
static void put_tensors(struct buf *out, const char *key, const struct signature_tensor *tensors,
                        int count)
{
    struct json_writer w = {.out = out};
    if (count)
        buf_printf(out, "%s:\n", key);
    for (int i = 0; i < count; i++) {
        w.needs_comma = false;
        buf_lit(out, "  - ");
        json_begin_object(&w);
        json_member_text(&w, "name", tensors[i].name);
        json_member_text(&w, "dtype", dtype_name(tensors[i].dtype));
        json_key(&w, "shape");
        json_begin_array(&w);
        for (int k = 0; k < tensors[i].rank; k++)
            json_put_i64(&w, tensors[i].shape[k]);
        json_end_array(&w);
        if (tensors[i].is_optional)
            json_member_bool(&w, "optional", true);
        json_end_object(&w);
        buf_char(out, '\n');
    }
}

void remote_settings_write(const struct remote_settings *s, struct buf *out)
{
    const struct signature *sig = &s->signature;
    buf_lit(out, "remote: 1\n");
    put_text(out, "endpoint", s->endpoint);
    put_text(out, "model", s->model);
    put_text(out, "version", s->version);
    if (s->protocol < REMOTE_PROTOCOL_COUNT)
        buf_printf(out, "protocol: %s\n", protocols[s->protocol]);
    buf_printf(out, "connections: %d\n", s->connections);
    if (s->batch_rows_max >= 0)
        buf_printf(out, "batch_rows_max: %d\n", s->batch_rows_max);
    buf_printf(out, "reply_max: %zu\n", s->reply_bytes_max);
    if (sig->class_count > 1)
        buf_printf(out, "classes: %d\n", sig->class_count);
    put_text(out, "answer", s->answer);
    put_tensors(out, "inputs", sig->inputs, sig->input_count);
    put_tensors(out, "outputs", sig->outputs, sig->output_count);
}
