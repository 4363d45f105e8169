"""An address of the listener that leads to the sign-in page, once.

Other users of the machine can read a browser's command line, and the authorization address has
`state` and challenge in it. A second visitor to the short one learns that it was used before.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from hmac import compare_digest
from typing import Final

_BYTES: Final = 12
_MOST_GUESSES: Final = 20
_BY_ITSELF: Final = "/favicon.ico"  # what a browser requests beside a page
OPENED: Final = (
    "Already opened",
    "This address leads to the sign-in page once, and has been opened already. If you did not"
    " open it, cancel the login where it was started, and start it again.",
)
REOPENED: Final = (
    "The short address was opened a second time, and leads to the sign-in page only once. If your"
    " browser shows no sign-in page, cancel this login and start it again."
)
OFF: Final = (
    "Turned off",
    "Too many wrong addresses were tried here, so the short address no longer works. Open the long"
    " address that the program shows instead; if it shows none, start the login again.",
)
TURNED_OFF: Final = (
    "The short address no longer works: too many wrong ones were tried. If your browser shows no"
    " sign-in page, open the long address in it."
)


class ShortAddress:
    """Safe from any thread. `say` tells the person about each visit after the first, and once if
    guesses turned it off before any visit."""

    def __init__(self, url: str, say: Callable[[str], None]) -> None:
        self.path = "/" + secrets.token_urlsafe(_BYTES)
        self._url, self._say = url, say
        self._guesses = 0
        self._opened = False
        self._turn = threading.Lock()

    @property
    def off(self) -> bool:
        return self._guesses >= _MOST_GUESSES

    def is_at(self, target: str) -> bool:
        """Whether a request is for it, query included; never after 20 wrong guesses."""
        with self._turn:
            if self.off:
                return False
            ours = compare_digest(self.path.encode(), target.encode(errors="replace"))
            self._guesses += not ours and target != _BY_ITSELF
            lost = self.off and not self._opened
        if lost:
            self._say(TURNED_OFF)
        return ours

    def open(self) -> str:
        """Return where to send the first visit; empty for every later one."""
        with self._turn:
            first, self._opened = not self._opened, True
        if first:
            return self._url
        self._say(REOPENED)
        return ""
