"""Values on the wire, as the guest writes and reads them.

Plain JSON stands for itself: null, booleans, integers below 2**53, finite floats, text, lists, and dictionaries with
text keys none of which is ``"$"``. Everything else is ``{"$": tag, "v": ...}``. Both directions are exact.
"""

from __future__ import annotations

import base64
import sys
from collections import deque
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

from . import scalars
from .records import Handle, Record
from .scalars import Encoder, Json, WireError, all_plain
from .tables import Picture, Table, decode_frame, decode_image, decode_series, encode_image, encode_table

MAX_DEPTH = 200


class Codec:
    """Encodes what an action passes to tools, decodes what they return."""

    def __init__(self) -> None:
        self.types: dict[str, Any] = {}
        """The manifest's classes by name."""
        self._encoders: dict[type, Encoder] = {
            int: scalars.encode_int,
            float: scalars.encode_float,
            str: scalars.encode_str,
            bytes: lambda value, _: {"$": "bytes", "v": scalars.to_base64(value)},
            complex: lambda value, depth: {
                "$": "complex",
                "v": [scalars.encode_float(value.real, depth), scalars.encode_float(value.imag, depth)],
            },
            datetime: scalars.encode_datetime,
            date: lambda value, _: {"$": "date", "v": value.isoformat()},
            time: scalars.encode_time,
            timezone: lambda value, _: {"$": "timezone", "v": scalars.encode_zone(value, value.utcoffset(None))},
            timedelta: lambda value, _: {"$": "timedelta", "v": [value.days, value.seconds, value.microseconds]},
            list: self._encode_list,
            dict: self._encode_dict,
            tuple: lambda value, depth: {"$": "tuple", "v": self._encode_list(value, depth)},
            set: lambda value, depth: {"$": "set", "v": self._encode_list(list(value), depth)},
            frozenset: lambda value, depth: {"$": "frozenset", "v": self._encode_list(list(value), depth)},
            Table: lambda value, _: value._wire,
            Picture: lambda value, _: {"$": "image", "v": scalars.to_base64(value.data)},
            Handle: lambda value, _: {"$": "handle", "t": type(value).__name__, "v": {"id": value._id, "repr": ""}},
        }
        sequences: tuple[type, ...] = (range, deque, type({}.keys()), type({}.values()), type({}.items()))
        for kind in sequences:
            self._encoders[kind] = lambda value, depth: self._encode_list(list(value), depth)
        binary: tuple[type, ...] = (bytearray, memoryview)
        for kind in binary:
            self._encoders[kind] = lambda value, _: {"$": "bytes", "v": scalars.to_base64(bytes(value))}

    # -- guest to host -------------------------------------------------------------------------------------------------

    def encode(self, value: Any, depth: int = 0) -> Json:
        """Return the value as JSON.

        Raises:
            WireError: It, or a part of it, cannot cross; the message says what to do instead.
        """
        kind = type(value)
        if kind is str and value.isascii():
            return value
        if kind is bool or value is None:
            return value
        return (self._encoders.get(kind) or self._find(kind, value))(value, depth)

    def register(self, name: str, cls: Any, kind: str) -> None:
        """Make a class of the manifest known under its name."""
        self.types[name] = cls
        if kind in _ENCODERS_BY_KIND:
            self._encoders[cls] = _ENCODERS_BY_KIND[kind](self, name)

    def _find(self, kind: type, value: Any) -> Encoder:
        """The encoder of a base class; imported lazily, those of standard classes that few programs use."""
        for base in kind.__mro__:
            if base is object:
                break
            encoder = self._encoders.get(base) or scalars.LAZY.get((base.__module__, base.__qualname__))
            if encoder is not None and not isinstance(value, Exception):
                self._encoders[kind] = encoder
                return encoder
        if (kind.__module__, kind.__name__) == ("numpy", "ndarray"):
            return scalars.encode_array
        library = kind.__module__.partition(".")[0]
        if library == "pandas" and kind.__name__ in self.types:
            return lambda value, _: encode_table(value, self.encode)
        if library == "PIL" and "Image" in self.types:
            return lambda value, _: encode_image(value)
        adapter = _foreign(value)
        if adapter is not None:
            return lambda value, depth: self.encode(adapter(value), depth)
        raise WireError(_refusal(value))

    def _encode_list(self, value: Sequence[Any], depth: int) -> Json:
        if all_plain(value):
            return value
        if depth >= MAX_DEPTH:
            raise WireError(f"it is nested deeper than {MAX_DEPTH} levels, or contains itself")
        encoded: list[Json] = []
        try:
            for item in value:
                encoded.append(self.encode(item, depth + 1))  # noqa: PERF401 - its length says where an error is
        except WireError as error:
            error.path.append(f"[{len(encoded)}]")
            raise
        return encoded

    def _encode_dict(self, value: dict[Any, Any], depth: int) -> Json:
        plain_keys = not value or (set(map(type, value)) == {str} and "$" not in value and all_plain(value))
        if plain_keys and all_plain(value.values()):
            return value
        if depth >= MAX_DEPTH:
            raise WireError(f"it is nested deeper than {MAX_DEPTH} levels, or contains itself")
        if plain_keys:
            return self._encode_fields(value, depth, "[{!r}]")
        try:
            return {
                "$": "dict",
                "v": [[self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in value.items()],
            }
        except WireError as error:
            error.path.append("[...]")
            raise

    def _encode_fields(self, fields: dict[str, Any], depth: int, style: str = ".{}") -> dict[str, Json]:
        encoded: dict[str, Json] = {}
        name = ""
        try:
            for name, value in fields.items():
                encoded[name] = self.encode(value, depth + 1)
        except WireError as error:
            error.path.append(style.format(name))
            raise
        return encoded

    def _record_encoder(self, name: str) -> Encoder:
        def encode(value: Record, depth: int) -> Json:
            if depth >= MAX_DEPTH:
                raise WireError(f"it is nested deeper than {MAX_DEPTH} levels, or contains itself")
            return {"$": "object", "t": name, "v": self._encode_fields(value._sendable(), depth)}

        return encode

    def _namedtuple_encoder(self, name: str) -> Encoder:
        return lambda value, depth: {"$": "object", "t": name, "v": self._encode_fields(value._asdict(), depth)}

    def _enum_encoder(self, name: str) -> Encoder:
        def encode(value: Any, depth: int) -> Json:
            if isinstance(value, sys.modules["enum"].Flag):
                return {"$": "enum", "t": name, "v": scalars.encode_int(value.value, depth)}
            return {"$": "enum", "t": name, "n": value.name}

        return encode

    def _exception_encoder(self, name: str) -> Encoder:
        def encode(value: BaseException, depth: int) -> Json:
            return {
                "$": "exception",
                "t": name,
                "m": scalars.encode_str(str(value), depth),
                "v": self._encode_fields({key: item for key, item in vars(value).items() if key[0] != "_"}, depth),
            }

        return encode

    # -- host to guest -------------------------------------------------------------------------------------------------

    def decode(self, value: Json) -> Any:
        """Return the value that the host sent; the host is trusted."""
        kind = type(value)
        if kind is list:
            kinds = set(map(type, value))
            return value if not kinds & {list, dict} else [self.decode(item) for item in value]
        if kind is not dict:
            return value
        tag = value.get("$")
        if tag is None:
            return {key: self.decode(item) for key, item in value.items()}
        return _DECODERS[tag](self, value)

    def _decode_object(self, value: dict[str, Json]) -> Any:
        cls = self.types[value["t"]]
        fields = {name: self.decode(item) for name, item in value["v"].items()}
        return cls._make(fields.values()) if issubclass(cls, tuple) else cls._received(fields)

    def _decode_enum(self, value: dict[str, Json]) -> Any:
        cls = self.types[value["t"]]
        return cls[value["n"]] if "n" in value else cls(self.decode(value["v"]))

    def decode_exception(self, name: str, message: str, fields: dict[str, Json] | None) -> Exception:
        """Return an instance of the exception class; its constructor does not run."""
        cls = self.types.get(name) or self.types["ToolError"]
        error: Exception = cls.__new__(cls, message)
        error.args = (message,)
        vars(error).update({key: self.decode(item) for key, item in (fields or {}).items()})
        return error


def _call(module: str, name: str) -> Callable[[Codec, dict[str, Json]], Any]:
    """For classes that are imported when a value of theirs is met; what they are made from is a value, or a list."""

    def decode(codec: Codec, value: dict[str, Json]) -> Any:
        __import__(module)
        made, parts = getattr(sys.modules[module], name), codec.decode(value["v"])
        return made(*parts) if isinstance(parts, list) else made(parts)

    return decode


_ENCODERS_BY_KIND: dict[str, Callable[[Codec, str], Encoder]] = {
    "record": Codec._record_encoder,
    "namedtuple": Codec._namedtuple_encoder,
    "enum": Codec._enum_encoder,
    "exception": Codec._exception_encoder,
}

_DECODERS: dict[str, Callable[[Codec, dict[str, Json]], Any]] = {
    "int": lambda _, value: int(value["v"], 16),
    "float": lambda _, value: float(value["v"]),
    "str": lambda _, value: base64.b64decode(value["v"]).decode("utf-8", "surrogatepass"),
    "bytes": lambda _, value: base64.b64decode(value["v"]),
    "complex": lambda codec, value: complex(*map(codec.decode, value["v"])),
    "tuple": lambda codec, value: tuple(codec.decode(value["v"])),
    "set": lambda codec, value: set(codec.decode(value["v"])),
    "frozenset": lambda codec, value: frozenset(codec.decode(value["v"])),
    "dict": lambda codec, value: {codec.decode(key): codec.decode(item) for key, item in value["v"]},
    "datetime": lambda _, value: scalars.decode_datetime(value["v"]),
    "date": lambda _, value: date.fromisoformat(value["v"]),
    "time": lambda _, value: scalars.decode_time(value["v"]),
    "timezone": lambda _, value: scalars.decode_zone(value["v"]),
    "timedelta": lambda _, value: timedelta(*value["v"]),
    "decimal": _call("decimal", "Decimal"),
    "fraction": _call("fractions", "Fraction"),
    "uuid": _call("uuid", "UUID"),
    "path": _call("pathlib", "Path"),
    "purepath": _call("pathlib", "PurePosixPath"),
    "windowspath": _call("pathlib", "PureWindowsPath"),
    "pattern": _call("re", "compile"),
    "ndarray": lambda _, value: scalars.decode_array(value["v"]),
    "frame": lambda codec, value: decode_frame(value, codec.decode),
    "series": lambda codec, value: decode_series(value, codec.decode),
    "image": lambda _, value: decode_image(value["v"]),
    "enum": Codec._decode_enum,
    "object": Codec._decode_object,
    "exception": lambda codec, value: codec.decode_exception(value["t"], codec.decode(value["m"]), value["v"]),
    "handle": lambda codec, value: codec.types[value["t"]](value["v"]["id"], value["v"]["repr"]),
}


# -- other libraries' values, and refusals -----------------------------------------------------------------------------


def _foreign(value: Any) -> Callable[[Any], Any] | None:
    """How to turn a value of a known library into plain Python, e.g. a NumPy scalar into an int."""
    kind = type(value)
    if kind.__module__.partition(".")[0] == "numpy" and kind.__name__ != "ndarray":
        return lambda value: value.tolist()
    if kind.__module__.partition(".")[0] == "pandas":
        if hasattr(value, "to_dict") and hasattr(value, "columns"):
            return lambda value: value.to_dict(orient="records")
        if hasattr(value, "tolist"):
            return lambda value: value.tolist()
    return None


def _refusal(value: Any) -> str:
    name = type(value).__qualname__
    if isinstance(value, type) or callable(value):
        return f"a function or class ({name}) cannot be passed to a tool, which runs on the host; pass its result"
    if hasattr(value, "__next__") or hasattr(value, "__anext__"):
        return f"an iterator ({name}) cannot be passed to a tool; pass list(...) of it"
    if hasattr(value, "__await__"):
        return f"a coroutine or future ({name}) cannot be passed to a tool; await it first"
    if isinstance(value, BaseException):
        return f"an exception ({name}) cannot be passed to a tool; pass str(...) of it"
    return f"a value of type {name} cannot be passed to a tool; pass plain data, or one of the types in `tools`"
