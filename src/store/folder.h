/* folder.h - the data folder: its layout, its mode 0700, and the lock of the one process in it.
 *
 *     slipway-data/
 *       lock            held (flock) by the process that owns the folder; contains its pid
 *       slipway.sock    the owner's Unix socket
 *       slipway.db      control state (SQLite, WAL)
 *       blobs/          artifacts by SHA-256
 *       rollback.log    preallocated: rollbacks made while the disk was full
 *       rollout-N.evidence  what the guards of an active rollout have seen (evidence_file.h)
 *       rollout-N.shadow    what its shadow was compared by (serve/shadow.h)
 *       backups/        copies made before schema changes
 *       predictions/    records of answered predictions (monitor/segment_format.h)
 */
#ifndef SLIPWAY_STORE_FOLDER_H
#define SLIPWAY_STORE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct folder;

/* Open (and make, when `create`) the folder without locking it: is_locked tells whether a live
 * process holds it. ERR_DENIED when it belongs to another user, ERR_INVALID when it is not a
 * folder of ours (something else is in it). */
enum err_code folder_open(const char *path, bool create, struct folder **folder, struct err *err);
bool folder_is_locked(const struct folder *folder);

/* Become the owner, and make backups/. ERR_CONFLICT names the pid that has it. Held until
 * folder_close or death. */
enum err_code folder_lock(struct folder *folder, struct err *err);

/* The lock as a descriptor, which another process may inherit; -1 when it is not ours. */
int folder_lock_fd(const struct folder *folder);

/* Become the owner by a lock that was inherited; -1: by folder_lock. Takes `lock_fd`. */
enum err_code folder_adopt(struct folder *folder, int lock_fd, struct err *err);

const char *folder_path(const struct folder *folder); /* as given */
const char *folder_file(const struct folder *folder, const char *name, char *out, size_t out_bytes);
int folder_fd(const struct folder *folder);
void folder_close(struct folder *folder); /* NULL is allowed */

#endif
