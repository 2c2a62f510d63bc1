"""Validators of arguments and results, made by pydantic from a signature with resolved annotations."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pydantic import ConfigDict, PydanticSchemaGenerationError, PydanticUserError
from pydantic.experimental.arguments_schema import generate_arguments_schema
from pydantic_core import ArgsKwargs, SchemaError, SchemaValidator

from .errors import DefinitionError

Validator = Callable[[tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]
"""Takes positional and keyword arguments, gives them validated, defaults filled in; raises pydantic's ValidationError."""


def build_validator(signature: inspect.Signature, *, owner: str, strict: bool) -> Validator:
    """Make the validator of a call with ``signature``.

    Raises:
        DefinitionError: Pydantic has no validator for an annotation, or a constraint does not apply to its type.
    """

    def subject(*args: Any, **kwargs: Any) -> None: ...

    subject.__signature__ = signature  # type: ignore[attr-defined]
    subject.__annotations__ = {name: each.annotation for name, each in signature.parameters.items()}
    config = ConfigDict(arbitrary_types_allowed=True, strict=strict)
    try:
        schema = generate_arguments_schema(subject, schema_type="arguments", config=config)
        validator = SchemaValidator(schema, {"strict": strict})
    except (PydanticSchemaGenerationError, PydanticUserError, SchemaError, TypeError, NameError) as error:
        reason = str(error).split("\n")[0]
        raise DefinitionError(f"{owner}: no validator can be made for its annotations: {reason}") from error
    validate = validator.validate_python

    def run(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        result: tuple[tuple[Any, ...], dict[str, Any]] = validate(ArgsKwargs(args, kwargs), by_name=True)
        return result

    return run
