"""What to change where a client registers, and where a trial client is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .row import EXEMPT, Fix

ROWS: Final[Mapping[str, Fix]] = {
    "registration-absent": Fix(
        "the registration endpoint {url} is not there ({got})",
        "Enable dynamic client registration, or correct registration_endpoint in the metadata",
    ),
    "registration-blocked": Fix(
        "something in front of the registration endpoint {url} answers in its place ({got})",
        "Exempt the registration endpoint from bot protection and sign-in pages, the token endpoint"
        " too: programs without a browser post there",
        "",
        EXEMPT,
    ),
    "registration-refused": Fix(
        "registration is refused",
        "Let clients register without a token, public ones (none) with a redirect URI on loopback"
        " (http://127.0.0.1 and http://localhost, any port), and require no other field (RFC 7591"
        " §2)",
        "# Keycloak: Clients, Client registration, Anonymous access policies\n"
        "Trusted Hosts: delete it, or switch off “Host Sending Client Registration Request Must"
        " Match”",
    ),
    "registration-error": Fix(
        "the registration endpoint fails ({got})",
        "Look at the authorization server's log for this request to the registration endpoint",
    ),
    "registration-unfit": Fix(
        "the answer to a registration lacks what it must have",
        "Answer 201 with one JSON object that has client_id at its top level (RFC 7591 §3.2.1)",
    ),
    "registration-redirect": Fix(
        "registration changes the redirect URI",
        "Register the redirect URIs that the client sent, unchanged, or refuse them with"
        " invalid_redirect_uri",
    ),
    "registration-status": Fix(
        "registration is answered with another status than 201",
        "Answer 201 Created (RFC 7591 §3.2.1)",
    ),
    "scope-refused": Fix(
        "the authorization server refuses the scope that the MCP server asks for",
        "Define the scope at the authorization server and allow it for these clients, or remove it"
        " from the challenge and from scopes_supported of the resource metadata",
        "# Keycloak: Clients, Client registration, Anonymous access policies\n"
        "Allowed Client Scopes: add the scope, or make it a default one of the realm",
    ),
    "resource-refused": Fix(
        "the authorization server refuses the resource",
        "Register exactly {server} as a resource indicator in the authorization server's dashboard"
        " (for AuthKit: Connect, Resource indicators)",
    ),
    "redirect-refused": Fix(
        "the authorization server refuses the redirect URI",
        "Allow http://127.0.0.1 and http://localhost with any port for native clients (RFC 8252"
        " §7.3)",
    ),
    "login-refused": Fix(
        "the authorization server refuses the trial client's request",
        "Look at its reason, and at the authorization server's log: it is about the client, the"
        " redirect URI, the scope or the resource of the request",
    ),
}
