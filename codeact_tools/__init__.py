"""codeact_tools: a language model acts by writing Python, checked before it runs, in a sandbox of your tools."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .agent import CodeActAgent
    from .approvals import Allow, Ask, CallRequest, Deny, Done
    from .budget import RunLimits
    from .checks import Checker, CheckResult
    from .conversation import Conversation, RunResult
    from .dialects import Dialect
    from .events import Artifact, CallRecord, Event, ExecutionError, Finding, Observation, Usage
    from .journal import Journal
    from .registry import ToolRegistry
    from .sandbox.base import Limits
    from .session import Session
    from .tools import Demonstration, Depends, Effects, Opaque, ToolContext, Toolkit, ToolSpec, tool

__version__ = "0.1.0"

__all__ = [
    "Allow",
    "Artifact",
    "Ask",
    "CallRecord",
    "CallRequest",
    "CheckResult",
    "Checker",
    "CodeActAgent",
    "Conversation",
    "Demonstration",
    "Deny",
    "Depends",
    "Dialect",
    "Done",
    "Effects",
    "Event",
    "ExecutionError",
    "Finding",
    "Journal",
    "Limits",
    "Observation",
    "Opaque",
    "RunLimits",
    "RunResult",
    "Session",
    "ToolContext",
    "ToolRegistry",
    "ToolSpec",
    "Toolkit",
    "Usage",
    "__version__",
    "tool",
]

_HOMES = {
    "agent": ("CodeActAgent",),
    "approvals": ("Allow", "Ask", "CallRequest", "Deny", "Done"),
    "budget": ("RunLimits",),
    "checks": ("CheckResult", "Checker"),
    "conversation": ("Conversation", "RunResult"),
    "dialects": ("Dialect",),
    "events": ("Artifact", "CallRecord", "Event", "ExecutionError", "Finding", "Observation", "Usage"),
    "journal": ("Journal",),
    "registry": ("ToolRegistry",),
    "sandbox.base": ("Limits",),
    "session": ("Session",),
    "tools": ("Demonstration", "Depends", "Effects", "Opaque", "ToolContext", "ToolSpec", "Toolkit", "tool"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a name where it is first used, so that a toolkit that only needs ``tool`` does not load an agent."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
