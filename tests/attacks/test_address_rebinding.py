"""A public name resolves to an internal address at the moment of the connection."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator

import pytest

from mcp_client_auth import Endpoints, HttpTransport, Options
from mcp_client_auth.errors import InsecureUrl, Unavailable
from mcp_client_auth.protocol.flow import HttpRequest
from mcp_client_auth.transport import addresses as addresses_module
from mcp_client_auth.transport.addresses import LOOPBACK, PRIVATE, PUBLIC, Addresses, host_class
from tests.support.codes import coded
from tests.support.loopback_server import LoopbackServer, says

PUBLIC_SERVER = "https://mcp.example.com/mcp"
Names = dict[str, list[str]]
Resolve = Callable[[Names], None]
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs 127.0.0.2")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Names get these addresses; any other name does not exist."""

    def install(names: Names) -> None:
        def getaddrinfo(host: str, port: int | None, *_: object, **__: object) -> list[object]:
            if host not in names:
                raise socket.gaierror(f"no such name: {host}")
            return [
                (
                    socket.AF_INET6 if ":" in address else socket.AF_INET,
                    socket.SOCK_STREAM,
                    0,
                    "",
                    (address, port or 0),
                )
                for address in names[host]
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return install


@pytest.fixture
def inside() -> Iterator[LoopbackServer]:
    with LoopbackServer(says()) as server:
        yield server


def ask(server_url: str, url: str, method: str = "GET", **options: bool) -> int:
    transport = HttpTransport(server_url, Options(http_timeout=2, **options))  # type: ignore[arg-type]
    try:
        return transport(
            HttpRequest(method, url, body=b"code=x" if method == "POST" else b"")
        ).status
    finally:
        transport.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_is_refused_when_it_connects_inside(
    scheme: str, method: str, resolve: Resolve, inside: LoopbackServer
) -> None:
    resolve({"mcp.example.com": ["93.184.216.34"], "auth.example.com": ["127.0.0.1"]})
    with pytest.raises(InsecureUrl) as caught:
        ask(PUBLIC_SERVER, f"{scheme}://auth.example.com:{inside.port}/x?secret", method)
    assert caught.value.code == "forbidden_address"
    assert "127.0.0.1" in str(caught.value)
    assert inside.requests == []


def test_a_name_with_an_upper_case_letter_or_a_dot_is_the_same(
    resolve: Resolve, inside: LoopbackServer
) -> None:
    inside_too = ["127.0.0.1"]
    resolve(
        {"auth.example.com": inside_too, "auth.example.com.": inside_too, "localhost.": inside_too}
    )
    for host in ("AUTH.Example.com", "auth.example.com.", "localhost."):
        with pytest.raises(InsecureUrl):
            ask(PUBLIC_SERVER, f"http://{host}:{inside.port}/")
    assert inside.requests == []


def test_the_loud_switch_lifts_it_for_private_addresses_only(
    resolve: Resolve, inside: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve({"auth.example.com": ["127.0.0.1"]})
    url = f"http://auth.example.com:{inside.port}/"
    assert ask(PUBLIC_SERVER, url, allow_private_addresses=True) == 200
    for target in ("http://169.254.169.254/", "http://[fd00:ec2::254]/", "http://[fe80::1]/"):
        with pytest.raises(InsecureUrl) as caught:
            ask(PUBLIC_SERVER, target, allow_private_addresses=True)
        assert "allow_private" not in str(caught.value)


def test_a_metadata_service_is_refused_at_connect_too(
    resolve: Resolve, inside: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes to loopback, which counts as the metadata service here."""
    resolve({"auth.example.com": ["127.0.0.1"]})
    monkeypatch.setattr("mcp_client_auth.transport.addresses._METADATA", frozenset({"127.0.0.1"}))
    with pytest.raises(InsecureUrl):
        ask(
            "http://localhost:1/mcp",
            f"http://auth.example.com:{inside.port}/",
            allow_private_addresses=True,
        )
    assert inside.requests == []


def test_what_the_person_typed_may_be_anywhere(resolve: Resolve, inside: LoopbackServer) -> None:
    resolve({"mcp.corp.example": ["127.0.0.1"], "127.0.0.1": ["127.0.0.1"]})
    assert ask(f"http://mcp.corp.example:{inside.port}/mcp", inside.url) == 200
    typed = f"http://mcp.corp.example:{inside.port}/mcp"
    assert ask(typed, typed) == 200


def test_a_pinned_issuer_was_typed_as_well(resolve: Resolve, inside: LoopbackServer) -> None:
    resolve({"auth.corp.example": ["127.0.0.1"], "mcp.example.com": ["93.184.216.34"]})
    url = f"http://auth.corp.example:{inside.port}"
    transport = HttpTransport(PUBLIC_SERVER, Options(issuer=url))
    assert transport(HttpRequest("GET", url + "/x")).status == 200
    transport.close()


def test_an_endpoint_of_the_callers_was_typed_as_well(
    resolve: Resolve, inside: LoopbackServer
) -> None:
    resolve({"auth.corp.example": ["127.0.0.1"], "mcp.example.com": ["93.184.216.34"]})
    url = f"http://auth.corp.example:{inside.port}/token"
    told = Options(issuer="https://issuer.example", endpoints=Endpoints(token=url))
    transport = HttpTransport(PUBLIC_SERVER, told)
    assert transport(HttpRequest("POST", url)).status == 200
    with pytest.raises(InsecureUrl):
        transport(HttpRequest("POST", inside.url))
    transport.close()


@pytest.mark.parametrize(
    ("addresses", "kind"),
    [
        (["127.0.0.1"], LOOPBACK),
        (["127.0.0.1", "::1"], LOOPBACK),
        (["10.0.0.1"], PRIVATE),
        (["93.184.216.34", "127.0.0.1"], PUBLIC),
        (["127.0.0.1", "10.0.0.1"], PRIVATE),
        ([], PUBLIC),
    ],
)
def test_a_public_name_is_not_made_local_by_an_address_more(
    addresses: list[str], kind: int, resolve: Resolve
) -> None:
    resolve({"mcp.example.com": addresses})
    assert host_class("mcp.example.com") == kind
    assert host_class("unknown.example.com") == PUBLIC


def test_a_server_with_a_public_and_a_local_address_may_not_name_local_peers(
    resolve: Resolve, inside: LoopbackServer
) -> None:
    resolve({"mcp.example.com": ["93.184.216.34", "127.0.0.1"], "127.0.0.1": ["127.0.0.1"]})
    with pytest.raises(InsecureUrl):
        ask(PUBLIC_SERVER, inside.url)
    assert inside.connections == 0


def test_a_name_that_does_not_exist_is_unavailable(resolve: Resolve) -> None:
    resolve({})
    with pytest.raises(Unavailable):
        ask(PUBLIC_SERVER, "https://auth.example.com/")


TYPED = "mcp.example.com"


def test_the_typed_name_may_not_move_inside() -> None:
    moving = Addresses(PUBLIC_SERVER, Options())
    moving.connected(TYPED, "93.184.216.34")
    for inside in ("127.0.0.1", "10.0.0.1", "fd00::1", "169.254.169.254"):
        with pytest.raises(InsecureUrl):
            moving.admit(TYPED, inside)
    staying = Addresses(PUBLIC_SERVER, Options())
    staying.connected(TYPED, "10.0.0.1")
    staying.admit(TYPED, "10.0.0.2")
    staying.admit(TYPED, "93.184.216.34")


def test_the_widest_class_that_was_connected_to_counts() -> None:
    """127.0.0.1 beside a public address that refuses: its own server answers the next time."""
    addresses = Addresses(PUBLIC_SERVER, Options())
    addresses.connected(TYPED, "127.0.0.1")
    addresses.admit("auth.example.com", "127.0.0.1")
    addresses.connected(TYPED, "93.184.216.34")
    with pytest.raises(InsecureUrl):
        addresses.admit("auth.example.com", "127.0.0.1")
    addresses.connected(TYPED, "127.0.0.1")
    with pytest.raises(InsecureUrl):
        addresses.admit("auth.example.com", "127.0.0.1")


def test_a_private_server_may_name_private_peers_and_no_narrower_ones() -> None:
    addresses = Addresses("https://mcp.corp.example/mcp", Options())
    addresses.connected("mcp.corp.example", "10.0.0.1")
    addresses.admit("auth.corp.example", "192.168.1.1")
    for inside in ("127.0.0.1", "169.254.169.254"):
        with pytest.raises(InsecureUrl):
            addresses.admit("auth.corp.example", inside)


def test_what_an_applications_user_may_not_name_is_told_apart_from_what_a_server_may_not() -> None:
    addresses = Addresses(PUBLIC_SERVER, Options(), public_only=True)
    with pytest.raises(InsecureUrl, check=coded("private_server")):
        addresses.admit(TYPED, "10.0.0.1", private=True)
    with pytest.raises(InsecureUrl, check=coded("forbidden_address")):
        addresses.admit("auth.example.com", "10.0.0.1")
    addresses.admit("auth.example.com", "10.0.0.1", private=True)


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    """A server on this machine that counts as public."""
    real = addresses_module.address_class
    monkeypatch.setattr(
        "mcp_client_auth.transport.addresses.address_class",
        lambda address: PUBLIC if address == "127.0.0.2" else real(address),
    )
    with LoopbackServer(says(), host="127.0.0.2") as server:
        yield server


@linux
def test_a_second_look_up_of_the_servers_own_name_decides_nothing(
    monkeypatch: pytest.MonkeyPatch, outside: LoopbackServer, inside: LoopbackServer
) -> None:
    """Its name servers return the public address first, and loopback for every later look-up:
    the server does not get to name what listens on this machine."""
    looked_up: list[str] = []

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[object]:
        address = host
        if host == TYPED:
            looked_up.append(host)
            address = "127.0.0.2" if len(looked_up) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port or 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    url = f"http://{TYPED}:{outside.port}/mcp"
    transport = HttpTransport(url, Options(http_timeout=2, allow_insecure_http=True))
    with transport.flow() as flow:
        assert flow(HttpRequest("POST", url)).status == 200
        with pytest.raises(InsecureUrl):
            flow(HttpRequest("GET", inside.url))
        with pytest.raises(InsecureUrl):
            flow.check(inside.url)
        assert looked_up == [TYPED], "the check and the connection ask once"
        with pytest.raises(InsecureUrl):  # nor is the name itself followed inside
            flow(HttpRequest("GET", f"http://{TYPED}:{inside.port}/"))
    assert inside.connections == 0


@linux
def test_a_check_does_not_ask_the_resolver_again(
    monkeypatch: pytest.MonkeyPatch, outside: LoopbackServer, inside: LoopbackServer
) -> None:
    """A peer is public at the first look-up and on this machine at the next one."""
    answers = {"auth.example.com": ["127.0.0.2", "127.0.0.1"]}

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[object]:
        if host not in answers:
            raise socket.gaierror(f"no such name: {host}")
        known = answers[host]
        address = known.pop(0) if len(known) > 1 else known[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port or 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    transport = HttpTransport(PUBLIC_SERVER, Options(http_timeout=2))
    with transport.flow() as flow:
        assert flow(HttpRequest("GET", f"http://auth.example.com:{outside.port}/")).status == 200
        with pytest.raises(InsecureUrl):
            flow(HttpRequest("GET", f"http://auth.example.com:{inside.port}/"))
    assert inside.connections == 0


def test_a_refresh_learns_where_a_private_server_is_by_connecting_to_it(
    resolve: Resolve, inside: LoopbackServer
) -> None:
    """Its address is not stored, and a refresh sends the server nothing."""
    resolve({"mcp.corp.example": ["127.0.0.1"], "auth.corp.example": ["127.0.0.1"]})
    server = f"http://mcp.corp.example:{inside.port}/mcp"
    assert ask(server, f"http://auth.corp.example:{inside.port}/token", "POST") == 200
    assert [request.split()[0] for request in inside.requests] == ["POST"]


def test_while_the_server_cannot_be_reached_nothing_is_sent_inside(
    resolve: Resolve, inside: LoopbackServer
) -> None:
    """The server is in trouble, which does not make its authorization server an intruder."""
    resolve({"mcp.corp.example": ["127.0.0.1"], "auth.corp.example": ["127.0.0.1"]})
    with pytest.raises(Unavailable) as caught:
        ask("https://mcp.corp.example:1/mcp", f"http://auth.corp.example:{inside.port}/token")
    assert caught.value.url == "https://mcp.corp.example:1/mcp"
    assert inside.connections == 0


def test_a_server_whose_name_does_not_exist_counts_as_public(
    resolve: Resolve, inside: LoopbackServer
) -> None:
    resolve({"auth.corp.example": ["127.0.0.1"]})
    with pytest.raises(InsecureUrl):
        ask("https://mcp.corp.example:1/mcp", f"http://auth.corp.example:{inside.port}/token")
    assert inside.connections == 0


def test_a_server_without_a_certificate_of_its_name_is_not_on_this_machine(
    resolve: Resolve, inside: LoopbackServer
) -> None:
    """Another program listens there: a name does not prove that it is the server."""
    resolve({"mcp.example.com": ["127.0.0.1"]})
    with pytest.raises(InsecureUrl):
        ask(f"https://mcp.example.com:{inside.port}/mcp", inside.url)
    assert inside.requests == ["a TLS handshake"]
