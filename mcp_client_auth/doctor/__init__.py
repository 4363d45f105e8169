"""`mcp-login doctor`: every check that a login needs, without a login, each with its remedy.

The checks use the readers of the protocol, so that they say what a login would meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from .. import __version__
from ..credential import Key
from ..errors import AuthError
from ..protocol.challenge import Challenge
from ..protocol.metadata import ResourceMetadata
from ..protocol.options import Options
from ..protocol.urls import origin_url, shown
from ..steps import require_server
from ..storage import Storage
from ..transport import HttpTransport
from . import authorization, cors, local, registering, server, stored, tls
from .authorization import Issuer
from .exam import Exam
from .finding import Finding, Level, Report, failed
from .places import Found

__all__ = ["Asked", "Finding", "Level", "Report", "examine"]

_MOST_SERVERS: Final = 5
_REQUESTS: Final = 4  # the most that one check waits for, one after the other
_STORAGE: Final = 75.0  # a person may be unlocking the keyring


@dataclass(frozen=True, slots=True)
class Asked:
    """What to examine. An empty `url` leaves the local side. `key`: whose login is looked at.

    `connection`: the `verify`, `cert` and `proxy` of an `HttpTransport`, where they are not the
    usual ones.
    """

    storage: Storage
    url: str = ""
    key: Key | None = None
    options: Options = field(default_factory=lambda: Options(http_timeout=10.0))
    register: bool = False
    connection: Mapping[str, Any] = field(default_factory=dict)


def examine(asked: Asked, on_check: Callable[[str], None] = lambda name: None) -> Report:
    """Run every check; it raises nothing, for what goes wrong is what it tells."""
    exam = _exam(asked, on_check)
    if asked.url and _may_be_asked(exam, asked):
        _remote(exam, asked)
    _local(exam, asked)
    # only now all secrets are known: a server may say early what it was sent in another life
    findings = tuple(finding.fit(exam.secrets) for finding in exam.findings)
    return Report(shown(asked.url) if asked.url else "", __version__, findings)


def _exam(asked: Asked, on_check: Callable[[str], None]) -> Exam:
    seen: tls.Seen = {}
    return Exam(
        asked.url,
        asked.options,
        HttpTransport(asked.url, asked.options, on_tls=tls.noted(seen), **asked.connection),
        patience=_REQUESTS * asked.options.http_timeout + 1,
        on_check=on_check,
        tls=seen,
    )


def _may_be_asked(exam: Exam, asked: Asked) -> bool:
    try:
        require_server(asked.url, asked.options)
    except AuthError as error:
        exam.add(failed("server.url", error, shown(asked.url), "https (OAuth 2.1 §1.5)"))
        return False
    return True


def _remote(exam: Exam, asked: Asked) -> None:
    challenge = exam.perform("challenge", server.challenge(exam))
    found = exam.perform("resource", server.metadata(exam, challenge))
    metadata = found.value if isinstance(found, Found) else None
    wanted = (challenge and challenge.scope) or (metadata and metadata.scopes_supported) or ()
    known = _issuers(exam, asked, challenge, found, wanted)
    _browsers(exam, metadata, known)
    if asked.key:
        named = tuple(issuer.server.issuer for issuer in known)
        exam.perform("login", stored.login(exam, asked.storage, asked.key, named), _STORAGE)
    exam.perform("tls", tls.connections(exam))


def _issuers(
    exam: Exam,
    asked: Asked,
    challenge: Challenge | None,
    found: Found[ResourceMetadata] | AuthError | None,
    wanted: tuple[str, ...],
) -> list[Issuer]:
    """Every authorization server that a login might use."""
    guessed = False
    if asked.options.issuer:
        names: tuple[str, ...] = (asked.options.issuer,)
    elif isinstance(found, Found):
        names = found.value.authorization_servers[:_MOST_SERVERS]
    elif found or (challenge and challenge.resource_metadata):
        return []  # the login ends at the resource metadata
    else:
        names, guessed = (origin_url(asked.url),), True
    began = usable_from = len(exam.findings)
    known: list[Issuer] = []
    usable = False
    for name in names:
        if not usable:
            usable_from = len(exam.findings)
        issuer, well = _issuer(exam, asked, name, wanted, guessed=guessed)
        known += [issuer] if issuer else []
        usable = usable or well
    if usable:
        _forgive(exam, began, usable_from)
    return known


def _issuer(
    exam: Exam, asked: Asked, name: str, wanted: tuple[str, ...], *, guessed: bool
) -> tuple[Issuer | None, bool]:
    """What is known of one, and whether a login can use it."""
    began = len(exam.findings)
    issuer = exam.perform("issuer", authorization.issuer(exam, name, guessed=guessed))
    if issuer:
        exam.perform("issuer", authorization.abilities(exam, issuer.server, wanted))
        if issuer.server.registration_endpoint:
            trial = registering.trial if asked.register else registering.not_tried
            exam.perform("registration", trial(exam, issuer.server, wanted))
    return issuer, all(finding.level != "error" for finding in exam.findings[began:])


def _forgive(exam: Exam, began: int, usable_from: int) -> None:
    """Where one authorization server can be used, a fault of another ends no login of ours.

    But one that is merely down, and named before it, does: nobody is taken elsewhere for that.
    """
    for at, finding in enumerate(exam.findings):
        down = finding.error == "Unavailable" and at < usable_from
        if at >= began and finding.level == "error" and not down:
            why = "clients that take this authorization server"
            exam.findings[at] = replace(finding, level="warning", stumbles=why, error="")


def _browsers(exam: Exam, metadata: ResourceMetadata | None, known: list[Issuer]) -> None:
    documents = [metadata.url] if metadata else []
    endpoints = {exam.server_url: "the MCP endpoint"}
    for issuer in known:
        documents += issuer.places
        endpoints[issuer.server.token_endpoint] = "the token endpoint"
        if issuer.server.registration_endpoint:
            endpoints[issuer.server.registration_endpoint] = "the registration endpoint"
    for url in dict.fromkeys(documents):
        exam.perform("cors", cors.document(exam, url))
    for url, what in endpoints.items():
        exam.perform("cors", cors.endpoint(exam, url, what))
    exam.perform("cors", cors.challenge(exam))


def _local(exam: Exam, asked: Asked) -> None:
    exam.perform("local.software", local.software())
    exam.perform("local.storage", local.storage(asked.storage), _STORAGE)
    exam.perform("local.variables", local.variables())
    exam.perform("local.proxies", local.proxies())
    exam.perform("local.clock", local.clock(exam))
    exam.perform("local.port", local.callback())
    exam.perform("local.browser", local.browser())
