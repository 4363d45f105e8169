"""What a provider does over time: it forgets, wants more, or sees a token twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest

from mcp_client_auth import BadResponse, LoginFailed, PreRegistered, ResourceMismatch, TokenRefused
from tests.providers import bare_logins, identity_providers, own_clients
from tests.providers.fake_provider import Provider
from tests.providers.provider_shapes import Shape
from tests.providers.row import Row
from tests.providers.visitor import Visitor, Wrong
from tests.support.ports import free_port

pytestmark = pytest.mark.slow


@contextmanager
def visiting(row: Row, shape: Shape | None = None) -> Iterator[Visitor]:
    with Provider(shape or row.shape, {"port": str(free_port())}) as provider:
        visitor = Visitor(provider, row.passes(provider.places), headers=row.headers)
        yield visitor
        assert visitor.browser.join(60)


FORGETFUL = (
    bare_logins.SUPABASE_ROW,
    own_clients.ATLASSIAN_ROW,
    own_clients.ATLASSIAN_V1,
    bare_logins.AWS_ROW,
)
ROTATING = (
    bare_logins.NOTION_ROW,
    identity_providers.AUTH0_ROW,
    own_clients.ATLASSIAN_ROW,
    own_clients.GITHUB_ROW,
)
LINEAR = bare_logins.LINEAR_DOCUMENT.shape
REGISTERING = (
    bare_logins.CLOUDFLARE_ROW,
    bare_logins.LINEAR_ROW,
    own_clients.ATLASSIAN_ROW,
    bare_logins.NOTION_ROW,
)


@pytest.mark.parametrize("row", FORGETFUL, ids=str)
def test_an_error_page_for_a_forgotten_client_costs_one_login(row: Row) -> None:
    """The browser never comes back, so only the clock can tell."""
    with visiting(row) as visitor:
        visitor.login()
        visitor.provider.forget_clients()
        visitor.login_timeout = 0.6
        with pytest.raises(LoginFailed, match="Look at the browser window") as caught:
            visitor.login(force=True)
        assert caught.value.code == "timeout"
        visitor.login_timeout = 60.0
        with visitor.login(force=True) as me:
            assert visitor.call(me.auth) == 200
        assert visitor.provider.count("register") == 2


def test_a_refresh_by_a_purged_client_becomes_one_login_with_a_new_one() -> None:
    with visiting(bare_logins.AWS_ROW) as visitor:
        visitor.login()
        visitor.provider.forget_clients()
        visitor.expire()
        assert visitor.call(visitor.program()) == 200
        assert visitor.provider.count("register") == 2
        assert visitor.browser.visits == 2


@pytest.mark.parametrize("row", ROTATING, ids=str)
def test_two_programs_never_show_a_rotated_token_twice(row: Row) -> None:
    with visiting(row) as visitor:
        visitor.login()
        visitor.expire()
        answers: list[int] = []
        programs = [visitor.program(asks=False) for _ in range(4)]
        threads = [
            threading.Thread(target=lambda auth=auth: answers.append(visitor.call(auth)))
            for auth in programs
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [200] * 4
        assert (visitor.provider.count("refresh"), visitor.provider.reused) == (1, 0)


@pytest.mark.parametrize("row", REGISTERING, ids=str)
def test_the_next_login_has_the_same_client_at_the_same_port(row: Row) -> None:
    with visiting(row) as visitor:
        visitor.login()
        first = visitor.provider.last("authorize")
        visitor.login(force=True)
        again = visitor.provider.last("authorize")
        assert visitor.provider.count("register") == 1
        assert first["redirect_uri"] == again["redirect_uri"]
        assert first["client_id"] == again["client_id"]


def test_a_step_up_asks_for_everything_at_once() -> None:
    with visiting(bare_logins.STRIPE_ROW) as visitor:
        program = visitor.program()
        assert visitor.call(program) == 200
        assert visitor.call(program, "refund") == 200
        assert visitor.provider.last("authorize")["scope"].split() == ["read", "write"]
        assert visitor.call(program) == 200
        assert visitor.browser.visits == 2


def test_a_scope_beyond_the_registration_gets_a_registration_of_its_own() -> None:
    with visiting(bare_logins.CLERK_ROW) as visitor:
        visitor.login()
        visitor.passes = {"scope": "openid profile"}
        visitor.login()
        asked = visitor.provider.last("authorize")
        assert {"openid", "profile", "email"} == set(asked["scope"].split())
        assert visitor.provider.count("register") == 2
        assert set(visitor.provider.last("register")["scope"].split()) >= {"openid", "profile"}


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client", "invalid_redirect_uri"])
def test_a_metadata_document_that_is_refused_becomes_one_registration(error: str) -> None:
    demand = replace(bare_logins.NO_DOCUMENTS, error=error, text="")
    with visiting(bare_logins.LINEAR_DOCUMENT, replace(LINEAR, demands=(demand,))) as visitor:
        assert visitor.call(visitor.program()) == 200
        assert visitor.provider.count("register") == 1
        assert visitor.browser.visits == 2


def test_a_metadata_document_that_gets_an_error_page_ends_by_the_clock() -> None:
    with visiting(bare_logins.LINEAR_DOCUMENT, replace(LINEAR, clients={})) as visitor:
        visitor.login_timeout = 0.6
        with pytest.raises(LoginFailed, match="Look at the browser window"):
            visitor.call(visitor.program())


@pytest.mark.parametrize("error", ["invalid_request", "invalid_client", ""])
def test_a_client_that_is_public_by_name_only_shows_its_secret_from_then_on(error: str) -> None:
    shape = replace(own_clients.FIGMA, misses_with=error)
    with visiting(own_clients.FIGMA_ADMITTED, shape) as visitor:
        visitor.login()
        assert ["client_secret" in form for form in tokens(visitor)] == [False, True]
        visitor.login(force=True)
        assert ["client_secret" in form for form in tokens(visitor)] == [False, True, True]
        assert visitor.provider.count("register") == 1


def test_a_code_that_is_spent_on_the_missing_secret_costs_one_login() -> None:
    with visiting(own_clients.FIGMA_ADMITTED, replace(own_clients.FIGMA, spends=True)) as visitor:
        with pytest.raises(TokenRefused):
            visitor.login()
        with visitor.login() as me:
            assert visitor.call(me.auth) == 200
        assert ["client_secret" in form for form in tokens(visitor)] == [False, True, True]
        assert visitor.provider.count("register") == 1


@pytest.mark.parametrize("secret", ["s3cret", ""])
def test_a_refusal_for_another_reason_shows_no_secret(secret: str) -> None:
    registers = {"client_secret": secret, "token_endpoint_auth_method": "none"}
    shape = replace(own_clients.FIGMA, registers=registers, proves="none")
    with visiting(own_clients.FIGMA_ADMITTED, shape) as visitor:
        visitor.wrong = Wrong("token", {"code_verifier": "v" * 43})
        with pytest.raises(TokenRefused):
            visitor.login()
        assert ["client_secret" in form for form in tokens(visitor)] == [False]


def tokens(visitor: Visitor) -> list[dict[str, str]]:
    return [dict(form) for name, form in visitor.provider.journal if name == "token"]


@pytest.mark.parametrize("resource", ["{mcp}/mcp", "{mcp}/mcp?project_ref=abc"])
def test_a_query_in_the_url_keeps_two_logins_apart(resource: str) -> None:
    shape = replace(bare_logins.SUPABASE_ROW.shape, resource_says={"resource": resource})
    with visiting(bare_logins.SUPABASE_ROW, shape) as visitor:
        visitor.login()
        sent = resource.replace("{mcp}", visitor.provider.places["mcp"])
        assert visitor.provider.last("token")["resource"] == sent
        assert [kept.key.server for kept in visitor.storage.list()] == [visitor.provider.url]


def test_metadata_for_another_query_is_for_another_server() -> None:
    says = {"resource": "{mcp}/mcp?project_ref=other"}
    shape = replace(bare_logins.SUPABASE_ROW.shape, resource_says=says)
    with visiting(bare_logins.SUPABASE_ROW, shape) as visitor:
        with pytest.raises(ResourceMismatch):
            visitor.login()
        assert visitor.browser.visits == 0


def test_a_list_that_is_public_asks_nobody() -> None:
    with visiting(identity_providers.GOOGLE_ROW) as visitor:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        with httpx.Client(auth=visitor.program(), trust_env=False) as client:
            assert client.post(visitor.provider.url, json=body).status_code == 200
        assert visitor.browser.visits == 0


ONLY_BY_CONSENT = {"scope": "offline_access", "prompt": "consent"}


def prompts(visitor: Visitor) -> list[str | None]:
    return [form.get("prompt") for name, form in visitor.provider.journal if name == "authorize"]


def test_a_registered_client_asks_for_consent_once_it_got_no_refresh_token() -> None:
    shape = replace(identity_providers.ENTRA, approval=None, renews_for=ONLY_BY_CONSENT)
    with visiting(identity_providers.ENTRA_ROW, shape) as visitor:
        for expected in ([None], [None, "consent"], [None, "consent", "consent"]):
            with visitor.login(force=True) as me:
                assert visitor.call(me.auth) == 200
            assert prompts(visitor) == expected
        assert sum("next login asks for consent" in event for event in visitor.events) == 1
        visitor.expire()
        assert visitor.call(visitor.program(asks=False)) == 200


def test_a_page_for_administrators_is_not_led_to_again() -> None:
    """No one gets a refresh token here: there is none without consent, and no way on with it."""
    shape = replace(identity_providers.ENTRA, renews_for=ONLY_BY_CONSENT)
    with visiting(identity_providers.ENTRA_ROW, shape) as visitor:
        visitor.login()
        visitor.login_timeout = 0.6
        with pytest.raises(LoginFailed) as caught:
            visitor.login(force=True)
        assert caught.value.code == "timeout"
        for name in ("“app”", "PreRegistered(client_id=…)", "“consent”", "Options(prompt="):
            assert name in caught.value.hint
        visitor.login_timeout = 60.0
        with visitor.login(force=True) as me:
            assert visitor.call(me.auth) == 200
        assert prompts(visitor) == [None, "consent", None]


def test_nothing_is_invented_once_a_server_has_named_its_metadata() -> None:
    shape = replace(own_clients.SNOWFLAKE, resource_at=Shape.resource_at, challenge=Shape.challenge)
    with visiting(own_clients.SNOWFLAKE_ROW, shape) as visitor:
        visitor.passes = {"client": PreRegistered("app")}
        with pytest.raises(BadResponse, match="no endpoint is guessed") as caught:
            visitor.call(visitor.program())
        assert ("Options.endpoints", None) in caught.value.remedy
        asked = {fields["url"] for name, fields in visitor.provider.journal if name == "nowhere"}
        assert all("/.well-known/" in url for url in asked)
        assert visitor.browser.visits == 0
        assert visitor.provider.count("token") == 0
