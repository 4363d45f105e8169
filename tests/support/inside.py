"""`mcp-login` in this process: as fast as a call, for tests that need no process of its own."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth import Credential, FileStorage, Secret
from mcp_client_auth.cli import run
from mcp_client_auth.cli.trace import trace_to
from mcp_client_auth.credential import key_for
from mcp_client_auth.prompt.screen import screen
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.testing import Decision, ScriptedBrowser

ISSUER = "https://auth.example.com"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended; `raw` is stdout byte for byte."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def answer(self) -> dict[str, Any]:
        """stdout as the one JSON object that it must be."""
        value = json.loads(self.raw)
        assert isinstance(value, dict)
        return value


class Inside:
    """A person with a home and a scripted browser; call it with the words of the command."""

    def __init__(self, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.home, self.patch = home, patch
        self.browser = ScriptedBrowser()
        self.storage = FileStorage(home / "logins")
        patch.chdir(home)
        for name, value in {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "MCP_CLIENT_AUTH_HOME": str(home / "logins"),
            "MCP_CLIENT_AUTH_STORAGE": "file",
        }.items():
            patch.setenv(name, value)
        patch.setattr("mcp_client_auth.prompt.open_browser.can_open", lambda: True)
        patch.setattr("mcp_client_auth.prompt.open_browser.open_url", lambda url: self.browser(url))

    def __call__(self, *words: str, stdin: bytes = b"", **environment: str) -> Ran:
        out, err = _stream(), _stream()
        screen.quiet = False
        trace_to.cache_clear()
        with self.patch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
            for name, value in environment.items():
                patch.setenv(name, value)
            code = run(list(words))
        return Ran(code, _bytes(out), _bytes(err).decode())

    def log_in(self, *words: str) -> Ran:
        ran = self(*words)
        assert ran.code == 0, ran.err
        self.browser.join(60)
        return ran

    def decide(self, decision: Decision) -> None:
        self.browser.decision = decision

    def keep(self, credential: Credential) -> Credential:
        """Store a credential that no server has issued."""
        self.storage.save(credential)
        return credential

    def held(self, url: str, account: str = "default") -> Credential:
        found = self.storage.load(key_for(url, account))
        assert found
        return found

    def change(self, url: str, **tokens: Any) -> None:
        """Alter the stored tokens."""
        held = self.held(url)
        self.keep(replace(held, tokens=replace(held.tokens, **tokens)))

    def expire(self, url: str) -> None:
        self.change(url, issued_at=1000.0, expires_at=2000.0)

    def record(self, url: str, ending: str = ".secret", account: str = "default") -> Path:
        return self.home / "logins" / (key_for(url, account).id + ending)

    def names(self, names: Mapping[str, Any]) -> None:
        """Write an .mcp.json here that gives these names to these URLs."""
        servers = {name: {"url": url} for name, url in names.items()}
        Path(".mcp.json").write_text(json.dumps({"mcpServers": servers}))


def credential(
    url: str, access: str = "planted-access", *, account: str = "default", **changes: Any
) -> Credential:
    """A login of the usual kind, valid for an hour; `changes` are for the tokens and the record."""
    now = time.time()
    usual: dict[str, Any] = {
        "access_token": Secret(access),
        "issued_at": now,
        "expires_at": now + 3600,
        "refresh_token": Secret("planted-refresh"),
        "scope": ("notes:read",),
    }
    tokens = {name: changes.pop(name, value) for name, value in usual.items()}
    bound = changes.pop("bound", False)
    issuer = changes.pop("issuer", ISSUER)
    client = Client("ours", issuer, "dynamic", "none", None, ("http://127.0.0.1:1/callback",))
    made = Credential(
        key_for(url, account),
        issuer,
        issuer + "/token",
        changes.pop("client", client),
        TokenSet(**tokens, bound=bound),
        url,
    )
    return replace(made, **changes)


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), "utf-8", newline="", write_through=True)


def _bytes(stream: io.TextIOWrapper) -> bytes:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue()
