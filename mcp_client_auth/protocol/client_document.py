"""A client ID metadata document: what is written into one, and the rules for its parts.

draft-ietf-oauth-client-id-metadata-document; its fields are those of RFC 7591 §2. Everybody
can read the document, so nothing private is ever put into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from .options import CLIENT_NAME
from .registration import DEVICE_GRANT
from .urls import is_loopback, split

if TYPE_CHECKING:
    from .assertions import Key

# A loopback literal without a port stands for each port (RFC 8252 §7.3), and is what a login
# with a document uses; for `localhost`, which need not be this machine, no server has to (§8.3).
CALLBACK: Final = "http://127.0.0.1/callback"
LARGEST: Final = 5 * 1024  # “Maximum Response Size for Client Metadata Documents”
# RFC 7518 §6.2.2, §6.3.2, §6.4.1, RFC 8037 §2; `priv` is that of the newer key types
_PRIVATE: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv")
_PUBLIC: Final = ("kty", "crv", "x", "y", "n", "e", "kid", "alg")
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
RedirectKind = Literal["loopback", "localhost", "https", "private-use"]


@dataclass(frozen=True, slots=True)
class Described:
    """A client as its document shall describe it. `key` is public; it excludes `jwks_uri`."""

    url: str
    name: str = CLIENT_NAME
    redirect_uris: tuple[str, ...] = (CALLBACK,)
    device: bool = False
    key: dict[str, Any] | None = None
    jwks_uri: str = ""
    client_uri: str = ""
    logo_uri: str = ""
    scope: str = ""


def client_document(told: Described) -> dict[str, Any]:
    """The document to be hosted at `told.url`: a native client without a shared secret (§4.1)."""
    keys: dict[str, Any] = {"jwks": {"keys": [told.key]}} if told.key else {}
    if told.jwks_uri:
        keys["jwks_uri"] = told.jwks_uri
    named = {"client_uri": told.client_uri, "logo_uri": told.logo_uri, "scope": told.scope}
    device = [DEVICE_GRANT] if told.device else []
    return {
        "client_id": told.url,  # §4.1: equal as a string, so it is copied and never rebuilt
        "client_name": told.name,
        **{name: text for name, text in named.items() if text},
        "redirect_uris": list(told.redirect_uris),
        "grant_types": ["authorization_code", "refresh_token", *device],
        "response_types": ["code"],
        # it stands there although it is “none”: left out it means a secret (RFC 7591 §2)
        "token_endpoint_auth_method": "private_key_jwt" if keys else "none",
        **keys,
        "application_type": "native",
    }


def public_jwk(key: Key) -> dict[str, Any]:
    """The part of a key that may be published: named one by one, so that no other slips in."""
    fields = key.as_dict(private=False)
    return {**{name: fields[name] for name in _PUBLIC if name in fields}, "use": "sig"}


def private_members(value: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of what is private in the JWKs of a JSON value, however deep they lie."""
    left = [value]  # no recursion: somebody else decides how deep it is
    while left:
        item = left.pop()
        if isinstance(item, dict):
            if "kty" in item:
                yield from ((name, item[name]) for name in _PRIVATE if name in item)
            left += item.values()
        elif isinstance(item, list):
            left += item


def key_fault(jwk: Any) -> str:
    """Why this is no public key that can check a signature; empty where it is one."""
    from joserfc.jwk import JWKRegistry

    if not isinstance(jwk, dict) or not isinstance(jwk.get("kty"), str):
        return "it is no JWK, which is an object with kty"
    if jwk["kty"] == "oct":
        return "it is a symmetric key, which is a shared secret"
    try:
        JWKRegistry.import_key({name: jwk[name] for name in _PUBLIC if name in jwk})
    except Exception:  # what a parser of somebody else's says has many classes
        return "it cannot be read as a key"
    return ""


def redirect_kind(uri: object) -> RedirectKind:
    """What kind of redirect URI it is; `ValueError` for what nobody may register.

    RFC 6749 §3.1.2: absolute and without a fragment. RFC 8252 §7: https, http on loopback, or a
    scheme of the application's own.
    """
    if not isinstance(uri, str) or not (scheme := _SCHEME.match(uri)):
        raise ValueError("it is no absolute URI")
    if "#" in uri:
        raise ValueError("it has a fragment")
    name = scheme[1].lower()
    if name not in ("http", "https"):
        if "." not in name:
            raise ValueError("its scheme is no reversed domain name (RFC 8252 §7.1)")
        return "private-use"
    parts = split(uri)
    if "@" in parts.netloc:
        raise ValueError("it has user info")
    if name == "https":
        return "https"
    if not is_loopback(uri):
        raise ValueError("it is http beyond loopback, where everybody can read the code")
    return "localhost" if (parts.hostname or "").endswith("localhost") else "loopback"
