"""A client that proves itself by a key: python signing_client.py URL CLIENT_ID KEY_FILE."""

import sys

import httpx
from mcp_http import tools

from mcp_client_auth import MCPAuth, PreRegistered

url, client_id, key_file = sys.argv[1:]

own = PreRegistered(client_id, key_file=key_file)  # PEM or JWK; the key itself is never stored
with httpx.Client(auth=MCPAuth(url, client=own)) as client:
    print(tools(client, url))
