/* known_head.h - heads of requests that were read before, so that they need not be parsed again.
 *
 * A client that keeps its connection sends the same head with every request, but for the digits of
 * Content-Length. A head that equals a remembered one in every other byte means what that one
 * meant; only its texts lie elsewhere and its body may be longer. Nothing that llhttp refused is
 * ever remembered.
 *
 * One table belongs to one thread and serves all its connections.
 */
#ifndef SLIPWAY_NET_KNOWN_HEAD_H
#define SLIPWAY_NET_KNOWN_HEAD_H

#include "net/http_parse.h"

enum {
    KNOWN_HEADS_MAX = 4,        /* programs that call one thread are few */
    KNOWN_HEAD_BYTES_MAX = 768, /* longer heads are parsed each time */
    KNOWN_LENGTH_DIGITS_MAX = 9,
};

struct known_head; /* in known_head.c */

/* Zeroed is empty. */
struct known_heads {
    struct known_head *heads[KNOWN_HEADS_MAX]; /* the last one found first */
    int count;
    unsigned misses; /* since one was found */
};

/* Do `bytes` begin with a remembered head, and is the body behind it whole? Then message and its
 * request are as after HTTP_PARSE_HEAD, and *head_bytes says how long the head is. */
bool known_head_find(struct known_heads *heads, const char *bytes, size_t size,
                     struct http_message *message, size_t *head_bytes);

/* Remember the head that `bytes` are and `message` says the meaning of, if it can be. */
void known_head_keep(struct known_heads *heads, const char *bytes, size_t size,
                     const struct http_message *message);

void known_heads_done(struct known_heads *heads);

#endif
