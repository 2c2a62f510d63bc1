"""The questions for models can be answered: an action for each, through the check and the sandbox."""

from __future__ import annotations

from codeact_tools_science import toolkit

from benchmarks.tasks.science import TASKS
from codeact_tools import Session

ACTIONS = {
    "convert and add": "convert('12 mile', 'km').magnitude + 30",
    "energy of a car": "calculate('m*v^2/2', 'kJ', {'m': '1200 kg', 'v': '90 km/h'}).magnitude",
    "a constant in a calculation": "calculate('149597870.7 km / speed_of_light', 'min').magnitude",
    "temperatures": "max(convert('75 degF', 'K').magnitude, convert('25 degC', 'K').magnitude)",
    "quadratic equation": "max(each['w'].value for each in solve('w*(w + 3) = 40', 'w'))",
    "two unknowns": "solve(['2*a + 3*b = 31', 'a - b = 3'], ['a', 'b'])",
    "derivative and its root": "solve(differentiate('x^3 - 12*x').text, 'x')",
    "area under a curve": "integrate('x^2', lower=0, upper=3).value + integrate('2*x', lower=0, upper=1).value",
    "a root without a formula": "find_root('cos(x) - x', 0, 2).value",
    "cheapest point": "minimise('x^2 - 30*x + 400', {'x': (0, 100)})",
    "mean and spread": "describe([5.1, 4.9, 5.6, 5.8, 6.0])",
    "line and prediction": "line = linear_regression([1, 2, 3, 4, 5], [2.1, 3.9, 6.2, 7.8, 10.1])\n"
    "line.intercept + 8*line.slope",
    "two groups": "compare_means([5.1, 4.9, 5.6, 5.8, 6.0], [4.2, 4.4, 4.1, 4.8, 4.5])",
    "cooling over time": "solve_ode({'T': '-0.1*(T - 20)'}, {'T': 90}, end=10).values['T'][-1]",
}


def test_every_task_can_be_solved() -> None:
    """And the checks of the answers know a right one."""
    assert list(ACTIONS) == [task.name for task in TASKS]
    with Session(tools=[toolkit], sandbox="local", check="block") as session:
        wrong = [task.name for task in TASKS if not task.right(session.run(ACTIONS[task.name]).text)]
    assert wrong == []


def test_no_task_is_solved_by_nothing() -> None:
    """An answer without numbers is wrong."""
    assert not any(task.right("I do not know.") for task in TASKS)
