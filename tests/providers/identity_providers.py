"""Identity providers: they issue tokens for other people's servers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from mcp_client_auth import (
    AuthorizationDenied,
    IssuerMismatch,
    LoginFailed,
    LoginRequired,
    Options,
    PkceUnsupported,
    RegistrationRefused,
    TokenRefused,
)
from tests.providers.provider_shapes import ANY, Answer, Demand, Known, Shape
from tests.providers.row import (
    APP,
    CLIENT_ID,
    CONFIDENTIAL,
    LOCALHOST,
    NO_PKCE,
    NO_REGISTRATION,
    OTHER_RESOURCE,
    POST_LISTED,
    POSTS,
    PROVES_BASIC,
    PUBLIC,
    UNKNOWN_CLIENT,
    Places,
    Refused,
    Row,
    Without,
    pinned,
)
from tests.providers.visitor import Wrong

# Entra ID

ENTRA: Final = Shape(
    resource_says={"scopes_supported": ["api://app/mcp.read"]},
    server_at=("{auth}/tenant/v2.0/.well-known/openid-configuration",),
    named="{auth}/tenant/v2.0",
    issuer="{auth}/tenant/v2.0",
    server_says={
        **NO_REGISTRATION,
        **NO_PKCE,
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
    },
    clients=PUBLIC,
    scopes=frozenset({"api://app/mcp.read", "openid", "profile", "email", "offline_access"}),
    renews_for={"scope": "offline_access"},
    approval=Answer(200, "<!DOCTYPE html>Approval required (AADSTS90094)", "text/html"),
    demands=(
        Demand(
            ("authorize", "token", "refresh"),
            "resource",
            None,
            "invalid_target",
            "AADSTS9010010: The resource parameter provided in the request doesn't match with"
            " the requested scopes.",
        ),
        Demand(
            ("refresh",),
            "scope",
            ANY,
            "invalid_request",
            "AADSTS90009: Application 'app' is requesting a token for itself.",
        ),
    ),
)
ENTRA_OPTIONS: Final = Options(resource="", refresh_scope=True, assume_pkce_s256=True)
ENTRA_ROW: Final = Row(
    "Entra ID",
    ENTRA,
    lambda at: {"client": APP, "options": ENTRA_OPTIONS},
    options=("--client-id", "--resource ''", "refresh_scope=True", "--assume-pkce-s256"),
    without=(
        Without(
            PkceUnsupported,
            ("--assume-pkce-s256", "Options(assume_pkce_s256=True)"),
            lambda at: {"client": APP},
        ),
        Without(RegistrationRefused, CLIENT_ID, lambda at: {"options": ENTRA_OPTIONS}),
        Without(
            AuthorizationDenied,
            ("AADSTS9010010", "--resource ''", 'Options(resource="")'),
            lambda at: {"client": APP, "options": Options(assume_pkce_s256=True)},
        ),
        Without(
            LoginRequired,
            ("AADSTS90009", "Options(refresh_scope=True)"),
            lambda at: {
                "client": APP,
                "options": Options(resource="", assume_pkce_s256=True),
            },
            refreshed=True,
        ),
        Without(  # Entra ID looks for a bare scope at Graph
            AuthorizationDenied,
            ("--scope", "scope="),
            lambda at: {"client": APP, "options": ENTRA_OPTIONS, "scope": "mcp.read"},
        ),
    ),
    refuses=(
        Refused(Wrong("token", OTHER_RESOURCE), TokenRefused),
        Refused(Wrong("refresh", OTHER_RESOURCE), LoginRequired),
        Refused(Wrong("refresh", {"scope": None}), LoginRequired),
        Refused(Wrong("refresh", {"scope": "api://app/admin"}), LoginRequired),
    ),
)
ENTRA_COMMON: Final = Row(
    "Entra ID",
    Shape(
        server_at=("{auth}/tenant/v2.0/.well-known/openid-configuration",),
        named="{auth}/common/v2.0",
        issuer="{auth}/tenant/v2.0",
        issuer_at={"{auth}/common/v2.0/.well-known/openid-configuration": "{auth}/{tenantid}/v2.0"},
        server_says=NO_REGISTRATION,
        clients=PUBLIC,
    ),
    lambda at: {"client": APP, "options": Options(issuer=at["auth"] + "/tenant/v2.0")},
    case="the tenant in the issuer of everybody's metadata",
    options=("--issuer",),
    without=(
        Without(IssuerMismatch, ("--issuer URL", "Options(issuer=…)"), lambda at: {"client": APP}),
    ),
)

# Google

GOOGLE: Final = Shape(
    path="/mcp/v1",
    public=("initialize", "notifications/initialized", "tools/list"),
    challenge='Bearer resource_metadata="{mcp}/.well-known/oauth-protected-resource/tools/echo"',
    resource_at=("{mcp}/.well-known/oauth-protected-resource/tools/echo",),
    named="{auth}/",
    server_at=("{auth}/.well-known/openid-configuration",),
    server_says={**NO_REGISTRATION, **POST_LISTED},
    clients=POSTS,
    renews_for={"access_type": "offline", "prompt": "consent"},
    silent=True,
)
OFFLINE: Final = Options(authorize_params={"access_type": "offline", "prompt": "consent"})
GOOGLE_WITHOUT: Final = (
    UNKNOWN_CLIENT,
    Without(
        TokenRefused,
        ("client_secret is missing", "--client-secret-file", "PreRegistered(secret=…)"),
        lambda at: {"client": APP},
    ),
    Without(
        LoginRequired,
        (
            "--param access_type=offline --param prompt=consent",
            'Options(authorize_params={"access_type": "offline", "prompt": "consent"})',
        ),
        lambda at: {"client": CONFIDENTIAL},
        refreshed=True,
    ),
)
GOOGLE_ROW: Final = Row(
    "Google",
    GOOGLE,
    lambda at: {"client": CONFIDENTIAL, "options": OFFLINE},
    case="the 401 comes with the tool call only",
    options=("--client-id", "--client-secret-file", "--param access_type=offline", "--issuer"),
    without=GOOGLE_WITHOUT,
    refuses=(Refused(Wrong("token", {"client_secret": None}), TokenRefused),),
    logs_in=False,
)
GOOGLE_PINNED: Final = Row(
    "Google",
    GOOGLE,
    lambda at: {
        "client": CONFIDENTIAL,
        "options": Options(
            issuer=at["auth"], authorize_params={"access_type": "offline", "prompt": "consent"}
        ),
    },
    case="logged in before the first call",
    without=(
        Without(
            LoginFailed,
            ("--issuer URL", "Options(issuer=…)"),
            lambda at: {"client": CONFIDENTIAL, "options": OFFLINE},
            logged_in=True,
        ),
    ),
)

# Cognito

COGNITO_OPTIONS: Final = ("--client-id", "--scope", "--redirect-uri", "--assume-pkce-s256")


def cognito(at: Places, **more: Any) -> dict[str, Any]:
    passes = {"client": APP, "scope": "mcp/read"}
    return {**passes, "options": Options(redirect_uri=pinned(at), assume_pkce_s256=True), **more}


COGNITO_ROW: Final = Row(
    "Amazon Cognito",
    Shape(
        server_at=("{auth}/eu-1_pool/.well-known/openid-configuration",),
        named="{auth}/eu-1_pool",
        issuer="{auth}/eu-1_pool",
        resource_says={"scopes_supported": ["openid", "phone", "mcp/read"]},
        server_says={
            **NO_REGISTRATION,
            **NO_PKCE,
            "authorization_endpoint": "{other}/oauth2/authorize",
            "token_endpoint": "{other}/oauth2/token",
            "scopes_supported": ["openid", "email", "phone", "profile"],
        },
        clients={"app": Known(redirect_uris=LOCALHOST, scope=frozenset({"openid", "mcp/read"}))},
        exact_port=True,
        demands=(Demand(("authorize",), "scope", ANY, "invalid_request", "no scope"),),
    ),
    cognito,
    options=COGNITO_OPTIONS,
    without=(
        Without(
            PkceUnsupported,
            ("--assume-pkce-s256", "Options(assume_pkce_s256=True)"),
            lambda at: cognito(at, options=Options(redirect_uri=pinned(at))),
        ),
        Without(RegistrationRefused, CLIENT_ID, lambda at: cognito(at, client=None)),
        Without(
            AuthorizationDenied, ("--scope SCOPES", "scope=…"), lambda at: cognito(at, scope=None)
        ),
        Without(
            LoginFailed,
            ("--redirect-uri", "Options(redirect_uri=…)"),
            lambda at: cognito(at, options=Options(assume_pkce_s256=True)),
        ),
    ),
    refuses=(Refused(Wrong("authorize", {"scope": None}), AuthorizationDenied),),
)

# Keycloak

REALM: Final = Shape(
    server_at=("{auth}/realms/r/.well-known/openid-configuration",),
    named="{auth}/realms/r",
    issuer="{auth}/realms/r",
)
KEYCLOAK_ROW: Final = Row("Keycloak", REALM)
KEYCLOAK_TRUSTED: Final = Row(
    "Keycloak",
    replace(
        REALM,
        admits=("nobody",),
        not_admitted=Answer(
            403,
            '{"error": "insufficient_scope", "error_description": "Policy \'Trusted Hosts\''
            ' rejected request to client-registration service. Details: Host not trusted."}',
        ),
        server_says={"token_endpoint_auth_methods_supported": ["client_secret_basic"]},
        clients=PROVES_BASIC,
        demands=(Demand(("token", "refresh"), "client_id", None, "invalid_client", "twice"),),
    ),
    lambda at: {"client": CONFIDENTIAL},
    case="that trusts some hosts only",
    options=("--client-id",),
    without=(Without(RegistrationRefused, ("Trusted Hosts", *CLIENT_ID)),),
    refuses=(Refused(Wrong("token", {"client_id": "app"}), TokenRefused),),
)

# Auth0, Okta, Hydra: a token for an audience

AUDIENCE: Final = ("--audience", "Options(audience=…)")
AUTH0_ROW: Final = Row(
    "Auth0",
    Shape(named="{auth}/", issuer="{auth}/", told="audience"),
    lambda at: {"options": Options(audience="https://api.example")},
    options=AUDIENCE[:1],
    without=(Without(TokenRefused, AUDIENCE, logged_in=True),),
    refuses=(Refused(Wrong("refresh", {"refresh_token": "old"}), LoginRequired),),
)
OKTA_ROW: Final = Row(
    "Okta",
    Shape(
        server_at=("{auth}/oauth2/default/.well-known/openid-configuration",),
        named="{auth}/oauth2/default",
        issuer="{auth}/oauth2/default",
        server_says={
            "registration_endpoint": "{auth}/oauth2/v1/clients",
            "scopes_supported": ["openid", "offline_access"],
        },
        admits=("nobody",),
        not_admitted=Answer(401, '{"errorCode": "E0000005", "errorSummary": "Invalid session"}'),
        clients=PUBLIC,
        scopes=frozenset({"mcp:read", "offline_access"}),
        renews_for={"scope": "offline_access"},
        demands=(Demand(("token",), "scope", None, "invalid_scope"),),
    ),
    lambda at: {"client": APP, "scope": "mcp:read offline_access"},
    options=("--client-id", "--scope"),
    without=(
        UNKNOWN_CLIENT,
        Without(
            LoginRequired,
            ("offline_access (--scope SCOPES)", "offline_access (scope=…)"),
            lambda at: {"client": APP, "scope": "mcp:read"},
            refreshed=True,
        ),
    ),
    refuses=(
        Refused(Wrong("authorize", {"scope": "mcp:admin"}), AuthorizationDenied),
        Refused(Wrong("token", {"scope": "offline_access"}), TokenRefused),
    ),
)
HYDRA_ROW: Final = Row(
    "Ory Hydra",
    Shape(told="audience"),
    lambda at: {"options": Options(audience="https://api.example")},
    options=AUDIENCE[:1],
    without=(Without(TokenRefused, AUDIENCE, logged_in=True),),
)


# Authelia

AUTHELIA_ROW: Final = Row(
    "Authelia",
    Shape(
        server_says={**NO_REGISTRATION, "scopes_supported": ["openid", "offline_access"]},
        resource_says={"scopes_supported": ["openid"]},
        clients=PUBLIC,
        scopes=frozenset({"openid", "offline_access"}),
        renews_for={"scope": "offline_access"},
    ),
    lambda at: {"client": APP},
    options=("--client-id",),
    without=(UNKNOWN_CLIENT,),
    refuses=(Refused(Wrong("authorize", {"scope": "openid email"}), AuthorizationDenied),),
)
