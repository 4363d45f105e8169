"""A service that must never open a browser: python without_a_person.py URL."""

import sys

import httpx
from mcp_http import tools

from mcp_client_auth import LoginRequired, MCPAuth

url = sys.argv[1]

with httpx.Client(auth=MCPAuth(url, prompt=None)) as client:
    try:
        print(tools(client, url))
    except LoginRequired as error:
        print(error.hint)
