"""The session so far, as the check needs it: cells for the type checker, and what names stand for."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from keyword import iskeyword
from typing import TYPE_CHECKING, Final

from .effects import carriers, everything
from .facts import Facts
from .names import CHANGES, Names, Scope, bindings, module_bindings
from .runtime import MODULE, STUB, Known, binding, known
from .source import Source, parse, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


def ambient_stubs(names: Names) -> dict[str, str]:
    """Stubs besides the tools' own: what every action has without an import, and the unknown.

    `ty` reads ``__builtins__.pyi`` as more builtins. There an action may hide each name, as it may in the guest; bound
    in a cell of their own, both meanings would count inside of functions.
    """
    bound = "".join(f"from tools import {name} as {name}\n" for name in sorted(names.bound))
    return {
        "__builtins__.pyi": f"import tools as tools\nimport {MODULE} as {MODULE}\n{bound}",
        f"{MODULE}.pyi": STUB,
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

    @classmethod
    def given(cls, name: str, text: str) -> Entry:
        """A line that tells what the interpreter says of ``name``."""
        return cls(text, frozenset({name}), frozenset(), frozenset(), frozenset())


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
        self._told: dict[str, str] = {}
        """What the interpreter last said of each variable."""
        self._open: dict[str, Known] = {}
        """Containers of which inference may know more than the interpreter tells, or nothing."""

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
        return ["".join(binding(name, None) for name in sorted(rest)), *cells] if rest else cells

    def doubtful(self, statements: Sequence[ast.stmt]) -> list[str]:
        """Variables that an action uses, whose type inference may not know, though the interpreter told one."""
        if not self._open:
            return []
        uses, late = _reads(statements)
        return sorted(self._open.keys() & (uses | late))

    def settle(self, name: str, *, inferred: bool) -> None:
        """Take over whether inference knows the type of a doubtful variable; if not, the interpreter's word counts."""
        told = self._open.pop(name, None)
        if told is not None and not inferred:
            self._entries.append(Entry.given(name, binding(name, told)))

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

    def add(
        self,
        code: str,
        *,
        stopped_at: int | None,
        variables: Mapping[str, str] | None,
        refused: frozenset[str] = frozenset(),
    ) -> None:
        """Take over an action that ran.

        Args:
            code: Its source.
            stopped_at: The 1-based line whose statement failed, 0 where the line is not known, None where it ran to its
                end. What stands before it has run; names that the rest binds may have any type.
            variables: The names that exist in the interpreter now, with their types, where they are known.
            refused: Variables that hold, or whose elements are, something else than the code lets one infer.
        """
        try:
            tree = parse(code)
            code = Source(code, tree).cell
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            tree, stopped_at, code = ast.Module([], []), None, ""
        done, left = tree.body, list[ast.stmt]()
        if stopped_at is not None:
            done = [each for each in tree.body if (each.end_lineno or each.lineno) < stopped_at]
            left = tree.body[len(done) :]
            code = "\n".join(code.split("\n")[: done[-1].end_lineno if done else 0])
        changed = set(module_bindings(done))
        if done:
            always = frozenset(module_bindings(each for each in done if not isinstance(each, _CONDITIONAL)))
            nodes = [node for each in done for node in walk(each)]
            changed.update(name for node in nodes if isinstance(node, ast.Global) for name in node.names)
            self._entries.append(Entry(code, always, frozenset(changed | set(_filled(nodes))), *_reads(done)))
        self.bound |= set(module_bindings(done))
        nodes = walk(tree)
        self.scope = self.scope.after(nodes)
        self.carried = carriers(tree, self.scope, self.carried)
        self.facts = self.facts.after(nodes)
        self.facts.refused |= refused
        self.facts.refused -= _made_anew(done, self.facts.refused)
        uncertain = set(module_bindings(left))
        if variables is None:
            self._told, self._open = {}, {}
            self._return(_deleted(done) - uncertain)
            self._give(dict.fromkeys(uncertain))
        else:
            self._return(self.scope.own - variables.keys())
            self._take(variables, changed, uncertain, starred=_star_of_library(done))

    def _take(self, variables: Mapping[str, str], changed: set[str], uncertain: set[str], *, starred: bool) -> None:
        """Take over what the interpreter says of the variables.

        Args:
            variables: All that exist, with their types.
            changed: Names that the action certainly or possibly bound, as far as it ran.
            uncertain: Names that it may have bound after that.
            starred: Whether it imported all names of a module that the type checker knows.
        """
        own = self._names.bound | self._names.toolkits | _AMBIENT
        variables = {name: text for name, text in variables.items() if name.isidentifier() and not iskeyword(name)}
        unseen = variables.keys() - self.bound - own
        if starred:
            self.bound |= unseen
        else:
            uncertain |= unseen
            self._carry(unseen, variables)
        given: dict[str, Known | None] = {}
        for name, text in variables.items():
            told, before = known(text, self._names.types), self._told.get(name)
            is_new = name in changed or before is None or before != text
            behind = before is not None and before != text and name not in changed
            if is_new:
                self._open.pop(name, None)
            if name in uncertain or behind or (is_new and told is not None and told.exact):
                given[name] = told
            elif is_new and told is not None:
                self._open[name] = told
        self._give(given)
        for name in (self.bound & (changed | uncertain)) - variables.keys() - own - {"*"}:
            self._entries.append(Entry.given(name, f"del {name}\n"))
            self.bound.discard(name)
        self._told = dict(variables)
        self.facts.told()

    def _return(self, names: Iterable[str]) -> None:
        """Names that are the interpreter's own again, which gives to every action what an earlier one deleted."""
        for name in self.scope.give_back(names):
            self._entries.append(Entry.given(name, f"del {name}\n"))
            self.bound.discard(name)
            self.carried.pop(name, None)
            self._open.pop(name, None)

    def _give(self, types: Mapping[str, Known | None]) -> None:
        """Bind names to values of these types, of any where it is None."""
        for name, kind in types.items():
            if name.isidentifier():
                self._entries.append(Entry.given(name, binding(name, kind)))
                self.bound.add(name)

    def _carry(self, names: Iterable[str], variables: Mapping[str, str]) -> None:
        """Names that no code shows may stand for functions that reach every tool, unless their type is plain."""
        reached = everything(self.scope)
        for name in names:
            if reached and known(variables[name], self._names.types) is None:
                self.carried[name] = reached


MOST_LINES: Final = 400
"""Lines of earlier actions that the type checker reads at most."""

_AMBIENT: Final = frozenset({"__builtins__", "__name__", "__doc__", "__annotations__", "__loader__", "__spec__"})
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_CONDITIONAL: Final = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.Match, ast.Delete, ast.AugAssign)


def _deleted(statements: Iterable[ast.stmt]) -> set[str]:
    """Names that statements certainly delete, and do not bind again."""
    found = set[str]()
    for each in statements:
        names = set(module_bindings([each]))
        found = found | names if isinstance(each, ast.Delete) else found - names
    return found


def _star_of_library(statements: Iterable[ast.stmt]) -> bool:
    """Whether statements import all names of a module of the standard library or of the tools."""
    for each in statements:
        if isinstance(each, ast.ImportFrom) and each.module and any(alias.name == "*" for alias in each.names):
            return each.module.partition(".")[0] in {*sys.stdlib_module_names, "tools"}
    return False


def _filled(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Variables whose containers get something: what the type checker takes their elements to be depends on it."""
    for node in nodes:
        match node:
            case ast.Call(func=ast.Attribute(value=container, attr=method)) if method in CHANGES:
                pass
            case ast.Subscript(value=container, ctx=ast.Store()):
                pass
            case _:
                continue
        while isinstance(container, ast.Attribute | ast.Subscript):
            container = container.value
        if isinstance(container, ast.Name):
            yield container.id


def _made_anew(statements: Iterable[ast.stmt], names: set[str]) -> set[str]:
    """Those of ``names`` whose last statement binds them to something that has nothing to do with any of them."""
    found: set[str] = set()
    for each in statements:
        loaded = _loads(walk(each))
        found -= {*loaded, *module_bindings([each])}
        if isinstance(each, ast.Assign) and not loaded & names:
            found |= names & {target.id for target in each.targets if isinstance(target, ast.Name)}
    return found


def _reads(statements: Iterable[ast.stmt]) -> tuple[frozenset[str], frozenset[str]]:
    """Names that statements read before they bind them, and names that functions in them read later."""
    bound, uses, late = set[str](), set[str](), set[str]()
    for statement in statements:
        nodes = walk(statement)
        own: set[str] = set()
        looped: set[str] = set()
        inner: set[int] = set()
        for node in nodes:
            if isinstance(node, _FUNCTIONS):
                body = walk(node)
                inner.update(map(id, body))
                late |= _loads(body) - set(bindings(body, imports=False))
            elif isinstance(node, ast.comprehension | ast.For | ast.AsyncFor):
                own.update(bindings(walk(node.target)))
                looped |= _loads(walk(node.iter))
        uses |= _loads(node for node in nodes if id(node) not in inner) - own - bound
        uses |= looped - bound
        if not isinstance(statement, _CONDITIONAL):
            bound.update(module_bindings([statement]))
    return frozenset(uses), frozenset(late)


def _loads(nodes: Iterable[ast.AST]) -> set[str]:
    found = set()
    for node in nodes:
        name = node.target if isinstance(node, ast.AugAssign) else node
        if isinstance(name, ast.Name) and (name is not node or not isinstance(name.ctx, ast.Store)):
            found.add(name.id)
    return found
