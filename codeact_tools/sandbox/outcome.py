"""What an action left behind, and the checks of what the guest says about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeGuard

from ..errors import LimitExceeded
from ..wire import Json
from ..wire.scalars import clean
from .base import Limits

_LONGEST: Final = 64_000
"""Characters of a result, and of each part of an error."""
_MOST_FILES: Final = 5000
_MOST_NAMES: Final = 1000
_LONGEST_TYPE: Final = 400
_MOST_COUNTED: Final = 1 << 63
"""Of sizes, lines and bytes: larger numbers are no file's, and Python refuses to print those with thousands of digits.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestError:
    """The exception that ended an action."""

    type: str
    message: str
    traceback: str
    call: int | None
    """The call that raised it, if one did."""
    line: int | None
    """The line of the action that it passed through, in the action's outermost frame; None where nothing ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an action left behind; its output went to the handler."""

    result: str | None
    """``repr`` of the last expression; or of the value that `assigned` got."""
    error: GuestError | None
    files: list[tuple[str, int]]
    """Path and size of the files that it wrote."""
    dropped_output: int
    """Bytes of output beyond the limit."""
    calls: int
    assigned: str | None = None
    """The name that the last statement bound, where the action printed nothing: models forget to print."""
    names: Mapping[str, str] | None = None
    """The session's variables with the types of their values, ``module.Class`` or ``list[int]``, empty where they are
    not known; None where the guest does not tell. Hints from an untrusted guest: names and class names, nothing more.
    """


def bounded(text: str) -> str:
    """The text as it may be shown; an honest guest has cut it before."""
    half = _LONGEST // 2
    if len(text) > _LONGEST:
        text = f"{text[:half]}\n... [{len(text) - 2 * half:,} characters cut] ...\n{text[-half:]}"
    return clean(text)


def are_names(value: Json) -> bool:
    """Whether ``value`` maps names to types as a guest may write them."""
    return (
        isinstance(value, dict)
        and len(value) <= _MOST_NAMES
        and all(
            name.isidentifier()
            and isinstance(kind, str)
            and max(len(name), len(kind)) <= _LONGEST_TYPE
            and all(part.isidentifier() for part in re.split(r"[\[\]., ]+", kind) if part)
            for name, kind in value.items()
        )
    )


def is_count(value: Json) -> TypeGuard[int]:
    """Whether ``value`` is a number of something."""
    return type(value) is int and 0 <= value < _MOST_COUNTED


def read_error(value: Json) -> GuestError | None:
    """What the guest says about an exception; None where it is malformed, or none."""
    match value:
        case {"type": str(kind), "message": str(message), "traceback": str(traceback), "call": int() | None as call}:
            line = value.get("line")
            return GuestError(
                type=bounded(kind),
                message=bounded(message),
                traceback=bounded(traceback),
                call=call if is_count(call) else None,
                line=line if is_count(line) and line else None,
            )
    return None


def limit_error(limits: Limits, limit: str, *, state_lost: bool) -> LimitExceeded:
    """The error of an action that was stopped at a limit."""
    value = getattr(limits, limit, None)
    what = {
        "seconds": f"The action ran longer than {value:g} s",
        "cpu_seconds": f"The action used more than {value:g} s of CPU time",
        "calls": f"The action made more than {value} tool calls",
        "traffic_mb": f"The action sent more than {value} MiB of arguments and output",
        "output_kb": f"The action printed far more than {value} KiB",
    }[limit]
    end = "had to be killed, so its variables are lost" if state_lost else "was interrupted; its variables are kept"
    return LimitExceeded(f"{what} and {end}.", limit=limit, state_lost=state_lost)


def check_files(value: Json) -> list[tuple[str, int]] | None:
    """Validate a list of files; None where it is malformed."""
    if not isinstance(value, list) or len(value) > _MOST_FILES:
        return None
    files: list[tuple[str, int]] = []
    for entry in value:
        match entry:
            case [str(path), size] if is_count(size) and path and clean(path) == path and path[0] != "/":
                if ".." in path.split("/") or "\0" in path:
                    return None
                files.append((path, size))
            case _:
                return None
    return files
