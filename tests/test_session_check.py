"""The check in a session: its modes, what it learns from the interpreter, and a type checker that breaks down."""

from __future__ import annotations

import asyncio
import stat
import threading
from pathlib import Path

import pytest

from codeact_tools import Session
from codeact_tools.errors import SandboxUnavailable
from codeact_tools.events import ActionChecked, Event, WarningRaised
from tests.checks_shop import make_registry
from tests.shop import SHOP, cancelled
from tests.test_checks import actions

WRONG = "cancel_order('A17')\nsearch_orders('ada')[0].totl"


def test_block_refuses_an_action_with_findings() -> None:
    """Nothing of it runs, and the model reads what to repair."""
    cancelled.clear()
    with Session(tools=SHOP, sandbox="local") as session:
        seen = session.run(WRONG)
    assert seen.error is not None
    assert (seen.error.kind, cancelled, [each.kind for each in seen.findings]) == ("check", [], ["attribute"])
    assert "Did you mean `.total`?" in seen.text


def test_warn_runs_it_and_adds_the_findings() -> None:
    """The action ran up to its error, and the findings stand beside what it did."""
    cancelled.clear()
    with Session(tools=SHOP, sandbox="local", check="warn") as session:
        seen = session.run(WRONG)
    assert seen.error is not None
    assert (seen.error.kind, cancelled, [each.kind for each in seen.findings]) == ("python", ["A17"], ["attribute"])
    assert "The check warns:" in seen.text


def test_off_leaves_the_validation_of_each_call() -> None:
    """There is no check, no event of one, and the host still refuses what is wrong."""
    cancelled.clear()
    events: list[Event] = []
    with Session(tools=SHOP, sandbox="local", check="off", on_event=events.append) as session:
        seen = session.run(WRONG)
        refused = session.run("search_orders('ada', limit=500)")
    assert seen.error is not None
    assert refused.error is not None
    assert (seen.error.kind, cancelled, seen.findings) == ("python", ["A17"], ())
    assert (refused.error.kind, refused.error.name) == ("tool", "InvalidCall")
    assert not any(isinstance(event, ActionChecked) for event in events)


def test_the_interpreter_tells_the_types_of_its_variables() -> None:
    """What inference cannot know, the next action is checked against all the same."""
    with Session(tools=SHOP, sandbox="local", allow_imports=["json"]) as session:
        session.run("import json\ndata = json.loads('{\"a\": 1}')\nexec('hidden = search_orders(\"ada\")')")
        seen = session.run("data.a")
        assert [(each.kind, each.message) for each in seen.findings] == [
            ("attribute", "`dict[Any, Any]` has no attribute 'a'.")
        ]
        assert session.run("data['a'], len(hidden)").result == "(1, 2)"
        seen = session.run("hidden[0].totl")
        assert [each.message for each in seen.findings] == ["`Order` has no attribute 'totl'."]


def test_a_failed_action_is_known_up_to_its_failing_line() -> None:
    """What stands before the line is bound, what stands after it is not, and the next action is told so."""
    with Session(tools=SHOP, sandbox="local") as session:
        seen = session.run("a = 1\ndef fail():\n    return 1 / 0\nb = 'text'\nfail()\nc = 3")
        assert seen.error is not None
        assert session.run("a + 1, b.upper()").result == "(2, 'TEXT')"
        assert [each.message for each in session.run("a.upper()").findings] == ["`int` has no attribute 'upper'."]
        assert [each.message for each in session.run("c").findings] == ["'c' is not defined."]


def test_a_branch_that_did_not_run_bound_nothing() -> None:
    """The check knows which variables exist."""
    with Session(tools=SHOP, sandbox="local") as session:
        session.run("if len('') > 3:\n    y = 1")
        assert [each.message for each in session.run("y").findings] == ["'y' is not defined."]


def test_variables_of_an_interrupted_action_are_no_mistake() -> None:
    """After a time limit the variables are still there, and the check lets them be used."""
    with Session(tools=SHOP, sandbox="local", limits={"seconds": 3, "grace_seconds": 30}) as session:
        seen = session.run("kept = 5\nwhile True:\n    pass")
        assert seen.error is not None
        assert (seen.error.kind, seen.error.state_lost) == ("limit", False)
        assert session.run("kept + 1").result == "6"


async def test_variables_of_a_cancelled_action_are_no_mistake() -> None:
    """Neither are those of an action whose caller gave up."""
    go = asyncio.Event()

    def listen(event: Event) -> None:
        if event.type == "output_received":
            go.set()

    limits = {"grace_seconds": 30}
    async with Session(tools=SHOP, sandbox="local", on_event=listen, limits=limits) as session:
        running = asyncio.create_task(session.arun("kept = 5\nprint('go', flush=True)\nwhile True:\n    pass"))
        await asyncio.wait_for(go.wait(), 60)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (await session.arun("kept + 1")).result == "6"


@pytest.mark.parametrize(("name", "imports"), [("valid", []), ("session", []), ("libraries", ["*"])])
def test_valid_actions_of_one_session_have_no_findings(name: str, imports: list[str]) -> None:
    """With the types of the variables that all actions before have left in the interpreter, nothing is found either."""
    ran = 0
    with Session(tools=make_registry(), sandbox="local", check="warn", allow_imports=imports) as session:
        for code in actions(name):
            seen = session.run(code)
            if seen.error is None:
                ran += 1
                assert seen.findings == (), f"{code}\n{seen.text}"
    assert ran >= 0.8 * len(actions(name))


# ---- the type checker breaks down ------------------------------------------------------------------------------------


def replace_ty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str | None) -> None:
    """Put a script in the place of ``ty``; None where there is to be none."""
    path = tmp_path / "ty"
    if body is not None:
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("codeact_tools.checks.server.find_ty", lambda: None if body is None else str(path))


@pytest.mark.parametrize(
    ("body", "reason"),
    [(None, "not installed"), ("exit 1", "failed"), ("echo nonsense", "failed"), ("exec /bin/sleep 60", "longer than")],
    ids=["is missing", "crashes", "babbles", "exceeds its budget"],
)
def test_without_the_type_checker_actions_run_with_host_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str | None, reason: str
) -> None:
    """One warning tells so; actions run, what the host knows is still found before they do, and calls are validated."""
    replace_ty(monkeypatch, tmp_path, body)
    events: list[Event] = []
    session = Session(tools=SHOP, sandbox="local", on_event=events.append)
    assert session._history.checker is not None
    session._history.checker.budget_seconds = 0.3 if reason == "longer than" else 60.0
    with session:
        assert session.run("orders = search_orders('ada')\nlen(orders)").result == "2"
        unseen = session.run("orders[0].totl")
        refused = session.run("search_orders('ada', limit=500)")
        late = session.run("search_orders('ada', limit=int('500'))")
        assert session.run("len(orders)").result == "2"
    kinds = [each.error.kind for each in (unseen, refused, late) if each.error is not None]
    assert kinds == ["python", "check", "tool"]
    warnings = [event.message for event in events if isinstance(event, WarningRaised)]
    assert len(warnings) == 1
    assert reason in warnings[0]


def test_a_type_checker_that_keeps_failing_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After three failures in a row no action waits for it any more."""
    started = tmp_path / "started"
    replace_ty(monkeypatch, tmp_path, f"echo x >> {started}\nexit 1")
    with Session(tools=SHOP, sandbox="local") as session:
        for _ in range(6):
            assert session.run("1 + 1").result == "2"
    assert started.read_text().count("x") == 3


# ---- opening and closing ---------------------------------------------------------------------------------------------


async def test_the_check_is_prepared_while_the_session_opens() -> None:
    """The type checker starts before the first action asks for it."""
    async with Session(tools=SHOP, sandbox="local") as session:
        assert session._history.checker is not None
        assert session._history.preparing is not None
        await session._history.preparing
        assert session._history.checker._server._process is not None


async def test_a_session_that_is_closed_at_once_leaves_nothing_behind() -> None:
    """Neither a task nor a process, whether the type checker had started or not."""
    before = asyncio.all_tasks()
    sessions = [Session(tools=SHOP, sandbox="local") for _ in range(3)]
    for number, session in enumerate(sessions):
        async with session:
            await asyncio.sleep(0.02 * number)
    assert asyncio.all_tasks() == before
    for session in sessions:
        assert session._history.checker is not None
        assert session._history.checker._server._process is None
        assert session._history.checker._server._folder is None


async def test_closing_ends_a_type_checker_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for its budget."""
    replace_ty(monkeypatch, tmp_path, "exec /bin/sleep 600")
    async with asyncio.timeout(30):
        async with Session(tools=SHOP, sandbox="local"):
            await asyncio.sleep(0.2)


async def test_a_close_that_is_cancelled_still_ends_the_type_checker() -> None:
    """The process and its files are gone."""
    session = Session(tools=SHOP, sandbox="local")
    await session.aopen()
    await session.arun("1")
    closing = asyncio.create_task(session._history.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert session._history.checker is not None
    assert session._history.checker._server._process is None
    assert session._history.checker._server._folder is None
    await session.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_session_that_cannot_open_leaves_no_type_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was started beside the sandbox ends with it."""
    session = Session(tools=SHOP, sandbox="local")

    async def refuse(*_: object) -> None:
        raise SandboxUnavailable("not today")

    monkeypatch.setattr(session._interpreter.sandbox, "open", refuse)
    with pytest.raises(SandboxUnavailable):
        async with session:
            pass
    assert session._history.checker is not None
    assert session._history.checker._server._process is None
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_sessions_may_be_opened_on_several_threads() -> None:
    """Each has a type checker of its own."""
    found: list[str] = []

    def work() -> None:
        with Session(tools=SHOP, sandbox="local") as session:
            found.extend(each.message for each in session.run("search_orders('a')[0].totl").findings)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["`Order` has no attribute 'totl'."] * 2
