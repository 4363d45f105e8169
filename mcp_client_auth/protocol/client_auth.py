"""Client authentication at the token, revocation, PAR and device endpoints.

One way for all of them (RFC 6749 §2.3): a form POST with the client's credentials in the header
or the body. A `RequestSigner` signs what has to be signed: it has the keys, the clock and the
random numbers that a flow does not have.
"""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote

from ..errors import UsageError
from ..secret import Secret
from . import _authlib
from .assertions import ASSERTION_TYPE
from .client import ASSERTED, CERTIFIED, Client
from .flow import Flow, HttpRequest, HttpResponse, send


class RequestSigner:
    """Signs the requests of one client and one credential. This one has no key to sign with: the
    client authenticates with what it holds itself, an id and perhaps a secret.
    """

    __slots__ = ()

    @property
    def binds(self) -> bool:
        """Whether it has a key that tokens can be bound to (RFC 9449 §5)."""
        return False

    def assertion(self, client: Client) -> str:
        """A client assertion (RFC 7523 §2.2): `aud` is the client's issuer, the `jti` is new."""
        raise UsageError(f"the client authentication {client.method} needs a key")

    def proof(self, method: str, url: str) -> str:
        """A DPoP proof for a request without an access token (RFC 9449 §4.2); empty for none."""
        return ""

    def take_nonce(self, response: HttpResponse) -> bool:
        """Keep the nonce of a response; return whether the request has to be sent again (§8)."""
        return False


UNSIGNED: Final = RequestSigner()


@dataclass(frozen=True, slots=True)
class FormPost:
    """A form for one of the endpoints, as it is before the client is authenticated.

    `private` and `to_issuer`: see `HttpRequest`.
    """

    url: str
    client: Client
    body: str = field(repr=False)
    private: bool = False
    to_issuer: bool = True

    def signed(self, signer: RequestSigner = UNSIGNED) -> HttpRequest:
        """The request, to be sent once: a proof must not be reused (RFC 9449 §11.1)."""
        assertion = signer.assertion(self.client) if self.client.method in ASSERTED else ""
        request = form_request(self.url, self.client, self.body, assertion)
        request = replace(request, private=self.private, to_issuer=self.to_issuer)
        proof = signer.proof("POST", self.url)
        return replace(request, headers={**request.headers, "DPoP": proof}) if proof else request

    def send(self, signer: RequestSigner) -> Flow[HttpResponse]:
        response = yield from send(self.signed(signer))
        if signer.take_nonce(response):
            response = yield from send(self.signed(signer))
        return response


def form_request(url: str, client: Client, body: str, assertion: str = "") -> HttpRequest:
    """A form POST with the client's proof in the header or the body, as its method says.

    `client_id` is in the body, except with Basic: RFC 8705 §2 requires it there, RFC 7521
    §4.2 allows it.
    """
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    secret = client.secret.reveal() if client.secret else ""
    if client.method == "client_secret_basic":
        # RFC 6749 §2.3.1: both are form-encoded before they are joined, whatever is in them
        pair = f"{quote(client.client_id, safe='')}:{quote(secret, safe='')}".encode()
        for each in (b64encode(pair), urlsafe_b64encode(pair)):
            Secret(each.decode())  # no message repeats a part of it, in either alphabet
        headers["Authorization"] = "Basic " + b64encode(pair).decode()
        return HttpRequest("POST", url, headers, body.encode())
    if not client.client_id:  # an assertion grant needs no client (RFC 7523 §3.1)
        return HttpRequest("POST", url, headers, body.encode())
    public = client.method in (*ASSERTED, *CERTIFIED)  # not proved by a secret in the body
    method = "none" if public else client.method
    body = _authlib.with_client(method, client.client_id, secret, url, body)
    if assertion:
        proof = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)]
        body = _authlib.with_fields(body, proof)
    return HttpRequest("POST", url, headers, body.encode())
