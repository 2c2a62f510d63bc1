r"""A byte stream over lines of text, which survives the loss of the connection under it.

Either end may say, in ASCII:

    <offset> <received> <base64>\n     the bytes of the stream from ``offset`` on; they may come twice, never changed
    <offset> <received>\n              none, only: ``received`` bytes of yours have arrived
    ? <received>\n                     send again what comes after ``received``; asked after each new connection
    !...\n                             anything else, which the stream does not carry

An end keeps what it sent until the other one has it. A line that is lost is noticed by the offset of the next.
"""

from __future__ import annotations

import binascii
from collections import deque
from collections.abc import Iterator
from typing import Final

LONGEST: Final = 1 << 18
"""Characters of a line."""
WINDOW: Final = 4 << 20
"""Bytes that may be under way; an end that has sent so many waits."""
_PIECE: Final = 96 * 1024
_ACKNOWLEDGE: Final = 256 * 1024


class Malformed(Exception):
    """A line that no honest end sends."""


class Lines:
    """One end of the stream."""

    def __init__(self, sent: int = 0, received: int = 0) -> None:
        self.sent = sent
        """Bytes sent, ever."""
        self.received = received
        """Bytes received in order, ever."""
        self._kept: deque[bytes] = deque()
        self._arrived = sent
        self._told = received

    @property
    def under_way(self) -> int:
        """Bytes sent that the other end has not confirmed."""
        return self.sent - self._arrived

    def send(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that carry ``data``."""
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            self._kept.append(piece)
            self.sent += len(piece)
            yield self._line(self.sent - len(piece), piece)

    def resume(self) -> Iterator[bytes]:
        """Yield what to send over a new connection: a question, and all that may have been lost."""
        yield self.question()
        yield from self.again()

    def question(self) -> bytes:
        """Ask for what was lost, and so whether the other end is there."""
        return b"? %d\n" % self.received

    def again(self) -> Iterator[bytes]:
        """Yield once more what is not confirmed; a confirmation at least."""
        offset = self._arrived
        for piece in self._kept:
            yield self._line(offset, piece)
            offset += len(piece)
        if not self._kept:
            yield self._line(self.sent, b"")

    def confirmation(self) -> bytes:
        """A line that says what has arrived, when it is time for one; else nothing."""
        if self.received - self._told < _ACKNOWLEDGE:
            return b""
        return self._line(self.sent, b"")

    def take(self, line: bytes) -> tuple[bytes, bool]:
        """Take a line of the other end; return the new bytes in it, and whether something has to be sent `again`.

        Raises:
            Malformed: It cannot be from an honest end.
        """
        words = line.split(b" ")
        if words[0] == b"?" and len(words) == 2:
            self._confirm(_number(words[1]))
            return b"", True
        if len(words) not in (2, 3):
            raise Malformed("a line with other parts than expected")
        offset = _number(words[0])
        self._confirm(_number(words[1]))
        try:
            data = binascii.a2b_base64(words[2], strict_mode=True) if len(words) == 3 else b""
        except binascii.Error as error:
            raise Malformed("a line that is not base64") from error
        if offset > self.received:
            raise Gap
        new = data[self.received - offset :]
        self.received += len(new)
        return new, False

    def _confirm(self, arrived: int) -> None:
        if arrived > self.sent:
            raise Malformed("a confirmation of what was never sent")
        while self._kept and self._arrived + len(self._kept[0]) <= arrived:
            self._arrived += len(self._kept.popleft())
        if self._arrived < arrived:  # a part of a piece: pieces are sent whole, so only after a change of connection
            self._kept[0] = self._kept[0][arrived - self._arrived :]
            self._arrived = arrived

    def _line(self, offset: int, data: bytes) -> bytes:
        self._told = self.received
        if not data:
            return b"%d %d\n" % (offset, self.received)
        return b"%d %d %b" % (offset, self.received, binascii.b2a_base64(data))


class Gap(Exception):
    """A line before this one was lost: send `Lines.question`."""


def _number(word: bytes) -> int:
    if not word.isdigit() or len(word) > 18:
        raise Malformed("a line without a number where one is due")
    return int(word)
