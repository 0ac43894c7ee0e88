/* record_tally.c - counters in a named page of shared memory. */
#include "monitor/record_tally.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "monitor/recorder.h"

enum { NAME_BYTES = 64 };
#define PAGE_MAGIC UINT64_C(0x534c495054414c31)

struct page {
    uint64_t magic, run[2], counter_count;
    struct {
        _Alignas(64) _Atomic uint64_t record_count;
    } counters[RECORDER_RINGS_MAX];
};

struct record_tally {
    struct page *page;
    char name[NAME_BYTES]; /* "": private */
};

static void name_after(int folder_fd, char name[NAME_BYTES])
{
    struct stat st;
    name[0] = '\0';
    if (fstat(folder_fd, &st) == 0)
        snprintf(name, NAME_BYTES, "/slipway-%u-%" PRIx64 "-%" PRIx64, (unsigned)geteuid(),
                 (uint64_t)st.st_dev, (uint64_t)st.st_ino);
}

/* One that another user has made is none of ours. */
static int open_page(const char *name)
{
    struct stat st;
    int fd = name[0] ? shm_open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) || st.st_uid != geteuid() || (st.st_mode & 077) ||
        (st.st_size != (off_t)sizeof(struct page) && ftruncate(fd, sizeof(struct page)))) {
        close(fd);
        return -1;
    }
    return fd;
}

static void read_last(const struct page *page, struct record_tally_last *last)
{
    if (page->magic != PAGE_MAGIC)
        return;
    last->is_known = true;
    memcpy(last->run, page->run, sizeof(last->run));
    for (int i = 0; i < RECORDER_RINGS_MAX; i++)
        last->record_count += page->counters[i].record_count;
}

struct record_tally *record_tally_open(int folder_fd, const uint64_t run[2],
                                       struct record_tally_last *last)
{
    struct record_tally *tally = calloc(1, sizeof(*tally));
    if (!tally)
        abort();
    *last = (struct record_tally_last){0};
    name_after(folder_fd, tally->name);
    int fd = open_page(tally->name);
    int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *map = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, flags, fd, 0);
    if (map == MAP_FAILED)
        abort();
    if (fd < 0)
        tally->name[0] = '\0';
    else
        close(fd);
    tally->page = map;
    read_last(tally->page, last);
    tally->page->magic = 0; /* until all of it is of this run */
    for (int i = 0; i < RECORDER_RINGS_MAX; i++)
        tally->page->counters[i].record_count = 0;
    memcpy(tally->page->run, run, sizeof(tally->page->run));
    tally->page->magic = PAGE_MAGIC;
    return tally;
}

_Atomic uint64_t *record_tally_counter(struct record_tally *tally, int index)
{
    assert(index >= 0 && index < RECORDER_RINGS_MAX);
    return &tally->page->counters[index].record_count;
}

void record_tally_close(struct record_tally *tally)
{
    if (!tally)
        return;
    if (tally->name[0])
        shm_unlink(tally->name);
    munmap(tally->page, sizeof(struct page));
    free(tally);
}
