"""Change files: written beside and renamed over, so that a reader sees the old content or the new, never a part."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from codeact_tools import ToolContext, tool

from .access import MIB, Access
from .beneath import Place, check_file
from .errors import (  # noqa: F401 - docstrings name them
    AlreadyExists,
    FilesError,
    Mismatch,
    NotAllowed,
    NotFound,
    NotText,
    OutsideRoots,
    TooLarge,
    WrongKind,
)
from .lines import decoded

__all__ = ["Replaced", "Written", "append_text", "delete_file", "move_file", "replace_text", "write_text"]

DEFAULT_MODE = 0o666
"""Of new files, less what the process's umask takes away."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A file that was written: `size` in bytes, and whether it is `new`."""

    path: str
    size: int
    new: bool


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """A file in which text was replaced; `lines` are the numbers of the lines where that began."""

    path: str
    lines: list[int]


@tool(destructive=True, idempotent=True)
def write_text(path: str, text: str, overwrite: bool = False, context: ToolContext | None = None) -> Written:
    r"""Write a text file in UTF-8; missing folders are made.

    Args:
        path: Path of the file.
        text: Its whole content.
        overwrite: Whether it may replace a file.
        context: Of the call. None, in plain Python: the environment tells what is granted.

    Returns:
        What was written.

    Raises:
        FilesError: Base of these errors; by itself: the system failed.
        AlreadyExists: There is something of this name already.
        WrongKind: It is a folder where a file is expected, or the reverse, or neither of them.
        NotAllowed: It may only be read, or is hidden or protected.
        OutsideRoots: The path is no path inside of the granted folders.
        NotText: It is binary, or text in another encoding.
        TooLarge: It is larger, or takes longer, than the configuration allows.

    Examples:
        >>> write_text("notes/todo.txt", "Call Ben\n")
        Written(path='notes/todo.txt', size=9, new=True)
    """
    return write_bytes(Access.of(context), path, encoded(text, path), overwrite=overwrite)


@tool()
def append_text(path: str, text: str, context: ToolContext | None = None) -> Written:
    r"""Add text at the end of a file, in UTF-8; a missing file is made.

    Args:
        path: Path of the file.
        text: What to add; it begins where the file ends.
        context: Of the call. None, in plain Python: the environment tells what is granted.

    Returns:
        The whole file.

    Raises:
        FilesError: Base of these errors; by itself: the system failed.
        WrongKind: It is a folder where a file is expected, or the reverse, or neither of them.
        NotAllowed: It may only be read, or is hidden or protected.
        OutsideRoots: The path is no path inside of the granted folders.
        TooLarge: It is larger, or takes longer, than the configuration allows.

    Examples:
        >>> append_text("notes/meeting.txt", "Next meeting: 8 October\n").size
        130
    """
    access = Access.of(context)
    content = encoded(text, path)
    with access.place(path, write=True, create=True) as place:
        status = place.status()
        if status is not None:
            check_file(status, path)
        how = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(place.name, how, DEFAULT_MODE, dir_fd=place.folder)
        with os.fdopen(file, "ab", buffering=0) as opened:
            now = os.fstat(file)
            check_file(now, path)
            if now.st_nlink > 1:
                raise NotAllowed(
                    f"{path!r} has other names (hard links), perhaps outside of the granted folder, that would change "
                    f"too; write it anew with write_text(..., overwrite=True)"
                )
            _check_size(access, now.st_size + len(content), path)
            _write_all(opened.fileno(), content)
            return Written(path=path, size=os.fstat(file).st_size, new=status is None)


@tool(destructive=True)
def replace_text(
    path: str,
    old: Annotated[str, Field(min_length=1)],
    new: str,
    count: Annotated[int, Field(ge=1)] = 1,
    context: ToolContext | None = None,
) -> Replaced:
    """Replace text in a file, whose encoding stays; nothing is changed unless it occurs exactly as often as expected.

    Args:
        path: Path of the file.
        old: The text to replace, exactly; it may have several lines.
        new: What stands there then.
        count: How often `old` occurs.
        context: Of the call. None, in plain Python: the environment tells what is granted.

    Returns:
        Where text was replaced.

    Raises:
        FilesError: Base of these errors; by itself: the system failed.
        Mismatch: The text does not occur as often as expected.
        NotFound: There is no such file or folder.
        WrongKind: It is a folder where a file is expected, or the reverse, or neither of them.
        NotText: It is binary, or text in another encoding.
        NotAllowed: It may only be read, or is hidden or protected.
        OutsideRoots: The path is no path inside of the granted folders.
        TooLarge: It is larger, or takes longer, than the configuration allows.

    Examples:
        >>> replace_text("notes/meeting.txt", "Friday", "Monday")
        Replaced(path='notes/meeting.txt', lines=[2])
    """
    access = Access.of(context)
    content = access.whole(path)
    before, encoding = decoded(content, path)
    if "\r\n" in before and "\r\n" not in old:  # what is read has "\n" for every end of line
        old, new = old.replace("\n", "\r\n"), new.replace("\n", "\r\n")
    lines = _occurrences(before, old)
    if len(lines) != count:
        where = f" (lines {', '.join(map(str, lines[:10]))}{', …' if len(lines) > 10 else ''})" if lines else ""
        advice = "give more of the text around it, or count" if lines else "read the file and copy the text exactly"
        raise Mismatch(f"{old[:80]!r} occurs {len(lines)} times in {path!r}{where}, not {count}; {advice}")
    after = encoded(before.replace(old, new), path, encoding)
    write_bytes(access, path, after, overwrite=True, instead_of=content)
    return Replaced(path=path, lines=lines)


@tool(destructive=True)
def move_file(source: str, target: str, context: ToolContext | None = None) -> Written:
    """Rename or move a file or folder; nothing is overwritten, and missing folders are made.

    Args:
        source: Path of the file or folder.
        target: Its new path, with its name.
        context: Of the call. None, in plain Python: the environment tells what is granted.

    Returns:
        What is at the new path.

    Raises:
        FilesError: Base of these errors; by itself: the system failed.
        NotFound: There is no such file or folder.
        AlreadyExists: There is something of this name already.
        WrongKind: It is a folder where a file is expected, or the reverse, or neither of them.
        NotAllowed: It may only be read, or is hidden or protected.
        OutsideRoots: The path is no path inside of the granted folders.

    Examples:
        >>> move_file("notes/meeting.txt", "archive/meeting.txt").path
        'archive/meeting.txt'
    """
    access = Access.of(context)
    with access.place(source, write=True, follow=False) as old:
        status = old.status()
        if status is None:
            raise access.missing(old, source)
        is_folder = stat.S_ISDIR(status.st_mode)
        if not is_folder:
            check_file(status, source)
        _not_a_root(old, source)
        with (
            access.place(target, write=True, create=True, follow=False) as new,
            _reserved(new, target, is_folder=is_folder),
        ):
            os.rename(old.name, new.name, src_dir_fd=old.folder, dst_dir_fd=new.folder)
    return Written(path=target, size=0 if is_folder else status.st_size, new=True)


@tool(destructive=True, approval=True)
def delete_file(path: str, context: ToolContext | None = None) -> None:
    """Delete a file, a link, or an empty folder; somebody is asked for consent first.

    Args:
        path: Path of the file.
        context: Of the call. None, in plain Python: the environment tells what is granted.

    Raises:
        FilesError: Base of these errors; by itself: the system failed.
        NotFound: There is no such file or folder.
        NotAllowed: It may only be read, or is hidden or protected.
        OutsideRoots: The path is no path inside of the granted folders.

    Examples:
        >>> delete_file("notes/meeting_draft.txt")
    """
    access = Access.of(context)
    with access.place(path, write=True, follow=False) as place:
        status = place.status()
        if status is None:
            raise access.missing(place, path)
        _not_a_root(place, path)
        if stat.S_ISDIR(status.st_mode):
            os.rmdir(place.name, dir_fd=place.folder)
        else:
            os.unlink(place.name, dir_fd=place.folder)


def write_bytes(
    access: Access, path: str, content: bytes, *, overwrite: bool, instead_of: bytes | None = None
) -> Written:
    """Write a whole file at once.

    Args:
        access: What is granted.
        path: Path of the file.
        content: All of it.
        overwrite: Whether it may replace a file.
        instead_of: What the file must hold still.
        context: Of the call. None, in plain Python: the environment tells what is granted.

    Raises:
        AlreadyExists: It is there, and must not be overwritten.
        FilesError: It cannot be written.
    """
    _check_size(access, len(content), path)
    with access.place(path, write=True, create=True) as place:
        status = place.status()
        if status is not None:
            check_file(status, path)
            if not overwrite:
                raise AlreadyExists(f"{path!r} exists already; pass overwrite=True to replace it")
            _not_protected(place)
        with _beside(place, content, status) as draft:
            if instead_of is not None and access.whole(path) != instead_of:
                raise Mismatch(f"{path!r} was changed by somebody else just now; read it again")
            if status is None:
                with _reserved(place, path, is_folder=False):
                    os.rename(draft, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
            else:
                os.rename(draft, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
    return Written(path=path, size=len(content), new=status is None)


def encoded(text: str, path: str, encoding: str = "utf-8") -> bytes:
    """Encode what is to be written.

    Raises:
        NotText: A character is none of the encoding.
    """
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise NotText(f"{path!r} cannot hold {text[error.start]!r} in {encoding}; replace that character") from error


@contextmanager
def _beside(place: Place, content: bytes, replaced: os.stat_result | None) -> Iterator[str]:
    """A draft of the file in its folder, with the permissions of the one that it replaces; gone unless renamed."""
    draft = f".codeact-{secrets.token_hex(8)}.tmp"
    how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(draft, how, DEFAULT_MODE, dir_fd=place.folder)
    try:
        with os.fdopen(file, "wb", buffering=0):
            if replaced is not None:
                os.fchmod(file, stat.S_IMODE(replaced.st_mode) & 0o777)
            _write_all(file, content)
            os.fsync(file)
        yield draft
    finally:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=place.folder)


@contextmanager
def _reserved(place: Place, path: str, *, is_folder: bool) -> Iterator[None]:
    """Take a name, to rename over it what shall bear it: a rename by itself would overwrite what is there.

    Raises:
        AlreadyExists: Something bears it.
    """
    try:
        if is_folder:
            os.mkdir(place.name, dir_fd=place.folder)
        else:
            os.close(os.open(place.name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, dir_fd=place.folder))
    except FileExistsError:
        raise AlreadyExists(f"{path!r} exists already; choose another name") from None
    try:
        yield
    except BaseException:
        remove = os.rmdir if is_folder else os.unlink
        with suppress(OSError):
            remove(place.name, dir_fd=place.folder)
        raise


def _not_protected(place: Place) -> None:
    """Respect a file's own permissions, which a rename over it would not ask about.

    Raises:
        PermissionError: It may not be written.
    """
    how = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    os.close(os.open(place.name, how, dir_fd=place.folder))


def _not_a_root(place: Place, path: str) -> None:
    if place.name == ".":
        raise NotAllowed(f"{path!r} is a granted folder itself, which stays where it is")


def _check_size(access: Access, size: int, path: str) -> None:
    if size > access.config.file_mb * MIB:
        raise TooLarge(f"{path!r} would be larger than {access.config.file_mb} MiB; write several files")


def _write_all(file: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


def _occurrences(text: str, part: str) -> list[int]:
    """Numbers of the lines where ``part`` begins.

    >>> _occurrences("a\\nb a\\n", "a")
    [1, 2]
    """
    found: list[int] = []
    line, seen, place = 1, 0, text.find(part)
    while place >= 0:
        line += text.count("\n", seen, place)
        found.append(line)
        seen, place = place, text.find(part, place + len(part))
    return found
