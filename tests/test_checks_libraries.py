"""The check of what an action takes from third-party packages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from codeact_tools.checks import Checker
from codeact_tools.errors import ConfigurationError
from codeact_tools.registry import ToolRegistry


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    """A checker of actions that may use packages of this environment."""
    packages = ["docstring_parser", "pydantic"]
    with Checker(ToolRegistry(()), allow_imports=packages, packages=packages) as one:
        yield one


WRONG = {
    "import docstring_parser\ndocstring_parser.pars('a')": ("attribute", "no 'pars'", "'parse'"),
    "import docstring_parser as dp\nx = [dp.pars(text) for text in 'ab']": ("attribute", "no 'pars'", "'parse'"),
    "from docstring_parser import Docstrin": ("import", "no 'Docstrin'", "'Docstring'"),
    "import docstring_parser\ndocstring_parser.parse()": ("argument", "lacks an argument", ""),
    "from docstring_parser import parse as read\nread()": ("argument", "lacks an argument", ""),
    "import docstring_parser\ndocstring_parser.parse(1, 2, 3, 4, 5)": ("argument", "too many", ""),
    "import docstring_parser.google as g\ng.nothing": ("attribute", "no 'nothing'", ""),
}


@pytest.mark.parametrize(("code", "expected"), WRONG.items(), ids=repr)
def test_what_a_module_does_not_have_is_found(checker: Checker, code: str, expected: tuple[str, str, str]) -> None:
    """A missing attribute of a module, and a call with the wrong number of arguments, surely fail."""
    result = checker.check_sync(code)
    assert result.degraded is None
    [finding] = result.findings
    kind, message, hint = expected
    assert finding.kind == kind
    assert message in finding.message
    assert hint in (finding.hint or "")
    assert not result.ok


RIGHT = (
    "import docstring_parser\ndocstring_parser.parse('a').short_description.anything",
    "import docstring_parser\ndocstring_parser.parse(5, style=3)",
    "import docstring_parser\ndocstring_parser.parse(*[1, 2, 3, 4, 5, 6])\ndocstring_parser.parse(**{})",
    "import docstring_parser\ndocstring_parser._hidden",
    "import docstring_parser\ndocstring_parser.epydoc",
    "import docstring_parser\ndocstring_parser.added = 1\ndocstring_parser = 5\ndocstring_parser.real",
    "import pydantic\nclass M(pydantic.BaseModel):\n    x: int\nM(x='5').anything",
    "from docstring_parser import *\nparse('a')",
    "def docstring_parser():\n    return 1\ndocstring_parser.anything = 2",
    "try:\n    from docstring_parser import Docstrin\nexcept ImportError:\n    pass",
)


@pytest.mark.parametrize("code", RIGHT)
def test_what_may_be_right_is_left_alone(checker: Checker, code: str) -> None:
    """Values of libraries have types that nobody relies on."""
    result = checker.check_sync(code)
    assert (result.findings, result.degraded) == ((), None), result.render()


def test_imports_of_earlier_actions_count() -> None:
    """A module is known by the name that an earlier action gave it, until the name is bound to something else."""
    names = ["docstring_parser"]
    with Checker(ToolRegistry(()), allow_imports=names, packages=names) as checker:
        checker.commit("import docstring_parser as dp")
        assert [each.message for each in checker.check_sync("dp.pars").findings] == [
            "`docstring_parser` has no 'pars'."
        ]
        checker.commit("dp = 5")
        assert checker.check_sync("dp.pars_").ok is False
        checker.commit("dp = unknown()", variables={"dp": "some.Thing"})
        assert checker.check_sync("dp.pars").ok


def test_a_package_that_is_not_installed_is_named() -> None:
    """The application learns it when it makes the checker."""
    with pytest.raises(ConfigurationError, match="'no_such_package'"):
        Checker(ToolRegistry(()), packages=["no_such_package"])


def test_both_type_checkers_end() -> None:
    """No process is left of the one that reads packages."""
    checker = Checker(ToolRegistry(()), allow_imports=["*"], packages=["docstring_parser"])
    asyncio.run(checker.prepare())
    assert checker._libraries is not None
    process = checker._libraries.server._process
    assert process is not None
    checker.close()
    assert process.poll() is not None
