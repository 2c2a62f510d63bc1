"""Runs tasks for the command line: the answer to stdout, the progress to stderr."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, cast

from cyclopts import Parameter
from rich.console import Console

from ..agent import CodeActAgent, Conversation
from ..errors import CodeActError
from ..events import Event, RunFinished
from .exits import Exit, exit_code
from .inputs import read_tools
from .render import TerminalRenderer, printable

Sink = Callable[[Event], None]
T = TypeVar("T")

DEMO_TASK = (
    "How many working days are there in Germany from 1 December 2026 to 15 January 2027, and which public holidays "
    "fall on a weekday in that time?"
)


@Parameter(name="*", group="The agent")
@dataclass(frozen=True, kw_only=True)
class AgentOptions:
    """What the agent is made of."""

    tools: Annotated[tuple[str, ...], Parameter(alias="-t", negative="")] = ()
    """Toolkit by name, or Python file with @tool functions; repeat the option, or separate by commas."""
    model: Annotated[str, Parameter(alias="-m")] = "auto"
    """auto: an endpoint in the environment, else CodeActAgent on a GPU, else the embedded CPU model. Or embedded, a
    GGUF file, endpoint:NAME, a URL, transformers:NAME."""
    sandbox: Annotated[str, Parameter(alias="-s")] = "auto"
    """auto: E2B where its key is set, else local. Or e2b, local, jail, jail-lite."""
    max_turns: int = 10
    """Most replies of the model for one task."""
    allow_import: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Module of the standard library that actions may import; repeat the option. "*" stands for all."""
    check: Literal["block", "warn", "off"] = "block"
    """What findings of the check before each action do."""

    def agent(self) -> CodeActAgent:
        """Make the agent.

        Raises:
            DeveloperError: An option is wrong.
            ModelUnavailable: There is no such model.
        """
        return CodeActAgent(
            tools=read_tools(self.tools),
            model=self.model,
            sandbox=self.sandbox,
            max_turns=self.max_turns,
            allow_imports=self.allow_import,
            check=self.check,
        )


@Parameter(name="*", group="Output")
@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What is written where."""

    json: Annotated[bool, Parameter(negative="")] = False
    """Write all events to stdout, each as a line of JSON, instead of the answer; nothing but errors to stderr."""
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False
    """No progress on stderr."""

    def sinks(self) -> list[Sink]:
        """Return what takes the events, in this order."""
        if self.json:
            return [_write_json]
        return [_write_answer] if self.quiet else [_write_answer, TerminalRenderer(Console(stderr=True)).show]


def run_task(agent: CodeActAgent, task: str, output: OutputOptions) -> Exit:
    """Run one task and write what happens.

    Raises:
        CodeActError: The run ended without an answer.
        KeyboardInterrupt: Ctrl-C; the run is cleaned up by then.
    """
    asyncio.run(_consume(agent.stream(task), output.sinks()))
    return Exit.ANSWER


def run_chat(agent: CodeActAgent, output: OutputOptions) -> Exit:
    """Take tasks from standard input, a line each, until it ends; they share variables and history.

    A task that fails, or that Ctrl-C cancels, is reported, and the next line is read. Returns the exit code of the last
    task.
    """
    outcome = Exit.ANSWER
    with asyncio.Runner() as runner:
        conversation = agent.conversation()
        try:
            for task in _lines():
                outcome = _chat_turn(runner, conversation, task, output)
        finally:
            runner.run(conversation.__aexit__(None, None, None))
    return outcome


def _chat_turn(runner: asyncio.Runner, conversation: Conversation, task: str, output: OutputOptions) -> Exit:
    try:
        runner.run(_consume(conversation.stream(task), output.sinks()))
    except KeyboardInterrupt:
        complain("cancelled; the next task can be given")
        return Exit.CANCELLED
    except CodeActError as error:
        complain(f"error: {error}")
        return exit_code(error)
    return Exit.ANSWER


def _lines() -> list[str] | Any:
    """Yield the lines of standard input that hold a task; prompt for them on a terminal."""
    interactive = sys.stdin.isatty()
    if interactive:
        import readline  # noqa: F401 - gives input() its line editing

        complain("Type a task, or Ctrl-D to leave.")
    while True:
        try:
            line = _prompt() if interactive else sys.stdin.readline()
        except (EOFError, KeyboardInterrupt):
            complain("")
            return
        if not line:
            return
        if line.strip():
            yield line.strip()


def _prompt() -> str:
    return input("\n> ") + "\n"


async def _consume(events: AsyncIterator[Event], sinks: list[Sink]) -> None:
    async with aclosing(cast(Any, events)) as stream:
        async for event in stream:
            for sink in sinks:
                sink(event)


def _write_json(event: Event) -> None:
    write(event.model_dump_json())


def _write_answer(event: Event) -> None:
    if isinstance(event, RunFinished):
        answer = str(event.answer)
        if sys.stdout.isatty() and sys.stderr.isatty():
            complain("")
        write(printable(answer) if sys.stdout.isatty() else answer)


def write(text: str) -> None:
    """Write a line of the result to stdout."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Write a line for people to stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
