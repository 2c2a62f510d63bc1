"""A run as OpenTelemetry spans, by the semantic conventions for generative AI. Needs the extra ``otel``.

    from codeact_tools.tracing.otel import OpenTelemetrySink

    agent.run("Which order was the largest?", on_event=OpenTelemetrySink().on_event)

The tree of spans::

    invoke_agent                  the run, or its part between two pauses
    └── turn
        ├── chat MODEL            the model writes
        └── action
            ├── check
            └── execute_tool TOOL     one for each call; those in parallel overlap

Names and attributes follow https://github.com/open-telemetry/semantic-conventions-genai, which has the operations
``invoke_agent``, ``chat`` and ``execute_tool``; what it has no name for begins with ``codeact.``. What people and
models wrote, arguments, results and messages of errors stay out, unless the environment variable
``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` is ``true``, ``SPAN_ONLY`` or ``SPAN_AND_EVENT``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from .. import __version__
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
    Recorded,
    ReplyFinished,
    RunFailed,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    ToolCalled,
    ToolReported,
    ToolReturned,
    TurnStarted,
    WarningRaised,
)
from .conventions import CAPTURE_CONTENT, as_json, captures_content, error_type, messages_of, usage_attributes

try:
    from opentelemetry import context, trace
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode
except ImportError as error:
    raise ConfigurationError(
        "OpenTelemetry is not installed; run `pip install 'codeact-tools[otel]'` to export spans."
    ) from error

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext, Tracer, TracerProvider
    from opentelemetry.util.types import AttributeValue

__all__ = ["CAPTURE_CONTENT", "OpenTelemetrySink", "export"]

_Remark = WarningRaised | LimitReached | ContextTrimmed | Diverged


class OpenTelemetrySink:
    """Makes spans of a run's events while they happen.

    One sink follows one run at a time. The span that is current where the run starts, or else where the sink is made,
    becomes the parent.

    Args:
        tracer_provider: Where the spans go; the application's own by default.
        agent_name: What the agent is called, ``gen_ai.agent.name``.
        provider_name: Who serves the model, ``gen_ai.provider.name``: ``openai``, ``mistral_ai``, ...
        capture_content: Whether texts, arguments and results go into the spans; as the environment says by default.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        *,
        agent_name: str | None = None,
        provider_name: str = "codeact_tools",
        capture_content: bool | None = None,
    ) -> None:
        provider = tracer_provider or trace.get_tracer_provider()
        self._tracer: Tracer = provider.get_tracer("codeact_tools", __version__)
        self._made_in = context.get_current()
        self._name = agent_name
        self._provider = provider_name
        self._content = captures_content() if capture_content is None else capture_content
        self._run: Span | None = None
        self._turn: Span | None = None
        self._chat: Span | None = None
        self._action: Span | None = None
        self._check: Span | None = None
        self._calls: dict[int, Span] = {}
        self._run_id = ""
        self._model = ""
        self._read = ""
        """What the model reads next."""
        self._turns = 0
        self._last = 0
        self._paused: SpanContext | None = None
        """Of the part of the run before a pause."""

    def on_event(self, event: Event) -> None:
        """Take an event that happens now."""
        self.take(time.time(), event)

    def take(self, at: float, event: Event) -> None:
        """Take an event that happened at ``at``, in seconds since 1970."""
        if isinstance(event, RunStarted):
            self._last = 0
        now = self._last = max(int(at * 1e9), self._last)  # a clock that is set back makes no span end before it starts
        match event:
            case RunStarted() | RunResumed():
                self._begin(now, event)
            case RunFinished() | RunFailed() | RunPaused():
                self._finish(now, event)
            case TurnStarted() | ReplyFinished():
                self._in_turn(now, event)
            case ActionStarted() | ActionChecked() | ActionFinished():
                self._in_action(now, event)
            case ToolCalled() | ToolReturned():
                self._in_call(now, event)
            case ToolReported() | CallRetried() | ApprovalRequested() | ApprovalDecided():
                self._about_call(now, event)
            case WarningRaised() | LimitReached() | ContextTrimmed() | Diverged():
                self._remark(now, event)
            case _:
                pass  # pieces of text and of output are in the events that follow them

    def close(self) -> None:
        """End what is still open, where a run broke off."""
        if self._run is not None:
            self._run.set_attribute("codeact.unfinished", True)
            self._end_all(self._last)

    # ---- the run -----------------------------------------------------------------------------------------------------

    def _begin(self, now: int, event: RunStarted | RunResumed) -> None:
        before = self._run.get_span_context() if self._run is not None else self._paused
        self._end_all(now)
        self._run_id = event.run_id
        if isinstance(event, RunStarted):
            self._model, self._turns, self._read = event.model, 0, event.task
            before = None
        attributes = self._common("invoke_agent")
        if isinstance(event, RunStarted):
            attributes |= {"codeact.sandbox": event.sandbox, "codeact.dialect": event.dialect}
            attributes |= self._messages("gen_ai.input.messages", "user", event.task)
        else:
            attributes |= {"codeact.resumed": True, "codeact.resumed.actions": event.actions}
        here = context.get_current()
        parent = here if trace.get_current_span(here).get_span_context().is_valid else self._made_in
        links = [trace.Link(before)] if before is not None else []
        name = f"invoke_agent {self._name}" if self._name else "invoke_agent"
        self._run = self._tracer.start_span(name, parent, SpanKind.INTERNAL, attributes, links, start_time=now)
        self._paused = None

    def _finish(self, now: int, event: RunFinished | RunFailed | RunPaused) -> None:
        if self._run is None:
            return
        self._run.set_attributes({**usage_attributes(event.usage), "codeact.turns": self._turns})
        match event:
            case RunFinished(answer=answer):
                text = answer if isinstance(answer, str) else as_json(event.model_dump(mode="json")["answer"])
                self._run.set_attributes(self._messages("gen_ai.output.messages", "assistant", text))
            case RunFailed():
                self._failed(self._run, event.error, event.message)
            case RunPaused():
                self._run.set_attribute("codeact.paused", True)
                self._paused = self._run.get_span_context()
        self._end_all(now)

    def _end_all(self, now: int) -> None:
        self._end_turn(now)
        if self._run is not None:
            self._run.end(now)
            self._run = None

    def _remark(self, now: int, event: _Remark) -> None:
        if self._run is None:
            return
        fields = event.model_dump(mode="json", exclude={"type"})
        if not self._content:
            fields = {name: value for name, value in fields.items() if name not in ("message", "recorded", "now")}
        attributes = {f"codeact.{event.type}.{name}": value for name, value in fields.items()}
        self._run.add_event(f"codeact.{event.type}", attributes, now)

    # ---- turns -------------------------------------------------------------------------------------------------------

    def _in_turn(self, now: int, event: TurnStarted | ReplyFinished) -> None:
        if isinstance(event, TurnStarted):
            self._end_turn(now)
            self._turns += 1
            self._turn = self._start("turn", self._run, now, {"codeact.turn": event.turn})
            attributes = self._common("chat") | self._messages("gen_ai.input.messages", "user", self._read)
            self._chat = self._start(f"chat {self._model}", self._turn, now, attributes, SpanKind.CLIENT)
        elif self._chat is not None:
            self._chat.set_attributes(usage_attributes(event.usage))
            self._chat.set_attributes(self._messages("gen_ai.output.messages", "assistant", event.text))
            self._chat.end(now)
            self._chat = None

    def _end_turn(self, now: int) -> None:
        self._end_inside(now)
        for span in (self._action, self._chat, self._turn):
            if span is not None:
                span.end(now)
        self._action = self._chat = self._turn = None

    def _end_inside(self, now: int) -> None:
        """End what is open inside the action."""
        for span in (*self._calls.values(), self._check):
            if span is not None:
                span.end(now)
        self._calls.clear()
        self._check = None

    # ---- actions -----------------------------------------------------------------------------------------------------

    def _in_action(self, now: int, event: ActionStarted | ActionChecked | ActionFinished) -> None:
        match event:
            case ActionStarted():
                if self._action is not None:
                    return  # the same action, after the run was resumed
                self._action = self._start(
                    "action", self._turn or self._run, now, self._texts({"codeact.action.code": event.code})
                )
                self._check = self._start("check", self._action, now)
            case ActionChecked() if self._check is not None:
                errors = sum(finding.severity == "error" for finding in event.findings)
                self._check.set_attributes(
                    {"codeact.check.findings": len(event.findings), "codeact.check.errors": errors}
                )
                self._check.set_attributes(
                    self._texts({"codeact.check.messages": [each.message for each in event.findings]})
                )
                self._check.end(now)
                self._check = None
            case ActionFinished():
                self._end_action(now, event)

    def _end_action(self, now: int, event: ActionFinished) -> None:
        seen = event.observation
        self._read = seen.text
        action, self._action = self._action, None
        self._end_inside(now)
        if action is None:
            return
        action.set_attributes(
            {"codeact.action.calls": len(seen.calls), "codeact.action.artifacts": len(seen.artifacts)}
        )
        action.set_attributes(self._texts({"codeact.action.observation": seen.text}))
        if seen.error is not None:
            action.set_attribute("codeact.action.error_kind", seen.error.kind)
            self._failed(action, seen.error.name or seen.error.kind, seen.error.message)
        action.end(now)

    # ---- calls -------------------------------------------------------------------------------------------------------

    def _in_call(self, now: int, event: ToolCalled | ToolReturned) -> None:
        call = event.call
        if self._action is None:  # it goes on after a pause, in a span of its own
            self._action = self._start("action", self._turn or self._run, now, {"codeact.resumed": True})
        if isinstance(event, ToolCalled):
            self._calls[call.id] = self._start_call(call, now)
            return
        span = self._calls.pop(call.id, None) or self._start_call(call, now - int(call.seconds * 1e9))
        if call.error is not None:
            self._failed(span, error_type(call.error), call.error)
        else:
            result = call.model_dump(mode="json")["result"]
            span.set_attributes(self._texts({"gen_ai.tool.call.result": as_json(result)}))
        span.end(now)

    def _start_call(self, call: CallRecord, now: int) -> Span:
        attributes = self._common("execute_tool", model=False) | {
            "gen_ai.tool.name": call.tool,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": str(call.id),
        }
        attributes |= self._texts({"gen_ai.tool.call.arguments": as_json(call.model_dump(mode="json")["arguments"])})
        return self._start(f"execute_tool {call.tool}", self._action or self._turn or self._run, now, attributes)

    def _about_call(self, now: int, event: ToolReported | CallRetried | ApprovalRequested | ApprovalDecided) -> None:
        match event:
            case ToolReported():
                name, more = "codeact.progress", self._texts({"codeact.progress.message": event.message})
            case CallRetried():
                name = "codeact.retry"
                more = {"codeact.retry.attempt": event.attempt, "codeact.retry.seconds": event.seconds}
                more |= {"error.type": error_type(event.error)}
            case ApprovalRequested():
                name, more = "codeact.approval.requested", self._texts({"codeact.approval.reason": event.reason})
            case ApprovalDecided():
                name = "codeact.approval.decided"
                more = {
                    "codeact.approval.verdict": event.verdict,
                    "codeact.approval.edited": event.arguments is not None,
                }
                more |= {"codeact.approval.by": event.by, **self._texts({"codeact.approval.reason": event.reason})}
        number = event.call.id if isinstance(event, ApprovalRequested) else event.call_id
        tool = event.call.tool if isinstance(event, ApprovalRequested) else event.tool
        span = self._calls.get(number) or self._action or self._turn or self._run
        if span is not None:
            span.add_event(name, {"gen_ai.tool.name": tool, "gen_ai.tool.call.id": str(number), **more}, now)

    # ---- attributes --------------------------------------------------------------------------------------------------

    def _start(
        self,
        name: str,
        parent: Span | None,
        now: int,
        attributes: Mapping[str, AttributeValue] | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> Span:
        inside = trace.set_span_in_context(parent, context.Context()) if parent is not None else self._made_in
        return self._tracer.start_span(name, inside, kind, attributes, start_time=now)

    def _common(self, operation: str, *, model: bool = True) -> dict[str, AttributeValue]:
        attributes: dict[str, AttributeValue] = {"gen_ai.operation.name": operation}
        if model:
            attributes["gen_ai.provider.name"] = self._provider
            if self._model:
                attributes["gen_ai.request.model"] = self._model
        if self._name:
            attributes["gen_ai.agent.name"] = self._name
        if self._run_id:
            attributes["gen_ai.conversation.id"] = self._run_id
        return attributes

    def _texts(self, attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
        """``attributes`` where content is recorded, else nothing."""
        return dict(attributes) if self._content else {}

    def _messages(self, name: str, role: str, text: str) -> dict[str, AttributeValue]:
        return self._texts({name: messages_of(role, text)})

    def _failed(self, span: Span, kind: str, message: str) -> None:
        span.set_attribute("error.type", kind)
        span.set_status(Status(StatusCode.ERROR, message if self._content else None))


def export(
    recorded: Iterable[Recorded],
    tracer_provider: TracerProvider | None = None,
    *,
    agent_name: str | None = None,
    provider_name: str = "codeact_tools",
    capture_content: bool | None = None,
) -> None:
    """Make spans, with the times of then, of a run that was recorded.

    Args:
        recorded: What `Journal.read` returns, or what a `Recorder` collected.
        tracer_provider: As for `OpenTelemetrySink`, like the others.
        agent_name: What the agent is called.
        provider_name: Who serves the model.
        capture_content: Whether texts, arguments and results go into the spans.
    """
    sink = OpenTelemetrySink(
        tracer_provider, agent_name=agent_name, provider_name=provider_name, capture_content=capture_content
    )
    for at, event in recorded:
        sink.take(at, event)
    sink.close()
