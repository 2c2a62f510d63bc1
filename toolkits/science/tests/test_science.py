"""What the tools of science answer."""

from __future__ import annotations

import doctest
import math
import re
from types import ModuleType

import pytest
from codeact_tools_science import (
    DimensionMismatch,
    InvalidData,
    NoSolution,
    Quantity,
    TooHard,
    UnknownConstant,
    UnknownUnit,
    UnsupportedExpression,
    algebra,
    calculate,
    constant,
    convert,
    differentiate,
    find_constants,
    integrate,
    numerics,
    quantities,
    samples,
    simplify,
    solve,
    toolkit,
)
from scipy import constants

from codeact_tools import Session, ToolRegistry


@pytest.mark.parametrize("module", [algebra, numerics, quantities, samples], ids=lambda module: module.__name__)
def test_the_examples_of_the_docstrings_run(module: ModuleType) -> None:
    """What the model reads as an example is what the tool does."""
    outcome = doctest.testmod(module)
    assert outcome.failed == 0
    assert outcome.attempted > 0


# ---- units -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "unit", "magnitude"),
    [
        ("100 km/h", "m/s", 27.7777778),
        ("20 degC", "degF", 68),
        ("20 °C", "K", 293.15),
        ("5 kWh", "MJ", 18),
        ("5 kW h", "MJ", 18),
        ("3 µm", "nm", 3000),
        ("5 %", "ppm", 50_000),
        ("1 mile", "km", 1.609344),
        ("9.81 m s^-2", "ft/s**2", 32.1850394),
        ("1 J/(kg*K)", "cal/(g*K)", 0.00023900574),
        ("180 deg", "rad", math.pi),
        ("1 eV", "J", 1.602176634e-19),
        ("10 Ω", "kohm", 0.01),
        ("1e3 g", "kg", 1),
        ("-40 degF", "degC", -40),
    ],
)
def test_conversions(quantity: str, unit: str, magnitude: float) -> None:
    """Units as people write them."""
    assert convert(quantity, unit).magnitude == pytest.approx(magnitude, rel=1e-6)


def test_a_result_is_an_argument() -> None:
    """A quantity goes back as it came, and its unit is a text that can be read again."""
    speed = convert("36 km/h", "m/s")
    assert speed == Quantity(magnitude=10.0, unit="meter / second")
    assert convert(speed, "km/h").magnitude == pytest.approx(36)
    assert calculate("v * t", "km", {"v": speed, "t": "30 min"}).text == "18 km"


@pytest.mark.parametrize(
    ("expression", "unit", "text"),
    [
        ("0.5 * 1200 kg * (90 km/h)^2", "kJ", "375 kJ"),
        ("sin(30 deg) + 5%", None, "0.55"),
        ("sqrt(2 * 9.81 m/s^2 * 20 m)", "m/s", "19.8091 m/s"),
        ("max(1 km, 1 mile)", "m", "1609.34 m"),
        ("2 h + 30 min", "min", "150 min"),
        ("100 km / 2 h", "km/h", "50 km/h"),
        ("10 m / 2 s^2 * 3 kg", "N", "15 N"),
        ("atan(1)", "deg", "45 deg"),
        ("-2^2", None, "-4"),
        ("2^3^2", None, "512"),
        ("2 kg * -3 m/s^2", "N", "-6 N"),
        ("pi * (2 m)^2", None, "12.5664 m²"),
        ("1 - 1 + 1", None, "1"),
        ("5!", None, ""),
    ],
)
def test_calculations_with_units(expression: str, unit: str | None, text: str) -> None:
    """The usual rules of precedence, with units minded."""
    if not text:
        with pytest.raises(UnsupportedExpression, match="'factorial' is no function here"):
            calculate(expression, unit)
        return
    assert calculate(expression, unit).text == text


def test_mistakes_with_units() -> None:
    """Each says what is wrong with which unit."""
    with pytest.raises(UnknownUnit, match=r"no unit is named 'metr'; did you mean 'metre' or 'meter'"):
        convert("5 metr", "km")
    with pytest.raises(DimensionMismatch, match=r"'kilogram' \(mass\) cannot be converted to 'meter' \(length\)"):
        convert("5 kg", "m")
    with pytest.raises(DimensionMismatch, match=r"'meter' \(length\); write each number with its unit, e.g. '2 km"):
        calculate("12 + 30", "m")
    with pytest.raises(DimensionMismatch, match=r"'kilogram' \(mass\) cannot be added to 'second' \(time\)"):
        calculate("3 kg + 2 s")
    with pytest.raises(DimensionMismatch, match=r"sin\(\) takes an angle, not kilogram"):
        calculate("sin(2 kg)")
    with pytest.raises(DimensionMismatch, match=r"exp\(\) takes plain numbers, not meter"):
        calculate("exp(2 m)")
    with pytest.raises(DimensionMismatch, match=r"a plain number .* cannot be compared with|cannot be compared with"):
        calculate("max(1 km, 1 s)")
    with pytest.raises(DimensionMismatch, match="convert them to kelvin, or write a difference as delta_degC"):
        calculate("20 degC + 3 degC")
    with pytest.raises(
        UnsupportedExpression, match=r"'K' without an operator after a division can be read in two ways"
    ):
        calculate("5 J/kg K")
    for text in ("1/2 m", "10 m / 2 s kg", "1 / 2 s"):
        with pytest.raises(UnsupportedExpression, match="can be read in two ways"):
            calculate(text)
    with pytest.raises(NoSolution, match="divides by zero"):
        calculate("1 m / (3 s - 3 s)")
    with pytest.raises(NoSolution, match="no real number"):
        calculate("sqrt(0 m - 4 m)")
    with pytest.raises(UnknownUnit, match="is a quantity, not a unit"):
        convert("5 km", "3 m")


# ---- constants -------------------------------------------------------------------------------------------------------


def test_constants_have_uncertainty_unit_and_source() -> None:
    """Of the year that the library's own documentation names."""
    mass = constant("m_e")
    assert (mass.name, mass.magnitude, mass.unit) == ("electron mass", constants.m_e, "kg")
    assert mass.uncertainty == constants.physical_constants["electron mass"][2] > 0
    assert constant("c").uncertainty == 0
    assert mass.source == "CODATA 2022"
    assert re.search(r"Values of the Fundamental\s+Physical Constants 2022", constants.__doc__ or "")


def test_symbols_of_one_letter_mind_their_case() -> None:
    """G is not g."""
    assert constant("G").name == "Newtonian constant of gravitation"
    assert constant("g").name == "standard acceleration of gravity"
    assert constant("SPEED OF LIGHT").name == "speed of light in vacuum"


def test_every_constant_has_a_unit_that_can_be_read() -> None:
    """So that each can be calculated with."""
    for name in constants.physical_constants:
        each = constant(name)
        assert calculate("x", values={"x": Quantity(magnitude=1.0, unit=each.unit)}).magnitude == 1


def test_constants_are_found_by_words() -> None:
    """An unknown name is answered with those that hold it."""
    assert [each.name for each in find_constants("electron mass energy", limit=1)] == [
        "electron mass energy equivalent"
    ]
    assert find_constants("flux capacitor") == []
    assert find_constants("") == []
    with pytest.raises(UnknownConstant, match="no constant is named 'planck'; there are 'Planck mass', 'Planck time'"):
        constant("planck")
    with pytest.raises(UnknownConstant, match=r"find_constants\(words\)"):
        constant("zzz")


# ---- equations and calculus ------------------------------------------------------------------------------------------


def test_solutions_are_exact_and_numeric() -> None:
    """Real ones first, by size."""
    (low, high) = solve("x^2 = 2", "x")
    assert (low["x"].text, high["x"].text) == ("-sqrt(2)", "sqrt(2)")
    assert high["x"].value == pytest.approx(math.sqrt(2))
    assert [each["x"].value for each in solve("x^2 + 1 = 0", "x")] == [-1j, 1j]
    assert solve("0.1 x = 0.3", "x")[0]["x"].text == "3"
    assert [each["x"].text for each in solve("sin(x) = 1/2", "x")] == ["pi/6", "5*pi/6"]


def test_roots_that_cannot_be_written_down_are_decimals() -> None:
    """As are those that fill half a page."""
    found = solve("x^5 - x - 1 = 0", "x")
    assert len(found) == 5
    assert found[0]["x"].text.startswith("1.16730397")
    assert all(len(each["x"].text) <= 100 for each in solve("x^4 - 3*x^3 + x - 1 = 0", "x"))


def test_systems_and_formulas() -> None:
    """Several unknowns; letters that stay letters."""
    (only,) = solve(["x + y = 10", "x - y = 4"], ["x", "y"])
    assert {name: each.value for name, each in only.items()} == {"x": 7.0, "y": 3.0}
    (formula,) = solve("F = m*a", "a")
    assert (formula["a"].text, formula["a"].value) == ("F/m", None)
    assert solve("E = m*c^2", "E")[0]["E"].text == "c**2*m"  # a name that is asked for is no constant


@pytest.mark.parametrize(
    ("equations", "unknowns", "reason"),
    [
        ("x = x + 1", "x", "no value does"),
        ("x = x", "x", "'x' can have any value"),
        (["x = 1", "x = 2"], "x", "no values of x solve x = 1; x = 2"),
        ("exp(x) = x^2 + cos(x)", "x", "find_root"),
        ("1/(x - x) = 2", "x", "division by zero"),
    ],
)
def test_equations_without_a_solution(equations: str | list[str], unknowns: str, reason: str) -> None:
    """They are an error, with a reason, not an empty list."""
    with pytest.raises(NoSolution, match=reason):
        solve(equations, unknowns)


def test_forms_and_derivatives() -> None:
    """Expressions come as text that can be given back."""
    assert simplify("sin(x)^2 + cos(x)^2").value == 1.0
    assert simplify("x^2 - 1", "factored").text == "(x - 1)*(x + 1)"
    assert differentiate("x^3*y", "x", order=2).text == "6*x*y"
    assert differentiate("pi*r^2").text == "2*pi*r"
    with pytest.raises(UnsupportedExpression, match="say which variable is meant: 'x\\^3\\*y' has 'x', 'y'"):
        differentiate("x^3*y")
    with pytest.raises(NoSolution, match="no derivative that can be written down"):
        differentiate("floor(x)")


def test_integrals() -> None:
    """Without bounds an antiderivative; with bounds a number, exact where that is known."""
    assert integrate("2*x*exp(x^2)").text == "exp(x**2)"
    assert integrate("exp(-x^2)", lower="-oo", upper="oo").text == "sqrt(pi)"
    third = integrate("x^2", lower=0, upper=1)
    assert (third.text, third.error) == ("1/3", 0.0)
    unknown = integrate("x^x", lower=0, upper=1)
    assert unknown.value == pytest.approx(0.7834305107)
    assert unknown.error is not None
    assert 0 < unknown.error < 1e-6
    assert integrate("sin(x)", lower=0, upper="pi").value == 2.0


@pytest.mark.parametrize(
    ("expression", "lower", "upper", "error"),
    [
        ("1/x", 1, "oo", NoSolution),
        ("1/x", -1, 1, NoSolution),
        ("tan(x)", 0, 3, NoSolution),
        ("log(x)", -2, -1, NoSolution),
        ("x^x", None, None, NoSolution),
        ("x", 0, None, InvalidData),
        ("x", 0, "a", InvalidData),
        ("x", float("nan"), 1, InvalidData),
    ],
)
def test_integrals_that_there_are_not(
    expression: str, lower: float | str | None, upper: float | str | None, error: type[Exception]
) -> None:
    """Divergent ones, undefined ones, half a pair of bounds."""
    with pytest.raises(error):
        integrate(expression, lower=lower, upper=upper)


# ---- in a session ----------------------------------------------------------------------------------------------------


def test_values_keep_their_types_in_the_sandbox() -> None:
    """An action computes with what it gets, gives it back, and catches what goes wrong."""
    with Session(tools=ToolRegistry([toolkit]), sandbox="local") as session:
        seen = session.run(
            "speed = convert('90 km/h', 'm/s')\n"
            "energy = calculate('m*v^2/2', 'kJ', {'m': '1200 kg', 'v': speed})\n"
            "try:\n"
            "    solve('x = x + 1', 'x')\n"
            "except NoSolution as error:\n"
            "    why = str(error)\n"
            "try:\n"
            "    simplify('x.real')\n"
            "except UnsupportedExpression as error:\n"
            "    position = error.position\n"
            "roots = [each['x'].value for each in solve('x^2 + 1 = 0', 'x')]\n"
            "energy.magnitude, roots, why, position, compare_means([1, 2, 3], [2, 4, 6]).interval.low < 0"
        )
        assert seen.error is None, seen.text
        assert seen.result == "(375.0, [-1j, 1j], \"'x' cannot be found from x = x + 1: no value does\", 1, True)"


def test_errors_are_few_and_named() -> None:
    """All of them are errors of science."""
    kinds = (DimensionMismatch, InvalidData, NoSolution, TooHard, UnknownConstant, UnknownUnit, UnsupportedExpression)
    assert {each.__base__.__name__ for each in kinds if each.__base__} == {"ScienceError"}
