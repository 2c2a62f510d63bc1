"""The system calls that Python has no function for, each raising `OSError` with the call's name."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
from pathlib import Path
from typing import Final

CLONE_NEWNS: Final = 0x0002_0000
CLONE_NEWCGROUP: Final = 0x0200_0000
CLONE_NEWUTS: Final = 0x0400_0000
CLONE_NEWIPC: Final = 0x0800_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWPID: Final = 0x2000_0000
CLONE_NEWNET: Final = 0x4000_0000

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_NOATIME: Final = 1024
MS_NODIRATIME: Final = 2048
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18
MNT_DETACH: Final = 2

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_KEEPCAPS: Final = 8
PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

MACHINE: Final = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}.get(
    platform.machine().lower(), ""
)
"""The processor's family as the tables name it; empty where there is no table."""

# Calls that the jail itself makes. Those from 424 up have one number on every architecture.
_NUMBERS: Final = {
    "mount": {"x86_64": 165, "aarch64": 40},
    "umount2": {"x86_64": 166, "aarch64": 39},
    "pivot_root": {"x86_64": 155, "aarch64": 41},
    "unshare": {"x86_64": 272, "aarch64": 97},
    "setns": {"x86_64": 308, "aarch64": 268},
    "capset": {"x86_64": 126, "aarch64": 91},
    "seccomp": {"x86_64": 317, "aarch64": 277},
    "pidfd_send_signal": {"x86_64": 424, "aarch64": 424},
    "pidfd_open": {"x86_64": 434, "aarch64": 434},
    "landlock_create_ruleset": {"x86_64": 444, "aarch64": 444},
    "landlock_add_rule": {"x86_64": 445, "aarch64": 445},
    "landlock_restrict_self": {"x86_64": 446, "aarch64": 446},
}

Argument = int | bytes | ctypes.Array[ctypes.c_char] | None


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def syscall(name: str, *arguments: Argument) -> int:
    """Make the system call ``name``; integers are passed as C ``long``, bytes and buffers as pointers."""
    number = _NUMBERS[name][MACHINE]
    passed = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _checked(name, _libc().syscall(ctypes.c_long(number), *passed))


def prctl(option: int, *arguments: int) -> int:
    """Call ``prctl``; the arguments that are not given are 0, as the newer options demand."""
    padded = [*arguments, 0, 0, 0, 0][:4]
    return _checked(f"prctl({option})", _libc().prctl(ctypes.c_int(option), *(ctypes.c_ulong(v) for v in padded)))


def unshare(flags: int) -> None:
    """Leave the namespaces that ``flags`` name for new ones."""
    syscall("unshare", flags)


def setns(fd: int, kind: int) -> None:
    """Enter the namespace behind ``fd``."""
    syscall("setns", fd, kind)


def mount(source: str | None, target: str, filesystem: str | None, flags: int, options: str = "") -> None:
    """Mount; the error names ``target``."""
    try:
        syscall("mount", _path(source), _path(target), _path(filesystem), flags, options.encode() or None)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"mount {target}") from None


def unmount(target: str) -> None:
    """Detach the mount at ``target`` with everything below it."""
    syscall("umount2", _path(target), MNT_DETACH)


def pivot_root(new: str, old: str) -> None:
    """Make ``new`` the root and put the former root at ``old``."""
    syscall("pivot_root", _path(new), _path(old))


def pidfd_open(pid: int) -> int:
    """Return a descriptor that means this process and never another one that gets its number.

    `os.pidfd_open` is missing from interpreters that were built against old headers, as uv's are.
    """
    fd = syscall("pidfd_open", pid, 0)
    os.set_inheritable(fd, False)
    return fd


def pid_behind(pidfd: int) -> int:
    """The number that a process has for this one, also where the process sees another; -1 once it has ended."""
    lines = Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines()
    return next(int(line[4:]) for line in lines if line.startswith("Pid:"))


def pidfd_send_signal(fd: int, signal: int) -> None:
    """Send ``signal`` to the process behind ``fd``."""
    syscall("pidfd_send_signal", fd, signal, None, 0)


def set_capabilities(mask: int) -> None:
    """Hold exactly the capabilities in ``mask`` (the first 32), as permitted and effective; none inheritable."""
    header = _words(0x2008_0522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    syscall("capset", header, _words(mask, mask, 0, 0, 0, 0))


def _words(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "little") for value in values)


def _path(path: str | None) -> bytes | None:
    return None if path is None else os.fsencode(path)


def _checked(name: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result
