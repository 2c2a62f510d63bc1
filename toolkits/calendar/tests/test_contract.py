"""The toolkit ``calendar`` keeps the contract of toolkits, at its highest level."""

from __future__ import annotations

from codeact_tools_calendar import toolkit

from codeact_tools.testing import ToolkitContract
from codeact_tools.testing.conformance import Subject, examine


class TestCalendar(ToolkitContract):
    """Documented, typed, with examples that run, and as harmless as it says."""

    toolkit = toolkit


def test_it_is_gold() -> None:
    """The level that ``codeact-tools toolkits check calendar`` tells."""
    assert examine(Subject(toolkit=toolkit)).level == "gold"
