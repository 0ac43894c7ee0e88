/* worker_sandbox.h - what a worker process may not do, put on before any of the user's code runs.
 *
 *     namespaces   a file system that has the interpreter, its packages and the model, read-only,
 *                  and a private /tmp of limited size; a network without a single interface
 *     identity     a user of its own when the server is root; no capability
 *     landlock     the same files again, by the kernel's other means; no TCP; no signals out
 *     seccomp      no sockets, no new processes, no tracing, no mounts, no namespaces, ...
 *     limits       memory, threads, open files, file size; no core dumps
 *
 * Each holds without the others. Called by the launcher (worker_launch.h), a process of its own
 * with one thread; nothing of it can be taken back.
 */
#ifndef SLIPWAY_RUNTIME_WORKER_SANDBOX_H
#define SLIPWAY_RUNTIME_WORKER_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum { SANDBOX_READS_MAX = 16 };

/* What holds, as bits. */
enum sandbox_part {
    SANDBOX_FILES = 1,    /* a file system of its own */
    SANDBOX_NETWORK = 2,  /* a network of its own, empty */
    SANDBOX_USER = 4,     /* a user of its own */
    SANDBOX_LANDLOCK = 8, /* files by landlock */
    SANDBOX_CALLS = 16,   /* dangerous system calls by seccomp */
    SANDBOX_LIMITS = 32,  /* resource limits */
    SANDBOX_PARTS = 6,
    /* Without these "require" refuses to start. */
    SANDBOX_REQUIRED = SANDBOX_LANDLOCK | SANDBOX_CALLS | SANDBOX_LIMITS,
};

enum sandbox_mode { SANDBOX_REQUIRE, SANDBOX_TRY, SANDBOX_OFF };

/* "files", "network", ...; of one bit. */
const char *sandbox_part_name(enum sandbox_part part);

struct sandbox {
    enum sandbox_mode mode;
    uid_t user;                           /* its own user when the server is root; 0: none */
    size_t memory_bytes;                  /* private memory */
    size_t tmp_bytes;                     /* of /tmp, and of one file */
    int threads_max;                      /* threads of the worker */
    const char *model;                    /* folder; SANDBOX_MODEL inside */
    const char *library;                  /* folder of slipway_worker; SANDBOX_LIBRARY inside */
    const char *tmp;                      /* private folder when there are no namespaces */
    const char *reads[SANDBOX_READS_MAX]; /* folders of the interpreter and its packages */
    int read_count;
};

#define SANDBOX_MODEL "/model"
#define SANDBOX_LIBRARY "/slipway"

/* Everything the kernel offers, in the right order. *parts has what holds; model, library and tmp
 * become the paths to use from now on. ERR_UNSUPPORTED names what is missing when mode says
 * SANDBOX_REQUIRE. `parent` is the process without which this one ends. */
enum err_code sandbox_enter(struct sandbox *sandbox, pid_t parent, unsigned *parts,
                            struct err *err);

/* ---- the parts, each in a file of its own ---- */

/* worker_space.c: SANDBOX_FILES and SANDBOX_NETWORK where the kernel lets us. */
unsigned sandbox_spaces(struct sandbox *sandbox);

/* worker_landlock.c, worker_seccomp.c: did it work? */
bool sandbox_landlock(const struct sandbox *sandbox);
bool sandbox_seccomp(void);

/* worker_space.c: folders and files of the system that every interpreter reads; NULL ends it. */
extern const char *const sandbox_system_reads[];

#endif
