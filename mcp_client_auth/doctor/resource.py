"""The protected resource metadata of the MCP server: at each place, and what it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from ..errors import AuthError
from ..origin import origin_url, shown, split
from ..protocol.absence import Absence
from ..protocol.discovery import Discovery, invents, resource_places
from ..protocol.metadata import ResourceMetadata, Vouched, read_resource_metadata
from ..protocol.oauth_error import said
from ..protocol.probe import ServerAnswer
from ..protocol.scopes import OFFLINE
from ..protocol.urls import canonical, well_known
from ..secret import quoted
from .challenge import offline_listed, refuses_host, refuses_inside, wants_certificate
from .exam import Check, Exam
from .metadata_places import Place, closed_to, judged, look, misplaced, same_document
from .report import Level

_MOST_NAMED: Final = 10
_METADATA: Final = "a JSON document with resource and authorization_servers (RFC 9728 §2, §3.2)"

_FOLLOWERS: Final = "all that follow the challenge"
_OF_PATH: Final = "clients that try the well-known place of the path"
_SUFFIX: Final = "oauth-protected-resource"
_ONE: Final = "one resource, one document (RFC 9728 §3.2)"
_DEEPEST: Final = 5
_NOWHERE: Final = ("no_resource_metadata", "no_challenge", "in_front")
_ENDS: Final = (*_NOWHERE, "no_endpoint", "not_an_mcp_server", "redirected")


@dataclass(frozen=True, slots=True)
class Resource:
    """What was found of the resource: the `document` that a login uses, or would use if nothing
    were wrong with it, and the places without one (`tried`). `issuers`: those that any document
    names. `unproven`: only a host that is not trusted names them."""

    document: ResourceMetadata | None = None
    tried: tuple[Absence, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)
    issuers: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    unproven: bool = False


def metadata(
    exam: Exam, answer: ServerAnswer, discovery: Discovery | None, ended: AuthError | None
) -> Check[Resource]:
    """Check the document at each place, and the fields of the one a login uses, or where it ends.

    `discovery`, `ended`: those of the login's own walk. The server's own places are read even if
    the one that it names must not be.
    """
    read = partial(
        read_resource_metadata,
        exam.server_url,
        final_url=answer.url,
        vouched=Vouched.by(exam.options),
    )
    named = answer.challenge.resource_metadata if answer.challenge else ""
    places = list(_places(exam, answer, named))
    seen = [look(exam, place, read) for place in places]
    found = [each for each in seen if each.absence is None]
    stops = ended is not None
    for place, each in zip(places, seen, strict=True):
        reached = stops and each.error is not None
        yield from judged(exam, "resource.metadata", place, each, lone=not found, reached=reached)
        stops = stops and not reached
    yield from same_document(exam, "resource.agreement", _ONE, seen)
    first = next((each for each in found if each.value is not None), None)
    document = (discovery.metadata if discovery else None) or (first.value if first else None)
    raws = [each.raw for each in found if each.raw]
    tried = tuple(each.absence for each in seen if each.absence is not None)
    if document is not None:
        yield from _fields(exam, document)
    elif not found:
        yield from _nowhere(exam, answer, tried, ended)
    issuers = document.authorization_servers if document else _issuers_of(raws)
    return Resource(
        document,
        tried,
        document.raw if document else next(iter(raws), {}),
        tuple(dict.fromkeys(issuers)),
        tuple(each.url for each in found if each.raw),
        bool(found) and all(exam.is_unproven(each.url) for each in found),
    )


def _places(exam: Exam, answer: ServerAnswer, named: str) -> Iterator[Place]:
    try:
        listed = resource_places(exam.server_url, answer, exam.options)
    except AuthError:  # the challenge names one that must not be requested, and that is a finding
        listed = resource_places(exam.server_url, replace(answer, challenge=None), exam.options)
    known = False
    for url, rule in listed.items():
        place = Place(url, f"{_METADATA}; {rule}")
        if url == named:
            place = replace(
                place, missing="warning", stumbles=_FOLLOWERS, fault="challenge-nowhere"
            )
            known = True
        elif not known and not split(url).path.endswith("oauth-protected-resource"):
            place = replace(place, missing="warning", stumbles=_OF_PATH)
        yield place


def _issuers_of(raws: list[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the issuers in documents that a login cannot use: an operator needs to know them."""
    names: list[str] = []
    for raw in raws:
        value = raw.get("authorization_servers")
        listed = value.split() if isinstance(value, str) else value
        names += [each for each in listed if isinstance(each, str)] if listed else []
    return tuple(names)


def _nowhere(
    exam: Exam, answer: ServerAnswer, tried: tuple[Absence, ...], ended: AuthError | None
) -> Check[None]:
    """No document: the path of MCP 2025-03-26, or the end of a login in its own words."""
    question = exam.ask(
        "resource.found",
        "every place of the resource metadata",
        "an MCP server has resource metadata (MCP “Authorization Server Location”)",
    )
    level: Level = "error" if ended and ended.code in _NOWHERE else "warning"
    kind = type(ended).__name__ if ended and level == "error" else ""
    came = "no document anywhere"
    listed = "; ".join(f"{each.came} at {split(each.url).path}" for each in tried)
    closed, told = closed_to(tried)
    if astray := misplaced(exam, _astray(exam)):
        fault, url, belongs = astray
        came = f"{came} but at {split(url).path}, where no client looks ({listed})"
        values = {"found": split(url).path, "expected": shown(belongs)}
        mount, path = split(url).path.partition("/.well-known/")[0], split(belongs).path
        below = path.partition(_SUFFIX)[2].removeprefix(mount) or "/"
        values |= {"mount": mount, "below": below, "expected_path": path}
        values |= {"found_path": split(url).path}
        affected = "every client that keeps to the standard"
        yield question.found(level, fault, came, affected, kind, **values)
    elif exam.options.issuer or (ended is None and invents(answer, list(tried))):
        if not exam.options.issuer:
            came += ": the path of MCP 2025-03-26 is tried"
        fault, affected = closed or "metadata-absent", "clients of MCP 2025-06-18 on"
        yield question.found("warning", fault, came, affected, **told)
    elif level == "error" and answer.challenge and ended:
        affected = "every client that keeps to the standard"
        came, fault = f"{came}: {listed}", closed or "metadata-absent"
        yield question.found("error", fault, came, affected, kind, **told)
    elif ended is not None and ended.code in _ENDS:
        made = question.failed(ended)
        if ended.code == "no_challenge" and all(each.status == 401 for each in tried):
            made = question.found("error", "in-front", ended.summary, made.stumbles, made.error)
        if ended.code == "not_an_mcp_server" and refuses_inside(answer):
            made = question.found("error", "no-401", ended.summary, made.stumbles, made.error)
        if wants_certificate(answer):
            fault = "client-certificate"
            made = question.found("error", fault, ended.summary, made.stumbles, made.error)
        if refuses_host(answer):
            words = said(answer.response)
            why = f"{ended.summary}: {quoted(words)}" if words else ended.summary
            made = question.found("error", "host-refused", why, made.stumbles, made.error)
        if answer.led_to:
            came = f"HTTP {answer.status} to {shown(answer.led_to)}"
        yield replace(made, came=f"{came}: {made.came}")


def _astray(exam: Exam) -> Iterator[tuple[str, str, str]]:
    """Yield where the usual mistakes put the document: after the path, or below a mount prefix."""
    origin, path = origin_url(exam.server_url), split(exam.server_url).path.rstrip("/")
    belongs = well_known(exam.server_url, _SUFFIX)
    parts = path.split("/")[1:]
    for at in range(1, min(len(parts), _DEEPEST)):
        mount, rest = "/" + "/".join(parts[:at]), "/" + "/".join(parts[at:])
        for tail in dict.fromkeys((rest, path, "")):
            yield "metadata-mounted", f"{origin}{mount}/.well-known/{_SUFFIX}{tail}", belongs
    if path:
        yield "metadata-appended", f"{origin}{path}/.well-known/{_SUFFIX}", belongs


def _fields(exam: Exam, document: ResourceMetadata) -> Check[None]:
    requested, resource = f"GET {shown(document.url)}", document.resource
    standard = "the identifier that the well-known URL was made from (RFC 9728 §3.3)"
    question = exam.ask("resource.identifier", requested, standard, document.url)
    typed = exam.server_url
    if resource == typed:
        yield question.ok("resource equals the URL")
    else:
        difference = "a parent of the URL"
        if resource == typed + "/" or typed == resource + "/":
            difference = "a trailing slash apart from the URL"
        elif canonical(resource) == canonical(typed):
            difference = "the URL in another spelling"
        yield question.found(
            "warning",
            "resource-spelling",
            f"resource is {shown(resource)}, {difference}",
            "clients that compare strings; authorization servers that know one spelling only",
        )
    servers = document.authorization_servers
    listed = ", ".join(map(shown, servers[:_MOST_NAMED]))
    standard = "at least one issuer (RFC 9728 §2, MCP “Authorization Server Location”)"
    question = exam.ask("resource.servers", requested, standard)
    if len(servers) > 1:
        yield question.note(listed, "clients that take the first only")
    else:
        yield question.ok(listed)
    standard = "scopes_supported is recommended (RFC 9728 §2, MCP “Scope Selection Strategy”)"
    question, scopes = exam.ask("resource.scopes", requested, standard), document.scopes_supported
    if scopes is None:
        affected = "clients that need to name a scope do not know which"
        yield question.note("no scopes_supported", affected, "List the scopes of ordinary use")
    elif not scopes:
        yield question.note(
            "scopes_supported is empty: no scope is requested",
            "clients that send an empty scope, which a strict authorization server refuses",
            "List a scope, or leave the field out",
        )
    elif OFFLINE in scopes:
        yield offline_listed(exam, "resource.scopes", requested)
    else:
        yield question.ok(" ".join(scopes))
    if document.dpop_required:
        standard = "a client may have no keys (RFC 9449 §5.1)"
        came = "dpop_bound_access_tokens_required: Bearer tokens are refused"
        affected = "hardly any MCP client can do DPoP"
        yield exam.ask("resource.dpop", requested, standard).found(
            "warning", "dpop-required", came, affected
        )
    methods = document.raw.get("bearer_methods_supported")
    if isinstance(methods, list) and "header" not in methods:
        standard = "the token goes in the Authorization header (MCP “Token Requirements”)"
        came = f"bearer_methods_supported: {', '.join(map(str, methods)) or 'an empty list'}"
        remedy = "List “header”, or leave the field out"
        question = exam.ask("resource.methods", requested, standard)
        yield question.warning(came, "clients that obey the list", remedy)
