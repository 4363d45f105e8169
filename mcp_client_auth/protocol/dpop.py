"""Proof of possession (RFC 9449): the key, the proof, and when a login needs them.

A proof is for one request: its method, its URL, its time, and the token that is sent with it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ..errors import DpopUnsupported
from ..origin import origin_url, split
from ..secret import Secret, quoted
from .challenge import read_challenges
from .document import parsed
from .flow import HttpResponse
from .jose import encoded, signed, thumbprint

if TYPE_CHECKING:
    from .discovery import Discovery

# In order of preference: small and quick first; "EdDSA" is what "Ed25519" was called before
# RFC 9864. Each with its key type and its curve or size (RFC 7518 §3.1, RFC 8037 §3.1).
ALGORITHMS: Final[Mapping[str, tuple[str, str | int]]] = {
    "ES256": ("EC", "P-256"),
    "Ed25519": ("OKP", "Ed25519"),
    "EdDSA": ("OKP", "Ed25519"),
    "ES384": ("EC", "P-384"),
    "PS256": ("RSA", 2048),
    "RS256": ("RSA", 2048),
}
_PUBLIC: Final = ("kty", "crv", "x", "y", "n", "e")
_LONGEST_NONCE: Final = 1024


@dataclass(frozen=True, slots=True)
class DpopKey:
    """A private key that signs proofs; `jkt` is its thumbprint (RFC 7638), not a secret."""

    algorithm: str
    public: Mapping[str, str]
    jkt: str
    kept: Secret
    _key: Any = field(repr=False, compare=False)

    def proof(
        self,
        method: str,
        url: str,
        *,
        now: float,
        jti: str,
        nonce: str = "",
        token: Secret | None = None,
    ) -> str:
        """A proof for one request (§4.2), with the hash of the `token` sent with it (§7)."""
        claims = {"jti": jti, "htm": method, "htu": target(url), "iat": int(now)}
        if token is not None:
            claims["ath"] = encoded(sha256(token.reveal().encode("ascii")).digest())
        if nonce:
            claims["nonce"] = nonce
        header = {"typ": "dpop+jwt", "alg": self.algorithm, "jwk": dict(self.public)}
        return signed(header, claims, self._key)


def make_key(algorithm: str) -> DpopKey:
    """A new key for one of `ALGORITHMS`."""
    from joserfc import jwk

    kind, size = ALGORITHMS[algorithm]
    made: Any = jwk.generate_key(kind, size, private=True)  # type: ignore[call-overload]
    text = json.dumps({**made.as_dict(private=True), "alg": algorithm}, separators=(",", ":"))
    return read_key(Secret(text))


def read_key(kept: Secret) -> DpopKey:
    """A key as it was stored, a private JWK with its `alg`; `ValueError` for anything else."""
    from joserfc import jwk
    from joserfc.errors import JoseError

    try:
        members = json.loads(kept.reveal())
        algorithm = members.pop("alg")
        if members.get("kty") != ALGORITHMS[algorithm][0]:
            raise ValueError
        key = jwk.import_key(members, members["kty"])
        if not key.is_private:
            raise ValueError
        key.check_key_op("sign")
    except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("not a private key for proofs") from None  # the cause may show it
    public = {name: members[name] for name in _PUBLIC if name in members}
    return DpopKey(algorithm, public, thumbprint(public), kept, key)


def target(url: str) -> str:
    """The `htu` of a request: without query, fragment and user info, normalised (§4.3, step 9)."""
    return origin_url(url) + (split(url).path or "/")


def read_nonce(response: HttpResponse) -> str:
    """The nonce of an answer, empty if there is none or it breaks the grammar (§8.1)."""
    values = response.header_values("dpop-nonce")
    if len(values) != 1 or len(values[0]) > _LONGEST_NONCE:
        return ""
    nonce = values[0].strip()
    usual = all("!" <= letter <= "~" and letter not in '"\\' for letter in nonce)
    return nonce if usual else ""


def server_wants_nonce(response: HttpResponse) -> bool:
    """Whether an authorization server asks for the request again, with its nonce (§8)."""
    if response.status not in (400, 401):
        return False
    body = parsed(response)
    return isinstance(body, dict) and body.get("error") == "use_dpop_nonce"


def resource_wants_nonce(response: HttpResponse) -> bool:
    """The same for a resource server, which says so in its challenge (§9)."""
    if response.status != 401:
        return False
    challenges = read_challenges(response.header_values("www-authenticate"))
    return any(c.scheme == "dpop" and c.error == "use_dpop_nonce" for c in challenges)


def demanded(discovery: Discovery) -> bool:
    """Whether the resource accepts only bound tokens: its metadata or its challenge says so."""
    named = discovery.metadata is not None and discovery.metadata.dpop_required
    return named or (discovery.challenge is not None and discovery.challenge.dpop_only)


def choose_algorithm(discovery: Discovery) -> str:
    """The algorithm for a new key: both servers must accept it, as far as they list any.

    RFC 9449 §5.1 and §7.1, RFC 9728 §2; a server that says nothing is assumed to know ES256.
    Raises `DpopUnsupported`.
    """
    challenge, metadata = discovery.challenge, discovery.metadata
    lists: dict[str, Collection[str] | None] = {
        "the authorization server": discovery.server.dpop_algorithms,
        "the MCP server": metadata.dpop_algorithms if metadata else None,
        "its challenge": (challenge.get("algs").split() or None) if challenge else None,
    }
    given = {who: names for who, names in lists.items() if names is not None}
    for name in ALGORITHMS:
        if all(name in names for names in given.values()):
            return name
    listed = "; ".join(f"{who}: {quoted(' '.join(names), 80)}" for who, names in given.items())
    raise DpopUnsupported(
        f"no algorithm for DPoP proofs is supported by this client and the servers ({listed})",
        url=discovery.server.issuer,
        hint="Its operator must enable one of: " + ", ".join(ALGORITHMS),
    )
