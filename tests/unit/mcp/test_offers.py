"""Lists of tools, and whatever else stands in their place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcp_client_auth.mcp.offers import called_tool, hidden_tool, strictly, with_offered


def without_drop(name: str) -> bool:
    return name != "drop"


def test_a_hidden_tool_is_left_out_and_the_rest_of_the_answer_stays() -> None:
    listed = [{"name": "add"}, {"name": "drop"}, "odd", {"name": 7}]
    answer = {"id": 1, "result": {"tools": listed, "nextCursor": "2"}}
    kept = with_offered(answer, without_drop)
    assert kept == {
        "id": 1,
        "result": {"tools": [listed[0], "odd", {"name": 7}], "nextCursor": "2"},
    }
    assert len(answer["result"]["tools"]) == 4  # type: ignore[index]


@pytest.mark.parametrize("answer", [{}, {"result": 7}, {"result": {"tools": {}}}, {"error": {}}])
def test_what_is_no_list_of_tools_stays_as_it_is(answer: dict[str, Any]) -> None:
    assert with_offered(answer, without_drop) is answer


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({"method": "tools/call", "params": {"name": "add"}}, "add"),
        ({"method": "tools/call", "params": {"name": 7}}, None),
        ({"method": "tools/call", "params": []}, None),
        ({"method": "prompts/get", "params": {"name": "add"}}, None),
        ({}, None),
    ],
)
def test_the_tool_that_a_request_calls(message: dict[str, Any], name: str | None) -> None:
    assert called_tool(message) == name


@pytest.mark.parametrize(
    ("params", "hidden"),
    [({"name": "add"}, None), ({"name": "drop"}, "drop"), ({"name": ["drop"]}, ""), ({}, "")],
)
def test_a_call_of_no_tool_that_can_be_told_is_one_of_a_hidden_tool(
    params: dict[str, Any], hidden: str | None
) -> None:
    assert hidden_tool({"method": "tools/call", "params": params}, without_drop) == hidden
    assert hidden_tool({"method": "prompts/get", "params": params}, without_drop) is None


CALLED_TWO_WAYS = [
    '{"method":"tools/call","params":{"name":"drop"},"params":{"name":"add"}}',
    '{"method":"tools/call","params":{"name":"drop","name":"add"}}',
    '{"method":"tools/call","method":"ping","params":{"name":"drop"}}',
    '{"method":"tools/call","params":{"name":"add","Name":"drop"}}',
    '{"method":"ping","Method":"tools/call","params":{"name":"drop"}}',
    '{"method":"tools/call","params":{"name":"add"},"param\u017f":{"name":"drop"}}',
    '[{"method":"ping"},{"method":"tools/call","params":{"name":"add","NAME":"drop"}}]',
]


@pytest.mark.parametrize("text", CALLED_TWO_WAYS)
def test_what_servers_read_differently_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a key"):
        strictly(text)


@pytest.mark.parametrize(
    "text", ["7", "[1,{}]", '{"method":"x","params":{"Name":"a","a":{"Id":1,"ID":2}}}']
)
def test_other_keys_are_as_they_are(text: str) -> None:
    assert strictly(text) == json.loads(text)
