"""A workload with a JWT of its platform, rotated by it: python workload.py URL JWT_FILE."""

import sys

import httpx

from mcp_client_auth import MCPAuth, WorkloadIdentity

url, jwt_file = sys.argv[1:]
call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
headers = {"Accept": "application/json, text/event-stream"}

with httpx.Client(auth=MCPAuth(url, grant=WorkloadIdentity(assertion_file=jwt_file))) as client:
    answer = client.post(url, json=call, headers=headers).raise_for_status().json()
    print([tool["name"] for tool in answer["result"]["tools"]])
