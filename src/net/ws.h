/* ws.h - WebSocket (RFC 6455) on an HTTP/1.1 connection. Inside net/ only.
 *
 *     GET with Upgrade --> handler --> http_upgrade --> frames: messages --> receive
 *                                                       <-- http_send: a message each
 *
 * The exchange that asked for it lives on as a stream: request.body is one whole message, until
 * http_take says that it was used; only then is the next one read.
 */
#ifndef SLIPWAY_NET_WS_H
#define SLIPWAY_NET_WS_H

#include <stdbool.h>
#include <stddef.h>

enum {
    WS_HEAD_BYTES_MAX = 14,     /* of a frame */
    WS_CONTROL_BYTES_MAX = 125, /* of a ping, pong or close */
    WS_CONTROLS_MAX = 1000,     /* of them between two messages */
    WS_KEY_BYTES = 24,          /* 16 random ones as base64 */
};

struct ws;
struct box;
struct http_conn;

void ws_free(struct ws *ws); /* NULL is allowed */

/* Bytes from the client; how many were taken: the rest waits until the message is used. */
size_t ws_feed(struct http_conn *conn, const char *bytes, size_t size);

/* The handler has a message: what is read meanwhile is kept. */
bool ws_is_busy(const struct http_conn *conn);

/* What http_take, http_send and http_reply do here. */
void ws_take(struct box *box);
void ws_send(struct box *box);
void ws_reply(struct box *box);

/* Which timeout runs now. */
void ws_settle(struct http_conn *conn);

/* A connection has rested for long; false: nobody is there. */
bool ws_check_late(struct http_conn *conn);

/* What was waiting to be sent has left, or the server is about to end: the handler may look up. */
void ws_tell(struct http_conn *conn);

/* The connection is closing. */
void ws_end(struct http_conn *conn);

#endif
