"""`doctor` with an operator's own client, redirect URI and scope."""

from __future__ import annotations

import json

from tests.support.hostile import Exchange, World
from tests.support.inside import Inside

URI = "http://127.0.0.1:8765/callback"


def test_the_sign_in_page_is_asked_as_the_client_that_is_named(
    inside: Inside, world: World
) -> None:
    asked: list[dict[str, str]] = []

    def sign_in(exchange: Exchange) -> None:
        asked.append(exchange.query)
        exchange.reply(200, b"<html>sign in</html>", "text/html")

    world.at("authorize", sign_in)
    named = ("--client-id", "registered", "--redirect-uri", URI, "--scope", "a b")
    ran = inside("doctor", world.url, "--store", "memory", "--json", *named)
    told = json.loads(ran.out)
    assert told["verdict"]["login"] == "works", told["verdict"]
    (request,) = [query for query in asked if query]
    assert request["client_id"] == "registered"
    assert request["redirect_uri"] == URI
    assert request["scope"].split()[:2] == ["a", "b"]
    assert not [body for name, body in world.bodies if name == "register" and body]
