"""Requests through proxies, and the message when a proxy does not work."""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import httpcore
import pytest

from mcp_client_auth import HttpTransport, Login, MCPAuth, Options
from mcp_client_auth.errors import AuthError, Unavailable, Untrusted, UsageError
from mcp_client_auth.protocol.flow import HttpRequest
from mcp_client_auth.transport.pools import environment_proxy
from tests.support.inside import credential
from tests.support.loopback_server import Behaviour, LoopbackServer, hangs, raw, says
from tests.support.mutual_tls import Authority
from tests.support.ports import free_port
from tests.support.proxies import Proxy, SocksProxy

SERVER = "https://mcp.example.com/mcp"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tls_server(authority: Authority) -> Iterator[LoopbackServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))
    with LoopbackServer(says(b'"through"'), context) as server:
        yield server


def trusting(authority: Authority) -> ssl.SSLContext:
    """The certificates of these tests are for 127.0.0.1, whatever name leads there."""
    context = ssl.create_default_context(cafile=authority.file)
    context.check_hostname = False
    return context


def fails(proxy: str, url: str = SERVER, timeout: float = 5.0) -> AuthError:
    transport = HttpTransport(SERVER, Options(http_timeout=timeout), proxy=proxy)
    with pytest.raises(AuthError) as caught:
        transport(HttpRequest("POST", url, {"Authorization": "planted-secret"}))
    assert "planted-secret" not in str(caught.value)
    assert "password" not in str(caught.value)
    return caught.value


# A proxy that works


@pytest.mark.parametrize("kind", [Proxy, SocksProxy])
def test_https_goes_through_and_the_proxy_resolves_the_name(
    kind: type[Proxy], authority: Authority, tls_server: LoopbackServer
) -> None:
    with kind(tls_server.port) as proxy:
        transport = HttpTransport(SERVER, verify=trusting(authority), proxy=proxy.url)
        assert transport(HttpRequest("GET", SERVER)).body == b'"through"'
        assert proxy.asked == [("mcp.example.com", 443)]


@pytest.mark.parametrize("kind", [Proxy, SocksProxy])
def test_plain_http_goes_through(kind: type[Proxy]) -> None:
    with LoopbackServer(says(b'"through"')) as server, kind(server.port) as proxy:
        transport = HttpTransport(SERVER, proxy=proxy.url)
        assert transport(HttpRequest("GET", "http://auth.example.com/")).body == b'"through"'
        assert proxy.asked == [("auth.example.com", 80)]


def test_https_goes_through_a_proxy_that_is_spoken_to_in_tls(
    authority: Authority, tls_server: LoopbackServer
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("proxy"))
    seen: list[str] = []
    with Proxy(tls_server.port, context) as proxy:
        transport = HttpTransport(
            SERVER,
            verify=trusting(authority),
            proxy=proxy.url,
            on_tls=lambda url, connection: seen.append(url),
        )
        assert transport(HttpRequest("GET", SERVER)).body == b'"through"'
        assert proxy.asked == [("mcp.example.com", 443)]
    assert seen == [SERVER], "the proxy's connection is not the server's"


def test_a_tunnel_is_kept_and_its_password_goes_to_the_proxy_only(
    authority: Authority, tls_server: LoopbackServer
) -> None:
    with Proxy(tls_server.port) as proxy:
        address = proxy.url.replace("http://", "http://user:word@")
        transport = HttpTransport(SERVER, verify=trusting(authority), proxy=address)
        with transport.flow() as flow:
            flow(HttpRequest("GET", SERVER))
        assert "Proxy-Authorization: Basic dXNlcjp3b3Jk" in proxy.heads[0]
        assert "mcp-client-auth" not in proxy.heads[0]
    assert "Proxy-Authorization" not in tls_server.requests[0]


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks", "SOCKS5"])
def test_the_spellings_of_socks_are_one(
    scheme: str, authority: Authority, tls_server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SocksProxy(tls_server.port) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url.replace("socks5", scheme))
        transport = HttpTransport(SERVER, verify=trusting(authority))
        assert transport(HttpRequest("GET", SERVER)).status == 200
        assert proxy.asked == [("mcp.example.com", 443)]


# A proxy that does not


def test_one_that_refuses_the_connection_is_named() -> None:
    where = f"127.0.0.1:{free_port()}"
    error = fails(f"http://user:password@{where}")
    assert isinstance(error, Unavailable)
    assert error.code == "proxy"
    assert f"the proxy http://{where} cannot be reached: “Connection refused”" in error.summary
    assert "HTTPS_PROXY" in error.hint
    assert "try again later" not in str(error)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_one_whose_name_does_not_exist_is_named(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    error = fails(f"{scheme}://proxy.example:3128")
    assert f"the proxy {scheme}://proxy.example:3128 cannot be reached" in error.summary


@pytest.mark.parametrize("url", [SERVER, "http://auth.example.com/"])
def test_one_that_wants_a_password_is_named(url: str) -> None:
    refuses = says(b"", "407 Proxy Authentication Required", "Proxy-Authenticate: Basic")
    with LoopbackServer(refuses) as proxy:
        if url.startswith("http:"):  # it looks like the server's answer
            transport = HttpTransport(SERVER, proxy=proxy.url)
            assert transport(HttpRequest("GET", url)).status == 407
            return
        error = fails(proxy.url, url)
    assert error.code == "proxy"
    assert f"the proxy {proxy.url} did not let the request through" in error.summary
    assert "407" in error.summary


@pytest.mark.parametrize(
    "behaviour",
    [
        hangs,
        raw(b""),
        raw(b"\x16\x03\x01 not a proxy"),
        raw(b"\x05\xff"),
        raw(b"\x05\x00"),
        raw(b"\x05"),
    ],
    ids=["hangs", "ends", "noise", "no method", "then silence", "half an answer"],
)
@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_one_that_speaks_otherwise_ends_in_an_error_that_names_it(
    scheme: str, behaviour: Behaviour
) -> None:
    with LoopbackServer(behaviour, listens=False) as proxy:
        address = proxy.url.replace("http", scheme)
        error = fails(address, timeout=0.5)
    assert isinstance(error, Unavailable)
    assert address in error.summary


def test_the_certificate_of_an_https_proxy_is_its_own_affair(
    authority: Authority, tls_server: LoopbackServer
) -> None:
    error = fails(tls_server.url)
    assert isinstance(error, Untrusted)
    assert f"the certificate of the proxy {tls_server.url} is not trusted" in error.summary


@pytest.mark.parametrize(
    "setting",
    [
        "gopher://user:password@proxy.example",
        "http://user:pass/word@",
        "http://[::1",
        "http://",
    ],
)
def test_one_that_is_no_url_is_a_usage_error(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", setting)
    with pytest.raises(UsageError, match="HTTPS_PROXY") as caught:
        HttpTransport(SERVER)(HttpRequest("GET", SERVER))
    assert "pass" not in str(caught.value).replace("passed", "")


# Without the package for SOCKS


@pytest.fixture
def without_socks(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise RuntimeError("the `socksio` package is not installed")

    monkeypatch.setattr(httpcore, "SOCKSProxy", missing)
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")


@pytest.mark.usefixtures("without_socks")
def test_a_missing_package_is_named() -> None:
    with pytest.raises(UsageError, match=r"mcp-client-auth\[socks\]") as caught:
        HttpTransport(SERVER)(HttpRequest("GET", SERVER))
    assert "socks5://127.0.0.1:1" in str(caught.value)


@pytest.mark.usefixtures("without_socks")
async def test_loopback_works_without_it() -> None:
    with LoopbackServer(says(b'"direct"')) as server:
        assert HttpTransport(server.url)(HttpRequest("GET", server.url)).body == b'"direct"'
        me = Login(MCPAuth(server.url, prompt=None), credential(server.url))
        with me.client() as client:
            assert client.get(server.url + "/elsewhere", auth=None).json() == "direct"
        async with me.async_client() as again:
            assert (await again.get(server.url + "/elsewhere", auth=None)).json() == "direct"


# Which proxy is used


@pytest.mark.parametrize(
    ("no_proxy", "url", "goes"),
    [
        ("", "https://mcp.example.com/", True),
        ("*", "https://mcp.example.com/", False),
        ("example.com", "https://mcp.example.com/", False),
        (".example.com", "https://mcp.example.com/", False),
        ("ample.com", "https://mcp.example.com/", True),
        ("mcp.example.com:443", "https://mcp.example.com/", True),
        ("mcp.example.com:8443", "https://mcp.example.com:8443/", False),
        ("10.0.0.1", "https://10.0.0.1/", False),
        ("fd00::1", "https://[fd00::1]/", False),
        ("fd00::1", "https://[fd00::1]:8443/", False),
    ],
)
def test_no_proxy_is_heeded(
    no_proxy: str, url: str, goes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert environment_proxy(url) == ("http://proxy.example:3128" if goes else None)


def test_a_scheme_has_its_own_before_the_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://one.example:1")
    monkeypatch.setenv("ALL_PROXY", "http://all.example:1")
    assert environment_proxy("https://mcp.example.com/") == "http://one.example:1"
    assert environment_proxy("http://mcp.example.com/") == "http://all.example:1"


# A host that does not exist


def test_a_host_that_does_not_exist_is_said_to_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(Unavailable) as caught:
        HttpTransport(SERVER)(HttpRequest("POST", SERVER))
    assert "the host “mcp.example.com” does not exist" in caught.value.summary
    assert caught.value.code == "unknown_host"
    assert "try again later" not in str(caught.value)


def test_a_resolver_that_does_not_answer_is_not_taken_for_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(Unavailable, match="cannot be looked up") as caught:
        HttpTransport(SERVER)(HttpRequest("POST", SERVER))
    assert "online" in caught.value.hint
