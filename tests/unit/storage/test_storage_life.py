"""One login from its first request to its logout, on each kind of storage; and its secrets."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from mcp_client_auth import BrowserPrompt, LoginRequired, MCPAuth, login
from mcp_client_auth.credential import Key, key_for
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.storage import Storage, choose_storage, storage_named
from mcp_client_auth.storage.keyring_thread import SHARED
from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings
from mcp_client_auth.transport import HttpTransport
from tests.support.python_path import ROOT
from tests.support.storage_process import NEWER
from tests.support.storage_samples import KINDS, bare, with_token

pytestmark = pytest.mark.slow


CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
HEADERS = {"Accept": "application/json, text/event-stream"}
SCRIPT = ROOT / "tests" / "support" / "storage_process.py"
SECRET = re.compile(r"access_token|refresh_token|client_secret|code|code_verifier|state|token")
EVERY = pytest.mark.parametrize("kind", KINDS, indirect=True)
LASTING = pytest.mark.parametrize("kind", KINDS[:-1], indirect=True)


class Overheard:
    """A transport that notes every secret which goes through it."""

    def __init__(self, url: str) -> None:
        self._transport = HttpTransport(url)
        self.secrets: set[str] = set()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        fields = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        response = self._transport(request)
        if response.header("content-type").startswith("application/json"):
            answer = json.loads(response.body or b"{}")
            fields |= {k: v for k, v in answer.items() if isinstance(v, str)}
        self.secrets |= {v for k, v in fields.items() if SECRET.fullmatch(k)}
        return response


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(Settings(registration_method="client_secret_post")) as server:
        yield server


def call(auth: MCPAuth, url: str) -> int:
    with httpx.Client(auth=auth, trust_env=False) as client:
        return client.post(url, json=CALL, headers=HEADERS).status_code


def token_in_another_process(url: str) -> str:
    """As `$(mcp-login token URL)` in a shell gives it."""
    command = [sys.executable, "-m", "mcp_client_auth", "token", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def named(kind: str) -> str | None:
    """What is to be named to get it: the sealed ones are chosen by what is at hand."""
    return {"file": "file", "memory": "memory"}.get(kind)


@EVERY
def test_login_restart_refresh_logout(
    kind: str, server: DemoServer, home: Path, tmp_path: Path
) -> None:
    prompt = BrowserPrompt(open_url=ScriptedBrowser())
    me = login(server.url, storage=named(kind), prompt=prompt)
    assert call(me.auth, server.url) == 200
    first = me.token()

    if kind != "memory":  # a new process finds it without being told where
        assert token_in_another_process(server.url) == first
    again = MCPAuth(server.url, storage=named(kind), prompt=None)
    assert call(again, server.url) == 200

    expire(server, choose_storage(named(kind), key_for(server.url)))
    server.clear_requests()
    assert call(MCPAuth(server.url, storage=named(kind), prompt=None), server.url) == 200
    assert [r.grant_type for r in server.requests if r.grant_type] == ["refresh_token"]
    if kind != "memory":
        second = token_in_another_process(server.url)
        assert second != first
        assert token_in_another_process(server.url) == second

    me.logout()
    assert server.count("/revoke") >= 1
    assert choose_storage(named(kind), key_for(server.url)).load(key_for(server.url)) is None
    left = {path.suffix for path in home.iterdir()} if home.exists() else set()
    assert left <= {".lock", ".deleted", ".secret", ".sealed"}  # the registration's, if any
    vault = tmp_path / "vault.json"
    if vault.exists():
        assert f"mcp-client-auth:{key_for(server.url).id}" not in json.loads(vault.read_text())


@EVERY
def test_secrets_are_found_only_where_they_belong(
    kind: str,
    server: DemoServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    ear, storage = Overheard(server.url), choose_storage(named(kind), key_for(server.url))
    prompt = BrowserPrompt(open_url=ScriptedBrowser())
    events: list[object] = []
    options: dict[str, Any] = {"storage": storage, "transport": ear, "on_event": events.append}
    me = login(server.url, prompt=prompt, **options)
    expire(server, storage)
    assert call(MCPAuth(server.url, prompt=None, **options), server.url) == 200
    expire(server, storage)
    server.fail_next("/token", 400, times=9, body=b'{"error": "unsupported_grant_type"}')
    refused = failed(lambda: call(MCPAuth(server.url, prompt=None, **options), server.url))
    held = storage.load(key_for(server.url))
    assert held is not None
    secrets = ear.secrets | {held.tokens.access_token.reveal()}
    assert len(secrets) == 7  # two access tokens, two refresh tokens, secret, code, verifier

    belong = {"file": {".secret"}}.get(kind, set())
    texts = {
        str(path): path.read_bytes().decode("utf-8", "replace")
        for path in tmp_path.rglob("*")
        if path.is_file() and path.suffix not in belong and path.name != "vault.json"
    }
    shown = [me, me.auth, me.auth.session, held, held.client, held.tokens, storage, *events]
    texts["reprs"] = "\n".join(f"{each!r} {each!s} {_vars(each)}" for each in shown)
    texts["logs"] = "\n".join(r.getMessage() for r in caplog.records if _ours(r))
    texts["traceback"] = refused
    texts["output"] = "".join(capfd.readouterr())
    for where, text in texts.items():
        assert not [secret for secret in secrets if secret in text], where
    if kind == "file":
        kept = "".join(path.read_text() for path in tmp_path.rglob("*.secret"))
        assert held.tokens.access_token.reveal() in kept


def expire(server: DemoServer, storage: Storage) -> None:
    """An hour goes by."""
    server.expire_access_tokens()
    held = storage.load(key_for(server.url))
    assert held is not None
    past = replace(held.tokens, issued_at=held.tokens.issued_at - 3600, expires_at=0.0)
    storage.save(held.renewed(past))


def failed(use: Callable[[], object]) -> str:
    """A traceback, as it is printed, of a refresh that the server refuses."""
    with pytest.raises(LoginRequired) as caught:
        use()
    return "".join(traceback.format_exception(caught.value))


def _vars(value: object) -> str:
    return repr(vars(value)) if hasattr(value, "__dict__") else ""


def _ours(record: logging.LogRecord) -> bool:
    """Not the wire log of httpcore, which shows answers' headers, nor the browser's or server's."""
    ours = record.name.startswith(("mcp_client_auth", "httpx", "keyring", "filelock"))
    return ours and record.threadName != "browser"


@LASTING
def test_a_process_killed_at_any_point_of_a_write_leaves_one_whole_record(
    kind: str, key: Key, home: Path
) -> None:
    storage = storage_named(kind.rpartition(" ")[2])
    old = with_token(bare(key), "older" * 500)
    new = {NEWER * 500}
    for point in range(1, 40):
        storage.save(old)
        command = [sys.executable, str(SCRIPT), "die-at", storage.name, key.server, str(point)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode in (0, 9), done.stderr
        SHARED.reset()
        found = storage.load(key)
        assert found is not None
        token = found.tokens.access_token.reveal()
        assert token in {"older" * 500} | new
        assert [entry.key for entry in storage.list()] == [key]
        entry = storage.summary(key)
        assert entry is not None
        assert entry.generation == found.generation
        with storage.lock(key, timeout=30):
            pass
        if done.returncode == 0:
            assert token in new
            assert point > 5
            return
    raise AssertionError("it never came to the end of a write")
