/* segment_writer.c - appending blocks to a segment file and sealing it. */
#include "monitor/segment_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hash.h"
#include "monitor/segment_own.h"
#include "monitor/segment_schema.h"

static enum err_code refuse(const char *what, const struct segment *segment, struct err *err)
{
    int reason = errno;
    char name[SEGMENT_NAME_BYTES];
    enum err_code code = reason == ENOSPC || reason == EDQUOT ? ERR_DISK_FULL : ERR_IO;
    return err_set(err, code, "%s predictions/%s: %s", what,
                   segment_name((int64_t)segment->head.number, name), strerror(reason));
}

static bool write_at(int fd, uint64_t offset, const void *bytes, size_t size)
{
    const char *from = bytes;
    while (size) {
        ssize_t done = pwrite(fd, from, size, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        from += done;
        offset += (uint64_t)done;
        size -= (size_t)done;
    }
    return true;
}

/* Only the writer moves the end, so it reads it without the lock. */
static void seal_head(struct segment_block_head *head, const struct segment *segment,
                      const char *body)
{
    head->magic = SEGMENT_BLOCK_MAGIC;
    head->offset = segment->end;
    head->body_crc = hash_crc32c(0, body, head->body_bytes);
    head->crc = segment_crc(head);
}

/* ---- schemas ---- */

static bool has_schema(const struct segment *segment, uint32_t serial)
{
    for (size_t i = 0; i < segment->index.schema_count; i++)
        if (segment->index.schemas[i].serial == serial)
            return true;
    return false;
}

static enum err_code add_schema(struct segment *segment, const struct record_schema *schema,
                                uint64_t taken, struct err *err)
{
    struct buf text;
    static const char zeros[SEGMENT_PART_BYTES];
    buf_init(&text, SEGMENT_SCHEMA_BYTES_MAX);
    buf_append(&text, zeros, sizeof(zeros));
    segment_schema_write(schema, &text);
    while (text.len % 8)
        buf_char(&text, ' '); /* nothing of the file is without a checksum */
    struct segment_block_head head = {
        .kind = SEGMENT_SCHEMA,
        .body_bytes = (uint32_t)(text.len - sizeof(zeros)),
        .record_count = schema->serial,
        .taken_before = taken,
        .taken_with = taken,
    };
    enum err_code rc = ERR_OK;
    if (text.is_full)
        rc = err_set(err, ERR_LIMIT, "the schema of '%s' is too large to be recorded",
                     schema->model);
    if (!rc) {
        seal_head(&head, segment, text.data + sizeof(head));
        memcpy(text.data, &head, sizeof(head));
        if (!write_at(segment->fd, segment->end, text.data, text.len))
            rc = refuse("writing", segment, err);
    }
    buf_done(&text);
    if (rc)
        return rc;
    pthread_mutex_lock(&segment->lock);
    segment_index_add_schema(&segment->index, segment->end, schema->serial);
    segment_note(segment, &head, 0);
    pthread_mutex_unlock(&segment->lock);
    return ERR_OK;
}

/* ---- records ---- */

static void note_places(struct segment *segment, const struct record_block *block, uint64_t body)
{
    for (size_t i = 0; i < block->ids.count; i++)
        segment_table_add(&segment->index.ids, block->ids.list[i].hash,
                          body + block->ids.list[i].at);
    for (size_t i = 0; i < block->keys.count; i++) {
        const struct record_place *key = &block->keys.list[i];
        segment_table_add(&segment->index.keys, key->hash,
                          (body + key->at) << SEGMENT_KEY_ROW_BITS | key->row);
    }
}

enum err_code segment_add(struct segment *segment, struct record_block *block, struct err *err)
{
    enum err_code rc = ERR_OK;
    assert(!segment->is_sealed && block->record_count);
    for (size_t i = 0; i < block->schema_count && !rc; i++)
        if (!has_schema(segment, block->schemas[i]->serial))
            rc = add_schema(segment, block->schemas[i], block->taken_before, err);
    if (rc)
        return rc;
    struct segment_block_head head = {
        .kind = SEGMENT_RECORDS,
        .body_bytes = (uint32_t)block->body_bytes,
        .record_count = block->record_count,
        .taken_before = block->taken_before,
        .taken_with = block->taken_with,
        .first_us = block->first_us,
        .last_us = block->last_us,
    };
    seal_head(&head, segment, record_block_body(block));
    memcpy(block->bytes, &head, sizeof(head));
    /* Records are whole multiples of 8, so there is nothing to fill up. */
    if (!write_at(segment->fd, segment->end, block->bytes, sizeof(head) + block->body_bytes))
        return refuse("writing", segment, err);
    pthread_mutex_lock(&segment->lock);
    note_places(segment, block, head.offset + SEGMENT_PART_BYTES);
    segment_note(segment, &head, block->row_count);
    pthread_mutex_unlock(&segment->lock);
    return ERR_OK;
}

/* ---- making and sealing ---- */

enum err_code segment_create(int dir_fd, const char *name, int64_t number, const uint64_t run[2],
                             int64_t created_us, struct segment **out, struct err *err)
{
    struct segment_head head = {
        .magic = SEGMENT_MAGIC,
        .number = (uint64_t)number,
        .created_us = created_us,
        .run = {run[0], run[1]},
    };
    head.crc = segment_crc(&head);
    int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        enum err_code code = errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_IO;
        return err_set(err, code, "making predictions/%s: %s", name, strerror(errno));
    }
    struct segment *segment = segment_new(fd, &head);
    if (!write_at(fd, 0, &head, sizeof(head))) {
        enum err_code rc = refuse("writing", segment, err);
        unlinkat(dir_fd, name, 0);
        segment_unref(segment);
        return rc;
    }
    *out = segment;
    return ERR_OK;
}

static void write_end(struct segment *segment, struct buf *out)
{
    static const char zeros[SEGMENT_PART_BYTES];
    buf_append(out, zeros, sizeof(zeros));
    segment_index_write(&segment->index, out);
    struct segment_block_head head = {
        .kind = SEGMENT_INDEX,
        .body_bytes = (uint32_t)(out->len - sizeof(head)),
        .taken_before = segment->taken_with,
        .taken_with = segment->taken_with,
    };
    struct segment_trailer trailer = {
        .magic = SEGMENT_END_MAGIC,
        .index_offset = segment->end,
        .record_count = segment->record_count,
        .row_count = segment->row_count,
        .first_us = segment->first_us,
        .last_us = segment->last_us,
        .taken_with = segment->taken_with,
    };
    trailer.crc = segment_crc(&trailer);
    if (out->is_full)
        return;
    seal_head(&head, segment, out->data + sizeof(head));
    memcpy(out->data, &head, sizeof(head));
    buf_append(out, &trailer, sizeof(trailer));
}

enum err_code segment_seal(struct segment *segment, struct err *err)
{
    struct buf end;
    assert(!segment->is_sealed);
    buf_init(&end, SEGMENT_BODY_BYTES_MAX);
    write_end(segment, &end);
    enum err_code rc = ERR_OK;
    if (end.is_full)
        rc = err_set(err, ERR_LIMIT, "the index of a segment is too large");
    else if (ftruncate(segment->fd, (off_t)segment->end) ||
             !write_at(segment->fd, segment->end, end.data, end.len))
        rc = refuse("sealing", segment, err);
    buf_done(&end);
    return rc;
}

enum err_code segment_sync(struct segment *segment, struct err *err)
{
    return fdatasync(segment->fd) ? refuse("syncing", segment, err) : ERR_OK;
}
