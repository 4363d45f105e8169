"""A script or notebook cell that logs in first: python script.py URL."""

import sys

from mcp_client_auth import login

url = sys.argv[1]
call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
headers = {"Accept": "application/json, text/event-stream"}

me = login(url)
with me.client() as client:
    answer = client.post(url, json=call, headers=headers).raise_for_status().json()
    print([tool["name"] for tool in answer["result"]["tools"]])
