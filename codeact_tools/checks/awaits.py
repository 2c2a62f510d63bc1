"""Calls of asynchronous tools whose ``await`` is missing."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..events import Finding
    from .names import Scope
    from .source import Source

_CONSUMERS: Final = frozenset(
    {
        "print", "len", "str", "repr", "int", "float", "bool", "sum", "min", "max", "sorted", "list", "tuple", "set",
        "dict", "enumerate", "zip", "map", "filter", "reversed", "any", "all", "round", "abs", "iter", "next",
    }
)  # fmt: skip
"""Builtins that need the value and cannot wait for it."""

_FUTURES: Final = "asyncio."
"""Begins the names of functions of that module that give something to be awaited."""


def missing(source: Source, scope: Scope) -> Iterator[Finding]:
    """Coroutines that are used as if they were their result, and calls that are never awaited.

    A coroutine that is stored, returned or handed to a function such as ``asyncio.gather`` may be awaited there.
    """
    parents = {id(child): parent for parent in source.nodes for child in ast.iter_child_nodes(parent)}
    pending = _pending(source.nodes, scope)
    for node in source.nodes:
        name = None
        if isinstance(node, ast.Call):
            name = _coroutine(node, scope)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            name = pending.get(node.id)
        if name is None or not isinstance(node, ast.Call | ast.Name):
            continue
        parent = parents.get(id(node))
        wasted = isinstance(parent, ast.Expr) and isinstance(node, ast.Call)
        if not wasted and not _needs_value(node, parent):
            continue
        if name.startswith(_FUTURES) and (wasted or isinstance(parent, ast.Attribute)):
            continue  # a future runs by itself, and has methods
        awaited = f"await {ast.unparse(node)}"
        value = "it never runs" if wasted else "this is a coroutine, not its result"
        hint = f"Write `{awaited}`." if wasted else f"Write `({awaited})`."
        yield source.finding(node, "await", f"`{name}` is asynchronous and is not awaited: {value}.", hint)


def _coroutine(node: ast.Call, scope: Scope) -> str | None:
    spec = scope.spec(node.func)
    if spec is not None:
        return spec.name if spec.kind == "coroutine" else None
    match node.func:
        case ast.Attribute(value=ast.Name(id="asyncio"), attr="gather" | "wait_for" as name):
            return f"{_FUTURES}{name}"
        case _:
            return None


def _pending(nodes: Sequence[ast.AST], scope: Scope) -> dict[str, str]:
    """Names whose every binding in the action is a coroutine that is not awaited, with the tool's name."""
    found: dict[str, str] = {}
    assigned: set[int] = set()
    for node in nodes:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and (name := _coroutine(node.value, scope))
        ):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = name
                    assigned.add(id(target))
    others = {
        node.id
        for node in nodes
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in assigned
    }
    parameters = {node.arg for node in nodes if isinstance(node, ast.arg)}
    return {name: tool for name, tool in found.items() if name not in others | parameters}


def _needs_value(node: ast.expr, parent: ast.AST | None) -> bool:
    match parent:
        case ast.Attribute(attr=attr):
            return attr not in {"close", "send", "throw", "__await__"}
        case ast.BinOp() | ast.UnaryOp() | ast.FormattedValue():
            return True
        case ast.Subscript(value=value):
            return value is node
        case ast.Compare(ops=ops):
            return not any(isinstance(op, ast.Is | ast.IsNot) for op in ops)
        case ast.Assign(targets=[ast.Tuple() | ast.List()], value=value):
            return value is node
        case ast.For(iter=iterated) | ast.comprehension(iter=iterated):
            return iterated is node
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) | ast.Assert(test=test):
            return test is node
        case ast.Call(func=ast.Name(id=name), args=args):
            return name in _CONSUMERS and node in args
        case _:
            return False
