"""A FastMCP server behind one of its own authorizations: `fastmcp_server.py KIND JSON`.

KIND is `authkit`, `jwt`, `memory` or `proxy`. The JSON names the `port`, the `issuer` in front,
the `scopes` that each request needs, the `lifetime` of tokens that it issues itself, the `secret`
with which the proxy is known to the issuer, a `certificate` for https, and whether a `gate` stands
in front that takes tokens with a proof only. It prints one line of JSON when it listens.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fastmcp import FastMCP
from fastmcp.server.auth import AuthProvider, OAuthProxy, RemoteAuthProvider
from fastmcp.server.auth.providers import in_memory
from fastmcp.server.auth.providers.jwt import JWTVerifier
from fastmcp.server.auth.providers.workos import AuthKitProvider
from fastmcp.server.dependencies import get_access_token
from key_value.aio.stores.memory import MemoryStore
from mcp.server.auth.settings import ClientRegistrationOptions, RevocationOptions
from pydantic import AnyHttpUrl

from tests.slow.interop.dpop_gate import DpopGate
from tests.slow.interop.serving import HOST, serve

PATH: Final = "/api/mcp"


@dataclass(frozen=True, slots=True)
class Settings:
    port: int
    issuer: str = ""
    scopes: tuple[str, ...] = ()
    lifetime: int = 300
    secret: str = ""
    certificate: str = ""
    gate: bool = False

    @property
    def origin(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{HOST}:{self.port}"


def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


def whoami() -> str:
    """The subject of the access token; the server in memory knows nobody's."""
    token = get_access_token()
    return str(token.claims.get("sub", "somebody")) if token else "nobody"


def authkit(settings: Settings) -> AuthProvider:
    scopes = list(settings.scopes) or None
    return AuthKitProvider(
        authkit_domain=settings.issuer, base_url=settings.origin, required_scopes=scopes
    )


def jwt(settings: Settings) -> AuthProvider:
    """It checks the scopes itself: the verifier takes a token that has too few for an invalid one,
    a 401, where RFC 6750 §3.1 has a 403 that names them."""
    scopes = list(settings.scopes)
    provider = RemoteAuthProvider(
        token_verifier=_verifier(settings, []),
        authorization_servers=[AnyHttpUrl(settings.issuer)],
        base_url=settings.origin,
        scopes_supported=scopes,
        challenge_scopes=scopes,
    )
    provider.required_scopes = scopes
    return provider


def memory(settings: Settings) -> AuthProvider:
    in_memory.DEFAULT_ACCESS_TOKEN_EXPIRY_SECONDS = settings.lifetime  # it has no argument for it
    return in_memory.InMemoryOAuthProvider(
        base_url=settings.origin,
        client_registration_options=ClientRegistrationOptions(enabled=True),
        revocation_options=RevocationOptions(enabled=True),
        required_scopes=list(settings.scopes) or None,
    )


def proxy(settings: Settings) -> AuthProvider:
    return OAuthProxy(
        upstream_authorization_endpoint=f"{settings.issuer}/auth",
        upstream_token_endpoint=f"{settings.issuer}/token",
        upstream_revocation_endpoint=f"{settings.issuer}/token/revocation",
        upstream_client_id="proxy",
        upstream_client_secret=settings.secret,
        token_verifier=_verifier(settings, list(settings.scopes)),
        base_url=settings.origin,
        client_storage=MemoryStore(),
        # without these the server in front gives the proxy no refresh token
        extra_authorize_params={"scope": "openid offline_access", "prompt": "consent"},
    )


def _verifier(settings: Settings, scopes: list[str]) -> JWTVerifier:
    return JWTVerifier(
        jwks_uri=f"{settings.issuer}/jwks",
        issuer=settings.issuer,
        audience=settings.origin + PATH,
        algorithm="RS256",
        required_scopes=scopes,
    )


KINDS: Final[dict[str, Callable[[Settings], AuthProvider]]] = {
    "authkit": authkit,
    "jwt": jwt,
    "memory": memory,
    "proxy": proxy,
}


def main(kind: str, settings: Settings) -> None:
    logging.getLogger("fastmcp").setLevel(logging.ERROR)
    server: FastMCP[None] = FastMCP(f"behind {kind}", auth=KINDS[kind](settings))
    server.tool(add)
    server.tool(whoami)
    url = settings.origin + PATH
    app: Any = server.http_app(path=PATH)
    app = DpopGate(app, url) if settings.gate else app
    serve(app, settings.port, url=url, certificate=settings.certificate)


if __name__ == "__main__":
    main(sys.argv[1], Settings(**json.loads(sys.argv[2])))
