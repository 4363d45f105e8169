"""Which token to send now: the only place that reads the store, takes the locks and decides.

Fresh token, else refresh, else the person; and never the person where nobody can answer. A
grant that asks nobody stands in the person's place.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from typing import Final

from .binding import Binding
from .clients import named_before
from .cooling import Cooling
from .credential import Credential, Key
from .errors import (
    AuthError,
    BadResponse,
    LoginFailed,
    LoginRequired,
    StorageError,
    Unavailable,
    quoted,
)
from .events import Event, tell
from .flight import Flights, done, wait
from .keeping import readable
from .leaving import LoggedOut, end_at_server, forget, forget_registration
from .obtaining import log_in_by_device, obtain, own_client
from .probing import bound_by, fresh_token_refused, lacking, probe, too_little_scope
from .prompt import Prompt, Visit
from .prompt.device import DevicePrompt, DeviceVisit
from .protocol.challenge import Challenge
from .protocol.scopes import Scopes, step_up
from .protocol.urls import below, covers, same_issuer
from .renewal import Renewal, same_token
from .requiring import command_for, login_required
from .steps import Edges, Wanted, log_in
from .storage.memory import MemoryStorage

_LEASE: Final = 660.0
_JUST_RENEWED: Final = 5.0


class Session:
    """One login to one server. Safe from any thread, task and event loop."""

    def __init__(self, wanted: Wanted, edges: Edges, prompt: Prompt | DevicePrompt | None) -> None:
        self.wanted, self.edges, self.prompt = wanted, edges, prompt
        self._flights = Flights()
        # a program that was started again with a mended secret must not wait for the old one
        notes = MemoryStorage() if wanted.alone else edges.storage
        self._cooling = Cooling(notes, wanted.key, edges.clock)
        self._renewal = Renewal(wanted, edges)
        self._visit: Visit | DeviceVisit | None = None
        self._closings = 0

    @property
    def key(self) -> Key:
        return self.wanted.key

    # What a request asks

    def current(self) -> Credential | None:
        """The fast path: a token that may be sent as it is. No lock, no thread, no I/O."""
        held = self._renewal.held
        if held is None:
            return None
        now = self.edges.clock()
        if now < held.due:
            return held.credential
        if not held.credential.alive(now):
            return None
        if self._renewal.can_renew(held.credential):
            self._flights.start("renew", lambda: self._renewal.now(None))
        return held.credential

    def owns(self, url: str) -> bool:
        """Whether our token goes with a request to `url`: below our server's directory, and
        no login to a more specific server is held. Looks into the index; remember the answer."""
        if not covers(self.wanted.server_url, url):
            return False
        others = (replace(self.key, server=server) for server in below(self.key.server, url))
        return not any(self.edges.storage.summary(key) for key in others)

    def binding(self, credential: Credential) -> Binding | None:
        """What signs each request with a bound token (RFC 9449 §7); None for a Bearer token."""
        return bound_by(self.edges, credential)

    def settled(self) -> bool:
        """Whether there is nothing to wait for: no credential, and none in the store."""
        return self._renewal.held is None and self._renewal.looked

    def ready(self) -> Future[Credential | None]:
        """What to send when there is no fresh token: a stored or refreshed one, or None."""
        return self._flights.start("ready", self._found)

    def after_401(self, sent: Credential | None, challenge: Challenge | None) -> Future[Credential]:
        """A token to try once more with, after the server refused `sent` (or its absence)."""
        held = self.current()
        if held is not None and not same_token(held, sent):
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
        """The server refused what was to help after a 401.

        It counts only when it was just issued: one that somebody stored earlier may be old.
        """
        if 0 <= self.edges.clock() - sent.tokens.issued_at < _JUST_RENEWED:
            self._renewal.useless = sent
            self._renewal.refusals += 1

    def accepted(self, sent: Credential) -> None:
        """The server took this token: should it refuse it later, a new login makes sense."""
        if self._renewal.unproven is sent:
            self._renewal.unproven = None
        if self._renewal.useless is not None:
            self._renewal.useless, self._renewal.refusals = None, 0

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
            "login", lambda: self._login(challenge, None, began, force=force, explicit=True)
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
        held, lacks = self.current() or wait(self.ready()), ""
        expires = held.tokens.expires_at if held else None
        if held and expires is not None and expires < self.edges.clock() + min_valid:
            held = wait(self._flights.start("renew early", lambda: self._renewal.patiently(held)))
            lacks = f"the login ends within {min_valid:g} s, and cannot be renewed, at"
        if held is None and self.wanted.alone:
            return self.log_in()
        if held is None:
            raise self._no_longer(lacks or self._lacking())
        return held

    def refresh(self) -> Credential:
        """A new access token now; `LoginRequired` where the one that is held cannot be renewed."""
        held = wait(self.ready())
        if held is None:
            raise login_required(self.wanted, self._lacking())
        if not self._renewal.can_renew(held):
            raise login_required(
                self.wanted, "there is no refresh token, so a new login is needed at"
            )
        fresh = wait(self._flights.start("renew now", lambda: self._renewal.patiently(held)))
        if fresh is None:
            raise login_required(
                self.wanted, "the authorization server no longer renews the login to"
            )
        return fresh

    def log_out(self, *, local: bool = False) -> LoggedOut:
        """Delete the login here, then end it at the server, unless `local` (RFC 7009, 7592)."""
        with self.edges.storage.lock(self.key):
            found, stored, trouble = forget(self.edges.storage, self.key)
            self._cooling.clear()
            self._renewal.forget()
        if stored is None:
            return LoggedOut(found, trouble=trouble)
        if self.wanted.alone:
            stored = replace(stored, client=own_client(self.wanted, stored))
        if local:
            forget_registration(self.edges, stored.client)
            return LoggedOut(found)
        return end_at_server(self.edges, stored, self.wanted.identity)

    def close(self) -> None:
        """End a login that is waiting for its person, or is on the way to him."""
        self._closings += 1
        if self._visit:
            self._visit.cancel()

    # How it decides

    def _found(self) -> Credential | None:
        """What is stored, at once while it lives; only an expired token is waited for."""
        stored = self._renewal.stored()
        if stored and not same_token(stored, self._renewal.useless):
            self._renewal.hold(stored)
            if held := self.current():  # renews it in the background where that is due
                return held
        return self._renewal.patiently(None)

    def _answered(self, sent: Credential | None, challenge: Challenge | None) -> Credential:
        stuck = sent is not None and self._cannot_help(sent, challenge)
        renewed = None if stuck else self._renewal.patiently(sent)
        if renewed is not None:
            return renewed
        if sent and stuck and sent is self._renewal.unproven:
            refused = fresh_token_refused(self.key.server, bound=sent.tokens.bound)
            self._cooling.remember("login", refused)
            raise refused
        if sent and not stuck:  # one of a moment ago may yet be refreshed, when it is older
            self._renewal.useless = sent
        began = self._closings
        return wait(self._flights.start("login", lambda: self._login(challenge, sent, began)))

    def _cannot_help(self, sent: Credential, challenge: Challenge | None) -> bool:
        """Whether a refresh of `sent` is of no use, and nobody has stored anything else."""
        stored, renewal = self._renewal.stored(), self._renewal
        if stored is None or not same_token(stored, sent):
            return False
        if challenge and challenge.dpop_only and not sent.tokens.bound:
            return True  # only a login binds (RFC 9449 §5)
        age = self.edges.clock() - sent.tokens.issued_at
        again = sent is renewal.useless and (renewal.refusals > 1 or 0 <= age < _JUST_RENEWED)
        return again or self._just_renewed(sent)

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
        explicit: bool = False,
    ) -> Credential:
        """One login at a time over all processes; who waited takes what the other one got.

        An `explicit` one asks although somebody has just been asked in vain.
        """
        if not self._can_ask:
            raise self._nobody()
        with self.edges.storage.lock(self.key, "login", _LEASE):
            if not force and (found := self._found_meanwhile(sent, scope)):
                return found
            purpose = f"step-up to {' '.join(scope)}" if scope else "login"
            if not explicit:
                self._cooling.check(purpose)
            try:
                asked = self.wanted.scope if force else scope
                fresh = self._asked(self._as_before(force=force), challenge, asked, began)
            except AuthError as error:
                self._cooling.remember(purpose, error.at(server=self.key.server, step="login"))
                raise
            finally:
                self._visit = None
            self._renewal.unproven, self._renewal.trouble = fresh, None
            self._renewal.useless, self._renewal.refusals = None, 0
            return self._renewal.hold(fresh)

    def _asked(
        self, wanted: Wanted, challenge: Challenge | None, scope: Scopes | None, began: int
    ) -> Credential:
        """What the grant asks: nobody, a person at another device, a person at a browser."""
        edges, prompt = self.edges, self.prompt
        if wanted.alone:
            return obtain(wanted, edges, wanted.alone, challenge, scope=scope)

        def on_visit(visit: Visit | DeviceVisit) -> None:
            self._visiting(visit, began)

        if isinstance(prompt, DevicePrompt):
            return log_in_by_device(
                wanted, edges, prompt, challenge, scope=scope, on_visit=on_visit
            )
        if prompt is None:
            raise self._nobody()
        return log_in(wanted, edges, prompt, challenge, scope=scope, on_visit=on_visit)

    @property
    def _can_ask(self) -> bool:
        """Whether a token can be had from here: by a person, or by a grant that needs none."""
        return self.wanted.alone is not None or self.prompt is not None

    def _found_meanwhile(self, sent: Credential | None, scope: Scopes | None) -> Credential | None:
        """A login that somebody else has made while we waited for the lease."""
        stored, renewal = readable(self.edges.storage, self.key), self._renewal
        if stored is None or not renewal.fits(stored):
            return None
        enough = set(scope or self.wanted.scope or ()) <= _had(stored)
        if not enough or same_token(stored, sent or renewal.useless):
            return None
        if stored.alive(self.edges.clock()):
            return renewal.hold(stored)
        return None if same_token(stored, renewal.spent) else renewal.now(sent)

    def _stepped(self, sent: Credential, challenge: Challenge, *, again: bool) -> Credential:
        needed = (challenge.scope or ()) if again else lacking(self.wanted, self.edges, challenge)
        latest = self._renewal.replaced(sent) or sent
        granted = latest.tokens.scope or ()
        if latest is not sent and set(needed) <= set(granted):
            return latest  # another request or process has stepped up meanwhile
        scope = step_up(latest.requested or (), granted, needed)
        no_more = not challenge.scope and set(needed) <= set(granted)
        if again or no_more or set(scope) <= set(latest.requested or ()):
            raise too_little_scope(latest, scope, command_for(self.key, "--force"))
        if not self._can_ask:
            missing = quoted(" ".join(needed))
            raise login_required(self.wanted, f"the scope {missing} must be granted for", scope)
        asked = quoted(" ".join(scope))[1:-1]
        tell(self.edges.on_event, Event("step-up", self.key.server, 403, asked))
        name = f"login for {' '.join(scope)}"  # it must not join a login for less
        began = self._closings
        return wait(
            self._flights.start(name, lambda: self._login(challenge, sent, began, scope=scope))
        )

    # Small things

    def _as_before(self, *, force: bool) -> Wanted:
        """By the client that was named for the last login, at its issuer only; and bound to a
        key, or renewed by its scopes, as that was, unless a forced login decides anew."""
        held, wanted = readable(self.edges.storage, self.key), self.wanted
        if held is None:
            return wanted
        pinned = wanted.options.issuer
        anew = wanted.options.new_client or (pinned and not same_issuer(pinned, held.issuer))
        if wanted.identity is None and not (wanted.alone or anew):
            wanted = replace(wanted, identity=named_before(held))
        if force:
            return wanted
        options = wanted.options
        dpop = options.dpop or held.dpop_key is not None
        naming = options.refresh_scope or bool(held.options.get("refresh_scope"))
        return replace(wanted, options=replace(options, dpop=dpop, refresh_scope=naming))

    def _visiting(self, visit: Visit | DeviceVisit, began: int) -> None:
        self._visit = visit
        if self._closings != began:  # closed before there was anything to cancel
            raise LoginFailed("the login was aborted", code="aborted", hint="Nothing was changed")

    def _covers_wanted(self, credential: Credential) -> bool:
        return set(self.wanted.scope or ()) <= _had(credential)

    def _nobody(self) -> LoginRequired:
        return self._no_longer("a person must log in to")

    def _no_longer(self, why: str) -> LoginRequired:
        error = login_required(self.wanted, why)
        before = self._renewal.why_no_longer()
        error.hint = f"{before[:1].upper()}{before[1:]}. {error.hint}" if before else error.hint
        return error

    def _lacking(self) -> str:
        known = self.edges.storage.summary(self.key)
        end = known.expires_at if known else None
        ended = end is not None and end <= self.edges.clock()
        return "the login has expired at" if ended else "you are not logged in to"


def _had(credential: Credential) -> set[str]:
    return {*(credential.tokens.scope or ()), *(credential.requested or ())}
