"""An application logs its users in: another browser, response, server or page gains nothing."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import anyio
import pytest

from mcp_client_auth import (
    AuthError,
    Credential,
    HttpTransport,
    InsecureUrl,
    IssuerMismatch,
    Login,
    LoginFailed,
    Logins,
    MemoryStorage,
    Options,
    PendingLogin,
    Untrusted,
    UsageError,
    begin_login,
    finish_login,
)
from mcp_client_auth.credential import key_for
from tests.support.app_browser import CALLBACK
from tests.support.codes import coded
from tests.support.loopback_server import LoopbackServer, says
from tests.support.session_world import ISSUER, OTHER, SERVER, World, credential

PER_ISSUER = "https://app.example/callback/{issuer}"
NOT_THIS = coded("not_this_login")


class Victim:
    """An application of two users; each has a browser of their own."""

    def __init__(self) -> None:
        self.world, self.storage = World(), MemoryStorage()

    def begin(
        self, account: str = "ada", redirect_uri: str = CALLBACK, **more: Any
    ) -> PendingLogin:
        usual = {"storage": self.storage, "transport": self.world, **more}
        return begin_login(SERVER, redirect_uri=redirect_uri, account=account, **usual)

    def query(self, pending: PendingLogin) -> str:
        return self.world.authorization.consent(pending.url, allow=True)

    def finish(self, pending: PendingLogin, callback: str, **more: Any) -> Login:
        usual = {"binding": pending.binding, "transport": self.world, **more}
        return finish_login(pending, callback, **usual)

    @property
    def kept(self) -> list[Credential]:
        found = (self.storage.load(entry.key) for entry in self.storage.list())
        return [each for each in found if each]

    def without_iss(self) -> None:
        """Move the sign-in page elsewhere, so that nothing tells whose response it is."""
        server = self.world.authorization
        metadata = server.metadata() | {
            "authorization_endpoint": OTHER + "/authorize",
            "authorization_response_iss_parameter_supported": False,
        }
        server.metadata = lambda: metadata  # type: ignore[method-assign]


@pytest.fixture
def victim() -> Victim:
    return Victim()


@pytest.mark.parametrize("binding", [None, "", "another browser's"])
def test_the_browser_of_another_cannot_finish_a_login(binding: str | None, victim: Victim) -> None:
    """Login CSRF: the attacker sends the address of their own response to somebody else."""
    pending = victim.begin()
    callback = f"{CALLBACK}?{victim.query(pending)}"
    with pytest.raises(Untrusted, check=NOT_THIS):
        victim.finish(pending, callback, binding=binding)
    assert victim.world.forms == []
    assert victim.kept == []
    assert victim.finish(pending, callback)  # the attempt has not used it up


def test_the_binding_of_another_login_of_the_same_person_does_not_help(victim: Victim) -> None:
    first, second = victim.begin(), victim.begin()
    assert first.binding != second.binding
    with pytest.raises(Untrusted, check=NOT_THIS):
        victim.finish(first, f"{CALLBACK}?{victim.query(first)}", binding=second.binding)


def test_the_response_to_another_login_is_not_taken(victim: Victim) -> None:
    """Session fixation: the code of the attacker's account in the login of somebody else."""
    ada, eve = victim.begin("ada"), victim.begin("eve")
    theirs = victim.query(eve)
    with pytest.raises(Untrusted, check=NOT_THIS):
        victim.finish(ada, f"{CALLBACK}?{theirs}")
    spliced = victim.query(ada).replace("code=", "code=stolen&code=")
    with pytest.raises(Untrusted, check=NOT_THIS):
        victim.finish(ada, f"{CALLBACK}?{spliced}")
    assert victim.world.forms == []


def test_a_response_is_good_once(victim: Victim) -> None:
    pending = victim.begin()
    callback = f"{CALLBACK}?{victim.query(pending)}"
    victim.finish(pending, callback)
    for _ in range(3):
        with pytest.raises(LoginFailed, check=coded("spent")):
            victim.finish(pending, callback)
    assert len(victim.world.forms) == 1


def test_what_was_kept_for_another_person_does_not_open(victim: Victim) -> None:
    key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    pending = victim.begin("ada")
    for how in ({"account": "eve"}, {"account": "ada", "state": "x"}, {}):
        with pytest.raises(Untrusted, check=NOT_THIS):
            PendingLogin.unseal(pending.seal(key), key, **{"state": pending.state, **how})
    with pytest.raises(Untrusted, check=NOT_THIS):  # what a cache returns if it has no entry
        PendingLogin.unseal(None, key, state="x")
    kept = pending.seal(key).encode()
    assert PendingLogin.unseal(kept, key, state=pending.state, account="ada").account == "ada"


@pytest.mark.parametrize("answer", ["code=stolen", "error=access_denied&error_description=Call+us"])
def test_an_answer_of_another_issuer_is_not_used_and_not_shown(answer: str, victim: Victim) -> None:
    pending = victim.begin()
    hostile = f"{CALLBACK}?state={pending.state}&iss={OTHER}&{answer}"
    with pytest.raises(IssuerMismatch) as caught:
        victim.finish(pending, hostile)
    assert "Call us" not in str(caught.value)
    assert victim.world.forms == []
    assert victim.finish(pending, f"{CALLBACK}?{victim.query(pending)}")


@pytest.mark.parametrize(
    "callback", ["", "?", CALLBACK, "code=x", "?state=", "\0", "%", "a" * 100_000]
)
def test_a_callback_that_says_nothing_does_no_harm(callback: str, victim: Victim) -> None:
    pending = victim.begin()
    with pytest.raises(Untrusted, check=NOT_THIS):
        victim.finish(pending, callback)
    assert victim.finish(pending, "?" + victim.query(pending))


def test_one_page_for_all_is_not_used_where_nothing_tells_whose_response_it_is(
    victim: Victim,
) -> None:
    victim.without_iss()
    with pytest.raises(Untrusted, check=coded("mix_up")) as caught:
        victim.begin()
    assert "{issuer}" in caught.value.hint
    assert victim.world.authorization.registrations == []
    assert victim.begin(options=Options(allow_mix_up=True))
    assert victim.begin(options=Options(issuer=ISSUER))


def test_a_response_at_the_page_of_another_issuer_is_not_taken(victim: Victim) -> None:
    victim.without_iss()
    pending = victim.begin(redirect_uri=PER_ISSUER)
    own = pending.request.redirect_uri
    assert "{" not in own
    query = victim.query(pending).replace("iss=", "x=")
    theirs = own.rpartition("/")[0] + "/" + "0" * 12
    with pytest.raises(Untrusted, check=NOT_THIS):
        victim.finish(pending, f"{theirs}?{query}&y={own}")
    with pytest.raises(UsageError, match="whole URL"):
        victim.finish(pending, query)
    assert victim.world.forms == []
    # behind a proxy an application may see another host, and a shorter path
    assert victim.finish(
        pending, f"http://10.0.0.1:8000{own.removeprefix('https://app.example')}?{query}"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://mcp.example.com/mcp",
        "http://127.0.0.1/mcp",
        "https://127.0.0.1/mcp",
        "https://localhost/mcp",
        "https://app.localhost/mcp",
        "https://[::1]/mcp",
        "https://10.0.0.1/mcp",
        "https://169.254.169.254/mcp",
        "https://[::ffff:10.0.0.1]/mcp",
        "https://0x7f000001/mcp",
        "https://127.1/mcp",
    ],
)
def test_a_user_cannot_name_a_server_inside(url: str) -> None:
    with pytest.raises(InsecureUrl):
        begin_login(url, redirect_uri=CALLBACK, storage=MemoryStorage())


@pytest.fixture
def inside() -> Iterator[LoopbackServer]:
    with LoopbackServer(says()) as server:
        yield server


Resolve = Callable[..., None]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """A host has these addresses, one after the other."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)

    def install(*addresses: str) -> None:
        left = list(addresses)

        def getaddrinfo(host: str, port: int | None, *_: object, **__: object) -> list[object]:
            address = left.pop(0) if len(left) > 1 else left[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port or 0))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return install


@pytest.mark.parametrize("own", [False, True], ids=["usual transport", "own transport"])
@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254"])
def test_a_name_that_leads_inside_is_refused_when_it_is_connected_to(
    address: str, own: bool, resolve: Resolve, inside: LoopbackServer
) -> None:
    resolve(address)
    url = f"https://mcp.example.com:{inside.port}/mcp"
    with pytest.raises(InsecureUrl, check=coded("private_server")):
        begin_login(
            url,
            redirect_uri=CALLBACK,
            storage=MemoryStorage(),
            transport=HttpTransport(url, on_tls=lambda *_: None) if own else None,
        )
    assert inside.requests == []


def test_a_server_that_moves_inside_after_the_login_gets_no_request(
    resolve: Resolve, inside: LoopbackServer
) -> None:
    resolve("127.0.0.1")
    url, storage = f"https://mcp.example.com:{inside.port}/mcp", MemoryStorage()
    storage.save(replace(credential(World(), lifetime=None), key=key_for(url)))
    auth = Logins(storage, redirect_uri=CALLBACK).auth(url, account="default")
    me = auth.login()
    with me.client() as http, pytest.raises(InsecureUrl, check=coded("private_server")):
        http.get(url)
    with pytest.raises(InsecureUrl, check=coded("private_server")):
        me.tools()

    async def get() -> None:
        async with me.async_client() as http:
            await http.get(url)

    with pytest.raises(InsecureUrl, check=coded("private_server")):
        anyio.run(get)
    assert inside.requests == []
    me.close()


def test_what_a_public_server_may_name_its_user_s_own_host_may_not_be(
    resolve: Resolve, inside: LoopbackServer
) -> None:
    resolve("127.0.0.1")
    with pytest.raises(InsecureUrl, check=coded("private_server")):
        begin_login(
            f"https://mcp.example.com:{inside.port}/mcp",
            redirect_uri=CALLBACK,
            storage=MemoryStorage(),
            options=Options(allow_private_addresses=True),
        )
    assert inside.requests == []


def test_a_host_that_may_be_inside_is_reached(resolve: Resolve, inside: LoopbackServer) -> None:
    resolve("127.0.0.1")
    url = f"https://mcp.example.com:{inside.port}/mcp"
    for allowed in (["MCP.example.com"], lambda named: named == url):
        with pytest.raises(AuthError) as caught:  # it speaks no TLS
            begin_login(
                url,
                redirect_uri=CALLBACK,
                storage=MemoryStorage(),
                allow_private_servers=allowed,
            )
        assert caught.value.code not in ("private_server", "forbidden_address")


@pytest.mark.parametrize("allowed", ["mcp.example.com", [5], True, 5])
def test_what_is_no_list_of_hosts_allows_nothing(allowed: Any, victim: Victim) -> None:
    with pytest.raises(UsageError, match="not a list of hosts"):
        victim.begin(allow_private_servers=allowed)
    assert victim.world.sent == []


@pytest.mark.parametrize("page", ["javascript:alert(1)", "http://evil.example/", "//evil.example"])
def test_the_application_sends_no_browser_to_a_page_of_another_kind(
    page: str, victim: Victim
) -> None:
    server = victim.world.authorization
    metadata = server.metadata() | {"authorization_endpoint": page}
    server.metadata = lambda: metadata  # type: ignore[method-assign]
    with pytest.raises(InsecureUrl):
        victim.begin()


def test_nothing_secret_is_logged_or_shown_on_the_way(
    victim: Victim, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[str] = []
    caplog.set_level(logging.DEBUG)
    pending = victim.begin(on_event=lambda event: events.append(repr(event)))
    callback = f"{CALLBACK}?{victim.query(pending)}"
    me = victim.finish(pending, callback, on_event=lambda event: events.append(repr(event)))
    shown = repr(pending) + repr(me) + repr(events) + caplog.text
    code = victim.world.forms[0]["code"]
    verifier = pending.request.verifier.reveal()
    assert not [each for each in (pending.binding, verifier, f"={code}") if each in shown]
