/* test_folder.c - the data folder: whose it is, what may be in it, who holds its lock. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/folder.h"
#include "store_fixture.h"

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static struct folder *open_new(struct fixture *f, const char *name)
{
    struct folder *folder = NULL;
    assert_ok(f, folder_open(in_folder(f, name), true, &folder, &f->err));
    return folder;
}

static void a_new_folder_is_private_whatever_the_umask(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    mode_t old = umask(0);
    struct folder *folder = open_new(f, "data");
    umask(old);
    assert_int_equal(fstat(folder_fd(folder), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_string_equal(folder_path(folder), in_folder(f, "data"));
    char path[256];
    assert_string_equal(folder_file(folder, "slipway.db", path, sizeof(path)),
                        in_folder(f, "data/slipway.db"));
    folder_close(folder);
    folder_close(NULL);
}

static void an_open_mode_is_tightened(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(mkdir(in_folder(f, "data"), 0700), 0);
    assert_int_equal(chmod(in_folder(f, "data"), 0755), 0);
    folder_close(open_new(f, "data"));
    assert_int_equal(stat(in_folder(f, "data"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static void an_absent_or_empty_folder_is_not_found_unless_it_may_be_made(void **state)
{
    struct fixture *f = *state;
    struct folder *folder = NULL;
    assert_fails(f, folder_open(in_folder(f, "data"), false, &folder, &f->err), ERR_NOT_FOUND,
                 "no data folder");
    assert_int_equal(mkdir(in_folder(f, "data"), 0700), 0);
    assert_fails(f, folder_open(in_folder(f, "data"), false, &folder, &f->err), ERR_NOT_FOUND,
                 "no data folder");
    assert_int_equal(mkdir(in_folder(f, "data/lost+found"), 0700), 0);
    assert_fails(f, folder_open(in_folder(f, "data"), false, &folder, &f->err), ERR_NOT_FOUND,
                 "no data folder");
    folder_close(open_new(f, "data"));
    assert_fails(f, folder_open(in_folder(f, "a/b"), true, &folder, &f->err), ERR_NOT_FOUND, "a/b");
    assert_null(folder);
}

static void a_folder_with_other_things_is_not_ours(void **state)
{
    struct fixture *f = *state;
    struct folder *folder = NULL;
    struct stat st;
    assert_int_equal(mkdir(in_folder(f, "home"), 0755), 0);
    assert_int_equal(chmod(in_folder(f, "home"), 0755), 0);
    touch(in_folder(f, "home/.profile"));
    assert_fails(f, folder_open(in_folder(f, "home"), true, &folder, &f->err), ERR_INVALID,
                 "'.profile'");
    assert_int_equal(stat(in_folder(f, "home"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    touch(in_folder(f, "file"));
    assert_fails(f, folder_open(in_folder(f, "file"), false, &folder, &f->err), ERR_INVALID,
                 "not a folder");
    char path[4000];
    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    assert_fails(f, folder_open(path, true, &folder, &f->err), ERR_LIMIT, "longer than");
    assert_null(folder);
}

static void a_folder_with_our_database_may_hold_other_things(void **state)
{
    struct fixture *f = *state;
    struct folder *folder;
    assert_int_equal(mkdir(in_folder(f, "data"), 0700), 0);
    touch(in_folder(f, "data/slipway.db"));
    touch(in_folder(f, "data/notes.txt"));
    assert_ok(f, folder_open(in_folder(f, "data"), false, &folder, &f->err));
    folder_close(folder);
}

static void another_users_folder_is_denied(void **state)
{
    struct fixture *f = *state;
    struct folder *folder;
    if (geteuid() != 0)
        skip();
    assert_int_equal(mkdir(in_folder(f, "data"), 0700), 0);
    assert_int_equal(chown(in_folder(f, "data"), 12345, 12345), 0);
    assert_fails(f, folder_open(in_folder(f, "data"), true, &folder, &f->err), ERR_DENIED,
                 "belongs to user 12345");
}

static void the_lock_has_one_owner_and_says_who(void **state)
{
    struct fixture *f = *state;
    struct folder *first = open_new(f, "data"), *second = open_new(f, "data");
    char expected[64];
    assert_false(folder_is_locked(first));
    assert_ok(f, folder_lock(first, &f->err));
    assert_true(folder_is_locked(first));
    assert_true(folder_is_locked(second));
    snprintf(expected, sizeof(expected), "in use by process %ld", (long)getpid());
    assert_fails(f, folder_lock(second, &f->err), ERR_CONFLICT, expected);
    folder_close(first);
    assert_false(folder_is_locked(second));
    assert_ok(f, folder_lock(second, &f->err));
    folder_close(second);
}

static void asking_whether_it_is_locked_does_not_hinder_locking(void **state)
{
    struct fixture *f = *state;
    struct folder *folder = open_new(f, "data");
    pid_t child = fork();
    if (child == 0) {
        struct folder *asks = NULL;
        if (folder_open(in_folder(f, "data"), true, &asks, &f->err))
            _exit(1);
        for (;;)
            folder_is_locked(asks);
    }
    for (int i = 0; i < 200; i++) {
        assert_ok(f, folder_lock(folder, &f->err));
        folder_close(folder);
        folder = open_new(f, "data");
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    folder_close(folder);
}

static void a_killed_owner_leaves_no_lock(void **state)
{
    struct fixture *f = *state;
    struct folder *folder = NULL;
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        if (folder_open(in_folder(f, "data"), true, &folder, &f->err) ||
            folder_lock(folder, &f->err) || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    folder = open_new(f, "data");
    char expected[64];
    snprintf(expected, sizeof(expected), "in use by process %ld", (long)child);
    assert_fails(f, folder_lock(folder, &f->err), ERR_CONFLICT, expected);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_ok(f, folder_lock(folder, &f->err));
    folder_close(folder);
    close(ready[0]);
    close(ready[1]);
}

static void a_linked_lock_is_not_followed(void **state)
{
    struct fixture *f = *state;
    struct folder *folder = open_new(f, "data");
    touch(in_folder(f, "victim"));
    assert_int_equal(symlink(in_folder(f, "victim"), in_folder(f, "data/lock")), 0);
    assert_int_equal(folder_lock(folder, &f->err), ERR_IO);
    assert_false(folder_is_locked(folder));
    struct stat st;
    assert_int_equal(stat(in_folder(f, "victim"), &st), 0);
    assert_int_equal(st.st_size, 0);
    folder_close(folder);
}

#define with_folder(fn) cmocka_unit_test_setup_teardown(fn, setup_folder, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(a_new_folder_is_private_whatever_the_umask),
        with_folder(an_open_mode_is_tightened),
        with_folder(an_absent_or_empty_folder_is_not_found_unless_it_may_be_made),
        with_folder(a_folder_with_other_things_is_not_ours),
        with_folder(a_folder_with_our_database_may_hold_other_things),
        with_folder(another_users_folder_is_denied),
        with_folder(the_lock_has_one_owner_and_says_who),
        with_folder(asking_whether_it_is_locked_does_not_hinder_locking),
        with_folder(a_killed_owner_leaves_no_lock),
        with_folder(a_linked_lock_is_not_followed),
    };
    return cmocka_run_group_tests_name("folder", tests, NULL, NULL);
}
