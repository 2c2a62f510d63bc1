"""The loop: ask the model, run its action, show it what happened, until it answers."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Self, TypeVar, overload

from ._portal import Portal
from .answers import AnswerBox
from .dialects import DIALECTS, Dialect
from .errors import AnswerInvalid, CodeActError, ConfigurationError, ModelReplyError, TurnLimitReached
from .events import (
    ActionFinished,
    Artifact,
    Event,
    Observation,
    ReplyFinished,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    TurnStarted,
    Usage,
    WarningRaised,
)
from .hostcalls import Approve
from .models import resolve_model
from .models.base import Message, Model, Sampling, until_stop
from .prompts import system_prompt
from .registry import ToolRegistry
from .sandbox.base import Limits, Sandbox
from .session import CheckMode, Session
from .toolkits import ToolSource, resolve_tools

T = TypeVar("T")
_ACTION_NUMBER = re.compile(r"<action \d+>")
"""The file name of an action in tracebacks."""


@dataclass(frozen=True, kw_only=True)
class RunResult(Generic[T]):
    """What a run brought."""

    answer: T
    """The final answer: text, or a value of ``output_type``."""
    events: tuple[Event, ...] = field(repr=False)
    """All that happened, in order."""
    usage: Usage
    artifacts: tuple[Artifact, ...] = ()
    """Files that the actions wrote, the latest of each name."""


class CodeActAgent:
    """A language model that acts by writing Python with your tools.

    >>> agent = CodeActAgent(tools=["calendar"], model=model)
    >>> agent.run("On which weekday is Christmas Eve in 2026?").answer
    'On a Thursday.'

    Args:
        tools: As for `Session`.
        model: ``"auto"``, the name of a model (see `codeact_tools.models.resolve_model`), or a `Model`.
        sandbox, check, allow_imports, packages, limits, approve: As for `Session`.
        dialect: How actions and answers are written; the model's own by default.
        max_turns: Most replies of the model in one run.
        instructions: Appended to the system prompt.
        prompt_tokens: Most tokens that the tools may take up in the system prompt.
        observation_chars: Most characters of an observation; what is beyond is cut out of the middle.
        sampling: Temperature (0 by default), seed and most tokens of one reply.
    """

    def __init__(
        self,
        tools: Iterable[ToolSource] | ToolRegistry = (),
        *,
        model: str | Model = "auto",
        sandbox: str | Sandbox = "auto",
        check: CheckMode = "block",
        allow_imports: Sequence[str] = (),
        packages: Sequence[str] = (),
        limits: Limits | Mapping[str, Any] | None = None,
        approve: Approve | None = None,
        dialect: str | Dialect | None = None,
        max_turns: int = 10,
        instructions: str = "",
        prompt_tokens: int | None = None,
        observation_chars: int = 4000,
        sampling: Sampling | None = None,
    ) -> None:
        if max_turns < 1:
            raise ConfigurationError(f"max_turns={max_turns!r}: a run needs at least one turn.")
        self.registry = resolve_tools(tools)
        self.model, self.choice = resolve_model(model)
        self.dialect = _read_dialect(dialect or self.model.dialect)
        self.max_turns = max_turns
        self.instructions = instructions
        self.prompt_tokens = prompt_tokens
        self.sampling = sampling or Sampling()
        self.session_options: dict[str, Any] = {
            "sandbox": sandbox,
            "check": check,
            "allow_imports": allow_imports,
            "packages": packages,
            "limits": limits,
            "approve": approve,
            "observation_chars": observation_chars,
        }

    @overload
    def run(self, task: str, *, on_event: Callable[[Event], None] | None = None) -> RunResult[str]: ...
    @overload
    def run(
        self, task: str, *, output_type: type[T], on_event: Callable[[Event], None] | None = None
    ) -> RunResult[T]: ...
    def run(
        self, task: str, *, output_type: Any = str, on_event: Callable[[Event], None] | None = None
    ) -> RunResult[Any]:
        """Solve ``task`` and return the answer.

        Args:
            task: What to do, in plain words.
            output_type: The answer's type; a wrong one is shown to the model, which corrects it.
            on_event: Called with each event as it happens, in the run's own thread.

        Raises:
            RunError: The run ended without an answer.
            ModelError: The model cannot be reached, or its replies cannot be used.
            SandboxError: The sandbox cannot be opened.
            KeyboardInterrupt: Ctrl-C; by then the run is cleaned up and no process is left.
        """
        with Portal() as portal:
            return portal.run(self.arun(task, output_type=output_type, on_event=on_event))

    async def arun(
        self, task: str, *, output_type: Any = str, on_event: Callable[[Event], None] | None = None
    ) -> RunResult[Any]:
        """`run` for asynchronous callers."""
        async with self.conversation(output_type=output_type) as conversation:
            return await conversation.arun(task, on_event=on_event)

    async def stream(self, task: str, *, output_type: Any = str) -> AsyncGenerator[Event]:
        """Solve ``task`` and yield what happens.

        The last event is `RunFinished`, or `RunFailed`, after which the error is raised. Closing the iterator cancels
        the run.
        """
        conversation = self.conversation(output_type=output_type)
        async with conversation, aclosing(conversation.stream(task)) as stream:
            async for event in stream:
                yield event

    def conversation(self, *, output_type: Any = str) -> Conversation:
        """A dialogue: one session and one history for several tasks. Use it with ``async with``."""
        return Conversation(self, output_type=output_type)


class Conversation:
    """Several tasks in a row that share the interpreter's variables and the message history."""

    def __init__(self, agent: CodeActAgent, *, output_type: Any = str) -> None:
        self.run_id = uuid.uuid4().hex
        self._agent = agent
        self._dialect = agent.dialect
        self._answers = AnswerBox(output_type)
        self.session = Session(
            self._answers.extend(agent.registry),
            run_id=self.run_id,
            **agent.session_options,
        )
        prompt = system_prompt(
            self.session.registry,
            agent.dialect,
            allow_imports=self.session.allow_imports,
            answer_tool=self._answers.tool_name,
            budget=agent.prompt_tokens,
            instructions=agent.instructions,
        )
        self.messages: list[Message] = [Message("system", prompt.text)]
        """The history, as the model reads it."""
        self._notes = prompt.notes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.session.aclose()

    async def arun(self, task: str, *, on_event: Callable[[Event], None] | None = None) -> RunResult[Any]:
        """Solve one more task; see `CodeActAgent.run`."""
        events: list[Event] = []

        def emit(event: Event) -> None:
            events.append(event)
            if on_event is not None:
                on_event(event)

        finished = await self._run(task, emit)
        artifacts = {
            artifact.name: artifact
            for event in events
            if isinstance(event, ActionFinished)
            for artifact in event.observation.artifacts
        }
        return RunResult(
            answer=finished.answer, events=tuple(events), usage=finished.usage, artifacts=tuple(artifacts.values())
        )

    async def stream(self, task: str) -> AsyncGenerator[Event]:
        """Solve one more task; see `CodeActAgent.stream`."""
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        run = asyncio.create_task(self._run(task, events.put_nowait))
        run.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            await run
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)

    async def _run(self, task: str, emit: Callable[[Event], None]) -> RunFinished:
        """One task, from its first event to its last."""
        if not task.strip():
            raise ConfigurationError("The task is empty; say what to do.")
        self.session.on_event = emit
        self._answers.clear()
        known = len(self.messages)
        started = time.perf_counter()
        spent = [Usage()]

        def total() -> Usage:
            return sum(spent, Usage()).model_copy(update={"seconds": time.perf_counter() - started})

        try:
            await self.session.aopen()
            emit(self._opening(task))
            for note in self._notes:
                emit(WarningRaised(message=note))
            answer = await self._solve(task, emit, spent)
        except CodeActError as error:
            del self.messages[known:]  # a history that ends in the middle of a task would confuse the next one
            emit(RunFailed(error=type(error).__name__, message=str(error), usage=total()))
            raise
        except asyncio.CancelledError:
            del self.messages[known:]
            emit(RunFailed(error="Cancelled", message="The run was cancelled.", usage=total()))
            raise
        finished = RunFinished(answer=answer, usage=total())
        emit(finished)
        return finished

    def _opening(self, task: str) -> RunStarted:
        return RunStarted(
            run_id=self.run_id,
            task=task,
            model=self._agent.model.name,
            sandbox=self.session.sandbox,
            dialect=self._dialect.name,
            tools=tuple(spec.qualified for spec in self._agent.registry.specs),
            choices=(self._agent.choice, self.session.choice),
        )

    async def _solve(self, task: str, emit: Callable[[Event], None], spent: list[Usage]) -> Any:
        """Take turns until the model answers."""
        turns = self._agent.max_turns
        self.messages.append(Message("user", self._dialect.task.replace("{task}", task)))
        patience = Patience()
        for turn in range(1, turns + 1):
            emit(TurnStarted(turn=turn))
            written = await self._ask(emit)
            spent.append(written.usage)
            emit(ReplyFinished(text=written.text, usage=written.usage))
            reply = self._dialect.parse(written.text, answer_calls=self._answers.tool_name is None)
            self.messages.append(Message("assistant", reply.text))
            if written.cut_off and not reply.closed:
                shown = patience.cut_off(self._agent.sampling.max_tokens)
            elif reply.actions:
                observation = await self.session.arun(reply.code)
                if self._answers.given and observation.ok:
                    return self._answers.value
                output = patience.watch(reply.code, observation)
                shown = self._dialect.observe(output, steps_left=turns - turn)
            elif reply.answer is not None:
                try:
                    return self._answers.read(reply.answer)
                except AnswerInvalid as error:
                    shown = patience.wrong_answer(error)
            else:
                shown = patience.nothing_in_it(self._dialect)
            self.messages.append(Message("user", shown))
        raise TurnLimitReached(
            f"The model used all its {turns} turns and gave no answer. "
            "Raise max_turns, make the task smaller, or use a stronger model."
        )

    async def _ask(self, emit: Callable[[Event], None]) -> Written:
        """Stream one reply."""
        sampling = replace(self._agent.sampling, stop=self._dialect.stop)
        pieces: list[str] = []
        usage, cut_off = Usage(), False
        async with aclosing(until_stop(self._agent.model.stream(self.messages, sampling), sampling.stop)) as deltas:
            async for delta in deltas:
                if delta.text:
                    pieces.append(delta.text)
                    emit(TextDelta(text=delta.text))
                usage = delta.usage or usage
                cut_off = cut_off or delta.finish_reason == "length"
        return Written(text="".join(pieces), usage=usage.model_copy(update={"turns": 1}), cut_off=cut_off)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One reply of the model, before it is parsed."""

    text: str
    usage: Usage
    cut_off: bool
    """Whether the model ran into its token limit."""


class Patience:
    """Notices a model that is stuck, tells it so once, and then gives up with a named error."""

    MOST_IN_A_ROW = 3

    def __init__(self) -> None:
        self._last: tuple[str, str] | None = None
        self._repeated = 0
        self._useless = 0

    def watch(self, code: str, observation: Observation) -> str:
        """Return what the model reads, with a nudge where it has just seen the very same from the same code."""
        self._useless = 0
        text = observation.text
        seen = (code, _ACTION_NUMBER.sub("", text))
        self._repeated = self._repeated + 1 if seen == self._last else 1
        self._last = seen
        if self._repeated == self.MOST_IN_A_ROW:
            raise ModelReplyError(
                f"The model repeats itself: it wrote the same action {self.MOST_IN_A_ROW} times in a row, each with "
                f"the same outcome ({first_line(text)!r}). Rephrase the task, or use a stronger model."
            )
        if self._repeated == 1:
            return text
        remedy = "Give your final answer now, without code." if observation.ok else "Write something else."
        return f"{text}\nYou ran exactly this before, with this outcome. {remedy}"

    def cut_off(self, max_tokens: int) -> str:
        """The model ran into its token limit inside a block, so the block is incomplete."""
        self._count(f"never closes its code block within {max_tokens} tokens", "Raise sampling.max_tokens")
        return f"Your reply was cut off after {max_tokens} tokens, so nothing was run. Write a shorter action.\n"

    def nothing_in_it(self, dialect: Dialect) -> str:
        """The reply holds neither an action nor an answer."""
        self._count("writes replies with neither code nor an answer", "Check the model's chat template")
        return dialect.reminder

    def wrong_answer(self, error: AnswerInvalid) -> str:
        """The answer is not of the type that was asked for."""
        self._useless += 1
        if self._useless == self.MOST_IN_A_ROW:
            raise error
        return f"{error}\nAnswer again, in the right form.\n"

    def _count(self, habit: str, remedy: str) -> None:
        self._useless += 1
        if self._useless == self.MOST_IN_A_ROW:
            raise ModelReplyError(f"The model {habit}, {self._useless} times in a row. {remedy}, or use another model.")


def first_line(text: str) -> str:
    """The first line of ``text``, shortened to 80 characters."""
    return (text.splitlines() or [""])[0][:80]


def _read_dialect(dialect: str | Dialect) -> Dialect:
    if isinstance(dialect, Dialect):
        return dialect
    try:
        return DIALECTS[dialect]
    except KeyError:
        raise ConfigurationError(f"dialect={dialect!r} is not known; there are {', '.join(DIALECTS)}.") from None
