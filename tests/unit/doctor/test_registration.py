"""The trial registration: only when asked for, and taken away again."""

from __future__ import annotations

import pytest

from mcp_client_auth.cli.report import exit_code_of
from mcp_client_auth.testing import DemoServer, Settings
from mcp_client_auth.testing.settings import AuthMethod
from tests.support.findings import Examine, only
from tests.support.hostile import World, document, html, text

TOKEN = "planted-registration-token"


def managed(world: World, uri: str) -> None:
    answer = {
        "client_id": "dyn",
        "client_secret": "planted-client-secret",
        "token_endpoint_auth_method": "client_secret_post",
        "registration_client_uri": uri,
        "registration_access_token": TOKEN,
    }
    world.at("register", document(answer, 201))


def test_nothing_is_registered_unless_asked(world: World, examined: Examine) -> None:
    report = examined(world.url)
    assert only(report, "registration.answer").came == "registration not tried"
    assert not any(name == "register" and body for name, body in world.bodies)


def test_a_trial_client_is_deleted(world: World, examined: Examine) -> None:
    managed(world, world.issuer + "/register/dyn")
    sent: list[tuple[str, str]] = []

    def gone(exchange):  # type: ignore[no-untyped-def]
        sent.append((exchange.command, exchange.headers["Authorization"]))
        exchange.reply(204)

    world.put(world.issuer + "/register/dyn", gone)
    report = examined(world.url, register=True)
    assert sent == [("DELETE", f"Bearer {TOKEN}")]
    assert only(report, "registration.end").level == "ok"
    assert only(report, "registration.answer").level == "note"  # a secret, though none was asked
    assert "planted" not in str(report)


def test_a_registration_token_goes_to_no_other_origin(world: World, examined: Examine) -> None:
    managed(world, world.elsewhere + "/register/dyn")
    report = examined(world.url, register=True)
    assert "elsewhere" not in world.visited
    assert "another origin" in only(report, "registration.end").came


@pytest.mark.parametrize("answer", [text(TOKEN, 403), html(500)], ids=["403", "500"])
def test_a_client_that_cannot_be_deleted_is_named(
    world: World, examined: Examine, answer: object
) -> None:
    managed(world, world.issuer + "/register/dyn")
    world.put(world.issuer + "/register/dyn", answer)  # type: ignore[arg-type]
    found = only(examined(world.url, register=True), "registration.end")
    assert "“dyn” stays registered" in found.came
    assert TOKEN not in str(found)


def test_a_refusal_is_the_error_that_a_login_would_meet(world: World, examined: Examine) -> None:
    world.at("register", document({"error": "invalid_redirect_uri"}, 400))
    report = examined(world.url, register=True)
    assert only(report, "registration.answer").error == "RegistrationRefused"
    assert exit_code_of(report) == 4


@pytest.mark.parametrize("method", ["none", "client_secret_basic"])
def test_the_demo_server_registers_a_client(examined: Examine, method: AuthMethod) -> None:
    with DemoServer(Settings(registration_method=method)) as server:
        found = only(examined(server.url, register=True), "registration.answer")
        assert method in found.came
        assert server.count("/register") == 2  # the trial, and a preflight
