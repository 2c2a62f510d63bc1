"""A run as a tree: tasks, their turns, an action in each, its calls. A fold over recorded events.

    >>> from codeact_tools.events import RunStarted, TurnStarted
    >>> started = RunStarted(run_id="r1", task="Count.", model="m", sandbox="local", dialect="chat", tools=())
    >>> trace = read_trace([Recorded(10.0, started), Recorded(10.5, TurnStarted(turn=1))])
    >>> trace.tasks[0].task, [turn.start for turn in trace.turns], trace.state
    ('Count.', [10.5], 'open')

It takes what there is: a run that broke off, one that was paused for days and resumed, calls that were refused before
they started, or events that were collected live, with pieces of output between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from ..errors import ConfigurationError
from ..events import (
    ActionChecked,
    ActionFinished,
    ActionStarted,
    ApprovalDecided,
    ApprovalRequested,
    CallRecord,
    CallRetried,
    ContextTrimmed,
    Diverged,
    Event,
    LimitReached,
    Observation,
    OutputReceived,
    Recorded,
    ReplyFinished,
    RunFailed,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    TextDelta,
    ToolCalled,
    ToolReported,
    ToolReturned,
    TurnStarted,
    Usage,
    WarningRaised,
)

State = Literal["open", "finished", "failed", "cancelled", "paused"]
"""``open``: the events end before the run does; it still runs, or it broke off."""
Remark = WarningRaised | LimitReached | ContextTrimmed | Diverged | RunResumed | RunPaused


@dataclass(kw_only=True)
class Ask:
    """A question whether a call may run, and what became of it."""

    requested: float | None = None
    """None where a policy decided and nobody was asked."""
    reason: str = ""
    decided: float | None = None
    decision: ApprovalDecided | None = None


@dataclass(kw_only=True)
class Call:
    """One tool call."""

    record: CallRecord
    start: float | None = None
    """None where it never started."""
    end: float | None = None
    asks: list[Ask] = field(default_factory=list)
    retries: list[CallRetried] = field(default_factory=list)
    reports: list[tuple[float, str]] = field(default_factory=list)


@dataclass(kw_only=True)
class Action:
    """One action, from its check to its observation."""

    code: str
    start: float
    checked_at: float | None = None
    check: ActionChecked | None = None
    end: float | None = None
    observation: Observation | None = None
    """None where it did not finish."""
    output: str = ""
    """What it printed, as far as it was heard of live."""
    calls: dict[int, Call] = field(default_factory=dict)


@dataclass(kw_only=True)
class Turn:
    """A reply of the model and what it led to."""

    number: int
    """Within its task, from 1."""
    start: float
    replied: float | None = None
    end: float
    reply: ReplyFinished | None = None
    written: str = ""
    """The reply as far as it was heard of live."""
    action: Action | None = None


@dataclass(kw_only=True)
class Note:
    """Something about the run that people should know."""

    at: float
    remark: Remark


@dataclass(kw_only=True)
class Task:
    """One task of a run; a conversation has several."""

    started: RunStarted
    start: float
    end: float
    items: list[Turn | Note] = field(default_factory=list)
    """In order."""
    ending: RunFinished | RunFailed | RunPaused | None = None

    @property
    def task(self) -> str:
        """What was to be done."""
        return self.started.task

    @property
    def turns(self) -> list[Turn]:
        """The turns in order."""
        return [item for item in self.items if isinstance(item, Turn)]

    @property
    def state(self) -> State:
        """How it ended."""
        match self.ending:
            case RunFinished():
                return "finished"
            case RunFailed(error="Cancelled"):
                return "cancelled"
            case RunFailed():
                return "failed"
            case RunPaused():
                return "paused"
        return "open"

    @property
    def usage(self) -> Usage:
        """What it consumed; the sum of its replies where it has not ended."""
        if self.ending is not None:
            return self.ending.usage
        return sum((turn.reply.usage for turn in self.turns if turn.reply is not None), Usage())


@dataclass(kw_only=True)
class Trace:
    """A whole run."""

    tasks: list[Task] = field(default_factory=list)
    breaks: list[tuple[float, float]] = field(default_factory=list)
    """Times during which no process worked on it: it was paused, or had broken off."""

    @property
    def started(self) -> RunStarted:
        """The run's first event."""
        return self.tasks[0].started

    @property
    def start(self) -> float:
        """Seconds since 1970."""
        return self.tasks[0].start

    @property
    def end(self) -> float:
        """Seconds since 1970, of the last event."""
        return self.tasks[-1].end

    @property
    def turns(self) -> list[Turn]:
        """Of all tasks."""
        return [turn for task in self.tasks for turn in task.turns]

    @property
    def state(self) -> State:
        """How the last task ended."""
        return self.tasks[-1].state

    @property
    def usage(self) -> Usage:
        """Of all tasks."""
        return sum((task.usage for task in self.tasks), Usage())

    @property
    def seconds(self) -> float:
        """From the first event to the last, without the breaks."""
        return self.end - self.start - sum(end - start for start, end in self.breaks)

    def calls(self) -> Iterator[Call]:
        """All tool calls."""
        for turn in self.turns:
            if turn.action is not None:
                yield from turn.action.calls.values()


def read_trace(recorded: Iterable[Recorded]) -> Trace:
    """Fold ``recorded`` into a tree.

    Args:
        recorded: What `Journal.read` returns, or what was collected live, in the order in which it happened.

    Raises:
        ConfigurationError: There is no `RunStarted` among the events.
    """
    reader = _Reader()
    for at, event in recorded:
        reader.take(at, event)
    if not reader.trace.tasks:
        raise ConfigurationError("These events hold no run: there is no run_started among them.")
    return reader.trace


class _Reader:
    """Takes events in order."""

    def __init__(self) -> None:
        self.trace = Trace()
        self._turn: Turn | None = None
        self._last = 0.0
        self._paused: float | None = None

    def take(self, at: float, event: Event) -> None:
        if isinstance(event, RunStarted):
            self.trace.tasks.append(Task(started=event, start=at, end=at))
            self._turn = None
        if not self.trace.tasks:
            return
        task = self.trace.tasks[-1]
        match event:
            case RunResumed():
                self.trace.breaks.append((self._last if self._paused is None else self._paused, at))
                task.ending, self._paused = None, None
                task.items.append(Note(at=at, remark=event))
            case RunPaused():
                task.ending, self._paused = event, at
                task.items.append(Note(at=at, remark=event))
            case RunFinished() | RunFailed():
                task.ending = event
            case WarningRaised() | LimitReached() | ContextTrimmed() | Diverged():
                task.items.append(Note(at=at, remark=event))
            case TurnStarted():
                self._start_turn(task, at, event)
            case _ if self._turn is not None:
                self._in_turn(self._turn, at, event)
        self._last = task.end = max(task.end, at)
        if self._turn is not None and not isinstance(event, RunResumed | RunFinished | RunFailed | RunPaused):
            self._turn.end = max(self._turn.end, at)

    def _start_turn(self, task: Task, at: float, event: TurnStarted) -> None:
        if self._turn is not None and self._turn.number == event.turn and self._turn.reply is None:
            return  # it is taken again after the run was resumed
        self._turn = Turn(number=event.turn, start=at, end=at)
        task.items.append(self._turn)

    def _in_turn(self, turn: Turn, at: float, event: Event) -> None:
        match event:
            case TextDelta():
                turn.written += event.text
            case ReplyFinished():
                turn.reply, turn.replied = event, at
            case ActionStarted():
                if turn.action is None or turn.action.code != event.code:
                    turn.action = Action(code=event.code, start=at)
            case _ if turn.action is not None:
                self._in_action(turn.action, at, event)

    def _in_action(self, action: Action, at: float, event: Event) -> None:
        match event:
            case ActionChecked():
                if action.check is None:  # it is checked again when it goes on after a pause
                    action.check, action.checked_at = event, at
            case OutputReceived():
                action.output += event.text
            case ActionFinished():
                action.observation, action.end = event.observation, at
                for record in event.observation.calls:
                    action.calls.setdefault(record.id, Call(record=record))
            case ToolCalled() | ToolReturned() | ApprovalRequested():
                self._with_record(action, at, event)
            case ToolReported() | CallRetried() | ApprovalDecided():
                if (call := action.calls.get(event.call_id)) is None:
                    call = action.calls[event.call_id] = Call(record=CallRecord(id=event.call_id, tool=event.tool))
                self._about_call(call, at, event)
            case _:
                pass

    def _with_record(self, action: Action, at: float, event: ToolCalled | ToolReturned | ApprovalRequested) -> None:
        call = action.calls.setdefault(event.call.id, Call(record=event.call))
        match event:
            case ToolCalled():
                call.start, call.record = at, event.call
            case ToolReturned():
                call.end, call.record = at, event.call
            case ApprovalRequested():
                call.asks.append(Ask(requested=at, reason=event.reason))

    def _about_call(self, call: Call, at: float, event: ToolReported | CallRetried | ApprovalDecided) -> None:
        match event:
            case ToolReported():
                call.reports.append((at, event.message))
            case CallRetried():
                call.retries.append(event)
            case ApprovalDecided():
                if call.asks and call.asks[-1].decision == event:
                    return  # taken again, when the run goes on after a pause
                if not call.asks or call.asks[-1].decision is not None:
                    call.asks.append(Ask())
                call.asks[-1].decided, call.asks[-1].decision = at, event
