"""A public name resolves to an address inside, at the moment when it is connected to."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from loopback_server import LoopbackServer, says

from mcp_client_auth import Endpoints, HttpTransport, Options
from mcp_client_auth.addresses import LOOPBACK, PRIVATE, PUBLIC, host_class
from mcp_client_auth.errors import InsecureUrl, Unavailable
from mcp_client_auth.protocol.flow import HttpRequest

PUBLIC_SERVER = "https://mcp.example.com/mcp"
Names = dict[str, list[str]]
Resolve = Callable[[Names], None]


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
        assert "--allow-private-addresses" not in str(caught.value)


def test_a_metadata_service_is_refused_at_connect_too(
    resolve: Resolve, inside: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes to loopback here, but says that it went to the metadata service."""
    resolve({"auth.example.com": ["127.0.0.1"]})
    monkeypatch.setattr("mcp_client_auth.addresses._METADATA", frozenset({"127.0.0.1"}))
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


def test_the_typed_name_may_not_move_inside() -> None:
    """No public address can be reached from a test, so the two looks are given by hand."""
    moving = HttpTransport(PUBLIC_SERVER)
    assert moving._typed(PUBLIC_SERVER, PUBLIC)
    assert not moving._typed(PUBLIC_SERVER, LOOPBACK)
    assert not moving._typed(PUBLIC_SERVER, PRIVATE)
    staying = HttpTransport(PUBLIC_SERVER)
    assert staying._typed(PUBLIC_SERVER, PRIVATE)
    assert staying._typed(PUBLIC_SERVER, PRIVATE)
