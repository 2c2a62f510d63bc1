"""Constraints of `typing.Annotated` and pydantic's ``Field`` as Python expressions over the value.

Each text holds ``{x}`` in the place of the value; one that starts with ``#`` is a note in words.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from annotated_types import BaseMetadata, Predicate
from pydantic.fields import FieldInfo

_ORDERED: Final = ("gt", "ge", "lt", "le", "multiple_of")
_SIZED: Final = ("min_length", "max_length")
_OTHER: Final = ("pattern", "max_digits", "decimal_places", "allow_inf_nan")
_KNOWN: Final = (*_ORDERED, *_SIZED, *_OTHER)

_SIZED_TYPES: Final = (str, bytes, list, tuple, set, frozenset, dict)
_NUMBERS: Final = (int, float)


def flatten(metadata: Sequence[object]) -> Iterator[object]:
    """The single items of ``metadata``: `FieldInfo` and grouped metadata hold several."""
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from flatten(item.metadata)
        elif isinstance(item, BaseMetadata) or not getattr(item, "__is_annotated_types_grouped_metadata__", False):
            yield item
        else:
            yield from flatten(list(typing.cast("Iterable[object]", item)))


def constraint_texts(metadata: Sequence[object]) -> tuple[str, ...]:
    """The constraints in ``metadata`` as Python expressions.

    >>> from pydantic import Field
    >>> constraint_texts([Field(ge=1, le=100)])
    ('1 <= {x} <= 100',)
    """
    items = list(flatten(metadata))
    known = _known(items)
    texts = [
        *_interval("{x}", known.get("gt"), known.get("ge"), known.get("lt"), known.get("le")),
        *_interval("len({x})", None, known.get("min_length") or None, None, known.get("max_length")),
    ]
    if (step := known.get("multiple_of")) is not None:
        texts.append(f"{{x}} % {step} == 0")
    if (pattern := known.get("pattern")) is not None:
        source = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
        texts.append(f"re.search({_raw(source)}, {{x}})")
    if (digits := known.get("max_digits")) is not None:
        texts.append(f"#at most {digits} digits")
    if (places := known.get("decimal_places")) is not None:
        texts.append(f"#at most {places} decimal places")
    if known.get("allow_inf_nan") is False:
        texts.append("#finite")
    texts += [_predicate(item) for item in items if isinstance(item, Predicate)]
    return tuple(texts)


def misapplied(base: object, metadata: Sequence[object]) -> str:
    """Name the constraint in ``metadata`` that the builtin type ``base`` cannot have; empty where all fit."""
    sized, number = base in _SIZED_TYPES, base in _NUMBERS
    if not sized and not number:
        return ""
    for name in _known(list(flatten(metadata))):
        allowed = (
            number if name in _ORDERED else sized if name in _SIZED else base is str if name == "pattern" else True
        )
        if not allowed:
            return name
    return ""


def _known(items: Sequence[object]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        if isinstance(item, BaseMetadata) or type(item).__module__.startswith("pydantic"):
            for name in _KNOWN:
                if (value := getattr(item, name, None)) is not None:
                    found[name] = value
    return found


def _interval(subject: str, gt: object, ge: object, lt: object, le: object) -> list[str]:
    low = f"{_bound(gt)} < " if gt is not None else f"{_bound(ge)} <= " if ge is not None else ""
    high = f" < {_bound(lt)}" if lt is not None else f" <= {_bound(le)}" if le is not None else ""
    if low and high and ge is not None and ge == le:
        return [f"{subject} == {_bound(ge)}"]
    if low and not high:
        return [f"{subject} {'>' if gt is not None else '>='} {_bound(gt if gt is not None else ge)}"]
    return [f"{low}{subject}{high}"] if low or high else []


def _bound(value: object) -> str:
    return repr(value) if isinstance(value, int | float) else str(value)


def _raw(pattern: str) -> str:
    quote = '"' if '"' not in pattern else "'"
    plain = quote not in pattern and "\n" not in pattern and not pattern.endswith("\\")
    return f"r{quote}{pattern}{quote}" if plain else repr(pattern)


def _predicate(item: Predicate) -> str:
    function = item.func
    name = getattr(function, "__qualname__", "")
    if name.startswith("str."):
        return f"{{x}}.{name.removeprefix('str.')}()"
    documented = (getattr(function, "__doc__", None) or "").strip().split("\n")[0]
    return f"#{documented or name.replace('<lambda>', '') or 'checked by the tool'}"
