"""codeact_tools: a language model acts by writing Python, checked before it runs, in a sandbox of your tools."""

from .agent import CodeActAgent, Conversation, RunResult
from .checks import Checker, CheckResult
from .dialects import Dialect
from .events import Artifact, CallRecord, Event, ExecutionError, Finding, Observation, Usage
from .registry import ToolRegistry
from .sandbox.base import Limits
from .session import Session
from .tools import Effects, ToolContext, Toolkit, ToolSpec, tool

__version__ = "0.1.0"

__all__ = [
    "Artifact",
    "CallRecord",
    "CheckResult",
    "Checker",
    "CodeActAgent",
    "Conversation",
    "Dialect",
    "Effects",
    "Event",
    "ExecutionError",
    "Finding",
    "Limits",
    "Observation",
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
