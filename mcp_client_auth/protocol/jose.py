"""Keys and signatures (JOSE): what signs a client's assertions and the proofs of a bound token.

Time and random values are passed in with the claims. No message ever repeats any part of a key.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..errors import UsageError
from ..secret import Secret, quoted

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    Key: TypeAlias = ECKey | RSAKey | OKPKey

_CURVES: Final = {
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    # Ed25519 is the newer name, from RFC 9864, which few servers know yet
    "Ed25519": ("EdDSA", "Ed25519"),
}
_RSA: Final = ("RS256", "PS256", "RS384", "RS512", "PS384", "PS512")
_HASHES: Final = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
ALGORITHMS: Final = tuple(dict.fromkeys([*sum(_CURVES.values(), ()), *_RSA, *_HASHES]))
_EXPECTED: Final = "Expected a private key as PEM or JWK: EC P-256/384/521, RSA or Ed25519"


def signed(header: Mapping[str, Any], claims: Mapping[str, Any], key: Key) -> str:
    """A JWT, signed with the `alg` of its header (RFC 7515 §7.1)."""
    from joserfc.jws import JWSRegistry

    content = _content(header, claims)
    # the algorithm itself, because `jwt.encode` warns about EdDSA at each call
    signature = JWSRegistry.algorithms[header["alg"]].sign(content.encode(), key)
    return f"{content}.{encoded(signature)}"


def signed_with_secret(header: Mapping[str, Any], claims: Mapping[str, Any], secret: Secret) -> str:
    """The same with a shared secret (RFC 7518 §3.2), which is not sent."""
    import hmac

    content = _content(header, claims)
    digest = hmac.digest(secret.reveal().encode(), content.encode(), _HASHES[header["alg"]])
    return f"{content}.{encoded(digest)}"


def _content(*parts: Mapping[str, Any]) -> str:
    return ".".join(encoded(json.dumps(part, separators=(",", ":")).encode()) for part in parts)


def encoded(value: bytes) -> str:
    """RFC 7515 §2."""
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """The reverse; `ValueError` for what is not base64."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def claims_of(token: Secret) -> dict[str, Any] | None:
    """The claims of a JWT, unverified; None for any other token (RFC 7519 §3)."""
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(decoded(parts[1]))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def thumbprint(public: Mapping[str, str]) -> str:
    """The name of a public key (RFC 7638)."""
    from joserfc import jwk

    return jwk.thumbprint(dict(public))


def signing_key(text: Secret, where: str = "the client's key") -> Key:
    """The private key in a PEM or JWK text; `where` names it in a `UsageError`."""
    revealed = text.reveal().strip()
    try:
        key = _imported(revealed)
        usable = key is not None and key.is_private
        if key is not None and usable:
            key.check_use("sig")
            key.check_key_op("sign")
    except TypeError:  # what cryptography raises for a missing password
        raise UsageError(
            f"{where} is encrypted",
            hint="No one can type its password when a token is refreshed: store it"
            " without one, readable by you only, or pass a callable that signs",
        ) from None
    except Exception:
        # a library's own errors may quote the text, and are of many classes
        raise UsageError(f"{where} cannot be read as a key", hint=_EXPECTED) from None
    if not usable or key is None:
        what = (
            "is not a private key"
            if key is not None
            else "is of a type that cannot sign an assertion"
        )
        raise UsageError(f"{where} {what}", hint=_EXPECTED)
    return key


def _imported(text: str) -> Key | None:
    """Import a JWK or PEM; None for a type of key that cannot sign here."""
    from joserfc.errors import InvalidKeyTypeError
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    # RSA first: such a key takes long to load, and is loaded again for each type that does not fit
    kinds: dict[Any, type[Key]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    if text.startswith("{"):
        fields = json.loads(text)
        kind = kinds.get(fields.get("kty"))
        return kind.import_key(fields) if kind else None
    for kind in kinds.values():
        with suppress(InvalidKeyTypeError):
            return kind.import_key(text)
    return None


def algorithm_for(key: Key, chosen: str = "", listed: tuple[str, ...] | None = None) -> str:
    """`alg` for this key: the caller's, or the JWK's, or the first that the server lists.

    `listed` is `token_endpoint_auth_signing_alg_values_supported` (RFC 8414 §2), which is
    optional. Raises `UsageError` if key and algorithm do not fit each other.
    """
    fitting = fitting_algorithms(key)
    named = chosen or str(key.get("alg") or "")
    if named and named not in fitting:
        raise UsageError(
            f"a key of type {_kind(key)} does not sign with {quoted(named, 20)}",
            hint=f"It signs with {', '.join(fitting) or 'no algorithm that is supported here'}",
        )
    if named or not listed:
        return named or fitting[0]
    both = [algorithm for algorithm in fitting if algorithm in listed]
    if not both:
        raise UsageError(
            f"a key of type {_kind(key)} signs with {', '.join(fitting)}, but the authorization"
            f" server accepts {quoted(' '.join(listed), 80)}",
            hint="Use a key of another type",
        )
    return both[0]


def secret_algorithm(listed: tuple[str, ...] | None = None) -> str:
    """HS256 (RFC 7518 §3.2), unless the server lists only others."""
    return next((name for name in _HASHES if name in (listed or ())), "HS256")


def fitting_algorithms(key: Key) -> tuple[str, ...]:
    """What the key can sign with, the usual one first."""
    if key.key_type == "RSA":
        return _RSA
    fitting = _CURVES.get(_curve(key), ())
    if not fitting:
        raise UsageError(f"a key of type {_kind(key)} cannot sign an assertion", hint=_EXPECTED)
    return fitting


def _curve(key: Key) -> str:
    return str(getattr(key, "curve_name", ""))


def _kind(key: Key) -> str:
    return " ".join(part for part in (key.key_type, _curve(key)) if part)
