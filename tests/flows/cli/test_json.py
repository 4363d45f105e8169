"""`--json`: every verb prints one object of the documented shape and nothing else, errors too."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from mcp_client_auth import __version__
from mcp_client_auth.cli.verbs import VERBS
from mcp_client_auth.testing import DemoServer, Settings
from tests.support.hostile import World, document
from tests.support.inside import Inside, Ran, credential
from tests.support.shapes import SHAPES, misfit

URL = "https://mcp.example.invalid/mcp"
WITH_JSON = (
    "login",
    "logout",
    "list",
    "status",
    "token",
    "refresh",
    "tools",
    "call",
    "doctor",
    "client-metadata",
    "store",
)
WITHOUT = ("bridge", "headers", "request", "exec", "import", "demo", "completion")


def answer(ran: Ran, shape: str) -> dict[str, Any]:
    """The answer without the fields that every answer has."""
    said = ran.answer
    assert said.pop("version") == 1
    assert said.pop("mcp_client_auth") == __version__
    assert misfit(said, SHAPES[shape]) == ""
    return said


def test_each_verb_answers_in_its_shape(inside: Inside, shared: DemoServer) -> None:
    login = answer(inside("login", shared.url, "--json", "--name", "work"), "login")
    assert (login["already"], login["login"]["names"]) == (False, ["work"])
    assert login["login"]["server"] == shared.url
    assert answer(inside("work", "--json"), "login")["already"] is True
    [listed] = answer(inside("list", "--json"), "list")["logins"]
    assert {**listed, "expires_in": 0} == {**login["login"], "expires_in": 0}
    status = answer(inside("status", "--json"), "status")
    assert status["exit_code"] == 0
    checked = answer(inside("status", "work", "--check", "--json"), "status --check")
    assert checked["logins"][0]["check"] == {"accepted": True, "error": None}
    token = answer(inside("token", "work", "--json"), "token")["token"]
    assert token["token_type"] == "Bearer"
    assert token["access_token"] == inside.held(shared.url).tokens.access_token.reveal()
    assert answer(inside("refresh", "work", "--json"), "refresh")["login"]["renewable"] is True
    listed = answer(inside("tools", "work", "--json"), "tools")["tools"]
    assert "whoami" in [tool["name"] for tool in listed]
    called = answer(inside("call", "work", "whoami", "--json"), "call")
    assert called["result"]["structuredContent"]["login_name"]
    done = answer(inside("logout", "work", "--json"), "logout")["logged_out"][0]
    assert (done["found"], done["revoked"], done["trouble"]) == (True, True, [])
    assert answer(inside("list", "--json"), "list") == {"logins": []}


def test_times_are_in_utc_and_agree(inside: Inside) -> None:
    inside.keep(credential(URL))
    told = answer(inside("token", URL, "--json"), "token")["token"]
    until = datetime.fromisoformat(told["expires_at"])
    assert until.tzinfo == UTC
    assert abs((until - datetime.now(UTC)).total_seconds() - told["expires_in"]) < 60


def test_what_is_not_known_is_null(inside: Inside) -> None:
    inside.keep(credential(URL, expires_at=None, scope=None))
    [login] = answer(inside("list", "--json"), "list")["logins"]
    assert [login[n] for n in ("expires_at", "expires_in", "scopes")] == [None] * 3
    answer(inside("token", URL, "--json"), "token")


@pytest.mark.parametrize("server", [Settings(dpop="required")], indirect=True)
def test_a_bound_token_is_named_by_its_type(inside: Inside, server: DemoServer) -> None:
    inside.log_in(server.url)
    assert answer(inside("token", server.url, "--json"), "token")["token"]["token_type"] == "DPoP"


def test_all_logins_that_end_are_told(inside: Inside, world: World) -> None:
    for account in ("default", "work"):
        inside.keep(credential(world.url, account=account, issuer=world.issuer))
    world.at("revoke", document({}, 500))
    ran = inside("logout", "--all", "--yes", "--json")
    told = answer(ran, "logout")["logged_out"]
    assert [each["account"] for each in told] == ["default", "work"]
    assert answer(inside("logout", "--all", "--json"), "logout") == {"logged_out": []}
    assert (
        answer(inside("logout", world.url, "--json"), "logout")["logged_out"][0]["found"] is False
    )


def test_a_check_that_fails_tells_its_error(inside: Inside) -> None:
    inside.keep(credential("http://127.0.0.1:1/mcp"))
    ran = inside("status", "--check", "--json")
    told = answer(ran, "status --check")
    error = told["logins"][0]["check"]["error"]
    assert ran.code == told["exit_code"] == error["exit_code"] == 6
    assert error["type"] == "Unavailable"


ERRORS = [
    (["token", URL, "--json"], 3, "LoginRequired", "login_required"),
    (["token", "http://mcp.lan/mcp", "--json"], 5, "InsecureUrl", "insecure_url"),
    (["token", "--json"], 2, "UsageError", "usage"),
    (["token", URL, "--json", "--min-valid", "x"], 2, "UsageError", "usage"),
    (["token", URL, "--json", "--nonsense"], 2, "UsageError", "usage"),
    (["--json", URL, "--timeout", "0"], 2, "UsageError", "usage"),
    (["tokne", URL, "--json"], 2, "UsageError", "usage"),
    (["--json"], 2, "UsageError", "usage"),
    (["list", "more", "--json"], 2, "UsageError", "usage"),
    (["logout", "--json"], 2, "UsageError", "usage"),
    (["status", "nobody", "--json"], 2, "UsageError", "usage"),
    (["refresh", URL, "--json"], 3, "LoginRequired", "login_required"),
    (["login", URL, "--store", "floppy", "--json"], 2, "UsageError", "usage"),
    (["token", URL, "--json", "--trace", "/no/such/file"], 2, "UsageError", "usage"),
    *[([verb, "--json"], 2, "UsageError", "usage") for verb in WITHOUT],
]


@pytest.mark.parametrize(("words", "code", "kind", "named"), ERRORS, ids=lambda v: str(v))
def test_an_error_is_told_to_people_and_in_json(
    inside: Inside, words: list[str], code: int, kind: str, named: str
) -> None:
    ran = inside(*words)
    error = answer(ran, "an error")["error"]
    assert ran.code == error["exit_code"] == code
    assert (error["type"], error["code"]) == (kind, named)
    assert error["message"]
    assert error["message"] in " ".join(ran.err.split())


def test_words_behind_two_dashes_are_not_ours(inside: Inside) -> None:
    ran = inside("exec", URL, "--", "curl", "--json", "{}")
    assert (ran.code, ran.out) == (3, "")


def test_a_token_that_cannot_be_had_yet_tells_when(inside: Inside, world: World) -> None:
    inside.keep(credential(world.url, issuer=world.issuer, issued_at=1.0, expires_at=2.0))
    world.at("refresh", document({}, 503, **{"Retry-After": "120"}))
    error = answer(inside("token", world.url, "--json"), "an error")["error"]
    assert error["exit_code"] == 6
    assert error["retry_after"] == 120
    assert error["url"] == world.issuer + "/token"


def test_verbs_are_those_of_the_table() -> None:
    assert {*WITH_JSON, *WITHOUT} == set(VERBS)


def test_the_help_names_it_where_it_is(inside: Inside) -> None:
    for verb in (*WITH_JSON, *WITHOUT):
        named = re.search(r"^  --json ", inside(verb, "--help-all").out, re.MULTILINE)
        assert bool(named) == (verb in WITH_JSON), verb


def test_the_doctor_has_the_same_two_words(inside: Inside, shared: DemoServer) -> None:
    said = inside("doctor", shared.url, "--json").answer
    assert (said["version"], said["mcp_client_auth"]) == (1, __version__)
