"""Names, toolkits and conflicts."""

# ruff: noqa: D103

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_tools.errors import DefinitionError, RegistryError
from codeact_tools.naming import identifier
from codeact_tools.registry import ToolRegistry
from codeact_tools.tools import ToolContext, Toolkit, invoke, tool
from tests import contract_types as ct


def search(query: str) -> list[ct.Item]:
    """Find."""
    return []


def broken(query) -> None:  # type: ignore[no-untyped-def]
    """Lack an annotation."""


@pytest.mark.parametrize(
    ("name", "mapped"),
    [("search", "search"), ("class", "class_"), ("max", "max_"), ("help", "help_"), ("get-user", "get_user"),
     ("files.read", "files_read"), ("2fa", "_2fa"), ("match", "match"), ("a b/c", "a_b_c"), ("tools", "tools_"),
     ("größe", "größe")],
)  # fmt: skip
def test_names_map_by_one_rule(name: str, mapped: str) -> None:
    """Any name becomes an identifier that hides neither a keyword nor a builtin, and can be asked for by both."""

    @tool(name=name)
    def function() -> None: ...

    registry = ToolRegistry([function])
    assert [spec.name for spec in registry.specs] == [mapped]
    assert registry.get(name) is registry.get(mapped)


@given(st.text(max_size=20))
def test_mapped_names_are_stable_identifiers(name: str) -> None:
    """A mapped name is an identifier and maps to itself; a name of nothing but signs is refused."""
    try:
        mapped = identifier(name, owner="here")
    except DefinitionError as error:
        assert "@tool(name='...')" in str(error)  # noqa: PT017
        return
    assert mapped.isidentifier()
    assert identifier(mapped, owner="here") == mapped


def test_clashes_name_both_owners_and_the_remedy() -> None:
    """Two tools of one name outside of toolkits are an error with both places."""

    def other() -> None: ...

    with pytest.raises(RegistryError) as caught:
        ToolRegistry([search, tool(name="search")(other)])
    text = str(caught.value)
    assert text.count("test_registry.py:") == 2
    assert "@tool(name='...')" in text


def test_mapped_names_clash_too() -> None:
    """``max`` and ``max_`` would be the same name in an action."""

    def max_() -> None: ...

    @tool(name="max")
    def function() -> None: ...

    with pytest.raises(RegistryError, match=r"'max' \(as 'max_'\)"):
        ToolRegistry([max_, function])


def test_toolkits_may_share_a_short_name() -> None:
    """Two toolkits keep their tools apart; the short name alone is ambiguous, and says so."""
    registry = ToolRegistry([Toolkit("shop", tools=[search]), Toolkit("bank", tools=[search])])
    assert [spec.qualified for spec in registry.specs] == ["shop.search", "bank.search"]
    assert registry.get("bank.search").toolkit == "bank"
    assert registry.exported == {}
    with pytest.raises(RegistryError, match=r"shop.search or bank.search"):
        registry.get("search")


def test_a_toolkits_tool_and_a_plain_one_clash() -> None:
    """A short name outside of toolkits belongs to one tool only."""
    with pytest.raises(RegistryError, match="of the toolkit 'shop'"):
        ToolRegistry([Toolkit("shop", tools=[search]), search])


@pytest.mark.parametrize("items", [[search, Toolkit("search", tools=[])], [Toolkit("search", tools=[]), search]])
def test_a_tool_and_a_toolkit_of_one_name_clash(items: list[Any]) -> None:
    """``tools.search`` is either a function or a module."""
    with pytest.raises(RegistryError, match="rename"):
        ToolRegistry(items)


def test_two_toolkits_of_one_name_clash() -> None:
    """The same toolkit twice is an error of names too, but merging a registry that has it is not."""
    with pytest.raises(RegistryError, match="Two toolkits are named 'shop'"):
        ToolRegistry([Toolkit("shop", tools=[]), Toolkit("shop", tools=[search])])


def test_a_type_gives_way_to_a_tool_that_was_there_before() -> None:
    """A tool keeps its name; a class of that name is renamed, or refused where it came first."""

    @tool(name="Item")
    def item() -> None: ...

    registry = ToolRegistry([item, search])
    assert registry.get("search").signature() == "search(query: str) -> list[ContractTypesItem]"
    with pytest.raises(RegistryError, match="has the name of the type 'Item'"):
        ToolRegistry([search, item])


@pytest.mark.parametrize("name", ["my-kit", "class", "1st", "max"])
def test_toolkit_names_are_identifiers(name: str) -> None:
    """``tools.<name>`` must be a module; the error suggests a name."""
    with pytest.raises(DefinitionError, match="write '"):
        Toolkit(name, tools=[])


def test_unknown_names_get_the_nearest() -> None:
    """A wrong name is answered with the most similar one."""
    with pytest.raises(RegistryError, match="did you mean 'search'"):
        ToolRegistry([search]).get("serach")
    with pytest.raises(RegistryError, match="there are search"):
        ToolRegistry([search]).get("zzz")


def test_a_lenient_toolkit_leaves_out_its_broken_tools() -> None:
    """One broken tool does not take the others down, and is not forgotten; a strict registry refuses it."""
    toolkit = Toolkit("shop", tools=[broken, search])
    with pytest.raises(DefinitionError):
        ToolRegistry([toolkit])
    registry = ToolRegistry([toolkit], lenient=True)
    assert [spec.qualified for spec in registry.specs] == ["shop.search"]
    assert [(each.tool, each.toolkit) for each in registry.problems] == [("broken", "shop")]
    with pytest.raises(DefinitionError):
        ToolRegistry([broken], lenient=True)


def test_registries_merge() -> None:
    """All tools of a registry can be added to another, toolkits included; each has its own catalog."""
    first = ToolRegistry([search, Toolkit("bank", tools=[search_accounts])])
    second = ToolRegistry([first])
    assert [spec.qualified for spec in second.specs] == ["search", "bank.search_accounts"]
    assert second.catalog.types.keys() == first.catalog.types.keys()
    assert ToolRegistry([first.get("search")]).get("search").function is search


def search_accounts() -> None: ...


def test_a_name_is_no_tool() -> None:
    """Names of installed toolkits are resolved elsewhere; the error says where."""
    with pytest.raises(RegistryError, match="load_toolkit"):
        ToolRegistry(["finance"])


async def test_tools_read_their_toolkits_configuration() -> None:
    """A configuration class is made once, and tools find the object in their context."""

    class Config:
        rate = 2.0

    def convert(amount: float, context: ToolContext) -> float:
        return float(amount * context.config.rate)

    spec = ToolRegistry([Toolkit("finance", tools=[convert], config=Config)]).get("convert")
    assert await invoke(spec, spec.bind([3], {}), ToolContext()) == 6.0


def test_registering_a_thousand_tools_is_quick() -> None:
    """Validators are made when they are needed, so a thousand tools register in well under two seconds here."""

    def make(number: int) -> Any:
        def function(query: str, limit: int = 20) -> dict[str, int]:
            """Find.

            Args:
                query: Words.
                limit: At most this many.
            """
            return {}

        function.__name__ = f"find_{number}"
        return function

    functions = [make(number) for number in range(1000)]
    started = time.process_time()  # of this process alone, whatever else the machine does
    assert len(ToolRegistry(functions)) == 1000
    assert time.process_time() - started < 5
