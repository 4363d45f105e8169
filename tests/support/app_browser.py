"""A browser whose logins end at a page of an application, `https://app.example`. The application
does not exist: only the addresses that it is called at are recorded."""

from __future__ import annotations

import httpx

from mcp_client_auth.testing import ScriptedBrowser

CALLBACK = "https://app.example/oauth/callback"


class AppBrowser(ScriptedBrowser):
    def __init__(self) -> None:
        super().__init__()
        self.arrived: list[str] = []

    def sign_in(self, url: str) -> str:
        """The address that the browser has ended on."""
        self.visit(url)
        if self.error:
            raise self.error
        return self.arrived[-1]

    def _opened(self) -> httpx.Client:
        app = httpx.MockTransport(self._arrive)
        return httpx.Client(
            trust_env=False, follow_redirects=True, timeout=60, mounts={"https://app.example": app}
        )

    def _arrive(self, request: httpx.Request) -> httpx.Response:
        self.arrived.append(str(request.url))
        return httpx.Response(200, text="welcome back")
