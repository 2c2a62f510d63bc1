"""The classes, enums and aliases that signatures mention, as data and as Python source."""

from __future__ import annotations

import builtins
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any, Final, Literal

from . import vocabulary
from .expressions import NO_RENAMES, UNSET, Renames, TypeExpr, Variable, literal

TypeKind = Literal["record", "namedtuple", "enum", "typeddict", "exception", "alias", "import", "handle"]

_LONGEST_DEFAULT: Final = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldDef:
    """A field of a record, a named tuple, a typed dictionary or an exception."""

    name: str
    type: TypeExpr
    default: object = UNSET
    """The default value; `UNSET` where the field is required."""
    has_factory: bool = False
    """Whether a default exists that only the host can make: the guest leaves the field out, and the host fills it."""
    init: bool = True
    """Whether the constructor takes it: False for computed fields."""
    stored: bool = True
    """Whether instances have it as an attribute: False for a dataclass's ``InitVar``."""
    required: bool = True
    """Of a typed dictionary: whether the key must be there."""
    kw_only: bool = False
    """Whether the constructor takes it by keyword only."""
    attribute: str = ""
    """The attribute that holds it, where that has another name: ``_number`` of an attrs class's ``number``."""
    doc: str = ""

    @property
    def optional(self) -> bool:
        """Whether the constructor can do without it."""
        return self.default is not UNSET or self.has_factory or not self.required

    @property
    def wrapper(self) -> str:
        """What goes around the annotation: ``InitVar``, ``NotRequired`` or nothing."""
        return "InitVar" if not self.stored else "" if self.required else "NotRequired"

    def source(self, names: Renames = NO_RENAMES, *, stub: bool = False, wrapper: str = "") -> str:
        """``price: Decimal = Decimal("0")``; as a stub with ``...`` for the default."""
        annotation = self.type.render(self.name, names, quote=stub)
        text = f"{self.name}: {wrapper}[{annotation}]" if wrapper else f"{self.name}: {annotation}"
        if not self.optional or not self.required or not self.init:
            return text
        return f"{text} = {'...' if stub or self.default is UNSET else default_source(self.default)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TypeDef:
    """A class, enum or alias that signatures mention, exported to the guest under a unique name."""

    name: str
    """As the model sees it: an identifier, unique in the catalog."""
    kind: TypeKind
    """``record``: pydantic model, dataclass, attrs class; ``alias``: NewType, PEP 695 alias, ``RootModel``;
    ``import``: a class that the guest imports by itself, e.g. ``datetime.date``; ``handle``: a value of the host."""
    python: Any
    """The host's object: class, alias, or NewType."""
    toolkit: str | None = None
    """The toolkit whose tools mentioned it first."""
    doc: str = ""
    fields: tuple[FieldDef, ...] = ()
    members: tuple[tuple[str, object], ...] = ()
    """Of an enum: names and values in order, aliases included."""
    base: str = ""
    """Enum: ``Enum``, ``StrEnum``, ``IntEnum``, ``Flag`` or ``IntFlag``; record: its base in the catalog, if
    any; exception: its base in the catalog, ``ToolError``, or a builtin one, which then stands behind ``ToolError``;
    import: the module, e.g. ``datetime``; typeddict: ``total`` or ``partial``."""
    target: TypeExpr | None = None
    """Of an alias: what it stands for."""
    positional: bool = False
    """Whether the constructor takes its fields by position (dataclasses, named tuples) or by keyword only (models)."""
    frozen: bool = False
    extra: bool = False
    """Whether instances may have fields that are not named here."""
    ordered: bool = False
    """Whether instances compare by one field after the other."""
    variables: tuple[Variable, ...] = ()
    """Type parameters of a generic class."""

    def references(self) -> tuple[str, ...]:
        """Names of the definitions that this one mentions."""
        found: dict[str, None] = {}
        for expression in (*(each.type for each in self.fields), *([self.target] if self.target else [])):
            found.update(dict.fromkeys(expression.references()))
        if self.kind in ("record", "exception") and self.base:
            found[self.base] = None
        if self.kind == "import":
            found.update(dict.fromkeys(each.__name__ for each in vocabulary.COMPANIONS.get(self.python, ())))
        return tuple(found)

    def source(self) -> str:
        """The class body as the model reads it: real Python, one line per field, docs as comments."""
        match self.kind:
            case "import":
                return f"from {self.base} import {self.name}"
            case "alias":
                doc = f"  # {self.doc}" if self.doc else ""
                return f"{self.name} = {self.target.render('value') if self.target else 'Any'}{doc}"
            case "handle":
                doc = " ".join(filter(None, [self.doc, "Opaque: pass it on to other tools."]))
                return f"class {self.name}:\n    {docstring_source(doc)}"
            case "enum":
                lines = [f"{name} = {default_source(value)}" for name, value in self.members]
            case _:
                lines = [_field_line(self, field) for field in self.fields]
                lines += ["# and any other field"] * self.extra
        return "\n    ".join([*self._head(), *self._doc_lines(), *(lines or ([] if self.doc else ["..."]))])

    def _head(self) -> list[str]:
        bases = [*class_bases(self)]
        head = f"class {self.name}({', '.join(bases)}):" if bases else f"class {self.name}:"
        return [f"{dataclass_decorator(self)}\n{head}"] if self.kind == "record" else [head]

    def _doc_lines(self) -> list[str]:
        return [docstring_source(self.doc)] if self.doc else []


def class_bases(definition: TypeDef, names: Renames = NO_RENAMES) -> tuple[str, ...]:
    """What stands in the parentheses of the class statement."""
    variables = (f"Generic[{', '.join(each.name for each in definition.variables)}]",) if definition.variables else ()
    match definition.kind:
        case "namedtuple":
            return ("NamedTuple", *variables)
        case "typeddict":
            return ("TypedDict", *variables) if definition.base == "total" else ("TypedDict", *variables, "total=False")
        case "enum":
            return (definition.base,)
        case "exception" if isinstance(getattr(builtins, definition.base, None), type):
            return ("ToolError", definition.base)
        case "record" | "exception" if definition.base:
            return (names.get(definition.base, definition.base), *variables)
        case _:
            return variables


def dataclass_decorator(definition: TypeDef) -> str:
    """The decorator that says how the class is constructed."""
    options = {
        "frozen": definition.frozen, "order": definition.ordered, "kw_only": not definition.positional
    }  # fmt: skip
    given = ", ".join(f"{name}=True" for name, holds in options.items() if holds)
    return f"@dataclass({given})" if given else "@dataclass"


def docstring_source(text: str) -> str:
    r"""A docstring literal, with quotes and backslashes made safe."""
    safe = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""{safe[:-1]}\\""""' if safe.endswith('"') and not safe.endswith('\\"') else f'"""{safe}"""'


def _field_line(definition: TypeDef, field: FieldDef) -> str:
    is_partial = definition.kind == "typeddict" and definition.base == "partial"
    text = field.source(wrapper="" if is_partial else field.wrapper)
    comment = "; ".join(filter(None, ["computed" if not field.init and definition.kind == "record" else "", field.doc]))
    return f"{text}  # {comment}" if comment else text


def default_source(value: object) -> str:
    """A default value as Python source; ``...`` where it has no short one.

    >>> default_source(Decimal("1.5")), default_source(["a"]), default_source(print)
    ('Decimal("1.5")', '["a"]', '...')
    """
    text = _value_source(value)
    return text if text is not None and len(text) <= _LONGEST_DEFAULT else "..."


def _value_source(value: object) -> str | None:
    match value:
        case None | bool() | str() | int() if type(value) in (type(None), bool, str, int):
            return literal(value)
        case bytes() | complex() | range():
            return repr(value)
        case float():
            return repr(value) if math.isfinite(value) else f'float("{value}")'
        case Enum():
            return literal(value) if value.name and "|" not in value.name else None
        case date() | time() | timedelta() | datetime():
            return repr(value).replace("datetime.", "", 1) if "tzinfo" not in repr(value) else None
        case Decimal() | PurePath():
            return f"{'Path' if isinstance(value, PurePath) else 'Decimal'}({literal(str(value))})"
        case Fraction():
            return repr(value)
        case list() | tuple() | set() | frozenset():
            return _collection_source(value)
        case Mapping():
            pairs = [(_value_source(key), _value_source(each)) for key, each in value.items()]
            return "{" + ", ".join(f"{key}: {each}" for key, each in pairs) + "}" if _all(pairs) else None
        case _:
            return None


def _all(pairs: list[tuple[str | None, str | None]]) -> bool:
    return all(text is not None for pair in pairs for text in pair)


def _collection_source(value: list[Any] | tuple[Any, ...] | set[Any] | frozenset[Any]) -> str | None:
    items = [text for text in map(_value_source, value) if text is not None]
    if len(items) != len(value):
        return None
    inner = ", ".join(sorted(items) if isinstance(value, set | frozenset) else items)
    match value:
        case list():
            return f"[{inner}]"
        case tuple():
            return f"({inner},)" if len(items) == 1 else f"({inner})"
        case set():
            return f"{{{inner}}}" if items else "set()"
        case _:
            return f"frozenset({{{inner}}})" if items else "frozenset()"
