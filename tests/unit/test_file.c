/* test_file.c - reads with a limit, replacement as one step. */
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

static char folder[] = "/tmp/slipway-test-file-XXXXXX";
static int folder_fd;

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder_fd < 0 ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlinkat(folder_fd, "a", 0);
    close(folder_fd);
    return rmdir(folder);
}

static int names_in_folder(void)
{
    int count = 0;
    DIR *dir = opendir(folder);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2; /* . and .. */
}

static void assert_content(const char *expected)
{
    char path[100];
    struct buf buf;
    struct err err;
    snprintf(path, sizeof(path), "%s/a", folder);
    assert_int_equal(file_read(path, 1 << 20, &buf, &err), ERR_OK);
    assert_string_equal(buf_c(&buf), expected);
    buf_done(&buf);
}

static void a_file_is_replaced_whole(void **state)
{
    (void)state;
    struct err err;
    struct stat st;
    assert_int_equal(file_replace_at(folder_fd, "a", "first", 5, 0600, &err), ERR_OK);
    assert_content("first");
    assert_int_equal(file_replace_at(folder_fd, "a", "2nd", 3, 0600, &err), ERR_OK);
    assert_content("2nd");
    assert_int_equal(fstatat(folder_fd, "a", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(names_in_folder(), 1);
}

/* rename() onto a folder that is not empty fails, after the new content has been written. */
static void a_failed_replacement_leaves_nothing_behind(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(mkdirat(folder_fd, "busy", 0700), 0);
    assert_int_equal(file_replace_at(folder_fd, "busy", "x", 1, 0600, &err), ERR_IO);
    assert_string_equal(err.msg, "cannot replace busy: Is a directory");
    assert_int_equal(names_in_folder(), 2);
    assert_int_equal(unlinkat(folder_fd, "busy", AT_REMOVEDIR), 0);
    assert_content("2nd");
}

static void write_zeros(int fd, size_t size)
{
    static const char zeros[4096];
    struct err err;
    for (; size > sizeof(zeros); size -= sizeof(zeros))
        assert_int_equal(file_write_all(fd, "zeros", zeros, sizeof(zeros), &err), ERR_OK);
    assert_int_equal(file_write_all(fd, "zeros", zeros, size, &err), ERR_OK);
}

static void reading_stops_at_the_limit(void **state)
{
    static const size_t sizes[] = {0, 1, 255, 256, 257, 65536, 200001};
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct buf buf;
        struct err err;
        int fd = open(folder, O_TMPFILE | O_RDWR, 0600);
        write_zeros(fd, sizes[i]);
        lseek(fd, 0, SEEK_SET);
        assert_int_equal(file_read_fd(fd, "it", sizes[i], &buf, &err), ERR_OK);
        assert_int_equal(buf.len, sizes[i]);
        buf_done(&buf);
        lseek(fd, 0, SEEK_SET);
        enum err_code code =
            sizes[i] ? file_read_fd(fd, "it", sizes[i] - 1, &buf, &err) : ERR_LIMIT;
        assert_int_equal(code, ERR_LIMIT);
        buf_done(&buf);
        close(fd);
    }
}

static void a_pipe_is_read_to_its_end(void **state)
{
    (void)state;
    int ends[2];
    struct buf buf;
    struct err err;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "piped", 5), 5);
    close(ends[1]);
    assert_int_equal(file_read_fd(ends[0], "the pipe", 100, &buf, &err), ERR_OK);
    assert_string_equal(buf_c(&buf), "piped");
    buf_done(&buf);
    close(ends[0]);
}

static void what_cannot_be_read_is_named(void **state)
{
    (void)state;
    struct buf buf;
    struct err err;
    assert_int_equal(file_read("/nowhere/at-all", 100, &buf, &err), ERR_NOT_FOUND);
    assert_string_equal(err.msg, "cannot open /nowhere/at-all: No such file or directory");
    buf_done(&buf);
    assert_int_equal(file_read(folder, 100, &buf, &err), ERR_IO);
    buf_done(&buf);
    assert_int_equal(file_write_all(-1, "the reply", "x", 1, &err), ERR_IO);
    assert_string_equal(err.msg, "cannot write the reply: Bad file descriptor");
}

static void a_full_disk_has_its_own_code(void **state)
{
    (void)state;
    struct err err;
    int fd = open("/dev/full", O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, "it", "x", 1, &err), ERR_DISK_FULL);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_replaced_whole),
        cmocka_unit_test(a_failed_replacement_leaves_nothing_behind),
        cmocka_unit_test(reading_stops_at_the_limit),
        cmocka_unit_test(a_pipe_is_read_to_its_end),
        cmocka_unit_test(what_cannot_be_read_is_named),
        cmocka_unit_test(a_full_disk_has_its_own_code),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
