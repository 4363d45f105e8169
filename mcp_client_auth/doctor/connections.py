"""The connections of an examination: how they were secured, and which addresses did not answer."""

from __future__ import annotations

import ssl
from typing import Final

from ..origin import split
from ..transport.addresses import LOOPBACK, Addresses, address_class
from .exam import Check, Exam

_TLS: Final = "TLS 1.2 or later with a certificate that clients trust (RFC 9325)"
_SOON: Final = 14 * 86_400.0
_ADDRESSES: Final = "every address of a name answers; clients try the next one late (RFC 8305)"
# what this machine lacks, which may have no IPv6 for example
_OURS: Final = ("unreachable", "not supported", "not available", "cannot assign")


def tls(exam: Exam) -> Check[None]:
    """One finding for each origin; a failed handshake is an error of what needed it."""
    for origin, (version, certificate) in sorted(exam.tls.items()):
        question = exam.ask("tls.connection", f"the connection to {origin}", _TLS)
        came, until = f"{split(origin).hostname}: {version}, trusted", certificate.get("notAfter")
        left = _SOON + 1
        if isinstance(until, str):
            left = ssl.cert_time_to_seconds(until) - exam.clock()
            came += f", for {left / 86_400:.0f} more days"
        if left > _SOON:
            yield question.ok(came)
        else:
            remedy = "Renew the certificate, and see why nothing renewed it"
            yield question.warning(came, "all, when it has expired", remedy)
    for origin in sorted(exam.reached):
        if split(origin).scheme == "http":
            question = exam.ask("tls.connection", f"the connection to {origin}", _TLS)
            yield question.note(f"plain http to {origin}")


def addresses(exam: Exam) -> Check[None]:
    """One finding for each address that failed where another one of the same host answered."""
    known: Addresses | None = getattr(exam.transport, "addresses", None)
    for host, troubles in sorted(known.troubles.items() if known else ()):
        for address, why in troubles.items():
            ours = any(word in why.lower() for word in _OURS)
            if ours or address_class(address) == LOOPBACK:
                continue
            yield exam.ask(
                "network.address", f"a connection to {host} at {address}", _ADDRESSES
            ).warning(
                why.lower(),
                "clients that wait for one address before they try the next",
                "Take the address out of DNS, or let connections to it through",
            )
