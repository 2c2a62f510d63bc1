"""A toolkit of somebody else: what the tests of the generated pages document."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field, SecretStr
from typing_extensions import deprecated

from codeact_tools import ToolContext, Toolkit, tool


class Currency(StrEnum):
    """A currency that is quoted."""

    EUR = "EUR"
    USD = "USD"


class Quote(BaseModel):
    """What a currency costs."""

    currency: Currency
    price: Annotated[Decimal, Field(gt=0, description="In euros.")]


class MarketClosed(Exception):
    """No prices are made at this hour."""


class FinanceConfig(BaseModel):
    """Where prices come from."""

    key: SecretStr = Field(default=SecretStr("kept-to-itself"), description="The account's key.")
    places: int = Field(default=2, description="Decimal places of prices.")


@tool(read_only=True, timeout=5, retries=2)
def quote(currency: Currency, context: ToolContext, amount: Annotated[int, Field(ge=1, le=1000)] = 1) -> Quote:
    """Look up what a currency costs.

    Prices are those of noon | not of the moment.

    .. versionadded:: 1.1

    Args:
        currency: The currency.
        context: What the host knows.
        amount: How many units.

    Returns:
        The price of all units together.

    Raises:
        MarketClosed: At night.

    Examples:
        >>> quote(Currency.USD, amount=2).price
        Decimal('1.80')
        >>> quote(Currency.USD, amount=0)
        Traceback (most recent call last):
        InvalidCall: ...

    See Also:
        ticks
    """
    return Quote(currency=currency, price=round(Decimal("0.9") * amount, context.config.places))


@tool(open_world=True)
def ticks(currency: Currency) -> Iterator[Decimal]:
    """Follow the price of a currency.

    Args:
        currency: The currency.

    Yields:
        Each new price.

    Examples:
        >>> next(ticks(Currency.USD))
        Decimal('0.90')
    """
    yield Decimal("0.90") if currency is Currency.USD else Decimal(1)


@tool(destructive=True, approval=True)
@deprecated("Since 1.2. Use `quote` and ask your bank.")
def pay(account: str, *, amount: Decimal | None = None) -> None:
    """Send money.

    Args:
        account: Who gets it.
        amount: In euros; all there is by default.
    """


toolkit = Toolkit(
    "finance",
    tools=[quote, ticks, pay],
    version="1.2.0",
    summary="Prices and payments.",
    config=FinanceConfig,
    instructions="Ask before you pay.",
)
