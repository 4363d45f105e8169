"""What the grants without a person share: one token request, also to renew; no registration."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from ..credential import Credential
from ..errors import Remedy, TokenRefused, UsageError
from ..events import Event
from ..protocol import _authlib
from ..protocol.client_auth import FormPost, RequestSigner
from ..protocol.discovery import Discovery
from ..protocol.flow import Flow
from ..protocol.metadata import ServerMetadata
from ..protocol.registration import Client, Identity, Kind
from ..protocol.scopes import Scopes, suggested
from ..protocol.tokens import BOUND_ONLY, TokenSet, read_token_response, require_bound, summary
from ..secret import Secret
from .base import Exchange, Grant, Login, LoginConfig, Ports
from .clients import choose_client

_HINT: Final = (
    "No login by a person can fix this: check the client and how it authenticates, the assertion,"
    " and the scope, or ask the operator"
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a grant gets a token and for what, all of it from one discovery or from one record."""

    issuer: str
    token_endpoint: str
    client: Client
    resource: str | None
    scope: Scopes | None
    private: bool = False


class UnattendedGrant(Grant):
    """A grant for which the caller's own secret is enough: one token request, and another one for
    fewer scopes if the scope is refused."""

    __slots__ = ()
    interactive: ClassVar[bool] = False

    @abstractmethod
    def issue(
        self, config: LoginConfig, ports: Ports, target: Target, key: Secret | None
    ) -> TokenSet:
        """The token request, with the caller's secret as it is now; bound to `key`."""

    def require_client(self, identity: Identity) -> None:
        if not getattr(identity, "registered_id", ""):
            raise UsageError(
                f"{type(self).__name__} needs a client that its operator registered",
                hint=Remedy("Pass it ({PreRegistered.client_id}): this grant registers none"),
            )

    def check(self, config: LoginConfig, server: ServerMetadata) -> Kind:
        return "pre-registered"  # it needs a token endpoint and no more

    def scopes(
        self, config: LoginConfig, discovery: Discovery, stored: Credential | None
    ) -> Scopes | None:
        return config.scope or suggested(discovery) or None

    def authorize(self, login: Login) -> Exchange:
        login.take_all()
        discovery, scope = login.attempt.discovery, login.attempt.scope
        chosen = choose_client(login, discovery.server)
        server, client = chosen.server, chosen.client
        target = Target(server.issuer, server.token_endpoint, client, discovery.resource, scope)
        tokens = self.issue(login.config, login.ports, target, chosen.dpop_choice.kept)
        # the caller brings its secret each time, a person only once
        bare = client if self.provider else replace(client, secret=None)
        granted = login.granted(tokens, chosen._replace(client=bare))
        return lambda _: granted

    def serves(self, config: LoginConfig, stored: Credential) -> bool:
        """Whether owner and scope fit. A new token costs no one anything, so no other is used."""
        owned = stored.options.get("owner", "") == self.owner
        return owned and set(config.scope or ()) <= set(stored.requested or ())

    def can_renew(self, credential: Credential) -> bool:
        return True

    def renew(self, config: LoginConfig, ports: Ports, credential: Credential) -> TokenSet:
        """The next token from the endpoint of the last one, for the same resource and scope."""
        identity, client = config.identity, credential.client
        target = Target(
            credential.issuer,
            credential.token_endpoint,
            identity.completed(client) if identity else client,
            credential.resource,
            credential.requested,
            bool(credential.options.get("allow_private_addresses")),
        )
        tokens = self.issue(config, ports, target, credential.dpop_key)
        bound_only = credential.options.get(BOUND_ONLY)
        return require_bound(tokens, credential.token_endpoint) if bound_only else tokens


def token_request(
    target: Target, grant_type: str, fields: Sequence[tuple[str, str]] = ()
) -> FormPost:
    """A token request with the scope, and the resource (RFC 8707 §2.2)."""
    scope = [("scope", " ".join(target.scope))] if target.scope else []
    resource = [("resource", target.resource)] if target.resource else []
    body = _authlib.token_body(grant_type, [*fields, *scope, *resource])
    return FormPost(target.token_endpoint, target.client, body, target.private)


def issued(
    target: Target,
    request: FormPost,
    now: float,
    signer: RequestSigner,
    rule: str,
    assertion: Secret | None = None,
) -> Flow[TokenSet]:
    """The answer to a token request of these grants."""
    url = request.url
    yield Event("token-request", url, rule=rule)
    response = yield from request.send(signer)
    with no_person_can_help():
        sent = (assertion, target.client.secret)
        tokens = read_token_response(
            response, now, requested=target.scope, sent=sent, proved=signer.binds
        )
    yield Event("token", url, response.status, summary(tokens), "", response.seconds)
    return replace(tokens, refresh_token=None)  # the grant itself is what renews


@contextmanager
def no_person_can_help() -> Iterator[None]:
    """Add to a refusal that no login by a person could change it."""
    try:
        yield
    except TokenRefused as error:
        error.advised(_HINT)
        raise
