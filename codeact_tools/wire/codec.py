"""Values to wire and back: containers, and the classes of a catalog."""

from __future__ import annotations

import functools
import math
import re
import secrets
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

from pydantic import PydanticSchemaGenerationError, RootModel, TypeAdapter, ValidationError
from pydantic.networks import AnyUrl

from ..expressions import Constrained, Generic, Name, Ref, TypeExpr, Union
from ..signatures import UNSET, Catalog, TypeDef
from . import scalars, tables
from .scalars import MAX_DEPTH, Json, WireError, all_plain, check_text, clean, expect, short

_Encoder = Callable[[Any, int], Json]


class _Kept(NamedTuple):
    """A value that stays on the host though its class could cross."""

    name: str
    """Of its handle."""
    value: Any


class Codec:
    """Encodes and decodes values of plain Python, of the standard library's value types, and of a catalog's classes.

    One codec belongs to one session: it holds the values that stay on the host, and gives out handles to them.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._encoders: dict[type, _Encoder] = {
            int: scalars.encode_int,
            float: scalars.encode_float,
            str: scalars.encode_str,
            bytes: scalars.encode_bytes,
            bytearray: scalars.encode_bytes,
            complex: lambda v, depth: {
                "$": "complex",
                "v": [scalars.encode_float(v.real, depth), scalars.encode_float(v.imag, depth)],
            },
            list: self._encode_list,
            dict: self._encode_dict,
            tuple: lambda v, depth: {"$": "tuple", "v": self._encode_list(v, depth)},
            set: lambda v, depth: {"$": "set", "v": self._encode_list(list(v), depth)},
            frozenset: lambda v, depth: {"$": "frozenset", "v": self._encode_list(list(v), depth)},
            range: lambda v, depth: self._encode_list(list(v), depth),
            datetime: scalars.encode_datetime,
            date: lambda v, _: {"$": "date", "v": v.isoformat()},
            time: scalars.encode_time,
            timedelta: lambda v, _: {"$": "timedelta", "v": [v.days, v.seconds, v.microseconds]},
            timezone: lambda v, _: {"$": "timezone", "v": scalars.encode_zone(v, v.utcoffset(None))},
            Decimal: lambda v, _: {"$": "decimal", "v": str(v)},
            Fraction: scalars.encode_fraction,
            uuid.UUID: lambda v, _: {"$": "uuid", "v": str(v)},
            PureWindowsPath: lambda v, depth: {"$": "windowspath", "v": scalars.encode_str(str(v), depth)},
            PurePosixPath: lambda v, depth: {"$": "purepath", "v": scalars.encode_str(str(v), depth)},
            Path: lambda v, depth: {"$": "path", "v": scalars.encode_str(str(v), depth)},
            re.Pattern: scalars.encode_pattern,
            AnyUrl: lambda v, depth: scalars.encode_str(str(v), depth),
            _Kept: lambda v, depth: self._encode_handle(v.name, v.value, depth),
            RootModel: lambda v, depth: self.encode(v.root, depth),
        }
        self._held: dict[str, object] = {}
        self._handles: dict[int, str] = {}

    def encode(self, value: Any, depth: int = 0) -> Json:
        """Return the value as JSON.

        Raises:
            WireError: It, or a part of it, cannot cross.
        """
        kind = type(value)
        if kind is str and value.isascii():
            return value
        if kind is bool or value is None:
            return value
        if depth > MAX_DEPTH:
            raise WireError(f"it is nested deeper than {MAX_DEPTH} levels, or contains itself")
        return (self._encoders.get(kind) or self._find_encoder(kind))(value, depth)

    def encode_as(self, value: Any, expression: TypeExpr) -> Json:
        """`encode`, where the expression tells which tables, arrays and images stay on the host.

        Raises:
            WireError: As `encode`.
        """
        return self.encode(self._kept(value, expression) if self._catalog.large else value)

    def _kept(self, value: Any, expression: TypeExpr) -> Any:
        match expression:
            case Ref(name=name) if (cls := self._catalog.large.get(name)) is not None:
                return _Kept(name, value) if isinstance(value, cls) else value
            case Constrained(base=base):
                return self._kept(value, base)
            case Union(options=options):
                return next((kept for each in options if (kept := self._kept(value, each)) is not value), value)
            case Generic(origin="list" | "Sequence" | "Iterable", arguments=(item,)) if isinstance(value, list | tuple):
                return [self._kept(each, item) for each in value]
            case Generic(origin="dict" | "Mapping", arguments=(_, item)) if isinstance(value, dict):
                return {key: self._kept(each, item) for key, each in value.items()}
            case Generic(origin="tuple", arguments=(item, Name(text="..."))) if isinstance(value, tuple):
                return tuple(self._kept(each, item) for each in value)
            case Generic(origin="tuple", arguments=items) if isinstance(value, tuple) and len(items) == len(value):
                return tuple(self._kept(each, item) for each, item in zip(value, items, strict=True))
        return value

    def decode(self, value: Json) -> Any:
        """Return the value that the JSON stands for.

        Raises:
            WireError: It stands for none.
        """
        try:
            return self._decode(value, 0)
        except RecursionError:
            raise WireError(f"it is nested deeper than {MAX_DEPTH} levels") from None

    def adopt(self, key: str, value: object) -> None:
        """Let ``value`` stand behind the handle ``key``, which an earlier process gave out."""
        self._handles[id(value)] = key
        self._held[key] = value

    def release(self) -> None:
        """Forget the values that stay on the host; their handles are worth nothing afterwards."""
        self._held.clear()
        self._handles.clear()

    # -- host to guest -------------------------------------------------------------------------------------------------

    def _find_encoder(self, kind: type) -> _Encoder:
        """The encoder for a class of the catalog, or for a class with a known base; remembered."""
        definition = self._catalog.by_python(kind)
        encoder = self._definition_encoder(definition) if definition is not None else None
        for base in kind.__mro__:
            encoder = encoder or (None if issubclass(kind, Enum) else self._encoders.get(base))
        encoder = encoder or self._foreign_encoder(kind)
        if encoder is None:
            raise WireError(
                f"a value of type {kind.__qualname__!r} cannot cross to the action; "
                f"return plain data or a type that the signature names"
            )
        self._encoders[kind] = encoder
        return encoder

    def _foreign_encoder(self, kind: type) -> _Encoder | None:
        """The encoder for values of other libraries."""
        library, encode = kind.__module__.partition(".")[0], functools.partial(self.encode, depth=1)
        match library, kind.__name__:
            case "numpy", "ndarray":
                return scalars.encode_array
            case "numpy", _:
                return self._encode_number
            case "pandas", "DataFrame":
                return lambda value, _: tables.encode_frame(value, encode)
            case "pandas", "Series":
                return lambda value, _: tables.encode_series(value, encode)
            case "PIL", _:
                return lambda value, _: tables.encode_image(value)
        return None

    def _definition_encoder(self, definition: TypeDef) -> _Encoder | None:
        name = definition.name
        match definition.kind:
            case "record" | "namedtuple":
                held = {field.name: field.attribute or field.name for field in definition.fields if field.stored}
                return functools.partial(self._encode_record, name, held)
            case "exception":
                names = tuple(field.name for field in definition.fields)
                return functools.partial(self._encode_exception, name, names)
            case "enum":
                return functools.partial(_encode_enum, name)
            case "handle":
                return functools.partial(self._encode_handle, name)
            case _:
                return None

    def _encode_list(self, value: Sequence[Any], depth: int) -> Json:
        if all_plain(value):
            return value if type(value) is list else list(value)
        encoded: list[Json] = []
        try:
            for item in value:
                encoded.append(self.encode(item, depth + 1))  # noqa: PERF401 - its length says where an error is
        except WireError as error:
            error.path.append(f"[{len(encoded)}]")
            raise
        return encoded

    def _encode_dict(self, value: dict[Any, Any], depth: int) -> Json:
        if not value or (set(map(type, value)) == {str} and "$" not in value and all_plain(value)):
            if all_plain(value.values()):
                return value if type(value) is dict else dict(value)
            return self._encode_fields(value.items(), depth, "[{!r}]")
        pairs: list[Json] = []
        try:
            for key, item in value.items():
                pairs.append([self.encode(key, depth + 1), self.encode(item, depth + 1)])
        except WireError as error:
            error.path.append(f"[key {len(pairs)}]")
            raise
        return {"$": "dict", "v": pairs}

    def _encode_fields(self, fields: Collection[tuple[str, Any]], depth: int, style: str = ".{}") -> dict[str, Json]:
        encoded: dict[str, Json] = {}
        name = ""
        try:
            for name, value in fields:
                encoded[name] = self.encode(value, depth + 1)
        except WireError as error:
            error.path.append(style.format(name))
            raise
        return encoded

    def _encode_record(self, name: str, held: Mapping[str, str], value: Any, depth: int) -> Json:
        """``held`` gives the attribute that holds a field, by the field's name."""
        fields = [(field, getattr(value, held[field])) for field in held if hasattr(value, held[field])]
        extra = getattr(value, "__pydantic_extra__", None)
        if extra:
            fields += [(field, item) for field, item in extra.items() if field not in held]
        return {"$": "object", "t": name, "v": self._encode_fields(fields, depth)}

    def _encode_exception(self, name: str, names: tuple[str, ...], value: Any, depth: int) -> Json:
        fields = [(field, getattr(value, field)) for field in names if hasattr(value, field)]
        return {
            "$": "exception",
            "t": name,
            "m": scalars.encode_str(str(value), depth),
            "v": self._encode_fields(fields, depth),
        }

    def _encode_number(self, value: Any, depth: int) -> Json:
        """A NumPy scalar crosses as the plain value that it stands for."""
        plain = value.item()
        if type(plain) is type(value):
            raise WireError(f"a {type(value).__name__} cannot cross to the action; return a plain number")
        return self.encode(plain, depth)

    def _encode_handle(self, name: str, value: object, _: int) -> Json:
        key = self._handles.get(id(value))
        if key is None:
            key = self._handles[id(value)] = secrets.token_urlsafe(16)
            self._held[key] = value
        return {"$": "handle", "t": name, "v": {"id": key, "repr": clean(self._label(name, value)[:500])}}

    def _label(self, name: str, value: object) -> str:
        """What the action sees of a value that stays on the host."""
        if name in self._catalog.large:
            shape = getattr(value, "shape", getattr(value, "size", ()))
            return f"<{name}: {' x '.join(map(str, shape))}>"
        if type(value).__repr__ is object.__repr__:  # an address of the host is nobody's business
            return f"<{name}>"
        try:
            return repr(value)
        except Exception:  # the value is good even where its class cannot show it
            return f"<{name}>"

    # -- guest to host -------------------------------------------------------------------------------------------------

    def _decode(self, value: Json, depth: int) -> Any:
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
                decoded.append(self._decode(item, depth + 1))  # noqa: PERF401 - its length says where an error is
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
                decoded[check_text(name)] = self._decode(item, depth + 1)
        except WireError as error:
            error.path.append(style.format(clean(name[:100])))
            raise
        return decoded

    def _decode_dict(self, value: Json, depth: int) -> dict[Any, Any]:
        decoded: dict[Any, Any] = {}
        for pair in expect(value["v"], list):
            key, item = expect(pair, list)
            decoded[self._decode(key, depth + 1)] = self._decode(item, depth + 1)
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
            if made is not UNSET and self.encode(made, depth) != value["v"][name] and made != fields[name]:
                raise WireError(
                    f"{definition.name}.{name} cannot be sent back: the constructor makes it {short(made)}; "
                    f"make a new {definition.name}"
                )
        return found

    def _decode_exception(self, value: Json, depth: int) -> Any:
        definition = self._definition(value, "exception")
        fields = self._decode_fields(value["v"], depth)
        message = self._decode(value["m"], depth + 1)
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
        number = self._decode(value["v"], depth + 1)
        if not issubclass(definition.python, Flag) or type(number) is not int:
            raise WireError(f"a malformed {definition.name}")
        return definition.python(number)

    def _decode_handle(self, value: Json, _: int) -> Any:
        key = expect(expect(value["v"], dict)["id"], str)
        if key not in self._held:
            raise WireError("the handle belongs to no value of the session; if the run was resumed, get it again")
        return self._held[key]


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


def _encode_enum(name: str, value: Enum, depth: int) -> Json:
    if isinstance(value, Flag):
        return {"$": "enum", "t": name, "v": scalars.encode_int(value.value, depth)}
    return {"$": "enum", "t": name, "n": value.name}


def _decode_complex(codec: Codec, value: Json, depth: int) -> complex:
    real, imag = (codec._decode(part, depth + 1) for part in expect(value["v"], list))
    return complex(float(real), float(imag))


def _decode_fraction(codec: Codec, value: Json, depth: int) -> Fraction:
    numerator, denominator = (expect(codec._decode(part, depth + 1), int) for part in expect(value["v"], list))
    if max(numerator.bit_length(), denominator.bit_length()) > 4 * scalars.MAX_RATIO_DIGITS:
        raise WireError("a fraction has too many digits")
    return Fraction(numerator, denominator)


def _decode_pattern(codec: Codec, value: Json, depth: int) -> re.Pattern[Any]:
    source, flags = expect(value["v"], list)
    return scalars.compile_pattern(codec._decode(source, depth + 1), flags)


def _scalar(decode: Callable[[Json], Any]) -> Callable[[Codec, Json, int], Any]:
    return lambda _codec, value, _depth: decode(value["v"])


def _text(make: Callable[[str], Any]) -> Callable[[Codec, Json, int], Any]:
    """For classes whose values are made from a text, which may itself need a tag."""
    return lambda codec, value, depth: make(expect(codec._decode(value["v"], depth + 1), str))


def _table(make: Callable[[Json, Callable[[Json], Any]], Any]) -> Callable[[Codec, Json, int], Any]:
    def decode(codec: Codec, value: Json, depth: int) -> Any:
        try:
            return make(value["v"], lambda part: codec._decode(part, depth + 1))
        except WireError:
            raise
        except Exception as error:  # what pandas raises for nonsense is not documented
            raise WireError(f"a malformed {value['$']}: {type(error).__name__}") from error

    return decode


def _sequence(make: Callable[[list[Any]], Any]) -> Callable[[Codec, Json, int], Any]:
    return lambda codec, value, depth: make(codec._decode_list(value["v"], depth))


_DECODERS: dict[str, tuple[frozenset[str], Callable[[Codec, Json, int], Any]]] = {
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
            "dict": Codec._decode_dict,
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
    "handle": (frozenset({"$", "t", "v"}), Codec._decode_handle),
    "object": (frozenset({"$", "t", "v"}), Codec._decode_object),
    "enum": (frozenset({"$", "t", "v"}), Codec._decode_enum),
    "exception": (frozenset({"$", "t", "m", "v"}), Codec._decode_exception),
}
