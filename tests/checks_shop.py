"""A small typed shop that the tests of the check use: every kind of tool and type, and nothing that runs by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, Field

from codeact_tools.registry import ToolRegistry
from codeact_tools.tools import Toolkit, tool

RUNS: list[str] = []
"""Names of the tools that ran."""


class Status(Enum):
    """State of an order."""

    OPEN = "open"
    SHIPPED = "shipped"


class Item(BaseModel):
    """A line of an order."""

    name: str
    price: Annotated[Decimal, Field(ge=0)]
    count: int = 1


class Order(BaseModel):
    """An order of a customer."""

    id: str
    customer: str
    total: float
    status: Status
    items: list[Item]
    placed: datetime
    note: str | None = None


class Row(TypedDict):
    """A row of the stock list."""

    name: str
    count: int


@dataclass
class Address:
    """Where to send it."""

    street: str
    city: str
    zip_code: Annotated[str, Field(pattern=r"^\d{5}$")] = "00000"
    tags: list[str] = field(default_factory=list)


class ShopClosed(Exception):
    """The shop is in maintenance."""


def _order(number: str) -> Order:
    item = Item(name="boots", price=Decimal("60.50"), count=2)
    return Order(
        id=number, customer="ann", total=121.0, status=Status.OPEN, items=[item], placed=datetime(2026, 1, 2, 9, 30)
    )


@tool(read_only=True)
def search_orders(
    query: str, limit: Annotated[int, Field(ge=1, le=100)] = 20, sort: Literal["newest", "oldest"] = "newest"
) -> list[Order]:
    """Find orders by free text.

    Args:
        query: Words to look for.
        limit: At most this many.
        sort: Which come first.

    Raises:
        ShopClosed: The shop is in maintenance.
    """
    RUNS.append("search_orders")
    return [_order("A1"), _order("A2")]


@tool(read_only=True)
def get_order(id: str) -> Order:  # noqa: A002
    """Read one order."""
    RUNS.append("get_order")
    return _order(id)


@tool(read_only=True)
def stock(name: str) -> Row:
    """Look up the stock of an item."""
    RUNS.append("stock")
    return {"name": name, "count": 1}


@tool(read_only=True)
def sales_on(day: date) -> float:
    """Total sales of one day."""
    RUNS.append("sales_on")
    return 1.0


@tool
def cancel_order(id: Annotated[str, Field(pattern=r"^[A-Z]\d+$")], reason: str = "") -> bool:  # noqa: A002
    """Cancel an order."""
    RUNS.append("cancel_order")
    return True


@tool
def add_items(id: str, items: list[Item]) -> Order:  # noqa: A002
    """Add items to an order."""
    RUNS.append("add_items")
    return _order(id)


@tool
def set_status(id: str, status: Status) -> None:  # noqa: A002
    """Change the status of an order."""
    RUNS.append("set_status")


@tool
def ship(id: str, to: Address) -> datetime:  # noqa: A002
    """Send an order to an address."""
    RUNS.append("ship")
    return datetime(2026, 1, 1)


@tool(read_only=True)
async def fetch_page(url: str) -> str:
    """Download a web page as text."""
    RUNS.append("fetch_page")
    return f"<html><title>{url}</title><p>total: 12</p></html>"


@tool(read_only=True)
def stream_orders() -> Iterator[Order]:
    """All orders, one by one."""
    RUNS.append("stream_orders")
    yield from (_order("A1"), _order("A2"))


@tool(read_only=True)
async def watch_orders() -> AsyncIterator[Order]:
    """New orders as they come."""
    RUNS.append("watch_orders")
    for number in ("A1", "A2"):
        yield _order(number)


@tool
def charge(customer: str, amount: Annotated[float, Field(gt=0, le=1000)]) -> bool:
    """Charge a customer's card."""
    RUNS.append("charge")
    return True


@tool(read_only=True)
def average(values: list[float], *more: float, scale: float = 1.0) -> float:
    """Mean of numbers."""
    RUNS.append("average")
    return sum([*values, *more]) * scale / (len(values) + len(more) or 1)


TOOLS = (
    search_orders, get_order, stock, sales_on, cancel_order, add_items, set_status, ship, fetch_page, stream_orders,
    watch_orders, average,
)  # fmt: skip

PAYMENTS = Toolkit("payments", tools=[charge], summary="Money.")


def make_registry() -> ToolRegistry:
    """The registry of all tools above."""
    return ToolRegistry([*TOOLS, PAYMENTS])
