"""Which redirect URI a login uses (RFC 8252 §7.3, RFC 9700 §2.1).

Our own listener is on loopback; a page of the caller's application is named by the caller.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Final

from ..errors import UsageError
from ..origin import is_loopback, split
from .options import Options, can_arrive
from .registration import Client, Identity

PER_ISSUER: Final = "{issuer}"
_MARK: Final = 12  # for a client whose id only its user knows
_OF_MANY: Final = 32  # for one shared by all users of an application: unique to each issuer


@dataclass(frozen=True, slots=True)
class Callback:
    """Where the listener is. `port` 0 is any; a `pinned` one may not be replaced.

    Example:
        ```python
        from mcp_client_auth.extending import Callback

        print(Callback("127.0.0.1", 8080, "/callback").uri)  # http://127.0.0.1:8080/callback
        ```
    """

    host: str
    port: int
    path: str
    pinned: bool = False

    @property
    def template(self) -> str:
        """The redirect URI without its port."""
        return replace(self, port=0).uri

    @property
    def uri(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}" + (f":{self.port}" if self.port else "") + self.path


def callback_for(
    identity: Identity, dynamic: bool, issuer: str, options: Options, host: str = "127.0.0.1"
) -> Callback:
    """The caller's redirect URI, otherwise one that the client carries, or our own on `host`.

    A dynamically registered client has a path of its own for each issuer, so that an answer
    meant for another issuer cannot arrive here (RFC 9700 §4.4).
    """
    if options.redirect_uri:
        callback = _parsed(options.redirect_uri)
        return replace(callback, pinned=bool(callback.port))
    if dynamic:
        return Callback(host, 0, f"/callback/{_mark(issuer)}")
    carried = identity.redirect_uris if identity else ()
    for uri in carried:
        if can_arrive(uri):
            return _parsed(uri)
    if carried:
        raise UsageError(
            "none of the client's redirect URIs is http on loopback, so no callback can arrive",
            hint="Register http://127.0.0.1/callback for the client",
        )
    return Callback("127.0.0.1", 0, "/callback")


def with_port_of(callback: Callback, client: Client | None) -> Callback:
    """The callback with the port of a stored registration: some servers compare it exactly."""
    if client is None or callback.port or not client.redirect_uris:
        return callback
    port = split(client.redirect_uris[0]).port or 0
    return Callback(callback.host, port, callback.path)


@dataclass(frozen=True, slots=True)
class AppRedirect:
    """A page of the caller's own application, which gets the authorization response.

    `template` is https, or http on loopback. `{issuer}` in its path becomes a mark, a different
    one for each authorization server.
    """

    template: str

    def __post_init__(self) -> None:
        try:
            parts = split(self._filled("0" * _OF_MANY))
            usable = parts.scheme == "https" or is_loopback(self._filled(""))
            plain = not (parts.query or parts.fragment or "?" in self.template)
            placed = PER_ISSUER not in self.template[: self.template.find("/", len("https://"))]
        except (ValueError, AttributeError):
            usable = False
        if not (usable and plain and placed and "@" not in parts.netloc):
            raise UsageError(
                "the redirect URI of an application must be https, or http on loopback, without"
                " query, fragment or user info",
                url=self.template if isinstance(self.template, str) else "",
                hint="Expected something like https://app.example.com/oauth/callback; {issuer} in"
                " its path stands for a mark of the authorization server",
            )

    @property
    def per_issuer(self) -> bool:
        return PER_ISSUER in self.template

    def uri(self, issuer: str) -> str:
        return self._filled(_mark(issuer, _OF_MANY))

    def mark(self, issuer: str) -> str:
        """The mark in the path of a response from this issuer; empty if all share one path."""
        return _mark(issuer, _OF_MANY) if self.per_issuer else ""

    def _filled(self, mark: str) -> str:
        return self.template.replace(PER_ISSUER, mark)


def _mark(issuer: str, digits: int = _MARK) -> str:
    return hashlib.sha256(issuer.encode()).hexdigest()[:digits]


def _parsed(uri: str) -> Callback:
    parts = split(uri)
    # no path is added: servers compare it as a string (RFC 6749 §3.1.2.3)
    return Callback(parts.hostname or "", parts.port or 0, parts.path)
