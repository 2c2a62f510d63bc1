"""Questions for the ``science`` toolkit: units, constants, equations and samples, several steps each."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from codeact_tools_science import (
    calculate,
    compare_means,
    constant,
    convert,
    describe,
    find_root,
    integrate,
    linear_regression,
    minimise,
    solve,
    solve_ode,
)

from codeact_tools.evals import Task, mentions

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


def near(*values: float, within: float = 0.01) -> Callable[[str], bool]:
    """Return a check that an answer holds all ``values``, each to a relative error of ``within``."""

    def right(answer: str) -> bool:
        numbers = [float(text.replace(",", "")) for text in _NUMBER.findall(answer)]
        return all(any(math.isclose(number, value, rel_tol=within) for number in numbers) for value in values)

    return right


KINETIC = calculate("m * v^2 / 2", "kJ", {"m": "1200 kg", "v": "90 km/h"}).magnitude
LIGHT_MINUTES = calculate("d / c", "min", {"d": "149597870.7 km", "c": f"{constant('c').magnitude} m/s"}).magnitude
WIDTHS = [float(solution["w"].text) for solution in solve("w*(w + 3) = 40", "w")]
SYSTEM = {name: float(each.text) for name, each in solve(["2*a + 3*b = 31", "a - b = 3"], ["a", "b"])[0].items()}
FIRST, SECOND = [5.1, 4.9, 5.6, 5.8, 6.0], [4.2, 4.4, 4.1, 4.8, 4.5]
HOURS, YIELDS = [1, 2, 3, 4, 5], [2.1, 3.9, 6.2, 7.8, 10.1]
LINE = linear_regression(HOURS, YIELDS)

TASKS = [
    Task(
        name="convert and add",
        question="A trip has a part of 12 miles and a part of 30 kilometres. How many kilometres is it in all?",
        right=near(convert("12 mile", "km").magnitude + 30, within=0.001),
    ),
    Task(
        name="energy of a car",
        question="What is the kinetic energy, in kilojoules, of a car of 1200 kg at 90 km/h?",
        right=near(KINETIC, within=0.001),
    ),
    Task(
        name="a constant in a calculation",
        question="How many minutes does light take for a distance of 149597870.7 km?",
        right=near(LIGHT_MINUTES, within=0.005),
    ),
    Task(
        name="temperatures",
        question="Which is warmer: 75 degrees Fahrenheit or 25 degrees Celsius, and what is the warmer one in kelvin?",
        right=near(convert("25 degC", "K").magnitude, within=0.0005),
    ),
    Task(
        name="quadratic equation",
        question="A rectangle is 3 m longer than it is wide, and its area is 40 square metres. How wide is it?",
        right=near(max(WIDTHS), within=0.001),
    ),
    Task(
        name="two unknowns",
        question="Solve 2*a + 3*b = 31 and a - b = 3. What are a and b?",
        right=mentions(SYSTEM["a"], SYSTEM["b"]),
    ),
    Task(
        name="derivative and its root",
        question="At which positive x is the derivative of x^3 - 12*x zero?",
        right=mentions(2),
    ),
    Task(
        name="area under a curve",
        question="What is the integral of x^2 from 0 to 3, plus the integral of 2*x from 0 to 1?",
        right=near(9 + float(integrate("2*x", lower=0, upper=1).text), within=0.001),
    ),
    Task(
        name="a root without a formula",
        question="For which x between 0 and 2 is cos(x) equal to x? Give four decimals.",
        right=near(find_root("cos(x) = x", 0, 2).value, within=0.0002),
    ),
    Task(
        name="cheapest point",
        question="The cost of making x parts is x^2 - 30*x + 400, with x between 0 and 100. "
        "Which x is cheapest, and what does it cost?",
        right=near(15, minimise("x^2 - 30*x + 400", {"x": (0, 100)}).value, within=0.001),
    ),
    Task(
        name="mean and spread",
        question=f"What are the mean and the standard deviation of these values: {FIRST}?",
        right=near(describe(FIRST).mean, describe(FIRST).sd or 0),
    ),
    Task(
        name="line and prediction",
        question=f"Hours {HOURS} gave yields of {YIELDS}. Fit a straight line. What does it predict for 8 hours?",
        right=near(LINE.intercept + 8 * LINE.slope),
    ),
    Task(
        name="two groups",
        question=f"Group A measured {FIRST} and group B {SECOND}. By how much do the means differ, "
        "and is the difference significant at the 5 % level?",
        right=near(abs(compare_means(FIRST, SECOND).difference)),
    ),
    Task(
        name="cooling over time",
        question="The temperature T of a cup starts at 90 and changes by dT/dt = -0.1*(T - 20), t in minutes. "
        "What is T after 10 minutes?",
        right=near(solve_ode({"T": "-0.1*(T - 20)"}, {"T": 90}, end=10).values["T"][-1]),
    ),
]
"""Fourteen tasks; the expected answers come from the tools, called as plain functions."""
