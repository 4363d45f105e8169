"""Headers for a gateway go to the origin that they were given for, whoever asks for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3

from mcp_client_auth import MCPAuth, MemoryStorage, Options, UsageError, login
from mcp_client_auth.adapters.aiohttp import MCPAuth as AiohttpAuth
from mcp_client_auth.adapters.mcp_sdk import OAuthClientProvider
from mcp_client_auth.adapters.requests import MCPAuth as RequestsAuth
from mcp_client_auth.adapters.urllib3 import MCPAuth as Urllib3Auth
from mcp_client_auth.credential import dumps, loads
from tests.support.hostile import Exchange, World, challenge, document, redirect, tokens
from tests.support.inside import Inside, credential

GATE = "planted-gate-of-the-tenant"
OPTION = ("--gateway-header", "X-Gate: ${GATE}")


@dataclass
class Seen:
    """Where requests went, and which of them carried the header."""

    world: World
    with_it: list[str]
    without: list[str]

    def at(self, origin: str) -> bool:
        return any(url.startswith(origin) for url in self.with_it)

    @property
    def only_home(self) -> bool:
        return bool(self.with_it) and all(u.startswith(self.world.origin) for u in self.with_it)


@pytest.fixture
def seen(world: World, monkeypatch: pytest.MonkeyPatch) -> Seen:
    noted, plain = Seen(world, [], []), world.answer

    def answer(exchange: Exchange) -> None:
        url = f"http://127.0.0.1:{exchange.server.server_address[1]}{exchange.path}"
        gates = exchange.headers.get_all("X-Gate") or []
        assert gates in ([], [GATE])
        (noted.with_it if gates else noted.without).append(url)
        plain(exchange)

    monkeypatch.setattr(world, "answer", answer)
    return noted


def log_in(inside: Inside, world: World, *words: str) -> None:
    inside.patch.setenv("GATE", GATE)
    inside.log_in(world.url, *OPTION, *words)
    inside.patch.delenv("GATE")


def kept(world: World, **options: Any) -> Any:
    headers = Options(**{"headers": {"X-Gate": GATE}, **options}).gateway_headers(world.url)
    return credential(world.url, issuer=world.issuer, headers=headers)


# What carries them


def test_a_login_carries_them_to_the_server_and_to_no_one_else(
    inside: Inside, world: World, seen: Seen
) -> None:
    log_in(inside, world)
    assert seen.only_home
    assert world.url in seen.with_it
    assert any("oauth-protected-resource" in url for url in seen.with_it)
    assert not [url for url in seen.without if url.startswith(world.origin)]
    assert any(url.startswith(world.issuer) for url in seen.without)


def test_they_are_kept_with_the_login_for_every_later_verb(
    inside: Inside, world: World, seen: Seen
) -> None:
    log_in(inside, world)
    inside.expire(world.url)
    seen.with_it.clear()
    for words in (["request", "-d", "{}"], ["status", "--check"], ["refresh"], ["--force"]):
        seen.without.clear()
        ran = inside(*([words[0], world.url] if words != ["--force"] else [world.url]), *words[1:])
        assert ran.code == 0, ran.err
        inside.browser.join(60)
        assert not [url for url in seen.without if url.startswith(world.origin)], words
    assert inside("logout", world.url).code == 0
    assert seen.only_home


def test_headers_prints_them_with_the_token(inside: Inside, world: World) -> None:
    log_in(inside, world)
    ran = inside("headers", world.url)
    assert json.loads(ran.out) == {"X-Gate": GATE, "Authorization": "Bearer planted-access"}


def test_a_program_gets_them_with_the_token_for_the_servers_origin_alone(world: World) -> None:
    storage = MemoryStorage()
    storage.save(kept(world))
    me = login(world.url, storage=storage, prompt=None)
    both = {"X-Gate": GATE, "Authorization": "Bearer planted-access"}
    assert me.headers() == me.headers("POST", world.url) == both
    assert GATE not in repr(me.headers())
    assert me.headers("GET", world.issuer) == {"Authorization": "Bearer planted-access"}


def test_another_origin_gets_those_that_are_named_for_it(world: World, seen: Seen) -> None:
    storage = MemoryStorage()
    storage.save(kept(world, headers={}, headers_for={world.issuer: {"X-Gate": GATE}}))
    MCPAuth(world.url, storage=storage, prompt=None).session.refresh()
    assert seen.with_it == [world.issuer + "/token"]


# Where they must not go


def test_a_metadata_document_elsewhere_does_not_see_them(
    inside: Inside, world: World, seen: Seen
) -> None:
    world.at("probe", challenge(world.elsewhere + "/metadata"))
    inside.patch.setenv("GATE", GATE)
    assert inside(world.url, *OPTION, "--timeout", "1").code != 0
    assert seen.only_home
    assert world.elsewhere + "/metadata" in seen.without


@pytest.mark.parametrize("spot", ["probe", "resource"])
@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_redirect_elsewhere_does_not_see_them(
    inside: Inside, world: World, seen: Seen, spot: Any, status: int
) -> None:
    world.at(spot, redirect(world.elsewhere + "/mcp", status))
    inside.patch.setenv("GATE", GATE)
    inside(world.url, *OPTION, "--timeout", "1")
    assert seen.only_home


def test_a_redirected_document_of_the_same_origin_does_not_see_them(
    inside: Inside, world: World, seen: Seen
) -> None:
    world.at("resource", redirect(world.origin + "/moved"))
    world.put(world.origin + "/moved", world.usual("resource"))
    log_in(inside, world)
    assert world.origin + "/moved" in seen.without
    assert seen.only_home


def test_a_refresh_at_another_origin_does_not_see_them(world: World, seen: Seen) -> None:
    storage = MemoryStorage()
    storage.save(kept(world))
    MCPAuth(world.url, storage=storage, prompt=None).session.refresh()
    assert (seen.with_it, seen.without) == ([], [world.issuer + "/token"])


@dataclass(frozen=True)
class Library:
    """A host's client, which follows redirects; it returns the status of the last of some POSTs."""

    name: str
    post: Callable[..., int]


def by_httpx(library: Any, kind: Callable[..., Any] = MCPAuth) -> Callable[..., int]:
    def post(url: str, storage: Any, times: int = 1, **sent: str) -> int:
        auth = kind(url, storage=storage, prompt=None)
        with library.Client(auth=auth, follow_redirects=True, trust_env=False) as client:
            answers = [client.post(url, json={}, headers=sent) for _ in range(times)]
        status: int = answers[-1].status_code
        return status

    return post


async def by_async_httpx(url: str, storage: Any, times: int = 1, **sent: str) -> int:
    auth = MCPAuth(url, storage=storage, prompt=None)
    how: Any = {"auth": auth, "follow_redirects": True, "trust_env": False}
    async with httpx2.AsyncClient(**how) as client:
        answers = [await client.post(url, json={}, headers=sent) for _ in range(times)]
    return answers[-1].status_code


def provider(url: str, **arguments: Any) -> Any:
    metadata = SimpleNamespace(redirect_uris=None, client_name=None, scope=None)
    return OAuthClientProvider(url, metadata, **arguments)


def by_requests(url: str, storage: Any, times: int = 1, **sent: str) -> int:
    auth = RequestsAuth(url, storage=storage, prompt=None)
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update(sent)
        return [session.post(url, json={}, auth=auth).status_code for _ in range(times)][-1]


def by_urllib3(url: str, storage: Any, times: int = 1, **sent: str) -> int:
    auth = Urllib3Auth(url, storage=storage, prompt=None)
    with urllib3.PoolManager() as pool:
        answers = [auth.request(pool, "POST", url, json={}, headers=sent) for _ in range(times)]
    status: int = answers[-1].status
    return status


async def by_aiohttp(url: str, storage: Any, times: int = 1, **sent: str) -> int:
    auth = AiohttpAuth(url, storage=storage, prompt=None)
    async with aiohttp.ClientSession(middlewares=(auth,), headers=sent) as session:
        for _ in range(times):
            async with session.post(url, json={}) as answer:
                await answer.read()
    return answer.status


LIBRARIES = [
    Library("httpx", by_httpx(httpx)),
    Library("httpx2", by_httpx(httpx2)),
    Library("async httpx2", lambda *a, **how: asyncio.run(by_async_httpx(*a, **how))),
    Library("mcp_sdk", by_httpx(httpx2, provider)),
    Library("requests", by_requests),
    Library("urllib3", by_urllib3),
    Library("aiohttp", lambda *a, **how: asyncio.run(by_aiohttp(*a, **how))),
]
each_library = pytest.mark.parametrize("library", LIBRARIES, ids=lambda each: each.name)


@pytest.fixture
def storage(world: World) -> MemoryStorage:
    storage = MemoryStorage()
    storage.save(kept(world))
    world.at("refresh", document(tokens(access_token="planted-next")))
    return storage


@each_library
def test_a_hosts_request_carries_them(
    world: World, seen: Seen, storage: MemoryStorage, library: Library
) -> None:
    assert library.post(world.url, storage) == 200
    assert (seen.with_it, seen.without) == ([world.url], [])


@each_library
def test_so_does_each_request_after_it(
    world: World, seen: Seen, storage: MemoryStorage, library: Library
) -> None:
    assert library.post(world.url, storage, times=3) == 200
    assert (seen.with_it, seen.without) == ([world.url] * 3, [])


@each_library
def test_so_does_the_request_with_the_next_token(
    world: World, seen: Seen, storage: MemoryStorage, library: Library
) -> None:
    answers = [challenge(world.origin + "/x"), world.usual("answer")]
    world.at("answer", lambda exchange: answers.pop(0)(exchange))
    aged = kept(world)
    storage.save(credential(world.url, issuer=world.issuer, headers=aged.headers, issued_at=1.0))
    assert library.post(world.url, storage) == 200
    assert seen.with_it == [world.url] * 2
    assert seen.without == [world.issuer + "/token"]


@each_library
@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("again", [False, True])
def test_no_redirect_that_a_host_follows_carries_them(
    world: World,
    seen: Seen,
    storage: MemoryStorage,
    library: Library,
    status: int,
    again: bool,
) -> None:
    """`again`: the redirect comes after a token was refused and the request was sent again."""
    there = redirect(world.elsewhere + "/stolen", status)
    answers = [challenge(world.origin + "/x"), there] if again else [there]
    world.at("answer", lambda exchange: answers.pop(0)(exchange))
    headers = kept(world).headers
    storage.save(credential(world.url, issuer=world.issuer, headers=headers, issued_at=1.0))
    library.post(world.url, storage)
    assert world.elsewhere + "/stolen" in seen.without
    assert seen.only_home


@each_library
def test_one_within_the_origin_does_not_either_and_the_next_request_has_them_again(
    world: World, seen: Seen, storage: MemoryStorage, library: Library
) -> None:
    moved = world.url + "/moved"
    answers = [redirect(moved, 307), world.usual("answer")]
    world.at("answer", lambda exchange: answers.pop(0)(exchange))
    world.put(moved, world.usual("answer"))
    assert library.post(world.url, storage, times=2) == 200
    assert (seen.with_it, seen.without) == ([world.url] * 2, [moved])


@pytest.mark.parametrize("location", ["http://[", "//", "\x7f", ""])
def test_a_redirect_to_what_is_no_url_is_for_the_caller_to_see(
    world: World, storage: MemoryStorage, location: str
) -> None:
    world.at("answer", redirect(location, 302))

    async def main() -> int:
        auth = AiohttpAuth(world.url, storage=storage, prompt=None)
        async with (
            aiohttp.ClientSession(middlewares=(auth,)) as session,
            session.post(world.url, json={}, allow_redirects=False) as answer,
        ):
            return answer.status

    assert asyncio.run(main()) == 302


@each_library
def test_a_header_of_that_name_which_the_caller_sets_is_left(
    world: World, storage: MemoryStorage, library: Library
) -> None:
    sent: list[list[str] | None] = []

    def answer(exchange: Exchange) -> None:
        sent.append(exchange.headers.get_all("X-Gate"))
        exchange.reply(200, b"{}")

    world.put(world.url, answer)
    assert library.post(world.url, storage, times=2, **{"x-gate": "own"}) == 200
    assert sent == [["own"], ["own"]]


def test_a_request_to_another_url_does_not_carry_them(
    world: World, seen: Seen, storage: MemoryStorage
) -> None:
    auth = MCPAuth(world.url, storage=storage, prompt=None)
    with httpx.Client(auth=auth, trust_env=False) as client:
        for url in (world.elsewhere + "/mcp", world.issuer + "/x", world.origin + "/else"):
            client.post(url, json={})
    assert seen.with_it == []


# That they are secrets


def test_no_word_of_ours_shows_them(inside: Inside, world: World) -> None:
    inside.patch.setenv("GATE", GATE)
    ran = inside.log_in(world.url, *OPTION, "-v", "--trace", "trace")
    told = ran.out + ran.err + Path("trace").read_text()
    told += repr(Options(headers={"X-Gate": GATE}, headers_for={"https://a.b": {"X-Gate": GATE}}))
    told += repr(kept(world)) + inside("status", world.url).out + inside("list").out
    assert GATE not in told
    index = inside.record(world.url, ".json").read_text()
    assert GATE not in index


def test_a_record_holds_them_and_one_without_them_does_not_name_them(world: World) -> None:
    login = kept(world)
    assert loads(dumps(login), "") == login
    assert '"headers"' not in dumps(kept(world, headers={}))


@pytest.mark.parametrize("file", [False, True], ids=["variable", "file"])
def test_the_value_comes_from_a_variable_or_a_file(
    inside: Inside, world: World, seen: Seen, file: bool
) -> None:
    Path("gate").write_text(GATE + "\n")
    source = "@gate" if file else "${GATE}"
    inside.patch.setenv("GATE", GATE)
    inside.log_in(world.url, "--gateway-header", f"X-Gate: {source}")
    assert seen.only_home


@pytest.mark.parametrize(
    "line",
    [
        f"X-Gate: {GATE}",
        "X-Gate",
        "X-Gate:",
        "X-Gate: ${NOT_SET}",
        "X-Gate: $GATE",
        "X-Gate: ${GATE}x",
        "X-Gate: @not/there",
        ": ${GATE}",
        "X Gate: ${GATE}",
        "Authorization: ${GATE}",
        "dpop: ${GATE}",
        "HOST: ${GATE}",
        "Cookie: ${GATE}",
        "Mcp-Session-Id: ${GATE}",
        "Content-Type: ${GATE}",
        "Proxy-Authorization: ${GATE}",
        "X-Gate: ${LINES}",
        "X-Gate: ${BEYOND}",
    ],
)
def test_what_cannot_be_is_a_usage_error_that_does_not_repeat_it(
    inside: Inside, world: World, line: str
) -> None:
    values = {"GATE": GATE, "LINES": f"{GATE}\r\nX-More: 1", "BEYOND": GATE + "ä"}
    ran = inside(world.url, "--gateway-header", line, stdin=b"", **values)
    assert (ran.code, ran.out) == (2, "")
    assert GATE not in ran.err
    assert world.visited == []


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"Cookie": GATE}},
        {"headers": {"X-Gate": ""}},
        {"headers": {"X-Gate": GATE, "x-gate": GATE}},
        {"headers_for": {"https://a.example/path": {"X-Gate": GATE}}},
        {"headers_for": {"a.example": {"X-Gate": GATE}}},
        {"headers_for": {"https://a.example": {"DPoP": GATE}}},
    ],
    ids=str,
)
def test_a_program_is_told_the_same(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        Options(**options)
    assert GATE not in str(caught.value)


def test_a_name_from_a_file_nearby_gets_none(inside: Inside, world: World) -> None:
    inside.names({"notes": world.url})
    ran = inside("login", "notes", *OPTION, stdin=b"", GATE=GATE)
    assert ran.code == 2
    assert "--gateway-header" in ran.err
    assert world.visited == []


def test_other_headers_are_a_reason_to_log_in_again(
    inside: Inside, world: World, seen: Seen
) -> None:
    inside.log_in(world.url)
    log_in(inside, world)
    assert world.url in seen.with_it
    ran = inside(world.url, *OPTION, stdin=b"", GATE=GATE)
    assert "already logged in" in ran.err
