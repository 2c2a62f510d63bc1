"""Whether the objects inside a result are what their classes promise.

Validation takes an instance for granted: a dataclass made with a wrong value, a model changed after it was made. Its
fields would cross to the action under a type that they do not have, so they are checked here, one object at a time.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple, cast

from pydantic import BaseModel, ValidationError

from .errors import DefinitionError
from .records import inspect_record
from .validation import Validator, build_validator


class Misfit(Exception):
    """An object inside a result has a field of a wrong type."""

    def __init__(self, error: ValidationError, fields: dict[str, Any]) -> None:
        super().__init__(str(error))
        self.error = error
        self.fields = fields
        """The object's fields, by name."""
        self.steps: list[str] = []
        """Where the object is, innermost step first."""

    @property
    def path(self) -> str:
        """``.items[0]``, from the result to the object."""
        return "".join(reversed(self.steps))


def conform(value: Any) -> Any:
    """Check all records inside ``value``; a record with a field that must be coerced is replaced by a copy.

    Raises:
        Misfit: A field has a wrong type.
        RecursionError: An object contains itself.
    """
    kind = type(value)
    if kind is list or kind is tuple or kind is set or kind is frozenset:
        items = [_inside(f"[{index}]", each) for index, each in enumerate(value)]
        return value if all(map(_is, items, value)) else kind(items)
    if kind is dict:
        values = {key: _inside(f"[{key!r}]", each) for key, each in value.items()}
        return value if all(map(_is, values.values(), value.values())) else values
    if not (hasattr(kind, "__dataclass_fields__") or hasattr(kind, "__attrs_attrs__") or isinstance(value, BaseModel)):
        return value
    fields = _fields(cast("Hashable", kind))
    return value if fields is None else _record(value, fields)


class _Fields(NamedTuple):
    """How the fields of a class are checked."""

    names: Mapping[str, str]
    """The attribute that holds a field, by the field's name."""
    strict: Validator
    lax: Validator


def _record(value: Any, fields: _Fields) -> Any:
    before = {name: getattr(value, held) for name, held in fields.names.items() if hasattr(value, held)}
    after = {name: _inside(f".{name}", each) for name, each in before.items()}
    try:
        fields.strict((), after)
    except ValidationError:
        try:
            after = fields.lax((), after)[1]
        except ValidationError as error:
            raise Misfit(error, after) from None
    changed = {name: each for name, each in after.items() if each is not before[name]}
    if not changed:
        return value
    twin = copy.copy(value)
    for name, each in changed.items():
        object.__setattr__(twin, fields.names[name], each)
    return twin


@functools.lru_cache(maxsize=1024)
def _fields(cls: Hashable) -> _Fields | None:
    """None for a class that cannot be looked into: it was not declared by a tool, so it will not cross anyway."""
    if not isinstance(cls, type):
        return None
    owner = f"{cls.__module__}.{cls.__qualname__}"
    try:
        record = inspect_record(cls, owner=owner)
        stored = [each for each in (record.fields if record else ()) if each.stored and each.init]
        parameters = [
            inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, annotation=each.annotation) for each in stored
        ]
        signature = inspect.Signature(parameters)
        strict, lax = (build_validator(signature, owner=owner, strict=each) for each in (True, False))
    except DefinitionError:
        return None
    return _Fields({each.name: each.attribute or each.name for each in stored}, strict, lax)


def _inside(step: str, value: Any) -> Any:
    try:
        return conform(value)
    except Misfit as misfit:
        misfit.steps.append(step)
        raise


def _is(one: object, other: object) -> bool:
    return one is other
