"""The sandbox in E2B's cloud: the same guest in the same jail, inside a virtual machine of its own.

The host brings the guest, the jail and a `relay` along as source, starts the relay as one background command, and
speaks the bridge's frames over that command's standard input and output. No port is exposed, and nothing is polled.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import shlex
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypedDict

from e2b.connection_config import ApiParams
from e2b.sandbox.filesystem.filesystem import WriteEntry
from e2b_code_interpreter import AsyncSandbox

from ..errors import ConfigurationError, SandboxUnavailable
from .base import SandboxRequest
from .e2b_errors import is_lost_connection, translated
from .e2b_stream import LOGGER, RelayStream
from .relay.lines import Lines

DEFAULT_TEMPLATE: Final = "code-interpreter-v1"
OWNER: Final = "codeact-tools"
"""The key of the metadata by which sandboxes of this library are found again."""
_START_SECONDS: Final = 60.0
_NO_SOURCE: Final = 90
_NO_PYTHON: Final = 91
_BOOT: Final = (
    "import sys; sys.version_info >= (3, 11) or sys.exit(91); sys.path.insert(0, sys.argv[1]); "
    "from codeact_tools.sandbox.relay.main import main; main(sys.argv[2])"
)
_PACKAGE: Final = Path(__file__).parent.parent


class Suspended(TypedDict):
    """All that is needed to go on with a guest in another process; plain data, no secret."""

    sandbox_id: str
    pid: int
    sent: int
    received: int
    signals: int
    template: str


class E2BSandbox:
    """Sandboxes in E2B's cloud, one for each session.

    >>> E2BSandbox(template="my-template", timeout=600).name
    'e2b'

    Args:
        template: What the sandbox is made from: name or id. It needs Python 3.11 or newer.
        timeout: Seconds after which E2B ends the sandbox by itself. Extended while the session is in use, so it is the
            longest time between two actions, and how long a sandbox outlives a host that crashed.
        metadata: Shown in E2B's dashboard and by ``codeact-tools sandboxes ls``.
        envs: Environment variables of the sandbox's commands. They do not reach actions: the jail has its own.
        allow_internet_access: Whether the virtual machine reaches the internet. Actions do not, in any case: the jail
            has no network.
        network: E2B's rules for egress and ingress; closed for public traffic unless they say otherwise. ``rules`` puts
            headers into requests on their way out, with secrets of the account (`e2b.Secret`) in them; they
            count for what runs in the virtual machine besides actions, which have no network.
        iam: E2B's workload identity: tokens that ``rules`` may put into headers.
        lifecycle: E2B's option of that name, e.g. ``{"on_timeout": "pause"}``.
        options: Anything else that the SDK takes for a connection: ``api_key``, ``domain``, ``proxy``,
            ``request_timeout``, ``retries``, ``api_url``, ``sandbox_url``.
    """

    name = "e2b"

    def __init__(
        self,
        template: str = DEFAULT_TEMPLATE,
        *,
        timeout: int = 300,
        metadata: Mapping[str, str] | None = None,
        envs: Mapping[str, str] | None = None,
        allow_internet_access: bool = False,
        network: Mapping[str, Any] | None = None,
        iam: Mapping[str, Any] | None = None,
        lifecycle: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        if timeout < 1:
            raise ConfigurationError(f"timeout={timeout} is too short: E2B counts whole seconds, from 1 on.")
        if unknown := options.keys() - ApiParams.__annotations__.keys():
            known = ", ".join(sorted(ApiParams.__annotations__))
            raise ConfigurationError(
                f"E2BSandbox has no option {min(unknown)!r}. For the connection it knows: {known}."
            )
        self.template = template
        self.timeout = timeout
        self._options = options
        self._creation: dict[str, Any] = {
            "template": template,
            "timeout": timeout,
            "metadata": {OWNER: "session", **(metadata or {})},
            "envs": dict(envs or {}),
            "allow_internet_access": allow_internet_access,
            "network": {"allow_public_traffic": False, **(network or {})},
        }
        for option, value in (("iam", iam), ("lifecycle", lifecycle)):
            if value is not None:
                self._creation[option] = dict(value)

    async def open(self, request: SandboxRequest) -> E2BGuest:
        """Create a sandbox and start a guest in it; where the connection is lost meanwhile, create another one.

        Raises:
            SandboxUnavailable: E2B gives none: quota, rate, network; or the jail cannot be built in it.
            ConfigurationError: The key, the template or an option is wrong, or a package is not in the template.
        """
        opening = asyncio.ensure_future(self._open(request))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            _KILLING.add(opening)
            opening.add_done_callback(_discard)
            raise

    async def resume(self, suspended: Mapping[str, Any]) -> E2BGuest:
        """Go on with a guest that was suspended, or whose host is gone; a paused sandbox is resumed.

        Raises:
            SandboxCrashed: It has ended.
        """
        with translated("a session was being resumed", opening=False):
            sandbox = await AsyncSandbox.connect(suspended["sandbox_id"], timeout=self.timeout, **self._options)
            lines = Lines(suspended["sent"], suspended["received"])
            stream = RelayStream(sandbox, lines, suspended["signals"])
            await stream.attach(suspended["pid"])
        return E2BGuest(sandbox, stream, self.timeout, suspended["template"])

    async def _open(self, request: SandboxRequest) -> E2BGuest:
        try:
            return await self._attempt(request)
        except SandboxUnavailable as error:
            if not is_lost_connection(error.__cause__):
                raise
            LOGGER.info("opening a sandbox failed, and is tried once more: %s", error)
        return await self._attempt(request)

    async def _attempt(self, request: SandboxRequest) -> E2BGuest:
        with translated("a sandbox was being created"):
            sandbox = await AsyncSandbox.create(
                **self._creation, **self._options, idempotency_key=uuid.uuid4().hex, secure=True
            )
        try:
            return await self._start(sandbox, request)
        except BaseException:
            await _kill(sandbox)
            raise

    async def _start(self, sandbox: AsyncSandbox, request: SandboxRequest) -> E2BGuest:
        stock = self.template == DEFAULT_TEMPLATE
        if stock:
            await _upload(sandbox)
        stream, word, about = await _launch(sandbox, request)
        if word == "ended" and about.get("code") == _NO_SOURCE and not stock:
            stream.close()
            await stream.disconnect()
            await _upload(sandbox)
            stream, word, about = await _launch(sandbox, request)
        if word == "up":
            return E2BGuest(sandbox, stream, self.timeout, self.template)
        stream.close()
        await stream.disconnect()
        raise _not_up(self.template, word, about)


class E2BGuest:
    """A guest in a sandbox of its own in E2B; see `GuestProcess`. Its coroutines belong to one event loop."""

    description = "e2b (jail)"

    def __init__(self, sandbox: AsyncSandbox, stream: RelayStream, timeout: int, template: str) -> None:
        self._sandbox = sandbox
        self._stream = stream
        self._timeout = timeout
        self._template = template
        self._ending: asyncio.Future[None] | None = None
        self._waiting = False
        loop = asyncio.get_running_loop()
        self._renewed = loop.time()
        self._keeping = asyncio.create_task(self._keep_alive())

    @property
    def sandbox_id(self) -> str:
        """E2B's id of the sandbox."""
        return str(self._sandbox.sandbox_id)

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and made again."""
        return self._stream.reconnects

    async def send(self, data: bytes) -> None:
        """Write all of ``data``; wait while the guest does not read.

        Raises:
            SandboxCrashed: The guest is gone.
        """
        await self._stream.send(data)

    async def receive(self) -> bytes:
        """Return the next bytes; ``b""`` when the guest was killed.

        Raises:
            SandboxCrashed: It ended otherwise; the message says how.
        """
        self._waiting = True
        try:
            return await self._stream.receive()
        finally:
            self._waiting = False

    def pending(self) -> bool:
        """Whether bytes, or the end of the stream, are waiting. What is still on its way cannot be seen."""
        return self._stream.pending()

    async def interrupt(self) -> None:
        """Send ``SIGINT``."""
        self._stream.interrupt()

    async def freeze(self) -> None:
        """Stop all threads of the guest (``SIGSTOP``)."""
        self._stream.stop()

    async def thaw(self) -> None:
        """Let them go on (``SIGCONT``)."""
        self._stream.go_on()

    async def kill(self) -> None:
        """End the guest and its sandbox; idempotent. A sandbox that cannot be reached ends when its time is up."""
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._end())
        await asyncio.shield(self._ending)

    async def suspend(self) -> Suspended:
        """Pause the sandbox between two actions, its memory included, and let go of it.

        Raises:
            SandboxError: It cannot be paused; it runs on.
        """
        with translated("a session was being suspended", opening=False):
            await self._sandbox.pause()
        return await self.leave()

    async def leave(self) -> Suspended:
        """Let go of the guest and leave it running, until its time is up."""
        self._keeping.cancel()
        self._stream.close()
        await self._stream.disconnect()
        self._ending = asyncio.get_running_loop().create_future()
        self._ending.set_result(None)
        lines = self._stream.lines
        return Suspended(
            sandbox_id=self.sandbox_id,
            pid=self._stream.pid,
            sent=lines.sent,
            received=lines.received,
            signals=self._stream.signals,
            template=self._template,
        )

    async def _end(self) -> None:
        self._keeping.cancel()
        self._stream.close()
        await asyncio.gather(_kill(self._sandbox), self._stream.disconnect())

    async def _keep_alive(self) -> None:
        """Extend the sandbox's time while an action runs, or since one ran lately; an idle one ends by itself."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._timeout / 12)
            now = loop.time()
            if now - self._renewed < self._timeout / 3 or not (self._waiting or self._stream.used > self._renewed):
                continue
            try:
                await self._sandbox.set_timeout(self._timeout)
            except Exception as error:
                LOGGER.warning("the time of sandbox %s could not be extended: %s", self.sandbox_id, error)
            else:
                self._renewed = now


async def _upload(sandbox: AsyncSandbox) -> None:
    folder = source_folder()
    entries: list[WriteEntry] = [{"path": f"{folder}/{name}", "data": data} for name, data in source_files().items()]
    with translated("the guest was being uploaded"):
        await sandbox.files.write_files(entries)


async def _launch(sandbox: AsyncSandbox, request: SandboxRequest) -> tuple[RelayStream, str, dict[str, Any]]:
    """Start the relay; return its stream, and the first that it said."""
    stream = RelayStream(sandbox)
    try:
        with translated("the guest was being started"):
            await stream.start(_command(request))
            async with asyncio.timeout(_START_SECONDS):
                word, about = await stream.announced
    except BaseException:
        stream.close()
        await stream.disconnect()
        raise
    return stream, word, about


def _command(request: SandboxRequest) -> str:
    limits = request.limits
    options = {
        "memory_mb": limits.memory_mb,
        "files_mb": limits.files_mb,
        "threads": limits.threads,
        "packages": list(request.packages),
    }
    folder = f'"$HOME"/{source_folder()}'
    return (
        f"test -d {folder} || exit {_NO_SOURCE}; command -v python3 >/dev/null || exit {_NO_PYTHON}; "
        "exec env -u PYTHONPATH -u PYTHONHOME PYTHONHASHSEED=0 "
        f"python3 -P -s -B -c {shlex.quote(_BOOT)} {folder} {shlex.quote(json.dumps(options))}"
    )


def _not_up(template: str, word: str, about: dict[str, Any]) -> Exception:
    message = str(about.get("message"))[:2000]
    if word == "refused" and about.get("step") == "packages":
        return ConfigurationError(
            f"In the template {template!r}: {message} Build a template that has it: "
            "`codeact-tools e2b template NAME -p PACKAGE`."
        )
    if about.get("code") == _NO_PYTHON:
        return ConfigurationError(f"The template {template!r} has no Python 3.11 or newer; choose another one.")
    if word == "refused":
        advice = str(about.get("advice"))[:1000]
        return SandboxUnavailable(
            f"The jail cannot be built in the sandbox, and nothing runs outside of it: {about.get('step')}: {message} "
            f"{advice}".rstrip()
        )
    return SandboxUnavailable(f"The guest did not start in the sandbox: {message}")


async def _kill(sandbox: AsyncSandbox) -> None:
    try:
        await sandbox.kill()
    except Exception as error:
        LOGGER.warning("sandbox %s could not be killed and ends when its time is up: %s", sandbox.sandbox_id, error)


_KILLING: Final[set[asyncio.Future[E2BGuest]]] = set()
"""Sandboxes that are being created for nobody; kept so that they are killed."""


def _discard(opening: asyncio.Future[E2BGuest]) -> None:
    """End a guest whose opening was cancelled meanwhile."""
    if opening.cancelled() or opening.exception() is not None:
        _KILLING.discard(opening)
        return
    killing = asyncio.ensure_future(opening.result().kill())
    killing.add_done_callback(lambda _: _KILLING.discard(opening))


@functools.cache
def source_files() -> Mapping[str, bytes]:
    """What runs in the sandbox, by its path below `source_folder`."""
    sandbox = Path(__file__).parent
    paths = [_PACKAGE / "errors.py", sandbox / "packages.py"]
    paths += [path for part in ("guest", "jail", "relay") for path in sorted((sandbox / part).rglob("*.py"))]
    files = {str(path.relative_to(_PACKAGE.parent)): path.read_bytes() for path in paths}
    return {"codeact_tools/__init__.py": b"", "codeact_tools/sandbox/__init__.py": b"", **files}


@functools.cache
def source_folder() -> str:
    """Where it is, below the home of the sandbox's user; another version of it is in another folder."""
    digest = hashlib.sha256(b"".join(name.encode() + data for name, data in sorted(source_files().items())))
    return f".codeact-tools/{digest.hexdigest()[:16]}"
