from __future__ import annotations

from typing import Any

import pytest

from mcp_client_auth.errors import RegistrationRefused, Untrusted
from mcp_client_auth.protocol.client_choice import client_kind
from mcp_client_auth.protocol.options import Options
from mcp_client_auth.protocol.registration import ClientMetadataDocument, Identity, PreRegistered
from tests.support.protocol_samples import ISSUER, server

DOCUMENT = "https://app.example.com/client.json"
SUPPORTS_DOCUMENTS: dict[str, Any] = {"client_id_metadata_document_supported": True}
NO_REGISTRATION: dict[str, Any] = {"registration_endpoint": ...}
PROMISES = {"authorization_response_iss_parameter_supported": True}


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
    assert client_kind(identity, server(**metadata), Options()) == way


@pytest.mark.parametrize("identity", [None, ClientMetadataDocument(DOCUMENT)])
def test_no_way_is_an_error_that_names_all_three(identity: Identity) -> None:
    with pytest.raises(RegistrationRefused) as caught:
        client_kind(identity, server(**NO_REGISTRATION), Options())
    assert caught.value.code == "no_client"
    for way in ("client_id=…", "ClientMetadataDocument(url=…)", "dynamic registration"):
        assert way in str(caught.value)


ELSEWHERE = [
    "https://honest.example/authorize",
    "https://auth.example.com.evil.example/authorize",
    "https://auth.example.com:8443/authorize",
    "https://login.auth.example.com/authorize",
]


@pytest.mark.parametrize("place", ELSEWHERE)
def test_a_document_is_not_used_where_a_code_of_another_server_may_come(place: str) -> None:
    metadata = {**SUPPORTS_DOCUMENTS, "authorization_endpoint": place}
    identity = ClientMetadataDocument(DOCUMENT)
    assert client_kind(identity, server(**metadata), Options()) == "dynamic"
    assert client_kind(identity, server(**metadata, **PROMISES), Options()) == "metadata-document"
    loudly = Options(allow_mix_up=True)
    assert client_kind(identity, server(**metadata), loudly) == "metadata-document"
    with pytest.raises(Untrusted, match="does not promise “iss”"):
        client_kind(identity, server(**metadata, **NO_REGISTRATION), Options())


@pytest.mark.parametrize("place", [ISSUER + "/authorize", "https://AUTH.example.com:443/x"])
def test_a_sign_in_page_of_the_issuers_own_needs_no_promise(place: str) -> None:
    metadata = {**SUPPORTS_DOCUMENTS, "authorization_endpoint": place}
    identity = ClientMetadataDocument(DOCUMENT)
    assert client_kind(identity, server(**metadata), Options()) == "metadata-document"


def test_a_login_without_a_sign_in_page_needs_no_promise_either() -> None:
    found = server(**SUPPORTS_DOCUMENTS, authorization_endpoint=ELSEWHERE[0]).without_browser()
    assert client_kind(ClientMetadataDocument(DOCUMENT), found, Options()) == "metadata-document"


@pytest.mark.parametrize("place", ELSEWHERE)
def test_a_client_of_the_callers_is_taken_wherever_the_page_is(place: str) -> None:
    metadata = {"authorization_endpoint": place}
    assert client_kind(PreRegistered("c1"), server(**metadata), Options()) == "pre-registered"
