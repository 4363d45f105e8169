"""A person who uses a provider as a program does: through the public names, with a browser."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx

from mcp_client_auth import BrowserPrompt, HttpTransport, Login, MCPAuth, MemoryStorage, Options
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.testing import ScriptedBrowser
from tests.providers.fake_provider import Provider

PATIENCE = 60.0


@dataclass(frozen=True)
class Wrong:
    """What another client gets wrong at one endpoint: fields changed, None for left out.

    `register` is a JSON body, `authorize` a query, `token` and `refresh` are forms.
    """

    at: str
    fields: Mapping[str, str | None]

    def changed(self, pairs: Mapping[str, str]) -> dict[str, str]:
        return {name: v for name, v in {**pairs, **self.fields}.items() if v is not None}


@dataclass
class Visitor:
    """`passes`: what they pass to `MCPAuth` and `login`. `wrong`: what is changed on the way."""

    provider: Provider
    passes: Mapping[str, Any] = field(default_factory=dict)
    wrong: Wrong | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    storage: MemoryStorage = field(default_factory=MemoryStorage)
    browser: ScriptedBrowser = field(default_factory=ScriptedBrowser)
    events: list[str] = field(default_factory=list)
    login_timeout: float = 60.0

    def program(self, *, asks: bool = True) -> MCPAuth:
        """A program that has just been started."""
        return MCPAuth(self.provider.url, prompt=self._prompt if asks else None, **self._usual())

    def login(self, *, force: bool = False) -> Login:
        from mcp_client_auth import login

        return login(self.provider.url, prompt=self._prompt, force=force, **self._usual())

    def call(self, auth: MCPAuth, tool: str = "echo") -> int:
        """The status of one tool call."""
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}}
        with httpx.Client(auth=auth, trust_env=False, timeout=PATIENCE) as client:
            return client.post(self.provider.url, json=body, headers=dict(self.headers)).status_code

    def expire(self) -> None:
        """Make the access token expire, at the provider and in the storage."""
        self.provider.expire()
        for summary in self.storage.list():
            stored = self.storage.load(summary.key)
            assert stored is not None
            past = time.time() - 60
            tokens = replace(stored.tokens, issued_at=past - 60, expires_at=past)
            self.storage.save(replace(stored, tokens=tokens))

    @property
    def _prompt(self) -> BrowserPrompt:
        return BrowserPrompt(self._open, lambda url: None)

    def _usual(self) -> dict[str, Any]:
        options = replace(
            self.passes.get("options") or Options(),
            login_timeout=self.login_timeout,
            http_timeout=30.0,
            patience=0.0,
        )
        inner = HttpTransport(self.provider.url, options)
        return {
            **self.passes,
            "storage": self.storage,
            "options": options,
            "on_event": lambda event: self.events.append(str(event)),
            "transport": self._tampering(inner) if self.wrong else inner,
        }

    def _open(self, url: str) -> bool:
        if self.wrong and self.wrong.at == "authorize":
            parts = urlsplit(url)
            query = self.wrong.changed(dict(parse_qsl(parts.query, keep_blank_values=True)))
            url = urlunsplit(parts._replace(query=urlencode(query)))
        return self.browser(url)

    def _tampering(self, inner: HttpTransport) -> Callable[[HttpRequest], HttpResponse]:
        wrong = self.wrong
        assert wrong is not None

        def transport(request: HttpRequest) -> HttpResponse:
            return inner(replace(request, body=_body(wrong, request)))

        return transport


def _body(wrong: Wrong, request: HttpRequest) -> bytes:
    """The body with the wrong fields in it, if the request is the one that is meant."""
    with suppress(ValueError):
        if wrong.at == "register" and "redirect_uris" in (asked := json.loads(request.body)):
            return json.dumps(wrong.changed(asked)).encode()
    form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    grant = {"authorization_code": "token", "refresh_token": "refresh"}
    if grant.get(form.get("grant_type", "")) == wrong.at:
        return urlencode(wrong.changed(form)).encode()
    return request.body
