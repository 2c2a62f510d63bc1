"""What a guest tells of the session's variables, and what the host takes over of it."""

from __future__ import annotations

from typing import Any

import pytest

from codeact_tools.errors import ProtocolViolation
from codeact_tools.sandbox.guest.variables import describe, variables
from codeact_tools.sandbox.outcome import are_names
from tests.guests import running


def looped() -> list[Any]:
    """A list that holds itself."""
    items: list[Any] = []
    items.append(items)
    return items


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "bool"),
        (1, "int"),
        ("a", "str"),
        ([], "list"),
        ([1, 2], "list[int]"),
        ([1, "a"], "list"),
        ([None], "list[None]"),
        ({"a": [1.5]}, "dict[str, list[float]]"),
        ({"a": 1, "b": None}, "dict"),
        ((1, "a"), "tuple[int, str]"),
        ((), "tuple"),
        ((1,) * 9, "tuple[int, ...]"),
        ({1}, "set[int]"),
        (list(range(101)), "list"),
        ([[0] * 60, [0] * 60], "list"),
        (range(3), "range"),
        (ValueError("a"), "builtins.ValueError"),
        (lambda: 0, "builtins.function"),
    ],
)
def test_types_are_described(value: object, text: str) -> None:
    """The class, and the classes of a few equal elements."""
    assert describe(value) == text


def test_a_list_that_holds_itself_has_an_end() -> None:
    """As have values that are nested deeply."""
    assert describe(looped()).startswith("list[list")
    assert len(describe(looped())) < 200


async def test_no_code_of_the_action_runs() -> None:
    """Neither a value's methods nor those of its class and of its class's class are asked."""
    code = """
class Meta(type):
    def __getattribute__(cls, name): print("asked", name); return type.__getattribute__(cls, name)
    def __hash__(cls): print("hashed"); return 1
    def __eq__(cls, other): print("compared"); return True
class Spy(metaclass=Meta):
    def __getattribute__(self, name): print("asked", name); return object.__getattribute__(self, name)
    def __repr__(self): print("shown"); return "Spy"
    def __len__(self): print("counted"); return 1
    def __iter__(self): print("looped"); return iter(())
    def __eq__(self, other): print("compared"); return True
    def __hash__(self): print("hashed"); return 1
class Many(list):
    def __iter__(self): print("looped"); return iter(())
    def __len__(self): print("counted"); return 1
spy, many, spies = Spy(), Many([1]), [Spy(), Spy()]
globals()[5] = globals()["a b"] = globals()["x" * 1000] = 1
class Name(str): pass
globals()[Name("named")] = 1
Meta.__module__ = Spy.__qualname__ = "int); import os; ("
print("end")
"""
    async with running() as guest:
        outcome = await guest(code)
        printed = guest.answers.stdout
    assert outcome.error is None
    assert printed.partition("end\n")[2] == ""
    assert outcome.names is not None
    assert outcome.names["many"] == "__main__.Many"
    assert (outcome.names["spy"], outcome.names["spies"]) == ("", "list")
    assert set(outcome.names) == {"Meta", "Spy", "Many", "Name", "spy", "many", "spies"}


async def test_names_that_were_there_before_are_told_once_they_change() -> None:
    """What the guest itself bound is no variable of the session."""
    async with running() as guest:
        assert (await guest("pass")).names == {}
        assert (await guest("ToolError = 5\nx = [1]")).names == {"ToolError": "int", "x": "list[int]"}
        assert (await guest("del x")).names == {"ToolError": "int"}
        assert (await guest("globals().update({f'n{i}': 1 for i in range(600)})")).names is None


async def test_the_failing_line_is_that_of_the_action() -> None:
    """Of the frames of an error, the outermost one of this action counts; where nothing ran, there is none."""
    async with running() as guest:
        outcome = await guest("def f():\n    return 1 / 0\nx = 1\nf()\ny = 2")
        assert outcome.error is not None
        assert outcome.error.line == 4
        outcome = await guest("x = 5\nf()")
        assert outcome.error is not None
        assert outcome.error.line == 2
        outcome = await guest("x = (")
        assert outcome.error is not None
        assert outcome.error.line is None
        outcome = await guest("import asyncio\nawait asyncio.sleep(0)\nraise ValueError(1)")
        assert outcome.error is not None
        assert outcome.error.line == 3


def test_variables_are_those_that_the_actions_bound() -> None:
    """Also where they bind a given name to something else."""
    given = {"tool": print, "x": 1}
    assert variables({"tool": print, "x": 1.5, "y": []}, given) == {"x": "float", "y": "list"}


@pytest.mark.parametrize(
    "names",
    [
        [], "x", {"x": 1}, {"x": None}, {"a b": "int"}, {"": "int"}, {"x": "int()"}, {"x": "int\nimport os"},
        {"x": "'a'"}, {"x": "int;"}, {"x": "\ud800"}, {"\ud800": "int"}, {"x": "a" * 500}, {"x" * 500: "int"},
        {f"n{number}": "int" for number in range(2000)}, {"x": "1"}, {"x": "int | str"},
    ],
)  # fmt: skip
def test_malformed_names_are_refused(names: Any) -> None:
    """Anything but names and class names is a violation of the protocol."""
    assert not are_names(names)


def test_well_formed_names_are_taken() -> None:
    """Of every script, as Python allows them."""
    assert are_names({"x": "dict[str, list[tools.Order]]", "größe": "", "t": "tuple[int, ...]", "नाम": "None"})


async def test_a_guest_that_sends_malformed_names_is_ended() -> None:
    """Its session is over."""
    code = """
import sys
frame = sys._getframe()
while "self" not in frame.f_locals or "_given" not in vars(frame.f_locals["self"]):
    frame = frame.f_back
frame.f_globals["variables"] = lambda *_: {"x": "__import__('os')"}
"""
    async with running(allow_imports=["*"]) as guest:
        with pytest.raises(ProtocolViolation):
            await guest(code)


async def test_what_the_standard_library_imports_for_itself_is_no_import_of_the_action() -> None:
    """Modules written in C import in the name of their caller."""
    async with running(allow_imports=["datetime"]) as guest:
        outcome = await guest(
            "from datetime import datetime, date\n"
            "date.today() <= date.fromtimestamp(0), datetime(2026, 1, 2).strftime('%d'), "
            "datetime.strptime('2026', '%Y').year"
        )
        assert outcome.error is None, outcome.error
        assert outcome.result == "(False, '02', 2026)"
        for hidden in ("import time", "__import__('time')", "__import__('time', fromlist=('sleep',))"):
            outcome = await guest(hidden)
            assert outcome.error is not None
            assert outcome.error.type == "ModuleNotFoundError"
