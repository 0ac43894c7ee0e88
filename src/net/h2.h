/* h2.h - HTTP/2 on a connection (nghttp2): streams become exchanges. Inside net/ only.
 *
 *     feed --> nghttp2 --> head: admit --> body --> handle      (h2_request.c)
 *     pull <-- nghttp2 <-- head, body, trailers <-- reply       (h2_reply.c)
 *
 * A connection has one session, from its preface on; each stream is a box like HTTP/1's only one.
 * Exchanges are answered in any order. What a client may make us do without asking for anything is
 * counted (h2_limit.c); past a limit the connection ends with ENHANCE_YOUR_CALM.
 */
#ifndef SLIPWAY_NET_H2_H
#define SLIPWAY_NET_H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
    H2_PREFACE_BYTES = 3, /* of it: enough to know */
    H2_PREFACE_NONE = 0xff,
    H2_WINDOW_BYTES = 1024 * 1024,          /* a stream may send so much ahead */
    H2_CONN_WINDOW_BYTES = 4 * 1024 * 1024, /* all streams together */
    H2_FRAME_BYTES_MAX = 16 * 1024,         /* HTTP/2's own preset */
    H2_OUT_BYTES = 256 * 1024,              /* frames made ahead of the socket */
    H2_SLICE_BYTES = 4 * 1024, /* read between two looks at how many requests were handled */
    H2_BODIES_HELD_MAX = 4,    /* times body_bytes_max: unfinished bodies of one connection */
    H2_CONTINUATIONS_MAX = 8,  /* of one head */
    H2_SETTINGS_MAX = 32,      /* in one frame */
    H2_ACKS_MAX = 1000,        /* of pings and settings, not taken by the client yet */
    H2_CALM_MAX = 2000,        /* see h2_limit.c */
    H2_CALM_PER_SECOND = 200,
    H2_REPLY_HEADERS_MAX = 64,
};

extern const char h2_preface[];

struct h2;
struct http_refusal;
struct box;
struct http_conn;
struct http_thread;

/* What a box knows of its stream. */
struct h2_stream {
    int32_t id;            /* 0: the box is HTTP/1's */
    bool is_head_over;     /* the head is complete */
    bool is_over;          /* the client has said everything */
    bool is_asking;        /* it has not, and nobody else has the ball: counted in asking_count */
    bool is_streamed;      /* the handler takes the body as it comes */
    bool is_handled;       /* the handler has it */
    bool is_replying;      /* the reply's head is submitted */
    bool is_ready;         /* waits in h2->ready */
    bool was_full;         /* streamed: more than H2_OUT_BYTES were unsent, the handler may wait */
    size_t head_bytes;     /* so far */
    size_t body_bytes_max; /* of the route */
    size_t unconsumed;     /* body bytes for which the client has no new window yet */
    size_t held;           /* what of h2->held is its */
    size_t sent;           /* of response.body, or of packed */
    size_t unsent;         /* what of h2->unsent is its */
    struct buf packed;     /* the reply's body, compressed */
    uint64_t moved_ms;     /* when the client last sent or took PROGRESS_BYTES */
    size_t mark;           /* bytes since then */
    struct box *previous, *next, *next_ready;
    const struct http_refusal *refusal; /* found in the head; NULL: none */
};

/* The connection speaks HTTP/2 from now on. */
void h2_start(struct http_conn *conn);
void h2_free(struct h2 *h2); /* NULL is allowed */

/* Bytes from the client; how many were taken: the rest is for a later turn. */
size_t h2_feed(struct http_conn *conn, const char *bytes, size_t size);

/* Move frames to the socket's buffer, as many as there should be. */
void h2_pull(struct http_conn *conn);

/* Which timeout runs now. */
void h2_settle(struct http_conn *conn);

/* A timeout is over: end the streams that are late. False: close the connection. */
bool h2_check_late(struct http_conn *conn);

/* The handler has answered, or a refusal was written. */
void h2_reply(struct box *box);

/* What http_take and http_send do here. */
void h2_take(struct box *box, size_t bytes);
void h2_send(struct box *box);

/* Nobody needs what the handler kept for its request. */
void h2_release(struct box *box);

/* Take no new streams; close when the last has ended. */
void h2_drain(struct http_conn *conn);

/* The connection is closing: let go of all streams. */
void h2_end(struct http_conn *conn);

#endif
