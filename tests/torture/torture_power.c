/* torture_power.c - the power goes at every write and sync; what was acknowledged is there.
 *
 *     torture_power [rounds]
 *
 * Without an argument at every third, with any at all, as often as there are rounds (and
 * SEEDS_MAX).
 *
 * What was written since the last sync of a file may be lost, whole or in part, in any order. Each
 * file is remembered as it was at its last sync, with the writes since. At the n-th call the power
 * goes: each of those writes is kept, dropped or cut at a sector, by a seeded coin. Then the store
 * is opened, and must end with the last commit that was acknowledged, or with the one that was
 * under way. (Names of files are taken to be on the disk at once; blobs, whose names matter, sync
 * theirs.)
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/rand.h"
#include "workload.h"

enum { FILES_MAX = 8, UNSYNCED_MAX = 4096, NAME_BYTES = 256, SECTOR_BYTES = 512, SEEDS_MAX = 40 };

static int seeds = 1, stride = 3;
static struct rand coin;

struct unsynced {
    int64_t offset, size; /* bytes NULL: a truncation to `size` */
    unsigned char *bytes; /* owned */
};

static struct tracked {
    char name[NAME_BYTES]; /* "": free */
    struct unsynced list[UNSYNCED_MAX];
    int count;
    unsigned char *disk; /* owned; what the disk has for sure */
    int64_t disk_bytes;
} files[FILES_MAX];

/* ---- the disk ---- */

static void resize(struct tracked *file, int64_t bytes)
{
    file->disk = realloc(file->disk, (size_t)bytes + 1);
    assert_non_null(file->disk);
    if (bytes > file->disk_bytes)
        memset(file->disk + file->disk_bytes, 0, (size_t)(bytes - file->disk_bytes));
    file->disk_bytes = bytes;
}

static void put_on_disk(struct tracked *file, const struct unsynced *write, int64_t size)
{
    if (!write->bytes) {
        resize(file, write->size);
        return;
    }
    if (write->offset + size > file->disk_bytes)
        resize(file, write->offset + size);
    memcpy(file->disk + write->offset, write->bytes, (size_t)size);
}

static void forget(struct tracked *file)
{
    for (int i = 0; i < file->count; i++)
        free(file->list[i].bytes);
    file->count = 0;
}

static void *note_opened(const char *name)
{
    int i = 0;
    if (!name)
        return NULL; /* a temporary file, gone with its process */
    while (files[i].name[0] && strcmp(files[i].name, name) != 0)
        assert_true(++i < FILES_MAX);
    snprintf(files[i].name, sizeof(files[i].name), "%s", name);
    return &files[i];
}

static void note(struct tracked *file, struct unsynced write)
{
    assert_true(file->count < UNSYNCED_MAX);
    file->list[file->count++] = write;
}

static void note_wrote(void *tracked, const void *bytes, int size, sqlite3_int64 offset)
{
    if (!tracked)
        return;
    unsigned char *copy = malloc((size_t)size);
    assert_non_null(copy);
    memcpy(copy, bytes, (size_t)size);
    note(tracked, (struct unsynced){offset, size, copy});
}

static void note_truncated(void *tracked, sqlite3_int64 size)
{
    if (tracked)
        note(tracked, (struct unsynced){.size = size});
}

static void note_synced(void *tracked)
{
    struct tracked *file = tracked;
    for (int i = 0; file && i < file->count; i++)
        put_on_disk(file, &file->list[i], file->list[i].size);
    if (file)
        forget(file);
}

/* ---- the cut ---- */

/* Kept, dropped, or its first sectors. A truncation happens or not. */
static void lose_some(struct tracked *file)
{
    for (int i = 0; i < file->count; i++) {
        const struct unsynced *write = &file->list[i];
        uint64_t toss = rand_u64(&coin) % 4;
        int64_t sectors = write->size / SECTOR_BYTES;
        if (toss == 0 || (toss == 1 && (!write->bytes || sectors == 0)))
            continue;
        int64_t kept =
            toss == 1 ? (int64_t)(rand_u64(&coin) % (uint64_t)sectors) * SECTOR_BYTES : write->size;
        put_on_disk(file, write, kept);
    }
    forget(file);
}

/* The file becomes what the disk has. One that was removed stays removed. */
static void restore(const struct tracked *file)
{
    struct stat st;
    if (!file->name[0] || stat(file->name, &st) != 0)
        return;
    int fd = open(file->name, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, file->disk, (size_t)file->disk_bytes), file->disk_bytes);
    close(fd);
}

static void cut_power(struct run *r)
{
    struct fixture *f = r->f;
    close_store(f); /* all its writes fail: it changes nothing */
    for (int i = 0; i < FILES_MAX; i++) {
        lose_some(&files[i]);
        restore(&files[i]);
    }
    unlink(in_folder(f, "slipway.db-shm"));
}

static void forget_files(void)
{
    for (int i = 0; i < FILES_MAX; i++) {
        forget(&files[i]);
        free(files[i].disk);
        memset(&files[i], 0, sizeof(files[i]));
    }
}

static void check_after_cut(struct run *r, int n)
{
    struct fixture *f = r->f;
    char head[SHA256_HEX_BYTES + 1];
    assert_ok(f, open_and_migrate(r));
    assert_consistent(f, NULL, head);
    if (strcmp(head, r->committed) != 0 && strcmp(head, r->attempted) != 0)
        fail_msg("call %d: an acknowledged commit is lost", n);
    memcpy(r->committed, head, sizeof(head));
    assert_ok(f, transact(r, 51));
    close_store(f);
}

/* True while there was an n-th call. */
static bool cut_at(struct fixture *f, int n)
{
    struct run r;
    forget_files();
    reset(&r, f);
    faults.fail_at = n;
    work(&r);
    bool was_hit = faults.was_hit;
    if (was_hit)
        cut_power(&r);
    else
        close_store(f);
    faults.fail_at = 0;
    if (was_hit)
        check_after_cut(&r, n);
    return was_hit;
}

static void an_acknowledged_commit_survives_a_power_cut(void **state)
{
    int calls = 0;
    faults.code = SQLITE_IOERR;
    faults.forever = true;
    faults.half = false;
    for (int seed = 0; seed < seeds; seed++) {
        int n = 1;
        rand_seed(&coin, (uint64_t)seed);
        for (; n < CALLS_MAX && cut_at(*state, n); n += stride)
            calls++;
        assert_true(n > 50); /* the work does write */
    }
    forget_files();
    print_message("# %d cuts\n", calls);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_acknowledged_commit_survives_a_power_cut, setup_folder,
                                        teardown),
    };
    int64_t wanted;
    if (argc > 1 && str_to_i64(str_of(argv[1]), &wanted) && wanted > 0) {
        seeds = wanted < SEEDS_MAX ? (int)wanted : SEEDS_MAX;
        stride = 1;
    }
    log_set_level(LOG_ERROR);
    hooks.opened = note_opened;
    hooks.wrote = note_wrote;
    hooks.truncated = note_truncated;
    hooks.synced = note_synced;
    install_shim();
    return cmocka_run_group_tests_name("torture_power", tests, NULL, NULL);
}
