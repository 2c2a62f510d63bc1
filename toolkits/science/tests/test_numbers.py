"""Roots, minima, differential equations and statistics: numbers that are known from elsewhere."""

from __future__ import annotations

import math

import pytest
from codeact_tools_science import (
    Comparison,
    InvalidData,
    NoSolution,
    UnsupportedExpression,
    compare_means,
    describe,
    find_root,
    linear_regression,
    minimise,
    solve_ode,
)


def test_roots_as_numbers() -> None:
    """The first one in sight; a jump is no root."""
    assert find_root("cos(x) = x", 0, 2).value == pytest.approx(0.7390851332)
    assert find_root("x^2 - 2", 0, 2).residual == pytest.approx(0, abs=1e-12)
    assert find_root("sqrt(x) - 1", -3, 3).value == pytest.approx(1)
    for pole in ("1/x", "tan(x + pi/2)"):
        with pytest.raises(NoSolution, match=r"by a jump|divides by zero|no sign change"):
            find_root(pole, -1, 1.1)
    with pytest.raises(NoSolution, match="no sign change was found between -1 and 1"):
        find_root("x^2 + 1", -1, 1)
    with pytest.raises(InvalidData, match="are not two growing finite numbers"):
        find_root("x", 1, -1)


def test_minima() -> None:
    """The least value of all within the bounds, not the nearest valley."""
    found = minimise("x^4 - 3*x^3 + 2", {"x": (-5, 5)})
    assert found.point["x"] == pytest.approx(2.25, abs=1e-6)
    valley = minimise("(1 - x)^2 + 100*(y - x^2)^2", {"x": (-2, 2), "y": (-2, 2)})
    assert valley.point == pytest.approx({"x": 1, "y": 1}, abs=1e-5)
    assert minimise("x", {"x": (3, 4)}).value == pytest.approx(3)
    with pytest.raises(NoSolution, match="defined nowhere"):
        minimise("log(x)", {"x": (-2, -1)})
    with pytest.raises(UnsupportedExpression, match="'z' has no value here"):
        minimise("x + z", {"x": (0, 1)})


def test_differential_equations() -> None:
    """A pendulum swings; what explodes says so."""
    swing = solve_ode({"x": "v", "v": "-x"}, {"x": 1, "v": 0}, end=math.pi, points=3)
    assert swing.values["x"] == pytest.approx([1, 0, -1], abs=1e-6)
    assert swing.times == pytest.approx([0, math.pi / 2, math.pi])
    with pytest.raises(NoSolution, match="too large"):
        solve_ode({"x": "x^2"}, {"x": 1}, end=2)
    with pytest.raises(InvalidData, match="the same 1 to 6 variables"):
        solve_ode({"x": "-x"}, {"y": 1}, end=2)
    with pytest.raises(InvalidData, match="'t' is the time"):
        solve_ode({"t": "1"}, {"t": 1}, end=2)


# ---- statistics ------------------------------------------------------------------------------------------------------


def test_summaries() -> None:
    """One value has no spread."""
    found = describe([2, 4, 4, 4, 5, 5, 7, 9])
    assert (found.count, found.mean, found.median) == (8, 5.0, 4.5)
    assert found.sd == pytest.approx(2.13809)
    assert (describe([3]).sd, describe([3]).standard_error) == (None, None)
    assert describe([3, 3, 3]).sd == 0


def test_lines() -> None:
    """With intervals that hold the truth."""
    line = linear_regression([0, 1, 2, 3, 4], [1.1, 2.9, 5.2, 6.8, 9.1])
    assert (round(line.slope, 2), round(line.intercept, 2)) == (1.99, 1.04)
    assert line.slope_interval.low < 2 < line.slope_interval.high
    assert line.r_squared > 0.99


def test_comparisons() -> None:
    """Welch's test, or the paired one; figures of R's t.test."""
    first, second = [30.02, 29.99, 30.11, 29.97, 30.01, 29.99], [29.89, 29.93, 29.72, 29.98, 30.02, 29.98]
    welch = compare_means(first, second)
    assert isinstance(welch, Comparison)
    assert (welch.t, welch.degrees_of_freedom) == pytest.approx((1.959006, 7.030560), rel=1e-5)
    assert (welch.p_value, *welch.interval) == pytest.approx((0.0907733, -0.0195691, 0.2095691), rel=1e-4)
    assert welch.effect_size == pytest.approx(1.044, abs=0.01)
    assert compare_means(first, second, paired=True).degrees_of_freedom == 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: describe([]), "values has 0 values; it needs at least 1"),
        (lambda: describe([1, math.nan]), r"values\[1\] is nan"),
        (lambda: describe([math.inf]), r"values\[0\] is inf"),
        (lambda: describe([1e300]), "above 1e\\+100"),
        (lambda: linear_regression([1, 1, 1], [1, 2, 3]), "all values of x are 1"),
        (lambda: linear_regression([1, 2, 3], [5, 5, 5]), "all values of y are 5"),
        (lambda: linear_regression([1, 2, 3], [1, 2, 3, 4]), "x has 3 values and y 4"),
        (lambda: compare_means([1], [1, 2]), "first has 1 values; it needs at least 2"),
        (lambda: compare_means([1, 1], [1, 1]), "both samples are constant"),
        (lambda: compare_means([1, 2, 3], [2, 3, 4], paired=True), "all differences are -1"),
        (lambda: describe([0.0] * 100_001), "it needs at most 100000"),
    ],
)
def test_samples_that_say_nothing(call: object, message: str) -> None:
    """Empty, single, constant, not finite, too large: the message says which value or how many."""
    assert callable(call)
    with pytest.raises(InvalidData, match=message):
        call()
