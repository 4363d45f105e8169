"""A public server sends its visitor's browser into the visitor's own network.

It names the sign-in page and the link of a device code, like every endpoint: one policy for
addresses covers what is requested and what a person opens.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable

import pytest

from mcp_client_auth import (
    BrowserPrompt,
    DeviceCode,
    DevicePrompt,
    Endpoints,
    HttpTransport,
    InsecureUrl,
    LoginFailed,
    MemoryStorage,
    Options,
    PreRegistered,
    login,
)
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from tests.support.addresses_inside import INSIDE, METADATA_SERVICES

PUBLIC = "https://mcp.example.com/mcp"
ISSUER = "https://auth.example.com"
PAGES = [target.format(port=8443) for target in METADATA_SERVICES + INSIDE]


def resolves(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Make every name except the server's resolve to these addresses."""

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[object]:
        if not addresses or host == "mcp.example.com":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [
            (family[":" in address], socket.SOCK_STREAM, 0, "", (address, port))
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


class Scripted:
    """A public server and its authorization server, whose pages are somewhere else."""

    def __init__(self, page: str) -> None:
        places = {name: f"{ISSUER}/{name}" for name in ("token_endpoint", "registration_endpoint")}
        resource = {"resource": PUBLIC, "authorization_servers": [ISSUER]}
        server = {
            "issuer": ISSUER,
            "authorization_endpoint": page,
            "device_authorization_endpoint": f"{ISSUER}/device",
            "grant_types_supported": ["urn:ietf:params:oauth:grant-type:device_code"],
            "code_challenge_methods_supported": ["S256"],
            **places,
        }
        code = {"device_code": "d", "user_code": "ABCD", "expires_in": 60, "interval": 5}
        self.page = page
        self._answers: dict[str, object] = {
            "https://mcp.example.com/.well-known/oauth-protected-resource/mcp": resource,
            f"{ISSUER}/.well-known/oauth-authorization-server": server,
            f"{ISSUER}/registration_endpoint": {"client_id": "dyn"},
            f"{ISSUER}/device": {**code, "verification_uri": page},
        }

    def __call__(self, request: HttpRequest) -> HttpResponse:
        found = self._answers.get(request.url)
        if found is None:
            return HttpResponse(401, request.url)
        status = 201 if "registration" in request.url else 200
        return HttpResponse(status, request.url, (), json.dumps(found).encode())

    def link_as(self, name: str) -> Scripted:
        """The page as the second link of a device code, beside a harmless first one."""
        code = self._answers[f"{ISSUER}/device"]
        assert isinstance(code, dict)
        self._answers[f"{ISSUER}/device"] = {
            **code,
            "verification_uri": f"{ISSUER}/device-page",
            name: self.page,
        }
        return self


class Checked(Scripted):
    """The same with the check of the default transport."""

    def check(self, url: str) -> None:
        HttpTransport(PUBLIC).check(url)


def opened_by(transport: Scripted, **options: object) -> list[str]:
    """Return what a login opens until its time is over."""
    opened: list[str] = []

    def open_url(url: str) -> bool:
        opened.append(url)
        return True

    with pytest.raises(LoginFailed):
        login(
            PUBLIC,
            storage=MemoryStorage(),
            prompt=BrowserPrompt(open_url),
            transport=transport,
            options=Options(login_timeout=0.05, **options),  # type: ignore[arg-type]
        )
    return opened


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("kind", [Scripted, Checked])
def test_no_browser_is_sent_inside(kind: type[Scripted], page: str) -> None:
    with pytest.raises(InsecureUrl) as caught:
        opened_by(kind(page))
    assert caught.value.code in ("forbidden_address", "insecure_url")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("field", ["verification_uri", "verification_uri_complete"])
def test_no_link_of_a_device_code_leads_inside(field: str, page: str) -> None:
    shown: list[object] = []
    with pytest.raises(InsecureUrl):
        login(
            PUBLIC,
            storage=MemoryStorage(),
            grant=DeviceCode(),
            client=PreRegistered("app"),
            prompt=DevicePrompt(shown.append),
            transport=Scripted(page).link_as(field),
        )
    assert shown == []


def test_what_the_person_allows_or_names_is_opened() -> None:
    page = "https://10.0.0.1/authorize"
    assert opened_by(Scripted(page), allow_private_addresses=True)
    token, register = f"{ISSUER}/token_endpoint", f"{ISSUER}/registration_endpoint"
    named = Endpoints(authorization=page, token=token, registration=register)
    assert opened_by(Scripted("https://10.0.0.2/x"), issuer=ISSUER, endpoints=named)


@pytest.mark.parametrize(
    ("addresses", "goes"),
    [
        (["127.0.0.1"], False),
        (["10.0.0.1", "fd00::1"], False),
        (["169.254.169.254"], False),
        (["93.184.216.34"], True),
        (["93.184.216.34", "10.0.0.1"], True),
        ([], True),
    ],
)
def test_a_name_is_judged_by_its_addresses(
    monkeypatch: pytest.MonkeyPatch, addresses: Iterable[str], goes: bool
) -> None:
    """As for a request, one allowed address is enough; if none is known, none is connected to."""
    resolves(monkeypatch, *addresses)
    flow = HttpTransport(PUBLIC)
    if goes:
        flow.check("https://login.example.net/authorize")
        return
    with pytest.raises(InsecureUrl):
        flow.check("https://login.example.net/authorize")


def test_behind_a_proxy_a_name_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves(monkeypatch, "127.0.0.1")
    HttpTransport(PUBLIC, proxy="http://127.0.0.1:9").check("https://login.example.net/authorize")
    with pytest.raises(InsecureUrl):
        HttpTransport(PUBLIC, proxy="http://127.0.0.1:9").check("https://10.0.0.1/authorize")


def test_a_local_server_may_send_its_visitor_to_a_local_page() -> None:
    HttpTransport("http://127.0.0.1:8000/mcp").check("http://localhost:9000/authorize")
    HttpTransport("http://localhost:8000/mcp").check("http://127.0.0.1:9000/authorize")
    with pytest.raises(InsecureUrl):
        HttpTransport("http://127.0.0.1:8000/mcp").check("https://169.254.169.254/authorize")
