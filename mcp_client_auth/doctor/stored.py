"""The login that is stored for this server, if there is one: is it accepted, and meant here?

The token is sent to the server that it is for, and shown to nobody.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from ..credential import Credential, Key
from ..errors import AuthError
from ..probing import asked as answer_to
from ..protocol.urls import canonical, covers, same_issuer, shown
from ..secret import Secret
from ..steps import Edges
from ..storage import Storage
from ..storage.memory import MemoryStorage
from .exam import Check, Exam
from .finding import Finding, failed

_AUDIENCE: Final = "the token is for this server (RFC 8707 §2, MCP “Token Audience Binding”)"
_ACCEPTED: Final = "an answer other than 401 (RFC 6750 §3.1)"


def login(exam: Exam, storage: Storage, key: Key, issuers: tuple[str, ...]) -> Check[None]:
    """`issuers`: those that the server names now."""
    asked = "the login that is stored for this server"
    if storage.summary(key) is None:
        yield Finding("login.stored", "note", asked, "none", remedy="mcp-login URL makes one")
        return
    try:
        credential = storage.load(key)
    except AuthError as error:
        yield failed("login.stored", error, asked)
        return
    if credential is None:
        mend = "mcp-login logout URL, then log in again"
        came = "the index has an entry, the storage has no secret"
        yield Finding("login.stored", "warning", asked, came, remedy=mend)
        return
    exam.secrets += _secrets(credential)
    yield Finding("login.stored", "ok", asked, f"kept in {storage.where}")
    yield _lasting(exam, credential)
    yield from _issuer(credential, issuers)
    yield _audience(exam, credential)
    yield _accepted(exam, credential)


def _secrets(credential: Credential) -> list[Secret]:
    tokens, client = credential.tokens, credential.client
    held = (tokens.access_token, tokens.refresh_token, client.secret, client.management_token)
    return [secret for secret in held if secret]


def _lasting(exam: Exam, credential: Credential) -> Finding:
    tokens, asked = credential.tokens, "how long the login lasts"
    if tokens.expires_at is None:
        life = "the server does not say when the token expires"
    else:
        left = (tokens.expires_at - exam.clock()) / 60
        life = f"the token lives for {left:.0f} min" if left > 0 else "the token has expired"
    if tokens.refresh_token:
        return Finding("login.lasting", "ok", asked, f"{life}; it can be renewed")
    why = "people sign in again whenever the access token has expired"
    return Finding("login.lasting", "warning", asked, f"{life}; it cannot be renewed", "", why)


def _issuer(credential: Credential, issuers: tuple[str, ...]) -> Check[None]:
    if not issuers:
        return
    asked, standard = "the issuer of the login", "one that the server names (RFC 9728 §2)"
    came = shown(credential.issuer)
    if any(same_issuer(credential.issuer, named) for named in issuers):
        yield Finding("login.issuer", "ok", asked, came, standard)
        return
    why = "this client logs in anew when the token has ended"
    mend = "Log in again: the server now names another authorization server"
    yield Finding("login.issuer", "warning", asked, came, standard, why, mend)


def _audience(exam: Exam, credential: Credential) -> Finding:
    asked = "the claim aud of the token, read without verification"
    claims = claims_of(credential.tokens.access_token)
    if claims is None:
        return Finding("login.audience", "note", asked, "the token is opaque", _AUDIENCE)
    named = claims.get("aud")
    listed = named if isinstance(named, list) else [named]
    texts = [each for each in listed if isinstance(each, str) and each]
    meant = credential.resource or canonical(exam.server_url)
    came = "aud is " + (", ".join(shown(each) for each in texts) or "missing")
    if any(each == meant or covers(each, exam.server_url) for each in texts):
        return Finding("login.audience", "ok", asked, came, _AUDIENCE)
    why = "a server that checks the audience refuses the token; one that does not takes strangers'"
    mend = "Let the authorization server honour the parameter resource"
    return Finding("login.audience", "warning", asked, came, _AUDIENCE, why, mend)


def claims_of(token: Secret) -> dict[str, Any] | None:
    """A JWT's claims as they stand there, unverified; None for any other token (RFC 7519 §3)."""
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return None
    try:
        text = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _accepted(exam: Exam, credential: Credential) -> Finding:
    asked = f"POST {shown(exam.server_url)}, an MCP initialize with the token"
    if not credential.alive(exam.clock()):
        mend = (
            "mcp-login token URL renews it" if credential.tokens.refresh_token else "Log in again"
        )
        came = "not sent: it has expired"
        return Finding("login.token", "note", asked, came, _ACCEPTED, remedy=mend)
    edges = Edges(MemoryStorage(), exam.send)
    response = answer_to(exam.server_url, edges, credential)
    came = f"HTTP {response.status}"
    if response.status != 401:
        return Finding("login.token", "ok", asked, came, _ACCEPTED)
    why, mend = (
        "everybody with such a token",
        "Compare the token's audience and issuer, and the keys",
    )
    return Finding("login.token", "error", asked, came, _ACCEPTED, why, mend, "TokenRefused")
