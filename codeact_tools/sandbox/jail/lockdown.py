"""How one freshly forked process gives up everything but its memory, its scratch folder and the bridge.

The order matters, and `lock_down` is that order: what needs a capability comes before capabilities go, and what nothing
can undo comes last.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
from typing import TYPE_CHECKING, Final, NamedTuple

from . import kernel, landlock, namespaces, seccomp
from .layout import DEVICES, SCRATCH, Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

BRIDGE: Final = 3
"""The guest's descriptor of the bridge; 0 to 2 are ``/dev/null``, and there are no others."""
OPEN_FILES: Final = 64
QUEUED_SIGNALS: Final = 64
"""Signals that wait for a guest: the kernel keeps them at the expense of the user, of whom others may run programs."""
_OWN_USERS: Final = 2_000_000_000
"""Added to its process number: the user of a guest without a root of its own. Beyond all ranges that are given out."""
_MIB: Final = 1 << 20
_CAP_DAC_READ_SEARCH: Final = 1 << 2
_LAST_CAPABILITY: Final = 63


class Order(NamedTuple):
    """What one session may use; the fields mean what they mean in `Limits`."""

    memory_mb: int
    files_mb: int
    threads: int


class Plan(NamedTuple):
    """What the sessions of a zygote have in common."""

    jail: bool
    """Namespaces, Landlock and seccomp; otherwise Landlock and seccomp alone."""
    landlock: bool
    root: bool
    """The host runs as root: become nobody."""
    layout: Layout
    folder: str
    """The working folder; without namespaces an empty one that cannot be written to."""
    zygote: int
    """The zygote's process number, as itself sees it."""
    tasks: int
    """How many threads this user may already have, for the kernels that count them per user and not per session."""
    search: bool
    """Root's Python lies in folders that nobody else may enter: keep the right to read past their modes."""


def lock_down(plan: Plan, order: Order) -> None:
    """Confine this process for good; raises `OSError` when any step fails, and then nothing may run in it."""
    # 1. a root and a scratch folder of its own
    if plan.jail:
        namespaces.mount_scratch(order.files_mb, namespaces.NOBODY)
    else:
        os.chdir(plan.folder)
    # 2. descriptors: the bridge (see `keep_only`), and until step 7 the Landlock rules, which root's rights may open
    _empty_standard_streams()
    rules = landlock.ruleset(_grants(plan)) if plan.landlock else None
    # 3. identity and capabilities
    own_user = _become_nobody(plan)
    # 4. no program that is started could bring a privilege back, and no process of this user can look inside
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    # 5. die with the zygote. Only now: a change of identity clears it.
    _die_with(plan)
    # 6. limits
    _limit(order, order.threads if own_user else plan.tasks + order.threads)
    _reset_signals()
    os.umask(0o077)
    # 7. files, by the kernel's access control
    if rules is not None:
        landlock.restrict(rules)
        os.close(rules)
    # 8. system calls, last: the steps above need some that the filter refuses
    seccomp.install(os.getpid(), own_root=plan.jail)


def _grants(plan: Plan) -> Iterator[tuple[str, int]]:
    for device in DEVICES:
        yield device, landlock.DEVICE
    if plan.jail:
        yield "/", landlock.READ
        yield SCRATCH, landlock.CHANGE
        return
    # Landlock cannot take back what it granted to a parent, so the packages inside the standard library's folder are
    # left out by granting its other entries one by one. Importing needs to list the folder itself.
    for path in plan.layout.read:
        if any(folder.startswith(path + "/") for folder in plan.layout.hidden):
            yield path, landlock.LIST
            yield from (
                (entry.path, landlock.READ) for entry in os.scandir(path) if entry.path not in plan.layout.hidden
            )
        else:
            yield path, landlock.READ
    for path in (*plan.layout.search, plan.folder):
        yield path, landlock.LIST
    for name, _ in plan.layout.libraries:
        yield name, landlock.READ


def keep_only(bridge: int) -> None:
    """Close every descriptor but ``bridge``, which becomes `BRIDGE`. The first thing that a guest does."""
    os.dup2(bridge, BRIDGE, inheritable=False)
    # The zygote lowered its limit, so this range is short and complete.
    os.closerange(BRIDGE + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _empty_standard_streams() -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)


def _become_nobody(plan: Plan) -> bool:
    """Drop user, groups and capabilities; return whether the kernel counts the guest's threads alone."""
    own_user = False
    if plan.root:
        if plan.search:
            kernel.prctl(kernel.PR_SET_KEEPCAPS, 1)
        _empty_bounding_set()
        os.setgroups([])
        os.setresgid(namespaces.NOBODY, namespaces.NOBODY, namespaces.NOBODY)
        own_user = _change_user(plan)
    if plan.search:
        # Landlock alone now keeps root's files from the guest; the doctor tells how to have two walls there.
        kernel.set_capabilities(_CAP_DAC_READ_SEARCH)
        return own_user
    own_namespace = _own_user_namespace()
    if own_namespace or (plan.jail and not plan.root):
        _empty_bounding_set()
    kernel.set_capabilities(0)
    return own_namespace or own_user


def _change_user(plan: Plan) -> bool:
    """Stop being root; return whether no other process has the user that this one becomes."""
    if not plan.jail:
        user = _OWN_USERS + os.getpid()
        try:
            os.setresuid(user, user, user)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a container that maps few users
                raise
        else:
            return True
    os.setresuid(namespaces.NOBODY, namespaces.NOBODY, namespaces.NOBODY)
    return False


def _own_user_namespace() -> bool:
    """Enter a user namespace without any user in it.

    It gives the session a count of threads of its own (before, all processes of the user count together), and its
    capabilities, which the next step drops, would be valid for nothing.
    """
    try:
        kernel.unshare(kernel.CLONE_NEWUSER)
    except OSError:
        return False
    return True


def _empty_bounding_set() -> None:
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            kernel.prctl(kernel.PR_CAPBSET_DROP, capability)
        except OSError:
            if capability == 0:
                raise
            break  # past the last one that this kernel knows
    kernel.prctl(kernel.PR_CAP_AMBIENT, kernel.PR_CAP_AMBIENT_CLEAR_ALL)


def _die_with(plan: Plan) -> None:
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    # The zygote may have died before that. In a process tree of its own, the parent reads as 0, and the whole tree goes
    # when the zygote, the first process of the tree above, does.
    if not plan.jail and os.getppid() != plan.zygote:
        os._exit(1)


def _limit(order: Order, tasks: int) -> None:
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, QUEUED_SIGNALS),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_NPROC, tasks),
        (resource.RLIMIT_FSIZE, order.files_mb * _MIB),
        (resource.RLIMIT_AS, order.memory_mb * _MIB),
    ):
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(kind, (value, value))


def _reset_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a host in the background ignores it, and passes that on
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # The kernel's own reaction to a file that grows past its limit is to kill.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
