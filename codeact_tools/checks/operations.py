"""What cannot be done with a value: index it, loop over it, call it, add it up, await it."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from .typetext import head, is_certain, is_coroutine, plain, revealed, ticked

if TYPE_CHECKING:
    from ..events import Finding
    from .evidence import Evidence
    from .server import Diagnostic

CONTAINERS: Final = frozenset({"list", "dict", "set", "deque", "defaultdict", "OrderedDict", "Counter", "frozenset"})
_LOOPED: Final = CONTAINERS | {
    "tuple", "str", "Iterator", "Generator", "GeneratorType", "range", "map", "filter", "zip",
}  # fmt: skip
_ASYNCHRONOUS: Final = frozenset({"AsyncIterator", "AsyncGenerator", "AsyncIterable", "AsyncGeneratorType"})
_INDEX: Final = re.compile(r"Method `__(?:get|set|del)item__` .* with key of type `(.+)` on object of type `(.+)`$")


class Operations:
    """Reads the diagnostics of values that are used as what they are not."""

    def __init__(self, about: Evidence) -> None:
        self._about = about
        self._hints, self._nodes = about.hints, about.nodes
        self._types = about.scope.names.types

    def index(self, each: Diagnostic) -> Finding | None:
        """A key of a type that the value is not indexed with."""
        match = _INDEX.match(each.message)
        if match is None:
            return None
        key, owner = match.groups()
        if not (is_certain(key) and is_certain(owner)) or head(owner) not in {"list", "tuple", "str", "bytes", "range"}:
            return None
        written = key[8:-1] if key.startswith("Literal[") else f"`{plain(key)}`"
        item = re.match(r"list\[(\w+)\]$", owner)
        definition = self._types.get(item[1]) if item else None
        hint = "Index it with an integer."
        if definition is not None:
            access = f"['{written[1:-1]}']" if definition.kind == "typeddict" else f".{written[1:-1]}"
            hint = f"Take an element first: `[0]{access}`, or loop over it."
        elif head(owner) == "str":
            hint = "It is text, not a dict: search in it, or split it."
        return each.finding("key", f"`{plain(owner)}` cannot be indexed with {written}.", hint)

    def use(self, each: Diagnostic) -> Finding | None:
        """A value that is indexed, looped over or called, which it cannot be."""
        owner = revealed(each.message)
        if is_coroutine(owner):
            return self._about.coroutine(each)
        if not self._about.is_sure(each, owner):
            return None
        shown = f"`{plain(owner)}`"
        match each.rule:
            case "not-subscriptable":
                return each.finding("key", f"{shown} cannot be indexed with [ ].", self._hints.instead_of_itself(owner))
            case "not-iterable" if "async-iterable" in each.message:
                return each.finding("await", f"{shown} is not asynchronous.", "Use a plain `for`.")
            case "not-iterable" if head(owner) in _ASYNCHRONOUS:
                return each.finding("await", f"{shown} is asynchronous.", "Use `async for`.")
            case "not-iterable":
                node = self._nodes.exactly(each)
                hint = self._hints.instead_of_itself(owner, written=ast.unparse(node) if node is not None else "")
                return each.finding("type", f"{shown} cannot be looped over.", hint)
            case _:
                return self._not_callable(each, shown)

    def _not_callable(self, each: Diagnostic, shown: str) -> Finding:
        node = self._nodes.exactly(each)
        hidden = self._hints.hidden_tool(node) if isinstance(node, ast.Call) else None
        if hidden is None:
            return each.finding("type", f"{shown} cannot be called.")
        return each.finding("type", f"{shown} cannot be called: {hidden[0]}.", hidden[1])

    def operator(self, each: Diagnostic) -> Finding | None:
        """An operator between values that do not have it."""
        operator, *operands = ticked(each.message)
        if any(map(is_coroutine, operands)):
            return self._about.coroutine(each)
        if not operands or not all(map(is_certain, operands)) or is_extension([operator, *operands]):
            return None
        if "None" in operands and not self._gives_none(each, operands):
            return None
        if operator == "|=" and self._about.is_typed_dict(operands[0]):
            return None
        shown = [f"`{plain(operand)}`" for operand in operands]
        if len(shown) == 1 and "between two" in each.message:
            shown *= 2
        message = f"`{operator}` does not work for {' and '.join(shown)}."
        kinds = {head(operand) for operand in operands}
        hint: str | None
        if kinds == {"Decimal", "float"}:
            hint = "Use Decimal for both, or float(...) on the Decimal."
        elif kinds == {"date", "datetime"}:
            hint = "Use `.date()` of the `datetime`."
        elif operator == "+" and "str" in kinds:
            hint = "Use an f-string, or str(...) on the other value."
        else:
            hint = self._hints.instead_of_itself(*operands)
        return each.finding("type", message, hint)

    def _gives_none(self, each: Diagnostic, operands: list[str]) -> bool:
        """Whether ``None`` is what a call gives, and no value that something else has replaced by now."""
        match self._nodes.exactly(each):
            case ast.BinOp(left=left, right=right) | ast.Compare(left=left, comparators=[right]):
                sides = zip((left, right), (operands[0], operands[-1]), strict=True)
                return all(isinstance(side, ast.Call | ast.Await) for side, kind in sides if kind == "None")
            case _:
                return False

    def awaited(self, each: Diagnostic) -> Finding | None:
        """A value that is awaited, and is no coroutine."""
        owner = revealed(each.message)
        if not is_certain(owner):
            return None
        return each.finding("await", f"`{plain(owner)}` cannot be awaited.", "Leave out `await` here.")

    def unused(self, each: Diagnostic) -> Finding | None:
        """A coroutine that nobody awaits."""
        return self._about.coroutine(each) if is_coroutine(revealed(each.message)) else None


def is_extension(operation: list[str]) -> bool:
    """Whether an operator and the types of its operands add to a container whatever can be looped over."""
    if len(operation) < 3 or operation[0] not in {"+=", "|="}:
        return False
    return head(operation[1]) in CONTAINERS and head(operation[2]) in _LOOPED
