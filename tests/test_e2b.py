"""The E2B back end as its users see it, and what it does when the network, the cloud or the account fail."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("e2b_code_interpreter", reason="needs the extra e2b")
pytest.importorskip("starlette", reason="needs the extra e2b-test")

from e2b import Secret

from codeact_tools import CodeActAgent, Session
from codeact_tools.errors import ConfigurationError, SandboxCrashed, SandboxUnavailable
from codeact_tools.sandbox import e2b, e2b_stream, resolve_sandbox
from codeact_tools.sandbox.base import Limits, SandboxRequest
from codeact_tools.sandbox.bridge import Bridge
from codeact_tools.sandbox.e2b import E2BSandbox, source_files, source_folder
from codeact_tools.testing import ScriptedModel
from codeact_tools.testing.contract import Nobody
from codeact_tools.testing.e2b_server import E2BServer, Failure

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the jail needs Linux")

LIMITS = Limits(seconds=60, grace_seconds=30, memory_mb=512, files_mb=8)


@pytest.fixture(scope="module")
def shared() -> Iterator[E2BServer]:
    """One server for all tests that don't stop it."""
    prepared = {f"{source_folder()}/{name}": data for name, data in source_files().items()}
    with E2BServer(templates={"prepared": prepared, "plain": {}}) as server:
        yield server


@pytest.fixture
def cloud(shared: E2BServer) -> Iterator[E2BServer]:
    """The server without faults, and in the end without sandboxes."""
    yield shared
    shared.faults.failures.clear()
    shared.faults.round_trip = 0.0
    shared.faults.chunk = 32 * 1024
    shared.faults.input_streams = True
    assert not shared.sandboxes, "a sandbox is left"


def session(cloud: E2BServer, *tools: Any, **options: Any) -> Session:
    """A session in a sandbox of ``cloud``."""
    return Session(
        tools=tools, sandbox=E2BSandbox(**cloud.options, **options), check="off", limits=LIMITS, allow_imports=["*"]
    )


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait up to a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Counter:
    """A tool that notices how often it was called, and does something to the cloud at some of its calls."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.at: dict[int, Any] = {}

    def count(self, number: int) -> int:
        """Return the number."""
        self.calls.append(number)
        if number in self.at:
            self.at[number]()
        return number


def test_an_agent_runs_there(cloud: E2BServer) -> None:
    """From the model's code to the answer, with a tool of the host."""

    def price(item: str) -> float:
        """Price of an item."""
        return {"tea": 2.5}[item]

    model = ScriptedModel(["<execute>total = price('tea') * 4\nprint(total)</execute>", "It costs 10.0."])
    result = CodeActAgent(tools=[price], model=model, sandbox=E2BSandbox(**cloud.options)).run("4 teas?")
    assert result.answer == "It costs 10.0."
    assert "10.0" in str(result.events)


def test_security_defaults(cloud: E2BServer) -> None:
    """Egress and public traffic are closed unless the application opens them; nothing of the host is sent."""
    with session(cloud) as opened:
        opened.run("1")
        [machine] = cloud.sandboxes.values()
        assert opened.sandbox == "e2b (jail)"
        assert machine.request["allow_internet_access"] is False
        assert machine.request["network"]["allowPublicTraffic"] is False
        assert machine.request["metadata"] == {"codeact-tools": "session"}
        assert machine.environment == {}
    rules = {"deny_out": ["0.0.0.0/0"], "allow_out": ["api.example.com"], "allow_public_traffic": True}
    with session(cloud, allow_internet_access=True, network=rules, metadata={"team": "a"}, envs={"A": "1"}):
        [machine] = cloud.sandboxes.values()
        assert machine.request["allow_internet_access"] is True
        assert machine.request["network"]["allowOut"] == ["api.example.com"]
        assert machine.metadata == {"codeact-tools": "session", "team": "a"}
        assert machine.environment == {"A": "1"}


def test_secrets_for_headers_stay_with_e2b(cloud: E2BServer) -> None:
    """Rules name a secret of the account; neither the request, nor the sandbox, nor an action has its value."""
    header = {"Authorization": f"Bearer {Secret.fill('shop-key')}"}
    network = {
        "allow_out": lambda context: list(context.rules),
        "deny_out": ["0.0.0.0/0"],
        "rules": {
            "api.example.com": [{"transform": {"headers": header}}],
            "sts.example.com": [{"transform": lambda context: {"headers": {"X-Token": context.iam.tokens["sts"]}}}],
        },
    }
    iam = {"tokens": {"sts": Secret.iam_token(audience="sts.example.com", token_type="JWT-SVID")}}  # noqa: S106 - no password
    with session(cloud, allow_internet_access=True, network=network, iam=iam) as opened:
        [machine] = cloud.sandboxes.values()
        assert machine.request["network"] == {
            "allowPublicTraffic": False,
            "allowOut": ["api.example.com", "sts.example.com"],
            "denyOut": ["0.0.0.0/0"],
            "rules": {
                "api.example.com": [{"transform": {"headers": {"Authorization": "Bearer ${e2b.secrets.shop-key}"}}}],
                "sts.example.com": [{"transform": {"headers": {"X-Token": "${e2b.identity.tokens.sts}"}}}],
            },
        }
        assert machine.request["iam"]["tokens"]["sts"]["audience"] == "sts.example.com"
        seen = opened.run(
            "import os, socket\nprint(dict(os.environ))\nsocket.create_connection(('api.example.com', 443))"
        )
        assert "shop-key" not in seen.stdout
        assert seen.error is not None
        assert seen.error.kind == "python"


async def test_a_rule_that_e2b_cannot_follow(cloud: E2BServer) -> None:
    """A token that is not registered is the developer's to correct, before there is a sandbox."""
    rule = {"transform": lambda context: {"headers": {"X-Token": context.iam.tokens["sts"]}}}
    sandbox = E2BSandbox(**cloud.options, network={"rules": {"sts.example.com": [rule]}})
    with pytest.raises(ConfigurationError, match=r"'sts'.*not registered"):
        await sandbox.open(SandboxRequest(limits=LIMITS))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_as_an_ordinary_user() -> None:
    """The jail needs no right in the virtual machine: E2B's commands run as an ordinary user."""
    with E2BServer(user=54321) as server, session(server) as opened:
        seen = opened.run("import os\nopen('mine', 'w').write('1')\nos.getuid(), os.path.exists('/etc/passwd')")
        assert seen.result == "(65534, False)", seen.text
        assert [each.name for each in seen.artifacts] == ["mine"]


def test_a_prepared_template_needs_no_upload(cloud: E2BServer) -> None:
    """The guest is where the template put it; where it is not, it is uploaded after all."""
    cloud.faults.failures.append(Failure(status=500, path="/files", message="an upload"))
    with session(cloud, template="prepared") as opened:
        assert opened.run("6 * 7").result == "42"
    with pytest.raises(SandboxUnavailable, match="an upload"):
        session(cloud, template="plain").__enter__()
    with session(cloud, template="plain") as opened:
        assert opened.run("6 * 7").result == "42"


@pytest.mark.parametrize("input_streams", [True, False], ids=["streams", "calls"])
def test_a_dropped_connection_loses_and_repeats_nothing(cloud: E2BServer, input_streams: bool) -> None:
    """Every call is made once, whatever happened to the connection meanwhile."""
    cloud.faults.input_streams = input_streams
    counter = Counter()
    counter.at = dict.fromkeys(range(5, 100, 10), cloud.drop_streams)
    with session(cloud, counter.count) as opened:
        seen = opened.run("total = 0\nfor n in range(100): total += count(n)\ntotal")
        assert seen.result == "4950", seen.text
        cloud.drop_streams()
        assert opened.run("total").result == "4950"
    assert counter.calls == list(range(100))


def test_a_drop_in_the_middle_of_large_values(cloud: E2BServer) -> None:
    """Arguments and results of megabytes arrive whole while the connection breaks six times."""

    def echo(text: str) -> str:
        """Return the text."""
        return text

    def disturb() -> None:
        for _ in range(6):
            time.sleep(0.15)
            cloud.drop_streams()

    with session(cloud, echo) as opened:
        opened.run("text = 'aé\N{SNOWMAN}' * 500_000")
        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            seen = opened.run("all(echo(text) == text for _ in range(5))")
        finally:
            thread.join()
        assert seen.result == "True", seen.text


@pytest.mark.parametrize("size", [1, 7, 100])
def test_chunks_of_any_size(cloud: E2BServer, size: int) -> None:
    """Output may be cut anywhere, also inside characters."""
    cloud.faults.chunk = size
    with session(cloud) as opened:
        assert opened.run("print('é\N{SNOWMAN}\N{GRINNING FACE}' * 50)").stdout == "é☃😀" * 50 + "\n"


def test_expiry_in_mid_call(cloud: E2BServer) -> None:
    """A sandbox whose time runs out is one named error, and the session goes on in a fresh one."""
    counter = Counter()
    counter.at = {0: lambda: cloud.expire(next(iter(cloud.sandboxes)))}
    with session(cloud, counter.count) as opened:
        opened.run("kept = 1")
        seen = opened.run("count(0)\nprint('never')")
        assert seen.error is not None
        assert (seen.error.name, seen.error.state_lost) == ("SandboxCrashed", True)
        assert "expired" in seen.error.message
        again = opened.run("'kept' in globals()")
        assert again.result == "False"
        assert "restarted" in again.text


def test_a_closed_input_is_a_named_error(cloud: E2BServer) -> None:
    """Without a way in there is no session: it ends, and says so."""
    with session(cloud) as opened:
        opened.run("1")
        cloud.close_inputs()
        seen = opened.run("1")
        assert seen.error is not None
        assert seen.error.name == "SandboxCrashed"
        assert opened.run("1 + 1").result == "2"


def test_the_cloud_disappears_in_mid_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The action ends with a named error after the attempts to reconnect, and the host goes on."""
    monkeypatch.setattr(e2b_stream, "_RECONNECT_SECONDS", 0.5)
    counter = Counter()
    with E2BServer() as server:
        counter.at = {0: server.stop}
        opened = session(server, counter.count)
        with opened:
            seen = opened.run("count(0)\nwhile True: pass")
            assert seen.error is not None
            assert seen.error.name == "SandboxCrashed", seen.text


def test_distance_does_not_add_up(cloud: E2BServer) -> None:
    """Ten independent calls are under way together, and take about one round trip, not ten."""
    started: list[int] = []
    together = asyncio.Event()

    async def add(a: int, b: int) -> int:
        """Add, once ten calls are there."""
        started.append(a)
        if len(started) % 10 == 0:
            together.set()
        await asyncio.wait_for(together.wait(), 30)
        return a + b

    with session(cloud, add) as opened:
        opened.run("import asyncio, time")
        cloud.faults.round_trip = 1.0
        timed = "s = time.perf_counter(); r = await asyncio.gather(*(add(n, 1) for n in range(10)))\n"
        seen = opened.run(timed + "time.perf_counter() - s")
        cloud.faults.round_trip = 0.0
        assert float(seen.result or "nan") < 8, seen.text  # one after the other they would take ten seconds
        assert sorted(started) == list(range(10))


def test_time_is_extended_while_an_action_runs(cloud: E2BServer) -> None:
    """A sandbox outlives its timeout while it is used, and not when it is idle."""

    def ends() -> str:
        """Tell when the sandbox ends by itself."""
        [machine] = cloud.sandboxes.values()
        return machine.ends.isoformat()

    with session(cloud, ends, timeout=12) as opened:
        code = "import time\nfirst = ends()\nwhile ends() == first: time.sleep(0.2)\n'extended'"
        assert opened.run(code).result == "'extended'"
        wait_until(lambda: not cloud.sandboxes)  # an idle sandbox ends by itself
        seen = opened.run("1")
        assert seen.error is not None
        assert "expired" in seen.error.message


async def test_suspend_and_resume(cloud: E2BServer) -> None:
    """The interpreter's state survives a pause, and the host that goes on need not be the one that began."""
    sandbox = E2BSandbox(**cloud.options)
    guest = await sandbox.open(SandboxRequest(limits=LIMITS))
    bridge = Bridge(guest, LIMITS)
    await bridge.start({"tools": [], "types": []}, allow_imports=["*"])
    await bridge.execute("kept = [1, 2]", handler=Nobody())
    suspended = await guest.suspend()
    [machine] = cloud.sandboxes.values()
    assert machine.paused
    resumed = await sandbox.resume(suspended)
    again = Bridge(resumed, LIMITS)
    outcome = await again.execute("kept.append(3)\nkept", handler=Nobody())
    assert outcome.result == "[1, 2, 3]"
    await again.close()
    with pytest.raises(SandboxCrashed, match="expired"):
        await sandbox.resume(suspended)


def test_a_session_is_suspended_and_resumed(cloud: E2BServer) -> None:
    """Variables, the check's knowledge of them, and the count of calls go on, also in another process."""
    counter = Counter()
    options: dict[str, Any] = {"tools": [counter.count], "limits": LIMITS, "check": "block"}
    with Session(sandbox=E2BSandbox(**cloud.options), **options) as first:
        assert first.run("kept = [count(1)]\ndef double(n: int) -> int:\n    return 2 * n").error is None
        time.sleep(0.2)  # the guest rests by now
        suspended = json.dumps(first.suspend())
        with pytest.raises(ConfigurationError, match="closed"):
            first.run("1")
    [machine] = cloud.sandboxes.values()
    assert machine.paused
    with Session(sandbox=E2BSandbox(**cloud.options), resume=json.loads(suspended), **options) as second:
        seen = second.run("kept.append(double(count(2)))\nkept")
        assert seen.result == "[1, 4]", seen.text
        refused = second.run("double('x')\nnope")
        assert refused.error is not None
        assert refused.error.kind == "check"
    assert counter.calls == [1, 2]


def test_a_local_session_cannot_be_suspended() -> None:
    """It says so, and goes on."""
    with Session(sandbox="local", check="off") as opened:
        opened.run("kept = 1")
        with pytest.raises(ConfigurationError, match="cannot be suspended"):
            opened.suspend()
        assert opened.run("kept").result == "1"


async def test_a_cancelled_opening_leaves_no_sandbox(cloud: E2BServer) -> None:
    """Whoever gives up waiting does not pay for a sandbox that nobody holds."""
    opening = asyncio.ensure_future(E2BSandbox(**cloud.options).open(SandboxRequest(limits=LIMITS)))
    await asyncio.to_thread(wait_until, lambda: bool(cloud.sandboxes))
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await asyncio.to_thread(wait_until, lambda: not cloud.sandboxes)


@pytest.mark.parametrize(
    ("failure", "error", "words"),
    [
        (Failure(status=500, path="/v2/sandboxes"), SandboxUnavailable, "created"),
        (Failure(status=500, path="/files"), SandboxUnavailable, "uploaded"),
        (Failure(status=507, path="/files"), SandboxUnavailable, "disk is full"),
        (Failure(status=502, path="Process/Start", message="was not found"), SandboxUnavailable, "killed"),
        (Failure(status=429, path="Process/Start"), SandboxUnavailable, "at a time"),
        (Failure(status=503, path="/v2/sandboxes", times=9), SandboxUnavailable, "no room"),
        (Failure(status=401, path="Process/Start"), ConfigurationError, "E2B_API_KEY"),
    ],
)
async def test_failures_of_an_opening(cloud: E2BServer, failure: Failure, error: type[Exception], words: str) -> None:
    """Each is ours, with what helps; and no sandbox is left."""
    cloud.faults.failures.append(failure)
    with pytest.raises(error, match=words):
        await E2BSandbox(**cloud.options, retries=0).open(SandboxRequest(limits=LIMITS))


async def test_wrong_options(cloud: E2BServer) -> None:
    """A key, a template and a package that are wrong are the developer's to correct."""
    request = SandboxRequest(limits=LIMITS)
    with pytest.raises(ConfigurationError, match="E2B_API_KEY"):
        await E2BSandbox(**{**cloud.options, "api_key": "e2b_wrong"}).open(request)
    with pytest.raises(ConfigurationError, match=r"template.*e2b template"):
        await E2BSandbox("nope", **cloud.options).open(request)
    with pytest.raises(ConfigurationError, match="no-such-package"):
        await E2BSandbox(**cloud.options).open(SandboxRequest(limits=LIMITS, packages=("no-such-package",)))
    with pytest.raises(ConfigurationError, match="timeout"):
        E2BSandbox(timeout=0)
    with pytest.raises(ConfigurationError, match=r"'tiemout'.*request_timeout"):
        E2BSandbox(tiemout=5)


async def test_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key the message says where to get one."""
    monkeypatch.delenv("E2B_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match=r"https://e2b\.dev"):
        await E2BSandbox().open(SandboxRequest(limits=LIMITS))


async def test_a_jail_that_cannot_be_built_is_a_refusal(cloud: E2BServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs outside of the jail: the sandbox is ended, and the reason given."""
    broken = dict(source_files())
    name = "codeact_tools/sandbox/jail/namespaces.py"
    broken[name] += b"\n\ndef leave_host() -> None:\n    raise PermissionError(1, 'no namespaces here')\n"
    monkeypatch.setattr(e2b, "source_files", lambda: broken)
    with pytest.raises(SandboxUnavailable, match="nothing runs outside of it: unshare"):
        await E2BSandbox(**cloud.options).open(SandboxRequest(limits=LIMITS))


def test_auto_takes_e2b_where_a_key_is_set(cloud: E2BServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application moves from its machine to E2B by setting a key."""
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    sandbox, choice = resolve_sandbox("auto")
    assert (sandbox.name, choice.reason) == ("e2b", "E2B_API_KEY is set")
    with Session() as opened:
        assert opened.run("1 + 1").result == "2"
        assert len(cloud.sandboxes) == 1


@pytest.mark.parametrize("output", ["x" * 300_000 + "\n", "5 0 QUJD\n", "0 99 \n", "a b c d\n", "0 0 ***\n", "!\n"])
async def test_nothing_that_the_sandbox_says_is_trusted(cloud: E2BServer, output: str) -> None:
    """Lines that no relay sends end the session with a named error, or change nothing."""
    guest = await E2BSandbox(**cloud.options).open(SandboxRequest(limits=LIMITS))
    bridge = Bridge(guest, LIMITS)
    await bridge.start({"tools": [], "types": []}, allow_imports=["*"])
    guest._stream._take(output)
    try:
        said = (await bridge.execute("6 * 7", handler=Nobody())).result
    except SandboxCrashed as error:
        said = str(error)
    finally:
        await bridge.close()
    assert said == "42" or "sandbox sent" in (said or "")


async def test_a_connection_lost_while_opening(cloud: E2BServer) -> None:
    """Wherever in the opening it breaks, a session comes of it, and one sandbox."""
    for delay in (0.02, 0.05, 0.1, 0.2, 0.3):
        opening = asyncio.ensure_future(E2BSandbox(**cloud.options).open(SandboxRequest(limits=LIMITS)))
        await asyncio.to_thread(wait_until, lambda: bool(cloud.sandboxes))
        await asyncio.sleep(delay)
        cloud.drop_streams()
        guest = await asyncio.wait_for(opening, 60)
        assert len(cloud.sandboxes) == 1
        await guest.kill()


async def test_many_sessions_at_once(cloud: E2BServer) -> None:
    """Each is in a sandbox of its own, finds its own answers, and ends it."""

    async def one(number: int) -> str | None:
        options: dict[str, Any] = {"tools": [Counter().count], "check": "off", "limits": LIMITS}
        async with Session(sandbox=E2BSandbox(**cloud.options), **options) as opened:
            return (await opened.arun(f"sum(count(n) for n in range({number}))")).result

    assert await asyncio.gather(*map(one, range(12))) == [str(sum(range(number))) for number in range(12)]
