"""Exchange a workload's own JWT for an access token (RFC 7523 §2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from ..errors import IssuerMismatch, Remedy
from ..keys.assertion_source import WithAssertion
from ..origin import shown
from ..protocol.client_auth import UNSIGNED, FormPost, RequestSigner
from ..protocol.flow import Flow
from ..protocol.jose import claims_of
from ..protocol.registration import Identity
from ..protocol.tokens import TokenSet
from ..protocol.urls import same_issuer
from ..secret import Secret, quoted
from .base import LoginConfig, Ports
from .unattended import Target, UnattendedGrant, issued, token_request

JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadIdentity(WithAssertion, UnattendedGrant):
    """Exchange a workload's own JWT for an access token (RFC 7523 §2.1); `client=` is optional.

    The JWT is sent only if its `aud` is the authorization server's issuer, or that is pinned
    with `Options(issuer=…)`. Use one account label for each workload of a process.

    Example:
        ```python
        from mcp_client_auth import MCPAuth, WorkloadIdentity

        grant = WorkloadIdentity(assertion_file="/var/run/secrets/tokens/mcp")
        auth = MCPAuth("https://mcp.example.com/mcp", grant=grant)
        ```
    """

    name: ClassVar[str] = "workload_identity"

    def require_client(self, identity: Identity) -> None:
        if identity is not None:
            UnattendedGrant.require_client(self, identity)

    def issue(
        self, config: LoginConfig, ports: Ports, target: Target, key: Secret | None
    ) -> TokenSet:
        signer, pinned = ports.signer(config.identity, key), bool(config.options.issuer)
        assertion = self.read(target.issuer)
        return ports.run(jwt_bearer(target, assertion, ports.clock(), signer, pinned=pinned))


def jwt_bearer_request(target: Target, assertion: Secret) -> FormPost:
    """RFC 7523 §2.1 with RFC 8707 §2.2."""
    return token_request(target, JWT_BEARER, [("assertion", assertion.reveal())])


def jwt_bearer(
    target: Target,
    assertion: Secret,
    now: float,
    signer: RequestSigner = UNSIGNED,
    *,
    pinned: bool = False,
) -> Flow[TokenSet]:
    """`pinned`: the caller has named the issuer, so the audience need not name it."""
    require_audience(assertion, target.issuer, pinned=pinned)
    request = jwt_bearer_request(target, assertion)
    rule = "the assertion's audience is the issuer" if not pinned else "the issuer is pinned"
    return (yield from issued(target, request, now, signer, f"{rule} (RFC 7523)", assertion))


def require_audience(assertion: Secret, issuer: str, *, pinned: bool = False) -> None:
    """Raise `IssuerMismatch` for an assertion that does not name the server it would be sent to."""
    audience = (claims_of(assertion) or {}).get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if pinned or any(isinstance(each, str) and same_issuer(each, issuer) for each in named):
        return
    others = [quoted(each, 120) for each in named if isinstance(each, str)]
    raise IssuerMismatch(
        f"the assertion is for {', '.join(others[:3]) or 'no audience that can be read'}, but the"
        f" authorization server is {shown(issuer)}",
        url=issuer,
        hint=Remedy(
            "It was not sent. Have it issued for that audience; or, if you know that server, pass"
            " {Options.issuer}"
        ),
    )
