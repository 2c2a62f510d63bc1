"""The system prompt: what a model reads of the registered tools, in each dialect."""

from __future__ import annotations

import ast

import pytest

from codeact_tools import Toolkit, ToolRegistry, tool
from codeact_tools.dialects import DIALECTS
from codeact_tools.prompts import system_prompt, worked_example
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
