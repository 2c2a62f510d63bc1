"""Start one jailed guest and carry its bytes until it, or whoever started this, is gone.

Standard input and output speak `lines`. Besides, each on a line of its own:

    → !signal 7 2          send the guest a signal, the 7th; an earlier one that comes later is ignored
    ← !up {...}            the guest is confined, and this is about the jail; said again after each question
    ← !refused {...}       it cannot be; then this ends
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
from collections.abc import Iterable
from typing import Any, Final, NoReturn

from ...errors import ConfigurationError
from ..jail import kernel
from ..jail.launcher import SOURCE, Forked, Gone, Refused, Zygote
from ..jail.lockdown import Order
from ..jail.probe import advice, await_confined
from ..jail.zygote import Setup
from ..packages import find_packages
from .lines import WINDOW, Gap, Lines

_CHUNK: Final = 64 * 1024


def main(arguments: str) -> NoReturn:
    """Run to the end; ``arguments`` is a JSON object with the fields of an `Order`, and ``packages``."""
    options = json.loads(arguments)
    try:
        zygote, forked = _start(options)
    except ConfigurationError as error:
        _refuse({"step": "packages", "message": str(error), "advice": ""})
    except Refused as refusal:
        _refuse({"step": refusal.step, "message": refusal.message, "advice": advice(refusal)})
    except (Gone, OSError) as error:
        _refuse({"step": "start", "message": str(error), "advice": ""})
    up = _statement("up", {"landlock": zygote.report["landlock"], "python": sys.version.split()[0]})
    try:
        Relay(forked, up).run()
    finally:
        _signal(forked.pidfd, 9)
        zygote.close()
    sys.exit(0)


def _start(options: dict[str, Any]) -> tuple[Zygote, Forked]:
    packages = find_packages(options["packages"])
    zygote = Zygote(Setup(True, str(SOURCE / "guest"), *packages))
    forked = zygote.fork(Order(options["memory_mb"], options["files_mb"], options["threads"]))
    await_confined(forked)
    return zygote, forked


def _statement(what: str, about: dict[str, Any]) -> bytes:
    return f"!{what} {json.dumps(about)}\n".encode()


def _refuse(about: dict[str, Any]) -> NoReturn:
    _write([_statement("refused", about)])
    sys.exit(1)


class Relay:
    """Between standard input and output, and the guest's end of its bridge."""

    def __init__(self, forked: Forked, up: bytes) -> None:
        self._guest: socket.socket = forked.bridge
        self._guest.setblocking(False)
        self._pidfd = forked.pidfd
        self._up = up
        self._lines = Lines()
        self._signals = 0
        self._typed = bytearray()
        self._for_guest = bytearray()

    def run(self) -> None:
        """Carry bytes until one side ends."""
        _write([self._up])
        guest = self._guest.fileno()
        while True:
            poll = select.poll()
            poll.register(0, select.POLLIN)
            wanted = select.POLLIN if self._lines.under_way < WINDOW else 0
            if events := wanted | (select.POLLOUT if self._for_guest else 0):
                poll.register(guest, events)
            ready = dict(poll.poll())
            if 0 in ready and not self._read_input():
                return
            if ready.get(guest, 0) & select.POLLOUT:
                self._write_guest()
            if ready.get(guest, 0) & ~select.POLLOUT and wanted and not self._read_guest():
                return

    def _read_input(self) -> bool:
        chunk = os.read(0, _CHUNK)
        self._typed += chunk
        *lines, rest = self._typed.split(b"\n")
        self._typed = rest
        for line in filter(None, lines):
            self._take(bytes(line))
        self._write_guest()
        return bool(chunk)

    def _take(self, line: bytes) -> None:
        if line.startswith(b"!signal "):
            order, number = map(int, line.split()[1:])
            if order > self._signals:
                self._signals = order
                _signal(self._pidfd, number)
            return
        try:
            data, again = self._lines.take(line)
        except Gap:
            _write([self._lines.question()])
            return
        self._for_guest += data
        if again:
            _write([b"\n", self._up, *self._lines.again()])
        elif confirmation := self._lines.confirmation():
            _write([confirmation])

    def _write_guest(self) -> None:
        if self._for_guest:
            try:
                del self._for_guest[: self._guest.send(self._for_guest)]
            except BlockingIOError:
                return
            except OSError:
                self._for_guest.clear()  # it has ended, which its other direction shows

    def _read_guest(self) -> bool:
        try:
            data = self._guest.recv(_CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        _write(self._lines.send(data))
        return bool(data)


def _signal(pidfd: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended
        kernel.pidfd_send_signal(pidfd, number)


def _write(lines: Iterable[bytes]) -> None:
    data = b"".join(lines)
    while data:
        data = data[os.write(1, data) :]
