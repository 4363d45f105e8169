"""The device authorization grant, message by message (RFC 8628)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest

from mcp_client_auth.errors import (
    AuthError,
    AuthorizationDenied,
    BadResponse,
    LoginFailed,
    Refused,
    TokenRefused,
    Unavailable,
)
from mcp_client_auth.protocol.device import (
    DeviceAuthorization,
    device_authorization_request,
    device_token_request,
    read_device_authorization,
    require_device,
    wait_after,
)
from mcp_client_auth.protocol.discovery import Discovery
from mcp_client_auth.protocol.flow import HttpResponse
from mcp_client_auth.protocol.metadata import ServerMetadata
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.urls import Endpoint, Issuer, ServerUrl
from mcp_client_auth.secret import Secret

URL = ServerUrl("https://mcp.example.com/mcp")
ISSUER = Issuer("https://auth.example.com")
TOKEN = Endpoint(ISSUER + "/token")
SERVER = ServerMetadata(
    ISSUER, TOKEN, "metadata", device_authorization_endpoint=Endpoint(ISSUER + "/device")
)
FOUND = Discovery(URL, None, None, SERVER, URL)
CLIENT = Client("me", ISSUER, "dynamic", "none")
GOOD: dict[str, Any] = {
    "device_code": "hidden",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://auth.example.com/activate",
    "verification_uri_complete": "https://auth.example.com/activate?user_code=WDJB-MJHT",
    "expires_in": 600,
    "interval": 7,
}


def read(status: int = 200, **changes: Any) -> DeviceAuthorization:
    body = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    response = HttpResponse(
        status, SERVER.device_authorization_endpoint, (), json.dumps(body).encode()
    )
    return read_device_authorization(FOUND, CLIENT, ("a",), response)


def test_the_request_names_client_scope_and_resource() -> None:
    request = device_authorization_request(FOUND, CLIENT, ("a", "b")).signed()
    assert request.url == ISSUER + "/device"
    assert dict(parse_qsl(request.body.decode())) == {
        "client_id": "me",
        "scope": "a b",
        "resource": "https://mcp.example.com/mcp",
    }


def test_without_scope_and_resource_only_the_client_is_named() -> None:
    bare = Discovery(FOUND.server_url, None, None, SERVER, None)
    assert device_authorization_request(bare, CLIENT, None).signed().body == b"client_id=me"


def test_the_answer_is_read_and_its_code_is_a_secret() -> None:
    asked = read()
    assert asked.device_code == Secret("hidden")
    assert asked.user_code == "WDJB-MJHT"
    assert (asked.expires_in, asked.interval) == (600, 7)
    assert "hidden" not in repr(asked)
    assert "WDJB" not in repr(asked)


def test_the_token_request_carries_the_code_and_the_resource() -> None:
    request = device_token_request(read()).signed()
    assert dict(parse_qsl(request.body.decode())) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "hidden",
        "resource": "https://mcp.example.com/mcp",
        "client_id": "me",
    }


@pytest.mark.parametrize(
    ("given", "expected"), [(..., 5), (None, 5), (-3, 5), ("7", 7), (0, 1), (0.2, 1), ("x", 5)]
)
def test_an_interval_that_is_absent_or_odd_becomes_a_usable_one(
    given: Any, expected: float
) -> None:
    assert read(interval=given).interval == expected


def test_the_name_of_an_early_draft_is_understood() -> None:
    asked = read(verification_uri=..., verification_url="https://auth.example.com/d")
    assert asked.verification_uri == "https://auth.example.com/d"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"device_code": ""}, "device_code"),
        ({"user_code": ...}, "user_code"),
        ({"user_code": "a\u202eb"}, "user_code"),
        ({"user_code": "a\x1b[2J"}, "user_code"),
        ({"user_code": "x" * 101}, "user_code"),
        ({"verification_uri": ...}, "verification_uri"),
        ({"expires_in": ...}, "expires_in"),
        ({"expires_in": 0}, "expires_in"),
        ({"device_code": ...}, "device authorization"),
    ],
)
def test_an_answer_that_breaks_the_standard_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadResponse, match=said):
        read(**changes)


def test_a_refusal_says_which_endpoint_refused() -> None:
    with pytest.raises(TokenRefused, match="the device authorization endpoint refused"):
        read(400, error="invalid_scope")


def test_a_server_without_the_endpoint_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(Refused, match="device code"):
        require_device(ServerMetadata(ISSUER, TOKEN, "metadata"))


def refused(code: str) -> TokenRefused:
    return TokenRefused("no", code=code)


@pytest.mark.parametrize(
    ("error", "interval", "expected"),
    [
        (refused("authorization_pending"), 5, 5),
        (Unavailable("no", code="slow_down"), 5, 10),
        (Unavailable("no", code="slow_down"), 58, 63),
        (Unavailable("no answer"), 5, 10),
        (Unavailable("no answer"), 40, 60),
        (Unavailable("no answer"), 70, 70),
        (Unavailable("later", retry_after=120), 5, 120),
        (BadResponse("a page of a proxy"), 5, 10),
    ],
)
def test_how_long_to_wait_before_the_next_question(
    error: AuthError, interval: float, expected: float
) -> None:
    assert wait_after(error, interval) == expected


@pytest.mark.parametrize(
    ("code", "kind", "final"),
    [
        ("access_denied", AuthorizationDenied, "access_denied"),
        ("expired_token", LoginFailed, "timeout"),
        ("invalid_grant", TokenRefused, "invalid_grant"),
        ("invalid_client", TokenRefused, "invalid_client"),
        ("unsupported_grant_type", TokenRefused, "unsupported_grant_type"),
    ],
)
def test_what_ends_the_questions(code: str, kind: type[AuthError], final: str) -> None:
    with pytest.raises(kind) as caught:
        wait_after(refused(code), 5)
    assert caught.value.code == final
