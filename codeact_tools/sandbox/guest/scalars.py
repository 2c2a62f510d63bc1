"""The values that have no parts: numbers, text, dates, patterns, arrays.

Standard classes that few programs use are known by name, and imported where a value of theirs is met.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import Any

from .arrays import plain_array

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


def all_plain(values: Iterable[Any]) -> bool:
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


def encode_int(value: int, _: int) -> Json:
    """As it is, or in hexadecimal where JSON readers would lose digits."""
    return int(value) if -_EXACT < value < _EXACT else {"$": "int", "v": hex(value)}


def encode_float(value: float, _: int) -> Json:
    """As it is, or by name: ``nan``, ``inf``."""
    return float(value) if math.isfinite(value) else {"$": "float", "v": repr(float(value))}


def encode_str(value: str, _: int) -> Json:
    """As it is, or as bytes where it holds lone surrogates."""
    value = str.__str__(value)
    try:
        value.encode()
    except UnicodeEncodeError:
        return {"$": "str", "v": to_base64(value.encode("utf-8", "surrogatepass"))}
    return value


def to_base64(data: bytes) -> str:
    """How bytes are written."""
    return binascii.b2a_base64(data, newline=False).decode()


def encode_zone(zone: tzinfo | None, offset: timedelta | None) -> Json:
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


def decode_zone(zone: Json) -> tzinfo | None:
    """What `encode_zone` wrote."""
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


def encode_datetime(value: datetime, _: int) -> Json:
    """Wall time, fold and zone; of a pandas timestamp, too."""
    if type(value) is not datetime and hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime(warn=False)
    zone = encode_zone(value.tzinfo, value.utcoffset())
    return {"$": "datetime", "v": [value.replace(tzinfo=None).isoformat(), value.fold, zone]}


def encode_time(value: time, _: int) -> Json:
    """Wall time, fold and zone."""
    zone = encode_zone(value.tzinfo, value.utcoffset())
    return {"$": "time", "v": [value.replace(tzinfo=None).isoformat(), value.fold, zone]}


def decode_datetime(parts: Json) -> datetime:
    """What `encode_datetime` wrote."""
    text, fold, zone = parts
    return datetime.fromisoformat(text).replace(fold=fold, tzinfo=decode_zone(zone))


def decode_time(parts: Json) -> time:
    """What `encode_time` wrote."""
    text, fold, zone = parts
    return time.fromisoformat(text).replace(fold=fold, tzinfo=decode_zone(zone))


def encode_pattern(value: Any, depth: int) -> Json:
    """Source and flags."""
    pattern = value.pattern
    encoded = encode_str(pattern, depth) if isinstance(pattern, str) else {"$": "bytes", "v": to_base64(pattern)}
    return {"$": "pattern", "v": [encoded, value.flags & ~128]}


def tagged_text(tag: str) -> Encoder:
    """For classes whose values are made from a text."""
    return lambda value, depth: {"$": tag, "v": encode_str(str(value), depth)}


def encode_fraction(value: Any, depth: int) -> Json:
    """Numerator and denominator."""
    return {"$": "fraction", "v": [encode_int(value.numerator, depth), encode_int(value.denominator, depth)]}


def encode_array(value: Any, _: int) -> Json:
    """Type, shape and bytes."""
    if value.dtype.kind not in "biufcSUmM":
        raise WireError(f"an array of {value.dtype} cannot be passed to a tool; pass array.tolist()")
    return {"$": "ndarray", "v": [value.dtype.str, list(value.shape), to_base64(value.tobytes())]}


def decode_array(parts: Json) -> Any:
    """An array where NumPy is here; else nested lists."""
    dtype, shape, data = parts
    content = bytearray(base64.b64decode(data))
    try:
        np: Any = importlib.import_module("numpy")
    except ImportError:
        return plain_array(dtype, shape, bytes(content))
    return np.frombuffer(content, dtype=dtype).reshape(shape)


LAZY: dict[tuple[str, str], Encoder] = {
    ("decimal", "Decimal"): tagged_text("decimal"),
    ("fractions", "Fraction"): encode_fraction,
    ("uuid", "UUID"): tagged_text("uuid"),
    ("re", "Pattern"): encode_pattern,
    **{
        (module, name): tagged_text(tag)
        for module in ("pathlib", "pathlib._local")
        for name, tag in (("PosixPath", "path"), ("PurePosixPath", "purepath"), ("PureWindowsPath", "windowspath"))
    },
}
"""Encoders by the module and the name of the class."""
