from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_client_auth.errors import AuthError, BadResponse, InsecureUrl, ResourceMismatch
from mcp_client_auth.errors import IssuerMismatch as Mismatch
from mcp_client_auth.protocol.metadata import (
    Vouched,
    default_server_metadata,
    read_resource_metadata,
    read_server_metadata,
)
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.urls import Issuer
from tests.support.protocol_samples import (
    ISSUER,
    SERVER_URL,
    answer,
    html,
    resource,
    resource_document,
    server,
    server_document,
)

ENDPOINTS = (
    "authorization_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
    "pushed_authorization_request_endpoint",
    "device_authorization_endpoint",
)


def test_resource_metadata_is_read() -> None:
    read = resource(scopes_supported=["a"], dpop_bound_access_tokens_required=True, other=[1])
    assert read.resource == SERVER_URL
    assert read.authorization_servers == (ISSUER,)
    assert read.scopes_supported == ("a",)
    assert read.dpop_required
    assert read.raw["other"] == [1]


@pytest.mark.parametrize("listed", [["", " a ", "b  c", "a"], " a b c", ["a", "b", "c"]])
def test_a_scope_has_no_blanks_however_they_are_listed(listed: object) -> None:
    """RFC 6749 §3.3: doubled blanks, or one in front, make the scope of a request invalid."""
    assert resource(scopes_supported=listed).scopes_supported == ("a", "b", "c")
    assert server(scopes_supported=listed).scopes_supported == ("a", "b", "c")
    assert resource(scopes_supported=[""]).scopes_supported == ()


def test_server_metadata_is_read() -> None:
    read = server(
        scopes_supported="a b",
        token_endpoint_auth_methods_supported=["none"],
        client_id_metadata_document_supported=True,
        authorization_response_iss_parameter_supported=True,
        require_pushed_authorization_requests=True,
        other={"x": 1},
    )
    assert (read.issuer, read.token_endpoint, read.source) == (
        ISSUER,
        ISSUER + "/token",
        "metadata",
    )
    assert read.scopes_supported == ("a", "b")
    assert read.token_auth_methods == ("none",)
    assert read.code_challenge_methods == ("S256",)
    assert (read.client_id_metadata_documents, read.iss_promised, read.par_required) == (True,) * 3
    assert read.raw["other"] == {"x": 1}


@pytest.mark.parametrize("missing", [..., None, "", 7, [], {}])
def test_resource_metadata_names_its_resource(missing: Any) -> None:
    with pytest.raises(BadResponse, match="resource"):
        resource(resource=missing)


@pytest.mark.parametrize("missing", [..., None, [], "", {}, 7, [7], [None]])
def test_resource_metadata_names_an_authorization_server(missing: Any) -> None:
    with pytest.raises(BadResponse, match="authorization_servers"):
        resource(authorization_servers=missing)


def test_resource_metadata_speaks_for_this_server() -> None:
    with pytest.raises(ResourceMismatch):
        resource(resource="https://other.example/mcp")


def test_another_resource_is_accepted_when_the_caller_vouches_for_it() -> None:
    other = "https://other.example/mcp"
    response = answer(resource_document(resource=other))
    vouched = Vouched(resource=other)
    assert read_resource_metadata(SERVER_URL, response, vouched=vouched).resource == other
    with pytest.raises(ResourceMismatch):
        read_resource_metadata(SERVER_URL, response, vouched=Vouched(resource=other + "/"))


def test_the_resource_is_kept_as_it_was_written() -> None:
    assert resource(resource="https://MCP.example.com:443/").resource.startswith("https://MCP.")


@pytest.mark.parametrize("response", [html(), answer([]), answer(b""), answer("text")])
def test_a_document_that_is_no_json_object_is_refused(response: Any) -> None:
    with pytest.raises(BadResponse, match="must be a JSON object"):
        read_resource_metadata(SERVER_URL, response)
    with pytest.raises(BadResponse, match="must be a JSON object"):
        read_server_metadata(ISSUER, response)


@pytest.mark.parametrize(
    "named", ["https://evil.example", ISSUER + "/x", ISSUER.upper(), "http://auth.example.com", "x"]
)
def test_metadata_of_another_issuer_is_refused_before_it_is_looked_at(named: str) -> None:
    document = {"issuer": named, "token_endpoint": 7, "authorization_endpoint": "http://evil"}
    with pytest.raises(Mismatch):
        read_server_metadata(ISSUER, answer(document))


def test_two_issuers_that_differ_in_their_spelling_are_both_told_as_they_are_spelled() -> None:
    with pytest.raises(Mismatch, match=r"expected \S+com:443, got “\S+com”"):
        read_server_metadata(Issuer(ISSUER + ":443"), answer({"issuer": ISSUER}))


@pytest.mark.parametrize(
    ("expected", "named"), [(ISSUER, ISSUER + "/"), (ISSUER + "/", ISSUER), (ISSUER, ISSUER)]
)
def test_the_metadatas_own_spelling_of_the_issuer_is_recorded(expected: str, named: str) -> None:
    document = answer(server_document(issuer=named))
    assert read_server_metadata(Issuer(expected), document).issuer == named


@pytest.mark.parametrize("missing", [..., None, "", 7, ["x"]])
@pytest.mark.parametrize("field", ["issuer", "token_endpoint"])
def test_what_every_login_needs_must_be_there(field: str, missing: Any) -> None:
    with pytest.raises(BadResponse, match=field):
        server(**{field: missing})


@pytest.mark.parametrize("field", [*ENDPOINTS, "token_endpoint"])
@pytest.mark.parametrize(
    "url", ["http://auth.example.com/x", "javascript:alert(1)", "/x", "https://u:planted@a/"]
)
def test_every_endpoint_is_https(field: str, url: str) -> None:
    with pytest.raises(InsecureUrl) as caught:
        server(**{field: url})
    assert "planted" not in str(caught.value)
    assert caught.value.url
    assert caught.value.remedy, "and what to do"


def test_an_endpoint_that_is_no_url_names_the_document_and_what_helps() -> None:
    with pytest.raises(InsecureUrl) as caught:
        server(token_endpoint="/token")
    assert caught.value.url == answer().url
    assert ("Options.endpoints", None) in caught.value.remedy


def test_http_endpoints_are_accepted_where_the_caller_said_so_loudly() -> None:
    document = server_document(token_endpoint="http://auth.example.com/token")
    assert read_server_metadata(ISSUER, answer(document), Options(allow_insecure_http=True))


@pytest.mark.parametrize("absent", [..., None, "", 7, [], {}, False])
@pytest.mark.parametrize("field", ENDPOINTS)
def test_an_optional_endpoint_of_another_type_counts_as_absent(field: str, absent: Any) -> None:
    assert getattr(server(**{field: absent}), field) == ""


@pytest.mark.parametrize("absent", [..., None, 7, {}, [7], True])
@pytest.mark.parametrize(
    ("field", "attribute"),
    [
        ("scopes_supported", "scopes_supported"),
        ("code_challenge_methods_supported", "code_challenge_methods"),
        ("token_endpoint_auth_methods_supported", "token_auth_methods"),
        ("grant_types_supported", "grant_types"),
    ],
)
def test_an_optional_list_of_another_type_counts_as_absent(
    field: str, attribute: str, absent: Any
) -> None:
    assert getattr(server(**{field: absent}), attribute) is None


def test_a_promise_is_the_json_value_true() -> None:
    for name in ("true", 1, None):
        assert not server(authorization_response_iss_parameter_supported=name).iss_promised


def test_a_byte_order_mark_is_stepped_over() -> None:
    response = answer(b"\xef\xbb\xbf" + answer(server_document()).body)
    assert read_server_metadata(ISSUER, response).issuer == ISSUER


def test_the_defaults_are_those_of_the_2025_03_26_specification() -> None:
    assumed = default_server_metadata(Issuer("https://a:8443"))
    assert assumed.source == "defaults"
    assert assumed.authorization_endpoint == "https://a:8443/authorize"
    assert assumed.token_endpoint == "https://a:8443/token"
    assert assumed.registration_endpoint == "https://a:8443/register"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # of a machine that is busy
@given(st.dictionaries(st.sampled_from(sorted(server_document())), json_values))
def test_a_document_is_read_or_refused_and_nothing_else(changes: dict[str, Any]) -> None:
    for read in (server, resource):
        with suppress(AuthError):
            read(**changes)


# Endpoints for clients with a certificate (RFC 8705 §5)


def test_aliases_take_the_place_of_their_endpoints_for_certificates_only() -> None:
    aliases = {
        "token_endpoint": "https://mtls.example.com/token",
        "authorization_endpoint": "https://mtls.example.com/authorize",
        "unheard_of_endpoint": "https://mtls.example.com/x",
        "revocation_endpoint": None,
    }
    found = server(mtls_endpoint_aliases=aliases, revocation_endpoint=ISSUER + "/revoke")
    assert found.token_endpoint == ISSUER + "/token"
    certified = found.for_certificates()
    assert certified.token_endpoint == "https://mtls.example.com/token"
    assert certified.revocation_endpoint == ISSUER + "/revoke"
    assert certified.authorization_endpoint == ISSUER + "/authorize", "the browser has none"
    assert certified.issuer == ISSUER


@pytest.mark.parametrize("aliases", [None, [], "x", {}, {"token_endpoint": 7}])
def test_aliases_that_say_nothing_count_as_absent(aliases: Any) -> None:
    found = server(mtls_endpoint_aliases=aliases)
    assert found.for_certificates() is found


@pytest.mark.parametrize("url", ["http://mtls.example.com/token", "https://u@mtls.example.com/t"])
def test_an_alias_is_checked_as_every_endpoint(url: str) -> None:
    with pytest.raises(InsecureUrl):
        server(mtls_endpoint_aliases={"token_endpoint": url})
