"""The syntax tree of an action, looked up by the places that a type checker names."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final, NamedTuple

from .names import CHANGES, bindings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .facts import Facts
    from .server import Diagnostic
    from .source import Source


_OF_CALLS: Final = frozenset({"invalid-argument-type", "no-matching-overload"})


class Nodes:
    """The expressions of an action by position, with what is around them."""

    def __init__(self, source: Source, facts: Facts, bound: Iterable[str]) -> None:
        self._source = source
        self._facts = facts
        self._doubtful = facts.rebound | (facts.defined & facts.assigned)
        self.refused: frozenset[str] = frozenset()
        """Variables that hold, here or there, something else than the type checker takes them to hold."""
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

    def refuse(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Take over what the type checker does not want to be assigned, or put into a container.

        It goes on with types that the values do not have: those of the names in question, of all that is taken from
        them, and of what they were taken from.
        """
        found = set(self._facts.refused)
        for each in diagnostics:
            found.update(self._changed_by(each))
        found |= self._handed_over()
        if found:
            links = list(_links(self._source.nodes))
            while more := [link for link in links if link.spreads(found)]:
                found = found.union(*(link.targets | link.holders for link in more))
            found = {each for each in found if each in self.variables or each.startswith(".")}
        self.refused = frozenset(found)
        self._doubtful = self._doubtful | found

    def _changed_by(self, each: Diagnostic) -> Iterator[str]:
        """Names of variables that get, by the statement or the call of the diagnostic, a value of another type."""
        line = each.line + 1
        if each.rule in _OF_CALLS:
            call = self.call_at(each)
            if call is not None and isinstance(call.func, ast.Attribute) and call.func.attr in CHANGES:
                yield from _holders(call.func.value)
            return
        for node in self._source.nodes:
            if isinstance(node, ast.stmt) and node.lineno <= line <= _end_of_head(node):
                for part in ast.walk(node):
                    if isinstance(part, ast.Name | ast.Subscript) and part.lineno <= line and _is_stored(part):
                        yield from _holders(part)

    def _handed_over(self) -> set[str]:
        """Variables that are passed to functions of the session which change what they are given."""
        calls = (node for node in self._source.nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
        changing = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in self._facts.changing]
        given = (part for call in changing for argument in call.args for part in ast.walk(argument))
        return {part.id for part in given if isinstance(part, ast.Name)} & self.variables

    def exactly(self, each: Diagnostic) -> ast.expr | ast.keyword | None:
        """The expression or keyword argument that the diagnostic covers."""
        return self._by_place.get(
            (each.line + 1, each.column + 1, each.end_column + 1 if each.line == each.end_line else None)
        )

    def subscripted(self, each: Diagnostic) -> ast.expr | None:
        """The value before the brackets, where the diagnostic is about them or what is between them."""
        node: ast.AST | None = self.exactly(each)
        if not isinstance(node, ast.Subscript) and node is not None:
            parent = self._parents.get(id(node))
            node = parent if isinstance(parent, ast.Subscript) and parent.slice is node else None
        return node.value if isinstance(node, ast.Subscript) else None

    def augmented(self, each: Diagnostic) -> ast.expr | None:
        """The left side of ``value += other``, where the diagnostic is about such a statement, first in its line."""
        for node in self._source.nodes:
            if isinstance(node, ast.AugAssign) and self._source.span(node)[:2] == (each.line + 1, each.column + 1):
                before = self._source.code.split("\n")[each.line][: each.column]
                return None if before.strip() else node.target
        return None

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

    def value_for(self, target: ast.expr) -> ast.expr | None:
        """What is unpacked into ``target``, where it is not itself a part of another target."""
        match self._parents.get(id(target)):
            case ast.Assign(value=value):
                return value
            case ast.For(iter=value) | ast.comprehension(iter=value):
                return value
            case _:
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
        """Whether ``node`` reads a name, or a key, whose type the type checker may have wrong."""
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and each.id in self._doubtful:
                return True
            if isinstance(each, ast.Attribute) and f".{each.attr}" in self._doubtful and not self._is_called(each):
                return True
            key = each.slice if isinstance(each, ast.Subscript) and isinstance(each.ctx, ast.Load) else None
            if isinstance(key, ast.Constant) and key.value in self._facts.keys:
                return True
        return False

    def _is_called(self, node: ast.Attribute) -> bool:
        parent = self._parents.get(id(node))
        return isinstance(parent, ast.Call) and parent.func is node

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


def _is_stored(node: ast.Name | ast.Subscript) -> bool:
    return isinstance(node.ctx, ast.Store)


class _Link(NamedTuple):
    """An assignment or a loop: what is on its two sides may be the same thing, or one a part of the other."""

    targets: set[str]
    holders: set[str]

    def spreads(self, found: set[str]) -> bool:
        """Whether something is known of one side, and not yet of the other."""
        both = self.targets | self.holders
        return bool(both & found) and not both <= found


def _links(nodes: Iterable[ast.AST]) -> Iterator[_Link]:
    for node in nodes:
        match node:
            case ast.Assign(targets=[*targets], value=value):
                pass
            case ast.NamedExpr(target=target, value=value) | ast.AugAssign(target=target, value=value):
                targets = [target]
            case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
                targets = [target]
            case ast.comprehension(target=target, iter=value):
                targets = [target]
            case _:
                continue
        yield _Link({name for each in targets for name in _holders(each)}, set(_holders(value)))


def _holders(node: ast.AST) -> Iterator[str]:
    """What holds the thing that an expression gives, or parts of it: variables, and attributes as ``.name``."""
    match node:
        case ast.Name(id=name):
            yield name
        case ast.Attribute(attr=name):
            yield f".{name}"
        case ast.Subscript(value=value):
            yield from _holders(value)
        case ast.Call(func=function, args=arguments):
            if isinstance(function, ast.Attribute):
                yield from _holders(function.value)
            for each in arguments:
                yield from _holders(each)
        case ast.Constant() | ast.JoinedStr() | ast.Lambda() | ast.Compare() | ast.BinOp(op=ast.Div() | ast.Mod()):
            pass
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _holders(child)


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
