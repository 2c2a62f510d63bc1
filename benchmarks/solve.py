"""How many of the tasks does a model solve? Run: python -m benchmarks.solve [--toolkit all] [--model embedded] ...

It prints a line per task, and a table with a line per toolkit: solved, turns, tokens, seconds. `--json FILE` writes the
same for programs, so that two runs (of a dialect, a prompt, a model) can be compared. Temperature is 0, but llama.cpp's
sums depend on the batch, so a repeated run may differ by a task or two.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import pkgutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import benchmarks.tasks
from codeact_tools import Allow, CodeActAgent
from codeact_tools.dialects import DIALECTS
from codeact_tools.evals import Score, Task, evaluate
from codeact_tools.events import ActionFinished, Event, ReplyFinished, Usage
from codeact_tools.models import resolve_model
from codeact_tools.models.base import Model
from codeact_tools.toolkits import ToolSource


@dataclass(frozen=True, kw_only=True)
class TaskSet:
    """One module of `benchmarks.tasks`."""

    name: str
    tasks: tuple[Task, ...]
    tools: tuple[ToolSource, ...]
    """The module's ``TOOLS``; else the toolkit of its name."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one task went; the lines of ``--json``."""

    toolkit: str
    task: str
    solved: bool
    turns: int
    read: int
    """Prompt tokens that the model had to read."""
    cached: int
    """Prompt tokens that it had read before."""
    written: int
    """Tokens of its replies."""
    seconds: float
    answer: str


def task_sets(wanted: str) -> list[TaskSet]:
    """Return the task module of that name, several by comma, or all."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.tasks.__path__)]
    chosen = names if wanted == "all" else wanted.split(",")
    if unknown := sorted(set(chosen) - set(names)):
        raise SystemExit(f"there are no tasks called {', '.join(unknown)}; there are {', '.join(names)}")
    sets = []
    for name in chosen:
        module = importlib.import_module(f"benchmarks.tasks.{name}")
        sets.append(TaskSet(name=name, tasks=tuple(module.TASKS), tools=tuple(getattr(module, "TOOLS", [name]))))
    return sets


def show(event: Event) -> None:
    """Print what a transcript holds."""
    if isinstance(event, ReplyFinished):
        print(f"\n--- reply\n{event.text}")
    elif isinstance(event, ActionFinished):
        print(f"--- observation\n{event.observation.text}")


def make_agent(tools: Sequence[ToolSource], model: Model, options: argparse.Namespace) -> CodeActAgent:
    """Return the agent that the options describe."""
    return CodeActAgent(
        tools=tools,
        model=model,
        sandbox="local",
        dialect=options.dialect,
        check=options.check,
        max_turns=options.turns,
        constrain=options.constrain,
        journal=False,
        approve=lambda _: Allow(),
    )


async def solve(agent: CodeActAgent, tasks: TaskSet, options: argparse.Namespace) -> list[Result]:
    """Run the tasks, printing each result as it comes."""
    results: list[Result] = []
    wanted = [task for task in tasks.tasks if not options.only or options.only in task.name]
    async for score in evaluate(agent, wanted, on_event=show if options.transcript else None):
        result = _result(tasks.name, score)
        results.append(result)
        print(
            f"{'solved' if result.solved else 'wrong ':6} {tasks.name:10} {result.task:36} {result.turns} turns "
            f"{result.read:5} read {result.written:4} written {result.seconds:5.1f} s  {result.answer[:80]}",
            flush=True,
        )
    return results


def _result(toolkit: str, score: Score) -> Result:
    usage: Usage = score.usage
    return Result(
        toolkit=toolkit,
        task=score.task.name,
        solved=score.solved,
        turns=usage.turns,
        read=usage.prompt_tokens - usage.cached_tokens,
        cached=usage.cached_tokens,
        written=usage.completion_tokens,
        seconds=round(usage.seconds, 2),
        answer=" ".join(score.answer.split()),
    )


def table(results: list[Result]) -> str:
    """Return the summary, a line per toolkit and one for all."""
    groups = {name: [result for result in results if result.toolkit == name] for name in _in_order(results)}
    lines = [f"{'toolkit':12} {'solved':>9} {'turns':>6} {'read':>8} {'written':>8} {'seconds':>8}"]
    for name, group in [*groups.items(), ("all", results)]:
        solved = f"{sum(result.solved for result in group)} of {len(group)}"
        turns, read = sum(result.turns for result in group), sum(result.read for result in group)
        written, seconds = sum(result.written for result in group), sum(result.seconds for result in group)
        lines.append(f"{name:12} {solved:>9} {turns:6} {read:8} {written:8} {seconds:8.0f}")
    return "\n".join(lines)


def _in_order(results: list[Result]) -> list[str]:
    return list(dict.fromkeys(result.toolkit for result in results))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toolkit", default="calendar", help="a module of benchmarks/tasks, several by comma, or all")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--dialect", choices=sorted(DIALECTS))
    parser.add_argument("--check", default="block", choices=["block", "warn", "off"])
    parser.add_argument("--constrain", action="store_true", help="hold the model to the grammar of actions")
    parser.add_argument("--only", help="part of a task's name")
    parser.add_argument("--transcript", action="store_true", help="print the messages of each task, too")
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write settings and results there")
    return parser.parse_args()


def main() -> None:
    """Parse the options, run, summarise."""
    options = parse()
    model, _ = resolve_model(options.model)
    results: list[Result] = []
    settings = {
        "model": model.name,
        "dialect": options.dialect or model.dialect,
        "check": options.check,
        "constrain": options.constrain,
    }
    for tasks in task_sets(options.toolkit):
        results += asyncio.run(solve(make_agent(tasks.tools, model, options), tasks, options))
        if options.json is not None:
            body = {**settings, "results": [asdict(result) for result in results]}
            options.json.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    print(", ".join(f"{name} {value}" for name, value in settings.items()))
    print(table(results))


if __name__ == "__main__":
    main()
