"""How the command ends: exit codes, and errors as one or a few lines."""

from __future__ import annotations

from enum import IntEnum

from ..errors import (
    CodeActError,
    DeveloperError,
    ModelUnavailable,
    RunBusy,
    RunNotFound,
    RunPaused,
    SandboxUnavailable,
)


class Exit(IntEnum):
    """The exit codes; ``--help`` documents them."""

    ANSWER = 0
    """The command did what it should; a run gave an answer."""
    FAILED = 1
    """A run ended without an answer."""
    USAGE = 2
    """An option, a file, a toolkit or a tool is wrong."""
    MODEL = 3
    """No model can be reached or loaded."""
    SANDBOX = 4
    """No sandbox can be opened."""
    PAUSED = 5
    """The run waits for a decision."""
    CANCELLED = 130
    """Ctrl-C, as shells count it."""
    NO_READER = 141
    """Nobody reads the output any more (``| head``), as shells count it."""


def exit_code(error: CodeActError) -> Exit:
    """Return the exit code that an error stands for."""
    match error:
        case RunPaused():
            return Exit.PAUSED
        case RunNotFound() | RunBusy():
            return Exit.USAGE
        case DeveloperError():
            return Exit.USAGE
        case ModelUnavailable():
            return Exit.MODEL
        case SandboxUnavailable():
            return Exit.SANDBOX
        case _:
            return Exit.FAILED
