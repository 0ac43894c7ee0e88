/* known_head.c - comparing a head with those remembered, and putting its texts in place. */
#include "net/known_head.h"

#include <stdlib.h>

#include "base/check.h"

/* After this many misses in a row only every so many heads are remembered: callers whose heads
 * always differ (a trace in each) shall not pay for it. */
enum { MISSES_PATIENT = 64, MISSES_PER_KEEP = 32 };

/*     POST /p HTTP/1.1 CRLF Host: h CRLF Content-Length: 392 CRLF CRLF
 *     |<----------- digits_at ------------------------->|   |        |
 *     |                                      digit_count ---'        |
 *     |<--------------------------- size --------------------------->|
 */
struct known_head {
    size_t size, digits_at;
    int digit_count; /* 0: no body, digits_at is size */
    enum http_coding coding;
    char text[KNOWN_HEAD_BYTES_MAX];
    struct http_request request; /* its texts lie in `text`; no more headers than header_count */
};

/* A head may hold a key, so how long this takes does not tell where they differ. */
static bool is_same(const char *restrict a, const char *restrict b, size_t size)
{
    unsigned char difference = 0;
    for (size_t i = 0; i < size; i++)
        difference |= (unsigned char)(a[i] ^ b[i]);
    return difference == 0;
}

static bool read_digits(const char *digits, int count, uint64_t *value)
{
    uint64_t number = 0;
    for (int i = 0; i < count; i++) {
        unsigned digit = (unsigned)digits[i] - '0';
        if (digit > 9)
            return false;
        number = number * 10 + digit;
    }
    *value = number;
    return true;
}

static bool is_begun_with(const char *bytes, size_t size, const struct known_head *head,
                          uint64_t *length)
{
    if (size < head->size || memcmp(bytes + head->size - 4, "\r\n\r\n", 4) != 0)
        return false;
    size_t behind = head->digits_at + (size_t)head->digit_count;
    return is_same(bytes, head->text, head->digits_at) &&
           is_same(bytes + behind, head->text + behind, head->size - behind) &&
           read_digits(bytes + head->digits_at, head->digit_count, length);
}

static int find(const struct known_heads *heads, const char *bytes, size_t size, uint64_t *length)
{
    for (int i = 0; i < heads->count; i++)
        if (is_begun_with(bytes, size, heads->heads[i], length))
            return i;
    return -1;
}

static void copy_request(struct http_request *to, const struct http_request *from)
{
    to->method = from->method;
    to->target = from->target;
    to->path = from->path;
    to->query = from->query;
    to->known = from->known;
    to->header_count = from->header_count;
    memcpy(to->headers, from->headers, (size_t)from->header_count * sizeof(*to->headers));
}

static void put_first(struct known_heads *heads, int index)
{
    struct known_head *head = heads->heads[index];
    for (; index > 0; index--)
        heads->heads[index] = heads->heads[index - 1];
    heads->heads[0] = head;
}

bool known_head_find(struct known_heads *heads, const char *bytes, size_t size,
                     struct http_message *message, size_t *head_bytes)
{
    uint64_t length = 0;
    int index = find(heads, bytes, size, &length);
    heads->misses = index < 0 ? heads->misses + 1 : 0;
    if (index < 0 || length > size - heads->heads[index]->size)
        return false;
    if (index > 0)
        put_first(heads, index);
    const struct known_head *head = heads->heads[0];
    copy_request(message->request, &head->request);
    http_request_move(message->request, head->text, bytes);
    message->content_length = length;
    message->has_body = length > 0;
    message->is_chunked = message->is_expecting_continue = message->is_http_1_0 = false;
    message->is_keeping_alive = true;
    message->coding = head->coding;
    *head_bytes = head->size;
    return true;
}

static bool is_worth_it(const struct known_heads *heads, size_t size,
                        const struct http_message *message)
{
    if (size > KNOWN_HEAD_BYTES_MAX || message->is_chunked || message->is_expecting_continue ||
        message->is_http_1_0 || !message->is_keeping_alive)
        return false;
    return heads->misses < MISSES_PATIENT || heads->misses % MISSES_PER_KEEP == 0;
}

/* The place of a new head: of its own, or that of the one found longest ago. */
static struct known_head *place_of_new(struct known_heads *heads)
{
    if (heads->count < KNOWN_HEADS_MAX) {
        struct known_head *head = malloc(sizeof(*head));
        if (!head)
            abort();
        heads->heads[heads->count++] = head;
    }
    put_first(heads, heads->count - 1);
    return heads->heads[0];
}

void known_head_keep(struct known_heads *heads, const char *bytes, size_t size,
                     const struct http_message *message)
{
    uint64_t number;
    struct str digits = http_find_header(message->request, "Content-Length");
    if (!is_worth_it(heads, size, message) || digits.len > KNOWN_LENGTH_DIGITS_MAX ||
        !read_digits(digits.ptr, (int)digits.len, &number) ||
        find(heads, bytes, size, &number) >= 0)
        return;
    struct known_head *head = place_of_new(heads);
    head->size = size;
    head->digits_at = digits.ptr ? (size_t)(digits.ptr - bytes) : size;
    head->digit_count = (int)digits.len;
    head->coding = message->coding;
    memcpy(head->text, bytes, size);
    copy_request(&head->request, message->request);
    http_request_move(&head->request, bytes, head->text);
}

void known_heads_done(struct known_heads *heads)
{
    for (int i = 0; i < heads->count; i++)
        free(heads->heads[i]);
    heads->count = 0;
}
