"""The generated tools of the benchmark are tools that this registry takes, within its goal for the prompt."""

from __future__ import annotations

from pathlib import Path

from benchmarks.contenders import CONTENDERS, measure
from benchmarks.registry import TOKENS_GOAL
from benchmarks.toolset import source
from codeact_tools.rendering import estimate_tokens


def test_our_own_contender_takes_part(tmp_path: Path) -> None:
    """All tools are registered and rendered in full, and ``add`` is called."""
    path = tmp_path / "business.py"
    path.write_text(source(40), encoding="utf-8")
    found = measure(CONTENDERS["codeact_tools"], path)
    assert found["tools"] == 40
    assert found["text"].count("\nclass Item") == 4
    assert found["text"].count("def ") == 40
    assert estimate_tokens(found["text"]) / 40 <= TOKENS_GOAL
    assert 0 < found["call"] < 1
