"""A run in E2B goes on: in a fresh sandbox where the old one ended, in a fresh process where the host did."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("e2b_code_interpreter", reason="needs the extra e2b")
pytest.importorskip("starlette", reason="needs the extra e2b-test")

from e2b_code_interpreter import AsyncSandbox

from codeact_tools import Allow, CodeActAgent, Journal, tool
from codeact_tools.errors import RunPaused, SandboxCrashed, SandboxUnavailable
from codeact_tools.events import Event, Observation
from codeact_tools.journal import PastCall
from codeact_tools.recall import Recall
from codeact_tools.sandbox.base import Limits
from codeact_tools.sandbox.e2b import E2BSandbox
from codeact_tools.testing import ScriptedModel
from codeact_tools.testing.e2b_server import E2BServer, Failure

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the jail needs Linux")

LIMITS = Limits(seconds=60, grace_seconds=30, memory_mb=512, files_mb=8)


@pytest.fixture(scope="module")
def server() -> Iterator[E2BServer]:
    """One server for all tests."""
    with E2BServer() as server:
        yield server


@pytest.fixture
def cloud(server: E2BServer) -> Iterator[E2BServer]:
    """The server without faults, and in the end without sandboxes."""
    yield server
    server.faults.failures.clear()
    assert not server.sandboxes, "a sandbox is left"


class Shop:
    """Tools that notice how often they take effect, and let something happen in the middle of a call."""

    def __init__(self, disaster: Callable[[], None] | None = None) -> None:
        self.effects: list[str] = []
        self._disaster = disaster

    def order(self, item: str) -> int:
        """Order something; not to be repeated.

        Args:
            item: What.
        """
        self.effects.append(item)
        if item == "tea" and self._disaster is not None:
            disaster, self._disaster = self._disaster, None
            disaster()
        return len(self.effects)


def expire(cloud: E2BServer) -> None:
    """Let the time of the only sandbox run out."""
    [sandbox] = cloud.sandboxes
    cloud.expire(sandbox)


def kill(cloud: E2BServer) -> None:
    """Kill the only sandbox as somebody else with the account's key does."""
    [sandbox] = cloud.sandboxes
    killing = threading.Thread(target=lambda: asyncio.run(AsyncSandbox.kill(sandbox, **cloud.options)))
    killing.start()
    killing.join()


def action(code: str) -> str:
    """What the model writes."""
    return f"<execute>\n{code}\n</execute>"


def agent(cloud: E2BServer, tmp_path: Path, *script: Any, tools: Any, **options: Any) -> CodeActAgent:
    """An agent whose actions run in the cloud."""
    settings: dict[str, Any] = {"limits": LIMITS, "check": "off", "journal": tmp_path / "runs.sqlite3", **options}
    return CodeActAgent(tools, model=ScriptedModel([*script]), sandbox=E2BSandbox(**cloud.options), **settings)


def observations(events: tuple[Event, ...]) -> list[Observation]:
    """Of the actions, in order."""
    return [event.observation for event in events if event.type == "action_finished"]


def warnings(events: tuple[Event, ...]) -> list[str]:
    """What was warned about."""
    return [event.message for event in events if event.type == "warning_raised"]


@pytest.mark.parametrize(("disaster", "said"), [(expire, "expired"), (kill, "killed")])
def test_a_sandbox_that_ends_in_mid_call(
    cloud: E2BServer, tmp_path: Path, disaster: Callable[[E2BServer], None], said: str
) -> None:
    """The run goes on in a fresh one: variables are there, no call is made twice, and one warning says why."""
    shop = Shop(lambda: disaster(cloud))
    script = [
        action("a = order('cup')"),
        action("b = order('pot')\nc = order('tea')\nd = order('milk')\nprint(a, b, c, d)"),
        action("print(a + b + c + d)"),
        "Done.",
    ]
    done = agent(cloud, tmp_path, *script, tools=[shop.order]).run("Shop.")
    assert shop.effects == ["cup", "pot", "tea", "milk"]
    assert [seen.stdout for seen in observations(done.events)] == ["", "1 2 3 4\n", "10\n"]
    [warning] = warnings(done.events)
    assert said in warning
    assert "fresh" in warning
    assert done.answer == "Done."


@pytest.mark.parametrize("disaster", [expire, kill])
def test_a_sandbox_that_ends_while_the_model_writes(
    cloud: E2BServer, tmp_path: Path, disaster: Callable[[E2BServer], None]
) -> None:
    """Between two actions, too."""
    shop = Shop()

    def slow(messages: Any) -> str:
        disaster(cloud)
        return action("print(number)")

    script = [action("number = order('cup')"), slow, "Done."]
    done = agent(cloud, tmp_path, *script, tools=[shop.order]).run("Shop.")
    assert observations(done.events)[-1].stdout == "1\n"
    assert shop.effects == ["cup"]
    assert len(warnings(done.events)) == 1


def test_a_sandbox_that_ends_in_mid_computation(cloud: E2BServer, tmp_path: Path) -> None:
    """Without a call under way."""
    shop = Shop()
    seen: list[str] = []

    def watch(event: Event) -> None:
        if event.type == "output_received":
            seen.append(event.text)
            if len(seen) == 1:
                expire(cloud)

    code = "import time\nnumber = order('tea')\nprint('a')\ntime.sleep(1)\nprint(number, order('cup'))"
    shopping = agent(cloud, tmp_path, action(code), "Done.", tools=[shop.order], allow_imports=["time"])
    done = shopping.run("Shop.", on_event=watch)
    assert observations(done.events)[-1].stdout == "a\n1 2\n"
    assert shop.effects == ["tea", "cup"]
    assert len(warnings(done.events)) == 1


def test_an_asynchronous_call_is_finished_before_the_action_goes_on(cloud: E2BServer, tmp_path: Path) -> None:
    """A call on the event loop that is under way when the sandbox ends has its result on record, as threads' have."""
    effects: list[str] = []

    async def order(item: str) -> int:
        """Order something.

        Args:
            item: What.
        """
        effects.append(item)
        if item == "tea":
            await asyncio.to_thread(expire, cloud)
            await asyncio.sleep(0.3)
        return len(effects)

    done = agent(cloud, tmp_path, action("print(await order('tea'), await order('cup'))"), "Done.", tools=[order]).run(
        "x"
    )
    assert observations(done.events)[-1].stdout == "1 2\n"
    assert effects == ["tea", "cup"]


def test_a_stream_begins_again(cloud: E2BServer, tmp_path: Path) -> None:
    """Half a stream is no result: a tool that only reads is asked for it once more."""
    made: list[int] = []

    @tool(read_only=True)
    async def count() -> AsyncIterator[int]:
        """Count to four."""
        for number in range(1, 5):
            made.append(number)
            if made == [1, 2]:
                await asyncio.to_thread(expire, cloud)
            yield number

    code = "total = 0\nasync for number in count(): total += number\nprint(total)"
    done = agent(cloud, tmp_path, action(code), "Done.", tools=[count]).run("x")
    assert observations(done.events)[-1].stdout == "10\n"
    assert made == [1, 2, 1, 2, 3, 4]
    assert len(warnings(done.events)) == 1


async def test_a_run_that_is_cancelled_in_the_middle_of_a_stream(cloud: E2BServer, tmp_path: Path) -> None:
    """What the action took of it until then is not taken for all that it wanted, when the run is resumed."""
    made: list[int] = []
    running: asyncio.Task[Any]

    @tool(read_only=True)
    async def count() -> AsyncIterator[int]:
        """Count to four."""
        for number in range(1, 5):
            made.append(number)
            if made == [1, 2, 3]:
                running.cancel()
                await asyncio.sleep(10)
            yield number

    code = "total = 0\nasync for number in count(): total += number\nprint(total)"
    running = asyncio.create_task(agent(cloud, tmp_path, action(code), tools=[count]).arun("x"))
    with pytest.raises(asyncio.CancelledError):
        await running
    done = await agent(cloud, tmp_path, "Done.", tools=[count]).aresume("last")
    assert observations(done.events)[-1].stdout == "10\n"


def test_no_fresh_sandbox_ends_the_run_which_can_be_resumed(cloud: E2BServer, tmp_path: Path) -> None:
    """Where E2B gives none, the run fails by that name, and goes on later with nothing called twice."""

    def disaster() -> None:
        cloud.faults.failures.append(Failure(status=503, path="/v2/sandboxes", times=99))
        expire(cloud)

    shop = Shop(disaster)
    script = [action("number = order('tea')\nprint(number, order('cup'))")]
    sandbox = E2BSandbox(**cloud.options, retries=0)
    journal = Journal(tmp_path / "runs.sqlite3")
    options: dict[str, Any] = {"sandbox": sandbox, "limits": LIMITS, "check": "off", "journal": journal}
    with pytest.raises(SandboxUnavailable, match="no room"):
        CodeActAgent([shop.order], model=ScriptedModel(script), **options).run("Shop.")
    assert shop.effects == ["tea"]
    cloud.faults.failures.clear()
    done = CodeActAgent([shop.order], model=ScriptedModel(["Done."]), **options).resume("last")
    assert observations(done.events)[-1].stdout == "1 2\n"
    assert shop.effects == ["tea", "cup"]


def test_a_second_end_while_variables_are_rebuilt(
    cloud: E2BServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No action runs with half of the variables: the run fails by name, and can be resumed."""
    shop = Shop(lambda: expire(cloud))
    script = [action("cup = order('cup')"), action("print(cup, order('tea'))")]

    def take(recall: Recall, *call: Any) -> PastCall | None:
        if recall.finished:
            expire(cloud)
        return looked_up(recall, *call)

    looked_up = Recall.take
    with monkeypatch.context() as patched:
        patched.setattr(Recall, "take", take)
        with pytest.raises(SandboxCrashed, match=r"to rebuild the variables: .*expired"):
            agent(cloud, tmp_path, *script, tools=[shop.order]).run("Shop.")
    done = agent(cloud, tmp_path, "Done.", tools=[shop.order]).resume("last")
    assert observations(done.events)[-1].stdout == "1 2\n"
    assert shop.effects == ["cup", "tea"]


HOST = '''
import json, os, sys
from pathlib import Path
from codeact_tools import CodeActAgent
from codeact_tools.sandbox.e2b import E2BSandbox
from codeact_tools.testing import ScriptedModel

effects = Path(sys.argv[1])
count = 0


def order(item: str) -> int:
    """Order something.

    Args:
        item: What.
    """
    if item == "milk":
        os._exit(9)
    with effects.open("a") as file:
        file.write(item + "\\n")
    return len(effects.read_text().split())


first = "tea = order('tea')"
second = "cup = order('cup')\\nmilk = order('milk')\\nprint(tea, cup, milk)"
script = [f"<execute>\\n{code}\\n</execute>" for code in (first, second)]
sandbox = E2BSandbox(timeout=10)
CodeActAgent([order], model=ScriptedModel(script), sandbox=sandbox, check="off").run("Shop.")
'''


def test_a_run_whose_host_is_gone(cloud: E2BServer, tmp_path: Path) -> None:
    """Another process resumes it in a fresh sandbox, after somebody has said what became of the open call."""
    effects, journal = tmp_path / "effects", tmp_path / "runs.sqlite3"
    root = str(Path(__file__).parent.parent)
    environment = {**os.environ, **cloud.environment, "CODEACT_TOOLS_JOURNAL": str(journal)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run([sys.executable, "-c", HOST, str(effects)], env=environment, capture_output=True, check=False)
    assert done.returncode == 9, done.stderr
    assert len(cloud.sandboxes) == 1, "E2B keeps it until its time is up"

    def order(item: str) -> int:
        """Order something.

        Args:
            item: What.
        """
        with effects.open("a") as file:
            file.write(item + "\n")
        return len(effects.read_text().split())

    def later(*script: str) -> CodeActAgent:
        return agent(cloud, tmp_path, *script, tools=[order], approve="pause")

    with pytest.raises(RunPaused, match="not known") as paused:
        later().resume("last")
    assert effects.read_text().split() == ["tea", "cup"]
    [waiting] = paused.value.waiting
    Journal(journal).decide(paused.value.run_id, waiting.id, Allow(), by="ann")
    finished = later("Done.").resume("last")
    assert observations(finished.events)[-1].stdout == "1 2 3\n"
    assert effects.read_text().split() == ["tea", "cup", "milk"]
    deadline = time.monotonic() + 60
    while cloud.sandboxes:
        assert time.monotonic() < deadline
        time.sleep(0.05)
