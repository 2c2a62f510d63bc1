"""Which system calls a guest may make. Everything that is not named here fails with ``EPERM``.

The lists are short because of what the guest is: one Python process with threads, files in its own scratch folder, and
one socket that it already holds. It starts no program, opens no socket, and signals nobody but itself.

Numbers: ``arch/x86/entry/syscalls/syscall_64.tbl`` and ``include/uapi/asm-generic/unistd.h`` of Linux. A call that an
architecture does not have stands as ``None``. The tests compare both columns with the system's headers.
"""

from __future__ import annotations

import errno
from typing import Final, NamedTuple

Numbers = tuple[int | None, int | None]
"""The call's number on x86-64 and on aarch64."""

READ: Final[dict[str, Numbers]] = {
    # descriptors that are open already
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "readv": (19, 65),
    "writev": (20, 66),
    "preadv": (295, 69),
    "pwritev": (296, 70),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "pipe": (22, None),
    "close_range": (436, 436),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    # waiting for them
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "epoll_create": (213, None),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441),
    "eventfd2": (290, 19),
    # the bridge's socket, and the pair with which asyncio wakes itself
    "shutdown": (48, 210),
    "getsockname": (51, 204),
    "getpeername": (52, 205),
    # files: which of them is decided by the root file system and by Landlock
    "open": (2, None),
    "openat": (257, 56),
    "stat": (4, None),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents": (78, None),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "chdir": (80, 49),
    "fchdir": (81, 50),
    "umask": (95, 166),
    # memory
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    # threads and locks
    "set_robust_list": (273, 99),
    "set_tid_address": (218, 96),
    "rseq": (334, 293),
    "gettid": (186, 178),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "exit": (60, 93),
    "exit_group": (231, 94),
    # signals of its own
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "setitimer": (38, 103),
    "getitimer": (36, 102),
    "alarm": (37, None),
    # time
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    # who and where it is
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getpgrp": (111, None),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "getresuid": (118, 148),
    "getresgid": (120, 150),
    "getgroups": (115, 158),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "getrandom": (318, 278),
}
"""Allowed in both modes."""

CHANGE: Final[dict[str, Numbers]] = {
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "fallocate": (285, 47),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "utimensat": (280, 88),
}
"""Changes to files. Allowed only where the guest has a root of its own: Landlock knows nothing of modes and times, so
without a root these calls would reach every file that the host's user owns."""

ANSWERS: Final[dict[str, tuple[Numbers, int]]] = {
    # glibc tries these first and falls back to an older call on ENOSYS alone.
    "clone3": ((435, 435), errno.ENOSYS),
    "openat2": ((437, 437), errno.ENOSYS),
    # `shutil.copy2` takes "not supported" for "there are none" and passes everything else on.
    "getxattr": ((191, 8), errno.EOPNOTSUPP),
    "lgetxattr": ((192, 9), errno.EOPNOTSUPP),
    "fgetxattr": ((193, 10), errno.EOPNOTSUPP),
    "listxattr": ((194, 11), errno.EOPNOTSUPP),
    "llistxattr": ((195, 12), errno.EOPNOTSUPP),
    "flistxattr": ((196, 13), errno.EOPNOTSUPP),
}
"""Refused with an error that libraries know how to take."""


class Check(NamedTuple):
    """One argument must be one of ``values`` after ``mask`` is applied to half of it."""

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFF_FFFF
    high: bool = False
    """Look at the upper 32 bits. Arguments that the kernel reads as ``int`` have none that count; pointers do."""


class Rule(NamedTuple):
    """A call that is allowed when every check holds, else refused with ``error``."""

    numbers: Numbers
    checks: tuple[Check, ...]
    error: int = errno.EPERM


def _null(argument: int) -> tuple[Check, Check]:
    return Check(argument, (0,)), Check(argument, (0,), high=True)


# VM | FS | FILES | SIGHAND | THREAD | SYSVSEM | SETTLS | PARENT_SETTID | CHILD_CLEARTID: what pthread_create asks for.
_THREAD: Final = 0x003D_0F00
_DETACHED: Final = 0x0040_0000  # musl adds this flag, which has had no meaning since Linux 2.6.2

# DUPFD, GETFD, SETFD, GETFL, SETFL, GETLK, SETLK, SETLKW, OFD_GETLK, OFD_SETLK, OFD_SETLKW, DUPFD_CLOEXEC, GETPIPE_SZ.
# SETOWN and SETSIG are absent on purpose: with them a guest has the kernel send signals to other processes for it.
_FCNTL: Final = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX. TIOCSTI, which types into a terminal, is absent.
_IOCTL: Final = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# SO_TYPE, SO_ERROR, SO_PROTOCOL, SO_DOMAIN. SO_PEERCRED and SO_PEERPIDFD, which tell of and hand out the host's process
# at the other end of the bridge, are absent.
_SOCKET_OPTIONS: Final = (3, 4, 38, 39)


_MSG_OOB: Final = 1
# WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, WAIT_BITSET, WAKE_BITSET: what locks need. The mask drops the flags PRIVATE
# and CLOCK_REALTIME. Priority inheritance, a rich source of kernel faults (CVE-2014-3153), is absent.
_FUTEX: Final = (0, 1, 3, 4, 5, 9, 10)


def rules(pid: int) -> dict[str, Rule]:
    """Return the calls whose arguments decide; ``pid`` is the guest's own process number as it sees it."""
    return {
        # A thread and nothing else: no child process, no namespace. So RLIMIT_AS bounds the whole sandbox.
        "clone": Rule((56, 220), (Check(0, (_THREAD,), mask=0xFFFF_FFFF & ~_DETACHED), Check(0, (0,), high=True))),
        "kill": Rule((62, 129), (Check(0, (pid,)),)),
        "tgkill": Rule((234, 131), (Check(0, (pid,)),)),
        # Limits may be read, not set.
        "prlimit64": Rule((302, 261), (Check(0, (0, pid)), *_null(2))),
        "futex": Rule((202, 98), (Check(1, _FUTEX, mask=0x7F),)),
        # Ends with O_CLOEXEC and O_NONBLOCK; the other flags make packets, or the kernel's notification queues.
        "pipe2": Rule((293, 59), (Check(1, (0,), mask=0xFFFF_FFFF & ~0x8_0800),)),
        "fcntl": Rule((72, 25), (Check(1, _FCNTL),)),
        "ioctl": Rule((16, 29), (Check(1, _IOCTL),), errno.ENOTTY),
        # AF_UNIX streams, in pairs: what an asyncio event loop wakes itself with. There is no socket(), no connect().
        "socketpair": Rule((53, 199), (Check(0, (1,)), Check(1, (1,), mask=0xF))),
        # recv(), and send() without a destination. No out-of-band data: nobody uses it between Unix sockets, and it has
        # been a way into the kernel from sandboxes (CVE-2025-38236). sendmsg, which carries descriptors, is not there.
        "recvfrom": Rule((45, 207), (Check(3, (0,), mask=_MSG_OOB),)),
        "sendto": Rule((44, 206), (Check(3, (0,), mask=_MSG_OOB), *_null(4))),
        "getsockopt": Rule((55, 209), (Check(1, (1,)), Check(2, _SOCKET_OPTIONS))),
    }
