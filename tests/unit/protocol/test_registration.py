from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mcp_client_auth.cli.flags import hint_of
from mcp_client_auth.errors import (
    BadResponse,
    IssuerMismatch,
    RegistrationRefused,
    Unavailable,
    UsageError,
)
from mcp_client_auth.events import Event
from mcp_client_auth.protocol.dynamic_registration import (
    client_metadata,
    listed_metadata,
    read_registration,
    register,
    registration_request,
)
from mcp_client_auth.protocol.flow import HttpResponse, run
from mcp_client_auth.protocol.metadata import default_server_metadata
from mcp_client_auth.protocol.options import LATEST, Options
from mcp_client_auth.protocol.registration import (
    Client,
    ClientMetadataDocument,
    Kind,
    PreRegistered,
    proving_by_secret,
    usable_method,
)
from mcp_client_auth.protocol.registration_errors import about_callback
from mcp_client_auth.protocol.urls import Issuer
from mcp_client_auth.secret import Secret
from tests.support.protocol_samples import (
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

DOCUMENT = "https://app.example.com/client.json"


def read(asked: tuple[str, ...] | None = None, status: int = 201, **fields: Any) -> Client:
    usual = {"client_id": "dyn", "token_endpoint_auth_method": "none"}
    return read_registration(server(), REDIRECT, asked, answer(changed(usual, fields), status))


# Clients of the caller's


def test_a_pre_registered_client_belongs_to_the_issuer_found() -> None:
    made = PreRegistered("c1", "s3cret").client(server(), Options())
    assert (made.client_id, made.issuer, made.kind) == ("c1", ISSUER, "pre-registered")
    assert made.secret == Secret("s3cret")


def test_a_pre_registered_client_does_not_follow_to_another_issuer() -> None:
    with pytest.raises(IssuerMismatch):
        PreRegistered("c1").client(server(), Options(issuer="https://other.example"))
    assert PreRegistered("c1").client(server(), Options(issuer=ISSUER + "/"))


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
    assert identity.client(metadata, Options()).method == method


def test_a_method_that_the_caller_names_is_used() -> None:
    identity = PreRegistered("c1", "s", method="client_secret_basic")
    metadata = server(token_endpoint_auth_methods_supported=["client_secret_post"])
    assert identity.client(metadata, Options()).method == "client_secret_basic"
    with pytest.raises(UsageError, match="telepathy"):
        PreRegistered("c1", method="telepathy")


@pytest.mark.parametrize("key", [{"key": PLANTED}, {"key_file": "k.pem"}, {"key": len}])
def test_a_key_without_a_method_means_private_key_jwt(key: dict[str, Any]) -> None:
    metadata = server(token_endpoint_auth_methods_supported=["client_secret_post"])
    made = PreRegistered("c1", "s", **key).client(metadata, Options())
    assert made.method == "private_key_jwt"
    assert made.key_file == key.get("key_file", "")
    assert PLANTED not in repr(PreRegistered("c1", **key))


@pytest.mark.parametrize(
    ("means", "said"),
    [
        ({"method": "private_key_jwt"}, "key_file=…"),
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
    assert PreRegistered("c1", "s").client(metadata, Options()).method == ("client_secret_jwt")
    answered = read(client_secret="s", token_endpoint_auth_method="client_secret_jwt")
    assert answered.method == "client_secret_jwt"


def test_a_metadata_document_may_have_a_key_and_never_a_secret() -> None:
    identity = ClientMetadataDocument(DOCUMENT, key_file="k.pem")
    assert identity.client_id == DOCUMENT
    made = identity.client(server(), Options())
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
    request = registration_request(server(), {}, options)
    assert request.headers["Authorization"] == f"Bearer {PLANTED}"
    assert PLANTED not in f"{request!r} {options!r} {request.body!r}"
    assert "Authorization" not in registration_request(server(), {}, Options()).headers


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
    assert ("Options.initial_access_token", None) in caught.value.remedy


def test_a_metadata_document_is_a_public_client_with_its_url_as_id() -> None:
    made = ClientMetadataDocument(DOCUMENT, (REDIRECT,)).client(server(), Options())
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
    wanted = client_metadata(server(), REDIRECT, ("a", "b"), Options(client_name="Me"))
    request = registration_request(server(), wanted, Options())
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
    wanted = client_metadata(server(), "https://app.example.com/cb", None, Options())
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


LISTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": (
        {},
        {
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["authorization_code"],
        },
    ),
    "all that is wanted": (
        {
            "token_endpoint_auth_methods_supported": ["none", "client_secret_post"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
        },
        {},
    ),
    "secrets": (
        {"token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"]},
        {"token_endpoint_auth_method": "client_secret_post"},
    ),
    "nothing that can be had": (
        {
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
        },
        {},
    ),
    "the code grant": (
        {"grant_types_supported": ["authorization_code"]},
        {"grant_types": ["authorization_code"]},
    ),
    "other grants": (
        {"grant_types_supported": ["implicit"]},
        {"grant_types": ["authorization_code"]},
    ),
}


@pytest.mark.parametrize(("metadata", "changes"), LISTED.values(), ids=LISTED)
def test_what_is_not_listed_is_left_out(metadata: dict[str, Any], changes: dict[str, Any]) -> None:
    wanted = client_metadata(server(), REDIRECT, ("a",), Options())
    assert listed_metadata(wanted, server(**metadata)) == {**wanted, **changes}


METADATA = "invalid_client_metadata"
ONCE_MORE: dict[str, tuple[HttpResponse, int]] = {
    "its fields": (answer({"error": METADATA}, 400), 2),
    "another word for them": (answer({"error": "invalid_request"}, 400), 2),
    "no word for them": (answer({"detail": [{"loc": ["body"]}]}, 422), 2),
    "its callback": (answer({"error": "invalid_redirect_uri"}, 400), 1),
    "several": (answer({"error": METADATA, "error_description": "redirect, method"}, 400), 2),
    "another reason": (answer({"error": "access_denied"}, 400), 1),
    "its fields, with another status": (answer({"error": METADATA}, 403), 2),
    "a stranger": (answer({"error": "invalid_request"}, 403), 1),
    "nothing for ever": (answer({"error": METADATA}, 503), 1),
}


@pytest.mark.parametrize("named", ["bad scope", "redirect_uris must be https"])
def test_defaults_are_not_guessed_where_something_else_is_named(named: str) -> None:
    refusal = answer({"error": METADATA, "error_description": named}, 400)
    script = Script(refusal)
    with pytest.raises(RegistrationRefused):
        run(register(server(), REDIRECT, None, Options()), script)
    assert len(script.requests) == 1


@pytest.mark.parametrize(("refusal", "requests"), ONCE_MORE.values(), ids=ONCE_MORE)
def test_a_refusal_of_the_fields_is_answered_once_with_what_is_listed(
    refusal: HttpResponse, requests: int
) -> None:
    metadata = server(token_endpoint_auth_methods_supported=["client_secret_post"])
    script, events = Script(refusal, refusal, refusal), list[Event]()
    with pytest.raises((RegistrationRefused, Unavailable)):
        run(register(metadata, REDIRECT, None, Options()), script, events.append)
    methods = [json.loads(sent.body)["token_endpoint_auth_method"] for sent in script.requests]
    assert methods == ["none", "client_secret_post"][:requests]
    assert [event.name for event in events].count("again") == requests - 1


@pytest.mark.parametrize(
    "answered",
    [
        [REDIRECT],
        ["https://app.example/cb", REDIRECT],
        ["http://127.0.0.1/callback"],
        REDIRECT,
        [],
        None,
        7,
    ],
    ids=str,
)
def test_redirect_uris_that_have_ours_among_them_are_good(answered: Any) -> None:
    assert read(redirect_uris=answered).redirect_uris == (REDIRECT,)


@pytest.mark.parametrize(
    "answered",
    [
        ["https://app.example/cb"],
        ["http://localhost:8765/callback"],
        ["http://127.0.0.1:8766/callback"],
        [REDIRECT + "/"],
    ],
    ids=str,
)
def test_redirect_uris_that_leave_ours_out_are_an_error(answered: list[str]) -> None:
    with pytest.raises(BadResponse, match="other redirect URIs") as caught:
        read(redirect_uris=answered)
    assert answered[0] in str(caught.value)
    assert ("Options.redirect_uri", None) in caught.value.remedy


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/register/dyn", ISSUER + "/register/dyn"),
        ("register/dyn", ISSUER + "/register/dyn"),
        (ISSUER + "/clients/dyn", ISSUER + "/clients/dyn"),
        ("//evil.example/x", "https://evil.example/x"),
        ("http://[", ""),
    ],
)
def test_a_management_uri_may_be_a_path(uri: str, expected: str) -> None:
    fields = {"registration_client_uri": uri, "registration_access_token": "t"}
    response = answer({"client_id": "dyn", **fields}, 201, ISSUER + "/register")
    assert read_registration(server(), REDIRECT, None, response).management_uri == expected


@pytest.mark.parametrize("scope", ["a b", "a,b", ["a", "b"]])
def test_the_registered_scope_may_be_a_list(scope: Any) -> None:
    assert read(("x",), scope=scope).scope == ("a", "b")


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
    "a success that says no": (
        answer({"error": "invalid_client_metadata", "client_id": None}, 200),
        "invalid_client_metadata",
        "HTTP 200",
    ),
    "HTML": (html(403), "registration_refused", "HTTP 403"),
    "JSON array": (answer([1], 422), "registration_refused", "HTTP 422"),
    "validation errors": (
        answer({"detail": [{"loc": ["body", "x"], "msg": "required", "input": "127.0.0.1"}]}, 422),
        "registration_refused",
        "HTTP 422: “body x required”",
    ),
    "problem details": (
        answer({"type": "about:blank", "title": "Closed", "detail": "Until Monday"}, 400),
        "registration_refused",
        "“Closed Until Monday”",
    ),
    "deep": (answer({"detail": [[[[[["x"]]]]]]}, 422), "registration_refused", "HTTP 422"),
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


NO_ENDPOINT = {
    "404": answer(b"", 404),
    "405": answer(b"", 405),
    "a server that wants its key everywhere": answer({"error": "unauthorized"}, 401),
    "the same in plain text": answer(b"Missing API key", 400, content_type="text/plain"),
    "a site's own page": html(200),
    "a redirect to sign in": answer(b"", 302, location="/login"),
}


@pytest.mark.parametrize("response", NO_ENDPOINT.values(), ids=NO_ENDPOINT)
def test_a_guessed_endpoint_that_is_none_says_that_it_was_guessed(response: HttpResponse) -> None:
    guessed = default_server_metadata(Issuer("https://mcp.example.com"))
    with pytest.raises(RegistrationRefused, match="does not say where") as caught:
        read_registration(guessed, REDIRECT, None, response)
    assert caught.value.code == "no_authorization_server"
    assert ("login.token", None) in caught.value.remedy
    assert "--token-file FILE" in hint_of(caught.value)
    assert "initial access token" not in caught.value.hint


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_a_guessed_endpoint_that_refuses_the_client_is_one(status: int) -> None:
    guessed = default_server_metadata(Issuer("https://mcp.example.com"))
    refusal = answer({"error": "invalid_client_metadata"}, status)
    with pytest.raises(RegistrationRefused) as caught:
        read_registration(guessed, REDIRECT, None, refusal)
    assert caught.value.code == "invalid_client_metadata"


@pytest.mark.parametrize(
    ("response", "admits"),
    [
        (answer({"message": "forbidden"}, 403), True),
        (answer(b"Forbidden", 403), False),
        (answer({"message": "no"}, 400), False),
    ],
)
def test_only_an_answer_of_its_own_says_that_it_knows_whom_it_admits(
    response: HttpResponse, admits: bool
) -> None:
    with pytest.raises(RegistrationRefused) as caught:
        read_registration(server(), REDIRECT, None, response)
    assert ("only admit clients" in caught.value.hint) == admits


def test_the_callback_is_known_as_the_reason_in_an_error_that_is_an_object() -> None:
    refusal = answer({"error": {"code": "invalid_redirect_uri", "message": "no IP"}}, 400)
    with pytest.raises(RegistrationRefused) as caught:
        read_registration(server(), REDIRECT, None, refusal)
    assert about_callback(caught.value)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_passing_fault_is_no_refusal(status: int) -> None:
    with pytest.raises(Unavailable) as caught:
        read_registration(server(), REDIRECT, None, answer({"error": "x"}, status))
    assert ("PreRegistered.client_id", None) in caught.value.remedy, "where it lasts"


@pytest.mark.parametrize("status", [202, 204, 302, 307, 308])
def test_any_other_status_breaks_the_standard(status: int) -> None:
    response = answer(b"", status, location="https://evil.example/register")
    with pytest.raises(BadResponse, match="201") as caught:
        read_registration(server(), REDIRECT, None, response)
    where = "a redirect to https://evil.example/register, which is not followed"
    assert (where in str(caught.value)) == (status >= 300)
    assert ("PreRegistered.client_id", None) in caught.value.remedy


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"dyn"])
def test_a_success_without_an_object_breaks_it_too(body: bytes) -> None:
    with pytest.raises(BadResponse) as caught:
        read_registration(server(), REDIRECT, None, answer(body, 201))
    assert ("PreRegistered.client_id", None) in caught.value.remedy


def test_a_client_id_that_is_no_text_is_told_with_what_helps() -> None:
    with pytest.raises(BadResponse, match="got a number") as caught:
        read_registration(server(), REDIRECT, None, answer({"client_id": 42}, 201))
    assert ("PreRegistered.client_id", None) in caught.value.remedy


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


def test_what_lies_deep_in_a_refusal_is_not_looked_for() -> None:
    sunken: Any = ["sunken"]
    for _ in range(9):
        sunken = {"detail": sunken}
    with pytest.raises(RegistrationRefused) as caught:
        read_registration(server(), REDIRECT, None, answer(sunken, 422))
    assert "sunken" not in str(caught.value)


def test_a_registration_goes_to_the_issuer_and_may_be_sent_again() -> None:
    """A client that nobody hears of costs the server a row, and a login nothing."""
    request = registration_request(server(), {}, Options())
    assert request.to_issuer
    assert request.repeatable
