"""An authorization server: its metadata at each place, and what of it a login needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from ..errors import AuthError
from ..origin import origin_url, same_origin, shown, split
from ..protocol.authorization import require_code_grant
from ..protocol.discovery import metadata_request
from ..protocol.document import parsed
from ..protocol.flow import HttpRequest
from ..protocol.metadata import ServerMetadata, default_server_metadata, read_server_metadata
from ..protocol.scopes import OFFLINE
from ..protocol.urls import Issuer as IssuerUrl
from ..protocol.urls import same_issuer
from .exam import Check, Exam
from .metadata_places import Place, Seen, closed_to, judged, look, misplaced, same_document
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
_AGAIN: Final = "people sign in again whenever the access token has expired"
_CLIENTS: Final = (
    "client ID metadata documents, or dynamic registration (MCP “Client Registration”)"
)
_OPENID: Final = f"OpenID Connect Discovery §4, for compatibility; {_DOCUMENT}"
_FIRST_PLACE: Final[tuple[str, Level, str, str]] = (
    f"RFC 8414 §3.1, the first place; {_DOCUMENT}",
    "warning",
    "clients that know RFC 8414 only, as MCP 2025-03-26 and 2025-06-18 have it",
    "server-metadata-absent",
)
_ONE: Final = "one issuer, one set of endpoints (RFC 8414 §2)"
_DEEPEST: Final = 4
_NO_PAGE: Final = (401, 403, 404, 405, 410)


@dataclass(frozen=True, slots=True)
class Issuer:
    """What was learned about one issuer, which was named as `name`. `places`: those that have a
    document. `usable`: a login may use it, and its host is trusted."""

    server: ServerMetadata
    places: tuple[str, ...]
    name: str = ""
    usable: bool = True


def issuer(
    exam: Exam, name: str, *, chosen: ServerMetadata | None, ends: bool, guessed: bool = False
) -> Check[Issuer | None]:
    """Check the metadata at each place. `chosen`: the server that a login chose. `ends`: a login
    ends with a fault that is found here. `guessed`: no one named this issuer (MCP 2025-03-26)."""
    try:
        checked = IssuerUrl.checked(name, "the authorization server", exam.options)
    except AuthError as error:
        standard = "https, no query, no fragment (RFC 8414 §2)"
        yield exam.ask("issuer.url", shown(name), standard).failed(error)
        meant = _meant(exam, name)
        if meant is None:
            return None
        checked = meant  # only looked at: a login ends here
    mine = chosen if chosen and same_issuer(chosen.issuer, name) else None
    if mine is not None and mine.source == "caller":
        return Issuer(mine, (), name)
    read = partial(read_server_metadata, checked, options=exam.options)
    places = list(_places(exam, checked))
    seen = [look(exam, place, read) for place in places]
    found = [each for each in seen if each.absence is None]
    good = [each for each in found if each.value is not None]
    if not found:
        finding = _nowhere(exam, checked, seen, guessed=guessed)
        yield finding
        usable = finding.level != "error" and not exam.is_unproven(checked)
        return Issuer(default_server_metadata(checked), (), name, usable) if guessed else None
    stops = ends and mine is None
    for place, each in zip(places, seen, strict=True):
        reached = stops and each.error is not None
        yield from judged(exam, "issuer.metadata", place, each, lone=False, reached=reached)
        stops = stops and each.absence is not None
    yield from same_document(exam, "issuer.agreement", _ONE, seen)
    server = mine or (good[0].value if good else None) or _otherwise(exam, found)
    if server is None:
        return None
    at = tuple(each.url for each in found)
    proven = not any(exam.is_unproven(url) for url in at)
    named = server.issuer if guessed else name
    return Issuer(server, at, named, proven and (mine is not None or bool(good)))


def _meant(exam: Exam, name: str) -> IssuerUrl | None:
    """The issuer that is named without its https."""
    bare = name.removeprefix("http://")
    with suppress(AuthError, ValueError):
        if "://" not in bare:
            return IssuerUrl.checked(f"https://{bare}", "the authorization server", exam.options)
    return None


def _places(exam: Exam, checked: IssuerUrl) -> Iterator[Place]:
    if exam.options.metadata_url and same_issuer(checked, exam.options.issuer):
        yield Place(exam.options.metadata_url, f"the operator named the place; {_DOCUMENT}")
        return
    first, *others = checked.metadata_places()
    yield Place(first, *_FIRST_PLACE)
    for url in others:
        yield Place(url, _OPENID)


def _otherwise(exam: Exam, found: list[Seen[ServerMetadata]]) -> ServerMetadata | None:
    """Read a document as that of the issuer it names, so that one run reports all that is wrong."""
    for each in found:
        with suppress(AuthError):
            named = each.raw.get("issuer")
            if each.response is not None and isinstance(named, str):
                issuer = IssuerUrl.checked(named, "the issuer", exam.options)
                return read_server_metadata(issuer, each.response, exam.options)
    return None


def _nowhere(
    exam: Exam, name: IssuerUrl, seen: list[Seen[ServerMetadata]], *, guessed: bool
) -> Finding:
    """Where it is guessed: is the assumed sign-in page there? A browser has no header to send."""
    places = f"every place of the metadata of {shown(name)}"
    if not guessed:
        listed = "; ".join(
            f"{each.absence.came} at {split(each.url).path}" for each in seen if each.absence
        )
        standard = f"at least one of the places (RFC 8414 §3; {_DOCUMENT})"
        question = exam.ask("issuer.found", places, standard, name)
        came = f"{shown(name)} has no document anywhere: {listed}"
        belongs = name.metadata_places()[0]
        values = {"issuer": name.shown.removesuffix("/")}
        values |= {"expected": shown(belongs), "expected_path": split(belongs).path}
        absences = [each.absence for each in seen if each.absence]
        closed, told = closed_to(absences)
        if named := _metadata_url(name):
            fault, values["issuer"] = "issuer-metadata-url", named
        elif closed:
            fault = "issuer-http" if closed == "http-urls" else closed
            values |= told
        elif astray := misplaced(exam, _astray(exam, name)):
            fault, url, _ = astray
            came = (
                f"no document anywhere but at {split(url).path}, where no client looks ({listed})"
            )
            values |= {"found": split(url).path, "found_path": split(url).path}
        elif nearby := _nearby(exam, name):
            fault = "issuer-nearby"
            values |= {"named": name.shown, "issuer": nearby}
        else:
            fault = "issuer-absent"
        return question.found("error", fault, came, "everybody", "BadResponse", **values)
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
    question = exam.ask("issuer.found", f"{places}, and GET {shown(page)}", _FALLBACK)
    came = f"no document anywhere, and HTTP {status} at /authorize: nothing says where to log in"
    kind, absences = "RegistrationRefused", [each.absence for each in seen if each.absence]
    fault, _ = closed_to(absences)
    if fault == "metadata-protected" and status in (401, 403):
        return question.found("error", fault, came, "everybody", kind)
    remedy += ". A server that takes an API key needs neither, and no login"
    return question.finding("error", came, "everybody", remedy, kind)


def _metadata_url(name: IssuerUrl) -> str:
    """Return the issuer whose metadata URL was named in its place; empty if none was."""
    before, known, after = name.shown.partition("/.well-known/")
    rest = after.partition("/")[2]
    return before + (f"/{rest}" if rest else "") if known else ""


def _astray(exam: Exam, name: IssuerUrl) -> Iterator[tuple[str, str, str]]:
    """Yield where the usual mistakes put the document of an issuer with a path."""
    path, belongs = split(name).path.rstrip("/"), name.metadata_places()[0]
    if not path:
        return
    yield "metadata-appended", f"{origin_url(name)}{path}{_OAUTH}", belongs
    root = f"{origin_url(name)}{_OAUTH}"
    with suppress(AuthError):
        value = parsed(exam.look(metadata_request(root)))
        if isinstance(value, dict) and value.get("issuer") == name:  # the host may have others
            yield "metadata-at-root", root, belongs


def _nearby(exam: Exam, name: IssuerUrl) -> str:
    """Return the issuer that was meant if one of its endpoints was named, or if Keycloak's old
    prefix was left out; empty if there is none."""
    origin, path = origin_url(name), split(name).path.rstrip("/")
    parents = [path.rsplit("/", at)[0] for at in range(1, min(path.count("/"), _DEEPEST) + 1)]
    for each in (f"/auth{path}", *parents):
        with suppress(AuthError):
            issuer = IssuerUrl.checked(origin + each, "the authorization server", exam.options)
            for place in issuer.metadata_places():
                value = parsed(exam.look(metadata_request(place)))
                named = value.get("issuer") if isinstance(value, dict) else None
                if isinstance(named, str) and same_issuer(named, issuer):
                    return issuer.shown.removesuffix("/")
    return ""


def abilities(
    exam: Exam, known: Issuer, required: tuple[str, ...], *, identified: bool = False
) -> Check[None]:
    """What the metadata promises. `required` are the scopes that the resource names; `identified`:
    the operator has named a client."""
    server = known.server
    if server.source != "metadata":
        return
    requested = f"the metadata of {server.issuer.shown}"
    standard = "identical with the identifier that leads there (RFC 8414 §3.3)"
    question = exam.ask("issuer.identifier", requested, standard, server.issuer)
    if known.name.rstrip("/") == server.issuer.rstrip("/") and known.name != server.issuer:
        long = known.name if known.name.endswith("/") else server.issuer
        holder, other = "authorization_servers", "issuer"
        if long != known.name:
            holder, other = other, holder
        yield question.found(
            "warning",
            "issuer-slash",
            f"{holder} has a slash at the end, {other} has none: {shown(long)}",
            "clients that compare issuers as strings, as RFC 8414 §3.3 has it",
            issuer=long.rstrip("/"),
        )
    else:
        yield question.ok(f"issuer {server.issuer.shown}")
    question = exam.ask("issuer.pkce", requested, _PKCE, server.issuer)
    methods = " ".join(server.code_challenge_methods or ())
    try:
        require_code_grant(server, exam.options)
    except AuthError as error:
        yield question.failed(error)
    else:
        plain = "plain" in methods.split()
        remedy = "Remove “plain” (RFC 9700 §2.1.1)" if plain else ""
        yield question.finding("note" if plain else "ok", f"PKCE {methods}", remedy=remedy)
    endpoints = {
        "authorization": server.authorization_endpoint,
        "token": server.token_endpoint,
        "registration": server.registration_endpoint,
        "revocation": server.revocation_endpoint,
    }
    others = [n for n, url in endpoints.items() if url and not same_origin(url, server.issuer)]
    question = exam.ask("issuer.endpoints", requested, "https, but on loopback (OAuth 2.1 §1.5)")
    for name in others:
        yield question.note(f"the {name} endpoint is on another origin: {shown(endpoints[name])}")
    if not server.revocation_endpoint:
        yield question.note(
            "no revocation endpoint", "a logout cannot end the login at the server (RFC 7009)"
        )
    yield from _offers(exam, requested, server, required)
    yield from _demands(exam, requested, server, identified=identified)


def _offers(
    exam: Exam, requested: str, server: ServerMetadata, required: tuple[str, ...]
) -> Check[None]:
    """Check what may be requested: grants, response types, `iss` and scopes."""
    question, scopes = exam.ask("issuer.grants", requested, _GRANTS), server.scopes_supported
    grants, offline = server.grant_types, OFFLINE in (scopes or ())
    came, again = " ".join(grants or ()) or "an empty list", _AGAIN
    if grants is None:
        came = "grant_types_supported is left out, which stands for authorization_code and implicit"
        yield question.found("note" if offline else "warning", "no-refresh", came, again)
    elif "authorization_code" not in grants:
        came = f"grant_types_supported: {came}"
        yield question.found("warning", "no-code", came, "clients that obey the list")
    elif "refresh_token" not in grants:
        came = f"grant_types_supported: {came}"
        yield question.found("warning", "no-refresh", came, again)
    else:
        yield question.ok("refresh tokens" + (", offline_access" if offline else ""))
    kinds = server.raw.get("response_types_supported")
    if isinstance(kinds, list) and not any("code" in str(kind).split() for kind in kinds):
        standard = "response_types_supported with code (RFC 8414 §2)"
        listed_kinds = " ".join(map(str, kinds)) or "an empty list"
        came = f"the response type code is not listed (response_types_supported: {listed_kinds})"
        question = exam.ask("issuer.responses", requested, standard)
        yield question.found("warning", "no-code", came, "clients that obey the list")
    question = exam.ask("issuer.iss", requested, _ISS)
    if server.iss_promised:
        yield question.ok("iss promised")
    else:
        yield question.found(
            "note",
            "no-iss",
            "iss is not promised (authorization_response_iss_parameter_supported)",
            "clients with several authorization servers, which refuse a response without iss",
        )
    question = exam.ask("issuer.scopes", requested, "scopes_supported is recommended (RFC 8414 §2)")
    listed = frozenset(scopes or ())
    if scopes is None:
        affected = "clients that ask for offline_access only where it is listed"
        remedy = "List the scopes, offline_access among them if refresh tokens need it"
        yield question.note("no scopes_supported", affected, remedy)
    elif unlisted := [scope for scope in required if scope not in listed]:
        remedy = "List the scope here, or remove it from the resource's metadata and challenge"
        if all(part in listed for scope in unlisted for part in scope.split(",")):
            remedy = "Put spaces between the scopes, not commas (RFC 6749 §3.3)"
        yield question.warning(
            f"the resource asks for {' '.join(unlisted)}, which is not listed here",
            "clients that check the list; the authorization server itself, if it means it",
            remedy,
        )
    else:
        yield question.ok("scopes " + (" ".join(scopes) or "none"))


def _demands(
    exam: Exam, requested: str, server: ServerMetadata, *, identified: bool
) -> Check[None]:
    """Check how to get a client, and what is required of one."""
    way = bool(server.registration_endpoint), bool(server.client_id_metadata_documents)
    methods = server.token_auth_methods
    public = methods is None or "none" in methods
    listed = f"token_endpoint_auth_methods_supported: {' '.join(methods or ())}"
    question = exam.ask("issuer.clients", requested, _CLIENTS, server.issuer)
    issuer = server.issuer.removesuffix("/")
    if identified:
        yield question.ok("the client that was named")
    elif way == (True, True):
        yield question.ok("dynamic registration and client ID metadata documents")
    elif way == (True, False):
        came, remedy = "dynamic registration only", "Offer the documents too: they follow on it"
        yield question.note(came, remedy=remedy)
    else:
        fault = "documents-only" if way[1] else "no-client"
        came = "client ID metadata documents only" if way[1] else "neither of the two"
        if way[1] and not public:
            fault, came = "documents-no-public", f"{came}, and no public clients ({listed})"
        affected = "every client without an id from the operator or a document of its own"
        kind = "RegistrationRefused"
        yield question.found("error", fault, came, affected, kind, issuer=issuer)
    if not public and (way[0] or identified):
        standard = "native clients are public (OAuth 2.1 §2.1, RFC 8252 §8.5)"
        yield exam.ask("issuer.public", requested, standard).found(
            "note", "no-public-clients", f"{listed}, without none", "clients that keep no secret"
        )
    if server.par_required:
        standard = "a client may send its request through the browser (RFC 9126 §5)"
        came = "pushed authorization requests (PAR) are required"
        affected = "hardly any MCP client can push its requests"
        yield exam.ask("issuer.par", requested, standard).found(
            "warning", "par-required", came, affected
        )
