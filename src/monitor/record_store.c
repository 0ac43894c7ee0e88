/* record_store.c - the folder of segments: opened, listed, thrown away, counted. */
#include "monitor/record_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/rand.h"
#include "monitor/record_store_own.h"
#include "monitor/segment_writer.h"

#define FOLDER_NAME "predictions"
#define TEMPORARY_SUFFIX ".new"

const char *record_loss_name(enum record_loss loss)
{
    static const char *const names[LOSS_COUNT] = {"buffer_full", "disk_full", "crash"};
    assert((int)loss >= 0 && (int)loss < LOSS_COUNT);
    return names[loss];
}

/* ---- folder and secret ---- */

static enum err_code read_secret(struct record_store *store, struct err *err)
{
    struct buf text;
    int fd = openat(store->dir_fd, RECORD_SECRET_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open " FOLDER_NAME "/" RECORD_SECRET_NAME);
    enum err_code rc =
        file_read_fd(fd, FOLDER_NAME "/" RECORD_SECRET_NAME, REDACT_SECRET_BYTES, &text, err);
    if (!rc && text.len != REDACT_SECRET_BYTES)
        rc = err_set(err, ERR_IO, FOLDER_NAME "/" RECORD_SECRET_NAME " has %zu bytes instead of %d",
                     text.len, REDACT_SECRET_BYTES);
    if (!rc)
        memcpy(store->secret, text.data, sizeof(store->secret));
    else
        err_hint(err, "restore it from a backup; without it pseudonyms cannot be found again");
    buf_done(&text);
    close(fd);
    return rc;
}

/* What is missing is made; a disk too full for it is tried again before the first segment. */
enum err_code record_store_make_folder(struct record_store *store, struct err *err)
{
    if (store->is_made)
        return ERR_OK;
    if (store->dir_fd < 0 && mkdirat(store->config.folder_fd, FOLDER_NAME, 0700) && errno != EEXIST)
        return err_set_errno(err, errno, "cannot make the folder " FOLDER_NAME);
    if (store->dir_fd < 0)
        store->dir_fd = openat(store->config.folder_fd, FOLDER_NAME,
                               O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (store->dir_fd < 0)
        return err_set_errno(err, errno, "cannot open the folder " FOLDER_NAME);
    enum err_code rc = file_replace_at(store->dir_fd, RECORD_SECRET_NAME, store->secret,
                                       sizeof(store->secret), 0600, err);
    store->is_made = rc == ERR_OK;
    return rc;
}

static void choose_samples(struct record_store *store)
{
    char hex[PSEUDONYM_BYTES];
    redact_pseudonym(store->secret, STR_LIT("sample"), hex);
    str_unhex((struct str){hex, sizeof(hex)}, store->sample_key, sizeof(store->sample_key));
}

static enum err_code open_folder(struct record_store *store, struct err *err)
{
    struct stat st;
    rand_secret(store->secret, sizeof(store->secret));
    store->dir_fd = openat(store->config.folder_fd, FOLDER_NAME,
                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (store->dir_fd < 0 && errno != ENOENT)
        return err_set_errno(err, errno, "cannot open the folder " FOLDER_NAME);
    if (store->dir_fd >= 0 &&
        fstatat(store->dir_fd, RECORD_SECRET_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        store->is_made = true;
        return read_secret(store, err);
    }
    if (!store->config.recorder)
        return ERR_OK; /* in-process: nothing is kept, nothing is made */
    enum err_code rc = record_store_make_folder(store, err);
    return rc == ERR_DISK_FULL ? ERR_OK : rc;
}

static struct record_store *store_new(const struct record_store_config *config)
{
    pthread_condattr_t attributes;
    struct record_store *store = calloc(1, sizeof(*store));
    if (!store)
        abort();
    store->config = *config;
    store->dir_fd = -1;
    store->start_us = clock_monotonic_us();
    store->start_wall_us = clock_wall_us();
    store->scratch = arena_new(SIZE_MAX);
    pthread_rwlock_init(&store->list_lock, NULL);
    pthread_mutex_init(&store->files_lock, NULL);
    pthread_mutex_init(&store->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&store->wake, &attributes);
    pthread_cond_init(&store->flushed, &attributes);
    pthread_cond_init(&store->has_dirty, &attributes);
    pthread_cond_init(&store->has_room, &attributes);
    pthread_condattr_destroy(&attributes);
    return store;
}

enum err_code record_store_open(const struct record_store_config *config, struct record_store **out,
                                struct err *err)
{
    struct record_store *store = store_new(config);
    rand_secret(store->run, sizeof(store->run));
    enum err_code rc = open_folder(store, err);
    if (rc) {
        record_store_close(store);
        return rc;
    }
    choose_samples(store);
    if (config->recorder) {
        store->tally = record_tally_open(config->folder_fd, store->run, &store->last);
        if (!config->is_late)
            recorder_set_tally(config->recorder, store->tally);
    }
    *out = store;
    return ERR_OK;
}

struct record_tally *record_store_tally(struct record_store *store)
{
    return store->tally;
}

void record_store_close(struct record_store *store)
{
    if (!store)
        return;
    assert(!store->is_running);
    for (size_t i = 0; i < store->segment_count; i++)
        segment_unref(store->segments[i]);
    free(store->segments);
    for (struct record_block *block = store->waiting, *next; block; block = next) {
        next = block->next;
        record_block_free(block);
    }
    record_block_free(store->active);
    if (store->dir_fd >= 0)
        close(store->dir_fd);
    record_tally_close(store->tally);
    arena_free(store->scratch);
    pthread_rwlock_destroy(&store->list_lock);
    pthread_mutex_destroy(&store->files_lock);
    pthread_mutex_destroy(&store->lock);
    pthread_cond_destroy(&store->wake);
    pthread_cond_destroy(&store->flushed);
    pthread_cond_destroy(&store->has_dirty);
    pthread_cond_destroy(&store->has_room);
    free(store);
}

/* ---- the list ---- */

void record_store_append(struct record_store *store, struct segment *segment)
{
    struct segment_info info;
    segment_info(segment, &info);
    pthread_rwlock_wrlock(&store->list_lock);
    if (store->segment_count == store->segment_capacity) {
        store->segment_capacity = store->segment_capacity ? 2 * store->segment_capacity : 16;
        store->segments =
            realloc(store->segments, store->segment_capacity * sizeof(*store->segments));
        if (!store->segments)
            abort();
    }
    store->segments[store->segment_count++] = segment;
    if (info.number > store->last_number)
        store->last_number = info.number;
    pthread_rwlock_unlock(&store->list_lock);
}

static int64_t number_of(struct segment *segment)
{
    struct segment_info info;
    segment_info(segment, &info);
    return info.number;
}

void record_store_replace(struct record_store *store, struct segment *fresh)
{
    pthread_rwlock_wrlock(&store->list_lock);
    for (size_t i = 0; i < store->segment_count; i++) {
        if (number_of(store->segments[i]) != number_of(fresh))
            continue;
        segment_unref(store->segments[i]);
        store->segments[i] = fresh;
        fresh = NULL;
        break;
    }
    pthread_rwlock_unlock(&store->list_lock);
    segment_unref(fresh); /* it was removed meanwhile */
}

void record_store_remove(struct record_store *store, int64_t number)
{
    pthread_rwlock_wrlock(&store->list_lock);
    for (size_t i = 0; i < store->segment_count; i++) {
        if (number_of(store->segments[i]) != number)
            continue;
        segment_unref(store->segments[i]);
        store->segment_count--;
        memmove(&store->segments[i], &store->segments[i + 1],
                (store->segment_count - i) * sizeof(*store->segments));
        break;
    }
    pthread_rwlock_unlock(&store->list_lock);
}

struct segment *record_store_next(struct record_store *store, int64_t number)
{
    struct err err = {0};
    struct segment *found = NULL;
    if (record_store_load(store, &err))
        return NULL;
    pthread_rwlock_rdlock(&store->list_lock);
    for (size_t i = 0; i < store->segment_count && !found; i++)
        if (number_of(store->segments[i]) > number)
            found = store->segments[i];
    if (found)
        segment_ref(found);
    pthread_rwlock_unlock(&store->list_lock);
    return found;
}

/* ---- what is in the folder ---- */

static int compare_numbers(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Numbers of the segments, ascending; `numbers` is the caller's to free. What an interrupted
 * erasure left is removed. */
static enum err_code list_folder(struct record_store *store, int64_t **numbers, size_t *count,
                                 struct err *err)
{
    size_t capacity = 0;
    struct dirent *entry;
    int fd = openat(store->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir)
        return err_set_errno(err, errno, "cannot list the folder " FOLDER_NAME);
    while ((entry = readdir(dir))) {
        int64_t number = segment_number(entry->d_name);
        if (str_ends_with(str_of(entry->d_name), STR_LIT(TEMPORARY_SUFFIX)))
            unlinkat(store->dir_fd, entry->d_name, 0);
        if (!number)
            continue;
        if (*count == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            *numbers = realloc(*numbers, capacity * sizeof(**numbers));
            if (!*numbers)
                abort();
        }
        (*numbers)[(*count)++] = number;
    }
    closedir(dir);
    if (*count)
        qsort(*numbers, *count, sizeof(**numbers), compare_numbers);
    return ERR_OK;
}

/* A segment that a crash left: cut, sealed and opened again. One that cannot be sealed is read as
 * it is. */
static struct segment *recover(struct record_store *store, struct segment *torn)
{
    struct err err = {0};
    struct segment_info info;
    struct segment *sealed = NULL;
    segment_info(torn, &info);
    enum err_code rc = segment_seal(torn, &err);
    if (!rc)
        rc = segment_open(store->dir_fd, info.number, false, &sealed, &err);
    if (rc)
        log_warn("segment not sealed", "segment=%lld reason=%s", (long long)info.number, err.msg);
    log_info("segment recovered", "segment=%lld records=%llu rows=%llu torn_bytes=%llu",
             (long long)info.number, (unsigned long long)info.record_count,
             (unsigned long long)info.row_count, (unsigned long long)info.torn_bytes);
    if (rc)
        return torn;
    record_store_sync_later(store, torn); /* the same file */
    segment_unref(torn);
    return sealed;
}

static void load_one(struct record_store *store, int64_t number, bool *was_torn)
{
    char name[SEGMENT_NAME_BYTES];
    struct err err = {0};
    struct segment *segment;
    struct segment_info info;
    if (number > store->last_number)
        store->last_number = number; /* also of a file that cannot be read */
    if (segment_open(store->dir_fd, number, true, &segment, &err)) {
        log_error("segment not read", "segment=%s reason=%s", segment_name(number, name), err.msg);
        return;
    }
    segment_info(segment, &info);
    *was_torn = !info.is_sealed;
    record_store_append(store, info.is_sealed ? segment : recover(store, segment));
}

/* How many records the process before handed over that are in no file. */
static void count_loss(struct record_store *store, bool was_torn)
{
    uint64_t kept = 0;
    struct segment_info info;
    for (size_t i = 0; i < store->segment_count; i++) {
        segment_info(store->segments[i], &info);
        if (memcmp(info.run, store->last.run, sizeof(info.run)) == 0 && info.taken_with > kept)
            kept = info.taken_with;
    }
    uint64_t lost = store->last.record_count > kept ? store->last.record_count - kept : 0;
    if (store->last.is_known && (lost || was_torn)) {
        log_line(lost ? LOG_WARN : LOG_INFO, "prediction records counted after a crash",
                 "lost=%llu kept=%llu", (unsigned long long)lost, (unsigned long long)kept);
        pthread_mutex_lock(&store->lock);
        store->lost_records[LOSS_CRASH] = lost;
        pthread_mutex_unlock(&store->lock);
    } else if (was_torn && store->config.recorder) {
        log_warn("prediction records may be lost", "at_most_ms=%d reason=%s", 100,
                 "the process before did not end well and left no count");
    }
}

static enum err_code load(struct record_store *store, struct err *err)
{
    int64_t *numbers = NULL;
    size_t count = 0;
    bool is_torn = false, was_torn = false;
    enum err_code rc = store->dir_fd < 0 ? ERR_OK : list_folder(store, &numbers, &count, err);
    for (size_t i = 0; i < count && !rc; i++) {
        load_one(store, numbers[i], &is_torn);
        was_torn = was_torn || is_torn;
    }
    free(numbers);
    if (!rc)
        count_loss(store, was_torn);
    return rc;
}

enum err_code record_store_load(struct record_store *store, struct err *err)
{
    pthread_mutex_lock(&store->files_lock);
    enum err_code rc = store->is_loaded ? ERR_OK : load(store, err);
    store->is_loaded = store->is_loaded || !rc;
    pthread_mutex_unlock(&store->files_lock);
    return rc;
}

/* ---- what is too old or too much ---- */

/* The oldest sealed segment, if it has to go; its number. */
static int64_t expired(struct record_store *store)
{
    uint64_t bytes = 0;
    struct segment_info info, oldest = {0};
    /* A clock that is set while we run makes no record older. */
    int64_t now_us = store->start_wall_us + clock_monotonic_us() - store->start_us;
    int64_t before_us = now_us - store->config.keep_ms * 1000;
    pthread_rwlock_rdlock(&store->list_lock);
    for (size_t i = store->segment_count; i-- > 0;) {
        segment_info(store->segments[i], &info);
        bytes += info.bytes;
        oldest = info;
    }
    pthread_rwlock_unlock(&store->list_lock);
    bool is_old = oldest.record_count == 0 || oldest.last_us < before_us;
    if (!oldest.number || !oldest.is_sealed || (!is_old && bytes <= store->config.keep_bytes))
        return 0;
    log_info("segment deleted", "segment=%lld records=%llu reason=%s", (long long)oldest.number,
             (unsigned long long)oldest.record_count, is_old ? "age" : "quota");
    return oldest.number;
}

void record_store_expire(struct record_store *store)
{
    char name[SEGMENT_NAME_BYTES];
    int64_t number;
    pthread_mutex_lock(&store->files_lock);
    while ((number = expired(store))) {
        if (unlinkat(store->dir_fd, segment_name(number, name), 0) && errno != ENOENT) {
            log_error("segment not deleted", "segment=%s reason=%s", name, strerror(errno));
            break;
        }
        record_store_remove(store, number);
    }
    pthread_mutex_unlock(&store->files_lock);
}

void record_store_stats(struct record_store *store, struct record_store_stats *stats)
{
    struct segment_info info;
    memset(stats, 0, sizeof(*stats));
    pthread_mutex_lock(&store->lock);
    memcpy(stats->record_count, store->lost_records, sizeof(stats->record_count));
    memcpy(stats->row_count, store->lost_rows, sizeof(stats->row_count));
    stats->left_out_count = store->left_out_count;
    stats->buffered_bytes = store->buffered_bytes;
    stats->is_failing = store->is_failing;
    pthread_mutex_unlock(&store->lock);
    pthread_rwlock_rdlock(&store->list_lock);
    stats->segment_count = (int)store->segment_count;
    for (size_t i = 0; i < store->segment_count; i++) {
        segment_info(store->segments[i], &info);
        stats->bytes += info.bytes;
        if (info.record_count && (!stats->oldest_us || info.first_us < stats->oldest_us))
            stats->oldest_us = info.first_us;
    }
    pthread_rwlock_unlock(&store->list_lock);
    histogram_add_to(&store->write_seconds, &stats->write_seconds);
    histogram_add_to(&store->sync_seconds, &stats->sync_seconds);
}

struct str record_store_kept_text(const struct record_store *store,
                                  const struct record_column *column, struct str key, char *out)
{
    if (column->kept_as != KEPT_AS_PSEUDONYM)
        return key;
    redact_pseudonym(store->secret, key, out);
    return (struct str){out, PSEUDONYM_BYTES};
}

void record_store_secret(const struct record_store *store, uint8_t out[REDACT_SECRET_BYTES])
{
    memcpy(out, store->secret, sizeof(store->secret));
}
