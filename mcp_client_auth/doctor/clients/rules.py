"""What another client would meet here: its facts against what was seen. Pure.

A rule asks for a fact only where the server differs from what every client accepts. Where the
fact is needed and not established, the answer is "unknown", never a guess.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Final, TypeAlias, TypeVar

from ...origin import is_loopback, same_origin, shown, split
from ...protocol.scopes import OFFLINE
from ...protocol.urls import canonical
from .facts import ClientFacts
from .seen import Document, Seen, resource_places, server_places, strings
from .verdict import ClientVerdict, Outcome, Point, enumerated
from .ways import way

T = TypeVar("T")
Rule: TypeAlias = Generator[Point, None, T]


def judge(client: ClientFacts, seen: Seen) -> ClientVerdict:
    points = tuple(sorted(_walk(client, seen), key=lambda point: point.step))
    for outcome in ("fails", "unknown", "setup"):
        if any(point.outcome == outcome for point in points):
            return ClientVerdict(client, outcome, points)
    return ClientVerdict(client, "works", points)


def server_of(client: ClientFacts, seen: Seen) -> Document | None:
    """The metadata of the authorization server that the client comes to."""
    document, _ = _drive(_resource(client, seen))
    return _drive(_server(client, seen, document))[0]


def _walk(client: ClientFacts, seen: Seen) -> Iterator[Point]:
    """Walk the steps of a login as far as they can be followed; a fault does not end the walk if
    the next step can still be seen."""
    yield from _reached(client, seen, seen.url, 1)
    yield from _agents(client, seen)
    yield from _challenge(client, seen)
    document = yield from _resource(client, seen)
    server = yield from _server(client, seen, document)
    yield from _closed(client, seen, document, server)
    yield from _pace(client, seen)
    if server is None:
        return
    yield from _pkce(client, server)
    yield from way(client, seen, server)
    yield from _page(client, seen, server)
    yield from _scopes(client, seen, document, server)
    yield from _iss(client, server)


# -- 1, 2: the request and its challenge ------------------------------------------------------


def _reached(client: ClientFacts, seen: Seen, url: str, step: int) -> Iterator[Point]:
    """Whether the client's network leads to this host, as far as it can be told from here."""
    facts, hosted = ("connects_from", "addresses"), client.get("connects_from") == "cloud"
    if any(same_origin(url, each) for each in seen.untrusted):
        came = f"the certificate of {shown(url)} is not trusted here"
        remedy = "Use a certificate that clients trust, and send its whole chain"
        elsewhere = "" if hosted else "; whether it is trusted where it runs is not known"
        yield Point(step, "fails" if hosted else "unknown", came + elsewhere, remedy, facts[:1])
    if not hosted:
        return
    network = client.facts["connects_from"].detail
    where = f"it connects from the vendor's network ({network})" if network else "it is hosted"
    try:
        parts = split(url)
    except ValueError:
        return
    host = parts.hostname or ""
    if is_loopback(url):
        remedy = "Publish the server under a public name with https"
        yield Point(step, "fails", f"{where}, and {host} is this machine", remedy, facts)
        return
    if parts.scheme != "https":
        yield Point(step, "fails", f"{shown(url)} is not https", "Serve it over https", facts)
    addresses = seen.addresses.get(host, ())
    if not addresses:
        yield Point(step, "unknown", f"{where}; {host} could not be looked up here", "", facts)
        return
    private = [each for each in addresses if not ipaddress.ip_address(each).is_global]
    strict = client.get("addresses") == "all-public-ipv4"
    if private and (strict or len(private) == len(addresses)):
        came = f"{where}; as seen from here {host} is {', '.join(private)}, which is not public"
        remedy = "Give the name public addresses only"
        yield Point(step, "fails", came, remedy, facts)
    elif strict and all(":" in each for each in addresses):
        came = f"{where}, over IPv4 only, and {host} has only IPv6 addresses"
        yield Point(step, "fails", came, "Give the name an IPv4 address (an A record)", facts)


def _agents(client: ClientFacts, seen: Seen) -> Iterator[Point]:
    """A filter that lets our request through and stops one with the client's user agent."""
    for agent in client.get("agents") or ():
        status = seen.agents.get(agent, seen.status)
        if status != seen.status and status >= 400:
            came = f"a request as {agent} gets HTTP {status}, without that HTTP {seen.status}"
            remedy = "Let this user agent through: check the bot rules of the firewall or CDN"
            yield Point(1, "fails", came, remedy, ("agents",))


def _challenge(client: ClientFacts, seen: Seen) -> Iterator[Point]:
    facts = "challenge", "challenge_statuses"
    statuses = client.get("challenge_statuses") or [401]
    if seen.status not in statuses:
        # a 2xx: some servers protect only some calls, and a later one meets the 401
        open_question = seen.status < 300 or (seen.status == 403 and facts[1] not in client.facts)
        came = f"the server answers HTTP {seen.status}; its login begins with a 401"
        remedy = "Answer 401 with a Bearer challenge to a request without a token"
        yield Point(2, "unknown" if open_question else "fails", came, remedy, facts)
    elif not seen.challenged or not seen.named:
        came = "the 401 does not name the resource metadata"
        if client.get("challenge") == "must-name-metadata":
            remedy = (
                "Send WWW-Authenticate: Bearer resource_metadata="
                f'"{resource_places(seen.url, "")["path"][0]}"'
            )
            yield Point(2, "fails", came + ", which it has to", remedy, facts)
        elif "challenge" not in client.facts:
            yield Point(2, "unknown", came, "", facts)


# -- 3, 4: the resource metadata --------------------------------------------------------------


def _resource(client: ClientFacts, seen: Seen) -> Rule[Document | None]:
    """Return the document that the client uses; None if it goes to the server's own origin."""
    found = yield from _resource_found(client, seen)
    if found is None:
        return None
    url, document = found
    resource = document.get("resource")
    if resource == seen.url:
        return document
    kind = client.get("resource_match")
    same = isinstance(resource, str) and bool(kind) and _matches(kind, seen.url, resource)
    if same or kind == "none":
        return document
    named = shown(resource) if isinstance(resource, str) and resource else "missing"
    came = f"resource is {named} in {shown(url)}"
    remedy = f"Set resource to exactly {shown(seen.url)}"
    facts = "resource_match", "resource_mismatch"
    if not kind:
        came += "; whether it compares that with the URL is not established"
        yield Point(4, "unknown", came, remedy, facts)
        return document
    if client.get("resource_mismatch") == "own-origin":
        came += f": it drops the document and signs in at {shown(seen.origin)} itself"
        at_home = any(seen.document(each) for each in server_places(seen.origin).values())
        outcome: Outcome = "note" if at_home and seen.origin in _issuers(document) else "fails"
        yield Point(4, outcome, came, remedy, facts)
        return None
    yield Point(4, "fails", f"{came}, which it refuses: {_COMPARED[kind]}", remedy, facts)
    return document


_COMPARED: Final = {
    "exact": "it has to be the URL, letter by letter",
    "normalised": "it has to be the same URL",
    "without-query": "it has to be the URL without its query",
    "prefix": "it has to be the URL, or a parent of it on the same origin",
    "url-or-origin": "it has to be the URL or its origin",
}


def _matches(kind: str, url: str, resource: str) -> bool:
    if kind == "exact":
        return url == resource
    try:
        ours, theirs = split(url), split(resource)
    except ValueError:
        return False
    if not same_origin(url, resource):
        return False
    path, parent = ours.path or "/", theirs.path or "/"
    if kind == "normalised":
        return (path, ours.query) == (parent, theirs.query)
    if kind == "without-query":
        return path == parent
    if kind == "url-or-origin":
        return parent == "/" or canonical(url) == canonical(resource)
    return (path + "/").startswith(parent.removesuffix("/") + "/")


def _resource_found(client: ClientFacts, seen: Seen) -> Rule[tuple[str, Document] | None]:
    order, likely = client.get("metadata_order"), ""
    places = resource_places(seen.url, seen.named)
    if order is None:  # every client looks at the place on which the header and the path agree
        path = "path" if seen.named in places["path"] else "path?"
        order = ["header?", path, "root?"]
    for place in order:
        name = place.removesuffix("?")
        for url in places[name.partition("-")[0]]:
            elsewhere = name == "header-same-origin" and not same_origin(url, seen.url)
            document = None if elsewhere else seen.document(url)
            if document is not None and not place.endswith("?"):
                return url, document
            likely = likely or (url if document is not None else "")
            if document is None and name == "header-alone":
                came = f"the challenge names {shown(url)}, where there is {seen.came(url)}"
                remedy = "Serve the resource metadata there, or correct the URL in the challenge"
                yield Point(
                    3, "fails", came + "; it looks nowhere else", remedy, ("metadata_order",)
                )
                return None
    first = resource_places(seen.url, "")["path"][0]
    remedy = f"Serve the resource metadata at {shown(first)}"
    if likely:
        document = seen.document(likely)
        came = f"the resource metadata is at {shown(likely)} only"
        if document is not None:
            came += ", where it is not known to look"
            yield Point(3, "unknown", came, remedy, ("metadata_order",))
            return likely, document
    facts = "metadata_order", "without_metadata"
    fallback = client.get("without_metadata")
    if fallback == "own-origin":
        came = f"no resource metadata where it looks: it signs in at {shown(seen.origin)} itself"
        yield Point(3, "note", came, remedy, facts)
    else:
        outcome: Outcome = "fails" if fallback == "fails" else "unknown"
        yield Point(3, outcome, "no resource metadata where it looks", remedy, facts)
    return None


# -- 5, 6: the authorization server's metadata ------------------------------------------------


def _issuers(document: Document | None) -> tuple[str, ...]:
    return strings((document or {}).get("authorization_servers")) or ()


def _server(client: ClientFacts, seen: Seen, resource: Document | None) -> Rule[Document | None]:
    """Return the authorization server's metadata that the client uses."""
    names = _issuers(resource)
    if resource is not None and not names:
        remedy = "List the issuer in authorization_servers"
        yield Point(4, "fails", "the resource metadata names no authorization server", remedy)
        return None
    names = names or (seen.origin,)
    tried = names if client.get("servers_tried") == "each" else names[:1]
    points: list[Point] = []
    for name in tried:
        document, points = _drive(_metadata(client, seen, name, guessed=resource is None))
        if document is not None and not any(point.outcome == "fails" for point in points):
            break
    only = len(tried) == len(names) or "servers_tried" in client.facts
    for point in points:
        if point.outcome != "fails" or only:
            yield point
        else:
            came = f"{point.because}; whether it tries the next one is not established"
            facts = (*point.facts, "servers_tried")
            yield replace(point, outcome="unknown", because=came, facts=facts)
    return document


def _drive(rule: Rule[T]) -> tuple[T, list[Point]]:
    """Return what a rule returns, and the points that it yields."""
    points: list[Point] = []
    while True:
        try:
            points.append(next(rule))
        except StopIteration as stop:
            return stop.value, points


def _metadata(
    client: ClientFacts, seen: Seen, issuer: str, *, guessed: bool
) -> Rule[Document | None]:
    places = server_places(issuer)
    order = client.get("server_order") or ["oauth-inserted", "openid-inserted?", "openid-appended?"]
    found = likely = ""
    for place in order if places else ():
        url = places[place.removesuffix("?")]
        if seen.document(url) is not None:
            found = found or ("" if place.endswith("?") else url)
            likely = likely or url
    url = found or likely
    remedy = f"Serve its metadata at {shown(places['oauth-inserted'])}" if places else ""
    if not url:
        yield _without_server(client, seen, issuer, guessed, remedy)
        return None
    if not found:
        came = f"the metadata of {shown(issuer)} is at {shown(url)} only"
        came += ", where it is not known to look"
        yield Point(5, "unknown", came, remedy, ("server_order",))
    document = seen.document(url) or {}
    if not same_origin(url, seen.url):
        yield from _reached(client, seen, url, 5)
    yield from _issuer(client, issuer, document)
    for name in ("authorization_endpoint", "token_endpoint"):
        endpoint = document.get(name)
        if not isinstance(endpoint, str) or not endpoint:
            yield Point(6, "fails", f"{shown(url)} has no {name}", f"Add {name} to it")
        elif not same_origin(endpoint, url):
            yield from _reached(client, seen, endpoint, 9 if name.startswith("auth") else 12)
    return document


def _without_server(
    client: ClientFacts, seen: Seen, issuer: str, guessed: bool, remedy: str
) -> Point:
    facts = "server_order", "default_endpoints"
    first = server_places(issuer).get("oauth-inserted", "")
    came = f"no metadata of {shown(issuer)} where it looks ({seen.came(first)})"
    assumed = client.get("default_endpoints")
    if guessed and assumed:
        came += ": it assumes /authorize, /token and /register there"
        return Point(5, "unknown", came, remedy, facts)
    unknown = assumed is None and guessed
    return Point(5, "unknown" if unknown else "fails", came, remedy, facts)


def _issuer(client: ClientFacts, expected: str, document: Document) -> Iterator[Point]:
    named, kind = document.get("issuer"), client.get("issuer_match")
    if named == expected or kind == "none":
        return
    came = f"issuer is {shown(named) if isinstance(named, str) and named else 'missing'}"
    came += f" in the metadata of {shown(expected)}"
    remedy = f"Set issuer to exactly {shown(expected)}, as in authorization_servers"
    pathless = isinstance(named, str) and {named, expected} == {
        expected.removesuffix("/"),
        expected.removesuffix("/") + "/",
    }
    if kind is None:
        came += "; whether it compares the two is not established"
        yield Point(6, "unknown", came, remedy, ("issuer_match",))
    elif not (kind == "root-slash" and pathless):
        yield Point(6, "fails", came + ", which it refuses", remedy, ("issuer_match",))


def _pkce(client: ClientFacts, server: Document) -> Iterator[Point]:
    methods = strings(server.get("code_challenge_methods_supported"))
    if methods and "S256" in methods:
        return
    kind = client.get("pkce")
    missing = "code_challenge_methods_supported"
    came = f"{missing} is {' '.join(methods) or 'empty' if methods is not None else 'missing'}"
    remedy = f'Set {missing} to ["S256"]'
    if kind is None:
        came += "; whether it requires S256 is not established"
        yield Point(6, "unknown", came, remedy, ("pkce",))
    elif kind == "required" or (kind == "if-listed" and methods is not None):
        yield Point(6, "fails", f"{came}: it does not start", remedy, ("pkce",))


# -- 9, 11: what is asked for, and what comes back --------------------------------------------


def _page(client: ClientFacts, seen: Seen, server: Document) -> Iterator[Point]:
    trial = seen.trials.get(client.id)
    if trial is None or not trial.page:
        return
    uris = enumerated(client.get("redirect_uris") or ())
    remedy = f"Accept the client and its redirect URIs at the authorization endpoint too: {uris}"
    if server.get("require_pushed_authorization_requests") is True:
        remedy = "Do not require pushed authorization requests: it sends the request in the browser"
    elif trial.page.startswith("invalid_scope"):
        remedy = (
            "Allow every client to request the scopes that the resource metadata or the 401 names"
        )
    came = f"the authorization endpoint refuses it: {trial.page}"
    yield Point(9, "fails", came, remedy, ("redirect_uris", "document"))


def _scopes(
    client: ClientFacts, seen: Seen, resource: Document | None, server: Document
) -> Iterator[Point]:
    order, listed = client.get("scopes"), strings(server.get("scopes_supported"))
    named = {
        "challenge": seen.scopes,
        "resource": strings((resource or {}).get("scopes_supported")) or (),
        "server": listed or (),
    }
    source = next((each for each in order or () if named.get(each)), "")
    if source == "server" and listed and len(listed) > 1:
        came = f"it asks for every scope of the authorization server: {enumerated(listed)}"
        remedy = "List the scopes of everyday use in scopes_supported of the resource metadata"
        if order[0] == "server":
            remedy = "Allow any client to request each scope that scopes_supported lists"
        yield Point(9, "note", came, remedy, ("scopes",))
    elif order and not source:
        came = "nothing names a scope, so it asks for none"
        remedy = "List the scopes of everyday use in scopes_supported of the resource metadata"
        yield Point(9, "note", came, remedy, ("scopes",))
    if client.get("offline_access") == "if-listed" and OFFLINE not in (listed or ()):
        came = "the authorization server does not list offline_access, so it does not ask for it"
        remedy = "List offline_access, or issue refresh tokens without it"
        yield Point(9, "note", came, remedy, ("offline_access",))


def _iss(client: ClientFacts, server: Document) -> Iterator[Point]:
    announced = server.get("authorization_response_iss_parameter_supported") is True
    kind = client.get("iss")
    if kind == "required-if-announced" and announced:
        came = "iss is announced, so it has to come with every answer: only a login shows that"
        yield Point(11, "note", came, "", ("iss",))
    elif kind == "for-one-identity" and not announced:
        came = "without iss each connector has a client and a redirect URI of its own"
        remedy = "Send iss and announce it (RFC 9207), if you allow clients by name"
        yield Point(11, "note", came, remedy, ("iss",))


# -- beside the steps -------------------------------------------------------------------------


def _closed(
    client: ClientFacts, seen: Seen, resource: Document | None, server: Document | None
) -> Iterator[Point]:
    """Report what a client in a page would need, but cannot read or post to."""
    if client.get("cors") not in ("discovery", "needed"):
        return
    issuer = (_issuers(resource) or (seen.origin,))[0]
    places = resource_places(seen.url, seen.named).values()
    steps = {url: 3 for urls in places for url in urls}
    steps |= {seen.url: 1} if client.get("cors") == "needed" else {}
    steps |= dict.fromkeys(server_places(issuer).values(), 5)
    steps[str((server or {}).get("registration_endpoint"))] = 7
    for url, lacks in seen.closed.items():
        if url in steps:
            came = f"it runs in a page, which may not use {shown(url)}: {lacks}"
            remedy = "Send the CORS headers there, with OPTIONS and errors too"
            yield Point(steps[url], "fails", came, remedy, ("cors", "connects_from"))


def _pace(client: ClientFacts, seen: Seen) -> Iterator[Point]:
    limit = client.get("seconds")
    for url, page in seen.pages.items():
        if limit and page.seconds > limit:
            came = f"{shown(url)} took {page.seconds:.0f} s; it waits for {limit:g} s"
            step = 4 if "oauth-protected-resource" in url else 6
            yield Point(step, "fails", came, "Answer faster, also after a cold start", ("seconds",))
