"""Python types as data: one tree that renders as prompt text, stubs, guest classes and documentation.

`Catalog` walks annotations and collects what they mention: a `TypeExpr` for every annotation, and one `TypeDef` for
every class, enum or alias, under a name that is unique in the catalog.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""Stands for "not given", where ``None`` already means something."""

TypeKind = Literal["record", "namedtuple", "enum", "typeddict", "exception", "alias", "import"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldDef:
    """A field of a record, a named tuple or a typed dictionary."""

    name: str
    type: TypeExpr
    default: object = UNSET
    """The default value; `UNSET` where the field is required."""
    has_factory: bool = False
    """Whether a default exists that only the host can make: the guest leaves the field out, and the host fills it."""
    init: bool = True
    """Whether the constructor takes it: False for computed fields."""
    doc: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TypeDef:
    """A class, enum or alias that signatures mention, exported to the guest under a unique name."""

    name: str
    """As the model sees it: an identifier, unique in the catalog."""
    kind: TypeKind
    """``record``: pydantic model, dataclass or attrs class; ``alias``: NewType, PEP 695 alias; ``import``: a class of the
    standard library that the guest imports by itself, e.g. ``datetime.date``."""
    python: Any
    """The host's object: class, alias, or NewType."""
    doc: str = ""
    fields: tuple[FieldDef, ...] = ()
    members: tuple[tuple[str, object], ...] = ()
    """Of an enum: names and values in order."""
    base: str = ""
    """Enum: ``Enum``, ``StrEnum``, ``IntEnum``, ``Flag`` or ``IntFlag``; exception: its base in the guest; import: the
    module, e.g. ``datetime``; typeddict: ``total`` or ``partial``."""
    target: TypeExpr | None = None
    """Of an alias: what it stands for."""
    positional: bool = False
    """Whether the constructor takes its fields by position (dataclasses, named tuples) or by keyword only (models)."""
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class TypeExpr:
    """One annotation: a tree whose leaves are names, literals and references to `TypeDef`s.

    The exact node classes are defined by subclasses in this module; `render` gives the Python source.
    """

    def render(self) -> str:
        """The annotation as Python source."""
        raise NotImplementedError(type(self).__name__)


@dataclass(slots=True)
class Catalog:
    """The types that a set of tools mentions, by the name that the model sees."""

    types: dict[str, TypeDef] = field(default_factory=dict)
