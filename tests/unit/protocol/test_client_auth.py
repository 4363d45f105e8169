from __future__ import annotations

from base64 import b64decode
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_client_auth.errors import UsageError
from mcp_client_auth.protocol.client_auth import FormPost, RequestSigner, form_request
from mcp_client_auth.protocol.flow import HttpRequest
from mcp_client_auth.protocol.registration import Client
from tests.support.protocol_samples import PLANTED, client

URL = "https://auth.example.com/token?tenant=1"
text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


def fields(request: HttpRequest) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))


def basic(request: HttpRequest) -> list[str]:
    """As a server reads it: decoded from base64, cut at the first colon, decoded as a form."""
    scheme, _, encoded = request.headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    return [unquote(part) for part in b64decode(encoded).decode().split(":", 1)]


def test_a_public_client_names_itself_in_the_body() -> None:
    request = form_request(URL, client(), "grant_type=x")
    assert fields(request) == {"grant_type": "x", "client_id": "c1"}
    assert request.method == "POST"
    assert request.url == URL
    assert request.headers == {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
    }


def test_post_puts_the_secret_in_the_body_only() -> None:
    request = form_request(URL, client("client_secret_post", "s3/:+&%ü"), "grant_type=x")
    assert fields(request) == {"grant_type": "x", "client_id": "c1", "client_secret": "s3/:+&%ü"}
    assert "Authorization" not in request.headers


def test_basic_puts_the_client_in_the_header_only() -> None:
    request = form_request(URL, client("client_secret_basic", "s"), "grant_type=x")
    assert basic(request) == ["c1", "s"]
    assert fields(request) == {"grant_type": "x"}


@pytest.mark.parametrize("special", [":", "%", "a:b", "%3A", "+", " ", "ü", "密", "https://c/x?y"])
def test_basic_encodes_both_parts_as_a_form(special: str) -> None:
    request = form_request(
        URL, client("client_secret_basic", special, client_id=special), "grant_type=x"
    )
    assert basic(request) == [special, special]
    assert request.headers["Authorization"].isascii()


@given(text, text, text)
def test_what_is_sent_is_what_the_server_reads(name: str, secret: str, value: str) -> None:
    from urllib.parse import urlencode

    body = urlencode({"code": value})
    basic_request = form_request(URL, client("client_secret_basic", secret, name), body)
    assert basic(basic_request) == [name, secret]
    assert fields(basic_request) == {"code": value}
    post = form_request(URL, client("client_secret_post", secret, name), body)
    assert fields(post) == {"code": value, "client_id": name, "client_secret": secret}


def test_a_request_shows_neither_header_nor_body() -> None:
    for method in ("client_secret_basic", "client_secret_post"):
        request = form_request(URL, client(method, PLANTED), f"code={PLANTED}")
        assert PLANTED not in repr(request)
        assert "Basic" not in repr(request)


class Signer(RequestSigner):
    def assertion(self, client: Client) -> str:
        return f"head.{client.client_id}.signature"


class Binding(RequestSigner):
    def proof(self, method: str, url: str) -> str:
        return f"for {method} {url}"


def test_a_form_does_not_show_what_is_in_it() -> None:
    assert PLANTED not in repr(FormPost(URL, client("none"), f"refresh_token={PLANTED}"))


def test_a_proof_is_for_the_request_that_carries_it() -> None:
    request = FormPost(URL, client("none"), "grant_type=x").signed(Binding())
    assert not request.private
    assert request.headers["DPoP"] == f"for {request.method} {request.url}"


@pytest.mark.parametrize("method", ["private_key_jwt", "client_secret_jwt"])
def test_an_assertion_stands_in_the_body_and_no_secret_does(method: str) -> None:
    request = FormPost(URL, client(method, PLANTED), "grant_type=x").signed(Signer())
    assert fields(request) == {
        "grant_type": "x",
        "client_id": "c1",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "head.c1.signature",
    }
    assert "Authorization" not in request.headers
    assert PLANTED not in request.body.decode()


@pytest.mark.parametrize("method", ["private_key_jwt", "client_secret_jwt"])
def test_without_a_signer_nothing_is_sent_at_all(method: str) -> None:
    with pytest.raises(UsageError, match="needs a key"):
        FormPost(URL, client(method, PLANTED), "grant_type=x").signed()


@pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth"])
def test_a_client_with_a_certificate_only_names_itself(method: str) -> None:
    request = FormPost(URL, client(method), "grant_type=x").signed(Signer())
    assert fields(request) == {"grant_type": "x", "client_id": "c1"}
    assert "Authorization" not in request.headers


@pytest.mark.parametrize("method", ["none", "client_secret_post", "client_secret_basic"])
def test_nothing_is_signed_for_who_has_another_proof(method: str) -> None:
    request = FormPost(URL, client(method, "s"), "grant_type=x").signed(Signer())
    assert b"client_assertion" not in request.body
