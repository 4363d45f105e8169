"""The requests of one login, refresh or logout: they share connections, and what is learned about
addresses. Both end with the flow, so that a new one checks again."""

from __future__ import annotations

import socket
import threading
import time
import zlib
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

import httpcore
import httpx

from ..errors import BadResponse, InsecureUrl, Remedy, UsageError
from ..origin import Origin, is_loopback_host, origin, same_origin, shown
from ..protocol.flow import HttpRequest, HttpResponse, Transport
from ..protocol.options import Options
from ..secret import quoted
from .addresses import Addresses
from .answers import redirect_target
from .connect import looked_up
from .exchange import Exchange
from .faults import Place, fault
from .pools import DirectPool, environment_proxy, proxy_named, proxy_pool
from .tls import Cert, OnTls, Verify, tls_context

if TYPE_CHECKING:
    import ssl

_HOPS: Final = 5
_ACQUAINTANCE: Final = 5.0
_LOOK: Final = 2.0
# httpx's are what mocks raise
_FAULTS: Final = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    OSError,
    ValueError,  # a size that h11 cannot read; a host that idna cannot
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class _Route:
    """What requests must have in common to share a connection, besides the origin."""

    proxy: str | None
    tls: bool
    certified: bool
    private: bool


class Settings(Protocol):
    """What a flow is made from: an `HttpTransport`."""

    server_url: str
    options: Options
    verify: Verify
    proxy: str | None
    cert: Cert
    on_tls: OnTls
    public_only: bool

    @property
    def has_certificate(self) -> bool: ...
    def toward(self, server_url: str, options: Options, *, certified: bool) -> Transport: ...


class Flow:
    """A transport. Safe from any thread."""

    def __init__(self, made: Settings) -> None:
        self._made = made
        self.addresses = Addresses(
            made.server_url,
            made.options,
            meet=self._meet,
            resolve=self._resolve,
            public_only=made.public_only,
        )
        self._pools: dict[_Route, httpcore.ConnectionPool] = {}
        self._proxies: dict[Origin, str | None] = {}  # of the environment
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._turn = threading.Lock()
        self._under_way, self._over = 0, False

    @property
    def has_certificate(self) -> bool:
        return self._made.has_certificate

    def toward(self, server_url: str, options: Options, *, certified: bool) -> Transport:
        """A transport for a login elsewhere, which shares nothing with this flow."""
        return self._made.toward(server_url, options, certified=certified)

    def flow(self) -> AbstractContextManager[Flow]:
        """Itself: a refresh inside a login shares the login's connections."""
        return nullcontext(self)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Send it; a GET follows redirects within its origin, anything else follows none."""
        began, url = time.monotonic(), request.url
        deadline = began + self._made.options.http_timeout
        with self._turn:
            self._under_way += 1
        try:
            for _ in range(_HOPS):
                response = self._sent(request, url, deadline)
                target = redirect_target(request, response)
                if target is None:
                    return replace(response, seconds=time.monotonic() - began)
                url = target
            raise BadResponse(f"the server redirected more than {_HOPS} times", url=url)
        finally:
            with self._turn:
                self._under_way -= 1
            if self._over:
                self.close()

    def close(self) -> None:
        """End the connections; requests under way on other threads may finish first."""
        with self._turn:
            self._over = True
            while self._pools and not self._under_way:
                self._pools.popitem()[1].close()

    def check(self, url: str) -> None:
        """Raise `InsecureUrl` for a page that the server may not send a person's browser to."""
        try:
            self.addresses.check_page(url)
        finally:
            if self._over:  # it may have connected to the server
                self.close()

    def _sent(self, request: HttpRequest, url: str, deadline: float) -> HttpResponse:
        where = _origin(url)
        patience = self._made.options.http_timeout + request.lasting
        try:
            self.addresses.check_literal(where[1], private=request.private)
            route = self._route(url, where, request)
            while True:
                exchange = Exchange(request, url, self._made.on_tls, proxied=bool(route.proxy))
                try:
                    return exchange.run(self._pool(route), deadline)
                except InsecureUrl:
                    raise
                except Exception as error:
                    if exchange.lost(error) and (request.method == "GET" or request.repeatable):
                        continue  # anything else may have been received
                    if not isinstance(error, _FAULTS) and not exchange.garbled:
                        raise
                    proxy = proxy_named(route.proxy) if route.proxy else ""
                    raise fault(error, Place(url, patience, proxy, exchange.connecting)) from None
        except InsecureUrl as error:
            error.at(url=url)
            raise

    def _route(self, url: str, where: Origin, request: HttpRequest) -> _Route:
        made, tls = self._made, where[0] == "https"
        certified = bool(made.cert and tls) and (
            request.to_issuer
            or same_origin(url, made.server_url)
            or same_origin(url, made.options.issuer)
        )
        return _Route(self._proxy(url, where), tls, certified, request.private)

    def _proxy(self, url: str, where: Origin) -> str | None:
        """The proxy, if any; this machine is never reached through one, and no variable is read."""
        if is_loopback_host(where[1]):
            return None
        if self._made.proxy:
            return self._made.proxy
        if where not in self._proxies:  # reading the system's settings may take long
            self._proxies[where] = environment_proxy(url)
        return self._proxies[where]

    def _pool(self, route: _Route) -> httpcore.ConnectionPool:
        with self._turn:
            if route in self._pools:
                return self._pools[route]
            context = self._context(certified=route.certified) if route.tls else None
            if route.proxy is None:
                pool: httpcore.ConnectionPool = DirectPool(
                    _Policy(self.addresses, route.private), context
                )
            else:
                secure = route.proxy.startswith("https:")
                proxy_context = self._context(certified=False) if secure else None
                pool = proxy_pool(route.proxy, context, proxy_context)
            self._pools[route] = pool
            return pool

    def _context(self, *, certified: bool) -> ssl.SSLContext:
        """No authorities are loaded for plain http, nor trusted."""
        made = self._made
        try:
            if certified not in self._contexts:
                cert = made.cert if certified else None
                self._contexts[certified] = tls_context(made.verify, cert)
            return self._contexts[certified]
        except (ValueError, OSError) as error:
            raise UsageError(
                f"the certificate settings cannot work: {quoted(str(error))}",
                hint=Remedy("Check SSL_CERT_FILE, SSL_CERT_DIR and {HttpTransport.verify}"),
            ) from None

    def connect_ahead(self) -> None:
        """Connect to the typed server by TLS, for the first request there; nothing is sent.

        A proxy is not contacted.
        """
        if _origin(self._made.server_url)[0] == "https":
            self._reach(time.monotonic() + self._made.options.http_timeout)

    def _meet(self) -> None:
        """Connect to the typed server, so that its address is known; nothing is sent.

        Raises `Unavailable` if it does not answer, because what it may name is not known then. A
        server whose name does not exist, or that has no certificate for it, has no say.
        """
        try:
            self._reach(time.monotonic() + _ACQUAINTANCE)
        except (socket.gaierror, ValueError):
            return
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            raise fault(error, Place(self._made.server_url, _ACQUAINTANCE)) from None

    def _reach(self, until: float) -> None:
        url = self._made.server_url
        where = _origin(url)
        pool = self._pool(self._route(url, where, HttpRequest("GET", url)))
        if isinstance(pool, DirectPool):
            host = httpx.URL(url).raw_host.decode("ascii")
            pool.backend.connect_ahead(host, where[2], until)

    def _resolve(self, host: str) -> Iterable[str]:
        """The addresses of a page's host; none if only a proxy knows them, or the look-up fails."""
        if self._proxy(f"https://{host}/", ("https", host, 443)):
            return ()
        try:
            return [entry.address for entry in looked_up(host, 443, time.monotonic() + _LOOK)]
        except (httpcore.ConnectError, OSError, UnicodeError):
            return ()


class _Policy:
    """The flow's addresses for one pool; see `connect.Policy`."""

    def __init__(self, addresses: Addresses, private: bool) -> None:
        self._addresses, self._private = addresses, private
        self.connected, self.failed = addresses.connected, addresses.failed

    def admit(self, host: str, address: str) -> None:
        self._addresses.admit(host, address, private=self._private)


def _origin(url: str) -> Origin:
    try:
        return origin(url)
    except ValueError as error:
        raise InsecureUrl(f"{shown(url)} is not a usable URL: {error}") from None
