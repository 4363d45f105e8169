"""A FastMCP server behind its own AuthKitProvider: `authkit_server.py PORT AUTHKIT_ORIGIN`.

It prints one line of JSON when it listens.
"""

from __future__ import annotations

import logging
import sys

from fastmcp import FastMCP
from fastmcp.server.auth.providers.workos import AuthKitProvider
from fastmcp.server.dependencies import get_access_token
from serving import HOST, serve

PATH = "/api/mcp"


def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


def whoami() -> str:
    """The subject of the access token."""
    token = get_access_token()
    return str(token.claims["sub"]) if token else "nobody"


def main(port: int, authkit: str) -> None:
    logging.getLogger("fastmcp").setLevel(logging.ERROR)
    origin = f"http://{HOST}:{port}"
    auth = AuthKitProvider(authkit_domain=authkit, base_url=origin)
    server: FastMCP[None] = FastMCP("behind AuthKit", auth=auth)
    server.tool(add)
    server.tool(whoami)
    serve(server.http_app(path=PATH), port, url=origin + PATH)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
