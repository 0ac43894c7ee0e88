/* h2_limit.c - what a client may make us do without asking for anything.
 *
 * A connection has a store of calm. Frames that carry no request take from it (pings, settings,
 * window updates, resets, empty data, pieces of heads), requests and bytes that move give some
 * back, and time fills it. A client that works never gets near its end; one that sends nothing but
 * pings, or begins streams only to reset them (CVE-2023-44487), gets there in a moment. A head may
 * come in few pieces only (CVE-2024-27316).
 */
#include "base/check.h"
#include "net/h2_session.h"

enum { COST_FRAME = 1, COST_RESET = 4 };

void h2_credit(struct h2 *h2, int amount)
{
    h2->calm = h2->calm + amount < H2_CALM_MAX ? h2->calm + amount : H2_CALM_MAX;
}

static void refill(struct h2 *h2)
{
    uint64_t now = conn_now_ms(h2->conn);
    uint64_t passed_ms = now - h2->calm_ms;
    if (passed_ms < 1000 / H2_CALM_PER_SECOND)
        return;
    h2->calm_ms = now;
    h2_credit(h2, passed_ms > 10000 ? H2_CALM_MAX : (int)(passed_ms * H2_CALM_PER_SECOND / 1000));
}

static int cost_of(const nghttp2_frame_hd *hd)
{
    bool is_over = hd->flags & NGHTTP2_FLAG_END_STREAM;
    switch (hd->type) {
    case NGHTTP2_HEADERS:
        return 0;
    case NGHTTP2_DATA:
        return hd->length == 0 && !is_over ? COST_FRAME : 0;
    case NGHTTP2_RST_STREAM:
        return COST_RESET;
    default:
        return COST_FRAME;
    }
}

bool h2_charge(struct h2 *h2, const nghttp2_frame_hd *hd)
{
    int cost = cost_of(hd);
    if (hd->type == NGHTTP2_CONTINUATION) {
        if (++h2->continuation_count > H2_CONTINUATIONS_MAX)
            return false;
    } else {
        h2->continuation_count = 0;
    }
    if (cost == 0)
        return true;
    if (h2->calm < H2_CALM_MAX / 2)
        refill(h2);
    h2->calm -= cost;
    return h2->calm >= 0;
}

/* Exchanges whose client reset them are still at work. */
bool h2_has_room(const struct h2 *h2)
{
    const struct http_limits *limits = &h2->conn->thread->config->limits;
    return h2->stream_count + h2->conn->kept_count < limits->streams_max;
}
