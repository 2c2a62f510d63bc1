"""What a tool does to the machine while it runs: an audit hook that notes it, and refuses what was not declared.

Python tells its audit hooks of files, sockets and processes before it touches them. What a native library does by
itself (a database driver written in C, a model runtime) is not told, so a guard that saw nothing proves nothing about
those; that it sees something is proof.
"""

from __future__ import annotations

import fnmatch
import os
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

Kind = Literal["write", "network", "process", "environment"]

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FILES: Final = {
    "os.remove": "removes", "os.rename": "renames", "os.mkdir": "makes the folder", "os.rmdir": "removes the folder",
    "os.link": "links", "os.symlink": "links", "os.truncate": "truncates", "os.chmod": "changes the mode of",
    "os.chown": "changes the owner of", "os.utime": "changes the times of", "os.setxattr": "changes attributes of",
    "os.removexattr": "changes attributes of",
}  # fmt: skip
_PROCESSES: Final = frozenset({
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn",
    "os.kill", "os.startfile",
})  # fmt: skip
_NAMES: Final = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})
_SENDING: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """Something that reached beyond the process."""

    kind: Kind
    what: str
    """The rest of a sentence: ``opens '/tmp/x' for writing``."""

    def __str__(self) -> str:
        return self.what


class Undeclared(PermissionError):
    """What the guarded code tried, and had not declared; raised in its place."""


class Guard:
    """Notes what the code inside ``with`` does, and refuses it where it is not allowed.

    >>> with Guard() as guard:
    ...     try:
    ...         open("/tmp/x", "w")
    ...     except PermissionError as error:
    ...         print(error)
    opens '/tmp/x' for writing
    >>> [deed.kind for deed in guard.deeds]
    ['write']

    It sees the thread that entered it and all threads that begin afterwards, or that run something for it; one guard
    at a time is active in a process. Audit hooks cannot be removed: one for all guards stays, and does nothing while
    none is active.

    Args:
        allow: What is neither noted nor refused.
        hosts: With ``network`` allowed: the hosts that may be reached, ``*.example.org`` and ``*`` included.
        refuse: Whether to stop what is not allowed, or only to note it.
    """

    def __init__(self, *, allow: Collection[Kind] = (), hosts: Sequence[str] = ("*",), refuse: bool = True) -> None:
        self.deeds: list[Deed] = []
        """What was not allowed, in order, each once."""
        self.workers = 0
        """How many processes of the same Python were started: a tool may compute in one, and it is not seen into."""
        self._allow = frozenset(allow)
        self._hosts = tuple(hosts)
        self._refuse = refuse
        self._bystanders: frozenset[int] = frozenset()
        self._resolved = False
        self._no_bytecode = False

    def __enter__(self) -> Self:
        _install()
        if not _turn.acquire(timeout=60):
            raise RuntimeError("another guard is active in this process, and does not end")
        _bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        self._no_bytecode = _bytecode
        here = threading.get_ident()
        workers = {thread.ident for thread in threading.enumerate() if thread.name.startswith("codeact-tools")}
        self._bystanders = frozenset(sys._current_frames()) - {here} - workers
        _active.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        _active.remove(self)
        sys.dont_write_bytecode = self._no_bytecode
        _turn.release()

    def look(self, event: str, args: tuple[Any, ...]) -> None:
        """Take an audit event.

        Raises:
            Undeclared: It is refused.
        """
        if threading.get_ident() in self._bystanders:
            return
        if event == "subprocess.Popen" and _is_worker(args):
            self.workers += 1
            return
        deed = _deed(event, args)
        if deed is None or self._allowed(deed, event, args):
            return
        if deed not in self.deeds:
            self.deeds.append(deed)
        if self._refuse:
            raise Undeclared(deed.what)

    def _allowed(self, deed: Deed, event: str, args: tuple[Any, ...]) -> bool:
        if deed.kind not in self._allow:
            return False
        if deed.kind != "network" or "*" in self._hosts:
            return True
        host = _host(event, args)
        if any(fnmatch.fnmatchcase(host, pattern) for pattern in self._hosts):
            self._resolved = self._resolved or event in _NAMES
            return True
        return event in _SENDING and self._resolved and not host[-1:].isalpha()


def _deed(event: str, args: tuple[Any, ...]) -> Deed | None:
    if event == "open":
        path, mode, flags = args
        writes = any(each in (mode or "") for each in "wax+") or bool((flags or 0) & _WRITING)
        if not writes or isinstance(path, int) or os.fspath(path) in (os.devnull, os.devnull.encode()):
            return None
        return Deed(kind="write", what=f"opens {_text(path)} for writing")
    if event in _FILES:
        return Deed(kind="write", what=f"{_FILES[event]} {_text(args[0])}")
    if event in _PROCESSES:
        return Deed(kind="process", what=f"starts or signals a process ({event})")
    if event in ("os.putenv", "os.unsetenv"):
        return Deed(kind="environment", what=f"changes the environment variable {_text(args[0])}")
    if event in _NAMES or event in _SENDING:
        host = _host(event, args)
        return Deed(kind="network", what=f"reaches for the host {host!r}") if host else None
    return None


def _is_worker(args: tuple[Any, ...]) -> bool:
    """Whether the program of ``subprocess.Popen`` is the Python that runs here."""
    executable, command = args[:2]
    program = executable or (command[0] if isinstance(command, list | tuple) and command else command)
    return isinstance(program, str | os.PathLike) and os.fspath(program) == sys.executable


def _host(event: str, args: tuple[Any, ...]) -> str:
    """The host of a network event; empty where it names none."""
    address = args[0] if event in _NAMES else args[1]
    match address:
        case (str() | bytes() as host, *_):
            pass
        case str() | bytes() as host:
            pass
        case _:
            return ""
    return host.decode(errors="replace") if isinstance(host, bytes) else host


def _text(path: Any) -> str:
    return repr(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else repr(path)


_active: Final[list[Guard]] = []
_turn: Final = threading.Lock()


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _active:
        _active[0].look(event, args)


def _once(function: Callable[[], None]) -> Callable[[], None]:
    done: list[bool] = []

    def call() -> None:
        if not done:
            done.append(True)
            function()

    return call


@_once
def _install() -> None:
    sys.addaudithook(_hook)
