/* router.c - routes cut into segments once; a request's path is cut once and compared. */
#include "api/router.h"

#include <pthread.h>
#include <string.h>

#include "base/check.h"

enum { ROUTES_MAX = 256, ALLOWED_BYTES = 96, KNOWN_PATH_BYTES_MAX = 128 };

struct compiled_route {
    enum http_method method;
    int segment_count;
    struct str segments[ROUTE_SEGMENTS_MAX]; /* ptr NULL: a parameter */
    struct str suffixes[ROUTE_SEGMENTS_MAX]; /* of a parameter: "{model}:predict" -> ":predict" */
};

/* A thread's callers mostly ask for one path again and again. */
static _Thread_local struct {
    enum http_method method;
    size_t size; /* 0: nothing is known */
    char path[KNOWN_PATH_BYTES_MAX];
    struct route_match match; /* its params lie in `path` */
} known;

static struct compiled_route compiled[ROUTES_MAX];
static int compiled_count;
static pthread_once_t compiled_once = PTHREAD_ONCE_INIT;

/* "/a/b" -> a, b. More than ROUTE_SEGMENTS_MAX: -1, which matches nothing. */
static int cut(struct str path, struct str segments[ROUTE_SEGMENTS_MAX])
{
    int count = 0;
    if (path.len == 0 || path.ptr[0] != '/')
        return -1;
    struct str rest = {path.ptr + 1, path.len - 1};
    for (const char *slash; count < ROUTE_SEGMENTS_MAX; count++) {
        slash = rest.len ? memchr(rest.ptr, '/', rest.len) : NULL;
        if (!slash) {
            segments[count] = rest;
            return count + 1;
        }
        segments[count] = (struct str){rest.ptr, (size_t)(slash - rest.ptr)};
        rest = (struct str){slash + 1, rest.len - segments[count].len - 1};
    }
    return -1;
}

static enum http_method method_of(const char *name)
{
    for (int m = 0; m < HTTP_METHOD_OTHER; m++)
        if (strcmp(http_method_name((enum http_method)m), name) == 0)
            return (enum http_method)m;
    return HTTP_METHOD_OTHER;
}

static void compile_param(struct str *segment, struct str *suffix)
{
    const char *close =
        segment->len && segment->ptr[0] == '{' ? memchr(segment->ptr, '}', segment->len) : NULL;
    if (!close)
        return;
    *suffix = (struct str){close + 1, segment->len - (size_t)(close + 1 - segment->ptr)};
    segment->ptr = NULL;
}

static void compile_routes(void)
{
    for (const struct route *route = routes; route->method; route++) {
        assert(compiled_count < ROUTES_MAX && route->scope != 0);
        struct compiled_route *to = &compiled[compiled_count++];
        to->method = method_of(route->method);
        to->segment_count = cut(str_of(route->path), to->segments);
        assert(to->method != HTTP_METHOD_OTHER && to->segment_count > 0);
        for (int i = 0; i < to->segment_count; i++)
            compile_param(&to->segments[i], &to->suffixes[i]);
    }
}

/* A parameter is never empty. */
static bool is_param_value(struct str segment, struct str suffix)
{
    return segment.len > suffix.len && str_ends_with(segment, suffix);
}

static bool path_matches(const struct compiled_route *route, const struct str *segments, int count)
{
    if (route->segment_count != count)
        return false;
    for (int i = 0; i < count; i++) {
        bool is_param = route->segments[i].ptr == NULL;
        if (is_param ? !is_param_value(segments[i], route->suffixes[i])
                     : !str_equal(route->segments[i], segments[i]))
            return false;
    }
    return true;
}

static enum err_code take_params(const struct compiled_route *route, const struct str *segments,
                                 struct arena *arena, struct route_match *match, struct err *err)
{
    int count = 0;
    for (int i = 0; i < route->segment_count; i++) {
        if (route->segments[i].ptr)
            continue;
        struct str *param = &match->params[count++];
        *param = (struct str){segments[i].ptr, segments[i].len - route->suffixes[i].len};
        if (memchr(param->ptr, '%', param->len)) {
            enum err_code rc = http_decode_path(*param, arena, param, err);
            if (rc)
                return rc;
        }
    }
    return ERR_OK;
}

static void list_allowed(const struct str *segments, int count, struct arena *arena,
                         struct route_match *match)
{
    char list[ALLOWED_BYTES] = "";
    for (int r = 0; r < compiled_count; r++) {
        if (!path_matches(&compiled[r], segments, count))
            continue;
        strncat(list, *list ? ", " : "", sizeof(list) - strlen(list) - 1);
        strncat(list, routes[r].method, sizeof(list) - strlen(list) - 1);
        match->is_path_known = true;
    }
    match->allowed = arena_copy(arena, list, strlen(list));
}

static int find_row(enum http_method method, const struct str *segments, int count)
{
    for (int r = 0; r < compiled_count; r++)
        if (compiled[r].method == method && path_matches(&compiled[r], segments, count))
            return r;
    return -1;
}

static void move_params(struct route_match *match, const char *from, const char *to)
{
    for (int i = 0; i < ROUTE_PARAMS_MAX; i++)
        if (match->params[i].ptr)
            match->params[i].ptr = to + (match->params[i].ptr - from);
}

static bool find_known(enum http_method method, struct str path, struct route_match *match)
{
    if (known.size != path.len || known.method != method || known.size == 0 ||
        memcmp(known.path, path.ptr, path.len) != 0)
        return false;
    *match = known.match;
    move_params(match, known.path, path.ptr);
    return true;
}

static void keep(enum http_method method, struct str path, const struct route_match *match)
{
    if (path.len > KNOWN_PATH_BYTES_MAX || memchr(path.ptr, '%', path.len))
        return;
    known.method = method;
    known.size = path.len;
    memcpy(known.path, path.ptr, path.len);
    known.match = *match;
    move_params(&known.match, path.ptr, known.path);
}

enum err_code router_match(enum http_method method, struct str path, struct arena *arena,
                           struct route_match *match, struct err *err)
{
    struct str segments[ROUTE_SEGMENTS_MAX];
    if (find_known(method, path, match))
        return ERR_OK;
    pthread_once(&compiled_once, compile_routes);
    *match = (struct route_match){0};
    int count = cut(path, segments);
    if (count < 0)
        return ERR_OK;
    int row = find_row(method, segments, count);
    if (row < 0 && method == HTTP_METHOD_HEAD)
        row = find_row(HTTP_METHOD_GET, segments, count);
    if (row < 0) {
        list_allowed(segments, count, arena, match);
        return ERR_OK;
    }
    match->route = &routes[row];
    enum err_code rc = take_params(&compiled[row], segments, arena, match, err);
    if (!rc)
        keep(method, path, match);
    return rc;
}
