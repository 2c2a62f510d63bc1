"""What is on record of an action's calls: for its observation, in the journal without secrets, and as events."""

from __future__ import annotations

import asyncio
import threading
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final

from ..errors import RegistryError
from ..events import ApprovalDecided, ApprovalRequested, CallRecord, Event, ToolCalled, ToolReturned
from ..invocation import in_thread
from ..journal import HIDDEN, RunLog
from ..recall import RecordedTool
from ..registry import ToolRegistry
from ..tools import ToolSpec
from .call import Call

_NO_SECRETS: Final = RecordedTool()
_TOGETHER_SECONDS: Final = 0.001
"""For events of other threads to be told together: waking the event loop for each takes longer than a quick call."""


class CallRecords:
    """Records when the calls of a session's actions start and end.

    Args:
        registry: The tools.
        log: Where each call is recorded, before it runs and before its result is known to the action.
        recorded: Tools that only the journal knows.
    """

    def __init__(self, registry: ToolRegistry, log: RunLog | None, recorded: Mapping[str, RecordedTool]) -> None:
        self.log = log
        self.calls: list[Call] = []
        """Those of the current action, in the order in which they arrived."""
        self.listener: Callable[[Event], None] | None = None
        """Called with each event of the action, on the event loop's thread."""
        self._loop: AbstractEventLoop
        self._thread = 0
        """That of the event loop."""
        self._untold: deque[Event] = deque()
        """In the order in which things happened, in whichever thread."""
        self._telling = False
        """Whether the event loop is about to tell them."""
        self._failure: Exception | None = None
        """Of the listener, where nobody was there to raise it to."""
        self.specs: dict[str, ToolSpec] = {}
        """The tools that have been called."""
        self._registry = registry
        self._recorded = recorded

    def begin(self, listener: Callable[[Event], None] | None) -> None:
        """Start afresh, for the next action."""
        self.listener = listener
        self.calls = []
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._failure = None

    def observed(self) -> tuple[CallRecord, ...]:
        """The calls of the current action, for its observation; those that still run are cancelled.

        Raises:
            Exception: Whatever the listener raised meanwhile.
        """
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        for call in self.calls:
            if not call.seconds:
                call.finish(None, "cancelled")
        return tuple(call.record() for call in self.calls)

    # ---- start and end -----------------------------------------------------------------------------------------------

    def started(self, call: Call) -> None:
        """Record that a call is about to run; on the disk before it does where it must not run twice."""
        if self.log is not None:
            args, kwargs = self.shown_arguments(call.tool, call.args, call.kwargs)
            event = ToolCalled(call=self._shown(call))
            self.log.event(event, {"args": args, "kwargs": kwargs}, durable=not call.repeatable)
            call.on_record = True

    async def begin_durably(self, call: Call) -> None:
        """`started`, on the event loop, which does not wait for the disk."""
        if self.log is None or call.repeatable:
            self.started(call)
        else:
            await _undisturbed(in_thread(self.started, call))

    def ended(self, call: Call, result: object, error: str | None, answer: Mapping[str, Any]) -> None:
        """Record that a call is over, before the action knows."""
        call.finish(result, error)
        if self.log is None or call.recalled:
            return
        if "value" in answer and call.hides("return"):
            self.log.redact.hide([answer["value"]])
            answer = {"value": HIDDEN}
        data: dict[str, Any] = {"answer": answer}
        shown = self._shown(call)
        if call.on_record:
            shown = shown.model_copy(update={"arguments": {}})
        else:
            data["args"], data["kwargs"] = self.shown_arguments(call.tool, call.args, call.kwargs)
        self.log.event(ToolReturned(call=shown), data, durable=not call.repeatable)

    def finish(self, call: Call, *, result: object = None, error: str | None = None, answer: Mapping[str, Any]) -> None:
        """Record that a call is over, and tell the listener."""
        self.ended(call, result, error, answer)
        self.tell_of(ToolReturned, call)

    async def finish_durably(self, call: Call, result: object, answer: Any) -> None:
        """`finish`, on the event loop, which does not wait for the disk."""
        if self.log is None or call.repeatable:
            self.ended(call, result, None, {"value": answer})
        else:
            await _undisturbed(in_thread(self.ended, call, result, None, {"value": answer}))
        self.tell_of(ToolReturned, call)

    def item(self, call: Call, item: Any) -> None:
        """Record an item of a stream."""
        if self.log is not None:
            self.log.item(call.key, HIDDEN if call.hides("return") else item)

    # ---- events ------------------------------------------------------------------------------------------------------

    def tell_of(self, kind: type[ToolCalled | ToolReturned], call: Call) -> None:
        """Tell the listener of a call, if there is one: an event costs more than many a call. From any thread."""
        if self.listener is not None:
            self.tell(kind(call=call.record()))

    def tell(self, event: Event) -> None:
        """Tell the listener, on the event loop, what happened in whichever thread."""
        self._untold.append(event)
        if threading.get_ident() == self._thread:
            self._tell_all()
        elif not self._telling:
            self._telling = True
            with suppress(RuntimeError):  # the loop is closed: the session is over
                self._loop.call_soon_threadsafe(self._loop.call_later, _TOGETHER_SECONDS, self.flush)

    def flush(self) -> None:
        """Tell the listener what it has not been told; what it raises is kept for the action's end."""
        try:
            self._tell_all()
        except Exception as error:
            self.listener, self._failure = None, error

    def _tell_all(self) -> None:
        self._telling = False  # first, so that what is added from now on is told, too
        while self._untold:
            event = self._untold.popleft()
            if self.listener is not None:
                self.listener(event)

    def note(self, event: Event) -> None:
        """Record an event, and tell the listener."""
        if self.log is not None:
            self.log.event(event)
        self.tell(event)

    def note_decision(
        self, event: ApprovalRequested | ApprovalDecided, data: dict[str, Any] | None, recorded: bool
    ) -> None:
        """Record what was asked or decided, unless it is on record, and tell the listener."""
        if self.log is not None and not recorded:
            shown, arguments = self._noted(event)
            self.log.event(shown, data or arguments, durable=True)
        self.tell(event)

    def _noted(
        self, event: ApprovalRequested | ApprovalDecided
    ) -> tuple[ApprovalRequested | ApprovalDecided, dict[str, Any] | None]:
        """The event without secrets, and what resuming needs besides."""
        if isinstance(event, ApprovalDecided):
            shown = event.arguments and self.shown_names(event.tool, event.arguments)
            return event.model_copy(update={"arguments": shown}), None
        call = next(call for call in self.calls if call.key == event.call.id)
        args, kwargs = self.shown_arguments(call.tool, call.args, call.kwargs)
        return event.model_copy(update={"call": self._shown(call)}), {"args": args, "kwargs": kwargs}

    # ---- without secrets ---------------------------------------------------------------------------------------------

    def _shown(self, call: Call) -> CallRecord:
        """The call without what its tool declares secret."""
        record, secrets = call.record(), self.known(call.tool).secrets
        if not secrets:
            return record
        hidden: dict[str, Any] = {"arguments": self.shown_names(call.tool, record.arguments)}
        if "return" in secrets and record.error is None:
            hidden["result"] = HIDDEN
        return record.model_copy(update=hidden)

    def shown_names(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by name without what the tool declares secret."""
        known = self.known(tool)
        secret = known.hidden_names(arguments) if known.secrets else ()
        return {name: HIDDEN if name in secret else value for name, value in arguments.items()}

    def shown_arguments(self, tool: str, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments as they came over the bridge, without what the tool declares secret."""
        known = self.known(tool)
        if not known.secrets:
            return args, kwargs
        shown, named, secrets = known.hidden(args, kwargs)
        if self.log is not None:
            self.log.redact.hide(secrets)
        return shown, named

    def known(self, tool: str) -> RecordedTool:
        """Parameters and secrets of a tool; none where nobody knows it, and its call will be denied."""
        if (found := self._recorded.get(tool)) is not None:
            return found
        spec = self.find(tool)
        if spec is None or not spec.options.secrets:
            return _NO_SECRETS
        return RecordedTool(
            tuple((parameter.name, parameter.kind) for parameter in spec.parameters), spec.options.secrets
        )

    def find(self, tool: str) -> ToolSpec | None:
        """The tool of this name; None where there is none."""
        spec = self.specs.get(tool)
        if spec is None:
            try:
                spec = self.specs[tool] = self._registry.get(tool)
            except RegistryError:
                return None
        return spec


async def _undisturbed(work: Coroutine[Any, Any, None]) -> None:
    """Wait for ``work`` to its end, also where the wait is cancelled."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
