"""The thread that answers calls reads on, and gives the reading back: nobody notices but the clock."""

from __future__ import annotations

import contextvars
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from codeact_tools import Session
from codeact_tools.events import ActionFinished, Event, OutputReceived, ToolCalled, ToolReturned
from codeact_tools.testing import UnconfinedSandbox

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the guest for tests needs a Unix socket")
CALLER: contextvars.ContextVar[str] = contextvars.ContextVar("CALLER", default="nobody")


class Desk:
    """Tools that tell where they run and wait for each other."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.begun = threading.Event()
        self.visits: list[int] = []

    @property
    def ran(self) -> int:
        """How often `where` was called."""
        return len(self.visits)

    def where(self) -> int:
        """The thread."""
        self.visits.append(threading.get_ident())  # several threads at once may do so, and none is lost
        return threading.get_ident()

    def caller(self) -> str:
        """Whose context it is."""
        return CALLER.get()

    def wait(self) -> bool:
        """Block until somebody calls `release`."""
        self.begun.set()
        return self.free.wait(20)

    def release(self) -> None:
        """End the waiting."""
        self.begun.wait(20)
        self.free.set()

    def nap(self, seconds: float) -> None:
        """Block."""
        time.sleep(seconds)

    async def twice(self, n: int) -> int:
        """On the event loop."""
        return 2 * n

    def refuse(self) -> None:
        """Fail."""
        raise RuntimeError("no")

    @property
    def tools(self) -> list[Any]:
        """All of them."""
        return [self.where, self.caller, self.wait, self.release, self.nap, self.twice, self.refuse]


@pytest.fixture
def desk() -> Desk:
    """The tools."""
    return Desk()


@pytest.fixture
def session(desk: Desk) -> Iterator[Session]:
    """A session with them."""
    limits = {"seconds": 60, "grace_seconds": 30, "calls": 2000}
    with Session(desk.tools, sandbox=UnconfinedSandbox(), check="off", allow_imports=["*"], limits=limits) as opened:
        yield opened
        desk.free.set()


def test_one_thread_answers_calls_in_a_row(session: Session) -> None:
    """One thread, which is not the event loop's, answers them all; the records are complete and in order."""
    for turn in range(20):  # a guest that a busy machine keeps waiting is waited for by the loop again
        seen = session.run("where(), len({where() for _ in range(50)})")
        assert [call.id for call in seen.calls] == [*range(51 * turn + 1, 51 * turn + 52)]
        assert all(call.seconds and call.error is None for call in seen.calls)
        if (seen.result or "").endswith(", 1)"):
            return
    raise AssertionError(seen.text)


def test_a_tool_that_blocks_holds_up_no_other(session: Session) -> None:
    """While the thread that reads is busy, calls of the action's other threads are read and answered."""
    session.run("where()")
    code = "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(2) as pool:\n    "
    seen = session.run(code + "first = pool.submit(wait)\n    pool.submit(release)\nfirst.result()")
    assert seen.result == "True", seen.text
    assert session.run("[where() > 0 for _ in range(3)]").result == "[True, True, True]"


def test_threads_read_one_at_a_time(session: Session) -> None:
    """Calls that block and calls that do not, from many threads: each gets its own answer."""
    code = (
        "from concurrent.futures import ThreadPoolExecutor as P\n"
        "def work(n):\n    nap(0.012 * (n % 3 == 0))\n    return [twice, where][0] and where() > 0 and n\n"
        "with P(8) as pool: found = list(pool.map(work, range(60)))\nfound == [True and n for n in range(60)]"
    )
    assert session.run(code).result == "True"


def test_all_kinds_of_messages_in_turn(session: Session) -> None:
    """Output, calls for the event loop, errors and quick calls take turns, and stay in order."""
    code = (
        "out = []\nfor n in range(30):\n    where()\n    print(n)\n    out.append(await twice(n))\n"
        "    try: refuse()\n    except ToolFailed: out.append('no')\nout[-2:]"
    )
    seen = session.run(code)
    assert seen.result == "[58, 'no']", seen.text
    assert seen.stdout == "".join(f"{n}\n" for n in range(30))
    assert [call.tool for call in seen.calls] == ["where", "twice", "refuse"] * 30


def test_every_call_sees_the_context_of_the_sessions_caller(session: Session) -> None:
    """Context variables are the same in the first call of a row and in the others."""
    token = CALLER.set("ada")
    try:
        assert session.run("[caller() for _ in range(4)]").result == "['ada', 'ada', 'ada', 'ada']"
    finally:
        CALLER.reset(token)


def test_the_time_limit_holds_while_the_reading_thread_is_busy(desk: Desk) -> None:
    """An action whose tool blocks is interrupted in time, and its variables are kept."""
    limits = {"seconds": 3, "grace_seconds": 30}
    with Session(desk.tools, sandbox=UnconfinedSandbox(), check="off", limits=limits) as session:
        seen = session.run("kept = where() > 0\nwhere()\nnap(8)")
        assert seen.error is not None
        assert (seen.error.name, seen.error.state_lost) == ("seconds", False)
        assert [call.error for call in seen.calls] == [None, None, "cancelled"]
        assert session.run("kept").result == "True"


def test_a_guest_that_dies_between_calls_is_noticed(session: Session) -> None:
    """The thread that waits for the next message sees the end of the stream."""
    seen = session.run("import os\n[where() for _ in range(3)]\nos._exit(1)")
    assert seen.error is not None
    assert seen.error.name == "SandboxCrashed"
    assert session.run("where() > 0").result == "True"


def test_a_forged_call_in_a_row_ends_the_session(session: Session, desk: Desk) -> None:
    """What the reading thread does not understand is judged as strictly as ever, and no tool runs for it."""
    code = (
        "import gc\nlink = next(o for o in gc.get_objects() if type(o).__name__ == 'Link')\nwhere()\nwhere()\n"
        'body = b\'{"op":"call","id":7,"tool":"where","args":[],"kwargs":{}}\'\n'
        "import os\nos.write(link._out, len(body).to_bytes(4, 'big') + body)\nimport time\ntime.sleep(5)"
    )
    seen = session.run(code)
    assert seen.error is not None
    assert seen.error.name == "ProtocolViolation"
    assert desk.ran == 2


def test_the_calls_of_a_row_are_limited(desk: Desk) -> None:
    """The call past the limit is not made, whichever thread would make it."""
    with Session(
        desk.tools, sandbox=UnconfinedSandbox(), check="off", limits={"calls": 7, "grace_seconds": 30}
    ) as session:
        seen = session.run("n = 0\nwhile True:\n    where()\n    n += 1")
        assert seen.error is not None
        assert seen.error.name == "calls"
        assert desk.ran == 7


def test_calls_that_arrive_at_once_are_each_made_once(session: Session, desk: Desk) -> None:
    """Fifty calls in one piece, many times over: none is lost, repeated or out of order."""
    code = (
        "import gc, os\nlink = next(o for o in gc.get_objects() if type(o).__name__ == 'Link')\n"
        'call = b\'{"op":"call","id":%d,"tool":"where","args":[],"kwargs":{}}\'\n'
        "bodies = [call % (link._calls + n) for n in range(1, 51)]\n"
        "link._calls += 50\n"
        "os.write(link._out, b''.join(len(body).to_bytes(4, 'big') + body for body in bodies))\nwhere() > 0"
    )
    for turn in range(1, 41):
        seen = session.run(code)
        assert seen.result == "True", seen.text
        assert desk.ran == turn * 51
        assert [call.id for call in seen.calls] == [*range(turn * 51 - 50, turn * 51 + 1)]


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("1 + 1", "2"),
        ("print('word')", "word"),
        ("await twice(4)", "8"),
        ("import asyncio\nawait asyncio.gather(twice(1), twice(2))", "[2, 4]"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("print('one')\nwhere() > 0", "one\nTrue"),
        ("import os\nos._exit(1)", "The guest ended unexpectedly"),
    ],
)
def test_what_follows_an_action_with_quick_calls(session: Session, code: str, shown: str) -> None:
    """A thread reads from the start after such an action; whatever comes, the next one shows the same as ever."""
    for _ in range(3):
        assert session.run("where() > 0").result == "True"
        assert shown in session.run(code).text


def test_the_time_limit_holds_where_a_thread_reads_from_the_start(desk: Desk) -> None:
    """An action that says nothing is interrupted, and its variables are kept."""
    limits = {"seconds": 2, "grace_seconds": 30}
    with Session(desk.tools, sandbox=UnconfinedSandbox(), check="off", limits=limits) as session:
        assert session.run("kept = where() > 0\nwhere() > 0").result == "True"
        seen = session.run("while True: pass")
        assert seen.error is not None
        assert (seen.error.name, seen.error.state_lost) == ("seconds", False)
        assert session.run("kept").result == "True"


def test_events_of_quick_calls_are_told_in_order_on_the_event_loop(desk: Desk) -> None:
    """Whichever thread answers, a listener hears of each call before its end, and of its end before what follows."""
    heard: list[tuple[str, object, int]] = []

    def listen(event: Event) -> None:
        match event:
            case ToolCalled(call=call) | ToolReturned(call=call):
                heard.append((event.type, call.id, threading.get_ident()))
            case OutputReceived(text=text):
                heard.append((event.type, text, threading.get_ident()))
            case ActionFinished():
                heard.append((event.type, None, threading.get_ident()))

    code = "for n in range(3):\n    where()\n    where()\n    print(n)"
    with Session(desk.tools, sandbox=UnconfinedSandbox(), check="off", on_event=listen) as session:
        for turn in range(4):
            heard.clear()
            answered = len(desk.visits)
            assert session.run(code).stdout == "0\n1\n2\n"
            expected: list[tuple[str, object]] = []
            for n in range(3):
                for call in (6 * turn + 2 * n + 1, 6 * turn + 2 * n + 2):
                    expected += [("tool_called", call), ("tool_returned", call)]
                expected.append(("output_received", f"{n}\n"))
            assert [each[:2] for each in heard] == [*expected, ("action_finished", None)]
            assert len({thread for *_, thread in heard}) == 1
            assert heard[0][2] not in desk.visits[answered:]


def test_a_listener_that_fails_ends_the_action_with_its_error(desk: Desk) -> None:
    """Wherever the event came from; the session can be used afterwards."""

    def listen(event: Event) -> None:
        if isinstance(event, OutputReceived) and "stop" in event.text:
            raise BrokenPipeError("nobody reads")

    with Session(desk.tools, sandbox=UnconfinedSandbox(), check="off", on_event=listen) as session:
        for _ in range(3):  # in the second one a thread reads from the start
            with pytest.raises(BrokenPipeError, match="nobody reads"):
                session.run("where()\nwhere()\nprint('stop')\nwhere()")
            assert session.run("print('go')\nwhere() > 0").result == "True"


def test_output_without_end_is_stopped_where_a_thread_reads(desk: Desk) -> None:
    """It is dropped beyond the limit, and an action that only prints is interrupted like any other."""
    limits = {"seconds": 5, "grace_seconds": 30, "output_kb": 1}
    with Session(desk.tools, sandbox=UnconfinedSandbox(), check="off", limits=limits) as session:
        session.run("where()")
        seen = session.run("for n in range(500):\n    print('x' * 80)\n    where()")
        assert seen.error is None
        assert len(seen.stdout) < 3000
        assert "more bytes of output were dropped" in seen.text
        assert session.run("where() > 0").result == "True"
