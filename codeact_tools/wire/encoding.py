"""Values to wire: containers, the classes of a catalog, and values of other libraries."""

from __future__ import annotations

import functools
import re
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from pydantic import RootModel
from pydantic.networks import AnyUrl

from ..signatures import Catalog, TypeDef
from . import scalars, tables
from .handles import Handles, Kept
from .scalars import MAX_DEPTH, Json, WireError, all_plain

_Encode = Callable[[Any, int], Json]


class Encoder:
    """Encodes by the value's own class; how is looked up once for each."""

    def __init__(self, catalog: Catalog, handles: Handles) -> None:
        self._catalog = catalog
        self._handles = handles
        self._encoders: dict[type, _Encode] = {
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
            Kept: lambda v, _: handles.encode(v.name, v.value),
            RootModel: lambda v, depth: self.encode(v.root, depth),
        }

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

    def _find_encoder(self, kind: type) -> _Encode:
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

    def _foreign_encoder(self, kind: type) -> _Encode | None:
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

    def _definition_encoder(self, definition: TypeDef) -> _Encode | None:
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
                return lambda value, _: self._handles.encode(name, value)
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


def _encode_enum(name: str, value: Enum, depth: int) -> Json:
    if isinstance(value, Flag):
        return {"$": "enum", "t": name, "v": scalars.encode_int(value.value, depth)}
    return {"$": "enum", "t": name, "n": value.name}
