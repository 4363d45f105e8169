"""A server, its authorization servers, a person and the time, all in memory and all scripted.

Not the demo server of `mcp_client_auth.testing`: days pass here in no time, two authorization
servers are seen at once, and the model of a session takes thousands of steps.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest

from mcp_client_auth import (
    AuthError,
    Credential,
    Event,
    LoginFailed,
    MCPAuth,
    MemoryStorage,
    Storage,
    Unavailable,
)
from mcp_client_auth.credential import key_for
from mcp_client_auth.grants.base import LoginConfig, Ports
from mcp_client_auth.prompt.base import AnswerSource, Ending
from mcp_client_auth.prompt.race import Answer, FirstAnswer
from mcp_client_auth.protocol.authorization import AuthorizationRequest
from mcp_client_auth.protocol.flow import HttpRequest, HttpResponse
from mcp_client_auth.protocol.redirects import Callback
from mcp_client_auth.protocol.registration import Client
from mcp_client_auth.protocol.tokens import TokenSet
from mcp_client_auth.protocol.urls import Issuer, ServerUrl
from mcp_client_auth.secret import Secret
from mcp_client_auth.session.session import Session
from mcp_client_auth.session.single_flight import Flights

SERVER = ServerUrl("https://mcp.example.com/mcp")
ISSUER = Issuer("https://auth.example.com")
OTHER = "https://other.example.net"
PLACE = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
KEY = key_for(SERVER)
TOKEN = ISSUER + "/token"
DOWN = Unavailable("no answer: connection reset", hint="Try again later")
DAY = 86_400.0
Decision = Literal["allow", "deny", "timeout", "wait"]


@dataclass
class Clock:
    """A wall clock and a steady one; both advance only when something sleeps."""

    wall: float = 1_800_000_000.0
    steady: float = 50.0
    slept: list[float] = field(default_factory=list)

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.go(seconds)

    def go(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@dataclass
class Family:
    """One consent, and every token issued for it."""

    client_id: str
    scope: tuple[str, ...]
    revoked: bool = False


class AuthorizationServer:
    """Rotates refresh tokens; one that is used after its rotation revokes its family."""

    def __init__(self, issuer: str, clock: Clock, numbers: Iterator[int]) -> None:
        self.issuer, self._clock, self._numbers = issuer, clock, numbers
        self.lifetime: Any = 3600
        self.refreshable = self.rotates = True
        self.refuses_fresh = False
        self.granting: Callable[[tuple[str, ...]], tuple[str, ...]] = lambda asked: asked
        self.known: set[str] = set()
        self.codes: dict[str, Family] = {}
        self.access: dict[str, tuple[Family, float]] = {}
        self.refresh: dict[str, Family] = {}
        self.rotated: set[str] = set()
        self.reused: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.registrations: list[dict[str, Any]] = []

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": self.issuer + "/authorize",
            "token_endpoint": self.issuer + "/token",
            "registration_endpoint": self.issuer + "/register",
            "revocation_endpoint": self.issuer + "/revoke",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }

    def consent(self, url: str, *, allow: bool) -> str:
        """The callback's query, as the person's browser delivers it."""
        asked = dict(parse_qsl(urlsplit(url).query))
        answer = {"state": asked["state"], "iss": self.issuer}
        if not allow:
            return urlencode({**answer, "error": "access_denied"})
        code = f"code-{next(self._numbers)}"
        scope = self.granting(tuple(asked.get("scope", "").split()))
        self.codes[code] = Family(asked["client_id"], scope)
        return urlencode({**answer, "code": code})

    def register(self, body: bytes) -> dict[str, Any]:
        asked: dict[str, Any] = json.loads(body)
        self.registrations.append(asked)
        client_id = f"client-{next(self._numbers)}"
        self.known.add(client_id)
        return {**asked, "client_id": client_id}

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        self.forms.append(form)
        if form["client_id"] not in self.known:
            return 401, {"error": "invalid_client"}
        if form["grant_type"] == "authorization_code":
            family = self.codes.pop(form["code"], None)
            return (200, self.issue(family)) if family else (400, {"error": "invalid_grant"})
        return self._refreshed(form["refresh_token"])

    def _refreshed(self, token: str) -> tuple[int, dict[str, Any]]:
        family = self.refresh.get(token)
        if token in self.rotated and family:
            self.reused.append(token)
            family.revoked = True
        if family is None or family.revoked:
            return 400, {"error": "invalid_grant"}
        if not self.rotates:
            return 200, {**self.issue(family), "refresh_token": token}
        self.rotated.add(token)
        return 200, self.issue(family)

    def issue(self, family: Family) -> dict[str, Any]:
        access, refresh = f"access-{next(self._numbers)}", f"refresh-{next(self._numbers)}"
        seconds = self.lifetime if isinstance(self.lifetime, int | float) else 3600
        self.access[access] = family, self._clock.wall + max(seconds, 1)
        document = {"access_token": access, "token_type": "Bearer", "scope": " ".join(family.scope)}
        if self.lifetime is not None:
            document["expires_in"] = self.lifetime
        if self.refreshable:
            self.refresh[refresh] = family
            document["refresh_token"] = refresh
        return document

    def accepts(self, token: str, *needed: str) -> int:
        family, until = self.access.get(token, (None, 0.0))
        if family is None or family.revoked or self._clock.wall >= until or self.refuses_fresh:
            return 401
        return 200 if set(needed) <= set(family.scope) else 403

    def revoke_access(self) -> None:
        self.access.clear()

    def revoke_everything(self) -> None:
        self.access.clear()
        for family in self.refresh.values():
            family.revoked = True


class World:
    """The network. `faults` are answers, errors or functions for the next token requests.

    `names_scope`: a 403 names the scopes that it requires. `before`: authorization servers that the
    resource names before its own.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        numbers = itertools.count(1)
        self.servers = {
            issuer: AuthorizationServer(issuer, self.clock, numbers) for issuer in (ISSUER, OTHER)
        }
        self.issuer: str = ISSUER
        self.before: list[str] = []
        self.needed: tuple[str, ...] = ()
        self.scopes: Any = ["read"]
        self.names_scope = True
        self.sent: list[HttpRequest] = []
        self.bearers: list[str] = []
        self.statuses: list[int] = []
        self.faults: list[HttpResponse | AuthError | Callable[[], HttpResponse | None]] = []
        self.asking: tuple[AuthorizationServer, dict[str, str]] | None = None

    @property
    def authorization(self) -> AuthorizationServer:
        return self.servers[self.issuer]

    @property
    def forms(self) -> list[dict[str, str]]:
        """The token requests that a server has seen."""
        return [form for server in self.servers.values() for form in server.forms]

    @property
    def refreshes(self) -> int:
        return sum(form["grant_type"] == "refresh_token" for form in self.forms)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The transport of the OAuth traffic."""
        self.sent.append(request)
        if request.url == SERVER:
            return self._probed(request)
        if request.url == PLACE:
            return document(
                {
                    "resource": SERVER,
                    "authorization_servers": [*self.before, self.issuer],
                    "scopes_supported": self.scopes,
                },
                request.url,
            )
        issuer, _, place = request.url.rpartition("/")
        if place == "openid-configuration":
            return document({}, request.url, 404)
        if place == "oauth-authorization-server":
            return document(self.servers[issuer.removesuffix("/.well-known")].metadata(), issuer)
        server = self.servers[issuer]
        if place == "register":
            return document(server.register(request.body), request.url, 201)
        form = dict(parse_qsl(request.body.decode()))
        if place == "revoke":
            family = server.refresh.get(form["token"])
            if family:
                family.revoked = True
            server.access.pop(form["token"], None)
            return document({}, request.url)
        return self._token(server, form, request.url)

    def _token(self, server: AuthorizationServer, form: dict[str, str], url: str) -> HttpResponse:
        self.asking = server, form  # for functions among the faults
        fault = self.faults.pop(0) if self.faults else None
        answer = fault() if callable(fault) else fault
        if isinstance(answer, AuthError):
            raise answer
        if answer is not None:
            return answer
        status, body = server.token(form)
        return document(body, url, status)

    def _probed(self, request: HttpRequest) -> HttpResponse:
        answer = self.answer(request.headers.get("Authorization", ""))
        headers = tuple(answer.headers.multi_items())
        return HttpResponse(answer.status_code, SERVER, headers, answer.content)

    def resource(self, request: httpx.Request) -> httpx.Response:
        """The MCP server as the program's own client sees it."""
        scope = request.headers.get("X-Needs", "")
        return self.answer(request.headers.get("Authorization", ""), *scope.split())

    def answer(self, authorization: str, *needed: str) -> httpx.Response:
        token = authorization.removeprefix("Bearer ")
        self.bearers.append(token)
        status = self.authorization.accepts(token, *self.needed, *needed)
        self.statuses.append(status)
        challenge = f'Bearer resource_metadata="{PLACE}"'
        if status == 403:
            challenge += ', error="insufficient_scope"'
            missing = " ".join((*self.needed, *needed))
            challenge += f', scope="{missing}"' if self.names_scope else ""
        headers = {} if status == 200 else {"WWW-Authenticate": challenge}
        return httpx.Response(status, headers=headers)


def document(value: Any, url: str, status: int = 200, **headers: str) -> HttpResponse:
    pairs = tuple((name.replace("_", "-"), text) for name, text in headers.items())
    return HttpResponse(status, url, pairs, json.dumps(value).encode())


def oauth_error(code: str, status: int = 400) -> HttpResponse:
    return document({"error": code}, ISSUER + "/token", status)


class Person:
    """A prompt: a person who decides at once or (`wait`) only when told to.

    `meanwhile` is called while the page is open.
    """

    def __init__(self, world: World, decision: Decision = "allow") -> None:
        self.world, self.decision = world, decision
        self.meanwhile: Callable[[AuthorizationRequest], object] = lambda request: None
        self.visits: list[Visited] = []
        self.asked: Future[Visited] = Future()

    def visit(self, callback: Callback, server: str, account: str) -> Visited:
        visit = Visited(self, callback)
        self.visits.append(visit)
        return visit

    @property
    def scopes(self) -> list[tuple[str, ...]]:
        """What each visit asked for."""
        return [visit.scope for visit in self.visits]


class Visited:
    def __init__(self, person: Person, callback: Callback) -> None:
        self.redirect_uri = f"http://{callback.host}:{callback.port or 4711}{callback.path}"
        self.scope: tuple[str, ...] = ()
        self.ending: Ending | None = None
        self._person = person
        self._race: FirstAnswer | None = None
        self._cancelled = False

    def ask(self, request: AuthorizationRequest, timeout: float, *beside: AnswerSource) -> Answer:
        self._race, self._request = FirstAnswer(request), request
        self._person.meanwhile(request)
        self.scope = tuple(parse_qs(urlsplit(request.url).query).get("scope", [""])[0].split())
        if self._cancelled:
            self.cancel()
        elif self._person.decision == "timeout":
            raise LoginFailed("no one signed in", code="timeout")
        elif self._person.decision == "wait":
            self._person.asked.set_result(self)
        else:
            self.decide(allow=self._person.decision == "allow")
        return self._race.wait(20)

    def decide(self, *, allow: bool) -> None:
        assert self._race is not None
        server = self._person.world.servers[self._request.server.issuer]
        if self._request.client.client_id not in server.known:
            raise LoginFailed("the server showed an error page", code="timeout")
        assert self._race.offer(server.consent(self._request.url, allow=allow))

    def end(self, ending: Ending) -> None:
        self.ending = ending

    def cancel(self) -> None:
        self._cancelled = True
        if self._race:
            self._race.fail(LoginFailed("the login was aborted", code="aborted"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class Program:
    """One process: an `MCPAuth` of its own on a store that others may share."""

    def __init__(
        self,
        world: World,
        storage: Storage | None = None,
        prompt: Person | None = None,
        **arguments: Any,
    ) -> None:
        self.world = world
        self.storage = storage or MemoryStorage()
        self.events: list[Event] = []
        self.auth = MCPAuth(
            SERVER,
            storage=self.storage,
            prompt=prompt,
            transport=world,
            on_event=self.events.append,
            **arguments,
        )
        self.session = virtual(self.auth.session, world.clock)
        self.auth.session = self.session
        transport = httpx.MockTransport(world.resource)
        self.client = httpx.Client(auth=self.auth, transport=transport, trust_env=False)

    def post(self, needs: str = "") -> int:
        """The status of one request that needs these scopes."""
        return self.client.post(SERVER, json={}, headers={"X-Needs": needs}).status_code

    @property
    def stored(self) -> Credential:
        found = self.storage.load(self.session.key)
        assert found is not None
        return found


def virtual(session: Session, clock: Clock) -> Session:
    """The same session, but with the time of this clock."""
    numbers = itertools.count(1)
    ports: Ports = replace(
        session.ports,
        clock=clock.time,
        monotonic=clock.monotonic,
        sleep=clock.sleep,
        random=lambda: f"random-{next(numbers)}".ljust(43, "x"),
    )
    config: LoginConfig = session.config
    return Session(config, ports, session.prompt)


def credential(
    world: World,
    *,
    lifetime: float | None = 3600.0,
    age: float = 0.0,
    scope: tuple[str, ...] = ("read",),
    requested: tuple[str, ...] | None = None,
    refreshable: bool = True,
    issuer: str = ISSUER,
    **fields: Any,
) -> Credential:
    """A credential known to the authorization server, issued `age` seconds ago."""
    server = world.servers[issuer]
    server.known.add("client-0")
    server.lifetime, before = lifetime, server.lifetime
    server.refreshable, was = refreshable, server.refreshable
    issued = server.issue(Family("client-0", scope))
    server.lifetime, server.refreshable = before, was
    now = world.clock.wall - age
    until = None if lifetime is None else now + lifetime
    server.access[issued["access_token"]] = (
        server.access[issued["access_token"]][0],
        until or now + 10 * DAY,
    )
    refresh = issued.get("refresh_token")
    made = Credential(
        key=KEY,
        issuer=issuer,
        token_endpoint=issuer + "/token",
        client=Client("client-0", issuer, "dynamic", "none", redirect_uris=("http://127.0.0.1/",)),
        tokens=TokenSet(
            Secret(issued["access_token"]),
            issued_at=now,
            expires_at=until,
            refresh_token=Secret(refresh) if refresh else None,
            scope=scope,
        ),
        resource=SERVER,
        revocation_endpoint=issuer + "/revoke",
        requested=scope if requested is None else requested,
    )
    return replace(made, **fields)


@contextmanager
def without_threads(jitter: float = 1.0) -> Iterator[None]:
    """Run everything on the caller's thread; the random draw returns `jitter` (0 to 1)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flights, "_launch", Flights._fly)
        patch.setattr("mcp_client_auth.session.renewal.draw", lambda: jitter)
        patch.setattr("mcp_client_auth.session.renewal.in_background", lambda work: None)
        yield


def logged_in(world: World, prompt: Person | None = None, **fields: Any) -> Program:
    """A program whose store holds a credential; see `session_world.credential`."""
    arguments = fields.pop("arguments", {})
    program = Program(world, prompt=prompt, **arguments)
    program.storage.save(credential(world, **fields))
    return program


def grant(program: Program) -> dict[str, str]:
    held = program.stored
    assert held.tokens.refresh_token is not None
    return {
        "client_id": held.client.client_id,
        "refresh_token": held.tokens.refresh_token.reveal(),
    }


def meanwhile(storage: MemoryStorage, event: Any) -> Any:
    """`storage.lock`, but the event happens while it waits for its first login lease."""
    lock, todo = storage.lock, [event]

    def waiting(key: Any, purpose: str = "refresh", timeout: float = 30.0) -> Any:
        if purpose == "login" and todo:
            todo.pop()()
        return lock(key, purpose, timeout)

    return waiting
