/* load.h - load on an HTTP/1.1 server, with TLS or without: many prepared requests, and how long
 * each answer took.
 *
 *     closed loop (rate 0)  every connection sends its next request when the last one is answered
 *     open loop             `rate` requests a second fall due, whether or not earlier ones are
 *                           answered
 *
 * In the open loop a latency counts from the moment the request fell due, so a stall of the server
 * is seen by all requests that should have been sent during it, not by one (no coordinated
 * omission). Requests belong to groups, which take turns, so that what is compared runs through the
 * same moments.
 *
 * Runs on the calling thread with one connection a request under way; not for the server's threads.
 */
#ifndef SLIPWAY_NET_LOAD_H
#define SLIPWAY_NET_LOAD_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "net/http_client.h"

enum {
    LOAD_CONNECTIONS_MAX = 4096,
    LOAD_GROUPS_MAX = 4,
    LOAD_RATE_MAX = 10 * 1000 * 1000,
    LOAD_SECONDS_MAX = 24 * 3600,
    LOAD_ANSWERS_MAX = 64 * 1024 * 1024, /* whose latencies are kept one by one */
    LOAD_BLOCKS = 20,                    /* parts of a run that are compared with one another */
    LOAD_EXAMPLE_BYTES = 512,
};

struct load_config {
    struct str host; /* "127.0.0.1", "[::1]", a name */
    int port;
    bool is_tls; /* by the rules of `tls` */
    struct http_tls_client tls;
    int connections;            /* 1..LOAD_CONNECTIONS_MAX */
    double rate;                /* requests a second of all groups; 0: closed loop */
    int64_t warmup_ms;          /* sent and not counted */
    int64_t duration_ms;        /* after that */
    int64_t answer_timeout_ms;  /* past it a request has failed and its connection is closed */
    int group_count;            /* 1..LOAD_GROUPS_MAX */
    int request_count;          /* of each group */
    const struct str *requests; /* [group_count * request_count], head and body, group by group */
};

/* One answer. */
struct load_sample {
    uint32_t latency; /* in units of 100 ns; the longest is 429 s */
    uint8_t block;    /* 0..LOAD_BLOCKS: when it fell due */
};

struct load_group {
    int64_t sent, answered; /* replies of whatever status */
    int64_t not_2xx, broken, timed_out;
    int status;                       /* of the first reply that was not 2xx; 0: all were */
    char example[LOAD_EXAMPLE_BYTES]; /* how that reply's body began */
    int64_t sample_count;
    struct load_sample *samples; /* [sample_count] of 2xx replies, as they came */
};

struct load_result {
    double seconds; /* that were counted */
    struct load_group groups[LOAD_GROUPS_MAX];
};

/* ERR_UNAVAILABLE when the server cannot be reached, or stays away once it could; else the result
 * is whole and the caller frees it with load_result_done. */
enum err_code load_run(const struct load_config *config, struct load_result *result,
                       struct err *err);
void load_result_done(struct load_result *result);

/* ---- what samples say ---- */

/* Sort by latency; before the quantiles. */
void load_sort(struct load_group *group);

/* Nearest-rank quantile of sorted samples in microseconds; NaN when there are none. */
double load_quantile_us(const struct load_group *group, double q);

/* Quantile of b minus that of a in microseconds, and half of its 95 % interval, from the
 * differences in each of LOAD_BLOCKS parts of the run (batch means: parts are long, so that what
 * neighbouring requests share cancels out). NaN when a part has too few. */
struct load_difference {
    double value, half_width;
};
struct load_difference load_compare(const struct load_group *a, const struct load_group *b,
                                    double q);

#endif
