"""The token in memory, its renewal under the lock, and what a fault of the endpoint means.

It asks nobody: where a refresh cannot help, the answer is None and the session decides.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Final

from .binding import unbound
from .clients import DEAD_CLIENT, forget_client
from .credential import Credential
from .errors import (
    AuthError,
    BadResponse,
    DpopUnsupported,
    TokenRefused,
    Unavailable,
    Untrusted,
    UsageError,
)
from .events import TRYING_AGAIN, Event, tell
from .flight import on_the_wire
from .obtaining import reissue
from .protocol.grants import Alone
from .protocol.registration import PreRegistered
from .protocol.tokens import DEFINITE, LOG_IN_AGAIN, NOT_RENEWABLE, TokenSet, refresh, summary
from .protocol.urls import same_issuer, shown
from .proving import require_certificate
from .secret import Secret
from .steps import Edges, Wanted

_MARGIN: Final = 60.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Held:
    """A credential in memory, with the moment from which it is due for renewal."""

    credential: Credential
    due: float

    @classmethod
    def of(cls, credential: Credential) -> Held:
        margin = min(_MARGIN, 0.1 * (credential.tokens.lifetime or 0.0))
        return cls(credential, _end(credential) - margin * jitter())

    @classmethod
    def until(cls, credential: Credential, due: float = float("inf")) -> Held:
        """Not to be renewed before `due`; but a dead token is not sent in any case."""
        return cls(credential, min(due, _end(credential)))


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault of the token endpoint: until `until` (monotonic) nothing is sent there.

    A passing one, or the refusal of a grant that asks nobody.
    """

    error: Unavailable | TokenRefused
    pause: float
    until: float


class Renewal:
    """What one session holds, and how it is renewed.

    `held` is what may be sent; `looked` tells that the store has been read. Three credentials
    are remembered for what is known of them: `spent`, its refresh token was refused;
    `unproven`, of a login and not accepted by the server yet; `useless`, refused by the server
    although it was fresh (`refusals`: how often in a row).
    """

    def __init__(self, wanted: Wanted, edges: Edges) -> None:
        self._wanted, self._edges = wanted, edges
        self.held: Held | None = None
        self.looked = False
        self.spent: Credential | None = None
        self.unproven: Credential | None = None
        self.useless: Credential | None = None
        self.refusals = 0
        self.trouble: Trouble | None = None
        self.refusal: AuthError | None = None
        self._refused_token: Secret | None = None  # not presented again, stored or not
        # what is stored, and what it was rotated to, where the storage failed to keep that
        self._unsaved: tuple[Credential, Credential] | None = None

    def hold(self, credential: Credential) -> Credential:
        if credential.dpop_key is not None:  # read here, on the thread that waits anyway
            self._edges.binding(credential.dpop_key)
        self.held, self.looked = Held.of(credential), True
        return credential

    def forget(self) -> None:
        self.held, self._unsaved, self.looked = None, None, True

    def stored(self) -> Credential | None:
        """What the store has for us: another client's or resource's is not ours."""
        found = self._edges.storage.load(self._wanted.key)
        return found if found and self.fits(found) else None

    def fits(self, stored: Credential) -> bool:
        identity, resource = self._wanted.identity, self._wanted.options.resource
        if isinstance(identity, PreRegistered) and identity.client_id != stored.client.client_id:
            return False
        if self._wanted.options.dpop and stored.dpop_key is None:
            return False
        if self._wanted.alone and not self._serves(stored, self._wanted.alone):
            return False
        return resource is None or (resource or None) == stored.resource

    def _serves(self, stored: Credential, grant: Alone) -> bool:
        """Where anew costs nobody anything, what differs from the caller's wish is not used."""
        issuer, scope = self._wanted.options.issuer, self._wanted.scope or ()
        pinned = not issuer or same_issuer(issuer, stored.issuer)
        owned = stored.options.get("owner", "") == grant.owner
        return pinned and owned and set(scope) <= set(stored.requested or ())

    def can_renew(self, credential: Credential) -> bool:
        """By its refresh token, or because its grant can ask again."""
        token = credential.tokens.refresh_token
        return bool(self._wanted.alone) or token not in (None, self._refused_token)

    def replaced(self, sent: Credential | None) -> Credential | None:
        """What somebody else has stored since, renewed where it has expired; `sent` is not."""
        stored = self.stored()
        return None if stored is None or same_token(stored, sent) else self.patiently(sent)

    def patiently(self, rejected: Credential | None) -> Credential | None:
        """`now`, and again after a passing fault, with pauses, within the caller's patience."""
        began = self._edges.monotonic()
        while True:
            try:
                return self.now(rejected)
            except Unavailable:
                trouble, here = self.trouble, self._edges.monotonic()
                patience = began + self._wanted.options.patience
                if trouble is None or max(trouble.until, here) > patience:
                    raise
                self._edges.sleep(max(trouble.until - here, 0.0))

    def now(self, rejected: Credential | None) -> Credential | None:
        """Read the store under the lock; refresh once what is expired or was rejected.

        None where no refresh can help. Raises `Unavailable` for a passing fault when there
        is no token left that lives.
        """
        with self._edges.storage.lock(self._wanted.key):
            now = self._edges.clock()  # not before: the lock may have taken long
            stored = self._latest()
            if stored is None:
                return self._left(None)
            if rejected is None and same_token(stored, self.useless):
                rejected = stored
            if self._still_good(stored, rejected, now):
                return self.hold(stored)
            usable = stored.alive(now) and not same_token(stored, rejected)
            if not self.can_renew(stored):
                return self._left(stored if usable else None)
            try:
                return self.hold(self._refreshed(stored, now))
            except (TokenRefused, Unavailable, Untrusted, UsageError) as error:
                ended = isinstance(error, TokenRefused | DpopUnsupported)
                if ended and not self._wanted.alone:
                    return self._refused(stored, error, usable=usable)
                if not usable or (isinstance(error, Unavailable) and self.trouble is None):
                    raise
                return self._postponed(stored, now)

    def _postponed(self, stored: Credential, now: float) -> Credential:
        """A token that lives is used on; it is renewed when the trouble may be over."""
        here = self._edges.monotonic()
        until = self.trouble.until if self.trouble else here + _LONGEST_PAUSE
        self.held = Held.until(stored, now + max(until - here, 0.0))
        return stored

    def _latest(self) -> Credential | None:
        """What the storage holds, or would hold had it not failed to keep it (under the lock)."""
        stored = self.stored()
        if stored and self._overwritten(stored) and self.held:
            return self._keep(stored, self.held.credential)
        if stored is None or self._unsaved is None or not same_token(stored, self._unsaved[0]):
            return stored
        return self._keep(stored, self._unsaved[1])

    def _overwritten(self, stored: Credential) -> bool:
        """Whether a write that was given up has landed over ours, which was the last good one."""
        ours = self.held.credential.generation if self.held else 0
        if ours <= stored.generation:
            return False
        entry = self._edges.storage.summary(self._wanted.key)
        return entry is not None and entry.generation == ours

    def _keep(self, stored: Credential, fresh: Credential) -> Credential:
        self._unsaved = stored, fresh  # the old one has been rotated: it cannot be used again
        self._edges.storage.save(fresh)
        self._unsaved = None
        return fresh

    def _refreshed(self, stored: Credential, now: float) -> Credential:
        """One token request, and its answer kept before anything else happens."""
        trouble = self.trouble
        if trouble and self._edges.monotonic() < trouble.until:
            raise trouble.error.fresh()
        with on_the_wire():
            try:
                tokens = self._renewed(stored, now)
            except (Unavailable, BadResponse) as error:
                raise self._troubled(error) from None
            except TokenRefused as error:
                if self._wanted.alone:
                    self._rested(error)
                raise
            fresh = self._keep(stored, stored.renewed(tokens))
        self.trouble = self.refusal = None
        # what is known of a token is known of its successor, until the server accepts that
        if same_token(stored, self.unproven):
            self.unproven = fresh
        if same_token(stored, self.useless):
            self.useless = fresh
        url = shown(stored.token_endpoint)
        self._edges.tell("refresh", url=url, detail=summary(tokens))
        if stored.dpop_key and (said := unbound(tokens, stored.tokens)):
            self._edges.tell("notice", url=url, detail=said)
        return fresh

    def _renewed(self, stored: Credential, now: float) -> TokenSet:
        # a server that sees none says `invalid_client`, which would end the login for all
        require_certificate(stored.client, self._edges.transport)
        if self._wanted.alone:
            return reissue(self._wanted, self._edges, self._wanted.alone, stored)
        prover = self._edges.prover(self._wanted.identity, stored.dpop_key)
        return self._edges.run(refresh(stored, now, prover))

    def _troubled(self, error: Unavailable | BadResponse) -> Unavailable:
        """Note a passing fault. An answer that is no OAuth answer says nothing about the grant."""
        hint = "The credential was kept; try again later"
        fault = (
            error
            if isinstance(error, Unavailable)
            else Unavailable(error.summary, url=error.url, hint=hint)
        )
        last = self.trouble.pause if self.trouble else _FIRST_PAUSE / 2
        pause = min(last * 2, _LONGEST_PAUSE)
        wanted = max(fault.retry_after or 0.0, pause * jitter())
        self.trouble = Trouble(fault, pause, self._edges.monotonic() + wanted)
        self._edges.tell("refresh", url=fault.url, detail=fault.summary, rule=TRYING_AGAIN)
        return fault

    def _rested(self, error: TokenRefused) -> None:
        """Note the refusal of a grant that asks nobody: nothing else is left, so do not insist."""
        until = self._edges.monotonic() + _LONGEST_PAUSE
        self.trouble = Trouble(error, _LONGEST_PAUSE, until)
        tell(self._edges.on_event, Event("refresh", error.url, error.status, error.summary))

    def _refused(self, stored: Credential, error: AuthError, *, usable: bool) -> Credential | None:
        """A definite rejection ends the refresh token; the record itself stays."""
        status = error.status if isinstance(error, TokenRefused) else 0
        self.refusal = error
        event = Event("refresh", shown(stored.token_endpoint), status, error.summary)
        tell(self._edges.on_event, event)
        if error.code in DEFINITE:
            if error.code in DEAD_CLIENT and stored.client.redirect_uris:
                forget_client(self._edges, stored.client, stored.client.redirect_uris[0])
            held = self.stored()
            if held and held.tokens.refresh_token != stored.tokens.refresh_token:
                return self._left(None) if not held.alive(self._edges.clock()) else self.hold(held)
            self._refused_token = stored.tokens.refresh_token
            ended: TokenSet = replace(stored.tokens, refresh_token=None)
            stored = stored.renewed(ended)
            self._edges.storage.save(stored)
        self.spent = stored
        return self._left(stored if usable else None)

    def why_no_longer(self) -> str:
        """Why a login that was there needs its person again; empty where there was none."""
        if self.refusal is not None:
            hint = self.refusal.hint
            return self.refusal.summary + ("" if hint == LOG_IN_AGAIN else f". {hint}")
        stored = self.stored()
        return "" if stored is None or stored.renewable else NOT_RENEWABLE

    def _left(self, credential: Credential | None) -> Credential | None:
        """What is left where nothing can be renewed: a token to its end, or none."""
        self.held, self.looked = Held.until(credential) if credential else None, True
        return credential

    def _still_good(self, stored: Credential, rejected: Credential | None, now: float) -> bool:
        if rejected is not None:
            return not same_token(stored, rejected) and stored.alive(now)
        return now < Held.of(stored).due


def same_token(stored: Credential, other: Credential | None) -> bool:
    return other is not None and stored.tokens.access_token == other.tokens.access_token


def jitter() -> float:
    return random.uniform(0.5, 1.0)  # noqa: S311 - not a secret, only to spread a crowd


def _end(credential: Credential) -> float:
    expires = credential.tokens.expires_at
    return float("inf") if expires is None else expires
