"""What the model, and whoever resumes a run, reads of one action: observations, errors, differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from .approvals import CallRequest
from .checks import CheckResult
from .errors import ConfigurationError, LimitExceeded, RunPaused, SandboxError
from .events import CallRecord, Diverged, ExecutionError, Observation
from .journal import PastAction, Redactor
from .sandbox.base import Limits
from .sandbox.bridge import Outcome

_LIMITS: TypeAdapter[Limits] = TypeAdapter(Limits)
_LIMIT_OF: Final = {"MemoryError": "memory_mb", "[Errno 27]": "files_mb", "[Errno 28]": "files_mb"}
"""Which limit an exception of the action speaks of: no memory, a file too large (EFBIG), no space left (ENOSPC)."""


def paused(run_id: str, waiting: Sequence[CallRequest]) -> RunPaused:
    """The error of a run that waits for decisions about these calls."""
    calls = ", ".join(f"call {call.id} ({call.tool}: {call.reason})" for call in waiting)
    return RunPaused(
        f"The run {run_id} waits for a decision about {calls}. Decide with `codeact-tools runs approve {run_id} "
        f"{waiting[0].id}` (or --deny), then go on with `codeact-tools resume {run_id}`.",
        run_id=run_id,
        waiting=[CallRecord(id=call.id, tool=call.tool, arguments=call.arguments) for call in waiting],
    )


def differences(past: PastAction, now: Observation, redact: Redactor) -> list[Diverged]:
    """What an action shows now and did not show the first time, or the other way round."""
    before = past.observation
    if before is None:
        return []
    pairs = [
        ("printed", before.stdout, now.stdout),
        ("wrote to stderr", before.stderr, now.stderr),
        ("ended in", before.result or "", now.result or ""),
        ("failed with", _outline(before.error), _outline(now.error)),
    ]
    found: list[Diverged] = []
    for what, old, new in pairs:
        new = redact(new)
        if old != new:
            message = f"Action {past.number} {what} {first_difference(old, new)} when it was run again."
            found.append(Diverged(action=past.number, what="output", recorded=old, now=new, message=message))
    return found


def _outline(error: ExecutionError | None) -> str:
    return "" if error is None else f"{error.kind} {error.name}: {error.message}"


def first_difference(before: str, now: str) -> str:
    """Where two texts part, in a few words.

    >>> first_difference("a 1\\nb 2", "a 1\\nb 3")
    "'b 3' instead of 'b 2'"
    """
    for old, new in zip_longest(before.splitlines(), now.splitlines(), fillvalue=""):
        if old != new:
            return f"{new[:80]!r} instead of {old[:80]!r}"
    return f"{now[:80]!r} instead of {before[:80]!r}"


def cap_middle(text: str, most: int) -> str:
    """Return ``text``, or its beginning and its end with a marker between that counts what is left out.

    >>> cap_middle("abcdefghij" * 10, 60)
    'abcdefghijabc\\n[... 75 characters left out ...]\\nijabcdefghij'
    """
    if len(text) <= most:
        return text
    marker = "\n[... {} characters left out ...]\n"
    kept = max(most - len(marker.format(len(text))), 2)
    head, tail = text[: kept - kept // 2], text[len(text) - kept // 2 :]
    return head + marker.format(len(text) - kept) + tail


def read_limits(limits: Limits | Mapping[str, Any] | None) -> Limits:
    """The limits that an application gave.

    Raises:
        ConfigurationError: They cannot be used.
    """
    if isinstance(limits, Limits):
        return limits
    try:
        return _LIMITS.validate_python(dict(limits or {}))
    except (ValidationError, TypeError) as error:
        known = ", ".join(Limits.__dataclass_fields__)
        raise ConfigurationError(
            f"limits={limits!r} cannot be used: {first_problem(error)}. Known: {known}."
        ) from error


def first_problem(error: Exception) -> str:
    """The first of what pydantic found wrong, in a few words."""
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
    return str(error)


def refused(checked: CheckResult, most: int) -> Observation:
    """The observation of an action that the check refused."""
    message = checked.render()
    return Observation(
        text=cap_middle(f"The action was not run; nothing happened. Repair it:\n{message}", most),
        error=ExecutionError(kind="check", name="CheckFailed", message=message),
        findings=checked.findings,
    )


def echo(outcome: Outcome | None) -> str:
    """What the model reads of the last expression, or of the last value that was assigned without a word."""
    if outcome is None or outcome.result is None:
        return ""
    if outcome.assigned is None:
        return outcome.result
    break_line = "\n" if "\n" in outcome.result else " "
    return f"{outcome.assigned} ={break_line}{outcome.result}"


def guest_error(outcome: Outcome, limits: Limits) -> ExecutionError | None:
    """The error that ended an action, where there is one."""
    error = outcome.error
    if error is None:
        return None
    if (limit := _LIMIT_OF.get(error.type) or _LIMIT_OF.get(error.message[:10])) is not None:
        allowed = f"The sandbox allows {getattr(limits, limit)} MiB (limits.{limit}); use less at a time."
        return ExecutionError(
            kind="limit",
            name=error.type,
            message=f"{error.message} {allowed}".lstrip(),
            traceback=f"{error.traceback.rstrip()}\n{allowed}",
        )
    return ExecutionError(
        kind="python" if error.call is None else "tool",
        name=error.type,
        message=error.message,
        traceback=error.traceback,
    )


def fault_error(fault: SandboxError) -> ExecutionError:
    """The error of an action whose sandbox failed, or that exceeded a limit."""
    if isinstance(fault, LimitExceeded):
        return ExecutionError(kind="limit", name=fault.limit, message=str(fault), state_lost=fault.state_lost)
    return ExecutionError(kind="sandbox", name=type(fault).__name__, message=str(fault), state_lost=True)


def error_text(error: ExecutionError | None) -> str:
    """What the model reads of an error."""
    if error is None:
        return ""
    lost = "\nVariables are gone; the next action starts in a fresh interpreter." if error.state_lost else ""
    return (error.traceback or f"{error.name}: {error.message}") + lost
