"""What is granted, and how the application says it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from codeact_tools_files import (
    FilesConfig,
    FilesError,
    NoRootGranted,
    NotAllowed,
    NotFound,
    OutsideRoots,
    WrongKind,
    file_info,
    list_files,
    read_text,
    toolkit,
    write_text,
)
from pydantic import ValidationError

from codeact_tools import CodeActAgent, Session, ToolContext, ToolRegistry
from codeact_tools.testing import ScriptedModel


def granting(**settings: object) -> ToolContext:
    """A call under this configuration."""
    return ToolContext(config=FilesConfig.model_validate(settings))


def test_without_a_root_every_tool_says_what_to_set() -> None:
    """The model can tell it to the person who asked."""
    with pytest.raises(NoRootGranted, match=r"set CODEACT_FILES_ROOTS to a folder, or pass toolkit\.configured"):
        list_files(context=ToolContext(config=FilesConfig()))
    with pytest.raises(NoRootGranted):
        read_text("a.txt", context=ToolContext(config=FilesConfig()))


def test_the_environment_grants(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders as in PATH; tools that are called as plain functions ask it too."""
    other = root.parent / "other"
    other.mkdir()
    (root / "a.txt").write_text("hello")
    monkeypatch.setenv("CODEACT_FILES_ROOTS", f"{root}{os.pathsep}{other}")
    monkeypatch.setenv("CODEACT_FILES_WRITABLE", "other")
    assert [(each.name, each.writable) for each in FilesConfig().granted] == [("granted", False), ("other", True)]
    assert read_text("granted/a.txt").text == "hello"
    monkeypatch.setenv("CODEACT_FILES_ROOTS", f'{{"mine": "{root}"}}')
    monkeypatch.setenv("CODEACT_FILES_WRITABLE", "true")
    assert [(each.name, each.writable) for each in FilesConfig().granted] == [("mine", True)]
    assert read_text("a.txt").text == "hello"


def test_several_roots_are_the_first_parts_of_paths(root: Path) -> None:
    """The list of them is the folder above; nobody gets from one to another by going up."""
    other = root.parent / "other"
    other.mkdir()
    (root / "a.txt").write_text("hello")
    (other / "b.csv").write_text("x\n1\n")
    context = granting(roots={"in": root, "out": other}, writable=["out"])
    assert [(each.path, each.kind) for each in list_files(context=context).entries] == [
        ("in", "folder"),
        ("out", "folder"),
    ]
    assert [each.path for each in list_files(pattern="**/*.*", context=context).entries] == ["in/a.txt", "out/b.csv"]
    assert [each.path for each in list_files("out", context=context).entries] == ["out/b.csv"]
    assert file_info("in/a.txt", context=context).size == 5
    with pytest.raises(NotFound, match=r"'a\.txt' does not begin with one of 'in', 'out'"):
        read_text("a.txt", context=context)
    with pytest.raises(OutsideRoots):
        read_text("in/../out/b.csv", context=context)
    with pytest.raises(WrongKind, match="begin the path with one: 'in', 'out'"):
        read_text(".", context=context)
    with pytest.raises(NotAllowed, match="the folder 'in' is granted for reading only"):
        write_text("in/new.txt", "", context=context)
    assert write_text("out/new.txt", "", context=context).new


def test_a_root_that_is_a_link_is_what_it_led_to(root: Path, tmp_path: Path) -> None:
    """Whoever swaps the link later grants nothing."""
    link = tmp_path / "link"
    link.symlink_to(root)
    (root / "a.txt").write_text("hello")
    context = granting(roots=[link])
    link.unlink()
    link.symlink_to(tmp_path / "outside")
    assert read_text("a.txt", context=context).text == "hello"
    with pytest.raises(NotFound):
        read_text("secret.txt", context=context)


def test_a_root_that_becomes_a_link_is_not_opened(root: Path, tmp_path: Path) -> None:
    """The folder that was granted is gone; the one in its place was never granted."""
    context = granting(roots=[root])
    root.rmdir()
    root.symlink_to(tmp_path / "outside")
    with pytest.raises(FilesError, match="the granted folder"):
        read_text("secret.txt", context=context)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"roots": ["/nowhere/at/all"]}, "'/nowhere/at/all' is not there; create the folder"),
        ({"roots": [__file__]}, "is not a folder; name a folder"),
        ({"roots": [".", "."]}, "two folders are named .*; give a mapping"),
        ({"roots": {"a/b": "."}}, "'a/b' cannot be the first part of a path"),
        ({"roots": {"a": "."}, "writable": ["b"]}, "writable: 'b' is none of the roots: a"),
        ({"file_mb": 0}, "greater than 0"),
        ({"root": ["."]}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_settings_are_refused_when_they_are_made(settings: dict[str, object], words: str) -> None:
    """The developer reads what is wrong and what to write."""
    with pytest.raises(ValidationError, match=words):
        granting(**settings)


def test_the_examples_are_a_copy() -> None:
    """Each is fresh and writable, and none outlives the process."""
    config = FilesConfig.for_examples()
    assert write_text("sales.csv", "", overwrite=True, context=ToolContext(config=config)).size == 0
    assert (FilesConfig.for_examples().granted[0].path / "sales.csv").stat().st_size > 0
    code = "from codeact_tools_files import FilesConfig; print(FilesConfig.for_examples().granted[0].path)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert not Path(done.stdout.strip()).exists()


def test_the_toolkit_is_configured_with_nothing_else() -> None:
    """A mistake of the application is its own error, not one of files."""
    with pytest.raises(TypeError, match="is configured with a FilesConfig"):
        list_files(context=ToolContext(config={"roots": ["."]}))


def test_what_the_tools_declare() -> None:
    """Those that read say so, those that overwrite or remove too, and deleting asks."""
    specs = {spec.name: spec for spec in ToolRegistry([toolkit.configured(FilesConfig())]).specs}
    reading = {name for name, spec in specs.items() if spec.effects.read_only}
    assert reading == {
        "list_files", "read_text", "read_lines", "search_text", "file_info", "diff_files", "diff_text", "table_info",
        "read_table",
    }  # fmt: skip
    assert {name for name, spec in specs.items() if spec.effects.destructive} == {
        "write_text", "replace_text", "write_table", "move_file", "delete_file",
    }  # fmt: skip
    assert [name for name, spec in specs.items() if spec.approval] == ["delete_file"]
    assert not any(spec.effects.open_world for spec in specs.values())


def test_in_a_session(root: Path) -> None:
    """Typed results, errors to catch, streams and tables arrive in the action; without consent nothing is deleted."""
    (root / "sales.csv").write_text("region,amount\nNorth,3\nSouth,4\n")
    (root / "log.txt").write_text("one\ntwo\nthree\n")
    code = """
table = read_table("sales.csv")
print(sum(table["amount"]), [line.number for line in read_lines("log.txt") if "t" in line.text])
try:
    read_text("nothing.txt")
except NotFound as error:
    print(error)
try:
    read_text("../outside/secret.txt")
except FilesError as error:
    print(type(error).__name__, error)
try:
    delete_file("log.txt")
except ToolDenied as error:
    print("denied")
write_table("out/total.csv", [{"total": 7}]).new
"""
    tools = [toolkit.configured(FilesConfig(roots=[root], writable=True))]
    with Session(tools=tools, sandbox="local", check="off") as session:
        seen = session.run(code)
    assert seen.error is None, seen.text
    assert seen.stdout.splitlines() == [
        "7 [2, 3]",
        "'nothing.txt' does not exist; list_files() shows what there is",
        "OutsideRoots '../outside/secret.txt' leaves the granted folder; write a path inside of it",
        "denied",
    ]
    assert seen.result == "True"
    assert (root / "out" / "total.csv").read_text() == "total\n7\n"
    assert (root / "log.txt").exists()


def test_in_an_agent(root: Path) -> None:
    """A run whose calls return tables is recorded and ends as any other."""
    (root / "sales.csv").write_text("region,amount\nNorth,3\nSouth,4\n")
    model = ScriptedModel(["<execute>\nprint(len(read_table('sales.csv')))\n</execute>", "There are 2 rows."])
    agent = CodeActAgent(tools=[toolkit.configured(FilesConfig(roots=[root]))], model=model, sandbox="local")
    assert agent.run("How many rows has sales.csv?").answer == "There are 2 rows."
