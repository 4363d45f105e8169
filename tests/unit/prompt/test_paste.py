"""What is pasted is checked as a callback is, and repaired only where nothing can be meant else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mcp_client_auth.errors import AuthorizationDenied, IssuerMismatch
from mcp_client_auth.prompt import paste
from mcp_client_auth.prompt.paste import NotTheAnswer, PastedAnswer, query_of
from mcp_client_auth.prompt.race import FirstAnswer
from mcp_client_auth.prompt.terminal.line import MOST
from mcp_client_auth.prompt.terminal.reader import Typist
from mcp_client_auth.protocol.authorization import AuthorizationCode, AuthorizationRequest
from mcp_client_auth.protocol.metadata import default_server_metadata
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.urls import Issuer
from mcp_client_auth.secret import Secret

HERE = "http://127.0.0.1:4711/callback/0a1b"
ISSUER = Issuer("https://auth.example.com")
QUERY = "code=planted-code&state=right"
WHOLE = f"{HERE}?{QUERY}"


def asked(redirect_uri: str = HERE) -> AuthorizationRequest:
    client = Client(issuer=ISSUER, client_id="c", kind="dynamic", method="none")
    return AuthorizationRequest(
        url=f"{ISSUER}/authorize?state=right",
        server=default_server_metadata(ISSUER),
        client=client,
        redirect_uri=redirect_uri,
        scope=None,
        resource=None,
        state=Secret("right"),
        verifier=Secret("v"),
    )


@pytest.mark.parametrize(
    "pasted",
    [
        WHOLE,
        QUERY,
        "?" + QUERY,
        WHOLE.removeprefix("http://"),
        f"  {WHOLE}\r\n",
        f'"{WHOLE}"',
        f"'{WHOLE}'\n",
        f"<{WHOLE}>",
        f"`{WHOLE}`",
        f"“{WHOLE}”",
        f'<"{WHOLE}">',
        f"\ufeff{WHOLE}\u200b",
        WHOLE.replace("state", "sta\u200bte"),
        WHOLE.replace("state", "sta\nte"),
        WHOLE.replace("state", "sta\r\n   te"),
        WHOLE.replace("&", "\r&"),
        WHOLE + "#_=_",
        WHOLE.replace("http", "HTTP"),
    ],
)
def test_the_address_or_its_query_is_taken(pasted: str) -> None:
    assert query_of(pasted, asked()) == QUERY


@pytest.mark.parametrize("start", ["http://127.0.0.1:80/", "127.0.0.1:80/", ""])
def test_a_browser_shows_a_slash_where_the_redirect_uri_has_no_path(start: str) -> None:
    assert query_of(f"{start}?{QUERY}", asked("http://127.0.0.1:80")) == QUERY


@pytest.mark.parametrize(
    ("pasted", "why"),
    [
        ("planted-code", "a code alone"),
        ("4/0AX4XfWg-planted", "a code alone"),
        ("code=planted-code", "no “state”"),
        (f"{HERE}?code=planted-code", "no “state”"),
        (HERE, "no “state”"),
        (f"{HERE}#{QUERY}", "no “state”"),
        (WHOLE.replace("127.0.0.1", "localhost"), "begins with"),
        (WHOLE.replace("127.0.0.1", "evil.example"), "begins with"),
        (WHOLE.replace("127.0.0.1", "127.0.0.1.evil.example"), "begins with"),
        (WHOLE.replace("127.0.0.1", "[::1]"), "begins with"),
        (WHOLE.replace("//", "//evil.example@"), "begins with"),
        (WHOLE.replace("4711", "4712"), "begins with"),
        (WHOLE.replace(":4711", ""), "begins with"),
        (WHOLE.replace("http:", "https:"), "begins with"),
        (WHOLE.replace("0a1b", "0a1c"), "begins with"),
        (WHOLE.replace("0a1b", "0a1b/"), "begins with"),
        (WHOLE.replace("0a1b", "0a1%62"), "begins with"),
        (WHOLE.replace("callback", "x/../callback"), "begins with"),
        (WHOLE.replace("callback", "CALLBACK"), "begins with"),
        (f"{ISSUER}/authorize?client_id=c&state=right", "first page"),
        ("myapp://callback?" + QUERY, "cannot be read as an address"),
        ("file:///etc/passwd?" + QUERY, "cannot be read as an address"),
        ("http://[broken/?" + QUERY, "cannot be read as an address"),
        ("http://127.0.0.1:99999/callback/0a1b?" + QUERY, "cannot be read as an address"),
        ("//127.0.0.1:4711/callback/0a1b?" + QUERY, "cannot be read as an address"),
        (WHOLE + "&code=other", "twice"),
        (WHOLE + "&state=right", "twice"),
        (WHOLE + "&a=1&a=2", "twice"),
        (WHOLE.replace("&", " &"), "a space"),
        (WHOLE.replace("&", "\t&"), "a space"),
        (WHOLE.replace("state", "st\u0430te"), "a space or another character"),
        (WHOLE + "\x1b[2J", "a space or another character"),
        (f"GET {WHOLE} HTTP/1.1", "a space"),
        (f'"{WHOLE}', "a space|cannot be read"),
        (f"{WHOLE}\n{WHOLE}", "twice"),
        (WHOLE + "&a=b" * 60, "too many"),
        ("x" * (MOST + 1), "more than"),
    ],
)
def test_all_else_is_refused_in_words_that_repeat_nothing(pasted: str, why: str) -> None:
    with pytest.raises(NotTheAnswer, match=why) as caught:
        query_of(pasted, asked())
    assert "planted" not in str(caught.value)
    assert len(str(caught.value)) < 150
    assert "\n" not in str(caught.value)


def test_a_redirect_uri_without_a_path_is_met_with_the_slash_that_browsers_add() -> None:
    assert query_of("http://127.0.0.1:4711/?" + QUERY, asked("http://127.0.0.1:4711")) == QUERY


def test_the_answer_may_be_long() -> None:
    query = f"code={'x' * 20_000}&state=right"
    assert query_of(f"{HERE}?{query}", asked()) == query


# What becomes of it


class Desk:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.counts: list[int] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def typed(self, count: int) -> None:
        self.counts.append(count)

    def invite(self, url: str, redirect_uri: str) -> None: ...
    def waiting(self, left: float) -> None: ...
    def over(self) -> None: ...


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Desk, FirstAnswer, Typist]]:
    """A race with nobody at the terminal but the test."""
    typists: list[Typist] = []

    @contextmanager
    def reading(typist: Typist) -> Iterator[None]:
        typists.append(typist)
        yield

    monkeypatch.setattr(paste, "reading", reading)
    desk, race = Desk(), FirstAnswer(asked())
    with PastedAnswer(desk)(asked(), race):
        yield desk, race, typists[0]


def test_a_wrong_answer_is_said_and_the_wait_goes_on(
    enter: tuple[Desk, FirstAnswer, Typist],
) -> None:
    desk, race, typist = enter
    for wrong in ("y", "hello", WHOLE.replace("right", "wrong"), "\n", "  \n"):
        typist.entered(wrong)
    assert not race.decided
    assert [line.partition(":")[0] for line in desk.said] == [
        "Received 1 character, not the answer",
        "Received 5 characters, not the answer",
        f"Received {len(WHOLE)} characters, not the answer",
    ]
    assert "another login" in desk.said[2]
    typist.entered(WHOLE + "\n")
    answer = race.wait(1)
    assert isinstance(answer, AuthorizationCode)
    assert answer.code == Secret("planted-code")
    assert desk.said[3:] == [f"Received {len(WHOLE)} characters."]
    assert "planted" not in "".join(desk.said)


def test_after_the_answer_nothing_more_is_said(enter: tuple[Desk, FirstAnswer, Typist]) -> None:
    desk, race, typist = enter
    assert race.offer(QUERY)
    typist.entered(WHOLE)
    typist.entered("hello")
    assert desk.said == []


@pytest.mark.parametrize(
    ("more", "error"),
    [("error=access_denied", AuthorizationDenied), ("iss=https://evil.example", IssuerMismatch)],
)
def test_a_pasted_answer_ends_it_as_a_callback_does(
    enter: tuple[Desk, FirstAnswer, Typist], more: str, error: type[Exception]
) -> None:
    _, race, typist = enter
    typist.entered(f"{HERE}?state=right&{more}")
    with pytest.raises(error):
        race.wait(1)


def test_who_ends_the_reading_is_told_that_the_browser_is_still_awaited(
    enter: tuple[Desk, FirstAnswer, Typist],
) -> None:
    desk, race, typist = enter
    typist.typed(3)
    typist.ended()
    assert not race.decided
    assert desk.counts == [3, 0]
    assert "still waiting" in desk.said[0]
