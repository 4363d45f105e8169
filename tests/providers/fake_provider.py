"""A provider on three loopback origins that behaves strictly as its `Shape` says.

What the shape leaves open follows the standards: PKCE, exact redirect URIs, codes that are
good once, refresh tokens that rotate, and the end of a login whose old token comes back.
It is not the demo server of `mcp_client_auth.testing`, which has one strict way: each provider
has places, names and habits of its own, some against the standards.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from tests.providers.provider_shapes import ANY, Answer, At, Known, Shape, changed, filled
from tests.support.hostile import Exchange, OneOrigin


class Fault(Exception):
    """An OAuth error."""

    def __init__(self, code: str, text: str = "", status: int = 400) -> None:
        super().__init__(code)
        self.code, self.text, self.status = code, text, status

    @property
    def fields(self) -> dict[str, Any]:
        if not self.code:
            return {"error": True, "status": self.status, "message": self.text}
        described = {"error_description": self.text} if self.text else {}
        return {"error": self.code, **described}


@dataclass
class Grant:
    """What a person has allowed, from the code to the last token. `ended`: a token came twice."""

    client_id: str
    asked: Mapping[str, str]
    refresh: str = ""
    ended: bool = False

    @property
    def scope(self) -> list[str]:
        return self.asked.get("scope", "").split()


class Provider:
    """`journal` lists what was asked and where, in order; `url` is the MCP server."""

    def __init__(self, shape: Shape, places: Mapping[str, str] | None = None) -> None:
        self.shape = shape
        self._origins = dict(
            zip(("mcp", "auth", "other"), (OneOrigin(self) for _ in range(3)), strict=True)
        )
        self.places = {
            name: f"http://127.0.0.1:{server.server_address[1]}"
            for name, server in self._origins.items()
        }
        self.places |= {"path": shape.path, **(places or {})}
        self.url = self.places["mcp"] + shape.path + shape.query
        self.journal: list[tuple[str, Mapping[str, str]]] = []
        self.clients: dict[str, Known] = filled_clients(shape, self.places)
        self.reused = 0
        self._lock = threading.Lock()
        self._codes: dict[str, Grant] = {}
        self._refresh_tokens: dict[str, Grant] = {}
        self._access_tokens: dict[str, Grant] = {}
        self._documents = self._written()

    def __enter__(self) -> Self:
        for server in self._origins.values():
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in self._origins.values():
            server.shutdown()
            server.server_close()

    def count(self, spot: str) -> int:
        return sum(name == spot for name, _ in self.journal)

    def last(self, spot: str) -> Mapping[str, str]:
        return next(fields for name, fields in reversed(self.journal) if name == spot)

    def expire(self) -> None:
        """Every access token is dead."""
        self._access_tokens.clear()

    def forget_clients(self) -> None:
        """Forget registered clients and their tokens, as providers that clean up do."""
        self.clients = filled_clients(self.shape, self.places)

    def becomes(self, shape: Shape) -> None:
        """Change the provider, as its operator might."""
        self.shape = shape
        self._documents = self._written()

    # Where each document is

    def _written(self) -> dict[str, dict[str, Any]]:
        resource = {
            "resource": "{mcp}{path}",
            "authorization_servers": [self.shape.named],
            **self.shape.resource_says,
        }
        found = dict.fromkeys(filled(self.shape.resource_at, self.places), changed(resource, {}))
        found |= dict.fromkeys(filled(self.shape.server_at, self.places), self._server())
        for place, issuer in filled(self.shape.issuer_at, self.places).items():
            found[filled(place, self.places)] = {**self._server(), "issuer": issuer}
        return {place: filled(document, self.places) for place, document in found.items()}

    def _server(self) -> dict[str, Any]:
        base = self.shape.issuer if self.shape.issuer in ("{mcp}", "{auth}", "{other}") else ""
        base = base or "{auth}"
        usual = {
            "issuer": self.shape.issuer,
            "authorization_endpoint": base + "/authorize",
            "token_endpoint": base + "/token",
            "registration_endpoint": base + "/register",
            "code_challenge_methods_supported": ["S256"],
        }
        return changed(usual, self.shape.server_says)

    def _spot(self, url: str) -> str:
        if url == self.places["mcp"] + self.shape.path:
            return "mcp"
        server = filled(self._server(), self.places)
        for name in ("authorization", "token", "registration"):
            if url == server.get(f"{name}_endpoint"):
                return name
        return "document" if url in self._documents else "nowhere"

    def answer(self, exchange: Exchange) -> None:
        port = exchange.server.server_address[1]
        url = f"http://127.0.0.1:{port}{urlsplit(exchange.path).path}"
        spot = self._spot(url)
        with self._lock:
            match spot:
                case "mcp":
                    self._resource(exchange)
                case "authorization":
                    self._authorize(exchange)
                case "token":
                    self._token(exchange)
                case "registration":
                    self._register(exchange)
                case "document":
                    self.journal.append(("document", {"url": url}))
                    self._say(exchange, 200, self._documents[url])
                case _:
                    self.journal.append(("nowhere", {"url": url}))
                    exchange.reply(404, b"not found", "text/plain")

    # What it does

    def _resource(self, exchange: Exchange) -> None:
        call = json.loads(exchange.body)
        tool = call.get("params", {}).get("name", "")
        grant = self._access_tokens.get(exchange.headers.get("Authorization", "")[7:])
        self.journal.append(("mcp", {"method": call["method"], "good": str(bool(grant))}))
        if self.shape.header and not exchange.headers.get(self.shape.header):
            return exchange.reply(400, b"no tenant", "text/plain")
        needed = self.shape.tools.get(tool, "")
        if grant is None or not self._is_told(grant):
            if call["method"] not in self.shape.public:
                return self._challenge(exchange, 401, self.shape.challenge)
        elif not set(needed.split()) <= set(grant.scope):
            challenge = f'Bearer error="insufficient_scope", scope="{needed}"'
            return self._challenge(exchange, 403, challenge)
        return self._say(exchange, 200, {"jsonrpc": "2.0", "id": call["id"], "result": {}})

    def _is_told(self, grant: Grant) -> bool:
        return not self.shape.told or bool(grant.asked.get(self.shape.told))

    def _challenge(self, exchange: Exchange, status: int, challenge: str) -> None:
        value = filled(challenge, self.places)
        exchange.reply(status, headers=[("WWW-Authenticate", value)] if value else [])

    def _register(self, exchange: Exchange) -> None:
        asked = json.loads(exchange.body)
        self.journal.append(("register", asked))
        if self.shape.admits and asked["client_name"] not in self.shape.admits:
            return self._give(exchange, self.shape.not_admitted)
        try:
            said = {n: " ".join(v) if isinstance(v, list) else v for n, v in asked.items()}
            self._check_demands("register", said)
        except Fault as fault:
            return self._say(exchange, fault.status, fault.fields)
        told = filled(self.shape.registers, self.places)
        usual = {"client_id": f"dcr-{len(self.journal)}", "token_endpoint_auth_method": "none"}
        answer = {**asked, **usual, **told}
        known = Known(
            self.shape.proves,
            told.get("client_secret", ""),
            tuple(asked["redirect_uris"]),
            frozenset(asked.get("scope", "").split()) if self.shape.bounded else None,
        )
        self.clients[answer["client_id"]] = known
        return self._say(exchange, 201, answer)

    def _authorize(self, exchange: Exchange) -> None:
        asked = exchange.query
        self.journal.append(("authorize", asked))
        client = self.clients.get(asked.get("client_id", ""))
        if client is None:
            return self._give(exchange, self.shape.strangers)
        if not self._is_redirect_of(client, asked.get("redirect_uri", "")):
            return exchange.reply(400, b"<!DOCTYPE html>redirect_uri is not registered")
        if self.shape.approval and "consent" in asked.get("prompt", "").split():
            return self._give(exchange, self.shape.approval)
        try:
            self._check_authorization(client, asked)
            code = secrets.token_urlsafe(16)
            self._codes[code] = Grant(asked["client_id"], asked)
            fields: dict[str, Any] = {"code": code}
        except Fault as fault:
            fields = fault.fields
        iss = {"iss": filled(self.shape.iss, self.places)} if self.shape.iss else {}
        back = urlencode({**fields, **iss, "state": asked.get("state", "")})
        return exchange.reply(302, headers=[("Location", f"{asked['redirect_uri']}?{back}")])

    def _check_authorization(self, client: Known, asked: Mapping[str, str]) -> None:
        if asked.get("response_type") != "code" or not asked.get("state"):
            raise Fault("invalid_request", "response_type and state are required")
        if asked.get("code_challenge_method") != "S256" or len(asked["code_challenge"]) != 43:
            raise Fault("invalid_request", "PKCE with S256 is required")
        self._check_demands("authorize", asked)
        wanted = set(asked.get("scope", "").split())
        for allowed in (self.shape.scopes, client.scope):
            if allowed is not None and wanted - allowed:
                raise Fault("invalid_scope", f"unknown: {' '.join(sorted(wanted - allowed))}")

    def _is_redirect_of(self, client: Known, uri: str) -> bool:
        if uri in client.redirect_uris:
            return True
        parts = urlsplit(uri)
        if self.shape.exact_port or parts.hostname not in ("127.0.0.1", "::1"):
            return False
        bare = urlunsplit(parts._replace(netloc=parts.hostname or ""))
        known = (urlsplit(registered) for registered in client.redirect_uris)
        return any(urlunsplit(k._replace(netloc=k.hostname or "")) == bare for k in known)

    def _token(self, exchange: Exchange) -> None:
        form = exchange.form
        renewing = form.get("grant_type") == "refresh_token"
        at: At = "refresh" if renewing else "token"
        self.journal.append((at, form))
        try:
            client_id = self._proved(exchange, form)
            self._check_demands(at, form)
            grant = self._renewed(form) if renewing else self._exchanged(form)
            if grant.client_id != client_id:
                raise Fault("invalid_grant", "issued to another client")
            self._speak(exchange, 200, self._tokens(grant, renewing=renewing))
        except Fault as fault:
            ok = {"ok": False} if "nested" in self.shape.encoding else {}
            status = 200 if self.shape.refuses_with == 200 else fault.status
            self._speak(exchange, status, {**ok, **fault.fields})

    def _proved(self, exchange: Exchange, form: Mapping[str, str]) -> str:
        """RFC 6749 §2.3: by one method, which is the client's own."""
        header = exchange.headers.get("Authorization", "")
        client_id, secret, method = form.get("client_id", ""), form.get("client_secret", ""), "none"
        if header:
            name, _, password = base64.b64decode(header[6:]).decode().partition(":")
            if secret:
                raise Fault("invalid_request", "two ways to prove a client")
            client_id, secret, method = name, password, "client_secret_basic"
        elif secret:
            method = "client_secret_post"
        known = self.clients.get(client_id)
        if known is None:
            raise Fault("invalid_client", "unknown client", 401)
        if known.secret and known.method != "none" and not secret:
            if self.shape.spends:
                self._codes.pop(form.get("code", ""), None)
            raise Fault(self.shape.misses_with, "client_secret is missing.")
        if (method, secret) != (known.method, known.secret if method != "none" else secret):
            raise Fault("invalid_client", "not the client's way to prove itself", 401)
        return client_id

    def _exchanged(self, form: Mapping[str, str]) -> Grant:
        grant = self._codes.pop(form.get("code", ""), None)
        spent = "bad_verification_code" if self.shape.refuses_with == 200 else "invalid_grant"
        if grant is None:
            raise Fault(spent, "the code is unknown or spent")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if challenge != grant.asked["code_challenge"]:
            raise Fault(spent, "PKCE")
        for name in ("redirect_uri", "resource"):
            if form.get(name) != grant.asked.get(name):
                raise Fault(spent, f"another {name} than at the authorization endpoint")
        return grant

    def _renewed(self, form: Mapping[str, str]) -> Grant:
        token = form.get("refresh_token", "")
        grant = self._refresh_tokens.get(token)
        spent = "bad_refresh_token" if self.shape.refuses_with == 200 else "invalid_grant"
        if grant is None or grant.ended:
            raise Fault(spent, "the refresh token is unknown")
        if token != grant.refresh:
            grant.ended = True
            self.reused += 1
            raise Fault(spent, "the refresh token has been rotated")
        if not set(form.get("scope", "").split()) <= set(grant.scope):
            raise Fault("invalid_scope", "more than was granted (RFC 6749 §6)")
        return grant

    def _tokens(self, grant: Grant, *, renewing: bool) -> dict[str, Any]:
        access = secrets.token_urlsafe(16)
        self._access_tokens[access] = grant
        found: dict[str, Any] = {
            "access_token": access,
            "token_type": "user" if "nested" in self.shape.encoding else "Bearer",
            "expires_in": 3600,
            "scope": " ".join(grant.scope),
        }
        if self._renews(grant) and not (renewing and self.shape.silent):
            grant.refresh = secrets.token_urlsafe(16)
            self._refresh_tokens[grant.refresh] = grant
            found["refresh_token"] = grant.refresh
        return found

    def _renews(self, grant: Grant) -> bool:
        wanted = self.shape.renews_for.items()
        return all(value in grant.asked.get(name, "").split() for name, value in wanted)

    def _check_demands(self, at: At, asked: Mapping[str, str]) -> None:
        for demand in self.shape.demands:
            if at not in demand.at:
                continue
            said, value = asked.get(demand.name), filled(demand.value, self.places)
            begun = bool(value and said and value.endswith(ANY) and said.startswith(value[:-1]))
            if said != value and not begun:
                raise Fault(demand.error, demand.text)

    # How it answers

    def _speak(self, exchange: Exchange, status: int, said: dict[str, Any]) -> None:
        """An answer of the token endpoint, in the provider's own encoding."""
        encoding = self.shape.encoding
        if "nested" in encoding and "error" not in said:
            said = {"ok": True, "app_id": "A1", "authed_user": {"id": "U1", **said}}
        form = encoding == "form" or (
            encoding.startswith("form unless")
            and exchange.headers.get("Accept", "") != "application/json"
        )
        if form:
            kind = "application/x-www-form-urlencoded; charset=utf-8"
            return exchange.reply(status, urlencode(said).encode(), kind)
        if "gzip" in encoding:
            body = gzip.compress(b"\xef\xbb\xbf" + json.dumps(said).encode())
            return exchange.reply(status, body, headers=[("Content-Encoding", "gzip")])
        return self._say(exchange, status, said)

    def _say(self, exchange: Exchange, status: int, said: object) -> None:
        exchange.reply(status, json.dumps(said).encode())

    def _give(self, exchange: Exchange, answer: Answer) -> None:
        body = answer.body.encode()
        exchange.reply(answer.status, body, answer.kind, headers=list(answer.headers))


def filled_clients(shape: Shape, places: Mapping[str, str]) -> dict[str, Known]:
    return {
        name: Known(
            known.method, known.secret, tuple(filled(known.redirect_uris, places)), known.scope
        )
        for name, known in shape.clients.items()
    }


def form_of(body: bytes) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(body.decode()).items()}
