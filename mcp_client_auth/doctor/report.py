"""The results of an examination, as values: a `Finding` for each question, a `Report` for all, and
a `Verdict` in one sentence.

A report is made to be pasted into an issue: any text from a server or a machine is masked,
cleaned and cut by `Finding.fit`, once, so that no check can forget it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, get_args

from ..errors import AuthError, StorageError
from ..origin import origin_url, shown
from ..paths import user_home
from ..secret import Secret, masked, quoted
from .clients.verdict import ClientVerdict
from .faults import fault_of, for_machine, for_operator, host_of, places
from .remedies import fix

Level = Literal["ok", "note", "warning", "error"]
Outcome = Literal["works", "fails", "not-required", "not-examined"]
LEVELS: Final[tuple[Level, ...]] = get_args(Level)
NO_LOGIN: Final = "This server requires no login: it answers everyone."
_PARTLY: Final = (
    "Clients do not log in here: initialize is open, and nothing says where to log in for the rest."
)
OPEN: Final = "no-login-required"  # the fault of a finding that is none: the server is open
_DOUBT: Final = (
    "authorize-fails"  # only a warning if no client is known: people may still be able to sign in
)
_LONGEST: Final = 600
_SENTENCE: Final = 200
_TEXTS: Final = ("requested", "came", "standard", "stumbles", "remedy", "why")
IF_REAL: Final = "everyone, if a real request is answered like the made-up one"
HERE: Final = "every login that is made on this machine"
_STOPS: Final = "every client that keeps to the standard; this one stops here"


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer to one question.

    `check`: a stable name, `room.question`. `level`: `error` for what ends a login; `warning`
    if some clients fail; `note` for what is good to know. `requested`: what was sent or looked
    at. `came`: what the result was. `standard`: what is required, and where. `stumbles`: which
    clients are affected, and how. `remedy`: what the operator has to change. `error`: the class
    of the error that a login ends with. `fault`: the row of `remedies`, or the check if there is
    none; empty if nothing is wrong. `paste`: the lines to paste. `where`: the URL it is about.
    `why`: what is wrong in one clause, if a row has one. `unproven`: it was read from a host
    whose certificate is not trusted.
    """

    check: str
    level: Level
    requested: str
    came: str
    standard: str = ""
    stumbles: str = ""
    remedy: str = ""
    error: str = ""
    fault: str = ""
    paste: str = ""
    where: str = ""
    why: str = ""
    unproven: bool = False

    def fit(self, secrets: Iterable[Secret]) -> Finding:
        """Return the finding as it may be shown. Secrets are masked before anything is cut."""
        secrets = tuple(secrets)
        texts: dict[str, Any] = {
            name: clean(masked(getattr(self, name), secrets)) for name in _TEXTS
        }
        texts["where"] = clean(masked(shown(self.where), secrets))
        lines = masked(self.paste, secrets).split("\n") if self.paste else []
        return replace(self, **texts, paste="\n".join(map(_line, lines)))


@dataclass(frozen=True, slots=True)
class Question:
    """What a check asks, with methods that make its findings; the fields are those of `Finding`.

    `server_url`: that of the examined MCP server, for the texts of remedies. `products`: what
    answers in front of each origin, as far as that is known.
    """

    check: str
    requested: str
    standard: str = ""
    where: str = ""
    server_url: str = ""
    products: Mapping[str, str] = field(default_factory=dict, compare=False)

    def finding(
        self, level: Level, came: str, stumbles: str = "", remedy: str = "", error: str = ""
    ) -> Finding:
        """Make a finding with a remedy in words of its own."""
        fault = self.check if level in ("warning", "error") else ""
        return Finding(
            self.check,
            level,
            self.requested,
            came,
            self.standard,
            stumbles,
            remedy,
            error,
            fault,
            where=self.where,
        )

    def found(
        self,
        level: Level,
        fault: str,
        came: str,
        stumbles: str = "",
        error: str = "",
        **values: Any,
    ) -> Finding:
        """Make a finding with the remedy of a row of `remedies`; `values` fill in its texts."""
        where = values.get("url") or self.where or self.server_url
        here = {"host": host_of(where)}
        values = {**places(self.server_url), **here, **values, "url": shown(where)}
        why, change, paste = fix(fault, self._product(where), values)
        made = self.finding(level, came, stumbles, change, error)
        return replace(made, fault=fault, why=why, paste=paste)

    def _product(self, url: str) -> str:
        try:
            return self.products.get(origin_url(url), "")
        except ValueError:
            return ""

    def ok(self, came: str) -> Finding:
        return self.finding("ok", came)

    def note(self, came: str, stumbles: str = "", remedy: str = "") -> Finding:
        return self.finding("note", came, stumbles, remedy)

    def warning(self, came: str, stumbles: str = "", remedy: str = "") -> Finding:
        return self.finding("warning", came, stumbles, remedy)

    def failed(self, error: AuthError, level: Level = "error", stumbles: str = "") -> Finding:
        """Make the finding for an error of a reader, a transport or a storage."""
        stumbles = stumbles or (HERE if isinstance(error, StorageError) else _STOPS)
        kind = type(error).__name__ if level == "error" else ""
        fault, values = fault_of(error, self.server_url)
        if fault == "internal-address" and self.check.startswith("endpoint."):
            fault = "endpoint-internal"
        if fault:
            made = self.found(level, fault, error.summary, stumbles, kind, **values)
        else:
            spell = for_operator if self.server_url else for_machine
            made = self.finding(level, error.summary, stumbles, spell(error.remedy), kind)
        return replace(made, where=self.where or error.url)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a login works, in one sentence, and what to change where it does not.

    `check`, `error`: of the finding that is the cause.
    """

    login: Outcome
    sentence: str
    change: str = ""
    check: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings in the order of the checks. `server` is shown without its query.

    `cause`: the index of the one that ends a login first, -1 for the first error. `subject`: what
    was examined.
    `clients`: what other clients would meet.
    """

    server: str
    version: str
    findings: tuple[Finding, ...] = ()
    clients: tuple[ClientVerdict, ...] = ()
    cause: int = -1
    subject: Literal["login", "document"] = "login"

    @property
    def worst(self) -> Level:
        return max((finding.level for finding in self.findings), key=LEVELS.index, default="ok")

    @property
    def caused_by(self) -> Finding | None:
        """What a login ends at; None where it goes through."""
        if self.cause >= 0:
            return self.findings[self.cause]
        return next((f for f in self.findings if f.level == "error"), None)

    @property
    def error(self) -> str:
        """The class of the error that a login ends with; empty where it goes through."""
        cause = self.caused_by
        return cause.error if cause else ""

    @property
    def verdict(self) -> Verdict:
        cause, beside = self.caused_by, _beside(self)
        if cause is not None:
            start = "A login fails here"
            if not self.server:
                start = "A login cannot work from this machine"
            elif self.subject == "document":
                start = "Authorization servers refuse this document"
            elif _local(cause):  # others who log in at this server meet none of it
                start = "A login fails on this machine"
                if all(finding.level != "error" or _local(finding) for finding in self.findings):
                    start = f"The server is in order, but {start[0].lower()}{start[1:]}"
            why = cause.why or cause.came
            why = why if len(why) < _SENTENCE else why[: _SENTENCE - 1].rstrip() + "…"
            sentence = f"{start}: {why.rstrip('.')}."
            return Verdict("fails", sentence, cause.remedy, cause.check, cause.error)
        if self.subject == "document":
            return Verdict("works", f"Authorization servers can use this document{beside}.")
        if not self.server:
            return Verdict("not-examined", f"This machine is ready for logins{beside}.")
        known = {finding.fault for finding in self.findings}
        if OPEN in known:
            partly = "partly-protected" in known
            return Verdict("not-required", _PARTLY if partly else NO_LOGIN)
        if doubt := next((f for f in self.findings if _is_doubt(f)), None):
            return Verdict("works", f"A login may fail here: {doubt.why}.", doubt.remedy)
        return Verdict("works", f"A login works here{beside}.")

    def as_json(self, exit_code: int) -> dict[str, Any]:
        """The documented shape; keys are added to it and never taken away."""
        return {
            "version": 1,
            "mcp_client_auth": self.version,
            "server": self.server,
            "verdict": asdict(self.verdict),
            "worst": self.worst,
            "exit_code": exit_code,
            "findings": [asdict(finding) for finding in self.findings],
            **({"clients": [each.as_json() for each in self.clients]} if self.clients else {}),
        }


def _local(finding: Finding) -> bool:
    return finding.check.startswith("local.") or finding.error == StorageError.__name__


def _is_doubt(finding: Finding) -> bool:
    """Whether a login may end there: a made-up request fails, but a real one may not."""
    fails = finding.fault in ("authorize-fails", "token-fails")
    return fails and finding.stumbles == IF_REAL


def _beside(report: Report) -> str:
    of_ours = (f for f in report.findings if not f.check.startswith("client."))
    count = sum(finding.level == "warning" for finding in of_ours)
    if not count:
        return ""
    if not report.server:
        return ", but see the warnings"
    what = "1 warning affects" if count == 1 else f"{count} warnings affect"
    return f", but {what} other clients"


def clean(text: str) -> str:
    """Make a text printable, on one line, not too long, and without the home directory's name."""
    home = user_home()
    if len(home) > 1:
        text = text.replace(home + os.sep, "~" + os.sep)
    return quoted(text, _LONGEST)[1:-1] if text else ""


def _line(text: str) -> str:
    """A line to paste keeps its leading spaces."""
    bare = text.lstrip(" ")
    return " " * (len(text) - len(bare)) + clean(bare)
