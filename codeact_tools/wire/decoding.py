"""Wire to values: strictly, and through the validation of the classes that the catalog names."""

from __future__ import annotations

import functools
import math
import re
import uuid
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from enum import Flag
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError

from ..signatures import UNSET, Catalog, TypeDef
from . import scalars, tables
from .encoding import Encoder
from .handles import Handles
from .scalars import MAX_DEPTH, Json, WireError, all_plain, check_text, clean, expect, short


class Decoder:
    """Decodes what a guest sent, which may be anything."""

    def __init__(self, catalog: Catalog, handles: Handles, encoder: Encoder) -> None:
        self._catalog = catalog
        self._handles = handles
        self._encoder = encoder

    def decode(self, value: Json, depth: int = 0) -> Any:
        """Return the value that the JSON stands for.

        Raises:
            WireError: It stands for none.
        """
        kind = type(value)
        if kind is str:
            return check_text(value)
        if kind is list:
            return self._decode_list(value, depth)
        if kind is float and not math.isfinite(value):  # "1e999" is one
            raise WireError("a number is out of range")
        if kind is not dict:
            return value
        if "$" not in value:
            return self._decode_fields(value, depth, "[{!r}]")
        tag = value["$"]
        decoder = _DECODERS.get(tag) if isinstance(tag, str) else None
        if decoder is None:
            raise WireError(f"unknown kind of value {str(tag)[:40]!r}")
        keys, decode = decoder
        if value.keys() != keys and (tag != "enum" or value.keys() != {"$", "t", "n"}):
            raise WireError(f"a malformed {tag}")
        if depth > MAX_DEPTH:
            raise WireError(f"it is nested deeper than {MAX_DEPTH} levels")
        try:
            return decode(self, value, depth)
        except WireError:
            raise
        except (ValueError, TypeError, LookupError, ArithmeticError, OSError, re.error) as error:
            raise WireError(f"a malformed {tag}: {str(error)[:100]}") from None

    def _decode_list(self, value: Json, depth: int) -> list[Any]:
        if type(value) is not list:
            raise WireError("a malformed sequence")
        if all_plain(value):
            return value
        if depth > MAX_DEPTH:
            raise WireError(f"it is nested deeper than {MAX_DEPTH} levels")
        decoded: list[Any] = []
        try:
            for item in value:
                decoded.append(self.decode(item, depth + 1))  # noqa: PERF401 - its length says where an error is
        except WireError as error:
            error.path.append(f"[{len(decoded)}]")
            raise
        return decoded

    def _decode_fields(self, value: Json, depth: int, style: str = ".{}") -> dict[str, Any]:
        if type(value) is not dict:
            raise WireError("malformed fields")
        if all_plain(value) and all_plain(value.values()):
            return value
        if depth > MAX_DEPTH:
            raise WireError(f"it is nested deeper than {MAX_DEPTH} levels")
        decoded: dict[str, Any] = {}
        name = ""
        try:
            for name, item in value.items():
                decoded[check_text(name)] = self.decode(item, depth + 1)
        except WireError as error:
            error.path.append(style.format(clean(name[:100])))
            raise
        return decoded

    def _decode_dict(self, value: Json, depth: int) -> dict[Any, Any]:
        decoded: dict[Any, Any] = {}
        for pair in expect(value["v"], list):
            key, item = expect(pair, list)
            decoded[self.decode(key, depth + 1)] = self.decode(item, depth + 1)
        return decoded

    def _definition(self, value: Json, *kinds: str) -> TypeDef:
        name = expect(value["t"], str)
        definition = self._catalog.types.get(name)
        if definition is None or definition.kind not in kinds:
            raise WireError(f"no type {name[:80]!r} is known")
        return definition

    def _decode_object(self, value: Json, depth: int) -> Any:
        definition = self._definition(value, "record", "namedtuple")
        fields = self._decode_fields(value["v"], depth)
        known = {field.name: field for field in definition.fields}
        if not definition.extra and (unknown := sorted(fields.keys() - known.keys())):
            raise WireError(f"{definition.name} has no field {unknown[0][:80]!r}")
        given = {name: item for name, item in fields.items() if name not in known or known[name].init}
        found = _construct(definition, given)
        for name in fields.keys() - given.keys():
            made = getattr(found, known[name].attribute or name, UNSET)
            if made is not UNSET and self._encoder.encode(made, depth) != value["v"][name] and made != fields[name]:
                raise WireError(
                    f"{definition.name}.{name} cannot be sent back: the constructor makes it {short(made)}; "
                    f"make a new {definition.name}"
                )
        return found

    def _decode_exception(self, value: Json, depth: int) -> Any:
        definition = self._definition(value, "exception")
        fields = self._decode_fields(value["v"], depth)
        message = self.decode(value["m"], depth + 1)
        error = definition.python.__new__(definition.python, message)
        error.args = (message,)
        for field in definition.fields:
            if field.name in fields:
                setattr(error, field.name, fields[field.name])
        return error

    def _decode_enum(self, value: Json, depth: int) -> Any:
        definition = self._definition(value, "enum")
        if "n" in value:
            name = expect(value["n"], str)
            member = definition.python.__members__.get(name)
            if member is None:
                names = ", ".join(list(definition.python.__members__)[:20])
                raise WireError(f"{definition.name} has no member {name[:80]!r}; there is: {names}")
            return member
        number = self.decode(value["v"], depth + 1)
        if not issubclass(definition.python, Flag) or type(number) is not int:
            raise WireError(f"a malformed {definition.name}")
        return definition.python(number)

    def _decode_handle(self, value: Json, _: int) -> Any:
        return self._handles.decode(expect(expect(value["v"], dict)["id"], str))


def _construct(definition: TypeDef, fields: dict[str, Any]) -> Any:
    """Build the class's instance through pydantic's validation."""
    cls = definition.python
    try:
        adapter = _adapter(cls)
        if adapter is None:
            return cls(**fields)
        return adapter.validate_python(fields, by_name=True, by_alias=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        failure = WireError(f"{first['msg']}, got {short(first['input'])}")
        failure.path = [_step(part) for part in reversed(first["loc"])] + [definition.name]
        raise failure from None


def _step(part: int | str) -> str:
    return f"[{part}]" if isinstance(part, int) else f".{part}"


@functools.lru_cache(maxsize=1024)
def _adapter(cls: Any) -> TypeAdapter[Any] | None:
    """None for classes that pydantic does not know: those of attrs validate by themselves."""
    try:
        return TypeAdapter(cls)
    except PydanticSchemaGenerationError:
        return None


def _decode_complex(decoder: Decoder, value: Json, depth: int) -> complex:
    real, imag = (decoder.decode(part, depth + 1) for part in expect(value["v"], list))
    return complex(float(real), float(imag))


def _decode_fraction(decoder: Decoder, value: Json, depth: int) -> Fraction:
    numerator, denominator = (expect(decoder.decode(part, depth + 1), int) for part in expect(value["v"], list))
    if max(numerator.bit_length(), denominator.bit_length()) > 4 * scalars.MAX_RATIO_DIGITS:
        raise WireError("a fraction has too many digits")
    return Fraction(numerator, denominator)


def _decode_pattern(decoder: Decoder, value: Json, depth: int) -> re.Pattern[Any]:
    source, flags = expect(value["v"], list)
    return scalars.compile_pattern(decoder.decode(source, depth + 1), flags)


def _scalar(decode: Callable[[Json], Any]) -> Callable[[Decoder, Json, int], Any]:
    return lambda _decoder, value, _depth: decode(value["v"])


def _text(make: Callable[[str], Any]) -> Callable[[Decoder, Json, int], Any]:
    """For classes whose values are made from a text, which may itself need a tag."""
    return lambda decoder, value, depth: make(expect(decoder.decode(value["v"], depth + 1), str))


def _table(make: Callable[[Json, Callable[[Json], Any]], Any]) -> Callable[[Decoder, Json, int], Any]:
    def decode(decoder: Decoder, value: Json, depth: int) -> Any:
        try:
            return make(value["v"], lambda part: decoder.decode(part, depth + 1))
        except WireError:
            raise
        except Exception as error:  # what pandas raises for nonsense is not documented
            raise WireError(f"a malformed {value['$']}: {type(error).__name__}") from error

    return decode


def _sequence(make: Callable[[list[Any]], Any]) -> Callable[[Decoder, Json, int], Any]:
    return lambda decoder, value, depth: make(decoder._decode_list(value["v"], depth))


_DECODERS: dict[str, tuple[frozenset[str], Callable[[Decoder, Json, int], Any]]] = {
    **{
        tag: (frozenset({"$", "v"}), decode)
        for tag, decode in {
            "int": _scalar(scalars.decode_int),
            "float": _scalar(scalars.decode_float),
            "str": _scalar(scalars.decode_str),
            "bytes": _scalar(scalars.decode_bytes),
            "complex": _decode_complex,
            "tuple": _sequence(tuple),
            "set": _sequence(set),
            "frozenset": _sequence(frozenset),
            "dict": Decoder._decode_dict,
            "datetime": _scalar(scalars.decode_datetime),
            "date": _scalar(lambda text: date.fromisoformat(expect(text, str))),
            "time": _scalar(scalars.decode_time),
            "timedelta": _scalar(scalars.decode_timedelta),
            "timezone": _scalar(scalars.decode_zone),
            "decimal": _text(Decimal),
            "fraction": _decode_fraction,
            "uuid": _text(uuid.UUID),
            "path": _text(Path),
            "purepath": _text(PurePosixPath),
            "windowspath": _text(PureWindowsPath),
            "pattern": _decode_pattern,
            "ndarray": _scalar(scalars.decode_array),
            "frame": _table(tables.decode_frame),
            "series": _table(tables.decode_series),
            "image": _scalar(tables.decode_image),
        }.items()
    },
    "handle": (frozenset({"$", "t", "v"}), Decoder._decode_handle),
    "object": (frozenset({"$", "t", "v"}), Decoder._decode_object),
    "enum": (frozenset({"$", "t", "v"}), Decoder._decode_enum),
    "exception": (frozenset({"$", "t", "m", "v"}), Decoder._decode_exception),
}
