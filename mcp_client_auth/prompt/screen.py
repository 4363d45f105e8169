"""stderr as a person sees it: whole lines, and below them at most one that is redrawn.

A line is only redrawn, coloured or wrapped at a terminal; elsewhere plain lines stand.
"""

from __future__ import annotations

import os
import sys
import textwrap
import threading
from contextlib import suppress
from typing import Final, TextIO

from ..environment import is_terminal, terminal_width

_USUAL: Final = 80


class Screen:
    """Safe from any thread; a terminal that has gone away is no error.

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

    @property
    def colours(self) -> bool:
        return self.lively and not os.environ.get("NO_COLOR")  # no-color.org

    def say(self, text: str) -> None:
        """Lines that stay."""
        with self._turn:
            drawn = self._drawn
            self.clear()
            self._write(text + "\n")
            self.draw(drawn)

    def remark(self, text: str) -> None:
        """Lines that are no question, error or address: who wants quiet does without."""
        if not self.quiet:
            self.tell(text)

    def tell(self, words: str) -> None:
        """Prose, wrapped at a terminal between words; a line of its own that begins with a
        space is left whole, for it is there to be copied."""
        lines: list[str] = []
        for line in words.split("\n"):
            whole = line.startswith(" ") or not is_terminal(sys.stderr)
            lines += [line] if whole else _wrap(line, self.width) or [""]
        self.say("\n".join(lines))

    def draw(self, *parts: str) -> None:
        """Below all lines: as many of the parts as fit, from the first on. Nothing elsewhere."""
        with self._turn:
            if not self.lively or not _in_front():
                return
            text = _fitting(parts, self.width - 1)
            if text != self._drawn:
                surplus = max(len(self._drawn) - len(text), 0)
                self._write("\r" + text + " " * surplus + "\b" * surplus)
                self._drawn = text

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
            click.echo(text, err=True, nl=False, color=None if self.colours else False)


screen: Final = Screen()


def say(text: str) -> None:
    screen.say(text)


def green(text: str) -> str:
    """Seen as such only where the screen has colours."""
    import click

    return click.style(text, fg="green")


def encodes(text: str) -> bool:
    """Whether stderr has these characters."""
    try:
        text.encode(getattr(sys.stderr, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def hanging(head: str, text: str, stream: TextIO | None = None) -> str:
    """The text behind its head, wrapped below its own beginning where `stream` (stderr) is a
    terminal; a word that is longer than a line is left whole, for it is there to be copied."""
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
    """In the background a line that is redrawn would be drawn over the shell's."""
    if sys.platform == "win32":
        return True
    try:
        return os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return True
