"""The toolkit ``sql`` keeps the contract of toolkits, at its highest level."""

from __future__ import annotations

from codeact_tools_sql import SqlConfig, toolkit

from codeact_tools.testing import ToolkitContract
from codeact_tools.testing.conformance import Subject, examine

SAMPLE = toolkit.configured(SqlConfig.for_examples())


class TestSql(ToolkitContract):
    """Documented, typed, with examples that run, and as harmless as it says; on the sample database."""

    toolkit = SAMPLE
    examples = "all"


def test_it_is_gold() -> None:
    """The level that ``codeact-tools toolkits check sql`` tells."""
    assert examine(Subject(toolkit=SAMPLE, examples="all")).level == "gold"
