from __future__ import annotations

import pytest

from mcp_client_auth.errors import UsageError
from mcp_client_auth.protocol.options import Options


def test_nothing_is_weakened_by_default() -> None:
    assert Options().kept() == {}


def test_a_credential_remembers_what_was_weakened() -> None:
    assert Options(assume_pkce_s256=True, client_name="x").kept() == {"assume_pkce_s256": True}


@pytest.mark.parametrize(
    "name", ["state", "client_id", "redirect_uri", "resource", "scope", "code_challenge", "request"]
)
def test_what_belongs_to_the_flow_cannot_be_set(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        Options(authorize_params={name: "x", "audience": "y"})
