"""Text: what is read, found and compared, and what is said where something is left out."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from codeact_tools_files import (
    FilesConfig,
    InvalidPattern,
    NotAllowed,
    NotText,
    TooLarge,
    WrongKind,
    diff_files,
    diff_text,
    file_info,
    list_files,
    read_lines,
    read_text,
    search_text,
)
from codeact_tools_files.tree import Glob
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeact_tools import ToolContext

LINES = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n\r"), max_size=5), max_size=9)


def limited(root: Path, **limits: float) -> ToolContext:
    """A call with small limits."""
    return ToolContext(config=FilesConfig.model_validate({"roots": [root], **limits}))


# ---- reading -----------------------------------------------------------------------------------------------------


def test_lines_of_a_file(root: Path, context: ToolContext) -> None:
    """A range of lines, and where the file goes on."""
    (root / "a.txt").write_text("one\ntwo\nthree\nfour")
    whole = read_text("a.txt", context=context)
    assert (whole.text, whole.next_line, whole.cut_lines) == ("one\ntwo\nthree\nfour", None, [])
    part = read_text("a.txt", 2, 3, context=context)
    assert (part.text, part.first_line, part.next_line) == ("two\nthree\n", 2, 4)
    beyond = read_text("a.txt", 9, context=context)
    assert (beyond.text, beyond.next_line) == ("", None)
    assert [(line.number, line.text) for line in read_lines("a.txt", 3, context=context)] == [(3, "three"), (4, "four")]


@given(lines=LINES, end=st.sampled_from(["\n", "\r\n", "\r"]), ended=st.booleans())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_what_is_read_is_what_was_written(
    root: Path, context: ToolContext, lines: list[str], end: str, ended: bool
) -> None:
    """Whatever the end of line, which reads as a newline."""
    text = end.join(lines) + (end if ended and lines else "")
    (root / "a.txt").write_bytes(text.encode())
    expected = "\n".join(lines) + ("\n" if ended and lines else "")
    assert read_text("a.txt", context=context).text == expected.removeprefix("\ufeff")


def test_a_large_file_is_read_in_parts(root: Path) -> None:
    """``next_line`` leads through it; nothing is lost or read twice."""
    text = "".join(f"line {number}\n" for number in range(1000))
    (root / "a.txt").write_text(text)
    context, parts, line = limited(root, text_kb=1), [], 1
    while line:
        part = read_text("a.txt", line, context=context)
        assert len(part.text) <= 1024
        parts.append(part.text)
        line = part.next_line or 0
    assert "".join(parts) == text
    assert len(parts) > 5


def test_a_long_line_is_cut_and_said_to_be(root: Path) -> None:
    """Also one without an end, of a size that would not fit into memory as a string of lines."""
    (root / "a.txt").write_text("x" * 5000 + "\n" + "y" * 1024 + "\nz")
    context = limited(root, line_kb=1)
    text = read_text("a.txt", context=context)
    assert (text.text, text.cut_lines) == ("x" * 1024 + "\n" + "y" * 1024 + "\nz", [1])
    assert [(line.number, line.cut) for line in read_lines("a.txt", context=context)] == [
        (1, True),
        (2, False),
        (3, False),
    ]


def test_a_line_without_an_end_takes_no_longer_than_a_call_may(root: Path) -> None:
    """A file of a terabyte in one line: what was read comes back, and a search goes on with the next file."""
    with (root / "a.txt").open("wb") as file:
        file.write(b"a" * 9000)
        file.truncate(2**40)
    (root / "b.txt").write_text("hit")
    context = limited(root, seconds=0.3, line_kb=1)
    text = read_text("a.txt", context=context)
    assert (len(text.text), text.next_line, text.cut_lines) == (1025, 2, [1])
    with pytest.raises(TooLarge, match=r"the long line 1 of 'a\.txt' was given up"):
        read_text("a.txt", 2, context=context)
    with pytest.raises(TooLarge):
        list(read_lines("a.txt", context=context))
    found = search_text("hit", context=context)
    assert (found.truncated, found.skipped) == (True, 1)


def test_encodings(root: Path, context: ToolContext) -> None:
    """Marks of UTF-8 and UTF-16 are recognised; others are named, and an error says what to try."""
    (root / "u8.txt").write_bytes("ä".encode("utf-8-sig"))
    (root / "u16.txt").write_bytes("äß\nx".encode("utf-16"))
    (root / "latin.txt").write_bytes("größe".encode("latin-1"))
    assert read_text("u8.txt", context=context).text == "ä"
    assert read_text("u16.txt", context=context).text == "äß\nx"
    assert read_text("latin.txt", encoding="cp1252", context=context).text == "größe"
    with pytest.raises(NotText, match=r"'latin\.txt' is no utf-8 text \(byte 0xf6\); try encoding='cp1252'"):
        read_text("latin.txt", context=context)
    with pytest.raises(NotText, match="byte 0xf6"):
        list(read_lines("latin.txt", context=context))
    (root / "torn.txt").write_bytes("x".encode("utf-16") + b"\0")
    with pytest.raises(NotText):
        read_text("torn.txt", context=context)


def test_binary_files_are_no_text(root: Path, context: ToolContext) -> None:
    """The error says which tools are for them."""
    (root / "a.bin").write_bytes(b"\x7fELF\0\0\x01")
    with pytest.raises(NotText, match="is binary; read_table reads tables, file_info tells its size"):
        read_text("a.bin", context=context)
    with pytest.raises(NotText, match="is binary"):
        diff_text("a.bin", "", context=context)
    checksum = "8a7fdb6e4b6c8ad7cc2c4e4a4a4a"
    assert len(file_info("a.bin", sha256=True, context=context).sha256 or checksum) == 64


def test_a_checksum_of_a_file_that_is_too_large_is_given_up(root: Path) -> None:
    """After the time that one call has."""
    with (root / "a.bin").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(TooLarge, match=r"was given up after 0\.2 s; ask for a smaller part"):
        file_info("a.bin", sha256=True, context=limited(root, seconds=0.2))
    with pytest.raises(TooLarge, match="is larger than 1 MiB; read parts of it"):
        diff_text("a.bin", "", context=limited(root, file_mb=1))


# ---- listing -----------------------------------------------------------------------------------------------------


def test_patterns_of_paths(root: Path, context: ToolContext) -> None:
    """``*`` stays within a folder, ``**`` goes through all of them."""
    for path in ("a.csv", "b.txt", "x/c.csv", "x/y/d.csv", "x/y/z/e.csv"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")

    def paths(folder: str, pattern: str) -> list[str]:
        return [each.path for each in list_files(folder, pattern, context=context).entries]

    assert paths(".", "*") == ["a.csv", "b.txt", "x"]
    assert paths(".", "*.csv") == ["a.csv"]
    assert paths(".", "*/*.csv") == ["x/c.csv"]
    assert paths(".", "**/*.csv") == ["a.csv", "x/c.csv", "x/y/d.csv", "x/y/z/e.csv"]
    assert paths("x", "**/z/*") == ["x/y/z/e.csv"]
    assert paths("x/y", "*.csv") == ["x/y/d.csv"]
    assert paths(".", "x/**") == ["x", "x/c.csv", "x/y", "x/y/d.csv", "x/y/z", "x/y/z/e.csv"]
    assert paths(".", "[ab].*") == ["a.csv", "b.txt"]
    with pytest.raises(WrongKind, match=r"'a\.csv' is not a folder"):
        paths("a.csv", "*")
    for wrong in ("", "/etc/*", "../*", "x/../../*", "\0", "*" * 501):
        with pytest.raises(InvalidPattern, match="is no pattern of paths"):
            paths(".", wrong)


def test_patterns_that_try_to_take_for_ever() -> None:
    """The time grows with the lengths, not with their powers."""
    deep = "/".join(["a"] * 200)
    assert not Glob("/".join(["**/a"] * 60 + ["b"])).matches(deep)
    assert not Glob("*a" * 100 + "b").matches("a" * 255)


def test_more_entries_than_one_call_returns(root: Path) -> None:
    """Said, not silent."""
    for number in range(5):
        (root / f"{number}.txt").write_text("")
    listing = list_files(context=limited(root, results=3))
    assert ([each.path for each in listing.entries], listing.truncated) == (["0.txt", "1.txt", "2.txt"], True)
    assert not list_files(context=limited(root, results=5)).truncated


# ---- searching ---------------------------------------------------------------------------------------------------


@pytest.fixture
def logs(root: Path) -> Path:
    """Two logs and a binary file."""
    (root / "a.log").write_text("start\nERROR 17: disk\nretry\nend\n")
    (root / "sub").mkdir()
    (root / "sub" / "b.log").write_text("error 4: net\n(a+b)*\nGrößer\n")
    (root / "c.bin").write_bytes(b"ERROR 99\0")
    return root


def test_search(logs: Path, context: ToolContext) -> None:
    """By expression or plain text, in some files, with the lines around."""
    found = search_text(r"ERROR \d+", context=context)
    assert [(match.path, match.line, match.text) for match in found.matches] == [("a.log", 2, "ERROR 17: disk")]
    assert (found.files, found.skipped, found.truncated, found.cut_lines) == (2, 1, False, 0)
    found = search_text("error", ignore_case=True, files="**/*.log", context_lines=1, context=context)
    assert [(match.path, match.before, match.after) for match in found.matches] == [
        ("a.log", ["start"], ["retry"]),
        ("sub/b.log", [], ["(a+b)*"]),
    ]
    assert [match.line for match in search_text("(a+b)*", literal=True, context=context).matches] == [2]
    assert [match.text for match in search_text("größ", folder="sub", ignore_case=True, context=context).matches] == [
        "Größer"
    ]
    assert search_text("ERROR", files="*.txt", context=context).matches == []


def test_matches_beside_each_other_share_lines(root: Path, context: ToolContext) -> None:
    """Each has its own context, also across the last match that fits."""
    (root / "a.txt").write_text("x1\nx2\ny\nz\n")
    found = search_text("x", context_lines=2, limit=2, context=context)
    assert [(match.before, match.after) for match in found.matches] == [([], ["x2", "y"]), (["x1"], ["y", "z"])]
    assert not found.truncated
    assert search_text("[xyz]", limit=3, context=context).truncated


def test_latin_1_is_searched_as_well(root: Path, context: ToolContext) -> None:
    """A file that is no UTF-8 is read byte by byte."""
    (root / "a.txt").write_bytes("x Größe\n".encode("latin-1"))
    assert [match.text for match in search_text("Größe", context=context).matches] == ["x Größe"]


EVIL = [
    r"(a+)+$",
    r"(a|a)*b",
    r"(a*)*b",
    r"(.*)(.*)(.*)(.*)(.*)x$",
    r"(x+x+)+y",
    r"(a?){500}a{500}",
    r"(?:a|b|ab)*c",
    "(" * 300 + "a" + ")+" * 300,
]


@pytest.mark.parametrize("pattern", EVIL, ids=lambda pattern: pattern[:20])
def test_expressions_that_would_take_for_ever(root: Path, pattern: str) -> None:
    """RE2 has no backtracking: what hangs other engines for years is done, or refused, well within the time."""
    (root / "a.txt").write_text(("a" * 5000 + "!\n") * 20)
    try:
        found = search_text(pattern, context=limited(root, seconds=30))
    except InvalidPattern:
        return
    assert found.files == 1
    assert not found.truncated


@pytest.mark.parametrize(
    "pattern",
    ["(", "(?=a)b", r"(a)\1", "((((a{1000}){1000}){1000}){1000}){1000}", "*", "\ud800", "[z-a]"],
    ids=lambda pattern: ascii(pattern)[:20],
)
def test_expressions_that_are_refused(root: Path, context: ToolContext, pattern: str) -> None:
    """Malformed, beyond RE2, or too much to compile: the error says what there is instead."""
    with pytest.raises(InvalidPattern, match="RE2 has no lookaround and no backreferences"):
        search_text(pattern, context=context)
    assert search_text("(", literal=True, context=context).files == 0


def test_limits_of_a_search(root: Path) -> None:
    """Of matches, of text, of time: each is said."""
    (root / "a.txt").write_text("hit\n" * 5000)
    (root / "b.txt").write_text("x" * 3000 + "hit\n")
    found = search_text("hit", limit=10, context=limited(root))
    assert (len(found.matches), found.truncated) == (10, True)
    found = search_text("hit", limit=10**6, context=limited(root, results=20))
    assert (len(found.matches), found.truncated) == (20, True)
    found = search_text("hit", limit=1000, context=limited(root, text_kb=1))
    assert 100 < len(found.matches) < 300
    assert found.truncated
    found = search_text("hit", files="b.txt", context=limited(root, line_kb=1))
    assert (found.matches, found.cut_lines) == ([], 1)


def test_a_search_without_time_left(logs: Path) -> None:
    """What was found until then comes back, and that it is not all."""
    found = search_text(".", context=limited(logs, seconds=1e-9))
    assert (found.matches, found.truncated) == ([], True)
    assert list_files(pattern="**", context=limited(logs, seconds=1e-9)).truncated


# ---- comparing ---------------------------------------------------------------------------------------------------


def test_differences(root: Path, context: ToolContext) -> None:
    """As diff -u writes them, with a last line that does not end."""
    (root / "old.txt").write_text("a\nb\nc\nd\n")
    (root / "new.txt").write_text("a\nB\nc\nd\ne")
    found = diff_files("old.txt", "new.txt", context_lines=1, context=context)
    assert found.text == (
        "--- old.txt\n+++ new.txt\n@@ -1,4 +1,5 @@\n a\n-b\n+B\n c\n d\n+e\n\\ No newline at end of file"
    )
    assert (found.added, found.removed, found.truncated) == (2, 1, False)
    same = diff_files("old.txt", "old.txt", context=context)
    assert (same.text, same.added, same.removed) == ("", 0, 0)
    assert diff_text("old.txt", "", context_lines=0, context=context).text.splitlines()[2] == "@@ -1,4 +0,0 @@"


PATCH = shutil.which("patch")
TEXTS = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=12).map("\n".join)


@pytest.mark.skipif(PATCH is None, reason="there is no program patch")
@given(old=TEXTS, new=TEXTS, around=st.integers(0, 3))
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_a_difference_is_a_patch(root: Path, context: ToolContext, old: str, new: str, around: int) -> None:
    """The program ``patch`` makes the new text of the old one with it."""
    (root / "old.txt").write_text(old)
    found = diff_text("old.txt", new, around, context=context)
    if old == new:
        assert found.text == ""
        return
    command = [str(PATCH), "-s", "-u", "-o", "-", str(root / "old.txt")]
    done = subprocess.run(command, input=found.text + "\n", capture_output=True, text=True, check=True)
    assert done.stdout == new


def test_comparisons_that_would_take_for_ever(root: Path) -> None:
    """Too many lines are refused; lines that are alike everywhere are given up in time."""
    (root / "old.txt").write_text("".join(f"{number}\n" for number in range(30_000)))
    with pytest.raises(TooLarge, match=r"30,000 lines lie between .* compare parts of the files"):
        diff_text("old.txt", "".join(f"n{number}\n" for number in range(30_000)), context=limited(root))
    (root / "old.txt").write_text("".join(f"{number % 150}\n" for number in range(18_000)))
    new = "".join(f"{number * 7 % 150}\n" for number in range(18_000))
    with pytest.raises(TooLarge, match=r"the comparison was given up after 0\.2 s"):
        diff_text("old.txt", new, context=limited(root, seconds=0.2))


def test_a_long_difference_is_cut(root: Path) -> None:
    """The counts are of all of it."""
    (root / "old.txt").write_text("a\n" * 3000)
    found = diff_text("old.txt", "b\n" * 3000, context=limited(root, text_kb=1))
    assert (found.added, found.removed, found.truncated) == (3000, 3000, True)
    assert len(found.text) <= 1100


def test_a_permission_is_respected(root: Path, context: ToolContext) -> None:
    """What the system refuses is an error of the toolkit, without the host's path."""
    (root / "a.txt").write_text("x")
    (root / "a.txt").chmod(0)
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    with pytest.raises(NotAllowed, match="protected by the system"):
        read_text("a.txt", context=context)
