"""What one request does about the 401s that it gets: the same token again, a newer one, or nothing.

A generator that yields what must be waited for, so that a task awaits it and a thread blocks.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

from .knowledge import same_token
from .single_flight import awaited

if TYPE_CHECKING:
    from ..credential import Credential
    from ..grants.base import Ports
    from ..protocol.probe import ServerAnswer

T = TypeVar("T")
Better: TypeAlias = "Generator[Future[Any], None, Credential | None]"
_MOST: Final = 6  # a login or a refresh elsewhere may come between any two of them


class Tokens(Protocol):
    """Where another token comes from: the part of the session that a refusal needs."""

    @property
    def ports(self) -> Ports: ...
    def trial(self, sent: Credential) -> Future[bool] | None: ...
    def try_again(self, sent: Credential) -> Future[bool] | None: ...
    def tried_again(self, sent: Credential, *, accepted: bool) -> None: ...
    def after_401(
        self,
        sent: Credential | None,
        answer: ServerAnswer | None,
        *,
        repeated: bool = False,
        replaced: bool = False,
        home: bool = True,
    ) -> Future[Credential | None]: ...


class Unauthorized:
    """The 401s of one request; `home`: it goes to the server's own URL.

    A young token is sent a second time by one request only, and the others that were refused
    with it wait for what comes of that. Call `heard` with each answer, `close` if none will come.
    """

    def __init__(self, session: Tokens, *, home: bool) -> None:
        self._session, self._home = session, home
        self._began = session.ports.clock()
        self._left = _MOST
        self._repeated: Credential | None = None
        self._trying: Credential | None = None
        self._issued: Credential | None = None

    def better(self, sent: Credential | None, answer: ServerAnswer | None) -> Better:
        """What to send instead of `sent`, which was refused; None to hand back the answer.

        Raises any `AuthError` if a login is needed and fails.
        """
        session, repeated = self._session, sent is not None and sent is self._repeated
        self._left -= 1
        if self._left < 0:
            return None
        if sent and not repeated and (other := session.trial(sent)):
            return (yield from self._awaited(other, sent, answer))
        # issued for this request; a clock that was set back proves nothing
        now = session.ports.clock()
        ours = sent is not None and sent is self._issued
        replaced = bool(sent and ours and self._began <= sent.tokens.issued_at <= now)
        future = session.after_401(
            sent, answer, repeated=repeated, replaced=replaced, home=self._home
        )
        token: Credential | None = yield from awaited(future)
        if token is None or sent is None or not same_token(token, sent):
            self._issued = token
            return token
        if token.generation > sent.generation:  # a refresh has returned the same token again
            self._issued = token
            return (yield from self.better(token, answer))
        if other := session.try_again(sent):
            return (yield from self._awaited(other, sent, answer))
        self._trying = self._repeated = sent
        return sent

    def _awaited(
        self, other: Future[bool], sent: Credential, answer: ServerAnswer | None
    ) -> Better:
        """Wait for another request's second try with this token: its answer holds for ours."""
        self._repeated = sent
        accepted: bool = yield from awaited(other)
        return sent if accepted else (yield from self.better(sent, answer))

    def heard(self, status: int) -> None:
        """The answer to what was sent last."""
        if self._trying is not None:
            self._session.tried_again(self._trying, accepted=status != 401)
            self._trying = None

    def close(self) -> None:
        """End without an answer: each of the others then tries for itself."""
        self.heard(0)

    def blocking(self, sent: Credential | None, answer: ServerAnswer | None) -> Credential | None:
        """`better`, for a thread that may wait."""
        work = self.better(sent, answer)
        while True:
            try:
                next(work)  # this waits, too: a task that yields to others comes back later
            except StopIteration as done:
                token: Credential | None = done.value
                return token
