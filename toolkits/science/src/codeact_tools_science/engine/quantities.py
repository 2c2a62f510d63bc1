"""Units: the vocabulary of Pint's registry. Pint never sees a text longer than one name: it would evaluate it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import pint

from .faults import Fault, defined, nearest, unsupported
from .grammar import parse
from .walking import Walk

LARGEST_POWER: Final = 20
"""Of a unit."""

Given = float | str | dict[str, Any]
"""A value that comes with a question: a number, ``"3 m/s"``, or magnitude and unit."""


@cache
def registry() -> pint.UnitRegistry[float]:
    """Pint's own definitions; nothing that a question says adds to them."""
    return pint.UnitRegistry(on_redefinition="raise", cache_folder=None)


def convert(value: Given, to: str) -> dict[str, Any]:
    """A quantity in another unit."""
    return _answer(_in_unit(_given(value, {}), to))


def calculate(expression: str, unit: str | None, values: Mapping[str, Given]) -> dict[str, Any]:
    """The value of an expression of quantities."""
    known = {name: _given(value, {}) for name, value in values.items()}
    result = _evaluate(expression, known)
    return _answer(result if unit is None else _in_unit(result, unit))


def _evaluate(expression: str, known: Mapping[str, Any]) -> Any:
    return Walk(Quantities(known))(parse(expression, units=True))


def _given(value: Given, known: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return _evaluate(value, known)
    if isinstance(value, dict):
        return registry().Quantity(_finite(value["magnitude"]), _unit(value["unit"]))
    return registry().Quantity(_finite(value), "")


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise Fault("InvalidData", f"{value} is not a finite number")
    return float(value)


def _unit(text: str) -> Any:
    """A unit from a text such as ``kg*m/s^2``."""
    if text.strip() in ("", "1", "dimensionless"):
        return registry().Unit("")
    result = _evaluate(text, {})
    if result.magnitude != 1:
        raise Fault("UnknownUnit", f"{text!r} is a quantity, not a unit; leave the number out")
    return result.units


def _in_unit(quantity: Any, unit: str) -> Any:
    target = _unit(unit)
    try:
        return quantity.to(target)
    except pint.DimensionalityError as error:
        fault = _mismatch(quantity.units, target, "cannot be converted to")
        if quantity.dimensionless:
            fault = Fault(fault.kind, f"{fault}; write each number with its unit, e.g. '2 km + 300 m'")
        raise fault from error


def _mismatch(left: Any, right: Any, relation: str) -> Fault:
    return Fault(
        "DimensionMismatch", f"{_spelled(left)} ({_dimension(left)}) {relation} {_spelled(right)} ({_dimension(right)})"
    )


def _spelled(unit: Any) -> str:
    return repr(str(unit)) if not unit.dimensionless else "a plain number"


def _dimension(unit: Any) -> str:
    return str(unit.dimensionality).replace("[", "").replace("]", "").replace("dimensionless", "no dimension")


def _answer(quantity: Any) -> dict[str, Any]:
    magnitude = quantity.magnitude
    if isinstance(magnitude, complex) or not math.isfinite(magnitude):
        raise Fault("NoSolution", f"the result is {magnitude}, which is no real number")
    short = f"{quantity.units:~P}"
    return {
        "magnitude": float(magnitude),
        "unit": "" if quantity.units.dimensionless and not short else str(quantity.units),
        "text": f"{magnitude:.6g} {short}".strip(),
    }


class Quantities:
    """Names are units, after those that the question gives."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = known
        self.functions: Mapping[str, Callable[..., Any]] = _FUNCTIONS

    def number(self, text: str) -> Any:
        """A number without a unit."""
        return registry().Quantity(float(text), "")

    def name(self, name: str, _at: int) -> Any:
        """One of a unit; ``pi`` is a number."""
        if name in self._known:
            return self._known[name]
        if name == "pi":
            return registry().Quantity(math.pi, "")
        unit = {"%": "percent", "Ω": "ohm"}.get(name, name)  # the second is the sign for ohm, not the Greek letter
        if not _is_unit(unit):
            hint = nearest(name, [*self._known, *_unit_names()])
            raise Fault("UnknownUnit", f"no unit is named {name!r}{hint}")
        return registry().Quantity(1.0, unit)

    def operate(self, operator: str, left: Any, right: Any, at: int) -> Any:
        """Arithmetic that minds the units."""
        try:
            with defined(f"the {_NOUNS[operator]} of {left:~P} and {right:~P}"):
                return self._operate(operator, left, right, at)
        except pint.DimensionalityError as error:
            raise _mismatch(left.units, right.units, _RELATIONS[operator]) from error
        except pint.OffsetUnitCalculusError as error:
            raise Fault(
                "DimensionMismatch",
                f"temperatures in {left.units:~P} and {right.units:~P} cannot be combined by {operator!r}, because "
                "their zero is arbitrary; convert them to kelvin, or write a difference as delta_degC",
            ) from error

    def _operate(self, operator: str, left: Any, right: Any, at: int) -> Any:
        match operator:
            case "+":
                return left + right
            case "-":
                return left - right
            case "/":
                return left / right
            case "^":
                return self._power(left, right, at)
        if right.magnitude == 1 and left.units == registry().Unit("") and not right._is_multiplicative:
            return registry().Quantity(left.magnitude, right.units)  # "20 degC"
        return left * right

    def _power(self, base: Any, exponent: Any, at: int) -> Any:
        power = exponent.to("").magnitude
        if base.units.dimensionless:
            return registry().Quantity(_real(base.to("").magnitude ** power, base), "")
        if abs(power) > LARGEST_POWER:
            raise unsupported(f"{base.units:~P} to the power of {power:g} is out of range", at)
        return base ** (int(power) if power == int(power) else power)


_NOUNS: Final = {"+": "sum", "-": "difference", "*": "product", "/": "quotient", "^": "power"}
_RELATIONS: Final = {
    "+": "cannot be added to",
    "-": "cannot be subtracted from",
    "*": "cannot be multiplied by",
    "/": "cannot be divided by",
    "^": "cannot be raised to",
}


def _is_unit(name: str) -> bool:
    """Whether it is a unit with at most one prefix; Pint would prefix again what it has met, such as a kilometer."""
    found = registry().parse_unit_name(name)
    return any(
        not prefix or not any(inner for inner, _, _ in registry().parse_unit_name(base)) for prefix, base, _ in found
    )


@cache
def _unit_names() -> tuple[str, ...]:
    units = registry()
    symbols = [units.get_symbol(name) for name in units]
    prefixed = [
        f"{prefix}{name}" for prefix in ("kilo", "milli", "centi", "mega") for name in ("meter", "gram", "watt")
    ]
    return tuple(dict.fromkeys([*units, *symbols, *prefixed, "km", "cm", "mm", "kg", "mg", "kW", "kWh", "MW", "kPa"]))


def _real(value: Any, of: Any) -> float:
    if isinstance(value, complex):
        raise Fault("NoSolution", f"a root of {of:~P} is no real number")
    return float(value)


def _plain(function: Callable[..., float]) -> Callable[..., Any]:
    """A function of numbers without unit."""

    def apply(*arguments: Any) -> Any:
        try:
            numbers = [argument.to("").magnitude for argument in arguments]
        except pint.DimensionalityError as error:
            raise Fault(
                "DimensionMismatch", f"{function.__name__}() takes plain numbers, not {error.units1}"
            ) from error
        with defined(f"{function.__name__}({', '.join(f'{number:g}' for number in numbers)})"):
            return registry().Quantity(function(*numbers), "")

    return apply


def _angular(function: Callable[[float], float]) -> Callable[..., Any]:
    """A function of an angle; a plain number counts as radians."""

    def apply(angle: Any) -> Any:
        if not angle.check("[]"):
            raise Fault("DimensionMismatch", f"{function.__name__}() takes an angle, not {angle.units}")
        return registry().Quantity(function(angle.to("radian").magnitude), "")

    return apply


def _to_angle(function: Callable[..., float]) -> Callable[..., Any]:
    plain = _plain(function)
    return lambda *arguments: registry().Quantity(plain(*arguments).magnitude, "radian")


def _sqrt(value: Any) -> Any:
    if value.magnitude < 0:
        raise Fault("NoSolution", f"the root of {value:~P} is no real number")
    return value**0.5


def _extreme(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(first: Any, *others: Any) -> Any:
        for other in others:
            if not first.is_compatible_with(other):
                raise _mismatch(first.units, other.units, "cannot be compared with")
        return function(first, *others)

    return apply


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "sqrt": _sqrt,
    "abs": abs,
    "min": _extreme(lambda *values: min(values)),
    "max": _extreme(lambda *values: max(values)),
    **{name: _plain(getattr(math, name)) for name in ("exp", "log", "log10", "log2", "sinh", "cosh", "tanh")},
    "ln": _plain(math.log),
    **{name: _angular(getattr(math, name)) for name in ("sin", "cos", "tan")},
    **{name: _to_angle(getattr(math, name)) for name in ("asin", "acos", "atan", "atan2")},
}
