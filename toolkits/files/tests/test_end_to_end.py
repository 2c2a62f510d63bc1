"""A real model, in the real sandbox, over real files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from codeact_tools_files import diff_files, list_files, read_table, read_text, search_text, table_info, toolkit

from benchmarks.tasks.files import CONFIG, TASKS
from codeact_tools import CodeActAgent
from codeact_tools.evals import evaluate
from codeact_tools.events import ToolReturned
from codeact_tools.models import EmbeddedModel
from codeact_tools.models.base import Model
from codeact_tools.models.weights import locate

pytestmark = [pytest.mark.model, pytest.mark.long, pytest.mark.timeout(900)]

NAMES = ["units of a product", "average of a column", "find by content"]
QUESTIONS = [task for task in TASKS if task.name in NAMES]
LEAST = 2
"""Of three that the model was seen to solve before."""
READING = replace(
    toolkit.configured(CONFIG), tools=[list_files, read_text, search_text, table_info, read_table, diff_files]
)
"""The tools that such questions take: a small model reads its prompt slowly on a CPU."""


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    """The embedded model."""
    if locate() is None:
        pytest.skip("the embedded model's weights are not here: codeact-tools model fetch")
    model = EmbeddedModel()
    yield model
    asyncio.run(model.aclose())


async def test_questions_about_files_are_answered(model: Model, record_property: Callable[[str, object], None]) -> None:
    """The model finds the file, reads it with the tools, and answers from what they return."""
    calls: list[str] = []

    def count(event: object) -> None:
        if isinstance(event, ToolReturned):
            calls.append(event.call.tool)

    agent = CodeActAgent(tools=[READING], model=model, sandbox="local", packages=["pandas"], max_turns=6)
    scores = [score async for score in evaluate(agent, QUESTIONS, on_event=count)]
    solved = [score.task.name for score in scores if score.solved]
    record_property("solved", f"{len(solved)} of {len(scores)}")
    assert len(solved) >= LEAST, [(score.task.name, score.answer) for score in scores if not score.solved]
    assert len(calls) >= len(solved)
