"""The contract kit: an honest toolkit is gold; each kind of fault is found, and named."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from codeact_tools import Demonstration, ToolContext, Toolkit, tool
from codeact_tools.testing import ToolkitContract
from codeact_tools.testing.conformance import CHECKS, Subject, ToolkitReport, examine, perform


class TooMany(ValueError):
    """More than there are."""


@dataclass(frozen=True)
class Pair:
    """Two numbers."""

    first: int
    second: int


@tool(read_only=True)
def pair(number: int) -> Pair:
    """Pair a number with its successor.

    Args:
        number: The first one.

    Returns:
        The number and the next one.

    Raises:
        TooMany: There is no such number.

    Examples:
        >>> pair(2)
        Pair(first=2, second=3)
        >>> pair(-7)
        Traceback (most recent call last):
            ...
        TooMany: -7
    """
    if number < 0:
        raise TooMany(number)
    return Pair(number, number + 1)


@tool(read_only=True)
async def count(upto: int, context: ToolContext) -> int:  # noqa: D417 - the context is the host's
    """Add up numbers over a session.

    Args:
        upto: What is added.

    Returns:
        The sum so far.

    Examples:
        >>> await count(1)
        1
        >>> await count(2)
        3
    """
    context.state["sum"] = context.state.get("sum", 0) + upto
    total: int = context.state["sum"]
    return total


@tool(read_only=True)
def steps(limit: int = 3) -> Iterator[int]:
    """Yield numbers.

    Args:
        limit: How many, at most.

    Returns:
        Each number.

    Examples:
        >>> list(steps(2)), pair(1).second
        ([0, 1], 2)
    """
    yield from range(min(limit, 3))


@tool(read_only=True)
async def later(limit: int = 3) -> AsyncIterator[int]:
    """Yield numbers, one after the other.

    Args:
        limit: How many, at most.

    Returns:
        Each number.

    Examples:
        >>> [each async for each in later(2)]
        [0, 1]
    """
    for each in range(min(limit, 3)):
        yield each


good = Toolkit("good", tools=[pair, count, steps, later], version="1.0", summary="Numbers.")


class TestAnHonestToolkit(ToolkitContract):
    """Functions, coroutines and both kinds of generators, with state, pass every check."""

    toolkit = good


class TestAToolkitWithFiles(ToolkitContract):
    """Examples run in the folder that `prepare` fills."""

    examples = "all"

    def prepare(self, folder: Path) -> Toolkit:
        """Write a file for the tool to read."""

        @tool(read_only=True)
        def first_line(path: str) -> str:
            """Read the first line of a file.

            Args:
                path: The file.

            Returns:
                The line.

            Raises:
                OSError: It cannot be read.
                ValueError: It is no text, or no path.

            Examples:
                >>> first_line("notes.txt")
                'buy milk'
            """
            return Path(path).read_text().splitlines()[0]

        (folder / "notes.txt").write_text("buy milk\n")
        return Toolkit("paper", tools=[first_line], version="1.0", summary="Files.")


def made(function: Callable[..., Any], **options: Any) -> Toolkit:
    """A toolkit of one tool."""
    return Toolkit("bad", **{"version": "1.0", "summary": "Bad.", **options}, tools=[function])


def problems(check: str, toolkit: Toolkit, **options: Any) -> list[str]:
    """What one check objects to."""
    found = next(each for each in CHECKS if each.name == check)
    return [str(problem) for problem in perform(found, Subject(toolkit=toolkit, **options)).problems]


def test_the_levels_add_up() -> None:
    """A toolkit has the highest level of which, and of all below which, everything holds."""

    @tool(read_only=True)
    def undocumented(number: int) -> int:
        """Return a number."""
        return number

    assert examine(Subject(toolkit=good)).level == "gold"
    report = examine(Subject(toolkit=made(undocumented)))
    assert report.level == "bronze"
    assert "✗ documented" in report.text
    assert "bad.undocumented: does not say what 'number' means (Args)" in report.text
    assert ToolkitReport(toolkit="none", tools=0, results=()).level == "gold"
    assert examine(Subject(toolkit=Toolkit("empty", tools=[]))).level == "none"


def test_a_toolkit_says_what_it_is() -> None:
    """Summary and version, and a docstring for each tool."""

    @tool
    def silent() -> None: ...

    assert problems("described", Toolkit("bad", tools=[silent])) == [
        "bad: has no summary; write Toolkit(..., summary='What it is for.')",
        "bad: has no version; write Toolkit(..., version='1.0')",
        "bad.silent: has no docstring; its first line is what the model reads first",
    ]


def test_a_toolkit_of_a_later_api_level_and_a_broken_tool_do_not_register() -> None:
    """Each with its cause."""

    def broken(number) -> int:  # type: ignore[no-untyped-def]
        return 1

    later_one, wrong = problems("registers", made(broken, api=99))[:2]
    assert later_one == "bad: is written for level 99 of the API, and this library has level 1"
    assert wrong.startswith("bad.broken: ")
    assert "number" in wrong


def test_a_tool_that_fills_the_prompt_is_too_large() -> None:
    """The bound is on what the model would read."""

    @tool
    def talkative() -> None:
        """Talk."""

    talkative.__doc__ = f"Talk.\n\n{'Never stop talking. ' * 400}"
    (first,) = problems("fits a prompt", made(talkative))
    assert first.startswith("bad.talkative: takes about ")
    assert len(problems("fits a prompt", made(talkative), toolkit_tokens=100)) == 2


def test_vague_types_are_found_where_they_hide() -> None:
    """In parameters, results and fields."""

    @dataclass
    class Row:
        """A row."""

        cells: dict[str, Any]

    @tool
    def look(query: object) -> list[Row]:
        """Look."""
        return []

    assert problems("typed", made(look)) == [
        "bad.look: takes 'query' as object; write its type",
        "Row: has the field 'cells' of type dict[str, Any]",
    ]


def test_a_stale_example_and_a_missing_one_are_found() -> None:
    """Both are what a model believes."""

    @tool(read_only=True)
    def stale() -> int:
        """Return one.

        Examples:
            >>> stale()
            2
        """
        return 1

    @tool(read_only=True)
    def bare() -> int:
        """Return one."""
        return 1

    assert problems("examples hold", made(stale)) == [
        "bad.stale: its example is stale: 'stale()' gave '1', and shows '2'"
    ]
    assert problems("examples hold", made(bare)) == ["bad.bare: has no example; write one with >>> under Examples"]


def test_a_demonstration_is_run() -> None:
    """Its steps share their variables; what it prints is compared, and what fails is named."""
    good = ("found = pair(2)\nprint(found.second, Pair(first=1, second=2).first)", "3 1")
    late = ("print(found)", "Pair(first=2, second=...)")
    assert shown(good, late) == []
    assert shown(good, ("print(found.first)", "3"), ("print(absent)", "")) == [
        "bad: its demonstration 'Count' is stale: 'print(found.first)' printed '2', and shows '3'"
    ]
    assert shown(("print(1)\npair(-1)", "1")) == [
        "bad: its demonstration 'Count' is stale: 'print(1)\\npair(-1)' printed '1\\nTooMany: -1', and shows '1'"
    ]


def test_a_demonstration_runs_where_its_tools_may_run() -> None:
    """What changes something runs under ``examples="all"`` only."""

    @tool
    def change() -> int:
        """Change.

        Returns:
            One.

        Examples:
            >>> change()
            1
        """
        return 1

    demonstration = Demonstration(task="Change", steps=[("print(change())", "2")], answer="Done.")
    kit = Toolkit("bad", tools=[change], demonstrations=[demonstration])
    assert problems("examples hold", kit) == []
    (problem,) = problems("examples hold", kit, examples="all")
    assert "its demonstration 'Change' is stale" in problem


def shown(*steps: tuple[str, str]) -> list[str]:
    """What the kit finds in a demonstration with these steps."""
    demonstration = Demonstration(task="Count", steps=steps, answer="Done.")
    return problems("examples hold", Toolkit("bad", tools=[pair], demonstrations=[demonstration]))


def test_results_that_are_not_what_the_signature_says_are_found() -> None:
    """In the examples, as an action would find it."""

    @tool(read_only=True)
    def wrong() -> int:
        """Return a number.

        Examples:
            >>> wrong()
            'many'
        """
        return "many"  # type: ignore[return-value]

    assert any("result" in each for each in problems("errors declared", made(wrong)))


def test_a_default_that_no_call_could_give_is_found() -> None:
    """The host would refuse it, were it written out."""

    @tool(read_only=True)
    def search(limit: int = "many") -> int:  # type: ignore[assignment]
        """Search."""
        return 1

    assert "the default of 'limit' is not valid" in problems("values round-trip", made(search))[0]


def test_undeclared_errors_are_found_in_the_body_in_examples_and_at_the_limits() -> None:
    """What is not declared reaches the model as a failure of the tool that it cannot catch."""

    @tool(read_only=True)
    def raises(number: int) -> int:
        """Return a number.

        Examples:
            >>> raises(1)
            1
        """
        if number == 12345:
            raise KeyError(number)
        return number

    @tool(read_only=True)
    def divides(number: int) -> float:
        """Divide a hundred.

        Examples:
            >>> divides(2)
            50.0
        """
        return 100 / number

    @tool(read_only=True)
    def catches(number: int) -> int:
        """Return a number.

        Examples:
            >>> catches(1)
            1
        """
        try:
            if number:
                raise KeyError(number)  # noqa: TRY301
        except KeyError:
            return 1
        return 1

    assert problems("errors declared", made(raises)) == [
        "bad.raises: raises KeyError, which its docstring does not declare (Raises)"
    ]
    assert problems("errors declared", made(divides)) == [
        "bad.divides: bad.divides(number=0) ends in an error that is not declared: bad.divides failed: "
        "ZeroDivisionError: division by zero"
    ]
    assert problems("errors declared", made(catches)) == []


def test_parameters_by_position_are_tried_at_their_limits_too() -> None:
    """And a tool with any number of arguments is left alone."""

    @tool(read_only=True)
    def half(number: int, /, *, by: int = 2) -> float:
        """Halve.

        Examples:
            >>> half(4)
            2.0
        """
        return number / by

    @tool(read_only=True)
    def total(*numbers: int) -> int:
        """Add up.

        Examples:
            >>> total(1, 2)
            3
        """
        return sum(numbers)

    (found,) = problems("errors declared", made(half))
    assert "bad.half(number=4, by=0)" in found
    assert problems("errors declared", made(total)) == []


def test_a_tool_whose_examples_are_all_left_out_is_noted() -> None:
    """What cannot run where the check runs is no fault, and no proof."""

    @tool(read_only=True)
    def remote() -> int:
        """Ask.

        Examples:
            >>> remote()  # doctest: +SKIP
            1
        """
        return 1

    assert problems("examples hold", made(remote)) == []
    assert problems("values round-trip", made(remote)) == []
    notes = examine(Subject(toolkit=made(remote))).text
    assert "note: bad.remote: 'remote()  # doctest: +SKIP' is marked to be skipped" in notes


def test_a_call_at_the_limits_that_does_not_end_is_found() -> None:
    """An argument that takes forever is the tool's to refuse."""
    blocked = threading.Event()

    @tool(read_only=True)
    def wait(number: int) -> int:
        """Wait.

        Examples:
            >>> wait(1)
            1
        """
        blocked.wait(60 if number == 10**6 else 0)
        return number

    found = problems("errors declared", made(wait), probe_seconds=2)
    blocked.set()
    assert found == [
        "bad.wait: bad.wait(number=1000000) ends in an error that is not declared: bad.wait took longer than 2 s"
    ]


def test_a_contract_without_a_toolkit_says_what_is_missing() -> None:
    """A slip in the subclass is told as such."""
    with pytest.raises(NotImplementedError, match="toolkit ="):
        ToolkitContract().test_registers()


def test_a_contract_that_fails_lists_every_problem() -> None:
    """One failure of pytest holds all that there is to do."""

    @tool
    def silent(first: int, second: int) -> None: ...

    class Contract(ToolkitContract):
        toolkit = made(silent)

    with pytest.raises(AssertionError) as caught:
        Contract().test_documented()
    assert str(caught.value) == (
        "bad fails 'documented' (level silver):\n"
        "- bad.silent: does not say what 'first' means (Args)\n"
        "- bad.silent: does not say what 'second' means (Args)"
    )


PLUGIN = "codeact_tools.pytest_plugin"


def test_the_pytest_plugin_checks_an_installed_toolkit(tmp_path: Path) -> None:
    """``pytest --toolkit NAME`` needs no file at all."""
    command = [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--toolkit", "calendar", str(tmp_path),
    ]  # fmt: skip
    if not any(each.value == PLUGIN for each in entry_points(group="pytest11")):
        command[3:3] = ["-p", PLUGIN]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert f"{len(CHECKS)} passed" in done.stdout, done.stdout + done.stderr
