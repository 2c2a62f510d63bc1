"""Landlock: access control that an unprivileged process puts on itself: files; in newer kernels also TCP and signals.

Reference: ``Documentation/userspace-api/landlock.rst`` of Linux. Each version (ABI) of it knows more rights; a right
that is *handled* is refused wherever no rule grants it. Landlock does not cover ``stat``,
``chmod``, ``utime`` and the like.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from . import kernel

if TYPE_CHECKING:
    from collections.abc import Iterable

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_DIR, _MAKE_REG, _MAKE_SYM, _REFER, _TRUNCATE, _IOCTL_DEV = 1 << 7, 1 << 8, 1 << 12, 1 << 13, 1 << 14, 1 << 15
_OF_A_FILE: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

LIST: Final = _READ_DIR
READ: Final = _READ_FILE | _READ_DIR
DEVICE: Final = _READ_FILE | _WRITE_FILE
CHANGE: Final = READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SYM | _REFER | _TRUNCATE

_VERSION_FLAG: Final = 1
_RULE_PATH_BENEATH: Final = 1


def version() -> int:
    """Return the kernel's Landlock ABI; 0 where it has none, or where it is switched off or filtered."""
    try:
        return kernel.syscall("landlock_create_ruleset", None, 0, _VERSION_FLAG)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return 0
        raise


def _handled_files(abi: int) -> int:
    handled = (1 << 13) - 1
    if abi >= 2:
        handled |= _REFER
    if abi >= 3:
        handled |= _TRUNCATE
    if abi >= 5:
        handled |= _IOCTL_DEV
    return handled


def ruleset(grants: Iterable[tuple[str, int]]) -> int:
    """Return the descriptor of a rule set that refuses every access to files but those in ``grants``.

    Where the kernel can, it also refuses TCP, abstract sockets of other processes, and signals to them. A path that
    does not exist is left out: there is nothing to grant.
    """
    abi = version()
    files = _handled_files(abi)
    network = 0b11 if abi >= 4 else 0  # bind and connect over TCP
    scope = 0b11 if abi >= 6 else 0  # abstract Unix sockets, signals
    attributes = b"".join(value.to_bytes(8, "little") for value in (files, network, scope))
    # Older kernels refuse a structure that is longer than theirs.
    length = 24 if abi >= 6 else 16 if abi >= 4 else 8
    rules = kernel.syscall("landlock_create_ruleset", attributes, length, 0)
    os.set_inheritable(rules, False)
    for path, rights in grants:
        _grant(rules, path, rights & files)
    return rules


def restrict(rules: int) -> None:
    """Hold this thread, and whatever it starts, to ``rules`` for good. Needs ``no_new_privs``."""
    kernel.syscall("landlock_restrict_self", rules, 0)


def _grant(rules: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _OF_A_FILE
        # struct landlock_path_beneath_attr, packed: u64 allowed_access; s32 parent_fd
        kernel.syscall(
            "landlock_add_rule", rules, _RULE_PATH_BENEATH, rights.to_bytes(8, "little") + fd.to_bytes(4, "little"), 0
        )
    finally:
        os.close(fd)
