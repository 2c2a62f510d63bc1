"""What the tools of science raise; each message says what to write instead.

ScienceError
├── UnknownUnit
├── DimensionMismatch
├── UnknownConstant
├── UnsupportedExpression
├── NoSolution
├── InvalidData
└── TooHard
"""

from __future__ import annotations


class ScienceError(Exception):
    """Base of the errors of science."""


class UnknownUnit(ScienceError):
    """No unit has this name; the message has near ones."""


class DimensionMismatch(ScienceError):
    """Quantities of different dimensions are added, compared or converted."""


class UnknownConstant(ScienceError):
    """The table has no constant of this name; the message has near ones."""


class UnsupportedExpression(ScienceError):
    """A text is no expression that can be read."""

    position: int
    """Where, in characters from 0."""

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class NoSolution(ScienceError):
    """There is none, or a value is not defined."""


class InvalidData(ScienceError):
    """There are too few numbers, or they are constant, not finite or do not fit together."""


class TooHard(ScienceError):
    """It is larger than the limits, or takes longer."""
