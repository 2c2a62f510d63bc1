"""Fetching: one address, with its redirects, under all limits; and what a session remembers of it."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import httpx2

from .config import WebConfig
from .errors import Blocked, HttpError, InvalidURL, NotReadable, RobotsDisallowed, TimedOut, TooLarge, Unreachable
from .markup import Reading, read_html
from .network import GuardedBackend, GuardedTransport, Resolver, SystemResolver, trust
from .pace import Pace
from .robots import MOST_BYTES, MOST_REDIRECTS, Rules
from .sample import HOST as SAMPLE
from .sample import SampleSite
from .text import decoded
from .urls import Target, following, matches, read_url, refuse_host

HTML: Final = "text/html, application/xhtml+xml, text/plain;q=0.9, application/json;q=0.8, */*;q=0.5"
MOST_REMEMBERED: Final = 100
"""Pages, and rules of sites, that a session remembers."""
_ENCODINGS: Final = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
_ADVICE: Final = {
    401: "it wants a login, which cannot be given; try another site",
    403: "it refuses programs; try another site",
    404: "there is no such page; check the address, or look at the links of the site's first page",
    410: "the page is gone; search for another one",
    429: "it was asked too often; use another site, or come back later",
    451: "it may not be shown for legal reasons; try another site",
}


@dataclass(kw_only=True)
class Document:
    """What an address holds."""

    target: Target
    """Where the redirects ended."""
    status: int
    headers: httpx2.Headers
    body: bytes
    truncated: bool

    @property
    def url(self) -> str:
        """Where the redirects ended."""
        return str(self.target.url)

    @property
    def content_type(self) -> str:
        """In lower case, without parameters; empty where the server says nothing."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @cached_property
    def text(self) -> str:
        """The body as text."""
        return decoded(self.body, self.headers.get("Content-Type", ""))

    @cached_property
    def reading(self) -> Reading:
        """The body as HTML, read."""
        return read_html(self.text, self.url)


class _Hop(NamedTuple):
    """One answer: a document, or where to go on."""

    document: Document | None
    location: str = ""


class Web:
    """The web of one session: its settings, what it remembers, and how fast it asks.

    >>> web = Web(WebConfig())
    >>> asyncio.run(web.get("https://sample.invalid/berths.json")).content_type
    'application/json'

    It may be used from several threads, each with an event loop of its own.

    Args:
        config: What is allowed.
        resolver: How names become addresses; the operating system's way by default.
    """

    def __init__(self, config: WebConfig, *, resolver: Resolver | None = None) -> None:
        self.config = config
        self._resolver = resolver or SystemResolver()
        self._pace = Pace(per_second=config.per_second, per_host=config.per_host)
        self._lock = threading.Lock()
        self._pages: OrderedDict[tuple[str, str, int], tuple[float, Document]] = OrderedDict()
        self._rules: OrderedDict[str, tuple[float, Rules]] = OrderedDict()

    async def get(self, url: str, *, accept: str = HTML, cap: int | None = None, cut: bool = True) -> Document:
        """Fetch what an address holds.

        Args:
            url: The address.
            accept: Which types of content are wanted.
            cap: Most bytes; those of a page by default.
            cut: Whether to cut what is longer, and to take what broke off, instead of raising.

        Raises:
            WebError: It cannot be had; which one says why.
        """
        cap = cap or self.config.max_bytes
        first = self._admitted(url)
        key = (str(first.url), accept, cap)
        if (known := self._recall(key)) is not None and (cut or not known.truncated):
            return known
        async with self._deadline(first), self._client() as client:
            document = await self._follow(client, first, accept=accept, cap=cap, cut=cut)
        self._remember(key, document)
        return document

    async def ask(self, url: str, *, params: Mapping[str, str], headers: Mapping[str, str]) -> Document:
        """Ask an interface that the application has chosen: no robots.txt, no redirects, wherever it is.

        Raises:
            WebError: It cannot be had; which one says why.
        """
        target = read_url(str(httpx2.URL(url).copy_merge_params(params)))
        async with (
            self._deadline(target),
            self._client(trusted=target.place) as client,
            self._pace.turn(target.host),
        ):
            hop = await self._hop(client, target, headers=headers, cap=self.config.max_bytes, cut=False)
        if hop.document is None:
            raise NotReadable(f"{target.origin} redirects to {hop.location[:200]!r} instead of answering")
        return hop.document

    # ---- one address -------------------------------------------------------------------------------------------------

    def _admitted(self, url: str) -> Target:
        """Read an address, and check it against the settings.

        Raises:
            InvalidURL: It is none.
            Blocked: It must not be reached.
        """
        config, target = self.config, read_url(url)
        host = target.host
        if not matches(host, config.allowed_hosts):
            listed = ", ".join(config.allowed_hosts)
            raise Blocked(f"{host!r} is not among the hosts that may be reached: {listed}; use one of them")
        above = (
            {host.split(".", number)[-1] for number in range(host.count(".") + 1)} if not target.is_literal else {host}
        )
        if any(matches(each, config.blocked_hosts) for each in above):
            raise Blocked(f"{host!r} is blocked by the configuration; use another site")
        if host == SAMPLE or target.place in config.allow_private:
            return target
        refuse_host(target)
        if target.port not in config.ports:
            allowed = ", ".join(map(str, config.ports))
            raise Blocked(f"port {target.port} of {host!r} is not to be reached; allowed are {allowed}")
        return target

    async def _follow(
        self, client: httpx2.AsyncClient, target: Target, *, accept: str, cap: int, cut: bool
    ) -> Document:
        visited: list[str] = []
        while len(visited) <= self.config.redirects:
            delay = await self._heed_robots(client, target) if self.config.respect_robots else 0.0
            async with self._pace.turn(target.host, delay=delay):
                hop = await self._hop(client, target, headers={"Accept": accept}, cap=cap, cut=cut)
            if hop.document is not None:
                return hop.document
            visited.append(str(target.url))
            try:
                target = self._admitted(following(target, hop.location))
            except (Blocked, InvalidURL) as error:
                raise type(error)(f"{target.url} redirects to where it may not: {error}") from error
        what = "in a circle" if str(target.url) in visited else f"more than {self.config.redirects} times"
        raise Unreachable(f"{visited[0]} redirects {what}; try another address of the site")

    async def _hop(
        self, client: httpx2.AsyncClient, target: Target, *, headers: Mapping[str, str], cap: int, cut: bool
    ) -> _Hop:
        """Send one request, and read its answer.

        Raises:
            HttpError: The server refuses.
        """
        request = client.build_request("GET", target.url, headers=dict(headers))
        response = await client.send(request, stream=True)
        try:
            if response.status_code in (301, 302, 303, 307, 308) and (location := response.headers.get("Location")):
                return _Hop(None, location)
            if not 200 <= response.status_code < 300:
                raise HttpError(_refusal(target, response), status=response.status_code)
            body, truncated = await _body(response, target, cap=cap, cut=cut)
        finally:
            await response.aclose()
        return _Hop(
            Document(
                target=target, status=response.status_code, headers=response.headers, body=body, truncated=truncated
            )
        )

    @asynccontextmanager
    async def _deadline(self, target: Target) -> AsyncIterator[None]:
        limit = asyncio.timeout(self.config.seconds)
        try:
            async with limit:
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            seconds = f"{self.config.seconds:g} s"
            raise TimedOut(f"{target.host!r} took longer than {seconds}; try once more, or another site") from error

    @asynccontextmanager
    async def _client(self, *, trusted: str | None = None) -> AsyncIterator[httpx2.AsyncClient]:
        """A client for one call: nothing of it, cookies least of all, is there in the next one."""
        exempt = {*self.config.allow_private, trusted}

        def is_exempt(host: str, port: int) -> bool:
            return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}") in exempt

        transport = GuardedTransport(GuardedBackend(self._resolver, is_exempt), self._tls)
        headers = {
            "User-Agent": self.config.user_agent, "Accept-Language": "en, *;q=0.5", "Accept-Encoding": "gzip, deflate",
        }  # fmt: skip
        async with httpx2.AsyncClient(
            transport=transport,
            mounts={f"all://{SAMPLE}": SampleSite()},
            headers=headers,
            trust_env=False,
            timeout=None,
        ) as client:
            yield client

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return trust(None if self.config.ca_file is None else str(self.config.ca_file))

    # ---- robots.txt --------------------------------------------------------------------------------------------------

    async def _heed_robots(self, client: httpx2.AsyncClient, target: Target) -> float:
        """Return how many seconds the site wants between two requests.

        Raises:
            RobotsDisallowed: It wants none at all for this address.
        """
        rules = await self._rules_of(client, target)
        agent = self.config.product
        if not rules.allow(str(target.url), agent):
            why = "does not let programs in" if rules.file else "cannot tell now whether programs may come"
            raise RobotsDisallowed(f"the robots.txt of {target.host!r} {why}: {target.url}; use another page or site")
        return rules.delay(agent, longest=self.config.longest_crawl_delay)

    async def _rules_of(self, client: httpx2.AsyncClient, target: Target) -> Rules:
        if (known := self._known_rules(target)) is not None:
            return known
        rules = await self._asked_rules(client, target)
        with self._lock:
            lasting = 3600 if rules.file is not None or rules.otherwise else 30
            self._rules[target.origin] = time.monotonic() + lasting, rules
            while len(self._rules) > MOST_REMEMBERED:
                self._rules.popitem(last=False)
        return rules

    def _known_rules(self, target: Target) -> Rules | None:
        with self._lock:
            expires, rules = self._rules.get(target.origin, (0.0, None))
        return rules if expires > time.monotonic() else None

    async def _asked_rules(self, client: httpx2.AsyncClient, target: Target) -> Rules:
        try:
            place = self._admitted(following(target, "/robots.txt"))
            for _ in range(MOST_REDIRECTS + 1):
                async with self._pace.turn(place.host):
                    if (known := self._known_rules(target)) is not None:  # another thread was faster
                        return known
                    hop = await self._hop(client, place, headers={"Accept": "text/plain"}, cap=MOST_BYTES, cut=True)
                if hop.document is not None:
                    return Rules.of(200, hop.document.body.decode("utf-8", errors="replace"))
                place = self._admitted(following(place, hop.location))
        except HttpError as error:
            return Rules.of(error.status, "")
        except NotReadable:
            return Rules.of(503, "")
        except InvalidURL:
            return Rules.of(404, "")
        return Rules.of(404, "")

    # ---- memory ------------------------------------------------------------------------------------------------------

    def _recall(self, key: tuple[str, str, int]) -> Document | None:
        with self._lock:
            expires, document = self._pages.get(key, (0.0, None))
            return document if expires > time.monotonic() else None

    def _remember(self, key: tuple[str, str, int], document: Document) -> None:
        if not self.config.cache_seconds or "no-store" in document.headers.get("Cache-Control", "").lower():
            return
        with self._lock:
            self._pages[key] = time.monotonic() + self.config.cache_seconds, document
            self._pages.move_to_end(key)
            while (
                len(self._pages) > MOST_REMEMBERED
                or sum(len(each.body) for _, each in self._pages.values()) > self.config.cache_bytes
            ):
                self._pages.popitem(last=False)


async def _body(response: httpx2.Response, target: Target, *, cap: int, cut: bool) -> tuple[bytes, bool]:
    """Read a body, decompressed, no further than ``cap``."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        raise NotReadable(f"{target.url} is packed as {encoding[:50]!r}, which was not asked for; try another site")
    length = response.headers.get("Content-Length", "")
    if not cut and length.isdecimal() and int(length[:20]) > cap:
        raise TooLarge(f"{target.url} has {int(length[:20]):,} bytes; {cap:,} are allowed")
    data = bytearray()
    try:
        async for part in response.aiter_bytes():
            data += part[: cap + 1 - len(data)]
            if len(data) > cap:
                break
    except httpx2.DecodingError as error:
        raise NotReadable(f"{target.url} cannot be decompressed; try another site") from error
    except (NotReadable, Unreachable) as error:
        if cut and data:
            return bytes(data), True
        raise NotReadable(f"{target.url} broke off after {len(data):,} bytes; try once more") from error
    if len(data) <= cap:
        return bytes(data), False
    if not cut:
        raise TooLarge(f"{target.url} has more than {cap:,} bytes, which are allowed; look for a smaller file")
    return bytes(data[:cap]), True


def _refusal(target: Target, response: httpx2.Response) -> str:
    status = response.status_code
    advice = _ADVICE.get(status, "the server has a problem; try later, or another site" if status >= 500 else "")
    later = response.headers.get("Retry-After", "")[:40]
    wait = f" (it says: after {later}{' s' if later.isdecimal() else ''})" if later else ""
    return (
        f"{target.url} answered {status} {response.reason_phrase}".rstrip() + f": {advice or 'try another page'}{wait}"
    )
