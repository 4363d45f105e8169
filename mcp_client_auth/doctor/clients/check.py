"""What other clients would meet at a server: each judged by what is known of it (`--as-client`).

The client is never run. Everything is read once, whichever clients are asked for, and nothing is
registered unless that is asked for.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from ...errors import AuthError
from ...origin import split
from ...protocol.discovery import absent, metadata_request
from ...protocol.document import parsed
from ...protocol.metadata import ServerMetadata
from ...protocol.probe import ServerAnswer, probe_request
from ...protocol.urls import Endpoint, is_relative
from ..exam import Check, Exam
from ..report import Level, Question
from .facts import ClientFacts
from .rules import judge, server_of
from .seen import Page, Seen, Trial, resource_places, server_places, strings
from .trial import try_registration
from .verdict import ClientVerdict, Outcome

REQUESTS: Final = 30  # the most that are sent one after the other, without trials
_MOST_SERVERS: Final = 5
_LEVELS: Final[dict[Outcome, Level]] = {
    "works": "ok",
    "setup": "note",
    "unknown": "note",
    "fails": "warning",
}


def check(
    exam: Exam,
    answer: ServerAnswer,
    clients: Sequence[ClientFacts],
    known: Sequence[ServerMetadata],
    *,
    register: bool,
) -> Check[tuple[ClientVerdict, ...]]:
    """One finding a client. `known`: the authorization servers that a login of ours would use;
    with `register` clients are registered there, and nowhere else."""
    seen = look(exam, answer, clients)
    verdicts = []
    for client in clients:
        verdict = judge(client, seen)
        if register and (trial := _tried(exam, client, seen, known)):
            verdict = judge(client, replace(seen, trials={client.id: trial}))
        verdicts.append(verdict)
        remedy = "; ".join(verdict.remedies)
        requested = f"what is known of {client.name}, against what was seen"
        yield Question(f"client.{client.id}", requested).finding(
            _LEVELS[verdict.outcome], verdict.summary, client.name, remedy
        )
    return tuple(verdicts)


def _tried(
    exam: Exam, client: ClientFacts, seen: Seen, known: Sequence[ServerMetadata]
) -> Trial | None:
    """A trial where the client would register at a server that is known."""
    if not any(p.step == 8 and p.outcome == "unknown" for p in judge(client, seen).points):
        return None
    endpoint = (server_of(client, seen) or {}).get("registration_endpoint")
    server = next((s for s in known if s.registration_endpoint == endpoint), None)
    scopes = strings(_first_resource(seen).get("scopes_supported")) or ()
    return try_registration(exam, client, server, scopes) if server else None


def look(exam: Exam, answer: ServerAnswer, clients: Sequence[ClientFacts]) -> Seen:
    """Read every place where one of the clients might look."""
    challenge = answer.challenge
    named = challenge.resource_metadata if challenge else ""
    pages: dict[str, Page] = {}
    for places in resource_places(exam.server_url, named).values():
        for url in places:
            pages[url] = pages.get(url) or _page(exam, url)
    issuers: dict[str, None] = {}
    for page in tuple(pages.values()):
        names = strings((page.document or {}).get("authorization_servers")) or ()
        issuers |= dict.fromkeys(names[:_MOST_SERVERS])
    seen = Seen(exam.server_url, answer.status, challenge is not None, named)
    endpoints: list[str] = [exam.server_url]
    for issuer in (*tuple(issuers)[:_MOST_SERVERS], seen.origin):
        for url in server_places(issuer).values():
            pages[url] = pages.get(url) or _page(exam, url)
            endpoints += [url, *_endpoints(pages[url])]
    cloud = any(client.get("connects_from") == "cloud" for client in clients)
    agents = dict.fromkeys(a for client in clients for a in client.get("agents") or ())
    return replace(
        seen,
        scopes=(challenge.scope if challenge else None) or (),
        pages=pages,
        addresses=_addresses(endpoints) if cloud else {},
        agents={agent: _status(exam, answer, agent) for agent in agents},
    )


def _page(exam: Exam, url: str) -> Page:
    if is_relative(url):
        return Page("no absolute URL")
    try:
        Endpoint.checked(url, "the place of a metadata document", exam.options)
        response = exam.send(metadata_request(url))
        absence = absent(response)
    except AuthError as error:
        return Page(error.summary)
    if absence:
        return Page(absence.came, None, response.seconds)
    return Page("a document", parsed(response), response.seconds)


def _endpoints(page: Page) -> list[str]:
    names = "authorization_endpoint", "token_endpoint", "registration_endpoint"
    found = [(page.document or {}).get(name) for name in names]
    return [each for each in found if isinstance(each, str)]


def _addresses(urls: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """By host, what this machine looks up: who connects from elsewhere may be told otherwise."""
    hosts: dict[str, tuple[str, ...]] = {}
    for url in urls:
        with suppress(ValueError, OSError):
            host = split(url).hostname or ""
            if host not in hosts:
                hosts[host] = ()
                found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
                hosts[host] = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    return hosts


def _status(exam: Exam, answer: ServerAnswer, agent: str) -> int:
    request = probe_request(exam.endpoint)
    request = replace(request, headers={**request.headers, "User-Agent": agent})
    try:
        return exam.send(request).status
    except AuthError:
        return answer.status  # of the network, and no word about this agent


def _first_resource(seen: Seen) -> dict[str, Any]:
    places = resource_places(seen.url, seen.named).values()
    found = (seen.document(url) for urls in places for url in urls)
    return dict(next((document for document in found if document is not None), {}))
