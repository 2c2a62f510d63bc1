"""An OpenAI-compatible server for tests that fails in whatever way a test asks for."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Exchange:
    """One request, and the means to answer it in any way."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        self.path = handler.path
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.body = body
        self._handler = handler

    def answer(self, status: int, body: object, *, kind: str = "application/json", **headers: str) -> None:
        """Send a whole response; ``retry_after="1"`` becomes the header ``Retry-After``."""
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self._handler.send_response(status)
        self._handler.send_header("Content-Type", kind)
        self._handler.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()
        self._handler.wfile.write(data)

    def start(self) -> None:
        """Begin an event stream, which ends with the connection."""
        self._handler.send_response(200)
        self._handler.send_header("Content-Type", "text/event-stream")
        self._handler.send_header("Connection", "close")
        self._handler.end_headers()

    def send(self, event: object) -> None:
        """Send one event: a string as it is, anything else as JSON."""
        data = event if isinstance(event, str) else json.dumps(event)
        self._handler.wfile.write(f"data: {data}\n\n".encode())
        self._handler.wfile.flush()

    def reply(self, *texts: str, finish: str | None = "stop", usage: bool = True, **counts: object) -> None:
        """Send a whole reply in pieces, in the form that the path asks for; ``counts`` go into the usage."""
        make = chunk if self.path.endswith("/chat/completions") else text_chunk
        self.start()
        for text in texts:
            self.send(make(text))
        if finish is not None:
            self.send(make(finish=finish))
        if usage:
            self.send({**make(), "choices": [], "usage": {**USAGE, **counts}})
        self.send("[DONE]")


USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 4,
    "total_tokens": 24,
    "prompt_tokens_details": {"cached_tokens": 16},
}


def chunk(text: str | None = None, *, finish: str | None = None, **delta: str) -> dict[str, Any]:
    """Return one chunk of a streamed reply."""
    content = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": {**content, **delta}, "finish_reason": finish}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "tiny", "choices": [choice]}


def text_chunk(text: str | None = None, *, finish: str | None = None) -> dict[str, Any]:
    """Return one chunk of a streamed plain completion."""
    choice = {"index": 0, "text": text or "", "logprobs": None, "finish_reason": finish}
    return {"id": "1", "object": "text_completion", "created": 1, "model": "tiny", "choices": [choice]}


Behaviour = Callable[[Exchange], None]


@dataclass
class FaultyEndpoint:
    """The running server."""

    url: str = ""
    behaviour: Behaviour = Exchange.reply
    models: tuple[str, ...] = ("tiny",)
    about: dict[str, Any] = field(default_factory=lambda: {"owned_by": "tests"})
    """What the list of models says about each, besides its name."""
    properties: dict[str, Any] | None = None
    """llama.cpp's ``/props``; None: there is no such page."""
    requests: list[Exchange] = field(default_factory=list)
    disconnected: threading.Event = field(default_factory=threading.Event)
    """Set when the client closed the connection before the reply's end."""

    def _serve(self, exchange: Exchange) -> None:
        if exchange.path == "/v1/models":
            listing = [{"id": name, "object": "model", "created": 1, **self.about} for name in self.models]
            exchange.answer(200, {"object": "list", "data": listing})
        elif exchange.path == "/props" and self.properties is not None:
            exchange.answer(200, self.properties)
        elif exchange.path in {"/v1/chat/completions", "/v1/completions"}:
            self.requests.append(exchange)
            self.behaviour(exchange)
        else:
            exchange.answer(404, "<html>Not here</html>", kind="text/html")


@contextlib.contextmanager
def faulty_endpoint() -> Iterator[FaultyEndpoint]:
    """Start the server on a port of the loopback interface."""
    endpoint = FaultyEndpoint()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            try:
                endpoint._serve(Exchange(self, body))
            except (BrokenPipeError, ConnectionResetError):
                endpoint.disconnected.set()
            self.close_connection = True

        do_GET = do_POST = _serve  # noqa: N815 - the base class looks for these names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    endpoint.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def dribble(exchange: Exchange) -> None:
    """Send text without end, until the client goes away."""
    exchange.start()
    for number in range(2000):
        exchange.send(chunk(f"word{number} "))
        time.sleep(0.01)
