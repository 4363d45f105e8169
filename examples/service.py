"""A service with a client of its own and no person: python service.py URL CLIENT_ID SECRET_FILE."""

import sys
from pathlib import Path

import httpx
from mcp_http import tools

from mcp_client_auth import ClientCredentials, MCPAuth, PreRegistered

url, client_id, secret_file = sys.argv[1:]

client = PreRegistered(client_id, secret=Path(secret_file).read_text().strip())
with httpx.Client(auth=MCPAuth(url, grant=ClientCredentials(), client=client)) as http:
    print(tools(http, url))
