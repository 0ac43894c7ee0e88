/* handover.h - how a running server is replaced by a new process without a gap.
 *
 *     old                                        new
 *     successor_start: fork, exec  ------------> predecessor_find: sockets, the folder's lock
 *     answers everybody                          reads options, loads models; answers too
 *     successor_hear            <--- "ready" --- predecessor_tell_ready
 *     accepts no more, drains, saves,
 *     ends                      ---- (eof) ----> the folder is its own
 *
 * They talk over a pair of sockets whose descriptor the new process finds in an environment
 * variable. The sockets that are listened on are inherited, so no connection that waits in one is
 * lost; so is the folder's lock, so there is no moment in which the folder is nobody's. Whatever
 * the new process dies of before it is ready, the old one goes on.
 */
#ifndef SLIPWAY_API_HANDOVER_H
#define SLIPWAY_API_HANDOVER_H

#include <sys/types.h>

#include "net/http_server.h"
#include "serve/snapshot.h"
#include "store/folder.h"

/* ---- the old process ---- */

struct successor {
    pid_t pid; /* 0: there is none */
    int fd;    /* to be polled */
    int64_t deadline_us;
};

/* Before anything changes the working folder: where this program was started from. */
void handover_remember_program(void);

struct successor_config {
    const struct http_socket *sockets; /* [socket_count]: it gets them */
    int socket_count;
    struct str tickets;              /* of http_server_tickets */
    const struct folder *folder;     /* and the lock of this one */
    const struct snapshot *snapshot; /* what answers here must answer there */
    int64_t timeout_ms;              /* until it must be ready */
};

/* Start the program that is there now with this process's own arguments. */
enum err_code successor_start(struct successor *successor, const struct successor_config *config,
                              struct err *err);

enum successor_word { SUCCESSOR_SILENT, SUCCESSOR_READY, SUCCESSOR_DEAD };

/* What it has said, or that it is late; `err` says how it died, and then it is gone. */
enum successor_word successor_hear(struct successor *successor, int64_t now_us, struct err *err);

/* It ends, ready or not. Nothing when there is none. */
void successor_kill(struct successor *successor);

/* The folder is free: what the successor waits for. */
void successor_release(struct successor *successor);

/* ---- the new process ---- */

struct predecessor {
    int fd;      /* to be polled: readable when the folder is free; -1: there is none */
    int lock_fd; /* the folder's; -1 once it was given away */
    pid_t pid;
    dev_t folder_dev;
    ino_t folder_ino;
    struct buf broken;  /* "\nMODEL\nMODEL\n": models that did not answer there either */
    struct buf tickets; /* for http_server_config; secret */
};

/* Who started this process, if a server did: its sockets are added to `inherited`. */
enum err_code predecessor_find(struct predecessor *predecessor, struct inherited *inherited,
                               struct err *err);

/* ERR_INVALID when the options name another data folder than the predecessor's. */
enum err_code predecessor_check_folder(const struct predecessor *predecessor, const char *data_dir,
                                       struct err *err);

/* ERR_UNAVAILABLE when a model's champion does not answer here and did there. */
enum err_code predecessor_check_models(const struct predecessor *predecessor,
                                       const struct snapshot *snapshot, struct err *err);

void predecessor_tell_ready(const struct predecessor *predecessor);

/* Is the folder free, in whatever way its process has ended? */
bool predecessor_has_let_go(const struct predecessor *predecessor);

/* It does not let go of the folder: end it. */
void predecessor_kill(const struct predecessor *predecessor);

void predecessor_close(struct predecessor *predecessor);

#endif
