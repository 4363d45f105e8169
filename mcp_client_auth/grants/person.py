"""What the grants with a person share: one login, kept and renewed by its refresh token."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ..credential import PERSONAL, Credential
from ..protocol.urls import same_issuer
from .base import Grant, LoginConfig, Ports

if TYPE_CHECKING:
    from ..protocol.discovery import Discovery
    from ..protocol.scopes import Scopes
    from ..protocol.tokens import TokenSet


class PersonGrant(Grant):
    """A person signs in, at a browser or at another device."""

    __slots__ = ()
    name: ClassVar[str] = PERSONAL
    interactive: ClassVar[bool] = True

    def scopes(
        self, config: LoginConfig, discovery: Discovery, stored: Credential | None
    ) -> Scopes | None:
        """The chosen scopes and, at the same issuer, all that was requested and granted before."""
        if config.scope == ():  # the caller wants no scope parameter
            return None
        from ..protocol.scopes import choose_scope, step_up

        chosen = choose_scope(discovery, config.scope)
        if stored is None or not same_issuer(stored.issuer, discovery.server.issuer):
            return chosen
        return step_up(stored.requested or (), stored.tokens.scope or (), chosen or ()) or None

    def can_renew(self, credential: Credential) -> bool:
        return credential.renewable

    def renew(self, config: LoginConfig, ports: Ports, credential: Credential) -> TokenSet:
        from ..protocol.flow import run
        from ..protocol.tokens import refresh

        signer = ports.signer(config.identity, credential.dpop_key)
        # never cancelled: the answer to what was sent must be received and kept
        return run(refresh(credential, ports.clock(), signer), ports.sender, ports.on_event)
