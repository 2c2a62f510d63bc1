"""The toolkit ``files`` keeps what every toolkit should."""

from __future__ import annotations

from pathlib import Path

from codeact_tools_files import FilesConfig, toolkit

from codeact_tools import Toolkit
from codeact_tools.testing import ToolkitContract


class TestFiles(ToolkitContract):
    """On a copy of the folder that the examples are about."""

    examples = "all"

    def prepare(self, folder: Path) -> Toolkit:
        """Grant the examples, and nothing else."""
        return toolkit.configured(FilesConfig.for_examples(folder))
