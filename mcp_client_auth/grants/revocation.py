"""Ends a grant at the authorization server (RFC 7009)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..credential import PROVIDER, Credential
from ..errors import AuthError
from ..origin import shown
from ..protocol.registration import Identity
from ..protocol.tokens import revoke

if TYPE_CHECKING:
    from .base import Ports


def sign_out(
    ports: Ports, credential: Credential, identity: Identity, trouble: list[str]
) -> bool | None:
    """Revoke the tokens. Return whether the server has ended the grant (its refresh token,
    otherwise its access token), or None if it offers no revocation."""
    endpoint, tokens = credential.revocation_endpoint, credential.tokens
    if not endpoint:
        trouble.append("the authorization server offers no revocation")
        return None
    pairs = [(tokens.refresh_token, "refresh_token"), (tokens.access_token, "access_token")]
    if credential.key.grant == PROVIDER:
        del pairs[1]  # an ID token, which no one revokes
    done = []
    for token, hint in pairs:
        if token is None:
            continue
        try:
            signer = ports.signer(identity, credential.dpop_key)
            done.append(ports.run(revoke(credential, token, hint, signer)))
        except AuthError as error:
            ports.tell("revocation", url=endpoint, detail=f"{hint}: {error.summary}")
            trouble.append(f"{error.summary} ({shown(endpoint)})")
            done.append(False)
    return bool(done) and done[0]
