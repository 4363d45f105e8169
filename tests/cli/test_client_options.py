"""The options that say which client it is, how it proves itself and what is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from key_samples import jwk, pem, planted, public_pem
from terminal import Terminal

from mcp_client_auth import BrowserPrompt, MCPAuth
from mcp_client_auth.testing import DemoServer, RegisteredClient, ScriptedBrowser, Settings

CALLBACK = ("http://127.0.0.1/callback",)
KEYED = RegisteredClient("ours", None, "private_key_jwt", CALLBACK, public_key=public_pem("P-256"))
SIGNED = RegisteredClient("ours", "s3cret planted, and long enough", "client_secret_jwt", CALLBACK)
TOKEN = "initial-planted-7f3a"


def served(client: RegisteredClient) -> Settings:
    return Settings(registration=False, clients=(client,), access_token_seconds=1)


@pytest.fixture
def key_file(terminal: Terminal) -> str:
    file = terminal.home / "key.pem"
    file.write_text(pem("P-256"))
    return str(file)


@pytest.mark.parametrize("server", [served(KEYED)], indirect=True)
def test_a_key_file_is_found_again_by_the_token_and_the_logout(
    terminal: Terminal, server: DemoServer, key_file: str
) -> None:
    login = terminal.run(server.url, "--client-id", "ours", "--client-key-file", key_file)
    assert login.code == 0, login.err
    first = terminal.run("token", server.url)
    for _ in range(20):  # it lives for a second, and each process takes some of that
        if server.token_requests("refresh_token"):
            break
        first = terminal.run("token", server.url)
    assert first.code == 0, first.err
    assert server.token_requests("refresh_token")
    out = terminal.run("logout", server.url)
    assert (out.code, "confirmed" in out.err) == (0, False)
    told = login.err + first.err + out.err
    assert not [line for line in planted("P-256") if line in told]


@pytest.mark.parametrize("server", [served(KEYED)], indirect=True)
def test_a_key_file_that_is_gone_is_said_with_what_to_do(
    terminal: Terminal, server: DemoServer, key_file: str
) -> None:
    assert not terminal.run(server.url, "--client-id", "ours", "--client-key-file", key_file).code
    Path(key_file).unlink()
    for _ in range(20):
        answer = terminal.run("token", server.url)
        if answer.code:
            break
    assert answer.code == 2
    assert key_file in answer.err
    assert "put it back" in answer.err
    Path(key_file).write_text(jwk("P-256"))
    assert terminal.run("token", server.url).code == 0, "nothing was lost"


@pytest.mark.parametrize("server", [served(SIGNED)], indirect=True)
def test_a_secret_may_sign(terminal: Terminal, server: DemoServer) -> None:
    file = terminal.home / "secret"
    file.write_text(str(SIGNED.client_secret))
    method = ("--client-auth-method", "client_secret_jwt")
    client = ("--client-id", "ours", "--client-secret-file", str(file))
    answer = terminal.run(server.url, *client, *method, "--par")
    assert answer.code == 0, answer.err
    assert server.count("/oauth2/par") == 1


@pytest.mark.parametrize("server", [served(SIGNED)], indirect=True)
def test_a_client_that_was_named_once_is_not_named_again(
    terminal: Terminal, server: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the next login, a step-up of a program, and until the person wants another one."""
    file = terminal.home / "secret"
    file.write_text(str(SIGNED.client_secret))
    method = ("--client-auth-method", "client_secret_jwt")
    client = ("--client-id", "ours", "--client-secret-file", str(file))
    assert terminal.run(server.url, *client, *method).code == 0
    assert terminal.run(server.url, "--force").code == 0

    monkeypatch.setenv("MCP_CLIENT_AUTH_HOME", str(terminal.store))
    prompt = BrowserPrompt(ScriptedBrowser())
    auth = MCPAuth(server.url, storage="file", prompt=prompt, scope="notes:read notes:write")
    held = auth.session.log_in()
    assert held.client.client_id == "ours"
    assert "notes:write" in (held.tokens.scope or ())

    anew = terminal.run(server.url, "--new-client")
    assert anew.code == 4, anew.err
    assert "--client-id" in anew.err


@pytest.mark.parametrize("server", [Settings(refuse_offline_access="authorization")], indirect=True)
def test_a_second_page_is_announced(terminal: Terminal, server: DemoServer) -> None:
    answer = terminal.log_in(server.url)
    assert "once more: offline_access is refused: ask without it, once" in answer.err
    assert "scopes   notes:read\n" in answer.err


@pytest.mark.parametrize("server", [Settings(initial_access_token=TOKEN)], indirect=True)
def test_an_initial_access_token_is_read_from_a_file(
    terminal: Terminal, server: DemoServer
) -> None:
    refused = terminal.run(server.url)
    assert refused.code == 4
    assert "--initial-access-token-file" in refused.err
    answer = terminal.run(server.url, "--initial-access-token-file", "-", stdin=TOKEN + "\n")
    assert answer.code == 0, answer.err
    assert TOKEN not in answer.err


def test_more_parameters_stand_in_the_address(terminal: Terminal, server: DemoServer) -> None:
    answer = terminal.run(
        server.url,
        *("--audience", "https://api.example.com", "--login-hint", "ada@example.com"),
        *("--param", "tenant=a=b", "--param", "empty="),
    )
    assert answer.code == 0, answer.err
    for asked in ("audience=https%3A%2F%2Fapi.example.com", "login_hint=ada%40example.com"):
        assert asked in answer.err
    assert "tenant=a%3Db" in answer.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--param", "x"], "NAME=VALUE"),
        (["--param", "=x"], "NAME=VALUE"),
        (["--param", "state=x"], "may not set state"),
        (["--client-key-file", "/nowhere"], "needs --client-id"),
        (["--cert-key", "/nowhere"], "needs --cert"),
        (["--client-id", "a", "--client-auth-method", "private_key_jwt"], "--client-key-file"),
        (["--client-id", "a", "--client-auth-method", "client_secret_jwt"], "needs a secret"),
        (["--client-id", "a", "--client-auth-method", "tls_client_auth"], "--cert"),
        (["--client-id", "a", "--client-auth-method", "telepathy"], "telepathy"),
        (["--client-id", "a", "--client-key-file", "/nowhere"], "/nowhere"),
        (["--par", "--cert", "/nowhere/c.pem"], ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_work_is_said_before_a_browser_opens(
    terminal: Terminal, server: DemoServer, arguments: list[str], said: str
) -> None:
    answer = terminal.run(server.url, *arguments)
    if said:
        assert answer.code == 2, answer.err
        assert said in answer.err
        assert server.count("/oauth2/authorize") == 0
    else:  # a certificate is not loaded for plain http
        assert answer.code == 0, answer.err


def test_the_methods_are_those_of_the_protocol() -> None:
    from mcp_client_auth.cli.options import METHODS
    from mcp_client_auth.protocol.registration import SUPPORTED_METHODS

    assert set(METHODS) == set(SUPPORTED_METHODS)
