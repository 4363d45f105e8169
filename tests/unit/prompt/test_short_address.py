"""The short address: to the sign-in page once, by no guess, and told of a second visit."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from mcp_client_auth.prompt.short_address import REOPENED, TURNED_OFF, ShortAddress

PAGE = "https://auth.example.com/authorize?state=s"


@pytest.fixture
def visits() -> list[str]:
    return []


@pytest.fixture
def short(visits: list[str]) -> ShortAddress:
    return ShortAddress(PAGE, visits.append)


def test_the_first_visit_is_led_on_and_each_later_one_is_told(
    short: ShortAddress, visits: list[str]
) -> None:
    assert [short.open() for _ in range(3)] == [PAGE, "", ""]
    assert visits == [REOPENED, REOPENED]


def test_of_many_visits_at_once_one_is_the_first(short: ShortAddress) -> None:
    with ThreadPoolExecutor(16) as crowd:
        led = list(crowd.map(lambda _: short.open(), range(64)))
    assert sorted(filter(None, led)) == [PAGE]


def test_it_has_at_least_fifty_random_bits_and_is_another_each_time() -> None:
    paths = {ShortAddress(PAGE, fail).path for _ in range(100)}
    assert len(paths) == 100
    assert all(re.fullmatch(r"/[\w-]{9,}", path) for path in paths)  # six bits a character


def test_only_the_whole_of_it_is_it(short: ShortAddress) -> None:
    short.path = "/9-One_of_letters"  # one in some thousands has none in lower case
    for target in (short.path[:-1], short.path + "?", short.path + "/", short.path.upper(), "/"):
        assert not short.is_at(target)
    assert short.is_at(short.path)


def fail(text: str) -> None:
    pytest.fail(text)


def test_after_twenty_wrong_guesses_it_is_off(short: ShortAddress, visits: list[str]) -> None:
    for number in range(19):
        assert not short.is_at(f"/{number}")
    assert short.is_at(short.path)
    assert not short.off
    assert not short.is_at("/another")
    assert not short.is_at(short.path)
    assert short.off
    assert visits == [TURNED_OFF]


def test_who_has_opened_it_needs_no_word_of_that(short: ShortAddress, visits: list[str]) -> None:
    short.open()
    for number in range(40):
        assert not short.is_at(f"/{number}")
    assert visits == []


def test_what_a_browser_asks_for_beside_a_page_is_no_guess(short: ShortAddress) -> None:
    for _ in range(40):
        assert not short.is_at("/favicon.ico")
    assert short.is_at(short.path)
