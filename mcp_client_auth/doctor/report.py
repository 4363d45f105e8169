"""What an examination comes to, as values: a `Finding` for each question, a `Report` for all.

A report is made to be pasted into an issue: whatever text a server or a machine has given is
masked, cleaned and cut by `Finding.fit`, once, so that no check can forget it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, get_args

from ..errors import AuthError, Remedy
from ..paths import user_home
from ..secret import Secret, masked, quoted
from .clients.rules import Verdict

Level = Literal["ok", "note", "warning", "error"]
LEVELS: Final[tuple[Level, ...]] = get_args(Level)
_LONGEST: Final = 600
_TEXTS: Final = ("requested", "came", "standard", "stumbles", "remedy")


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer to one question.

    `check`: a stable name, `room.question`. `level`: `error` where a client that follows the
    specification fails, this one too; `warning` where some clients do; `note` for what is good to
    know. `requested`, `came`: what was sent or looked at, and what was got. `standard`: what is
    required, and where. `stumbles`: which clients are affected, and how. `remedy`: what fixes it.
    `error`: the class of the error that a login would end with.
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
class Question:
    """What a check asks, and the makers of its findings; the fields are those of `Finding`."""

    check: str
    requested: str
    standard: str = ""

    def finding(
        self, level: Level, came: str, stumbles: str = "", remedy: str = "", error: str = ""
    ) -> Finding:
        standard = self.standard
        return Finding(self.check, level, self.requested, came, standard, stumbles, remedy, error)

    def ok(self, came: str) -> Finding:
        return self.finding("ok", came)

    def note(self, came: str, stumbles: str = "", remedy: str = "") -> Finding:
        return self.finding("note", came, stumbles, remedy)

    def warning(self, came: str, stumbles: str = "", remedy: str = "") -> Finding:
        return self.finding("warning", came, stumbles, remedy)

    def failed(self, error: AuthError) -> Finding:
        """The finding that an error of a reader, a transport or a storage is."""
        kind = type(error).__name__
        remedy = for_operator(error.remedy)
        return self.finding("error", error.summary, "this client stops here", remedy, kind)


@dataclass(frozen=True, slots=True)
class Report:
    """All findings in the order of the checks. `server` is shown without its query."""

    server: str
    version: str
    findings: tuple[Finding, ...] = ()
    clients: tuple[Verdict, ...] = ()

    @property
    def worst(self) -> Level:
        return max((finding.level for finding in self.findings), key=LEVELS.index, default="ok")

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
            **({"clients": [each.as_json() for each in self.clients]} if self.clients else {}),
        }


def for_operator(remedy: Remedy) -> str:
    """In the words of who runs the server, and has neither our command nor our Python."""

    def option(name: str, value: str | None) -> str:
        given = "" if value in (None, "True") else f" ({value or 'empty'})"
        return f"the option {name.rpartition('.')[2]}{given} of mcp-client-auth"

    return remedy.spelled(option)


def clean(text: str) -> str:
    """Printable, on one line, of a bearable length, and without the name of the home directory."""
    home = user_home()
    if len(home) > 1:
        text = text.replace(home + os.sep, "~" + os.sep)
    return quoted(text, _LONGEST)[1:-1] if text else ""
