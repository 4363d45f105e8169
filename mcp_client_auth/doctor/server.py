"""The MCP server's side: its answer to a stranger, and its protected resource metadata."""

from __future__ import annotations

from functools import partial
from typing import Final

from ..errors import AuthError
from ..probing import probe_request
from ..protocol.challenge import Challenge, read_challenges, relevant
from ..protocol.discovery import resource_places
from ..protocol.flow import HttpResponse
from ..protocol.metadata import ResourceMetadata, read_resource_metadata
from ..protocol.scopes import OFFLINE
from ..protocol.urls import canonical, require_secure, same_origin, shown, split
from .exam import Check, Exam
from .finding import Finding, Level, failed
from .places import Found, Place, look

_401: Final = "401 without a token (RFC 6750 §3.1, MCP “Error Handling”)"
_CHALLENGE: Final = "a Bearer challenge with resource_metadata (RFC 9728 §5.1)"
_METADATA: Final = "a JSON document with resource and authorization_servers (RFC 9728 §2, §3.2)"
_NO_OFFLINE: Final = "a server does not ask for offline_access (MCP “Refresh Tokens”)"


def challenge(exam: Exam) -> Check[Challenge | None]:
    """The 401 and its challenge."""
    response = exam.send(probe_request(exam.server_url))
    asked = f"POST {shown(exam.server_url)}, an MCP initialize without a token"
    yield _status(asked, response)
    if response.status != 401:
        return None
    headers = response.header_values("www-authenticate")
    found = relevant(read_challenges(headers))
    if found is None:
        yield _no_challenge(asked, headers)
        return None
    yield from _named_place(exam, asked, found)
    yield from _words(asked, found)
    return found


def _status(asked: str, response: HttpResponse) -> Finding:
    status, came = response.status, f"HTTP {response.status}"
    if status == 401:
        return Finding("challenge.status", "ok", asked, came, _401)
    if status == 429 or status >= 500:
        mend = "Mend the server or what stands before it; nothing else can be seen until then"
        return Finding(
            "challenge.status", "error", asked, came, _401, "all", mend, error="Unavailable"
        )
    if 200 <= status < 300:
        why = "none, if this is meant; a client that waits for a 401 never logs in"
        mend = "Answer 401 with a challenge to every request that needs a login"
        return Finding("challenge.status", "note", asked, came, _401, why, mend)
    if 300 <= status < 400:
        came += f" to {shown(response.header('location'))}"
    why = "clients that begin with the 401; this one goes on to the well-known places"
    mend = "Check the URL; answer 401 with a challenge before the request is looked at"
    return Finding("challenge.status", "warning", asked, came, _401, why, mend)


def _no_challenge(asked: str, headers: list[str]) -> Finding:
    schemes = ", ".join(each.scheme for each in read_challenges(headers)) or "none"
    return Finding(
        "challenge.header",
        "warning",
        asked,
        f"no Bearer challenge in WWW-Authenticate (schemes: {schemes})",
        "a 401 has a WWW-Authenticate header (RFC 9110 §15.5.2); " + _CHALLENGE,
        "clients that learn from the header that and where to log in",
        'Send WWW-Authenticate: Bearer resource_metadata="…"',
    )


def _named_place(exam: Exam, asked: str, found: Challenge) -> Check[None]:
    named = found.resource_metadata
    if not named:
        yield Finding(
            "challenge.header",
            "warning",
            asked,
            f"a {found.scheme} challenge without resource_metadata",
            _CHALLENGE,
            "clients that follow MCP 2025-06-18 and read the place from the header only",
            "Add resource_metadata with the URL of the metadata document",
        )
        return
    insecure = exam.options.allow_insecure_http
    try:
        require_secure(named, "the challenge's resource_metadata", allow_insecure_http=insecure)
    except AuthError as error:
        yield failed("challenge.header", error, asked, _CHALLENGE)
        return
    came = f"resource_metadata is {shown(named)}"
    if same_origin(named, exam.server_url):
        yield Finding("challenge.header", "ok", asked, came, _CHALLENGE)
    else:
        why = "clients that read metadata from the server's own origin only"
        mend = "Behind a proxy this is usually an internal address: set the server's public URL"
        yield Finding("challenge.header", "warning", asked, came, _CHALLENGE, why, mend)


def _words(asked: str, found: Challenge) -> Check[None]:
    standard = "no error code where no token was sent (RFC 6750 §3.1)"
    if found.error:
        why = "clients that take it for a token that was refused"
        mend = "Leave error out when the request carries no Authorization header"
        came = f"error={found.error}"
        yield Finding("challenge.error", "note", asked, came, standard, why, mend)
    scope = found.scope
    if scope and OFFLINE in scope:
        yield _offline("challenge.scope", asked)
    elif scope:
        came = f"scope={' '.join(scope)}"
        standard = "the scopes that the request needs (MCP “Scope Selection Strategy”)"
        yield Finding("challenge.scope", "ok", asked, came, standard)
    else:
        came = "no scope: clients ask for scopes_supported of the resource metadata"
        standard = "scope is recommended (MCP “Scope Selection Strategy”)"
        yield Finding("challenge.scope", "note", asked, came, standard)


def metadata(
    exam: Exam, found: Challenge | None
) -> Check[Found[ResourceMetadata] | AuthError | None]:
    """The document at each place, and the fields of the one that a login takes.

    Gives what a login finds first: that document, or the fault at which it ends.
    """
    places = resource_places(exam.server_url, found, exam.options)
    named = found.resource_metadata if found else ""
    first: Found[ResourceMetadata] | AuthError | None = None
    for url, rule in places.items():
        place = _place(url, rule, named, known=first is not None)
        read = partial(read_resource_metadata, exam.server_url)
        seen = yield from look(exam, "resource.metadata", place, read, reached=first is None)
        first = first or seen
    if first is None:
        yield _nowhere(found)
    elif isinstance(first, Found):
        yield from _fields(exam, first)
    return first


def _place(url: str, rule: str, named: str, *, known: bool) -> Place:
    standard = f"{_METADATA}; {rule}"
    if url == named:
        why, mend = "all that follow the challenge", "Serve the document there, or name its place"
        return Place(url, standard, "warning", why, mend)
    if known:
        return Place(url, standard)
    root = split(url).path.endswith("oauth-protected-resource")
    why = "" if root else "clients that try the well-known place of the path"
    mend = "Serve the document at this place"
    return Place(url, standard, "note" if root else "warning", why, mend)


def _nowhere(found: Challenge | None) -> Finding:
    asked = "every place of the resource metadata"
    level: Level = "error" if found and found.resource_metadata else "warning"
    return Finding(
        "resource.found",
        level,
        asked,
        "no document anywhere"
        + ("" if level == "error" else ": the path of MCP 2025-03-26 is tried"),
        "an MCP server has resource metadata (MCP “Authorization Server Location”)",
        "this client stops here" if level == "error" else "clients of MCP 2025-06-18 and later",
        "Serve the document of RFC 9728 at the well-known place of the path",
        "BadResponse" if level == "error" else "",
    )


def _fields(exam: Exam, document: Found[ResourceMetadata]) -> Check[None]:
    found, asked = document.value, f"GET {shown(document.value.url)}"
    yield _identifier(exam, asked, found.resource)
    listed = ", ".join(shown(server) for server in found.authorization_servers)
    more = len(found.authorization_servers) > 1
    why = "clients that take the first only" if more else ""
    standard = "at least one issuer (RFC 9728 §2, MCP “Authorization Server Location”)"
    yield Finding("resource.servers", "note" if more else "ok", asked, listed, standard, why)
    yield _scopes(asked, found.scopes_supported)
    methods = found.raw.get("bearer_methods_supported")
    if isinstance(methods, list) and "header" not in methods:
        came = f"bearer_methods_supported: {', '.join(map(str, methods)) or 'an empty list'}"
        standard = "the token goes in the Authorization header (MCP “Token Requirements”)"
        why, mend = "clients that obey the list", "List “header”, or leave the field out"
        yield Finding("resource.methods", "warning", asked, came, standard, why, mend)


def _identifier(exam: Exam, asked: str, resource: str) -> Finding:
    standard = "the identifier that the well-known URL was made from (RFC 9728 §3.3)"
    typed = exam.server_url
    if resource == typed:
        came = "resource equals the URL"
        return Finding("resource.identifier", "ok", asked, came, standard)
    slash = resource == typed + "/" or typed == resource + "/"
    if slash:
        came = f"resource is {shown(resource)}, a trailing slash apart from the URL"
    elif canonical(resource) == canonical(typed):
        came = f"resource is {shown(resource)}, the URL in another spelling"
    else:
        came = f"resource is {shown(resource)}, a parent of the URL"
    why = "clients that compare strings; authorization servers that know one spelling only"
    mend = "Let resource be, letter by letter, the URL that people are given"
    return Finding("resource.identifier", "warning", asked, came, standard, why, mend)


def _scopes(asked: str, scopes: tuple[str, ...] | None) -> Finding:
    standard = "scopes_supported is recommended (RFC 9728 §2, MCP “Scope Selection Strategy”)"
    if scopes is None:
        why = "clients that need to name a scope do not know which"
        mend = "List the scopes of ordinary use"
        came = "no scopes_supported"
        return Finding("resource.scopes", "warning", asked, came, standard, why, mend)
    if not scopes:
        why = "clients that send an empty scope, which a strict authorization server refuses"
        mend = "List a scope, or leave the field out"
        came = "scopes_supported is empty: no scope is asked for"
        return Finding("resource.scopes", "note", asked, came, standard, why, mend)
    if OFFLINE in scopes:
        return _offline("resource.scopes", asked)
    return Finding("resource.scopes", "ok", asked, " ".join(scopes), standard)


def _offline(check: str, asked: str) -> Finding:
    came = "offline_access is among the scopes"
    mend = "Take it out; clients add it where the authorization server lists it"
    why = "people are asked for more than the server needs"
    return Finding(check, "note", asked, came, _NO_OFFLINE, why, mend)
