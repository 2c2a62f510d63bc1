"""A real model answers real questions about two calendars."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from benchmarks.tasks.agenda import TASKS, TOOLS
from codeact_tools import CodeActAgent
from codeact_tools.evals import evaluate
from codeact_tools.events import ToolReturned
from codeact_tools.models import EmbeddedModel
from codeact_tools.models.weights import locate

pytestmark = [pytest.mark.model, pytest.mark.long, pytest.mark.timeout(900)]

NAMES = ["minutes in a week", "where is it", "free in both"]
LEAST = 2
"""Of three. `python -m benchmarks.solve --toolkit agenda` gives the rate over all tasks."""


async def test_questions_about_calendars_are_answered(record_property: Callable[[str, object], None]) -> None:
    """At least two of three questions get the right answer, and the answers come out of tool calls."""
    if locate() is None:
        pytest.skip("the embedded model's weights are not here: codeact-tools model fetch")
    calls: list[str] = []

    def count(event: object) -> None:
        if isinstance(event, ToolReturned):
            calls.append(event.call.tool)

    model = EmbeddedModel()
    try:
        agent = CodeActAgent(tools=TOOLS, model=model, sandbox="local", max_turns=6)
        tasks = [task for task in TASKS if task.name in NAMES]
        scores = [score async for score in evaluate(agent, tasks, on_event=count)]
    finally:
        await asyncio.shield(model.aclose())
    solved = [score.task.name for score in scores if score.solved]
    record_property("solved", f"{len(solved)} of {len(scores)}")
    assert len(solved) >= LEAST, [(score.task.name, score.answer) for score in scores if not score.solved]
    assert len(calls) >= LEAST
