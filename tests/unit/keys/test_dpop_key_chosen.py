"""When a token is bound to a key, in a world of its own: demanded, wished for, or neither."""

from __future__ import annotations

import json
import logging
from base64 import urlsafe_b64decode
from typing import Any

import pytest

from mcp_client_auth import (
    DpopUnsupported,
    Options,
)
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from tests.support.key_samples import claims
from tests.support.session_world import ISSUER, PLACE, Person, Program, World, document


class Resource(World):
    """A world whose resource and authorization server say what a test wants of DPoP."""

    def __init__(self, resource: dict[str, Any], server: dict[str, Any]) -> None:
        super().__init__()
        self._resource, self._server = resource, server
        self.registered: dict[str, Any] = {}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        found = super().__call__(request)
        added = {
            PLACE: self._resource,
            ISSUER + "/.well-known/oauth-authorization-server": self._server,
            ISSUER + "/register": self.registered,
        }.get(request.url)
        if not added:
            return found
        return document({**json.loads(found.body), **added}, found.url, found.status)

    @property
    def proofs(self) -> list[str]:
        return [r.headers["DPoP"] for r in self.sent if "DPoP" in r.headers]


REQUIRED = {"dpop_bound_access_tokens_required": True}
KNOWN = {"dpop_signing_alg_values_supported": ["ES256"]}


def test_a_server_that_merely_knows_how_gets_no_proof() -> None:
    world = Resource(KNOWN, KNOWN)
    program = Program(world, prompt=Person(world))
    assert program.post() == 200
    assert world.proofs == []
    assert program.stored.dpop_key is None


def test_a_bearer_answer_to_a_wish_is_used_and_said(caplog: pytest.LogCaptureFixture) -> None:
    world = Resource({}, {})
    program = Program(world, prompt=Person(world), options=Options(dpop=True))
    with caplog.at_level(logging.WARNING, "mcp_client_auth"):
        assert program.post() == 200
    assert not program.stored.tokens.bound
    assert any(e.name == "notice" and "got a Bearer token" in e.detail for e in program.events)
    assert "got a Bearer token" in caplog.text
    assert len(world.proofs) == 1


def test_a_key_is_kept_for_the_refresh_also_where_the_access_token_is_a_bearer() -> None:
    """RFC 9449 §5: the refresh token of a public client may be bound alone."""
    world = Resource({}, {})
    program = Program(world, prompt=Person(world), options=Options(dpop=True))
    program.post()
    world.clock.wall += 3601
    assert program.post() == 200
    assert world.refreshes == 1
    assert len(world.proofs) == 2
    jwks = [json.loads(urlsafe_b64decode(p.split(".")[0] + "=="))["jwk"] for p in world.proofs]
    assert jwks[0] == jwks[1]


def test_a_bearer_answer_where_the_resource_demands_bound_tokens_is_refused() -> None:
    world = Resource(REQUIRED, {})
    program = Program(world, prompt=Person(world))
    with pytest.raises(DpopUnsupported, match="has issued a Bearer token"):
        program.post()
    assert program.storage.load(program.session.key) is None
    assert [b for b in world.bearers if b] == []


@pytest.mark.parametrize("options", [Options(), Options(dpop=True)])
def test_without_a_common_algorithm_nobody_is_asked(options: Options) -> None:
    theirs = {"dpop_signing_alg_values_supported": ["ES512"]}
    world = Resource({} if options.dpop else REQUIRED, theirs)
    person = Person(world)
    program = Program(world, prompt=person, options=options)
    with pytest.raises(DpopUnsupported):
        program.post()
    assert person.visits == []


def test_a_client_that_is_registered_for_bound_tokens_only_gets_a_key() -> None:
    world = Resource({}, KNOWN)
    world.registered = {"dpop_bound_access_tokens": True}
    program = Program(world, prompt=Person(world))
    program.post()
    assert len(world.proofs) == 1
    assert program.stored.client.dpop


def test_the_registration_itself_asks_for_nothing() -> None:
    """It serves all servers of its issuer, and §5.2 would refuse plain tokens to all of them."""
    world = Resource({}, KNOWN)
    Program(world, prompt=Person(world), options=Options(dpop=True)).post()
    assert "dpop_bound_access_tokens" not in world.authorization.registrations[0]


def test_a_bearer_login_does_not_serve_a_program_that_wants_bound_tokens() -> None:
    world = Resource({}, {})
    first = Program(world, prompt=Person(world))
    first.post()
    person = Person(world)
    second = Program(world, first.storage, person, options=Options(dpop=True))
    assert second.post() == 200
    assert len(person.visits) == 1
    assert second.stored.dpop_key is not None


def test_a_logout_proves_the_key_too() -> None:
    """A refresh token of a public client is bound to it, and some servers ask for proof here."""
    world = Resource({}, {})
    program = Program(world, prompt=Person(world), options=Options(dpop=True))
    program.post()
    assert program.session.log_out().revoked
    sent = [r for r in world.sent if r.url.endswith("/revoke")]
    assert len(sent) == 2
    assert all(claims(r.headers["DPoP"])["htu"] == ISSUER + "/revoke" for r in sent)
