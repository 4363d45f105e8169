"""The protected resource metadata of the MCP server: at each place, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from ..errors import AuthError
from ..origin import shown, split
from ..protocol.absence import Absence, no_authorization_server
from ..protocol.discovery import invents, resource_metadata, resource_places
from ..protocol.metadata import ResourceMetadata, Vouched, read_resource_metadata
from ..protocol.probe import ServerAnswer
from ..protocol.scopes import OFFLINE
from ..protocol.urls import canonical
from .challenge import offline_listed
from .exam import Check, Exam
from .metadata_places import Place, look

_MOST_NAMED: Final = 10
_METADATA: Final = "a JSON document with resource and authorization_servers (RFC 9728 §2, §3.2)"

_FOLLOWERS: Final = "all that follow the challenge"
_NAMED: Final = "Serve the document there, or name its place"
_OF_PATH: Final = "clients that try the well-known place of the path"
_SERVE: Final = "Serve the document at this place"


@dataclass(frozen=True, slots=True)
class Resource:
    """What a login gets of the resource: metadata, the error that it ends with, or nothing."""

    taken: ResourceMetadata | AuthError | None = None
    tried: tuple[Absence, ...] = ()


def metadata(exam: Exam, answer: ServerAnswer) -> Check[Resource]:
    """The document at each place, the fields of the one that a login takes, or where it ends."""
    tried: list[Absence] = []
    taken: ResourceMetadata | AuthError | None
    try:
        taken = exam.follow(resource_metadata(exam.server_url, answer, exam.options, tried))
    except AuthError as error:
        taken = error
    read = partial(
        read_resource_metadata,
        exam.server_url,
        final_url=answer.url,
        vouched=Vouched.by(exam.options),
    )
    named = answer.challenge.resource_metadata if answer.challenge else ""
    known = broken = False
    for url, rule in resource_places(exam.server_url, answer, exam.options).items():
        place = Place(url, f"{_METADATA}; {rule}")
        if url == named:
            place = replace(place, missing="warning", stumbles=_FOLLOWERS, remedy=_NAMED)
        elif not known and split(url).path.endswith("oauth-protected-resource"):
            place = replace(place, remedy=_SERVE)
        elif not known:
            place = replace(place, missing="warning", stumbles=_OF_PATH, remedy=_SERVE)
        reached = isinstance(taken, AuthError) and not broken
        seen = yield from look(exam, "resource.metadata", place, read, reached=reached)
        broken = broken or isinstance(seen, AuthError)
        known = known or seen is not None
    if isinstance(taken, ResourceMetadata):
        yield from _fields(exam, taken)
    elif taken is None:
        yield from _nowhere(exam, answer, tried)
    return Resource(taken, tuple(tried))


def _nowhere(exam: Exam, answer: ServerAnswer, tried: list[Absence]) -> Check[None]:
    """No document: the path of MCP 2025-03-26, or the end of a login in its own words."""
    question = exam.ask(
        "resource.found",
        "every place of the resource metadata",
        "an MCP server has resource metadata (MCP “Authorization Server Location”)",
    )
    if exam.options.issuer or invents(answer, tried):
        came = "no document anywhere"
        if not exam.options.issuer:
            came += ": the path of MCP 2025-03-26 is tried"
        remedy = "Serve the document of RFC 9728 at the well-known place of the path"
        yield question.warning(came, "clients of MCP 2025-06-18 and later", remedy)
    elif answer.status != 429 and answer.status < 500:  # otherwise challenge.status is an error
        error = exam.follow(no_authorization_server(exam.server_url, answer, tried))
        if error.code == "login_not_required":
            yield question.note(f"none: {error.summary}")
        else:
            ended = question.failed(error)
            yield replace(ended, came=f"no document anywhere: {ended.came}")


def _fields(exam: Exam, document: ResourceMetadata) -> Check[None]:
    requested, resource = f"GET {shown(document.url)}", document.resource
    standard = "the identifier that the well-known URL was made from (RFC 9728 §3.3)"
    question, typed = exam.ask("resource.identifier", requested, standard), exam.server_url
    if resource == typed:
        yield question.ok("resource equals the URL")
    else:
        difference = "a parent of the URL"
        if resource == typed + "/" or typed == resource + "/":
            difference = "a trailing slash apart from the URL"
        elif canonical(resource) == canonical(typed):
            difference = "the URL in another spelling"
        yield question.warning(
            f"resource is {shown(resource)}, {difference}",
            "clients that compare strings; authorization servers that know one spelling only",
            "Let resource be, letter by letter, the URL that people are given",
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
        yield question.warning("no scopes_supported", affected, "List the scopes of ordinary use")
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
    methods = document.raw.get("bearer_methods_supported")
    if isinstance(methods, list) and "header" not in methods:
        standard = "the token goes in the Authorization header (MCP “Token Requirements”)"
        came = f"bearer_methods_supported: {', '.join(map(str, methods)) or 'an empty list'}"
        remedy = "List “header”, or leave the field out"
        question = exam.ask("resource.methods", requested, standard)
        yield question.warning(came, "clients that obey the list", remedy)
