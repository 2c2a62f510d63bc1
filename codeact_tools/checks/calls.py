"""Calls that surely fail, and arguments that what is called surely refuses."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from .arguments import pairs
from .names import BUILTINS
from .nodes import contains
from .operations import CONTAINERS
from .typetext import Compatibility, head, is_certain, is_coroutine, plain, ticked

if TYPE_CHECKING:
    from ..events import Finding
    from .evidence import Evidence
    from .server import Diagnostic

_OF_SEVERAL: Final = frozenset({"Iterable", "Sized", "Sequence", "Collection", "Reversible"})
_UNORDERED: Final = re.compile(
    r"Argument to (?:function|bound method) `([\w.]+)` is incorrect: "
    r"Argument type `(.+)` does not satisfy upper bound `SupportsDunderLT"
)


class Calls:
    """Reads the diagnostics of calls; those of a tool's shape are the host's own to judge."""

    def __init__(self, about: Evidence) -> None:
        self._about = about
        self._scope, self._facts, self._nodes = about.scope, about.facts, about.nodes
        self._types = about.scope.names.types
        self._compatible = Compatibility(self._types)

    def argument(self, each: Diagnostic) -> Finding | None:
        """An argument of a type that the parameter does not take."""
        if match := _UNORDERED.match(each.message):
            return self._unordered(each, match[1], match[2])
        match = re.match(r"Argument(?: to .*?`(.+?)`)? is incorrect: Expected `(.+)`, found `(.+)`$", each.message)
        call = self._nodes.call_at(each)
        if match is None or call is None or self._nodes.is_unpacked(call, each):
            return None
        callee, expected, found = match.groups()
        if is_coroutine(found):
            return self._about.coroutine(each)
        spec, definition = self._scope.spec(call.func), self._scope.type(call.func)
        is_known = spec is not None or definition is not None
        if not is_known and head(expected) in _OF_SEVERAL and (lacking := self._not_several(each, call, found)):
            return lacking
        if not is_known and not self._is_strict(call, callee, expected, found):
            return None
        if self._nodes.is_uncertain(call.func) or self._compatible.possible(found, expected):
            return None
        name = spec.name if spec else _callee(call)
        which = self._parameter(call, each)
        message = f"`{name}` needs `{expected.rstrip('*')}`{which}, not `{plain(found)}`."
        return each.finding("type", message, self._signature(call))

    def _unordered(self, each: Diagnostic, callee: str, kind: str) -> Finding | None:
        definition = self._types.get(head(kind))
        name = callee.rpartition(".")[2]
        if head(kind) == "dict":
            hint = "Compare one of their values: `key=lambda each: each[...]`."
            return each.finding("type", f"`{name}` cannot compare dictionaries.", hint)
        if definition is None or definition.kind not in {"record", "typeddict"} or not definition.fields:
            return None
        message = f"`{name}` cannot compare `{definition.name}` objects."
        return each.finding("type", message, self._about.hints.key_for(definition))

    def _not_several(self, each: Diagnostic, call: ast.Call, found: str) -> Finding | None:
        """One object, or a function, where several things are expected."""
        definition = self._types.get(head(found))
        record = is_certain(found) and definition is not None and definition.kind == "record"
        node = self._nodes.exactly(each)
        if isinstance(node, ast.keyword) or not (record or found.startswith("def ")) or _callee(call) not in BUILTINS:
            return None
        lacks = "has no length" if _callee(call) == "len" else "cannot be looped over"
        hint = self._about.hints.instead_of_itself(found, written=ast.unparse(node) if node is not None else "")
        return each.finding("type", f"`{plain(found)}` {lacks}.", hint)

    def _is_strict(self, call: ast.Call, callee: str | None, expected: str, found: str) -> bool:
        """Whether a function of the standard library surely refuses the argument."""
        owner = (callee or "").partition(".")[0].partition("[")[0]
        own = self._facts.functions | self._facts.classes
        if not callee or owner in own or callee in own or _callee(call).rpartition(".")[2] in own:
            return False
        if owner in CONTAINERS or head(expected) in {"Unknown", "Never"}:
            return False
        simple = all(re.fullmatch(r"[\w\[\], |.\"'*]+", text) for text in (expected, found))
        return simple and is_certain(found) and head(found) != head(expected)

    def call(self, each: Diagnostic) -> Finding | None:
        """Too many or too few arguments, or wrong names, for anything but a tool: `ArgumentCheck` sees to those."""
        call = self._nodes.call_at(each)
        if (
            call is None
            or (isinstance(call.func, ast.Attribute) and call.func.attr == "update")  # of a dictionary: any keywords
            or self._scope.spec(call.func) is not None
            or not self._is_plain(call)
            or self._nodes.is_uncertain(call.func)
        ):
            return None
        name, quoted = _callee(call), ticked(each.message)
        match each.rule:
            case "unknown-argument":
                message = f"`{name}` has no parameter {quoted[0]!r}."
            case "missing-argument":
                missing = [text for text in quoted if re.fullmatch(r"\w+", text)]
                message = f"`{name}` needs {', '.join(map(repr, missing[: len(missing) - (name in missing[-1:])]))}."
            case "too-many-positional-arguments":
                message = f"`{name}` takes fewer positional arguments ({each.message.rpartition(': ')[2]})."
            case _:
                message = f"`{name}` is called wrongly: {each.message[0].lower()}{each.message[1:]}."
        return each.finding("argument", message, self._signature(call))

    def _is_plain(self, call: ast.Call) -> bool:
        """Whether the call shows what it calls: a function or class by its name, with arguments that can be counted."""
        if any(isinstance(each, ast.Starred) for each in call.args) or any(each.arg is None for each in call.keywords):
            return False
        root: ast.expr = call.func
        while isinstance(root, ast.Attribute):
            if root.attr.startswith("__"):
                return False
            root = root.value
        if not isinstance(root, ast.Name) or root.id in {"self", "cls"} | self._facts.decorated:
            return False
        return root is not call.func or root.id not in self._nodes.variables

    def missing_key(self, each: Diagnostic) -> Finding | None:
        """A dictionary that lacks a key which the tool needs."""
        call = self._nodes.call_at(each)
        if call is None or self._scope.spec(call.func) is None:
            return None
        return each.finding("argument", f"{each.message}.", self._signature(call))

    def _parameter(self, call: ast.Call, each: Diagnostic) -> str:
        """The name of the parameter that the argument at the diagnostic is passed to."""
        spec = self._scope.spec(call.func)
        if spec is not None:
            for argument, parameter in pairs(call, spec):
                if contains(self._about.source, argument, each.end_line + 1, each.end_column):
                    return f" for {parameter.name!r}"
        for keyword in call.keywords:
            if keyword.arg and contains(self._about.source, keyword.value, each.end_line + 1, each.end_column):
                return f" for {keyword.arg!r}"
        return ""

    def _signature(self, call: ast.Call) -> str | None:
        if spec := self._scope.spec(call.func):
            return spec.signature(constraints=False)
        if definition := self._scope.type(call.func):
            fields = ", ".join(f"{field.name}: {field.type.render()}" for field in definition.fields if field.init)
            return f"{definition.name}({fields})" if fields else None
        return None


def _callee(call: ast.Call) -> str:
    text = ast.unparse(call.func)
    return text if len(text) <= 40 else text.rpartition(".")[2][-40:]
