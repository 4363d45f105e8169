"""Find the authorization server to use, starting from an MCP server's answer.

Places are requested in order until one answers with a JSON object; that object then decides,
whatever it says. Nothing is ever invented once a server has named its metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..errors import AuthError, BadResponse, InsecureUrl, IssuerMismatch, Remedy, Unavailable
from ..events import DEFAULTS, Event
from ..origin import origin_url, shown
from .absence import Absence, in_front, listed, no_authorization_server
from .challenge import Challenge
from .document import described, is_page, parsed, redirected_to
from .flow import Flow, HttpRequest, HttpResponse, send
from .metadata import (
    OR_PIN,
    ResourceMetadata,
    ServerMetadata,
    Vouched,
    caller_server_metadata,
    default_server_metadata,
    read_resource_metadata,
    read_server_metadata,
)
from .oauth_error import is_passing, unavailable
from .options import LATEST, Options
from .probe import ServerAnswer
from .urls import Endpoint, Issuer, ServerUrl, is_relative, well_known

_NAMED: Final = "the caller named the place"
_IF_IT_PERSISTS: Final = Remedy(
    "The MCP server names this address in its challenge (resource_metadata): if it is never"
    " reached, the server's operator has to fix that. Meanwhile pass what would stand there:"
    " {Options.issuer} and {Options.resource}"
)
_MOST_SERVERS: Final = 10
_MOST_LISTED: Final = 100  # ranking may look each one up in the storage
Usable = Callable[[ServerMetadata], None]
Rank = Callable[[str], int]


def accept_any(server: ServerMetadata) -> None:
    """Accept every authorization server."""


def as_listed(issuer: str) -> int:
    """Rank all alike, which keeps the order of the resource's metadata."""
    return 0


@dataclass(frozen=True, slots=True)
class Discovery:
    """A server, what its challenge requires, and the authorization server chosen for it.

    `resource` is sent as the `resource` parameter, unless it is None (RFC 8707 §2).
    `endpoint` is where the MCP request was answered, after redirects.
    """

    server_url: ServerUrl
    challenge: Challenge | None
    metadata: ResourceMetadata | None
    server: ServerMetadata
    resource: str | None
    endpoint: str = ""

    @property
    def final_url(self) -> str:
        """Where redirects of the server's URL end; empty if there are none."""
        return "" if self.endpoint == self.server_url else self.endpoint


def discover(
    server_url: ServerUrl,
    answer: ServerAnswer | None,
    options: Options,
    *,
    usable: Usable = accept_any,
    rank: Rank = as_listed,
) -> Flow[Discovery]:
    """Find the authorization server (MCP 2026-07-28 "Authorization Server Discovery").

    `answer`: to the MCP request; None stands for a 401 without a challenge. `usable` raises for
    a server that cannot serve the login; those with the lowest `rank` are tried first. Raises
    `Unavailable`, `Untrusted` or `BadResponse`, and `LoginFailed` if no login is required.
    """
    answer = answer or ServerAnswer(server_url, HttpResponse(401, server_url))
    tried: list[Absence] = []
    metadata = yield from resource_metadata(server_url, answer, options, tried)
    candidates: tuple[str, ...] = ()
    if options.issuer:
        candidates = (options.issuer,)
    elif metadata:
        candidates = metadata.authorization_servers[:_MOST_LISTED]
        if len(candidates) > 1:  # RFC 9728 §7.6 leaves the choice to the client
            candidates = tuple(sorted(candidates, key=rank)[:_MOST_SERVERS])
    elif not invents(answer, tried):
        if is_passing(answer.status):
            raise unavailable(answer.response)
        raise (yield from no_authorization_server(server_url, answer, tried))
    if metadata or options.issuer:
        server = yield from _first_usable(candidates, options, usable)
    else:
        server = yield from _legacy(server_url, options, tried, usable)
    resource: str | None = metadata.resource if metadata else server_url.canonical
    if options.resource is not None:
        resource = options.resource or None
    return Discovery(server_url, answer.challenge, metadata, server, resource, answer.url)


def resource_places(
    server_url: ServerUrl, answer: ServerAnswer, options: Options
) -> dict[str, str]:
    """Where resource metadata may be, in the order of the requests, each with its rule.

    Raises `InsecureUrl` if the challenge names a place that must not be requested. It is left out
    instead if the caller's options stand for its content, or if it is not an absolute URL.
    """
    suffix = "oauth-protected-resource"
    places: dict[str, str] = {}
    named = answer.challenge.resource_metadata if answer.challenge else ""
    try:
        if named and not is_relative(named):
            place = Endpoint.checked(named, "the challenge's resource_metadata", options)
            places[place] = "resource_metadata of the challenge (RFC 9728 §5.1)"
    except InsecureUrl as error:
        if not Vouched.by(options):
            raise error.advised(error.remedy, OR_PIN) from None
    for url in dict.fromkeys((answer.url, server_url)):
        places.setdefault(well_known(url, suffix), "well-known of the path (RFC 9728 §3.1)")
        # the path's own slash is part of the identifier here, unlike in an issuer
        places.setdefault(well_known(url, suffix, slash=True), "the same, with the path's slash")
    root = well_known(origin_url(server_url), suffix)
    places.setdefault(root, "well-known of the root")
    return places


def resource_metadata(
    server_url: ServerUrl, answer: ServerAnswer, options: Options, tried: list[Absence]
) -> Flow[ResourceMetadata | None]:
    """Try the challenge's place, the path-aware well-known, the root (RFC 9728 §3.1, §5.1)."""
    vouched = Vouched.by(options)
    places = resource_places(server_url, answer, options)
    named = answer.challenge.resource_metadata if answer.challenge else ""
    if named and named not in places:
        detail = f"the challenge's resource_metadata {shown(named)} cannot be used"
        yield Event("notice", answer.url, answer.status, detail, "counts as absent")
    for place, rule in places.items():
        yield Event("resource-metadata-request", url=place, rule=rule)
        try:
            response = yield from _document(place, tried)
            if response is None:
                yield _missing("resource-metadata", tried[-1])
                continue
            metadata = read_resource_metadata(
                server_url, response, final_url=answer.url, vouched=vouched
            )
        except AuthError as error:
            if not vouched.stands_for(error):
                if isinstance(error, Unavailable) and place == named:
                    error.advised(error.remedy, _IF_IT_PERSISTS)
                raise
            unusable = isinstance(error, BadResponse)
            tried.append(Absence(place, error.summary, is_object=unusable))
            yield Event("notice", place, 0, error.summary, "counts as absent")
            continue
        listed = ", ".join(map(shown, metadata.authorization_servers[:_MOST_SERVERS]))
        yield Event(
            "resource-metadata",
            place,
            response.status,
            f"authorization servers: {listed or 'none'}",
            "resource matches the server (RFC 9728 §3.3)",
            response.seconds,
        )
        return metadata
    return None


def server_metadata(
    issuer: str,
    options: Options,
    tried: list[Absence],
    *,
    private: bool = False,
    usable: Usable = accept_any,
) -> Flow[ServerMetadata | None]:
    """An issuer's metadata at its well-known places in order (RFC 8414 §3.1 and §5).

    If a document cannot serve the login, the next place is tried; if no place helps, the fault of
    the first is raised. One document is used whole, two are never merged. `private`: the caller
    named the issuer, so it may have a private address.
    """
    checked = Issuer.checked(issuer, "the authorization server", options)
    refused: AuthError | None = None
    places, rule = checked.metadata_places(), "RFC 8414 §3.1, §5"
    if options.metadata_url and issuer == options.issuer:
        places, rule = [Endpoint.checked(options.metadata_url, "the metadata URL", options)], _NAMED
    for place in places:
        yield Event("server-metadata-request", url=place, rule=rule)
        try:
            response = yield from _document(place, tried, private=private)
        except AuthError:
            if refused is None:
                raise
            break  # what the first document lacks says more than this fault
        if response is None:
            yield _missing("server-metadata", tried[-1])
            continue
        try:
            server = read_server_metadata(checked, response, options)
            usable(server)
        except AuthError as error:
            if refused is None and isinstance(error, IssuerMismatch | InsecureUrl):
                raise
            refused = refused or error
            unfit = "not usable for this login: next place of the issuer"
            yield Event("notice", place, detail=error.summary, rule=unfit)
            continue
        yield Event(
            "server-metadata",
            place,
            response.status,
            server.issuer,
            "issuer matches (RFC 8414 §3.3)" + ("; this document is used whole" if refused else ""),
            response.seconds,
        )
        return server
    if refused is not None:
        raise refused
    return None


def _first_usable(
    issuers: tuple[str, ...], options: Options, usable: Usable
) -> Flow[ServerMetadata]:
    """The first authorization server that can serve; if none can, why the first one cannot."""
    first: AuthError | None = None
    for issuer in issuers:
        try:
            return (yield from required_metadata(issuer, options, usable=usable))
        except Unavailable:
            raise  # a passing fault is no reason to take the person elsewhere
        except InsecureUrl as error:
            told = options.issuer or ("Options.issuer", None) in error.remedy
            more = "" if told else OR_PIN
            first = first or error.advised(error.remedy, more)
        except AuthError as error:
            first = first or error
    raise first or BadResponse("no authorization server is named")


def required_metadata(
    issuer: str, options: Options, *, private: bool = False, usable: Usable = accept_any
) -> Flow[ServerMetadata]:
    """An issuer's metadata, or what the caller passed instead; `BadResponse` if there is none."""
    if options.endpoints:
        known = caller_server_metadata(issuer, options.endpoints, options)
        yield Event("server-metadata", issuer, detail=issuer, rule="endpoints of the caller")
        usable(known)
        return known
    tried: list[Absence] = []
    server = yield from server_metadata(issuer, options, tried, private=private, usable=usable)
    if server is None and options.metadata_url and issuer == options.issuer:
        raise BadResponse(
            f"the metadata URL that was passed leads to no metadata of {shown(issuer)}:"
            f" {listed(tried)}",
            url=options.metadata_url,
            code="no_server_metadata",
            hint=Remedy(
                "Check {Options.metadata_url}; without it, the issuer's well-known places are read"
            ),
        )
    if server is None:
        raise BadResponse(
            f"the authorization server {shown(issuer)} has no metadata: {listed(tried)}",
            url=issuer,
            code="no_server_metadata",
            hint=Remedy(
                "The server's operator has to serve the document of RFC 8414; no endpoint is"
                " guessed. If they tell you the endpoints, pass them: {Options.issuer} and"
                " {Options.endpoints}"
            ),
        )
    return server


def invents(answer: ServerAnswer, tried: Sequence[Absence]) -> bool:
    """Whether the path of MCP 2025-03-26 applies: a 401 names no metadata, and none was found."""
    named = answer.challenge is not None and answer.challenge.resource_metadata
    objects = any(absence.is_object for absence in tried)
    return answer.requires_authorization and not (named or objects or in_front(answer, tried))


def _legacy(
    server_url: ServerUrl, options: Options, tried: list[Absence], usable: Usable
) -> Flow[ServerMetadata]:
    """MCP 2025-03-26: the server's origin is the issuer, with or without metadata."""
    issuer = Issuer(origin_url(server_url))
    server = yield from server_metadata(issuer, options, tried, usable=usable)
    if server is None:
        server = default_server_metadata(issuer)
        usable(server)
        yield Event(
            "server-metadata", issuer, detail=DEFAULTS, rule="no metadata anywhere: 2025-03-26"
        )
    return server


def metadata_request(url: str) -> HttpRequest:
    headers = {"Accept": "application/json", "MCP-Protocol-Version": LATEST}
    return HttpRequest("GET", url, headers)


def _document(
    place: str, tried: list[Absence], *, private: bool = False
) -> Flow[HttpResponse | None]:
    """The answer if it holds a JSON object; otherwise None, with the absence added to `tried`."""
    response = yield from send(replace(metadata_request(place), private=private))
    absence = absent(response)
    if absence is None:
        return response
    tried.append(absence)
    return None


def absent(response: HttpResponse) -> Absence | None:
    """Why a place has no document, None if it has one; raises `Unavailable` for a 5xx or 429."""
    if is_passing(response.status):
        raise unavailable(response)
    if 200 <= response.status < 300 and isinstance(parsed(response), dict):
        return None
    came = described(response) if response.status < 300 else f"HTTP {response.status}"
    if target := redirected_to(response):
        came += f" to {target}, not followed"
    return Absence(response.url, came, response.status, is_page(response), led_to=target)


def _missing(name: str, absence: Absence) -> Event:
    rule = "absent: next place"
    return Event(name, absence.url, absence.status, str(absence), rule)
