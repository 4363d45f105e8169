"""An authorization server: its metadata at each place, and what of it a login needs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from ..errors import AuthError
from ..origin import same_origin, shown
from ..protocol.authorization import require_code_grant
from ..protocol.client_choice import client_kind
from ..protocol.discovery import server_metadata
from ..protocol.flow import HttpRequest
from ..protocol.metadata import ServerMetadata, default_server_metadata, read_server_metadata
from ..protocol.scopes import OFFLINE
from ..protocol.urls import Issuer as IssuerUrl
from .exam import Check, Exam
from .metadata_places import Document, Place, look
from .report import Finding, Level

_OAUTH: Final = "/.well-known/oauth-authorization-server"
_DOCUMENT: Final = "MCP “Authorization Server Metadata Discovery”"
_PKCE: Final = (
    "authorization_endpoint, and S256 in code_challenge_methods_supported (RFC 8414 §2,"
    " MCP “Authorization Code Protection”)"
)
_ISS: Final = (
    "iss in every authorization response, and advertised (RFC 9207 §2.3, §3,"
    " MCP “Authorization Response Validation”)"
)
_FALLBACK: Final = "MCP 2025-03-26 “Fallbacks for Servers without Metadata Discovery”"
_GRANTS: Final = "authorization_code and refresh_token (RFC 8414 §2, MCP “Refresh Tokens”)"
_NO_REFRESH: Final = (
    "people sign in again whenever the access token has expired",
    "Issue refresh tokens, and list refresh_token",
)
_CLIENTS: Final = (
    "client ID metadata documents, or dynamic registration (MCP “Client Registration”)"
)
_OPENID: Final = f"OpenID Connect Discovery §4, for compatibility; {_DOCUMENT}"
_FIRST_PLACE: Final[tuple[str, Level, str, str]] = (
    f"RFC 8414 §3.1, the first place; {_DOCUMENT}",
    "warning",
    "clients that know RFC 8414 only, as MCP 2025-03-26 and 2025-06-18 have it",
    f"Serve the document at {_OAUTH} too",
)
# by whether there is a registration endpoint, and whether client documents are supported
_WAYS: Final[dict[tuple[bool, bool], tuple[Level, str, str, str]]] = {
    (True, True): ("ok", "dynamic registration and client ID metadata documents", "", ""),
    (True, False): (
        "note",
        "dynamic registration",
        "",
        "Offer the documents too: they follow on registration",
    ),
    (False, True): (
        "warning",
        "client ID metadata documents only",
        "clients that have no such document; this one needs --client-metadata-url",
        "Offer dynamic registration (RFC 7591) too",
    ),
    (False, False): (
        "warning",
        "neither of the two",
        "every client without an id from the operator; this one needs --client-id",
        "Offer dynamic registration (RFC 7591) too",
    ),
}
_NO_PAGE: Final = (401, 403, 404, 405, 410)


@dataclass(frozen=True, slots=True)
class Issuer:
    """What was learned of one issuer. `places` are those where a document lies."""

    server: ServerMetadata
    places: tuple[str, ...]


def issuer(exam: Exam, name: str, *, guessed: bool = False) -> Check[Issuer | None]:
    """The metadata at each place. `guessed`: no one named this issuer (MCP 2025-03-26)."""
    try:
        checked = IssuerUrl.checked(name, "the authorization server", exam.options)
    except AuthError as error:
        standard = "https, no query, no fragment (RFC 8414 §2)"
        yield exam.ask("issuer.url", shown(name), standard).failed(error)
        return None

    def usable(server: ServerMetadata) -> None:
        require_code_grant(server, exam.options)
        client_kind(None, server, exam.options)

    taken: ServerMetadata | AuthError | None
    try:  # what a login takes of the documents: one that can serve it, where there is one
        taken = exam.follow(server_metadata(name, exam.options, [], usable=usable))
    except AuthError as error:
        taken = error
    read = partial(read_server_metadata, checked, options=exam.options)
    first: Document[ServerMetadata] | AuthError | None = None
    documents: list[Document[ServerMetadata]] = []
    for number, url in enumerate(checked.metadata_places()):
        affected = "" if first else "clients that know OpenID Connect only"
        place = Place(url, _OPENID, stumbles=affected) if number else Place(url, *_FIRST_PLACE)
        reached = first is None and isinstance(taken, AuthError)
        seen = yield from look(exam, "issuer.metadata", place, read, reached=reached)
        first = first or seen
        if isinstance(seen, Document):
            documents.append(seen)
    if first is None:
        yield _nowhere(exam, checked, guessed=guessed)
        return Issuer(default_server_metadata(checked), ()) if guessed else None
    named = {(d.value.authorization_endpoint, d.value.token_endpoint) for d in documents}
    if len(named) > 1:
        what = "the documents of this issuer beside each other"
        standard = "one issuer, one set of endpoints (RFC 8414 §2)"
        yield exam.ask("issuer.agreement", what, standard).warning(
            "they name different endpoints",
            "clients come to different endpoints, depending on where they look first; this one"
            " takes the first that can serve a login",
            "Serve the same document at each place",
        )
    server = taken if isinstance(taken, ServerMetadata) else None
    if server is None and isinstance(first, Document):
        server = first.value  # what it lacks is among its abilities
    if server is None:
        return None
    return Issuer(server, tuple(document.response.url for document in documents))


def _nowhere(exam: Exam, name: IssuerUrl, *, guessed: bool) -> Finding:
    """Where it is guessed: is the assumed sign-in page there? A browser has no header to send."""
    places = f"every place of the metadata of {shown(name)}"
    if not guessed:
        standard = f"at least one of the places (RFC 8414 §3; {_DOCUMENT})"
        remedy = f"Serve the document at {_OAUTH}"
        question = exam.ask("issuer.found", places, standard)
        return question.finding("error", "no document anywhere", "all", remedy, "BadResponse")
    page, status = default_server_metadata(name).authorization_endpoint, 0
    with suppress(AuthError):  # a fault proves nothing: the request has no parameters
        status = exam.send(HttpRequest("GET", page, redirects=False)).status
    remedy = "Serve the documents of RFC 9728 and RFC 8414"
    if status not in _NO_PAGE:
        return exam.ask("issuer.found", places, _FALLBACK).warning(
            "no document anywhere: /authorize, /token and /register of the server are assumed",
            "clients of later revisions, which assume nothing",
            remedy,
        )
    return exam.ask("issuer.found", f"{places}, and GET {shown(page)}", _FALLBACK).finding(
        "error",
        f"no document anywhere, and HTTP {status} at /authorize: nothing says where to log in",
        "all",
        remedy + ". A server that takes an API key needs neither, and no login",
        "RegistrationRefused",
    )


def abilities(exam: Exam, server: ServerMetadata, required: tuple[str, ...]) -> Check[None]:
    """What the metadata promises. `required` are the scopes that the resource names."""
    if server.source == "defaults":
        return
    requested = f"the metadata of {server.issuer.shown}"
    standard = "identical with the identifier that leads there (RFC 8414 §3.3)"
    question = exam.ask("issuer.identifier", requested, standard)
    yield question.ok(f"issuer {server.issuer.shown}")
    question = exam.ask("issuer.pkce", requested, _PKCE)
    methods = " ".join(server.code_challenge_methods or ())
    try:
        require_code_grant(server, exam.options)
    except AuthError as error:
        yield question.failed(error)
    else:
        plain = "plain" in methods.split()
        remedy = "Remove “plain” (RFC 9700 §2.1.1)" if plain else ""
        yield question.finding("note" if plain else "ok", methods, remedy=remedy)
    endpoints = {
        "authorization": server.authorization_endpoint,
        "token": server.token_endpoint,
        "registration": server.registration_endpoint,
        "revocation": server.revocation_endpoint,
    }
    others = [n for n, url in endpoints.items() if url and not same_origin(url, server.issuer)]
    came, affected = "all on https or loopback", ""
    if others:
        came += f"; not on the issuer's origin: {', '.join(others)}"
    if not server.revocation_endpoint:
        came += "; no revocation"
        affected = "a logout cannot end the login at the server (RFC 7009)"
    level: Level = "note" if others or affected else "ok"
    question = exam.ask("issuer.endpoints", requested, "https, but on loopback (OAuth 2.1 §1.5)")
    yield question.finding(level, came, affected)
    yield from _offers(exam, requested, server, required)


def _offers(
    exam: Exam, requested: str, server: ServerMetadata, required: tuple[str, ...]
) -> Check[None]:
    """What may be asked for: grants, `iss`, scopes, and a way to a client."""
    question, scopes = exam.ask("issuer.grants", requested, _GRANTS), server.scopes_supported
    grants, offline = server.grant_types, OFFLINE in (scopes or ())
    came = " ".join(grants or ()) or "an empty list"
    if grants is None:
        came = "grant_types_supported is left out, which stands for authorization_code and implicit"
        yield question.finding("note" if offline else "warning", came, *_NO_REFRESH)
    elif "authorization_code" not in grants:
        yield question.warning(came, "clients that obey the list", "List authorization_code")
    elif "refresh_token" not in grants:
        yield question.warning(came, *_NO_REFRESH)
    else:
        yield question.ok(came + ("" if offline else "; scopes_supported has no offline_access"))
    question = exam.ask("issuer.iss", requested, _ISS)
    if server.iss_promised:
        yield question.ok("authorization_response_iss_parameter_supported is true")
    else:
        yield question.warning(
            "authorization_response_iss_parameter_supported is not true",
            "clients with several authorization servers, which refuse a response without iss",
            "Send iss in authorization responses and advertise it",
        )
    question = exam.ask("issuer.scopes", requested, "scopes_supported is recommended (RFC 8414 §2)")
    listed = frozenset(scopes or ())
    if scopes is None:
        affected = "clients that ask for offline_access only where it is listed"
        remedy = "List the scopes, offline_access among them if refresh tokens need it"
        yield question.warning("no scopes_supported", affected, remedy)
    elif unlisted := [scope for scope in required if scope not in listed]:
        yield question.warning(
            f"the resource asks for {' '.join(unlisted)}, which is not listed here",
            "clients that check the list; the authorization server itself, if it means it",
            "List the scope here, or remove it from the resource's metadata and challenge",
        )
    else:
        yield question.ok(" ".join(scopes) or "an empty list")
    way = bool(server.registration_endpoint), bool(server.client_id_metadata_documents)
    yield exam.ask("issuer.clients", requested, _CLIENTS).finding(*_WAYS[way])
