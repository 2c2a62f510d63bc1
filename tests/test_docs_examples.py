"""Every Python example of the READMEs and of the docs runs, and prints what it says that it prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "toolkits").glob("*/README.md"))]


def examples() -> list[CodeExample]:
    """All Python blocks; a block that cannot run here says why: ```` ```python {test="skip: needs a GPU"} ````."""
    found = find_examples(*(str(page) for page in PAGES))
    return [example for example in found if example.prefix.split(" ")[0] in {"py", "python"}]


@pytest.mark.parametrize("example", examples(), ids=str)
def test_example(
    example: CodeExample, eval_example: EvalExample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block runs as it stands; where it has lines that start with ``#>``, they are what it prints."""
    monkeypatch.chdir(tmp_path)  # some write files
    directive = example.prefix_settings().get("test", "")
    if directive.startswith("skip:"):
        pytest.skip(directive.removeprefix("skip:").strip())
    assert not directive, f"unknown directive {directive!r}; write 'skip: reason'"
    if "#>" in example.source:
        eval_example.run_print_check(example)
    else:
        eval_example.run(example)
