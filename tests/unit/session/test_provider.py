"""What goes from a server's login into that at the identity provider, and what does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from mcp_client_auth import (
    HttpTransport,
    InsecureUrl,
    LoginRequired,
    MemoryStorage,
    Options,
    PreRegistered,
    Secret,
)
from mcp_client_auth.credential import PROVIDER, Credential, Key, key_for
from mcp_client_auth.grants.base import LoginConfig, Ports, Provider
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.protocol.urls import ServerUrl
from mcp_client_auth.session.provider import provider_config, provider_key, provider_ports

ISSUER: Final = "https://login.example.com/tenant"
SERVER: Final = "https://mcp.example.com/mcp"
DESK: Final = PreRegistered("desk", redirect_uris=("http://127.0.0.1/callback",))
NAMED: Final = Provider(ISSUER, DESK, scope=(), proves=False)


def config(**options: Any) -> LoginConfig:
    return LoginConfig(ServerUrl(SERVER), key_for(SERVER, "ada"), options=Options(**options))


def kept(key: Key, secret: str) -> Credential:
    client = Client("desk", ISSUER, "pre-registered", "client_secret_basic", Secret(secret))
    tokens = TokenSet(Secret("id"), 0.0, refresh_token=Secret("refresh"))
    return Credential(key, ISSUER, ISSUER + "/token", client, tokens)


def test_its_key_is_the_issuer_the_account_and_the_client() -> None:
    key = provider_key(NAMED, "ada")
    assert key == Key(ISSUER, "ada", PROVIDER, "desk")
    assert provider_key(NAMED._replace(issuer=ISSUER + "/"), "ada") == key


def test_the_servers_options_do_not_hold_there() -> None:
    made = provider_config(
        NAMED,
        config(
            resource="https://r",
            audience="a",
            dpop=True,
            issuer="https://auth.example.com",
            allow_insecure_http=True,
            allow_private_addresses=True,
            allow_mix_up=True,
            headers={"X-Gateway": "secret"},
            login_hint="ada@example.com",
            login_timeout=7.0,
            initial_access_token="secret",
        ),
        MemoryStorage(),
    )
    assert made.options == Options(
        issuer=ISSUER,
        assume_pkce_s256=True,
        login_hint="ada@example.com",
        login_timeout=7.0,
    )
    assert (made.server_url, made.identity, made.scope) == (ISSUER, DESK, None)
    assert not made.for_server
    assert made.asks


def test_the_issuer_has_to_be_https_whatever_the_server_is_allowed() -> None:
    provider = NAMED._replace(issuer="http://login.example.com")
    with pytest.raises(InsecureUrl):
        provider_config(provider, config(allow_insecure_http=True), MemoryStorage())


def test_the_secret_of_the_stored_login_is_used_by_who_names_only_the_client() -> None:
    storage, provider = MemoryStorage(), NAMED._replace(proves=True)
    with pytest.raises(LoginRequired, match="the login there that had its secret is gone"):
        provider_config(provider, config(), storage)
    storage.save(kept(provider_key(provider, "ada"), "of the record"))
    identity = provider_config(provider, config(), storage).identity
    assert isinstance(identity, PreRegistered)
    assert identity.secret == Secret("of the record")
    assert identity.method == "client_secret_basic"
    assert identity.redirect_uris == DESK.redirect_uris
    own = replace(DESK, secret="of the caller")
    identity = provider_config(NAMED._replace(client=own), config(), storage).identity
    assert isinstance(identity, PreRegistered)
    assert identity.secret == Secret("of the caller")
    other = replace(config(), key=key_for(SERVER, "bob"))
    with pytest.raises(LoginRequired):
        provider_config(provider, other, storage)


@pytest.mark.parametrize("method", ["", "tls_client_auth"])
def test_the_transport_is_the_providers_own(method: str) -> None:
    provider = NAMED._replace(client=replace(DESK, method=method))
    made = provider_config(provider, config(), MemoryStorage())
    real = HttpTransport(SERVER, config().options, proxy="http://proxy.example.com", cert="a.pem")
    headers = {
        "https://login.example.com": {"X-Here": Secret("a")},
        "https://mcp.example.com": {"X-There": Secret("b")},
    }
    ports = provider_ports(provider, made, Ports(MemoryStorage(), real, headers=headers))
    there = ports.transport
    assert isinstance(there, HttpTransport)
    assert (there.server_url, there.options) == (ISSUER, made.options)
    assert there.proxy == "http://proxy.example.com"
    assert there.cert == ("a.pem" if method else None)
    assert list(ports.headers) == ["https://login.example.com"]


def test_a_transport_of_the_callers_own_is_used_as_it_is() -> None:
    def send(request: object) -> Any:
        raise AssertionError

    ports = Ports(MemoryStorage(), send)
    made = provider_config(NAMED, config(), MemoryStorage())
    assert provider_ports(NAMED, made, ports).transport is send
