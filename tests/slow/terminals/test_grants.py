"""The command without a browser: a code for another device, and a program's own token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mcp_client_auth.testing import (
    DemoServer,
    IdentityProvider,
    RegisteredClient,
    ScriptedBrowser,
    Settings,
)
from tests.support.terminal import Terminal
from tests.support.visiting import address, signed_in

SECRET = "the service's secret"
SERVICE = RegisteredClient("service", SECRET, "client_secret_basic")
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with IdentityProvider() as provider:
        yield provider


@pytest.fixture
def server(provider: IdentityProvider) -> Iterator[DemoServer]:
    settings = Settings(
        device_authorization=True,
        device_interval=1,
        client_credentials=True,
        trusted_issuers=(provider.trusted,),
        clients=(SERVICE,),
    )
    with DemoServer(settings) as server:
        yield server


@pytest.fixture
def secret_file(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    return str(path)


def works(server: DemoServer, token: str) -> bool:
    headers = {
        "Accept": "application/json, text/event-stream",
        "Authorization": f"Bearer {token.strip()}",
    }
    return httpx.post(server.url, json=LIST, headers=headers, trust_env=False).status_code == 200


def test_a_device_login_shows_link_and_code_and_is_found_afterwards(
    terminal: Terminal, server: DemoServer
) -> None:
    with terminal.start(server.url, "--device", CI="true") as login:
        told = login.wait_for(f"  {server.issuer}/oauth2/device\n")
        assert re.search(r"^Or on any device, code [B-Z]{8}:$", told, re.MULTILINE)
        assert server.decide_device("allow") == 1
        answer = login.end()
    assert answer.code == 0, answer.err
    assert f"Logged in to {server.url}" in answer.err
    assert answer.out == ""
    assert works(server, terminal.run("token", server.url).out)


def test_a_denied_device_login_is_refused(terminal: Terminal, server: DemoServer) -> None:
    with terminal.start(server.url, "--device") as login:
        login.wait_for("/oauth2/device")
        server.decide_device("deny")
        assert login.end().code == 4


def test_a_server_without_device_codes_is_said_to_be_one_and_the_browser_awaited(
    terminal: Terminal,
) -> None:
    with DemoServer() as server, terminal.start(server.url, "--device") as login:
        told = login.wait_for("There is no code for another device")
        assert server.count("/register") == 1
        assert "Signed in" in httpx.get(signed_in(address(told)), trust_env=False).text
        assert login.end().code == 0


@pytest.mark.parametrize("lacks", ["authorization_endpoint", "code_challenge_methods_supported"])
def test_a_server_with_device_codes_alone_gives_the_login_by_one(
    terminal: Terminal, server: DemoServer, lacks: str
) -> None:
    server.change_answers("/oauth-authorization-server", **{lacks: None})
    assert terminal.run(server.url).code in (5, 8)
    with terminal.start(server.url, "--device") as login:
        told = login.wait_for("Waiting for you")
        ScriptedBrowser().visit(re.findall(r"^  (http\S+user_code=\S+)$", told, re.MULTILINE)[0])
        assert login.end().code == 0
    assert works(server, terminal.run("token", server.url).out)


def test_a_program_gets_a_token_of_its_own(
    terminal: Terminal, server: DemoServer, secret_file: str
) -> None:
    client = ("--client-id", "service", "--client-auth-method", "client_secret_basic")
    grant = ("--grant", "client_credentials", *client)
    line = ("token", server.url, *grant, "--client-secret-file", secret_file)
    first, second = terminal.run(*line, CI="true"), terminal.run(*line, CI="true")
    assert first.code == 0, first.err
    assert works(server, first.out)
    assert second.out == first.out
    assert server.token_requests("client_credentials") == 1
    assert first.err == ""
    assert not any(SECRET.encode() in kept for kept in terminal.stored().values())
    assert terminal.run("token", server.url).code == 3, "a person found a program's token"


def test_a_workload_gets_one_for_its_jwt(
    terminal: Terminal, server: DemoServer, provider: IdentityProvider, tmp_path: Path
) -> None:
    file = tmp_path / "jwt"
    file.write_text(provider.workload_token(server.issuer))
    grant = ("--grant", "workload_identity", "--assertion-file", str(file))
    assert works(server, terminal.run("token", server.url, *grant).out)


@pytest.mark.parametrize(
    "options",
    [
        ["--client-id", "service"],
        ["--client-auth-method", "none"],
        ["--assertion-file", "x"],
        ["--issuer", "https://auth.example.com"],
        ["--grant", "client_credentials"],
        ["--grant", "workload_identity"],
        ["--grant", "client_credentials", "--client-id", "service", "--assertion-file", "x"],
        ["--grant", "workload_identity", "--assertion-file", "not-there"],
        ["--grant", "authorization_code"],
    ],
    ids=" ".join,
)
def test_options_that_do_not_go_together_are_usage_errors(
    terminal: Terminal, server: DemoServer, options: list[str]
) -> None:
    assert terminal.run("token", server.url, *options).code == 2
    assert server.count("/oauth2/token") == 0
