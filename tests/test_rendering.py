"""What a model and a checker read of a registry."""

# ruff: noqa: D101, D103, D400, D415, D417

from __future__ import annotations

import fractions
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Unpack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from codeact_tools.registry import ToolRegistry
from codeact_tools.rendering import Listing, estimate_tokens, render_listing, render_stubs, render_tool
from codeact_tools.tools import Opaque, ToolContext, Toolkit, tool
from tests import contract_types as ct
from tests.conftest import Snapshot

T = TypeVar("T")
N = TypeVar("N", bound=float)
Date = date


class ShopClosed(RuntimeError):
    """The shop is closed."""

    until: date


class Diary(BaseModel):
    """A day's entry; its first field has the name of its type."""

    date: date
    before: Date | None = None


class Hound(ct.Dog):
    name: str


@tool(read_only=True)
def search_orders(
    query: str,
    context: ToolContext,
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
    status: Literal["open", "closed"] | None = None,
) -> list[ct.Item]:
    """Find orders by free text.

    Newest first, unless the query sorts.

    Args:
        query: Words to look for in customer and item names.
        limit: At most this many.
        status: Only these.

    Returns:
        Matching orders.

    Raises:
        ShopClosed: The shop's database is in maintenance.
        ValueError: The query is empty.

    Examples:
        >>> search_orders("shoes", limit=1)
        [Item(name='shoe', ...)]
    """
    return []


def every_type(
    a: ct.Page[ct.Item],
    b: ct.Colour,
    c: ct.Place,
    d: ct.Person,
    e: ct.Movie,
    f: ct.Pair,
    g: ct.UserId,
    h: ct.Tags,
    i: re.Pattern[str],
    j: Literal["x", 1, ct.Colour.RED],
    k: ct.Json,
    level: ct.Grade,
    m: ct.Tree,
    n: ct.Pet,
    o: Path = Path(),
    *more: ct.Rights,
    p: ct.Size = ct.Size.SMALL,
    **rest: complex,
) -> dict[tuple[int, ...], fractions.Fraction | uuid.UUID | None]:
    raise NotImplementedError


def keywords(*, on: date, at: time, **filters: Unpack[ct.Filters]) -> set[frozenset[bytes]]:
    """Say "hello" with a \\ and a quote\""""
    return set()


def first(items: list[T], weights: list[N]) -> T:
    raise NotImplementedError


def positional(a: int, /, b: Diary) -> Hound:
    raise NotImplementedError


def count(n: int) -> Iterator[int]:
    raise NotImplementedError


async def fetch(connection: Opaque[ct.Connection]) -> dict[str, Any]:
    raise NotImplementedError


async def watch() -> AsyncIterator[ct.Item]:
    raise NotImplementedError


def move(x: ct.Point, y: timedelta = timedelta(days=1), z: Decimal = Decimal("1.5")) -> datetime:
    raise NotImplementedError


@tool(name="max")
def largest(values: list[float]) -> float:
    """The largest of the values."""
    return max(values)


REGISTRY = ToolRegistry(
    [search_orders, every_type, keywords, first, positional, count,
     Toolkit("net", tools=[fetch, watch], summary="Connections."), Toolkit("plane", tools=[move, largest])]
)  # fmt: skip


def test_the_listing_reads_as_python(snapshot: Snapshot) -> None:
    """Types once, then each tool with its docs; toolkits under their own headings."""
    listing = render_listing(REGISTRY)
    snapshot("listing.md", f"# The listing of the test registry, in full\n\n```python\n{listing.text}\n```\n")
    compile(listing.text, "listing", "exec")
    assert set(listing.tiers.values()) == {"full"}
    assert listing.note == ""


@pytest.mark.parametrize("tier", ["full", "signature", "name"])
def test_tiers_of_one_tool(tier: Any, snapshot: Snapshot) -> None:
    """Full text, signature with one line, name with one line."""
    text = render_tool(REGISTRY.get("search_orders"), tier=tier)
    snapshot(f"tier_{tier}.md", f"```python\n{text}\n```\n")


def test_errors_are_explained_once() -> None:
    """What an error's class says beside the tool is not said again; a tool that is shown alone says it itself."""

    class Shut(Exception):
        """The shop is shut."""

    class Empty(Exception):
        """There is nothing."""

    def buy(name: str) -> int:
        """Buy it.

        Raises:
            Shut: the shop is shut
            Empty: There is nothing.
            KeyError: There is no such thing.
        """
        return 1

    registry = ToolRegistry([buy])
    text = render_listing(registry).text
    assert text.count("shop is shut") == text.count("There is nothing.") == 1
    assert "    Raises: Shut, Empty\n    Raises KeyError: There is no such thing." in text
    assert "Raises Empty: There is nothing." in render_tool(registry.get("buy"))


def test_the_stubs_read_as_python(snapshot: Snapshot) -> None:
    """The stubs can be read by people, too."""
    for path, text in render_stubs(REGISTRY).items():
        snapshot(path.replace("tools/", "stubs/"), text)


ACTIONS = """
from tools import Colour, Diary, Hound, Item, Movie, Pair, Place, Point, ShopClosed, date, net, plane, search_orders
from tools import count, every_type, first, keywords, positional
from tools.net import fetch
from decimal import Decimal
import datetime

try:
    names: list[str] = [item.name for item in search_orders("x", limit=3)]
except ShopClosed as error:
    until: date = error.until
total: Decimal = Item(name="a", price=Decimal(1)).total
place = Place("home", at=Point(1.0))
number: int = place.length
diary = Diary(date=date(2026, 1, 2), before=None)
day: datetime.date = diary.date
hound: Hound = positional(1, diary)
top: str = first(["a"], [1.5])
squares = [n * n for n in count(3)]
movie: Movie = {"title": "Alien"}
left: int = Pair(1).left
keywords(on=date.today(), at=datetime.time(1), limit=3)
moment: datetime.datetime = plane.move(Point(1.0, y=2))

async def main() -> None:
    async for item in net.watch():
        print(item.price)
"""

MISTAKES = [
    ('search_orders(1)', "arg"),
    ('search_orders("x", limit="many")', "arg"), ('search_orders("x", status="opne")', "arg"),
    ('search_orders("x")[0].nmae', "attr"), ('search_orders("x", context=None)', "context"), ("Item(name=1)", "price"),
    ("keywords(on=date.today())", "limit"), ("Point(1.0).x = 2.0", "x"), ('Movie(titel="a")', "titel"),
]  # fmt: skip


@pytest.fixture(scope="module")
def stub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stubs")
    for path, text in render_stubs(REGISTRY).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return folder


def run_checker(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False)


def test_stubs_and_right_actions_are_valid_under_mypy_strict(stub_folder: Path) -> None:
    """The strictest checker has nothing to say about the stubs, nor about an action that is right."""
    action = stub_folder / "action.py"
    action.write_text(ACTIONS, encoding="utf-8")
    done = run_checker("mypy", "--strict", "--python-version=3.11", "tools", "action.py", folder=stub_folder)
    assert done.returncode == 0, done.stdout


def test_stubs_and_right_actions_are_valid_under_ty(stub_folder: Path) -> None:
    """The checker that reads actions accepts the stubs and a right action."""
    (stub_folder / "action.py").write_text(ACTIONS, encoding="utf-8")
    done = run_checker(
        "ty", "check", "--python-version=3.11", "--error-on-warning", "--output-format=concise", folder=stub_folder
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_checkers_find_mistakes(stub_folder: Path, tmp_path: Path) -> None:
    """Each wrong line of an action is found by reading the stubs."""
    lines = [line for line, _ in MISTAKES]
    head = ACTIONS[: ACTIONS.index("try:")]
    action = stub_folder / "wrong.py"
    action.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    done = run_checker(
        "ty", "check", "--python-version=3.11", "--output-format=concise", "wrong.py", folder=stub_folder
    )
    action.unlink()
    offset = head.count("\n")
    for number, line in enumerate(lines, start=offset + 1):
        assert f"wrong.py:{number}:" in done.stdout, (line, done.stdout)


def registry_of(count: int) -> ToolRegistry:
    def make(number: int) -> Any:
        def function(query: str, limit: int = 20) -> list[ct.Item]:
            """Find things of one kind.

            Args:
                query: Words to look for in names.
                limit: At most this many, newest first.
            """
            return []

        function.__name__ = f"find_{number}"
        return function

    return ToolRegistry(make(number) for number in range(count))


MANY = registry_of(30)


@settings(max_examples=30)
@given(st.integers(min_value=0, max_value=4000))
def test_the_budget_is_kept(budget: int) -> None:
    """The text is never longer than the budget, unless all tools are down to their names; every tool is there."""
    listing = render_listing(MANY, budget=budget)
    assert listing.tokens <= budget or set(listing.tiers.values()) == {"name"}
    assert all(spec.name in listing.text for spec in MANY.specs)
    assert listing.tokens == estimate_tokens(listing.text)


def test_a_larger_budget_never_shows_less() -> None:
    """Tools are raised in the order of registration, first to signatures, then to full text."""
    order = {"name": 0, "signature": 1, "full": 2}
    shown = [
        sum(order[each] for each in render_listing(MANY, budget=budget).tiers.values())
        for budget in range(0, 3000, 100)
    ]
    assert shown == sorted(shown)
    some = render_listing(MANY, budget=800)
    assert len(set(some.tiers.values())) > 1
    assert list(some.tiers.values()) == sorted(some.tiers.values(), key=lambda tier: -order[tier])
    assert "by signature" in some.note


def test_types_are_shown_only_where_a_signature_mentions_them() -> None:
    """A tool that is down to its name brings no class bodies along."""
    assert "class Item" not in render_listing(MANY, budget=0).text
    assert render_listing(MANY).text.count("class Item") == 1


def test_an_empty_registry_has_an_empty_listing() -> None:
    """Nothing is said about no tools, and the stubs still have the errors."""
    assert render_listing(ToolRegistry()) == Listing(text="", tiers={}, tokens=0)
    assert "class ToolError" in render_stubs(ToolRegistry())["tools/__init__.pyi"]


def test_another_counter_decides() -> None:
    """An application brings its model's own tokenizer."""
    listing = render_listing(MANY, budget=2000, count=len)
    assert listing.tokens == len(listing.text)
    assert set(listing.tiers.values()) == {"signature", "name"} or set(listing.tiers.values()) == {"name"}
