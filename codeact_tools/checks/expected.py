"""Errors that an action counts on: what it catches is not found."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..events import Finding, FindingKind
    from .source import Source

_CAUGHT_BY: Final[Mapping[FindingKind, frozenset[str]]] = {
    "name": frozenset({"NameError"}),
    "attribute": frozenset({"AttributeError"}),
    "key": frozenset({"KeyError", "IndexError", "LookupError", "TypeError"}),
    "type": frozenset({"TypeError", "ValueError", "AttributeError"}),
    "argument": frozenset({"TypeError", "InvalidCall"}),
    "import": frozenset({"ImportError", "ModuleNotFoundError"}),
    "constraint": frozenset({"InvalidCall", "ValueError"}),
}
"""Handlers that show that the action counts on the error."""


def is_expected(source: Source, finding: Finding) -> bool:
    """Whether the finding is in a ``try`` whose handler names this very error: the action counts on it."""
    errors = _CAUGHT_BY.get(finding.kind, frozenset())
    for node in source.nodes:
        if isinstance(node, ast.Try) and node.body[0].lineno <= finding.line <= (node.body[-1].end_lineno or 0):
            types = [handler.type for handler in node.handlers if handler.type is not None]
        elif isinstance(node, ast.With) and node.body[0].lineno <= finding.line <= (node.body[-1].end_lineno or 0):
            calls = (item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call))
            types = [each for call in calls if ast.unparse(call.func).endswith("suppress") for each in call.args]
        else:
            continue
        if any(isinstance(each, ast.Name) and each.id in errors for type_ in types for each in ast.walk(type_)):
            return True
    return False
