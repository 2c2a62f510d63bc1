"""What the names of an action stand for: tools, toolkits and types, through imports and aliases."""

from __future__ import annotations

import ast
import builtins
import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .source import walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..registry import ToolRegistry
    from ..signatures import TypeDef
    from ..tools import ToolSpec

BUILTINS: Final = frozenset(dir(builtins)) - {"copyright", "credits", "license"}

TOOL_ERRORS: Final = frozenset({"ToolError", "ToolFailed", "InvalidCall", "ToolTimeout", "ToolDenied", "InvalidResult"})
"""Exceptions that the guest always has."""

CHANGES: Final = frozenset(
    {"append", "appendleft", "extend", "extendleft", "insert", "add", "update", "setdefault", "push"}
)
"""Methods that put something into a container."""

_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_BLOCKS: Final = frozenset({"body", "orelse", "handlers", "finalbody", "cases"})

_SPOKEN: Final = {"true": "True", "false": "False", "null": "None", "none": "None", "nil": "None", "undefined": "None"}


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a registry puts into the guest."""

    specs: Mapping[str, ToolSpec]
    """By path below ``tools``: ``search``, and for those of a toolkit also ``shop.search``."""
    types: Mapping[str, TypeDef]
    toolkits: frozenset[str]

    @classmethod
    def of(cls, registry: ToolRegistry) -> Names:
        """Collect them; a short name that two toolkits share stands for neither."""
        specs: dict[str, ToolSpec] = {}
        shared: set[str] = set()
        for spec in registry.specs:
            if spec.name in specs:
                shared.add(spec.name)
            specs[spec.name] = spec
            specs[spec.qualified] = spec
        for name in shared:
            del specs[name]
        return cls(
            specs, dict(registry.catalog.types), frozenset(spec.toolkit for spec in registry.specs if spec.toolkit)
        )

    @property
    def bound(self) -> frozenset[str]:
        """What ``tools`` gives to every action without an import."""
        return frozenset(name for name in self.specs if "." not in name) | frozenset(self.types) | TOOL_ERRORS

    @property
    def given(self) -> dict[str, str]:
        """The names that every action begins with, unless an earlier one bound them to something else; their paths."""
        return {"tools": "", **{name: name for name in self.bound}}

    def exports(self, toolkit: str | None = None) -> list[str]:
        """What can be imported from ``tools``, or from ``tools.<toolkit>``."""
        if toolkit is None:
            return sorted({*self.bound, *self.toolkits})
        own = [path.partition(".")[2] for path in self.specs if path.startswith(f"{toolkit}.")]
        return sorted({*own, *self.types})


@dataclass(slots=True)
class Scope:
    """What names stand for at one point of a session: a path below ``tools``, or something of the action's own."""

    names: Names
    paths: dict[str, str] = field(default_factory=dict)
    """Names bound to tools, types, toolkits (``shop``) and the module ``tools`` itself (the empty path)."""
    own: set[str] = field(default_factory=set)
    """Names that actions bind to values of their own; they may hide a tool of the same name."""
    earlier: dict[int, str | None] = field(default_factory=dict)
    """What single names of the action stand for, by the ``id`` of their node, where it is something else: before the
    action hides a tool, and in functions and comprehensions with a variable of its name."""

    @classmethod
    def fresh(cls, names: Names) -> Scope:
        """The scope of a session's first action."""
        return cls(names, names.given)

    def after(self, nodes: Sequence[ast.AST]) -> Scope:
        """The scope once the code of ``nodes`` has run, which are a module's; it tells names in that code apart."""
        paths, bound = dict(self.paths), set(bindings(nodes, imports=False))
        own = self.own | set(bindings(node for node in nodes if isinstance(node, ast.alias)))
        earlier: dict[int, str | None] = {}
        if clashes := bound & paths.keys():
            of_module = set(module_bindings(nodes[:1]))
            own |= of_module.union(*(node.names for node in nodes if isinstance(node, ast.Global)))
            for name in read_before_bound(nodes[:1], clashes & of_module - self.own):
                earlier[id(name)] = paths[name.id]
            earlier.update(dict.fromkeys(map(id, _variables_of_scopes(nodes, clashes))))
        else:
            own |= bound
        for alias, path in _imports(nodes):
            paths[alias] = path
            if alias not in bound:
                own.discard(alias)
        return Scope(self.names, paths, own, earlier)

    def give_back(self, names: Iterable[str]) -> set[str]:
        """Let those of ``names`` that were given stand for what they stood for at first; return which."""
        given = self.names.given
        returned = {name for name in names if name in given}
        self.own -= returned
        self.paths.update((name, given[name]) for name in returned)
        return returned

    def path(self, node: ast.expr, *, hidden: bool = False) -> str | None:
        """The path below ``tools`` that ``node`` stands for.

        Args:
            node: A name, or attributes of a name.
            hidden: Whether names that the action also binds itself count as well.
        """
        if isinstance(node, ast.Name):
            if not hidden and id(node) in self.earlier:
                return self.earlier[id(node)]
            return self.paths.get(node.id) if hidden or node.id not in self.own else None
        if isinstance(node, ast.Attribute):
            base = self.path(node.value, hidden=hidden)
            if base == "" or base in self.names.toolkits:
                path = f"{base}.{node.attr}" if base else node.attr
                return path if self._known(path) else None
        return None

    def _known(self, path: str) -> bool:
        toolkit, dot, name = path.partition(".")
        return path in self.names.specs or path in self.names.toolkits or (name if dot else toolkit) in self.names.types

    def spec(self, node: ast.expr, *, hidden: bool = False) -> ToolSpec | None:
        """The tool that ``node`` stands for."""
        path = self.path(node, hidden=hidden)
        return None if path is None else self.names.specs.get(path)

    def type(self, node: ast.expr) -> TypeDef | None:
        """The type of the catalog that ``node`` stands for."""
        path = self.path(node)
        return None if path is None else self.names.types.get(path.rpartition(".")[2])


def _imports(nodes: Sequence[ast.AST]) -> Iterator[tuple[str, str]]:
    """Pairs of a name and the path below ``tools`` that an import binds it to."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top, _, rest = alias.name.partition(".")
                if top == "tools":
                    yield (alias.asname, rest) if alias.asname else ("tools", "")
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            top, _, rest = node.module.partition(".")
            if top == "tools":
                for alias in node.names:
                    if alias.name != "*":
                        yield alias.asname or alias.name, f"{rest}.{alias.name}" if rest else alias.name


def bindings(nodes: Iterable[ast.AST], *, imports: bool = True) -> Iterator[str]:
    """Every name that the code of ``nodes`` binds in any of its scopes."""
    for node in nodes:
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name):
                yield name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
            case ast.MatchMapping(rest=str(name)):
                yield name
            case ast.alias(name=name, asname=asname) if imports:
                yield asname or name.partition(".")[0]
            case _:
                pass


def module_bindings(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Names that statements bind where they stand, without the variables of functions, classes and comprehensions."""
    found = list(nodes)
    for node in found:
        if isinstance(node, ast.comprehension):
            found += [node.iter, *node.ifs]
        elif not isinstance(node, ast.AnnAssign) or node.value is not None:
            yield from bindings([node])
            if not isinstance(node, _SCOPES):
                found += ast.iter_child_nodes(node)


def read_before_bound(statements: Iterable[ast.AST], names: set[str]) -> Iterator[ast.Name]:
    """Where a module reads ``names`` before any of its statements binds them.

    Functions are left out: they run later. What stands in a loop is read before it is bound in the first round.
    """
    for statement in statements:
        if not names:
            return
        blocks = [block for name, block in ast.iter_fields(statement) if name in _BLOCKS]
        inside = {id(each) for block in blocks for each in block}
        head = [child for child in ast.iter_child_nodes(statement) if id(child) not in inside]
        parts = [] if isinstance(statement, _SCOPES) else [part for child in head for part in walk(child)]
        if not any(isinstance(part, ast.NamedExpr) for part in parts):
            yield from (each for each in parts if isinstance(each, ast.Name) and each.id in names and _is_read(each))
        left = names - set(module_bindings(head))
        for block in blocks:
            if not isinstance(statement, _SCOPES):
                yield from read_before_bound(block, left)
            if not isinstance(statement, ast.If):
                left = left - set(module_bindings(block))
        names = names - set(module_bindings([statement]))


def _is_read(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Load)


def _variables_of_scopes(nodes: Iterable[ast.AST], names: set[str]) -> Iterator[ast.Name]:
    """Where ``names`` stand for variables of a function, a class or a comprehension."""
    for node in nodes:
        if isinstance(node, _SCOPES):
            inner = walk(node)[1:]
            declared = (each.names for each in inner if isinstance(each, ast.Global | ast.Nonlocal))
            variables = set(bindings(inner)).difference(*declared)
        elif isinstance(node, _COMPREHENSIONS):
            inner = walk(node)
            variables = {name for each in node.generators for name in bindings(walk(each.target))}
        else:
            continue
        yield from (each for each in inner if isinstance(each, ast.Name) and each.id in names & variables)


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that ``name`` most likely means."""
    known = set(candidates)
    if name in _SPOKEN:
        return _SPOKEN[name]
    folded = {each.lower().replace("_", ""): each for each in known}
    if same := folded.get(name.lower().replace("_", "")):
        return same
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return close[0] if close else None
