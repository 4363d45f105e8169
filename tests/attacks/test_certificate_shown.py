"""A host asks for a client certificate that is meant for another host: it names its holder."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mcp_client_auth import HttpTransport, Options
from mcp_client_auth.grants.enterprise_managed import IdentityProvider, token_exchange_request
from mcp_client_auth.grants.unattended import Target
from mcp_client_auth.protocol.client_auth import FormPost
from mcp_client_auth.protocol.dynamic_registration import registration_request
from mcp_client_auth.protocol.endpoints import Endpoints
from mcp_client_auth.protocol.flow import HttpRequest
from mcp_client_auth.protocol.management import deletion_request
from mcp_client_auth.protocol.metadata import ServerMetadata
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.secret import Secret
from tests.support.loopback_server import LoopbackServer, says
from tests.support.mutual_tls import Authority


class Curious(LoopbackServer):
    """A TLS server that asks every visitor for a certificate; `shown` lists the names in them."""

    def __init__(self, authority: Authority) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("server"))
        context.load_verify_locations(authority.file)
        context.verify_mode = ssl.CERT_OPTIONAL
        super().__init__(self._answer, context)
        self.shown: list[str] = []

    def _answer(self, server: LoopbackServer, connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        subject = dict(pair[0] for pair in (connection.getpeercert() or {}).get("subject", ()))  # type: ignore[misc]
        self.shown.append(str(subject.get("commonName", "nobody")))
        says()(server, connection)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def hosts(authority: Authority) -> Iterator[tuple[Curious, Curious]]:
    """The MCP server and another host."""
    with ExitStack() as stack:
        mine, other = (stack.enter_context(Curious(authority)) for _ in range(2))
        yield mine, other


def transport_to(server: Curious, authority: Authority, **options: object) -> HttpTransport:
    cert = authority.issue("me")
    made = Options(**options)  # type: ignore[arg-type]
    return HttpTransport(server.url + "/mcp", made, verify=authority.file, cert=cert)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_host_that_asks_is_shown_no_certificate(
    authority: Authority, hosts: tuple[Curious, Curious], method: str
) -> None:
    mine, other = hosts
    with transport_to(mine, authority).flow() as flow:
        flow(HttpRequest(method, other.url + "/.well-known/oauth-authorization-server"))
        flow(HttpRequest(method, mine.url + "/mcp"))
    assert other.shown == ["nobody"]
    assert mine.shown == ["me"]


def test_the_endpoints_of_the_issuer_are_shown_it(
    authority: Authority, hosts: tuple[Curious, Curious]
) -> None:
    mine, other = hosts
    with transport_to(mine, authority).flow() as flow:
        flow(HttpRequest("GET", other.url + "/metadata"))
        flow(HttpRequest("POST", other.url + "/token", to_issuer=True))
        flow(HttpRequest("GET", other.url + "/metadata"))
    assert other.shown == ["nobody", "me", "nobody"], "a kept connection is not shared between them"


def test_a_pinned_issuer_is_shown_it(authority: Authority, hosts: tuple[Curious, Curious]) -> None:
    mine, other = hosts
    with transport_to(mine, authority, issuer=other.url).flow() as flow:
        flow(HttpRequest("GET", other.url + "/metadata"))
    assert other.shown == ["me"]


def test_an_origin_is_its_port_too(authority: Authority, hosts: tuple[Curious, Curious]) -> None:
    mine, other = hosts
    assert mine.port != other.port
    transport_to(mine, authority)(HttpRequest("GET", other.url + "/mcp"))
    assert other.shown == ["nobody"]


# Which requests are to the issuer

CLIENT = Client("app", "https://auth.example.com", "dynamic", "none")


def provider(method: str) -> IdentityProvider:
    client = Client("app", "https://idp.example.com", "pre-registered", method)
    return IdentityProvider("https://idp.example.com/token", client)


def test_each_endpoint_of_the_authorization_server_is_one() -> None:
    from dataclasses import replace

    from mcp_client_auth.protocol.metadata import caller_server_metadata

    endpoints = Endpoints(
        token="https://auth.example.com/token", registration="https://a.example/r"
    )
    server: ServerMetadata = caller_server_metadata("https://auth.example.com", endpoints)
    assert FormPost("https://auth.example.com/token", CLIENT, "").signed().to_issuer
    assert registration_request(server, {}, Options()).to_issuer
    managed = replace(
        CLIENT, management_uri="https://a.example/r/1", management_token=Secret("secret")
    )
    assert deletion_request(managed).to_issuer


@pytest.mark.parametrize(("method", "shown"), [("none", False), ("tls_client_auth", True)])
def test_an_identity_provider_is_one_where_the_certificate_proves_the_client_to_it(
    method: str, shown: bool
) -> None:
    target = Target(
        "https://auth.example.com", "https://auth.example.com/token", CLIENT, None, None
    )
    request = token_exchange_request(provider(method), target, Secret("assertion"), "id_token")
    assert request.signed().to_issuer is shown
