"""Tokens that nobody else can use, where the server knows DPoP: python bound_tokens.py URL."""

import sys

import httpx

from mcp_client_auth import MCPAuth, Options

url = sys.argv[1]
call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
headers = {"Accept": "application/json, text/event-stream"}

auth = MCPAuth(url, options=Options(dpop=True))
with httpx.Client(auth=auth) as client:
    answer = client.post(url, json=call, headers=headers).raise_for_status().json()
    print([tool["name"] for tool in answer["result"]["tools"]])
