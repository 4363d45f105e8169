"""stderr as a person sees it: whole lines, and below them at most one that is drawn anew.

A line is only redrawn, coloured or wrapped at a terminal; elsewhere plain lines stand.
"""

from __future__ import annotations

import os
import sys
import textwrap
import threading
from contextlib import suppress
from typing import Final, TextIO

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
        """Whether a line can be drawn anew: a terminal that can do more than print."""
        return at_terminal() and not self.quiet and os.environ.get("TERM", "") != "dumb"

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
        blank is left whole, for it is there to be copied."""
        lines = words.split("\n")
        self.say("\n".join(_wrapped(line, self.width) for line in lines))

    def draw(self, *parts: str) -> None:
        """Below all lines: as many of the parts as fit, from the first on. Nothing elsewhere."""
        with self._turn:
            if not self.lively or not _in_front():
                return
            text = _fitting(parts, self.width - 1)
            if text != self._drawn:
                self._write("\r" + text.ljust(len(self._drawn)) + "\b" * self._surplus(text))
                self._drawn = text

    def clear(self) -> None:
        with self._turn:
            if self._drawn:
                self._write("\r" + " " * len(self._drawn) + "\r")
                self._drawn = ""

    @property
    def width(self) -> int:
        return columns(sys.stderr) or _USUAL

    def _surplus(self, text: str) -> int:
        return max(len(self._drawn) - len(text), 0)

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


def at_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


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
    width = columns(sys.stderr if stream is None else stream)
    if not width or len(head) + len(text) <= width:
        return head + text
    room = max(width - len(head), 20)
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    return head + ("\n" + " " * len(head)).join(lines)


def columns(stream: TextIO) -> int:
    """How wide the terminal is; 0 for none, and where that cannot be told."""
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except (AttributeError, OSError, ValueError):
        return 0


def _wrapped(line: str, width: int) -> str:
    if not at_terminal() or line.startswith(" "):
        return line
    return "\n".join(textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False))


def _fitting(parts: tuple[str, ...], room: int) -> str:
    text = parts[0][:room] if parts else ""
    for part in parts[1:]:
        if len(text) + 1 + len(part) > room:
            break
        text = f"{text} {part}"
    return text


def _in_front() -> bool:
    """In the background a line that is drawn anew would be drawn over the shell's."""
    if sys.platform == "win32":
        return True
    try:
        return os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return True
