"""The host's side of a tool call: authorize, decode, validate, run, validate the result, encode."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import Any, Literal

from .errors import CodeActError, InvalidCall, InvalidResult, RegistryError, ToolDenied, ToolFailed, ToolTimeout
from .events import CallRecord, Event, OutputReceived, ToolCalled, ToolReported, ToolReturned
from .invocation import without_host_paths
from .registry import ToolRegistry
from .sandbox.bridge import CallRefused, Stream
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
        emit: Callable[[Event], None],
    ) -> None:
        self._registry = registry
        self._codec = codec
        self._run_id = run_id
        self._approve = approve
        self._emit = emit
        self._turn = 0
        self._state: dict[str, Any] = {}
        self._places: dict[str, asyncio.Semaphore] = {}
        self._results: dict[str, tuple[object, Any]] = {}
        self.records: list[CallRecord] = []
        """The calls of the current action, in the order in which they arrived."""
        self.output: list[tuple[OutputStream, str]] = []
        """What the current action printed."""

    def begin(self, turn: int) -> None:
        """Start the records of the next action."""
        self._turn = turn
        self.records = []
        self.output = []

    def on_output(self, stream: OutputStream, text: str) -> None:
        """Take a piece of output."""
        self.output.append((stream, text))
        self._emit(OutputReceived(stream=stream, text=text))

    async def call(self, id: int, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Any:  # noqa: A002
        """Answer one call with a wire value, or a stream of them.

        Raises:
            CallRefused: What the action sees as an exception.
        """
        records, position = self.records, len(self.records)
        record = CallRecord(id=id, tool=tool)
        records.append(record)
        started = time.perf_counter()

        def finish(**update: Any) -> None:
            nonlocal record
            record = record.model_copy(update={**update, "seconds": time.perf_counter() - started})
            records[position] = record
            self._emit(ToolReturned(call=record))

        try:
            spec, bound = self._bind(tool, args, kwargs)
            record = records[position] = record.model_copy(update={"arguments": bound.arguments})
            await self._authorize(spec, record)
            self._emit(ToolCalled(call=record))
            if spec.streams:
                items = await invoke(spec, bound, self._context(spec, id))
                return Stream(self._items(spec, items, finish))
            value, answer = await self._result(spec, bound, id)
        except Exception as error:
            finish(error=f"{type(error).__name__}: {error}")
            raise self._refusal(tool, error) from error
        except BaseException:
            finish(error="cancelled")
            raise
        finish(result=value)
        return answer

    def _bind(self, tool: str, args: list[Any], kwargs: dict[str, Any]) -> tuple[ToolSpec, BoundCall]:
        try:
            spec = self._registry.get(tool)
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

    async def _authorize(self, spec: ToolSpec, record: CallRecord) -> None:
        if not spec.approval:
            return
        if self._approve is None:
            raise ToolDenied(f"{spec.qualified} needs approval, and nobody is there to give it.")
        answer = self._approve(record)
        if not (await answer if inspect.isawaitable(answer) else answer):
            raise ToolDenied(f"The call of {spec.qualified} was not approved.")

    def _context(self, spec: ToolSpec, call_id: int) -> ToolContext:
        def report(message: str) -> None:
            self._emit(ToolReported(call_id=call_id, tool=spec.qualified, message=message))

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
        found = value, self._encode(spec, value)
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

    def _encode(self, spec: ToolSpec, value: object) -> Any:
        try:
            return self._codec.encode(value)
        except WireError as error:
            raise InvalidResult(f"{spec.qualified} returned what cannot be sent to the action: {error}") from error

    async def _items(
        self, spec: ToolSpec, values: AsyncGenerator[object], finish: Callable[..., None]
    ) -> AsyncIterator[Any]:
        """Validate and encode a stream item by item; the record closes with their number."""
        count = 0
        try:
            async with aclosing(values):
                async for value in values:
                    count += 1
                    yield self._encode(spec, spec.check_item(value))
        except Exception as error:
            finish(error=f"{type(error).__name__}: {error}")
            raise self._refusal(spec.qualified, error) from error
        except BaseException:  # the action wants no more, or it ended
            finish(result=f"{count} items, then closed")
            raise
        else:
            finish(result=f"{count} items")

    def _refusal(self, tool: str, error: Exception) -> CallRefused:
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


MOVE_ON = "Repeating the call will not help; go on without it, or say that it is broken."
