/* rollout_files.c - names, replacing, and what is left behind. */
#include "serve/rollout_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

enum { NAME_BYTES = 64, PATH_BYTES = 4400 };

#define PREFIX "rollout-"

static const char *const suffixes[ROLLOUT_STATE_FILE_COUNT] = {".evidence", ".shadow"};

static const char *name_of(int64_t rollout, enum rollout_state_file which, char out[NAME_BYTES])
{
    snprintf(out, NAME_BYTES, PREFIX "%lld%s", (long long)rollout, suffixes[which]);
    return out;
}

void rollout_file_save(const struct folder *folder, int64_t rollout, enum rollout_state_file which,
                       const struct buf *bytes)
{
    char name[NAME_BYTES];
    struct err err = {0};
    if (bytes->is_full || file_replace_at(folder_fd(folder), name_of(rollout, which, name),
                                          bytes->data, bytes->len, 0600, &err))
        log_warn("rollout state not kept", "file=%s reason=%s", name_of(rollout, which, name),
                 bytes->is_full ? "too large" : err.msg);
}

void rollout_file_load(const struct folder *folder, int64_t rollout, enum rollout_state_file which,
                       size_t bytes_max, struct buf *bytes)
{
    char name[NAME_BYTES], path[PATH_BYTES];
    struct err err = {0};
    folder_file(folder, name_of(rollout, which, name), path, sizeof(path));
    if (file_read(path, bytes_max, bytes, &err))
        buf_clear(bytes);
}

void rollout_file_remove(const struct folder *folder, int64_t rollout,
                         enum rollout_state_file which)
{
    char name[NAME_BYTES];
    unlinkat(folder_fd(folder), name_of(rollout, which, name), 0);
}

/* "rollout-12.shadow" -> 12. */
static bool rollout_of(struct str name, int64_t *rollout)
{
    if (!str_starts_with(name, STR_LIT(PREFIX)))
        return false;
    name = (struct str){name.ptr + strlen(PREFIX), name.len - strlen(PREFIX)};
    for (int i = 0; i < ROLLOUT_STATE_FILE_COUNT; i++)
        if (str_ends_with(name, str_of(suffixes[i])))
            return str_to_i64((struct str){name.ptr, name.len - strlen(suffixes[i])}, rollout);
    return false;
}

void rollout_files_clean(const struct folder *folder, bool (*kept)(void *arg, int64_t rollout),
                         void *arg)
{
    int64_t rollout;
    struct dirent *entry;
    int fd = openat(folder_fd(folder), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir && fd >= 0)
        close(fd);
    while (dir && (entry = readdir(dir)))
        if (rollout_of(str_of(entry->d_name), &rollout) && !kept(arg, rollout))
            unlinkat(folder_fd(folder), entry->d_name, 0);
    if (dir)
        closedir(dir);
}
