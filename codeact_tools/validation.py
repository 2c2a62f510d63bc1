"""Validators of arguments and results, made by pydantic from a signature with resolved annotations."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import types
import typing
from collections import abc
from collections.abc import Callable
from typing import Annotated, Any, Final, get_args, get_origin

import typing_extensions
from pydantic import ConfigDict, GetCoreSchemaHandler, PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import ArgsKwargs, CoreSchema, SchemaError, SchemaValidator, core_schema

from . import vocabulary
from .errors import DefinitionError
from .expressions import UNSET
from .records import inspect_record

Validator = Callable[[tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]
"""Takes positional and keyword arguments and gives them validated, with defaults; raises pydantic's ValidationError."""

_LISTS: Final = (abc.Iterable, abc.Collection)
"""Abstract containers that are validated as lists: pydantic takes the former lazily, and does not know the latter."""


def build_validator(signature: inspect.Signature, *, owner: str, strict: bool, closed: bool = False) -> Validator:
    """Make the validator of a call with ``signature``.

    Args:
        signature: With resolved annotations.
        owner: Who has it, for errors.
        strict: Whether values must have their types already.
        closed: Whether typed dictionaries with keys that they do not declare are refused, instead of losing them.

    Raises:
        DefinitionError: Pydantic has no validator for an annotation, or a constraint does not apply to its type.
    """
    from pydantic.experimental.arguments_schema import generate_arguments_schema  # slow to import, needed late

    def subject(*args: Any, **kwargs: Any) -> None: ...

    parameters = [each.replace(annotation=host_type(each.annotation)) for each in signature.parameters.values()]
    subject.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    subject.__annotations__ = {each.name: each.annotation for each in parameters}
    config = ConfigDict(arbitrary_types_allowed=True, strict=strict)
    try:
        schema = generate_arguments_schema(subject, schema_type="arguments", config=config)
        if closed:
            _close(schema, set())
        validator = SchemaValidator(schema, {"strict": strict})
    except (PydanticSchemaGenerationError, PydanticUserError, SchemaError, TypeError, NameError) as error:
        reason = str(error).split("\n")[0]
        raise DefinitionError(f"{owner}: no validator can be made for its annotations: {reason}") from error
    validate = validator.validate_python

    def run(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        result: tuple[tuple[Any, ...], dict[str, Any]] = validate(ArgsKwargs(args, kwargs), by_name=True)
        return result

    return run


def _close(schema: Any, seen: set[int]) -> None:
    """Let the typed dictionaries in a core schema refuse keys that they do not declare.

    Not those inside of models and dataclasses: their schemas belong to the classes, which others use, too.
    """
    if not isinstance(schema, dict | list | tuple) or id(schema) in seen:
        return
    seen.add(id(schema))
    if isinstance(schema, dict) and schema.get("type") in ("model", "dataclass"):
        return
    if isinstance(schema, dict) and schema.get("type") == "typed-dict" and schema.get("extra_behavior") != "allow":
        declared = schema.get("config", {}).get("extra_fields_behavior")
        schema["extra_behavior"] = declared or "forbid"
    for each in schema.values() if isinstance(schema, dict) else schema:
        _close(each, seen)


def host_type(annotation: Any, inside: frozenset[Any] = frozenset()) -> Any:
    """The annotation that pydantic validates: attrs classes and typed dictionaries made known to it.

    Args:
        annotation: As the author wrote it, resolved.
        inside: The classes around it; one that contains itself is validated in a second step, when a value is there.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if vocabulary.is_foreign(origin or annotation):
        return Annotated[origin or annotation, _Converted()]
    if _is_unknown(annotation):
        if annotation in inside:
            return Annotated[Any, _Later(annotation)]
        adapt = _attrs_class if hasattr(annotation, "__attrs_attrs__") else _typeddict
        return adapt(annotation, inside | {annotation})
    if annotation in (typing.NoReturn, typing.Never):
        return Any
    if annotation in _LISTS:
        return list[Any]
    if not arguments or origin is typing.Literal:
        return annotation
    if origin is Annotated:
        return Annotated[(host_type(arguments[0], inside), *arguments[1:])]
    replaced = tuple(each if isinstance(each, list) else host_type(each, inside) for each in arguments)
    if origin in (typing.Union, types.UnionType):
        return typing.Union[replaced]  # noqa: UP007
    if origin in _LISTS:
        return list[replaced[0]]  # type: ignore[valid-type]
    if all(new is old for new, old in zip(replaced, arguments, strict=True)):
        return annotation
    return origin[replaced if len(replaced) > 1 else replaced[0]] if origin is not None else annotation


def _is_unknown(annotation: Any) -> bool:
    """Whether pydantic does not know the class: before Python 3.12, those of `typing.TypedDict` too."""
    if isinstance(annotation, type) and hasattr(annotation, "__attrs_attrs__"):
        return True
    return sys.version_info < (3, 12) and typing.is_typeddict(annotation)


def _typeddict(cls: Any, inside: frozenset[Any]) -> Any:
    record = inspect_record(cls, owner=cls.__qualname__)
    fields = {}
    for each in record.fields if record else ():
        inner = host_type(each.annotation, inside)
        fields[each.name] = inner if each.required else typing.NotRequired[inner]
    return typing_extensions.TypedDict(cls.__name__, fields)  # type: ignore[operator]


def _attrs_class(cls: Any, inside: frozenset[Any]) -> Any:
    return Annotated[cls, _AttrsSchema(inside)]


class _AttrsSchema:
    """Teaches pydantic an attrs class: an instance passes, a dictionary is validated field by field and constructed."""

    def __init__(self, inside: frozenset[Any]) -> None:
        self._inside = inside

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        cls = get_origin(source) or source
        record = inspect_record(cls, owner=cls.__qualname__)
        fields = {
            each.name: core_schema.typed_dict_field(
                handler.generate_schema(host_type(each.annotation, self._inside)),
                required=each.default is UNSET and not each.has_factory,
            )
            for each in (record.fields if record else ())
            if each.init
        }
        shape = core_schema.typed_dict_schema(fields, extra_behavior="forbid")
        built = core_schema.no_info_after_validator_function(lambda values: cls(**values), shape)

        def choose(value: Any, build: core_schema.ValidatorFunctionWrapHandler) -> Any:
            return value if isinstance(value, cls) else build(value)

        return core_schema.no_info_wrap_validator_function(choose, built)


class _Converted:
    """Takes what pandas and NumPy make an array or a table of: an action in a sandbox without them passes lists."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        instance = core_schema.is_instance_schema(source)
        make = _MAKERS.get(source.__name__)
        if make is None:
            return instance
        lax = core_schema.no_info_before_validator_function(functools.partial(_converted, source, make), instance)
        return core_schema.lax_or_strict_schema(lax_schema=lax, strict_schema=instance)


def _converted(cls: type[Any], make: Callable[[Any], Any], value: Any) -> Any:
    """``value`` as an instance; itself where it is none of what an action writes for one, or cannot become one."""
    if isinstance(value, cls) or not isinstance(value, list | tuple | dict):
        return value
    try:
        return make(value)
    except (ValueError, TypeError):
        return value


def _array(value: Any) -> Any:
    made = importlib.import_module("numpy").array(value)
    if made.dtype.kind == "O":
        raise TypeError("an array of objects")
    return made


def _frame(value: Any) -> Any:
    return importlib.import_module("pandas").DataFrame(value)


_MAKERS: Final = {"ndarray": _array, "DataFrame": _frame}


class _Later:
    """A class inside itself: its validator is made when the first value arrives."""

    def __init__(self, cls: Any) -> None:
        self._cls = cls

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        cls = self._cls
        return core_schema.no_info_plain_validator_function(lambda value: _inner(cls)((value,), {})[0][0])


@functools.cache
def _inner(cls: Any) -> Validator:
    parameter = inspect.Parameter("value", inspect.Parameter.POSITIONAL_ONLY, annotation=cls)
    return build_validator(inspect.Signature([parameter]), owner=cls.__qualname__, strict=False)
