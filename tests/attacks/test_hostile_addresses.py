"""A public server points into the network of its visitor: cloud metadata, the LAN, the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcp_client_auth import (
    BrowserPrompt,
    HttpTransport,
    InsecureUrl,
    MemoryStorage,
    Options,
    login,
)
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from tests.support.addresses_inside import INSIDE, METADATA_SERVICES
from tests.support.hostile import World, challenge, document, redirect
from tests.support.victim import victim_of

PUBLIC = "https://mcp.example.com/mcp"


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


class PublicServer:
    """The only public server here: its own answers are scripted, all else is really requested."""

    def __init__(self, answers: dict[str, HttpResponse]) -> None:
        self._answers = answers
        self._real = HttpTransport(PUBLIC, Options(http_timeout=2))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._answers.get(request.url) or self._real(request)


def visit(answers: dict[str, HttpResponse]) -> InsecureUrl:
    opened: list[str] = []

    def open_url(url: str) -> bool:
        opened.append(url)
        return True

    with pytest.raises(InsecureUrl) as raised:
        login(
            PUBLIC,
            storage=MemoryStorage(),
            prompt=BrowserPrompt(open_url),
            transport=PublicServer(answers),
        )
    assert opened == []
    return raised.value


def answer(status: int, body: str = "", **headers: str) -> HttpResponse:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return HttpResponse(status, PUBLIC, pairs, body.encode())


def by_challenge(target: str) -> dict[str, HttpResponse]:
    return {PUBLIC: answer(401, www_authenticate=f'Bearer resource_metadata="{target}"')}


def by_issuer(target: str) -> dict[str, HttpResponse]:
    place = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
    body = f'{{"resource": "{PUBLIC}", "authorization_servers": ["{target}"]}}'
    return {PUBLIC: answer(401), place: answer(200, body)}


@pytest.mark.parametrize("way", [by_challenge, by_issuer])
@pytest.mark.parametrize("target", METADATA_SERVICES + INSIDE)
def test_a_public_server_cannot_point_inside(
    world: World, way: Callable[[str], dict[str, HttpResponse]], target: str
) -> None:
    target = target.format(port=world.elsewhere.rpartition(":")[2])
    error = visit(way(target))
    assert error.code in ("forbidden_address", "insecure_url")
    assert "Nothing was sent" in error.hint or "not https" in error.summary
    assert world.visited == []


@pytest.mark.parametrize("target", METADATA_SERVICES)
def test_nobody_can_point_to_a_metadata_service(tmp_path: Path, target: str) -> None:
    with victim_of(tmp_path / "home") as victim:
        victim.world.at("probe", challenge(target))
        with victim.unharmed(InsecureUrl) as raised:
            victim.log_in(allow_private_addresses=True)
        assert raised.value.code == "forbidden_address"
        assert victim.world.visited == ["probe"]


def test_a_redirect_cannot_lead_there_either(tmp_path: Path) -> None:
    with victim_of(tmp_path / "home") as victim:
        victim.world.at("resource", redirect("http://169.254.169.254/latest", 302))
        with pytest.raises(Exception, match="not followed"):
            victim.log_in()


def test_a_local_server_may_name_local_ones(tmp_path: Path) -> None:
    with victim_of(tmp_path / "home") as victim:
        named = victim.world.issuer.replace("127.0.0.1", "localhost")
        victim.world.at(
            "resource", document(victim.world.resource_metadata(authorization_servers=[named]))
        )
        victim.world.at("server", document(victim.world.server_metadata(issuer=named)))
        victim.world.at("authorize", victim.world.callback(iss=named))
        assert victim.log_in().credential.issuer == named
