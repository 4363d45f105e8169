"""A login on another device: a link and a code are shown here (RFC 8628 §3.3)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NoReturn

from ..threads import aborted, require_plain
from .base import CodeDisplay, Invitation

if TYPE_CHECKING:
    from ..protocol.device import DeviceAuthorization
    from ..protocol.redirects import Callback

_SLICE: Final = 0.5


class DevicePrompt:
    """The prompt for `DeviceCode()`; `show(invitation)` shows it to the person, and returns.

    Example:
        ```python
        from mcp_client_auth import DevicePrompt

        prompt = DevicePrompt(lambda shown: print(f"Open {shown.link} and type {shown.code}"))
        ```
    """

    def __init__(self, show: Callable[[Invitation], None]) -> None:
        require_plain("show", show)
        self._show = show

    @property
    def device(self) -> CodeDisplay:
        return self

    def show_code(self, invitation: Invitation) -> None:
        self._show(invitation)

    def no_code(self, why: str) -> None:
        """Show nothing: the error of the login says why."""

    def visit(self, callback: Callback, server: str, account: str) -> NoReturn:
        raise TypeError("a DevicePrompt opens no browser")


class DeviceVisit:
    """One sign-in on another device."""

    def __init__(self, blank: Invitation, show: Callable[[Invitation], None]) -> None:
        self._blank, self._show = blank, show
        self._cancelled = threading.Event()

    def show(self, authorization: DeviceAuthorization) -> None:
        """Show link and code; raises `InsecureUrl` for a link that no one should open."""
        from .open_browser import checked_url

        self._require_uncancelled()
        direct = authorization.verification_uri_complete
        self._show(
            replace(
                self._blank,
                link=checked_url(authorization.verification_uri),
                code=authorization.user_code,
                direct=checked_url(direct) if direct else "",
                seconds=authorization.expires_in,
            )
        )

    def pause(self, seconds: float, sleep: Callable[[float], None]) -> None:
        """Sleep in slices; `LoginFailed` as soon as the wait is cancelled."""
        while seconds > 0 and not self._cancelled.is_set():
            sleep(min(seconds, _SLICE))
            seconds -= _SLICE
        self._require_uncancelled()

    def nap(self, seconds: float) -> None:
        """A sleep that `cancel()` ends."""
        self._cancelled.wait(seconds)

    def cancel(self) -> None:
        """End the wait from another thread."""
        self._cancelled.set()

    def _require_uncancelled(self) -> None:
        if self._cancelled.is_set():
            raise aborted()
