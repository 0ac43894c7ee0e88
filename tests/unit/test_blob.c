/* test_blob.c - blobs in a folder: written once, verified when read, safe from links and crashes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/blob.h"
#include "store_fixture.h"

/* SHA-256 of "abc" and of nothing: FIPS 180-4 examples (NIST CSRC). */
#define ABC_DIGEST "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY_DIGEST "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct blob_fixture {
    struct fixture *f;
    struct blob_store *blobs;
};

static int setup_blobs(void **state)
{
    struct blob_fixture *b = calloc(1, sizeof(*b));
    b->f = fixture_new();
    assert_ok(b->f, blob_open(&blob_dir, b->f->path, &b->blobs, &b->f->err));
    *state = b;
    return 0;
}

static int teardown_blobs(void **state)
{
    struct blob_fixture *b = *state;
    blob_close(b->blobs);
    blob_close(NULL);
    fixture_free(b->f);
    free(b);
    return 0;
}

static struct blob_digest put_text(struct blob_fixture *b, const char *text)
{
    struct blob_digest digest;
    assert_ok(b->f, blob_put(b->blobs, text, strlen(text), &digest, &b->f->err));
    return digest;
}

static char *path_of(struct blob_fixture *b, const struct blob_digest *digest)
{
    return arena_printf(b->f->arena, "%s/blobs/%.2s/%s", b->f->path, digest->hex, digest->hex);
}

static void assert_holds(struct blob_fixture *b, const struct blob_digest *digest, const char *text)
{
    const void *bytes = NULL;
    size_t size = 99;
    assert_ok(b->f, blob_get(b->blobs, digest, &bytes, &size, &b->f->err));
    assert_int_equal(size, strlen(text));
    assert_memory_equal(bytes, text, size);
    blob_release(b->blobs, bytes, size);
}

static int entries_of(const char *path)
{
    struct dirent *entry;
    int count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir)))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

static void a_blob_is_found_by_the_digest_of_its_bytes(void **state)
{
    struct blob_fixture *b = *state;
    struct blob_digest digest = put_text(b, "abc");
    struct stat st;
    uint64_t size = 0;
    assert_string_equal(digest.hex, ABC_DIGEST);
    assert_holds(b, &digest, "abc");
    assert_ok(b->f, blob_stat(b->blobs, &digest, &size, &b->f->err));
    assert_int_equal(size, 3);
    assert_int_equal(stat(path_of(b, &digest), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0400);
    blob_close(b->blobs);
    assert_ok(b->f, blob_open(&blob_dir, b->f->path, &b->blobs, &b->f->err));
    assert_holds(b, &digest, "abc");
}

static void an_empty_blob_is_a_blob(void **state)
{
    struct blob_fixture *b = *state;
    struct blob_digest digest = put_text(b, "");
    assert_string_equal(digest.hex, EMPTY_DIGEST);
    assert_holds(b, &digest, "");
}

static void putting_the_same_again_is_fine_and_makes_it_young(void **state)
{
    struct blob_fixture *b = *state;
    struct blob_digest digest = put_text(b, "abc");
    const struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};
    struct stat st;
    assert_int_equal(utimensat(AT_FDCWD, path_of(b, &digest), old, 0), 0);
    put_text(b, "abc");
    assert_int_equal(stat(path_of(b, &digest), &st), 0);
    assert_true(st.st_mtim.tv_sec > 1000000000);
    assert_int_equal(entries_of(in_folder(b->f, "blobs")), 1);
}

static void set_age(struct blob_fixture *b, const struct blob_digest *digest, int64_t at_s)
{
    const struct timespec old[2] = {{at_s, 0}, {at_s, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path_of(b, digest), old, 0), 0);
}

static void an_old_blob_is_removed_unless_it_is_kept(void **state)
{
    struct blob_fixture *b = *state;
    struct blob_digest digest = put_text(b, "abc");
    const int64_t at_us = INT64_C(1000000000) * 1000000;
    uint64_t size = 0;
    set_age(b, &digest, 1000000000);
    assert_fails(b->f, blob_remove_older(b->blobs, &digest, at_us, &b->f->err), ERR_CONFLICT,
                 "put again");
    assert_ok(b->f, blob_keep(b->blobs, &digest, &size, &b->f->err));
    assert_int_equal(size, 3);
    assert_fails(b->f, blob_remove_older(b->blobs, &digest, at_us + 1, &b->f->err), ERR_CONFLICT,
                 "put again");
    set_age(b, &digest, 1000000000);
    assert_ok(b->f, blob_remove_older(b->blobs, &digest, at_us + 1, &b->f->err));
    size = 7;
    assert_fails(b->f, blob_keep(b->blobs, &digest, &size, &b->f->err), ERR_NOT_FOUND, ABC_DIGEST);
    assert_fails(b->f, blob_remove_older(b->blobs, &digest, at_us + 1, &b->f->err), ERR_NOT_FOUND,
                 ABC_DIGEST);
    assert_int_equal(size, 7);
}

enum { RACES = 300 };

static void *collect_old(void *arg)
{
    struct blob_store *blobs = arg;
    struct blob_digest digest = {ABC_DIGEST};
    for (int i = 0; i < 20 * RACES; i++) {
        struct err err;
        blob_remove_older(blobs, &digest, INT64_C(1000000000) * 1000000, &err);
    }
    return NULL;
}

/* One thread removes the blob whenever it is old, another puts it and makes it old again: what was
 * put, or kept, is there until it is made old. */
static void a_collection_never_takes_what_was_just_put(void **state)
{
    struct blob_fixture *b = *state;
    pthread_t thread;
    uint64_t size;
    assert_int_equal(pthread_create(&thread, NULL, collect_old, b->blobs), 0);
    for (int i = 0; i < RACES; i++) {
        struct blob_digest digest = put_text(b, "abc");
        assert_ok(b->f, blob_stat(b->blobs, &digest, &size, &b->f->err));
        const struct timespec old[2] = {{1, 0}, {1, 0}};
        utimensat(AT_FDCWD, path_of(b, &digest), old, 0);
        if (blob_keep(b->blobs, &digest, &size, &b->f->err) == ERR_OK)
            assert_ok(b->f, blob_stat(b->blobs, &digest, &size, &b->f->err));
    }
    pthread_join(thread, NULL);
}

static void what_is_not_there_is_not_found(void **state)
{
    struct blob_fixture *b = *state;
    struct blob_digest digest = {ABC_DIGEST};
    const void *bytes = &digest;
    uint64_t size = 7;
    size_t got = 7;
    assert_fails(b->f, blob_get(b->blobs, &digest, &bytes, &got, &b->f->err), ERR_NOT_FOUND,
                 ABC_DIGEST);
    assert_fails(b->f, blob_stat(b->blobs, &digest, &size, &b->f->err), ERR_NOT_FOUND, ABC_DIGEST);
    assert_fails(b->f, blob_remove(b->blobs, &digest, &b->f->err), ERR_NOT_FOUND, ABC_DIGEST);
    assert_ptr_equal(bytes, &digest);
    assert_int_equal(size + got, 14);
    put_text(b, "abc");
    assert_ok(b->f, blob_remove(b->blobs, &digest, &b->f->err));
    assert_fails(b->f, blob_stat(b->blobs, &digest, &size, &b->f->err), ERR_NOT_FOUND, ABC_DIGEST);
}

static void overwrite(const char *path, const char *text)
{
    assert_int_equal(chmod(path, 0600), 0);
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void a_damaged_blob_is_named_and_written_again_by_the_next_put(void **state)
{
    struct blob_fixture *b = *state;
    struct blob_digest digest = put_text(b, "abc");
    const void *bytes = NULL;
    size_t size;
    static const char *const damage[] = {"abd", "ab", "abcd", ""};
    for (size_t i = 0; i < 4; i++) {
        overwrite(path_of(b, &digest), damage[i]);
        assert_fails(b->f, blob_get(b->blobs, &digest, &bytes, &size, &b->f->err), ERR_IO,
                     ABC_DIGEST);
        assert_non_null(strstr(b->f->err.hint, "backup"));
        assert_null(bytes);
        put_text(b, "abc");
        assert_holds(b, &digest, "abc");
    }
}

static void links_and_odd_files_are_not_followed(void **state)
{
    struct blob_fixture *b = *state;
    struct blob_digest digest = put_text(b, "abc");
    const void *bytes;
    size_t size;
    char *elsewhere = in_folder(b->f, "elsewhere");
    assert_int_equal(rename(path_of(b, &digest), elsewhere), 0);
    assert_int_equal(symlink(elsewhere, path_of(b, &digest)), 0);
    assert_fails(b->f, blob_get(b->blobs, &digest, &bytes, &size, &b->f->err), ERR_IO, ABC_DIGEST);
    assert_int_equal(unlink(path_of(b, &digest)), 0);
    assert_int_equal(mkfifo(path_of(b, &digest), 0600), 0);
    assert_fails(b->f, blob_get(b->blobs, &digest, &bytes, &size, &b->f->err), ERR_IO,
                 "not a regular file");
    put_text(b, "abc");
    assert_holds(b, &digest, "abc");
    char *shard = in_folder(b->f, "blobs/ba");
    assert_int_equal(rename(shard, in_folder(b->f, "other")), 0);
    assert_int_equal(symlink(in_folder(b->f, "other"), shard), 0);
    assert_int_equal(blob_get(b->blobs, &digest, &bytes, &size, &b->f->err), ERR_IO);
}

static void what_a_crash_left_is_removed_by_the_owner(void **state)
{
    struct blob_fixture *b = *state;
    put_text(b, "abc");
    overwrite(path_of(b, &(struct blob_digest){ABC_DIGEST}), "abc");
    char *left = in_folder(b->f, "blobs/.put-0123456789abcdef");
    int fd = open(left, O_WRONLY | O_CREAT, 0400);
    assert_true(fd >= 0);
    close(fd);
    blob_close(b->blobs);
    assert_ok(b->f, blob_open(&blob_dir, b->f->path, &b->blobs, &b->f->err));
    assert_int_equal(access(left, F_OK), 0); /* it may be another process's, at work */
    blob_clean(b->blobs);
    assert_int_equal(access(left, F_OK), -1);
    assert_int_equal(entries_of(in_folder(b->f, "blobs")), 1);
}

struct visits {
    int count;
    uint64_t bytes;
    int64_t youngest_us;
    struct blob_store *removes; /* each visited blob is removed from it */
};

static enum err_code visit(void *arg, const struct blob_digest *digest, uint64_t size,
                           int64_t modified_us, struct err *err)
{
    struct visits *v = arg;
    v->count++;
    v->bytes += size;
    if (modified_us > v->youngest_us)
        v->youngest_us = modified_us;
    return v->removes ? blob_remove(v->removes, digest, err) : ERR_OK;
}

static enum err_code stop(void *arg, const struct blob_digest *digest, uint64_t size,
                          int64_t modified_us, struct err *err)
{
    (void)arg, (void)digest, (void)size, (void)modified_us;
    return err_set(err, ERR_CANCELLED, "enough");
}

static void each_visits_every_blob_and_nothing_else(void **state)
{
    struct blob_fixture *b = *state;
    char text[16];
    struct visits v = {0};
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "%03d", i);
        put_text(b, text);
    }
    assert_int_equal(mkdir(in_folder(b->f, "blobs/ZZ"), 0700), 0);
    assert_int_equal(mkdir(in_folder(b->f, "blobs/zzz"), 0700), 0);
    close(open(in_folder(b->f, "blobs/README"), O_WRONLY | O_CREAT, 0600));
    assert_ok(b->f, blob_each(b->blobs, visit, &v, &b->f->err));
    assert_int_equal(v.count, 100);
    assert_int_equal(v.bytes, 300);
    assert_true(v.youngest_us > INT64_C(1600000000000000));
    assert_fails(b->f, blob_each(b->blobs, stop, NULL, &b->f->err), ERR_CANCELLED, "enough");
    v = (struct visits){.removes = b->blobs};
    assert_ok(b->f, blob_each(b->blobs, visit, &v, &b->f->err));
    assert_int_equal(v.count, 100);
    v = (struct visits){0};
    assert_ok(b->f, blob_each(b->blobs, visit, &v, &b->f->err));
    assert_int_equal(v.count, 0);
}

enum { THREADS = 4, ROUNDS = 10, PAYLOAD_BYTES = 20000 };

static void *put_and_get(void *arg)
{
    struct blob_store *blobs = arg;
    static char payload[ROUNDS][PAYLOAD_BYTES]; /* never written: all threads put the same */
    for (int i = 0; i < ROUNDS; i++) {
        struct blob_digest digest;
        struct err err;
        const void *bytes;
        size_t size;
        if (blob_put(blobs, payload[i], (size_t)(PAYLOAD_BYTES - i), &digest, &err) ||
            blob_get(blobs, &digest, &bytes, &size, &err))
            return blobs; /* anything but NULL */
        blob_release(blobs, bytes, size);
    }
    return NULL;
}

static void several_threads_may_put_the_same_at_once(void **state)
{
    struct blob_fixture *b = *state;
    pthread_t threads[THREADS];
    struct visits v = {0};
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_and_get, b->blobs), 0);
    for (int i = 0; i < THREADS; i++) {
        void *problem = NULL;
        pthread_join(threads[i], &problem);
        assert_null(problem);
    }
    assert_ok(b->f, blob_each(b->blobs, visit, &v, &b->f->err));
    assert_int_equal(v.count, ROUNDS);
    blob_close(b->blobs);
    assert_ok(b->f, blob_open(&blob_dir, b->f->path, &b->blobs, &b->f->err));
}

static void a_digest_is_read_from_text_people_give(void **state)
{
    struct blob_fixture *b = *state;
    struct blob_digest digest;
    assert_ok(b->f, blob_digest_parse(STR_LIT(ABC_DIGEST), &digest, &b->f->err));
    assert_string_equal(digest.hex, ABC_DIGEST);
    assert_ok(b->f, blob_digest_parse(STR_LIT("sha256:" EMPTY_DIGEST), &digest, &b->f->err));
    assert_string_equal(digest.hex, EMPTY_DIGEST);
    assert_ok(b->f, blob_digest_parse(STR_LIT("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410"
                                              "FF61F20015AD"),
                                      &digest, &b->f->err));
    assert_string_equal(digest.hex, ABC_DIGEST);
    static const char *const wrong[] = {
        "", "sha256:", "../../etc/passwd", (ABC_DIGEST "0"), ("md5:" ABC_DIGEST), "ga7816bf"};
    for (size_t i = 0; i < 6; i++)
        assert_fails(b->f, blob_digest_parse(str_of(wrong[i]), &digest, &b->f->err), ERR_INVALID,
                     "not a SHA-256 digest");
    assert_string_equal(digest.hex, ABC_DIGEST);
}

static void a_place_that_cannot_be_opened_is_named(void **state)
{
    struct blob_fixture *b = *state;
    struct blob_store *blobs = NULL;
    assert_fails(b->f, blob_open(&blob_dir, in_folder(b->f, "no"), &blobs, &b->f->err),
                 ERR_NOT_FOUND, "no/blobs");
    assert_int_equal(mkdir(in_folder(b->f, "linked"), 0700), 0);
    assert_int_equal(symlink("..", in_folder(b->f, "linked/blobs")), 0);
    assert_fails(b->f, blob_open(&blob_dir, in_folder(b->f, "linked"), &blobs, &b->f->err), ERR_IO,
                 "linked/blobs");
    assert_null(blobs);
}

#define with_blobs(fn) cmocka_unit_test_setup_teardown(fn, setup_blobs, teardown_blobs)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_blobs(a_blob_is_found_by_the_digest_of_its_bytes),
        with_blobs(an_empty_blob_is_a_blob),
        with_blobs(putting_the_same_again_is_fine_and_makes_it_young),
        with_blobs(an_old_blob_is_removed_unless_it_is_kept),
        with_blobs(a_collection_never_takes_what_was_just_put),
        with_blobs(what_is_not_there_is_not_found),
        with_blobs(a_damaged_blob_is_named_and_written_again_by_the_next_put),
        with_blobs(links_and_odd_files_are_not_followed),
        with_blobs(what_a_crash_left_is_removed_by_the_owner),
        with_blobs(each_visits_every_blob_and_nothing_else),
        with_blobs(several_threads_may_put_the_same_at_once),
        with_blobs(a_digest_is_read_from_text_people_give),
        with_blobs(a_place_that_cannot_be_opened_is_named),
    };
    return cmocka_run_group_tests_name("blob", tests, NULL, NULL);
}
