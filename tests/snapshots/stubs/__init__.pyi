import enum
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import InitVar, dataclass
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, Never, NotRequired, TypeAlias, TypedDict, TypeVar
from decimal import Decimal as Decimal
from datetime import date as date
from datetime import timedelta as timedelta
from builtins import ValueError as ValueError
from fractions import Fraction as Fraction
from uuid import UUID as UUID
from re import Pattern as Pattern
from pathlib import Path as Path
from datetime import time as time
from datetime import timezone as timezone
from datetime import datetime as datetime
from . import net as net
from . import plane as plane
from .net import fetch as fetch
from .net import watch as watch
from .plane import move as move
from .plane import max_ as max_

T = TypeVar("T")
N = TypeVar("N", bound="float")

class ToolError(Exception):
    """A tool failed."""

class ToolFailed(ToolError):
    """The tool raised an error that it does not declare."""

class InvalidCall(ToolError):
    """The arguments do not fit the tool's signature."""

class ToolTimeout(ToolError):
    """The tool took too long."""

class ToolDenied(ToolError):
    """The call is not allowed."""

class InvalidResult(ToolError):
    """The tool misbehaved: its result does not fit its signature."""

@dataclass(kw_only=True)
class Item:
    """One line of an order."""
    name: Annotated[str, "len(name) >= 1"]
    price: Annotated[Decimal, "price >= 0"]
    amount: int = ...
    tags: list[str] = ...
    @property
    def total(self) -> Decimal: ...

class ShopClosed(ToolError, RuntimeError):
    """The shop is closed."""
    until: date

@dataclass(kw_only=True)
class Page(Generic[T]):
    items: list[T]
    more: bool = ...

class Colour(Enum):
    """A colour of the rainbow."""
    RED = 1
    BLUE = 2

@dataclass(frozen=True)
class Point:
    """A place on the plane."""
    x: float
    y: float = ...

@dataclass
class Place:
    """Somewhere with a name."""
    name: str
    at: Point
    scale: InitVar[int] = ...
    notes: list[str] = ...
    @property
    def length(self) -> int: ...

@dataclass
class Person:
    name: str
    age: int = ...
    friends: list[str] = ...

class Movie(TypedDict):
    title: str
    year: NotRequired[int]

class Pair(NamedTuple):
    left: int
    right: str = ...

UserId: TypeAlias = int

Tags: TypeAlias = list[str]

Json: TypeAlias = 'dict[str, Json] | list[Json] | str | int | None'

Grade: TypeAlias = Annotated[int, "1 <= value <= 6"]

@dataclass(kw_only=True)
class Tree:
    value: int
    children: list[Tree] = ...

@dataclass(kw_only=True)
class Cat:
    kind: Literal["cat"] = ...
    lives: int = ...

@dataclass(kw_only=True)
class Dog:
    kind: Literal["dog"] = ...
    loud: bool

class Rights(IntFlag):
    READ = 1
    WRITE = 2

class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"

@dataclass(kw_only=True)
class Hound(Dog):
    kind: Literal["dog"] = ...
    loud: bool
    name: str

_date: TypeAlias = date
@dataclass(kw_only=True)
class Diary:
    """A day's entry; its first field has the name of its type."""
    date: _date
    before: _date | None = ...

class Connection:
    """A connection that stays on the host."""
    def __init__(self, _: Never) -> None: ...

def search_orders(query: str, limit: Annotated[int, "1 <= limit <= 100"] = 20, status: Literal["open", "closed"] | None = None) -> list[Item]:
    """Find orders by free text."""

def every_type(a: Page[Item], b: Colour, c: Place, d: Person, e: Movie, f: Pair, g: UserId, h: Tags, i: Pattern[str], j: Literal["x", 1, Colour.RED], k: Json, level: Grade, m: Tree, n: Cat | Dog, o: Path = Path("."), *more: Rights, p: Size = Size.SMALL, **rest: complex) -> dict[tuple[int, ...], Fraction | UUID | None]:
    ...

def keywords(*, on: date, at: time, colour: str = ..., limit: int) -> set[frozenset[bytes]]:
    """Say "hello" with a \\ and a quote\""""

def first(items: list[T], weights: list[N]) -> T:
    ...

def positional(a: int, /, b: Diary) -> Hound:
    ...

def count(n: int) -> Iterator[int]:
    ...
