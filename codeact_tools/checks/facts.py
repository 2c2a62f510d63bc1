"""What the session's own code defines, as far as it decides whether a diagnostic is certain."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Final

from .names import CHANGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(slots=True)
class Facts:
    """What the session's own code defines, as far as it decides whether a diagnostic is certain."""

    functions: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    stored: set[str] = field(default_factory=set)
    """Attributes that some statement assigns."""
    keys: set[str] = field(default_factory=set)
    """Keys that some statement sets; an empty one where it is not known which."""
    rebound: set[str] = field(default_factory=set)
    """Names that a function rebinds with ``global`` or ``nonlocal``: their type at a line is not known."""
    refused: set[str] = field(default_factory=set)
    """Variables into which something went that the type checker did not expect there."""
    changing: set[str] = field(default_factory=set)
    """Functions that put something into what they are given."""
    made: set[str] = field(default_factory=set)
    """Names that are bound to new containers of the action's own."""
    taken: set[str] = field(default_factory=set)
    """Names that are bound to anything else."""
    decorated: set[str] = field(default_factory=set)
    """Classes that a decorator or a metaclass may have turned into something else."""
    defined: set[str] = field(default_factory=set)
    """Names that a ``def`` or ``class`` statement binds."""
    assigned: set[str] = field(default_factory=set)
    """Names that any other statement binds. What is both has the type of its definition to the type checker."""
    modules: dict[str, str] = field(default_factory=dict)
    """Names that imports bind, with the path of the module or of what is taken from it."""
    imported: set[str] = field(default_factory=set)
    """Modules that were imported."""
    dynamic: bool = False
    """Whether ``setattr`` or ``exec`` may have made attributes that nothing shows."""
    unseen: bool = False
    """Whether ``exec``, ``globals`` or ``from library import *`` may make names that nothing shows."""
    unseen_later: bool = False
    """Whether a function may do so whenever it is called."""

    def after(self, nodes: Sequence[ast.AST]) -> Facts:
        """The facts once the code of ``nodes`` has run."""
        result = replace(self, modules=dict(self.modules))
        for slot in fields(self):
            if isinstance(value := getattr(self, slot.name), set):
                setattr(result, slot.name, set(value))
        result._containers(nodes)
        for node in nodes:
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    result.functions.add(name)
                    result.defined.add(name)
                    if any(map(_changes, ast.walk(node))):
                        result.changing.add(name)
                    result.unseen_later |= any(map(_makes_names, ast.walk(node)))
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda() as function):
                    result.functions.add(name)
                    result.unseen_later |= any(map(_makes_names, ast.walk(function)))
                case ast.ClassDef(name=name, body=body):
                    result.classes.add(name)
                    result.defined.add(name)
                    result.stored.update(_class_variables(body))
                    if node.keywords or any("dataclass" not in ast.dump(each) for each in node.decorator_list):
                        result.decorated.add(name)
                case ast.Attribute(attr=name, ctx=ast.Store()):
                    result.stored.add(name)
                case ast.Subscript(slice=ast.Constant(value=str(key)), ctx=ast.Store()):
                    result.keys.add(key)
                case ast.Subscript(value=owner, ctx=ast.Store()) if not result._is_made(owner):
                    result.keys.add("")
                case ast.Attribute(value=owner, attr="update" | "setdefault") if not result._is_made(owner):
                    result.keys.add("")
                case ast.Global(names=names) | ast.Nonlocal(names=names):
                    result.rebound.update(names)
                case ast.Import(names=names):
                    for each in names:
                        result.imported.add(each.name)
                        name = each.asname or each.name.partition(".")[0]
                        result.modules[name] = each.name if each.asname else name
                case ast.ImportFrom(module=str(module), names=names, level=0) if names[0].name != "*":
                    result.imported.add(module)
                    result.modules.update({each.asname or each.name: f"{module}.{each.name}" for each in names})
                case ast.ImportFrom(module=str(module), names=[ast.alias(name="*")]):
                    result.unseen |= module.partition(".")[0] not in {*sys.stdlib_module_names, "tools"}
                case ast.Name(id=name, ctx=ast.Store()):
                    result.assigned.add(name)
                case ast.Name(id="setattr" | "exec" | "globals" as name):
                    result.dynamic = True
                    result.unseen |= name != "setattr"
                case _:
                    pass
        return result

    def _containers(self, nodes: Sequence[ast.AST]) -> None:
        """Tell names of new containers from those of what tools and functions give, which may be anything."""
        made: set[int] = set()
        for node in nodes:  # a statement comes before its parts
            if isinstance(node, ast.Name):
                if isinstance(node.ctx, ast.Store):
                    (self.made if id(node) in made else self.taken).add(node.id)
            elif isinstance(node, ast.Assign):
                if _is_container(node.value):
                    made.update(id(each) for each in node.targets)
            elif isinstance(node, ast.arg):
                self.taken.add(node.arg)

    def _is_made(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id in self.made - self.taken

    def told(self) -> None:
        """The interpreter has told all names that exist: none is unseen until more code runs."""
        self.unseen = self.unseen_later


_CONTAINERS: Final = frozenset({"dict", "list", "set", "defaultdict", "Counter", "OrderedDict", "deque"})


def _is_container(node: ast.expr) -> bool:
    """Whether ``node`` makes a new container, rather than a name for one that exists."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _CONTAINERS
    return isinstance(node, ast.Dict | ast.List | ast.DictComp | ast.ListComp)


def _changes(node: ast.AST) -> bool:
    if isinstance(node, ast.Subscript):
        return isinstance(node.ctx, ast.Store)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES


def _makes_names(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in {"exec", "globals"}


def _class_variables(body: Iterable[ast.stmt]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, ast.Assign):
            yield from (each.id for each in statement.targets if isinstance(each, ast.Name))
