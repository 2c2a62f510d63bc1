"""The expression tree of an annotation, and Python source for default values.

Nodes are plain frozen values. `TypeExpr.render` writes the annotation as Python source: without arguments the bare
type, with a ``subject`` also the constraints, as an expression over that name.

>>> Constrained(Name("int"), ("1 <= {x} <= 100",)).render("limit")
'Annotated[int, 1 <= limit <= 100]'
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from typing_extensions import override

Renames = Mapping[str, str]
NO_RENAMES: Final[Renames] = MappingProxyType({})


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""Stands for "not given", where ``None`` already means something."""


@dataclass(frozen=True, slots=True)
class TypeExpr:
    """One annotation: a tree whose leaves are names, literals and references to `TypeDef`s."""

    def render(self, subject: str = "", names: Renames = NO_RENAMES, *, quote: bool = False) -> str:
        """The annotation as Python source.

        Args:
            subject: The parameter or field that is annotated; constraints are written over it. Empty: no constraints.
            names: Other names for `TypeDef`s, where a scope hides theirs.
            quote: Write constraints as strings, for checkers that look names up in them.
        """
        raise NotImplementedError(type(self).__name__)

    def children(self) -> tuple[TypeExpr, ...]:
        """The expressions that this one is made of."""
        return ()

    def walk(self) -> Iterator[TypeExpr]:
        """This expression and all below it, outermost first."""
        yield self
        for child in self.children():
            yield from child.walk()

    def references(self) -> tuple[str, ...]:
        """Names of the `TypeDef`s that the expression mentions, in order, each once."""
        found: dict[str, None] = {}
        for node in self.walk():
            if isinstance(node, Ref):
                found[node.name] = None
            elif isinstance(node, Choice):
                found.update(dict.fromkeys(value.type_name for value in node.values if isinstance(value, Member)))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Name(TypeExpr):
    """A builtin or a name of `typing`: ``int``, ``None``, ``Any``, ``...``."""

    text: str

    @override
    def render(self, subject: str = "", names: Renames = NO_RENAMES, *, quote: bool = False) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Ref(TypeExpr):
    """A reference to a `TypeDef` by its name in the catalog, with type arguments where it is generic."""

    name: str
    arguments: tuple[TypeExpr, ...] = ()

    @override
    def render(self, subject: str = "", names: Renames = NO_RENAMES, *, quote: bool = False) -> str:
        name = names.get(self.name, self.name)
        if not self.arguments:
            return name
        return f"{name}[{', '.join(_inner(each, subject, 'item', names, quote) for each in self.arguments)}]"

    @override
    def children(self) -> tuple[TypeExpr, ...]:
        return self.arguments


@dataclass(frozen=True, slots=True)
class Generic(TypeExpr):
    """A container with its element types: ``list[int]``, ``dict[str, Order]``, ``tuple[int, ...]``."""

    origin: str
    arguments: tuple[TypeExpr, ...]

    @override
    def render(self, subject: str = "", names: Renames = NO_RENAMES, *, quote: bool = False) -> str:
        if not self.arguments:
            return f"{self.origin}[()]"
        subjects = ("key", "value") if self.origin in {"dict", "Mapping"} else ("item",) * len(self.arguments)
        rendered = (
            _inner(each, subject, word, names, quote) for each, word in zip(self.arguments, subjects, strict=True)
        )
        return f"{self.origin}[{', '.join(rendered)}]"

    @override
    def children(self) -> tuple[TypeExpr, ...]:
        return self.arguments


@dataclass(frozen=True, slots=True)
class Union(TypeExpr):
    """One of several types: ``int | None``."""

    options: tuple[TypeExpr, ...]

    @override
    def render(self, subject: str = "", names: Renames = NO_RENAMES, *, quote: bool = False) -> str:
        return " | ".join(option.render(subject, names, quote=quote) for option in self.options)

    @override
    def children(self) -> tuple[TypeExpr, ...]:
        return self.options


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an enum in the catalog."""

    type_name: str
    name: str


@dataclass(frozen=True, slots=True)
class Choice(TypeExpr):
    """``Literal[...]``."""

    values: tuple[object, ...]
    """Strings, bytes, ints, bools, None and `Member`s."""

    @override
    def render(self, subject: str = "", names: Renames = NO_RENAMES, *, quote: bool = False) -> str:
        texts = (
            f"{names.get(value.type_name, value.type_name)}.{value.name}"
            if isinstance(value, Member)
            else literal(value)
            for value in self.values
        )
        return f"Literal[{', '.join(texts)}]"


@dataclass(frozen=True, slots=True)
class Variable(TypeExpr):
    """A type variable."""

    name: str
    bound: TypeExpr | None = None
    constraints: tuple[TypeExpr, ...] = ()

    @override
    def render(self, subject: str = "", names: Renames = NO_RENAMES, *, quote: bool = False) -> str:
        return self.name

    @override
    def children(self) -> tuple[TypeExpr, ...]:
        return (*([self.bound] if self.bound else []), *self.constraints)


@dataclass(frozen=True, slots=True)
class Constrained(TypeExpr):
    """A type with constraints on its values."""

    base: TypeExpr
    constraints: tuple[str, ...]
    """Python expressions with ``{x}`` in the place of the value; other text is a note, marked by a leading ``#``."""

    @override
    def render(self, subject: str = "", names: Renames = NO_RENAMES, *, quote: bool = False) -> str:
        base = self.base.render(subject, names, quote=quote)
        if not subject:
            return base
        notes = (_note(each, subject, quote=quote) for each in self.constraints)
        return f"Annotated[{base}, {', '.join(notes)}]"

    @override
    def children(self) -> tuple[TypeExpr, ...]:
        return (self.base,)

    def describe(self, subject: str) -> str:
        """The constraints alone, as the reader of a document sees them: ``1 <= limit <= 100``."""
        return ", ".join(each.removeprefix("#").replace("{x}", subject) for each in self.constraints)


def _inner(expression: TypeExpr, subject: str, word: str, names: Renames, quote: bool) -> str:
    return expression.render(word if subject else "", names, quote=quote)


def _note(constraint: str, subject: str, *, quote: bool) -> str:
    text = constraint.removeprefix("#").replace("{x}", subject)
    return literal(text) if quote or constraint.startswith("#") else text


def literal(value: object) -> str:
    """Python source of a literal, strings in double quotes as formatters write them.

    >>> literal("it's"), literal(("a", 1))
    ('"it\\'s"', '("a", 1)')
    """
    match value:
        case Enum():
            return f"{type(value).__name__}.{value.name}"
        case str() if type(value) is str:
            text = repr(value)
            if text[0] == "'" and '"' not in text:
                return '"' + text[1:-1].replace("\\'", "'") + '"'
            return text
        case list() if type(value) is list:
            return f"[{', '.join(map(literal, value))}]"
        case tuple() if type(value) is tuple:
            return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
        case dict() if type(value) is dict:
            return "{" + ", ".join(f"{literal(key)}: {literal(each)}" for key, each in value.items()) + "}"
        case _:
            return repr(value)
