"""Whether one annotation takes all that another one does, from their source."""

from __future__ import annotations

import ast
import math
from typing import Final, NamedTuple

_WIDER: Final = {("float", "int"), ("complex", "int"), ("complex", "float"), ("object", "*"), ("Any", "*")}
_COVARIANT: Final = frozenset({
    "list", "tuple", "set", "frozenset", "dict", "Sequence", "Iterable", "Mapping", "Iterator", "AsyncIterator", "type",
})  # fmt: skip


class _Bounds(NamedTuple):
    low: float = -math.inf
    high: float = math.inf


def accepts(wide: str, narrow: str) -> bool:
    """Whether every value of type ``narrow`` is one of type ``wide``; False where that cannot be told.

    >>> accepts("int | None", "int"), accepts("int", "int | None"), accepts('Literal["a", "b"]', 'Literal["a"]')
    (True, False, True)
    >>> accepts("Annotated[int, 0 <= n <= 9]", "Annotated[int, 1 <= n <= 9]")
    True
    """
    if wide == narrow:
        return True
    try:
        return _accepts(_parsed(wide), _parsed(narrow))
    except SyntaxError:
        return False


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _accepts(wide: ast.expr, narrow: ast.expr) -> bool:
    return all(any(_takes(each, option) for each in _options(wide)) for option in _options(narrow))


def _options(node: ast.expr) -> list[ast.expr]:
    """The members of a union, with each value of a ``Literal`` by itself."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_options(node.left), *_options(node.right)]
    if _origin(node) == "Literal" and isinstance(node, ast.Subscript):
        values = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return [ast.Subscript(value=node.value, slice=value, ctx=ast.Load()) for value in values]
    return [node]


def _takes(wide: ast.expr, narrow: ast.expr) -> bool:
    if ast.dump(wide) == ast.dump(narrow):
        return True
    if "Annotated" in (_origin(wide), _origin(narrow)):
        (base, constraints), (other, others) = _annotated(wide), _annotated(narrow)
        return _accepts(base, other) and _allows(constraints, others)
    if isinstance(wide, ast.Name):
        name = type(narrow.slice.value).__name__ if _is_literal(narrow) else ast.unparse(narrow)  # type: ignore[attr-defined]
        return (wide.id, "*") in _WIDER or wide.id == name or (wide.id, name) in _WIDER or wide.id == _origin(narrow)
    if _origin(wide) and _origin(wide) == _origin(narrow) and _origin(wide) in _COVARIANT:
        ours, theirs = _arguments(wide), _arguments(narrow)
        return len(ours) == len(theirs) and all(map(_accepts, ours, theirs))
    return False


def _is_literal(node: ast.expr) -> bool:
    return _origin(node) == "Literal" and isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)


def _origin(node: ast.expr) -> str:
    return node.value.id if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) else ""


def _arguments(node: ast.expr) -> list[ast.expr]:
    assert isinstance(node, ast.Subscript)  # noqa: S101 - it has an origin
    return list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]


def _annotated(node: ast.expr) -> tuple[ast.expr, list[ast.expr]]:
    if _origin(node) != "Annotated":
        return node, []
    base, *constraints = _arguments(node)
    return base, constraints


def _allows(wide: list[ast.expr], narrow: list[ast.expr]) -> bool:
    """Whether constraints let pass all that stricter ones do."""
    given = {ast.unparse(each) for each in narrow}
    others = [each for each in wide if ast.unparse(each) not in given]
    bounds = [_bounds(each) for each in others]
    if any(each is None for each in bounds):
        return False
    known = [each for each in map(_bounds, narrow) if each is not None]
    low = max((each.low for each in known), default=-math.inf)
    high = min((each.high for each in known), default=math.inf)
    return all(each is not None and each.low <= low and each.high >= high for each in bounds)


def _bounds(node: ast.expr) -> _Bounds | None:
    """``1 <= limit <= 100`` as numbers; None for other conditions, and for those that exclude their limit."""
    if not isinstance(node, ast.Compare) or not all(isinstance(each, ast.LtE | ast.GtE) for each in node.ops):
        return None
    low, high = -math.inf, math.inf
    terms = [node.left, *node.comparators]
    for left, operator, right in zip(terms, node.ops, terms[1:], strict=False):
        first, second = (left, right) if isinstance(operator, ast.LtE) else (right, left)
        if (number := _number(first)) is not None:
            low = max(low, number)
        elif (number := _number(second)) is not None:
            high = min(high, number)
        else:
            return None
    return _Bounds(low, high)


def _number(node: ast.expr) -> float | None:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return float(value) if isinstance(value, int | float) else None
