"""The package ``tools`` as type stubs, valid under strict checkers: ``tools/__init__.pyi`` and one per toolkit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from .definitions import (
    FieldDef,
    TypeDef,
    class_bases,
    dataclass_decorator,
    default_source,
    docstring_source,
)
from .expressions import Variable
from .registry import ToolRegistry
from .specs import ToolSpec

_HEADER: Final = """\
import enum
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import InitVar, dataclass
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, Never, NotRequired, TypeAlias, TypedDict, TypeVar
"""

_ERRORS: Final = '''\
class ToolError(Exception):
    """A tool failed."""

class ToolFailed(ToolError):
    """The tool raised an error that it does not declare."""

class InvalidCall(ToolError):
    """The arguments do not fit the tool's signature."""

class ToolTimeout(ToolError):
    """The tool took too long."""

class ToolDenied(ToolError):
    """The call is not allowed."""

class InvalidResult(ToolError):
    """The tool misbehaved: its result does not fit its signature."""
'''

_STANDARD: Final = frozenset({"datetime", "decimal", "fractions", "uuid", "pathlib", "re", "builtins"})
_ASYNC: Final = {"coroutine": "async def"}


def render_stubs(registry: ToolRegistry) -> dict[str, str]:
    """Type stubs of everything that an action can import from ``tools``, by path.

    Types live in ``tools/__init__.pyi``; a toolkit's tools in ``tools/<toolkit>.pyi``, from which the former re-exports
    those whose short name is unambiguous.
    """
    types = registry.catalog.types.values()
    own = [_function(spec) for spec in registry.specs if spec.toolkit is None]
    exported = [spec for spec in registry.exported.values() if spec.toolkit is not None]
    reexports = [f"from .{toolkit.name} import {spec.name} as {spec.name}" for toolkit in registry.toolkits
                 for spec in exported if spec.toolkit == toolkit.name]  # fmt: skip
    modules = [f"from . import {toolkit.name} as {toolkit.name}" for toolkit in registry.toolkits]
    parts = [
        _HEADER + "\n".join([*_imports(types), *modules, *reexports]),
        "\n".join(_variables(registry)),
        _ERRORS.rstrip(),
        *(_definition(each) for each in types if each.kind != "import"),
        *own,
    ]
    stubs = {"tools/__init__.pyi": "\n\n".join(filter(None, parts)).rstrip() + "\n"}
    for toolkit in registry.toolkits:
        specs = [spec for spec in registry.specs if spec.toolkit == toolkit.name]
        stubs[f"tools/{toolkit.name}.pyi"] = _module(registry, specs, toolkit.summary)
    return stubs


def _module(registry: ToolRegistry, specs: Iterable[ToolSpec], summary: str) -> str:
    specs = list(specs)
    toolkit = specs[0].toolkit if specs else None
    own = [name for name, each in registry.catalog.types.items() if each.toolkit == toolkit]
    other = [*(name for name in registry.catalog.types if name not in own), *_variable_names(registry)]
    imports = [*(f"from . import {name} as {name}" for name in own), *(f"from . import {name}" for name in other)]
    doc = docstring_source(summary) + "\n" if summary else ""
    return "\n\n".join([doc + _HEADER + "\n".join(imports), *map(_function, specs)]).rstrip() + "\n"


def _imports(types: Iterable[TypeDef]) -> Iterable[str]:
    for each in types:
        if each.kind == "import":
            attribute = each.python.__name__
            if each.base in _STANDARD:
                yield f"from {each.base} import {attribute} as {each.name}"
            else:
                yield f"{each.name}: TypeAlias = Any"  # the checker's environment may lack the library


def _variables(registry: ToolRegistry) -> Iterable[str]:
    for variable in _all_variables(registry).values():
        bounds = [each.render() for each in variable.constraints]
        if variable.bound is not None:
            bounds.append(f'bound="{variable.bound.render()}"')
        yield f"{variable.name} = TypeVar({', '.join([chr(34) + variable.name + chr(34), *bounds])})"


def _variable_names(registry: ToolRegistry) -> list[str]:
    return list(_all_variables(registry))


def _all_variables(registry: ToolRegistry) -> dict[str, Variable]:
    expressions = [each.type for spec in registry.specs for each in spec.parameters]
    expressions += [spec.returns for spec in registry.specs]
    found = {each.name: each for definition in registry.catalog.types.values() for each in definition.variables}
    for expression in expressions:
        found.update({node.name: node for node in expression.walk() if isinstance(node, Variable)})
    return found


def _function(spec: ToolSpec) -> str:
    doc = docstring_source(spec.summary) if spec.summary else "..."
    return f"{_ASYNC.get(spec.kind, 'def')} {spec.signature(quote=True)}:\n    {doc}"


def _definition(definition: TypeDef) -> str:
    if definition.kind == "alias":
        target = definition.target.render("value", quote=True) if definition.target else "Any"
        return (
            f"{definition.name}: TypeAlias = {target!r}"
            if _is_recursive(definition)
            else f"{definition.name}: TypeAlias = {target}"
        )
    names = _hidden_names(definition)
    lines = [docstring_source(definition.doc)] if definition.doc else []
    match definition.kind:
        case "enum":
            lines += [f"{name} = {default_source(value)}" for name, value in definition.members]
        case "handle":
            lines.append("def __init__(self, _: Never) -> None: ...")
        case "exception":
            lines += [f"{each.name}: {each.type.render('', names)}" for each in definition.fields]
        case _:
            for each in definition.fields:
                lines += _field(definition, each, names)
            if definition.extra:
                lines += _open_ended(definition, names)
    head = f"class {definition.name}({', '.join(class_bases(definition))}):".replace("()", "")
    decorator = f"{dataclass_decorator(definition)}\n" if definition.kind == "record" else ""
    aliases = "".join(f"{alias}: TypeAlias = {name}\n" for name, alias in names.items())
    return aliases + decorator + "\n    ".join([head, *(lines or ["..."])])


def _field(definition: TypeDef, field: FieldDef, names: Mapping[str, str]) -> list[str]:
    if not field.init and definition.kind == "record":
        return ["@property", f"def {field.name}(self) -> {field.type.render('', names)}: ..."]
    is_partial = definition.kind == "typeddict" and definition.base == "partial"
    return [field.source(names, stub=True, wrapper="" if is_partial else field.wrapper)]


def _open_ended(definition: TypeDef, names: Mapping[str, str]) -> list[str]:
    """The constructor and the attributes of a class that takes further fields."""
    fields = [field.source(names, stub=True) for field in definition.fields if field.init]
    parameters = ["self", *(["*", *fields] if fields else []), "**extra: Any"]
    return [f"def __init__({', '.join(parameters)}) -> None: ...", "def __getattr__(self, name: str) -> Any: ..."]


def _hidden_names(definition: TypeDef) -> dict[str, str]:
    """Types whose name a field of the class hides from the annotations after it, as ``date: date`` does."""
    mentioned = {name for each in definition.fields for name in each.type.references()}
    return {each.name: f"_{each.name}" for each in definition.fields if each.name in mentioned}


def _is_recursive(definition: TypeDef) -> bool:
    return definition.target is not None and definition.name in definition.target.references()
