from __future__ import annotations

from typing import Any

import pytest

from mcp_client_auth.protocol.oauth_error import OAuthError, error_code, is_passing, read_error
from mcp_client_auth.secret import Secret


@pytest.mark.parametrize(
    ("text", "code"),
    [("invalid_grant", "invalid_grant"), ("a\x1b[1m\nb", "a [1m b"), ("\n", "unknown_error")],
)
def test_an_error_code_is_printable_short_and_never_empty(text: str, code: str) -> None:
    assert error_code(text) == code
    assert len(error_code("x" * 1000)) == 60


@pytest.mark.parametrize("error", [..., None, "", 7, {"code": "invalid_grant"}, ["invalid_grant"]])
def test_what_is_no_text_is_no_error(error: Any) -> None:
    fields = {} if error is ... else {"error": error, "error_description": error}
    assert read_error(fields) == OAuthError()
    assert OAuthError().ending == OAuthError().description == ""


def test_neither_the_code_nor_the_words_repeat_what_was_sent() -> None:
    sent = "planted-secret-of-a-request"
    error = read_error({"error": sent, "error_description": f"no {sent}!"}, [Secret(sent), None])
    assert "planted" not in f"{error.code} {error.text} {error.ending} {error.description}"
    assert error.text == "no ****!"
    assert error.ending == ": “no ****!”"


@pytest.mark.parametrize(
    ("status", "passing"), [(200, False), (400, False), (429, True), (503, True)]
)
def test_trouble_of_the_server_passes(status: int, passing: bool) -> None:
    assert is_passing(status) is passing
