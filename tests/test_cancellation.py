"""Ctrl-C: the run ends cleanly, says so, and leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import os, sys
from pathlib import Path
from codeact_tools import CodeActAgent
from codeact_tools.events import ActionChecked, RunFailed
from codeact_tools.testing import ScriptedModel

def descendants(pid):
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield child
            yield from descendants(child)

def watch(event):
    if isinstance(event, ActionChecked):
        print(*descendants(os.getpid()), flush=True)
    if isinstance(event, RunFailed):
        print(event.error, flush=True)

model = ScriptedModel(["<execute>\\n%s\\n</execute>"])
try:
    CodeActAgent(model=model, sandbox="local").run("Loop.", on_event=watch)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
"""


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pids: list[int], seconds: float = 30.0) -> list[int]:
    """The processes that are still there after ``seconds``."""
    deadline = time.monotonic() + seconds
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


@pytest.mark.parametrize(
    "action", ["while True: pass", "import tools\\nwhile True:\\n    try: pass\\n    except BaseException: pass"]
)
def test_ctrl_c_ends_the_run_and_every_process(action: str) -> None:
    """SIGINT in the middle of an endless action: a `Cancelled` event, `KeyboardInterrupt`, and nothing left."""
    with subprocess.Popen([sys.executable, "-c", SCRIPT % action], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert pids
        time.sleep(0.3)  # the action is running by now; where it is not yet, the run must end just the same
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=200)
    assert output.split() == ["Cancelled", "interrupted"]
    assert process.returncode == 130
    assert wait_until_gone(pids) == []


def test_a_killed_host_leaves_no_guest() -> None:
    """SIGKILL of the host takes the zygote and every guest with it."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT % "while True: pass"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert pids
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=200)
    assert wait_until_gone(pids) == []
