"""Where a server may point us: the classes of network addresses, and what one flow has learned."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from ..errors import InsecureUrl, Remedy
from ..origin import is_loopback_host, shown, split
from ..protocol.options import Options

T = TypeVar("T")
# The classes of addresses, from the widest to the narrowest: a server may name peers of its
# own class and wider ones. No one may name the last.
PUBLIC, PRIVATE, LOOPBACK, FORBIDDEN = range(4)
_METADATA: Final = frozenset({"100.100.100.200", "fd00:ec2::254", "168.63.129.16"})
CLASS_NAMES: Final = ("public", "private", "loopback", "link-local or a metadata service")
# An IPv4 address in the last 32 bits: NAT64 (RFC 6052 §2.1), IPv4-compatible (RFC 4291
# §2.5.5.1), IPv4-translated (RFC 2765 §2.1)
_SUFFIXED: Final = [ipaddress.IPv6Network(n) for n in ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")]
_IF_YOURS: Final = Remedy(
    "Nothing was sent there; if this is your own network, pass"
    " {Options.allow_private_addresses=True}"
)
_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")  # RFC 8215


class Addresses:
    """What one flow knows about addresses. Safe from any thread.

    A public server may not name private, loopback or link-local addresses, a private one only
    private peers, and none a metadata service; what the person typed may be anywhere. The class
    of a typed host is the widest of the addresses that were connected to, never of one looked up
    (DNS rebinding). Were it the narrowest, a name with 127.0.0.1 beside a public address that
    refuses would be on loopback from then on, although its own server answers the next
    connection.

    `public_only`: the server was named by a user of an application, not by the person at this
    machine, so it is treated like any host that a public server names.

    `meet()` connects to the typed server if its class is needed and not known yet, or raises;
    `resolve(host)` returns the addresses of a host that a browser will go to.
    """

    def __init__(
        self,
        server_url: str,
        options: Options,
        *,
        meet: Callable[[], None] = lambda: None,
        resolve: Callable[[str], Iterable[str]] = lambda host: (),
        public_only: bool = False,
    ) -> None:
        endpoints = options.endpoints.named() if options.endpoints else ()
        typed = (options.issuer, *(own for _, own in endpoints))
        if not public_only:
            typed = (server_url, *typed)
        self._public_only = public_only
        self._server_url, self._meet, self._resolve = server_url, meet, resolve
        self._server, self._typed = _host(server_url), {_host(url) for url in typed if url}
        self._allowed = options.allow_private_addresses
        self._classes: dict[str, int] = {}  # of the typed hosts
        self._reached: set[str] = set()
        self.troubles: dict[str, dict[str, str]] = {}  # by host, then by address: why
        self.answering: set[tuple[str, str]] = set()  # host and address, at any port
        self._met = False
        self._turn = threading.RLock()

    def connected(self, host: str, address: str) -> None:
        """Note the address of a host. The widest class of a typed host counts from now on."""
        kind, host = address_class(address), host.lower()
        with self._turn:
            self._reached.add(host)
            self.answering.add((host, address))
            if host in self._typed:
                self._classes[host] = min(kind, self._classes.get(host, kind))

    def learn(self, other: Addresses) -> None:
        """Adopt the classes that another flow of the same server has found by connecting."""
        with self._turn:
            for host, kind in other._classes.items():
                self._classes[host] = min(kind, self._classes.get(host, kind))

    def failed(self, host: str, address: str, why: str) -> None:
        """Note an address that could not be connected to."""
        with self._turn:
            self.troubles.setdefault(host, {})[address] = why

    def admit(self, host: str, address: str, *, private: bool = False) -> None:
        """Raise `InsecureUrl` unless the server may name a host at this address.

        `private`: a private address is allowed, no matter who named it.
        """
        kind, host = address_class(address), host.lower()
        if host in self._typed and kind <= self._classes.get(host, kind):
            return  # it may not move inside: that is not what the person typed
        own = self._public_only and host == self._server
        allowed = (private or self._allowed) and not own
        if kind == PUBLIC or (allowed and kind != FORBIDDEN):
            return
        if kind != FORBIDDEN and kind <= self._server_class():
            return
        if own:
            raise InsecureUrl(
                f"{shown(self._server_url)} is at the address {address}, which is"
                f" {CLASS_NAMES[kind]}",
                code="private_server",
                hint="Nothing was sent there. If your users may name it, pass its host:"
                " allow_private_servers=[…]",
            )
        raise InsecureUrl(
            f"{shown(self._server_url)} points to the address {address}, which is"
            f" {CLASS_NAMES[kind]}",
            code="forbidden_address",
            hint="Nothing was sent there" if kind == FORBIDDEN else _IF_YOURS,
        )

    def check_literal(self, host: str, *, private: bool = False) -> None:
        """Check the address that the host itself spells; through a proxy no other is known."""
        if literal := literal_address(host) or ("127.0.0.1" if is_loopback_host(host) else ""):
            self.admit(host, literal, private=private)

    def check_page(self, url: str) -> None:
        """Raise `InsecureUrl` unless the server may send a person's browser there.

        It is the browser that connects, so a name is looked up here, unless it was typed or this
        flow has connected to it.
        """
        host = _host(url)
        try:
            self.check_literal(host)
            if host and host not in self._typed | self._reached and not literal_address(host):
                next(admitted(self._resolve(host), partial(self.admit, host)), "")
        except InsecureUrl as error:
            error.at(url=url)
            raise

    def _server_class(self) -> int:
        """The server's class: by its spelling if that is an address or localhost, otherwise public
        until it was connected to."""
        if self._public_only:
            return PUBLIC
        if literal := literal_address(self._server):
            return address_class(literal)
        if is_loopback_host(self._server):
            return LOOPBACK
        with self._turn:  # a second caller waits for what the first learns
            if self._server not in self._classes and not self._met:
                self._meet()
                self._met = True
            return self._classes.get(self._server, PUBLIC)


def admitted(candidates: Iterable[T], admit: Callable[[T], None]) -> Iterator[T]:
    """Yield those that are not refused; raise the first refusal if all are refused.

    Having no candidates is not an error: nothing can be reached.
    """
    refusal: InsecureUrl | None = None
    none = True
    for each in candidates:
        try:
            admit(each)
        except InsecureUrl as error:
            refusal = refusal or error
        else:
            none = False
            yield each
    if refusal and none:
        raise refusal


def address_class(address: str) -> int:
    """The class of an IP address, seen through IPv4-in-IPv6 wrappings."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and (inner := _wrapped(ip)):
        return max(address_class(str(each)) for each in inner)
    if ip.is_link_local or ip.is_multicast or str(ip) in _METADATA:
        return FORBIDDEN
    if ip.is_loopback or ip.is_unspecified:
        return LOOPBACK
    site_local = isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local
    return PUBLIC if ip.is_global and not site_local else PRIVATE


def _wrapped(ip: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 one may stand for; none for most.

    A network chooses how long its local NAT64 prefix is; octet 8 is skipped (RFC 6052 §2.2), and
    what follows the IPv4 address is zero.
    """
    if ip.is_loopback or ip.is_unspecified:
        return []
    known = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
    if known is not None:
        return [known]
    octets = ip.packed
    if any(ip in network for network in _SUFFIXED):
        return [ipaddress.IPv4Address(octets[12:])]
    if ip not in _LOCAL_NAT64:
        return []
    inner = [octets[12:]] if any(octets[12:]) else []
    for prefix in (6, 7, 8):  # octets
        rest = octets[prefix:8] + octets[9:]
        if not any(rest[4:]):
            inner.append(rest[:4])
    return [ipaddress.IPv4Address(each) for each in inner]


def host_class(host: str) -> int:
    """The widest class among a host's addresses; public when it cannot be resolved.

    For advice only: the addresses may change a moment later.
    """
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return PUBLIC
    return min((address_class(str(entry[4][0])) for entry in entries), default=PUBLIC)


def literal_address(host: str) -> str:
    """The address that a host spells, also as `127.1` or `0x7f000001`; empty for a name."""
    with suppress(ValueError):
        return str(ipaddress.ip_address(host))
    with suppress(OSError):
        return socket.inet_ntoa(socket.inet_aton(host))
    return ""


def _host(url: str) -> str:
    """The host as it is looked up: in lower case, an IPv6 address without its brackets."""
    try:
        return split(url).hostname or ""
    except ValueError:
        return ""
