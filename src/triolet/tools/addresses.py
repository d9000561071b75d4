"""Which addresses belong to the public internet, and to nobody's house.

A list of what is private is never complete, and Python's own changes between its releases. So an IPv6 address must
lie where IANA hands out global ones, which leaves out addresses of one site, those "compatible" with IPv4, Teredo's and
those of local gateways; and one that carries an IPv4 address, in a way that some router or gateway understands, is as
public as what it carries.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_ISATAP: Final = 0x0000_5EFE
"""The upper half of an interface's id; a bit in it tells whether the address within is unique."""
_ISATAP_MASK: Final = 0xFDFF_FFFF

_PRIVATE: Final = (
    IPv4Network("192.0.0.0/24"),  # for protocols; one cloud's metadata lie here
    IPv4Network("168.63.129.16/32"),  # a cloud's own service, at an address that looks like anybody's
    IPv6Network("3fff::/20"),  # for documentation, which older Pythons do not know
    IPv6Network("2002::/16"),  # 6to4: an IPv4 address in disguise, and no way to anybody (RFC 7526)
)


def is_public(address: str) -> bool:
    """Whether a connection to the address, as a numeric text, leaves for the public internet."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return _is_public(parsed)
    carried = list(_carried(parsed))
    if not all(map(_is_public, carried)):
        return False
    is_gateway = parsed.ipv4_mapped is not None or parsed in _NAT64
    return is_gateway or (parsed in _GLOBAL_UNICAST and _is_public(parsed))


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    private = any(address.version == network.version and address in network for network in _PRIVATE)
    return address.is_global and not (address.is_multicast or private)


def _carried(address: IPv6Address) -> Iterator[IPv4Address]:
    """Every IPv4 address that somebody on the way may take it for."""
    number = int(address)
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address in _NAT64 or (number >> 32) & _ISATAP_MASK == _ISATAP:
        yield IPv4Address(number & 0xFFFF_FFFF)
