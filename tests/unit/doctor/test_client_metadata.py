"""How a client ID metadata document is hosted, seen as an authorization server sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from mcp_client_auth.cli.report import exit_code_of
from mcp_client_auth.doctor import Report
from mcp_client_auth.doctor.client_metadata import command_for, examine_document
from mcp_client_auth.errors import UsageError
from mcp_client_auth.protocol.client_document import client_document
from mcp_client_auth.protocol.options import Options
from tests.support.findings import only
from tests.support.hosted_document import CACHED, JSON, HostedDocument
from tests.support.key_samples import jwk, planted, public_jwk
from tests.support.loopback_server import Behaviour, resets, says

NOT_JSON: Final = 8
UNTRUSTED: Final = 5
UNAVAILABLE: Final = 6


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[HostedDocument]:
    with HostedDocument(tmp_path) as hosted:
        hosted.host(document(hosted))
        yield hosted


def document(hosted: HostedDocument, **changes: Any) -> dict[str, Any]:
    return {**client_document(hosted.url), **changes}


def body(hosted: HostedDocument) -> bytes:
    return json.dumps(document(hosted)).encode()


def look(hosted: HostedDocument, url: str = "") -> Report:
    options = Options(http_timeout=30.0)
    return examine_document(url or hosted.url, options, lambda name: None, verify=hosted.ca)


def test_a_good_document_has_no_error(hosted: HostedDocument) -> None:
    report = look(hosted)
    assert exit_code_of(report) == 0
    # it is hosted on this machine, with a certificate for a day
    warned = [f.check for f in report.findings if f.level == "warning"]
    assert warned == ["document.address", "tls.connection"]
    assert hosted.url in only(report, "document.use").came
    assert hosted.requests == ["GET /client.json HTTP/1.1"]


@pytest.mark.parametrize(
    ("status", "target", "code"),
    [
        ("301 Moved", "/elsewhere.json", NOT_JSON),
        ("302 Found", "https://other.example/client.json?secret", NOT_JSON),
        ("404 Not Found", "", NOT_JSON),
        ("204 No Content", "", NOT_JSON),
        ("503 Unavailable", "", UNAVAILABLE),
    ],
)
def test_whatever_is_no_200_is_an_error_and_no_redirect_is_followed(
    hosted: HostedDocument, status: str, target: str, code: int
) -> None:
    hosted.host(document(hosted), "/elsewhere.json")
    hosted.put(says(b"", status, *([f"Location: {target}"] if target else [])))
    report = look(hosted)
    came = only(report, "document.answer", "error").came
    assert came.startswith(f"HTTP {status[:3]}")
    assert "secret" not in came
    assert exit_code_of(report) == code
    assert len(hosted.requests) == 1


def test_a_server_that_hangs_up_is_no_fault_of_the_document(hosted: HostedDocument) -> None:
    hosted.put(resets)
    assert exit_code_of(look(hosted)) == UNAVAILABLE


def test_a_certificate_that_nobody_trusts_is_an_error(hosted: HostedDocument) -> None:
    report = examine_document(hosted.url, Options(http_timeout=30.0), lambda name: None)
    assert exit_code_of(report) == UNTRUSTED


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("application/json; charset=utf-8", "ok"),
        ("application/cimd+json", "ok"),
        ("text/plain", "warning"),
        ("text/json", "warning"),
        ("", "warning"),
    ],
)
def test_the_content_type_is_looked_at(hosted: HostedDocument, kind: str, level: str) -> None:
    hosted.put(says(body(hosted), "200 OK", *([f"Content-Type: {kind}"] if kind else [])))
    assert only(look(hosted), "document.type").level == level


@pytest.mark.parametrize(("size", "level"), [(5 * 1024, "ok"), (5 * 1024 + 1, "error")])
def test_the_size_has_the_limit_of_the_draft(hosted: HostedDocument, size: int, level: str) -> None:
    hosted.put(says(body(hosted).ljust(size), "200 OK", JSON))
    found = only(look(hosted), "document.size")
    assert (found.level, found.came) == (level, f"{size} bytes")


@pytest.mark.parametrize(
    ("header", "level", "came"),
    [
        (CACHED, "ok", "max-age=300"),
        ("Cache-Control: max-age=86400", "ok", "max-age=86400"),
        ("Cache-Control: max-age=86401", "note", "max-age=86401: a change"),
        ("Cache-Control: no-store, max-age=300", "note", "no-store"),
        ("Cache-Control: private", "note", "no max-age"),
        ("X-Other: 1", "note", "no max-age"),
    ],
)
def test_how_long_the_document_is_kept_is_shown(
    hosted: HostedDocument, header: str, level: str, came: str
) -> None:
    hosted.put(says(body(hosted), "200 OK", JSON, header))
    found = only(look(hosted), "document.caching")
    assert (found.level, found.came[: len(came)]) == (level, came)


@pytest.mark.parametrize("text", [b"<html></html>", b"[]", b"", b"{", b"[" * 4000])
def test_what_is_no_json_object_is_an_error_and_the_end(
    hosted: HostedDocument, text: bytes
) -> None:
    hosted.put(says(text, "200 OK", JSON, CACHED))
    report = look(hosted)
    found = only(report, "document.json", "error")
    assert found.remedy == "Serve one JSON object there"  # its readers are not a server's operator
    assert exit_code_of(report) == NOT_JSON
    assert not [f for f in report.findings if f.check == "document.client_id"]


def test_a_query_belongs_to_the_client_id(hosted: HostedDocument) -> None:
    url = hosted.url + "?v=1"
    hosted.host(document(hosted, client_id=url))
    report = look(hosted, url)
    assert only(report, "document.client_id").level == "ok"
    assert only(report, "document.url").level == "note"
    assert only(look(hosted), "document.client_id").level == "error"


def test_a_private_key_is_an_error_and_not_repeated(hosted: HostedDocument) -> None:
    private = json.loads(jwk("P-256"))
    # it also stands where a text is shown
    hosted.host(document(hosted, client_name=private["d"], jwks={"keys": [private]}))
    report = look(hosted)
    assert "private members: d" in only(report, "document.jwks", "error").came
    assert not [secret for secret in planted("P-256") if secret in str(report)]
    assert not [f for f in report.findings if f.check == "document.use"]


def _keys(text: str) -> Behaviour:
    return says(json.dumps({"keys": [json.loads(text)]}).encode(), "200 OK", JSON)


@pytest.mark.parametrize(
    ("answer", "level", "came"),
    [
        (_keys(public_jwk("RSA")), "ok", "public keys"),
        (_keys(jwk("RSA")), "error", "private members: d, p, q, dp, dq, qi"),
        (says(b"[]", "200 OK", JSON), "error", "no keys"),
        (says(b"", "404 Not Found"), "error", "HTTP 404"),
        (says(b"", "302 Found", "Location: /client.json"), "error", "HTTP 302"),
    ],
    ids=["public", "private", "no set", "nothing", "a redirect"],
)
def test_the_keys_at_jwks_uri_are_fetched_and_judged(
    hosted: HostedDocument, answer: Behaviour, level: str, came: str
) -> None:
    keyed = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": hosted.at("/keys")}
    hosted.host(document(hosted, **keyed))
    hosted.put(answer, "/keys")
    report = look(hosted)
    found = only(report, "document.jwks_uri")
    assert found.level == level
    assert came in found.came
    assert not [secret for secret in planted("RSA") if secret in str(report)]


@pytest.mark.parametrize("url", ["http://app.example.com/keys", "https://169.254.1.1/keys"])
def test_keys_at_a_place_that_nobody_may_fetch_are_an_error(
    hosted: HostedDocument, url: str
) -> None:
    hosted.host(document(hosted, jwks_uri=url))
    found = only(look(hosted), "document.jwks_uri")
    assert (found.level, found.error) == ("error", "InsecureUrl")
    assert "allow_" not in found.remedy  # a switch that this verb does not have


@pytest.mark.parametrize("url", ["http://127.0.0.1/c.json", "https://app.example.com", "c.json"])
def test_what_is_no_url_of_a_document_is_not_fetched(url: str) -> None:
    with pytest.raises(UsageError):
        examine_document(url, Options(), lambda name: None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"redirect_uris": ["https://a.example/", "http://127.0.0.1/callback"]}, ""),
        (
            {"redirect_uris": ["https://a.example/", "http://[::1]:9/cb", "http://127.0.0.1/cb"]},
            " --redirect-uri 'http://[::1]:9/cb'",
        ),
        ({"token_endpoint_auth_method": "private_key_jwt"}, " --client-key-file KEY"),
    ],
)
def test_the_command_names_what_the_document_demands(changes: dict[str, Any], words: str) -> None:
    url = "https://app.example.com/client.json"
    described = {**client_document(url), **changes}
    assert command_for(url, described) == f"mcp-login SERVER --client-metadata-url {url}{words}"


def test_a_document_of_a_web_application_is_no_use_to_a_command() -> None:
    described = client_document("https://a.example/c", "App", ("https://a.example/",))
    with pytest.raises(UsageError, match="loopback"):
        command_for("https://a.example/c", described)
