"""Credentials and clients of every shape, and the storages that must keep them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from mcp_client_auth.credential import ClientKey, Credential, Key
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.secret import Secret

KINDS = ("keyring", "sealed keyring", "file", "sealed file", "memory")
ISSUER = "https://auth.example.com/tenant"
CLIENT_KEY = ClientKey(ISSUER, "http://127.0.0.1/callback")
PLANTED = {
    "access token": "planted-access-Zk3",
    "refresh token": "planted-refresh-Qw8",
    "client secret": "planted-client-Xy5",
    "management token": "planted-management-Bn1",
    "proof key": "planted-proof-Mv6",
}


def full_client() -> Client:
    """No field at its default."""
    return Client(
        client_id="client-1",
        issuer=ISSUER,
        kind="dynamic",
        method="client_secret_post",
        secret=Secret(PLANTED["client secret"]),
        redirect_uris=("http://127.0.0.1:1234/callback", "http://localhost:1234/callback"),
        scope=("read", "write"),
        secret_expires_at=1_900_000_000.5,
        management_uri="https://auth.example.com/register/client-1",
        management_token=Secret(PLANTED["management token"]),
        key_file="/home/me/keys/client-1.pem",
        algorithm="ES256",
        dpop=True,
    )


def full(key: Key) -> Credential:
    """No field at its default."""
    return Credential(
        key=key,
        issuer=ISSUER,
        token_endpoint="https://auth.example.com/token",
        client=full_client(),
        tokens=TokenSet(
            access_token=Secret(PLANTED["access token"]),
            issued_at=1_800_000_000.25,
            expires_at=1_800_003_600.25,
            refresh_token=Secret(PLANTED["refresh token"]),
            scope=("read", "write"),
            bound=True,
        ),
        resource="https://mcp.example.com/",
        revocation_endpoint="https://auth.example.com/revoke",
        requested=("read", "write", "offline_access"),
        options={"assume_pkce_s256": True, "nested": {"list": ["a", None, 1.5]}},
        generation=7,
        final_url="https://mcp.example.com/mcp/",
        dpop_key=Secret(json.dumps({"kty": "EC", "alg": "ES256", "d": PLANTED["proof key"]})),
    )


def bare(key: Key) -> Credential:
    """Without any field that may be missing."""
    client = Client("client-2", ISSUER, "pre-registered", "none")
    tokens = TokenSet(Secret("t"), issued_at=0.0)
    return Credential(key, ISSUER, "https://auth.example.com/token", client, tokens)


def empty(key: Key) -> Credential:
    """The fields are present but empty, which is not the same as missing."""
    client = Client(
        "", "", "metadata-document", "none", secret=Secret(""), management_token=Secret("")
    )
    tokens = TokenSet(Secret(""), 0.0, expires_at=0.0, refresh_token=Secret(""), scope=())
    endpoint = "https://auth.example.com/token"
    return Credential(key, "", endpoint, client, tokens, resource="", requested=(), options={})


def unicode(key: Key) -> Credential:
    text = 'ключ 鍵 🔑 é e\u0301 "\\\n\t\x00\x7f\u2028 </script>'
    tokens = TokenSet(Secret("-._~+/="), 1.0, refresh_token=Secret(text[::-1]), scope=(text, "🔑"))
    client = replace(full_client(), client_id=text, secret=Secret(text), scope=(text,))
    return replace(full(key), tokens=tokens, client=client, resource=text, options={text: text})


def large(key: Key) -> Credential:
    """Two tokens of 20 kB, as a directory with many groups issues them."""
    tokens = TokenSet(Secret("a" * 20_000), 1.0, refresh_token=Secret("鍵" * 20_000))
    return replace(full(key), tokens=tokens)


def chain_of(*backends: object) -> Any:
    """A chain like keyring's own, whose class would first ask each plug-in of this machine."""
    kind = type("ChainerBackend", (), {"__module__": "keyring.backends.chainer"})
    chain: Any = kind()
    chain.backends = list(backends)
    return chain


SHAPES = {"full": full, "bare": bare, "empty": empty, "unicode": unicode, "large": large}


def with_token(credential: Credential, token: str) -> Credential:
    return credential.renewed(replace(credential.tokens, access_token=Secret(token)))
