from __future__ import annotations

import copy
import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_client_auth import errors
from mcp_client_auth.errors import (
    AuthError,
    AuthorizationDenied,
    InsufficientScope,
    IssuerMismatch,
    TokenRefused,
    Unavailable,
)
from mcp_client_auth.events import Event
from mcp_client_auth.secret import quoted

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, AuthError) and kind.__module__ == errors.__name__
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_drawn_in_the_tree_and_has_a_code(kind: type[AuthError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind("what happened").code == kind.default_code
    assert kind.__doc__


def test_codes_tell_the_errors_apart() -> None:
    assert len({kind.default_code for kind in KINDS}) == len(KINDS)


def test_a_message_says_what_where_and_what_to_do() -> None:
    error = Unavailable("it broke", url="https://a/x", hint="Try later")
    assert str(error) == "it broke (https://a/x). Try later"
    assert str(Unavailable("https://a/x broke", url="https://a/x")) == "https://a/x broke"
    assert str(AuthError("it broke")) == "it broke"


@pytest.mark.parametrize(
    ("said", "again"),
    [
        ("https://as.example/token refused", False),
        ("refused (https://as.example/token): no", False),
        ("it redirects to https://as.example/token/", True),
        ("it redirects to https://as.example/token?v=2", True),
        ("it redirects to https://as.example/tokens", True),
    ],
)
def test_where_is_said_beside_a_longer_url_that_begins_with_it(said: str, *, again: bool) -> None:
    error = AuthError(said, url="https://as.example/token")
    assert str(error).endswith("(https://as.example/token)") == again


def test_an_error_is_its_fields() -> None:
    error = TokenRefused("no", code="invalid_grant", status=400, server="s", step="token")
    assert (error.code, error.status, error.server, error.step) == (
        "invalid_grant",
        400,
        "s",
        "token",
    )
    assert AuthorizationDenied("no").status == 0
    assert Unavailable("no").retry_after is None


def test_the_outer_room_fills_in_only_what_is_not_said() -> None:
    error = AuthError("x", step="token").at(server="s", step="refresh")
    assert (error.server, error.step) == ("s", "token")


REMADE = [
    lambda error: error.fresh(),
    copy.copy,
    copy.deepcopy,
    lambda error: pickle.loads(pickle.dumps(error)),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("remade", REMADE, ids=["fresh", "copy", "deepcopy", "pickle"])
def test_an_error_can_be_made_again(kind: type[AuthError], remade: object) -> None:
    error = kind("x", code="c", url="u", hint="h", server="s", step="t", status=4, granted=("a",))
    assert callable(remade)
    again = remade(error)
    assert again is not error
    assert type(again) is kind
    assert (again.__dict__, str(again)) == (error.__dict__, str(error))


def test_a_fresh_error_has_no_traceback() -> None:
    with pytest.raises(InsufficientScope) as caught:
        raise InsufficientScope("x", requested=("a",))
    assert caught.value.__traceback__ is not None
    assert caught.value.fresh().__traceback__ is None
    assert caught.value.fresh().requested == ("a",)


def test_a_caller_can_sort_errors_by_what_to_do() -> None:
    assert issubclass(TokenRefused, errors.Refused)
    assert issubclass(IssuerMismatch, errors.Untrusted)
    assert not issubclass(errors.Unavailable, errors.Refused)


@given(st.text())
def test_a_quoted_text_is_printable_and_short(text: str) -> None:
    said = quoted(text, 50)
    assert said.isprintable()
    assert 2 <= len(said) <= 52
    assert (said[0], said[-1]) == ("“", "”")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words", "“plain words”"),
        ("a\r\n\t b", "“a b”"),
        ("\x1b[31mred\x07", "“[31mred”"),
        ("a\u202eb\u200b", "“a b”"),
        ("x" * 300, "“" + "x" * 199 + "…”"),
        ("", "“”"),
        ("\udcff", "“”"),
    ],
)
def test_what_would_change_a_terminal_is_taken_out(text: str, expected: str) -> None:
    assert quoted(text) == expected


@pytest.mark.parametrize(
    "url", ["https://me:secret@as.example/t?code=secret#secret", "secret@x?secret"]
)
def test_an_error_keeps_of_its_url_only_what_may_be_shown(url: str) -> None:
    error = AuthError("it failed", url=url)
    later = AuthError("it failed").at(url=url)
    assert error.url == later.url == Event("again", url).url
    assert "?" not in error.url
    assert url.startswith("secret") or "secret" not in error.url


@pytest.mark.parametrize("url", ["https://as.example/" + "a" * 400, "not a URL", "", "“quoted”"])
def test_what_an_error_shows_can_be_handed_on_as_it_is(url: str) -> None:
    error = pickle.loads(pickle.dumps(AuthError("it failed", url=url)))
    assert AuthError("again", url=error.url).url == error.url
    assert Event("again", error.url).url == error.url
    assert len(error.url) <= 300
