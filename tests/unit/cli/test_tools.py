"""The arguments of a tool from words, whatever its schema looks like."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mcp_client_auth.cli.tools import kinds, read_arguments
from mcp_client_auth.errors import UsageError
from mcp_client_auth.mcp import Tool


def tool(**schema: Any) -> Tool:
    made = Tool.read({"name": "t", "inputSchema": schema})
    assert made is not None
    return made


def given(word: str, schema: Any, **more: Any) -> Any:
    return read_arguments(tool(properties={"a": schema}, **more), (word,), {})["a"]


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "string"}, "7", "7"),
        ({"type": "string"}, "", ""),
        ({}, "7", "7"),
        (True, "7", "7"),
        (None, "7", "7"),
        ({"type": 7}, "7", "7"),
        ({"type": "integer"}, "-7", -7),
        ({"type": "number"}, "7.5", 7.5),
        ({"type": "number"}, "7", 7),
        ({"type": "boolean"}, "true", True),
        ({"type": ["integer", "null"]}, "null", None),
        ({"type": ["integer", "string"]}, "7", "7"),
        ({"type": "object"}, '{"b": 1}', {"b": 1}),
        ({"type": "array"}, "x", ["x"]),
        ({"type": "array", "items": {"type": "integer"}}, "7", [7]),
        ({"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}, "7", [7]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "7", 7),
        ({"oneOf": [{"type": "boolean"}, {"$ref": "#/$defs/n"}]}, "7", 7),
        ({"allOf": [{"$ref": "#/$defs/n"}]}, "7", 7),
        ({"$ref": "#/$defs/loop"}, "7", 7),
        ({"$ref": "https://other.example/schema"}, "7", "7"),
        ({"$ref": "#/nowhere/at/all"}, "7", "7"),
        ({"$ref": 7, "anyOf": 7}, "7", "7"),
        ({"anyOf": [{"type": "string"}, {"type": "array"}]}, "x", "x"),
        ({"type": ["string", "array"], "items": {"type": "string"}}, "[1]", "[1]"),
        ({"enum": [1, 2.5, "a"]}, "1", 1),
        ({"enum": [1, 2.5, "a"]}, "2.5", 2.5),
        ({"enum": [1, 2.5, "a"]}, "a", "a"),
        ({"enum": [1, "1"]}, "1", "1"),
        ({"enum": 7, "const": True}, "true", True),
        ({"type": "array", "items": {"enum": [1, 2]}}, "2", [2]),
        ({"type": "unheard-of"}, "7", "7"),
    ],
)
def test_a_value_is_what_the_schema_says(schema: Any, text: str, value: Any) -> None:
    loop = {"anyOf": [{"$ref": "#/$defs/loop"}, {"type": "integer"}]}
    known = {"n": {"type": "integer"}, "loop": loop}
    made = given(f"a={text}", schema, **{"$defs": known})
    assert (made, type(made)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "7.5"),
        ("integer", "true"),
        ("number", "false"),
        ("number", "NaN"),
        ("boolean", "1"),
        ("boolean", "yes"),
        ("object", "[1]"),
        ("object", "x"),
        ("null", "x"),
    ],
)
def test_a_value_of_another_kind_is_refused(kind: str, text: str) -> None:
    with pytest.raises(UsageError, match="of the type"):
        given(f"a={text}", {"type": kind})


def test_an_array_is_said_to_be_one() -> None:
    schema = {"type": "array", "items": {"type": "integer"}}
    with pytest.raises(UsageError, match=r"array.*integer"):
        given("a=x", schema)


def test_texts_for_a_text_or_an_array_of_them_are_an_array() -> None:
    either = tool(properties={"a": {"anyOf": [{"type": "string"}, {"type": "array"}]}})
    assert read_arguments(either, ("a=x", "a=y"), {}) == {"a": ["x", "y"]}


def test_a_mistyped_argument_is_named_beside_one_that_is_missing() -> None:
    needing = tool(properties={"text": {}}, required=["text"])
    with pytest.raises(UsageError, match="needs “text”") as caught:
        read_arguments(needing, ("tekst=1",), {})
    assert "“tekst”" in caught.value.hint
    assert "mean “text”" in caught.value.hint


def test_kinds_are_those_of_json_schema_alone() -> None:
    hostile = {"type": ["integer", "\x1b]0;owned\x07"]}
    assert kinds(tool(properties={"a": hostile}), hostile) == {"integer"}


def test_what_was_given_is_not_said_again() -> None:
    with pytest.raises(UsageError) as caught:
        given("a=secret", {"type": "integer"})
    assert "secret" not in str(caught.value)


def test_a_schema_that_branches_without_end_costs_little() -> None:
    branch: dict[str, Any] = {"anyOf": [{"$ref": "#/$defs/b"} for _ in range(500)]}
    wide = tool(properties={"a": {"$ref": "#/$defs/b"}}, **{"$defs": {"b": branch}})
    deep: Any = {"type": "integer"}
    for _ in range(5_000):
        deep = {"anyOf": [deep, deep]}
    began = time.process_time()
    assert kinds(wide, wide.properties["a"]) == set()
    assert kinds(wide, deep) <= {"integer"}
    assert time.process_time() - began < 2


def test_more_arguments_are_a_matter_of_the_schema() -> None:
    open_one = tool(properties={"a": {}})
    assert read_arguments(open_one, ("b=1",), {}) == {"b": "1"}
    with pytest.raises(UsageError, match="no argument"):
        read_arguments(tool(additionalProperties=False), ("b=1",), {})
