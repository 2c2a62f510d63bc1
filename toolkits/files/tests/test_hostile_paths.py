"""No path, no link and no swap leads out of the granted folders."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from codeact_tools_files import (
    FilesConfig,
    FilesError,
    NotAllowed,
    NotFound,
    OutsideRoots,
    WrongKind,
    append_text,
    beneath,
    delete_file,
    diff_text,
    file_info,
    list_files,
    move_file,
    read_lines,
    read_table,
    read_text,
    search_text,
    write_text,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from codeact_tools import ToolContext

PRIVATE = "the secret of the house"

READERS: dict[str, Callable[[str, ToolContext], object]] = {
    "read_text": lambda path, context: read_text(path, context=context),
    "read_lines": lambda path, context: list(read_lines(path, context=context)),
    "read_table": lambda path, context: read_table(path, context=context),
    "file_info": lambda path, context: file_info(path, sha256=True, context=context),
    "diff_text": lambda path, context: diff_text(path, "", context=context),
    "list_files": lambda path, context: list_files(path, "**", context=context),
    "search_text": lambda path, context: search_text("secret", folder=path, context=context),
}
WRITERS: dict[str, Callable[[str, ToolContext], object]] = {
    "write_text": lambda path, context: write_text(path, "mine", overwrite=True, context=context),
    "append_text": lambda path, context: append_text(path, "mine", context=context),
    "move_file to": lambda path, context: move_file("mine.txt", path, context=context),
    "move_file from": lambda path, context: move_file(path, "stolen.txt", context=context),
    "delete_file": lambda path, context: delete_file(path, context=context),
}


def outside_of(root: Path) -> dict[str, str]:
    """All that is beside the granted folder, with its content."""
    outside = root.parent / "outside"
    return {str(each): each.read_text() for each in sorted(outside.rglob("*")) if each.is_file()}


ESCAPES = [
    "../outside/secret.txt",
    "..",
    "../../../../../../etc/passwd",
    "a/../../outside/secret.txt",
    "./../outside/secret.txt",
    "a/b/../../../outside/secret.txt",
    "/etc/passwd",
    "//etc/passwd",
    "~/secret.txt",
    "~",
    "C:\\secret.txt",
    "to_file",
    "to_folder/secret.txt",
    "to_parent/outside/secret.txt",
    "to_parent/granted/to_parent/outside/secret.txt",
    "absolute",
    "absolute_folder/secret.txt",
    "chain",
    "a/up/outside/secret.txt",
    "a/b/up3/outside/secret.txt",
    "circle",
    "circle/secret.txt",
    "secret.txt\0",
    "..\0/outside/secret.txt",
    "..\\outside\\secret.txt",
    "\ud800/secret.txt",
    "x" * 5000,
    "/".join(["a"] * 3000),
    "\uff0e\uff0e/outside/secret.txt",
    "%2e%2e/outside/secret.txt",
]


@pytest.fixture
def trapped(root: Path) -> Path:
    """The granted folder, full of links that lead out of it at every level."""
    outside = root.parent / "outside"
    (root / "a" / "b").mkdir(parents=True)
    (root / "mine.txt").write_text("mine")
    links = {
        "to_file": "../outside/secret.txt",
        "to_folder": "../outside",
        "to_parent": "..",
        "absolute": str(outside / "secret.txt"),
        "absolute_folder": str(outside),
        "chain": "chain2",
        "chain2": "a/../../outside/secret.txt",
        "a/up": "../..",
        "a/b/up3": "../../..",
        "circle": "circle2",
        "circle2": "circle",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    return root


@pytest.mark.parametrize("path", ESCAPES, ids=lambda path: ascii(path)[:40])
@pytest.mark.parametrize("tool", READERS)
def test_nothing_outside_is_read(trapped: Path, context: ToolContext, tool: str, path: str) -> None:
    """Every way out is answered with an error that tells nothing of what is there."""
    if tool == "file_info" and (trapped / path.partition("\0")[0].replace("\ud800", "?")[:99]).is_symlink():
        assert file_info(path, context=context).kind == "link"
        return
    with pytest.raises(FilesError) as caught:
        READERS[tool](path, context)
    assert PRIVATE not in str(caught.value)
    assert str(trapped.parent) not in str(caught.value).replace(repr(path), "")


@pytest.mark.parametrize("path", ESCAPES, ids=lambda path: ascii(path)[:40])
@pytest.mark.parametrize("tool", WRITERS)
def test_nothing_outside_is_written(trapped: Path, context: ToolContext, tool: str, path: str) -> None:
    """Whatever a tool does with the path, what is beside the folder stays as it is."""
    before = outside_of(trapped)
    with contextlib.suppress(FilesError):
        WRITERS[tool](path, context)
    assert outside_of(trapped) == before
    assert sorted(each.name for each in trapped.parent.iterdir()) == ["granted", "outside"]


PARTS = st.sampled_from([
    "..", ".", "", "a", "b", "up", "up3", "to_file", "to_folder", "to_parent", "absolute", "absolute_folder", "chain",
    "circle", "outside", "granted", "secret.txt", "mine.txt", "deep", "etc", "passwd", "~", "\0", "\u2024\u2024", "A",
])  # fmt: skip


@example(parts=["to_parent", "granted", "a", "up", "outside", "secret.txt"], text="", head="")
@given(parts=st.lists(PARTS, max_size=8), text=st.text(max_size=20), head=st.sampled_from(["", "/", "./", "../"]))
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_no_string_reads_outside(trapped: Path, context: ToolContext, parts: list[str], text: str, head: str) -> None:
    """A path of any parts is an error, or a file of the granted folder."""
    for path in ("/".join([*parts, text]) if text else "/".join(parts), head + "/".join(parts), text):
        try:
            got = read_text(path, context=context).text
        except FilesError:
            continue
        assert got == "mine"
        assert (trapped / path).resolve().is_relative_to(trapped.resolve())
        assert list_files("", "**", context=context).skipped == 0


def test_links_that_stay_inside_are_followed(trapped: Path, context: ToolContext) -> None:
    """As the kernel's RESOLVE_BENEATH does: also through ``..``, as long as it stays below the root."""
    (trapped / "a" / "b" / "inner").symlink_to("../../mine.txt")
    (trapped / "folder").symlink_to("a/b")
    assert read_text("a/b/inner", context=context).text == "mine"
    assert read_text("folder/inner", context=context).text == "mine"
    assert read_text("folder/../../mine.txt", context=context).text == "mine"
    with pytest.raises(WrongKind, match="is a link"):
        move_file("folder", "elsewhere", context=context)
    write_text("a/b/inner", "new", overwrite=True, context=context)
    assert (trapped / "mine.txt").read_text() == "new"
    assert (trapped / "a" / "b" / "inner").is_symlink()


def test_links_are_listed_and_not_entered(trapped: Path, context: ToolContext) -> None:
    """A walk shows what they are; deleting one deletes the link alone."""
    kinds = {each.path: each.kind for each in list_files(pattern="**/*", context=context).entries}
    assert kinds["to_folder"] == kinds["absolute"] == kinds["a/b/up3"] == "link"
    assert not any("secret" in path for path in kinds)
    assert search_text("secret", context=context).matches == []
    delete_file("to_file", context=context)
    assert not (trapped / "to_file").is_symlink()
    assert (trapped.parent / "outside" / "secret.txt").read_text() == PRIVATE


@pytest.mark.parametrize("tool", ["read_text", "read_lines", "file_info", "diff_text"])
def test_a_file_swapped_for_a_link_while_it_is_opened(
    root: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    """Between the look and the opening there is nothing to gain."""
    (root / "a.txt").write_text("mine")
    check = beneath.check_file

    def swapping(status: os.stat_result, shown: str) -> None:
        check(status, shown)
        (root / "a.txt").unlink(missing_ok=True)
        (root / "a.txt").symlink_to("../outside/secret.txt")

    monkeypatch.setattr(beneath, "check_file", swapping)
    with pytest.raises(OutsideRoots, match="changed into a link"):
        READERS[tool]("a.txt", context)


def test_a_folder_swapped_for_a_link_while_it_is_entered(
    root: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for the folders on the way."""
    (root / "sub").mkdir()
    (root / "sub" / "secret.txt").write_text("mine")
    status = beneath.Place.status

    def swapping(place: beneath.Place) -> os.stat_result | None:
        found = status(place)
        if place.name == "sub" and not (root / "sub").is_symlink():
            (root / "sub").rename(root / "away")
            (root / "sub").symlink_to("../outside")
        return found

    monkeypatch.setattr(beneath.Place, "status", swapping)
    with pytest.raises(FilesError) as caught:
        read_text("sub/secret.txt", context=context)
    assert PRIVATE not in str(caught.value)


def test_a_link_that_keeps_being_swapped(root: Path, context: ToolContext) -> None:
    """Another thread makes it lead out and back, as fast as it can; nothing of outside is ever read or written."""
    (root / "real").mkdir()
    (root / "real" / "secret.txt").write_text("mine")
    (root / "sub").symlink_to("real")
    before, stop = outside_of(root), threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for target in ("../outside", "real"):
                (root / "next").symlink_to(target)
                (root / "next").replace(root / "sub")

    thread = threading.Thread(target=swap)
    thread.start()
    read = set()
    try:
        for _ in range(1000):
            with contextlib.suppress(FilesError):
                read.add(read_text("sub/secret.txt", context=context).text)
            with contextlib.suppress(FilesError):
                write_text("sub/secret.txt", "mine", overwrite=True, context=context)
    finally:
        stop.set()
        thread.join()
    assert read <= {"mine"}
    assert outside_of(root) == before


def test_pipes_sockets_and_devices_are_no_files(root: Path, context: ToolContext) -> None:
    """A pipe without a writer would block for ever, a device might do something."""
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        before = Path.cwd()
        os.chdir(root)  # the name of a socket is short
        try:
            listening.bind("socket")
        finally:
            os.chdir(before)
        for name in ("pipe", "socket"):
            for reader in ("read_text", "read_lines", "file_info", "diff_text"):
                with pytest.raises(WrongKind, match="is a pipe, a socket or a device"):
                    READERS[reader](name, context)
            for writer in ("write_text", "append_text", "move_file from"):
                with pytest.raises(WrongKind, match="is a pipe, a socket or a device"):
                    WRITERS[writer](name, context)
            assert file_info(name, context=context).kind == "other"
    assert search_text("x", context=context).files == 0


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and /dev are Linux's")
def test_the_system_s_own_folders_granted_by_mistake() -> None:
    """Their links lead nowhere, and a file without a size is read by what comes out of it."""
    proc = ToolContext(config=FilesConfig(roots=["/proc/self"]))
    assert "Pid:" in read_text("status", context=proc).text
    for path in ("root/etc/passwd", "cwd", "exe", "fd/0"):
        with pytest.raises(FilesError):
            read_text(path, context=proc)
    with pytest.raises(WrongKind, match="a device"):
        read_text("zero", context=ToolContext(config=FilesConfig(roots=["/dev"])))


def test_a_hard_link_is_not_written_through(root: Path, context: ToolContext) -> None:
    """Written anew, the file inside parts from the one outside; appending would reach it, and is refused."""
    os.link(root.parent / "outside" / "secret.txt", root / "hard.txt")
    with pytest.raises(NotAllowed, match=r"other names \(hard links\)"):
        append_text("hard.txt", "mine", context=context)
    write_text("hard.txt", "mine", overwrite=True, context=context)
    assert (root / "hard.txt").read_text() == "mine"
    assert (root.parent / "outside" / "secret.txt").read_text() == PRIVATE


HIDDEN = [".env", ".ENV", ".Env.local", ".git/config", "a/.git/config", ".ssh/id", "key.pem", "KEY.PEM", ".e\u200dnv"]


@pytest.mark.parametrize("path", HIDDEN, ids=ascii)
def test_hidden_names_are_hidden_in_any_spelling(root: Path, context: ToolContext, path: str) -> None:
    """Case, width and invisible characters open no way around; some file systems take them for the same name."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(PRIVATE)
    (root / "link").symlink_to(path)
    (root / "plain").mkdir(exist_ok=True)
    for name in (path, "link", f"plain/../{path}", unicodedata.normalize("NFD", path), path.replace(".", "\uff0e", 1)):
        with pytest.raises(FilesError) as caught:
            read_text(name, context=context)
        assert PRIVATE not in str(caught.value)
    with pytest.raises(NotAllowed, match="is hidden by the configuration"):
        write_text(path, "", overwrite=True, context=context)
    with pytest.raises(NotAllowed):
        move_file(path, "stolen", context=context)
    assert search_text(PRIVATE, literal=True, context=context).matches == []
    assert path not in [each.path for each in list_files(pattern="**/*", context=context).entries]


def test_a_name_in_another_spelling_is_suggested(root: Path, context: ToolContext) -> None:
    """Composed and decomposed letters, and case, are different names here; the right one is in the message."""
    decomposed = unicodedata.normalize("NFD", "Übersicht.txt")
    (root / decomposed).write_text("x")
    if not (root / "Übersicht.txt").exists():  # on macOS they are the same
        with pytest.raises(NotFound, match=f"did you mean {decomposed!r}"):
            read_text("Übersicht.txt", context=context)
    (root / "Sales.csv").write_text("x")
    if not (root / "sales.CSV").exists():
        with pytest.raises(NotFound, match=r"did you mean 'Sales\.csv'\?"):
            read_text("sales.CSV", context=context)
    with pytest.raises(NotFound, match="leave 'granted' out"):
        read_text("granted/Sales.csv", context=context)


def test_names_that_are_no_unicode(root: Path, context: ToolContext) -> None:
    """They are listed as Python spells them, and can be opened by that."""
    try:
        Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.txt")).write_text("x")
    except OSError:
        pytest.skip("this file system has only names that are Unicode")
    (entry,) = list_files(context=context).entries
    assert entry.path == "caf\udce9.txt"
    assert read_text(entry.path, context=context).text == "x"


def test_folders_deeper_than_any_path(root: Path, context: ToolContext) -> None:
    """They are walked as deep as allowed, and no deeper; what is left out is counted."""
    deep = os.open(root, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d" * 20, dir_fd=deep)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    listing = list_files(pattern="**/*", context=context)
    assert 250 < len(listing.entries) < 300
    assert listing.skipped or listing.truncated
    with pytest.raises(OutsideRoots, match="more than 256 folders deep"):
        read_text("/".join(["d" * 20] * 290), context=context)


def test_no_descriptor_is_left_open(trapped: Path, context: ToolContext) -> None:
    """Whether a call succeeds or fails."""
    fds = Path("/dev/fd")

    def everything() -> None:
        calls: list[tuple[Callable[[str, ToolContext], Any], str]] = [
            (tool, path) for tool in (*READERS.values(), *WRITERS.values()) for path in ("mine.txt", "a/b/x", "to_file")
        ]
        for tool, path in calls:
            with contextlib.suppress(FilesError):
                tool(path, context)

    everything()
    before = len(list(fds.iterdir()))
    everything()
    assert len(list(fds.iterdir())) == before


def test_a_system_without_descriptors_of_folders_is_refused(
    context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows nothing is opened rather than something unsafe."""
    monkeypatch.setattr(beneath, "SUPPORTED", False)
    with pytest.raises(FilesError, match="use Linux, WSL or macOS"):
        list_files(context=context)
