"""From a server URL, and perhaps its challenge, to the authorization server to use.

Places are asked in order until one answers with a JSON object; whatever that object is
then decides. Nothing is ever invented once a server has named its metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Final

from ..errors import AuthError, BadResponse, Unavailable
from ..events import Event
from .challenge import Challenge
from .document import described, parsed
from .flow import Flow, HttpRequest, HttpResponse, send
from .metadata import (
    ResourceMetadata,
    ServerMetadata,
    caller_server_metadata,
    default_server_metadata,
    read_resource_metadata,
    read_server_metadata,
)
from .options import LATEST, Endpoints, Options
from .urls import (
    canonical,
    issuer_places,
    origin_url,
    require_issuer,
    require_secure,
    same_issuer,
    shown,
    well_known,
)

_MOST_SERVERS: Final = 10
Usable = Callable[[ServerMetadata], None]
_LONGEST_WAIT: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Discovery:
    """A server, what its challenge asked for, and the authorization server chosen for it.

    `resource` is what goes out as the `resource` parameter, None for none (RFC 8707 §2).
    """

    server_url: str
    challenge: Challenge | None
    metadata: ResourceMetadata | None
    server: ServerMetadata
    resource: str | None


def discover(
    server_url: str,
    challenge: Challenge | None,
    options: Options,
    *,
    usable: Usable = lambda server: None,
    held: Collection[str] = (),
) -> Flow[Discovery]:
    """Find the authorization server (MCP 2026-07-28 "Authorization Server Discovery").

    `usable` raises for a server that cannot serve the login; `held` are issuers for which a
    credential or client is at hand, and these come first. Raises `Unavailable`, `Untrusted`
    or `BadResponse`.
    """
    tried: list[str] = []
    metadata = yield from resource_metadata(server_url, challenge, options, tried)
    if options.issuer:
        candidates: tuple[str, ...] = (options.issuer,)
    elif metadata:
        candidates = _ordered(metadata.authorization_servers, held)[:_MOST_SERVERS]
    elif challenge is None or not challenge.resource_metadata:
        server = yield from _legacy(server_url, options, tried)
        usable(server)
        return _discovery(server_url, challenge, None, server, options)
    else:
        raise BadResponse(
            "the server names its resource metadata, but no place has any: " + "; ".join(tried),
            url=shown(challenge.resource_metadata),
            code="no_resource_metadata",
            hint="The operator must serve the document of RFC 9728 there",
        )
    server = yield from _first_usable(candidates, options, usable)
    return _discovery(server_url, challenge, metadata, server, options)


def _discovery(
    server_url: str,
    challenge: Challenge | None,
    metadata: ResourceMetadata | None,
    server: ServerMetadata,
    options: Options,
) -> Discovery:
    resource: str | None = metadata.resource if metadata else canonical(server_url)
    if options.resource is not None:
        resource = options.resource or None
    return Discovery(server_url, challenge, metadata, server, resource)


def _ordered(servers: tuple[str, ...], held: Collection[str]) -> tuple[str, ...]:
    """RFC 9728 §7.6 leaves the choice to the client: what is held first, else their order."""
    return tuple(sorted(servers, key=lambda s: not any(same_issuer(s, h) for h in held)))


def resource_places(
    server_url: str, challenge: Challenge | None, options: Options
) -> dict[str, str]:
    """Where resource metadata may lie, in the order in which it is asked for, each with its rule.

    `InsecureUrl` for a place that the challenge names and nobody should go to.
    """
    suffix = "oauth-protected-resource"
    places = {well_known(server_url, suffix): "well-known of the path (RFC 9728 §3.1)"}
    places.setdefault(well_known(origin_url(server_url), suffix), "well-known of the root")
    if challenge and challenge.resource_metadata:
        named = require_secure(
            challenge.resource_metadata,
            "the challenge's resource_metadata",
            allow_insecure_http=options.allow_insecure_http,
        )
        places.pop(named, None)
        places = {named: "resource_metadata of the challenge (RFC 9728 §5.1)", **places}
    return places


def resource_metadata(
    server_url: str, challenge: Challenge | None, options: Options, tried: list[str]
) -> Flow[ResourceMetadata | None]:
    """The challenge's place, the path-aware well-known, the root (RFC 9728 §3.1, §5.1)."""
    for place, rule in resource_places(server_url, challenge, options).items():
        yield Event("resource-metadata-request", url=shown(place), rule=rule)
        response = yield from send(metadata_request(place))
        if absent(response, tried):
            yield Event(
                "resource-metadata", shown(place), response.status, tried[-1], "absent: next place"
            )
            continue
        found = read_resource_metadata(server_url, response, confirmed=options.resource or "")
        yield Event(
            "resource-metadata",
            shown(place),
            response.status,
            "authorization servers: " + ", ".join(shown(s) for s in found.authorization_servers),
            "resource matches the server (RFC 9728 §3.3)",
            response.seconds,
        )
        return found
    return None


def server_metadata(
    issuer: str, options: Options, tried: list[str], *, private: bool = False
) -> Flow[ServerMetadata | None]:
    """An issuer's metadata at its well-known places in order (RFC 8414 §3.1 and §5).

    `private`: the caller named it himself, so it may be anywhere.
    """
    insecure = options.allow_insecure_http
    require_issuer(issuer, "the authorization server", allow_insecure_http=insecure)
    for place in issuer_places(issuer):
        yield Event("server-metadata-request", url=shown(place), rule="RFC 8414 §3.1, §5")
        response = yield from send(replace(metadata_request(place), private=private))
        if absent(response, tried):
            yield Event(
                "server-metadata", shown(place), response.status, tried[-1], "absent: next place"
            )
            continue
        found = read_server_metadata(issuer, response, allow_insecure_http=insecure)
        yield Event(
            "server-metadata",
            shown(place),
            response.status,
            found.issuer,
            "issuer matches (RFC 8414 §3.3)",
            response.seconds,
        )
        return found
    return None


def _first_usable(
    issuers: tuple[str, ...], options: Options, usable: Usable
) -> Flow[ServerMetadata]:
    """The first authorization server that can serve; if none can, why the first one cannot."""
    first: AuthError | None = None
    for issuer in issuers:
        try:
            server = yield from required_metadata(issuer, options)
            usable(server)
            return server
        except Unavailable:
            raise  # a hiccup is no reason to take the person somewhere else
        except AuthError as error:
            first = first or error
    raise first or BadResponse("no authorization server is named")


def required_metadata(
    issuer: str, options: Options, *, private: bool = False
) -> Flow[ServerMetadata]:
    """The same, `BadResponse` where there is none; or what the caller told instead."""
    if options.endpoints:
        return (yield from _told(issuer, options.endpoints, options))
    tried: list[str] = []
    server = yield from server_metadata(issuer, options, tried, private=private)
    if server is None:
        raise BadResponse(
            f"the authorization server {shown(issuer)} has no metadata: " + "; ".join(tried),
            url=shown(issuer),
            code="no_server_metadata",
            hint="The operator must serve the document of RFC 8414; nothing is guessed. If he tells"
            " you the endpoints, pass them (--issuer and --endpoint,"
            " Options(issuer=…, endpoints=…))",
        )
    return server


def _told(issuer: str, endpoints: Endpoints, options: Options) -> Flow[ServerMetadata]:
    """The caller's own endpoints, of the pinned issuer and of no other."""
    insecure = options.allow_insecure_http
    server = caller_server_metadata(issuer, endpoints, allow_insecure_http=insecure)
    yield Event("server-metadata", shown(issuer), detail=issuer, rule="endpoints of the caller")
    return server


def _legacy(server_url: str, options: Options, tried: list[str]) -> Flow[ServerMetadata]:
    """MCP 2025-03-26: the server's origin is the issuer, with or without metadata."""
    issuer = origin_url(server_url)
    server = yield from server_metadata(issuer, options, tried)
    if server is None:
        server = default_server_metadata(issuer)
        yield Event(
            "server-metadata", issuer, detail="defaults", rule="no metadata anywhere: 2025-03-26"
        )
    return server


def metadata_request(url: str) -> HttpRequest:
    headers = {"Accept": "application/json", "MCP-Protocol-Version": LATEST}
    return HttpRequest("GET", url, headers)


def absent(response: HttpResponse, tried: list[str]) -> bool:
    """Whether the place has no document, which is noted; a 5xx or 429 is `Unavailable`."""
    if response.status == 429 or response.status >= 500:
        raise unavailable(response)
    if 200 <= response.status < 300 and isinstance(parsed(response), dict):
        return False
    got = described(response) if response.status < 300 else f"HTTP {response.status}"
    if 300 <= response.status < 400:
        got += " to another place, not followed"
    tried.append(f"{shown(response.url)} answered {got}")
    return True


def unavailable(response: HttpResponse) -> Unavailable:
    return Unavailable(
        f"the server answered HTTP {response.status}",
        url=shown(response.url),
        hint="Nothing was changed; try again later",
        retry_after=_retry_after(response),
    )


def _retry_after(response: HttpResponse) -> float | None:
    """Seconds to wait (RFC 9110 §10.2.3); a date is taken against the server's own clock."""
    wait = response.header("retry-after").strip()
    if wait.isdecimal():
        return min(float(wait), _LONGEST_WAIT)
    try:
        until, now = (parsedate_to_datetime(d) for d in (wait, response.header("date")))
        return min(max((until - now).total_seconds(), 0.0), _LONGEST_WAIT)
    except (ValueError, TypeError):
        return None
