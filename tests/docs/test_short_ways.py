"""The way from a request to the wire can be walked in one sitting: few frames, few rooms."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Final

import httpx

import mcp_client_auth
from mcp_client_auth import BrowserPrompt, HttpTransport, MCPAuth, MemoryStorage
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.testing import DemoServer, ScriptedBrowser

PACKAGE: Final = Path(mcp_client_auth.__file__).parent
MOST: Final = 9


class Witness:
    """A transport that records the call stack of each token request."""

    def __init__(self, url: str) -> None:
        self.transport = HttpTransport(url)
        self.ways: list[list[str]] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.url.endswith("/token"):
            code = [frame.f_code for frame, _ in traceback.walk_stack(None)][1:]
            ours = [each for each in code if Path(each.co_filename).is_relative_to(PACKAGE)]
            self.ways.append([each.co_qualname for each in reversed(ours)])
        return self.transport(request)


def test_few_frames_lead_to_the_token_request_of_a_login_and_of_a_refresh(
    shared: DemoServer,
) -> None:
    witness, browser = Witness(shared.url), ScriptedBrowser()
    auth = MCPAuth(
        shared.url,
        storage=MemoryStorage(),
        prompt=BrowserPrompt(open_url=browser),
        transport=witness,
    )
    with httpx.Client(auth=auth, trust_env=False, timeout=60) as client:
        for _ in range(2):
            assert client.post(shared.url, json={}).status_code != 401
            shared.expire_access_tokens()
    assert browser.join(60)
    witness.transport.close()
    login, refresh = witness.ways
    from_lease = login[login.index("LeasedLogin.run") :]
    assert len(from_lease) <= MOST, from_lease
    from_decision = refresh[refresh.index("Renewal.settle") :]
    assert len(from_decision) <= MOST, from_decision


def test_few_modules_stand_in_no_room() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 12
