"""No server can hang, flood, colour or break a report, nor get a secret into it."""

from __future__ import annotations

import pytest

from mcp_client_auth.cli.report import lines
from mcp_client_auth.protocol.options import Options
from tests.support.findings import Examine, only
from tests.support.hostile import (
    Behaviour,
    Spot,
    World,
    bomb,
    broken_gzip,
    cut,
    document,
    huge,
    noise,
    text,
)
from tests.support.inside import Inside

SHORT = Options(http_timeout=0.5)
SPOTS: list[Spot] = ["probe", "resource", "server"]
BEHAVIOURS: dict[str, Behaviour] = {
    "huge": huge,
    "bomb": bomb,
    "cut": cut,
    "noise": noise,
    "broken": broken_gzip,
    "deep": text(b"[" * 500_000, kind="application/json"),
    "not text": text(b"\xff\xfe\x00" * 1000, kind="application/json"),
}
COLOURS = "\x1b[31mred\x1b[0m\r\n\u202eback\x00\x07"


@pytest.mark.parametrize("spot", SPOTS)
@pytest.mark.parametrize("name", BEHAVIOURS)
def test_what_a_server_sends_ends_in_a_finding(
    world: World, examined: Examine, spot: Spot, name: str
) -> None:
    world.at(spot, BEHAVIOURS[name])
    report = examined(world.url)
    assert "itself failed" not in str(report)
    assert only(report, "local.port").level == "ok"  # the last checks ran too


@pytest.mark.parametrize("spot", SPOTS)
@pytest.mark.parametrize("slow", ["hang", "drip"])
def test_a_slow_server_costs_its_time_limit(
    world: World, examined: Examine, spot: Spot, slow: str
) -> None:
    world.at(spot, world.hang if slow == "hang" else world.drip)
    report = examined(world.url, options=SHORT)
    assert report.error == "Unavailable"
    assert report.caused_by
    assert report.caused_by.came.endswith("within 0.5 s")


def test_control_characters_never_reach_the_report(world: World, examined: Examine) -> None:
    world.at("probe", lambda e: e.reply(401, headers=[("WWW-Authenticate", f'Bearer scope="{A}"')]))
    world.at(
        "resource",
        document(
            world.resource_metadata(scopes_supported=[COLOURS], bearer_methods_supported=[COLOURS])
        ),
    )
    world.at("server", document(world.server_metadata(grant_types_supported=[COLOURS])))
    report = examined(world.url)
    said = list(lines(report, 80))
    assert any("red" in line for line in said)
    assert all(line.isprintable() for line in said)


@pytest.mark.parametrize("form", ["text", "html", "markdown", "json"])
@pytest.mark.parametrize("words", [COLOURS, "x" * 5000], ids=["colours", "long"])
def test_nor_what_other_clients_would_meet(
    world: World, inside: Inside, form: str, words: str
) -> None:
    """Neither what the metadata lists, nor the answer to a registration."""
    pages = [
        world.server_metadata(code_challenge_methods_supported=[words]),
        world.server_metadata(scopes_supported=[words, "a"]),
    ]
    registered = {"client_id": words, "grant_types": [words], "redirect_uris": [words]}
    world.at("register", document(registered, 201))
    for page in pages:
        world.at("server", document(page))
        ran = inside("doctor", world.url, "--as-client", "all", "--register", "--format", form)
        assert all(line.isprintable() for line in ran.out.replace("\u200b", "").split("\n"))
        assert "x" * 2000 not in ran.out


A = "\x1b[31m" + "a" * 5000


@pytest.mark.parametrize("width", [1, 40, 79, 80, 300])
def test_no_line_is_wider_than_the_terminal(world: World, examined: Examine, width: int) -> None:
    world.at("resource", document(world.resource_metadata(scopes_supported=["x" * 5000])))
    said = list(lines(examined(world.url), width))
    assert max(map(len, said)) <= min(max(width, 40), 100)


def test_hundreds_of_authorization_servers_are_not_all_visited(
    world: World, examined: Examine
) -> None:
    many = [f"{world.elsewhere}/{number}" for number in range(300)]
    world.at("resource", document(world.resource_metadata(authorization_servers=many)))
    report = examined(world.url)
    assert world.visited.count("elsewhere") < 50
    assert max(len(f.came) for f in report.findings) <= 600
