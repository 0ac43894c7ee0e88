/* parking.h - calls for the control side that came before the data folder is this process's own.
 *
 *     send_to_pool -> parking_take --(the folder is ours)--> the pools
 *                          |--(too long, or it never comes)--> 503 with Retry-After
 */
#ifndef SLIPWAY_API_PARKING_H
#define SLIPWAY_API_PARKING_H

#include "api/api.h"

enum { PARKING_CALLS_MAX = 4096, PARKING_WAIT_MS = 30000 };

struct parking;
struct parking *parking_new(void);

/* Keep `call`, whose loop and message say how it is answered, for later. Data threads. */
enum parking_place {
    PARKING_OPEN, /* nobody waits any more: go on */
    PARKING_TAKEN,
    PARKING_FULL, /* too many wait, or it will never come: refuse it */
};
enum parking_place parking_take(struct parking *parking, struct call *call);

/* call->err says that the folder is not ours, and why nobody waits for it. */
enum err_code parking_refuse(struct call *call, const char *why);

/* Answer those that have waited for too long, or all, and take none any more. Any thread. */
void parking_expire(struct parking *parking, int64_t now_us);
void parking_refuse_all(struct parking *parking);

/* The folder is ours: everybody goes on, and nobody waits from now on. */
void parking_open(struct parking *parking, void (*go_on)(struct call *call));

void parking_free(struct parking *parking); /* NULL is allowed */

#endif
