/* segment.c - one segment file: its name, its head, opening it, walking through a torn one. */
#include "monitor/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hash.h"
#include "monitor/record_code.h"
#include "monitor/segment_own.h"

enum { CRC_BYTES = 60 };

/* ---- names and sums ---- */

const char *segment_name(int64_t number, char name[SEGMENT_NAME_BYTES])
{
    snprintf(name, SEGMENT_NAME_BYTES, "%010" PRId64 ".seg", number);
    return name;
}

int64_t segment_number(const char *name)
{
    int64_t number = 0;
    char expected[SEGMENT_NAME_BYTES];
    struct str text = str_of(name);
    if (!str_ends_with(text, STR_LIT(".seg")) ||
        !str_to_i64((struct str){name, text.len - 4}, &number) || number < 1)
        return 0;
    return strcmp(segment_name(number, expected), name) == 0 ? number : 0;
}

uint32_t segment_crc(const void *part)
{
    return hash_crc32c(0, part, CRC_BYTES);
}

uint64_t segment_hash(const uint64_t run[2], struct str text)
{
    return hash_sip(run, text.ptr, text.len);
}

enum err_code segment_refuse(const struct segment *segment, uint64_t offset, const char *what,
                             struct err *err)
{
    char name[SEGMENT_NAME_BYTES];
    err_set(err, ERR_IO, "predictions/%s is damaged at byte %" PRIu64 ": %s",
            segment_name((int64_t)segment->head.number, name), offset, what);
    return err_hint(err, "restore the file from a backup, or delete it to lose its records only");
}

/* Exactly `size` bytes. */
bool segment_read_at(int fd, uint64_t offset, void *bytes, size_t size)
{
    char *to = bytes;
    while (size) {
        ssize_t got = pread(fd, to, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return true;
}

/* ---- walking through a file without an index ---- */

static void index_keys(struct segment *segment, const struct record *record, uint64_t offset)
{
    const struct record_schema *schema = record->schema;
    for (int column = 0; record->texts && column < schema->text_count; column++) {
        if (!schema->texts[column].is_key)
            continue;
        for (int64_t row = 0; row < record->row_count; row++) {
            struct str key = record->texts[row * schema->text_count + column];
            if (key.ptr)
                segment_table_add(&segment->index.keys, segment_hash(segment->head.run, key),
                                  offset << SEGMENT_KEY_ROW_BITS | (uint64_t)row);
        }
    }
}

enum err_code segment_index_block_records(struct segment *segment, uint64_t offset,
                                          const char *body, size_t bytes, uint64_t *row_count,
                                          struct err *err)
{
    enum err_code rc = ERR_OK;
    struct arena *arena = arena_new(SIZE_MAX);
    *row_count = 0;
    for (size_t at = 0, size; at < bytes && !rc; at += size) {
        uint32_t serial;
        struct record record;
        const struct record_schema *schema;
        if (!record_peek(body + at, bytes - at, &size, &serial)) {
            rc = segment_refuse(segment, offset + SEGMENT_PART_BYTES + at, "no record begins here",
                                err);
            break;
        }
        rc = segment_schema(segment, serial, &schema, err);
        if (!rc)
            rc = record_decode(body + at, size, schema, arena, &record, err);
        if (rc)
            break;
        uint64_t place = offset + SEGMENT_PART_BYTES + at;
        segment_table_add(&segment->index.ids, segment_hash(segment->head.run, record.request_id),
                          place);
        index_keys(segment, &record, place);
        *row_count += (uint64_t)record.row_count;
        arena_reset(arena);
    }
    arena_free(arena);
    return rc;
}

void segment_note(struct segment *segment, const struct segment_block_head *head,
                  uint64_t row_count)
{
    if (head->kind == SEGMENT_RECORDS) {
        segment_index_add_block(&segment->index, &(struct segment_index_block){
                                                     .offset = head->offset,
                                                     .body_bytes = head->body_bytes,
                                                     .record_count = head->record_count,
                                                     .first_us = head->first_us,
                                                     .last_us = head->last_us,
                                                 });
        if (!segment->record_count || head->first_us < segment->first_us)
            segment->first_us = head->first_us;
        if (!segment->record_count || head->last_us > segment->last_us)
            segment->last_us = head->last_us;
        segment->record_count += head->record_count;
        segment->row_count += row_count;
        segment->taken_with = head->taken_with;
    }
    segment->end = head->offset + SEGMENT_PART_BYTES + head->body_bytes;
}

/* Take the block that was read into the index; false ends the walk. */
static bool take_block(struct segment *segment, const struct segment_block_head *head,
                       const char *body)
{
    struct err err = {0};
    uint64_t row_count = 0;
    if (head->kind == SEGMENT_SCHEMA)
        segment_index_add_schema(&segment->index, head->offset, head->record_count);
    else if (head->kind != SEGMENT_RECORDS ||
             segment_index_block_records(segment, head->offset, body, head->body_bytes, &row_count,
                                         &err))
        return false;
    segment_note(segment, head, row_count);
    return true;
}

/* Up to the first block that is not whole; what is behind it is torn. */
static void walk(struct segment *segment, uint64_t file_bytes)
{
    struct segment_buffer buffer = {0};
    struct segment_block_head head;
    struct err err = {0};
    segment->end = SEGMENT_FIRST_OFFSET;
    while (!segment_read_whole(segment, segment->end, file_bytes, &buffer, &head, &err) &&
           take_block(segment, &head, buffer.bytes))
        ;
    segment_buffer_done(&buffer);
    segment->torn_bytes = file_bytes - segment->end;
}

/* ---- opening ---- */

struct segment *segment_new(int fd, const struct segment_head *head)
{
    struct segment *segment = calloc(1, sizeof(*segment));
    if (!segment)
        abort();
    segment->magic = SEGMENT_MAGIC_NUMBER;
    segment->refs = 1;
    segment->fd = fd;
    segment->head = *head;
    segment->end = SEGMENT_FIRST_OFFSET;
    segment->schema_arena = arena_new(SIZE_MAX);
    pthread_mutex_init(&segment->lock, NULL);
    return segment;
}

void segment_ref(struct segment *segment)
{
    CHECK_MAGIC(segment, SEGMENT_MAGIC_NUMBER);
    atomic_fetch_add_explicit(&segment->refs, 1, memory_order_relaxed);
}

void segment_unref(struct segment *segment)
{
    if (!segment || atomic_fetch_sub_explicit(&segment->refs, 1, memory_order_acq_rel) > 1)
        return;
    CHECK_MAGIC(segment, SEGMENT_MAGIC_NUMBER);
    segment->magic = 0;
    close(segment->fd);
    segment_index_done(&segment->index);
    free(segment->schemas);
    arena_free(segment->schema_arena);
    pthread_mutex_destroy(&segment->lock);
    free(segment);
}

static bool index_fits(const struct segment_index_head *head, uint64_t bytes)
{
    const uint64_t entry = sizeof(struct segment_index_entry);
    if (head->id_count > bytes / entry || head->key_count > bytes / entry)
        return false;
    return bytes == sizeof(*head) +
                        (uint64_t)head->block_count * sizeof(struct segment_index_block) +
                        (uint64_t)head->schema_count * sizeof(struct segment_index_schema) +
                        (head->id_count + head->key_count) * entry;
}

/* A whole trailer behind a whole index? */
static bool read_trailer(struct segment *segment, uint64_t bytes)
{
    struct segment_trailer *trailer = &segment->trailer;
    struct segment_block_head head;
    if (bytes < 3 * SEGMENT_PART_BYTES ||
        !segment_read_at(segment->fd, bytes - SEGMENT_PART_BYTES, trailer, sizeof(*trailer)) ||
        memcmp(trailer->magic, SEGMENT_END_MAGIC, SEGMENT_MAGIC_BYTES) != 0 ||
        trailer->crc != segment_crc(trailer))
        return false;
    uint64_t at = trailer->index_offset, end = bytes - SEGMENT_PART_BYTES;
    return at >= SEGMENT_FIRST_OFFSET && at <= end - SEGMENT_PART_BYTES &&
           segment_read_at(segment->fd, at, &head, sizeof(head)) &&
           segment_block_head_is_good(&head, at, end) && head.kind == SEGMENT_INDEX &&
           at + SEGMENT_PART_BYTES + head.body_bytes == end &&
           head.body_bytes >= sizeof(segment->index_head) &&
           segment_read_at(segment->fd, at + SEGMENT_PART_BYTES, &segment->index_head,
                           sizeof(segment->index_head)) &&
           index_fits(&segment->index_head, head.body_bytes);
}

static void take_trailer(struct segment *segment, uint64_t bytes)
{
    const struct segment_trailer *trailer = &segment->trailer;
    segment->is_sealed = true;
    segment->end = bytes;
    segment->record_count = trailer->record_count;
    segment->row_count = trailer->row_count;
    segment->first_us = trailer->first_us;
    segment->last_us = trailer->last_us;
    segment->taken_with = trailer->taken_with;
}

static enum err_code read_head(int fd, int64_t number, struct segment_head *head, uint64_t *bytes,
                               struct err *err)
{
    struct stat st;
    char name[SEGMENT_NAME_BYTES];
    segment_name(number, name);
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        return err_set(err, ERR_IO, "predictions/%s is no file", name);
    *bytes = (uint64_t)st.st_size;
    if (!segment_read_at(fd, 0, head, sizeof(*head)) ||
        memcmp(head->magic, SEGMENT_MAGIC, SEGMENT_MAGIC_BYTES) != 0 ||
        head->crc != segment_crc(head) || head->number != (uint64_t)number)
        return err_set(err, ERR_IO, "predictions/%s is no segment of prediction records", name);
    return ERR_OK;
}

enum err_code segment_open(int dir_fd, int64_t number, bool may_write, struct segment **out,
                           struct err *err)
{
    char name[SEGMENT_NAME_BYTES];
    struct segment_head head;
    uint64_t bytes = 0;
    int flags = (may_write ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dir_fd, segment_name(number, name), flags);
    if (fd < 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "predictions/%s: %s", name,
                       strerror(errno));
    enum err_code rc = read_head(fd, number, &head, &bytes, err);
    if (rc) {
        close(fd);
        return rc;
    }
    struct segment *segment = segment_new(fd, &head);
    if (read_trailer(segment, bytes))
        take_trailer(segment, bytes);
    else
        walk(segment, bytes);
    *out = segment;
    return ERR_OK;
}

void segment_info(struct segment *segment, struct segment_info *info)
{
    pthread_mutex_lock(&segment->lock);
    *info = (struct segment_info){
        .number = (int64_t)segment->head.number,
        .created_us = segment->head.created_us,
        .run = {segment->head.run[0], segment->head.run[1]},
        .is_sealed = segment->is_sealed,
        .bytes = segment->end,
        .torn_bytes = segment->torn_bytes,
        .record_count = segment->record_count,
        .row_count = segment->row_count,
        .first_us = segment->first_us,
        .last_us = segment->last_us,
        .taken_with = segment->taken_with,
    };
    pthread_mutex_unlock(&segment->lock);
}

/* ---- copying ---- */

enum err_code segment_copy(struct segment *segment, struct buf *out, struct err *err)
{
    enum { CHUNK_BYTES = 64 * 1024 };
    struct segment_info info;
    char chunk[CHUNK_BYTES];
    segment_info(segment, &info);
    for (uint64_t offset = 0; offset < info.bytes;) {
        size_t size =
            info.bytes - offset < CHUNK_BYTES ? (size_t)(info.bytes - offset) : (size_t)CHUNK_BYTES;
        if (!segment_read_at(segment->fd, offset, chunk, size))
            return segment_refuse(segment, offset, "it cannot be read", err);
        buf_append(out, chunk, size);
        offset += size;
    }
    return out->is_full ? err_set(err, ERR_LIMIT, "a file of predictions is too large for a reply")
                        : ERR_OK;
}
