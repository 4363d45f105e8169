"""The demo servers refuse what real ones should, in each grant without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from mcp_client_auth.testing import DemoServer, IdentityProvider, RegisteredClient, Settings

BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
SSO = RegisteredClient("sso", "hush", "client_secret_post")
SERVICE = RegisteredClient("demo-enterprise", "hush", "client_secret_post")
OPEN = RegisteredClient("open")


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with IdentityProvider([SSO]) as provider:
        yield provider


@pytest.fixture
def server(provider: IdentityProvider) -> Iterator[DemoServer]:
    settings = Settings(
        client_credentials=True,
        trusted_issuers=(provider.trusted,),
        device_authorization=True,
        device_interval=1,
        clients=(SERVICE, OPEN),
    )
    with DemoServer(settings) as server:
        yield server


def post(url: str, **form: str) -> Any:
    answer = httpx.post(url, data=form, trust_env=False)
    return answer.json()


def asserted(server: DemoServer, assertion: str, **more: str) -> Any:
    form = {"grant_type": BEARER, "assertion": assertion, "resource": server.url, **more}
    return post(server.issuer + "/oauth2/token", **form)


def as_service(server: DemoServer, **form: str) -> Any:
    proof = {"client_id": "demo-enterprise", "client_secret": "hush", "resource": server.url}
    return post(server.issuer + "/oauth2/token", **{**proof, **form})


def test_what_is_switched_on_is_advertised_and_nothing_else(server: DemoServer) -> None:
    place = "/.well-known/oauth-authorization-server"
    grants = httpx.get(server.issuer + place, trust_env=False).json()["grant_types_supported"]
    assert grants[2:] == ["client_credentials", BEARER, DEVICE]
    with DemoServer() as plain:
        document = httpx.get(plain.issuer + place, trust_env=False).json()
        assert document["grant_types_supported"] == ["authorization_code", "refresh_token"]
        assert "device_authorization_endpoint" not in document
        for grant in grants[2:]:
            form = {"grant_type": grant, "client_id": "x"}
            assert post(plain.issuer + "/oauth2/token", **form)["error"] in (
                "invalid_client",
                "unsupported_grant_type",
            )


def test_a_service_speaks_for_itself_and_gets_no_refresh_token(server: DemoServer) -> None:
    given = as_service(server, grant_type="client_credentials")
    assert given["access_token"]
    assert "refresh_token" not in given


def test_a_public_client_does_not(server: DemoServer) -> None:
    form = {"grant_type": "client_credentials", "client_id": "open", "resource": server.url}
    assert post(server.issuer + "/oauth2/token", **form)["error"] == "unauthorized_client"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"resource": "https://else.example"}, "invalid_target"),
        ({"scope": "unknown"}, "invalid_scope"),
        ({"client_secret": "wrong"}, "invalid_client"),
    ],
)
def test_a_service_is_held_to_what_it_may(
    server: DemoServer, changes: dict[str, str], said: str
) -> None:
    assert as_service(server, **{"grant_type": "client_credentials", **changes})["error"] == said


def test_a_workload_needs_no_client(server: DemoServer, provider: IdentityProvider) -> None:
    assert asserted(server, provider.workload_token(server.issuer))["access_token"]


def test_assertions_are_checked(server: DemoServer, provider: IdentityProvider) -> None:
    good = provider.workload_token(server.issuer)
    head, _, signature = good.split(".")
    other = provider.workload_token(server.issuer, subject="root").split(".")[1]
    with IdentityProvider() as stranger:
        bad = [
            stranger.workload_token(server.issuer),
            provider.workload_token("https://else.example"),
            provider.workload_token(server.issuer + "/"),
            provider.workload_token(server.issuer, seconds=-1),
            provider.workload_token(server.issuer, subject=""),
            f"{head}.{other}.{signature}",
            "eyJhbGciOiJub25lIn0." + good.split(".")[1] + ".",
            "nothing",
            "a.b.c",
        ]
        for assertion in bad:
            assert asserted(server, assertion).get("error") == "invalid_grant", assertion


def exchanged(server: DemoServer, provider: IdentityProvider, **changes: str) -> Any:
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "subject_token": provider.id_token("sso"),
        "audience": server.issuer,
        "resource": server.url,
        "client_id": "sso",
        "client_secret": "hush",
    }
    return post(provider.token_endpoint, **{**form, **changes})


def test_an_exchange_gives_a_grant_for_one_client_once(
    server: DemoServer, provider: IdentityProvider
) -> None:
    given = exchanged(server, provider)
    assert given["token_type"] == "N_A"
    jag = given["access_token"]
    assert asserted(server, jag)["error"] == "invalid_grant"  # nobody, or another client
    assert asserted(server, jag, client_id="open")["error"] == "invalid_grant"
    assert as_service(server, grant_type=BEARER, assertion=jag)["access_token"]
    again = as_service(server, grant_type=BEARER, assertion=jag)
    assert again["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"requested_token_type": "x"}, "invalid_request"),
        ({"audience": ""}, "invalid_request"),
        ({"resource": ""}, "invalid_request"),
        ({"subject_token": "x"}, "invalid_grant"),
        ({"client_secret": "wrong"}, "invalid_client"),
    ],
)
def test_an_exchange_is_strict(
    server: DemoServer, provider: IdentityProvider, changes: dict[str, str], said: str
) -> None:
    assert exchanged(server, provider, **changes)["error"] == said


def test_an_id_token_of_another_client_is_not_exchanged(
    server: DemoServer, provider: IdentityProvider
) -> None:
    foreign = provider.id_token("somebody-else")
    assert exchanged(server, provider, subject_token=foreign)["error"] == "invalid_grant"


def begun(server: DemoServer) -> Any:
    form = {"client_id": "open", "resource": server.url}
    return post(server.issuer + "/oauth2/device_authorization", **form)


def polled(server: DemoServer, code: str, client_id: str = "open") -> Any:
    form = {"grant_type": DEVICE, "device_code": code, "client_id": client_id}
    return post(server.issuer + "/oauth2/token", resource=server.url, **form)


def test_a_hasty_device_is_slowed_down_and_a_code_serves_once(server: DemoServer) -> None:
    code = begun(server)["device_code"]
    assert polled(server, code)["error"] == "slow_down"  # before its second had passed
    assert polled(server, "guessed")["error"] == "invalid_grant"
    assert server.decide_device("allow") == 1
    assert server.decide_device("allow") == 0


def test_a_device_page_shows_who_asks_and_takes_one_answer(server: DemoServer) -> None:
    given = begun(server)
    page = httpx.get(given["verification_uri_complete"], trust_env=False).text
    assert given["user_code"] in page
    assert given["device_code"] not in page
    typed = given["user_code"].lower()[:4] + "-" + given["user_code"].lower()[4:]
    form = {"user_code": typed, "decision": "allow"}
    first = httpx.post(given["verification_uri"], data=form, trust_env=False)
    second = httpx.post(given["verification_uri"], data=form, trust_env=False)
    assert (first.status_code, second.status_code) == (200, 400)
    entry = httpx.get(given["verification_uri"] + "?user_code=<b>", trust_env=False).text
    assert "user_code" in entry
    assert "<b>" not in entry
