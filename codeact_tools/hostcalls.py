"""The host's side of a tool call: authorize, decode, validate, run, validate the result, encode."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

from .errors import CodeActError, InvalidCall, InvalidResult, RegistryError, ToolDenied, ToolFailed, ToolTimeout
from .events import CallRecord, Event, ToolCalled, ToolReturned
from .registry import ToolRegistry
from .sandbox.bridge import CallRefused, Stream
from .tools import BoundCall, ToolContext, ToolSpec, invoke
from .wire import Codec, WireError

Approve = Callable[[CallRecord], bool | Awaitable[bool]]
"""Decides about one call of a tool that needs approval."""


class HostCalls:
    """Answers the calls of one action. A call is only what it looks like here: everything in it is untrusted."""

    def __init__(
        self,
        registry: ToolRegistry,
        codec: Codec,
        *,
        run_id: str,
        turn: int,
        approve: Approve | None,
        emit: Callable[[Event], None],
        on_output: Callable[[Literal["stdout", "stderr"], str], None],
    ) -> None:
        self._registry = registry
        self._codec = codec
        self._run_id = run_id
        self._turn = turn
        self._approve = approve
        self._emit = emit
        self.on_output = on_output
        self.records: list[CallRecord] = []
        """The calls so far, in the order in which they arrived."""

    async def call(self, id: int, tool: str, args: list[Any], kwargs: dict[str, Any]) -> Any:  # noqa: A002
        """Answer one call with a wire value, or a stream of them.

        Raises:
            CallRefused: What the action sees as an exception.
        """
        position = len(self.records)
        record = CallRecord(id=id, tool=tool)
        self.records.append(record)
        started = time.perf_counter()

        def finish(**update: Any) -> None:
            nonlocal record
            record = record.model_copy(update={**update, "seconds": time.perf_counter() - started})
            self.records[position] = record
            self._emit(ToolReturned(call=record))

        try:
            spec, bound = self._bind(tool, args, kwargs)
            record = self.records[position] = record.model_copy(update={"arguments": bound.arguments})
            await self._authorize(spec, record)
            self._emit(ToolCalled(call=record))
            context = ToolContext(run_id=self._run_id, call_id=id, turn=self._turn)
            value = await invoke(spec, bound, context)
            if spec.kind in ("generator", "async_generator"):
                return Stream(self._items(spec, value, finish))
            value = spec.check_result(value)
            answer = self._encode(spec, value)
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

    def _encode(self, spec: ToolSpec, value: object) -> Any:
        try:
            return self._codec.encode(value)
        except WireError as error:
            raise InvalidResult(f"{spec.qualified} returned what cannot be sent to the action: {error}") from error

    async def _items(
        self, spec: ToolSpec, values: AsyncIterator[object], finish: Callable[..., None]
    ) -> AsyncIterator[Any]:
        """Validate and encode a stream item by item; the record closes with their number."""
        count = 0
        try:
            async for value in values:
                count += 1
                yield self._encode(spec, spec.check_item(value))
        except Exception as error:
            finish(error=f"{type(error).__name__}: {error}")
            raise self._refusal(spec.qualified, error) from error
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
        definition = self._registry.catalog.by_python(type(error))
        if definition is None or definition.kind != "exception":
            return CallRefused("ToolFailed", f"{tool} failed: {type(error).__name__}: {error}")
        fields = {field.name: getattr(error, field.name, None) for field in definition.fields}
        return CallRefused(definition.name, str(error), self._codec.encode(fields) if fields else None)


MOVE_ON = "Repeating the call will not help; go on without it, or say that it is broken."
