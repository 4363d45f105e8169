"""What a person sees in a notebook: a link, a hidden box for a pasted address, and one line.

No library is imported for it: whatever runs the cell is already loaded in this process. The box
is the frontend's own for passwords, so that nothing pasted is stored in the notebook's file.
"""

from __future__ import annotations

import _thread
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from html import escape
from typing import TYPE_CHECKING, Any, Final

from ..environment import Machine, kernel
from ..protocol.authorization import AuthorizationRequest
from ..secret import quoted
from .browser_prompt import BrowserPrompt
from .paste import Typist
from .race import FirstAnswer

if TYPE_CHECKING:
    from ..credential import Credential
    from ..events import Event
    from .base import Invitation, Prompt

_LABEL: Final = "Address of the last page, if it does not load:"
_LOOK: Final = 0.1  # how soon the box closes after the answer
_ON_ITS_WAY: Final = 5.0  # an interrupt that was sent arrives at once


class Output:
    """One output of the running cell, redrawn as the login goes on, from any thread.

    `publish` is that of Jupyter's display publisher, or one like it; `cell` returns something
    that differs from cell to cell. A frontend that has gone away is not an error.
    """

    def __init__(
        self, publish: Callable[..., object], cell: Callable[[], object] = lambda: None
    ) -> None:
        self._publish, self._cell = publish, cell
        self._id, self._shown = "", False
        self._shown_in: object = None

    def show(self, text: str, html: str = "") -> None:
        """Show the text, or its HTML in a frontend that draws HTML, in place of what was there."""
        if not self._shown or self._cell() != self._shown_in:  # a later cell's request signs in
            self._id, self._shown, self._shown_in = secrets.token_hex(8), False, self._cell()
        self._put(text, html or f"<p>{escape(text)}</p>")

    def show_login(self, credential: Credential) -> None:
        server, account, scopes, expires = facts(credential).values()
        named = "" if account == "default" else f" as {account}"
        self.show(f"Logged in to {server}{named}: {scopes}; {expires}.")

    def show_code(self, invitation: Invitation) -> None:
        """Show the code as the only way to sign in."""
        NotebookDisplay(self).show_code(invitation)

    def tell_of_waiting(self, event: Event) -> None:
        """Show one line about a wait for another program's login."""
        if event.name == "waiting":
            self.show(f"{event.detail[:1].upper()}{event.detail[1:]}.")

    def clear(self) -> None:
        if self._shown:
            self._put("", "<span></span>")

    def _put(self, text: str, html: str) -> None:
        data = {"text/plain": text, "text/html": html}
        with suppress(Exception):
            self._publish(data=data, transient={"display_id": self._id}, update=self._shown)
            self._shown = True


def notebook_output() -> Output | None:
    """The output of the running cell; None outside a notebook."""
    shell: Any = getattr(kernel(), "shell", None)
    publisher: Any = getattr(shell, "display_pub", None)
    if publisher is not None:
        return Output(publisher.publish, lambda: getattr(shell, "execution_count", None))
    marimo: Any = sys.modules.get("marimo")
    try:
        about = marimo.app_meta()
        # not in an app, whose visitors are not its owner, nor in an export
        edited = about.mode == "edit" and about.request is not None
    except Exception:
        return None
    if not edited:
        return None
    return Output(lambda *, data, **_: marimo.output.replace(marimo.Html(data["text/html"])))


def notebook_prompt(output: Output, *, opens: bool) -> Prompt:
    """A prompt that shows the link, opens a browser if it `opens`, and asks for a pasted address.

    It shows a device code if otherwise only a pasted answer could arrive.
    """
    arrives = Machine().callback_arrives
    display = NotebookDisplay(output, _box(), opens=opens, arrives=arrives)
    return BrowserPrompt(
        None if opens else lambda url: False,
        display=display,
        sources=[display.source],
        device=None if opens or arrives else display,
    )


def _box() -> Callable[[str], str] | None:
    """The kernel's own request for a password; None if it could not be made, or not be ended."""
    running = kernel()
    allowed = getattr(running, "_allow_stdin", False)
    ask: Callable[[str], str] | None = getattr(running, "getpass", None) if allowed else None
    return ask if callable(signal.getsignal(signal.SIGINT)) else None


class NotebookDisplay:
    """The display of a cell. `box` asks for a password; `opens`: a browser is opened here;
    `arrives`: its callback comes back here."""

    def __init__(
        self,
        output: Output,
        box: Callable[[str], str] | None = None,
        *,
        opens: bool = False,
        arrives: bool = False,
    ) -> None:
        self._output, self._box, self._opens, self._arrives = output, box, opens, arrives
        self._text: list[str] = []
        self._html: list[str] = []
        self._note, self._coded = "", False
        self._scope = ""
        self._race: FirstAnswer | None = None
        self._typist: Typist | None = None

    @property
    def _asks(self) -> bool:
        """Whether it asks: only on the main thread, which gets the interrupt that closes the box.
        The sign-in of a request waits on another thread."""
        return self._box is not None and threading.current_thread() is threading.main_thread()

    @contextmanager
    def source(self, request: AuthorizationRequest, race: FirstAnswer) -> Iterator[None]:
        """The box as a source of answers: `waiting` asks, on the thread that waits."""
        self._race, self._typist = race, Typist(request, race, self)
        self._scope = " ".join(request.scope or ())
        yield

    def invite(self, url: str, redirect_uri: str) -> None:
        self._text, self._html, self._note, self._coded = [], [], "", False
        here = "Sign in with your browser. If none opens, use this link:"
        self._add(here if self._opens else "Sign in with this link:", url, "sign-in page")
        page = f"{'If' if self._arrives else 'Where'} the last page does not load,"
        if self._asks:
            self._add(f"{page} copy its address into the box below.")
        elif self._box and not self._arrives:
            call = f'login(…, scope="{self._scope}")' if self._scope else "login(…)"
            self._add(f"{page} interrupt this cell and use {call}: that asks for its address.")
        self._draw()

    def show_code(self, invitation: Invitation) -> None:
        self._coded = True
        words = "Or on any device, code" if self._text else "On any device, enter the code"
        self._add(f"{words} {invitation.code}:", invitation.link, invitation.link)
        if invitation.direct and not self._text[1:]:
            self._add("Or with the code in it:", invitation.direct, invitation.direct)
        self._draw()

    def no_code(self, why: str) -> None:
        if self._coded:
            self.say(f"The code can no longer be used: {why}.")

    def waiting(self, left: float) -> None:
        if self._box and self._asks and self._race and self._typist:
            race = self._race
            try:
                text = entered(self._box, lambda: race.decided, left)
            except EOFError:
                self._box = None
                return
            if text is not None:
                self._typist.entered(text)

    def typed(self, count: int) -> None:
        """Show nothing: the frontend keeps what is typed until it is entered."""

    def say(self, text: str) -> None:
        self._note = text
        self._draw()

    def over(self) -> None:
        self._output.clear()

    def _add(self, words: str, url: str = "", label: str = "") -> None:
        self._text.append(f"{words}\n{url}" if url else words)
        there = f' href="{escape(url)}" target="_blank" rel="noopener noreferrer"'
        link = f" <a{there}>{escape(label)}</a>" if url else ""
        self._html.append(f"<p>{escape(words)}{link}</p>")

    def _draw(self) -> None:
        note = f"<p><em>{escape(self._note)}</em></p>" if self._note else ""
        text = "\n".join(filter(None, [*self._text, self._note]))
        self._output.show(text, "".join([*self._html, note]))


def entered(ask: Callable[[str], str], decided: Callable[[], bool], seconds: float) -> str | None:
    """What is entered in the box that `ask` opens; None if it is `decided` or time is up first.

    Call it on the main thread. Only an interrupt ends the kernel's wait, so another thread sends
    one; this returns only when it is certain that none is still on its way. Raises `EOFError` if
    nothing can be entered any more.
    """
    opened, left = True, threading.Event()
    sent = gone = False
    text: str | None = None

    def watch() -> None:
        nonlocal sent
        end = time.monotonic() + seconds
        while not left.wait(_LOOK):
            if decided() or time.monotonic() >= end:
                sent = opened
                if sent:
                    _thread.interrupt_main()
                return

    watcher = threading.Thread(target=watch, name="notebook", daemon=True)
    try:
        watcher.start()
        try:
            text = ask(_LABEL)
        except (EOFError, RuntimeError):  # the box was closed, or the frontend has none
            gone = True
        opened = False
        left.set()
        watcher.join()
        if sent:
            time.sleep(_ON_ITS_WAY)
    except KeyboardInterrupt:
        if not sent:
            raise
        return None
    finally:
        opened = False
        left.set()
    if gone:
        raise EOFError
    return text


def table(credential: Credential) -> str:
    """The facts as HTML, for a cell that ends with the login."""
    cell = '<td style="text-align:left;padding:2px 8px">'
    rows = [
        f"<tr>{cell}{name}</td>{cell}{escape(value)}</td></tr>"
        for name, value in facts(credential).items()
    ]
    return f"<table>{''.join(rows)}</table>"


def facts(credential: Credential) -> dict[str, str]:
    """What a person wants to know about a login, in local time; no secret."""
    tokens = credential.tokens
    scopes = "the server's default scopes" if tokens.scope is None else "no scopes"
    expires = "no expiry given"
    if tokens.expires_at is not None:
        expires = time.strftime("valid until %Y-%m-%d %H:%M", time.localtime(tokens.expires_at))
    return {
        "server": credential.key.server,
        "account": quoted(credential.key.account)[1:-1],
        "scopes": quoted(" ".join(tokens.scope))[1:-1] if tokens.scope else scopes,
        "expires": expires + (", renews automatically" if credential.renews else ""),
    }
