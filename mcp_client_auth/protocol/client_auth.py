"""How the client proves itself at the token, revocation, PAR and device endpoints.

One way for all of them (RFC 6749 §2.3): a form POST with the client's proof in the header or
the body. What has to be signed is signed by a `Prover`, which has what a flow has not: keys,
the clock and chance.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, replace
from typing import Final, Protocol
from urllib.parse import quote

from ..errors import UsageError
from . import _authlib
from .assertions import ASSERTION_TYPE
from .flow import Flow, HttpRequest, HttpResponse, send
from .registration import ASSERTED, CERTIFIED, Client


class Prover(Protocol):
    """Signs for one client and one credential."""

    @property
    def binds(self) -> bool:
        """Whether it has a key that tokens can be bound to (RFC 9449 §5)."""
        ...

    def assertion(self, client: Client) -> str:
        """A client assertion (RFC 7523 §2.2): `aud` is the client's issuer, the `jti` is new."""
        ...

    def proof(self, method: str, url: str) -> str:
        """A DPoP proof for a request without an access token (RFC 9449 §4.2); empty for none."""
        ...

    def heard(self, response: HttpResponse) -> bool:
        """Keep the nonce of an answer; whether it asks for the request once more (§8)."""
        ...


class Plain:
    """Proves by what the client itself holds: an id, perhaps a secret."""

    @property
    def binds(self) -> bool:
        return False

    def assertion(self, client: Client) -> str:
        raise UsageError(f"the client authentication {client.method} needs a key")

    def proof(self, method: str, url: str) -> str:
        return ""

    def heard(self, response: HttpResponse) -> bool:
        return False


PLAIN: Final[Prover] = Plain()


@dataclass(frozen=True, slots=True)
class FormPost:
    """A form for one of the endpoints, as it is before the client has proved itself.

    `private`: see `HttpRequest`.
    """

    url: str
    client: Client
    body: str
    private: bool = False

    def signed(self, prover: Prover = PLAIN) -> HttpRequest:
        """The request to send, once: a proof is not to be used again (RFC 9449 §11.1)."""
        assertion = prover.assertion(self.client) if self.client.method in ASSERTED else ""
        request = form_request(self.url, self.client, self.body, assertion)
        request = replace(request, private=self.private)
        proof = prover.proof("POST", self.url)
        return replace(request, headers={**request.headers, "DPoP": proof}) if proof else request

    def send(self, prover: Prover) -> Flow[HttpResponse]:
        response = yield from send(self.signed(prover))
        if prover.heard(response):
            response = yield from send(self.signed(prover))
        return response


def form_request(url: str, client: Client, body: str, assertion: str = "") -> HttpRequest:
    """A form POST with the client's proof in the header or the body, as its method says.

    `client_id` stands in the body but for Basic: RFC 8705 §2 wants it there, RFC 7521 §4.2
    allows it.
    """
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    secret = client.secret.reveal() if client.secret else ""
    if client.method == "client_secret_basic":
        headers["Authorization"] = "Basic " + _basic(client.client_id, secret)
        return HttpRequest("POST", url, headers, body.encode())
    if not client.client_id:  # an assertion grant needs no client (RFC 7523 §3.1)
        return HttpRequest("POST", url, headers, body.encode())
    public = client.method in (*ASSERTED, *CERTIFIED)  # what proves it is not the body's secret
    method = "none" if public else client.method
    body = _authlib.with_client(method, client.client_id, secret, url, body)
    if assertion:
        proof = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)]
        body = _authlib.with_fields(body, proof)
    return HttpRequest("POST", url, headers, body.encode())


def _basic(client_id: str, secret: str) -> str:
    """RFC 6749 §2.3.1: both are form-encoded before they are joined, whatever is in them."""
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return b64encode(pair.encode()).decode()
