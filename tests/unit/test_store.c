/* test_store.c - statements, transactions, copies, damage and migrations over SQLite. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_fixture.h"

static void run(struct fixture *f, const char *sql)
{
    assert_ok(f, store_exec(f->store, sql, NULL, 0, NULL, &f->err));
}

static enum err_code put(struct fixture *f, int64_t id, const char *text)
{
    const struct store_value row[] = {STORE_INT(id), STORE_CSTR(text)};
    return store_exec(f->store, "INSERT INTO t (id, text) VALUES (?1, ?2)", row, 2, NULL, &f->err);
}

static int64_t number(struct fixture *f, struct store *store, const char *sql)
{
    struct store_rows *rows;
    bool has_row = false;
    assert_ok(f, store_query(store, sql, NULL, 0, &rows, &f->err));
    assert_ok(f, store_next(rows, &has_row, &f->err));
    assert_true(has_row);
    int64_t found = store_i64(rows, 0);
    store_rows_done(rows);
    return found;
}

static int64_t row_count(struct fixture *f, struct store *store)
{
    return number(f, store, "SELECT COUNT(*) FROM t");
}

static int setup_table(void **state)
{
    struct fixture *f = fixture_new();
    *state = f;
    open_empty_store(f);
    run(f,
        "CREATE TABLE t (id BIGINT PRIMARY KEY, text TEXT NOT NULL, up BIGINT REFERENCES t (id))");
    return 0;
}

/* ---- values ---- */

static void values_come_back_as_they_went_in(void **state)
{
    struct fixture *f = *state;
    struct store_rows *rows;
    bool has_row = false, is_full = false;
    const struct store_value values[] = {STORE_INT(INT64_MIN),
                                         STORE_INT(INT64_MAX),
                                         STORE_CSTR(""),
                                         STORE_CSTR("a'b\"c \xE2\x82\xAC"),
                                         STORE_NONE,
                                         {STORE_F64, {.f64 = 0.1}},
                                         STORE_STR(((struct str){NULL, 0}))};
    assert_ok(
        f, store_query(f->store, "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7", values, 7, &rows, &f->err));
    assert_ok(f, store_next(rows, &has_row, &f->err));
    assert_true(has_row);
    assert_true(store_i64(rows, 0) == INT64_MIN);
    assert_true(store_i64(rows, 1) == INT64_MAX);
    assert_int_equal(store_text(rows, 2).len, 0);
    assert_false(store_is_null(rows, 2));
    assert_true(str_equal_c(store_text(rows, 3), "a'b\"c \xE2\x82\xAC"));
    assert_true(store_is_null(rows, 4));
    assert_int_equal(store_text(rows, 4).len, 0);
    assert_true(store_f64(rows, 5) == 0.1);
    assert_false(store_is_null(rows, 6));
    assert_string_equal(store_text_copy(rows, 3, f->arena, &is_full), "a'b\"c \xE2\x82\xAC");
    assert_null(store_text_copy(rows, 4, f->arena, &is_full));
    assert_false(is_full);
    assert_ok(f, store_next(rows, &has_row, &f->err));
    assert_false(has_row);
    store_rows_done(rows);
    store_rows_done(NULL);
}

static void a_text_too_large_for_the_arena_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct store_rows *rows;
    struct arena *small = arena_new(16);
    bool has_row = false, is_full = false;
    char text[5000];
    memset(text, 'x', sizeof(text));
    const struct store_value value[] = {STORE_STR(((struct str){text, sizeof(text)}))};
    assert_ok(f, store_query(f->store, "SELECT ?1", value, 1, &rows, &f->err));
    assert_ok(f, store_next(rows, &has_row, &f->err));
    assert_string_equal(store_text_copy(rows, 0, small, &is_full), "");
    assert_true(is_full);
    store_rows_done(rows);
    arena_free(small);
}

static void a_list_grows_and_keeps_its_items(void **state)
{
    struct fixture *f = *state;
    struct arena *small = arena_new(4096);
    int *list = NULL, count = 0;
    for (; count < 1000; count++) {
        list = store_list_grow(f->arena, list, count, sizeof(*list));
        list[count] = count;
    }
    for (int i = 0; i < count; i++)
        assert_int_equal(list[i], i);
    list = NULL;
    for (count = 0; count < 10000 && (list = store_list_grow(small, list, count, sizeof(*list)));)
        list[count++] = 0;
    assert_null(list);
    assert_true(count > 100 && count < 1024);
    arena_free(small);
}

static void exec_tells_how_many_rows_it_changed(void **state)
{
    struct fixture *f = *state;
    int64_t changed = -1;
    for (int i = 1; i <= 3; i++)
        assert_ok(f, put(f, i, "x"));
    assert_ok(f, store_exec(f->store, "UPDATE t SET text = 'y' WHERE id > 1", NULL, 0, &changed,
                            &f->err));
    assert_int_equal(changed, 2);
    assert_ok(f, store_exec(f->store, "DELETE FROM t WHERE id = 7", NULL, 0, &changed, &f->err));
    assert_int_equal(changed, 0);
}

static void one_text_may_be_read_twice_at_once(void **state)
{
    struct fixture *f = *state;
    enum { READERS = 20 };
    struct store_rows *rows[READERS];
    bool has_row;
    for (int i = 1; i <= READERS; i++)
        assert_ok(f, put(f, i, "x"));
    for (int i = 0; i < READERS; i++) {
        assert_ok(
            f, store_query(f->store, "SELECT id FROM t ORDER BY id", NULL, 0, &rows[i], &f->err));
        for (int j = 0; j <= i; j++)
            assert_ok(f, store_next(rows[i], &has_row, &f->err));
    }
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(store_i64(rows[i], 0), i + 1);
        store_rows_done(rows[i]);
    }
}

/* More texts than are kept prepared; each must still be itself. */
static void many_different_statements_do_not_mix(void **state)
{
    struct fixture *f = *state;
    char sql[64];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1000; i++) {
            snprintf(sql, sizeof(sql), "SELECT %d", i);
            assert_int_equal(number(f, f->store, sql), i);
        }
    }
}

/* ---- errors ---- */

static void a_second_row_with_the_key_exists(void **state)
{
    struct fixture *f = *state;
    assert_ok(f, put(f, 1, "x"));
    assert_fails(f, put(f, 1, "y"), ERR_EXISTS, "t.id");
    assert_int_equal(row_count(f, f->store), 1);
}

static void a_broken_reference_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    assert_fails(f,
                 store_exec(f->store, "INSERT INTO t VALUES (1, 'x', 9)", NULL, 0, NULL, &f->err),
                 ERR_CONFLICT, "FOREIGN KEY");
    assert_fails(f,
                 store_exec(f->store, "INSERT INTO t VALUES (1, NULL, 1)", NULL, 0, NULL, &f->err),
                 ERR_CONFLICT, "NOT NULL");
}

static void a_reader_cannot_write(void **state)
{
    struct fixture *f = *state;
    struct store *reader;
    assert_ok(f, store_open(&store_sqlite, f->path, STORE_READ, &reader, &f->err));
    assert_fails(f, store_exec(reader, "DELETE FROM t", NULL, 0, NULL, &f->err), ERR_DENIED,
                 "readonly");
    store_close(reader);
}

static void sqlites_own_tables_cannot_be_written(void **state)
{
    struct fixture *f = *state;
    assert_fails(f, store_exec(f->store, "DELETE FROM sqlite_schema", NULL, 0, NULL, &f->err),
                 ERR_INTERNAL, "sqlite_master");
    assert_fails(f, store_script(f->store, "ATTACH DATABASE '/dev/null' AS other", &f->err),
                 ERR_INTERNAL, "too many attached");
}

/* ---- transactions ---- */

static void what_is_committed_is_seen_by_others_and_after_reopening(void **state)
{
    struct fixture *f = *state;
    struct store *reader;
    assert_ok(f, store_open(&store_sqlite, f->path, STORE_READ, &reader, &f->err));
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, put(f, 1, "x"));
    assert_int_equal(row_count(f, reader), 0);
    assert_ok(f, store_commit(f->store, &f->err));
    assert_int_equal(row_count(f, reader), 1);
    store_close(reader);
    close_store(f);
    open_empty_store(f);
    assert_int_equal(row_count(f, f->store), 1);
}

static void what_is_rolled_back_is_not_there(void **state)
{
    struct fixture *f = *state;
    store_rollback(f->store);
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, put(f, 1, "x"));
    store_rollback(f->store);
    assert_int_equal(row_count(f, f->store), 0);
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, put(f, 1, "x"));
    close_store(f);
    open_empty_store(f);
    assert_int_equal(row_count(f, f->store), 0);
}

static void a_readers_transaction_sees_one_state(void **state)
{
    struct fixture *f = *state;
    struct store *reader;
    assert_ok(f, store_open(&store_sqlite, f->path, STORE_READ, &reader, &f->err));
    assert_ok(f, store_begin(reader, &f->err));
    assert_int_equal(row_count(f, reader), 0);
    assert_ok(f, put(f, 1, "x"));
    assert_int_equal(row_count(f, reader), 0);
    assert_ok(f, store_commit(reader, &f->err));
    assert_int_equal(row_count(f, reader), 1);
    store_close(reader);
}

static void an_undone_savepoint_leaves_its_neighbours(void **state)
{
    struct fixture *f = *state;
    assert_ok(f, store_begin(f->store, &f->err));
    for (int i = 1; i <= 3; i++) {
        assert_ok(f, store_savepoint(f->store, &f->err));
        assert_ok(f, put(f, i, "x"));
        if (i == 2)
            store_undo(f->store);
        else
            assert_ok(f, store_release(f->store, &f->err));
    }
    assert_ok(f, store_commit(f->store, &f->err));
    assert_int_equal(row_count(f, f->store), 2);
    assert_int_equal(number(f, f->store, "SELECT SUM(id) FROM t"), 4);
}

/* ---- no room ---- */

static void limit_pages(struct fixture *f, int more)
{
    char sql[64];
    int64_t pages = number(f, f->store, "PRAGMA page_count");
    snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %lld", (long long)pages + more);
    assert_ok(f, store_exec(f->store, sql, NULL, 0, NULL, &f->err));
}

/* SQLite's own limit on pages gives the same error as a disk without room. */
static void without_room_nothing_of_a_transaction_stays(void **state)
{
    struct fixture *f = *state;
    static char big[200000];
    memset(big, 'x', sizeof(big) - 1);
    assert_ok(f, put(f, 1, "small"));
    limit_pages(f, 5);
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, put(f, 2, "small"));
    assert_fails(f, put(f, 3, big), ERR_DISK_FULL, "full");
    assert_non_null(strstr(f->err.hint, "room"));
    store_rollback(f->store);
    assert_int_equal(row_count(f, f->store), 1);
    assert_ok(f, put(f, 4, "small"));
    limit_pages(f, 1000);
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, put(f, 3, big));
    assert_ok(f, store_commit(f->store, &f->err));
    assert_ok(f, store_verify(f->store, &f->err));
}

/* When SQLite ended the transaction itself, its rest must not be committed alone. */
static void after_sqlite_gave_up_the_rest_of_the_transaction_fails_too(void **state)
{
    struct fixture *f = *state;
    struct store_rows *rows;
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, put(f, 1, "x"));
    assert_fails(f,
                 store_exec(f->store, "INSERT OR ROLLBACK INTO t (id, text) VALUES (1, 'y')", NULL,
                            0, NULL, &f->err),
                 ERR_EXISTS, "t.id");
    assert_fails(f, put(f, 2, "x"), ERR_EXISTS, "t.id");
    assert_fails(f, store_query(f->store, "SELECT 1", NULL, 0, &rows, &f->err), ERR_EXISTS, "t.id");
    assert_fails(f, store_savepoint(f->store, &f->err), ERR_EXISTS, "t.id");
    store_undo(f->store);
    assert_fails(f, store_commit(f->store, &f->err), ERR_EXISTS, "t.id");
    assert_int_equal(row_count(f, f->store), 0);
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, put(f, 2, "x"));
    assert_ok(f, store_commit(f->store, &f->err));
    assert_int_equal(row_count(f, f->store), 1);
}

/* ---- the file ---- */

static int mode_of(struct fixture *f, const char *name)
{
    struct stat st;
    assert_int_equal(stat(in_folder(f, name), &st), 0);
    return st.st_mode & 07777;
}

static void the_files_are_private(void **state)
{
    struct fixture *f = *state;
    mode_t old = umask(0);
    close_store(f);
    unlink(in_folder(f, "slipway.db"));
    open_empty_store(f);
    run(f, "CREATE TABLE t (id BIGINT)");
    umask(old);
    assert_int_equal(mode_of(f, "slipway.db"), 0600);
    assert_int_equal(mode_of(f, "slipway.db-wal"), 0600);
    assert_int_equal(mode_of(f, "slipway.db-shm"), 0600);
}

static void write_file(struct fixture *f, const char *name, const void *bytes, size_t size, long at)
{
    int fd = open(in_folder(f, name), O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, at), (ssize_t)size);
    close(fd);
}

static void a_file_that_is_no_database_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL;
    static char garbage[8192];
    memset(garbage, 'g', sizeof(garbage));
    write_file(f, "slipway.db", garbage, sizeof(garbage), 0);
    assert_fails(f, store_open(&store_sqlite, f->path, STORE_WRITE, &store, &f->err), ERR_IO,
                 "not a database");
    assert_non_null(strstr(f->err.hint, "restore"));
    assert_fails(f, store_open(&store_sqlite, f->path, STORE_READ, &store, &f->err), ERR_IO,
                 "not a database");
    assert_null(store);
}

static void absent_linked_and_foreign_files_are_refused(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL;
    assert_fails(f, store_open(&store_sqlite, f->path, STORE_READ, &store, &f->err), ERR_NOT_FOUND,
                 "slipway.db");
    assert_int_equal(symlink("/etc/passwd", in_folder(f, "slipway.db")), 0);
    assert_fails(f, store_open(&store_sqlite, f->path, STORE_WRITE, &store, &f->err), ERR_INVALID,
                 "not a regular file");
    assert_fails(f, store_open(&store_sqlite, f->path, STORE_READ, &store, &f->err), ERR_INVALID,
                 "not a regular file");
    assert_fails(
        f, store_open(&store_sqlite, in_folder(f, "no/such/file"), STORE_WRITE, &store, &f->err),
        ERR_NOT_FOUND, "no/such/file");
    assert_null(store);
}

/* A page in the middle is overwritten; what SQLite then finds is said. */
static void damage_is_found_by_verify(void **state)
{
    struct fixture *f = *state;
    static char garbage[4096];
    assert_ok(f, store_begin(f->store, &f->err));
    for (int i = 1; i <= 2000; i++)
        assert_ok(f, put(f, i, "some text that fills the pages of the table"));
    assert_ok(f, store_commit(f->store, &f->err));
    assert_ok(f, store_verify(f->store, &f->err));
    close_store(f);
    memset(garbage, 0x5A, sizeof(garbage));
    write_file(f, "slipway.db", garbage, sizeof(garbage), 10 * 4096);
    open_empty_store(f);
    assert_fails(f, store_verify(f->store, &f->err), ERR_IO, "");
    assert_non_null(strstr(f->err.hint, "restore"));
    enum err_code rc = store_backup(f->store, in_folder(f, "copy.db"), &f->err);
    assert_int_equal(rc, ERR_IO);
    assert_int_equal(access(in_folder(f, "copy.db"), F_OK), -1);
}

/* What no page shows: a row against its rule, a reference into nothing. The switches that let them
 * in are for this test. */
static void broken_rules_are_listed_by_verify(void **state)
{
    struct fixture *f = *state;
    run(f, "CREATE TABLE positive (x BIGINT CHECK (x > 0))");
    run(f, "PRAGMA ignore_check_constraints = ON");
    run(f, "INSERT INTO positive VALUES (-1)");
    run(f, "PRAGMA ignore_check_constraints = OFF");
    assert_fails(f, store_verify(f->store, &f->err), ERR_IO, "damaged: CHECK constraint failed");
    assert_non_null(strstr(f->err.hint, "restore"));
    run(f, "PRAGMA foreign_keys = OFF");
    for (int i = 1; i <= 9; i++)
        assert_ok(f, put(f, i, "x"));
    run(f, "UPDATE t SET up = 77");
    assert_fails(f, store_verify(f->store, &f->err), ERR_IO,
                 "in positive, a row of t names a missing row of t, a row of t");
}

static void a_second_writer_is_told_that_the_store_is_held(void **state)
{
    struct fixture *f = *state;
    struct store *second;
    assert_ok(f, store_open(&store_sqlite, f->path, STORE_WRITE, &second, &f->err));
    assert_ok(f, store_exec(second, "PRAGMA busy_timeout = 10", NULL, 0, NULL, &f->err));
    assert_ok(f, store_begin(f->store, &f->err));
    assert_fails(f, store_begin(second, &f->err), ERR_UNAVAILABLE, "locked");
    assert_non_null(strstr(f->err.hint, "try again"));
    store_rollback(f->store);
    assert_ok(f, store_begin(second, &f->err));
    store_close(second); /* ends its transaction */
    assert_ok(f, put(f, 1, "x"));
}

/* ---- copies ---- */

static int count_entries(struct fixture *f)
{
    struct dirent *entry;
    int count = 0;
    DIR *dir = opendir(f->path);
    assert_non_null(dir);
    while ((entry = readdir(dir)))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void a_copy_is_one_file_with_everything_committed(void **state)
{
    struct fixture *f = *state;
    struct store *copy;
    char *path = in_folder(f, "copy.db");
    for (int i = 1; i <= 10; i++)
        assert_ok(f, put(f, i, "x"));
    int entries = count_entries(f);
    assert_ok(f, store_backup(f->store, path, &f->err));
    assert_int_equal(count_entries(f), entries + 1);
    assert_int_equal(mode_of(f, "copy.db"), 0600);
    assert_ok(f, put(f, 11, "later"));
    assert_ok(f, store_open(&store_sqlite, path, STORE_READ, &copy, &f->err));
    assert_int_equal(row_count(f, copy), 10);
    assert_ok(f, store_verify(copy, &f->err));
    store_close(copy);
    assert_int_equal(count_entries(f), entries + 1);
}

static void a_copy_replaces_nothing(void **state)
{
    struct fixture *f = *state;
    write_file(f, "copy.db", "mine", 4, 0);
    int entries = count_entries(f);
    assert_fails(f, store_backup(f->store, in_folder(f, "copy.db"), &f->err), ERR_EXISTS,
                 "copy.db");
    assert_fails(f, store_backup(f->store, in_folder(f, "no/copy.db"), &f->err), ERR_NOT_FOUND,
                 "no/copy.db");
    assert_int_equal(count_entries(f), entries);
}

static void a_reader_can_copy_while_the_writer_writes(void **state)
{
    struct fixture *f = *state;
    struct store *reader, *copy;
    assert_ok(f, put(f, 1, "x"));
    assert_ok(f, store_open(&store_sqlite, f->path, STORE_READ, &reader, &f->err));
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, put(f, 2, "not committed"));
    assert_ok(f, store_backup(reader, in_folder(f, "copy.db"), &f->err));
    assert_ok(f, store_commit(f->store, &f->err));
    assert_ok(f, store_open(&store_sqlite, in_folder(f, "copy.db"), STORE_READ, &copy, &f->err));
    assert_int_equal(row_count(f, copy), 1);
    store_close(copy);
    store_close(reader);
}

/* ---- migrations ---- */

#define SCRIPT(file, sql) {file, (const unsigned char *)(sql), sizeof(sql) - 1}

static const struct embedded_file one_script[] = {
    SCRIPT("0001_first.sql", "CREATE TABLE a (x BIGINT); INSERT INTO a VALUES (1);"), {0}};
static const struct embedded_file two_scripts[] = {
    SCRIPT("0001_first.sql", "CREATE TABLE a (x BIGINT); INSERT INTO a VALUES (1);"),
    SCRIPT("0002_second.sql", "ALTER TABLE a ADD COLUMN y BIGINT; UPDATE a SET y = x + 1;"),
    {0}};
static const struct embedded_file failing_scripts[] = {
    SCRIPT("0001_first.sql", "CREATE TABLE a (x BIGINT); INSERT INTO a VALUES (1);"),
    SCRIPT("0002_second.sql", "UPDATE a SET x = 5; CREATE TABLE b (z BIGINT); SELECT nonsense;"),
    {0}};
static const struct embedded_file changed_script[] = {
    SCRIPT("0001_first.sql", "CREATE TABLE a (x BIGINT); INSERT INTO a VALUES (2);"), {0}};

static enum err_code migrate(struct fixture *f, const struct embedded_file *scripts, int *from,
                             int *to)
{
    return migrate_up_with(f->store, scripts, in_folder(f, "before.db"), from, to, &f->err);
}

static void this_programs_schema_is_applied_once(void **state)
{
    struct fixture *f = *state;
    int from = -1, to = -1;
    open_empty_store(f);
    assert_true(migrate_latest() >= 1);
    assert_ok(f, migrate_up(f->store, in_folder(f, "before.db"), &from, &to, &f->err));
    assert_int_equal(from, 0);
    assert_int_equal(to, migrate_latest());
    assert_ok(f, migrate_up(f->store, in_folder(f, "before.db"), &from, &to, &f->err));
    assert_int_equal(from, migrate_latest());
    assert_int_equal(access(in_folder(f, "before.db"), F_OK), -1);
    assert_int_equal(number(f, f->store, "SELECT COUNT(*) FROM models"), 0);
}

static void an_upgrade_leaves_a_copy_of_the_old_schema(void **state)
{
    struct fixture *f = *state;
    struct store *copy;
    int from, to;
    open_empty_store(f);
    assert_ok(f, migrate(f, one_script, &from, &to));
    assert_ok(f, migrate(f, two_scripts, &from, &to));
    assert_int_equal(from, 1);
    assert_int_equal(to, 2);
    assert_int_equal(number(f, f->store, "SELECT y FROM a"), 2);
    assert_ok(f, store_open(&store_sqlite, in_folder(f, "before.db"), STORE_READ, &copy, &f->err));
    assert_int_equal(number(f, copy, "SELECT MAX(version) FROM schema"), 1);
    assert_int_equal(number(f, copy, "SELECT COUNT(*) FROM pragma_table_info('a')"), 1);
    store_close(copy);
}

static void a_script_that_fails_changes_nothing(void **state)
{
    struct fixture *f = *state;
    int from = -1, to = -1;
    open_empty_store(f);
    assert_ok(f, migrate(f, one_script, &from, &to));
    from = to = -1;
    assert_fails(f, migrate(f, failing_scripts, &from, &to), ERR_INTERNAL, "0002_second.sql");
    assert_int_equal(from, -1);
    assert_int_equal(number(f, f->store, "SELECT x FROM a"), 1);
    assert_int_equal(number(f, f->store, "SELECT MAX(version) FROM schema"), 1);
    unlink(in_folder(f, "before.db"));
    assert_ok(f, migrate(f, two_scripts, &from, &to));
}

static void newer_and_different_stores_are_refused(void **state)
{
    struct fixture *f = *state;
    int from, to;
    open_empty_store(f);
    assert_ok(f, migrate(f, two_scripts, &from, &to));
    assert_fails(f, migrate(f, one_script, &from, &to), ERR_UNSUPPORTED, "newer schema");
    assert_non_null(strstr(f->err.hint, "the copy made before the upgrade"));
    run(f, "DELETE FROM schema WHERE version = 2");
    assert_fails(f, migrate(f, changed_script, &from, &to), ERR_UNSUPPORTED, "another text");
    run(f, "UPDATE schema SET version = 3");
    assert_fails(f, migrate(f, two_scripts, &from, &to), ERR_IO, "version 3 where 1 is due");
}

/* A full disk at the copy: the upgrade does not begin. */
static void no_upgrade_without_its_copy(void **state)
{
    struct fixture *f = *state;
    int from, to;
    open_empty_store(f);
    assert_ok(f, migrate(f, one_script, &from, &to));
    assert_fails(
        f,
        migrate_up_with(f->store, two_scripts, in_folder(f, "no/before.db"), &from, &to, &f->err),
        ERR_NOT_FOUND, "copying the store before");
    assert_int_equal(number(f, f->store, "SELECT MAX(version) FROM schema"), 1);
}

#define with_table(fn) cmocka_unit_test_setup_teardown(fn, setup_table, teardown)
#define with_folder(fn) cmocka_unit_test_setup_teardown(fn, setup_folder, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_table(values_come_back_as_they_went_in),
        with_table(a_text_too_large_for_the_arena_is_noticed),
        with_folder(a_list_grows_and_keeps_its_items),
        with_table(exec_tells_how_many_rows_it_changed),
        with_table(one_text_may_be_read_twice_at_once),
        with_table(many_different_statements_do_not_mix),
        with_table(a_second_row_with_the_key_exists),
        with_table(a_broken_reference_is_a_conflict),
        with_table(a_reader_cannot_write),
        with_table(sqlites_own_tables_cannot_be_written),
        with_table(what_is_committed_is_seen_by_others_and_after_reopening),
        with_table(what_is_rolled_back_is_not_there),
        with_table(a_readers_transaction_sees_one_state),
        with_table(an_undone_savepoint_leaves_its_neighbours),
        with_table(without_room_nothing_of_a_transaction_stays),
        with_table(after_sqlite_gave_up_the_rest_of_the_transaction_fails_too),
        with_table(the_files_are_private),
        with_folder(a_file_that_is_no_database_is_refused),
        with_folder(absent_linked_and_foreign_files_are_refused),
        with_table(damage_is_found_by_verify),
        with_table(broken_rules_are_listed_by_verify),
        with_table(a_second_writer_is_told_that_the_store_is_held),
        with_table(a_copy_is_one_file_with_everything_committed),
        with_table(a_copy_replaces_nothing),
        with_table(a_reader_can_copy_while_the_writer_writes),
        with_folder(this_programs_schema_is_applied_once),
        with_folder(an_upgrade_leaves_a_copy_of_the_old_schema),
        with_folder(a_script_that_fails_changes_nothing),
        with_folder(newer_and_different_stores_are_refused),
        with_folder(no_upgrade_without_its_copy),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
