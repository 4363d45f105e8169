"""How a program that a host has started asks the user to sign in: it has no terminal, but a log,
and the host's own ways to show something.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..events import Event, Listener
    from ..prompt.base import Invitation, Prompt


class Host(Protocol):
    """The host, which waits for the user, too."""

    def waits(self, why: str) -> None:
        """Tell the host that it waits from now on, and why."""
        ...

    def waits_no_more(self) -> None: ...


class HostDisplay:
    """The address and the code on stderr; the host is told that they are there."""

    def __init__(self, hosts: Callable[[], Host | None], *, opens: bool) -> None:
        self._hosts, self._opens = hosts, opens

    def invite(self, url: str, redirect_uri: str) -> None:
        where = "see your browser" if self._opens else "the address is in the log of mcp-login"
        self._say(f"Sign in here: {url}", f"Waiting for you to sign in: {where}")

    def show_code(self, invitation: Invitation) -> None:
        there = f"{invitation.link} with the code {invitation.code}"
        self._say(f"Sign in at {there}", f"Waiting for you to sign in at {there}")

    def no_code(self, why: str) -> None:
        self.say(f"There is no code for another device: {why}.")

    def waiting(self, left: float) -> None: ...
    def typed(self, count: int) -> None: ...

    def say(self, text: str) -> None:
        from ..prompt.screen import screen

        screen.say(text)

    def over(self) -> None:
        if host := self._hosts():
            host.waits_no_more()

    def _say(self, text: str, why: str) -> None:
        self.say(text)
        if host := self._hosts():
            host.waits(why)


def host_prompt(
    hosts: Callable[[], Host | None], *, browser: bool = True, device: bool = False
) -> Prompt | None:
    """Return the prompt; None if no one can be asked. With a device code no browser is opened
    here, because the user has theirs elsewhere."""
    from ..prompt.browser_prompt import BrowserPrompt
    from ..prompt.open_browser import can_open

    opens = browser and not device and can_open()
    if not opens and not device:
        return None
    display = HostDisplay(hosts, opens=opens)
    return BrowserPrompt(
        None if opens else lambda url: False,
        display=display,
        device=display if device else None,
    )


class AnotherLogin:
    """An event listener that tells a host when it waits for another program's login."""

    def __init__(self, hosts: Callable[[], Host | None], beneath: Listener | None) -> None:
        self._hosts, self._beneath = hosts, beneath
        self._told = False

    def __call__(self, event: Event) -> None:
        if self._beneath:
            self._beneath(event)
        host = self._hosts()
        if host is None or event.name == "message":
            return
        if event.name == "waiting":
            self._told = True
            host.waits(f"{event.detail[:1].upper()}{event.detail[1:]}")
        elif self._told:  # its own has begun, or is not needed
            self._told = False
            host.waits_no_more()
