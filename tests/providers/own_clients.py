"""Providers that require the user's own client, or whose metadata is not where it should be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from mcp_client_auth import (
    AuthorizationDenied,
    BadResponse,
    Endpoints,
    IssuerMismatch,
    LoginFailed,
    LoginRequired,
    Options,
    PkceUnsupported,
    PreRegistered,
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
    POST_LISTED,
    POSTS,
    PUBLIC,
    UNKNOWN_CLIENT,
    Places,
    Refused,
    Row,
    Without,
    pinned,
)
from tests.providers.visitor import Wrong

# GitHub

GITHUB: Final = Shape(
    named="{auth}/login/oauth",
    issuer="{auth}/login/oauth",
    server_at=("{auth}/.well-known/oauth-authorization-server/login/oauth",),
    server_says={**NO_REGISTRATION, **POST_LISTED},
    clients=POSTS,
    encoding="form unless JSON is accepted",
    refuses_with=200,
)
GITHUB_ROW: Final = Row(
    "GitHub",
    GITHUB,
    lambda at: {"client": CONFIDENTIAL},
    options=("--client-id", "--client-secret-file"),
    without=(
        UNKNOWN_CLIENT,
        Without(
            TokenRefused,
            ("client_secret is missing", "--client-secret-file"),
            lambda at: {"client": APP},
        ),
    ),
    refuses=(
        Refused(Wrong("token", {"code": "spent"}), TokenRefused),
        Refused(Wrong("refresh", {"refresh_token": "ghr_old"}), LoginRequired),
    ),
)
GITHUB_FORM: Final = Row(
    "GitHub",
    replace(GITHUB, encoding="form"),
    lambda at: {"client": CONFIDENTIAL},
    case="a form whatever is accepted",
    refuses=GITHUB_ROW.refuses,
)

# Slack

SLACK: Final = Shape(
    resource_at=("{mcp}/.well-known/oauth-protected-resource",),
    challenge="Bearer",
    resource_says={"resource": "{mcp}", "scopes_supported": ["search:read", "chat:write"]},
    server_says={**NO_REGISTRATION, **POST_LISTED},
    clients={"app": Known("client_secret_post", "s3cret", LOCALHOST)},
    exact_port=True,
    encoding="nested",
    refuses_with=200,
    demands=(Demand(("authorize",), "scope", ANY, "invalid_scope", "No scopes requested"),),
)
SLACK_ROW: Final = Row(
    "Slack",
    SLACK,
    lambda at: {"client": CONFIDENTIAL, "options": Options(redirect_uri=pinned(at))},
    options=("--client-id", "--client-secret-file", "--redirect-uri"),
    without=(
        UNKNOWN_CLIENT,
        Without(
            LoginFailed,
            ("--redirect-uri", "Options(redirect_uri=…)"),
            lambda at: {"client": CONFIDENTIAL},
        ),
        Without(
            TokenRefused,
            ("client_secret is missing", "--client-secret-file"),
            lambda at: {"client": APP, "options": Options(redirect_uri=pinned(at))},
        ),
    ),
    refuses=(
        Refused(Wrong("authorize", {"scope": None}), AuthorizationDenied),
        Refused(Wrong("token", {"client_secret": "other"}), TokenRefused),
        Refused(Wrong("refresh", {"refresh_token": "xoxe-old"}), LoginRequired),
    ),
)


def slack_elsewhere(at: Places, client: PreRegistered) -> dict[str, Any]:
    endpoints = Endpoints(authorization=at["other"] + "/authorize", token=at["other"] + "/token")
    options = Options(redirect_uri=pinned(at), issuer=at["other"], endpoints=endpoints)
    return {"client": client, "options": options}


SLACK_ISSUER: Final = Row(
    "Slack",
    replace(SLACK, issuer="{other}"),
    lambda at: slack_elsewhere(at, PreRegistered("app", "s3cret", "client_secret_post")),
    case="its metadata names another issuer",
    options=("endpoints=Endpoints(…)", "--client-auth-method client_secret_post"),
    without=(
        Without(
            IssuerMismatch,
            ("--issuer URL", "Options(issuer=…)"),
            lambda at: {"client": CONFIDENTIAL, "options": Options(redirect_uri=pinned(at))},
        ),
        Without(  # the other issuer has no metadata of its own
            BadResponse,
            ("Options(issuer=…)", "Options(endpoints=…)"),
            lambda at: {"client": CONFIDENTIAL, "options": Options(issuer=at["other"])},
        ),
        Without(  # no metadata says how a secret is sent (RFC 8414 §2: Basic)
            TokenRefused,
            ("--client-auth-method", "PreRegistered(method=…)"),
            lambda at: slack_elsewhere(at, CONFIDENTIAL),
        ),
    ),
)
SLACK_USER_SCOPE: Final = Row(
    "Slack",
    replace(
        SLACK,
        demands=(
            Demand(("authorize",), "user_scope", ANY, "invalid_scope", "no user scope"),
            Demand(("authorize",), "scope", None, "invalid_scope", "that is a bot's scope"),
        ),
    ),
    lambda at: {
        "client": CONFIDENTIAL,
        "scope": "",
        "options": Options(
            redirect_uri=pinned(at), authorize_params={"user_scope": "search:read,chat:write"}
        ),
    },
    case="a person's scopes by a name of their own",
    options=("--param user_scope=", "--scope ''"),
    without=(
        Without(
            AuthorizationDenied,
            ("no user scope",),
            lambda at: {"client": CONFIDENTIAL, "options": Options(redirect_uri=pinned(at))},
        ),
    ),
)

# Figma

FIGMA: Final = Shape(
    resource_says={"scopes_supported": ["mcp:connect"]},
    server_says={"token_endpoint_auth_methods_supported": ["none", "client_secret_post"]},
    admits=("Admitted",),
    registers={"client_secret": "s3cret", "token_endpoint_auth_method": "none"},
    proves="client_secret_post",
    clients=POSTS,
    scopes=frozenset({"mcp:connect"}),
)
FIGMA_ROW: Final = Row(
    "Figma",
    FIGMA,
    lambda at: {"client": CONFIDENTIAL},
    options=("--client-id", "--client-secret-file"),
    without=(Without(RegistrationRefused, ("“Forbidden”", *CLIENT_ID)),),
)
FIGMA_ADMITTED: Final = Row(
    "Figma",
    FIGMA,
    lambda at: {"options": Options(client_name="Admitted")},
    case="a client that it admits, with a secret beside the method none",
    options=("client_name=",),
    refuses=(Refused(Wrong("refresh", {"client_secret": None}), LoginRequired),),
)


# HubSpot and others

HUBSPOT_ROW: Final = Row(
    "Asana, HubSpot, ClickUp",
    Shape(
        challenge="{mcp}/.well-known/oauth-authorization-server",
        resource_at=(),
        issuer="{mcp}",
        server_at=("{mcp}/.well-known/oauth-authorization-server",),
        server_says={**NO_REGISTRATION, **POST_LISTED},
        clients={"app": Known("client_secret_post", "s3cret", LOCALHOST)},
        exact_port=True,
    ),
    lambda at: {"client": CONFIDENTIAL, "options": Options(redirect_uri=pinned(at))},
    options=("--client-id", "--client-secret-file", "--redirect-uri"),
    without=(
        UNKNOWN_CLIENT,
        Without(
            LoginFailed,
            ("--redirect-uri", "Options(redirect_uri=…)"),
            lambda at: {"client": CONFIDENTIAL},
        ),
    ),
)

# Atlassian

ATLASSIAN_PAGE: Final = Answer(500, "<!DOCTYPE html>Internal Server Error", "text/html")
ATLASSIAN_LISTS: Final = {"scopes_supported": ["read:jira", "offline_access"]}
ATLASSIAN_ROW: Final = Row(
    "Atlassian",
    Shape(
        path="/v1/mcp/authv2",
        named="{auth}/VCeDsk8Z",
        resource_says={"scopes_supported": ["read:jira"]},
        server_at=(
            "{auth}/.well-known/oauth-authorization-server/VCeDsk8Z",
            "{auth}/.well-known/oauth-authorization-server",
        ),
        server_says=ATLASSIAN_LISTS,
        exact_port=True,
        strangers=ATLASSIAN_PAGE,
        renews_for={"scope": "offline_access"},
    ),
    lambda at: {"options": Options(issuer=at["auth"])},
    case="authv2, whose issuer lost its path",
    options=("--issuer",),
    without=(Without(IssuerMismatch, ("--issuer URL", "Options(issuer=…)")),),
    refuses=(Refused(Wrong("refresh", {"refresh_token": "old"}), LoginRequired),),
)
ATLASSIAN_V1: Final = Row(
    "Atlassian",
    Shape(
        path="/v1/mcp",
        challenge="Bearer",
        resource_at=(),
        issuer="{other}",
        server_at=(
            "{mcp}/.well-known/oauth-authorization-server",
            "{other}/.well-known/oauth-authorization-server",
        ),
        strangers=ATLASSIAN_PAGE,
    ),
    lambda at: {"options": Options(issuer=at["other"])},
    case="v1, whose issuer is another host",
    without=(Without(IssuerMismatch, ("--issuer URL", "Options(issuer=…)")),),
)

# Providers whose metadata is not where it should be


def told(at: Places, base: str, **more: Any) -> dict[str, Any]:
    """Endpoints that the caller knows."""
    endpoints = Endpoints(authorization=at["auth"] + "/authorize", token=at["auth"] + "/token")
    return {"client": APP, "options": Options(issuer=base, endpoints=endpoints, **more)}


SNOWFLAKE: Final = Shape(challenge="", resource_at=(), server_at=(), clients=PUBLIC)
SNOWFLAKE_ROW: Final = Row(
    "Snowflake",
    SNOWFLAKE,
    lambda at: told(at, at["auth"]),
    options=("--client-id", "endpoints=Endpoints(…)"),
    without=(
        Without(RegistrationRefused, ("Options(issuer=…)", "Options(endpoints=…)")),
        Without(
            LoginFailed, ("Options(issuer=…)", "Options(endpoints=…)"), lambda at: {"client": APP}
        ),
    ),
)
DATABRICKS_ROW: Final = Row(
    "Databricks",
    Shape(
        named="{auth}/oidc",
        issuer="{auth}/oidc",
        server_at=("{auth}/oidc/.well-known/oauth-authorization-server",),
        server_says=NO_REGISTRATION,
        clients=PUBLIC,
    ),
    lambda at: told(at, at["auth"] + "/oidc"),
    options=("--client-id", "endpoints=Endpoints(…)"),
    without=(
        Without(
            BadResponse,
            ("no endpoint is guessed", "Options(issuer=…)", "Options(endpoints=…)"),
            lambda at: {"client": APP},
        ),
    ),
)
SALESFORCE_ROW: Final = Row(
    "Salesforce",
    Shape(
        path="/platform/mcp/v1/reads",
        named="{mcp}/platform/mcp/v1/reads",
        server_at=(
            "{mcp}/.well-known/oauth-authorization-server/platform/mcp/v1/reads",
            "{auth}/.well-known/openid-configuration",
        ),
        server_says={**NO_REGISTRATION, **NO_PKCE},
        clients=PUBLIC,
    ),
    lambda at: {
        "client": APP,
        "options": Options(issuer=at["auth"], assume_pkce_s256=True),
    },
    options=("--client-id", "--issuer", "--assume-pkce-s256"),
    without=(
        Without(IssuerMismatch, ("--issuer URL", "Options(issuer=…)"), lambda at: {"client": APP}),
        Without(
            PkceUnsupported,
            ("--assume-pkce-s256", "Options(assume_pkce_s256=True)"),
            lambda at: {"client": APP, "options": Options(issuer=at["auth"])},
        ),
    ),
)
