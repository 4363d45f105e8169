"""The default transport: sends an `HttpRequest` within one deadline, one size and known addresses.

It never uses the caller's own client, whose cookies, hooks and redirect policy are for the
caller's requests. This module loads no HTTP library; a `Flow` does.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING

from ..protocol.options import Options
from .tls import Cert, OnTls, Verify

if TYPE_CHECKING:
    from ..protocol.flow import HttpRequest, HttpResponse
    from .ahead import Ahead
    from .flow import Flow


class HttpTransport:
    """The default transport. Safe from any thread; holds no connection between two flows.

    `verify` is True, a CA file or directory, or an SSLContext. `cert` is a client certificate
    (RFC 8705): a PEM file, or (certificate, key) or (certificate, key, password). It is shown to
    the origin of `server_url` and to the endpoints of its authorization server, and to no other
    host. One that was loaded into an SSLContext cannot be withheld from anyone, so prefer `cert`.
    `proxy` is as in httpx; the environment's proxies and CA files apply, but not to loopback.
    `on_tls(url, connection)` is called for each connection whose certificate has been verified.
    `public_only`: a user of yours has named `server_url`, so it has no more rights than a host
    that a public server names: each connection, its own too, goes to a public address.

    Raises `Unavailable` for a network fault, `BadResponse` for a body over 1 MiB,
    `InsecureUrl` for an address that `server_url` may not name.

    Example:
        ```python
        from mcp_client_auth import HttpTransport, MCPAuth

        transport = HttpTransport("https://mcp.example.com/mcp", proxy="http://proxy.example.com:3128")
        auth = MCPAuth("https://mcp.example.com/mcp", transport=transport)
        ```
    """

    __slots__ = ("cert", "on_tls", "options", "proxy", "public_only", "server_url", "verify")

    def __init__(
        self,
        server_url: str,
        options: Options | None = None,
        *,
        verify: Verify = True,
        proxy: str | None = None,
        cert: Cert = None,
        on_tls: OnTls = None,
        public_only: bool = False,
    ) -> None:
        self.server_url, self.on_tls, self.public_only = server_url, on_tls, public_only
        self.options = options or Options()
        self.verify, self.proxy, self.cert = verify, proxy, cert

    def to_public_only(self) -> HttpTransport:
        """A copy that connects to public addresses only."""
        other = copy(self)
        other.public_only = True
        return other

    @property
    def patience(self) -> float:
        """Seconds for an answer, to which a request may add (`HttpRequest.lasting`)."""
        return self.options.http_timeout

    @property
    def has_certificate(self) -> bool:
        """Whether a client certificate may be presented; an SSLContext may hold one."""
        return bool(self.cert) or isinstance(self.verify, ssl.SSLContext)

    @contextmanager
    def flow(self) -> Iterator[Flow]:
        """A transport for the requests of one login, refresh or logout: they share connections,
        and what is learned about addresses."""
        from .flow import Flow

        flow = Flow(self)
        try:
            yield flow
        finally:
            flow.close()

    def toward(self, server_url: str, options: Options, *, certified: bool) -> HttpTransport:
        """The same for a login elsewhere, which is shown the client certificate if `certified`."""
        return HttpTransport(
            server_url,
            options,
            verify=self.verify,
            proxy=self.proxy,
            cert=self.cert if certified else None,
            on_tls=self.on_tls,
        )

    def ahead(self) -> Ahead:
        """A connection to the server that can begin before it is known to be needed."""
        from .ahead import Ahead

        return Ahead(self)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Send it; a GET follows redirects within its origin, anything else follows none."""
        with self.flow() as flow:
            return flow(request)

    def check(self, url: str) -> None:
        """Raise `InsecureUrl` for a page that `server_url` may not send a person's browser to."""
        with self.flow() as flow:
            flow.check(url)

    def close(self) -> None:
        """Do nothing: connections end with their flow."""
