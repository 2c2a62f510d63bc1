"""A thousand tools such as applications have, as the source of one module: a hundred records, ten tools for each.

They mix what signatures mix: records, enums and literals, dates and decimals, constraints, defaults, optional and
keyword-only parameters, nested containers, and docs of every parameter in Google's form, which all contenders read.
They are registered and rendered, never called, so they have no bodies but their docs.
"""

# ruff: noqa: E501

from __future__ import annotations

from typing import Final

HEAD: Final = '''\
"""Generated."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal

from pydantic import BaseModel, Field


class Priority(Enum):
    """How urgent it is."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Money(BaseModel):
    """An amount in a currency."""

    amount: Decimal
    currency: str = Field(default="EUR", description="ISO 4217.")


def add(x: int, y: int) -> int:
    """Add two numbers.

    Args:
        x: The first.
        y: The second.
    """
    return x + y

'''

RECORD: Final = '''
class {Name}(BaseModel):
    """One {name} of the business."""

    id: str
    title: str = Field(description="As customers read it.")
    price: Money
    priority: Priority = Priority.NORMAL
    created: datetime
    tags: list[str] = []

'''

TOOLS: Final = (
    '''
def search_{name}s(query: str, limit: Annotated[int, Field(ge=1, le=100)] = 20, status: Literal["open", "closed"] | None = None) -> list[{Name}]:
    """Find {name}s by free text.

    Args:
        query: Words to look for in titles and tags.
        limit: At most this many, newest first.
        status: Only those with this status.

    Returns:
        Matching {name}s, newest first.
    """
''',
    '''
def get_{name}(id: str) -> {Name}:
    """Read one {name}.

    Args:
        id: The number on the label.

    Returns:
        The {name} as it is stored.
    """
''',
    '''
def create_{name}(title: str, price: Money, priority: Priority = Priority.NORMAL, due: date | None = None) -> {Name}:
    """Add a {name}.

    Args:
        title: As customers read it.
        price: What it costs, taxes included.
        priority: How urgent it is.
        due: The last day; without it there is none.

    Returns:
        The new {name}, with its number.
    """
''',
    '''
def update_{name}({name}: {Name}, notify: bool = True) -> None:
    """Store a changed {name}.

    Args:
        {name}: The {name} with all its fields.
        notify: Whether the customer gets a message.
    """
''',
    '''
def delete_{name}s(ids: list[str], reason: Literal["sold", "lost", "expired"]) -> int:
    """Remove {name}s for good.

    Args:
        ids: Their numbers.
        reason: Why they go.

    Returns:
        How many there were.
    """
''',
    '''
def count_{name}s(since: date, until: date) -> dict[str, int]:
    """Count the {name}s of a period by status.

    Args:
        since: First day.
        until: Last day, included.

    Returns:
        The number of {name}s for each status.
    """
''',
    '''
def price_{name}(id: str, amount: Annotated[int, Field(gt=0)] = 1, coupon: str | None = None) -> Money:
    """Tell what a {name} costs.

    Args:
        id: The number on the label.
        amount: How many.
        coupon: A code for a discount.

    Returns:
        The price of all of them together.
    """
''',
    '''
async def schedule_{name}(id: str, at: datetime, *, repeat: int = 0) -> str:
    """Have a {name} delivered.

    Args:
        id: The number on the label.
        at: When, with its time zone.
        repeat: After how many days again; 0 for once.

    Returns:
        The number of the delivery.
    """
''',
    '''
def tag_{name}(id: str, tags: list[str]) -> list[str]:
    """Give a {name} further tags.

    Args:
        id: The number on the label.
        tags: What to add; those that it has already do not matter.

    Returns:
        All tags that it has now.
    """
''',
    '''
def export_{name}s(rows: list[dict[str, str | float]], format: Literal["csv", "json"] = "csv") -> str:
    """Write rows to a file.

    Args:
        rows: What to write, a dictionary for each row.
        format: Of the file.

    Returns:
        The name of the file.
    """
''',
)


def source(count: int) -> str:
    """The source of a module with ``count`` tools, besides `add`."""
    parts = [HEAD]
    for number in range(count):
        record, kind = divmod(number, len(TOOLS))
        names = {"name": f"item{record}", "Name": f"Item{record}"}
        if kind == 0:
            parts.append(RECORD.format(**names))
        parts.append(TOOLS[kind].format(**names))
    return "\n".join(parts)
