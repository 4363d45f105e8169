"""Tokens that are bound to a key, against a server that checks every proof."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from mcp_client_auth import (
    BrowserPrompt,
    ClientCredentials,
    DeviceCode,
    DevicePrompt,
    FileStorage,
    LoginRequired,
    MCPAuth,
    Options,
    PreRegistered,
    StorageError,
    UsageError,
    login,
)
from mcp_client_auth.credential import Credential, key_for
from mcp_client_auth.events import Event
from mcp_client_auth.protocol.dpop import make_key, read_key
from mcp_client_auth.secret import Secret
from mcp_client_auth.testing import DemoServer, RegisteredClient, ScriptedBrowser, Settings
from tests.support.key_samples import claims

RESOURCE = "https://mcp.example.com/mcp"
HEADERS = {"Accept": "application/json, text/event-stream"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}

# The whole flow, against a server that checks everything


@dataclass
class Scene:
    server: DemoServer
    browser: ScriptedBrowser
    home: Path

    @property
    def storage(self) -> FileStorage:
        return FileStorage(self.home)

    def auth(self, *, ask: bool = False, **more: Any) -> MCPAuth:
        prompt = BrowserPrompt(open_url=self.browser) if ask else None
        return MCPAuth(self.server.url, **{"storage": self.storage, "prompt": prompt, **more})

    @property
    def stored(self) -> Credential:
        found = self.storage.load(key_for(self.server.url))
        assert found is not None
        return found

    def change(self, **fields: Any) -> None:
        self.storage.save(replace(self.stored, **fields))

    def age(self, left: float = -60.0) -> None:
        now = time.time()
        tokens = replace(self.stored.tokens, issued_at=now - 3600, expires_at=now + left)
        self.change(tokens=tokens)

    @property
    def said(self) -> list[tuple[str, int]]:
        """Each server's answers in order, without the consent page."""
        pages = ("/authorize",)
        return [(r.side, r.status) for r in self.server.requests if not r.path.endswith(pages)]


@contextmanager
def scene_of(home: Path, **settings: Any) -> Iterator[Scene]:
    browser = ScriptedBrowser()
    with DemoServer(Settings(**{"dpop": "required", **settings})) as server:
        yield Scene(server, browser, home)
        assert browser.join(60)


Post = Callable[[MCPAuth, str], int]


@pytest.fixture(
    params=[f"{a} {b}" for a in ("httpx", "httpx2") for b in ("sync", "asyncio", "trio")]
)
def post(request: pytest.FixtureRequest) -> Post:
    name, _, world = request.param.partition(" ")
    library: Any = {"httpx": httpx, "httpx2": httpx2}[name]

    def blocking(auth: MCPAuth, url: str) -> int:
        with library.Client(auth=auth, timeout=30) as client:
            return int(client.post(url, headers=HEADERS, json=LIST).status_code)

    def asynchronous(auth: MCPAuth, url: str) -> int:
        async def main() -> int:
            async with library.AsyncClient(auth=auth, timeout=30) as client:
                return int((await client.post(url, headers=HEADERS, json=LIST)).status_code)

        return anyio.run(main, backend=world)

    return blocking if world == "sync" else asynchronous


def send(auth: MCPAuth, url: str) -> int:
    with httpx.Client(auth=auth, timeout=30) as client:
        return client.post(url, headers=HEADERS, json=LIST).status_code


@pytest.mark.parametrize("nonces", ["none", "as", "mcp", "both"])
def test_a_login_that_the_server_demands_to_be_bound(
    post: Post, tmp_path: Path, nonces: str
) -> None:
    with scene_of(tmp_path, dpop_nonces=nonces) as scene:
        auth, url = scene.auth(ask=True), scene.server.url
        assert post(auth, url) == 200
        assert post(auth, url) == 200
        assert scene.stored.tokens.bound
        assert scene.stored.dpop_key is not None
        asks = {"as": nonces in ("as", "both"), "mcp": nonces in ("mcp", "both")}
        assert scene.said == [
            ("mcp", 401),
            ("mcp", 200),  # resource metadata
            ("as", 200),
            ("as", 201),
            *([("as", 400)] if asks["as"] else []),
            ("as", 200),
            *([("mcp", 401)] if asks["mcp"] else []),
            ("mcp", 200),
            ("mcp", 200),
        ]


@pytest.mark.parametrize("nonces", ["none", "both"])
def test_another_process_uses_and_renews_the_same_login(
    post: Post, tmp_path: Path, nonces: str
) -> None:
    with scene_of(tmp_path, dpop_nonces=nonces) as scene:
        send(scene.auth(ask=True), scene.server.url)
        key = scene.stored.dpop_key
        scene.age()
        scene.server.clear_requests()
        assert post(scene.auth(), scene.server.url) == 200
        assert scene.stored.dpop_key == key
        again = nonces == "both"
        assert scene.said == [
            *([("as", 400)] if again else []),
            ("as", 200),
            *([("mcp", 401)] if again else []),
            ("mcp", 200),
        ]
        assert scene.server.families_revoked == 0


def test_no_event_loop_waits_while_a_key_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers: list[threading.Thread] = []

    def noted(kept: Secret) -> Any:
        readers.append(threading.current_thread())
        return read_key(kept)

    with scene_of(tmp_path) as scene:
        send(scene.auth(ask=True), scene.server.url)
        monkeypatch.setattr("mcp_client_auth.keys.dpop_key.read_key", noted)
        auth = scene.auth()

        async def main() -> int:
            async with httpx.AsyncClient(auth=auth, timeout=30) as client:
                return (await client.post(scene.server.url, headers=HEADERS, json=LIST)).status_code

        assert anyio.run(main) == 200
    assert len(readers) == 1
    assert threading.current_thread() not in readers


def test_a_new_login_has_a_new_key(tmp_path: Path) -> None:
    with scene_of(tmp_path) as scene:
        prompt = BrowserPrompt(open_url=scene.browser)
        arguments: dict[str, Any] = {"storage": scene.storage, "prompt": prompt}
        login(scene.server.url, **arguments)
        first = scene.stored.dpop_key
        login(scene.server.url, force=True, **arguments)
        assert scene.stored.dpop_key != first


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "PS256", "RS256", "Ed25519", "EdDSA"])
def test_a_login_with_the_only_algorithm_of_the_server(tmp_path: Path, algorithm: str) -> None:
    with scene_of(tmp_path, dpop_algorithms=(algorithm,), dpop_nonces="both") as scene:
        assert send(scene.auth(ask=True), scene.server.url) == 200
        scene.age()
        assert send(scene.auth(), scene.server.url) == 200


def test_nonces_of_answers_are_used_before_they_are_demanded(tmp_path: Path) -> None:
    with scene_of(tmp_path, dpop_nonces="both") as scene:
        auth, url = scene.auth(ask=True), scene.server.url
        send(auth, url)
        scene.server.clear_requests()
        for _ in range(3):
            scene.server.rotate_dpop_nonces()
            assert send(auth, url) == 200
        assert scene.said == [("mcp", 200)] * 3


def test_a_nonce_that_is_too_old_costs_one_request_and_no_token(tmp_path: Path) -> None:
    with scene_of(tmp_path, dpop_nonces="both") as scene:
        auth, url = scene.auth(ask=True), scene.server.url
        send(auth, url)
        scene.server.clear_requests()
        for _ in range(2):
            scene.server.rotate_dpop_nonces()
        assert send(auth, url) == 200
        assert scene.said == [("mcp", 401), ("mcp", 200)]


def test_the_nonces_retry_is_not_the_answer_to_a_401(tmp_path: Path) -> None:
    """The nonce is too old and the token has been revoked early: both are repaired."""
    with scene_of(tmp_path, dpop_nonces="both") as scene:
        auth, url = scene.auth(ask=True), scene.server.url
        send(auth, url)
        scene.age(left=1800)
        auth = scene.auth()
        scene.server.expire_access_tokens()
        scene.server.clear_requests()
        assert send(auth, url) == 200
        assert [s for s in scene.said if s[0] == "mcp"][-1] == ("mcp", 200)
        assert scene.server.token_requests("authorization_code") == 0
        assert len(scene.said) <= 5


def test_a_server_that_never_takes_its_nonce_costs_two_requests_and_no_refresh(
    tmp_path: Path,
) -> None:
    refusal = {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"', "DPoP-Nonce": "n"}
    with scene_of(tmp_path) as scene:
        auth, url = scene.auth(ask=True), scene.server.url
        send(auth, url)
        scene.server.clear_requests()
        sent: list[str] = []

        def never(request: httpx.Request) -> httpx.Response:
            sent.append(request.headers["DPoP"])
            return httpx.Response(401, headers=refusal)

        with httpx.Client(auth=auth, transport=httpx.MockTransport(never)) as client:
            assert client.post(url, json=LIST).status_code == 401
        assert scene.said == []
    assert [claims(proof).get("nonce") for proof in sent] == [None, "n"]


def test_a_server_that_takes_both_gets_a_bearer_unless_one_asks(tmp_path: Path) -> None:
    with scene_of(tmp_path, dpop="supported", dpop_nonces="both") as scene:
        assert send(scene.auth(ask=True), scene.server.url) == 200
        assert scene.stored.dpop_key is None
        asking = scene.auth(ask=True, options=Options(dpop=True))
        assert send(asking, scene.server.url) == 200
        assert scene.stored.tokens.bound
        assert send(scene.auth(), scene.server.url) == 200, "who does not ask uses it all the same"


def test_a_step_up_of_a_bound_login_stays_bound(tmp_path: Path) -> None:
    note = {"name": "add_note", "arguments": {"text": "x"}}
    with scene_of(tmp_path, dpop="supported", dpop_nonces="both") as scene:
        send(scene.auth(ask=True, options=Options(dpop=True)), scene.server.url)
        auth = scene.auth(ask=True)  # in a program that did not ask for it
        with httpx.Client(auth=auth, timeout=30) as client:
            call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": note}
            assert client.post(scene.server.url, headers=HEADERS, json=call).status_code == 200
        assert scene.stored.tokens.bound
        assert scene.browser.visits == 2


def test_a_forced_login_decides_anew_whether_to_bind(tmp_path: Path) -> None:
    """Otherwise a user who asked for it once could not get out if the resource cannot do it."""
    with scene_of(tmp_path, dpop="supported") as scene:
        send(scene.auth(ask=True, options=Options(dpop=True)), scene.server.url)
        prompt = BrowserPrompt(open_url=scene.browser)
        login(scene.server.url, storage=scene.storage, prompt=prompt, force=True)
        assert scene.stored.dpop_key is None


def test_a_confidential_clients_refresh_proves_both(tmp_path: Path) -> None:
    with scene_of(tmp_path, dpop_nonces="as", registration_method="client_secret_basic") as scene:
        assert send(scene.auth(ask=True), scene.server.url) == 200
        scene.age()
        assert send(scene.auth(), scene.server.url) == 200


def test_a_server_that_began_to_demand_bound_tokens_gets_a_new_login_at_once(
    tmp_path: Path,
) -> None:
    """A refresh cannot bind tokens that were not bound before."""
    client = RegisteredClient("app", redirect_uris=("http://127.0.0.1/callback",))
    with scene_of(tmp_path, dpop="supported", clients=(client,)) as scene:
        send(scene.auth(ask=True), scene.server.url)
        object.__setattr__(scene.server.settings, "dpop", "required")
        scene.server.clear_requests()
        assert send(scene.auth(ask=True), scene.server.url) == 200
        assert scene.stored.tokens.bound
        assert scene.server.token_requests("refresh_token") == 0


def test_a_service_without_a_person_is_bound_too(tmp_path: Path) -> None:
    own = RegisteredClient("app", "s3cret", "client_secret_basic")
    settings: dict[str, Any] = {"clients": (own,), "client_credentials": True}
    with scene_of(tmp_path, dpop_nonces="both", **settings) as scene:
        client = PreRegistered("app", secret="s3cret", method="client_secret_basic")
        auth = scene.auth(client=client, grant=ClientCredentials())
        assert send(auth, scene.server.url) == 200
        first = auth.session.current()
        assert first is not None
        assert first.tokens.bound
        scene.storage.save(replace(first, tokens=replace(first.tokens, expires_at=time.time() - 1)))
        again = scene.auth(client=client, grant=ClientCredentials())
        assert send(again, scene.server.url) == 200
        second = again.session.current()
        assert second is not None
        assert second.dpop_key == first.dpop_key
        assert second.tokens.bound


def test_a_login_on_another_device_is_bound_too(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"device_authorization": True, "device_interval": 1}
    with scene_of(tmp_path, dpop_nonces="both", **settings) as scene:

        def allow(invitation: object) -> None:
            scene.server.decide_device("allow")

        prompt = DevicePrompt(allow)
        auth = MCPAuth(scene.server.url, storage=scene.storage, prompt=prompt, grant=DeviceCode())
        assert send(auth, scene.server.url) == 200
        assert scene.stored.tokens.bound
        scene.age()
        assert send(scene.auth(), scene.server.url) == 200


# What others get to see and to use


def test_another_key_gets_nothing_for_the_tokens(tmp_path: Path) -> None:
    with scene_of(tmp_path) as scene:
        send(scene.auth(ask=True), scene.server.url)
        scene.change(dpop_key=make_key("ES256").kept)
        scene.age(left=1800)
        with pytest.raises(LoginRequired):
            send(scene.auth(), scene.server.url)
        assert [(r.grant_type, r.status) for r in scene.server.requests if r.grant_type][-1] == (
            "refresh_token",
            400,
        )


def test_a_bound_token_is_of_no_use_as_a_bearer(tmp_path: Path) -> None:
    with scene_of(tmp_path, dpop="supported") as scene:
        auth = scene.auth(ask=True, options=Options(dpop=True))
        send(auth, scene.server.url)
        stolen = {"Authorization": f"Bearer {scene.stored.tokens.access_token.reveal()}"}
        answer = httpx.post(scene.server.url, headers={**HEADERS, **stolen}, json=LIST)
        assert answer.status_code == 401


@pytest.mark.parametrize(
    ("key", "force"),
    [("{}", False), ('{"alg": "ES256", "kty": "EC", "d": "0"}', True)],
    ids=["no key", "a spoiled key"],
)
def test_a_damaged_key_is_said_and_a_login_replaces_it(
    tmp_path: Path, key: str, force: bool
) -> None:
    with scene_of(tmp_path) as scene:
        send(scene.auth(ask=True), scene.server.url)
        scene.change(dpop_key=Secret(key))
        with pytest.raises(StorageError):
            send(scene.auth(), scene.server.url)
        prompt = BrowserPrompt(open_url=scene.browser)
        me = login(scene.server.url, storage=scene.storage, prompt=prompt, force=force)
        assert me.token()
        assert send(scene.auth(), scene.server.url) == 200


def test_neither_event_nor_repr_shows_the_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Event] = []
    with caplog.at_level(logging.DEBUG), scene_of(tmp_path, dpop_nonces="both") as scene:
        auth = scene.auth(ask=True, on_event=seen.append)
        send(auth, scene.server.url)
        kept = scene.stored.dpop_key
        assert kept is not None
        secret = json.loads(kept.reveal())["d"]
        shown = f"{seen} {caplog.text} {scene.stored!r} {auth!r} {auth.session.ports!r}"
        assert secret not in shown
        assert scene.stored.tokens.access_token.reveal() not in shown


# Redirects of the caller's client


def redirecting(target: str, seen: list[httpx.Request], server: str) -> httpx.MockTransport:
    """A server that redirects to `target`, which accepts a proof for its own URL only."""

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if str(request.url) == server:
            return httpx.Response(307, headers={"Location": target})
        fits = claims(request.headers["DPoP"])["htu"] == str(request.url)
        refused = {"WWW-Authenticate": 'DPoP error="invalid_dpop_proof"'}
        return httpx.Response(200 if fits else 401, headers=None if fits else refused)

    return httpx.MockTransport(handle)


def test_a_redirect_that_is_followed_within_the_server_gets_a_proof_of_its_own(
    tmp_path: Path,
) -> None:
    with scene_of(tmp_path) as scene:
        auth, url = scene.auth(ask=True), scene.server.url
        send(auth, url)
        scene.server.clear_requests()
        seen: list[httpx.Request] = []
        transport = redirecting(url + "/", seen, url)
        with httpx.Client(auth=auth, transport=transport, follow_redirects=True) as client:
            assert client.post(url, json=LIST).status_code == 200
        assert [str(r.url) for r in seen] == [url, url + "/", url + "/"]
        assert seen[-1].content == seen[0].content
        assert len({r.headers["DPoP"] for r in seen}) == 2
        assert scene.said == [], "the token was not to blame"


def test_a_redirect_to_another_origin_carries_no_token_and_is_not_signed_for(
    tmp_path: Path,
) -> None:
    with scene_of(tmp_path) as scene:
        auth, url = scene.auth(ask=True), scene.server.url
        send(auth, url)
        scene.server.clear_requests()
        seen: list[httpx.Request] = []
        transport = redirecting("https://evil.example/mcp", seen, url)
        with httpx.Client(auth=auth, transport=transport, follow_redirects=True) as client:
            assert client.post(url, json=LIST).status_code == 401
        assert [str(r.url) for r in seen] == [url, "https://evil.example/mcp"]
        assert "Authorization" not in seen[-1].headers
        assert claims(seen[-1].headers["DPoP"])["htu"] == url, "of no use there"
        assert scene.said == []


# `login()` and the command


def test_headers_of_a_bound_login_are_for_one_request(tmp_path: Path) -> None:
    with scene_of(tmp_path, dpop_nonces="mcp") as scene:
        prompt = BrowserPrompt(open_url=scene.browser)
        me, url = login(scene.server.url, storage=scene.storage, prompt=prompt), scene.server.url
        for _ in range(2):
            answer = httpx.post(url, headers={**HEADERS, **me.headers("post", url)}, json=LIST)
            assert answer.status_code == 200
        used = me.headers("POST", url)
        statuses = [
            httpx.post(url, headers={**HEADERS, **used}, json=LIST).status_code for _ in "12"
        ]
        assert statuses == [200, 401], "a proof is not to be used again"
        for arguments in ((), ("POST",), ("POST", "https://evil.example/mcp")):
            with pytest.raises(UsageError, match="bound to a key") as caught:
                me.headers(*arguments)
            assert "client()" in caught.value.hint
        with me.client() as client:
            assert client.post(url, headers=HEADERS, json=LIST).status_code == 200
