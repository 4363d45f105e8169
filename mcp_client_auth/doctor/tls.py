"""How the connections of this examination were secured."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from ..protocol.urls import origin_url, split
from .exam import Check, Exam
from .finding import Finding

_STANDARD: Final = "TLS 1.2 or later with a certificate that clients trust (RFC 9325)"
_SOON: Final = 14 * 86_400.0

Seen: TypeAlias = dict[str, tuple[str, dict[str, Any]]]


def noted(tls: Seen) -> Callable[[str, Any], None]:
    """A listener for the transport, which fills the dictionary."""

    def note(url: str, connection: Any) -> None:
        if connection is not None:
            tls[origin_url(url)] = str(connection.version()), dict(connection.getpeercert() or {})

    return note


def connections(exam: Exam) -> Check[None]:
    """One finding for each origin that was spoken to; a failed handshake has told of itself."""
    for origin, (version, certificate) in sorted(exam.tls.items()):
        yield _certified(exam, origin, version, certificate)
    for origin in sorted(exam.reached):
        if split(origin).scheme == "http":
            asked = f"the connection to {origin}"
            yield Finding("tls.connection", "note", asked, f"plain http to {origin}", _STANDARD)


def _certified(exam: Exam, origin: str, version: str, certificate: dict[str, Any]) -> Finding:
    asked, host = f"the connection to {origin}", split(origin).hostname
    until = certificate.get("notAfter")
    left = ssl.cert_time_to_seconds(until) - exam.clock() if isinstance(until, str) else None
    if left is None:
        return Finding(
            "tls.connection",
            "ok",
            asked,
            f"{host}: {version}, trusted",
            _STANDARD,
        )
    came = f"{host}: {version}, trusted, for {left / 86_400:.0f} more days"
    if left > _SOON:
        return Finding("tls.connection", "ok", asked, came, _STANDARD)
    why, mend = "all, when it has expired", "Renew the certificate, and see why nothing renewed it"
    return Finding("tls.connection", "warning", asked, came, _STANDARD, why, mend)
