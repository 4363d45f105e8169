"""The desk of the command and of `login()`: what a person is shown while we wait for him."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .screen import Screen, screen

if TYPE_CHECKING:
    from ..prompt import Prompt
    from ..prompt.device import Invitation


def talking_prompt(*, opens: bool, reads: bool = True, device: bool = False) -> Prompt:
    """Shows the address, opens a browser where it `opens`, and `reads` a pasted answer.

    A `device` code is shown too, also unasked where else only a pasted answer could arrive.
    """
    from ..prompt import BrowserPrompt
    from ..prompt.browser import open_url
    from ..prompt.paste import PastedAnswer
    from ..prompt.remote import arrives
    from ..prompt.terminal import is_readable

    pastes = reads and is_readable()
    desk = Waiting(opens=opens, pastes=pastes, device=device)
    return BrowserPrompt(
        open_url if opens else lambda url: False,
        desk=desk,
        racers=[PastedAnswer(desk)] if pastes else [],
        device=desk if device or not (opens or arrives()) else None,
    )


class Waiting:
    """`opens`: a browser is opened for him; `pastes`: he may paste an address; `device`: he
    has asked for a device code."""

    def __init__(
        self, *, opens: bool, pastes: bool, device: bool = False, on: Screen = screen
    ) -> None:
        self._opens, self._pastes, self._device, self._screen = opens, pastes, device, on
        self._left = self._typed = 0
        self._said = self._invited = self._coded = False

    def invite(self, url: str, redirect_uri: str) -> None:
        from ..prompt.remote import advice

        there = "Open this address in a browser and sign in:"
        here = "Sign in in your browser. If none opens, go to this address:"
        self._invited, self._coded = True, False
        self._screen.clear()
        self._screen.tell(f"\n{here if self._opens else there}\n\n  {url}\n")
        words = advice(redirect_uri, opens=self._opens, pastes=self._pastes)
        if words:
            self._screen.tell(words)

    def show_code(self, asked: Invitation) -> None:
        self._coded = True
        if self._invited:
            self._screen.tell(f"\nOr on any device, code {asked.code}:\n\n  {asked.link}\n")
            return
        self._screen.clear()
        here = f"Open this address on any device and enter the code {asked.code}:"
        self._screen.tell(f"\n{here}\n\n  {asked.link}\n")
        if asked.direct:
            self._screen.tell(f"Or this one, which has the code in it:\n\n  {asked.direct}\n")
        self._screen.tell("Waiting for you (Ctrl-C ends it)")

    def no_code(self, why: str) -> None:
        if self._coded:
            self._screen.tell(f"The code is over: {why}. The browser's answer is still awaited.")
        elif self._device:
            self._screen.tell(f"There is no code for another device: {why}.")

    def waiting(self, left: float) -> None:
        self._left = max(round(left), 0)
        if self._screen.lively:
            self._draw()
        elif not self._said:
            self._said = True
            self._screen.tell(f"Waiting for you, at most {_clock(self._left)} (Ctrl-C ends it)")

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
        waits = f"Waiting for you, {_clock(self._left)} left"
        if self._typed:
            self._screen.draw(f"{self._typed} characters, press Enter.", waits)
        else:
            self._screen.draw(waits, "(Ctrl-C ends it)")


def _clock(seconds: int) -> str:
    """Minutes and seconds, as `9:41`; hours as `1:09:41`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
