"""Which token to send now: the only place that reads the store, takes the locks and decides.

Fresh token, else refresh, else the person; and never the person where nobody can answer.
"""

from __future__ import annotations

import json
import random
import shlex
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final, Literal

from .credential import Credential, Key
from .errors import (
    AuthError,
    AuthorizationDenied,
    BadResponse,
    InsufficientScope,
    LoginFailed,
    LoginRequired,
    TokenRefused,
    Unavailable,
)
from .events import Event, tell
from .flight import Flights, wait
from .prompt import Prompt, Visit
from .protocol.challenge import Challenge, read_challenges, relevant
from .protocol.flow import HttpRequest
from .protocol.registration import PreRegistered
from .protocol.scopes import Scopes, step_up
from .protocol.tokens import TokenSet, refresh, revoke
from .protocol.urls import shown
from .steps import DEAD_CLIENT, Edges, Wanted, forget_client, log_in

DEFINITE: Final = ("invalid_grant", *DEAD_CLIENT)
_LEASE: Final = 660.0
_JUST_RENEWED: Final = 5.0
_MARGIN: Final = 60.0
_COOLING: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Held:
    """A credential in memory, with the moment from which it is due for renewal."""

    credential: Credential
    due: float

    @classmethod
    def of(cls, credential: Credential) -> _Held:
        tokens = credential.tokens
        if tokens.expires_at is None:
            return cls(credential, float("inf"))
        margin = min(_MARGIN, 0.1 * (tokens.lifetime or 0.0))
        return cls(credential, tokens.expires_at - margin * random.uniform(0.5, 1.0))  # noqa: S311


class Session:
    """One login to one server. Safe from any thread, task and event loop."""

    def __init__(self, wanted: Wanted, edges: Edges, prompt: Prompt | None) -> None:
        self.wanted, self.edges, self.prompt = wanted, edges, prompt
        self._flights = Flights()
        self._held: _Held | None = None
        self._looked = False
        self._stepped_up: set[Scopes] = set()
        self._visit: Visit | None = None
        self._unproven: Credential | None = None
        self._cooling: tuple[AuthError, float] | None = None

    @property
    def key(self) -> Key:
        return self.wanted.key

    # What a request asks

    def current(self) -> Credential | None:
        """The fast path: a token that may be sent as it is. No lock, no thread, no I/O."""
        held = self._held
        if held is None:
            return None
        now = self.edges.clock()
        if now < held.due:
            return held.credential
        if not held.credential.alive(now):
            return None
        if held.credential.tokens.refresh_token:
            self._flights.start("renew", lambda: self._renewed(None), keep=True)
        return held.credential

    def settled(self) -> bool:
        """Whether there is nothing to wait for: no credential, and none in the store."""
        return self._held is None and self._looked

    def ready(self) -> Future[Credential | None]:
        """What to send when there is no fresh token: a stored or refreshed one, or None."""
        return self._flights.start("renew", lambda: self._renewed(None), keep=True)

    def after_401(self, sent: Credential | None, challenge: Challenge | None) -> Future[Credential]:
        """A token to try once more with, after the server refused `sent` (or its absence)."""
        which = f"answer {sent.generation if sent else None}"
        return self._flights.start(which, lambda: self._answered(sent, challenge), keep=True)

    def accepted(self, sent: Credential) -> None:
        """The server took this token: should it refuse it later, a new login makes sense."""
        if self._unproven is sent:
            self._unproven = None

    def after_403(
        self, sent: Credential, challenge: Challenge, *, again: bool = False
    ) -> Future[Credential]:
        """A token with more scope (MCP "Step-Up Authorization Flow"); `again`: it did not help."""
        name = f"step-up {' '.join(challenge.scope or ())}{' again' if again else ''}"
        return self._flights.start(name, lambda: self._stepped(sent, challenge, again=again))

    # What the command and `login()` ask

    def usable(self) -> Credential | None:
        """The login that is there, refreshed when needed, if it serves what is wanted."""
        held = wait(self.ready())
        return held if held and self._covers_wanted(held) else None

    def log_in(self, *, force: bool = False) -> Credential:
        """All fifteen steps on the caller's thread; at once when there is a usable login."""
        if not force and (held := self.usable()):
            return held
        challenge = self._probe(None)
        credential = self._flights.here("login", lambda: self._login(challenge, None, force=force))
        self._probe(credential)
        return credential

    def fresh(self, min_valid: float = 0.0) -> Credential:
        """A credential that lives at least `min_valid` seconds more, refreshed if needed."""
        held = self.current() or wait(self.ready())
        expires = held.tokens.expires_at if held else None
        if held and expires is not None and expires < self.edges.clock() + min_valid:
            held = wait(self._flights.start("renew", lambda: self._renewed(held), keep=True))
        if held is None:
            raise self._login_required("you are not logged in to")
        return held

    def log_out(self) -> Literal["nothing", "revoked", "forgotten"]:
        """Delete the login here, then revoke it at the server (RFC 7009).

        "forgotten": the server has not revoked it, or could not be reached.
        """
        with self.edges.storage.lock(self.key):
            stored = self.edges.storage.load(self.key)
            self.edges.storage.delete(self.key)
            self._held, self._looked = None, True
        if stored is None:
            return "nothing"
        return "revoked" if self._revoke(stored) else "forgotten"

    def close(self) -> None:
        """End a login that is waiting for its person."""
        if self._visit:
            self._visit.cancel()

    # How it decides

    def _renewed(self, rejected: Credential | None) -> Credential | None:
        """Read the store under the lock, refresh what is expired or was rejected."""
        storage, now = self.edges.storage, self.edges.clock()
        with storage.lock(self.key):
            stored = storage.load(self.key)
            self._looked = True
            if stored is None or not self._fits(stored):
                self._held = None
                return None
            if self._still_good(stored, rejected, now):
                return self._hold(stored)
            if stored.tokens.refresh_token is None:
                usable = stored.alive(now) and not _same_token(stored, rejected)
                self._held = _Held(stored, float("inf")) if usable else None
                return stored if usable else None
            try:
                tokens = self.edges.run(refresh(stored, now))
            except (Unavailable, BadResponse) as error:
                if stored.alive(now) and not _same_token(stored, rejected):
                    return self._hold(stored)
                raise _transient(error) from None
            except TokenRefused as error:
                return self._refresh_refused(stored, error, now)
            fresh = stored.renewed(tokens)
            storage.save(fresh)
            return self._hold(fresh)

    def _still_good(self, stored: Credential, rejected: Credential | None, now: float) -> bool:
        if rejected is not None:
            return not _same_token(stored, rejected) and stored.alive(now)
        return now < _Held.of(stored).due

    def _refresh_refused(
        self, stored: Credential, error: TokenRefused, now: float
    ) -> Credential | None:
        """A definite rejection ends the refresh token; the record itself stays."""
        tell(
            self.edges.on_event,
            Event("refresh", shown(stored.token_endpoint), error.status, f"refused: {error.code}"),
        )
        if error.code in DEFINITE:
            if error.code in DEAD_CLIENT and stored.client.redirect_uris:
                forget_client(self.edges, stored.client, stored.client.redirect_uris[0])
            spent: TokenSet = replace(stored.tokens, refresh_token=None)
            self.edges.storage.save(stored.renewed(spent))
        self._held = None
        return stored if stored.alive(now) and error.code not in DEFINITE else None

    def _answered(self, sent: Credential | None, challenge: Challenge | None) -> Credential:
        renewed = self._renewed(sent) if not self._just_renewed(sent) else None
        if renewed is not None:
            return renewed
        if sent is not None and sent is self._unproven:
            raise self._fresh_token_refused()
        return wait(self._flights.start("login", lambda: self._login(challenge, sent)))

    def _just_renewed(self, sent: Credential | None) -> bool:
        """A token of a moment ago that is refused is not a matter of its age."""
        if sent is None:
            return False
        lifetime = sent.tokens.lifetime
        moment = _JUST_RENEWED if lifetime is None else min(_JUST_RENEWED, lifetime / 2)
        return 0 <= self.edges.clock() - sent.tokens.issued_at < moment

    def _login(
        self,
        challenge: Challenge | None,
        sent: Credential | None,
        *,
        scope: Scopes | None = None,
        force: bool = False,
    ) -> Credential:
        """One login at a time over all processes; who waited takes what the other one got."""
        if self.prompt is None:
            raise self._login_required("a person must log in to")
        with self.edges.storage.lock(self.key, "login", _LEASE):
            if not force:
                self._cool_down()
            if not force and scope is None:
                stored = self.edges.storage.load(self.key)
                if stored and self._fits(stored) and self._newer(stored, sent):
                    return self._hold(stored)
            try:
                fresh = log_in(
                    self.wanted,
                    self.edges,
                    self.prompt,
                    challenge,
                    scope=scope,
                    on_visit=self._visiting,
                )
            except (AuthorizationDenied, LoginFailed) as error:
                self._cooling = error, self.edges.clock() + _COOLING
                raise
            else:
                self._unproven, self._cooling = fresh, None
                return self._hold(fresh)
            finally:
                self._visit = None

    def _cool_down(self) -> None:
        """After a denied or failed login nobody is asked again for a while."""
        if self._cooling and self.edges.clock() < self._cooling[1]:
            raise self._cooling[0].fresh()

    def _newer(self, stored: Credential, sent: Credential | None) -> bool:
        alive = stored.alive(self.edges.clock())
        return alive and not _same_token(stored, sent) and self._covers_wanted(stored)

    def _stepped(self, sent: Credential, challenge: Challenge, *, again: bool) -> Credential:
        held = self._held.credential if self._held else sent
        needed = set(challenge.scope or ())
        if held.generation > sent.generation and needed <= set(held.tokens.scope or ()):
            return held  # another request has stepped up meanwhile
        granted = sent.tokens.scope or ()
        scope = step_up(sent.requested or (), granted, challenge.scope or ())
        if again or scope in self._stepped_up:
            raise InsufficientScope(
                f"the server still wants more scope after {' '.join(scope)} was asked for",
                url=self.key.server,
                server=self.key.server,
                requested=scope,
                granted=granted,
                hint="The account may lack the permission; ask the server's operator",
            )
        if self.prompt is None:
            raise self._login_required(
                f"the scope {' '.join(challenge.scope or ())} must be granted for", scope
            )
        self._stepped_up.add(scope)
        tell(self.edges.on_event, Event("step-up", self.key.server, 403, " ".join(scope)))
        return wait(self._flights.start("login", lambda: self._login(challenge, sent, scope=scope)))

    # Small things

    def _visiting(self, visit: Visit) -> None:
        self._visit = visit

    def _hold(self, credential: Credential) -> Credential:
        self._held, self._looked = _Held.of(credential), True
        return credential

    def _fits(self, stored: Credential) -> bool:
        """A credential of another client or resource than the caller's is not his."""
        identity, wanted = self.wanted.identity, self.wanted.options.resource
        if isinstance(identity, PreRegistered) and identity.client_id != stored.client.client_id:
            return False
        return wanted is None or (wanted or None) == stored.resource

    def _covers_wanted(self, credential: Credential) -> bool:
        had = (*(credential.tokens.scope or ()), *(credential.requested or ()))
        return set(self.wanted.scope or ()) <= set(had)

    def _login_required(self, why: str, scope: Scopes | None = None) -> LoginRequired:
        command = ["mcp-login", self.key.server]
        if self.key.account != "default":
            command += ["--account", self.key.account]
        if scope:
            command += ["--scope", " ".join(scope)]
        return LoginRequired(
            f"{why} {self.key.server}",
            server=self.key.server,
            hint=f"Run: {shlex.join(command)}",
        )

    def _probe(self, credential: Credential | None) -> Challenge | None:
        """Steps 1 and 2 without a token, 14 and 15 with one: the same MCP request."""
        names = ("authorized-request", "answer") if credential else ("request", "challenge")
        where = shown(self.wanted.server_url)
        self.edges.tell(names[0], url=where)
        response = self.edges.transport(_probe_request(self.wanted.server_url, credential))
        challenge = relevant(read_challenges(response.header_values("www-authenticate")))
        detail = f"{challenge.scheme} challenge" if challenge else "no challenge"
        tell(
            self.edges.on_event,
            Event(names[1], where, response.status, detail, seconds=response.seconds),
        )
        if credential is None:
            return challenge if response.status == 401 else None
        if response.status == 401:
            raise self._fresh_token_refused()
        self.accepted(credential)
        return None

    def _fresh_token_refused(self) -> TokenRefused:
        return TokenRefused(
            "the server refuses the token that its authorization server has just issued",
            url=self.key.server,
            server=self.key.server,
            code="invalid_token",
            status=401,
            hint="The operator must mend this: token audience and issuer are the usual causes",
        )

    def _revoke(self, credential: Credential) -> bool:
        """Whether the server has ended the grant: its refresh token, else its access token."""
        endpoint, tokens = credential.revocation_endpoint, credential.tokens
        pairs = [(tokens.refresh_token, "refresh_token"), (tokens.access_token, "access_token")]
        done = []
        for token, hint in pairs:
            if token is None or not endpoint:
                continue
            try:
                done.append(self.edges.run(revoke(endpoint, credential.client, token, hint)))
            except AuthError as error:
                self.edges.tell(
                    "revocation", url=shown(endpoint), detail=f"{hint}: {error.summary}"
                )
                done.append(False)
        return bool(done) and done[0]


def _same_token(stored: Credential, other: Credential | None) -> bool:
    return other is not None and stored.tokens.access_token == other.tokens.access_token


def _transient(error: AuthError) -> Unavailable:
    """An answer that is no OAuth answer says nothing about the credential: it is kept."""
    if isinstance(error, Unavailable):
        return error
    return Unavailable(
        error.summary, url=error.url, hint="The credential was kept; try again later"
    )


def _probe_request(server_url: str, credential: Credential | None) -> HttpRequest:
    """An MCP `initialize`, which every revision before 2026-07-28 answers and that one refuses."""
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "mcp-login", "version": "1"},
        },
    }
    headers = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
    }
    if credential is not None:
        headers["Authorization"] = "Bearer " + credential.tokens.access_token.reveal()
    return HttpRequest("POST", server_url, headers, json.dumps(message).encode())
