/* serving_file.c - YAML -> struct serving, and back as JSON. */
#include "serve/serving_file.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/yaml.h"
#include "serve/response_cache.h"

#define DELAY_MAX_US (10 * CLOCK_SECOND_US)
#define TIMEOUT_MAX_US (3600 * CLOCK_SECOND_US)
#define TTL_MAX_US (24 * TIMEOUT_MAX_US)

enum { TREE_BYTES_MAX = 4 * 1024 * 1024, PLACE_BYTES = 64, TIMEOUT_MIN_US = 1000 };

const struct serving serving_preset = {
    .batch_rows_max = 64,
    .queue_requests_max = 1000,
    .timeout_us = 30 * CLOCK_SECOND_US,
    .priority = 5,
};

/* ---- values ---- */

static const struct {
    const char *name;
    int64_t us;
} units[] = {{"us", 1},
             {"ms", 1000},
             {"s", CLOCK_SECOND_US},
             {"m", 60 * CLOCK_SECOND_US},
             {"h", 3600 * CLOCK_SECOND_US}};

bool serving_read_time(struct str text, int64_t max_us, int64_t *us)
{
    size_t digits = 0;
    int64_t count = 0;
    if (text.len == 0)
        return false;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    struct str unit = {text.ptr + digits, text.len - digits};
    if (!str_to_i64((struct str){text.ptr, digits}, &count))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!str_equal_c(unit, units[i].name) || count > max_us / units[i].us)
            continue;
        *us = count * units[i].us;
        return true;
    }
    return false;
}

static enum err_code parse_time(yyjson_val *value, const char *what, int64_t min_us, int64_t max_us,
                                int64_t *us, struct err *err)
{
    int64_t read_us = 0;
    bool is_zero = yyjson_is_int(value) && yyjson_get_sint(value) == 0;
    struct str text = yyjson_is_str(value) ? json_str(value) : (struct str){0};
    if ((is_zero || serving_read_time(text, max_us, &read_us)) && read_us >= min_us) {
        *us = read_us;
        return ERR_OK;
    }
    err_set(err, ERR_INVALID, "%s: expected a time from %s to %s", what, min_us ? "1ms" : "0ms",
            max_us == DELAY_MAX_US     ? "10s"
            : max_us == TIMEOUT_MAX_US ? "1h"
                                       : "24h");
    return err_hint(err, "a whole number with us, ms, s, m or h: 500us, 20ms, 30s");
}

static enum err_code parse_whole(yyjson_val *value, const char *what, int min, int max, int *out,
                                 struct err *err)
{
    bool is_whole = yyjson_is_int(value);
    int64_t number = is_whole ? yyjson_get_sint(value) : 0;
    if (is_whole && number >= min && number <= max) {
        *out = (int)number;
        return ERR_OK;
    }
    return err_set(err, ERR_INVALID, "%s: expected a whole number from %d to %d", what, min, max);
}

/* ---- sections ---- */

static enum err_code parse_instances(yyjson_val *value, struct serving *serving, struct err *err)
{
    if (yyjson_equals_str(value, "auto")) {
        serving->instances = 0;
        return ERR_OK;
    }
    enum err_code rc =
        parse_whole(value, "instances", 1, SERVING_INSTANCES_MAX, &serving->instances, err);
    return rc ? err_hint(err, "or auto: as many as help this model") : ERR_OK;
}

static enum err_code parse_batching(yyjson_val *value, struct serving *serving, struct err *err)
{
    static const char *const keys[] = {"max_rows", "max_delay", NULL};
    if (!yyjson_is_obj(value))
        return err_set(err, ERR_INVALID, "batching: expected max_rows and max_delay");
    yyjson_val *rows = yyjson_obj_get(value, "max_rows");
    yyjson_val *delay = yyjson_obj_get(value, "max_delay");
    enum err_code rc = json_check_keys(value, "batching", keys, err);
    if (!rc && rows)
        rc = parse_whole(rows, "batching.max_rows", 1, SERVING_BATCH_ROWS_MAX,
                         &serving->batch_rows_max, err);
    if (!rc && delay)
        rc =
            parse_time(delay, "batching.max_delay", 0, DELAY_MAX_US, &serving->batch_delay_us, err);
    return rc;
}

static enum err_code parse_queue(yyjson_val *value, struct serving *serving, struct err *err)
{
    static const char *const keys[] = {"max_requests", "timeout", NULL};
    if (!yyjson_is_obj(value))
        return err_set(err, ERR_INVALID, "queue: expected max_requests and timeout");
    yyjson_val *requests = yyjson_obj_get(value, "max_requests");
    yyjson_val *timeout = yyjson_obj_get(value, "timeout");
    enum err_code rc = json_check_keys(value, "queue", keys, err);
    if (!rc && requests)
        rc = parse_whole(requests, "queue.max_requests", 1, SERVING_REQUESTS_MAX,
                         &serving->queue_requests_max, err);
    if (!rc && timeout)
        rc = parse_time(timeout, "queue.timeout", TIMEOUT_MIN_US, TIMEOUT_MAX_US,
                        &serving->timeout_us, err);
    return rc;
}

static enum err_code parse_priority(yyjson_val *value, struct serving *serving, struct err *err)
{
    enum err_code rc = parse_whole(value, "priority", SERVING_PRIORITY_FIRST, SERVING_PRIORITY_LAST,
                                   &serving->priority, err);
    return rc ? err_hint(err, "1 goes first, 5 is usual") : ERR_OK;
}

static enum err_code parse_memory(yyjson_val *value, struct serving *serving, struct err *err)
{
    static const char *const keys[] = {"pin", NULL};
    if (!yyjson_is_obj(value))
        return err_set(err, ERR_INVALID, "memory: expected pin");
    enum err_code rc = json_check_keys(value, "memory", keys, err);
    return rc ? rc : json_get_bool_opt(value, "memory", "pin", &serving->is_pinned, err);
}

static enum err_code parse_size(yyjson_val *value, size_t *out, struct err *err)
{
    uint64_t size = 0;
    bool is_size = yyjson_is_str(value) && str_to_size(json_str(value), &size);
    if (yyjson_is_uint(value))
        size = yyjson_get_uint(value);
    if ((is_size || yyjson_is_uint(value)) && size >= RESPONSE_CACHE_BYTES_MIN &&
        size <= RESPONSE_CACHE_BYTES_MAX) {
        *out = (size_t)size;
        return ERR_OK;
    }
    return err_set(err, ERR_INVALID,
                   "cache.max_bytes: expected a size from 64K to 1G (bytes; also K, M, G)");
}

static enum err_code parse_cache(yyjson_val *value, struct serving *serving, struct err *err)
{
    static const char *const keys[] = {"max_bytes", "ttl", NULL};
    if (yyjson_equals_str(value, "off") || yyjson_is_false(value))
        return ERR_OK;
    if (!yyjson_is_obj(value))
        return err_set(err, ERR_INVALID, "cache: expected max_bytes and ttl, or off");
    yyjson_val *bytes = yyjson_obj_get(value, "max_bytes"), *ttl = yyjson_obj_get(value, "ttl");
    enum err_code rc = json_check_keys(value, "cache", keys, err);
    if (!rc && !bytes)
        rc = err_set(err, ERR_INVALID, "cache.max_bytes is missing: how much memory it may take");
    if (!rc)
        rc = parse_size(bytes, &serving->cache_bytes, err);
    if (!rc && ttl)
        rc = parse_time(ttl, "cache.ttl", 0, TTL_MAX_US, &serving->cache_ttl_us, err);
    return rc;
}

static enum err_code parse_always(yyjson_val *root, const char *key, bool *always, struct err *err)
{
    yyjson_val *value = yyjson_obj_get(root, key);
    if (!value || yyjson_equals_str(value, "always") || yyjson_equals_str(value, "share")) {
        *always = !value || yyjson_equals_str(value, "always");
        return ERR_OK;
    }
    return err_set(err, ERR_INVALID, "records.%s: expected always or share", key);
}

static enum err_code parse_share(yyjson_val *value, double *share, struct err *err)
{
    *share = 1;
    if (!value)
        return ERR_OK;
    if (yyjson_is_num(value) && yyjson_get_num(value) >= 0 && yyjson_get_num(value) <= 1) {
        *share = yyjson_get_num(value);
        return ERR_OK;
    }
    return err_set(err, ERR_INVALID, "records.share: expected a number from 0 to 1");
}

static enum err_code parse_records(yyjson_val *value, struct serving *serving, struct err *err)
{
    static const char *const keys[] = {"share", "errors", "held", "differing", "inputs", NULL};
    struct serving_records *records = &serving->records;
    bool has_inputs = true;
    if (!yyjson_is_obj(value))
        return err_set(err, ERR_INVALID,
                       "records: expected share, errors, held, differing and inputs");
    enum err_code rc = json_check_keys(value, "records", keys, err);
    if (!rc)
        rc = parse_share(yyjson_obj_get(value, "share"), &records->share, err);
    if (!rc)
        rc = parse_always(value, "errors", &records->keeps_errors, err);
    if (!rc)
        rc = parse_always(value, "held", &records->keeps_held, err);
    if (!rc)
        rc = parse_always(value, "differing", &records->keeps_differing, err);
    if (!rc)
        rc = json_get_bool_opt(value, "records", "inputs", &has_inputs, err);
    records->leaves_inputs = !has_inputs;
    records->is_set = true;
    return rc;
}

/* null of the file is that word too. */
static enum err_code parse_nan(yyjson_val *value, struct serving *serving, struct err *err)
{
    struct str name = yyjson_is_null(value) ? STR_LIT("null") : json_str(value);
    if ((yyjson_is_null(value) || yyjson_is_str(value)) && nan_policy_find(name, &serving->nan))
        return ERR_OK;
    return err_set(err, ERR_INVALID, "nan: expected null, string, bare or reject");
}

/* ---- dialects ---- */

static const char *const v1_inputs_names[] = {[V1_ROWS] = "rows", [V1_COLUMNS] = "columns"};

static enum err_code parse_v1(yyjson_val *value, struct serving *serving, struct err *err)
{
    static const char *const keys[] = {"inputs", NULL};
    if (!yyjson_is_obj(value))
        return err_set(err, ERR_INVALID, "v1: expected inputs");
    yyjson_val *inputs = yyjson_obj_get(value, "inputs");
    enum err_code rc = json_check_keys(value, "v1", keys, err);
    if (rc || !inputs)
        return rc;
    for (size_t i = 0; i < ARRAY_LEN(v1_inputs_names); i++)
        if (yyjson_equals_str(inputs, v1_inputs_names[i])) {
            serving->v1_inputs = (enum v1_inputs)i;
            return ERR_OK;
        }
    err_set(err, ERR_INVALID, "v1.inputs: expected rows or columns");
    return err_hint(err, "columns is what TensorFlow Serving takes a list for");
}

static const struct {
    const char *key;
    enum err_code (*parse)(yyjson_val *value, struct serving *serving, struct err *err);
} sections[] = {
    {"instances", parse_instances}, {"batching", parse_batching},
    {"queue", parse_queue},         {"priority", parse_priority},
    {"memory", parse_memory},       {"nan", parse_nan},
    {"cache", parse_cache},         {"v1", parse_v1},
    {"records", parse_records},
};

static enum err_code check_keys(yyjson_val *root, struct err *err)
{
    const char *keys[ARRAY_LEN(sections) + 1] = {0};
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        keys[i] = sections[i].key;
    return json_check_keys(root, "the serving file", keys, err);
}

static enum err_code parse_tree(yyjson_val *root, struct serving *serving, struct err *err)
{
    if (!yyjson_is_obj(root))
        return err_set(err, ERR_INVALID, "the serving file: expected an object, got %s",
                       yyjson_get_type_desc(root));
    enum err_code rc = check_keys(root, err);
    for (size_t i = 0; i < ARRAY_LEN(sections) && !rc; i++) {
        yyjson_val *value = yyjson_obj_get(root, sections[i].key);
        if (value)
            rc = sections[i].parse(value, serving, err);
    }
    return rc;
}

enum err_code serving_parse(struct str document, struct arena *arena, struct serving **out,
                            struct err *err)
{
    yyjson_val *root = NULL;
    if (document.len > SERVING_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the serving file is larger than %d bytes",
                       SERVING_BYTES_MAX);
    struct serving *serving = arena_alloc(arena, sizeof(*serving));
    if (!serving)
        return err_set(err, ERR_LIMIT, "no room for the serving file");
    *serving = serving_preset;
    struct arena *tree = arena_new(TREE_BYTES_MAX);
    enum err_code rc = yaml_read(document, tree, &root, err);
    if (!rc)
        rc = parse_tree(root, serving, err);
    arena_free(tree);
    if (!rc)
        *out = serving;
    return rc;
}

/* ---- writing ---- */

static void put_time(struct json_writer *w, const char *key, int64_t us)
{
    char text[STR_NUMBER_BYTES + 4];
    bool is_ms = us % 1000 == 0, is_s = us && us % CLOCK_SECOND_US == 0;
    int64_t unit = is_s ? CLOCK_SECOND_US : is_ms ? 1000 : 1;
    snprintf(text, sizeof(text), "%lld%s", (long long)(us / unit),
             is_s    ? "s"
             : is_ms ? "ms"
                     : "us");
    json_member_text(w, key, text);
}

static void write_always(struct json_writer *w, const char *key, bool always)
{
    json_member_text(w, key, always ? "always" : "share");
}

static void write_records(struct json_writer *w, const struct serving_records *records)
{
    json_key(w, "records");
    if (!records->is_set) {
        json_put_null(w);
        return;
    }
    json_begin_object(w);
    json_key(w, "share");
    json_put_f64(w, records->share);
    write_always(w, "errors", records->keeps_errors);
    write_always(w, "held", records->keeps_held);
    write_always(w, "differing", records->keeps_differing);
    json_member_bool(w, "inputs", !records->leaves_inputs);
    json_end_object(w);
}

static void write_cache(struct json_writer *w, const struct serving *serving)
{
    json_key(w, "cache");
    if (!serving->cache_bytes) {
        json_put_null(w);
        return;
    }
    json_begin_object(w);
    json_member_u64(w, "max_bytes", serving->cache_bytes);
    put_time(w, "ttl", serving->cache_ttl_us);
    json_end_object(w);
}

void serving_write(struct json_writer *w, const struct serving *serving)
{
    json_key(w, "instances");
    if (serving->instances)
        json_put_i64(w, serving->instances);
    else
        json_put_text(w, "auto");
    json_key(w, "batching");
    json_begin_object(w);
    json_member_i64(w, "max_rows", serving->batch_rows_max);
    put_time(w, "max_delay", serving->batch_delay_us);
    json_end_object(w);
    json_key(w, "queue");
    json_begin_object(w);
    json_member_i64(w, "max_requests", serving->queue_requests_max);
    put_time(w, "timeout", serving->timeout_us);
    json_end_object(w);
    json_member_i64(w, "priority", serving->priority);
    json_key(w, "memory");
    json_begin_object(w);
    json_member_bool(w, "pin", serving->is_pinned);
    json_end_object(w);
    json_member_text(w, "nan", nan_policy_name(serving->nan));
    write_cache(w, serving);
    json_key(w, "v1");
    json_begin_object(w);
    json_member_text(w, "inputs", v1_inputs_names[serving->v1_inputs]);
    json_end_object(w);
    write_records(w, &serving->records);
}
