"""The syntax tree of an action, looked up by the places that a type checker names."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from .names import bindings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .facts import Facts
    from .server import Diagnostic
    from .source import Source


class Nodes:
    """The expressions of an action by position, with what is around them."""

    def __init__(self, source: Source, facts: Facts, bound: Iterable[str]) -> None:
        self._source = source
        self._facts = facts
        self._redefined = facts.defined & facts.assigned
        self._by_place: dict[tuple[int, int, int | None], ast.expr | ast.keyword] = {}
        self._parents: dict[int, ast.AST] = {}
        for node in source.nodes:
            for child in ast.iter_child_nodes(node):
                self._parents[id(child)] = node
            if isinstance(node, ast.expr | ast.keyword):
                self._by_place.setdefault(source.span(node), node)
        names = (node for node in source.nodes if isinstance(node, ast.Name))
        assigned = {name.id for name in names if isinstance(name.ctx, ast.Store)}
        self.variables = ({*bound} | assigned) - facts.functions - facts.classes
        """Names that the session binds to values, rather than to functions and classes."""

    def refuse(self, each: Diagnostic) -> None:
        """Take over that the type checker refuses an assignment: it goes on with a type that the value has not."""
        line = each.line + 1
        for node in self._source.nodes:
            if isinstance(node, ast.stmt) and node.lineno <= line <= _end_of_head(node):
                names = (part for part in ast.walk(node) if isinstance(part, ast.Name) and part.lineno <= line)
                self._redefined = self._redefined.union(each.id for each in names if isinstance(each.ctx, ast.Store))

    def exactly(self, each: Diagnostic) -> ast.expr | ast.keyword | None:
        """The expression or keyword argument that the diagnostic covers."""
        return self._by_place.get(
            (each.line + 1, each.column + 1, each.end_column + 1 if each.line == each.end_line else None)
        )

    def call_at(self, each: Diagnostic) -> ast.Call | None:
        """The call that the diagnostic is about: of a whole call itself, of anything else the call around it."""
        node: ast.AST | None = self.exactly(each)
        if isinstance(node, ast.Call) and each.rule in ("missing-argument", "missing-typed-dict-key"):
            return node
        if node is None:
            return self._innermost(each)
        while (node := self._parents.get(id(node))) is not None:
            if isinstance(node, ast.Call):
                return node
        return None

    def is_unpacked(self, call: ast.Call, each: Diagnostic) -> bool:
        """Whether the argument is ``*some`` or ``**some``, whose single values have types that nobody knows."""
        several = [keyword.value for keyword in call.keywords if keyword.arg is None]
        several += [argument for argument in call.args if isinstance(argument, ast.Starred)]
        return any(contains(self._source, node, each.end_line + 1, each.end_column) for node in several)

    def is_uncertain(self, node: ast.AST) -> bool:
        """Whether the value may have another type than the one that the code around it shows."""
        return any(doubt(node) for doubt in (self._is_rebound, self._is_late, self._is_own_attribute))

    def is_in_function(self, node: ast.AST | None) -> bool:
        """Whether ``node`` stands inside of a function."""
        while (node := self._parents.get(id(node))) is not None:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                return True
        return False

    def _innermost(self, each: Diagnostic) -> ast.Call | None:
        best = None
        for node in self._by_place.values():
            if isinstance(node, ast.Call) and contains(self._source, node, each.line + 1, each.column + 1):
                best = node if best is None or _within(node, best) else best
        return best

    def _is_own_attribute(self, node: ast.AST) -> bool:
        """Whether ``node`` reads something from an attribute that some statement of the session assigns."""
        parts = [each for each in ast.walk(node) if isinstance(each, ast.Attribute)]
        if isinstance(node, ast.Attribute):
            parts = [each for each in parts if each is not node]
        return any(each.attr in self._facts.stored for each in parts)

    def _is_rebound(self, node: ast.AST) -> bool:
        """Whether ``node`` reads a name that some function rebinds, or one whose type the type checker has wrong."""
        doubtful = self._facts.rebound | self._redefined
        return any(isinstance(each, ast.Name) and each.id in doubtful for each in ast.walk(node))

    def _is_late(self, node: ast.AST) -> bool:
        """Whether ``node`` reads a variable of the session in a function, which may run when it holds another type."""
        function = node
        while (parent := self._parents.get(id(function))) is not None:
            function = parent
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                local = set(bindings(ast.walk(function)))
                names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
                if any(name not in local and name in self.variables for name in names):
                    return True
        return False


def contains(source: Source, node: ast.expr, line: int, column: int) -> bool:
    """Whether ``node`` covers the 1-based place."""
    start = source.span(node)
    if (line, column) < (start.line, start.column):
        return False
    end_line = node.end_lineno or node.lineno
    return line < end_line or (line == end_line and (start.end_column is None or column < start.end_column))


def _end_of_head(statement: ast.stmt) -> int:
    """The last line of a statement without its body."""
    body = getattr(statement, "body", None)
    return max(statement.lineno, body[0].lineno - 1) if body else statement.end_lineno or statement.lineno


def _within(inner: ast.expr, outer: ast.expr) -> bool:
    return any(node is inner for node in ast.walk(outer))
