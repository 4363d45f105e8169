"""`mcp-login doctor`: check all that a login needs, without a login, and name each remedy.

The checks use the protocol's own readers, so that they report what a login would meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import is_
from typing import Any, Final

from ..credential import Key, key_for
from ..errors import AuthError, Unavailable
from ..grants.base import LoginConfig
from ..origin import origin_url, shown
from ..prompt.base import Prompt
from ..protocol.discovery import invents
from ..protocol.flow import HttpResponse
from ..protocol.metadata import ServerMetadata
from ..protocol.options import Options
from ..protocol.probe import ServerAnswer
from ..protocol.registration import Identity
from ..protocol.scopes import Scopes
from ..protocol.urls import ServerUrl, same_issuer
from ..storage import Storage
from . import connections, cors, endpoints, machine, methods, person, registration, stored_login
from .challenge import challenge
from .clients import check as other_clients
from .clients.facts import ClientFacts
from .exam import Check, Exam
from .issuer import Issuer, abilities, issuer
from .remedies import FIXES
from .report import NO_LOGIN, OPEN, Finding, Level, Question, Report
from .resource import Resource, metadata
from .walk import Walk, walk

__all__ = ["Finding", "Level", "Report", "Subject", "examine"]

_MOST_SERVERS: Final = 5
_SILENT: Final = 503
_REQUESTS: Final = 4  # the most that one check waits for, one after the other
_STEPS: Final = 20  # the same for all steps of a login
_STORAGE: Final = 75.0  # a person may be unlocking the keyring
_STEP_OF: Final = {
    "RegistrationRefused": "registration.answer",
    "AuthorizationDenied": "trial.authorization",
    "LoginFailed": "trial.authorization",
    "StorageError": "local.storage",
}
_FORGIVEN: Final = "clients that keep to the standard; this one logs in anyway"


@dataclass(frozen=True, slots=True)
class Subject:
    """What to examine. With an empty `url`, only this machine. `key`: whose login is looked at.

    `identity`, `scope`: those of the login that is tried. `clients`: the other clients to judge.
    `connection`: the `verify`, `cert` and `proxy` of an `HttpTransport`, if they are not the
    defaults. `machine`: whether to check this machine too. `prompt`: brings a person to sign in,
    if the login is to be completed.
    """

    storage: Storage
    url: str = ""
    key: Key | None = None
    options: Options = field(default_factory=lambda: Options(http_timeout=10.0))
    register: bool = False
    identity: Identity = None
    scope: Scopes | None = None
    clients: Sequence[ClientFacts] = ()
    connection: Mapping[str, Any] = field(default_factory=dict)
    machine: bool = True
    prompt: Prompt | None = None


def examine(subject: Subject, on_check: Callable[[str], None] = lambda name: None) -> Report:
    """Run every check. It raises nothing: whatever goes wrong becomes a finding."""
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
        exam.perform("local.software", machine.software())
        exam.perform("local.storage", machine.storage(subject.storage), _STORAGE)
        exam.perform("local.variables", machine.variables())
        exam.perform("local.proxies", machine.proxies())
        exam.perform("local.port", machine.callback())
        exam.perform("local.browser", machine.browser())
    return exam.report()


def _server(exam: Exam, subject: Subject) -> None:
    answer = exam.perform("challenge", challenge(exam))
    config = LoginConfig(
        exam.server_url,
        subject.key or key_for(subject.url),
        subject.identity,
        subject.scope,
        subject.options,
    )
    done = exam.perform("steps", _steps(exam, config, subject), _patience(subject)) or Walk()
    ended = done.error
    if answer is not None and ended is not None and ended.code == "login_not_required":
        partly = exam.perform("challenge.methods", methods.others(exam, answer))
        _open(exam, partly=bool(partly))
        exam.perform("tls", connections.tls(exam))
        return
    began = len(exam.findings)
    proven = not exam.is_unproven(subject.url)
    if answer is not None and proven and 200 <= answer.status < 300 and answer.open:
        exam.perform("challenge.methods", methods.others(exam, answer))
    # a login ends where the server is silent; its metadata is looked at all the same
    answer = answer or ServerAnswer(subject.url, HttpResponse(_SILENT, subject.url))
    looked = metadata(exam, answer, done.discovery, ended)
    resource = exam.perform("resource", looked, _patience(subject)) or Resource()
    required = (answer.challenge and answer.challenge.scope) or (
        resource.document and resource.document.scopes_supported
    )
    known = _issuers(exam, subject, answer, resource, done, required or ())
    _account(exam, ended, began)
    chosen = done.discovery.server if done.discovery else None
    for each in known:
        if each.usable and not resource.unproven:
            _ask_endpoints(exam, each, done if each.server is chosen else None)
            if each.server.registration_endpoint and not subject.register:
                exam.perform("registration", registration.not_tried(exam, each.server))
    if chosen is not None:
        exam.perform("registration", registration.tried(exam, chosen, done.clients))
    if subject.prompt and chosen is not None and not any(f.level == "error" for f in exam.findings):
        _with_a_person(exam, config, subject.prompt, chosen)
    _pages(exam, answer, resource, known)
    if subject.key and proven:
        named = tuple(issuer.server.issuer for issuer in known)
        login = stored_login.login(exam, subject.storage, subject.key, named)
        exam.perform("login", login, _STORAGE)
    exam.perform("tls", connections.tls(exam))
    exam.perform("network", connections.addresses(exam))
    exam.perform("network", connections.speed(exam))
    _one_each(exam)
    if subject.clients and not answer.open:
        usable = [] if resource.unproven else known  # never register with what such a host names
        servers = [issuer.server for issuer in usable if issuer.usable]
        judged = other_clients.check(
            exam,
            answer,
            subject.clients,
            servers,
            register=subject.register,
            client_id=getattr(subject.identity, "client_id", ""),
        )
        patience = (other_clients.REQUESTS + len(subject.clients)) * exam.options.http_timeout
        exam.clients = exam.perform("clients", judged, patience) or ()


def _with_a_person(exam: Exam, config: LoginConfig, prompt: Prompt, server: ServerMetadata) -> None:
    """The rest of a login, with a person who signs in, and checks of its tokens."""
    exam.on_check("person")
    done = person.sign_in(exam, config, prompt)
    if isinstance(done, AuthError):
        exam.cause = exam.ask("person.login", "a login with a person").failed(done)
        exam.findings.append(exam.cause)
    else:
        exam.perform("person", person.checks(exam, done, server))


def _patience(subject: Subject) -> float:
    return _STEPS * subject.options.http_timeout


def _steps(exam: Exam, config: LoginConfig, subject: Subject) -> Check[Walk]:
    """Walk the steps of a login. It yields no findings: the checks that explain a fault do."""
    done = walk(exam, config, register=subject.register)
    exam.discovery = done.discovery
    yield from ()
    return done


def _open(exam: Exam, *, partly: bool) -> None:
    """Describe a server that requires no login in one sentence, without advice about logins."""
    kept = [finding for finding in exam.findings if finding.fault == "partly-protected"]
    question = exam.ask("resource.found", f"POST {exam.server_url.shown}")
    came = (
        "no login for initialize, and no metadata that says where to log in" if partly else NO_LOGIN
    )
    exam.findings[:] = [*kept, replace(question.note(came), fault=OPEN)]


def _account(exam: Exam, ended: AuthError | None, began: int) -> None:
    """Make what ends a login an error and the cause. If it goes through, nothing is an error."""
    errors = [f for f in exam.findings if f.level == "error"]
    if ended is None:
        for at, finding in enumerate(exam.findings):
            if finding.level == "error" and finding.check != "issuer.found":  # it registers first
                stumbles = finding.stumbles if at < began else _FORGIVEN
                exam.findings[at] = replace(finding, level="warning", error="", stumbles=stumbles)
        return
    kind = type(ended).__name__
    same = [f for f in errors if f.error == kind]
    exact = [f for f in same if ended.summary in f.came]
    cause = next(iter([*exact, *same]), None)
    if cause is None:
        cause = _unexplained(exam, ended)
        exam.findings.append(cause)
    exam.cause = cause
    if cause.check == "resource.metadata":  # the place that the challenge names
        _soften(exam, lambda f: f.fault == "challenge-elsewhere" and f.check == "challenge.header")
    if cause.check == "resource.found":  # where nothing is found, the answer says the same
        echoes = ("challenge.status", *(["challenge.header"] if cause.fault == "in-front" else []))
        _soften(exam, lambda f: f.check in echoes and f.level == "warning")


def _unexplained(exam: Exam, ended: AuthError) -> Finding:
    """Return the finding for an error that ended a login and that no check has looked at."""
    kind, server = type(ended).__name__, exam.discovery.server if exam.discovery else None
    check = "tls.certificate" if ended.code == "certificate" else _STEP_OF.get(kind, "login.steps")
    question = exam.ask(check, ended.url or exam.server_url.shown, where=ended.url)
    if server and server.registration_endpoint and ended.url == server.registration_endpoint.shown:
        question = replace(question, check="registration.answer")
        if isinstance(ended, Unavailable):
            values = {"url": ended.url, "got": ended.summary}
            fault = "rate-limited" if "HTTP 429" in ended.summary else "registration-error"
            return question.found("error", fault, ended.summary, "everybody", kind, **values)
    return question.failed(ended)


def _soften(exam: Exam, which: Callable[[Finding], bool]) -> None:
    """Turn findings into notes if another finding already says the same."""
    for at, finding in enumerate(exam.findings):
        if which(finding) and finding is not exam.cause:
            exam.findings[at] = replace(finding, level="note", error="", remedy="", paste="")


def _one_each(exam: Exam) -> None:
    """One fault is one finding, wherever it shows: the cause, otherwise the first."""
    known: set[tuple[str, str]] = set()
    rest = [f for f in exam.findings if f is not exam.cause]
    rest.sort(key=lambda f: f.level != "error")
    for finding in [exam.cause, *rest] if exam.cause else rest:
        if finding.fault not in FIXES or finding.level not in ("warning", "error"):
            continue
        same = finding.fault, finding.remedy
        if same in known:
            _soften(exam, partial(is_, finding))
        known.add(same)


def _ask_endpoints(exam: Exam, known: Issuer, done: Walk | None) -> None:
    """Check also the endpoints that a login reaches only after a person has signed in."""
    server = known.server
    at = len(exam.findings)
    if done is None or done.page is None:
        exam.perform("endpoint", endpoints.authorization(exam, server))
    else:
        exam.perform("endpoint", endpoints.signed_in(exam, server, done))
    exam.perform("endpoint", endpoints.token(exam, server))
    exam.perform("endpoint", endpoints.pushed(exam, server))
    exam.perform("endpoint", endpoints.keys(exam, server))
    if done is None:
        _of_another(exam, at)


def _of_another(exam: Exam, start: int) -> None:
    """Warn only: a login of ours uses another one of the authorization servers that are named."""
    for at, finding in enumerate(exam.findings[start:], start):
        if finding.level in ("error", "warning"):
            affected = "clients that take this authorization server"
            exam.findings[at] = replace(finding, level="warning", stumbles=affected, error="")


def _pages(exam: Exam, answer: ServerAnswer, resource: Resource, known: list[Issuer]) -> None:
    """What pages in browsers may do; a host that is not trusted gets no request."""
    places = list(resource.places)
    named = {} if exam.is_unproven(exam.endpoint) else {exam.endpoint: "MCP endpoint"}
    registers = ""
    for each in known:
        if not each.usable or resource.unproven:
            continue
        places += each.places
        named[each.server.token_endpoint] = "token"
        if each.server.registration_endpoint:
            registers = each.server.registration_endpoint
            named[registers] = "registration"
    places = [url for url in places if not exam.is_unproven(url)]
    exam.perform("cors", cors.documents(exam, places), _patience_of(exam, 2 * len(places)))
    if named:
        exam.perform("cors", cors.endpoints(exam, named, registers), _patience_of(exam, len(named)))
        if not exam.slow:  # a slow server would be waited for again
            exam.perform("cors", cors.challenge(exam))


def _patience_of(exam: Exam, requests: int) -> float:
    return max(requests, _REQUESTS) * exam.options.http_timeout + 1


def _issuers(
    exam: Exam,
    subject: Subject,
    answer: ServerAnswer,
    resource: Resource,
    done: Walk,
    required: tuple[str, ...],
) -> list[Issuer]:
    """Every authorization server that a login might use, or would use once the fault that ends it
    is fixed. If one of them can be used, a fault of another is only a warning."""
    guessed, chosen = False, done.discovery.server if done.discovery else None
    if subject.options.issuer:
        names: tuple[str, ...] = (subject.options.issuer,)
    elif resource.issuers:
        names = resource.issuers[:_MOST_SERVERS]
    elif resource.document is None and not resource.raw and invents(answer, list(resource.tried)):
        names, guessed = (origin_url(subject.url),), True
    else:
        return []  # nothing says where a login would go
    known: list[Issuer] = []
    for name in names:
        ends, at = done.error is not None, len(exam.findings)
        check = issuer(exam, name, chosen=chosen, ends=ends, guessed=guessed)
        if learned := exam.perform("issuer", check):
            known.append(learned)
            identified = subject.identity is not None
            promised = abilities(exam, learned, required, identified=identified)
            exam.perform("issuer", promised)
        if chosen is not None and not same_issuer(chosen.issuer, name):
            _of_another(exam, at)
    return known
