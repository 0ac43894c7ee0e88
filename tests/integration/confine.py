"""What slipway.service does to the process, without systemd: its system call filter, no memory that
can be written and run.

    confine.py UNIT PROGRAM ARGUMENT...
"""
import ctypes
import errno
import os
import re
import subprocess
import sys

ALLOW = 0x7fff0000
PR_SET_NO_NEW_PRIVS = 38
PR_SET_MDWE = 65
MDWE_REFUSE_EXEC_GAIN = 1
# What systemd lets through whatever a unit says (systemd.exec(5)).
ALWAYS = {"@default", "execve", "exit", "exit_group", "getrlimit", "rt_sigreturn", "sigreturn"}


def members(name, seen):
    """The calls of a set, with those of the sets in it."""
    if not name.startswith("@"):
        return {name}
    if name in seen:
        return set()
    seen.add(name)
    shown = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True,
                           text=True, check=True).stdout
    lines = [line.strip() for line in shown.splitlines()[1:]]
    return set().union(*(members(line, seen) for line in lines if line and line[0] != "#"))


def allowed(unit):
    """The first line makes a list of what is allowed; later ones add, or with ~ take away."""
    calls = set().union(*(members(name, set()) for name in ALWAYS))
    with open(unit) as lines:
        for value in re.findall(r"^SystemCallFilter=(.*)$", lines.read(), re.M):
            named = set().union(*(members(name, set()) for name in value.lstrip("~").split()))
            calls = calls - named if value.startswith("~") else calls | named
    return calls


def main():
    unit, *argv = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    filter_ = ctypes.c_void_p(seccomp.seccomp_init(0x00050000 | errno.EPERM))
    for name in allowed(unit):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            seccomp.seccomp_rule_add(filter_, ctypes.c_uint32(ALLOW), number, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)  # since Linux 6.3
    if seccomp.seccomp_load(filter_) != 0:
        sys.exit("confine: the filter is not taken")
    os.execv(argv[0], argv)


main()
