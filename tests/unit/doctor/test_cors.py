"""Whether pages in browsers can read the discovery documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from mcp_client_auth.doctor.cors import ORIGIN
from mcp_client_auth.testing import DemoServer, Settings
from tests.support.findings import Examine, only
from tests.support.hostile import Exchange, World

METHODS = "GET, OPTIONS"
HEADERS = "Authorization, Content-Type, MCP-Protocol-Version"
ALL = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": METHODS,
    "Access-Control-Allow-Headers": HEADERS,
}


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
    level = "ok" if server.settings.cors else "warning"
    found = [
        f for f in examined(server.url).findings if f.check in ("cors.preflight", "cors.answer")
    ]
    assert [f.level for f in found] == [level] * 4
    assert all("Access-Control" in f.remedy for f in found) or server.settings.cors


@pytest.mark.parametrize(
    ("changes", "level", "says"),
    [
        ({}, "ok", "may be read"),
        ({"Access-Control-Allow-Origin": ORIGIN}, "ok", "may be read"),
        ({"Access-Control-Allow-Origin": "https://ours.example"}, "warning", "Allow-Origin"),
        ({"Access-Control-Allow-Origin": f"{ORIGIN}, *"}, "warning", "Allow-Origin"),
        ({"Access-Control-Allow-Headers": "authorization"}, "warning", "mcp-protocol-version"),
        ({"Access-Control-Allow-Headers": "*"}, "warning", "lacks authorization in"),
        ({"Access-Control-Allow-Headers": None}, "warning", "content-type"),
        ({"Access-Control-Allow-Methods": "GET"}, "note", "OPTIONS not in"),
        ({"Access-Control-Allow-Methods": None}, "note", "GET and OPTIONS not in"),
        ({"Access-Control-Allow-Methods": "*"}, "ok", "may be read"),
    ],
)
def test_a_preflight_is_judged_as_a_browser_would(
    world: World, examined: Examine, changes: dict[str, str | None], level: str, says: str
) -> None:
    allow(world, changes)
    found = [f for f in examined(world.url).findings if f.check == "cors.preflight"]
    assert [f.level for f in found] == [level, level]
    assert all(says in f.came for f in found)


def test_a_preflight_that_is_answered_401_is_no_leave(world: World, examined: Examine) -> None:
    allow(world, {}, status=401)
    found = [f for f in examined(world.url).findings if f.check == "cors.preflight"]
    assert all(f.level == "warning" and "HTTP 401" in f.came for f in found)


def test_a_challenge_that_pages_can_read_is_well(world: World, examined: Examine) -> None:
    exposed = [
        ("WWW-Authenticate", "Bearer"),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Expose-Headers", "Mcp-Session-Id, WWW-Authenticate"),
    ]
    world.at("probe", lambda e: e.reply(401, headers=exposed))
    assert only(examined(world.url), "cors.challenge").level == "ok"


def test_who_sends_only_what_discovery_needs_may_get_through(
    world: World, examined: Examine
) -> None:
    allow(world, {"Access-Control-Allow-Headers": "mcp-protocol-version"})
    found = [f for f in examined(world.url).findings if f.check == "cors.preflight"]
    assert all("the others get through" in f.stumbles for f in found)
    allow(world, {"Access-Control-Allow-Headers": "authorization"})
    found = [f for f in examined(world.url).findings if f.check == "cors.preflight"]
    assert all("the MCP Inspector" in f.stumbles for f in found)
