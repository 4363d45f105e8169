from __future__ import annotations

from typing import Any

import pytest

from mcp_client_auth import BrowserPrompt, ClientCredentials, DeviceCode, DevicePrompt
from mcp_client_auth.grants.base import Grant, LoginConfig
from mcp_client_auth.grants.selection import BrowserSignIn, grant_for
from tests.support.protocol_samples import ISSUER, server
from tests.support.session_world import KEY, SERVER

BROWSER = BrowserPrompt(open_url=lambda url: True)
CODES = DevicePrompt(lambda invitation: None)
BOTH = BrowserPrompt(open_url=lambda url: True, device=CODES)
DEVICE: dict[str, Any] = {"device_authorization_endpoint": ISSUER + "/device"}
ONLY_DEVICE = {**DEVICE, "code_challenge_methods_supported": ["plain"]}


@pytest.mark.parametrize(
    ("metadata", "prompt", "named", "kind"),
    [
        ({}, BROWSER, None, BrowserSignIn),
        (DEVICE, BOTH, None, BrowserSignIn),
        (ONLY_DEVICE, BOTH, None, DeviceCode),
        (ONLY_DEVICE, BROWSER, None, BrowserSignIn),
        (ONLY_DEVICE, None, None, BrowserSignIn),
        ({"code_challenge_methods_supported": ["plain"]}, BOTH, None, BrowserSignIn),
        (DEVICE, CODES, DeviceCode(), DeviceCode),
        (ONLY_DEVICE, BOTH, ClientCredentials(), ClientCredentials),
    ],
)
def test_the_server_decides_only_between_two_ways_to_ask_a_person(
    metadata: dict[str, Any], prompt: Any, named: Grant | None, kind: type[Grant]
) -> None:
    config = LoginConfig(SERVER, KEY, grant=named)
    assert type(grant_for(config, prompt, server(**metadata))) is kind
