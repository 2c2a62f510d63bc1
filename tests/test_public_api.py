"""The public surface: what is exported is what is documented here, and all of it exists."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import codeact_tools

ROOT = Path(__file__).parent.parent


def test_the_surface_is_pinned() -> None:
    """A name joins or leaves the public surface on purpose only."""
    assert codeact_tools.__all__ == sorted(codeact_tools.__all__)
    assert set(codeact_tools.__all__) == {
        *("Allow", "Ask", "CallRequest", "Deny", "Done", "Journal", "RunLimits"),
        *("Artifact", "CallRecord", "CheckResult", "Checker", "CodeActAgent", "Conversation", "Demonstration"),
        *("Depends", "Dialect"),
        *("Effects", "Event", "ExecutionError", "Finding", "Limits", "Observation", "Opaque", "RunResult", "Session"),
        *("ToolContext", "ToolRegistry", "ToolSpec", "Toolkit", "Usage", "__version__", "tool"),
    }


@pytest.mark.parametrize("name", codeact_tools.__all__)
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    """Each name is found, also by ``dir``, and says what it is."""
    assert name in dir(codeact_tools)
    value = getattr(codeact_tools, name)
    assert value.__doc__


def test_a_wrong_name_is_an_attribute_error() -> None:
    """A misspelt name fails like on any module."""
    with pytest.raises(AttributeError, match="CodeactAgent"):
        codeact_tools.CodeactAgent  # noqa: B018


def test_the_version_is_the_projects() -> None:
    """Module, project file and changelog name the same version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == codeact_tools.__version__
    assert f"## {codeact_tools.__version__} " in (ROOT / "CHANGELOG.md").read_text()
