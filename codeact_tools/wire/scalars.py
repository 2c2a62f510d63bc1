"""The values that have no parts: numbers, text, dates, patterns."""

from __future__ import annotations

import base64
import binascii
import importlib
import math
import re
import zoneinfo
from collections.abc import Collection
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from fractions import Fraction
from typing import Any, Final, TypeVar

from ..errors import CodeActError

MAX_DEPTH: Final = 200
"""Levels of nesting of a value."""
MAX_PATTERN: Final = 10_000
"""Characters of a regular expression: compiling one takes time."""
MAX_RATIO_DIGITS: Final = 50_000
"""Hexadecimal digits of a fraction's parts: reducing one takes time."""
_EXACT: Final = 2**53
_NONE: Final = type(None)
_MICROSECOND: Final = timedelta(microseconds=1)
_FLAGS: Final = re.A | re.I | re.L | re.M | re.S | re.U | re.X
_ARRAY_KINDS: Final = "biufcSUmM"
_T = TypeVar("_T")
Json = Any
"""What `json` reads and writes."""


class WireError(CodeActError, ValueError):
    """A value cannot cross the bridge; the message says which part, why, and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.path: list[str] = []
        """Where in the value, innermost first."""

    def __str__(self) -> str:
        message = super().__str__()
        return f"at {''.join(reversed(self.path))}: {message}" if self.path else message


def all_plain(values: Collection[Any]) -> bool:
    """Whether all values stand for themselves; judged at C speed, so True only for values of one type."""
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
    return kind is float and math.isfinite(sum(values))


def expect(value: Any, kind: type[_T]) -> _T:
    """Return the value where it is exactly of the type.

    Raises:
        WireError: It is not.
    """
    if type(value) is not kind:
        raise WireError(f"{kind.__name__} expected, got {type(value).__name__}")
    return value


def short(value: object) -> str:
    """The value's repr in at most 80 characters, for messages."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # e.g. an integer with more digits than Python prints
        text = f"a {type(value).__name__}"
    return clean(text if len(text) <= 80 else f"{text[:77]}...")


def clean(text: str) -> str:
    """The text with lone surrogates, which cannot be printed, written as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def check_text(text: str) -> str:
    """Return the text where it needs no tag.

    Raises:
        WireError: It holds lone surrogates.
    """
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise WireError("text with lone surrogates has a tag of its own") from None
    return text


# ---- numbers, text, bytes --------------------------------------------------------------------------------------------


def encode_int(value: int, _: int = 0) -> Json:
    """Integers that JSON readers keep exactly stand for themselves; others are hexadecimal text."""
    return int(value) if -_EXACT < value < _EXACT else {"$": "int", "v": hex(value)}


def decode_int(text: Json) -> int:
    """Read hexadecimal text; unlike decimal text, its time grows with its length only."""
    return int(expect(text, str), 16)


def encode_float(value: float, _: int = 0) -> Json:
    """Finite numbers stand for themselves."""
    return float(value) if math.isfinite(value) else {"$": "float", "v": repr(float(value))}


def decode_float(text: Json) -> float:
    """Read what is not finite."""
    if text not in ("nan", "inf", "-inf"):
        raise WireError(f"a malformed float {short(text)}")
    return float(text)


def encode_str(value: str, _: int = 0) -> Json:
    """Text stands for itself, but for lone surrogates."""
    value = str.__str__(value)
    try:
        value.encode()
    except UnicodeEncodeError:
        return {"$": "str", "v": _to_base64(value.encode("utf-8", "surrogatepass"))}
    return value


def decode_str(data: Json) -> str:
    """Read text with lone surrogates."""
    return decode_bytes(data).decode("utf-8", "surrogatepass")


def encode_bytes(value: bytes | bytearray, _: int = 0) -> Json:
    """Bytes are base64."""
    return {"$": "bytes", "v": _to_base64(value)}


def decode_bytes(data: Json) -> bytes:
    """Read base64, strictly."""
    return base64.b64decode(expect(data, str), validate=True)


def _to_base64(data: bytes | bytearray) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def encode_fraction(value: Fraction, _: int = 0) -> Json:
    """Numerator and denominator."""
    parts = value.numerator, value.denominator
    if max(part.bit_length() for part in parts) > 4 * MAX_RATIO_DIGITS:
        raise WireError("a fraction has too many digits; return a Decimal or a float")
    return {"$": "fraction", "v": [encode_int(part) for part in parts]}


def encode_pattern(value: re.Pattern[Any], _: int = 0) -> Json:
    """Source and flags."""
    if len(value.pattern) > MAX_PATTERN:
        raise WireError(f"a pattern is longer than {MAX_PATTERN} characters")
    source = encode_str(value.pattern) if isinstance(value.pattern, str) else encode_bytes(value.pattern)
    return {"$": "pattern", "v": [source, value.flags & int(_FLAGS)]}


def compile_pattern(source: Any, flags: Json) -> re.Pattern[Any]:
    """Compile a pattern of bounded size; flags that print or change the compiler are refused."""
    if not isinstance(source, str | bytes) or type(flags) is not int or flags & ~int(_FLAGS):
        raise WireError("a malformed pattern")
    if len(source) > MAX_PATTERN:
        raise WireError(f"a pattern is longer than {MAX_PATTERN} characters")
    return re.compile(source, flags)


# ---- arrays ----------------------------------------------------------------------------------------------------------


def encode_array(value: Any, _: int = 0) -> Json:
    """Data type, shape, bytes in C order, of a NumPy array."""
    if value.dtype.kind not in _ARRAY_KINDS:
        raise WireError(f"an array of {value.dtype} cannot cross; make it one of numbers, text or dates, or a list")
    return {"$": "ndarray", "v": [value.dtype.str, list(value.shape), _to_base64(value.tobytes())]}


def decode_array(parts: Json) -> Any:
    """Read an array; the host must have NumPy."""
    try:
        np: Any = importlib.import_module("numpy")
    except ImportError:
        raise WireError("an array cannot be taken, because the host has no NumPy; pass array.tolist()") from None
    dtype, shape, data = expect(parts, list)
    if not re.fullmatch(f"[<>|=][{_ARRAY_KINDS}]\\d{{1,6}}(\\[[a-zA-Z0-9]{{1,8}}\\])?", expect(dtype, str)):
        raise WireError("a malformed array")
    if len(expect(shape, list)) > 32 or any(type(size) is not int or size < 0 for size in shape):
        raise WireError("a malformed array")
    return np.frombuffer(bytearray(decode_bytes(data)), dtype=np.dtype(dtype)).reshape(shape)


# ---- dates and times -------------------------------------------------------------------------------------------------


def encode_zone(zone: tzinfo | None, offset: timedelta | None) -> Json:
    """None, microseconds east of UTC, or ``[key, microseconds]`` of a zone of the time zone database."""
    if zone is None:
        return None
    shift = None if offset is None else offset // _MICROSECOND
    key = getattr(zone, "key", None)
    if isinstance(key, str):
        return [key, shift]
    if shift is None:
        raise WireError("a time zone has no fixed offset; use a timezone with an offset, or a ZoneInfo")
    return shift


def decode_zone(zone: Json) -> tzinfo | None:
    """Read a time zone."""
    if zone is None:
        return None
    if type(zone) is int:
        return timezone(timedelta(microseconds=zone)) if zone else UTC
    key, shift = expect(zone, list)
    if shift is not None:
        expect(shift, int)
    if len(expect(key, str)) > 100:
        raise WireError("a malformed time zone")
    return zoneinfo.ZoneInfo(key)


def encode_datetime(value: datetime, _: int = 0) -> Json:
    """ISO text without the zone, fold, zone."""
    zone = encode_zone(value.tzinfo, value.utcoffset())
    return {"$": "datetime", "v": [value.replace(tzinfo=None).isoformat(), value.fold, zone]}


def decode_datetime(parts: Json) -> datetime:
    """Read a date with its time."""
    text, fold, zone = expect(parts, list)
    return _naive(datetime.fromisoformat(expect(text, str))).replace(fold=expect(fold, int), tzinfo=decode_zone(zone))


def encode_time(value: time, _: int = 0) -> Json:
    """ISO text without the zone, fold, zone."""
    zone = encode_zone(value.tzinfo, value.utcoffset())
    return {"$": "time", "v": [value.replace(tzinfo=None).isoformat(), value.fold, zone]}


def decode_time(parts: Json) -> time:
    """Read a time of day."""
    text, fold, zone = expect(parts, list)
    return _naive(time.fromisoformat(expect(text, str))).replace(fold=expect(fold, int), tzinfo=decode_zone(zone))


def decode_timedelta(parts: Json) -> timedelta:
    """Read days, seconds, microseconds."""
    days, seconds, microseconds = (expect(part, int) for part in expect(parts, list))
    return timedelta(days, seconds, microseconds)


_Moment = TypeVar("_Moment", datetime, time)


def _naive(moment: _Moment) -> _Moment:
    if moment.tzinfo is not None:
        raise WireError("a zone has a place of its own")
    return moment
