"""Connections that are raced (RFC 8305), judged before they are tried, kept, and bound in time."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpcore
import pytest

from mcp_client_auth.errors import InsecureUrl
from mcp_client_auth.transport.connect import Backend, Policy, Stream, looked_up
from tests.support.loopback_server import silent

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HOST = "mcp.example.com"
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs an address that drops packets")


@contextmanager
def serving(
    answers: int = 1_000, *, drips: bool = False
) -> Iterator[tuple[int, list[list[bytes]]]]:
    """A port, and the requests seen, a list for each connection.

    The request after `answers` is read and its connection ended. `drips`: a header without end,
    a byte at a time.
    """
    seen: list[list[bytes]] = []

    def serve(raw: socket.socket) -> None:
        mine: list[bytes] = []
        seen.append(mine)
        with suppress(OSError), raw:
            while more := raw.recv(65536):
                mine.append(more)
                if len(mine) > answers:
                    return
                raw.sendall(b"HTTP/1.1 200 OK\r\nX: " if drips else ANSWER)
                while drips:
                    time.sleep(0.05)
                    raw.sendall(b"x")

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], seen
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def resolves_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """The addresses of every name; returns the look-ups."""
    looked_up: list[str] = []

    def found(host: str, port: int, *_: object) -> list[tuple[object, ...]]:
        looked_up.append(host)
        return [entry(each, port) for each in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    return looked_up


def entry(address: str, port: int) -> tuple[object, ...]:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, 0, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port)


def connect(port: int, seconds: float = 60.0, policy: Policy | None = None) -> float:
    """How long it took."""
    began = time.monotonic()
    Backend(policy).connect_tcp(HOST, port, began + seconds).close()
    return time.monotonic() - began


def ask(
    pool: httpcore.ConnectionPool, port: int, method: str = "GET", seconds: float = 60.0
) -> int:
    moments = dict.fromkeys(("connect", "read", "write"), time.monotonic() + seconds)
    url, headers = f"http://127.0.0.1:{port}/", [("Host", "x"), ("Content-Length", "0")]
    return pool.request(method, url, headers=headers, extensions={"timeout": moments}).status


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


class Strict:
    """A policy that admits what it is told to."""

    def __init__(self, *admitted: str) -> None:
        self.admitted, self.stood = admitted, list[str]()
        self.troubles: dict[str, str] = {}

    def admit(self, host: str, address: str) -> None:
        if address not in self.admitted:
            raise InsecureUrl(f"{address} is refused")

    def connected(self, host: str, address: str) -> None:
        self.stood.append(address)

    def failed(self, host: str, address: str, why: str) -> None:
        self.troubles[address] = why


@linux
@pytest.mark.parametrize("dead", ["::1", "127.0.0.2"])
def test_an_address_that_drops_packets_costs_a_quarter_of_a_second(
    dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as (port, _):
        try:
            stack = silent(dead, port)
            stack.__enter__()
        except OSError:
            pytest.skip(f"this machine has no {dead}")
        resolves_to(monkeypatch, dead, "127.0.0.1")
        assert 0.2 < connect(port) < 30
        stack.__exit__(None, None, None)


def test_a_refusal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as (port, _):
        refusing = [f"127.0.0.{last}" for last in range(2, 202)]
        resolves_to(monkeypatch, *refusing, "127.0.0.1")
        assert connect(port) < 25, "a quarter of a second for each takes 50"


def test_the_families_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "::1", "::2", "::3", "1.1.1.1")
    found = [each.address for each in looked_up(HOST, 443, None)]
    assert found == ["::1", "1.1.1.1", "::2", "::3"]
    resolves_to(monkeypatch)
    assert looked_up(HOST, 443, None) == []


@linux
def test_the_address_that_worked_is_tried_first_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving() as (port, _), silent("127.0.0.2", port):
        resolves_to(monkeypatch, "127.0.0.2", "127.0.0.1")
        policy = Strict("127.0.0.1", "127.0.0.2")
        backend = Backend(policy)
        for troubles in ({"127.0.0.2": "no answer"}, {}):
            policy.troubles.clear()
            backend.connect_tcp(HOST, port, time.monotonic() + 60).close()
            assert policy.troubles == troubles


@linux
def test_what_is_wrong_with_an_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as (port, _), silent("127.0.0.2", port):
        resolves_to(monkeypatch, "127.0.0.2", "127.0.0.3", "127.0.0.1")
        policy = Strict("127.0.0.1", "127.0.0.2", "127.0.0.3")
        connect(port, policy=policy)
        assert policy.troubles == {"127.0.0.2": "no answer", "127.0.0.3": "Connection refused"}


@linux
def test_those_that_lost_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as (port, _), silent("127.0.0.2", port), silent("127.0.0.3", port):
        resolves_to(monkeypatch, "127.0.0.2", "127.0.0.3")
        before = open_files()
        with pytest.raises(httpcore.ConnectTimeout):
            connect(port, 0.6)
        assert open_files() == before


def test_the_last_refusal_is_told_when_no_address_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as (port, _):
        pass
    resolves_to(monkeypatch, "127.0.0.1", "127.0.0.2")
    with pytest.raises(httpcore.ConnectError, match=r"refused"):
        connect(port)


def test_an_address_is_judged_before_it_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as (port, seen):
        resolves_to(monkeypatch, "127.0.0.1")
        with pytest.raises(InsecureUrl):
            connect(port, policy=Strict())
        assert seen == []


def test_a_refused_address_is_left_out_and_the_name_is_looked_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving() as (port, _):
        looked_up = resolves_to(monkeypatch, "127.0.0.9", "127.0.0.1")
        policy = Strict("127.0.0.1")
        connect(port, policy=policy)
        assert policy.stood == ["127.0.0.1"]
        assert looked_up == [HOST]


def test_an_address_counts_once_the_certificate_is_verified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import ssl

    with serving() as (port, _):
        resolves_to(monkeypatch, "127.0.0.1")
        policy, until = Strict("127.0.0.1"), time.monotonic() + 60
        context = ssl.create_default_context()
        stream = Backend(policy, tls=context).connect_tcp(HOST, port, until)
        with pytest.raises(httpcore.ConnectError):
            stream.start_tls(context, HOST, until)
        assert policy.stood == []


def test_a_name_that_does_not_exist_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(socket.gaierror):
        connect(1)


def test_a_resolver_that_hangs_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: over.wait(60))
    began, before = time.monotonic(), set(threading.enumerate())
    with pytest.raises(httpcore.ConnectTimeout):
        connect(1, 0.2)
    assert time.monotonic() - began < 30
    [resolving] = set(threading.enumerate()) - before
    assert resolving.daemon, "the end of the process does not wait for it"
    over.set()


def test_a_name_is_looked_up_where_no_thread_starts_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the interpreter ends."""

    def ends(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    resolves_to(monkeypatch, "127.0.0.1")
    monkeypatch.setattr(threading.Thread, "start", ends)
    [found] = looked_up(HOST, 443, time.monotonic() + 1)
    assert found.address == "127.0.0.1"


def test_a_server_that_drips_ends_at_the_deadline() -> None:
    pool = httpcore.ConnectionPool(network_backend=Backend())
    with serving(drips=True) as (port, _), pool:
        began = time.monotonic()
        with pytest.raises(httpcore.ReadTimeout):
            ask(pool, port, seconds=0.3)
        assert time.monotonic() - began < 60


def test_a_stream_without_a_moment_of_its_own_ends_at_the_connections() -> None:
    """httpcore names none while it talks to a SOCKS proxy."""
    with serving() as (port, _):
        stream = Backend().connect_tcp("127.0.0.1", port, time.monotonic() + 0.3)
        with pytest.raises(httpcore.ReadTimeout):
            stream.read(1)
        stream.close()


def test_the_system_notices_a_peer_that_is_gone_without_a_word() -> None:
    """As after a laptop's sleep: a stream without a time limit would wait for ever."""
    with serving() as (port, _):
        stream = Backend().connect_tcp("127.0.0.1", port, time.monotonic() + 60)
        raw = stream.get_extra_info("socket")
        assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        stream.close()


def test_a_request_is_not_repeated_when_a_kept_connection_breaks() -> None:
    pool = httpcore.ConnectionPool(network_backend=Backend())
    with serving(answers=2) as (port, seen), pool:
        assert [ask(pool, port), ask(pool, port, "POST")] == [200, 200]
        with pytest.raises(httpcore.RemoteProtocolError):
            ask(pool, port, "POST")
        assert [len(each) for each in seen] == [3]
        assert ask(pool, port) == 200


def test_a_look_at_an_idle_connection_does_not_disturb_who_begins_to_use_it() -> None:
    """The pool looks under its lock; a look that waited would stop every thread of a flow."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = Stream(ours, None, lambda: None)
        ours.settimeout(90)
        began = time.monotonic()
        assert stream.get_extra_info("is_readable") is False
        assert ours.gettimeout() == 90
        theirs.close()
        assert stream.get_extra_info("is_readable") is True
        ours.close()
        assert stream.get_extra_info("is_readable") is True
        assert time.monotonic() - began < 60
