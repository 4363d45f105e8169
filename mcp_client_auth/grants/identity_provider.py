"""A person signs in at their company's identity provider (OpenID Connect Core §3.1).

One login there serves the logins to all MCP servers of the company. It keeps the ID token, in
place of an access token, and the refresh token: both go to the provider and nowhere else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from ..credential import PROVIDER, Credential
from ..events import OF_PROVIDER, Event, tell
from ..protocol.authorization import require_code_grant
from ..protocol.discovery import Discovery, required_metadata
from ..protocol.flow import run
from ..protocol.scopes import OFFLINE, Scopes, union
from ..protocol.tokens import TokenSet, refresh_id_token
from ..storage.store import save_firmly
from .base import Grant, LoginConfig, Ports
from .person import PersonGrant

if TYPE_CHECKING:
    from ..protocol.metadata import ServerMetadata
    from ..protocol.registration import Kind
    from .base import Exchange, Login

OPENID: Final = "openid"


class ProviderSignIn(PersonGrant):
    """The authorization code grant for an ID token, at the issuer that `config.options` pins.

    PKCE is always sent, even to a provider that does not list S256: many list none, and the
    nonce binds the answer to the request as well (RFC 9700 §2.1.1).
    """

    __slots__ = ()
    name: ClassVar[str] = PROVIDER
    for_server: ClassVar[bool] = False

    def discover(self, config: LoginConfig, ports: Ports) -> Discovery:
        def usable(server: ServerMetadata) -> None:
            require_code_grant(server, config.options)

        def marked(event: Event) -> None:
            found = event.name == "server-metadata" and event.status == 200
            tell(ports.on_event, replace(event, rule=OF_PROVIDER) if found else event)

        issuer, options = config.options.issuer, config.options
        server = replace(ports, on_event=marked).run(
            required_metadata(issuer, options, private=True, usable=usable)
        )
        return Discovery(config.server_url, None, None, server, None)

    def check(self, config: LoginConfig, server: ServerMetadata) -> Kind:
        require_code_grant(server, config.options)
        return "pre-registered"

    def scopes(
        self, config: LoginConfig, discovery: Discovery, stored: Credential | None
    ) -> Scopes:
        """Leave out `offline_access` if the provider lists its scopes without it."""
        if config.scope:
            return union((OPENID,), config.scope)
        listed = discovery.server.scopes_supported
        return (OPENID, OFFLINE) if listed is None or OFFLINE in listed else (OPENID,)

    def authorize(self, login: Login) -> Exchange:
        from .authorization_code import authorize

        return authorize(login)

    def renew(self, config: LoginConfig, ports: Ports, credential: Credential) -> TokenSet:
        """Keep a rotated refresh token even if something is wrong with the ID token."""
        signer, now = ports.signer(config.identity, credential.dpop_key), ports.clock()
        flow = refresh_id_token(credential, credential.issuer, now, signer)
        renewed = run(flow, ports.sender, ports.on_event)  # never cancelled, like any refresh
        if renewed.fault:
            save_firmly(ports.storage, credential.renewed(renewed.tokens))
            raise renewed.fault
        if renewed.tokens.refresh_token is None:
            detail = "the identity provider gives no ID token for a refresh, only for a sign-in"
            ports.tell("notice", url=credential.token_endpoint, detail=detail, rule="OIDC §12.2")
        return renewed.tokens


SIGN_IN: Final[Grant] = ProviderSignIn()
