"""A world of its own for the guest: a root with nothing of the host's but what `layout` names, no network, nobody else.

The zygote enters it once, before it imports a single package, and so works in it itself; each session gets a copy of
the root with a scratch file system of its own, and a process tree of its own.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

from . import kernel
from .layout import DEVICES, FOLDER, SCRATCH, TEMPORARY

if TYPE_CHECKING:
    from .layout import Layout

NOBODY: Final = 65534
_HOSTNAME: Final = "sandbox"
_OLD: Final = "/.host"
_BASES: Final = ("/tmp", "/run", "/mnt", "/usr")  # noqa: S108 - a place to mount on, hidden from nobody but ourselves
_INODES: Final = 16_384
_READ_ONLY: Final = kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV
_WORLD: Final = (
    kernel.CLONE_NEWNS
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWNET
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUTS
    | kernel.CLONE_NEWCGROUP
)


def leave_host() -> None:
    """Leave the host's namespaces; the next child is the first process of a new process tree.

    An ordinary user needs a user namespace for that, in which this process holds all capabilities once `map_user` has
    put it there. Root does without, and gives up its identity in `lockdown`.
    """
    kernel.unshare(_WORLD if os.geteuid() == 0 else _WORLD | kernel.CLONE_NEWUSER)


def map_user(user: int, group: int) -> None:
    """Give the process a user in its new user namespace, for which the host's ``user`` stands."""
    # The kernel accepts a group map from an ordinary user only once setgroups(), which could shed a group that
    # denies, is out of reach.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1")


def own_process_tree() -> int:
    """Return a descriptor of this process's tree, to come back to with `back_to`. Call before `build_root`."""
    return os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)


def new_process_tree() -> None:
    """Make the next child the first process of a tree of its own, in which it sees itself alone."""
    kernel.unshare(kernel.CLONE_NEWPID)


def back_to(tree: int) -> None:
    """Undo `new_process_tree`, without which the kernel refuses the next one."""
    kernel.setns(tree, kernel.CLONE_NEWPID)


def build_root(layout: Layout) -> None:
    """Replace the root by an empty, read-only one that shows what ``layout`` names, at the same paths.

    The order is bubblewrap's: the new root is made the root first, with the host's inside it, so that a file of
    the host below the place where the new root was mounted (``/tmp``) can still be reached. Then the host's root goes.
    """
    real = {path: os.path.realpath(path) for path in (*layout.read, *DEVICES)}  # links resolve differently inside
    socket.sethostname(_HOSTNAME)
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)  # else mounts would travel to the host
    base = next(path for path in _BASES if Path(path).is_dir())
    kernel.mount("tmpfs", base, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
    old = base + _OLD
    Path(old).mkdir(0o700)
    kernel.pivot_root(base, old)
    os.chdir("/")
    covers = []
    for path in layout.read:  # the standard library comes first, and what else is bound may lie inside a cover
        _bind(real[path], path, _READ_ONLY)
        for folder in layout.hidden:
            if Path(folder).is_relative_to(path):
                kernel.mount("tmpfs", folder, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
                covers.append(folder)
    for name, file in layout.libraries:
        _bind(file, name, _READ_ONLY)
    for device in DEVICES:
        _bind(real[device], device, kernel.MS_NOSUID | kernel.MS_NOEXEC)
    Path(SCRATCH).mkdir()
    if not os.path.lexists("/tmp"):  # noqa: S108 - the guest's own, unless something of the host's is shown below it
        Path("/tmp").symlink_to(TEMPORARY)  # noqa: S108
    kernel.unmount(_OLD)
    Path(_OLD).rmdir()
    for path in [*covers, "/"]:
        kernel.mount(None, path, None, kernel.MS_REMOUNT | kernel.MS_BIND | _READ_ONLY)


def mount_scratch(size_mb: int, owner: int) -> None:
    """Give the guest a root of its own with a scratch file system in it, and stand in its working folder.

    ``noexec``: native code that the guest writes there cannot be mapped to run.
    """
    kernel.unshare(kernel.CLONE_NEWNS)
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("tmpfs", SCRATCH, "tmpfs", flags, f"size={size_mb}m,nr_inodes={_INODES},mode=755")
    for folder in (FOLDER, TEMPORARY):
        Path(folder).mkdir(0o700)
        if owner != os.geteuid():
            os.chown(folder, owner, owner)
    os.chdir(FOLDER)


def _bind(source: str, target: str, flags: int) -> None:
    """Show the host's ``source`` at ``target``, unless a folder that was bound before shows it already."""
    place, origin = Path(target), _OLD + source
    if place.exists():
        return
    if Path(origin).is_dir():
        place.mkdir(parents=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    kernel.mount(origin, target, None, kernel.MS_BIND)
    # A bind keeps the flags of its source, and an ordinary user may not take one away: read them and add to them.
    kept = os.statvfs(target).f_flag & (kernel.MS_NOEXEC | kernel.MS_NOATIME | kernel.MS_NODIRATIME)
    kernel.mount(None, target, None, kernel.MS_REMOUNT | kernel.MS_BIND | flags | kept)
