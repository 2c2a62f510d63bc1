"""Arguments of tool calls, as far as the source shows them, against the host's own validators."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from ..errors import InvalidCall
from .literals import Literals, MalformedError, NotLiteralError, constants_of, one_line
from .names import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..events import Finding
    from ..specs import Parameter, ToolSpec
    from .names import Scope
    from .source import Source


class ArgumentCheck:
    """Finds calls that the host will refuse: wrong names, too few or too many arguments, values out of range."""

    def __init__(self, source: Source, scope: Scope) -> None:
        self._source = source
        self._scope = scope
        self._literals = Literals(scope, constants_of(source))
        self.accepted: set[tuple[int, int | None]] = set()
        """Where literal arguments end that the host takes, whatever their type: a number may be written as text."""

    def findings(self) -> Iterator[Finding]:
        """What is wrong with the tool calls; no tool runs."""
        for node in self._source.nodes:
            if isinstance(node, ast.Call) and (spec := self._scope.spec(node.func)) is not None:
                yield from self._shape(node, spec)
                yield from self._values(node, spec)
        yield from self._made()

    def _shape(self, call: ast.Call, spec: ToolSpec) -> Iterator[Finding]:
        by_position = [each for each in spec.parameters if each.kind.startswith("positional")]
        by_name = [each.name for each in spec.parameters if each.kind in ("positional_or_keyword", "keyword_only")]
        kinds = {each.kind for each in spec.parameters}
        opened = any(isinstance(each, ast.Starred) for each in call.args)
        if not opened and len(call.args) > len(by_position) and "var_positional" not in kinds:
            extra = call.args[len(by_position)]
            takes = f"{len(by_position)} positional argument{'' if len(by_position) == 1 else 's'}"
            message = f"`{spec.name}` takes {takes or 'none'}, not {len(call.args)}."
            yield self._source.finding(extra, "argument", message, spec.signature(constraints=False))
        given = {each.name for each in by_position[: len(call.args)]} if not opened else set()
        for keyword in call.keywords:
            if keyword.arg is None:
                opened = True
            elif keyword.arg in given:
                message = f"`{spec.name}` gets {keyword.arg!r} twice."
                yield self._source.finding(keyword, "argument", message, spec.signature(constraints=False))
            elif keyword.arg not in by_name and "var_keyword" not in kinds:
                meant = nearest(keyword.arg, by_name)
                hint = (
                    f"Did you mean {meant!r}? {spec.signature(constraints=False)}"
                    if meant
                    else spec.signature(constraints=False)
                )
                message = f"`{spec.name}` has no parameter {keyword.arg!r}."
                yield self._source.finding(keyword, "argument", message, hint)
                given.add(meant or "")
            given.add(keyword.arg or "")
        lacking = [each.name for each in spec.parameters if each.required and each.name not in given]
        if lacking and not opened:
            message = f"`{spec.name}` needs {', '.join(map(repr, lacking))}."
            yield self._source.finding(call, "argument", message, spec.signature(constraints=False))

    def _values(self, call: ast.Call, spec: ToolSpec) -> Iterator[Finding]:
        for argument, parameter in pairs(call, spec):
            try:
                spec.check_argument(parameter.name, self._literals.value(argument))
                self.accepted.add((argument.end_lineno or argument.lineno, self._source.span(argument).end_column))
            except NotLiteralError:
                continue
            except MalformedError as error:
                yield self._source.finding(
                    error.node, "constraint", error.explain(spec), spec.signature(constraints=False)
                )
            except InvalidCall as error:
                yield self._source.finding(argument, "constraint", one_line(error), spec.signature(constraints=False))

    def _made(self) -> Iterator[Finding]:
        """Dates and other values of the standard library, and members of enums, that cannot be made."""
        made = [node for node in self._source.nodes if isinstance(node, ast.Call) and self._makes_value(node)]
        if not made:
            return
        passed = {id(part) for node in self._source.nodes if self._is_tool_call(node) for part in ast.walk(node)}
        for node in made:
            if id(node) in passed:
                continue
            try:
                self._literals.value(node)
            except NotLiteralError:
                continue
            except MalformedError as error:
                yield self._source.finding(node, "constraint", error.told(), None)

    def _makes_value(self, call: ast.Call) -> bool:
        """Whether the call makes a value of the standard library, or a member of an enum."""
        definition = self._scope.type(call.func)
        if definition is None and isinstance(call.func, ast.Attribute):
            definition = self._scope.type(call.func.value)
        return definition is not None and definition.kind in {"import", "enum"}

    def _is_tool_call(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and self._scope.spec(node.func) is not None


def pairs(call: ast.Call, spec: ToolSpec) -> Iterator[tuple[ast.expr, Parameter]]:
    """Arguments with the parameters that they are passed to, as far as that is certain."""
    by_position = [each for each in spec.parameters if each.kind.startswith("positional")]
    rest = next((each for each in spec.parameters if each.kind == "var_positional"), None)
    for index, argument in enumerate(call.args):
        if isinstance(argument, ast.Starred):
            break
        parameter = by_position[index] if index < len(by_position) else rest
        if parameter is not None:
            yield argument, parameter
    named = {each.name: each for each in spec.parameters if each.kind in ("positional_or_keyword", "keyword_only")}
    others = next((each for each in spec.parameters if each.kind == "var_keyword"), None)
    for keyword in call.keywords:
        if keyword.arg is not None and (parameter := named.get(keyword.arg, others)) is not None:
            yield keyword.value, parameter
