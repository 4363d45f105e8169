"""An authorization server: its metadata at each place, and what a login will need of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from ..errors import AuthError
from ..protocol.authorization import require_code_grant
from ..protocol.metadata import ServerMetadata, default_server_metadata, read_server_metadata
from ..protocol.scopes import OFFLINE
from ..protocol.urls import issuer_places, require_issuer, same_origin, shown
from .exam import Check, Exam
from .finding import Finding, Level, failed
from .places import Found, Place, look

_OAUTH: Final = "/.well-known/oauth-authorization-server"
_PKCE: Final = (
    "authorization_endpoint, and S256 in code_challenge_methods_supported (RFC 8414 §2,"
    " MCP “Authorization Code Protection”)"
)
_ISS: Final = (
    "iss in every answer, and advertised (RFC 9207 §2.3, §3,"
    " MCP “Authorization Response Validation”)"
)
_DOCUMENT: Final = "MCP “Authorization Server Metadata Discovery”"


@dataclass(frozen=True, slots=True)
class Issuer:
    """What was learned of one issuer. `places` are those where a document lies."""

    server: ServerMetadata
    places: tuple[str, ...]


def issuer(exam: Exam, name: str, *, guessed: bool = False) -> Check[Issuer | None]:
    """The metadata at each place. `guessed`: nobody named this issuer (MCP 2025-03-26)."""
    insecure = exam.options.allow_insecure_http
    try:
        require_issuer(name, "the authorization server", allow_insecure_http=insecure)
    except AuthError as error:
        yield failed("issuer.url", error, shown(name), "https, no query, no fragment (RFC 8414 §2)")
        return None
    read = partial(read_server_metadata, name, allow_insecure_http=insecure)
    first: Found[ServerMetadata] | AuthError | None = None
    documents: list[Found[ServerMetadata]] = []
    for number, url in enumerate(issuer_places(name)):
        place = _place(url, primary=number == 0, known=first is not None)
        seen = yield from look(exam, "issuer.metadata", place, read, reached=first is None)
        first = first or seen
        if isinstance(seen, Found):
            documents.append(seen)
    if first is None:
        yield _defaults(name) if guessed else _nowhere(name)
        return Issuer(default_server_metadata(name), ()) if guessed else None
    if not isinstance(first, Found):
        return None
    yield from _agreement(documents)
    return Issuer(first.value, tuple(found.response.url for found in documents))


def _place(url: str, *, primary: bool, known: bool) -> Place:
    if primary:
        standard = f"RFC 8414 §3.1, the first place; {_DOCUMENT}"
        why = "clients that know RFC 8414 only, as MCP 2025-03-26 and 2025-06-18 have it"
        return Place(url, standard, "warning", why, f"Serve the document at {_OAUTH} too")
    standard = f"OpenID Connect Discovery §4, for compatibility; {_DOCUMENT}"
    return Place(url, standard, stumbles="" if known else "clients that know OpenID Connect only")


def _nowhere(name: str) -> Finding:
    return Finding(
        "issuer.found",
        "error",
        f"every place of the metadata of {shown(name)}",
        "no document anywhere",
        f"at least one of the places (RFC 8414 §3; {_DOCUMENT})",
        "all",
        f"Serve the document at {_OAUTH}",
        "BadResponse",
    )


def _defaults(name: str) -> Finding:
    return Finding(
        "issuer.found",
        "warning",
        f"every place of the metadata of {shown(name)}",
        "no document anywhere: /authorize, /token and /register of the server are assumed",
        "MCP 2025-03-26 “Fallbacks for Servers without Metadata Discovery”",
        "clients of later revisions, which assume nothing",
        "Serve the documents of RFC 9728 and RFC 8414",
    )


def _agreement(documents: list[Found[ServerMetadata]]) -> Check[None]:
    """Two documents of one issuer that send clients to different places."""
    named = {(d.value.authorization_endpoint, d.value.token_endpoint) for d in documents}
    if len(named) > 1:
        yield Finding(
            "issuer.agreement",
            "warning",
            "the documents of this issuer beside each other",
            "they name different endpoints",
            "one issuer, one set of endpoints (RFC 8414 §2)",
            "clients come to different endpoints, depending on where they look first",
            "Serve the same document at each place",
        )


def abilities(exam: Exam, server: ServerMetadata, wanted: tuple[str, ...]) -> Check[None]:
    """What the metadata promises. `wanted` are the scopes that the resource asks for."""
    if server.source == "defaults":
        return
    asked = f"the metadata of {shown(server.issuer)}"
    yield Finding(
        "issuer.identifier",
        "ok",
        asked,
        f"issuer {shown(server.issuer)}",
        "identical with the identifier that leads there (RFC 8414 §3.3)",
    )
    try:
        require_code_grant(server, exam.options)
    except AuthError as error:
        yield failed("issuer.pkce", error, asked, _PKCE)
    else:
        yield _pkce(asked, server)
    yield _endpoints(asked, server)
    yield from _grants(asked, server)
    yield _iss(asked, server)
    yield from _scopes(asked, server, wanted)
    yield _registration(asked, server)


def _pkce(asked: str, server: ServerMetadata) -> Finding:
    methods = server.code_challenge_methods or ()
    if "plain" in methods:
        mend = "Take “plain” out (RFC 9700 §2.1.1)"
        return Finding("issuer.pkce", "note", asked, " ".join(methods), _PKCE, remedy=mend)
    return Finding("issuer.pkce", "ok", asked, " ".join(methods), _PKCE)


def _endpoints(asked: str, server: ServerMetadata) -> Finding:
    standard = "https, but on loopback (OAuth 2.1 §1.5)"
    named = {
        "authorization": server.authorization_endpoint,
        "token": server.token_endpoint,
        "registration": server.registration_endpoint,
        "revocation": server.revocation_endpoint,
    }
    missing = [name for name, url in named.items() if not url]
    strange = [n for n, url in named.items() if url and not same_origin(url, server.issuer)]
    came = "all on https or loopback"
    if strange:
        came += f"; not on the issuer's origin: {', '.join(strange)}"
    if "revocation" in missing:
        why = "a logout cannot end the login at the server (RFC 7009)"
        return Finding("issuer.endpoints", "note", asked, came + "; no revocation", standard, why)
    return Finding("issuer.endpoints", "note" if strange else "ok", asked, came, standard)


def _grants(asked: str, server: ServerMetadata) -> Check[None]:
    standard = "authorization_code and refresh_token (RFC 8414 §2, MCP “Refresh Tokens”)"
    grants = server.grant_types
    offline = OFFLINE in (server.scopes_supported or ())
    if grants is None:
        came = "grant_types_supported is left out, which stands for authorization_code and implicit"
        level: Level = "note" if offline else "warning"
    elif "authorization_code" not in grants:
        why, mend = "clients that obey the list", "List authorization_code"
        came = " ".join(grants) or "an empty list"
        yield Finding("issuer.grants", "warning", asked, came, standard, why, mend)
        return
    elif "refresh_token" in grants:
        extra = "" if offline else "; scopes_supported has no offline_access"
        yield Finding("issuer.grants", "ok", asked, " ".join(grants) + extra, standard)
        return
    else:
        came, level = " ".join(grants), "warning"
    why = "people sign in again whenever the access token has expired"
    mend = "Issue refresh tokens, and list refresh_token"
    yield Finding("issuer.grants", level, asked, came, standard, why, mend)


def _iss(asked: str, server: ServerMetadata) -> Finding:
    if server.iss_promised:
        came = "authorization_response_iss_parameter_supported is true"
        return Finding("issuer.iss", "ok", asked, came, _ISS)
    came = "authorization_response_iss_parameter_supported is not true"
    why = "clients with several authorization servers, which refuse an answer without iss"
    mend = "Send iss in authorization responses and advertise it"
    return Finding("issuer.iss", "warning", asked, came, _ISS, why, mend)


def _scopes(asked: str, server: ServerMetadata, wanted: tuple[str, ...]) -> Check[None]:
    standard = "scopes_supported is recommended (RFC 8414 §2)"
    known = server.scopes_supported
    if known is None:
        came = "no scopes_supported"
        why = "clients that ask for offline_access only where it is listed"
        mend = "List the scopes, offline_access among them if refresh tokens need it"
        yield Finding("issuer.scopes", "warning", asked, came, standard, why, mend)
        return
    strange = [scope for scope in wanted if scope not in known]
    if strange:
        came = f"the resource asks for {' '.join(strange)}, which is not listed here"
        why = "clients that check the list; the authorization server itself, if it means it"
        mend = "List the scope here, or take it out of the resource's metadata and challenge"
        yield Finding("issuer.scopes", "warning", asked, came, standard, why, mend)
        return
    yield Finding("issuer.scopes", "ok", asked, " ".join(known) or "an empty list", standard)


def _registration(asked: str, server: ServerMetadata) -> Finding:
    standard = "client ID metadata documents, or dynamic registration (MCP “Client Registration”)"
    documents, endpoint = server.client_id_metadata_documents, server.registration_endpoint
    if endpoint:
        way = "dynamic registration" + (" and client ID metadata documents" if documents else "")
        mend = "" if documents else "Offer the documents too: they follow on registration"
        level: Level = "ok" if documents else "note"
        return Finding("issuer.clients", level, asked, way, standard, remedy=mend)
    if documents:
        came = "client ID metadata documents only"
        why = "clients that have no such document; this one wants --client-metadata-url"
    else:
        came = "neither of the two"
        why = "every client whose id the operator has not given out; this one wants --client-id"
    mend = "Offer dynamic registration (RFC 7591) too"
    return Finding("issuer.clients", "warning", asked, came, standard, why, mend)
