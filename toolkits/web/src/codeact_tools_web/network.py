"""Connections: a host's name is resolved once, every address is checked, and the checked address is connected to.

HTTP and TLS go on as if the name had been connected to: the ``Host`` header, the server name of the TLS handshake and
the certificate's names are those of the address that was asked for. Whatever the name resolves to a moment later
(DNS rebinding) is never looked at.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any, Final, Protocol

import httpcore2
import httpx2

from .addresses import why_refused
from .errors import Blocked, NotReadable, Unreachable

MOST_ADDRESSES: Final = 4
"""Of one host, that are tried one after the other."""
SECONDS_PER_ADDRESS: Final = 5.0


class Resolver(Protocol):
    """How names become addresses."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host, best first.

        Raises:
            OSError: It has none.
        """
        ...


class SystemResolver:
    """The operating system's resolver, in a thread that nobody has to wait for."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host, best first."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()

        def settle(addresses: list[str], error: OSError | None) -> None:
            if not answer.done():
                answer.set_result(addresses) if error is None else answer.set_exception(error)

        def look_up() -> None:
            addresses: list[str] = []
            failure: OSError | None = None
            try:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                addresses = [str(each[4][0]) for each in found]
            except OSError as error:
                failure = error
            except UnicodeError as error:
                failure = OSError(str(error))
            with suppress(RuntimeError):  # the loop is closed: nobody waits any longer
                loop.call_soon_threadsafe(settle, addresses, failure)

        threading.Thread(target=look_up, name="codeact-tools-web resolver", daemon=True).start()
        return list(dict.fromkeys(await answer))


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to public addresses only.

    Args:
        resolver: How names become addresses.
        is_exempt: Whether host and port may be reached wherever they are.
    """

    def __init__(self, resolver: Resolver, is_exempt: Callable[[str, int], bool]) -> None:
        self._resolver = resolver
        self._is_exempt = is_exempt
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Resolve, check all addresses, connect to the first that answers.

        Raises:
            Blocked: One of the addresses is not public.
            Unreachable: There is none, or none answers.
        """
        failure: Exception | None = None
        for address in (await self._addresses(host, port))[:MOST_ADDRESSES]:
            try:
                return await self._sockets.connect_tcp(
                    address,
                    port,
                    timeout=min(timeout or SECONDS_PER_ADDRESS, SECONDS_PER_ADDRESS),
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        why = "it does not answer" if isinstance(failure, httpcore2.ConnectTimeout) else "it refuses the connection"
        raise Unreachable(f"{host!r} cannot be reached at port {port}: {why}; try another site") from failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore2.AsyncNetworkStream:
        """Refuse: a socket of this machine is not the web."""
        raise Blocked(f"{path!r} is a socket of this machine, not the web")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses: Sequence[str] = (str(ip_address(host)),)
        except ValueError:
            addresses = await self._resolved(host, port)
        if not self._is_exempt(host, port):
            for address in addresses:
                if (why := why_refused(address)) is not None:
                    shown = host if host == address else f"{host} ({address})"
                    raise Blocked(
                        f"{shown} is not to be reached: it belongs to {why}; only public hosts can be fetched"
                    )
        return addresses

    async def _resolved(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = await self._resolver.resolve(host, port)
        except OSError as error:
            raise Unreachable(f"there is no host {host!r}; check its spelling, or search for the site") from error
        if not addresses:
            raise Unreachable(f"the host {host!r} has no address; check its spelling, or search for the site")
        return addresses


class GuardedTransport(httpx2.AsyncBaseTransport):
    """httpx's way to the network, over a `GuardedBackend`. No proxy: it would resolve names by itself."""

    def __init__(self, backend: httpcore2.AsyncNetworkBackend, tls: ssl.SSLContext) -> None:
        self._pool = httpcore2.AsyncConnectionPool(ssl_context=tls, max_connections=10, network_backend=backend)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; what fails is told in this package's errors."""
        url = request.url
        core = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            extensions=request.extensions,
        )
        with told_plainly(url.host):
            answer = await self._pool.handle_async_request(core)
        return httpx2.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer, url.host),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class _Body(httpx2.AsyncByteStream):
    """The rest of an answer, as it comes."""

    def __init__(self, answer: httpcore2.Response, host: str) -> None:
        self._answer = answer
        self._host = host

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._answer.stream, AsyncIterable)  # noqa: S101 - of an asynchronous pool
        with told_plainly(self._host):
            async for part in self._answer.stream:
                yield part

    async def aclose(self) -> None:
        """Give the connection back."""
        await self._answer.aclose()


@contextmanager
def told_plainly(host: str) -> Any:
    """Turn what the network raises into this package's errors."""
    try:
        yield
    except httpcore2.ConnectError as error:
        detail = str(error)
        why = f"its certificate is wrong ({detail})" if "CERTIFICATE" in detail.upper() else detail or "no connection"
        raise Unreachable(f"{host!r} cannot be reached: {why}; try another site") from error
    except (httpcore2.NetworkError, httpcore2.TimeoutException, OSError) as error:
        raise Unreachable(f"{host!r} broke off the connection; try once more, or another site") from error
    except httpcore2.ProtocolError as error:
        raise NotReadable(f"what {host!r} sends is no valid HTTP ({error}); try another site") from error


def trust(ca_file: str | None) -> ssl.SSLContext:
    """The certificates to trust: the system's, and those of a file.

    Raises:
        OSError: The file is not there, or holds no certificates.
    """
    context = httpx2.create_ssl_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context
