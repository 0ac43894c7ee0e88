/* webhook_file.c - the file of webhooks: YAML -> receivers with their secrets. */
#include "event/webhook.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/yaml.h"

enum {
    PLACE_BYTES = 128,
    TEXT_BYTES_MAX = 2048,
    TREE_BYTES_MAX = 16 * 1024 * 1024,
    SECRET_FILE_BYTES_MAX = 4096,
};

struct reading {
    struct webhook_file *file;
    const char *where, *place;
    struct err *err;
};

/* ---- values ---- */

static enum err_code read_text(const struct reading *r, yyjson_val *object, const char *key,
                               const char **out)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    if (!value)
        return ERR_OK;
    struct str text = json_str(value);
    bool is_plain = yyjson_is_str(value) && text.len && text.len <= TEXT_BYTES_MAX;
    for (size_t i = 0; is_plain && i < text.len; i++)
        is_plain = (unsigned char)text.ptr[i] > ' ' && text.ptr[i] != 0x7f;
    if (!is_plain)
        return err_set(r->err, ERR_INVALID, "%s: %s%s: expected a text without spaces", r->where,
                       r->place, key);
    *out = arena_copy(r->file->arena, text.ptr, text.len);
    return *out ? ERR_OK : err_set(r->err, ERR_LIMIT, "%s is too large", r->where);
}

static enum err_code read_span(const struct reading *r, yyjson_val *object, const char *key,
                               int64_t max_us, int64_t *out)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    int64_t us;
    if (!value)
        return ERR_OK;
    if (!yyjson_is_str(value) || !str_to_span_us(json_str(value), &us) || us < 1000 || us > max_us)
        return err_set(r->err, ERR_INVALID,
                       "%s: %s%s: expected a time with its unit up to %lld s, such as 10s",
                       r->where, r->place, key, (long long)(max_us / 1000000));
    *out = us;
    return ERR_OK;
}

/* ---- address ---- */

static enum err_code bad_url(const struct reading *r, const char *url, const char *why)
{
    err_set(r->err, ERR_INVALID, "%s: %surl: '%s' %s", r->where, r->place, url, why);
    return err_hint(r->err, "write https://host[:port]/path");
}

static enum err_code split_url(const struct reading *r, const char *url, struct webhook *webhook)
{
    bool is_tls = strncmp(url, "https://", 8) == 0;
    if (!is_tls && strncmp(url, "http://", 7) != 0)
        return bad_url(r, url, "is no http or https URL");
    if (!is_tls && !webhook->is_private)
        return bad_url(r, url, "is not encrypted; that needs private: true");
    if (strpbrk(url, "@#\\"))
        return bad_url(r, url, "has one of @ # \\ in it");
    const char *host = url + (is_tls ? 8 : 7);
    size_t host_bytes = strcspn(host, "/?");
    if (host_bytes == 0 || host[host_bytes] == '?')
        return bad_url(r, url, "has no host or no path");
    webhook->origin = arena_copy(r->file->arena, url, (size_t)(host - url) + host_bytes);
    webhook->target = host[host_bytes] ? host + host_bytes : "/";
    return webhook->origin ? ERR_OK : err_set(r->err, ERR_LIMIT, "%s is too large", r->where);
}

/* ---- secret ---- */

static enum err_code decode_secret(const struct reading *r, struct str text, const char *path,
                                   struct webhook *webhook)
{
    uint8_t bytes[SECRET_FILE_BYTES_MAX];
    bool is_secret = str_starts_with(text, STR_LIT("whsec_"));
    text = is_secret ? (struct str){text.ptr + 6, text.len - 6} : text;
    int size = is_secret && text.len && text.len % 4 == 0
                   ? EVP_DecodeBlock(bytes, (const uint8_t *)text.ptr, (int)text.len)
                   : -1;
    for (size_t i = text.len; size > 0 && i > 0 && text.ptr[i - 1] == '='; i--)
        size--; /* what '=' stands for is no byte of it */
    if (size < WEBHOOK_SECRET_BYTES_MIN || size > WEBHOOK_SECRET_BYTES_MAX) {
        err_set(r->err, ERR_INVALID,
                "%s: %ssecret_file: %s does not have whsec_ and the base64 of %d to %d bytes",
                r->where, r->place, path, WEBHOOK_SECRET_BYTES_MIN, WEBHOOK_SECRET_BYTES_MAX);
        return err_hint(r->err, "make one: echo whsec_$(openssl rand -base64 32) > FILE");
    }
    memcpy(webhook->secret, bytes, (size_t)size);
    webhook->secret_bytes = (size_t)size;
    return ERR_OK;
}

static enum err_code read_secret(const struct reading *r, const char *path, struct webhook *webhook)
{
    struct buf text;
    if (!path) {
        err_set(r->err, ERR_INVALID, "%s: %ssecret_file is missing", r->where, r->place);
        return err_hint(r->err, "receivers tell by it that an event is yours");
    }
    if (path[0] != '/')
        return err_set(r->err, ERR_INVALID, "%s: %ssecret_file: '%s' is no whole path", r->where,
                       r->place, path);
    enum err_code rc = file_read(path, SECRET_FILE_BYTES_MAX, &text, r->err);
    if (rc) {
        err_wrap(r->err, "%s: %ssecret_file", r->where, r->place);
    } else {
        struct str trimmed = buf_view(&text);
        while (trimmed.len && strchr("\r\n \t", trimmed.ptr[trimmed.len - 1]))
            trimmed.len--;
        rc = decode_secret(r, trimmed, path, webhook);
    }
    buf_done(&text);
    return rc;
}

/* ---- one webhook ---- */

static enum err_code read_events(const struct reading *r, yyjson_val *list, struct webhook *webhook)
{
    size_t i, count;
    yyjson_val *value;
    if (!list)
        return ERR_OK;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > WEBHOOK_EVENTS_MAX)
        return err_set(r->err, ERR_INVALID, "%s: %sevents: expected a list of at most %d patterns",
                       r->where, r->place, WEBHOOK_EVENTS_MAX);
    const char **events = arena_calloc(r->file->arena, yyjson_arr_size(list) + 1, sizeof(*events));
    if (!events)
        return err_set(r->err, ERR_LIMIT, "%s is too large", r->where);
    yyjson_arr_foreach(list, i, count, value)
    {
        struct str text = json_str(value);
        if (!yyjson_is_str(value) || text.len == 0 || text.len > STR_NAME_BYTES_MAX)
            return err_set(r->err, ERR_INVALID,
                           "%s: %sevents[%zu]: expected a pattern such as alert.*", r->where,
                           r->place, i);
        events[i] = arena_copy(r->file->arena, text.ptr, text.len);
        if (!events[i])
            return err_set(r->err, ERR_LIMIT, "%s is too large", r->where);
    }
    webhook->events = events;
    webhook->event_count = (int)count;
    return ERR_OK;
}

static enum err_code read_start(const struct reading *r, yyjson_val *object,
                                struct webhook *webhook)
{
    const char *from = "now";
    if (read_text(r, object, "from", &from))
        return r->err->code;
    webhook->from_beginning = strcmp(from, "beginning") == 0;
    if (webhook->from_beginning || strcmp(from, "now") == 0)
        return ERR_OK;
    return err_set(r->err, ERR_INVALID, "%s: %sfrom: expected now or beginning, got '%s'", r->where,
                   r->place, from);
}

static enum err_code read_name(const struct reading *r, yyjson_val *object, struct webhook *webhook)
{
    if (read_text(r, object, "name", &webhook->name))
        return r->err->code;
    if (!webhook->name || !str_is_name(str_of(webhook->name)))
        return err_set(r->err, ERR_INVALID, "%s: %sname: expected a name", r->where, r->place);
    for (int i = 0; i < r->file->count; i++)
        if (strcmp(r->file->webhooks[i].name, webhook->name) == 0)
            return err_set(r->err, ERR_INVALID, "%s: %sname: '%s' is there twice", r->where,
                           r->place, webhook->name);
    return ERR_OK;
}

static enum err_code read_webhook(const struct reading *r, yyjson_val *object,
                                  struct webhook *webhook)
{
    static const char *const keys[] = {"name", "url",     "secret_file", "events",    "ca",
                                       "from", "private", "timeout",     "retry_max", NULL};
    char what[2 * PLACE_BYTES];
    const char *url = NULL, *secret_path = NULL;
    snprintf(what, sizeof(what), "%s: %.*s", r->where, (int)strlen(r->place) - 1, r->place);
    if (!yyjson_is_obj(object))
        return err_set(r->err, ERR_INVALID, "%s: expected a mapping, got %s", what,
                       yyjson_get_type_desc(object));
    webhook->timeout_us = INT64_C(10) * 1000 * 1000;
    webhook->retry_max_us = INT64_C(300) * 1000 * 1000;
    if (json_check_keys(object, what, keys, r->err) || read_name(r, object, webhook) ||
        json_get_bool_opt(object, what, "private", &webhook->is_private, r->err) ||
        read_text(r, object, "url", &url) || read_text(r, object, "ca", &webhook->ca) ||
        read_text(r, object, "secret_file", &secret_path) || read_start(r, object, webhook) ||
        read_events(r, yyjson_obj_get(object, "events"), webhook) ||
        read_span(r, object, "timeout", INT64_C(60) * 1000 * 1000, &webhook->timeout_us) ||
        read_span(r, object, "retry_max", INT64_C(3600) * 1000 * 1000, &webhook->retry_max_us))
        return r->err->code;
    if (!url)
        return err_set(r->err, ERR_INVALID, "%s: %surl is missing", r->where, r->place);
    enum err_code rc = split_url(r, url, webhook);
    return rc ? rc : read_secret(r, secret_path, webhook);
}

static enum err_code read_list(struct reading *r, yyjson_val *root)
{
    static const char *const keys[] = {"source", "webhooks", NULL};
    char place[PLACE_BYTES];
    size_t i, count;
    yyjson_val *value, *list = yyjson_obj_get(root, "webhooks");
    if (!yyjson_is_obj(root))
        return err_set(r->err, ERR_INVALID, "%s: expected a mapping, got %s", r->where,
                       yyjson_get_type_desc(root));
    if (json_check_keys(root, r->where, keys, r->err) ||
        read_text(r, root, "source", &r->file->source))
        return r->err->code;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > WEBHOOKS_MAX)
        return err_set(r->err, ERR_INVALID, "%s: webhooks: expected a list of at most %d", r->where,
                       WEBHOOKS_MAX);
    yyjson_arr_foreach(list, i, count, value)
    {
        snprintf(place, sizeof(place), "webhooks[%zu].", i);
        r->place = place;
        if (read_webhook(r, value, &r->file->webhooks[r->file->count]))
            return r->err->code;
        r->file->count++;
    }
    return ERR_OK;
}

enum err_code webhook_file_read(struct str yaml, const char *where, struct webhook_file **file,
                                struct err *err)
{
    yyjson_val *root;
    struct arena *tree = arena_new(TREE_BYTES_MAX);
    struct webhook_file *fresh = calloc(1, sizeof(*fresh));
    if (!fresh)
        abort();
    fresh->arena = arena_new(TREE_BYTES_MAX);
    fresh->source = "/slipway";
    struct reading r = {.file = fresh, .where = where, .place = "", .err = err};
    enum err_code rc = yaml_read(yaml, tree, &root, err);
    rc = rc ? err_wrap(err, "%s", where) : read_list(&r, root);
    arena_free(tree);
    if (rc)
        webhook_file_free(fresh);
    else
        *file = fresh;
    return rc;
}

void webhook_file_free(struct webhook_file *file)
{
    if (!file)
        return;
    arena_free(file->arena);
    explicit_bzero(file->webhooks, sizeof(file->webhooks));
    free(file);
}
