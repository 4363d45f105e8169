"""Look at every place where one of the clients might look; each is read once, for all of them.

A host that does not answer is asked only once: it costs one time limit, not one for each place.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ...errors import AuthError, Unavailable
from ...origin import origin_url, split
from ...protocol.discovery import absent, metadata_request
from ...protocol.document import parsed
from ...protocol.flow import HttpRequest, HttpResponse
from ...protocol.probe import ServerAnswer, probe_request
from ...protocol.urls import Endpoint, is_relative
from ...transport.connect import looked_up
from .. import cors
from ..exam import Exam
from .facts import ClientFacts
from .seen import Page, Seen, resource_places, server_places, strings

_MOST_SERVERS: Final = 5
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "registration_endpoint")


@dataclass(slots=True)
class Look:
    """What is read, by URL, and the origins that did not answer."""

    exam: Exam
    pages: dict[str, Page] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)

    def send(self, request: HttpRequest, *, looking: bool = False) -> HttpResponse:
        """Send a request. Raises `AuthError` as an examination does, and at once if its origin is
        known to be silent.

        `looking`: see `Exam.look`.
        """
        origin = origin_url(request.url)
        if origin in self.silent:
            raise Unavailable("its host does not answer", url=request.url)
        try:
            return self.exam.look(request) if looking else self.exam.send(request)
        except Unavailable:
            self.silent.add(origin)
            raise

    def page(self, url: str) -> Page:
        if url not in self.pages:
            self.pages[url] = self._read(url)
        return self.pages[url]

    def _read(self, url: str) -> Page:
        if is_relative(url):
            return Page("no absolute URL")
        try:
            Endpoint.checked(url, "the place of a metadata document", self.exam.options)
            response = self.send(metadata_request(url), looking=True)
            absence = absent(response)
        except AuthError as error:
            return Page(error.summary)
        if absence:
            return Page(absence.came, None, response.seconds)
        return Page("a document", parsed(response), response.seconds)

    def status(self, agent: str, usual: int) -> int:
        """Return the status of an MCP request with this user agent; `usual` if no answer comes."""
        request = probe_request(self.exam.endpoint)
        request = replace(request, headers={**request.headers, "User-Agent": agent})
        try:
            return self.send(request).status
        except AuthError:
            return usual  # a network error says nothing about this agent

    def closed(self, documents: Iterable[str], registrations: Iterable[str]) -> dict[str, str]:
        """What a page in a browser cannot read or post to, by URL, and why."""
        posts: dict[str, tuple[str, tuple[str, ...]]]
        posts = {str(self.exam.server_url): (self.exam.endpoint, cors.CALLS)}
        posts |= {url: (url, cors.REGISTERS) for url in registrations}
        found: dict[str, str] = {}
        for url in documents:
            try:
                found[url] = cors.unreadable(self.send(cors.of_a_page(metadata_request(url))))
            except AuthError as error:
                found[url] = error.summary
        for url, (there, needs) in posts.items():
            try:
                response = self.send(cors.preflight(there, "POST", needs))
                found[url] = "; ".join(cors.lacking(response, needs))
            except AuthError as error:
                found[url] = error.summary
        return {url: why for url, why in found.items() if why}

    def addresses(self, urls: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return each host's addresses as this machine resolves them; elsewhere they may differ."""
        hosts: dict[str, tuple[str, ...]] = {}
        until = time.monotonic() + self.exam.options.http_timeout  # for all of them
        for url in urls:
            with suppress(ValueError, OSError, AuthError):
                parts = split(url)
                host = parts.hostname or ""
                if host not in hosts:
                    hosts[host] = ()
                    found = looked_up(host, parts.port or 443, until)
                    hosts[host] = tuple(dict.fromkeys(each.address for each in found))
        return hosts


def look(looking: Look, answer: ServerAnswer, clients: Sequence[ClientFacts]) -> Seen:
    """What the rules of these clients ask for."""
    url, challenge = looking.exam.server_url, answer.challenge
    named = challenge.resource_metadata if challenge else ""
    for places in resource_places(url, named).values():
        for place in places:
            looking.page(place)
    listed = [
        name
        for page in looking.pages.values()
        for name in (strings((page.document or {}).get("authorization_servers")) or ())
    ]
    issuers = tuple(dict.fromkeys(listed))[:_MOST_SERVERS]
    endpoints: list[str] = [url]
    for issuer in (*issuers, origin_url(url)):
        for place in server_places(issuer).values():
            document = looking.page(place).document or {}
            found: list[Any] = [document.get(name) for name in _ENDPOINTS]
            endpoints += [place, *(each for each in found if isinstance(each, str))]
    paged = any(client.get("cors") in ("discovery", "needed") for client in clients)
    documents = [place for place, page in looking.pages.items() if page.document is not None]
    registers = [
        str(page.document["registration_endpoint"])
        for page in looking.pages.values()
        if page.document and page.document.get("registration_endpoint") in endpoints
    ]
    hosted = any(client.get("connects_from") == "cloud" for client in clients)
    agents = dict.fromkeys(agent for each in clients for agent in each.get("agents") or ())
    return Seen(
        url,
        answer.status,
        challenge is not None,
        named,
        (challenge.scope if challenge else None) or (),
        pages=dict(looking.pages),
        addresses=looking.addresses(endpoints) if hosted else {},
        closed=looking.closed(documents, dict.fromkeys(registers)) if paged else {},
        untrusted=frozenset(looking.exam.unproven),
        agents={agent: looking.status(agent, answer.status) for agent in agents},
    )
