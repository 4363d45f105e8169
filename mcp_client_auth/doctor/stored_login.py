"""The login that is stored for this server, if there is one: is it accepted, and meant here?

The token is sent to the server that it is for, and shown to no one.
"""

from __future__ import annotations

from typing import Final

from ..credential import Credential, Key
from ..errors import AuthError
from ..grants.base import Ports
from ..grants.probe import send_probe
from ..origin import shown
from ..protocol.jose import claims_of
from ..protocol.urls import ServerUrl, canonical, same_issuer
from ..storage import Storage
from ..storage.memory import MemoryStorage
from .exam import Check, Exam
from .report import Finding

_AUDIENCE: Final = "the token is for this server (RFC 8707 §2, MCP “Token Audience Binding”)"
_NAMED: Final = "one that the server names (RFC 9728 §2)"
_ACCEPTED: Final = "a response other than 401 (RFC 6750 §3.1)"


def login(exam: Exam, storage: Storage, key: Key, issuers: tuple[str, ...]) -> Check[None]:
    """Check the stored login. `issuers`: those that the server names now."""
    question = exam.ask("login.stored", "the login that is stored for this server")
    try:
        entry = storage.summary(key)
        credential = storage.load(key)  # even if its entry is lost
    except AuthError as error:
        yield question.failed(error)
        return
    if credential is None:
        if entry is None:
            yield question.note("no login is stored here", remedy="mcp-login URL makes one")
        else:
            came = "the index has an entry, the storage has no secret"
            yield question.warning(came, remedy="mcp-login logout URL, then log in again")
        return
    tokens, client = credential.tokens, credential.client
    secrets = tokens.access_token, tokens.refresh_token, client.secret, client.management_token
    exam.secrets += [secret for secret in secrets if secret]
    yield question.ok(f"kept in {storage.where}")
    question, left = exam.ask("login.lasting", "how long the login lasts"), tokens.expires_at
    if left is None:
        life = "the server does not say when the token expires"
    else:
        left = (left - exam.clock()) / 60
        life = f"the token lives for {left:.0f} min" if left > 0 else "the token has expired"
    if credential.renews:
        yield question.ok(f"{life}; it can be renewed")
    else:
        affected = "people sign in again whenever the access token has expired"
        yield question.warning(f"{life}; it cannot be renewed", affected)
    question = exam.ask("login.issuer", "the issuer of the login", _NAMED)
    if not issuers or credential.static:
        pass  # nothing to compare
    elif any(same_issuer(credential.issuer, named) for named in issuers):
        yield question.ok(shown(credential.issuer))
    else:
        affected = "this client logs in again when the token has ended"
        remedy = "Log in again: the server now names another authorization server"
        yield question.warning(shown(credential.issuer), affected, remedy)
    yield audience(exam, credential)
    yield accepted(exam, credential)


def audience(exam: Exam, credential: Credential) -> Finding:
    requested = "the claim aud of the token, read without verification"
    question = exam.ask("login.audience", requested, _AUDIENCE)
    claims = claims_of(credential.tokens.access_token)
    if not claims:
        return question.note("the token is opaque")
    named = claims.get("aud")
    listed = named if isinstance(named, list) else [named]
    texts = [each for each in listed if isinstance(each, str) and each]
    meant = credential.resource or canonical(exam.server_url)
    came = "aud is " + (", ".join(shown(each) for each in texts) or "missing")
    if any(each == meant or ServerUrl(each).covers(exam.server_url) for each in texts):
        return question.ok(came)
    affected = (
        "a server that checks the audience refuses the token; one that does not accepts those of"
        " other services"
    )
    return question.found("warning", "token-audience", came, affected, resource=shown(meant))


def accepted(exam: Exam, credential: Credential) -> Finding:
    requested = f"POST {exam.server_url.shown}, an MCP initialize with the token"
    question = exam.ask("login.token", requested, _ACCEPTED)
    if not credential.alive(exam.clock()):
        remedy = "mcp-login token URL renews it" if credential.renews else "Log in again"
        return question.note("not sent: it has expired", remedy=remedy)
    ports = Ports(MemoryStorage(), exam.send)
    answer = send_probe(exam.server_url, ports, credential)
    if answer.status != 401:
        return question.ok(f"the server accepts the token (HTTP {answer.status})")
    return question.found(
        "error",
        "token-refused",
        "the server answers HTTP 401 to a token of its authorization server",
        "everyone with such a token",
        "TokenRefused",
    )
