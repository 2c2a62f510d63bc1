"""The server of E2B's protocols, asked by the unmodified SDK."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

pytest.importorskip("e2b_code_interpreter", reason="needs the extra e2b")
pytest.importorskip("starlette", reason="needs the extra e2b-test")

from e2b import CommandExitException, SandboxQuery, SandboxState
from e2b.exceptions import (
    AuthenticationException,
    FileNotFoundException,
    NotFoundException,
    RateLimitException,
    SandboxException,
    SandboxNotFoundException,
    SandboxNotRunningException,
    ServiceBusyException,
)
from e2b_code_interpreter import AsyncSandbox

from codeact_tools.testing.e2b_server import E2BServer, Failure
from tests.guests import until


@pytest.fixture(scope="module")
def cloud() -> Iterator[E2BServer]:
    """One server for all tests."""
    with E2BServer() as server:
        yield server


@pytest.fixture(autouse=True)
def no_faults(cloud: E2BServer) -> None:
    """Each test injects its own."""
    cloud.faults.failures.clear()
    cloud.faults.round_trip = 0.0
    cloud.faults.chunk = 32 * 1024
    cloud.faults.input_streams = True


@contextlib.asynccontextmanager
async def opened(cloud: E2BServer, **creation: Any) -> AsyncIterator[AsyncSandbox]:
    """A sandbox that is killed in the end."""
    sandbox = await AsyncSandbox.create(**creation, **cloud.options)
    try:
        yield sandbox
    finally:
        await sandbox.kill()


class Output:
    """What a command printed."""

    def __init__(self) -> None:
        self.text = ""
        self.arrived = asyncio.Event()

    def __call__(self, text: str) -> None:
        """Take it."""
        self.text += text
        self.arrived.set()

    async def until(self, end: str) -> None:
        """Wait for it."""
        async with asyncio.timeout(60):
            while not self.text.endswith(end):
                self.arrived.clear()
                await self.arrived.wait()


async def test_a_sandbox_lives_from_create_to_kill(cloud: E2BServer) -> None:
    """Create, look at, list by metadata, connect, kill."""
    async with opened(cloud, timeout=60, metadata={"who": "a & b"}) as sandbox:
        assert await sandbox.is_running()
        info = await sandbox.get_info()
        assert (info.sandbox_id, info.metadata, info.state) == (
            sandbox.sandbox_id,
            {"who": "a & b"},
            SandboxState.RUNNING,
        )
        listed = await AsyncSandbox.list(SandboxQuery(metadata={"who": "a & b"}), **cloud.options).next_items()
        assert [each.sandbox_id for each in listed] == [sandbox.sandbox_id]
        assert not await AsyncSandbox.list(SandboxQuery(metadata={"who": "c"}), **cloud.options).next_items()
        again = await AsyncSandbox.connect(sandbox.sandbox_id, **cloud.options)
        assert (await again.commands.run("echo $((6 * 7))")).stdout == "42\n"
        assert await again.kill()
        assert not await again.kill()
        with pytest.raises(SandboxNotFoundException):
            await sandbox.get_info()
        with pytest.raises(SandboxNotRunningException):
            await sandbox.commands.run("true")


async def test_lists_come_in_pages(cloud: E2BServer) -> None:
    """A page holds at most ``limit`` sandboxes, and says where the next one begins."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(opened(cloud, metadata={"page": "1"}))
        pages = AsyncSandbox.list(SandboxQuery(metadata={"page": "1"}), limit=2, **cloud.options)
        found = [await pages.next_items(), await pages.next_items()]
        assert [len(page) for page in found] == [2, 1]
        assert not pages.has_next


async def test_keys_and_tokens_are_checked(cloud: E2BServer) -> None:
    """A wrong key is refused, and so is a sandbox's token at another sandbox."""
    with pytest.raises(AuthenticationException):
        await AsyncSandbox.create(**{**cloud.options, "api_key": "e2b_wrong"})
    async with opened(cloud) as sandbox:
        cloud.sandboxes[sandbox.sandbox_id].token = "another"  # noqa: S105
        with pytest.raises(AuthenticationException):
            await sandbox.commands.run("true")


async def test_templates_and_quota(cloud: E2BServer) -> None:
    """An unknown template, and one sandbox too many, are refused."""
    with pytest.raises(SandboxException, match="template 'nope' not found"):
        await AsyncSandbox.create(template="nope", **cloud.options)
    with E2BServer(capacity=1) as small:
        async with opened(small):
            with pytest.raises(RateLimitException, match="maximum number"):
                await AsyncSandbox.create(**small.options)


async def test_commands(cloud: E2BServer) -> None:
    """Output, exit code, environment, folder; a failing command raises, and a time limit ends one."""
    async with opened(cloud, envs={"A": "1"}) as sandbox:
        done = await sandbox.commands.run("echo $A$B; pwd; echo no >&2; exit 0", envs={"B": "2"}, cwd="/home/user")
        assert done.stdout.splitlines()[0] == "12"
        assert done.stdout.splitlines()[1].endswith("/home/user")
        assert (done.stderr, done.exit_code) == ("no\n", 0)
        with pytest.raises(CommandExitException) as raised:
            await sandbox.commands.run("exit 7")
        assert raised.value.exit_code == 7
        started = time.monotonic()
        with pytest.raises((CommandExitException, SandboxException)):
            await sandbox.commands.run("sleep 100", timeout=0.3)
        assert time.monotonic() - started < 60


async def test_input(cloud: E2BServer) -> None:
    """Input arrives by calls and by a stream, in order; its end is the end."""
    async with opened(cloud) as sandbox:
        output = Output()
        command = await sandbox.commands.run("cat", background=True, stdin=True, timeout=0, on_stdout=output)
        assert [each.pid for each in await sandbox.commands.list()] == [command.pid]
        await sandbox.commands.send_stdin(command.pid, "one\n")
        await output.until("one\n")
        stream = sandbox.commands.stream_input(command.pid, timeout=0)
        for number in range(100):
            await stream.send(f"{number}\n")
        await stream.close()
        await output.until("99\n")
        assert output.text == "one\n" + "".join(f"{number}\n" for number in range(100))
        await sandbox.commands.close_stdin(command.pid)
        assert (await command.wait()).exit_code == 0
        with pytest.raises(NotFoundException):
            await sandbox.commands.send_stdin(command.pid, "late")
        assert not await sandbox.commands.kill(command.pid)


async def test_a_signal_ends_a_command(cloud: E2BServer) -> None:
    """Kill reaches the process."""
    async with opened(cloud) as sandbox:
        command = await sandbox.commands.run("sleep 60", background=True, timeout=0)
        assert await command.kill()
        with pytest.raises(CommandExitException):
            await command.wait()


async def test_files(cloud: E2BServer) -> None:
    """Write, read, list, look, move, remove; what is missing is named."""
    async with opened(cloud) as sandbox:
        files = sandbox.files
        await files.write("a/b.bin", bytes(range(256)))
        await files.write_files([{"path": "a/c.txt", "data": "é"}, {"path": "d.txt", "data": b"2"}])
        assert bytes(await files.read("a/b.bin", format="bytes")) == bytes(range(256))
        assert await files.read("a/c.txt") == "é"
        assert sorted(entry.name for entry in await files.list("a")) == ["b.bin", "c.txt"]
        assert (await files.get_info("a/b.bin")).size == 256
        assert await files.make_dir("e/f")
        assert not await files.make_dir("e/f")
        await files.rename("d.txt", "e/f/g.txt")
        assert await files.exists("e/f/g.txt")
        await files.remove("a")
        assert not await files.exists("a/b.bin")
        with pytest.raises(FileNotFoundException):
            await files.read("a/b.bin")
        assert (await sandbox.commands.run("cat e/f/g.txt")).stdout == "2"


async def test_time_runs_out_and_is_extended(cloud: E2BServer) -> None:
    """A sandbox ends when its time is up, unless it is extended."""
    short = await AsyncSandbox.create(timeout=1, **cloud.options)
    async with opened(cloud, timeout=4) as kept:
        await kept.set_timeout(60)
        await asyncio.sleep(4.3)
        assert await kept.is_running()
        assert not await short.is_running()


async def test_pause_and_resume(cloud: E2BServer) -> None:
    """A paused sandbox does nothing and cannot be reached; connecting resumes it, with its processes."""
    async with opened(cloud) as sandbox:
        ticking = "i=0; while true; do i=$((i+1)); echo $i > tick; mv tick ticks; sleep 0.02; done"
        command = await sandbox.commands.run(ticking, background=True, timeout=0)
        ticks = cloud.sandboxes[sandbox.sandbox_id].path("ticks")
        await until(ticks.exists)
        assert await sandbox.pause()
        assert not await sandbox.pause()
        with pytest.raises(SandboxException):
            await command.wait()
        before = ticks.read_text()
        await asyncio.sleep(0.2)
        assert ticks.read_text() == before
        await AsyncSandbox.connect(sandbox.sandbox_id, timeout=60, **cloud.options)
        await until(lambda: int(ticks.read_text()) > int(before))


async def test_output_while_nobody_listens_is_lost(cloud: E2BServer) -> None:
    """As with the real daemon; after `connect` it comes again."""
    async with opened(cloud) as sandbox:
        output = Output()
        command = await sandbox.commands.run("tee said", background=True, stdin=True, timeout=0, on_stdout=output)
        said = cloud.sandboxes[sandbox.sandbox_id].path("said")
        cloud.drop_streams()
        with pytest.raises(SandboxException):
            await command.wait()
        await sandbox.commands.send_stdin(command.pid, "lost\n")
        await until(lambda: said.exists() and said.read_text() == "lost\n")
        await asyncio.sleep(0.5)  # the daemon has read it, too
        await sandbox.commands.connect(command.pid, timeout=0, on_stdout=output)
        await sandbox.commands.send_stdin(command.pid, "found\n")
        await output.until("found\n")
        assert output.text == "found\n"


async def test_distance(cloud: E2BServer) -> None:
    """A round trip takes its time; what is under way together does not add up."""
    async with opened(cloud) as sandbox:
        output = Output()
        command = await sandbox.commands.run("cat", background=True, stdin=True, timeout=0, on_stdout=output)
        stream = sandbox.commands.stream_input(command.pid, timeout=0)
        await stream.send("0\n")
        await output.until("0\n")
        cloud.faults.round_trip = 1.0
        started = time.monotonic()
        for number in range(1, 6):
            await stream.send(f"{number}\n")
        await output.until("5\n")
        assert 1.0 <= time.monotonic() - started < 4.0  # one after the other would be five
        cloud.faults.round_trip = 0.0
        await stream.close()


async def test_refusals(cloud: E2BServer) -> None:
    """The SDK waits as long as ``Retry-After`` says, then tries again; without retries it raises."""
    cloud.faults.failures.append(Failure(status=429, path="/v2/sandboxes", retry_after=1))
    started = time.monotonic()
    async with opened(cloud):
        assert time.monotonic() - started >= 1
    cloud.faults.failures.append(Failure(status=503, path="/v2/sandboxes"))
    with pytest.raises(ServiceBusyException):
        await AsyncSandbox.create(**cloud.options, retries=0)
    async with opened(cloud) as sandbox:
        cloud.faults.failures.append(Failure(status=502, path="process.Process/Start", message="was not found"))
        with pytest.raises(SandboxNotRunningException):
            await sandbox.commands.run("true")
        assert (await sandbox.commands.run("echo 1")).stdout == "1\n"


async def test_a_repeated_creation_makes_one_sandbox(cloud: E2BServer) -> None:
    """Requests with the same idempotency key are one."""
    before = len(cloud.sandboxes)
    one = await AsyncSandbox.create(**cloud.options, idempotency_key="k1")
    two = await AsyncSandbox.create(**cloud.options, idempotency_key="k1")
    assert one.sandbox_id == two.sandbox_id
    assert len(cloud.sandboxes) == before + 1
    await one.kill()


async def test_chunks_split_characters(cloud: E2BServer) -> None:
    """Output that is cut inside characters arrives whole."""
    cloud.faults.chunk = 1
    async with opened(cloud) as sandbox:
        assert (await sandbox.commands.run("printf 'é\N{SNOWMAN}\N{GRINNING FACE}'")).stdout == "é☃😀"


async def test_old_daemons_have_no_input_streams(cloud: E2BServer) -> None:
    """Then a stream of input fails, by name."""
    cloud.faults.input_streams = False
    async with opened(cloud) as sandbox:
        command = await sandbox.commands.run("cat", background=True, stdin=True, timeout=0)
        stream = sandbox.commands.stream_input(command.pid)
        with pytest.raises(SandboxException, match=r"(?i)unimplemented"):
            await stream.close()


def test_nothing_is_left_when_the_server_stops() -> None:
    """Folders and processes go with it."""
    with E2BServer() as server:
        sandbox = asyncio.run(AsyncSandbox.create(**server.options))
        machine = server.sandboxes[sandbox.sandbox_id]
        assert machine.folder.exists()
    assert not machine.folder.exists()
