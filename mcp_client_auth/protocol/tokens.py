"""The token endpoint: one builder and one reader for each exchange (RFC 6749, 7009, 8707)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qsl

from ..errors import AuthError, BadResponse, DpopUnsupported, Remedy, TokenRefused, UsageError
from ..events import Event
from ..secret import Secret, quoted
from . import _authlib
from .authorization import AuthorizationCode, about_target
from .client import Client
from .client_auth import UNSIGNED, FormPost, RequestSigner
from .document import TO_FIX, Document, described, parsed
from .flow import Flow, HttpResponse
from .id_token import Expected, read_id_token, require_id_token
from .oauth_error import LATER, OAuthError, is_passing, read_error, said, unavailable
from .scopes import Scopes, parse
from .token_set import DEAD_CLIENT as DEAD_CLIENT
from .token_set import DEFINITE as DEFINITE
from .token_set import TokenSet as TokenSet

LOG_IN_AGAIN: Final = "Log in again"
_IF_AGAIN: Final = LOG_IN_AGAIN + ". If that is refused as well, tell the server's operator"
_CLIENT_HINT: Final = Remedy(
    "The server does not accept this client: check its id, its secret ({PreRegistered.secret}) and"
    " how it authenticates ({PreRegistered.method}), or log in again to register a new one"
)
NOT_RENEWABLE: Final = (
    "the server gave no refresh token, so a new login is needed whenever the access token ends"
)
TO_BE_RENEWABLE: Final = Remedy(
    "Some servers give one for {Options.authorize_params=access_type=offline prompt=consent}, or"
    " for the scope offline_access ({scope})"
)
_ANOTHER_ENDPOINT: Final = Remedy(
    TO_FIX + "; if they name another endpoint, pass it: {Options.issuer} and {Options.endpoints}"
)
_HINTS: Final = {
    "invalid_client": _CLIENT_HINT,
    "unauthorized_client": _CLIENT_HINT,
    "invalid_scope": Remedy("Name the scopes that the server grants to this client: {scope}"),
    "invalid_dpop_proof": Remedy(
        "If this server requires tokens that are bound to a key, log in again with"
        " {Options.dpop=True}; if you did, compare this machine's clock with theirs"
    ),
}
_FORM: Final = re.compile(rb"\w+=")
_FORM_TYPES: Final = ("application/x-www-form-urlencoded", "text/plain", "")
_SECRET: Final = re.compile(r"client[ _]secret", re.IGNORECASE)
_FOR_ITSELF: Final = "AADSTS90009"  # Entra ID's answer to a refresh that names no scope
_INSIDE: Final = "authed_user"  # where Slack has the token of a person
_LONGEST: Final = 10 * 365 * 86_400.0
_LONGEST_BY_HAND: Final = 65_536
_SCHEME: Final = "bearer "
BOUND_ONLY: Final = "dpop_required"  # among a credential's options


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
    authorization = code.request
    fields = [
        ("code", code.code.reveal()),
        ("redirect_uri", authorization.redirect_uri),
        ("code_verifier", authorization.verifier.reveal()),
    ]
    if authorization.resource:
        fields.append(("resource", authorization.resource))
    body = _authlib.token_body("authorization_code", fields)
    return FormPost(authorization.server.token_endpoint, authorization.client, body)


def exchange(
    code: AuthorizationCode, now: float, signer: RequestSigner = UNSIGNED
) -> Flow[TokenSet]:
    """Exchange a checked code for tokens; it goes only to the issuer that its response is from."""
    request = exchange_request(code)
    url = request.url
    authorization = code.request
    sent_too = " and resource" if authorization.resource else ""
    rule = f"code_verifier{sent_too} sent (RFC 7636{', 8707' if sent_too else ''})"
    yield Event("token-request", url, rule=rule)
    response = yield from request.send(signer)
    sent = (code.code, authorization.verifier, authorization.client.secret)
    tokens = read_token_response(
        response, now, requested=authorization.scope, sent=sent, proved=signer.binds
    )
    rule = ""
    if authorization.nonce is not None:
        issuer, client_id = authorization.server.issuer, authorization.client.client_id
        expected = Expected(issuer, client_id, authorization.nonce)
        tokens = identified(tokens, require_id_token(response, expected, now))
        rule = "iss, aud, nonce and exp of the ID token (OIDC Core §3.1.3.7)"
    yield Event("token", url, response.status, summary(tokens), rule, response.seconds)
    return tokens


def identified(tokens: TokenSet, id_token: tuple[Secret, float]) -> TokenSet:
    """The tokens with an ID token in place of the access token, which is for the provider's own
    services and is not needed here."""
    token, ends = id_token
    return replace(tokens, access_token=token, expires_at=ends, bound=False)


def refresh_request(stored: Renewable) -> FormPost:
    """RFC 6749 §6; no `scope` unless the caller wants it, so that the grant stays as it is."""
    token = stored.tokens.refresh_token
    if token is None:
        raise ValueError("this credential has no refresh token")
    fields = [("refresh_token", token.reveal())]
    if stored.resource:
        fields.append(("resource", stored.resource))
    if stored.options.get("refresh_scope") and stored.tokens.scope:  # what was granted and no more
        fields.append(("scope", " ".join(stored.tokens.scope)))
    body = _authlib.token_body("refresh_token", fields)
    return FormPost(stored.token_endpoint, stored.client, body, _private(stored))


def refresh(stored: Renewable, now: float, signer: RequestSigner = UNSIGNED) -> Flow[TokenSet]:
    """New tokens from the endpoint stored with the old ones; what the answer lacks stays as it was.

    It yields no event on the way: nothing may come between receiving the answer and storing it.
    """
    response = yield from refresh_request(stored).send(signer)
    kept = stored.tokens.refresh_token
    sent = (kept, stored.client.secret)
    tokens = read_token_response(
        response,
        now,
        requested=stored.tokens.scope,
        kept=kept,
        sent=sent,
        proved=signer.binds,
    )
    return require_bound(tokens, response.url) if stored.options.get(BOUND_ONLY) else tokens


def refresh_id_token(
    stored: Renewable, issuer: str, now: float, signer: RequestSigner = UNSIGNED
) -> Flow[RenewedIdentity]:
    """The same for an ID token (OIDC Core §12.2). What is wrong with it is returned beside the
    tokens, not raised, because a rotated refresh token has to be kept even then."""
    response = yield from refresh_request(stored).send(signer)
    old, secret = stored.tokens, stored.client.secret
    kept = old.refresh_token
    came = read_token_response(response, now, requested=old.scope, kept=kept, sent=(kept, secret))
    rotated = replace(old, refresh_token=came.refresh_token)
    expected = Expected(issuer, stored.client.client_id, before=old.access_token)
    try:
        id_token = read_id_token(response, expected, now)
    except AuthError as fault:
        return RenewedIdentity(rotated, fault)
    if id_token is None:  # §12.2 lets the provider omit it; no refresh can help then
        return RenewedIdentity(replace(old, refresh_token=None))
    return RenewedIdentity(identified(came, id_token))


class RenewedIdentity(NamedTuple):
    """The result of a refresh at an identity provider. `fault`: why its ID token is not used; the
    tokens are then the old ones, but with the rotated refresh token."""

    tokens: TokenSet
    fault: AuthError | None = None


def revocation_request(
    stored: Renewable, token: Secret, hint: str, *, empty_secret: bool = False
) -> FormPost:
    """RFC 7009 §2.1."""
    body = _authlib.revocation_body(token.reveal(), hint)
    body += "&client_secret=" if empty_secret else ""
    return FormPost(stored.revocation_endpoint, stored.client, body, _private(stored))


def revoke(
    stored: Renewable, token: Secret, hint: str, signer: RequestSigner = UNSIGNED
) -> Flow[bool]:
    """Revoke one of the credential's tokens; return whether the server did so (RFC 7009 §2.2)."""
    response = yield from revocation_request(stored, token, hint).send(signer)
    if response.status == 400 and stored.client.method == "none":
        # The official SDK's server requires a secret field from public clients too
        again = revocation_request(stored, token, hint, empty_secret=True)
        response = yield from again.send(signer)
    done = response.status == 200
    outcome = "revoked" if done else "not revoked"
    yield Event("revocation", stored.revocation_endpoint, response.status, f"{hint} {outcome}")
    return done


def _private(stored: Renewable) -> bool:
    """Whether the login allowed private addresses, which holds for the endpoints stored with it."""
    return bool(stored.options.get("allow_private_addresses"))


def read_token_response(
    response: HttpResponse,
    now: float,
    *,
    requested: Scopes | None = None,
    kept: Secret | None = None,
    sent: Sequence[Secret | None] = (),
    proved: bool = False,
) -> TokenSet:
    """The only maker of `TokenSet` from an answer, read by its shape (RFC 6749 §5.1, §5.2).

    `sent` are the secrets of the request, which no message may repeat; `proved`: it carried
    the proof of a key, so the tokens may be bound to that key. Raises `TokenRefused` for an
    OAuth error, `Unavailable` for a passing fault, `BadResponse` for anything that is not a token
    response.
    """
    document = granted_document(response, sent, inside=_INSIDE)
    access = Secret(document.need("access_token"))
    if not (access.reveal().isascii() and access.reveal().isprintable()):
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
        scope=requested if granted is None else granted,
        bound=bound,
    )


def read_static_token(text: str, now: float) -> TokenSet:
    """A token that an operator issued by hand: one line, of characters that a header may have.

    Raises `UsageError` with the code `no_token`, which says what is wrong but repeats nothing.
    """
    token = text.strip()
    if not token:
        wrong = "it is empty"
    elif len(token.splitlines()) > 1:
        wrong = "it has more than one line"
    elif token.lower().startswith(_SCHEME):
        wrong = "it begins with the word Bearer, which is not part of the token"
    elif len(token) > _LONGEST_BY_HAND:
        wrong = f"it has more than {_LONGEST_BY_HAND} characters"
    elif not (token.isascii() and token.isprintable() and " " not in token):
        wrong = "it has spaces, control characters or letters beyond ASCII"
    else:
        return TokenSet(Secret(token), issued_at=now)
    raise UsageError(
        f"this is not an access token: {wrong}",
        code="no_token",
        hint="Expected one line with the token and nothing else",
    )


def require_bound(tokens: TokenSet, url: str) -> TokenSet:
    """The tokens, if bound, for a resource that accepts no others (RFC 9449 §5)."""
    if tokens.bound:
        return tokens
    raise DpopUnsupported(
        "the MCP server accepts only tokens that are bound to a key (DPoP), but its authorization"
        " server has issued a Bearer token",
        url=url,
        hint="The token was discarded; the server's operator has to enable DPoP (RFC 9449) there",
    )


def granted_document(
    response: HttpResponse,
    sent: Sequence[Secret | None] = (),
    *,
    what: str = "token",
    field: str = "access_token",
    inside: str = "",
) -> Document:
    """The object of an answer that has `field`, and so grants what was requested.

    `inside` names the one inner object that may grant it if the outer one does not.
    Raises as `read_token_response` does; `what` is the endpoint's name in messages.
    """
    document = _document(response, what)
    if document is None or not 200 <= response.status < 300 or _refuses(document):
        raise _failure(response, document, sent, what)
    granting = document if field in document.raw else _inner(document, inside)
    if granting is None or field not in granting.raw:
        raise _failure(response, document, sent, what)
    return granting


def _document(response: HttpResponse, what: str) -> Document | None:
    """The object of an answer. Its fields stay out of the frame that raises, as tools print it."""
    value = parsed(response)
    kind = response.header("content-type").partition(";")[0].strip().lower()
    if value is None and kind in _FORM_TYPES and _FORM.match(response.body):
        # some servers answer with a form, whatever the request accepts
        with suppress(ValueError):
            body = response.body.decode("utf-8", "replace")
            value = dict(parse_qsl(body, max_num_fields=100))
            value = value if "access_token" in value or "error" in value else None
    known = isinstance(value, dict)
    return Document(f"{what} response", response.url, value) if known else None


def _refuses(document: Document) -> bool:
    """Whether it refuses: some servers do so with a 200; an error beside a token is an error."""
    return bool(document.text("error")) or document.raw.get("ok") is False


def _inner(document: Document, name: str) -> Document | None:
    """The inner object of an answer that reports success; nothing of the outer one is used."""
    raw = document.raw.get(name)
    if document.raw.get("ok") is not True or not isinstance(raw, dict):
        return None
    inner = Document(document.what, document.url, raw)
    return None if _refuses(inner) else inner


def _failure(
    response: HttpResponse, document: Document | None, sent: Sequence[Secret | None], what: str
) -> AuthError:
    error = read_error(document.raw if document else {}, sent)
    # a body with a token in it may be a grant in some other shape, and is not quoted
    if response.status >= 400 and not error.text and b"access_token" not in response.body:
        error = replace(error, text=said(response, sent))
    passing = is_passing(response.status) or error.code in (*LATER, "slow_down")
    if error.code and (error.code in DEFINITE or not passing):
        return TokenRefused(
            f"the {what} endpoint refused with {quoted(error.code, 60)}{error.ending}",
            url=response.url,
            code=error.code,
            status=response.status,
            hint=_what_helps(error),
        )
    if passing:
        return unavailable(response, code=error.code)
    got = described(response) if document is None else "an object that grants nothing"
    return BadResponse(
        f"the {what} endpoint must answer a {what} response (RFC 6749 §5.1), got HTTP"
        f" {response.status} with {got}{error.ending}",
        url=response.url,
        status=response.status,
        hint=_CLIENT_HINT if response.status == 401 else _ANOTHER_ENDPOINT,
    )


def _what_helps(error: OAuthError) -> str | Remedy:
    code, text = error.code, error.text
    if code in _HINTS or code in DEFINITE:
        return _HINTS.get(code, LOG_IN_AGAIN)
    if _FOR_ITSELF in text:
        return Remedy(
            "Log in again, and have the scopes named in each refresh: {Options.refresh_scope=True}"
        )
    if _SECRET.search(text):
        return _CLIENT_HINT
    about = about_target(error)
    return Remedy(LOG_IN_AGAIN + "; {}", about) if about else _IF_AGAIN


def summary(tokens: TokenSet) -> str:
    life = "no expiry given" if tokens.lifetime is None else f"expires in {tokens.lifetime:.0f} s"
    renewable = "with" if tokens.refresh_token else "without"
    kind = ", bound to a key (DPoP)" if tokens.bound else ""
    return f"{life}, {renewable} refresh token{kind}"
