/* grpc_reflection.c - grpc.reflection.v1 and v1alpha: clients ask what there is to call. */
#include "api/grpc.h"
#include "api/grpc_describe.h"
#include "api/handlers.h"
#include "api/stream.h"
#include "base/check.h"

enum { MESSAGE_BYTES_MAX = 64 * 1024 };

/* Fields of ServerReflectionRequest. */
enum ask { ASK_FILE = 3, ASK_SYMBOL = 4, ASK_EXTENSION = 5, ASK_EXTENSIONS = 6, ASK_SERVICES = 7 };

static void put_file(struct buf *out, const struct schema_file *file)
{
    size_t response = pb_begin(out, 4);
    size_t descriptor = pb_begin(out, 1);
    grpc_describe(file, out);
    pb_end(out, descriptor);
    pb_end(out, response);
}

static void put_services(struct buf *out)
{
    char name[128];
    size_t response = pb_begin(out, 6);
    for (const struct schema_file *file = schema_files; file->path; file++)
        for (const struct schema_service *s = file->services; s->name; s++) {
            size_t service = pb_begin(out, 1);
            snprintf(name, sizeof(name), "%s.%s", file->package, s->name);
            pb_put_text(out, 1, name);
            pb_end(out, service);
        }
    pb_end(out, response);
}

static void put_problem(struct buf *out, enum err_code code, const char *text)
{
    size_t response = pb_begin(out, 7);
    pb_put_varint(out, 1, (uint64_t)grpc_status(code));
    pb_put_text(out, 2, text);
    pb_end(out, response);
}

static void answer(struct buf *out, enum ask ask, struct str text)
{
    const struct schema_file *file = NULL;
    if (ask == ASK_SERVICES) {
        put_services(out);
        return;
    }
    if (ask == ASK_FILE)
        file = schema_find_path(text);
    else if (ask == ASK_SYMBOL)
        file = schema_find_symbol(text);
    if (file)
        put_file(out, file);
    else if (ask == ASK_FILE || ask == ASK_SYMBOL)
        put_problem(out, ERR_NOT_FOUND, "there is no such file or symbol; ask for list_services");
    else
        put_problem(out, ERR_NOT_FOUND, "no message here has extensions");
}

static enum err_code answer_message(struct call *call, struct str message, struct err *err)
{
    struct http_response *response = &call->x->response;
    struct pb_reader r = pb_read(message);
    struct pb_field f;
    enum ask ask = 0;
    struct str host = {0}, text = {"", 0};
    while (pb_next(&r, &f)) {
        if (f.wire != PB_BYTES)
            continue;
        if (f.number == 1)
            host = f.bytes;
        if (f.number < ASK_FILE || f.number > ASK_SERVICES)
            continue;
        ask = (enum ask)f.number;
        text = f.bytes;
    }
    if (r.problem)
        return err_set(err, ERR_INVALID, "the message cannot be read: %s", r.problem);
    size_t mark = grpc_begin(&response->body);
    if (host.len)
        pb_put_bytes(&response->body, 1, host);
    pb_put_bytes(&response->body, 2, message);
    answer(&response->body, ask, text);
    grpc_end(&response->body, mark);
    return ERR_OK;
}

static enum err_code take(struct stream *stream, struct str message, struct err *err)
{
    return answer_message(stream->call, message, err);
}

enum err_code grpc_reflect(struct call *call, struct err *err)
{
    static const struct stream_ops ops = {.next = grpc_stream_next, .take = take};
    struct stream *stream = arena_calloc(call->arena, 1, sizeof(*stream));
    if (!stream)
        return err_set(err, ERR_LIMIT, "the request does not fit its memory");
    stream->ops = &ops;
    stream->message_bytes_max = MESSAGE_BYTES_MAX;
    stream_begin(stream, call);
    return ERR_OK;
}
