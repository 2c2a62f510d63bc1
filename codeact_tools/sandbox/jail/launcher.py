"""The host's side of the zygote: start it, order guests from it, end it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final, NamedTuple, TypedDict

from . import kernel
from .layout import FOLDER, TEMPORARY
from .lockdown import Order
from .zygote import MESSAGE, Setup

SOURCE: Final = Path(__file__).parent.parent
"""The folder that holds the packages ``jail`` and ``guest``."""

_START_SECONDS: Final = 60.0
_FORK_SECONDS: Final = 20.0
_END_SECONDS: Final = 2.0
_BOOT: Final = "import sys; sys.path.insert(0, sys.argv[1]); from jail.zygote import main; main(int(sys.argv[2]))"
_ENVIRONMENT: Final = {
    "HOME": FOLDER,
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "TMPDIR": TEMPORARY,
    # RLIMIT_AS counts what is reserved: a memory arena or a stack per core would use it up.
    "MALLOC_ARENA_MAX": "2",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": TEMPORARY,
    # Sets have the same order when a run is resumed.
    "PYTHONHASHSEED": "0",
}
"""All of a guest's environment. The host's own never enters."""


class Refused(Exception):
    """The zygote, or a guest, could not be set up."""

    def __init__(self, step: str, error: int | None, message: str) -> None:
        super().__init__(f"{step}: {message}")
        self.step = step
        self.errno = error
        self.message = message


class Gone(Exception):
    """The zygote has ended."""


class Report(TypedDict):
    """What a zygote says of itself; see `Plan`."""

    landlock: bool
    search: bool
    folder: str


class Forked(NamedTuple):
    """A guest that is being confined: its process, and the host's end of the bridge."""

    pidfd: int
    bridge: socket.socket


class Zygote:
    """A warm process from which confined guests are forked. Safe to use from several threads.

    It ends with this process however that ends: it watches this process's pidfd and the control socket.
    """

    def __init__(self, setup: Setup) -> None:
        self._lock = threading.Lock()
        self._jail = setup.jail
        self.report: Report = {"landlock": False, "search": False, "folder": ""}
        """What the zygote says of itself."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(_START_SECONDS)
        host = kernel.pidfd_open(os.getpid())
        try:
            self._process = _start(theirs)
            socket.send_fds(self._control, [json.dumps(setup._asdict()).encode()], [host])
        except BaseException:
            self._control.close()
            raise
        finally:
            theirs.close()
            os.close(host)
        try:
            self.report = json.loads(self._answer("up")[0])["up"]
        except BaseException:
            self.close()
            raise

    def fork(self, order: Order) -> Forked:
        """Order one guest. It is confined by the time it sends its first byte; see `zygote`.

        Raises:
            Gone: The zygote has ended.
            Refused: It cannot fork.
        """
        bridge, theirs = socket.socketpair()
        try:
            with self._lock, theirs:
                self._control.settimeout(_FORK_SECONDS)
                socket.send_fds(self._control, [json.dumps(order._asdict()).encode()], [theirs.fileno()])
                _, descriptors = self._answer("pid")
        except OSError as error:
            bridge.close()
            raise Gone(str(error)) from error
        except BaseException:
            bridge.close()
            raise
        return Forked(descriptors[0], bridge)

    def close(self) -> None:
        """End the zygote and all of its guests."""
        self._control.close()
        try:
            self._process.wait(_END_SECONDS)  # the closed socket ends it, after it has tidied up
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if not self._jail and self.report["folder"]:
            with contextlib.suppress(OSError):  # it does so itself, unless it was killed
                Path(self.report["folder"]).rmdir()

    def abandon(self) -> None:
        """Forget the zygote in a forked copy of the host: it belongs to the process that started it."""
        self._control.close()
        self._process.returncode = 0  # else a warning about a child that is not this process's

    def _answer(self, wanted: str) -> tuple[bytes, list[int]]:
        data, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE, 1)
        if not data:
            raise Gone("the zygote ended")
        answer = json.loads(data)
        if wanted in answer:
            return data, descriptors
        failure = answer["failed"]
        raise Refused(failure["step"], failure["errno"], failure["message"])


def await_end(pidfd: int, seconds: float) -> bool:
    """Wait until the process behind ``pidfd`` is gone; return whether it is."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _start(control: socket.socket) -> subprocess.Popen[bytes]:
    interpreter = sys.executable
    command = [interpreter, "-P", "-s", "-S", "-B", "-c", _BOOT, str(SOURCE), str(control.fileno())]
    return subprocess.Popen(
        command,
        env=_ENVIRONMENT,
        pass_fds=[control.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,  # Ctrl-C in the host's terminal is the host's to handle
    )
