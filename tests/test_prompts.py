"""The system prompt: what a model reads of the registered tools, in each dialect."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from codeact_tools import Demonstration, Toolkit, ToolRegistry, tool
from codeact_tools.dialects import DIALECTS, Dialect
from codeact_tools.errors import DefinitionError
from codeact_tools.prompts import system_prompt, worked_example
from codeact_tools.rendering import render_listing
from tests.conftest import Snapshot
from tests.shop import SHOP, search_orders


@pytest.fixture
def registry() -> ToolRegistry:
    """The shop's tools."""
    return ToolRegistry(SHOP)


@pytest.mark.parametrize("dialect", ["chat", "training", "fences"])
def test_the_prompt_reads_like_this(registry: ToolRegistry, dialect: str, snapshot: Snapshot) -> None:
    """Each dialect's whole system prompt is a file that people can read."""
    prompt = system_prompt(registry, DIALECTS[dialect], allow_imports=["math"])
    snapshot(f"prompt-{dialect}.md", prompt.text + "\n")
    assert prompt.notes == ()


@pytest.mark.parametrize("dialect", list(DIALECTS.values()), ids=list(DIALECTS))
def test_the_worked_example_is_written_in_the_dialect(dialect: object) -> None:
    """The example's action parses back to code that calls a registered tool and prints, and its answer is an answer."""
    from codeact_tools.dialects import Dialect

    assert isinstance(dialect, Dialect)
    example = worked_example(ToolRegistry([search_orders]), dialect)
    turns = example.split("\nAssistant: ")[1:]
    action = dialect.parse(turns[0].partition("\nUser: ")[0])
    assert "search_orders(" in action.code
    assert "print(first)" in action.code
    ast.parse(action.code)
    assert dialect.parse(turns[-1]).answer == "search_orders gives B02."


def test_the_examples_output_is_what_print_shows() -> None:
    """A docstring shows a ``repr``; the example's observation shows what ``print`` writes."""
    example = worked_example(ToolRegistry([search_orders]), DIALECTS["chat"])
    assert "Execution Output:\nB02" in example


def test_a_typed_answer_is_given_by_its_tool(registry: ToolRegistry) -> None:
    """Where the answer has a type, rules and example end in a call of ``final_answer``, not in plain text."""
    text = system_prompt(registry, DIALECTS["chat"], answer_tool="final_answer").text
    assert "call final_answer(...)" in text
    assert "final_answer(first)\n</execute>" in text


SHOWN = Demonstration(
    task="Which order of B is there?",
    steps=[
        (
            """
            found = search_orders("B")
            for order in found:
                print(order.id)
            """,
            """
            B02
            """,
        ),
        ("print(len(found))", "1"),
    ],
    answer="There is one: B02.",
)


@pytest.mark.parametrize("dialect", list(DIALECTS.values()), ids=list(DIALECTS))
def test_a_toolkits_demonstration_takes_the_place_of_the_example(dialect: Dialect) -> None:
    """Task, actions, outputs and answer are written in the dialect, without the indentation of the source."""
    kit = Toolkit("shop", tools=[search_orders], demonstrations=[SHOWN])
    user, *turns = worked_example(ToolRegistry([kit]), dialect).split("\nAssistant: ")
    assert "Which order of B is there?" in user
    first, second, last = (turn.partition("\nUser: ") for turn in turns)
    assert dialect.parse(first[0]).code == 'found = search_orders("B")\nfor order in found:\n    print(order.id)'
    assert first[2].startswith(dialect.observe("B02").strip())
    assert dialect.parse(second[0]).code == "print(len(found))"
    assert dialect.parse(last[0]).answer == "There is one: B02."


def test_a_demonstration_with_a_tool_that_is_left_out_is_not_shown() -> None:
    """An application may take a part of a toolkit; the model reads of no tool that is not there."""

    @tool
    def other(x: int) -> int:
        """Return x.

        Examples:
            >>> other(1)
            1
        """
        return x

    kit = Toolkit("shop", tools=[other], demonstrations=[SHOWN])
    example = worked_example(ToolRegistry([kit]), DIALECTS["chat"])
    assert "search_orders" not in example
    assert "other(1)" in example


def test_a_typed_answer_is_never_demonstrated_as_text() -> None:
    """Where the answer is given by a tool, the example shows that."""
    kit = Toolkit("shop", tools=[search_orders], demonstrations=[SHOWN])
    example = worked_example(ToolRegistry([kit]), DIALECTS["chat"], answer_tool="final_answer")
    assert "final_answer(first)" in example
    assert SHOWN.answer not in example


@pytest.mark.parametrize("step", [("1 +", "2"), ("print(1)",), "ab c", (1, 2)])
def test_a_demonstration_without_code_is_refused(step: Any) -> None:
    """The error names the task and the step."""
    with pytest.raises(DefinitionError, match=r"'Add' has a step that is not \(Python code, what it prints\)"):
        Demonstration(task="Add", steps=[step], answer="2")


def test_what_one_tool_explains_is_not_said_again() -> None:
    """Two tools that raise the same for the same reason share the explanation."""

    @tool
    def buy(name: str) -> None:
        """Buy.

        Args:
            name: What.

        Raises:
            KeyError: Nobody sells it.
            ValueError: It is too dear.
        """

    @tool
    def sell(name: str) -> None:
        """Sell.

        Args:
            name: What.

        Raises:
            KeyError: Nobody sells it.
            ValueError: It is too cheap.
        """

    text = render_listing(ToolRegistry([buy, sell])).text
    assert text.count("Nobody sells it.") == 1
    assert text.count("Raises: KeyError") == 1
    assert text.count("Raises ValueError: ") == 2


def test_tools_without_examples_have_no_worked_example() -> None:
    """Nothing is made up: without an ``Examples:`` there is no example."""

    @tool
    def silent(x: int) -> int:
        """Return x."""
        return x

    assert worked_example(ToolRegistry([silent]), DIALECTS["chat"]) == ""


def test_a_budget_shortens_the_listing_and_says_so(registry: ToolRegistry) -> None:
    """Past the budget tools fall back to less text, and the developer is told which."""
    full = system_prompt(registry, DIALECTS["chat"]).text
    prompt = system_prompt(registry, DIALECTS["chat"], budget=150)
    assert len(prompt.text) < len(full)
    assert "shortened" in prompt.notes[0]


def test_the_instructions_of_a_toolkit_and_of_the_application_are_there() -> None:
    """A toolkit's own rules and the application's words reach the model."""
    kit = Toolkit("shop", tools=[search_orders], instructions="Amounts are in euros.")
    text = system_prompt(ToolRegistry([kit]), DIALECTS["chat"], instructions="Answer in French.").text
    assert "Amounts are in euros." in text
    assert text.endswith("Answer in French.")


def test_without_tools_the_prompt_still_teaches_to_act() -> None:
    """An agent without tools can still compute."""
    text = system_prompt(ToolRegistry(), DIALECTS["chat"]).text
    assert "<execute>" in text
    assert "Tool function available" not in text
