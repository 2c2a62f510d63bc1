"""What the model, and whoever resumes a run, reads of one action: observations, errors, differences."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from .checks import CheckResult
from .errors import ConfigurationError, LimitExceeded, SandboxCrashed, SandboxError
from .events import Artifact, CallRecord, Diverged, ExecutionError, Observation, WarningRaised
from .journal import PastAction, Redactor
from .recall import Recall
from .sandbox.base import Limits
from .sandbox.bridge import Bridge, Outcome

_LIMITS: TypeAdapter[Limits] = TypeAdapter(Limits)
_COLLECTING_SECONDS: Final = 60.0
"""For all the files of an action, on top of what one answer may take: a guest could make each of thousands wait."""
_LIMIT_OF: Final = {"MemoryError": "memory_mb", "[Errno 27]": "files_mb", "[Errno 28]": "files_mb"}
"""Which limit an exception of the action speaks of: no memory, a file too large (EFBIG), no space left (ENOSPC)."""


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


def recovering(fault: SandboxCrashed) -> WarningRaised:
    """Tells that the sandbox has ended, and what becomes of its action."""
    return WarningRaised(
        message=f"{fault} A fresh sandbox takes its place: the variables are rebuilt from the journal, and the action "
        "is run again; calls that have been answered are not repeated."
    )


def unmade(recall: Recall) -> list[Diverged]:
    """The recorded calls of an unfinished action that it did not make again."""
    found: list[Diverged] = []
    for call in recall.left:
        tool = call.record.tool
        message = f"The action called {tool} the first time (call {call.key}), and not when it was run again."
        found.append(Diverged(action=recall.number, what="calls", recorded=tool, now="", message=message))
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


def counted(number: int, noun: str) -> str:
    """A number with what it counts.

    >>> counted(1, "action"), counted(2, "reply"), counted(0, "tool call")
    ('1 action', '2 replies', '0 tool calls')
    """
    if number != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("ly") else f"{noun}s"
    return f"{number:,} {noun}"


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


def observe(
    outcome: Outcome | None,
    error: ExecutionError | None,
    checked: CheckResult | None,
    *,
    output: Sequence[tuple[str, str]],
    calls: tuple[CallRecord, ...],
    artifacts: tuple[Artifact, ...],
    notice: str | None,
    notes: Sequence[str],
    most: int,
) -> Observation:
    """The observation of an action that ran.

    Args:
        outcome: How it ended in the guest; None where that is not known.
        error: What ended it.
        checked: What the check found before.
        output: What it printed: stream and text.
        calls: The calls that it made.
        artifacts: The files that it wrote.
        notice: What the model has to know first.
        notes: What it has to know last.
        most: Characters of the text.
    """
    notes = [*notes]
    if outcome is not None and outcome.dropped_output:
        notes.append(f"[{outcome.dropped_output:,} more bytes of output were dropped]")
    if checked is not None and checked.findings:
        notes.append("The check warns:\n" + checked.render())
    stdout = "".join(text for stream, text in output if stream == "stdout")
    stderr = "".join(text for stream, text in output if stream == "stderr")
    parts = [notice or "", stdout, stderr, _echo(outcome), _error_text(error), *notes]
    return Observation(
        text=cap_middle("\n".join(part.rstrip("\n") for part in parts if part.strip()), most),
        result=outcome.result if outcome and outcome.assigned is None else None,
        stdout=stdout,
        stderr=stderr,
        error=error,
        findings=checked.findings if checked else (),
        calls=calls,
        artifacts=artifacts,
    )


async def fetch_artifacts(bridge: Bridge, outcome: Outcome, limits: Limits) -> tuple[tuple[Artifact, ...], list[str]]:
    """Fetch the files that the action wrote, up to the limit; name those that stay inside."""
    if not outcome.files:
        return (), []
    artifacts: list[Artifact] = []
    left = limits.artifacts_mb << 20
    kept_inside: list[str] = []
    within = limits.seconds + _COLLECTING_SECONDS
    try:
        async with asyncio.timeout(within):
            for name, size in outcome.files:
                if size > left:
                    kept_inside.append(name)
                    continue
                try:
                    data = await bridge.get(name, most=left)
                except FileNotFoundError:  # a thread of the action has removed it since
                    continue
                except LimitExceeded:  # or makes it grow
                    kept_inside.append(name)
                    continue
                left -= len(data)
                media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
                artifacts.append(Artifact(name=name, media_type=media_type, data=data))
    except TimeoutError:
        raise SandboxCrashed(f"The guest did not hand out the action's files within {within:g} s.") from None
    notes = [f"[files: {', '.join(artifact.name for artifact in artifacts)}]"] if artifacts else []
    if kept_inside:
        notes.append(f"[too large to hand out ({limits.artifacts_mb} MiB per action): {', '.join(kept_inside)}]")
    return tuple(artifacts), notes


def _echo(outcome: Outcome | None) -> str:
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


def _error_text(error: ExecutionError | None) -> str:
    """What the model reads of an error."""
    if error is None:
        return ""
    lost = "\nVariables are gone; the next action starts in a fresh interpreter." if error.state_lost else ""
    return (error.traceback or f"{error.name}: {error.message}") + lost
