"""What changed in a toolkit since its last release, from a record that was made then.

The record is a small JSON file in the toolkit's repository: `codeact-tools docs record` writes it at each release.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import ConfigurationError
from ..registry import ToolRegistry
from ..specs import ToolSpec
from .markdown import code


class Release(BaseModel):
    """A toolkit as it was released."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = ""
    tools: dict[str, str]
    """Signature by name."""


class Record(BaseModel):
    """The released toolkits by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    toolkits: dict[str, Release]


def record_of(registry: ToolRegistry) -> Record:
    """Record the toolkits of a registry as they are now."""
    return Record(
        toolkits={
            toolkit.name: Release(version=toolkit.version or "", tools=_signatures(registry, toolkit.name))
            for toolkit in registry.toolkits
        }
    )


def read_record(file: str) -> Record | None:
    """Read a record; None where no file is named.

    Raises:
        ConfigurationError: It cannot be read, or is no record.
    """
    if not file:
        return None
    try:
        return Record.model_validate_json(Path(file).read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"The record of the last release {file!r} cannot be read ({error.strerror}); "
            f"`codeact-tools docs record {file}` writes one."
        ) from error
    except ValidationError as error:
        raise ConfigurationError(f"{file!r} is no record of a release: {error.errors()[0]['msg']}.") from error


def changes_since(release: Release, registry: ToolRegistry, toolkit: str) -> list[str]:
    """Tools that are new, gone or have another signature, as sentences in Markdown."""
    now = _signatures(registry, toolkit)
    new = [f"New: {code(signature)}." for name, signature in now.items() if name not in release.tools]
    changed = [
        f"Changed: {code(signature)}; before: {code(release.tools[name])}."
        for name, signature in now.items()
        if release.tools.get(name, signature) != signature
    ]
    return [*new, *changed, *(f"Removed: {code(name)}." for name in release.tools if name not in now)]


def _signatures(registry: ToolRegistry, toolkit: str) -> dict[str, str]:
    specs: list[ToolSpec] = [spec for spec in registry.specs if spec.toolkit == toolkit]
    return {spec.name: spec.signature() for spec in specs}
