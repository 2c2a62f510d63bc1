"""The module ``tools`` and its toolkits, built from the host's manifest.

Callables that look like the real functions, the types that their signatures mention, and the errors that they raise.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .records import Handle, Record, nearest
from .values import Codec, WireError

if TYPE_CHECKING:
    import inspect

    from .link import Frame, Link

Entry = dict[str, Any]


class ToolError(Exception):
    """A tool failed."""


class ToolFailed(ToolError):
    """The tool raised an exception that its documentation does not name."""


class InvalidCall(ToolError, TypeError):
    """The arguments do not fit the tool's signature; the message says how to repair the call."""


class ToolTimeout(ToolError, TimeoutError):
    """The tool took too long."""


class ToolDenied(ToolError):
    """The call is not allowed."""


class InvalidResult(ToolError):
    """The tool misbehaved: it returned something else than it promised."""


ERRORS = (ToolError, ToolFailed, InvalidCall, ToolTimeout, ToolDenied, InvalidResult)


# -- callables ---------------------------------------------------------------------------------------------------------


class Tool:
    """A function of the host. Calling it sends the arguments there and returns the result."""

    def __init__(self, entry: Entry, link: Link, codec: Codec) -> None:
        self._entry = entry
        self._link = link
        self._codec = codec
        self._qualified: str = entry["qualified"]
        self.__name__ = entry["name"]
        self.__qualname__ = entry["name"]
        self.__module__ = f"tools.{entry['toolkit']}" if entry.get("toolkit") else "tools"
        self.__doc__ = entry.get("doc") or None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it and wait."""
        return self._result(self._link.call(self._qualified, *self._encode(args, kwargs)))

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
        return self._result(await self._link.call_async(self._qualified, *self._encode(args, kwargs)))


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

    def __next__(self) -> Any:
        if self._call is None:
            raise StopIteration
        call = self._call
        frame = self._tool._link.pull(call)
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

    async def __anext__(self) -> Any:
        if self._over:
            raise StopAsyncIteration
        link = self._tool._link
        if self._call is None:
            frame = await link.call_async(self._tool._qualified, *self._arguments)
            if frame["op"] == "raise":
                self._over = True
                raise self._tool._failure(frame)
            self._call = frame["call"]
        frame = await link.pull_async(self._call)
        if frame["op"] == "item":
            return self._tool._codec.decode(frame["value"])
        self._over = True
        if frame["op"] == "end":
            raise StopAsyncIteration
        raise self._tool._failure(frame)

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


_KINDS = {"function": Tool, "coroutine": AsyncTool, "generator": Tool, "async_generator": AsyncStreamTool}
_MARKS = {"var_positional": "*", "var_keyword": "**"}


def _call_text(entry: Entry) -> str:
    parts: list[str] = []
    previous = ""
    for param in entry["params"]:
        kind = param["kind"]
        if previous == "positional_only" != kind:
            parts.append("/")
        if kind == "keyword_only" and previous not in ("keyword_only", "var_positional"):
            parts.append("*")
        default = _default_text(param)
        parts.append(f"{_MARKS.get(kind, '')}{param['name']}: {param['annotation']}{default and ' = ' + default}")
        previous = kind
    if previous == "positional_only":
        parts.append("/")
    return f"{entry['name']}({', '.join(parts)}) -> {entry['returns']}"


def _default_text(param: Entry) -> str:
    if "default_text" in param:
        return str(param["default_text"])
    if "default" not in param:
        return "..." if param.get("factory") else ""
    value = param["default"]
    return repr(value) if not isinstance(value, dict) or not value else "..."


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


def show_help(thing: Any = None) -> None:
    """Print what is known about a tool, a type, or anything else."""
    if isinstance(thing, Tool):
        print(f"{thing._text()}\n\n{thing.__doc__ or ''}".rstrip())  # noqa: T201 - it answers the action
    elif isinstance(thing, type) and issubclass(thing, Record):
        print(f"{thing._signature_text}\n\n{thing.__doc__ or ''}".rstrip())  # noqa: T201
    elif isinstance(thing, ToolsModule) or thing is None:
        print(_contents(sys.modules["tools"] if thing is None else thing))  # noqa: T201
    else:
        import pydoc
        import re

        print(re.sub(".\b", "", pydoc.render_doc(thing)))  # noqa: T201


def _contents(module: ModuleType) -> str:
    return "\n".join(value._text() for value in vars(module).values() if isinstance(value, Tool))


# -- modules -----------------------------------------------------------------------------------------------------------


class ToolsModule(ModuleType):
    """``tools`` or one of its toolkits."""

    def __init__(self, name: str, doc: str) -> None:
        super().__init__(name, doc)
        self.__path__: list[str] = []
        self._ambiguous: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        if name in self._ambiguous:
            raise AttributeError(f"several toolkits have {name!r}; write {self._ambiguous[name]}", name=name, obj=self)
        hint = nearest(name, self._names()) if not name.startswith("__") else ""
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}{hint}", name=name, obj=self)

    def __dir__(self) -> list[str]:
        return self._names()

    def _names(self) -> list[str]:
        return sorted(name for name in vars(self) if name[0] != "_")

    def __repr__(self) -> str:
        return f"<module {self.__name__!r}>"


def build(manifest: Entry, link: Link, codec: Codec) -> dict[str, Any]:
    """Make the modules known to the import system, and return the names to bind for an action."""
    root = ToolsModule("tools", "The tools of this session.")
    modules: dict[str | None, ToolsModule] = {None: root}
    for error in ERRORS:
        codec.register(error.__name__, error, "")
        setattr(root, error.__name__, error)
        error.__module__ = "tools"
    for entry in manifest["types"]:
        cls = _build_type(entry, codec)
        codec.register(entry["name"], cls, entry["kind"])
        setattr(root, entry["name"], cls)
        if entry.get("toolkit"):
            setattr(_module(modules, entry["toolkit"]), entry["name"], cls)
    owners: dict[str, list[Entry]] = {}
    for entry in manifest["tools"]:
        tool = _KINDS[entry["kind"]](entry, link, codec)
        owners.setdefault(entry["name"], []).append(entry)
        setattr(root, entry["name"], tool)
        if entry.get("toolkit"):
            setattr(_module(modules, entry["toolkit"]), entry["name"], tool)
    for name, entries in owners.items():
        if len(entries) > 1:
            delattr(root, name)
            root._ambiguous[name] = " or ".join(f"tools.{entry['qualified']}" for entry in entries)
    for name, module in modules.items():
        sys.modules[f"tools.{name}" if name else "tools"] = module
    bound = {name: value for name, value in vars(root).items() if name[0] != "_" and not isinstance(value, ModuleType)}
    return {"tools": root, **bound}


def _module(modules: dict[str | None, ToolsModule], toolkit: str) -> ToolsModule:
    if toolkit not in modules:
        module = modules[toolkit] = ToolsModule(f"tools.{toolkit}", f"The toolkit {toolkit!r}.")
        if not hasattr(type(modules[None]), toolkit):
            setattr(modules[None], toolkit, module)
    return modules[toolkit]


# -- types -------------------------------------------------------------------------------------------------------------


def _build_type(entry: Entry, codec: Codec) -> Any:
    cls = _BUILDERS[entry["kind"]](entry, codec)
    if entry["kind"] in ("record", "namedtuple", "enum", "exception", "handle"):
        cls.__module__ = "tools"
        if entry.get("doc"):
            cls.__doc__ = entry["doc"]
    return cls


def _build_record(entry: Entry, codec: Codec) -> Any:
    fields = entry["fields"]
    base = codec.types.get(entry.get("base", ""), Record)
    arguments = tuple(field["name"] for field in fields if field.get("init", True))
    namespace: dict[str, Any] = {
        "_fields": tuple(field["name"] for field in fields),
        "_arguments": arguments,
        "_optional": frozenset(field["name"] for field in fields if field.get("factory")),
        "_defaults": {field["name"]: _default(field, codec) for field in fields if "default" in field},
        "_positional": entry.get("positional", False),
        "_frozen": entry.get("frozen", False),
        "_signature_text": _record_text(entry),
        "__annotations__": {field["name"]: field["annotation"] for field in fields},
        "__doc__": None,
    }
    if entry.get("positional"):
        namespace["__match_args__"] = arguments
    return type(entry["name"], (base,), namespace)


def _default(field: Entry, codec: Codec) -> Any:
    wire = field["default"]
    if not isinstance(wire, list | dict):
        return lambda: wire
    return lambda: codec.decode([*wire] if isinstance(wire, list) else {**wire})


def _record_text(entry: Entry) -> str:
    fields = [field for field in entry["fields"] if field.get("init", True)]
    parts = [
        f"{field['name']}: {field['annotation']}{' = ' + _default_text(field) if _default_text(field) else ''}"
        for field in fields
    ]
    star = ["*"] if parts and not entry.get("positional") else []
    return f"{entry['name']}({', '.join(star + parts)})"


def _build_namedtuple(entry: Entry, codec: Codec) -> Any:
    from collections import namedtuple

    fields = entry["fields"]
    defaults = [_default(field, codec)() for field in fields if "default" in field]
    cls = namedtuple(entry["name"], [field["name"] for field in fields], defaults=defaults, module="tools")  # type: ignore[misc]
    cls.__annotations__ = {field["name"]: field["annotation"] for field in fields}
    return cls


def _build_enum(entry: Entry, codec: Codec) -> Any:
    import enum

    members = [(name, codec.decode(value)) for name, value in entry["members"]]
    base = entry.get("base") or "Enum"
    return getattr(enum, base)(entry["name"], members, module="tools")


def _build_exception(entry: Entry, codec: Codec) -> Any:
    base: Any = codec.types.get(entry.get("base") or "ToolError") or getattr(builtins, entry["base"], ToolError)
    bases: tuple[Any, ...] = (base,) if issubclass(base, ToolError) else (ToolError, base)
    try:
        return type(entry["name"], bases, {"__doc__": None})
    except TypeError:  # the built-in class has a memory layout of its own
        return type(entry["name"], (ToolError,), {"__doc__": None})


def _build_typeddict(entry: Entry, _: Codec) -> Any:
    import typing

    fields = {field["name"]: typing.Any for field in entry["fields"]}
    return typing.TypedDict(entry["name"], fields, total=entry.get("base") != "partial")  # type: ignore[operator]


def _build_alias(entry: Entry, codec: Codec) -> Any:
    import typing

    try:
        return eval(entry["target"], {**vars(typing), **codec.types})  # noqa: S307 - the host's own manifest
    except (NameError, TypeError, SyntaxError, AttributeError):
        return typing.Any


def _build_import(entry: Entry, _: Codec) -> Any:
    __import__(entry["base"])
    found: Any = sys.modules[entry["base"]]
    for part in (entry.get("attribute") or entry["name"]).split("."):
        found = getattr(found, part)
    return found


def _build_handle(entry: Entry, _: Codec) -> Any:
    return type(entry["name"], (Handle,), {"__slots__": (), "__doc__": entry.get("doc") or Handle.__doc__})


_BUILDERS: dict[str, Callable[[Entry, Codec], Any]] = {
    "handle": _build_handle,
    "record": _build_record,
    "namedtuple": _build_namedtuple,
    "enum": _build_enum,
    "exception": _build_exception,
    "typeddict": _build_typeddict,
    "alias": _build_alias,
    "import": _build_import,
}
