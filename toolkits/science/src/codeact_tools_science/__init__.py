"""The toolkit ``science``: units, constants of nature, equations, calculus, statistics. It needs no network."""

from __future__ import annotations

from codeact_tools import Toolkit

from .algebra import Exact, Integral, differentiate, integrate, simplify, solve
from .demonstrations import DEMONSTRATIONS
from .errors import (
    DimensionMismatch,
    InvalidData,
    NoSolution,
    ScienceError,
    TooHard,
    UnknownConstant,
    UnknownUnit,
    UnsupportedExpression,
)
from .numerics import Minimum, Root, Trajectory, find_root, minimise, solve_ode
from .quantities import Constant, Quantity, calculate, constant, convert, find_constants
from .samples import Comparison, Interval, Regression, Summary, compare_means, describe, linear_regression

__all__ = [
    "Comparison",
    "Constant",
    "DimensionMismatch",
    "Exact",
    "Integral",
    "Interval",
    "InvalidData",
    "Minimum",
    "NoSolution",
    "Quantity",
    "Regression",
    "Root",
    "ScienceError",
    "Summary",
    "TooHard",
    "Trajectory",
    "UnknownConstant",
    "UnknownUnit",
    "UnsupportedExpression",
    "calculate",
    "compare_means",
    "constant",
    "convert",
    "describe",
    "differentiate",
    "find_constants",
    "find_root",
    "integrate",
    "linear_regression",
    "minimise",
    "simplify",
    "solve",
    "solve_ode",
    "toolkit",
]

toolkit = Toolkit(
    "science",
    tools=[
        convert,
        calculate,
        constant,
        find_constants,
        solve,
        simplify,
        differentiate,
        integrate,
        find_root,
        minimise,
        solve_ode,
        describe,
        linear_regression,
        compare_means,
    ],
    version="0.1.0",
    summary="Units, constants of nature, equations, calculus and statistics.",
    demonstrations=DEMONSTRATIONS,
    instructions="Let these tools compute; do not compute in your head.",
)
"""What the entry point ``science`` names."""
