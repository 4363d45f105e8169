"""An authorized MCP request from a plain httpx client: python first.py URL."""

import sys

import httpx
from mcp_http import tools

from mcp_client_auth import MCPAuth

url = sys.argv[1]

with httpx.Client(auth=MCPAuth(url)) as client:
    print(tools(client, url))
