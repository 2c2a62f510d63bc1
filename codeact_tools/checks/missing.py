"""What is not there: names that nothing binds, and attributes, members and keys that nothing has."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from .evidence import as_written
from .names import BUILTINS, nearest
from .typetext import head, is_certain, is_coroutine, options, plain, revealed

if TYPE_CHECKING:
    from ..events import Finding
    from .evidence import Evidence
    from .server import Diagnostic

_MOST: Final = 12
"""Names in a hint."""


class Missing:
    """Reads the diagnostics of unknown names, with the nearest that is known."""

    def __init__(self, about: Evidence) -> None:
        self._about = about
        self._facts, self._nodes, self._names = about.facts, about.nodes, about.scope.names
        self._listed = False
        """Whether a finding says which tools there are."""

    def name(self, each: Diagnostic) -> Finding | None:
        """A name that nothing binds."""
        name = revealed(each.message)
        if self._facts.unseen:
            return None
        if name in sys.stdlib_module_names:
            return each.finding("name", f"{name!r} is not defined: the module is not imported.")
        meant = nearest(
            name,
            {*self._nodes.variables, *self._facts.functions, *self._facts.classes, *self._names.bound, *BUILTINS},
        )
        hint = f"Did you mean {meant!r}?" if meant else None
        if spec := self._names.specs.get(meant or ""):
            hint = f"Did you mean `{spec.signature(constraints=False)}`?"
        return each.finding("name", f"{name!r} is not defined.", hint or self._what_there_is())

    def _what_there_is(self) -> str | None:
        """The tools, which are what an action can start from; once."""
        tools = [] if self._listed else [name for name in self._names.specs if "." not in name]
        self._listed = True
        more = ", …" if len(tools) > _MOST else ""
        return f"The tools are {', '.join(tools[:_MOST])}{more}." if tools else None

    def attribute(self, each: Diagnostic) -> Finding | None:
        """An attribute that a value, a class or a module does not have."""
        match = re.match(
            r"(Object of type|Class|Module|Function) `(.+)` has no (?:attribute|member) `(\w+)`", each.message
        )
        if match is None:
            return self._set_attribute(each)
        what, owner, attribute = match.groups()
        if is_coroutine(owner):
            return self._about.coroutine(each)
        if what == "Module":
            return self._module_member(each, owner, attribute)
        if len(options(owner)) > 1:
            return self._attribute_of_all(each, options(owner), attribute)
        if not self._about.is_sure(each, owner) or (attribute in self._facts.stored and not self._is_tool_type(owner)):
            return None
        if not self._is_tool_type(owner) and (self._may_have_more(owner) or attribute.startswith("_")):
            return None  # stubs leave out private attributes
        if self._about.is_typed_dict(owner) and attribute in dir(dict):
            return None  # it is a plain dictionary when the action runs
        return self._no_attribute(each, owner, attribute)

    def _attribute_of_all(self, each: Diagnostic, owners: list[str], attribute: str) -> Finding | None:
        """An attribute that no member of a union has."""
        owners = [owner for owner in owners if owner != "None"] or owners
        node = self._nodes.exactly(each)
        keyed = node is not None and any(_is_key(part) for part in ast.walk(node))  # of a dictionary, which may change
        if keyed or attribute in self._facts.stored or attribute.startswith("_") or not all(map(is_certain, owners)):
            return None
        if any(self._may_have_more(owner) or self._about.is_typed_dict(owner) for owner in owners):
            return None
        return self._no_attribute(each, owners[0], attribute, shown=" | ".join(map(plain, owners)))

    def _set_attribute(self, each: Diagnostic) -> Finding | None:
        """A new attribute of an object of the tools."""
        match = re.match(r"Unresolved attribute `(\w+)` on type `(\w+)`", each.message)
        definition = self._names.types.get(match[2]) if match else None
        if match is None or definition is None or definition.kind != "record" or definition.extra:
            return None
        return self._no_attribute(each, match[2], match[1])

    def _no_attribute(self, each: Diagnostic, owner: str, attribute: str, *, shown: str = "") -> Finding:
        have = self._attributes(owner)
        meant = nearest(attribute, have)
        written = f"[{meant!r}]" if self._about.is_typed_dict(owner) else f".{meant}"
        hint = f"Did you mean `{written}`?" if meant else None
        if definition := self._names.types.get(head(owner)):
            fields = [each.name for each in definition.fields] or [name for name, _ in definition.members]
            if fields:
                hint = " ".join(filter(None, [hint, f"{head(owner)} has: {', '.join(fields[:16])}."]))
        elif head(owner) in {"list", "tuple"} and hint is None:
            hint = "It holds several: take one with [0], or loop over it."
        message = f"`{shown or plain(owner)}` has no attribute {attribute!r}."
        return _narrowed_to(each, attribute).finding("attribute", message, hint)

    def _module_member(self, each: Diagnostic, module: str, name: str) -> Finding | None:
        if module.partition(".")[0] == "tools":
            exports = self._names.exports(module.partition(".")[2] or None)
            if name in self._names.toolkits:
                return None
        elif name.startswith("_") or module not in sys.modules or hasattr(sys.modules[module], name):
            return None  # stubs leave out private names, and those of other platforms
        else:
            exports = dir(sys.modules[module])
        meant = nearest(name, exports)
        return each.finding("attribute", f"`{module}` has no {name!r}.", meant and f"Did you mean {meant!r}?")

    def member(self, each: Diagnostic) -> Finding | None:
        """What is imported from a module that does not have it."""
        match = re.match(r"Module `(.+)` has no member `(\w+)`", each.message)
        if match is None or match[1].partition(".")[0] == "tools":
            return None
        found = self._module_member(each, match[1], match[2])
        return found and found.model_copy(update={"kind": "import"})

    def key(self, each: Diagnostic) -> Finding | None:
        """A key that a typed dictionary does not have."""
        match = re.match(r'Unknown key "(.*)" for TypedDict `(\w+)`', each.message)
        if match is None:
            return as_written("key")(each)
        definition = self._names.types.get(match[2])
        call = self._nodes.call_at(each)
        if call is not None and self._nodes.exactly(each) in call.args[:1] and len(call.args) == 2:
            return None  # `pop` with a default
        if definition is None or self._facts.keys & {match[1], ""}:
            return None
        fields = [field.name for field in definition.fields]
        meant = nearest(match[1], fields)
        hint = f"Did you mean {meant!r}? " if meant else ""
        return each.finding("key", f"`{match[2]}` has no key {match[1]!r}.", f"{hint}Keys: {', '.join(fields[:16])}.")

    def _attributes(self, owner: str) -> list[str]:
        if definition := self._names.types.get(head(owner)):
            return [field.name for field in definition.fields] + [name for name, _ in definition.members]
        return [name for name in dir(getattr(builtins, head(owner), object)) if not name.startswith("_")]

    def _may_have_more(self, owner: str) -> bool:
        """Whether code that nothing shows may have given attributes to the value, or put another in its place."""
        return self._facts.unseen or (self._facts.dynamic and not hasattr(builtins, head(owner)))

    def _is_tool_type(self, owner: str) -> bool:
        return head(owner) in self._names.types


def _narrowed_to(each: Diagnostic, attribute: str) -> Diagnostic:
    """The diagnostic of a whole expression, narrowed to the attribute's name at its end."""
    start = each.end_column - len(attribute)
    return replace(each, line=each.end_line, column=start) if start >= 0 else each


def _is_key(node: ast.AST) -> bool:
    key = node.slice if isinstance(node, ast.Subscript) else None
    return isinstance(key, ast.Constant) and isinstance(key.value, str)
