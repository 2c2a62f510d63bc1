"""Units and constants of nature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from codeact_tools import tool

from .errors import (  # noqa: F401 - the docstrings declare them
    DimensionMismatch,
    InvalidData,
    NoSolution,
    TooHard,
    UnknownConstant,
    UnknownUnit,
    UnsupportedExpression,
)
from .workers import ask


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number with a unit."""

    magnitude: float
    unit: str
    text: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A constant of nature; ``uncertainty`` is the standard one, in the same unit, and 0 where it is exact."""

    name: str
    magnitude: float
    unit: str
    uncertainty: float
    text: str
    source: str


def _sent(value: float | str | Quantity) -> Any:
    return {"magnitude": value.magnitude, "unit": value.unit} if isinstance(value, Quantity) else value


@tool(read_only=True, idempotent=True)
def convert(quantity: str | Quantity, unit: str) -> Quantity:
    """Convert a quantity to another unit.

    Args:
        quantity: A number with its unit, e.g. "100 km/h".
        unit: The unit to convert to, e.g. "m/s".

    Returns:
        The same quantity in that unit; `.magnitude` is the number.

    Raises:
        UnknownUnit: No unit has this name; the message has near ones.
        DimensionMismatch: Quantities of different dimensions are added, compared or converted.
        UnsupportedExpression: A text is no expression that can be read.
        NoSolution: There is none, or a value is not defined.
        InvalidData: There are too few numbers, or they are constant, not finite or do not fit together.
        TooHard: It is larger than the limits, or takes longer.

    Examples:
        >>> convert("100 km/h", "m/s").text
        '27.7778 m/s'
    """
    return Quantity(**ask("convert", value=_sent(quantity), to=unit))


@tool(read_only=True, idempotent=True)
def calculate(
    expression: str, unit: str | None = None, values: Mapping[str, float | str | Quantity] | None = None
) -> Quantity:
    """Calculate with numbers and units.

    Args:
        expression: E.g. "5 kg * 9.81 m/s^2 * 2 m", or with names: "m * g * h".
        unit: Unit of the result, e.g. "J".
        values: What the names stand for, e.g. {"m": "5 kg"}; other names are units.

    Returns:
        The result; `.magnitude` is the number.

    Raises:
        UnknownUnit: No unit has this name; the message has near ones.
        DimensionMismatch: Quantities of different dimensions are added, compared or converted.
        UnsupportedExpression: A text is no expression that can be read.
        NoSolution: There is none, or a value is not defined.
        InvalidData: There are too few numbers, or they are constant, not finite or do not fit together.
        TooHard: It is larger than the limits, or takes longer.

    Examples:
        >>> calculate("m * v^2 / 2", unit="kJ", values={"m": "1200 kg", "v": "90 km/h"}).text
        '375 kJ'
    """
    given = {name: _sent(value) for name, value in (values or {}).items()}
    return Quantity(**ask("calculate", expression=expression, unit=unit, values=given))


@tool(read_only=True, idempotent=True)
def constant(name: str) -> Constant:
    """Look up a constant of nature (CODATA 2022).

    Args:
        name: Its name or symbol, e.g. "electron mass" or "m_e".

    Returns:
        Its value, unit and uncertainty.

    Raises:
        UnknownConstant: The table has no constant of this name; the message has near ones.

    Examples:
        >>> constant("speed of light").text
        '299792458.0 m s^-1'
    """
    return Constant(**ask("constant", name=name))


@tool(read_only=True, idempotent=True)
def find_constants(words: str, limit: Annotated[int, Field(ge=1, le=100)] = 10) -> list[Constant]:
    """Find constants of nature by words of their names.

    Args:
        words: Words that the name has, e.g. "electron mass".
        limit: At most this many, the shortest names first.

    Returns:
        The constants; an empty list where there is none.

    Examples:
        >>> [each.name for each in find_constants("planck", limit=2)]
        ['Planck mass', 'Planck time']
    """
    return [Constant(**each) for each in ask("search", words=words, limit=limit)]
