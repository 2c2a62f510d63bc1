"""Values on the wire, as the guest writes and reads them.

Plain JSON stands for itself: null, booleans, integers below 2**53, finite floats, text, lists, and dictionaries with
text keys none of which is ``"$"``. Everything else is ``{"$": tag, "v": ...}``. Both directions are exact.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any

from .arrays import plain_array
from .records import Handle, Record
from .tables import Picture, Table, decode_frame, decode_image, decode_series, encode_image, encode_table

MAX_DEPTH = 200
_EXACT = 2**53
_NONE = type(None)
_MICROSECOND = timedelta(microseconds=1)
Json = Any
Encoder = Callable[[Any, int], Json]


class WireError(TypeError):
    """A value cannot cross; ``path`` says which part of it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.path: list[str] = []


class Codec:
    """Encodes what an action passes to tools, decodes what they return."""

    def __init__(self) -> None:
        self.types: dict[str, Any] = {}
        """The manifest's classes by name."""
        self._encoders: dict[type, Encoder] = {
            int: _encode_int,
            float: _encode_float,
            str: _encode_str,
            bytes: lambda value, _: {"$": "bytes", "v": _base64(value)},
            complex: lambda value, depth: {"$": "complex", "v": [_encode_float(part, depth) for part in _parts(value)]},
            datetime: _encode_datetime,
            date: lambda value, _: {"$": "date", "v": value.isoformat()},
            time: _encode_time,
            timezone: lambda value, _: {"$": "timezone", "v": _encode_zone(value, value.utcoffset(None))},
            timedelta: lambda value, _: {"$": "timedelta", "v": [value.days, value.seconds, value.microseconds]},
            list: self._encode_list,
            dict: self._encode_dict,
            tuple: lambda value, depth: {"$": "tuple", "v": self._encode_list(value, depth)},
            set: lambda value, depth: {"$": "set", "v": self._encode_list(list(value), depth)},
            frozenset: lambda value, depth: {"$": "frozenset", "v": self._encode_list(list(value), depth)},
            Table: lambda value, _: value._wire,
            Picture: lambda value, _: {"$": "image", "v": _base64(value.data)},
            Handle: lambda value, _: {"$": "handle", "t": type(value).__name__, "v": {"id": value._id, "repr": ""}},
        }
        sequences: tuple[type, ...] = (range, deque, type({}.keys()), type({}.values()), type({}.items()))
        for kind in sequences:
            self._encoders[kind] = lambda value, depth: self._encode_list(list(value), depth)
        binary: tuple[type, ...] = (bytearray, memoryview)
        for kind in binary:
            self._encoders[kind] = lambda value, _: {"$": "bytes", "v": _base64(bytes(value))}

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
            encoder = self._encoders.get(base) or _LAZY.get((base.__module__, base.__qualname__))
            if encoder is not None and not isinstance(value, Exception):
                self._encoders[kind] = encoder
                return encoder
        if (kind.__module__, kind.__name__) == ("numpy", "ndarray"):
            return _encode_array
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
        if _all_plain(value):
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
        plain_keys = not value or (set(map(type, value)) == {str} and "$" not in value and _all_plain(value))
        if plain_keys and _all_plain(value.values()):
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
                return {"$": "enum", "t": name, "v": _encode_int(value.value, depth)}
            return {"$": "enum", "t": name, "n": value.name}

        return encode

    def _exception_encoder(self, name: str) -> Encoder:
        def encode(value: BaseException, depth: int) -> Json:
            return {
                "$": "exception",
                "t": name,
                "m": _encode_str(str(value), depth),
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


# -- plain values ------------------------------------------------------------------------------------------------------


def _all_plain(values: Iterable[Any]) -> bool:
    """Whether all values stand for themselves; judged at C speed, so only for values of one type."""
    kinds = set(map(type, values))
    if kinds <= {bool, _NONE}:
        return True
    if len(kinds) > 1:
        return False
    kind = kinds.pop()
    if kind is str:
        return "".join(values).isascii()
    if kind is int:
        return bool(min(values) > -_EXACT and max(values) < _EXACT)
    return bool(kind is float and math.isfinite(sum(values)))


def _encode_int(value: int, _: int) -> Json:
    return int(value) if -_EXACT < value < _EXACT else {"$": "int", "v": hex(value)}


def _encode_float(value: float, _: int) -> Json:
    return float(value) if math.isfinite(value) else {"$": "float", "v": repr(float(value))}


def _encode_str(value: str, _: int) -> Json:
    value = str.__str__(value)
    try:
        value.encode()
    except UnicodeEncodeError:
        return {"$": "str", "v": _base64(value.encode("utf-8", "surrogatepass"))}
    return value


def _parts(value: complex) -> tuple[float, float]:
    return value.real, value.imag


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


# -- dates and times ---------------------------------------------------------------------------------------------------


def _encode_zone(zone: tzinfo | None, offset: timedelta | None) -> Json:
    """None, microseconds east of UTC, or ``[key, microseconds]`` of a zone of the time zone database."""
    if zone is None:
        return None
    shift = None if offset is None else offset // _MICROSECOND
    key = getattr(zone, "key", None)
    if isinstance(key, str):
        return [key, shift]
    if shift is None:
        raise WireError("its time zone has no fixed offset; use a timezone with an offset, or a ZoneInfo")
    return shift


def _decode_zone(zone: Json) -> tzinfo | None:
    if zone is None:
        return None
    if isinstance(zone, int):
        return timezone(timedelta(microseconds=zone)) if zone else UTC
    key, shift = zone
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(key)
    except (zoneinfo.ZoneInfoNotFoundError, OSError):
        return timezone(timedelta(microseconds=shift or 0), key)  # no time zone database in this sandbox


def _encode_datetime(value: datetime, _: int) -> Json:
    if type(value) is not datetime and hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime(warn=False)
    zone = _encode_zone(value.tzinfo, value.utcoffset())
    return {"$": "datetime", "v": [value.replace(tzinfo=None).isoformat(), value.fold, zone]}


def _encode_time(value: time, _: int) -> Json:
    zone = _encode_zone(value.tzinfo, value.utcoffset())
    return {"$": "time", "v": [value.replace(tzinfo=None).isoformat(), value.fold, zone]}


def _decode_datetime(_: Codec, value: dict[str, Json]) -> datetime:
    text, fold, zone = value["v"]
    return datetime.fromisoformat(text).replace(fold=fold, tzinfo=_decode_zone(zone))


def _decode_time(_: Codec, value: dict[str, Json]) -> time:
    text, fold, zone = value["v"]
    return time.fromisoformat(text).replace(fold=fold, tzinfo=_decode_zone(zone))


# -- classes that are imported when they are met -----------------------------------------------------------------------


def _encode_pattern(value: Any, depth: int) -> Json:
    pattern = value.pattern
    encoded = _encode_str(pattern, depth) if isinstance(pattern, str) else {"$": "bytes", "v": _base64(pattern)}
    return {"$": "pattern", "v": [encoded, value.flags & ~128]}


def _tagged_text(tag: str) -> Encoder:
    return lambda value, depth: {"$": tag, "v": _encode_str(str(value), depth)}


def _encode_fraction(value: Any, depth: int) -> Json:
    return {"$": "fraction", "v": [_encode_int(value.numerator, depth), _encode_int(value.denominator, depth)]}


def _encode_array(value: Any, _: int) -> Json:
    if value.dtype.kind not in "biufcSUmM":
        raise WireError(f"an array of {value.dtype} cannot be passed to a tool; pass array.tolist()")
    return {"$": "ndarray", "v": [value.dtype.str, list(value.shape), _base64(value.tobytes())]}


def _decode_array(_: Codec, value: dict[str, Json]) -> Any:
    """An array where NumPy is here; else nested lists."""
    dtype, shape, data = value["v"]
    content = bytearray(base64.b64decode(data))
    try:
        np: Any = importlib.import_module("numpy")
    except ImportError:
        return plain_array(dtype, shape, bytes(content))
    return np.frombuffer(content, dtype=dtype).reshape(shape)


_LAZY: dict[tuple[str, str], Encoder] = {
    ("decimal", "Decimal"): _tagged_text("decimal"),
    ("fractions", "Fraction"): _encode_fraction,
    ("uuid", "UUID"): _tagged_text("uuid"),
    ("re", "Pattern"): _encode_pattern,
    **{
        (module, name): _tagged_text(tag)
        for module in ("pathlib", "pathlib._local")
        for name, tag in (("PosixPath", "path"), ("PurePosixPath", "purepath"), ("PureWindowsPath", "windowspath"))
    },
}


def _call(module: str, name: str) -> Callable[[Codec, dict[str, Json]], Any]:
    def decode(codec: Codec, value: dict[str, Json]) -> Any:
        __import__(module)
        return getattr(sys.modules[module], name)(codec.decode(value["v"]))

    return decode


def _decode_fraction(codec: Codec, value: dict[str, Json]) -> Any:
    import fractions

    return fractions.Fraction(*map(codec.decode, value["v"]))


def _decode_pattern(codec: Codec, value: dict[str, Json]) -> Any:
    import re

    return re.compile(*map(codec.decode, value["v"]))


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
    "datetime": _decode_datetime,
    "date": lambda _, value: date.fromisoformat(value["v"]),
    "time": _decode_time,
    "timezone": lambda _, value: _decode_zone(value["v"]),
    "timedelta": lambda _, value: timedelta(*value["v"]),
    "decimal": _call("decimal", "Decimal"),
    "fraction": _decode_fraction,
    "uuid": _call("uuid", "UUID"),
    "path": _call("pathlib", "Path"),
    "purepath": _call("pathlib", "PurePosixPath"),
    "windowspath": _call("pathlib", "PureWindowsPath"),
    "pattern": _decode_pattern,
    "ndarray": _decode_array,
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
