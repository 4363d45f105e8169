"""Tokens bound to a key, where the server supports DPoP: python bound_tokens.py URL."""

import sys

import httpx
from mcp_http import tools

from mcp_client_auth import MCPAuth, Options

url = sys.argv[1]

auth = MCPAuth(url, options=Options(dpop=True))
with httpx.Client(auth=auth) as client:
    print(tools(client, url))
