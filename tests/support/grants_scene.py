"""A server that trusts an identity provider, and a program without a user, for each grant."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import httpx

from mcp_client_auth import (
    ClientCredentials,
    Credential,
    EnterpriseManaged,
    MCPAuth,
    PreRegistered,
    Storage,
    WorkloadIdentity,
)
from mcp_client_auth.credential import Key
from mcp_client_auth.testing import DemoServer, IdentityProvider, RegisteredClient, Settings

HEADERS: Final = {"Accept": "application/json, text/event-stream"}
LIST: Final = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
SECRET: Final = "a secret: with %41 and + in it"
CLIENT: Final = PreRegistered("demo-service", secret=SECRET, method="client_secret_basic")
AT_SERVER: Final = PreRegistered("demo-enterprise", secret=SECRET, method="client_secret_post")
AT_PROVIDER: Final = PreRegistered("demo-sso", secret=SECRET, method="client_secret_basic")
NAMES: Final = ("client_credentials", "workload_identity", "enterprise_managed")
GRANT_TYPES: Final = {
    "client_credentials": "client_credentials",
    "workload_identity": "jwt-bearer",
    "enterprise_managed": "jwt-bearer",
}


def registered(client: PreRegistered) -> RegisteredClient:
    method: Any = client.method
    return RegisteredClient(client.client_id, SECRET, method)


@dataclass
class Scene:
    """`file` holds the assertion if the grant needs one; it may be rewritten."""

    name: str
    server: DemoServer
    provider: IdentityProvider
    file: Path

    @property
    def arguments(self) -> dict[str, Any]:
        """Grant and client, as a program passes them."""
        if self.name == "client_credentials":
            return {"grant": ClientCredentials(), "client": CLIENT}
        if self.name == "workload_identity":
            return {"grant": WorkloadIdentity(assertion_file=self.file)}
        grant = EnterpriseManaged(
            assertion_file=self.file, idp_client=AT_PROVIDER, idp_issuer=self.provider.issuer
        )
        return {"grant": grant, "client": AT_SERVER}

    @property
    def key(self) -> Key:
        client = self.arguments.get("client")
        return Key(self.server.url, grant=self.name, client=client.client_id if client else "")

    def write(self, *, seconds: float = 300.0, subject: str = "ada") -> str:
        """Write a new assertion to the file."""
        if self.name == "workload_identity":
            text = self.provider.workload_token(self.server.issuer, subject, seconds)
        else:
            text = self.provider.id_token(AT_PROVIDER.client_id, subject, seconds)
        self.file.write_text(text + "\n")
        return text

    def auth(self, storage: Storage, **more: Any) -> MCPAuth:
        return MCPAuth(self.server.url, storage=storage, **{**self.arguments, **more})

    def call(self, auth: MCPAuth) -> int:
        with httpx.Client(auth=auth, timeout=20, trust_env=False) as client:
            return client.post(self.server.url, headers=HEADERS, json=LIST).status_code

    @property
    def issues(self) -> int:
        return self.server.token_requests(GRANT_TYPES[self.name])

    def stored(self, storage: Storage) -> Credential:
        found = storage.load(self.key)
        assert found is not None
        return found

    def age(self, storage: Storage, left: float = -60.0) -> None:
        """Age the token as if it was issued an hour ago and has `left` seconds of its life left."""
        now, stored = time.time(), self.stored(storage)
        tokens = replace(stored.tokens, issued_at=now + left - 3600, expires_at=now + left)
        storage.save(replace(stored, tokens=tokens))


@contextmanager
def scene_of(name: str, folder: Path, **settings: Any) -> Iterator[Scene]:
    with IdentityProvider([registered(AT_PROVIDER)]) as provider:
        known = Settings(
            client_credentials=name == "client_credentials",
            trusted_issuers=(provider.trusted,) if name != "client_credentials" else (),
            clients=(registered(CLIENT), registered(AT_SERVER)),
            **settings,
        )
        with DemoServer(known) as server:
            scene = Scene(name, server, provider, folder / "assertion")
            scene.write()
            yield scene
