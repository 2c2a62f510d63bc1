"""``sum`` and ``str.join`` over elements that they cannot take, and builtins that loop over what is no collection.

Of a call that fits no overload the type checker says only that. For these, which models get wrong most, it is asked
again what the argument is: the same action, with the argument wrapped into ``reveal_type``.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from .hints import Hints, access
from .typetext import element, head, is_certain, plain, revealed

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
_LOOPING: Final = frozenset({"sum", "max", "min", "sorted", "list", "set", "tuple", "enumerate", "any", "all"})
_STARTS: Final = {"timedelta": "timedelta()", "list": "[]", "tuple": "()"}
_LONGEST: Final = 100
_NUMBERS: Final = frozenset({"int", "float", "Decimal"})


class Overloads:
    """The calls of one action that fit no overload, as far as more can be learnt about them."""

    def __init__(self, source: Source, scope: Scope, nodes: Nodes, diagnostics: Iterable[Diagnostic]) -> None:
        self._source = source
        self._scope = scope
        self._hints = Hints(scope)
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
        found = [self._finding(call, types.get(line, "")) for line, call in self._calls.items()]
        return [each for each in found if each is not None]

    def _finding(self, call: ast.Call, argument: str) -> Finding | None:
        definition, kind = self._types.get(head(argument)), element(argument)
        if definition is not None and definition.kind == "record" and is_certain(argument):
            instead = self._hints.instead_of_itself(argument, written=ast.unparse(call.args[0]))
            message = f"`{definition.name}` cannot be looped over."
            return self._source.finding(call.args[0], "type", message, instead)
        if not kind or not is_certain(kind) or len(call.args) > 1:
            return None
        definition = self._types.get(head(kind))
        is_record = definition is not None and definition.kind in _RECORDS
        if isinstance(call.func, ast.Attribute):
            return self._joined(call, kind) if is_record or head(kind) in _NOT_TEXT else None
        if not isinstance(call.func, ast.Name) or call.func.id != "sum" or call.keywords:
            return None
        hint: str | None
        if definition is not None and is_record:
            message, hint = f"`sum` cannot add up `{definition.name}` objects.", _field_hint(definition)
        elif head(kind) == "str":
            message, hint = "`sum` cannot add up texts.", "Use `''.join(...)`, or make numbers of them."
        elif head(kind) in _STARTS:
            message = f"`sum` begins with 0, to which no `{head(kind)}` can be added."
            hint = self._with_start(call, head(kind))
        else:
            return None
        return self._source.finding(call, "type", message, hint)

    def _joined(self, call: ast.Call, kind: str) -> Finding:
        message = f"`join` needs texts, not `{plain(kind)}`."
        return self._source.finding(call, "type", message, "Make texts of them: `str(each) for each in ...`.")

    def _with_start(self, call: ast.Call, kind: str) -> str:
        """The call with the start that it lacks."""
        written = ast.unparse(call.args[0])
        start = _STARTS[kind]
        if kind == "timedelta" and not {"timedelta"} & (self._scope.names.bound | self._scope.own):
            return "Add up their seconds: `each.total_seconds() for each in ...`."
        return f"Write `sum({written if len(written) <= _LONGEST else '...'}, {start})`."


def _field_hint(definition: TypeDef) -> str | None:
    for field in definition.fields:
        if field.type.render() in _NUMBERS:
            return f"Add up one of their values: `{access('each', definition, field.name)} for each in ...`."
    return None


def _is_simple(call: ast.Call, scope: Scope) -> bool:
    """Whether the call is ``text.join(argument)``, or of a builtin that loops over its argument, all on one line."""
    if not call.args or isinstance(call.args[0], ast.Starred) or call.args[0].lineno != call.args[0].end_lineno:
        return False
    match call.func:
        case ast.Name(id=name) if name in _LOOPING and name not in scope.own:
            return len(call.args) == 1 or name == "sum"
        case ast.Attribute(attr="join"):
            return len(call.args) == 1 and not call.keywords
        case _:
            return False
