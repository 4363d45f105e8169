"""A login by the command, then programs that need no browser, at each real server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from person import Person, wait_until_dead

REFUSED, LOGIN_REQUIRED = 4, 3
# Where nothing is stored the index cannot tell where to look, and a machine may lack a keyring.
IN_A_FILE = {"MCP_CLIENT_AUTH_STORAGE": "file"}


@dataclass(frozen=True, slots=True)
class Place:
    """A server and what a program sees there."""

    url: str
    tools: list[str]

    @property
    def seen(self) -> dict[str, object]:
        return {"tools": self.tools, "me": "ada"}


TOOLS = {"authkit": ["add", "whoami"], "sdk": ["whoami"]}


@pytest.fixture(params=TOOLS)
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def place(request: pytest.FixtureRequest, name: str) -> Place:
    return Place(request.getfixturevalue(name), TOOLS[name])


@pytest.fixture
def short_lived(request: pytest.FixtureRequest, name: str) -> Place:
    """The same server, but access tokens live for seconds."""
    return Place(request.getfixturevalue(f"short_lived_{name}"), TOOLS[name])


@pytest.mark.parametrize("library", ["mcp", "fastmcp"])
def test_after_a_login_programs_need_no_browser(person: Person, place: Place, library: str) -> None:
    person.log_in(place.url)
    person.decision = "deny"
    assert person.visits(place.url, library) == place.seen
    assert person.visits(place.url, library) == place.seen


def test_a_login_is_kept_by_a_real_secret_service(
    person: Person, place: Place, secret_service: dict[str, str]
) -> None:
    person.store, person.extra = "keyring", secret_service
    person.log_in(place.url)
    token = person.token(place.url)
    assert person.visits(place.url) == place.seen
    files = [each for each in person.home.rglob("*") if each.is_file()]
    assert not [each for each in files if token.encode() in each.read_bytes()]


def test_a_second_login_asks_nobody(person: Person, place: Place) -> None:
    person.log_in(place.url)
    token = person.token(place.url)
    person.decision = "deny"
    person.log_in(place.url)
    assert person.token(place.url) == token


def test_an_expired_token_is_renewed_and_the_rotated_refresh_token_is_kept(
    person: Person, short_lived: Place
) -> None:
    person.log_in(short_lived.url)
    person.decision = "deny"
    tokens = []
    for _ in range(2):
        tokens.append(person.token(short_lived.url))
        wait_until_dead(short_lived.url, tokens[-1])
        assert person.visits(short_lived.url) == short_lived.seen
    assert len(set(tokens)) == len(tokens)


def test_a_denial_is_told_and_nothing_is_kept(person: Person, place: Place) -> None:
    person.decision, person.extra = "deny", IN_A_FILE
    answer = person.mcp_login(place.url, "--store", person.store)
    assert answer.code == REFUSED, answer.err
    assert person.mcp_login("token", place.url).code == LOGIN_REQUIRED


def test_a_login_is_listed_until_the_logout(person: Person, place: Place) -> None:
    person.extra = IN_A_FILE
    person.log_in(place.url)
    assert place.url in person.mcp_login("list").out
    assert person.mcp_login("logout", place.url).code == 0
    assert place.url not in person.mcp_login("list").out
    assert person.mcp_login("token", place.url).code == LOGIN_REQUIRED


def test_two_programs_at_once_share_one_renewal(person: Person, short_lived: Place) -> None:
    """A refresh token used twice would end the whole family at both servers."""
    person.log_in(short_lived.url)
    person.decision = "deny"
    wait_until_dead(short_lived.url, person.token(short_lived.url))
    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(person.visits, [short_lived.url] * 4))
    assert seen == [short_lived.seen] * 4
