"""What stands in a client ID metadata document, judged field by field; nothing is sent here.

Each check looks at one question and gives one finding at least where the field matters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from ..errors import quoted
from ..protocol.client_document import key_fault, private_members, redirect_kind
from ..protocol.registration import CERTIFIED, WITH_SECRET
from .exam import Check
from .finding import Finding

_ALL: Final = "every authorization server that keeps to the draft"
_KEYED: Final = ("private_key_jwt", "self_signed_tls_client_auth")
_SECRET: Final = ("client_secret", "client_secret_expires_at", "registration_access_token")
_LINKS: Final = ("client_uri", "logo_uri", "tos_uri", "policy_uri")
_LOST: Final = (
    "Take it out, and count the key as lost: whoever has read the document has it. Make a new"
    " one and publish its public part only (mcp-login client-metadata URL --write FILE"
    " --client-key-file KEY)"
)
_Fields: TypeAlias = Mapping[str, Any]


def content(url: str, document: _Fields) -> Check[None]:
    """All findings on the document that is, or shall be, hosted at `url`."""
    yield _client_id(url, document)
    yield _client_name(document)
    yield from _redirect_uris(document)
    yield _nothing_secret(document)
    yield _authentication(document)
    yield from _keys(document)
    yield _grants(document)
    yield _response_types(document)
    yield _application_type(document)
    yield from _links(document)


def key_set(field: str, found: Any) -> Finding:
    """Whether this is a JWK set of public keys (RFC 7517 §5)."""
    standard = "a JWK set with public keys (RFC 7517 §5, draft §6.2)"
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list) or not keys:
        return _bad(field, "it has no keys", standard, 'Publish {"keys": […]}, one JWK each')
    if names := [name for name, _ in private_members(keys)]:
        parts = ", ".join(dict.fromkeys(names))
        came = f"a key has private members: {parts}"
        return _bad(field, came, "public keys only (RFC 7517 §9.3)", _LOST)
    for number, jwk in enumerate(keys, 1):
        if why := key_fault(jwk):
            return _bad(field, f"key {number}: {why}", standard, "Publish the public key as JWK")
    return _well(field, f"{len(keys)} public", standard)


def _client_id(url: str, document: _Fields) -> Finding:
    standard = "the URL of the document, equal as a string (draft §4.1)"
    found = document.get("client_id")
    if found == url:
        return _well("client_id", "equals the URL", standard)
    came = quoted(found) if isinstance(found, str) else "no client_id"
    mend = f"Write it exactly so: {url}; or name the client by the URL that stands there"
    return _bad("client_id", came, standard, mend)


def _client_name(document: _Fields) -> Finding:
    standard = "a name that a person will recognise (MCP “Client ID Metadata Documents”)"
    found = document.get("client_name")
    if isinstance(found, str) and found.strip():
        return _well("client_name", quoted(found, 80), standard)
    came = "it is left out" if found is None else "it is no text"
    return _bad("client_name", came, standard, "Add the name that the consent page shall show")


def _redirect_uris(document: _Fields) -> Iterator[Finding]:
    field, standard = "redirect_uris", "https, or http on loopback (RFC 8252 §7, MCP “Security”)"
    found = document.get(field)
    if not isinstance(found, list) or not found:
        mend = 'Add it, for example: "redirect_uris": ["http://127.0.0.1/callback"]'
        yield _bad(field, "no array with a redirect URI in it", standard, mend)
        return
    kinds: list[str] = []
    for uri in found:
        try:
            kinds.append(redirect_kind(uri))
        except ValueError as error:
            told = quoted(uri, 120) if isinstance(uri, str) else "one that is no text"
            mend = "Take it out, or write https, or http on 127.0.0.1 or [::1]"
            yield _bad(field, f"{told}: {error}", standard, mend)
    if "private-use" in kinds:
        why, mend = "MCP servers, which need not take other schemes", "Use http on 127.0.0.1"
        yield _weak(field, "a scheme of the application's own", standard, why, mend)
    elif set(kinds) == {"localhost"}:
        came, mend = "on localhost only", "Add the same on 127.0.0.1 (RFC 8252 §8.3)"
        why = "people, who are warned of it; clients whose port varies"
        yield _noted(field, came, standard, why, mend)
    elif len(kinds) == len(found):
        yield _well(field, ", ".join(quoted(uri, 80)[1:-1] for uri in found[:5]), standard)


def _nothing_secret(document: _Fields) -> Finding:
    """What must not be there at all; never with its value."""
    standard = "nothing secret, for everybody can read the document (draft §4.1)"
    for name in _SECRET:
        if name in document:
            mend = "Take it out, and let a secret that stood there be replaced"
            return _bad("secrets", f"{name} is there", standard, mend)
    outside = {name: value for name, value in document.items() if name != "jwks"}
    parts = dict.fromkeys(name for name, _ in private_members(outside))
    if parts or "PRIVATE KEY-----" in json.dumps(document):
        named = f": {', '.join(parts)}" if parts else " in PEM"
        return _bad("secrets", f"a private key is there{named}", standard, _LOST)
    return _well("secrets", "none", standard)


def _authentication(document: _Fields) -> Finding:
    field, standard = "token_endpoint_auth_method", "none or private_key_jwt (draft §4.1, §6.2)"
    method = document.get(field, "")
    keys = "jwks" in document or "jwks_uri" in document
    if method == "":
        came = "it is left out, which stands for client_secret_basic (RFC 7591 §2)"
        why = "authorization servers that take the document at its word"
        mend = "Write private_key_jwt" if keys else 'Write "none"'
        return _weak(field, came, standard, why, mend)
    if not isinstance(method, str) or method in WITH_SECRET:
        came = quoted(method, 60) + ", a shared secret" if isinstance(method, str) else "no text"
        return _bad(field, came, standard, "Write none, or private_key_jwt with a public key")
    if method in _KEYED and not keys:
        came = f"{method} without jwks or jwks_uri"
        return _bad(field, came, standard, "Add the public key as jwks, or write none")
    if method not in ("none", *_KEYED, *CERTIFIED):
        why = "authorization servers that do not know it"
        return _weak(field, quoted(method, 60), standard, why, "Write none or private_key_jwt")
    if method == "none" and keys:
        return _noted(field, "none, so that the keys are not used", standard, "", "")
    return _well(field, method, standard)


def _keys(document: _Fields) -> Iterator[Finding]:
    if "jwks" in document and "jwks_uri" in document:
        came, standard = "jwks_uri as well", "one of the two (RFC 7591 §2)"
        yield _bad("jwks", came, standard, "Take one of them out")
    if "jwks" in document:
        yield key_set("jwks", document["jwks"])


def _grants(document: _Fields) -> Finding:
    field, standard = "grant_types", "authorization_code and refresh_token (RFC 7591 §2)"
    why, mend = "people, who sign in again whenever a token has expired", "Add refresh_token"
    found = document.get(field)
    if found is None:
        came = "it is left out, which stands for authorization_code alone"
        return _weak(field, came, standard, why, "Write both")
    if not _texts(found) or "authorization_code" not in found:
        came = _listed(found) + ", without authorization_code"
        return _bad(field, came, standard, "Add authorization_code")
    if "refresh_token" not in found:
        return _weak(field, _listed(found), standard, why, mend)
    return _well(field, _listed(found), standard)


def _response_types(document: _Fields) -> Finding:
    field, standard = "response_types", "code, which is also the default (RFC 7591 §2)"
    found = document.get(field, ["code"])
    if not _texts(found) or "code" not in found:
        return _bad(field, _listed(found), standard, 'Write ["code"]')
    return _well(field, _listed(found), standard)


def _application_type(document: _Fields) -> Finding:
    field, standard = "application_type", "native for loopback (OpenID Connect Registration §2)"
    found, uris = document.get(field), document.get("redirect_uris")
    local = _texts(uris) and any(uri.startswith("http:") for uri in uris or ())
    if not local or found == "native":
        return _well(field, quoted(str(found or "web"), 40)[1:-1], standard)
    came = "it is left out, which stands for web" if found is None else quoted(str(found), 40)
    why = "OpenID providers, which then refuse http, or any port but the one that is written"
    return _weak(field, came, standard, why, "Write native")


def _links(document: _Fields) -> Iterator[Finding]:
    standard = "https (RFC 7591 §2; servers fetch the logo, draft “Displaying Logos”)"
    for name in _LINKS:
        found = document.get(name)
        if name in document and not (isinstance(found, str) and found.startswith("https://")):
            came = quoted(found, 80) if isinstance(found, str) else "it is no text"
            why = "authorization servers that refuse such a document"
            yield _weak(name, came, standard, why, "Use an https URL, or take it out")


def _texts(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(item, str) for item in found)


def _listed(found: Any) -> str:
    if not _texts(found):
        return "no array of texts"
    return quoted(" ".join(found), 200)[1:-1] or "an empty array"


def _well(field: str, came: str, standard: str) -> Finding:
    return Finding(f"document.{field}", "ok", _asked(field), came, standard)


def _noted(field: str, came: str, standard: str, why: str, mend: str) -> Finding:
    return Finding(f"document.{field}", "note", _asked(field), came, standard, why, mend)


def _weak(field: str, came: str, standard: str, why: str, mend: str) -> Finding:
    return Finding(f"document.{field}", "warning", _asked(field), came, standard, why, mend)


def _bad(field: str, came: str, standard: str, mend: str) -> Finding:
    check = f"document.{field}"
    return Finding(check, "error", _asked(field), came, standard, _ALL, mend, "BadResponse")


def _asked(field: str) -> str:
    return f"{field} in the document"
