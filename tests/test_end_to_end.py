"""A real model, in the real sandbox, over a real toolkit: in process, and behind a real HTTP server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from benchmarks.tasks.calendar import TASKS
from codeact_tools import CodeActAgent
from codeact_tools.evals import evaluate
from codeact_tools.events import ToolReturned
from codeact_tools.models import EmbeddedModel, EndpointModel
from codeact_tools.models.base import Model
from codeact_tools.models.weights import locate
from tests.servers import LlamaServer

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

NAMES = [
    "difference of two countries",
    "age and weekday of birth",
    "filter a list",
    "a time in two zones",
    "names in a list",
]
QUESTIONS = [task for task in TASKS if task.name in NAMES]
LEAST = 3
"""Of five. `python -m benchmarks.solve` gives the rate over all tasks."""


@pytest.fixture(scope="module", params=["embedded", "endpoint"])
def model(request: pytest.FixtureRequest) -> Iterator[Model]:
    """The embedded model, and the same weights behind an OpenAI-compatible server on the loopback interface."""
    if locate() is None:
        pytest.skip("the embedded model's weights are not here: codeact-tools model fetch")
    if request.param == "embedded":
        model = EmbeddedModel()
        yield model
        asyncio.run(model.aclose())
        return
    with LlamaServer() as server:
        yield EndpointModel(server.base_url, api_key=server.api_key, dialect="chat")


async def test_multi_step_tasks_are_solved(model: Model, record_property: Callable[[str, object], None]) -> None:
    """At least three of five multi-step questions get the right answer, and the answers come out of tool calls."""
    calls: list[str] = []

    def count(event: object) -> None:
        if isinstance(event, ToolReturned):
            calls.append(event.call.tool)

    agent = CodeActAgent(tools=["calendar"], model=model, sandbox="local", max_turns=6)
    scores = [score async for score in evaluate(agent, QUESTIONS, on_event=count)]
    solved = [score.task.name for score in scores if score.solved]
    record_property("solved", f"{len(solved)} of {len(scores)}")
    assert len(solved) >= LEAST, [(score.task.name, score.answer) for score in scores if not score.solved]
    assert len(calls) >= len(solved)
