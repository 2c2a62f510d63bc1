"""One call of a tool: what is known about it, and how that of a plain function is answered in a worker thread."""

from __future__ import annotations

import contextvars
import inspect
import time
from typing import TYPE_CHECKING, Any, Final

from ..events import CallRecord, ToolReturned
from ..invocation import call_here, finish_awaitable
from ..sandbox.bridge import CallRefused
from ..tools import BoundCall, ToolSpec

if TYPE_CHECKING:
    from .handler import HostCalls

CANCELLED: Final = {"cancelled": True}
"""The answer of a call that nobody waited for, as the journal has it."""


def as_answer(refusal: CallRefused) -> dict[str, Any]:
    """A refusal as the journal has it."""
    return {"raise": {"type": refusal.type, "message": refusal.message, "fields": refusal.fields}}


class Call:
    """What is known about one call so far."""

    __slots__ = (
        "_record", "args", "arguments", "error", "idle", "key", "kwargs", "on_record", "recalled", "result",
        "seconds", "spec", "started", "tool",
    )  # fmt: skip

    def __init__(self, key: int, tool: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        self.key = key
        self.tool = tool
        self.args = args
        self.kwargs = kwargs
        self.spec: ToolSpec | None = None
        self.arguments: dict[str, Any] = {}
        self.result: object = None
        self.error: str | None = None
        self.seconds = 0.0
        self.started = time.perf_counter()
        self.on_record = False
        """Whether the journal has its start, and so its arguments."""
        self.recalled = False
        """Whether the journal has its end already."""
        self.idle = False
        """Whether it is a stream that nobody has asked for its next item."""
        self._record: CallRecord | None = None
        """What it ended as."""

    @property
    def repeatable(self) -> bool:
        """Whether calling once more does no harm."""
        return self.spec is None or self.spec.repeatable

    def hides(self, name: str) -> bool:
        """Whether the tool declares the parameter, or its ``return``, a secret."""
        return self.spec is not None and name in self.spec.options.secrets

    def finish(self, result: object, error: str | None) -> None:
        """It is over."""
        self.result, self.error = result, error
        self.seconds = time.perf_counter() - self.started
        self._record = None

    def recall(self, record: CallRecord) -> None:
        """Take over what the journal has."""
        self.arguments, self.result, self.error = record.arguments, record.result, record.error
        self.seconds = record.seconds or 1e-9
        self.recalled = True

    def record(self) -> CallRecord:
        """For events and for the observation."""
        if self._record is not None:
            return self._record
        record = CallRecord(
            id=self.key,
            tool=self.tool,
            arguments=self.arguments,
            result=self.result,
            error=self.error,
            seconds=self.seconds,
        )
        if self.seconds:
            self._record = record
        return record


class PlainCall:
    """A call of a plain synchronous tool, answered in a worker thread; see `Work`."""

    __slots__ = ("_bound", "_call", "_context", "_host", "_spec")

    def __init__(self, host: HostCalls, call: Call, spec: ToolSpec, bound: BoundCall) -> None:
        self._host = host
        self._call = call
        self._spec = spec
        self._bound = bound
        self._context = contextvars.copy_context()

    def run(self) -> Any:
        """Call the function with the context variables of the session's caller, and check and encode the result."""
        host, call = self._host, self._call
        host.records.started(call)
        host.in_threads.add(call.key)
        try:
            return self._answer(host, call)
        finally:
            host.in_threads.discard(call.key)

    def _answer(self, host: HostCalls, call: Call) -> Any:
        try:
            value = self._context.run(call_here, self._spec, self._bound)
            if inspect.isawaitable(value):
                return self.go_on(value)
            result, answer = self._checked(value)
        except Exception as error:
            refusal = host.refusal(call.tool, error)
            host.records.ended(call, None, f"{type(error).__name__}: {error}", as_answer(refusal))
            raise refusal from error
        host.records.ended(call, result, None, {"value": answer})
        return answer

    def answered(self) -> None:
        """Tell the listener."""
        self._host.records.tell_of(ToolReturned, self._call)

    def sent(self) -> None:
        """Make the record that the observation will hold, while the guest works."""
        self._call.record()

    def cancelled(self) -> None:
        """Close the record; the late result is dropped."""
        self._host.records.finish(self._call, error="cancelled", answer=CANCELLED)

    def _checked(self, value: object) -> tuple[object, Any]:
        result = self._spec.check_result(value)
        return result, self._host.encode(self._spec, result)

    async def go_on(self, value: Any = None) -> Any:
        """Answer on the event loop, with what the function's awaitable gives; by default it is called now."""
        host, call, records = self._host, self._call, self._host.records
        if value is None:
            await records.begin_durably(call)
        try:
            value = call_here(self._spec, self._bound) if value is None else value
            result, answer = self._checked(await finish_awaitable(self._spec, value))
        except Exception as error:
            raise host.refused(call, error) from error
        except BaseException:
            records.finish(call, error="cancelled", answer=CANCELLED)
            raise
        await records.finish_durably(call, result, answer)
        return answer
