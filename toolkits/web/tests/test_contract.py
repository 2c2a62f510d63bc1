"""The toolkit ``web`` keeps the contract of toolkits, at its highest level."""

from __future__ import annotations

from pathlib import Path

from codeact_tools_web import WebConfig, toolkit

from codeact_tools import Toolkit
from codeact_tools.testing import ToolkitContract


class TestWeb(ToolkitContract):
    """The examples are about the sample site that ships in the package."""

    examples = "all"

    def prepare(self, folder: Path) -> Toolkit:
        """Reach nothing but the sample site."""
        return toolkit.configured(WebConfig.for_examples())
