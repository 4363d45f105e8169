"""The connections of an examination: how they were secured, and which addresses did not answer."""

from __future__ import annotations

import ssl
from typing import Final

from ..origin import origin_url, shown, split
from ..transport.addresses import LOOPBACK, Addresses, address_class
from .exam import Check, Exam

_TLS: Final = "TLS 1.2 or later with a certificate that clients trust (RFC 9325)"
_SOON: Final = 14 * 86_400.0
_QUICK: Final = "each step within some seconds"
_ADDRESSES: Final = "every address of a name answers; clients try the next one late (RFC 8305)"
# what this machine lacks, which may have no IPv6 for example
_OURS: Final = ("unreachable", "not supported", "not available", "cannot assign")


def tls(exam: Exam) -> Check[None]:
    """One finding for each origin; a failed handshake is an error of the check that needed it."""
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
            host = split(origin).hostname
            yield question.found(
                "warning", "certificate-soon", came, "all, when it has expired", host=host
            )
    for origin in sorted(exam.reached):
        if split(origin).scheme == "http":
            question = exam.ask("tls.connection", f"the connection to {origin}", _TLS)
            yield question.note(f"plain http to {origin}")


def addresses(exam: Exam) -> Check[None]:
    """One finding for each address that failed where another one of the same host answered."""
    known: Addresses | None = getattr(exam.transport, "addresses", None)
    reached = {split(origin).hostname for origin in exam.reached}
    for host, troubles in sorted(known.troubles.items() if known else ()):
        if host not in reached:  # no address answers: an error of the check that needed it
            continue
        for address, why in troubles.items():
            ours = any(word in why.lower() for word in _OURS)
            # only one port fails there: an error of the check that needed it
            alive = known is not None and (host, address) in known.answering
            if ours or alive or address_class(address) == LOOPBACK:
                continue
            kind = "IPv6" if ":" in address else "IPv4"
            question = exam.ask(
                "network.address", f"a connection to {host} at {address}", _ADDRESSES
            )
            came = f"{why.lower()} at {address} ({kind}), an address of {host}"
            affected = "clients that wait for one address before they try the next"
            yield question.found("warning", "address-dead", came, affected, host=host)


def speed(exam: Exam) -> Check[None]:
    """One finding for each origin whose answers come late: the slowest."""
    slowest: dict[str, tuple[float, str]] = {}
    for what, seconds in exam.slow.items():
        origin = origin_url(what.partition(" ")[2])
        slowest[origin] = max(slowest.get(origin, (0.0, "")), (seconds, what))
    for seconds, what in slowest.values():
        method, _, url = what.partition(" ")
        question = exam.ask("network.speed", f"{method} {shown(url)}", _QUICK, url)
        came = f"{method} {shown(url)} took {seconds:.1f} s"
        affected = "hosts that give a connection 5 to 30 s, in which this is one of several steps"
        yield question.found("warning", "slow", came, affected)
