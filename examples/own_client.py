"""A client id from the server's operator: python own_client.py URL CLIENT_ID SECRET_FILE."""

import sys
from pathlib import Path

import httpx

from mcp_client_auth import MCPAuth, PreRegistered

url, client_id, secret_file = sys.argv[1:]
call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
headers = {"Accept": "application/json, text/event-stream"}

own = PreRegistered(client_id, secret=Path(secret_file).read_text().strip())
with httpx.Client(auth=MCPAuth(url, client=own)) as client:
    answer = client.post(url, json=call, headers=headers).raise_for_status().json()
    print([tool["name"] for tool in answer["result"]["tools"]])
