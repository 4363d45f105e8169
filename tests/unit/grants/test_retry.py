"""Which refusals are mended, by what, and how often."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mcp_client_auth import (
    AuthError,
    AuthorizationDenied,
    ClientMetadataDocument,
    RegistrationRefused,
    TokenRefused,
)
from mcp_client_auth.errors import LoginFailed, Remedy
from mcp_client_auth.grants.retry import Attempt
from mcp_client_auth.protocol.challenge import Challenge
from mcp_client_auth.protocol.discovery import Discovery
from mcp_client_auth.protocol.metadata import read_resource_metadata, read_server_metadata
from tests.support.session_world import ISSUER, SERVER, World, document


def discovery(challenge: Challenge | None = None, **changes: Any) -> Discovery:
    """With `scopes` the resource lists some; everything else changes the server's metadata."""
    named: dict[str, Any] = {"resource": SERVER, "authorization_servers": [ISSUER]}
    named["scopes_supported"] = changes.pop("scopes", None)
    metadata = read_resource_metadata(SERVER, document(named, SERVER))
    raw = {**World().authorization.metadata(), **changes}
    server = read_server_metadata(ISSUER, document(raw, ISSUER))
    return Discovery(SERVER, challenge, metadata, server, SERVER)


OFFLINE = ("read", "offline_access")


def attempt(**fields: Any) -> Attempt:
    usual: dict[str, Any] = {"discovery": discovery(), "kind": "dynamic", "scope": OFFLINE}
    return Attempt(**{**usual, **fields})


def mended(error: AuthError, made: Attempt, **fields: Any) -> str | None:
    usual: dict[str, Any] = {"reused": False, "visited": True}
    return made.recovery(error, **{**usual, **fields})


def denied(code: str, description: str = "", status: int = 0) -> AuthError:
    return AuthorizationDenied("no", code=code, description=description, status=status)


CASES: dict[str, tuple[AuthError, Attempt, bool, str | None]] = {
    "a forgotten client at the token endpoint": (
        TokenRefused("no", code="invalid_client"),
        attempt(scope=None),
        True,
        "registration",
    ),
    "a forgotten client on the way back": (
        denied("unauthorized_client"),
        attempt(scope=None),
        True,
        "registration",
    ),
    "a new registration": (
        TokenRefused("no", code="invalid_client"),
        attempt(scope=None),
        False,
        None,
    ),
    "another word of the token endpoint": (
        TokenRefused("no", code="invalid_grant"),
        attempt(),
        True,
        None,
    ),
    "a document that is not trusted": (
        denied("unauthorized_client"),
        attempt(kind="metadata-document"),
        False,
        "document",
    ),
    "a document that cannot be read": (
        denied("invalid_request", "Could not fetch client metadata"),
        attempt(kind="metadata-document"),
        False,
        "document",
    ),
    "a port that the document does not list": (
        denied("invalid_request", "redirect_uri does not match"),
        attempt(kind="metadata-document"),
        False,
        "document",
    ),
    "a document's redirect URI": (
        denied("invalid_redirect_uri", status=400),
        attempt(kind="metadata-document"),
        False,
        "document",
    ),
    "a document at the token endpoint": (
        TokenRefused("no", code="invalid_client"),
        attempt(kind="metadata-document"),
        False,
        "document",
    ),
    "an invalid request about something else": (
        denied("invalid_request", "resource is missing"),
        attempt(kind="metadata-document"),
        False,
        None,
    ),
    "a document without registration beside it": (
        denied("invalid_client"),
        attempt(kind="metadata-document", discovery=discovery(registration_endpoint=None)),
        False,
        None,
    ),
    "a client of the caller's": (
        denied("invalid_client"),
        attempt(kind="pre-registered"),
        False,
        None,
    ),
    "a person's no": (denied("access_denied"), attempt(kind="metadata-document"), True, None),
    "offline_access on the way back": (denied("invalid_scope"), attempt(), False, "offline access"),
    "offline_access when pushed": (
        denied("invalid_scope", status=400),
        attempt(),
        False,
        "offline access",
    ),
    "offline_access at registration": (
        RegistrationRefused("no", code="invalid_scope"),
        attempt(),
        False,
        "offline access",
    ),
    "offline_access in other words": (
        RegistrationRefused("no", code="invalid_client_metadata", description="Unknown Scope"),
        attempt(),
        False,
        "offline access",
    ),
    "a registration refused otherwise": (
        RegistrationRefused("no", code="invalid_client_metadata", description="bad name"),
        attempt(),
        False,
        None,
    ),
    "a scope that only the resource lists": (
        denied("invalid_scope"),
        attempt(discovery=discovery(scopes_supported=["read"]), scope=("read", "secret")),
        False,
        "scopes",
    ),
    "a scope that only the resource lists, at the token endpoint": (
        TokenRefused("no", code="invalid_scope"),
        attempt(discovery=discovery(scopes_supported=["read"]), scope=("read", "secret")),
        False,
        "scopes",
    ),
    "scopes of which none is listed": (
        denied("invalid_scope"),
        attempt(discovery=discovery(scopes_supported=["openid"]), scope=("read", "secret")),
        False,
        None,
    ),
    "scopes that are all listed": (
        denied("invalid_scope"),
        attempt(discovery=discovery(scopes_supported=["read", "secret"]), scope=("read",)),
        False,
        None,
    ),
    "a callback at registration": (
        RegistrationRefused("no", code="invalid_redirect_uri", status=400),
        attempt(),
        False,
        "localhost",
    ),
    "a callback at registration in other words": (
        RegistrationRefused(
            "no", code="invalid_request", status=400, description="Loopback must be localhost"
        ),
        attempt(),
        False,
        "localhost",
    ),
    "a callback of the caller's": (
        RegistrationRefused("no", code="invalid_redirect_uri", status=400),
        attempt(own_callback=False),
        False,
        None,
    ),
    "a scope that is not ours": (denied("invalid_scope"), attempt(scope=("read",)), False, None),
    "a time-out": (LoginFailed("no", code="timeout"), attempt(), True, None),
}


@pytest.mark.parametrize(("error", "made", "reused", "what"), CASES.values(), ids=CASES)
def test_what_can_be_mended_is(
    error: AuthError, made: Attempt, reused: bool, what: str | None
) -> None:
    assert mended(error, made, reused=reused) == what


@pytest.mark.parametrize("named_by", ["the caller", "the challenge", "the resource"])
def test_offline_access_that_somebody_named_is_not_dropped(named_by: str) -> None:
    found = discovery()
    if named_by == "the challenge":
        found = discovery(challenge=Challenge("bearer", {"scope": "read offline_access"}))
    if named_by == "the resource":
        found = discovery(scopes=list(OFFLINE))
    named = OFFLINE if named_by == "the caller" else None
    assert mended(denied("invalid_scope"), attempt(discovery=found, named=named)) is None


def test_each_thing_is_mended_once() -> None:
    first = attempt(kind="metadata-document")
    second = first.retried("offline access", visited=False)
    assert second.scope == ("read",)
    assert mended(denied("invalid_scope"), attempt(recoveries=("offline access",))) is None
    third = second.retried("document", visited=True)
    assert (third.kind, third.visits) == ("dynamic", 1)
    assert third.recoveries == ("offline access", "document")


def test_offline_access_alone_leaves_no_scope() -> None:
    made = attempt(scope=("offline_access",)).retried("offline access", visited=True)
    assert made.scope is None


def test_a_person_is_asked_twice_at_most() -> None:
    assert mended(denied("invalid_scope"), attempt(visits=1)) is None
    assert mended(denied("invalid_scope"), attempt(visits=1), visited=False) == "offline access"
    assert mended(denied("invalid_scope"), attempt(visits=2), visited=False) is None


@pytest.mark.parametrize("named_by", ["the caller", "the challenge"])
def test_a_scope_that_somebody_named_is_not_dropped(named_by: str) -> None:
    named = ("read", "secret")
    found = discovery(scopes_supported=["read"])
    if named_by == "the challenge":
        found = replace(found, challenge=Challenge("bearer", {"scope": "read secret"}))
    made = attempt(discovery=found, scope=named, named=named if "caller" in named_by else None)
    error = denied("invalid_scope")
    assert mended(error, made) is None
    made.advise(error, None)
    assert "does not list “secret”" in error.hint


def test_the_next_attempt_asks_for_what_both_list() -> None:
    found = discovery(scopes=["read", "secret"], scopes_supported=["read", "offline_access"])
    made = attempt(discovery=found, scope=("read", "secret", "offline_access"))
    after = made.retried("scopes", visited=True)
    assert (after.scope, after.kind, after.visits) == (OFFLINE, "dynamic", 1)
    assert mended(denied("invalid_scope"), after, visited=False) == "offline access"


def test_a_callback_that_is_refused_once_stands_at_localhost() -> None:
    made = attempt()
    assert made.host == "127.0.0.1"
    after = made.retried("localhost", visited=False)
    assert after.host == "localhost"
    again = RegistrationRefused("no", code="invalid_redirect_uri", status=400)
    assert mended(again, after) is None


URL = "https://app.example.com/client.json"


@pytest.mark.parametrize(
    ("error", "kind", "named"),
    [
        (denied("unauthorized_client"), "metadata-document", True),
        (TokenRefused("no", code="invalid_client"), "metadata-document", True),
        (denied("invalid_request", "redirect_uri does not match"), "metadata-document", True),
        (LoginFailed("no", code="timeout"), "metadata-document", True),
        (LoginFailed("no", code="aborted"), "metadata-document", False),
        (denied("access_denied"), "metadata-document", False),
        (denied("invalid_scope"), "metadata-document", False),
        (denied("unauthorized_client"), "dynamic", False),
        (LoginFailed("no", code="timeout"), "dynamic", False),
    ],
)
def test_where_a_document_may_be_refused_its_check_is_named(
    error: AuthError, kind: str, named: bool
) -> None:
    error.remedy = Remedy("Look at the browser")
    attempt(kind=kind).advise(error, ClientMetadataDocument(URL))
    assert error.hint.startswith("Look at the browser")
    assert (f"mcp-login client-metadata {URL}" in error.hint) == named
