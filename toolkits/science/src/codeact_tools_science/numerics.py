"""Roots, minima and differential equations, as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from codeact_tools import tool

from .errors import InvalidData, NoSolution, TooHard, UnsupportedExpression  # noqa: F401 - the docstrings declare them
from .workers import ask


@dataclass(frozen=True, kw_only=True)
class Root:
    """Where an expression is zero; ``residual`` is what is left of it there."""

    value: float
    residual: float
    evaluations: int


@dataclass(frozen=True, kw_only=True)
class Minimum:
    """The least value that was found, and where."""

    point: dict[str, float]
    value: float
    evaluations: int


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """The variables of a system over time; ``values["x"][-1]`` is the last value of x."""

    times: list[float]
    values: dict[str, list[float]]


@tool(read_only=True, idempotent=True)
def find_root(expression: str, lower: float, upper: float, variable: str | None = None) -> Root:
    """Find a root of any equation between two bounds, as a number.

    Args:
        expression: An equation, or what is to be zero: "cos(x) = x".
        lower: Where to begin.
        upper: Where to end.
        variable: The unknown; None: the only one.

    Returns:
        The first root where the sign changes.

    Raises:
        NoSolution: There is none, or a value is not defined.
        UnsupportedExpression: A text is no expression that can be read.
        InvalidData: There are too few numbers, or they are constant, not finite or do not fit together.
        TooHard: It is larger than the limits, or takes longer.

    Examples:
        >>> round(find_root("cos(x) = x", 0, 2).value, 6)
        0.739085
    """
    return Root(**ask("root", expression=expression, lower=lower, upper=upper, variable=variable))


@tool(read_only=True, idempotent=True)
def minimise(expression: str, bounds: Mapping[str, tuple[float, float]]) -> Minimum:
    """Find the least value of an expression within bounds; for the greatest, minimise its negative.

    Args:
        expression: E.g. "(x - 1)^2 + y^2".
        bounds: Each variable's lowest and highest value, e.g. {"x": (-5, 5), "y": (-5, 5)}.

    Returns:
        The point and the value there.

    Raises:
        NoSolution: There is none, or a value is not defined.
        UnsupportedExpression: A text is no expression that can be read.
        InvalidData: There are too few numbers, or they are constant, not finite or do not fit together.
        TooHard: It is larger than the limits, or takes longer.

    Examples:
        >>> round(minimise("x^2 - 4*x", {"x": (-10, 10)}).point["x"], 4)
        2.0
    """
    return Minimum(**ask("minimum", expression=expression, bounds=dict(bounds)))


@tool(read_only=True, idempotent=True)
def solve_ode(
    equations: Mapping[str, str],
    start: Mapping[str, float],
    end: float,
    begin: float = 0.0,
    points: Annotated[int, Field(ge=2, le=1000)] = 11,
) -> Trajectory:
    """Solve differential equations of first order over the time t.

    Args:
        equations: The slope of each variable, e.g. {"x": "v", "v": "-9.81 - 0.1*v"}.
        start: Each variable's value at the beginning.
        end: The time at which to end.
        begin: The time at which to begin.
        points: How many times to report, evenly spaced, both ends included.

    Returns:
        The values at these times.

    Raises:
        NoSolution: There is none, or a value is not defined.
        UnsupportedExpression: A text is no expression that can be read.
        InvalidData: There are too few numbers, or they are constant, not finite or do not fit together.
        TooHard: It is larger than the limits, or takes longer.

    Examples:
        >>> decay = solve_ode({"n": "-0.5*n"}, {"n": 100}, end=2)
        >>> round(decay.values["n"][-1], 3)
        36.788
    """
    answer = ask("trajectory", equations=dict(equations), start=dict(start), begin=begin, end=end, points=points)
    return Trajectory(**answer)
