"""What hostile texts and long computations can do: nothing, and not for long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from codeact_tools_science import (
    NoSolution,
    ScienceError,
    TooHard,
    UnknownUnit,
    UnsupportedExpression,
    calculate,
    convert,
    differentiate,
    find_root,
    integrate,
    minimise,
    simplify,
    solve,
    solve_ode,
    workers,
)
from codeact_tools_science.engine import grammar
from codeact_tools_science.engine.faults import Fault
from codeact_tools_science.workers import Worker, ask, close_idle, warm_up
from hypothesis import given
from hypothesis import strategies as st

CODE = [
    ("__import__('os').system('touch /tmp/pwned')", 0),
    ("x.__class__", 1),
    ("().__class__.__base__.__subclasses__()", 2),
    ("lambda: 0", 6),
    ("[x for x in (1, 2)]", 0),
    ("'a' * 10", 0),
    ('"a"', 0),
    ("f'{x}'", 1),
    ("x[0]", 1),
    ("{x}", 0),
    ("x := 1", 2),
    ("x; y", 1),
    ("x if x else y", 2),
    ("x @ y", 2),
    ("x \\ y", 2),
    ("x # y", 2),
    ("п + 1", 0),  # a Cyrillic letter
    ("ｘ + 1", 0),  # noqa: RUF001 - a wide letter, which Python would take for an x
    ("_x + 1", 0),
    ("x\0", 1),
    ("x\u2028y", 1),
    ("1_000", 1),
    ("1,5", 1),
    ("", 0),
    ("   ", 3),
    ("1 +", 3),
    ("(1", 0),
    ("1)", 1),
    ("* 1", 0),
    ("sin", None),
    ("eval(1)", 0),
    ("open(x)", 0),
    ("exec(x)", 0),
    ("Symbol(x)", 0),
    ("sympify(x)", 0),
    ("(" * 50 + "1" + ")" * 50, 40),
    ("-" * 900 + "1", 40),
    ("2^" * 400 + "1", None),
    ("x" * 1001, 1000),
    ("1" * 51, 0),
    ("1e9999", 0),
]


@pytest.mark.parametrize(("text", "position"), CODE, ids=[repr(text)[:30] for text, _ in CODE])
def test_text_is_arithmetic_or_refused(text: str, position: int | None) -> None:
    """No text of a model is ever evaluated; what is refused says where."""
    if position is None:  # names of no meaning, and powers beyond all bounds
        with suppress(UnsupportedExpression, TooHard):
            simplify(text)
    else:
        with pytest.raises(UnsupportedExpression) as caught:
            simplify(text)
        assert caught.value.position == position
        for tool in (differentiate, integrate):
            with pytest.raises(UnsupportedExpression):
                tool(text)
    assert not Path("/tmp/pwned").exists()  # noqa: S108


@pytest.mark.parametrize("text", [text for text, _ in CODE if text not in ("2^" * 400 + "1", "1 +", "x" * 1001)])
def test_units_are_arithmetic_or_refused(text: str) -> None:
    """Pint would evaluate a text, too; it never gets more than a name."""
    for quantity, unit in ((f"5 {text}", "m"), ("5 m", text)):
        with pytest.raises(ScienceError):
            convert(quantity, unit)
    with pytest.raises(ScienceError):
        calculate(text)


@pytest.mark.parametrize(
    "text",
    [
        "@alias meter = evil",
        "evil = 5 meter",
        "@import /etc/passwd",
        "meter\n@alias meter = evil",
        "5 m -> km",
        "m**m",
        "m^99",
        "kilokilometer",
        "delta_",
        "__class__",
        "9**9**9**9 m",
    ],
)
def test_no_text_defines_or_bends_units(text: str) -> None:
    """Definitions, imports and prefixes of prefixes are no units; the registry stays as it is."""
    with pytest.raises(ScienceError):
        convert("5 m", text)
    assert convert("1 km", "m").magnitude == 1000
    with pytest.raises(UnknownUnit):
        convert("1 evil", "m")


@pytest.mark.parametrize(
    "text",
    [
        "9**9**9",
        "9^9^9^9",
        "10^10^10",
        "factorial(factorial(9))",
        "((9!)!)!",
        "(10^5000)!",
        "factorial(10^20)",
        "gamma(10^9)",
        "binomial(10^9, 10^8)",
        "2^(2^100)",
        "2^10000",
        "x^100000",
        "(x + 1)^(10^6)",
    ],
)
def test_numbers_beyond_all_bounds(text: str) -> None:
    """They are refused before they are computed."""
    with pytest.raises(TooHard, match=r"too large|characters"):
        simplify(text)


@pytest.mark.parametrize("text", ["1/0", "oo - oo", "0 * oo", "0/0", "0^(0 - 1)", "log(0)", "tan(pi/2)"])
def test_what_has_no_value(text: str) -> None:
    """It is an error, never NaN."""
    with pytest.raises(NoSolution):
        simplify(text)


def test_numbers_that_are_none() -> None:
    """Not finite, as arguments."""
    for number in (float("nan"), float("inf")):
        for call in (
            lambda number=number: calculate("x", values={"x": number}),
            lambda number=number: find_root("x", number, 1),
            lambda number=number: minimise("x", {"x": (number, 1)}),
            lambda number=number: solve_ode({"x": "1"}, {"x": number}, end=1),
        ):
            with pytest.raises(ScienceError):
                call()


def test_too_many_unknowns() -> None:
    """Ten are enough."""
    names = [f"x{number}" for number in range(11)]
    with pytest.raises(ScienceError, match="11 unknowns are given; it takes 1 to 10"):
        solve(["x0 = 1"], names)
    with pytest.raises(ScienceError, match="0 equations are given"):
        solve([], ["x"])
    with pytest.raises(ScienceError, match="named twice"):
        solve(["x = 1"], ["x", "x"])


@given(st.text(alphabet="0123456789.xyemkgs+-*/^!()=, '\"[]{}_:@\\\n°µ%", max_size=40))
def test_the_reader_has_one_error(text: str) -> None:
    """Whatever the text, it is read, or refused with a position within it."""
    for units in (False, True):
        assert outcome(text, units=units) in range(-1, len(text) + 1)


def outcome(text: str, *, units: bool) -> int:
    """The position at which a text is refused; -1 where it is read."""
    try:
        grammar.parse(text, units=units)
    except Fault as fault:
        return int(fault.fields["position"]) if fault.kind == "UnsupportedExpression" else -2
    return -1


# ---- time, memory, processes -----------------------------------------------------------------------------------------


def test_a_computation_without_end_is_ended() -> None:
    """Its process is gone, and the next question has another one."""
    close_idle()
    worker = Worker()
    question = {
        "operation": "simplify",
        "arguments": {"expression": "(((x + y)^200 + z)^200 + w)^200", "form": "expanded"},
        "seconds": 1.0,
    }
    with pytest.raises(TooHard, match="takes longer than 1 s"):
        worker.ask(question, 1.0)
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)
    with pytest.raises(TooHard, match=r"takes longer than 1\.5 s"):
        ask("simplify", seconds=1.5, expression="(((x + y)^200 + z)^200 + w)^200", form="expanded")
    assert not workers._idle
    assert simplify("x + x").text == "2*x"


def test_memory_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs more is an error of the question, not of the machine."""
    monkeypatch.setattr(workers, "MEMORY_MB", 256)
    close_idle()
    with pytest.raises(TooHard, match="memory"):
        ask("simplify", seconds=60, expression="(a+b+c+d+e+f+g+h)^60", form="expanded")
    close_idle()


def test_a_worker_is_used_again_and_by_one_at_a_time() -> None:
    """Questions of several threads go to several workers; two of them wait for more."""
    close_idle()
    assert convert("1 km", "m").magnitude == 1000
    (first,) = workers._idle
    assert convert("1 km", "m").magnitude == 1000
    assert workers._idle == [first]
    found: list[float] = []
    threads = [threading.Thread(target=lambda: found.append(convert("1 km", "m").magnitude)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1000.0] * 4
    assert len(workers._idle) <= workers.MOST_IDLE


def test_a_worker_that_was_killed_is_replaced() -> None:
    """The next question does not notice."""
    close_idle()
    warm_up()
    worker = workers._idle[-1]
    os.kill(worker.pid, signal.SIGKILL)
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    assert convert("1 km", "m").magnitude == 1000


def test_a_worker_sees_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment is its own."""
    monkeypatch.setenv("API_KEY", "secret")
    close_idle()
    warm_up()
    environment = Path(f"/proc/{workers._idle[0].pid}/environ").read_bytes()
    assert b"secret" not in environment


def test_the_host_loads_none_of_the_libraries() -> None:
    """The tools are imported without NumPy, SciPy, SymPy and Pint, and leave no process behind."""
    code = (
        "import sys, codeact_tools_science as s\n"
        "print(s.convert('1 km', 'm').magnitude, s.workers._idle[0].pid)\n"
        "print({'numpy', 'scipy', 'sympy', 'pint'} & set(sys.modules))"
    )
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": path}, timeout=200
    )
    first, loaded = done.stdout.splitlines()
    assert loaded == "set()"
    magnitude, pid = first.split()
    assert magnitude == "1000.0"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
