"""The token endpoint: one builder and one reader for each exchange (RFC 6749, 7009, 8707)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from ..errors import (
    AuthError,
    BadResponse,
    DpopUnsupported,
    TokenRefused,
    Unavailable,
    quoted,
)
from ..events import Event
from ..secret import Secret, masked
from . import _authlib
from .authorization import AuthorizationCode
from .client_auth import PLAIN, FormPost, Prover
from .discovery import unavailable
from .document import Document, described, error_code, parsed
from .flow import Flow, HttpResponse
from .registration import Client
from .scopes import Scopes, parse
from .urls import shown

DEFINITE: Final = ("invalid_grant", "invalid_client", "unauthorized_client")
_LATER: Final = ("temporarily_unavailable", "server_error", "slow_down")
_CLIENT_HINT: Final = (
    "The server does not accept this client: check its id, its secret and how it proves itself"
    " (PreRegistered(method=…)), or log in again to register a new one"
)
_HINTS: Final = {
    "invalid_client": _CLIENT_HINT,
    "unauthorized_client": _CLIENT_HINT,
    "invalid_dpop_proof": "If this server wants tokens that are bound to a key, log in again with"
    " --dpop (Options(dpop=True)); if that was done, compare this machine's clock with theirs",
}
_FORM: Final = re.compile(rb"\w+=")
_LONGEST: Final = 10 * 365 * 86_400.0
BEARER, DPOP = "Bearer", "DPoP"  # RFC 6750 §6.1.1, RFC 9449 §12.1
BOUND_ONLY: Final = "dpop_required"  # among a credential's options


@dataclass(frozen=True, slots=True)
class TokenSet:
    """What the token endpoint gave.

    `expires_at` is in seconds since the epoch, None where the server does not say;
    `issued_at` likewise, taken before the request was sent. `scope` is what was granted;
    `token_type` is `Bearer` or `DPoP`.
    """

    access_token: Secret
    issued_at: float
    expires_at: float | None = None
    refresh_token: Secret | None = None
    scope: Scopes | None = None
    token_type: str = BEARER

    @property
    def bound(self) -> bool:
        """Whether the access token goes out with a proof (RFC 9449 §7.1), not as a Bearer."""
        return self.token_type == DPOP

    @property
    def lifetime(self) -> float | None:
        """Seconds from issue to expiry."""
        return None if self.expires_at is None else self.expires_at - self.issued_at


class Renewable(Protocol):
    """What a refresh needs, all of it from the one record that the tokens came in."""

    @property
    def token_endpoint(self) -> str: ...
    @property
    def client(self) -> Client: ...
    @property
    def resource(self) -> str | None: ...
    @property
    def tokens(self) -> TokenSet: ...
    @property
    def revocation_endpoint(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Any]: ...


def exchange_request(code: AuthorizationCode) -> FormPost:
    """RFC 6749 §4.1.3 with RFC 7636 §4.5 and RFC 8707 §2.2."""
    asked = code.request
    fields = [
        ("code", code.code.reveal()),
        ("redirect_uri", asked.redirect_uri),
        ("code_verifier", asked.verifier.reveal()),
    ]
    if asked.resource:
        fields.append(("resource", asked.resource))
    body = _authlib.token_body("authorization_code", fields)
    return FormPost(asked.server.token_endpoint, asked.client, body)


def exchange(code: AuthorizationCode, now: float, prover: Prover = PLAIN) -> Flow[TokenSet]:
    """A checked code for tokens; it goes only to the issuer that its response came from."""
    request = exchange_request(code)
    url = shown(request.url)
    yield Event("token-request", url, rule="code_verifier and resource sent (RFC 7636, 8707)")
    response = yield from request.send(prover)
    asked = code.request
    sent = (code.code, asked.verifier, asked.client.secret)
    tokens = read_token_response(response, now, asked=asked.scope, sent=sent, proved=prover.binds)
    yield Event("token", url, response.status, summary(tokens), "", response.seconds)
    return tokens


def refresh_request(held: Renewable) -> FormPost:
    """RFC 6749 §6; no `scope`, so that the grant stays as it is."""
    token = held.tokens.refresh_token
    if token is None:
        raise ValueError("this credential has no refresh token")
    fields = [("refresh_token", token.reveal())]
    if held.resource:
        fields.append(("resource", held.resource))
    body = _authlib.token_body("refresh_token", fields)
    return FormPost(held.token_endpoint, held.client, body, _private(held))


def refresh(held: Renewable, now: float, prover: Prover = PLAIN) -> Flow[TokenSet]:
    """New tokens from the endpoint that is stored with the old; what is absent stays.

    It tells nothing on the way: nothing may come between the answer and its keeping.
    """
    response = yield from refresh_request(held).send(prover)
    kept = held.tokens.refresh_token
    sent = (kept, held.client.secret)
    tokens = read_token_response(
        response,
        now,
        asked=held.tokens.scope,
        kept=kept,
        sent=sent,
        proved=prover.binds,
    )
    return require_bound(tokens, response.url) if held.options.get(BOUND_ONLY) else tokens


def revocation_request(
    held: Renewable, token: Secret, hint: str, *, empty_secret: bool = False
) -> FormPost:
    """RFC 7009 §2.1."""
    body = _authlib.revocation_body(token.reveal(), hint)
    body += "&client_secret=" if empty_secret else ""
    return FormPost(held.revocation_endpoint, held.client, body, _private(held))


def revoke(held: Renewable, token: Secret, hint: str, prover: Prover = PLAIN) -> Flow[bool]:
    """Whether the server has revoked one of the credential's tokens (RFC 7009 §2.2)."""
    response = yield from revocation_request(held, token, hint).send(prover)
    if response.status == 400 and held.client.method == "none":
        # The official SDK's server wants a secret field from public clients too
        again = revocation_request(held, token, hint, empty_secret=True)
        response = yield from again.send(prover)
    done = response.status == 200
    said = "revoked" if done else "not revoked"
    yield Event("revocation", shown(held.revocation_endpoint), response.status, f"{hint} {said}")
    return done


def _private(held: Renewable) -> bool:
    """What the login was allowed holds for the endpoints that are stored with it."""
    return bool(held.options.get("allow_private_addresses"))


def read_token_response(
    response: HttpResponse,
    now: float,
    *,
    asked: Scopes | None = None,
    kept: Secret | None = None,
    sent: Sequence[Secret | None] = (),
    proved: bool = False,
) -> TokenSet:
    """The only maker of `TokenSet` from an answer, read by its shape (RFC 6749 §5.1, §5.2).

    `sent` are the secrets of the request, which no message may repeat; `proved` tells that it
    carried the proof of a key, so that its answer may be bound to one. Raises
    `TokenRefused` for an OAuth error, `Unavailable` for a passing fault, `BadResponse` for
    anything that is not a token response.
    """
    document = granted_document(response, sent)
    access = document.need("access_token")
    if not (access.isascii() and access.isprintable()):
        document.broken("“access_token” has a character that no header may have (RFC 6749 §A.12)")
    bound = document.text("token_type").lower() == "dpop"
    if bound and not proved:
        document.broken("it binds the token to a DPoP key that was never sent (RFC 9449 §5)")
    lifetime = document.number("expires_in")
    refresh_token = document.text("refresh_token")
    scope = document.raw.get("scope")
    granted = parse(scope) if isinstance(scope, str) else document.texts("scope")
    return TokenSet(
        access_token=Secret(access),
        issued_at=now,
        expires_at=None if lifetime is None else now + min(max(lifetime, 0.0), _LONGEST),
        refresh_token=Secret(refresh_token) if refresh_token else kept,
        scope=asked if granted is None else granted,
        token_type=DPOP if bound else BEARER,
    )


def require_bound(tokens: TokenSet, url: str) -> TokenSet:
    """The tokens of an answer to a resource that takes bound ones only (RFC 9449 §5)."""
    if tokens.bound:
        return tokens
    raise DpopUnsupported(
        "the MCP server takes only tokens that are bound to a key (DPoP), and its authorization"
        " server has issued a Bearer token",
        url=shown(url),
        hint="The token was thrown away; the operator must enable DPoP (RFC 9449) there",
    )


def granted_document(
    response: HttpResponse,
    sent: Sequence[Secret | None] = (),
    *,
    what: str = "token",
    field: str = "access_token",
) -> Document:
    """The object of an answer that has `field`, and so grants what was asked for.

    Raises as `read_token_response` does; `what` is the endpoint's name in messages.
    """
    document = _document(response, what)
    if document is None or not _granted(response, document, field):
        raise _failure(response, document, sent, what)
    return document


def _granted(response: HttpResponse, document: Document, field: str) -> bool:
    """Some servers say no with a 200, and an error beside a token is an error."""
    refused = bool(document.text("error")) or document.raw.get("ok") is False
    return 200 <= response.status < 300 and field in document.raw and not refused


def _document(response: HttpResponse, what: str) -> Document | None:
    value = parsed(response)
    if value is None and _FORM.match(response.body):
        value = _form(response)
    return Document(f"{what} response", response.url, value) if isinstance(value, dict) else None


def _form(response: HttpResponse) -> dict[str, Any] | None:
    """Some servers answer as a form whatever they were asked for."""
    kind = response.header("content-type").partition(";")[0].strip().lower()
    if kind not in ("application/x-www-form-urlencoded", "text/plain", ""):
        return None
    try:
        pairs = parse_qsl(response.body.decode("utf-8", "replace"), max_num_fields=100)
    except ValueError:
        return None
    fields = dict(pairs)
    return fields if "access_token" in fields or "error" in fields else None


def _failure(
    response: HttpResponse, document: Document | None, sent: Sequence[Secret | None], what: str
) -> AuthError:
    error = masked(document.text("error"), sent) if document else ""
    code = error_code(error) if error else ""
    where = shown(response.url)
    passing = response.status == 429 or response.status >= 500 or code in _LATER
    if code and (code in DEFINITE or not passing):
        text = masked(document.text("error_description"), sent) if document else ""
        said = f": {quoted(text)}" if text else ""
        return TokenRefused(
            f"the {what} endpoint refused with {quoted(code, 60)}{said}",
            url=where,
            code=code,
            status=response.status,
            hint=_HINTS.get(code, "Log in again"),
        )
    if passing:
        failure = unavailable(response)
        return Unavailable(
            failure.summary,
            url=where,
            code=code,
            hint=failure.hint,
            retry_after=failure.retry_after,
        )
    got = described(response) if document is None else "an object that grants nothing"
    return BadResponse(
        f"the {what} endpoint must answer a {what} response (RFC 6749 §5.1), but HTTP"
        f" {response.status} came with {got}",
        url=where,
    )


def summary(tokens: TokenSet) -> str:
    life = "no expiry given" if tokens.lifetime is None else f"expires in {tokens.lifetime:.0f} s"
    renewable = "with" if tokens.refresh_token else "without"
    kind = ", bound to a key (DPoP)" if tokens.bound else ""
    return f"{life}, {renewable} refresh token{kind}"
