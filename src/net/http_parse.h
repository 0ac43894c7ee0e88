/* http_parse.h - from bytes of one connection to requests, in whatever pieces they arrive (llhttp).
 *
 *     feed -> MORE ... -> HEAD -> feed -> MORE ... -> DONE -> next request
 *
 * A request that lies whole in one piece is not copied: its texts point into that piece. What came
 * in several pieces is gathered in the message's own buffers. Everything that two programs could
 * read in two ways (request smuggling) is refused: llhttp runs without its lenient flags, and the
 * checks it leaves to others are made here.
 */
#ifndef SLIPWAY_NET_HTTP_PARSE_H
#define SLIPWAY_NET_HTTP_PARSE_H

#include <llhttp.h>

#include "net/http.h"
#include "net/http_encoding.h"
#include "net/http_server.h"

/* One request on its way in. The caller zeroes it once and keeps the buffers for the next one. */
struct http_message {
    struct http_request *request;
    struct buf head; /* a head that came in pieces, from its target on */
    struct buf body; /* a body that came in pieces */

    /* Known from HTTP_PARSE_HEAD on. */
    bool has_body, is_chunked;
    uint64_t content_length; /* when not chunked */
    bool is_expecting_continue;
    bool is_keeping_alive;
    bool is_http_1_0;
    enum http_coding coding; /* of the body */
};

enum http_parse_state {
    HTTP_PARSE_IDLE, /* between requests */
    HTTP_PARSE_IN_HEAD,
    HTTP_PARSE_IN_BODY,
    HTTP_PARSE_ENDED, /* after HTTP_PARSE_BAD */
};

struct known_heads;

struct http_parser {
    llhttp_t llhttp;
    const struct http_limits *limits;
    struct known_heads *heads; /* (optional) borrowed */
    struct http_message *message;
    const char *piece_start; /* of the bytes being fed */
    size_t head_bytes;       /* of this head in earlier pieces */
    size_t body_bytes, body_bytes_max;
    size_t body_bytes_before; /* of earlier pieces */
    size_t extra_bytes;       /* of chunk heads, extensions and trailers */
    int chunk_count;          /* heads of chunks that were whole, but for the last, empty one */
    bool is_before_data;      /* the latest chunk's head is whole, its data has not begun */
    uint8_t state;            /* enum http_parse_state */
    uint8_t token;            /* what llhttp gave last */
    bool is_known;            /* the head was found in `heads`: llhttp has not seen it */
    bool is_at_last;          /* the request before was said to be the last one */
    struct http_refusal refusal;
};

enum http_parse_event {
    HTTP_PARSE_MORE, /* everything was taken, more is needed */
    HTTP_PARSE_HEAD, /* head complete: set body_bytes_max, then feed the rest */
    HTTP_PARSE_DONE, /* request complete; message must be handled before the next feed */
    HTTP_PARSE_BAD,  /* parser->refusal says why; the connection is beyond use */
};

/* With `heads` (NULL: without), heads that were read before are not parsed again. */
void http_parser_init(struct http_parser *parser, const struct http_limits *limits,
                      struct known_heads *heads);

/* The request that the next bytes begin is put here. Between requests only. */
void http_parser_begin(struct http_parser *parser, struct http_message *message);

/* Take up to `size` bytes; *taken says how many. After MORE the texts of an unfinished head are in
 * message->head; after HEAD the whole head is there when the body is not in this piece. */
enum http_parse_event http_parser_feed(struct http_parser *parser, const char *bytes, size_t size,
                                       size_t *taken);

/* ---- heads, for HTTP/2 too ---- */

/* What a head says besides the known headers. */
struct http_head_facts {
    int host_count, transfer_encoding_count;
    struct str transfer_encoding, expect;
};

/* Note a header that is known; the first counts. */
void http_note_header(struct http_known_headers *known, struct http_head_facts *facts,
                      const struct http_header *header);

/* What a Content-Encoding names; false: nothing that is known, see http_unknown_coding. */
bool http_find_coding(struct str text, enum http_coding *coding);
extern const struct http_refusal http_unknown_coding;

/* "/path?query" into path and query. */
void http_split_query(struct http_request *request, struct str target);

/* ---- */

/* The bytes end here (the client closed its half): BAD when they end inside a request. */
enum http_parse_event http_parser_end(struct http_parser *parser);

#endif
