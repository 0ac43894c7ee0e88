/* rollback_log.h - rollbacks made durable without free disk: a preallocated file of fixed slots.
 *
 * When the store cannot commit (disk full), a rollback is written here in place, synced, and
 * applied in memory. At start and as soon as the store can commit again, the slots are folded into
 * it in order and cleared. A slot is
 *
 *     offset  size  meaning
 *     0       4     "SWRB"
 *     4       4     CRC-32C of bytes 8..511
 *     8       8     sequence number, 1...; 0 in an empty slot
 *     16      8     wall time, us
 *     24      8     version rolled back from
 *     32      8     version rolled back to
 *     40      64    model name, NUL-padded
 *     104     64    alias name
 *     168     128   actor, NUL-padded; cut at a character when longer
 *     296     216   reason, likewise
 *
 * Numbers are little-endian. Sequence numbers start at the wall time in us and never come again, so
 * the store can remember the last one it has (table folded_logs) and a slot whose clearing failed
 * is not folded twice. Clearing leaves one slot without a model name, which keeps that number.
 */
#ifndef SLIPWAY_REGISTRY_ROLLBACK_LOG_H
#define SLIPWAY_REGISTRY_ROLLBACK_LOG_H

#include "registry/registry.h"

enum { ROLLBACK_LOG_SLOTS = 128, ROLLBACK_LOG_SLOT_BYTES = 512 };

struct rollback_log;

/* Open or preallocate `path` (mode 0600). A slot that a crash tore is empty. */
enum err_code rollback_log_open(const char *path, struct rollback_log **log, struct err *err);
void rollback_log_close(struct rollback_log *log);

/* A rollout that was taken back has this in place of an alias; `from` got the share, `to` answers
 * everybody. How it is folded is said by a higher layer, before the first fold. */
#define ROLLBACK_LOG_ROLLOUT "@rollout"
typedef enum err_code rollback_log_rollout_fn(struct store *store, const char *model, int64_t from,
                                              int64_t to, const char *reason,
                                              const struct actor *actor, struct err *err);
void rollback_log_set_rollout(struct rollback_log *log, rollback_log_rollout_fn *fold);

/* Durable after ERR_OK. ERR_LIMIT when all slots are taken. */
enum err_code rollback_log_append(struct rollback_log *log, const char *model, const char *alias,
                                  int64_t from, int64_t to, const char *reason, const char *actor,
                                  struct err *err);

/* Slots waiting to be folded; none when `log` is NULL. */
int rollback_log_pending(const struct rollback_log *log);

/* Bring them into the store, inside the caller's transaction (audit events included, `via`
 * "rollback.log"); a rollback whose alias has moved on since is skipped with a log line. After the
 * commit, call _clear. */
enum err_code rollback_log_fold(struct rollback_log *log, struct store *store, struct err *err);
enum err_code rollback_log_clear(struct rollback_log *log, struct err *err);

#endif
