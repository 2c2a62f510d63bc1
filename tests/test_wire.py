"""Values cross the bridge exactly, both ways, and garbage is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import math
import re
import sys
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace
from typing import Any, Generic, Literal, NamedTuple, TypedDict, TypeVar
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, RootModel, TypeAdapter, computed_field

from codeact_tools.errors import ProtocolViolation
from codeact_tools.sandbox.guest import scalars, values
from codeact_tools.sandbox.guest.classes import build_class
from codeact_tools.sandbox.guest.errors import ERRORS
from codeact_tools.sandbox.manifest import build_manifest
from codeact_tools.signatures import Catalog, Opaque
from codeact_tools.wire import MAX_DEPTH, Codec, FrameBuffer, WireError, encode_frame
from tests.equality import same

T = TypeVar("T")


class Color(enum.Enum):
    """An enumeration whose values are no plain JSON."""

    RED = (255, 0, 0)
    ROUGE = RED
    BLUE = Decimal("1.5")


class Unknown(enum.Enum):
    """No catalog has it."""

    A = 1


class Level(enum.IntEnum):
    """Integers."""

    LOW = 1
    HIGH = 2


class Mode(enum.StrEnum):
    """Texts."""

    FAST = "fast"


class Right(enum.IntFlag):
    """Flags."""

    READ = 1
    WRITE = 2


class Customer(BaseModel):
    """A model with an alias, a private and a computed field."""

    full_name: str = Field(alias="fullName")
    born: date | None = None
    _secret: int = 3

    @computed_field  # type: ignore[prop-decorator]
    @property
    def initials(self) -> str:
        """The first letter."""
        return self.full_name[:1]


class Order(BaseModel):
    """A model that holds others, and itself."""

    id: str
    customer: Customer
    tags: list[str] = Field(default_factory=lambda: ["new"])
    children: list[Order] = []
    total: Decimal = Decimal(0)


class Open(BaseModel):
    """A model that takes any field."""

    model_config = ConfigDict(extra="allow")
    a: int


class Page(BaseModel, Generic[T]):
    """A generic model."""

    items: list[T]


class Ids(RootModel[list[int]]):
    """A list with a name."""


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """A frozen dataclass."""

    x: float
    y: float = 0.0
    label: str = dataclasses.field(default="", kw_only=True)


@attrs.define
class Size:
    """A class of attrs."""

    width: int
    height: int = 1


class Pair(NamedTuple):
    """A named tuple."""

    left: int
    right: str = "r"


class Options(TypedDict, total=False):
    """A typed dictionary."""

    deep: bool


class Closed(Exception):
    """An exception with a field."""

    until: str


class Connection:
    """A value that stays on the host."""

    def __repr__(self) -> str:
        return "<connection to the shop>"


def both(*annotations: Any) -> tuple[Codec, values.Codec]:
    """The host's codec and the guest's, for the types."""
    catalog = Catalog()
    for annotation in annotations:
        catalog.expression(annotation, owner="test")
    catalog.exception(Closed, owner="test")
    host, guest = Codec(catalog), values.Codec()
    for error in ERRORS:
        guest.register(error.__name__, error, "")
    registry: Any = SimpleNamespace(specs=(), catalog=catalog)
    for entry in json.loads(json.dumps(build_manifest(registry, host)))["types"]:
        guest.register(entry["name"], build_class(entry, guest), entry["kind"])
    return host, guest


TYPES = (
    Color,
    Level,
    Mode,
    Right,
    Order,
    Open,
    Page[int],
    Ids,
    Point,
    Size,
    Pair,
    Options,
    HttpUrl,
    Opaque[Connection],
)
HOST, GUEST = both(*TYPES)


def there_and_back(value: object) -> tuple[Any, Any]:
    """The value in the guest, and the value that comes back, by way of real frames."""
    [frame] = FrameBuffer(1 << 26).feed(encode_frame({"v": HOST.encode(value)}))
    inside = GUEST.decode(frame["v"])
    [frame] = FrameBuffer(1 << 26).feed(encode_frame({"v": GUEST.encode(inside)}))
    return inside, HOST.decode(frame["v"])


ZONES = (
    st.none()
    | st.just(UTC)
    | st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
    | st.sampled_from(["Europe/Rome", "America/New_York"]).map(ZoneInfo)
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.complex_numbers(),
    st.text(),
    st.text(st.characters(categories=["Cs", "L", "So"])),
    st.binary(),
    st.dates(),
    st.datetimes(timezones=ZONES),
    st.builds(lambda moment, fold: moment.replace(fold=fold), st.datetimes(), st.integers(0, 1)),
    st.times(),
    st.timedeltas(),
    st.decimals(),
    st.fractions(),
    st.uuids(),
    st.sampled_from([Path("/a/b"), PurePosixPath("x"), PureWindowsPath("c:/x"), Path("\udcff")]),
    st.sampled_from([re.compile("a+"), re.compile(b"\xff", re.I), re.compile("(?x) a", re.M)]),
    st.sampled_from([*Color, *Level, *Mode, Right.READ | Right.WRITE, Right(0), UTC, timezone(timedelta(hours=2))]),
    st.builds(Point, st.floats(allow_nan=False), st.floats(allow_nan=False), label=st.text()),
    st.builds(Pair, st.integers(), st.text()),
    st.builds(Size, st.integers(), st.integers()),
)
HASHABLE = st.one_of(
    st.integers(), st.text(), st.dates(), st.tuples(st.integers(), st.text()), st.booleans(), st.none(), st.just("$")
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=4) | st.just("$"), inner, max_size=4),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.frozensets(HASHABLE, max_size=4),
        st.sets(HASHABLE, max_size=4),
    ),
    max_leaves=12,
)


@given(VALUES)
@settings(max_examples=600)
def test_any_value_survives_the_round_trip(value: object) -> None:
    """What the host sends and gets back is the same value, of the same type, to the last bit."""
    inside, back = there_and_back(value)
    assert same(back, value)
    if not any(isinstance(part, Point | Size | Pair | enum.Enum) for part in _parts(value)):
        assert same(inside, value)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, list | tuple | set | frozenset):
        return [value, *(part for item in value for part in _parts(item))]
    if isinstance(value, dict):
        return [part for pair in value.items() for item in pair for part in _parts(item)]
    return [value]


@pytest.mark.parametrize(
    "value",
    [
        10**10_000,
        -(2**53),
        2**53 - 1,
        -0.0,
        float("nan"),
        [float("inf"), 1.0],
        [1e308, 1e308],
        [True, 1, 1.0],
        "\ud800",
        ["a", "\udfff"],
        {"\ud800": 1},
        {"$": 1},
        {"$": "int", "v": "0xff"},
        {1: {2: {}}},
        {(1, 2): {3}, None: ()},
        "é" * 500_000,
        list(range(100_000)),
        Decimal("sNaN"),
        Decimal("-0E+5"),
        Decimal("1" * 5000),
        Fraction(10**300, 7),
        datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Rome")),
        time(2, 30, fold=1, tzinfo=ZoneInfo("Europe/Rome")),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=14))),
        timedelta.min,
        uuid.UUID(int=0),
        {frozenset({1}): [b""]},
        Order(
            id="a",
            customer=Customer(fullName="Ada", born=date(1815, 12, 10)),
            children=[Order(id="b", customer=Customer(fullName="B"))],
        ),
        Open.model_validate({"a": 1, "b": [2]}),
        [Pair(1), Point(1.0)],
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_notable_values(value: object) -> None:
    """The edges: huge and tiny, not finite, surrogates, keys that look like tags, nested models."""
    back = there_and_back(value)[1]
    assert type(back) is type(value) or isinstance(value, BaseModel)
    assert same(back, value)


def test_values_in_the_guest_look_like_the_real_ones() -> None:
    """Objects with attributes, enums, named tuples; computed fields are there, private ones are not."""
    customer = Customer(fullName="Ada")
    inside, back = there_and_back({"order": Order(id="a", customer=customer), "c": Color.ROUGE, "f": Right(3)})
    order = inside["order"]
    assert (
        repr(order) == "Order(id='a', customer=Customer(full_name='Ada', born=None, initials='A'), "
        "tags=['new'], children=[], total=Decimal('0'))"
    )
    assert order.customer.initials == "A"
    assert not hasattr(order.customer, "_secret")
    assert inside["c"] is GUEST.types["Color"].RED
    assert inside["f"] == 3
    assert back["order"] == Order(id="a", customer=customer)
    pair = there_and_back(Pair(1))[0]
    assert (pair.left, pair[1], repr(pair)) == (1, "r", "Pair(left=1, right='r')")


def test_values_made_in_the_guest_are_validated_on_the_host() -> None:
    """Constructors of the guest check names only; the host validates, coerces and fills defaults in."""
    point = GUEST.types["Point"](1, label="p")
    assert HOST.decode(GUEST.encode(point)) == Point(1.0, 0.0, label="p")
    order = GUEST.types["Order"](id="a", customer=GUEST.types["Customer"](full_name="Ada"), total="2.50")
    assert HOST.decode(GUEST.encode(order)) == Order(id="a", customer=Customer(fullName="Ada"), total=Decimal("2.50"))
    with pytest.raises(WireError, match=r"at Point.x: .*number.*got 'wide'"):
        HOST.decode(GUEST.encode(GUEST.types["Point"]("wide")))
    with pytest.raises(WireError, match=r"at \[1\]\['p'\]Point\.x"):
        HOST.decode([1, {"p": GUEST.encode(GUEST.types["Point"]("wide"))}])


def test_generic_models_come_back_as_their_origin() -> None:
    """The wire does not know the arguments; validating the parameter makes the parametrized class of it."""
    back = there_and_back(Page[int](items=[1, 2]))[1]
    assert TypeAdapter(Page[int]).validate_python(back) == Page[int](items=[1, 2])


def test_root_models_and_urls_cross_as_what_they_hold() -> None:
    """Their aliases in the guest are plain types, which the host's validation takes back."""
    assert there_and_back(Ids([1, 2]))[0] == [1, 2]
    assert there_and_back(HttpUrl("https://a.example/x"))[0] == "https://a.example/x"


def test_containers_of_other_classes_cross_as_the_plain_ones() -> None:
    """A default dictionary, an ordered one, a counter, a range: what a signature can say about them."""
    assert HOST.encode([defaultdict(int, a=1), OrderedDict(b=2), Counter("c"), range(3)]) == [
        {"a": 1},
        {"b": 2},
        {"c": 1},
        [0, 1, 2],
    ]
    assert GUEST.encode([deque([1]), {"a": 1}.keys(), {"a": 1}.values(), {"a": 1}.items()]) == [
        [1],
        ["a"],
        [1],
        [{"$": "tuple", "v": ["a", 1]}],
    ]


def test_arrays_cross_as_themselves() -> None:
    """An array keeps type, shape and content; scalars are plain numbers; arrays of objects are refused."""
    np: Any = pytest.importorskip("numpy")
    for array in (
        np.arange(6.0).reshape(2, 3),
        np.array(["a", "bc"]),
        np.array([], dtype="int8"),
        np.array(5),
        np.array(["2024-01-01"], dtype="M8[D]"),
        np.arange(6)[::2],
    ):
        inside, back = there_and_back([array])
        for other in (inside[0], back[0]):
            assert other.dtype == array.dtype
            assert other.shape == array.shape
            assert (other == array).all()
    assert same(HOST.encode([np.float64(1.5), np.int64(2), np.bool_(True)]), [1.5, 2, True])
    assert same(GUEST.encode([np.float64(1.5), np.int64(2), np.bool_(True)]), [1.5, 2, True])
    for codec in (HOST, GUEST):
        with pytest.raises((WireError, scalars.WireError), match="array of object"):
            codec.encode(np.array([object()]))


def test_a_guest_without_numpy_gets_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """An array is nested lists there; a host without it refuses arrays with a reason."""
    monkeypatch.setitem(sys.modules, "numpy", None)
    wire = {"$": "ndarray", "v": ["<i8", [2, 1], "AQAAAAAAAAACAAAAAAAAAA=="]}
    assert GUEST.decode(wire) == [[1], [2]]
    with pytest.raises(WireError, match="no NumPy"):
        HOST.decode(wire)


def test_exceptions_as_values() -> None:
    """A declared exception keeps its class, message and fields, and its constructor does not run."""
    error = Closed("until noon")
    error.until = "noon"
    inside, back = there_and_back(error)
    assert (type(inside).__name__, str(inside), inside.until) == ("Closed", "until noon", "noon")
    assert (type(back), str(back), back.until) == (Closed, "until noon", "noon")


def test_handles() -> None:
    """A value that stays on the host comes back as itself; a forged handle, or one of another session, is refused."""
    connection = Connection()
    inside, back = there_and_back([connection, connection])
    assert back[0] is connection
    assert back[1] is connection
    assert inside[0] == inside[1]
    assert repr(inside[0]) == "<connection to the shop>"
    other, _ = both(Opaque[Connection])
    with pytest.raises(WireError, match="no value of the session"):
        other.decode(GUEST.encode(inside[0]))
    with pytest.raises(WireError, match="no value of the session"):
        HOST.decode({"$": "handle", "t": "Connection", "v": {"id": "guess", "repr": ""}})
    HOST.release()
    with pytest.raises(WireError, match="no value of the session"):
        HOST.decode(GUEST.encode(inside[0]))


@pytest.mark.parametrize(
    "value", [object(), print, (n for n in [1]), [lambda: 1], Catalog(), Exception("x"), Unknown.A]
)
def test_the_host_refuses_what_cannot_cross(value: object) -> None:
    """The message names the type."""
    with pytest.raises(WireError, match="cannot cross"):
        HOST.encode(value)


def test_depth_is_limited() -> None:
    """Deep values cross up to the limit; deeper ones, and those that contain themselves, are refused."""
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = {1: value}
    assert there_and_back(value)[1] == value
    loop: list[Any] = []
    loop.append(loop)
    for codec in (HOST, GUEST):
        with pytest.raises((WireError, scalars.WireError), match="deeper"):
            codec.encode(loop)
    deep: Any = {"$": "tuple", "v": []}
    for _ in range(400):
        deep = {"$": "tuple", "v": [deep]}
    with pytest.raises(WireError, match="deeper"):
        HOST.decode(deep)


MALFORMED: list[Any] = [
    {"$": "nothing", "v": 1},
    {"$": "pickle", "v": "gASVAAAA"},
    {"$": 1, "v": 1},
    {"$": ["int"], "v": 1},
    {"$": "int"},
    {"$": "int", "v": "0x1", "w": 1},
    {"$": "int", "v": 5},
    {"$": "int", "v": "zz"},
    {"$": "float", "v": "1.5"},
    {"$": "float", "v": [1]},
    {"$": "str", "v": "!!"},
    {"$": "bytes", "v": "*"},
    {"$": "bytes", "v": None},
    {"$": "tuple", "v": {"a": 1}},
    {"$": "set", "v": [[1]]},
    {"$": "dict", "v": [[1]]},
    {"$": "dict", "v": [[[1], 2]]},
    {"$": "dict", "v": "ab"},
    {"$": "complex", "v": [1]},
    {"$": "complex", "v": ["a", "b"]},
    {"$": "datetime", "v": "2024-01-01"},
    {"$": "datetime", "v": ["yesterday", 0, None]},
    {"$": "datetime", "v": ["2024-01-01T00:00:00+01:00", 0, None]},
    {"$": "datetime", "v": ["2024-01-01T00:00:00", 7, None]},
    {"$": "datetime", "v": ["2024-01-01T00:00:00", 0, 10**30]},
    {"$": "datetime", "v": ["2024-01-01T00:00:00", 0, ["../../etc/passwd", 0]]},
    {"$": "datetime", "v": ["2024-01-01T00:00:00", 0, ["Nowhere/Land", 0]]},
    {"$": "date", "v": 5},
    {"$": "time", "v": ["25:00", 0, None]},
    {"$": "timedelta", "v": [10**12, 0, 0]},
    {"$": "timedelta", "v": [0.5, 0, 0]},
    {"$": "decimal", "v": "abc"},
    {"$": "decimal", "v": 1.5},
    {"$": "fraction", "v": [1, 0]},
    {"$": "fraction", "v": [1.5, 2]},
    {"$": "fraction", "v": [{"$": "int", "v": "0x" + "f" * 300_000}, 7]},
    {"$": "uuid", "v": "x"},
    {"$": "path", "v": 3},
    {"$": "pattern", "v": ["(", 0]},
    {"$": "pattern", "v": ["a", 128]},
    {"$": "pattern", "v": ["a" * 20_000, 0]},
    {"$": "pattern", "v": ["(" * 5000 + ")" * 5000, 0]},
    {"$": "enum", "t": "Color", "n": "GREEN"},
    {"$": "enum", "t": "Color", "v": 1},
    {"$": "enum", "t": "Order", "n": "id"},
    {"$": "enum", "t": "Right", "v": "1"},
    {"$": "object", "t": "Order", "v": {}},
    {"$": "object", "t": "Order", "v": []},
    {"$": "object", "t": "os.system", "v": {}},
    {"$": "object", "t": "Color", "v": {}},
    {"$": "object", "t": "Closed", "v": {}},
    {"$": "object", "t": ["Order"], "v": {}},
    {"$": "object", "t": "Point", "v": {"x": 1, "z": 2}},
    {"$": "object", "t": "Size", "v": {"width": 1, "__class__": 2}},
    {"$": "object", "t": "Pair", "v": {"right": "a"}},
    {"$": "exception", "t": "SystemExit", "m": "", "v": {}},
    {"$": "handle", "t": "Connection", "v": "x"},
    {"$": "handle", "t": "Connection", "v": {"id": []}},
    {"$": "iterator", "v": None},
    {"$": "ndarray", "v": ["|O8", [1], "AAAAAAAAAAA="]},
    {"$": "ndarray", "v": ["<i8", [-1], "AAAAAAAAAAA="]},
    {"$": "ndarray", "v": ["<i8", [9], "AAAAAAAAAAA="]},
    {"$": "ndarray", "v": ["i8,i8", [1], "AAAAAAAAAAA="]},
    "\ud800",
    ["a", "\ud800"],
    {"\ud800": 1},
    [{"a": float("inf")}],
    [math.inf],
]


@pytest.mark.parametrize("value", MALFORMED, ids=lambda value: json.dumps(value)[:50])
def test_malformed_values_are_refused(value: Any) -> None:
    """Unknown tags, wrong shapes and values out of range are named errors."""
    with pytest.raises(WireError):
        HOST.decode(value)


TAGS = st.sampled_from([*values._DECODERS, "$", "x"])
GARBAGE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["Order", "Color", "Point", "RED", "0x1"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["$", "v", "t", "n", "m", "x"]), inner, max_size=4),
        st.fixed_dictionaries({"$": TAGS, "v": inner}),
        st.fixed_dictionaries(
            {"$": TAGS, "t": st.sampled_from(["Order", "Color", "Point", "Pair", "Size", "Right"]), "v": inner}
        ),
    ),
    max_leaves=10,
)


@given(GARBAGE)
@settings(max_examples=1500)
def test_garbage_is_refused_by_name(value: Any) -> None:
    """Whatever JSON arrives, decoding it gives a value or a WireError, never another exception."""
    with contextlib.suppress(WireError):
        HOST.decode(value)


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20), max_size=3), max_size=5),
    st.integers(1, 20),
)
def test_frames_survive_any_splitting(messages: list[dict[str, Any]], size: int) -> None:
    """A buffer gives back the messages, however the bytes are cut."""
    data = b"".join(map(encode_frame, messages))
    buffer = FrameBuffer(1 << 16)
    found = [frame for start in range(0, len(data), size) for frame in buffer.feed(data[start : start + size])]
    assert found == messages
    assert not len(buffer)


@given(st.binary(max_size=200))
def test_random_bytes_are_no_frames(data: bytes) -> None:
    """They give messages, wait for more, or raise ProtocolViolation."""
    with contextlib.suppress(ProtocolViolation):
        assert all(isinstance(message, dict) for message in FrameBuffer(1000).feed(data))


def test_plain_json_is_not_copied() -> None:
    """A large plain value crosses without being rebuilt."""
    numbers = list(range(1000))
    assert HOST.encode(numbers) is numbers
    assert HOST.decode(numbers) is numbers
    record: dict[str, Literal["b"]] = {"a": "b"}
    assert GUEST.encode(record) is record


def test_the_guest_needs_the_standard_library_only() -> None:
    """No module of the guest imports anything of the host or of another distribution."""
    folder = Path(values.__file__).parent
    allowed = sys.stdlib_module_names | {""}
    for file in folder.glob("*.py"):
        for match in re.finditer(r"^\s*(?:from (\.?[\w.]*) import|import ([\w., ]+))", file.read_text(), re.M):
            names = [match[1]] if match[1] is not None else match[2].split(",")
            assert all(name.strip().split(".")[0] in allowed for name in names), (file.name, match[0])
