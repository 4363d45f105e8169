"""What one process notes for the others."""

from __future__ import annotations

import json

import pytest

from mcp_client_auth import MemoryStorage
from mcp_client_auth.cli.flags import hint_of
from mcp_client_auth.errors import AuthError, InsufficientScope, Remedy, TokenRefused
from mcp_client_auth.session.knowledge import COOLING, Mark
from mcp_client_auth.session.notes import error_fields, mark_of, read_error, write_mark
from tests.support.session_world import KEY, World, credential

ERRORS = [
    TokenRefused(
        "refused",
        code="invalid_grant",
        status=400,
        server="https://mcp.example.com/mcp",
        url="https://auth.example.com/token",
        hint=Remedy("Log in again: add {login.force=True}"),
    ),
    InsufficientScope("too little", requested=("a", "b"), granted=("a",), hint="Ask for more"),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_error_comes_back_whole_with_what_helps(error: AuthError) -> None:
    read = read_error(json.loads(json.dumps(error_fields(error))))
    assert type(read) is type(error)
    assert vars(read) == vars(error)
    assert hint_of(read) == hint_of(error), "the command's own words too"


def test_a_remedy_without_end_is_shown_in_part() -> None:
    note = error_fields(AuthError("refused"))
    note["fields"]["remedy"] = [f"step {number} " for number in range(100_000)]
    assert len(str(read_error(note))) < 1000


@pytest.mark.parametrize("renewable", [True, False])
def test_a_mark_is_shown_while_it_keeps_the_login_from_use(world: World, renewable: bool) -> None:
    """One that can be renewed is tried again after a while; of another nothing is hoped for."""
    storage, now = MemoryStorage(), world.clock.wall
    storage.save(credential(world, refreshable=renewable, generation=3))
    [entry] = storage.list()
    write_mark(storage, KEY, Mark("a token", now, generation=3))
    assert mark_of(entry, storage, now)
    assert bool(mark_of(entry, storage, now + COOLING)) is not renewable
    write_mark(storage, KEY, Mark("a token", now, generation=2))
    assert mark_of(entry, storage, now) is None, "of another login"
