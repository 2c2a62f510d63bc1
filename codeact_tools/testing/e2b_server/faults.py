"""What can be made to go wrong: distance, refusals, lost connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(kw_only=True)
class Failure:
    """An answer in place of the true one, for requests whose path contains ``path``."""

    status: int
    message: str = "injected"
    path: str = ""
    times: int = 1
    """How many requests fail; then it is used up."""
    retry_after: int | None = None
    """Seconds, sent as ``Retry-After``."""


@dataclass(kw_only=True)
class Faults:
    """May be changed at any time; a connection that is open takes notice."""

    round_trip: float = 0.0
    """Seconds that each byte needs, there and back; both ways are pipelined, as on a real network."""
    failures: list[Failure] = field(default_factory=list)
    chunk: int = 32 * 1024
    """Bytes of output in one event; a small number splits lines and characters."""
    input_streams: bool = True
    """Whether the daemon knows ``StreamInput``, which older ones do not."""

    def take(self, path: str) -> Failure | None:
        """Return the failure that is due for a request to ``path``."""
        for failure in self.failures:
            if failure.path in path and failure.times > 0:
                failure.times -= 1
                return failure
        return None


class FaultyNetwork:
    """ASGI middleware between the client and the server."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, late, or not at all."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        app: ASGIApp = self._app
        failure = self._faults.take(scope["path"])
        if failure is not None:
            headers = {} if failure.retry_after is None else {"Retry-After": str(failure.retry_after)}
            body = {"code": failure.status, "message": failure.message}
            app = _refusing(JSONResponse(body, failure.status, headers))
        incoming, outgoing = _Late(self._faults), _Late(self._faults)
        reading = asyncio.create_task(_pump(receive, incoming))
        writing = asyncio.create_task(_drain(outgoing, send))
        try:
            await app(scope, incoming.get, outgoing.put)
            await outgoing.put(None)
            await writing
        finally:
            for task in (reading, writing):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


def _refusing(answer: JSONResponse) -> ASGIApp:
    """Answer once the request is there: the end of a connection in the middle of an upload would be another failure."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        whole = any(name == b"content-length" for name, _ in scope["headers"])
        while whole and (await receive()).get("more_body"):
            pass
        await answer(scope, receive, send)

    return refuse


class _Late:
    """A queue whose items can be taken half a round trip after they were put in."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._queue: asyncio.Queue[tuple[float, Message | None]] = asyncio.Queue()

    async def put(self, item: Message | None) -> None:
        due = asyncio.get_running_loop().time() + self._faults.round_trip / 2
        self._queue.put_nowait((due, item))

    async def take(self) -> Message | None:
        due, item = await self._queue.get()
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        return item

    async def get(self) -> Message:
        item = await self.take()
        return item if item is not None else {"type": "http.disconnect"}


async def _pump(receive: Receive, late: _Late) -> None:
    while True:
        message = await receive()
        await late.put(message)
        if message["type"] == "http.disconnect":
            return


async def _drain(late: _Late, send: Callable[[Message], Awaitable[None]]) -> None:
    while (message := await late.take()) is not None:
        await send(message)
