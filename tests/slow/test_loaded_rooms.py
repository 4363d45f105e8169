"""Which rooms of the package a first request loads: with a fresh token, with one that has to be
renewed, and without a login. What only another of these needs must not be among them.

A process of its own for each, so that nothing is loaded already.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mcp_client_auth import FileStorage
from mcp_client_auth.credential import key_for
from mcp_client_auth.paths import VARIABLE
from tests.slow.benchmarks.counts import HEADERS, LIST, Scene, scene

REQUEST = f"""
import json, sys
import httpx
from mcp_client_auth import BrowserPrompt, MCPAuth
url, = sys.argv[1:]
prompt = BrowserPrompt(open_url=lambda url: print(json.dumps(url), flush=True) or True)
before = set(sys.modules)
auth = MCPAuth(url, storage="file", prompt=prompt)
with httpx.Client(auth=auth, trust_env=False, timeout=60) as client:
    client.post(url, json={LIST!r}, headers={HEADERS!r}).raise_for_status()
print(json.dumps(sorted(set(sys.modules) - before)))
"""
# Of a login by a browser: discovery, registration, the sign-in.
OF_LOGIN = [
    *("protocol.absence", "protocol.discovery", "protocol.endpoints", "protocol.metadata"),
    *("protocol.dynamic_registration", "protocol.probe", "protocol.redirects"),
    *("grants.authorization_code", "grants.clients", "grants.probe", "grants.retry"),
    *("session.cooldown", "session.lease", "session.login", "session.login_required"),
    *("session.steps", "prompt.loopback", "prompt.page"),
]
# Of each request to a token endpoint.
OF_TOKEN_REQUEST = [
    *("protocol.authorization", "protocol.client_auth", "protocol.document", "protocol.flow"),
    *("protocol.gateway", "protocol.oauth_error", "protocol.scopes", "protocol.tokens"),
    *("transport.connect", "transport.exchange", "transport.flow", "transport.pools"),
    "filelock",
]
NEVER = [
    *("api", "cli", "doctor", "split_login", "web", "mcp", "extending"),
    *("adapters.aiohttp", "adapters.mcp_sdk", "adapters.requests", "adapters.urllib3"),
    *("grants.client_credentials", "grants.enterprise_managed", "grants.static_token"),
    *("grants.unattended", "grants.workload_identity", "keys.assertion_source"),
    *("protocol.client_document", "session.logout", "session.static_token"),
    "session.audit",
    *("prompt.console", "prompt.notebook", "prompt.paste", "prompt.screen", "prompt.terminal"),
    *("storage.keyring", "storage.keyring_thread", "storage.memory", "testing"),
    *("click", "cryptography", "joserfc", "keyring"),
]


def loaded(here: Scene) -> set[str]:
    """The modules that a request has loaded, in a program that has made none."""
    command = [sys.executable, "-c", REQUEST, here.server.url]
    environment = {**os.environ, VARIABLE: str(here.home)}
    modules: set[str] = set()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        for line in process.stdout:
            said = json.loads(line)
            if isinstance(said, str):
                here.browser.visit(said)
            else:
                modules.update(said)
    assert process.returncode == 0
    return modules


def among(modules: set[str], names: Sequence[str]) -> list[str]:
    """Which of these modules or packages are there, ours by their place in the package."""
    return [
        name
        for name in names
        if any(
            each == whole or each.startswith(f"{whole}.")
            for each in modules
            for whole in (name, f"mcp_client_auth.{name}")
        )
    ]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path / "home") as made:
        made.request()
        yield made


def test_a_fresh_token_loads_nothing_of_a_login_or_a_refresh(here: Scene) -> None:
    modules = loaded(here)
    assert among(modules, [*OF_LOGIN, *OF_TOKEN_REQUEST, *NEVER]) == []
    assert among(modules, ["session.session", "storage.file"]) == [
        "session.session",
        "storage.file",
    ]


def test_a_refresh_loads_nothing_of_a_login(here: Scene) -> None:
    here.expire()
    modules = loaded(here)
    assert among(modules, [*OF_LOGIN, *NEVER]) == []
    assert among(modules, OF_TOKEN_REQUEST) == OF_TOKEN_REQUEST


def test_a_login_loads_only_what_it_takes(here: Scene) -> None:
    FileStorage(here.home).delete(key_for(here.server.url))
    modules = loaded(here)
    assert among(modules, NEVER) == []
    assert among(modules, OF_LOGIN) == OF_LOGIN
