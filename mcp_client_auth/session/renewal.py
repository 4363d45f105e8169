"""Carries out what `decision` decides about the token of one session: look, lock, refresh, keep.

It asks no one: if only a login helps, it says so and the session goes on.
"""

from __future__ import annotations

import atexit
import random
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from ..credential import MANAGED
from ..errors import (
    AuthError,
    BadResponse,
    DpopUnsupported,
    LoginRequired,
    StorageError,
    TokenRefused,
    Unavailable,
    Untrusted,
    UsageError,
)
from ..events import TRYING_AGAIN, Event, tell
from ..grants.selection import grant_of
from ..origin import shown
from ..protocol.frozen import replace
from ..protocol.token_set import DEAD_CLIENT
from ..protocol.urls import same_issuer
from ..storage.store import STORE_DOWN, SUPERSEDED, save_firmly
from ..threads import FreshInChildren, at_end_of_child
from . import knowledge as k
from .decision import after, after_refusal, next_step, without_store
from .knowledge import Happened, Knowledge, Need, Now, Step, Stored, same_token
from .notes import (
    read_mark,
    read_outage,
    read_refusal,
    remove_refusal,
    write_mark,
    write_outage,
    write_refusal,
)
from .single_flight import Flights, Late, on_the_wire
from .turns import TURNS

if TYPE_CHECKING:
    from ..credential import Credential
    from ..grants.base import Grant, LoginConfig, Ports
    from .audit import Action

End: TypeAlias = k.Send | k.Repeat | k.Ask | k.HandBack

_FORGOTTEN: Final = (
    "The server no longer knows this client, although it registered it; a new login registers"
    " another"
)
_POSTPONED: Final = 60.0
_FOR_AN_EXCHANGE: Final = 30.0
_LEAST: Final = 0.5  # seconds between two tries where the store cannot even be read
_LONGER: Final = 2.0  # times its patience, after which the answer to a sent request is given up
_unsaved: weakref.WeakSet[Renewal] = weakref.WeakSet()


class _Learning(FreshInChildren):
    """One mutex for all sessions, held for one assignment: otherwise two threads lose an update."""

    def reset(self) -> None:
        self.mutex = threading.Lock()


_learning: Final = _Learning()


def draw() -> float:
    return random.random()  # noqa: S311 - not a secret, only to spread a crowd


class Renewal:
    """What one session knows of its login, and the steps that need no person."""

    __slots__ = (
        "__weakref__",
        "_announced",
        "_flights",
        "_named",
        "_provider",
        "config",
        "known",
        "ports",
    )

    def __init__(self, config: LoginConfig, ports: Ports, flights: Flights) -> None:
        self.config, self.ports, self._flights = config, ports, flights
        self._named = config  # what the caller passed
        self._provider: Renewal | None = None
        self._announced: tuple[str, str] = ("", "")  # the last decision, which is one event
        self.known = Knowledge(grant_of(config))

    def learn(self, event: Happened) -> None:
        """Update what is known; nothing else assigns it."""
        with _learning.mutex:
            self.known = after(self.known, event)

    def now(self) -> Now:
        return Now(self.ports.clock(), self.ports.monotonic(), draw())

    def look(self) -> Stored:
        """What the store has for us: another client's or resource's record is not ours."""
        storage, key, current = self.ports.storage, self.config.key, self.known.current
        loaded = storage.load(key)
        self.adopt(loaded)
        if loaded and loaded.headers:
            self.ports = self.ports.carrying(loaded.headers)
        stored = Stored(loaded if loaded and self.fits(loaded) else None, read_mark(storage, key))
        if current and stored.credential and stored.credential.generation < current.generation:
            entry = storage.summary(key)  # did a write that was given up land late?
            stored = replace(stored, indexed=entry.generation if entry else -1)
        if stored.credential and stored.credential.renewable:
            stored = replace(stored, refusal=read_refusal(storage, stored.credential))
        now = self.ports.clock()
        if storage.shared and stored.credential and k.due(stored.credential, 1.0) <= now:
            stored = replace(stored, outage=read_outage(storage, key, now))
        self.learn(k.Read(stored, self.now()))
        return stored

    def adopt(self, stored: Credential | None) -> None:
        """Use the grant that made the stored login if the caller named none, so that what a
        company's provider decides is not bypassed by another way to log in."""
        managed = stored.managed if stored else {}
        grant = self.config.grant
        if self._named.grant is not None or managed == (grant.kept[MANAGED] if grant else {}):
            return
        self.config = self._named
        if stored and managed:
            from ..grants.clients import identity_of
            from ..grants.enterprise_managed import StoredGrant

            own = self._named.identity
            if own is None or own.registered_id == stored.client.client_id:
                grant, identity = StoredGrant.of(stored), own or identity_of(stored.client)
                self.config = replace(self._named, grant=grant, identity=identity)
        self.learn(k.Adopted(grant_of(self.config)))

    def at_provider(self) -> Renewal:
        """The `Renewal` of the login at the identity provider that this login depends on."""
        from .provider import provider_config, provider_ports

        provider = self.known.grant.provider
        if provider is None:
            raise TypeError("this grant rests on no login at an identity provider")
        config = provider_config(provider, self.config, self.ports.storage)
        there = self._provider
        if there is None or there.config.key != config.key:
            ports = provider_ports(provider, config, self.ports)
            there = self._provider = Renewal(config, ports, Flights(config.key.server))
        there.config = there._named = config
        return there

    def lasting(self, seconds: float) -> Credential | None:
        """A token that lives for `seconds` more, if one can be had; None if only a login helps.

        It runs on the caller's thread and turn, and does not wait for a fault to pass.
        """
        step = self.settle(k.For.HANDING_OUT, patience=0)
        if not isinstance(step, k.Send):
            return None
        token, now = step.credential, self.ports.clock()
        if k.end(token) < now + seconds:
            with suppress(Unavailable):  # the token will do while it lives
                step = self.settle(k.Newer(token), patience=0)
            token = step.credential if isinstance(step, k.Send) else token
        return token if token.alive(self.ports.clock()) else None

    def signed_in(self) -> Credential | None:
        """The login at the identity provider, good for an exchange; None if only a person can
        make one. One that cannot be read counts as none: another takes its place."""
        from .store_tokens import readable

        there = self.at_provider()
        if readable(there.ports.storage, there.config.key) is None:
            return None
        return there.lasting(_FOR_AN_EXCHANGE)

    def presenting(self, grant: Grant) -> Grant:
        """The grant with the login at its identity provider; raises `LoginRequired` if a person
        has to sign in there."""
        if grant.provider is None:
            return grant
        login = self.signed_in()
        if login is None:
            where = shown(grant.provider.issuer)
            raise LoginRequired(f"a person must sign in at {where}", server=self.config.key.server)
        return grant.presenting(login)

    def fits(self, stored: Credential) -> bool:
        identity, options = self.config.identity, self.config.options
        own = identity.registered_id if identity else ""
        if own and own != stored.client.client_id:
            return False
        if options.issuer and not same_issuer(options.issuer, stored.issuer):
            return False  # a caller who pins an issuer gets no token of another
        if options.dpop and stored.dpop_key is None:
            return False
        if not self.known.grant.serves(self.config, stored):
            return False
        return options.resource is None or (options.resource or None) == stored.resource

    def token(self, need: Need) -> Credential | None:
        """A token that needs no person; None if only a login helps."""
        step = self.settle(need)
        return None if isinstance(step, k.Ask | k.HandBack) else step.credential

    def settle(self, need: Need, patience: float | None = None) -> End:
        """Take steps until one is final; `patience`: seconds to wait for a passing fault to end."""
        began = self.ports.monotonic()
        patience = self.config.options.patience if patience is None else patience
        while True:
            try:
                step: Step | None = self._decided(need)  # no lock yet: the store may have better
                if isinstance(step, k.Refresh):
                    TURNS.go_to(step.credential.token_endpoint)
                if isinstance(step, k.Refresh | k.Save):
                    step = self._under_lock(need)
            except Unavailable as down:
                if down.code != STORE_DOWN:
                    raise
                step = without_store(self.known, need, down, self.now())
            match step:
                case k.Send():
                    self.hold(step)
                    if step.renew:
                        self.ahead()
                    return step
                case k.Repeat():
                    TURNS.leave()
                    self.ports.sleep(k.SECOND_CHANCE)
                    return step
                case k.Mark():
                    self._mark(step, need)
                case k.Wait(until, error):
                    if error and until > began + patience:
                        raise error.fresh()
                    self.ports.sleep(max(until - self.ports.monotonic(), 0.0))
                case k.Ask() | k.HandBack():
                    self.learn(step)
                    return step
                case k.Fail(error):
                    raise error.fresh()
                case None | k.Refresh() | k.Save():
                    pass  # something was learned: decide again

    def ahead(self) -> None:
        """Renew in the background what is due; also saves what could not be saved."""
        self._flights.start("renew", lambda: self.settle(k.For.AHEAD))

    def hold(self, step: k.Send) -> None:
        if step.credential.dpop_key is not None:  # read here, on the thread that waits anyway
            self.ports.dpop_signer(step.credential.dpop_key)
        self.learn(step)

    def insist(self) -> Credential | None:
        """Let a refresh of this login be sent although one was refused a moment ago, unless that
        was for good."""
        stored = self.look()
        if stored.credential and stored.credential.renewable:
            remove_refusal(self.ports.storage, self.config.key)
            self.learn(k.Insisted())
        return self.known.latest(stored)

    def forget(self) -> None:
        self.learn(k.Forgotten())

    def logged_in(self, fresh: Credential) -> None:
        self.learn(k.LoggedIn(fresh, self.now()))
        self._audit("finish", fresh)

    def reached(self, credential: Credential, url: str) -> Credential:
        """Keep the URL that the server redirects a login's requests to; it also works without."""
        if url == credential.endpoint(self.config.server_url):
            return credential
        with suppress(StorageError, Unavailable), self.ports.storage.lock(self.config.key):
            stored = self.look().credential
            if stored and same_token(stored, credential) and self.known.unsaved is None:
                moved = replace(stored, final_url=url, generation=stored.generation + 1)
                self.ports.storage.save(moved)
                self.learn(k.Saved(moved, self.now()))
                return moved
        return credential

    def _decided(self, need: Need, *, locked: bool = False) -> Step:
        """Decide; one event, unless a fresh token is sent or it is the same under the lock."""
        stored = self.look()
        step = next_step(self.known, stored, need, self.now())
        plain = not locked and isinstance(step, k.Send) and not step.renew
        if not (locked and isinstance(step, k.Refresh | k.Save)):
            why = step.why + (", under the lock" if locked else "")
            decision = k.WORDS[type(step).__name__], why
            if not plain and decision != self._announced:
                self.ports.tell("decision", detail=decision[0], rule=decision[1])
            self._announced = decision
        return step

    def _under_lock(self, need: Need) -> Step | None:
        with self.ports.storage.turn(self.config.key) as ours:
            if not ours:
                return None
            step = self._decided(need, locked=True)  # another process may have been faster
            if isinstance(step, k.Save):
                self._save(step.credential, step.over)
                return None
            if not isinstance(step, k.Refresh):
                return step
            old = step.credential.client
            after_it, dead = self._refresh(step)
        if dead and old.redirect_uris:  # the client lock is never taken inside the refresh lock
            from ..grants.clients import forget_client

            forget_client(self.ports, old, old.redirect_uris[0])
        return after_it

    def _refresh(self, step: k.Refresh) -> tuple[Step | None, bool]:
        """Send one token request, once its answer can be kept, and keep the answer before its use.

        Returns the step that follows, if it is known, and whether the client is gone.
        """
        # imported before anything is sent: the process may be ending when the answer comes
        from ..keys.client_key import require_certificate
        from ..keys.dpop_key import bearer_warning

        old = step.credential
        try:
            # a server that sees no certificate says `invalid_client`, and the login ends for all
            require_certificate(old.client, self.ports.transport)
            self.ports.storage.save(old)  # unchanged: a full or read-only disk shows here
            patience, late = self._patience(old)
            with on_the_wire(late), self.ports.flow() as ports:
                ports = replace(ports, lasting=patience * _LONGER)
                tokens = self.presenting(self.known.grant).renew(self.config, ports, old)
                fresh = old.renewed(tokens)
                self._save(fresh, old, k.Refreshed(old, fresh, self.now(), step.explicit))
                if (mark := self.known.marked(fresh)) and not mark.noted:
                    self._note(mark)
        except (TokenRefused, DpopUnsupported) as error:
            return None, self._refused(old, error)
        except (Unavailable, BadResponse) as error:
            if error.code in ("ending", STORE_DOWN):
                raise
            self._faulted(error)
            return None, False
        except (StorageError, Untrusted, UsageError, LoginRequired) as error:
            if error.code == SUPERSEDED:
                return None, False
            if not step.usable and isinstance(error, LoginRequired):
                return k.Ask(error.summary, drop=not old.alive(self.ports.clock())), False
            if not step.usable:
                raise
            return k.Send(old, self.now().wall + _POSTPONED, error.summary), False
        from ..protocol.tokens import summary

        self.ports.tell("refresh", url=old.token_endpoint, detail=summary(tokens))
        self._audit("refresh", fresh)
        if old.dpop_key and (less := bearer_warning(tokens, old.tokens)):
            self.ports.tell("notice", url=old.token_endpoint, detail=less)
        return k.Send(fresh, self.known.due, "renewed"), False  # used once, however short its life

    def _patience(self, old: Credential) -> tuple[float, Late | None]:
        """How long callers wait for the answer. It is awaited longer if a refresh token was sent:
        the server may have rotated it, and then nothing else brings this login back."""
        patience: float = getattr(self.ports.transport, "patience", 0.0)
        if not (patience and old.tokens.refresh_token):
            return 0.0, None
        error = Unavailable(
            f"no complete answer within {patience:g} s",
            url=old.token_endpoint,
            hint="The renewal was sent; its answer is still waited for, and kept. Try again",
        )
        return patience, Late(patience, error)

    def _save(self, fresh: Credential, over: Credential, *before: Happened) -> None:
        """Save an answer; if that fails, it is used all the same and saved as soon as possible.

        No one uses it before saving was tried: only then is `before` learned.
        """
        waiting = self.known.unsaved is not None
        try:
            save_firmly(self.ports.storage, fresh)
        except Exception as error:  # a storage of the caller's may raise anything
            why = (
                error
                if isinstance(error, AuthError)
                else StorageError(f"the storage has raised a {type(error).__name__}")
            )
            for event in before:
                self.learn(event)
            self.learn(k.SaveFailed(over, fresh, why, self.now()))
            self.ports.tell("storage", detail=why.summary, rule="used, and saved again later")
            _unsaved.add(self)
            if not waiting:
                at_end_of_child(save_what_is_left, 1)
                in_background(self.save_later)
        else:
            for event in before:
                self.learn(event)
            self.learn(k.Saved(fresh, self.now()))
            _unsaved.discard(self)

    def save_later(self) -> None:
        """Try again until it is saved, or a later login has replaced it."""
        while unsaved := self.known.unsaved:
            self.ports.sleep(max(unsaved.until - self.ports.monotonic(), _LEAST))
            with suppress(Exception):  # whatever it raises, it is tried again
                self.settle(k.For.AHEAD, patience=0)

    def save_at_exit(self) -> None:
        """Make a last try to save an answer that could not be saved."""
        with suppress(Exception), self.ports.storage.lock(self.config.key):
            stored, unsaved = self.look(), self.known.unsaved
            if unsaved and stored.holds(unsaved.over):
                self._save(unsaved.fresh, unsaved.over)

    def _refused(self, old: Credential, error: TokenRefused | DpopUnsupported) -> bool:
        """Note the refusal; a definite one ends the refresh token, and the record stays.

        Returns whether the server no longer knows the client.
        """
        if old.client.kind == "dynamic" and error.code in DEAD_CLIENT:
            error.advised(_FORGOTTEN)  # there is no id or secret that a person could check
        status = error.status if isinstance(error, TokenRefused) else 0
        where = old.token_endpoint
        tell(self.ports.on_event, Event("refresh", where, status, error.summary))
        self._audit("refusal", old, error.code)
        self.learn(k.RefreshRefused(old, error, self.now()))
        outcome, storage, now = after_refusal(self.known), self.ports.storage, self.ports.clock()
        if outcome == "noted":
            write_refusal(storage, old, error, now)
        elif outcome == "ended" and self.look().renews_by(old.tokens.refresh_token):
            ended = old.renewed(replace(old.tokens, refresh_token=None))
            # if this fails, this session knows it and others find out
            with suppress(StorageError, Unavailable):
                storage.save(ended)
                write_refusal(storage, ended, error, now)
        return outcome != "kept" and error.code in DEAD_CLIENT

    def _audit(self, action: Action, credential: Credential, why: str = "") -> None:
        if self.ports.storage.shared or self.config.by_application:
            from .audit import audit

            audit(self.config, self.ports, action, generation=credential.generation, why=why)

    def _faulted(self, error: Unavailable | BadResponse) -> None:
        """Note a fault: an answer that is not an OAuth answer says nothing about the grant."""
        hint = "The credential was kept; try again later"
        fault = (
            error
            if isinstance(error, Unavailable)
            else Unavailable(error.summary, url=error.url, hint=hint)
        )
        self.learn(k.Faulted(fault, self.now()))
        if self.ports.storage.shared and self.known.outage:
            left = self.known.outage.until - self.ports.monotonic()
            write_outage(self.ports.storage, self.config.key, self.known.outage, left, self.now())
        self.ports.tell("refresh", url=fault.url, detail=fault.summary, rule=TRYING_AGAIN)

    def _mark(self, mark: k.Mark, need: Need) -> None:
        """Note the refusal for every process; the fingerprint keeps it off a newer login."""
        if mark.reason is None and isinstance(need, k.Refused):
            from ..grants.probe import fresh_token_refused, token_refused

            sent, server = need.sent, self.config.key.server
            fresh = need.replaced or mark.unproven
            noted = read_refusal(self.ports.storage, sent)
            reason = noted[0] if noted else token_refused(server)
            if fresh:
                reason = fresh_token_refused(server, bound=sent.tokens.bound)
            mark = replace(mark, reason=reason)
        self._note(mark)

    def _note(self, mark: k.Mark) -> None:
        noted = write_mark(self.ports.storage, self.config.key, mark)
        self.learn(replace(mark, noted=noted))


def in_background(work: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # too late for a thread: the exit handler saves it
        threading.Thread(target=work, name="mcp save", daemon=True).start()


def save_what_is_left() -> None:
    """Run at the end of the process; a program that ends in another way calls this first."""
    for renewal in list(_unsaved):
        renewal.save_at_exit()


atexit.register(save_what_is_left)
