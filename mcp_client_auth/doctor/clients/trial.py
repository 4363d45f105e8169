"""A registration with another client's own body, and its end: only where the person asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ...errors import AuthError
from ...protocol.document import parsed
from ...protocol.dynamic_registration import registration_request
from ...protocol.flow import HttpResponse
from ...protocol.metadata import ServerMetadata
from ...protocol.oauth_error import is_passing, read_error
from ...protocol.registration import Client
from ...secret import Secret, quoted
from .. import registration
from .facts import ClientFacts
from .look import Look
from .seen import Trial, strings
from .ways import registration_body

_SECRETS: Final = ("client_secret", "registration_access_token")


def try_registration(
    looking: Look, client: ClientFacts, server: ServerMetadata, scopes: Iterable[str]
) -> Trial | None:
    """Register as the client does and delete what was made; None where its body is not known."""
    body = registration_body(client, scopes)
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
    why = registration.end(looking.exam, server, made)
    return Trial(
        redirect_uris=strings(fields.get("redirect_uris")),
        grant_types=strings(fields.get("grant_types")),
        left_over=f"the client {quoted(made.client_id, 60)} stays registered: {why}" if why else "",
    )


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
