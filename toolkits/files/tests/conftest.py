"""A granted folder, and one beside it that nobody has granted."""

from __future__ import annotations

from pathlib import Path

import pytest
from codeact_tools_files import FilesConfig

from codeact_tools import ToolContext

PRIVATE = "the secret of the house"
"""What stands in every file that is not granted."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The granted folder; beside it lies ``outside`` with a secret."""
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "secret.txt").write_text(PRIVATE)
    (outside / "deep" / "secret.txt").write_text(PRIVATE)
    granted = tmp_path / "granted"
    granted.mkdir()
    return granted


@pytest.fixture
def context(root: Path) -> ToolContext:
    """A call in which the folder may be read and written."""
    return ToolContext(config=FilesConfig(roots=[root], writable=True))
