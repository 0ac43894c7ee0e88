/* request_cache.c - digests of requests, and answers as bytes:
 *
 *     head; per output: its dtype and shape, elements [to a multiple of 16]; reply parameters
 *
 * Texts are their lengths (u32), then the bytes of all. Outputs have no names: those of the version
 * in the order of its signature, as far as they were wanted.
 */
#include "serve/request_cache.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"

enum { FIRST_ROOM = 512, PART_ALIGN = 16 };

struct answer_head {
    uint32_t out_count, parameter_bytes;
    uint64_t unused;
};

struct answer_part {
    uint32_t dtype, rank;
    uint64_t bytes; /* of the elements */
    int64_t shape[TENSOR_RANK_MAX];
};
_Static_assert(sizeof(struct answer_head) % PART_ALIGN == 0, "elements are aligned");
_Static_assert(sizeof(struct answer_part) % PART_ALIGN == 0, "elements are aligned");

/* ---- what the caller says ---- */

/* "cache": false in the parameters of a request. */
static enum err_code read_parameter(const struct request *req, bool *is_refused, struct err *err)
{
    struct str text = {0};
    if (req->dialect->find_parameter)
        text = req->dialect->find_parameter(req, "cache");
    *is_refused = str_equal_c(text, "false");
    if (text.len == 0 || *is_refused || str_equal_c(text, "true"))
        return ERR_OK;
    err_set(err, ERR_INVALID, "cache: expected true or false, got '%.*s'",
            (int)(text.len < 40 ? text.len : 40), text.ptr);
    return err_hint(err, "it is the parameter 'cache' of a model with a response cache");
}

/* One directive of Cache-Control (RFC 9111, 5.2.1); those that are not about this are passed over.
 */
static void take_directive(struct request *req, struct str directive, int64_t now_ns)
{
    static const char max_age[] = "max-age=";
    const size_t len = sizeof(max_age) - 1;
    int64_t seconds;
    if (str_equal_nocase(directive, STR_LIT("no-store"))) {
        req->cache_plan = CACHE_NEITHER;
    } else if (str_equal_nocase(directive, STR_LIT("no-cache"))) {
        req->cache_plan = CACHE_RENEW;
    } else if (directive.len > len &&
               str_equal_nocase((struct str){directive.ptr, len}, STR_LIT("max-age=")) &&
               str_to_i64((struct str){directive.ptr + len, directive.len - len}, &seconds) &&
               seconds >= 0 && seconds < INT32_MAX) {
        int64_t since_ns = now_ns - seconds * 1000000000;
        if (seconds == 0)
            req->cache_plan = CACHE_RENEW;
        else if (since_ns > req->cache_since_ns)
            req->cache_since_ns = since_ns;
    }
}

static void read_header(struct request *req, int64_t now_ns)
{
    struct str rest = http_find_header(&req->exchange->request, "Cache-Control"), directive;
    while (rest.len && req->cache_plan != CACHE_NEITHER && str_split(&rest, ',', &directive))
        take_directive(req, str_trim(directive), now_ns);
}

static bool is_in_sequence(const struct request *req)
{
    struct str id = {0};
    if (req->dialect->find_parameter)
        id = req->dialect->find_parameter(req, "sequence_id");
    return id.len && !str_equal_c(id, "0");
}

/* Predicted on a bulk thread: too much to be asked for again. */
static bool is_bulk(const struct request *req)
{
    return req->is_large && req->loaded->signature->place == RUNTIME_INLINE;
}

/* ---- the digest ---- */

static void add_texts(struct hash_sip128 *sip, const struct str *texts, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        uint64_t len = texts[i].len;
        hash_sip128_add(sip, &len, sizeof(len));
        hash_sip128_add(sip, texts[i].ptr, texts[i].len);
    }
}

static void add_tensor(struct hash_sip128 *sip, const struct tensor *tensor)
{
    const int64_t head[3] = {tensor->data != NULL, tensor->dtype, tensor->rank};
    hash_sip128_add(sip, head, sizeof(head));
    if (!tensor->data)
        return;
    int64_t count = tensor_elements(tensor->shape, tensor->rank);
    hash_sip128_add(sip, tensor->shape, (size_t)tensor->rank * sizeof(*tensor->shape));
    if (tensor->dtype == DTYPE_BYTES)
        add_texts(sip, tensor->data, count);
    else
        hash_sip128_add(sip, tensor->data, (size_t)count * dtype_bytes(tensor->dtype));
}

/* Models that run inline are not shown the parameters. */
static struct str seen_parameters(const struct request *req)
{
    bool sees = req->loaded->signature->place == RUNTIME_LANE && req->dialect->parameters;
    return sees ? req->dialect->parameters(req) : (struct str){0};
}

static void digest_request(struct request *req)
{
    struct hash_sip128 sip;
    const struct loaded *loaded = req->loaded;
    struct str parameters = seen_parameters(req);
    const uint64_t head[4] = {loaded->serial, parameters.len, (uint64_t)req->in_count,
                              req->wanted != NULL};
    hash_sip128_begin(&sip, response_cache_key(req->endpoint->responses));
    hash_sip128_add(&sip, head, sizeof(head));
    hash_sip128_add(&sip, parameters.ptr, parameters.len);
    if (req->wanted)
        hash_sip128_add(&sip, req->wanted,
                        (size_t)loaded->signature->output_count * sizeof(*req->wanted));
    for (int i = 0; i < req->in_count; i++)
        add_tensor(&sip, &req->in[i]);
    hash_sip128_end(&sip, req->cache_digest);
}

enum err_code request_cache_plan(struct request *req, struct err *err)
{
    int64_t now_ns = clock_monotonic_ns(), ttl_us = req->endpoint->serving->cache_ttl_us;
    bool is_refused;
    if (req->loaded->signature->varies)
        return ERR_OK;
    enum err_code rc = read_parameter(req, &is_refused, err);
    if (rc)
        return rc;
    bool is_other = is_refused || req->is_streamed || is_bulk(req) || is_in_sequence(req);
    req->cache_plan = is_other ? CACHE_NEITHER : CACHE_USE;
    req->cache_since_ns = ttl_us ? now_ns - ttl_us * 1000 : INT64_MIN;
    read_header(req, now_ns);
    if (req->cache_plan != CACHE_NEITHER)
        digest_request(req);
    req->cache_ns = clock_monotonic_ns() - now_ns;
    return ERR_OK;
}

/* ---- an answer as bytes ---- */

static size_t round_up(size_t bytes)
{
    return (bytes + PART_ALIGN - 1) / PART_ALIGN * PART_ALIGN;
}

/* The next output, from `at` on, that an answer to this request has; output_count: none. */
static int next_output(const struct request *req, int at)
{
    const struct signature *sig = req->loaded->signature;
    while (at < sig->output_count &&
           !(req->wanted ? req->wanted[at] : !sig->outputs[at].is_on_request))
        at++;
    return at;
}

static size_t texts_bytes(const struct str *texts, int64_t count)
{
    size_t bytes = (size_t)count * sizeof(uint32_t);
    for (int64_t i = 0; i < count; i++)
        bytes += texts[i].len;
    return bytes;
}

static size_t elements_bytes(const struct tensor *tensor)
{
    int64_t count = tensor_elements(tensor->shape, tensor->rank);
    return tensor->dtype == DTYPE_BYTES ? texts_bytes(tensor->data, count)
                                        : (size_t)count * dtype_bytes(tensor->dtype);
}

/* 0: it is not what the signature says, or has no bytes. */
static size_t answer_bytes(const struct request *req)
{
    const struct signature *sig = req->loaded->signature;
    size_t bytes = sizeof(struct answer_head) + req->reply_parameters.len;
    int at = 0;
    for (int i = 0; i < req->out_count; i++, at++) {
        const struct tensor *tensor = &req->out[i];
        at = next_output(req, at);
        if (at == sig->output_count || !tensor->data ||
            strcmp(tensor->name, sig->outputs[at].name) != 0)
            return 0;
        bytes += sizeof(struct answer_part) + round_up(elements_bytes(tensor));
    }
    return next_output(req, at) == sig->output_count ? bytes : 0;
}

static void put_texts(char *to, const struct str *texts, int64_t count)
{
    char *bytes = to + (size_t)count * sizeof(uint32_t);
    for (int64_t i = 0; i < count; i++) {
        uint32_t len = (uint32_t)texts[i].len;
        memcpy(to + (size_t)i * sizeof(len), &len, sizeof(len));
        if (len)
            memcpy(bytes, texts[i].ptr, len);
        bytes += len;
    }
}

static char *put_part(char *to, const struct tensor *tensor)
{
    struct answer_part part = {.dtype = (uint32_t)tensor->dtype,
                               .rank = (uint32_t)tensor->rank,
                               .bytes = elements_bytes(tensor)};
    memcpy(part.shape, tensor->shape, (size_t)tensor->rank * sizeof(*part.shape));
    memcpy(to, &part, sizeof(part));
    to += sizeof(part);
    if (tensor->dtype == DTYPE_BYTES)
        put_texts(to, tensor->data, tensor_elements(tensor->shape, tensor->rank));
    else
        memcpy(to, tensor->data, part.bytes);
    memset(to + part.bytes, 0, round_up(part.bytes) - part.bytes);
    return to + round_up(part.bytes);
}

/* NULL: there is no room for a copy. */
static const char *pack_answer(const struct request *req, size_t bytes)
{
    char *packed = arena_alloc(req->arena, bytes);
    if (!packed)
        return NULL;
    const struct answer_head head = {(uint32_t)req->out_count, (uint32_t)req->reply_parameters.len,
                                     0};
    memcpy(packed, &head, sizeof(head));
    char *to = packed + sizeof(head);
    for (int i = 0; i < req->out_count; i++)
        to = put_part(to, &req->out[i]);
    if (head.parameter_bytes)
        memcpy(to, req->reply_parameters.ptr, head.parameter_bytes);
    return packed;
}

static bool take_texts(struct tensor *tensor, const char *at, struct arena *arena)
{
    int64_t count = tensor_elements(tensor->shape, tensor->rank);
    const char *bytes = at + (size_t)count * sizeof(uint32_t);
    struct str *texts = arena_calloc(arena, (size_t)count, sizeof(*texts));
    for (int64_t i = 0; texts && i < count; i++) {
        uint32_t len;
        memcpy(&len, at + (size_t)i * sizeof(len), sizeof(len));
        texts[i] = (struct str){bytes, len};
        bytes += len;
    }
    tensor->data = texts;
    return texts != NULL;
}

/* The tensors stay where they are, in the request's own copy. */
static bool unpack_answer(struct request *req, char *packed)
{
    const struct answer_head *head = (const struct answer_head *)(void *)packed;
    char *at = packed + sizeof(*head);
    int output = 0;
    for (uint32_t i = 0; i < head->out_count; i++, output++) {
        const struct answer_part *part = (const struct answer_part *)(void *)at;
        struct tensor *tensor = &req->out[i];
        output = next_output(req, output);
        at += sizeof(*part);
        *tensor = (struct tensor){.name = req->loaded->signature->outputs[output].name,
                                  .dtype = (enum dtype)part->dtype,
                                  .rank = (int)part->rank,
                                  .data = at};
        memcpy(tensor->shape, part->shape, sizeof(tensor->shape));
        if (tensor->dtype == DTYPE_BYTES && !take_texts(tensor, at, req->arena))
            return false;
        at += round_up(part->bytes);
    }
    req->out_count = (int)head->out_count;
    req->reply_parameters = (struct str){at, head->parameter_bytes};
    return true;
}

/* ---- on the way ---- */

static char *find(const struct request *req)
{
    struct response_cache *cache = req->endpoint->responses;
    size_t room = FIRST_ROOM, size = room;
    enum response_found found = RESPONSE_LARGER;
    /* Twice for a large answer; it may be replaced by a larger one in between. */
    for (int i = 0; found == RESPONSE_LARGER && i < 3; i++) {
        char *copy = arena_alloc(req->arena, size);
        room = size;
        if (!copy)
            return NULL;
        found = response_cache_find(cache, req->cache_digest, req->cache_since_ns, copy, &size);
        if (found == RESPONSE_FOUND)
            return copy;
        assert(found == RESPONSE_NONE || size > room);
    }
    return NULL;
}

bool request_cache_find(struct request *req)
{
    int64_t start_ns = clock_monotonic_ns();
    char *packed = find(req);
    req->is_cached = packed && unpack_answer(req, packed);
    req->cache_ns += clock_monotonic_ns() - start_ns;
    return req->is_cached;
}

static enum cache_result keep(const struct request *req, int64_t now_ns)
{
    if (req->cache_plan == CACHE_NEITHER || req->is_fallback)
        return CACHE_BYPASS;
    struct response_cache *cache = req->endpoint->responses;
    struct str answer = {.len = answer_bytes(req)};
    if (answer.len == 0)
        return CACHE_BYPASS;
    bool fits = answer.len <= response_cache_answer_bytes_max(cache);
    if (fits)
        answer.ptr = pack_answer(req, answer.len);
    if (answer.ptr || !fits) /* a larger one is counted there */
        response_cache_put(cache, req->cache_digest, req->loaded->serial, now_ns, answer);
    return CACHE_MISS;
}

void request_cache_end(struct request *req)
{
    struct version_stats *stats = &req->loaded->stats[req->thread->index];
    enum cache_result result = CACHE_HIT;
    if (!req->is_cached) {
        int64_t now_ns = clock_monotonic_ns();
        result = keep(req, now_ns);
        req->cache_ns += clock_monotonic_ns() - now_ns;
    }
    if (req->is_cached)
        counter_add(&stats->cached_row_count, (uint64_t)req->row_count);
    counter_add(&stats->cache_count[result], 1);
    counter_add(&stats->cache_ns[result], (uint64_t)req->cache_ns);
    http_add_header(&req->exchange->response, "X-Cache", str_of(cache_result_name(result)));
}
