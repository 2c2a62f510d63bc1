"""The session so far, as the check needs it: cells for the type checker, and what names stand for."""

from __future__ import annotations

import ast
import copy
from typing import TYPE_CHECKING, Final

from .effects import carriers
from .facts import Facts
from .names import Names, Scope, bindings
from .source import parse

if TYPE_CHECKING:
    from collections.abc import Collection

UNKNOWN_MODULE: Final = "_session"
"""A stub beside the tools' that gives names of unknown type."""


def ambient_stubs(names: Names) -> dict[str, str]:
    """Stubs besides the tools' own: what every action has without an import, and the unknown.

    `ty` reads ``__builtins__.pyi`` as more builtins. There an action may hide each name, as it may in the guest; bound
    in a cell of their own, both meanings would count inside of functions.
    """
    bound = "".join(f"from tools import {name} as {name}\n" for name in sorted(names.bound))
    return {
        "__builtins__.pyi": f"import tools as tools\n{bound}",
        f"{UNKNOWN_MODULE}.pyi": "from typing import Any\n\nvalue: Any\n",
    }


class History:
    """What the actions that ran have left behind."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self.cells: list[str] = []
        """The notebook's cells so far; the first binds what every action has without an import."""
        self.scope = Scope.fresh(names)
        self.facts = Facts()
        self.carried: dict[str, frozenset[str]] = {}
        self.bound: set[str] = set()
        """Names that actions bound at their top level."""
        self.clear()

    def clear(self) -> None:
        """Forget everything: the session has a new interpreter."""
        self.cells = []
        self.scope = Scope.fresh(self._names)
        self.facts = Facts()
        self.carried = {}
        self.bound = set()

    def add(self, code: str, *, stopped_at: int | None, variables: Collection[str] | None) -> None:
        """Take over an action that ran.

        Args:
            code: Its source.
            stopped_at: The 1-based line whose statement failed, 0 where the line is not known, None where it ran to its
                end. What stands before it has run; names that the rest binds may have any type.
            variables: The names that exist in the interpreter now, where they are known: those that no code shows are
                added, and those that a failed action did not come to bind are left out.
        """
        try:
            tree = parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            tree = ast.Module([], [])
            stopped_at = None
        done, open_ended = tree, ast.Module([], [])
        if stopped_at is not None:
            ran = [each for each in tree.body if (each.end_lineno or each.lineno) < stopped_at]
            done, open_ended = ast.Module(ran, []), ast.Module(tree.body[len(ran) :], [])
        lines = code.split("\n")
        text = code if stopped_at is None else "\n".join(lines[: max(_last_line(done), 0)])
        unknown = set(bindings(_top_level(open_ended)))
        self.bound |= set(bindings(_top_level(done)))
        if variables is not None:
            unknown = (unknown & set(variables)) | (set(variables) - self.bound - self._names.bound - _AMBIENT)
        if text.strip():
            self.cells.append(text)
        if unknown := {name for name in unknown if name.isidentifier()}:
            self.cells.append("".join(f"from {UNKNOWN_MODULE} import value as {name}\n" for name in sorted(unknown)))
        self.bound |= unknown
        self.carried = carriers(tree, self.scope.after(tree), self.carried)
        self.scope = self.scope.after(tree)
        self.facts = self.facts.after(tree)


_AMBIENT: Final = frozenset({"__builtins__", "__name__", "__doc__", "__annotations__", "__loader__", "__spec__"})


def _last_line(tree: ast.Module) -> int:
    return tree.body[-1].end_lineno or 0 if tree.body else 0


def _top_level(tree: ast.Module) -> ast.Module:
    """The tree without the insides of functions, classes and comprehensions, whose names are their own."""
    return ast.Module([_Outline().visit(copy.deepcopy(each)) for each in tree.body], [])


class _Outline(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return ast.Name(node.name, ast.Store())

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return ast.Name(node.name, ast.Store())

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return ast.Name(node.name, ast.Store())

    def visit_Lambda(self, _node: ast.Lambda) -> ast.AST:
        return ast.Constant(None)
