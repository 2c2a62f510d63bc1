"""The pytest plugin: ``pytest --toolkit finance`` adds the contract of an installed toolkit to the tests.

It is found by its entry point, so no file has to name it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing.conformance import Check, Subject


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("codeact-tools").addoption(
        "--toolkit",
        action="append",
        default=[],
        metavar="NAME",
        help="check the contract of this installed toolkit too; repeat it for several",
    )


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add one test for each check of each toolkit."""
    for name in config.getoption("--toolkit"):
        items += _tests(name, session)


def _tests(name: str, session: pytest.Session) -> list[pytest.Item]:
    from .errors import CodeActError  # at the top it would load the library into every run of pytest
    from .testing.conformance import CHECKS
    from .testing.conformance.checks import subject_of
    from .toolkits import load_toolkit

    try:
        subject = subject_of(load_toolkit(name))
    except CodeActError as error:
        raise pytest.UsageError(str(error)) from error
    return [
        ContractItem.from_parent(session, name=f"{name}: {check.name}", check=check, subject=subject)
        for check in CHECKS
    ]


class ContractItem(pytest.Item):
    """One check of one toolkit."""

    def __init__(self, *, check: Check, subject: Subject, **details: object) -> None:
        super().__init__(**details)  # type: ignore[arg-type]  # pytest's own
        self._check = check
        self._subject = subject

    def runtest(self) -> None:
        """Make the check."""
        from .testing.conformance import perform

        if problems := perform(self._check, self._subject).problems:
            raise _Failed("\n".join(map(str, problems)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:  # noqa: ARG002
        """The problems alone; a traceback of the check itself would help nobody."""
        if isinstance(excinfo.value, _Failed):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[str, None, str]:
        """Where the report puts it."""
        return "toolkit", None, self.name


class _Failed(AssertionError):
    pass
