"""A connection made ahead of a login: used once if it can be, and otherwise without a trace."""

from __future__ import annotations

import gc
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mcp_client_auth import HttpTransport
from mcp_client_auth.errors import Unavailable, Untrusted
from mcp_client_auth.protocol.flow import HttpRequest
from mcp_client_auth.transport import ahead, connect
from mcp_client_auth.transport.ahead import Ahead
from tests.support.listening import Listening
from tests.support.loopback_server import received
from tests.support.mutual_tls import Authority
from tests.support.proxies import Proxy

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
PATIENCE = 20.0


class Tls(Listening):
    """Keeps connections; `refuses` is how many of the first ones end as a request arrives."""

    def __init__(self, folder: Path, refuses: int = 0) -> None:
        super().__init__()
        self.url = f"https://127.0.0.1:{self.port}/mcp"
        self.authority = Authority(folder)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate, key = self.authority.issue("server")
        self.certificate = Path(certificate).read_text()
        self._context.load_cert_chain(certificate, key)
        self.refuses = refuses
        self.requests: list[int] = []  # of each connection whose handshake is done
        self.shaken, self.ended = threading.Semaphore(0), threading.Semaphore(0)
        self.hang_up = threading.Event()

    def transport(self, proxy: str | None = None) -> HttpTransport:
        return HttpTransport(self.url, verify=self.authority.file, proxy=proxy)

    def begun(self) -> Ahead:
        return begun(self.transport())

    def _serve(self, connection: socket.socket) -> None:
        number = len(self.requests)
        self.requests.append(0)
        with suppress(OSError), self._context.wrap_socket(connection, server_side=True) as tls:
            self.shaken.release()
            if self.hang_up.is_set():
                self.hang_up.clear()
            else:
                while received(tls):
                    self.requests[number] += 1
                    if number < self.refuses:
                        break
                    tls.sendall(ANSWER)
        self.ended.release()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Tls]:
    with Tls(tmp_path) as made:
        yield made


def begun(transport: HttpTransport) -> Ahead:
    made = transport.ahead()
    made.begin()
    return made


def get(server: Tls) -> HttpRequest:
    return HttpRequest("GET", server.url)


def until(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


def no_thread() -> bool:
    return not any(thread.name == "mcp ahead" for thread in threading.enumerate())


def test_the_first_request_of_the_flow_goes_over_it(server: Tls) -> None:
    flow = server.begun().take()
    assert flow is not None
    assert server.shaken.acquire(timeout=PATIENCE)
    assert server.requests == [0], "nothing is sent before it is needed"
    for _ in range(2):
        assert flow(get(server)).status == 200
    assert server.requests == [2]
    flow.close()
    assert server.ended.acquire(timeout=PATIENCE)
    assert until(no_thread)


def test_its_address_is_remembered_with_it(server: Tls) -> None:
    flow = server.begun().take()
    assert flow is not None
    assert flow.addresses._reached == {"127.0.0.1"}
    flow.close()


def test_who_watches_the_certificates_sees_it_with_the_request(server: Tls) -> None:
    seen: list[tuple[str, bytes | None]] = []
    transport = server.transport()
    transport.on_tls = lambda url, tls: seen.append((url, tls.getpeercert(True)))
    flow = begun(transport).take()
    assert flow is not None
    assert seen == []
    flow(get(server))
    flow.close()
    assert seen == [(server.url, ssl.PEM_cert_to_DER_cert(server.certificate))]


def test_the_end_of_the_process_does_not_wait_for_it(server: Tls) -> None:
    before = set(threading.enumerate())
    made = server.begun()
    threads = [each for each in set(threading.enumerate()) - before if each.name == "mcp ahead"]
    assert [each.daemon for each in threads] == [True]
    made.close()
    assert until(no_thread)


def test_it_is_taken_once(server: Tls) -> None:
    made = server.begun()
    flow = made.take()
    assert flow is not None
    assert made.take() is None
    flow.close()


@pytest.mark.filterwarnings("error")
def test_what_is_not_needed_ends_without_a_trace(server: Tls) -> None:
    made = server.begun()
    made.close()
    assert until(no_thread)
    assert made.take() is None
    gc.collect()  # a socket that was left open would be told of
    assert server.ended.acquire(timeout=PATIENCE)
    assert server.requests == [0]


def test_what_nobody_takes_ends_by_itself(server: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may serve one connection at a time, and the caller's own request waits then."""
    monkeypatch.setattr(ahead, "_PATIENCE", 0.05)
    made = server.begun()
    assert server.ended.acquire(timeout=PATIENCE)
    assert until(no_thread)
    assert made.take() is None


def test_a_flow_that_is_closed_ends_one_that_it_did_not_use(server: Tls) -> None:
    flow = server.begun().take()
    assert flow is not None
    flow.close()
    assert server.ended.acquire(timeout=PATIENCE)


def test_one_that_the_server_has_ended_is_not_used(server: Tls) -> None:
    server.hang_up.set()
    flow = server.begun().take()
    assert flow is not None
    assert server.ended.acquire(timeout=PATIENCE)
    assert flow(HttpRequest("POST", server.url)).status == 200
    assert server.requests == [0, 1]
    flow.close()


def test_one_that_is_idle_for_long_is_not_used(
    server: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "_AHEAD", 0.0)
    flow = server.begun().take()
    assert flow is not None
    assert flow(HttpRequest("POST", server.url)).status == 200
    assert server.requests == [0, 1]
    flow.close()


def test_one_that_breaks_is_made_again_for_what_may_be_sent_twice(tmp_path: Path) -> None:
    with Tls(tmp_path, refuses=1) as server:
        flow = server.begun().take()
        assert flow is not None
        assert flow(get(server)).status == 200
        assert server.requests == [1, 1]
        flow.close()


def test_and_not_for_what_may_be_sent_once_only(tmp_path: Path) -> None:
    with Tls(tmp_path, refuses=1) as server:
        flow = server.begun().take()
        assert flow is not None
        with pytest.raises(Unavailable):
            flow(HttpRequest("POST", server.url, body=b"grant_type=refresh_token"))
        assert server.requests == [1]
        flow.close()


def test_no_proxy_is_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy(0) as proxy:
        transport = HttpTransport("https://mcp.example.com/", proxy=proxy.url)
        flow = begun(transport).take()
        assert flow is not None
        flow.close()
        assert proxy.connections == 0


def test_clear_text_has_no_handshake_to_save() -> None:
    with Listening() as server:
        flow = begun(HttpTransport(f"http://127.0.0.1:{server.port}/")).take()
        assert flow is not None
        flow.close()
        assert server.connections == 0


def test_of_a_certificate_that_is_not_trusted_the_request_tells(server: Tls) -> None:
    flow = begun(HttpTransport(server.url)).take()
    assert flow is not None
    with pytest.raises(Untrusted):
        flow(get(server))
    flow.close()


@pytest.mark.parametrize("url", ["https://no-such-host.invalid/", "https://127.0.0.1:1/"])
def test_a_server_that_is_not_there_is_told_of_by_the_request(url: str) -> None:
    flow = begun(HttpTransport(url)).take()
    assert flow is not None
    with pytest.raises(Unavailable):
        flow(HttpRequest("GET", url))
    flow.close()


def test_of_a_crowd_most_do_without(server: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_MOST", 2)
    many = [server.begun() for _ in range(5)]
    flows = [each.take() for each in many]
    assert [flow is not None for flow in flows] == [True, True, False, False, False]
    for flow in flows[:2]:
        assert flow is not None
        flow.close()
    assert until(lambda: not ahead._live)


def test_a_forked_child_waits_for_no_thread_of_its_parent(server: Tls) -> None:
    made = server.begun()
    flow = made.take()
    assert flow is not None
    flow.close()
    made._connecting = True  # as it would be inherited
    made.reset()
    assert made.take() is None
