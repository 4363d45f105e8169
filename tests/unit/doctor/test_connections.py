"""How the connections are secured: what a real handshake comes to, and how long it will last."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
from pathlib import Path
from types import SimpleNamespace

import pytest

from mcp_client_auth.cli.report import exit_code_of
from mcp_client_auth.doctor import connections
from mcp_client_auth.doctor.clients.facts import chosen
from mcp_client_auth.doctor.exam import Exam
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.urls import ServerUrl
from mcp_client_auth.storage.memory import MemoryStorage
from tests.support.findings import Examine, only
from tests.support.hostile import World
from tests.support.inside import credential
from tests.support.loopback_server import LoopbackServer, says


def certificate(place: Path, days: int) -> Path:
    """A file with a self-signed certificate for 127.0.0.1 and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days, hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    file = place / "certificate.pem"
    file.write_bytes(
        made.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


def serving(file: Path) -> LoopbackServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return LoopbackServer(says(b"", "401 Unauthorized"), context)


@pytest.mark.parametrize(("days", "level"), [(60, "ok"), (3, "warning")])
def test_a_certificate_that_ends_soon_is_a_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    examined: Examine,
    days: int,
    level: str,
) -> None:
    file = certificate(tmp_path, days)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with serving(file) as server:
        found = only(examined(server.url + "/mcp"), "tls.connection")
    assert found.level == level
    assert f"trusted, for {days} more days" in found.came


def test_a_certificate_that_nobody_trusts_ends_the_login(tmp_path: Path, examined: Examine) -> None:
    with serving(certificate(tmp_path, 60)) as server:
        report = examined(server.url + "/mcp")
    found = only(report, "tls.certificate")
    assert (found.error, found.fault) == ("Untrusted", "certificate-self-signed")
    assert exit_code_of(report) == 5
    # what it says is shown, and proves nothing; nothing but questions without a secret went there
    assert all(f.unproven for f in report.findings if f.check.startswith(("challenge", "resource")))
    assert not [f for f in report.findings if f.check.startswith(("endpoint", "login", "cors"))]
    assert not [f for f in report.findings if f.check == "tls.connection"]


def test_plain_http_is_named(examined: Examine) -> None:
    with LoopbackServer(says(b"", "401 Unauthorized")) as server:
        assert "plain http" in only(examined(server.url + "/mcp"), "tls.connection").came


def test_a_host_that_proves_nothing_gets_nothing_but_questions(
    tmp_path: Path, examined: Examine, world: World, storage: MemoryStorage
) -> None:
    """RULES, Traffic: no token, certificate, registration, code or sign-in goes where anyone may
    answer, nor to an authorization server that only such a host names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path, 60))
    with LoopbackServer(says(b"", "401 Unauthorized"), context) as server:
        url = server.url + "/mcp"
        body = json.dumps({"resource": url, "authorization_servers": [world.issuer]})
        described = says(body.encode(), "200 OK", "Content-Type: application/json")

        def answer(here: LoopbackServer, connection: socket.socket) -> None:
            asked = here.requests[-1].startswith("GET")
            (described if asked else says(b"", "401 Unauthorized"))(here, connection)

        server.behaviour = answer
        storage.save(credential(url))
        report = examined(url, register=True, clients=chosen(["all"]))
        heads = [request.partition("\r\n\r\n")[0] for request in server.requests]
    assert exit_code_of(report) == 5
    assert only(report, "issuer.pkce").level == "ok"  # what it names is looked at
    assert not [head for head in heads if "authorization:" in head.lower()]
    asked = {head.partition(" HTTP/")[0] for head in heads}
    assert asked <= {"POST /mcp", *(each for each in asked if each.startswith("GET /.well-known/"))}
    assert not set(world.visited) & {"token", "authorize", "revoke"}
    assert not [name for name, body in world.bodies if body]  # nothing was registered
    assert not [f for f in report.findings if f.check.startswith(("login", "endpoint", "trial"))]


class Reaching:
    """A transport that could not connect to one address of a host."""

    def __init__(self, *answering: tuple[str, str]) -> None:
        troubles = {"as.example": {"203.0.113.20": "Connection refused"}}
        self.addresses = SimpleNamespace(troubles=troubles, answering={*answering})

    def __call__(self, request: HttpRequest) -> HttpResponse:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("reached", "answering", "count"),
    [
        ({"https://as.example"}, "203.0.113.21", 1),
        ({"https://as.example"}, "203.0.113.20", 0),  # at another port
        (set(), "203.0.113.21", 0),
    ],
)
def test_an_address_is_called_dead_where_another_one_of_its_host_answers(
    reached: set[str], answering: str, count: int
) -> None:
    there = Reaching(("as.example", answering))
    exam = Exam(ServerUrl("https://mcp.example.com/mcp"), Options(), there, patience=60.0)
    exam.reached |= reached
    assert [f.fault for f in connections.addresses(exam)] == ["address-dead"] * count
