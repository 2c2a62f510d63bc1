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
import typing_extensions
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    RootModel,
    Tag,
    computed_field,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
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


class Film(typing_extensions.TypedDict):
    """As those that models hold before Python 3.12."""

    title: str


class Filters(TypedDict, total=False):
    colour: str
    limit: Required[int]


class Pair(NamedTuple):
    left: int
    right: str = "r"


UserId = NewType("UserId", int)
Json = TypeAliasType("Json", "dict[str, Json] | list[Json] | str | int | None")
Grade = TypeAliasType("Grade", Annotated[int, Field(ge=1, le=6)])


Both = TypeAliasType("Both", tuple[T, T], type_params=(T,))
OneOrMany = TypeAliasType("OneOrMany", "Item | list[Item]")


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mark(enum.Flag):
    BOLD = enum.auto()
    THIN = enum.auto()


class Span(BaseModel):
    """From one day to another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: date = Field(validation_alias="from", serialization_alias="from")
    last: date = Field(alias="to")

    @model_validator(mode="after")
    def in_order(self) -> Span:
        if self.last < self.first:
            raise ValueError("the last day is before the first")
        return self


class Loose(BaseModel):
    """Takes any further field."""

    model_config = ConfigDict(extra="allow")

    known: int


class Circle(BaseModel):
    radius: float


class Square(BaseModel):
    side: float


def shape_of(value: Any) -> str:
    """Which of the shapes it is."""
    named = value if isinstance(value, dict) else vars(value)
    return "circle" if "radius" in named else "square"


Shape = Annotated[
    Annotated[Circle, Tag("circle")] | Annotated[Square, Tag("square")],
    Discriminator(shape_of),
]


class Employee(BaseModel):
    name: str
    boss: Employee | None = None


class Matrix(RootModel[list[list[float]]]):
    """Rows of numbers."""


@dataclass
class Animal:
    name: str
    legs: int = 4


@dataclass
class Bird(Animal):
    """Inherits from another."""

    legs: int = 2
    wings: float = field(default=1.0, kw_only=True)


@dataclass
class Box(Generic[T]):
    content: T


@dataclass(order=True, kw_only=True)
class Version:
    major: int
    minor: int = 0


@pydantic_dataclass
class Percent:
    value: Annotated[float, Field(ge=0, le=100)]


@attrs.frozen
class Range:
    low: int
    high: int = attrs.field(default=9, validator=attrs.validators.ge(0))


@attrs.define
class Account:
    """With a private attribute, which the constructor takes under its public name."""

    _number: str
    balance: float = attrs.field(default=0.0, converter=float)


class Base(TypedDict):
    id: int


class Derived(Base, total=False):
    """Inherits a key."""

    note: str


class Labelled(NamedTuple, Generic[T]):
    label: str
    value: T


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
    (Any, "Any", {"a": [1, (2, {3})]}, None),
    (object, "object", 3, None),
    (Level, "Level", Level.HIGH, 3),
    (Mark, "Mark", Mark.BOLD | Mark.THIN, "bold"),
    (Span, "Span", Span.model_validate({"from": "2026-01-01", "to": "2026-01-02"}), {"from": "2026-01-02"}),
    (Loose, "Loose", Loose.model_validate({"known": 1, "other": [2]}), {"other": 1}),
    (Shape, "Circle | Square", Square(side=2.0), {"radius": "long"}),
    (Employee, "Employee", Employee(name="Ann", boss=Employee(name="Bob")), {"name": "Ann", "boss": {"name": 1}}),
    (Matrix, "Matrix", Matrix([[1.0], [2.5]]), [["x"]]),
    (Animal, "Animal", Animal("cat"), {"legs": 4}),
    (Bird, "Bird", Bird("owl", wings=1.5), {"name": "owl", "wings": "wide"}),
    (Box[int], "Box[int]", Box(3), {"content": "x"}),
    (Version, "Version", Version(major=1, minor=2), {"minor": 2}),
    (Percent, "Percent", Percent(50.0), {"value": 101}),
    (Range, "Range", Range(1, 5), {"low": "x"}),
    (Account, "Account", Account("17", 2.5), {"number": 3}),
    (Derived, "Derived", {"id": 1, "note": "n"}, {"note": "n"}),
    (Labelled[int], "Labelled[int]", Labelled("a", 1), ("a", "x")),
    (Both[int], "tuple[int, int]", (1, 2), (1, "x")),
    (OneOrMany, "OneOrMany", [ITEM], 3),
    (dict[Colour, list[Point]], "dict[Colour, list[Point]]", {Colour.BLUE: [Point(1.0)]}, {"violet": []}),
    (set[Point], "set[Point]", {Point(1.0), Point(2.0)}, [3]),
    (list[list[Item] | None], "list[list[Item] | None]", [None, [ITEM], []], [[1]]),
    (
        Annotated[list[Annotated[int, Field(gt=0)]], Field(max_length=2)],
        "list[int]",
        [1, 2],
        [0],
    ),
    (Annotated[Decimal, Field(max_digits=3)], "Decimal", Decimal("1.25"), Decimal("1.2345")),
    (re.Pattern[bytes], "Pattern[bytes]", re.compile(rb"\xff", re.IGNORECASE), "a"),
]
"""Annotation, how it is written, a right value, a wrong one (None where there is none)."""

SOURCES: list[str] = [
    "True",
    "2**70",
    "1.5",
    "1 + 2j",
    '"ä\\n"',
    'b"\\xff"',
    "None",
    "[1, 2]",
    '(1, "a")',
    "(1, 2, 3)",
    "()",
    '{"a"}',
    "frozenset({1})",
    '{"a": 1}',
    '{(1, 2): "a"}',
    '[1, "a"]',
    "{1: 2}",
    "[1]",
    '{"a": 1}',
    "[1, 2]",
    '"a"',
    "Colour.RED",
    "Colour.RED",
    "Size.SMALL",
    "Rights.READ | Rights.WRITE",
    "datetime(2026, 11, 22, 15, 30, tzinfo=timezone.utc)",
    "date(2026, 11, 22)",
    "time(12, 30)",
    "timedelta(days=1)",
    'Decimal("1.10")',
    "Fraction(1, 3)",
    "UUID(int=7)",
    'Path("a/b")',
    're.compile("a+")',
    'Item(name="shoe", price=Decimal("9.90"))',
    '[Item(name="shoe", price=Decimal("9.90"))]',
    'Page(items=[Item(name="shoe", price=Decimal("9.90"))])',
    "Tree(value=1, children=[Tree(value=2)])",
    "Dog(loud=True)",
    '["a"]',
    "Point(1.0, 2.0)",
    'Place("home", Point(1.0))',
    'Person("Ann", 3)',
    '[Person("Ann")]',
    '{"title": "Alien"}',
    "Filters(limit=1)",
    'Pair(1, "a")',
    "7",
    '{"a": [1, "b", None]}',
    "3",
    "None",
    "5",
    '"aa"',
    '{"a": [1, (2, {3})]}',
    "3",
    "Level.HIGH",
    "Mark.BOLD | Mark.THIN",
    "Span(first=date(2026, 1, 1), last=date(2026, 1, 2))",
    "Loose(known=1, other=[2])",
    "Square(side=2.0)",
    'Employee(name="Ann", boss=Employee(name="Bob"))',
    "[[1.0], [2.5]]",
    'Animal("cat")',
    'Bird("owl", wings=1.5)',
    "Box(3)",
    "Version(major=1, minor=2)",
    "Percent(50.0)",
    "Range(1, 5)",
    'Account("17", 2.5)',
    '{"id": 1, "note": "n"}',
    'Labelled("a", 1)',
    "(1, 2)",
    '[Item(name="shoe", price=Decimal("9.90"))]',
    "{Colour.BLUE: [Point(1.0)]}",
    "{Point(1.0), Point(2.0)}",
    '[None, [Item(name="shoe", price=Decimal("9.90"))], []]',
    "[1, 2]",
    'Decimal("1.25")',
    're.compile(rb"\\xff", re.IGNORECASE)',
]
"""How an action writes the right value of each case."""
