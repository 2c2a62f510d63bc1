"""Real servers on the loopback interface, well-behaved and hostile, and a resolver that answers as it is told."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from codeact_tools_web import WebConfig

Answer = bytes | Callable[["Request"], bytes | Iterable[bytes]]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a server was asked."""

    path: str
    headers: dict[str, str]
    server_name: str | None


def answer(body: bytes | str = b"", status: str = "200 OK", kind: str = "text/html", **headers: str) -> bytes:
    """A whole, valid answer."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", "Connection: close"]
    lines += [f"Content-Type: {kind}"] if kind else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def page(body: str, title: str = "Page") -> bytes:
    """A page of HTML."""
    return answer(f"<!doctype html><html><head><title>{title}</title></head><body>{body}</body></html>")


def moved(location: str, status: str = "302 Found") -> bytes:
    """A redirect."""
    return answer(status=status, Location=location)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients of hostile servers leave early."""


@dataclass(kw_only=True)
class Site:
    """A server that answers each path with bytes as they are written here."""

    pages: Mapping[str, Answer]
    address: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Self:
        site = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    site._serve(self.request)

        self._server = _Server((self.address, self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def place(self) -> str:
        """Host and port."""
        return f"{self.address}:{self.port}"

    def url(self, path: str = "/", host: str | None = None) -> str:
        """The address of a page."""
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{host or self.address}:{self.port}{path}"

    def asked(self, *, robots: bool = False) -> list[str]:
        """The paths that were asked for, in order."""
        return [each.path for each in self.requests if robots or each.path != "/robots.txt"]

    def _serve(self, connection: Any) -> None:
        connection.settimeout(60)
        names: list[str | None] = [None]
        if self.tls is not None:
            self.tls.sni_callback = lambda _socket, name, _context: names.append(name)
            connection = self.tls.wrap_socket(connection, server_side=True)
        data = b""
        while b"\r\n\r\n" not in data:
            if not (part := connection.recv(65536)):
                return
            data += part
        first, *lines = data.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        request = Request(path=first.split(" ")[1], headers=headers, server_name=names[-1])
        self.requests.append(request)
        found = self.pages.get(request.path.partition("?")[0], answer("no such page", status="404 Not Found"))
        made = found(request) if callable(found) else found
        for part in [made] if isinstance(made, bytes) else made:
            connection.sendall(part)
        with suppress(OSError):
            connection.unwrap() if self.tls is not None else connection.shutdown(1)
        connection.close()


@dataclass
class Names:
    """A resolver: each name has answers, given one after the other; the last one stays."""

    answers: Mapping[str, Sequence[Sequence[str]]]
    asked: list[str] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """The next answer."""
        self.asked.append(host)
        if host not in self.answers:
            raise OSError(f"no such name: {host}")
        answers = self.answers[host]
        return answers[min(self.asked.count(host), len(answers)) - 1]


def reaching(*sites: Site, **settings: Any) -> WebConfig:
    """Settings under which the sites can be reached, fast."""
    return WebConfig(**{"allow_private": [site.place for site in sites], "per_second": 1000, **settings})
