"""Pools of connections, straight to servers or through the proxy of the caller or environment."""

from __future__ import annotations

import ssl
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from ..errors import Remedy, UsageError
from ..origin import split
from ..secret import quoted
from .connect import Backend, Policy

# Seconds that a connection is kept without use. The shortest keep-alive of a common server is 2:
# if a code or a refresh token is lost there, no one can tell whether it has been used.
_IDLE: Final = 1.5
_MOST_IDLE: Final = 4
_Pool = TypeVar("_Pool", bound=httpcore.ConnectionPool)
_SOCKS: Final = ("socks", "socks5", "socks5h")  # names are looked up by the proxy in all of them


def environment_proxy(url: str) -> str | None:
    """The proxy by `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, or system settings (macOS, Windows)."""
    parts, known = split(url), getproxies()
    proxy = known.get(parts.scheme) or known.get("all")
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    if ":" in (parts.hostname or "") and proxy_bypass(parts.hostname or ""):
        return None  # NO_PROXY lists an IPv6 address without its brackets
    return proxy if "://" in proxy else f"http://{proxy}"


def proxy_named(proxy: str) -> str:
    """A proxy as it may appear in a message: no user info, no path."""
    url = parsed_proxy(proxy).url
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}" + (f":{url.port}" if url.port else "")


class _Claimed(httpcore.ConnectionInterface):
    """A connection that never counts as expired while another thread, which the pool has given it
    to, begins to use it: closing it would end a request that the server may have received. An idle
    one counts as expired if there is a `surplus`."""

    def __init__(
        self, connection: httpcore.ConnectionInterface, surplus: Callable[[], bool]
    ) -> None:
        self._connection, self._surplus = connection, surplus
        self._turn = threading.Lock()
        self._claims, self._expired = 0, False
        for name in ("can_handle_request", "is_available", "is_idle", "is_closed", "info", "close"):
            setattr(self, name, getattr(connection, name))

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        with self._turn:
            if self._expired:
                raise httpcore.ConnectionNotAvailable  # the pool gives another one
            self._claims += 1
        try:
            return self._connection.handle_request(request)
        finally:
            with self._turn:
                self._claims -= 1

    def has_expired(self) -> bool:
        with self._turn:
            unused = self._connection
            self._expired = not self._claims and (
                unused.has_expired() or (unused.is_idle() and self._surplus())
            )
            return self._expired


def for_threads(pool: _Pool, idle: int) -> _Pool:
    """Make a pool fit for many threads, and keep `idle` idle connections. It may have no limit of
    this kind itself: httpcore would end a connection that it has just given to a request."""
    create: Any = type(pool).create_connection
    itself: Any = weakref.ref(pool)  # no cycle: its connections end with its last user

    def surplus() -> bool:
        found: int = sum(each.is_idle() for each in itself().connections)
        return found > idle

    vars(pool)["create_connection"] = lambda origin: _Claimed(create(itself(), origin), surplus)
    return pool


class DirectPool(httpcore.ConnectionPool):
    """A pool without a proxy: for https with a `context`, for clear text without one."""

    def __init__(self, policy: Policy, context: ssl.SSLContext | None) -> None:
        self.backend = Backend(policy, tls=context)
        super().__init__(network_backend=self.backend, **_common(context))
        for_threads(self, _MOST_IDLE)

    def close(self) -> None:
        super().close()
        self.backend.close()


def proxy_pool(proxy: str, context: Any, proxy_context: Any) -> httpcore.ConnectionPool:
    """A pool through a proxy; raises `UsageError` if that cannot be used."""
    by = parsed_proxy(proxy)
    where = httpcore.URL(
        scheme=by.url.raw_scheme, host=by.url.raw_host, port=by.url.port, target=b"/"
    )
    common = {
        "proxy_url": where,
        "proxy_auth": by.raw_auth,
        "network_backend": Backend(),
        **_common(context),
    }
    if by.url.scheme == "socks5":
        try:
            return for_threads(httpcore.SOCKSProxy(**common), _MOST_IDLE)
        except (RuntimeError, ImportError):
            raise UsageError(
                f"the proxy {proxy_named(proxy)} needs a package that is not installed",
                hint=Remedy(
                    "Run: pip install 'mcp-client-auth[socks]'. The proxy is named by ALL_PROXY,"
                    " HTTPS_PROXY or {HttpTransport.proxy}"
                ),
            ) from None
    secure = proxy_context if by.url.scheme == "https" else None
    through = httpcore.HTTPProxy(proxy_headers=by.headers.raw, proxy_ssl_context=secure, **common)
    return for_threads(through, _MOST_IDLE)


def _common(context: ssl.SSLContext | None) -> dict[str, Any]:
    return {"ssl_context": context, "keepalive_expiry": _IDLE, "max_connections": None}


def parsed_proxy(proxy: str) -> httpx.Proxy:
    """Parse a proxy's URL; raises `UsageError` if it is not one."""
    scheme, colon, rest = proxy.partition("://")
    if scheme.lower() in _SOCKS:
        proxy = "socks5" + colon + rest
    try:
        made = httpx.Proxy(proxy)
        if made.url.host:
            return made
    except (httpx.InvalidURL, ValueError):
        pass  # not repeated: a password may be part of what is wrong
    raise UsageError(
        f"the proxy settings cannot work: a URL of the scheme {quoted(scheme, 20)} was given,"
        " expected http://HOST:PORT, or https or socks5 as the scheme",
        hint=Remedy("Check HTTPS_PROXY, ALL_PROXY and {HttpTransport.proxy}"),
    )
