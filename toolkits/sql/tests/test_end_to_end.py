"""A real model answers questions about a real database, in the real sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from codeact_tools_sql import toolkit

from benchmarks.tasks.sql import TASKS
from codeact_tools import CodeActAgent
from codeact_tools.evals import evaluate
from codeact_tools.events import ToolReturned
from codeact_tools.models import EmbeddedModel
from codeact_tools.models.weights import locate
from toolkits.sql.tests.databases import SHOP, Opened, sqlite_file

pytestmark = [pytest.mark.model, pytest.mark.long, pytest.mark.timeout(900)]

NAMES = ["average of rows", "count with a condition", "who has none"]
QUESTIONS = [task for task in TASKS if task.name in NAMES]
LEAST = 2
"""Of three. `python -m benchmarks.solve --toolkit sql` gives the rate over all tasks."""


@pytest.fixture
def model() -> Iterator[EmbeddedModel]:
    """The embedded model."""
    if locate() is None:
        pytest.skip("the embedded model's weights are not here: codeact-tools model fetch")
    model = EmbeddedModel()
    yield model
    asyncio.run(model.aclose())


async def test_questions_about_a_file_are_answered(
    model: EmbeddedModel, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """At least two of three questions get the right answer, out of queries, and the file is as it was."""
    shop: Opened = sqlite_file(tmp_path / "shop.db", SHOP)
    before = (tmp_path / "shop.db").read_bytes()
    calls: list[str] = []

    def count(event: object) -> None:
        if isinstance(event, ToolReturned):
            calls.append(event.call.tool)

    agent = CodeActAgent(tools=[toolkit.configured(shop.config)], model=model, sandbox="local", max_turns=6)
    scores = [score async for score in evaluate(agent, QUESTIONS, on_event=count)]
    solved = [score.task.name for score in scores if score.solved]
    record_property("solved", f"{len(solved)} of {len(scores)}")
    assert len(solved) >= LEAST, [(score.task.name, score.answer) for score in scores if not score.solved]
    assert len(calls) >= len(solved)
    assert (tmp_path / "shop.db").read_bytes() == before
