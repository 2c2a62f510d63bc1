"""Dates that are compared with, or subtracted from, dates with a time.

Python refuses both, but a ``datetime`` is a ``date`` to every type checker. Where an action shows one of the two, it is
asked what the other is: the same action, with the value wrapped into ``reveal_type``.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final, NamedTuple

from .typetext import revealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..events import Finding
    from .names import Scope
    from .nodes import Nodes
    from .server import Diagnostic
    from .source import Source

_ORDER: Final = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_MAKERS: Final[Mapping[str, Mapping[str, str]]] = {
    "date": {"today": "date", "fromisoformat": "date"},
    "datetime": {"now": "datetime", "today": "datetime", "fromisoformat": "datetime", "utcnow": "datetime"},
}
_OTHER: Final = {"date": "datetime", "datetime": "date"}


class _Pair(NamedTuple):
    node: ast.expr
    shown: ast.expr
    kind: str
    """What ``shown`` is."""
    asked: ast.expr


class Moments:
    """The comparisons and differences of one action that have a date, or a date with a time, on one side."""

    def __init__(self, source: Source, scope: Scope, nodes: Nodes) -> None:
        self._source = source
        self._scope = scope
        self._pairs: dict[int, _Pair] = {}
        self._known: dict[str, str] = {}
        stored = [each.id for each in source.nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
        self._known = {
            target.id: kind
            for each in source.tree.body
            if isinstance(each, ast.Assign) and (kind := self._made(each.value))
            for target in each.targets
            if isinstance(target, ast.Name) and stored.count(target.id) == 1
        }
        for node in source.nodes:
            match node:
                case ast.BinOp(left=left, op=ast.Sub(), right=right):
                    sides = (left, right)
                case ast.Compare(left=left, ops=[operator], comparators=[right]) if isinstance(operator, _ORDER):
                    sides = (left, right)
                case _:
                    continue
            for shown, asked in (sides, sides[::-1]):
                kind = self._made(shown)
                if kind and source.span(asked)[2] is not None and not nodes.is_uncertain(asked):
                    self._pairs.setdefault(asked.lineno, _Pair(node, shown, kind, asked))

    @staticmethod
    def may_matter(source: Source) -> bool:
        """Whether an action names dates at all, and compares or subtracts anything."""
        return "date" in source.code and any(
            isinstance(each, ast.Compare) or (isinstance(each, ast.BinOp) and isinstance(each.op, ast.Sub))
            for each in source.nodes
        )

    def question(self) -> str | None:
        """The action with the other sides wrapped; None where there is nothing to ask."""
        if not self._pairs:
            return None
        lines = self._source.cell.split("\n")
        for pair in self._pairs.values():
            line, start, end = self._source.span(pair.asked)
            text, stop = lines[line - 1], end or start
            lines[line - 1] = f"{text[: start - 1]}reveal_type({text[start - 1 : stop - 1]}){text[stop - 1 :]}"
        return "\n".join(lines)

    def findings(self, answers: Iterable[Diagnostic]) -> list[Finding]:
        """What surely fails, by the answers to the question."""
        types = {each.line + 1: revealed(each.message) for each in answers if each.rule == "revealed-type"}
        wrong = [pair for line, pair in self._pairs.items() if types.get(line) == _OTHER[pair.kind]]
        return [self._finding(pair) for pair in wrong]

    def _finding(self, pair: _Pair) -> Finding:
        timed = pair.shown if pair.kind == "datetime" else pair.asked
        what = "compared" if isinstance(pair.node, ast.Compare) else "subtracted"
        message = f"A `date` and a `datetime` cannot be {what}."
        return self._source.finding(pair.node, "type", message, f"Write `{ast.unparse(timed)}.date()`.")

    def _made(self, node: ast.expr) -> str:
        """``date`` or ``datetime`` where ``node`` surely makes one; else nothing."""
        if isinstance(node, ast.Name) and node.id not in self._scope.names.bound:
            return self._known.get(node.id, "")
        if not isinstance(node, ast.Call):
            return ""
        if isinstance(node.func, ast.Attribute):
            owner = self._class(node.func.value)
            return _MAKERS.get(owner, {}).get(node.func.attr, "")
        return self._class(node.func)

    def _class(self, node: ast.expr) -> str:
        definition = self._scope.type(node)
        return definition.name if definition is not None and definition.name in _MAKERS else ""
