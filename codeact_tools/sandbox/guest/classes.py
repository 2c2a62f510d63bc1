"""The classes that signatures mention, built from the manifest."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from typing import Any

from .callables import Entry, parameters_text
from .errors import ToolError
from .records import ORDER, Handle, OfDataclass, Record
from .tables import Picture, Table
from .values import Codec


def build_class(entry: Entry, codec: Codec) -> Any:
    """Make one class of the manifest; the classes that it builds on are in the codec already."""
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
    by_keyword = {field["name"] for field in fields if field.get("kw_only") or not entry.get("positional")}
    places = tuple(name for name in arguments if name not in by_keyword)
    namespace: dict[str, Any] = {
        "_fields": {field["name"]: field["annotation"] for field in fields},
        "_arguments": arguments,
        "_sent": frozenset(field["name"] for field in fields if field.get("sent", True)),
        "_optional": frozenset(field["name"] for field in fields if field.get("factory")),
        "_initial": frozenset(field["name"] for field in fields if not field.get("stored", True)),
        "_defaults": {field["name"]: _default(field, codec) for field in fields if "default" in field},
        "_by_position": places,
        "_extra": entry.get("extra", False),
        "_frozen": entry.get("frozen", False),
        "_ordered": entry.get("ordered", False),
        "_signature_text": _record_text(entry),
        "__annotations__": {field["name"]: field["annotation"] for field in fields},
        "__doc__": None,
        "__hash__": Record.__hash__ if entry.get("frozen") else None,
        "__dataclass_fields__": OfDataclass("__dataclass_fields__"),
        "__dataclass_params__": OfDataclass("__dataclass_params__"),
    }
    if namespace["_ordered"]:
        namespace |= ORDER
    if places:
        namespace["__match_args__"] = places
    return type(entry["name"], (base,), namespace)


def _default(field: Entry, codec: Codec) -> Any:
    wire = field["default"]
    if not isinstance(wire, list | dict):
        return lambda: wire
    return lambda: codec.decode([*wire] if isinstance(wire, list) else {**wire})


def _record_text(entry: Entry) -> str:
    fields = [field for field in entry["fields"] if field.get("init", True)]
    keyword = [field for field in fields if field.get("kw_only") or not entry.get("positional")]
    params = [{**field, "kind": "keyword_only" if field in keyword else "positional_or_keyword"} for field in fields]
    return f"{entry['name']}({parameters_text(sorted(params, key=lambda param: param['kind'], reverse=True))})"


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

    fields = {
        field["name"]: typing.Any if field.get("required", True) else typing.NotRequired[typing.Any]
        for field in entry["fields"]
    }
    return typing.TypedDict(entry["name"], fields, total=entry.get("base") != "partial")  # type: ignore[operator]


def _build_alias(entry: Entry, codec: Codec) -> Any:
    import typing

    try:
        return eval(entry["target"], {**vars(typing), **codec.types})  # noqa: S307 - the host's own manifest
    except (NameError, TypeError, SyntaxError, AttributeError):
        return typing.Any


def _build_import(entry: Entry, _: Codec) -> Any:
    try:
        __import__(entry["base"])
    except ImportError:  # its library is not in this sandbox; values arrive as plain ones
        return {"ndarray": list, "Image": Picture}.get(entry["attribute"], Table)
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
