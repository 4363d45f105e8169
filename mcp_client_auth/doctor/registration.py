"""What became of the clients that were registered for a trial: judged, and deleted again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ..errors import AuthError
from ..origin import same_origin, shown
from ..protocol.management import deletion_request
from ..protocol.metadata import ServerMetadata
from ..protocol.registration import Client
from ..secret import quoted
from .exam import Check, Exam

_RESPONSE: Final = "201 with a client_id (RFC 7591 §3.2.1)"
_END: Final = "204 to a DELETE of registration_client_uri (RFC 7592 §2.3)"


def not_tried(exam: Exam, server: ServerMetadata) -> Check[None]:
    requested = f"POST {server.registration_endpoint.shown}"
    question = exam.ask("registration.answer", requested, _RESPONSE)
    yield question.note("registration not tried", remedy="--register tries it")


def tried(exam: Exam, server: ServerMetadata, clients: Sequence[Client]) -> Check[None]:
    """Judge the clients that a login's own registration made, and delete them."""
    endpoint = server.registration_endpoint
    requested = f"POST {endpoint.shown}, a public native client"
    for client in clients:
        exam.secrets += [s for s in (client.secret, client.management_token) if s]
        question = exam.ask("registration.answer", requested, _RESPONSE, endpoint)
        status = exam.created.get(endpoint, 201)
        came = f"{endpoint.shown}: a client with the authentication {client.method}"
        if status != 201:
            answered = f"HTTP {status}, not 201, for a client that was registered"
            affected = "clients that accept only 201"
            yield question.found("warning", "registration-status", answered, affected)
        elif client.secret:
            remedy = "Honour token_endpoint_auth_method “none” for native clients (OAuth 2.1 §2.1)"
            yield question.note(came, "clients that cannot keep a secret", remedy)
        else:
            yield question.ok(came)
        question = exam.ask("registration.end", "the way to delete the trial client", _END)
        if client.management_uri:
            question = replace(question, requested=f"DELETE {shown(client.management_uri)}")
        if why := end(exam, server, client):
            yield question.note(
                f"the client {quoted(client.client_id, 60)} stays registered: {why}",
                remedy="Delete it at the authorization server if it disturbs",
            )
        else:
            yield question.ok("HTTP 204, deleted")


def end(exam: Exam, server: ServerMetadata, client: Client) -> str:
    """Delete a trial client again (RFC 7592 §2.3); return why it stays, empty if it does not."""
    if not client.management_uri or client.management_token is None:
        return "the response names no way to delete it, or one on another origin"
    if not same_origin(client.management_uri, server.registration_endpoint):
        # the token belongs to the server that issued it, not to another one that it names
        return "registration_client_uri is on another origin"
    try:
        status = exam.send(deletion_request(client)).status
    except AuthError as error:
        return error.summary
    return "" if status == 204 else f"HTTP {status}"
