"""The official Python SDK's server, its own authorization server on the same origin.

`sdk_server.py PORT [--ttl SECONDS] [--without resource-metadata | metadata] [--sse]`; it prints
one line of JSON when it listens. Without resource metadata it is a server of the revision
2025-03-26, and without any its clients have to know the addresses by heart.
"""

from __future__ import annotations

import argparse
import html
import math
import secrets
import time
from dataclasses import dataclass, field

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    AuthorizeError,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tests.slow.interop.serving import HOST, serve

PATH = "/mcp"
METADATA = "/.well-known/oauth-authorization-server"
SCOPE, LESS = "mcp:tools", "mcp:read"
CODE_LIFETIME = 60
CONSENT = """<!doctype html><title>Consent</title>
<h1>{client} wants to use this server</h1>
<form method="post" action="/consent">
<input type="hidden" name="request" value="{request}">
<button name="answer" value="allow">Allow</button>
<button name="answer" value="deny">Deny</button>
</form>"""


@dataclass(slots=True)
class Grant:
    """What one person allowed one client; its tokens are renewed and die together."""

    client_id: str
    scopes: list[str]
    resource: str | None
    access: set[str] = field(default_factory=set)
    refresh: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Waiting:
    """An authorization request whose person has not answered yet."""

    client: OAuthClientInformationFull
    params: AuthorizationParams


class InMemory(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """Registers anyone; rotates refresh tokens, and a used one ends its grant (RFC 9700 §4.14)."""

    def __init__(self, origin: str, *, lifetime: int) -> None:
        self._origin = origin
        self._lifetime = lifetime
        self._clients: dict[str, OAuthClientInformationFull] = {}
        self._waiting: dict[str, Waiting] = {}
        self._codes: dict[str, AuthorizationCode] = {}
        self._expiry: dict[str, int] = {}
        self._grants: list[Grant] = []

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self._clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self._clients[str(client_info.client_id)] = client_info

    async def authorize(
        self, client: OAuthClientInformationFull, params: AuthorizationParams
    ) -> str:
        if params.resource != self._origin + PATH:
            raise AuthorizeError("invalid_target", f"resource is {params.resource}")
        request = secrets.token_urlsafe(16)
        self._waiting[request] = Waiting(client, params)
        return f"{self._origin}/consent?request={request}"

    def page(self, request: str) -> str:
        waiting = self._waiting[request]
        name = waiting.client.client_name or str(waiting.client.client_id)
        return CONSENT.format(client=html.escape(name), request=html.escape(request))

    def answer(self, request: str, allowed: bool) -> str:
        """The address that the person is sent back to."""
        waiting = self._waiting.pop(request)
        if allowed:
            return self._with_code(waiting.client, waiting.params)
        back = str(waiting.params.redirect_uri)
        return construct_redirect_uri(back, error="access_denied", state=waiting.params.state)

    def _with_code(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        code = AuthorizationCode(
            code=secrets.token_urlsafe(32),
            scopes=params.scopes or (client.scope or "").split(),  # RFC 6749 §3.3: a default
            expires_at=time.time() + CODE_LIFETIME,
            client_id=str(client.client_id),
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
            subject="ada",
        )
        self._codes[code.code] = code
        back = str(params.redirect_uri)
        return construct_redirect_uri(back, code=code.code, state=params.state)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self._codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self._codes[authorization_code.code]
        grant = Grant(
            client_id=authorization_code.client_id,
            scopes=authorization_code.scopes,
            resource=authorization_code.resource,
        )
        self._grants.append(grant)
        return self._issue(grant)

    async def load_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: str
    ) -> RefreshToken | None:
        for grant in self._grants:
            if refresh_token in grant.used:
                self._grants.remove(grant)
                return None
            if refresh_token in grant.refresh:
                return RefreshToken(
                    token=refresh_token,
                    client_id=grant.client_id,
                    scopes=grant.scopes,
                    resource=grant.resource,
                )
        return None

    async def exchange_refresh_token(
        self,
        client: OAuthClientInformationFull,
        refresh_token: RefreshToken,
        scopes: list[str],
    ) -> OAuthToken:
        grant = next(each for each in self._grants if refresh_token.token in each.refresh)
        grant.used.add(refresh_token.token)
        grant.refresh.clear()
        return self._issue(grant)

    async def load_access_token(self, token: str) -> AccessToken | None:
        grant = next((each for each in self._grants if token in each.access), None)
        if grant is None or self._expiry[token] <= time.time():
            return None
        return AccessToken(
            token=token,
            client_id=grant.client_id,
            scopes=grant.scopes,
            expires_at=self._expiry[token],
            resource=grant.resource,
            subject="ada",
        )

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self._grants = [
            each for each in self._grants if token.token not in each.access | each.refresh
        ]

    def _issue(self, grant: Grant) -> OAuthToken:
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        grant.access.add(access)
        grant.refresh.add(refresh)
        # in whole seconds, and never earlier than `expires_in` says
        self._expiry[access] = math.ceil(time.time()) + self._lifetime
        return OAuthToken(
            access_token=access,
            expires_in=self._lifetime,
            scope=" ".join(grant.scopes),
            refresh_token=refresh,
        )


def settings(origin: str, *, resource_metadata: bool) -> AuthSettings:
    return AuthSettings(
        issuer_url=AnyHttpUrl(origin),
        resource_server_url=AnyHttpUrl(origin + PATH) if resource_metadata else None,
        required_scopes=[SCOPE],
        client_registration_options=ClientRegistrationOptions(
            enabled=True, valid_scopes=[SCOPE, LESS], default_scopes=[SCOPE]
        ),
        revocation_options=RevocationOptions(enabled=True),
        validate_token_resource=resource_metadata,
    )


def whoami() -> str:
    """The subject of the access token."""
    token = get_access_token()
    return (token.subject if token else None) or "nobody"


def application(origin: str, *, lifetime: int, resource_metadata: bool) -> MCPServer[None]:
    provider = InMemory(origin, lifetime=lifetime)
    server: MCPServer[None] = MCPServer(
        "with its own authorization server",
        auth_server_provider=provider,
        auth=settings(origin, resource_metadata=resource_metadata),
        log_level="ERROR",
    )
    server.add_tool(whoami)

    async def ask(request: Request) -> Response:
        return HTMLResponse(provider.page(request.query_params["request"]))

    async def decide(request: Request) -> Response:
        form = await request.form()
        back = provider.answer(str(form["request"]), form["answer"] == "allow")
        return RedirectResponse(back, status_code=302)

    server.custom_route("/consent", methods=["GET"])(ask)
    server.custom_route("/consent", methods=["POST"])(decide)
    return server


def main() -> None:
    parser = argparse.ArgumentParser(prog="sdk_server.py")
    parser.add_argument("port", type=int)
    parser.add_argument("--ttl", type=int, default=300, help="of an access token, in seconds")
    parser.add_argument("--without", choices=["resource-metadata", "metadata"])
    parser.add_argument("--sse", action="store_true", help="the transport of 2024-11-05")
    options = parser.parse_args()
    origin = f"http://{HOST}:{options.port}"
    server = application(origin, lifetime=options.ttl, resource_metadata=not options.without)
    app = (
        server.sse_app(sse_path=PATH)
        if options.sse
        else server.streamable_http_app(streamable_http_path=PATH)
    )
    if options.without == "metadata":
        app.router.routes[:] = [
            route for route in app.routes if getattr(route, "path", "") != METADATA
        ]
    serve(app, options.port, url=origin + PATH)


if __name__ == "__main__":
    main()
