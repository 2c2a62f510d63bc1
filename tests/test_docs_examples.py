"""Every Python example of the README and of the docs runs, and prints what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "toolkits").glob("*/README.md"))]


def examples() -> Iterator[CodeExample]:
    """All Python blocks; a block that cannot run here says why: ```` ```python {test="skip: needs a GPU"} ````."""
    for example in find_examples(*PAGES):
        if example.prefix in {"py", "python"} or example.prefix.startswith(("py ", "python ")):
            yield example


@pytest.mark.parametrize("example", examples(), ids=str)
def test_example(example: CodeExample, eval_example: EvalExample, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block runs as it stands; lines that start with ``#>`` are what it prints."""
    directive = example.prefix_settings().get("test", "")
    if directive.startswith("skip:"):
        pytest.skip(directive.removeprefix("skip:").strip())
    assert not directive, f"unknown directive {directive!r}; write 'skip: reason'"
    eval_example.run_print_check(example)
