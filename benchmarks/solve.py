"""How many of the tasks does a model solve? Run: python -m benchmarks.solve [--model embedded] [--dialect chat] ...

It prints one line per task and a summary: solved, turns, tokens, seconds. Temperature is 0, but llama.cpp's sums depend
on the batch, so a repeated run may differ by a task.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys

from codeact_tools import CodeActAgent
from codeact_tools.evals import Score, Task, evaluate
from codeact_tools.events import ActionFinished, Event, ReplyFinished


def show(event: Event) -> None:
    """Print what a transcript holds."""
    if isinstance(event, ReplyFinished):
        print(f"\n--- reply\n{event.text}")
    elif isinstance(event, ActionFinished):
        print(f"--- observation\n{event.observation.text}")


async def solve(agent: CodeActAgent, tasks: list[Task], *, transcript: bool) -> list[Score]:
    """Run the tasks, printing each score as it comes."""
    scores: list[Score] = []
    async for score in evaluate(agent, tasks, on_event=show if transcript else None):
        scores.append(score)
        usage = score.usage
        print(
            f"{'solved' if score.solved else 'wrong ':6} {score.task.name:32} {usage.turns} turns "
            f"{usage.prompt_tokens - usage.cached_tokens:5} read {usage.completion_tokens:4} written "
            f"{usage.seconds:5.1f} s  {' '.join(score.answer.split())[:90]}",
            flush=True,
        )
    return scores


def main() -> None:
    """Parse the options, run, summarise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toolkit", default="calendar", help="the tasks are those of benchmarks/tasks/TOOLKIT.py")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--dialect")
    parser.add_argument("--check", default="block", choices=["block", "warn", "off"])
    parser.add_argument("--only", help="part of a task's name")
    parser.add_argument("--transcript", action="store_true", help="print the messages of each task, too")
    parser.add_argument("--turns", type=int, default=8)
    options = parser.parse_args()
    tasks: list[Task] = importlib.import_module(f"benchmarks.tasks.{options.toolkit}").TASKS
    tasks = [task for task in tasks if not options.only or options.only in task.name]
    agent = CodeActAgent(
        tools=[options.toolkit],
        model=options.model,
        sandbox="local",
        dialect=options.dialect,
        check=options.check,
        max_turns=options.turns,
    )
    scores = asyncio.run(solve(agent, tasks, transcript=options.transcript))
    total = sum((score.usage for score in scores), start=scores[0].usage.model_copy(update=dict.fromkeys(
        ("prompt_tokens", "completion_tokens", "cached_tokens", "turns", "seconds"), 0)))  # fmt: skip
    solved = sum(score.solved for score in scores)
    print(
        f"{agent.model.name}, dialect {agent.dialect.name}, check {options.check}: solved {solved} of {len(scores)}; "
        f"{total.turns} turns, {total.completion_tokens} tokens written, {total.seconds:.0f} s"
    )
    sys.exit(0 if solved else 1)


if __name__ == "__main__":
    main()
