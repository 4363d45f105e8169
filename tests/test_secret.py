from __future__ import annotations

import copy
import json
import logging
import pickle
import pprint
import traceback

import pytest

from mcp_client_auth.secret import Secret, masked

PLANTED = "planted-secret-7f3a"
SECRET = Secret(PLANTED)


SHOWN = {
    "repr": repr(SECRET),
    "str": str(SECRET),
    "f-string": f"{SECRET}",
    "f-string with a width": f"{SECRET!r:>30}",
    "f-string with a precision": f"{SECRET:.2}",
    "percent": "%s %r" % (SECRET, SECRET),  # noqa: UP031
    "in a list": repr([SECRET]),
    "in a dict": repr({SECRET: SECRET}),
    "pretty": pprint.pformat((SECRET,)),
    "ascii": ascii(SECRET),
}


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN)
def test_no_way_of_showing_it_shows_it(shown: str) -> None:
    assert "planted" not in shown
    assert "**" in shown


def test_it_is_revealed_by_name_only() -> None:
    assert SECRET.reveal() == PLANTED
    assert not hasattr(SECRET, "__dict__")
    with pytest.raises(TypeError):
        vars(SECRET)


def test_it_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("x").debug("%s %r", SECRET, {"token": SECRET})
    assert PLANTED not in caplog.text


def test_it_is_neither_pickled_nor_made_json() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled") as caught:
            pickle.dumps(SECRET, protocol)
        assert PLANTED not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(TypeError):
        json.dumps(SECRET)


def test_a_copy_is_the_same_secret() -> None:
    assert copy.copy(SECRET) is SECRET
    assert copy.deepcopy([SECRET])[0] is SECRET


def test_it_compares_by_value_and_only_with_its_kind() -> None:
    assert Secret(PLANTED) == SECRET
    assert hash(Secret(PLANTED)) == hash(SECRET)
    assert Secret("other") != SECRET
    assert Secret("ü") == Secret("ü")
    assert SECRET != PLANTED
    assert Secret("") != SECRET


def test_an_empty_one_is_false() -> None:
    assert SECRET
    assert not Secret("")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("bad eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJtZSJ9.c2ln-_s, sorry", "bad ****, sorry"),
        ("bad eyJhbGciOiJFUzI1NiJ9.eyJpc3", "bad ****"),
        ("keys eyJoy and okey.eyJ are words", "keys eyJoy and okey.eyJ are words"),
        (f"{PLANTED} and {PLANTED}", "**** and ****"),
    ],
)
def test_what_was_sent_or_signed_is_masked_in_a_servers_words(text: str, shown: str) -> None:
    assert masked(text, [SECRET, None]) == shown
