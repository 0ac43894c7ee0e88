/* worker_sandbox.c - the parts of a worker's sandbox in the order in which the kernel allows them.
 *
 * Namespaces need privileges, so they come before the user changes; the death signal is forgotten
 * when the user changes, so it comes after; landlock opens files, so it comes before seccomp.
 */
#include "runtime/worker_sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

enum { FILES_MAX = 256, CAPABILITIES_END = 64 };

static const struct {
    enum sandbox_part part;
    const char *name;
} names[SANDBOX_PARTS] = {
    {SANDBOX_FILES, "files"},       {SANDBOX_NETWORK, "network"}, {SANDBOX_USER, "user"},
    {SANDBOX_LANDLOCK, "landlock"}, {SANDBOX_CALLS, "calls"},     {SANDBOX_LIMITS, "limits"},
};

const char *sandbox_part_name(enum sandbox_part part)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].part == part)
            return names[i].name;
    return "";
}

/* ---- limits ---- */

static bool limit(__rlimit_resource_t what, size_t value)
{
    struct rlimit both;
    if (getrlimit(what, &both) != 0)
        return false;
    if (both.rlim_max > value)
        both.rlim_max = value;
    both.rlim_cur = both.rlim_max;
    return setrlimit(what, &both) == 0;
}

/* RLIMIT_DATA counts what is written to, unlike RLIMIT_AS, of which libraries reserve much more
 * than they use. Threads are counted per user, so they are limited where the user is its own. */
static bool set_limits(const struct sandbox *s, bool has_own_user)
{
    bool is_ok = limit(RLIMIT_CORE, 0) && limit(RLIMIT_NOFILE, FILES_MAX) &&
                 limit(RLIMIT_FSIZE, s->tmp_bytes) && limit(RLIMIT_DATA, s->memory_bytes) &&
                 limit(RLIMIT_MEMLOCK, 0) && limit(RLIMIT_MSGQUEUE, 0);
    if (has_own_user)
        is_ok = limit(RLIMIT_NPROC, (size_t)s->threads_max) && is_ok;
    return is_ok;
}

/* ---- identity ---- */

static void drop_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};
    for (int i = 0; i < CAPABILITIES_END; i++)
        prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    syscall(SYS_capset, &head, none);
}

/* The bounding set can only be emptied while it is still allowed to. */
static bool change_user(const struct sandbox *s)
{
    for (int i = 0; i < CAPABILITIES_END; i++)
        prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    return setgroups(0, NULL) == 0 && setresgid(s->user, s->user, s->user) == 0 &&
           setresuid(s->user, s->user, s->user) == 0;
}

static enum err_code die_with(pid_t parent, struct err *err)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_set_errno(err, errno, "preparing the worker");
    if (getppid() != parent)
        return err_set(err, ERR_CANCELLED, "the server has ended");
    return ERR_OK;
}

/* ---- all of it ---- */

static enum err_code explain_missing(unsigned parts, struct err *err)
{
    char list[80] = "";
    size_t at = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if ((SANDBOX_REQUIRED & ~parts) & (unsigned)names[i].part)
            at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", at ? ", " : "",
                                   names[i].name);
    err_set(err, ERR_UNSUPPORTED, "this kernel does not offer the sandbox's %s", list);
    return err_hint(err, "--python-sandbox=try runs models with what there is; only for models "
                         "whose code you trust");
}

enum err_code sandbox_enter(struct sandbox *s, pid_t parent, unsigned *parts, struct err *err)
{
    bool is_root = geteuid() == 0;
    *parts = 0;
    if (s->mode == SANDBOX_OFF)
        return die_with(parent, err);
    *parts |= sandbox_spaces(s);
    /* Without a file system of its own another user could not reach the data folder. */
    bool changes_user = is_root && s->user && (*parts & SANDBOX_FILES);
    if (set_limits(s, changes_user))
        *parts |= SANDBOX_LIMITS;
    if (changes_user && change_user(s))
        *parts |= SANDBOX_USER;
    drop_capabilities();
    enum err_code rc = die_with(parent, err);
    if (rc)
        return rc;
    if (sandbox_landlock(s))
        *parts |= SANDBOX_LANDLOCK;
    if (sandbox_seccomp())
        *parts |= SANDBOX_CALLS;
    bool is_whole = (*parts & SANDBOX_REQUIRED) == SANDBOX_REQUIRED;
    return is_whole || s->mode == SANDBOX_TRY ? ERR_OK : explain_missing(*parts, err);
}
