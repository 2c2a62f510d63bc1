"""Lines of text files of any size, with long ones cut: never more than one line's limit in memory."""

from __future__ import annotations

import codecs
import io
import itertools
from collections.abc import Iterator
from typing import IO, Literal, NamedTuple

from .access import Deadline
from .errors import NotText

Encoding = Literal["utf-8", "utf-16", "latin-1", "cp1252", "shift_jis", "gb18030"]
"""What text files are written in. A byte order mark tells UTF-8 and UTF-16 by itself."""

_LOOKED_AT = 8192
_SKIPPED = 65_536
_CHECKED = 1000
"""Lines between two looks at the clock."""


class RawLine(NamedTuple):
    """A line without its end."""

    text: str
    is_cut: bool
    has_end: bool
    """Whether a newline follows what is here of it."""


def encoding_of(start: bytes, encoding: Encoding, path: str) -> str:
    """Which encoding a file has whose first bytes are ``start``.

    Raises:
        NotText: It is binary.
    """
    if encoding in ("utf-8", "utf-16"):
        if start.startswith(codecs.BOM_UTF8):
            return "utf-8-sig"
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
    if encoding != "utf-16" and b"\0" in start:
        raise NotText(f"{path!r} is binary; read_table reads tables, file_info tells its size")
    return encoding


def lines_of(
    file: IO[bytes], path: str, *, encoding: Encoding, most: int, deadline: Deadline
) -> Iterator[tuple[int, RawLine]]:
    """Read line by line, with the lines' numbers; every end of line that Python knows counts.

    Args:
        file: Open at its start.
        path: What messages call it.
        encoding: What it is written in.
        most: Characters of a line; the rest is dropped.
        deadline: When to give up.

    Raises:
        NotText: It is binary, or in another encoding.
        TooLarge: The time is over.
    """
    start = file.read(_LOOKED_AT)
    file.seek(0)
    reader = io.TextIOWrapper(file, encoding=encoding_of(start, encoding, path))
    try:
        for number in itertools.count(1):
            if number % _CHECKED == 0:
                deadline.check(f"reading {path!r} up to line {number}")
            line = reader.readline(most + 1)
            if not line:
                return
            is_cut = len(line) > most and not line.endswith("\n")
            yield number, RawLine(line[:most] if is_cut else line.removesuffix("\n"), is_cut, line.endswith("\n"))
            while is_cut and line and not line.endswith("\n"):
                deadline.check(f"reading the long line {number} of {path!r}")
                line = reader.readline(_SKIPPED)
    except UnicodeError as error:
        raise not_in_encoding(path, encoding, error) from error
    finally:
        reader.detach()


def decoded(content: bytes, path: str) -> tuple[str, str]:
    """Decode a whole file, and tell its encoding; ends of lines stay as they are.

    What is neither UTF-8 nor UTF-16 is taken for Latin-1, in which every byte is a character: it can be compared, and
    written as it was.

    Raises:
        NotText: It is binary.
    """
    encoding = encoding_of(content[:_LOOKED_AT], "utf-8", path)
    try:
        return content.decode(encoding), encoding
    except UnicodeError:
        return content.decode("latin-1"), "latin-1"


def not_in_encoding(path: str, encoding: str, error: UnicodeError) -> NotText:
    """Say which byte does not fit, and what to try."""
    bad = error.object[error.start] if isinstance(error, UnicodeDecodeError) else None
    what = f"byte 0x{bad:02x}" if bad is not None else str(error)
    other = "'cp1252'" if encoding != "cp1252" else "'latin-1'"
    return NotText(f"{path!r} is no {encoding} text ({what}); try encoding={other}")
