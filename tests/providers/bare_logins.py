"""Providers that need nothing but the URL."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mcp_client_auth import (
    AuthorizationDenied,
    ClientMetadataDocument,
    LoginFailed,
    LoginRequired,
    TokenRefused,
)
from tests.providers.provider_shapes import Answer, Demand, Known, Shape
from tests.providers.row import OTHER_RESOURCE, Refused, Row
from tests.providers.visitor import Wrong

NOTION_ROW: Final = Row(
    "Notion",
    Shape(
        registers={"client_secret": "s3cret", "token_endpoint_auth_method": "client_secret_basic"},
        proves="client_secret_basic",
        demands=(Demand(("token", "refresh"), "client_id", None, "invalid_client", "twice"),),
    ),
    refuses=(
        Refused(Wrong("token", {"client_id": "app"}), TokenRefused),
        Refused(Wrong("refresh", {"client_id": "app"}), LoginRequired),
    ),
)
LINEAR_ROW: Final = Row(
    "Linear, Sentry",
    Shape(exact_port=True),
    refuses=(
        Refused(Wrong("authorize", {"redirect_uri": "http://127.0.0.1:1/callback"}), LoginFailed),
    ),
)
DOCUMENT: Final = ClientMetadataDocument("https://app.example/client.json")
NO_DOCUMENTS: Final = Demand(
    ("authorize",),
    "client_id",
    "dcr-*",
    "invalid_request",
    "redirect_uri: a loopback port is not in the client's document",
)
LINEAR_DOCUMENT: Final = Row(
    "Linear, Sentry",
    Shape(
        server_says={"client_id_metadata_document_supported": True},
        clients={DOCUMENT.url: Known()},
        demands=(NO_DOCUMENTS,),
    ),
    lambda at: {"client": DOCUMENT},
    case="with a metadata document whose loopback port it does not let vary",
)
STRIPE_ROW: Final = Row(
    "Stripe",
    Shape(
        challenge=(
            'Bearer resource_metadata="{mcp}/.well-known/oauth-protected-resource{path}",'
            ' scope="read"'
        ),
        tools={"refund": "write"},
    ),
)
SUPABASE_ROW: Final = Row(
    "Supabase",
    Shape(
        query="?project_ref=abc",
        resource_says={"resource": "{mcp}/mcp"},
        strangers=Answer(422, '{"message": "Unrecognized client_id"}'),
    ),
    refuses=(Refused(Wrong("authorize", {"client_id": "purged"}), LoginFailed),),
)
CLERK_ROW: Final = Row(
    "Clerk",
    Shape(
        bounded=True,
        resource_says={"scopes_supported": ["profile", "email"]},
        scopes=frozenset({"openid", "profile", "email"}),
    ),
    refuses=(Refused(Wrong("authorize", {"scope": "openid profile"}), AuthorizationDenied),),
)
PLAIN_ROW: Final = Row("Descope, Stytch, Scalekit, WorkOS", Shape())
IDENTITY: Final = frozenset({"openid", "profile", "email", "offline_access", "mcp:use"})
BETTER_AUTH: Final = Shape(
    bounded=True,
    scopes=IDENTITY,
    resource_says={"scopes_supported": ["mcp:use"]},
    server_says={"scopes_supported": sorted(IDENTITY)},
    renews_for={"scope": "offline_access"},
)
BETTER_AUTH_ROW: Final = Row(
    "Better Auth",
    BETTER_AUTH,
    refuses=(Refused(Wrong("authorize", {"scope": "admin"}), AuthorizationDenied),),
)
BETTER_AUTH_REFUSES: Final = Row(
    "Better Auth",
    replace(BETTER_AUTH, scopes=IDENTITY - {"offline_access"}),
    case="offline_access is listed, and refused",
    renews=False,
)
CLOUDFLARE_ROW: Final = Row(
    "Cloudflare workers-oauth-provider",
    Shape(
        challenge='Bearer realm="OAuth"',
        resource_at=(),
        issuer="{mcp}",
        server_at=("{mcp}/.well-known/oauth-authorization-server",),
        exact_port=True,
        scopes=frozenset({"mcp"}),
        demands=(
            Demand(("authorize", "token", "refresh"), "resource", "{mcp}{path}", "invalid_target"),
        ),
    ),
    refuses=(
        Refused(Wrong("authorize", {"scope": "openid"}), AuthorizationDenied),
        Refused(Wrong("authorize", OTHER_RESOURCE), AuthorizationDenied),
        Refused(Wrong("token", OTHER_RESOURCE), TokenRefused),
    ),
)
AWS_ROW: Final = Row(
    "AWS",
    Shape(
        demands=(
            Demand(("authorize", "token", "refresh"), "resource", "{mcp}{path}", "invalid_target"),
        ),
        strangers=Answer(400, '{"error": "invalid_client"}'),
    ),
    refuses=(
        Refused(Wrong("authorize", {"resource": None}), AuthorizationDenied),
        Refused(Wrong("token", {"resource": None}), TokenRefused),
        Refused(Wrong("refresh", {"resource": None}), LoginRequired),
    ),
)
EXA_ROW: Final = Row("Exa", Shape(challenge=""))
GRAFANA_ROW: Final = Row(
    "Grafana", Shape(header="X-Grafana-URL"), headers={"X-Grafana-URL": "https://g.example"}
)
ZOHO_ROW: Final = Row("Zoho", Shape(silent=True))
SCOPES_IN_CHALLENGE: Final = Shape(
    challenge=(
        'Bearer error="invalid_token", scope="mcp:read mcp:write",'
        ' resource_metadata="{mcp}/.well-known/oauth-protected-resource{path}"'
    ),
    named="{auth}/",
    issuer="{auth}/",
    server_says={"scopes_supported": ["openid", "profile", "email"]},
    tools={"echo": "mcp:read mcp:write"},
)
RUNWAY_ROW: Final = Row("Wiz, Runway", SCOPES_IN_CHALLENGE)
