"""What goes wrong, as data: the host raises the class of its `errors` that has the name ``kind``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, Literal

Kind = Literal[
    "UnknownUnit",
    "DimensionMismatch",
    "UnknownConstant",
    "UnsupportedExpression",
    "NoSolution",
    "InvalidData",
    "TooHard",
]


class Fault(Exception):
    """A question that has no answer; the message tells the model what to write instead."""

    def __init__(self, kind: Kind, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.kind = kind
        self.fields = fields


def unsupported(message: str, position: int) -> Fault:
    """The text of an expression is wrong at ``position``."""
    return Fault("UnsupportedExpression", f"{message} (position {position})", position=position)


def nearest(name: str, known: Iterable[str]) -> str:
    """Part of a sentence with the names that are most like ``name``; empty where none is.

    >>> nearest("metre2", ["metre", "second"])
    "; did you mean 'metre'?"
    """
    by_folded: dict[str, str] = {}
    for each in known:
        by_folded.setdefault(each.casefold(), each)
    matches = get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.7)
    return f"; did you mean {' or '.join(repr(by_folded[match]) for match in matches)}?" if matches else ""


@contextmanager
def defined(what: str) -> Iterator[None]:
    """Turn the errors of arithmetic into faults.

    Args:
        what: What is computed: ``1 / x at x = 0``.
    """
    try:
        yield
    except ZeroDivisionError as error:
        raise Fault("NoSolution", f"{what} divides by zero") from error
    except OverflowError as error:
        raise Fault("NoSolution", f"{what} is too large for a number") from error
    except ValueError as error:
        raise Fault("NoSolution", f"{what} is not defined ({error})") from error
