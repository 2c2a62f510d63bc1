"""The server as a whole, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import threading
from collections.abc import Callable
from typing import Any, Final, Self, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from .builds import Builds
from .control import ControlPlane, Templates
from .daemon import Daemon
from .faults import Faults, FaultyNetwork
from .machine import Machine

_PATIENCE: Final = 10.0
_STOCK: Final[Templates] = {"base": {}, "code-interpreter-v1": {}}
_T = TypeVar("_T")


class E2BServer:
    """Serves on a free port of the loopback interface, from ``with`` to its end; all its sandboxes end with it.

    Args:
        templates: The templates that exist besides E2B's own, each with the files in its home.
        capacity: How many sandboxes there may be at once.
        user: The number of the user whom commands run as, where this is root; E2B's have no rights of their own either.
    """

    def __init__(self, *, templates: Templates | None = None, capacity: int = 1000, user: int | None = None) -> None:
        self.api_key = "e2b_" + secrets.token_hex(20)
        self.faults = Faults()
        """What goes wrong; may be changed at any time."""
        self._plane = ControlPlane(self.api_key, {**_STOCK, **(templates or {})}, self.faults, capacity, user)
        # With its protocol named: only then asyncio turns off Nagle's algorithm, which would add 40 ms to an answer.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._builds = Builds(self._plane, self.url)
        middleware = [Middleware(FaultyNetwork, self.faults)]
        app = Starlette(
            routes=[*self._plane.routes(), *self._builds.routes(), *Daemon(self._plane).routes()], middleware=middleware
        )
        config = uvicorn.Config(app, log_config=None, log_level=logging.CRITICAL, lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="e2b-server", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._ready = threading.Event()

    @property
    def options(self) -> dict[str, Any]:
        """Arguments by which the SDK, and `E2BSandbox`, find this server."""
        return {"api_key": self.api_key, "api_url": self.url, "sandbox_url": self.url}

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables to the same effect."""
        return {"E2B_API_KEY": self.api_key, "E2B_API_URL": self.url, "E2B_SANDBOX_URL": self.url}

    @property
    def sandboxes(self) -> dict[str, Machine]:
        """The sandboxes by their ids; to be looked at, not changed."""
        return dict(self._plane.machines)

    def steps(self, template: str) -> list[dict[str, Any]]:
        """The steps by which a client built ``template``."""
        return self._builds.steps[template]

    def expire(self, sandbox: str) -> None:
        """Let a sandbox's time run out."""
        self._do(lambda: self._plane.machines[sandbox].expire())

    def drop_streams(self) -> None:
        """Break every connection over which a command's output comes."""
        self._do(self._for_all(Machine.drop))

    def close_inputs(self) -> None:
        """Close the standard input of every command, while it runs on."""
        self._do(self._for_all(Machine.close_inputs))

    def stop(self) -> None:
        """Kill all sandboxes and stop serving, at once; idempotent."""
        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._end_all(), self._loop).result(_PATIENCE)
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(_PATIENCE)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_PATIENCE):
            raise TimeoutError("the server did not start")
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._ready.set)
        await self._server.serve(sockets=[self._socket])

    async def _end_all(self) -> None:
        machines = [*self._plane.machines.values()]
        running = [process.task for machine in machines for process in machine.processes.values() if process.task]
        for machine in machines:
            machine.end()
        await asyncio.gather(*running)

    def _for_all(self, action: Callable[[Machine], None]) -> Callable[[], None]:
        def act() -> None:
            for machine in [*self._plane.machines.values()]:
                action(machine)

        return act

    def _do(self, action: Callable[[], _T]) -> _T:
        """Do something on the server's event loop, and wait for it."""

        async def act() -> _T:
            return action()

        return asyncio.run_coroutine_threadsafe(act(), self._loop).result(_PATIENCE)
