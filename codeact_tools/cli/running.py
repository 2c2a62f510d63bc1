"""Runs tasks for the command line: the answer to stdout, the progress to stderr."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import asdict, dataclass
from typing import Annotated, Any, cast

from cyclopts import Group, Parameter
from rich.console import Console

from ..agent import CodeActAgent
from ..errors import CodeActError
from ..events import Event, RunFinished, RunStarted
from ..models.embedded import EmbeddedModel
from ..models.weights import DEFAULT_WEIGHTS
from ..session import CheckMode
from .approving import ApprovalMode, approval
from .exits import Exit, exit_code
from .inputs import read_tools
from .output import complain, write
from .render import TerminalRenderer, printable
from .weights import fetch_with_progress

Sink = Callable[[Event], None]

DEMO_TASK = (
    "A job in Germany starts on 18 December 2026 and takes 10 working days more. On which date and weekday does it "
    "end, and which public holidays lie in between?"
)

Flag = Parameter(negative="", show_default=False)
Names = Parameter(negative="", show_default=False)


@Parameter(name="*", group=Group("The agent", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class AgentOptions:
    """What the agent is made of."""

    tools: Annotated[tuple[str, ...], Parameter(alias="-t"), Names] = ()
    """Toolkit by name, or Python file with @tool functions; repeat the option, or separate by commas."""
    model: Annotated[str, Parameter(alias="-m")] = "auto"
    """auto, embedded, endpoint:NAME, a URL, a GGUF file, transformers:NAME. auto takes an endpoint that the \
environment names, else CodeActAgent on a GPU, else the embedded CPU model."""
    sandbox: Annotated[str, Parameter(alias="-s")] = "auto"
    """auto, local, jail, jail-lite, e2b. auto takes E2B where its key is set, else the local sandbox."""
    max_turns: int = 10
    """Most replies of the model for one task."""
    allow_import: Annotated[tuple[str, ...], Names] = ()
    """Module that actions may import besides the tools; repeat the option. "*" stands for all that exist inside."""
    check: CheckMode = "block"
    """What the findings of the check before each action do."""
    approve: ApprovalMode = "auto"
    """Who decides about calls that need approval: ask (at the terminal), deny, pause (see `runs approve`), \
allow. auto asks where there is a terminal, and denies elsewhere."""

    def agent(self) -> CodeActAgent:
        """Make the agent.

        Raises:
            DeveloperError: An option is wrong.
            ModelUnavailable: There is no such model.
        """
        agent = CodeActAgent(
            tools=read_tools(self.tools),
            model=self.model,
            sandbox=self.sandbox,
            max_turns=self.max_turns,
            allow_imports=self.allow_import,
            check=self.check,
            approve=approval(self.approve),
        )
        agent.origin = {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }
        if isinstance(agent.model, EmbeddedModel) and agent.model.weights is DEFAULT_WEIGHTS:
            fetch_with_progress()
        return agent


@Parameter(name="*", group=Group("Output", sort_key=2))
@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What is written where."""

    json: Annotated[bool, Flag] = False
    """Write all events to stdout, each as a line of JSON, instead of the answer; nothing but errors to stderr."""
    quiet: Annotated[bool, Parameter(alias="-q"), Flag] = False
    """No progress on stderr."""

    @contextmanager
    def sinks(self, *, heading: bool = True) -> Iterator[list[Sink]]:
        """Give what takes the events, in this order; leave the terminal in order afterwards."""
        if self.json:
            yield [_write_json]
        elif self.quiet:
            yield [_write_answer]
        else:
            with TerminalRenderer(Console(stderr=True), heading=heading) as renderer:
                together = sys.stdout.isatty() == sys.stderr.isatty()
                yield [*([renderer.announce] if together else []), _write_answer, renderer.show]


def run_task(agent: CodeActAgent, task: str, output: OutputOptions) -> Exit:
    """Run one task and write what happens; after Ctrl-C, how to go on.

    Raises:
        CodeActError: The run ended without an answer.
    """
    begun: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, RunStarted):
            begun.append(event.run_id)

    try:
        with output.sinks() as sinks:
            asyncio.run(_consume(agent.stream(task), [note, *sinks]))
    except KeyboardInterrupt:
        recorded = begun and agent.open_journal()[0] is not None
        return _cancelled(begun[0] if recorded else None)
    return Exit.ANSWER


def _cancelled(run_id: str | None) -> Exit:
    complain(f"cancelled; go on with: codeact-tools resume {run_id[:12]}" if run_id else "cancelled")
    return Exit.CANCELLED


def resume_task(agent: CodeActAgent, run_id: str, output: OutputOptions) -> Exit:
    """Finish a run from the journal and write what happens; after Ctrl-C, how to go on.

    Raises:
        CodeActError: The run ended without an answer.
    """

    async def go_on() -> None:
        async with agent.resumed(run_id) as conversation:
            await _consume(conversation.stream(None), sinks)

    try:
        with output.sinks(heading=False) as sinks:
            asyncio.run(go_on())
    except KeyboardInterrupt:
        return _cancelled(run_id)
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
            for number, task in enumerate(_lines()):
                with output.sinks(heading=number == 0) as sinks:
                    outcome = _chat_turn(runner, conversation.stream(task), sinks)
        finally:
            runner.run(conversation.__aexit__(None, None, None))
    return outcome


def _chat_turn(runner: asyncio.Runner, events: AsyncIterator[Event], sinks: list[Sink]) -> Exit:
    try:
        runner.run(_consume(events, sinks))
    except KeyboardInterrupt:
        complain("cancelled; the next task can be given")
        return Exit.CANCELLED
    except CodeActError as error:
        complain(f"error: {error}")
        return exit_code(error)
    return Exit.ANSWER


def _lines() -> Iterator[str]:
    """Yield the lines of standard input that hold a task; prompt for them on a terminal."""
    if sys.stdin is None:  # it was closed when the program started
        return
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
        write(printable(answer) if sys.stdout.isatty() else answer)
