"""Anything wrong from a server ends in one typed error, in time, and changes nothing stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from mcp_client_auth import (
    AuthError,
    BadResponse,
    InsecureUrl,
    IssuerMismatch,
    PkceUnsupported,
    RegistrationRefused,
    ResourceMismatch,
    TokenRefused,
    Unavailable,
)
from tests.support.hostile import (
    Behaviour,
    Spot,
    World,
    bomb,
    broken_gzip,
    challenge,
    cut,
    document,
    html,
    huge,
    noise,
    redirect,
    reset,
    text,
    tokens,
)
from tests.support.victim import SHORT, Victim, victim_of

pytestmark = pytest.mark.usefixtures("short_waits")

FETCHED: tuple[Spot, ...] = ("resource", "server", "register", "token")
REQUESTED: tuple[Spot, ...] = ("probe", *FETCHED)
PASSING = re.compile(r"\b\d{10}\.\d+|(?<=127\.0\.0\.1:)\d+(?=/callback/)")
PATHS: dict[Spot, str] = {
    "probe": "/tenant/mcp",
    "resource": "/.well-known/oauth-protected-resource/tenant/mcp",
    "server": "/.well-known/oauth-authorization-server",
    "register": "/register",
    "token": "/token",
    "answer": "/tenant/mcp",
}


def left_in(home: Path) -> dict[str, str]:
    """What is stored there, without the times and the port of the one login."""
    text = {file.name: file.read_text() for file in home.iterdir() if file.suffix != ".lock"}
    return {name: PASSING.sub("…", each) for name, each in text.items()}


def test_a_victim_holds_what_a_login_leaves(tmp_path: Path) -> None:
    with victim_of(tmp_path / "before") as victim:
        another = Victim(victim.world, tmp_path / "now")
        another.log_in(force=False).close()
        assert another.browser.join(60)
        assert left_in(tmp_path / "before") == left_in(tmp_path / "now")


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with victim_of(tmp_path / "home") as victim:
        victim.forget_client()
        yield victim


def address(world: World, spot: Spot) -> str:
    """What the error must name."""
    origin = world.origin if spot in ("probe", "resource", "answer") else world.issuer
    return origin + PATHS[spot]


class Case(NamedTuple):
    """This answer at this spot ends in this error, with these words."""

    spot: Spot
    behaviour: Callable[[World], Behaviour]
    error: type[AuthError]
    words: tuple[str, ...]
    options: Mapping[str, Any] = MappingProxyType({})


def meta(**changes: Any) -> Callable[[World], Behaviour]:
    return lambda world: document(world.server_metadata(**changes))


def resource(**changes: Any) -> Callable[[World], Behaviour]:
    return lambda world: document(world.resource_metadata(**changes))


def fixed(behaviour: Behaviour) -> Callable[[World], Behaviour]:
    return lambda world: behaviour


def suffer(victim: Victim, case: Case) -> AuthError:
    victim.world.at(case.spot, case.behaviour(victim.world))
    with victim.unharmed(case.error) as raised:
        victim.log_in(**case.options)
    message = str(raised.value)
    for word in case.words:
        assert word in message, message
    return raised.value


NOT_JSON = {
    "html": html(),
    "empty": text(""),
    "a cut off object": text('{"issuer": ', kind="application/json"),
    "not utf-8": text(b'{"issuer": "\xff"}', kind="application/json"),
    "too deep": text("[" * 200_000, kind="application/json"),
    "NaN": text('{"issuer": NaN}', kind="application/json"),
}
WRONG_TYPE = {"array": [], "string": "hello", "number": 7, "null": None, "true": True}


@pytest.mark.parametrize("spot", FETCHED)
@pytest.mark.parametrize("body", NOT_JSON)
def test_what_is_not_json_is_a_bad_response(victim: Victim, spot: Spot, body: str) -> None:
    error = suffer(victim, Case(spot, fixed(NOT_JSON[body]), BadResponse, ()))
    assert address(victim.world, spot) in str(error)


@pytest.mark.parametrize("spot", FETCHED)
@pytest.mark.parametrize("kind", WRONG_TYPE)
def test_json_of_the_wrong_type_is_a_bad_response(victim: Victim, spot: Spot, kind: str) -> None:
    error = suffer(victim, Case(spot, fixed(document(WRONG_TYPE[kind])), BadResponse, ()))
    assert address(victim.world, spot) in str(error)


@pytest.mark.parametrize("spot", REQUESTED)
@pytest.mark.parametrize("flood", [huge, bomb])
def test_an_endless_body_is_cut_at_the_limit(victim: Victim, spot: Spot, flood: Behaviour) -> None:
    error = suffer(victim, Case(spot, fixed(flood), BadResponse, ("larger than 1 MiB",)))
    assert error.url == address(victim.world, spot)


def short_of_time(victim: Victim, spot: Spot) -> Iterator[None]:
    """Yield once, and again with more time if the machine was too slow to reach the spot."""
    for limit in (SHORT, 8 * SHORT, Victim.http_timeout):
        victim.http_timeout = limit
        yield
        if spot in victim.world.visited:
            return


@pytest.mark.parametrize("spot", REQUESTED)
def test_a_server_that_hangs_is_given_up_in_time(victim: Victim, spot: Spot) -> None:
    for _ in short_of_time(victim, spot):
        error = suffer(victim, Case(spot, lambda world: world.hang, Unavailable, ("within",)))
    assert error.url == address(victim.world, spot)


@pytest.mark.parametrize("spot", FETCHED)
def test_a_server_that_drips_is_given_up_in_time(victim: Victim, spot: Spot) -> None:
    for _ in short_of_time(victim, spot):
        error = suffer(victim, Case(spot, lambda world: world.drip, Unavailable, ("within",)))
    assert error.url == address(victim.world, spot)


@pytest.mark.parametrize("spot", REQUESTED)
@pytest.mark.parametrize("fault", [reset, cut, noise])
def test_a_broken_connection_is_a_passing_fault(
    victim: Victim, spot: Spot, fault: Behaviour
) -> None:
    error = suffer(victim, Case(spot, fixed(fault), Unavailable, ("ry again later",)))
    assert error.url == address(victim.world, spot)


@pytest.mark.parametrize("spot", FETCHED)
def test_broken_compression_is_a_bad_response_that_names_the_place(
    victim: Victim, spot: Spot
) -> None:
    error = suffer(victim, Case(spot, fixed(broken_gzip), BadResponse, ("compression",)))
    assert error.url == address(victim.world, spot)


@pytest.mark.parametrize("status", [500, 429])
@pytest.mark.parametrize("spot", FETCHED)
def test_a_server_in_trouble_is_unavailable(victim: Victim, spot: Spot, status: int) -> None:
    busy = document(b"<html>busy</html>", status, **{"Retry-After": "7"})
    error = suffer(victim, Case(spot, fixed(busy), Unavailable, (f"HTTP {status}",)))
    assert isinstance(error, Unavailable)
    assert error.retry_after == 7
    assert error.url == address(victim.world, spot)


NO_TIME = "Mon, 01 Jan 99999999999 00:00:00 GMT"


@pytest.mark.parametrize("spot", FETCHED)
def test_a_time_beyond_the_calendar_is_none(victim: Victim, spot: Spot) -> None:
    busy = document({}, 503, **{"Retry-After": NO_TIME, "Date": NO_TIME})
    error = suffer(victim, Case(spot, fixed(busy), Unavailable, ("HTTP 503",)))
    assert isinstance(error, Unavailable)
    assert error.retry_after is None


def test_nor_does_it_end_a_refresh_or_a_logout(victim: Victim) -> None:
    busy = document({}, 503, **{"Retry-After": NO_TIME, "Date": NO_TIME})
    made = victim.log_in()
    victim.world.at("refresh", busy)
    with pytest.raises(Unavailable) as caught:
        made.token(min_valid=1e6)
    assert caught.value.retry_after is None
    victim.world.at("revoke", busy)
    assert made.logout()


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("spot", FETCHED)
def test_nobody_is_led_to_another_host(victim: Victim, spot: Spot, status: int) -> None:
    away = redirect(victim.world.elsewhere + "/stolen", status)
    error = suffer(victim, Case(spot, fixed(away), BadResponse, ()))
    assert "elsewhere" not in victim.world.visited
    assert address(victim.world, spot) in str(error)


@pytest.mark.parametrize("spot", ["register", "token"])
def test_a_post_does_not_follow_a_redirect_on_its_own_host(victim: Victim, spot: Spot) -> None:
    victim.world.at(spot, redirect(f"/{spot}?again"))
    with victim.unharmed(BadResponse):
        victim.log_in()
    assert victim.world.visited.count(spot) == 1


def test_a_redirect_that_never_ends_is_a_bad_response(victim: Victim) -> None:
    around = redirect(PATHS["server"], 302)
    suffer(victim, Case("server", fixed(around), BadResponse, ("redirected more than",)))


def test_an_mcp_server_that_redirects_elsewhere_gets_no_token_there(victim: Victim) -> None:
    victim.world.at("answer", redirect(victim.world.elsewhere + "/stolen"))
    victim.log_in()
    assert "elsewhere" not in victim.world.visited


METADATA = {
    "another issuer": Case(
        "server", meta(issuer="https://evil.example"), IssuerMismatch, ("evil.example",)
    ),
    "no issuer": Case("server", meta(issuer=None), BadResponse, ("“issuer”", "nothing")),
    "an issuer that is no string": Case("server", meta(issuer=7), BadResponse, ("a number",)),
    "no token endpoint": Case(
        "server", meta(token_endpoint=None), BadResponse, ("“token_endpoint”", "nothing")
    ),
    "a token endpoint of the wrong type": Case(
        "server", meta(token_endpoint=["x"]), BadResponse, ("“token_endpoint”", "array")
    ),
    "no authorization endpoint": Case(
        "server", meta(authorization_endpoint=None), BadResponse, ("“authorization_endpoint”",)
    ),
    "an authorization endpoint of the wrong type": Case(
        "server", meta(authorization_endpoint={}), BadResponse, ("“authorization_endpoint”",)
    ),
    "no registration endpoint": Case(
        "server",
        meta(registration_endpoint=None),
        RegistrationRefused,
        ("PreRegistered(client_id=…)", "ClientMetadataDocument(url=…)", "dynamic registration"),
    ),
    "PKCE not advertised": Case(
        "server",
        meta(code_challenge_methods_supported=None),
        PkceUnsupported,
        ("not listed", "Options(assume_pkce_s256=True)"),
    ),
    "PKCE plain": Case(
        "server", meta(code_challenge_methods_supported=["plain"]), PkceUnsupported, ("“plain”",)
    ),
    "PKCE of the wrong type": Case(
        "server", meta(code_challenge_methods_supported=7), PkceUnsupported, ("not listed",)
    ),
    "no resource": Case("resource", resource(resource=None), BadResponse, ("“resource”",)),
    "a resource of the wrong type": Case(
        "resource", resource(resource=[]), BadResponse, ("array",)
    ),
    "another host": Case(
        "resource", resource(resource="https://evil.example/mcp"), ResourceMismatch, ("evil",)
    ),
    "a sibling path": Case(
        "resource",
        lambda w: resource(resource=w.origin + "/other")(w),
        ResourceMismatch,
        ("other",),
    ),
    "half a segment": Case(
        "resource", lambda w: resource(resource=w.origin + "/ten")(w), ResourceMismatch, ("/ten",)
    ),
    "no authorization servers": Case(
        "resource", resource(authorization_servers=None), BadResponse, ("authorization_servers",)
    ),
    "an empty list of them": Case(
        "resource", resource(authorization_servers=[]), BadResponse, ("authorization_servers",)
    ),
    "a list of numbers": Case(
        "resource", resource(authorization_servers=[1]), BadResponse, ("authorization_servers",)
    ),
    "an issuer with a query": Case(
        "resource",
        lambda w: resource(authorization_servers=[w.issuer + "/?x=1"])(w),
        InsecureUrl,
        ("query",),
    ),
}


@pytest.mark.parametrize("name", METADATA)
def test_metadata_that_cannot_be_used_is_refused(victim: Victim, name: str) -> None:
    error = suffer(victim, METADATA[name])
    assert victim.opened == []
    assert "register" not in victim.world.visited
    assert victim.world.origin in str(error) or victim.world.issuer in str(error)


REGISTRATION = {
    "403 in plain words": Case(
        "register",
        fixed(text("only known clients", 403, "text/plain")),
        RegistrationRefused,
        ("HTTP 403", "“only known clients”", "PreRegistered(client_id=…)"),
    ),
    "400 as JSON": Case(
        "register",
        fixed(document({"error": "invalid_redirect_uri", "error_description": "no"}, 400)),
        RegistrationRefused,
        ("HTTP 400", "“invalid_redirect_uri”"),
    ),
    "401 and nothing": Case("register", fixed(text("", 401)), RegistrationRefused, ("HTTP 401",)),
    "no client id": Case("register", fixed(document({"a": 1}, 201)), BadResponse, ("client_id",)),
    "a number for it": Case(
        "register", fixed(document({"client_id": 1}, 201)), BadResponse, ("a number",)
    ),
    "a method without its secret": Case(
        "register",
        fixed(
            document({"client_id": "x", "token_endpoint_auth_method": "client_secret_basic"}, 201)
        ),
        BadResponse,
        ("client_secret_basic",),
    ),
    "an unknown method": Case(
        "register",
        fixed(
            document(
                {"client_id": "x", "client_secret": "y", "token_endpoint_auth_method": "magic"}, 201
            )
        ),
        BadResponse,
        ("“magic”",),
    ),
}


@pytest.mark.parametrize("name", REGISTRATION)
def test_a_registration_that_fails_says_why(victim: Victim, name: str) -> None:
    error = suffer(victim, REGISTRATION[name])
    assert error.url == address(victim.world, "register")
    assert victim.opened == []


TOKEN = {
    "an error with 200": Case(
        "token", fixed(document({"error": "invalid_grant"})), TokenRefused, ("“invalid_grant”",)
    ),
    "an empty access token": Case(
        "token", fixed(document(tokens(access_token=""))), BadResponse, ("an empty one",)
    ),
    "an access token that is no string": Case(
        "token", fixed(document(tokens(access_token={}))), BadResponse, ("object",)
    ),
    "no access token": Case(
        "token", fixed(document({"ok": True})), BadResponse, ("RFC 6749 §5.1", "object")
    ),
    "a token for a key": Case(
        "token", fixed(document(tokens(token_type="DPoP"))), BadResponse, ("DPoP",)
    ),
    "401 of a proxy": Case("token", fixed(html(401)), BadResponse, ("HTTP 401", "HTML")),
    "server_error": Case(
        "token", fixed(document({"error": "server_error"}, 400)), Unavailable, ("try again",)
    ),
}


@pytest.mark.parametrize("name", TOKEN)
def test_a_token_answer_that_is_none_is_refused(victim: Victim, name: str) -> None:
    error = suffer(victim, TOKEN[name])
    assert error.url == address(victim.world, "token")


def test_a_fresh_token_that_is_refused_is_not_asked_for_again(victim: Victim) -> None:
    victim.world.at("answer", challenge("https://evil.example/prm"))
    with pytest.raises(TokenRefused, match="has just issued"):
        victim.log_in()
    assert victim.world.visited.count("authorize") == 1


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (lambda w: w.hang, Unavailable),
        (lambda w: reset, Unavailable),
        (lambda w: huge, BadResponse),
    ],
    ids=["hang", "reset", "huge"],
)
def test_a_login_is_kept_though_the_first_answer_fails_and_the_message_says_so(
    victim: Victim, behaviour: Callable[[World], Behaviour], error: type[AuthError]
) -> None:
    victim.world.at("answer", behaviour(victim.world))
    before = victim.record()
    for _ in short_of_time(victim, "answer") if error is Unavailable else [None]:
        with pytest.raises(error) as raised:
            victim.log_in()
    assert "The login is kept" in str(raised.value)
    assert "Nothing was changed" not in str(raised.value)
    assert victim.record() != before
