/* loop.h - one libuv loop on one thread: messages from other threads, timers. */
#ifndef SLIPWAY_NET_LOOP_H
#define SLIPWAY_NET_LOOP_H

#include <stdint.h>

struct loop;
struct uv_loop_s;

/* Run fn(arg) on the loop's thread, soon, in order of posting. From any thread; never blocks and
 * never fails (the message is `node`, the caller's memory, until fn has it). */
struct loop_message {
    struct loop_message *next; /* loop's own */
    void (*fn)(struct loop_message *message);
};
void loop_post(struct loop *loop, struct loop_message *message);

/* The libuv loop, for code that runs on its thread. */
struct uv_loop_s *loop_uv(struct loop *loop);

/* A loop on a thread of its own, for the server's threads and for tests. */
struct loop *loop_new(const char *thread_name);
void loop_stop(struct loop *loop); /* ends the thread after the messages posted before; frees */

/* Is the calling thread the loop's? */
int loop_is_current(const struct loop *loop);

#endif
