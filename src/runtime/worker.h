/* worker.h - one worker process: started, spoken to, ended.
 *
 * At any moment one thread owns a worker: the caller that took it from its pool, or the keeper
 * (worker_pool.h). Nothing here locks.
 *
 * The shared memory is a memfd without a name, sealed so that the worker cannot shrink it under our
 * hands; inputs stand at its start, outputs behind them. When it is too small a larger one takes
 * its place.
 */
#ifndef SLIPWAY_RUNTIME_WORKER_H
#define SLIPWAY_RUNTIME_WORKER_H

#include <stdbool.h>
#include <sys/types.h>

#include "runtime/python_settings.h"
#include "runtime/worker_frame.h"
#include "runtime/worker_log.h"

enum {
    WORKER_MEMORY_BYTES = 256 * 1024, /* at first */
    WORKER_READS_MAX = 8,
    WORKER_PATH_BYTES = 1024,
};

/* What every worker of a version is started with; constant. */
struct worker_plan {
    const struct python_settings *settings;
    const char *sandbox;                 /* "require", "try", "off" */
    const char *python;                  /* the interpreter */
    const char *packages;                /* a folder of packages; NULL: the interpreter's own */
    const char *model, *library, *tmp;   /* folders */
    const char *reads[WORKER_READS_MAX]; /* folders of the interpreter and its packages */
    int read_count;
    uid_t user; /* when the server is root */
};

struct worker {
    pid_t pid; /* 0: none, or it was waited for */
    int pid_fd, socket_fd, log_fd;
    char *memory; /* [memory_bytes] */
    size_t memory_bytes;
    uint64_t call; /* the last one's number */
    bool is_gone;  /* its end of the socket is closed */
    struct worker_lines lines;
};

/* Start a process and tell it what to load; it answers with WORKER_READY or WORKER_FAILED. Returns
 * at once. */
enum err_code worker_start(struct worker *worker, const struct worker_plan *plan, struct err *err);

/* A call: copy the inputs, send, wait for the answer, copy the outputs into call->arena.
 * ERR_UPSTREAM: the model's code failed, or the worker did; ERR_INVALID: the code says that the
 * input is wrong; ERR_TIMEOUT, ERR_CANCELLED: nobody waits any more, the worker still works.
 * *state says in which state the worker is left. */
enum worker_left {
    WORKER_IDLE,   /* ready for the next call */
    WORKER_AT_IT,  /* still in the call; its answer is to be thrown away */
    WORKER_BROKEN, /* has ended, or must be: it does not keep to the protocol */
};
enum err_code worker_call(struct worker *worker, const struct worker_plan *plan,
                          struct runtime_call *call, enum worker_left *left, struct err *err);

/* The next frame, if there is one now: *has_frame. ERR_UPSTREAM when the socket is closed or what
 * came is no frame. `buffer` has WORKER_FRAME_BYTES_MAX and holds the frame's text. */
enum err_code worker_receive(struct worker *worker, char *buffer, struct worker_frame *frame,
                             bool *has_frame, struct err *err);

/* Memory of at least so many bytes; what was in the old one is gone. */
enum err_code worker_grow(struct worker *worker, size_t bytes, struct err *err);

enum err_code worker_send(struct worker *worker, const struct worker_frame *frame, struct err *err);

/* "kind" and "message" of a WORKER_FAILED as an error: ERR_INVALID, ERR_UNSUPPORTED or
 * ERR_UPSTREAM. */
enum err_code worker_failure(const struct worker_frame *frame, struct err *err);

void worker_interrupt(struct worker *worker); /* what it does now is of no use any more */
void worker_kill(struct worker *worker);      /* before it was waited for */

/* It has ended and was waited for: close what we have of it. */
void worker_done(struct worker *worker);

/* Resident bytes of the process and the shared memory. */
size_t worker_memory_bytes(const struct worker *worker);

#endif
