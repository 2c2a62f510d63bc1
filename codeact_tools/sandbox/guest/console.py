"""What an action prints and reads: output is streamed and bounded, input is refused."""

from __future__ import annotations

import io
import sys
import time
from types import ModuleType
from typing import Any, NoReturn

from .link import Link
from .tools import show_help

_CHUNK = 16384
"""Characters of one message, and of what is held back."""
_LIVE = 50
"""Lines per second that are sent at once; a program that prints faster is sent in chunks."""


class Console:
    """Both output streams, with one budget for an action."""

    def __init__(self, link: Link, limit: int, builtins: ModuleType) -> None:
        self.link = link
        self.builtins = builtins
        """Those of the actions."""
        self.limit = limit
        """UTF-8 bytes of an action's output that are sent; the rest is counted."""
        self.stdout = Output(self, "stdout")
        self.stderr = Output(self, "stderr")
        self.left = limit
        self.dropped = 0
        self._allowance = float(_LIVE)
        self._when = 0.0

    def install(self) -> None:
        """Take over the standard streams and the built-in functions that belong to a terminal."""
        sys.stdout = self.stdout
        sys.stderr = self.stderr
        sys.stdin = Input()
        names: dict[str, Any] = {"input": _refuse_input, "exit": _exit, "quit": _exit, "help": show_help}
        vars(self.builtins).update(names)

    def begin(self) -> None:
        """A new action starts with a full budget."""
        self.left = self.limit
        self.dropped = 0
        self._allowance = float(_LIVE)
        self.install()

    @property
    def quiet(self) -> bool:
        """Whether this action has printed nothing."""
        return self.left == self.limit and not (self.stdout.held or self.stderr.held)

    def flush(self) -> None:
        """Send what is held back."""
        self.stdout.flush()
        self.stderr.flush()

    def live(self) -> bool:
        """Whether a line may be sent at once."""
        now = time.monotonic()
        self._allowance = min(_LIVE, self._allowance + (now - self._when) * _LIVE)
        self._when = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True


class Output(io.TextIOBase):
    """One output stream."""

    errors = "backslashreplace"

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self.name = name
        self._parts: list[str] = []
        self.held = 0
        """Characters that wait to be sent."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Text is sent as it is."""
        return "utf-8"

    @property
    def buffer(self) -> Bytes:
        """For programs that write bytes."""
        return Bytes(self)

    def writable(self) -> bool:
        """It is."""
        return True

    def isatty(self) -> bool:
        """Nobody types here."""
        return False

    def write(self, text: str) -> int:
        """Print ``text``: at once where it ends a line, in chunks where there is much."""
        if not isinstance(text, str):
            raise TypeError(f"write() takes text, got {type(text).__name__}")
        if text:
            self._parts.append(text)
            self.held += len(text)
            if self.held >= _CHUNK or (text[-1] == "\n" and self._console.live()):
                self.flush()
        return len(text)

    def flush(self) -> None:
        """Send what is held back; while no action runs it stays, up to a bound."""
        parts, self._parts, self.held = self._parts, [], 0
        text = "".join(parts)
        for start in range(0, len(text), _CHUNK):
            piece = text[start : start + _CHUNK]
            if not self._send(piece):
                self._parts.insert(0, piece)
                self.held = len(piece)
                return

    def _send(self, piece: str) -> bool:
        console = self._console
        size = len(piece) if piece.isascii() else len(piece.encode("utf-8", "surrogatepass"))
        if size > console.left:
            console.dropped += size
            return True
        if not console.link.post({"op": "out", "stream": self.name, "text": piece}):
            return False
        console.left -= size
        return True


class Bytes(io.RawIOBase):
    """The binary face of an output stream."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Print the bytes as UTF-8."""
        self._output.write(bytes(data).decode("utf-8", "backslashreplace"))
        return len(data)


class Input(io.TextIOBase):
    """Standard input: there is none."""

    def readable(self) -> bool:
        """Reading is possible, and is refused with a message."""
        return True

    def read(self, _size: int | None = -1, /) -> NoReturn:
        """Refuse."""
        _refuse_input()

    def readline(self, _size: int | None = -1, /) -> NoReturn:
        """Refuse."""
        _refuse_input()


def _refuse_input(_prompt: object = "") -> NoReturn:
    raise RuntimeError(
        "input is not available: nobody can type while an action runs. Write the value into the code, "
        "or ask the user in your reply."
    )


def _exit(code: object = None) -> NoReturn:
    raise SystemExit(code)
