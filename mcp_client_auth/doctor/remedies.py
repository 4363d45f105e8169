"""What an operator changes, by fault: why a login fails in one clause, the remedy, the lines to
paste.

The readers run the server, so no row names a switch that makes a client forgive the fault.
`{}` in a row is a value that the check has found.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Fix:
    """`why`: the clause behind “a login fails here: ”. `products`: the lines to paste where the
    product in front of the server is known; `paste` is for all others."""

    why: str
    change: str
    paste: str = ""
    products: Mapping[str, str] = field(default_factory=dict)


_BASE_URL: Final = 'auth = AuthKitProvider(authkit_domain="…", base_url="{base}")\n'
_TRUST_PROXY: Final = (
    "# environment of uvicorn, which FastMCP's run() starts too\nFORWARDED_ALLOW_IPS=YOUR_PROXY_IP"
)
_PUBLIC: Final = {
    "nginx": _BASE_URL + "proxy_set_header Host $host;\n"
    "proxy_set_header X-Forwarded-Proto $scheme;  # https if TLS ends in front of nginx\n"
    + _TRUST_PROXY,
    "Apache": _BASE_URL
    + 'ProxyPreserveHost On\nRequestHeader set X-Forwarded-Proto "https"\n'
    + _TRUST_PROXY,
    "Caddy": _BASE_URL + _TRUST_PROXY,
    "Traefik": _BASE_URL
    + _TRUST_PROXY
    + "\n# only if another proxy stands in front of Traefik:\n"
    + "--entryPoints.websecure.forwardedHeaders.trustedIPs=THAT_PROXY_IP",
}
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
_SKIP: Final = (
    "Security > WAF > Custom rules, action Skip (managed rules, Super Bot Fight Mode rules,"
    " Browser Integrity Check), when:\n"
)
# https://developers.cloudflare.com/waf/custom-rules/skip/
_NO_SKIP: Final = "\nBot Fight Mode (Free plan) cannot be skipped: turn it off in Security > Bots"
_LET_THROUGH: Final = {
    "Cloudflare": _SKIP + '  http.request.uri.path eq "{path}" or starts_with('
    'http.request.uri.path, "/.well-known/")'
    + _NO_SKIP
    + "\nCloudflare Access: an application for these paths with the policy action Bypass",
    "Vercel": "Settings > Deployment Protection: off for this deployment, or use the production"
    " domain",
    "Netlify": "Site configuration > Visitor access: no password for this site",
    "Google IAP": "IAP: allUsers as IAP-secured Web App User, on the back end of the MCP server",
    "Azure App Service": "Authentication > Restrict access: Allow unauthenticated requests",
    "nginx": "location ^~ /.well-known/oauth- {{\n  auth_basic off; auth_request off; allow all;\n"
    "  proxy_pass http://YOUR_APP;\n}}",
    "Traefik": "a router of its own, without the authentication middleware:\n"
    "  rule: Host(`{host}`) && PathPrefix(`/.well-known/`)",
    "Caddy": "# before the handle block that authenticates\n"
    "handle /.well-known/* {{\n  reverse_proxy YOUR_APP\n}}",
    "Apache": '<Location "/.well-known">\n  AuthType None\n  Require all granted\n</Location>',
}
_EXEMPT: Final = {
    "Cloudflare": _SKIP
    + '  http.request.uri.path in {{"YOUR_TOKEN_PATH" "YOUR_REGISTRATION_PATH"}}'
    + _NO_SKIP,
    "Vercel": _LET_THROUGH["Vercel"],
    "Netlify": _LET_THROUGH["Netlify"],
}
_CHAIN: Final = {
    "nginx": "ssl_certificate /etc/letsencrypt/live/{host}/fullchain.pem;",
    "Apache": "SSLCertificateFile /etc/letsencrypt/live/{host}/fullchain.pem",
    "HAProxy": "cat fullchain.pem privkey.pem > {host}.pem\nbind :443 ssl crt {host}.pem",
    "Traefik": "tls:\n  certificates:\n    - certFile: fullchain.pem\n      keyFile: privkey.pem",
}
_CORS: Final = (
    "Access-Control-Allow-Origin: *\n"
    "Access-Control-Allow-Methods: GET, POST, OPTIONS\n"
    "Access-Control-Allow-Headers: Authorization, Content-Type, MCP-Protocol-Version,"
    " Mcp-Session-Id\n"
    "Access-Control-Expose-Headers: WWW-Authenticate, Mcp-Session-Id"
)
# narrow where the product's own ACME challenges lie beside the documents
_ROUTES: Final = {
    "nginx": "location ^~ /.well-known/oauth- {{ proxy_pass http://YOUR_APP; }}",
    "Traefik": "rule: Host(`{host}`) && (PathPrefix(`{path}`) || PathPrefix(`/.well-known/`))",
    "Caddy": "handle /.well-known/* {{\n  reverse_proxy YOUR_APP\n}}",
    "Apache": "ProxyPass /.well-known/oauth-protected-resource"
    " http://YOUR_APP/.well-known/oauth-protected-resource",
    "Vercel": '{{ "rewrites": [{{ "source": "/.well-known/(.*)", "destination":'
    ' "/api/well-known/$1" }}] }}',
}
_ENDPOINT: Final = {
    "nginx": "location {path} {{ proxy_pass http://YOUR_APP; }}",
    "Traefik": _ROUTES["Traefik"],
    "Caddy": "handle {path}* {{\n  reverse_proxy YOUR_APP\n}}",
    "Apache": "ProxyPass {path} http://YOUR_APP{path}",
}
_MOUNTED: Final = (
    "# FastMCP in Starlette: the well-known routes belong to the root;\n"
    "# the mount prefix is in base_url, not in mcp_path\n"
    'auth = AuthKitProvider(authkit_domain="…", base_url="{base}{mount}")\n'
    "mcp_app = FastMCP('…', auth=auth).http_app(path='{below}')\n"
    "app = Starlette(routes=[*auth.get_well_known_routes(mcp_path='{below}'),\n"
    "                        Mount('{mount}', app=mcp_app)], lifespan=mcp_app.lifespan)"
)

_UNLESS_KNOWN: Final = {"instead": ""}

FIXES: Final[Mapping[str, Fix]] = {
    # -- how the servers are reached
    "certificate-expired": Fix(
        "the certificate of {host} has expired",
        "Renew the certificate of {host}, and find out why it was not renewed automatically",
        "",
        {
            "nginx": "certbot renew && nginx -s reload",
            "Apache": "certbot renew && apachectl graceful",
        },
    ),
    "certificate-future": Fix(
        "the certificate of {host} is not valid yet",
        "Set the clock of the machine that issued it, or install the certificate that is valid now",
    ),
    "certificate-chain": Fix(
        "the chain of certificates that {host} sends leads to no authority that clients trust",
        "Send the whole chain (fullchain.pem), not the server's certificate alone: clients do not"
        " fetch the intermediate. If the authority is a private one, use a certificate of a public"
        " one, or have each client's machine trust it",
        "",
        _CHAIN,
    ),
    "certificate-self-signed": Fix(
        "the certificate of {host} is self-signed",
        "Use a certificate of an authority that clients trust (Let's Encrypt is free)",
        "",
        {"nginx": "certbot --nginx -d {host}", "Apache": "certbot --apache -d {host}"},
    ),
    "certificate-name": Fix(
        "the certificate that {host} sends is for another name",
        "Use a certificate that has {host} among its names; an ingress without one for the name"
        " sends its default certificate",
        "# Kubernetes Ingress\nspec:\n  tls:\n    - hosts: [{host}]\n      secretName: …",
    ),
    "certificate": Fix(
        "the certificate of {host} is not trusted",
        "Use a certificate that clients trust, with its whole chain, for the name {host}",
    ),
    "certificate-soon": Fix(
        "the certificate of {host} expires soon",
        "Renew the certificate of {host}, and find out why it was not renewed automatically",
    ),
    "unknown-host": Fix(
        "the name {host} does not exist in the DNS",
        "Check the configured name for typing errors, and publish it in the DNS",
    ),
    "internal-address": Fix(
        "the server names an address of its own network, {url}",
        "Set the server's public base URL: behind a proxy it names the address that it listens on"
        " or its service name",
        _BASE_URL.rstrip(),
        _PUBLIC,
    ),
    "no-connection": Fix(
        "{host} does not answer",
        "Start the server, open its port in the firewall, and check the upstream address in the"
        " proxy's configuration",
    ),
    "server-error": Fix(
        "{host} answers with HTTP {status}",
        "Look at the server's log, and at what stands in front of it, for this request",
    ),
    "no-tls": Fix(
        "{host} answers without TLS at the port of an https URL, {url}",
        "End TLS at this port, or name the port that has TLS (443 needs no name)",
    ),
    "rate-limited": Fix(
        "{host} limits the number of requests (HTTP 429)",
        "Wait a minute and examine again. If it stays, raise the limit for the MCP endpoint,"
        " /.well-known/ and registration: a login sends some ten requests at once, and many people"
        " share one address",
    ),
    "slow": Fix(
        "{host} answers slowly",
        "Keep an instance warm (minimum instances 1), and answer the 401 before anything is"
        " loaded: MCP hosts wait 5 to 30 s for a connection",
    ),
    "address-dead": Fix(
        "an address of {host} does not answer",
        "Take the dead address out of the DNS (an AAAA record where it is IPv6), or let"
        " connections to it through",
    ),
    "clock": Fix(
        "the clocks of this machine and of {host} differ",
        "Set the wrong one of the clocks, and keep it set by NTP",
        "timedatectl set-ntp true",
    ),
    # -- the MCP endpoint and its challenge
    "http-urls": Fix(
        "the server does not know that the proxy in front of it ends TLS, and names http URLs",
        "Accept X-Forwarded-Proto from the proxy, and set the server's public base URL (https)",
        _BASE_URL + _TRUST_PROXY,
        _PUBLIC,
    ),
    "wrong-path": Fix(
        "there is no MCP endpoint at this path",
        "{instead}Check the path of the URL (most servers are at /mcp), and that what stands in"
        " front of the server routes it there for the host {host}",
    ),
    "not-mcp": Fix(
        "a web page answers here, not an MCP server",
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
        _LET_THROUGH,
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
        _LET_THROUGH,
    ),
    "metadata-protected": Fix(
        "the metadata of {host}, which clients need before they have a token, is closed to them",
        "Let /.well-known/ through without authentication and bot protection: it is public",
        "# authentication middleware (Starlette), before it reads the token\n"
        "if request.url.path.startswith('/.well-known/'):\n    return await call_next(request)",
        _LET_THROUGH,
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
    # -- resource metadata
    "resource-port": Fix(
        "resource names a port that is not in the URL of the server",
        "Set the server's public base URL, without the port that the container listens on: resource"
        " has to be exactly the URL that people are given",
        '"resource": "{server}"',
    ),
    "resource-path": Fix(
        "resource names another path than the URL of the server",
        "Set resource to exactly the URL that people are given; where the app is mounted,"
        " with the mount prefix",
        '"resource": "{server}"',
    ),
    "resource-other": Fix(
        "the resource metadata names another server",
        "Set resource to exactly the URL that people are given: set the server's public"
        " base URL, or give people the URL that resource has",
        '"resource": "{server}"',
    ),
    "resource-spelling": Fix(
        "resource is spelled differently from the URL",
        "Set resource to exactly the URL that people are given",
        '"resource": "{server}"',
    ),
    "metadata-absent": Fix(
        "the resource metadata is at none of its well-known URLs",
        "Serve the document of RFC 9728 at {metadata} as application/json, without authentication,"
        " before any route that answers every path with a page",
        "",
        _ROUTES,
    ),
    "metadata-mounted": Fix(
        "the metadata is below the mount prefix, at {found}, where no client looks",
        "Serve it from the root: the well-known path comes first and the mount prefix behind it,"
        " {expected}",
        _MOUNTED,
        {"nginx": "location = {expected_path} {{ proxy_pass http://YOUR_APP{found_path}; }}"},
    ),
    "metadata-appended": Fix(
        "the metadata is behind the path, at {found}, instead of before it",
        "Insert the well-known path between host and path (RFC 8414 §3.1, RFC 9728 §3.1):"
        " {expected}",
        "",
        {"nginx": "location = {expected_path} {{ proxy_pass http://YOUR_APP{found_path}; }}"},
    ),
    "metadata-at-root": Fix(
        "the metadata of {issuer} is at {found}, without the path of the issuer",
        "Insert the well-known path between host and path (RFC 8414 §3.1): {expected}",
        "",
        {"nginx": "location = {expected_path} {{ proxy_pass http://YOUR_APP{found_path}; }}"},
    ),
    "metadata-unfit": Fix(
        "the resource metadata lacks what it must have",
        "Name resource and authorization_servers, the latter as a list of issuers",
        '{{"resource": "{server}", "authorization_servers": ["https://YOUR_ISSUER"]}}',
    ),
    "document-type": Fix(
        "a document is not sent as JSON",
        "Send Content-Type: application/json",
        "",
        {"nginx": "default_type application/json;  # where nginx serves the file"},
    ),
    "document-broken": Fix(
        "the document at {url} is not a JSON object",
        "Send one JSON object: no comments, no comma at the end, nothing before it, and not"
        " encoded twice, as a string",
        "curl -s {shell_url} | python3 -m json.tool",
    ),
    "document-compression": Fix(
        "the document at {url} is not compressed as its Content-Encoding says",
        "Compress it once, either in the application or in the proxy, and send Content-Encoding"
        " only then",
        "curl -s --compressed {shell_url}",
    ),
    "document-bom": Fix(
        "a document begins with a byte order mark",
        "Save the file as UTF-8 without a byte order mark (RFC 8259 §8.1)",
        "sed -i '1s/^\\xEF\\xBB\\xBF//' FILE",
    ),
    "document-lists": Fix(
        "a document has a string where a list is required",
        "Write the field as a list, even with one value",
        "{example}",
    ),
    "document-redirect": Fix(
        "a document is behind a redirect",
        "Serve it at its place itself, with status 200: browsers and strict clients stop at a"
        " redirect",
    ),
    "document-cached": Fix(
        "a document may be kept for long",
        "Shorten max-age to some minutes, and purge the cache of the CDN after a change",
        "Cache-Control: public, max-age=300",
    ),
    "documents-differ": Fix(
        "the same document differs by place",
        "Serve one and the same document at each place; restart or purge the one that is stale"
        " (a replica, a cache)",
    ),
    # -- authorization server
    "value-unset": Fix(
        "a setting is not filled in: {named}",
        "Set the variable or the template's value where the server runs (for AuthKit:"
        " AUTHKIT_DOMAIN, and the server's public base URL), and restart it",
    ),
    "issuer-metadata-url": Fix(
        "authorization_servers names a metadata document, not an issuer",
        "Name the issuer alone, as its metadata has it: clients add the well-known path themselves",
        '"authorization_servers": ["{issuer}"]',
    ),
    "issuer-tenant": Fix(
        "the authorization server's metadata is for any tenant: its issuer is {named}",
        "Name your own tenant in authorization_servers: its id in place of common or organizations",
        '"authorization_servers": ["https://login.microsoftonline.com/YOUR_TENANT_ID/v2.0"]',
    ),
    "issuer-no-scheme": Fix(
        "the authorization server is named without https://",
        "Name it as a URL: AUTHKIT_DOMAIN (or authorization_servers) needs the scheme",
        "AUTHKIT_DOMAIN=https://{domain}",
    ),
    "issuer-unfit": Fix(
        "the authorization server is named by what cannot be an issuer",
        "Name the issuer as the authorization server's own metadata has it: https, no query, no"
        " fragment",
    ),
    "issuer-slash": Fix(
        "issuer and authorization_servers differ by a slash at the end",
        "Write both alike: remove the slash where it was added (AUTHKIT_DOMAIN without a slash"
        " at the end; older versions of FastMCP add one themselves: update FastMCP)",
        "AUTHKIT_DOMAIN={issuer}",
    ),
    "issuer-absent": Fix(
        "the authorization server {issuer} has no metadata",
        "Check the domain that authorization_servers names (AUTHKIT_DOMAIN): it has to be the"
        " issuer of this environment. If it is, serve its metadata at {expected_path}, and not a"
        " page",
        "curl {shell_expected}",
    ),
    "server-metadata-absent": Fix(
        "the authorization server has OpenID Connect metadata only",
        "Serve the document at /.well-known/oauth-authorization-server too",
    ),
    "issuer-http": Fix(
        "the authorization server names http URLs",
        "Set its public hostname with https, and let it trust X-Forwarded-Proto of the proxy:"
        " issuer and endpoints are built from that",
        "# Keycloak\nKC_HOSTNAME=https://{host} KC_PROXY_HEADERS=xforwarded",
    ),
    "issuer-other": Fix(
        "the authorization server's metadata names another issuer",
        "Name exactly the same issuer in both places: authorization_servers of the resource"
        " metadata, and issuer of the authorization server (its public hostname, its tenant)",
        '"authorization_servers": ["{named}"]',
    ),
    "endpoint-internal": Fix(
        "the authorization server names an address of its own network, {url}",
        "Set the authorization server's public hostname, for the token endpoint too, so that its"
        " metadata names public URLs in place of {url}",
        "# Keycloak\nKC_HOSTNAME=https://YOUR_ISSUER KC_HOSTNAME_BACKCHANNEL_DYNAMIC=false",
    ),
    "endpoint-http": Fix(
        "the authorization server names an endpoint that is not https: {url}",
        "Set its public hostname with https, and let it trust X-Forwarded-Proto of the proxy",
        "# Keycloak\nKC_HOSTNAME=https://{host} KC_PROXY_HEADERS=xforwarded",
    ),
    "endpoint-relative": Fix(
        "the authorization server names an endpoint that is not an absolute URL",
        "Write each endpoint of the metadata as a whole URL, with https and the host",
    ),
    "server-unfit": Fix(
        "the authorization server's metadata lacks what it must have",
        "Name issuer, authorization_endpoint, token_endpoint and response_types_supported (RFC 8414"
        " §2)",
    ),
    "no-pkce": Fix(
        "the authorization server does not advertise PKCE with S256",
        "List S256; if the server already checks PKCE, only this line is missing",
        '"code_challenge_methods_supported": ["S256"]',
    ),
    "no-client": Fix(
        "no client is available: the authorization server offers neither registration nor client ID"
        " metadata documents",
        "Enable dynamic client registration (RFC 7591) or client ID metadata documents in the"
        " authorization server's dashboard (for AuthKit: Connect, Configuration);"
        " otherwise each user needs a client id from you",
        '"registration_endpoint": "{issuer}/oauth2/register"',
    ),
    "documents-only": Fix(
        "only clients with a client ID metadata document are accepted",
        "Enable dynamic client registration (RFC 7591) as well: few programs on people's machines"
        " have such a document",
        '"registration_endpoint": "{issuer}/oauth2/register"',
    ),
    "documents-no-public": Fix(
        "client ID metadata documents are supported, but public clients (none) are not, and there"
        " is no registration",
        "List none in token_endpoint_auth_methods_supported: a client with a document has no"
        " secret. Or enable dynamic client registration",
        '"token_endpoint_auth_methods_supported": ["none", "private_key_jwt"]',
    ),
    "no-public-clients": Fix(
        "public clients are not listed",
        "List none as well: programs on people's machines keep no secret (OAuth 2.1 §2.1)",
        '"token_endpoint_auth_methods_supported": ["none", "client_secret_basic"]',
    ),
    "no-code": Fix(
        "the code grant is not listed",
        "List code in response_types_supported, and authorization_code in grant_types_supported",
        '"response_types_supported": ["code"],\n'
        '"grant_types_supported": ["authorization_code", "refresh_token"]',
    ),
    "no-refresh": Fix(
        "refresh tokens are not listed",
        "Issue refresh tokens, and list refresh_token",
        '"grant_types_supported": ["authorization_code", "refresh_token"]',
    ),
    "no-iss": Fix(
        "iss is not advertised",
        "Send iss in authorization responses and advertise it",
        '"authorization_response_iss_parameter_supported": true',
    ),
    "par-required": Fix(
        "pushed authorization requests are required",
        "Do not require PAR (require_pushed_authorization_requests: false): hardly any MCP client"
        " sends pushed requests; it may stay offered",
    ),
    "dpop-required": Fix(
        "tokens that are bound to a key (DPoP) are required",
        "Accept Bearer tokens as well: hardly any MCP client supports DPoP",
        '"dpop_bound_access_tokens_required": false',
    ),
    # -- the endpoints
    "authorize-absent": Fix(
        "the authorization endpoint {url} is not there ({got})",
        "Correct authorization_endpoint in the authorization server's metadata, or serve the"
        " sign-in page there",
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
    "token-blocked": Fix(
        "something in front of the token endpoint {url} answers in its place ({got})",
        "Exempt the token endpoint from bot protection and sign-in pages, registration too:"
        " programs without a browser send forms there",
        "",
        _EXEMPT,
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
    "jwks-absent": Fix(
        "the keys at jwks_uri cannot be read",
        "Serve the JWK set at jwks_uri, or correct jwks_uri in the metadata: a server that checks"
        " tokens by these keys refuses each one",
    ),
    "jwks-private": Fix(
        "a private key is published at jwks_uri",
        "Publish public keys only; make new ones, and treat the published ones as compromised",
    ),
    # -- registration and what a trial client shows
    "registration-absent": Fix(
        "the registration endpoint {url} is not there ({got})",
        "Enable dynamic client registration, or correct registration_endpoint in the metadata",
    ),
    "registration-blocked": Fix(
        "something in front of the registration endpoint {url} answers in its place ({got})",
        "Exempt the registration endpoint from bot protection and sign-in pages, the token endpoint"
        " too: programs without a browser post there",
        "",
        _EXEMPT,
    ),
    "registration-refused": Fix(
        "registration is refused",
        "Let clients register without a token, public ones (none) with a redirect URI on loopback"
        " (http://127.0.0.1 and http://localhost, any port)",
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
    # -- a token that is there
    "token-refused": Fix(
        "the server refuses a token that is valid",
        "Compare the token's audience and issuer with what the server checks, and see that it reads"
        " the keys at jwks_uri. If the audience is wrong, register {server} as a resource indicator"
        " in the authorization server's dashboard",
    ),
    "token-audience": Fix(
        "the token is for another audience",
        "Register {resource} as a resource indicator in the authorization server's dashboard (for"
        " AuthKit: Connect, Resource indicators), and let it honour the parameter resource",
    ),
    "token-unchecked": Fix(
        "the server accepts tokens that no authorization server issued",
        "Verify each token: its signature by the keys at jwks_uri (never alg=none), issuer,"
        " audience and expiry",
        "jwt.decode(token, key, algorithms=['RS256', 'ES256'], audience='{server}', issuer='…')",
    ),
    "refresh-fails": Fix(
        "the refresh token does not work",
        "Look at the authorization server's log for the refresh: it comes from the same client,"
        " with the same resource",
    ),
    # -- pages in browsers
    "cors-absent": Fix(
        "pages in browsers cannot read the documents",
        "Send Access-Control-Allow-Origin: * with each answer, errors too, and answer OPTIONS with"
        " 204 and these headers",
        _CORS,
        {
            "nginx": "add_header Access-Control-Allow-Origin '*' always;\n"
            "add_header Access-Control-Allow-Methods 'GET, POST, OPTIONS' always;\n"
            "add_header Access-Control-Allow-Headers 'Authorization, Content-Type,"
            " MCP-Protocol-Version, Mcp-Session-Id' always;\n"
            "add_header Access-Control-Expose-Headers 'WWW-Authenticate, Mcp-Session-Id' always;\n"
            "if ($request_method = OPTIONS) {{ return 204; }}"
        },
    ),
    "cors-twice": Fix(
        "Access-Control-Allow-Origin is sent twice, which browsers refuse",
        "Send it once: take it away either in the proxy or in the application",
        "",
        {"nginx": "proxy_hide_header Access-Control-Allow-Origin;"},
    ),
}


def fix(fault: str, product: str, values: Mapping[str, Any]) -> tuple[str, str, str]:
    """Why, what to change, and what to paste, which the product decides if it is known."""
    row, named = FIXES[fault], _Named(values)
    texts = row.why, row.change, row.products.get(product, row.paste)
    why, change, paste = (text.format_map(named) for text in texts)
    return why, change, paste


class _Named(dict[str, Any]):
    """The values of a row; one that is not known stays a mark. `shell_` and a name: that value as
    a word of a command, for a document may hold any."""

    def __missing__(self, name: str) -> str:
        if name.startswith("shell_"):
            return shlex.quote(str(self[name.removeprefix("shell_")]))
        return _UNLESS_KNOWN.get(name, "…")
