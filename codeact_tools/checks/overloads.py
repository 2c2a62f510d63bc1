"""``sum`` and ``str.join`` over elements that they cannot take.

Of a call that fits no overload the type checker says only that. For these two, which models get wrong most, it is asked
again what the argument is: the same action, with the argument wrapped into ``reveal_type``.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from .diagnostics import revealed
from .typetext import element, head, is_certain, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..events import Finding
    from ..signatures import TypeDef
    from .names import Scope
    from .nodes import Nodes
    from .server import Diagnostic
    from .source import Source

_RULE: Final = "no-matching-overload"
_NOT_TEXT: Final = frozenset({"int", "float", "bool", "complex", "Decimal", "date", "datetime", "time", "timedelta"})
_RECORDS: Final = frozenset({"record", "typeddict", "namedtuple"})
_NUMBERS: Final = frozenset({"int", "float", "Decimal"})


class Overloads:
    """The calls of one action that fit no overload, as far as more can be learnt about them."""

    def __init__(self, source: Source, scope: Scope, nodes: Nodes, diagnostics: Iterable[Diagnostic]) -> None:
        self._source = source
        self._types: Mapping[str, TypeDef] = scope.names.types
        self._calls: dict[int, ast.Call] = {}
        for each in diagnostics:
            node = nodes.exactly(each) if each.rule == _RULE else None
            if isinstance(node, ast.Call) and _is_simple(node, scope) and not nodes.is_uncertain(node):
                self._calls.setdefault(node.args[0].lineno, node)

    def question(self) -> str | None:
        """The action with the arguments in question wrapped; None where there is nothing to ask."""
        if not self._calls:
            return None
        lines = self._source.cell.split("\n")
        for call in self._calls.values():
            line, start, end = self._source.span(call.args[0])
            text, stop = lines[line - 1], end or start
            argument = text[start - 1 : stop - 1]
            bare = isinstance(call.args[0], ast.GeneratorExp)  # whose parentheses may be those of the call
            wrapped = f"(reveal_type{argument})" if bare else f"reveal_type({argument})"
            lines[line - 1] = text[: start - 1] + wrapped + text[stop - 1 :]
        return "\n".join(lines)

    def findings(self, answers: Iterable[Diagnostic]) -> list[Finding]:
        """What is surely wrong, by the answers to the question."""
        types = {each.line + 1: revealed(each.message) for each in answers if each.rule == "revealed-type"}
        found = [self._finding(call, element(types.get(line, ""))) for line, call in self._calls.items()]
        return [each for each in found if each is not None]

    def _finding(self, call: ast.Call, kind: str) -> Finding | None:
        if not kind or not is_certain(kind):
            return None
        definition = self._types.get(head(kind))
        hint: str | None
        is_record = definition is not None and definition.kind in _RECORDS
        if isinstance(call.func, ast.Attribute):
            if not is_record and head(kind) not in _NOT_TEXT:
                return None
            message, hint = (
                f"`join` needs texts, not `{plain(kind)}`.",
                "Make texts of them: `str(each) for each in ...`.",
            )
        elif definition is not None and is_record:
            message, hint = f"`sum` cannot add up `{definition.name}` objects.", _field_hint(definition)
        elif head(kind) == "str":
            message, hint = "`sum` cannot add up texts.", "Use `''.join(...)`, or make numbers of them."
        else:
            return None
        return self._source.finding(call, "type", message, hint)


def _field_hint(definition: TypeDef) -> str | None:
    for field in definition.fields:
        if field.type.render() in _NUMBERS:
            access = f"[{field.name!r}]" if definition.kind == "typeddict" else f".{field.name}"
            return f"Add up one of their values: `each{access} for each in ...`."
    return None


def _is_simple(call: ast.Call, scope: Scope) -> bool:
    """Whether the call is ``sum(argument)`` or ``text.join(argument)``, with the argument on one line."""
    if len(call.args) != 1 or call.keywords or isinstance(call.args[0], ast.Starred):
        return False
    if call.args[0].lineno != call.args[0].end_lineno:
        return False
    match call.func:
        case ast.Name(id="sum"):
            return "sum" not in scope.own
        case ast.Attribute(attr="join"):
            return True
        case _:
            return False
