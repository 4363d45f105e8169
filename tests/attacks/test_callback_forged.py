"""Another page or program calls the callback, to end the login or to take its place."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from mcp_client_auth.prompt.loopback import Listener
from mcp_client_auth.prompt.page import Page

RIGHT = "?code=genuine&state=s3cret"
END = Page("signed-in", "https://mcp.example.com/mcp", "work")


@pytest.fixture
def offered() -> list[str]:
    return []


@pytest.fixture
def listener(offered: list[str]) -> Iterator[Listener]:
    """A listener whose login ends as soon as the right answer is offered."""
    with Listener() as listener:

        def offer(query: str) -> bool:
            offered.append(query)
            if "state=s3cret" not in query:
                return False
            listener.finish(END)
            return True

        listener.start(offer)
        yield listener


def get(listener: Listener, query: str) -> httpx.Response:
    return httpx.get(listener.redirect_uri + query, trust_env=False)


@pytest.mark.parametrize(
    "forged",
    [
        "?code=evil&state=wrong",
        "?code=evil",
        "?state=wrong",
        "?error=access_denied",
        "?error=access_denied&state=wrong",
        "",
        "?",
        "?%00",
        "?access_token=t&token_type=Bearer",
    ],
)
def test_a_wrong_state_is_answered_and_the_wait_goes_on(listener: Listener, forged: str) -> None:
    answer = get(listener, forged)
    assert answer.status_code == 400
    assert "Not the expected answer" in answer.text
    assert "Signed in" in get(listener, RIGHT).text


@pytest.mark.parametrize("name", ["code", "state", "iss", "error"])
@pytest.mark.parametrize("again", ["{}=x", "{}=", "{}", "%{:x}{}=x"])
def test_a_parameter_that_comes_twice_is_never_offered(
    listener: Listener, offered: list[str], name: str, again: str
) -> None:
    double = again.format(ord(name[0]), name[1:]) if "x}" in again else again.format(name)
    answer = get(listener, f"{RIGHT}&{name}=a&{double}")
    assert answer.status_code == 400
    assert offered == []
    assert "Signed in" in get(listener, RIGHT).text


def test_a_parameter_that_oauth_does_not_know_may_come_twice(listener: Listener) -> None:
    assert "Signed in" in get(listener, RIGHT + "&session=1&session=2").text


def test_a_replay_after_the_end_is_not_offered(listener: Listener, offered: list[str]) -> None:
    get(listener, RIGHT)
    replay = get(listener, RIGHT)
    assert replay.status_code == 410
    assert "Already answered" in replay.text
    assert "Signed in" not in replay.text
    assert len(offered) == 1


def test_a_callback_after_another_way_has_won_is_not_offered(
    listener: Listener, offered: list[str]
) -> None:
    listener.finish(END)
    assert "Already answered" in get(listener, RIGHT).text
    assert offered == []


def test_another_answer_while_the_first_is_at_work_is_not_offered() -> None:
    offered: list[str] = []
    taken = threading.Event()

    def offer(query: str) -> bool:
        offered.append(query)
        taken.set()
        return True

    with Listener() as listener, ThreadPoolExecutor() as pool:
        listener.start(offer)
        first = pool.submit(get, listener, "?code=first&state=s3cret")
        assert taken.wait(60)
        assert "Already answered" in get(listener, "?code=second&state=s3cret").text
        listener.finish(END)
        assert "Signed in" in first.result(60).text
    assert len(offered) == 1


def test_of_many_answers_that_come_together_one_wins() -> None:
    offered: list[str] = []

    def offer(query: str) -> bool:
        offered.append(query)
        return True

    with Listener() as listener, ThreadPoolExecutor(16) as pool:
        listener.hold = 0.2
        listener.start(offer)
        answers = list(pool.map(lambda n: get(listener, f"?code={n}&state=s"), range(16)))
    assert len(offered) == 1
    assert sorted(answer.status_code for answer in answers) == [200] + [410] * 15
