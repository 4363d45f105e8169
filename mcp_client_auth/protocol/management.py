"""Deleting a registration at the server that gave it a management URI (RFC 7592)."""

from __future__ import annotations

from ..events import Event
from ..origin import is_loopback, same_origin, split
from .flow import Flow, HttpRequest, HttpResponse, send
from .metadata import ServerMetadata
from .registration import Client

_GONE = (200, 204)


def is_manageable(uri: str, server: ServerMetadata) -> bool:
    """Whether a registration's token may be sent there: only to its server, not in clear text."""
    try:
        private = split(uri).scheme == "https" or is_loopback(uri)
    except ValueError:
        return False
    places = (server.registration_endpoint, server.issuer)
    return private and any(place and same_origin(uri, place) for place in places)


def deletion_request(client: Client, *, private: bool = False) -> HttpRequest:
    """RFC 7592 §2.3. `private`: see `HttpRequest`."""
    token = client.management_token.reveal() if client.management_token else ""
    headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
    uri = client.management_uri
    return HttpRequest("DELETE", uri, headers, private=private, to_issuer=True)


def read_deletion(response: HttpResponse) -> bool:
    """Whether the client was deleted; a server is free to answer 405 or 403 (§2.3)."""
    return response.status in _GONE


def unregister(client: Client, *, private: bool = False) -> Flow[bool]:
    """Delete a registration; return whether the server has confirmed it."""
    response = yield from send(deletion_request(client, private=private))
    done = read_deletion(response)
    outcome = "client deleted" if done else "client not deleted"
    where = client.management_uri
    yield Event("revocation", where, response.status, outcome, "RFC 7592 §2.3", response.seconds)
    return done
