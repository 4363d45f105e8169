"""A client's key from where it is kept: the caller, a file, or nowhere."""

from __future__ import annotations

import json
import os
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_client_auth import ClientMetadataDocument, HttpTransport, PreRegistered, Secret, UsageError
from mcp_client_auth.keys.client_key import ClientSigner, prepare, require_certificate
from mcp_client_auth.protocol.metadata import ServerMetadata, read_server_metadata
from mcp_client_auth.protocol.registration import Client, Identity
from mcp_client_auth.protocol.urls import Issuer
from tests.support.key_samples import jwk, pem, planted
from tests.support.session_world import World, document

ISSUER = Issuer("https://auth.example.com")
numbers: Iterator[int] = iter(range(10_000))


def client(**fields: Any) -> Client:
    usual = {"client_id": "app", "issuer": ISSUER, "kind": "pre-registered"}
    return Client(**{**usual, "method": "private_key_jwt", **fields})


def server(**changes: Any) -> ServerMetadata:
    raw = {**World().authorization.metadata(), **changes}
    return read_server_metadata(ISSUER, document(raw, ISSUER))


def proving(identity: Identity) -> ClientSigner:
    return ClientSigner(identity, lambda: 1000.0, lambda: f"jti-{next(numbers)}")


def claims(assertion: str, part: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(urlsafe_b64decode(assertion.split(".")[part] + "=="))
    return found


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "client key.pem"
    path.write_text(pem("P-256"))
    return path


@pytest.mark.parametrize("key", [pem("P-256"), jwk("P-256"), Secret(pem("P-256"))])
def test_a_key_of_the_callers_signs_for_his_client(key: str | Secret) -> None:
    signer = proving(PreRegistered("app", key=key))
    one, other = (claims(signer.assertion(client())) for _ in range(2))
    assert (one["iss"], one["sub"], one["aud"]) == ("app", "app", ISSUER)
    assert (one["iat"], one["exp"]) == (1000, 1060)
    assert one["jti"] != other["jti"]


def test_a_metadata_document_may_have_a_key_too() -> None:
    url = "https://app.example.com/client.json"
    signer = proving(ClientMetadataDocument(url, key=pem("RSA")))
    assert claims(signer.assertion(client(client_id=url)))["sub"] == url


def test_a_callable_is_given_the_audience_and_is_believed() -> None:
    asked: list[str] = []

    def sign(audience: str) -> str:
        asked.append(audience)
        return "a.b.c"

    assert proving(PreRegistered("app", key=sign)).assertion(client()) == "a.b.c"
    assert asked == [ISSUER]


@pytest.mark.parametrize("answer", ["", "x", None, b"a.b.c", "a.b.ü"])
def test_a_callable_that_returns_no_assertion_is_named(answer: Any) -> None:
    with pytest.raises(UsageError, match="callable"):
        proving(PreRegistered("app", key=lambda audience: answer)).assertion(client())


def test_a_file_is_read_at_each_use(key_file: Path) -> None:
    signer = proving(PreRegistered("app", key_file=str(key_file)))
    assert claims(signer.assertion(client()), 0)["alg"] == "ES256"
    key_file.write_text(pem("RSA"))
    assert claims(signer.assertion(client(algorithm="ES256")), 0)["alg"] == "RS256"
    assert claims(signer.assertion(client(algorithm="PS256")), 0)["alg"] == "PS256"


def test_a_later_process_finds_the_file_that_the_login_named(
    key_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(key_file.parent)
    identity = PreRegistered("app", key_file=key_file.name)
    kept = prepare(client(key_file=key_file.name), identity, server())
    assert kept.key_file == str(key_file)
    assert kept.algorithm == "ES256"
    monkeypatch.chdir("/")
    assert claims(proving(None).assertion(kept))["sub"] == "app"


def test_a_home_is_found(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(key_file.parent))
    path = f"~/{key_file.name}"
    assert prepare(client(key_file=path), None, server()).key_file == str(key_file)


@pytest.mark.parametrize("identity", [None, PreRegistered("other", key=pem("P-256"))])
def test_a_process_without_the_key_is_told_what_to_pass(identity: Identity) -> None:
    with pytest.raises(UsageError, match="was not given") as caught:
        proving(identity).assertion(client())
    assert caught.value.code == "no_client_key"
    assert "key_file" in caught.value.hint
    assert ("PreRegistered.key_file", None) in caught.value.remedy


def gone(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def junk(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")


def words(path: Path) -> None:
    path.write_text("words")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


SPOILED = [gone, folder, junk, words] + ([pipe] if hasattr(os, "mkfifo") else [])


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_file_that_holds_no_key_is_named(key_file: Path, spoil: Callable[[Path], None]) -> None:
    spoil(key_file)
    with pytest.raises(UsageError) as caught:
        prepare(client(key_file=str(key_file)), None, server())
    assert str(key_file) in str(caught.value)
    assert caught.value.hint
    assert not [line for line in planted("P-256") if line in str(caught.value)]


def test_a_key_that_the_server_does_not_take_is_refused_before_anybody_is_asked() -> None:
    listed = server(token_endpoint_auth_signing_alg_values_supported=["RS256"])
    with pytest.raises(UsageError, match="accepts “RS256”"):
        prepare(client(), PreRegistered("app", key=pem("P-256")), listed)
    kept = prepare(client(), PreRegistered("app", key=pem("RSA")), listed)
    assert kept.algorithm == "RS256"
    assert kept.key_file == ""


@pytest.mark.parametrize(("listed", "algorithm"), [(None, "HS256"), (["HS512"], "HS512")])
def test_a_secret_signs_by_what_is_listed(listed: Any, algorithm: str) -> None:
    metadata = server(token_endpoint_auth_signing_alg_values_supported=listed)
    kept = prepare(client(method="client_secret_jwt", secret=Secret("s" * 32)), None, metadata)
    assert claims(proving(None).assertion(kept), 0)["alg"] == algorithm


def test_a_public_client_needs_nothing() -> None:
    made = client(method="none")
    assert prepare(made, None, server()) is made


@pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth"])
def test_a_transport_without_a_certificate_is_refused(method: str) -> None:
    with pytest.raises(UsageError, match="certificate") as caught:
        require_certificate(client(method=method), HttpTransport(ISSUER))
    assert ("HttpTransport.cert", None) in caught.value.remedy
    require_certificate(client(method=method), HttpTransport(ISSUER, cert="client.pem"))
    require_certificate(client(method=method), lambda request: None)
    require_certificate(client(method="none"), HttpTransport(ISSUER))


def test_a_prover_shows_no_key() -> None:
    shown = repr(proving(PreRegistered("app", key=pem("P-256"))))
    assert not [line for line in planted("P-256") if line in shown]
