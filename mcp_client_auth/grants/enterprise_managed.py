"""Exchange a sign-in at the company's identity provider for an access token, in two legs
(RFC 8693, 7523; MCP "Enterprise-Managed Authorization")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Literal

from ..credential import MANAGED, Credential
from ..errors import LoginRequired, Remedy, TokenRefused, UsageError
from ..events import Event
from ..keys.assertion_source import WithAssertion, owner_of
from ..keys.client_key import prepare
from ..origin import shown
from ..protocol import _authlib
from ..protocol.client_auth import UNSIGNED, FormPost, RequestSigner
from ..protocol.discovery import required_metadata
from ..protocol.endpoints import Endpoints
from ..protocol.flow import Flow, HttpResponse
from ..protocol.metadata import caller_server_metadata
from ..protocol.options import Options, require_url
from ..protocol.registration import (
    CERTIFIED,
    WITH_SECRET,
    Client,
    Identity,
    PreRegistered,
    has_key,
)
from ..protocol.scopes import parse
from ..protocol.tokens import TokenSet, granted_document
from ..secret import Secret, quoted
from .base import Grant, LoginConfig, Ports, Provider
from .unattended import Target, UnattendedGrant, no_person_can_help
from .workload_identity import jwt_bearer

TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:"  # noqa: S105 - a name
ID_JAG: Final = _TOKEN_TYPE + "id-jag"
_ASK_THE_COMPANY: Final = Remedy(
    "The identity provider decides who may use which server: ask the company's administrator. If"
    " it is the sign-in that it no longer accepts, log in again: {login.force=True}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterpriseManaged(WithAssertion, UnattendedGrant):
    """Exchange a person's sign-in at the company's identity provider for an access token (MCP
    "Enterprise-Managed Authorization").

    `idp_client` is the client at the identity provider, `client=` the one at the server's
    authorization server: a `PreRegistered`, or a `ClientMetadataDocument` that the provider knows.
    Use one account label for each person.

    Without an assertion the person signs in at `idp_issuer`, in a browser: there `idp_client`
    needs a loopback redirect URI, such as http://127.0.0.1/callback. That login is kept by
    issuer, client and account, serves all MCP servers of the company, and is renewed with its
    refresh token: no one is asked again until that ends. `idp_scope`: what to ask for there
    instead of `openid offline_access`. The ID token is checked before it is passed on (OpenID
    Connect Core §3.1.3.7), except for its signature: it comes from the provider itself, over TLS.
    Nothing of that login goes to an MCP server or its authorization server: they see only the
    grant (ID-JAG) that the provider issues for them.

    With `assertion`, `assertion_file` or `assertion_env` the program brings the person's ID
    token, and no one is asked. Pass `idp_issuer`, whose metadata is read, or
    `idp_token_endpoint` itself. `assertion_type`: an ID token, or a SAML 2.0 assertion,
    base64url-encoded (RFC 8693 §3).

    Example:
        ```python
        from mcp_client_auth import EnterpriseManaged, MCPAuth, PreRegistered

        grant = EnterpriseManaged(
            idp_client=PreRegistered("app-at-the-idp", secret="from your secret store"),
            idp_issuer="https://idp.example.com",
            assertion=lambda: "the ID token of the person",
        )
        client = PreRegistered("app-at-the-server", secret="from your secret store")
        url = "https://mcp.example.com/mcp"
        auth = MCPAuth(url, grant=grant, client=client, account="ada@example.com")
        ```
    """

    idp_client: PreRegistered
    idp_issuer: str = ""
    idp_token_endpoint: str = ""
    assertion_type: Literal["id_token", "saml2"] = "id_token"
    idp_scope: str | Sequence[str] = ()
    name: ClassVar[str] = "enterprise_managed"

    def __post_init__(self) -> None:
        if not (self.idp_issuer or self.idp_token_endpoint):
            raise UsageError("EnterpriseManaged needs idp_issuer or idp_token_endpoint")
        if not getattr(self.idp_client, "registered_id", ""):
            raise UsageError(
                "idp_client is the client that is registered at the identity provider",
                hint="Expected a PreRegistered",
            )
        require_url("identity provider's issuer", self.idp_issuer)
        require_url("identity provider's token endpoint", self.idp_token_endpoint)
        if self.assertion_type not in ("id_token", "saml2"):
            raise UsageError('assertion_type is "id_token" or "saml2"')
        words = [self.idp_scope] if isinstance(self.idp_scope, str) else self.idp_scope
        if not (isinstance(words, Iterable) and all(isinstance(word, str) for word in words)):
            raise UsageError(
                "idp_scope is what to ask for at the identity provider",
                hint='Expected scopes: "openid email", or a list of them',
            )
        if self.provider is None:
            WithAssertion.__post_init__(self)
        elif self.idp_token_endpoint or self.assertion_type != "id_token":
            raise UsageError(
                "a sign-in at the identity provider needs its issuer alone",
                hint="idp_token_endpoint and assertion_type are for an assertion, and none was"
                " passed",
            )

    @property
    def provider(self) -> Provider | None:
        """None if the program brings an assertion."""
        assertion = self.assertion is not None or self.assertion_file or self.assertion_env
        if assertion or not self.idp_issuer:
            return None
        scope = self.idp_scope
        words = parse(scope) if isinstance(scope, str) else tuple(scope)
        client = self.idp_client
        # whether it has to prove itself, by more than its id
        proves = client.secret or has_key(client) or client.method in (*WITH_SECRET, *CERTIFIED)
        return Provider(self.idp_issuer, client, words, bool(proves))

    def presenting(self, login: Credential) -> Grant:
        return SignedIn(self, login)

    def require_client(self, identity: Identity) -> None:
        """A metadata document will do, too (Enterprise-Managed Authorization §5)."""
        if identity is None:
            UnattendedGrant.require_client(self, identity)

    @property
    def kept(self) -> Mapping[str, Any]:
        """Enough to go on without the caller's arguments. Secrets stay in the provider's login."""
        if (provider := self.provider) is None:
            return {"owner": self.owner} if self.owner else {}
        named = {
            "issuer": provider.issuer,
            "client_id": provider.client.client_id,
            "redirect_uris": list(provider.client.redirect_uris),
            "scope": list(provider.scope),
            "proves": provider.proves,
        }
        return {MANAGED: {name: value for name, value in named.items() if value}}

    def command_options(self, identity: Identity) -> Mapping[str, str | bool]:
        if (provider := self.provider) is None:
            return {}
        return {
            "grant": self.name,
            "idp_issuer": provider.issuer,
            "idp_client_id": provider.client.client_id,
            "idp_client_secret_file": "FILE" if provider.proves else "",
            "client_id": identity.registered_id if identity else "",
            "client_metadata_url": getattr(identity, "url", ""),
            "client_secret_file": "FILE" if getattr(identity, "secret", None) else "",
        }

    def serves(self, config: LoginConfig, stored: Credential) -> bool:
        """False for a login of another kind, another client or another provider."""
        own = config.identity
        if own is not None and own.client_id != stored.client.client_id:
            return False
        if (provider := self.provider) is None:
            return UnattendedGrant.serves(self, config, stored)
        named = stored.managed.get("issuer"), stored.managed.get("client_id")
        same = named == (provider.issuer, provider.client.client_id)
        return same and set(config.scope or ()) <= set(stored.requested or ())

    def issue(
        self, config: LoginConfig, ports: Ports, target: Target, key: Secret | None
    ) -> TokenSet:
        provider = self._provider(ports, config.options)
        assertion = self.read(provider.client.client_id)
        return self.exchange(provider, assertion, config, ports, target, key)

    def exchange(
        self,
        provider: IdentityProvider,
        assertion: Secret,
        config: LoginConfig,
        ports: Ports,
        target: Target,
        key: Secret | None,
    ) -> TokenSet:
        """Both legs, with an assertion that was made for the client at `provider`."""
        return ports.run(
            identity_assertion(
                provider,
                target,
                assertion,
                self.assertion_type,
                ports.clock(),
                ports.signer(config.identity, key),
                idp_signer=ports.signer(self.idp_client),
                pinned=bool(config.options.issuer),
            )
        )

    def _provider(self, ports: Ports, options: Options) -> IdentityProvider:
        """The caller's identity provider; only the caller can name one."""
        # issuer and endpoints are the authorization server's
        options = replace(options, issuer="", endpoints=None)
        if self.idp_token_endpoint:
            issuer = self.idp_issuer or self.idp_token_endpoint
            server = caller_server_metadata(issuer, Endpoints(token=self.idp_token_endpoint))
        else:
            server = ports.run(required_metadata(self.idp_issuer, options, private=True))
        client = prepare(self.idp_client.client(server, options), self.idp_client, server)
        return IdentityProvider(server.token_endpoint, client)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredGrant(EnterpriseManaged):
    """The grant that made a stored login, for a session that names none.

    `proved`: the client at the provider has a secret, which only the login there holds.
    """

    proved: bool = False

    @classmethod
    def of(cls, stored: Credential) -> StoredGrant | None:
        """None for a login of another kind, and for a record that does not say enough."""
        named = stored.managed
        issuer, client_id = named.get("issuer"), named.get("client_id")
        if not (issuer and client_id and isinstance(issuer, str) and isinstance(client_id, str)):
            return None
        client = PreRegistered(client_id, redirect_uris=_texts(named.get("redirect_uris")))
        scope, proved = _texts(named.get("scope")), named.get("proves") is True
        try:
            return cls(idp_client=client, idp_issuer=issuer, idp_scope=scope, proved=proved)
        except UsageError:  # not a URL
            return None

    @property
    def provider(self) -> Provider:
        return Provider(self.idp_issuer, self.idp_client, tuple(self.idp_scope), self.proved)

    def command_options(self, identity: Identity) -> Mapping[str, str | bool]:
        return {}  # all of it is stored


@dataclass(frozen=True, slots=True)
class SignedIn(UnattendedGrant):
    """The grant `by` with the person's login at the provider, whose ID token it presents."""

    by: EnterpriseManaged
    login: Credential
    name: ClassVar[str] = EnterpriseManaged.name

    @property
    def owner(self) -> str:
        return owner_of(self.login.tokens.access_token)

    @property
    def kept(self) -> Mapping[str, Any]:
        return {**self.by.kept, "owner": self.owner}

    @property
    def provider(self) -> Provider | None:
        return self.by.provider

    def serves(self, config: LoginConfig, stored: Credential) -> bool:
        return self.by.serves(config, stored)

    def issue(
        self, config: LoginConfig, ports: Ports, target: Target, key: Secret | None
    ) -> TokenSet:
        """Send the ID token only to the provider that it came from."""
        there = IdentityProvider(self.login.token_endpoint, self.login.client)
        assertion = self.login.tokens.access_token
        try:
            return self.by.exchange(there, assertion, config, ports, target, key)
        except TokenRefused as error:
            if error.url == shown(there.token_endpoint):
                error.advised(_ASK_THE_COMPANY)
            raise

    def renew(self, config: LoginConfig, ports: Ports, credential: Credential) -> TokenSet:
        """Raise `LoginRequired` if another person has signed in at the provider since: what one
        person was granted is not renewed for another, who gets a login of their own."""
        if credential.options.get("owner") != self.owner:
            raise LoginRequired(
                f"another person has signed in at {self.login.issuer}",
                server=credential.key.server,
            )
        return UnattendedGrant.renew(self, config, ports, credential)


def _texts(value: object) -> tuple[str, ...]:
    """The strings of a list in a record; empty for anything else."""
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """The only place where the caller's identity assertion is sent."""

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
    # no client certificate, unless this client authenticates with it
    certified = provider.client.method in CERTIFIED
    return FormPost(provider.token_endpoint, provider.client, body, True, certified)


def read_id_jag(response: HttpResponse, sent: Sequence[Secret | None] = ()) -> Secret:
    """The identity assertion grant of a token exchange: not a token, and never sent as one.

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
    """Both legs: exchange the identity assertion for an ID-JAG, and that for an access token."""
    request = token_exchange_request(provider, target, subject, kind)
    url = request.url
    yield Event("token-request", url, rule="identity assertion for a grant (RFC 8693)")
    response = yield from request.send(idp_signer)
    with no_person_can_help():
        grant = read_id_jag(response, (subject, provider.client.secret))
    detail = "a grant for the authorization server, no token"
    yield Event("token", url, response.status, detail, "issued_token_type", response.seconds)
    # The ID-JAG holds the scope that the provider's policy allows: asking again could only fail
    unscoped = replace(target, scope=None)
    tokens = yield from jwt_bearer(unscoped, grant, now, signer, pinned=pinned)
    return tokens if tokens.scope is not None else replace(tokens, scope=target.scope)
