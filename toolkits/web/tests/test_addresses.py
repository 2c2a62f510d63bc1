"""Which addresses are public, and how addresses of pages are read: by hostile spellings, and by property."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

import httpx2
import pytest
from codeact_tools_web import InvalidURL, Web, WebConfig
from codeact_tools_web.addresses import why_refused
from codeact_tools_web.errors import Blocked
from codeact_tools_web.urls import read_url
from hypothesis import example, given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_public_addresses_are_let_through(address: str) -> None:
    """Also those of IPv4 inside of IPv6."""
    assert why_refused(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 - nothing is bound
        "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
        "169.254.169.254", "168.63.129.16", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1",
        "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.51.100.7", "203.0.113.7", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::",
        "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254",
        "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "4000::1", "no address", "",
    ],
)  # fmt: skip
def test_all_others_are_refused(address: str) -> None:
    """This machine, private networks, metadata services, multicast, and what carries such an address inside."""
    assert why_refused(address)


@given(st.ip_addresses(v=4))
def test_what_is_public_is_global(address: IPv4Address) -> None:
    """The ranges are never more generous than Python's, and the same inside of IPv6."""
    if why_refused(str(address)) is None:
        assert address.is_global
        assert not address.is_multicast
    assert why_refused(f"::ffff:{address}") == why_refused(str(address))
    assert why_refused(str(IPv6Address(int(IPv6Address("64:ff9b::")) + int(address)))) == why_refused(str(address))


@given(st.ip_addresses(v=6))
def test_what_is_public_is_global_unicast(address: IPv6Address) -> None:
    """Of IPv6, only 2000::/3 is assigned to hosts, and the translation to IPv4."""
    if why_refused(str(address)) is None and address.ipv4_mapped is None:
        assert str(address).startswith(("2", "3", "64:ff9b::"))


@pytest.mark.parametrize(
    "text",
    [
        "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://127.1/", "http://0177.0.0.1/",
        "http://127.0.0.01/", "http://127.0.0.1.0x1/", "http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/",
        "http://\uff11\uff12\uff17.0.0.1/", "http://127.0.0.1\\@example.org/", "http://example.org\\@127.0.0.1/",
        "http://user@example.org/", "http://user:word@example.org/", "http://@example.org/",
        "http://example.org@127.0.0.1/", "http://127.0.0.1 .example.org/", "http://exa mple.org/",
        "http://example.org:0/", "http://example.org:99999/", "http://example.org:8o/", "http://[::1/",
        "http://[fe80::1%25eth0]/", "http://[::1]evil.org/", "http:///path", "http:/example.org",
        "http:example.org", "//example.org", "example.org", "", "http://", "https://.", "ftp://example.org/",
        "file:///etc/passwd", "javascript:alert(1)", "data:text/html,x", "gopher://example.org/",
        "unix:///run/x.sock", "http://a..b/", "http://-a.org/", f"http://{'a' * 64}.org/",
        f"http://example.org/{'a' * 9000}", "http://exam\nple.org/", "http://example.org/\r\nHost: evil",
        "http://example.org/\0", "http://127%2e0%2e0%2e1/", "http://xn--/", "http://example.org\u2028.evil.org/",
        "http://exa\u00admple.org:x/",
    ],
)  # fmt: skip
def test_odd_spellings_are_no_addresses(text: str) -> None:
    """Other numbers, other letters, other slashes, credentials, other schemes: none of them is read at all."""
    with pytest.raises(InvalidURL):
        read_url(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("https://example.org", "example.org", 443),
        ("HTTP://EXAMPLE.ORG.:8080/a b", None, 0),
        ("HTTP://EXAMPLE.ORG.:8080/a%20b#part", "example.org", 8080),
        ("https://bücher.example.org/", "xn--bcher-kva.example.org", 443),
        ("http://[2606:4700:0:0::1111]:80/", "2606:4700::1111", 80),
        ("  https://example.org/?q=a@b:c  ", "example.org", 443),
    ],
)
def test_plain_addresses_have_one_spelling(text: str, host: str | None, port: int) -> None:
    """Lower case, ASCII, no dot at the end, no fragment."""
    if host is None:
        with pytest.raises(InvalidURL, match="%20"):
            read_url(text)
        return
    target = read_url(text)
    assert (target.host, target.port, target.url.fragment) == (host, port, "")


PARTS = st.sampled_from(
    [
        *"/:@?#[]\\.%",
        "//",
        "http:",
        "https://",
        "example.org",
        "127.0.0.1",
        "evil.org",
        "::1",
        "8080",
        "%2e",
        "user",
        "\t",
    ]
)


@given(st.lists(PARTS, max_size=8).map("".join).map("http://{}".format))
@example("http://example.org#@127.0.0.1/")
@example("http://example.org?@127.0.0.1/")
@example("http://[::ffff:7f00:1]/")
def test_two_programs_read_the_same_host(text: str) -> None:
    """What is let through, the standard library and httpx send to the same host and port."""
    try:
        target = read_url(text)
    except InvalidURL:
        return
    for again in (text, str(target.url)):
        other = urlsplit(again.strip(" \t\r\n"))
        mine = httpx2.URL(again.strip(" \t\r\n"))
        assert (other.hostname or "").rstrip(".") == mine.host.rstrip(".")
        assert (other.port or target.port) == (mine.port or target.port) == target.port
        assert other.username is None
    assert read_url(str(target.url)) == target


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No other error comes out."""
    for each in (text, f"http://{text}", f"https://example.org/{text}"):
        try:
            read_url(each)
        except InvalidURL:
            continue


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/", "http://LOCALHOST./", "http://a.localhost/", "http://printer.local/",
        "http://metadata.google.internal/", "http://router.lan/", "http://intranet/", "http://x.home.arpa/",
        "http://y.corp/", "http://z.test/", "http://other.invalid/", "http://x.onion/", "http://127.0.0.1/",
        "http://[::1]/", "http://[::ffff:7f00:1]/", "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1:8080/", "http://example.org:22/", "http://example.org:6379/",
        "https://secret.example.com/",
        "https://deep.secret.example.com/", "https://elsewhere.net/",
    ],
)  # fmt: skip
async def test_hosts_that_must_not_be_reached(url: str) -> None:
    """Local names, private addresses, ports of other services, and what the configuration forbids."""
    config = WebConfig(
        allowed_hosts=["*.com", "*.org", "*.local*", "localhost", "*.internal", "*.lan", "intranet", "*.arpa", "*.corp",
                       "*.test", "*.invalid", "*.onion", "1*", "::*"],
        blocked_hosts=["secret.example.com"],
    )  # fmt: skip
    with pytest.raises(Blocked, match=r"reached|blocked"):
        await Web(config).get(url)
