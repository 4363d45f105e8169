from __future__ import annotations

import pytest

from mcp_client_auth.protocol.challenge import Challenge
from mcp_client_auth.protocol.scopes import choose_scope, parse, step_up
from tests.support.protocol_samples import discovery, resource, server

WITH_OFFLINE = ["a", "offline_access"]
Scopes = tuple[str, ...] | None


def chosen(
    wanted: Scopes = None,
    challenged: str | None = None,
    offered: list[str] | None = None,
    listed: list[str] | None = None,
) -> Scopes:
    challenge = None if challenged is None else Challenge("bearer", {"scope": challenged})
    metadata = resource(scopes_supported=offered)
    return choose_scope(
        discovery(challenge=challenge, metadata=metadata, server=server(scopes_supported=listed)),
        wanted,
    )


def test_the_callers_scope_comes_first_and_stands_as_it_is() -> None:
    assert chosen(("x",), "y", ["z"], WITH_OFFLINE) == ("x",)
    assert chosen((), "y", ["z"], WITH_OFFLINE) == ()


def test_then_the_challenges_then_the_resources_then_none() -> None:
    assert chosen(challenged="y x", offered=["z"]) == ("y", "x")
    assert chosen(challenged="", offered=["z"]) == ("z",)
    assert chosen(offered=["z"]) == ("z",)
    assert chosen() is None
    assert chosen(offered=[]) is None


def test_without_resource_metadata_there_may_still_be_a_challenge() -> None:
    assert choose_scope(discovery(metadata=None), None) is None
    challenge = Challenge("bearer", {"scope": "y"})
    assert choose_scope(discovery(metadata=None, challenge=challenge), None) == ("y",)


def test_offline_access_is_added_where_the_server_lists_it() -> None:
    assert chosen(challenged="y", listed=WITH_OFFLINE) == ("y", "offline_access")
    assert chosen(offered=["z"], listed=WITH_OFFLINE) == ("z", "offline_access")
    assert chosen(offered=["offline_access", "z"], listed=WITH_OFFLINE) == ("offline_access", "z")
    assert chosen(offered=[], listed=WITH_OFFLINE) == ("offline_access",)


def test_offline_access_is_never_guessed() -> None:
    assert chosen(listed=WITH_OFFLINE) is None
    assert chosen(challenged="y", listed=["a"]) == ("y",)
    assert chosen(challenged="y") == ("y",)


def test_a_step_up_keeps_what_was_asked_for_and_given() -> None:
    assert step_up(("a", "b"), ("b", "c"), ("d", "a")) == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("scope", "expected"),
    [("a b", ("a", "b")), ("a,b", ("a", "b")), (" a  a ", ("a",)), ("", ()), ("a, b", ("a", "b"))],
)
def test_a_scope_is_words(scope: str, expected: tuple[str, ...]) -> None:
    assert parse(scope) == expected
