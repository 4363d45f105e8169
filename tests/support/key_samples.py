"""Keys made for one run of the tests, in the forms in which people have them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from functools import cache
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from joserfc.jwk import ECKey, OKPKey, RSAKey

Private: TypeAlias = (
    ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | rsa.RSAPrivateKey
)


@cache
def private(kind: str) -> Private:
    match kind:
        case "RSA":
            return rsa.generate_private_key(65537, 2048)
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "Ed448":
            return ed448.Ed448PrivateKey.generate()
    curves: dict[str, ec.EllipticCurve] = {
        "P-256": ec.SECP256R1(),
        "P-384": ec.SECP384R1(),
        "P-521": ec.SECP521R1(),
        "secp256k1": ec.SECP256K1(),
    }
    return ec.generate_private_key(curves[kind])


def pem(kind: str, *, password: bytes = b"", form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    sealed: KeySerializationEncryption = NoEncryption()
    if password:
        sealed = BestAvailableEncryption(password)
    return private(kind).private_bytes(Encoding.PEM, form, sealed).decode()


def public_pem(kind: str) -> str:
    key = private(kind).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(kind: str, **more: Any) -> str:
    """The private key as JWK text."""
    kinds: dict[str, Any] = {"RSA": RSAKey, "Ed25519": OKPKey, "Ed448": OKPKey}
    key = kinds.get(kind, ECKey).import_key(pem(kind))
    return json.dumps({**key.as_dict(private=True), **more})


def public_jwk(kind: str) -> str:
    fields = json.loads(jwk(kind))
    return json.dumps({name: fields[name] for name in ("kty", "crv", "x", "y", "n", "e")
                       if name in fields})  # fmt: skip


def planted(kind: str) -> list[str]:
    """What no message may show: lines of the PEM, and the private number of the JWK."""
    lines = pem(kind).splitlines()[1:-1]
    return [*lines, json.loads(jwk(kind))["d"]]


def claims(proof: str) -> dict[str, Any]:
    """The claims of a signed JWT; its signature is not checked."""
    found: dict[str, Any] = json.loads(urlsafe_b64decode(proof.split(".")[1] + "=="))
    return found
