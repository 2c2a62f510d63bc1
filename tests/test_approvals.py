"""Who decides about calls: policies, a person, or somebody days later in another process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from codeact_tools import CallRecord, CodeActAgent, Session, tool
from codeact_tools.approvals import Allow, Ask, CallRequest, Decision, Deny, Done, Policy
from codeact_tools.errors import ConfigurationError, RunPaused
from codeact_tools.events import ApprovalDecided, ApprovalRequested
from codeact_tools.journal import Journal
from codeact_tools.testing import ScriptedModel

EFFECTS: list[str] = []

NOBODY = "and nobody is there to give it. (To the developer: approve=... says who decides.)"
"""For the model, which cannot change it, and for whoever can."""


@pytest.fixture(autouse=True)
def no_effects() -> None:
    """Nothing has happened yet."""
    EFFECTS.clear()


@tool(approval=True)
def pay(order: str, euros: int) -> str:
    """Pay.

    Args:
        order: For what.
        euros: How much.
    """
    EFFECTS.append(f"pay {order} {euros}")
    return f"{euros} paid"


@tool(destructive=True)
def wipe(order: str) -> None:
    """Delete an order.

    Args:
        order: Which.
    """
    EFFECTS.append(f"wipe {order}")


@tool
def note(text: str) -> int:
    """Write something down.

    Args:
        text: What.
    """
    EFFECTS.append(f"note {text}")
    return len(EFFECTS)


def run(code: str, **options: Any) -> Any:
    """Run one action of an agent; return its observation."""
    script = [f"<execute>\n{code}\n</execute>", "Done."]
    agent = CodeActAgent([pay, wipe, note], model=ScriptedModel(script), sandbox="local", **options)
    return next(event.observation for event in agent.run("Do it.").events if event.type == "action_finished")


def test_nobody_there_means_no() -> None:
    """Tools that ask for approval and destructive ones are denied; the others run."""
    code = (
        "note('a')\nfor call in (lambda: pay('x', 1), lambda: wipe('x')):\n"
        "    try: call()\n    except ToolDenied as e: print(e)"
    )
    assert run(code).stdout.splitlines() == [
        f"pay needs approval (the tool asks for approval), {NOBODY}",
        f"wipe needs approval (the tool may delete or overwrite), {NOBODY}",
    ]
    assert EFFECTS == ["note a"]


@pytest.mark.parametrize("answer", [True, Allow()])
def test_a_yes_lets_the_call_run(answer: Any) -> None:
    """True and `Allow` say yes; who asks sees tool, arguments, effects, turn and reason."""
    asked: list[CallRequest] = []

    def approve(call: CallRequest) -> Any:
        asked.append(call)
        return answer

    assert run("print(pay('x', 1))\nwipe('x')", approve=approve).stdout == "1 paid\n"
    assert EFFECTS == ["pay x 1", "wipe x"]
    assert [(call.tool, call.arguments, call.destructive, call.turn, call.reason) for call in asked] == [
        ("pay", {"order": "x", "euros": 1}, False, 1, "the tool asks for approval"),
        ("wipe", {"order": "x"}, True, 1, "the tool may delete or overwrite"),
    ]


def test_a_no_reaches_the_action_with_its_reason() -> None:
    """A denied call is a typed exception that the action can catch, with the reason in its message."""
    seen = run("try:\n    pay('x', 1)\nexcept ToolDenied as e:\n    print(e)", approve=lambda _: Deny("too expensive"))
    assert seen.stdout == "The call of pay was not approved: too expensive.\n"
    assert EFFECTS == []


def test_arguments_can_be_edited() -> None:
    """The call runs with what whoever was asked wrote instead; it is validated like the action's own arguments."""
    assert run("print(pay('x', 100))", approve=lambda _: Allow({"order": "x", "euros": "5"})).stdout == "5 paid\n"
    seen = run("pay('x', 100)", approve=lambda _: Allow({"order": "x", "euros": "many"}))
    assert "euros" in seen.error.message
    assert EFFECTS == ["pay x 5"]


async def test_asking_may_take_its_time() -> None:
    """An async `approve` is awaited, beside others, and its time does not count towards the action's limit."""
    waiting = asyncio.Event()

    async def approve(call: CallRecord) -> bool:
        if call.arguments["euros"] == 1:
            await asyncio.wait_for(waiting.wait(), 60)
        else:
            await asyncio.sleep(3.5)
            waiting.set()
        return True

    code = "import asyncio\nprint(await asyncio.gather(*(asyncio.to_thread(pay, 'x', n) for n in (1, 2))))"
    async with Session([pay], sandbox="local", approve=approve, limits={"seconds": 3}) as session:
        seen = await session.arun(code)
    assert seen.stdout == "['1 paid', '2 paid']\n"


def test_policies_are_heard_in_order() -> None:
    """The first that has an opinion decides; plain functions and async ones; None leaves it to the next."""

    def cheap(call: CallRequest) -> Decision | None:
        return Allow() if call.tool == "pay" and call.arguments["euros"] <= 10 else None

    async def never_wipe(call: CallRequest) -> Decision | None:
        return Deny("nothing is deleted here") if call.destructive else None

    def ask_for_notes(call: CallRequest) -> Decision | None:
        return Ask("notes are read by the boss") if call.tool == "note" else None

    code = (
        "print(pay('x', 10))\n"
        "for call in (lambda: pay('x', 11), lambda: wipe('x'), lambda: note('n')):\n"
        "    try: call()\n"
        "    except ToolDenied as e: print(e)"
    )
    assert run(code, policies=[cheap, never_wipe, ask_for_notes]).stdout.splitlines() == [
        "10 paid",
        f"pay needs approval (the tool asks for approval), {NOBODY}",
        "The call of wipe was not approved: nothing is deleted here.",
        f"note needs approval (notes are read by the boss), {NOBODY}",
    ]


def test_a_policy_may_allow_everything() -> None:
    """An opinion comes before the default, so that an application can take the responsibility."""
    run("pay('x', 1)\nwipe('x')", policies=[lambda _: Allow()])
    assert EFFECTS == ["pay x 1", "wipe x"]


def test_a_policy_that_returns_nonsense_is_named() -> None:
    """An error of the application stops the run; the call does not happen."""

    def broken(call: CallRequest) -> Any:
        return "yes"

    with pytest.raises(ConfigurationError, match=r"'.*broken' returned 'yes' for note"):
        run("note('a')", policies=[broken])
    assert EFFECTS == []


def test_a_policy_that_fails_lets_nothing_through() -> None:
    """An exception of a policy is no yes."""

    def broken(call: CallRequest) -> Decision | None:
        raise KeyError(call.tool)

    with pytest.raises(ConfigurationError, match="raised KeyError for note"):
        run("note('a')", policies=[broken])
    assert EFFECTS == []


def test_a_session_asks_only_where_tools_or_policies_do() -> None:
    """Without an agent it is the program's own code that acts: destructive tools run, unless it says otherwise."""
    with Session([wipe, pay], sandbox="local") as session:
        assert session.run("wipe('x')").ok
        assert session.run("pay('x', 1)").error is not None
    with Session([wipe], sandbox="local", confirm_destructive=True) as session:
        assert session.run("wipe('x')").error is not None


def test_decisions_are_on_record() -> None:
    """What was asked, what was decided and by whom are events."""
    script = ["<execute>\npay('x', 100)\n</execute>", "Done."]
    agent = CodeActAgent(
        [pay], model=ScriptedModel(script), sandbox="local", approve=lambda _: Allow({"order": "y", "euros": 1})
    )
    done = agent.run("Pay.")
    recorded = [event for _, event in Journal(agent.open_journal()[0].store).read(done.run_id)]  # type: ignore[union-attr]
    for events in (done.events, recorded):
        (asked,) = [event for event in events if isinstance(event, ApprovalRequested)]
        (decided,) = [event for event in events if isinstance(event, ApprovalDecided)]
        assert asked.call.arguments == {"order": "x", "euros": 100}
        assert (decided.verdict, decided.arguments, decided.by) == ("allow", {"order": "y", "euros": 1}, "callback")


# ---- leaving, and coming back ----------------------------------------------------------------------------------------


def process(*arguments: str) -> dict[str, Any]:
    """Run a step in a process of its own."""
    command = [sys.executable, "-m", "tests.approval_runs", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_three_processes(tmp_path: Path) -> None:
    """One asks and ends, one decides, one goes on: of four calls at once, two wait, and the other two happen once."""
    journal, ledger = str(tmp_path / "runs.sqlite3"), tmp_path / "ledger.txt"
    paused = process(journal, str(ledger), "start")
    assert paused["waiting"] == ["b", "d"]
    assert sorted(ledger.read_text().splitlines()) == ["send a", "send c"]
    again = process(journal, str(ledger), "resume", paused["paused"])
    assert again["waiting"] == ["b", "d"]
    assert process(journal, str(ledger), "decide", paused["paused"]) == {"decided": ["b", "d"]}
    done = process(journal, str(ledger), "resume", paused["paused"])
    assert done["answer"] == "Done."
    denied = "The call of delete was not approved: it is still needed."
    assert done["seen"] == [f"{['send a', 'delete b', 'send c', denied]}\n"]
    assert sorted(ledger.read_text().splitlines()) == ["delete b", "send a", "send c"]


def test_a_paused_run_frees_everything(tmp_path: Path) -> None:
    """After `RunPaused` no thread and no task of the run is left, and the run is not held."""
    before = threading.active_count()
    journal = Journal(tmp_path / "runs.sqlite3")
    with pytest.raises(RunPaused) as paused:
        run("note('a')\npay('x', 1)", approve="pause", journal=journal)
    assert not journal.store.is_held(paused.value.run_id)
    deadline = time.monotonic() + 60
    while threading.active_count() > before + 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before + 4  # worker threads are kept for the next call
    assert EFFECTS == ["note a"]


def test_only_what_is_asked_can_be_decided(tmp_path: Path) -> None:
    """A call that nobody asks about, or a second decision, is refused and named."""
    journal = Journal(tmp_path / "runs.sqlite3")
    with pytest.raises(RunPaused) as paused:
        run("note('a')\npay('x', 1)", approve="pause", journal=journal)
    run_id = paused.value.run_id
    with pytest.raises(ConfigurationError, match=r"no decision about call 1; it waits for 2 \(pay\)"):
        journal.decide(run_id, 1, True)
    journal.decide(run_id, 2, True)
    with pytest.raises(ConfigurationError, match="waits for none"):
        journal.decide(run_id, 2, False)


def test_pausing_needs_a_journal() -> None:
    """Without one nobody could come back, so the call is denied."""
    assert run("pay('x', 1)", approve="pause", journal=False).error is not None
    assert EFFECTS == []


def test_a_call_that_was_allowed_and_cut_off_is_asked_about_again(tmp_path: Path) -> None:
    """A yes is good for one attempt: whether the call took effect is a new question."""
    journal = Journal(tmp_path / "runs.sqlite3")
    with pytest.raises(RunPaused) as paused:
        run("pay('x', 1)", approve="pause", journal=journal)
    run_id = paused.value.run_id
    journal.decide(run_id, 1, True)
    agent = CodeActAgent([pay, wipe, note], model=ScriptedModel(["Done."]), sandbox="local", journal=journal)
    agent.resume(run_id)
    records = journal.store.read(run_id)
    last = max(record.seq for record in records if record.kind == "tool_called")
    journal.delete(run_id)
    for record in records[:last]:
        journal.store.append(run_id, record, durable=False)
    with pytest.raises(RunPaused, match="not known"):
        agent.resume(run_id)
    assert EFFECTS == ["pay x 1"]


@pytest.mark.parametrize("answer", ["no", Ask("whom?"), None, 1])
def test_only_a_clear_yes_is_one(answer: Any) -> None:
    """What is neither True nor False nor a verdict ends the run with an error that names the function."""

    def unsure(call: CallRequest) -> Any:
        return answer

    with pytest.raises(ConfigurationError, match=r"'.*unsure'.* returned"):
        run("pay('x', 1)", approve=unsure)
    assert EFFECTS == []


def test_a_question_that_is_cancelled_is_no_yes() -> None:
    """An `approve` whose own waiting was cancelled does not leave the action hanging."""

    async def cancelled(call: CallRequest) -> bool:
        raise asyncio.CancelledError

    with pytest.raises(ConfigurationError, match="raised CancelledError for pay"):
        run("pay('x', 1)", approve=cancelled)


@tool(approval=True)
def pay_in_parts(most: int) -> Iterator[int]:
    """Pay in parts.

    Args:
        most: How many.
    """
    EFFECTS.append("parts")
    yield from range(most)


@dataclass
class Bill:
    """What was paid."""

    day: date
    total: float


@tool(approval=True, secrets=["pin"])
def settle(pin: str, /, *bills: int, note: str = "") -> Bill:
    """Settle bills.

    Args:
        pin: Of the account.
        bills: Their numbers.
        note: To be written on them.
    """
    EFFECTS.append(f"settle {pin} {bills} {note}")
    return Bill(date(2026, 1, 2), 1.5)


def left(journal: Journal, code: str) -> str:
    """A run that waits for a decision about its first call; return its name."""
    agent = CodeActAgent(
        [pay, pay_in_parts, settle, look],
        model=ScriptedModel([f"<execute>\n{code}\n</execute>"]),
        sandbox="local",
        approve="pause",
        journal=journal,
    )
    with pytest.raises(RunPaused) as paused:
        agent.run("Pay.")
    assert "123456" not in str(paused.value.waiting)
    return paused.value.run_id


def back(journal: Journal, run_id: str) -> Any:
    """Go on; return the last observation."""
    agent = CodeActAgent(
        [pay, pay_in_parts, settle, look], model=ScriptedModel(["Done."]), sandbox="local", journal=journal
    )
    events = agent.resume(run_id).events
    return [event.observation for event in events if event.type == "action_finished"][-1]


@tool(read_only=True)
def look(most: int) -> Iterator[int]:
    """Count.

    Args:
        most: How far.
    """
    yield from range(most)


@pytest.mark.parametrize(
    ("code", "result", "shown"),
    [
        ("print([*pay_in_parts(3)])", [7, 8], "[7, 8]\n"),
        ("b = settle('123456', 1)\nprint(b.day.year, b.total)", {"day": "2020-05-06", "total": 2}, "2020 2.0\n"),
    ],
)
def test_what_has_happened_already_has_its_type(tmp_path: Path, code: str, result: Any, shown: str) -> None:
    """The JSON that somebody gives as the result, or as the items, comes to the action as what the tool promises."""
    journal = Journal(tmp_path / "runs.sqlite3")
    run_id = left(journal, code)
    journal.decide(run_id, 1, Done(result))
    assert back(journal, run_id).stdout == shown
    assert EFFECTS == []


def test_a_wrong_result_of_what_has_happened_is_refused(tmp_path: Path) -> None:
    """It is validated like any result; the call is not made."""
    journal = Journal(tmp_path / "runs.sqlite3")
    run_id = left(journal, "settle('123456', 1)")
    journal.decide(run_id, 1, Done("paid"))
    assert "does not fit its signature" in back(journal, run_id).text
    assert EFFECTS == []


def test_edited_arguments_leave_secrets_to_the_action(tmp_path: Path) -> None:
    """Arguments of any kind can be edited later; a secret is the action's own, and cannot be written down."""
    journal = Journal(tmp_path / "runs.sqlite3")
    run_id = left(journal, "settle('123' + '456', 1, 2)")
    with pytest.raises(ConfigurationError, match="declares 'pin' a secret"):
        journal.decide(run_id, 1, Allow({"pin": "654321", "bills": [3]}))
    with pytest.raises(ConfigurationError, match="are JSON here"):
        journal.decide(run_id, 1, Allow({"bills": {3}}))
    with pytest.raises(ConfigurationError, match="holds a secret"):
        journal.decide(run_id, 1, Allow({"note": "sk-" + "abcdefgh" * 3}))
    journal.decide(run_id, 1, Allow({"bills": [3, 4], "note": "late"}))
    back(journal, run_id)
    assert EFFECTS == ["settle 123456 (3, 4) late"]
    for file in tmp_path.iterdir():
        assert b"123456" not in file.read_bytes()


def test_a_stream_that_waits_does_not_keep_a_run_from_pausing(tmp_path: Path) -> None:
    """A call inside a loop over a stream stops the run, too, as often as it takes; each call is made once."""
    journal = Journal(tmp_path / "runs.sqlite3")
    run_id = left(journal, "for n in look(2):\n    print(pay(str(n), n))")
    for _ in range(2):
        (call,) = journal.past(run_id).waiting
        journal.decide(run_id, call.key, True)
        agent = CodeActAgent(
            [pay, look], model=ScriptedModel(["Done."]), sandbox="local", approve="pause", journal=journal
        )
        with suppress(RunPaused):
            agent.resume(run_id)
    assert journal.past(run_id).status == "finished"
    assert EFFECTS == ["pay 0 0", "pay 1 1"]


def test_what_somebody_decided_stands_against_todays_policy(tmp_path: Path) -> None:
    """A call that has happened already is not made because a policy now allows it; a policy's no still counts."""
    journal = Journal(tmp_path / "runs.sqlite3")

    def allow(call: CallRequest) -> Decision:
        return Allow()

    def deny(call: CallRequest) -> Decision:
        return Deny("not today")

    verdicts: list[tuple[bool | Done, Policy]] = [(Done("1 paid"), allow), (True, deny)]
    for verdict, policy in verdicts:
        run_id = left(journal, "print(pay('x', 1))")
        journal.decide(run_id, 1, verdict)
        agent = CodeActAgent(
            [pay],
            model=ScriptedModel(["Done."]),
            sandbox="local",
            journal=journal,
            policies=[policy],
        )
        agent.resume(run_id)
        assert EFFECTS == []
