"""Every step of the flow as it happens: python watching.py URL."""

import sys

import httpx
from mcp_http import tools

from mcp_client_auth import MCPAuth

url = sys.argv[1]

with httpx.Client(auth=MCPAuth(url, on_event=print)) as client:
    print(tools(client, url))
