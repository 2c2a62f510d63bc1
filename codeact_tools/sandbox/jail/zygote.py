"""The warm process: it imports what guests need once, and forks a confined guest on each order from the host.

It never runs a byte of an action. In jail mode it stands inside the namespaces already when it imports packages, and is
the first process of a process tree, so that the kernel ends all of its guests with it.

On the control socket (``SOCK_SEQPACKET``, so that messages keep their bounds), all JSON:

    host → zygote   a `Setup`, with one descriptor: the host's pidfd
    zygote → host   {"up": {...}} or {"failed": {...}}
    host → zygote   an `Order`, with one descriptor: the guest's end of the bridge
    zygote → host   {"pid": ...} with the guest's pidfd, or {"failed": {...}}

A guest's first byte on the bridge is ``+`` when it is confined; ``-`` and a JSON text when it is not, and then it ends.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import tempfile
import traceback
from importlib import machinery
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from . import kernel, landlock, namespaces, seccomp
from .layout import FOLDER, layout
from .lockdown import BRIDGE, Order, Plan, keep_only, lock_down

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.machinery import ModuleSpec
    from types import ModuleType

MESSAGE: Final = 1 << 17
FIRST: Final = 1
"""The process number that every guest sees as its own, in a process tree of its own."""
_DESCRIPTORS: Final = 1024
_IMPORTS_MB: Final = 64
"""For what packages write when they are imported, such as matplotlib's list of fonts."""
_FOLDERS: Final = ("TMPDIR", "MPLCONFIGDIR")
_PRELOADS: Final = (
    *("abc", "argparse", "ast", "asyncio", "base64", "bisect", "builtins", "calendar", "codecs", "collections"),
    *("collections.abc", "concurrent.futures", "contextlib", "contextvars", "copy", "csv", "dataclasses", "datetime"),
    *("decimal", "enum", "fractions", "functools", "hashlib", "heapq", "html", "inspect", "io", "itertools", "json"),
    *("linecache", "math", "operator", "pathlib", "pprint", "queue", "random", "re", "secrets", "shutil", "signal"),
    *("statistics", "string", "struct", "tempfile", "textwrap", "threading", "time", "tokenize", "traceback", "types"),
    *("typing", "unicodedata", "urllib.parse", "uuid", "weakref", "zlib", "zoneinfo"),
)


class Setup(NamedTuple):
    """What all guests of a zygote share."""

    jail: bool
    guest: str
    """The folder of the package ``guest``."""
    packages: tuple[str, ...] = ()
    """Files and folders of the packages that a guest may read."""
    imports: tuple[str, ...] = ()
    """Modules to import before the first fork."""


class Failed(Exception):
    """A step of the confinement is refused on this machine."""

    def __init__(self, step: str, error: BaseException) -> None:
        super().__init__(f"{step}: {error}")
        self.report = {
            "step": step,
            "errno": error.errno if isinstance(error, OSError) else None,
            "message": f"{type(error).__name__}: {error}",
        }


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    try:
        yield
    except Failed:
        raise
    except Exception as error:
        raise Failed(name, error) from error


def main(descriptor: int) -> NoReturn:
    """Serve the control socket until the host is gone; in a forked guest, become that guest."""
    control = socket.socket(fileno=descriptor)
    try:
        with _step("start"):
            setup, host = _receive_setup(control)
            _be_modest()
            plan, tree = _prepare(setup, control, host)
    except Failed as failure:
        control.send(json.dumps({"failed": failure.report}).encode())
        os._exit(1)
    about = {"landlock": plan.landlock, "search": plan.search, "folder": plan.folder}
    control.send(json.dumps({"up": about}).encode())
    order, bridge = _serve(control, host, plan, tree)
    _become_guest(plan, order, bridge)


def _receive_setup(control: socket.socket) -> tuple[Setup, int]:
    data, descriptors, _, _ = socket.recv_fds(control, MESSAGE, 1)
    fields = json.loads(data)
    return Setup(fields["jail"], fields["guest"], tuple(fields["packages"]), tuple(fields["imports"])), descriptors[0]


def _be_modest() -> None:
    """Undo what a host may have passed on: blocked signals, ignored ones, a huge descriptor limit."""
    os.environ.pop("PYTHONHASHSEED", None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    few = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))


def _prepare(setup: Setup, control: socket.socket, host: int) -> tuple[Plan, int]:
    """Enter the namespaces when the mode says so, import everything, and settle what all guests have in common."""
    abi = landlock.version()
    if not setup.jail and not abi:
        raise Failed("landlock", OSError(errno.ENOSYS, "this kernel has no Landlock, or it is switched off"))
    root = os.geteuid() == 0
    tasks = _tasks_of(namespaces.NOBODY if root else os.geteuid())
    if setup.jail:
        user, group = os.geteuid(), os.getegid()
        with _step("unshare"):
            namespaces.leave_host()
        if not root:
            with _step("user map"):
                namespaces.map_user(user, group)
        _continue_in_child(control, host)
    with _step("layout"):
        seen = layout(setup.guest, setup.packages)
    tree = -1
    if setup.jail:
        with _step("mount"):
            tree = namespaces.own_process_tree()
            namespaces.build_root(seen)
            _rehearse(tree, namespaces.NOBODY)
            namespaces.mount_scratch(_IMPORTS_MB, os.geteuid())  # until a guest's own covers it
        seccomp.assemble(FIRST, own_root=True)  # the same for all guests, so it is made before the first fork
        _import(setup)
    else:
        with tempfile.TemporaryDirectory(prefix="guest-", dir="/tmp") as folder, _environment(_FOLDERS, folder):
            _import(setup)
    plan = Plan(
        jail=setup.jail,
        landlock=abi > 0,
        root=root,
        layout=seen,
        folder=FOLDER if setup.jail else _empty_folder(),
        zygote=os.getpid(),
        tasks=tasks,
        search=root and not setup.jail and not all(map(_open_to_all, seen.read)),
    )
    return plan, tree


def _rehearse(tree: int, owner: int) -> None:
    """Do once what every guest needs to do, so that a refusal is known before the mode is chosen."""
    child = _fork(tree)
    if child == 0:
        try:
            namespaces.mount_scratch(1, owner)
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise OSError(status, os.strerror(status), "a session's file system")


def _empty_folder() -> str:
    """Make a working folder for guests that may write nothing; it goes with the zygote."""
    folder = Path(tempfile.mkdtemp(prefix="guest-", dir="/tmp"))
    folder.chmod(0o555)
    return str(folder)


def _continue_in_child(control: socket.socket, host: int) -> None:
    """Go on in a child, the first process of the new tree; this one stays to be waited for by the host."""
    child = os.fork()
    if child == 0:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        return
    control.close()
    os.close(host)
    os.waitpid(child, 0)
    os._exit(0)


@contextlib.contextmanager
def _environment(names: Iterable[str], value: str) -> Iterator[None]:
    """Set the variables for a while."""
    before = {name: os.environ[name] for name in names}
    os.environ.update(dict.fromkeys(names, value))
    yield
    os.environ.update(before)


def _import(setup: Setup) -> None:
    sys.path[:] = [path for path in sys.path if path != str(Path(setup.guest).parent)]
    sys.path += sorted({str(Path(path).parent) for path in setup.packages})
    sys.path_hooks.insert(0, functools.partial(_Shown, setup.packages))
    sys.argv[:] = [""]
    for name in _PRELOADS:
        importlib.import_module(name)
    with _step("guest"):
        sys.path.insert(0, str(Path(setup.guest).parent))
        importlib.import_module("guest.main").warm()
        del sys.path[0]
    for name in setup.imports:
        with _step(f"import {name}"):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else the first collection in a guest would copy every page of what was imported


class _Shown:
    """Finds in a folder of packages those alone that were asked for.

    Without namespaces the others are there, but Landlock refuses to open them: a package that would like one, and does
    without where its import fails, would meet another error than that of an import.
    """

    def __init__(self, packages: tuple[str, ...], folder: str) -> None:
        self._names = {Path(path).name.partition(".")[0] for path in packages if str(Path(path).parent) == folder}
        if not self._names:
            raise ImportError("a folder like any other")
        self._finder = machinery.FileFinder(
            folder,
            (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
            (machinery.SourceFileLoader, machinery.SOURCE_SUFFIXES),
        )
        self.invalidate_caches = self._finder.invalidate_caches

    def find_spec(self, name: str, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find the module, if it is one of those."""
        return self._finder.find_spec(name, target) if name.partition(".")[0] in self._names else None


def _open_to_all(path: str) -> bool:
    """Whether a user without any right here can read ``path``."""
    folders = (parent.stat().st_mode & 0o001 for parent in Path(path).resolve().parents)
    return all(folders) and bool(Path(path).stat().st_mode & 0o004)


def _tasks_of(user: int) -> int:
    """Count the threads of ``user``, with room for as many again."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == user:
                count += len(list((process / "task").iterdir()))
        except OSError:
            continue  # it ended meanwhile
    return 2 * count + 256


def _serve(control: socket.socket, host: int, plan: Plan, tree: int) -> tuple[Order, int]:
    """Fork on each order. Returns in the forked child only, with the guest's end of the bridge."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the guests
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(host, select.POLLIN)  # PR_SET_PDEATHSIG would fire when the host's *thread* that started us ends
    while True:
        if any(fd == host for fd, _ in poll.poll()):
            _end(plan)
        data, descriptors, _, _ = socket.recv_fds(control, MESSAGE, 1)
        if not data:
            _end(plan)
        wait, go = os.pipe()
        try:
            child = _fork(tree)
            if child:
                _report(control, child)
        except OSError as error:
            child = -1
            control.send(json.dumps({"failed": Failed("fork", error).report}).encode())
        os.close(go)
        if child == 0:
            os.read(wait, 1)
            control.detach()
            return Order(**json.loads(data)), descriptors[0]
        for descriptor in (wait, *descriptors):
            os.close(descriptor)


def _fork(tree: int) -> int:
    """Fork; with namespaces, the child is the first of a process tree of its own. ``tree`` is this process's, or -1."""
    if tree < 0:
        return os.fork()
    namespaces.new_process_tree()
    child = -1
    try:
        child = os.fork()
    finally:
        if child != 0:
            namespaces.back_to(tree)
    return child


def _report(control: socket.socket, child: int) -> None:
    """Send the guest's pidfd. The guest still waits, so it cannot have ended, nor its number been reused."""
    pidfd = kernel.pidfd_open(child)
    try:
        socket.send_fds(control, [json.dumps({"pid": child}).encode()], [pidfd])
    finally:
        os.close(pidfd)


def _become_guest(plan: Plan, order: Order, bridge: int) -> NoReturn:
    keep_only(bridge)
    try:
        lock_down(plan, order)
    except BaseException:
        os.write(BRIDGE, b"-" + json.dumps(traceback.format_exc()).encode())
        os._exit(1)
    sys.modules["random"].seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    entry = sys.modules["guest.main"].main
    for name in [name for name in sys.modules if name.partition(".")[0] == "jail"]:
        del sys.modules[name]
    os.write(BRIDGE, b"+")
    entry(BRIDGE, BRIDGE)
    os._exit(0)


def _end(plan: Plan) -> NoReturn:
    if not plan.jail:
        Path(plan.folder).rmdir()
    os._exit(0)
