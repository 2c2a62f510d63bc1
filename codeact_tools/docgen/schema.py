"""JSON Schema of a tool, as other systems read it (MCP's ``inputSchema`` and ``outputSchema``)."""

from __future__ import annotations

from typing import Any

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter
from pydantic.json_schema import JsonSchemaMode
from pydantic_core import PydanticSerializationError

from ..expressions import UNSET, TypeExpr
from ..specs import Parameter, ToolSpec

Schema = dict[str, Any]


def input_schema(spec: ToolSpec) -> Schema:
    """The arguments of a call as one JSON object, draft 2020-12."""
    definitions: Schema = {}
    properties = {each.name: _parameter(spec, each, definitions) for each in spec.parameters}
    open_ended = next((each.name for each in spec.parameters if each.kind == "var_keyword"), None)
    schema: Schema = {"type": "object", "properties": properties}
    schema["additionalProperties"] = properties.pop(open_ended) if open_ended else False
    if required := [each.name for each in spec.parameters if each.required]:
        schema["required"] = required
    return {**schema, "$defs": definitions} if definitions else schema


def output_schema(spec: ToolSpec) -> Schema:
    """The result; of streams, one item."""
    definitions: Schema = {}
    schema = _schema(spec.return_annotation, spec.returns, definitions, mode="serialization")
    return {**schema, "$defs": definitions} if definitions else schema


def _parameter(spec: ToolSpec, parameter: Parameter, definitions: Schema) -> Schema:
    schema = _schema(spec.hints[parameter.name], parameter.type, definitions)
    if parameter.kind == "var_positional":
        schema = {"type": "array", "items": schema}
    if parameter.doc:
        schema = {**schema, "description": parameter.doc}
    return schema if parameter.default is UNSET else {**schema, **_default(spec.hints[parameter.name], parameter)}


def _default(annotation: Any, parameter: Parameter) -> Schema:
    """The default in JSON; nothing where it has no such form, as the parameter is optional by then anyway."""
    try:
        return {"default": TypeAdapter(annotation).dump_python(parameter.default, mode="json", warnings=False)}
    except (PydanticSchemaGenerationError, PydanticUserError, PydanticSerializationError):
        return {}


def _schema(annotation: Any, type_: TypeExpr, definitions: Schema, mode: JsonSchemaMode = "validation") -> Schema:
    """The schema of one annotation; a type that JSON has no form of is named in a comment."""
    try:
        schema = TypeAdapter(annotation).json_schema(mode=mode)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return {"$comment": f"a Python value without a JSON form: {type_.render()}"}
    definitions.update(schema.pop("$defs", {}))
    return schema
