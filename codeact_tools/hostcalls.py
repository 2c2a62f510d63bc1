"""The host's side of a tool call: authorize, decode, validate, run, validate the result, encode."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext, suppress
from typing import Any, Literal

from .errors import CodeActError, InvalidCall, InvalidResult, RegistryError, ToolDenied, ToolFailed, ToolTimeout
from .events import CallRecord, Event, OutputReceived, ToolCalled, ToolReported, ToolReturned
from .invocation import call_here, finish_awaitable, without_host_paths
from .registry import ToolRegistry
from .sandbox.bridge import CallRefused, Stream, Work
from .tools import BoundCall, ToolContext, ToolSpec, invoke
from .wire import Codec, WireError

OutputStream = Literal["stdout", "stderr"]
Approve = Callable[[CallRecord], bool | Awaitable[bool]]
"""Decides about one call of a tool that needs approval."""


class HostCalls:
    """Answers the calls of a session's actions. Everything in a call is untrusted."""

    def __init__(
        self,
        registry: ToolRegistry,
        codec: Codec,
        *,
        run_id: str,
        approve: Approve | None,
    ) -> None:
        self._registry = registry
        self._codec = codec
        self._run_id = run_id
        self._approve = approve
        self._listener: Callable[[Event], None] | None = None
        self._turn = 0
        self._specs: dict[str, ToolSpec] = {}
        self._state: dict[str, Any] = {}
        self._places: dict[str, asyncio.Semaphore] = {}
        self._results: dict[str, tuple[object, Any]] = {}
        self._calls: list[_Call] = []
        self.output: list[tuple[OutputStream, str]] = []
        """What the current action printed."""

    @property
    def records(self) -> tuple[CallRecord, ...]:
        """The calls of the current action, in the order in which they arrived."""
        for call in self._calls:
            if not call.seconds:
                call.finish(None, "cancelled")
        return tuple(call.record() for call in self._calls)

    def begin(self, turn: int, listener: Callable[[Event], None] | None) -> None:
        """Start the records of the next action.

        Args:
            turn: The action's number.
            listener: Called with each event of the action, on the event loop's thread.
        """
        self._turn = turn
        self._listener = listener
        self._calls = []
        self.output = []

    def release(self) -> None:
        """Forget everything that calls have left behind, with the values whose handles the actions hold."""
        self._codec.release()
        self._results.clear()
        self._state.clear()
        self._calls = []

    def on_output(self, stream: OutputStream, text: str) -> None:
        """Take a piece of output."""
        self.output.append((stream, text))
        if self._listener is not None:
            self._listener(OutputReceived(stream=stream, text=text))

    def call(
        self,
        id: int,  # noqa: A002
        tool: str,
        args: list[Any],
        kwargs: dict[str, Any],
    ) -> Coroutine[Any, Any, Any] | Work:
        """Begin one call: a coroutine that returns a wire value or a stream of them, or work for a thread.

        Raises:
            CallRefused: What the action sees as an exception.
        """
        call = _Call(id, tool)
        self._calls.append(call)
        try:
            spec, bound = self._bind(tool, args, kwargs)
            call.arguments = bound.arguments
            if not spec.plain:
                return self._answer(call, spec, bound)
            self._tell(ToolCalled, call)
            plain = _PlainCall(self, call, spec, bound)
            return plain if spec.kind == "function" else plain.go_on()
        except Exception as error:
            raise self._refused(call, error) from error

    async def _answer(self, call: _Call, spec: ToolSpec, bound: BoundCall) -> Any:
        try:
            await self._authorize(spec, call)
            self._tell(ToolCalled, call)
            if spec.streams:
                return Stream(self._items(spec, await invoke(spec, bound, self._context(spec, call.id)), call))
            value, answer = await self._result(spec, bound, call.id)
        except Exception as error:
            raise self._refused(call, error) from error
        except BaseException:
            self.finish(call, error="cancelled")
            raise
        self.finish(call, result=value)
        return answer

    def finish(self, call: _Call, *, result: object = None, error: str | None = None) -> None:
        """A call is over."""
        call.finish(result, error)
        self._tell(ToolReturned, call)

    def finish_in_thread(self, call: _Call, *, result: object, error: str | None, loop: AbstractEventLoop) -> None:
        """A call is over; the listener is told on the event loop."""
        call.finish(result, error)
        if self._listener is not None:
            with suppress(RuntimeError):  # the loop is closed: the session is over
                loop.call_soon_threadsafe(self._tell, ToolReturned, call)

    def _refused(self, call: _Call, error: Exception) -> CallRefused:
        self.finish(call, error=f"{type(error).__name__}: {error}")
        return self.refusal(call.tool, error)

    def _tell(self, kind: type[ToolCalled | ToolReturned], call: _Call) -> None:
        """Tell the listener, if there is one: an event costs more than many a call."""
        if self._listener is not None:
            self._listener(kind(call=call.record()))

    def _bind(self, tool: str, args: list[Any], kwargs: dict[str, Any]) -> tuple[ToolSpec, BoundCall]:
        spec = self._specs.get(tool)
        if spec is None:
            try:
                spec = self._specs[tool] = self._registry.get(tool)
            except RegistryError as error:
                raise ToolDenied(str(error)) from error
        decode = self._codec.decode
        try:
            values = [decode(value) for value in args]
            named = {name: decode(value) for name, value in kwargs.items()}
        except WireError as error:
            raise InvalidCall(
                f"{spec.qualified}: an argument cannot be sent: {error}\nSignature: {spec.signature()}"
            ) from error
        return spec, spec.bind(values, named)

    async def _authorize(self, spec: ToolSpec, call: _Call) -> None:
        if not spec.approval:
            return
        if self._approve is None:
            raise ToolDenied(f"{spec.qualified} needs approval, and nobody is there to give it.")
        answer = self._approve(call.record())
        if not (await answer if inspect.isawaitable(answer) else answer):
            raise ToolDenied(f"The call of {spec.qualified} was not approved.")

    def _context(self, spec: ToolSpec, call_id: int) -> ToolContext:
        loop, thread = asyncio.get_running_loop(), threading.get_ident()

        def tell(message: str) -> None:
            if self._listener is not None:
                self._listener(ToolReported(call_id=call_id, tool=spec.qualified, message=message))

        def report(message: str) -> None:
            if threading.get_ident() == thread:
                tell(message)
                return
            with suppress(RuntimeError):  # the loop is closed: a tool that was given up reports late
                loop.call_soon_threadsafe(tell, message)  # a synchronous tool reports from its own thread

        return ToolContext(
            run_id=self._run_id,
            call_id=call_id,
            turn=self._turn,
            tool=spec.qualified,
            state=self._state,
            on_report=report,
        )

    async def _result(self, spec: ToolSpec, bound: BoundCall, call_id: int) -> tuple[object, Any]:
        """Run a tool, within its concurrency; return its result, and as it is on the wire."""
        key = self._cache_key(spec, bound)
        if key is not None and key in self._results:
            return self._results[key]
        async with self._place(spec):
            value = spec.check_result(await invoke(spec, bound, self._context(spec, call_id)))
        found = value, self.encode(spec, value)
        if key is not None:
            self._results[key] = found
        return found

    def _cache_key(self, spec: ToolSpec, bound: BoundCall) -> str | None:
        if not spec.cache:
            return None
        try:
            return json.dumps([spec.qualified, self._codec.encode(bound.arguments)], sort_keys=True)
        except WireError:  # an argument that cannot be told apart from another is not looked up
            return None

    def _place(self, spec: ToolSpec) -> AbstractAsyncContextManager[object]:
        if spec.concurrency is None:
            return nullcontext()
        return self._places.setdefault(spec.qualified, asyncio.Semaphore(spec.concurrency))

    def encode(self, spec: ToolSpec, value: object) -> Any:
        """A result as it is on the wire.

        Raises:
            InvalidResult: It cannot cross.
        """
        try:
            return self._codec.encode_as(value, spec.item)
        except WireError as error:
            raise InvalidResult(f"{spec.qualified} returned what cannot be sent to the action: {error}") from error

    async def _items(self, spec: ToolSpec, values: AsyncGenerator[object], call: _Call) -> AsyncIterator[Any]:
        """Validate and encode a stream item by item; the record closes with their number."""
        count = 0
        try:
            async with aclosing(values):
                async for value in values:
                    count += 1
                    yield self.encode(spec, spec.check_item(value))
        except Exception as error:
            raise self._refused(call, error) from error
        except BaseException:  # the action wants no more, or it ended
            self.finish(call, result=f"{count} items, then closed")
            raise
        else:
            self.finish(call, result=f"{count} items")

    def refusal(self, tool: str, error: Exception) -> CallRefused:
        """What the action sees of ``error``: no host paths, no locals, no library jargon."""
        if isinstance(error, CallRefused):
            return error
        if isinstance(error, InvalidResult):
            return CallRefused(
                "InvalidResult", f"The tool {tool} misbehaved: its result does not fit its signature. {MOVE_ON}"
            )
        if isinstance(error, ToolFailed) and error.__cause__ is not None:
            return CallRefused("ToolFailed", str(error))
        if isinstance(error, InvalidCall | ToolTimeout | ToolDenied | ToolFailed):
            return CallRefused(type(error).__name__, str(error))
        if isinstance(error, CodeActError):
            return CallRefused("ToolFailed", f"{tool} failed.")
        return self._declared(tool, error)

    def _declared(self, tool: str, error: Exception) -> CallRefused:
        """A declared exception keeps its class in the action."""
        message = without_host_paths(str(error))
        definition = self._registry.catalog.by_python(type(error))
        if definition is None or definition.kind not in ("exception", "import"):
            return CallRefused("ToolFailed", f"{tool} failed: {type(error).__name__}: {message}")
        fields = {field.name: getattr(error, field.name, None) for field in definition.fields}
        try:
            encoded = {name: self._codec.encode(value) for name, value in fields.items()}
        except WireError:  # the exception counts, not what is attached to it
            encoded = {}
        return CallRefused(definition.name, message, encoded or None)


class _Call:
    """What is known about one call so far."""

    __slots__ = ("arguments", "error", "id", "result", "seconds", "started", "tool")

    def __init__(self, id: int, tool: str) -> None:  # noqa: A002
        self.id = id
        self.tool = tool
        self.arguments: dict[str, Any] = {}
        self.result: object = None
        self.error: str | None = None
        self.seconds = 0.0
        self.started = time.perf_counter()

    def finish(self, result: object, error: str | None) -> None:
        self.result, self.error = result, error
        self.seconds = time.perf_counter() - self.started

    def record(self) -> CallRecord:
        """For events and for the observation."""
        return CallRecord(
            id=self.id,
            tool=self.tool,
            arguments=self.arguments,
            result=self.result,
            error=self.error,
            seconds=self.seconds,
        )


class _PlainCall:
    """A call of a plain synchronous tool, answered in a worker thread; see `Work`."""

    __slots__ = ("_bound", "_call", "_context", "_error", "_host", "_loop", "_result", "_spec")

    def __init__(self, host: HostCalls, call: _Call, spec: ToolSpec, bound: BoundCall) -> None:
        self._host = host
        self._call = call
        self._spec = spec
        self._bound = bound
        self._context = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self._result: object = None
        self._error: str | None = None

    def run(self) -> Any:
        """Call the function with the context variables of the session's caller, and check and encode the result."""
        try:
            value = self._context.run(call_here, self._spec, self._bound)
            if inspect.isawaitable(value):
                return self.go_on(value)
            return self._checked(value)
        except Exception as error:
            self._error = f"{type(error).__name__}: {error}"
            raise self._host.refusal(self._call.tool, error) from error

    def answered(self) -> None:
        """Close the record."""
        self._host.finish_in_thread(self._call, result=self._result, error=self._error, loop=self._loop)

    def cancelled(self) -> None:
        """Close the record; the late result is dropped."""
        self._host.finish(self._call, error="cancelled")

    def _checked(self, value: object) -> Any:
        result = self._spec.check_result(value)
        answer = self._host.encode(self._spec, result)
        self._result = result
        return answer

    async def go_on(self, value: Any = None) -> Any:
        """Answer on the event loop, with what the function's awaitable gives; by default it is called now."""
        try:
            value = call_here(self._spec, self._bound) if value is None else value
            answer = self._checked(await finish_awaitable(self._spec, value))
        except Exception as error:
            self._host.finish(self._call, error=f"{type(error).__name__}: {error}")
            raise self._host.refusal(self._call.tool, error) from error
        except BaseException:
            self._host.finish(self._call, error="cancelled")
            raise
        self._host.finish(self._call, result=self._result)
        return answer


MOVE_ON = "Repeating the call will not help; go on without it, or say that it is broken."
