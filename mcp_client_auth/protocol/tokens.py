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
from .authorization import AuthorizationCode, about_target
from .client_auth import PLAIN, FormPost, Prover
from .discovery import unavailable
from .document import Document, described, error_code, parsed
from .flow import Flow, HttpResponse
from .registration import Client
from .scopes import Scopes, parse
from .urls import shown

DEFINITE: Final = (
    "invalid_grant",
    "invalid_client",
    "unauthorized_client",
    "bad_refresh_token",  # GitHub's word for invalid_grant
    "invalid_refresh_token",  # Slack's
)
_LATER: Final = ("temporarily_unavailable", "server_error", "slow_down")
LOG_IN_AGAIN: Final = "Log in again"
_CLIENT_HINT: Final = (
    "The server does not accept this client: check its id, its secret (--client-secret-file,"
    " PreRegistered(secret=…)) and how it proves itself (--client-auth-method,"
    " PreRegistered(method=…)), or log in again to register a new one"
)
NOT_RENEWABLE: Final = (
    "the server gave no refresh token, so a new login is needed whenever the access token ends."
    " Some give one on --param access_type=offline --param prompt=consent"
    ' (Options(authorize_params={"access_type": "offline", "prompt": "consent"})), or for the'
    " scope offline_access (--scope, scope=…)"
)
_HINTS: Final = {
    "invalid_client": _CLIENT_HINT,
    "unauthorized_client": _CLIENT_HINT,
    "invalid_dpop_proof": "If this server wants tokens that are bound to a key, log in again with"
    " --dpop (Options(dpop=True)); if that was done, compare this machine's clock with theirs",
}
_FORM: Final = re.compile(rb"\w+=")
_SECRET: Final = re.compile(r"client[ _]secret", re.IGNORECASE)
_FOR_ITSELF: Final = "AADSTS90009"  # Entra ID's answer to a refresh that names no scope
_INSIDE: Final = "authed_user"  # where Slack has the token of a person
_LONGEST: Final = 10 * 365 * 86_400.0
BOUND_ONLY: Final = "dpop_required"  # among a credential's options


@dataclass(frozen=True, slots=True)
class TokenSet:
    """What the token endpoint gave.

    `expires_at` is in seconds since the epoch, None where the server does not say;
    `issued_at` likewise, taken before the request was sent. `scope` is what was granted.
    `bound`: the type of the access token is DPoP, not Bearer, so a proof goes with it (RFC 9449).
    """

    access_token: Secret
    issued_at: float
    expires_at: float | None = None
    refresh_token: Secret | None = None
    scope: Scopes | None = None
    bound: bool = False

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
    """RFC 6749 §6; no `scope` unless the caller wants it, so that the grant stays as it is."""
    token = held.tokens.refresh_token
    if token is None:
        raise ValueError("this credential has no refresh token")
    fields = [("refresh_token", token.reveal())]
    if held.resource:
        fields.append(("resource", held.resource))
    if held.options.get("refresh_scope") and held.tokens.scope:  # what was granted and no more
        fields.append(("scope", " ".join(held.tokens.scope)))
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
    document = granted_document(response, sent, inside=_INSIDE)
    access = Secret(document.need("access_token"))
    if not _fits_a_header(access):
        document.broken("“access_token” has a character that no header may have (RFC 6749 §A.12)")
    bound = document.text("token_type").lower() == "dpop"
    if bound and not proved:
        document.broken("it binds the token to a DPoP key that was never sent (RFC 9449 §5)")
    lifetime = document.number("expires_in")
    scope = document.raw.get("scope")
    granted = parse(scope) if isinstance(scope, str) else document.texts("scope")
    return TokenSet(
        access_token=access,
        issued_at=now,
        expires_at=None if lifetime is None else now + min(max(lifetime, 0.0), _LONGEST),
        refresh_token=document.secret("refresh_token") or kept,
        scope=asked if granted is None else granted,
        bound=bound,
    )


def _fits_a_header(token: Secret) -> bool:
    return token.reveal().isascii() and token.reveal().isprintable()


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
    inside: str = "",
) -> Document:
    """The object of an answer that has `field`, and so grants what was asked for.

    `inside` names the one inner object that may grant it where the outer one does not.
    Raises as `read_token_response` does; `what` is the endpoint's name in messages.
    """
    document = _document(response, what)
    if document is None or not 200 <= response.status < 300 or _refuses(document):
        raise _failure(response, document, sent, what)
    granting = document if field in document.raw else _inner(document, inside)
    if granting is None or field not in granting.raw:
        raise _failure(response, document, sent, what)
    return granting


def _refuses(document: Document) -> bool:
    """Some servers say no with a 200, and an error beside a token is an error."""
    return bool(document.text("error")) or document.raw.get("ok") is False


def _inner(document: Document, name: str) -> Document | None:
    """The inner object of an answer that calls itself good; nothing of the outer one is used."""
    raw = document.raw.get(name)
    if document.raw.get("ok") is not True or not isinstance(raw, dict):
        return None
    inner = Document(document.what, document.url, raw)
    return None if _refuses(inner) else inner


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
            hint=_what_helps(code, text),
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
        status=response.status,
    )


def _what_helps(code: str, text: str) -> str:
    if code in _HINTS or code in DEFINITE:
        return _HINTS.get(code, LOG_IN_AGAIN)
    if _FOR_ITSELF in text:
        return (
            "Log in again, and have the scopes named in each refresh (--refresh-scope,"
            " Options(refresh_scope=True))"
        )
    about = about_target(code, text)
    if _SECRET.search(text):
        return _CLIENT_HINT
    return about[:1].upper() + about[1:] or LOG_IN_AGAIN


def summary(tokens: TokenSet) -> str:
    life = "no expiry given" if tokens.lifetime is None else f"expires in {tokens.lifetime:.0f} s"
    renewable = "with" if tokens.refresh_token else "without"
    kind = ", bound to a key (DPoP)" if tokens.bound else ""
    return f"{life}, {renewable} refresh token{kind}"
