"""A client that proves itself by what it signs (RFC 7523 §2.2, §3).

The claims and the signature are made here from what is handed in: key, time and `jti`. No
message ever repeats anything of a key.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..errors import UsageError, quoted
from ..secret import Secret

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    Key: TypeAlias = ECKey | RSAKey | OKPKey

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME: Final = 60.0
_CURVES: Final = {
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    # RFC 9864 gives EdDSA a name of its own, which few servers know yet
    "Ed25519": ("EdDSA", "Ed25519"),
}
_RSA: Final = ("RS256", "PS256", "RS384", "RS512", "PS384", "PS512")
_HASHES: Final = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
ALGORITHMS: Final = tuple(dict.fromkeys([*sum(_CURVES.values(), ()), *_RSA, *_HASHES]))
_EXPECTED: Final = "Expected a private key as PEM or JWK: EC P-256/384/521, RSA or Ed25519"


def signing_key(text: Secret, where: str = "the client's key") -> Key:
    """The private key in a PEM or JWK text; `where` names it in a `UsageError`."""
    revealed = text.reveal().strip()
    try:
        key = _from_jwk(revealed) if revealed.startswith("{") else _from_pem(revealed)
        usable = key is not None and key.is_private
        if key is not None and usable:
            key.check_use("sig")
            key.check_key_op("sign")
    except TypeError:  # cryptography's word for a password that it misses
        raise UsageError(
            f"{where} is encrypted",
            hint="Nobody can be asked for its password when a token is refreshed: store it"
            " without one, readable by you only, or pass a callable that signs",
        ) from None
    except Exception:
        # what a parser of somebody else's says may quote the text, and has many classes
        raise UsageError(f"{where} cannot be read as a key", hint=_EXPECTED) from None
    if not usable or key is None:
        what = "is no private key" if key is not None else "is of a kind that signs no assertion"
        raise UsageError(f"{where} {what}", hint=_EXPECTED)
    return key


def _from_pem(text: str) -> Key | None:
    from joserfc.errors import InvalidKeyTypeError
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    kinds: tuple[type[Key], ...] = (ECKey, RSAKey, OKPKey)
    for kind in kinds:
        try:
            return kind.import_key(text)
        except InvalidKeyTypeError:
            continue
    return None


def _from_jwk(text: str) -> Key | None:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    kinds: dict[Any, type[Key]] = {"EC": ECKey, "RSA": RSAKey, "OKP": OKPKey}
    fields = json.loads(text)
    kind = kinds.get(fields.get("kty"))
    return kind.import_key(fields) if kind else None


def algorithm_for(key: Key, wanted: str = "", listed: tuple[str, ...] | None = None) -> str:
    """`alg` for this key: the caller's, else the JWK's, else the first that the server lists.

    `listed` is `token_endpoint_auth_signing_alg_values_supported` (RFC 8414 §2), which need
    not be there. Raises `UsageError` where key and algorithm do not go together.
    """
    fitting = fitting_algorithms(key)
    named = wanted or str(key.get("alg") or "")
    if named and named not in fitting:
        raise UsageError(
            f"a key of type {_kind(key)} does not sign with {quoted(named, 20)}",
            hint=f"It signs with {', '.join(fitting) or 'nothing that is known here'}",
        )
    if named or not listed:
        return named or fitting[0]
    both = [algorithm for algorithm in fitting if algorithm in listed]
    if not both:
        raise UsageError(
            f"a key of type {_kind(key)} signs with {', '.join(fitting)}, but the authorization"
            f" server takes {quoted(' '.join(listed), 80)}",
            hint="Use a key of another type, or name the algorithm if the list is wrong"
            " (PreRegistered(algorithm=…))",
        )
    return both[0]


def secret_algorithm(listed: tuple[str, ...] | None = None) -> str:
    """HS256 (RFC 7518 §3.2) unless the server lists others only."""
    return next((name for name in _HASHES if name in (listed or ())), "HS256")


def fitting_algorithms(key: Key) -> tuple[str, ...]:
    """What the key can sign with, the usual one first."""
    if key.key_type == "RSA":
        return _RSA
    fitting = _CURVES.get(_curve(key), ())
    if not fitting:
        raise UsageError(f"a key of type {_kind(key)} signs no assertion", hint=_EXPECTED)
    return fitting


def _curve(key: Key) -> str:
    return str(getattr(key, "curve_name", ""))


def _kind(key: Key) -> str:
    return " ".join(part for part in (key.key_type, _curve(key)) if part)


def key_assertion(
    client_id: str, audience: str, key: Key, algorithm: str, *, now: float, jti: str
) -> str:
    """private_key_jwt (OIDC Core §9), with the JWK's `kid` where it has one."""
    from joserfc.jws import JWSRegistry

    header = {"alg": algorithm, "typ": "JWT", **({"kid": key.kid} if key.kid else {})}
    content = _content(header, _claims(client_id, audience, now, jti))
    # the algorithm itself and not `jwt.encode`, which warns of EdDSA at each call
    signature = JWSRegistry.algorithms[algorithm].sign(content, key)
    return f"{content.decode()}.{_encoded(signature)}"


def secret_assertion(
    client_id: str, audience: str, secret: Secret, algorithm: str, *, now: float, jti: str
) -> str:
    """client_secret_jwt (OIDC Core §9): the secret signs, and does not leave."""
    import hmac

    content = _content({"alg": algorithm, "typ": "JWT"}, _claims(client_id, audience, now, jti))
    signature = hmac.digest(secret.reveal().encode(), content, _HASHES[algorithm])
    return f"{content.decode()}.{_encoded(signature)}"


def _claims(client_id: str, audience: str, now: float, jti: str) -> dict[str, Any]:
    """RFC 7523 §3. `aud` is one string, the issuer, so that no other server can use it.

    No `nbf`: it says nothing that `iat` does not, and fails where clocks differ.
    """
    return {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": jti,
        "iat": int(now),
        "exp": int(now + LIFETIME),
    }


def _content(header: dict[str, Any], claims: dict[str, Any]) -> bytes:
    parts = (json.dumps(part, separators=(",", ":")).encode() for part in (header, claims))
    return ".".join(map(_encoded, parts)).encode()


def _encoded(value: bytes) -> str:
    """RFC 7515 §2."""
    return urlsafe_b64encode(value).rstrip(b"=").decode()
