"""Several ways for one answer to come: the first valid one wins, and the others are ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import httpx
import pytest

from mcp_client_auth.errors import LoginFailed
from mcp_client_auth.prompt.browser_prompt import BrowserPrompt
from mcp_client_auth.prompt.race import Answer, FirstAnswer
from mcp_client_auth.protocol.authorization import AuthorizationCode, AuthorizationRequest
from mcp_client_auth.protocol.metadata import default_server_metadata
from mcp_client_auth.protocol.redirects import Callback
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.protocol.urls import Issuer
from mcp_client_auth.secret import Secret
from tests.support.codes import coded

ISSUER = Issuer("https://auth.example.com")
CALLBACK = Callback("127.0.0.1", 0, "/callback")


def asked(redirect_uri: str) -> AuthorizationRequest:
    return AuthorizationRequest(
        url=f"{ISSUER}/authorize?state=right",
        server=default_server_metadata(ISSUER),
        client=Client(issuer=ISSUER, client_id="c", kind="dynamic", method="none"),
        redirect_uri=redirect_uri,
        scope=None,
        resource=None,
        state=Secret("right"),
        verifier=Secret("v"),
    )


def code_of(answer: Answer) -> str:
    assert isinstance(answer, AuthorizationCode)
    return answer.code.reveal()


@dataclass
class Runner:
    """A racer on a thread of its own, which offers what it is told to."""

    offers: tuple[str, ...] = ()
    log: list[str] = field(default_factory=list)

    @contextmanager
    def __call__(self, request: AuthorizationRequest, race: FirstAnswer) -> Iterator[None]:
        def run() -> None:
            self.log += [f"{query} {race.offer(query)}" for query in self.offers]

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            thread.join()
            self.log.append("ended")


def test_a_racer_wins_and_every_racer_is_ended() -> None:
    winner, loser = Runner(("code=a&state=wrong", "code=b&state=right")), Runner()
    prompt = BrowserPrompt(open_url=lambda url: True, sources=[loser, winner])
    with prompt.visit(CALLBACK, "server", "account") as visit:
        answer = visit.ask(asked(visit.redirect_uri), 5)
        assert code_of(answer) == "b"
        assert winner.log == ["code=a&state=wrong False", "code=b&state=right True", "ended"]
        assert loser.log == ["ended"]


def test_a_callback_wins_over_a_racer_that_has_nothing() -> None:
    racer = Runner(("code=a&state=wrong",))
    answers: list[threading.Thread] = []

    def open_url(url: str) -> bool:
        there = f"{visit.redirect_uri}?{urlencode({'code': 'c', 'state': 'right'})}"
        answers.append(threading.Thread(target=lambda: urlopen(there).close()))
        answers[0].start()
        return True

    with BrowserPrompt(open_url=open_url, sources=[racer]).visit(CALLBACK, "s", "a") as visit:
        assert code_of(visit.ask(asked(visit.redirect_uri), 5)) == "c"
        visit.end("signed-in")
        answers[0].join()
    assert racer.log[-1] == "ended"


def test_a_login_that_was_cancelled_on_its_way_opens_no_browser() -> None:
    opened: list[str] = []

    def open_url(url: str) -> bool:
        opened.append(url)
        return True

    prompt = BrowserPrompt(open_url=open_url)
    with prompt.visit(CALLBACK, "s", "a") as visit:
        visit.cancel()
        with pytest.raises(LoginFailed, check=coded("aborted")):
            visit.ask(asked(visit.redirect_uri), 60)
    assert opened == []


def test_a_racer_is_ended_when_the_wait_fails() -> None:
    racer = Runner()
    with BrowserPrompt(open_url=lambda url: True, sources=[racer]).visit(
        CALLBACK, "s", "a"
    ) as visit:
        with pytest.raises(LoginFailed, check=coded("timeout")):
            visit.ask(asked(visit.redirect_uri), 0.05)
        assert racer.log == ["ended"]


def test_who_waits_is_told_how_long_it_still_is() -> None:
    race, told = FirstAnswer(asked("http://127.0.0.1:1/callback")), list[float]()

    def tick(left: float) -> None:
        told.append(left)
        if len(told) == 2:
            race.offer("code=a&state=right")

    assert code_of(race.wait(100, tick)) == "a"
    assert [round(left) for left in told] == [100, 99]


def test_an_answer_in_the_last_moment_is_not_lost() -> None:
    race = FirstAnswer(asked("http://127.0.0.1:1/callback"))
    assert race.offer("code=a&state=right")
    assert code_of(race.wait(0)) == "a"


def test_a_short_time_is_told_as_it_was() -> None:
    race = FirstAnswer(asked("http://127.0.0.1:1/callback"))
    with pytest.raises(LoginFailed, match=r"within 0\.05 s"):
        race.wait(0.05)


def test_what_comes_after_the_time_is_told_that_nobody_needs_it() -> None:
    race = FirstAnswer(asked("http://127.0.0.1:1/callback"))
    with pytest.raises(LoginFailed, check=coded("timeout")):
        race.wait(0)
    assert not race.take(TokenSet(Secret("late"), issued_at=0.0))


CAUSES: dict[str, tuple[dict[str, Any], str]] = {
    "no metadata": ({}, "publishes no metadata"),
    "a client of theirs": ({"client": Client("own", ISSUER, "pre-registered", "none")}, "“own”"),
    "a prompt": ({"parameters": (("prompt", "consent"),)}, "sent prompt “consent”"),
    "a pushed request": ({"pushed_for": 90.0}, "good for 90 s only"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_a_wait_without_an_answer_tells_where_to_look(cause: str) -> None:
    """Each of these may be why a page of the server shows an error and nothing comes back."""
    request = replace(asked("http://127.0.0.1:1/callback"), **CAUSES[cause][0])
    if cause != "no metadata":
        request = replace(request, server=replace(request.server, source="metadata"))
    with pytest.raises(LoginFailed) as caught:
        FirstAnswer(request).wait(0)
    assert "redirect URI" in caught.value.hint
    assert [each for each, (_, told) in CAUSES.items() if told in caught.value.hint] == [cause]


@dataclass
class Said:
    """A display that keeps its lines."""

    lines: list[str] = field(default_factory=list)

    def invite(self, url: str, redirect_uri: str) -> None: ...
    def waiting(self, left: float) -> None: ...
    def typed(self, count: int) -> None: ...
    def over(self) -> None: ...
    def say(self, text: str) -> None:
        self.lines.append(text)


WITHOUT_STATE = {
    "error=access_denied": ", with the error “access_denied”",
    "error=access_denied&state=": ", with the error “access_denied”",
    "error=Call+0800+now&error_description=Pay": "",
    "code=c": "",
}
ERRORS = ("access_denied", "invalid_request", "invalid_scope", "server_error", "login_required")


@pytest.mark.parametrize("query", WITHOUT_STATE)
def test_a_response_without_a_state_is_ignored_and_the_person_is_told(query: str) -> None:
    """Servers lose the state with an error; anyone can send one, so it must not end the login."""
    said = Said()

    def browser(url: str) -> bool:
        for _ in range(3):
            status = httpx.get(f"{visit.redirect_uri}?{query}", trust_env=False).status_code
            assert status == 400
        return True

    with (
        BrowserPrompt(open_url=browser, display=said).visit(CALLBACK, "server", "a") as visit,
        pytest.raises(LoginFailed, check=coded("timeout")) as caught,
    ):
        visit.ask(asked(visit.redirect_uri), 0.2)
    told = f"a response without “state”{WITHOUT_STATE[query]}, and ignored it"
    assert [told in line for line in said.lines] == [True]
    assert told in caught.value.hint
    assert "0800" not in f"{said.lines} {caught.value}"


@pytest.mark.parametrize(
    ("method", "status", "what", "why"),
    [
        ("GET", 400, "a request without parameters", "behind “#”"),
        ("POST", 405, "a POST request", "in a form"),
    ],
)
def test_an_answer_in_another_response_mode_is_ignored_and_named(
    method: str, status: int, what: str, why: str
) -> None:
    """A fragment stays in the browser, which requests the callback alone; of a form nothing is
    read."""
    said = Said()

    def browser(url: str) -> bool:
        form = {"code": "planted", "state": "right"} if method == "POST" else None
        sent = {"Origin": ISSUER} if form else {}
        for _ in range(3):
            answer = httpx.request(
                method, visit.redirect_uri, data=form, headers=sent, trust_env=False
            )
            assert (answer.status_code, "Not the expected" in answer.text) == (status, True)
        return True

    with (
        BrowserPrompt(open_url=browser, display=said).visit(CALLBACK, "server", "a") as visit,
        pytest.raises(LoginFailed, check=coded("timeout")) as caught,
    ):
        visit.ask(asked(visit.redirect_uri), 0.2)
    assert said.lines == [f"The callback got {what}, and ignored it. Still waiting."]
    assert f"in the query (RFC 6749 §4.1.2), not {why}" in caught.value.hint
    assert "planted" not in f"{said.lines} {caught.value}"


def test_of_what_anyone_can_send_without_end_the_person_is_told_little() -> None:
    said = Said()

    def browser(url: str) -> bool:
        for error in ERRORS:
            assert httpx.get(f"{visit.redirect_uri}?error={error}", trust_env=False).is_error
        answer = {"code": "c", "state": "right"}
        return httpx.post(visit.redirect_uri, params=answer, trust_env=False).is_error

    with (
        BrowserPrompt(open_url=browser, display=said).visit(CALLBACK, "server", "a") as visit,
        pytest.raises(LoginFailed, check=coded("timeout")),
    ):
        visit.ask(asked(visit.redirect_uri), 0.2)
    assert len(said.lines) == 3


def test_a_form_that_comes_after_the_answer_is_not_worth_a_word() -> None:
    race = FirstAnswer(asked("http://127.0.0.1:1/callback"))
    assert race.offer("code=a&state=right")
    race.posted()
    assert race.malformed == []


def test_a_state_that_is_another_ones_is_not_worth_a_word() -> None:
    race = FirstAnswer(asked("http://127.0.0.1:1/callback"))
    assert not race.offer("error=access_denied&state=other")
    assert not race.offer("utm_source=x")
    with pytest.raises(LoginFailed) as caught:
        race.wait(0)
    assert "without “state”" not in caught.value.hint


def test_what_comes_after_the_end_comes_too_late() -> None:
    race = FirstAnswer(asked("http://127.0.0.1:4711/callback"))
    race.close()
    assert not race.offer("code=c&state=right")
    with pytest.raises(LoginFailed, check=coded("aborted")):
        race.wait(60)
