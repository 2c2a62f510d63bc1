"""Every exception that codeact_tools raises, in one tree.

    CodeActError
    ├── DeveloperError              the application's or a toolkit author's code is wrong
    │   ├── DefinitionError         a tool, a toolkit or a type cannot be registered
    │   ├── RegistryError           names clash, or a name is not registered
    │   ├── PluginError             an installed toolkit cannot be loaded
    │   └── ConfigurationError      an option, an extra, a key or a file is missing or wrong
    ├── ActionError                 the model's action is wrong, and the model can repair it
    │   ├── CheckFailed             the check refused the action; nothing ran
    │   └── InvalidCall             a call's arguments do not fit the tool's signature
    ├── ToolError                   the tool itself failed
    │   ├── ToolFailed              it raised
    │   ├── ToolTimeout             it took longer than its timeout
    │   ├── ToolDenied              its call is not authorized
    │   └── InvalidResult           it returned something else than it promised
    ├── SystemFault                 the sandbox or the model's endpoint failed
    │   ├── SandboxError
    │   │   ├── SandboxUnavailable  no sandbox can be opened here
    │   │   ├── SandboxCrashed      the guest ended unexpectedly
    │   │   ├── LimitExceeded       an action exceeded one of its limits
    │   │   └── ProtocolViolation   the guest sent something that the bridge does not allow
    │   ├── JournalError            the run cannot be recorded any further
    │   └── ModelError
    │       ├── ModelUnavailable    no such model, or it cannot be reached or loaded
    │       ├── ModelReplyError     the reply cannot be used: empty, cut off, repeated
    │       └── ContextOverflow     the conversation does not fit the model's window
    └── RunError                    a run ended without an answer
        ├── TurnLimitReached
        ├── RunLimitReached         it used up its tokens, seconds or money
        ├── AnswerInvalid           the final answer does not fit ``output_type``
        ├── RunPaused               it waits for somebody's decision, and can be resumed
        ├── RunDiverged             run again, it did something else than its journal says
        ├── RunBusy                 another process goes on with it
        └── RunNotFound             the journal knows no such run

Four audiences, four branches: developer, model, tool, system. An error of one is never shown as one of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .events import CallRecord


class CodeActError(Exception):
    """Base of all errors of this library."""


class DeveloperError(CodeActError):
    """The application's or a toolkit author's code is wrong; the message says where and what to write instead."""


class DefinitionError(DeveloperError):
    """A tool, a toolkit or a type cannot be registered; the message names file and line."""


class RegistryError(DeveloperError):
    """Two tools claim one name, or a name is asked for that nothing registered."""


class PluginError(DeveloperError):
    """An installed toolkit cannot be loaded; the message names its distribution, the cause and the remedy."""


class ConfigurationError(DeveloperError):
    """An option, an optional dependency, a key or a file is missing or wrong."""


class ActionError(CodeActError):
    """The model's action is wrong; the message is written for the model, so that it can repair the action."""


class CheckFailed(ActionError):
    """The check before the run refused the action, so nothing of it ran."""


class InvalidCall(ActionError):
    """A tool call's arguments do not fit the tool's signature."""


class ToolError(CodeActError):
    """A tool failed on the host."""


class ToolFailed(ToolError):
    """The tool raised an exception; it is this error's ``__cause__``."""


class ToolTimeout(ToolError):
    """The tool took longer than its timeout."""


class ToolDenied(ToolError):
    """The call is not authorized for this run."""


class InvalidResult(ToolError):
    """The tool returned a value that does not fit its return annotation."""


class SystemFault(CodeActError):
    """The sandbox or the model failed, not the action and not the tool."""


class SandboxError(SystemFault):
    """The sandbox failed."""


class SandboxUnavailable(SandboxError):
    """No sandbox of the requested kind can be opened on this machine; the message says why and what would help."""


class SandboxCrashed(SandboxError):
    """The guest ended unexpectedly; the interpreter's state is lost."""


class LimitExceeded(SandboxError):
    """An action exceeded one of its limits."""

    def __init__(self, message: str, *, limit: str, state_lost: bool) -> None:
        super().__init__(message)
        self.limit = limit
        """The field of `Limits` that was exceeded."""
        self.state_lost = state_lost
        """Whether the interpreter had to be killed, which loses its variables."""


class ProtocolViolation(SandboxError):
    """The guest sent something that the bridge does not allow; the session is over, the host is unharmed."""


class JournalError(SystemFault):
    """The run's record cannot be written or read; nothing happens that is not recorded."""


class ModelError(SystemFault):
    """The language model failed."""


class ModelUnavailable(ModelError):
    """No such model, or it cannot be reached or loaded; the message says what to do."""


class ModelReplyError(ModelError):
    """The model's reply cannot be used: it is empty, cut off or repeats itself."""


class ContextOverflow(ModelError):
    """The conversation does not fit the model's context window."""

    def __init__(self, message: str, *, needed: int | None = None, allowed: int | None = None) -> None:
        super().__init__(message)
        self.needed = needed
        """Tokens of the conversation, where the model said so."""
        self.allowed = allowed
        """Tokens of the window, where the model said so."""


class RunError(CodeActError):
    """A run ended without an answer."""


class TurnLimitReached(RunError):
    """The model used all its turns and gave no answer."""


class AnswerInvalid(RunError):
    """The final answer does not fit the requested ``output_type``."""


class RunLimitReached(RunError):
    """The run used up what it was allowed: tokens, seconds or cost."""


class RunPaused(RunError):
    """The run waits for somebody's decision about a call; `CodeActAgent.resume` goes on with it, in any process."""

    def __init__(self, message: str, *, run_id: str, waiting: Sequence[CallRecord] = ()) -> None:
        super().__init__(message)
        self.run_id = run_id
        self.waiting = tuple(waiting)
        """The calls to be decided about."""


class RunDiverged(RunError):
    """Run again with its recorded tool results, the run did something else than its journal says."""


class RunBusy(RunError):
    """Another process goes on with this run."""


class RunNotFound(RunError):
    """The journal knows no such run."""
