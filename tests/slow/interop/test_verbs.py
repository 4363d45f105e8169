"""Each verb at oidc-provider, at a terminal and through pipes."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest

from tests.slow.interop.forms import PLAIN, Place, oidc
from tests.slow.interop.person import Person
from tests.slow.interop.processes import command
from tests.support.ptys import at_a_pty

LASTING = replace(PLAIN, start=partial(oidc, lifetime=300))

pytestmark = pytest.mark.parametrize("place", [LASTING], indirect=True, ids=[LASTING.name])


def at_terminal(person: Person, *arguments: str) -> str:
    """What is seen there; it ends well."""
    with at_a_pty(command(*arguments), person.environment) as running:
        code = running.end()
        text = running.text.replace("\r\n", "\n")
    assert code == 0, text
    return text


def test_each_verb_at_a_terminal(place: Place, person: Person) -> None:
    url = place.url
    assert "Logged in to" in at_terminal(person, url, "--store", "file", "--name", "work")
    assert at_terminal(person, "list").startswith(f"{url}\n  name     work\n")
    assert "accepted by the server" in at_terminal(person, "status", "work", "--check")
    held = person.credential(url).tokens.access_token.reveal()
    assert "Renewed the login to" in at_terminal(person, "refresh", "work")
    token = at_terminal(person, "token", "work").strip()
    assert token != held
    assert at_terminal(person, "token", "work", "--header") == f"Authorization: Bearer {token}\n"
    length = at_terminal(person, "exec", "work", "--", "sh", "-c", "echo ${#MCP_ACCESS_TOKEN}")
    assert int(length) == len(token)
    assert "WARNING" in at_terminal(person, "doctor", "work", "--store", "file")  # CORS
    assert "Logged out of" in at_terminal(person, "logout", "work")
    assert "You are not logged in" in at_terminal(person, "list")


def test_each_verb_through_a_pipe(place: Place, person: Person) -> None:
    url = place.url
    person.log_in(url, "--json")
    [login] = json.loads(person.mcp_login("list", "--json").out)["logins"]
    assert login["server"] == url
    checked = json.loads(person.mcp_login("status", url, "--check", "--json").out)
    assert checked["logins"][0]["check"]["accepted"] is True
    assert json.loads(person.mcp_login("refresh", url, "--json").out)["login"]["renewable"] is True
    token = person.token(url)
    assert not place.refuses(token)
    ran = person.mcp_login("exec", url, "--", "sh", "-c", 'printf %s "$MCP_ACCESS_TOKEN"; exit 3')
    assert (ran.code, ran.out) == (3, token)
    asked = person.mcp_login("request", url, "-d", "{}")
    assert asked.code == 1
    assert "HTTP 400 " in asked.err  # no MCP request, but a token that it takes
    gone = json.loads(person.mcp_login("logout", url, "--json").out)["logged_out"][0]
    assert (gone["found"], gone["revoked"]) == (True, True)
    assert person.mcp_login("token", url).code == 3
