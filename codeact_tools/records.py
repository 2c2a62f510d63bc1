"""What classes with fields look like inside: models, dataclasses, attrs classes, typed dictionaries, named tuples.

`inspect_record` gives their fields with resolved annotations, in one form for all of them.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Annotated, Any, Final, NamedTuple, NotRequired, Required, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typing_extensions import ReadOnly, is_typeddict

from .docstrings import parse_docstring
from .errors import DefinitionError
from .expressions import UNSET

_WRAPPERS: Final = (Required, NotRequired, ReadOnly)


class RawField(NamedTuple):
    """One field, its annotation resolved but not yet an expression."""

    name: str
    annotation: Any
    default: object = UNSET
    has_factory: bool = False
    init: bool = True
    stored: bool = True
    required: bool = True
    kw_only: bool = False
    doc: str = ""
    attribute: str = ""
    """Where instances hold it under another name than the constructor's: that name."""


class RawRecord(NamedTuple):
    """A class with fields."""

    kind: str
    """``record``, ``namedtuple`` or ``typeddict``."""
    fields: list[RawField]
    positional: bool = False
    frozen: bool = False
    base: str = ""
    extra: bool = False
    """Whether instances may have further fields."""
    ordered: bool = False
    """Whether instances compare by one field after the other."""


def inspect_record(cls: type[Any], *, owner: str) -> RawRecord | None:
    """The fields of ``cls``; None where it is not a class of a kind that has fields.

    Raises:
        DefinitionError: One of its annotations cannot be resolved.
    """
    if is_typeddict(cls):
        return _typeddict(cls, owner)
    if issubclass(cls, BaseModel):
        return _model(cls, owner)
    if dataclasses.is_dataclass(cls):
        return _dataclass(cls, owner)
    if hasattr(cls, "__attrs_attrs__"):
        return _attrs(cls, owner)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _namedtuple(cls, owner)
    return None


def class_doc(cls: Any) -> str:
    """The first line of the class's own docstring; what a library wrote by itself does not count."""
    doc: object = vars(cls).get("__doc__")
    if not isinstance(doc, str) or doc.startswith((f"{cls.__name__}(", "An enumeration.", "dict(")):
        return ""
    return parse_docstring(doc).summary


def resolve_hints(target: Any, *, owner: str, local: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Annotations of a function or class with every forward reference resolved.

    A name that only the enclosing function knows is looked up there, as long as that function runs.

    Raises:
        DefinitionError: A name is not defined, or an annotation is not an expression.
    """
    names: dict[str, Any] = dict(local or {})
    if not names:
        names = enclosing_names(target)
    try:
        return get_type_hints(target, localns=names or None, include_extras=True)
    except NameError as error:
        where = _mentioning(target, error.name or "")
        raise DefinitionError(
            f"{owner}: the annotation{where} mentions {error.name!r}, which is not defined; import it (outside of "
            f"'if TYPE_CHECKING'), or define it before the tool is registered."
        ) from error
    except (SyntaxError, TypeError, AttributeError) as error:
        raise DefinitionError(f"{owner}: an annotation cannot be evaluated: {error}; write a type there.") from error


def _mentioning(target: Any, name: str) -> str:
    """`` of 'x'``, where ``x`` is the parameter or field whose annotation holds ``name``."""
    annotations: dict[str, object] = getattr(target, "__annotations__", {})
    found = [each for each, text in annotations.items() if isinstance(text, str) and re.search(rf"\b{name}\b", text)]
    return f" of {found[0]!r}" if found else ""


def enclosing_names(target: Any) -> dict[str, Any]:
    """The local variables of the running functions that enclose ``target``, and what it closes over."""
    qualname: str = getattr(target, "__qualname__", "")
    if "<locals>" not in qualname:
        return {}
    names: dict[str, Any] = {}
    outer = qualname.split(".<locals>")[:-1]
    enclosing = {".<locals>".join(outer[: index + 1]) for index in range(len(outer))}
    frame = sys._getframe(1)
    frames = []
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_qualname in enclosing:
            frames.append(frame)
    for each in reversed(frames):
        names.update(each.f_locals)
    if isinstance(target, FunctionType) and target.__closure__:
        for name, cell in zip(target.__code__.co_freevars, target.__closure__, strict=True):
            try:
                names.setdefault(name, cell.cell_contents)
            except ValueError:  # the variable is not assigned yet
                continue
    return names


def _default(value: object, factory: object = None) -> tuple[object, bool]:
    """Default value and whether there is a factory."""
    if isinstance(value, FieldInfo):
        return _default(value.default, value.default_factory)
    if factory is not None and factory is not dataclasses.MISSING:
        if factory in (list, dict, set, tuple, frozenset):
            return typing.cast("Callable[[], object]", factory)(), False
        return UNSET, True
    if value is PydanticUndefined or value is dataclasses.MISSING or value is ...:
        return UNSET, False
    return value, False


def _model(cls: type[BaseModel], owner: str) -> RawRecord:
    if not cls.__pydantic_complete__:
        try:
            cls.model_rebuild(raise_errors=True, _types_namespace=enclosing_names(cls) or None)
        except Exception as error:
            raise DefinitionError(f"{owner}: the model {cls.__name__!r} is not complete: {error}") from error
    docs = parse_docstring(vars(cls).get("__doc__")).attributes
    fields = []
    for name, info in cls.model_fields.items():
        default, has_factory = _default(info)
        annotation = annotated(info.annotation, info.metadata)
        doc = info.description or docs.get(name, "")
        fields.append(RawField(name, annotation, default, has_factory, kw_only=True, doc=_line(doc)))
    for name, computed in cls.model_computed_fields.items():
        doc = computed.description or docs.get(name, "")
        fields.append(RawField(name, computed.return_type, init=False, doc=_line(doc)))
    config = cls.model_config
    return RawRecord("record", fields, frozen=bool(config.get("frozen")), extra=config.get("extra") == "allow")


def annotated(annotation: Any, metadata: Iterable[object]) -> Any:
    """``Annotated[annotation, *metadata]``, made at run time."""
    for item in metadata:
        annotation = Annotated[annotation, item]
    return annotation


def _dataclass(cls: type[Any], owner: str) -> RawRecord:
    hints = resolve_hints(cls, owner=owner)
    docs = parse_docstring(vars(cls).get("__doc__")).attributes
    options = cls.__dataclass_params__
    fields = []
    for name, each in cls.__dataclass_fields__.items():
        annotation = hints.get(name, Any)
        stored = each in dataclasses.fields(cls)
        if isinstance(annotation, dataclasses.InitVar):
            annotation = annotation.type
        elif not stored:
            continue  # a ClassVar
        if isinstance(each.default, FieldInfo):
            annotation = annotated(annotation, each.default.metadata)
        default, has_factory = _default(each.default, each.default_factory)
        doc = each.default.description if isinstance(each.default, FieldInfo) else None
        doc = doc or getattr(each, "doc", None) or docs.get(name, "")
        fields.append(
            RawField(name, annotation, default, has_factory, each.init, stored, True, each.kw_only, _line(doc))
        )
    positional = not all(field.kw_only for field in fields if field.init) or not fields
    ordered = options.order and all(each.compare and each.init for each in dataclasses.fields(cls))
    return RawRecord("record", fields, positional=positional, frozen=options.frozen, ordered=ordered)


def _attrs(cls: type[Any], owner: str) -> RawRecord:
    hints = resolve_hints(cls, owner=owner)
    docs = parse_docstring(vars(cls).get("__doc__")).attributes
    fields = []
    for each in cls.__attrs_attrs__:
        has_default = type(each.default).__name__ != "_Nothing"
        factory = getattr(each.default, "factory", None) if type(each.default).__name__ == "Factory" else None
        default, has_factory = _default(each.default if has_default and factory is None else ..., factory)
        if not has_default:
            default, has_factory = UNSET, False
        annotation = hints.get(each.name, each.type or Any)
        doc = docs.get(each.name, "")
        name = each.alias or each.name  # the constructor takes a private attribute under its public name
        attribute = each.name if name != each.name else ""
        fields.append(
            RawField(name, annotation, default, has_factory, each.init, True, True, each.kw_only, doc, attribute)
        )
    positional = not all(field.kw_only for field in fields if field.init) or not fields
    frozen = cls.__setattr__.__name__ == "_frozen_setattrs"
    return RawRecord("record", fields, positional=positional, frozen=frozen)


def _namedtuple(cls: type[Any], owner: str) -> RawRecord:
    hints = resolve_hints(cls, owner=owner)
    docs = parse_docstring(vars(cls).get("__doc__")).attributes
    defaults: dict[str, object] = cls._field_defaults
    fields = [
        RawField(name, hints.get(name, Any), defaults.get(name, UNSET), doc=docs.get(name, "")) for name in cls._fields
    ]
    return RawRecord("namedtuple", fields, positional=True, frozen=True)


def _typeddict(cls: Any, owner: str) -> RawRecord:
    hints = resolve_hints(cls, owner=owner)
    docs = parse_docstring(vars(cls).get("__doc__")).attributes
    fields = []
    for name, annotation in hints.items():
        required = name in cls.__required_keys__
        while (origin := get_origin(annotation)) in _WRAPPERS:
            required = origin is Required or (required and origin is not NotRequired)
            annotation = annotation.__args__[0]
        fields.append(RawField(name, annotation, required=required, kw_only=True, doc=docs.get(name, "")))
    is_partial = bool(fields) and not any(field.required for field in fields)
    return RawRecord("typeddict", fields, base="partial" if is_partial else "total")


def _line(text: str | None) -> str:
    return " ".join(text.split()) if text else ""
