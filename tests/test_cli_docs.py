"""The page about the command line shows what ``--help`` says."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from codeact_tools.cli import main
from codeact_tools.cli.exits import Exit

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
SECTION = re.compile(
    r"^## (?P<command>[a-z0-9 -]+)\n(?P<words>.*?)```text\n(?P<help>.*?)```$", re.MULTILINE | re.DOTALL
)


def test_the_page_shows_the_help_of_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``UPDATE_SNAPSHOTS=1`` in the environment writes the page anew."""
    monkeypatch.setenv("COLUMNS", "100")

    def with_help(section: re.Match[str]) -> str:
        command = section["command"].replace("codeact-tools", "").split()
        assert main([*command, "--help"]) == 0
        lines = [line.rstrip() for line in capsys.readouterr().out.rstrip().splitlines()]
        shown = "\n".join(lines[: lines.index("stdout is the result, stderr the progress; NO_COLOR is respected.")])
        return f"## {section['command']}\n{section['words']}```text\n{shown.rstrip()}\n```"

    page = PAGE.read_text(encoding="utf-8")
    true = SECTION.sub(with_help, page)
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        PAGE.write_text(true, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == true


def test_the_page_has_a_section_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """A new command does not go undocumented."""
    documented = {section["command"] for section in SECTION.finditer(PAGE.read_text(encoding="utf-8"))}
    groups: list[list[str]] = [[]]
    found = {"codeact-tools"}
    for group in groups:
        main([*group, "--help"])
        for name in re.findall(r"^│ ([a-z0-9]+) ", capsys.readouterr().out, re.MULTILINE):
            if not group and name in {"docs", "e2b", "model", "runs", "sandboxes", "toolkits", "tools", "trace"}:
                groups.append([name])
            else:
                found.add(" ".join([*group, name]))
    assert documented == found


def test_the_exit_codes_are_documented_in_help_and_on_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    """Both list all of them."""
    main(["--help"])
    text = capsys.readouterr().out
    page = PAGE.read_text(encoding="utf-8")
    for code in Exit:
        assert re.search(rf"^ +{int(code)}  ", text, re.MULTILINE)
        assert f"| {int(code)} |" in page
