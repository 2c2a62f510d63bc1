"""``Opaque[...]``: values that stay on the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_origin

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


class OpaqueMarker:
    """Marks a value that stays on the host and crosses as a handle."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(get_origin(source) or source)


_T = TypeVar("_T")

Opaque = Annotated[_T, OpaqueMarker()]
"""``Opaque[Connection]``: a value that stays on the host; the action gets a handle and can pass it on."""


@dataclass(frozen=True)
class Stays:
    """Stands for a class that crosses as a value, where its values stay on the host."""

    cls: type[Any]

    @property
    def __name__(self) -> str:
        return f"{self.cls.__name__}Handle"
