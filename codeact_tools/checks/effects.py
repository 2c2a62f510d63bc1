"""Which tools with side effects an action can reach."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from .source import walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .names import Scope

_DYNAMIC: Final = frozenset({"eval", "exec", "globals", "locals", "vars", "__import__", "compile"})


def reachable(nodes: Sequence[ast.AST], scope: Scope, carried: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Qualified names of the tools with side effects that an action mentions, directly or through earlier functions.

    It errs on the side of naming a tool too many: a mention counts as a call, and code that looks names up while it
    runs (``eval``, ``getattr(tools, ...)``) reaches all of them.

    Args:
        nodes: The action's syntax tree.
        scope: What its names stand for.
        carried: Earlier bindings that reach tools, as `carriers` gives them.
    """
    found: set[str] = set()
    attributes = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if isinstance(node, ast.Name) and node.id in carried and isinstance(node.ctx, ast.Load):
            found |= carried[node.id]
        if isinstance(node, ast.Name) and node.id in _DYNAMIC:
            return everything(scope)
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            if spec := scope.spec(node, hidden=True):
                found |= {spec.qualified} - _harmless(scope)
            if id(node) not in attributes and _is_module(node, scope):
                return everything(scope)
            if isinstance(node, ast.Attribute) and node.attr.startswith("__") and _is_module(node.value, scope):
                return everything(scope)
    return frozenset(found)


def carriers(tree: ast.Module, scope: Scope, carried: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Names that ``tree`` binds at its top level to functions, classes or tools, with the tools that they reach."""
    result = dict(carried)
    for statement in tree.body:
        names = list(_targets(statement))
        if names and (effects := reachable(walk(statement), scope, result)):
            result.update(dict.fromkeys(names, effects))
    return result


def _targets(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif (
        isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None and _is_code(statement.value)
    ):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def _is_code(value: ast.expr) -> bool:
    """Whether the value may be something to call later, rather than the result of a call."""
    called = {id(node.func) for node in ast.walk(value) if isinstance(node, ast.Call)}
    return any(
        isinstance(node, ast.Lambda | ast.GeneratorExp)
        or (isinstance(node, ast.Name | ast.Attribute) and id(node) not in called)
        for node in ast.walk(value)
    )


def _is_module(node: ast.expr, scope: Scope) -> bool:
    path = scope.path(node, hidden=True)
    return path == "" or path in scope.names.toolkits


def _harmless(scope: Scope) -> frozenset[str]:
    return frozenset(spec.qualified for spec in scope.names.specs.values() if spec.effects.read_only)


def everything(scope: Scope) -> frozenset[str]:
    """Qualified names of all tools with side effects."""
    return frozenset(spec.qualified for spec in scope.names.specs.values()) - _harmless(scope)
