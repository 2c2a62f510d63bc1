"""The toolkit keeps the contract of toolkits, at the highest level."""

from __future__ import annotations

from pathlib import Path

from codeact_tools_science import toolkit
from codeact_tools_science.workers import warm_up

from codeact_tools import Toolkit
from codeact_tools.testing import ToolkitContract


class TestScience(ToolkitContract):
    """Its tools only read. The process that computes for them is started before they are watched."""

    examples = "all"

    def prepare(self, folder: Path) -> Toolkit:
        """Start a worker: within a tool, starting a process would count as an effect of that tool."""
        warm_up()
        return toolkit
