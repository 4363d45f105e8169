"""A server that a person has logged in to turns on them when its tools are listed and called."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from mcp_client_auth.mcp.exchange import header_value
from tests.support.inside import Inside, credential
from tests.support.mcp_stage import Request, Stage, event, tools

NAME = "add"
PLANTED = "planted-access-token"
ADD = {"name": NAME, "inputSchema": {"type": "object"}}


@pytest.fixture
def stage(inside: Inside) -> Iterator[Stage]:
    with Stage(tools([ADD], add={"content": []})) as stage:
        inside.keep(credential(stage.url, access_token=PLANTED))
        yield stage


def failure(request: Request, text: str) -> bytes:
    error = {"code": -32000, "message": text, "data": {"seen": text}}
    return json.dumps({"jsonrpc": "2.0", "id": request.message["id"], "error": error}).encode()


def test_a_token_that_is_repeated_in_an_error_is_not_shown(inside: Inside, stage: Stage) -> None:
    seen: list[str] = []

    def repeat(request: Request) -> None:
        seen.append(request.headers["Authorization"])
        request.reply(400, failure(request, f"bad {seen[0]}"))

    stage.behaviour = tools([ADD], add=repeat)
    for words in (["-v"], ["--json"]):
        ran = inside("call", stage.url, NAME, *words)
        assert ran.code == 4
        assert PLANTED not in ran.err + ran.out
    assert seen[0] == f"Bearer {PLANTED}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("verb", ["tools", "call"])
def test_nothing_follows_a_redirect(inside: Inside, stage: Stage, status: int, verb: str) -> None:
    with Stage(lambda request: request.reply(200)) as elsewhere:
        stage.behaviour = lambda request: request.reply(status, b"", ("Location", elsewhere.url))
        words = [NAME] if verb == "call" else []
        ran = inside(verb, stage.url, *words)
    assert ran.code == 8
    assert elsewhere.requests == []


def test_the_place_where_a_stream_goes_on_is_not_the_servers_to_choose(
    inside: Inside, stage: Stage
) -> None:
    """An `endpoint` event belongs to the old transport, and is not obeyed."""
    with Stage(lambda request: request.reply(200)) as elsewhere:

        def lead_away(request: Request) -> None:
            place = f"event: endpoint\ndata: {elsewhere.url}\n\n".encode()
            request.stream(place, event(request.answer(tools=[ADD], resultType="complete")))

        stage.behaviour = lead_away
        assert inside("tools", stage.url).code == 0
    assert elsewhere.requests == []


@pytest.mark.parametrize("name", ["a\r\nX-Evil: 1", "ü", "=?base64?YQ==?=", " ", "a\x00b"])
def test_a_name_cannot_leave_its_header(inside: Inside, stage: Stage, name: str) -> None:
    stage.behaviour = tools([{"name": name}], **{name: {"content": []}})
    ran = inside("call", stage.url, name)
    assert ran.code == 0, ran.err
    [sent] = [request for request in stage.requests if request.method == "tools/call"]
    assert sent.headers["Mcp-Name"] == header_value(name)
    assert "X-Evil" not in sent.headers
    assert sent.message["params"]["name"] == name


@pytest.mark.parametrize("header", ["Authorization", "Content-Length", "Host", "a\r\nX-Evil"])
def test_a_schema_names_no_header_of_ours(inside: Inside, stage: Stage, header: str) -> None:
    schema = {"properties": {"p": {"type": "string", "x-mcp-header": header}}}
    stage.behaviour = tools([{"name": NAME, "inputSchema": schema}], add={"content": []})
    ran = inside("call", stage.url, NAME, "p=evil")
    sent = [request for request in stage.requests if request.method == "tools/call"]
    if "\r" in header:  # a tool that breaks the rules is left out
        assert (ran.code, sent) == (2, [])
        return
    assert sent[0].headers[f"Mcp-Param-{header}"] == "evil"
    assert sent[0].headers["Authorization"] == f"Bearer {PLANTED}"
    assert sent[0].headers["Host"] in stage.url


def test_a_session_id_cannot_leave_its_header(inside: Inside, stage: Stage) -> None:
    def begin(request: Request) -> None:
        if request.method != "initialize":
            request.reply(400)
            return
        request.head(200, "application/json", ("Mcp-Session-Id", "a b"))
        request.wfile.write(json.dumps(request.answer(protocolVersion="2025-11-25")).encode())

    stage.behaviour = begin
    assert inside("tools", stage.url).code == 8
    assert stage.methods == ["tools/list", "initialize"]


def test_a_server_that_asks_without_end_is_left(inside: Inside, stage: Stage) -> None:
    """Each answer to a ping is a request of ours; these end when the call's time is over."""

    def ask(request: Request) -> None:
        if request.method == "initialize":
            request.result(protocolVersion="2025-11-25")
        elif request.method == "tools/list" and "Mcp-Method" not in request.headers:
            request.head(200, "text/event-stream")
            while not stage.over.wait(0.01):
                request.wfile.write(event({"jsonrpc": "2.0", "id": 1, "method": "ping"}))
                request.wfile.flush()
        else:
            request.reply(400 if "id" in request.message and "method" in request.message else 202)

    stage.behaviour = ask
    ran = inside("tools", stage.url, "--timeout", "1")
    assert ran.code == 6
    assert "no answer within 1 s" in ran.err
