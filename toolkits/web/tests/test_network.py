"""Connections go to the address that was checked, for each hop anew: rebinding, redirects, TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from codeact_tools_web import Blocked, InvalidURL, Unreachable, Web, network
from codeact_tools_web.addresses import why_refused

from toolkits.web.tests.sites import Names, Site, answer, moved, page, reaching

PUBLIC = "127.0.0.2"
"""Stands for the open internet in these tests."""


@pytest.fixture(autouse=True)
def _public(monkeypatch: pytest.MonkeyPatch) -> None:
    """One address of the loopback interface counts as public; all others are what they are."""
    monkeypatch.setattr(network, "why_refused", lambda address: None if address == PUBLIC else why_refused(address))


@pytest.fixture
def open_site() -> Iterator[Site]:
    """A public site whose pages redirect to all sorts of places."""
    site = Site(pages={}, address=PUBLIC)
    with site:
        inner = f"http://127.0.0.1:{site.port}/"
        site.pages = {
            "/": page("<p>public</p>"),
            "/to-literal": moved(inner),
            "/to-name": moved(f"http://inner.example.org:{site.port}/"),
            "/to-metadata": moved("http://169.254.169.254/latest/meta-data/"),
            "/to-localhost": moved(f"http://localhost:{site.port}/"),
            "/to-mapped": moved(f"http://[::ffff:7f00:1]:{site.port}/"),
            "/to-decimal": moved(f"http://2130706433:{site.port}/"),
            "/to-credentials": moved("http://user:word@site.example.org/"),
            "/to-file": moved("file:///etc/passwd"),
            "/to-other-port": moved("http://site.example.org:6379/"),
            "/twice": moved("/to-literal"),
            "/relative": moved("/", status="307 Temporary Redirect"),
            "/slashes": moved(f"//inner.example.org:{site.port}/"),
        }
        yield site


@pytest.fixture
def secret_site(open_site: Site) -> Iterator[Site]:
    """A private site on the same port as the public one."""
    with Site(pages={"/": page("<p>secret</p>")}, address="127.0.0.1", port=open_site.port) as site:
        yield site


def web(site: Site, names: Names, **settings: object) -> Web:
    """A web that may reach the site's port, and nothing private."""
    return Web(
        reaching(**{"ports": [site.port], "respect_robots": False, "cache_seconds": 0, **settings}), resolver=names
    )


async def test_a_name_is_resolved_once_and_the_checked_address_connected_to(open_site: Site, secret_site: Site) -> None:
    """A name that answers with a public address, and with a private one a moment later, leads to the public one."""
    names = Names({"site.example.org": [[PUBLIC], ["127.0.0.1"]]})
    mine = web(open_site, names)
    found = await mine.get(open_site.url(host="site.example.org"))
    assert "public" in found.text
    assert names.asked == ["site.example.org"]
    with pytest.raises(Blocked, match=r"127\.0\.0\.1"):
        await mine.get(open_site.url(host="site.example.org"))
    assert secret_site.requests == []


async def test_one_private_address_among_several_is_enough_to_refuse(open_site: Site, secret_site: Site) -> None:
    """Whatever the order of the answers."""
    for answers in ([PUBLIC, "127.0.0.1"], ["127.0.0.1", PUBLIC], [PUBLIC, "::1"], [PUBLIC, "::ffff:7f00:1"]):
        with pytest.raises(Blocked):
            await web(open_site, Names({"site.example.org": [answers]})).get(open_site.url(host="site.example.org"))
    assert open_site.requests == secret_site.requests == []


@pytest.mark.parametrize(
    "path",
    ["/to-literal", "/to-name", "/to-metadata", "/to-localhost", "/to-mapped", "/to-decimal", "/to-credentials",
     "/to-file", "/to-other-port", "/twice", "/slashes"],
)  # fmt: skip
async def test_a_redirect_is_checked_like_a_first_address(open_site: Site, secret_site: Site, path: str) -> None:
    """By its spelling, its port, its name, and by what its name resolves to."""
    names = Names({"site.example.org": [[PUBLIC]], "inner.example.org": [["127.0.0.1"]]})
    with pytest.raises((Blocked, InvalidURL), match=r"redirects|inner\.example\.org"):
        await web(open_site, names).get(open_site.url(path, host="site.example.org"))
    assert secret_site.requests == []


async def test_a_redirect_within_the_site_is_followed(open_site: Site) -> None:
    """The page says where it was found in the end; the name stays that of the site."""
    found = await web(open_site, Names({"site.example.org": [[PUBLIC]]})).get(
        open_site.url("/relative", host="site.example.org")
    )
    assert found.url == open_site.url("/", host="site.example.org")
    assert {each.headers["host"] for each in open_site.requests} == {f"site.example.org:{open_site.port}"}


async def test_a_rebinding_between_redirects_is_seen(open_site: Site, secret_site: Site) -> None:
    """A redirect to another name is a connection of its own, whose name is looked up and checked then."""
    open_site.pages = {"/": moved(f"http://other.example.org:{open_site.port}/")}
    names = Names({"site.example.org": [[PUBLIC]], "other.example.org": [["127.0.0.1"]]})
    with pytest.raises(Blocked):
        await web(open_site, names).get(open_site.url(host="site.example.org"))
    assert secret_site.requests == []


async def test_robots_txt_is_no_way_around(open_site: Site, secret_site: Site) -> None:
    """A redirect of robots.txt to a private address is refused as well."""
    open_site.pages = {"/": page("x"), "/robots.txt": moved(f"http://127.0.0.1:{open_site.port}/")}
    mine = web(open_site, Names({"site.example.org": [[PUBLIC]]}), respect_robots=True)
    with pytest.raises(Blocked):
        await mine.get(open_site.url(host="site.example.org"))
    assert secret_site.requests == []


async def test_a_private_host_can_be_allowed_by_name_and_port(open_site: Site, secret_site: Site) -> None:
    """The exception is for that port alone."""
    place = f"wiki.corp:{secret_site.port}"
    mine = Web(reaching(allow_private=[place], respect_robots=False), resolver=Names({"wiki.corp": [["127.0.0.1"]]}))
    assert "secret" in (await mine.get(f"http://{place}/")).text
    with pytest.raises(Blocked):
        await mine.get("http://wiki.corp/")


async def test_cookies_and_settings_of_the_environment_do_not_travel(
    open_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cookie of one call is gone in the next, and proxies of the environment are not used."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9/")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9/")
    open_site.pages = {"/": answer("<p>x</p>", Set_Cookie="id=1")}
    mine = web(open_site, Names({"site.example.org": [[PUBLIC]]}))
    for _ in range(2):
        await mine.get(open_site.url(host="site.example.org"))
    assert len(open_site.requests) == 2
    sent = {"host", "user-agent", "accept", "accept-language", "accept-encoding", "connection"}
    assert all(set(each.headers) <= sent for each in open_site.requests)


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    """A certificate authority for one test."""
    ca = trustme.CA()
    file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    return ca, file


def secure(ca: trustme.CA, name: str) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate for one name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    return context


async def test_tls_is_with_the_name_though_the_connection_is_with_the_address(
    authority: tuple[trustme.CA, Path],
) -> None:
    """Server name, certificate and Host header are those of the address that was asked for."""
    ca, file = authority
    pages = {"/": page("<p>safe</p>")}
    with Site(pages=pages, address=PUBLIC, tls=secure(ca, "shop.example.org")) as site:
        mine = web(site, Names({"shop.example.org": [[PUBLIC]]}), ca_file=file)
        assert "safe" in (await mine.get(site.url(host="shop.example.org"))).text
    assert site.requests[0].server_name == "shop.example.org"
    assert site.requests[0].headers["host"] == f"shop.example.org:{site.port}"


@pytest.mark.parametrize(("name", "trusted"), [("other.example.org", True), ("shop.example.org", False)])
async def test_a_wrong_certificate_is_refused(authority: tuple[trustme.CA, Path], name: str, trusted: bool) -> None:
    """Of another name, or of an authority that is not trusted."""
    ca, file = authority
    with Site(pages={"/": page("x")}, address=PUBLIC, tls=secure(ca, name)) as site:
        mine = web(site, Names({"shop.example.org": [[PUBLIC]]}), ca_file=file if trusted else None)
        with pytest.raises(Unreachable, match="certificate"):
            await mine.get(site.url(host="shop.example.org"))
    assert site.requests == []


async def test_a_host_that_is_not_there() -> None:
    """No such name, no address, nobody who listens: each is told."""
    names = Names({"empty.example.org": [[]], "site.example.org": [[PUBLIC]]})
    with Site(pages={}, address=PUBLIC) as site:
        closed = site.port
    for host in ("gone.example.org", "empty.example.org", "site.example.org"):
        with pytest.raises(Unreachable, match=host):
            await Web(reaching(ports=[closed]), resolver=names).get(f"http://{host}:{closed}/")


async def test_the_system_s_resolver_is_asked_in_a_thread() -> None:
    """Its answers are addresses; what it does not know is an error of the operating system."""
    assert "127.0.0.1" in await network.SystemResolver().resolve("localhost", 80)
    for name in ("no-such-host.invalid", "a" * 70 + ".org"):
        with pytest.raises(OSError):  # noqa: PT011 - whatever the system says
            await network.SystemResolver().resolve(name, 80)


async def test_a_socket_of_this_machine_is_never_opened() -> None:
    """The other door of the network layer is shut."""
    backend = network.GuardedBackend(network.SystemResolver(), lambda _host, _port: True)
    with pytest.raises(Blocked):
        await backend.connect_unix_socket("/run/docker.sock")
