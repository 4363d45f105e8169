"""What to change in the resource metadata, and in how documents are served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .row import ROUTES, Fix

_MOUNTED: Final = (
    "# FastMCP in Starlette: the well-known routes belong to the root;\n"
    "# the mount prefix is in base_url, not in mcp_path\n"
    'auth = AuthKitProvider(authkit_domain="…", base_url="{base}{mount}")\n'
    "mcp_app = FastMCP('…', auth=auth).http_app(path='{below}')\n"
    "app = Starlette(routes=[*auth.get_well_known_routes(mcp_path='{below}'),\n"
    "                        Mount('{mount}', app=mcp_app)], lifespan=mcp_app.lifespan)"
)

ROWS: Final[Mapping[str, Fix]] = {
    "resource-port": Fix(
        "resource names a port that is not in the URL of the server",
        "Set the server's public base URL, without the port that the container listens on: resource"
        " has to be exactly the URL that people are given",
        '"resource": "{server}"',
    ),
    "resource-path": Fix(
        "resource names another path than the URL of the server",
        "Set resource to exactly the URL that people are given (FastMCP makes it of base_url, which"
        " has the mount prefix where the app is mounted, and the path of the endpoint)",
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
        ROUTES,
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
        "Name resource and authorization_servers at the top level of the object, the latter as a"
        " list of issuers",
        '{{"resource": "{server}", "authorization_servers": ["https://YOUR_ISSUER"]}}',
    ),
    "metadata-of-server": Fix(
        "the metadata of an authorization server is in the place of the resource metadata",
        "Serve the MCP server's own document there (RFC 9728), which names the authorization"
        " server. The other one belongs at /.well-known/oauth-authorization-server",
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
}
