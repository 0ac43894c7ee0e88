/* recycle.c - exchanges and read buffers that a thread uses again, so that requests allocate
 * nothing. */
#include <stdlib.h>

#include "base/check.h"
#include "net/conn.h"

static void *must_alloc(size_t size)
{
    void *p = malloc(size);
    if (!p)
        abort();
    return p;
}

struct chunk *take_chunk(struct http_thread *thread)
{
    struct chunk *chunk = thread->free_chunks;
    if (chunk) {
        thread->free_chunks = chunk->next;
        thread->free_chunk_count--;
    } else {
        chunk = must_alloc(sizeof(*chunk));
    }
    chunk->refs = 1;
    return chunk;
}

void drop_chunk(struct http_thread *thread, struct chunk *chunk)
{
    if (!chunk || --chunk->refs > 0)
        return;
    if (thread->free_chunk_count == CHUNKS_KEPT_MAX) {
        free(chunk);
        return;
    }
    chunk->next = thread->free_chunks;
    thread->free_chunks = chunk;
    thread->free_chunk_count++;
}

static struct box *new_box(struct http_thread *thread)
{
    const struct http_limits *limits = &thread->config->limits;
    struct box *box = calloc(1, sizeof(*box));
    if (!box)
        abort();
    box->thread = thread;
    box->x.thread = thread->user;
    box->x.arena = arena_new(limits->memory_bytes_max);
    box->message.request = &box->x.request;
    buf_init(&box->message.head, limits->head_bytes_max);
    buf_init(&box->message.body, limits->body_bytes_max);
    buf_init(&box->inflated, limits->inflated_bytes_max);
    buf_init(&box->x.response.headers, HEADER_BYTES_MAX);
    buf_init(&box->x.response.body, limits->memory_bytes_max);
    buf_init(&box->x.response.trailers, HEADER_BYTES_MAX);
    return box;
}

static void free_box(struct box *box)
{
    arena_free(box->x.arena);
    buf_done(&box->message.head);
    buf_done(&box->message.body);
    buf_done(&box->inflated);
    buf_done(&box->x.response.headers);
    buf_done(&box->x.response.body);
    buf_done(&box->x.response.trailers);
    buf_done(&box->stream.packed);
    free(box);
}

struct box *take_box(struct http_conn *conn)
{
    struct http_thread *thread = conn->thread;
    struct box *box = thread->free_boxes;
    if (box) {
        thread->free_boxes = box->next;
        thread->free_box_count--;
    } else {
        box = new_box(thread);
    }
    thread->box_count++;
    box->x.conn = conn;
    box->x.self = &box->x;
    box->x.peer = &conn->peer;
    box->x.user = NULL;
    box->x.cancel = NULL;
    box->x.receive = NULL;
    box->x.is_request_over = false;
    box->x.conn_user = conn->conn_user;
    box->x.response.status = 200;
    box->x.response.content_type = NULL;
    box->x.response.is_closing = false;
    box->is_answered = false;
    box->is_packed = false;
    box->stream.id = 0;
    return box;
}

/* Large memory is not kept for the next request. */
void trim(struct buf *buf)
{
    buf_clear(buf);
    buf->is_full = false;
    if (buf->capacity > REPLY_BYTES_KEPT_MAX)
        buf_done(buf);
}

void give_box(struct box *box)
{
    struct http_thread *thread = box->thread;
    arena_reset(box->x.arena);
    drop_chunk(thread, box->held);
    box->held = NULL;
    trim(&box->message.head);
    trim(&box->message.body);
    box->message.body.bytes_max = thread->config->limits.body_bytes_max;
    trim(&box->inflated);
    trim(&box->x.response.headers);
    trim(&box->x.response.body);
    trim(&box->x.response.trailers);
    buf_done(&box->stream.packed);
    thread->box_count--;
    if (thread->free_box_count == EXCHANGES_KEPT_MAX) {
        free_box(box);
        return;
    }
    box->next = thread->free_boxes;
    thread->free_boxes = box;
    thread->free_box_count++;
}

void http_thread_init(struct http_thread *thread)
{
    const struct http_limits *limits = &thread->config->limits;
    const int64_t timeouts[PHASE_COUNT] = {
        [PHASE_IDLE] = limits->idle_timeout_ms,
        [PHASE_HEAD] = limits->head_timeout_ms,
        [PHASE_BODY] = limits->body_timeout_ms,
        [PHASE_WRITE] = limits->write_timeout_ms,
        [PHASE_TLS] = limits->tls_timeout_ms,
        [PHASE_LINGER] = LINGER_MS,
        [PHASE_STREAM] = limits->body_timeout_ms < limits->write_timeout_ms
                             ? limits->body_timeout_ms
                             : limits->write_timeout_ms,
    };
    for (int i = 0; i < PHASE_COUNT; i++)
        thread->phases[i].timeout_ms = (uint64_t)timeouts[i];
    thread->chunk = take_chunk(thread);
    thread->plain = take_chunk(thread);
}

void http_thread_done(struct http_thread *thread)
{
    assert(conn_is_quiet(thread));
    drop_chunk(thread, thread->chunk);
    drop_chunk(thread, thread->plain);
    known_heads_done(&thread->heads);
    for (struct chunk *chunk = thread->free_chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    for (struct box *box = thread->free_boxes, *next; box; box = next) {
        next = box->next;
        free_box(box);
    }
}
