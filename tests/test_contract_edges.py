"""The edges of the contract through the real sandbox: kinds of parameters, defaults, notable values, kinds of tools."""

# ruff: noqa: D101, D102, D103

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import math
import operator
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Unpack

import pytest
from pydantic import BaseModel, Field, TypeAdapter, computed_field

from codeact_tools import Session, ToolContext, Toolkit, ToolRegistry, tool
from codeact_tools.context import Depends
from codeact_tools.errors import DefinitionError
from codeact_tools.signatures import Opaque
from tests import contract_types as ct
from tests.equality import same

log: list[object] = []
"""What the tools of this module did."""

# ---- parameters and defaults -----------------------------------------------------------------------------------------


def everything(a: int, /, b: str, *rest: float, c: bool = True, **more: int) -> list[Any]:
    return [a, b, rest, c, more]


def unpacked(**filters: Unpack[ct.Filters]) -> dict[str, Any]:
    return dict(filters)


def mutable(x: list[int] = [1]) -> list[int]:  # noqa: B006 - what is tested
    x.append(2)
    return x


def from_factory(x: list[str] = Field(default_factory=lambda: ["made", "here"])) -> list[str]:  # noqa: B008
    return x


def described(limit: Annotated[int, Field(ge=1, description="How many.")] = 3) -> int:
    return limit


def with_object(how: Any = operator.add, at: ct.Point = ct.Point(1.0), colour: ct.Colour = ct.Colour.RED) -> list[Any]:  # noqa: B008
    return [how is operator.add, at == ct.Point(1.0), colour is ct.Colour.RED]


def film(movie: ct.Movie) -> str:
    return movie["title"]


class Scene(BaseModel):
    movie: ct.Film
    number: int


def film_of(scene: Scene) -> str:
    return scene.movie["title"]


def optional(x: int | None = None) -> bool:
    return x is None


PARAMETERS: list[tuple[str, str]] = [
    ('everything(1, "b")', "[1, 'b', (), True, {}]"),
    ('everything(1, "b", 2, 3.5, c=False, d=4)', "[1, 'b', (2.0, 3.5), False, {'d': 4}]"),
    ('everything(1, b="b", e=5)', "[1, 'b', (), True, {'e': 5}]"),
    ("unpacked(limit=1)", "{'limit': 1}"),
    ('unpacked(limit=1, colour="red")', "{'colour': 'red', 'limit': 1}"),
    ("[mutable(), mutable(), mutable([0])]", "[[1, 2], [1, 2], [0, 2]]"),
    ("[from_factory(), from_factory(['a'])]", "[['made', 'here'], ['a']]"),
    ("[described(), described(limit=1)]", "[3, 1]"),
    ("with_object()", "[True, True, True]"),
    ("with_object(3, at=Point(2.0), colour=Colour.BLUE)", "[False, False, False]"),
    ("[optional(), optional(None), optional(1)]", "[True, True, False]"),
]
MISTAKES: list[tuple[str, list[str]]] = [
    ("everything('x', 'b')", ["'a' must be an int", "got 'x'"]),
    ("everything(a=1, b='b')", ["'a' must be given by position"]),
    ("everything(1)", ["'b' is missing"]),
    ("everything(1, 'b', 'x')", ["'rest[0]' must be a float"]),
    ("everything(1, 'b', d='x')", ["'d' must be an int"]),
    ("unpacked()", ["'limit' is missing"]),
    ("unpacked(limit=1, color='red')", ["no parameter 'color'", "did you mean 'colour'"]),
    ("film({'title': 'Alien', 'yaer': 1979})", ["no field 'movie.yaer'"]),
    ("film_of({'movie': {'title': 'Alien'}})", ["'scene.number' is missing"]),
    ("described(0)", ["'limit' must be at least 1", "got 0"]),
    ("described(1, 2)", ["takes at most 1 by position"]),
    ("described(lim=1)", ["no parameter 'lim'", "did you mean 'limit'"]),
]

# ---- notable values --------------------------------------------------------------------------------------------------


def keep(value: Any) -> Any:
    log.append(value)
    return value


NOTABLE: list[tuple[str, object]] = [
    ('float("nan")', math.nan),
    ('[float("inf"), -float("inf"), -0.0]', [math.inf, -math.inf, -0.0]),
    ('complex(float("nan"), 1)', complex(math.nan, 1)),
    ("10**4000", 10**4000),
    ("-2**53", -(2**53)),
    ('"\\ud800 \\x00 \\u2028"', "\ud800 \x00 \u2028"),
    ('{"\\udfff": 1, "$": "int"}', {"\udfff": 1, "$": "int"}),
    ("[[], (), set(), frozenset(), {}, '', b'']", [[], (), set(), frozenset(), {}, "", b""]),
    ('"é" * 500_000', "é" * 500_000),
    ('b"\\x00\\xff" * 500_000', b"\x00\xff" * 500_000),
    ("list(range(100_000))", list(range(100_000))),
    ("{1: 'a', None: {(1, 2): True}, True and 2.5: []}", {1: "a", None: {(1, 2): True}, 2.5: []}),
    ("[True, 1, 1.0]", [True, 1, 1.0]),
]
REFUSED: list[tuple[str, str]] = [
    ("x = []\nx.append(x)\nkeep(x)", "contains itself"),
    ("keep(lambda: 1)", "pass its result"),
    ("keep(int)", "function or class"),
    ("keep(n for n in [1])", "pass list(...) of it"),
    ("keep([{'a': object()}])", "argument value[0]['a']: a value of type object"),
    ("class Own: pass\nkeep(Own())", "a value of type Own cannot be passed"),
    ("keep(ValueError('x'))", "pass str(...) of it"),
    ("async def go(): pass\nc = go()\ntry:\n    keep(c)\nfinally:\n    c.close()", "await it first"),
    ("keep(open('f.txt', 'w'))", "cannot be passed"),
]

# ---- classes that compute --------------------------------------------------------------------------------------------


@dataclass
class Scaled:
    """Its length depends on what is not kept."""

    name: str
    scale: InitVar[int] = 1
    length: int = field(init=False, default=0)

    def __post_init__(self, scale: int) -> None:
        self.length = len(self.name) * scale


class Bill(BaseModel):
    price: float
    count: int = 1

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> float:
        return self.price * self.count


def scaled(factor: int) -> Scaled:
    return Scaled("four", factor)


def length_of(value: Scaled) -> int:
    return value.length


def bill() -> Bill:
    return Bill(price=2.0)


def total_of(bill: Bill) -> float:
    return bill.total


# ---- handles ---------------------------------------------------------------------------------------------------------


class Connection:
    """A connection to the shop."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<connection to {self.name}>"


class Secret:
    """A value without a repr of its own."""


class Shy:
    """Its repr fails."""

    def __repr__(self) -> str:
        raise OSError("closed")


def shy() -> Opaque[Shy]:
    return Shy()


def connect(name: str) -> Opaque[Connection]:
    return Connection(name)


def name_of(connection: Opaque[Connection]) -> str:
    return connection.name


def names_of(connections: dict[str, list[Opaque[Connection]]]) -> list[str]:
    return [each.name for some in connections.values() for each in some]


def secret() -> Opaque[Secret]:
    return Secret()


# ---- kinds of tools --------------------------------------------------------------------------------------------------


def numbers(n: int) -> Iterator[int]:
    """Count up."""
    log.append("opened")
    try:
        for each in range(n):
            log.append(each)
            yield each
    finally:
        log.append("closed")


async def ticks(n: int) -> AsyncIterator[ct.Point]:
    log.append("opened")
    try:
        for each in range(n):
            log.append(each)
            yield ct.Point(float(each))
            await asyncio.sleep(0)
    finally:
        log.append("closed")


def breaks_later() -> Iterator[int]:
    yield 1
    raise OSError("the disk is full")


def wrong_item() -> Iterator[int]:
    yield 1
    yield "two"  # type: ignore[misc]


class Counter:
    """Counts."""

    def __init__(self) -> None:
        self.count = 0

    @tool
    def step(self, by: int = 1) -> int:
        """Count further."""
        self.count += by
        return self.count

    @tool
    async def reset(self) -> None:
        """Start again."""
        self.count = 0


class Multiplier:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, x: int) -> int:
        """Multiply."""
        return x * self.factor


class Shelf:
    """Shared by bound methods."""

    def __init__(self) -> None:
        self.items: list[str] = []

    def put(self, item: str) -> None:
        self.items.append(item)

    def content(self) -> list[str]:
        return self.items


def power(base: int, exponent: int) -> int:
    """Raise to a power."""
    return int(base**exponent)


def open_database(context: ToolContext) -> Iterator[dict[str, str]]:
    log.append(f"open for {context.tool}")
    try:
        yield {"ada": "Lovelace"}
    finally:
        log.append("release")


async def current_user() -> str:
    return "bob"


@contextlib.contextmanager
def locked() -> Iterator[str]:
    log.append("lock")
    yield "key"
    log.append("unlock")


@contextlib.asynccontextmanager
async def entered() -> AsyncIterator[str]:
    log.append("enter")
    yield "ticket"
    log.append("leave")


async def guarded(key: Annotated[str, Depends(locked)], ticket: Annotated[str, Depends(entered)]) -> str:
    """Needs both."""
    log.append("inside")
    return f"{key} {ticket}"


def look_up(
    name: str,
    database: Annotated[dict[str, str], Depends(open_database)],
    user: Annotated[str, Depends(current_user)],
    context: ToolContext,
) -> str:
    """Look a name up."""
    log.append("use")
    context.report("looking")
    context.state["seen"] = context.state.get("seen", 0) + 1
    return f"{database[name]} for {user}, call {context.state['seen']}"


def stream_rows(database: Annotated[dict[str, str], Depends(open_database)]) -> Iterator[str]:
    """Rows, while the database is open."""
    for name in [*database, "end"]:
        log.append(name)
        yield name


square = functools.partial(power, exponent=2)
multiplier = Multiplier(3)
shelf = Shelf()
TOOLS: list[Any] = [
    *(everything, unpacked, mutable, from_factory, described, with_object, film, film_of, optional, keep),
    *(scaled, length_of, bill, total_of, connect, name_of, names_of, secret, shy),
    *(numbers, ticks, breaks_later, wrong_item, Counter, look_up, guarded, stream_rows, shelf.put, shelf.content),
    tool(name="square")(square),
    tool(name="triple")(multiplier),
    Toolkit("maths", tools=[power], summary="Numbers."),
]


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session(tools=TOOLS, sandbox="local", check="off") as session:
        yield session


@pytest.fixture(autouse=True)
def fresh_log() -> None:
    log.clear()


def result(session: Session, code: str) -> str | None:
    """The repr of the last expression of an action that must not fail."""
    seen = session.run(code)
    assert seen.error is None, seen.text
    return seen.result


@pytest.mark.parametrize(("code", "text"), PARAMETERS)
def test_parameters_of_every_kind(session: Session, code: str, text: str) -> None:
    """Positional-only, variadic, keyword-only, unpacked; defaults that are mutable, made, or functions."""
    assert result(session, code) == text


@pytest.mark.parametrize(("code", "words"), MISTAKES)
def test_mistakes_in_calls_name_parameter_and_remedy(session: Session, code: str, words: list[str]) -> None:
    """The host answers before the tool runs."""
    seen = session.run(code)
    assert seen.error is not None
    assert seen.error.name == "InvalidCall"
    for word in [*words, "Signature: "]:
        assert word in seen.error.message


def test_the_classes_of_the_application_stay_as_they_are(session: Session) -> None:
    """A tool refuses keys that a typed dictionary does not declare; validation elsewhere is not affected."""
    session.registry.prepare()
    scene = {"movie": {"title": "Alien", "more": 1}, "number": 1}
    assert TypeAdapter(list[Scene]).validate_python([scene])[0].movie == {"title": "Alien"}


@pytest.mark.parametrize(("source", "value"), NOTABLE, ids=[source[:30] for source, _ in NOTABLE])
def test_notable_values_cross_exactly(session: Session, source: str, value: object) -> None:
    """As an argument, as a result, and back again."""
    assert result(session, f"back = keep({source})\nagain = keep(back)\nrepr(back) == repr({source})") == "True"
    assert len(log) == 2
    assert all(same(each, value) for each in log)


@pytest.mark.parametrize(("code", "words"), REFUSED)
def test_what_cannot_cross_is_refused_with_a_reason(session: Session, code: str, words: str) -> None:
    """Before anything is sent; the message says where in the value, and what to pass instead."""
    seen = session.run(code)
    assert seen.error is not None
    assert (seen.error.name, log) == ("InvalidCall", [])
    assert words in seen.error.message


def test_what_a_constructor_makes_is_never_silently_another(session: Session) -> None:
    """A value that the host could only make differently is refused; one that it makes the same crosses."""
    assert result(session, "length_of(scaled(1))") == "4"
    assert result(session, "length_of(Scaled('four', scale=3))") == "12"
    seen = session.run("length_of(scaled(3))")
    assert seen.error is not None
    assert "Scaled.length cannot be sent back: the constructor makes it 4" in seen.error.message


def test_computed_fields_are_not_stale(session: Session) -> None:
    """After a change in the action a computed field says that the host makes it, and the host makes it anew."""
    assert result(session, "b = bill()\nb.total") == "2.0"
    assert result(session, "b.count = 5\ntotal_of(b)") == "10.0"
    seen = session.run("b.total")
    assert seen.error is not None
    assert "the host fills it" in seen.error.message


def test_handles_are_passed_on(session: Session) -> None:
    """The action sees a readable repr, never the value; other tools get the very object, also inside of containers."""
    assert result(session, "c = connect('shop')\nc") == "<connection to shop>"
    assert result(session, "name_of(c), names_of({'a': [c, connect('bank')]})") == "('shop', ['shop', 'bank'])"
    assert result(session, "secret(), shy()") == "(<Secret>, <Shy>)"
    assert result(session, "c == connect('shop'), hasattr(c, 'name'), {c: 1}[c]") == "(False, False, 1)"


def test_a_class_is_a_value_or_a_handle() -> None:
    """What stays on the host in one signature cannot cross in another; the error says how to tell them apart."""

    def read() -> ct.Point:
        return ct.Point(1.0)

    def hold() -> Opaque[ct.Point]:
        return ct.Point(1.0)

    for tools in ([read, hold], [hold, read]):
        with pytest.raises(DefinitionError, match=r"'Point' crosses as a value in one place.*Opaque\[HeldPoint\]"):
            ToolRegistry(tools)
    assert len(ToolRegistry([hold])) == 1


FORGERIES: dict[str, str] = {
    "made": "name_of(Connection('guess', 'x'))",
    "changed": "h = connect('x')\nh._id = h._id[:-1] + ('A' if h._id[-1] != 'A' else 'B')\nname_of(h)",
    "of another class": "s = secret()\nname_of(s)",
    "with another class's number": "c = connect('x')\nc._id = secret()._id\nname_of(c)",
    "a dictionary": "name_of({'$': 'handle', 't': 'Connection', 'v': {'id': 'x', 'repr': ''}})",
    "text": "name_of('<connection to shop>')",
}


@pytest.mark.parametrize("code", FORGERIES.values(), ids=FORGERIES)
def test_handles_cannot_be_forged(session: Session, code: str) -> None:
    """Whatever the action makes up, the tool does not run."""
    seen = session.run(code)
    assert seen.error is not None
    assert seen.error.name == "InvalidCall"
    assert "name_of" in seen.error.message


def test_handles_end_with_their_session() -> None:
    """A handle's number is worth nothing in another session, and the host drops the values when the session ends."""
    import gc
    import weakref

    made: list[weakref.ref[Connection]] = []

    def dial() -> Opaque[Connection]:
        connection = Connection("here")
        made.append(weakref.ref(connection))
        return connection

    with Session(tools=[dial, name_of], sandbox="local", check="off") as one:
        number = result(one, "h = dial()\nh._id")
        gc.collect()
        assert made[0]() is not None
        with Session(tools=[connect, name_of], sandbox="local", check="off") as two:
            seen = two.run(f"h = connect('there')\nh._id = {number}\nname_of(h)")
            assert seen.error is not None
            assert "no value of the session" in seen.error.message
        assert result(one, "name_of(h)") == "'here'"
    gc.collect()
    assert made[0]() is None


def test_generators_are_lazy_and_closed_by_an_early_break(session: Session) -> None:
    """An item is made when the action asks for it, and leaving the loop ends the generator on the host."""
    assert result(session, "stream = numbers(10**9)\nnext(stream), next(stream)") == "(0, 1)"
    assert log == ["opened", 0, 1, "closed"]
    seen = session.run("next(stream)")
    assert seen.error is not None
    assert "a stream of items ends with the action that opened it" in seen.error.message
    log.clear()
    assert result(session, "for n in numbers(10**9):\n    if n == 2: break\nkeep('after')\nn") == "2"
    assert sorted(log, key=str) == [0, 1, 2, "after", "closed", "opened"]
    log.clear()
    assert result(session, "list(numbers(3))") == "[0, 1, 2]"
    assert log == ["opened", 0, 1, 2, "closed"]


def test_asynchronous_generators_are_lazy_too(session: Session) -> None:
    """``async for`` and ``aclose`` work as with a real one, and items keep their class."""
    code = "async for p in ticks(10**9):\n    if p.x == 2.0: break\ntype(p).__name__, p.x"
    assert result(session, code) == "('Point', 2.0)"
    result(session, "1")
    assert log == ["opened", 0, 1, 2, "closed"]
    log.clear()
    assert (
        result(session, "s = ticks(5)\na = await anext(s)\nawait s.aclose()\n[x async for x in s], a.x") == "([], 0.0)"
    )
    result(session, "1")
    assert log == ["opened", 0, "closed"]
    assert result(session, "[p.x async for p in ticks(2)]") == "[0.0, 1.0]"


@pytest.mark.parametrize(
    ("code", "name", "words"),
    [("breaks_later", "ToolFailed", "disk is full"), ("wrong_item", "InvalidResult", "misbehaved")],
)
def test_a_stream_that_fails_gave_its_items(session: Session, code: str, name: str, words: str) -> None:
    """What came before the failure is there; the failure is the action's exception."""
    seen = session.run(f"got = []\nfor n in {code}(): got.append(n)")
    assert seen.error is not None
    assert seen.error.name == name
    assert words in seen.error.message
    assert result(session, "got") == "[1]"


def test_tools_with_state(session: Session) -> None:
    """The methods of a class share one instance in a session, bound methods theirs; partials hide what they bind."""
    assert result(session, "[step(), step(by=4), await reset(), step()]") == "[1, 5, None, 1]"
    assert result(session, "put('a')\nput('b')\ncontent()") == "['a', 'b']"
    assert result(session, "square(3), triple(5), tools.maths.power(2, 5), power(2, exponent=3)") == "(9, 15, 32, 8)"
    seen = session.run("square(3, exponent=5)")
    assert seen.error is not None
    assert "exponent" in seen.error.message


def test_a_class_has_an_instance_for_each_session() -> None:
    """Two sessions do not share what the methods of a class remember."""
    for _ in range(2):
        with Session(tools=[Counter], sandbox="local", check="off") as session:
            assert result(session, "step()") == "1"


def test_dependencies_and_context_are_hidden_and_scoped(session: Session) -> None:
    """A generator dependency is open for the call, or for as long as a stream lasts; the action never sees either."""
    assert result(session, "look_up('ada')") == "'Lovelace for bob, call 1'"
    assert log == ["open for look_up", "use", "release"]
    assert result(session, "look_up(name='ada')") == "'Lovelace for bob, call 2'"
    log.clear()
    assert result(session, "for row in stream_rows(): break\nrow") == "'ada'"
    result(session, "1")
    assert log == ["open for stream_rows", "ada", "release"]
    log.clear()
    assert result(session, "await guarded()") == "'key ticket'"
    assert log == ["lock", "enter", "inside", "leave", "unlock"]
    assert session.registry.get("look_up").signature() == "look_up(name: str) -> str"
    for code in ("look_up('ada', database={})", "look_up('ada', context=None)", "look_up('ada', {}, 'eve')"):
        seen = session.run(code)
        assert seen.error is not None
        assert seen.error.name == "InvalidCall"


def test_reports_of_a_tool_reach_the_observer() -> None:
    """``context.report`` goes to the events of the session, not to the model."""
    from codeact_tools.events import Event, ToolReported

    events: list[Event] = []
    with Session(tools=[look_up], sandbox="local", check="off", on_event=events.append) as session:
        seen = session.run("look_up('ada')")
    assert [(each.tool, each.message) for each in events if isinstance(each, ToolReported)] == [("look_up", "looking")]
    assert "looking" not in seen.text


PEP_695 = """
from pydantic import BaseModel
from dataclasses import dataclass

type Number = int | float
type Twice[T] = tuple[T, T]
type Nested = dict[str, Nested] | int

class Crate[T](BaseModel):
    content: T

@dataclass
class Slot[T]:
    content: T

def numbers(x: Number, pair: Twice[int], nested: Nested) -> list[Number]:
    return [x, *pair]

def crate(content: int) -> Crate[int]:
    return Crate[int](content=content)

def opened(crate: Crate[int], slot: Slot[str]) -> list[int | str]:
    return [type(crate).__name__, crate.content, slot.content]

def first[T](items: list[T]) -> T:
    return items[0]
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is new in Python 3.12")
def test_type_statements_and_type_parameters(tmp_path: Path) -> None:
    """Aliases and generics of PEP 695 are what those of `typing` are."""
    path = tmp_path / "pep_695.py"
    path.write_text(PEP_695, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("pep_695", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pep_695"] = module
    spec.loader.exec_module(module)
    tools = [module.numbers, module.crate, module.opened, module.first]
    with Session(tools=tools, sandbox="local") as session:
        assert result(session, "numbers(1.5, (2, 3), {'a': {'b': 1}})") == "[1.5, 2, 3]"
        assert result(session, "opened(crate(4), Slot('s')), first(['a'])") == "(['Crate[int]', 4, 's'], 'a')"
        for code in ("numbers('x', (1, 2), 1)", "numbers(1, (1, 'x'), 1)", "numbers(1, (1, 2), {'a': 'x'})"):
            assert session.run(code).error is not None
