from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from protocol_samples import (
    ISSUER,
    PLANTED,
    REDIRECT,
    Script,
    answer,
    changed,
    client,
    html,
    server,
)

from mcp_client_auth.errors import (
    BadResponse,
    IssuerMismatch,
    RegistrationRefused,
    Unavailable,
    UsageError,
)
from mcp_client_auth.events import Event
from mcp_client_auth.protocol.flow import HttpResponse, run
from mcp_client_auth.protocol.metadata import default_server_metadata
from mcp_client_auth.protocol.options import LATEST, Options
from mcp_client_auth.protocol.registration import (
    Client,
    ClientMetadataDocument,
    Identity,
    Kind,
    PreRegistered,
    metadata_document_client,
    pre_registered,
    proving_by_secret,
    read_registration,
    register,
    registration_request,
    usable_method,
    way_to_client,
)
from mcp_client_auth.secret import Secret

DOCUMENT = "https://app.example.com/client.json"
SUPPORTS_DOCUMENTS = {"client_id_metadata_document_supported": True}
NO_REGISTRATION = {"registration_endpoint": ...}


def read(asked: tuple[str, ...] | None = None, status: int = 201, **fields: Any) -> Client:
    usual = {"client_id": "dyn", "token_endpoint_auth_method": "none"}
    return read_registration(server(), REDIRECT, asked, answer(changed(usual, fields), status))


# The three ways


@pytest.mark.parametrize(
    ("identity", "metadata", "way"),
    [
        (PreRegistered("c1"), SUPPORTS_DOCUMENTS, "pre-registered"),
        (PreRegistered("c1"), NO_REGISTRATION, "pre-registered"),
        (ClientMetadataDocument(DOCUMENT), SUPPORTS_DOCUMENTS, "metadata-document"),
        (ClientMetadataDocument(DOCUMENT), {}, "dynamic"),
        (None, SUPPORTS_DOCUMENTS, "dynamic"),
        (None, {}, "dynamic"),
    ],
    ids=["own", "own, no dcr", "document", "document unsupported", "none configured", "none"],
)
def test_the_first_way_that_applies_is_taken(
    identity: Identity, metadata: dict[str, Any], way: str
) -> None:
    assert way_to_client(identity, server(**metadata)) == way


@pytest.mark.parametrize("identity", [None, ClientMetadataDocument(DOCUMENT)])
def test_no_way_is_an_error_that_names_all_three(identity: Identity) -> None:
    with pytest.raises(RegistrationRefused) as caught:
        way_to_client(identity, server(**NO_REGISTRATION))
    assert caught.value.code == "no_client"
    for way in ("--client-id", "--client-metadata-url", "dynamic registration"):
        assert way in str(caught.value)


def test_a_pre_registered_client_belongs_to_the_issuer_found() -> None:
    made = pre_registered(PreRegistered("c1", "s3cret"), server(), Options())
    assert (made.client_id, made.issuer, made.kind) == ("c1", ISSUER, "pre-registered")
    assert made.secret == Secret("s3cret")


def test_a_pre_registered_client_does_not_follow_to_another_issuer() -> None:
    with pytest.raises(IssuerMismatch):
        pre_registered(PreRegistered("c1"), server(), Options(issuer="https://other.example"))
    assert pre_registered(PreRegistered("c1"), server(), Options(issuer=ISSUER + "/"))


@pytest.mark.parametrize(
    ("secret", "listed", "method"),
    [
        ("", None, "none"),
        ("", ["client_secret_post"], "none"),
        ("s", None, "client_secret_basic"),
        ("s", ["client_secret_basic", "client_secret_post"], "client_secret_post"),
        ("s", ["client_secret_basic"], "client_secret_basic"),
        ("s", ["none"], "client_secret_post"),
        ("s", [], "client_secret_post"),
    ],
    ids=["public", "public, post", "no list", "both", "basic", "neither", "empty"],
)
def test_a_secret_without_a_method_takes_one_that_is_listed(
    secret: str, listed: list[str] | None, method: str
) -> None:
    metadata = server(token_endpoint_auth_methods_supported=listed)
    assert usable_method(Secret(secret) if secret else None, metadata) == method
    identity = PreRegistered("c1", secret or None)
    assert pre_registered(identity, metadata, Options()).method == method


def test_a_method_that_the_caller_names_is_used() -> None:
    identity = PreRegistered("c1", "s", method="client_secret_basic")
    metadata = server(token_endpoint_auth_methods_supported=["client_secret_post"])
    assert pre_registered(identity, metadata, Options()).method == "client_secret_basic"
    with pytest.raises(UsageError, match="telepathy"):
        PreRegistered("c1", method="telepathy")


@pytest.mark.parametrize("key", [{"key": PLANTED}, {"key_file": "k.pem"}, {"key": len}])
def test_a_key_without_a_method_means_private_key_jwt(key: dict[str, Any]) -> None:
    metadata = server(token_endpoint_auth_methods_supported=["client_secret_post"])
    made = pre_registered(PreRegistered("c1", "s", **key), metadata, Options())
    assert made.method == "private_key_jwt"
    assert made.key_file == key.get("key_file", "")
    assert PLANTED not in repr(PreRegistered("c1", **key))


@pytest.mark.parametrize(
    ("means", "said"),
    [
        ({"method": "private_key_jwt"}, "--client-key-file"),
        ({"method": "private_key_jwt", "secret": "s"}, "needs a key"),
        ({"method": "client_secret_jwt"}, "needs a secret"),
        ({"method": "client_secret_post"}, "needs a secret"),
        ({"method": "client_secret_basic", "secret": ""}, "needs a secret"),
        ({"method": "client_secret_post", "secret": "s", "key": "k"}, "not sign with a key"),
        ({"method": "tls_client_auth", "key_file": "k"}, "not sign with a key"),
        ({"key": "k", "key_file": "f"}, "exclude each other"),
        ({"key": "k", "algorithm": "none"}, "“none” is not supported"),
        ({"key": "k", "algorithm": "HS256"}, "does not sign with HS256"),
        (
            {"secret": "s", "method": "client_secret_jwt", "algorithm": "ES256"},
            "does not sign with ES256",
        ),
    ],
    ids=str,
)
def test_a_method_without_its_means_is_refused_at_once(means: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        PreRegistered("c1", **means)


def test_a_secret_may_be_asked_to_sign() -> None:
    metadata = server(token_endpoint_auth_methods_supported=["client_secret_jwt"])
    assert pre_registered(PreRegistered("c1", "s"), metadata, Options()).method == (
        "client_secret_jwt"
    )
    answered = read(client_secret="s", token_endpoint_auth_method="client_secret_jwt")
    assert answered.method == "client_secret_jwt"


def test_a_metadata_document_may_have_a_key_and_never_a_secret() -> None:
    made = metadata_document_client(ClientMetadataDocument(DOCUMENT, key_file="k.pem"), server())
    assert (made.method, made.key_file, made.secret) == ("private_key_jwt", "k.pem", None)
    with pytest.raises(UsageError, match="exclude"):
        ClientMetadataDocument(DOCUMENT, key="k", key_file="k.pem")
    assert PLANTED not in repr(ClientMetadataDocument(DOCUMENT, key=PLANTED))


@pytest.mark.parametrize("method", ["tls_client_auth", "private_key_jwt"])
def test_a_method_for_which_nothing_was_registered_is_refused(method: str) -> None:
    with pytest.raises(BadResponse, match=method):
        read(client_secret="s", token_endpoint_auth_method=method)


# An initial access token


def test_an_initial_access_token_is_a_header_of_the_registration() -> None:
    options = Options(initial_access_token=PLANTED)
    request = registration_request(server(), REDIRECT, None, options)
    assert request.headers["Authorization"] == f"Bearer {PLANTED}"
    assert PLANTED not in f"{request!r} {options!r} {request.body!r}"
    assert "Authorization" not in registration_request(server(), REDIRECT, None, Options()).headers


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_is_not_repeated(status: int) -> None:
    body = {"error": "invalid_token", "error_description": f"{PLANTED} is not known"}
    script = Script(answer(body, status))
    with pytest.raises(RegistrationRefused, match="“\\*\\*\\*\\* is not known”") as caught:
        run(register(server(), REDIRECT, None, Options(initial_access_token=PLANTED)), script)
    assert "operator for a new one" in caught.value.hint
    assert PLANTED not in f"{caught.value.__dict__}"


def test_a_server_that_wants_one_is_understood() -> None:
    with pytest.raises(RegistrationRefused) as caught:
        read_registration(server(), REDIRECT, None, answer(b"", 401))
    assert "--initial-access-token-file" in caught.value.hint


def test_a_metadata_document_is_a_public_client_with_its_url_as_id() -> None:
    made = metadata_document_client(ClientMetadataDocument(DOCUMENT, (REDIRECT,)), server())
    assert (made.client_id, made.method, made.secret) == (DOCUMENT, "none", None)
    assert made.redirect_uris == (REDIRECT,)


@pytest.mark.parametrize(
    "url",
    [
        "http://app.example.com/client.json",
        "https://app.example.com",
        "https://app.example.com/",
        "https://app.example.com/c#x",
        "https://app.example.com/c#",
        "https://user@app.example.com/c",
        "https://@app.example.com/c",
        "https://app.example.com/a/../c",
        "https://app.example.com/a/%2E%2e/c",
        "https://app.example.com/%2e",
        "https://app.example.com/./c",
        "nonsense",
    ],
)
def test_a_metadata_documents_url_is_a_plain_one(url: str) -> None:
    with pytest.raises(UsageError):
        ClientMetadataDocument(url)


# Registration


def test_a_public_native_client_is_asked_for() -> None:
    request = registration_request(server(), REDIRECT, ("a", "b"), Options(client_name="Me"))
    assert (request.method, request.url) == ("POST", ISSUER + "/register")
    assert request.headers["MCP-Protocol-Version"] == LATEST
    assert request.headers["Content-Type"] == request.headers["Accept"] == "application/json"
    assert json.loads(request.body) == {
        "client_name": "Me",
        "redirect_uris": [REDIRECT],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
        "scope": "a b",
    }


def test_an_https_redirect_makes_a_web_client_and_no_scope_is_not_sent() -> None:
    request = registration_request(server(), "https://app.example.com/cb", None, Options())
    wanted = json.loads(request.body)
    assert wanted["application_type"] == "web"
    assert "scope" not in wanted


@pytest.mark.parametrize("status", [200, 201])
def test_both_statuses_of_success_are_taken(status: int) -> None:
    made = read(status=status)
    assert (made.client_id, made.issuer, made.kind, made.method) == (
        "dyn",
        ISSUER,
        "dynamic",
        "none",
    )
    assert made.redirect_uris == (REDIRECT,)


NOTHING: dict[str, Any] = {
    "null": None,
    "empty": "",
    "absent": ...,
    "number": 7,
    "array": [],
}


@pytest.mark.parametrize("nothing", NOTHING.values(), ids=NOTHING)
def test_fields_that_say_nothing_count_as_absent(nothing: Any) -> None:
    made = read(
        ("a",),
        client_secret=nothing,
        registration_client_uri=nothing,
        registration_access_token=nothing,
        client_secret_expires_at=None,
        client_uri=nothing,
        logo_uri="",
        scope=nothing,
        unheard_of={"x": 1},
    )
    assert (made.secret, made.management_uri, made.management_token) == (None, "", None)
    assert made.scope == ("a",)


@pytest.mark.parametrize("nothing", NOTHING.values(), ids=NOTHING)
def test_a_client_id_is_needed(nothing: Any) -> None:
    with pytest.raises(BadResponse, match="client_id"):
        read(client_id=nothing)


def test_what_was_answered_is_used_where_it_is_not_what_was_asked() -> None:
    made = read(
        ("a", "b"),
        client_secret=PLANTED,
        token_endpoint_auth_method="client_secret_basic",
        scope="a",
        client_secret_expires_at="2000",
        registration_client_uri=ISSUER + "/register/dyn",
        registration_access_token=PLANTED,
    )
    assert made.method == "client_secret_basic"
    assert made.secret == made.management_token == Secret(PLANTED)
    assert made.scope == ("a",)
    assert PLANTED not in repr(made)
    assert not made.expired(1999)
    assert made.expired(2000)


@pytest.mark.parametrize("at", [0, None, "never", -5])
def test_a_secret_without_an_expiry_never_expires(at: object) -> None:
    method = "client_secret_post"
    made = read(client_secret="s", token_endpoint_auth_method=method, client_secret_expires_at=at)
    assert not made.expired(1e12)


def test_a_secret_without_a_method_takes_the_default() -> None:
    assert read(client_secret="s", token_endpoint_auth_method=...).method == "client_secret_basic"


def test_a_secret_beside_the_method_none_is_kept_for_the_server_that_demands_it() -> None:
    made = read(client_secret="s")
    assert (made.method, made.secret) == ("none", Secret("s"))
    proving = proving_by_secret(made, server(token_endpoint_auth_methods_supported=["none"]))
    assert proving == replace(made, method="client_secret_post")
    assert proving_by_secret(read(), server()) is None


@pytest.mark.parametrize("kind", ["pre-registered", "metadata-document"])
def test_a_client_of_the_callers_proves_itself_as_he_said(kind: Kind) -> None:
    made = replace(read(client_secret="s"), kind=kind)
    assert proving_by_secret(made, server()) is None


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "private_key_jwt"])
def test_a_method_that_needs_what_was_not_given_is_refused(method: str) -> None:
    with pytest.raises(BadResponse, match="without giving"):
        read(token_endpoint_auth_method=method)


def test_a_method_that_cannot_be_applied_is_refused() -> None:
    with pytest.raises(BadResponse, match="private_key_jwt"):
        read(client_secret="s", token_endpoint_auth_method="private_key_jwt")


REFUSALS = {
    "JSON error": (
        answer({"error": "invalid_redirect_uri", "error_description": "not\x1b[1m this"}, 400),
        "invalid_redirect_uri",
        "“not [1m this”",
    ),
    "plain text": (
        answer(b"Forbidden", 403, content_type="text/plain; charset=utf-8"),
        "registration_refused",
        "“Forbidden”",
    ),
    "HTML": (html(403), "registration_refused", "HTTP 403"),
    "JSON array": (answer([1], 422), "registration_refused", "HTTP 422"),
    "an error that is no string": (answer({"error": {"a": 1}}, 400), "registration_refused", "400"),
    "a description that is no string": (
        answer({"error": "x", "error_description": [1]}, 400),
        "x",
        "HTTP 400",
    ),
    "not found": (answer(b"", 404), "registration_refused", "HTTP 404"),
    "long": (
        answer({"error": "x" * 9000, "error_description": "y" * 9000}, 400),
        "x" * 59 + "…",
        "…",
    ),
}


@pytest.mark.parametrize(("response", "code", "said"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_says_what_the_server_said(response: HttpResponse, code: str, said: str) -> None:
    with pytest.raises(RegistrationRefused) as caught:
        read_registration(server(), REDIRECT, None, response)
    assert caught.value.code == code
    assert caught.value.status == response.status
    assert said in str(caught.value)
    assert len(str(caught.value)) < 800
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("status", [404, 405])
def test_a_guessed_endpoint_that_is_not_there_says_that_it_was_guessed(status: int) -> None:
    guessed = default_server_metadata("https://mcp.example.com")
    with pytest.raises(RegistrationRefused, match="does not say where") as caught:
        read_registration(guessed, REDIRECT, None, answer(b"", status))
    assert caught.value.code == "no_authorization_server"


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_passing_fault_is_no_refusal(status: int) -> None:
    with pytest.raises(Unavailable):
        read_registration(server(), REDIRECT, None, answer({"error": "x"}, status))


@pytest.mark.parametrize("status", [202, 204, 302, 307, 308])
def test_any_other_status_breaks_the_standard(status: int) -> None:
    response = answer(b"", status, location="https://evil.example/register")
    with pytest.raises(BadResponse, match="201"):
        read_registration(server(), REDIRECT, None, response)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"dyn"])
def test_a_success_without_an_object_breaks_it_too(body: bytes) -> None:
    with pytest.raises(BadResponse):
        read_registration(server(), REDIRECT, None, answer(body, 201))


def test_a_registration_is_one_request_and_two_events() -> None:
    script = Script(answer({"client_id": "dyn", "client_secret": PLANTED}, 201))
    events: list[Event] = []
    made = run(register(server(), REDIRECT, None, Options()), script, events.append)
    assert made.client_id == "dyn"
    assert len(script.requests) == 1
    assert [event.name for event in events] == ["registration-request", "registration"]
    assert PLANTED not in " ".join(map(str, events))


def test_a_client_shows_no_secret() -> None:
    secret = Secret(PLANTED)
    assert PLANTED not in repr(
        replace(client("client_secret_post", PLANTED), management_token=secret)
    )
    assert PLANTED not in repr(PreRegistered("c1", PLANTED))
