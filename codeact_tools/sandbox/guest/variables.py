"""The session's variables and the types of their values, found without running any code of the action.

>>> describe([1, 2])
'list[int]'
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MOST_NAMES = 500
_MOST_ELEMENTS = 100
"""Elements of one value that are looked at; of a larger container only its own class is told."""
_LONGEST = 100
_PLAIN = {id(cls): cls.__name__ for cls in (bool, int, float, complex, str, bytes, bytearray, range)}
_SEQUENCES = (list, tuple, set, frozenset)
_NAME = type.__dict__["__qualname__"].__get__
_MODULE = type.__dict__["__module__"].__get__
"""Read from ``type`` itself: a metaclass could answer with code of its own."""


def variables(namespace: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, str] | None:
    """Return each name that the actions bound with the type of its value; None where there are too many.

    Args:
        namespace: The session's.
        given: What was in it before the first action; it is left out as long as nothing else is bound to the name.
    """
    if len(namespace) - len(given) > _MOST_NAMES:
        return None
    missing = object()
    return {
        name: describe(value)
        for name, value in list(namespace.items())
        if given.get(name, missing) is not value and type(name) is str and len(name) <= _LONGEST and name.isidentifier()
    }


def describe(value: object) -> str:
    """The value's class, qualified by its module unless it is a builtin, with the classes of a few equal elements."""
    return _describe(value, [_MOST_ELEMENTS])


def _describe(value: Any, left: list[int]) -> str:
    if value is None:
        return "None"
    kind = type(value)
    if (name := _PLAIN.get(id(kind))) is not None:
        return name
    for cls in _SEQUENCES:
        if kind is cls:
            return f"{cls.__name__}{_elements(value, left)}"
    if kind is dict:
        keys, values = _common(value, left), _common(value.values(), left)
        return f"dict[{keys}, {values}]" if keys and values else "dict"
    name, module = _NAME(kind), _MODULE(kind)
    text = f"{module}.{name}" if type(module) is str and type(name) is str else ""
    return text if len(text) <= _LONGEST and all(part.isidentifier() for part in text.split(".")) else ""


def _elements(value: Any, left: list[int]) -> str:
    if type(value) is tuple and len(value) <= 8:
        each = [_describe(element, left) for element in value] if len(value) <= left[0] else []
        return f"[{', '.join(each)}]" if each and all(each) and sum(map(len, each)) <= _LONGEST else ""
    common = _common(value, left)
    if not common:
        return ""
    return f"[{common}, ...]" if type(value) is tuple else f"[{common}]"


def _common(values: Any, left: list[int]) -> str:
    """The type that all the values have; empty where they differ, are none, or are too many to look at."""
    if not 0 < len(values) <= left[0]:
        return ""
    values = list(values)
    kinds = set(map(id, map(type, values)))  # a class may have a hash of its own
    if len(kinds) == 1 and (name := _PLAIN.get(kinds.pop())) is not None:  # most often
        left[0] -= len(values)
        return name
    found = ""
    for value in values:
        left[0] -= 1
        text = _describe(value, left)
        if not text or (found and text != found):
            return ""
        found = text
    return found if len(found) <= _LONGEST else ""
