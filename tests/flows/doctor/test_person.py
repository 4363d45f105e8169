"""`--login`: a whole login by a person, and what only the tokens of a login show."""

from __future__ import annotations

from mcp_client_auth.cli.report import exit_code_of
from mcp_client_auth.testing import DemoServer, ScriptedBrowser
from tests.support.findings import Examine, only
from tests.support.hostile import World, document, tokens


def test_a_sound_server_shows_that_its_tokens_are_its_own(examined: Examine) -> None:
    with DemoServer() as server:
        report = examined(server.url, prompt=ScriptedBrowser().prompt)
        assert server.count("/revoke") == 2  # no token of the login is left
    checks = ("person.token", "person.refresh", "person.random_token", "person.unsigned_token")
    assert {only(report, check).level for check in checks} == {"ok"}
    assert exit_code_of(report) == 0


def test_a_server_that_takes_any_token_is_found(world: World, examined: Examine) -> None:
    report = examined(world.url, prompt=ScriptedBrowser().prompt)
    for check in ("person.random_token", "person.unsigned_token"):
        assert only(report, check).fault == "token-unchecked"
    said = str(report)
    assert "planted" not in said


def test_a_login_that_is_denied_ends_the_examination_so(examined: Examine) -> None:
    with DemoServer() as server:
        report = examined(server.url, prompt=ScriptedBrowser("deny").prompt)
    assert only(report, "person.login").error == "AuthorizationDenied"
    assert exit_code_of(report) == 4


def test_nobody_is_asked_where_a_login_cannot_work(world: World, examined: Examine) -> None:
    world.at("token", document(tokens(), 404))
    report = examined(world.url, prompt=ScriptedBrowser().prompt)
    assert report.verdict.check == "endpoint.token"
    assert not [f for f in report.findings if f.check.startswith("person")]
