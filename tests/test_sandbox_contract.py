"""Our sandboxes keep the contract that back ends of others are asked to keep."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import ClassVar

import pytest

from codeact_tools.sandbox.base import Limits, Sandbox
from codeact_tools.sandbox.local import LocalSandbox, Mode
from codeact_tools.testing import UnconfinedSandbox
from codeact_tools.testing.contract import SandboxContract


def test_the_docs_name_every_limit_with_its_default() -> None:
    """The table of docs/sandbox.md says what each field of `Limits` is, and how large."""
    page = (Path(__file__).parent.parent / "docs" / "sandbox.md").read_text(encoding="utf-8")
    for field in dataclasses.fields(Limits):
        default = "none" if field.default is None else f"{field.default:g}"
        assert f"| `{field.name}` | {default} |" in page


@functools.cache
def refusal(mode: Mode) -> str:
    """Why this machine refuses the mode; empty where it works."""
    report = next(report for report in LocalSandbox.probe() if report.mode == mode)
    return "" if report.works else report.reason


class Local(SandboxContract):
    """A mode of the local sandbox, on machines where it works."""

    mode: ClassVar[Mode]

    @pytest.fixture(autouse=True)
    def supported(self) -> None:
        """Skip where the mode is refused."""
        if reason := refusal(self.mode):
            pytest.skip(reason)

    def sandbox(self) -> Sandbox:
        """The mode and no other."""
        return LocalSandbox(self.mode)


class TestJail(Local):
    """Namespaces, Landlock and seccomp."""

    mode: ClassVar[Mode] = "jail"


class TestJailLite(Local):
    """Landlock and seccomp alone: what is left where namespaces are refused."""

    mode: ClassVar[Mode] = "jail-lite"
    files: ClassVar[bool] = False


class TestUnconfined(SandboxContract):
    """The guest as a plain process."""

    confined: ClassVar[bool] = False

    def sandbox(self) -> Sandbox:
        """For tests."""
        return UnconfinedSandbox()
