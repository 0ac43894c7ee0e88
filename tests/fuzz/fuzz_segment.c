/* fuzz_segment.c - any bytes as a segment file: reading ends with records or an error.
 *
 * The first byte is not of the file: when it is even the checksums are made right, since nobody
 * guesses one.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hash.h"
#include "monitor/record_answer.h"
#include "monitor/segment_own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend_block(char *file, size_t offset, struct segment_block_head *head)
{
    head->magic = SEGMENT_BLOCK_MAGIC;
    head->offset = offset;
    head->body_crc = hash_crc32c(0, file + offset + SEGMENT_PART_BYTES, head->body_bytes);
    head->crc = segment_crc(head);
    memcpy(file + offset, head, sizeof(*head));
}

static void mend_trailer(char *file, size_t size)
{
    struct segment_trailer trailer;
    if (size < SEGMENT_PART_BYTES)
        return;
    memcpy(&trailer, file + size - sizeof(trailer), sizeof(trailer));
    if (memcmp(trailer.magic, SEGMENT_END_MAGIC, SEGMENT_MAGIC_BYTES) != 0)
        return;
    trailer.crc = segment_crc(&trailer);
    memcpy(file + size - sizeof(trailer), &trailer, sizeof(trailer));
}

/* As long as lengths fit, every block is one. */
static void mend(char *file, size_t size)
{
    struct segment_head head;
    struct segment_block_head block;
    if (size < sizeof(head))
        return;
    mend_trailer(file, size);
    memcpy(&head, file, sizeof(head));
    memcpy(head.magic, SEGMENT_MAGIC, SEGMENT_MAGIC_BYTES);
    head.number = 1;
    head.crc = segment_crc(&head);
    memcpy(file, &head, sizeof(head));
    for (size_t at = sizeof(head); at + sizeof(block) <= size;) {
        memcpy(&block, file + at, sizeof(block));
        if (block.body_bytes > size - at - sizeof(block))
            return;
        mend_block(file, at, &block);
        at += sizeof(block) + block.body_bytes;
    }
}

/* Every number and text is readable. */
static uint64_t touch(const struct record *record)
{
    uint64_t sum = 0;
    const struct record_schema *schema = record->schema;
    for (int64_t row = 0; row < record->row_count; row++) {
        struct record_answer answer;
        for (int i = 0; i < schema->value_count; i++)
            sum += record->values[row * schema->value_count + i] > 0;
        for (int i = 0; record->texts && i < schema->text_count; i++) {
            struct str text = record->texts[row * schema->text_count + i];
            sum += text.len ? (unsigned char)text.ptr[text.len - 1] : 0;
        }
        sum += record->is_suspect ? record->is_suspect[row] : 0;
        sum += record_answer_read(record, row, &answer);
    }
    return sum;
}

static void read_places(struct segment *segment, uint64_t hash, struct arena *arena)
{
    uint64_t places[8];
    struct record record;
    struct err err = {0};
    size_t count = segment_find(segment, SEGMENT_IDS, hash, 0, places, 8);
    for (size_t i = 0; i < count; i++)
        if (!segment_read_record(segment, places[i], arena, &record, &err))
            touch(&record);
    count = segment_find(segment, SEGMENT_KEYS, hash, 1, places, 8);
    for (size_t i = 0; i < count; i++)
        if (!segment_read_record(segment, places[i] >> SEGMENT_KEY_ROW_BITS, arena, &record, &err))
            touch(&record);
}

static void read_blocks(struct segment *segment, struct arena *arena)
{
    struct segment_buffer buffer = {0};
    struct segment_block block;
    struct record record;
    struct err err = {0};
    for (uint64_t at = segment_seek(segment, 1);
         !segment_read_block(segment, at, &buffer, &block, &err); at = block.next) {
        /* The first and whatever is in its place a little later. */
        for (uint64_t skip = 0; skip < 4; skip++)
            if (!segment_read_record(segment, at + SEGMENT_PART_BYTES + skip * 8, arena, &record,
                                     &err))
                touch(&record);
    }
    segment_buffer_done(&buffer);
}

static void read_segment(int dir_fd, const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct segment *segment;
    if (segment_open(dir_fd, 1, false, &segment, &err)) {
        assert(err.msg[0]);
        return;
    }
    struct segment_info info;
    struct arena *arena = arena_new(64 << 20);
    segment_info(segment, &info);
    assert(info.bytes + info.torn_bytes == size);
    if (segment_verify(segment, &err))
        assert(err.msg[0]);
    read_blocks(segment, arena);
    uint64_t hash = 0;
    memcpy(&hash, data, size < sizeof(hash) ? size : sizeof(hash));
    read_places(segment, hash, arena);
    read_places(segment, segment_hash(info.run, STR_LIT("request-1")), arena);
    arena_free(arena);
    segment_unref(segment);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/slipway-fuzz-XXXXXX", name[SEGMENT_NAME_BYTES];
    if (size < 1)
        return 0;
    char *file = malloc(size);
    assert(file && mkdtemp(path));
    memcpy(file, data + 1, size - 1);
    if (data[0] % 2 == 0)
        mend(file, size - 1);
    int dir_fd = open(path, O_RDONLY | O_DIRECTORY);
    int fd = openat(dir_fd, segment_name(1, name), O_WRONLY | O_CREAT, 0600);
    assert(write(fd, file, size - 1) == (ssize_t)(size - 1));
    close(fd);
    read_segment(dir_fd, data + 1, size - 1);
    unlinkat(dir_fd, name, 0);
    close(dir_fd);
    rmdir(path);
    free(file);
    return 0;
}
