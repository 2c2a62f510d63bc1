"""What was there from the start is there in every action, whatever earlier actions did to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from codeact_tools import Session, tool
from codeact_tools.checks import Checker
from codeact_tools.registry import ToolRegistry
from codeact_tools.testing.unconfined import UnconfinedSandbox
from tests.guests import entry, running


@tool(read_only=True)
def search(query: str, limit: int = 3) -> list[str]:
    """Find things."""
    return [query] * limit


@tool
def pay(amount: int) -> None:
    """Pay."""


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    """A checker whose type checker is warm."""
    with Checker(ToolRegistry([search, pay])) as checker:
        yield checker


@pytest.fixture(autouse=True)
def _fresh(checker: Checker) -> None:
    checker.forget()


DELETIONS = [
    "del search",
    "if search:\n    del search",
    "search = 5\ndel search",
    "for search in [1]:\n    pass\nelse:\n    del search",
    "def forget():\n    global search\n    del search\nforget()",
    "globals().clear()",
    "del search\n1 / 0",
]


@pytest.mark.parametrize("deletion", DELETIONS)
async def test_a_deleted_tool_is_there_in_the_next_action(deletion: str) -> None:
    """However its name was deleted, and whether or not the action came to its end."""
    async with running([entry("search", "query: str")], {"search": lambda query: [query]}) as guest:
        await guest(deletion)
        assert (await guest("search('a')")).result == "['a']"
        assert (await guest("__name__, len('abc'), tools.search('b'), ToolError.__name__")).result == (
            "('__main__', 3, ['b'], 'ToolError')"
        )


async def test_a_tool_that_was_hidden_and_deleted_is_back_for_earlier_functions_too() -> None:
    """They look the name up when they are called; `del` ends the hiding, from the next action on."""
    async with running([entry("search", "query: str")], {"search": lambda query: [query]}) as guest:
        await guest("def twice(query):\n    return search(query) * 2\nsearch = 5")
        assert (await guest("search + 1")).result == "6"
        assert (await guest("search")).names == {"twice": "builtins.function", "search": "int"}
        assert (await guest("del search")).names == {"twice": "builtins.function"}
        assert (await guest("twice('a')")).result == "['a', 'a']"


async def test_the_error_of_an_action_that_deleted_a_tool_says_where_to_get_it() -> None:
    """Until its end, the action is ordinary Python, where a deleted name does not exist."""
    async with running([entry("search", "query: str")], {"search": lambda query: [query]}) as guest:
        outcome = await guest("del search\nsearch('a')")
        assert outcome.error is not None
        assert outcome.error.message == "name 'search' is not defined. `from tools import search` gives it."
        assert (await guest("del search\nfrom tools import search\nsearch('a')")).result == "['a']"


async def test_the_modules_of_the_tools_lose_nothing() -> None:
    """So `from tools import name` always works."""
    tools = [entry("search", "query: str", toolkit="shop")]
    async with running(tools, {"shop.search": lambda query: [query]}) as guest:
        for code in ("del tools.search", "del tools.shop", "del tools.shop.search", "delattr(tools.shop, 'search')"):
            outcome = await guest(code)
            assert outcome.error is not None
            assert outcome.error.message.endswith("cannot be deleted")
        assert (await guest("del tools")).error is None
        assert (await guest("import tools.shop\nfrom tools import search\ntools.shop.search('a')")).result == "['a']"


@pytest.mark.parametrize("variables", [{}, None])
def test_the_check_knows_that_a_deleted_tool_is_back(checker: Checker, variables: dict[str, str] | None) -> None:
    """It is checked as the tool, by the signature; also where the sandbox does not tell the variables."""
    told = None if variables is None else {"search": "int"}
    checker.commit("search = 5", variables=told)
    assert "hides the tool" in checker.check_sync("search('a')").render()
    checker.commit("del search", variables=variables)
    assert checker.check_sync("search('a', limit=2)[0].upper()").ok
    assert "search(query: str, limit: int = 3)" in checker.check_sync("search(5)").render()
    checker.commit("search = 'b'", variables=None if variables is None else {"search": "str"})
    assert checker.check_sync("search.upper()").ok


def test_the_check_knows_that_a_deleted_module_is_back(checker: Checker) -> None:
    """`tools` itself comes back like everything in it."""
    checker.commit("tools = 4", variables={"tools": "int"})
    assert not checker.check_sync("tools.search('a')").ok
    checker.commit("del tools", variables={})
    assert checker.check_sync("tools.search('a')").ok
    assert not checker.check_sync("tools.search(5)").ok


def test_what_a_deleted_name_reached_it_reaches_no_more(checker: Checker) -> None:
    """A function under a tool's name, and its side effects, are gone with the name."""
    checker.commit("def search(query):\n    pay(5)", variables={"search": "builtins.function"})
    assert checker.check_sync("search('a')").effects == ("pay",)
    checker.commit("del search", variables={})
    assert checker.check_sync("search('a')").effects == ()


def test_a_name_that_is_bound_again_is_no_tool(checker: Checker) -> None:
    """Where nobody tells the variables, only what is certainly deleted in the end counts as deleted."""
    checker.commit("del search\nsearch = 6")
    assert checker.check_sync("search + 1").ok


def test_a_session_goes_on_with_a_tool_that_it_deleted() -> None:
    """The check and the guest are of one mind about it."""
    with Session(tools=[search], sandbox=UnconfinedSandbox()) as session:
        session.run("for search in ['a', 'b']:\n    pass")
        refused = session.run("search('x')")
        assert refused.error is not None
        assert refused.error.kind == "check"
        session.run("del search")
        assert session.run("search('x', limit=1)").result == "['x']"
        wrong = session.run("search(5)")
        assert wrong.error is not None
        assert wrong.error.kind == "check"
