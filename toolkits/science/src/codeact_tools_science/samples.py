"""Statistics of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from codeact_tools import tool

from .errors import InvalidData  # noqa: F401 - the docstrings declare them
from .workers import ask

Confidence = Annotated[float, Field(gt=0, lt=1)]


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A sample in numbers; ``sd`` is the sample's standard deviation (n - 1), None of a single value."""

    count: int
    mean: float
    sd: float | None
    standard_error: float | None
    minimum: float
    lower_quartile: float
    median: float
    upper_quartile: float
    maximum: float


@dataclass(frozen=True, kw_only=True)
class Regression:
    """The line y = intercept + slope * x; ``p_value`` is that of a slope of zero."""

    slope: float
    intercept: float
    slope_interval: Interval
    intercept_interval: Interval
    r_squared: float
    p_value: float
    residual_sd: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A t-test; ``difference`` is first minus second, ``effect_size`` Hedges' g."""

    difference: float
    interval: Interval
    confidence: float
    t: float
    degrees_of_freedom: float
    p_value: float
    effect_size: float


def _with_intervals(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: Interval(*value) if isinstance(value, list) else value for name, value in answer.items()}


@tool(read_only=True, idempotent=True)
def describe(values: Sequence[float]) -> Summary:
    """Summarise numbers: mean, standard deviation, quartiles.

    Args:
        values: The sample.

    Returns:
        Its summary.

    Raises:
        InvalidData: There are too few numbers, or they are constant, not finite or do not fit together.

    Examples:
        >>> describe([2.0, 4.0, 9.0]).mean
        5.0
    """
    return Summary(**ask("describe", values=list(values)))


@tool(read_only=True, idempotent=True)
def linear_regression(x: Sequence[float], y: Sequence[float], confidence: Confidence = 0.95) -> Regression:
    """Fit a straight line by least squares.

    Args:
        x: The known values.
        y: The measured ones, one for each of x.
        confidence: Of the intervals.

    Returns:
        The line, and how well it fits.

    Raises:
        InvalidData: There are too few numbers, or they are constant, not finite or do not fit together.

    Examples:
        >>> round(linear_regression([1, 2, 3, 4], [2.1, 3.9, 6.2, 7.8]).slope, 2)
        1.94
    """
    return Regression(**_with_intervals(ask("regression", x=list(x), y=list(y), confidence=confidence)))


@tool(read_only=True, idempotent=True)
def compare_means(
    first: Sequence[float], second: Sequence[float], paired: bool = False, confidence: Confidence = 0.95
) -> Comparison:
    """Test whether two samples differ in their mean (Welch's t-test).

    Args:
        first: One sample.
        second: The other one.
        paired: Whether both are of the same subjects, in the same order.
        confidence: Of the interval.

    Returns:
        The difference with its interval, p-value and effect size.

    Raises:
        InvalidData: There are too few numbers, or they are constant, not finite or do not fit together.

    Examples:
        >>> test = compare_means([5.1, 4.9, 5.6, 5.8], [4.2, 4.4, 4.1, 4.8])
        >>> round(test.difference, 3), test.p_value < 0.05
        (0.975, True)
    """
    return Comparison(
        **_with_intervals(
            ask("comparison", first=list(first), second=list(second), paired=paired, confidence=confidence)
        )
    )
