"""Dynamic client registration: the client's metadata in, a client or a refusal out.

Fields that are not known are ignored, as RFC 7591 §2 says; known ones must make sense.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection
from typing import Any

from .faults import Fault
from .redirects import is_https, is_loopback
from .settings import AUTH_METHODS, AuthMethod, RegisteredClient

_GRANTS = ("authorization_code", "refresh_token")
_TEXT_LENGTH = 1000
_URIS = 10


def read_registration(
    body: bytes, method: AuthMethod, grants_known: Collection[str] = _GRANTS
) -> tuple[RegisteredClient, dict[str, Any]]:
    """The client to keep and the answer to give it (RFC 7591 §3.2.1)."""
    metadata = _document(body)
    uris = _redirect_uris(metadata)
    name = _text(metadata, "client_name")
    grants = _words(metadata, "grant_types", grants_known, ("authorization_code",))
    responses = _words(metadata, "response_types", ("code",), ("code",))
    _one_of(metadata, "token_endpoint_auth_method", AUTH_METHODS)
    scope = _text(metadata, "scope")
    secret = None if method == "none" else secrets.token_urlsafe(24)
    client = RegisteredClient(f"demo-{secrets.token_hex(8)}", secret, method, uris, name)
    answer: dict[str, Any] = {
        "client_id": client.client_id,
        "redirect_uris": list(uris),
        "grant_types": list(grants),
        "response_types": list(responses),
        "token_endpoint_auth_method": method,
    }
    optional = {"client_name": name, "scope": scope, "application_type": _kind(metadata)}
    answer |= {key: value for key, value in optional.items() if value}
    if secret is not None:
        answer["client_secret"] = secret
        answer["client_secret_expires_at"] = 0
    return client, answer


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Fault("invalid_client_metadata", "the body must be a JSON object")
    return document


def _redirect_uris(metadata: dict[str, Any]) -> tuple[str, ...]:
    uris = metadata.get("redirect_uris")
    if not isinstance(uris, list) or not 0 < len(uris) <= _URIS:
        raise Fault("invalid_redirect_uri", "redirect_uris must be a list of one to ten")
    for uri in uris:
        if not isinstance(uri, str) or not (is_https(uri) or is_loopback(uri)):
            raise Fault("invalid_redirect_uri", "https, or http on loopback, no fragment")
        if _kind(metadata) == "web" and not is_https(uri):
            raise Fault("invalid_redirect_uri", "application_type web needs https")
    return tuple(uris)


def _kind(metadata: dict[str, Any]) -> str:
    return _one_of(metadata, "application_type", ("native", "web"))


def _one_of(metadata: dict[str, Any], name: str, allowed: Collection[str]) -> str:
    value = _text(metadata, name)
    if value and value not in allowed:
        raise Fault("invalid_client_metadata", f"{name} is not supported")
    return value


def _text(metadata: dict[str, Any], name: str) -> str:
    value = metadata.get(name, "")
    if not isinstance(value, str) or len(value) > _TEXT_LENGTH or not value.isprintable():
        raise Fault("invalid_client_metadata", f"{name} must be short and printable")
    return value


def _words(
    metadata: dict[str, Any], name: str, allowed: Collection[str], default: tuple[str, ...]
) -> tuple[str, ...]:
    value = metadata.get(name, list(default))
    if not isinstance(value, list) or not value or any(word not in allowed for word in value):
        raise Fault("invalid_client_metadata", f"{name} is not supported")
    return tuple(value)
