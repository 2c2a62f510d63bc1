"""Users of type checkers see their own functions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_decorated_functions_keep_their_static_signature() -> None:
    """Mypy in its strictest mode accepts right uses of tools and finds the wrong ones, which are marked."""
    options = ["--strict", "--follow-imports=silent"]
    command = [sys.executable, "-m", "mypy", *options, str(HERE / "tools_typing.py")]
    done = subprocess.run(command, cwd=HERE.parent.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
