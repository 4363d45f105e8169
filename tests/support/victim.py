"""A person who was logged in to a world before it turned bad, and what they have stored."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_client_auth import AuthError, BrowserPrompt, FileStorage, Login, MCPAuth, Options, login
from mcp_client_auth.credential import ClientKey, key_for
from mcp_client_auth.events import Listener
from mcp_client_auth.protocol.redirects import callback_for
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.secret import Secret
from mcp_client_auth.testing import ScriptedBrowser
from tests.support.hostile import ACCESS, CODE, REFRESH, World
from tests.support.inside import credential
from tests.support.ports import free_port

SHORT = 0.5
LIMIT = 45.0


class Victim:
    """`home` holds a credential from before; `events`, `opened` are what was reported and opened.

    Set `http_timeout` to `SHORT` only if the server is slow: a busy machine can be slow too.
    """

    http_timeout = 30.0

    def __init__(self, world: World, home: Path) -> None:
        self.world = world
        self.storage = FileStorage(home)
        self.browser = ScriptedBrowser()
        self.opened: list[str] = []
        self.shown: list[str] = []
        self.events: list[str] = []
        self._home = home

    def log_in(
        self, *, force: bool = True, on_event: Listener | None = None, **options: Any
    ) -> Login:
        return login(
            self.world.url,
            storage=self.storage,
            prompt=BrowserPrompt(self._open, self.shown.append),
            options=Options(
                **{
                    "http_timeout": self.http_timeout,
                    "login_timeout": 40.0,
                    "patience": 0,
                    **options,
                }
            ),
            on_event=on_event or (lambda event: self.events.append(str(event))),
            force=force,
        )

    def post(self) -> httpx.Response:
        """One request by a program without a user to ask."""
        auth = MCPAuth(
            self.world.url,
            storage=self.storage,
            prompt=None,
            options=Options(http_timeout=self.http_timeout, patience=0),
            on_event=lambda event: self.events.append(str(event)),
        )
        with httpx.Client(auth=auth, trust_env=False, timeout=LIMIT) as client:
            return client.post(self.world.url, json={})

    def remember(self) -> None:
        """Store what a login would leave, as `test_a_victim_holds_what_a_login_leaves` shows."""
        issuer = self.world.issuer
        callback = replace(callback_for(None, True, issuer, Options()), port=free_port())
        client = Client("dyn", issuer, "dynamic", "none", None, (callback.uri,))
        left = credential(
            self.world.url,
            ACCESS,
            refresh_token=Secret(REFRESH),
            scope=None,
            issuer=issuer,
            client=client,
            revocation_endpoint=issuer + "/revoke",
        )
        self.storage.save(client, ClientKey(issuer, callback.template))
        self.storage.save(left)

    def expire(self) -> None:
        key = key_for(self.world.url)
        stored = self.storage.load(key)
        assert stored is not None
        old = replace(stored.tokens, expires_at=time.time() - 60, issued_at=time.time() - 120)
        self.storage.save(replace(stored, tokens=old))

    def forget_client(self) -> None:
        """Make the next login register a client."""
        key = key_for(self.world.url).id
        for record in self._home.glob("*.secret"):
            if record.stem != key:
                record.unlink()

    def record(self) -> bytes:
        """The stored credential, byte for byte."""
        return (self._home / f"{key_for(self.world.url).id}.secret").read_bytes()

    def files(self) -> set[str]:
        return {entry.name for entry in self._home.iterdir() if entry.suffix != ".lock"}

    @contextmanager
    def unharmed(self, expected: type[AuthError]) -> Iterator[pytest.ExceptionInfo[AuthError]]:
        """One error of exactly this class, in time, without a secret; nothing stored changes."""
        record, index, began = self.record(), self.storage.list(), time.monotonic()
        with pytest.raises(AuthError) as raised:
            yield raised
        self.browser.join(60)
        took = time.monotonic() - began
        assert type(raised.value) is expected, raised.value
        assert took < LIMIT, f"{took:.1f} s"
        assert self.record() == record
        assert self.storage.list() == index
        assert not [name for name in self.files() if name.startswith(".")], "a half-written file"
        fit_to_show(raised.value)
        told = " ".join([str(raised.value), repr(vars(raised.value)), *self.events])
        assert "planted" not in told
        assert CODE not in told

    def _open(self, url: str) -> bool:
        self.opened.append(url)
        return self.browser(url)


def fit_to_show(error: AuthError) -> None:
    """Fail unless it is short and printable, and names a place without a query."""
    message = str(error)
    assert len(message) < 900, len(message)
    assert message.isprintable(), ascii(message)
    assert "?" not in error.url
    assert error.summary
    assert not error.summary.endswith(".")


@contextmanager
def victim_of(home: Path) -> Iterator[Victim]:
    """A victim in a world that was good so far: logged in, and with nothing counted yet."""
    with World() as world:
        victim = Victim(world, home)
        victim.remember()
        yield victim
