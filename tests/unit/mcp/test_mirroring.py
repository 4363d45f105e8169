"""Which arguments are in headers: from lists that pass, and from all pages where one has to ask."""

from __future__ import annotations

from typing import Any

from mcp_client_auth.mcp import mirroring as module
from mcp_client_auth.mcp.exchange import Reply
from mcp_client_auth.mcp.mirroring import Mirroring
from mcp_client_auth.protocol.flow import HttpResponse

SCHEMA = {"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
PLAIN = {"properties": {"region": {"type": "string"}}}


def tool(name: str, schema: dict[str, Any] = SCHEMA) -> dict[str, Any]:
    return {"name": name, "inputSchema": schema}


def answer(message: dict[str, Any], **result: Any) -> Reply:
    told = {"jsonrpc": "2.0", "id": message["id"], "result": result}
    return Reply(HttpResponse(200, "https://mcp.example.com/mcp", ()), told)


def test_a_schema_is_learned_and_forgotten_with_the_lists() -> None:
    mirroring = Mirroring()
    assert mirroring.headers("t", {"region": "eu"}) == {}
    mirroring.learn([tool("t"), "odd", {"name": 7}])
    assert mirroring.headers("t", {"region": "eu"}) == {"mcp-param-Region": "eu"}
    assert mirroring.headers("t", "no object") == {}
    assert mirroring.headers(None, {"region": "eu"}) == {}
    mirroring.learn([tool("t", PLAIN)])
    assert mirroring.headers("t", {"region": "eu"}) == {}
    mirroring.learn({"not": "a list"})


def test_all_pages_are_asked_for_and_a_list_without_end_has_one(monkeypatch: Any) -> None:
    asked: list[dict[str, Any]] = []

    def pages(message: dict[str, Any]) -> Reply:
        asked.append(message["params"])
        number = len(asked)
        return answer(message, tools=[tool(f"t{number}")], nextCursor=f"{number + 1}")

    monkeypatch.setattr(module, "_MOST_PAGES", 3)
    mirroring = Mirroring()
    mirroring.ask({"m": 1}, pages)
    assert [each.get("cursor") for each in asked] == [None, "2", "3"]
    assert all(each["_meta"] == {"m": 1} for each in asked)
    assert mirroring.headers("t3", {"region": "eu"}) == {"mcp-param-Region": "eu"}
    mirroring.ask({}, lambda message: answer(message, tools=[tool("last")]))
    assert mirroring.headers("last", {"region": "eu"})


def test_of_very_many_tools_the_first_are_kept(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "_MOST_TOOLS", 2)
    mirroring = Mirroring()
    mirroring.learn([tool("a"), tool("b"), tool("c")])
    assert [bool(mirroring.headers(name, {"region": "eu"})) for name in "abc"] == [1, 1, 0]
