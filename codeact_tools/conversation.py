"""The loop: ask the model, run its action, show it what happened, until it answers."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from .answers import AnswerBox
from .budget import Budget
from .chronicle import Chronicle
from .configuration import changed_settings, changed_tools, describe
from .dialects import DIALECTS, Dialect
from .errors import (
    AnswerInvalid,
    CodeActError,
    ConfigurationError,
    RunDiverged,
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
    RunFinished,
    RunResumed,
    RunStarted,
    TurnStarted,
    Usage,
    WarningRaised,
)
from .events import RunPaused as Paused
from .journal import Past
from .models.base import Message, Role
from .observing import counted
from .patience import Patience
from .prompts import system_prompt
from .session import Session
from .settings import secret_values
from .trimming import UNCUT, Cut
from .writer import Writer, Written

if TYPE_CHECKING:
    from .agent import CodeActAgent

T = TypeVar("T")


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
    run_id: str = ""
    """Its name in the journal."""


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
        log = None
        if journal is not None:
            log = journal.log(self.run_id, records=past.records if past else 0, secrets=secret_values(registry))
        self._chronicle = Chronicle(log)
        self._tell = self._chronicle.tell
        self.session = Session(
            registry,
            run_id=self.run_id,
            log=log,
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
        self._writer = Writer(
            agent,
            self._dialect,
            self.session.registry,
            cut=Cut(**past.cut) if past and past.cut else UNCUT,
            chronicle=self._chronicle,
        )
        self._tasks = list(past.task_places) if past else []
        """Where in the history tasks are stated."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            await self.session.aclose()
        finally:
            self._chronicle.close()

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
        self._chronicle.listener = self.session.on_event = emit
        self._answers.clear()
        unfinished = past if task is None else None
        known = unfinished.task_places[-1] if unfinished else len(past.messages if past else self.messages)
        spent = unfinished.usage if unfinished else ()
        budget = Budget(self._agent.run_limits, spent=spent, tell=self._tell)
        try:
            self._chronicle.begin({**self._configuration, "task": task}, self.messages[0].content)
            await self._open(task, known, past)
            answer = await budget.in_time(self._solve(budget, unfinished))
        except RunPaused as pause:
            self._forget(known)
            waiting, message = pause.waiting, str(pause)
            self._tell(Paused(run_id=self.run_id, waiting=waiting, message=message, usage=budget.used), durable=True)
            raise
        except CodeActError as error:
            self._forget(known)
            self._chronicle.fail(type(error).__name__, str(error), budget.used)
            raise
        except asyncio.CancelledError:
            self._forget(known)
            self._chronicle.fail("Cancelled", "The run was cancelled.", budget.used)
            raise
        finished = RunFinished(answer=answer, usage=budget.used)
        last = self.messages[-1]
        self._tell(finished, {"messages": [[last.role, last.content]]}, durable=True)
        return finished

    async def _open(self, task: str | None, known: int, past: Past | None) -> None:
        """Open the sandbox, make it what it was, and state the task where it is a new one.

        The first task is recorded also where there is no sandbox.
        """
        try:
            await self.session.aopen()
        finally:
            if past is None:
                self._state(task or "", known)
        for note in self._notes:
            self._tell(WarningRaised(message=note))
        self._past = None
        if past is not None:
            await self._rebuild(past)
            if task is not None:
                self._state(task, known)

    def _state(self, task: str, known: int) -> None:
        self._tasks.append(known)
        self._tell(self._opening(task))
        self._say(("user", self._dialect.task.replace("{task}", task)))

    def _forget(self, known: int) -> None:
        """Drop the task at hand: a history that ends in the middle of a task would confuse the next one."""
        del self.messages[known:]
        self._tasks = [place for place in self._tasks if place < known]
        self._writer.forget(known)

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

    def _say(self, *messages: tuple[Role, str], closes_turn: bool = False) -> None:
        self.messages.extend(Message(role, content) for role, content in messages)
        self._chronicle.say(messages, closes_turn=closes_turn)

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

    async def _solve(self, budget: Budget, past: Past | None = None) -> Any:
        """Take turns until the model answers."""
        turns = self._agent.max_turns
        patience = Patience()
        first = 1 if past is None else past.turn if past.turn_open else past.turn + 1
        for turn in range(first, turns + 1):
            resumed = past if past is not None and past.turn_open and turn == first else None
            written = await self._reply(turn, budget, resumed, stuck=patience.stuck)
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
            elif reply.answer is not None and turn < turns and (doubt := patience.doubt(self._dialect)):
                shown = doubt
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
        used_up = f"The model used all its {counted(turns, 'turn')}"
        self._tell(LimitReached(limit="turns", message=f"{used_up}."))
        raise TurnLimitReached(
            f"{used_up} and gave no answer. Raise max_turns, make the task smaller, or use a stronger model."
        )

    async def _reply(self, turn: int, budget: Budget, resumed: Past | None, *, stuck: bool) -> Written:
        """The reply of this turn: from the model, or from the journal where it is there already."""
        if resumed is not None and resumed.reply is not None:
            return Written(text=resumed.reply.text, usage=Usage(), cut_off=resumed.cut_off)
        budget.check()
        self._tell(TurnStarted(turn=turn))
        written = await self._writer.next(
            self.messages, tasks=self._tasks, variables=self.session.variables, stuck=stuck
        )
        budget.spend(written.usage)
        self._tell(ReplyFinished(text=written.text, usage=written.usage), {"cut_off": written.cut_off})
        return written

    async def _act(self, code: str, resumed: Past | None) -> Observation:
        """Run the action of this turn, or what is left of it."""
        unfinished = resumed.actions[-1] if resumed is not None and resumed.acting else None
        if unfinished is not None and unfinished.observation is not None:
            return unfinished.observation
        self._answers.clear()  # what an action gave that failed afterwards is no answer
        return await (self.session.arun(code) if unfinished is None else self.session.go_on(unfinished))

    async def ask(self, messages: Sequence[Message]) -> str:
        """The model's reply to ``messages``; nothing of it is run, and it is no part of the conversation."""
        self._chronicle.listener = lambda _: None
        return (await self._writer.reply(messages)).text


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
