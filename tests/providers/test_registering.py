"""Servers that refuse the registration of a client, and what is registered instead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mcp_client_auth import AuthError, BadResponse, Options, RegistrationRefused, Unavailable
from tests.providers.fake_provider import Provider
from tests.providers.provider_shapes import Answer, Demand, Shape
from tests.providers.visitor import Visitor

POSTS = {"client_secret": "s3cret", "token_endpoint_auth_method": "client_secret_post"}


def wants(name: str, value: str | None, error: str = "invalid_client_metadata") -> Demand:
    return Demand(("register",), name, value, error, f"{name} is not supported")


@contextmanager
def visiting(shape: Shape, **options: Any) -> Iterator[Visitor]:
    with Provider(shape) as provider:
        visitor = Visitor(provider, {"options": Options(**options)})
        yield visitor
        assert visitor.browser.join(60)


def registered(visitor: Visitor, name: str) -> list[Any]:
    return [fields.get(name) for spot, fields in visitor.provider.journal if spot == "register"]


def logs_in(visitor: Visitor) -> None:
    with visitor.login() as me:
        assert visitor.call(me.auth) == 200
    visitor.expire()
    assert visitor.call(visitor.program(asks=False)) == 200


def refused(visitor: Visitor) -> AuthError:
    with pytest.raises(AuthError) as caught:
        visitor.login()
    assert visitor.browser.visits == 0
    return caught.value


@pytest.mark.parametrize("error", ["invalid_client_metadata", "invalid_request", ""])
def test_a_method_that_is_not_listed_is_not_asked_for_twice(error: str) -> None:
    method = "token_endpoint_auth_method"
    shape = Shape(
        server_says={f"{method}s_supported": ["private_key_jwt", "client_secret_post"]},
        demands=(wants(method, "client_secret_post", error),),
        registers=POSTS,
        proves="client_secret_post",
    )
    with visiting(shape) as visitor:
        logs_in(visitor)
        assert registered(visitor, method) == ["none", "client_secret_post"]
        visitor.login(force=True)
        assert len(registered(visitor, method)) == 2, "it is kept"


def test_a_server_that_lists_secrets_only_and_takes_a_public_client_gets_one() -> None:
    shape = Shape(server_says={"token_endpoint_auth_methods_supported": ["client_secret_basic"]})
    with visiting(shape) as visitor:
        logs_in(visitor)
        assert registered(visitor, "token_endpoint_auth_method") == ["none"]


@pytest.mark.parametrize("listed", [["authorization_code"], None])
def test_a_grant_that_is_not_listed_is_left_out(listed: list[str] | None) -> None:
    shape = Shape(
        server_says={
            "grant_types_supported": listed,
            "token_endpoint_auth_methods_supported": ["none"],
        },
        demands=(wants("grant_types", "authorization_code"),),
    )
    with visiting(shape) as visitor:
        logs_in(visitor)
        both = ["authorization_code", "refresh_token"]
        assert registered(visitor, "grant_types") == [both, ["authorization_code"]]


def test_what_is_still_refused_is_refused() -> None:
    shape = Shape(demands=(wants("client_name", "Theirs"),))
    with visiting(shape) as visitor:
        error = refused(visitor)
        assert isinstance(error, RegistrationRefused)
        assert error.code == "invalid_client_metadata"
        assert ("PreRegistered.client_id", None) in error.remedy
        assert "only admit" not in error.hint
        assert visitor.provider.count("register") == 2


@pytest.mark.parametrize("error", ["invalid_redirect_uri", "invalid_client_metadata", ""])
def test_a_callback_by_name_is_registered_where_the_address_is_refused(error: str) -> None:
    shape = Shape(demands=(wants("redirect_uris", "http://localhost:*", error),), exact_port=True)
    with visiting(shape) as visitor:
        logs_in(visitor)
        visitor.login(force=True)
        uris = [uri for (uri,) in registered(visitor, "redirect_uris")]
        assert [uri.partition(":")[2].partition(":")[0] for uri in uris] == [
            "//127.0.0.1",
            "//localhost",
        ]
        assert visitor.provider.last("authorize")["redirect_uri"] == uris[1], "kept, at its port"


def test_a_callback_of_the_callers_is_not_replaced() -> None:
    shape = Shape(demands=(wants("redirect_uris", "https://*", "invalid_redirect_uri"),))
    with visiting(shape, redirect_uri="http://127.0.0.1/mine") as visitor:
        error = refused(visitor)
        assert error.code == "invalid_redirect_uri"
        assert "Options(redirect_uri=" in error.hint
        assert "/mine" in error.hint
        assert visitor.provider.count("register") == 1


def test_a_callback_that_is_refused_by_name_too_names_the_option() -> None:
    shape = Shape(demands=(wants("redirect_uris", "https://*", "invalid_redirect_uri"),))
    with visiting(shape) as visitor:
        assert 'Options(redirect_uri="http://localhost:PORT/callback")' in refused(visitor).hint
        assert visitor.provider.count("register") == 2


def test_a_scope_that_only_the_resource_lists_is_not_registered_twice() -> None:
    shape = Shape(
        resource_says={"scopes_supported": ["read", "secret"]},
        server_says={"scopes_supported": ["read"]},
        demands=(wants("scope", "read"),),
        scopes=frozenset({"read"}),
    )
    with visiting(shape) as visitor:
        logs_in(visitor)
        assert registered(visitor, "scope")[-1] == "read"
        assert visitor.provider.last("authorize")["scope"] == "read"
        assert visitor.browser.visits == 1


def test_redirect_uris_that_leave_ours_out_are_not_used_unseen() -> None:
    shape = Shape(registers={"redirect_uris": ["https://app.example/callback"]})
    with visiting(shape) as visitor:
        error = refused(visitor)
        assert isinstance(error, BadResponse)
        assert "https://app.example/callback" in str(error)
        assert "Options(redirect_uri=" in error.hint


@pytest.mark.parametrize(
    ("answer", "said", "unsaid"),
    [
        (Answer(403, '{"error": "access_denied"}'), "admit clients that they know", "token"),
        (Answer(403, "{}"), "admit clients that they know", "token"),
        (Answer(403, "Forbidden", "text/plain"), "(client_id=…)", "admit"),
        (Answer(403, "<!doctype html>no", "text/html"), "in front of it", "admit"),
        (Answer(401, "<!doctype html>no", "text/html"), "in front of it", "admit"),
        (Answer(401, '{"error": "invalid_token"}'), "Options(initial_access_token=…)", "admit"),
        (Answer(403, '{"error": "invalid_redirect_uri"}'), "Options(redirect_uri=", "admit"),
        (Answer(403, '{"error": "invalid_scope"}'), "scope=…", "admit"),
        (
            Answer(403, '{"error": "invalid_client_metadata"}'),
            "PreRegistered(client_id=…)",
            "admit",
        ),
        (
            Answer(400, '{"error": "unapproved_software_statement"}'),
            "PreRegistered(client_id=…)",
            "admit",
        ),
        (Answer(404, "", "text/plain"), "(client_id=…)", "admit"),
    ],
    ids=lambda value: f"{value.status} {value.body[:20]}" if isinstance(value, Answer) else "",
)
def test_the_advice_follows_the_answer(answer: Answer, said: str, unsaid: str) -> None:
    shape = Shape(admits=("somebody",), not_admitted=answer)
    with visiting(shape) as visitor:
        error = refused(visitor)
        assert isinstance(error, RegistrationRefused)
        assert said in error.hint
        assert unsaid not in error.hint


def test_a_registration_that_can_be_had_later_says_when() -> None:
    busy = Answer(429, '{"error": "too_many_requests"}', headers=(("Retry-After", "120"),))
    with visiting(Shape(admits=("somebody",), not_admitted=busy)) as visitor:
        error = refused(visitor)
        assert isinstance(error, Unavailable)
        assert error.retry_after == 120
        assert "in 2 min" in error.hint
