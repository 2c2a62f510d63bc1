"""The check where a variable of an action has the name of a tool."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from codeact_tools.checks import Checker
from tests.checks_shop import make_registry


@pytest.fixture
def checker() -> Iterator[Checker]:
    """A checker at its first turn."""
    with Checker(make_registry()) as one:
        yield one


def said(checker: Checker, code: str) -> str:
    """All that is found, as the model reads it; the type checker took part."""
    result = checker.check_sync(code)
    assert result.degraded is None
    return result.render()


@pytest.mark.parametrize(
    "code",
    [
        "search_orders = list(search_orders(limt=3))",
        "search_orders: list[Order] = search_orders(limt=3)",
        "for search_orders in search_orders(limt=3):\n    pass",
        "if len('a') > 0:\n    search_orders(limt=3)\nsearch_orders = 5",
        "for word in ['a', 'b']:\n    found = search_orders(word, limt=3)\n    search_orders = found",
        "def show(search_orders):\n    return search_orders\nsearch_orders(limt=3)",
        "[search_orders for search_orders in 'ab']\nsearch_orders(limt=3)",
        "lambda search_orders: search_orders(limt=3)\nsearch_orders(limt=3)",
    ],
)
def test_a_call_before_the_name_is_bound_is_a_call_of_the_tool(checker: Checker, code: str) -> None:
    """It is checked like any other: the name stands for the tool until the action assigns it."""
    assert "`search_orders` has no parameter 'limt'." in said(checker, code)


@pytest.mark.parametrize(
    "code",
    [
        "search_orders = search_orders('a')\nsearch_orders[0].total",
        "search_orders = len\nsearch_orders('a')",
        "def use():\n    return search_orders(5, 6)\ndef search_orders(a, b):\n    return a\nuse()",
        "try:\n    search_orders = 5\nfinally:\n    print(search_orders + 1)",
        "if (stock := stock('a')):\n    print(stock['count'])",
        "match 5:\n    case stock:\n        print(stock + 1)",
        "with open('x') as stock:\n    print(stock.read())",
        "stock = [stock for stock in 'ab']\nstock.append('c')",
    ],
)
def test_names_of_tools_may_be_used_for_variables(checker: Checker, code: str) -> None:
    """After the assignment the name stands for what was assigned."""
    assert said(checker, code) == ""


def test_a_variable_that_hides_a_tool_is_named_with_the_way_to_the_tool(checker: Checker) -> None:
    """The model reads which call to write."""
    checker.commit("search_orders = search_orders('a')", variables={"search_orders": "list[tools.Order]"})
    text = said(checker, "orders = search_orders('b', limit=3)")
    assert "`list[Order]` cannot be called: the name 'search_orders' was assigned, which hides the tool." in text
    assert "Write `tools.search_orders('b', limit=3)`: this is the tool." in text
    assert said(checker, "orders = tools.search_orders('b', limit=3)\norders[0].total") == ""
    assert "has no parameter 'limt'" in said(checker, "tools.search_orders('b', limt=3)")


def test_a_variable_that_hides_a_tool_in_the_same_action_is_named_too(checker: Checker) -> None:
    """Also where the variable is bound a line before."""
    text = said(checker, "charge = charge('ann', 5)\ncharge('bob', 6)")
    assert "Line 2: `bool` cannot be called" in text
    assert "`tools.charge('bob', 6)`" in text


def test_a_variable_of_a_comprehension_hides_no_tool_later(checker: Checker) -> None:
    """Neither does a parameter: both are gone when the next action runs."""
    checker.commit("[stock for stock in 'ab']\ndef f(charge):\n    return charge")
    assert "`stock` needs 'name'." in said(checker, "stock()")
    assert "at most 1000" in said(checker, "charge('ann', 5000)")


def test_a_variable_may_be_looped_over_under_its_own_name(checker: Checker) -> None:
    """The list is what the loop reads, although the loop binds the name again."""
    checker.commit("stock = [stock('a')]")
    assert said(checker, "counts = [stock['count'] for stock in stock]") == ""
    assert "has no key 'cuont'" in said(checker, "counts = [stock['cuont'] for stock in stock]")


def test_a_name_may_be_deleted_and_bound_again(checker: Checker) -> None:
    """What an earlier action bound is there to be deleted."""
    checker.commit("numbers = [1]")
    assert said(checker, "del numbers\nnumbers = ('a', 1)\nnumbers[0].upper()") == ""


def test_an_unknown_name_brings_the_tools_to_mind(checker: Checker) -> None:
    """Once in an action, and where no other name is near: an action can start from nothing else."""
    text = said(checker, "first = zebra[0]\nsecond = quagga[0]")
    assert text.count("The tools are search_orders, ") == 1
    assert "The tools are" not in said(checker, "serch_orders('a')")
