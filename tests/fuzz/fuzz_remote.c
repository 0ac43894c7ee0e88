/* fuzz_remote.c - any bytes from another server, or as the file that names it.
 *
 * The first byte chooses: 0 the artifact, 1 a reply to a call (two bytes of how much of it is
 * JSON), 2 HTTP in pieces of the size of the second byte, else a model's metadata. What is accepted
 * holds together.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "net/http_reply.h"
#include "runtime/remote_reply.h"
#include "runtime/remote_settings.h"

enum { MEMORY_BYTES_MAX = 64 * 1024 * 1024, BODY_BYTES_MAX = 1 << 20, ROWS = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct signature_tensor outputs[] = {
    {.name = "f32", .dtype = DTYPE_F32, .rank = 1, .shape = {-1}},
    {.name = "i64", .dtype = DTYPE_I64, .rank = 2, .shape = {-1, 2}},
    {.name = "f16", .dtype = DTYPE_F16, .rank = 2, .shape = {-1, -1}},
    {.name = "bool", .dtype = DTYPE_BOOL, .rank = 1, .shape = {-1}},
    {.name = "text", .dtype = DTYPE_BYTES, .rank = 2, .shape = {-1, -1}},
};
static const struct signature signature = {
    .outputs = outputs, .output_count = ARRAY_LEN(outputs), .batch_rows_max = 64};

static void check_settings(const struct remote_settings *s)
{
    assert(s->endpoint && s->model && s->connections > 0);
    assert(s->signature.input_count <= RUNTIME_INPUTS_MAX);
    assert(s->signature.output_count <= RUNTIME_TENSORS_MAX);
}

static void read_settings(struct str yaml, struct arena *arena)
{
    struct remote_settings *settings = NULL, *again = NULL;
    struct err err = {0};
    struct buf written;
    if (remote_settings_read(yaml, arena, &settings, &err))
        return;
    check_settings(settings);
    buf_init(&written, BODY_BYTES_MAX);
    remote_settings_write(settings, &written);
    assert(remote_settings_recognise(written.data, written.len));
    assert(written.is_full || !remote_settings_read(buf_view(&written), arena, &again, &err));
    if (remote_settings_are_whole(settings) && !remote_settings_finish(settings, &err))
        assert(settings->signature.answer < settings->signature.output_count);
    buf_done(&written);
}

static volatile unsigned touched;

/* Every byte of what was accepted can be read. */
static void touch(const struct tensor *tensor)
{
    int64_t count = tensor_elements(tensor->shape, tensor->rank);
    const unsigned char *bytes = tensor->data;
    unsigned sum = 0;
    assert(count >= 0 && tensor->shape[0] == ROWS);
    for (size_t i = 0; i < (size_t)count * dtype_memory_bytes(tensor->dtype); i++)
        sum += bytes[i];
    for (int64_t i = 0; tensor->dtype == DTYPE_BYTES && i < count; i++)
        for (size_t k = 0; k < ((const struct str *)tensor->data)[i].len; k++)
            sum += (unsigned char)((const struct str *)tensor->data)[i].ptr[k];
    for (int64_t i = 0; tensor->dtype == DTYPE_BOOL && i < count; i++)
        assert(bytes[i] <= 1);
    touched += sum;
}

static void read_reply(struct str body, struct arena *arena)
{
    struct tensor out[ARRAY_LEN(outputs)];
    const struct tensor in = {.rank = 1, .shape = {ROWS}};
    static const bool some[] = {true, true, false, true, false};
    struct arena *scratch = arena_new(MEMORY_BYTES_MAX);
    char reason[REMOTE_REASON_BYTES];
    struct err err = {0};
    if (body.len >= 2) {
        size_t json = (size_t)(unsigned char)body.ptr[0] | (size_t)(unsigned char)body.ptr[1] << 8;
        struct runtime_call call = {.in = &in, .in_count = 1, .arena = arena, .out = out};
        body = (struct str){body.ptr + 2, body.len - 2};
        call.wanted = json & 1 ? some : NULL;
        json = json / 2 < body.len ? json / 2 : body.len;
        if (remote_reply_read(&signature, body, json, scratch, &call, &err))
            assert(err.msg[0]);
        else
            for (int i = 0; i < call.out_count; i++)
                touch(&call.out[i]);
    }
    arena_reset(scratch);
    remote_reply_reason(body, scratch, reason);
    assert(str_is_utf8(str_of(reason)));
    arena_free(scratch);
}

static void read_http(struct str bytes, struct arena *arena)
{
    struct http_result result = {0};
    struct http_reply reply;
    struct err err = {0};
    size_t piece = bytes.len ? (unsigned char)bytes.ptr[0] + 1u : 1;
    enum err_code rc = ERR_OK;
    buf_init(&result.body, BODY_BYTES_MAX);
    http_reply_begin(&reply, "there", false, &result);
    for (size_t at = 1; at < bytes.len && !rc && !reply.is_done; at += piece)
        rc = http_reply_put(&reply, bytes.ptr + at, bytes.len - at < piece ? bytes.len - at : piece,
                            &err);
    if (!rc)
        rc = http_reply_end(&reply, &err);
    if (!rc)
        http_reply_headers(&reply, arena);
    assert(rc ? err.msg[0] : result.status >= 100);
    http_reply_done(&reply);
    buf_done(&result.body);
}

static void read_metadata(struct str body, struct arena *arena)
{
    struct remote_settings settings = {.endpoint = "a", .model = "m", .connections = 1};
    struct err err = {0};
    int rows = remote_config_batch(body, arena);
    assert(rows >= -1 && rows <= REMOTE_BATCH_ROWS_MAX);
    remote_server_is_binary(body, arena);
    if (!remote_metadata_read(body, arena, &settings, &err))
        check_settings(&settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct arena *arena = arena_new(MEMORY_BYTES_MAX);
    struct str rest = {(const char *)data + 1, size - 1};
    switch (data[0]) {
    case 0:
        read_settings(rest, arena);
        break;
    case 1:
        read_reply(rest, arena);
        break;
    case 2:
        read_http(rest, arena);
        break;
    default:
        read_metadata(rest, arena);
    }
    arena_free(arena);
    return 0;
}
