"""The grants that ask nobody: a builder and a reader for each (RFC 6749 §4.4, 7523, 8693).

What a grant needs from the world, such as the text of an assertion, is handed in.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Literal, Protocol, TypeAlias

from ..errors import IssuerMismatch, TokenRefused, UsageError, quoted
from ..events import Event
from ..secret import Secret
from . import _authlib
from .client_auth import PLAIN, FormPost, Prover
from .flow import Flow, HttpResponse
from .registration import Client, PreRegistered
from .scopes import Scopes
from .tokens import TokenSet, granted_document, read_token_response, summary
from .urls import same_issuer, shown

JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:"  # noqa: S105 - a name
ID_JAG: Final = _TOKEN_TYPE + "id-jag"
_HINT: Final = (
    "No person can mend this here: check the client and how it proves itself, the assertion, and"
    " the scope, or ask the operator"
)


class FilePath(Protocol):
    """A `pathlib.Path`, which only who reads the file has to know."""

    def __fspath__(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The client speaks for itself (RFC 6749 §4.4); it is `client=PreRegistered(…)`."""

    name: ClassVar[str] = "client_credentials"

    @property
    def owner(self) -> str:
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WithAssertion:
    """Where the caller's assertion comes from: exactly one of the three.

    `assertion`: its text, or a function that is called with the audience at each use and
    gives the text. `assertion_file`: read again at each use. `assertion_env`: the name of an
    environment variable. The audience is the authorization server's issuer;
    for an identity assertion it is the client at the identity provider.
    """

    assertion: Secret | str | Callable[[str], str] | None = field(default=None, repr=False)
    assertion_file: str | FilePath = ""
    assertion_env: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.assertion, str):
            object.__setattr__(self, "assertion", Secret(self.assertion.strip()))
        given = [s for s in (self.assertion, self.assertion_file, self.assertion_env) if s]
        if len(given) != 1:
            raise UsageError(
                f"{type(self).__name__} takes one assertion, got {len(given) or 'none'}",
                hint="Pass one of assertion, assertion_file and assertion_env, and no empty one",
            )

    @property
    def owner(self) -> str:
        """Whose assertion a given text is, as a digest; empty where it has still to be fetched.

        A token of one owner is never taken for another one's, whatever the account is called.
        """
        if not isinstance(self.assertion, Secret):
            return ""
        claims = _claims(self.assertion)
        named = [claims.get("iss"), claims.get("sub")] if claims.get("sub") else None
        text = json.dumps(named) if named else self.assertion.reveal()
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadIdentity(WithAssertion):
    """A workload's own JWT for an access token (RFC 7523 §2.1); `client=` is optional.

    The JWT leaves only if its `aud` is the authorization server's issuer, or that is pinned
    with `Options(issuer=…)`. One account label for each workload of a process.
    """

    name: ClassVar[str] = "workload_identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterpriseManaged(WithAssertion):
    """A person's sign-in at the company's identity provider for an access token (MCP
    "Enterprise-Managed Authorization").

    `idp_client` is the client at the identity provider, `client=` the one at the server's
    authorization server. `idp_issuer`: its metadata is read; `idp_token_endpoint`: or the
    place itself. `assertion_type`: an ID token, or a SAML 2.0 assertion, base64url-encoded
    (RFC 8693 §3). One account label for each person.
    """

    idp_client: PreRegistered
    idp_issuer: str = ""
    idp_token_endpoint: str = ""
    assertion_type: Literal["id_token", "saml2"] = "id_token"
    name: ClassVar[str] = "enterprise_managed"

    def __post_init__(self) -> None:
        WithAssertion.__post_init__(self)
        if not (self.idp_issuer or self.idp_token_endpoint):
            raise UsageError("EnterpriseManaged needs idp_issuer or idp_token_endpoint")
        if self.assertion_type not in ("id_token", "saml2"):
            raise UsageError('assertion_type is "id_token" or "saml2"')


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A person signs in on another device, with a code that this one shows (RFC 8628).

    The login is the person's own, kept and refreshed as one with a browser is.
    """


Alone: TypeAlias = ClientCredentials | WorkloadIdentity | EnterpriseManaged
Grant: TypeAlias = Alone | DeviceCode


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a grant asks and for what, all of it from one discovery or from one record."""

    issuer: str
    token_endpoint: str
    client: Client
    resource: str | None
    scope: Scopes | None
    private: bool = False


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """Where the caller's identity assertion goes, and nowhere else."""

    token_endpoint: str
    client: Client


def require_client(grant: Grant | None, identity: object) -> None:
    """`UsageError` where the grant has no use for the caller's client, or lacks one."""
    optional = isinstance(grant, WorkloadIdentity) and identity is None
    if isinstance(grant, Alone) and not optional and not isinstance(identity, PreRegistered):
        raise UsageError(
            f"{type(grant).__name__} needs a client that its operator registered",
            hint="Pass client=PreRegistered(…): this grant registers none",
        )


def client_credentials_request(target: Target) -> FormPost:
    """RFC 6749 §4.4.2 with RFC 8707 §2.2."""
    if target.client.method == "none":  # §4.4: confidential clients only
        raise UsageError(
            f"the client {quoted(target.client.client_id, 60)} cannot prove itself, which the"
            " client credentials grant demands (RFC 6749 §4.4)",
            hint="Pass its secret: PreRegistered(id, secret=…)",
        )
    return _form(target, "client_credentials", _scoped(target))


def client_credentials(target: Target, now: float, prover: Prover = PLAIN) -> Flow[TokenSet]:
    request = client_credentials_request(target)
    return (yield from _issued(target, request, now, prover, "RFC 6749 §4.4, 8707"))


def jwt_bearer_request(target: Target, assertion: Secret) -> FormPost:
    """RFC 7523 §2.1 with RFC 8707 §2.2."""
    return _form(target, JWT_BEARER, [("assertion", assertion.reveal()), *_scoped(target)])


def jwt_bearer(
    target: Target, assertion: Secret, now: float, prover: Prover = PLAIN, *, pinned: bool = False
) -> Flow[TokenSet]:
    """`pinned`: the caller has named the issuer, so that the audience need not."""
    require_audience(assertion, target.issuer, pinned=pinned)
    request = jwt_bearer_request(target, assertion)
    rule = "the assertion's audience is the issuer" if not pinned else "the issuer is pinned"
    return (yield from _issued(target, request, now, prover, f"{rule} (RFC 7523)", assertion))


def token_exchange_request(
    provider: IdentityProvider, target: Target, subject: Secret, kind: str
) -> FormPost:
    """RFC 8693 §2.1 as MCP "Enterprise-Managed Authorization" §4 has it."""
    fields = [
        ("requested_token_type", ID_JAG),
        ("audience", target.issuer),
        *([("resource", target.resource)] if target.resource else []),
        *_scoped(target),
        ("subject_token", subject.reveal()),
        ("subject_token_type", _TOKEN_TYPE + kind),
    ]
    body = _authlib.token_body(TOKEN_EXCHANGE, fields)
    # the caller named this place, so it may be anywhere
    return FormPost(provider.token_endpoint, provider.client, body, private=True)


def read_id_jag(response: HttpResponse, sent: Sequence[Secret | None] = ()) -> Secret:
    """The identity assertion grant of a token exchange: no token, and never sent as one.

    RFC 8693 §2.2.1 names the field `access_token` whatever is in it.
    """
    document = granted_document(response, sent)
    issued = document.text("issued_token_type")
    if issued != ID_JAG:
        got = quoted(issued, 80) if issued else "none"
        document.broken(f"“issued_token_type” must be {ID_JAG}, got {got}")
    return Secret(document.need("access_token"))


def identity_assertion(
    provider: IdentityProvider,
    target: Target,
    subject: Secret,
    kind: str,
    now: float,
    prover: Prover = PLAIN,
    *,
    idp_prover: Prover = PLAIN,
    pinned: bool = False,
) -> Flow[TokenSet]:
    """Both legs: the identity assertion for an ID-JAG, and that for an access token."""
    request = token_exchange_request(provider, target, subject, kind)
    url = shown(request.url)
    yield Event("token-request", url, rule="identity assertion for a grant (RFC 8693)")
    response = yield from request.send(idp_prover)
    with _hinting():
        grant = read_id_jag(response, (subject, provider.client.secret))
    detail = "a grant for the authorization server, no token"
    yield Event("token", url, response.status, detail, "issued_token_type", response.seconds)
    # The grant holds the scope that the provider's policy left: asking again could only fail
    unscoped = replace(target, scope=None)
    tokens = yield from jwt_bearer(unscoped, grant, now, prover, pinned=pinned)
    return tokens if tokens.scope is not None else replace(tokens, scope=target.scope)


def require_audience(assertion: Secret, issuer: str, *, pinned: bool = False) -> None:
    """`IssuerMismatch` for an assertion that would leave for somebody it does not name."""
    audience = _claims(assertion).get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if pinned or any(isinstance(each, str) and same_issuer(each, issuer) for each in named):
        return
    said = [quoted(each, 120) for each in named if isinstance(each, str)]
    raise IssuerMismatch(
        f"the assertion is for {', '.join(said[:3]) or 'no audience that can be read'}, but the"
        f" authorization server is {shown(issuer)}",
        url=shown(issuer),
        hint="It was not sent. Have it issued for that audience; or, if you know that server,"
        " pin it: Options(issuer=…)",
    )


def _form(target: Target, grant_type: str, fields: Sequence[tuple[str, str]]) -> FormPost:
    resource = [("resource", target.resource)] if target.resource else []
    body = _authlib.token_body(grant_type, [*fields, *resource])
    return FormPost(target.token_endpoint, target.client, body, target.private)


def _scoped(target: Target) -> list[tuple[str, str]]:
    return [("scope", " ".join(target.scope))] if target.scope else []


def _issued(
    target: Target,
    request: FormPost,
    now: float,
    prover: Prover,
    rule: str,
    assertion: Secret | None = None,
) -> Flow[TokenSet]:
    url = shown(request.url)
    yield Event("token-request", url, rule=rule)
    response = yield from request.send(prover)
    with _hinting():
        sent = (assertion, target.client.secret)
        tokens = read_token_response(
            response, now, asked=target.scope, sent=sent, proved=prover.binds
        )
    yield Event("token", url, response.status, summary(tokens), "", response.seconds)
    return replace(tokens, refresh_token=None)  # the grant itself is what renews


@contextmanager
def _hinting() -> Iterator[None]:
    """A refusal here is nothing that a person could log in against."""
    try:
        yield
    except TokenRefused as error:
        error.hint = _HINT
        raise


def _claims(assertion: Secret) -> Mapping[str, Any]:
    """What a JWT says of itself, unverified; nothing for what is no JWT."""
    parts = assertion.reveal().split(".")
    if len(parts) != 3:
        return {}
    try:
        value = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
