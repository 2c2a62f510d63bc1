"""What the session's own code defines, as far as it decides whether a diagnostic is certain."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
        result = Facts(
            set(self.functions),
            set(self.classes),
            set(self.stored),
            set(self.keys),
            set(self.rebound),
            set(self.decorated),
            set(self.defined),
            set(self.assigned),
            dict(self.modules),
            set(self.imported),
            self.dynamic,
            self.unseen,
            self.unseen_later,
        )
        for node in nodes:
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    result.functions.add(name)
                    result.defined.add(name)
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
                case ast.Subscript(slice=key, ctx=ast.Store()):
                    result.keys.add(key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else "")
                case ast.Attribute(attr="update" | "setdefault"):
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

    def told(self) -> None:
        """The interpreter has told all names that exist: none is unseen until more code runs."""
        self.unseen = self.unseen_later


def _makes_names(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in {"exec", "globals"}


def _class_variables(body: Iterable[ast.stmt]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, ast.Assign):
            yield from (each.id for each in statement.targets if isinstance(each, ast.Name))
