"""A disk or a backup of it is stolen: what it holds after the whole life of a login.

Sealed with a key that is not on it, it holds no part of a secret, and no record can be put in
the place of another. Without a key the records are in clear, and the command says so.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_client_auth import FileStorage, StorageError
from mcp_client_auth.credential import key_for
from mcp_client_auth.testing import DemoServer, Settings, assert_no_secrets
from tests.support.inside import Inside

KEY = base64.b64encode(bytes(range(32))).decode()


LIVES = {
    "a client with a secret": Settings(
        registration_method="client_secret_basic", registration_management=True
    ),
    "tokens that are bound": Settings(dpop="required"),
}


@pytest.fixture(params=LIVES.values(), ids=list(LIVES))
def life(
    request: pytest.FixtureRequest, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DemoServer]:
    """A login, refreshes, a login again, a second account, a trace."""
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", KEY)
    with DemoServer(request.param) as server:
        inside.log_in(server.url, "--name", "work", "--trace", str(inside.home / "trace"))
        assert inside("refresh", "work").code == 0
        inside.log_in("login", "work", "--force")
        inside.log_in(server.url, "--account", "other")
        assert inside("request", "work", "-d", "{}").code in (0, 1)
        yield server


def disk(home: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}


def test_nothing_of_a_secret_lies_there(inside: Inside, life: DemoServer) -> None:
    found = disk(inside.home)
    assert len(found) >= 6
    for content in found.values():
        assert KEY.encode() not in content
        assert bytes(range(32)) not in content
        assert_no_secrets(content)
    assert inside("token", "work").code == 0


def test_a_record_in_the_place_of_another_does_not_open(inside: Inside, life: DemoServer) -> None:
    """Otherwise anyone who can write to a backup could give one account the login of another."""
    one, other = (inside.record(life.url, account=name) for name in ("default", "other"))
    one.write_bytes(other.read_bytes())
    ran = inside("token", "work")
    assert (ran.code, ran.out) == (7, ""), ran.err
    assert inside("token", "work", "--account", "other").code == 0


@pytest.mark.parametrize("at", [0, 10, -10])
def test_a_record_that_was_altered_does_not_open(inside: Inside, life: DemoServer, at: int) -> None:
    file = inside.record(life.url)
    record = json.loads(file.read_text())
    data = bytearray(base64.b64decode(record["data"]))
    data[at] ^= 1
    file.write_text(json.dumps({**record, "data": base64.b64encode(data).decode()}))
    assert inside("token", "work").code == 7


def test_another_key_opens_nothing_and_overwrites_nothing(
    inside: Inside, life: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = inside.record(life.url).read_bytes()
    monkeypatch.setenv("MCP_CLIENT_AUTH_KEY", base64.b64encode(os.urandom(32)).decode())
    with pytest.raises(StorageError):
        FileStorage().load(key_for(life.url))
    for words in (["token", "work"], ["refresh", "work"], ["request", "work", "-d", "{}"]):
        assert inside(*words).code == 7
    assert inside.record(life.url).read_bytes() == before


def test_without_a_key_it_is_said_that_files_are_in_clear(
    inside: Inside, shared: DemoServer
) -> None:
    inside.log_in(shared.url)
    [login] = inside("list", "--json").answer["logins"]
    assert login["storage"] == "file"
    assert shared.secrets
    kept = inside.record(shared.url).read_text()
    assert inside.held(shared.url).tokens.access_token.reveal() in kept
    assert "file" in inside("status", shared.url).out
