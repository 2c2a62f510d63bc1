"""Assignments that surely fail: too few or too many values, and what cannot be changed."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from .typetext import head, is_certain, plain

if TYPE_CHECKING:
    from ..events import Finding
    from .names import Scope
    from .nodes import Nodes
    from .server import Diagnostic
    from .source import Source

_UNPACK: Final = re.compile(r"(Not enough|Too many) values to unpack: Expected (.+)$")
_FIXED: Final = re.compile(r"Cannot assign to a subscript on an object of type `(.+)`$")
_READ_ONLY: Final = re.compile(
    r"Property `(?P<field>\w+)` defined in `(?P<owner>\w+)` is read-only$"
    r"|Cannot assign to read-only property `(?P<name>\w+)` on object of type `(?P<type>\w+)`$"
)
_IMMUTABLE: Final = frozenset({"str", "tuple", "bytes", "int", "float", "bool", "date", "datetime", "Decimal"})
_EXACT: Final = frozenset({"enumerate", "zip", "items"})


class Assignments:
    """Reads the diagnostics of refused assignments; most of them are no mistakes."""

    def __init__(self, source: Source, scope: Scope, nodes: Nodes) -> None:
        self._source = source
        self._scope = scope
        self._nodes = nodes

    def finding(self, each: Diagnostic) -> Finding | None:
        """What surely fails when the action runs."""
        node = self._nodes.exactly(each)
        if not isinstance(node, ast.expr):
            return None
        if match := _UNPACK.match(each.message):
            value = self._nodes.value_for(node)
            if value is None or not self._is_exact(value) or self._nodes.is_uncertain(value):
                return None
            few = match[1] == "Not enough"
            message = f"There are too {'few' if few else 'many'} values here: {match[2].lower()} are to be unpacked."
            call = value.value if isinstance(value, ast.Await) else value
            spec = self._scope.spec(call.func) if isinstance(call, ast.Call) else None
            return self._source.finding(node, "type", message, spec.signature(constraints=False) if spec else None)
        if self._nodes.is_uncertain(node):
            return None
        if match := _FIXED.match(each.message):
            definition = self._scope.names.types.get(head(match[1]))
            if is_certain(match[1]) and (head(match[1]) in _IMMUTABLE or definition is not None):
                hint = "Make a new one, or use a list."
                return self._source.finding(node, "key", f"`{plain(match[1])}` cannot be changed at an index.", hint)
        elif match := _READ_ONLY.match(each.message):
            owner = match["owner"] or match["type"]
            definition = self._scope.names.types.get(owner)
            if definition is not None and (definition.frozen or definition.kind == "namedtuple"):
                message = f"`{owner}` is immutable: its {match['field'] or match['name']!r} cannot be set."
                return self._source.finding(node, "attribute", message, f"Make a new one: `{owner}(...)`.")
        return None

    def _is_exact(self, value: ast.expr) -> bool:
        """Whether the number of values is that which the type checker knows, and no other at another time."""
        value = value.value if isinstance(value, ast.Await) else value
        if isinstance(value, ast.Tuple):
            return not any(isinstance(each, ast.Starred) for each in value.elts)
        if not isinstance(value, ast.Call):
            return isinstance(value, ast.Constant)
        if self._scope.spec(value.func) is not None:
            return True
        name = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        return name in _EXACT and name not in self._scope.own
