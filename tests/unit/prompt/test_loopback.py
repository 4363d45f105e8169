from __future__ import annotations

import errno
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest

from mcp_client_auth.errors import LoginFailed, UsageError
from mcp_client_auth.prompt import loopback
from mcp_client_auth.prompt.loopback import Listener
from mcp_client_auth.prompt.page import Page
from tests.support.ports import free_port

SERVER = "https://mcp.example.com/mcp"


class Login:
    """A listener whose right answer is `?code=c&state=s`, and what it was offered."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.offered: list[str] = []
        self.taken = threading.Event()
        self.pool = ThreadPoolExecutor()
        listener.start(self.offer)

    def offer(self, query: str) -> bool:
        self.offered.append(query)
        right = query == "code=c&state=s"
        if right:
            self.taken.set()
        return right

    def get(self, query: str, **headers: str) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=60) as client:
            return client.get(self.listener.redirect_uri + query, headers=headers)

    def answer(self) -> Future[httpx.Response]:
        page = self.pool.submit(self.get, "?code=c&state=s")
        assert self.taken.wait(60)
        return page


@pytest.fixture
def login() -> Iterator[Login]:
    with Listener() as listener:
        login = Login(listener)
        yield login
    login.pool.shutdown()


def test_the_port_is_bound_before_anything_is_started() -> None:
    with Listener() as listener:
        assert listener.redirect_uri == f"http://127.0.0.1:{listener.port}/callback"
        socket.create_connection(("127.0.0.1", listener.port), 5).close()


def test_the_path_can_be_one_of_its_own() -> None:
    with Listener(path="/callback/a1b2") as listener:
        assert listener.redirect_uri.endswith(f":{listener.port}/callback/a1b2")
        assert Login(listener).get("?code=x&state=y").status_code == 400


def test_a_redirect_uri_without_a_path_stays_without_one() -> None:
    with Listener(path="") as listener:
        assert listener.redirect_uri == f"http://127.0.0.1:{listener.port}"
        assert Login(listener).get("?code=x&state=y").status_code == 400
        short = listener.shorten("https://as.example/authorize", print)
        assert httpx.get(short, trust_env=False).headers["location"].startswith("https://as.")


@pytest.mark.parametrize("host", ["0.0.0.0", "", "example.com", "192.168.1.1", "::", "127.0.0.2"])
def test_only_the_loopback_is_listened_on(host: str) -> None:
    with pytest.raises(UsageError, match="localhost"):
        Listener(host=host)


@pytest.mark.parametrize("path", ["callback", "/a?b", "/a#b", "/a b", "/ä", "/%2e", "/a\r\n"])
def test_a_path_that_a_browser_would_change_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="path"):
        Listener(path=path)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(UsageError, match=str(port)):
        Listener(port=port)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]"])
def test_a_callback_arrives_at_each_loopback_host(host: str) -> None:
    if ":" in host:
        needs_v6()
    with Listener(host=host) as listener:
        assert Login(listener).get("?code=x&state=y").status_code == 400


def needs_v6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no ::1 on this machine")


def test_localhost_is_both_addresses_on_one_port() -> None:
    needs_v6()
    with Listener(host="localhost") as listener:
        login = Login(listener)
        for address in ("127.0.0.1", "[::1]"):
            url = f"http://{address}:{listener.port}/callback?state=x"
            for host in (f"localhost:{listener.port}", f"{address}:{listener.port}"):
                answer = httpx.get(url, headers={"Host": host}, trust_env=False)
                assert answer.status_code == 400
        assert login.offered == ["state=x"] * 4


def test_of_port_80_a_browser_leaves_out_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    bind, ports = loopback._bind, list[int]()

    def as_if_on_80(listener: Listener, host: str, port: int) -> Any:
        servers = bind(listener, host, 0)  # 80 is the system's
        ports.append(servers[0].server_address[1])
        servers[0].server_address = (host, port)
        return servers

    monkeypatch.setattr(loopback, "_bind", as_if_on_80)
    with Listener(port=80) as listener:
        login = Login(listener)
        for host in ("127.0.0.1", "127.0.0.1:80"):
            url = f"http://127.0.0.1:{ports[0]}/callback?state={len(host)}"
            httpx.get(url, headers={"Host": host}, trust_env=False)
        assert login.offered == ["state=9", "state=12"]


def test_the_last_port_is_one() -> None:
    with suppress(LoginFailed):  # it may be busy
        Listener(port=65535).close()
    with pytest.raises(UsageError):
        Listener(port=65536)


def test_a_request_that_was_refused_as_it_was_read_is_no_answer(login: Login) -> None:
    """Nothing that came after the first hundred of its headers has been looked at."""
    many = {f"X-{number}": "x" for number in range(120)}
    assert login.get("?code=c&state=s", **many).status_code == 431
    assert login.offered == []


def test_localhost_makes_do_with_127_0_0_1_where_there_is_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bind = socket.socket.bind

    class WithoutSix(socket.socket):
        def bind(self, address: object) -> None:
            if self.family == socket.AF_INET6:
                raise OSError(99, "Cannot assign requested address")
            bind(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "socket", WithoutSix)
    with Listener(host="localhost") as listener:
        assert listener.hosts == {f"localhost:{listener.port}", f"127.0.0.1:{listener.port}"}
    with pytest.raises(LoginFailed, match="no callback can arrive") as caught:
        Listener(host="::1")
    assert caught.value.code == "no_listener"


def test_a_pinned_port_that_is_busy_is_named() -> None:
    with Listener() as first:
        with pytest.raises(LoginFailed, match=str(first.port)) as caught:
            Listener(port=first.port)
        assert caught.value.code == "port_in_use"
        assert "another port" in caught.value.hint


def test_a_pinned_port_that_is_busy_on_one_address_only_is_busy() -> None:
    with Listener(host="localhost") as both:
        if len(both.hosts) < 3:
            pytest.skip("no ::1 on this machine")
    with Listener(host="::1", port=free_port()) as six:
        with pytest.raises(LoginFailed, match=str(six.port)):
            Listener(host="localhost", port=six.port)
        # The half that could be bound was let go.
        Listener(host="127.0.0.1", port=six.port).close()


def test_a_free_port_that_somebody_has_at_the_other_address_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who held `[::1]` at our port would get the code that is meant for `localhost`."""
    with Listener(host="localhost") as both:
        if len(both.hosts) < 3:
            pytest.skip("no ::1 on this machine")
    bind, refused = socket.socket.bind, list[int]()

    class Taken(socket.socket):
        def bind(self, address: Any) -> None:
            if self.family == socket.AF_INET6 and (not refused or address[1] in refused):
                refused.append(address[1])
                raise OSError(errno.EADDRINUSE, "Address already in use")
            bind(self, address)

    monkeypatch.setattr(socket, "socket", Taken)
    with Listener(host="localhost") as listener:
        assert f"[::1]:{listener.port}" in listener.hosts
        assert refused
        assert listener.port not in refused


def test_a_pinned_port_is_used() -> None:
    port = free_port()
    with Listener(port=port) as listener:
        assert listener.port == port


def test_the_name_service_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> str:
        raise AssertionError("socket.getfqdn was called")

    monkeypatch.setattr(socket, "getfqdn", asked)
    Listener().close()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("signed-in", "Signed in"),
        ("denied", "Access not granted"),
        ("failed", "The login did not finish"),
    ],
)
def test_the_page_is_held_and_tells_the_truth(login: Login, kind: str, words: str) -> None:
    page = login.answer()
    assert not page.done()
    login.listener.finish(Page(kind, SERVER, "work"))  # type: ignore[arg-type]
    answer = page.result(60)
    assert answer.status_code == 200
    assert f"<h1>{words}</h1>" in answer.text
    assert SERVER in answer.text
    assert "“work”" in answer.text


def test_a_page_that_is_held_too_long_says_that_the_login_is_still_at_work(login: Login) -> None:
    login.listener.hold = 0.05
    answer = login.answer().result(60)
    assert answer.status_code == 200
    assert "Not finished yet" in answer.text
    login.listener.finish(Page("failed", SERVER, "work"))


def test_a_page_is_held_for_a_quarter_of_a_minute(login: Login) -> None:
    held: list[float] = []

    class Over(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            held.append(timeout or 0.0)
            return False

    login.listener._over = Over()
    assert "Not finished yet" in login.answer().result(60).text
    assert held == [15.0]


def test_closing_does_not_wait_once_the_page_is_written(login: Login) -> None:
    login.listener.linger = 3600.0
    page = login.answer()
    login.listener.close()
    assert page.result(60).status_code == 200


def test_a_login_that_ends_before_the_offer_returns_still_shows_its_page() -> None:
    with Listener() as listener, ThreadPoolExecutor() as pool:
        closed: list[Future[None]] = []

        def offer(_: str) -> bool:
            listener.finish(Page("signed-in", SERVER, "work"))
            closed.append(pool.submit(listener.close))
            while not listener._closed:
                threading.Event().wait(0.01)
            return True

        listener.start(offer)
        answer = httpx.get(listener.redirect_uri + "?code=c", trust_env=False)
        assert "Signed in" in answer.text


def test_a_reload_of_the_page_is_the_same_answer(login: Login) -> None:
    login.listener.hold = 0.05
    login.answer().result(60)
    assert "Not finished yet" in login.get("?code=c&state=s").text
    assert login.get("?code=other&state=s").status_code == 410
    assert login.offered == ["code=c&state=s"]


def test_of_two_ends_the_first_is_shown(login: Login) -> None:
    page = login.answer()
    login.listener.finish(Page("denied", SERVER, "work"))
    login.listener.finish(Page("signed-in", SERVER, "work"))
    assert "Access not granted" in page.result(60).text


def test_closing_shows_the_held_page_a_failure_before_it_goes(login: Login) -> None:
    page = login.answer()
    login.listener.close()
    answer = page.result(60)
    assert "The login did not finish" in answer.text
    assert "Server" not in answer.text.partition("<h1>")[2]


def test_closing_waits_for_the_page_to_be_written(login: Login) -> None:
    page = login.answer()
    login.listener.finish(Page("signed-in", SERVER, "work"))
    login.listener.close()
    assert "Signed in" in page.result(60).text


def test_closing_twice_or_without_a_start_is_nothing() -> None:
    listener = Listener()
    listener.close()
    listener.close()


@pytest.mark.usefixtures("ports_of_ours")
@pytest.mark.parametrize("served", [False, True])
def test_the_port_is_free_again_at_once(login: Login, served: bool) -> None:
    if served:  # our side closed the connection: it is in TIME_WAIT now
        assert login.get("?state=wrong").status_code == 400
    login.listener.close()
    with Listener(port=login.listener.port) as second:
        assert Login(second).get("?state=wrong").status_code == 400


@pytest.mark.usefixtures("ports_of_ours")
def test_the_port_is_free_at_once_while_connections_are_open(login: Login) -> None:
    idle = socket.create_connection(("127.0.0.1", login.listener.port), 5)
    page = login.answer()
    with idle:
        login.listener.close()
        Listener(port=login.listener.port).close()
        assert idle.recv(1) == b""
    assert page.result(60).status_code == 200


def test_no_thread_is_left() -> None:
    before = set(threading.enumerate())
    with Listener() as listener:
        login = Login(listener)
        idle = socket.create_connection(("127.0.0.1", listener.port), 5)
        login.get("?state=wrong")
        page = login.answer()
    page.result(60)
    login.pool.shutdown()
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()
    idle.close()


def test_every_thread_is_a_daemon(login: Login) -> None:
    before = {thread for thread in threading.enumerate() if not thread.daemon}
    inside: set[threading.Thread] = set()
    with Listener() as listener:

        def offer(_: str) -> bool:
            inside.add(threading.current_thread())
            return False

        listener.start(offer)
        httpx.get(listener.redirect_uri, trust_env=False)
        assert {thread for thread in threading.enumerate() if not thread.daemon} <= before
    assert all(thread.daemon for thread in inside)


def test_two_listeners_at_a_time_do_not_cross() -> None:
    with Listener() as one, Listener() as other:
        first, second = Login(one), Login(other)
        page = first.answer()
        one.finish(Page("signed-in", SERVER, "first"))
        assert "“first”" in page.result(60).text
        assert second.offered == []
        page = second.answer()
        other.finish(Page("denied", SERVER, "second"))
        assert "“second”" in page.result(60).text


def test_an_offer_that_raises_counts_as_no() -> None:
    def offer(_: str) -> bool:
        raise RuntimeError("code=secret")

    with Listener() as listener:
        listener.start(offer)
        for _ in range(2):
            assert httpx.get(listener.redirect_uri, trust_env=False).status_code == 400


def test_the_raw_query_is_offered(login: Login) -> None:
    login.get("?code=a%2Fb+c&state=%C3%A4&x")
    assert login.offered == ["code=a%2Fb+c&state=%C3%A4&x"]


def test_every_answer_carries_the_headers_and_no_version(login: Login) -> None:
    for answer in (login.get("?state=x"), login.get("/nowhere"), login.get("", Host="evil")):
        headers = answer.headers
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["connection"] == "close"
        assert headers["server"] == "mcp-login"
        policy = headers["content-security-policy"].split("; ")
        assert policy[0] == "default-src 'none'"
        assert {"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} < set(policy)
        assert "unsafe" not in headers["content-security-policy"]


def test_on_windows_the_port_is_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    options: list[int] = []

    class Recorder(socket.socket):
        def setsockopt(self, *arguments: Any) -> None:
            options.append(arguments[1])

    exclusive = ~socket.SO_REUSEADDR
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", exclusive, raising=False)
    monkeypatch.setattr(socket, "socket", Recorder)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(loopback._Server, "allow_reuse_address", False)
    Listener().close()
    assert options == [exclusive]
