from __future__ import annotations

import json
from typing import Any

import pytest

from mcp_client_auth.errors import BadResponse, UsageError
from mcp_client_auth.mcp.messages import (
    answers,
    as_it_is,
    encoded,
    is_request,
    read_messages,
    reply_to,
    request,
)


def test_a_message_goes_out_as_compact_utf_8() -> None:
    assert encoded(request(1, "x", {"a": "ü\n"})) == (
        '{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":"ü\\n"}}'.encode()
    )


@pytest.mark.parametrize(
    "text", ["NaN", '{"jsonrpc": "2.0", "id": Infinity}', "[" * 5000, "\ud800"]
)
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(BadResponse):
        read_messages(text)


@pytest.mark.parametrize(
    "value", ["\ud800", float("inf"), float("nan"), object(), {"deep": [float("-inf")]}]
)
def test_an_argument_that_json_cannot_say_is_a_usage_error(value: Any) -> None:
    with pytest.raises(UsageError, match="argument"):
        encoded(request(1, "tools/call", {"arguments": {"a": value}}))


def test_a_reply_repeats_no_id_that_json_cannot_say() -> None:
    [asked] = read_messages('{"jsonrpc": "2.0", "id": 1e999, "method": "ping"}')
    assert encoded(reply_to(asked)) == b'{"jsonrpc":"2.0","id":null,"result":{}}'


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"\ud83d", "\ufffd"),
        (r"\uDE00x", "\ufffdx"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\ud83d\u00e4", "\ufffdä"),
        (r"\\ud83d", r"\ud83d"),
        (r"\\\ud83d", "\\\ufffd"),
    ],
)
def test_a_text_that_was_cut_within_a_pair_is_read(written: str, read: str) -> None:
    [message] = read_messages(f'{{"jsonrpc": "2.0", "method": "{written}"}}')
    assert message["method"] == read


def test_a_message_of_someone_else_is_written_whatever_it_says() -> None:
    assert as_it_is({"a": "ä"}) == '{"a":"ä"}'.encode()
    assert as_it_is({"a": "ä\ud800"}) == b'{"a":"\\u00e4\\ud800"}'


def test_a_number_too_large_for_us_stays_one_that_others_can_read() -> None:
    given = '{"a":[1e999,-1e999],"Infinity":"\\\\\\"NaN","-Infinity":1}'
    assert as_it_is(json.loads(given)).decode() == given
    assert as_it_is([json.loads("NaN")]) == b"[null]"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"method": "x", "id": 0}, True),
        ({"method": "x", "id": None}, True),
        ({"method": "x"}, False),
        ({"method": 7, "id": 1}, False),
        ({"result": {}, "id": 1}, False),
    ],
)
def test_a_request_has_a_method_and_an_id(message: dict[str, Any], expected: bool) -> None:
    assert is_request(message) == expected


@pytest.mark.parametrize("given", ['"7"', "7", "7.0"])
def test_an_answer_has_the_id_of_its_request_however_it_is_written(given: str) -> None:
    assert answers(json.loads(f'{{"id": {given}, "result": {{}}}}'), 7)


@pytest.mark.parametrize("given", ["8", "null", "true"])
def test_an_answer_to_another_request_is_none(given: str) -> None:
    assert not answers(json.loads(f'{{"id": {given}, "result": {{}}}}'), 7)


def test_only_a_ping_has_a_result() -> None:
    assert reply_to({"id": "a", "method": "ping"}) == {"jsonrpc": "2.0", "id": "a", "result": {}}
    reply = reply_to({"id": 0, "method": "sampling/createMessage"})
    assert (reply["id"], reply["error"]["code"]) == (0, -32601)
    assert json.dumps(reply)
