"""Python types as data: one tree that renders as prompt text, stubs, guest classes and documentation.

`Catalog` walks annotations and collects what they mention: a `TypeExpr` for every annotation, and one `TypeDef` for
every class, enum or alias, under a name that is unique in the catalog.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import typing_extensions
from pydantic import RootModel
from pydantic.networks import AnyUrl

from . import vocabulary
from .constraints import constraint_texts, misapplied
from .definitions import FieldDef, TypeDef, TypeKind
from .errors import DefinitionError
from .expressions import UNSET, Choice, Constrained, Generic, Member, Name, Ref, TypeExpr, Union, Unset, Variable
from .opaque import Opaque, OpaqueMarker, Stays
from .records import RawField, RawRecord, class_doc, inspect_record, resolve_hints
from .typenames import TypeNames

__all__ = ["UNSET", "Catalog", "FieldDef", "Opaque", "TypeDef", "TypeExpr", "TypeKind", "Unset"]

_ALIASES: Final = tuple(
    {typing_extensions.TypeAliasType, getattr(typing, "TypeAliasType", typing_extensions.TypeAliasType)}
)
_UNIONS: Final = (typing.Union, types.UnionType)
_ENUM_BASES: Final = (
    (enum.IntFlag, "IntFlag"),
    (enum.Flag, "Flag"),
    (enum.StrEnum, "StrEnum"),
    (str, "StrEnum"),
    (int, "IntEnum"),
)


class Catalog:
    """The types that a set of tools mentions, by the name that the model sees."""

    def __init__(self, reserved: Collection[str] = ()) -> None:
        self.types: dict[str, TypeDef] = {}
        """Definitions by name; what a definition mentions comes before it, but for recursion."""
        self.large: dict[str, type[Any]] = {}
        """Classes that cross as values, by the names of their handles where they are `Opaque`."""
        self._names = TypeNames(reserved)
        self._replaced: list[TypeDef] = []
        self._toolkit: str | None = None

    def expression(self, annotation: Any, *, owner: str, toolkit: str | None = None) -> TypeExpr:
        """Turn a resolved annotation into an expression, and add the definitions that it mentions.

        Args:
            annotation: What `typing.get_type_hints` gives, with extras.
            owner: Who has the annotation, for errors: ``shop.py:12: search(): parameter 'limit'``.
            toolkit: The toolkit that the definitions belong to where they are new.

        Raises:
            DefinitionError: A type in it cannot cross to an action; the message says what to write instead. The catalog
                is as it was before.
        """
        self._toolkit = toolkit
        with self.transaction():
            return self._walk(annotation, owner)

    def exception(self, cls: type[BaseException], *, owner: str, toolkit: str | None = None) -> TypeDef:
        """Add an exception that a tool declares; a builtin one is imported by the action."""
        if (known := self._names.get(cls)) is not None:
            return self.types[known]
        self._toolkit = toolkit
        if cls.__module__ == "builtins":
            return self._add(cls, self._names.own(cls, cls.__name__), kind="import", base="builtins")
        with self.transaction():
            hints = [_hints(each, owner) for each in reversed(cls.__mro__) if each.__module__ != "builtins"]
            fields = tuple(
                FieldDef(name=name, type=self._walk(hint, owner))
                for name, hint in {name: hint for each in hints for name, hint in each.items()}.items()
                if not name.startswith("_")
            )
            base = self._base_exception(cls)
            return self._add(cls, self._claim(cls), kind="exception", doc=class_doc(cls), base=base, fields=fields)

    def _base_exception(self, cls: type[BaseException]) -> str:
        """The nearest base that is declared too, or a builtin one that says more than Exception; else ``ToolError``."""
        for each in cls.__mro__[1:]:
            if each is Exception or each is BaseException:
                break
            if (name := self._names.get(each)) is not None or each.__module__ == "builtins":
                return name or each.__name__
        return "ToolError"

    def by_python(self, cls: Any) -> TypeDef | None:
        """The definition for instances of ``cls``: its own, or that of its nearest base."""
        for each in getattr(cls, "__mro__", (cls,)):
            if (name := self._names.get(each)) in self.types and name is not None:
                return self.types[name]
        return None

    def reserve(self, names: Collection[str]) -> None:
        """Keep ``names`` free of definitions."""
        self._names.reserve(names)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Forget what is added inside the block if it raises."""
        tables: tuple[dict[Any, Any], ...] = (self.types, self.large, *self._names.tables)
        sizes = [len(table) for table in tables]
        replaced = len(self._replaced)
        try:
            yield
        except BaseException:
            for table, size in zip(tables, sizes, strict=True):
                while len(table) > size:
                    table.popitem()
            while len(self._replaced) > replaced:
                old = self._replaced.pop()
                if old.name in self.types:
                    self.types[old.name] = old
            raise

    def _walk(self, annotation: Any, owner: str) -> TypeExpr:
        if isinstance(annotation, typing.TypeVar):
            return self._variable(annotation, owner)
        if _is_hashable(annotation):
            if (builtin := vocabulary.BUILTIN.get(annotation)) is not None:
                return Name(builtin)
            if annotation in vocabulary.NOTED:
                base, note = vocabulary.NOTED[annotation]
                return Constrained(self._walk(base, owner), (note,))
        origin = get_origin(annotation)
        if origin is Annotated:
            return self._annotated(annotation, owner)
        if origin in _UNIONS:
            return self._union(get_args(annotation), owner)
        if origin is Literal or origin is typing_extensions.Literal:
            return self._choice(get_args(annotation), owner)
        if isinstance(annotation, _ALIASES) or isinstance(origin, _ALIASES):
            return self._alias(annotation, owner)
        if isinstance(annotation, typing.NewType):
            return self._new_type(annotation, owner)
        container = origin or annotation
        if _is_hashable(container) and container in vocabulary.CONTAINERS:
            return self._container(vocabulary.CONTAINERS[container], annotation, owner)
        if isinstance(container, type):
            return self._class(container, get_args(annotation), owner)
        raise self._unsupported(annotation, owner)

    def _annotated(self, annotation: Any, owner: str) -> TypeExpr:
        base, *metadata = get_args(annotation)
        if any(isinstance(each, OpaqueMarker) for each in metadata):
            return self._handle(base, owner)
        expression = self._walk(base, owner)
        bare = get_origin(base) or base
        if wrong := misapplied(bare, metadata):
            raise DefinitionError(
                f"{owner}: the constraint {wrong!r} does not apply to {expression.render()!r}; "
                f"remove it, or annotate a type that has it."
            )
        texts = constraint_texts(metadata)
        return Constrained(expression, texts) if texts else expression

    def _union(self, options: tuple[Any, ...], owner: str) -> TypeExpr:
        found: dict[TypeExpr, None] = {}
        for option in options:
            expression = self._walk(option, owner)
            for each in expression.options if isinstance(expression, Union) else (expression,):
                found[each] = None
        return Union(tuple(found)) if len(found) > 1 else next(iter(found))

    def _choice(self, values: tuple[object, ...], owner: str) -> TypeExpr:
        found: list[object] = []
        for value in values:
            if isinstance(value, enum.Enum):
                reference = self._walk(type(value), owner)
                found.append(Member(reference.render(), value.name))
            else:
                found.append(value)
        return Choice(tuple(found))

    def _container(self, name: str, annotation: Any, owner: str) -> TypeExpr:
        arguments = get_args(annotation)
        if name == "tuple":
            return self._tuple(annotation, arguments, owner)
        count = vocabulary.ARITY.get(name, 1)
        expressions = tuple(self._walk(each, owner) for each in arguments[:count])
        return Generic(name, expressions or (Name("Any"),) * count)

    def _tuple(self, annotation: Any, arguments: tuple[Any, ...], owner: str) -> TypeExpr:
        if not arguments:
            return Generic("tuple", () if get_origin(annotation) is tuple else (Name("Any"), Name("...")))
        if any(getattr(each, "__unpacked__", False) or get_origin(each) is typing.Unpack for each in arguments):
            raise DefinitionError(
                f"{owner}: a tuple inside {_source(annotation)!r} is not supported; write 'tuple[T, ...]' or 'list'."
            )
        return Generic("tuple", tuple(Name("...") if each is ... else self._walk(each, owner) for each in arguments))

    def _variable(self, variable: typing.TypeVar, owner: str) -> Variable:
        bound = self._walk(variable.__bound__, owner) if variable.__bound__ is not None else None
        return Variable(variable.__name__, bound, tuple(self._walk(each, owner) for each in variable.__constraints__))

    def _alias(self, annotation: Any, owner: str) -> TypeExpr:
        if (alias := get_origin(annotation)) is not None:
            return self._walk(alias.__value__[get_args(annotation)], owner)
        if annotation.__type_params__:
            return self._walk(annotation.__value__[(Any,) * len(annotation.__type_params__)], owner)
        if (name := self._names.get(annotation)) is None:
            name = self._claim(annotation)
            self._add(annotation, name, kind="alias", target=self._walk(_alias_value(annotation, owner), owner))
        return Ref(name)

    def _new_type(self, new: typing.NewType, owner: str) -> TypeExpr:
        if (name := self._names.get(new)) is None:
            name = self._claim(new)
            self._add(new, name, kind="alias", target=self._walk(new.__supertype__, owner))
        return Ref(name)

    def _class(self, cls: type[Any], arguments: tuple[Any, ...], owner: str) -> TypeExpr:
        metadata = getattr(cls, "__pydantic_generic_metadata__", None)
        if metadata and metadata["origin"] is not None:
            cls, arguments = metadata["origin"], metadata["args"]
        name = self._names.get(cls)
        if name is None:
            name = self._define(cls, owner)
        definition = self.types.get(name)
        if definition is not None and definition.kind == "handle":
            raise self._ambiguous(cls, owner)
        if cls in vocabulary.IMPORTS or (definition is not None and definition.kind == "import"):
            return Ref(
                name, (self._walk(arguments[0] if arguments else str, owner),) if cls is vocabulary.PATTERN else ()
            )
        expressions = tuple(self._walk(each, owner) for each in arguments)
        if not expressions and definition is None:  # inside its own definition
            expressions = tuple(self._variable(each, owner) for each in _parameters(cls))
        return Ref(name, expressions or (Name("Any"),) * len(_parameters(cls)))

    def _define(self, cls: type[Any], owner: str) -> str:
        if (
            module := vocabulary.IMPORTS.get(cls) or vocabulary.FOREIGN.get((cls.__module__, cls.__qualname__))
        ) is not None:
            name = self._claim(cls) if self._names.is_taken(cls.__name__) else self._names.own(cls, cls.__name__)
            self._add(cls, name, kind="import", base=module)
            for companion in vocabulary.COMPANIONS.get(cls, ()):
                self._walk(companion, owner)
            return name
        if issubclass(cls, enum.Enum):
            return self._enum(cls, owner)
        if issubclass(cls, RootModel):
            name = self._claim(cls)
            root = cls.model_fields["root"].annotation
            return self._add(cls, name, kind="alias", target=self._walk(root, owner), doc=class_doc(cls)).name
        if issubclass(cls, AnyUrl) or type(cls.__dict__.get("_constraints")).__name__ == "UrlConstraints":
            return self._add(cls, self._claim(cls), kind="alias", target=Constrained(Name("str"), ("#a URL",))).name
        record = inspect_record(cls, owner=owner)
        if record is None:
            raise self._unsupported(cls, owner)
        return self._record(cls, record, owner)

    def _enum(self, cls: type[enum.Enum], owner: str) -> str:
        base = next((name for each, name in _ENUM_BASES if issubclass(cls, each)), "Enum")
        name = self._claim(cls)
        for value in cls.__members__.values():
            self._walk(type(value.value), f"{owner}: value of {cls.__name__}.{value.name}")
        members = tuple((name, each.value) for name, each in cls.__members__.items())
        return self._add(cls, name, kind="enum", doc=class_doc(cls), members=members, base=base).name

    def _handle(self, cls: Any, owner: str) -> TypeExpr:
        if not isinstance(cls, type):
            raise DefinitionError(f"{owner}: Opaque takes a class, not {_source(cls)!r}.")
        if cls in vocabulary.BUILTIN or cls in vocabulary.CONTAINERS or cls in vocabulary.IMPORTS:
            raise DefinitionError(
                f"{owner}: a {cls.__name__} cannot be Opaque, because an action can make one itself; keep it in a "
                f"class of its own and write Opaque of that."
            )
        if vocabulary.is_foreign(cls):
            return self._large_handle(cls)
        if (name := self._names.get(cls)) is None:
            name = self._claim(cls)
            self._add(cls, name, kind="handle", doc=class_doc(cls))
        elif self.types[name].kind != "handle":
            raise self._ambiguous(cls, owner)
        return Ref(name)

    def _large_handle(self, cls: type[Any]) -> TypeExpr:
        """A handle to a table, an array or an image, which may cross as a value elsewhere."""
        key = Stays(cls)
        if (name := self._names.get(key)) is None:
            name = self._claim(key)
            self._add(cls, name, kind="handle", doc=f"A {cls.__name__} that stays where it is.")
            self.large[name] = cls
        return Ref(name)

    def _ambiguous(self, cls: type[Any], owner: str) -> DefinitionError:
        return DefinitionError(
            f"{owner}: {cls.__name__!r} crosses as a value in one place and stays on the host (Opaque) in another; "
            f"keep what stays in a class of its own, e.g. 'class Held{cls.__name__}: value: {cls.__name__}', and "
            f"write Opaque[Held{cls.__name__}]."
        )

    def _record(self, cls: type[Any], record: RawRecord, owner: str) -> str:
        name = self._claim(cls)
        variables = tuple(self._variable(each, owner) for each in _parameters(cls))
        kind: TypeKind = typing.cast("TypeKind", record.kind)
        base = record.base or self._base_record(cls)
        fields = tuple(self._field(cls, each, owner) for each in record.fields)
        if not variables and record.kind == "record":
            self._adopt(cls, name)
        return self._add(
            cls, name, kind=kind, doc=class_doc(cls), fields=fields, base=base, positional=record.positional,
            frozen=record.frozen, extra=record.extra, ordered=record.ordered, variables=variables,
        ).name  # fmt: skip

    def _base_record(self, cls: type[Any]) -> str:
        """The nearest base that is in the catalog already and is no generic one."""
        for each in cls.__mro__[1:]:
            if (name := self._names.get(each)) is not None and name in self.types and not self.types[name].variables:
                return name
        return ""

    def _adopt(self, cls: type[Any], name: str) -> None:
        """Make ``cls`` the base of its subclasses that are in the catalog already."""
        for each in list(self.types.values()):
            is_subclass = each.kind == "record" and cls in each.python.__mro__
            if is_subclass and (not each.base or self.types[each.base].python in cls.__mro__):
                self._replaced.append(each)
                self.types[each.name] = dataclasses.replace(each, base=name)

    def _field(self, cls: type[Any], raw: RawField, owner: str) -> FieldDef:
        expression = self._walk(raw.annotation, f"{owner}: field {cls.__name__}.{raw.name}")
        if any(name in self.large for name in expression.references()):
            raise DefinitionError(
                f"{owner}: field {cls.__name__}.{raw.name}: {_source(raw.annotation)} is supported in a signature "
                f"only; keep the value in a class of its own and write Opaque of that."
            )
        return FieldDef(
            name=raw.name, type=expression, default=raw.default, has_factory=raw.has_factory, init=raw.init,
            stored=raw.stored, required=raw.required, kw_only=raw.kw_only, attribute=raw.attribute, doc=raw.doc,
        )  # fmt: skip

    def _claim(self, python: Any) -> str:
        return self._names.claim(python, self._toolkit)

    def _add(self, python: Any, name: str, *, kind: TypeKind, **attributes: Any) -> TypeDef:
        definition = TypeDef(name=name, kind=kind, python=python, toolkit=self._toolkit, **attributes)
        self.types[name] = definition
        return definition

    def _unsupported(self, annotation: Any, owner: str) -> DefinitionError:
        origin = get_origin(annotation) or annotation
        advice = vocabulary.ADVICE.get(origin) if _is_hashable(origin) else None
        if isinstance(annotation, str | typing.ForwardRef):
            advice = "write the type itself, not a string"
        if advice is None and isinstance(origin, type):
            advice = (
                f"make {origin.__name__!r} a dataclass or a pydantic model, or write Opaque[{origin.__name__}] "
                f"if the value is to stay on the host"
            )
        return DefinitionError(
            f"{owner}: the type {_source(annotation)!r} is not supported; {advice or 'write another type'}."
        )


def _hints(cls: type[Any], owner: str) -> dict[str, Any]:
    return resolve_hints(cls, owner=owner) if "__annotations__" in vars(cls) else {}


def _alias_value(alias: Any, owner: str) -> Any:
    """What an alias stands for, with the forward references of a recursive one resolved in its module."""
    scope = type("scope", (), {"__annotations__": {"value": alias.__value__}, "__module__": alias.__module__})
    return resolve_hints(scope, owner=owner)["value"]


def _parameters(cls: type[Any]) -> tuple[typing.TypeVar, ...]:
    """The type variables of a generic class."""
    own: tuple[typing.TypeVar, ...] = getattr(cls, "__parameters__", ())
    return own or getattr(cls, "__pydantic_generic_metadata__", {}).get("parameters", ())


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _source(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
