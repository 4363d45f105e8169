"""`mcp-login bridge --listen` as a process: clients that speak HTTP but no OAuth, and its end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import httpx
import pytest

from mcp_client_auth.testing import DemoServer, Settings
from tests.slow.interop import processes
from tests.support.mcp_stage import Request, Stage, sessions
from tests.support.terminal import PATIENCE, Terminal, command

CALL = {"jsonrpc": "2.0", "id": 1, "method": "x"}


class Listening(NamedTuple):
    process: subprocess.Popen[str]
    url: str
    secret: str
    said: list[str]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}

    @property
    def with_secret(self) -> str:
        return self.url.replace("/mcp", f"/{self.secret}/mcp")


@contextmanager
def listening(terminal: Terminal, *words: str, lines: int = 4) -> Iterator[Listening]:
    process = subprocess.Popen(
        command("bridge", *words, "--listen", "127.0.0.1:0"),
        env=terminal.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []
    assert process.stderr
    with processes.at_most(PATIENCE, process):
        while len(said) < lines:
            said.append(process.stderr.readline())
        url = re.search(r"http://\S+/mcp", said[0])
        secret = re.search(r"Bearer (\S+)", said[1])
        assert url
        assert secret
        yield Listening(process, url[0], secret[1], said)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


@pytest.mark.parametrize("settings", [Settings(), Settings(sessions=True)], ids=["", "sessions"])
def test_the_official_client_signs_in_calls_and_steps_up(
    terminal: Terminal, settings: Settings
) -> None:
    mcp = pytest.importorskip("mcp")
    if not hasattr(mcp, "Client"):
        pytest.skip("the SDK of this environment is 1.x")

    async def told(url: str) -> str:
        async with mcp.Client(url) as client:
            listed = await client.list_tools()
            assert {tool.name for tool in listed.tools} >= {"whoami", "add_note"}
            async with anyio.create_task_group() as calls:
                for _ in range(20):
                    calls.start_soon(client.call_tool, "slow", {"seconds": 0.01})
            # an event of more than 1 MiB is the client's own limit
            called = await client.call_tool("add_note", {"text": "x" * 500_000})
            return str(called.content[0].text)

    with DemoServer(settings) as server, listening(terminal, server.url) as here:
        assert len(anyio.run(told, here.with_secret)) > 500_000


def test_clients_of_fastmcp_share_it_each_with_a_session_of_its_own(terminal: Terminal) -> None:
    fastmcp = pytest.importorskip("fastmcp")

    async def told(url: str, secret: str) -> list[str]:
        from fastmcp.client.transports import StreamableHttpTransport

        def client() -> object:
            return fastmcp.Client(
                StreamableHttpTransport(url, headers={"Authorization": f"Bearer {secret}"})
            )

        names = []
        async with client() as one, client() as two:  # type: ignore[attr-defined]
            for each in (one, two, one):
                names.append((await each.call_tool("whoami", {})).content[0].text)
        return names

    with (
        DemoServer(Settings(sessions=True)) as server,
        listening(terminal, server.url, "--ignore-tool", "add_*") as here,
    ):
        terminal.log_in(server.url)
        names = anyio.run(told, here.url, here.secret)
    assert len(set(names)) == 1


def test_attacks_end_at_the_gate_and_the_secret_is_in_no_log(terminal: Terminal) -> None:
    """With a web page's request, another name of ours, no secret, a wrong one, another path."""
    trace = terminal.home / "trace"
    with (
        Stage(lambda request: request.result(ok=1)) as stage,
        listening(terminal, stage.url, "--verbose", "--trace", str(trace)) as here,
        httpx.Client(trust_env=False, timeout=PATIENCE) as client,
    ):
        wrong = here.url.replace("/mcp", "/made-up-by-an-attacker/mcp")
        port = httpx.URL(here.url).port
        attempts = [
            (here.with_secret, {"Origin": "https://page.example"}, 403),
            (here.with_secret, {"Host": f"rebound.example:{port}"}, 421),
            (here.url, {}, 401),
            (here.url, {"Authorization": "Bearer made-up-by-an-attacker"}, 401),
            (wrong, {}, 404),
            (here.url.removesuffix("mcp"), here.headers, 404),
        ]
        for url, headers, status in attempts:
            assert client.post(url, json=CALL, headers=headers).status_code == status, url
        assert (
            client.options(here.url, headers={"Origin": "https://page.example"}).status_code == 403
        )
        assert stage.requests == []
        answer = client.post(here.with_secret, json=CALL)
        assert answer.json()["result"] == {"ok": 1}
        assert "set-cookie" not in answer.headers
        here.process.send_signal(signal.SIGTERM)
        out, err = here.process.communicate(timeout=PATIENCE)
    assert here.process.returncode == 143
    assert out == ""
    for text in (err, trace.read_text()):
        assert here.secret not in text
        assert "made-up" not in text
    sent = {name.lower() for name in stage.requests[0].headers}
    assert "authorization" not in sent
    arguments = Path(f"/proc/{os.getpid()}/cmdline")
    assert not arguments.exists() or here.secret.encode() not in arguments.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_its_end_ends_what_is_under_way_and_stdin_is_no_ones(
    terminal: Terminal, number: signal.Signals
) -> None:
    begun, gone = threading.Event(), threading.Event()

    def behaviour(request: Request) -> None:
        request.stream(b": open\n\n")
        begun.set()
        request.connection.settimeout(PATIENCE)
        if request.connection.recv(1) == b"":
            gone.set()

    def ask(here: Listening) -> None:
        with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
            try:
                client.post(here.with_secret, json=CALL)
            except httpx.HTTPError:
                return
            raise AssertionError

    with Stage(behaviour) as stage, listening(terminal, stage.url) as here:
        assert here.process.stdin
        here.process.stdin.close()
        asking = threading.Thread(target=ask, args=(here,))
        asking.start()
        assert begun.wait(PATIENCE)
        assert here.process.poll() is None
        here.process.send_signal(number)
        code = here.process.wait(PATIENCE)
        asking.join(PATIENCE)
        assert gone.wait(PATIENCE)
    assert code == 128 + number


def test_with_no_one_to_ask_a_call_says_so_and_after_a_login_elsewhere_it_works(
    terminal: Terminal,
) -> None:
    begin = {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}},
    }
    with (
        DemoServer(Settings(sessions=True)) as server,
        listening(terminal, server.url, "--no-browser") as here,
        httpx.Client(trust_env=False, timeout=PATIENCE, headers=here.headers) as client,
    ):
        accepted = {"Accept": "application/json, text/event-stream"}
        answer = client.post(here.url, json=begin, headers=accepted)
        assert answer.json()["error"]["code"] == 401
        assert f"mcp-login {server.url}" in answer.json()["error"]["message"]
        terminal.log_in(server.url)
        answer = client.post(here.url, json=begin, headers=accepted)
        assert "serverInfo" in answer.text


def test_a_client_is_told_where_to_sign_in_while_its_request_waits(terminal: Terminal) -> None:
    told: dict[str, Any] = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "host", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/logLevel": "info",
        "progressToken": "t",
    }
    spoken = {
        "Accept": "application/json, text/event-stream",
        "Mcp-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/list",
    }
    asked = {**CALL, "method": "tools/list", "params": {"_meta": told}}
    settings, seen = Settings(device_authorization=True, device_interval=1), set[str]()
    with (
        DemoServer(settings) as server,
        listening(terminal, server.url, "--device") as here,
        httpx.Client(trust_env=False, timeout=PATIENCE, headers=here.headers) as client,
        client.stream("POST", here.url, json=asked, headers=spoken) as answer,
    ):
        assert answer.headers["Content-Type"] == "text/event-stream"
        for line in answer.iter_lines():
            if not line.startswith("data: "):
                continue
            message = json.loads(line.removeprefix("data: "))
            if "method" not in message:
                break
            text = message["params"].get("message") or message["params"]["data"]
            if "with the code" in text:
                seen.add(message["method"])
            if len(seen) == 2:
                server.decide_device("allow")
        assert message["result"]["tools"]
    assert seen == {"notifications/progress", "notifications/message"}


def test_a_secret_of_a_file_is_the_same_at_each_start_and_is_not_said(terminal: Terminal) -> None:
    file = terminal.home / "secret"
    told = set()
    for _ in range(2):
        with (
            Stage(lambda request: request.result(ok=1)) as stage,
            listening(terminal, stage.url, "--secret-file", str(file), lines=2) as here,
            httpx.Client(trust_env=False, timeout=PATIENCE) as client,
        ):
            secret = file.read_text().strip()
            told.add(secret)
            assert secret not in "".join(here.said)
            headers = {"Authorization": f"Bearer {secret}"}
            assert client.post(here.url, json=CALL, headers=headers).json()["result"] == {"ok": 1}
    assert len(told) == 1


def test_a_session_passes_through_and_its_end(terminal: Terminal) -> None:
    with (
        Stage(sessions(lambda request: request.result(ok=1))) as stage,
        listening(terminal, stage.url) as here,
        httpx.Client(trust_env=False, timeout=PATIENCE, headers=here.headers) as client,
    ):
        session = client.post(here.url, json={**CALL, "method": "initialize"}).headers[
            "Mcp-Session-Id"
        ]
        named = {"Mcp-Session-Id": session}
        assert client.post(here.url, json=CALL, headers=named).json()["result"] == {"ok": 1}
        assert client.delete(here.url, headers=named).status_code == 200
        assert client.post(here.url, json=CALL, headers=named).status_code == 404
