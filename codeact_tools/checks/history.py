"""The session so far, as the check needs it: cells for the type checker, and what names stand for."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .effects import carriers
from .facts import Facts
from .names import Names, Scope, bindings
from .source import parse, walk

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

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


@dataclass(frozen=True, slots=True)
class Entry:
    """A cell of the notebook: one action, or a part of it."""

    text: str
    binds: frozenset[str]
    """Names that it certainly binds."""
    may_bind: frozenset[str]
    """Names that it binds, deletes or changes in some of its paths."""
    uses: frozenset[str]
    """Names that it reads before it binds them."""
    late: frozenset[str]
    """Names that its functions read when they are called."""


class History:
    """What the actions that ran have left behind."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._entries: list[Entry] = []
        self.clear()

    def clear(self) -> None:
        """Forget everything: the session has a new interpreter."""
        self._entries = []
        self.scope = Scope.fresh(self._names)
        self.facts = Facts()
        self.carried: dict[str, frozenset[str]] = {}
        """Names that reach tools with side effects, and which."""
        self.bound: set[str] = set()
        """Names that actions bound at their top level."""

    def cells_for(self, statements: Sequence[ast.stmt]) -> list[str]:
        """The cells that decide the types of the names in an action, in order.

        Those whose names are bound again before they are used, or are not used at all, are left out, so that the cost
        of a check does not grow with the session. Past `MOST_LINES` lines, what is left has unknown types.
        """
        uses, late = _reads(statements)
        while True:
            kept, rest = self._slice(uses | late)
            more = late.union(*(entry.late for entry in kept))
            if more == late:
                break
            late = more
        cells = [entry.text for entry in reversed(kept)]
        return [_unknown(rest), *cells] if rest else cells

    def _slice(self, wanted: frozenset[str]) -> tuple[list[Entry], set[str]]:
        """The entries that bind ``wanted``, last first, and the names that did not fit."""
        kept: list[Entry] = []
        needed, lines, rest = {*wanted, "*"}, 0, set[str]()  # `from math import *` may bind any of them
        for entry in reversed(self._entries):
            if not needed & (entry.binds | entry.may_bind):
                continue
            lines += entry.text.count("\n") + 1
            if lines > MOST_LINES and kept:
                rest |= (needed & (entry.binds | entry.may_bind)) - {"*"}
                continue
            kept.append(entry)
            needed = (needed - entry.binds) | entry.uses | {"*"}
        return kept, rest

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
            tree, stopped_at, code = ast.Module([], []), None, ""
        done, left = tree.body, list[ast.stmt]()
        if stopped_at is not None:
            done = [each for each in tree.body if (each.end_lineno or each.lineno) < stopped_at]
            left = tree.body[len(done) :]
            code = "\n".join(code.split("\n")[: done[-1].end_lineno if done else 0])
        unknown = set(_bound(left))
        self.bound |= set(_bound(done))
        if variables is not None:
            unknown = (unknown & set(variables)) | (set(variables) - self.bound - self._names.bound - _AMBIENT)
        unknown = {name for name in unknown if name.isidentifier()}
        if done:
            always = frozenset(name for each in done if not isinstance(each, _CONDITIONAL) for name in _bound([each]))
            nodes = [node for each in done for node in walk(each)]
            changed = (*_bound(done), *(name for node in nodes if isinstance(node, ast.Global) for name in node.names))
            self._entries.append(Entry(code, always, frozenset(changed), *_reads(done)))
        if unknown:
            self._entries.append(Entry(_unknown(unknown), frozenset(unknown), frozenset(), frozenset(), frozenset()))
        self.bound |= unknown
        nodes = walk(tree)
        self.scope = self.scope.after(nodes)
        self.carried = carriers(tree, self.scope, self.carried)
        self.facts = self.facts.after(nodes)


MOST_LINES: Final = 400
"""Lines of earlier actions that the type checker reads at most."""

_AMBIENT: Final = frozenset({"__builtins__", "__name__", "__doc__", "__annotations__", "__loader__", "__spec__"})
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_CONDITIONAL: Final = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.Match, ast.Delete, ast.AugAssign)


def _unknown(names: Iterable[str]) -> str:
    """A cell that binds names of which nothing else is known."""
    return "".join(f"from {UNKNOWN_MODULE} import value as {name}\n" for name in sorted(names))


def _reads(statements: Iterable[ast.stmt]) -> tuple[frozenset[str], frozenset[str]]:
    """Names that statements read before they bind them, and names that functions in them read later."""
    bound, uses, late = set[str](), set[str](), set[str]()
    for statement in statements:
        nodes = walk(statement)
        own: set[str] = set()
        inner: set[int] = set()
        for node in nodes:
            if isinstance(node, _FUNCTIONS):
                body = walk(node)
                inner.update(map(id, body))
                late |= _loads(body) - set(bindings(body, imports=False))
            elif isinstance(node, ast.comprehension | ast.For | ast.AsyncFor):
                own.update(bindings(walk(node.target)))
        uses |= _loads(node for node in nodes if id(node) not in inner) - own - bound
        if not isinstance(statement, _CONDITIONAL):
            bound.update(_bound([statement]))
    return frozenset(uses), frozenset(late)


def _loads(nodes: Iterable[ast.AST]) -> set[str]:
    found = set()
    for node in nodes:
        name = node.target if isinstance(node, ast.AugAssign) else node
        if isinstance(name, ast.Name) and (name is not node or isinstance(name.ctx, ast.Load)):
            found.add(name.id)
    return found


def _bound(statements: Iterable[ast.stmt]) -> Iterator[str]:
    """Names that statements bind, without those inside of functions, classes and lambdas, which are their own."""
    found: list[ast.AST] = list(statements)
    for node in found:
        yield from bindings([node])
        if not isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            found.extend(ast.iter_child_nodes(node))
