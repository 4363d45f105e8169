"""What a binding signs, hears and remembers; then the whole of it against a strict server."""

from __future__ import annotations

import itertools
import json
import logging
import sys
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest

sys.path.insert(0, str(Path(__file__).with_name("support")))

from session_world import ISSUER, PLACE, SERVER, Person, Program, World, document

from mcp_client_auth import (
    BrowserPrompt,
    ClientCredentials,
    DeviceCode,
    DevicePrompt,
    DpopUnsupported,
    FileStorage,
    LoginRequired,
    MCPAuth,
    MemoryStorage,
    Options,
    PreRegistered,
    StorageError,
    UsageError,
    login,
)
from mcp_client_auth.binding import Binding, Bindings
from mcp_client_auth.credential import Credential, key_for
from mcp_client_auth.events import Event
from mcp_client_auth.protocol.client_auth import FormPost, Plain
from mcp_client_auth.protocol.dpop import make_key
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse, run
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.secret import Secret
from mcp_client_auth.testing import DemoServer, RegisteredClient, ScriptedBrowser, Settings

URL = "https://auth.example.com/token"
RESOURCE = "https://mcp.example.com/mcp"
HEADERS = {"Accept": "application/json, text/event-stream"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
KEY = make_key("ES256")
TOKEN = Secret("t0ken")
PUBLIC = Client("c1", "https://auth.example.com", "dynamic", "none")


def claims(proof: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(urlsafe_b64decode(proof.split(".")[1] + "=="))
    return found


def binding(**more: Any) -> Binding:
    numbers = itertools.count(1)
    return Binding(KEY, lambda: 1000.0, lambda: f"jti-{next(numbers)}", **more)


def answer(status: int, url: str = URL, body: Any = None, **headers: str) -> HttpResponse:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return HttpResponse(status, url, pairs, b"" if body is None else json.dumps(body).encode())


WANTS = {"error": "use_dpop_nonce"}


class Server:
    """A transport that gives these answers and keeps the proofs that came."""

    def __init__(self, *answers: HttpResponse) -> None:
        self._answers = list(answers)
        self.proofs: list[dict[str, Any]] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.proofs.append(claims(request.headers["DPoP"]))
        return self._answers.pop(0)


# What it signs and hears


def test_a_form_post_is_sent_once_more_with_the_nonce_and_a_new_jti() -> None:
    server = Server(answer(400, body=WANTS, dpop_nonce="n1"), answer(200, body={}))
    response = run(FormPost(URL, PUBLIC, "a=b").send(binding()), server)
    assert response.status == 200
    assert [(p["jti"], p.get("nonce")) for p in server.proofs] == [("jti-1", None), ("jti-2", "n1")]
    assert all((p["htm"], p["htu"], p["iat"]) == ("POST", URL, 1000) for p in server.proofs)


def test_a_server_whose_nonce_never_does_gets_two_requests() -> None:
    refusals = [answer(400, body=WANTS, dpop_nonce=f"n{number}") for number in range(5)]
    server = Server(*refusals)
    assert run(FormPost(URL, PUBLIC, "a=b").send(binding()), server).status == 400
    assert len(server.proofs) == 2


def test_a_server_that_wants_a_nonce_and_gives_none_gets_one_request() -> None:
    server = Server(answer(400, body=WANTS))
    assert run(FormPost(URL, PUBLIC, "a=b").send(binding()), server).status == 400
    assert len(server.proofs) == 1


def test_a_nonce_of_a_good_answer_is_in_the_next_proof() -> None:
    signing = binding()
    server = Server(answer(200, body={}, dpop_nonce="next"), answer(200, body={}))
    for _ in range(2):
        run(FormPost(URL, PUBLIC, "a=b").send(signing), server)
    assert [p.get("nonce") for p in server.proofs] == [None, "next"]


def test_a_nonce_belongs_to_one_origin_in_one_role() -> None:
    signing = binding()
    signing.heard(answer(200, "https://one.example/token", dpop_nonce="as"))
    signing.heard_from_resource(answer(200, "https://one.example/mcp", dpop_nonce="rs"))

    def nonce(proof: str) -> Any:
        return claims(proof).get("nonce")

    assert nonce(signing.proof("POST", "https://one.example/revoke")) == "as"
    assert nonce(signing.proof("POST", "https://two.example/token")) is None
    assert nonce(signing.headers(TOKEN, "GET", "https://one.example/other")["DPoP"]) == "rs"
    assert nonce(signing.headers(TOKEN, "GET", "https://one.example:8443/mcp")["DPoP"]) is None


def test_the_headers_of_a_request_bind_the_token_to_it() -> None:
    headers = binding().headers(TOKEN, "GET", RESOURCE + "?page=2")
    assert headers["Authorization"] == "DPoP t0ken"
    found = claims(headers["DPoP"])
    assert (found["htm"], found["htu"]) == ("GET", RESOURCE)
    assert urlsafe_b64decode(found["ath"] + "=") == sha256(b"t0ken").digest()


class Asserting(Plain):
    def assertion(self, client: Client) -> str:
        return f"assertion of {client.client_id}"

    def heard(self, response: HttpResponse) -> bool:
        return response.status == 409


def test_it_decorates_what_proves_the_client() -> None:
    signing = binding()
    beside = signing.beside(Asserting())
    assert beside.assertion(PUBLIC) == "assertion of c1"
    assert beside.heard(answer(409))
    assert not beside.heard(answer(200, dpop_nonce="n"))
    assert claims(signing.proof("POST", URL))["nonce"] == "n", "what one hears the other knows"
    with pytest.raises(UsageError):
        signing.assertion(PUBLIC)


def test_a_key_is_read_once_and_what_is_none_is_damage() -> None:
    bindings = Bindings()

    def of(kept: Secret) -> Binding:
        return bindings.of(kept, time.time, lambda: "x", "the test")

    assert of(KEY.kept) is of(Secret(KEY.kept.reveal()))
    with pytest.raises(StorageError) as caught:
        of(Secret("{}"))
    assert caught.value.code == "damaged_record"


def test_a_session_does_not_collect_keys() -> None:
    bindings = Bindings()
    for _ in range(20):
        bindings.of(make_key("ES256").kept, time.time, lambda: "x", "the test")
    assert len(bindings._known) <= 4


def test_without_a_key_nothing_is_bound() -> None:
    edges = MCPAuth(SERVER, storage=MemoryStorage(), prompt=None).session.edges
    assert not edges.prover(None).binds
    assert edges.prover(None).proof("POST", URL) == ""
    assert edges.prover(None, KEY.kept).binds


# When it is used, in a world of its own


class Resource(World):
    """A world whose resource and authorization server say what a test wants of DPoP."""

    def __init__(self, resource: dict[str, Any], server: dict[str, Any]) -> None:
        super().__init__()
        self._resource, self._server = resource, server
        self.registered: dict[str, Any] = {}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        found = super().__call__(request)
        added = {
            PLACE: self._resource,
            ISSUER + "/.well-known/oauth-authorization-server": self._server,
            ISSUER + "/register": self.registered,
        }.get(request.url)
        if not added:
            return found
        return document({**json.loads(found.body), **added}, found.url, found.status)

    @property
    def proofs(self) -> list[str]:
        return [r.headers["DPoP"] for r in self.sent if "DPoP" in r.headers]


REQUIRED = {"dpop_bound_access_tokens_required": True}
KNOWN = {"dpop_signing_alg_values_supported": ["ES256"]}


def test_a_server_that_merely_knows_how_gets_no_proof() -> None:
    world = Resource(KNOWN, KNOWN)
    program = Program(world, prompt=Person(world))
    assert program.post() == 200
    assert world.proofs == []
    assert program.stored.dpop_key is None


def test_a_bearer_answer_to_a_wish_is_used_and_said(caplog: pytest.LogCaptureFixture) -> None:
    world = Resource({}, {})
    program = Program(world, prompt=Person(world), options=Options(dpop=True))
    with caplog.at_level(logging.WARNING, "mcp_client_auth"):
        assert program.post() == 200
    assert program.stored.tokens.token_type == "Bearer"
    assert any(e.name == "notice" and "Bearer token came" in e.detail for e in program.events)
    assert "Bearer token came" in caplog.text
    assert len(world.proofs) == 1


def test_a_key_is_kept_for_the_refresh_also_where_the_access_token_is_a_bearer() -> None:
    """RFC 9449 §5: the refresh token of a public client may be bound alone."""
    world = Resource({}, {})
    program = Program(world, prompt=Person(world), options=Options(dpop=True))
    program.post()
    world.clock.wall += 3601
    assert program.post() == 200
    assert world.refreshes == 1
    assert len(world.proofs) == 2
    jwks = [json.loads(urlsafe_b64decode(p.split(".")[0] + "=="))["jwk"] for p in world.proofs]
    assert jwks[0] == jwks[1]


def test_a_bearer_answer_where_the_resource_demands_bound_tokens_is_refused() -> None:
    world = Resource(REQUIRED, {})
    program = Program(world, prompt=Person(world))
    with pytest.raises(DpopUnsupported, match="has issued a Bearer token"):
        program.post()
    assert program.storage.load(program.session.key) is None
    assert [b for b in world.bearers if b] == []


@pytest.mark.parametrize("options", [Options(), Options(dpop=True)])
def test_without_a_common_algorithm_nobody_is_asked(options: Options) -> None:
    theirs = {"dpop_signing_alg_values_supported": ["ES512"]}
    world = Resource({} if options.dpop else REQUIRED, theirs)
    person = Person(world)
    program = Program(world, prompt=person, options=options)
    with pytest.raises(DpopUnsupported):
        program.post()
    assert person.visits == []


def test_a_client_that_is_registered_for_bound_tokens_only_gets_a_key() -> None:
    world = Resource({}, KNOWN)
    world.registered = {"dpop_bound_access_tokens": True}
    program = Program(world, prompt=Person(world))
    program.post()
    assert len(world.proofs) == 1
    assert program.stored.client.dpop


def test_the_registration_itself_asks_for_nothing() -> None:
    """It serves all servers of its issuer, and §5.2 would refuse plain tokens to all of them."""
    world = Resource({}, KNOWN)
    Program(world, prompt=Person(world), options=Options(dpop=True)).post()
    assert "dpop_bound_access_tokens" not in world.authorization.registrations[0]


def test_a_bearer_login_does_not_serve_a_program_that_wants_bound_tokens() -> None:
    world = Resource({}, {})
    first = Program(world, prompt=Person(world))
    first.post()
    person = Person(world)
    second = Program(world, first.storage, person, options=Options(dpop=True))
    assert second.post() == 200
    assert len(person.visits) == 1
    assert second.stored.dpop_key is not None


# The whole of it, against a server that checks everything


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
        """Which server answered what, the consent page left out."""
        pages = ("/authorize",)
        return [(r.side, r.status) for r in self.server.requests if not r.path.endswith(pages)]


@contextmanager
def scene_of(home: Path, **settings: Any) -> Iterator[Scene]:
    browser = ScriptedBrowser()
    with DemoServer(Settings(**{"dpop": "required", **settings})) as server:
        yield Scene(server, browser, home)
        assert browser.join(5)


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
    """The nonce is too old and the token has been revoked early: both are mended."""
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
        auth = scene.auth(ask=True)  # of a program that did not ask for it
        with httpx.Client(auth=auth, timeout=30) as client:
            call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": note}
            assert client.post(scene.server.url, headers=HEADERS, json=call).status_code == 200
        assert scene.stored.tokens.bound
        assert scene.browser.visits == 2


def test_a_forced_login_decides_anew_whether_to_bind(tmp_path: Path) -> None:
    """Else who asked for it once, where the resource cannot do it, could not get out again."""
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
    """A refresh could not bind what was not bound."""
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
        shown = f"{seen} {caplog.text} {scene.stored!r} {auth!r} {auth.session.edges!r}"
        assert secret not in shown
        assert scene.stored.tokens.access_token.reveal() not in shown


# Redirects of the caller's client


def redirecting(target: str, seen: list[httpx.Request], server: str) -> httpx.MockTransport:
    """A place that sends everything to `target`, which takes a proof for its own URL only."""

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


def test_a_logout_proves_the_key_too() -> None:
    """A refresh token of a public client is bound to it, and some servers ask for proof here."""
    world = Resource({}, {})
    program = Program(world, prompt=Person(world), options=Options(dpop=True))
    program.post()
    assert program.session.log_out().revoked
    sent = [r for r in world.sent if r.url.endswith("/revoke")]
    assert len(sent) == 2
    assert all(claims(r.headers["DPoP"])["htu"] == ISSUER + "/revoke" for r in sent)
