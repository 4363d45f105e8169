"""What a person types or pastes, key by key: keys go in, text comes out, nothing is touched."""

from __future__ import annotations

import re
from typing import Final

MOST: Final = 64 * 1024
_OPEN, _CLOSE = "\x1b[200~", "\x1b[201~"  # bracketed paste, as xterm defined it
# Whole escape sequences, the beginning of one, ordinary text, or one control character.
_KEYS: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO[ -~]|\x1b(?:\[[0-?]{0,16}|O)?\Z|[^\x00-\x1f\x7f]+|.",
    re.DOTALL,
)
_BEGUN: Final = re.compile(r"\x1b(?:\[[0-?]*|O)?")


class Line:
    """The text typed so far. At most `MOST` characters and one more are kept.

    `complete`: the last key was Enter or the end of a bracketed paste. `ended`: Ctrl-D was
    pressed on an empty line.
    """

    def __init__(self) -> None:
        self._text = ""
        self._begun = ""  # the beginning of an escape sequence
        self._pasting = False
        self.complete = self.ended = False

    def __len__(self) -> int:
        return len(self._text.rstrip("\n"))

    def feed(self, keys: str) -> None:
        for key in _KEYS.findall(self._begun + keys):
            self._begun = ""
            if key in (_OPEN, _CLOSE):
                self._pasting = key == _OPEN
                self.complete = key == _CLOSE
            elif key.startswith("\x1b"):
                # the rest may be on its way; a lone Escape is ignored
                self._begun = key if _BEGUN.fullmatch(key) else ""
            elif self._pasting or (key >= " " and key != "\x7f"):
                self._type(key)
            elif key in "\r\n" or (key == "\x04" and self._text):
                self._type("\n")
                self.complete = True
            elif key == "\x04":
                self.ended = True
            elif key in "\b\x7f":
                self._text, self.complete = self._text[:-1], False
            elif key == "\x15":
                self._text, self.complete = "", False

    def take(self) -> str:
        """Return the text and forget it."""
        text, self._text, self.complete = self._text, "", False
        return text

    def _type(self, text: str) -> None:
        self._text = (self._text + text)[: MOST + 1]
        self.complete = False
