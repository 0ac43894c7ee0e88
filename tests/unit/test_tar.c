/* test_tar.c - folders as archives: the same bytes for the same files, and nothing gets outside. */
#include "base/tar.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/rand.h"
#include "test.h"

static char root[] = "/tmp/slipway-tar-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

static void put(const char *name, const char *text, mode_t mode)
{
    int fd = open(path_of(name), O_CREAT | O_WRONLY | O_TRUNC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static int make_root(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(root));
    mkdir(path_of("a"), 0755);
    mkdir(path_of("a/sub"), 0755);
    mkdir(path_of("a/__pycache__"), 0755);
    put("a/model.py", "x = 1\n", 0644);
    put("a/sub/run.sh", "#!/bin/sh\n", 0755);
    put("a/__pycache__/model.pyc", "bytes", 0644);
    put("a/empty", "", 0644);
    return 0;
}

static void pack(const char *folder, struct buf *out)
{
    struct err err = {0};
    buf_init(out, 1 << 20);
    assert_int_equal(tar_pack(path_of(folder), out, &err), ERR_OK);
}

/* Three files: a block for each head, one for each of two contents, two at the end. */
static void a_folder_becomes_files_in_order(void **state)
{
    (void)state;
    struct buf bytes;
    struct tar_reader reader;
    struct tar_entry entry;
    struct err err = {0};
    bool is_end = false;
    pack("a", &bytes);
    assert_int_equal(bytes.len, (3 + 2 + 2) * TAR_BLOCK);
    reader = (struct tar_reader){.bytes = buf_view(&bytes)};
    static const char *const names[] = {"empty", "model.py", "sub/run.sh"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tar_next(&reader, &entry, &is_end, &err), ERR_OK);
        assert_false(is_end);
        assert_string_equal(entry.path, names[i]);
        assert_int_equal(entry.is_executable, i == 2);
    }
    assert_int_equal(tar_next(&reader, &entry, &is_end, &err), ERR_OK);
    assert_true(is_end);
    buf_done(&bytes);
}

static void times_and_owners_change_nothing(void **state)
{
    (void)state;
    struct buf first, second;
    const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    pack("a", &first);
    assert_int_equal(utimensat(AT_FDCWD, path_of("a/model.py"), times, 0), 0);
    chmod(path_of("a/model.py"), 0600);
    pack("a", &second);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    buf_done(&first);
    buf_done(&second);
}

/* The system's own tar lists and unpacks what we write. */
static void other_programs_read_it(void **state)
{
    (void)state;
    struct buf bytes;
    char command[1024];
    pack("a", &bytes);
    int fd = open(path_of("a.tar"), O_CREAT | O_WRONLY, 0644);
    assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
    close(fd);
    snprintf(command, sizeof(command), "%s", path_of("a.tar"));
    FILE *list = NULL;
    if (access("/bin/tar", X_OK) != 0 && access("/usr/bin/tar", X_OK) != 0)
        skip();
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    if (fork() == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execlp("tar", "tar", "tf", command, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    char text[256] = "";
    list = fdopen(ends[0], "r");
    size_t size = fread(text, 1, sizeof(text) - 1, list);
    text[size] = '\0';
    fclose(list);
    assert_string_equal(text, "empty\nmodel.py\nsub/run.sh\n");
    buf_done(&bytes);
}

static void unpacking_gives_the_files_back(void **state)
{
    (void)state;
    struct buf bytes, again;
    struct err err = {0};
    pack("a", &bytes);
    mkdir(path_of("b"), 0755);
    int fd = open(path_of("b"), O_RDONLY | O_DIRECTORY);
    assert_int_equal(tar_unpack(buf_view(&bytes), fd, &err), ERR_OK);
    close(fd);
    pack("b", &again);
    assert_int_equal(bytes.len, again.len);
    assert_memory_equal(bytes.data, again.data, bytes.len);
    buf_done(&bytes);
    buf_done(&again);
}

static void a_link_is_refused(void **state)
{
    (void)state;
    struct buf bytes;
    struct err err = {0};
    mkdir(path_of("l"), 0755);
    assert_int_equal(symlink("/etc/passwd", path_of("l/secret")), 0);
    buf_init(&bytes, 1 << 20);
    assert_int_equal(tar_pack(path_of("l"), &bytes, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "'secret' is a link"));
    buf_done(&bytes);
}

static void a_limit_is_a_limit(void **state)
{
    (void)state;
    struct buf bytes;
    struct err err = {0};
    buf_init(&bytes, 1024);
    assert_int_equal(tar_pack(path_of("a"), &bytes, &err), ERR_LIMIT);
    buf_done(&bytes);
}

/* One head block, written by hand as POSIX has it. */
static void head(char *block, const char *name, char type, const char *link)
{
    memset(block, 0, 3 * TAR_BLOCK);
    snprintf(block, 100, "%s", name);
    snprintf(block + 100, 8, "0000644");
    snprintf(block + 124, 12, "00000000000");
    block[156] = type;
    snprintf(block + 157, 100, "%s", link);
    memcpy(block + 257, "ustar", 6);
    memcpy(block + 263, "00", 2);
    memset(block + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < TAR_BLOCK; i++)
        sum += (unsigned char)block[i];
    snprintf(block + 148, 8, "%06o", sum);
}

static enum err_code read_one(const char *name, char type, struct err *err)
{
    char block[3 * TAR_BLOCK];
    struct tar_entry entry;
    bool is_end;
    head(block, name, type, "/etc");
    struct tar_reader reader = {.bytes = {block, sizeof(block)}};
    return tar_next(&reader, &entry, &is_end, err);
}

static void paths_that_lead_out_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"../x", "a/../../x", "/etc/x", "a//x", "a/./x", "x\ny"};
    struct err err = {0};
    assert_int_equal(read_one("a/x", '0', &err), ERR_OK);
    assert_int_equal(read_one("./a/x", '0', &err), ERR_OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(read_one(bad[i], '0', &err), ERR_INVALID);
}

static void links_and_devices_are_refused(void **state)
{
    (void)state;
    struct err err = {0};
    for (const char *type = "12346xgLK"; *type; type++)
        assert_int_equal(read_one("x", *type, &err), ERR_UNSUPPORTED);
}

/* A flipped bit anywhere in the head is seen by the checksum, or is the checksum. */
static void damage_is_seen(void **state)
{
    (void)state;
    char block[3 * TAR_BLOCK];
    struct tar_entry entry;
    struct err err = {0};
    bool is_end;
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        head(block, "x", '0', "");
        block[i] = (char)(block[i] ^ 1);
        struct tar_reader reader = {.bytes = {block, sizeof(block)}};
        enum err_code rc = tar_next(&reader, &entry, &is_end, &err);
        bool is_padding = i == 148 + 7 || i == 148 + 6;
        assert_true(rc != ERR_OK || is_padding);
    }
}

static void an_archive_without_its_end_is_refused(void **state)
{
    (void)state;
    struct buf bytes;
    struct str data;
    struct err err = {0};
    pack("a", &bytes);
    for (size_t cut = 0; cut + 2 * TAR_BLOCK < bytes.len; cut += 100)
        assert_int_not_equal(tar_find((struct str){bytes.data, cut}, "none", &data, &err), ERR_OK);
    buf_done(&bytes);
}

/* One to four bytes of the archive are others: it is refused, or what is read lies inside. */
static void a_hundred_thousand_mutants_do_no_harm(void **state)
{
    (void)state;
    struct buf bytes;
    struct rand rand;
    int refused = 0;
    pack("a", &bytes);
    rand_seed(&rand, 7);
    char *mutant = malloc(bytes.len);
    for (int i = 0; i < 100000; i++) {
        memcpy(mutant, bytes.data, bytes.len);
        for (uint64_t k = rand_u64(&rand) % 4 + 1; k > 0; k--)
            mutant[rand_u64(&rand) % bytes.len] = (char)(rand_u64(&rand) % 256);
        struct tar_reader reader = {.bytes = {mutant, bytes.len}};
        struct tar_entry entry;
        struct err err = {0};
        bool is_end = false;
        enum err_code rc = ERR_OK;
        while (!rc && !is_end) {
            rc = tar_next(&reader, &entry, &is_end, &err);
            if (!rc && !is_end)
                assert_true(entry.data.ptr + entry.data.len <= mutant + bytes.len);
        }
        refused += rc != ERR_OK;
    }
    assert_in_range(refused, 10000, 100000);
    free(mutant);
    buf_done(&bytes);
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)where;
    return kind == FTW_DP ? rmdir(path) : unlink(path);
}

static int remove_root(void **state)
{
    (void)state;
    nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_becomes_files_in_order),
        cmocka_unit_test(times_and_owners_change_nothing),
        cmocka_unit_test(other_programs_read_it),
        cmocka_unit_test(unpacking_gives_the_files_back),
        cmocka_unit_test(a_link_is_refused),
        cmocka_unit_test(a_limit_is_a_limit),
        cmocka_unit_test(paths_that_lead_out_are_refused),
        cmocka_unit_test(links_and_devices_are_refused),
        cmocka_unit_test(damage_is_seen),
        cmocka_unit_test(an_archive_without_its_end_is_refused),
        cmocka_unit_test(a_hundred_thousand_mutants_do_no_harm),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
