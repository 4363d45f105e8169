"""A service with a client of its own and no person: python service.py URL CLIENT_ID SECRET_FILE."""

import sys
from pathlib import Path

import httpx

from mcp_client_auth import ClientCredentials, MCPAuth, PreRegistered

url, client_id, secret_file = sys.argv[1:]
call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
headers = {"Accept": "application/json, text/event-stream"}

client = PreRegistered(client_id, secret=Path(secret_file).read_text().strip())
with httpx.Client(auth=MCPAuth(url, grant=ClientCredentials(), client=client)) as http:
    answer = http.post(url, json=call, headers=headers).raise_for_status().json()
    print([tool["name"] for tool in answer["result"]["tools"]])
