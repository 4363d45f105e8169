"""An HTTP+SSE server names where its client's messages go, and these carry the login: it cannot
have them sent to another origin, by what its stream says or by a redirect afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import httpx
import pytest

from mcp_client_auth.errors import BadResponse
from mcp_client_auth.mcp import Connection
from tests.support.mcp_stage import Message, Request, Stage, introduced

TOKEN = {"Authorization": "Bearer x"}


def answering(message: Message) -> Iterable[Message | None]:
    return [{"jsonrpc": "2.0", "id": message["id"], "result": {}}]


@pytest.fixture
def elsewhere() -> Iterator[Stage]:
    """A server that wants the token. It looks just like the honest one."""
    with Stage(introduced(answering)) as stage:
        yield stage


@pytest.mark.parametrize(
    "endpoint",
    ["http://{}/messages", "//{}/messages", "http://127.0.0.1@{}/messages", "http:\\\\{}/messages"],
)
def test_what_the_stream_says(elsewhere: Stage, endpoint: str) -> None:
    server = introduced(answering)
    place = elsewhere.url.removeprefix("http://").removesuffix("/mcp")
    server.endpoint = endpoint.format(place) + "?session_id={}"
    with (
        Stage(server) as stage,
        httpx.Client(headers=TOKEN, trust_env=False) as client,
        Connection(client, stage.url) as connection,
        pytest.raises(BadResponse),
    ):
        connection.request("tools/list")
    assert elsewhere.requests == []
    assert "POST" not in {each.command for each in stage.requests if each.path != "/mcp"}


def test_a_redirect_of_the_endpoint(elsewhere: Stage) -> None:
    server = introduced(answering)

    def behaviour(request: Request) -> None:
        if request.path.startswith("/messages"):
            place = elsewhere.url.replace("/mcp", request.path)
            request.reply(307, b"", ("Location", place))
        else:
            server(request)

    with (
        Stage(behaviour) as stage,
        httpx.Client(headers=TOKEN, trust_env=False) as client,
        Connection(client, stage.url) as connection,
        pytest.raises(BadResponse),
    ):
        connection.request("tools/list")
    assert elsewhere.requests == []
