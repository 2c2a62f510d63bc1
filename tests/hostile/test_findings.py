"""What attacks have found, each as small as it can be, beside the programs that go the whole way."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import pytest
from rich.console import Console

from codeact_tools import observing, tool
from codeact_tools.cli.render import TerminalRenderer
from codeact_tools.errors import InvalidCall, LimitExceeded, ProtocolViolation, SandboxCrashed
from codeact_tools.events import CallRecord, ToolReturned
from codeact_tools.observing import fetch_artifacts
from codeact_tools.registry import ToolRegistry
from codeact_tools.sandbox.base import Limits
from codeact_tools.sandbox.outcome import Outcome, check_files, read_error
from tests.guests import running

NINES = int("9" * 4000)
HAND_OUT = """
import gc
folder = next(thing for thing in gc.get_objects() if type(thing).__name__ == "Folder")
"""


@tool
def total(values: list[int]) -> int:
    """Add numbers."""
    return sum(values)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("count", "said"), [(3, "values[2]"), (15_000, "and 14994 more"), (100_000, "100,000 values do not fit")]
)
def test_a_call_with_many_wrong_values_is_refused_in_time(count: int, said: str) -> None:
    """Comparing every error with every other one would keep the host busy for hours; telling them all would fill it."""
    with pytest.raises(InvalidCall, match=r"Signature: total\(values: list\[int\]\) -> int") as refused:
        ToolRegistry([total]).get("total").bind([["x"] * count], {})
    assert said in str(refused.value)
    assert len(str(refused.value)) < 2000


def test_numbers_that_python_refuses_to_print_are_no_counts() -> None:
    """A guest's numbers are shown: those of thousands of digits would end the host's side in an error."""
    error = read_error({"type": "X", "message": "", "traceback": "", "call": NINES, "line": NINES})
    assert error is not None
    assert (error.call, error.line) == (None, None)
    assert check_files([["a.txt", NINES]]) is None
    assert check_files([["a.txt", True]]) is None


async def test_a_file_that_comes_byte_by_byte_ends_the_guest() -> None:
    """Each part is whole, but the last: else a guest could take hours to hand out one file, and keep every deadline."""
    slow = HAND_OUT + "type(folder).get = lambda self, path, offset, size: ('eA==', False)"
    async with running(allow_imports=["gc"]) as guest:
        await guest(slow)
        with pytest.raises(ProtocolViolation, match="other file data than was asked for"):
            await guest.bridge.get("slow.txt")


async def test_a_file_that_grows_while_it_is_collected_is_not_handed_out() -> None:
    """What an action may hand out is measured by what arrives, not by what the listing said."""
    async with running() as guest:
        await guest.bridge.put("grows.txt", b"x" * 3_000_000)
        with pytest.raises(LimitExceeded, match="more than 1,000,000 bytes"):
            await guest.bridge.get("grows.txt", most=1_000_000)
        outcome = Outcome(result=None, error=None, files=[("grows.txt", 1)], dropped_output=0, calls=0)
        artifacts, notes = await fetch_artifacts(guest.bridge, outcome, Limits(artifacts_mb=1))
        assert (artifacts, notes) == ((), ["[too large to hand out (1 MiB per action): grows.txt]"])
        assert (await guest("1 + 1")).result == "2"


async def test_all_files_of_an_action_together_have_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a guest could make each of thousands of files take as long as an action."""
    monkeypatch.setattr(observing, "_COLLECTING_SECONDS", 0.0)
    wait = HAND_OUT + "import time; type(folder).get = lambda *_: time.sleep(0.2) or ('', True)"
    outcome = Outcome(result=None, error=None, files=[(f"{n}.txt", 1) for n in range(5000)], dropped_output=0, calls=0)
    async with running(allow_imports=["gc", "time"]) as guest:
        await guest(wait)
        with pytest.raises(SandboxCrashed, match="did not hand out the action's files within 1 s"):
            await fetch_artifacts(guest.bridge, outcome, Limits(seconds=1))


EVIL = """
class Evil(BaseException):
    def __getattribute__(self, name):
        raise SystemExit(name)
    def __str__(self):
        raise self
"""


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (EVIL + "raise Evil", "Evil"),
        ("class Code:\n    def __eq__(self, other): raise KeyboardInterrupt\nraise SystemExit(Code())", "SystemExit"),
        ("class Odd(Exception):\n    def __str__(self): raise SystemExit\nraise Odd", "Odd"),
    ],
)
async def test_an_exception_that_cannot_be_looked_at_costs_no_variables(code: str, kind: str) -> None:
    """Whatever its own methods raise, it is reported by its class, and the session goes on."""
    async with running() as guest:
        await guest("kept = 42")
        error = (await guest(code)).error
        assert error is not None
        assert error.type == kind
        assert error.line == len(code.splitlines())
        assert (await guest("kept")).result == "42"


async def test_figures_that_take_forever_to_save_are_interrupted() -> None:
    """Saving them is a part of the action: its limit ends it, and the variables are kept."""
    forever = """
import sys, types
kept = 42
module = sys.modules["matplotlib.pyplot"] = types.ModuleType("matplotlib.pyplot")
def get_fignums():
    while True: pass
module.get_fignums = get_fignums
"""
    async with running(allow_imports=["sys", "types"], seconds=1, grace_seconds=20) as guest:
        with pytest.raises(LimitExceeded, match="its variables are kept"):
            await guest(forever)
        assert (await guest("import sys\ndel sys.modules['matplotlib.pyplot']\nkept")).result == "42"


@pytest.mark.parametrize(
    "code",
    [
        "x = f'{'a'}'",
        "x = 10 ** 5000",
        "x = []\nfor _ in range(5000):\n    x = [x]\nx",
        "x = [1]\nfor _ in range(60):\n    x = [x, x]\nx",
    ],
)
async def test_monty_loses_no_variables_to_a_value_that_cannot_be_shown(code: str) -> None:
    """Its values are shown by the host: what Python cannot parse, print or hold is left out."""
    pytest.importorskip("pydantic_monty")
    from codeact_tools.sandbox.base import SandboxRequest
    from codeact_tools.sandbox.bridge import Bridge
    from codeact_tools.sandbox.monty import MontySandbox
    from codeact_tools.signatures import Catalog
    from codeact_tools.wire import Codec
    from tests.guests import Answers

    bridge = Bridge(await MontySandbox().open(SandboxRequest(limits=Limits())), Limits())
    try:
        await bridge.start({"tools": [], "types": []}, allow_imports=[])
        answers: Any = Answers({}, Codec(Catalog()))
        await bridge.execute(f"kept = 42\n{code}", handler=answers)
        assert (await bridge.execute("kept", handler=answers)).result == "42"
    finally:
        await bridge.close()


@pytest.mark.parametrize("text", ["\x1b]0;owned\x07", "\x9b2J", "\u202egpj.exe", "\r\x1b[A"])
def test_no_name_of_a_tool_steers_the_terminal(text: str) -> None:
    """A guest may forge a call of a tool with any name; the refusal is shown."""
    screen = io.StringIO()
    record = CallRecord(id=1, tool=text, arguments={text: 1}, error=text, seconds=0.1)
    TerminalRenderer(Console(file=screen, width=80)).show(ToolReturned(call=record))
    assert text not in screen.getvalue()
    assert not set(screen.getvalue()) & set("\x1b\x9b\x07\r\u202e")


async def test_signals_that_one_action_blocks_do_not_keep_the_next_one_from_being_stopped() -> None:
    """Before each action the guest takes the interrupt back, its mask included."""
    block = "import signal\nkept = 42\nsignal.pthread_sigmask(0, range(1, 65))\nsignal.signal(2, signal.SIG_IGN)"
    async with running(allow_imports=["signal"], seconds=1, grace_seconds=20) as guest:
        await guest(block)
        with pytest.raises(LimitExceeded, match="its variables are kept"):
            await guest("while True: pass")
        assert (await guest("kept")).result == "42"


@pytest.mark.skipif(sys.platform != "linux", reason="it looks at /proc")
async def test_monty_leaves_no_process_behind_that_had_to_be_killed() -> None:
    """Not even a dead one: a host that lives long would fill the table of processes."""
    pytest.importorskip("pydantic_monty")
    from codeact_tools.sandbox.base import SandboxRequest
    from codeact_tools.sandbox.monty import MontySandbox
    from tests.hostile.host import descendants, run_program

    before = set(descendants(os.getpid()))
    report = await run_program(MontySandbox(), "while True: pass")
    assert report["end"]["refused"] == "LimitExceeded"
    assert set(descendants(os.getpid())) <= before
    await (await MontySandbox().open(SandboxRequest(limits=Limits()))).kill()
    assert set(descendants(os.getpid())) <= before
