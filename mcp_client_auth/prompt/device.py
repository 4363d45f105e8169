"""Asks a person who sits at another device: shows him a link and a code (RFC 8628 §3.3)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import LoginFailed

if TYPE_CHECKING:
    from ..protocol.device import DeviceAuthorization

_SLICE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Invitation:
    """What to show: open `link` and type `code`; `direct` has the code in it, and may be empty.

    Both links have been checked as every address that a person opens. `seconds`: its life.
    """

    server: str
    account: str
    link: str
    code: str = field(repr=False)
    direct: str = field(default="", repr=False)
    seconds: float = 600.0


class CodeDesk(Protocol):
    """Where a device code is shown beside the browser's address. Called from any thread, and
    nothing that happens here may fail."""

    def show_code(self, asked: Invitation) -> None:
        """Link and code; the only way in where no address was shown before."""
        ...

    def no_code(self, why: str) -> None:
        """None can be offered, or it is over: only the browser's answer is awaited."""
        ...


class DevicePrompt:
    """Logs in with `DeviceCode()`; `show(invitation)` brings it before the person, and returns."""

    def __init__(self, show: Callable[[Invitation], None]) -> None:
        self._show = show

    def visit(self, server: str, account: str) -> DeviceVisit:
        return DeviceVisit(Invitation(server, account, "", ""), self._show)


class DeviceVisit:
    """A person being asked once."""

    def __init__(self, blank: Invitation, show: Callable[[Invitation], None]) -> None:
        self._blank, self._show = blank, show
        self._cancelled = threading.Event()

    def show(self, asked: DeviceAuthorization) -> None:
        """Raises `InsecureUrl` for a link that nobody should open."""
        from .browser import checked_url

        self._require_wanted()
        direct = asked.verification_uri_complete
        self._show(
            replace(
                self._blank,
                link=checked_url(asked.verification_uri),
                code=asked.user_code,
                direct=checked_url(direct) if direct else "",
                seconds=asked.expires_in,
            )
        )

    def pause(self, seconds: float, sleep: Callable[[float], None]) -> None:
        """`LoginFailed` as soon as somebody has cancelled the wait."""
        while seconds > 0 and not self._cancelled.is_set():
            sleep(min(seconds, _SLICE))
            seconds -= _SLICE
        self._require_wanted()

    def nap(self, seconds: float) -> None:
        """A sleep that `cancel()` ends."""
        self._cancelled.wait(seconds)

    def cancel(self) -> None:
        """End the wait from another thread."""
        self._cancelled.set()

    def _require_wanted(self) -> None:
        if self._cancelled.is_set():
            raise LoginFailed("the login was aborted", code="aborted", hint="Nothing was changed")
