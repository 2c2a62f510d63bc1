"""The classes that the prompt shows as dataclasses, named tuples and enumerations are that to an action, too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any, NamedTuple, NotRequired, TypedDict

import pytest
from pydantic import BaseModel, computed_field

from codeact_tools import Session, tool
from codeact_tools.registry import ToolRegistry
from codeact_tools.stubs import render_stubs
from codeact_tools.testing.unconfined import UnconfinedSandbox
from tests.guests import running


class Color(Enum):
    """Paint."""

    RED = 1
    BLUE = 2


class Size(StrEnum):
    """Of a parcel."""

    SMALL = "small"


class Point(NamedTuple):
    """On the map."""

    x: int
    y: int = 0


class Options(TypedDict):
    """How to send."""

    fast: bool
    note: NotRequired[str]


@dataclass
class Item:
    """Goods."""

    name: str
    price: Decimal = Decimal("1.5")


@dataclass(frozen=True, order=True)
class Version:
    """Of a program."""

    major: int
    minor: int = 0


@dataclass(order=True)
class Task:
    """In a queue; equal priorities compare equal."""

    priority: int
    what: str = field(compare=False)


def _today() -> date:
    return date(2024, 5, 6)


@dataclass
class Event:
    """In a calendar."""

    title: str
    items: list[Item] = field(default_factory=list)
    notes: dict[str, Item] = field(default_factory=dict)
    color: Color = Color.RED
    day: date = field(default_factory=_today)
    count: int = field(init=False, default=0)
    more: InitVar[int] = 0

    def __post_init__(self, more: int) -> None:
        self.count = len(self.items) + more


class Order(BaseModel):
    """A model."""

    id: str
    items: list[Item] = []

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> Decimal:
        """Of all items."""
        return sum((each.price for each in self.items), Decimal(0))


class Open(BaseModel, extra="allow"):
    """A model that takes more."""

    id: str


@tool
def event(title: str) -> Event:
    """An event."""
    return Event(title, [Item("cup")], {"k": Item("pen")})


@tool
def save(event: Event) -> Event:
    """Take an event, and give it back."""
    return event


@tool
def order(id: str) -> Order:  # noqa: A002
    """An order."""
    return Order(id=id, items=[Item("cup")])


@tool
def store(order: Order) -> Order:
    """Take an order, and give it back."""
    return order


@tool
def send(point: Point, options: Options, color: Color, size: Size, version: Version, open_: Open, task: Task) -> str:
    """Take one of each."""
    return repr((point, options, color, size, version, open_, task))


TOOLS: list[Any] = [event, save, order, store, send]
IMPORTS = ["dataclasses", "copy", "pickle", "json", "pprint", "collections"]


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """Checked actions with an event ``e`` and an order ``o``."""
    with Session(tools=TOOLS, sandbox=UnconfinedSandbox(), allow_imports=IMPORTS) as session:
        seen = session.run(
            "import copy, collections.abc, dataclasses, json, pickle, pprint, typing\ne = event('a')\no = order('A')"
        )
        assert seen.error is None, seen.text
        yield session


def result(session: Session, code: str) -> object:
    """What the last line of an action shows, which passes the check and runs to its end."""
    seen = session.run(code)
    assert seen.error is None, seen.text
    return seen.result


ITEM = "{'name': 'cup', 'price': Decimal('1.5')}"

DATACLASSES = [
    ("[dataclasses.is_dataclass(each) for each in (e, Event, o, Order, Version)]", "[True, True, True, True, True]"),
    ("dataclasses.asdict(o)", f"{{'id': 'A', 'items': [{ITEM}], 'total': Decimal('1.5')}}"),
    ("dataclasses.astuple(o)", "('A', [('cup', Decimal('1.5'))], Decimal('1.5'))"),
    (
        "dataclasses.asdict(e)",
        f"{{'title': 'a', 'items': [{ITEM}], 'notes': {{'k': {{'name': 'pen', 'price': Decimal('1.5')}}}},"
        " 'color': <Color.RED: 1>, 'day': datetime.date(2024, 5, 6), 'count': 1}",
    ),
    ("json.dumps(dataclasses.asdict(Item('cup')), default=str)", '\'{"name": "cup", "price": "1.5"}\''),
    ("dataclasses.asdict(Order(id='B'))", "{'id': 'B', 'items': []}"),
    ("dataclasses.asdict(Open(id='B', more=5))", "{'id': 'B', 'more': 5}"),
    ("dataclasses.replace(Open(id='B', more=5), id='C')", "Open(id='C', more=5)"),
    ("dataclasses.replace(Version(1, 2), minor=5)", "Version(major=1, minor=5)"),
    ("save(dataclasses.replace(e, title='b')).title", "'b'"),
    ("save(dataclasses.replace(e, items=[])).count", "0"),
    ("save(dataclasses.replace(save(e), more=4)).count", "5"),
    ("store(dataclasses.replace(o, items=[])).total", "Decimal('0')"),
    ("[each.name for each in dataclasses.fields(Event)]", "['title', 'items', 'notes', 'color', 'day', 'count']"),
    ("[each.name for each in dataclasses.fields(Event('z'))]", "['title', 'items', 'notes', 'color']"),
    ("[(each.name, each.type, each.default) for each in dataclasses.fields(Version)][1]", "('minor', 'int', 0)"),
    ("[each.default_factory is not dataclasses.MISSING for each in dataclasses.fields(Event)][:2]", "[False, True]"),
    ("[each.kw_only for each in dataclasses.fields(Order)][:2]", "[True, True]"),
    ("{key: str(value) for key, value in typing.get_type_hints(Item).items()}['name']", "\"<class 'str'>\""),
]


@pytest.mark.parametrize(("code", "shown"), DATACLASSES)
def test_dataclasses_takes_a_tools_class_for_a_dataclass(session: Session, code: str, shown: str) -> None:
    """As it was shown: nested, with defaults; without what only the host fills, which a tool's answer has."""
    assert result(session, code) == shown


VALUES = [
    ("e == dataclasses.replace(e), o == copy.copy(o), o == dataclasses.replace(o)", "(True, True, True)"),
    ("o == Order(id='A'), o == Order(id='A', items=[Item('cup')]), o == 5", "(False, True, False)"),
    ("e == Event('a', e.items, e.notes, e.color), e == Event('b', e.items, e.notes, e.color, e.day)", "(False, False)"),
    ("copy.deepcopy(e) == e, copy.deepcopy(e).items[0] is e.items[0]", "(True, False)"),
    ("[pickle.loads(pickle.dumps(each)) == each for each in (e, o, Color.RED, Point(1))]", "[True, True, True, True]"),
    ("{Version(1): 1}[Version(1, 0)], hash(Version(1)) == hash(Version(1))", "(1, True)"),
    ("[isinstance(each, collections.abc.Hashable) for each in (e, o, Version(1))]", "[False, False, True]"),
    ("sorted([Version(2), Version(1, 3), Version(1, 2)])[0], max(Version(3), Version(4))",
     "(Version(major=1, minor=2), Version(major=4, minor=0))"),
    ("Version(1) < Version(2), Version(1) <= Version(1), Version(1) > Version(2), Version(1) >= Version(1, 1)",
     "(True, True, False, False)"),
    ("list(vars(Open(id='a', z=1, y=2, x=3)))", "['id', 'z', 'y', 'x']"),
    ("Color.RED.value, Color(2).name, Color['RED'] is Color.RED, list(Color)",
     "(1, 'BLUE', True, [<Color.RED: 1>, <Color.BLUE: 2>])"),
    ("Size.SMALL == 'small', f'{Size.SMALL}', Size('small').upper()", "(True, 'small', 'SMALL')"),
    ("Point(3)._asdict(), Point(3)._replace(y=7), Point._fields, Point(1) < Point(2), Point(1) == (1, 0)",
     "({'x': 3, 'y': 0}, Point(x=3, y=7), ('x', 'y'), True, True)"),
    ("Options(fast=True) | {'note': 'n'}", "{'fast': True, 'note': 'n'}"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "shown"), VALUES)
def test_values_of_tools_behave_like_those_of_real_classes(session: Session, code: str, shown: str) -> None:
    """They compare, hash, sort, copy and show themselves; what the host computes does not make two of them unequal."""
    assert result(session, code) == shown


def test_values_match_patterns(session: Session) -> None:
    """By keyword, and by position where the constructor takes positions."""
    code = """
seen = []
for each in (e, o, Version(1, 2), Point(3, 4), Color.BLUE):
    match each:
        case Event(title=title, items=[Item(name, price)]):
            seen.append((title, name, price))
        case Order(id=id, items=[Item(name=name)]):
            seen.append((id, name))
        case Version(major, minor) | Point(major, minor):
            seen.append((major, minor))
        case Color.BLUE:
            seen.append("blue")
seen
"""
    assert result(session, code) == "[('a', 'cup', Decimal('1.5')), ('A', 'cup'), (1, 2), (3, 4), 'blue']"


def test_one_of_each_goes_back_to_a_tool(session: Session) -> None:
    """Changed copies are values of the tools' classes like any others."""
    changed = "Point(3)._replace(y=7), {'fast': True}, Color.RED, Size.SMALL, dataclasses.replace(Version(1), minor=2)"
    seen = session.run(f"print(send({changed}, dataclasses.replace(Open(id='a', n=1), id='b'), Task(1, 't')))")
    assert seen.stdout == (
        "(Point(x=3, y=7), {'fast': True}, <Color.RED: 1>, <Size.SMALL: 'small'>, Version(major=1, minor=2), "
        "Open(id='b', n=1), Task(priority=1, what='t'))\n"
    )


def test_an_action_derives_dataclasses_from_the_tools_classes(session: Session) -> None:
    """With more fields, or only with more methods; and it has them as fields of its own dataclasses."""
    code = """
@dataclasses.dataclass
class Gift(Item):
    ribbon: bool = True

@dataclasses.dataclass(frozen=True)
class Release(Version):
    name: str = ""

class Priced(Item):
    def twice(self):
        return self.price * 2

@dataclasses.dataclass
class Parcel:
    item: Item
    to: Point

gift = Gift("cup", ribbon=False)
gift.ribbon = True
gift, Release(1, name="x"), Release(1) == Release(1, 0), dataclasses.asdict(Parcel(Item("cup"), Point(1)))
"""
    shown = result(session, code)
    assert shown == (
        "(Gift(name='cup', price=Decimal('1.5'), ribbon=True), Release(major=1, minor=0, name='x'), True, "
        f"{{'item': {ITEM}, 'to': Point(x=1, y=0)}})"
    )
    assert result(session, "p = Priced('pen')\np.twice(), save(dataclasses.replace(e, items=[p])).items") == (
        "(Decimal('3.0'), [Item(name='pen', price=Decimal('1.5'))])"
    )


@pytest.mark.skipif(sys.version_info < (3, 13), reason="copy.replace is new in Python 3.13")
def test_copy_replace_changes_a_copy(session: Session) -> None:
    """As it does for dataclasses and named tuples."""
    assert result(session, "copy.replace(Version(1), minor=4), copy.replace(Point(1), y=2)") == (
        "(Version(major=1, minor=4), Point(x=1, y=2))"
    )


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("dataclasses.replace(o, nope=5)", "Order has no field 'nope'. There is: id, items"),
        ("dataclasses.replace(o, total=5)", "field total is declared with init=False"),
        ("hash(e)", "unhashable type: 'Event'"),
        ("setattr(Version(1), 'major', 2)", "Version is immutable"),
        ("class Bad(Version): pass\ndataclasses.dataclass(Bad)", "cannot inherit non-frozen dataclass"),
        ("Event('z').count", "Event.count has no value here: the host fills it"),
    ],
)
def test_what_a_real_dataclass_refuses_is_refused(session: Session, code: str, message: str) -> None:
    """With the words of Python, or better ones."""
    error = session.run(code).error
    assert error is not None
    assert message in error.message


def test_the_error_of_a_frozen_value_is_that_of_a_dataclass(session: Session) -> None:
    """So an action can catch it by its name."""
    code = "try:\n    setattr(Version(1), 'major', 2)\nexcept dataclasses.FrozenInstanceError:\n    print('frozen')"
    assert session.run(code).stdout == "frozen\n"


def test_only_what_compares_by_all_fields_is_shown_as_ordered() -> None:
    """Prompt and stubs say ``order=True`` where instances compare as the shown fields do."""
    stubs = render_stubs(ToolRegistry(TOOLS))["tools/__init__.pyi"]
    assert "@dataclass(frozen=True, order=True)\nclass Version:" in stubs
    assert "@dataclass\nclass Task:" in stubs


async def test_a_guest_does_not_import_dataclasses_before_somebody_needs_it() -> None:
    """It would take longer than all the rest of the start."""
    fields = [{"name": "n", "annotation": "int"}]
    record = {"name": "Item", "toolkit": None, "kind": "record", "positional": True, "fields": fields}
    async with running(types=[record], allow_imports=["sys", "dataclasses"]) as guest:
        assert (await guest("import sys\n[Item(1)] == [Item(2)], 'dataclasses' in sys.modules")).result == (
            "(False, False)"
        )
        assert (await guest("import dataclasses\ndataclasses.asdict(Item(1))")).result == "{'n': 1}"
