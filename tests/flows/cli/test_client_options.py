"""The options that say which client this is, how it authenticates and what it asks for."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mcp_client_auth import BrowserPrompt, MCPAuth
from mcp_client_auth.testing import DemoServer, RegisteredClient, ScriptedBrowser, Settings
from tests.support.hostile import World
from tests.support.inside import Inside
from tests.support.key_samples import jwk, pem, planted, public_pem
from tests.support.terminal import Terminal

CALLBACK = ("http://127.0.0.1/callback",)
KEYED = RegisteredClient("ours", None, "private_key_jwt", CALLBACK, public_key=public_pem("P-256"))
SIGNED = RegisteredClient("ours", "s3cret planted, and long enough", "client_secret_jwt", CALLBACK)
TOKEN = "initial-planted-7f3a"


def served(client: RegisteredClient) -> Settings:
    return Settings(registration=False, clients=(client,), access_token_seconds=4)


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
    first, end = terminal.run("token", server.url), time.monotonic() + 60
    while not server.token_requests("refresh_token") and time.monotonic() < end:
        first = terminal.run("token", server.url)  # the token lives for four seconds
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
    answer, end = terminal.run("token", server.url), time.monotonic() + 60
    while not answer.code and time.monotonic() < end:
        answer = terminal.run("token", server.url)
    assert answer.code == 2
    assert key_file in answer.err
    assert "put it back" in answer.err
    Path(key_file).write_text(jwk("P-256"))
    assert terminal.run("token", server.url).code == 0, "nothing was lost"


@pytest.mark.parametrize("server", [served(SIGNED)], indirect=True)
@pytest.mark.parametrize("written", ["{}", "\ufeff{}\r\n"], ids=["plain", "by Notepad"])
def test_a_secret_may_sign(terminal: Terminal, server: DemoServer, written: str) -> None:
    file = terminal.home / "secret"
    file.write_text(written.format(SIGNED.client_secret), "utf-8")
    method = ("--client-auth-method", "client_secret_jwt")
    client = ("--client-id", " ours\n", "--client-secret-file", str(file))
    answer = terminal.run(server.url, *client, *method, "--par")
    assert answer.code == 0, answer.err
    assert server.count("/oauth2/par") == 1


@pytest.mark.parametrize("server", [served(SIGNED)], indirect=True)
def test_a_client_that_was_named_once_is_not_named_again(
    terminal: Terminal, server: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next login and a program's step-up use it too, until the person logs out."""
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

    assert terminal.run("logout", server.url).code == 0
    anew = terminal.run(server.url)
    assert anew.code == 4, anew.err
    assert "--client-id" in anew.err


@pytest.mark.parametrize("server", [Settings(refuse_offline_access="authorization")], indirect=True)
def test_a_second_page_is_announced(terminal: Terminal, server: DemoServer) -> None:
    answer = terminal.log_in(server.url)
    assert "trying again: offline_access is refused: ask without it, once" in answer.err
    assert "scopes   notes:read\n" in answer.err


@pytest.mark.parametrize("server", [Settings(initial_access_token=TOKEN)], indirect=True)
def test_an_initial_access_token_is_read_from_a_file(
    terminal: Terminal, server: DemoServer
) -> None:
    refused = terminal.run(server.url)
    assert refused.code == 4
    assert "--initial-access-token-file" in refused.err
    unread = terminal.home / "utf-16"
    unread.write_text(TOKEN, "utf-16")  # as `>` in Windows PowerShell writes it
    answer = terminal.run(server.url, "--initial-access-token-file", str(unread))
    assert answer.code == 2
    assert "Save it as UTF-8" in answer.err
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


def says(server: DemoServer, **changes: object) -> None:
    """Change the authorization server's metadata from now on."""
    server.change_answers("/.well-known/oauth-authorization-server", **changes)


def test_who_insists_on_iss_is_told_where_it_is_not_promised(
    terminal: Terminal, server: DemoServer
) -> None:
    assert terminal.run(server.url, "--require-iss").code == 0
    seen = server.count("/oauth2/authorize")
    says(server, authorization_response_iss_parameter_supported=False)
    again = terminal.run(server.url, "--require-iss", "--force")
    assert again.code == 5
    assert "--require-iss" in again.err
    assert server.count("/oauth2/authorize") == seen
    assert terminal.run(server.url, "--force").code == 0, "a forced login decides anew"


def test_a_document_that_could_be_mixed_up_is_used_on_loud_demand_only(
    terminal: Terminal, server: DemoServer
) -> None:
    says(
        server,
        authorization_endpoint="https://honest.example/authorize",
        authorization_response_iss_parameter_supported=False,
        client_id_metadata_document_supported=True,
        registration_endpoint=None,
    )
    arguments = ("--client-metadata-url", "https://app.example/c.json", "--timeout", "0.5")
    refused = terminal.run(server.url, *arguments)
    assert refused.code == 5
    assert "--allow-mix-up" in refused.err
    assert "https://honest.example/authorize?" not in refused.err, "nobody is sent there"
    allowed = terminal.run(server.url, *arguments, "--allow-mix-up")
    assert allowed.code == 9
    assert "https://honest.example/authorize?" in allowed.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--resource", "nonsense"], "absolute URI"),
        (["--param", "x"], "NAME=VALUE"),
        (["--param", "=x"], "NAME=VALUE"),
        (["--param", "state=x"], "Leave it out of --param"),
        (["--client-key-file", "/nowhere"], "needs --client-id"),
        (["--cert-key", "."], "needs --cert"),
        (["--client-id", "a", "--client-auth-method", "private_key_jwt"], "--client-key-file"),
        (["--client-id", "a", "--client-auth-method", "client_secret_jwt"], "needs a secret"),
        (["--client-id", "a", "--client-auth-method", "tls_client_auth"], "--cert"),
        (["--client-id", "a", "--client-auth-method", "telepathy"], "telepathy"),
        (["--client-id", "a", "--client-key-file", "/nowhere"], "/nowhere"),
        (["--cert", "/nowhere/c.pem"], "does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_work_is_said_before_a_browser_opens(
    terminal: Terminal, server: DemoServer, arguments: list[str], said: str
) -> None:
    answer = terminal.run(server.url, *arguments)
    assert answer.code == 2, answer.err
    assert said in answer.err
    assert server.count("/oauth2/authorize") == 0


def test_the_methods_are_those_of_the_protocol() -> None:
    from mcp_client_auth.cli.arguments import METHODS
    from mcp_client_auth.protocol.registration import SUPPORTED_METHODS

    assert set(METHODS) == set(SUPPORTED_METHODS)


@pytest.mark.parametrize(
    ("verb", "variable", "value"),
    [
        ("login", "CLIENT_AUTH_METHOD", "none"),
        ("login", "CLIENT_KEY_FILE", "key.pem"),
        ("login", "CERT_KEY", "key.pem"),
        ("login", "CA", "missing"),
        ("token", "GRANT", "client_credentials"),
        ("token", "GRANT", "workload_identity"),
    ],
)
def test_a_variable_is_blamed_by_its_own_name(
    inside: Inside, shared: DemoServer, verb: str, variable: str, value: str
) -> None:
    inside.patch.setenv(f"MCP_CLIENT_AUTH_{variable}", value)
    ran = inside(verb, shared.url)
    assert (ran.code, shared.requests) == (2, [])
    assert ran.err.startswith(f"mcp-login: MCP_CLIENT_AUTH_{variable} ")


# What cannot work is reported at once


ONE_SERVER = ("login URL", "token URL", "exec URL true", "request URL", "refresh URL")
WITH_NETWORK = (*ONE_SERVER, "status", "logout --all", "doctor", "import")


@pytest.mark.parametrize("verb", WITH_NETWORK)
@pytest.mark.parametrize(
    ("flag", "value"),
    [("--ca", "/no/file"), ("--cert", "/no/file"), ("--cert-key", "/no/file"), ("--proxy", "no")],
)
def test_a_file_that_is_not_there_and_a_proxy_that_is_no_url_are_usage_errors_in_every_verb(
    inside: Inside, world: World, verb: str, flag: str, value: str
) -> None:
    name, *rest = verb.replace("URL", world.url).split()
    ran = inside(name, flag, value, *rest)
    assert (ran.code, ran.out) == (2, "")
    assert flag in ran.err
    assert world.visited == []


@pytest.mark.parametrize("value", ["http://me:planted@x:port", "http://me:planted/x@y", "planted"])
def test_a_proxy_of_the_environment_is_blamed_on_its_variable_and_not_shown(
    inside: Inside, world: World, value: str
) -> None:
    ran = inside("refresh", world.url, MCP_CLIENT_AUTH_PROXY=value)
    assert ran.code == 2
    assert "MCP_CLIENT_AUTH_PROXY" in ran.err
    assert "planted" not in ran.err


@pytest.mark.parametrize("proxy", ["http://x.example", "socks5://x:1", "HTTPS://[::1]:3128"])
def test_what_is_the_url_of_a_proxy_is_taken(inside: Inside, proxy: str) -> None:
    assert inside("status", "--proxy", proxy).code == 0


def test_endpoints_without_one_to_sign_in_at_are_a_usage_error(
    inside: Inside, world: World
) -> None:
    of_a_server = ("--issuer", world.issuer, "--endpoint", f"token={world.issuer}/token")
    ran = inside(world.url, *of_a_server)
    assert ran.code == 2
    assert "authorization=URL" in ran.err
    assert world.visited == []
    device = f"device_authorization={world.issuer}/device"
    assert inside(world.url, *of_a_server, "--endpoint", device).code != 2, "it may be that alone"
