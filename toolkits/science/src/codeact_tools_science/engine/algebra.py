"""The vocabulary of symbols, and what SymPy does with it. SymPy never sees text: its own readers evaluate it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import sympy
from sympy.core.function import AppliedUndef

from .faults import Fault, defined, unsupported
from .grammar import Equation, Node, names_in, parse, parse_equation
from .walking import Walk

MOST_BITS: Final = 20_000
"""Of a power of two numbers: 9**9**9 has 1.2 thousand million."""
LARGEST_POWER: Final = 200
"""Of anything but a number: larger ones would be expanded into thousands of terms."""
LARGEST_FACTORIAL: Final = 1000
MOST_UNKNOWNS: Final = 10
LONGEST_RESULT: Final = 2000
"""Characters of a result that no decimal number can stand for."""
LONGEST_EXACT: Final = 100
"""Characters of a number; a longer one is written as a decimal."""

_SYMBOL: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}")


def symbol(name: str, at: int = 0) -> sympy.Symbol:
    """A variable of this name.

    Raises:
        Fault: It is not made of plain letters, digits and underscores.
    """
    if not _SYMBOL.fullmatch(name):
        raise unsupported(f"{name!r} cannot name a variable; use up to 31 of A-Z, a-z, 0-9 and _", at)
    return sympy.Symbol(name)


class Symbols:
    """Names are variables; those that the question does not claim may be ``pi``, ``e``, ``I`` and ``oo``."""

    def __init__(self, claimed: Sequence[str] = ()) -> None:
        self._claimed = {name: symbol(name) for name in claimed}
        self.functions: Mapping[str, Callable[..., Any]] = _FUNCTIONS

    def number(self, text: str) -> Any:
        """An exact number: 0.1 is a tenth."""
        return sympy.Rational(text)

    def name(self, name: str, at: int) -> Any:
        """A variable, or a constant."""
        return self._claimed[name] if name in self._claimed else _CONSTANTS.get(name) or symbol(name, at)

    def operate(self, operator: str, left: Any, right: Any, at: int) -> Any:
        """Arithmetic, with powers within limits."""
        match operator:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "/":
                if right.is_zero:
                    raise Fault("NoSolution", f"there is a division by zero (position {at})")
                return left / right
        return _power(left, right, at)


def _power(base: Any, exponent: Any, at: int) -> Any:
    if exponent.is_Number:
        size = abs(float(exponent)) if exponent.is_finite else math.inf
        if base.is_Number and base.is_finite and base not in (0, 1, -1):
            bits = size * max(1.0, abs(float(sympy.log(abs(base), 2).evalf(5))))
            if bits > MOST_BITS:
                raise Fault("TooHard", f"a power of {bits:.0f} bits is too large; at most {MOST_BITS} (position {at})")
        elif size > LARGEST_POWER and not base.is_Number:
            raise Fault("TooHard", f"the power {exponent} is too large; at most {LARGEST_POWER} (position {at})")
        if base == 0 and exponent < 0:
            raise Fault("NoSolution", f"there is a division by zero (position {at})")
    return base**exponent


def _small(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A function that grows so fast that its arguments are limited."""

    def apply(*arguments: Any) -> Any:
        for argument in arguments:
            if argument.is_number and not abs(argument.evalf(8)) <= LARGEST_FACTORIAL:
                raise Fault("TooHard", f"{name}({str(argument)[:30]}) is too large; at most {LARGEST_FACTORIAL}")
        return function(*arguments)

    return apply


_CONSTANTS: Final = {
    "pi": sympy.pi,
    "e": sympy.E,
    "E": sympy.E,
    "I": sympy.I,
    "oo": sympy.oo,
    "inf": sympy.oo,
    "infinity": sympy.oo,
}
_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    **{
        name: getattr(sympy, name)
        for name in (
            *("sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "atan2", "acot"),
            *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "exp", "sqrt", "cbrt", "erf", "erfc"),
            *("floor", "sign", "re", "im", "conjugate", "zeta"),
        )
    },
    "log": sympy.log,
    "ln": lambda value: sympy.log(value),
    "log10": lambda value: sympy.log(value, 10),
    "log2": lambda value: sympy.log(value, 2),
    "abs": sympy.Abs,
    "ceil": sympy.ceiling,
    "min": sympy.Min,
    "max": sympy.Max,
    "factorial": _small(sympy.factorial, "factorial"),
    "gamma": _small(sympy.gamma, "gamma"),
    "binomial": _small(sympy.binomial, "binomial"),
}


def read(text: str, claimed: Sequence[str] = ()) -> Any:
    """An expression as SymPy's."""
    return _built(parse(text), claimed)


def _built(node: Node, claimed: Sequence[str]) -> Any:
    with defined("the expression"):
        value = Walk(Symbols(claimed))(node)
    if value.has(sympy.nan, sympy.zoo):
        raise Fault("NoSolution", "the expression is not defined: it divides by zero or subtracts infinities")
    return value


def the_variable(text: str, variable: str | None) -> str:
    """``variable``, or the only one in the expression.

    Raises:
        Fault: There are several, or none.
    """
    if variable is not None:
        symbol(variable)
        return variable
    left, right = parse_equation(text)
    found = [name for name in names_in(left, right) if name not in _CONSTANTS]
    if len(found) == 1:
        return found[0]
    raise unsupported(f"say which variable is meant: {text!r} has {', '.join(map(repr, found)) or 'none'}", 0)


def answer(value: Any) -> dict[str, Any]:
    """An expression as text, and as a number where it is one."""
    number = as_number(value)
    text = sympy.sstr(value)
    if number is not None and (len(text) > LONGEST_EXACT or value.has(sympy.RootOf)) and not value.is_Integer:
        text = str(complex(*number)) if isinstance(number, list) else repr(number)
    if len(text) > LONGEST_RESULT:
        raise Fault("TooHard", f"the result has {len(text)} characters; at most {LONGEST_RESULT} are returned")
    return {"text": text, "value": number}


def as_number(value: Any) -> float | list[float] | None:
    """A number as a float, or as real and imaginary part; None with variables, or too large."""
    if value.free_symbols or not value.is_number:
        return None
    with defined(sympy.sstr(value)[:60]):
        if value in (sympy.oo, -sympy.oo):
            return math.inf if value > 0 else -math.inf
        digits = 15 if value.has(sympy.RootOf) else 20  # each digit of such a root takes long
        number = complex(value.evalf(digits, maxn=200))
    if not math.isfinite(abs(number)):
        return None
    if abs(number.imag) <= 1e-12 * abs(number):
        return number.real
    return [number.real, number.imag]


def solve(equations: Sequence[str], unknowns: Sequence[str]) -> list[dict[str, Any]]:
    """All solutions that SymPy finds, each by the names of the unknowns."""
    _check_counts(equations, unknowns)
    sides = [parse_equation(text) for text in equations]
    differences = [_difference(each, unknowns) for each in sides]
    missing = [name for name in unknowns if not any(each.has(symbol(name)) for each in differences)]
    if missing:
        never = any(each.is_number and not each.is_zero for each in differences)
        why = "no value does" if never else f"{missing[0]!r} can have any value"
        raise Fault("NoSolution", f"{missing[0]!r} cannot be found from {'; '.join(equations)}: {why}")
    try:
        symbols = [symbol(name) for name in unknowns]
        alone = len(differences) == 1 == len(symbols)  # systems of one equation lose roots that have no radicals
        found = sympy.solve(*((differences[0], symbols[0]) if alone else (differences, symbols)), dict=True)
    except NotImplementedError as error:
        raise Fault(
            "NoSolution", "no exact method is known for this; find_root finds one root between bounds"
        ) from error
    found = [each for each in found if not any(value.has(sympy.nan, sympy.zoo) for value in each.values())]
    if not found:
        raise Fault("NoSolution", f"no values of {', '.join(unknowns)} solve {'; '.join(equations)}")
    answers = [{name: answer(each[symbol(name)]) for name in unknowns if symbol(name) in each} for each in found]
    return sorted(answers, key=_order)


def _order(solution: Mapping[str, Mapping[str, Any]]) -> list[tuple[bool, float, float, str]]:
    """Real before complex before symbolic ones, by size."""
    keys = []
    for each in solution.values():
        real, imaginary = each["value"] if isinstance(each["value"], list) else (each["value"], 0.0)
        keys.append((bool(imaginary) or real is None, real or 0.0, imaginary, each["text"]))
    return keys


def _check_counts(equations: Sequence[str], unknowns: Sequence[str]) -> None:
    for what, given in (("equations", equations), ("unknowns", unknowns)):
        if not 1 <= len(given) <= MOST_UNKNOWNS:
            raise Fault("InvalidData", f"{len(given)} {what} are given; it takes 1 to {MOST_UNKNOWNS}")
    if len(set(unknowns)) < len(unknowns):
        raise Fault("InvalidData", f"an unknown is named twice: {', '.join(unknowns)}")


def _difference(equation: Equation, unknowns: Sequence[str]) -> Any:
    left = _built(equation.left, unknowns)
    return left if equation.right is None else left - _built(equation.right, unknowns)


def simplify(expression: str, form: str) -> dict[str, Any]:
    """The same expression in another form."""
    value = read(expression)
    forms = {"simple": sympy.simplify, "expanded": sympy.expand, "factored": sympy.factor}
    return answer(forms[form](value))


def differentiate(expression: str, variable: str | None, order: int) -> dict[str, Any]:
    """The derivative of an order."""
    name = the_variable(expression, variable)
    result = sympy.diff(read(expression, [name]), symbol(name), order)
    if result.has(sympy.Derivative, AppliedUndef, sympy.Subs):
        raise Fault("NoSolution", f"{expression!r} has no derivative that can be written down")
    return answer(sympy.simplify(result))


def antiderivative(expression: str, name: str) -> Any:
    """The indefinite integral.

    Raises:
        Fault: There is none in closed form, as far as SymPy knows.
    """
    result = sympy.integrate(read(expression, [name]), symbol(name))
    if result.has(sympy.Integral):
        raise Fault(
            "NoSolution", f"no antiderivative of {expression!r} is known; with bounds it is computed as a number"
        )
    return result


def exact_integral(expression: str, name: str, lower: str, upper: str) -> Any | None:
    """The definite integral, or None where SymPy finds no closed form."""
    result = sympy.integrate(read(expression, [name]), (symbol(name), read(lower), read(upper)))
    return None if result.has(sympy.Integral, sympy.nan, sympy.zoo) else result
