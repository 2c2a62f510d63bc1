"""Which internet addresses are public: everything that is not assigned to the open internet is refused.

The ranges are those of IANA's special-purpose registries (RFC 6890 and its updates). They are written out, because
what `ipaddress` calls global changed between releases of Python, and it does not look into addresses that carry others.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_V4: Final = tuple(
    (IPv4Network(network), what)
    for network, what in {
        "0.0.0.0/8": "this machine",
        "10.0.0.0/8": "a private network",
        "100.64.0.0/10": "a provider's inner network",
        "127.0.0.0/8": "this machine",
        "168.63.129.16/32": "a cloud's metadata service",
        "169.254.0.0/16": "the local link, where clouds have their metadata services",
        "172.16.0.0/12": "a private network",
        "192.0.0.0/24": "protocol assignments",
        "192.0.2.0/24": "documentation",
        "192.88.99.0/24": "6to4 relays",
        "192.168.0.0/16": "a private network",
        "198.18.0.0/15": "benchmarks",
        "198.51.100.0/24": "documentation",
        "203.0.113.0/24": "documentation",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved, or broadcast",
    }.items()
)
_V6_GLOBAL: Final = IPv6Network("2000::/3")
_V6: Final = tuple(
    (IPv6Network(network), what)
    for network, what in {
        "::/127": "this machine",
        "64:ff9b:1::/48": "a local translation to IPv4",
        "fc00::/7": "a private network",
        "fe80::/10": "the local link",
        "fec0::/10": "a private network",
        "ff00::/8": "multicast",
        "2001::/32": "Teredo, which hides other addresses",
        "2001::/23": "protocol assignments",
        "2001:db8::/32": "documentation",
        "2002::/16": "6to4, which hides other addresses",
        "3fff::/20": "documentation",
    }.items()
)
_NAT64: Final = IPv6Network("64:ff9b::/96")


def why_refused(address: str) -> str | None:
    """Say what an address is for, where it is not a public one.

    >>> why_refused("192.168.1.1"), why_refused("::ffff:10.0.0.1"), why_refused("1.1.1.1")
    ('a private network', 'a private network', None)

    Args:
        address: Of IPv4 or IPv6, in any spelling that `ipaddress` reads.

    Returns:
        What it is for; None for a public one.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return "no internet address"
    if isinstance(ip, IPv6Address):
        if (inner := ip.ipv4_mapped) is not None:
            return _refused_v4(inner)
        if ip in _NAT64:
            return _refused_v4(IPv4Address(int(ip) & 0xFFFFFFFF))
        return _refused_v6(ip)
    return _refused_v4(ip)


def _refused_v4(ip: IPv4Address) -> str | None:
    for network, what in _V4:
        if ip in network:
            return what
    return None if ip.is_global else "no public address"


def _refused_v6(ip: IPv6Address) -> str | None:
    if ip.scope_id is not None:
        return "the local link"
    for network, what in _V6:
        if ip in network:
            return what
    return None if ip in _V6_GLOBAL and ip.is_global else "no public address"
