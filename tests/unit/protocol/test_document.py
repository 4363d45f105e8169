from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_client_auth.errors import BadResponse
from mcp_client_auth.protocol.document import (
    Document,
    described,
    parsed,
    read_document,
    redirected_to,
)
from tests.support.protocol_samples import answer, html


def document(**fields: Any) -> Document:
    return Document("paper", "https://a/x?secret", fields)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b' \n{"a": 1}\n', {"a": 1}),
        (b"[]", []),
        (b"", None),
        (b"<html>", None),
        (b'{"a": 1', None),
        (b'{"a": NaN}', None),
        (b'{"a": "\xff"}', None),
        (b'{"a": "\\ud800"}', None),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
        ('{"a": 1}'.encode("utf-16"), None),
        (b"[" * 100_000, None),
        (b"9" * 10_000, None),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_body_is_json_or_none(body: bytes, expected: object) -> None:
    assert parsed(answer(body)) == expected


@given(st.binary(max_size=200))
def test_no_body_breaks_the_reader(body: bytes) -> None:
    parsed(answer(body))
    assert described(answer(body))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"", "an empty body"),
        (b"<!doctype html>", "an HTML page"),
        (b"\xef\xbb\xbf\n<HTML>", "an HTML page"),
        (b"oops", "a body that is not JSON"),
        (b" null\n", "a JSON null"),
        ([1], "a JSON array"),
        ("text", "a JSON string"),
        (True, "a JSON boolean"),
        (7, "a JSON number"),
    ],
)
def test_an_answer_that_is_no_object_is_named(value: Any, said: str) -> None:
    with pytest.raises(BadResponse, match=said) as caught:
        read_document(answer(value, 200, "https://a/x?secret"), "paper")
    assert caught.value.url == "https://a/x"


def test_a_type_of_theirs_is_quoted() -> None:
    assert described(answer(b"x", content_type="a\x1b[1m" * 90)).count("…") == 1
    assert described(html()) == "an HTML page"


@pytest.mark.parametrize("wrong", [None, "", 7, [], {}, True])
def test_a_needed_string_is_there_or_the_error_says_what_is(wrong: object) -> None:
    with pytest.raises(BadResponse, match="“name” must be a non-empty string"):
        document(name=wrong).need("name")
    with pytest.raises(BadResponse, match="got nothing"):
        document().need("name")


@pytest.mark.parametrize("wrong", [None, 7, ["a"], {"a": 1}, True])
def test_an_optional_string_of_another_type_counts_as_absent(wrong: object) -> None:
    assert document(name=wrong).text("name") == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["a", "b"], ("a", "b")),
        (["a", "a"], ("a",)),
        ([], ()),
        ("a b", ("a", "b")),
        (None, None),
        (["a", 1], None),
        (7, None),
        ({"a": 1}, None),
    ],
)
def test_words_are_an_array_or_one_string(value: object, expected: object) -> None:
    assert document(name=value).texts("name") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3600, 3600.0),
        ("3600", 3600.0),
        (0, 0.0),
        (-1, -1.0),
        (1.5, 1.5),
        (True, None),
        ("soon", None),
        ("NaN", None),
        ("inf", None),
        (10**400, None),
        (None, None),
        ([], None),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_number_may_be_written_as_a_string(value: object, expected: float | None) -> None:
    assert document(name=value).number("name") == expected


@pytest.mark.parametrize("value", ["true", 1, None, [True]])
def test_only_true_is_true(value: object) -> None:
    assert document(name=True).flag("name")
    assert not document(name=value).flag("name")


@pytest.mark.parametrize("kind", ["[", '{"a":'])
@pytest.mark.parametrize(("levels", "read"), [(200, True), (201, False), (900, False)])
def test_a_value_is_at_most_200_levels_deep(kind: str, levels: int, read: bool) -> None:
    """Near the end of the stack who reads it could, and who keeps it could not."""
    end = "]" if kind == "[" else "}"
    body = kind * levels + '"x"' + end * levels
    assert (parsed(answer(body.encode())) is not None) is read


def test_brackets_in_a_text_or_side_by_side_are_no_levels() -> None:
    assert parsed(answer(["[{" * 5000])) == ["[{" * 5000]
    assert parsed(answer([[]] * 5000)) == [[]] * 5000


@pytest.mark.parametrize(
    ("status", "location", "expected"),
    [
        (302, "/login?state=secret", "https://auth.example.com/login"),
        (399, "https://other.example/", "https://other.example/"),
        (300, "/login", "https://auth.example.com/login"),
        (299, "/login", ""),
        (400, "/login", ""),
        (302, "", ""),
    ],
)
def test_a_redirect_is_named_by_where_it_leads(status: int, location: str, expected: str) -> None:
    assert redirected_to(answer(b"", status, location=location)) == expected
