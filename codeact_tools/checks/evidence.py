"""What is known of an action that the type checker has read, to tell what is surely wrong from what may be right."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from .hints import Hints
from .typetext import head, is_certain, ticked

if TYPE_CHECKING:
    from ..events import Finding, FindingKind
    from .facts import Facts
    from .names import Scope
    from .nodes import Nodes
    from .server import Diagnostic
    from .source import Source


class Evidence:
    """An action, and what its names and values are, for those who read the diagnostics of it."""

    def __init__(self, source: Source, scope: Scope, facts: Facts, nodes: Nodes) -> None:
        self.source = source
        self.scope = scope
        self.facts = facts
        self.nodes = nodes
        self.hints = Hints(scope)

    def is_sure(self, each: Diagnostic, owner: str) -> bool:
        """Whether the value that is used is surely an ``owner``.

        ``None`` is a value's first type more often than its last: it counts for the results of calls and for variables
        at the top level only.
        """
        if not is_certain(owner) or head(owner) in self.facts.decorated:
            return False
        if owner != "None":
            return True
        node = self.nodes.exactly(each)
        while isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        return isinstance(node, ast.Call) or (isinstance(node, ast.Name) and not self.nodes.is_in_function(node))

    def is_typed_dict(self, owner: str) -> bool:
        """Whether ``owner`` is a typed dictionary of the tools."""
        definition = self.scope.names.types.get(head(owner))
        return definition is not None and definition.kind == "typeddict"

    def coroutine(self, each: Diagnostic) -> Finding:
        """That a coroutine is used as if it were its result."""
        node = self.nodes.exactly(each)
        if isinstance(node, ast.Attribute):
            node = node.value
        text = ast.unparse(node) if isinstance(node, ast.Call | ast.Name) else ""
        hint = f"Write `await {text}`." if 0 < len(text) < 60 else "Write `await` before the call."
        return each.finding("await", "This is a coroutine, not its result: `await` is missing.", hint)


def as_written(kind: FindingKind) -> Callable[[Diagnostic], Finding | None]:
    """The checker's own sentence, for rules whose wording is plain already."""

    def read(each: Diagnostic) -> Finding | None:
        if not all(map(is_certain, ticked(each.message))):
            return None
        return each.finding(kind, each.message.rstrip(".") + ".")

    return read
