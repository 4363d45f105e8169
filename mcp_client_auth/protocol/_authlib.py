"""The parts of Authlib that are used, behind types; imported late because they are heavy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def s256(verifier: str) -> str:
    """RFC 7636 §4.2."""
    from authlib.oauth2 import rfc7636

    challenge: Any = rfc7636.create_s256_code_challenge
    return str(challenge(verifier))


def token_body(grant_type: str, fields: Sequence[tuple[str, str]]) -> str:
    """RFC 6749 §4.1.3 and §6, form-encoded."""
    from authlib.oauth2.rfc6749.parameters import prepare_token_request

    return str(prepare_token_request(grant_type, body="", **dict(fields)))


def revocation_body(token: str, hint: str) -> str:
    """RFC 7009 §2.1."""
    from authlib.oauth2.rfc7009 import prepare_revoke_token_request

    body, _ = prepare_revoke_token_request(token, hint, "", {})
    return str(body)


def with_client(method: str, client_id: str, secret: str, url: str, body: str) -> str:
    """The body with the client in it, for the methods none and client_secret_post (§2.3.1)."""
    from authlib.oauth2.auth import ClientAuth

    auth: Any = ClientAuth(client_id, secret, method)
    _, _, answer = auth.prepare("POST", url, {}, body)
    return str(answer)


def with_fields(body: str, fields: Sequence[tuple[str, str]]) -> str:
    """The form with more fields."""
    from authlib.common.urls import add_params_to_qs

    return str(add_params_to_qs(body, list(fields)))


def form(fields: Sequence[tuple[str, str]]) -> str:
    """The fields form-encoded."""
    from authlib.common.urls import url_encode

    return str(url_encode(list(fields)))
