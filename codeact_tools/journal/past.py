"""What a journal says of a run: a fold over its records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import ValidationError

from ..approvals import DONE
from ..errors import JournalError
from ..events import (
    EVENT_ADAPTER,
    ActionChecked,
    ActionFinished,
    ActionStarted,
    ApprovalDecided,
    ApprovalRequested,
    CallRecord,
    ContextTrimmed,
    Event,
    Observation,
    Recorded,
    ReplyFinished,
    RunFailed,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    ToolCalled,
    ToolReturned,
    TurnStarted,
    Usage,
)
from .redaction import holds_hidden
from .store import Record

RunStatus = Literal["open", "finished", "failed", "paused"]
"""``open``: it has neither ended nor been paused, so it is going on, or it was cut off."""


@dataclass(kw_only=True)
class PastCall:
    """A call as the journal has it."""

    key: int
    """Its number within the run."""
    record: CallRecord
    args: list[Any]
    kwargs: dict[str, Any]
    """The arguments as they came over the bridge, without secrets."""
    started: bool = False
    """Whether it was about to run; False where it was refused, or waits for a decision."""
    answer: dict[str, Any] | None = None
    """``{"value": …}``, ``{"raise": {…}}``, ``{"items": "end" | "closed"}`` or ``{"cancelled": True}``; None where it
    did not finish."""
    late: dict[str, Any] | None = None
    """The answer that came after the call was cancelled."""
    items: list[Any] = field(default_factory=list)
    """Of a stream: what it gave so far."""
    asked: str | None = None
    """Why somebody was asked about it."""
    decision: ApprovalDecided | None = None
    """What was decided since it was last started."""
    done: list[Any] | None = None
    """Of the decision that it has happened already: what it gave, as JSON, in a list of one."""
    at: float = 0.0
    """When it first came; seconds since 1970."""
    ended: int = 0
    """The record of its end."""

    @property
    def known(self) -> dict[str, Any] | None:
        """What the call gave, whether or not somebody waited for it; None where nobody knows."""
        return self.late if self.answer is not None and "cancelled" in self.answer else self.answer

    @property
    def matches(self) -> str:
        """What a call of the same tool with the same arguments has in common with it."""
        return identity(self.record.tool, self.args, self.kwargs)


@dataclass(kw_only=True)
class PastAction:
    """An action as the journal has it."""

    number: int
    """Among the run's actions, from 1."""
    at: float
    """When it started; seconds since 1970."""
    code: str
    ran: str | None = None
    """The code that was executed; None where the check refused it."""
    calls: list[PastCall] = field(default_factory=list)
    checked: ActionChecked | None = None
    observation: Observation | None = None
    """None where it did not finish."""


@dataclass(kw_only=True)
class Past:
    """One run up to its last whole record."""

    run_id: str
    configuration: dict[str, Any] = field(default_factory=dict)
    records: int = 0
    status: RunStatus = "open"
    tasks: list[str] = field(default_factory=list)
    messages: list[tuple[str, str]] = field(default_factory=list)
    """Role and content, up to the last finished turn."""
    task_places: list[int] = field(default_factory=list)
    """Where in the messages tasks are stated."""
    cut: dict[str, Any] | None = None
    """What of the messages the model did not read any longer; see `codeact_tools.trimming`."""
    turn: int = 0
    """Of the last task, from 1."""
    turn_open: bool = False
    """Whether that turn did not finish."""
    reply: ReplyFinished | None = None
    """The reply of an unfinished turn."""
    cut_off: bool = False
    """Whether that reply ran into its token limit."""
    actions: list[PastAction] = field(default_factory=list)
    acting: bool = False
    """Whether the last action belongs to an unfinished turn."""
    usage: list[Usage] = field(default_factory=list)
    """Of the last task's replies."""
    answer: Any = None
    """As JSON, of a finished task."""
    ending: RunFinished | RunFailed | RunPaused | None = None
    events: list[Recorded] = field(default_factory=list)
    """Everything that happened, for people and traces."""
    calls: dict[int, PastCall] = field(default_factory=dict)

    @property
    def waiting(self) -> list[PastCall]:
        """The calls that wait for a decision."""
        if not self.acting or not self.actions:
            return []
        return [
            call
            for call in self.actions[-1].calls
            if call.known is None and call.asked is not None and call.decision is None
        ]

    @property
    def to_rebuild(self) -> list[PastAction]:
        """The finished actions that made the interpreter what it was."""
        actions: list[PastAction] = []
        for action in self.actions:
            if action.observation is None or action.ran is None:
                continue
            actions.append(action)
            if action.observation.error is not None and action.observation.error.state_lost:
                actions = []
        return actions


FORMAT: Final = 2
"""Of the records; what is not in `_READABLE` is not read."""
_READABLE: Final = (1, FORMAT)
"""Up to 1, all records of a call held its arguments and its result."""
SAME: Final = {"same": True}
"""Stands for an answer whose value is, as it went over the bridge, what the event has as the result."""


def identity(tool: str, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    """A text that two calls share exactly where they are the same call; for calls without secrets in them."""
    return json.dumps([tool, list(args), kwargs], sort_keys=True, separators=(",", ":"))


def read_past(run_id: str, records: Iterable[Record]) -> Past:
    """Fold ``records`` into what is known of the run."""
    past = Past(run_id=run_id)
    reader = _Reader(past)
    for record in records:
        past.records = record.seq
        try:
            event = None if record.event is None else _completed(EVENT_ADAPTER.validate_python(record.event), past)
            if event is not None:
                past.events.append(Recorded(record.at, event))
            reader.take(record, event)
        except (ValidationError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise JournalError(
                f"Record {record.seq} of the run {run_id} ({record.kind}) cannot be read by this version of "
                "codeact_tools; read it with the one that wrote it."
            ) from error
    return past


def _completed(event: Event, past: Past) -> Event:
    """The event with the arguments and results of calls that earlier records have."""
    if isinstance(event, ToolReturned) and (known := past.calls.get(event.call.id)) is not None:
        arguments = event.call.arguments or known.record.arguments
        return ToolReturned(call=event.call.model_copy(update={"arguments": arguments}))
    if isinstance(event, ActionFinished) and event.observation.calls:
        calls = tuple(_completed_call(call, past) for call in event.observation.calls)
        return ActionFinished(observation=event.observation.model_copy(update={"calls": calls}))
    return event


def _completed_call(call: CallRecord, past: Past) -> CallRecord:
    if (known := past.calls.get(call.id)) is None:
        return call
    result = known.record.result if call.error is None else call.result
    return call.model_copy(update={"arguments": known.record.arguments, "result": result})


class _Reader:
    """Takes records in order."""

    def __init__(self, past: Past) -> None:
        self.past = past
        self._known = 0
        """Messages before the task at hand."""

    def take(self, record: Record, event: Event | None) -> None:
        data = record.data or {}
        match event:
            case None:
                self._take_data(record.kind, data)
            case RunStarted() | RunResumed() | RunFinished() | RunFailed() | RunPaused():
                self._take_course(event, data)
            case TurnStarted():
                self.past.turn, self.past.turn_open = event.turn, True
            case ReplyFinished():
                self.past.reply, self.past.cut_off = event, bool(data.get("cut_off"))
                self.past.usage.append(event.usage)
            case ActionStarted() | ActionChecked() | ActionFinished():
                self._take_action(record.at, event, data)
            case ContextTrimmed():
                self.past.cut = data.get("cut")
            case ToolCalled() | ToolReturned() | ApprovalRequested() | ApprovalDecided():
                self._take_call(record.at, event, data)
            case _:
                pass

    def _take_data(self, kind: str, data: dict[str, Any]) -> None:
        past = self.past
        if kind == "run":
            if data.get("format") not in _READABLE:
                raise ValueError(f"format {data.get('format')!r}")
            past.configuration = data
        elif kind == "message":
            past.messages.extend((role, content) for role, content in data["messages"])
            if data["closes_turn"]:
                past.reply, past.acting, past.turn_open = None, False, False
        elif kind == "item" and data["call"] in past.calls:
            past.calls[data["call"]].items.append(data["value"])

    def _take_course(
        self, event: RunStarted | RunResumed | RunFinished | RunFailed | RunPaused, data: dict[str, Any]
    ) -> None:
        past = self.past
        if isinstance(event, RunStarted):
            if past.tasks and past.status != "finished":  # a task that failed leaves no trace in the conversation
                del past.messages[self._known :]
                past.task_places = [place for place in past.task_places if place < self._known]
            self._known = len(past.messages)
            past.task_places.append(self._known)
            past.tasks.append(event.task)
            past.turn, past.usage, past.reply, past.acting, past.turn_open = 0, [], None, False, False
        if isinstance(event, RunResumed) and past.status == "finished":
            return  # for a further task, which starts next
        if isinstance(event, RunStarted | RunResumed):
            past.status, past.ending = "open", None
            return
        past.ending = event
        past.status = {RunFinished: "finished", RunFailed: "failed", RunPaused: "paused"}[type(event)]  # type: ignore[assignment]
        if isinstance(event, RunFinished):
            past.answer, past.reply, past.acting, past.turn_open = event.answer, None, False, False
            past.messages.extend((role, content) for role, content in data.get("messages", ()))

    def _take_action(
        self, at: float, event: ActionStarted | ActionChecked | ActionFinished, data: dict[str, Any]
    ) -> None:
        past = self.past
        if isinstance(event, ActionStarted):
            past.actions.append(PastAction(number=len(past.actions) + 1, at=at, code=event.code))
            past.acting = True
        elif past.actions and isinstance(event, ActionChecked):
            past.actions[-1].checked = event
        elif past.actions and isinstance(event, ActionFinished):
            past.actions[-1].observation = event.observation
            past.actions[-1].ran = data.get("ran")

    def _take_call(
        self, at: float, event: ToolCalled | ToolReturned | ApprovalRequested | ApprovalDecided, data: dict[str, Any]
    ) -> None:
        key = event.call_id if isinstance(event, ApprovalDecided) else event.call.id
        call = self.past.calls.get(key)
        if call is None:
            if isinstance(event, ApprovalDecided) or not self.past.actions:
                return
            args, kwargs = data.get("args", []), data.get("kwargs", {})
            call = PastCall(key=key, record=event.call, args=args, kwargs=kwargs, at=at)
            self.past.calls[key] = call
            self.past.actions[-1].calls.append(call)
        match event:
            case ToolCalled():
                call.started, call.decision, call.done, call.asked = True, None, None, None
                call.answer = call.late = None
                call.items.clear()
                call.record = event.call
            case ToolReturned():
                answer = data.get("answer") or {}
                if answer == SAME:
                    answer = {"value": event.call.result}
                call.ended = self.past.records
                if call.answer is None:
                    call.record, call.answer = event.call, answer
                elif "cancelled" not in answer:
                    call.late = answer
            case ApprovalRequested():
                call.asked, call.decision, call.done = event.reason, None, None
            case ApprovalDecided():
                call.done = [data["done"]] if "done" in data else None
                # What was to be done, or what it gave, may have been a secret; then somebody is asked again.
                happened = event.verdict == "allow" and event.reason == DONE
                if happened:
                    call.items.clear()
                unknown = happened and call.done is None
                if event.verdict == "deny" or not (unknown or holds_hidden([event.arguments, call.done])):
                    call.decision = event
