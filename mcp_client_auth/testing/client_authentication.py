"""How the token endpoint identifies the client; only the client's registered method works."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable
from hmac import compare_digest
from urllib.parse import unquote_plus

from .assertions import ASSERTION_TYPE, Assertions
from .faults import Fault
from .settings import RegisteredClient

Lookup = Callable[[str], RegisteredClient | None]


def authenticated_client(
    authorization: str, parameters: dict[str, str], lookup: Lookup, assertions: Assertions
) -> RegisteredClient:
    """The client that proved itself; otherwise `invalid_client` (RFC 6749 §2.3, §5.2)."""
    if "client_assertion" in parameters or "client_assertion_type" in parameters:
        return _by_assertion(authorization, parameters, lookup, assertions)
    if authorization:
        return _by_basic(authorization, parameters, lookup)
    method = "client_secret_post" if "client_secret" in parameters else "none"
    client = lookup(parameters.get("client_id", ""))
    if client is None or client.method != method:
        raise refusal()
    return _proved(client, parameters.get("client_secret"))


def _by_assertion(
    authorization: str, parameters: dict[str, str], lookup: Lookup, assertions: Assertions
) -> RegisteredClient:
    """RFC 7523 §2.2 and §3."""
    if authorization or "client_secret" in parameters:
        raise Fault("invalid_request", "two ways of client authentication at once")
    if parameters.get("client_assertion_type") != ASSERTION_TYPE:
        raise Fault("invalid_request", "client_assertion_type is not known here")
    assertion = parameters.get("client_assertion", "")
    client = lookup(assertions.subject(assertion))
    if client is None or not client.method.endswith("_jwt"):
        raise refusal()
    if parameters.get("client_id", client.client_id) != client.client_id:
        raise Fault("invalid_request", "client_id differs from the assertion")
    assertions.check(client, assertion)
    return client


def _by_basic(authorization: str, parameters: dict[str, str], lookup: Lookup) -> RegisteredClient:
    client_id, secret = _credentials(authorization)
    if "client_secret" in parameters:
        raise Fault("invalid_request", "two ways of client authentication at once")
    if parameters.get("client_id", client_id) != client_id:
        raise Fault("invalid_request", "client_id differs from the Authorization header")
    client = lookup(client_id)
    if client is None or client.method != "client_secret_basic":
        raise refusal()
    return _proved(client, secret)


def _credentials(authorization: str) -> tuple[str, str]:
    scheme, _, value = authorization.partition(" ")
    try:
        decoded = b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise refusal() from None
    client_id, colon, secret = decoded.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise refusal()
    # RFC 6749 §2.3.1: both are form-encoded before they are joined
    return unquote_plus(client_id), unquote_plus(secret)


def _proved(client: RegisteredClient, secret: str | None) -> RegisteredClient:
    expected = client.client_secret or ""
    if not compare_digest(expected.encode(), (secret or "").encode()):
        raise refusal()
    return client


def refusal() -> Fault:
    headers = {"WWW-Authenticate": 'Basic realm="token"'}
    return Fault("invalid_client", "client authentication failed", status=401, headers=headers)
