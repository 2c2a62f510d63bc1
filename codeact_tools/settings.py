"""A toolkit's settings: what there is to set, where it is read from, what is missing, and which values are secret.

`Toolkit.config` is a class or an instance: a pydantic model, a dataclass, or any class that is called without
arguments. A subclass of ``pydantic_settings.BaseSettings`` reads the environment by itself; the toolkit brings that
package, this library does not need it. Nothing is read before a registry takes the toolkit.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import AliasChoices, BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .definitions import default_source
from .errors import CodeActError, ConfigurationError
from .records import resolve_hints
from .tools import Toolkit

if TYPE_CHECKING:
    from .registry import ToolRegistry

_SECRETS: Final = (SecretStr, SecretBytes)
_SHORTEST_SECRET: Final = 4
"""Shorter values are no secrets, and would be found everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting of a toolkit."""

    name: str
    """The field of the configuration; of a secret that `Toolkit.secrets` names, the environment variable."""
    variables: tuple[str, ...] = ()
    """Environment variables that it is read from, the first that is set; none where the application gives it."""
    type: str = "str"
    default: str = ""
    """Python source; empty where there is none, or where it is secret."""
    required: bool = False
    secret: bool = False
    doc: str = ""
    is_set: bool = False
    """Whether the environment, or the instance that the application gave, holds a value; the value is not looked at."""

    @property
    def missing(self) -> bool:
        """Whether the toolkit cannot do without it, and it is not there."""
        return self.required and not self.is_set


def settings_of(toolkit: Toolkit) -> tuple[Setting, ...]:
    """List the settings of a toolkit; its configuration is not made, and no value is read.

    >>> settings_of(Toolkit("web", tools=[], secrets=["SEARCH_KEY"]))[0].variables
    ('SEARCH_KEY',)
    """
    fields = tuple(fields_of(toolkit.config))
    read = {variable for each in fields for variable in each.variables}
    named = (
        Setting(name=name, variables=(name,), secret=True, is_set=bool(os.environ.get(name)))
        for name in toolkit.secrets
        if name not in read
    )
    return (*fields, *named)


def fields_of(config: Any) -> Iterator[Setting]:
    """Yield the fields of a configuration: a pydantic model, a dataclass, or an instance of one."""
    cls = config if isinstance(config, type) else type(config)
    instance = None if isinstance(config, type) else config
    if issubclass(cls, BaseModel):
        for name, field in cls.model_fields.items():
            yield _model_setting(cls, name, field, instance)
    elif dataclasses.is_dataclass(cls):
        hints = resolve_hints(cls, owner=f"the configuration {cls.__name__}")
        for each in dataclasses.fields(cls):
            yield _dataclass_setting(each, hints[each.name], instance)


def configured(toolkit: Toolkit) -> Toolkit:
    """Return the toolkit with its configuration made, where it is a class.

    Raises:
        ConfigurationError: A setting is missing or wrong; the message names it and its environment variable, and never
            holds a value.
    """
    cls = toolkit.config
    if not isinstance(cls, type):
        return toolkit
    try:
        return replace(toolkit, config=cls())
    except ValidationError as error:
        message = _refused(toolkit, error)
    except CodeActError:
        raise
    except TypeError as error:
        missing = [each.name for each in fields_of(cls) if each.missing]
        if not missing:
            raise ConfigurationError(_unmade(toolkit, error)) from error
        listed = ", ".join(map(repr, missing))
        message = f"The toolkit {toolkit.name!r} lacks the setting {listed}. {_give(toolkit, missing[0])}"
    except Exception as error:
        raise ConfigurationError(_unmade(toolkit, error)) from error
    raise ConfigurationError(message)  # outside of the handler: the cause would show the values


def for_examples(toolkit: Toolkit, folder: Path) -> Toolkit | None:
    """Return the toolkit as its examples expect it, where the class of its configuration says how: harmless to call.

    The class then has a method ``for_examples()``, or ``for_examples(folder)``, which returns the configuration, and
    may put files into the folder. Under it everything may be called: it reaches nothing that matters.

    Returns:
        None where the class does not say, or where the program has given a configuration already.
    """
    make = getattr(toolkit.config, "for_examples", None)
    if not isinstance(toolkit.config, type) or not callable(make):
        return None
    return toolkit.configured(make(folder) if inspect.signature(make).parameters else make())


def secret_values(registry: ToolRegistry) -> frozenset[str]:
    """Return the values of all secrets of a registry's toolkits, so that they can be kept out of what is recorded.

    They are those of fields of type ``SecretStr`` or ``SecretBytes``, and of the environment variables that
    `Toolkit.secrets` names. Never show or log what this returns. Values under 4 characters are left out: they would be
    found everywhere.
    """
    found: set[str] = set()
    for toolkit in registry.toolkits:
        found.update(os.environ.get(name, "") for name in toolkit.secrets)
        found.update(_secrets_in(toolkit.config))
    return frozenset(value for value in found if len(value) >= _SHORTEST_SECRET)


def _secrets_in(value: Any) -> Iterator[str]:
    match value:
        case SecretStr():
            yield value.get_secret_value()
        case SecretBytes():
            yield value.get_secret_value().decode(errors="replace")
        case BaseModel():
            for _, each in value:
                yield from _secrets_in(each)
        case Mapping():
            for each in value.values():
                yield from _secrets_in(each)
        case list() | tuple() | set() | frozenset():
            for each in value:
                yield from _secrets_in(each)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            for field in dataclasses.fields(value):
                yield from _secrets_in(getattr(value, field.name, None))


def _model_setting(cls: type[BaseModel], name: str, field: FieldInfo, instance: BaseModel | None) -> Setting:
    variables = _variables(cls, name, field)
    has_default = field.default is not PydanticUndefined or field.default_factory is not None
    return _setting(
        name,
        field.annotation,
        PydanticUndefined if field.default_factory is not None else field.default,
        required=not has_default,
        variables=variables,
        doc=field.description or "",
        is_set=_in_environment(cls, variables) if instance is None else getattr(instance, name, None) is not None,
    )


def _dataclass_setting(field: dataclasses.Field[Any], hint: Any, instance: object) -> Setting:
    default = PydanticUndefined if field.default is dataclasses.MISSING else field.default
    required = default is PydanticUndefined and field.default_factory is dataclasses.MISSING
    return _setting(
        field.name, hint, default, required=required, is_set=getattr(instance, field.name, None) is not None
    )


def _setting(
    name: str,
    annotation: Any,
    default: object,
    *,
    required: bool,
    variables: tuple[str, ...] = (),
    doc: str = "",
    is_set: bool,
) -> Setting:
    secret = _is_secret(annotation)
    shown = "" if secret or default is PydanticUndefined else default_source(default)
    if not secret and not required and default is PydanticUndefined:
        shown = "..."
    return Setting(
        name=name,
        variables=variables,
        type=_type_source(annotation),
        default=shown,
        required=required,
        secret=secret,
        doc=doc,
        is_set=is_set,
    )


def _type_source(annotation: Any) -> str:
    """An annotation as one writes it, without modules.

    >>> _type_source(dict[str, SecretStr] | None)
    'dict[str, SecretStr] | None'
    """
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", str(annotation))


def _is_secret(annotation: Any) -> bool:
    return annotation in _SECRETS or any(_is_secret(each) for each in get_args(annotation))


def _variables(cls: type[BaseModel], name: str, field: FieldInfo) -> tuple[str, ...]:
    """The environment variables of a field of pydantic-settings, as its documentation gives them."""
    options: Mapping[str, Any] = cls.model_config
    if not _reads_environment(cls):
        return ()
    aliases: list[str] = []
    match field.validation_alias:
        case str() as alias:
            aliases = [alias]
        case AliasChoices(choices=choices):
            aliases = [choice for choice in choices if isinstance(choice, str)]
    if aliases and not options.get("validate_by_name") and not options.get("populate_by_name"):
        names = aliases
    else:
        names = [*aliases, f"{options.get('env_prefix') or ''}{name}"]
    return tuple(each if options.get("case_sensitive") else each.upper() for each in names)


def _reads_environment(cls: type[BaseModel]) -> bool:
    return any(
        base.__name__ == "BaseSettings" and base.__module__.startswith("pydantic_settings") for base in cls.__mro__
    )


def _in_environment(cls: type[BaseModel], variables: tuple[str, ...]) -> bool:
    if cls.model_config.get("case_sensitive"):
        return any(name in os.environ for name in variables)
    present = {name.upper() for name in os.environ}
    return any(name in present for name in variables)


def _refused(toolkit: Toolkit, error: ValidationError) -> str:
    """What is wrong with which setting; pydantic's own text would show the values."""
    cls = toolkit.config
    known = {alias: each for each in fields_of(cls) for alias in (each.name, *each.variables)}
    lines = []
    first = ""
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        head = str(each["loc"][0]) if each["loc"] else ""
        setting = known.get(head) or known.get(head.upper())
        place = ".".join(map(str, each["loc"]))
        first = first or (setting.name if setting else place)
        named = f"{setting.name!r} ({' or '.join(setting.variables)})" if setting and setting.variables else repr(place)
        said = each["msg"].removeprefix("Value error, ")
        if not place:
            lines.append(said)
        else:
            lines.append(f"the setting {named} is missing" if each["type"] == "missing" else f"{named}: {said}")
    return f"The toolkit {toolkit.name!r} cannot be used: {'; '.join(lines)}. {_give(toolkit, first)}"


def _unmade(toolkit: Toolkit, error: Exception) -> str:
    return f"The configuration of the toolkit {toolkit.name!r} cannot be made: {type(error).__name__}: {error}"


def _give(toolkit: Toolkit, name: str) -> str:
    """What to do about a setting; without a name, about those that do not fit each other."""
    cls = toolkit.config
    settings = fields_of(cls)
    if not name:
        is_there = [each.variables[0] for each in settings if each.is_set and each.variables]
        first = f"Correct {', '.join(is_there)} in the environment, or give" if is_there else "Give"
        return f"{first} the settings in the program: tools=[toolkit.configured({cls.__name__}(...))]."
    in_code = f"tools=[toolkit.configured({cls.__name__}({name}=...))]"
    setting = next((each for each in settings if each.name == name), None)
    if setting is not None and setting.variables:
        return f"Set {setting.variables[0]} in the environment, or give it in the program: {in_code}."
    return f"Give it in the program: {in_code}."
