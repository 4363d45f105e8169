"""An authorization server that names the sign-in page of another one gets no code from there.

`auth` is the attacker's: its token endpoint accepts what `other`, where people sign in, issues.
RFC 9700 §4.4, RFC 9207.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from mcp_client_auth import (
    AuthError,
    ClientMetadataDocument,
    IssuerMismatch,
    Options,
    PreRegistered,
    Untrusted,
)
from tests.providers.fake_provider import Provider
from tests.providers.provider_shapes import Known, Shape
from tests.providers.visitor import Visitor

DOCUMENT = ClientMetadataDocument("https://app.example/client.json")
APP = PreRegistered("app")
ELSEWHERE = {"authorization_endpoint": "{other}/authorize"}
DOCUMENTS = {"client_id_metadata_document_supported": True}
NO_REGISTRATION = {"registration_endpoint": None}
PROMISED = {"authorization_response_iss_parameter_supported": True}
KNOWN = {DOCUMENT.url: Known(), "app": Known()}


@contextmanager
def visiting(
    says: Mapping[str, Any], client: Any = DOCUMENT, iss: str = "", **options: Any
) -> Iterator[Visitor]:
    with Provider(Shape(server_says=says, clients=KNOWN, iss=iss)) as provider:
        visitor = Visitor(provider, {"client": client, "options": Options(**options)})
        yield visitor
        assert visitor.browser.join(60)


def clients(visitor: Visitor) -> set[str]:
    """The clients that were sent to the sign-in page, or that sent a code."""
    spots = ("authorize", "token")
    return {fields["client_id"] for name, fields in visitor.provider.journal if name in spots}


def refused(visitor: Visitor, *, visits: int = 0) -> AuthError:
    with pytest.raises(AuthError) as caught:
        visitor.login()
    assert isinstance(caught.value, Untrusted)
    assert visitor.browser.visits == visits
    assert visitor.provider.count("token") == 0
    return caught.value


def test_a_metadata_document_is_not_used_there_and_a_client_is_registered_instead() -> None:
    with visiting({**ELSEWHERE, **DOCUMENTS}) as visitor:
        visitor.login()
        (client,) = clients(visitor)
        assert client.startswith("dcr-")
        assert any("metadata document is not used" in event for event in visitor.events)


def test_without_registration_the_login_is_refused_and_names_the_option() -> None:
    with visiting({**ELSEWHERE, **DOCUMENTS, **NO_REGISTRATION}) as visitor:
        error = refused(visitor)
        assert error.code == "mix_up"
        assert ("Options.allow_mix_up", "True") in error.remedy
        assert visitor.provider.places["other"] in str(error)


@pytest.mark.parametrize(
    ("says", "iss", "options"),
    [
        (DOCUMENTS, "", {}),
        ({**ELSEWHERE, **DOCUMENTS, **PROMISED}, "{auth}", {}),
        ({**ELSEWHERE, **DOCUMENTS}, "", {"allow_mix_up": True}),
    ],
    ids=["its own page", "iss promised", "loudly allowed"],
)
def test_a_document_is_used_where_nothing_can_be_mixed_up(
    says: Mapping[str, Any], iss: str, options: dict[str, Any]
) -> None:
    with visiting(says, iss=iss, **options) as visitor:
        with visitor.login() as me:
            assert visitor.call(me.auth) == 200
        assert clients(visitor) == {DOCUMENT.url}


@pytest.mark.parametrize("iss", ["", "{other}"])
def test_a_promise_that_the_other_server_does_not_keep_costs_the_code(iss: str) -> None:
    with visiting({**ELSEWHERE, **DOCUMENTS, **PROMISED}, iss=iss) as visitor:
        assert isinstance(refused(visitor, visits=1), IssuerMismatch)


def test_a_code_of_a_server_that_names_itself_goes_nowhere_without_a_promise() -> None:
    """The attacker's own page sends the browser on: only the other server's `iss` tells."""
    with visiting(DOCUMENTS, iss="{other}") as visitor:
        assert isinstance(refused(visitor, visits=1), IssuerMismatch)


@pytest.mark.parametrize("client", [DOCUMENT, APP, None], ids=["document", "app", "registered"])
def test_who_insists_on_iss_is_not_sent_to_a_page_without_it(client: Any) -> None:
    with visiting(DOCUMENTS, client, iss="{auth}", require_iss=True) as visitor:
        error = refused(visitor)
        assert error.code == "iss_not_promised"
        assert ("Options.require_iss", "True") in error.remedy
    with visiting({**DOCUMENTS, **PROMISED}, client, iss="{auth}", require_iss=True) as visitor:
        visitor.login()


def test_insisting_is_remembered_by_the_next_login() -> None:
    with visiting(PROMISED, APP, iss="{auth}", require_iss=True) as visitor:
        visitor.login().logout(local=True)
        visitor.login()
        visitor.passes = {"client": APP}
        visitor.storage.save(replace(stored(visitor), tokens=dead(visitor)))
        visitor.provider.becomes(replace(visitor.provider.shape, server_says={}))
        with pytest.raises(Untrusted, match="require_iss"):
            visitor.login()


def stored(visitor: Visitor) -> Any:
    (entry,) = visitor.storage.list()
    return visitor.storage.load(entry.key)


def dead(visitor: Visitor) -> Any:
    return replace(stored(visitor).tokens, expires_at=1.0, refresh_token=None)


@pytest.mark.parametrize(
    ("says", "options", "taken"),
    [
        (ELSEWHERE, {}, False),
        ({**ELSEWHERE, **PROMISED}, {}, True),
        ({}, {}, True),
        (ELSEWHERE, {"issuer": "{auth}"}, True),
    ],
    ids=["mixed up", "iss promised", "its own page", "pinned"],
)
@pytest.mark.parametrize("client", [APP, None], ids=["pre-registered", "registered"])
def test_a_client_of_another_issuer_is_not_used_where_a_code_of_that_one_could_come(
    says: Mapping[str, Any], options: dict[str, Any], taken: bool, client: Any
) -> None:
    registers = {"client_id": "app"}  # an attacker answers with the id that another server knows
    iss = "{auth}" if PROMISED.keys() <= says.keys() else ""
    shape = Shape(server_says=says, clients=KNOWN, registers=registers, iss=iss)
    with Provider(Shape(clients=KNOWN)) as honest, Provider(shape) as provider:
        first = Visitor(honest, {"client": APP})
        first.login()
        pinned = {name: text.format(**provider.places) for name, text in options.items()}
        visitor = Visitor(provider, {"client": client, "options": Options(**pinned)})
        visitor.storage = first.storage
        if taken:
            visitor.login()
        else:
            error = refused(visitor)
            assert error.code == "mix_up"
            assert honest.places["auth"] in str(error)
            assert ("Options.issuer", None) in error.remedy
        assert first.browser.join(60)
        assert visitor.browser.join(60)
