"""Whether pages in browsers can read the discovery documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from mcp_client_auth.doctor.cors import ORIGIN
from mcp_client_auth.testing import DemoServer, Settings
from tests.support.findings import Examine, only
from tests.support.hostile import Exchange, World

HEADERS = "Authorization, Content-Type, MCP-Protocol-Version"
ALL = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, OPTIONS",
    "Access-Control-Allow-Headers": HEADERS,
}
PLACES = {"cors.preflight", "cors.answer"}


def allow(world: World, changes: Mapping[str, str | None], status: int = 204) -> None:
    """Both documents, with these headers on the preflight and on the answer."""
    headers = [(name, value) for name, value in {**ALL, **changes}.items() if value is not None]
    for spot, metadata in (
        ("resource", world.resource_metadata()),
        ("server", world.server_metadata()),
    ):
        world.at(spot, _answering(metadata, headers, status))  # type: ignore[arg-type]


def _answering(metadata: object, headers: list[tuple[str, str]], status: int):  # type: ignore[no-untyped-def]
    import json

    body = json.dumps(metadata).encode()

    def answer(exchange: Exchange) -> None:
        if exchange.command == "OPTIONS":
            exchange.reply(status, headers=headers)
        else:
            exchange.reply(200, body, headers=headers)

    return answer


@pytest.fixture(params=[True, False], ids=["open", "closed"])
def server(request: pytest.FixtureRequest) -> Iterator[DemoServer]:
    with DemoServer(Settings(cors=request.param)) as server:
        yield server


def test_the_demo_server_is_open_or_closed_as_it_is_told(
    server: DemoServer, examined: Examine
) -> None:
    found = only(examined(server.url), "cors.answer")  # one fault, wherever it shows
    assert found.level == ("ok" if server.settings.cors else "warning")
    assert "Access-Control-Allow-Origin: *" in found.paste or server.settings.cors


@pytest.mark.parametrize(
    ("changes", "level", "says"),
    [
        ({}, "ok", "may read the documents"),
        ({"Access-Control-Allow-Origin": ORIGIN}, "ok", "may read the documents"),
        ({"Access-Control-Allow-Origin": "https://ours.example"}, "warning", "for one page only"),
        ({"Access-Control-Allow-Origin": f"{ORIGIN}, *"}, "warning", "twice"),
        ({"Access-Control-Allow-Origin": None}, "warning", "no Access-Control-Allow-Origin"),
        # a page sends MCP-Protocol-Version and, where that is refused, goes without it
        ({"Access-Control-Allow-Headers": "mcp-protocol-version"}, "ok", "may read"),
        ({"Access-Control-Allow-Headers": "*"}, "ok", "may read"),
        ({"Access-Control-Allow-Headers": "authorization"}, "note", "not send MCP-Protocol"),
        ({"Access-Control-Allow-Headers": None}, "note", "not send MCP-Protocol-Version"),
        ({"Access-Control-Allow-Methods": None}, "ok", "may read"),  # GET needs no leave
    ],
)
def test_what_counts_is_what_a_browser_sends(
    world: World, examined: Examine, changes: dict[str, str | None], level: str, says: str
) -> None:
    allow(world, changes)
    (found,) = [f for f in examined(world.url).findings if f.check in PLACES]
    assert (found.level, says in found.came) == (level, True), found.came


def test_a_preflight_that_is_answered_401_is_no_leave(world: World, examined: Examine) -> None:
    allow(world, {}, status=401)
    (found,) = [f for f in examined(world.url).findings if f.check in PLACES]
    assert (found.level, found.check) == ("note", "cors.preflight")


def test_a_challenge_that_pages_can_read_is_well(world: World, examined: Examine) -> None:
    exposed = [
        ("WWW-Authenticate", "Bearer"),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Expose-Headers", "Mcp-Session-Id, WWW-Authenticate"),
    ]
    world.at("probe", lambda e: e.reply(401, headers=exposed))
    assert only(examined(world.url), "cors.challenge").level == "ok"
