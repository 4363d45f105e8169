"""Another person, another client, and the same client again: what each login asks for."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from mcp_client_auth.testing import DemoServer, RegisteredClient, Settings
from tests.support.hostile import World, document
from tests.support.inside import Inside

SECRET = "planted-client-secret"
CLIENT = RegisteredClient("ours", SECRET, "client_secret_post", ("http://127.0.0.1/callback",))
BOTH = Settings(clients=(CLIENT,))


@pytest.fixture
def opened(inside: Inside) -> list[dict[str, list[str]]]:
    """The parameters of each address that the browser was sent to."""
    opened: list[dict[str, list[str]]] = []
    browser = inside.browser

    def opens(url: str) -> bool:
        opened.append(parse_qs(urlsplit(url).query))
        return browser(url)

    inside.patch.setattr("mcp_client_auth.prompt.open_browser.open_url", opens)
    return opened


def with_client(inside: Inside, url: str, *more: str) -> None:
    Path("secret").write_text(SECRET)
    inside.log_in(url, "--client-id", "ours", "--client-secret-file", "secret", *more)


@pytest.mark.usefixtures("ports_of_ours")
def test_switch_asks_the_server_to_ask_who(
    inside: Inside, shared: DemoServer, opened: list[dict[str, list[str]]]
) -> None:
    inside.log_in(shared.url)
    before = inside.record(shared.url).read_bytes()
    assert "login" not in opened[0].get("prompt", [""])[0].split()
    ran = inside.log_in(shared.url, "--switch")
    assert ran.err.rpartition("\n\n")[2].count("Logged in to") == 1
    assert {"login", "select_account"} & set(opened[1]["prompt"][0].split())
    assert inside.record(shared.url).read_bytes() != before
    assert shared.count("/register") == 1, "the client stays"


def test_a_switch_that_fails_keeps_the_login(inside: Inside, shared: DemoServer) -> None:
    inside.log_in(shared.url)
    before = inside.record(shared.url).read_bytes()
    inside.decide("deny")
    assert inside(shared.url, "--switch").code == 4
    assert inside.record(shared.url).read_bytes() == before
    assert inside("status", "--check").code == 0


@pytest.mark.usefixtures("ports_of_ours")
def test_a_new_client_is_registered_after_a_logout(
    inside: Inside, shared: DemoServer, opened: list[dict[str, list[str]]]
) -> None:
    inside.log_in(shared.url)
    inside("logout", shared.url)
    inside.log_in(shared.url)
    inside.log_in(shared.url, "--force")
    first, second, third = (asked["client_id"] for asked in opened)
    assert first != second == third
    assert shared.count("/register") == 2


@pytest.mark.parametrize("server", [BOTH], indirect=True)
def test_a_client_of_ones_own_is_used_again_without_being_named(
    inside: Inside, server: DemoServer, opened: list[dict[str, list[str]]]
) -> None:
    with_client(inside, server.url)
    Path("secret").unlink()
    inside.expire(server.url)
    inside.change(server.url, refresh_token=None)
    inside.log_in(server.url)
    inside.log_in(server.url, "--force")
    inside.log_in(server.url, "--switch")
    assert [asked["client_id"] for asked in opened] == [["ours"]] * 4
    assert server.count("/register") == 0
    assert inside("status", "--check").code == 0


@pytest.mark.usefixtures("ports_of_ours")
@pytest.mark.parametrize("server", [BOTH], indirect=True)
def test_who_wants_another_client_gets_one(
    inside: Inside, server: DemoServer, opened: list[dict[str, list[str]]]
) -> None:
    with_client(inside, server.url)
    inside("logout", server.url)
    inside.log_in(server.url)
    assert opened[1]["client_id"] != ["ours"]
    assert server.count("/register") == 1
    inside.log_in(server.url, "--force")
    assert opened[2]["client_id"] == opened[1]["client_id"]


@pytest.mark.parametrize("server", [BOTH], indirect=True)
def test_another_account_does_not_take_it(
    inside: Inside, server: DemoServer, opened: list[dict[str, list[str]]]
) -> None:
    with_client(inside, server.url)
    inside.log_in(server.url, "--account", "work")
    assert opened[1]["client_id"] != ["ours"]


def test_its_secret_goes_to_no_other_issuer(inside: Inside, world: World) -> None:
    post = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    world.at("server", document(world.server_metadata(**post)))
    with_client(inside, world.url)
    assert any(SECRET.encode() in body for _, body in world.bodies)
    before = inside.record(world.url).read_bytes()
    evil = world.elsewhere
    world.at("resource", document(world.resource_metadata(authorization_servers=[evil])))
    endpoints = {f"{name}_endpoint": f"{evil}/{name}" for name in ("authorization", "token")}
    metadata = json.dumps(world.server_metadata(issuer=evil, **endpoints, **post)).encode()
    world.put(evil + "/.well-known/oauth-authorization-server", document(metadata))
    world.put(evil + "/authorization", world.callback(iss=evil))
    world.bodies.clear()
    ran = inside(world.url, "--force")
    assert ran.code == 5, ran.err
    assert evil in ran.err
    assert not any(SECRET.encode() in body for _, body in world.bodies)
    assert inside.record(world.url).read_bytes() == before
