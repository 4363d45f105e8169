"""What a server answers another client: to a registration with its own body, which is deleted
again, and at the sign-in page, whose answer is not followed. Only if the operator asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from ...errors import AuthError
from ...protocol.document import described, parsed
from ...protocol.dynamic_registration import registration_request
from ...protocol.flow import HttpRequest, HttpResponse
from ...protocol.metadata import ServerMetadata
from ...protocol.oauth_error import is_passing, read_error
from ...protocol.registration import Client
from ...secret import Secret, quoted
from .. import registration
from .facts import ClientFacts
from .look import Look
from .seen import Seen, Trial, strings
from .ways import registration_body, sent_uris

_CHALLENGE: Final = "E9Melhoa2OwvFrEMTJguCHaoeGmyCuWhvTnuF-QsGIY"  # of the verifier in RFC 7636
_NO_REFUSAL: Final = (401, 403)  # a page for a password, or of something in front
_SECRETS: Final = ("client_secret", "registration_access_token")


def try_document(
    looking: Look, client: ClientFacts, server: ServerMetadata, seen: Seen
) -> Trial | None:
    """Ask the sign-in page as the client that its published document describes."""
    document: Mapping[str, Any] = client.get("document") or {}
    if "url" not in document or not sent_uris(client):
        return None
    return Trial(page=_page(looking, client, server, document["url"], seen))


def try_own(looking: Look, client: ClientFacts, server: ServerMetadata, seen: Seen) -> Trial | None:
    """Ask the sign-in page as the client that a person would enter by hand."""
    if not sent_uris(client):
        return None
    return Trial(page=_page(looking, client, server, seen.client_id, seen))


def try_registration(
    looking: Look, client: ClientFacts, server: ServerMetadata, seen: Seen
) -> Trial | None:
    """Register as the client does and delete what was made; None where its body is not known."""
    body = registration_body(client, seen.resource_scopes)
    if body is None:
        return None
    try:
        response = looking.send(registration_request(server, body, looking.exam.options))
    except AuthError as error:
        return Trial(error.summary, passing=True)
    answer = parsed(response)
    fields: Mapping[str, Any] = answer if isinstance(answer, dict) else {}
    secrets = {name: Secret(fields[name]) for name in _SECRETS if _text(fields, name)}
    looking.exam.secrets += secrets.values()
    if refused := _refused(response, fields):
        return Trial(refused, read_error(fields).code, is_passing(response.status))
    made = Client(
        client_id=_text(fields, "client_id"),
        issuer=server.issuer,
        kind="dynamic",
        method="none",
        management_uri=_text(fields, "registration_client_uri"),
        management_token=secrets.get("registration_access_token"),
    )
    page = _page(looking, client, server, made.client_id, seen)
    why = registration.end(looking.exam, server, made)
    return Trial(
        redirect_uris=strings(fields.get("redirect_uris")),
        grant_types=strings(fields.get("grant_types")),
        page=page,
        left_over=f"the client {quoted(made.client_id, 60)} stays registered: {why}" if why else "",
    )


def _page(
    looking: Look, client: ClientFacts, server: ServerMetadata, client_id: str, seen: Seen
) -> str:
    """Why the authorization endpoint refuses the client; empty where it does not."""
    redirect_uri, endpoint = sent_uris(client)[0], server.authorization_endpoint
    if not endpoint:
        return ""
    scopes = " ".join(seen.scopes or seen.resource_scopes)
    fields = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "code_challenge": _CHALLENGE,
        "code_challenge_method": "S256",
        "state": "made-up-state",
        "resource": seen.url,
        **({"scope": scopes} if scopes else {}),
    }
    url = endpoint.with_query(fields.items())
    headers = {"Accept": "text/html,application/xhtml+xml"}
    try:
        looking.exam.check(url)
        page = looking.send(HttpRequest("GET", url, headers, redirects=False))
    except AuthError:
        return ""  # an error of the network or an address says nothing about this client
    target, _, query = page.header("location").partition("?")
    if 300 <= page.status < 400 and target == redirect_uri:
        error = read_error(dict(parse_qsl(query.partition("#")[0])))
        return f"{error.code}{error.ending}" if error.code else ""
    if page.status < 400 or page.status in _NO_REFUSAL or is_passing(page.status):
        return ""
    return f"HTTP {page.status} with {described(page)}"


def _refused(response: HttpResponse, fields: Mapping[str, Any]) -> str:
    error = read_error(fields)
    if error.code:
        return f"HTTP {response.status}, {error.code}{error.ending}"
    if response.status not in (200, 201):
        return f"HTTP {response.status}"
    return "" if _text(fields, "client_id") else "the answer has no client_id"


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
