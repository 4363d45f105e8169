"""What to change for pages in browsers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .row import Fix

_CORS: Final = (
    "Access-Control-Allow-Origin: *\n"
    "Access-Control-Allow-Methods: GET, POST, OPTIONS\n"
    "Access-Control-Allow-Headers: Authorization, Content-Type, MCP-Protocol-Version,"
    " Mcp-Session-Id\n"
    "Access-Control-Expose-Headers: WWW-Authenticate, Mcp-Session-Id"
)

ROWS: Final[Mapping[str, Fix]] = {
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
