"""What to change at the MCP endpoint, in its 401 and its challenge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .row import BASE_URL, LET_THROUGH, PUBLIC, ROUTES, TRUST_PROXY, Fix

_EXPOSE: Final = {
    "nginx": "proxy_pass_header WWW-Authenticate;\n"
    "# remove `proxy_hide_header WWW-Authenticate` and `error_page 401` here",
    # a parameter mapping cannot read x-amzn-* headers: they are reserved
    "AWS API Gateway": "HTTP API: response parameter mapping of the integration, status 401"
    " (x-amzn-Remapped-… cannot be mapped):\n"
    '  overwrite:header.WWW-Authenticate = Bearer resource_metadata="{metadata}"\n'
    "REST API with an authorizer: gateway response UNAUTHORIZED, response header:\n"
    "  WWW-Authenticate: 'Bearer resource_metadata=\"{metadata}\"'\n"
    "Lambda function URL: put an HTTP API with this mapping in front of it",
    "CloudFront": "response headers policy: take WWW-Authenticate out of the headers to remove\n"
    "origin request policy: forward Authorization",
    "Azure API Management": '<outbound><base /><set-header name="WWW-Authenticate"'
    ' exists-action="override"><value>Bearer resource_metadata="{metadata}"</value></set-header>'
    "</outbound>",
    "Kong": "response-transformer plugin:\n"
    "  config.add.headers: ['WWW-Authenticate:Bearer resource_metadata=\"{metadata}\"']",
    "Traefik": "headers middleware: remove the entry WWW-Authenticate from customResponseHeaders",
    "Envoy": "take www-authenticate out of response_headers_to_remove",
    "Cloudflare": "Rules > Transform Rules > Modify Response Header: delete the rule that removes"
    " WWW-Authenticate",
    "Apache": "delete `Header unset WWW-Authenticate` (mod_headers)",
    "HAProxy": "delete `http-response del-header www-authenticate`",
}
_ENDPOINT: Final = {
    "nginx": "location {path} {{ proxy_pass http://YOUR_APP; }}",
    "Traefik": ROUTES["Traefik"],
    "Caddy": "handle {path}* {{\n  reverse_proxy YOUR_APP\n}}",
    "Apache": "ProxyPass {path} http://YOUR_APP{path}",
}

ROWS: Final[Mapping[str, Fix]] = {
    "http-urls": Fix(
        "the server does not know that the proxy in front of it ends TLS, and names http URLs",
        "Accept X-Forwarded-Proto from the proxy, and set the server's public base URL (https)",
        BASE_URL + TRUST_PROXY,
        PUBLIC,
    ),
    "wrong-path": Fix(
        "there is no MCP endpoint at this path",
        "{instead}Check the path of the URL (most servers are at /mcp), and that what stands in"
        " front of the server routes it there for the host {host}",
        "",
        {"ngrok": "# the tunnel is not running\nngrok http YOUR_PORT"},
    ),
    "not-mcp": Fix(
        "what answers here is not an MCP server",
        "{instead}Check the URL, and route the path of the MCP endpoint to the MCP server",
        "",
        _ENDPOINT,
    ),
    "redirected": Fix(
        "the server redirects to another host, which clients do not follow with a POST",
        "If the MCP server is at {led}, give people that URL, or answer here without a redirect. If"
        " that is a sign-in page, exempt the MCP endpoint and /.well-known/ from it: programs have"
        " to reach them without a browser",
        "",
        LET_THROUGH,
    ),
    "sign-in": Fix(
        "the server redirects to a sign-in page, {led}",
        "{instead}A sign-in page guards the application: exempt the MCP endpoint and /.well-known/"
        " from it. Programs cannot sign in there, and the MCP server itself asks for a token",
        "",
        LET_THROUGH,
    ),
    "redirect-inside": Fix(
        "the server redirects to another path, for which a token of this URL is not meant",
        "Give people that URL: {led}",
    ),
    "redirect-loop": Fix(
        "the server redirects without end",
        "Answer at one URL, and configure proxy and server alike for the slash at the end and for"
        " https",
    ),
    "redirect": Fix(
        "the MCP endpoint redirects",
        "Give people the URL that it leads to, or answer at both without a redirect",
    ),
    "in-front": Fix(
        "something in front of the server answers every address in its place",
        "{instead}Exempt the MCP endpoint and /.well-known/ from bot protection, deployment"
        " protection and sign-in pages: programs without a browser have to reach them without"
        " a token",
        "",
        LET_THROUGH,
    ),
    "client-certificate": Fix(
        "the proxy in front of {host} requires a client certificate",
        "Do not require one at the MCP endpoint and below /.well-known/: hardly any MCP client has"
        " one",
        "",
        {"nginx": "ssl_verify_client optional;"},
    ),
    "metadata-protected": Fix(
        "the metadata of {host}, which clients need before they have a token, is closed to them",
        "Let /.well-known/ through without authentication and bot protection: it is public",
        "# authentication middleware (Starlette), before it reads the token\n"
        "if request.url.path.startswith('/.well-known/'):\n    return await call_next(request)",
        LET_THROUGH,
    ),
    "metadata-sign-in": Fix(
        "the well-known URL on {host} redirects to a sign-in page, {led}",
        "A sign-in page guards the application: exempt /.well-known/ from it, in the proxy or in"
        " the application. These documents are public, and programs cannot sign in there",
        "",
        LET_THROUGH,
    ),
    "host-refused": Fix(
        "the server refuses the host name {host}",
        "Add {host} to the host names that the server accepts: behind a proxy it knows its own"
        " only",
        "# MCP Python SDK\n"
        'TransportSecuritySettings(allowed_hosts=["{host}"], allowed_origins=["{base}"])',
    ),
    "no-401": Fix(
        "the MCP endpoint does not answer 401 to a request without a token",
        "Answer 401 with a challenge before the request is looked at",
        'WWW-Authenticate: Bearer resource_metadata="{metadata}"',
    ),
    "no-challenge": Fix(
        "the 401 has no Bearer challenge",
        "Send the header with each 401; if the server does, what stands in front of it drops it:"
        " expose WWW-Authenticate there",
        'WWW-Authenticate: Bearer resource_metadata="{metadata}"',
        _EXPOSE,
    ),
    "challenge-renamed": Fix(
        "a gateway renames WWW-Authenticate",
        "Have the gateway send the header under its own name, WWW-Authenticate",
        'WWW-Authenticate: Bearer resource_metadata="{metadata}"',
        _EXPOSE,
    ),
    "challenge-no-metadata": Fix(
        "the challenge names no resource_metadata",
        "Add resource_metadata with the URL of the metadata document",
        'WWW-Authenticate: Bearer resource_metadata="{metadata}"',
    ),
    "challenge-quotes": Fix(
        "the challenge is not quoted as HTTP requires",
        "Put each value in straight double quotes; in a shell or a template, put the whole"
        " header in single quotes",
        'WWW-Authenticate: Bearer resource_metadata="{metadata}"',
        {"nginx": "add_header WWW-Authenticate 'Bearer resource_metadata=\"{metadata}\"' always;"},
    ),
    "challenge-relative": Fix(
        "resource_metadata of the challenge is not an absolute URL",
        "Name the whole URL of the metadata document",
        'WWW-Authenticate: Bearer resource_metadata="{metadata}"',
    ),
    "challenge-nowhere": Fix(
        "the challenge names a place that has no document",
        "Have the challenge name the place where the document is: the well-known path comes first"
        " and the path of the endpoint behind it",
        'WWW-Authenticate: Bearer resource_metadata="{metadata}"',
    ),
    "challenge-port": Fix(
        "the challenge names a port that is not in the URL of the server, {url}",
        "Set the server's public base URL, without the port that the container listens on",
        'WWW-Authenticate: Bearer resource_metadata="{metadata}"',
    ),
    "challenge-server-metadata": Fix(
        "the challenge names the metadata of the authorization server",
        "Have resource_metadata name the MCP server's own document (RFC 9728), which names the"
        " authorization server",
        'WWW-Authenticate: Bearer resource_metadata="{metadata}"',
    ),
    "challenge-elsewhere": Fix(
        "the challenge names a place on another origin",
        "Name a place on the server's own origin: set the server's public base URL if it is behind"
        " a proxy",
        'WWW-Authenticate: Bearer resource_metadata="{metadata}"',
    ),
    "partly-protected": Fix(
        "only some methods require a login",
        "Answer 401 with the challenge to each request without a token, initialize first: clients"
        " that wait for it there never log in",
    ),
}
