"""`Leases`: who may refresh a login now, of all hosts, and what a broken connection means for it.

A lease lives as long as its holder: one thread extends all that a process has. After a broken
connection no one takes a lease that another held until its holder, who may have an answer, has
had the time to write it.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ..errors import AuthError, StorageError, Unavailable
from ..events import logger
from ..threads import fresh_in_children
from .store import STORE_DOWN

if TYPE_CHECKING:
    from .engine import Engine, Seen

REFRESH: Final = "refresh"
NEVER: Final = float("inf")
MOST: Final = 4096
EXTENDED: Final = 10  # times in its life: a holder that is cut off has nearly all of it left
_AGAIN: Final = 0.5


class Lease:
    """One lease; `seen` is what was read under it."""

    __slots__ = ("id", "owner", "purpose", "seen")

    def __init__(self, id: str, purpose: str) -> None:  # noqa: A002
        self.id, self.purpose, self.owner = id, purpose, secrets.token_hex(8)
        self.seen: Seen | None = None


class _Mine(threading.local):
    """The leases of this thread by id, and the version of the record that it read last."""

    def __init__(self) -> None:
        self.leases: dict[str, Lease] = {}
        self.last: tuple[str, int] = ("", 0)


class Leases:
    """The leases of one process in one engine; each outlasts its holder by `seconds`."""

    def __init__(self, engine: Engine, seconds: float) -> None:
        self._engine, self.seconds = engine, seconds
        self._begin()
        fresh_in_children(self)

    def reset(self) -> None:
        """Start again in a forked process: the connections and leases in it are its parent's."""
        self._engine.reset()
        self._begin()

    def _begin(self) -> None:
        self._mutex, self.mine = threading.Lock(), _Mine()
        self._held: dict[str, Lease] = {}  # by owner
        self._keeper: threading.Thread | None = None
        self._broken, self._calm_until = False, 0.0
        self._left: dict[tuple[str, str], str] = {}  # owners of those that were not released
        self._own: set[str] = set()  # those that we held when the connection broke

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """The engine, whose faults become `Unavailable` (code "store") and `StorageError`."""
        try:
            yield self._engine
        except Exception as error:
            fault = None if isinstance(error, AuthError) else self._engine.fault(error)
            if fault is None:
                raise
            passing, words = fault
            if passing:
                self._broke()
                raise Unavailable(
                    f"{self._engine.where} cannot be reached: {words}",
                    code=STORE_DOWN,
                    hint="What is stored was kept; try again",
                ) from None
            raise StorageError(
                f"{self._engine.where} refuses: {words}",
                code="refused",
                hint="What is stored was kept; whoever runs the engine has to set that right",
            ) from None
        if self._broken:
            with self._mutex:
                self._broken, self._calm_until = False, time.monotonic() + self.seconds

    @contextmanager
    def held(self, id: str, purpose: str, timeout: float) -> Iterator[Lease]:  # noqa: A002
        lease = self.awaited(id, purpose, timeout, NEVER, calm=False)
        if lease is None:
            raise TypeError("no news were waited for")
        with self.until_released(lease):
            yield lease

    @contextmanager
    def until_released(self, lease: Lease) -> Iterator[Lease]:
        """Hold a lease until the block ends, also if it fails; others see the lease until then."""
        mine = self.mine.leases if lease.purpose == REFRESH else {}
        mine[lease.id] = lease
        try:
            yield lease
        finally:
            mine.pop(lease.id, None)
            with self._mutex:
                ours = self._held.pop(lease.owner, None)  # not in a child of its holder
                broken = self._broken  # if so, no one waits for the release as well
            try:
                if ours and not broken:
                    with self.engine() as engine:
                        engine.release(lease.id, lease.purpose, lease.owner)
            except AuthError:
                broken = True
            if ours and broken:  # it ends by itself, but we may be back sooner
                self._leave(lease)
                with self._mutex:
                    self._own.add(lease.id)

    def awaited(
        self,
        id: str,  # noqa: A002
        purpose: str,
        timeout: float,
        seen: float,
        *,
        calm: bool,
    ) -> Lease | None:
        """Wait for a lease; None as soon as there is a higher version than what was `seen`.

        `calm`: the holder at the time the connection broke, or the engine started, comes first.
        """
        end, pause = time.monotonic() + timeout, 0.02
        lease = Lease(id, purpose)
        lease.owner = self._left.pop((id, purpose), lease.owner)
        while True:
            try:
                with self.engine() as engine:
                    least = self.least(id) if calm else 0.0
                    taken = engine.take(id, purpose, lease.owner, self.seconds, least)
            except AuthError:  # it may be ours all the same
                self._leave(lease)
                raise
            if taken.ours:
                self._keep_up(lease)
                return lease
            if taken.version > seen:
                return None
            left = end - time.monotonic()
            if left <= 0:
                raise Unavailable(
                    f"another process has held the {purpose} lease for {timeout:.0f} s",
                    code="locked",
                    hint="Try again",
                )
            time.sleep(min(pause * (0.5 + random.random()), left))  # noqa: S311 - no secret
            pause = min(pause * 1.5, 0.25)

    def least(self, id: str) -> float:  # noqa: A002
        """How long the engine must have run, as far as we know, before we may take this lease."""
        with self._mutex:
            if self._broken or time.monotonic() < self._calm_until:
                return 0.0 if id in self._own else NEVER
            self._own.clear()
        return self.seconds

    def _leave(self, lease: Lease) -> None:
        """Remember a lease that the engine may still have for us."""
        with self._mutex:
            if len(self._left) > MOST:
                self._left.clear()
            self._left[lease.id, lease.purpose] = lease.owner

    def _keep_up(self, lease: Lease) -> None:
        with self._mutex:
            self._held[lease.owner] = lease
            if self._keeper is None:
                self._keeper = threading.Thread(
                    target=self._extend_all, name="mcp leases", daemon=True
                )
                try:
                    self._keeper.start()
                except RuntimeError:  # too late for a thread, or too many: it is not extended
                    self._keeper = None

    def _extend_all(self) -> None:
        """One thread for all leases, as long as there are any."""
        pause, mine = self.seconds / EXTENDED, threading.current_thread()
        while True:
            time.sleep(pause)
            with self._mutex:
                leases = list(self._held.values())
                if not leases:
                    self._keeper = None
                if self._keeper is not mine:
                    return
            pause = self.seconds / EXTENDED
            try:
                for lease in leases:
                    with self.engine() as engine:
                        engine.extend(lease.id, lease.purpose, lease.owner, self.seconds)
                        if lease.owner not in self._held:  # released meanwhile
                            engine.release(lease.id, lease.purpose, lease.owner)
            except Exception as error:  # a client of the caller's may raise anything
                if not isinstance(error, AuthError):
                    logger.warning("leases could not be extended: %s", type(error).__name__)
                pause = min(pause, _AGAIN)

    def _broke(self) -> None:
        with self._mutex:
            self._broken = True
            self._own |= {lease.id for lease in self._held.values()}
