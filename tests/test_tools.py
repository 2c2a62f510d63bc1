"""Functions become tools; calls are validated, run and answered."""

# ruff: noqa: D101, D102, D103, D417

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, TypedDict, Unpack

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from codeact_tools.errors import DefinitionError, InvalidCall, InvalidResult, ToolFailed, ToolTimeout
from codeact_tools.registry import ToolRegistry
from codeact_tools.tools import Depends, Effects, Opaque, ToolContext, ToolSpec, invoke, tool
from tests import contract_types as ct


def spec_of(function: Any) -> ToolSpec:
    (spec,) = ToolRegistry([function]).specs
    return spec


def made(annotation: Any, *, default: Any = inspect.Parameter.empty, strict: bool = False) -> ToolSpec:
    """A tool ``echo(value)`` whose parameter and result have this annotation."""

    def echo(value: Any) -> Any:
        return value

    echo.__annotations__ = {"value": annotation, "return": annotation}
    if default is not inspect.Parameter.empty:
        echo.__defaults__ = (default,)
    return spec_of(tool(strict=strict)(echo))


async def call(spec: ToolSpec, *args: object, context: ToolContext | None = None, **kwargs: object) -> Any:
    return await invoke(spec, spec.bind(args, kwargs), context or ToolContext())


# ---- types ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("annotation", "_text", "right", "_wrong"), ct.CASES, ids=lambda each: str(each)[:30])
def test_right_values_pass_both_ways(annotation: Any, _text: str, right: object, _wrong: object) -> None:
    """A value of the type reaches the tool as itself, and its result the action as itself."""
    spec = made(annotation)
    bound = spec.bind([right], {})
    assert bound.arguments == {"value": right}
    assert type(bound.arguments["value"]) is type(right)
    assert spec.check_result(right) == right


@pytest.mark.parametrize(
    ("annotation", "_text", "_right", "wrong"),
    [case for case in ct.CASES if case[3] is not None],
    ids=lambda each: str(each)[:30],
)
def test_wrong_values_are_refused_both_ways(annotation: Any, _text: str, _right: object, wrong: object) -> None:
    """A value of another type is an error of the model as an argument, and of the tool as a result."""
    spec = made(annotation)
    with pytest.raises(InvalidCall, match=r"echo\(\).*value") as caught:
        spec.bind([wrong], {})
    text = str(caught.value)
    assert "Signature: echo(value: " in text
    assert not any(word in text.lower() for word in ("pydantic", "http", "input should", "validation error", "ctx"))
    with pytest.raises(InvalidResult, match="result"):
        spec.check_result(wrong)


@given(st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.lists(st.integers()) | st.none())
def test_garbage_is_refused_in_words_or_accepted(value: object) -> None:
    """Whatever comes as an argument, the answer is a bound call or an InvalidCall."""
    for annotation in (int, list[ct.Point], ct.Item, dict[str, ct.Pet], Literal["a", "b"]):
        try:
            made(annotation).bind([value], {})
        except InvalidCall as error:
            assert "echo()" in str(error)  # noqa: PT017


def test_values_are_coerced_unless_the_tool_is_strict() -> None:
    """Text that is a number is one for a lax tool, and a mistake for a strict one."""
    assert made(int).bind(["3"], {}).args == (3,)
    with pytest.raises(InvalidCall, match="'value' must be an int, got '3'"):
        made(int, strict=True).bind(["3"], {})


# ---- the function stays what it is -----------------------------------------------------------------------------------


def test_a_decorated_function_is_the_function() -> None:
    """Both forms of the decorator return the very same object."""

    def add(x: int, y: int) -> int:
        return x + y

    assert tool(add) is add
    assert tool(read_only=True)(add) is add
    assert add(1, 2) == 3


def test_effects_and_options_are_in_the_specification() -> None:
    """What the decorator is told can be read from the specification."""

    @tool(name="remove", destructive=True, timeout=2, retries=1, concurrency=3, approval=True, cache=True, strict=True)
    def delete(path: str) -> None:
        """Delete."""

    spec = spec_of(delete)
    assert spec.effects == Effects(destructive=True)
    options = (spec.name, spec.timeout, spec.retries, spec.concurrency, spec.approval, spec.cache, spec.strict)
    assert options == ("remove", 2, 1, 3, True, True, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"timeout": 0}, "timeout=0"), ({"retries": -1}, "retries=-1"), ({"concurrency": 0}, "concurrency=0"),
     ({"read_only": True, "destructive": True}, "either read_only or destructive")],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict[str, Any], words: str) -> None:
    """A wrong option is an error at the decorator, with file and line of the function."""

    def delete() -> None: ...

    with pytest.raises(DefinitionError, match=words) as caught:
        tool(**options)(delete)
    assert "test_tools.py:" in str(caught.value)


# ---- signatures -----------------------------------------------------------------------------------------------------


def every_kind(a: int, /, b: str, *rest: float, c: bool = True, **more: int) -> None: ...
def hidden_in_the_middle(a: int, context: ToolContext, b: int = 2) -> None: ...
def keyword_only(*, a: int, b: int | None = None) -> None: ...
def unpacked(**filters: Unpack[ct.Filters]) -> None: ...
def described(x: int = Field(default=3, ge=1, description="How many.")) -> None: ...
def from_factory(x: list[str] = Field(default_factory=lambda: ["a"])) -> None: ...  # noqa: B008
def implicit_none(x: int = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (every_kind, "every_kind(a: int, /, b: str, *rest: float, c: bool = True, **more: int) -> None"),
        (hidden_in_the_middle, "hidden_in_the_middle(a: int, b: int = 2) -> None"),
        (keyword_only, "keyword_only(*, a: int, b: int | None = None) -> None"),
        (unpacked, "unpacked(*, colour: str = ..., limit: int) -> None"),
        (described, "described(x: Annotated[int, x >= 1] = 3) -> None"),
        (from_factory, "from_factory(x: list[str] = ...) -> None"),
        (implicit_none, "implicit_none(x: int | None = None) -> None"),
        (functools.partial(hidden_in_the_middle, b=3), "hidden_in_the_middle(a: int) -> None"),
    ],
)
def test_signatures_read_as_python(function: Callable[..., Any], text: str) -> None:
    """Every kind of parameter shows as it was written, without what the model does not see."""
    assert spec_of(function).signature() == text


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "arguments"),
    [
        (
            every_kind,
            (1, "b", 0.5, 2),
            {"c": False, "z": 9},
            {"a": 1, "b": "b", "rest": (0.5, 2.0), "c": False, "z": 9},
        ),
        (every_kind, (1, "b"), {}, {"a": 1, "b": "b", "rest": (), "c": True}),
        (hidden_in_the_middle, (1,), {}, {"a": 1, "b": 2}),
        (unpacked, (), {"limit": "3"}, {"limit": 3}),
        (from_factory, (), {}, {"x": ["a"]}),
    ],
)
def test_arguments_are_bound_by_name(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], arguments: dict[str, Any]
) -> None:
    """Positions, names, stars and defaults end up as one dictionary for people and journals."""
    assert spec_of(function).bind(args, kwargs).arguments == arguments


def test_mutable_defaults_are_not_shared() -> None:
    """Each call gets a fresh copy of a list that is a default."""
    spec = made(list[int], default=[])
    spec.bind([], {}).arguments["value"].append(1)
    assert spec.bind([], {}).arguments["value"] == []


# ---- repair messages -------------------------------------------------------------------------------------------------


class Line(BaseModel):
    name: str
    price: Annotated[float, Field(ge=0)]
    colour: ct.Size = ct.Size.SMALL


class Order(BaseModel):
    lines: list[Line]
    by_day: dict[str, int] = {}


def order(
    order: Order, limit: Annotated[int, Field(ge=1, le=100)] = 20, status: Literal["open", "closed"] = "open"
) -> Order:
    """Place an order."""
    return order


GOOD = {"name": "a", "price": 1}


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "order(): 'order' is missing."),
        (({"lines": []},), {"limt": 3}, "order(): there is no parameter 'limt'; did you mean 'limit'?"),
        (({"lines": []},), {"zzz": 3}, "order(): there is no parameter 'zzz'."),
        (({"lines": []}, 500), {}, "order(): 'limit' must be at most 100, got 500."),
        (({"lines": []},), {"limit": "many"}, "order(): 'limit' must be an int, got 'many'."),
        (({"lines": []}, 1, "opne"), {},
         "order(): 'status' must be 'open' or 'closed', got 'opne'; did you mean 'open'?"),
        (({"lines": []}, 1, "open", 4), {}, "order(): argument 4 is too many: it takes at most 3 by position, got 4."),
        (({"lines": []},), {"order": 1}, "order(): 'order' is given twice, by position and by name."),
        (({"lines": [GOOD, {"name": "b", "price": -2}]},), {},
         "order(): 'order.lines[1].price' must be at least 0.0, got -2."),
        (({"lines": [{"price": 1}]},), {}, "order(): 'order.lines[0].name' is missing."),
        (({"lines": [{**GOOD, "colour": "smal"}]},), {},
         "order(): 'order.lines[0].colour' must be 'small' or 'large', got 'smal'; did you mean 'small'?"),
        (({"lines": [], "by_day": {"mon day": "x"}},), {},
         "order(): 'order.by_day['mon day']' must be an int, got 'x'."),
        ((3,), {}, "order(): 'order' must be a Order, got 3."),
    ],
)  # fmt: skip
def test_repair_messages(args: tuple[Any, ...], kwargs: dict[str, Any], message: str) -> None:
    """The model reads the tool, the path, what came, what is allowed, the nearest choice, and the signature."""
    with pytest.raises(InvalidCall) as caught:
        spec_of(order).bind(args, kwargs)
    first, signature = str(caught.value).split("\n")
    assert first == message
    assert signature.startswith("Signature: order(order: Order, limit: Annotated[int, 1 <= limit <= 100] = 20")


def test_several_mistakes_are_listed_and_capped() -> None:
    """More than six mistakes are counted, not written."""
    with pytest.raises(InvalidCall) as caught:
        spec_of(order).bind([{"lines": [{}] * 20}], {})
    lines = str(caught.value).split("\n")
    assert lines[:2] == ["order():", "- 'order.lines[0].name' is missing."]
    assert lines[7] == "- and 34 more"


def test_union_branches_are_one_mistake() -> None:
    """A value that fits no branch of a union is told once what would fit."""
    with pytest.raises(InvalidCall, match=r"'value' must be an int or a bool, got 'x'"):
        made(int | bool).bind(["x"], {})


def test_long_values_are_clipped() -> None:
    """A megabyte of text does not come back in the error."""
    with pytest.raises(InvalidCall) as caught:
        made(int).bind(["x" * 1_000_000], {})
    assert len(str(caught.value)) < 300


def test_messages_of_the_authors_own_validators_arrive() -> None:
    """What a validator raises is the reason that the model reads."""
    with pytest.raises(InvalidCall, match=r"'value.name' is refused: names have no digits, got 'a1'"):
        made(ct.Item).bind([{"name": "a1", "price": 1}], {})


def test_a_single_argument_can_be_checked_before_the_call() -> None:
    """The check before the run uses the same words as the call."""
    spec = spec_of(order)
    spec.check_argument("limit", 5)
    with pytest.raises(InvalidCall, match="'limit' must be at least 1, got 0"):
        spec.check_argument("limit", 0)


# ---- results --------------------------------------------------------------------------------------------------------


def test_wrong_results_name_tool_field_and_place() -> None:
    """The developer reads which field of the result is wrong, and where the tool is."""

    def fetch() -> list[Order]:
        raise NotImplementedError

    with pytest.raises(
        InvalidResult, match=r"fetch\(\): 'result\[0\].lines\[0\].price' must be a float, got 'x'.*test_tools.py:\d+"
    ):
        spec_of(fetch).check_result([{"lines": [{"name": "a", "price": "x"}]}])


def test_instances_with_wrong_fields_are_found() -> None:
    """A dataclass or a model that was made with a wrong value does not pass for a right one."""

    @dataclass
    class Box:
        size: int
        inner: list[ct.Point]

    def fetch() -> dict[str, Box]:
        raise NotImplementedError

    spec = spec_of(fetch)
    with pytest.raises(InvalidResult, match=r"'result\['a'\].inner\[0\].x' must be a float, got 'far'"):
        spec.check_result({"a": Box(1, [ct.Point("far")])})  # type: ignore[arg-type]
    with pytest.raises(InvalidResult, match=r"'result.name' is missing"):
        made(Line).check_result(Line.model_construct(price=1))
    coerced = spec.check_result({"a": Box("7", [])})  # type: ignore[arg-type]
    assert coerced["a"].size == 7


def test_untouched_results_are_the_same_objects() -> None:
    """A right result is not copied."""
    page = ct.Page[ct.Item](items=[ct.ITEM])
    assert made(ct.Page[ct.Item]).check_result(page) is page


def test_dictionaries_become_the_promised_models() -> None:
    """A tool may return plain data for a model; the action gets the model."""
    assert made(ct.Item).check_result({"name": "a", "price": "1.5", "qty": 2}).total == 3


# ---- running --------------------------------------------------------------------------------------------------------


class Closed(Exception):
    """The shop is closed."""


@tool
def declares(kind: str) -> str:
    """Fail as told.

    Raises:
        Closed: Always on Sundays.
        ValueError: For other kinds.
        errors.Unknown: Never.
    """
    raise {"closed": Closed, "value": ValueError, "other": KeyError}[kind](f"no {kind}")


async def test_declared_exceptions_pass_as_themselves() -> None:
    """An exception that the docstring declares is the action's to catch; any other is a ToolFailed with its cause."""
    spec = spec_of(declares)
    assert [(each.name, each.exception) for each in spec.raises] == [
        ("Closed", Closed), ("ValueError", ValueError), ("errors.Unknown", None),
    ]  # fmt: skip
    with pytest.raises(Closed, match="no closed"):
        await call(spec, "closed")
    with pytest.raises(ValueError, match="no value"):
        await call(spec, "value")
    with pytest.raises(ToolFailed, match="declares failed: KeyError: 'no other'") as caught:
        await call(spec, "other")
    assert isinstance(caught.value.__cause__, KeyError)


async def test_failures_show_no_host_paths() -> None:
    """The message keeps a file's name and drops where it is on the host."""

    def read() -> str:
        raise FileNotFoundError(2, "No such file", "/usr/lib/secret/orders.csv")

    with pytest.raises(ToolFailed) as caught:
        await call(spec_of(read))
    assert "/usr" not in str(caught.value)
    assert "orders.csv" in str(caught.value)


async def test_synchronous_tools_run_beside_the_loop() -> None:
    """A tool that blocks does not block the loop, and sees the caller's context variables."""
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")
    loop, looped = asyncio.get_running_loop(), threading.Event()
    all_here = threading.Barrier(20, timeout=60)

    def block() -> tuple[str, bool]:
        all_here.wait()
        loop.call_soon_threadsafe(looped.set)
        assert looped.wait(60)
        return variable.get(), threading.current_thread() is threading.main_thread()

    results = await asyncio.gather(*(call(spec_of(block)) for _ in range(20)))
    assert results == [("set", False)] * 20


@pytest.mark.parametrize("is_async", [True, False])
async def test_timeouts(is_async: bool) -> None:
    """A tool that takes too long is given up, on the loop and in a thread."""
    given_up = threading.Event()

    @tool(timeout=0.05)
    async def slow() -> None:
        await asyncio.sleep(600)

    @tool(timeout=0.05)
    def blocking() -> None:
        given_up.wait(60)

    with pytest.raises(ToolTimeout, match=r"took longer than 0.05 s"):
        await call(spec_of(slow if is_async else blocking))
    given_up.set()


async def test_a_tools_own_timeout_error_is_its_failure() -> None:
    """A TimeoutError that the tool raises itself is not mistaken for the tool's timeout."""

    @tool(timeout=60)
    async def inner() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    with pytest.raises(ToolFailed, match="TimeoutError"):
        await call(spec_of(inner))


async def test_cancellation_reaches_an_async_tool() -> None:
    """Cancelling the call cancels the tool."""
    started, stopped = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    task = asyncio.create_task(call(spec_of(wait)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stopped.is_set()


async def test_retries() -> None:
    """A failing call is tried again as often as allowed; a declared exception is an answer, not a failure."""
    calls = []

    @tool(retries=2)
    def flaky(last: int) -> int:
        """Fail.

        Raises:
            Closed: At 0.
        """
        calls.append(1)
        if last == 0:
            raise Closed
        if len(calls) < last:
            raise OSError
        return len(calls)

    assert await call(spec_of(flaky), 3) == 3
    calls.clear()
    with pytest.raises(ToolFailed):
        await call(spec_of(flaky), 9)
    assert len(calls) == 3
    calls.clear()
    with pytest.raises(Closed):
        await call(spec_of(flaky), 0)
    assert len(calls) == 1


async def test_the_context_is_injected_wherever_it_stands() -> None:
    """A tool gets its context by annotation, at any position; the model's arguments keep theirs."""

    def middle(a: int, context: ToolContext, b: int = 2, *rest: int) -> list[Any]:
        context.report(f"at {a}")
        return [a, context.call_id, b, *rest]

    async def last(a: int, *, context: ToolContext | None = None) -> list[Any]:
        return [a, context.call_id if context else None]

    reports: list[str] = []
    context = ToolContext(call_id=7, on_report=reports.append)
    assert await call(spec_of(middle), 1, context=context) == [1, 7, 2]
    assert await call(spec_of(middle), 1, 3, 4, 5, context=context) == [1, 7, 3, 4, 5]
    assert await call(spec_of(middle), b=3, a=1, context=context) == [1, 7, 3]
    assert await call(spec_of(last), 1, context=context) == [1, 7]
    assert reports == ["at 1"] * 3


async def test_dependencies_are_made_for_the_call_and_closed_after_it() -> None:
    """A dependency is a value, awaited, or a scope around the call; the model sees none of them."""
    log: list[str] = []

    def scope(context: ToolContext) -> Iterator[str]:
        log.append(f"open {context.call_id}")
        yield "db"
        log.append("close")

    async def ascope() -> AsyncIterator[str]:
        yield "adb"
        log.append("aclose")

    async def value() -> str:
        return "value"

    def query(
        text: str,
        db: Annotated[str, Depends(scope)],
        adb: Annotated[str, Depends(ascope)],
        plain: Annotated[str, Depends(value)],
        connection: Annotated[ct.Connection, Depends(ct.Connection)],
    ) -> list[str]:
        log.append("query")
        return [text, db, adb, plain, type(connection).__name__]

    spec = spec_of(query)
    assert spec.signature() == "query(text: str) -> list[str]"
    assert await call(spec, "x", context=ToolContext(call_id=3)) == ["x", "db", "adb", "value", "Connection"]
    assert log == ["open 3", "query", "aclose", "close"]


# ---- streams --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [True, False])
async def test_generators_stream_and_are_closed(is_async: bool) -> None:
    """Items come one by one as they are asked for, and leaving early closes the generator."""
    log: list[object] = []

    def numbers(n: int) -> Iterator[int]:
        try:
            for i in range(n):
                log.append(i)
                yield i
        finally:
            log.append("closed")

    async def anumbers(n: int) -> AsyncIterator[int]:
        try:
            for i in range(n):
                log.append(i)
                yield i
        finally:
            log.append("closed")

    spec = spec_of(anumbers if is_async else numbers)
    assert spec.kind == ("async_generator" if is_async else "generator")
    stream = await call(spec, 1000)
    assert [await anext(stream), await anext(stream)] == [0, 1]
    await stream.aclose()
    assert log == [0, 1, "closed"]
    assert [spec.check_item(item) async for item in await call(spec, 3)] == [0, 1, 2]
    with pytest.raises(InvalidResult):
        spec.check_item("x")


async def test_a_failing_stream_fails_as_a_call_does() -> None:
    """What a generator raises is mapped like what a function raises."""

    def numbers() -> Iterator[int]:
        yield 1
        raise KeyError("gone")

    stream = await call(spec_of(numbers))
    assert await anext(stream) == 1
    with pytest.raises(ToolFailed, match="KeyError"):
        await anext(stream)


def test_functions_that_return_iterators_stream_too() -> None:
    """The annotation decides: an Iterator streams, an Iterable is a list."""

    def lazy() -> Iterator[int]:
        return iter([1])

    def eager() -> Iterable[int]:
        return (i for i in range(2))

    assert spec_of(lazy).kind == "generator"
    assert spec_of(eager).kind == "function"
    assert spec_of(eager).check_result(eager()) == [0, 1]


# ---- kinds of tools -------------------------------------------------------------------------------------------------


class Counter:
    """Counts."""

    def __init__(self) -> None:
        self.total = 0

    @tool
    def add(self, amount: int = 1) -> int:
        """Count on."""
        self.total += amount
        return self.total

    @tool(read_only=True)
    async def read(self) -> int:
        """Read the counter."""
        return self.total

    @staticmethod
    @tool
    def twice(x: int) -> int:
        """Twice as much."""
        return 2 * x

    def helper(self) -> None:
        """Not a tool."""


class Multiplier:
    """Multiply a number."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, x: int) -> int:
        return self.factor * x


async def test_classes_are_stateful_tools() -> None:
    """A registry makes one instance, whose decorated methods share their state; another registry has its own."""
    first, second = ToolRegistry([Counter]), ToolRegistry([Counter])
    assert [spec.signature() for spec in first.specs] == [
        "add(amount: int = 1) -> int", "read() -> int", "twice(x: int) -> int",
    ]  # fmt: skip
    await call(first.get("add"), 5)
    assert await call(first.get("read")) == 5
    assert await call(second.get("read")) == 0


async def test_methods_instances_partials_and_callables_are_tools() -> None:
    """Whatever can be called and has annotations is a tool."""
    counter = Counter()
    registry = ToolRegistry(
        [counter.add, functools.partial(every_kind, 1), Multiplier(3), tool(name="ten")(Multiplier(10))]
    )
    assert [spec.signature() for spec in registry.specs] == [
        "add(amount: int = 1) -> int",
        "every_kind(b: str, *rest: float, c: bool = True, **more: int) -> None",
        "Multiplier(x: int) -> int",
        "ten(x: int) -> int",
    ]
    await call(registry.get("add"), 2)
    assert counter.total == 2
    assert await call(registry.get("ten"), 4) == 40
    assert registry.get("ten").summary == "Multiply a number."


# ---- definition errors ----------------------------------------------------------------------------------------------


def no_annotation(x) -> None: ...  # type: ignore[no-untyped-def]
def no_return(x: int): ...  # type: ignore[no-untyped-def]
def takes_function(key: Callable[[int], int]) -> None: ...
def takes_stream(rows: Iterator[int]) -> None: ...
def inner_stream() -> list[Iterator[int]]:
    raise NotImplementedError


def wrong_constraint(x: Annotated[int, Field(pattern="a")]) -> None: ...


def wrong_docs(limit: int) -> None:
    """Do.

    Args:
        limits: At most this many.
    """


def twice_documented(limit: int) -> None:
    """Do.

    Args:
        limit: At most this many.
        limit: Again.
    """


def lists() -> list[int]:  # type: ignore[misc]
    yield 1


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (no_annotation, "no_annotation(): parameter 'x' has no annotation; write its type, e.g. 'x: str'."),
        (no_return, "no_return() has no return annotation; write what it returns, e.g. '-> None'."),
        (takes_function, "parameter 'key': the type 'Callable' is not supported"),
        (takes_stream, "parameter 'rows': an iterator cannot cross to the tool; write 'list' or 'Iterable'."),
        (inner_stream, "an iterator inside another type is not supported; write 'list'."),
        (wrong_constraint, "parameter 'x': the constraint 'pattern' does not apply to 'int'"),
        (wrong_docs, "describes a parameter 'limits' that it does not have; did you mean 'limit'?"),
        (twice_documented, "describes 'limit' twice"),
        (lists, "the return type of a generator must be 'Iterator[...]', not 'list[int]'"),
        (print, "print(): parameter 'args' has no annotation"),
    ],
)
def test_definition_errors_say_where_what_and_what_instead(function: Any, words: str) -> None:
    """The developer reads file and line, the function, the parameter, and what to write."""
    with pytest.raises(DefinitionError) as caught:
        ToolRegistry([function])
    assert words in str(caught.value)
    assert function is print or f"test_tools.py:{function.__code__.co_firstlineno}: " in str(caught.value)


def test_a_bound_method_cannot_carry_options() -> None:
    """The error says where the decorator belongs."""
    with pytest.raises(DefinitionError, match="decorate it in its class"):
        tool(name="x")(Counter().helper)


def test_classes_that_cannot_be_validated_are_found_at_registration() -> None:
    """What only pydantic can tell of a class is asked when the class is first met."""

    @dataclass
    class Odd:
        x: Annotated[list[int], Field(multiple_of=3), ct.Grade]

    def odd(x: Odd) -> None: ...

    with pytest.raises(DefinitionError):
        spec_of(odd)


class Chain(TypedDict):
    value: int
    rest: NotRequired[Chain]


@attrs.frozen
class Node:
    value: int
    nodes: list[Node] = attrs.field(factory=list)


def test_classes_inside_themselves_are_validated_all_the_way() -> None:
    """Recursive typed dictionaries and attrs classes are checked at every depth, with the path in the error."""
    assert made(Chain).bind([{"value": 1, "rest": {"value": "2"}}], {}).args[0]["rest"]["value"] == 2
    assert made(Node).bind([{"value": 1, "nodes": [{"value": "2"}]}], {}).args == (Node(1, [Node(2)]),)
    with pytest.raises(InvalidCall, match=r"'value.rest.rest.value' must be an int, got 'x'"):
        made(Chain).bind([{"value": 1, "rest": {"value": 2, "rest": {"value": "x"}}}], {})
    with pytest.raises(InvalidCall, match=r"'value.nodes\[0\].nodes\[0\].value' is missing"):
        made(Node).bind([{"value": 1, "nodes": [{"value": 1, "nodes": [{}]}]}], {})


def test_unknown_names_in_a_signature_name_the_parameter() -> None:
    """An annotation that cannot be resolved is found by its parameter."""

    def find(a: int, b: list[Missing]) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(DefinitionError, match=r"find\(\): the annotation of 'b' mentions 'Missing'"):
        spec_of(find)


def test_handles_pass_by_identity() -> None:
    """An opaque value is checked by its class and passed as itself."""
    connection = ct.Connection()
    spec = made(Opaque[ct.Connection])
    assert spec.bind([connection], {}).args[0] is connection
    with pytest.raises(InvalidCall, match="'value' must be a Connection, got 'x'"):
        spec.bind(["x"], {})


def test_local_types_are_found_though_annotations_are_strings() -> None:
    """A class of the enclosing function is resolved while that function runs."""

    @dataclass
    class Local:
        x: int

    @tool
    def use(value: Local) -> Local:
        return value

    assert spec_of(use).signature() == "use(value: Local) -> Local"
    assert spec_of(use).bind([{"x": "1"}], {}).args == (Local(1),)
