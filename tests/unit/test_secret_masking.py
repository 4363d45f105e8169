"""A server's text is shown without any part of a secret that is 12 characters long or longer."""

from __future__ import annotations

import base64
import json
import logging
import re
import time
from collections.abc import Callable
from functools import partial
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_client_auth.errors import TokenRefused
from mcp_client_auth.events import Event, tell
from mcp_client_auth.secret import Known, Parts, Secret, masked, quoted, without

OPAQUE = "tK9-vQ2_mZ7wXc4LrP8sYd1HjF6bNa3GuEoTiV5kRx0CqWlS"
PASSWORD = "p=ss/w0rd+with:odd%&characters ü"
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJtZSIsInN1YiI6Im1lIn0.c2lnbmF0dXJl"


def basic(client: str, secret: str, encode: Callable[[bytes], bytes] = base64.b64encode) -> str:
    pair = f"{quote(client, safe='')}:{quote(secret, safe='')}"
    return encode(pair.encode()).decode()


def bare(client: str, secret: str) -> str:
    """As RFC 7617 has it, which servers mistake for RFC 6749's."""
    return base64.b64encode(f"{client}:{secret}".encode()).decode()


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in a URL": lambda secret: quote(secret, safe=""),
    "in a form": quote_plus,
    "in a URL, lower case": lambda secret: re.sub(
        "%[0-9A-F]{2}", lambda escape: escape[0].lower(), quote(secret, safe="")
    ),
    "in JSON": lambda secret: json.dumps(secret)[1:-1],
    "in base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "in base64url": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    "in base64 without padding": lambda s: base64.b64encode(s.encode()).decode().rstrip("="),
    **{f"Basic of {name}": partial(basic, name) for name in ("a", "ab", "abc")},
    "Basic, not encoded": lambda secret: bare("app", secret),
    "Basic in base64url": lambda secret: basic("app", secret, base64.urlsafe_b64encode),
}


def told_of(form: str, text: str, part: int = 12) -> list[str]:
    """The parts of a form of the secret that the text repeats."""
    return [
        form[at : at + part] for at in range(len(form) - part + 1) if form[at : at + part] in text
    ]


@pytest.mark.parametrize("secret", [OPAQUE, PASSWORD, JWT], ids=["opaque", "odd", "jwt"])
@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_a_secret_is_repeated_whole_or_in_part(form: str, secret: str) -> None:
    shown = FORMS[form](secret)
    if form.startswith("Basic"):  # what stands before the secret is the client's id
        shown = shown[8:]
    for part in (shown, shown[: len(shown) // 2], shown[5:], shown[7:25], shown[-12:]):
        said = masked(f"the token ({part}) is not valid: {part}!", [Secret(secret)])
        assert told_of(shown, said) == []
        assert said.startswith("the token (")
        assert said.endswith("!")


@given(
    secret=st.text(st.characters(codec="utf-8"), min_size=12, max_size=80),
    form=st.sampled_from([form for name, form in FORMS.items() if "Basic" not in name]),
    start=st.integers(0, 40),
    length=st.integers(12, 60),
)
def test_whatever_the_secret_is(
    secret: str, form: Callable[[str], str], start: int, length: int
) -> None:
    shown = form(secret)
    text = f"<{shown[start : start + length]}>"
    assert told_of(shown, without(text, Parts([secret]).spans(text))) == []


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=12, max_size=60))
def test_a_secret_in_a_text_leaves_the_rest_alone(secret: str) -> None:
    text = f"« {secret} »"
    assert without(text, Parts([secret]).spans(text)) == "« **** »"


def test_a_shorter_part_may_be_anything_and_stays() -> None:
    text = f"expected {OPAQUE[:11]}, got {OPAQUE[20:31]}"
    assert masked(text, [Secret(OPAQUE)]) == text


def test_a_secret_that_is_shorter_is_masked_where_it_was_sent_and_nowhere_else() -> None:
    said = f"not hunter2, nor {basic('app', 'hunter2')}, nor a hunter"
    assert masked(said, [Secret("hunter2")]) == "not ****, nor YXBwOm****, nor a hunter"
    Secret("hunter2")
    assert quoted("hunter2") == "“hunter2”"


def test_parts_that_overlap_have_one_mask() -> None:
    assert without("abcdefgh", [(1, 3), (2, 5), (6, 7)]) == "a****f****h"


# Wherever a server's text goes


def test_an_error_repeats_nothing_that_is_known_here() -> None:
    Secret(OPAQUE)
    error = TokenRefused(
        f"refused: {OPAQUE[:20]}",
        url=f"https://as.example/{OPAQUE[10:40]}",
        hint=f"not {OPAQUE}",
        code=OPAQUE[:15],
        description=quoted(OPAQUE[3:30]),
    )
    for text in (str(error), repr(error), *map(str, vars(error).values()), str(error.fresh())):
        assert told_of(OPAQUE, text) == []


def test_an_event_and_its_log_repeat_nothing_that_is_known_here(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[Event] = []
    Secret(OPAQUE)
    made = Event("notice", f"https://as.example/{OPAQUE[:20]}", 400, OPAQUE[8:], OPAQUE[:12], 1.5)
    tell(seen.append, made)
    assert told_of(OPAQUE, str(seen[0]) + caplog.text) == []
    assert (seen[0].name, seen[0].status, seen[0].seconds) == ("notice", 400, 1.5)


def test_what_is_cut_is_masked_first() -> None:
    Secret(OPAQUE)
    assert told_of(OPAQUE, quoted("x" * 185 + OPAQUE, 200)) == []


def test_the_last_secrets_are_known_and_those_that_are_used_again() -> None:
    known = Known()
    values = [f"{number:03}-{OPAQUE[::-1]}" for number in range(100)]
    for value in values:
        known.note(value)
    assert known.hidden(values[-1]) == "****"
    assert known.hidden(values[-32]) == "****"


def test_a_guess_pushes_no_secret_out() -> None:
    ours = Secret(OPAQUE)
    for number in range(100):
        assert not ours.matches(f"{number:012}-forged")
    assert ours.matches(OPAQUE)
    assert quoted(f"{OPAQUE} 000000000001-forged") == "“**** 000000000001-forged”"


def test_the_same_secret_again_and_again_pushes_no_other_one_out() -> None:
    known = Known()
    for value in (OPAQUE, *[JWT] * 100):
        known.note(value)
    assert known.hidden(OPAQUE) == "****"


def test_a_secret_that_is_used_after_many_others_is_known_again() -> None:
    old = Secret(OPAQUE)
    for number in range(100):
        Secret(f"{number:012}-another-one")
    assert told_of(OPAQUE, quoted(OPAQUE))
    old.reveal()
    assert quoted(OPAQUE) == "“****”"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("a" * 100_000, "a" * 100_000),
        (("a" * 11 + "b") * 10_000, "a" * 5000),
        ("".join(map(str, range(30_000))), "".join(map(str, range(30_000, 0, -1)))),
    ],
)
def test_a_long_text_and_a_long_secret_cost_no_time(text: str, secret: str) -> None:
    began = time.process_time()
    masked(text, [Secret(secret)])
    quoted(text)
    assert time.process_time() - began < 20
