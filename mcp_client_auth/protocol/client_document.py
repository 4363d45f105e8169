"""What a client ID metadata document contains.

draft-ietf-oauth-client-id-metadata-document; its fields are those of RFC 7591 §2. Anyone can read
the document, so nothing private is ever put into it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .options import CLIENT_NAME
from .registration import DEVICE_GRANT

if TYPE_CHECKING:
    from .jose import Key

# A loopback address without a port matches any port (RFC 8252 §7.3), and is what a login with a
# document uses. For `localhost`, which need not be this machine, no server has to do so (§8.3).
CALLBACK: Final = "http://127.0.0.1/callback"
LARGEST: Final = 5 * 1024  # “Maximum Response Size for Client Metadata Documents”
PUBLIC_MEMBERS: Final = ("kty", "crv", "x", "y", "n", "e", "kid", "alg")


def client_document(
    url: str,
    name: str = CLIENT_NAME,
    redirect_uris: tuple[str, ...] = (CALLBACK,),
    *,
    device: bool = False,
    key: Key | None = None,
) -> dict[str, Any]:
    """The document to be hosted at `url`: a native client without a shared secret (§4.1)."""
    return {
        "client_id": url,  # §4.1: equal as a string, so it is copied and never rebuilt
        "client_name": name,
        "redirect_uris": list(redirect_uris),
        "grant_types": ["authorization_code", "refresh_token", *([DEVICE_GRANT] if device else [])],
        "response_types": ["code"],
        # written even if it is “none”: leaving it out means a secret (RFC 7591 §2)
        "token_endpoint_auth_method": "private_key_jwt" if key else "none",
        **({"jwks": {"keys": [public_jwk(key)]}} if key else {}),
        "application_type": "native",
    }


def public_jwk(key: Key) -> dict[str, Any]:
    """The part of a key that may be published, with members listed so that no other slips in."""
    fields = key.as_dict(private=False)
    return {**{name: fields[name] for name in PUBLIC_MEMBERS if name in fields}, "use": "sig"}
