"""Equations and expressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from codeact_tools import tool

from .errors import InvalidData, NoSolution, TooHard, UnsupportedExpression  # noqa: F401 - the docstrings declare them
from .workers import ask


@dataclass(frozen=True, kw_only=True)
class Exact:
    """An exact expression, and its value where it is a number."""

    text: str
    value: float | complex | None


@dataclass(frozen=True, kw_only=True)
class Integral:
    """An antiderivative, or the value between bounds with its largest error (0 where ``text`` is exact)."""

    text: str
    value: float | complex | None
    error: float | None


def _value(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer of the engine, where a complex number is a list."""
    value = answer["value"]
    return {**answer, "value": complex(*value) if isinstance(value, list) else value}


@tool(read_only=True, idempotent=True)
def solve(equations: str | Sequence[str], unknowns: str | Sequence[str]) -> list[dict[str, Exact]]:
    """Solve equations exactly.

    Args:
        equations: One or several, e.g. "x^2 - 5*x + 6 = 0".
        unknowns: What to solve for, e.g. "x" or ["x", "y"].

    Returns:
        Each solution as {name: Exact}; `[0]["x"].value` is a number.

    Raises:
        NoSolution: There is none, or a value is not defined.
        UnsupportedExpression: A text is no expression that can be read.
        InvalidData: There are too few numbers, or they are constant, not finite or do not fit together.
        TooHard: It is larger than the limits, or takes longer.

    Examples:
        >>> [solution["x"].value for solution in solve("x^2 - 5*x + 6 = 0", "x")]
        [2.0, 3.0]
    """
    given = [equations] if isinstance(equations, str) else list(equations)
    names = [unknowns] if isinstance(unknowns, str) else list(unknowns)
    found = ask("solve", equations=given, unknowns=names)
    return [{name: Exact(**_value(each)) for name, each in solution.items()} for solution in found]


@tool(read_only=True, idempotent=True)
def simplify(expression: str, form: Literal["simple", "expanded", "factored"] = "simple") -> Exact:
    """Write an expression in another form.

    Args:
        expression: E.g. "(x + 1)^2".
        form: Which.

    Returns:
        The equal expression.

    Raises:
        UnsupportedExpression: A text is no expression that can be read.
        NoSolution: There is none, or a value is not defined.
        TooHard: It is larger than the limits, or takes longer.

    Examples:
        >>> simplify("(x + 1)^2", form="expanded").text
        'x**2 + 2*x + 1'
    """
    return Exact(**_value(ask("simplify", expression=expression, form=form)))


@tool(read_only=True, idempotent=True)
def differentiate(expression: str, variable: str | None = None, order: Annotated[int, Field(ge=1, le=10)] = 1) -> Exact:
    """Find a derivative.

    Args:
        expression: E.g. "x^3 + sin(x)".
        variable: By which; None: the only one.
        order: 2 for the second derivative.

    Returns:
        The derivative.

    Raises:
        UnsupportedExpression: A text is no expression that can be read.
        NoSolution: There is none, or a value is not defined.
        TooHard: It is larger than the limits, or takes longer.

    Examples:
        >>> differentiate("x^3 + sin(x)").text
        '3*x**2 + cos(x)'
    """
    return Exact(**_value(ask("differentiate", expression=expression, variable=variable, order=order)))


@tool(read_only=True, idempotent=True)
def integrate(
    expression: str,
    variable: str | None = None,
    lower: float | str | None = None,
    upper: float | str | None = None,
) -> Integral:
    """Integrate an expression: between bounds to a number, without them to an antiderivative.

    Args:
        expression: E.g. "x^2".
        variable: By which; None: the only one.
        lower: Lower bound: a number, or a text such as "-oo" or "pi/2".
        upper: Upper bound.

    Returns:
        The integral.

    Raises:
        UnsupportedExpression: A text is no expression that can be read.
        NoSolution: There is none, or a value is not defined.
        InvalidData: There are too few numbers, or they are constant, not finite or do not fit together.
        TooHard: It is larger than the limits, or takes longer.

    Examples:
        >>> integrate("x^2", lower=0, upper=1)
        Integral(text='1/3', value=0.3333333333333333, error=0.0)
    """
    return Integral(**_value(ask("integral", expression=expression, variable=variable, lower=lower, upper=upper)))
