"""The display of the command and of `login()`: what a person sees until they have signed in."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from .screen import Screen, link, screen

if TYPE_CHECKING:
    from ..events import Event
    from .base import Invitation, Prompt

_LOG_IN_FIRST: Final = (
    "If the last page does not load, press Ctrl-C and log in before the call, with the scope that"
    " is in this address: login(…, scope=…) reads the last page's address here."
)


def talking_prompt(*, opens: bool, reads: bool = True, device: bool = False) -> Prompt:
    """A prompt that shows the address, opens a browser if it `opens`, and `reads` a pasted answer.

    It shows a `device` code too, even unasked if otherwise only a pasted answer could arrive.
    """
    from ..environment import Machine
    from .browser_prompt import BrowserPrompt
    from .paste import PastedAnswer
    from .terminal.reader import is_readable

    pastes = reads and is_readable()
    display = Waiting(opens=opens, pastes=pastes, device=device)
    return BrowserPrompt(
        None if opens else lambda url: False,
        display=display,
        sources=[PastedAnswer(display)] if pastes else [],
        device=display if device or not (opens or Machine().callback_arrives) else None,
    )


class Waiting:
    """The display of the wait. `opens`: a browser is opened; `pastes`: an address may be pasted;
    `device`: a device code was requested."""

    def __init__(
        self, *, opens: bool, pastes: bool, device: bool = False, on: Screen = screen
    ) -> None:
        self._opens, self._pastes, self._device, self._screen = opens, pastes, device, on
        self._left = self._typed = 0
        self._said = self._invited = self._coded = False

    def invite(self, url: str, redirect_uri: str) -> None:
        from ..environment import Machine
        from .callback_advice import advice

        there = "Open this address in a browser and sign in:"
        here = "Sign in with your browser. If none opens, go to this address:"
        self._invited, self._coded = True, False
        self._screen.clear()
        self._screen.tell(f"\n{here if self._opens else there}\n\n  {link(url)}\n")
        # The sign-in of a request waits on another thread, where nothing reads the terminal.
        pastes = self._pastes and threading.current_thread() is threading.main_thread()
        words = advice(redirect_uri, opens=self._opens, pastes=pastes)
        if self._pastes and not pastes and Machine().place not in ("here", "wsl", "ssh"):
            words = _LOG_IN_FIRST
        if words:
            self._screen.tell(words)

    def show_code(self, invitation: Invitation) -> None:
        self._coded = True
        if self._invited:
            self._screen.tell(
                f"\nOr on any device, code {invitation.code}:\n\n  {link(invitation.link)}\n"
            )
            return
        self._screen.clear()
        here = f"Open this address on any device and enter the code {invitation.code}:"
        self._screen.tell(f"\n{here}\n\n  {link(invitation.link)}\n")
        if invitation.direct:
            direct = link(invitation.direct)
            self._screen.tell(f"Or this one, which has the code in it:\n\n  {direct}\n")
        self._screen.tell("Waiting for you to sign in (Ctrl-C to cancel)")

    def no_code(self, why: str) -> None:
        if self._coded:
            self._screen.tell(
                f"The code can no longer be used: {why}. Still waiting for the browser."
            )
        elif self._device:
            self._screen.tell(f"There is no code for another device: {why}.")

    def waiting(self, left: float) -> None:
        self._left = max(round(left), 0)
        if self._screen.lively:
            self._draw()
        elif not self._said:
            self._said = True
            time = _clock(self._left)
            self._screen.tell(f"Waiting for you to sign in ({time} left, Ctrl-C to cancel)")

    def typed(self, count: int) -> None:
        self._typed = count
        if self._left:
            self._draw()

    def say(self, text: str) -> None:
        self._screen.tell(text)

    def over(self) -> None:
        self._left = 0
        self._screen.clear()

    def _draw(self) -> None:
        waits = f"Waiting for you to sign in, {_clock(self._left)} left"
        if self._typed:
            self._screen.draw(
                f"{self._typed} character{'s' * (self._typed > 1)}, press Enter.", waits
            )
        else:
            self._screen.draw(waits, "(Ctrl-C to cancel)")


def tell_of_waiting(event: Event) -> None:
    """Print one line about a wait for another program's login. It replaces the address that this
    login would show, so it is printed in quiet mode, too."""
    if event.name == "waiting":
        screen.tell(f"{event.detail[:1].upper()}{event.detail[1:]} (Ctrl-C to cancel).")


def _clock(seconds: int) -> str:
    """Minutes and seconds, as `9:41`; hours as `1:09:41`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
