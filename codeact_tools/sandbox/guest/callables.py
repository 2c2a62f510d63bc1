"""Callables that look like the host's functions, and the streams that some of them return."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from .errors import InvalidCall
from .link import to_json
from .scalars import WireError
from .values import Codec

if TYPE_CHECKING:
    import inspect

    from .link import Frame, Link

Entry = dict[str, Any]


class Tool:
    """A function of the host. Calling it sends the arguments there and returns the result."""

    def __init__(self, entry: Entry, link: Link, codec: Codec) -> None:
        self._entry = entry
        self._link = link
        self._codec = codec
        self._qualified: str = entry["qualified"]
        self._json_name = to_json(self._qualified)
        self.__name__ = entry["name"]
        self.__qualname__ = entry["name"]
        self.__module__ = f"tools.{entry['toolkit']}" if entry.get("toolkit") else "tools"
        self.__doc__ = entry.get("doc") or None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it and wait."""
        return self._result(self._link.call(self._json_name, *self._encode(args, kwargs)))

    def __repr__(self) -> str:
        return f"<tool {self._text()}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (sys.modules[self.__module__], self.__name__)

    @property
    def __signature__(self) -> inspect.Signature:
        """For `inspect.signature` and for completion."""
        return _signature(self._entry, self._codec)

    def _text(self) -> str:
        return f"{'async ' * self._entry['kind'].startswith(('co', 'async'))}{_call_text(self._entry)}"

    def _encode(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        encode = self._codec.encode
        place: object = 0
        encoded: list[Any] = []
        try:
            for value in args:
                encoded.append(encode(value))  # noqa: PERF401 - its length says where an error is
            for place, value in kwargs.items():
                kwargs[place] = encode(value)
        except WireError as error:
            if not isinstance(place, str):
                place = self._parameter(len(encoded))
            path = "".join(reversed(error.path))
            raise InvalidCall(f"{self._qualified}(): argument {place}{path}: {error}") from None
        return encoded, kwargs

    def _parameter(self, position: int) -> str:
        names = [param["name"] for param in self._entry["params"] if param["kind"].startswith("positional")]
        return names[position] if position < len(names) else f"number {position + 1}"

    def _result(self, frame: Frame) -> Any:
        if frame["op"] == "raise":
            raise self._failure(frame)
        value = frame["value"]
        if type(value) is dict and value.get("$") == "iterator":
            return Items(self, frame["call"])
        return self._codec.decode(value)

    def _failure(self, frame: Frame) -> Exception:
        error = self._codec.decode_exception(frame["type"], frame["message"], frame.get("fields"))
        error._call = frame.get("call")  # type: ignore[attr-defined]
        return error


class AsyncTool(Tool):
    """A coroutine function of the host."""

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it; concurrent under ``asyncio.gather``."""
        return self._result(await self._link.call_async(self._json_name, *self._encode(args, kwargs)))


class AsyncStreamTool(Tool):
    """An asynchronous generator function of the host."""

    def __call__(self, *args: Any, **kwargs: Any) -> AsyncItems:
        """Return the stream; the call is made when the first item is asked for."""
        return AsyncItems(self, self._encode(args, kwargs))


class Items(Iterator[Any]):
    """What a generator tool yields, one item at a time; leaving early closes the generator on the host."""

    def __init__(self, tool: Tool, call: int) -> None:
        self._tool = tool
        self._call: int | None = call
        self._pulling = False

    def __next__(self) -> Any:
        if self._call is None:
            raise StopIteration
        if self._pulling:
            raise ValueError("generator already executing")
        call = self._call
        self._pulling = True
        try:
            frame = self._tool._link.pull(call)
        finally:
            self._pulling = False
        if frame["op"] == "item":
            return self._tool._codec.decode(frame["value"])
        self._call = None
        if frame["op"] == "end":
            raise StopIteration
        raise self._tool._failure(frame)

    def close(self) -> None:
        """Take no more items."""
        call, self._call = self._call, None
        if call is not None:
            self._tool._link.abandon(call)

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<items of {self._tool.__name__}>"


class AsyncItems(AsyncIterator[Any]):
    """What an asynchronous generator tool yields."""

    def __init__(self, tool: Tool, arguments: tuple[list[Any], dict[str, Any]]) -> None:
        self._tool = tool
        self._arguments = arguments
        self._call: int | None = None
        self._over = False
        self._pulling = False

    async def __anext__(self) -> Any:
        if self._over:
            raise StopAsyncIteration
        if self._pulling:
            raise RuntimeError("asynchronous generator is already running")
        self._pulling = True
        try:
            frame = await self._pull()
        finally:
            self._pulling = False
        if frame["op"] == "item":
            return self._tool._codec.decode(frame["value"])
        self._over = True
        if frame["op"] == "end":
            raise StopAsyncIteration
        raise self._tool._failure(frame)

    async def _pull(self) -> Frame:
        link = self._tool._link
        if self._call is None:
            frame = await link.call_async(self._tool._json_name, *self._arguments)
            if frame["op"] == "raise":
                return frame
            self._call = frame["call"]
        return await link.pull_async(self._call)

    async def aclose(self) -> None:
        """Take no more items."""
        self._close()

    def _close(self) -> None:
        if self._call is not None and not self._over:
            self._tool._link.abandon(self._call)
        self._over = True

    def __del__(self) -> None:
        self._close()

    def __repr__(self) -> str:
        return f"<items of {self._tool.__name__}>"


KINDS = {"function": Tool, "coroutine": AsyncTool, "generator": Tool, "async_generator": AsyncStreamTool}
_MARKS = {"var_positional": "*", "var_keyword": "**"}


def _call_text(entry: Entry) -> str:
    return f"{entry['name']}({parameters_text(entry['params'])}) -> {entry['returns']}"


def parameters_text(params: list[Entry]) -> str:
    """The parameters as they stand in a signature."""
    parts: list[str] = []
    previous = ""
    for param in params:
        kind = param["kind"]
        if previous == "positional_only" != kind:
            parts.append("/")
        if kind == "keyword_only" and previous not in ("keyword_only", "var_positional"):
            parts.append("*")
        default = default_text(param)
        parts.append(f"{_MARKS.get(kind, '')}{param['name']}: {param['annotation']}{default and ' = ' + default}")
        previous = kind
    if previous == "positional_only":
        parts.append("/")
    return ", ".join(parts)


def default_text(param: Entry) -> str:
    """The default as source; nothing where there is none."""
    if "default_text" in param:
        return str(param["default_text"])
    return "..." if "default" in param or param.get("factory") else ""


def _signature(entry: Entry, codec: Codec) -> inspect.Signature:
    import inspect

    def default(param: Entry) -> Any:
        if "default" in param:
            return codec.decode(param["default"])
        return ... if "default_text" in param or param.get("factory") else inspect.Parameter.empty

    return inspect.Signature(
        [
            inspect.Parameter(
                param["name"],
                getattr(inspect.Parameter, param["kind"].upper()),
                default=default(param),
                annotation=param["annotation"],
            )
            for param in entry["params"]
        ],
        return_annotation=entry["returns"],
    )
