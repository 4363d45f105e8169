"""What to change at the endpoints that the metadata names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .row import EXEMPT, Fix

ROWS: Final[Mapping[str, Fix]] = {
    "authorize-absent": Fix(
        "the authorization endpoint {url} is not there ({got})",
        "Correct authorization_endpoint in the authorization server's metadata, or serve the"
        " sign-in page there",
    ),
    "authorize-internal": Fix(
        "the authorization endpoint redirects people to an address of its own network, {led}",
        "Set the public base URL of the application that shows the sign-in page, or have it accept"
        " X-Forwarded-Host and X-Forwarded-Proto from the proxy: it redirects to the address that"
        " it listens on",
    ),
    "authorize-fails": Fix(
        "the authorization endpoint {url} fails ({got})",
        "Look at the log of the authorization server, and of the proxy in front of it, for this"
        " request",
    ),
    "token-absent": Fix(
        "the token endpoint {url} is not there ({got})",
        "Correct token_endpoint in the authorization server's metadata, or route POST to it there",
    ),
    "authorize-refused": Fix(
        "the authorization endpoint {url} shows an error in place of a sign-in page ({got})",
        "Look at the authorization server's log for the reason. Most often it is the redirect URI:"
        " allow http://127.0.0.1 and http://localhost with any port (RFC 8252 §7.3)",
    ),
    "token-form": Fix(
        "the token endpoint {url} does not take the form that clients send ({got})",
        "Read application/x-www-form-urlencoded there, not JSON (RFC 6749 §4.1.3)",
    ),
    "token-fails": Fix(
        "the token endpoint {url} fails ({got})",
        "Look at the authorization server's log for this request: a code or a client that is not"
        " known is a 400 or 401 with a JSON error (RFC 6749 §5.2)",
    ),
    "token-grant": Fix(
        "the token endpoint {url} does not accept the grant authorization_code",
        "Accept grant_type=authorization_code there: every sign-in in a browser ends with it"
        " (RFC 6749 §4.1.3)",
    ),
    "token-csrf": Fix(
        "CSRF protection refuses every client at the token endpoint {url} ({got})",
        "Exempt the token endpoint from CSRF protection, and registration and revocation too:"
        " programs post there without a cookie of the site",
        "# Django: decorate the view\n@csrf_exempt\n# Laravel\n"
        "$middleware->validateCsrfTokens(except: ['YOUR_TOKEN_PATH', 'YOUR_REGISTRATION_PATH']);",
    ),
    "token-blocked": Fix(
        "something in front of the token endpoint {url} answers in its place ({got})",
        "Exempt the token endpoint from bot protection and sign-in pages, registration too:"
        " programs without a browser send forms there",
        "",
        EXEMPT,
    ),
    "token-unfit": Fix(
        "the token endpoint {url} does not answer as one ({got})",
        "Answer an unknown client with 400 or 401 and a JSON error (RFC 6749 §5.2)",
        'HTTP/1.1 401\nContent-Type: application/json\n\n{{"error": "invalid_client"}}',
    ),
    "token-open": Fix(
        "the token endpoint gives a token for a code that was made up",
        "Check client, code, redirect_uri and code_verifier before a token is issued",
    ),
    "par-absent": Fix(
        "the endpoint for pushed authorization requests {url} is not there ({got})",
        "Correct pushed_authorization_request_endpoint in the metadata, or take it out",
    ),
    "par-form": Fix(
        "the endpoint for pushed authorization requests {url} does not take the form that clients"
        " send ({got})",
        "Read application/x-www-form-urlencoded there, not JSON (RFC 9126 §2.1)",
    ),
    "jwks-absent": Fix(
        "the keys at jwks_uri cannot be read",
        "Serve the JWK set at jwks_uri, or correct jwks_uri in the metadata: a server that checks"
        " tokens by these keys refuses each one",
    ),
    "jwks-private": Fix(
        "a private key is published at jwks_uri",
        "Publish public keys only; make new ones, and treat the published ones as compromised",
    ),
}
