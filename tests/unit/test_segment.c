/* test_segment.c - what was written is read back; what is torn or flipped is noticed, and nothing
 * before it is lost. */
#include "monitor/segment.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/record_code.h"
#include "monitor/segment_schema.h"
#include "monitor/segment_writer.h"
#include "record_fixture.h"
#include "test.h"

enum { BLOCK_RECORDS = 5 };

struct folder {
    char path[64];
    int fd;
};

static const uint64_t run[2] = {0x0123456789abcdef, 42};

static void begin(struct folder *f)
{
    *f = (struct folder){.path = "/tmp/slipway-segment-XXXXXX"};
    assert_non_null(mkdtemp(f->path));
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY);
    assert_true(f->fd >= 0);
}

static void end(struct folder *f)
{
    char name[SEGMENT_NAME_BYTES];
    for (int number = 1; number <= 3; number++)
        unlinkat(f->fd, segment_name(number, name), 0);
    close(f->fd);
    assert_int_equal(rmdir(f->path), 0);
}

/* Rows of record `number`: 1, 2, 3, 1, ... */
static int rows_of(int number)
{
    return 1 + number % 3;
}

static void write_records(struct folder *f, int64_t segment_number_, int count, bool is_sealed)
{
    struct err err = {0};
    struct segment *segment;
    char name[SEGMENT_NAME_BYTES];
    assert_int_equal(segment_create(f->fd, segment_name(segment_number_, name), segment_number_,
                                    run, 1, &segment, &err),
                     ERR_OK);
    for (int first = 0; first < count; first += BLOCK_RECORDS) {
        struct record_block *block = record_block_new();
        block->taken_before = (uint64_t)first;
        for (int i = first; i < first + BLOCK_RECORDS && i < count; i++) {
            struct fixture_record record;
            record_block_add(block, fixture_record_make(&record, i, rows_of(i)), run);
            block->taken_with = (uint64_t)i + 1;
        }
        assert_int_equal(segment_add(segment, block, &err), ERR_OK);
        record_block_free(block);
    }
    if (is_sealed)
        assert_int_equal(segment_seal(segment, &err), ERR_OK);
    segment_unref(segment);
}

/* Every record in order is record 0, 1, 2, ...; how many there are before the end or an error. */
static int read_records(struct segment *segment, enum err_code *end_code)
{
    struct segment_buffer buffer = {0};
    struct segment_block block;
    struct arena *arena = arena_new(SIZE_MAX);
    struct err err = {0};
    int count = 0;
    uint64_t offset = SEGMENT_FIRST_OFFSET;
    while (!(*end_code = segment_read_block(segment, offset, &buffer, &block, &err))) {
        offset = block.next;
        for (size_t at = 0, size; block.kind == SEGMENT_RECORDS && at < block.body_bytes;
             at += size) {
            uint32_t serial;
            struct record record;
            const struct record_schema *schema;
            assert_true(record_peek(block.body + at, block.body_bytes - at, &size, &serial));
            if (segment_schema(segment, serial, &schema, &err))
                goto done;
            assert_int_equal(record_decode(block.body + at, size, schema, arena, &record, &err),
                             ERR_OK);
            assert_string_equal(schema->model, "churn");
            fixture_assert_is(&record, count++);
        }
    }
done:
    segment_buffer_done(&buffer);
    arena_free(arena);
    return count;
}

static int rows_before(int count)
{
    int rows = 0;
    for (int i = 0; i < count; i++)
        rows += rows_of(i);
    return rows;
}

static void assert_holds(struct folder *f, int64_t number, int count, bool is_sealed)
{
    struct err err = {0};
    struct segment *segment;
    struct segment_info info;
    enum err_code end_code;
    assert_int_equal(segment_open(f->fd, number, false, &segment, &err), ERR_OK);
    segment_info(segment, &info);
    assert_int_equal(info.is_sealed, is_sealed);
    assert_int_equal(info.record_count, count);
    assert_int_equal(info.row_count, rows_before(count));
    assert_int_equal(info.taken_with, count);
    assert_int_equal(read_records(segment, &end_code), count);
    assert_int_equal(end_code, ERR_NOT_FOUND);
    if (segment_verify(segment, &err))
        fail_msg("%s", err.msg);
    segment_unref(segment);
}

static void a_segment_is_read_back_sealed_or_not(void **state)
{
    struct folder f;
    (void)state;
    begin(&f);
    write_records(&f, 1, 203, false);
    write_records(&f, 2, 203, true);
    assert_holds(&f, 1, 203, false);
    assert_holds(&f, 2, 203, true);
    end(&f);
}

static void assert_found(struct segment *segment, int number)
{
    char id[40];
    uint64_t places[4];
    struct record record;
    struct err err = {0};
    struct arena *arena = arena_new(SIZE_MAX);
    snprintf(id, sizeof(id), "request-%d", number);
    size_t found = segment_find(segment, SEGMENT_IDS, segment_hash(run, str_of(id)), 0, places, 4);
    assert_int_equal(found, 1);
    assert_int_equal(segment_read_record(segment, places[0], arena, &record, &err), ERR_OK);
    fixture_assert_is(&record, number);
    arena_free(arena);
}

/* Customer c-7 is in records 7, 57, 107, 157, with 2, 1, 3, 2 rows: 8 places, the newest first. */
static void assert_key_found(struct segment *segment)
{
    uint64_t places[16], again[16];
    struct record record;
    struct err err = {0};
    uint64_t hash = segment_hash(run, STR_LIT("c-7"));
    struct arena *arena = arena_new(SIZE_MAX);
    assert_int_equal(segment_find(segment, SEGMENT_KEYS, hash, 0, places, 16), 8);
    assert_int_equal(segment_find(segment, SEGMENT_KEYS, hash, 3, again, 2), 2);
    assert_int_equal(again[0], places[3]);
    assert_int_equal(again[1], places[4]);
    assert_int_equal(places[0] & 0xffffff, 1); /* row 1 of record 157 */
    assert_int_equal(segment_read_record(segment, places[0] >> 24, arena, &record, &err), ERR_OK);
    fixture_assert_is(&record, 157);
    assert_int_equal(segment_read_record(segment, places[7] >> 24, arena, &record, &err), ERR_OK);
    fixture_assert_is(&record, 7);
    arena_free(arena);
}

static void records_are_found_by_id_and_key(void **state)
{
    struct folder f;
    (void)state;
    begin(&f);
    for (int is_sealed = 0; is_sealed < 2; is_sealed++) {
        struct err err = {0};
        struct segment *segment;
        uint64_t place;
        write_records(&f, 1, 203, is_sealed);
        assert_int_equal(segment_open(f.fd, 1, false, &segment, &err), ERR_OK);
        for (int i = 0; i < 203; i++)
            assert_found(segment, i);
        assert_key_found(segment);
        uint64_t hash = segment_hash(run, STR_LIT("request-203"));
        assert_int_equal(segment_find(segment, SEGMENT_IDS, hash, 0, &place, 1), 0);
        segment_unref(segment);
    }
    end(&f);
}

/* Far more entries than one look at the file takes in, of few hashes and of many. */
static void the_index_on_disk_says_what_the_one_in_memory_said(void **state)
{
    enum { RECORDS = 5000 };
    struct folder f;
    struct err err = {0};
    struct segment *open_one, *sealed;
    (void)state;
    begin(&f);
    write_records(&f, 1, RECORDS, false);
    assert_int_equal(segment_open(f.fd, 1, true, &open_one, &err), ERR_OK);
    assert_int_equal(segment_seal(open_one, &err), ERR_OK);
    assert_int_equal(segment_open(f.fd, 1, false, &sealed, &err), ERR_OK);
    for (int i = 0; i < RECORDS + 100; i += 7) {
        char text[40];
        uint64_t a[256], b[256];
        snprintf(text, sizeof(text), "request-%d", i);
        uint64_t hash = segment_hash(run, str_of(text));
        size_t count = segment_find(open_one, SEGMENT_IDS, hash, 0, a, 256);
        assert_int_equal(count, i < RECORDS);
        assert_int_equal(segment_find(sealed, SEGMENT_IDS, hash, 0, b, 256), count);
        assert_memory_equal(a, b, count * sizeof(*a));
        snprintf(text, sizeof(text), "c-%d", i % 50);
        hash = segment_hash(run, str_of(text));
        count = segment_find(open_one, SEGMENT_KEYS, hash, 0, a, 256);
        assert_true(count > 150);
        assert_int_equal(segment_find(sealed, SEGMENT_KEYS, hash, 0, b, 256), count);
        assert_memory_equal(a, b, count * sizeof(*a));
    }
    segment_unref(open_one);
    segment_unref(sealed);
    end(&f);
}

/* ---- damage ---- */

struct bytes {
    char *bytes;
    size_t size;
};

static struct bytes slurp(struct folder *f, int64_t number)
{
    struct stat st;
    char name[SEGMENT_NAME_BYTES];
    int fd = openat(f->fd, segment_name(number, name), O_RDONLY);
    assert_int_equal(fstat(fd, &st), 0);
    struct bytes file = {malloc((size_t)st.st_size), (size_t)st.st_size};
    assert_int_equal(read(fd, file.bytes, file.size), (ssize_t)file.size);
    close(fd);
    return file;
}

/* The file is given number 1 by its head, whatever it is called. */
static void spill(struct folder *f, const char *bytes, size_t size)
{
    char name[SEGMENT_NAME_BYTES];
    unlinkat(f->fd, segment_name(1, name), 0); /* truncating one would wait for the disk */
    int fd = openat(f->fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

/* Cut at every byte: whole blocks stay, the rest is known to be torn. */
static void a_file_torn_anywhere_keeps_its_whole_blocks(void **state)
{
    struct folder f;
    (void)state;
    begin(&f);
    write_records(&f, 1, 4 * BLOCK_RECORDS, true);
    struct bytes file = slurp(&f, 1);
    int last = 0;
    for (size_t size = SEGMENT_PART_BYTES; size < file.size; size++) {
        struct err err = {0};
        struct segment *segment;
        struct segment_info info;
        enum err_code end_code;
        spill(&f, file.bytes, size);
        assert_int_equal(segment_open(f.fd, 1, false, &segment, &err), ERR_OK);
        segment_info(segment, &info);
        assert_false(info.is_sealed);
        assert_int_equal(info.bytes + info.torn_bytes, size);
        int count = read_records(segment, &end_code);
        assert_int_equal(end_code, ERR_NOT_FOUND);
        assert_int_equal(count, info.record_count);
        assert_true(count == last || count == last + BLOCK_RECORDS);
        last = count;
        segment_unref(segment);
    }
    assert_int_equal(last, 4 * BLOCK_RECORDS); /* without the trailer */
    free(file.bytes);
    end(&f);
}

static void a_torn_file_is_sealed_with_what_is_whole(void **state)
{
    struct folder f;
    struct err err = {0};
    struct segment *segment;
    (void)state;
    begin(&f);
    write_records(&f, 1, 4 * BLOCK_RECORDS, false);
    struct bytes file = slurp(&f, 1);
    spill(&f, file.bytes, file.size - 1);
    assert_int_equal(segment_open(f.fd, 1, true, &segment, &err), ERR_OK);
    assert_int_equal(segment_seal(segment, &err), ERR_OK);
    segment_unref(segment);
    assert_holds(&f, 1, 3 * BLOCK_RECORDS, true);
    free(file.bytes);
    end(&f);
}

/* Nothing that is read differs from what was written, and verifying says no. */
static void a_flipped_bit_is_noticed(void **state)
{
    struct folder f;
    int noticed = 0;
    (void)state;
    begin(&f);
    write_records(&f, 1, 2 * BLOCK_RECORDS, true);
    struct bytes file = slurp(&f, 1);
    for (size_t i = 0; i < file.size; i++) {
        struct err err = {0};
        struct segment *segment;
        enum err_code end_code;
        file.bytes[i] = (char)(file.bytes[i] ^ (1 << i % 8));
        spill(&f, file.bytes, file.size);
        file.bytes[i] = (char)(file.bytes[i] ^ (1 << i % 8));
        if (segment_open(f.fd, 1, false, &segment, &err)) {
            noticed++;
            continue;
        }
        struct segment_info info;
        segment_info(segment, &info);
        read_records(segment, &end_code);
        noticed += !info.is_sealed || segment_verify(segment, &err) != ERR_OK;
        segment_unref(segment);
    }
    assert_true(noticed >
                (int)file.size - 16); /* a schema's and the index's last 7 bytes at most */
    free(file.bytes);
    end(&f);
}

static void what_is_no_segment_is_refused(void **state)
{
    struct folder f;
    struct err err = {0};
    struct segment *segment = NULL;
    (void)state;
    begin(&f);
    assert_int_equal(segment_open(f.fd, 1, false, &segment, &err), ERR_NOT_FOUND);
    spill(&f, "SLIPSEG", 7);
    assert_int_equal(segment_open(f.fd, 1, false, &segment, &err), ERR_IO);
    write_records(&f, 1, 5, true);
    char from[SEGMENT_NAME_BYTES], to[SEGMENT_NAME_BYTES];
    assert_int_equal(renameat(f.fd, segment_name(1, from), f.fd, segment_name(2, to)), 0);
    assert_int_equal(segment_open(f.fd, 2, false, &segment, &err), ERR_IO); /* says it is 1 */
    assert_null(segment);
    end(&f);
}

static void a_file_name_gives_its_number(void **state)
{
    char name[SEGMENT_NAME_BYTES];
    (void)state;
    assert_string_equal(segment_name(42, name), "0000000042.seg");
    assert_int_equal(segment_number("0000000042.seg"), 42);
    assert_int_equal(segment_number("42.seg"), 0);
    assert_int_equal(segment_number("0000000000.seg"), 0);
    assert_int_equal(segment_number("0000000042.seg.new"), 0);
    assert_int_equal(segment_number("secret"), 0);
}

static void a_schema_is_the_same_after_json(void **state)
{
    struct buf first, second;
    const struct record_schema *schema;
    struct record_column texts[2];
    struct err err = {0};
    (void)state;
    memcpy(texts, fixture_texts, sizeof(texts));
    texts[0].kept_as = KEPT_AS_PSEUDONYM;
    texts[1].kept_as = KEPT_AS_NOTHING;
    struct record_schema original = fixture_schema;
    original.texts = texts;
    struct arena *arena = arena_new(SIZE_MAX);
    buf_init(&first, 1 << 20);
    buf_init(&second, 1 << 20);
    segment_schema_write(&original, &first);
    assert_int_equal(segment_schema_read(buf_view(&first), arena, &schema, &err), ERR_OK);
    segment_schema_write(schema, &second);
    assert_string_equal(buf_c(&first), buf_c(&second));
    assert_int_equal(schema->texts[0].kept_as, KEPT_AS_PSEUDONYM);
    assert_true(schema->texts[0].is_key);
    assert_true(str_equal_c(schema->values[2].categories[1], "plus"));
    assert_true(str_equal_c(schema->class_names[1], "leaves"));
    assert_int_equal(segment_schema_read(STR_LIT("{}"), arena, &schema, &err), ERR_IO);
    assert_int_equal(segment_schema_read(STR_LIT("{"), arena, &schema, &err), ERR_IO);
    buf_done(&first);
    buf_done(&second);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_is_read_back_sealed_or_not),
        cmocka_unit_test(records_are_found_by_id_and_key),
        cmocka_unit_test(the_index_on_disk_says_what_the_one_in_memory_said),
        cmocka_unit_test(a_file_torn_anywhere_keeps_its_whole_blocks),
        cmocka_unit_test(a_torn_file_is_sealed_with_what_is_whole),
        cmocka_unit_test(a_flipped_bit_is_noticed),
        cmocka_unit_test(what_is_no_segment_is_refused),
        cmocka_unit_test(a_file_name_gives_its_number),
        cmocka_unit_test(a_schema_is_the_same_after_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
