"""Statistics of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from scipy import stats

from .faults import Fault

MOST_VALUES: Final = 100_000
LARGEST: Final = 1e100
"""Squares of larger values would not be numbers."""


def _sample(values: Sequence[float], what: str, least: int) -> Any:
    if not least <= len(values) <= MOST_VALUES:
        needed = f"at least {least}" if len(values) < least else f"at most {MOST_VALUES}"
        raise Fault("InvalidData", f"{what} has {len(values)} values; it needs {needed}")
    sample = np.asarray(values, dtype=float)
    finite = np.isfinite(sample)
    if not finite.all():
        position = int(np.argmin(finite))
        raise Fault("InvalidData", f"{what}[{position}] is {sample[position]}; leave such values out")
    if len(sample) and np.max(np.abs(sample)) > LARGEST:
        raise Fault("InvalidData", f"{what} has a value above {LARGEST:g}; take other units")
    return sample


def _paired(first: Any, second: Any, names: tuple[str, str]) -> None:
    if len(first) != len(second):
        raise Fault(
            "InvalidData", f"{names[0]} has {len(first)} values and {names[1]} {len(second)}; they come in pairs"
        )


def _is_constant(sample: Any) -> bool:
    return bool(np.ptp(sample) <= 1e-14 * np.max(np.abs(sample)))


def describe(values: Sequence[float]) -> dict[str, Any]:
    """Location, spread and quartiles."""
    sample = _sample(values, "values", 1)
    several = len(sample) > 1
    sd = float(np.std(sample, ddof=1)) if several else None
    low, median, high = (float(each) for each in np.quantile(sample, [0.25, 0.5, 0.75]))
    return {
        "count": len(sample),
        "mean": float(np.mean(sample)),
        "sd": sd,
        "standard_error": sd / math.sqrt(len(sample)) if sd is not None else None,
        "minimum": float(sample.min()),
        "lower_quartile": low,
        "median": median,
        "upper_quartile": high,
        "maximum": float(sample.max()),
    }


def regression(x: Sequence[float], y: Sequence[float], confidence: float) -> dict[str, Any]:
    """A straight line by least squares."""
    xs, ys = _sample(x, "x", 3), _sample(y, "y", 3)
    _paired(xs, ys, ("x", "y"))
    for name, sample in (("x", xs), ("y", ys)):
        if _is_constant(sample):
            raise Fault("InvalidData", f"all values of {name} are {sample[0]:g}; a line needs values that differ")
    line = stats.linregress(xs, ys)
    reach = float(stats.t.ppf((1 + confidence) / 2, len(xs) - 2))
    rest = ys - (line.intercept + line.slope * xs)
    return {
        "slope": float(line.slope),
        "intercept": float(line.intercept),
        "slope_interval": _around(line.slope, reach * line.stderr),
        "intercept_interval": _around(line.intercept, reach * line.intercept_stderr),
        "r_squared": float(line.rvalue) ** 2,
        "p_value": float(line.pvalue),
        "residual_sd": float(math.sqrt(float(rest @ rest) / (len(xs) - 2))),
        "count": len(xs),
    }


def _around(middle: float, reach: float) -> list[float]:
    return [float(middle - reach), float(middle + reach)]


def comparison(first: Sequence[float], second: Sequence[float], paired: bool, confidence: float) -> dict[str, Any]:
    """Welch's t-test, or the paired one, with Hedges' g."""
    a, b = _sample(first, "first", 2), _sample(second, "second", 2)
    if paired:
        _paired(a, b, ("first", "second"))
        changes = a - b
        if _is_constant(changes) or _is_constant(np.append(changes, 0)):
            raise Fault("InvalidData", f"all differences are {changes[0]:g}; a test needs values that differ")
        test, spread = stats.ttest_rel(a, b), float(np.std(changes, ddof=1))
    else:
        if _is_constant(a) and _is_constant(b):
            raise Fault("InvalidData", "both samples are constant; a test needs values that differ")
        test = stats.ttest_ind(a, b, equal_var=False)
        weighted = (len(a) - 1) * np.var(a, ddof=1) + (len(b) - 1) * np.var(b, ddof=1)
        spread = float(math.sqrt(weighted / (len(a) + len(b) - 2)))
    interval = test.confidence_interval(confidence)
    difference = float(a.mean() - b.mean())
    freedom = (len(a) - 1) if paired else len(a) + len(b) - 2
    return {
        "difference": difference,
        "interval": [float(interval.low), float(interval.high)],
        "confidence": confidence,
        "t": float(test.statistic),
        "degrees_of_freedom": float(test.df),
        "p_value": float(test.pvalue),
        "effect_size": difference / spread * (1 - 3 / (4 * freedom - 1)),
    }
