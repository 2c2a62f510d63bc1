"""``value[key]`` where the value is of a union, of which some members cannot be indexed.

The type checker refuses such an expression member by member, and does not tell of those that can be indexed: the
``None`` that a loop has replaced by a dictionary reads like a mere ``None``. So it is asked again what the value is:
the same action, with the value wrapped into ``reveal_type``.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from .diagnostics import revealed
from .typetext import head, options

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .nodes import Nodes
    from .server import Diagnostic
    from .source import Source

_RULE: Final = "not-subscriptable"
_NUMBERS: Final = frozenset({"int", "float", "complex"})
"""``float`` is a union of the first two to the type checker, and written as the second."""


class Subscripts:
    """The refused subscripts of one action, as far as more can be learnt about them: the first of each line."""

    def __init__(self, source: Source, nodes: Nodes, diagnostics: Sequence[Diagnostic]) -> None:
        self._source = source
        self._diagnostics = diagnostics
        self._values: dict[int, ast.expr] = {}
        for each in diagnostics:
            node = nodes.exactly(each) if each.rule == _RULE else None
            if isinstance(node, ast.Subscript) and source.span(node.value)[2] is not None:
                self._values.setdefault(node.value.lineno - 1, node.value)

    def question(self) -> str | None:
        """The action with the values in question wrapped; None where there is nothing to ask."""
        if not self._values:
            return None
        lines = self._source.cell.split("\n")
        for value in self._values.values():
            line, start, end = self._source.span(value)
            text, stop = lines[line - 1], end or start
            lines[line - 1] = f"{text[: start - 1]}reveal_type({text[start - 1 : stop - 1]}){text[stop - 1 :]}"
        return "\n".join(lines)

    def certain(self, answers: Iterable[Diagnostic]) -> list[Diagnostic]:
        """The diagnostics without those of lines whose value may be of a type that nothing was said against."""
        types = {each.line: revealed(each.message) for each in answers if each.rule == "revealed-type"}
        doubtful = {
            line
            for line in self._values
            if line in types and not {head(each) for each in options(types[line])} <= self._refused(line)
        }
        return [each for each in self._diagnostics if each.rule != _RULE or each.line not in doubtful]

    def _refused(self, line: int) -> frozenset[str]:
        refused = {
            head(revealed(each.message)) for each in self._diagnostics if each.rule == _RULE and each.line == line
        }
        return frozenset(refused | (_NUMBERS if refused & _NUMBERS else set()))
