"""Tools are listed page by page and called once; what a schema wants as a header goes as one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from mcp_client_auth.errors import BadResponse, Refused, UsageError
from mcp_client_auth.mcp import Connection, ServerError, Tool, ToolResult, Tools
from mcp_client_auth.mcp.tools import header_fault, mirrored
from tests.support.mcp_stage import Behaviour, Message, Request, Stage, sessions, tools

ADD = {"name": "add", "description": "Adds.", "inputSchema": {"type": "object"}}
REGION = {"type": "string", "x-mcp-header": "Region"}


@contextmanager
def on_stage(behaviour: Behaviour) -> Iterator[tuple[Stage, Tools]]:
    with (
        Stage(behaviour) as stage,
        httpx.Client(trust_env=False) as client,
        Connection(client, stage.url) as connection,
    ):
        yield stage, Tools(connection)


def pages(next_of: Callable[[Any], Any]) -> Behaviour:
    """A page with one tool of its cursor's name, and what comes next."""

    def behaviour(request: Request) -> None:
        cursor = request.message["params"].get("cursor")
        request.result(tools=[{"name": f"tool-{cursor}"}], nextCursor=next_of(cursor))

    return behaviour


def test_all_pages_are_listed() -> None:
    behaviour = pages({None: "a", "a": "b", "b": None}.get)
    with on_stage(behaviour) as (stage, known):
        assert [tool.name for tool in known.list()] == ["tool-None", "tool-a", "tool-b"]
    assert stage.methods == ["tools/list"] * 3


@pytest.mark.parametrize(
    "next_of",
    [lambda cursor: "same", lambda cursor: f"{cursor}x"],
    ids=["a circle", "always another"],
)
def test_a_list_without_end_ends(next_of: Callable[[Any], Any]) -> None:
    with on_stage(pages(next_of)) as (stage, known):
        with pytest.raises(BadResponse, match="no end"):
            known.list()
        assert len(stage.requests) <= 200


@pytest.mark.parametrize("cursor", [7, ["a"], {}, True])
def test_a_cursor_is_a_text(cursor: Any) -> None:
    with on_stage(pages(lambda _: cursor)) as (_, known), pytest.raises(BadResponse):
        known.list()


@pytest.mark.parametrize("listed", [None, {}, "add"])
def test_a_list_is_an_array(listed: Any) -> None:
    behaviour = sessions(lambda request: request.result(tools=listed))
    with on_stage(behaviour) as (_, known), pytest.raises(BadResponse):
        known.list()


def test_what_is_no_tool_is_left_out_and_odd_fields_do_no_harm() -> None:
    odd = {"name": "odd", "title": 7, "description": None, "inputSchema": [], "more": {"a": 1}}
    bad: list[Any] = [7, {}, {"name": ""}, {"name": 7}, None]
    with on_stage(sessions(tools([*bad, odd, {"name": "odd", "title": "second"}]))) as (_, known):
        [tool] = known.list()
    assert (tool.name, tool.title, tool.description) == ("odd", "", "")
    assert (tool.properties, tool.required, tool.raw) == ({}, (), odd)


def test_a_call_gives_what_the_tool_gives() -> None:
    result = {
        "content": [
            {"type": "text", "text": "1"},
            7,
            {"type": "image"},
            {"type": "text", "text": "2"},
        ],
        "structuredContent": [1],
        "isError": True,
    }
    with on_stage(tools([ADD], add=result)) as (stage, known):
        given = known.call("add", {"a": [1, None, "ü"]})
        known.call("add", {})
    assert (given.text, str(given), given.structured, given.is_error) == ("1\n2", "1\n2", [1], True)
    assert len(given.content) == 3
    assert given.raw["isError"] is True
    assert stage.methods == ["tools/list", "tools/call", "tools/call"]
    assert stage.requests[1].message["params"]["arguments"] == {"a": [1, None, "ü"]}


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        ({"resultType": "input_required", "requestState": "x"}, Refused),
        ({"resultType": "of an extension"}, BadResponse),
        ({"content": "text"}, BadResponse),
    ],
)
def test_a_result_that_is_none_is_an_error(result: Message, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        ToolResult.read(result, "https://mcp.example")


@pytest.mark.parametrize("name", [5, None, b"add", ["add"]])
def test_a_name_is_a_text(name: Any) -> None:
    with on_stage(tools([ADD])) as (stage, known):
        with pytest.raises(UsageError, match="name of a tool"):
            known.call(name, {})
        assert stage.requests == []


def test_an_unknown_tool_names_its_like_after_a_second_look() -> None:
    with on_stage(tools([ADD, {"name": "other"}])) as (stage, known):
        known.list()
        with pytest.raises(UsageError) as caught:
            known.call("addd", {})
        assert caught.value.code == "unknown_tool"
        assert "“add”" in caught.value.hint
        assert "other" not in caught.value.hint
        stage.behaviour = tools([{"name": "addd"}], addd={"content": []})
        assert known.call("addd", {}).content == ()
    assert stage.methods == ["tools/list"] * 3 + ["tools/call"]


# 2026-07-28, transports, “Custom Headers from Tool Parameters”

SCHEMA = {
    "type": "object",
    "properties": {
        "region": REGION,
        "query": {"type": "string"},
        "where": {
            "type": "object",
            "properties": {
                "n": {"type": "integer", "x-mcp-header": "N"},
                "b": {"type": "boolean", "x-mcp-header": "B"},
            },
        },
    },
}


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({"region": "us", "query": "q"}, {"mcp-param-Region": "us"}),
        ({"where": {"n": -7, "b": False}}, {"mcp-param-N": "-7", "mcp-param-B": "false"}),
        ({"region": "ü\n"}, {"mcp-param-Region": "=?base64?w7wK?="}),
        ({"region": None, "where": None}, {}),
        ({"region": ["x"], "where": "text"}, {}),
        ({}, {}),
    ],
)
def test_arguments_go_as_headers_where_the_schema_says_so(
    arguments: dict[str, Any], headers: dict[str, str]
) -> None:
    assert mirrored(SCHEMA, arguments) == headers


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        (SCHEMA, ""),
        ({}, ""),
        ({"properties": {"x-mcp-header": {"type": "string"}}}, ""),
        ({"properties": {"a": {**REGION, "x-mcp-header": ""}}}, "not the name"),
        ({"properties": {"a": {**REGION, "x-mcp-header": "a b"}}}, "not the name"),
        ({"properties": {"a": {**REGION, "x-mcp-header": "a\r\nX: 1"}}}, "not the name"),
        ({"properties": {"a": {**REGION, "x-mcp-header": 7}}}, "not the name"),
        ({"properties": {"a": REGION, "b": {**REGION, "x-mcp-header": "REGION"}}}, "twice"),
        ({"properties": {"a": {**REGION, "type": "number"}}}, "not a text"),
        ({"properties": {"a": {**REGION, "type": ["string"]}}}, "not a text"),
        ({"x-mcp-header": "A"}, "without a path"),
        ({"properties": {"a": {"type": "array", "items": REGION}}}, "without a path"),
        ({"properties": {"a": {"anyOf": [REGION]}}}, "without a path"),
        ({"$defs": {"a": REGION}}, "without a path"),
    ],
)
def test_an_annotation_against_the_rules_is_seen(schema: dict[str, Any], fault: str) -> None:
    assert fault in header_fault(schema)
    assert bool(fault) == bool(header_fault(schema))


def test_a_tool_with_such_a_schema_is_left_out_of_a_stateless_list_alone() -> None:
    bad = {"name": "bad", "inputSchema": {"x-mcp-header": "A"}}
    with on_stage(tools([ADD, bad])) as (_, known):
        assert [tool.name for tool in known.list()] == ["add"]
    with on_stage(sessions(tools([ADD, bad]))) as (_, known):
        assert [tool.name for tool in known.list()] == ["add", "bad"]


def test_where_the_headers_have_changed_the_list_is_read_and_the_call_sent_again() -> None:
    def changed(request: Request) -> None:
        if request.headers.get("Mcp-Param-Region") == "eu":
            request.result(content=[], resultType="complete")
            return
        error = {"code": -32020, "message": "Header mismatch"}
        request.reply(
            400,
            json.dumps({"jsonrpc": "2.0", "id": request.message["id"], "error": error}).encode(),
        )

    with on_stage(tools([ADD], add=changed)) as (stage, known):
        known.list()
        new = {**ADD, "inputSchema": {"type": "object", "properties": {"region": REGION}}}
        stage.behaviour = tools([new], add=changed)
        assert known.call("add", {"region": "eu"}).content == ()
        with pytest.raises(ServerError) as caught:
            known.call("add", {"region": "us"})
    assert caught.value.rpc_code == -32020


def test_a_deep_schema_is_no_trouble() -> None:
    schema: dict[str, Any] = {}
    for _ in range(5_000):  # five times what Python's own recursion would bear
        schema = {"properties": {"a": schema}}
    assert header_fault(schema) == ""
    assert mirrored(schema, {"a": {}}) == {}


def test_a_tool_shows_what_a_person_reads() -> None:
    shown = repr(Tool.read({**ADD, "title": "Add"}))
    assert shown == "Tool(name='add', title='Add', description='Adds.')"
