/* regions.c - a short list of sealed memfds. */
#include "api/regions.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/check.h"

struct region {
    char name[REGION_NAME_BYTES_MAX], key[REGION_NAME_BYTES_MAX];
    size_t name_bytes, key_bytes;
    uint64_t offset, size;
    int fd;
};

struct regions {
    int count;
    struct region *all[REGIONS_MAX]; /* [count] */
};

struct regions *regions_new(void)
{
    struct regions *regions = calloc(1, sizeof(*regions));
    if (!regions)
        abort();
    return regions;
}

static void region_free(struct region *region)
{
    close(region->fd);
    free(region);
}

void regions_free(struct regions *regions)
{
    for (int i = 0; regions && i < regions->count; i++)
        region_free(regions->all[i]);
    free(regions);
}

static struct str name_of(const struct region *region)
{
    return (struct str){region->name, region->name_bytes};
}

static struct region *find(const struct regions *regions, struct str name)
{
    for (int i = 0; regions && i < regions->count; i++)
        if (str_equal(name_of(regions->all[i]), name))
            return regions->all[i];
    return NULL;
}

/* ---- registering ---- */

static enum err_code check_claim(const struct regions *regions, const struct region_claim *claim,
                                 struct err *err)
{
    uint64_t end;
    if (claim->name.len == 0 || claim->name.len > REGION_NAME_BYTES_MAX ||
        claim->key.len > REGION_NAME_BYTES_MAX)
        return err_set(err, ERR_INVALID, "names of shared memory regions have 1 to %d bytes",
                       REGION_NAME_BYTES_MAX);
    if (claim->size == 0 || claim->size > REGION_BYTES_MAX ||
        __builtin_add_overflow(claim->offset, claim->size, &end) || end > INT64_MAX)
        return err_set(
            err, ERR_INVALID,
            "shared memory region '%.*s': byte_size must be 1 to %d, and offset with it a "
            "place in the memory",
            STR_ARG(claim->name), REGION_BYTES_MAX);
    if (find(regions, claim->name))
        return err_set(err, ERR_EXISTS, "shared memory region '%.*s' already in manager",
                       STR_ARG(claim->name));
    if (regions->count == REGIONS_MAX)
        return err_set(err, ERR_LIMIT, "a connection may have %d shared memory regions",
                       REGIONS_MAX);
    return ERR_OK;
}

/* Huge pages are not taken: their reads may fail for want of one. */
static enum err_code check_fd(const struct region_claim *claim, int fd, struct err *err)
{
    struct stat stat;
    struct statfs fs;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || fstat(fd, &stat) != 0 || fstatfs(fd, &fs) != 0 || fs.f_type != TMPFS_MAGIC) {
        err_set(err, ERR_INVALID, "shared memory region '%.*s': the descriptor is no memfd",
                STR_ARG(claim->name));
        return err_hint(err, "memfd_create(name, MFD_ALLOW_SEALING), without huge pages");
    }
    if ((seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW)) {
        err_set(
            err, ERR_INVALID,
            "shared memory region '%.*s': the memfd is not sealed against shrinking and growing",
            STR_ARG(claim->name));
        return err_hint(err, "fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)");
    }
    if (claim->offset + claim->size > (uint64_t)stat.st_size)
        return err_set(err, ERR_INVALID,
                       "shared memory region '%.*s': %llu bytes at %llu, and the memfd has %lld",
                       STR_ARG(claim->name), (unsigned long long)claim->size,
                       (unsigned long long)claim->offset, (long long)stat.st_size);
    return ERR_OK;
}

enum err_code regions_add(struct regions *regions, const struct region_claim *claim, int fd,
                          struct err *err)
{
    enum err_code rc = check_claim(regions, claim, err);
    if (!rc)
        rc = check_fd(claim, fd, err);
    if (rc) {
        close(fd);
        return rc;
    }
    struct region *region = calloc(1, sizeof(*region));
    if (!region)
        abort();
    *region = (struct region){.name_bytes = claim->name.len,
                              .key_bytes = claim->key.len,
                              .offset = claim->offset,
                              .size = claim->size,
                              .fd = fd};
    memcpy(region->name, claim->name.ptr, claim->name.len);
    if (claim->key.len)
        memcpy(region->key, claim->key.ptr, claim->key.len);
    regions->all[regions->count++] = region;
    return ERR_OK;
}

void regions_remove(struct regions *regions, struct str name)
{
    int kept = 0;
    for (int i = 0; i < regions->count; i++) {
        struct region *region = regions->all[i];
        if (name.len == 0 || str_equal(name_of(region), name))
            region_free(region);
        else
            regions->all[kept++] = region;
    }
    regions->count = kept;
}

void regions_write(struct json_writer *w, const struct regions *regions, struct str name)
{
    json_begin_array(w);
    for (int i = 0; regions && i < regions->count; i++) {
        const struct region *region = regions->all[i];
        if (name.len && !str_equal(name_of(region), name))
            continue;
        json_begin_object(w);
        json_key(w, "name");
        json_put_str(w, name_of(region));
        json_key(w, "key");
        json_put_str(w, (struct str){region->key, region->key_bytes});
        json_member_u64(w, "offset", region->offset);
        json_member_u64(w, "byte_size", region->size);
        json_end_object(w);
    }
    json_end_array(w);
}

/* ---- copying ---- */

static enum err_code locate(const struct regions *regions, struct str name, uint64_t offset,
                            uint64_t size, const struct region **region, struct err *err)
{
    *region = find(regions, name);
    if (!*region) {
        err_set(err, ERR_INVALID, "Unable to find shared memory region: '%.*s'", STR_ARG(name));
        return err_hint(err, "a region belongs to the connection that registered it");
    }
    if (size <= (*region)->size && offset <= (*region)->size - size)
        return ERR_OK;
    return err_set(err, ERR_INVALID,
                   "Invalid offset + byte size for shared memory region: '%.*s': %llu bytes at "
                   "%llu, and it has %llu",
                   STR_ARG(name), (unsigned long long)size, (unsigned long long)offset,
                   (unsigned long long)(*region)->size);
}

enum err_code region_check(const struct regions *regions, struct str name, uint64_t offset,
                           uint64_t size, struct err *err)
{
    const struct region *region;
    return locate(regions, name, offset, size, &region, err);
}

static enum err_code fail(const struct region *region, const char *what, ssize_t done,
                          struct err *err)
{
    if (done < 0)
        return err_set_errno(err, errno, "shared memory region '%.*s' cannot be %s",
                             STR_ARG(name_of(region)), what);
    return err_set(err, ERR_INVALID, "shared memory region '%.*s' ends before it is %s whole",
                   STR_ARG(name_of(region)), what);
}

enum err_code region_read(const struct regions *regions, struct str name, uint64_t offset,
                          void *bytes, size_t size, struct err *err)
{
    const struct region *region;
    enum err_code rc = locate(regions, name, offset, size, &region, err);
    for (size_t at = 0; !rc && at < size;) {
        ssize_t done =
            pread(region->fd, (char *)bytes + at, size - at, (off_t)(region->offset + offset + at));
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return fail(region, "read", done, err);
        at += (size_t)done;
    }
    return rc;
}

enum err_code region_write(const struct regions *regions, struct str name, uint64_t offset,
                           const void *bytes, size_t size, struct err *err)
{
    const struct region *region;
    enum err_code rc = locate(regions, name, offset, size, &region, err);
    for (size_t at = 0; !rc && at < size;) {
        ssize_t done = pwrite(region->fd, (const char *)bytes + at, size - at,
                              (off_t)(region->offset + offset + at));
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return fail(region, "written", done, err);
        at += (size_t)done;
    }
    return rc;
}
