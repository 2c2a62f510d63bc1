"""What to write instead, by what the tools and their types have."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from .typetext import head

if TYPE_CHECKING:
    from ..signatures import TypeDef
    from .names import Scope

_ITERATORS: Final = frozenset({"Iterator", "Generator"})
_SEVERAL: Final = re.compile(r"(?:list|tuple|dict|set|frozenset|Sequence|Mapping|Iterable)\[|DataFrame")
_ORDERED: Final = frozenset({"int", "float", "Decimal", "date", "datetime", "timedelta", "time"})
_LONGEST: Final = 120


class Hints:
    """Ways out of what was found in an action, for a scope."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._types = scope.names.types

    def instead_of_itself(self, *owners: str, written: str = "") -> str | None:
        """The attributes of the first that has some, or how an item of an iterator is had.

        Args:
            owners: Types, as the type checker writes them.
            written: The value as the action has it, where one of its attributes may be what is meant.
        """
        for owner in owners:
            if head(owner) in _ITERATORS:
                return "Loop over it, or use `list(...)` or `next(...)`."
            if match := re.match(r"def (\w+)\(", owner):
                return self._call_of(match[1])
            definition = self._types.get(head(owner))
            if definition is not None and definition.fields:
                is_dict, names = definition.kind == "typeddict", [field.name for field in definition.fields[:16]]
                what = "keys" if is_dict else "attributes"
                whose = f"its {what}" if len(owners) == 1 else f"{what} of {definition.name}"
                listed = ", ".join(f"[{name!r}]" if is_dict else f".{name}" for name in names)
                return f"{self._items_of(definition, written)}Use {whose}: {listed}."
        return None

    def hidden_tool(self, call: ast.Call) -> tuple[str, str] | None:
        """What is said of a call of a variable that hides a tool, and how that is called instead; None for others."""
        if not isinstance(call.func, ast.Name) or call.func.id not in self._scope.own or "tools" in self._scope.own:
            return None
        name, spec = call.func.id, self._scope.spec(call.func, hidden=True)
        if spec is None:
            return None
        path = f"tools.{self._scope.paths[name]}"
        meant = f"{path}{ast.unparse(call).removeprefix(name)}"
        written = meant if len(meant) <= _LONGEST and "\n" not in meant else f"{path}(...)"
        return f"the name {name!r} was assigned, which hides the tool", f"Write `{written}`: this is the tool."

    def key_for(self, definition: TypeDef) -> str:
        """A ``key=`` by which objects can be compared."""
        ordered = [field for field in definition.fields if field.type.render() in _ORDERED] or [*definition.fields]
        return f"Compare one of their values: `key=lambda each: {access('each', definition, ordered[0].name)}`."

    def _items_of(self, definition: TypeDef, written: str) -> str:
        """The field that holds several things, where there is one: most likely it is what was to be looped over."""
        several = [field for field in definition.fields if _SEVERAL.match(field.type.render())]
        if not written or len(several) != 1 or len(written) > _LONGEST:
            return ""
        return f"`{access(written, definition, several[0].name)}` is a `{several[0].type.render()}`. "

    def _call_of(self, name: str) -> str:
        spec = self._scope.names.specs.get(name)
        return f"Call it: `{spec.signature(constraints=False) if spec else f'{name}(...)'}`."


def access(written: str, definition: TypeDef, field: str) -> str:
    """How a field of a value is written."""
    return f"{written}[{field!r}]" if definition.kind == "typeddict" else f"{written}.{field}"
