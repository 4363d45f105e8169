"""What a check has found, as values: one `Finding` each, a `Report` for all of them.

A report is made to be pasted into an issue: whatever text a server or a machine has given is
masked, cleaned and cut by `Finding.fit`, once, so that no check can forget it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from ..errors import AuthError, quoted
from ..secret import Secret, masked

Level = Literal["ok", "note", "warning", "error"]
LEVELS: Final[tuple[Level, ...]] = get_args(Level)
_LONGEST: Final = 600
_TEXTS: Final = ("requested", "came", "standard", "stumbles", "remedy")


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer to one question.

    `check`: a stable name, `room.question`. `level`: `error` where a client that follows the
    specification fails, this one too; `warning` where some clients stumble; `note` for what is
    good to know. `requested`, `came`: the question and its answer. `standard`: what is asked for
    and where. `stumbles`: who fails, and how. `remedy`: what mends it. `error`: the class of the
    error that a login would end with.
    """

    check: str
    level: Level
    requested: str
    came: str
    standard: str = ""
    stumbles: str = ""
    remedy: str = ""
    error: str = ""

    def fit(self, secrets: Iterable[Secret]) -> Finding:
        """The same as it may be shown: no secret is left before anything is cut."""
        texts: dict[str, Any] = {
            name: clean(masked(getattr(self, name), secrets)) for name in _TEXTS
        }
        return replace(self, **texts)


@dataclass(frozen=True, slots=True)
class Report:
    """All findings in the order of the checks. `server` is shown without its query."""

    server: str
    version: str
    findings: tuple[Finding, ...] = field(default_factory=tuple)

    @property
    def worst(self) -> Level:
        return worst(finding.level for finding in self.findings)

    @property
    def error(self) -> str:
        """The class of the error that a login would meet first; empty where it meets none."""
        return next((f.error for f in self.findings if f.level == "error"), "")

    def as_json(self, exit_code: int) -> dict[str, Any]:
        """The documented shape; keys are added to it and never taken away."""
        return {
            "version": 1,
            "mcp_client_auth": self.version,
            "server": self.server,
            "worst": self.worst,
            "exit_code": exit_code,
            "findings": [asdict(finding) for finding in self.findings],
        }


def worst(levels: Iterable[Level]) -> Level:
    return max(levels, key=LEVELS.index, default="ok")


def failed(check: str, error: AuthError, requested: str, standard: str = "") -> Finding:
    """The finding that an error of a reader, a transport or a storage is."""
    return Finding(
        check,
        "error",
        requested,
        error.summary,
        standard,
        "this client stops here",
        error.hint,
        type(error).__name__,
    )


def clean(text: str) -> str:
    """Printable, on one line, of a bearable length, and without the name of the home directory."""
    home = str(Path.home())
    if len(home) > 1:
        text = text.replace(home + os.sep, "~" + os.sep)
    return quoted(text, _LONGEST)[1:-1] if text else ""
