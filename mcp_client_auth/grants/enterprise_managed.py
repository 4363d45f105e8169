"""A sign-in at the company's identity provider for an access token, in two legs (RFC 8693, 7523;
MCP "Enterprise-Managed Authorization")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Literal

from ..errors import UsageError
from ..events import Event
from ..keys.assertion_source import WithAssertion
from ..keys.client_key import prepare
from ..protocol import _authlib
from ..protocol.client_auth import UNSIGNED, FormPost, RequestSigner
from ..protocol.discovery import required_metadata
from ..protocol.flow import Flow, HttpResponse
from ..protocol.metadata import caller_server_metadata
from ..protocol.options import Endpoints, Options
from ..protocol.registration import CERTIFIED, Client, PreRegistered
from ..protocol.tokens import TokenSet, granted_document
from ..secret import Secret, quoted
from .base import LoginConfig, Ports
from .unattended import Target, UnattendedGrant, no_person_can_help
from .workload_identity import jwt_bearer

TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:"  # noqa: S105 - a name
ID_JAG: Final = _TOKEN_TYPE + "id-jag"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterpriseManaged(WithAssertion, UnattendedGrant):
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

    def issue(
        self, config: LoginConfig, ports: Ports, target: Target, key: Secret | None
    ) -> TokenSet:
        provider = self._provider(ports, config.options)
        return ports.run(
            identity_assertion(
                provider,
                target,
                self.read(provider.client.client_id),
                self.assertion_type,
                ports.clock(),
                ports.signer(config.identity, key),
                idp_signer=ports.signer(self.idp_client),
                pinned=bool(config.options.issuer),
            )
        )

    def _provider(self, ports: Ports, options: Options) -> IdentityProvider:
        """The caller's identity provider; only they can name one."""
        # issuer and endpoints are the authorization server's
        options = replace(options, issuer="", endpoints=None)
        if self.idp_token_endpoint:
            issuer = self.idp_issuer or self.idp_token_endpoint
            server = caller_server_metadata(issuer, Endpoints(token=self.idp_token_endpoint))
        else:
            server = ports.run(required_metadata(self.idp_issuer, options, private=True))
        client = prepare(self.idp_client.client(server, options), self.idp_client, server)
        return IdentityProvider(server.token_endpoint, client)


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """Where the caller's identity assertion goes, and nowhere else."""

    token_endpoint: str
    client: Client


def token_exchange_request(
    provider: IdentityProvider, target: Target, subject: Secret, kind: str
) -> FormPost:
    """RFC 8693 §2.1 as MCP "Enterprise-Managed Authorization" §4 has it."""
    fields = [
        ("requested_token_type", ID_JAG),
        ("audience", target.issuer),
        *([("resource", target.resource)] if target.resource else []),
        *([("scope", " ".join(target.scope))] if target.scope else []),
        ("subject_token", subject.reveal()),
        ("subject_token_type", _TOKEN_TYPE + kind),
    ]
    body = _authlib.token_body(TOKEN_EXCHANGE, fields)
    # the caller named this place, so it may be anywhere
    # no client certificate, unless that is what proves this client
    certified = provider.client.method in CERTIFIED
    return FormPost(provider.token_endpoint, provider.client, body, True, certified)


def read_id_jag(response: HttpResponse, sent: Sequence[Secret | None] = ()) -> Secret:
    """The identity assertion grant of a token exchange: no token, and never sent as one.

    RFC 8693 §2.2.1 names the field `access_token` whatever is in it.
    """
    document = granted_document(response, sent)
    kind = document.text("issued_token_type")
    if kind != ID_JAG:
        got = quoted(kind, 80) if kind else "none"
        document.broken(f"“issued_token_type” must be {ID_JAG}, got {got}")
    return Secret(document.need("access_token"))


def identity_assertion(
    provider: IdentityProvider,
    target: Target,
    subject: Secret,
    kind: str,
    now: float,
    signer: RequestSigner = UNSIGNED,
    *,
    idp_signer: RequestSigner = UNSIGNED,
    pinned: bool = False,
) -> Flow[TokenSet]:
    """Both legs: the identity assertion for an ID-JAG, and that for an access token."""
    request = token_exchange_request(provider, target, subject, kind)
    url = request.url
    yield Event("token-request", url, rule="identity assertion for a grant (RFC 8693)")
    response = yield from request.send(idp_signer)
    with no_person_can_help():
        grant = read_id_jag(response, (subject, provider.client.secret))
    detail = "a grant for the authorization server, no token"
    yield Event("token", url, response.status, detail, "issued_token_type", response.seconds)
    # The grant holds the scope that the provider's policy left: asking again could only fail
    unscoped = replace(target, scope=None)
    tokens = yield from jwt_bearer(unscoped, grant, now, signer, pinned=pinned)
    return tokens if tokens.scope is not None else replace(tokens, scope=target.scope)
