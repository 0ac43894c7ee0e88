/* transport.c - the way to the API: a URL, a running server's Unix socket, or the folder itself. */
#include "cli/transport.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "api/local.h"
#include "base/check.h"
#include "base/clock.h"
#include "store/folder.h"

enum {
    NAME_BYTES = 4400, /* a folder's path and a word */
    HEADERS_OWN = 1,
    WAIT_STEP_NS = 20 * 1000 * 1000,
    PROBE_MS_MAX = 5000,
    PROBE_MEMORY_BYTES = 1024 * 1024,
    PROBE_REPLY_BYTES = 64 * 1024,
};

struct transport {
    char *server_url; /* NULL: the folder */
    char *ca_path, *cert_path, *cert_key_path;
    char *authorization;        /* "Bearer ...", or NULL */
    char unix_path[NAME_BYTES]; /* when the folder is served */
    struct api_local *local;    /* when it is not */
    struct options options;
    char name[NAME_BYTES + 16];
};

static char *copy_text(const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        abort();
    return copy;
}

/* ---- by URL ---- */

/* "127.0.0.1" of "http://127.0.0.1:8080/x"; the brackets of an IPv6 address stay. */
static struct str host_of(struct str url)
{
    const char *scheme_end = memmem(url.ptr, url.len, "://", 3);
    struct str rest = url, host;
    if (scheme_end) {
        rest.ptr = scheme_end + 3;
        rest.len = url.len - (size_t)(rest.ptr - url.ptr);
    }
    str_split(&rest, '/', &host);
    const char *bracket = host.len ? memchr(host.ptr, ']', host.len) : NULL;
    if (bracket)
        return (struct str){host.ptr, (size_t)(bracket - host.ptr) + 1};
    rest = host;
    str_split(&rest, ':', &host);
    return host;
}

/* Nobody can listen in: TLS, or a connection that does not leave this machine. The whole host is
 * looked at: http://127.0.0.1.example.org is elsewhere. */
static bool is_private_url(struct str url)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    struct str host = host_of(url);
    if (str_starts_with(url, STR_LIT("https://")))
        return true;
    if (str_equal_c(host, "localhost") || str_equal_c(host, "[::1]"))
        return true;
    snprintf(text, sizeof(text), "%.*s", STR_ARG(host));
    return host.len < sizeof(text) && inet_pton(AF_INET, text, &address) == 1 &&
           ntohl(address.s_addr) >> 24 == IN_LOOPBACKNET;
}

static bool is_header_text(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

static enum err_code open_url(const struct transport_config *config, struct transport *t,
                              struct err *err)
{
    t->server_url = copy_text(config->server_url);
    t->ca_path = copy_text(config->tls.ca_path);
    t->cert_path = copy_text(config->tls.cert_path);
    t->cert_key_path = copy_text(config->tls.key_path);
    snprintf(t->name, sizeof(t->name), "%s", config->server_url);
    if (!config->key)
        return ERR_OK;
    if (!is_header_text(config->key)) {
        err_set(err, ERR_INVALID, "the key has bytes that no key has");
        return err_hint(err, "a key is one word that begins with slw_");
    }
    if (!is_private_url(str_of(config->server_url))) {
        err_set(err, ERR_INVALID, "a key does not travel over plain HTTP to another machine");
        return err_hint(err, "use https:// in front of the server's name");
    }
    size_t bytes = strlen(config->key) + sizeof("Bearer ");
    t->authorization = malloc(bytes);
    if (!t->authorization)
        abort();
    snprintf(t->authorization, bytes, "Bearer %s", config->key);
    return ERR_OK;
}

/* ---- by folder ---- */

/* Does the process that has the folder answer on its socket? */
static bool is_served(struct transport *t, struct err *err)
{
    struct arena *arena = arena_new(PROBE_MEMORY_BYTES);
    struct http_result result = {0};
    struct http_call probe = {
        .unix_path = t->unix_path,
        .method = "GET",
        .target = STR_LIT("/livez"),
        .timeout_ms = PROBE_MS_MAX,
        .reply_bytes_max = PROBE_REPLY_BYTES,
    };
    bool is_there = http_call_run(&probe, arena, &result, err) == ERR_OK;
    if (is_there)
        buf_done(&result.body);
    arena_free(arena);
    return is_there;
}

static enum err_code is_locked(const char *path, bool create, bool *locked, struct err *err)
{
    struct folder *folder = NULL;
    *locked = false;
    enum err_code rc = folder_open(path, create, &folder, err);
    if (rc)
        return rc;
    *locked = folder_is_locked(folder);
    folder_close(folder);
    return ERR_OK;
}

/* One look: served, or ours now; ERR_UNAVAILABLE or ERR_CONFLICT when it is neither yet. */
static enum err_code try_folder(struct transport *t, bool create, struct err *err)
{
    struct err why = {0};
    bool locked;
    enum err_code rc = is_locked(t->options.data_dir, create, &locked, err);
    if (rc)
        return rc;
    if (!locked) {
        t->unix_path[0] = '\0';
        return api_local_open(&t->options, create, &t->local, err);
    }
    if (is_served(t, &why))
        return ERR_OK;
    err_set(err, ERR_UNAVAILABLE, "another process has the folder %s and does not answer: %s",
            t->options.data_dir, why.msg);
    return err_hint(err,
                    "its pid is in %s/lock; a socket elsewhere is named by "
                    "SLIPWAY_UNIX_SOCKET",
                    t->options.data_dir);
}

static void name_socket(struct transport *t)
{
    const struct options *options = &t->options;
    if (options->unix_socket && options->unix_socket[0])
        snprintf(t->unix_path, sizeof(t->unix_path), "%s", options->unix_socket);
    else
        snprintf(t->unix_path, sizeof(t->unix_path), "%s/slipway.sock", options->data_dir);
}

static enum err_code wait_for_folder(struct transport *t, bool create, struct err *err)
{
    const struct timespec step = {0, WAIT_STEP_NS};
    int64_t end_us = clock_monotonic_us() + INT64_C(1000) * TRANSPORT_WAIT_MS_MAX;
    enum err_code rc;
    for (;;) {
        name_socket(t);
        rc = try_folder(t, create, err);
        bool is_busy = rc == ERR_CONFLICT || rc == ERR_UNAVAILABLE;
        if (!is_busy || clock_monotonic_us() >= end_us)
            return rc;
        nanosleep(&step, NULL);
    }
}

static enum err_code open_folder(const struct transport_config *config, struct transport *t,
                                 struct err *err)
{
    const char *argv[] = {"--data-dir", config->data_dir};
    int argc = config->data_dir ? 2 : 0;
    enum err_code rc = options_load(&t->options, argc, argv, config->environment, err);
    if (!rc)
        rc = wait_for_folder(t, config->create, err);
    if (!rc)
        snprintf(t->name, sizeof(t->name), "%s %s", t->local ? "folder" : "socket",
                 t->local ? t->options.data_dir : t->unix_path);
    return rc;
}

/* ---- both ---- */

enum err_code transport_open(const struct transport_config *config, struct transport **transport,
                             struct err *err)
{
    struct transport *t = calloc(1, sizeof(*t));
    if (!t)
        abort();
    options_init(&t->options);
    enum err_code rc = config->server_url ? open_url(config, t, err) : open_folder(config, t, err);
    if (rc)
        transport_close(t);
    else
        *transport = t;
    return rc;
}

enum err_code transport_run(struct transport *t, const struct http_call *call, struct arena *arena,
                            struct http_result *result, struct err *err)
{
    struct http_header headers[HTTP_HEADERS_MAX];
    struct http_call own = *call;
    assert(call->header_count + HEADERS_OWN <= HTTP_HEADERS_MAX);
    if (call->header_count)
        memcpy(headers, call->headers, (size_t)call->header_count * sizeof(*headers));
    if (t->authorization)
        headers[own.header_count++] =
            (struct http_header){STR_LIT("Authorization"), str_of(t->authorization)};
    own.headers = headers;
    own.timeout_ms = TRANSPORT_CALL_MS_MAX;
    if (t->local)
        return api_local_run(t->local, &own, arena, result, err);
    own.url = t->server_url;
    own.unix_path = t->server_url ? NULL : t->unix_path;
    own.tls = (struct http_tls_client){
        .ca_path = t->ca_path, .cert_path = t->cert_path, .key_path = t->cert_key_path};
    return http_call_run(&own, arena, result, err);
}

const char *transport_name(const struct transport *transport)
{
    return transport->name;
}

void transport_close(struct transport *t)
{
    if (!t)
        return;
    api_local_close(t->local);
    options_done(&t->options);
    if (t->authorization)
        explicit_bzero(t->authorization, strlen(t->authorization));
    free(t->authorization);
    free(t->server_url);
    free(t->ca_path);
    free(t->cert_path);
    free(t->cert_key_path);
    free(t);
}
