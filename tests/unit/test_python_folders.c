/* test_python_folders.c - which unpacked folders of Python models go, and which stay. */
#include "runtime/python_folders.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file_tree.h"
#include "test.h"

#define KEPT "1111111111111111111111111111111111111111111111111111111111111111"
#define GONE "2222222222222222222222222222222222222222222222222222222222222222"
#define USED "3333333333333333333333333333333333333333333333333333333333333333"

enum { FILE_BYTES = 10 };

static char root[64];
static int root_fd;

static int setup(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/slipway-folders-XXXXXX");
    assert_non_null(mkdtemp(root));
    root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(root_fd >= 0);
    return mkdirat(root_fd, "python", 0755) || mkdirat(root_fd, "python/models", 0755) ||
           mkdirat(root_fd, "python/tmp", 0755);
}

static int teardown(void **state)
{
    struct err err = {0};
    (void)state;
    close(root_fd);
    return file_tree_remove(AT_FDCWD, root, &err) != ERR_OK;
}

/* A folder with a file of FILE_BYTES in it and one in a folder below. */
static void make(const char *path)
{
    char below[256];
    assert_int_equal(mkdirat(root_fd, path, 0755), 0);
    snprintf(below, sizeof(below), "%s/data", path);
    assert_int_equal(mkdirat(root_fd, below, 0755), 0);
    for (int i = 0; i < 2; i++) {
        snprintf(below, sizeof(below), "%s/%s", path, i ? "model.py" : "data/weights");
        int fd = openat(root_fd, below, O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
        assert_int_equal(write(fd, "0123456789", FILE_BYTES), FILE_BYTES);
        close(fd);
    }
}

static bool is_there(const char *path)
{
    return faccessat(root_fd, path, F_OK, 0) == 0;
}

static bool is_kept(void *arg, const char *digest_hex)
{
    (void)arg;
    return strcmp(digest_hex, KEPT) == 0;
}

static struct runtime_left collect(bool is_dry)
{
    struct err err = {0};
    struct runtime_left left = {.is_dry = is_dry, .is_kept = is_kept};
    const struct runtime_host host = {.work_dir = root};
    assert_int_equal(python_folders_collect(&host, &left, &err), ERR_OK);
    return left;
}

static void a_folder_whose_artifact_is_gone_goes_when_nobody_uses_it(void **state)
{
    (void)state;
    make("python/models/" KEPT);
    make("python/models/" GONE);
    make("python/models/" USED);
    make("python/tmp/" USED);
    python_folders_use(USED);
    python_folders_use(USED);
    struct runtime_left left = collect(true);
    assert_int_equal(left.folders, 1);
    assert_int_equal(left.bytes, 2 * FILE_BYTES);
    assert_true(is_there("python/models/" GONE));
    left = collect(false);
    assert_int_equal(left.folders, 1);
    assert_int_equal(left.bytes, 2 * FILE_BYTES);
    assert_false(is_there("python/models/" GONE));
    assert_true(is_there("python/models/" KEPT "/data/weights"));
    python_folders_leave(USED);
    assert_int_equal(collect(false).folders, 0);
    python_folders_leave(USED);
    assert_int_equal(collect(false).folders, 2);
    assert_false(is_there("python/models/" USED));
    assert_false(is_there("python/tmp/" USED));
}

/* Of a process that was killed while it unpacked, or while it removed. */
static void what_a_crash_has_left_goes_too(void **state)
{
    (void)state;
    make("python/models/" KEPT ".4711-0");
    make("python/models/" USED ".4711-0");
    make("python/models/.gone-" GONE);
    make("python/models/of-somebody-else");
    python_folders_use(USED); /* it may be what is being unpacked now */
    assert_int_equal(collect(false).folders, 2);
    python_folders_leave(USED);
    assert_true(is_there("python/models/" USED ".4711-0"));
    assert_true(is_there("python/models/of-somebody-else"));
    assert_false(is_there("python/models/.gone-" GONE));
}

/* Workers write below tmp: a link there leads nowhere. */
static void links_are_removed_and_not_followed(void **state)
{
    (void)state;
    make("python/models/" KEPT);
    make("python/tmp/" GONE);
    assert_int_equal(symlinkat("../../models/" KEPT, root_fd, "python/tmp/" GONE "/link"), 0);
    assert_int_equal(symlinkat("../models/" KEPT, root_fd, "python/tmp/" USED), 0);
    assert_int_equal(collect(false).folders, 2);
    assert_false(is_there("python/tmp/" GONE));
    assert_true(is_there("python/models/" KEPT "/model.py"));
}

/* Deeper than anybody unpacks: it stays, and so does the process. */
static void a_folder_that_is_too_deep_is_given_up(void **state)
{
    struct err err = {0};
    static const char half[] = "deep/d/d/d/d/d/d/d/d/d/d";
    (void)state;
    int at = dup(root_fd);
    for (int i = 0; i < FILE_TREE_DEPTH_MAX + 1; i++) {
        assert_int_equal(mkdirat(at, i ? "d" : "deep", 0755), 0);
        int below = openat(at, i ? "d" : "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(at);
        at = below;
    }
    close(at);
    assert_int_equal(file_tree_remove(root_fd, "deep", &err), ERR_LIMIT);
    assert_int_equal(renameat(root_fd, half, root_fd, "half"), 0);
    assert_int_equal(file_tree_remove(root_fd, "half", &err), ERR_OK);
    assert_int_equal(file_tree_remove(root_fd, "deep", &err), ERR_OK);
    assert_false(is_there("deep"));
}

static void what_is_not_there_is_removed_already(void **state)
{
    struct err err = {0};
    const struct runtime_host host = {.work_dir = "/nonexistent/work"};
    struct runtime_left left = {.is_kept = is_kept};
    (void)state;
    assert_int_equal(file_tree_remove(root_fd, "nothing", &err), ERR_OK);
    assert_int_equal(python_folders_collect(&host, &left, &err), ERR_OK);
    assert_int_equal(left.folders, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_folder_whose_artifact_is_gone_goes_when_nobody_uses_it),
        TEST(what_a_crash_has_left_goes_too),
        TEST(links_are_removed_and_not_followed),
        TEST(a_folder_that_is_too_deep_is_given_up),
        TEST(what_is_not_there_is_removed_already),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
