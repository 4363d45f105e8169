"""An MCP server and its authorization server behind TLS, with a CA of their own.

One port answers everybody. On the other the handshake requires a client certificate: that port
has the endpoints for clients that authenticate with one (RFC 8705 §5). Not the demo server
of `mcp_client_auth.testing`: its server shows no application the certificate of a connection.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

_DAY: Final = datetime.timedelta(days=1)
_ALIASED: Final = (
    "token_endpoint",
    "revocation_endpoint",
    "pushed_authorization_request_endpoint",
    "device_authorization_endpoint",
)


class Authority:
    """A certificate authority that lives as long as a test."""

    def __init__(self, folder: Path, name: str = "test CA") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        signed = self._built(self._name, self._key.public_key(), ca=True)
        self.file = str(folder / f"{name}.pem")
        Path(self.file).write_bytes(signed.public_bytes(Encoding.PEM))

    def issue(self, name: str, password: bytes = b"", host: str = "") -> tuple[str, str]:
        """Return the files of a certificate, for 127.0.0.1 or a host's name, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = self._built(_named(name), key.public_key(), ca=False, host=host)
        sealed: KeySerializationEncryption = NoEncryption()
        if password:
            sealed = BestAvailableEncryption(password)
        paths = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        paths[0].write_bytes(signed.public_bytes(Encoding.PEM))
        paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))
        return str(paths[0]), str(paths[1])

    def _built(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, ca: bool, host: str = ""
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        address: x509.GeneralName = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        if host:
            address = x509.DNSName(host)
        by_whom = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        may = x509.KeyUsage(True, False, False, False, False, ca, ca, False, False)
        return (  # with all that Python demands since 3.13 (RFC 5280 §4.2.1)
            x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(by_whom, critical=False)
            .add_extension(may, critical=True)
            .sign(self._key, hashes.SHA256())
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@dataclass
class Seen:
    """One request: its port, its certificate and what it asks for."""

    path: str
    certified: str
    form: dict[str, str]
    port: int


@dataclass
class TlsWorld:
    """`changes` go into the metadata; `seen` are the requests of the OAuth endpoints."""

    open_port: int = 0
    certified_port: int = 0
    changes: dict[str, Any] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        return f"https://127.0.0.1:{self.open_port}"

    @property
    def url(self) -> str:
        return self.issuer + "/mcp"

    @property
    def certified(self) -> str:
        return f"https://127.0.0.1:{self.certified_port}"

    def metadata(self) -> dict[str, Any]:
        places = {
            "authorization_endpoint": "/authorize",
            "token_endpoint": "/token",
            "revocation_endpoint": "/revoke",
            "pushed_authorization_request_endpoint": "/par",
            "device_authorization_endpoint": "/device",
        }
        document: dict[str, Any] = {name: self.issuer + place for name, place in places.items()}
        aliases = {name: self.certified + places[name] for name in _ALIASED}
        return {
            **document,
            "issuer": self.issuer,
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["tls_client_auth"],
            "mtls_endpoint_aliases": aliases,
            **self.changes,
        }

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        match path:
            case "/.well-known/oauth-protected-resource/mcp":
                return 200, {"resource": self.url, "authorization_servers": [self.issuer]}
            case "/.well-known/oauth-authorization-server":
                return 200, self.metadata()
            case "/par":
                return 201, {"request_uri": "urn:reference", "expires_in": 60}
            case "/device":
                page = self.issuer + "/page"
                code = {"device_code": "the-code", "user_code": "ABCD", "verification_uri": page}
                return 200, {**code, "expires_in": 60, "interval": 1}
            case "/token":
                token = {"access_token": "the-token", "token_type": "Bearer", "expires_in": 3600}
                return 200, {**token, "refresh_token": "the-refresh-token"}
            case "/revoke":
                return 200, {}
        return 404, {}


@contextmanager
def serving(authority: Authority) -> Iterator[TlsWorld]:
    world = TlsWorld()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))
    strict = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    strict.load_cert_chain(*authority.issue("server"))
    strict.load_verify_locations(authority.file)
    strict.verify_mode = ssl.CERT_REQUIRED
    servers = [_server(world, made) for made in (context, strict)]
    world.open_port, world.certified_port = (server.server_port for server in servers)
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield world
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


class _TlsServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore it: some tests want a handshake that fails."""


def _server(world: TlsWorld, context: ssl.SSLContext) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            self._say(*world.answer(urlsplit(self.path).path, {}))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == "/mcp":
                known = self.headers.get("Authorization") == "Bearer the-token"
                self._say(200 if known else 401, {})
                return
            form = dict(parse_qsl(body.decode()))
            tls: Any = self.connection
            subject = dict(pair[0] for pair in (tls.getpeercert() or {}).get("subject", ()))
            name, port = subject.get("commonName", ""), server.server_port
            world.seen.append(Seen(self.path, name, form, port))
            self._say(*world.answer(self.path, form))

        def _say(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", "Bearer")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = _TlsServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    return server
