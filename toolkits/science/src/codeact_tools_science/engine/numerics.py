"""The vocabulary of floats, and SciPy's integrals, roots, minima and differential equations."""

from __future__ import annotations

import math
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from scipy import integrate, optimize, special

from . import algebra
from .faults import Fault, defined, unsupported
from .grammar import Node, names_in, parse, parse_equation
from .walking import Walk

EXACT_SECONDS: Final = 3.0
"""How long a closed form of a definite integral is looked for."""
MOST_VARIABLES: Final = 6
MOST_EVALUATIONS: Final = 200_000


class Floats:
    """Names are the numbers of the moment."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.functions: Mapping[str, Callable[..., float]] = _FUNCTIONS

    def number(self, text: str) -> float:
        """A float."""
        return float(text)

    def name(self, name: str, at: int) -> float:
        """The variable's value, or a constant."""
        if name in self.values:
            return self.values[name]
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        raise unsupported(f"{name!r} has no value here; known are {', '.join(map(repr, self.values))}", at)

    def operate(self, operator: str, left: float, right: float, _at: int) -> float:
        """Arithmetic of real numbers."""
        match operator:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "/":
                return left / right
        return math.pow(left, right)


_CONSTANTS: Final = {"pi": math.pi, "e": math.e, "E": math.e}
_FUNCTIONS: Final[dict[str, Callable[..., float]]] = {
    **{
        name: getattr(math, name)
        for name in (
            *("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
            *("exp", "sqrt", "cbrt", "log", "log10", "log2", "floor", "ceil", "erf", "erfc", "gamma"),
        )
    },
    "ln": lambda value: math.log(value),
    "abs": abs,
    "min": min,
    "max": max,
    "sign": lambda value: math.copysign(1.0, value) if value else 0.0,
    "factorial": lambda value: math.gamma(value + 1),
    "zeta": lambda value: float(special.zeta(value)),
}


class Function:
    """An expression as a function of floats. It knows how often it was called, and stops a search without end."""

    def __init__(self, node: Node, *variables: str) -> None:
        self._node = node
        self._floats = Floats()
        self._walk = Walk(self._floats)
        self._variables = variables
        self.evaluations = 0
        unknown = [name for name in names_in(node) if name not in variables and name not in _CONSTANTS]
        if unknown:
            raise unsupported(f"{unknown[0]!r} has no value here; the variables are {', '.join(variables)}", 0)

    def __call__(self, *values: float) -> float:
        """The value where the variables are ``values``; a `Fault` where there is none."""
        self.evaluations += 1
        if self.evaluations > MOST_EVALUATIONS:
            raise Fault("TooHard", f"it takes more than {MOST_EVALUATIONS} evaluations of the expression")
        numbers = dict(zip(self._variables, map(float, values), strict=True))
        self._floats.values = numbers
        with defined(f"the expression at {', '.join(f'{name} = {value:.6g}' for name, value in numbers.items())}"):
            return float(self._walk(self._node))


def integral(
    expression: str, variable: str | None, lower: float | str | None, upper: float | str | None
) -> dict[str, Any]:
    """An antiderivative, or with both bounds a number with its error."""
    name = algebra.the_variable(expression, variable)
    if lower is None and upper is None:
        return algebra.answer(algebra.antiderivative(expression, name)) | {"error": None}
    if lower is None or upper is None:
        raise Fault("InvalidData", "give both bounds, or none")
    bounds = [_bound(lower), _bound(upper)]
    value, error = _quadrature(Function(parse(expression), name), *bounds)
    exact = None
    with _at_most(EXACT_SECONDS):
        exact = algebra.exact_integral(expression, name, *(_bound_text(bound) for bound in (lower, upper)))
    if exact is not None and not exact.free_symbols:
        number = algebra.as_number(exact)
        if isinstance(number, float) and abs(number - value) <= max(10 * error, 1e-6 * abs(value), 1e-9):
            return algebra.answer(exact) | {"value": number, "error": 0.0}
    return {"text": f"{value!r}", "value": value, "error": error}


def _bound(bound: float | str) -> float:
    value = algebra.as_number(algebra.read(_bound_text(bound)))
    if not isinstance(value, float):
        raise Fault("InvalidData", f"the bound {bound!r} is no real number")
    return value


def _bound_text(bound: float | str) -> str:
    if isinstance(bound, str):
        return bound
    if math.isnan(bound):
        raise Fault("InvalidData", "a bound is not a number")
    return ("oo" if bound > 0 else "-oo") if math.isinf(bound) else _decimal(float(bound))


def _decimal(value: float) -> str:
    return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


class _LateError(Exception):
    """The time for a closed form is over."""


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Leave the block after ``seconds``, or where SymPy has no answer: it is an extra."""

    def late(*_: object) -> None:
        raise _LateError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except (_LateError, Fault, NotImplementedError, ValueError, TypeError, AttributeError, RecursionError):
        return
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _quadrature(function: Function, lower: float, upper: float) -> tuple[float, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", integrate.IntegrationWarning)
        try:
            value, error = integrate.quad(function, lower, upper, limit=200)
        except integrate.IntegrationWarning as warning:
            reason = str(warning).partition(".")[0].strip().lower()
            raise Fault("NoSolution", f"the integral diverges, or is too hard to compute: {reason}") from warning
    if not math.isfinite(value):
        raise Fault("NoSolution", "the integral diverges")
    return float(value), float(error)


def root(expression: str, lower: float, upper: float, variable: str | None) -> dict[str, Any]:
    """One root between two bounds: where the sign changes first."""
    left, right = parse_equation(expression)
    name = algebra.the_variable(expression, variable)
    one, other = Function(left, name), Function(right, name) if right is not None else None

    def difference(x: float) -> float:
        return one(x) - (other(x) if other is not None else 0.0)

    if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
        raise Fault("InvalidData", f"the bounds {lower} and {upper} are not two growing finite numbers")
    start, end = _sign_change(difference, lower, upper)
    value = optimize.brentq(difference, start, end, xtol=1e-14, rtol=1e-14) if start < end else start
    residual = difference(value)
    if abs(residual) > 1e-6 * max(1.0, abs(difference(start)), abs(difference(end))):
        raise Fault("NoSolution", f"the sign changes at {name} = {value:.6g} by a jump, not through zero")
    return {"value": float(value), "residual": float(residual), "evaluations": one.evaluations}


def _sign_change(
    function: Callable[[float], float], lower: float, upper: float, steps: int = 200
) -> tuple[float, float]:
    """Where the sign changes between two neighbours of a grid; the same point twice where it is a root itself."""
    before: tuple[float, float] | None = None
    for step in range(steps + 1):
        x = lower + (upper - lower) * step / steps
        try:
            y = function(x)
        except Fault as fault:
            if fault.kind != "NoSolution":
                raise
            before = None
            continue
        if y == 0:
            return x, x
        if before is not None and (y > 0) != (before[1] > 0):
            return before[0], x
        before = x, y
    raise Fault("NoSolution", f"no sign change was found between {lower:g} and {upper:g}; there may be no root")


def minimum(expression: str, bounds: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """The least value within bounds, searched for by differential evolution, then polished."""
    if not 1 <= len(bounds) <= MOST_VARIABLES:
        raise Fault("InvalidData", f"bounds of {len(bounds)} variables are given; it takes 1 to {MOST_VARIABLES}")
    for name, (low, high) in bounds.items():
        algebra.symbol(name)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise Fault("InvalidData", f"the bounds of {name!r}, {low} and {high}, are not two growing finite numbers")
    function = Function(parse(expression), *bounds)

    def value_at(point: Any) -> float:
        try:
            return function(*point)
        except Fault as fault:
            if fault.kind != "NoSolution":
                raise
            return math.inf

    found = optimize.differential_evolution(value_at, list(bounds.values()), seed=0, tol=1e-10, polish=False)
    if not math.isfinite(found.fun):
        raise Fault("NoSolution", "the expression is defined nowhere within the bounds")
    polished = optimize.minimize(
        value_at, found.x, method="Nelder-Mead", bounds=list(bounds.values()), options={"xatol": 1e-10, "fatol": 1e-12}
    )
    best = polished if polished.fun <= found.fun else found
    point = dict(zip(bounds, map(float, best.x), strict=True))
    return {"point": point, "value": float(best.fun), "evaluations": function.evaluations}


def trajectory(
    equations: Mapping[str, str], start: Mapping[str, float], begin: float, end: float, points: int
) -> dict[str, Any]:
    """Follow a system of differential equations of first order over the time ``t``."""
    if set(equations) != set(start) or not 1 <= len(equations) <= MOST_VARIABLES:
        raise Fault("InvalidData", f"equations and start must have the same 1 to {MOST_VARIABLES} variables")
    if not all(map(math.isfinite, [begin, end, *start.values()])) or begin == end:
        raise Fault("InvalidData", "begin, end and the start must be finite, and begin and end differ")
    names = list(equations)
    for name in names:
        algebra.symbol(name)
    if "t" in names:
        raise Fault("InvalidData", "'t' is the time and cannot be a variable")
    slopes = [Function(parse(equations[name]), "t", *names) for name in names]
    times = [begin + (end - begin) * step / (points - 1) for step in range(points)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a failure is told by its status
        found = integrate.solve_ivp(
            lambda t, y: [slope(t, *y) for slope in slopes],
            (begin, end),
            [start[name] for name in names],
            method="LSODA",
            t_eval=times,
            rtol=1e-9,
            atol=1e-12,
        )
    if not found.success:
        raise Fault("NoSolution", f"it cannot be followed beyond t = {found.t[-1] if len(found.t) else begin:.6g}")
    columns = {name: [float(value) for value in found.y[index]] for index, name in enumerate(names)}
    if not all(math.isfinite(value) for column in columns.values() for value in column):
        raise Fault("NoSolution", "it grows without bound")
    return {"times": times, "values": columns}
