"""stderr as a person sees it: whole lines, and below them at most one that is redrawn.

Lines are redrawn, coloured or wrapped only at a terminal; elsewhere they are plain.
"""

from __future__ import annotations

import os
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Literal, TextIO, TypeAlias

from ..environment import has_colours, has_hyperlinks, is_terminal, terminal_width

_USUAL: Final = 80
_TICK: Final = 1.0
Meaning: TypeAlias = Literal["", "error", "warning", "hint", "good"]
_COLOURS: Final = {"error": "red", "warning": "yellow", "hint": "cyan", "good": "green"}


class Screen:
    """The lines on stderr. Safe from any thread; a terminal that has gone away is not an error.

    `quiet`: nothing is drawn, and no remark is made.
    """

    def __init__(self) -> None:
        self.quiet = False
        self._drawn = ""
        self._turn = threading.RLock()

    @property
    def lively(self) -> bool:
        """Whether a line can be redrawn: a terminal that can do more than print."""
        return is_terminal(sys.stderr) and not self.quiet and os.environ.get("TERM", "") != "dumb"

    def say(self, text: str) -> None:
        """Write lines that stay."""
        with self._turn:
            drawn = self._drawn
            self.clear()
            self._write(text + "\n")
            self.draw(drawn)

    def remark(self, text: str, meaning: Meaning = "") -> None:
        """Write lines that are not a question, error or address; quiet mode leaves them out."""
        if not self.quiet:
            self.tell(text, meaning)

    def tell(self, words: str, meaning: Meaning = "") -> None:
        """Write prose, wrapped between words at a terminal; a line that begins with a space is left
        whole, because it is there to be copied."""
        lines: list[str] = []
        for line in words.split("\n"):
            whole = line.startswith(" ") or not is_terminal(sys.stderr)
            lines += [line] if whole else _wrap(line, self.width) or [""]
        self.say(tinted("\n".join(lines), meaning))

    def draw(self, *parts: str) -> None:
        """Draw the parts below all lines, as many as fit from the first on; only at a terminal."""
        with self._turn:
            if not self.lively or not _in_front():
                return
            text = _fitting(parts, self.width - 1)
            if text != self._drawn:
                surplus = max(len(self._drawn) - len(text), 0)
                self._write("\r" + text + " " * surplus + "\b" * surplus)
                self._drawn = text

    @contextmanager
    def waiting_for(self, what: str) -> Iterator[None]:
        """Draw what is waited for, and for how long so far, once that takes more than a second."""
        if not self.lively:
            yield
            return
        over = threading.Event()
        began = time.monotonic()

        def show() -> None:
            while not over.wait(_TICK):
                seconds = f"({time.monotonic() - began:.0f} s, Ctrl-C to cancel)"
                self.draw(f"Waiting for {what} ...", seconds)

        thread = threading.Thread(target=show, name="mcp waiting", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.clear()

    def clear(self) -> None:
        with self._turn:
            if self._drawn:
                self._write("\r" + " " * len(self._drawn) + "\r")
                self._drawn = ""

    @property
    def width(self) -> int:
        return terminal_width(sys.stderr) or _USUAL

    def _write(self, text: str) -> None:
        import click

        with suppress(OSError, ValueError):
            click.echo(text, err=True, nl=False, color=has_colours(sys.stderr))


screen: Final = Screen()


def say(text: str) -> None:
    screen.say(text)


def tinted(text: str, meaning: Meaning) -> str:
    """The text in the colour of its meaning, which is written only if the screen has colours.

    Wrap it first: each line is coloured separately.
    """
    if not meaning:
        return text
    import click

    return "\n".join(
        click.style(line, fg=_COLOURS[meaning]) if line.strip() else line
        for line in text.split("\n")
    )


def blamed(who: str, what: str) -> str:
    """An error, wrapped; its first word has the colour."""
    return hanging("", f"{who} {what}").replace(who, tinted(who, "error"), 1)


def link(url: str) -> str:
    """The address as it is, and as a link if the terminal has links: a click opens all of it, even
    if it fills several lines."""
    if not has_hyperlinks(sys.stderr) or not url.isascii() or not url.isprintable():
        return url
    return f"\x1b]8;;{url}\x1b\\{url}\x1b]8;;\x1b\\"


def encodes(text: str) -> bool:
    """Whether stderr can encode these characters."""
    try:
        text.encode(getattr(sys.stderr, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def hanging(head: str, text: str, stream: TextIO | None = None) -> str:
    """The text after its head, wrapped with a hanging indent if `stream` (stderr) is a terminal. A
    word that is longer than a line is left whole, because it is there to be copied."""
    width = terminal_width(sys.stderr if stream is None else stream)
    if not width or len(head) + len(text) <= width:
        return head + text
    room = max(width - len(head), 20)
    return head + ("\n" + " " * len(head)).join(_wrap(text, room))


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _fitting(parts: tuple[str, ...], room: int) -> str:
    text = parts[0][:room] if parts else ""
    for part in parts[1:]:
        if len(text) + 1 + len(part) > room:
            break
        text = f"{text} {part}"
    return text


def _in_front() -> bool:
    """Whether we are in the foreground: elsewhere a redrawn line would cover the shell's."""
    if sys.platform == "win32":
        return True
    try:
        return os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return True
