"""What a session knows, needs, does next and hears: the values that `decision` maps.

Nothing here decides. A step that was carried out is an event, too.
"""

from __future__ import annotations

from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeAlias

from ..credential import Credential
from ..errors import AuthError, Unavailable
from ..protocol.frozen import dataclass
from ..secret import Secret

if TYPE_CHECKING:
    from ..grants.base import Grant

COOLING: Final = 60.0
SECOND_CHANCE: Final = 1.0
_LONGEST_MARGIN: Final = 360.0
_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Now:
    """One reading of both clocks and one random number (0 to 1)."""

    wall: float
    steady: float
    draw: float = 1.0


# What is known


@dataclass(frozen=True, slots=True)
class Mark:
    """The server refused this token after everything was tried; also a note in the store.

    `token` is a fingerprint and `generation` that of its record, so a mark never names a
    newer login. `unproven`: no request of this login was ever accepted, so a new login would
    not help. `again`: an earlier token was marked too, and none was accepted since. `noted`:
    the store has it.
    """

    token: str
    since: float
    generation: int = 0
    reason: AuthError | None = None
    unproven: bool = False
    again: bool = False
    noted: bool = False

    @property
    def why(self) -> str:
        return "only a new login is left to try"

    def names(self, token: Credential | None) -> bool:
        return token is not None and self.token == fingerprint(token)

    def cooling(self, wall: float) -> bool:
        return 0 <= wall - self.since < COOLING


@dataclass(frozen=True, slots=True)
class RefreshRefusal:
    """A refresh token that was refused, and when (steady) it may be sent again."""

    token: Secret | None
    error: AuthError
    tries: int
    until: float


@dataclass(frozen=True, slots=True)
class Outage:
    """A passing fault of the token endpoint: nothing is sent there until `until` (steady)."""

    error: AuthError
    pause: float
    until: float


@dataclass(frozen=True, slots=True)
class Unsaved:
    """An answer that could not be saved in place of `over`; saved again from `until` (steady)."""

    over: Credential
    fresh: Credential
    pause: float
    until: float
    error: AuthError


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Everything a session knows that is not in the store.

    `current` is sent until `due` (wall) without reading the store. `read`: the store was read.
    `unproven`: a login that is not accepted yet. `repeated`: the last second try that has ended.
    `mark`: the last one that no accepted request and no login has ended, whichever token it names.
    """

    grant: Grant
    current: Credential | None = None
    due: float = 0.0
    read: bool = False
    unproven: Credential | None = None
    repeated: TriedAgain | None = None
    mark: Mark | None = None
    refusal: RefreshRefusal | None = None
    outage: Outage | None = None
    unsaved: Unsaved | None = None

    @property
    def unattended(self) -> bool:
        """Whether a new login needs no person."""
        return not self.grant.interactive

    def due_of(self, token: Credential, draw: float) -> float:
        return self.due if same_token(token, self.current) else due(token, draw)

    def latest(self, stored: Stored) -> Credential | None:
        """The stored credential, or the one that would be stored if it could have been saved."""
        unsaved = self.unsaved
        return unsaved.fresh if unsaved and stored.holds(unsaved.over) else stored.credential

    def missing(self, stored: Stored, now: Now) -> Credential | None:
        """What must be written again: an unsaved answer, or ours after a late write replaced it."""
        unsaved, current = self.unsaved, self.current
        if unsaved and stored.holds(unsaved.over):
            return unsaved.fresh if now.steady >= unsaved.until else None
        if current and stored.credential and stored.credential.generation < current.generation:
            return current if stored.indexed == current.generation else None
        return None

    def second_try(self, token: Credential) -> bool | None:
        """Whether the token was accepted at its second try; None if that has not ended."""
        tried = self.repeated
        return tried.accepted if tried and same_token(token, tried.sent) else None

    def marked(self, token: Credential | None) -> Mark | None:
        """The mark, if it names this token."""
        return self.mark if self.mark and self.mark.names(token) else None


@dataclass(frozen=True, slots=True)
class Stored:
    """One reading of the store: the record that fits, the mark, the generation in the index.

    `refusal`: why a process could not renew the record, and since when (wall). `outage`: the fault
    of the token endpoint that another host noted, with the pause and the seconds that are left.
    """

    credential: Credential | None = None
    mark: Mark | None = None
    indexed: int = -1
    refusal: tuple[AuthError, float] | None = None
    outage: tuple[AuthError, float, float] | None = None

    def holds(self, token: Credential) -> bool:
        return same_token(token, self.credential)

    def renews_by(self, refresh_token: Secret | None) -> bool:
        return self.credential is not None and self.credential.tokens.refresh_token == refresh_token


# What is needed


class For(Enum):
    """Why a token is needed; any stored one will do."""

    REQUEST = "for a request: one that is due for renewal will do while it lives"
    AHEAD = "to renew one that is due while it lives; no one waits"
    HANDING_OUT = "for another program, which cannot tell us that it was refused"


@dataclass(frozen=True, slots=True)
class Newer:
    """A newer token than this one. `explicit`: the caller wants a refresh, whatever is marked."""

    than: Credential
    explicit: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Another token: a request got a 401 with `sent`.

    `repeated`: it was sent twice. `replaced`: it was issued after the request's first 401.
    `home`: the request went to the server's own URL. `only_bound`: the challenge accepts no
    Bearer token.
    """

    sent: Credential
    repeated: bool = False
    replaced: bool = False
    home: bool = True
    only_bound: bool = False


Need: TypeAlias = For | Newer | Refused

# What is done next, and by which rule


@dataclass(frozen=True, slots=True)
class Send:
    """Send the token. `due`: from then on (wall) decide again. `renew`: meanwhile, renew it."""

    credential: Credential
    due: float
    why: str
    renew: bool = False


@dataclass(frozen=True, slots=True)
class Repeat:
    """Send the same token once more, after `SECOND_CHANCE` seconds."""

    credential: Credential
    why: str = "a young token may not have reached every replica"


@dataclass(frozen=True, slots=True)
class Refresh:
    """Refresh under the lock. `usable`: if no refresh can be sent, the token is still good."""

    credential: Credential
    usable: bool
    why: str
    explicit: bool = False


@dataclass(frozen=True, slots=True)
class Save:
    """Save `credential` in place of `over`, under the lock."""

    credential: Credential
    over: Credential
    why: str = "the store lacks an answer that was received"


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait until `until` (steady); with an `error`, only within the caller's patience."""

    until: float
    error: AuthError | None
    why: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a person, or the grant that needs none. `drop`: the current token has expired."""

    why: str
    drop: bool = False


@dataclass(frozen=True, slots=True)
class HandBack:
    """Return the server's own answer to this request."""

    why: str


@dataclass(frozen=True, slots=True)
class Fail:
    error: AuthError
    why: str


# What a person reads about a step; its `why` tells the rule.
WORDS: Final = {
    "Send": "send the token",
    "Repeat": "send the token again",
    "Refresh": "refresh",
    "Save": "save again",
    "Mark": "mark the login as refused",
    "Wait": "wait",
    "Ask": "a new login is needed",
    "HandBack": "hand back the refusal",
    "Fail": "give up",
}
Step: TypeAlias = Send | Repeat | Refresh | Save | Mark | Wait | Ask | HandBack | Fail

# What happened


@dataclass(frozen=True, slots=True)
class Read:
    """The store was read."""

    stored: Stored
    now: Now


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server answered a request with this token by anything but a 401."""

    sent: Credential


@dataclass(frozen=True, slots=True)
class TriedAgain:
    """The second try of a young token has ended; `accepted` also if there was no answer."""

    sent: Credential
    accepted: bool


@dataclass(frozen=True, slots=True)
class LoggedIn:
    fresh: Credential
    now: Now


@dataclass(frozen=True, slots=True)
class Refreshed:
    old: Credential
    fresh: Credential
    now: Now
    explicit: bool = False


@dataclass(frozen=True, slots=True)
class RefreshRefused:
    old: Credential
    error: AuthError
    now: Now


@dataclass(frozen=True, slots=True)
class Faulted:
    error: Unavailable
    now: Now


@dataclass(frozen=True, slots=True)
class Saved:
    fresh: Credential
    now: Now


@dataclass(frozen=True, slots=True)
class SaveFailed:
    over: Credential
    fresh: Credential
    error: AuthError
    now: Now


@dataclass(frozen=True, slots=True)
class Insisted:
    """The caller wants a refresh now: a token that was refused for a while is sent again."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A logout."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """The grant that made the stored login, if the caller has named none."""

    grant: Grant


Happened: TypeAlias = (
    Step
    | Read
    | Accepted
    | TriedAgain
    | LoggedIn
    | Refreshed
    | RefreshRefused
    | Faulted
    | Saved
    | SaveFailed
    | Insisted
    | Forgotten
    | Adopted
)


def same_token(stored: Credential, other: Credential | None) -> bool:
    return other is not None and stored.tokens.access_token == other.tokens.access_token


def fingerprint(credential: Credential) -> str:
    """A name for an access token where the token itself must not appear."""
    return sha256(credential.tokens.access_token.reveal().encode()).hexdigest()[:32]


def margin(lifetime: float, draw: float) -> float:
    """Seconds before expiry to renew a token: 1 s to a tenth of its life, at most 6 minutes."""
    tenth = 0.1 * max(lifetime, 0.0)
    return tenth if lifetime < 10 else 1.0 + (min(tenth, _LONGEST_MARGIN) - 1.0) * draw


def due(token: Credential, draw: float) -> float:
    """When (wall) a token becomes due for renewal; the draw spreads a crowd."""
    lifetime = token.tokens.lifetime
    return end(token) if lifetime is None else end(token) - margin(lifetime, draw)


def end(token: Credential) -> float:
    expires = token.tokens.expires_at
    return _NEVER if expires is None else expires


def ended_on_the_way(sent: Credential, now: float) -> bool:
    """Whether the refusal of a token says nothing, since it has expired by now. False for one
    that never lasts as long as a second try takes."""
    lifetime = sent.tokens.lifetime
    return lifetime is not None and lifetime > 2 * SECOND_CHANCE and not sent.alive(now)


def shows_acceptance(status: int) -> bool:
    """Whether an answer shows that a token which was refused before is accepted again.

    Only success does: 404, 405 and the like are often sent before the token is looked at.
    """
    return 200 <= status < 300
