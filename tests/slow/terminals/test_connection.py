"""`--proxy` and `--endpoint`, verb by verb. `--ca` is tried in slow/interop, with real TLS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mcp_client_auth.testing import DemoServer, RegisteredClient, Settings
from tests.support.loopback_server import LoopbackServer, says
from tests.support.terminal import Terminal

ELSEWHERE = "http://mcp.example.test/mcp"
CALLBACK = ("http://127.0.0.1/callback",)
PUBLIC = RegisteredClient("ours", None, "none", CALLBACK)


@pytest.fixture
def proxy() -> Iterator[LoopbackServer]:
    with LoopbackServer(says(b"no", "502 Bad Gateway")) as server:
        yield server


@pytest.mark.parametrize("by_environment", [False, True], ids=["--proxy", "environment"])
@pytest.mark.parametrize("verb", ["login", "request", "doctor"])
def test_a_proxy_is_asked_for_what_is_elsewhere(
    terminal: Terminal, proxy: LoopbackServer, verb: str, by_environment: bool
) -> None:
    said = () if by_environment else ("--proxy", proxy.url)
    environment = {"MCP_CLIENT_AUTH_PROXY": proxy.url} if by_environment else {}
    answer = terminal.run(verb, ELSEWHERE, "--allow-insecure-http", *said, **environment)
    assert answer.code in (1, 6), answer.err
    assert proxy.requests
    assert f" {ELSEWHERE} HTTP/1.1" in proxy.requests[0].splitlines()[0]


def test_this_machine_is_never_asked_through_a_proxy(
    terminal: Terminal, proxy: LoopbackServer, server: DemoServer
) -> None:
    terminal.log_in(server.url, "--proxy", proxy.url)
    call = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
    assert terminal.run("request", server.url, "-d", call, "--proxy", proxy.url).code == 0
    assert proxy.requests == []


def test_a_proxys_password_is_not_for_the_command_line(terminal: Terminal) -> None:
    proxy = "http://ada:planted@127.0.0.1:9"
    answer = terminal.run(ELSEWHERE, "--allow-insecure-http", "--proxy", proxy)
    assert answer.code == 2
    assert "MCP_CLIENT_AUTH_PROXY" in answer.err
    assert "planted" not in answer.err
    given = terminal.run(ELSEWHERE, "--allow-insecure-http", MCP_CLIENT_AUTH_PROXY=proxy)
    assert given.code == 6, given.err
    assert "planted" not in given.err


@pytest.mark.parametrize("server", [Settings(registration=False, clients=(PUBLIC,))], indirect=True)
def test_endpoints_that_are_told_need_no_metadata(terminal: Terminal, server: DemoServer) -> None:
    told = [
        word
        for name, path in (("authorization", "authorize"), ("token", "token"))
        for word in ("--endpoint", f"{name}={server.issuer}/oauth2/{path}")
    ]
    lacking = terminal.run(server.url, "--client-id", "ours", *told)
    assert lacking.code == 2
    assert "--issuer" in lacking.err
    server.clear_requests()
    terminal.log_in(server.url, "--client-id", "ours", "--issuer", server.issuer, *told)
    assert server.count("/.well-known/oauth-authorization-server") == 0
    wrong = terminal.run(server.url, "--endpoint", "tokens=https://x.example")
    assert wrong.code == 2
    assert "pushed_authorization" in wrong.err
