"""The resource names another authorization server: nothing of the old one is sent there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest

from mcp_client_auth import (
    AuthorizationDenied,
    BrowserPrompt,
    IssuerMismatch,
    MCPAuth,
    Options,
    PreRegistered,
    login,
)
from mcp_client_auth.credential import Credential, key_for
from tests.slow.crowd.crowd_scene import HEADERS, LIST, PATIENCE
from tests.support.hostile import ACCESS, REFRESH, Exchange, World, challenge, document, tokens
from tests.support.victim import Victim, victim_of

CLIENT, SECRET = "old-client", "old-secret"


class Elsewhere(World):
    """Another authorization server; `seen` is every byte that it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.at("token", document(tokens(access_token="new-access", refresh_token="new-refresh")))
        self.at("register", document({"client_id": "new-client"}, 201))

    def answer(self, exchange: Exchange) -> None:
        head = f"{exchange.command} {exchange.path}\n{exchange.headers}"
        self.seen.append(head + exchange.body.decode())
        super().answer(exchange)


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with victim_of(tmp_path / "home") as victim:
        yield victim


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with Elsewhere() as elsewhere:
        yield elsewhere


def move(old: World, new: Elsewhere) -> None:
    """The old server takes nothing any more; the resource takes the new one's token only."""
    usual = old.usual("answer")
    refused = challenge(f"{old.origin}/.well-known/oauth-protected-resource/tenant/mcp")

    def guard(exchange: Exchange) -> None:
        fresh = exchange.headers["Authorization"] == "Bearer new-access"
        (usual if fresh else refused)(exchange)

    old.at("answer", guard)
    old.at("refresh", document({"error": "invalid_grant"}, 400))
    old.at("resource", document(old.resource_metadata(authorization_servers=[new.issuer])))


def stored(victim: Victim, client: str = "") -> Credential:
    found = victim.storage.load(key_for(victim.world.url, client=client))
    assert found is not None
    return found


def verifiers(world: World) -> list[str]:
    forms = [parse_qs(body.decode()) for name, body in world.bodies if name == "token"]
    return [value for form in forms for value in form.get("code_verifier", [])]


def post(auth: MCPAuth, url: str) -> int:
    with httpx.Client(auth=auth, timeout=PATIENCE, verify=False, trust_env=False) as client:
        return client.post(url, headers=HEADERS, json=LIST).status_code


def log_in_with_a_secret(victim: Victim) -> None:
    answer = {
        "client_id": CLIENT,
        "client_secret": SECRET,
        "token_endpoint_auth_method": "client_secret_post",
    }
    victim.world.at("register", document(answer, 201))
    victim.forget_client()
    victim.log_in().close()
    assert victim.browser.join(60)
    assert stored(victim).client.client_id == CLIENT


def test_a_registered_client_logs_in_anew_and_takes_nothing_along(
    victim: Victim, elsewhere: Elsewhere
) -> None:
    log_in_with_a_secret(victim)
    move(victim.world, elsewhere)
    auth = MCPAuth(
        victim.world.url, storage=victim.storage, prompt=BrowserPrompt(open_url=victim.browser)
    )
    assert post(auth, victim.world.url) == 200
    assert victim.browser.join(60)
    assert stored(victim).issuer == elsewhere.issuer
    assert stored(victim).client.client_id == "new-client"
    sent = "\n".join(elsewhere.seen)
    old = [ACCESS, REFRESH, CLIENT, SECRET, *verifiers(victim.world)]
    assert len(old) > 4, "there was a verifier"
    assert [secret for secret in old if secret in sent] == []


def test_the_old_record_stays_until_the_new_login_has_succeeded(
    victim: Victim, elsewhere: Elsewhere
) -> None:
    log_in_with_a_secret(victim)
    before = stored(victim)
    move(victim.world, elsewhere)
    elsewhere.at("authorize", elsewhere.callback(code=None, error="access_denied"))
    auth = MCPAuth(
        victim.world.url, storage=victim.storage, prompt=BrowserPrompt(open_url=victim.browser)
    )
    with pytest.raises(AuthorizationDenied):
        post(auth, victim.world.url)
    assert victim.browser.join(60)
    kept = stored(victim)
    assert (kept.issuer, kept.client) == (before.issuer, before.client)
    assert kept.tokens.access_token == before.tokens.access_token


def test_a_client_that_the_caller_supplied_stays_where_it_belongs(
    victim: Victim, elsewhere: Elsewhere
) -> None:
    client = PreRegistered(CLIENT, secret=SECRET)
    login(
        victim.world.url,
        client=client,
        storage=victim.storage,
        prompt=BrowserPrompt(open_url=victim.browser),
        options=Options(login_timeout=60),
    )
    assert victim.browser.join(60)
    before = stored(victim, CLIENT)
    move(victim.world, elsewhere)
    auth = MCPAuth(
        victim.world.url,
        client=client,
        storage=victim.storage,
        prompt=BrowserPrompt(open_url=victim.browser),
    )
    visits = victim.browser.visits
    with pytest.raises(IssuerMismatch):
        post(auth, victim.world.url)
    assert victim.browser.visits == visits
    assert {line.partition(" ")[0] for line in elsewhere.seen} <= {"GET"}
    sent = "\n".join(elsewhere.seen)
    assert [secret for secret in (ACCESS, REFRESH, CLIENT, SECRET) if secret in sent] == []
    assert stored(victim, CLIENT).tokens.access_token == before.tokens.access_token
