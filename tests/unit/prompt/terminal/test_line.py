from __future__ import annotations

import pytest

from mcp_client_auth.prompt.terminal.line import MOST, Line

ADDRESS = "http://127.0.0.1:1/callback?code=a&state=b"


def typed(*pieces: str) -> Line:
    line = Line()
    for piece in pieces:
        line.feed(piece)
    return line


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("abc\r", "abc\n"),
        ("abc\n", "abc\n"),
        ("ax\x7fbc\r", "abc\n"),
        ("ax\bbc\r", "abc\n"),
        ("\x7f\x7fabc\r", "abc\n"),
        ("aé\x7fbc\r", "abc\n"),
        ("wrong\x15abc\r", "abc\n"),
        ("abc\x04", "abc\n"),
        ("a\x1b[Db\x1bOCc\x1b[1;5H\r", "abc\n"),
        ("a\x1bbc\r", "abc\n"),
        ("a\x01\x02\x0eb\tc\r", "abc\n"),
        ("ä€😀\r", "ä€😀\n"),
        ("a\u200bb\r", "a\u200bb\n"),
        ("one\ntwo\r", "one\ntwo\n"),
    ],
)
def test_keys_make_a_line(keys: str, text: str) -> None:
    line = typed(keys)
    assert line.complete
    assert line.take() == text
    line = typed(*keys)  # and key by key
    assert line.take() == text


@pytest.mark.parametrize("at", range(1, 20))
def test_a_bracketed_paste_is_complete_without_enter_wherever_it_is_cut(at: int) -> None:
    keys = "\x1b[200~" + ADDRESS + "\x1b[201~"
    for cut in (at, len(keys) - at):
        line = typed(keys[:cut])
        assert not line.complete
        line.feed(keys[cut:])
        assert line.complete
        assert line.take() == ADDRESS


def test_what_ends_a_line_does_not_end_a_bracketed_paste() -> None:
    line = typed("\x1b[200~one\rtwo\x04\x15\x7f")
    assert not line.complete
    assert not line.ended
    line.feed("\x1b[201~")
    assert line.take() == "one\rtwo\x04\x15\x7f"


@pytest.mark.parametrize("more", ["x", "\x7f", "\x15"])
def test_a_line_that_goes_on_is_not_complete(more: str) -> None:
    assert not typed("abc\r", more).complete


def test_a_line_is_taken_once() -> None:
    line = typed("abc\r")
    line.take()
    assert not line.complete
    assert line.take() == ""


def test_ctrl_d_ends_it_only_on_an_empty_line() -> None:
    assert typed("\x04").ended
    assert not typed("a\x04").ended
    assert typed("a\x7f", "\x04").ended


def test_what_is_counted_is_what_stands_there() -> None:
    assert [len(typed(keys)) for keys in ("", "abc", "abc\r", "abc\x7f", "\x1b[A")] == [
        0, 3, 3, 2, 0,
    ]  # fmt: skip


def test_it_has_no_limit_of_a_line_but_one_of_its_own() -> None:
    assert typed("x" * 20_000, "\r").take() == "x" * 20_000 + "\n"
    assert len(typed(*["x" * 4096] * 100).take()) == MOST + 1
