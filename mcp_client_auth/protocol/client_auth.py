"""How the client proves itself at the token and revocation endpoints (RFC 6749 §2.3)."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote

from . import _authlib
from .flow import HttpRequest
from .registration import Client


def form_request(url: str, client: Client, body: str) -> HttpRequest:
    """A form POST with the client's proof in the header or the body, as its method says."""
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    secret = client.secret.reveal() if client.secret else ""
    if client.method == "client_secret_basic":
        headers["Authorization"] = "Basic " + _basic(client.client_id, secret)
    else:
        body = _authlib.with_client(client.method, client.client_id, secret, url, body)
    return HttpRequest("POST", url, headers, body.encode())


def _basic(client_id: str, secret: str) -> str:
    """RFC 6749 §2.3.1: both are form-encoded before they are joined, whatever is in them."""
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return b64encode(pair.encode()).decode()
