"""How far a login comes without a person, at a server on the internet."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcp_client_auth.credential import key_for
from mcp_client_auth.doctor.exam import Exam
from mcp_client_auth.doctor.walk import walk
from mcp_client_auth.grants.base import LoginConfig
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.urls import ServerUrl

URL, ISSUER = "https://mcp.example.com/mcp", "https://as.example.com"
PLACE = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
SERVER = {
    "issuer": ISSUER,
    "authorization_endpoint": ISSUER + "/authorize",
    "token_endpoint": ISSUER + "/token",
    "registration_endpoint": ISSUER + "/register",
    "code_challenge_methods_supported": ["S256"],
    "authorization_response_iss_parameter_supported": True,
}
CLIENT = {"client_id": "dyn", "token_endpoint_auth_method": "none"}


def ended(page: HttpResponse) -> str:
    """The code of the error that a login ends with where the sign-in page is this one."""

    def transport(request: HttpRequest) -> HttpResponse:
        def answer(status: int, value: Any, *headers: tuple[str, str]) -> HttpResponse:
            kind = ("Content-Type", "application/json")
            body = json.dumps(value).encode()
            return HttpResponse(status, request.url, (kind, *headers), body)

        challenge = f'Bearer resource_metadata="{PLACE}"'
        answers = {
            URL: answer(401, {}, ("WWW-Authenticate", challenge)),
            PLACE: answer(200, {"resource": URL, "authorization_servers": [ISSUER]}),
            f"{ISSUER}/.well-known/oauth-authorization-server": answer(200, SERVER),
            ISSUER + "/register": answer(201, CLIENT),
        }
        return answers.get(request.url, page)

    server, options = ServerUrl(URL), Options()
    exam = Exam(server, options, transport, patience=60.0)
    done = walk(exam, LoginConfig(server, key_for(URL), None, None, options), register=True)
    assert done.page is page
    return done.error.code if done.error else ""


@pytest.mark.parametrize(
    ("led", "code"),
    [
        ("http://localhost:3000/auth/login", "authorize_inside"),
        ("http://127.0.0.1:8080/login", "authorize_inside"),
        ("http://keycloak/realms/acme", "authorize_inside"),
        ("http://localhost:33418/callback", ""),  # of the client, in another spelling
        ("http://localhost:99999/callback", ""),  # no browser goes anywhere
        ("https://sso.example.com/login", ""),
        ("https://sso.acme.internal/login", ""),  # its people may be in that network
        ("/login", ""),
    ],
)
def test_a_sign_in_page_has_to_be_where_a_browser_comes_to(led: str, code: str) -> None:
    assert ended(HttpResponse(302, ISSUER, (("Location", led),))) == code


@pytest.mark.parametrize("message", ["", "\\u12", "\\q"])
def test_a_page_whose_error_cannot_be_read_is_one_to_sign_in_at(message: str) -> None:
    page = f'<html>{{"strServiceExceptionMessage":"{message}"}}'.encode()
    assert ended(HttpResponse(200, ISSUER, body=page)) == ""
