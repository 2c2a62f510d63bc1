"""The loop: ask the model, run its action, show it what happened, until it answers."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import ExitStack, aclosing, suppress
from dataclasses import asdict, field, replace
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Any, Generic, Self, TypeVar, cast, overload

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ._portal import Portal
from .answers import AnswerBox
from .approvals import Approval, Policy
from .configuration import changed_settings, changed_tools, describe
from .dialects import DIALECTS, Dialect
from .errors import (
    AnswerInvalid,
    CodeActError,
    ConfigurationError,
    ContextOverflow,
    JournalError,
    ModelReplyError,
    RunDiverged,
    RunLimitReached,
    RunPaused,
    TurnLimitReached,
)
from .events import (
    ActionFinished,
    Artifact,
    Event,
    LimitReached,
    Observation,
    ReplyFinished,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    TextDelta,
    TurnStarted,
    Usage,
    WarningRaised,
)
from .events import RunPaused as Paused
from .journal import Journal, Past, Store, open_journal
from .models import resolve_model
from .models.base import Message, Model, Role, Sampling, until_stop
from .models.grammar import action_grammar
from .prompts import system_prompt
from .registry import ToolRegistry
from .sandbox.base import Limits, Sandbox
from .session import CheckMode, Session, first_problem
from .settings import secret_values
from .toolkits import ToolSource, resolve_tools
from .trimming import UNCUT, Cut, fit

T = TypeVar("T")
_ACTION_NUMBER = re.compile(r"<action \d+>")
"""The file name of an action in tracebacks."""
_MOST_TRIMS = 3
"""How often a model that refuses a conversation as too long is asked with less of it."""


@plain_dataclass(frozen=True, kw_only=True)
class RunResult(Generic[T]):
    """What a run brought."""

    answer: T
    """The final answer: text, or a value of ``output_type``."""
    events: tuple[Event, ...] = field(repr=False)
    """All that happened, in order."""
    usage: Usage
    artifacts: tuple[Artifact, ...] = ()
    """Files that the actions wrote, the latest of each name."""
    run_id: str = ""
    """Its name in the journal."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class RunLimits:
    """What one run may use, over all its turns; None: any amount.

    >>> RunLimits(tokens=50_000, seconds=120).cost is None
    True
    """

    tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens that the model read and wrote; checked before each reply."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """Wall time; the run is cancelled then, wherever it is."""
    cost: Annotated[float, Field(gt=0)] | None = None
    """In the currency in which the endpoint reports it; where it reports none, this limit does nothing."""


class CodeActAgent:
    """A language model that acts by writing Python with your tools.

    >>> agent = CodeActAgent(tools=["calendar"], model=model)
    >>> agent.run("On which weekday is Christmas Eve in 2026?").answer
    'On a Thursday.'

    Args:
        tools: As for `Session`.
        model: ``"auto"``, the name of a model (see `codeact_tools.models.resolve_model`), or a `Model`.
        sandbox, check, allow_imports, packages, limits, policies: As for `Session`.
        approve: As for `Session`, and asked about destructive tools, too; or ``"pause"``: a call that needs approval
            stops the run with `RunPaused`, to be resumed after somebody has decided.
        journal: Where every run is recorded: a file, a `Journal` or a `Store`; False for nowhere; by default the file
            of ``CODEACT_TOOLS_JOURNAL``, else one in the user's folder for application state.
        dialect: How actions and answers are written; the model's own by default.
        max_turns: Most replies of the model in one run.
        run_limits: Most tokens, seconds and cost of one run: a `RunLimits`, or its fields as a mapping.
        instructions: Appended to the system prompt.
        prompt_tokens: Most tokens that the tools may take up in the system prompt.
        observation_chars: Most characters of an observation; what is beyond is cut out of the middle.
        constrain: Whether the model is held to a grammar inside its actions: Python whose calls of tools exist. Needs a
            model that takes one; see `codeact_tools.models.grammar`.
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
        policies: Sequence[Policy] = (),
        approve: Approval = None,
        journal: Journal | Store | str | os.PathLike[str] | bool | None = None,
        dialect: str | Dialect | None = None,
        max_turns: int = 10,
        run_limits: RunLimits | Mapping[str, Any] | None = None,
        instructions: str = "",
        prompt_tokens: int | None = None,
        observation_chars: int = 4000,
        constrain: bool = False,
        sampling: Sampling | None = None,
    ) -> None:
        if max_turns < 1:
            raise ConfigurationError(f"max_turns={max_turns!r}: a run needs at least one turn.")
        self.registry = resolve_tools(tools)
        self.model, self.choice = resolve_model(model)
        self.dialect = _read_dialect(dialect or self.model.dialect)
        self.max_turns = max_turns
        self.run_limits = _read_run_limits(run_limits)
        self.instructions = instructions
        self.prompt_tokens = prompt_tokens
        self.sampling = sampling or Sampling()
        self.constrain = constrain
        self.session_options: dict[str, Any] = {
            "sandbox": sandbox,
            "check": check,
            "allow_imports": allow_imports,
            "packages": packages,
            "limits": limits,
            "policies": policies,
            "approve": approve,
            "confirm_destructive": True,
            "observation_chars": observation_chars,
        }
        self.origin: Mapping[str, Any] = {}
        """What a program that resumes runs needs to make this agent again: kept with each run, as JSON."""
        self._journal = journal

    def open_journal(self) -> tuple[Journal | None, str | None]:
        """Where runs are recorded, and why nowhere, where that was not asked for.

        Raises:
            JournalError: The journal that was asked for cannot be opened.
        """
        try:
            return open_journal(self._journal), None
        except JournalError as error:
            if self._journal is not None:
                raise
            return None, f"This run cannot be resumed, because it is not recorded. {error}"

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

    def resume(
        self, run_id: str, *, output_type: Any = str, on_event: Callable[[Event], None] | None = None
    ) -> RunResult[Any]:
        """Go on with a run that was cut off, failed or waits for a decision, from its journal, and return the answer.

        The variables are rebuilt by running the finished actions again, with the recorded results of their calls: no
        tool runs twice. A call that had started and not finished is repeated if its tool is ``read_only`` or
        ``idempotent``; otherwise ``approve`` is asked, or the run pauses.

        Args:
            run_id: The run, or the beginning of its name; ``last`` for the newest.
            output_type: As for `run`.
            on_event: As for `run`; it sees what happens from now on.

        Raises:
            RunNotFound: The journal knows no such run.
            RunBusy: Another process goes on with it.
            RunPaused: It waits for a decision.
            RunDiverged: Its tools have changed, or an action did something else than the first time.
            CodeActError: As for `run`.
        """
        with Portal() as portal:
            return portal.run(self.aresume(run_id, output_type=output_type, on_event=on_event))

    async def aresume(
        self, run_id: str, *, output_type: Any = str, on_event: Callable[[Event], None] | None = None
    ) -> RunResult[Any]:
        """`resume` for asynchronous callers."""
        async with self.resumed(run_id, output_type=output_type) as conversation:
            return await conversation.ago_on(on_event=on_event)

    def resumed(self, run_id: str, *, output_type: Any = str) -> Conversation:
        """The conversation of a run in the journal; `Conversation.ago_on` finishes its last task.

        Raises:
            RunNotFound: The journal knows no such run.
            ConfigurationError: The agent has no journal.
        """
        journal, problem = self.open_journal()
        if journal is None:
            raise ConfigurationError(problem or "This agent has no journal (journal=False), so no run can be resumed.")
        return Conversation(self, output_type=output_type, past=journal.past(journal.find(run_id)))


class Conversation:
    """Several tasks in a row that share the interpreter's variables and the message history."""

    def __init__(self, agent: CodeActAgent, *, output_type: Any = str, past: Past | None = None) -> None:
        self.run_id = past.run_id if past else uuid.uuid4().hex
        self._agent = agent
        self._dialect = _dialect_of(past, agent) if past else agent.dialect
        self._answers = AnswerBox(output_type)
        self._past = past
        journal, problem = agent.open_journal()
        registry = self._answers.extend(agent.registry)
        seed = past.configuration.get("seed") if past else secrets.randbits(128)
        self._log = None
        if journal is not None:
            hidden = secret_values(registry)
            self._log = journal.log(self.run_id, records=past.records if past else 0, secrets=hidden)
        self.session = Session(
            registry,
            run_id=self.run_id,
            log=self._log,
            seed=None if journal is None else seed,
            past=past,
            **agent.session_options,
        )
        prompt = system_prompt(
            self.session.registry,
            self._dialect,
            allow_imports=self.session.allow_imports,
            answer_tool=self._answers.tool_name,
            budget=agent.prompt_tokens,
            instructions=agent.instructions,
        )
        self.messages: list[Message] = [Message("system", prompt.text)]
        """The history, as the model reads it."""
        self._notes = (*prompt.notes, *filter(None, [problem, journal.lost if journal else None]))
        self._configuration = describe(agent, self.session, seed=seed, output_type=output_type)
        self._grammar = action_grammar(self.session.registry, self._dialect.action) if agent.constrain else None
        self._cut = Cut(**past.cut) if past and past.cut else UNCUT
        """What of the history the model does not read any longer."""
        self._tasks = list(past.task_places) if past else []
        """Where in the history tasks are stated."""
        self._held = ExitStack()
        """Nobody else goes on with the run meanwhile."""
        self._begun = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        with self._held:
            try:
                await self.session.aclose()
            finally:
                if self._log is not None:
                    self._log.close()

    async def arun(self, task: str, *, on_event: Callable[[Event], None] | None = None) -> RunResult[Any]:
        """Solve one more task; see `CodeActAgent.run`."""
        return await self._collect(task, on_event)

    async def ago_on(self, *, on_event: Callable[[Event], None] | None = None) -> RunResult[Any]:
        """Finish the last task of a run from the journal; see `CodeActAgent.resume`."""
        return await self._collect(None, on_event)

    async def _collect(self, task: str | None, on_event: Callable[[Event], None] | None) -> RunResult[Any]:
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
            answer=finished.answer,
            events=tuple(events),
            usage=finished.usage,
            artifacts=tuple(artifacts.values()),
            run_id=self.run_id,
        )

    async def stream(self, task: str | None) -> AsyncGenerator[Event]:
        """Solve one more task, or finish that of a resumed run where it is None; see `CodeActAgent.stream`."""
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

    async def _run(self, task: str | None, emit: Callable[[Event], None]) -> RunFinished:
        """One task, from its first event to its last."""
        past = self._take_past(task)
        if task is None and past is not None and past.status == "finished":
            assert isinstance(past.ending, RunFinished)  # noqa: S101 - that is what finished it
            return past.ending.model_copy(update={"answer": self._answers.revive(past.answer)})
        if past is not None and not past.tasks:  # it broke off before it began
            task, past = past.configuration["task"], None
        before, past = (past, None) if task is not None else (None, past)
        self._emit = emit
        self.session.on_event = emit
        self._answers.clear()
        known = past.task_places[-1] if past else len(before.messages if before else self.messages)
        started = time.perf_counter()
        spent = [Usage(), *(past.usage if past else ())]

        def total() -> Usage:
            return sum(spent, Usage()).model_copy(update={"seconds": time.perf_counter() - started})

        try:
            self._begin(task)
            if past is None and before is None:
                await self._open_for(task or "", known)
            else:
                await self.session.aopen()
            for note in self._notes:
                self._tell(WarningRaised(message=note))
            self._past = None
            if past is not None:
                await self._rebuild(past)
            elif before is not None:
                await self._rebuild(before)
                self._state(task or "", known)
            answer = await self._in_time(self._solve(spent, past))
        except RunPaused as pause:
            self._forget(known)
            waiting, message = pause.waiting, str(pause)
            self._tell(Paused(run_id=self.run_id, waiting=waiting, message=message, usage=total()), durable=True)
            raise
        except CodeActError as error:
            self._forget(known)
            self._tell_failure(type(error).__name__, str(error), total())
            raise
        except asyncio.CancelledError:
            self._forget(known)
            self._tell_failure("Cancelled", "The run was cancelled.", total())
            raise
        finished = RunFinished(answer=answer, usage=total())
        last = self.messages[-1]
        self._tell(finished, {"messages": [[last.role, last.content]]}, durable=True)
        return finished

    async def _open_for(self, task: str, known: int) -> None:
        """Open the sandbox and state the task, which is recorded also where there is no sandbox."""
        try:
            await self.session.aopen()
        finally:
            self._state(task, known)

    def _state(self, task: str, known: int) -> None:
        self._tasks.append(known)
        self._tell(self._opening(task))
        self._say(("user", self._dialect.task.replace("{task}", task)))

    def _forget(self, known: int) -> None:
        """Drop the task at hand: a history that ends in the middle of a task would confuse the next one."""
        del self.messages[known:]
        self._tasks = [place for place in self._tasks if place < known]
        if max(self._cut.shortened, self._cut.summarised) > known:
            self._cut = UNCUT

    async def _in_time(self, solving: Coroutine[Any, Any, Any]) -> Any:
        """Wait for the answer, as long as the run may take."""
        seconds = self._agent.run_limits.seconds
        try:
            async with asyncio.timeout(seconds) as limit:
                return await solving
        except TimeoutError:
            if not limit.expired():
                raise
        raise self._used_up("seconds", f"{seconds:g} seconds")

    def _check_usage(self, spent: list[Usage]) -> None:
        """Stop where tokens or cost are used up."""
        limits, used = self._agent.run_limits, sum(spent, Usage())
        tokens = used.prompt_tokens + used.completion_tokens
        if limits.tokens is not None and tokens >= limits.tokens:
            raise self._used_up("tokens", f"{limits.tokens:,} tokens ({tokens:,} so far)")
        if limits.cost is not None and used.cost is not None and used.cost >= limits.cost:
            raise self._used_up("cost", f"cost of {limits.cost:g} ({used.cost:g} so far)")

    def _used_up(self, limit: str, what: str) -> RunLimitReached:
        message = f"The run used up its {what} before it had an answer. Allow more (run_limits), and resume it."
        self._tell(LimitReached(limit=limit, message=message))
        return RunLimitReached(message)

    def _take_past(self, task: str | None) -> Past | None:
        """What the journal says of an unfinished task, where the task is to go on with that."""
        past = self._past
        if task is not None and not task.strip():
            raise ConfigurationError("The task is empty; say what to do.")
        if task is None and past is None:
            raise ConfigurationError("There is no task to go on with; give one.")
        if task is not None and past is not None and past.status != "finished":
            raise ConfigurationError("Finish the resumed task first: ago_on().")
        return past

    def _begin(self, task: str | None) -> None:
        """Claim the run and record what it is made of, once."""
        if self._begun or self._log is None:
            return
        self._held.enter_context(self._log.store.claim(self.run_id))
        self._begun = True
        if not self._log.records:
            self._log.opening({**self._configuration, "task": task})
        if self._log.records == 1:
            self._log.messages([("system", self.messages[0].content)], closes_turn=False)

    async def _rebuild(self, past: Past) -> None:
        """Make messages and variables what they were."""
        used = {call.record.tool for call in past.calls.values()}
        if changed := changed_tools(past.configuration, self._configuration, used=used):
            raise RunDiverged(
                f"The run {self.run_id} cannot go on, because tools that it called have changed: {changed}. Resume it "
                "with the tools that it had, or start a new one."
            )
        calls = sum(call.known is not None for call in past.calls.values())
        self._tell(RunResumed(run_id=self.run_id, actions=len(past.to_rebuild), calls=calls))
        if settings := changed_settings(past.configuration, self._configuration):
            self._tell(WarningRaised(message=f"The run goes on with another configuration: {settings}."))
        self.messages[:] = [Message(cast(Role, role), content) for role, content in past.messages]
        if len(self.messages) == past.task_places[-1]:  # it broke off right there
            self._say(("user", self._dialect.task.replace("{task}", past.tasks[-1])))
        try:
            for difference in await self.session.rebuild(past.to_rebuild):
                self._tell(difference)
        except RunDiverged as error:
            if settings:
                raise RunDiverged(f"{error} The configuration has changed since: {settings}.") from error
            raise
        if past.acting and past.actions[-1].observation is not None:
            self.session.answer_again(past.actions[-1])

    def _tell(self, event: Event, data: Mapping[str, Any] | None = None, *, durable: bool = False) -> None:
        if self._log is not None and self._begun and not isinstance(event, TextDelta):
            self._log.event(event, data, durable=durable)
        self._emit(event)

    def _tell_failure(self, error: str, message: str, usage: Usage) -> None:
        event = RunFailed(error=error, message=message, usage=usage)
        if self._log is not None and self._begun:
            with suppress(JournalError):  # it may be what failed
                self._log.event(event, durable=True)
        self._emit(event)

    def _say(self, *messages: tuple[Role, str], closes_turn: bool = False) -> None:
        self.messages.extend(Message(role, content) for role, content in messages)
        if self._log is not None:
            self._log.messages(messages, closes_turn=closes_turn)

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

    async def _solve(self, spent: list[Usage], past: Past | None = None) -> Any:
        """Take turns until the model answers."""
        turns = self._agent.max_turns
        patience = Patience()
        first = 1 if past is None else past.turn if past.turn_open else past.turn + 1
        for turn in range(first, turns + 1):
            resumed = past if past is not None and past.turn_open and turn == first else None
            written = await self._reply(turn, spent, resumed)
            reply = self._dialect.parse(written.text, answer_calls=self._answers.tool_name is None)
            if written.cut_off and not reply.closed:
                shown = patience.cut_off(self._agent.sampling.max_tokens)
            elif reply.actions:
                observation = await self._act(reply.code, resumed)
                if self._answers.given and observation.ok:
                    self.messages.append(Message("assistant", reply.text))
                    return self._answers.value
                output = patience.watch(reply.code, observation)
                shown = self._dialect.observe(output, steps_left=turns - turn)
            elif reply.answer is not None:
                try:
                    answer = self._answers.read(reply.answer)
                except AnswerInvalid as error:
                    shown = patience.wrong_answer(error)
                else:
                    self.messages.append(Message("assistant", reply.text))
                    return answer
            else:
                shown = patience.nothing_in_it(self._dialect)
            self._say(("assistant", reply.text), ("user", shown), closes_turn=True)
        self._tell(LimitReached(limit="turns", message=f"The model used all its {turns} turns."))
        raise TurnLimitReached(
            f"The model used all its {turns} turns and gave no answer. "
            "Raise max_turns, make the task smaller, or use a stronger model."
        )

    async def _reply(self, turn: int, spent: list[Usage], resumed: Past | None) -> Written:
        """The reply of this turn: from the model, or from the journal where it is there already."""
        if resumed is not None and resumed.reply is not None:
            return Written(text=resumed.reply.text, usage=Usage(), cut_off=resumed.cut_off)
        self._check_usage(spent)
        self._tell(TurnStarted(turn=turn))
        written = await self._written()
        spent.append(written.usage)
        self._tell(ReplyFinished(text=written.text, usage=written.usage), {"cut_off": written.cut_off})
        return written

    async def _act(self, code: str, resumed: Past | None) -> Observation:
        """Run the action of this turn, or what is left of it."""
        unfinished = resumed.actions[-1] if resumed is not None and resumed.acting else None
        if unfinished is not None and unfinished.observation is not None:
            return unfinished.observation
        self._answers.clear()  # what an action gave that failed afterwards is no answer
        return await (self.session.arun(code) if unfinished is None else self.session.go_on(unfinished))

    async def _written(self) -> Written:
        """Ask the model with what fits into its window; with less, where it refuses that."""
        for attempt in range(_MOST_TRIMS):
            trimmed = fit(
                self.messages, self._cut, model=self._agent.model, dialect=self._dialect,
                reply_tokens=self._agent.sampling.max_tokens, tasks=self._tasks, variables=self.session.variables,
                refused=attempt > 0,
            )  # fmt: skip
            self._cut = trimmed.cut
            if trimmed.event is not None:
                self._tell(trimmed.event, {"cut": asdict(trimmed.cut)})
            try:
                return await self._ask(trimmed.messages)
            except ContextOverflow:
                if attempt == _MOST_TRIMS - 1:
                    raise
        raise AssertionError("unreachable")

    async def ask(self, messages: Sequence[Message]) -> str:
        """The model's reply to ``messages``; nothing of it is run, and it is no part of the conversation."""
        self._emit = lambda _: None
        return (await self._ask(messages)).text

    async def _ask(self, messages: Sequence[Message]) -> Written:
        """Stream one reply."""
        sampling = replace(
            self._agent.sampling, stop=self._dialect.stop, grammar=self._grammar or self._agent.sampling.grammar
        )
        pieces: list[str] = []
        usage, cut_off = Usage(), False
        async with aclosing(until_stop(self._agent.model.stream(messages, sampling), sampling.stop)) as deltas:
            async for delta in deltas:
                if delta.text:
                    pieces.append(delta.text)
                    self._tell(TextDelta(text=delta.text))
                usage = delta.usage or usage
                cut_off = cut_off or delta.finish_reason == "length"
        return Written(text="".join(pieces), usage=usage.model_copy(update={"turns": 1}), cut_off=cut_off)


@plain_dataclass(frozen=True, slots=True, kw_only=True)
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


def _dialect_of(past: Past, agent: CodeActAgent) -> Dialect:
    """The dialect of the recorded replies, whichever the model prefers that goes on."""
    name = past.configuration.get("dialect", agent.dialect.name)
    if name == agent.dialect.name:
        return agent.dialect
    if name in DIALECTS:
        return DIALECTS[name]
    raise ConfigurationError(
        f"The run {past.run_id} was written in the dialect {name!r}, which is not known here; resume it with an agent "
        "that has dialect=... as then."
    )


_RUN_LIMITS: TypeAdapter[RunLimits] = TypeAdapter(RunLimits)


def _read_run_limits(limits: RunLimits | Mapping[str, Any] | None) -> RunLimits:
    if isinstance(limits, RunLimits):
        return limits
    try:
        return _RUN_LIMITS.validate_python(dict(limits or {}))
    except (ValidationError, TypeError) as error:
        known = ", ".join(RunLimits.__dataclass_fields__)
        raise ConfigurationError(
            f"run_limits={limits!r} cannot be used: {first_problem(error)}. Known: {known}."
        ) from error
