/* tls_ticket.h - the keys of session tickets: a client that comes back skips the costly half of the
 * handshake, on whatever thread, until hours after it was here. Inside net/ only.
 *
 * Nothing is kept per client: the session travels in the ticket, encrypted. Keys are drawn at the
 * start, are in memory only and are no part of the certificate, so that a renewed certificate does
 * not send all clients through full handshakes at once; nor does a process that takes over, which
 * gets them.
 *
 *     key   |--- seals and opens ---|---- opens only ----|---- opens only ----|
 *           0                       1 h                  2 h                  3 h
 */
#ifndef SLIPWAY_NET_TLS_TICKET_H
#define SLIPWAY_NET_TLS_TICKET_H

#include <openssl/types.h>
#include <stdbool.h>

#include "base/buf.h"

enum {
    TLS_TICKET_KEYS = 3,
    TLS_TICKET_KEY_SECONDS = 3600,
    TLS_TICKET_SECONDS = 2 * 3600,   /* how long a session can be resumed */
    TLS_SESSION_SECONDS = 24 * 3600, /* and all those that follow it, each from the one before */
};

struct tls_tickets; /* any thread */

struct tls_tickets *tls_tickets_new(void);
void tls_tickets_free(struct tls_tickets *tickets); /* NULL is allowed */

/* The keys as text for the process after this one, a line "ticket ..." each; and such lines back,
 * into new `tickets`: false when they are none. */
void tls_tickets_write(struct tls_tickets *tickets, struct buf *out);
bool tls_tickets_read(struct tls_tickets *tickets, struct str lines);

/* Let the connections of `ssl` resume; `tickets` outlives it. */
void tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *ssl);

#endif
