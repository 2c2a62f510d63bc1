"""Files that are written, changed, moved and deleted: all at once, and nothing by accident."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from codeact_tools_files import (
    AlreadyExists,
    FilesConfig,
    FilesError,
    Mismatch,
    NotAllowed,
    NotFound,
    NotText,
    OutsideRoots,
    TooLarge,
    WrongKind,
    append_text,
    delete_file,
    move_file,
    replace_text,
    write_text,
    writing,
)

from codeact_tools import ToolContext


def small(root: Path) -> ToolContext:
    """A call in which files have at most a mebibyte."""
    return ToolContext(config=FilesConfig(roots=[root], writable=True, file_mb=1))


def names(folder: Path) -> list[str]:
    """What is in a folder, drafts included."""
    return sorted(each.name for each in folder.iterdir())


def test_a_new_file(root: Path, context: ToolContext) -> None:
    """With the folders on the way, and the permissions that any new file gets."""
    written = write_text("a/b/c.txt", "hé\r\n", context=context)
    assert (written.path, written.size, written.new) == ("a/b/c.txt", 5, True)
    assert (root / "a/b/c.txt").read_bytes() == "hé\r\n".encode()
    (root / "plain").write_text("")
    assert (root / "a/b/c.txt").stat().st_mode == (root / "plain").stat().st_mode


def test_nothing_is_overwritten_by_accident(root: Path, context: ToolContext) -> None:
    """Only where the call says so; the file keeps its permissions."""
    (root / "a.sh").write_text("old")
    (root / "a.sh").chmod(0o750)
    with pytest.raises(AlreadyExists, match=r"'a\.sh' exists already; pass overwrite=True to replace it"):
        write_text("a.sh", "new", context=context)
    assert (root / "a.sh").read_text() == "old"
    assert not write_text("a.sh", "new", overwrite=True, context=context).new
    assert (root / "a.sh").read_text() == "new"
    assert stat.S_IMODE((root / "a.sh").stat().st_mode) == 0o750
    assert names(root) == ["a.sh"]


def test_a_file_that_appears_meanwhile_is_not_overwritten(
    root: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is taken before the rename, which by itself would replace it."""
    write_all = writing._write_all

    def slow(file: int, content: bytes) -> None:
        write_all(file, content)
        (root / "a.txt").write_text("theirs")

    monkeypatch.setattr(writing, "_write_all", slow)
    with pytest.raises(AlreadyExists):
        write_text("a.txt", "mine", context=context)
    assert (root / "a.txt").read_text() == "theirs"
    assert names(root) == ["a.txt"]


def test_a_write_that_fails_leaves_the_old_file(
    root: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no draft of the new one."""
    (root / "a.txt").write_text("old")

    def full(file: int, content: bytes) -> None:
        os.write(file, content[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "_write_all", full)
    with pytest.raises(FilesError, match=r"'a\.txt' cannot be written, because the disk is full"):
        write_text("a.txt", "new", overwrite=True, context=context)
    with pytest.raises(FilesError, match="the disk is full"):
        write_text("b.txt", "new", context=context)
    assert (root / "a.txt").read_text() == "old"
    assert names(root) == ["a.txt"]


def test_a_reader_never_sees_a_part(root: Path, context: ToolContext) -> None:
    """Who has the old file open goes on reading that."""
    (root / "a.txt").write_text("old")
    with (root / "a.txt").open() as reader:
        write_text("a.txt", "new", overwrite=True, context=context)
        assert reader.read() == "old"


def test_what_cannot_be_written(root: Path, context: ToolContext) -> None:
    """Each for its own reason."""
    (root / "folder").mkdir()
    (root / "file").write_text("")
    with pytest.raises(WrongKind, match="is a folder"):
        write_text("folder", "", overwrite=True, context=context)
    with pytest.raises(WrongKind, match="is a folder"):
        write_text(".", "", overwrite=True, context=context)
    with pytest.raises(WrongKind, match="'file' is a file, not a folder"):
        write_text("file/a.txt", "", context=context)
    with pytest.raises(NotText, match="cannot hold"):
        write_text("a.txt", "\ud800", context=context)
    with pytest.raises(OutsideRoots, match="a name that is too long"):
        write_text("x" * 300, "", context=context)
    with pytest.raises(TooLarge, match="would be larger than 1 MiB"):
        write_text(
            "a.txt", "x" * 2**21, context=ToolContext(config=FilesConfig(roots=[root], writable=True, file_mb=1))
        )
    reading = ToolContext(config=FilesConfig(roots=[root]))
    for call in (
        lambda: write_text("a.txt", "", context=reading),
        lambda: append_text("file", "x", context=reading),
        lambda: replace_text("file", "x", "y", context=reading),
        lambda: move_file("file", "b", context=reading),
        lambda: delete_file("file", context=reading),
    ):
        with pytest.raises((NotAllowed, Mismatch)):
            call()
    assert names(root) == ["file", "folder"]


def test_appending(root: Path, context: ToolContext) -> None:
    """At the end of a file, or of a new one."""
    assert append_text("log.txt", "one\n", context=context).new
    second = append_text("log.txt", "two\n", context=context)
    assert (second.size, second.new) == (8, False)
    assert (root / "log.txt").read_text() == "one\ntwo\n"
    with pytest.raises(TooLarge):
        append_text("log.txt", "x" * 2**20, context=small(root))


def test_replacing(root: Path, context: ToolContext) -> None:
    """Exactly as often as expected; else the error says where it occurs."""
    (root / "a.txt").write_text("x = 1\ny = 1\nz = 2\n")
    assert replace_text("a.txt", "z = 2", "z = 3", context=context).lines == [3]
    assert replace_text("a.txt", "= 1", "= 5", count=2, context=context).lines == [1, 2]
    assert (root / "a.txt").read_text() == "x = 5\ny = 5\nz = 3\n"
    with pytest.raises(Mismatch, match=r"'= 5' occurs 2 times in 'a\.txt' \(lines 1, 2\), not 1; give more"):
        replace_text("a.txt", "= 5", "= 6", context=context)
    with pytest.raises(Mismatch, match=r"occurs 0 times .* read the file and copy the text exactly"):
        replace_text("a.txt", "w = 1", "", context=context)
    with pytest.raises(NotFound):
        replace_text("b.txt", "a", "b", context=context)
    assert (root / "a.txt").read_text() == "x = 5\ny = 5\nz = 3\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_replacing_keeps_encoding_and_ends_of_lines(root: Path, context: ToolContext, encoding: str) -> None:
    """What was not replaced is as it was, byte by byte."""
    (root / "a.txt").write_bytes("größe\r\nalt\r\nende".encode(encoding))
    replace_text("a.txt", "größe\nalt", "länge\nneu", context=context)
    assert (root / "a.txt").read_bytes() == "länge\r\nneu\r\nende".encode(encoding)


def test_replacing_in_latin_1_takes_its_characters_only(root: Path, context: ToolContext) -> None:
    """Others would make the file unreadable."""
    (root / "a.txt").write_bytes("größe".encode("latin-1"))
    with pytest.raises(NotText, match="cannot hold '€' in latin-1"):
        replace_text("a.txt", "größe", "5 €", context=context)


def test_a_change_by_somebody_else_is_not_lost(
    root: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading and writing."""
    (root / "a.txt").write_text("one two")
    write_all = writing._write_all

    def slow(file: int, content: bytes) -> None:
        write_all(file, content)
        (root / "a.txt").write_text("one two three")

    monkeypatch.setattr(writing, "_write_all", slow)
    with pytest.raises(Mismatch, match="was changed by somebody else just now; read it again"):
        replace_text("a.txt", "one", "ONE", context=context)
    assert (root / "a.txt").read_text() == "one two three"


def test_moving(root: Path, context: ToolContext) -> None:
    """Files and folders, into folders that are made; never over anything."""
    (root / "a.txt").write_text("a")
    (root / "folder").mkdir()
    (root / "folder" / "b.txt").write_text("b")
    assert move_file("a.txt", "new/c.txt", context=context).path == "new/c.txt"
    move_file("folder", "other/folder", context=context)
    assert (root / "new" / "c.txt").read_text() == "a"
    assert (root / "other" / "folder" / "b.txt").read_text() == "b"
    (root / "empty").mkdir()
    for taken in ("other/folder/b.txt", "other", "empty", "new/c.txt"):
        with pytest.raises(AlreadyExists, match="exists already; choose another name"):
            move_file("new/c.txt", taken, context=context)
    with pytest.raises(AlreadyExists):
        move_file("other/folder", "empty", context=context)
    with pytest.raises(FilesError):
        move_file("other", "other/folder/deeper", context=context)
    assert names(root / "other" / "folder") == ["b.txt"]
    with pytest.raises(NotFound, match=r"did you mean 'c\.txt'"):
        move_file("new/d.txt", "x", context=context)
    with pytest.raises(NotAllowed, match="is a granted folder itself"):
        move_file(".", "x", context=context)


def test_moving_between_roots(root: Path, tmp_path: Path) -> None:
    """Both must be writable."""
    other = tmp_path / "other"
    other.mkdir()
    (root / "a.txt").write_text("a")
    roots = {"in": root, "out": other}
    with pytest.raises(NotAllowed):
        move_file(
            "in/a.txt", "out/a.txt", context=ToolContext(config=FilesConfig(roots=roots, writable=frozenset({"out"})))
        )
    move_file("in/a.txt", "out/a.txt", context=ToolContext(config=FilesConfig(roots=roots, writable=True)))
    assert (other / "a.txt").read_text() == "a"


def test_deleting(root: Path, context: ToolContext) -> None:
    """A file or an empty folder; never a tree."""
    (root / "folder").mkdir()
    (root / "folder" / "a.txt").write_text("a")
    with pytest.raises(NotAllowed, match="is a folder that is not empty"):
        delete_file("folder", context=context)
    delete_file("folder/a.txt", context=context)
    delete_file("folder", context=context)
    assert names(root) == []
    with pytest.raises(NotFound):
        delete_file("no/a.txt", context=context)
    assert names(root) == []
    with pytest.raises(NotAllowed, match="is a granted folder itself"):
        delete_file(".", context=context)
