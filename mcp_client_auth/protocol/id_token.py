"""An ID token and what it must say before it is used (OpenID Connect Core §3.1.3.7, §12.2).

It comes from the token endpoint itself over TLS, which §3.1.3.7 (6) accepts in place of its
signature: no key of the provider is fetched here. The next server to get it checks the signature.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, NoReturn

from ..errors import BadResponse, Untrusted
from ..origin import shown
from ..secret import Secret, quoted
from .document import Document, json_value, parsed
from .flow import HttpResponse
from .jose import claims_of, decoded

_LONGEST: Final = 65_536
_SKEW: Final = 300.0  # seconds that two clocks may differ
_AHEAD: Final = 10 * 365 * 86_400.0
_NOT_USED: Final = "Nothing of it was used. The identity provider's administrator has to fix this"
_CLOCKS: Final = "Nothing of it was used. Compare this machine's clock with theirs"


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID token is checked against. `issuer` is the one that was discovered, byte for byte.

    `nonce`: that of the authorization request. `before`: the ID token that this one renews.
    """

    issuer: str
    client_id: str
    nonce: Secret | None = None
    before: Secret | None = None


def read_id_token(
    response: HttpResponse, expected: Expected, now: float
) -> tuple[Secret, float] | None:
    """The ID token of a token response, checked, and when it expires; None if there is none.

    Raises `BadResponse` for what is not a signed JWT, `Untrusted` if a check fails.
    """
    value = parsed(response)
    document = Document("ID token", response.url, value if isinstance(value, dict) else {})
    if document.raw.get("id_token") is None:
        return None
    text = document.need("id_token")
    if len(text) > _LONGEST or not (text.isascii() and text.isprintable()):
        document.broken(f"it is not a JWT of at most {_LONGEST} characters")
    token = Secret(text)
    return token, _Check(document, expected, now).ends(token)


@dataclass(frozen=True, slots=True)
class _Check:
    document: Document
    expected: Expected
    now: float

    def ends(self, token: Secret) -> float:
        """When a token that passes every check expires, in seconds since the epoch."""
        claims, algorithm = claims_of(token), _algorithm(token)
        if claims is None or algorithm is None:
            self.document.broken("it is not a signed JWT (RFC 7519 §3)")
        if algorithm.lower() == "none":
            self._refuse("it is not signed: its “alg” is none")
        self._check_parties(claims)
        self._check_nonce(claims)
        self._check_person(claims)
        return self._check_times(claims)

    def _check_parties(self, claims: dict[str, Any]) -> None:
        """(2) to (5): who issued it, and for whom."""
        issuer, client_id = claims.get("iss"), self.expected.client_id
        if issuer != self.expected.issuer:
            self._refuse(f"“iss” must be {shown(self.expected.issuer)}, got {_got(issuer)}")
        audience, party = claims.get("aud"), claims.get("azp")
        named = audience if isinstance(audience, list) else [audience]
        if client_id not in named:
            self._refuse(
                f"“aud” must name the client {quoted(client_id, 80)}, got {_got(audience)}"
            )
        if party is None and len(named) > 1:
            self._refuse("“aud” names others too, and there is no “azp” that names the client")
        if party is not None and party != client_id:
            self._refuse(f"“azp” must be the client {quoted(client_id, 80)}, got {_got(party)}")

    def _check_nonce(self, claims: dict[str, Any]) -> None:
        """(11); if a refresh repeats it, it must be the same (§12.2)."""
        nonce, sent = claims.get("nonce"), self.expected.nonce
        if sent is not None:
            if not (isinstance(nonce, str) and sent.matches(nonce)):
                which = "has another “nonce” than" if nonce else "has no “nonce”, unlike"
                self._refuse(f"it {which} the authorization request")
            return
        before = self._before().get("nonce")
        if nonce is not None and before is not None and nonce != before:
            self._refuse("its “nonce” is not that of the sign-in (OpenID Connect Core §12.2)")

    def _check_person(self, claims: dict[str, Any]) -> None:
        subject, before = claims.get("sub"), self._before()
        if not (isinstance(subject, str) and subject):
            self._refuse("it has no “sub”")
        if before and (subject, claims["iss"]) != (before.get("sub"), before.get("iss")):
            self._refuse("it is about another person than the sign-in (OpenID Connect Core §12.2)")

    def _check_times(self, claims: dict[str, Any]) -> float:
        """(9) and (10)."""
        ends, issued = _moment(claims.get("exp")), _moment(claims.get("iat"))
        if ends is None or issued is None:
            self._refuse("“exp” and “iat” must be numbers of seconds")
        if ends <= self.now:
            self._refuse(f"it ended {self.now - ends:.0f} s ago", _CLOCKS)
        if issued > self.now + _SKEW:
            self._refuse(f"it was issued {issued - self.now:.0f} s in the future", _CLOCKS)
        return min(ends, self.now + _AHEAD)

    def _before(self) -> dict[str, Any]:
        return (claims_of(self.expected.before) if self.expected.before else None) or {}

    def _refuse(self, why: str, hint: str = _NOT_USED) -> NoReturn:
        raise Untrusted(
            f"the ID token cannot be used: {why}",
            url=self.document.url,
            code="id_token",
            hint=hint,
        )


def require_id_token(
    response: HttpResponse, expected: Expected, now: float
) -> tuple[Secret, float]:
    """The same after a sign-in, where there has to be one."""
    found = read_id_token(response, expected, now)
    if found is None:
        raise BadResponse(
            "the token response has no “id_token” (OpenID Connect Core §3.1.3.3)",
            url=response.url,
            hint="The identity provider has to know this client as one of OpenID Connect, with the"
            " scope openid",
        )
    return found


def _algorithm(token: Secret) -> str | None:
    """The `alg` of its header; None if there is none."""
    try:
        header = json_value(decoded(token.reveal().partition(".")[0]).decode())
    except (ValueError, json.JSONDecodeError):
        return None
    algorithm = header.get("alg") if isinstance(header, dict) else None
    return algorithm if isinstance(algorithm, str) and algorithm else None


def _moment(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        moment = float(value)
    except OverflowError:
        return None
    return moment if isfinite(moment) else None


def _got(value: Any) -> str:
    """The value that a claim has instead, made fit for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return quoted(value, 120)
    return quoted(json.dumps(value), 120)
