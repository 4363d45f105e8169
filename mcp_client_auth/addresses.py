"""The classes of network addresses: who may point whom where."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from typing import Final

from .protocol.urls import split

# The classes of addresses, from the widest to the narrowest: a server may name peers of its
# own class and wider ones. Nobody may name the last.
PUBLIC, PRIVATE, LOOPBACK, FORBIDDEN = range(4)
_METADATA: Final = frozenset({"100.100.100.200", "fd00:ec2::254", "168.63.129.16"})
CLASS_NAMES: Final = ("public", "private", "loopback", "link-local or a metadata service")


def address_class(address: str) -> int:
    """The class of an IP address, seen through IPv4-in-IPv6 wrappings."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1] or _nat64(ip)
        if inner is not None:
            return address_class(str(inner))
    if ip.is_link_local or ip.is_multicast or str(ip) in _METADATA:
        return FORBIDDEN
    if ip.is_loopback or ip.is_unspecified:
        return LOOPBACK
    site_local = isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local
    return PUBLIC if ip.is_global and not site_local else PRIVATE


def host_class(host: str) -> int:
    """The widest class among a host's addresses; public when it cannot be resolved.

    Not the narrowest: anybody can add 127.0.0.1 to the addresses of a public name.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return PUBLIC
    return min((address_class(str(entry[4][0])) for entry in found), default=PUBLIC)


def same_host(one: str, other: str) -> bool:
    try:
        return split(one).hostname == split(other).hostname
    except ValueError:
        return False


def _nat64(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if ip in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return None


def literal_address(host: str) -> str:
    """The address that a host spells, also as `127.1` or `0x7f000001`; empty for a name."""
    with suppress(ValueError):
        return str(ipaddress.ip_address(host))
    with suppress(OSError):
        return socket.inet_ntoa(socket.inet_aton(host))
    return ""
