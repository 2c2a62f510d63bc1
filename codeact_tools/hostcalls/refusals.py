"""What an action sees of a call that failed: an exception that it can catch, and nothing of the host."""

from __future__ import annotations

from typing import Final

from ..errors import (
    CodeActError,
    ConfigurationError,
    InvalidCall,
    InvalidResult,
    JournalError,
    RunDiverged,
    ToolDenied,
    ToolFailed,
    ToolTimeout,
)
from ..invocation import without_host_paths
from ..sandbox.bridge import CallRefused
from ..signatures import Catalog
from ..wire import Codec, WireError

ENDS_THE_RUN: Final = (ConfigurationError, JournalError, RunDiverged)
"""Errors that are not the action's business."""
MOVE_ON: Final = "Repeating the call will not help; go on without it, or say that it is broken."


def refusal_of(tool: str, error: Exception, catalog: Catalog, codec: Codec) -> CallRefused:
    """What the action sees of ``error``: no host paths, no locals, no library jargon."""
    if isinstance(error, CallRefused):
        return error
    if isinstance(error, InvalidResult):
        return CallRefused(
            "InvalidResult", f"The tool {tool} misbehaved: its result does not fit its signature. {MOVE_ON}"
        )
    if isinstance(error, ToolFailed) and error.__cause__ is not None:
        return CallRefused("ToolFailed", str(error))
    if isinstance(error, InvalidCall | ToolTimeout | ToolDenied | ToolFailed):
        return CallRefused(type(error).__name__, str(error))
    if isinstance(error, CodeActError):
        return CallRefused("ToolFailed", f"{tool} failed.")
    return _declared(tool, error, catalog, codec)


def _declared(tool: str, error: Exception, catalog: Catalog, codec: Codec) -> CallRefused:
    """A declared exception keeps its class in the action."""
    message = without_host_paths(str(error))
    definition = catalog.by_python(type(error))
    if definition is None or definition.kind not in ("exception", "import"):
        return CallRefused("ToolFailed", f"{tool} failed: {type(error).__name__}: {message}")
    fields = {field.name: getattr(error, field.name, None) for field in definition.fields}
    try:
        encoded = {name: codec.encode(value) for name, value in fields.items()}
    except WireError:  # the exception counts, not what is attached to it
        encoded = {}
    return CallRefused(definition.name, message, encoded or None)
