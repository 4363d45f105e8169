"""The client acts for itself (RFC 6749 §4.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..errors import Remedy, UsageError
from ..protocol.client_auth import UNSIGNED, FormPost, RequestSigner
from ..protocol.flow import Flow
from ..protocol.tokens import TokenSet
from ..secret import Secret, quoted
from .base import LoginConfig, Ports
from .unattended import Target, UnattendedGrant, issued, token_request


@dataclass(frozen=True, slots=True)
class ClientCredentials(UnattendedGrant):
    """The client acts for itself (RFC 6749 §4.4); pass it as `client=PreRegistered(…)`.

    Example:
        ```python
        from mcp_client_auth import ClientCredentials, MCPAuth, PreRegistered

        client = PreRegistered("my-service", secret="from your secret store")
        auth = MCPAuth("https://mcp.example.com/mcp", grant=ClientCredentials(), client=client)
        ```
    """

    name: ClassVar[str] = "client_credentials"

    def issue(
        self, config: LoginConfig, ports: Ports, target: Target, key: Secret | None
    ) -> TokenSet:
        signer = ports.signer(config.identity, key)
        return ports.run(client_credentials(target, ports.clock(), signer))


def client_credentials_request(target: Target) -> FormPost:
    """RFC 6749 §4.4.2 with RFC 8707 §2.2."""
    if target.client.method == "none":  # §4.4: confidential clients only
        raise UsageError(
            f"the client {quoted(target.client.client_id, 60)} cannot authenticate, which"
            " the client credentials grant requires (RFC 6749 §4.4)",
            hint=Remedy("Pass its secret: {PreRegistered.secret}"),
        )
    return token_request(target, "client_credentials")


def client_credentials(
    target: Target, now: float, signer: RequestSigner = UNSIGNED
) -> Flow[TokenSet]:
    request = client_credentials_request(target)
    return (yield from issued(target, request, now, signer, "RFC 6749 §4.4, 8707"))
