/* rollback_log.c - rollbacks written in place into a file that has its room already.
 *
 * The file is written whole once, with zeros, so that a later write needs no new block. (A file
 * system that never writes in place cannot promise that; there an append may fail, and says so.)
 */
#include "registry/rollback_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "registry/registry_check.h"

enum {
    LOG_MAGIC = 0x53575242,
    CRC_FROM = 8,
    MODEL_BYTES = 64,
    ALIAS_BYTES = 64,
    ACTOR_BYTES = 128,
    REASON_BYTES = 216,
    PATH_BYTES = 4096,
};

#define LOG_NAME "rollback.log"
#define SQL_FOLDED "SELECT seq FROM folded_logs WHERE name = '" LOG_NAME "'"
#define SQL_REMEMBER                                                                               \
    "INSERT INTO folded_logs (name, seq) VALUES ('" LOG_NAME "', ?1) "                             \
    "ON CONFLICT (name) DO UPDATE SET seq = excluded.seq"

/* The bytes on disk; numbers are little-endian. */
struct slot {
    char magic[4];
    uint32_t crc;
    uint64_t seq, at_us, from, to;
    char model[MODEL_BYTES], alias[ALIAS_BYTES], actor[ACTOR_BYTES], reason[REASON_BYTES];
};
_Static_assert(sizeof(struct slot) == ROLLBACK_LOG_SLOT_BYTES, "a slot is drawn in the header");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "slots are written as they are in memory");

struct rollback_log {
    uint32_t magic;
    int fd;
    uint64_t next_seq;
    rollback_log_rollout_fn *fold_rollout; /* NULL: none are known */
    struct slot slots[ROLLBACK_LOG_SLOTS]; /* as they are on disk; seq 0: free */
};

static uint32_t crc_of(const struct slot *slot)
{
    return hash_crc32c(0, (const char *)slot + CRC_FROM, sizeof(*slot) - CRC_FROM);
}

static bool is_whole(const struct slot *slot)
{
    return memcmp(slot->magic, "SWRB", 4) == 0 && slot->seq != 0 && slot->crc == crc_of(slot);
}

static bool is_pending(const struct slot *slot)
{
    return slot->seq != 0 && slot->model[0] != '\0';
}

static enum err_code write_slot(struct rollback_log *log, int index, const struct slot *slot,
                                struct err *err)
{
    off_t offset = (off_t)index * ROLLBACK_LOG_SLOT_BYTES;
    ssize_t put;
    do
        put = pwrite(log->fd, slot, sizeof(*slot), offset);
    while (put < 0 && errno == EINTR);
    if (put == (ssize_t)sizeof(*slot))
        return ERR_OK;
    return err_set_errno(err, put < 0 ? errno : EIO, "cannot write " LOG_NAME);
}

static enum err_code sync_log(struct rollback_log *log, struct err *err)
{
    return fdatasync(log->fd) == 0 ? ERR_OK
                                   : err_set_errno(err, errno, "cannot make " LOG_NAME " durable");
}

/* ---- opening ---- */

/* A file that is too short was not finished when it was made; what it has is kept. */
static enum err_code preallocate(struct rollback_log *log, off_t have, struct err *err)
{
    static const struct slot empty;
    for (int i = (int)(have / ROLLBACK_LOG_SLOT_BYTES); i < ROLLBACK_LOG_SLOTS; i++) {
        if (write_slot(log, i, &empty, err))
            return err->code;
    }
    if (fsync(log->fd) != 0)
        return err_set_errno(err, errno, "cannot make " LOG_NAME " durable");
    return ERR_OK;
}

static enum err_code read_slots(struct rollback_log *log, struct err *err)
{
    size_t done = 0;
    char *bytes = (char *)log->slots;
    while (done < sizeof(log->slots)) {
        ssize_t got = pread(log->fd, bytes + done, sizeof(log->slots) - done, (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_set_errno(err, got < 0 ? errno : EIO, "cannot read " LOG_NAME);
        done += (size_t)got;
    }
    return ERR_OK;
}

/* What is torn becomes free; the next number is past all that were given. */
static void sort_out(struct rollback_log *log)
{
    uint64_t last = 0;
    for (int i = 0; i < ROLLBACK_LOG_SLOTS; i++) {
        struct slot *slot = &log->slots[i];
        if (!is_whole(slot))
            *slot = (struct slot){0};
        if (slot->seq > last)
            last = slot->seq;
    }
    log->next_seq = last + 1;
    uint64_t now_us = (uint64_t)clock_wall_us();
    if (log->next_seq < now_us)
        log->next_seq = now_us;
}

static enum err_code sync_folder_of(const char *path, struct err *err)
{
    char folder[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd >= 0 && fsync(fd) == 0 ? 0 : errno;
    if (fd >= 0)
        close(fd);
    return failed ? err_set_errno(err, failed, "cannot make %s durable", path) : ERR_OK;
}

static enum err_code load(struct rollback_log *log, const char *path, struct err *err)
{
    struct stat st;
    if (fstat(log->fd, &st) != 0)
        return err_set_errno(err, errno, "cannot look at %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is not a regular file", path);
    if (st.st_size < (off_t)sizeof(log->slots) &&
        (preallocate(log, st.st_size, err) || sync_folder_of(path, err)))
        return err->code;
    if (read_slots(log, err))
        return err->code;
    sort_out(log);
    return ERR_OK;
}

enum err_code rollback_log_open(const char *path, struct rollback_log **out, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open %s", path);
    struct rollback_log *log = calloc(1, sizeof(*log));
    if (!log)
        abort();
    log->magic = LOG_MAGIC;
    log->fd = fd;
    if (load(log, path, err)) {
        rollback_log_close(log);
        return err->code;
    }
    *out = log;
    return ERR_OK;
}

void rollback_log_close(struct rollback_log *log)
{
    if (!log)
        return;
    CHECK_MAGIC(log, LOG_MAGIC);
    close(log->fd);
    log->magic = 0;
    free(log);
}

void rollback_log_set_rollout(struct rollback_log *log, rollback_log_rollout_fn *fold)
{
    CHECK_MAGIC(log, LOG_MAGIC);
    log->fold_rollout = fold;
}

/* ---- appending ---- */

/* As much as fits, cut between characters; the rest of the field is zeros. */
static void put_text(char *field, size_t field_bytes, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    if (len > field_bytes) {
        len = field_bytes;
        while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
            len--;
    }
    memset(field, 0, field_bytes);
    if (len > 0)
        memcpy(field, text, len);
}

/* A slot that is neither waiting nor keeping the highest number; -1 when there is none. */
static int find_free(const struct rollback_log *log)
{
    for (int i = 0; i < ROLLBACK_LOG_SLOTS; i++) {
        if (!is_pending(&log->slots[i]))
            return i;
    }
    return -1;
}

enum err_code rollback_log_append(struct rollback_log *log, const char *model, const char *alias,
                                  int64_t from, int64_t to, const char *reason, const char *actor,
                                  struct err *err)
{
    struct slot slot = {.magic = {'S', 'W', 'R', 'B'},
                        .seq = log->next_seq,
                        .at_us = (uint64_t)clock_wall_us(),
                        .from = (uint64_t)from,
                        .to = (uint64_t)to};
    CHECK_MAGIC(log, LOG_MAGIC);
    assert(str_is_name(str_of(model)) && from > 0 && to > 0);
    assert(str_is_name(str_of(alias)) || strcmp(alias, ROLLBACK_LOG_ROLLOUT) == 0);
    int index = find_free(log);
    if (index < 0)
        return err_set(err, ERR_LIMIT, "all %d slots of " LOG_NAME " are taken",
                       ROLLBACK_LOG_SLOTS);
    put_text(slot.model, MODEL_BYTES, model);
    put_text(slot.alias, ALIAS_BYTES, alias);
    put_text(slot.actor, ACTOR_BYTES, actor);
    put_text(slot.reason, REASON_BYTES, reason);
    slot.crc = crc_of(&slot);
    if (write_slot(log, index, &slot, err) || sync_log(log, err))
        return err->code;
    log->slots[index] = slot;
    log->next_seq++;
    return ERR_OK;
}

int rollback_log_pending(const struct rollback_log *log)
{
    int count = 0;
    if (!log)
        return 0;
    CHECK_MAGIC(log, LOG_MAGIC);
    for (int i = 0; i < ROLLBACK_LOG_SLOTS; i++)
        count += is_pending(&log->slots[i]);
    return count;
}

/* ---- folding ---- */

static const char *get_text(const char *field, size_t field_bytes, char *out)
{
    size_t len = strnlen(field, field_bytes);
    memcpy(out, field, len);
    out[len] = '\0';
    return out;
}

/* The next waiting slot with a number above `seq`; NULL at the end. */
static const struct slot *next_slot(const struct rollback_log *log, uint64_t seq)
{
    const struct slot *next = NULL;
    for (int i = 0; i < ROLLBACK_LOG_SLOTS; i++) {
        const struct slot *slot = &log->slots[i];
        if (is_pending(slot) && slot->seq > seq && (!next || slot->seq < next->seq))
            next = slot;
    }
    return next;
}

static void log_skipped(const struct slot *slot, const char *model, const char *alias,
                        const char *why)
{
    log_warn("logged rollback skipped", "model=%s alias=%s from=%lld to=%lld reason=%s", model,
             alias, (long long)slot->from, (long long)slot->to, why);
}

struct slot_texts {
    char actor_name[ACTOR_BYTES + 1], reason[REASON_BYTES_MAX];
    struct actor actor;
};

static void read_texts(const struct slot *slot, struct slot_texts *texts)
{
    char reason[REASON_BYTES + 1], when[CLOCK_TEXT_BYTES];
    get_text(slot->reason, REASON_BYTES, reason);
    get_text(slot->actor, ACTOR_BYTES, texts->actor_name);
    texts->actor = (struct actor){.name = texts->actor_name, .via = LOG_NAME};
    snprintf(texts->reason, sizeof(texts->reason), "%s%s(made %s without the store)", reason,
             reason[0] ? " " : "", clock_format((int64_t)slot->at_us, when));
}

/* The alias stands where it stood when the rollback was made, or the rollback is history. */
static enum err_code fold_into_alias(struct store *store, const struct slot *slot,
                                     const char *model, const char *alias, struct arena *arena,
                                     struct err *err)
{
    struct slot_texts texts;
    struct alias now = {0};
    enum err_code code = alias_get(store, model, alias, arena, &now, err);
    if (code && code != ERR_NOT_FOUND)
        return code;
    if (code || now.version != (int64_t)slot->from || now.previous != (int64_t)slot->to) {
        log_skipped(slot, model, alias, code ? "the alias is gone" : "the alias has moved on");
        return ERR_OK;
    }
    read_texts(slot, &texts);
    return alias_rollback(store, model, alias, texts.reason, &texts.actor, &now, arena, err);
}

static enum err_code fold_into_rollout(const struct rollback_log *log, struct store *store,
                                       const struct slot *slot, const char *model, struct err *err)
{
    struct slot_texts texts;
    read_texts(slot, &texts);
    if (log->fold_rollout)
        return log->fold_rollout(store, model, (int64_t)slot->from, (int64_t)slot->to, texts.reason,
                                 &texts.actor, err);
    log_skipped(slot, model, ROLLBACK_LOG_ROLLOUT, "rollouts are not known here");
    return ERR_OK;
}

static enum err_code fold_slot(const struct rollback_log *log, struct store *store,
                               const struct slot *slot, struct err *err)
{
    char model[MODEL_BYTES + 1], alias[ALIAS_BYTES + 1];
    struct arena *arena = arena_new(64 * 1024);
    get_text(slot->model, MODEL_BYTES, model);
    get_text(slot->alias, ALIAS_BYTES, alias);
    enum err_code code = strcmp(alias, ROLLBACK_LOG_ROLLOUT) == 0
                             ? fold_into_rollout(log, store, slot, model, err)
                             : fold_into_alias(store, slot, model, alias, arena, err);
    arena_free(arena);
    return code;
}

enum err_code rollback_log_fold(struct rollback_log *log, struct store *store, struct err *err)
{
    int64_t folded = 0;
    const struct slot *slot;
    CHECK_MAGIC(log, LOG_MAGIC);
    if (registry_read_number(store, SQL_FOLDED, NULL, 0, 0, &folded, err))
        return err->code;
    uint64_t last = (uint64_t)folded;
    while ((slot = next_slot(log, last))) {
        if (fold_slot(log, store, slot, err))
            return err_wrap(err, "folding " LOG_NAME);
        last = slot->seq;
    }
    if (last == (uint64_t)folded)
        return ERR_OK;
    const struct store_value params[] = {STORE_INT((int64_t)last)};
    return store_exec(store, SQL_REMEMBER, params, 1, NULL, err);
}

/* The first slot keeps the highest number; it is written before the others are emptied. */
enum err_code rollback_log_clear(struct rollback_log *log, struct err *err)
{
    static const struct slot empty;
    struct slot mark = {.magic = {'S', 'W', 'R', 'B'}, .seq = log->next_seq - 1};
    CHECK_MAGIC(log, LOG_MAGIC);
    if (rollback_log_pending(log) == 0)
        return ERR_OK;
    mark.crc = crc_of(&mark);
    for (int i = 0; i < ROLLBACK_LOG_SLOTS; i++) {
        const struct slot *new = i == 0 ? &mark : &empty;
        if (i > 0 && log->slots[i].seq == 0)
            continue;
        if (write_slot(log, i, new, err))
            return err->code;
        log->slots[i] = *new;
    }
    return sync_log(log, err);
}
