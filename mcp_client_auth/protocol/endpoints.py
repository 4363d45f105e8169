"""The endpoints that a caller names, although most servers publish theirs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The endpoints of an authorization server that publishes no metadata.

    Example:
        ```python
        from mcp_client_auth import Endpoints, MCPAuth, Options

        endpoints = Endpoints(
            authorization="https://login.example.com/authorize", token="https://login.example.com/token"
        )
        options = Options(issuer="https://login.example.com", endpoints=endpoints)
        auth = MCPAuth("https://mcp.example.com/mcp", options=options)
        ```
    """

    authorization: str = ""
    token: str = ""
    registration: str = ""
    revocation: str = ""
    pushed_authorization: str = ""
    device_authorization: str = ""

    def named(self) -> tuple[tuple[str, str], ...]:
        """Each with its name in metadata (RFC 8414 §2)."""
        return (
            ("authorization_endpoint", self.authorization),
            ("token_endpoint", self.token),
            ("registration_endpoint", self.registration),
            ("revocation_endpoint", self.revocation),
            ("pushed_authorization_request_endpoint", self.pushed_authorization),
            ("device_authorization_endpoint", self.device_authorization),
        )
