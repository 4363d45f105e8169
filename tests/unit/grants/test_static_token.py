"""What may be a token that was issued by hand, and what is kept of it."""

from __future__ import annotations

import pytest

from mcp_client_auth import Options, UsageError
from mcp_client_auth.credential import dumps, key_for, loads
from mcp_client_auth.grants.base import LoginConfig
from mcp_client_auth.grants.static_token import static_credential
from mcp_client_auth.protocol.tokens import read_static_token
from mcp_client_auth.protocol.urls import ServerUrl

SERVER = "https://mcp.example.com/team/mcp"


def test_the_lines_around_a_token_are_not_part_of_it() -> None:
    assert (
        read_static_token("\n  abc.DEF-1_~+/=\r\n", 1.0).access_token.reveal() == "abc.DEF-1_~+/="
    )


@pytest.mark.parametrize("text", ["", "a\nb", "bearer abc", "a b", "a\x07b", "ü", "a" * 65_537])
def test_anything_else_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_static_token(text, 1.0)
    assert caught.value.code == "no_token"
    assert len(str(caught.value)) < 200


def test_it_is_kept_as_a_record_that_only_goes_to_its_server() -> None:
    config = LoginConfig(
        ServerUrl.checked(SERVER), key_for(SERVER), options=Options(allow_insecure_http=True)
    )
    kept = static_credential(config, read_static_token("abc", 12.0))
    assert loads(dumps(kept), "here") == kept
    assert kept.static
    assert not kept.renewable
    assert kept.tokens.expires_at is None
    assert kept.issuer == "https://mcp.example.com"
    assert kept.revocation_endpoint == ""
    assert kept.options["allow_insecure_http"] is True
