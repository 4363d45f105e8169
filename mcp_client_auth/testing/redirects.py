"""Which redirect URIs a client may register and use: pure rules over strings."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from .settings import RegisteredClient

_LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")
_LITERAL = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::\d{1,5})?((?:[/?].*)?)")


def is_loopback(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return parts.scheme == "http" and parts.hostname in _LOOPBACK_HOSTS and _plain(uri)
    except ValueError:
        return False


def is_https(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return parts.scheme == "https" and bool(parts.hostname) and _plain(uri)
    except ValueError:
        return False


def is_document_url(client_id: str) -> bool:
    """A client ID metadata document's URL: https and a path."""
    return is_https(client_id) and len(urlsplit(client_id).path) > 1


def is_allowed(client: RegisteredClient, uri: str) -> bool:
    """RFC 9700 §2.1: compared exactly; RFC 8252 §7.3: except for a loopback literal's port."""
    if not client.redirect_uris and is_document_url(client.client_id):
        return is_loopback(uri)
    return any(uri == known or _same_but_port(uri, known) for known in client.redirect_uris)


def with_parameters(uri: str, parameters: dict[str, str]) -> str:
    """The redirect URI with the response in its query; its own query stays (RFC 6749 §3.1.2)."""
    parts = urlsplit(uri)
    query = [*parse_qsl(parts.query, keep_blank_values=True), *parameters.items()]
    return urlunsplit(parts._replace(query=urlencode(query)))


def origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


def _plain(uri: str) -> bool:
    parts = urlsplit(uri)
    visible = uri.isascii() and uri.isprintable() and " " not in uri
    return visible and "#" not in uri and "@" not in parts.netloc and parts.port != 0


def _same_but_port(uri: str, known: str) -> bool:
    left, right = _LITERAL.fullmatch(uri), _LITERAL.fullmatch(known)
    return bool(left and right and left.groups() == right.groups())
