"""Which token to send now: the only place that reads the store, takes the locks and decides.

Fresh token, else refresh, else the person; and never the person where nobody can answer.
"""

from __future__ import annotations

import random
import shlex
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final, Literal

from .cooling import Cooling
from .credential import Credential, Key
from .errors import (
    AuthError,
    BadResponse,
    InsufficientScope,
    LoginFailed,
    LoginRequired,
    StorageError,
    TokenRefused,
    Unavailable,
)
from .events import Event, tell
from .flight import Flights, done, on_the_wire, wait
from .prompt import Prompt, Visit
from .protocol.challenge import Challenge
from .protocol.registration import PreRegistered
from .protocol.scopes import Scopes, step_up
from .protocol.tokens import TokenSet, refresh, summary
from .protocol.urls import below, covers, shown
from .steps import (
    DEAD_CLIENT,
    Edges,
    Wanted,
    forget_client,
    fresh_token_refused,
    log_in,
    probe,
    readable,
    sign_out,
)

DEFINITE: Final = ("invalid_grant", *DEAD_CLIENT)
_LEASE: Final = 660.0
_JUST_RENEWED: Final = 5.0
_MARGIN: Final = 60.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Held:
    """A credential in memory, with the moment from which it is due for renewal."""

    credential: Credential
    due: float

    @classmethod
    def of(cls, credential: Credential) -> _Held:
        margin = min(_MARGIN, 0.1 * (credential.tokens.lifetime or 0.0))
        return cls(credential, _end(credential) - margin * _jitter())

    @classmethod
    def until(cls, credential: Credential, due: float = float("inf")) -> _Held:
        """Not to be renewed before `due`; but a dead token is not sent in any case."""
        return cls(credential, min(due, _end(credential)))


@dataclass(frozen=True, slots=True)
class _Trouble:
    """A passing fault of the token endpoint: until `until` (monotonic) nothing is sent there."""

    error: Unavailable
    pause: float
    until: float


class Session:
    """One login to one server. Safe from any thread, task and event loop."""

    def __init__(self, wanted: Wanted, edges: Edges, prompt: Prompt | None) -> None:
        self.wanted, self.edges, self.prompt = wanted, edges, prompt
        self._flights = Flights()
        self._cooling = Cooling(edges.storage, wanted.key, edges.clock)
        self._held: _Held | None = None
        self._looked = False
        self._unproven: Credential | None = None  # of a login, and not accepted yet
        self._useless: Credential | None = None  # refused, and a refresh did not help
        self._unsaved: Credential | None = None  # rotated, and the storage failed to keep it
        self._unrenewable: Credential | None = None  # its refresh token was refused
        self._trouble: _Trouble | None = None
        self._visit: Visit | None = None
        self._closings = 0

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
            self._flights.start("renew", lambda: self._renewed(None))
        return held.credential

    def owns(self, url: str) -> bool:
        """Whether our token goes with a request to `url`: below our server's directory, and
        no login to a more specific server is held. Looks into the index; remember the answer."""
        if not covers(self.wanted.server_url, url):
            return False
        others = (replace(self.key, server=server) for server in below(self.key.server, url))
        return not any(self.edges.storage.summary(key) for key in others)

    def settled(self) -> bool:
        """Whether there is nothing to wait for: no credential, and none in the store."""
        return self._held is None and self._looked

    def ready(self) -> Future[Credential | None]:
        """What to send when there is no fresh token: a stored or refreshed one, or None."""
        return self._flights.start("ready", self._found)

    def after_401(self, sent: Credential | None, challenge: Challenge | None) -> Future[Credential]:
        """A token to try once more with, after the server refused `sent` (or its absence)."""
        held = self.current()
        if held is not None and not _same_token(held, sent):
            return done(held)  # it was renewed while the request was under way
        which = f"answer {sent.generation if sent else None}"
        return self._flights.start(which, lambda: self._answered(sent, challenge))

    def after_403(
        self, sent: Credential, challenge: Challenge, *, again: bool = False
    ) -> Future[Credential]:
        """A token with more scope (MCP "Step-Up Authorization Flow"); `again`: it did not help."""
        name = f"step-up {' '.join(challenge.scope or ())}{' again' if again else ''}"
        return self._flights.start(name, lambda: self._stepped(sent, challenge, again=again))

    def refused(self, sent: Credential) -> None:
        """The server refused what was to help after a 401: one more like it is of no use."""
        self._useless = sent

    def accepted(self, sent: Credential) -> None:
        """The server took this token: should it refuse it later, a new login makes sense."""
        if self._unproven is sent:
            self._unproven = None
        if self._useless is sent:
            self._useless = None

    # What the command and `login()` ask

    def usable(self) -> Credential | None:
        """The login that is there, refreshed when needed, if it serves what is wanted."""
        try:
            held = wait(self.ready())
        except StorageError as error:
            if error.code != "damaged_record":
                raise
            return None  # a login writes a new one
        return held if held and self._covers_wanted(held) else None

    def log_in(self, *, force: bool = False) -> Credential:
        """All fifteen steps on the caller's thread; at once when there is a usable login."""
        if not force and (held := self.usable()):
            return held
        challenge = probe(self.wanted, self.edges, None)
        self._cooling.clear()
        began = self._closings
        credential = self._flights.here(
            "login", lambda: self._login(challenge, None, began, force=force)
        )
        try:
            probe(self.wanted, self.edges, credential)
        except (Unavailable, BadResponse) as error:
            error.hint = "The login is kept; only the server's first answer is missing"
            raise
        self.accepted(credential)
        return credential

    def fresh(self, min_valid: float = 0.0) -> Credential:
        """A credential that lives at least `min_valid` seconds more, refreshed if needed."""
        held = self.current() or wait(self.ready())
        expires = held.tokens.expires_at if held else None
        if held and expires is not None and expires < self.edges.clock() + min_valid:
            held = wait(self._flights.start("renew early", lambda: self._patiently_renewed(held)))
        if held is None:
            raise self._login_required("you are not logged in to")
        return held

    def log_out(self) -> Literal["nothing", "revoked", "forgotten"]:
        """Delete the login here, then revoke it at the server (RFC 7009).

        "forgotten": the server has not revoked it, or could not be reached.
        """
        with self.edges.storage.lock(self.key):
            stored = readable(self.edges.storage, self.key)
            self.edges.storage.delete(self.key)
            self._cooling.clear()
            self._held, self._unsaved, self._looked = None, None, True
        if stored is None:
            return "nothing"
        return "revoked" if sign_out(self.edges, stored) else "forgotten"

    def close(self) -> None:
        """End a login that is waiting for its person, or is on the way to him."""
        self._closings += 1
        if self._visit:
            self._visit.cancel()

    # Renewal

    def _found(self) -> Credential | None:
        """What is stored, at once while it lives; only an expired token is waited for."""
        stored = self.edges.storage.load(self.key)
        if stored and self._fits(stored) and not _same_token(stored, self._useless):
            self._hold(stored)
            if held := self.current():  # renews it in the background where that is due
                return held
        return self._patiently_renewed(None)

    def _patiently_renewed(self, rejected: Credential | None) -> Credential | None:
        """The same again after a passing fault, with pauses, within the caller's patience."""
        began = self.edges.monotonic()
        while True:
            try:
                return self._renewed(rejected)
            except Unavailable:
                trouble = self._trouble
                now = self.edges.monotonic()
                patience = began + self.wanted.options.patience
                if trouble is None or max(trouble.until, now) > patience:
                    raise
                self.edges.sleep(max(trouble.until - now, 0.0))

    def _renewed(self, rejected: Credential | None) -> Credential | None:
        """Read the store under the lock; refresh once what is expired or was rejected."""
        with self.edges.storage.lock(self.key):
            now = self.edges.clock()  # not before: the lock may have taken long
            stored = self._stored()
            if stored is None or not self._fits(stored):
                return self._left(None)
            if rejected is None and _same_token(stored, self._useless):
                rejected = stored
            if self._still_good(stored, rejected, now):
                return self._hold(stored)
            usable = stored.alive(now) and not _same_token(stored, rejected)
            if stored.tokens.refresh_token is None:
                return self._left(stored if usable else None)
            try:
                return self._hold(self._refreshed(stored, now))
            except TokenRefused as error:
                return self._refresh_refused(stored, error, usable=usable)
            except Unavailable:
                if not usable or self._trouble is None:
                    raise
                pause = self._trouble.until - self.edges.monotonic()
                self._held = _Held.until(stored, now + max(pause, 0.0))
                return stored

    def _stored(self) -> Credential | None:
        """What the storage holds, or would hold had it not failed to keep it (under the lock)."""
        stored, unsaved = self.edges.storage.load(self.key), self._unsaved
        if unsaved is None or stored is None or stored.generation >= unsaved.generation:
            return stored
        return self._keep(unsaved)

    def _keep(self, fresh: Credential) -> Credential:
        self._unsaved = fresh  # its predecessor has been rotated: nothing else can be used
        self.edges.storage.save(fresh)
        self._unsaved = None
        return fresh

    def _refreshed(self, stored: Credential, now: float) -> Credential:
        """One token request, and its answer kept before anything else happens."""
        trouble = self._trouble
        if trouble and self.edges.monotonic() < trouble.until:
            raise trouble.error.fresh()
        with on_the_wire():
            try:
                tokens = self.edges.run(refresh(stored, now))
            except (Unavailable, BadResponse) as error:
                raise self._troubled(error) from None
            fresh = self._keep(stored.renewed(tokens))
        self._trouble = None
        if _same_token(stored, self._unproven):
            self._unproven = fresh
        self.edges.tell("refresh", url=shown(stored.token_endpoint), detail=summary(tokens))
        return fresh

    def _troubled(self, error: Unavailable | BadResponse) -> Unavailable:
        """Note a passing fault. An answer that is no OAuth answer says nothing about the grant."""
        fault = (
            error
            if isinstance(error, Unavailable)
            else Unavailable(
                error.summary, url=error.url, hint="The credential was kept; try later"
            )
        )
        last = self._trouble.pause if self._trouble else _FIRST_PAUSE / 2
        pause = min(last * 2, _LONGEST_PAUSE)
        wanted = max(fault.retry_after or 0.0, pause * _jitter())
        self._trouble = _Trouble(fault, pause, self.edges.monotonic() + wanted)
        self.edges.tell("refresh", url=fault.url, detail=fault.summary, rule="kept; again later")
        return fault

    def _refresh_refused(
        self, stored: Credential, error: TokenRefused, *, usable: bool
    ) -> Credential | None:
        """A definite rejection ends the refresh token; the record itself stays."""
        event = Event("refresh", shown(stored.token_endpoint), error.status, error.summary)
        tell(self.edges.on_event, event)
        if error.code in DEFINITE:
            if error.code in DEAD_CLIENT and stored.client.redirect_uris:
                forget_client(self.edges, stored.client, stored.client.redirect_uris[0])
            held = self.edges.storage.load(self.key)
            if held and held.tokens.refresh_token != stored.tokens.refresh_token:
                return self._hold(held) if held.alive(self.edges.clock()) else self._left(None)
            spent: TokenSet = replace(stored.tokens, refresh_token=None)
            stored = stored.renewed(spent)
            self.edges.storage.save(stored)
        self._unrenewable = stored
        return self._left(stored if usable else None)

    def _still_good(self, stored: Credential, rejected: Credential | None, now: float) -> bool:
        if rejected is not None:
            return not _same_token(stored, rejected) and stored.alive(now)
        return now < _Held.of(stored).due

    # Login

    def _answered(self, sent: Credential | None, challenge: Challenge | None) -> Credential:
        recent = sent is not None and (sent is self._useless or self._just_renewed(sent))
        renewed = self._replaced(sent) if recent else self._patiently_renewed(sent)
        if renewed is not None:
            return renewed
        if recent and sent is self._unproven:
            refused = fresh_token_refused(self.key.server)
            self._cooling.remember("login", refused)
            raise refused
        self._useless = sent or self._useless
        began = self._closings
        return wait(self._flights.start("login", lambda: self._login(challenge, sent, began)))

    def _replaced(self, sent: Credential | None) -> Credential | None:
        """What somebody else has stored since; nothing is refreshed."""
        stored = self.edges.storage.load(self.key)
        if stored is None or not self._fits(stored):
            return None
        return self._hold(stored) if self._still_good(stored, sent, self.edges.clock()) else None

    def _just_renewed(self, sent: Credential) -> bool:
        """A token of a moment ago that is refused is not a matter of its age."""
        lifetime = sent.tokens.lifetime
        moment = _JUST_RENEWED if lifetime is None else min(_JUST_RENEWED, lifetime / 2)
        return 0 <= self.edges.clock() - sent.tokens.issued_at < moment

    def _login(
        self,
        challenge: Challenge | None,
        sent: Credential | None,
        began: int,
        *,
        scope: Scopes | None = None,
        force: bool = False,
    ) -> Credential:
        """One login at a time over all processes; who waited takes what the other one got."""
        if self.prompt is None:
            raise self._login_required("a person must log in to")
        with self.edges.storage.lock(self.key, "login", _LEASE):
            if not force and (found := self._found_meanwhile(sent, scope)):
                return found
            purpose = f"step-up to {' '.join(scope)}" if scope else "login"
            self._cooling.check(purpose)
            try:
                fresh = log_in(
                    self.wanted,
                    self.edges,
                    self.prompt,
                    challenge,
                    scope=self.wanted.scope if force else scope,
                    on_visit=lambda visit: self._visiting(visit, began),
                )
            except AuthError as error:
                self._cooling.remember(purpose, error.at(server=self.key.server, step="login"))
                raise
            finally:
                self._visit = None
            self._unproven, self._trouble = fresh, None
            return self._hold(fresh)

    def _found_meanwhile(self, sent: Credential | None, scope: Scopes | None) -> Credential | None:
        """A login that somebody else has made while we waited for the lease."""
        stored = readable(self.edges.storage, self.key)
        if stored is None or not self._fits(stored) or _same_token(stored, sent or self._useless):
            return None
        if not set(scope or self.wanted.scope or ()) <= _had(stored):
            return None
        if stored.alive(self.edges.clock()):
            return self._hold(stored)
        return None if _same_token(stored, self._unrenewable) else self._renewed(sent)

    def _stepped(self, sent: Credential, challenge: Challenge, *, again: bool) -> Credential:
        needed, latest = challenge.scope or (), self._replaced(sent) or sent
        granted = latest.tokens.scope or ()
        if latest is not sent and set(needed) <= set(granted):
            return latest  # another request or process has stepped up meanwhile
        scope = step_up(latest.requested or (), granted, needed)
        if again or set(scope) <= set(latest.requested or ()):
            raise InsufficientScope(
                f"the server still wants more scope after {' '.join(scope)} was asked for",
                url=self.key.server,
                server=self.key.server,
                requested=scope,
                granted=granted,
                hint="The account may lack the permission; when that has changed, run: "
                + self._command("--force"),
            )
        if self.prompt is None:
            raise self._login_required(f"the scope {' '.join(needed)} must be granted for", scope)
        tell(self.edges.on_event, Event("step-up", self.key.server, 403, " ".join(scope)))
        name = f"login for {' '.join(scope)}"  # it must not join a login for less
        began = self._closings
        return wait(
            self._flights.start(name, lambda: self._login(challenge, sent, began, scope=scope))
        )

    # Small things

    def _visiting(self, visit: Visit, began: int) -> None:
        self._visit = visit
        if self._closings != began:  # closed before there was anything to cancel
            raise LoginFailed("the login was aborted", code="aborted", hint="Nothing was changed")

    def _hold(self, credential: Credential) -> Credential:
        self._held, self._looked = _Held.of(credential), True
        return credential

    def _left(self, credential: Credential | None) -> Credential | None:
        """What is left where nothing can be renewed: a token to its end, or none."""
        self._held, self._looked = _Held.until(credential) if credential else None, True
        return credential

    def _fits(self, stored: Credential) -> bool:
        """A credential of another client or resource than the caller's is not his."""
        identity, wanted = self.wanted.identity, self.wanted.options.resource
        if isinstance(identity, PreRegistered) and identity.client_id != stored.client.client_id:
            return False
        return wanted is None or (wanted or None) == stored.resource

    def _covers_wanted(self, credential: Credential) -> bool:
        return set(self.wanted.scope or ()) <= _had(credential)

    def _command(self, *more: str) -> str:
        account = () if self.key.account == "default" else ("--account", self.key.account)
        return shlex.join(["mcp-login", self.key.server, *account, *more])

    def _login_required(self, why: str, scope: Scopes | None = None) -> LoginRequired:
        scope = scope or self.wanted.scope
        asked = ("--scope", " ".join(scope)) if scope else ()
        return LoginRequired(
            f"{why} {self.key.server}",
            server=self.key.server,
            hint=f"Run: {self._command(*asked)}",
        )


def _end(credential: Credential) -> float:
    expires = credential.tokens.expires_at
    return float("inf") if expires is None else expires


def _jitter() -> float:
    return random.uniform(0.5, 1.0)  # noqa: S311 - not a secret, only to spread a crowd


def _had(credential: Credential) -> set[str]:
    return {*(credential.tokens.scope or ()), *(credential.requested or ())}


def _same_token(stored: Credential, other: Credential | None) -> bool:
    return other is not None and stored.tokens.access_token == other.tokens.access_token
