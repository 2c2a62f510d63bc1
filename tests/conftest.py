"""What all tests share: no toolkit is loaded that merely happens to be installed; snapshots that people can read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codeact_tools.checks.checker import Checker
from codeact_tools.journal import VARIABLE
from codeact_tools.toolkits import ENABLED

SNAPSHOTS = Path(__file__).parent / "snapshots"

Snapshot = Callable[[str, str], None]
"""Compares a text with the file of that name in ``tests/snapshots``."""


@pytest.fixture(autouse=True)
def only_the_bundled_toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see the toolkit ``calendar`` and no other, whatever else is installed on the machine."""
    monkeypatch.setenv(ENABLED, "calendar")


@pytest.fixture(autouse=True)
def a_journal_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Runs of tests are recorded, like any other, but not among the user's."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "runs.sqlite3"))


@pytest.fixture(scope="session", autouse=True)
def time_for_the_type_checker() -> Iterator[None]:
    """On a busy machine it may need longer than a user would wait for it; what it finds must not depend on that."""
    defaults = Checker.__init__.__kwdefaults__
    assert defaults is not None
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(defaults, "budget_seconds", 60.0)
        yield


@pytest.fixture
def snapshot() -> Snapshot:
    """Compare a text with a file; ``UPDATE_SNAPSHOTS=1`` in the environment writes the file instead."""

    def compare(name: str, text: str) -> None:
        path = SNAPSHOTS / name
        if os.environ.get("UPDATE_SNAPSHOTS") == "1":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text, f"{path} differs; UPDATE_SNAPSHOTS=1 rewrites it"

    return compare


@pytest.fixture
def no_endpoint_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' environment names no endpoint and no key."""
    for prefix in ("CODEACT_TOOLS", "OPENAI"):
        for name in ("BASE_URL", "API_KEY", "MODEL"):
            monkeypatch.delenv(f"{prefix}_{name}", raising=False)
