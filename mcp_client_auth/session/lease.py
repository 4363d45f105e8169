"""The login lease: one login to a server at a time, across all processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from ..credential import Key
from ..errors import Unavailable
from ..events import Event, tell
from ..threads import Cancel

if TYPE_CHECKING:
    from ..grants.base import Ports

_SHORT_WAIT: Final = 0.4  # a wait as short as this is not worth an event
_SLICE: Final = 1.0  # how soon a cancellation is noticed


@contextmanager
def login_lease(ports: Ports, key: Key, limit: float, cancel: Cancel) -> Iterator[None]:
    """Hold the lease. A wait for another login, at most `limit` seconds, is told as an event.

    Raises `Unavailable` after that, and `LoginFailed` once `cancel` is set.
    """
    waited, seconds = 0.0, _SHORT_WAIT
    with ExitStack() as lease:
        while True:
            began = time.monotonic()
            try:
                lease.enter_context(ports.storage.lock(key, "login", seconds))
                break
            except Unavailable as error:
                # a storage of the caller's own may not set this code: then the time tells
                if error.code != "locked" and time.monotonic() - began < seconds:
                    raise
            if not waited:
                tell_of_waiting(ports, key, limit)
            waited, seconds = waited + seconds, _SLICE
            if waited >= limit:
                raise Unavailable(
                    "another login to this server has not ended",
                    code="locked",
                    server=key.server,
                    hint="Try again; if it hangs, end the program that is logging in",
                )
            cancel.check()
        cancel.check()
        yield


def tell_of_waiting(ports: Ports, key: Key, seconds: float = 0.0) -> None:
    """Tell that another login is waited for, at most `seconds`; 0 if its own clock decides."""
    most = f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
    limit = f", at most {most}" if seconds else ""
    detail = f"another program is logging in to this server: waiting for it{limit}"
    tell(ports.on_event, Event("waiting", key.server, detail=detail, rule="one login at a time"))
