"""`mcp-login bridge` as a process: with the official SDK's client, and at each of its ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_client_auth.testing import DemoServer, RegisteredClient, Settings
from mcp_client_auth.testing.serving import bound_socket
from tests.slow.interop import processes
from tests.support.mcp_stage import Request, Stage, sessions
from tests.support.ports import free_port
from tests.support.terminal import PATIENCE, Terminal, command

INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "host", "version": "1"},
    },
}


class Host:
    """A program that has started a bridge."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def say(self, message: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout
        message = json.loads(self.process.stdout.readline())
        assert isinstance(message, dict)
        return message


@contextmanager
def bridge(
    terminal: Terminal, *words: str, patience: float = PATIENCE, **environment: str
) -> Iterator[Host]:
    process = subprocess.Popen(
        command("bridge", *words),
        env={**terminal.environment, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with processes.at_most(patience, process):
        yield Host(process)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


@pytest.mark.parametrize("settings", [Settings(), Settings(sessions=True)], ids=["", "sessions"])
def test_the_official_client_signs_in_calls_and_steps_up(
    terminal: Terminal, settings: Settings
) -> None:
    mcp = pytest.importorskip("mcp")
    stdio = pytest.importorskip("mcp.client.stdio")

    async def told(url: str) -> tuple[set[str], str]:
        program, *words = command("bridge", url)
        server = stdio.StdioServerParameters(command=program, args=words, env=terminal.environment)
        async with mcp.Client(server) as client:
            listed = await client.list_tools()
            async with anyio.create_task_group() as calls:
                for _ in range(20):
                    calls.start_soon(client.call_tool, "slow", {"seconds": 0.01})
            called = await client.call_tool("add_note", {"text": "x" * 1_000_000})
            return {tool.name for tool in listed.tools}, called.content[0].text

    if not hasattr(mcp, "Client"):
        pytest.skip("the SDK of this environment is 1.x")
    with DemoServer(settings) as server:
        names, text = anyio.run(told, server.url)
    assert names == {"whoami", "list_notes", "add_note", "slow"}
    assert len(text) > 1_000_000


def test_an_older_server_gets_the_login_with_its_stream_and_with_each_message(
    terminal: Terminal,
) -> None:
    """HTTP+SSE of the official SDK, whose tokens end soon."""
    script = [sys.executable, str(processes.HERE / "sdk_server.py"), str(free_port())]
    with (
        processes.server([*script, "--sse", "--ttl", "2"], {**os.environ}) as url,
        bridge(terminal, url) as host,
    ):
        host.say(INITIALIZE)
        assert host.hear()["result"]["serverInfo"]
        host.say({"method": "notifications/initialized"})
        ended = threading.Event()
        for number in range(1, 4):
            call = {"name": "whoami", "arguments": {}}
            host.say({"id": number, "method": "tools/call", "params": call})
            assert host.hear()["result"]["content"][0]["text"] == "ada"
            ended.wait(1)
        kept = terminal.run("token", url).out
        called = terminal.run("call", url, "whoami")
    assert kept
    assert (called.code, called.out) == (0, "ada\n"), called.err


def test_with_no_one_to_ask_a_call_says_so_and_after_a_login_elsewhere_it_works(
    terminal: Terminal,
) -> None:
    with (
        DemoServer(Settings(sessions=True)) as server,
        bridge(terminal, server.url, "--no-browser") as host,
    ):
        host.say(INITIALIZE)
        error = host.hear()["error"]
        assert error["code"] == 401
        assert f"mcp-login {server.url}" in error["message"]
        terminal.log_in(server.url)
        host.say(INITIALIZE)
        assert host.hear()["result"]["serverInfo"]


ASKED = {**INITIALIZE, "params": {**INITIALIZE["params"], "_meta": {"progressToken": "t"}}}


def test_with_a_device_code_the_host_is_told_where_to_sign_in(terminal: Terminal) -> None:
    settings = Settings(sessions=True, device_authorization=True, device_interval=1)
    with DemoServer(settings) as server, bridge(terminal, server.url, "--device") as host:
        host.say(ASKED)
        while "with the code" not in (shown := host.hear()["params"])["message"]:
            assert shown["progressToken"] == "t"
        server.decide_device("allow")
        while "result" not in (answer := host.hear()):
            assert answer["method"] == "notifications/progress"
        assert answer["result"]["serverInfo"]


def test_the_words_of_mcp_remote_log_in_as_they_did_there(terminal: Terminal) -> None:
    secret = "made-up-for-a-test-and-long-enough"
    with closing(bound_socket()) as taken:
        port = taken.getsockname()[1]
    callback = f"http://localhost:{port}/oauth/callback"
    client = RegisteredClient("ours", secret, "client_secret_post", (callback,))
    told = '{"client_id": "ours", "client_secret": "${CLIENT_SECRET}"}'
    words = ["--static-oauth-client-info", told, "--transport", "http-first", "--debug"]
    with (
        DemoServer(Settings(sessions=True, registration=False, clients=(client,))) as server,
        bridge(terminal, server.url, str(port), *words, CLIENT_SECRET=secret) as host,
    ):
        host.say(INITIALIZE)
        assert host.hear()["result"]["serverInfo"]
        assert server.token_requests("authorization_code") == 1
        host.process.send_signal(signal.SIGTERM)
        _, err = host.process.communicate()
    assert secret.encode() not in err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Secret Service")
def test_a_login_in_the_keyring_is_found_by_a_host_that_hands_on_little(
    terminal: Terminal, secret_service: dict[str, str]
) -> None:
    """As those on the official SDKs do, which know nothing of the session's bus."""
    del terminal.environment["MCP_CLIENT_AUTH_STORAGE"]
    bus = secret_service["DBUS_SESSION_BUS_ADDRESS"]
    (terminal.home / "bus").symlink_to(bus.removeprefix("unix:path=").partition(",")[0])
    with DemoServer(Settings(sessions=True)) as server:
        kept = terminal.run("login", server.url, **secret_service).err
        assert "the OS keyring (Secret Service)" in kept
        with bridge(terminal, server.url, "--no-browser") as host:
            host.say(INITIALIZE)
            assert host.hear()["result"]["serverInfo"]


def test_a_stream_that_the_server_has_not_is_asked_for_once_after_a_login(
    terminal: Terminal,
) -> None:
    statuses = iter([401])

    def behaviour(request: Request) -> None:
        if request.command == "GET":
            request.reply(next(statuses, 405))
        else:
            request.result(ok=1)

    with Stage(sessions(behaviour)) as stage, bridge(terminal, stage.url, "--no-browser") as host:
        host.say(INITIALIZE)
        assert host.hear()["id"] == 0
        host.say({"method": "notifications/initialized"})
        for number in range(1, 30):
            host.say({"id": number, "method": "x"})
            assert host.hear()["result"] == {"ok": 1}
        host.process.communicate()
    assert stage.methods.count("GET") <= 2


def test_bridges_that_start_together_share_one_login(terminal: Terminal) -> None:
    with DemoServer(Settings(sessions=True)) as server, ExitStack() as stack:
        hosts = [stack.enter_context(bridge(terminal, server.url)) for _ in range(3)]
        for host in hosts:
            host.say(INITIALIZE)
        for host in hosts:
            while "result" not in (answer := host.hear()):
                assert "method" in answer, answer
        assert server.token_requests("authorization_code") == 1


@pytest.mark.parametrize("end", ["eof", "sigterm", "deaf"])
def test_each_end_ends_the_wait_for_a_person_too(terminal: Terminal, end: str) -> None:
    terminal.decide("ignore")
    with DemoServer(Settings(sessions=True)) as server, bridge(terminal, server.url) as host:
        process = host.process
        assert process.stdin
        assert process.stdout
        assert process.stderr
        host.say(INITIALIZE)
        while b"Sign in here" not in process.stderr.readline():
            pass
        if end == "eof":
            process.stdin.close()
        elif end == "sigterm":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdout.close()
            host.say({"id": 7})  # no one reads the answer
        code = process.wait()
        if end != "deaf":
            assert [json.loads(line) for line in process.stdout] == []
    assert code == (143 if end == "sigterm" else 0)


@pytest.mark.parametrize("end", ["eof", "sigterm", "deaf"])
def test_each_end_is_a_clean_one_and_ends_the_session(terminal: Terminal, end: str) -> None:
    def behaviour(request: Request) -> None:
        if request.command == "GET":
            request.stream(b": open\n\n")
            stage.over.wait(PATIENCE)
        else:
            request.result(ok=1)

    with Stage(sessions(behaviour)) as stage, bridge(terminal, stage.url) as host:
        host.say(INITIALIZE)
        assert host.hear()["id"] == 0
        host.say({"method": "notifications/initialized"})
        host.say({"id": 1, "method": "x"})
        assert host.hear() == {"jsonrpc": "2.0", "id": 1, "result": {"ok": 1}}
        process = host.process
        assert process.stdin
        assert process.stdout
        if end == "eof":
            host.say({"id": 2, "method": "x"})
            process.stdin.close()
            assert host.hear()["id"] == 2  # what was asked is answered
        elif end == "sigterm":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdout.close()
            host.say({"id": 2, "method": "x"})
        code = process.wait()
    assert code == (143 if end == "sigterm" else 0)
    assert stage.methods[-1] == "DELETE"


@pytest.mark.parametrize("end", ["eof", "sigterm"])
def test_each_end_ends_a_call_that_is_under_way(terminal: Terminal, end: str) -> None:
    begun, gone = threading.Event(), threading.Event()

    def behaviour(request: Request) -> None:
        begun.set()
        request.connection.settimeout(PATIENCE)
        if request.connection.recv(1) == b"":
            gone.set()

    with Stage(behaviour) as stage, bridge(terminal, stage.url) as host:
        process = host.process
        assert process.stdin
        assert process.stdout
        host.say({"id": 1, "method": "x"})
        assert begun.wait(PATIENCE)
        if end == "eof":
            process.stdin.close()
        else:
            process.send_signal(signal.SIGTERM)
        code = process.wait()
        assert process.stdout.read() == b""
        assert process.stderr
        assert (b"requests without an answer: 1" in process.stderr.read()) == (end == "eof")
        assert gone.wait(PATIENCE)
    assert code == (143 if end == "sigterm" else 0)


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe tells it on POSIX")
def test_eof_is_seen_behind_notifications_that_no_one_takes(terminal: Terminal) -> None:
    """More than the bridge keeps and a pipe holds, at a server that never answers."""

    def behaviour(request: Request) -> None:
        begun.set()
        stage.over.wait(PATIENCE)

    begun, ended = threading.Event(), threading.Event()
    notice = {"jsonrpc": "2.0", "method": "notifications/x", "params": {"text": "x" * 100}}
    with Stage(behaviour) as stage, bridge(terminal, stage.url) as host:
        host.say(notice)
        assert begun.wait(PATIENCE)
        stdin = host.process.stdin
        assert stdin
        os.set_blocking(stdin.fileno(), False)
        lines, full = json.dumps(notice).encode() + b"\n", 0
        while full < 20:  # times in a row
            try:
                os.write(stdin.fileno(), lines)
                full = 0
            except BlockingIOError:
                full += 1
                ended.wait(0.1)
        stdin.close()
        assert host.process.wait() == 0


def test_a_host_that_is_killed_takes_its_bridge_along(terminal: Terminal) -> None:
    program = (
        "import os, subprocess, sys, time\n"
        "bridge = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "print(bridge.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with Stage(lambda request: request.result(ok=1)) as stage:
        host = subprocess.Popen(
            [sys.executable, "-c", program, *command("bridge", stage.url)],
            env=terminal.environment,
            stdout=subprocess.PIPE,
        )
        assert host.stdout
        bridged = int(host.stdout.readline())
        host.kill()
        host.communicate()
        ended = threading.Event()
        for _ in range(int(PATIENCE / 0.05)):
            if not _alive(bridged):
                break
            ended.wait(0.05)
        assert not _alive(bridged)


def test_what_anything_prints_goes_to_stderr(terminal: Terminal) -> None:
    """A plug-in that prints while the bridge runs, from Python and from C."""
    site = terminal.home / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os, sys, httpx\n"
        "send = httpx.Client.send\n"
        "def chatty(*a, **k):\n"
        "    print('a stray word', flush=True)\n"
        "    os.system('echo a word of a child')\n"
        "    return send(*a, **k)\n"
        "httpx.Client.send = chatty\n"
    )
    path = os.pathsep.join([str(site), terminal.environment["PYTHONPATH"]])
    with (
        Stage(lambda request: request.result(ok=1)) as stage,
        bridge(terminal, stage.url, PYTHONPATH=path) as host,
    ):
        host.say({"id": 1, "method": "x"})
        assert host.hear() == {"jsonrpc": "2.0", "id": 1, "result": {"ok": 1}}
        out, err = host.process.communicate()
    assert out == b""
    assert b"a stray word" in err
    assert b"a word of a child" in err


def _alive(pid: int) -> bool:
    """Not a zombie that no one has waited for, which it is where nothing adopts it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"
