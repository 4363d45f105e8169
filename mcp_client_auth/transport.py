"""Sends an `HttpRequest` with httpx, within limits: one deadline, one size, known addresses.

All OAuth traffic goes through here and none of it through the caller's own client, whose
cookies, hooks and redirect policy are for his requests.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .addresses import (
    CLASS_NAMES,
    FORBIDDEN,
    PUBLIC,
    address_class,
    host_class,
    literal_address,
    same_host,
)
from .certificates import Cert, Verify, tls_context
from .errors import BadResponse, InsecureUrl, Unavailable, Untrusted, UsageError, quoted
from .forking import fresh_in_children
from .protocol.flow import HttpRequest, HttpResponse
from .protocol.options import Options
from .protocol.urls import is_loopback, same_origin, shown, split

if TYPE_CHECKING:
    import httpx

_LIMIT: Final = 1024 * 1024
_HOPS: Final = 5
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_Admit: TypeAlias = Callable[[str, str], None]
OnTls: TypeAlias = Callable[[str, ssl.SSLObject], None] | None


class _Opening:
    """The lock under which clients are made, for all transports."""

    def __init__(self) -> None:
        self.reset()
        fresh_in_children(self)

    def reset(self) -> None:
        self.lock = threading.Lock()


_opening: Final = _Opening()


class HttpTransport:
    """The default transport. Safe from any thread; `close()` frees its connections.

    `verify` is True, a CA file or directory, or an SSLContext; `cert` is a client certificate
    (RFC 8705): a PEM file, or (certificate, key) or (certificate, key, password). `proxy` is
    httpx's; the environment's proxies and CA files apply.
    `on_tls(url, connection)` sees each connection whose certificate has been verified.
    Raises `Unavailable` for a network fault, `BadResponse` for a body over 1 MiB,
    `InsecureUrl` for an address that `server_url` may not name.
    """

    __slots__ = (
        "_cert",
        "_clients",
        "_on_tls",
        "_options",
        "_proxy",
        "_server_url",
        "_typed_as",
        "_verify",
    )

    def __init__(
        self,
        server_url: str,
        options: Options | None = None,
        *,
        verify: Verify = True,
        proxy: str | None = None,
        cert: Cert = None,
        on_tls: OnTls = None,
    ) -> None:
        self._server_url, self._on_tls = server_url, on_tls
        self._options = options or Options()
        self._verify, self._proxy, self._cert = verify, proxy, cert
        self._clients: dict[tuple[bool, bool], httpx.Client] | None = (
            None  # most sessions never need one
        )
        self._typed_as: dict[str, int] | None = None

    @property
    def has_certificate(self) -> bool:
        """False where no client certificate can be presented; a context may hold one."""
        return bool(self._cert) or isinstance(self._verify, ssl.SSLContext)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Send it; a GET follows redirects within its origin, anything else follows none."""
        began, url = time.monotonic(), request.url
        deadline = began + self._options.http_timeout
        for _ in range(_HOPS):
            self._check_literal(url, request.private)
            response = self._once(request, url, deadline)
            target = _redirect(request, response)
            if target is None:
                break
            url = target
        else:
            raise BadResponse(f"the server redirected more than {_HOPS} times", url=shown(url))
        return HttpResponse(
            response.status, response.url, response.headers, response.body, time.monotonic() - began
        )

    def close(self) -> None:
        with _opening.lock:
            while self._clients:
                self._clients.popitem()[1].close()

    def _once(self, request: HttpRequest, url: str, deadline: float) -> HttpResponse:
        import httpx

        admitted = partial(self._admitted, private=request.private)
        watch = _Watch(deadline, url, admitted, self._on_tls)
        client = self._opened(loopback=is_loopback(url), plain=url.startswith("http:"))
        left = max(deadline - time.monotonic(), 0.01)
        try:
            with (
                watch,
                client.stream(
                    request.method,
                    url,
                    headers={"Accept-Encoding": "gzip, deflate", **request.headers},
                    content=request.body or None,
                    timeout=left,
                    extensions={"trace": watch.trace},
                ) as response,
            ):
                stream = response.headers.get("content-type", "").startswith("text/event-stream")
                body = b"" if stream else _body(response, url)  # a stream may never end
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpx.StreamError,
            OSError,
            UnicodeError,
            zlib.error,
        ) as error:
            raise self._fault(error, url, watch.expired) from None
        if watch.expired:  # a body that ends with its connection looks whole when it was cut
            raise self._fault(httpx.ReadTimeout(""), url, expired=True)
        pairs = tuple((k, v) for k, v in response.headers.multi_items())
        return HttpResponse(response.status_code, str(response.url), pairs, body)

    def _fault(self, error: Exception, url: str, expired: bool) -> Exception:
        import httpx

        if isinstance(error, httpx.TimeoutException) or expired:
            what = f"no complete answer within {self._options.http_timeout:g} s"
        elif isinstance(error, zlib.error):
            return BadResponse("the answer's compression is broken", url=shown(url))
        elif "CERTIFICATE_VERIFY_FAILED" in str(error):
            return Untrusted(
                f"the certificate is not trusted: {quoted(str(error))}",
                url=shown(url),
                code="certificate",
                hint="If your network has a CA of its own, name its file: --ca, SSL_CERT_FILE, or"
                " HttpTransport(url, verify=…)",
            )
        elif isinstance(error, UnicodeError):  # an `xn--` host that stands for no name (RFC 5891)
            return InsecureUrl(f"the host is none: {reason(error)}", url=shown(url))
        elif isinstance(error, httpx.LocalProtocolError):  # it may quote a header of ours
            what = "the request cannot be sent as it is"
        else:
            what = f"no answer: {reason(error)}"
        return Unavailable(what, url=shown(url), hint="Nothing was changed; try again later")

    def _opened(self, *, loopback: bool, plain: bool) -> httpx.Client:
        """The client for these URLs. For plain http no certificates are loaded, nor trusted."""
        import httpx

        which = loopback, plain
        with _opening.lock:
            self._clients = self._clients or {}
            if which in self._clients:
                return self._clients[which]
            try:
                client = httpx.Client(
                    follow_redirects=False,
                    # loopback is never asked for through a proxy
                    mounts=dict.fromkeys(("http://", "https://", "all://")) if loopback else None,
                    # no connection twice: each one's address is checked, its socket is known
                    limits=httpx.Limits(max_keepalive_connections=0),
                    headers={"User-Agent": "mcp-client-auth"},
                    verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                    if plain
                    else tls_context(self._verify, self._cert),
                    proxy=self._proxy,
                )
            except (httpx.InvalidURL, ValueError, ImportError, OSError) as error:
                raise UsageError(
                    f"the proxy or certificate settings cannot work: {quoted(str(error))}",
                    hint="Check HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and what was passed",
                ) from None
            client.cookies.jar.set_policy(_no_cookies())
            self._clients[which] = client
            return client

    def _check_literal(self, url: str, private: bool) -> None:
        """What can be seen without a connection; through a proxy that is all there is."""
        literal = literal_address(split(url).hostname or "")
        if literal:
            self._admitted(literal, url, private=private)
        if is_loopback(url):
            self._admitted("127.0.0.1", url, private=private)

    def _admitted(self, address: str, url: str, *, private: bool) -> None:
        """`InsecureUrl` unless the server that the person typed may name this address."""
        kind = address_class(address)
        if self._typed(url, kind):
            return
        allowed = private or self._options.allow_private_addresses
        if kind == PUBLIC or (allowed and kind != FORBIDDEN):
            return
        if kind != FORBIDDEN and kind <= host_class(split(self._server_url).hostname or ""):
            return
        raise InsecureUrl(
            f"{shown(self._server_url)} points to the address {address}, which is"
            f" {CLASS_NAMES[kind]}",
            url=shown(url),
            code="forbidden_address",
            hint="Nothing was sent there"
            + (
                ""
                if kind == FORBIDDEN
                else "; if this is your own network, pass --allow-private-addresses"
                " (Options(allow_private_addresses=True))"
            ),
        )

    def _typed(self, url: str, kind: int) -> bool:
        """Whether the person named this host, and it still is where it was.

        A name that is public now and private a moment later is not what he typed.
        """
        endpoints = self._options.endpoints.named() if self._options.endpoints else ()
        named = (self._server_url, self._options.issuer, *(own for _, own in endpoints))
        if not any(own and same_host(own, url) for own in named):
            return False
        self._typed_as = self._typed_as or {}
        return kind <= self._typed_as.setdefault(split(url).hostname or "", kind)


class _Watch:
    """One exchange under watch: its address when connected, its socket at the deadline.

    A timeout of httpx is per read, so a server that drips outlives it; the timer does not.
    """

    def __init__(self, deadline: float, url: str, admitted: _Admit, on_tls: OnTls) -> None:
        self._url, self._admitted, self._on_tls = url, admitted, on_tls
        self._stream: Any = None
        self._direct = False
        self.expired = False
        self._timer = threading.Timer(max(deadline - time.monotonic(), 0.01), self._cut)
        self._timer.daemon = True

    def __enter__(self) -> _Watch:
        with suppress(RuntimeError):  # no thread starts while the interpreter ends
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def trace(self, name: str, info: dict[str, Any]) -> None:
        if name.endswith("connect_tcp.started"):
            asked = (info.get("host"), info.get("port"))
            self._direct = asked == _address(self._url)
        elif name.endswith("connect_tcp.complete"):
            self._connected(info["return_value"])
        elif name.endswith("start_tls.complete"):
            self._follow(info["return_value"])
            if self._on_tls:
                self._on_tls(self._url, info["return_value"].get_extra_info("ssl_object"))

    def _follow(self, stream: Any) -> None:
        self._stream = stream
        if self.expired:  # the clock ran out while the name was looked up
            self._cut()

    def _connected(self, stream: Any) -> None:
        try:
            if self._direct:
                self._admitted(str(stream.get_extra_info("server_addr")[0]), self._url)
        except (InsecureUrl, OSError):  # OSError: the other side has gone again
            stream.close()
            raise
        self._follow(stream)

    def _cut(self) -> None:
        self.expired = True
        raw = self._stream.get_extra_info("socket") if self._stream else None
        if raw is not None:
            with suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)


def _address(url: str) -> tuple[str, int]:
    """What httpx will connect to when no proxy stands between: read by its own parser."""
    import httpx

    parts = httpx.URL(url)
    return parts.raw_host.decode(), parts.port or (443 if parts.scheme == "https" else 80)


def _redirect(request: HttpRequest, response: HttpResponse) -> str | None:
    """Where a GET goes on to: within its origin only (RFC 9110 §15.4)."""
    from urllib.parse import urljoin

    target = response.header("location")
    followed = request.method == "GET" and request.redirects
    if not followed or response.status not in _REDIRECTS or not target:
        return None
    try:
        joined = urljoin(response.url, target)
    except ValueError:
        return None
    return joined if same_origin(response.url, joined) else None


def _body(response: httpx.Response, url: str) -> bytes:
    """The body, inflated by hand: a small compressed one must not become a huge one."""
    inflate = _inflater(response.headers.get("content-encoding", ""))
    body = bytearray()
    for chunk in inflate(response.iter_raw()):
        body += chunk
        if len(body) > _LIMIT:
            raise BadResponse("the answer is larger than 1 MiB", url=shown(url))
    return bytes(body)


def _inflater(encoding: str) -> Callable[[Iterator[bytes]], Iterator[bytes]]:
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return lambda chunks: chunks

    def inflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
        machine = zlib.decompressobj(47)  # 47: gzip or zlib, whichever the header says
        began = False
        for chunk in chunks:
            began = began or bool(chunk)
            yield machine.decompress(chunk, _LIMIT + 1)
        if began and not machine.eof:
            raise zlib.error("the end is missing")

    return inflated


def _no_cookies() -> Any:
    from http.cookiejar import DefaultCookiePolicy

    return DefaultCookiePolicy(allowed_domains=[])


def reason(error: Exception) -> str:
    """Why there was no answer, in quotes, without the system's number for it."""
    return quoted(re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__)
