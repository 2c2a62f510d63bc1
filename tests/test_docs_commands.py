"""Every command of ours that the docs show is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from codeact_tools.cli.app import app
from codeact_tools.cli.inputs import STDIN

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "toolkits").glob("*/README.md"))]
COMMAND = re.compile(r"^[ ]*(?:\$ )?(?:echo .* \| )?(codeact-tools .*)$|`(codeact-tools [^`|\n]*)`", re.MULTILINE)


def commands() -> list[str]:
    """All of them, each once, without what a shell makes of their output."""
    texts = (page.read_text(encoding="utf-8") for page in PAGES)
    found = (first or second for text in texts for first, second in COMMAND.findall(text))
    return sorted({re.split(r" [|>#] |  +|…", command)[0].strip() for command in found if "..." not in command})


def test_the_docs_show_commands() -> None:
    """The list below is not empty by mistake."""
    assert len(commands()) > 10


@pytest.mark.parametrize("command", commands())
def test_a_documented_command_is_understood(command: str) -> None:
    """Subcommands, options and their values; nothing is run."""
    words = [STDIN if word == "-" else word for word in shlex.split(command)[1:]]
    if "--help" in words or "--version" in words:
        return
    try:
        app.parse_args(words, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        # In running text a command may stand without its arguments.
        if type(error).__name__ != "MissingArgumentError":
            raise
