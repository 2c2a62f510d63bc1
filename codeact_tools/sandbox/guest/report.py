"""An exception as the model reads it: the action's own lines, with their source."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .display import cut
from .hints import hint
from .interrupts import ACTION

if TYPE_CHECKING:
    from types import TracebackType

_MESSAGE = 4000
_TRACEBACK = 12000
_CAUSES = 8
_NAME_OF = type.__dict__["__name__"].__get__
_TRACEBACK_OF: Callable[[BaseException], TracebackType | None] = BaseException.__dict__["__traceback__"].__get__
"""Read as Python itself does: a class could answer with code of its own."""
Report = dict[str, Any]


def describe(error: BaseException, names: Mapping[str, Any]) -> Report:
    """Return type, message and trimmed traceback.

    ``call`` is the tool call that raised the error, if one did; ``line`` the action's line, in its outermost frame.
    """
    more = hint(error, names)
    try:
        summary = traceback.TracebackException(type(error), error, error.__traceback__, compact=True, limit=-400)
        _trim(summary, _CAUSES)
        lines = "".join(summary.format(chain=True)).rstrip() + more
    except Exception as trouble:  # the exception's own methods may raise anything
        lines = f"{headline(error)} (its traceback cannot be shown: {type(trouble).__name__})"
    return {
        "type": type(error).__name__,
        "message": cut(_text(error) + more, _MESSAGE),
        "traceback": cut(lines, _TRACEBACK),
        "call": _call(error),
        "line": _line(error),
    }


def bare(error: BaseException) -> Report:
    """`describe` for an exception that cannot be looked at without harm."""
    name = _NAME_OF(type(error))
    text = "it cannot be shown: its own methods fail"
    return {"type": name, "message": text, "traceback": f"{name} ({text})", "call": None, "line": _line(error)}


def headline(error: BaseException) -> str:
    """Type and message in one line."""
    return f"{type(error).__name__}: {_text(error)}"


def _text(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.msg} (line {error.lineno})"
    try:
        return str(error)
    except Exception:
        return "(its message cannot be shown)"


def _trim(summary: traceback.TracebackException, depth: int) -> None:
    """Keep the frames that are the action's own, here and in what led to it."""
    frames = [frame for frame in summary.stack if frame.filename.startswith(ACTION)]
    summary.stack = traceback.StackSummary.from_list(
        [(frame.filename, frame.lineno or 0, frame.name, frame.line) for frame in frames]
    )
    if not depth:
        summary.__cause__ = summary.__context__ = None
    for linked in (summary.__cause__, summary.__context__, *(getattr(summary, "exceptions", None) or ())):
        if linked is not None:
            _trim(linked, depth - 1)


def _call(error: BaseException) -> int | None:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    call = getattr(error, "_call", None)
    return call if isinstance(call, int) else None


def _line(error: BaseException) -> int | None:
    """The line of the action where the error passed through; None where nothing of it ran."""
    step = _TRACEBACK_OF(error)
    while step is not None:
        code = step.tb_frame.f_code
        if code.co_filename.startswith(ACTION) and code.co_name == "<module>":
            return step.tb_lineno
        step = step.tb_next
    return None
