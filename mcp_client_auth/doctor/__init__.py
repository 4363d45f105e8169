"""`mcp-login doctor`: every check that a login needs, without a login, each with its remedy.

The checks use the readers of the protocol, so that they say what a login would meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ..credential import Key
from ..errors import AuthError
from ..origin import origin_url, shown
from ..protocol.discovery import invents
from ..protocol.flow import HttpResponse
from ..protocol.metadata import ResourceMetadata
from ..protocol.options import Options
from ..protocol.probe import ServerAnswer
from ..protocol.urls import ServerUrl
from ..storage import Storage
from . import connections, cors, machine, registration, stored_login
from .challenge import challenge
from .clients import check as other_clients
from .clients.facts import ClientFacts
from .exam import Exam
from .issuer import Issuer, abilities, issuer
from .report import Finding, Level, Question, Report
from .resource import Resource, metadata

__all__ = ["Finding", "Level", "Report", "Subject", "examine"]

_MOST_SERVERS: Final = 5
_SILENT: Final = 503
_REQUESTS: Final = 4  # the most that one check waits for, one after the other
_STORAGE: Final = 75.0  # a person may be unlocking the keyring


@dataclass(frozen=True, slots=True)
class Subject:
    """What to examine. An empty `url` leaves this machine. `key`: whose login is looked at.

    `clients`: which others are judged. `connection`: the `verify`, `cert` and `proxy` of an
    `HttpTransport`, where they are not the usual ones. `machine`: whether this machine is looked
    at too.
    """

    storage: Storage
    url: str = ""
    key: Key | None = None
    options: Options = field(default_factory=lambda: Options(http_timeout=10.0))
    register: bool = False
    clients: Sequence[ClientFacts] = ()
    connection: Mapping[str, Any] = field(default_factory=dict)
    machine: bool = True


def examine(subject: Subject, on_check: Callable[[str], None] = lambda name: None) -> Report:
    """Run every check; it raises nothing, for what goes wrong is what it reports."""
    exam = Exam.over_http(subject.url, subject.options, on_check, _REQUESTS, **subject.connection)
    if subject.url:
        try:
            ServerUrl.checked(subject.url, subject.options)
        except AuthError as error:
            question = Question("server.url", shown(subject.url), "https (OAuth 2.1 §1.5)")
            exam.findings.append(question.failed(error))
        else:
            with exam.connected():
                _server(exam, subject)
    exam.perform("local.clock", machine.clock(exam))
    if subject.machine:
        _machine(exam, subject)
    return exam.report()


def _machine(exam: Exam, subject: Subject) -> None:
    exam.perform("local.software", machine.software())
    exam.perform("local.storage", machine.storage(subject.storage), _STORAGE)
    exam.perform("local.variables", machine.variables())
    exam.perform("local.proxies", machine.proxies())
    exam.perform("local.port", machine.callback())
    exam.perform("local.browser", machine.browser())


def _server(exam: Exam, subject: Subject) -> None:
    answer = exam.perform("challenge", challenge(exam))
    # a login ends where the server is silent; its metadata is looked at all the same
    answer = answer or ServerAnswer(subject.url, HttpResponse(_SILENT, subject.url))
    resource = exam.perform("resource", metadata(exam, answer)) or Resource()
    document = resource.taken if isinstance(resource.taken, ResourceMetadata) else None
    required = (answer.challenge and answer.challenge.scope) or (
        document and document.scopes_supported
    )
    known = _issuers(exam, subject, answer, resource, required or ())
    places = [document.url] if document else []
    endpoints = {exam.endpoint: "the MCP endpoint"}
    for each in known:
        places += each.places
        endpoints[each.server.token_endpoint] = "the token endpoint"
        if each.server.registration_endpoint:
            endpoints[each.server.registration_endpoint] = "the registration endpoint"
    for url in dict.fromkeys(places):
        exam.perform("cors", cors.document(exam, url))
    for url, what in endpoints.items():
        exam.perform("cors", cors.endpoint(exam, url, what))
    exam.perform("cors", cors.challenge(exam))
    if subject.key:
        named = tuple(issuer.server.issuer for issuer in known)
        login = stored_login.login(exam, subject.storage, subject.key, named)
        exam.perform("login", login, _STORAGE)
    if subject.clients and not answer.open:
        at = [each.server for each in known]
        check = other_clients.check(exam, answer, subject.clients, at, register=subject.register)
        most = other_clients.REQUESTS + 2 * len(subject.clients)
        exam.clients = exam.perform("clients", check, most * subject.options.http_timeout) or ()
    exam.perform("tls", connections.tls(exam))
    exam.perform("network", connections.addresses(exam))


def _issuers(
    exam: Exam,
    subject: Subject,
    answer: ServerAnswer,
    resource: Resource,
    required: tuple[str, ...],
) -> list[Issuer]:
    """Every authorization server that a login might use.

    Where one can be used, a fault of another ends no login of ours. But one that is merely down,
    and named before it, does: no other is taken for that.
    """
    guessed = False
    if subject.options.issuer:
        names: tuple[str, ...] = (subject.options.issuer,)
    elif isinstance(resource.taken, ResourceMetadata):
        names = resource.taken.authorization_servers[:_MOST_SERVERS]
    elif resource.taken is None and invents(answer, resource.tried):
        names, guessed = (origin_url(subject.url),), True
    else:
        return []  # the login ends at the resource metadata
    began = len(exam.findings)
    usable_from: int | None = None
    known: list[Issuer] = []
    for name in names:
        at = len(exam.findings)
        if learned := exam.perform("issuer", issuer(exam, name, guessed=guessed)):
            known.append(learned)
            exam.perform("issuer", abilities(exam, learned.server, required))
            if learned.server.registration_endpoint:
                trial = registration.trial if subject.register else registration.not_tried
                exam.perform("registration", trial(exam, learned.server, required))
        well = all(finding.level != "error" for finding in exam.findings[at:])
        usable_from = at if usable_from is None and well else usable_from
    for at, finding in enumerate(exam.findings[began:], began):
        forgiven = usable_from is not None and (finding.error != "Unavailable" or at >= usable_from)
        if finding.level == "error" and forgiven:
            affected = "clients that take this authorization server"
            exam.findings[at] = replace(finding, level="warning", stumbles=affected, error="")
    return known
