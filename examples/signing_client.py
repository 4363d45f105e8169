"""A client that proves itself by a key: python signing_client.py URL CLIENT_ID KEY_FILE."""

import sys

import httpx

from mcp_client_auth import MCPAuth, PreRegistered

url, client_id, key_file = sys.argv[1:]
call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
headers = {"Accept": "application/json, text/event-stream"}

own = PreRegistered(client_id, key_file=key_file)  # PEM or JWK; the key itself is never stored
with httpx.Client(auth=MCPAuth(url, client=own)) as client:
    answer = client.post(url, json=call, headers=headers).raise_for_status().json()
    print([tool["name"] for tool in answer["result"]["tools"]])
