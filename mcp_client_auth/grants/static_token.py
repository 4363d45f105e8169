"""A token that an operator issued by hand, for a server without OAuth (RFC 6750)."""

from __future__ import annotations

from ..credential import STATIC, Credential
from ..origin import origin_url
from ..protocol.registration import Client
from ..protocol.tokens import TokenSet
from .base import LoginConfig


def static_credential(config: LoginConfig, tokens: TokenSet) -> Credential:
    """The credential for such a token. Without an authorization server, nothing is renewed or
    revoked, and the server's own origin is the issuer."""
    issuer = origin_url(config.server_url)
    return Credential(
        key=config.key,
        issuer=issuer,
        token_endpoint=config.server_url,
        client=Client("", issuer, "pre-registered", "none"),
        tokens=tokens,
        options={**config.options.kept(), STATIC: True},
    )
