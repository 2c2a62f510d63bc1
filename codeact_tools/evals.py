"""Measure an agent on tasks whose answers are known: solved, turns, tokens, seconds."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass

from .agent import CodeActAgent
from .errors import CodeActError
from .events import Event, RunFailed, RunFinished, Usage

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A question, and how to tell whether an answer is right."""

    name: str
    question: str
    right: Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How one task went."""

    task: Task
    solved: bool
    answer: str
    """The answer, or the name and message of the error that ended the run."""
    usage: Usage


def mentions(*parts: str | float) -> Callable[[str], bool]:
    """Return a check that an answer holds all ``parts``: numbers as numbers, words without regard to case.

    >>> mentions(1200, "bolts")("There are 1,200.00 Bolts.")
    True
    >>> mentions(12)("There are 1,200 bolts.")
    False
    """

    def right(answer: str) -> bool:
        numbers = [float(number.replace(",", "")) for number in _NUMBER.findall(answer)]
        return all(
            part.lower() in answer.lower()
            if isinstance(part, str)
            else any(abs(number - part) < 1e-6 * max(1.0, abs(part)) for number in numbers)
            for part in parts
        )

    return right


async def evaluate(
    agent: CodeActAgent, tasks: Iterable[Task], *, on_event: Callable[[Event], None] | None = None
) -> AsyncIterator[Score]:
    """Run ``tasks`` one after the other, each in a session of its own, and yield the scores.

    An error of the model or of a run counts as not solved; a wrong configuration or a missing sandbox is raised.
    """
    for task in tasks:
        answer, usage, solved = "", Usage(), False
        try:
            async for event in agent.stream(task.question):
                if on_event is not None:
                    on_event(event)
                if isinstance(event, RunFinished):
                    answer, usage = str(event.answer), event.usage
                    solved = task.right(answer)
                elif isinstance(event, RunFailed):
                    answer, usage = f"{event.error}: {event.message}", event.usage
        except CodeActError:
            if not answer:
                raise
        yield Score(task=task, solved=solved, answer=answer, usage=usage)
