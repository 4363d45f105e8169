"""What to change in what the authorization server says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .row import Fix

ROWS: Final[Mapping[str, Fix]] = {
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
    "scheme-twice": Fix(
        "a URL has https:// twice: {url}",
        "Enter the domain without https:// where the setting asks for a domain, and restart the"
        " server",
    ),
    "issuer-quotes": Fix(
        "the authorization server's name has quotes or whitespace around it",
        "Remove them where the value is set: in a Docker env file or a ConfigMap they are part of"
        " the value",
        "AUTHKIT_DOMAIN={domain}",
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
    "issuer-nearby": Fix(
        "authorization_servers names {named}, which has no metadata; the issuer there is {issuer}",
        "Name the issuer exactly as its own metadata has it, without the path of an endpoint",
        '"authorization_servers": ["{issuer}"]',
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
}
