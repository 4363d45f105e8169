"""Secrets are found in whatever form a text repeats them, and are not repeated in turn."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest

from mcp_client_auth import Secret
from mcp_client_auth.testing import DemoServer, RegisteredClient, Settings, assert_no_secrets

PLANTED = "planted/secret+with: blanks"
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "a part": lambda secret: secret[3:17],
    "in a URL": lambda secret: quote(secret, safe=""),
    "in JSON": json.dumps,
    "in a Basic header": lambda secret: b64encode(f"ours:{secret}".encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("issued", [True, False], ids=["a token of the server", "ours"])
def test_a_secret_is_found_and_not_shown(
    mcp_auth_server: DemoServer, form: Callable[[str], str], issued: bool
) -> None:
    secret = mcp_auth_server.mint_token() if issued else Secret(PLANTED).reveal()
    shown = form(secret)
    with pytest.raises(AssertionError) as caught:
        assert_no_secrets(f"before {shown} after".encode())
    message = str(caught.value)
    assert shown not in message
    assert "'before " in message
    assert " after" in message


def test_a_text_without_one_passes(mcp_auth_server: DemoServer) -> None:
    mcp_auth_server.mint_token()
    assert_no_secrets(f"GET {mcp_auth_server.url} 401 {'x' * 10_000}")
    assert_no_secrets("")


def test_clients_of_the_settings_have_secrets_too() -> None:
    client = RegisteredClient("ours", "planted-client-secret", "client_secret_post")
    settings = Settings(clients=(client,), initial_access_token="planted-initial-token")
    server = DemoServer(settings)
    assert server.secrets == {"planted-client-secret", "planted-initial-token"}
    for secret in server.secrets:
        with pytest.raises(AssertionError):
            assert_no_secrets(f"<{secret}>")
