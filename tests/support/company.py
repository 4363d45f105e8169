"""A company: its identity provider, and two MCP servers whose authorization servers trust it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from mcp_client_auth import (
    Credential,
    EnterpriseManaged,
    HttpTransport,
    Key,
    MCPAuth,
    PreRegistered,
    Storage,
)
from mcp_client_auth.extending import HttpRequest, HttpResponse
from mcp_client_auth.testing import (
    DemoServer,
    IdentityProvider,
    RegisteredClient,
    ScriptedBrowser,
    Settings,
)

AT_SERVER: Final = "demo-enterprise"
AT_PROVIDER: Final = "desk-sso"
SERVER_SECRET: Final = "s3rver: %41 + 'quoted'"
PROVIDER_SECRET: Final = "pr0vider: %42 + 'quoted'"
CALLBACK: Final = "http://127.0.0.1/callback"


class Wire:
    """A transport that records everything it was given to send, secrets included."""

    def __init__(self, real: HttpTransport) -> None:
        self.sent: list[HttpRequest] = []
        self._real = real

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.sent.append(request)
        return self._real(request)

    def texts(self, origin: str) -> str:
        """All that went to an origin, secrets too."""
        return "\n".join(
            f"{r.url} {dict(r.headers)} {r.body!r}" for r in self.sent if r.url.startswith(origin)
        )


@dataclass
class Company:
    """`browser` is its people's browser; the provider's `subject` says who they are."""

    provider: IdentityProvider
    servers: Sequence[DemoServer]
    folder: Path
    browser: ScriptedBrowser = field(default_factory=ScriptedBrowser)

    def as_at_first(self, folder: Path) -> None:
        """Reset for the next test: nobody has visited, and everything is allowed."""
        provider, self.folder, self.browser = self.provider, folder, ScriptedBrowser()
        provider.subject, provider.id_token_seconds, provider.id_token_claims = "ada", 300.0, {}
        provider.renews_id_tokens = provider.allows_exchange = provider.available = True
        provider.clear_requests()
        for server in self.servers:
            server.clear_requests()

    @property
    def server(self) -> DemoServer:
        return self.servers[0]

    @property
    def client(self) -> PreRegistered:
        return PreRegistered(AT_SERVER, SERVER_SECRET, "client_secret_post")

    @property
    def grant(self) -> EnterpriseManaged:
        client = PreRegistered(AT_PROVIDER, PROVIDER_SECRET, "client_secret_basic", (CALLBACK,))
        return EnterpriseManaged(idp_client=client, idp_issuer=self.provider.issuer)

    def auth(self, storage: Storage, number: int = 0, **more: Any) -> MCPAuth:
        usual = {"client": self.client, "grant": self.grant, "prompt": self.browser.prompt}
        return MCPAuth(self.servers[number].url, storage=storage, **{**usual, **more})

    @property
    def command(self) -> list[str]:
        """The options that the command needs once."""
        at_server, at_provider = self.folder / "at-server", self.folder / "at-provider"
        at_server.write_text(SERVER_SECRET + "\n")
        at_provider.write_text(PROVIDER_SECRET + "\n")
        words = {
            "--grant": "enterprise_managed",
            "--idp-issuer": self.provider.issuer,
            "--idp-client-id": AT_PROVIDER,
            "--idp-client-secret-file": str(at_provider),
            "--idp-client-auth-method": "client_secret_basic",
            "--client-id": AT_SERVER,
            "--client-secret-file": str(at_server),
        }
        return [word for pair in words.items() for word in pair]

    def key(self, account: str = "default") -> Key:
        """The key of the login at the provider."""
        return Key(self.provider.issuer, account, "identity_provider", AT_PROVIDER)

    def held(self, storage: Storage, key: Key | None = None) -> Credential:
        found = storage.load(key or self.key())
        assert found is not None
        return found

    def expire(self, storage: Storage, *keys: Key) -> None:
        """Let these keys' tokens expire, as if an hour had passed; without a key, all tokens."""
        for key in keys or [entry.key for entry in storage.list()]:
            held, end = self.held(storage, key), time.time() - 60
            tokens = replace(held.tokens, issued_at=end - 3600, expires_at=end)
            storage.save(replace(held, tokens=tokens))


def registered(client_id: str, secret: str, method: Any, *uris: str) -> RegisteredClient:
    return RegisteredClient(client_id, secret, method, uris)


@contextmanager
def company_in(folder: Path, **settings: Any) -> Iterator[Company]:
    at_provider = registered(AT_PROVIDER, PROVIDER_SECRET, "client_secret_basic", CALLBACK)
    with IdentityProvider([at_provider], client_at=AT_SERVER) as provider:
        known = Settings(
            trusted_issuers=(provider.trusted,),
            clients=(registered(AT_SERVER, SERVER_SECRET, "client_secret_post"),),
            **settings,
        )
        with DemoServer(known) as first, DemoServer(known) as second:
            yield Company(provider, (first, second), folder)
