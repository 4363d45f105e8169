"""`MCPAuth` for HTTP libraries other than httpx: the same promises, kept by each of them."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol, Self
from urllib.parse import urlsplit

import aiohttp
import pytest
import requests
import urllib3

from mcp_client_auth import BrowserPrompt, LoginRequired, MemoryStorage, Options, UsageError
from mcp_client_auth.adapters.aiohttp import MCPAuth as AiohttpAuth
from mcp_client_auth.adapters.requests import MCPAuth as RequestsAuth
from mcp_client_auth.adapters.urllib3 import MCPAuth as Urllib3Auth
from mcp_client_auth.credential import Credential, key_for
from mcp_client_auth.protocol.dpop import make_key
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.secret import Secret
from mcp_client_auth.testing import DemoServer, ScriptedBrowser, Settings
from tests.flows.test_redirected import Mounted
from tests.support.hostile import Exchange, OneOrigin

HEADERS = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
}
LIST: Any = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ADD: Any = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "add_note", "arguments": {"text": "x"}},
}
BYTES = json.dumps(LIST).encode()


class Library(Protocol):
    """One HTTP library: how its client is made and sends. `post` gives status and body."""

    kind: ClassVar[Callable[..., Any]]

    def post(self, auth: Any, url: str, body: Any) -> tuple[int, bytes]: ...
    def pieces(self) -> Any:
        """A body that can be read only once."""


class Requests:
    kind: ClassVar[Callable[..., Any]] = RequestsAuth

    def post(self, auth: Any, url: str, body: Any) -> tuple[int, bytes]:
        with requests.Session() as session:
            session.trust_env, session.auth = False, auth
            answer = session.post(url, data=body, headers=HEADERS, timeout=30)
            return answer.status_code, answer.content

    def pieces(self) -> Iterator[bytes]:
        return iter([BYTES[:10], BYTES[10:]])


class Urllib3(Requests):
    kind: ClassVar[Callable[..., Any]] = Urllib3Auth

    def post(self, auth: Any, url: str, body: Any) -> tuple[int, bytes]:
        with urllib3.PoolManager(timeout=30) as pool:
            answer = auth.request(pool, "POST", url, body=body, headers=HEADERS)
            return answer.status, answer.data


class Aiohttp:
    kind: ClassVar[Callable[..., Any]] = AiohttpAuth

    def post(self, auth: Any, url: str, body: Any) -> tuple[int, bytes]:
        async def main() -> tuple[int, bytes]:
            async with (
                aiohttp.ClientSession(middlewares=(auth,)) as session,
                session.post(url, data=body, headers=HEADERS) as answer,
            ):
                return answer.status, await answer.read()

        return asyncio.run(main())

    async def pieces(self) -> AsyncIterator[bytes]:
        yield BYTES[:10]
        yield BYTES[10:]


LIBRARIES: dict[str, Library] = {
    "requests": Requests(),
    "aiohttp": Aiohttp(),
    "urllib3": Urllib3(),
}


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> Library:
    return LIBRARIES[request.param]


class Person:
    """A program with a client of the library, and a person at a browser."""

    def __init__(self, library: Library, server: DemoServer, **arguments: Any) -> None:
        self.library, self.server = library, server
        self.browser, self.storage = ScriptedBrowser(), MemoryStorage()
        prompt = BrowserPrompt(open_url=self.browser)
        self.auth = library.kind(server.url, storage=self.storage, prompt=prompt, **arguments)

    def post(self, message: Any = LIST) -> Any:
        """The result; the answer must be a 200."""
        status, content = self.library.post(self.auth, self.server.url, json.dumps(message))
        assert status == 200
        return json.loads(content)["result"]

    def seen(self) -> list[tuple[str, int]]:
        return [(each.side, each.status) for each in self.server.requests]


@pytest.fixture
def person(request: pytest.FixtureRequest, library: Library) -> Iterator[Person]:
    """`indirect`: the kind of server, its settings, and the arguments of the program."""
    kind, settings, arguments = getattr(request, "param", (DemoServer, {}, {}))
    with kind(Settings(**settings)) as server:
        person = Person(library, server, **arguments)
        yield person
        assert person.browser.join(60)


def by_proof(nonces: str) -> tuple[type[DemoServer], dict[str, Any], dict[str, Any]]:
    return DemoServer, {"dpop": "required", "dpop_nonces": nonces}, {"options": Options(dpop=True)}


EACH_SERVER = pytest.mark.parametrize(
    "person",
    [
        (DemoServer, {}, {}),
        (Mounted, {}, {}),
        by_proof("none"),
        by_proof("both"),
    ],
    ids=["bearer", "redirected", "dpop", "dpop with nonces"],
    indirect=True,
)


@EACH_SERVER
def test_a_request_without_a_token_becomes_an_answer_and_the_next_ones_are_ready(
    person: Person,
) -> None:
    assert len(person.post()["tools"]) == 4
    assert len(person.post()["tools"]) == 4
    person.server.clear_requests()
    person.post()
    assert not [status for _, status in person.seen() if status in (401, 403)]
    assert person.browser.visits == 1


def test_an_expired_token_is_refreshed_before_anything_else_is_sent(person: Person) -> None:
    person.post()
    object.__setattr__(person.auth.session.ports, "clock", lambda: time.time() + 10_000)
    person.server.clear_requests()
    person.post()
    assert person.seen() == [("as", 200), ("mcp", 200)]


@EACH_SERVER
def test_a_token_that_was_revoked_early_is_refreshed_after_its_401(person: Person) -> None:
    person.post()
    now = time.time() + 60
    object.__setattr__(person.auth.session.ports, "clock", lambda: now)
    person.server.expire_access_tokens()
    person.server.clear_requests()
    person.post()
    assert person.server.token_requests("refresh_token") == 1
    assert person.browser.visits == 1


@EACH_SERVER
def test_a_missing_scope_is_asked_for_once_and_remembered(person: Person) -> None:
    for message in (LIST, ADD, ADD):
        person.post(message)
    assert person.browser.visits == 2


def test_a_body_that_can_be_read_once_is_sent_again_after_the_401(person: Person) -> None:
    library, url = person.library, person.server.url
    assert library.post(person.auth, url, library.pieces())[0] == 200


def test_if_no_one_can_sign_in_the_request_says_so_or_hands_back_the_401(
    library: Library, shared: DemoServer, storage: MemoryStorage
) -> None:
    raising = library.kind(shared.url, storage=storage, prompt=None)
    with pytest.raises(LoginRequired):
        library.post(raising, shared.url, BYTES)
    quiet = library.kind(shared.url, storage=storage, prompt=None, on_failure="response")
    assert library.post(quiet, shared.url, BYTES)[0] == 401
    assert isinstance(quiet.last_error, LoginRequired)


def test_where_no_answer_can_be_made_none_is_promised() -> None:
    with pytest.raises(UsageError, match="on_failure"):
        AiohttpAuth("https://mcp.example.com/mcp", on_failure="rpc")


class Answers:
    """Another server: `reply` answers, and what was sent is kept."""

    def __init__(self, reply: Callable[[Exchange], None]) -> None:
        self.sent: list[Exchange] = []
        self.server = OneOrigin(self)
        self.url = f"http://127.0.0.1:{self.server.server_port}/mcp"
        self._reply, self._thread = reply, threading.Thread(target=self.server.serve_forever)

    def answer(self, exchange: Exchange) -> None:
        self.sent.append(exchange)
        self._reply(exchange)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


def refuses(exchange: Exchange) -> None:
    exchange.reply(401, headers=[("WWW-Authenticate", "Bearer")])


def wants_a_proof_for_where_it_redirects_to(status: int) -> Callable[[Exchange], None]:
    def reply(exchange: Exchange) -> None:
        if exchange.path == "/mcp":
            return exchange.reply(status, headers=[("Location", "/mcp/")])
        claims = exchange.headers["DPoP"].split(".")[1]
        read = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        if (read["htm"], urlsplit(read["htu"]).path) == (exchange.command, "/mcp/"):
            return exchange.reply(200, exchange.body)
        return exchange.reply(401, headers=[("WWW-Authenticate", "DPoP")])

    return reply


@pytest.mark.parametrize(("status", "method", "body"), [(307, "POST", BYTES), (303, "GET", b"")])
def test_where_a_redirect_leads_the_request_there_has_a_proof_of_its_own(
    library: Library, storage: MemoryStorage, status: int, method: str, body: bytes
) -> None:
    with Answers(wants_a_proof_for_where_it_redirects_to(status)) as server:
        client = Client("c", "https://as.example", "dynamic", "none")
        tokens = TokenSet(Secret("bound"), time.time(), time.time() + 600, bound=True)
        held = Credential(
            key_for(server.url), client.issuer, "https://as.example/token", client, tokens
        )
        storage.save(replace(held, dpop_key=make_key("ES256").kept))
        auth = library.kind(server.url, storage=storage, prompt=None)
        assert library.post(auth, server.url, BYTES) == (200, body)
    assert (server.sent[-1].command, server.sent[-1].body) == (method, body)


@pytest.mark.parametrize(
    "person", [by_proof("none"), (DemoServer, {}, {})], ids=["dpop", "bearer"], indirect=True
)
def test_no_token_goes_elsewhere_and_a_refusal_there_asks_no_one(person: Person) -> None:
    person.post()
    with Answers(refuses) as elsewhere:
        assert person.library.post(person.auth, elsewhere.url, BYTES)[0] == 401
        location = [("Location", elsewhere.url)]
        person.server.fail_next("/mcp", 307, headers=location)
        assert person.library.post(person.auth, person.server.url, BYTES)[0] == 401
    assert len(elsewhere.sent) == 2
    assert not [sent for sent in elsewhere.sent if "Authorization" in sent.headers]
    assert "DPoP" not in elsewhere.sent[0].headers
    assert person.browser.visits == 1


@pytest.mark.parametrize("pool", [urllib3, "x", None])
def test_what_is_no_pool_is_said_before_a_token_is_had(pool: Any) -> None:
    auth = Urllib3Auth("https://mcp.example.invalid/mcp", storage=MemoryStorage(), prompt=None)
    with pytest.raises(UsageError, match="PoolManager"):
        auth.request(pool, "GET", "https://mcp.example.invalid/mcp")


def test_an_asynchronous_session_of_niquests_is_refused_before_a_person_is_asked() -> None:
    async def send(request: Any) -> None: ...

    url = "https://mcp.example.invalid/mcp"
    request = requests.Request("POST", url, json=LIST).prepare()
    RequestsAuth(url, storage=MemoryStorage(), prompt=None)(request)
    [answered] = request.hooks["response"]
    response: Any = SimpleNamespace(connection=SimpleNamespace(send=send))
    with pytest.raises(UsageError, match="asynchronous"):
        answered(response)
