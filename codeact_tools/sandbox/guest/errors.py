"""The exceptions that calls raise in an action; importable from `tools`."""

from __future__ import annotations


class ToolError(Exception):
    """A tool failed."""


class ToolFailed(ToolError):
    """The tool raised an exception that its documentation does not name."""


class InvalidCall(ToolError, TypeError):
    """The arguments do not fit the tool's signature; the message says how to repair the call."""


class ToolTimeout(ToolError, TimeoutError):
    """The tool took too long."""


class ToolDenied(ToolError):
    """The call is not allowed."""


class InvalidResult(ToolError):
    """The tool misbehaved: it returned something else than it promised."""


ERRORS = (ToolError, ToolFailed, InvalidCall, ToolTimeout, ToolDenied, InvalidResult)
"""All of them."""
