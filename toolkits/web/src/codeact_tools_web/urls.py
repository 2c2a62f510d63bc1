"""Addresses of web pages, read strictly: what two programs would read differently is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final
from urllib.parse import urlsplit

import httpx2

from .addresses import why_refused
from .errors import Blocked, InvalidURL

LONGEST: Final = 8192
"""Characters of an address."""
_PORTS: Final = {"http": 80, "https": 443}
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u2000-\u200f\u2028-\u202f\u2060-\u206f\u3000\ufeff\\]")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL: Final = ("localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "home.arpa")
_NOWHERE: Final = ("invalid", "test", "example", "onion", "alt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An address that was read: where it leads, in one spelling."""

    url: httpx2.URL
    """Without fragment."""
    scheme: str
    host: str
    """In lower case and ASCII, without the dot at its end; of IPv6 without brackets."""
    port: int

    @property
    def place(self) -> str:
        """Host and port, as configurations write them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{self.scheme}://{self.place}"

    @property
    def is_literal(self) -> bool:
        """Whether the host is an address, not a name."""
        return ":" in self.host or _is_number(self.host)


def read_url(text: str) -> Target:
    """Read an address.

    >>> read_url("HTTPS://Example.ORG./a?b=1#c").url
    URL('https://example.org/a?b=1')

    Raises:
        InvalidURL: It is none, or none of the web, or it has several readings.
    """
    text = text.strip(" \t\r\n")
    if len(text) > LONGEST:
        raise InvalidURL(f"the address has {len(text)} characters; {LONGEST} are allowed")
    if "://" not in text.partition("?")[0]:
        raise InvalidURL(f"{text!r} is not a whole address; write it like 'https://example.org/page'")
    if found := _FORBIDDEN.search(text):
        raise InvalidURL(
            f"{text!r} holds {found[0]!r}, which no address may; write it percent-encoded, a space as '%20'"
        )
    try:
        url = httpx2.URL(text).copy_with(fragment=None)
        other = urlsplit(text)
        port, host, userinfo = other.port, other.hostname, other.username
    except (httpx2.InvalidURL, ValueError, UnicodeError) as error:
        raise InvalidURL(f"{text!r} is no valid address: {error}") from error
    if url.scheme not in _PORTS:
        raise InvalidURL(f"{text!r} begins with {url.scheme!r}; only 'http' and 'https' addresses can be fetched")
    if url.userinfo or userinfo is not None or "@" in other.netloc:
        raise InvalidURL(f"an address must not hold a user name or password: write {url.host!r} without '…@'")
    ascii_host = _host(url, text)
    if not host or host.strip("[]").lower() != url.host.strip("[]").lower() or (port is not None and port == 0):
        raise InvalidURL(f"{text!r} can be read in several ways; write host and path plainly")
    real_port = url.port or _PORTS[url.scheme]
    if port is not None and port != real_port:
        raise InvalidURL(f"{text!r} can be read in several ways; write the port plainly")
    shown = f"[{ascii_host}]" if ":" in ascii_host else ascii_host
    return Target(url=url.copy_with(host=shown), scheme=url.scheme, host=ascii_host, port=real_port)


def _host(url: httpx2.URL, text: str) -> str:
    """The host in the one spelling that is checked and connected to."""
    host = url.raw_host.decode("ascii").strip("[]").lower()
    if ":" in host:
        try:
            address = IPv6Address(host)
        except AddressValueError as error:
            raise InvalidURL(f"{text!r} holds no valid IPv6 address") from error
        if address.scope_id is not None:
            raise InvalidURL(f"{text!r} names an interface of this machine; leave out what stands behind '%'")
        return address.compressed
    host = host.removesuffix(".")
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidURL(f"{text!r} names no valid host; write it like 'https://example.org/page'")
    if _NUMBER.fullmatch(labels[-1]) and not _is_number(host):
        raise InvalidURL(f"{host!r} is an odd spelling of an internet address; write four decimal numbers, or a name")
    return host


def _is_number(host: str) -> bool:
    try:
        return str(IPv4Address(host)) == host
    except AddressValueError:
        return False


def why_no_public_name(host: str) -> str | None:
    """Say why a name cannot be that of a public host; None where it can be.

    >>> why_no_public_name("printer.local"), why_no_public_name("intranet"), why_no_public_name("example.org")
    ("names that end in '.local' belong to private networks", "'intranet' is no full name", None)
    """
    for suffix in _LOCAL:
        if host == suffix or host.endswith(f".{suffix}"):
            return f"names that end in '.{suffix}' belong to private networks" if host != suffix else _short(host)
    for suffix in _NOWHERE:
        if host == suffix or host.endswith(f".{suffix}"):
            return f"no host on the internet has a name that ends in '.{suffix}'"
    return None if "." in host else _short(host)


def _short(host: str) -> str:
    return f"{host!r} is no full name"


def matches(host: str, patterns: Sequence[str]) -> bool:
    """Whether a host is one of ``patterns``: ``example.org`` itself, ``*.example.org`` what is below it, ``*`` any.

    >>> matches("www.example.org", ("*.example.org",)), matches("example.org", ("*.example.org",))
    (True, False)
    """
    return any(fnmatchcase(host, pattern.lower().removesuffix(".")) for pattern in patterns)


def following(base: Target, location: str) -> str:
    """Return the address that a redirect or a link of ``base`` leads to, unread."""
    try:
        return str(base.url.join(location))
    except (httpx2.InvalidURL, ValueError, UnicodeError) as error:
        raise InvalidURL(f"{base.url} leads to {location[:200]!r}, which is no valid address") from error


def refuse_host(target: Target) -> None:
    """Refuse a name that cannot be that of a public host, and an address that is not public.

    What a public name resolves to is checked when it is connected to.

    Raises:
        Blocked: It is one of these.
    """
    if target.is_literal:
        why = f"it belongs to {found}" if (found := why_refused(target.host)) else None
    else:
        why = why_no_public_name(target.host)
    if why is not None:
        raise Blocked(f"{target.host!r} is not to be reached: {why}; only public hosts can be fetched")
