"""The login that is stored for a server: accepted, meant for it, lasting; and never shown."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth import BrowserPrompt, login
from mcp_client_auth.cli.report import exit_code_of
from mcp_client_auth.credential import Credential, key_for
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.secret import Secret
from mcp_client_auth.storage.file import FileStorage
from mcp_client_auth.storage.memory import MemoryStorage
from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings
from tests.support.findings import Examine, only
from tests.support.hostile import World, challenge, text


def jwt(**claims: Any) -> str:
    parts = ({"alg": "none"}, claims, {"planted": "signature"})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts]
    return b".".join(part.rstrip(b"=") for part in encoded).decode()


def held(world: World, token: str = "planted-access", **tokens: Any) -> Credential:
    usual = {"issued_at": time.time(), "expires_at": time.time() + 600}
    made = TokenSet(
        Secret(token), **{**usual, "refresh_token": Secret("planted-refresh"), **tokens}
    )
    client = Client("dyn", world.issuer, "dynamic", "none")
    return Credential(
        key_for(world.url), world.issuer, world.issuer + "/token", client, made, world.url
    )


def test_without_a_login_that_is_said(world: World, examined: Examine) -> None:
    assert only(examined(world.url), "login.stored").came == "no login is stored here"
    assert "answer" not in world.visited


def test_a_good_login_is_well(world: World, examined: Examine, storage: MemoryStorage) -> None:
    storage.save(held(world, jwt(aud=world.url, sub="ada@example.com")))
    report = examined(world.url)
    found = {f.check: f.level for f in report.findings if f.check.startswith("login.")}
    assert set(found.values()) == {"ok"}
    assert list(found) == [
        f"login.{name}" for name in ("stored", "lasting", "issuer", "audience", "token")
    ]
    assert "planted" not in str(report)
    assert "ada@" not in str(report)


@pytest.mark.parametrize(
    ("token", "level", "says"),
    [
        ("opaque-planted", "note", "opaque"),
        ("not.a.jwt", "note", "opaque"),
        (jwt(aud="https://other.example/mcp"), "warning", "https://other.example/mcp"),
        (jwt(aud=["client_01", 7, None]), "warning", "client_01"),
        (jwt(sub="ada"), "warning", "missing"),
    ],
)
def test_the_audience_is_read_from_the_token(
    world: World, examined: Examine, storage: MemoryStorage, token: str, level: str, says: str
) -> None:
    storage.save(held(world, token))
    found = only(examined(world.url), "login.audience")
    assert found.level == level
    assert says in found.came


def test_a_bound_login_is_examined_with_its_key(examined: Examine, storage: MemoryStorage) -> None:
    with DemoServer(Settings(dpop="required", dpop_nonces="both")) as server:
        browser = ScriptedBrowser()
        login(server.url, storage=storage, prompt=BrowserPrompt(open_url=browser))
        browser.join(60)
        report = examined(server.url)
        assert only(report, "login.token").level == "ok"
        stored = storage.load(key_for(server.url))
        assert stored is not None
        assert stored.dpop_key is not None
        assert json.loads(stored.dpop_key.reveal())["d"] not in str(report)
        damaged = Secret('{"alg": "ES256", "kty": "EC", "d": "planted"}')
        storage.save(replace(stored, dpop_key=damaged))
        assert "planted" not in str(examined(server.url))


def test_a_login_is_examined_although_its_entry_is_lost(
    world: World, tmp_path: Path, examined: Examine
) -> None:
    storage = FileStorage(tmp_path / "logins")
    storage.save(held(world))
    (tmp_path / "logins" / f"{key_for(world.url).id}.json").write_text("{")
    assert only(examined(world.url, storage=storage), "login.token").level == "ok"


def test_a_refused_token_is_an_error(
    world: World, examined: Examine, storage: MemoryStorage
) -> None:
    storage.save(held(world))
    world.at("answer", challenge("planted-access"))
    report = examined(world.url)
    assert only(report, "login.token").level == "error"
    assert exit_code_of(report) == 4


def test_an_expired_token_is_not_sent(
    world: World, examined: Examine, storage: MemoryStorage
) -> None:
    storage.save(held(world, expires_at=time.time() - 60, refresh_token=None))
    report = examined(world.url)
    assert only(report, "login.lasting").level == "warning"
    assert "not sent" in only(report, "login.token").came
    assert "answer" not in world.visited


def test_a_server_that_moved_to_another_issuer_is_noticed(
    world: World, examined: Examine, storage: MemoryStorage
) -> None:
    storage.save(replace(held(world), issuer="https://old.example"))
    assert only(examined(world.url), "login.issuer").level == "warning"


def test_a_server_that_echoes_the_token_does_not_get_it_into_the_report(
    world: World, examined: Examine, storage: MemoryStorage
) -> None:
    storage.save(held(world))
    world.at("answer", text("planted-access", 403))
    world.at("probe", challenge(world.origin + "/planted-access", scope="planted-refresh"))
    assert "planted" not in str(examined(world.url))
