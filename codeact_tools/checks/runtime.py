"""The types of the session's variables as the interpreter tells them, as Python for the type checker.

What comes from the interpreter is untrusted text. It is parsed, and only classes of a fixed list and of the tools are
taken over; code is made of those alone.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

MODULE: Final = "__session__"
"""A stub beside the tools'; its name is a builtin, so that no variable of an action hides it."""

_PLAIN: Final = frozenset({"bool", "int", "float", "complex", "str", "bytes", "bytearray", "range"})
_CONTAINERS: Final = frozenset({"list", "tuple", "set", "frozenset", "dict"})
_ARGUMENTS: Final = {"list": 1, "set": 1, "frozenset": 1, "dict": 2}
_LIBRARY: Final = {
    "datetime": frozenset({"datetime", "date", "time", "timedelta", "timezone"}),
    "decimal": frozenset({"Decimal"}),
    "fractions": frozenset({"Fraction"}),
    "uuid": frozenset({"UUID"}),
    "collections": frozenset({"Counter", "defaultdict", "deque", "OrderedDict"}),
    "pathlib": frozenset({"PosixPath", "PurePosixPath"}),
}

STUB: Final = "\n".join(
    [
        "from typing import Any as Any, cast as cast",
        *(f"import {module} as {module}" for module in ("builtins", "tools", *_LIBRARY)),
        "unknown: Any",
        "",
    ]
)
"""The stub's text."""


class Known(NamedTuple):
    """A type that the interpreter tells."""

    source: str
    """As an expression that every action can evaluate."""
    exact: bool
    """Whether nothing more can be known of the value: a class without elements, or with elements of the tools' classes.
    The elements of other containers are left to inference, because an action may add others to them."""


def known(text: str, types: Collection[str]) -> Known | None:
    """Read a type like ``list[tools.Order]``; None where it is not one of those that are known.

    Args:
        text: As the guest's description of a variable has it.
        types: Names of the classes that the tools bring.
    """
    try:
        tree = ast.parse(text, mode="eval").body if text else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return _known(tree, types) if tree is not None else None


def binding(name: str, kind: Known | None) -> str:
    """A line that binds ``name`` to a value of that type."""
    if kind is None:
        return f"from {MODULE} import unknown as {name}\n"
    return f"{name} = {MODULE}.cast({kind.source}, {MODULE}.unknown)\n"


def _known(tree: ast.expr, types: Collection[str]) -> Known | None:
    match tree:
        case ast.Constant(value=None):
            return Known("None", exact=True)
        case ast.Name(id=name) if name in _PLAIN:
            return Known(f"{MODULE}.builtins.{name}", exact=True)
        case ast.Name(id=name) if name in _CONTAINERS:
            return Known(f"{MODULE}.builtins.{name}", exact=False)
        case ast.Attribute(value=ast.Name(id="tools"), attr=name) if name in types:
            return Known(f"{MODULE}.tools.{name}", exact=True)
        case ast.Attribute(value=ast.Name(id=module), attr=name) if name in _LIBRARY.get(module, ()):
            return Known(f"{MODULE}.{module}.{name}", exact=module != "collections")
        case ast.Subscript(value=ast.Name(id=name), slice=inner) if name in _CONTAINERS:
            return _container(name, inner.elts if isinstance(inner, ast.Tuple) else [inner], types)
        case _:
            return None


def _container(name: str, elements: list[ast.expr], types: Collection[str]) -> Known:
    bare = Known(f"{MODULE}.builtins.{name}", exact=False)
    read = [Known("...", exact=True) if _is_ellipsis(each) else _known(each, types) for each in elements]
    told = [each for each in read if each is not None]
    complete = len(told) == _ARGUMENTS.get(name, len(read)) and all(each.exact for each in told)
    if not complete or len(told) < len(read) or (name != "tuple" and f"{MODULE}.tools." not in told[-1].source):
        return bare
    return Known(f"{MODULE}.builtins.{name}[{', '.join(each.source for each in told)}]", exact=True)


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...
