"""A session without a model: actions in the real sandbox over typed tools."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeact_tools import Session, ToolContext
from codeact_tools.errors import ConfigurationError, SandboxUnavailable
from codeact_tools.events import (
    ActionChecked,
    ActionFinished,
    ActionStarted,
    Event,
    OutputReceived,
    ToolCalled,
    ToolReported,
    ToolReturned,
)
from tests.shop import SHOP, cancelled


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """One session for the tests that do not break it."""
    with Session(tools=SHOP, sandbox="local", allow_imports=["math"]) as session:
        yield session


def test_readme_contract(session: Session) -> None:
    """The last expression comes back as its repr, and each call is on record with its arguments."""
    seen = session.run("orders = search_orders('ada')\nlen(orders)")
    assert (seen.result, seen.error, seen.findings) == ("2", None, ())
    [call] = seen.calls
    assert (call.tool, call.arguments, call.error) == ("search_orders", {"query": "ada", "limit": 20}, None)
    assert "2" in seen.text


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("orders[0].total + 1", "Decimal('79.25')"),
        ("type(orders[0].placed).__name__", "'date'"),
        ("orders[1].status is Status.SHIPPED", "True"),
        ("(await exchange_rate('USD')).per_euro * 2", "Decimal('2.20')"),
        ("[o.id for o in walk_orders()]", "['A17', 'B02', 'C33']"),
        ("import math\nmath.floor(2.7)", "2"),
        ("from tools import search_orders as find\nlen(find('bob'))", "1"),
        ("import tools\ntools.search_orders('bob')[0].customer", "'Bob'"),
    ],
)
def test_values_keep_their_types(session: Session, code: str, result: str) -> None:
    """What a signature promises is what the action gets, and names persist between actions."""
    session.run("orders = search_orders('ada')")
    seen = session.run(code)
    assert seen.error is None, seen.text
    assert seen.result == result


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("search_orders(limit=500)", "check", ["limit", "100"]),
        ("search_orders(qeury='x')", "check", ["query"]),
        ("serch_orders('x')", "check", ["search_orders"]),
        ("import requests", "check", ["requests", "tools"]),
        ("search_orders(limit=int('5' * 3))", "tool", ["limit", "100", "search_orders("]),
        ("broken_total('A17')", "tool", ["broken_total", "misbehaved"]),
        ("crash()", "tool", ["RuntimeError", "ledger"]),
        ("1 / 0", "python", ["ZeroDivisionError"]),
        ("cancel_order('closed')", "tool", ["ShopClosed", "back at noon"]),
    ],
)
def test_errors_repair(session: Session, code: str, kind: str, words: list[str]) -> None:
    """Each error says of which kind it is, and names what the model needs in order to repair its action."""
    seen = session.run(code)
    assert seen.error is not None
    assert seen.error.kind == kind
    for word in words:
        assert word in seen.text
    assert str(Path(__file__).parent) not in seen.text


def test_a_refused_action_has_no_effect(session: Session) -> None:
    """Where the check finds an error in the last line, the tool of the first line has not run."""
    cancelled.clear()
    seen = session.run("cancel_order('A17')\nsearch_orders(limit='many')")
    assert seen.error is not None
    assert seen.error.kind == "check"
    assert (cancelled, seen.calls) == ([], ())


def test_declared_exceptions_are_caught_in_the_action(session: Session) -> None:
    """An exception that a tool declares is a class that the action can catch."""
    seen = session.run("try:\n    cancel_order('closed')\nexcept ShopClosed as error:\n    print('closed:', error)")
    assert seen.error is None, seen.text
    assert seen.stdout == "closed: back at noon\n"


def test_a_wrong_result_names_the_field_for_the_developer(session: Session) -> None:
    """The call record says what the tool returned; the model reads only that the tool misbehaved."""
    seen = session.run("broken_total('A17')")
    assert seen.calls[0].error is not None
    assert "not a number" in seen.calls[0].error
    assert "not a number" not in seen.text


def test_time_limit_keeps_the_state() -> None:
    """An action past its time is interrupted, and the variables are still there."""
    with Session(sandbox="local", limits={"seconds": 2, "grace_seconds": 30}, check="off") as session:
        session.run("kept = 41")
        seen = session.run("while True: pass")
        assert seen.error is not None
        assert (seen.error.kind, seen.error.state_lost) == ("limit", False)
        assert session.run("kept + 1").result == "42"


def test_a_killed_guest_is_replaced_and_says_so() -> None:
    """After a guest that died, the next action runs in a fresh one, and the model is told that variables are gone."""
    with Session(sandbox="local", check="off", allow_imports=["os"]) as session:
        session.run("kept = 41")
        died = session.run("import os\nos._exit(3)")
        assert died.error is not None
        assert (died.error.kind, died.error.state_lost) == ("sandbox", True)
        after = session.run("'kept' in globals()")
        assert after.result == "False"
        assert "restarted" in after.text


def test_files_go_in_and_come_out() -> None:
    """An uploaded file is in the working folder, and what an action writes there is an artifact."""
    with Session(sandbox="local") as session:
        session.upload("in.txt", b"hello")
        seen = session.run(
            "text = open('in.txt').read()\nwith open('out.txt', 'w') as f:\n    _ = f.write(text.upper())"
        )
        assert [(item.name, item.media_type, item.data) for item in seen.artifacts] == [
            ("out.txt", "text/plain", b"HELLO")
        ]
        assert session.download("out.txt") == b"HELLO"


def test_events_tell_the_story_in_order() -> None:
    """An action starts, is checked, prints, calls and finishes, in that order."""
    events: list[Event] = []
    with Session(tools=SHOP, sandbox="local", on_event=events.append) as session:
        session.run("print(len(search_orders('ada')))")
    kinds = [type(event) for event in events if isinstance(event, ActionStarted | ActionChecked | ToolReturned)]
    assert kinds == [ActionStarted, ActionChecked, ToolReturned]
    assert "".join(event.text for event in events if isinstance(event, OutputReceived)) == "2\n"
    assert isinstance(events[-1], ActionFinished)


@pytest.mark.parametrize(
    ("code", "result", "text"),
    [
        ("x = 6 * 7", None, "x = 42"),
        ("x + 1", "43", "43"),
        ("print('said')\nx = 1", None, "said"),
        ("x: list[int] = []", None, "x = []"),
    ],
)
def test_the_last_value_is_read_even_where_print_was_forgotten(
    session: Session, code: str, result: str | None, text: str
) -> None:
    """``result`` is the last expression's alone; the model also reads what a silent last assignment bound."""
    session.run("x = 42")
    seen = session.run(code)
    assert (seen.result, seen.text) == (result, text)


def test_too_much_memory_or_too_large_a_file_is_a_limit() -> None:
    """The kernel's refusal is told as the limit that it is, with the option's name, and the variables are kept."""
    with Session(sandbox="local", limits={"memory_mb": 256, "files_mb": 1}) as session:
        session.run("kept = 1")
        memory = session.run("hoard = bytearray(10**10)")
        file = session.run("with open('big', 'wb') as file:\n    _ = file.write(bytes(2 << 20))")
        assert session.run("kept").result == "1"
    for seen, limit in ((memory, "memory_mb"), (file, "files_mb")):
        assert seen.error is not None, seen.text
        assert (seen.error.kind, seen.error.state_lost) == ("limit", False)
        assert f"limits.{limit}" in seen.text


async def test_a_tool_reports_its_progress_in_order() -> None:
    """What a tool reports, from its thread or from the loop, is an event between its call and its return."""

    def slow(steps: int, context: ToolContext) -> int:
        """Take some steps."""
        for step in range(steps):
            context.report(f"step {step}")
        return steps

    async def quick(context: ToolContext) -> None:
        """Take one step."""
        context.report("on the loop")

    events: list[Event] = []
    async with Session(tools=[slow, quick], sandbox="local", on_event=events.append) as session:
        seen = await session.arun("slow(2)\nawait quick()")
    assert seen.error is None, seen.text
    story = [
        event.message if isinstance(event, ToolReported) else f"{type(event).__name__} {event.call.tool}"
        for event in events
        if isinstance(event, ToolCalled | ToolReported | ToolReturned)
    ]
    assert story == [
        *("ToolCalled slow", "step 0", "step 1", "ToolReturned slow"),
        *("ToolCalled quick", "on the loop", "ToolReturned quick"),
    ]


async def test_the_asynchronous_face_does_the_same() -> None:
    """``async with`` and ``arun`` work on the caller's own loop, also side by side."""
    async with Session(tools=SHOP, sandbox="local") as one, Session(tools=SHOP, sandbox="local") as two:
        first, second = await asyncio.gather(one.arun("x = 1\nx"), two.arun("x = 2\nx"))
        assert (first.result, second.result) == ("1", "2")


def test_approval_is_asked_for_or_denied() -> None:
    """A tool that needs approval is denied where nobody answers, and runs where the answer is yes."""
    from codeact_tools import tool

    @tool(approval=True)
    def launch(code: int) -> str:
        """Launch it."""
        return f"launched {code}"

    with Session(tools=[launch], sandbox="local") as session:
        denied = session.run("launch(1)")
        assert denied.error is not None
        assert denied.error.name == "ToolDenied"
    with Session(tools=[launch], sandbox="local", approve=lambda call: call.arguments["code"] == 2) as session:
        assert session.run("launch(2)").result == "'launched 2'"
        assert session.run("launch(3)").error is not None


def test_output_is_capped_in_the_middle() -> None:
    """Much output keeps its beginning and its end, and says how much is missing."""
    with Session(sandbox="local", observation_chars=500) as session:
        text = session.run("for i in range(1000): print(i)").text
    assert len(text) <= 500
    assert text.startswith("0\n1\n")
    assert text.rstrip().endswith("999")
    assert "characters left out" in text


@pytest.mark.parametrize(
    "options",
    [{"check": "maybe"}, {"allow_imports": "math"}, {"limits": {"second": 3}}, {"limits": {"seconds": -1}}],
)
def test_wrong_options_are_named(options: dict[str, object]) -> None:
    """A wrong option is refused at once, with what is allowed."""
    with pytest.raises(ConfigurationError):
        Session(**options)  # type: ignore[arg-type]


def test_an_unknown_sandbox_is_refused() -> None:
    """A back end that does not exist is a clear error, never an unconfined run."""
    with pytest.raises((ConfigurationError, SandboxUnavailable), match="local"):
        Session(sandbox="nowhere")
