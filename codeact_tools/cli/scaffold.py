"""The files of a new toolkit: a small, complete distribution, with a tool that works and is to be replaced."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from .. import __version__
from ..errors import ConfigurationError
from ..naming import identifier


class Made(NamedTuple):
    """What was written."""

    folder: Path
    files: tuple[Path, ...]


def write_toolkit(name: str, directory: Path) -> Made:
    """Write the distribution ``codeact-tools-NAME`` into a folder of its own in ``directory``.

    Raises:
        ConfigurationError: The name cannot be that of a toolkit, the folder is there already, or it cannot be written.
    """
    _check_name(name)
    distribution = f"codeact-tools-{name.replace('_', '-')}"
    folder = directory / distribution
    words = {
        "NAME": name,
        "TITLE": name.replace("_", " ").capitalize(),
        "CLASS": "".join(part.capitalize() for part in name.split("_")),
        "DISTRIBUTION": distribution,
        "PACKAGE": f"codeact_tools_{name}",
        "RANGE": _compatible(__version__),
    }
    contents = {folder / _filled(path, words): _filled(text, words) for path, text in FILES.items()}
    try:
        folder.mkdir(parents=True)
        for path, text in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except FileExistsError:
        raise ConfigurationError(
            f"{str(folder)!r} is there already, and nothing is overwritten; move it away, or name another --directory."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{str(folder)!r} cannot be written: {error.strerror}.") from error
    return Made(folder, tuple(contents))


def _check_name(name: str) -> None:
    if not _is_good(name):
        similar = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        raise ConfigurationError(
            f"{name!r} cannot be the name of a toolkit: write small letters, digits and single underscores, and no "
            f"word of Python's own, e.g. {similar if _is_good(similar) else 'weather'!r}."
        )


def _is_good(name: str) -> bool:
    return bool(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)) and identifier(name, owner="toolkit") == name


def _compatible(version: str) -> str:
    """The versions of this library that a toolkit written today works with.

    >>> _compatible("0.1.0"), _compatible("2.3.1")
    ('>=0.1,<0.2', '>=2.3,<3')
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    return f">={major}.{minor},<{major + 1}" if major else f">=0.{minor},<0.{minor + 1}"


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(r"@([A-Z]+)@", lambda match: words[match[1]], text)


_PYPROJECT: Final = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "@DISTRIBUTION@"
version = "0.1.0"
description = "The toolkit @NAME@ for codeact_tools."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["codeact-tools@RANGE@"]

[project.optional-dependencies]
dev = ["mypy>=2,<3", "pytest>=9,<10"]
docs = ["codeact-tools[docs]"]

[project.entry-points."codeact_tools.toolkits"]
@NAME@ = "@PACKAGE@:toolkit"

[tool.hatch.build.targets.wheel]
packages = ["src/@PACKAGE@"]

[tool.mypy]
files = ["src", "tests"]
strict = true

[tool.pytest.ini_options]
addopts = ["-ra", "--import-mode=importlib"]
testpaths = ["tests"]
"""

_INIT: Final = '''\
"""The toolkit ``@NAME@``."""

from codeact_tools import Demonstration, Toolkit

from .words import NoWords, WordCount, most_frequent_words

__all__ = ["NoWords", "WordCount", "most_frequent_words", "toolkit"]

toolkit = Toolkit(
    "@NAME@",
    tools=[most_frequent_words],
    version="0.1.0",
    summary="Counts words.",
    demonstrations=[
        Demonstration(
            task="Which words occur more than once in 'A cat and a dog, a bird and a fish'?",
            steps=[
                (
                    """
                    counts = most_frequent_words("A cat and a dog, a bird and a fish")
                    print([(each.word, each.count) for each in counts if each.count > 1])
                    """,
                    "[('a', 4), ('and', 2)]",
                )
            ],
            answer="Two words do: 'a' occurs four times and 'and' twice.",
        )
    ],
)
"""What the entry point ``@NAME@`` names."""
'''

_TOOL: Final = '''\
"""Counting words."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Annotated

from codeact_tools import tool
from pydantic import Field


class NoWords(ValueError):
    """The text has no words."""


@dataclass(frozen=True)
class WordCount:
    """A word in small letters, and how often it occurs."""

    word: str
    count: int


@tool(read_only=True, idempotent=True)
def most_frequent_words(text: str, limit: Annotated[int, Field(ge=1, le=1000)] = 10) -> list[WordCount]:
    """Count the words of a text.

    Args:
        text: Where to look for words.
        limit: At most this many.

    Returns:
        The most frequent words first; among equals, in the order of the text.

    Raises:
        NoWords: The text has no words.

    Examples:
        >>> most_frequent_words("To be, or not to be", limit=2)
        [WordCount(word='to', count=2), WordCount(word='be', count=2)]
    """
    words = re.findall(r"\\w+", text.casefold())
    if not words:
        raise NoWords("the text has no words; pass one with letters or digits")
    return [WordCount(word, count) for word, count in Counter(words).most_common(limit)]
'''

_TESTS: Final = '''\
"""The tools as functions, and in an action."""

import pytest
from codeact_tools import Session
from codeact_tools.testing import UnconfinedSandbox

from @PACKAGE@ import NoWords, WordCount, most_frequent_words, toolkit


def test_words_are_counted_without_regard_to_case() -> None:
    """And the most frequent one comes first."""
    assert most_frequent_words("No no yes") == [WordCount("no", 2), WordCount("yes", 1)]


def test_a_text_without_words_is_refused() -> None:
    """With an error that an action can catch."""
    with pytest.raises(NoWords, match="no words"):
        most_frequent_words("...")


def test_an_action_gets_typed_results() -> None:
    """As a model's program would call it."""
    with Session(tools=[toolkit], sandbox=UnconfinedSandbox()) as session:
        seen = session.run("most_frequent_words('a b a')[0].count")
        assert seen.result == "2", seen.text
        assert [call.tool for call in seen.calls] == ["@NAME@.most_frequent_words"]
'''

_CONTRACT: Final = '''\
"""The toolkit keeps the contract of toolkits: documented, typed, tested, as harmless as it says."""

from codeact_tools.testing import ToolkitContract

from @PACKAGE@ import toolkit


class Test@CLASS@(ToolkitContract):
    """What ``codeact-tools toolkits check @NAME@`` reports, as tests."""

    toolkit = toolkit
'''

_README: Final = """\
# @DISTRIBUTION@

The toolkit `@NAME@` for codeact_tools.

    pip install @DISTRIBUTION@
    codeact-tools toolkits show @NAME@
    codeact-tools run -t @NAME@ "Which word is the most frequent in 'to be or not to be'?"

```python
from codeact_tools import CodeActAgent

agent = CodeActAgent(tools=["@NAME@"])
```

| tool | what it does |
|---|---|
| `most_frequent_words(text, limit=10)` | counts the words of a text |

## Work on it

    pip install -e '.[dev,docs]'
    pytest
    mypy
    codeact-tools toolkits check @NAME@ --level gold
    mkdocs serve
"""

_INDEX: Final = """\
# @TITLE@

    pip install @DISTRIBUTION@

What its tools take, return, raise and change is on their own pages, which are made from the tools themselves:

::: toolkit @NAME@
"""

_MKDOCS: Final = """\
site_name: "@TITLE@"
theme:
  name: mkdocs
  highlightjs: false  # the theme would load it from another host
plugins:
  - search
  - codeact-tools:
      toolkits: ["@NAME@"]
nav:
  - Home: index.md
  - Tools: catalog/
"""

_CI: Final = """\
name: CI
on: [push, pull_request]
permissions:
  contents: read
jobs:
  test:
    runs-on: ubuntu-latest
    strategy:
      matrix:
        python: ["3.11", "3.12", "3.13"]
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: ${{ matrix.python }}
      - run: pip install -e '.[dev,docs]'
      - run: pytest
      - run: mypy
      - run: codeact-tools toolkits check @NAME@ --level gold
      - run: mkdocs build --strict
"""

_IGNORED: Final = """\
__pycache__/
.mypy_cache/
.pytest_cache/
.venv/
dist/
site/
"""

FILES: Final = {
    "pyproject.toml": _PYPROJECT,
    "README.md": _README,
    ".gitignore": _IGNORED,
    "src/@PACKAGE@/__init__.py": _INIT,
    "src/@PACKAGE@/words.py": _TOOL,
    "src/@PACKAGE@/py.typed": "",
    "tests/test_words.py": _TESTS,
    "tests/test_contract.py": _CONTRACT,
    "docs/index.md": _INDEX,
    "mkdocs.yml": _MKDOCS,
    ".github/workflows/ci.yml": _CI,
}
"""Text by path; ``@NAME@`` and its like are filled in."""
