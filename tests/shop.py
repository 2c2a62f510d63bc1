"""A small shop: the tools that the tests of session, agent and checks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from codeact_tools import tool


class Status(StrEnum):
    """Where an order is."""

    OPEN = "open"
    SHIPPED = "shipped"


class Order(BaseModel):
    """An order of one customer."""

    id: str
    customer: str
    total: Decimal
    placed: date
    status: Status = Status.OPEN


@dataclass(frozen=True)
class Rate:
    """An exchange rate."""

    currency: str
    per_euro: Decimal


class ShopClosed(Exception):
    """The shop's database is in maintenance."""


ORDERS = [
    Order(id="A17", customer="Ada", total=Decimal("129.00"), placed=date(2026, 11, 16), status=Status.SHIPPED),
    Order(id="B02", customer="Bob", total=Decimal("35.50"), placed=date(2026, 11, 17)),
    Order(id="C33", customer="Ada", total=Decimal("78.25"), placed=date(2026, 11, 20)),
]
cancelled: list[str] = []
"""What `cancel_order` was called with; tests assert that nothing ran."""


@tool(read_only=True)
def search_orders(query: str = "", limit: Annotated[int, Field(ge=1, le=100)] = 20) -> list[Order]:
    """Find orders by a customer's name.

    Args:
        query: Part of the customer's name; empty for all orders.
        limit: At most this many, newest first.

    Returns:
        Matching orders, newest first.

    Examples:
        >>> search_orders("Bob", limit=1)[0].id
        'B02'
    """
    found = [order for order in ORDERS if query.lower() in order.customer.lower()]
    return sorted(found, key=lambda order: order.placed, reverse=True)[:limit]


@tool(read_only=True)
async def exchange_rate(currency: str) -> Rate:
    """Look up how much of a currency one euro buys.

    Args:
        currency: Three letters, such as "USD".
    """
    return Rate(currency=currency, per_euro=Decimal("1.10"))


@tool(destructive=True)
def cancel_order(order_id: str) -> Status:
    """Cancel an order.

    Raises:
        ShopClosed: The shop's database is in maintenance.
    """
    if order_id == "closed":
        raise ShopClosed("back at noon")
    cancelled.append(order_id)
    return Status.OPEN


@tool(read_only=True)
def walk_orders() -> Iterator[Order]:
    """Go through all orders, one by one."""
    yield from ORDERS


@tool(read_only=True)
def broken_total(order_id: str) -> int:
    """Return something else than it promises."""
    return "not a number"  # type: ignore[return-value]


@tool(read_only=True)
def crash(path: str = "/etc/secret") -> str:
    """Fail with an exception that it does not declare."""
    raise RuntimeError(f"cannot open the ledger, path has {len(path)} characters")


SHOP: list[Callable[..., object]] = [search_orders, exchange_rate, cancel_order, walk_orders, broken_total, crash]
