"""Types of every kind that the contract knows, for the tests of signatures, binding, rendering and the wire."""

# ruff: noqa: D101, D102

from __future__ import annotations

import enum
import fractions
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, Required, TypedDict, TypeVar

import attrs
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel, computed_field, field_validator
from typing_extensions import TypeAliasType

T = TypeVar("T")


class Colour(enum.Enum):
    """A colour of the rainbow."""

    RED = 1
    BLUE = 2


class Size(enum.StrEnum):
    SMALL = "small"
    LARGE = "large"


class Rights(enum.IntFlag):
    READ = 1
    WRITE = 2


class Item(BaseModel):
    """One line of an order."""

    name: str = Field(min_length=1, description="As printed on the label.")
    price: Annotated[Decimal, Field(ge=0)]
    amount: int = Field(default=1, alias="qty")
    tags: list[str] = []
    _secret: str = PrivateAttr(default="")

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    @field_validator("name")
    @classmethod
    def no_digits(cls, value: str) -> str:
        if any(each.isdigit() for each in value):
            raise ValueError("names have no digits")
        return value

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> Decimal:
        """Price times amount."""
        return self.price * self.amount


class Page(BaseModel, Generic[T]):
    items: list[T]
    more: bool = False


class Tree(BaseModel):
    value: int
    children: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    loud: bool


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Tags(RootModel[list[str]]):
    """Words."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place on the plane."""

    x: float
    y: float = 0.0


@dataclass
class Place:
    """Somewhere with a name."""

    name: str
    at: Point
    scale: InitVar[int] = 1
    notes: list[str] = field(default_factory=list)
    length: int = field(init=False, default=0)

    def __post_init__(self, scale: int) -> None:
        self.length = len(self.name) * scale


@attrs.define
class Person:
    name: str
    age: int = 0
    friends: list[str] = attrs.field(factory=list)


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Filters(TypedDict, total=False):
    colour: str
    limit: Required[int]


class Pair(NamedTuple):
    left: int
    right: str = "r"


UserId = NewType("UserId", int)
Json = TypeAliasType("Json", "dict[str, Json] | list[Json] | str | int | None")
Grade = TypeAliasType("Grade", Annotated[int, Field(ge=1, le=6)])


class Connection:
    """A connection that stays on the host."""


ITEM = Item(name="shoe", price=Decimal("9.90"))
PLACE = Place("home", Point(1.0))
MOMENT = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)

CASES: list[tuple[Any, str, object, object]] = [
    (bool, "bool", True, "maybe"),
    (int, "int", 2**70, "x"),
    (float, "float", 1.5, "x"),
    (complex, "complex", 1 + 2j, "x"),
    (str, "str", "ä\n", 3),
    (bytes, "bytes", b"\xff", 3.5),
    (None, "None", None, 1),
    (list[int], "list[int]", [1, 2], ["x"]),
    (tuple[int, str], "tuple[int, str]", (1, "a"), (1,)),
    (tuple[int, ...], "tuple[int, ...]", (1, 2, 3), ("x",)),
    (tuple[()], "tuple[()]", (), (1,)),
    (set[str], "set[str]", {"a"}, {1}),
    (frozenset[int], "frozenset[int]", frozenset({1}), {"x"}),
    (dict[str, int], "dict[str, int]", {"a": 1}, {"a": "x"}),
    (dict[tuple[int, int], str], "dict[tuple[int, int], str]", {(1, 2): "a"}, {"a": "b"}),
    (list, "list[Any]", [1, "a"], 3),
    (dict, "dict[Any, Any]", {1: 2}, 3),
    (Sequence[int], "Sequence[int]", [1], "x"),
    (Mapping[str, int], "Mapping[str, int]", {"a": 1}, 3),
    (Iterable[int], "Iterable[int]", [1, 2], 3),
    (Literal["a", 1, None], 'Literal["a", 1, None]', "a", "b"),
    (Literal[Colour.RED], "Literal[Colour.RED]", Colour.RED, Colour.BLUE),
    (Colour, "Colour", Colour.RED, "violet"),
    (Size, "Size", Size.SMALL, "huge"),
    (Rights, "Rights", Rights.READ | Rights.WRITE, "all"),
    (datetime, "datetime", MOMENT, "yesterday"),
    (date, "date", date(2026, 11, 22), "yesterday"),
    (time, "time", time(12, 30), "noon"),
    (timedelta, "timedelta", timedelta(days=1), "long"),
    (Decimal, "Decimal", Decimal("1.10"), "x"),
    (fractions.Fraction, "Fraction", fractions.Fraction(1, 3), "x"),
    (uuid.UUID, "UUID", uuid.UUID(int=7), "x"),
    (Path, "Path", Path("a/b"), 3),
    (re.Pattern[str], "Pattern[str]", re.compile("a+"), "("),
    (Item, "Item", ITEM, {"name": "shoe"}),
    (list[Item], "list[Item]", [ITEM], [{"name": "shoe", "price": -1}]),
    (Page[Item], "Page[Item]", Page[Item](items=[ITEM]), {"items": [3]}),
    (Tree, "Tree", Tree(value=1, children=[Tree(value=2)]), {"value": 1, "children": [{"value": "x"}]}),
    (Pet, "Cat | Dog", Dog(loud=True), {"kind": "cow"}),
    (Tags, "Tags", Tags(["a"]), [1]),
    (Point, "Point", Point(1.0, 2.0), {"x": "a"}),
    (Place, "Place", PLACE, {"name": "home"}),
    (Person, "Person", Person("Ann", 3), {"age": "old", "name": "Ann"}),
    (list[Person], "list[Person]", [Person("Ann")], [{"age": 3}]),
    (Movie, "Movie", {"title": "Alien"}, {"year": 1979}),
    (Filters, "Filters", {"limit": 1}, {"colour": "red"}),
    (Pair, "Pair", Pair(1, "a"), ("x",)),
    (UserId, "UserId", 7, "x"),
    (Json, "Json", {"a": [1, "b", None]}, {"a": 1.5}),
    (Grade, "Grade", 3, 7),
    (int | None, "int | None", None, "x"),
    (Annotated[int, Field(ge=1, le=9)], "int", 5, 10),
    (Annotated[str, Field(pattern="^a+$")], "str", "aa", "b"),
    (Any, "Any", object, None),
    (object, "object", 3, None),
]
"""Annotation, how it is written, a right value, a wrong one (None where there is none)."""
