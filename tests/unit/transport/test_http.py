from __future__ import annotations

import datetime
import ipaddress
import logging
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import respx

from mcp_client_auth import HttpTransport, Options
from mcp_client_auth.errors import AuthError, BadResponse, Unavailable, Untrusted, UsageError
from mcp_client_auth.protocol.flow import HttpRequest
from mcp_client_auth.transport import answers
from mcp_client_auth.transport.answers import first_message
from tests.support.loopback_server import (
    Behaviour,
    LoopbackServer,
    drips,
    hangs,
    raw,
    resets,
    says,
)

SERVER_URL = "https://mcp.example.com/mcp"
PLACE = "https://auth.example.com/.well-known/x"
PLANTED = "planted-secret-7f3a"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    transport = HttpTransport(SERVER_URL)
    yield transport
    transport.close()


def get(url: str = PLACE) -> HttpRequest:
    return HttpRequest("GET", url, {"Accept": "application/json"})


def post(url: str = PLACE) -> HttpRequest:
    return HttpRequest("POST", url, {"Authorization": "Basic " + PLANTED}, b"code=" + b"c")


def ask(behaviour: Behaviour, request_method: str = "GET", timeout: float = 5.0) -> AuthError:
    """The error that a server's behaviour ends in."""
    with LoopbackServer(behaviour) as server:
        transport = HttpTransport(server.url, Options(http_timeout=timeout))
        with pytest.raises(AuthError) as caught:
            transport(HttpRequest(request_method, server.url + "/x?secret=" + PLANTED))
        transport.close()
    assert PLANTED not in str(caught.value)
    return caught.value


# What goes out and what comes back


@respx.mock
def test_the_answer_comes_back_whole(transport: HttpTransport) -> None:
    route = respx.post(PLACE)
    route.respond(
        401, content=b"no", headers=[("WWW-Authenticate", "A"), ("WWW-Authenticate", "B")]
    )
    response = transport(post())
    assert (response.status, response.url, response.body) == (401, PLACE, b"no")
    assert response.header_values("www-authenticate") == ["A", "B"]
    assert response.seconds > 0
    sent = route.calls.last.request
    assert sent.content == b"code=c"
    assert sent.headers["Authorization"] == "Basic " + PLANTED
    assert sent.headers["User-Agent"] == "mcp-client-auth"


@respx.mock
def test_no_cookie_is_kept(transport: HttpTransport) -> None:
    route = respx.get(PLACE).respond(200, json={}, headers={"Set-Cookie": "sid=1; Path=/"})
    transport(get())
    transport(get())
    assert route.call_count == 2
    assert all("Cookie" not in call.request.headers for call in route.calls)


@respx.mock
@pytest.mark.parametrize(
    "fault",
    [
        httpx.ConnectError("refused"),
        httpx.ReadError(""),
        httpx.RemoteProtocolError("illegal status line: \x1b[2J"),
        httpx.ProxyError("407"),
        httpx.ConnectTimeout("slow"),
        httpx.PoolTimeout(""),
        httpx.TooManyRedirects("x"),
        httpx.LocalProtocolError("Illegal header value b'" + PLANTED + "'"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_a_fault_of_the_network_is_unavailable(
    transport: HttpTransport, fault: httpx.HTTPError
) -> None:
    respx.post(PLACE).mock(side_effect=fault)
    with pytest.raises(Unavailable) as caught:
        transport(post(PLACE + "?token=" + PLANTED))
    assert caught.value.url == PLACE
    assert str(caught.value).isprintable()
    assert PLANTED not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_closed_transport_opens_anew() -> None:
    with LoopbackServer(says(b'{"a": 1}')) as server:
        transport = HttpTransport(server.url)
        for _ in range(2):
            assert transport(get(server.url)).body == b'{"a": 1}'
            transport.close()
        assert server.connections == 2


def test_no_connection_is_used_twice() -> None:
    with LoopbackServer(says()) as server:
        transport = HttpTransport(server.url)
        transport(get(server.url))
        transport(get(server.url))
        assert server.connections == 2
        transport.close()


# Faults of a real connection


def test_a_hang_before_the_headers_ends_at_the_deadline() -> None:
    assert "0.3 s" in str(ask(hangs, timeout=0.3))


@pytest.mark.parametrize(
    "behaviour",
    [
        resets,
        raw(b""),
        raw(b"\x16\x03\x01 this is not HTTP\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n{}"),
    ],
    ids=["reset", "silence", "noise", "cut", "bad chunk", "huge header"],
)
def test_a_connection_that_breaks_is_unavailable(behaviour: Behaviour) -> None:
    for method in ("GET", "POST"):
        error = ask(behaviour, method)
        assert isinstance(error, Unavailable)
        assert str(error).isprintable()


def test_a_server_that_is_gone_once_it_is_connected_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import errno
    import gc

    def gone(connection: socket.socket) -> None:
        raise OSError(errno.ENOTCONN, "not connected")

    monkeypatch.setattr(socket.socket, "getpeername", gone)
    with LoopbackServer(resets, listens=False) as server:
        transport = HttpTransport(server.url)
        with pytest.raises(Unavailable):
            transport(get(server.url))
        transport.close()
    gc.collect()  # a socket that was left open would be told of here


def test_nobody_there_is_unavailable() -> None:
    with LoopbackServer(says()) as server:
        url = server.url
    with pytest.raises(Unavailable):
        HttpTransport(url)(get(url))


# Certificates


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one PEM file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = tmp_path / "server.pem"
    path.write_bytes(signed.public_bytes(pem) + key.private_bytes(pem, *plain))
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[LoopbackServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with LoopbackServer(says(), context) as server:
        yield server


def test_a_certificate_that_nobody_vouches_for_is_untrusted(tls_server: LoopbackServer) -> None:
    with pytest.raises(Untrusted) as caught:
        HttpTransport(tls_server.url)(post(tls_server.url))
    assert caught.value.code == "certificate"
    assert "SSL_CERT_FILE" in caught.value.hint
    assert tls_server.requests == []


def test_a_ca_of_the_callers_is_used(tls_server: LoopbackServer, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    transport = HttpTransport(tls_server.url, verify=context)
    assert transport(get(tls_server.url)).status == 200
    transport.close()


def test_noise_where_tls_has_begun_is_no_delay(
    tls_server: LoopbackServer, certificate: Path
) -> None:
    def noise(server: LoopbackServer, connection: socket.socket) -> None:
        with socket.socket(fileno=connection.detach()) as below:
            below.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    tls_server.behaviour = noise
    with pytest.raises(Unavailable) as caught:
        HttpTransport(tls_server.url, verify=str(certificate))(get(tls_server.url))
    assert "within" not in str(caught.value)


def test_a_ca_of_the_environment_is_used(
    tls_server: LoopbackServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    transport = HttpTransport(tls_server.url)
    assert transport(get(tls_server.url)).status == 200
    transport.close()


def test_clear_text_where_tls_was_wanted_is_unavailable() -> None:
    with LoopbackServer(says()) as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(Unavailable):
            HttpTransport(url)(get(url))


# Proxies


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    with LoopbackServer(says(b'"proxy"')) as proxy:
        for name in PROXIES[:3]:
            monkeypatch.setenv(name, proxy.url)
        yield proxy


def test_the_environments_proxy_is_used(proxy: LoopbackServer, transport: HttpTransport) -> None:
    assert transport(get("http://auth.example.com/x")).body == b'"proxy"'
    assert proxy.requests[0].startswith("GET http://auth.example.com/x HTTP/1.1")


def test_a_proxy_of_the_callers_is_used() -> None:
    with LoopbackServer(says(b'"proxy"')) as proxy:
        transport = HttpTransport(SERVER_URL, proxy=proxy.url)
        assert transport(get("http://auth.example.com/x")).body == b'"proxy"'
        transport.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "app.localhost", "127.1.2.3"])
def test_loopback_is_never_asked_for_through_a_proxy(
    host: str, proxy: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves_to(monkeypatch, {"app.localhost": "127.0.0.1", "127.1.2.3": "127.0.0.1"})
    with LoopbackServer(says(b'"direct"')) as server:
        url = f"http://{host}:{server.port}/"
        for explicit in (None, proxy.url):
            transport = HttpTransport(url, proxy=explicit)
            assert transport(get(url)).body == b'"direct"'
            transport.close()
    assert proxy.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "2130706433"])
def test_through_a_proxy_literal_addresses_are_checked(
    host: str, proxy: LoopbackServer, transport: HttpTransport
) -> None:
    with pytest.raises(Untrusted):
        transport(get(f"http://{host}/"))
    assert proxy.requests == []


@pytest.mark.parametrize("setting", ["gopher://proxy.example", "http://[::1"])
def test_a_proxy_that_cannot_work_is_a_usage_error(
    setting: str, monkeypatch: pytest.MonkeyPatch, transport: HttpTransport
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", setting)
    with pytest.raises(UsageError, match="HTTPS_PROXY"):
        transport(get())


# Compression


def test_a_compressed_body_is_inflated() -> None:
    import gzip
    import zlib

    for name, packed in (
        ("gzip", gzip.compress(b'{"a":1}')),
        ("deflate", zlib.compress(b'{"a":1}')),
    ):
        with LoopbackServer(says(packed, "200 OK", f"Content-Encoding: {name}")) as server:
            transport = HttpTransport(server.url)
            assert transport(get(server.url)).body == b'{"a":1}'
            transport.close()


def test_a_stream_is_not_read_for_it_may_have_no_end() -> None:
    behaviour = says(b"data: x\n\n", "200 OK", "Content-Type: text/event-stream; charset=utf-8")
    with LoopbackServer(behaviour) as server:
        assert HttpTransport(server.url)(get(server.url)).body == b""


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
STREAMS = {
    "a message": (b"event: message\ndata: {}\n\n", b"{}"),
    "other line ends": (b"data: {\r\ndata: }\r\n\r\n", b"{\n}"),
    "the first of two": (b"data:1\n\ndata:2\n\n", b"1"),
    "behind one to resume at": (b"id: 7\ndata: \n\n: ping\n\nid: 8\ndata: {}\n\n", b"{}"),
    "behind another type": (b"event: endpoint\ndata: /x\n\ndata: {}\n\n", b"{}"),
    "a message that has no end": (b"data: {", b""),
    "a large one": (b"data: " + b"x" * 1_000_000 + b"\n\n", b""),
}


@pytest.mark.parametrize(("came", "message"), STREAMS.values(), ids=STREAMS)
def test_a_stream_that_answers_is_read_up_to_its_first_message(came: bytes, message: bytes) -> None:
    with LoopbackServer(raw(STREAM + came)) as server:
        assert HttpTransport(server.url)(post(server.url)).body == message


@pytest.mark.parametrize(
    "came",
    [
        *(came for came, _ in list(STREAMS.values())[:-1]),
        b"\xef\xbb\xbfdata: {}\n\n",
        b": ping\r\rdata: a\rdata: b\r\r\ndata: c",
        b": ping\r\n\r\n\r\ndata: a\r\n\r\n",
        b"event: x\n\n\xef\xbb\xbfdata: no field\n\ndata: {}\n\n",
    ],
)
def test_a_message_is_the_same_in_whatever_pieces_it_comes(came: bytes) -> None:
    whole = first_message([came])
    for size in range(1, len(came)):
        pieces = [came[at : at + size] for at in range(0, len(came), size)]
        assert first_message(pieces) == whole


def test_a_stream_of_small_pieces_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bytes] = []
    read = answers._message

    def look(event: bytes) -> bytes:
        looked.append(event)
        return read(event)

    monkeypatch.setattr(answers, "_message", look)
    assert first_message([b":\n\n"] * 2000) == b""
    assert looked == [b":"] * 2000


def test_a_stream_that_says_nothing_is_left_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_client_auth.transport.exchange._OF_STREAM", 0.1)
    with LoopbackServer(drips(STREAM, b": ping\n\n")) as server:
        response = HttpTransport(server.url)(post(server.url))
    assert (response.status, response.body) == (200, b"")


@pytest.mark.parametrize("body", [b"\x1f\x8b nonsense", b"plain", b""])
def test_broken_compression_breaks_the_standard_unless_nothing_came(body: bytes) -> None:
    behaviour = says(body, "200 OK", "Content-Encoding: gzip")
    if body:
        error = ask(behaviour)
        assert isinstance(error, BadResponse)
        assert "127.0.0.1" in error.url
        return
    with LoopbackServer(behaviour) as server:
        assert HttpTransport(server.url)(get(server.url)).body == b""


# Nothing is shown


def test_nothing_of_a_request_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with LoopbackServer(says(b'{"access_token": "' + PLANTED.encode() + b'"}')) as server:
        transport = HttpTransport(server.url)
        request = HttpRequest("POST", server.url, {"Authorization": PLANTED}, PLANTED.encode())
        response = transport(request)
        transport.close()
    assert PLANTED.encode() in response.body
    assert PLANTED not in f"{request!r} {response!r} {transport!r}"
    assert PLANTED not in caplog.text


def resolves_to(monkeypatch: pytest.MonkeyPatch, addresses: dict[str, str]) -> None:
    import socket

    real = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: object, **named: object) -> object:
        return real(addresses.get(host, host), *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
