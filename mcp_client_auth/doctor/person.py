"""A complete login, with a person, and what only its tokens show: that they are for this server
and can be renewed, and that forged ones are refused.

Nothing is kept: tokens are revoked, and the client is deleted. A token goes into a header only.
"""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ..errors import AuthError
from ..grants.base import LoginConfig, Ports
from ..grants.probe import answer_to, naming_redirect, require_covered
from ..grants.revocation import sign_out
from ..grants.selection import grant_of
from ..origin import shown
from ..protocol.jose import claims_of
from ..protocol.probe import probe_request
from ..session.steps import log_in
from ..storage.memory import MemoryStorage
from . import registration
from .exam import Check, Exam
from .stored_login import accepted, audience

if TYPE_CHECKING:
    from ..credential import Credential
    from ..prompt.base import Prompt
    from ..protocol.metadata import ServerMetadata

_RENEWS: Final = "new tokens for the refresh token (RFC 6749 §6)"
_REFUSES: Final = "401 to a token that is not valid (RFC 6750 §3.1, MCP “Token Handling”)"
_UNSIGNED: Final = "401 to a token with alg=none (RFC 8725 §2.1, §3.2)"
_ANYBODY: Final = "everybody: anyone gets in with a token of their own making"


@dataclass(slots=True)
class SignedIn:
    """The result of a login, and the config and ports that it was made with."""

    credential: Credential
    config: LoginConfig
    ports: Ports


def sign_in(exam: Exam, config: LoginConfig, prompt: Prompt) -> SignedIn | AuthError:
    """The whole login, on the caller's thread, where the terminal and Ctrl-C belong."""
    ports = Ports(MemoryStorage(), exam)
    try:
        answer = answer_to(config, ports, None)
        require_covered(config.server_url, answer)
        with naming_redirect(answer):
            credential = log_in(config, ports, prompt, answer)
    except AuthError as error:
        return error
    tokens, client = credential.tokens, credential.client
    held = tokens.access_token, tokens.refresh_token, client.secret, client.management_token
    exam.secrets += [secret for secret in held if secret]
    return SignedIn(credential, config, ports)


def checks(exam: Exam, done: SignedIn, server: ServerMetadata) -> Check[None]:
    """What its tokens show; then they are revoked, and the client is deleted."""
    try:
        yield replace(accepted(exam, done.credential), check="person.token")
        yield replace(audience(exam, done.credential), check="person.audience")
        yield from _renewed(exam, done)
        yield from _forged(exam, done.credential)
    finally:
        sign_out(done.ports, done.credential, done.config.identity, [])
        if done.credential.client.kind == "dynamic":
            registration.end(exam, server, done.credential.client)


def _renewed(exam: Exam, done: SignedIn) -> Check[None]:
    credential = done.credential
    requested = f"POST {shown(credential.token_endpoint)}, the refresh token"
    question = exam.ask("person.refresh", requested, _RENEWS, credential.token_endpoint)
    again = "people sign in again whenever the access token has expired"
    if credential.tokens.refresh_token is None:
        yield question.found("warning", "no-refresh", "no refresh token came", again)
        return
    try:
        tokens = grant_of(done.config).renew(done.config, done.ports, credential)
    except AuthError as error:
        yield question.found("warning", "refresh-fails", error.summary, again)
        return
    exam.secrets += [each for each in (tokens.access_token, tokens.refresh_token) if each]
    fresh = replace(credential, tokens=tokens)
    done.ports.storage.save(fresh)
    done.credential = fresh
    yield replace(accepted(exam, fresh), check="person.refresh")


def _forged(exam: Exam, credential: Credential) -> Check[None]:
    """Try a token of random letters, and an unsigned one with the claims of a real one."""
    claims: dict[str, Any] = dict(claims_of(credential.tokens.access_token) or {})
    claims = claims or {"iss": credential.issuer, "aud": credential.resource, "sub": "nobody"}
    unsigned = f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}."
    forged = {
        "person.random_token": (secrets.token_urlsafe(32), "a random token", _REFUSES),
        "person.unsigned_token": (unsigned, "an unsigned token (alg=none)", _UNSIGNED),
    }
    url = exam.endpoint
    for check, (token, what, standard) in forged.items():
        question = exam.ask(check, f"POST {shown(url)} with {what}", standard, url)
        proof = {"Authorization": f"Bearer {token}"}
        response = exam.send(replace(probe_request(url, proof), repeatable=False))
        if 200 <= response.status < 300:
            came = f"HTTP {response.status} for {what}"
            yield question.found("warning", "token-unchecked", came, _ANYBODY)
        else:
            yield question.ok(f"{what} is refused (HTTP {response.status})")


def _part(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
