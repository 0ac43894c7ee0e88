/* remote_endpoint.c - a name of the options -> address, certificates, token. */
#include "runtime/remote_endpoint.h"

#include <openssl/ssl.h>
#include <stdio.h>

#include "base/check.h"
#include "base/file.h"
#include "net/tls_client.h"

/* The value of "name=value" in a list of the options; NULL when there is none. */
static const char *find_value(const struct runtime_list *list, const char *name)
{
    size_t length = strlen(name);
    for (int i = 0; i < list->count; i++)
        if (strncmp(list->items[i], name, length) == 0 && list->items[i][length] == '=')
            return list->items[i] + length + 1;
    return NULL;
}

static enum err_code unknown_name(const struct runtime_host *host, const char *name,
                                  struct err *err)
{
    char names[160] = "";
    for (int i = 0; i < host->remote_endpoints.count; i++) {
        const char *item = host->remote_endpoints.items[i];
        size_t at = strlen(names);
        snprintf(names + at, sizeof(names) - at, "%s%.*s", at ? ", " : "", (int)strcspn(item, "="),
                 item);
    }
    err_set(err, ERR_INVALID, "this server has no remote endpoint '%s'", name);
    if (!names[0])
        return err_hint(err, "start it with --remote-endpoints %s=https://HOST:PORT", name);
    return err_hint(err, "it has %s; --remote-endpoints gives names to addresses", names);
}

static void free_tls(void *tls)
{
    SSL_CTX_free(tls);
}

static enum err_code open_tls(const struct runtime_host *host, struct remote_endpoint *endpoint,
                              struct arena *arena, struct err *err)
{
    const char *ca = host->remote_ca && host->remote_ca[0] ? host->remote_ca : NULL;
    const struct http_tls_client config = {
        .ca_path = ca,
        .cert_path = find_value(&host->remote_certificates, endpoint->name),
    };
    SSL_CTX *tls = NULL;
    enum err_code rc = tls_client_new(&config, &tls, err);
    if (rc)
        return err_wrap(err, "remote endpoint '%s'", endpoint->name);
    if (arena_defer(arena, free_tls, tls)) {
        SSL_CTX_free(tls);
        return err_set(err, ERR_LIMIT, "no room for the remote endpoint");
    }
    endpoint->site.tls = tls;
    return ERR_OK;
}

enum err_code remote_endpoint_find(const struct runtime_host *host, const char *name,
                                   size_t reply_bytes_max, struct arena *arena,
                                   struct remote_endpoint **out, struct err *err)
{
    const char *url = find_value(&host->remote_endpoints, name);
    struct remote_endpoint *endpoint = arena_calloc(arena, 1, sizeof(*endpoint));
    if (!endpoint)
        return err_set(err, ERR_LIMIT, "no room for the remote endpoint");
    if (!url)
        return unknown_name(host, name, err);
    endpoint->name = arena_copy(arena, name, strlen(name));
    endpoint->url = arena_copy(arena, url, strlen(url));
    endpoint->token_path = find_value(&host->remote_tokens, name);
    endpoint->site.where = arena_printf(arena, "endpoint '%s'", name);
    endpoint->site.connect_ns_max = REMOTE_CONNECT_MS_MAX * INT64_C(1000000);
    endpoint->site.reply_bytes_max = reply_bytes_max;
    enum err_code rc = wire_place_parse(endpoint->url, &endpoint->site.place, err);
    if (rc)
        return err_wrap(err, "--remote-endpoints: '%s'", name);
    if (endpoint->site.place.is_tls)
        rc = open_tls(host, endpoint, arena, err);
    if (!rc)
        *out = endpoint;
    return rc;
}

/* Each "name=..." of an option is of an endpoint that there is. */
static enum err_code check_names(const struct runtime_host *host, const struct runtime_list *list,
                                 const char *option, struct err *err)
{
    for (int i = 0; i < list->count; i++) {
        const char *item = list->items[i];
        char name[128];
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(item, "="), item);
        if (item[0] == '=' || !strchr(item, '=')) {
            err_set(err, ERR_INVALID, "%s: expected name=FILE, got '%s'", option, item);
            return err_hint(err, "the name is one of --remote-endpoints");
        }
        if (!find_value(&host->remote_endpoints, name))
            return unknown_name(host, name, err), err_wrap(err, "%s", option);
    }
    return ERR_OK;
}

static enum err_code check_address(const char *item, struct err *err)
{
    struct wire_place place;
    const char *url = strchr(item, '=');
    if (url && url != item && !wire_place_parse(url + 1, &place, err))
        return ERR_OK;
    if (url && url != item)
        return err_wrap(err, "--remote-endpoints: '%.*s'", (int)(url - item), item);
    err_set(err, ERR_INVALID, "--remote-endpoints: expected name=URL, got '%s'", item);
    return err_hint(err, "such as triton-a=http://10.0.0.5:8000");
}

enum err_code remote_endpoints_check(const struct runtime_host *host, struct err *err)
{
    enum err_code rc = ERR_OK;
    for (int i = 0; !rc && i < host->remote_endpoints.count; i++)
        rc = check_address(host->remote_endpoints.items[i], err);
    if (!rc)
        rc = check_names(host, &host->remote_certificates, "--remote-certificates", err);
    return rc ? rc : check_names(host, &host->remote_tokens, "--remote-tokens", err);
}

static bool is_token(struct str token)
{
    for (size_t i = 0; i < token.len; i++)
        if (token.ptr[i] <= ' ' || token.ptr[i] >= 0x7f)
            return false;
    return token.len > 0;
}

static struct str without_space(struct str text)
{
    while (text.len && (unsigned char)text.ptr[text.len - 1] <= ' ')
        text.len--;
    return text;
}

enum err_code remote_endpoint_authorize(const struct remote_endpoint *endpoint, struct buf *out,
                                        struct err *err)
{
    struct buf file;
    if (!endpoint->token_path)
        return ERR_OK;
    enum err_code rc = file_read(endpoint->token_path, REMOTE_TOKEN_BYTES_MAX, &file, err);
    struct str token = without_space(buf_view(&file));
    if (!rc && !is_token(token))
        rc = err_set(err, ERR_INVALID, "'%s' holds no token: one line of printable characters",
                     endpoint->token_path);
    if (!rc) {
        buf_lit(out, "Authorization: Bearer ");
        buf_str(out, token);
        buf_lit(out, "\r\n");
    }
    buf_done(&file);
    return rc ? err_wrap(err, "--remote-tokens") : ERR_OK;
}
