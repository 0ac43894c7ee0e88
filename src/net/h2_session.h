/* h2_session.h - what the files of HTTP/2 share. Inside net/h2*.c only. */
#ifndef SLIPWAY_NET_H2_SESSION_H
#define SLIPWAY_NET_H2_SESSION_H

#include <nghttp2/nghttp2.h>

#include "net/conn.h"

struct h2 {
    nghttp2_session *session;
    struct http_conn *conn;
    struct box *streams;            /* all that are open */
    struct box *head;               /* whose head came last; NULL: its stream is gone */
    struct box *ready, *ready_last; /* complete requests that wait for replies to be taken */
    int stream_count, asking_count; /* open; of them not complete yet */
    int handled_count;              /* in this turn */
    size_t held;                    /* bytes of bodies that are not complete */
    size_t unsent;                  /* bytes of replies that the client has not taken */
    int continuation_count;         /* of the head that is coming */
    int calm;                       /* see h2_limit.c */
    uint64_t calm_ms;
    bool is_draining;        /* the client was told to begin no streams */
    bool has_drained;        /* a streamed reply has left whole */
    bool is_ending;          /* and that those after the last known are not looked at */
    bool is_ping_unanswered; /* ours */
    struct buf plain;        /* frames on their way into TLS */
};

/* ---- h2.c ---- */

/* End the stream with an error code, without a word. */
void h2_reset(struct box *box, uint32_t error_code);

/* Frames may be waiting: get them to the socket, unless that happens soon anyway. */
void h2_wake(struct http_conn *conn);

/* ---- h2_request.c ---- */

int h2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg);
int h2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                 size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                 void *arg);
int h2_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
               size_t size, void *arg);

/* The frame that completes a head, and the one that ends a request. */
void h2_end_head(struct h2 *h2, struct box *box, bool is_over);
void h2_end_request(struct h2 *h2, struct box *box);

/* Handlers of streams look up: something has changed besides what has come. */
void h2_tell_streams(struct h2 *h2);

/* Requests that waited for room, and streams whose reply has left. */
void h2_run_ready(struct h2 *h2);

/* The stream does not wait for its client's request any more. */
void h2_stop_asking(struct h2 *h2, struct box *box);

/* Forget what the stream holds of the connection's sums. */
void h2_let_go(struct h2 *h2, struct box *box);

/* ---- h2_limit.c ---- */

/* A frame has come; false: the client must calm down. */
bool h2_charge(struct h2 *h2, const nghttp2_frame_hd *hd);

/* Something useful has happened. */
void h2_credit(struct h2 *h2, int amount);

/* May another stream begin? */
bool h2_has_room(const struct h2 *h2);

#endif
