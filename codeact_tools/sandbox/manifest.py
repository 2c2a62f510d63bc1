"""What the guest must know to build the module ``tools``: the registry as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import BaseModel

from ..definitions import default_source
from ..signatures import UNSET
from ..wire import Codec, Json, WireError

if TYPE_CHECKING:
    from ..registry import ToolRegistry
    from ..signatures import FieldDef, TypeDef
    from ..tools import Parameter, ToolSpec


def build_manifest(registry: ToolRegistry, codec: Codec) -> dict[str, Json]:
    """Describe the registry's tools and types for the guest."""
    return {
        "tools": [_tool(spec, codec) for spec in registry.specs],
        "types": [_type(definition, codec) for definition in _bases_first(registry.catalog.types)],
    }


def _bases_first(types: Mapping[str, TypeDef]) -> list[TypeDef]:
    """The definitions in their order, but for bases, which come before what inherits from them."""
    ordered: dict[str, TypeDef] = {}

    def add(definition: TypeDef) -> None:
        base = types.get(definition.base)
        if base is not None and base is not definition:
            add(base)
        ordered.setdefault(definition.name, definition)

    for definition in types.values():
        add(definition)
    return list(ordered.values())


def _tool(spec: ToolSpec, codec: Codec) -> dict[str, Json]:
    return {
        "name": spec.name,
        "toolkit": spec.toolkit,
        "qualified": spec.qualified,
        "kind": spec.kind,
        "params": [_parameter(parameter, codec) for parameter in spec.parameters],
        "returns": spec.returns.render(),
        "doc": "\n\n".join(part for part in (spec.summary, spec.description) if part),
    }


def _parameter(parameter: Parameter, codec: Codec) -> dict[str, Json]:
    entry: dict[str, Json] = {
        "name": parameter.name,
        "kind": parameter.kind,
        "annotation": parameter.type.render(),
        "factory": parameter.has_factory,
    }
    return entry | _default(parameter.default, codec)


def _type(definition: TypeDef, codec: Codec) -> dict[str, Json]:
    entry: dict[str, Json] = {
        "name": definition.name,
        "toolkit": definition.toolkit,
        "kind": definition.kind,
        "base": definition.base,
        "doc": definition.doc,
        "positional": definition.positional,
        "frozen": definition.frozen,
        "extra": definition.extra,
        "fields": [_field(field, definition, codec) for field in definition.fields],
        "members": [_member(name, value, codec) for name, value in definition.members],
    }
    if definition.ordered:
        entry["ordered"] = True
    if definition.target is not None:
        entry["target"] = definition.target.render()
    if definition.kind == "import":
        entry["attribute"] = getattr(definition.python, "__qualname__", definition.name)
    return entry


def _field(field: FieldDef, definition: TypeDef, codec: Codec) -> dict[str, Json]:
    entry: dict[str, Json] = {
        "name": field.name,
        "annotation": field.type.render(),
        "init": field.init,
        "sent": field.init or not issubclass(definition.python, BaseModel),  # computed anew from the others
        "stored": field.stored,
        "required": field.required,
        "kw_only": field.kw_only,
        "factory": field.has_factory,
    }
    default = _default(field.default, codec)
    if default and "default" not in default:  # a default that cannot cross is filled in by the host
        entry["factory"] = True
    return entry | default


def _default(value: object, codec: Codec) -> dict[str, Json]:
    if value is UNSET:
        return {}
    text = default_source(value)
    try:
        return {"default": codec.encode(value), "default_text": text}
    except WireError:
        return {"default_text": text}


def _member(name: str, value: object, codec: Codec) -> list[Json]:
    try:
        return [name, codec.encode(value)]
    except WireError:
        return [name, repr(value)]
