"""Replaces the standard streams that our caller has closed (`>&-`, some services).

Python has None there, and the next file that is opened, such as a login's, would get its number.
"""

from __future__ import annotations

import os
import sys
from typing import Any


def open_missing() -> None:
    """Open them: stdin and stdout then fail, as in any program; stderr goes nowhere."""
    # the lowest free number is given: in this order each gets its own
    if sys.stdin is None:
        sys.stdin = _null("<stdin>", "r", os.O_WRONLY)
    if sys.stdout is None:
        sys.stdout = _null("<stdout>", "w", os.O_RDONLY)
    if sys.stderr is None:
        sys.stderr = _null("<stderr>", "w", os.O_WRONLY)


def _null(name: str, mode: str, flags: int) -> Any:
    return open(name, mode, opener=lambda *_: os.open(os.devnull, flags))
