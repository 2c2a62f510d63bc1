"""What `ty` reports, as findings for a model: only what is surely wrong, in plain words, with the way out."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..events import Finding, FindingKind
from .arguments import pairs
from .assignments import Assignments
from .hints import Hints
from .names import BUILTINS, nearest
from .nodes import Nodes, contains
from .subscripts import OF_SUBSCRIPTS
from .typetext import Compatibility, head, is_certain, narrowed, options, plain, revealed, ticked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .facts import Facts
    from .names import Scope
    from .server import Diagnostic
    from .source import Source

_CONTAINERS: Final = frozenset({"list", "dict", "set", "deque", "defaultdict", "OrderedDict", "Counter", "frozenset"})
_LOOPED: Final = _CONTAINERS | {
    "tuple", "str", "Iterator", "Generator", "GeneratorType", "range", "map", "filter", "zip",
}  # fmt: skip
_OF_SEVERAL: Final = frozenset({"Iterable", "Sized", "Sequence", "Collection", "Reversible"})
_UNORDERED: Final = re.compile(
    r"Argument to (?:function|bound method) `([\w.]+)` is incorrect: "
    r"Argument type `(.+)` does not satisfy upper bound `SupportsDunderLT"
)


class Translator:
    """Turns the diagnostics of one action into findings."""

    def __init__(self, source: Source, scope: Scope, facts: Facts, bound: Iterable[str]) -> None:
        self._source = source
        self._scope = scope
        self._facts = facts
        self._hints = Hints(scope)
        self._compatible = Compatibility(scope.names.types)
        self.nodes = self._nodes = Nodes(source, facts, bound)
        self._rules: Mapping[str, Callable[[Diagnostic], Finding | None]] = {
            "unresolved-reference": self._name,
            "missing-attribute": self._attribute,
            "unresolved-attribute": self._attribute,
            "missing-module-member": self._member,
            "invalid-argument-type": self._argument,
            "unknown-argument": self._call,
            "missing-argument": self._call,
            "too-many-positional-arguments": self._call,
            "parameter-already-assigned": self._call,
            "positional-only-parameter-as-kwarg": self._call,
            "invalid-typed-dict-key": self._key,
            "missing-typed-dict-key": self._missing_key,
            "not-subscriptable": self._use,
            "not-iterable": self._use,
            "not-callable": self._use,
            "call-non-callable": self._use,
            "unsupported-operator": self._operator,
            "invalid-assignment": Assignments(source, scope, self._nodes).finding,
            "index-out-of-bounds": self._as_written("key"),
            "invalid-await": self._await,
            "unused-awaitable": self._unused,
            "redundant-condition": self._unused,
            "invalid-context-manager": self._as_written("type"),
            "invalid-raise": self._as_written("type"),
            "invalid-exception-caught": self._as_written("type"),
            "zero-stepsize-in-slice": self._as_written("type"),
        }

    def findings(self, diagnostics: Iterable[Diagnostic]) -> list[Finding]:
        """The certain ones among ``diagnostics``."""
        found = []
        diagnostics = [replace(each, message=narrowed(each.message)) for each in diagnostics]
        self._nodes.refuse(each for each in diagnostics if self._is_refusal(each))
        for each in diagnostics:
            read = self._rules.get(each.rule)
            node = self._nodes.exactly(each)
            if each.rule in OF_SUBSCRIPTS:
                node = self._nodes.subscripted(each) or node  # whatever its keys are set to
            if read is None:
                continue
            if node is not None and each.rule != "invalid-assignment" and self._nodes.is_uncertain(node):
                continue
            finding = read(each)
            if finding is not None:
                found.append(finding)
        return found

    def _is_refusal(self, each: Diagnostic) -> bool:
        """Whether the diagnostic is about a value that goes where the type checker expects others, and does go there.

        ``list += anything`` works for whatever can be looped over.
        """
        if each.rule == "invalid-assignment":
            return "assign to" not in each.message and "to unpack" not in each.message
        if each.rule == "unsupported-operator":
            return _is_extension(ticked(each.message))
        return each.rule in {"invalid-argument-type", "no-matching-overload"}

    # ---- one rule each -------------------------------------------------------------------------------------------

    def _name(self, each: Diagnostic) -> Finding | None:
        name = revealed(each.message)
        if self._facts.unseen:
            return None
        if name in sys.stdlib_module_names:
            return self._finding(each, "name", f"{name!r} is not defined: the module is not imported.", None)
        meant = nearest(
            name,
            {*self._nodes.variables, *self._facts.functions, *self._facts.classes, *self._scope.names.bound, *BUILTINS},
        )
        hint = f"Did you mean {meant!r}?" if meant else None
        if spec := self._scope.names.specs.get(meant or ""):
            hint = f"Did you mean `{spec.signature(constraints=False)}`?"
        return self._finding(each, "name", f"{name!r} is not defined.", hint)

    def _attribute(self, each: Diagnostic) -> Finding | None:
        match = re.match(
            r"(Object of type|Class|Module|Function) `(.+)` has no (?:attribute|member) `(\w+)`", each.message
        )
        if match is None:
            return self._set_attribute(each)
        what, owner, attribute = match.groups()
        if _is_coroutine(owner):
            return self._coroutine(each)
        if what == "Module":
            return self._module_member(each, owner, attribute)
        if len(options(owner)) > 1:
            return self._attribute_of_all(each, options(owner), attribute)
        if not self._is_sure(each, owner) or (attribute in self._facts.stored and not self._is_tool_type(owner)):
            return None
        if not self._is_tool_type(owner) and (self._may_have_more(owner) or attribute.startswith("_")):
            return None  # stubs leave out private attributes
        if self._is_typed_dict(owner) and attribute in dir(dict):
            return None  # it is a plain dictionary when the action runs
        return self._no_attribute(each, owner, attribute)

    def _attribute_of_all(self, each: Diagnostic, owners: list[str], attribute: str) -> Finding | None:
        """An attribute that no member of a union has."""
        owners = [owner for owner in owners if owner != "None"] or owners
        node = self._nodes.exactly(each)
        keyed = node is not None and any(_is_key(part) for part in ast.walk(node))  # of a dictionary, which may change
        if keyed or attribute in self._facts.stored or attribute.startswith("_") or not all(map(is_certain, owners)):
            return None
        if any(self._may_have_more(owner) or self._is_typed_dict(owner) for owner in owners):
            return None
        return self._no_attribute(each, owners[0], attribute, shown=" | ".join(map(plain, owners)))

    def _set_attribute(self, each: Diagnostic) -> Finding | None:
        """A new attribute of an object of the tools."""
        match = re.match(r"Unresolved attribute `(\w+)` on type `(\w+)`", each.message)
        definition = self._scope.names.types.get(match[2]) if match else None
        if match is None or definition is None or definition.kind != "record" or definition.extra:
            return None
        return self._no_attribute(each, match[2], match[1])

    def _no_attribute(self, each: Diagnostic, owner: str, attribute: str, *, shown: str = "") -> Finding:
        have = self._attributes(owner)
        meant = nearest(attribute, have)
        written = f"[{meant!r}]" if self._is_typed_dict(owner) else f".{meant}"
        hint = f"Did you mean `{written}`?" if meant else None
        if definition := self._scope.names.types.get(head(owner)):
            fields = [each.name for each in definition.fields] or [name for name, _ in definition.members]
            if fields:
                hint = " ".join(filter(None, [hint, f"{head(owner)} has: {', '.join(fields[:16])}."]))
        elif head(owner) in {"list", "tuple"} and hint is None:
            hint = "It holds several: take one with [0], or loop over it."
        message = f"`{shown or plain(owner)}` has no attribute {attribute!r}."
        return self._finding(self._at_attribute(each, attribute), "attribute", message, hint)

    @staticmethod
    def _at_attribute(each: Diagnostic, name: str) -> Diagnostic:
        """The diagnostic of a whole expression, narrowed to the attribute's name at its end."""
        start = each.end_column - len(name)
        return replace(each, line=each.end_line, column=start) if start >= 0 else each

    def _module_member(self, each: Diagnostic, module: str, name: str) -> Finding | None:
        if module.partition(".")[0] == "tools":
            exports = self._scope.names.exports(module.partition(".")[2] or None)
            if name in self._scope.names.toolkits:
                return None
        elif name.startswith("_") or module not in sys.modules or hasattr(sys.modules[module], name):
            return None  # stubs leave out private names, and those of other platforms
        else:
            exports = dir(sys.modules[module])
        meant = nearest(name, exports)
        return self._finding(each, "attribute", f"`{module}` has no {name!r}.", meant and f"Did you mean {meant!r}?")

    def _member(self, each: Diagnostic) -> Finding | None:
        match = re.match(r"Module `(.+)` has no member `(\w+)`", each.message)
        if match is None or match[1].partition(".")[0] == "tools":
            return None
        found = self._module_member(each, match[1], match[2])
        return found and found.model_copy(update={"kind": "import"})

    def _argument(self, each: Diagnostic) -> Finding | None:
        if match := re.match(
            r"Method `__(?:get|set|del)item__` .* with key of type `(.+)` on object of type `(.+)`$", each.message
        ):
            return self._index(each, match[1], match[2])
        if match := _UNORDERED.match(each.message):
            return self._unordered(each, match[1], match[2])
        match = re.match(r"Argument(?: to .*?`(.+?)`)? is incorrect: Expected `(.+)`, found `(.+)`$", each.message)
        call = self._nodes.call_at(each)
        if match is None or call is None or self._nodes.is_unpacked(call, each):
            return None
        callee, expected, found = match.groups()
        if _is_coroutine(found):
            return self._coroutine(each)
        spec, definition = self._scope.spec(call.func), self._scope.type(call.func)
        if spec is None and definition is None and head(expected) in _OF_SEVERAL:
            lacking = self._not_several(each, call, found)
            if lacking is not None:
                return lacking
        if spec is None and definition is None and not self._is_strict(call, callee, expected, found):
            return None
        if self._nodes.is_uncertain(call.func):
            return None
        if self._compatible.possible(found, expected):
            return None
        name = spec.name if spec else _callee(call)
        which = self._parameter(call, each)
        message = f"`{name}` needs `{expected.rstrip('*')}`{which}, not `{plain(found)}`."
        return self._finding(each, "type", message, self._signature(call))

    def _unordered(self, each: Diagnostic, callee: str, kind: str) -> Finding | None:
        definition = self._scope.names.types.get(head(kind))
        name = callee.rpartition(".")[2]
        if head(kind) == "dict":
            hint = "Compare one of their values: `key=lambda each: each[...]`."
            return self._finding(each, "type", f"`{name}` cannot compare dictionaries.", hint)
        if definition is None or definition.kind not in {"record", "typeddict"} or not definition.fields:
            return None
        message = f"`{name}` cannot compare `{definition.name}` objects."
        return self._finding(each, "type", message, self._hints.key_for(definition))

    def _not_several(self, each: Diagnostic, call: ast.Call, found: str) -> Finding | None:
        """One object, or a function, where several things are expected."""
        definition = self._scope.names.types.get(head(found))
        record = is_certain(found) and definition is not None and definition.kind == "record"
        node = self._nodes.exactly(each)
        if isinstance(node, ast.keyword) or not (record or found.startswith("def ")) or _callee(call) not in BUILTINS:
            return None
        lacks = "has no length" if _callee(call) == "len" else "cannot be looped over"
        hint = self._hints.instead_of_itself(found, written=ast.unparse(node) if node is not None else "")
        return self._finding(each, "type", f"`{plain(found)}` {lacks}.", hint)

    def _is_strict(self, call: ast.Call, callee: str | None, expected: str, found: str) -> bool:
        """Whether a function of the standard library surely refuses the argument."""
        owner = (callee or "").partition(".")[0].partition("[")[0]
        own = self._facts.functions | self._facts.classes
        if not callee or owner in own or callee in own or _callee(call).rpartition(".")[2] in own:
            return False
        if owner in _CONTAINERS or head(expected) in {"Unknown", "Never"}:
            return False
        simple = all(re.fullmatch(r"[\w\[\], |.\"'*]+", text) for text in (expected, found))
        return simple and is_certain(found) and head(found) != head(expected)

    def _index(self, each: Diagnostic, key: str, owner: str) -> Finding | None:
        if not (is_certain(key) and is_certain(owner)) or head(owner) not in {"list", "tuple", "str", "bytes", "range"}:
            return None
        written = key[8:-1] if key.startswith("Literal[") else f"`{plain(key)}`"
        item = re.match(r"list\[(\w+)\]$", owner)
        definition = self._scope.names.types.get(item[1]) if item else None
        hint = "Index it with an integer."
        if definition is not None:
            access = f"['{written[1:-1]}']" if definition.kind == "typeddict" else f".{written[1:-1]}"
            hint = f"Take an element first: `[0]{access}`, or loop over it."
        elif head(owner) == "str":
            hint = "It is text, not a dict: search in it, or split it."
        return self._finding(each, "key", f"`{plain(owner)}` cannot be indexed with {written}.", hint)

    def _call(self, each: Diagnostic) -> Finding | None:
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
        return self._finding(each, "argument", message, self._signature(call))

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

    def _key(self, each: Diagnostic) -> Finding | None:
        match = re.match(r'Unknown key "(.*)" for TypedDict `(\w+)`', each.message)
        if match is None:
            return self._as_written("key")(each)
        definition = self._scope.names.types.get(match[2])
        call = self._nodes.call_at(each)
        if call is not None and self._nodes.exactly(each) in call.args[:1] and len(call.args) == 2:
            return None  # `pop` with a default
        if definition is None or self._facts.keys & {match[1], ""}:
            return None
        fields = [field.name for field in definition.fields]
        meant = nearest(match[1], fields)
        hint = f"Did you mean {meant!r}? " if meant else ""
        return self._finding(
            each, "key", f"`{match[2]}` has no key {match[1]!r}.", f"{hint}Keys: {', '.join(fields[:16])}."
        )

    def _missing_key(self, each: Diagnostic) -> Finding | None:
        call = self._nodes.call_at(each)
        if call is None or self._scope.spec(call.func) is None:
            return None
        return self._finding(each, "argument", f"{each.message}.", self._signature(call))

    def _use(self, each: Diagnostic) -> Finding | None:
        owner = revealed(each.message)
        if _is_coroutine(owner):
            return self._coroutine(each)
        if not self._is_sure(each, owner):
            return None
        shown = f"`{plain(owner)}`"
        match each.rule:
            case "not-subscriptable":
                return self._finding(
                    each, "key", f"{shown} cannot be indexed with [ ].", self._hints.instead_of_itself(owner)
                )
            case "not-iterable" if "async-iterable" in each.message:
                return self._finding(each, "await", f"{shown} is not asynchronous.", "Use a plain `for`.")
            case "not-iterable" if head(owner) in {
                "AsyncIterator",
                "AsyncGenerator",
                "AsyncIterable",
                "AsyncGeneratorType",
            }:
                return self._finding(each, "await", f"{shown} is asynchronous.", "Use `async for`.")
            case "not-iterable":
                node = self._nodes.exactly(each)
                hint = self._hints.instead_of_itself(owner, written=ast.unparse(node) if node is not None else "")
                return self._finding(each, "type", f"{shown} cannot be looped over.", hint)
            case _:
                return self._not_callable(each, shown)

    def _not_callable(self, each: Diagnostic, shown: str) -> Finding:
        node = self._nodes.exactly(each)
        hidden = self._hints.hidden_tool(node) if isinstance(node, ast.Call) else None
        if hidden is None:
            return self._finding(each, "type", f"{shown} cannot be called.", None)
        return self._finding(each, "type", f"{shown} cannot be called: {hidden[0]}.", hidden[1])

    def _operator(self, each: Diagnostic) -> Finding | None:
        operator, *operands = ticked(each.message)
        if any(map(_is_coroutine, operands)):
            return self._coroutine(each)
        if not operands or not all(map(is_certain, operands)) or _is_extension([operator, *operands]):
            return None
        if "None" in operands and not self._gives_none(each, operands):
            return None
        if operator == "|=" and self._is_typed_dict(operands[0]):
            return None
        shown = [f"`{plain(operand)}`" for operand in operands]
        if len(shown) == 1 and "between two" in each.message:
            shown *= 2
        message = f"`{operator}` does not work for {' and '.join(shown)}."
        hint = None
        if {head(operand) for operand in operands} == {"Decimal", "float"}:
            hint = "Use Decimal for both, or float(...) on the Decimal."
        elif {head(operand) for operand in operands} == {"date", "datetime"}:
            hint = "Use `.date()` of the `datetime`."
        elif operator == "+" and "str" in {head(operand) for operand in operands}:
            hint = "Use an f-string, or str(...) on the other value."
        else:
            hint = self._hints.instead_of_itself(*operands)
        return self._finding(each, "type", message, hint)

    def _gives_none(self, each: Diagnostic, operands: list[str]) -> bool:
        """Whether ``None`` is what a call gives, and no value that something else has replaced by now."""
        match self._nodes.exactly(each):
            case ast.BinOp(left=left, right=right) | ast.Compare(left=left, comparators=[right]):
                sides = zip((left, right), (operands[0], operands[-1]), strict=True)
                return all(isinstance(side, ast.Call | ast.Await) for side, kind in sides if kind == "None")
            case _:
                return False

    def _await(self, each: Diagnostic) -> Finding | None:
        owner = revealed(each.message)
        if not is_certain(owner):
            return None
        return self._finding(each, "await", f"`{plain(owner)}` cannot be awaited.", "Leave out `await` here.")

    def _unused(self, each: Diagnostic) -> Finding | None:
        return self._coroutine(each) if _is_coroutine(revealed(each.message)) else None

    def _coroutine(self, each: Diagnostic) -> Finding:
        text = self._text(each)
        hint = f"Write `await {text}`." if text else "Write `await` before the call."
        return self._finding(each, "await", "This is a coroutine, not its result: `await` is missing.", hint)

    def _as_written(self, kind: FindingKind) -> Callable[[Diagnostic], Finding | None]:
        """The checker's own sentence, for rules whose wording is plain already."""

        def read(each: Diagnostic) -> Finding | None:
            if not all(map(is_certain, ticked(each.message))):
                return None
            return self._finding(each, kind, each.message.rstrip(".") + ".", None)

        return read

    # ---- help ----------------------------------------------------------------------------------------------------

    @staticmethod
    def _finding(each: Diagnostic, kind: FindingKind, message: str, hint: str | None) -> Finding:
        end = each.end_column + 1 if each.end_line == each.line else None
        return Finding(
            kind=kind, message=message, hint=hint, line=each.line + 1, column=each.column + 1, end_column=end
        )

    def _is_sure(self, each: Diagnostic, owner: str) -> bool:
        """Whether the value that is used is surely an ``owner``.

        ``None`` is a value's first type more often than its last: it counts for the results of calls and for variables
        at the top level only.
        """
        if not is_certain(owner) or head(owner) in self._facts.decorated:
            return False
        if owner != "None":
            return True
        node = self._nodes.exactly(each)
        while isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        return isinstance(node, ast.Call) or (isinstance(node, ast.Name) and not self._nodes.is_in_function(node))

    def _text(self, each: Diagnostic) -> str:
        node = self._nodes.exactly(each)
        if isinstance(node, ast.Attribute):
            node = node.value
        text = ast.unparse(node) if isinstance(node, ast.Call | ast.Name) else ""
        return text if len(text) < 60 else ""

    def _parameter(self, call: ast.Call, each: Diagnostic) -> str:
        """The name of the parameter that the argument at the diagnostic is passed to."""
        spec = self._scope.spec(call.func)
        if spec is not None:
            for argument, parameter in pairs(call, spec):
                if contains(self._source, argument, each.end_line + 1, each.end_column):
                    return f" for {parameter.name!r}"
        for keyword in call.keywords:
            if keyword.arg and contains(self._source, keyword.value, each.end_line + 1, each.end_column):
                return f" for {keyword.arg!r}"
        return ""

    def _signature(self, call: ast.Call) -> str | None:
        if spec := self._scope.spec(call.func):
            return spec.signature(constraints=False)
        if definition := self._scope.type(call.func):
            fields = ", ".join(f"{field.name}: {field.type.render()}" for field in definition.fields if field.init)
            return f"{definition.name}({fields})" if fields else None
        return None

    def _attributes(self, owner: str) -> list[str]:
        if definition := self._scope.names.types.get(head(owner)):
            return [field.name for field in definition.fields] + [name for name, _ in definition.members]
        return [name for name in dir(getattr(builtins, head(owner), object)) if not name.startswith("_")]

    def _may_have_more(self, owner: str) -> bool:
        """Whether code that nothing shows may have given attributes to the value, or put another in its place."""
        return self._facts.unseen or (self._facts.dynamic and not hasattr(builtins, head(owner)))

    def _is_typed_dict(self, owner: str) -> bool:
        definition = self._scope.names.types.get(head(owner))
        return definition is not None and definition.kind == "typeddict"

    def _is_tool_type(self, owner: str) -> bool:
        return head(owner) in self._scope.names.types


def _is_key(node: ast.AST) -> bool:
    key = node.slice if isinstance(node, ast.Subscript) else None
    return isinstance(key, ast.Constant) and isinstance(key.value, str)


def _is_extension(operation: list[str]) -> bool:
    """Whether an operator and the types of its operands add to a container whatever can be looped over."""
    if len(operation) < 3 or operation[0] not in {"+=", "|="}:
        return False
    return head(operation[1]) in _CONTAINERS and head(operation[2]) in _LOOPED


def _is_coroutine(text: str) -> bool:
    return text.startswith(("CoroutineType[", "Coroutine["))


def _callee(call: ast.Call) -> str:
    text = ast.unparse(call.func)
    return text if len(text) <= 40 else text.rpartition(".")[2][-40:]
