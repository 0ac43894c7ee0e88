/* test_rollback_log.c - rollbacks beside the store: bytes, torn slots, folding once. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "registry/rollback_log.h"
#include "store_fixture.h"

struct log_fixture {
    struct fixture *f;
    struct rollback_log *log;
    char path[128];
};

static void open_log(struct log_fixture *l)
{
    assert_ok(l->f, rollback_log_open(l->path, &l->log, &l->f->err));
}

static void reopen_log(struct log_fixture *l)
{
    rollback_log_close(l->log);
    open_log(l);
}

/* Model "churn", versions 1 to 3, champion 1 <- 2 <- 3. */
static void make_champion(struct fixture *f)
{
    struct alias alias;
    assert_ok(f, model_ensure(f->store, "churn", "me", NULL, &tester, &f->err));
    for (int i = 1; i <= 3; i++) {
        struct version v = {.model = "churn", .runtime = "trees"};
        memset(v.artifact.hex, '0' + i, SHA256_HEX_BYTES);
        assert_ok(f, version_create(f->store, &v, &tester, &f->err));
        assert_ok(f, alias_set(f->store, "churn", ALIAS_CHAMPION, i, -1, NULL, &tester, &alias,
                               f->arena, &f->err));
    }
}

static int setup_log(void **state)
{
    struct log_fixture *l = calloc(1, sizeof(*l));
    l->f = fixture_new();
    open_store(l->f);
    make_champion(l->f);
    snprintf(l->path, sizeof(l->path), "%s/rollback.log", l->f->path);
    open_log(l);
    *state = l;
    return 0;
}

static int teardown_log(void **state)
{
    struct log_fixture *l = *state;
    rollback_log_close(l->log);
    rollback_log_close(NULL);
    fixture_free(l->f);
    free(l);
    return 0;
}

static void append(struct log_fixture *l, int64_t from, int64_t to)
{
    assert_ok(l->f, rollback_log_append(l->log, "churn", ALIAS_CHAMPION, from, to, "worse",
                                        "key:ci", &l->f->err));
}

static void fold(struct log_fixture *l)
{
    struct fixture *f = l->f;
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, rollback_log_fold(l->log, f->store, &f->err));
    assert_ok(f, store_commit(f->store, &f->err));
}

static struct alias champion(struct log_fixture *l)
{
    struct alias alias;
    assert_ok(l->f,
              alias_get(l->f->store, "churn", ALIAS_CHAMPION, l->f->arena, &alias, &l->f->err));
    return alias;
}

static void read_file(struct log_fixture *l, unsigned char *bytes, size_t size)
{
    int fd = open(l->path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, bytes, size), (ssize_t)size);
    close(fd);
}

static void write_at(struct log_fixture *l, long at, const void *bytes, size_t size)
{
    int fd = open(l->path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, at), (ssize_t)size);
    close(fd);
}

static void the_file_is_whole_and_private_from_the_start(void **state)
{
    struct log_fixture *l = *state;
    struct stat st;
    assert_int_equal(stat(l->path, &st), 0);
    assert_int_equal(st.st_size, 65536);
    assert_int_equal(st.st_blocks * 512, 65536); /* every block is allocated */
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(rollback_log_pending(l->log), 0);
}

/* The drawing in rollback_log.h, byte by byte. */
static void a_slot_has_the_documented_bytes(void **state)
{
    struct log_fixture *l = *state;
    unsigned char slot[512];
    uint64_t number;
    uint32_t crc;
    clock_set_for_test(-1, 1700000000000000);
    append(l, 3, 2);
    clock_set_for_test(-1, -1);
    read_file(l, slot, sizeof(slot));
    assert_memory_equal(slot, "SWRB", 4);
    memcpy(&crc, slot + 4, 4);
    assert_int_equal(crc, hash_crc32c(0, slot + 8, 504));
    memcpy(&number, slot + 8, 8);
    assert_true(number > 0);
    memcpy(&number, slot + 16, 8);
    assert_int_equal(number, 1700000000000000);
    memcpy(&number, slot + 24, 8);
    assert_int_equal(number, 3);
    memcpy(&number, slot + 32, 8);
    assert_int_equal(number, 2);
    assert_string_equal((char *)slot + 40, "churn");
    assert_string_equal((char *)slot + 104, "champion");
    assert_string_equal((char *)slot + 168, "key:ci");
    assert_string_equal((char *)slot + 296, "worse");
    assert_int_equal(slot[511], 0);
}

static void what_was_appended_survives_and_is_folded_in_order(void **state)
{
    struct log_fixture *l = *state;
    struct fixture *f = l->f;
    struct audit_event *events;
    int count;
    append(l, 3, 2);
    append(l, 2, 1);
    assert_int_equal(rollback_log_pending(l->log), 2);
    reopen_log(l);
    assert_int_equal(rollback_log_pending(l->log), 2);
    fold(l);
    assert_int_equal(champion(l).version, 1);
    assert_int_equal(champion(l).previous, 0);
    assert_ok(f, rollback_log_clear(l->log, &f->err));
    assert_int_equal(rollback_log_pending(l->log), 0);
    reopen_log(l);
    assert_int_equal(rollback_log_pending(l->log), 0);
    assert_ok(f, audit_list(f->store, "", 7, 10, f->arena, &events, &count, &f->err));
    assert_int_equal(count, 2); /* model, three versions, three moves came before */
    assert_string_equal(events[0].action, "alias.rollback");
    assert_string_equal(events[0].actor, "key:ci");
    assert_string_equal(events[0].via, "rollback.log");
    assert_non_null(strstr(events[0].after, "worse (made 20"));
}

/* The store committed, the log could not be cleared; meanwhile the champion is 3 again. */
static void a_slot_that_was_not_cleared_is_not_folded_twice(void **state)
{
    struct log_fixture *l = *state;
    struct fixture *f = l->f;
    struct alias alias;
    append(l, 3, 2);
    fold(l);
    assert_int_equal(champion(l).version, 2);
    assert_ok(f, alias_set(f->store, "churn", ALIAS_CHAMPION, 3, -1, NULL, &tester, &alias,
                           f->arena, &f->err));
    reopen_log(l);
    assert_int_equal(rollback_log_pending(l->log), 1);
    fold(l);
    assert_int_equal(champion(l).version, 3);
    append(l, 3, 2); /* a new one is */
    fold(l);
    assert_int_equal(champion(l).version, 2);
}

/* Numbers go on after a clearing, also when the clock was set back meanwhile. */
static void a_rollback_after_a_clearing_is_folded(void **state)
{
    struct log_fixture *l = *state;
    append(l, 3, 2);
    fold(l);
    assert_ok(l->f, rollback_log_clear(l->log, &l->f->err));
    clock_set_for_test(-1, 1000);
    reopen_log(l);
    append(l, 2, 1);
    clock_set_for_test(-1, -1);
    reopen_log(l);
    assert_int_equal(rollback_log_pending(l->log), 1);
    fold(l);
    assert_int_equal(champion(l).version, 1);
}

static void a_rollback_that_history_has_overtaken_is_skipped(void **state)
{
    struct log_fixture *l = *state;
    struct fixture *f = l->f;
    append(l, 2, 1);
    fold(l);
    assert_int_equal(champion(l).version, 3);
    append(l, 3, 1);
    fold(l);
    assert_int_equal(champion(l).version, 3);
    append(l, 3, 2);
    assert_ok(f, alias_delete(f->store, "churn", ALIAS_CHAMPION, -1, NULL, &tester, &f->err));
    fold(l);
    assert_ok(f, rollback_log_append(l->log, "gone", "champion", 2, 1, NULL, "key:ci", &f->err));
    fold(l);
    assert_ok(f, rollback_log_clear(l->log, &f->err));
    assert_int_equal(rollback_log_pending(l->log), 0);
}

static void what_is_not_committed_is_folded_again(void **state)
{
    struct log_fixture *l = *state;
    struct fixture *f = l->f;
    append(l, 3, 2);
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, rollback_log_fold(l->log, f->store, &f->err));
    store_rollback(f->store);
    assert_int_equal(champion(l).version, 3);
    fold(l);
    assert_int_equal(champion(l).version, 2);
}

/* A crash tears a write anywhere; the slot is then empty and its neighbours are whole. */
static void a_torn_slot_is_empty(void **state)
{
    struct log_fixture *l = *state;
    unsigned char whole[512];
    static const unsigned char zeros[512];
    append(l, 3, 2);
    read_file(l, whole, sizeof(whole));
    for (long kept = 0; kept < 512; kept += 7) {
        write_at(l, 0, whole, sizeof(whole));
        write_at(l, kept, zeros, (size_t)(512 - kept));
        reopen_log(l);
        /* Behind the reason's five letters at 296 everything is zeros anyway. */
        assert_int_equal(rollback_log_pending(l->log), kept >= 301);
    }
    for (long bit = 0; bit < 512 * 8; bit += 31) {
        unsigned char flipped = whole[bit / 8] ^ (unsigned char)(1 << bit % 8);
        write_at(l, 0, whole, sizeof(whole));
        write_at(l, bit / 8, &flipped, 1);
        reopen_log(l);
        assert_int_equal(rollback_log_pending(l->log), 0);
    }
    append(l, 3, 2);
    assert_int_equal(rollback_log_pending(l->log), 1);
}

static void all_slots_can_be_taken_and_no_more(void **state)
{
    struct log_fixture *l = *state;
    struct fixture *f = l->f;
    for (int i = 0; i < ROLLBACK_LOG_SLOTS; i++)
        append(l, 3, 2);
    assert_fails(f, rollback_log_append(l->log, "churn", "champion", 3, 2, NULL, "x", &f->err),
                 ERR_LIMIT, "all 128 slots");
    reopen_log(l);
    assert_int_equal(rollback_log_pending(l->log), ROLLBACK_LOG_SLOTS);
    fold(l); /* the first is done, the others are overtaken */
    assert_int_equal(champion(l).version, 2);
    assert_ok(f, rollback_log_clear(l->log, &f->err));
    append(l, 2, 1);
    assert_int_equal(rollback_log_pending(l->log), 1);
}

/* 64 letters fill a name's field without a NUL; longer texts are cut between characters. */
static void fields_may_be_filled_to_the_last_byte(void **state)
{
    struct log_fixture *l = *state;
    struct fixture *f = l->f;
    char name[65], reason[400];
    unsigned char slot[512];
    memset(name, 'n', 64);
    name[64] = '\0';
    reason[0] = 'r'; /* then two-byte characters: byte 216 is within one */
    for (int i = 1; i + 1 < 399; i += 2)
        memcpy(reason + i, "\xC3\xA9", 2);
    reason[399] = '\0';
    assert_ok(f, rollback_log_append(l->log, name, name, 2, 1, reason, reason, &f->err));
    read_file(l, slot, sizeof(slot));
    assert_memory_equal(slot + 40, name, 64);
    assert_memory_equal(slot + 104, name, 64);
    assert_memory_equal(slot + 168, reason, 127);
    assert_int_equal(slot[168 + 127], 0);
    assert_memory_equal(slot + 296, reason, 215);
    assert_int_equal(slot[511], 0);
    struct alias alias;
    assert_ok(f, model_ensure(f->store, name, "me", NULL, &tester, &f->err));
    for (int i = 1; i <= 2; i++) {
        struct version v = {.model = name, .runtime = "trees"};
        memset(v.artifact.hex, '0' + i, SHA256_HEX_BYTES);
        assert_ok(f, version_create(f->store, &v, &tester, &f->err));
        assert_ok(f,
                  alias_set(f->store, name, name, i, -1, NULL, &tester, &alias, f->arena, &f->err));
    }
    fold(l);
    assert_ok(f, alias_get(f->store, name, name, f->arena, &alias, &f->err));
    assert_int_equal(alias.version, 1);
}

static void a_file_cut_short_is_completed_and_keeps_what_it_has(void **state)
{
    struct log_fixture *l = *state;
    struct stat st;
    append(l, 3, 2);
    assert_int_equal(truncate(l->path, 1000), 0);
    reopen_log(l);
    assert_int_equal(rollback_log_pending(l->log), 1);
    assert_int_equal(stat(l->path, &st), 0);
    assert_int_equal(st.st_size, 65536);
}

static void odd_files_are_refused(void **state)
{
    struct log_fixture *l = *state;
    struct rollback_log *log = NULL;
    assert_int_equal(mkfifo(in_folder(l->f, "fifo"), 0600), 0);
    assert_fails(l->f, rollback_log_open(in_folder(l->f, "fifo"), &log, &l->f->err), ERR_INVALID,
                 "not a regular file");
    assert_int_equal(symlink("rollback.log", in_folder(l->f, "link")), 0);
    assert_fails(l->f, rollback_log_open(in_folder(l->f, "link"), &log, &l->f->err), ERR_IO,
                 "link");
    assert_null(log);
}

#define with_log(fn) cmocka_unit_test_setup_teardown(fn, setup_log, teardown_log)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_log(the_file_is_whole_and_private_from_the_start),
        with_log(a_slot_has_the_documented_bytes),
        with_log(what_was_appended_survives_and_is_folded_in_order),
        with_log(a_slot_that_was_not_cleared_is_not_folded_twice),
        with_log(a_rollback_after_a_clearing_is_folded),
        with_log(a_rollback_that_history_has_overtaken_is_skipped),
        with_log(what_is_not_committed_is_folded_again),
        with_log(a_torn_slot_is_empty),
        with_log(all_slots_can_be_taken_and_no_more),
        with_log(fields_may_be_filled_to_the_last_byte),
        with_log(a_file_cut_short_is_completed_and_keeps_what_it_has),
        with_log(odd_files_are_refused),
    };
    log_set_level(LOG_ERROR); /* skipped rollbacks are warned of */
    return cmocka_run_group_tests_name("rollback_log", tests, NULL, NULL);
}
