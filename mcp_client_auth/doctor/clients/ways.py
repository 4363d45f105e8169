"""How a client gets a client id at an authorization server, and what it would register. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ...secret import quoted
from .facts import ClientFacts
from .seen import Document, Seen, Trial, strings
from .verdict import Outcome, Point, enumerated

_FLAG: Final = "client_id_metadata_document_supported"


def way(client: ClientFacts, seen: Seen, server: Document) -> Iterator[Point]:
    """A metadata document, registration, or a client id by hand; the first that the client has."""
    ways, registering = client.get("ways"), bool(server.get("registration_endpoint"))
    if ways is None:
        if not registering:
            yield _by_hand(client, seen)
        else:
            yield Point(7, "unknown", "how it gets a client is not established", "", ("ways",))
        return
    if "document" in ways and server.get(_FLAG) is True:
        document: Mapping[str, Any] = client.get("document") or {}
        methods = " or ".join(document.get("methods", ()))
        remedy = f"List {methods} in token_endpoint_auth_methods_supported"
        taken = strings(server.get("token_endpoint_auth_methods_supported"))  # RFC 8414 §2
        listed = bool({*document.get("methods", ())} & {*(taken or ())})
        if listed or "methods" not in document.get("requires", ()):
            came = f"it uses its document {document.get('url', '')}"
            unlisted = f", and authenticates with {methods}, which is not listed"
            yield Point(7, "works", came + ("" if listed else unlisted), "", ("document", "ways"))
            return
        falls = "registers instead" if registering and "registration" in ways else "has none"
        came = f"its metadata document needs {methods} among the methods; it {falls}"
        yield Point(7, "note", came, remedy, ("document",))
    if "registration" in ways and registering:
        yield from _registration(client, seen)
    else:
        yield _by_hand(client, seen)


def _by_hand(client: ClientFacts, seen: Seen) -> Point:
    facts = "own_client", "redirect_uris", "ways"
    came = "no client is available to it here"
    where, uris = client.get("own_client"), client.get("redirect_uris") or ()
    allow = f", with the redirect URI {enumerated(uris)}" if uris else ""
    offer = "offer registration (RFC 7591) or client ID metadata documents"
    if where and seen.client_id:
        came = f"a person enters the client id {quoted(seen.client_id, 60)} ({where})"
        return Point(7, "works", came, "", facts)
    if where:
        came += f"; a person enters a client id ({where})"
        return Point(7, "setup", came, f"Register a client for it{allow}, or {offer}", facts)
    came += "; whether a person can enter a client id is not established"
    return Point(7, "unknown", came, offer[0].upper() + offer[1:], facts)


def _registration(client: ClientFacts, seen: Seen) -> Iterator[Point]:
    uris = client.get("redirect_uris")
    trial = seen.trials.get(client.id)
    facts = "registration", "redirect_uris", "registration_answer"
    if trial is None:
        came = f"it registers{f' with {enumerated(uris)}' if uris else ''}"
        if registration_body(client) is None:
            yield Point(8, "unknown", f"{came}; what it sends is not established", "", facts)
        else:
            yield Point(8, "unknown", f"{came}: not tried", "--register tries it", facts)
        return
    if trial.refused:
        yield _refused(client, trial, facts)
        return
    faults = list(_answer_faults(client, trial, facts))
    yield from faults
    if not faults:
        came = f"its registration with {enumerated(uris or ())} is accepted"
        yield Point(8, "works", came, "", facts)
    if trial.left_over:
        yield Point(8, "note", trial.left_over, "Delete it at the authorization server")


def _refused(client: ClientFacts, trial: Trial, facts: tuple[str, ...]) -> Point:
    if trial.passing:
        return Point(
            8, "unknown", f"its registration met {trial.refused}", "Try again later", facts
        )
    if trial.code == "invalid_redirect_uri":
        uris = enumerated(client.get("redirect_uris") or ())
        remedy = f"Accept its redirect URIs in a registration: {uris}"
    elif trial.code:
        remedy = f"Accept its registration: {_fields(client)}"
    else:  # managed rules against SSRF refuse a body with an address of loopback in it
        remedy = (
            "Look at what answers in front of the registration endpoint, for this is not an OAuth"
            " answer: firewall rules refuse bodies that name 127.0.0.1 or localhost"
        )
    if where := client.get("own_client"):
        remedy += f"; or register a client for people to enter ({where})"
    return Point(8, "fails", f"its registration is refused: {trial.refused}", remedy, facts)


def _answer_faults(client: ClientFacts, trial: Trial, facts: tuple[str, ...]) -> Iterator[Point]:
    """Report what the client requires of the answer that registers it, but does not get."""
    required = client.get("registration_answer") or ()
    dropped = [each for each in sent_uris(client) if each not in (trial.redirect_uris or (each,))]
    if dropped:
        came = f"the answer to its registration leaves out {enumerated(dropped)}"
        outcome: Outcome = "fails" if "redirect_uris" in required else "unknown"
        yield Point(8, outcome, came, "Keep every redirect URI, or refuse the registration", facts)
    if "refresh_token" in required and "refresh_token" not in (trial.grant_types or ()):
        given = "no grant_types"
        if trial.grant_types is not None:
            given = f"the grant_types {' '.join(trial.grant_types) or 'of an empty list'}"
        came = f"the answer to its registration has {given}; it requires refresh_token"
        yield Point(8, "fails", came, "Answer with refresh_token among the grant_types", facts)


def _fields(client: ClientFacts) -> str:
    """Return what a server may dislike in its registration, besides the redirect URIs."""
    body = registration_body(client) or {}
    names = "token_endpoint_auth_method", "application_type", "grant_types", "scope"
    found = {name: body[name] for name in names if name in body}
    words = {n: " ".join(v) if isinstance(v, list) else v for n, v in found.items()}
    return ", ".join(f"{name} “{word}”" for name, word in words.items())


def sent_uris(client: ClientFacts) -> tuple[str, ...]:
    """Return its redirect URIs as it might send them, with a sample port and id filled in."""
    return tuple(
        uri.replace("{port}", "49152").replace("{id}", "AbCdEfGhIjKl")
        for uri in client.get("redirect_uris") or ()
    )


def registration_body(
    client: ClientFacts, resource_scopes: Iterable[str] = ()
) -> dict[str, Any] | None:
    """The body of its registration; None where that is not established."""
    body, uris = client.get("registration"), sent_uris(client)
    if body is None or not uris:
        return None
    body = {**body, "redirect_uris": list(uris)}
    kind, scope = body.pop("scope", None), " ".join(resource_scopes)
    if kind is not None and (scope or kind == "{resource-or-empty}"):
        body["scope"] = scope
    return body
