"""A service that must never open a browser: python nobody_to_ask.py URL."""

import sys

import httpx

from mcp_client_auth import LoginRequired, MCPAuth

url = sys.argv[1]
call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
headers = {"Accept": "application/json, text/event-stream"}

with httpx.Client(auth=MCPAuth(url, prompt=None)) as client:
    try:
        answer = client.post(url, json=call, headers=headers).raise_for_status().json()
        print([tool["name"] for tool in answer["result"]["tools"]])
    except LoginRequired as error:
        print(error.hint)
