"""A client id from the server's operator: python own_client.py URL CLIENT_ID SECRET_FILE."""

import sys
from pathlib import Path

import httpx
from mcp_http import tools

from mcp_client_auth import MCPAuth, PreRegistered

url, client_id, secret_file = sys.argv[1:]

own = PreRegistered(client_id, secret=Path(secret_file).read_text().strip())
with httpx.Client(auth=MCPAuth(url, client=own)) as client:
    print(tools(client, url))
