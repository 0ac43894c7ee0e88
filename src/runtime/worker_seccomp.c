/* worker_seccomp.c - the system calls a worker may not make.
 *
 * Everything numeric code needs stays allowed; what is refused fails with EPERM, which Python turns
 * into a PermissionError that names the place. New threads are allowed, new processes are not, so
 * whatever the code starts ends with the worker.
 */
#include "runtime/worker_sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define AUDIT_ARCH_OURS AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define AUDIT_ARCH_OURS AUDIT_ARCH_AARCH64
#endif

enum { FILTER_MAX = 400, X32_BIT = 0x40000000 };

/* New ones by number, where the build machine's header may not have them. */
enum {
    CALL_QUOTACTL_FD = 443,
    CALL_MEMFD_SECRET = 447,
    CALL_FUTURE_FIRST = 463, /* what is newer than this list is not known to be harmless */
};

static const unsigned refused[] = {
    /* the world outside */
    SYS_socket,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    /* other processes */
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_process_mrelease,
    SYS_kcmp,
    SYS_pidfd_open,
    SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
    SYS_tkill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_setsid,
    SYS_setpgid,
    SYS_setpriority,
    SYS_migrate_pages,
    SYS_move_pages,
    SYS_perf_event_open,
    /* who it is */
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_setgroups,
    SYS_capset,
    SYS_personality,
    /* namespaces, mounts and names of files that landlock does not see */
    SYS_unshare,
    SYS_setns,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_open_tree,
    SYS_move_mount,
    SYS_mount_setattr,
    SYS_open_by_handle_at,
    SYS_name_to_handle_at,
    SYS_quotactl,
    CALL_QUOTACTL_FD,
    SYS_swapon,
    SYS_swapoff,
    SYS_mknodat,
    SYS_fanotify_init,
    SYS_fanotify_mark,
    /* memory that no limit counts */
    SYS_memfd_create,
    CALL_MEMFD_SECRET,
    SYS_shmget,
    SYS_shmat,
    SYS_shmctl,
    SYS_semget,
    SYS_msgget,
    SYS_mq_open,
    /* the kernel itself */
    SYS_bpf,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_syslog,
    SYS_acct,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_vhangup,
#if defined(__x86_64__)
    SYS_fork,
    SYS_vfork,
    SYS_mknod,
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
    SYS_kexec_file_load,
#endif
};

/* Allowed for the worker itself alone: the first argument is its process. */
static const unsigned own_only[] = {SYS_kill, SYS_tgkill};

/* ---- the filter ---- */

struct filter {
    struct sock_filter code[FILTER_MAX];
    unsigned short count;
};

enum { FILTER_NR = 0, FILTER_ARCH = 4, FILTER_ARGS = 16 };

static void put(struct filter *f, struct sock_filter step)
{
    if (f->count < FILTER_MAX)
        f->code[f->count++] = step;
}

static void load(struct filter *f, unsigned at)
{
    put(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at));
}

static void answer(struct filter *f, unsigned verdict)
{
    put(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

/* The low half of an argument, on machines where it comes first. */
static unsigned argument(int index)
{
    return FILTER_ARGS + 8 * (unsigned)index;
}

#define REFUSE(errnum) (SECCOMP_RET_ERRNO | (errnum))

/* Run the next `steps` for this call alone. */
static void when_call(struct filter *f, unsigned call, unsigned char steps)
{
    put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, steps));
}

static void put_refused(struct filter *f)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        when_call(f, refused[i], 1);
        answer(f, REFUSE(EPERM));
    }
    put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, CALL_FUTURE_FIRST, 0, 1));
    answer(f, REFUSE(ENOSYS));
    when_call(f, SYS_clone3, 1); /* its flags are out of our sight; libc then calls clone */
    answer(f, REFUSE(ENOSYS));
}

/* For this call alone: refuse it unless the argument is one of two values. */
static void require(struct filter *f, unsigned call, int index, unsigned value, unsigned other)
{
    when_call(f, call, 5);
    load(f, argument(index));
    put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
    put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, other, 0, 1));
    answer(f, SECCOMP_RET_ALLOW);
    answer(f, REFUSE(EPERM));
}

/* For this call alone: refuse it when of the bits in `mask` exactly these are set. */
static void refuse_bits(struct filter *f, unsigned call, int index, unsigned mask, unsigned bits)
{
    when_call(f, call, 5);
    load(f, argument(index));
    put(f, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
    put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, bits, 0, 1));
    answer(f, REFUSE(EPERM));
    answer(f, SECCOMP_RET_ALLOW);
}

static void build(struct filter *f)
{
    const unsigned shared = MAP_SHARED | MAP_ANONYMOUS, own = (unsigned)getpid();
    load(f, FILTER_ARCH);
    put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_OURS, 1, 0));
    answer(f, SECCOMP_RET_KILL_PROCESS);
    load(f, FILTER_NR);
    put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1));
    answer(f, SECCOMP_RET_KILL_PROCESS);
    put_refused(f);
    for (size_t i = 0; i < sizeof(own_only) / sizeof(own_only[0]); i++)
        require(f, own_only[i], 0, own, own);
    require(f, SYS_prlimit64, 0, 0, own);
    require(f, SYS_socketpair, 0, AF_UNIX, AF_UNIX);
    refuse_bits(f, SYS_clone, 0, CLONE_THREAD, 0);
    refuse_bits(f, SYS_mmap, 3, shared, shared);
    refuse_bits(f, SYS_prctl, 0, ~0u, PR_SET_PDEATHSIG);
    answer(f, SECCOMP_RET_ALLOW);
}

bool sandbox_seccomp(void)
{
    struct filter filter = {.count = 0};
    build(&filter);
    const struct sock_fprog program = {.len = filter.count, .filter = filter.code};
    return filter.count < FILTER_MAX && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
