"""What one process notes for the others."""

from __future__ import annotations

import json

import pytest

from mcp_client_auth.cli.flags import hint_of
from mcp_client_auth.errors import AuthError, InsufficientScope, Remedy, TokenRefused
from mcp_client_auth.session.notes import error_fields, read_error

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
