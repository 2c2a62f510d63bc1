"""``value[key]`` and ``value += other`` where the value is of a union, of which some members cannot do this.

The type checker refuses such code member by member, and does not tell of those that can be indexed: the
``None`` that a loop has replaced by a dictionary reads like a mere ``None``, and a key that only some rows of a list
have like one that none has. So it is asked again what the value is:
the same action, with the value wrapped into ``reveal_type``.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from .typetext import head, options, revealed, ticked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .nodes import Nodes
    from .server import Diagnostic
    from .source import Source

OF_SUBSCRIPTS: Final = frozenset({"not-subscriptable", "invalid-typed-dict-key"})
"""Rules about ``value[key]`` that the type checker applies member by member."""
_OPERATOR: Final = "unsupported-operator"
_NUMBERS: Final = frozenset({"int", "float", "complex"})
"""``float`` is a union of the first two to the type checker, and written as the second."""


class Subscripts:
    """The refused subscripts of one action, as far as more can be learnt about them: the first of each line."""

    def __init__(self, source: Source, nodes: Nodes, diagnostics: Sequence[Diagnostic]) -> None:
        self._source = source
        self._diagnostics = diagnostics
        self._values: dict[int, ast.expr] = {}
        self._starts: set[int] = set()
        """Lines that begin with the value in question."""
        for each in diagnostics:
            value = nodes.subscripted(each) if each.rule in OF_SUBSCRIPTS else None
            if each.rule == _OPERATOR:
                value = nodes.augmented(each)
                self._starts |= {value.lineno - 1} if value is not None else set()
            if value is not None and source.span(value)[2] is not None:
                self._values.setdefault(value.lineno - 1, value)

    def question(self) -> str | None:
        """The action with the values in question wrapped; None where there is nothing to ask."""
        if not self._values:
            return None
        lines = self._source.cell.split("\n")
        for value in self._values.values():
            line, start, end = self._source.span(value)
            text, stop = lines[line - 1], end or start
            asked = f"reveal_type({text[start - 1 : stop - 1]})"
            rest = f"; {text[start - 1 :]}" if line - 1 in self._starts else text[stop - 1 :]
            lines[line - 1] = f"{text[: start - 1]}{asked}{rest}"
        return "\n".join(lines)

    def certain(self, answers: Iterable[Diagnostic]) -> list[Diagnostic]:
        """The diagnostics without those of lines whose value may be of a type that nothing was said against."""
        types = {each.line: revealed(each.message) for each in answers if each.rule == "revealed-type"}
        doubtful = {
            line
            for line in self._values
            if line in types and not {head(each) for each in options(types[line])} <= self._refused(line)
        }
        return [each for each in self._diagnostics if not self._is_asked(each) or each.line not in doubtful]

    def _refused(self, line: int) -> frozenset[str]:
        about = [each for each in self._diagnostics if self._is_asked(each) and each.line == line]
        refused = {head(ticked(each.message)[each.rule == _OPERATOR]) for each in about}
        return frozenset(refused | (_NUMBERS if refused & _NUMBERS else set()))

    def _is_asked(self, each: Diagnostic) -> bool:
        return each.rule in OF_SUBSCRIPTS or (each.rule == _OPERATOR and each.line in self._starts)
