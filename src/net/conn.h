/* conn.h - one connection: bytes in, exchanges, bytes out. Inside net/ only.
 *
 *     read --[tls]--> parse --> admit --> [inflate] --> handle --> reply --[tls]--> one write
 *
 * A connection belongs to one loop thread for life. Exchanges and read buffers are recycled by the
 * thread, so a request that comes whole and is answered at once allocates nothing.
 */
#ifndef SLIPWAY_NET_CONN_H
#define SLIPWAY_NET_CONN_H

#include <stdatomic.h>
#include <uv.h>

#include "base/histogram.h"
#include "net/h2.h"
#include "net/http_parse.h"
#include "net/http_server.h"
#include "net/known_head.h"
#include "net/tls.h"
#include "net/ws.h"

enum {
    CHUNK_BYTES = 64 * 1024,          /* one read */
    EXCHANGES_KEPT_MAX = 64,          /* free ones a thread keeps for the next requests */
    CHUNKS_KEPT_MAX = 16,             /* the same for read buffers */
    REPLY_BYTES_KEPT_MAX = 64 * 1024, /* a larger reply's memory is given back */
    PROGRESS_BYTES = 16 * 1024,       /* a body or a reply must move by this per timeout */
    UNSENT_MAX = 32, /* connections whose replies wait for the end of the loop's round */
    DATE_BYTES = 40,
    HEADER_BYTES_MAX = 32 * 1024, /* of a reply */
    LINGER_MS = 2000,
};

/* Where a connection is; each has one timeout and one list ordered by deadline. */
enum phase {
    PHASE_IDLE,   /* between requests */
    PHASE_HEAD,   /* a head has begun */
    PHASE_BODY,   /* a body has begun */
    PHASE_WRITE,  /* the client does not take its reply */
    PHASE_STREAM, /* HTTP/2: a stream waits for its client to send, or to take */
    PHASE_TLS,    /* handshake */
    PHASE_LINGER, /* the last reply is out; what the client still sends is thrown away */
    PHASE_COUNT,
    PHASE_NONE = PHASE_COUNT, /* a handler has the request */
};

struct phase_list {
    struct http_conn *first, *last; /* earliest deadline first */
    uint64_t timeout_ms;
};

/* A read buffer; kept while texts of an unanswered request or unparsed bytes are in it. */
struct chunk {
    struct chunk *next; /* in the thread's free list */
    int refs;           /* the thread's, a connection's, an exchange's */
    char bytes[CHUNK_BYTES];
};

/* An exchange and what net keeps with it. */
struct box {
    struct http_exchange x; /* first: http_reply gets from one to the other */
    struct http_message message;
    struct buf inflated;
    struct chunk *held; /* where its texts are, while it is unanswered; or NULL */
    struct http_thread *thread;
    struct http_conn *gone; /* the closed connection that waits for this box; or NULL */
    struct box *next;       /* in the free list */
    struct h2_stream stream;
    bool is_in_feed; /* the handler runs inside conn_feed */
    bool is_answered;
    bool is_in_use;          /* it is, but the handler still needs its memory */
    bool is_packed;          /* http_pack has looked at its reply */
    enum http_coding packed; /* and made this of the body */
};

/* Counters of one thread, read by others. */
struct thread_stats {
    _Atomic uint64_t accepted, refused, open, requests, bytes_in, bytes_out, timeouts, parse_errors,
        tls_errors, tls_handshakes, tls_resumed;
};

struct http_thread {
    struct http_server *server;
    const struct http_server_config *config;
    struct loop *loop;
    int index;
    void *user; /* what config->thread_new returned */
    uv_timer_t timer;
    uv_tcp_t *listeners; /* [listener_count] */
    uv_pipe_t unix_listener;
    int listener_count;
    bool has_unix_listener;
    int conn_count, box_count; /* open connections; unanswered exchanges */
    bool is_retired;           /* clients are asked to go */
    bool is_draining, is_ended;
    struct phase_list phases[PHASE_COUNT];
    struct http_conn *conns; /* all, for the end */
    struct http_conn *again; /* those with pipelined requests left, after the others' turn */
    uv_idle_t idle;          /* runs while there are some */
    struct http_conn *unsent[UNSENT_MAX]; /* those with replies for conn_send_all; NULL: left */
    int unsent_count;
    uv_prepare_t prepare; /* before the loop waits */
    bool is_clock_old;    /* the loop has waited since the clock was read */
    struct box *free_boxes;
    int free_box_count;
    struct chunk *chunk; /* the next read goes here */
    struct chunk *free_chunks;
    int free_chunk_count;
    struct chunk *plain; /* decrypted bytes */
    struct known_heads heads;
    char date[DATE_BYTES];
    size_t date_bytes;
    uint64_t date_second;
    struct thread_stats stats;
    struct loop_message retire, drain, close;
};

struct http_conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    };
    struct http_thread *thread;
    int fd;                /* the stream's, borrowed from libuv */
    struct tls *tls;       /* NULL: plain */
    struct ws *ws;         /* after an upgrade of HTTP/1 */
    struct h2 *h2;         /* NULL: HTTP/1 */
    uint8_t preface_bytes; /* of HTTP/2's, so far; H2_PREFACE_NONE: it speaks another */
    struct http_parser parser;
    struct box *box;    /* the request being read or answered; NULL between requests */
    struct str pending; /* read, but not parsed yet */
    struct chunk *held; /* where `pending` is; NULL when there is none */
    struct buf out;     /* replies not handed to the socket yet */
    struct buf writing; /* handed to uv_write */
    uv_write_t write;
    uv_shutdown_t shutdown;
    bool is_writing; /* uv_write has `writing` */
    bool is_reading;
    bool is_waiting; /* a handler has the request */
    bool is_feeding; /* inside feed: replies are gathered */
    bool is_closing;
    bool is_closed;    /* the socket is */
    int kept_count;    /* handlers that have not replied yet, to clients that are gone */
    bool is_last;      /* close after what is in `out` */
    bool is_cut_short; /* the client may still be sending what nobody reads */
    bool is_again;     /* in thread->again */
    struct http_conn *next_again;
    bool is_unsent;        /* in thread->unsent */
    uint8_t phase, listed; /* what it is in; which list it stands in (lazy: may differ) */
    uint64_t deadline_ms;  /* of the list */
    uint64_t touched_ms;   /* end of the last request */
    size_t ahead_bytes;    /* encrypted ones, read while a handler had the request */
    size_t mark;           /* bytes of body, or undelivered, when the phase's time began */
    struct http_conn *previous_in_phase, *next_in_phase;
    struct http_conn *previous, *next; /* in thread->conns */
    struct http_peer peer;
    void *conn_user;
    int passed_fd; /* came over a Unix socket with what was read; -1: none */
};

/* ---- passed_fd.c ---- */

union passed_pipe {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_pipe_t pipe;
};

/* After each read of a Unix socket, and at the end. */
void passed_fd_receive(struct http_conn *conn);
void passed_fd_close(struct http_conn *conn);

/* ---- recycle.c ---- */

/* A read buffer with one reference, and one reference less; NULL is allowed. */
struct chunk *take_chunk(struct http_thread *thread);
void drop_chunk(struct http_thread *thread, struct chunk *chunk);

/* An exchange for the next request of `conn`, and back: its arena, buffers and chunk are let go. */
struct box *take_box(struct http_conn *conn);
void give_box(struct box *box);

/* Empty a buffer; large memory is not kept for the next request. */
void trim(struct buf *buf);

void http_thread_init(struct http_thread *thread);
void http_thread_done(struct http_thread *thread);

/* ---- reply.c ---- */

/* The whole header line, of this second. */
struct str reply_date(struct http_thread *thread);

/* Compress the reply's body into `packed` if its client wants that; `packed` is empty otherwise. */
enum http_coding reply_pack(struct box *box, struct buf *packed);

/* Is a body sent, or only its length said? */
bool reply_has_body(const struct box *box);

/* The whole reply in HTTP/1.1's form, to the connection's buffer. */
void reply_put(struct http_conn *conn, struct box *box);

/* ---- peer.c ---- */

/* Fill conn->peer from its socket; false when the kernel cannot say who it is. */
void peer_describe_tcp(struct http_conn *conn);
bool peer_describe_unix(struct http_conn *conn);

/* ---- timeout.c ---- */

/* It is in this phase now, and out of all lists. */
void conn_enter(struct http_conn *conn, enum phase phase);
void conn_unlist(struct http_conn *conn);

uint64_t conn_now_ms(const struct http_conn *conn);

/* Bytes that the client's machine has not taken, with those in the kernel. */
size_t conn_undelivered(const struct http_conn *conn);

/* Timeouts that are over. Called by the thread's timer. */
void conn_tick(struct http_thread *thread);

/* ---- conn.c ---- */

/* A client waits on this listener. */
void conn_accept(struct http_thread *thread, uv_stream_t *listener, bool is_unix,
                 struct tls_context *tls);

/* Tell HTTP/2 clients to begin no more; the others hear it with their next reply. */
void conn_retire_all(struct http_thread *thread);

/* Close what stands between requests; the others close after their reply. */
void conn_drain_all(struct http_thread *thread);
void conn_close_all(struct http_thread *thread);

void conn_close(struct http_conn *conn);

/* Ask whether the request, whose head is complete, is wanted; else it is answered. */
void conn_admit(struct box *box, struct http_admission *admission);

/* A complete request goes to its handler; one that must not is answered. */
void conn_handle(struct box *box);
void conn_refuse(struct box *box, const struct http_refusal *refusal);

/* The client is gone, the handler has not replied yet: keep what it may be reading. */
void conn_orphan(struct box *box);

/* Bytes to the socket: through TLS if there is any; sent at the end of the loop's round. */
void conn_put(struct http_conn *conn, const void *bytes, size_t size);
void conn_flush_soon(struct http_conn *conn);

/* Bytes that were kept are wanted now: in the loop's next round. */
void conn_go_on_soon(struct http_conn *conn);

/* Go on with the pipelined requests of thread->again. */
void conn_run_again(struct http_thread *thread);

/* Send what feed has left to the end of the loop's round. */
void conn_send_all(struct http_thread *thread);

/* Has everything of this thread ended? */
bool conn_is_quiet(const struct http_thread *thread);

/* Called by conn.c when a connection or an exchange of a draining thread has ended. */
void http_thread_check_end(struct http_thread *thread);

#endif
